//! The journal in `journal.db`: doors append through one writer thread that serves many of them
//! with one synced commit. An append resolves after that sync; what it resolves to is on disk.
//! Places have no gaps.

use super::super::{Journal, Mark, NewInput, StoreError};
use super::budget::{Budget, Shares};
use super::connection::{
    ReadError, Readers, damaged, explain, limit_to_sql, locked, open_writer, to_sql, unavailable,
};
use super::faults::CommitFaults;
use super::migrate::{JOURNAL, migrate};
use super::row::{self, NewRow, SELECT_INPUTS};
use super::tail::{Ahead, Tail};
use super::writer::{self, Append, Request, Shared, Trim};
use crate::limits;
use crate::model::{Sequenced, Time};
use futures_util::future::BoxFuture;
use rusqlite::{Connection, OptionalExtension};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// How the journal behaves. The defaults are those of [`limits`].
#[derive(Clone, Debug)]
pub struct JournalOptions {
    /// The data directory. Set by [`SqliteJournal::open`].
    pub dir: PathBuf,
    /// How long the writer waits when someone else has the file's lock.
    pub busy: Duration,
    /// Most that may wait for the engine, bytes.
    pub backlog_bytes_max: u64,
    /// Most of the free disk that may wait for the engine, percent.
    pub backlog_disk_percent_max: u64,
    /// Most of that which one source may take, percent.
    pub backlog_share_percent: u64,
    /// Most inputs kept in memory for the engine.
    pub tail_rows_max: usize,
    /// Most bytes of inputs kept in memory for the engine.
    pub tail_bytes_max: u64,
    /// Commits that tests let fail.
    pub faults: CommitFaults,
}

impl Default for JournalOptions {
    fn default() -> JournalOptions {
        JournalOptions {
            dir: PathBuf::new(),
            busy: Duration::from_secs(5),
            backlog_bytes_max: limits::BACKLOG_BYTES_MAX,
            backlog_disk_percent_max: limits::BACKLOG_DISK_PERCENT_MAX,
            backlog_share_percent: limits::BACKLOG_SHARE_PERCENT,
            tail_rows_max: limits::TAIL_ROWS_MAX,
            tail_bytes_max: limits::TAIL_BYTES_MAX,
            faults: CommitFaults::default(),
        }
    }
}

/// Figures of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalFigures {
    /// The newest place.
    pub last_seq: u64,
    /// Commits since the start.
    pub commits: u64,
    /// Bytes that the engine has not applied yet.
    pub backlog_bytes: u64,
    /// Bytes that may wait for it.
    pub backlog_bytes_max: u64,
    /// Appends that wait for the writer.
    pub appends_waiting: usize,
}

/// Rows that a [`SqliteJournal::trim`] forgot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trimmed {
    /// Inputs.
    pub inputs: u64,
    /// Raw bodies.
    pub raw: u64,
}

/// The journal of one data directory.
pub struct SqliteJournal {
    shared: Arc<Shared>,
    readers: Readers,
    requests: Option<mpsc::Sender<Request>>,
    room: Arc<Semaphore>,
    writer: Option<JoinHandle<()>>,
}

impl SqliteJournal {
    /// Opens `journal.db` in `dir`, making it if it is missing. `cursor` is the engine's: rows
    /// above it are checked, and it must not lie beyond the newest row.
    pub fn open(
        dir: &Path,
        cursor: u64,
        mut options: JournalOptions,
    ) -> Result<SqliteJournal, StoreError> {
        super::connection::check_sqlite_version()?;
        let path = dir.join("journal.db");
        super::wal::check(&path)?;
        let mut connection =
            open_writer(&path, options.busy).map_err(|error| explain(&path, &error))?;
        migrate(&mut connection, &path, &JOURNAL)?;
        let last = writer::last_place(&connection).map_err(|error| explain(&path, &error))?;
        let budget = Budget::new(
            options.backlog_bytes_max,
            options.backlog_disk_percent_max,
            options.backlog_share_percent,
        );
        check_tail(&connection, &path, cursor, last, &budget)?;
        options.dir = dir.to_owned();
        budget.measure(dir);
        let shared = Arc::new(Shared {
            tail: Tail::new(last, options.tail_rows_max, options.tail_bytes_max),
            path: path.clone(),
            options,
            last: AtomicU64::new(last),
            commits: AtomicU64::new(0),
            budget,
            trouble: Mutex::new(None),
        });
        let (requests, waiting) = mpsc::channel(limits::APPENDS_WAITING_MAX);
        let for_writer = Arc::clone(&shared);
        let writer = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer::run(&for_writer, connection, waiting))
            .map_err(|error| unavailable(&path, &error))?;
        Ok(SqliteJournal {
            readers: Readers::new(&path),
            shared,
            requests: Some(requests),
            room: Arc::new(Semaphore::new(limits::APPENDS_WAITING_KIB_MAX)),
            writer: Some(writer),
        })
    }

    /// The engine has applied, and committed the effects of, everything up to `cursor`.
    pub fn applied(&self, cursor: u64) {
        self.shared.budget.applied(cursor);
    }

    /// Ends the wait of the one in [`Journal::next`].
    pub fn wake(&self) {
        self.shared.tail.wake();
    }

    /// Why the last commit failed; `None` if it did not. An empty append tries again.
    pub fn trouble(&self) -> Option<StoreError> {
        locked(&self.shared.trouble).clone()
    }

    /// Figures for metrics.
    pub fn figures(&self) -> JournalFigures {
        let (backlog_bytes, backlog_bytes_max) = self.shared.budget.used();
        JournalFigures {
            last_seq: self.last_seq(),
            commits: self.shared.commits.load(Ordering::Relaxed),
            backlog_bytes,
            backlog_bytes_max,
            appends_waiting: self
                .requests
                .as_ref()
                .map_or(0, |requests| requests.max_capacity() - requests.capacity()),
        }
    }

    /// Forgets at most `limit` inputs and raw bodies below `cursor` that are older than the given
    /// instants. Called again until nothing is left to forget.
    pub async fn trim(
        &self,
        cursor: u64,
        inputs_before: Time,
        raw_before: Time,
        limit: u64,
    ) -> Result<Trimmed, StoreError> {
        let (answer, answered) = oneshot::channel();
        let trim = Trim {
            below: cursor,
            inputs_before,
            raw_before,
            limit,
        };
        self.send(Request::Trim(trim, answer)).await?;
        let (inputs, raw) = answered.await.map_err(|_| self.stopped())??;
        Ok(Trimmed { inputs, raw })
    }

    /// Bytes of the inputs and marks at a consistent moment, copied while appends go on.
    pub(super) fn copy_to(&self, target: &Path) -> Result<(), StoreError> {
        self.readers.with(|connection| {
            super::backup::copy_database(connection, &self.shared.path, target)?;
            Ok(())
        })
    }

    async fn send(&self, request: Request) -> Result<(), StoreError> {
        match &self.requests {
            Some(requests) => requests.send(request).await.map_err(|_| self.stopped()),
            None => Err(self.stopped()),
        }
    }

    fn stopped(&self) -> StoreError {
        unavailable(&self.shared.path, &"the journal's writer has stopped")
    }

    async fn append_now(
        &self,
        inputs: Vec<NewInput>,
        marks: Vec<Mark>,
    ) -> Result<Vec<u64>, StoreError> {
        let rows = inputs
            .into_iter()
            .map(NewRow::encode)
            .collect::<Result<Vec<_>, _>>()?;
        let mut shares = Shares::new();
        for row in &rows {
            let source = row.input.source();
            match shares.iter_mut().find(|(known, _)| known == source) {
                Some((_, bytes)) => *bytes += row.bytes(),
                None => shares.push((source.to_owned(), row.bytes())),
            }
        }
        let kib = shares.iter().map(|(_, bytes)| bytes).sum::<u64>() / 1024 + 1;
        let kib = u32::try_from(kib.min(limits::APPENDS_WAITING_KIB_MAX as u64)).unwrap_or(1);
        let room = Arc::clone(&self.room)
            .acquire_many_owned(kib)
            .await
            .map_err(|_| self.stopped())?;
        let Some(requests) = &self.requests else {
            return Err(self.stopped());
        };
        let place = requests.reserve().await.map_err(|_| self.stopped())?;
        // From here on nothing is awaited until the writer has it: a caller that goes away cannot
        // leave its share taken.
        self.shared.budget.take(&shares)?;
        let (answer, answered) = oneshot::channel();
        place.send(Request::Append(Append {
            rows,
            marks,
            shares,
            answer,
            _room: room,
        }));
        answered.await.map_err(|_| self.stopped())?
    }
}

impl Drop for SqliteJournal {
    /// What waits is still written.
    fn drop(&mut self) {
        self.requests = None;
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has answered nobody: there is nothing to add here.
            let _ = writer.join();
        }
    }
}

/// Rows above the cursor are there without a gap and match their sums. Bounded, so that a backlog
/// does not delay the start; what lies beyond is checked when it is read.
fn check_tail(
    connection: &Connection,
    path: &Path,
    cursor: u64,
    last: u64,
    budget: &Budget,
) -> Result<(), StoreError> {
    if cursor > last {
        return Err(damaged(
            path,
            format!("it ends at {last}, but the engine has applied inputs up to {cursor}"),
        ));
    }
    let read = || -> Result<(), ReadError> {
        let mut statement = connection.prepare(SELECT_INPUTS)?;
        let mut rows =
            statement.query([to_sql(cursor), to_sql(limits::ROWS_CHECKED_AT_OPEN_MAX)])?;
        let mut before = cursor;
        while let Some(found) = rows.next()? {
            let checked = row::check_input(found)?;
            if checked.seq != before + 1 && before != 0 {
                return Err(gap(before, checked.seq));
            }
            before = checked.seq;
            let shares = vec![(checked.source, checked.bytes)];
            // More than the budget may stand here after it was lowered: it is booked all the same.
            if budget.take(&shares).is_ok() {
                budget.written(checked.seq, checked.seq, shares);
            }
        }
        Ok(())
    };
    read().map_err(|error| match error {
        ReadError::Sqlite(error) => explain(path, &error),
        ReadError::Damaged(reason) => damaged(path, reason),
        ReadError::Store(error) => error,
    })
}

fn gap(before: u64, found: u64) -> ReadError {
    ReadError::Damaged(format!("inputs between {before} and {found} are missing"))
}

impl Journal for SqliteJournal {
    fn append(
        &self,
        inputs: Vec<NewInput>,
        marks: Vec<Mark>,
    ) -> BoxFuture<'_, Result<Vec<u64>, StoreError>> {
        Box::pin(self.append_now(inputs, marks))
    }

    fn read(&self, after: u64, limit: usize) -> Result<Vec<Sequenced>, StoreError> {
        self.readers.with(|connection| {
            let mut statement = connection.prepare_cached(SELECT_INPUTS)?;
            let mut rows = statement.query([to_sql(after), limit_to_sql(limit)])?;
            let mut found: Vec<Sequenced> = Vec::new();
            while let Some(row) = rows.next()? {
                let next = row::read_input(row)?;
                match found.last() {
                    Some(before) if before.seq + 1 != next.seq => {
                        return Err(gap(before.seq, next.seq));
                    }
                    _ => found.push(next),
                }
            }
            Ok(found)
        })
    }

    fn next(
        &self,
        after: u64,
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<Arc<Sequenced>>, StoreError> {
        match self.shared.tail.after(after, limit, wait) {
            Ahead::Here(rows) => Ok(rows),
            Ahead::OnDisk => {
                let rows = self.read(after, limit)?;
                match rows.first() {
                    Some(row) if after > 0 && row.seq != after + 1 => Err(damaged(
                        &self.shared.path,
                        format!("inputs between {after} and {} are missing", row.seq),
                    )),
                    _ => Ok(rows.into_iter().map(Arc::new).collect()),
                }
            }
        }
    }

    fn last_seq(&self) -> u64 {
        self.shared.last.load(Ordering::Acquire)
    }

    fn raw(&self, seq: u64) -> Result<Option<Vec<u8>>, StoreError> {
        self.readers.with(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT key_id, size, body, crc FROM raw WHERE seq = ?1")?;
            statement
                .query_row([to_sql(seq)], |row| Ok(row::read_raw(seq, row)))
                .optional()?
                .transpose()
        })
    }

    fn marks(&self, space: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.readers.with(|connection| {
            let mut statement = connection
                .prepare_cached("SELECT key, value FROM marks WHERE space = ?1 ORDER BY key")?;
            let rows = statement.query_map([space], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?)
        })
    }
}
