//! Ubiquiti UniFi Alarm Manager: Network alarms with parameters, alarms of other applications with
//! no more than a text, and Protect's. Up and down have different event ids: the device and what
//! remains of the alarm's name without its state make the identity.

use super::draft::Draft;
use super::fields::{Fields, mentions, mentions_any};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, signals};
use crate::model::{ComponentKind, Event, EventState, Identity, SeverityHint};

/// UniFi.
pub struct Unifi;

/// Clients that come and go, admins that log in, changes of settings.
const NOISE: [&str; 4] = ["400", "401", "544", "546"];
/// Words of an alarm's name that say that something is gone.
const GONE: [&str; 4] = ["offline", "disconnected", "lost", "down"];
/// Words that say that it is back.
const BACK: [&str; 5] = ["online", "reconnected", "connected", "restored", "up"];

impl Format for Unifi {
    fn name(&self) -> &'static str {
        "unifi"
    }

    fn about(&self) -> About {
        About {
            title: "Ubiquiti UniFi (Alarm Manager)",
            says: "problem, recovery (Network), problem (other applications)",
            identity: "device and name without its state; a text alone: alarm rule",
            auth: "header, token in URL",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"alarm_id":"0","app":"network","name":"Switch Offline","message":"test","severity":4,"parameters":{"UNIFIcategory":"test","UNIFIhost":"alertbridge-test","UNIFIdeviceName":"alertbridge-test","UNIFIdeviceMac":"00:00:00:00:00:00"}}"#,
            r#"{"alarm_id":"0","app":"network","name":"Switch Online","message":"test","severity":2,"parameters":{"UNIFIcategory":"test","UNIFIhost":"alertbridge-test","UNIFIdeviceName":"alertbridge-test","UNIFIdeviceMac":"00:00:00:00:00:00"}}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        let network = mentions_any(request, &["\"UNIFIhost\"", "\"UNIFIcategory\""]);
        let bare = mentions(request, &["\"alarm_id\"", "\"text\"", "was triggered"]);
        let protect = mentions(request, &["\"alarm\"", "\"triggers\"", "\"eventId\""]);
        if network || bare || protect {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let code = fields.first(&["device_event_class_id", "deviceEventClassId"]);
        if code.as_deref().is_some_and(|code| NOISE.contains(&code)) {
            return Ok(Decoded::ignored(
                "clients, logins and changes of settings are no alerts",
            ));
        }
        let event = if fields.has("parameters") || code.is_some() {
            network(fields, code)
        } else if fields.has("alarm") {
            protect(fields)
        } else {
            bare(fields)
        };
        event.map(|event| Decoded {
            events: vec![event],
            ..Decoded::default()
        })
    }
}

fn network(fields: Fields, code: Option<String>) -> Result<Event, Undecodable> {
    let name = fields.word("name");
    let parameter = |name: &str| fields.at("parameters").text(name);
    let lower: Vec<String> = name.split_whitespace().map(str::to_lowercase).collect();
    let state = if lower.iter().any(|word| GONE.contains(&word.as_str())) {
        EventState::Firing
    } else if lower.iter().any(|word| BACK.contains(&word.as_str())) {
        EventState::Resolved
    } else if fields
        .integer("severity")
        .is_some_and(|severity| severity < 3)
    {
        EventState::Info
    } else {
        EventState::Firing
    };
    let stem: Vec<&str> = lower
        .iter()
        .map(String::as_str)
        .filter(|word| !GONE.contains(word) && !BACK.contains(word))
        .collect();
    let device = parameter("UNIFIdeviceMac").or_else(|| parameter("UNIFIhost"));
    let key = device
        .as_ref()
        .filter(|_| !name.is_empty())
        .map(|device| format!("{device}/{}", stem.join(" ")));
    let at = parameter("UNIFIutcTime").and_then(|text| super::fields::time(&text));
    let failover = lower.iter().any(|word| word == "failover");
    let mut draft = Draft::new(
        state,
        key.and_then(Identity::key),
        "`parameters.UNIFIdeviceMac` with `name`",
    )?
    .site(parameter("UNIFIhost"))
    .host(parameter("UNIFIdeviceName").or_else(|| parameter("UNIFIhost")))
    .component(parameter("UNIFIwanName").filter(|_| !failover))
    .check(Some(name))
    .severity(fields.text("severity"), hint(fields))
    .summary(fields.first(&["message", "name"]))
    .label("rule", fields.text("alarm_id"))
    .label("event", code)
    .label("model", parameter("UNIFIdeviceModel"))
    .label("address", parameter("UNIFIdeviceIp"))
    .problem(odd_severity(fields))
    .sent_at(at);
    if state == EventState::Resolved {
        draft = draft.ends_at(at);
    }
    let mut event = draft.finish();
    if failover {
        event.component_kind = Some(ComponentKind::Link);
        event.severity_hint = SeverityHint::Redundancy;
    } else if event.labels.contains_key("model") && state != EventState::Info {
        event.component_kind = Some(ComponentKind::Device);
        if lower
            .iter()
            .any(|word| word == "offline" || word == "disconnected")
        {
            event.severity_hint = SeverityHint::Outage;
        }
    } else {
        signals::apply(&mut event);
    }
    Ok(event)
}

/// From 4 on the number stands for a problem.
fn hint(fields: Fields) -> SeverityHint {
    match fields.integer("severity") {
        Some(n) if n >= 3 => SeverityHint::Degradation,
        Some(n) if n >= 0 => SeverityHint::Info,
        _ => SeverityHint::Unknown,
    }
}

/// A sentence about a severity that is no number.
fn odd_severity(fields: Fields) -> Option<String> {
    let word = fields.text("severity")?;
    let odd = fields.integer("severity").is_none();
    odd.then(|| format!("severity `{word}` is no number: nothing is concluded from it"))
}

fn bare(fields: Fields) -> Result<Event, Undecodable> {
    let text = fields.text("text");
    let rule = text.as_deref().and_then(|text| text.split('"').nth(1));
    let id = fields.text("alarm_id").and_then(Identity::key);
    let mut event = Draft::new(EventState::Firing, id, "`alarm_id`")?
        .check(rule.map(str::to_owned))
        .summary(text.clone())
        .finish();
    signals::apply(&mut event);
    if text.is_some_and(|text| text.to_lowercase().contains("degraded")) {
        event.component_kind.get_or_insert(ComponentKind::Array);
        event.severity_hint = SeverityHint::Redundancy;
    }
    Ok(event)
}

fn protect(fields: Fields) -> Result<Event, Undecodable> {
    let name = fields.text("alarm.name");
    let device = fields.text("alarm.triggers.0.device");
    let key = match (&name, &device) {
        (Some(name), Some(device)) => Identity::key(format!("{device}/{name}")),
        _ => None,
    };
    let at = fields.first_time(&["alarm.triggers.0.timestamp", "timestamp"]);
    let draft = Draft::new(EventState::Firing, key, "`alarm.name` with its device")?
        .host(device)
        .check(name)
        .label("trigger", fields.text("alarm.triggers.0.key"))
        .sent_at(at);
    Ok(draft.finish())
}
