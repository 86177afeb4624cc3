//! ElastAlert2 `http_post` and `http_post2`: the matched document, or what the user maps from it.
//! There is no recovery. Only a static payload names the rule; without it one source must serve
//! one rule.

use super::draft::{Draft, key_of};
use super::fields::{Fields, bare_host, holds};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, words};
use crate::model::{EventState, SeverityHint};

/// ElastAlert2.
pub struct ElastAlert;

/// Where the thing that a match is about is named, by common query keys.
const OBJECTS: [&str; 9] = [
    "host.name",
    "host.hostname",
    "hostname",
    "host",
    "fields.host",
    "key",
    "source.ip",
    "service.name",
    "user.name",
];

impl Format for ElastAlert {
    fn name(&self) -> &'static str {
        "elastalert"
    }

    fn about(&self) -> About {
        About {
            title: "ElastAlert2 (http_post, http_post2)",
            says: "problem, repeat, no data",
            identity: "rule and query key (host, key, ...)",
            auth: "header, secret in the URL",
        }
    }

    fn detect(&self, request: &Request) -> Detection {
        if holds(request, &["num_hits", "num_matches"]) {
            Detection::Certain
        } else if holds(request, &["@timestamp", "_index", "_id"]) {
            Detection::Possible
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let rule = fields.first(&["rule", "rule_name", "rule.name", "alertname", "title"]);
        let object = fields.first(&OBJECTS);
        let identity = match (&rule, &object) {
            (None, None) => None,
            (rule, object) => key_of(&[
                rule.as_deref().unwrap_or(""),
                object.as_deref().unwrap_or(""),
            ]),
        };
        let nameless = rule.is_none().then(|| {
            "`rule` is missing: put it into http_post_static_payload, or give each rule a source \
             of its own"
                .to_owned()
        });
        let (state, odd) = match fields.text("state") {
            Some(word) => words::judged_state("state", Some(&word), &[]),
            None => (EventState::Firing, None),
        };
        let severity = fields.text("severity");
        let (hint, odd_word) = words::judged_hint("severity", severity.as_deref(), &[]);
        let nothing = fields.integer("num_hits") == Some(0);
        let summary = match (&rule, fields.text("message")) {
            (Some(rule), Some(message)) => Some(format!("{rule}: {message}")),
            (rule, message) => rule.clone().or(message),
        };
        let hint = if nothing && severity.is_none() {
            SeverityHint::Unknown
        } else {
            hint
        };
        let host = fields.first(&[
            "host.name",
            "host.hostname",
            "hostname",
            "host",
            "fields.host",
        ]);
        let at = fields.time("@timestamp");
        let draft = Draft::new(
            state,
            identity,
            "`rule` (by http_post_static_payload) or the query key",
        )?
        .host(host.map(|host| bare_host(&host)))
        .check(rule)
        .severity(severity, hint)
        .summary(summary)
        .details(fields.text("message"))
        .label("log_level", fields.text("log.level"))
        .label("no_data", nothing.then(|| "true".to_owned()))
        .sent_at(at)
        .starts_at(at)
        .problem(nameless)
        .problem(odd)
        .problem(odd_word);
        Ok(Decoded::one(draft.finish_with_signals()))
    }
}
