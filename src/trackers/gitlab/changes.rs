//! What people did in GitLab issues, read from notes and state events of issues that changed. Who
//! is no member of the project with at least the right to triage is a customer.

use super::{Gitlab, SEVERITY};
use crate::limits;
use crate::model::Time;
use crate::model::text::bounded;
use crate::model::ticket::{PersonDid, TicketStatus};
use crate::trackers::rest::{Outcome, Told};
use crate::trackers::words::word;
use serde_json::Value;
use std::collections::BTreeMap;

/// The level of a reporter, who may triage issues.
const REPORTER: u64 = 20;

impl Gitlab {
    async fn read_members(&self) -> Outcome<BTreeMap<String, u64>> {
        let path = format!("{}/members/all", self.project());
        let members = self
            .list(&path, &[], limits::TRACKER_POLL_PAGES_MAX)
            .await?;
        let level = |member: &Value| member["access_level"].as_u64().unwrap_or(0);
        Ok(members
            .iter()
            .map(|member| (word(member, "username"), level(member)))
            .collect())
    }

    /// What others than the bridge did to an issue.
    pub(super) async fn told(&self, iid: &str, me: &str) -> Outcome<Vec<Told>> {
        let mut members = self.members.lock().await;
        let members = match &*members {
            Some(known) => known,
            None => &*members.insert(self.read_members().await?),
        };
        let mut events = self.notes(iid).await?;
        for kind in ["resource_state_events", "resource_label_events"] {
            let path = format!("{}/{kind}", self.issue_path(iid));
            events.extend(
                self.list(&path, &[], limits::TRACKER_NOTES_PAGES_MAX)
                    .await?,
            );
        }
        let told = events
            .iter()
            .filter_map(|event| of_person(event, me, members));
        Ok(told.collect())
    }
}

/// A note or event of somebody else.
fn of_person(event: &Value, me: &str, members: &BTreeMap<String, u64>) -> Option<Told> {
    let author = if event["author"].is_object() {
        &event["author"]
    } else {
        &event["user"]
    };
    let by = word(author, "username");
    let at = Time::parse_rfc3339(&word(event, "created_at"))?;
    let kind = if !event["body"].is_null() {
        "note"
    } else if event["label"].is_object() {
        "label"
    } else {
        "state"
    };
    if by == me || by.is_empty() {
        return None;
    }
    let staff = members.get(&by).is_some_and(|level| *level >= REPORTER);
    let id = format!("{kind}-{}", word(event, "id"));
    Some(Told::of(&id, at, &by, meaning(kind, event, staff)?))
}

/// What a note or event says in our words.
fn meaning(kind: &str, event: &Value, staff: bool) -> Option<PersonDid> {
    match kind {
        "label" => {
            let label = word(&event["label"], "name");
            let severity = label.strip_prefix(SEVERITY)?.parse().ok()?;
            (word(event, "action") == "add").then_some(PersonDid::Severity(severity))
        }
        "state" => match word(event, "state").as_str() {
            "closed" => Some(PersonDid::Status(TicketStatus::Resolved)),
            "reopened" => Some(PersonDid::Status(TicketStatus::Open)),
            _ => None,
        },
        _ if event["system"] == Value::Bool(true) => {
            let body = word(event, "body");
            match body.split_once('@') {
                Some(("assigned to ", name)) => Some(PersonDid::Owner(name.to_owned())),
                Some(("unassigned ", _)) => Some(PersonDid::Owner(String::new())),
                _ => None,
            }
        }
        _ => {
            let text = bounded(word(event, "body").trim(), limits::TRACKER_TEXT_BYTES_MAX);
            Some(if !staff {
                PersonDid::CustomerWrote { text }
            } else if event["internal"] == Value::Bool(true) {
                PersonDid::Noted { text }
            } else {
                PersonDid::Answered {
                    text,
                    promise: None,
                }
            })
        }
    }
}
