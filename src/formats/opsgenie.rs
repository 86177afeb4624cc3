//! Opsgenie Alert API as a receiver: creating, closing, acknowledging and heartbeats, as its
//! clients call them. The path says the action and, but for creating, the alert.

use super::draft::{Draft, derived_key};
use super::fields::{Fields, bare_host, holds};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, words};
use crate::model::{Event, EventState, Identity, SeverityHint, Suppressed};

/// Opsgenie Alert API.
pub struct Opsgenie;

const PRIORITIES: [(&str, SeverityHint); 1] = [("p4", SeverityHint::Degradation)];

/// What the path asks for.
struct Call {
    /// The alert's identifier, decoded; empty when creating.
    identifier: String,
    /// `close`, `acknowledge`, ...; empty for the alert itself.
    action: String,
}

impl Format for Opsgenie {
    fn name(&self) -> &'static str {
        "opsgenie"
    }

    fn about(&self) -> About {
        About {
            title: "Opsgenie Alert API (as a receiver)",
            says: "problem, repeat, acknowledged, unacknowledged, snoozed, recovery, heartbeat",
            identity: "alias or identifier in the path; without alias: message, entity and source",
            auth: "GenieKey, bearer, header, address",
        }
    }

    fn detect(&self, request: &Request) -> Detection {
        let genie = request
            .header("authorization")
            .is_some_and(|value| value.starts_with("GenieKey "));
        if genie || below_alerts(request.path).is_some() || request.path.contains("/v2/heartbeats/")
        {
            return Detection::Certain;
        }
        if holds(request, &["message", "alias"]) || holds(request, &["message", "responders"]) {
            Detection::Possible
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        if let Some((_, rest)) = request.path.split_once("/v2/heartbeats/") {
            let name = decoded(rest.split('/').next().unwrap_or(rest));
            let mut ping = Decoded::ignored(format!("heartbeat `{name}` was heard"));
            ping.problems.push(format!(
                "`{name}` is no heartbeat of this source: its silence will not be noticed until it \
                 stands among the source's `heartbeats`"
            ));
            return Ok(ping);
        }
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let call = call_of(request.path);
        if call.identifier.is_empty() {
            return created(fields).map(Decoded::one);
        }
        if call.identifier == "requests" {
            return Ok(Decoded::ignored("a question for the state of a request"));
        }
        let deleted = request.method == "DELETE" && call.action.is_empty();
        acted(fields, &call, deleted)
    }
}

fn decoded(segment: &str) -> String {
    let pair = format!("x={}", segment.replace('+', "%2B"));
    url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// What follows `/v2/alerts`; Alertmanager's path ends like it.
fn below_alerts(path: &str) -> Option<&str> {
    let (before, rest) = path.split_once("/v2/alerts")?;
    (!before.ends_with("/api")).then_some(rest)
}

fn call_of(path: &str) -> Call {
    let rest = below_alerts(path).unwrap_or("");
    let mut segments = rest.trim_matches('/').split('/');
    Call {
        identifier: segments.next().map(decoded).unwrap_or_default(),
        action: segments.next().unwrap_or_default().to_owned(),
    }
}

fn created(fields: Fields) -> Result<Event, Undecodable> {
    let message = fields.text("message");
    let identity = match fields.text("alias") {
        Some(alias) => Identity::key(alias),
        None => message.as_ref().and_then(|message| {
            derived_key(&[message, &fields.word("entity"), &fields.word("source")])
        }),
    };
    let odd = message
        .is_none()
        .then(|| "`message` is missing; one line for people was expected".to_owned());
    let priority = fields.text("priority").unwrap_or_else(|| "P3".to_owned());
    let (hint, odd_word) = words::judged_hint("priority", Some(&priority), &PRIORITIES);
    let details = fields.at("details");
    let tags: Vec<String> = fields
        .list("tags")
        .into_iter()
        .filter_map(Fields::as_text)
        .collect();
    let entity = fields.text("entity");
    let host = details
        .first(&["host", "hostname", "instance"])
        .or_else(|| entity.clone())
        .map(|host| bare_host(&host));
    let draft = Draft::new(EventState::Firing, identity, "`alias` or `message`")?
        .site(details.text("site"))
        .host(host)
        .check(details.text("alertname"))
        .severity(Some(priority), hint)
        .summary(message)
        .details(fields.text("description"))
        .labels(fields.words("details"))
        .label("entity", entity)
        .label("source", fields.text("source"))
        .label("tags", (!tags.is_empty()).then(|| tags.join(",")))
        .link(fields.text("source"))
        .problem(odd)
        .problem(odd_word);
    Ok(draft.finish_with_signals())
}

/// An action on an alert that was created before.
fn acted(fields: Fields, call: &Call, deleted: bool) -> Result<Decoded, Undecodable> {
    let state = match call.action.as_str() {
        "close" => EventState::Resolved,
        "" if deleted => EventState::Resolved,
        "acknowledge" => EventState::Acknowledged,
        "unacknowledge" => EventState::Firing,
        "snooze" => EventState::Info,
        "message" => EventState::Firing,
        "" => return Ok(Decoded::ignored("a question for an alert")),
        other => {
            return Ok(Decoded::ignored(format!(
                "`{other}` of an alert changes nothing here"
            )));
        }
    };
    let until = fields.time("endTime");
    let snoozed = (state == EventState::Info).then_some(Suppressed::Downtime);
    let draft = Draft::new(
        state,
        Identity::key(&call.identifier),
        "the alert's identifier in the path",
    )?
    .summary(fields.text("message"))
    .details(fields.text("note"))
    .label("user", fields.text("user"))
    .label("source", fields.text("source"))
    .ends_at(until)
    .suppressed(snoozed);
    Ok(Decoded::one(draft.finish_with_signals()))
}
