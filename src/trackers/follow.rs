//! Where to read on in a tracker that tells what changed by time. Pure.
//!
//! Times have whole seconds and rows show late, so the last minute is read again at every poll; the
//! cursor knows what of it was told already. What is older than the cursor is history.

use crate::model::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// What changed in so long is read again.
const OVERLAP: Duration = Duration::from_secs(60);

/// Where to read on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cursor {
    /// What is older is history.
    began: Time,
    /// Tickets changed from here on are read.
    since: Time,
    /// What was told already, with its time.
    seen: BTreeMap<String, Time>,
}

impl Cursor {
    /// Reads a stored one; none if there is none.
    pub(super) fn read(text: &str) -> Option<Cursor> {
        serde_json::from_str(text).ok()
    }

    /// From now on, by the tracker's clock.
    pub(super) fn start(now: Time) -> Cursor {
        // Whole seconds: what happens in the rest of this one is not missed.
        let now = Time::from_seconds(now.seconds());
        Cursor {
            began: now,
            since: now,
            seen: BTreeMap::new(),
        }
    }

    /// Tickets changed from here on are to be read.
    pub(super) fn since(&self) -> Time {
        self.since
    }

    /// Whether this was not told yet; it counts as told from now on.
    pub(super) fn take(&mut self, id: &str, at: Time) -> bool {
        at >= self.began && self.seen.insert(id.to_owned(), at).is_none()
    }

    /// Everything up to `newest`, by the tracker's clock, has been read.
    pub(super) fn advance(&mut self, newest: Time) {
        self.since = self.since.max(newest.minus(OVERLAP));
        // A ticket that changes again brings its old changes along: those stay known by time.
        self.began = self.began.max(self.since.minus(OVERLAP));
        let began = self.began;
        self.seen.retain(|_, at| *at >= began);
    }

    /// As it is stored.
    pub(super) fn written(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_told_once_and_history_never() {
        let start = Time::from_seconds(1_000);
        let mut cursor = Cursor::start(start);
        assert!(!cursor.take("old", Time::from_seconds(999)));
        assert!(cursor.take("a", Time::from_seconds(1_000)));
        assert!(!cursor.take("a", Time::from_seconds(1_000)));
        cursor.advance(Time::from_seconds(1_030));
        assert_eq!(cursor.since(), start, "the overlap is read again");
        assert!(!cursor.take("a", Time::from_seconds(1_000)));
        assert!(cursor.take("late", Time::from_seconds(1_001)));
        cursor.advance(Time::from_seconds(5_000));
        assert_eq!(cursor.since(), Time::from_seconds(4_940));
        assert!(!cursor.take("a", Time::from_seconds(1_000)), "history now");
        assert!(cursor.take("b", Time::from_seconds(4_900)));
        assert_eq!(Cursor::read(&cursor.written()), Some(cursor));
    }
}
