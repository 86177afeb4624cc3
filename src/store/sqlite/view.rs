//! A store seen from beside: read, never written, whether a daemon uses it or not. The journal is
//! read where it is; of the state a copy of one moment is taken, as it goes on changing.

use super::super::StoreError;
use super::super::sealing::Keys;
use super::backup::copy_database;
use super::connection::{damaged, explain, failed, open_reader, unavailable};
use super::journal::read_after;
use super::lock::DirectoryLock;
use super::trim;
use crate::model::Sequenced;
use rusqlite::Connection;
use rusqlite::config::DbConfig;
use std::path::{Path, PathBuf};

/// The journal of a store that somebody else may use.
pub struct JournalView {
    path: PathBuf,
    connection: Connection,
    keys: Keys,
}

impl JournalView {
    /// Opens `journal.db` in `dir` for reading; sealed rows need their key.
    pub fn open(dir: &Path, keys: &Keys) -> Result<JournalView, StoreError> {
        let path = dir.join("journal.db");
        let connection = open_untouched(&path)?;
        Ok(JournalView {
            path,
            connection,
            keys: Keys::clone(keys),
        })
    }

    /// The first place that retention has not forgotten; 1: the journal is whole.
    pub fn kept_from(&self) -> Result<u64, StoreError> {
        trim::kept_from(&self.connection).map_err(|error| failed(&self.path, error))
    }

    /// Inputs after `after`, in order, at most `limit`; fewer, but at least one, if they are large.
    pub fn read(&self, after: u64, limit: usize) -> Result<Vec<Sequenced>, StoreError> {
        read_after(&self.connection, after, limit, &self.keys.load())
            .map_err(|error| failed(&self.path, error))
    }
}

/// Copies the engine's state as it is at this moment to `state.db` in `target`.
pub fn copy_state(dir: &Path, target: &Path) -> Result<(), StoreError> {
    let path = dir.join("state.db");
    let connection = open_untouched(&path)?;
    copy_database(&connection, &path, &target.join("state.db")).map(drop)
}

/// Whether a daemon, or another process, uses the data directory.
pub fn in_use(dir: &Path) -> bool {
    dir.join("lock").exists() && DirectoryLock::acquire_if_there(dir).is_none()
}

/// A reader that leaves the files as they are, also when it is the last one to close them: a log
/// that a killed daemon left behind is for the next daemon to look at.
fn open_untouched(path: &Path) -> Result<Connection, StoreError> {
    if !path.is_file() {
        return Err(unavailable(path, &"there is no store here"));
    }
    super::wal::check(path)?;
    let keeps_log = super::wal::log_of(path).exists();
    let connection = open_reader(path).map_err(|error| explain(path, &error))?;
    if keeps_log {
        let kept = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
        if !kept.map_err(|error| explain(path, &error))? {
            return Err(damaged(path, "its log cannot be left as it is"));
        }
    }
    Ok(connection)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Input, Time};
    use crate::store::sqlite::{SqliteStore, StoreOptions};
    use crate::store::{Journal, NewInput, StateStore};

    fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(dir)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            // Shared memory is SQLite's own scratch space, made anew by whoever opens the file.
            .filter(|path| !path.to_string_lossy().ends_with("-shm"))
            .map(|path| {
                let bytes = std::fs::read(&path).unwrap();
                (path.display().to_string(), bytes)
            })
            .collect();
        files.sort();
        files
    }

    fn look(dir: &Path) -> (u64, usize) {
        let copy = tempfile::tempdir().unwrap();
        copy_state(dir, copy.path()).unwrap();
        let view = JournalView::open(dir, &Keys::default()).unwrap();
        (view.kept_from().unwrap(), view.read(0, 10).unwrap().len())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_look_leaves_the_files_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(dir.path(), StoreOptions::default(), "g1").unwrap();
        let input = NewInput {
            at: Time(1),
            input: Input::Due,
            raw: None,
        };
        store.journal.append(vec![input], Vec::new()).await.unwrap();
        assert!(in_use(dir.path()));
        // In use, with its log; then as a killed daemon leaves it; then as a stopped one does.
        let before = contents(dir.path());
        assert_eq!(look(dir.path()), (1, 1));
        assert_eq!(contents(dir.path()), before);
        assert_eq!(store.state.cursor().unwrap(), 0);
        let killed = tempfile::tempdir().unwrap();
        for (path, bytes) in &before {
            let name = Path::new(path).file_name().unwrap();
            std::fs::write(killed.path().join(name), bytes).unwrap();
        }
        let before = contents(killed.path());
        assert!(before.iter().any(|(name, _)| name.ends_with("-wal")));
        assert_eq!(look(killed.path()), (1, 1));
        assert_eq!(contents(killed.path()), before);
        drop(store);
        assert!(!in_use(dir.path()));
        let before = contents(dir.path());
        assert_eq!(look(dir.path()), (1, 1));
        assert_eq!(contents(dir.path()), before);
    }
}
