//! The built-in desk's tickets in `desk.db`. Each write is one synced transaction that also adds
//! the history, so a poller that follows the change ids misses nothing.

use super::super::StoreError;
use super::super::desk_store::{
    DeskAuthor, DeskChange, DeskComment, DeskCreated, DeskDid, DeskFilter, DeskPatch, DeskStore,
    DeskTicket, NewDeskComment, NewDeskTicket,
};
use super::super::sealing::{Keyring, Keys};
use super::acked::Acked;
use super::connection::{
    ReadError, Readers, explain, failed, from_sql, limit_to_sql, locked, open_writer, to_sql,
};
use super::desk_row::{
    CHANGE, COMMENT, TICKET, add_change, add_comment, find_in, last_id, read_change, read_comment,
    read_ticket, save, ticket_in,
};
use super::faults::CommitFaults;
use super::migrate::{DESK, migrate};
use crate::model::Time;
use crate::model::ticket::TicketStatus;
use rusqlite::{Connection, OptionalExtension, Params, Row, params};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

/// How the desk behaves.
#[derive(Clone, Debug)]
pub struct DeskOptions {
    /// How long a write waits when someone else has the file's lock.
    pub busy: Duration,
    /// Commits that tests let fail.
    pub faults: CommitFaults,
    /// Keys for what people write.
    pub keys: Keys,
}

impl Default for DeskOptions {
    fn default() -> DeskOptions {
        DeskOptions {
            busy: Duration::from_secs(5),
            faults: CommitFaults::default(),
            keys: Keys::default(),
        }
    }
}

/// The desk of one data directory.
pub struct SqliteDesk {
    path: PathBuf,
    options: DeskOptions,
    acked: Acked,
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
        let last = last_id(&connection, "changes").map_err(|error| failed(&path, error))?;
        Ok(SqliteDesk {
            acked: Acked::open(&path, from_sql(last), "changes")?,
            readers: Readers::new(&path),
            writer: Mutex::new(Some(connection)),
            options,
            path,
        })
    }

    fn write<T>(
        &self,
        job: impl FnOnce(&Connection, &Keyring) -> Result<T, ReadError>,
    ) -> Result<T, StoreError> {
        let keys = self.options.keys.load_full();
        let mut writer = locked(&self.writer);
        let connection = match writer.take() {
            Some(connection) => connection,
            None => open_writer(&self.path, self.options.busy)
                .map_err(|error| explain(&self.path, &error))?,
        };
        let done = (|| {
            connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
            let value = job(&connection, &keys)?;
            let last = last_id(&connection, "changes")?;
            self.options.faults.check(&self.path)?;
            connection.prepare_cached("COMMIT")?.execute([])?;
            Ok((value, last))
        })();
        match done {
            Ok((value, last)) => {
                self.acked.raise(from_sql(last));
                *writer = Some(connection);
                Ok(value)
            }
            Err(error) => Err(failed(&self.path, error)),
        }
    }

    fn rows<T>(
        &self,
        sql: &str,
        params: impl Params,
        mut read: impl FnMut(&Row<'_>, &Keyring) -> Result<T, ReadError>,
    ) -> Result<Vec<T>, StoreError> {
        let keys = self.options.keys.load_full();
        self.readers.with(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params)?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(read(row, &keys)?);
            }
            Ok(found)
        })
    }
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

impl DeskStore for SqliteDesk {
    fn create(&self, new: &NewDeskTicket) -> Result<DeskCreated, StoreError> {
        self.write(|connection, keys| {
            if let Some(found) = find_in(connection, &new.key, keys)? {
                return Ok(DeskCreated::Found(found.number));
            }
            let number = last_id(connection, "tickets")? + 1;
            let ticket = DeskTicket {
                number: from_sql(number),
                key: new.key.clone(),
                subject: new.subject.clone(),
                body: new.body.clone(),
                status: new.status,
                severity: new.severity,
                queue: new.queue.clone(),
                owner: String::new(),
                requestor: new.requestor.clone(),
                merged_into: None,
                created_at: new.at,
                changed_at: new.at,
            };
            save(connection, &ticket, keys)?;
            let by = (&new.author, new.at);
            add_change(connection, number, by, &DeskDid::Created, keys)?;
            Ok(DeskCreated::Made(from_sql(number)))
        })
    }

    fn ticket(&self, number: u64) -> Result<Option<DeskTicket>, StoreError> {
        let keys = self.options.keys.load_full();
        self.readers
            .with(|connection| ticket_in(connection, to_sql(number), &keys))
    }

    fn find(&self, key: &str) -> Result<Option<DeskTicket>, StoreError> {
        let keys = self.options.keys.load_full();
        self.readers
            .with(|connection| find_in(connection, key, &keys))
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
        self.write(|connection, keys| {
            let Some(before) = ticket_in(connection, to_sql(number), keys)? else {
                return Ok(None);
            };
            let (mut ticket, did) = patched(before, patch);
            if did.is_empty() {
                return Ok(Some(ticket));
            }
            ticket.changed_at = at;
            save(connection, &ticket, keys)?;
            for what in &did {
                add_change(connection, to_sql(number), (author, at), what, keys)?;
            }
            Ok(Some(ticket))
        })
    }

    fn comment(&self, number: u64, new: &NewDeskComment) -> Result<Option<u64>, StoreError> {
        self.write(|connection, keys| {
            let ticket = to_sql(number);
            let Some(before) = ticket_in(connection, ticket, keys)? else {
                return Ok(None);
            };
            let known: Option<i64> = connection
                .prepare_cached(
                    "SELECT id FROM comments WHERE ticket = ?1 AND marker = ?2 AND marker <> ''",
                )?
                .query_row(params![ticket, new.marker], |row| row.get(0))
                .optional()?;
            if let Some(id) = known {
                return Ok(Some(from_sql(id)));
            }
            let comment = from_sql(add_comment(connection, ticket, new, keys)?);
            let (public, text) = (new.public, new.text.clone());
            let what = DeskDid::Commented {
                comment,
                public,
                text,
            };
            add_change(connection, ticket, (&new.author, new.at), &what, keys)?;
            let changed_at = new.at;
            save(
                connection,
                &DeskTicket {
                    changed_at,
                    ..before
                },
                keys,
            )?;
            Ok(Some(comment))
        })
    }

    fn comments(
        &self,
        number: u64,
        after: u64,
        limit: usize,
    ) -> Result<Vec<DeskComment>, StoreError> {
        let sql = format!("{COMMENT} WHERE ticket = ?1 AND id > ?2 ORDER BY id LIMIT ?3");
        let params = [to_sql(number), to_sql(after), limit_to_sql(limit)];
        self.rows(&sql, params, read_comment)
    }

    fn markers(&self, number: u64) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT marker FROM comments WHERE ticket = ?1 AND marker <> '' ORDER BY id";
        self.rows(sql, [to_sql(number)], |row, _| Ok(row.get(0)?))
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
        let newest = self.rows(sql, [], |row, _| Ok(row.get::<_, i64>(0)?))?;
        Ok(newest.first().copied().map_or(0, from_sql))
    }
}
