//! Arista CloudVision events: the simple output is a list of events with a key; the other one is
//! shaped like Alertmanager's, with labels for the type of event and the device.

use super::draft::{Draft, labels_key};
use super::fields::{Fields, mentions};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, signals, words};
use crate::model::{ComponentKind, Event, EventState, Identity, SeverityHint};

/// CloudVision.
pub struct Cloudvision;

impl Format for Cloudvision {
    fn name(&self) -> &'static str {
        "cloudvision"
    }

    fn about(&self) -> About {
        About {
            title: "Arista CloudVision",
            says: "problem, acknowledged, recovery",
            identity: "event key; Alertmanager shape: labels without severity",
            auth: "basic, bearer, header",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"[{"key":"alertbridge-test","severity":"INFO","title":"test","eventType":"TEST","isActive":true,"components":[{"type":"device","id":"alertbridge-test"}]}]"#,
            r#"[{"key":"alertbridge-test","severity":"INFO","title":"test","eventType":"TEST","isActive":false,"components":[{"type":"device","id":"alertbridge-test"}]}]"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        let labels = mentions(request, &["\"eventType\"", "\"deviceId\"", "\"labels\""]);
        let simple = mentions(request, &["\"isActive\"", "\"components\"", "\"key\""]);
        if labels || simple {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        if fields.has("alerts") {
            let alerts = fields.list("alerts");
            return Decoded::from_members(alerts.into_iter().map(labelled));
        }
        Decoded::from_members(fields.elements().into_iter().map(simple))
    }
}

fn simple(event: Fields) -> Result<Event, Undecodable> {
    let state = match (event.flag("isActive"), event.flag("ack")) {
        (Some(false), _) => EventState::Resolved,
        (_, Some(true)) => EventState::Acknowledged,
        _ => EventState::Firing,
    };
    let at = event.first_time(&["last_updated_time", "timestamp"]);
    let key = event.text("key").and_then(Identity::key);
    let kind = event.first(&["eventType", "event_type"]);
    let severity = event.text("severity");
    let mut draft = Draft::new(state, key, "`key`")?
        .host(event.first(&["components.0.hostname", "components.0.id"]))
        .component(event.first(&["components.0.interface", "components.1.id"]))
        .check(kind.clone())
        .severity(severity.clone(), hint(severity.as_deref()))
        .summary(event.first(&["title", "description"]))
        .details(event.text("description"))
        .label("device", event.text("components.0.id"))
        .sent_at(at)
        .problem(words::unknown_severity(severity.as_deref()));
    draft = match state {
        EventState::Resolved => draft.ends_at(event.time("delete_time").or(at)),
        _ => draft.starts_at(event.time("timestamp")),
    };
    Ok(finish(draft, kind.as_deref()))
}

fn labelled(alert: Fields) -> Result<Event, Undecodable> {
    let labels = alert.labels("labels");
    let (state, problem) = match alert.word("status").as_str() {
        "firing" => (EventState::Firing, None),
        "resolved" => (EventState::Resolved, None),
        other => {
            let problem = format!("the status `{other}` is not known: taken as firing");
            (EventState::Firing, Some(problem))
        }
    };
    let kind = labels.get("eventType").cloned();
    let severity = labels.get("severity").cloned();
    let ended = alert
        .time("endsAt")
        .filter(|_| state == EventState::Resolved);
    // The severity may change while the event lasts.
    let identity = labels_key(&labels, &["severity"]);
    let draft = Draft::new(state, identity, "`labels`")?
        .dedup_key(alert.text("fingerprint"))
        .host(labels.get("hostname").or(labels.get("deviceId")).cloned())
        .component(
            labels
                .get("interfaceId")
                .or(labels.get("interface"))
                .cloned(),
        )
        .check(kind.clone())
        .severity(severity.clone(), hint(severity.as_deref()))
        .summary(alert.first(&["annotations.title", "labels.alertname"]))
        .details(alert.text("annotations.description"))
        .labels(labels)
        .link(alert.text("generatorURL"))
        .starts_at(alert.time("startsAt"))
        .ends_at(ended)
        .problem(problem)
        .problem(words::unknown_severity(severity.as_deref()));
    Ok(finish(draft, kind.as_deref()))
}

fn hint(severity: Option<&str>) -> SeverityHint {
    severity.map_or(SeverityHint::Unknown, words::hint)
}

fn finish(draft: Draft, kind: Option<&str>) -> Event {
    let mut event = draft.finish();
    if kind.is_some_and(|kind| kind.starts_with("DEVICE_")) {
        event.component_kind = Some(ComponentKind::Device);
    } else {
        signals::apply(&mut event);
    }
    event
}
