//! The embedded store: three SQLite files in the data directory, each with one writer and a few
//! readers. This folder is the only place that names rusqlite. What was acknowledged is on disk;
//! what does not match its checksum is refused, never passed on.

mod acked;
mod answers;
mod backup;
mod budget;
mod checkpoint;
mod connection;
mod desk;
mod desk_row;
mod desk_seal;
mod faults;
mod journal;
mod lock;
mod migrate;
mod recover;
mod retention;
mod row;
mod seal;
mod state;
mod state_seal;
mod state_write;
mod tail;
mod trim;
mod verify;
mod view;
mod wal;
mod writer;

pub use backup::{LostTime, Manifest, ManifestFile, backup, release_delivery, restore};
pub use desk::{DeskOptions, SqliteDesk};
pub use faults::CommitFaults;
pub use journal::{JournalFigures, JournalOptions, SqliteJournal};
pub use lock::DirectoryLock;
pub use recover::{Recovered, SetAside, recover};
pub use retention::{Retention, Retired, retire};
pub use state::{SqliteState, StateOptions};
pub use state_seal::seal_found;
pub use verify::{Verified, verify};
pub use view::{JournalView, copy_state, in_use};

use super::desk_store::DeskStore;
use super::sealing::Keys;
use super::{Journal, StateStore, StoreError};
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

impl StoreOptions {
    /// The defaults, with keys for what is sensitive.
    pub fn with_keys(keys: &Keys) -> StoreOptions {
        let mut options = StoreOptions::default();
        options.journal.keys = Keys::clone(keys);
        options.state.keys = Keys::clone(keys);
        options.desk.keys = Keys::clone(keys);
        options
    }
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
        check_together(dir, &state, &journal, &desk)?;
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

    /// What the last restore or recovery could not know; none: there was none.
    pub fn lost_time(&self) -> Result<Option<LostTime>, StoreError> {
        self.state.lost_time()
    }

    /// The trackers were looked at after a restore: delivery may go on.
    pub fn release_delivery(&self) -> Result<(), StoreError> {
        self.state.set_word(backup::RESTORED, "")
    }
}

/// The three files are one store: one that is fresh while another has a past means that a file was
/// lost, and going on without it would forget tickets or open them a second time.
fn check_together(
    dir: &Path,
    state: &SqliteState,
    journal: &SqliteJournal,
    desk: &SqliteDesk,
) -> Result<(), StoreError> {
    let has_generation = state.word(backup::GENERATION)?.is_some();
    if has_generation {
        return Ok(());
    }
    let what = if journal.last_seq() > 0 {
        "journal.db"
    } else if desk.last_change()? > 0 {
        "desk.db"
    } else {
        return Ok(());
    };
    Err(connection::damaged(
        &dir.join("state.db"),
        format!("it is new, but {what} beside it has a past"),
    ))
}
