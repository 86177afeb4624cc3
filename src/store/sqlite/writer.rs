//! The journal's one writer: takes what waits, writes it in one transaction, answers after the
//! sync. A commit that fails fails all its appends; the file is opened again and the next place
//! is read from it, so places stay without gaps whatever became of the failed commit.

use super::super::{Mark, StoreError};
use super::budget::{Budget, Shares};
use super::connection::{explain, from_sql, locked, open_writer, to_sql, unavailable};
use super::journal::JournalOptions;
use super::row::{INSERT_INPUT, INSERT_RAW, NewRow};
use super::tail::Tail;
use crate::limits;
use crate::model::Time;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};

/// How often the size of the disk is looked up.
const MEASURE_EVERY: Duration = Duration::from_secs(2);

/// An append that waits for its commit.
pub(super) struct Append {
    pub(super) rows: Vec<NewRow>,
    pub(super) marks: Vec<Mark>,
    pub(super) shares: Shares,
    pub(super) answer: oneshot::Sender<Result<Vec<u64>, StoreError>>,
    /// Its part of the queue's bytes, given back once it is answered.
    pub(super) _room: OwnedSemaphorePermit,
}

/// Rows to be forgotten, in one small transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trim {
    /// Nothing at or above this place is touched.
    pub(super) below: u64,
    /// Inputs accepted before this.
    pub(super) inputs_before: Time,
    /// Raw bytes accepted before this.
    pub(super) raw_before: Time,
    /// Most rows of each at once.
    pub(super) limit: u64,
}

/// What the writer is asked for.
pub(super) enum Request {
    Append(Append),
    Trim(Trim, oneshot::Sender<Result<(u64, u64), StoreError>>),
}

/// What the writer and the others look at.
pub(super) struct Shared {
    pub(super) path: PathBuf,
    pub(super) options: JournalOptions,
    pub(super) last: AtomicU64,
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
    while requests.blocking_recv_many(&mut waiting, limits::COMMIT_APPENDS_MAX) > 0 {
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
                        delete(connection, trim)
                    });
                    // The one who asked may have gone; the rows are gone either way.
                    let _ = answer.send(done);
                }
            }
        }
        if !batch.is_empty() {
            write(shared, &mut connection, batch);
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
            for append in batch {
                shared.budget.give_back(&append.shares);
                // A caller that went away hears nothing; nothing was accepted from it.
                let _ = append.answer.send(Err(error.clone()));
            }
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
            let bytes = row.bytes();
            rows.push((row.into_sequenced(next), bytes));
            next += 1;
        }
        shared.budget.written(from, next - 1, append.shares);
        answers.push((append.answer, from..next));
    }
    let last = next - 1;
    shared.last.store(last, Ordering::Release);
    shared.commits.fetch_add(1, Ordering::Relaxed);
    shared.tail.extend(last, rows.into_iter());
    for (answer, places) in answers {
        // A caller that went away sends again; its input is in the journal.
        let _ = answer.send(Ok(places.collect()));
    }
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
        let done = job(&mut ready)?;
        *connection = Some(ready);
        Ok(done)
    });
    *locked(&shared.trouble) = done.as_ref().err().cloned();
    done
}

/// After a failed commit the file says what is in it. The checkpoint makes sure that what it says
/// is on the disk, also if the failed sync left pages behind.
fn reopen(shared: &Shared) -> Result<Connection, StoreError> {
    let sqlite = |error: rusqlite::Error| explain(&shared.path, &error);
    if !shared.path.exists() {
        return Err(unavailable(&shared.path, &"the file is gone"));
    }
    let connection = open_writer(&shared.path, shared.options.busy).map_err(sqlite)?;
    connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
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
    .map_err(|failed| match failed {
        Failed::Sqlite(error) => explain(&shared.path, &error),
        Failed::Injected(error) => error,
    })
}

enum Failed {
    Sqlite(rusqlite::Error),
    Injected(StoreError),
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Failed {
        Failed::Sqlite(error)
    }
}

fn insert_rows(
    connection: &mut Connection,
    first: u64,
    batch: &[Append],
    before_commit: impl FnOnce() -> Result<(), StoreError>,
) -> Result<(), Failed> {
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
    before_commit().map_err(Failed::Injected)?;
    transaction.commit()?;
    Ok(())
}

fn move_mark(connection: &Connection, mark: &Mark) -> rusqlite::Result<()> {
    if mark.value.is_empty() {
        connection
            .prepare_cached("DELETE FROM marks WHERE space = ?1 AND key = ?2")?
            .execute(params![mark.space, mark.key])?;
    } else {
        connection
            .prepare_cached("INSERT OR REPLACE INTO marks (space, key, value) VALUES (?1, ?2, ?3)")?
            .execute(params![mark.space, mark.key, mark.value])?;
    }
    Ok(())
}

/// Forgets a few of the oldest rows. The newest input always stays: it holds the place.
fn delete(connection: &mut Connection, trim: Trim) -> Result<(u64, u64), StoreError> {
    delete_rows(connection, trim).map_err(|error| StoreError::Unavailable {
        what: "the journal's old rows".to_owned(),
        reason: error.to_string(),
    })
}

fn delete_rows(connection: &mut Connection, trim: Trim) -> rusqlite::Result<(u64, u64)> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let below = to_sql(trim.below.min(last_place(&transaction)?));
    let limit = to_sql(trim.limit);
    let end_of = |table: &str, before: Time| -> rusqlite::Result<Option<i64>> {
        transaction
            .query_row(
                &format!(
                    "SELECT coalesce(min(CASE WHEN at >= ?3 THEN seq END) - 1, max(seq)) \
                     FROM (SELECT i.seq, i.at FROM {table} AS t JOIN inputs AS i USING (seq) \
                     WHERE t.seq < ?1 ORDER BY t.seq LIMIT ?2)"
                ),
                params![below, limit, before.0],
                |row| row.get(0),
            )
            .optional()
            .map(Option::flatten)
    };
    let (raw_end, inputs_end) = (
        end_of("raw", trim.raw_before)?,
        end_of("inputs", trim.inputs_before)?,
    );
    let raw = match raw_end.max(inputs_end) {
        Some(end) => transaction.execute("DELETE FROM raw WHERE seq <= ?1", [end])?,
        None => 0,
    };
    let inputs = match inputs_end {
        Some(end) => {
            transaction.execute(
                "INSERT OR REPLACE INTO meta (name, value) VALUES ('kept_from', ?1)",
                [(end + 1).to_string()],
            )?;
            transaction.execute("DELETE FROM inputs WHERE seq <= ?1", [end])?
        }
        None => 0,
    };
    transaction.commit()?;
    Ok((inputs as u64, raw as u64))
}
