//! Icinga Notifications: its webhook channel with the default body, and bodies of its
//! `/process-event` that others send. The tags name the object; an incident's id changes with each
//! incident and is the identity only where there are no tags.

use super::draft::{Draft, labels_key};
use super::fields::{Fields, mentions};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, notification, words};
use crate::model::{EventState, Identity, SeverityHint, Suppressed};

/// Icinga Notifications.
pub struct IcingaNotifications;

impl Format for IcingaNotifications {
    fn name(&self) -> &'static str {
        "icinga-notifications"
    }

    fn about(&self) -> About {
        About {
            title: "Icinga Notifications (webhook channel, process-event)",
            says: "problem, update, acknowledged, flapping, downtime, recovery",
            identity: "the object's tags; without tags, incident id",
            auth: "header, basic, certificate",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"contact":{"full_name":"test"},"object":{"name":"alertbridge-test!test","tags":{"host":"alertbridge-test","service":"test"}},"incident":{"id":1,"severity":"warning"},"event":{"message":"test"}}"#,
            r#"{"contact":{"full_name":"test"},"object":{"name":"alertbridge-test!test","tags":{"host":"alertbridge-test","service":"test"}},"incident":{"id":1,"severity":"ok"},"event":{"message":"test"}}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        let channel = mentions(
            request,
            &["\"incident\"", "\"object\"", "\"contact\"", "\"tags\""],
        );
        let event = mentions(
            request,
            &["\"incident\"", "\"tags\"", "\"severity\"", "\"message\""],
        );
        if channel {
            Detection::Certain
        } else if event {
            Detection::Possible
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let channel = fields.has("object") || fields.has("event");
        let object = if channel { fields.at("object") } else { fields };
        let severity = if channel {
            fields.text("incident.severity")
        } else {
            fields.text("severity")
        };
        let tags = object.labels("tags");
        let identity = if tags.is_empty() {
            fields.text("incident.id").and_then(Identity::key)
        } else {
            labels_key(&tags, &[])
        };
        let message = fields.first(&["event.message", "message"]);
        let (state, suppressed) = state_of(fields, severity.as_deref(), message.as_deref());
        let service = tags.contains_key("service") || !tags.contains_key("host");
        let at = fields.time("event.time");
        let name = object.text("name");
        let summary = [name, message.clone()];
        let summary: Vec<String> = summary.into_iter().flatten().collect();
        let mut draft = Draft::new(state, identity, "`object.tags`")?
            .host(tags.get("host").cloned())
            .check(tags.get("service").cloned())
            .severity(severity.clone(), hint(severity.as_deref()))
            .summary(summary.join(": "))
            .details(message)
            .labels(tags)
            .label("notification", ending(&fields.word("event.type")))
            .link(object.text("url"))
            .link(fields.text("incident.url"))
            .sent_at(at)
            .suppressed(suppressed)
            .problem(words::unknown_severity(severity.as_deref()));
        if state == EventState::Resolved {
            draft = draft.ends_at(at);
        }
        Ok(Decoded {
            events: vec![notification::finish(draft, service)],
            ..Decoded::default()
        })
    }
}

fn state_of(
    fields: Fields,
    severity: Option<&str>,
    message: Option<&str>,
) -> (EventState, Option<Suppressed>) {
    let kind = fields.word("event.type");
    let text = message.unwrap_or("").to_lowercase();
    let notice = |word: &str| kind.starts_with(word) || (kind.is_empty() && text.contains(word));
    let no_incident = fields.has("object") && !fields.has("incident");
    if kind == "acknowledgement-set" {
        return (EventState::Acknowledged, None);
    }
    let of_state = matches!(
        kind.as_str(),
        "" | "state" | "incident-age" | "acknowledgement-cleared"
    );
    if no_incident || !of_state {
        let why = if notice("downtime") {
            Some(Suppressed::Downtime)
        } else if notice("flapping") {
            Some(Suppressed::Flapping)
        } else {
            None
        };
        return (EventState::Info, why);
    }
    if fields.flag("muted") == Some(true) {
        return (EventState::Info, None);
    }
    match severity {
        Some("ok") => (EventState::Resolved, None),
        _ if fields.flag("close") == Some(true) => (EventState::Resolved, None),
        Some("debug" | "info" | "notice") => (EventState::Info, None),
        _ => (EventState::Firing, None),
    }
}

/// The word by which notices of the family say that something is over.
fn ending(kind: &str) -> Option<String> {
    match kind {
        "flapping-end" => Some("FLAPPINGEND".to_owned()),
        "downtime-end" | "downtime-removed" => Some("DOWNTIMEEND".to_owned()),
        _ => None,
    }
}

fn hint(severity: Option<&str>) -> SeverityHint {
    match severity {
        Some("crit" | "alert" | "emerg") => SeverityHint::Outage,
        Some("warning" | "err") => SeverityHint::Degradation,
        Some("debug" | "info" | "notice") => SeverityHint::Info,
        _ => SeverityHint::Unknown,
    }
}
