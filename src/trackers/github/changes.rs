//! What people did in GitHub issues, read from the timelines of issues that changed. What other
//! programs do is nobody's.

use super::{Github, SEVERITY};
use crate::limits;
use crate::model::Time;
use crate::model::text::bounded;
use crate::model::ticket::{PersonChange, PersonDid, TicketStatus};
use crate::trackers::follow::Cursor;
use crate::trackers::words::word;
use crate::trackers::{Called, Known};
use serde_json::Value;

type Followed = (Vec<PersonChange>, String);
type Outcome<T> = Result<T, Called<Followed>>;

impl Github {
    /// What people did since the cursor.
    pub(super) async fn follow(&self, cursor: &str, known: Known<'_>) -> Outcome<Followed> {
        let me = self.me().await?;
        let answer = self.client.get("/user", &[]).await.done()?;
        let Some(now) = answer.date() else {
            return Err(Called::later("the answer has no date"));
        };
        let Some(mut cursor) = Cursor::read(cursor) else {
            return Ok((Vec::new(), Cursor::start(now).written()));
        };
        let since = cursor.since().to_string();
        let path = format!("{}/issues", self.repository(""));
        let query = [
            ("since", since.as_str()),
            ("state", "all"),
            ("sort", "updated"),
            ("direction", "asc"),
        ];
        let mut told = Vec::new();
        for issue in self
            .list(&path, &query, limits::TRACKER_POLL_PAGES_MAX)
            .await?
        {
            let key = Github::remote(&self.config.repository, &issue).key;
            if known(&key) {
                self.read_timeline(&key, &me, &mut cursor, &mut told)
                    .await?;
            }
        }
        told.sort_by_key(|change: &PersonChange| change.at);
        cursor.advance(now);
        Ok((told, cursor.written()))
    }

    async fn read_timeline(
        &self,
        key: &str,
        me: &str,
        cursor: &mut Cursor,
        told: &mut Vec<PersonChange>,
    ) -> Outcome<()> {
        let path = format!("{}/timeline", self.issue_path(key));
        let events = self
            .list(&path, &[], limits::TRACKER_NOTES_PAGES_MAX)
            .await?;
        for event in &events {
            let actor = if event["actor"].is_object() {
                &event["actor"]
            } else {
                &event["user"]
            };
            let by = word(actor, "login");
            let Some(at) = Time::parse_rfc3339(&word(event, "created_at")) else {
                continue;
            };
            let id = format!("{}-{}", word(event, "event"), word(event, "id"));
            let nobody = by == me || by.is_empty() || word(actor, "type") == "Bot";
            if nobody || !cursor.take(&id, at) {
                continue;
            }
            if let Some(what) = meaning(event) {
                told.push(PersonChange {
                    tracker: self.name.clone(),
                    remote: key.to_owned(),
                    change_id: id,
                    at,
                    author: by,
                    what,
                });
            }
        }
        Ok(())
    }
}

/// What an event of a timeline says in our words.
fn meaning(event: &Value) -> Option<PersonDid> {
    match word(event, "event").as_str() {
        "commented" => {
            let text = word(event, "body");
            let text = bounded(text.trim(), limits::TRACKER_TEXT_BYTES_MAX);
            let staff = ["OWNER", "MEMBER", "COLLABORATOR"];
            Some(
                if staff.contains(&word(event, "author_association").as_str()) {
                    PersonDid::Answered {
                        text,
                        promise: None,
                    }
                } else {
                    PersonDid::CustomerWrote { text }
                },
            )
        }
        "closed" => Some(PersonDid::Status(TicketStatus::Resolved)),
        "reopened" => Some(PersonDid::Status(TicketStatus::Open)),
        "assigned" => Some(PersonDid::Owner(word(&event["assignee"], "login"))),
        "unassigned" => Some(PersonDid::Owner(String::new())),
        "labeled" => {
            let label = word(&event["label"], "name");
            let severity = label.strip_prefix(SEVERITY)?.parse().ok()?;
            Some(PersonDid::Severity(severity))
        }
        "transferred" => Some(PersonDid::Status(TicketStatus::Gone)),
        _ => None,
    }
}
