//! The embedded store: three SQLite files in the data directory, each with one writer and a few
//! readers. This folder is the only place that names rusqlite. What was acknowledged is on disk;
//! what does not match its checksum is refused, never passed on.

mod backup;
mod budget;
mod connection;
mod desk;
mod faults;
mod journal;
mod lock;
mod migrate;
mod row;
mod seal;
mod state;
mod state_write;
mod tail;
mod wal;
mod writer;

pub use backup::{Manifest, ManifestFile, backup, restore};
pub use desk::{DeskOptions, SqliteDesk};
pub use faults::CommitFaults;
pub use journal::{JournalFigures, JournalOptions, SqliteJournal, Trimmed};
pub use lock::DirectoryLock;
pub use state::{SqliteState, StateOptions};

use super::{StateStore, StoreError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How a store behaves.
#[derive(Clone, Debug, Default)]
pub struct StoreOptions {
    /// The journal's part.
    pub journal: JournalOptions,
    /// The state's part.
    pub state: StateOptions,
    /// The desk's part.
    pub desk: DeskOptions,
}

/// All of one data directory, locked for this process.
pub struct SqliteStore {
    /// The data directory.
    pub dir: PathBuf,
    /// The inputs.
    pub journal: Arc<SqliteJournal>,
    /// The engine's state.
    pub state: Arc<SqliteState>,
    /// The desk's tickets.
    pub desk: Arc<SqliteDesk>,
    _lock: DirectoryLock,
}

impl SqliteStore {
    /// Takes the directory's lock, opens, migrates and checks the three files. `new_generation`
    /// becomes the installation's generation if it has none yet.
    pub fn open(
        dir: &Path,
        options: StoreOptions,
        new_generation: &str,
    ) -> Result<SqliteStore, StoreError> {
        let lock = DirectoryLock::acquire(dir)?;
        let state = SqliteState::open(dir, options.state)?;
        let journal = SqliteJournal::open(dir, state.cursor()?, options.journal)?;
        let desk = SqliteDesk::open(dir, options.desk)?;
        if state.word(backup::GENERATION)?.is_none() {
            state.set_word(backup::GENERATION, new_generation)?;
        }
        Ok(SqliteStore {
            dir: dir.to_owned(),
            journal: Arc::new(journal),
            state: Arc::new(state),
            desk: Arc::new(desk),
            _lock: lock,
        })
    }

    /// The installation's generation: drawn at first start and again at `restore`.
    pub fn generation(&self) -> Result<String, StoreError> {
        Ok(self.state.word(backup::GENERATION)?.unwrap_or_default())
    }

    /// The backup that this store was restored from, while delivery is held because of it.
    pub fn delivery_held(&self) -> Result<Option<String>, StoreError> {
        self.state.word(backup::RESTORED)
    }

    /// The trackers were looked at after a restore: delivery may go on.
    pub fn release_delivery(&self) -> Result<(), StoreError> {
        self.state.set_word(backup::RESTORED, "")
    }
}
