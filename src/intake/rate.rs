//! The generic cell rate algorithm over a bounded number of keys. The clock is handed in.
//!
//! Invariant: memory is bounded by `keys_max`; when the table is full of keys that are all busy,
//! new keys share one allowance instead of being free.

use rustc_hash::FxHashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A limiter. The theoretical arrival time of each key is all it remembers.
#[derive(Debug)]
pub struct Limiter {
    arrivals: Mutex<FxHashMap<u64, Duration>>,
    keys_max: usize,
}

/// The key that stands for all keys that found no room.
const SHARED: u64 = u64::MAX;

impl Limiter {
    /// A limiter that remembers at most that many keys.
    pub fn new(keys_max: usize) -> Limiter {
        Limiter {
            arrivals: Mutex::default(),
            keys_max,
        }
    }

    /// Lets one more through, or says how long to wait. `pace` is the time between two in the long
    /// run, `burst` how many may come at once.
    pub fn admit(
        &self,
        key: u64,
        pace: Duration,
        burst: u32,
        now: Duration,
    ) -> Result<(), Duration> {
        let mut arrivals = self.lock();
        let key = room_for(&mut arrivals, key, self.keys_max, now);
        let slack = pace.saturating_mul(burst.saturating_sub(1));
        let due = arrivals.get(&key).copied().unwrap_or(now).max(now);
        if due > now + slack {
            return Err(due - now - slack);
        }
        arrivals.insert(key, due + pace);
        Ok(())
    }

    /// Whether the next one would have to wait, without counting one.
    pub fn exhausted(
        &self,
        key: u64,
        pace: Duration,
        burst: u32,
        now: Duration,
    ) -> Option<Duration> {
        let arrivals = self.lock();
        let slack = pace.saturating_mul(burst.saturating_sub(1));
        let due = arrivals.get(&key).or_else(|| {
            (arrivals.len() >= self.keys_max)
                .then(|| arrivals.get(&SHARED))
                .flatten()
        })?;
        due.checked_sub(now + slack).filter(|wait| !wait.is_zero())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, FxHashMap<u64, Duration>> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn room_for(
    arrivals: &mut FxHashMap<u64, Duration>,
    key: u64,
    keys_max: usize,
    now: Duration,
) -> u64 {
    if arrivals.len() < keys_max || arrivals.contains_key(&key) {
        return key;
    }
    arrivals.retain(|_, due| *due > now);
    if arrivals.len() < keys_max {
        key
    } else {
        SHARED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_then_the_pace() {
        let limiter = Limiter::new(10);
        for _ in 0..3 {
            assert_eq!(limiter.admit(1, SECOND, 3, SECOND), Ok(()));
        }
        assert_eq!(limiter.admit(1, SECOND, 3, SECOND), Err(SECOND));
        assert_eq!(limiter.exhausted(1, SECOND, 3, SECOND), Some(SECOND));
        assert_eq!(limiter.admit(2, SECOND, 3, SECOND), Ok(()));
        assert_eq!(limiter.admit(1, SECOND, 3, SECOND * 2), Ok(()));
        assert_eq!(limiter.admit(1, SECOND, 3, SECOND * 2), Err(SECOND));
    }

    #[test]
    fn keys_are_bounded_and_strangers_share_one_allowance() {
        let limiter = Limiter::new(2);
        for key in 0..100 {
            let _ = limiter.admit(key, SECOND, 1, Duration::ZERO);
        }
        assert!(limiter.lock().len() <= 3);
        assert!(limiter.admit(200, SECOND, 1, Duration::ZERO).is_err());
        assert_eq!(limiter.admit(300, SECOND, 1, SECOND * 200), Ok(()));
    }
}
