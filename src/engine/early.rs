//! Recoveries that overtake their firing. A recovery of an alert that was never seen opens nothing;
//! if it names times, it is remembered for a while. A firing that is older by the sender's own time
//! then is over already: it is recorded as what came and went, and no ticket waits for an end that
//! was told before.

use super::Engine;
use crate::model::Time;
use crate::model::event::{Event, EventState};
use crate::model::identity::AlertKey;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a recovery may come before its firing.
const REMEMBERED: Duration = Duration::from_secs(600);
/// Most recoveries remembered; the oldest make room.
const EARLY_MAX: usize = 10_000;

/// A recovery of an alert that was not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Early {
    /// Of which alert.
    pub key: AlertKey,
    /// When it was told.
    pub at: Time,
    /// The sender's sending time or sequence.
    pub sent_at: Option<Time>,
    /// When what it ends began.
    pub starts_at: Option<Time>,
    /// When it ended.
    pub ends_at: Option<Time>,
}

impl Early {
    /// Whether a firing is of the time before this end.
    fn ends(&self, firing: &Event) -> bool {
        if let (Some(fired), Some(ended)) = (firing.sent_at, self.sent_at) {
            return fired < ended;
        }
        match (firing.starts_at, self.starts_at, self.ends_at) {
            (Some(fired), Some(began), _) => fired <= began,
            (Some(fired), None, Some(ended)) => fired < ended,
            _ => false,
        }
    }
}

impl Engine {
    /// A recovery came for an alert that is not known.
    pub(super) fn keep_early(&mut self, key: AlertKey, event: &Event) {
        if event
            .sent_at
            .or(event.starts_at)
            .or(event.ends_at)
            .is_none()
        {
            return;
        }
        let before = self.state.early.get(&key);
        if before.is_some_and(|before| event.sent_at < before.sent_at) {
            return;
        }
        let early = Early {
            key,
            at: self.state.now,
            sent_at: event.sent_at,
            starts_at: event.starts_at,
            ends_at: event.ends_at,
        };
        if let Some(before) = before {
            self.state.early_at.remove(&(before.at, key));
        }
        self.state.early_at.insert((early.at, key));
        self.save_thing("early", key.hex(), &early);
        self.state.early.insert(key, early);
    }

    /// What is too old, or too much, goes.
    pub(super) fn forget_early(&mut self) {
        let since = self.state.now.minus(REMEMBERED);
        while let Some((at, key)) = self.state.early_at.first().copied()
            && (at < since || self.state.early.len() >= EARLY_MAX)
        {
            self.drop_early(key);
        }
    }

    fn drop_early(&mut self, key: AlertKey) {
        if let Some(early) = self.state.early.remove(&key) {
            self.state.early_at.remove(&(early.at, key));
            self.drop_thing("early", key.hex());
        }
    }

    /// The end that was told before this first firing of an alert.
    pub(super) fn early_end(&mut self, key: AlertKey, firing: &Event) -> Option<Event> {
        let early = self.state.early.get(&key)?.clone();
        self.drop_early(key);
        let in_time = self.state.now.since(early.at) <= REMEMBERED;
        if !in_time || !early.ends(firing) {
            return None;
        }
        let summary = "Its end was told before it.";
        let mut end = Event::new(EventState::Resolved, firing.identity.clone(), summary);
        (end.sent_at, end.starts_at, end.ends_at) = (early.sent_at, early.starts_at, early.ends_at);
        Some(end)
    }
}
