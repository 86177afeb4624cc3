//! Why: the chain behind an incident, an alert or a ticket as a tree.

use super::door::Held;
use super::read::path_id;
use super::{Answer, Api, Failure, absent, wrong};
use crate::engine::{Explained, Recorded, explain, explain_alert};
use crate::limits;
use crate::model::alert::{Alert, AlertText};
use crate::model::incident::Incident;
use crate::model::{AlertId, IncidentId, TicketId, WantedTicket};
use crate::store::{AlertBytes, codec};
use axum::Json;
use axum::extract::{Path, State};
use serde_json::json;

type Recorded1 = (Alert, AlertText);

impl Api {
    fn alerts_to_explain(&self, id: IncidentId) -> Result<Vec<Recorded1>, Failure> {
        let most = limits::INCIDENT_ALERTS_SHOWN_MAX;
        let found = self.state.alerts_of(id, None, most)?;
        found.iter().filter_map(both).collect()
    }

    fn explain_incident(&self, id: IncidentId) -> Result<Explained, Failure> {
        let body = self.state.incident(id)?;
        let body = body.ok_or_else(|| absent(format!("there is no {id}")))?;
        let incident: Incident = codec::decode(&body)?;
        let alerts = self.alerts_to_explain(id)?;
        let timeline = self
            .state
            .timeline(id, 0, limits::TIMELINE_LINES_SHOWN_MAX)?;
        let age = self.operations.inventory_age();
        Ok(explain(&Recorded {
            incident: &incident,
            alerts: &alerts,
            timeline: &timeline,
            decisions: &self.operations.decisions(),
            inventory_age: &age,
        }))
    }
}

/// An alert and its text; `None`: the text is not kept any more.
fn both(bytes: &AlertBytes) -> Option<Result<Recorded1, Failure>> {
    let (body, text) = bytes;
    if text.is_empty() {
        return None;
    }
    let read = || Ok((codec::decode(body)?, codec::decode(text)?));
    Some(read())
}

pub(super) async fn one(State(api): Held, Path(id): Path<String>) -> Answer {
    let upper = id.trim().to_uppercase();
    let tree = if upper.starts_with("A-") {
        let id: AlertId = path_id(&upper)?;
        let bytes = api.state.alert(id)?;
        let bytes = bytes.ok_or_else(|| absent(format!("there is no {id}")))?;
        let gone = || absent(format!("what {id} said is not kept any more"));
        let (alert, text) = both(&bytes).ok_or_else(gone)??;
        explain_alert(&alert, &text, &api.operations.decisions())
    } else if upper.starts_with("T-") {
        let id: TicketId = path_id(&upper)?;
        let body = api.state.ticket(id)?;
        let body = body.ok_or_else(|| absent(format!("there is no {id}")))?;
        let ticket: WantedTicket = codec::decode(&body)?;
        api.explain_incident(ticket.incident)?
    } else if upper.starts_with("INC-") {
        api.explain_incident(path_id(&upper)?)?
    } else {
        return Err(wrong(format!(
            "`{id}` cannot be explained; expected INC-<number>, A-<number> or T-<number>"
        )));
    };
    Ok(Json(json!({ "text": tree.to_text(), "tree": tree })))
}
