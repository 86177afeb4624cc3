//! What people did in Zammad, read from articles and histories of tickets that changed.

use super::Zammad;
use crate::limits;
use crate::model::Time;
use crate::model::text::bounded;
use crate::model::ticket::PersonDid;
use crate::trackers::Called;
use crate::trackers::rest::{Outcome, Told};
use crate::trackers::text::from_html;
use crate::trackers::words::{path_part, word};
use serde_json::Value;

impl Zammad {
    pub(super) async fn told_in_articles(&self, id: &str, me: &str) -> Outcome<Vec<Told>> {
        let mut told = Vec::new();
        for article in self.articles(id).await? {
            let Some(at) = Time::parse_rfc3339(&word(&article, "created_at")) else {
                continue;
            };
            let sender = word(&article, "sender");
            if word(&article, "created_by_id") == me || sender == "System" {
                continue;
            }
            let body = word(&article, "body");
            let text = if word(&article, "content_type").starts_with("text/html") {
                from_html(&body)
            } else {
                body
            };
            let text = bounded(text.trim(), limits::TRACKER_TEXT_BYTES_MAX);
            let what = if sender == "Customer" {
                PersonDid::CustomerWrote { text }
            } else if article["internal"] == Value::Bool(true) {
                PersonDid::Noted { text }
            } else {
                PersonDid::Answered {
                    text,
                    promise: None,
                }
            };
            let name = format!("a{}", word(&article, "id"));
            told.push(Told::of(&name, at, &word(&article, "created_by"), what));
        }
        Ok(told)
    }

    pub(super) async fn told_in_history(&self, id: &str, me: &str) -> Outcome<Vec<Told>> {
        let path = format!("/api/v1/ticket_history/{}", path_part(id));
        let answer = self.base.client.get(&path, &[]).await.done()?.json();
        let Some(items) = answer["history"].as_array() else {
            return Err(Called::later("the answer is no history"));
        };
        let mut told = Vec::new();
        for item in items {
            let Some(at) = Time::parse_rfc3339(&word(item, "created_at")) else {
                continue;
            };
            let by = word(item, "created_by_id");
            // User 1 is Zammad itself.
            if by == me || by == "1" {
                continue;
            }
            let new = word(item, "value_to");
            let merged = word(item, "type") == "merged_into";
            let what = match (
                word(item, "object").as_str(),
                word(item, "attribute").as_str(),
            ) {
                ("Ticket", _) if merged => Some(PersonDid::MergedInto(word(item, "id_to"))),
                // The state follows from the merge, which is told by itself.
                ("Ticket", "state") if new == "merged" => None,
                ("Ticket", "state") => Some(PersonDid::Status(self.status(&new))),
                ("Ticket", "owner") => {
                    let nobody = new == "-" || new.is_empty();
                    Some(PersonDid::Owner(if nobody { String::new() } else { new }))
                }
                ("Ticket", "priority") => self.config.priority.read(&new).map(PersonDid::Severity),
                // A date-and-time attribute names its zone: `2026-06-02 09:00:00 UTC`.
                ("Ticket", name) if self.config.promise_field.is(name) => {
                    Some(self.config.promise_field.set_to(&new))
                }
                _ => None,
            };
            let login = word(&answer["assets"]["User"][&by], "login");
            let name = format!("h{}", word(item, "id"));
            told.extend(what.map(|what| Told::of(&name, at, &login, what)));
        }
        Ok(told)
    }
}
