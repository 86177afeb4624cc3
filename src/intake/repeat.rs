//! Repeats: an event that says what the last journaled event of its identity said costs no row.
//!
//! The digest covers identity, state, severity word, labels and start; not texts, values or
//! expiry. An entry counts only once its event's append is committed, and the event with the
//! highest place in the journal wins, however appends finish. While an append is under way, an
//! equal event waits for it and a different one is journaled. Counts travel as one summary an
//! interval. An entry is good for fifteen minutes, then a full row refreshes it; older entries are
//! swept. Invariant: a repeat is acknowledged only when an equal event is committed and no later
//! different one is known.

use crate::limits;
use crate::model::{AlertKey, Event, EventState, Seen, Time};
use rustc_hash::FxHashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

const SHARDS: usize = 64;

/// What tells a repeat from news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RepeatDigest(u64);

/// The last journaled event of an identity.
#[derive(Clone, Copy)]
struct Entry {
    digest: RepeatDigest,
    seq: u64,
    journaled_s: u32,
    summary: u32,
}

/// Appends of one identity that are under way.
struct InFlight {
    digest: RepeatDigest,
    mixed: bool,
    count: u32,
    done: Arc<Notify>,
}

struct Counted {
    source: Arc<str>,
    count: u32,
    last_seen: Time,
    ends_at: Option<Time>,
    summary: Option<String>,
}

#[derive(Default)]
struct Shard {
    entries: FxHashMap<AlertKey, Entry>,
    in_flight: FxHashMap<AlertKey, InFlight>,
    counted: FxHashMap<AlertKey, Counted>,
}

/// What to do with an event.
pub enum Verdict {
    /// Append it, then call [`Repeats::committed`] or [`Repeats::failed`].
    Journal(Claim),
    /// An equal event is committed, in that row; this one is counted.
    Repeat(u64),
    /// An equal event is being appended; wait, then ask again.
    Wait(Waiting),
}

/// A right and duty to say how an append ended.
#[derive(Debug)]
pub struct Claim {
    key: AlertKey,
    digest: RepeatDigest,
    summary: u32,
}

/// An append of another request that this one waits for.
pub struct Waiting {
    done: Arc<Notify>,
    shard: usize,
    key: AlertKey,
}

/// The memory of all identities. Shared by all doors.
pub struct Repeats {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    entries: AtomicUsize,
    entries_max: usize,
    enabled: AtomicBool,
    shortest_expiry_ms: AtomicI64,
}

impl Repeats {
    /// A memory of at most that many identities; further ones are journaled each time.
    pub fn new(entries_max: usize) -> Repeats {
        Repeats {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            entries: AtomicUsize::new(0),
            entries_max,
            enabled: AtomicBool::new(true),
            shortest_expiry_ms: AtomicI64::new(i64::MAX),
        }
    }

    /// With several nodes only the one that holds the repeat path may spare rows.
    pub fn set_enabled(&self, enabled: bool) {
        if !enabled {
            self.forget();
        }
        self.enabled.store(enabled, Ordering::SeqCst);
    }

    /// Forgets what was journaled, so that the next event of each identity costs a row: after a
    /// change of mapping, scope or rules. Counts are kept.
    pub fn forget(&self) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            self.entries
                .fetch_sub(shard.entries.len(), Ordering::Relaxed);
            shard.entries.clear();
        }
    }

    /// The number of identities known.
    pub fn len(&self) -> usize {
        self.entries.load(Ordering::Relaxed)
    }

    /// Whether no identity is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The digest of an event. Keyed, so that nobody can make two that are alike; compared only
    /// with the one before it of the same identity.
    pub fn digest(&self, event: &Event) -> RepeatDigest {
        let mut hasher = self.hasher.build_hasher();
        event.identity.hash(&mut hasher);
        event.state.hash(&mut hasher);
        event.suppressed.hash(&mut hasher);
        event.test.hash(&mut hasher);
        event.severity.hash(&mut hasher);
        event.severity_hint.hash(&mut hasher);
        event.labels.hash(&mut hasher);
        event.service.hash(&mut hasher);
        event.starts_at.hash(&mut hasher);
        RepeatDigest(hasher.finish())
    }

    /// Decides about one event. With `may_wait` false an equal append under way is no reason to
    /// wait: the event is journaled.
    pub fn claim(
        &self,
        key: AlertKey,
        event: &Event,
        source: &Arc<str>,
        now: Time,
        may_wait: bool,
    ) -> Verdict {
        let digest = self.digest(event);
        let summary = self.summary_hash(&event.summary);
        let index = shard_of(key);
        let Some(shard) = self.shards.get(index) else {
            return Verdict::Journal(Claim {
                key,
                digest,
                summary,
            });
        };
        let mut shard = lock(shard);
        if event.state == EventState::Firing
            && let Some(ends_at) = event.ends_at
        {
            let left = i64::try_from(ends_at.since(now).as_millis()).unwrap_or(i64::MAX);
            self.shortest_expiry_ms.fetch_min(left, Ordering::Relaxed);
        }
        if let Some(flight) = shard.in_flight.get_mut(&key) {
            if may_wait && flight.digest == digest && !flight.mixed {
                return Verdict::Wait(Waiting {
                    done: flight.done.clone(),
                    shard: index,
                    key,
                });
            }
            flight.mixed |= flight.digest != digest;
            flight.count += 1;
        } else {
            if self.enabled.load(Ordering::SeqCst)
                && let Some(entry) = shard.entries.get(&key)
                && entry.digest == digest
                && is_fresh(entry, now)
            {
                let changed = (entry.summary != summary).then(|| event.summary.clone());
                let of = entry.seq;
                count(&mut shard.counted, key, event.ends_at, changed, source, now);
                return Verdict::Repeat(of);
            }
            let flight = InFlight {
                digest,
                mixed: false,
                count: 1,
                done: Arc::new(Notify::new()),
            };
            shard.in_flight.insert(key, flight);
        }
        Verdict::Journal(Claim {
            key,
            digest,
            summary,
        })
    }

    /// The claimed event stands at `seq`. Claims of one row are reported in the row's order.
    pub fn committed(&self, claim: Claim, seq: u64, now: Time) {
        let Some(shard) = self.shards.get(shard_of(claim.key)) else {
            return;
        };
        let mut shard = lock(shard);
        release(&mut shard, claim.key);
        if let Some(counted) = shard.counted.get_mut(&claim.key) {
            // The row carries newer ones.
            counted.ends_at = None;
            counted.summary = None;
        }
        let entry = Entry {
            digest: claim.digest,
            seq,
            journaled_s: seconds(now),
            summary: claim.summary,
        };
        match shard.entries.get_mut(&claim.key) {
            Some(known) if known.seq <= seq => *known = entry,
            Some(_) => {}
            None => {
                if self.len() < self.entries_max && self.enabled.load(Ordering::SeqCst) {
                    shard.entries.insert(claim.key, entry);
                    self.entries.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// The claimed event was not appended, or nobody knows whether it was.
    pub fn failed(&self, claim: Claim) {
        let Some(shard) = self.shards.get(shard_of(claim.key)) else {
            return;
        };
        let mut shard = lock(shard);
        release(&mut shard, claim.key);
        // A request that was cut off may still be committed by the writer: what is remembered
        // about the identity may be behind the journal.
        if shard.entries.remove(&claim.key).is_some() {
            self.entries.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Waits until no append of that identity is under way, or for a bounded time.
    pub async fn settled(&self, waiting: Waiting, longest: Duration) {
        let Some(shard) = self.shards.get(waiting.shard) else {
            return;
        };
        let notified = waiting.done.notified();
        tokio::pin!(notified);
        notified.as_mut().enable();
        let same = lock(shard)
            .in_flight
            .get(&waiting.key)
            .is_some_and(|flight| Arc::ptr_eq(&flight.done, &waiting.done));
        if same {
            let _ = tokio::time::timeout(longest, notified).await;
        }
    }

    /// Takes the counts of the interval and sweeps entries that are no longer good.
    pub fn drain(&self, now: Time) -> Vec<Seen> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let mut shard = lock(shard);
            let counted = std::mem::take(&mut shard.counted);
            all.extend(counted.into_iter().map(|(key, counted)| Seen {
                key,
                source: counted.source.to_string(),
                count: counted.count,
                last_seen: counted.last_seen,
                ends_at: counted.ends_at,
                summary: counted.summary,
            }));
            let before = shard.entries.len();
            shard.entries.retain(|_, entry| is_fresh(entry, now));
            let swept = before - shard.entries.len();
            self.entries.fetch_sub(swept, Ordering::Relaxed);
            if shard.entries.len() * 4 < shard.entries.capacity() {
                shard.entries.shrink_to_fit();
            }
        }
        all.sort_by_key(|seen| seen.key);
        all
    }

    /// Puts counts back that could not be appended.
    pub fn restore(&self, seen: Vec<Seen>) {
        for seen in seen {
            if let Some(shard) = self.shards.get(shard_of(seen.key)) {
                let mut shard = lock(shard);
                match shard.counted.get_mut(&seen.key) {
                    Some(counted) => counted.count = counted.count.saturating_add(seen.count),
                    None => {
                        let counted = Counted {
                            source: Arc::from(seen.source.as_str()),
                            count: seen.count,
                            last_seen: seen.last_seen,
                            ends_at: seen.ends_at,
                            summary: seen.summary,
                        };
                        shard.counted.insert(seen.key, counted);
                    }
                }
            }
        }
    }

    /// The time until the next summary: ten seconds, and under a quarter of the shortest expiry
    /// that was seen since the last call.
    pub fn interval(&self) -> Duration {
        let shortest = self.shortest_expiry_ms.swap(i64::MAX, Ordering::Relaxed);
        let quarter = u64::try_from(shortest / 4).unwrap_or(0);
        Duration::from_millis(quarter.saturating_sub(1)).clamp(
            Duration::from_millis(limits::REPEAT_SUMMARY_MILLISECONDS_MIN),
            Duration::from_secs(limits::REPEAT_SUMMARY_SECONDS),
        )
    }

    fn summary_hash(&self, summary: &str) -> u32 {
        (self.hasher.hash_one(summary) >> 32) as u32
    }
}

fn count(
    counted: &mut FxHashMap<AlertKey, Counted>,
    key: AlertKey,
    ends_at: Option<Time>,
    summary: Option<String>,
    source: &Arc<str>,
    now: Time,
) {
    let entry = counted.entry(key).or_insert_with(|| Counted {
        source: source.clone(),
        count: 0,
        last_seen: now,
        ends_at: None,
        summary: None,
    });
    entry.count = entry.count.saturating_add(1);
    entry.last_seen = entry.last_seen.max(now);
    entry.ends_at = entry.ends_at.max(ends_at);
    if summary.is_some() {
        entry.summary = summary;
    }
}

fn release(shard: &mut Shard, key: AlertKey) {
    if let Some(flight) = shard.in_flight.get_mut(&key) {
        flight.count = flight.count.saturating_sub(1);
        if flight.count == 0 {
            flight.done.notify_waiters();
            shard.in_flight.remove(&key);
        }
    }
}

fn is_fresh(entry: &Entry, now: Time) -> bool {
    seconds(now).abs_diff(entry.journaled_s) < limits::REPEAT_REFRESH_SECONDS
}

fn seconds(time: Time) -> u32 {
    u32::try_from(time.seconds()).unwrap_or(0)
}

fn shard_of(key: AlertKey) -> usize {
    key.0.first().map_or(0, |byte| usize::from(*byte) % SHARDS)
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "repeat/tests.rs"]
mod tests;
