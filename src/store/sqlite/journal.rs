//! The journal in `journal.db`: doors append through one writer thread that serves many of them
//! with one synced commit. An append resolves after that sync; what it resolves to is on disk.
//! Places have no gaps.

use super::super::sealing::{Keyring, Keys};
use super::super::{Journal, Mark, NewInput, StoreError};
use super::acked::Acked;
use super::budget::{Budget, Shares};
use super::checkpoint::{Checkpointer, Pace};
use super::connection::{
    ReadError, Readers, damaged, explain, failed, limit_to_sql, locked, open_writer, to_sql,
    unavailable,
};
use super::faults::CommitFaults;
use super::migrate::{JOURNAL, migrate};
use super::row::{self, NewRow, SELECT_INPUTS};
use super::seal;
use super::tail::{Ahead, Tail};
use super::trim;
use super::writer::{self, Append, Request, Shared, Trim, Trimmed};
use crate::limits;
use crate::model::{Sequenced, Time};
use futures_util::future::BoxFuture;
use rusqlite::{Connection, OptionalExtension, params};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// Small copies keep the disk free for the next commit; each page is written to the log once.
const CHECKPOINTS: Pace = Pace {
    copy_pages: 500,
    sync_pages: 0,
    log_pages: 4000,
};

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
    /// Keys for what is sensitive.
    pub keys: Keys,
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
            keys: Keys::default(),
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
        let sqlite = |error: rusqlite::Error| explain(&path, &error);
        let last = writer::last_place(&connection).map_err(sqlite)?;
        let kept_from = trim::kept_from(&connection).map_err(|error| failed(&path, error))?;
        let acked = Acked::open(&path, last, "inputs")?;
        let budget = Budget::new(
            options.backlog_bytes_max,
            options.backlog_disk_percent_max,
            options.backlog_share_percent,
        );
        check_tail(&connection, &path, (cursor, last, kept_from), &budget)?;
        options.dir = dir.to_owned();
        let checkpointer = Checkpointer::start(&path, CHECKPOINTS, "journal-copy")?;
        checkpointer.follow(&mut connection).map_err(sqlite)?;
        budget.measure(dir);
        let shared = Arc::new(Shared {
            tail: Tail::new(last, options.tail_rows_max, options.tail_bytes_max),
            path: path.clone(),
            checkpointer,
            options,
            last: AtomicU64::new(last),
            acked,
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

    /// Forgets at most a few inputs and raw bodies. Called again until nothing is left to forget.
    pub(super) fn trim(&self, trim: Trim) -> Result<Trimmed, StoreError> {
        self.ask(|answer| Request::Trim(trim, answer))
    }

    /// Keys of a space's marks that were last moved before an instant.
    pub(super) fn marks_before(
        &self,
        space: &str,
        before: Time,
    ) -> Result<Vec<String>, StoreError> {
        self.readers.with(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT key FROM marks WHERE space = ?1 AND at < ?2")?;
            let rows = statement.query_map(params![space, before.0], |row| row.get(0))?;
            Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?)
        })
    }

    /// Forgets marks of a space.
    pub(super) fn drop_marks(
        &self,
        space: &'static str,
        keys: Vec<String>,
    ) -> Result<(), StoreError> {
        self.ask(|answer| Request::DropMarks(space, keys, answer))
    }

    /// Seals rows that were written in the clear, and takes what they were from the disk. `false`: a
    /// reader was in the way; the same call is made again.
    pub(super) fn seal(&self, seqs: Vec<u64>) -> Result<bool, StoreError> {
        self.ask(|answer| Request::Seal(seqs, answer))
    }

    /// Asks the writer and waits on this thread, which must not be one of the runtime's.
    fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Request,
    ) -> Result<T, StoreError> {
        let (answer, answered) = oneshot::channel();
        let Some(requests) = &self.requests else {
            return Err(self.stopped());
        };
        requests
            .blocking_send(request(answer))
            .map_err(|_| self.stopped())?;
        answered.blocking_recv().map_err(|_| self.stopped())?
    }

    fn stopped(&self) -> StoreError {
        unavailable(&self.shared.path, &"the journal's writer has stopped")
    }

    async fn append_now(
        &self,
        inputs: Vec<NewInput>,
        marks: Vec<Mark>,
    ) -> Result<Vec<u64>, StoreError> {
        let keys = self.shared.options.keys.load_full();
        let rows = inputs
            .into_iter()
            .map(|new| NewRow::encode(new, &keys))
            .collect::<Result<Vec<_>, _>>()?;
        let mut shares = Shares::new();
        for row in &rows {
            match shares.iter_mut().find(|(known, _)| *known == row.source) {
                Some((_, bytes)) => *bytes += row.bytes(),
                None => shares.push((row.source.clone(), row.bytes())),
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
        let (answer, answered) = super::answers::waiting();
        place.send(Request::Append(Append {
            rows,
            marks,
            shares,
            answer,
            _room: room,
        }));
        let places = answered.await.map_err(|_| self.stopped())??;
        Ok(places.collect())
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
    (cursor, last, kept_from): (u64, u64, u64),
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
        let mut before = cursor.max(kept_from.saturating_sub(1));
        let mut bytes = 0;
        while let Some(found) = rows.next()? {
            let checked = row::check_input(found)?;
            if checked.seq != before + 1 {
                return Err(gap(before, checked.seq));
            }
            before = checked.seq;
            bytes += checked.bytes;
            if bytes > limits::BYTES_CHECKED_AT_OPEN_MAX {
                break;
            }
            let shares = vec![(checked.source, checked.bytes)];
            // More than the budget may stand here after it was lowered: it is booked all the same.
            if budget.take(&shares).is_ok() {
                budget.written(checked.seq, checked.seq, shares);
            }
        }
        Ok(())
    };
    read().map_err(|error| failed(path, error))
}

fn gap(before: u64, found: u64) -> ReadError {
    ReadError::Damaged(format!("inputs between {before} and {found} are missing"))
}

/// Inputs after `after`, in order, at most `limit`; fewer, but at least one, if they are large.
pub(super) fn read_after(
    connection: &Connection,
    after: u64,
    limit: usize,
    keys: &Keyring,
) -> Result<Vec<Sequenced>, ReadError> {
    // One snapshot: what retention forgets meanwhile is no gap.
    let snapshot = connection.unchecked_transaction()?;
    let kept_from = trim::kept_from(&snapshot)?;
    let mut statement = snapshot.prepare_cached(SELECT_INPUTS)?;
    let mut rows = statement.query([to_sql(after), limit_to_sql(limit)])?;
    let mut found: Vec<Sequenced> = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        bytes += row.get_ref(6)?.as_bytes().map_or(0, <[u8]>::len);
        if bytes > limits::READ_BYTES_MAX && !found.is_empty() {
            break;
        }
        let next = row::read_input(row, keys)?;
        let before = match found.last() {
            Some(before) => before.seq,
            None => after.max(kept_from.saturating_sub(1)),
        };
        if before + 1 != next.seq {
            return Err(gap(before, next.seq));
        }
        found.push(next);
    }
    Ok(found)
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
        let keys = self.shared.options.keys.load_full();
        self.readers
            .with(|connection| read_after(connection, after, limit, &keys))
    }

    fn next(&self, after: u64, limit: usize, wait: Duration) -> Result<Vec<Sequenced>, StoreError> {
        match self.shared.tail.after(after, limit, wait) {
            Ahead::Here(rows) => {
                let keys = self.shared.options.keys.load();
                rows.iter().map(|row| row.read(&keys)).collect()
            }
            Ahead::OnDisk => self.read(after, limit),
        }
    }

    fn last_seq(&self) -> u64 {
        self.shared.last.load(Ordering::Acquire)
    }

    fn raw(&self, seq: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let keys = self.shared.options.keys.load_full();
        self.readers.with(|connection| {
            let mut statement =
                connection.prepare_cached(&format!("{} WHERE seq = ?1", row::SELECT_RAW))?;
            statement
                .query_row([to_sql(seq)], |row| Ok(row::read_raw(seq, row, &keys)))
                .optional()?
                .transpose()
        })
    }

    fn marks(&self, space: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.readers.with(|connection| {
            let sql = format!("{} WHERE space = ?1 ORDER BY key", writer::SELECT_MARKS);
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query([space])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                seal::check_row("marks", row)?;
                found.push((row.get(1)?, row.get(3)?));
            }
            Ok(found)
        })
    }
}
