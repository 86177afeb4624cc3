//! Delivery makes each tracker look as wanted. One worker a tracker reads wanted tickets in their
//! order of work, writes the differences of several tickets at once and of one ticket in order, and
//! reports what came of it as inputs. Outcomes are done, refused, unknown or later; unknown is
//! looked up, never repeated blindly.

mod attempts;
pub(crate) mod backoff;
mod breaker;
pub mod compare;
mod files;
pub mod found;
mod instead;
mod ledger;
mod memory;
mod merge;
mod people;
pub mod presentation;
mod reconcile;
mod render;
pub mod templates;
mod turn;

pub use ledger::Ledger;
pub use presentation::Presentation;

use crate::model::input::Input;
use crate::model::ticket::{Trouble, WantedTicket};
use crate::model::{TicketId, Time};
use crate::store::{Journal, NewInput, StateStore, StoreError, codec};
use crate::trackers::{Called, Tracker};
use breaker::Breaker;
use people::Follower;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use turn::Turn;

/// Most tickets listed in one round, besides those that are busy.
const ROUND_MAX: usize = 200;
/// How long a worker waits when nothing calls it.
const IDLE: Duration = Duration::from_millis(500);
/// How long after a hook the tracker is read.
const HOOK_PAUSE: Duration = Duration::from_secs(1);
/// How often it is looked for looks that are due.
const RECONCILE_EVERY: Duration = Duration::from_secs(5);
/// Time that calls under way have when the worker is stopped; what is cut off is looked up later.
const DRAIN: Duration = Duration::from_secs(5);

/// What delivery counts.
pub trait DeliveryMetrics: Send + Sync {
    /// A call to a tracker ended.
    fn called(&self, tracker: &str, operation: &'static str, result: &'static str, took: Duration);

    /// A tracker's breaker opened or closed.
    fn breaker(&self, _tracker: &str, _open: bool) {}
}

/// How fast a worker works.
#[derive(Clone, Debug)]
pub struct Pace {
    /// Most calls a minute; 0: no limit.
    pub calls_per_minute: u32,
    /// When a ticket that was made at once is looked for twins, after it was made.
    pub looks: Vec<Duration>,
    /// The same for a ticket that took several attempts.
    pub looks_in_doubt: Vec<Duration>,
    /// The longest wait between two tries of one ticket.
    pub wait_max: Duration,
    /// First and longest pause after the breaker opened.
    pub pauses: (Duration, Duration),
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            calls_per_minute: 0,
            looks: vec![Duration::from_secs(90)],
            looks_in_doubt: [30, 120, 300, 540].map(Duration::from_secs).to_vec(),
            wait_max: Duration::from_secs(300),
            pauses: (Duration::from_secs(10), Duration::from_secs(60)),
        }
    }
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
    /// Rung by a hook: people may have done something.
    pub look: Arc<Notify>,
    /// The wall clock.
    pub now: fn() -> Time,
    /// When the store was brought back from a backup: a ticket that was asked for before may have
    /// been made by the process that went on after it.
    pub lost_until: Option<Time>,
    /// What the workers of the process know together.
    pub ledger: Arc<Ledger>,
    /// How fast it works.
    pub pace: Pace,
    /// When the tracker may be spoken to.
    pub gate: Gate,
    /// How tickets are presented.
    pub presentation: Arc<Presentation>,
}

/// When a tracker may be spoken to: its breaker and its rate.
#[derive(Default)]
pub struct Gate {
    breaker: Mutex<Breaker>,
    slot: Mutex<Option<Instant>>,
}

/// A ticket that somebody works on; given back however the work ends.
struct Claim {
    worker: Arc<Worker>,
    id: TicketId,
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.worker.gate.breaker().ended();
        self.worker.ledger.release(self.id);
    }
}

impl Gate {
    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next slot of the rate.
    async fn slot(&self, calls_per_minute: u32) {
        if calls_per_minute == 0 {
            return;
        }
        let gap = Duration::from_secs(60) / calls_per_minute;
        let at = {
            let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let at = slot.map_or(now, |last| (last + gap).max(now));
            *slot = Some(at);
            at
        };
        tokio::time::sleep_until(at).await;
    }
}

impl Worker {
    /// Works until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let worker = Arc::new(self);
        while let Err(error) = worker.ledger.load(worker.journal.as_ref(), (worker.now)()) {
            // Without the attempts of earlier runs nothing may be created.
            tracing::error!(%error, "attempts_unreadable");
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(IDLE) => {}
            }
        }
        let mut side = JoinSet::new();
        if worker.tracker.capabilities().reads_changes {
            side.spawn(worker.clone().follow(stop.clone()));
        }
        side.spawn(worker.clone().keep_reconciling(stop.clone()));
        let mut turns = JoinSet::new();
        loop {
            if let Err(error) = worker.begin_turns(&mut turns) {
                tracing::warn!(%error, tracker = worker.tracker.name(), "delivery_paused");
            }
            tokio::select! {
                () = stop.cancelled() => break,
                Some(_) = turns.join_next() => {}
                () = worker.bell.notified() => {}
                () = tokio::time::sleep(IDLE) => {}
            }
        }
        let drained = async { while turns.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(DRAIN, drained).await;
    }

    /// Polls until told to stop.
    async fn follow(self: Arc<Worker>, stop: CancellationToken) {
        let every = self.tracker.capabilities().poll_every;
        let mut follower = Follower::default();
        loop {
            let more = if self.may_probe() {
                let polled = self.poll(&mut follower).await;
                let looked = match &polled {
                    Ok(_) if self.may_call() => self.look_at_one(&mut follower).await,
                    _ => Ok(()),
                };
                self.gate.breaker().ended();
                looked.and(polled)
            } else {
                Ok(false)
            };
            if let Err(error) = &more {
                tracing::warn!(%error, tracker = self.tracker.name(), "poll_not_kept");
            }
            let pause = if matches!(more, Ok(true)) {
                every / 4
            } else {
                every
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
                () = self.look.notified() => {
                    // What a hook tells may show a moment later; many hooks are one look.
                    tokio::select! {
                        () = stop.cancelled() => return,
                        () = tokio::time::sleep(HOOK_PAUSE.min(pause)) => {}
                    }
                }
            }
        }
    }

    async fn keep_reconciling(self: Arc<Worker>, stop: CancellationToken) {
        let shortest = self
            .pace
            .looks
            .iter()
            .chain(&self.pace.looks_in_doubt)
            .min();
        let every = shortest
            .copied()
            .unwrap_or(RECONCILE_EVERY)
            .min(RECONCILE_EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(every.max(Duration::from_millis(100))) => {}
            }
            if let Err(error) = self.reconcile(&stop).await {
                tracing::warn!(%error, tracker = self.tracker.name(), "twins_not_looked_for");
            }
        }
    }

    /// Begins as many turns as the tracker takes at once, in the order of work.
    fn begin_turns(self: &Arc<Worker>, turns: &mut JoinSet<()>) -> Result<(), StoreError> {
        let parallel = self.tracker.capabilities().parallel_max.max(1);
        let room = self.gate.breaker().room(Instant::now(), parallel);
        let mut room = room.saturating_sub(turns.len());
        if room == 0 {
            return Ok(());
        }
        let cursor = self.state.cursor()?;
        let limit = ROUND_MAX + self.ledger.busy();
        for body in self.state.work(self.tracker.name(), limit)? {
            let listed: WantedTicket = codec::decode(&body)?;
            if !self.ledger.claim(listed.id, (self.now)(), cursor) {
                continue;
            }
            self.gate.breaker().began();
            let claim = Claim {
                worker: self.clone(),
                id: listed.id,
            };
            turns.spawn(async move {
                if let Err(error) = claim.worker.work_on(&listed).await {
                    tracing::warn!(%error, ticket = %claim.id, "turn_not_kept");
                }
            });
            room -= 1;
            if room == 0 {
                break;
            }
        }
        Ok(())
    }

    /// The turn of a claimed ticket. It is read again: what was listed may be older than the claim.
    async fn work_on(&self, listed: &WantedTicket) -> Result<(), StoreError> {
        let Some(body) = self.state.ticket(listed.id)? else {
            return Ok(());
        };
        let mut ticket: WantedTicket = codec::decode(&body)?;
        if let Some(subject) = render::subject(self.state.as_ref(), &ticket, &self.presentation)? {
            ticket.wanted.subject = subject;
        }
        if !ticket.has_work() {
            return Ok(());
        }
        let turn = self.turn(&ticket).await?;
        self.end_turn(&ticket, turn).await
    }

    async fn end_turn(&self, ticket: &WantedTicket, mut turn: Turn) -> Result<(), StoreError> {
        let now = (self.now)();
        if let Some(failed) = turn.failed.take() {
            let tried = {
                let mut ledger = self.ledger.lock();
                let tried = ledger.waits.get(&ticket.id).map_or(0, |(tried, _)| *tried);
                let tried = tried + u32::from(!failed.quiet);
                let wait = backoff::wait(tried, rand::random::<f64>()).min(self.pace.wait_max);
                let wait = failed.after.unwrap_or(wait);
                if failed.dead {
                    ledger.waits.remove(&ticket.id);
                } else {
                    ledger.waits.insert(ticket.id, (tried, now.plus(wait)));
                }
                tried
            };
            if failed.quiet {
                return Ok(());
            }
            let since = ticket.trouble.as_ref().map_or(now, |trouble| trouble.since);
            let told = ticket.trouble.is_some() && !failed.dead && !turn.has_news();
            turn.report.trouble = Some(Trouble {
                reason: failed.reason,
                attempts: tried,
                since,
                dead: failed.dead,
            });
            // The first failure and the last word are told; those between change nothing.
            if told {
                return Ok(());
            }
        } else {
            self.ledger.lock().waits.remove(&ticket.id);
        }
        self.report(ticket, turn, now).await
    }

    /// The report, and in the same transaction the mark of the ticket that was made.
    async fn report(&self, ticket: &WantedTicket, turn: Turn, now: Time) -> Result<(), StoreError> {
        let mut marks = Vec::new();
        if let (Some(remote), Some(mut attempt)) =
            (&turn.report.remote, self.ledger.attempt(&ticket.key))
        {
            if attempt.made.is_none() {
                attempt.made = Some((remote.clone(), now));
            }
            marks.push(ledger::mark(&ticket.key, Some(&attempt))?);
            self.ledger
                .lock()
                .attempts
                .insert(ticket.key.clone(), attempt);
        }
        let input = NewInput {
            at: now,
            input: Input::Delivery(turn.report),
            raw: None,
        };
        let places = self.journal.append(vec![input], marks).await?;
        if let Some(place) = places.first() {
            self.ledger.lock().reported.insert(ticket.id, *place);
        }
        Ok(())
    }

    /// Whether a poll may be sent; it can be the probe of an open breaker.
    fn may_probe(&self) -> bool {
        let mut breaker = self.gate.breaker();
        let room = breaker.room(Instant::now(), 1) > 0;
        if room {
            breaker.began();
        }
        room
    }

    /// Whether the tracker may be asked what is not urgent.
    fn may_call(&self) -> bool {
        let breaker = self.gate.breaker();
        !breaker.is_open() && breaker.room(Instant::now(), 1) > 0
    }

    /// One call: at its slot, counted, and heard by the breaker.
    async fn call<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Called<T>>,
    ) -> Called<T> {
        self.gate.slot(self.pace.calls_per_minute).await;
        let began = Instant::now();
        let called = call.await;
        let name = self.tracker.name();
        let (was_open, is_open) = {
            let mut breaker = self.gate.breaker();
            let was_open = breaker.is_open();
            match &called {
                Called::Done(_) | Called::Refused { .. } => {
                    breaker.answered();
                    if let Some(pause) = self.tracker.pause_asked() {
                        breaker.rest(Instant::now(), pause);
                    }
                }
                Called::Unknown { after, .. } | Called::Later { after, .. } => {
                    breaker.failed(Instant::now(), *after, self.pace.pauses);
                }
            }
            (was_open, breaker.is_open())
        };
        if was_open != is_open {
            self.metrics.breaker(name, is_open);
        }
        if was_open && !is_open {
            // Whoever asked while nobody answered does not queue behind what is milder.
            for (_, until) in self.ledger.lock().waits.values_mut() {
                *until = Time::default();
            }
        }
        let result = match &called {
            Called::Done(_) => "ok",
            Called::Refused { .. } => "client_error",
            Called::Unknown { .. } => "timeout",
            Called::Later { .. } => "server_error",
        };
        self.metrics
            .called(name, operation, result, began.elapsed());
        called
    }
}
