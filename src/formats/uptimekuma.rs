//! Uptime Kuma: JSON, a form with the JSON in `data`, a GET with the parts in the query, and the
//! small custom body of title, monitor and status. Times are UTC without a zone. Certificate and
//! domain notices have neither monitor nor heartbeat: only their text tells.

use super::draft::{Draft, key_of};
use super::fields::{Fields, holds, host_of_url, mentions};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, words};
use crate::model::{ComponentKind, Event, EventState, Identity, SeverityHint, Suppressed, Time};
use serde_json::Value;

/// Uptime Kuma.
pub struct UptimeKuma;

const STATES: [(&str, EventState); 4] = [
    ("0", EventState::Firing),
    ("1", EventState::Resolved),
    ("2", EventState::Info),
    ("3", EventState::Info),
];

impl Format for UptimeKuma {
    fn name(&self) -> &'static str {
        "uptimekuma"
    }

    fn about(&self) -> About {
        About {
            title: "Uptime Kuma",
            says: "problem, repeat, recovery, maintenance, certificate notice, test",
            identity: "monitor id; notices: name and URL or domain",
            auth: "header, secret in the URL",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"heartbeat":{"monitorID":"alertbridge-test","status":0,"msg":"test"},"monitor":{"id":"alertbridge-test","name":"alertbridge-test"},"msg":"[alertbridge-test] test"}"#,
            r#"{"heartbeat":{"monitorID":"alertbridge-test","status":1,"msg":"test"},"monitor":{"id":"alertbridge-test","name":"alertbridge-test"},"msg":"[alertbridge-test] test"}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        let json = mentions(request, &["\"heartbeat\"", "\"monitor\"", "\"msg\""]);
        let query = holds(request, &["heartbeat", "monitor", "msg"]);
        let form = mentions(request, &["\"monitorID\"", "\"heartbeat\""]);
        let custom = mentions(request, &["\"monitor\"", "\"status\"", "Uptime Kuma"])
            && !mentions(request, &["routing_key"]);
        if json || query || form || custom {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let value = match Fields::of(&body.value).text("data") {
            Some(data) => nested(&data)?,
            None => body.value,
        };
        let fields = Fields::of(&value);
        let heartbeat = inner(fields, "heartbeat")?;
        let monitor = inner(fields, "monitor")?;
        let message = fields.word("msg");
        if heartbeat.is_object() || monitor.is_object() {
            let (heartbeat, monitor) = (Fields::of(&heartbeat), Fields::of(&monitor));
            return beat(heartbeat, monitor, &message).map(Decoded::one);
        }
        if fields.has("monitor") && fields.has("status") {
            return custom(fields).map(Decoded::one);
        }
        if message.ends_with("Testing") {
            return Ok(Decoded::ignored("a test of the notification"));
        }
        notice(&message).map(Decoded::one)
    }
}

fn nested(text: &str) -> Result<Value, Undecodable> {
    Ok(body::parse(text)?.value)
}

/// A part that is an object, or the text of one.
fn inner(fields: Fields, name: &str) -> Result<Value, Undecodable> {
    match fields.at(name).value() {
        Value::String(text) if text.trim_start().starts_with('{') => nested(text),
        other => Ok(other.clone()),
    }
}

/// `2026-08-21 06:32:40.812`, UTC.
fn utc(text: &str) -> Option<Time> {
    let (date, time) = text.trim().split_once(' ')?;
    Time::parse_rfc3339(&format!("{date}T{time}Z"))
}

fn beat(heartbeat: Fields, monitor: Fields, message: &str) -> Result<Event, Undecodable> {
    let id = monitor.text("id").or_else(|| heartbeat.text("monitorID"));
    let word = heartbeat.text("status");
    let (state, odd) = words::judged_state("heartbeat.status", word.as_deref(), &STATES);
    let tags = monitor.list("tags");
    let tag = |wanted: &str| {
        tags.iter()
            .find(|tag| tag.word("name").eq_ignore_ascii_case(wanted))
            .and_then(|tag| tag.text("value"))
    };
    let severity = tag("severity");
    let (hint, odd_word) = match &severity {
        Some(word) => words::judged_hint("tag severity", Some(word), &[]),
        None if state == EventState::Firing && odd.is_none() => (SeverityHint::Outage, None),
        None => (SeverityHint::Unknown, None),
    };
    let host = monitor
        .text("hostname")
        .or_else(|| host_of_url(&monitor.word("url")));
    let labels: Vec<(String, String)> = tags
        .iter()
        .filter_map(|tag| Some((tag.text("name")?, tag.text("value")?)))
        .collect();
    let maintenance = word.as_deref() == Some("3");
    let at = utc(&heartbeat.word("time"));
    let draft = Draft::new(
        state,
        id.and_then(Identity::key),
        "`monitor.id` or `heartbeat.monitorID`",
    )?
    .site(tag("site"))
    .host(host)
    .component(monitor.text("port").map(|port| format!("port {port}")))
    .check(monitor.text("name"))
    .severity(severity, hint)
    .summary(Some(message.to_owned()).filter(|text| !text.is_empty()))
    .details(heartbeat.text("msg"))
    .labels(labels)
    .label("type", monitor.text("type"))
    .label("path", monitor.text("pathName"))
    .link(monitor.text("url").filter(|url| url.len() > 8))
    .sent_at(at)
    .suppressed(maintenance.then_some(Suppressed::Downtime))
    .problem(odd)
    .problem(odd_word);
    let draft = match state {
        EventState::Resolved => draft.ends_at(at).starts_at(heartbeat.time("lastDownTime")),
        // A reminder is no new beginning.
        EventState::Firing if heartbeat.flag("important") != Some(false) => draft.starts_at(at),
        _ => draft,
    };
    Ok(draft.finish_with_signals())
}

fn custom(fields: Fields) -> Result<Event, Undecodable> {
    let name = fields.text("monitor");
    let word = fields.text("status");
    let (state, odd) = words::judged_state("status", word.as_deref(), &STATES);
    let hint = match state {
        EventState::Firing if odd.is_none() => SeverityHint::Outage,
        _ => SeverityHint::Unknown,
    };
    let identity = name.as_ref().and_then(Identity::key);
    let draft = Draft::new(state, identity, "`monitor`")?
        .check(name)
        .hint(hint)
        .summary(fields.first(&["title", "msg"]))
        .problem(odd);
    Ok(draft.finish_with_signals())
}

/// `[name][url] server certificate ... will expire in 7 days`, `Domain name x will expire ...`.
fn notice(message: &str) -> Result<Event, Undecodable> {
    let before = |word: &str| message.split_once(word).map(|(before, _)| before.trim());
    let certificate = before("] ").and_then(|names| {
        let (name, url) = names.trim_start_matches('[').split_once("][")?;
        message
            .contains("certificate")
            .then(|| (key_of(&["certificate", name, url]), host_of_url(url)))
    });
    let domain = || {
        let rest = message.split_once("Domain name ")?.1;
        let (name, _) = rest.split_once(" will expire")?;
        Some((key_of(&["domain", name]), Some(name.to_owned())))
    };
    let (key, host) = match certificate.or_else(domain) {
        Some((key, host)) => (key, host),
        None => (None, None),
    };
    let draft = Draft::new(
        EventState::Firing,
        key,
        "`monitor`, or a notice of a certificate or domain in `msg`",
    )?
    .host(host)
    .kind(ComponentKind::Certificate)
    .summary(message.to_owned());
    Ok(draft.finish())
}
