//! The store remembers: the journal of inputs, the engine's state, and the desk's tickets.
//!
//! `journal.db` is the only input log; doors append to it through one writer that commits many
//! requests at once and answers after the commit. `state.db` belongs to the engine alone: one
//! transaction holds the effects of a batch and the journal cursor. `desk.db` belongs to the
//! built-in desk. The store decides nothing.

pub mod codec;
pub mod desk_store;
pub mod sealing;
pub mod sqlite;

use crate::limits;
use crate::model::alert::Alert;
use crate::model::id::{AlertId, IncidentId, TicketId};
use crate::model::incident::TimelineEntry;
use crate::model::input::Remains;
pub use crate::model::saved::{
    AlertRow, CaseRow, IncidentRow, LoadedState, StateDelta, ThingRow, TicketRow,
};
use crate::model::{Input, Sequenced, Sym, Time};
use futures_util::future::BoxFuture;
use std::time::Duration;

/// An input that a door wants to append.
#[derive(Clone, Debug)]
pub struct NewInput {
    /// When the bridge accepted it.
    pub at: Time,
    /// What it is.
    pub input: Input,
    /// The bytes as received, kept beside it for a shorter time.
    pub raw: Option<Vec<u8>>,
}

/// Something that moves in the same transaction as an append: poll cursors, mailbox ledgers, hook
/// ids, attempt numbers. An empty value removes the mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Whose mark: `attempt`, `poll`, `imap`, ...
    pub space: &'static str,
    /// Which one.
    pub key: String,
    /// Its new value.
    pub value: Vec<u8>,
}

/// Why the store could not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk is full, read-only, locked or failing, or a path is not as it must be. Nothing was
    /// written; trying later may help.
    #[error("the store cannot use {what}: {reason}")]
    Unavailable {
        /// Which file or operation.
        what: String,
        /// What the system said.
        reason: String,
    },
    /// The disk budget or a source's share of it is used up.
    #[error("the backlog of source `{source_name}` is full ({used_bytes} of {budget_bytes} bytes)")]
    Full {
        /// Which source.
        source_name: String,
        /// Bytes used.
        used_bytes: u64,
        /// Bytes allowed.
        budget_bytes: u64,
    },
    /// Acknowledged data is damaged.
    #[error("{file} is damaged: {reason}. {remedy}")]
    Damaged {
        /// Which file.
        file: String,
        /// What was found.
        reason: String,
        /// Which verb helps.
        remedy: String,
    },
    /// The store was written by a newer program.
    #[error("{file} has version {found}, this program knows up to {known}: use a newer program")]
    Newer {
        /// Which file.
        file: String,
        /// Its version.
        found: i64,
        /// The newest version known.
        known: i64,
    },
    /// Another process uses the data directory.
    #[error("{dir} is in use by another process (lock file {dir}/lock)")]
    Locked {
        /// The data directory.
        dir: String,
    },
    /// A stored value cannot be read.
    #[error("cannot read {what}: {reason}")]
    Unreadable {
        /// Which value.
        what: String,
        /// What was found.
        reason: String,
    },
}

/// The journal. Shared by all doors; cheap to clone behind an `Arc`.
pub trait Journal: Send + Sync {
    /// Appends inputs and moves marks in one durable transaction. Resolves after the commit's
    /// sync returned, with the inputs' places in the journal.
    fn append(
        &self,
        inputs: Vec<NewInput>,
        marks: Vec<Mark>,
    ) -> BoxFuture<'_, Result<Vec<u64>, StoreError>>;

    /// Inputs after `after`, in order, at most `limit`; fewer, but at least one, if they are large.
    fn read(&self, after: u64, limit: usize) -> Result<Vec<Sequenced>, StoreError>;

    /// Inputs after `after`, in order, at most `limit`, for the engine: from memory while it keeps
    /// up, else from the disk. Waits for the first one at most `wait`; none came if it is empty.
    fn next(&self, after: u64, limit: usize, wait: Duration) -> Result<Vec<Sequenced>, StoreError>;

    /// The last place that was given out and committed; 0: the journal is empty.
    fn last_seq(&self) -> u64;

    /// The bytes as received of one input, if still kept.
    fn raw(&self, seq: u64) -> Result<Option<Vec<u8>>, StoreError>;

    /// All marks of a space.
    fn marks(&self, space: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError>;
}

/// An encoded alert and its encoded texts.
pub type AlertBytes = (Vec<u8>, Vec<u8>);

/// Which incidents a listing wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IncidentFilter {
    /// Held and open.
    Open,
    /// Resolved and closed.
    Closed,
    /// All.
    All,
}

/// The engine's state: written by the engine thread, read by everyone.
pub trait StateStore: Send + Sync {
    /// Everything that is live.
    fn load(&self) -> Result<LoadedState, StoreError>;

    /// One transaction, synced. Called by the engine thread only.
    fn commit(&self, delta: &StateDelta) -> Result<(), StoreError>;

    /// Encoded incidents, newest first, below `before` if given, at most `limit`.
    fn incidents(
        &self,
        filter: IncidentFilter,
        before: Option<IncidentId>,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, StoreError>;

    /// One encoded incident.
    fn incident(&self, id: IncidentId) -> Result<Option<Vec<u8>>, StoreError>;

    /// Alerts of an incident, active ones first, after `after` if given: body and text.
    fn alerts_of(
        &self,
        incident: IncidentId,
        after: Option<AlertId>,
        limit: usize,
    ) -> Result<Vec<AlertBytes>, StoreError>;

    /// All alerts by id, after `after` if given: body and text.
    fn alerts(&self, after: Option<AlertId>, limit: usize) -> Result<Vec<AlertBytes>, StoreError>;

    /// One alert: body and text.
    fn alert(&self, id: AlertId) -> Result<Option<AlertBytes>, StoreError>;

    /// Encoded cases of an incident.
    fn cases_of(&self, incident: IncidentId) -> Result<Vec<Vec<u8>>, StoreError>;

    /// Encoded cases of a contract by incident, after `after` if given, at most `limit`.
    fn cases_of_contract(
        &self,
        contract: &str,
        after: Option<IncidentId>,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, StoreError>;

    /// Encoded tickets of an incident.
    fn tickets_of(&self, incident: IncidentId) -> Result<Vec<Vec<u8>>, StoreError>;

    /// One encoded ticket.
    fn ticket(&self, id: TicketId) -> Result<Option<Vec<u8>>, StoreError>;

    /// Encoded tickets with work for a tracker, in order of work.
    fn work(&self, tracker: &str, limit: usize) -> Result<Vec<Vec<u8>>, StoreError>;

    /// Encoded tickets, newest first, below `before` if given.
    fn tickets(&self, before: Option<TicketId>, limit: usize) -> Result<Vec<Vec<u8>>, StoreError>;

    /// Timeline lines of an incident, oldest first, after the `after`-th, at most `limit`.
    fn timeline(
        &self,
        incident: IncidentId,
        after: usize,
        limit: usize,
    ) -> Result<Vec<TimelineEntry>, StoreError>;

    /// One row of the rest.
    fn thing(&self, kind: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// The name of a symbol; empty for the empty one and one that is not known.
    fn symbol(&self, sym: Sym) -> Result<String, StoreError> {
        if sym == Sym(0) {
            return Ok(String::new());
        }
        let name = self.thing("symbol", &format!("{:010}", sym.0))?;
        Ok(String::from_utf8_lossy(&name.unwrap_or_default()).into_owned())
    }

    /// The alerts of a storm that are active, with their texts: what the engine asks for when the
    /// storm may be over.
    fn remains_of(&self, storm: IncidentId) -> Result<Remains, StoreError> {
        let most = limits::STORM_REMAINS_MAX as usize + 1;
        let rows = self.alerts_of(storm, None, most)?;
        let mut alerts = Vec::new();
        for (alert, text) in rows.iter().filter(|(_, text)| !text.is_empty()) {
            let alert: Alert = codec::decode(alert)?;
            if alert.state.is_active() {
                alerts.push((alert, codec::decode(text)?));
            }
        }
        Ok(Remains { storm, alerts })
    }

    /// Rows of one kind of the rest, by key, after `after` if given.
    fn things(
        &self,
        kind: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError>;

    /// The cursor as committed.
    fn cursor(&self) -> Result<u64, StoreError>;
}
