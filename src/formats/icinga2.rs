//! Icinga 2: notification commands (the environment of the stock scripts, or JSON by our command
//! definition), and the lines of its event stream, which a puller posts as they come. A check
//! result, comment or configuration change in the stream says nothing about a problem.

use super::draft::Draft;
use super::fields::{Fields, mentions, mentions_any, names_source};
use super::notification::{self, Notification};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body};
use crate::model::{Event, EventState, Identity, Suppressed};
use serde_json::Value;

/// Icinga 2.
pub struct Icinga2;

impl Format for Icinga2 {
    fn name(&self) -> &'static str {
        "icinga2"
    }

    fn about(&self) -> About {
        About {
            title: "Icinga 2 (notification commands, event stream)",
            says: "problem, repeat, acknowledged, flapping, downtime, unreachable, recovery, custom, test",
            identity: "host, or host and service",
            auth: "bearer, basic, header, certificate, address",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"source":"icinga2","type":"PROBLEM","host":"alertbridge-test","service":"test","state":"WARNING","output":"test"}"#,
            r#"{"source":"icinga2","type":"RECOVERY","host":"alertbridge-test","service":"test","state":"OK","output":"test"}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        let environment = mentions(request, &["NOTIFICATIONTYPE=", "HOSTDISPLAYNAME="]);
        let stream = mentions(request, &["\"check_result\"", "\"state_type\""])
            || mentions(request, &["\"acknowledgement_type\"", "\"expiry\""]);
        let command = mentions(
            request,
            &["\"last_state_change\"", "\"perfdata\"", "\"host\""],
        ) && mentions_any(request, &["\"notification_type\"", "\"type\""]);
        if environment || stream || command || names_source(request, "icinga2") {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let lines = match &body.value {
            Value::Array(lines) => lines.as_slice(),
            one => std::slice::from_ref(one),
        };
        let from_stream = lines.iter().any(|line| is_stream(Fields::of(line)));
        if !from_stream {
            return Notification::new(Fields::of(&body.value), "").decoded();
        }
        let mut members = lines
            .iter()
            .filter_map(|line| stream_event(Fields::of(line)));
        let Some(first) = members.next() else {
            return Ok(Decoded::ignored(
                "check results, comments and changes of objects say nothing about a problem",
            ));
        };
        Decoded::from_members(std::iter::once(first).chain(members))
    }
}

fn is_stream(line: Fields) -> bool {
    line.has("timestamp")
        && line
            .word("type")
            .starts_with(|c: char| c.is_ascii_uppercase())
        && line.word("type") != line.word("type").to_ascii_uppercase()
}

/// One line of the stream; `None` for lines that say nothing about a problem.
fn stream_event(line: Fields) -> Option<Result<Event, Undecodable>> {
    let kind = line.word("type");
    let (state, suppressed, kind) = match kind.as_str() {
        "StateChange" if line.integer("state_type") == Some(0) => return None,
        "StateChange" => by_state(line),
        "Notification" => {
            let told = notification::told(&line.word("notification_type"), word(line));
            (told.state, told.suppressed, line.word("notification_type"))
        }
        "AcknowledgementSet" => (EventState::Acknowledged, None, String::new()),
        "AcknowledgementCleared" if well(line) => return None,
        "AcknowledgementCleared" => (EventState::Firing, None, String::new()),
        "Flapping" => {
            let begins = line.flag("is_flapping") == Some(true);
            let kind = if begins {
                "FLAPPINGSTART"
            } else {
                "FLAPPINGEND"
            };
            (
                EventState::Info,
                Some(Suppressed::Flapping),
                kind.to_owned(),
            )
        }
        "DowntimeStarted" | "DowntimeTriggered" => (
            EventState::Info,
            Some(Suppressed::Downtime),
            "DOWNTIMESTART".to_owned(),
        ),
        "DowntimeRemoved" => (
            EventState::Info,
            Some(Suppressed::Downtime),
            "DOWNTIMEEND".to_owned(),
        ),
        _ => return None,
    };
    let unreachable = line.flag("check_result.vars_after.reachable") == Some(false);
    let suppressed = match state {
        EventState::Firing if unreachable => Some(Suppressed::Unreachable),
        _ => suppressed,
    };
    Some(object_event(line, state, suppressed, &kind))
}

fn by_state(line: Fields) -> (EventState, Option<Suppressed>, String) {
    let state = if well(line) {
        EventState::Resolved
    } else {
        EventState::Firing
    };
    (state, None, String::new())
}

fn well(line: Fields) -> bool {
    matches!(word(line), Some("OK" | "UP"))
}

/// The state's word by its number.
fn word(line: Fields) -> Option<&'static str> {
    let number = line
        .integer("state")
        .or_else(|| line.integer("check_result.state"))?;
    let service = line.first(&["service", "downtime.service_name"]).is_some();
    match (service, number) {
        (true, 0) => Some("OK"),
        (true, 1) => Some("WARNING"),
        (true, 2) => Some("CRITICAL"),
        (true, _) => Some("UNKNOWN"),
        (false, 0) => Some("UP"),
        (false, _) => Some("DOWN"),
    }
}

fn object_event(
    line: Fields,
    state: EventState,
    suppressed: Option<Suppressed>,
    kind: &str,
) -> Result<Event, Undecodable> {
    let host = line.first(&["host", "downtime.host_name"]);
    let service = line.first(&["service", "downtime.service_name"]);
    let check = service.as_deref().unwrap_or("HOST");
    let word = word(line);
    let identity = Identity::object("", host.as_deref().unwrap_or(""), "", check);
    let output = line.first(&["check_result.output", "comment", "downtime.comment", "text"]);
    let first_line = output.as_deref().and_then(|text| text.lines().next());
    let object = match (&service, &host) {
        (Some(service), Some(host)) => format!("{service} on {host}"),
        (_, host) => host.clone().unwrap_or_default(),
    };
    let summary = [Some(object.as_str()), word, first_line];
    let summary: Vec<&str> = summary.into_iter().flatten().collect();
    let at = line.time("timestamp");
    let mut draft = Draft::new(state, identity, "`host`")?
        .severity(
            word.map(str::to_owned),
            notification::hint(service.is_some(), word),
        )
        .summary(summary.join(" - "))
        .details(output.clone())
        .label(
            "notification",
            (!kind.is_empty() && state == EventState::Info).then(|| kind.to_owned()),
        )
        .sent_at(at)
        .suppressed(suppressed);
    if state == EventState::Resolved {
        draft = draft.ends_at(at);
    }
    Ok(notification::finish(draft, service.is_some()))
}
