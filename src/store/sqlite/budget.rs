//! How much the journal may hold that the engine has not applied yet, in all and for each source,
//! so that one runaway sender cannot crowd out the others. What the bridge itself says (outcomes,
//! commands, deadlines) is never refused: it is what shrinks the backlog.

use super::super::StoreError;
use super::connection::locked;
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::Mutex;

/// Rows of one entry of the ledger; older rows are freed together.
const LEDGER_ROWS: u64 = 1000;

/// Bytes by source.
pub(super) type Shares = Vec<(String, u64)>;

#[derive(Default)]
struct Inner {
    budget: u64,
    used: u64,
    sources: FxHashMap<String, u64>,
    /// First and last place of a stretch of the journal, and what each source has in it.
    ledger: VecDeque<(u64, u64, FxHashMap<String, u64>)>,
}

/// The books over the backlog.
pub(super) struct Budget {
    inner: Mutex<Inner>,
    bytes_max: u64,
    disk_percent_max: u64,
    share_percent: u64,
}

impl Budget {
    /// Books with nothing in them.
    pub(super) fn new(bytes_max: u64, disk_percent_max: u64, share_percent: u64) -> Budget {
        Budget {
            inner: Mutex::new(Inner {
                budget: bytes_max,
                ..Inner::default()
            }),
            bytes_max,
            disk_percent_max,
            share_percent,
        }
    }

    /// Looks how large the disk is; what the journal holds already counts as free for it.
    pub(super) fn measure(&self, dir: &Path) {
        let Ok(disk) = rustix::fs::statvfs(dir) else {
            return;
        };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let mut inner = locked(&self.inner);
        let of_disk = free.saturating_add(inner.used) / 100 * self.disk_percent_max;
        inner.budget = of_disk.min(self.bytes_max);
    }

    /// Takes room for new rows, or says whose share is used up. All or nothing.
    pub(super) fn take(&self, shares: &Shares) -> Result<(), StoreError> {
        let mut inner = locked(&self.inner);
        let share = inner.budget / 100 * self.share_percent;
        for (source, bytes) in shares.iter().filter(|(source, _)| !source.is_empty()) {
            let of_source = inner.sources.get(source).copied().unwrap_or(0);
            let full = |used_bytes, budget_bytes| StoreError::Full {
                source_name: source.clone(),
                used_bytes,
                budget_bytes,
            };
            if of_source > 0 && of_source + bytes > share {
                return Err(full(of_source, share));
            }
            if inner.used > 0 && inner.used + bytes > inner.budget {
                return Err(full(inner.used, inner.budget));
            }
        }
        for (source, bytes) in shares {
            inner.add(source, *bytes);
        }
        Ok(())
    }

    /// Gives room back: the rows were not written.
    pub(super) fn give_back(&self, shares: &Shares) {
        let mut inner = locked(&self.inner);
        for (source, bytes) in shares {
            inner.remove(source, *bytes);
        }
    }

    /// The rows that room was taken for stand at these places.
    pub(super) fn written(&self, first: u64, last: u64, shares: Shares) {
        if last < first {
            return;
        }
        let mut inner = locked(&self.inner);
        let open = inner
            .ledger
            .back()
            .is_some_and(|(from, to, _)| to - from < LEDGER_ROWS);
        if !open {
            inner.ledger.push_back((first, last, FxHashMap::default()));
        }
        if let Some((_, to, entry)) = inner.ledger.back_mut() {
            *to = last;
            for (source, bytes) in shares {
                *entry.entry(source).or_default() += bytes;
            }
        }
    }

    /// Rows up to `cursor` are no backlog any more.
    pub(super) fn applied(&self, cursor: u64) {
        let mut inner = locked(&self.inner);
        while inner.ledger.front().is_some_and(|(_, to, _)| *to <= cursor) {
            if let Some((_, _, entry)) = inner.ledger.pop_front() {
                for (source, bytes) in entry {
                    inner.remove(&source, bytes);
                }
            }
        }
    }

    /// Bytes of the backlog and bytes allowed.
    pub(super) fn used(&self) -> (u64, u64) {
        let inner = locked(&self.inner);
        (inner.used, inner.budget)
    }
}

impl Inner {
    fn add(&mut self, source: &str, bytes: u64) {
        self.used += bytes;
        match self.sources.get_mut(source) {
            Some(used) => *used += bytes,
            None => {
                self.sources.insert(source.to_owned(), bytes);
            }
        }
    }

    fn remove(&mut self, source: &str, bytes: u64) {
        self.used = self.used.saturating_sub(bytes);
        if let Some(used) = self.sources.get_mut(source) {
            *used = used.saturating_sub(bytes);
            if *used == 0 {
                self.sources.remove(source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(source: &str, bytes: u64) -> Shares {
        vec![(source.to_owned(), bytes)]
    }

    #[test]
    fn a_runaway_source_is_refused_and_the_others_are_not() {
        let budget = Budget::new(1000, 80, 50);
        budget.take(&of("loud", 400)).unwrap();
        budget.written(1, 1000, of("loud", 400));
        let refused = budget.take(&of("loud", 200)).unwrap_err().to_string();
        assert_eq!(
            refused,
            "the backlog of source `loud` is full (400 of 500 bytes)"
        );
        budget.take(&of("quiet", 200)).unwrap();
        budget.take(&of("", 5000)).unwrap();
        assert!(budget.take(&of("quiet", 1)).is_err());
        budget.give_back(&of("", 5000));
        budget.written(1001, 1001, of("quiet", 200));
        budget.applied(999);
        assert_eq!(budget.used(), (600, 1000));
        budget.applied(1001);
        assert_eq!(budget.used(), (0, 1000));
        budget.take(&of("loud", 200)).unwrap();
    }

    #[test]
    fn one_message_larger_than_the_share_passes_an_empty_backlog() {
        let budget = Budget::new(100, 80, 50);
        budget.take(&of("a", 90)).unwrap();
        assert!(budget.take(&of("a", 1)).is_err());
    }
}
