//! Why: the chain behind an incident, an alert or a ticket as a tree.

use super::door::Held;
use super::read::path_id;
use super::{Answer, Api, Failure, absent, wrong};
use crate::engine::{Explained, Recorded, explain, explain_alert, explain_around, explain_event};
use crate::limits;
use crate::model::alert::{Alert, AlertText};
use crate::model::incident::Incident;
use crate::model::{AlertId, AlertKey, IncidentId, Input, TicketId, WantedTicket};
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
        self.explain_by(id, explain)
    }

    /// The incident that an alert belongs to now, beneath what was told of the alert.
    fn explain_around(&self, alert: &Alert) -> Result<Vec<Explained>, Failure> {
        let Some(mut id) = alert.incident else {
            return Ok(Vec::new());
        };
        while let Some(into) = self.incident(id)?.merged_into {
            id = into;
        }
        Ok(vec![self.explain_by(id, explain_around)?])
    }

    fn incident(&self, id: IncidentId) -> Result<Incident, Failure> {
        let body = self.state.incident(id)?;
        let body = body.ok_or_else(|| absent(format!("there is no {id}")))?;
        Ok(codec::decode(&body)?)
    }

    fn explain_by(
        &self,
        id: IncidentId,
        how: fn(&Recorded) -> Explained,
    ) -> Result<Explained, Failure> {
        let incident = self.incident(id)?;
        let alerts = self.alerts_to_explain(id)?;
        let timeline = self
            .state
            .timeline(id, 0, limits::TIMELINE_LINES_SHOWN_MAX)?;
        let age = self.operations.inventory_age();
        Ok(how(&Recorded {
            incident: &incident,
            alerts: &alerts,
            timeline: &timeline,
            decisions: &self.operations.decisions(),
            inventory_age: &age,
        }))
    }
}

/// Journal position and index of an event: `12.0` or `E-12.0`.
fn event_id(text: &str) -> Option<(u64, u32)> {
    let (seq, index) = text.strip_prefix("E-").unwrap_or(text).split_once('.')?;
    Some((seq.parse().ok()?, index.parse().ok()?))
}

impl Api {
    fn explain_event(&self, seq: u64, index: u32) -> Result<Explained, Failure> {
        let gone = || {
            absent(format!(
                "the journal has no event {seq}.{index}, or not any more"
            ))
        };
        let found = self.journal.read(seq.saturating_sub(1), 1)?;
        let found = found.into_iter().find(|input| input.seq == seq);
        let input = found.ok_or_else(gone)?;
        let decisions = self.operations.decisions();
        let mut tree = explain_event(&input, index, &decisions).ok_or_else(gone)?;
        let Input::Message(message) = &input.input else {
            return Err(gone());
        };
        let event = usize::try_from(index)
            .ok()
            .and_then(|i| message.events.get(i));
        let key = event.map(|event| AlertKey::of(&message.scope, &event.identity));
        let of_event = match key {
            Some(key) => self.alert_of(key)?,
            None => None,
        };
        tree.because.push(match of_event {
            None => Explained {
                text: "No alert came of it.".to_owned(),
                because: Vec::new(),
            },
            Some((alert, text)) => {
                let mut known = explain_alert(&alert, &text, &decisions);
                let part = alert
                    .incident
                    .map_or_else(|| "no incident".to_owned(), |incident| incident.to_string());
                known.text = format!("It speaks of {} It belongs to {part}.", known.text + ".");
                known.because.extend(self.explain_around(&alert)?);
                known
            }
        });
        Ok(tree)
    }

    /// The newest alert of an identity.
    fn alert_of(&self, key: AlertKey) -> Result<Option<Recorded1>, Failure> {
        let mut newest = None;
        let mut after = None;
        loop {
            let page = self.state.alerts(after, limits::PAGE_ROWS_READ_MAX)?;
            for bytes in &page {
                let alert: Alert = codec::decode(&bytes.0)?;
                after = Some(alert.id);
                if alert.key == key {
                    newest = both(bytes).transpose()?;
                }
            }
            if page.len() < limits::PAGE_ROWS_READ_MAX {
                return Ok(newest);
            }
        }
    }

    /// The incident whose ticket has this number in its tracker: `1234`, or `rt:1234`. The newest,
    /// if several trackers gave it.
    fn incident_of_remote(&self, named: &str) -> Result<Option<IncidentId>, Failure> {
        let mut before = None;
        loop {
            let page = self.state.tickets(before, limits::PAGE_ROWS_READ_MAX)?;
            for body in &page {
                let ticket: WantedTicket = codec::decode(body)?;
                before = Some(ticket.id);
                let Some(remote) = &ticket.remote else {
                    continue;
                };
                let whole = named.strip_prefix(&format!("{}:", ticket.tracker));
                if whole.unwrap_or(named).eq_ignore_ascii_case(&remote.key) {
                    return Ok(Some(ticket.incident));
                }
            }
            if page.len() < limits::PAGE_ROWS_READ_MAX {
                return Ok(None);
            }
        }
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
        let mut tree = explain_alert(&alert, &text, &api.operations.decisions());
        tree.because.extend(api.explain_around(&alert)?);
        tree
    } else if upper.starts_with("T-") {
        let id: TicketId = path_id(&upper)?;
        let body = api.state.ticket(id)?;
        let body = body.ok_or_else(|| absent(format!("there is no {id}")))?;
        let ticket: WantedTicket = codec::decode(&body)?;
        api.explain_incident(ticket.incident)?
    } else if upper.starts_with("INC-") {
        api.explain_incident(path_id(&upper)?)?
    } else if let Some((seq, index)) = event_id(&upper) {
        api.explain_event(seq, index)?
    } else if let Some(incident) = api.incident_of_remote(id.trim())? {
        api.explain_incident(incident)?
    } else {
        return Err(wrong(format!(
            "`{id}` cannot be explained; expected INC-<number>, A-<number>, T-<number>, an event \
             like 12.0, or the number that a tracker gave to a ticket"
        )));
    };
    Ok(Json(json!({ "text": tree.to_text(), "tree": tree })))
}
