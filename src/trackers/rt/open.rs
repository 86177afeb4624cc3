//! Open tickets that carry a key of the bridge's, with what people did to them.

use super::{RequestTracker, shape};
use crate::limits;
use crate::model::ticket::{KEY_BEGINS, PersonChange, is_key};
use crate::trackers::{Called, OpenTicket};

type Outcome<T> = Result<T, Called<Vec<OpenTicket>>>;

impl RequestTracker {
    /// All of them, the oldest first.
    pub(super) async fn list_open(&self) -> Outcome<Vec<OpenTicket>> {
        let me = self.me().await?;
        let mut places = vec![format!("Subject LIKE '[{KEY_BEGINS}'")];
        if !self.config.key_field.is_empty() {
            let field = shape::quoted_field(&self.config.key_field);
            places.push(format!("CF.{field} LIKE '{KEY_BEGINS}'"));
        }
        let text = format!("({}) AND Status = '__Active__'", places.join(" OR "));
        let mut open = Vec::new();
        for page in 1..=limits::TRACKER_OPEN_PAGES_MAX {
            let page = page.to_string();
            let query = [
                ("query", text.as_str()),
                (
                    "fields",
                    "Subject,Status,Priority,CustomFields,Created,EffectiveId,Queue",
                ),
                ("fields[Queue]", "Name"),
                ("orderby", "id"),
                ("order", "ASC"),
                ("per_page", "100"),
                ("page", page.as_str()),
            ];
            let answer = self.client.get("/tickets", &query).await.done()?.json();
            let Some(items) = answer["items"].as_array() else {
                return Err(Called::later("the answer to a search is no list"));
            };
            for item in items {
                let ticket = self.ticket(item);
                let merged = ticket.remote.key != shape::word(item, "id");
                if is_key(&ticket.key) && !ticket.fields.status.is_over() && !merged {
                    let (text, history) = self.past_of(&ticket.remote.key, &me).await?;
                    open.push(OpenTicket {
                        ticket,
                        text,
                        history,
                    });
                }
            }
            if items.is_empty() {
                return Ok(open);
            }
        }
        Err(Called::later("there are more open tickets than are read"))
    }

    /// The text of a ticket as it was opened, and what people did to it.
    async fn past_of(&self, number: &str, me: &str) -> Outcome<(String, Vec<PersonChange>)> {
        let scope = format!(
            "ObjectType='RT::Ticket' AND ObjectId={}",
            shape::quoted(number)
        );
        let list = self
            .transactions_of(&scope, 0)
            .await
            .map_err(Called::without_answer)?
            .0;
        let first = list.iter().find(|transaction| transaction.kind == "Create");
        let text = match first {
            Some(first) => self
                .content(first.id)
                .await
                .map_err(Called::without_answer)?,
            None => String::new(),
        };
        let mut history = Vec::new();
        for transaction in &list {
            let what = self.meaning(transaction, &list, me).await;
            if let Some(what) = what.map_err(Called::without_answer)? {
                history.push(self.told(transaction, what));
            }
        }
        Ok((text, history))
    }
}
