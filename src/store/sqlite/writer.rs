//! The journal's one writer: takes what waits, writes it in one transaction, answers after the
//! sync. A commit that fails fails all its appends; the file is opened again and the next place
//! is read from it, so places stay without gaps whatever became of the failed commit.

use super::super::{Mark, StoreError};
use super::acked::Acked;
use super::answers::{self, Waiting};
use super::budget::{Budget, Shares};
use super::checkpoint::Checkpointer;
use super::connection::{
    ReadError, explain, failed, from_sql, locked, open_writer, set_word, unavailable,
};
use super::journal::JournalOptions;
use super::row::{INSERT_INPUT, INSERT_RAW, NewRow};
use super::seal::{self, Column};
use super::tail::Tail;
use super::trim;
use crate::limits;
use crate::model::Time;
use rusqlite::{Connection, TransactionBehavior, params};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

/// How often the size of the disk is looked up.
const MEASURE_EVERY: Duration = Duration::from_secs(2);

/// A commit that served so many appends, and twice as many as wait now, shows that their senders
/// are about to send the next.
const LINGER_APPENDS_MIN: usize = 6;
/// How long a commit waits for them.
const LINGER: Duration = Duration::from_micros(600);

/// The word that an append without content writes.
const PROBE: &str = "probe";

/// An append that waits for its commit.
pub(super) struct Append {
    pub(super) rows: Vec<NewRow>,
    pub(super) marks: Vec<Mark>,
    pub(super) shares: Shares,
    pub(super) answer: Waiting,
    /// Its part of the queue's bytes, given back once it is answered.
    pub(super) _room: OwnedSemaphorePermit,
}

/// Rows to be forgotten, in one small transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trim {
    /// Raw bytes up to this place were looked at already.
    pub(super) raw_after: u64,
    /// Nothing at or above this place is touched.
    pub(super) below: u64,
    /// Inputs accepted before this.
    pub(super) inputs_before: Time,
    /// Raw bytes accepted before this, unless they wait in quarantine.
    pub(super) raw_before: Time,
    /// Raw bytes of quarantine accepted before this.
    pub(super) quarantine_before: Time,
    /// Rows that claim to be from after this hold nothing back: the clock was wrong then.
    pub(super) now: Time,
    /// Most rows of each at once.
    pub(super) limit: u64,
}

/// What a [`Trim`] forgot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trimmed {
    /// Inputs.
    pub(super) inputs: u64,
    /// Raw bodies.
    pub(super) raw: u64,
    /// Where to look for more raw bodies.
    pub(super) raw_next: Option<u64>,
}

/// What the writer is asked for.
pub(super) enum Request {
    Append(Append),
    Trim(Trim, oneshot::Sender<Result<Trimmed, StoreError>>),
    /// Rows to be sealed that were written in the clear.
    Seal(Vec<u64>, oneshot::Sender<Result<bool, StoreError>>),
    /// Marks of a space to be forgotten, by key.
    DropMarks(
        &'static str,
        Vec<String>,
        oneshot::Sender<Result<(), StoreError>>,
    ),
}

/// What the writer and the others look at.
pub(super) struct Shared {
    pub(super) path: PathBuf,
    pub(super) options: JournalOptions,
    pub(super) last: AtomicU64,
    pub(super) acked: Acked,
    pub(super) checkpointer: Checkpointer,
    pub(super) commits: AtomicU64,
    pub(super) tail: Tail,
    pub(super) budget: Budget,
    /// Why the last commit failed, if it did.
    pub(super) trouble: Mutex<Option<StoreError>>,
}

/// Runs until all senders are gone; what waits then is still written.
pub(super) fn run(shared: &Shared, first: Connection, mut requests: mpsc::Receiver<Request>) {
    let mut connection = Some(first);
    let mut measured: Option<Instant> = None;
    let mut waiting = Vec::new();
    let mut served = 0;
    while requests.blocking_recv_many(&mut waiting, limits::COMMIT_APPENDS_MAX) > 0 {
        if served >= LINGER_APPENDS_MIN && waiting.len() * 2 < served {
            linger(&mut requests, &mut waiting);
        }
        served = waiting.len();
        if measured.is_none_or(|at| at.elapsed() > MEASURE_EVERY) {
            shared.budget.measure(&shared.options.dir);
            measured = Some(Instant::now());
        }
        let mut batch = Vec::with_capacity(waiting.len());
        let mut bytes = 0;
        for request in waiting.drain(..) {
            match request {
                Request::Append(append) => {
                    bytes += append.shares.iter().map(|(_, bytes)| bytes).sum::<u64>();
                    batch.push(append);
                    if bytes > limits::COMMIT_BYTES_MAX {
                        write(shared, &mut connection, std::mem::take(&mut batch));
                        bytes = 0;
                    }
                }
                Request::Trim(trim, answer) => {
                    let done = with_connection(shared, &mut connection, |connection| {
                        trim::delete(shared, connection, trim)
                    });
                    // The one who asked may have gone; the rows are gone either way.
                    let _ = answer.send(done);
                }
                Request::Seal(seqs, answer) => {
                    let done = with_connection(shared, &mut connection, |connection| {
                        trim::seal(shared, connection, &seqs)
                    });
                    let _ = answer.send(done);
                }
                Request::DropMarks(space, keys, answer) => {
                    let done = with_connection(shared, &mut connection, |connection| {
                        trim::drop_marks(shared, connection, space, &keys)
                    });
                    let _ = answer.send(done);
                }
            }
        }
        if !batch.is_empty() {
            write(shared, &mut connection, batch);
        }
        if let Some(connection) = &connection {
            shared.checkpointer.shorten(connection);
        }
    }
}

/// Waits a moment for more appends: a commit costs the same for one and for many.
fn linger(requests: &mut mpsc::Receiver<Request>, waiting: &mut Vec<Request>) {
    std::thread::sleep(LINGER);
    while waiting.len() < limits::COMMIT_APPENDS_MAX {
        match requests.try_recv() {
            Ok(request) => waiting.push(request),
            Err(_) => return,
        }
    }
}

/// Commits a batch and answers everyone in it.
fn write(shared: &Shared, connection: &mut Option<Connection>, batch: Vec<Append>) {
    let mut first = 0;
    let done = with_connection(shared, connection, |connection| {
        first = shared.last.load(Ordering::Acquire) + 1;
        insert(shared, connection, first, &batch)
    });
    match done {
        Ok(()) => accept(shared, first, batch),
        Err(error) => {
            answers::tell(batch.into_iter().map(|append| {
                shared.budget.give_back(&append.shares);
                (append.answer, Err(error.clone()))
            }));
        }
    }
}

fn accept(shared: &Shared, first: u64, batch: Vec<Append>) {
    let mut next = first;
    let mut answers = Vec::with_capacity(batch.len());
    let mut rows = Vec::new();
    for append in batch {
        let from = next;
        for row in append.rows {
            rows.push(row.committed(next));
            next += 1;
        }
        shared.budget.written(from, next - 1, append.shares);
        answers.push((append.answer, Ok(from..next)));
    }
    let last = next - 1;
    shared.acked.raise(last);
    shared.last.store(last, Ordering::Release);
    shared.commits.fetch_add(1, Ordering::Relaxed);
    shared.tail.extend(last, rows);
    answers::tell(answers);
}

/// Runs a job on the connection, opening it if need be; a failed connection is thrown away.
fn with_connection<T>(
    shared: &Shared,
    connection: &mut Option<Connection>,
    job: impl FnOnce(&mut Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let opened = match connection.take() {
        Some(connection) => Ok(connection),
        None => reopen(shared),
    };
    let done = opened.and_then(|mut ready| {
        // A panic must not end the writer: everyone would wait for it for ever.
        let done = catch_unwind(AssertUnwindSafe(|| job(&mut ready)))
            .unwrap_or_else(|_| Err(unavailable(&shared.path, &"writing to it panicked")))?;
        *connection = Some(ready);
        Ok(done)
    });
    *locked(&shared.trouble) = done.as_ref().err().cloned();
    done
}

/// After a failed commit the file says what is in it. The checkpoint makes sure that what it says
/// is on the disk, also if the failed sync left pages behind; it does not wait for readers.
fn reopen(shared: &Shared) -> Result<Connection, StoreError> {
    let sqlite = |error: rusqlite::Error| explain(&shared.path, &error);
    if !shared.path.exists() {
        return Err(unavailable(&shared.path, &"the file is gone"));
    }
    let mut connection = open_writer(&shared.path, shared.options.busy).map_err(sqlite)?;
    shared.checkpointer.copy_now(&connection).map_err(sqlite)?;
    shared
        .checkpointer
        .follow(&mut connection)
        .map_err(sqlite)?;
    let last = last_place(&connection).map_err(sqlite)?;
    if last < shared.last.load(Ordering::Acquire) {
        return Err(super::connection::damaged(
            &shared.path,
            format!("it ends at {last}, inputs after that were acknowledged"),
        ));
    }
    shared.last.store(last, Ordering::Release);
    shared.tail.reset(last);
    Ok(connection)
}

/// The newest place of the journal.
pub(super) fn last_place(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .query_row("SELECT max(seq) FROM inputs", [], |row| {
            row.get::<_, Option<i64>>(0)
        })
        .map(|last| from_sql(last.unwrap_or(0)))
}

fn insert(
    shared: &Shared,
    connection: &mut Connection,
    first: u64,
    batch: &[Append],
) -> Result<(), StoreError> {
    insert_rows(connection, first, batch, || {
        shared.options.faults.check(&shared.path)
    })
    .map_err(|error| failed(&shared.path, error))
}

fn insert_rows(
    connection: &mut Connection,
    first: u64,
    batch: &[Append],
    before_commit: impl FnOnce() -> Result<(), StoreError>,
) -> Result<(), ReadError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    {
        let mut inputs = transaction.prepare_cached(INSERT_INPUT)?;
        let mut raws = transaction.prepare_cached(INSERT_RAW)?;
        let mut next = first;
        for append in batch {
            for row in &append.rows {
                row.insert(next, &mut inputs, &mut raws)?;
                next += 1;
            }
            for mark in &append.marks {
                move_mark(&transaction, mark)?;
            }
        }
    }
    let asks_only = |append: &Append| append.rows.is_empty() && append.marks.is_empty();
    if batch.iter().all(asks_only) {
        // Who asks whether the store can be written gets an answer from the disk.
        let now = jiff::Timestamp::now().to_string();
        set_word(&transaction, PROBE, &now)?;
    }
    before_commit()?;
    transaction.commit()?;
    Ok(())
}

fn move_mark(connection: &Connection, mark: &Mark) -> rusqlite::Result<()> {
    if mark.value.is_empty() {
        connection
            .prepare_cached("DELETE FROM marks WHERE space = ?1 AND key = ?2")?
            .execute(params![mark.space, mark.key])?;
    } else {
        let at = Time::from_timestamp(jiff::Timestamp::now()).0;
        let sum = mark_sum(mark.space, &mark.key, at, &mark.value);
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO marks (space, key, at, value, crc) \
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![mark.space, mark.key, at, mark.value, sum])?;
    }
    Ok(())
}

/// The checksum of a mark, over its columns as [`SELECT_MARKS`] gives them.
pub(super) fn mark_sum(space: &str, key: &str, at: i64, value: &[u8]) -> i64 {
    let columns = [space.into(), key.into(), at.into(), Column::Bytes(value)];
    seal::sum_of("marks", &columns)
}

/// All columns of marks, the sum last.
pub(super) const SELECT_MARKS: &str = "SELECT space, key, at, value, crc FROM marks";
