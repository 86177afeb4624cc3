//! Zabbix 5.4 and later by a media type of kind "webhook" whose script sends its parameters as
//! JSON. `event_id` is the problem's own, also in recoveries and updates.

use super::draft::Draft;
use super::fields::{Fields, mentions};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, signals};
use crate::model::text::bounded;
use crate::model::{Event, EventState, Identity, SeverityHint, Suppressed};

/// Longest trigger id that is kept, bytes.
const CONDITION_BYTES_MAX: usize = 64;

/// Zabbix.
pub struct Zabbix;

impl Format for Zabbix {
    fn name(&self) -> &'static str {
        "zabbix"
    }

    fn about(&self) -> About {
        About {
            title: "Zabbix 5.4 to 7.x",
            says: "problem, repeat, update, acknowledged, suppressed, recovery, test",
            identity: "event source and problem event id",
            auth: "bearer, header, HMAC (X-Alertbridge-Signature), address",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"event_id":"1","event_source":"0","event_value":"1","event_update_status":"0","event_name":"Test problem","event_nseverity":"1","event_severity":"Information","host_name":"alertbridge-test","trigger_id":"1"}"#,
            r#"{"event_id":"1","event_source":"0","event_value":"0","event_update_status":"0","event_name":"Test problem","event_nseverity":"1","event_severity":"Information","host_name":"alertbridge-test","trigger_id":"1"}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        if mentions(request, &["event_id", "event_nseverity"])
            || mentions(request, &["event_id", "event_value", "trigger_id"])
            || mentions(request, &["\"eventid\"", "\"eventvalue\"", "\"triggerid\""])
        {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        if fields.value().is_array() {
            return Decoded::from_members(fields.elements().into_iter().map(event));
        }
        if fields.first(&["event_id", "eventid"]).is_none() && fields.unresolved("event_value") {
            return Ok(Decoded::ignored(
                "a test of the media type: the macros are not resolved",
            ));
        }
        event(fields).map(|event| Decoded {
            events: vec![event],
            ..Decoded::default()
        })
    }
}

fn event(fields: Fields) -> Result<Event, Undecodable> {
    let source = fields
        .text("event_source")
        .unwrap_or_else(|| "0".to_owned());
    let id = fields.first(&["event_id", "eventid"]);
    let identity = id
        .as_ref()
        .and_then(|id| Identity::key(format!("{source}:{id}")));
    let (state, suppressed) = state_of(fields, &source);
    let number = fields.first(&["event_update_nseverity", "event_nseverity"]);
    let hint = hint_of(fields, &source, number.as_deref());
    let word = fields.first(&[
        "event_update_severity",
        "event_severity",
        "severity",
        "event_nseverity",
    ]);
    let test = fields.unresolved("event_value");
    let odd = number
        .as_deref()
        .filter(|number| !matches!(*number, "0" | "1" | "2" | "3" | "4" | "5"))
        .map(|number| {
            format!("event_nseverity `{number}` is not known: nothing is concluded from it")
        });
    let trigger = fields.first(&["trigger_id", "triggerid"]);
    let mut event = Draft::new(state, identity, "`event_id`")?
        .dedup_key(id)
        .site(site_of(fields))
        .host(host_of(fields))
        .component(component_of(fields))
        .check(fields.first(&["event_name", "eventname", "trigger_name"]))
        .severity(word, hint)
        .summary(fields.first(&["event_name", "eventname", "alert_subject"]))
        .details(fields.first(&["trigger_description", "alert_message"]))
        .label(
            "host_name",
            fields.text("host_name").filter(|name| name.contains(' ')),
        )
        .label("trigger_id", fields.text("trigger_id"))
        .label("host_ip", fields.text("host_ip"))
        .label("host_groups", fields.text("host_groups"))
        .label("opdata", fields.text("event_opdata"))
        .link(
            fields
                .text("zabbix_url")
                .filter(|url| url.starts_with("http")),
        )
        .suppressed(suppressed)
        .problem(odd)
        .test(test)
        .finish();
    // Each problem of a trigger has a number of its own.
    event.condition = trigger.map(|id| format!("{source}:{}", bounded(&id, CONDITION_BYTES_MAX)));
    signals::apply(&mut event);
    Ok(event)
}

fn state_of(fields: Fields, source: &str) -> (EventState, Option<Suppressed>) {
    // Discovery, registration and items that cannot be read are about the monitoring itself.
    if matches!(source, "1" | "2" | "3") {
        return (EventState::Info, None);
    }
    let actions = fields.word("event_update_action");
    let has = |word: &str| {
        actions
            .split(|c: char| !c.is_alphabetic())
            .any(|action| action.eq_ignore_ascii_case(word))
    };
    if fields
        .first(&["event_update_status", "eventupdate"])
        .as_deref()
        == Some("1")
    {
        // A word about a problem that is over already. One that a person closes is still told as
        // over by its own recovery message, so that nothing resolves twice.
        if value(fields).as_deref() == Some("0") {
            return (EventState::Info, None);
        }
        if has("suppressed") {
            return (EventState::Info, Some(Suppressed::Downtime));
        }
        if has("acknowledged") {
            return (EventState::Acknowledged, None);
        }
        return (EventState::Firing, None);
    }
    match value(fields).as_deref() {
        Some("0") => (EventState::Resolved, None),
        Some("1") => (EventState::Firing, None),
        _ => {
            let word = fields.word("event_status");
            let state = super::words::state(&word).unwrap_or(EventState::Firing);
            (state, None)
        }
    }
}

/// The event's value, under both names that scripts give it.
fn value(fields: Fields) -> Option<String> {
    fields.first(&["event_value", "eventvalue"])
}

/// High and disaster are outages where availability or a service is concerned; a lower problem of
/// a part that is there twice costs redundancy.
fn hint_of(fields: Fields, source: &str, number: Option<&str>) -> SeverityHint {
    let scope = |word: &str| has_tag(fields, "scope", &[word]);
    let spare = ["power", "psu", "fan", "storage", "raid", "network"];
    match number {
        Some("5") => SeverityHint::Outage,
        Some("4") if source == "4" || scope("availability") || says_down(fields) => {
            SeverityHint::Outage
        }
        Some("2" | "3" | "4")
            if has_tag(fields, "component", &spare)
                && (scope("availability") || scope("notice")) =>
        {
            SeverityHint::Redundancy
        }
        Some("2" | "3" | "4") => SeverityHint::Degradation,
        Some("1") => SeverityHint::Info,
        _ => SeverityHint::Unknown,
    }
}

fn says_down(fields: Fields) -> bool {
    let name = fields.word("event_name").to_lowercase();
    let words = ["unavailable by icmp", "unreachable", "is down", "no snmp"];
    words.iter().any(|word| name.contains(word))
}

/// Whether one of the event's tags has that name and one of these values.
fn has_tag(fields: Fields, name: &str, values: &[&str]) -> bool {
    tags(fields).iter().any(|tag| {
        let text = |key| tag.get(key).and_then(serde_json::Value::as_str);
        text("tag") == Some(name) && text("value").is_some_and(|value| values.contains(&value))
    })
}

/// The tags, which most scripts pass as JSON in a string.
fn tags(fields: Fields) -> Vec<serde_json::Value> {
    let place = fields.at("event_tags_json");
    if let serde_json::Value::Array(tags) = place.value() {
        return tags.clone();
    }
    let text = place.as_text().unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// The host's name. The visible one is tried first, unless it is a title for people, with blanks.
fn host_of(fields: Fields) -> Option<String> {
    let visible = fields.first(&["host_name", "hostname"]);
    let technical = fields.text("host_host");
    match (&visible, &technical) {
        (Some(name), Some(_)) if name.contains(' ') => technical,
        _ => visible.or(technical),
    }
}

/// A host group like `Sites/SYD1` names the site.
fn site_of(fields: Fields) -> Option<String> {
    let groups = fields.text("host_groups")?;
    groups
        .split(',')
        .map(str::trim)
        .find_map(|group| {
            group
                .strip_prefix("Sites/")
                .or_else(|| group.strip_prefix("Site/"))
        })
        .map(str::to_owned)
}

/// The tag `interface` or `component` names the part, where its value is more than a class.
fn component_of(fields: Fields) -> Option<String> {
    tags(fields)
        .iter()
        .find(|tag| tag.get("tag").and_then(|t| t.as_str()) == Some("interface"))
        .and_then(|tag| tag.get("value").and_then(|v| v.as_str()))
        .map(str::to_owned)
}
