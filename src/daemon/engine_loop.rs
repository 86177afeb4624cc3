//! The engine's thread: inputs in order, one transaction a batch. What a panic leaves behind is
//! thrown away and loaded again; the input that caused it is set aside for a person.

use super::now;
use crate::engine::gauges::Gauges;
use crate::engine::{Decisions, Engine};
use crate::intake::IntakeMetrics;
use crate::model::{Input, Sequenced};
use crate::store::sqlite::SqliteStore;
use crate::store::{Journal, NewInput, StateStore};
use crate::telemetry::metrics::Metrics;
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

/// Most inputs applied in one transaction.
const BATCH_MAX: usize = 1000;
/// How often it is counted how things stand.
const COUNT_EVERY: Duration = Duration::from_secs(1);

/// The engine's thread: inputs in order, one transaction a batch.
pub(super) struct EngineLoop {
    /// The engine.
    pub engine: Engine,
    /// What it decides by; replaced when a generation comes into force.
    pub decisions: Decisions,
    /// Generations that were journaled and are not in force yet, by digest.
    pub pending: Arc<Mutex<BTreeMap<String, Decisions>>>,
    /// The store.
    pub store: Arc<SqliteStore>,
    /// Rung when trackers have something to do.
    pub bell: Arc<Notify>,
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
                Ok(batch) => self.apply(&batch),
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
        let input = NewInput {
            at,
            input: Input::Due,
            raw: None,
        };
        if let Err(error) = self
            .runtime
            .block_on(self.store.journal.append(vec![input], Vec::new()))
        {
            tracing::warn!(%error, "deadline_not_journaled");
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    /// How things stand, for the metrics.
    fn count(&mut self) {
        self.gauges.store(Arc::new(self.engine.gauges()));
        self.counted_at = Instant::now();
    }

    /// A generation comes into force with its input, neither sooner nor later.
    fn apply(&mut self, batch: &[Arc<Sequenced>]) {
        let mut rest = batch;
        while let Some(place) = rest.iter().position(|input| self.is_pending(input)) {
            let (before, from) = rest.split_at(place);
            if !before.is_empty() {
                self.apply_batch(before);
            }
            let Some((generation, after)) = from.split_first() else {
                return;
            };
            self.come_into_force(generation);
            self.apply_batch(std::slice::from_ref(generation));
            rest = after;
        }
        if !rest.is_empty() {
            self.apply_batch(rest);
        }
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

    fn apply_batch(&mut self, batch: &[Arc<Sequenced>]) {
        self.count_received(batch);
        let engine = &mut self.engine;
        let stepped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            batch.iter().for_each(|input| engine.step(input));
        }));
        if stepped.is_err() {
            if self.reload() {
                batch.iter().for_each(|input| self.apply_alone(input));
            }
            return;
        }
        self.commit();
    }

    /// What an earlier process received and did not apply gets its outcomes from this one: both
    /// sides of the balance are counted here.
    fn count_received(&self, batch: &[Arc<Sequenced>]) {
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

    /// The state as it was saved: what a panic left behind is not trusted.
    fn reload(&mut self) -> bool {
        let loaded = self.store.state.load().map_err(|error| error.to_string());
        let engine = loaded.and_then(|loaded| {
            Engine::load(self.decisions.clone(), loaded).map_err(|error| error.to_string())
        });
        match engine {
            Ok(engine) => {
                self.engine = engine;
                true
            }
            Err(error) => {
                tracing::error!(error, "state_not_reloaded");
                std::thread::sleep(Duration::from_secs(1));
                false
            }
        }
    }

    /// One input by itself; one that panics is set aside with a ticket for a person.
    fn apply_alone(&mut self, input: &Arc<Sequenced>) {
        let engine = &mut self.engine;
        let stepped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| engine.step(input)));
        if stepped.is_err() {
            self.metrics.set_aside();
            tracing::error!(
                seq = input.seq,
                kind = input.input.kind(),
                "input_set_aside"
            );
            if !self.reload() {
                return;
            }
            let reason = format!("applying the {} failed", input.input.kind());
            let aside = Input::Poisoned {
                seq: input.seq,
                reason,
            };
            self.engine.step(&Sequenced {
                input: aside,
                ..**input
            });
        }
        self.commit();
    }

    /// The same batch is committed until it succeeds; nothing later is applied before.
    fn commit(&mut self) {
        let delta = self.engine.take_delta();
        while let Err(error) = self.store.state.commit(&delta) {
            tracing::error!(%error, "state_not_committed");
            if self.stop.is_cancelled() {
                return;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        self.store.journal.applied(delta.cursor);
        self.applied.send_replace(delta.cursor);
        let lag = now().since(delta.served_until);
        self.metrics.applied_after(lag);
        let said = self.engine.take_said();
        for (source, outcome) in &said.outcomes {
            IntakeMetrics::outcome(&*self.metrics, source, *outcome, 1);
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
        if !said.work.is_empty() {
            self.bell.notify_one();
        }
    }
}
