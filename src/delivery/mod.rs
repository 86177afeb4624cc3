//! Delivery makes each tracker look as wanted. One worker a tracker reads wanted tickets in their
//! order of work, writes the difference, and reports what came of it as an input. The attempt is
//! committed before its first byte; any later attempt looks for the ticket by its key first.
//! Outcomes are done, refused, unknown or later; unknown is looked up, never repeated blindly.

mod backoff;
mod render;

use crate::model::input::Input;
use crate::model::ticket::{DeliveryReport, Origin, RemoteRef, Trouble, WantedTicket};
use crate::model::{TicketId, Time};
use crate::store::{Journal, Mark, NewInput, StateStore, StoreError, codec};
use crate::trackers::{Called, Change, Draft, Tracker};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Most tickets worked on in one round.
const ROUND_MAX: usize = 200;
/// How long a worker waits when nothing calls it.
const IDLE: Duration = Duration::from_millis(500);

/// What delivery counts.
pub trait DeliveryMetrics: Send + Sync {
    /// A call to a tracker ended.
    fn called(&self, tracker: &str, operation: &'static str, result: &'static str, took: Duration);
}

/// One tracker's worker.
pub struct Worker {
    /// The tracker.
    pub tracker: Arc<dyn Tracker>,
    /// The inputs: reports and marks go there.
    pub journal: Arc<dyn Journal>,
    /// The wanted tickets.
    pub state: Arc<dyn StateStore>,
    /// What is counted.
    pub metrics: Arc<dyn DeliveryMetrics>,
    /// Rung by the engine.
    pub bell: Arc<Notify>,
    /// The wall clock.
    pub now: fn() -> Time,
}

/// What a worker remembers between rounds.
#[derive(Default)]
struct Memory {
    /// Attempts by idempotency key, as committed.
    attempts: BTreeMap<String, u32>,
    /// Reports that the engine has not applied yet: ticket and journal place.
    reported: BTreeMap<TicketId, u64>,
    /// Tickets that wait before they are tried again.
    waits: BTreeMap<TicketId, (u32, Time)>,
}

/// What one ticket's turn brought.
struct Turn {
    report: DeliveryReport,
    failed: Option<(String, bool, Option<Duration>)>,
}

impl Worker {
    /// Works until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let mut memory = Memory::default();
        match self.journal.marks("attempt") {
            Ok(marks) => memory.attempts.extend(
                marks
                    .into_iter()
                    .map(|(key, value)| (key, value.first().copied().map_or(0, u32::from))),
            ),
            Err(error) => tracing::error!(%error, "attempts_unreadable"),
        }
        loop {
            if let Err(error) = self.round(&mut memory).await {
                tracing::warn!(%error, tracker = self.tracker.name(), "delivery_paused");
            }
            if let Err(error) = self.poll().await {
                tracing::warn!(%error, tracker = self.tracker.name(), "poll_failed");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.bell.notified() => {}
                () = tokio::time::sleep(IDLE) => {}
            }
        }
    }

    async fn round(&self, memory: &mut Memory) -> Result<(), StoreError> {
        let cursor = self.state.cursor()?;
        memory.reported.retain(|_, seq| *seq > cursor);
        let now = (self.now)();
        for body in self.state.work(self.tracker.name(), ROUND_MAX)? {
            let ticket: WantedTicket = codec::decode(&body)?;
            let waits = memory
                .waits
                .get(&ticket.id)
                .is_some_and(|(_, until)| now < *until);
            if waits || memory.reported.contains_key(&ticket.id) {
                continue;
            }
            let turn = self.turn(&ticket, memory).await?;
            self.end_turn(&ticket, turn, memory).await?;
        }
        Ok(())
    }

    async fn end_turn(
        &self,
        ticket: &WantedTicket,
        mut turn: Turn,
        memory: &mut Memory,
    ) -> Result<(), StoreError> {
        let now = (self.now)();
        if let Some((reason, dead, after)) = turn.failed.take() {
            let tried = memory.waits.get(&ticket.id).map_or(0, |(tried, _)| *tried) + 1;
            let wait = after.unwrap_or_else(|| backoff::wait(tried, rand::random::<f64>()));
            memory.waits.insert(ticket.id, (tried, now.plus(wait)));
            let since = ticket.trouble.as_ref().map_or(now, |trouble| trouble.since);
            turn.report.trouble = Some(Trouble {
                reason,
                attempts: tried,
                since,
                dead,
            });
            // The first failure and the last word are told; those between change nothing.
            if !dead && ticket.trouble.is_some() && turn.report.remote.is_none() {
                return Ok(());
            }
        } else {
            memory.waits.remove(&ticket.id);
        }
        let input = NewInput {
            at: now,
            input: Input::Delivery(turn.report),
            raw: None,
        };
        let places = self.journal.append(vec![input], Vec::new()).await?;
        if let Some(place) = places.first() {
            memory.reported.insert(ticket.id, *place);
        }
        Ok(())
    }

    async fn turn(&self, ticket: &WantedTicket, memory: &mut Memory) -> Result<Turn, StoreError> {
        let mut turn = Turn {
            report: DeliveryReport {
                ticket: ticket.id,
                version_done: 0,
                written: None,
                read: None,
                remote: None,
                origin: None,
                notes_done: Vec::new(),
                trouble: None,
                twins_closed: Vec::new(),
            },
            failed: None,
        };
        let remote = match &ticket.remote {
            Some(remote) => remote.clone(),
            None if ticket.wanted.status.is_over()
                && !memory.attempts.contains_key(&ticket.key) =>
            {
                // It came and went before a ticket was ever asked of the tracker.
                turn.report.version_done = ticket.version_wanted;
                turn.report.notes_done = ticket.notes.iter().map(|n| n.marker.clone()).collect();
                return Ok(turn);
            }
            None => match self.bring_about(ticket, memory, &mut turn).await? {
                Some(remote) => remote,
                None => return Ok(turn),
            },
        };
        self.write(ticket, &remote, &mut turn).await;
        Ok(turn)
    }

    /// Creates the ticket, or finds the one that an earlier attempt made.
    async fn bring_about(
        &self,
        ticket: &WantedTicket,
        memory: &mut Memory,
        turn: &mut Turn,
    ) -> Result<Option<RemoteRef>, StoreError> {
        let attempts = memory.attempts.get(&ticket.key).copied().unwrap_or(0);
        if attempts > 0 {
            let found = self.call("search", self.tracker.find(&ticket.key)).await;
            match self.settle(found, turn) {
                None => return Ok(None),
                Some(found) => {
                    let found = found.into_iter().find(|other| other.key == ticket.key);
                    if let Some(found) = found {
                        turn.report.remote = Some(found.remote.clone());
                        turn.report.origin = Some(Origin::Found);
                        return Ok(Some(found.remote));
                    }
                }
            }
        }
        let count = u8::try_from(attempts + 1).unwrap_or(u8::MAX);
        let mark = Mark {
            space: "attempt",
            key: ticket.key.clone(),
            value: vec![count],
        };
        self.journal.append(Vec::new(), vec![mark]).await?;
        memory.attempts.insert(ticket.key.clone(), attempts + 1);
        let limits = self.tracker.capabilities();
        let draft = Draft {
            key: ticket.key.clone(),
            fields: ticket.wanted.clone(),
            body: render::body(self.state.as_ref(), ticket, limits.body_bytes_max)?,
            requestor: String::new(),
        };
        let opened = self.call("create", self.tracker.open(&draft)).await;
        let Some(remote) = self.settle(opened, turn) else {
            return Ok(None);
        };
        turn.report.remote = Some(remote.clone());
        turn.report.origin = Some(Origin::Created);
        turn.report.version_done = ticket.version_wanted;
        turn.report.written = Some(ticket.wanted.clone());
        Ok(Some(remote))
    }

    /// Fields that differ, then notes in order.
    async fn write(&self, ticket: &WantedTicket, remote: &RemoteRef, turn: &mut Turn) {
        let behind = ticket.version_done < ticket.version_wanted;
        if behind && turn.report.origin != Some(Origin::Created) {
            let change = Change::Fields {
                from: ticket.last_written.clone(),
                to: ticket.wanted.clone(),
            };
            let done = self
                .call("update", self.tracker.change(remote, &change))
                .await;
            if self.settle(done, turn).is_none() {
                return;
            }
            turn.report.version_done = ticket.version_wanted;
            turn.report.written = Some(ticket.wanted.clone());
        }
        for note in ticket.notes.iter().filter(|note| !note.done) {
            let change = Change::Note {
                marker: note.marker.clone(),
                text: note.text.clone(),
                public: note.public,
            };
            let done = self
                .call("comment", self.tracker.change(remote, &change))
                .await;
            if self.settle(done, turn).is_none() {
                return;
            }
            turn.report.notes_done.push(note.marker.clone());
        }
    }

    async fn call<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Called<T>>,
    ) -> Called<T> {
        let began = tokio::time::Instant::now();
        let called = call.await;
        let result = match &called {
            Called::Done(_) => "ok",
            Called::Refused { .. } => "client_error",
            Called::Unknown { .. } => "timeout",
            Called::Later { .. } => "server_error",
        };
        self.metrics
            .called(self.tracker.name(), operation, result, began.elapsed());
        called
    }

    fn settle<T>(&self, called: Called<T>, turn: &mut Turn) -> Option<T> {
        match called {
            Called::Done(value) => return Some(value),
            Called::Refused { reason, field } => {
                let field = field
                    .map(|field| format!(" (field {field})"))
                    .unwrap_or_default();
                turn.failed = Some((format!("refused: {reason}{field}"), true, None));
            }
            Called::Unknown { reason, .. } => {
                turn.failed = Some((format!("outcome unknown: {reason}"), false, None));
            }
            Called::Later { reason, after } => turn.failed = Some((reason, false, after)),
        }
        None
    }

    /// What people did since the last look becomes inputs, and the cursor moves with them.
    async fn poll(&self) -> Result<(), StoreError> {
        let name = self.tracker.name();
        let cursor = self
            .journal
            .marks("poll")?
            .into_iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| String::from_utf8_lossy(&value).into_owned())
            .unwrap_or_default();
        let now = (self.now)();
        let Called::Done((changes, next)) = self.tracker.changes(&cursor, &|_| true).await else {
            return Ok(());
        };
        if next == cursor || (changes.is_empty() && cursor.is_empty() && next == "0") {
            return Ok(());
        }
        let inputs = changes
            .into_iter()
            .map(|change| NewInput {
                at: now,
                input: Input::Person(change),
                raw: None,
            })
            .collect();
        let mark = Mark {
            space: "poll",
            key: name.to_owned(),
            value: next.into_bytes(),
        };
        self.journal.append(inputs, vec![mark]).await.map(|_| ())
    }
}
