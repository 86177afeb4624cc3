//! Webhooks of trackers: how each proves who it is, and which ticket it speaks of. Pure.
//!
//! A hook comes late, twice, out of order or not at all. So it is a hint and no more: the tracker is
//! read now instead of at the next poll, and what is read there is the truth. Only PagerDuty's hooks
//! carry the change itself, for its events API cannot be read; those are ordered by their time.

use crate::model::Time;
use crate::model::ticket::{PersonDid, TicketStatus};
use serde_json::Value;

/// How a kind of tracker proves that a hook is its own, with the secret of `hook_secret`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// `Authorization: Bearer SECRET`, for hooks whose requests are written by hand.
    Bearer,
    /// The secret in a header.
    Header(&'static str),
    /// HMAC-SHA-256 of the body in a header, hexadecimal, after a prefix.
    Sha256(&'static str, &'static str),
    /// HMAC-SHA-1 of the body in a header, hexadecimal, after a prefix.
    Sha1(&'static str, &'static str),
    /// HMAC-SHA-1 of the body in a header, base64.
    Sha1Base64(&'static str),
    /// HMAC-SHA-256 of the time in another header and the body, base64.
    Sha256OfTime(&'static str, &'static str),
    /// HMAC-SHA-256 of the body and what another header holds, hexadecimal.
    Sha256With(&'static str, &'static str),
}

/// The hooks of one kind of tracker.
#[derive(Clone, Copy, Debug)]
pub struct HookKind {
    /// The kind's name.
    pub kind: &'static str,
    /// How it proves itself.
    pub proof: Proof,
    /// The header with the delivery's id, the same when it is delivered again; empty: none.
    pub delivery: &'static str,
    /// Where the ticket's key stands in the body; the first that is there.
    tickets: &'static [&'static str],
}

/// Kinds of trackers that send hooks.
#[rustfmt::skip]
pub static ALL: &[HookKind] = &[
    kind("rt", Proof::Bearer, "", &["/ticket"]),
    kind("redmine", Proof::Sha256("x-redmine-signature-256", "sha256="), "",
        &["/data/issue/id", "/payload/issue/id"]),
    kind("jira", Proof::Sha256("x-hub-signature", "sha256="), "x-atlassian-webhook-identifier",
        &["/issue/key"]),
    kind("zammad", Proof::Sha1("x-hub-signature", "sha1="), "x-zammad-delivery", &["/ticket/id"]),
    kind("servicenow", Proof::Bearer, "", &["/number"]),
    kind("glpi", Proof::Sha256With("x-glpi-signature", "x-glpi-timestamp"), "",
        &["/parent_item/id", "/item/id", "/ticket"]),
    kind("znuny", Proof::Bearer, "", &["/ticket", "/Ticket/TicketID", "/TicketID"]),
    kind("zendesk", Proof::Sha256OfTime("x-zendesk-webhook-signature",
        "x-zendesk-webhook-signature-timestamp"), "x-zendesk-webhook-invocation-id", &["/detail/id"]),
    kind("freshdesk", Proof::Bearer, "", &["/ticket", "/freshdesk_webhook/ticket_id"]),
    kind("freshservice", Proof::Bearer, "", &["/ticket", "/freshservice_webhook/ticket_id"]),
    kind("itop", Proof::Bearer, "", &["/ticket"]),
    kind("freescout", Proof::Sha1Base64("x-freescout-signature"), "", &["/id"]),
    kind("github", Proof::Sha256("x-hub-signature-256", "sha256="), "x-github-delivery", &[]),
    kind("gitlab", Proof::Header("x-gitlab-token"), "x-gitlab-event-uuid",
        &["/issue/iid", "/object_attributes/iid"]),
    kind("pagerduty", Proof::Sha256("x-pagerduty-signature", "v1="), "x-webhook-id",
        &["/event/data/incident_key"]),
    kind("http", Proof::Bearer, "", &["/ticket"]),
];

const fn kind(
    kind: &'static str,
    proof: Proof,
    delivery: &'static str,
    tickets: &'static [&'static str],
) -> HookKind {
    HookKind {
        kind,
        proof,
        delivery,
        tickets,
    }
}

/// The hooks of a kind of tracker; none if it sends none.
pub fn of(kind: &str) -> Option<&'static HookKind> {
    ALL.iter().find(|hook| hook.kind == kind)
}

/// What a hook says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hook {
    /// The ticket it speaks of; `None`: it does not say, or in a way that is not known.
    pub ticket: Option<String>,
    /// The change itself, from trackers that cannot be read.
    pub change: Option<Carried>,
}

/// A change that a hook carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried {
    /// Its id at the tracker.
    pub id: String,
    /// When it happened.
    pub at: Time,
    /// Who did it.
    pub author: String,
    /// What.
    pub what: PersonDid,
}

impl HookKind {
    /// Reads a hook's body. What is not understood says nothing; the hook is a hint all the same.
    pub fn read(&self, body: &[u8]) -> Hook {
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            return Hook::default();
        };
        let word = |place: &str| match body.pointer(place) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        };
        let ticket = match self.kind {
            "github" => word("/repository/full_name")
                .zip(word("/issue/number"))
                .map(|(repository, number)| format!("{repository}#{number}")),
            _ => self.tickets.iter().find_map(|place| word(place)),
        };
        let change = (self.kind == "pagerduty").then(|| carried(&word)).flatten();
        Hook { ticket, change }
    }
}

/// PagerDuty's version 3: `incident.acknowledged` and its like, by a person.
fn carried(word: &dyn Fn(&str) -> Option<String>) -> Option<Carried> {
    if word("/event/agent/type")? != "user_reference" {
        return None;
    }
    let what = match word("/event/event_type")?.as_str() {
        "incident.acknowledged" | "incident.reopened" => PersonDid::Status(TicketStatus::Open),
        "incident.resolved" => PersonDid::Status(TicketStatus::Resolved),
        "incident.annotated" => PersonDid::Noted {
            text: word("/event/data/content")?,
        },
        _ => return None,
    };
    Some(Carried {
        id: word("/event/id")?,
        at: Time::parse_rfc3339(&word("/event/occurred_at")?)?,
        author: word("/event/agent/summary").unwrap_or_else(|| "PagerDuty".to_owned()),
        what,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_kind_of_hook_is_a_kind_of_tracker() {
        for hook in ALL {
            assert!(
                super::super::registry::find(hook.kind).is_ok(),
                "{}",
                hook.kind
            );
        }
    }

    #[test]
    fn the_ticket_is_found_in_the_shape_of_each() {
        for (kind, body, ticket) in [
            ("rt", json!({"ticket": 7, "type": "Status"}), "7"),
            (
                "redmine",
                json!({"type": "issue.updated", "data": {"issue": {"id": 12}}}),
                "12",
            ),
            (
                "redmine",
                json!({"payload": {"action": "updated", "issue": {"id": 13}}}),
                "13",
            ),
            (
                "jira",
                json!({"webhookEvent": "jira:issue_updated", "issue": {"key": "OPS-1"}}),
                "OPS-1",
            ),
            ("zammad", json!({"ticket": {"id": 44}, "article": {}}), "44"),
            ("servicenow", json!({"number": "INC001"}), "INC001"),
            (
                "github",
                json!({"action": "closed", "issue": {"number": 3}, "repository": {"full_name": "o/r"}}),
                "o/r#3",
            ),
            (
                "gitlab",
                json!({"object_kind": "note", "issue": {"iid": 5}, "object_attributes": {"id": 1}}),
                "5",
            ),
            ("glpi", json!({"event": "update", "item": {"id": 8}}), "8"),
            (
                "glpi",
                json!({"event": "new", "item": {"id": 90}, "parent_item": {"id": 8}}),
                "8",
            ),
            ("znuny", json!({"Ticket": {"TicketID": "31"}}), "31"),
            (
                "zendesk",
                json!({"type": "zen:event-type:ticket.status_changed", "detail": {"id": "35"}}),
                "35",
            ),
            (
                "freshdesk",
                json!({"freshdesk_webhook": {"ticket_id": 4}}),
                "4",
            ),
            ("freshservice", json!({"ticket": "5"}), "5"),
            ("itop", json!({"ticket": 6}), "6"),
            ("freescout", json!({"id": 7, "number": 107}), "7"),
            (
                "gitlab",
                json!({"object_kind": "issue", "object_attributes": {"iid": 6}}),
                "6",
            ),
        ] {
            let read = of(kind).unwrap().read(body.to_string().as_bytes());
            assert_eq!(read.ticket.as_deref(), Some(ticket), "{kind}");
            assert_eq!(read.change, None);
        }
        assert_eq!(of("jira").unwrap().read(b"<xml>"), Hook::default());
        assert!(of("mail").is_none());
    }

    #[test]
    fn pagerduty_carries_what_a_person_did_and_nothing_of_machines() {
        let event = |kind: &str, agent: &str| {
            let body = json!({"event": {
                "id": "E1", "event_type": kind, "occurred_at": "2026-06-01T10:00:00Z",
                "agent": {"type": agent, "summary": "Ana"},
                "data": {"incident_key": "ab-1", "content": "looking"},
            }});
            of("pagerduty").unwrap().read(body.to_string().as_bytes())
        };
        let read = event("incident.acknowledged", "user_reference");
        assert_eq!(read.ticket.as_deref(), Some("ab-1"));
        let change = read.change.unwrap();
        assert_eq!(change.what, PersonDid::Status(TicketStatus::Open));
        assert_eq!((change.id.as_str(), change.author.as_str()), ("E1", "Ana"));
        assert_eq!(event("incident.resolved", "service_reference").change, None);
        assert_eq!(event("incident.escalated", "user_reference").change, None);
    }
}
