//! HPE Aruba Networking Central, classic (`state` Open and Close) and new (`alertId`, `state`
//! Active and Cleared).

use super::draft::Draft;
use super::fields::{Fields, mentions};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, signals, words};
use crate::model::{ComponentKind, Event, EventState, Identity, SeverityHint};

/// Aruba Central.
pub struct Aruba;

impl Format for Aruba {
    fn name(&self) -> &'static str {
        "aruba"
    }

    fn about(&self) -> About {
        About {
            title: "HPE Aruba Networking Central (classic and new)",
            says: "problem, update, recovery",
            identity: "alert id; classic without one: setting, device and type",
            auth: "HMAC (X-Central-Signature, classic), header",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"alertId":"alertbridge-test","tenantId":"0","name":"Test","severity":"Info","state":"Active","summary":"test","impactedEntities":{"deviceSerial":["alertbridge-test"]}}"#,
            r#"{"alertId":"alertbridge-test","tenantId":"0","name":"Test","severity":"Info","state":"Cleared","summary":"test","impactedEntities":{"deviceSerial":["alertbridge-test"]}}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        let classic = mentions(request, &["\"alert_type\"", "\"setting_id\"", "\"nid\""]);
        let new = mentions(
            request,
            &["\"alertId\"", "\"tenantId\"", "\"impactedEntities\""],
        );
        let signed = request.header("x-central-signature").is_some();
        if classic || new || signed {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let new = fields.has("alertId");
        let key = if new {
            fields.text("alertId")
        } else {
            fields.text("id").or_else(|| classic_key(fields))
        };
        let (state, problem) = state_of(&fields.word("state"));
        let at = fields.first_time(&["time", "timestamp"]);
        let severity = fields.text("severity");
        let name = fields.first(&["name", "alert_type"]);
        let host = fields.first(&[
            "additionalDetails.0.hostname",
            "details.name",
            "impactedEntities.deviceSerial.0",
            "device_id",
        ]);
        let hint = severity
            .as_deref()
            .map_or(SeverityHint::Unknown, words::hint);
        let mut draft = Draft::new(
            state,
            key.and_then(Identity::key),
            "`alertId` (classic: `id`)",
        )?
        .site(fields.first(&["details.labels", "siteId"]))
        .host(host)
        .check(name)
        .severity(severity.clone(), hint)
        .summary(fields.first(&["summary", "description", "name", "alert_type"]))
        .details(fields.first(&["notes", "text"]))
        .label("tenant", fields.text("tenantName"))
        .label("serial", serial(fields))
        .label_fields(fields, &["category", "deviceType", "nid", "setting_id"])
        .sent_at(at)
        .problem(problem)
        .problem(words::unknown_severity(severity.as_deref()));
        draft = match state {
            EventState::Resolved => draft.ends_at(at),
            _ => draft,
        };
        Ok(Decoded {
            events: vec![finish(draft)],
            ..Decoded::default()
        })
    }
}

fn serial(fields: Fields) -> Option<String> {
    fields.first(&[
        "details.serial",
        "device_id",
        "impactedEntities.deviceSerial.0",
    ])
}

fn classic_key(fields: Fields) -> Option<String> {
    let (setting, kind) = (fields.text("setting_id")?, fields.word("alert_type"));
    Some(format!("{setting}/{}/{kind}", serial(fields)?))
}

fn state_of(word: &str) -> (EventState, Option<String>) {
    match word.to_ascii_lowercase().as_str() {
        "open" | "active" => (EventState::Firing, None),
        "close" | "closed" | "cleared" => (EventState::Resolved, None),
        other => {
            let problem = format!("the state `{other}` is not known: taken as open");
            (EventState::Firing, Some(problem))
        }
    }
}

/// A device that is gone is an outage; a failover or a lost part is not.
fn finish(draft: Draft) -> Event {
    let mut event = draft.finish();
    let name = event.check.clone().unwrap_or_default().to_lowercase();
    let spare = [
        "leader change",
        "vrrp",
        "uplink status",
        "vsx",
        "vsf",
        "stack",
    ]
    .iter()
    .any(|word| name.contains(word));
    let device = ["gateway", "switch", "vc", "ap", "controller"]
        .iter()
        .any(|word| name.split_whitespace().any(|part| part == *word));
    let gone = name.contains("disconnected") || name.contains("offline");
    if spare {
        event.component_kind = Some(ComponentKind::Member);
        event.severity_hint = SeverityHint::Redundancy;
    } else if device && gone {
        event.component_kind = Some(ComponentKind::Device);
        event.severity_hint = SeverityHint::Outage;
    } else {
        signals::apply(&mut event);
    }
    event
}
