//! Looks for twins of tickets that were made: a request that arrived twice, or late, leaves a
//! second ticket with the same key. It is linked and closed within ten minutes. A ticket whose
//! looks are done leaves no mark behind.

use super::Worker;
use super::ledger::{Attempt, mark};
use crate::model::input::Input;
use crate::model::ticket::{DeliveryReport, RemoteRef, WantedTicket};
use crate::model::{TicketId, Time};
use crate::store::{Mark, NewInput, StoreError, codec};
use crate::trackers::Called;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Looks whose end is kept together.
const KEPT_TOGETHER: usize = 20;

impl Worker {
    /// One round: looks that are due, the longest due first, and marks that are not needed any more.
    /// One look after the other: a tracker's room is for the tickets' own work.
    pub(super) async fn reconcile(&self, stop: &CancellationToken) -> Result<(), StoreError> {
        let mut marks = Vec::new();
        for key in self.due((self.now)()) {
            if !self.may_call() || stop.is_cancelled() {
                break;
            }
            marks.extend(self.look_once(&key).await?);
            if marks.len() >= KEPT_TOGETHER {
                self.keep(std::mem::take(&mut marks)).await?;
            }
        }
        self.keep(marks).await
    }

    /// One look and the mark that says so; none if it could not be done: it is due again in the next
    /// round.
    async fn look_once(&self, key: &str) -> Result<Option<Mark>, StoreError> {
        // It may have ended while others were looked for.
        let attempt = self.ledger.lock().attempts.get(key).cloned();
        let Some((attempt, (remote, made_at))) = attempt.and_then(|attempt| {
            let made = attempt.made.clone()?;
            Some((attempt, made))
        }) else {
            return Ok(None);
        };
        if self.tracker.capabilities().finds_by_key && !self.look(key, &attempt, &remote).await? {
            return Ok(None);
        }
        let mut ledger = self.ledger.lock();
        let Some(attempt) = ledger.attempts.get_mut(key) else {
            return Ok(None);
        };
        attempt.looks = attempt.looks.saturating_add(1);
        if self.next_look(attempt, made_at).is_some() {
            return mark(key, Some(attempt)).map(Some);
        }
        ledger.attempts.remove(key);
        mark(key, None).map(Some)
    }

    async fn keep(&self, marks: Vec<Mark>) -> Result<(), StoreError> {
        if marks.is_empty() {
            return Ok(());
        }
        self.journal.append(Vec::new(), marks).await.map(|_| ())
    }

    /// The instant of the next look for twins; one look after a clean create, several after doubt.
    fn next_look(&self, attempt: &Attempt, made_at: Time) -> Option<Time> {
        let looks: &[Duration] = if attempt.count > 1 {
            &self.pace.looks_in_doubt
        } else {
            &self.pace.looks
        };
        let after = looks.get(usize::from(attempt.looks))?;
        Some(made_at.plus(*after))
    }

    fn due(&self, now: Time) -> Vec<String> {
        let ledger = self.ledger.lock();
        let mut due: Vec<_> = ledger
            .attempts
            .iter()
            .filter(|(_, attempt)| attempt.tracker == self.tracker.name())
            .filter_map(|(key, attempt)| {
                let (_, made_at) = attempt.made.as_ref()?;
                // What has no look left only has its mark removed.
                let due = self.next_look(attempt, *made_at).unwrap_or(*made_at);
                (due <= now).then(|| (due, key.clone()))
            })
            .collect();
        due.sort();
        due.into_iter().map(|(_, key)| key).collect()
    }

    /// Whether it could be looked, and every twin is closed.
    async fn look(
        &self,
        key: &str,
        attempt: &Attempt,
        remote: &RemoteRef,
    ) -> Result<bool, StoreError> {
        let found = self.call("search", self.tracker.find(key)).await;
        let Called::Done(found) = found else {
            return Ok(false);
        };
        let twins: Vec<_> = found.into_iter().filter(|twin| twin.key == key).collect();
        let mut report = self.report_of(attempt.ticket)?;
        let all = self.close_twins(remote, twins, &mut report).await;
        if !report.twins_closed.is_empty() {
            let input = NewInput {
                at: (self.now)(),
                input: Input::Delivery(report),
                raw: None,
            };
            self.journal.append(vec![input], Vec::new()).await?;
        }
        Ok(all)
    }

    /// A report that changes nothing by itself: the trouble stays as it is.
    pub(super) fn report_of(&self, id: TicketId) -> Result<DeliveryReport, StoreError> {
        let body = self.state.ticket(id)?;
        let ticket: Option<WantedTicket> = body.map(|body| codec::decode(&body)).transpose()?;
        Ok(DeliveryReport {
            ticket: id,
            version_done: 0,
            written: None,
            read: None,
            remote: None,
            origin: None,
            notes_done: Vec::new(),
            trouble: ticket.and_then(|ticket| ticket.trouble),
            twins_closed: Vec::new(),
        })
    }
}
