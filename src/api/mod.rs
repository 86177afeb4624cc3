//! The operators' door: what people and programs read, and what they tell the bridge.
//!
//! | file | serves |
//! | --- | --- |
//! | `door` | connections; who is calling; Host and Content-Type |
//! | `explain` | why |
//! | `report` | a contract's month |
//! | `read` | incidents, alerts, tickets, quarantine, outbox, sources, audit |
//! | `shown` | rows as JSON |
//! | `write` | commands: each is journaled with its author and answered once it was applied |
//! | `notices` | who is told what; security messages |
//! | `desk` | the built-in desk |
//! | `board` | one page for a screen in the NOC |
//!
//! This room reads what the store holds and appends commands to the journal; it decides nothing.
//! What concerns the daemon as a whole ([`Operations`]) is handed in.

mod board;
mod desk;
mod door;
mod explain;
mod notices;
mod read;
pub mod report;
mod shown;
mod silencing;
mod write;

pub use door::{Arrival, Caller, DoorRules, Role, serve};
pub use shown::Names;

use crate::store::desk_store::DeskStore;
use crate::store::{Journal, StateStore, StoreError};
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;

/// What concerns the daemon as a whole.
pub trait Operations: Send + Sync {
    /// The text of `/metrics`.
    fn metrics(&self) -> Result<Vec<u8>, String>;

    /// Reads the configuration again; says what changed, or everything that is wrong.
    fn reload<'a>(
        &'a self,
        author: &'a str,
        accepted: Accepted,
    ) -> BoxFuture<'a, Result<String, Vec<String>>>;

    /// Writes a backup to a folder of the daemon's machine.
    fn backup(&self, to: PathBuf) -> BoxFuture<'_, Result<String, String>>;

    /// Decodes a quarantined message again and takes it in.
    fn replay(&self, seq: u64) -> BoxFuture<'_, Result<String, String>>;

    /// Sources in force: name, kind, whether they have to prove who they are.
    fn sources(&self) -> Vec<SourceShown>;

    /// Routes in force: name, tracker, whether in shadow.
    fn routes(&self) -> Vec<(String, String, bool)>;

    /// What the engine decides by.
    fn decisions(&self) -> crate::engine::Decisions;

    /// How old the inventory is, for people; empty: there is none.
    fn inventory_age(&self) -> String;

    /// Whether there is a key to seal what is sensitive with.
    fn can_seal(&self) -> bool;

    /// Tells one version of the configuration from another.
    fn configuration_digest(&self) -> String;

    /// Whether the daemon has all it needs; else why not.
    fn ready(&self) -> Result<(), String>;

    /// What is not as it should be, although the daemon does its work.
    fn notes(&self) -> Vec<String>;
}

/// Whether a person has said that a new inventory may take away much of what is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// They have.
    Yes,
    /// They have not been asked.
    No,
}

/// A configured source.
#[derive(Clone, Debug)]
pub struct SourceShown {
    /// Its name.
    pub name: String,
    /// The format that decodes it.
    pub kind: String,
    /// Whether it has to prove who it is.
    pub proven: bool,
    /// Whether the configuration names it.
    pub configured: bool,
}

/// What the door works with.
pub struct Api {
    /// Incidents and tickets.
    pub state: Arc<dyn StateStore>,
    /// The desk.
    pub desk: Arc<dyn DeskStore>,
    /// The journal.
    pub journal: Arc<dyn Journal>,
    /// The daemon.
    pub operations: Arc<dyn Operations>,
    /// The journal position up to which the engine has committed.
    pub applied: watch::Receiver<u64>,
    /// Who may come in.
    pub rules: arc_swap::ArcSwap<DoorRules>,
    /// Names that were looked up.
    pub names: Names,
    /// The wall clock.
    pub now: fn() -> crate::model::Time,
}

type Shared = Arc<Api>;

/// An answer that is no success.
#[derive(Debug)]
pub struct Failure(StatusCode, String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, axum::Json(json!({ "error": self.1 }))).into_response()
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        Failure(StatusCode::SERVICE_UNAVAILABLE, error.to_string())
    }
}

fn wrong(what: impl Into<String>) -> Failure {
    Failure(StatusCode::BAD_REQUEST, what.into())
}

fn absent(what: impl Into<String>) -> Failure {
    Failure(StatusCode::NOT_FOUND, what.into())
}

type Answer = Result<axum::Json<Value>, Failure>;

/// All routes.
pub fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/", get(board::page))
        .route("/board.css", get(board::style))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(read::ready))
        .route("/metrics", get(read::metrics))
        .route("/api/v1/incidents", get(read::incidents))
        .route("/api/v1/incidents/{id}", get(read::incident))
        .route("/api/v1/incidents/{id}/{verb}", post(write::on_incident))
        .route("/api/v1/explain/{id}", get(explain::one))
        .route("/api/v1/report", get(report::report))
        .route("/api/v1/alerts", get(read::alerts))
        .route("/api/v1/alerts/{id}", get(read::alert))
        .route("/api/v1/alerts/{id}/original", get(read::original))
        .route("/api/v1/alerts/{id}/close", post(write::close_alert))
        .route("/api/v1/quarantine", get(read::quarantine))
        .route("/api/v1/quarantine/{seq}", get(read::quarantined))
        .route(
            "/api/v1/quarantine/{seq}/{verb}",
            post(write::on_quarantined),
        )
        .route("/api/v1/outbox", get(read::outbox))
        .route("/api/v1/outbox/{id}/{verb}", post(write::on_ticket))
        .route("/api/v1/notices", get(notices::list))
        .route("/api/v1/notices/{id}", get(notices::one))
        .route("/api/v1/notices/{id}/{verb}", post(notices::act))
        .route("/api/v1/security", get(notices::security))
        .route("/api/v1/security/{id}/{verb}", post(notices::on_security))
        .route("/api/v1/sources", get(read::sources))
        .route("/api/v1/audit", get(read::audit))
        .route("/api/v1/routes", get(read::routes))
        .route("/api/v1/routes/{name}/promote", post(write::promote))
        .route("/api/v1/silences", get(read::silences).post(write::silence))
        .route("/api/v1/silences/{id}/end", post(write::end_silence))
        .route("/api/v1/windows", get(read::windows).post(write::window))
        .route("/api/v1/windows/{id}/end", post(write::end_window))
        .route("/api/v1/requests", post(write::request))
        .route("/api/v1/desk/tickets", get(desk::list))
        .route("/api/v1/desk/tickets/{number}", get(desk::one))
        .route("/api/v1/desk/tickets/{number}/{verb}", post(desk::act))
        .route("/api/v1/reload", post(write::reload))
        .route("/api/v1/backup", post(write::backup))
        .fallback(|| async { absent("no such path; see docs/api.md") })
        .layer(axum::middleware::from_fn_with_state(
            api.clone(),
            door::guard,
        ))
        .with_state(api)
}
