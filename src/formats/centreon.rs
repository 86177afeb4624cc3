//! Centreon: our format file for the broker's generic stream connector, whose documents may come
//! one after another in a body, and the engine's notification commands, which are Nagios'.

use super::draft::Draft;
use super::fields::{Fields, names_source};
use super::notification::{self, Notification};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body};
use crate::model::{Event, EventState, Identity, Suppressed};

/// Centreon.
pub struct Centreon;

impl Format for Centreon {
    fn name(&self) -> &'static str {
        "centreon"
    }

    fn about(&self) -> About {
        About {
            title: "Centreon (stream connector, notification commands)",
            says: "problem, repeat, acknowledged, downtime, flapping, recovery",
            identity: "host id, or host id and service id",
            auth: "bearer, header, certificate, address",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"source":"centreon","kind":"service","host_id":1,"service_id":1,"host":"alertbridge-test","service":"test","state":1,"state_type":1}"#,
            r#"{"source":"centreon","kind":"service","host_id":1,"service_id":1,"host":"alertbridge-test","service":"test","state":0,"state_type":1}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        if names_source(request, "centreon") {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        if !fields.value().is_array() && !fields.has("host_id") {
            return Notification::new(fields, "NAGIOS_").decoded();
        }
        Decoded::from_members(fields.elements().into_iter().map(event))
    }
}

fn event(fields: Fields) -> Result<Event, Undecodable> {
    let host_id = fields.text("host_id");
    let service_id = fields.text("service_id").filter(|id| id != "0");
    // The vendor's own connectors write the keys this way.
    let key = host_id.map(|host| match &service_id {
        Some(service) => format!("{host}_{service}"),
        None => format!("{host}_H"),
    });
    let (state, suppressed, problem) = state_of(fields, service_id.is_some());
    let word = fields
        .text("state_name")
        .or_else(|| word(fields, service_id.is_some()).map(str::to_owned));
    let host = fields.text("host");
    let service = fields.text("service");
    let object = [service.as_deref(), host.as_deref(), word.as_deref()];
    let object: Vec<&str> = object.into_iter().flatten().collect();
    let output = fields.first(&["output", "comment_data"]);
    let summary = match &output {
        Some(output) if object.is_empty() => output.clone(),
        Some(output) => format!("{}: {output}", object.join(" ")),
        None => object.join(" "),
    };
    let changed = fields.time("last_hard_state_change");
    let hint = notification::hint(service_id.is_some(), word.as_deref());
    let mut draft = Draft::new(state, key.and_then(Identity::key), "`host_id`")?
        .host(host)
        .check(service)
        .severity(word, hint)
        .summary(summary)
        .details(fields.first(&["long_output", "comment_data", "output"]))
        .label("author", fields.text("author"))
        .sent_at(fields.first_time(&["last_update", "entry_time"]))
        .suppressed(suppressed)
        .problem(problem);
    if state == EventState::Firing {
        draft = draft.starts_at(changed);
    }
    Ok(notification::finish(draft, service_id.is_some()))
}

fn word(fields: Fields, service: bool) -> Option<&'static str> {
    match (service, fields.integer("state")?) {
        (true, 0) => Some("OK"),
        (true, 1) => Some("WARNING"),
        (true, 2) => Some("CRITICAL"),
        (false, 0) => Some("UP"),
        (false, 1) => Some("DOWN"),
        (false, 2) => Some("UNREACHABLE"),
        _ => Some("UNKNOWN"),
    }
}

fn state_of(fields: Fields, service: bool) -> (EventState, Option<Suppressed>, Option<String>) {
    if fields.word("kind") == "acknowledgement" {
        return (EventState::Acknowledged, None, None);
    }
    if fields.word("kind") == "downtime" {
        return (EventState::Info, Some(Suppressed::Downtime), None);
    }
    let word = word(fields, service);
    let positive = |path| fields.integer(path).is_some_and(|n| n > 0);
    match word {
        Some("OK" | "UP") => (EventState::Resolved, None, None),
        _ if positive("scheduled_downtime_depth") => {
            (EventState::Info, Some(Suppressed::Downtime), None)
        }
        _ if fields.flag("flapping") == Some(true) => {
            (EventState::Info, Some(Suppressed::Flapping), None)
        }
        // A soft state is not confirmed yet; the hard one follows.
        _ if fields.integer("state_type") == Some(0) => (EventState::Info, None, None),
        Some("UNREACHABLE") => (EventState::Info, Some(Suppressed::Unreachable), None),
        _ if fields.flag("acknowledged") == Some(true) => (EventState::Acknowledged, None, None),
        Some(_) => (EventState::Firing, None, None),
        None => {
            let problem = "`state` is missing or no number: taken as a problem".to_owned();
            (EventState::Firing, None, Some(problem))
        }
    }
}
