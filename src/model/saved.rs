//! What the engine hands to the store, and gets back at a start: rows with encoded bodies.

use super::id::{AlertId, IncidentId, TicketId};
use super::incident::TimelineEntry;
use super::time::Time;
use std::collections::BTreeSet;

/// What one engine batch changed, as encoded rows. One transaction.
#[derive(Clone, Debug, Default)]
pub struct StateDelta {
    /// The journal is applied up to here.
    pub cursor: u64,
    /// The wall time up to which deadlines were served.
    pub served_until: Time,
    /// Changed alerts; `body` empty: the alert is forgotten.
    pub alerts: Vec<AlertRow>,
    /// Changed incidents.
    pub incidents: Vec<IncidentRow>,
    /// Changed cases.
    pub cases: Vec<CaseRow>,
    /// Changed wanted tickets.
    pub tickets: Vec<TicketRow>,
    /// New timeline lines.
    pub timeline: Vec<TimelineEntry>,
    /// Other rows by kind and key (symbols, silences, windows, counters, quarantine, sources,
    /// audit, the engine's scalars); an empty value removes the row.
    pub things: Vec<ThingRow>,
    /// Incidents with sensitive content: their rows and timeline lines are sealed.
    pub sealed: BTreeSet<IncidentId>,
    /// Alerts with sensitive content: their texts are sealed.
    pub sealed_texts: BTreeSet<AlertId>,
    /// Incidents that were not sensitive before: what is stored of them is sealed now, and the
    /// journal's rows that it came from are named in things of the kind [`TO_SEAL`].
    pub seal: BTreeSet<IncidentId>,
}

/// The kind of things that name a place in the journal that is to be sealed.
pub const TO_SEAL: &str = "to_seal";

/// One alert row.
#[derive(Clone, Debug)]
pub struct AlertRow {
    /// Primary key.
    pub id: AlertId,
    /// Its incident, indexed.
    pub incident: Option<IncidentId>,
    /// Whether it is active, indexed with the incident.
    pub active: bool,
    /// The engine's part, encoded; empty removes the row.
    pub body: Vec<u8>,
    /// The texts, encoded, if they changed; `None` keeps what is stored.
    pub text: Option<Vec<u8>>,
}

/// One incident row.
#[derive(Clone, Debug)]
pub struct IncidentRow {
    /// Primary key.
    pub id: IncidentId,
    /// Held or open, indexed.
    pub open: bool,
    /// Still held in the engine's memory (not closed), indexed.
    pub live: bool,
    /// Encoded.
    pub body: Vec<u8>,
}

/// One case row; key: incident and contract.
#[derive(Clone, Debug)]
pub struct CaseRow {
    /// The incident.
    pub incident: IncidentId,
    /// The contract.
    pub contract: String,
    /// Encoded.
    pub body: Vec<u8>,
}

/// One wanted ticket row.
#[derive(Clone, Debug)]
pub struct TicketRow {
    /// Primary key.
    pub id: TicketId,
    /// Its incident, indexed.
    pub incident: IncidentId,
    /// Its tracker, indexed with `work`.
    pub tracker: String,
    /// Order of work: `None` nothing to do; else smaller first (creates before updates, S1
    /// before S5).
    pub work: Option<i64>,
    /// Encoded.
    pub body: Vec<u8>,
}

/// One row of the rest.
#[derive(Clone, Debug)]
pub struct ThingRow {
    /// Which kind.
    pub kind: &'static str,
    /// Key within the kind.
    pub key: String,
    /// Encoded; empty removes the row.
    pub value: Vec<u8>,
}

/// What the engine needs to start: everything that is live.
#[derive(Clone, Debug, Default)]
pub struct LoadedState {
    /// The journal is applied up to here.
    pub cursor: u64,
    /// The wall time up to which deadlines were served.
    pub served_until: Time,
    /// Encoded alerts.
    pub alerts: Vec<Vec<u8>>,
    /// Encoded live incidents.
    pub incidents: Vec<Vec<u8>>,
    /// Encoded cases of live incidents.
    pub cases: Vec<Vec<u8>>,
    /// Encoded tickets of live incidents.
    pub tickets: Vec<Vec<u8>>,
    /// The rest: kind, key, value.
    pub things: Vec<(String, String, Vec<u8>)>,
}
