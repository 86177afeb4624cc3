//! Zabbix 5.4 and later by a media type of kind "webhook" whose script sends its parameters as
//! JSON. `event_id` is the problem's own, also in recoveries and updates.

use super::draft::Draft;
use super::fields::{Fields, mentions};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, signals};
use crate::model::{EventState, Identity, SeverityHint, Suppressed};

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
            auth: "bearer, header, HMAC, address",
        }
    }

    fn detect(&self, request: &Request) -> Detection {
        if mentions(request, &["event_id", "event_nseverity"])
            || mentions(request, &["event_id", "event_value", "trigger_id"])
        {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let source = fields
            .text("event_source")
            .unwrap_or_else(|| "0".to_owned());
        let id = fields.first(&["event_id", "eventid"]);
        if id.is_none() && fields.unresolved("event_value") {
            return Ok(Decoded::ignored(
                "a test of the media type: the macros are not resolved",
            ));
        }
        let identity = id
            .as_ref()
            .and_then(|id| Identity::key(format!("{source}:{id}")));
        let (state, suppressed) = state_of(fields, &source);
        let number = fields.first(&["event_update_nseverity", "event_nseverity"]);
        let hint = hint_of(number.as_deref());
        let test = fields.unresolved("event_value");
        let mut event = Draft::new(state, identity, "`event_id`")?
            .dedup_key(id)
            .site(site_of(fields))
            .host(fields.first(&["host_name", "host_host"]))
            .component(component_of(fields))
            .check(fields.first(&["event_name", "trigger_name"]))
            .severity(fields.first(&["event_severity", "event_nseverity"]), hint)
            .summary(fields.first(&["event_name", "alert_subject"]))
            .details(fields.first(&["trigger_description", "alert_message"]))
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
            .test(test)
            .finish();
        signals::apply(&mut event);
        Ok(Decoded {
            events: vec![event],
            ..Decoded::default()
        })
    }
}

fn state_of(fields: Fields, source: &str) -> (EventState, Option<Suppressed>) {
    if source == "1" || source == "2" {
        return (EventState::Info, None);
    }
    let actions = fields.word("event_update_action");
    let has = |word: &str| {
        actions
            .split(|c: char| !c.is_alphabetic())
            .any(|action| action.eq_ignore_ascii_case(word))
    };
    if fields.text("event_update_status").as_deref() == Some("1") {
        if has("closed") {
            return (EventState::Resolved, None);
        }
        if has("suppressed") {
            return (EventState::Info, Some(Suppressed::Downtime));
        }
        if has("acknowledged") {
            return (EventState::Acknowledged, None);
        }
        return (EventState::Firing, None);
    }
    match fields.text("event_value").as_deref() {
        Some("0") => (EventState::Resolved, None),
        Some("1") => (EventState::Firing, None),
        _ => {
            let word = fields.word("event_status");
            let state = super::words::state(&word).unwrap_or(EventState::Firing);
            (state, None)
        }
    }
}

fn hint_of(number: Option<&str>) -> SeverityHint {
    match number {
        Some("5") => SeverityHint::Outage,
        Some("2" | "3" | "4") => SeverityHint::Degradation,
        Some("1") => SeverityHint::Info,
        _ => SeverityHint::Unknown,
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
    let tags = fields.text("event_tags_json")?;
    let tags: Vec<serde_json::Value> = serde_json::from_str(&tags).ok()?;
    tags.iter()
        .find(|tag| tag.get("tag").and_then(|t| t.as_str()) == Some("interface"))
        .and_then(|tag| tag.get("value").and_then(|v| v.as_str()))
        .map(str::to_owned)
}
