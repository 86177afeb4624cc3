//! The engine's thread: inputs in order, one transaction a batch. A batch whose commit fails is
//! retried and nothing later is applied. What a panic leaves behind is thrown away and loaded
//! again; the input that caused it is set aside for a person.

use super::delivery::Bells;
use super::now;
use crate::engine::gauges::Gauges;
use crate::engine::{Decisions, Engine};
use crate::intake::IntakeMetrics;
use crate::limits;
use crate::model::{IncidentId, Input, Outcome, Sequenced};
use crate::store::sqlite::SqliteStore;
use crate::store::{Journal, NewInput, StateStore, StoreError};
use crate::telemetry::metrics::Metrics;
use arc_swap::ArcSwap;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// After a batch more is let come: a transaction costs nearly the same for one input and for many.
const PAUSE: Duration = Duration::from_millis(10);
/// Most inputs asked for at once.
const BATCH_MAX: usize = 1000;
/// How often it is counted how things stand.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// The engine's thread: inputs in order, one transaction a batch.
pub(super) struct EngineLoop {
    /// The engine.
    pub engine: Engine,
    /// Applies one input; tests put one here that panics.
    pub step: fn(&mut Engine, &Sequenced),
    /// What it decides by; replaced when a generation comes into force.
    pub decisions: Decisions,
    /// Generations that were journaled and are not in force yet, by digest.
    pub pending: Arc<Mutex<BTreeMap<String, Decisions>>>,
    /// The store.
    pub store: Arc<SqliteStore>,
    /// Rung when trackers have something to do.
    pub bells: Arc<Bells>,
    /// Ends the loop.
    pub stop: CancellationToken,
    /// For appends from this thread.
    pub runtime: tokio::runtime::Handle,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Told how far the journal is applied.
    pub applied: watch::Sender<u64>,
    /// How things stand, for the metrics.
    pub gauges: Arc<ArcSwap<Gauges>>,
    /// When the loop last turned, for the watchdog.
    pub turned: Arc<Turned>,
    /// Messages up to here were received by an earlier process.
    pub received_before: u64,
    /// When the gauges were counted last.
    pub counted_at: Instant,
}

/// When a loop last turned.
pub(super) struct Turned(Instant, AtomicU64);

impl Turned {
    /// Turned just now.
    pub fn new() -> Turned {
        Turned(Instant::now(), AtomicU64::new(0))
    }

    fn now(&self) {
        let passed = u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.1.store(passed, Ordering::Relaxed);
    }

    /// Time since the last turn.
    pub fn ago(&self) -> Duration {
        let last = Duration::from_millis(self.1.load(Ordering::Relaxed));
        self.0.elapsed().saturating_sub(last)
    }
}

impl EngineLoop {
    /// Applies inputs until told to stop.
    pub fn run(mut self) {
        while !self.stop.is_cancelled() {
            self.turned.now();
            if self.counted_at.elapsed() >= COUNT_EVERY {
                self.count();
            }
            let due = self.engine.next_wake().map(|at| at.since(now()));
            let wait = due
                .unwrap_or(Duration::from_secs(1))
                .min(Duration::from_millis(500));
            let wait = wait.max(Duration::from_millis(1));
            match self
                .store
                .journal
                .next(self.engine.cursor(), BATCH_MAX, wait)
            {
                Ok(batch) if batch.is_empty() => self.append_due(),
                // What comes after a batch that is not saved is read again.
                Ok(batch) => {
                    let _ = batches(&batch).all(|batch| self.apply(batch));
                    if batch.len() < BATCH_MAX {
                        std::thread::sleep(PAUSE);
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "journal_unreadable");
                    std::thread::sleep(Duration::from_secs(1));
                }
            }
        }
    }

    /// A deadline fell due: that is an input as well, so that a replay does the same.
    fn append_due(&self) {
        let at = now();
        if self.engine.next_wake().is_none_or(|due| due > at) {
            return;
        }
        if let Err(error) = self.append(Input::Due) {
            tracing::warn!(%error, "deadline_not_journaled");
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    fn append(&self, input: Input) -> Result<(), StoreError> {
        let input = NewInput {
            at: now(),
            input,
            raw: None,
        };
        let appended = self.store.journal.append(vec![input], Vec::new());
        self.runtime.block_on(appended).map(drop)
    }

    /// What still fires of a storm that may be over, with the texts that the engine does not hold.
    /// It asks again if this fails.
    fn append_remains(&self, storm: IncidentId) {
        let remains = self.store.state.remains_of(storm);
        let appended = remains.and_then(|remains| self.append(Input::Remains(remains)));
        if let Err(error) = appended {
            tracing::warn!(%error, %storm, "remains_not_journaled");
        }
    }

    /// How things stand, for the metrics; unless nothing moved.
    fn count(&mut self) {
        if self.gauges.load().cursor != self.engine.cursor() {
            self.gauges.store(Arc::new(self.engine.gauges()));
        }
        self.counted_at = Instant::now();
    }

    /// A generation comes into force with its input, neither sooner nor later. Whether all effects
    /// are saved.
    fn apply(&mut self, batch: &[Sequenced]) -> bool {
        let mut rest = batch;
        while let Some(place) = rest.iter().position(|input| self.is_pending(input)) {
            let (before, from) = rest.split_at(place);
            let Some((generation, after)) = from.split_first() else {
                return false;
            };
            if !self.apply_batch(before) {
                return false;
            }
            self.come_into_force(generation);
            if !self.apply_batch(std::slice::from_ref(generation)) {
                return false;
            }
            rest = after;
        }
        self.apply_batch(rest)
    }

    fn is_pending(&self, input: &Sequenced) -> bool {
        let Input::Generation(generation) = &input.input else {
            return false;
        };
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        pending.contains_key(&generation.digest)
    }

    fn come_into_force(&mut self, input: &Sequenced) {
        let Input::Generation(generation) = &input.input else {
            return;
        };
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(decisions) = pending.remove(&generation.digest) {
            self.engine.replace_decisions(decisions.clone());
            self.decisions = decisions;
        }
    }

    fn apply_batch(&mut self, batch: &[Sequenced]) -> bool {
        if batch.is_empty() {
            return true;
        }
        self.count_received(batch);
        if self.stepped(batch.iter()) {
            return self.commit();
        }
        // Each by itself, in order; what could not be saved is not stepped over.
        self.reload() && batch.iter().all(|input| self.apply_alone(input))
    }

    /// Whether all were applied without a panic.
    fn stepped<'a>(&mut self, mut inputs: impl Iterator<Item = &'a Sequenced>) -> bool {
        let (engine, step) = (&mut self.engine, self.step);
        catch_unwind(AssertUnwindSafe(|| {
            inputs.by_ref().for_each(|input| step(engine, input));
        }))
        .is_ok()
    }

    /// What an earlier process received and did not apply gets its outcomes from this one: both
    /// sides of the balance are counted here.
    fn count_received(&self, batch: &[Sequenced]) {
        for input in batch {
            if input.seq > self.received_before {
                return;
            }
            if let Input::Message(message) = &input.input {
                let count = message.events.len() as u64;
                IntakeMetrics::received(&*self.metrics, &message.source, count);
            }
        }
    }

    /// The state as it was saved: what a panic left behind is not trusted, and nothing is applied
    /// to it. Tries until it succeeds; `false`: the daemon ends first.
    fn reload(&mut self) -> bool {
        while !self.stop.is_cancelled() {
            self.turned.now();
            let loaded = self.store.state.load().map_err(|error| error.to_string());
            let engine = loaded.and_then(|loaded| {
                Engine::load(self.decisions.clone(), loaded).map_err(|error| error.to_string())
            });
            match engine {
                Ok(engine) => {
                    self.engine = engine;
                    return true;
                }
                Err(error) => {
                    tracing::error!(error, "state_not_reloaded");
                    std::thread::sleep(Duration::from_secs(1));
                }
            }
        }
        false
    }

    /// One input by itself; one that panics is set aside with a ticket for a person. Whether its
    /// effects are saved.
    fn apply_alone(&mut self, input: &Sequenced) -> bool {
        if self.stepped(std::iter::once(input)) {
            return self.commit();
        }
        let kind = input.input.kind();
        self.metrics.set_aside();
        tracing::error!(seq = input.seq, kind, "input_set_aside");
        let reason = format!("applying the {kind} failed");
        let aside = Sequenced {
            input: Input::Poisoned {
                seq: input.seq,
                reason,
            },
            ..*input
        };
        if self.reload() && self.stepped(std::iter::once(&aside)) {
            return self.commit();
        }
        // Not even that: what is in the journal waits there, and it is tried again.
        tracing::error!(seq = input.seq, kind, "engine_stuck");
        std::thread::sleep(Duration::from_secs(1));
        self.reload();
        false
    }

    /// The same batch is committed until it succeeds; nothing later is applied before. Whether it
    /// did: at the end of the daemon it is left to the next start.
    fn commit(&mut self) -> bool {
        let delta = self.engine.take_delta();
        while let Err(error) = self.store.state.commit(&delta) {
            tracing::error!(%error, "state_not_committed");
            if self.stop.is_cancelled() {
                return false;
            }
            // It waits for the disk, and does not hang.
            self.turned.now();
            std::thread::sleep(Duration::from_millis(500));
        }
        self.store.journal.applied(delta.cursor);
        self.applied.send_replace(delta.cursor);
        let lag = now().since(delta.served_until);
        self.metrics.applied_after(lag);
        let said = self.engine.take_said();
        let mut outcomes: BTreeMap<(&str, Outcome), u64> = BTreeMap::new();
        for (source, outcome) in &said.outcomes {
            *outcomes.entry((source, *outcome)).or_default() += 1;
        }
        for ((source, outcome), count) in outcomes {
            IntakeMetrics::outcome(&*self.metrics, source, outcome, count);
        }
        for figure in &said.figures {
            self.metrics.figure(figure);
        }
        for decided in said.decided {
            let severity = decided.severity.map(|severity| severity.to_string());
            tracing::info!(
                incident = %decided.incident,
                severity,
                reason = decided.reason.word(),
                text = decided.text,
                "incident_decided"
            );
        }
        for storm in said.remains {
            self.append_remains(storm);
        }
        for tracker in said.work.iter().collect::<BTreeSet<_>>() {
            self.bells.ring(tracker);
        }
        true
    }
}

/// Splits what was read, so that one transaction stays small also if each input says a lot.
fn batches(mut rest: &[Sequenced]) -> impl Iterator<Item = &[Sequenced]> {
    std::iter::from_fn(move || {
        let mut events = events_of(rest.first()?);
        let more = rest.iter().skip(1).take_while(|input| {
            events += events_of(input);
            events <= limits::ENGINE_BATCH_EVENTS_MAX
        });
        let (batch, left) = rest.split_at_checked(more.count() + 1)?;
        rest = left;
        Some(batch)
    })
}

fn events_of(input: &Sequenced) -> usize {
    match &input.input {
        Input::Message(message) => message.events.len(),
        Input::Seen(seen) => seen.len(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests;
