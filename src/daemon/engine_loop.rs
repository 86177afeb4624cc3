//! The engine's thread: inputs in order, one transaction a batch. A batch whose commit fails is
//! retried and nothing later is applied. If a step panics, the state is loaded as it was saved, the
//! inputs are applied one by one, and the one that panics is set aside with a ticket for a person.

use super::now;
use crate::engine::{Decisions, Engine};
use crate::limits;
use crate::model::{Input, Sequenced};
use crate::store::sqlite::SqliteStore;
use crate::store::{Journal, NewInput, StateStore};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// After a batch more is let come: a transaction costs nearly the same for one input and for many.
const PAUSE: Duration = Duration::from_millis(10);
/// Most inputs asked for at once.
const BATCH_MAX: usize = 1000;

/// The engine's thread: inputs in order, one transaction a batch.
pub(super) struct EngineLoop {
    /// The engine as it was saved.
    pub(super) engine: Engine,
    /// Applies one input; tests put one here that panics.
    pub(super) step: fn(&mut Engine, &Sequenced),
    /// What it decides by, for a reload.
    pub(super) config: Decisions,
    /// Inputs come from there, effects go there.
    pub(super) store: Arc<SqliteStore>,
    /// Rung when a tracker has something to do.
    pub(super) bell: Arc<Notify>,
    /// Ends the loop.
    pub(super) stop: CancellationToken,
    /// To append deadlines.
    pub(super) runtime: tokio::runtime::Handle,
}

impl EngineLoop {
    /// Runs until told to stop.
    pub(super) fn run(mut self) {
        while !self.stop.is_cancelled() {
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

    /// One batch in one transaction. Whether its effects are saved.
    fn apply(&mut self, batch: &[Arc<Sequenced>]) -> bool {
        if self.stepped(batch.iter().map(|input| &**input)) {
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

    /// The state as it was saved: what a panic left behind is not trusted, and nothing is applied
    /// to it. Tries until it succeeds; `false`: the daemon ends first.
    fn reload(&mut self) -> bool {
        while !self.stop.is_cancelled() {
            let loaded = self.store.state.load().map_err(|error| error.to_string());
            let engine = loaded.and_then(|loaded| {
                Engine::load(self.config.clone(), loaded).map_err(|error| error.to_string())
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
            std::thread::sleep(Duration::from_millis(500));
        }
        self.store.journal.applied(delta.cursor);
        let said = self.engine.take_said();
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
        true
    }
}

/// Splits what was read, so that one transaction stays small also if each input says a lot.
fn batches(mut rest: &[Arc<Sequenced>]) -> impl Iterator<Item = &[Arc<Sequenced>]> {
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
