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

/// Most tickets looked for in one round.
const ROUND_MAX: usize = 20;

impl Worker {
    /// One round: looks that are due, and marks that are not needed any more.
    pub(super) async fn reconcile(&self) -> Result<(), StoreError> {
        let now = (self.now)();
        let mut marks = Vec::new();
        for (key, attempt) in self.due(now) {
            if !self.may_call() {
                break;
            }
            let Some((remote, made_at)) = attempt.made.clone() else {
                continue;
            };
            if self.tracker.capabilities().finds_by_key
                && !self.look(&key, &attempt, &remote).await?
            {
                // Not done: the same look is due again in the next round.
                continue;
            }
            let mut attempt = attempt;
            attempt.looks = attempt.looks.saturating_add(1);
            let over = self.next_look(&attempt, made_at).is_none();
            let mut ledger = self.ledger.lock();
            if over {
                ledger.attempts.remove(&key);
                marks.push(mark(&key, None)?);
            } else {
                ledger.attempts.insert(key.clone(), attempt.clone());
                marks.push(mark(&key, Some(&attempt))?);
            }
        }
        self.keep(marks).await
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

    fn due(&self, now: Time) -> Vec<(String, Attempt)> {
        let ledger = self.ledger.lock();
        ledger
            .attempts
            .iter()
            .filter(|(_, attempt)| attempt.tracker == self.tracker.name())
            .filter(|(_, attempt)| {
                let made = attempt.made.as_ref();
                made.is_some_and(|(_, at)| {
                    self.next_look(attempt, *at).is_none_or(|due| due <= now)
                })
            })
            .take(ROUND_MAX)
            .map(|(key, attempt)| (key.clone(), attempt.clone()))
            .collect()
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
