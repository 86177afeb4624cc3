//! Statuspage and pages of its kind: incidents, planned work and components of a provider's
//! status page.

use super::draft::Draft;
use super::fields::{Fields, holds};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, words};
use super::{
    MaintenanceImpact, MaintenanceNotice, MaintenanceObject, MaintenanceStatus, MaintenanceWindow,
};
use crate::limits::EVENTS_PER_MESSAGE_MAX;
use crate::model::{Event, EventState, Identity, SeverityHint, Time};

/// Statuspage.
pub struct Statuspage;

const INCIDENT_STATES: [(&str, EventState); 9] = [
    ("investigating", EventState::Firing),
    ("identified", EventState::Firing),
    ("monitoring", EventState::Firing),
    ("resolved", EventState::Resolved),
    ("postmortem", EventState::Resolved),
    ("scheduled", EventState::Info),
    ("in_progress", EventState::Info),
    ("verifying", EventState::Info),
    ("completed", EventState::Resolved),
];

const COMPONENT_STATES: [(&str, EventState); 5] = [
    ("operational", EventState::Resolved),
    ("degraded_performance", EventState::Firing),
    ("partial_outage", EventState::Firing),
    ("major_outage", EventState::Firing),
    ("under_maintenance", EventState::Info),
];

const HINTS: [(&str, SeverityHint); 7] = [
    ("critical", SeverityHint::Outage),
    ("major", SeverityHint::Degradation),
    ("none", SeverityHint::Info),
    ("maintenance", SeverityHint::Info),
    ("operational", SeverityHint::Unknown),
    ("major_outage", SeverityHint::Outage),
    ("under_maintenance", SeverityHint::Info),
];

impl Format for Statuspage {
    fn name(&self) -> &'static str {
        "statuspage"
    }

    fn about(&self) -> About {
        About {
            title: "Statuspage (status pages of providers)",
            says: "problem, update, recovery, planned work, component state",
            identity: "incident id or component id",
            auth: "secret in the URL",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"page":{"id":"test","status_indicator":"none"},"incident":{"id":"alertbridge-test","name":"Test incident","status":"investigating","impact":"minor"}}"#,
            r#"{"page":{"id":"test","status_indicator":"none"},"incident":{"id":"alertbridge-test","name":"Test incident","status":"resolved","impact":"minor"}}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        if holds(request, &["page", "incident.incident_updates"])
            || holds(request, &["page", "component.status", "component_update"])
            || holds(request, &["page.status_indicator", "incident.status"])
        {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        if fields.has("component") || fields.has("component_update") {
            return component(fields).map(Decoded::one);
        }
        let mut decoded = incident(fields).map(Decoded::one)?;
        decoded.maintenance.extend(maintenance(fields));
        Ok(decoded)
    }
}

fn incident(fields: Fields) -> Result<Event, Undecodable> {
    let incident = fields.at("incident");
    let identity = incident
        .text("id")
        .and_then(|id| Identity::key(format!("incident/{id}")));
    let word = incident.text("status");
    let (state, odd) = words::judged_state("incident.status", word.as_deref(), &INCIDENT_STATES);
    let severity = incident.text("impact");
    let (hint, odd_word) = words::judged_hint("incident.impact", severity.as_deref(), &HINTS);
    let names: Vec<String> = incident
        .list("components")
        .into_iter()
        .filter_map(|component| component.text("name"))
        .collect();
    let draft = Draft::new(state, identity, "`incident.id`")?
        .check(names.first().cloned())
        .severity(severity, hint)
        .summary(incident.text("name"))
        .details(incident.first(&["incident_updates.0.body", "postmortem_body"]))
        .label("page", fields.first(&["page.name", "page.id"]))
        .label("status", word)
        .label("components", (!names.is_empty()).then(|| names.join(", ")))
        .link(incident.text("shortlink"))
        .starts_at(incident.first_time(&["scheduled_for", "started_at", "created_at"]))
        .sent_at(incident.first_time(&["updated_at", "incident_updates.0.updated_at"]))
        .problem(odd)
        .problem(odd_word);
    Ok(match state {
        EventState::Resolved => draft.ends_at(incident.first_time(&["resolved_at", "updated_at"])),
        EventState::Info => draft.ends_at(incident.time("scheduled_until")),
        _ => draft,
    }
    .finish())
}

/// Planned work on the components of the page, by their names.
fn maintenance(fields: Fields) -> Option<MaintenanceNotice> {
    let incident = fields.at("incident");
    let status = match incident.word("status").as_str() {
        "scheduled" => MaintenanceStatus::Confirmed,
        "in_progress" | "verifying" => MaintenanceStatus::InProcess,
        "completed" => MaintenanceStatus::Completed,
        _ => return None,
    };
    let objects = incident
        .list("components")
        .into_iter()
        .take(EVENTS_PER_MESSAGE_MAX)
        .filter_map(|component| component.text("name"));
    let window = incident
        .time("scheduled_for")
        .map(|starts_at| MaintenanceWindow {
            starts_at,
            ends_at: incident.time("scheduled_until"),
        });
    Some(MaintenanceNotice {
        provider: fields.first(&["page.name", "page.id"])?,
        maintenance_id: incident
            .text("id")
            .filter(|id| MaintenanceNotice::is_id(id))?,
        account: None,
        status,
        objects: objects
            .map(|id| MaintenanceObject {
                id,
                impact: MaintenanceImpact::Unknown,
            })
            .collect(),
        windows: window.into_iter().collect(),
        sequence: incident.time("updated_at").map_or(0, Time::seconds),
        summary: incident.word("name"),
        unclear: Vec::new(),
    })
}

fn component(fields: Fields) -> Result<Event, Undecodable> {
    let identity = fields
        .first(&["component.id", "component_update.component_id"])
        .and_then(|id| Identity::key(format!("component/{id}")));
    let status = fields.first(&["component_update.new_status", "component.status"]);
    let (state, odd) =
        words::judged_state("component.status", status.as_deref(), &COMPONENT_STATES);
    let hint = match status.as_deref() {
        Some("degraded_performance" | "partial_outage") => SeverityHint::Degradation,
        Some("major_outage") => SeverityHint::Outage,
        _ => SeverityHint::Unknown,
    };
    let name = fields.text("component.name");
    let summary = match (&name, &status) {
        (Some(name), Some(status)) => Some(format!("{name}: {}", status.replace('_', " "))),
        (name, _) => name.clone(),
    };
    let at = fields.first_time(&["component_update.created_at", "component.updated_at"]);
    let draft = Draft::new(state, identity, "`component.id`")?
        .check(name)
        .severity(status, hint)
        .summary(summary)
        .label("page", fields.first(&["page.name", "page.id"]))
        .sent_at(at)
        .problem(odd);
    Ok(match state {
        EventState::Resolved => draft.ends_at(at),
        EventState::Firing => draft.starts_at(at),
        _ => draft,
    }
    .finish())
}
