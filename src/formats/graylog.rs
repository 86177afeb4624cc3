//! Graylog: event notifications (1 and the templated 2) and the alarm callback of old versions.
//! Graylog only says that something happened; there is no recovery.

use super::draft::{Draft, key_of};
use super::fields::{Fields, bare_host, holds};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, words};
use crate::model::{Event, EventState, SeverityHint};

/// Graylog.
pub struct Graylog;

const PRIORITIES: [(&str, SeverityHint); 4] = [
    ("1", SeverityHint::Unknown),
    ("2", SeverityHint::Degradation),
    ("3", SeverityHint::Degradation),
    ("4", SeverityHint::Outage),
];

impl Format for Graylog {
    fn name(&self) -> &'static str {
        "graylog"
    }

    fn about(&self) -> About {
        About {
            title: "Graylog (event notifications, old alarm callbacks)",
            says: "problem, repeat, test",
            identity: "event definition and key fields; old: stream and condition",
            auth: "basic, header, key in the URL",
        }
    }

    fn detect(&self, request: &Request) -> Detection {
        if holds(request, &["event_definition_id", "event.id"])
            || holds(request, &["event_definition_id", "event_definition_title"])
            || holds(request, &["check_result.triggered_condition", "stream.id"])
        {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let event = if fields.has("check_result") {
            callback(fields)
        } else if fields.has("event_definition_id") || fields.has("event") {
            notification(fields)
        } else {
            templated(fields)
        }?;
        Ok(Decoded::one(event))
    }
}

/// `<unknown>` stands for an empty text.
fn known(text: Option<String>) -> Option<String> {
    text.filter(|text| text != "<unknown>")
}

fn notification(fields: Fields) -> Result<Event, Undecodable> {
    let event = fields.at("event");
    let definition = known(fields.first(&["event_definition_id", "event.event_definition_id"]));
    let groups = event.labels("group_by_fields");
    let key = event.text("key").or_else(|| {
        let values: Vec<&str> = groups.values().map(String::as_str).collect();
        (!values.is_empty()).then(|| values.join("|"))
    });
    let identity = definition
        .as_ref()
        .and_then(|definition| key_of(&[definition, key.as_deref().unwrap_or("")]));
    let severity = event.text("priority");
    let (hint, odd) = words::judged_hint("event.priority", severity.as_deref(), &PRIORITIES);
    let host = ["source", "host", "hostname", "gl2_source_input"]
        .iter()
        .find_map(|name| groups.get(*name).cloned())
        .or_else(|| event.first(&["fields.host", "fields.hostname", "fields.source"]))
        .or_else(|| fields.text("backlog.0.source"));
    let test = event.word("id") == "TEST_NOTIFICATION_ID";
    let draft = Draft::new(EventState::Firing, identity, "`event_definition_id`")?
        .host(host.map(|host| bare_host(&host)))
        .check(known(fields.text("event_definition_title")))
        .severity(severity, hint)
        .summary(known(event.text("message")))
        .details(fields.first(&[
            "backlog.0.message",
            "remediation_steps",
            "event_definition_description",
        ]))
        .labels(event.words("fields"))
        .labels(groups)
        .label("key", key)
        .label("graylog_node", event.text("source"))
        .starts_at(event.first_time(&["timerange_start", "timestamp"]))
        .sent_at(event.time("timestamp"))
        .test(test)
        .problem(odd);
    Ok(draft.finish_with_signals())
}

/// A template of the user's: title and key, with the names that the manual proposes.
fn templated(fields: Fields) -> Result<Event, Undecodable> {
    let title = fields.first(&["title", "event_definition_title"]);
    let identity = title
        .as_ref()
        .and_then(|title| key_of(&[title, &fields.word("key")]));
    let severity = fields.text("priority");
    let (hint, odd) = words::judged_hint("priority", severity.as_deref(), &PRIORITIES);
    let draft = Draft::new(EventState::Firing, identity, "`title` and `key`")?
        .check(title.clone())
        .severity(severity, hint)
        .summary(fields.text("message").or(title))
        .label("key", fields.text("key"))
        .starts_at(fields.first_time(&["time", "timestamp"]))
        .problem(odd);
    Ok(draft.finish_with_signals())
}

fn callback(fields: Fields) -> Result<Event, Undecodable> {
    let result = fields.at("check_result");
    let condition = result.at("triggered_condition");
    let identity = match (fields.text("stream.id"), condition.text("id")) {
        (Some(stream), Some(condition)) => key_of(&[&stream, &condition]),
        _ => None,
    };
    let state = match result.flag("triggered") {
        Some(false) => EventState::Resolved,
        _ => EventState::Firing,
    };
    let draft = Draft::new(
        state,
        identity,
        "`stream.id` and `check_result.triggered_condition.id`",
    )?
    .host(result.text("matching_messages.0.source"))
    .check(condition.text("title"))
    .summary(result.text("result_description"))
    .details(result.text("matching_messages.0.message"))
    .label("stream", fields.text("stream.title"))
    .label("condition_type", condition.text("type"))
    .starts_at(result.time("triggered_at"));
    Ok(draft.finish_with_signals())
}
