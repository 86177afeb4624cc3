//! Sources, their heartbeats and their dead-man alerts are expected to speak every so often. Silence
//! is an incident about the monitoring itself; what a silent source said last is marked, not
//! resolved. A dead-man alert always fires while all is well: its word is a sign of life and no
//! problem, its end is no sign of life.

use super::Engine;
use super::state::{SourceSeen, Wake};
use crate::model::event::{Event, EventState};
use crate::model::identity::AlertKey;
use crate::model::input::Message;
use crate::model::reason::{Outcome, Reason};
use crate::model::{AlertId, AlertState, Sym, Time};
use crate::rules::{Facts, Matcher, tagged};
use std::time::Duration;

/// Most dead-man alerts remembered.
const DEAD_MEN_MAX: usize = 1000;

/// Alerts of a source whose firing is a sign of life.
#[derive(Clone, Debug)]
pub struct DeadMan {
    /// The source.
    pub source: String,
    /// The heartbeat that they are, as a source: `SOURCE/NAME`.
    pub heartbeat: String,
    /// Which alerts.
    pub matcher: Matcher,
}

impl Engine {
    /// An event of a dead-man alert: its outcome; `None`: it is none.
    pub(super) fn dead_man(
        &mut self,
        key: AlertKey,
        message: &Message,
        event: &Event,
    ) -> Option<Outcome> {
        let facts = Facts {
            source: &message.source,
            sender: &message.sender,
            event,
        };
        let mut dead_men = self.decisions.dead_men.iter();
        let is_it = |one: &&DeadMan| {
            one.source == message.source && one.matcher.matches_with(&facts, &tagged(&facts, &[]))
        };
        let name = dead_men.find(is_it)?.heartbeat.clone();
        let heartbeat = self.state.intern(&name);
        // What was a problem before it was configured is one no longer.
        if let Some(id) = self.state.by_key.get(&key).copied() {
            let _ = self.end_alert(id);
        }
        if matches!(event.state, EventState::Resolved | EventState::Info) {
            if self.state.dead_men.remove(&key).is_some() {
                self.drop_thing("dead_man", key.hex());
            }
            return Some(Outcome::Info);
        }
        self.source_spoke(heartbeat);
        // Its repeats come as counts of its key.
        let known = self.state.dead_men.get(&key) == Some(&heartbeat);
        if !known && self.state.dead_men.len() < DEAD_MEN_MAX {
            self.save_thing("dead_man", key.hex(), &(key, heartbeat));
            self.state.dead_men.insert(key, heartbeat);
        }
        Some(Outcome::Heartbeat)
    }

    /// A source spoke: it is not silent, and the next silence is counted from now.
    pub(super) fn source_spoke(&mut self, source: Sym) {
        let now = self.state.now;
        let seen = self.state.sources.entry(source).or_default();
        let last = awaited_from(seen).max(self.state.scalars.restarted_at);
        if seen.messages == 0 {
            seen.first_at = now;
        }
        let silent = seen.silent.take();
        seen.last_at = now;
        seen.messages += 1;
        self.state.dirty.sources.insert(source);
        let name = self.state.symbols.name(source).to_owned();
        let every = self
            .decisions
            .expected
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, e)| *e);
        if let Some(every) = every {
            self.state
                .wakes
                .remove(&(last.plus(every), Wake::SourceSilent(source)));
            self.wake(now.plus(every), Wake::SourceSilent(source));
        }
        if let Some(incident) = silent {
            self.resolve_now(incident, Reason::NoLongerStale, "The source speaks again.");
            self.unmark_stale(source);
        }
    }

    /// Sets or takes back the instant at which a source that is expected has been silent for too
    /// long: counted from its last word, or from the last start.
    pub(super) fn wake_at_silence(&mut self, source: Sym, every: Duration, set: bool) {
        let seen = self.state.sources.get(&source);
        if seen.is_some_and(|seen| seen.silent.is_some()) {
            return;
        }
        let last = seen.map_or(Time(0), awaited_from);
        let at = last.max(self.state.scalars.restarted_at).plus(every);
        if set {
            self.wake(at, Wake::SourceSilent(source));
        } else {
            self.state.wakes.remove(&(at, Wake::SourceSilent(source)));
        }
    }

    pub(super) fn source_silent(&mut self, source: Sym) {
        let name = self.state.symbols.name(source).to_owned();
        let Some(every) = self
            .decisions
            .expected
            .iter()
            .find(|(n, _)| *n == name)
            .map(|(_, every)| *every)
        else {
            return;
        };
        let seen = self.state.sources.entry(source).or_default();
        let last = awaited_from(seen).max(self.state.scalars.restarted_at);
        if self.state.now < last.plus(every) || seen.silent.is_some() {
            return;
        }
        let (title, who) = match name.split_once('/') {
            Some((of, heartbeat)) => (
                format!("Heartbeat {heartbeat} of {of} is missing"),
                format!("heartbeat {heartbeat} of {of}"),
            ),
            None => (format!("Source {name} is silent"), format!("source {name}")),
        };
        let every = jiff::SignedDuration::try_from(every).unwrap_or_default();
        let text = format!("No word from {who} since {last}; expected every {every:#}.");
        let incident = self.open_own(&title, &text, Reason::SelfMonitoring, source);
        self.mark_stale(source);
        if let Some(seen) = self.state.sources.get_mut(&source) {
            seen.silent = Some(incident);
        }
        self.state.dirty.sources.insert(source);
        self.review_doubts();
    }

    /// What a silent source said last may still hold: its alerts are marked, not resolved.
    fn mark_stale(&mut self, source: Sym) {
        let alerts = self.state.alerts.values();
        let active: Vec<AlertId> = alerts
            .filter(|a| a.source == source && a.state.is_active())
            .map(|a| a.id)
            .collect();
        for id in active {
            self.alert_stale(id);
        }
    }

    /// A source without expiries speaks again: what it said before it was silent stands again.
    fn unmark_stale(&mut self, source: Sym) {
        let alerts = self.state.alerts.values();
        let stale: Vec<AlertId> = alerts
            .filter(|a| a.source == source && a.state == AlertState::Stale)
            .filter(|a| a.expires_at.is_none())
            .map(|a| a.id)
            .collect();
        for id in stale {
            self.no_longer_stale(id);
        }
    }

    /// A source or heartbeat that was never heard has a whole interval from now for its first word.
    pub(super) fn expect_from_now(&mut self) {
        for (name, every) in self.decisions.expected.clone() {
            let source = self.state.intern(&name);
            let now = self.state.now;
            if let std::collections::btree_map::Entry::Vacant(new) =
                self.state.sources.entry(source)
            {
                new.insert(Default::default()).first_at = now;
                self.state.dirty.sources.insert(source);
            }
            self.wake_at_silence(source, every, true);
        }
    }
}

/// From when on a source's next word is awaited: its last, or for one that never spoke the instant
/// at which it was first expected.
fn awaited_from(seen: &SourceSeen) -> Time {
    if seen.messages == 0 {
        seen.first_at
    } else {
        seen.last_at
    }
}
