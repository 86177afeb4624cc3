//! The operators' door: reading only, on loopback.

use crate::model::incident::Incident;
use crate::model::ticket::WantedTicket;
use crate::store::desk_store::{DeskFilter, DeskStore};
use crate::store::{IncidentFilter, Journal, StateStore, StoreError, codec};
use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most rows of one page.
const PAGE_MAX: usize = 500;

/// What the door reads.
#[derive(Clone)]
pub struct ApiState {
    /// Incidents and tickets.
    pub state: Arc<dyn StateStore>,
    /// The desk.
    pub desk: Arc<dyn DeskStore>,
    /// The journal, for readiness.
    pub journal: Arc<dyn Journal>,
}

type Page = Result<axum::Json<Value>, (StatusCode, String)>;

/// All routes.
pub fn router(state: ApiState) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/api/v1/incidents", get(incidents))
        .route("/api/v1/desk/tickets", get(desk))
        .with_state(state)
}

fn failed(error: &StoreError) -> (StatusCode, String) {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n"))
}

async fn ready(State(api): State<ApiState>) -> Result<&'static str, (StatusCode, String)> {
    // An empty append is a commit: it fails exactly when the store cannot be written.
    api.journal
        .append(Vec::new(), Vec::new())
        .await
        .map_err(|error| failed(&error))?;
    Ok("ready\n")
}

async fn incidents(
    State(api): State<ApiState>,
    Query(query): Query<BTreeMap<String, String>>,
) -> Page {
    let filter = match query.get("state").map(String::as_str) {
        Some("open") => IncidentFilter::Open,
        Some("closed") => IncidentFilter::Closed,
        _ => IncidentFilter::All,
    };
    let before = query.get("before").and_then(|id| id.parse().ok());
    let bodies = api
        .state
        .incidents(filter, before, PAGE_MAX)
        .map_err(|error| failed(&error))?;
    let full = bodies.len() == PAGE_MAX;
    let mut rows = Vec::new();
    let mut last = None;
    for body in bodies {
        let incident: Incident = codec::decode(&body).map_err(|error| failed(&error))?;
        let tickets = api
            .state
            .tickets_of(incident.id)
            .map_err(|error| failed(&error))?;
        let tickets: Result<Vec<WantedTicket>, _> =
            tickets.iter().map(|body| codec::decode(body)).collect();
        let tickets: Vec<Value> = tickets
            .map_err(|error| failed(&error))?
            .iter()
            .map(|ticket| {
                json!({
                    "tracker": ticket.tracker,
                    "route": ticket.route,
                    "key": ticket.remote.as_ref().map(|remote| remote.key.clone()),
                    "url": ticket.remote.as_ref().map(|remote| remote.url.clone()),
                    "status": ticket.wanted.status.word(),
                })
            })
            .collect();
        last = Some(incident.id.to_string());
        rows.push(json!({
            "id": incident.id.to_string(),
            "state": incident.state.word(),
            "severity": incident.severity.map(|severity| severity.to_string()),
            "basis": incident.basis.word(),
            "needs_triage": incident.needs_triage,
            "category": incident.category.word(),
            "title": incident.title,
            "reason": incident.reason,
            "accounts": incident.accounts,
            "services": incident.services,
            "members": incident.members,
            "tickets": tickets,
            "opened_at": incident.opened_at,
            "resolved_at": incident.resolved_at,
        }));
    }
    let next = if full { last } else { None };
    Ok(axum::Json(json!({ "incidents": rows, "next": next })))
}

async fn desk(State(api): State<ApiState>, Query(query): Query<BTreeMap<String, String>>) -> Page {
    let before = query.get("before").and_then(|number| number.parse().ok());
    let tickets = api
        .desk
        .list(&DeskFilter::default(), before, PAGE_MAX)
        .map_err(|error| failed(&error))?;
    let next = (tickets.len() == PAGE_MAX)
        .then(|| tickets.last().map(|t| t.number))
        .flatten();
    Ok(axum::Json(json!({ "tickets": tickets, "next": next })))
}
