//! CloudEvents 1.0 over HTTP, in its three modes: structured, batch, and binary with the
//! attributes in headers. What a problem is, the standard does not say: source and subject make
//! the identity, the end of the type or `data.state` the state.

use super::draft::{Draft, key_of};
use super::fields::{Fields, bare_host, holds};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, words};
use crate::model::{Event, EventState};
use serde_json::{Map, Value};

/// CloudEvents.
pub struct CloudEvents;

/// Attributes of the standard; all others are extensions and become labels.
const ATTRIBUTES: [&str; 9] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "dataschema",
    "datacontenttype",
    "data",
];

impl Format for CloudEvents {
    fn name(&self) -> &'static str {
        "cloudevents"
    }

    fn about(&self) -> About {
        About {
            title: "CloudEvents 1.0 (structured, batch, binary)",
            says: "problem, recovery, several in one, by the end of the type or `data.state`",
            identity: "source and subject; without subject: source and id",
            auth: "bearer, `access_token` in the URL; asks with OPTIONS first",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"specversion":"1.0","id":"alertbridge-test","source":"/alertbridge","subject":"alertbridge-test","type":"alertbridge.test.raised","data":{"summary":"Test event"}}"#,
            r#"{"specversion":"1.0","id":"alertbridge-test","source":"/alertbridge","subject":"alertbridge-test","type":"alertbridge.test.cleared","data":{"summary":"Test event"}}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        let typed = request
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("application/cloudevents"));
        if typed
            || request.header("ce-specversion").is_some()
            || holds(request, &["specversion", "type"])
        {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        if request.header("ce-specversion").is_some() {
            return event(Fields::of(&from_headers(request)?)).map(Decoded::one);
        }
        match &body::read(request)?.value {
            Value::Array(list) if list.is_empty() => Ok(Decoded::ignored("an empty batch")),
            Value::Array(list) => {
                Decoded::from_members(list.iter().map(|one| event(Fields::of(one))))
            }
            one => event(Fields::of(one)).map(Decoded::one),
        }
    }
}

/// The binary mode as the structured one.
fn from_headers(request: &Request) -> Result<Value, Undecodable> {
    let mut object = Map::new();
    for (name, value) in request.headers {
        if let Some(name) = name.strip_prefix("ce-") {
            object.insert(name.to_owned(), unquoted(value).into());
        }
    }
    if !request.body.is_empty() {
        object.insert("data".to_owned(), body::read(request)?.value);
    }
    Ok(Value::Object(object))
}

/// A header's value: quotes taken off, then decoded once.
fn unquoted(value: &str) -> String {
    let value = value.trim();
    let inner = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    let plain = match inner {
        Some(inner) => inner.replace("\\\"", "\"").replace("\\\\", "\\"),
        None => value.to_owned(),
    };
    let pair = format!("x={}", plain.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map_or(plain, |(_, decoded)| decoded.into_owned())
}

fn event(fields: Fields) -> Result<Event, Undecodable> {
    let source = fields.text("source");
    let subject = fields.text("subject");
    let identity = match (&source, &subject, fields.text("id")) {
        (Some(source), Some(subject), _) => key_of(&[source, subject]),
        (Some(source), None, Some(id)) => key_of(&[source, "", &id]),
        _ => None,
    };
    let kind = fields.text("type");
    let data = fields.at("data");
    let last = kind
        .as_deref()
        .and_then(|kind| kind.rsplit(['.', '/', ':', '_']).next());
    let (state, odd) = match last.and_then(words::state) {
        Some(state) => (state, None),
        None => {
            let word = data.first(&["state", "status"]);
            match word {
                Some(word) => words::judged_state("data.state", Some(&word), &[]),
                None => words::judged_state("type", kind.as_deref(), &[]),
            }
        }
    };
    let severity = fields
        .first(&["severitytext", "severity"])
        .or_else(|| data.text("severity"));
    let (hint, odd_word) = words::judged_hint("severity", severity.as_deref(), &[]);
    let summary = data
        .first(&["summary", "message", "title"])
        .or_else(|| data.as_text())
        .or_else(|| match (&kind, &subject) {
            (Some(kind), Some(subject)) => Some(format!("{subject}: {kind}")),
            (kind, _) => kind.clone(),
        });
    let host = data.first(&["host", "hostname", "device"]);
    let at = fields.time("time");
    let mut draft = Draft::new(state, identity, "`source` and `subject` or `id`")?
        .host(host.map(|host| bare_host(&host)))
        .component(data.first(&["component", "interface", "sensor"]))
        .check(kind)
        .severity(severity, hint)
        .summary(summary)
        .label("source", source)
        .label("subject", subject)
        .label("dataschema", fields.text("dataschema"))
        .sent_at(at)
        .problem(odd)
        .problem(odd_word);
    if data.value().is_object() || data.value().is_array() {
        draft = draft.details(data.value().to_string());
    }
    for (name, value) in fields.entries() {
        if !ATTRIBUTES.contains(&name) && name != "data_base64" {
            draft = draft.label(name, value.as_word());
        }
    }
    let draft = match state {
        EventState::Resolved => draft.ends_at(at),
        EventState::Firing => draft.starts_at(at),
        _ => draft,
    };
    Ok(draft.finish_with_signals())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_are_unquoted_and_decoded_once() {
        assert_eq!(
            unquoted("edge-sw1/inlet%20caf%C3%A9"),
            "edge-sw1/inlet café"
        );
        assert_eq!(unquoted("\"a \\\"b\\\"\""), "a \"b\"");
        assert_eq!(unquoted("100%2525 & a+b"), "100%25 & a+b");
    }
}
