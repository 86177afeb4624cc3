//! What the workers of one process know together: who works on which ticket, which attempts were
//! made, which reports the engine has not applied yet, and what waits until when.
//!
//! Attempts are marks of the journal, so they outlive the process; all else can be forgotten. A
//! mark stays until the ticket has been looked for twins, and is removed then.

use crate::model::ticket::RemoteRef;
use crate::model::{TicketId, Time};
use crate::store::{Journal, Mark, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The space of the marks.
pub(super) const SPACE: &str = "attempt";
/// Most tickets of one tracker whose changes by people are followed.
const REMOTES_MAX: usize = 100_000;

/// The attempts to make one ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attempt {
    /// The ticket.
    pub ticket: TicketId,
    /// Its tracker.
    pub tracker: String,
    /// Creates that were begun.
    pub count: u32,
    /// When the first was begun.
    pub first_at: Time,
    /// When the last was begun.
    pub last_at: Time,
    /// What came of it, and when.
    pub made: Option<(RemoteRef, Time)>,
    /// Looks for twins since then.
    pub looks: u8,
}

/// Shared by all workers of a process.
#[derive(Default)]
pub struct Ledger {
    inner: Mutex<Inner>,
}

#[derive(Default)]
pub(super) struct Inner {
    loaded: bool,
    /// When this process began to deliver.
    pub began_at: Time,
    claimed: BTreeSet<TicketId>,
    /// By idempotency key.
    pub attempts: BTreeMap<String, Attempt>,
    /// Keys of which certainly no attempt arrived: there is nothing to let settle, or to look for.
    pub not_sent: BTreeSet<String>,
    /// Ticket and journal place.
    pub reported: BTreeMap<TicketId, u64>,
    /// Failures in a row, and the instant of the next try.
    pub waits: BTreeMap<TicketId, (u32, Time)>,
    remotes: BTreeMap<String, BTreeSet<String>>,
}

impl Ledger {
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the attempts of earlier runs, once.
    pub(super) fn load(&self, journal: &dyn Journal, now: Time) -> Result<(), StoreError> {
        let mut inner = self.lock();
        if inner.loaded {
            return Ok(());
        }
        for (key, value) in journal.marks(SPACE)? {
            match postcard::from_bytes::<Attempt>(&value) {
                Ok(attempt) => {
                    inner.attempts.insert(key, attempt);
                }
                Err(error) => tracing::error!(%error, key, "attempt_unreadable"),
            }
        }
        inner.began_at = now;
        inner.loaded = true;
        Ok(())
    }

    /// Takes a ticket, unless somebody works on it, it waits, or its report is on the way. The
    /// ticket has to be read after this, not before.
    pub(super) fn claim(&self, ticket: TicketId, now: Time, cursor: u64) -> bool {
        let mut inner = self.lock();
        inner.reported.retain(|_, seq| *seq > cursor);
        let waits = inner
            .waits
            .get(&ticket)
            .is_some_and(|(_, until)| now < *until);
        !waits && !inner.reported.contains_key(&ticket) && inner.claimed.insert(ticket)
    }

    pub(super) fn release(&self, ticket: TicketId) {
        self.lock().claimed.remove(&ticket);
    }

    /// Tickets that a listing of work would show in vain.
    pub(super) fn busy(&self) -> usize {
        let inner = self.lock();
        inner.claimed.len() + inner.reported.len() + inner.waits.len()
    }

    pub(super) fn attempt(&self, key: &str) -> Option<Attempt> {
        self.lock().attempts.get(key).cloned()
    }

    /// The ticket lives there: what people do to it is followed.
    pub(super) fn follow(&self, tracker: &str, remote: &str) {
        let mut inner = self.lock();
        let remotes = inner.remotes.entry(tracker.to_owned()).or_default();
        if remotes.len() < REMOTES_MAX {
            remotes.insert(remote.to_owned());
        }
    }

    /// Whether the bridge has that ticket there.
    pub fn follows(&self, tracker: &str, remote: &str) -> bool {
        let inner = self.lock();
        inner
            .remotes
            .get(tracker)
            .is_some_and(|remotes| remotes.contains(remote))
    }
}

/// The mark that stores an attempt, or removes it.
pub(super) fn mark(key: &str, attempt: Option<&Attempt>) -> Result<Mark, StoreError> {
    let value = attempt.map_or(Ok(Vec::new()), postcard::to_stdvec);
    Ok(Mark {
        space: SPACE,
        key: key.to_owned(),
        value: value.map_err(|error| StoreError::Unreadable {
            what: "an attempt".to_owned(),
            reason: error.to_string(),
        })?,
    })
}
