//! What is known of earlier attempts to make a ticket, and how long to wait until a look can be
//! trusted.

use super::Worker;
use super::ledger::{Attempt, mark};
use crate::model::Time;
use crate::model::ticket::WantedTicket;
use crate::store::StoreError;
use std::time::Duration;

impl Worker {
    /// The attempt that was made, or the one that may have been made: the process from which a backup
    /// was taken went on after it.
    pub(super) fn earlier_attempt(&self, ticket: &WantedTicket) -> Option<Attempt> {
        let known = self.ledger.attempt(&ticket.key);
        known.or_else(|| {
            self.may_be_forgotten(ticket).then(|| Attempt {
                ticket: ticket.id,
                tracker: self.tracker.name().to_owned(),
                count: 0,
                first_at: self.ledger.lock().began_at,
                last_at: self.lost_until.unwrap_or_default(),
                made: None,
                looks: 0,
            })
        })
    }

    fn may_be_forgotten(&self, ticket: &WantedTicket) -> bool {
        self.lost_until.is_some_and(|lost| ticket.asked_at <= lost)
    }

    /// Whether certainly nothing of this ticket ever reached the tracker.
    pub(super) fn never_sent(&self, ticket: &WantedTicket) -> bool {
        let ledger = self.ledger.lock();
        match ledger.attempts.get(&ticket.key) {
            Some(attempt) => attempt.made.is_none() && ledger.not_sent.contains(&ticket.key),
            None => !self.may_be_forgotten(ticket),
        }
    }

    /// There is nothing to be looked for.
    pub(super) async fn forget(&self, key: &str) -> Result<(), StoreError> {
        if self.ledger.attempt(key).is_none() {
            return Ok(());
        }
        let removed = mark(key, None)?;
        self.journal.append(Vec::new(), vec![removed]).await?;
        let mut ledger = self.ledger.lock();
        ledger.attempts.remove(key);
        ledger.not_sent.remove(key);
        Ok(())
    }

    /// How long to wait until a look-up can be trusted; none if it can now.
    pub(super) fn settles_in(&self, key: &str, attempt: &Attempt, now: Time) -> Option<Duration> {
        if self.ledger.lock().not_sent.contains(key) {
            return None;
        }
        let settled = attempt.last_at.plus(self.tracker.capabilities().settle);
        (now < settled).then(|| settled.since(now))
    }

    /// A note from before this process began may have been under way when the last one ended.
    pub(super) fn earlier_life_settles_in(&self, ticket: &WantedTicket) -> Option<Duration> {
        let began = self.ledger.lock().began_at;
        let mut notes = ticket.notes.iter().filter(|note| !note.done);
        let settled = began.plus(self.tracker.capabilities().settle);
        let now = (self.now)();
        (now < settled && notes.any(|note| note.at <= began)).then(|| settled.since(now))
    }
}
