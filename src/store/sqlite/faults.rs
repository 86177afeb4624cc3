//! Commits that fail on demand. Tests set them; in production none is set and the check is one
//! atomic read.

use super::super::StoreError;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Fails chosen commits just before they happen. Clones share their counters.
#[derive(Clone, Debug, Default)]
pub struct CommitFaults {
    skip: Arc<AtomicU64>,
    fail: Arc<AtomicU64>,
}

impl CommitFaults {
    /// Lets `skip` commits pass, then fails the next `fail` ones.
    pub fn fail_after(&self, skip: u64, fail: u64) {
        self.skip.store(skip, Ordering::SeqCst);
        self.fail.store(fail, Ordering::SeqCst);
    }

    /// Called before each commit.
    pub(super) fn check(&self, path: &Path) -> Result<(), StoreError> {
        if self.fail.load(Ordering::Relaxed) == 0 {
            return Ok(());
        }
        let less_one = |left: u64| left.checked_sub(1);
        let (set, get) = (Ordering::SeqCst, Ordering::SeqCst);
        if self.skip.fetch_update(set, get, less_one).is_ok() {
            return Ok(());
        }
        if self.fail.fetch_update(set, get, less_one).is_err() {
            return Ok(());
        }
        Err(super::connection::unavailable(
            path,
            &"a test made this commit fail",
        ))
    }
}
