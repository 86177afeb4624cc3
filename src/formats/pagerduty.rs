//! PagerDuty Events API, version 2 (`/v2/enqueue`) and 1, as a receiver: what any client of that
//! API sends, with nothing changed but the URL. The routing key selects the source, is a secret
//! and stays out of the event.

use super::draft::{Draft, derived_key};
use super::fields::{Fields, bare_host, holds};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, words};
use crate::model::{Event, EventState, Identity};

/// PagerDuty Events API.
pub struct PagerDuty;

impl Format for PagerDuty {
    fn name(&self) -> &'static str {
        "pagerduty"
    }

    fn about(&self) -> About {
        About {
            title: "PagerDuty Events API v2 and v1 (as a receiver)",
            says: "problem, repeat, acknowledged, recovery",
            identity: "`dedup_key`; a trigger without one: source, component, class and summary",
            auth: "routing key, bearer, header, address",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"routing_key":"test","event_action":"trigger","dedup_key":"alertbridge-test","payload":{"summary":"Test event","source":"alertbridge-test","severity":"info"}}"#,
            r#"{"routing_key":"test","event_action":"resolve","dedup_key":"alertbridge-test","payload":{"summary":"Test event","source":"alertbridge-test","severity":"info"}}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        let path = request.path;
        if path.ends_with("/v2/enqueue") || path.ends_with("/v2/change/enqueue") {
            return Detection::Certain;
        }
        if holds(request, &["routing_key", "event_action"])
            || holds(request, &["routing_key", "payload.summary"])
            || holds(request, &["service_key", "event_type"])
        {
            Detection::Certain
        } else if holds(request, &["event_action", "dedup_key"])
            || holds(request, &["event_action", "payload.summary"])
        {
            Detection::Possible
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        if fields.has("event_type") && !fields.has("event_action") {
            return first_version(fields).map(Decoded::one);
        }
        let change = request.path.ends_with("/change/enqueue")
            || (!fields.has("event_action") && !fields.has("dedup_key"));
        if change {
            let summary = fields.word("payload.summary");
            return Ok(Decoded::ignored(format!("a change event: {summary}")));
        }
        second_version(fields).map(Decoded::one)
    }
}

fn second_version(fields: Fields) -> Result<Event, Undecodable> {
    let payload = fields.at("payload");
    let action = fields.text("event_action");
    let (state, odd) = words::judged_state("event_action", action.as_deref(), &[]);
    let part = |name: &str| payload.word(name);
    let key = fields.text("dedup_key").and_then(Identity::key);
    let identity = match state {
        EventState::Firing if key.is_none() && payload.has("source") => derived_key(&[
            &part("source"),
            &part("component"),
            &part("class"),
            &part("summary"),
        ]),
        _ => key,
    };
    let severity = payload.text("severity");
    let (hint, odd_word) = words::judged_hint("payload.severity", severity.as_deref(), &[]);
    let details = payload.at("custom_details");
    let client = fields.text("client");
    // Monitors that name themselves as the source do not name a host.
    let host = payload
        .text("source")
        .filter(|source| Some(source) != client.as_ref())
        .map(|source| bare_host(&source));
    let mut draft = Draft::new(
        state,
        identity,
        "`dedup_key`, or for a trigger `payload.source`",
    )?
    .host(host)
    .component(payload.text("component"))
    .check(payload.text("class"))
    .severity(severity, hint)
    .summary(payload.text("summary"))
    .details(written(details))
    .label("group", payload.text("group"))
    .label("client", fields.text("client"))
    .link(fields.text("client_url"))
    .sent_at(payload.time("timestamp"))
    .problem(odd)
    .problem(odd_word);
    if state == EventState::Firing {
        draft = draft.starts_at(payload.time("timestamp"));
    }
    for link in fields
        .list("links")
        .into_iter()
        .chain(fields.list("images"))
    {
        draft = draft.link(link.text("href"));
    }
    Ok(draft.finish_with_signals())
}

/// Free details, one name a line.
fn written(details: Fields) -> String {
    if let Some(text) = details.as_text() {
        return text;
    }
    let lines: Vec<String> = details
        .entries()
        .into_iter()
        .filter_map(|(name, value)| match value.as_word() {
            Some(text) => Some(format!("{name}: {text}")),
            None if value.value().is_object() || value.value().is_array() => {
                Some(format!("{name}: {}", value.value()))
            }
            None => None,
        })
        .collect();
    lines.join("\n")
}

fn first_version(fields: Fields) -> Result<Event, Undecodable> {
    let kind = fields.text("event_type");
    let (state, odd) = words::judged_state("event_type", kind.as_deref(), &[]);
    let key = fields.text("incident_key").and_then(Identity::key);
    let identity = match state {
        EventState::Firing if key.is_none() => derived_key(&[&fields.word("description")]),
        _ => key,
    };
    let details = fields.at("details");
    let draft = Draft::new(state, identity, "`incident_key`")?
        .summary(fields.text("description"))
        .details(written(details))
        .label("client", fields.text("client"))
        .link(fields.text("client_url"))
        .problem(odd);
    Ok(draft.finish_with_signals())
}
