//! Healthchecks.io and its self-hosted copies: a body (or query) that the user writes with
//! placeholders; the documented template has code, name, status and the whole check. `status` is
//! the truth: the embedded check is read later and may differ.

use super::draft::Draft;
use super::fields::{Fields, holds};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, words};
use crate::model::{ComponentKind, EventState, Identity};

/// Healthchecks.io.
pub struct Healthchecks;

const STATES: [(&str, EventState); 3] = [
    ("grace", EventState::Info),
    ("new", EventState::Info),
    ("paused", EventState::Info),
];

impl Format for Healthchecks {
    fn name(&self) -> &'static str {
        "healthchecks"
    }

    fn about(&self) -> About {
        About {
            title: "Healthchecks.io",
            says: "problem, recovery, test",
            identity: "check code (UUID)",
            auth: "header, secret in the URL",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"code":"00000000-0000-0000-0000-000000000000","name":"TEST","status":"down","check":{"n_pings":42}}"#,
            r#"{"code":"00000000-0000-0000-0000-000000000000","name":"TEST","status":"up","check":{"n_pings":42}}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        let agent = request
            .header("user-agent")
            .is_some_and(|agent| agent.starts_with("healthchecks"));
        if agent || holds(request, &["status", "check.ping_url"]) {
            Detection::Certain
        } else if holds(request, &["code", "name", "status"]) {
            Detection::Possible
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let check = fields.at("check");
        let code = fields.first(&["code", "check.uuid", "check.unique_key", "uuid"]);
        let word = fields.first(&["status", "check.status"]);
        let (state, odd) = words::judged_state("status", word.as_deref(), &STATES);
        let name = fields.first(&["name", "check.name"]);
        let summary = match (&name, &word) {
            (Some(name), Some(word)) => Some(format!("{name} is {word}")),
            (name, _) => name.clone(),
        };
        let at = fields.time("now");
        let test = name.as_deref() == Some("TEST") && check.integer("n_pings") == Some(42);
        let draft = Draft::new(state, code.and_then(Identity::key), "`code`")?
            .kind(ComponentKind::Job)
            .check(name)
            .summary(summary)
            .details(fields.first(&["check.desc", "body"]))
            .label("tags", fields.first(&["tags", "check.tags"]))
            .label("exit_status", fields.text("exit_status"))
            .label("schedule", check.text("schedule"))
            .sent_at(at)
            .test(test)
            .problem(odd);
        let draft = match state {
            EventState::Resolved => draft.ends_at(at),
            EventState::Firing => draft.starts_at(at),
            _ => draft,
        };
        let mut decoded = Decoded::one(draft.finish_with_signals());
        decoded.problems.extend(body.repaired.map(str::to_owned));
        Ok(decoded)
    }
}
