//! The built-in desk's tickets in `desk.db`. Each write is one synced transaction that also adds
//! the history, so a poller that follows the change ids misses nothing.

use super::super::StoreError;
use super::super::desk_store::{
    DeskAuthor, DeskChange, DeskComment, DeskCreated, DeskDid, DeskFilter, DeskPatch, DeskStore,
    DeskTicket, NewDeskComment, NewDeskTicket,
};
use super::connection::{
    ReadError, Readers, damaged, explain, from_sql, limit_to_sql, locked, open_writer, to_sql,
};
use super::faults::CommitFaults;
use super::migrate::{DESK, migrate};
use crate::model::Time;
use crate::model::severity::Severity;
use crate::model::ticket::TicketStatus;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Params, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

const TICKET: &str = "SELECT number, key, subject, body, status, severity, queue, owner, \
    requestor, merged_into, created_at, changed_at FROM tickets";
const CHANGE: &str = "SELECT id, ticket, author, at, what FROM changes";

/// How the desk behaves.
#[derive(Clone, Debug)]
pub struct DeskOptions {
    /// How long a write waits when someone else has the file's lock.
    pub busy: Duration,
    /// Commits that tests let fail.
    pub faults: CommitFaults,
}

impl Default for DeskOptions {
    fn default() -> DeskOptions {
        DeskOptions {
            busy: Duration::from_secs(5),
            faults: CommitFaults::default(),
        }
    }
}

/// The desk of one data directory.
pub struct SqliteDesk {
    path: PathBuf,
    options: DeskOptions,
    writer: Mutex<Option<Connection>>,
    readers: Readers,
}

impl SqliteDesk {
    /// Opens `desk.db` in `dir`, making it if it is missing.
    pub fn open(dir: &Path, options: DeskOptions) -> Result<SqliteDesk, StoreError> {
        super::connection::check_sqlite_version()?;
        let path = dir.join("desk.db");
        super::wal::check(&path)?;
        let mut connection =
            open_writer(&path, options.busy).map_err(|error| explain(&path, &error))?;
        migrate(&mut connection, &path, &DESK)?;
        Ok(SqliteDesk {
            readers: Readers::new(&path),
            writer: Mutex::new(Some(connection)),
            options,
            path,
        })
    }

    pub(super) fn copy_to(&self, target: &Path) -> Result<(), StoreError> {
        self.readers.with(|connection| {
            super::backup::copy_database(connection, &self.path, target)?;
            Ok(())
        })
    }

    fn write<T>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, ReadError>,
    ) -> Result<T, StoreError> {
        let mut writer = locked(&self.writer);
        let connection = match writer.take() {
            Some(connection) => connection,
            None => open_writer(&self.path, self.options.busy)
                .map_err(|error| explain(&self.path, &error))?,
        };
        let done = (|| {
            connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            let value = job(&connection)?;
            self.options.faults.check(&self.path)?;
            connection.prepare_cached("COMMIT")?.execute([])?;
            Ok(value)
        })();
        match done {
            Ok(value) => {
                *writer = Some(connection);
                Ok(value)
            }
            Err(ReadError::Sqlite(error)) => Err(explain(&self.path, &error)),
            Err(ReadError::Damaged(reason)) => Err(damaged(&self.path, reason)),
            Err(ReadError::Store(error)) => Err(error),
        }
    }

    fn rows<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        self.readers.with(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(params, read)?;
            Ok(rows.collect::<rusqlite::Result<Vec<_>>>()?)
        })
    }
}

fn unreadable(column: usize, what: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, what.into())
}

fn from_json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| unreadable(column, error.to_string()))
}

fn to_json<T: Serialize>(value: &T) -> Result<String, ReadError> {
    serde_json::to_string(value).map_err(|error| {
        ReadError::Store(StoreError::Unreadable {
            what: "a new row of the desk".to_owned(),
            reason: error.to_string(),
        })
    })
}

fn read_ticket(row: &Row<'_>) -> rusqlite::Result<DeskTicket> {
    let status = row.get_ref(4)?.as_str()?;
    Ok(DeskTicket {
        number: from_sql(row.get(0)?),
        key: row.get(1)?,
        subject: row.get(2)?,
        body: row.get(3)?,
        status: TicketStatus::from_word(status)
            .ok_or_else(|| unreadable(4, format!("`{status}` is no status")))?,
        severity: row.get::<_, Option<u8>>(5)?.and_then(Severity::from_number),
        queue: row.get(6)?,
        owner: row.get(7)?,
        requestor: row.get(8)?,
        merged_into: row.get::<_, Option<i64>>(9)?.map(from_sql),
        created_at: Time(row.get(10)?),
        changed_at: Time(row.get(11)?),
    })
}

fn read_comment(row: &Row<'_>) -> rusqlite::Result<DeskComment> {
    Ok(DeskComment {
        id: from_sql(row.get(0)?),
        ticket: from_sql(row.get(1)?),
        author: from_json(row, 2)?,
        at: Time(row.get(3)?),
        public: row.get(4)?,
        text: row.get(5)?,
        marker: row.get(6)?,
    })
}

fn read_change(row: &Row<'_>) -> rusqlite::Result<DeskChange> {
    Ok(DeskChange {
        id: from_sql(row.get(0)?),
        ticket: from_sql(row.get(1)?),
        author: from_json(row, 2)?,
        at: Time(row.get(3)?),
        what: from_json(row, 4)?,
    })
}

fn ticket_in(connection: &Connection, number: i64) -> Result<Option<DeskTicket>, ReadError> {
    Ok(connection
        .prepare_cached(&format!("{TICKET} WHERE number = ?1"))?
        .query_row([number], read_ticket)
        .optional()?)
}

fn add_change(
    connection: &Connection,
    number: i64,
    author: &DeskAuthor,
    at: Time,
    what: &DeskDid,
) -> Result<(), ReadError> {
    connection
        .prepare_cached("INSERT INTO changes (ticket, author, at, what) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![number, to_json(author)?, at.0, to_json(what)?])?;
    Ok(())
}

/// The ticket with the patch, and what that changes.
fn patched(mut ticket: DeskTicket, patch: &DeskPatch) -> (DeskTicket, Vec<DeskDid>) {
    let mut did = Vec::new();
    if let Some(subject) = patch.subject.as_ref().filter(|new| **new != ticket.subject) {
        ticket.subject.clone_from(subject);
        did.push(DeskDid::Subject(subject.clone()));
    }
    if let Some(status) = patch.status.filter(|new| *new != ticket.status) {
        ticket.status = status;
        did.push(DeskDid::Status(status));
    }
    if let Some(severity) = patch.severity.filter(|new| *new != ticket.severity) {
        ticket.severity = severity;
        did.push(DeskDid::Severity(severity));
    }
    if let Some(queue) = patch.queue.as_ref().filter(|new| **new != ticket.queue) {
        ticket.queue.clone_from(queue);
        did.push(DeskDid::Queue(queue.clone()));
    }
    if let Some(owner) = patch.owner.as_ref().filter(|new| **new != ticket.owner) {
        ticket.owner.clone_from(owner);
        did.push(DeskDid::Owner(owner.clone()));
    }
    if let Some(into) = patch
        .merged_into
        .filter(|new| Some(*new) != ticket.merged_into)
    {
        ticket.merged_into = Some(into);
        did.push(DeskDid::MergedInto(into));
    }
    (ticket, did)
}

fn save(connection: &Connection, ticket: &DeskTicket) -> Result<(), ReadError> {
    connection
        .prepare_cached(
            "UPDATE tickets SET subject = ?2, status = ?3, is_over = ?4, severity = ?5, \
             queue = ?6, owner = ?7, merged_into = ?8, changed_at = ?9 WHERE number = ?1",
        )?
        .execute(params![
            to_sql(ticket.number),
            ticket.subject,
            ticket.status.word(),
            ticket.status.is_over(),
            ticket.severity.map(Severity::number),
            ticket.queue,
            ticket.owner,
            ticket.merged_into.map(to_sql),
            ticket.changed_at.0,
        ])?;
    Ok(())
}

fn find_in(connection: &Connection, key: &str) -> Result<Option<DeskTicket>, ReadError> {
    if key.is_empty() {
        return Ok(None);
    }
    Ok(connection
        .prepare_cached(&format!("{TICKET} WHERE key = ?1 AND key <> ''"))?
        .query_row([key], read_ticket)
        .optional()?)
}

impl DeskStore for SqliteDesk {
    fn create(&self, new: &NewDeskTicket) -> Result<DeskCreated, StoreError> {
        self.write(|connection| {
            if let Some(found) = find_in(connection, &new.key)? {
                return Ok(DeskCreated::Found(found.number));
            }
            connection
                .prepare_cached(
                    "INSERT INTO tickets (key, subject, body, status, is_over, severity, queue, \
                     owner, requestor, created_at, changed_at) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, '', ?8, ?9, ?9)",
                )?
                .execute(params![
                    new.key,
                    new.subject,
                    new.body,
                    new.status.word(),
                    new.status.is_over(),
                    new.severity.map(Severity::number),
                    new.queue,
                    new.requestor,
                    new.at.0,
                ])?;
            let number = connection.last_insert_rowid();
            add_change(connection, number, &new.author, new.at, &DeskDid::Created)?;
            Ok(DeskCreated::Made(from_sql(number)))
        })
    }

    fn ticket(&self, number: u64) -> Result<Option<DeskTicket>, StoreError> {
        self.readers
            .with(|connection| ticket_in(connection, to_sql(number)))
    }

    fn find(&self, key: &str) -> Result<Option<DeskTicket>, StoreError> {
        self.readers.with(|connection| find_in(connection, key))
    }

    fn list(
        &self,
        filter: &DeskFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<DeskTicket>, StoreError> {
        let sql = format!(
            "{TICKET} WHERE number < ?1 AND (?2 IS NULL OR is_over <> ?2) \
             AND (?3 IS NULL OR status = ?3) AND (?4 IS NULL OR queue = ?4) \
             AND (?5 IS NULL OR owner = ?5) ORDER BY number DESC LIMIT ?6"
        );
        let params = params![
            before.map_or(i64::MAX, to_sql),
            filter.open,
            filter.status.map(TicketStatus::word),
            filter.queue,
            filter.owner,
            limit_to_sql(limit),
        ];
        self.rows(&sql, params, read_ticket)
    }

    fn update(
        &self,
        number: u64,
        patch: &DeskPatch,
        author: &DeskAuthor,
        at: Time,
    ) -> Result<Option<DeskTicket>, StoreError> {
        self.write(|connection| {
            let Some(before) = ticket_in(connection, to_sql(number))? else {
                return Ok(None);
            };
            let (mut ticket, did) = patched(before, patch);
            if did.is_empty() {
                return Ok(Some(ticket));
            }
            ticket.changed_at = at;
            save(connection, &ticket)?;
            for what in &did {
                add_change(connection, to_sql(number), author, at, what)?;
            }
            Ok(Some(ticket))
        })
    }

    fn comment(&self, number: u64, new: &NewDeskComment) -> Result<Option<u64>, StoreError> {
        self.write(|connection| {
            let ticket = to_sql(number);
            if ticket_in(connection, ticket)?.is_none() {
                return Ok(None);
            }
            let known: Option<i64> = connection
                .prepare_cached(
                    "SELECT id FROM comments WHERE ticket = ?1 AND marker = ?2 AND marker <> ''",
                )?
                .query_row(params![ticket, new.marker], |row| row.get(0))
                .optional()?;
            if let Some(id) = known {
                return Ok(Some(from_sql(id)));
            }
            connection
                .prepare_cached(
                    "INSERT INTO comments (ticket, author, at, public, text, marker) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                )?
                .execute(params![
                    ticket,
                    to_json(&new.author)?,
                    new.at.0,
                    new.public,
                    new.text,
                    new.marker
                ])?;
            let comment = from_sql(connection.last_insert_rowid());
            let (public, text) = (new.public, new.text.clone());
            let what = DeskDid::Commented {
                comment,
                public,
                text,
            };
            add_change(connection, ticket, &new.author, new.at, &what)?;
            connection
                .prepare_cached("UPDATE tickets SET changed_at = ?2 WHERE number = ?1")?
                .execute([ticket, new.at.0])?;
            Ok(Some(comment))
        })
    }

    fn comments(
        &self,
        number: u64,
        after: u64,
        limit: usize,
    ) -> Result<Vec<DeskComment>, StoreError> {
        let sql = "SELECT id, ticket, author, at, public, text, marker FROM comments \
                   WHERE ticket = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
        let params = [to_sql(number), to_sql(after), limit_to_sql(limit)];
        self.rows(sql, params, read_comment)
    }

    fn markers(&self, number: u64) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT marker FROM comments WHERE ticket = ?1 AND marker <> '' ORDER BY id";
        self.rows(sql, [to_sql(number)], |row| row.get(0))
    }

    fn history(
        &self,
        number: u64,
        after: u64,
        limit: usize,
    ) -> Result<Vec<DeskChange>, StoreError> {
        let sql = format!("{CHANGE} WHERE ticket = ?1 AND id > ?2 ORDER BY id LIMIT ?3");
        let params = [to_sql(number), to_sql(after), limit_to_sql(limit)];
        self.rows(&sql, params, read_change)
    }

    fn changes(&self, after: u64, limit: usize) -> Result<Vec<DeskChange>, StoreError> {
        let sql = format!("{CHANGE} WHERE id > ?1 ORDER BY id LIMIT ?2");
        self.rows(&sql, [to_sql(after), limit_to_sql(limit)], read_change)
    }

    fn last_change(&self) -> Result<u64, StoreError> {
        let sql = "SELECT coalesce(max(id), 0) FROM changes";
        let newest = self.rows(sql, [], |row| row.get::<_, i64>(0))?;
        Ok(newest.first().copied().map_or(0, from_sql))
    }
}
