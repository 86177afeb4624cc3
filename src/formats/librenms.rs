//! LibreNMS, transport "API": a template of ours (JSON or form) with the variables of an alert.
//! One alert of a device and a rule carries many faults; its id stays while the pair exists. The
//! severity is the rule's and stays on recoveries; times have no zone.

use super::draft::Draft;
use super::fields::{Fields, mentions, names_source};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, signals, words};
use crate::model::{ComponentKind, EventState, Identity, SeverityHint};

/// LibreNMS.
pub struct Librenms;

impl Format for Librenms {
    fn name(&self) -> &'static str {
        "librenms"
    }

    fn about(&self) -> About {
        About {
            title: "LibreNMS (API transport)",
            says: "problem, worse, better, changed, acknowledged, recovery, test",
            identity: "alert id; without one, device and rule",
            auth: "header, basic, address",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"source":"librenms","title":"Test","name":"Test-Rule","alert_id":"000","state":"1","severity":"warning","hostname":"alertbridge-test"}"#,
            r#"{"source":"librenms","title":"Test","name":"Test-Rule","alert_id":"000","state":"0","severity":"warning","hostname":"alertbridge-test"}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        let form = mentions(request, &["alert_id=", "rule_id=", "device_id="]);
        let json = mentions(request, &["\"alert_id\"", "\"rule_id\"", "\"device_id\""]);
        if names_source(request, "librenms") || form || json {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let title = fields.word("title");
        let named = titled(&title);
        let host = fields
            .text("hostname")
            .or_else(|| named.map(|(host, _)| host.to_owned()));
        let rule = fields
            .text("name")
            .or_else(|| named.map(|(_, rule)| rule.to_owned()));
        let identity = match fields.text("alert_id") {
            Some(id) => Identity::key(id),
            None => Identity::object(
                "",
                host.as_deref().unwrap_or(""),
                "",
                rule.as_deref().unwrap_or(""),
            ),
        };
        let (state, problem) = state_of(fields, &title);
        let test = fields.word("name") == "Test-Rule" || title.starts_with("Testing transport");
        let severity = fields.text("severity");
        let faults = faults(fields);
        let down = fields.word("status_reason") == "icmp" || says_down(rule.as_deref());
        let mut event = Draft::new(state, identity, "`alert_id`")?
            .dedup_key(fields.text("alert_id"))
            .host(host)
            .component(faults.as_deref().filter(|_| !down).and_then(part_of))
            .check(rule)
            .severity(severity.clone(), hint(fields, severity.as_deref()))
            .summary((!title.is_empty()).then_some(title))
            .details(details(fields))
            .label("location", fields.text("location"))
            .label_fields(fields, &["rule_id", "device_id", "ip", "os", "type"])
            .problem(problem)
            .problem(words::unknown_severity(severity.as_deref()))
            .problem(body.repaired.map(str::to_owned))
            .test(test)
            .finish();
        if down {
            event.component_kind = Some(ComponentKind::Device);
        } else {
            signals::apply(&mut event);
        }
        Ok(Decoded {
            events: vec![event],
            ..Decoded::default()
        })
    }
}

fn state_of(fields: Fields, title: &str) -> (EventState, Option<String>) {
    match fields.integer("state") {
        Some(0) => (EventState::Resolved, None),
        Some(1 | 3 | 4 | 5) => (EventState::Firing, None),
        Some(2) => (EventState::Acknowledged, None),
        _ if title.contains(" recovered from ") => (EventState::Resolved, None),
        _ => {
            let problem = "`state` is not 0 to 5: taken as a problem".to_owned();
            (EventState::Firing, Some(problem))
        }
    }
}

/// Device and rule of a title by the default template.
fn titled(title: &str) -> Option<(&str, &str)> {
    if let Some(rest) = title.strip_prefix("Alert for device ") {
        let (host, rule) = rest.split_once(" - ")?;
        let rule = [" got acknowledged", " got worse", " got better", " changed"]
            .iter()
            .find_map(|end| rule.strip_suffix(end))
            .unwrap_or(rule);
        return Some((host, rule));
    }
    title
        .strip_prefix("Device ")?
        .split_once(" recovered from ")
}

/// The faults as text: a field of their own, else what the message says under that heading.
fn faults(fields: Fields) -> Option<String> {
    fields.text("faults_text").or_else(|| {
        let message = fields.text("msg")?;
        let (_, faults) = message.split_once("Faults:")?;
        Some(faults.to_owned())
    })
}

/// The part that failed, if the faults name just one.
fn part_of(faults: &str) -> Option<String> {
    let second = |line: &str| line.trim_start().trim_start_matches('#').starts_with("2:");
    if faults.contains("#2:") || faults.lines().any(second) {
        return None;
    }
    ["ifDescr = ", "sensor_descr = ", "bgpPeerIdentifier = "]
        .iter()
        .find_map(|name| faults.split_once(name))
        .and_then(|(_, rest)| rest.split([';', '\n']).next())
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
}

fn says_down(rule: Option<&str>) -> bool {
    rule.is_some_and(|rule| rule.starts_with("Devices up/down") || rule.starts_with("Device Down"))
}

/// An unanswered ping is an outage of the device; unanswered SNMP alone a fault of monitoring.
fn hint(fields: Fields, severity: Option<&str>) -> SeverityHint {
    let rule = fields.word("name");
    if fields.word("status_reason") == "snmp" || signals::says_degraded(&rule) {
        return SeverityHint::Degradation;
    }
    if says_down(Some(&rule)) {
        return SeverityHint::Outage;
    }
    severity.map_or(SeverityHint::Unknown, words::hint)
}

fn details(fields: Fields) -> String {
    let parts = ["msg", "faults_text", "alert_notes", "proc"];
    let parts: Vec<String> = parts.iter().filter_map(|path| fields.text(path)).collect();
    parts.join("\n")
}
