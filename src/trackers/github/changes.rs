//! What people did in GitHub issues, read from the timelines of issues that changed. What other
//! programs do is nobody's.

use super::{Github, SEVERITY};
use crate::limits;
use crate::model::Time;
use crate::model::text::bounded;
use crate::model::ticket::{PersonDid, TicketStatus};
use crate::trackers::rest::{Outcome, Told};
use crate::trackers::words::word;
use serde_json::Value;

impl Github {
    /// What others than the bridge did to an issue.
    pub(super) async fn told(&self, key: &str, me: &str) -> Outcome<Vec<Told>> {
        let path = format!("{}/timeline", self.issue_path(key));
        let events = self
            .list(&path, &[], limits::TRACKER_NOTES_PAGES_MAX)
            .await?;
        let told = events.iter().filter_map(|event| {
            let actor = if event["actor"].is_object() {
                &event["actor"]
            } else {
                &event["user"]
            };
            let by = word(actor, "login");
            let at = Time::parse_rfc3339(&word(event, "created_at"))?;
            let nobody = by == me || by.is_empty() || word(actor, "type") == "Bot";
            let what = meaning(event).filter(|_| !nobody)?;
            let id = format!("{}-{}", word(event, "event"), word(event, "id"));
            Some(Told::of(&id, at, &by, what))
        });
        let mut told: Vec<Told> = told.collect();
        let transfers = events
            .iter()
            .filter(|event| word(event, "event") == "transferred");
        let transferred = transfers
            .filter_map(|event| Time::parse_rfc3339(&word(event, "created_at")))
            .max();
        self.tell_late(key, transferred, &mut told);
        Ok(told)
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
        // Read where the issue is now: its new name is told when it is read.
        _ => None,
    }
}
