//! Auvik: alert webhooks. `correlationId` is equal in the trigger and the clear; an alert about a
//! collector has no entity.

use super::draft::Draft;
use super::fields::{Fields, mentions};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, signals, words};
use crate::model::{ComponentKind, EventState, Identity, SeverityHint};

/// Auvik.
pub struct Auvik;

impl Format for Auvik {
    fn name(&self) -> &'static str {
        "auvik"
    }

    fn about(&self) -> About {
        About {
            title: "Auvik",
            says: "problem, recovery",
            identity: "correlation id",
            auth: "header, address",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"correlationId":"alertbridge-test","alertStatus":0,"alertSeverity":4,"alertSeverityString":"Info","alertName":"Test","entityName":"alertbridge-test","companyId":"0"}"#,
            r#"{"correlationId":"alertbridge-test","alertStatus":1,"alertSeverity":4,"alertSeverityString":"Info","alertName":"Test","entityName":"alertbridge-test","companyId":"0"}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        if mentions(
            request,
            &["\"correlationId\"", "\"alertStatus\"", "\"companyId\""],
        ) {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let id = fields.first(&["correlationId", "alertId"]);
        let (state, problem) = state_of(fields);
        let at = fields.time("date");
        let severity = fields.first(&["alertSeverityString", "alertSeverity"]);
        let name = fields.text("alertName");
        let entity = fields.text("entityName");
        let named = [entity.as_deref(), name.as_deref()];
        let named: Vec<&str> = named.into_iter().flatten().collect();
        let mut draft = Draft::new(state, id.and_then(Identity::key), "`correlationId`")?
            .site(fields.text("companyName"))
            .host(entity.clone())
            .check(name.clone())
            .severity(severity.clone(), hint(fields))
            .summary(named.join(": "))
            .details(fields.text("alertDescription"))
            .label("entity_type", fields.text("entityType"))
            .label("company_id", fields.text("companyId"))
            .link(fields.text("link"))
            .sent_at(at)
            .problem(problem)
            .problem(words::unknown_severity(severity.as_deref()));
        draft = match state {
            EventState::Resolved => draft.ends_at(at),
            _ => draft.starts_at(at),
        };
        let mut event = draft.finish();
        if name.is_some_and(|name| name.starts_with("Network Element Status")) {
            event.component_kind = Some(ComponentKind::Device);
        } else {
            signals::apply(&mut event);
        }
        Ok(Decoded {
            events: vec![event],
            ..Decoded::default()
        })
    }
}

fn state_of(fields: Fields) -> (EventState, Option<String>) {
    match (
        fields.integer("alertStatus"),
        fields.word("alertStatusString").as_str(),
    ) {
        (Some(0), _) | (None, "Triggered") => (EventState::Firing, None),
        (Some(1), _) | (None, "Cleared") => (EventState::Resolved, None),
        _ => {
            let problem = "`alertStatus` is neither 0 nor 1: taken as a problem".to_owned();
            (EventState::Firing, Some(problem))
        }
    }
}

fn hint(fields: Fields) -> SeverityHint {
    match fields.integer("alertSeverity") {
        Some(1 | 2) => SeverityHint::Outage,
        Some(3) => SeverityHint::Degradation,
        Some(4) => SeverityHint::Info,
        _ => words::hint(&fields.word("alertSeverityString")),
    }
}
