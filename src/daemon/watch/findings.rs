//! What the bridge finds about itself, and what of it is news. Pure: times are durations since the
//! start, so that a step of the wall clock moves nothing.

use crate::model::event::SeverityHint;
use crate::model::input::OWN_SOURCE;
use crate::model::{Event, EventState, Identity, Message, Time};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// Something about the bridge that a person has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// What tells it from other findings, the same as long as it lasts: `store`, `dead/rt`.
    pub key: String,
    /// How bad it is.
    pub hint: SeverityHint,
    /// One line.
    pub summary: String,
    /// What it means and what to do.
    pub details: String,
}

/// What is to be journaled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// It began.
    Raise(Finding),
    /// It has been over for long enough: its key and its summary.
    Clear(String, String),
}

impl Change {
    /// The finding's key.
    pub fn key(&self) -> &str {
        match self {
            Change::Raise(finding) => &finding.key,
            Change::Clear(key, _) => key,
        }
    }

    /// The message that goes into the journal.
    pub fn message(&self, at: Time) -> Message {
        let (state, summary) = match self {
            Change::Raise(finding) => (EventState::Firing, &finding.summary),
            Change::Clear(_, summary) => (EventState::Resolved, summary),
        };
        let key = format!("{OWN_SOURCE}/{}", self.key());
        let mut event = Event::new(state, Identity::Key(key.clone()), summary);
        event.dedup_key = Some(key);
        event.check = Some(self.key().to_owned());
        match self {
            Change::Raise(finding) => {
                event.severity_hint = finding.hint;
                event.details.clone_from(&finding.details);
                event.starts_at = Some(at);
            }
            Change::Clear(..) => event.ends_at = Some(at),
        }
        Message::new(OWN_SOURCE, OWN_SOURCE, vec![event])
    }
}

/// What was journaled and not taken back, by key: its summary, and when it was found last.
#[derive(Default)]
pub(super) struct Told(BTreeMap<String, (String, Duration)>);

impl Told {
    /// From what an earlier process left: it counts as found now.
    pub fn from_marks(marks: Vec<(String, Vec<u8>)>, now: Duration) -> Told {
        let standing = marks.into_iter().map(|(key, value)| {
            let summary = String::from_utf8_lossy(&value).into_owned();
            (key, (summary, now))
        });
        Told(standing.collect())
    }

    /// What is new since, and what has been over for `clear_after`.
    pub fn changes(
        &mut self,
        found: &[Finding],
        now: Duration,
        clear_after: Duration,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        for finding in found {
            match self.0.get_mut(&finding.key) {
                Some((_, last)) => *last = now,
                // Told in two ways, as when a tracker and the configuration know a token's end.
                None if changes.iter().any(|c: &Change| c.key() == finding.key) => {}
                None => changes.push(Change::Raise(finding.clone())),
            }
        }
        let over = self
            .0
            .iter()
            .filter(|(_, (_, last))| now.saturating_sub(*last) >= clear_after);
        changes.extend(
            over.filter(|(key, _)| found.iter().all(|finding| finding.key != **key))
                .map(|(key, (summary, _))| Change::Clear(key.clone(), summary.clone())),
        );
        changes
    }

    /// The change is in the journal.
    pub fn journaled(&mut self, change: &Change, now: Duration) {
        match change {
            Change::Raise(finding) => {
                let standing = (finding.summary.clone(), now);
                self.0.insert(finding.key.clone(), standing);
            }
            Change::Clear(key, _) => {
                self.0.remove(key);
            }
        }
    }
}

/// What is to be said about a part without which no ticket can be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// It has been in trouble for so long, and why.
    Bad(Duration, String),
    /// It is well again, after so long. Whether its trouble was told.
    Well(Duration, String, bool),
}

/// A part without which no ticket can be opened: the store, the engine.
#[derive(Default)]
pub(super) struct Part {
    trouble: Option<(Duration, String)>,
    told: Option<Duration>,
    is_told: bool,
}

impl Part {
    /// The part was looked at: why it is in trouble, if it is. `after`: how long before that is
    /// said; `every`: how often it is said again, also when it comes and goes.
    pub fn looked(
        &mut self,
        why: Option<String>,
        now: Duration,
        after: Duration,
        every: Duration,
    ) -> Option<Word> {
        let Some(why) = why else {
            let (since, why) = self.trouble.take()?;
            let lasted = now.saturating_sub(since);
            let is_told = std::mem::take(&mut self.is_told);
            return (lasted >= after).then_some(Word::Well(lasted, why, is_told));
        };
        let since = self.trouble.as_ref().map_or(now, |(since, _)| *since);
        self.trouble = Some((since, why.clone()));
        let lasted = now.saturating_sub(since);
        let is_due = self.told.is_none_or(|at| now.saturating_sub(at) >= every);
        if lasted < after || !is_due {
            return None;
        }
        self.told = Some(now);
        self.is_told = true;
        Some(Word::Bad(lasted, why))
    }

    /// Whether it is in trouble.
    pub fn is_bad(&self) -> bool {
        self.trouble.is_some()
    }

    /// Why it has been in trouble for at least `after`, if it has.
    pub fn lasting(&self, now: Duration, after: Duration) -> Option<&str> {
        let (since, why) = self.trouble.as_ref()?;
        (now.saturating_sub(*since) >= after).then_some(why.as_str())
    }
}

/// How much a counter grew within a while.
pub(super) struct Growth {
    within: Duration,
    counts: VecDeque<(Duration, u64)>,
}

impl Growth {
    /// Nothing yet.
    pub fn new(within: Duration) -> Growth {
        Growth {
            within,
            counts: VecDeque::new(),
        }
    }

    /// The counter stands so; how much it grew within the while.
    pub fn counted(&mut self, count: u64, now: Duration) -> u64 {
        self.counts.push_back((now, count));
        while let Some((at, _)) = self.counts.front()
            && now.saturating_sub(*at) > self.within
        {
            self.counts.pop_front();
        }
        let first = self.counts.front().map_or(count, |(_, count)| *count);
        count.saturating_sub(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn finding(key: &str) -> Finding {
        Finding {
            key: key.to_owned(),
            hint: SeverityHint::Degradation,
            summary: format!("{key} is bad"),
            details: String::new(),
        }
    }

    #[test]
    fn a_finding_is_told_once_and_taken_back_when_it_has_been_over_for_long_enough() {
        let mut told = Told::default();
        let found = [finding("store"), finding("store")];
        let raise = told.changes(&found, s(0), s(60));
        assert_eq!(raise, [Change::Raise(finding("store"))]);
        // The journal did not take it: it is told again.
        assert_eq!(told.changes(&found, s(5), s(60)), raise);
        told.journaled(&raise[0], s(5));
        assert_eq!(told.changes(&found, s(100), s(60)), []);
        assert_eq!(told.changes(&[], s(159), s(60)), []);
        let clear = told.changes(&[], s(160), s(60));
        let expected = Change::Clear("store".to_owned(), "store is bad".to_owned());
        assert_eq!(clear, [expected]);
        told.journaled(&clear[0], s(160));
        assert_eq!(told.changes(&[], s(500), s(60)), []);
    }

    #[test]
    fn what_an_earlier_process_told_is_taken_back_by_the_next() {
        let marks = vec![("dead/rt".to_owned(), b"1 ticket was given up".to_vec())];
        let mut told = Told::from_marks(marks, s(0));
        assert_eq!(told.changes(&[], s(59), s(60)), []);
        let clear = told.changes(&[], s(60), s(60));
        assert_eq!(clear.len(), 1);
        let event = &clear[0].message(Time(5)).events[0];
        assert_eq!(event.state, EventState::Resolved);
        let raised = Change::Raise(finding("dead/rt")).message(Time(1));
        assert_eq!(raised.events[0].identity, event.identity);
    }

    #[test]
    fn a_part_is_told_after_a_while_and_again_at_most_every_so_often() {
        let mut part = Part::default();
        let why = || Some("the disk is full".to_owned());
        let mut look = |why, at| part.looked(why, s(at), s(30), s(600));
        assert_eq!(look(why(), 0), None);
        assert_eq!(look(why(), 29), None);
        assert_eq!(look(why(), 30), Some(Word::Bad(s(30), why().unwrap())));
        assert_eq!(look(why(), 35), None);
        let well = Word::Well(s(40), why().unwrap(), true);
        assert_eq!(look(None, 40), Some(well));
        assert_eq!(look(None, 45), None);
        // It comes and goes: no letter each time.
        assert_eq!(look(why(), 50), None);
        assert_eq!(look(why(), 90), None);
        let well = Word::Well(s(45), why().unwrap(), false);
        assert_eq!(look(None, 95), Some(well));
        assert_eq!(look(why(), 700), None);
        assert_eq!(look(why(), 730), Some(Word::Bad(s(30), why().unwrap())));
        // Short trouble is none.
        let mut part = Part::default();
        assert_eq!(part.looked(why(), s(0), s(30), s(600)), None);
        assert_eq!(part.looked(None, s(10), s(30), s(600)), None);
    }

    #[test]
    fn growth_is_counted_within_its_while_only() {
        let mut growth = Growth::new(s(600));
        assert_eq!(growth.counted(100, s(0)), 0);
        assert_eq!(growth.counted(130, s(300)), 30);
        assert_eq!(growth.counted(131, s(601)), 1);
    }
}
