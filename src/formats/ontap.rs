//! NetApp ONTAP: event management system, destination "rest-api", which posts XML. A condition and
//! its end are two messages: node, kind of problem and the object that the text names make the
//! identity. Severities say little about redundancy, so the message's name decides.

use super::codes::{self, Meaning, ONTAP};
use super::draft::Draft;
use super::fields::{Fields, mentions};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, signals, words};
use crate::model::{Event, EventState, Identity, SeverityHint, Suppressed};

/// ONTAP.
pub struct Ontap;

impl Format for Ontap {
    fn name(&self) -> &'static str {
        "ontap"
    }

    fn about(&self) -> About {
        About {
            title: "NetApp ONTAP (EMS webhook)",
            says: "problem, recovery",
            identity: "node, kind of problem, object that the text names",
            auth: "certificate, token in URL",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            "<netapp><ems-message-info><node>alertbridge-test</node><message-name>monitor.chassisPower.degraded</message-name><severity>alert</severity><event>test</event></ems-message-info></netapp>",
            "<netapp><ems-message-info><node>alertbridge-test</node><message-name>monitor.chassisPower.ok</message-name><severity>notice</severity><event>test</event></ems-message-info></netapp>",
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        if mentions(request, &["<ems-message-info>", "<message-name>"]) {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let messages = Fields::of(&body.value).list("netapp.ems-message-info");
        if messages.is_empty() {
            return Err(Undecodable::because(
                "`netapp/ems-message-info` is missing: no message of the event system",
            ));
        }
        let members: Vec<_> = messages.into_iter().filter_map(message).collect();
        if members.is_empty() {
            return Ok(Decoded::ignored("notices that no problem follows from"));
        }
        Decoded::from_members(members)
    }
}

/// One message; `None` for notices that say nothing of a problem.
fn message(fields: Fields) -> Option<Result<Event, Undecodable>> {
    let name = fields.word("message-name");
    let meaning = codes::find_one(ONTAP, &name);
    let severity = fields
        .text("severity")
        .or_else(|| fields.text("ems-severity"));
    let low = severity.as_deref().is_some_and(|word| {
        let word = word.to_ascii_lowercase();
        matches!(word.as_str(), "notice" | "informational" | "debug")
    });
    if meaning.is_none() && low && !name.is_empty() {
        return None;
    }
    Some(event(fields, &name, meaning, severity))
}

fn event(
    fields: Fields,
    name: &str,
    meaning: Option<Meaning>,
    severity: Option<String>,
) -> Result<Event, Undecodable> {
    let state = match meaning {
        Some(meaning) if meaning.clears => EventState::Resolved,
        _ => EventState::Firing,
    };
    let text = fields.word("event");
    let text = text
        .strip_prefix(name)
        .map_or(text.as_str(), |rest| rest.trim_start_matches([':', ' ']))
        .to_owned();
    let part = match meaning {
        Some(meaning) if meaning.whole => None,
        _ => object_in(&text),
    };
    let node = fields.text("node");
    let key = node.as_ref().filter(|_| !name.is_empty()).map(|node| {
        let family = meaning.map_or(name, |meaning| meaning.family);
        format!("{node}/{family}/{}", part.as_deref().unwrap_or(""))
    });
    let hint = match meaning {
        Some(meaning) => meaning.hint,
        None => by_severity(severity.as_deref()),
    };
    let at = fields.time("time");
    let planned = name == "callhome.sfo.takeover.m";
    let mut draft = Draft::new(
        state,
        key.and_then(Identity::key),
        "`node` with `message-name`",
    )?
    .host(node.clone())
    .component(part)
    .check((!name.is_empty()).then(|| name.to_owned()))
    .severity(severity.clone(), hint)
    .kind(meaning.map(|meaning| meaning.kind))
    .summary(format!("{}: {text}", node.as_deref().unwrap_or("")))
    .details(text)
    .label("source", fields.text("source"))
    .sent_at(at)
    .suppressed(planned.then_some(Suppressed::Downtime))
    .problem(words::unknown_severity(severity.as_deref()));
    if state == EventState::Resolved {
        draft = draft.ends_at(at);
    }
    let mut event = draft.finish();
    if meaning.is_none_or(|meaning| meaning.hint == SeverityHint::Unknown) {
        signals::apply(&mut event);
        let paths = event.summary.to_lowercase().contains("dualpath");
        if paths {
            event.component_kind = Some(crate::model::ComponentKind::Link);
            event.severity_hint = SeverityHint::Redundancy;
        }
    }
    Ok(event)
}

/// Severities of the event system tell urgency, not effect: none of them proves an outage.
fn by_severity(word: Option<&str>) -> SeverityHint {
    match word.unwrap_or("").to_ascii_lowercase().as_str() {
        "emergency" | "alert" | "error" => SeverityHint::Degradation,
        "notice" | "informational" | "debug" => SeverityHint::Info,
        _ => SeverityHint::Unknown,
    }
}

/// The first object that a text names: an alert's id with its resource, a volume, a port, ...
fn object_in(text: &str) -> Option<String> {
    if let Some((_, rest)) = text.split_once("Alert Id = ") {
        let id = rest.split([' ', ',']).next().unwrap_or("");
        let resource = rest
            .split_once("Alerting Resource = ")
            .and_then(|(_, rest)| rest.split(' ').next())
            .unwrap_or("");
        return (!id.is_empty()).then(|| format!("{id} {resource}").trim().to_owned());
    }
    const NAMES: [&str; 11] = [
        "volume",
        "aggregate",
        "port",
        "lif",
        "disk",
        "drive",
        "shelf",
        "supply",
        "fan",
        "link",
        "group",
    ];
    let words: Vec<&str> = text.split_whitespace().collect();
    words.windows(2).find_map(|pair| match pair {
        [name, value] => {
            let name = name.trim_end_matches([':', '=']).to_lowercase();
            let value = value.trim_matches(['"', '\'', ',', '.', ':', '(', ')']);
            let named = value
                .chars()
                .any(|c| c.is_ascii_digit() || "_/@".contains(c));
            (NAMES.contains(&name.as_str()) && named).then(|| format!("{name} {value}"))
        }
        _ => None,
    })
}
