//! Palo Alto PAN-OS HTTP log forwarding of system logs, a payload of ours. Event ids are not
//! documented: object and subtype tell problems apart, and the words of the text tell the edge,
//! as an up and a down of one port or link are the same message with another word.

use super::draft::Draft;
use super::fields::{Fields, mentions, names_source};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, signals, words};
use crate::model::{ComponentKind, Event, EventState, Identity, SeverityHint};

/// PAN-OS.
pub struct Paloalto;

impl Format for Paloalto {
    fn name(&self) -> &'static str {
        "paloalto"
    }

    fn about(&self) -> About {
        About {
            title: "Palo Alto Networks PAN-OS",
            says: "problem, recovery",
            identity: "serial, subtype, object or link that the text names",
            auth: "header, address",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"source":"paloalto","serial":"alertbridge-test","device_name":"alertbridge-test","subtype":"port","severity":"informational","eventid":"link-change","object":"ethernet1/1","opaque":"Port ethernet1/1: Down"}"#,
            r#"{"source":"paloalto","serial":"alertbridge-test","device_name":"alertbridge-test","subtype":"port","severity":"informational","eventid":"link-change","object":"ethernet1/1","opaque":"Port ethernet1/1: Up"}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        let log = mentions(request, &["\"opaque\"", "\"eventid\"", "\"serial\""]);
        if log || names_source(request, "paloalto") {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let log = Fields::of(&body.value);
        if log.text("serial").is_none() && log.unresolved("serial") {
            return Ok(Decoded::ignored("a test: the variables are not filled in"));
        }
        let text = log.word("opaque");
        let subtype = log.word("subtype");
        let part = log.text("object").or_else(|| part_of(&text));
        let change = text.to_ascii_lowercase().contains("moved from state");
        let family = if change {
            "state".to_owned()
        } else if part.is_none() {
            log.word("eventid")
        } else {
            String::new()
        };
        let key = log.text("serial").map(|serial| {
            let part = part.as_deref().unwrap_or("");
            format!("{serial}/{subtype}/{family}/{part}")
        });
        let severity = log.text("severity");
        let state = state_of(&text, severity.as_deref(), change);
        let host = log.first(&["device_name", "serial"]);
        let summary = [host.clone(), Some(text.clone())];
        let summary: Vec<String> = summary.into_iter().flatten().collect();
        let key = key.filter(|_| !(family.is_empty() && part.is_none()));
        let draft = Draft::new(
            state,
            key.and_then(Identity::key),
            "`serial` with `eventid`",
        )?
        .host(host)
        .component(part)
        .check(log.text("eventid"))
        .severity(severity.clone(), hint(severity.as_deref()))
        .summary(summary.join(": "))
        .details((!text.is_empty()).then(|| text.clone()))
        .label("serial", log.text("serial"))
        .label("subtype", (!subtype.is_empty()).then(|| subtype.clone()))
        .label("vsys", log.text("vsys"))
        .problem(words::unknown_severity(severity.as_deref()))
        .problem(body.repaired.map(str::to_owned));
        Ok(Decoded {
            events: vec![finish(draft, &subtype)],
            ..Decoded::default()
        })
    }
}

fn finish(draft: Draft, subtype: &str) -> Event {
    let mut event = draft.finish();
    match subtype {
        "ha" => {
            event.component_kind = Some(ComponentKind::Member);
            event.severity_hint = SeverityHint::Redundancy;
        }
        "port" => {
            event.component_kind = Some(ComponentKind::Interface);
            event.severity_hint = SeverityHint::Degradation;
        }
        _ => signals::apply(&mut event),
    }
    event
}

/// The link that a text of the high availability names: `HA1`, `HA1-backup`, `HA2`, `HA3`.
fn part_of(text: &str) -> Option<String> {
    let upper = text.to_ascii_uppercase();
    [
        "HA1-BACKUP",
        "HA1 BACKUP",
        "HA2-BACKUP",
        "HA1",
        "HA2",
        "HA3",
        "HA4",
    ]
    .iter()
    .find(|name| upper.contains(*name))
    .map(|name| name.replace(' ', "-"))
}

fn state_of(text: &str, severity: Option<&str>, change: bool) -> EventState {
    let lower = text.to_ascii_lowercase();
    let says = |words: &[&str]| {
        lower
            .split(|c: char| !c.is_ascii_alphanumeric())
            .any(|word| words.contains(&word))
    };
    if change
        || says(&[
            "down",
            "failure",
            "failed",
            "lost",
            "disconnected",
            "removed",
        ])
    {
        EventState::Firing
    } else if says(&["up", "ok", "restored", "recovered", "inserted", "connected"]) {
        EventState::Resolved
    } else if matches!(severity, Some("informational" | "low")) {
        EventState::Info
    } else {
        EventState::Firing
    }
}

fn hint(severity: Option<&str>) -> SeverityHint {
    match severity {
        Some("critical" | "high" | "medium") => SeverityHint::Degradation,
        Some("low" | "informational") => SeverityHint::Info,
        _ => SeverityHint::Unknown,
    }
}
