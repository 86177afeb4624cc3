//! The breaker of one tracker: after failures in a row nothing is sent for a while, then one probe.
//! Pure: instants come in. A tracker that is dead for ten minutes sees about twenty requests.

use std::time::Duration;
use tokio::time::Instant;

/// So many failures in a row open the breaker.
const FAILURES_MAX: u32 = 5;

/// Whether a tracker may be spoken to.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    /// Nothing is sent before this.
    until: Option<Instant>,
    /// The tracker asked for a rest until then, in an answer that was good.
    rests_until: Option<Instant>,
    /// The one probe of an open breaker is under way since.
    probing: bool,
}

impl Breaker {
    /// How many operations may begin now, of `parallel` at most. While the breaker is open and its
    /// pause is over, that is one.
    pub(super) fn room(&self, now: Instant, parallel: usize) -> usize {
        let held = |until: Option<Instant>| until.is_some_and(|until| now < until);
        if held(self.until) || held(self.rests_until) {
            return 0;
        }
        if self.failures < FAILURES_MAX {
            return parallel;
        }
        usize::from(!self.probing)
    }

    /// An operation begins.
    pub(super) fn began(&mut self) {
        self.probing = self.failures >= FAILURES_MAX;
    }

    /// The tracker answered, whatever it said of the one ticket.
    pub(super) fn answered(&mut self) {
        *self = Breaker {
            rests_until: self.rests_until,
            ..Breaker::default()
        };
    }

    /// It answered, and wants to be left alone for a while.
    pub(super) fn rest(&mut self, now: Instant, pause: Duration) {
        self.rests_until = self.rests_until.max(Some(now + pause));
    }

    /// It did not, or asks to be left alone for a while.
    pub(super) fn failed(
        &mut self,
        now: Instant,
        asked: Option<Duration>,
        (first, longest): (Duration, Duration),
    ) {
        self.failures = self.failures.saturating_add(1);
        self.probing = false;
        let over = self.failures.saturating_sub(FAILURES_MAX);
        let pause = (self.failures >= FAILURES_MAX)
            .then(|| first.saturating_mul(1 << over.min(8)).min(longest));
        let pause = pause.max(asked).unwrap_or_default();
        let until = now + pause;
        self.until = Some(self.until.map_or(until, |before| before.max(until)));
    }

    /// An operation ended without a word from the tracker.
    pub(super) fn ended(&mut self) {
        self.probing = false;
    }

    /// Whether it is open.
    pub(super) fn is_open(&self) -> bool {
        self.failures >= FAILURES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSES: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(60));

    #[test]
    fn ten_dead_minutes_see_about_twenty_requests() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        let mut requests = 0;
        for second in 0..600 {
            let now = start + Duration::from_secs(second);
            for _ in 0..breaker.room(now, 4) {
                requests += 1;
                breaker.began();
                breaker.failed(now, None, PAUSES);
            }
        }
        assert!((10..=22).contains(&requests), "{requests}");
    }

    #[test]
    fn one_probe_decides() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES_MAX {
            breaker.failed(start, None, PAUSES);
        }
        assert!(breaker.is_open());
        assert_eq!(breaker.room(start, 4), 0);
        let later = start + PAUSES.0;
        assert_eq!(breaker.room(later, 4), 1);
        breaker.began();
        assert_eq!(breaker.room(later, 4), 0, "one at a time");
        breaker.answered();
        assert_eq!(breaker.room(later, 4), 4);
    }

    #[test]
    fn a_rate_that_is_nearly_used_up_is_a_rest_and_no_failure() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        breaker.answered();
        breaker.rest(start, Duration::from_secs(30));
        // What was under way is answered as well.
        breaker.answered();
        assert!(!breaker.is_open());
        assert_eq!(breaker.room(start + Duration::from_secs(29), 4), 0);
        assert_eq!(breaker.room(start + Duration::from_secs(30), 4), 4);
    }

    #[test]
    fn what_the_tracker_asks_for_is_granted() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        breaker.failed(start, Some(Duration::from_secs(120)), PAUSES);
        assert_eq!(breaker.room(start + Duration::from_secs(119), 4), 0);
        assert_eq!(breaker.room(start + Duration::from_secs(120), 4), 4);
    }
}
