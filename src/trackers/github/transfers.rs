//! Issues that people transferred to another repository: where they are now, and what was done to
//! them there before the bridge saw it.

use super::Github;
use crate::model::Time;
use crate::trackers::rest::Told;
use std::collections::BTreeSet;
use std::sync::{MutexGuard, PoisonError};

/// Most other repositories that are asked what changed.
const REPOSITORIES_MAX: usize = 20;

/// Where issues of the bridge are besides the configured repository.
#[derive(Default)]
pub(super) struct Elsewhere {
    /// Other repositories.
    pub repositories: BTreeSet<String>,
    /// Issues that were seen there for the first time and whose past there is still to be told.
    pub arrived: BTreeSet<String>,
}

impl Github {
    pub(super) fn elsewhere(&self) -> MutexGuard<'_, Elsewhere> {
        self.elsewhere
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// An issue of the bridge's is named so.
    pub(super) fn met(&self, key: &str) {
        let Some((repository, _)) = key.rsplit_once('#') else {
            return;
        };
        let mut elsewhere = self.elsewhere();
        let known = repository == self.config.repository;
        if !known && elsewhere.repositories.len() < REPOSITORIES_MAX {
            elsewhere.repositories.insert(repository.to_owned());
        }
    }

    /// An issue that had another name is named so now.
    pub(super) fn arrived(&self, key: &str) {
        self.met(key);
        self.elsewhere().arrived.insert(key.to_owned());
    }

    /// Of an issue that has just arrived all is told that was done since it was last transferred.
    pub(super) fn tell_late(&self, key: &str, transferred: Option<Time>, told: &mut [Told]) {
        let arrived = self.elsewhere().arrived.remove(key);
        if let Some(transferred) = transferred.filter(|_| arrived) {
            for one in told.iter_mut().filter(|one| one.at >= transferred) {
                one.late = true;
            }
        }
    }
}
