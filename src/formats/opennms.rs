//! OpenNMS Horizon and Meridian: alarms as the REST API v2 shows them, posted by Scriptd or a
//! poller. The reduction key is the identity; an alarm of type 2 clears the one it names.

use super::draft::Draft;
use super::fields::{Fields, mentions};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, signals};
use crate::model::{ComponentKind, Event, EventState, Identity, SeverityHint};

/// OpenNMS.
pub struct Opennms;

impl Format for Opennms {
    fn name(&self) -> &'static str {
        "opennms"
    }

    fn about(&self) -> About {
        About {
            title: "OpenNMS Horizon and Meridian (alarms)",
            says: "problem, repeat, acknowledged, recovery",
            identity: "reduction key; a resolution: its clear key",
            auth: "basic, bearer, certificate, address",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"uei":"uei.opennms.org/test","reductionKey":"alertbridge-test","type":1,"severity":"WARNING","nodeLabel":"alertbridge-test","logMessage":"test"}"#,
            r#"{"uei":"uei.opennms.org/test","reductionKey":"alertbridge-test","type":1,"severity":"CLEARED","nodeLabel":"alertbridge-test","logMessage":"test"}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        if mentions(request, &["\"reductionKey\"", "\"uei\""]) {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let alarms = if fields.has("alarm") {
            fields.list("alarm")
        } else {
            fields.elements()
        };
        Decoded::from_members(alarms.into_iter().map(alarm))
    }
}

fn alarm(alarm: Fields) -> Result<Event, Undecodable> {
    let resolution = alarm.integer("type") == Some(2);
    let key = if resolution {
        alarm.first(&["clearKey", "reductionKey"])
    } else {
        alarm.text("reductionKey")
    };
    let severity = alarm.text("severity");
    let cleared = severity.as_deref() == Some("CLEARED");
    let state = if resolution || cleared {
        EventState::Resolved
    } else if alarm.text("ackUser").is_some() {
        EventState::Acknowledged
    } else {
        EventState::Firing
    };
    let uei = alarm.word("uei");
    let check = uei.rsplit('/').next().unwrap_or("").to_owned();
    let summary = alarm.first(&["logMessage", "description"]);
    let mut draft = Draft::new(state, key.and_then(Identity::key), "`reductionKey`")?
        .site(alarm.text("location").filter(|place| place != "Default"))
        .host(alarm.text("nodeLabel"))
        .component(alarm.text("serviceType.name"))
        .check((!check.is_empty()).then(|| check.clone()))
        .severity(severity.clone(), hint(&check, severity.as_deref()))
        .summary(summary)
        .details(details(alarm))
        .label("address", alarm.text("ipAddress"))
        .label("uei", (!uei.is_empty()).then_some(uei))
        .label("if_index", alarm.text("ifIndex"))
        .sent_at(alarm.time("lastEventTime"))
        .problem(unknown(severity.as_deref()));
    draft = match state {
        EventState::Resolved => draft.ends_at(alarm.time("lastEventTime")),
        _ => draft.starts_at(alarm.time("firstEventTime")),
    };
    let mut event = draft.finish();
    match check.as_str() {
        "nodeDown" | "nodeUp" => event.component_kind = Some(ComponentKind::Device),
        "nodeLostService" | "nodeRegainedService" => {
            event.component_kind = Some(ComponentKind::Application);
        }
        "interfaceDown" | "interfaceUp" | "SNMP_Link_Down" | "SNMP_Link_Up" => {
            event.component_kind = Some(ComponentKind::Interface);
        }
        _ => signals::apply(&mut event),
    }
    Ok(event)
}

/// One lost service of a node is a degradation, whatever its severity.
fn hint(check: &str, severity: Option<&str>) -> SeverityHint {
    match (check, severity) {
        (_, Some("CLEARED" | "INDETERMINATE")) => SeverityHint::Unknown,
        ("nodeDown", _) => SeverityHint::Outage,
        ("nodeLostService" | "interfaceDown", _) => SeverityHint::Degradation,
        (_, Some("CRITICAL")) => SeverityHint::Outage,
        (_, Some("MAJOR" | "MINOR" | "WARNING")) => SeverityHint::Degradation,
        (_, Some("NORMAL")) => SeverityHint::Info,
        _ => SeverityHint::Unknown,
    }
}

fn unknown(severity: Option<&str>) -> Option<String> {
    const LADDER: [&str; 7] = [
        "INDETERMINATE",
        "CLEARED",
        "NORMAL",
        "WARNING",
        "MINOR",
        "MAJOR",
        "CRITICAL",
    ];
    let word = severity.unwrap_or("");
    (!LADDER.contains(&word)).then(|| format!("`severity` is `{word}`, which is not known"))
}

fn details(alarm: Fields) -> String {
    let description = alarm.word("description");
    let mut text = String::new();
    let mut inside = false;
    for c in description.chars() {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            c if !inside => text.push(c),
            _ => {}
        }
    }
    let more = alarm.text("operatorInstructions");
    match more {
        Some(more) => format!("{text}\n{more}"),
        None => text,
    }
}
