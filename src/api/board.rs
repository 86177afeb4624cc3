//! One page for a screen in the NOC: what is open, worst first. No script; it reloads itself.

use super::Failure;
use super::door::{Caller, Held};
use crate::limits;
use crate::model::incident::Incident;
use crate::store::{IncidentFilter, codec};
use axum::extract::{Extension, State};
use axum::http::header;
use axum::response::Html;
use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use serde::Serialize;

const PAGE: &str = include_str!("board.html");
const STYLE: &str = include_str!("board.css");

#[derive(Serialize)]
struct Row {
    id: String,
    severity: String,
    state: &'static str,
    title: String,
    reason: String,
    services: u32,
    parties: u32,
    owner: String,
    triage: bool,
    tickets: Vec<(String, String, String)>,
    opened_at: String,
}

pub(super) async fn style() -> ([(header::HeaderName, &'static str); 1], &'static str) {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE)
}

pub(super) async fn page(
    State(api): Held,
    Extension(caller): Extension<Caller>,
) -> Result<Html<String>, Failure> {
    let bodies = api
        .state
        .incidents(IncidentFilter::Open, None, limits::PAGE_ROWS_MAX)?;
    let more = bodies.len() == limits::PAGE_ROWS_MAX;
    let mut rows = Vec::new();
    for body in &bodies {
        let mut incident: Incident = codec::decode(body)?;
        if !caller.sees_sensitive {
            incident = incident.for_anybody();
        }
        let mut tickets = Vec::new();
        for body in api.state.tickets_of(incident.id)? {
            let ticket: crate::model::WantedTicket = codec::decode(&body)?;
            if let (Some(remote), None) = (ticket.remote, ticket.alert) {
                tickets.push((ticket.tracker, remote.key, remote.url));
            }
        }
        rows.push(Row {
            id: incident.id.to_string(),
            severity: incident
                .severity
                .map_or_else(|| "–".to_owned(), |severity| severity.to_string()),
            state: incident.state.word(),
            title: incident.title,
            reason: incident.reason,
            services: incident.services_hit,
            parties: incident.parties_hit,
            owner: incident.owner,
            triage: incident.needs_triage,
            tickets,
            opened_at: incident.opened_at.to_string(),
        });
    }
    rows.sort_by(|a, b| (&a.severity, &a.opened_at).cmp(&(&b.severity, &b.opened_at)));
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::Html);
    let page = environment
        .render_str(
            PAGE,
            context! { rows => Value::from(Serde(rows)), more, now => (api.now)().to_string() },
        )
        .map_err(|error| {
            let status = axum::http::StatusCode::INTERNAL_SERVER_ERROR;
            Failure(status, format!("the board cannot be drawn: {error}"))
        })?;
    Ok(Html(page))
}
