//! What people did in GitLab issues, read from notes and state events of issues that changed. Who
//! is no member of the project with at least the right to triage is a customer.

use super::{Gitlab, SEVERITY};
use crate::limits;
use crate::model::Time;
use crate::model::text::bounded;
use crate::model::ticket::{PersonChange, PersonDid, TicketStatus};
use crate::trackers::follow::Cursor;
use crate::trackers::words::word;
use crate::trackers::{Called, Known};
use serde_json::Value;
use std::collections::BTreeMap;

/// The level of a reporter, who may triage issues.
const REPORTER: u64 = 20;

type Followed = (Vec<PersonChange>, String);
type Outcome<T> = Result<T, Called<Followed>>;

impl Gitlab {
    /// What people did since the cursor.
    pub(super) async fn follow(&self, cursor: &str, known: Known<'_>) -> Outcome<Followed> {
        let me = self.me().await?;
        let answer = self.client.get("/api/v4/user", &[]).await.done()?;
        let Some(now) = answer.date() else {
            return Err(Called::later("the answer has no date"));
        };
        let Some(mut cursor) = Cursor::read(cursor) else {
            return Ok((Vec::new(), Cursor::start(now).written()));
        };
        let since = cursor.since().to_string();
        let path = format!("{}/issues", self.project());
        let query = [
            ("updated_after", since.as_str()),
            ("scope", "all"),
            ("order_by", "updated_at"),
            ("sort", "asc"),
        ];
        let mut told = Vec::new();
        let mut staff = None;
        for issue in self
            .list(&path, &query, limits::TRACKER_POLL_PAGES_MAX)
            .await?
        {
            let iid = word(&issue, "iid");
            if !known(&iid) {
                continue;
            }
            let members = match staff.take() {
                Some(members) => members,
                None => self.members().await?,
            };
            let mut events = self.notes(&iid).await?;
            for kind in ["resource_state_events", "resource_label_events"] {
                let path = format!("{}/{kind}", self.issue_path(&iid));
                events.extend(
                    self.list(&path, &[], limits::TRACKER_NOTES_PAGES_MAX)
                        .await?,
                );
            }
            for event in &events {
                told.extend(self.read(&iid, event, &me, &members, &mut cursor));
            }
            staff = Some(members);
        }
        told.sort_by_key(|change| change.at);
        cursor.advance(now);
        Ok((told, cursor.written()))
    }

    /// Levels of the project's members by name.
    async fn members(&self) -> Outcome<BTreeMap<String, u64>> {
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

    /// A note or event of somebody else that was not told yet.
    fn read(
        &self,
        iid: &str,
        event: &Value,
        me: &str,
        members: &BTreeMap<String, u64>,
        cursor: &mut Cursor,
    ) -> Option<PersonChange> {
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
        let id = format!("{kind}-{}", word(event, "id"));
        if by == me || by.is_empty() || !cursor.take(&id, at) {
            return None;
        }
        let staff = members.get(&by).is_some_and(|level| *level >= REPORTER);
        Some(PersonChange {
            tracker: self.name.clone(),
            remote: iid.to_owned(),
            change_id: id,
            at,
            author: by,
            what: meaning(kind, event, staff)?,
        })
    }
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
