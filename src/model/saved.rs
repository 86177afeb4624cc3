//! What the engine hands to the store, and gets back at a start: rows with encoded bodies.

use super::id::{AlertId, IncidentId, TicketId};
use super::incident::TimelineEntry;
use super::time::Time;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;

/// Version of the encoding of bodies: one byte before each. A field that is added later stands at
/// the end of its type and encodes as zeros while it says nothing; a body of an older version is
/// then read as if zeros followed it.
pub const BODY_VERSION: u8 = 3;
/// Zeros that stand in for the fields which older versions did not have.
const SINCE: [u8; 16] = [0; 16];

/// A value as bytes: the version, then postcard. Only values that postcard has no form for (maps
/// or sequences of unknown length) fail; our types have none.
pub fn encode_body<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(128);
    bytes.push(BODY_VERSION);
    postcard::to_extend(value, bytes).map_err(|error| error.to_string())
}

/// A value from bytes that [`encode_body`] made, of this version or an older one.
pub fn decode_body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let decoded = |bytes: &[u8], spare: usize| match postcard::take_from_bytes(bytes) {
        Ok((value, left)) if left.len() <= spare => Ok(value),
        Ok((_, left)) => Err(format!("{} bytes are left over", left.len() - spare)),
        Err(error) => Err(error.to_string()),
    };
    match bytes.split_first() {
        None => Err("it is empty".to_owned()),
        Some((&BODY_VERSION, rest)) => decoded(rest, 0),
        Some((1 | 2, rest)) => decoded(&[rest, &SINCE].concat(), SINCE.len()),
        Some((found, _)) => Err(format!(
            "it has encoding version {found}, this program knows up to {BODY_VERSION}"
        )),
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_of_an_older_version_is_read_as_if_zeros_followed() {
        for version in [1, 2] {
            let mut bytes = encode_body(&(7_u64, "x")).unwrap();
            bytes[0] = version;
            let read: (u64, String, Option<String>, bool) = decode_body(&bytes).unwrap();
            assert_eq!(read, (7, "x".to_owned(), None, false));
            assert_eq!(
                decode_body::<(u64, String)>(&bytes).unwrap(),
                (7, "x".into())
            );
            bytes.push(0);
            let left = decode_body::<(u64, String)>(&bytes).unwrap_err();
            assert_eq!(left, "1 bytes are left over");
        }
    }
}
