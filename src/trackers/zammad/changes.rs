//! What people did in Zammad, read from articles and histories of tickets that changed.

use super::Zammad;
use crate::limits;
use crate::model::Time;
use crate::model::text::bounded;
use crate::model::ticket::{PersonChange, PersonDid};
use crate::trackers::follow::Cursor;
use crate::trackers::text::from_html;
use crate::trackers::words::{path_part, word};
use crate::trackers::{Called, Known};
use serde_json::Value;

type Followed = (Vec<PersonChange>, String);
type Outcome<T> = Result<T, Called<Followed>>;

impl Zammad {
    /// What people did since the cursor.
    pub(super) async fn follow(&self, cursor: &str, known: Known<'_>) -> Outcome<Followed> {
        let me = self.me().await?;
        let answer = self.client.get("/api/v1/users/me", &[]).await.done()?;
        let Some(now) = answer.date() else {
            return Err(Called::later("the answer has no date"));
        };
        let Some(mut cursor) = Cursor::read(cursor) else {
            return Ok((Vec::new(), Cursor::start(now).written()));
        };
        let mut told = Vec::new();
        // "After" leaves the instant itself out.
        let since = Time(cursor.since().0 - 1000).to_string();
        for page in 1..=limits::TRACKER_POLL_PAGES_MAX {
            let items = self
                .by_condition("updated_at", "after (absolute)", &since, page)
                .await?;
            for id in items.iter().map(|item| word(item, "id")) {
                if known(&id) {
                    self.read_articles(&id, &me, &mut cursor, &mut told).await?;
                    self.read_history(&id, &me, &mut cursor, &mut told).await?;
                }
            }
            if items.len() < 100 {
                break;
            }
        }
        told.sort_by_key(|change| change.at);
        cursor.advance(now);
        Ok((told, cursor.written()))
    }

    fn change(&self, ticket: &str, id: &str, at: Time, by: &str, what: PersonDid) -> PersonChange {
        PersonChange {
            tracker: self.name.clone(),
            remote: ticket.to_owned(),
            change_id: id.to_owned(),
            at,
            author: by.to_owned(),
            what,
        }
    }

    async fn read_articles(
        &self,
        ticket: &str,
        me: &str,
        cursor: &mut Cursor,
        told: &mut Vec<PersonChange>,
    ) -> Outcome<()> {
        for article in self.articles(ticket).await? {
            let id = format!("a{}", word(&article, "id"));
            let Some(at) = Time::parse_rfc3339(&word(&article, "created_at")) else {
                continue;
            };
            let sender = word(&article, "sender");
            let ours = word(&article, "created_by_id") == me || sender == "System";
            if ours || !cursor.take(&id, at) {
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
            let by = word(&article, "created_by");
            told.push(self.change(ticket, &id, at, &by, what));
        }
        Ok(())
    }

    async fn read_history(
        &self,
        ticket: &str,
        me: &str,
        cursor: &mut Cursor,
        told: &mut Vec<PersonChange>,
    ) -> Outcome<()> {
        let path = format!("/api/v1/ticket_history/{}", path_part(ticket));
        let answer = self.client.get(&path, &[]).await.done()?.json();
        let Some(items) = answer["history"].as_array() else {
            return Err(Called::later("the answer is no history"));
        };
        for item in items {
            let id = format!("h{}", word(item, "id"));
            let Some(at) = Time::parse_rfc3339(&word(item, "created_at")) else {
                continue;
            };
            let by = word(item, "created_by_id");
            // User 1 is Zammad itself.
            if by == me || by == "1" || !cursor.take(&id, at) {
                continue;
            }
            let new = word(item, "value_to");
            let what = match (
                word(item, "object").as_str(),
                word(item, "attribute").as_str(),
            ) {
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
            told.extend(what.map(|what| self.change(ticket, &id, at, &login, what)));
        }
        Ok(())
    }
}
