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

    /// The same for what was out of sight when it happened, however long ago that was.
    pub(super) fn take_late(&mut self, id: &str, at: Time) -> bool {
        self.seen.insert(id.to_owned(), at).is_none()
    }

    /// Everything up to `newest`, by the tracker's clock, has been read.
    fn advance(&mut self, newest: Time) {
        self.since = self.since.max(newest.minus(OVERLAP));
        // A ticket that changes again brings its old changes along: those stay known by time.
        self.began = self.began.max(self.since.minus(OVERLAP));
        let began = self.began;
        self.seen.retain(|_, at| *at >= began);
    }

    /// Not everything was listed: changes before `until` were, and the rest is read from there on.
    /// History stays as it is, for a ticket that is listed later may have changed before as well.
    fn advance_partly(&mut self, until: Time) {
        // Should more have changed in one second than can be listed, the next second is read.
        let next = self.since.plus(Duration::from_secs(1));
        self.since = next.max(until);
    }

    /// Everything that was listed has been read, up to `newest` if nothing was left out.
    pub(super) fn read_up_to(&mut self, left_from: Option<Time>, newest: Time) {
        match left_from {
            Some(until) => self.advance_partly(until),
            None => self.advance(newest),
        }
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

    #[test]
    fn what_a_list_left_out_is_read_next() {
        let at = Time::from_seconds;
        let mut cursor = Cursor::start(at(1_000));
        cursor.read_up_to(Some(at(3_000)), at(9_000));
        assert_eq!(cursor.since(), at(3_000));
        // A ticket that changed at 2,000 and at 4,000 is listed by its last change only.
        assert!(cursor.take("early", at(2_000)));
        // A list that gets no further than where it began.
        cursor.read_up_to(Some(at(3_000)), at(9_000));
        assert_eq!(cursor.since(), at(3_001));
        cursor.read_up_to(None, at(9_000));
        assert_eq!(cursor.since(), at(8_940));
        assert!(!cursor.take("early", at(2_000)), "history now");
    }
}
