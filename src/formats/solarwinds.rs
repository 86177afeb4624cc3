//! SolarWinds Orion, Platform and Hybrid Cloud Observability: trigger and reset are two actions
//! whose bodies an operator types; the literal `ActionType` says which one it is. Of the ids only
//! `AlertObjectID` (object and definition) stays from trigger to reset.

use super::draft::Draft;
use super::fields::{Fields, mentions, names_source};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, signals, words};
use crate::model::{ComponentKind, Event, EventState, Identity, SeverityHint, Suppressed};

/// SolarWinds.
pub struct Solarwinds;

impl Format for Solarwinds {
    fn name(&self) -> &'static str {
        "solarwinds"
    }

    fn about(&self) -> About {
        About {
            title: "SolarWinds Orion and Platform",
            says: "problem, escalation, acknowledged, recovery, test",
            identity: "AlertObjectID",
            auth: "basic, bearer, header, token in URL",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"source":"solarwinds","ActionType":"Create","AlertObjectID":"1","AlertName":"Test","Severity":"Warning","NodeName":"alertbridge-test"}"#,
            r#"{"source":"solarwinds","ActionType":"Resolve","AlertObjectID":"1","AlertName":"Test","Severity":"Warning","NodeName":"alertbridge-test"}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        let recipe = mentions(request, &["alias=", "ActionType="]);
        if names_source(request, "solarwinds") || recipe || mentions(request, &["AlertObjectID"]) {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        // A recipe joins object and definition, or object and activation: the reset of the latter
        // has an empty second half.
        let alias = fields.text("alias");
        let id = fields.first(&["AlertObjectID", "ObjectID"]).or_else(|| {
            let (object, _) = alias.as_deref()?.split_once('-')?;
            (!object.is_empty()).then(|| object.to_owned())
        });
        if id.is_none() && fields.unresolved("AlertObjectID") {
            return Ok(Decoded::ignored(
                "a simulated action: its macros are not resolved",
            ));
        }
        let (state, problem) = state_of(fields);
        let simulated = fields.word("AlertTriggerCount") == "0" && state == EventState::Firing;
        let severity = fields.text("Severity");
        let draft = Draft::new(state, id.and_then(Identity::key), "`AlertObjectID`")?
            .host(fields.first(&["NodeName", "Node.Caption"]))
            .component(fields.first(&["InterfaceName", "ComponentName", "VolumeName"]))
            .check(fields.text("AlertName"))
            .severity(severity.clone(), hint(fields, severity.as_deref()))
            .summary(fields.first(&["AlertMessage", "AlertName"]))
            .details(fields.text("AlertDescription"))
            .label("address", fields.first(&["IPAddress", "IP_Address"]))
            .label("object_type", fields.text("ObjectType"))
            .label("definition", fields.text("AlertID"))
            .link(fields.text("AlertDetailsUrl"))
            .suppressed((fields.word("Status") == "Unmanaged").then_some(Suppressed::Downtime))
            .problem(problem)
            .problem(words::unknown_severity(severity.as_deref()))
            .problem(body.repaired.map(str::to_owned))
            .test(simulated);
        Ok(Decoded {
            events: vec![finish(draft, fields)],
            ..Decoded::default()
        })
    }
}

fn finish(draft: Draft, fields: Fields) -> Event {
    let mut event = draft.finish();
    match fields.word("ObjectType").as_str() {
        "Node" => event.component_kind = Some(ComponentKind::Device),
        "Interface" => event.component_kind = Some(ComponentKind::Interface),
        "Volume" => event.component_kind = Some(ComponentKind::Resource),
        kind if kind.starts_with("APM") => event.component_kind = Some(ComponentKind::Application),
        _ => signals::apply(&mut event),
    }
    event
}

fn state_of(fields: Fields) -> (EventState, Option<String>) {
    let word = fields
        .first(&["ActionType", "EventType", "OrionEventType"])
        .unwrap_or_default();
    match word.to_ascii_lowercase().as_str() {
        "create" | "trigger" | "triggered" | "alert" | "update" | "escalate" => {
            (EventState::Firing, None)
        }
        "resolve" | "resolved" | "close" | "reset" | "clear" => (EventState::Resolved, None),
        "acknowledge" | "acknowledged" => (EventState::Acknowledged, None),
        other => {
            let state = match words::state(&fields.word("Status")) {
                Some(EventState::Resolved) => EventState::Resolved,
                _ => EventState::Firing,
            };
            let problem =
                format!("`ActionType` is `{other}`, which is not known: `Status` decides");
            (state, Some(problem))
        }
    }
}

fn hint(fields: Fields, severity: Option<&str>) -> SeverityHint {
    if fields.word("ObjectType") == "Node" && fields.word("Status") == "Down" {
        return SeverityHint::Outage;
    }
    severity.map_or(SeverityHint::Unknown, words::hint)
}
