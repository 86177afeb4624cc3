//! Pingdom: webhooks of state changes of checks and transactions.

use super::draft::Draft;
use super::fields::{Fields, holds};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, words};
use crate::model::{EventState, Identity, SeverityHint};

/// Pingdom.
pub struct Pingdom;

const STATES: [(&str, EventState); 2] = [
    ("failing", EventState::Firing),
    ("success", EventState::Resolved),
];

impl Format for Pingdom {
    fn name(&self) -> &'static str {
        "pingdom"
    }

    fn about(&self) -> About {
        About {
            title: "Pingdom",
            says: "problem, recovery",
            identity: "`check_id`",
            auth: "secret in the URL",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"check_id":"alertbridge-test","check_name":"alertbridge-test","check_type":"HTTP","current_state":"DOWN","importance_level":"LOW"}"#,
            r#"{"check_id":"alertbridge-test","check_name":"alertbridge-test","check_type":"HTTP","current_state":"UP","importance_level":"LOW"}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        if holds(request, &["check_id", "current_state"])
            || holds(request, &["check_name", "current_state", "check_type"])
        {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let identity = fields.text("check_id").and_then(Identity::key);
        let word = fields.text("current_state");
        let (state, odd) = words::judged_state("current_state", word.as_deref(), &STATES);
        // The check is down either way; its importance says how much that matters.
        let hints = [
            ("high", SeverityHint::Outage),
            ("low", SeverityHint::Degradation),
        ];
        let severity = fields.text("importance_level");
        let (hint, odd_word) = words::judged_hint("importance_level", severity.as_deref(), &hints);
        let name = fields.text("check_name");
        let summary = match (&name, &word) {
            (Some(name), Some(word)) => Some(format!("{name} is {word}")),
            (name, _) => name.clone(),
        };
        let mut details = fields.first(&["long_description", "description"]);
        if let Some(message) = fields.text("custom_message") {
            details = Some(format!("{message}\n{}", details.unwrap_or_default()));
        }
        let tags: Vec<String> = fields
            .list("tags")
            .into_iter()
            .filter_map(Fields::as_text)
            .collect();
        let at = fields.time("state_changed_timestamp");
        let draft = Draft::new(state, identity, "`check_id`")?
            .host(fields.text("check_params.hostname"))
            .check(name)
            .severity(severity, hint)
            .summary(summary)
            .details(details)
            .label("type", fields.text("check_type"))
            .label("tags", (!tags.is_empty()).then(|| tags.join(",")))
            .link(fields.text("check_params.full_url"))
            .sent_at(at)
            .problem(odd)
            .problem(odd_word);
        let draft = match state {
            EventState::Resolved => draft.ends_at(at),
            _ => draft.starts_at(at),
        };
        Ok(Decoded::one(draft.finish_with_signals()))
    }
}
