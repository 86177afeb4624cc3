//! Open issues that carry a key of the bridge's, with what people did to them.

use super::Redmine;
use crate::limits;
use crate::model::Time;
use crate::model::ticket::{KEY_BEGINS, PersonChange, is_key};
use crate::trackers::words::word;
use crate::trackers::{Called, OpenTicket};
use serde_json::Value;

type Outcome<T> = Result<T, Called<Vec<OpenTicket>>>;

impl Redmine {
    /// All of them, the oldest first.
    pub(super) async fn list_open(&self) -> Outcome<Vec<OpenTicket>> {
        let me = self.me().await?;
        let names = self.names().await?;
        let fields = self.fields_of(&self.config.project).await?;
        let mut filters = vec!["description".to_owned()];
        if let Some(id) = fields.get(&self.config.key_field)
            && self.field_filters(*id).await?
        {
            filters.push(format!("cf_{id}"));
        }
        let mut open: Vec<OpenTicket> = Vec::new();
        for filter in filters {
            for issue in self.open_by(&filter).await? {
                let ticket = self.ticket(&names, &issue);
                let known = open
                    .iter()
                    .any(|known| known.ticket.remote == ticket.remote);
                if known || ticket.fields.status.is_over() || !is_key(&ticket.key) {
                    continue;
                }
                let history = self.past_of(&ticket.remote.key, &me).await?;
                open.push(OpenTicket {
                    ticket,
                    text: word(&issue, "description"),
                    history,
                });
            }
        }
        open.sort_by_key(|open| open.ticket.created_at);
        Ok(open)
    }

    /// Open issues whose description or field holds the beginning of a key.
    async fn open_by(&self, filter: &str) -> Outcome<Vec<Value>> {
        let holds = format!("~{KEY_BEGINS}");
        let mut issues = Vec::new();
        for page in 0..limits::TRACKER_OPEN_PAGES_MAX {
            let offset = (page * 100).to_string();
            let query = [
                (filter, holds.as_str()),
                ("status_id", "open"),
                ("sort", "id"),
                ("limit", "100"),
                ("offset", offset.as_str()),
            ];
            let answer = self.client.get("/issues.json", &query).await.done()?.json();
            let Some(items) = answer["issues"].as_array() else {
                return Err(Called::later("the answer to a search is no list"));
            };
            issues.extend(items.iter().cloned());
            if items.len() < 100 {
                return Ok(issues);
            }
        }
        Err(Called::later("there are more open issues than are read"))
    }

    async fn past_of(&self, number: &str, me: &str) -> Outcome<Vec<PersonChange>> {
        let journals = self
            .journals(number)
            .await
            .map_err(Called::without_answer)?;
        let mut history = Vec::new();
        for (id, issue, journal) in journals {
            let at = Time::parse_rfc3339(&word(&journal, "created_on"));
            let (Some(at), true) = (at, word(&journal, "user") != me) else {
                continue;
            };
            let said = self
                .meaning(&journal)
                .await
                .map_err(Called::without_answer)?;
            for (n, what) in said.into_iter().enumerate() {
                history.push(self.told((id, n), &issue, at, &journal, what));
            }
        }
        history.sort_by_key(|change| change.at);
        Ok(history)
    }
}
