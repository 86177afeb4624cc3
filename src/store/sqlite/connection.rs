//! Connections as the store wants them: the settings that make a commit durable, a small pool of
//! readers, and SQLite's errors in our words.

use super::super::StoreError;
use super::seal::{check_row, sum_of};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The oldest SQLite without the WAL-reset bug, as `sqlite3_libversion_number` counts.
const SQLITE_VERSION_MIN: i32 = 3_051_003;

/// Readers of one file at the same time.
const READERS_MAX: usize = 4;

/// How long a reader waits for the one writer.
const READER_BUSY: Duration = Duration::from_secs(5);

/// The remedy for damage.
pub(super) const REMEDY: &str = "Acknowledged data may be lost: bring back a backup with \
    `alertbridge restore`, or keep what is readable with `alertbridge recover --accept-loss`";

/// What the system refused to do with a path.
pub(super) fn unavailable(path: &Path, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Unavailable {
        what: path.display().to_string(),
        reason: error.to_string(),
    }
}

/// Acknowledged data that is not as it was written.
pub(super) fn damaged(path: &Path, reason: impl Into<String>) -> StoreError {
    StoreError::Damaged {
        file: path.display().to_string(),
        reason: reason.into(),
        remedy: REMEDY.to_owned(),
    }
}

/// SQLite's error in our words: damage is told apart from what may pass.
pub(super) fn explain(path: &Path, error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            damaged(path, error.to_string())
        }
        _ => unavailable(path, error),
    }
}

/// A guard whose holder may have panicked: our guarded values stay whole under a panic.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Refuses to run on a SQLite that can corrupt a WAL.
pub(super) fn check_sqlite_version() -> Result<(), StoreError> {
    if rusqlite::version_number() >= SQLITE_VERSION_MIN {
        return Ok(());
    }
    Err(StoreError::Unavailable {
        what: "any database".to_owned(),
        reason: format!(
            "SQLite {} can corrupt a write-ahead log; 3.51.3 or later is needed",
            rusqlite::version()
        ),
    })
}

/// Pages of new files. A commit writes each page that it touches with two calls; rows of some
/// hundred bytes, many to a commit, make fewer calls of it than with SQLite's 4096.
pub(super) const PAGE_BYTES: u16 = 8192;

/// A connection that writes: WAL, synced commits, one page cache of a few megabytes.
pub(super) fn open_writer(path: &Path, busy: Duration) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(busy)?;
    // A file keeps the size that it was made with.
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        // Without it neither readers nor the order of syncs are what the store relies on.
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CANTOPEN),
            Some(format!(
                "the file system allows no write-ahead log (journal mode {mode})"
            )),
        ));
    }
    connection.execute_batch(
        "PRAGMA synchronous = FULL;
         PRAGMA cell_size_check = ON;
         PRAGMA foreign_keys = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA journal_size_limit = 67108864;
         PRAGMA cache_size = -16384;
         PRAGMA temp_store = MEMORY;",
    )?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// A connection that writes what can be made again: a commit is whole or not there, and after a
/// power cut the last ones may be missing. Checkpoints are synced.
pub(super) fn open_follower(path: &Path, busy: Duration) -> rusqlite::Result<Connection> {
    let connection = open_writer(path, busy)?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    Ok(connection)
}

/// How long wiping waits for readers: nobody can write meanwhile.
const WIPE_WAIT: Duration = Duration::from_millis(50);

/// Runs a job whose old content must not stay on the disk: what is overwritten is wiped, and the
/// write-ahead log is emptied after it. `false`: a reader is in the way; the job stands, and the
/// same call made again empties the log.
pub(super) fn wiped(
    connection: &Connection,
    busy: Duration,
    job: impl FnOnce(&Connection) -> Result<(), ReadError>,
) -> Result<bool, ReadError> {
    connection.execute_batch("PRAGMA secure_delete = ON; BEGIN IMMEDIATE;")?;
    // After an error the connection is thrown away, and with it what it began.
    job(connection)?;
    connection.execute_batch("COMMIT; PRAGMA secure_delete = OFF;")?;
    connection.busy_timeout(WIPE_WAIT)?;
    let truncate = "PRAGMA wal_checkpoint(TRUNCATE)";
    let in_the_way: i64 = connection.query_row(truncate, [], |row| row.get(0))?;
    connection.busy_timeout(busy)?;
    Ok(in_the_way == 0)
}

/// A connection that reads and cannot write.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(READER_BUSY)?;
    connection.execute_batch(
        "PRAGMA query_only = ON;
         PRAGMA cell_size_check = ON;
         PRAGMA trusted_schema = OFF;
         PRAGMA cache_size = -8192;
         PRAGMA temp_store = MEMORY;",
    )?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// A few reading connections, opened when needed. A caller waits when all are in use.
pub(super) struct Readers {
    path: PathBuf,
    idle: Mutex<(Vec<Connection>, usize)>,
    returned: Condvar,
}

impl Readers {
    /// Readers of one file.
    pub(super) fn new(path: &Path) -> Readers {
        Readers {
            path: path.to_owned(),
            idle: Mutex::new((Vec::new(), 0)),
            returned: Condvar::new(),
        }
    }

    /// Runs one reading job. A connection that failed is not used again.
    pub(super) fn with<T>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, ReadError>,
    ) -> Result<T, StoreError> {
        let mut seat = self.sit_down();
        let connection = match seat.connection.take() {
            Some(connection) => Ok(connection),
            None => open_reader(&self.path),
        };
        let connection = connection.map_err(|error| explain(&self.path, &error))?;
        match job(&connection) {
            Ok(value) => {
                locked(&self.idle).0.push(connection);
                Ok(value)
            }
            Err(error) => Err(failed(&self.path, error)),
        }
    }

    fn sit_down(&self) -> Seat<'_> {
        let mut guard = locked(&self.idle);
        while guard.1 >= READERS_MAX {
            guard = self
                .returned
                .wait(guard)
                .unwrap_or_else(PoisonError::into_inner);
        }
        guard.1 += 1;
        Seat {
            connection: guard.0.pop(),
            readers: self,
        }
    }
}

/// A place among the readers; leaving it lets the next one in, also after a panic.
struct Seat<'a> {
    connection: Option<Connection>,
    readers: &'a Readers,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        locked(&self.readers.idle).1 -= 1;
        self.readers.returned.notify_one();
    }
}

/// Why a reading job failed.
pub(super) enum ReadError {
    /// SQLite said so.
    Sqlite(rusqlite::Error),
    /// What was read is not what was written.
    Damaged(String),
    /// Already in our words.
    Store(StoreError),
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> ReadError {
        ReadError::Sqlite(error)
    }
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> ReadError {
        ReadError::Store(error)
    }
}

/// A word from a file's `meta`.
pub(super) fn word(connection: &Connection, name: &str) -> Result<Option<String>, ReadError> {
    connection
        .prepare_cached("SELECT name, value, crc FROM meta WHERE name = ?1")?
        .query_row([name], |row| {
            Ok(check_row("meta", row).and_then(|()| Ok(row.get(1)?)))
        })
        .optional()?
        .transpose()
}

/// Sets a word of a file's `meta`; empty: forgets it.
pub(super) fn set_word(connection: &Connection, name: &str, value: &str) -> Result<(), ReadError> {
    if value.is_empty() {
        connection.execute("DELETE FROM meta WHERE name = ?1", [name])?;
    } else {
        let sum = sum_of("meta", &[name.into(), value.into()]);
        connection.execute(
            "INSERT OR REPLACE INTO meta (name, value, crc) VALUES (?1, ?2, ?3)",
            params![name, value, sum],
        )?;
    }
    Ok(())
}

/// A reading job's failure in our words.
pub(super) fn failed(path: &Path, error: ReadError) -> StoreError {
    match error {
        ReadError::Sqlite(error) => explain(path, &error),
        ReadError::Damaged(reason) => damaged(path, reason),
        ReadError::Store(error) => error,
    }
}

/// A count or id as SQLite keeps it.
pub(super) fn to_sql(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A count or id from SQLite; negative values, which are never written, become 0.
pub(super) fn from_sql(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// A limit as SQLite takes it.
pub(super) fn limit_to_sql(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
