//! HPE OneView: alerts of its state-change message bus, posted by a bridge. The alert's URI stays
//! from its creation on; a locked alert is one that the appliance will clear itself.

use super::draft::Draft;
use super::fields::{Fields, mentions};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, signals, words};
use crate::model::{ComponentKind, EventState, Identity, SeverityHint};

/// OneView.
pub struct Oneview;

impl Format for Oneview {
    fn name(&self) -> &'static str {
        "oneview"
    }

    fn about(&self) -> About {
        About {
            title: "HPE OneView (state-change message bus)",
            says: "problem, update, recovery",
            identity: "alert URI",
            auth: "header, bearer, certificate",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"resourceUri":"/rest/alerts/0","changeType":"Updated","resource":{"uri":"/rest/alerts/0","alertState":"Active","severity":"Warning","description":"test"}}"#,
            r#"{"resourceUri":"/rest/alerts/0","changeType":"Updated","resource":{"uri":"/rest/alerts/0","alertState":"Cleared","severity":"Warning","description":"test"}}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        if mentions(
            request,
            &["\"resourceUri\"", "\"changeType\"", "\"alertState\""],
        ) {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let message = Fields::of(&body.value);
        if message.word("changeType") == "Deleted" {
            return Ok(Decoded::ignored("an alert was deleted at the appliance"));
        }
        let alert = message.at("resource");
        let id = alert
            .text("uri")
            .or_else(|| message.text("resourceUri"))
            .and_then(Identity::key);
        let (state, problem) = match alert.word("alertState").as_str() {
            "Active" | "Locked" => (EventState::Firing, None),
            "Cleared" => (EventState::Resolved, None),
            other => {
                let problem = format!("the alertState `{other}` is not known: taken as Active");
                (EventState::Firing, Some(problem))
            }
        };
        let severity = alert.text("severity");
        let hint = severity
            .as_deref()
            .map_or(SeverityHint::Unknown, words::hint);
        let kind = alert.text("alertTypeID");
        let mut draft = Draft::new(state, id, "`resource.uri`")?
            .host(alert.text("associatedResource.resourceName"))
            .check(kind)
            .severity(severity.clone(), hint)
            .summary(alert.text("description"))
            .details(alert.text("correctiveAction"))
            .label("health", health(alert))
            .label(
                "resource",
                alert.text("associatedResource.resourceCategory"),
            )
            .sent_at(message.time("timestamp"))
            .problem(problem)
            .problem(words::unknown_severity(severity.as_deref()));
        draft = match state {
            EventState::Resolved => draft.ends_at(alert.time("clearedTime")),
            _ => draft.starts_at(alert.time("created")),
        };
        let mut event = draft.finish();
        signals::apply(&mut event);
        if event.component_kind.is_none()
            && let Some(kind) = kind_of(&health(alert).unwrap_or_default())
        {
            event.component_kind = Some(kind);
            event.severity_hint = SeverityHint::Redundancy;
        }
        Ok(Decoded {
            events: vec![event],
            ..Decoded::default()
        })
    }
}

/// The appliance itself spells the name in two ways.
fn health(alert: Fields) -> Option<String> {
    alert.first(&["healthCategory", "healthCatagory"])
}

/// Categories whose parts are there twice.
fn kind_of(category: &str) -> Option<ComponentKind> {
    match category.to_lowercase().as_str() {
        "power" => Some(ComponentKind::PowerSupply),
        "fan" | "fans" | "cooling" => Some(ComponentKind::Fan),
        "storage" => Some(ComponentKind::Disk),
        _ => None,
    }
}
