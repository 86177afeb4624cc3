//! The bridge's own event, one or a list: `POST /v1/events` and `alertbridge notify`.
//!
//! Needed: `summary`, and `dedup_key` or `host` with `component` or `check`. Unknown fields are
//! named in the event's problems and kept as labels.

use super::draft::Draft;
use super::fields::Fields;
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, words};
use crate::model::{Event, Identity, SeverityHint, Suppressed};
use serde_json::Value;

/// The native event.
pub struct Native;

const KNOWN: [&str; 18] = [
    "dedup_key",
    "state",
    "severity",
    "summary",
    "details",
    "site",
    "host",
    "component",
    "check",
    "service",
    "labels",
    "links",
    "starts_at",
    "ends_at",
    "sent_at",
    "test",
    "suppressed",
    "severity_hint",
];

impl Format for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn about(&self) -> About {
        About {
            title: "alertbridge native event",
            says: "problem, repeat, acknowledged, recovery, notice, test",
            identity: "`dedup_key`, or `site`, `host`, `component` and `check`",
            auth: "bearer, basic, header, HMAC, certificate, address",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"state":"problem","summary":"Test problem","host":"alertbridge-test","check":"test","test":true}"#,
            r#"{"state":"recovery","summary":"Test recovery","host":"alertbridge-test","check":"test","test":true}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        if request.path.ends_with("/v1/events") {
            return Detection::Certain;
        }
        let Ok(body) = body::read(request) else {
            return Detection::No;
        };
        let first = body
            .value
            .as_array()
            .and_then(|list| list.first())
            .unwrap_or(&body.value);
        let fields = Fields::of(first);
        let named = fields.has("dedup_key") || (fields.has("host") && fields.has("check"));
        if named && fields.has("summary") {
            Detection::Possible
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        match &body.value {
            Value::Array(list) => Decoded::from_members(list.iter().map(event)),
            one => event(one).map(|event| Decoded {
                events: vec![event],
                ..Decoded::default()
            }),
        }
    }
}

/// One event from its native fields.
pub(super) fn event(value: &Value) -> Result<Event, Undecodable> {
    let fields = Fields::of(value);
    if !value.is_object() {
        return Err(Undecodable::because(
            "an event is a JSON object with `summary`",
        ));
    }
    let part = |name: &str| fields.text(name).unwrap_or_default();
    let identity = fields
        .text("dedup_key")
        .and_then(Identity::key)
        .or_else(|| {
            Identity::object(
                &part("site"),
                &part("host"),
                &part("component"),
                &part("check"),
            )
        });
    let word = fields.text("state").unwrap_or_else(|| "firing".to_owned());
    let (state, odd) = words::judged_state("state", Some(&word), &[]);
    let severity = fields.text("severity");
    let given: Option<SeverityHint> = fields
        .text("severity_hint")
        .and_then(|word| serde_json::from_value(Value::String(word)).ok());
    let (hint, odd_word) = match given {
        Some(hint) => (hint, None),
        None => words::judged_hint("severity", severity.as_deref(), &[]),
    };
    let suppressed: Option<Suppressed> = fields
        .text("suppressed")
        .and_then(|word| serde_json::from_value(Value::String(word)).ok());
    if fields.text("summary").is_none() {
        return Err(Undecodable::because(
            "`summary` is missing; one line for people was expected",
        ));
    }
    let mut draft = Draft::new(
        state,
        identity,
        "`dedup_key` or `host` with `component` or `check`",
    )?
    .site(fields.text("site"))
    .host(fields.text("host"))
    .component(fields.text("component"))
    .check(fields.text("check"))
    .service(fields.text("service"))
    .severity(severity, hint)
    .summary(fields.text("summary"))
    .details(fields.text("details"))
    .labels(fields.words("labels"))
    .starts_at(fields.time("starts_at"))
    .ends_at(fields.time("ends_at"))
    .sent_at(fields.time("sent_at"))
    .suppressed(suppressed)
    .test(fields.flag("test").unwrap_or(false))
    .problem(odd)
    .problem(odd_word);
    for link in fields.list("links") {
        draft = draft.link(link.as_text());
    }
    for (name, _) in fields.entries() {
        if !KNOWN.contains(&name) {
            draft = draft.problem(format!("field `{name}` is not known: kept as a label"));
            draft = draft.label(name, fields.text(name));
        }
    }
    let mut event = draft.finish();
    if !fields.has("severity_hint") {
        super::signals::apply(&mut event);
    }
    Ok(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_it_was_sent_orders_events_and_makes_no_other_problem_of_a_repeat() {
        let sent = |at: &str| {
            let value = serde_json::json!({
                "summary": "disk full", "host": "db-1", "check": "disk", "sent_at": at
            });
            event(&value).unwrap()
        };
        let (one, other) = (sent("2026-06-01T00:00:00Z"), sent("2026-06-01T00:05:00Z"));
        assert!(one.sent_at < other.sent_at && one.sent_at.is_some());
        assert_eq!(
            (&one.labels, &one.identity),
            (&other.labels, &other.identity)
        );
        assert!(one.problems.is_empty(), "{:?}", one.problems);
    }
}
