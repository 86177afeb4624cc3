//! A decoded message as the JSON object that `alertbridge try --json` prints, and that golden
//! files hold. The keys are a promise to people who build on them.

use super::{Decoded, Undecodable};
use crate::model::Event;
use serde_json::{Value, json};

/// The door a message came in by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageKind {
    /// HTTP.
    Webhook,
    /// SMTP, LMTP, a pipe or a mailbox.
    Mail,
}

impl MessageKind {
    const fn word(self) -> &'static str {
        match self {
            MessageKind::Webhook => "webhook",
            MessageKind::Mail => "mail",
        }
    }
}

/// The object for one message. What could not be decoded has no events and the reason in
/// `problems`; `sender` is null if no sender was recognised.
pub fn message(
    file: &str,
    sender: Option<&str>,
    kind: MessageKind,
    outcome: &Result<Decoded, Undecodable>,
) -> Value {
    let nothing = Decoded::default();
    let (decoded, failure) = match outcome {
        Ok(decoded) => (decoded, None),
        Err(error) => (&nothing, Some(error.reason.clone())),
    };
    let mut problems: Vec<String> = failure.into_iter().collect();
    problems.extend(decoded.problems.iter().cloned());
    for (number, event) in decoded.events.iter().enumerate() {
        let number = number + 1;
        problems.extend(
            event
                .problems
                .iter()
                .map(|p| format!("event {number}: {p}")),
        );
    }
    json!({
        "file": file,
        "sender": sender,
        "kind": kind.word(),
        "events": decoded.events.iter().map(event).collect::<Vec<_>>(),
        "maintenance": decoded.maintenance,
        "replies": decoded.replies,
        "ignored": decoded.ignored,
        "problems": problems,
    })
}

/// One event: the native fields, then what we made of it.
pub fn event(event: &Event) -> Value {
    json!({
        "dedup_key": event.dedup_key,
        "state": event.state.word(),
        "severity": event.severity,
        "summary": event.summary,
        "details": event.details,
        "site": event.site,
        "host": event.host,
        "component": event.component,
        "check": event.check,
        "service": event.service,
        "labels": event.labels,
        "links": event.links,
        "starts_at": event.starts_at,
        "ends_at": event.ends_at,
        "test": event.test,
        "identity": event.identity.to_string(),
        "component_kind": event.component_kind.map(|kind| kind.word()),
        "severity_hint": event.severity_hint.word(),
        "suppressed": event.suppressed.map(|why| why.word()),
    })
}
