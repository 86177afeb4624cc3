//! ManageEngine OpManager: webhook notification profile, a template of ours. `entity` is object
//! and monitor and stays from alarm to clear; dates are locale text.

use super::draft::Draft;
use super::fields::{Fields, mentions, names_source};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, signals};
use crate::model::{ComponentKind, EventState, Identity, SeverityHint};

/// OpManager.
pub struct Opmanager;

impl Format for Opmanager {
    fn name(&self) -> &'static str {
        "opmanager"
    }

    fn about(&self) -> About {
        About {
            title: "ManageEngine OpManager",
            says: "problem, severity change, recovery",
            identity: "entity; without one, alarm id",
            auth: "header, basic, address",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"source":"opmanager","alarmid":"0","entity":"alertbridge-test","displayName":"alertbridge-test","stringseverity":"Attention","message":"test"}"#,
            r#"{"source":"opmanager","alarmid":"0","entity":"alertbridge-test","displayName":"alertbridge-test","stringseverity":"Clear","message":"test"}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        if names_source(request, "opmanager") || mentions(request, &["stringseverity", "alarmid"]) {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let id = fields.first(&["entity", "alarmid"]);
        if id.is_none() && fields.unresolved("stringseverity") {
            return Ok(Decoded::ignored("a test: the variables are not resolved"));
        }
        let word = fields.text("stringseverity");
        let (state, hint, problem) = meaning(word.as_deref());
        let mut event = Draft::new(state, id.and_then(Identity::key), "`entity`")?
            .host(fields.text("displayName"))
            .component(fields.text("ifName"))
            .check(fields.text("eventType"))
            .severity(word, hint)
            .summary(summary(fields))
            .label("address", fields.text("ipAddress"))
            .label_fields(fields, &["category", "deviceType", "vendor", "alarmid"])
            .link(fields.text("rcaLinkOfTheAlarm"))
            .problem(problem)
            .problem(body.repaired.map(str::to_owned))
            .test(fields.unresolved("stringseverity"))
            .finish();
        match fields.word("eventType").as_str() {
            "Device Down" => event.component_kind = Some(ComponentKind::Device),
            "Service Down" => event.component_kind = Some(ComponentKind::Application),
            _ => signals::apply(&mut event),
        }
        Ok(Decoded {
            events: vec![event],
            ..Decoded::default()
        })
    }
}

fn summary(fields: Fields) -> Option<String> {
    let message = fields.text("message")?;
    Some(match fields.text("displayName") {
        Some(name) if !message.contains(&name) => format!("{name}: {message}"),
        _ => message,
    })
}

fn meaning(word: Option<&str>) -> (EventState, SeverityHint, Option<String>) {
    match word {
        Some("Clear") => (EventState::Resolved, SeverityHint::Unknown, None),
        Some("Critical" | "Service Down") => (EventState::Firing, SeverityHint::Outage, None),
        Some("Trouble" | "Attention") => (EventState::Firing, SeverityHint::Degradation, None),
        other => {
            let found = other.unwrap_or("");
            let problem = format!("`stringseverity` is `{found}`, which is not known");
            (EventState::Firing, SeverityHint::Unknown, Some(problem))
        }
    }
}
