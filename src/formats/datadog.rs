//! Datadog webhooks: the recommended template, which names alert, scope and transition, and the
//! default one, where only the prefix of the title says the state. Values are texts; variables
//! that Datadog does not know stay as `$NAME`.

use super::draft::{Draft, key_of};
use super::fields::{Fields, holds};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, words};
use crate::model::{EventState, Identity, SeverityHint};

/// Datadog.
pub struct Datadog;

const TRANSITIONS: [(&str, EventState); 9] = [
    ("triggered", EventState::Firing),
    ("re-triggered", EventState::Firing),
    ("warn", EventState::Firing),
    ("re-warn", EventState::Firing),
    ("no data", EventState::Firing),
    ("re-no data", EventState::Firing),
    ("renotify", EventState::Firing),
    ("re-notify", EventState::Firing),
    ("recovered", EventState::Resolved),
];

const WORDS: [(&str, SeverityHint); 3] = [
    ("p4", SeverityHint::Degradation),
    ("success", SeverityHint::Unknown),
    ("error", SeverityHint::Degradation),
];

/// `[Triggered on {host:a}] Title`, taken apart.
struct Title {
    transition: String,
    scope: String,
    rest: String,
}

impl Format for Datadog {
    fn name(&self) -> &'static str {
        "datadog"
    }

    fn about(&self) -> About {
        About {
            title: "Datadog (recommended and default template)",
            says: "problem, repeat, warning, no data, recovery",
            identity: "`alert_cycle_key`, else monitor and scope, else title and scope",
            auth: "basic, bearer, header, address",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"alert_id":"0","alert_cycle_key":"alertbridge-test","alert_transition":"Triggered","alert_type":"info","alert_title":"Test monitor","hostname":"alertbridge-test"}"#,
            r#"{"alert_id":"0","alert_cycle_key":"alertbridge-test","alert_transition":"Recovered","alert_type":"info","alert_title":"Test monitor","hostname":"alertbridge-test"}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        if holds(request, &["alert_transition"]) || holds(request, &["alert_cycle_key"]) {
            return Detection::Certain;
        }
        let default = ["title", "event_type", "last_updated", "org.id"];
        if holds(request, &default) {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let title = fields.first(&["event_title", "title"]);
        let parts = title.as_deref().and_then(taken_apart);
        let transition = fields
            .text("alert_transition")
            .or_else(|| parts.as_ref().map(|parts| parts.transition.clone()));
        let (state, odd) =
            words::judged_state("alert_transition", transition.as_deref(), &TRANSITIONS);
        let severity = fields.first(&["alert_priority", "alert_type"]);
        let lower = transition.unwrap_or_default().to_lowercase();
        let (mut hint, odd_word) =
            words::judged_hint("alert_priority", severity.as_deref(), &WORDS);
        let no_data = lower.ends_with("no data");
        if no_data {
            hint = SeverityHint::Unknown;
        } else if lower.ends_with("warn") && hint == SeverityHint::Outage {
            hint = SeverityHint::Degradation;
        }
        let tags = tags_of(&fields.word("tags"));
        let scope = fields
            .text("alert_scope")
            .or_else(|| parts.as_ref().map(|parts| parts.scope.clone()));
        let tag = |name: &str| tags.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
        let scoped = tags_of(scope.as_deref().unwrap_or(""));
        let in_scope = scoped
            .iter()
            .find(|(n, _)| n == "host")
            .map(|(_, v)| v.clone());
        let at = fields.first_time(&["date", "date_posix", "last_updated"]);
        let draft = Draft::new(
            state,
            identity_of(fields, parts.as_ref()),
            "`alert_cycle_key`, `alert_id` or `title`",
        )?
        .site(tag("site"))
        .host(fields.text("hostname").or(in_scope))
        .check(
            fields
                .text("alert_title")
                .or_else(|| parts.as_ref().map(|parts| parts.rest.clone())),
        )
        .severity(severity, hint)
        .summary(title)
        .details(fields.first(&["text_only_msg", "event_msg", "body"]))
        .label("alert_id", fields.text("alert_id"))
        .label("scope", scope)
        .label("metric", fields.text("alert_metric"))
        .label("no_data", no_data.then(|| "true".to_owned()))
        .labels(tags)
        .link(fields.text("link"))
        .link(fields.text("snapshot"))
        .sent_at(at)
        .problem(odd)
        .problem(odd_word);
        let draft = if state == EventState::Resolved {
            draft.ends_at(at)
        } else {
            draft
        };
        Ok(Decoded::one(draft.finish_with_signals()))
    }
}

fn identity_of(fields: Fields, title: Option<&Title>) -> Option<Identity> {
    if let Some(key) = fields.text("alert_cycle_key") {
        return Identity::key(key);
    }
    let org = fields.first(&["org_id", "org.id"]).unwrap_or_default();
    if let Some(id) = fields.text("alert_id") {
        return key_of(&[&org, &id, &fields.word("alert_scope")]);
    }
    let title = title?;
    key_of(&[&org, &title.rest, &title.scope])
}

fn taken_apart(title: &str) -> Option<Title> {
    let (prefix, rest) = title.trim().strip_prefix('[')?.split_once("] ")?;
    let (transition, scope) = match prefix.split_once(" on {") {
        Some((transition, scope)) => (transition, scope.trim_end_matches('}')),
        None => (prefix, ""),
    };
    (!rest.trim().is_empty()).then(|| Title {
        transition: transition.to_owned(),
        scope: scope.to_owned(),
        rest: rest.trim().to_owned(),
    })
}

/// `a:b,c` as pairs; tags without a value are left out.
fn tags_of(list: &str) -> Vec<(String, String)> {
    list.split(',')
        .filter_map(|tag| tag.trim().split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
