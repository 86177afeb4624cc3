//! One side of the comparison: incidents with their tickets and members, out of a state.

use super::ReplayError;
use crate::engine::{Decisions, Explained, Recorded, explain, explain_alert, recap};
use crate::limits;
use crate::model::alert::{Alert, AlertText};
use crate::model::incident::{Incident, IncidentState};
use crate::model::{AlertId, AlertKey, IncidentId, Time, WantedTicket};
use crate::store::sqlite::SqliteState;
use crate::store::{IncidentFilter, StateStore, StoreError, codec};
use std::collections::BTreeMap;

/// Most alerts of which it is told why they open nothing.
const ALERTS_SEEN_MAX: usize = 5;

/// Where the reasons of a side come from.
#[derive(Clone, Copy)]
pub(super) enum Reasons<'a> {
    /// What was written down: the decisions of then are not at hand.
    Recorded,
    /// These decisions.
    Of(&'a Decisions),
}

/// An incident with its tickets and members. Tickets of what was merged into it are its own.
pub(super) struct Told {
    pub(super) incident: Incident,
    pub(super) tickets: Vec<WantedTicket>,
    pub(super) members: BTreeMap<AlertKey, Member>,
}

/// An alert of an incident.
pub(super) struct Member {
    pub(super) first_seen: Time,
    pub(super) name: String,
}

/// The incidents of a side, without those that were closed before an instant.
pub(super) struct Side<'a> {
    state: &'a SqliteState,
    reasons: Reasons<'a>,
    pub(super) told: Vec<Told>,
}

impl<'a> Side<'a> {
    pub(super) fn read(
        state: &'a SqliteState,
        reasons: Reasons<'a>,
        since: Time,
    ) -> Result<Side<'a>, ReplayError> {
        let mut told: BTreeMap<IncidentId, Told> = BTreeMap::new();
        let mut merged: Vec<Told> = Vec::new();
        let mut before = None;
        loop {
            let bodies = state.incidents(IncidentFilter::All, before, limits::PAGE_ROWS_MAX)?;
            for body in &bodies {
                let incident: Incident = codec::decode(body)?;
                before = Some(incident.id);
                if incident.state == IncidentState::Closed && incident.changed_at < since {
                    continue;
                }
                let tickets = state.tickets_of(incident.id)?;
                let one = Told {
                    tickets: tickets
                        .iter()
                        .map(|body| codec::decode(body))
                        .collect::<Result<_, StoreError>>()?,
                    members: members(state, incident.id)?,
                    incident,
                };
                if one.incident.merged_into.is_some() {
                    merged.push(one);
                } else {
                    told.insert(one.incident.id, one);
                }
            }
            if bodies.len() < limits::PAGE_ROWS_MAX {
                break;
            }
        }
        let into: BTreeMap<IncidentId, IncidentId> = merged
            .iter()
            .filter_map(|one| Some((one.incident.id, one.incident.merged_into?)))
            .collect();
        for one in merged {
            let mut id = one.incident.id;
            for _ in 0..64 {
                let Some(next) = into.get(&id) else { break };
                id = *next;
            }
            if let Some(survivor) = told.get_mut(&id) {
                survivor.tickets.extend(one.tickets);
            }
        }
        Ok(Side {
            state,
            reasons,
            told: told.into_values().collect(),
        })
    }

    /// Why an incident is as it is.
    pub(super) fn why(&self, told: &Told) -> Result<Explained, ReplayError> {
        let id = told.incident.id;
        let lines = limits::TIMELINE_LINES_SHOWN_MAX;
        let timeline = self.state.timeline(id, 0, lines)?;
        let decisions = match self.reasons {
            Reasons::Recorded => return Ok(recap(&told.incident, &timeline)),
            Reasons::Of(decisions) => decisions,
        };
        let alerts = self.alerts(id, limits::INCIDENT_ALERTS_SHOWN_MAX)?;
        Ok(explain(&Recorded {
            incident: &told.incident,
            alerts: &alerts,
            timeline: &timeline,
            decisions,
            inventory_age: "",
        }))
    }

    /// What the decisions of another side make of an incident's alerts.
    pub(super) fn seen_by(&self, told: &Told, other: &Side) -> Result<Vec<Explained>, ReplayError> {
        let Reasons::Of(decisions) = other.reasons else {
            return Ok(Vec::new());
        };
        let alerts = self.alerts(told.incident.id, ALERTS_SEEN_MAX)?;
        let seen = alerts
            .iter()
            .map(|(alert, text)| explain_alert(alert, text, decisions));
        Ok(seen.collect())
    }

    fn alerts(
        &self,
        incident: IncidentId,
        most: usize,
    ) -> Result<Vec<(Alert, AlertText)>, StoreError> {
        let mut alerts = Vec::new();
        for (body, text) in self.state.alerts_of(incident, None, most)? {
            if !text.is_empty() {
                alerts.push((codec::decode(&body)?, codec::decode(&text)?));
            }
        }
        Ok(alerts)
    }
}

fn members(
    state: &SqliteState,
    incident: IncidentId,
) -> Result<BTreeMap<AlertKey, Member>, StoreError> {
    let mut members = BTreeMap::new();
    let mut after: Option<AlertId> = None;
    loop {
        let page = state.alerts_of(incident, after, limits::PAGE_ROWS_READ_MAX)?;
        for (body, text) in &page {
            let alert: Alert = codec::decode(body)?;
            after = Some(alert.id);
            let text = match text.as_slice() {
                [] => None,
                text => Some(codec::decode::<AlertText>(text)?),
            };
            let member = Member {
                first_seen: alert.first_seen,
                name: text.map_or_else(|| alert.id.to_string(), |text| name_of(&alert, &text)),
            };
            members.insert(alert.key, member);
        }
        if page.len() < limits::PAGE_ROWS_READ_MAX {
            return Ok(members);
        }
    }
}

/// What an alert is about, in few words.
fn name_of(alert: &Alert, text: &AlertText) -> String {
    if text.sensitive {
        return format!("{} (content withheld)", text.source);
    }
    let place = match (&text.component, &text.host) {
        (Some(component), Some(host)) => format!("{component}@{host}"),
        (None, Some(host)) => host.clone(),
        (Some(component), None) => component.clone(),
        (None, None) => text.identity.to_string(),
    };
    let place = match &text.check {
        Some(check) if text.component.as_ref() != Some(check) => format!("{place} {check}"),
        _ => place,
    };
    if place.is_empty() {
        return alert.id.to_string();
    }
    format!("{place} ({})", text.source)
}
