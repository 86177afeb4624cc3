//! What people did in Znuny, read from articles and histories of tickets that changed.

use super::{Znuny, list};
use crate::limits;
use crate::model::text::bounded;
use crate::model::ticket::PersonDid;
use crate::trackers::rest::{Outcome, Told};
use crate::trackers::words::word;
use serde_json::{Value, json};

impl Znuny {
    pub(super) async fn told(&self, id: &str, me: &str) -> Outcome<Vec<Told>> {
        let mut told = Vec::new();
        let item = self.item(id).await?.unwrap_or_default();
        for article in list(&item["Article"]) {
            let sender = word(&article, "SenderType");
            let by = word(&article, "CreateBy");
            let Some(at) = self.zone.read(&word(&article, "CreateTime")) else {
                continue;
            };
            if by == me || sender == "system" {
                continue;
            }
            let text = word(&article, "Body");
            let text = bounded(text.trim(), limits::TRACKER_TEXT_BYTES_MAX);
            let visible = word(&article, "IsVisibleForCustomer") == "1";
            let what = if sender == "customer" {
                PersonDid::CustomerWrote { text }
            } else if visible {
                PersonDid::Answered {
                    text,
                    promise: None,
                }
            } else {
                PersonDid::Noted { text }
            };
            let name = format!("article-{}", word(&article, "ArticleID"));
            told.push(Told::of(&name, at, &word(&article, "From"), what));
        }
        let history = self
            .ask("TicketHistoryGet", json!({ "TicketID": id }))
            .await?;
        let ticket = list(&history.json()["TicketHistory"]).into_iter().next();
        for row in list(&ticket.unwrap_or_default()["History"]) {
            let by = word(&row, "CreateBy");
            let Some(at) = self.zone.read(&word(&row, "CreateTime")) else {
                continue;
            };
            // User 1 is the system itself.
            if by == me || by == "1" {
                continue;
            }
            let name = format!("history-{}", word(&row, "HistoryID"));
            let what = self.meaning(&row);
            told.extend(what.map(|what| Told::of(&name, at, &by, what)));
        }
        Ok(told)
    }

    /// What a row says in our words. Its values stand between `%%`: old and new state, the new
    /// owner, old priority with its number and new priority with its number.
    fn meaning(&self, row: &Value) -> Option<PersonDid> {
        let name = word(row, "Name");
        let values: Vec<&str> = name.split("%%").filter(|part| !part.is_empty()).collect();
        match (word(row, "HistoryType").as_str(), values.as_slice()) {
            ("Merged", _) => merged_into(&name).map(PersonDid::MergedInto),
            // The state follows from the merge, which is told by itself.
            ("StateUpdate", [_, "merged", ..]) => None,
            ("StateUpdate", [_, new, ..]) => Some(PersonDid::Status(self.status(new, ""))),
            ("OwnerUpdate", [new, ..]) => Some(PersonDid::Owner((*new).to_owned())),
            ("PriorityUpdate", [_, _, new, ..]) => {
                self.config.priority.read(new).map(PersonDid::Severity)
            }
            _ => None,
        }
    }
}

/// The id of the ticket that another was merged into: `Merged Ticket (NUMBER/ID) to (NUMBER/ID)`.
fn merged_into(text: &str) -> Option<String> {
    let (_, target) = text.rsplit_once('/')?;
    let id = target.trim_end().strip_suffix(')')?;
    let number = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit());
    number.then(|| id.to_owned())
}
