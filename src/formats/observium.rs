//! Observium: transports `webhook`, `webhook-json` and `script` send the same tags as JSON or as
//! `OBSERVIUM_*` variables. The severity stays on recoveries; the graph that one transport embeds
//! is dropped. Syslog alerts carry their rule's id, have no entity and never recover.

use super::draft::Draft;
use super::fields::{Fields, mentions_any};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, signals, words};
use crate::model::{ComponentKind, EventState, Identity, SeverityHint};

/// Observium.
pub struct Observium;

impl Format for Observium {
    fn name(&self) -> &'static str {
        "observium"
    }

    fn about(&self) -> About {
        About {
            title: "Observium",
            says: "problem, reminder, recovery, syslog, test",
            identity: "alert entry; syslog: rule and device",
            auth: "token without a scheme (bearer), secret in the URL, address",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"ALERT_STATE":"ALERT","ALERT_ID":"9827","ALERT_SEVERITY":"Warning","ALERT_MESSAGE":"test","DEVICE_HOSTNAME":"alertbridge-test.test","DEVICE_ID":"0"}"#,
            r#"{"ALERT_STATE":"RECOVER","ALERT_ID":"9827","ALERT_SEVERITY":"Warning","ALERT_MESSAGE":"test","DEVICE_HOSTNAME":"alertbridge-test.test","DEVICE_ID":"0"}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        let markers = [
            "\"ALERT_EMOJI_NAME\"",
            "OBSERVIUM_ALERT_",
            "\"ALERT_STATE\"",
        ];
        if mentions_any(request, &markers) {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let tags = Tags(Fields::of(&body.value));
        let word = tags.text("ALERT_STATE").unwrap_or_default();
        let syslog = word == "SYSLOG";
        let id = tags.text("ALERT_ID");
        let identity = match (&id, tags.text("DEVICE_ID")) {
            (Some(id), Some(device)) if syslog => Identity::key(format!("syslog/{id}/{device}")),
            (Some(_), None) if syslog => None,
            (Some(id), _) => Identity::key(id),
            (None, _) => None,
        };
        let (state, problem) = state_of(&word, tags);
        let host = tags.text("DEVICE_HOSTNAME");
        let test = host.as_deref().is_some_and(|host| host.ends_with(".test"));
        let entity = tags.text("ENTITY_TYPE").unwrap_or_default();
        let at = tags
            .time("ALERT_UNIXTIME")
            .or_else(|| tags.time("ALERT_TIMESTAMP_RFC3339"));
        let severity = tags.text("ALERT_SEVERITY");
        let component = tags.text("ENTITY_NAME").filter(|_| entity != "device");
        let mut event = Draft::new(state, identity, "`ALERT_ID` (syslog: and `DEVICE_ID`)")?
            .dedup_key(id)
            .host(host)
            .component(component)
            .check(tags.text("ALERT_MESSAGE"))
            .severity(severity.clone(), hint(severity.as_deref(), syslog))
            .summary(tags.text("TITLE"))
            .details(tags.details())
            .label("entity_type", tags.text("ENTITY_TYPE"))
            .label("entity_description", tags.text("ENTITY_DESCRIPTION"))
            .label("location", tags.text("DEVICE_LOCATION"))
            .label("hardware", tags.text("DEVICE_HARDWARE"))
            .link(tags.text("ALERT_URL"))
            .sent_at(at)
            .problem(problem)
            .problem(words::unknown_severity(severity.as_deref()))
            .test(test)
            .finish();
        event.component_kind = kind_of(&entity);
        signals::apply(&mut event);
        sharpen(&mut event, tags, &entity);
        Ok(Decoded {
            events: vec![event],
            ..Decoded::default()
        })
    }
}

/// The tags, with or without the prefix of the script transport.
#[derive(Clone, Copy)]
struct Tags<'a>(Fields<'a>);

impl Tags<'_> {
    fn text(self, name: &str) -> Option<String> {
        let prefixed = format!("OBSERVIUM_{name}");
        self.0.text(name).or_else(|| self.0.text(&prefixed))
    }

    fn time(self, name: &str) -> Option<crate::model::Time> {
        self.text(name).and_then(|text| super::fields::time(&text))
    }

    fn details(self) -> String {
        /// Most lines of conditions and metrics that people are shown.
        const LINES_MAX: usize = 200;
        let parts = ["CONDITIONS", "METRICS", "SYSLOG_MESSAGE", "DURATION"];
        let mut lines: Vec<String> = Vec::new();
        for text in parts.iter().filter_map(|name| self.text(name)) {
            for line in text.lines().map(|line| line.trim().to_owned()) {
                if lines.len() < LINES_MAX && !lines.contains(&line) {
                    lines.push(line);
                }
            }
        }
        lines.join("\n")
    }
}

fn state_of(word: &str, tags: Tags) -> (EventState, Option<String>) {
    match (word, tags.text("ALERT_STATUS").as_deref()) {
        ("ALERT" | "ALERT REMINDER" | "SYSLOG", _) => (EventState::Firing, None),
        ("RECOVER", _) => (EventState::Resolved, None),
        (_, Some("1")) => (EventState::Resolved, None),
        (other, _) => {
            let problem = format!("`ALERT_STATE` is `{other}`, which is not known: taken as ALERT");
            (EventState::Firing, Some(problem))
        }
    }
}

/// A low syslog priority says little about an event that an operator asked to be alerted of.
fn hint(severity: Option<&str>, syslog: bool) -> SeverityHint {
    match severity.map_or(SeverityHint::Unknown, words::hint) {
        SeverityHint::Info if syslog => SeverityHint::Unknown,
        hint => hint,
    }
}

fn kind_of(entity: &str) -> Option<ComponentKind> {
    match entity {
        "device" => Some(ComponentKind::Device),
        "port" => Some(ComponentKind::Interface),
        "bgp_peer" | "bgp_peer_af" => Some(ComponentKind::Session),
        "processor" | "mempool" | "storage" => Some(ComponentKind::Resource),
        "pseudowire" | "sla" => Some(ComponentKind::Link),
        "virtualmachine" | "winservice" => Some(ComponentKind::Application),
        _ => None,
    }
}

/// What entity and metrics say beyond the words of the message.
fn sharpen(event: &mut crate::model::Event, tags: Tags, entity: &str) {
    let metrics = tags.text("METRICS").unwrap_or_default();
    let uptime = tags.text("DEVICE_UPTIME").unwrap_or_default();
    let description = tags.text("ENTITY_DESCRIPTION").unwrap_or_default();
    let description = description.to_lowercase();
    let spare = description
        .split(|c: char| !c.is_alphabetic())
        .any(|word| matches!(word, "member" | "lag" | "backup"));
    if entity == "device" && (metrics.contains("device_status = 0") || uptime.starts_with("Down")) {
        event.severity_hint = SeverityHint::Outage;
    } else if entity == "bgp_peer" || (entity == "port" && spare) {
        event.severity_hint = SeverityHint::Redundancy;
    }
}
