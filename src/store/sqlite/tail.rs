//! The newest committed inputs, in memory, so that the engine does not read back what was just
//! written. Bounded by rows and bytes: when the engine is further behind, the oldest fall out and
//! it reads them from the file. Always contiguous; the writer alone adds to it. Inputs are kept as
//! the bytes that lie on disk: small, and decoded into memory that the engine's thread owns.

use super::connection::locked;
use super::row::CommittedRow;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What the tail can say about inputs after a place.
pub(super) enum Ahead {
    /// Here they are; none if the wait was over first.
    Here(Vec<CommittedRow>),
    /// They are committed, but no longer here.
    OnDisk,
}

#[derive(Default)]
struct Inner {
    rows: VecDeque<CommittedRow>,
    bytes: u64,
    last: u64,
    woken: bool,
}

/// The tail of one journal.
pub(super) struct Tail {
    inner: Mutex<Inner>,
    grown: Condvar,
    rows_max: usize,
    bytes_max: u64,
}

impl Tail {
    /// A tail behind a journal whose newest input is `last`.
    pub(super) fn new(last: u64, rows_max: usize, bytes_max: u64) -> Tail {
        Tail {
            inner: Mutex::new(Inner {
                last,
                ..Inner::default()
            }),
            grown: Condvar::new(),
            rows_max,
            bytes_max,
        }
    }

    /// Adds what a commit made durable, in order.
    pub(super) fn extend(&self, last: u64, rows: Vec<CommittedRow>) {
        let mut inner = locked(&self.inner);
        inner.bytes += rows.iter().map(CommittedRow::memory).sum::<u64>();
        inner.rows.extend(rows);
        inner.last = last;
        while inner.rows.len() > self.rows_max || inner.bytes > self.bytes_max {
            let Some(row) = inner.rows.pop_front() else {
                break;
            };
            inner.bytes -= row.memory();
        }
        drop(inner);
        self.grown.notify_all();
    }

    /// Forgets everything: what is committed is known to the file alone, up to `last`.
    pub(super) fn reset(&self, last: u64) {
        let mut inner = locked(&self.inner);
        inner.rows.clear();
        inner.bytes = 0;
        inner.last = last;
        drop(inner);
        self.grown.notify_all();
    }

    /// Ends a wait in [`Tail::after`] early, also one that has not begun yet.
    pub(super) fn wake(&self) {
        locked(&self.inner).woken = true;
        self.grown.notify_all();
    }

    /// Inputs after `after`, at most `limit`; waits for one to come, at most `wait`.
    pub(super) fn after(&self, after: u64, limit: usize, wait: Duration) -> Ahead {
        let end = Instant::now() + wait;
        let mut inner = locked(&self.inner);
        while inner.last <= after && !inner.woken {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ahead::Here(Vec::new());
            }
            inner = self.grown.wait_timeout(inner, left).map_or_else(
                |broken| PoisonError::into_inner(broken).0,
                |(inner, _)| inner,
            );
        }
        inner.woken = false;
        if inner.last <= after {
            return Ahead::Here(Vec::new());
        }
        while inner.rows.front().is_some_and(|row| row.seq <= after) {
            if let Some(row) = inner.rows.pop_front() {
                inner.bytes -= row.memory();
            }
        }
        match inner.rows.front() {
            Some(row) if row.seq == after + 1 => {
                Ahead::Here(inner.rows.iter().take(limit).cloned().collect())
            }
            _ => Ahead::OnDisk,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Input, Time};
    use crate::store::NewInput;
    use crate::store::sealing::Keyring;
    use crate::store::sqlite::row::NewRow;

    fn rows(seqs: std::ops::RangeInclusive<u64>) -> Vec<CommittedRow> {
        seqs.map(|seq| {
            let (at, input, raw) = (Time(0), Input::Due, None);
            let new = NewRow::encode(NewInput { at, input, raw }, &Keyring::default()).unwrap();
            new.committed(seq)
        })
        .collect()
    }

    fn seqs(ahead: Ahead) -> Option<Vec<u64>> {
        match ahead {
            Ahead::Here(rows) => Some(rows.iter().map(|row| row.seq).collect()),
            Ahead::OnDisk => None,
        }
    }

    #[test]
    fn gives_what_it_holds_and_says_when_it_fell_out() {
        let tail = Tail::new(0, 3, 1000);
        assert_eq!(seqs(tail.after(0, 9, Duration::ZERO)), Some(vec![]));
        tail.extend(2, rows(1..=2));
        assert_eq!(seqs(tail.after(0, 9, Duration::ZERO)), Some(vec![1, 2]));
        assert_eq!(seqs(tail.after(1, 9, Duration::ZERO)), Some(vec![2]));
        tail.extend(6, rows(3..=6));
        assert_eq!(seqs(tail.after(2, 9, Duration::ZERO)), None);
        assert_eq!(seqs(tail.after(3, 2, Duration::ZERO)), Some(vec![4, 5]));
    }

    #[test]
    fn is_bounded_in_bytes_and_knows_nothing_after_a_reset() {
        let tail = Tail::new(0, 100, 5 * rows(1..=1)[0].memory() / 2);
        tail.extend(4, rows(1..=4));
        assert_eq!(seqs(tail.after(1, 9, Duration::ZERO)), None);
        assert_eq!(seqs(tail.after(2, 9, Duration::ZERO)), Some(vec![3, 4]));
        tail.reset(5);
        assert_eq!(seqs(tail.after(4, 9, Duration::ZERO)), None);
    }

    #[test]
    fn a_wake_ends_a_wait_even_if_it_comes_first() {
        let tail = Tail::new(0, 100, 25);
        tail.wake();
        assert_eq!(
            seqs(tail.after(0, 9, Duration::from_secs(3600))),
            Some(vec![])
        );
    }
}
