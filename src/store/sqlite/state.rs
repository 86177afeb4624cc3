//! The engine's state in `state.db`. The engine thread alone commits: one transaction holds the
//! effects of a batch and the journal cursor, so both are there or neither is. Everyone reads,
//! through connections that cannot write.
//!
//! Commits are not synced one by one: the state follows from the journal, which is. After a power
//! cut the last batches may be missing, whole; the engine applies them again, to the same effects,
//! and what was done about them in a tracker is known by the attempt's mark in the journal. A sync
//! for each batch would take its time from the acknowledgements.

use super::super::sealing::{Keyring, Keys};
use super::super::{
    AlertBytes, IncidentFilter, LoadedState, StateDelta, StateStore, StoreError, codec,
};
use super::backup::LostTime;
use super::checkpoint::{Checkpointer, Pace};
use super::connection::{
    ReadError, Readers, explain, failed, from_sql, limit_to_sql, locked, open_follower, to_sql,
};
use super::faults::CommitFaults;
use super::migrate::{STATE, migrate};
use super::seal::Place;
use crate::model::Time;
use crate::model::id::{AlertId, IncidentId, TicketId};
use crate::model::incident::TimelineEntry;
use rusqlite::{Connection, OptionalExtension, Params, params};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

/// Kinds of things that only grow; they are listed, not loaded.
const KINDS_NOT_LOADED: [&str; 6] = [
    "audit",
    "correction",
    "notice",
    "quarantine",
    "quarantine_handled",
    "security_over",
];

/// Copies are rare, because the same pages of the indexes change with every batch and need to reach
/// the file only once in between. No commit is synced, so the log is, in steps.
const CHECKPOINTS: Pace = Pace {
    copy_pages: 4000,
    sync_pages: 500,
    log_pages: 8000,
};

/// How the state store behaves.
#[derive(Clone, Debug)]
pub struct StateOptions {
    /// How long a commit waits when someone else has the file's lock.
    pub busy: Duration,
    /// Commits that tests let fail.
    pub faults: CommitFaults,
    /// Keys for what is sensitive.
    pub keys: Keys,
}

impl Default for StateOptions {
    fn default() -> StateOptions {
        StateOptions {
            busy: Duration::from_secs(5),
            faults: CommitFaults::default(),
            keys: Keys::default(),
        }
    }
}

/// The state of one data directory.
pub struct SqliteState {
    pub(super) path: PathBuf,
    pub(super) options: StateOptions,
    pub(super) writer: Mutex<Option<Connection>>,
    pub(super) checkpointer: Checkpointer,
    pub(super) readers: Readers,
}

impl SqliteState {
    /// Opens `state.db` in `dir`, making it if it is missing.
    pub fn open(dir: &Path, options: StateOptions) -> Result<SqliteState, StoreError> {
        super::connection::check_sqlite_version()?;
        let path = dir.join("state.db");
        let mut connection =
            open_follower(&path, options.busy).map_err(|error| explain(&path, &error))?;
        migrate(&mut connection, &path, &STATE)?;
        let checkpointer = Checkpointer::start(&path, CHECKPOINTS, "state-copy")?;
        checkpointer
            .follow(&mut connection)
            .map_err(|error| explain(&path, &error))?;
        let state = SqliteState {
            checkpointer,
            readers: Readers::new(&path),
            writer: Mutex::new(Some(connection)),
            options,
            path,
        };
        state.cursor()?;
        Ok(state)
    }

    /// A word that the store remembers: the installation's generation and the like.
    pub fn word(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.readers
            .with(|connection| super::connection::word(connection, name))
    }

    /// What the last restore or recovery could not know; none: there was none.
    pub fn lost_time(&self) -> Result<Option<LostTime>, StoreError> {
        let text = self.word(super::backup::LOST_TIME)?;
        text.map(|text| LostTime::read(&text)).transpose()
    }

    /// Remembers a word; empty: forgets it. It is synced when this returns.
    pub fn set_word(&self, name: &str, value: &str) -> Result<(), StoreError> {
        self.write(|connection| super::connection::set_word(connection, name, value))?;
        let _alone = self.checkpointer.alone();
        self.readers.with(|connection| {
            connection.query_row("PRAGMA wal_checkpoint(FULL)", [], |_| Ok(()))?;
            Ok(())
        })
    }

    /// One synced transaction. After a failure the connection is opened again next time.
    pub(super) fn write<T>(
        &self,
        job: impl FnOnce(&Connection) -> Result<T, ReadError>,
    ) -> Result<T, StoreError> {
        let mut writer = locked(&self.writer);
        let connection = match writer.take() {
            Some(connection) => connection,
            None => self.open_writer()?,
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
                self.checkpointer.shorten(&connection);
                *writer = Some(connection);
                Ok(value)
            }
            Err(error) => Err(failed(&self.path, error)),
        }
    }

    /// Opens the one connection that writes.
    pub(super) fn open_writer(&self) -> Result<Connection, StoreError> {
        open_follower(&self.path, self.options.busy)
            .and_then(|mut connection| {
                self.checkpointer.follow(&mut connection)?;
                Ok(connection)
            })
            .map_err(|error| explain(&self.path, &error))
    }

    pub(super) fn bodies(
        &self,
        table: &'static str,
        sql: &str,
        params: impl Params,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let keys = self.options.keys.load_full();
        self.readers
            .with(|connection| numbered_bodies(connection, (table, sql), params, &keys))
    }

    fn alert_rows(&self, sql: &str, params: impl Params) -> Result<Vec<AlertBytes>, StoreError> {
        let keys = self.options.keys.load_full();
        self.readers.with(|connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let mut rows = statement.query(params)?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let id: i64 = row.get(0)?;
                let body = Place::number("alerts", id).open(row, 1, 4, &keys)?;
                let text = match row.get_ref(4)? {
                    rusqlite::types::ValueRef::Null => Vec::new(),
                    _ => Place::number("alert_texts", id).open(row, 4, 5, &keys)?,
                };
                found.push((body, text));
            }
            Ok(found)
        })
    }
}

/// Rows of `id, body` and the columns that the body is sealed with.
fn numbered_bodies(
    connection: &Connection,
    (table, sql): (&'static str, &str),
    params: impl Params,
    keys: &Keyring,
) -> Result<Vec<Vec<u8>>, ReadError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let end = row.as_ref().column_count();
        found.push(Place::number(table, row.get(0)?).open(row, 1, end, keys)?);
    }
    Ok(found)
}

/// Rows of `incident, contract, body`.
fn case_bodies(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    keys: &Keyring,
) -> Result<Vec<Vec<u8>>, ReadError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let place = Place {
            table: "cases",
            number: row.get(0)?,
            key: row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?,
        };
        found.push(place.open(row, 2, 3, keys)?);
    }
    Ok(found)
}

/// The journal cursor and the served instant.
pub(super) fn position(connection: &Connection) -> Result<(u64, Time), ReadError> {
    let row: Option<(i64, i64, i64)> = connection
        .prepare_cached("SELECT cursor, served_until, crc FROM position")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    match row {
        None => Err(ReadError::Damaged("the journal cursor is gone".to_owned())),
        Some((cursor, served, sum)) if position_sum(cursor, served) == sum => {
            Ok((from_sql(cursor), Time(served)))
        }
        Some(_) => Err(ReadError::Damaged(
            "the journal cursor does not match its checksum".to_owned(),
        )),
    }
}

pub(super) fn position_sum(cursor: i64, served: i64) -> i64 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&cursor.to_le_bytes());
    hasher.update(&served.to_le_bytes());
    i64::from(hasher.finalize())
}

impl StateStore for SqliteState {
    fn load(&self) -> Result<LoadedState, StoreError> {
        let keys = self.options.keys.load_full();
        self.readers.with(|connection| {
            let snapshot = connection.unchecked_transaction()?;
            let (cursor, served_until) = position(&snapshot)?;
            let live = "IN (SELECT id FROM incidents WHERE live = 1)";
            Ok(LoadedState {
                cursor,
                served_until,
                alerts: numbered_bodies(
                    &snapshot,
                    ("alerts", "SELECT id, body, incident, active FROM alerts ORDER BY id"),
                    [],
                    &keys,
                )?,
                incidents: numbered_bodies(
                    &snapshot,
                    ("incidents", "SELECT id, body, open, live, changed_at FROM incidents WHERE live = 1 ORDER BY id"),
                    [],
                    &keys,
                )?,
                cases: case_bodies(
                    &snapshot,
                    &format!(
                        "SELECT incident, contract, body FROM cases WHERE incident {live} \
                         ORDER BY incident, contract"
                    ),
                    [],
                    &keys,
                )?,
                tickets: numbered_bodies(
                    &snapshot,
                    ("tickets", &format!("SELECT id, body, incident, tracker, work FROM tickets WHERE incident {live} ORDER BY id")),
                    [],
                    &keys,
                )?,
                things: loaded_things(&snapshot, &keys)?,
            })
        })
    }

    fn commit(&self, delta: &StateDelta) -> Result<(), StoreError> {
        let keys = self.options.keys.load_full();
        self.write(|connection| super::state_write::apply(connection, delta, &keys))
    }

    fn incidents(
        &self,
        filter: IncidentFilter,
        before: Option<IncidentId>,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let before = before.map_or(i64::MAX, |id| to_sql(id.0));
        let sql = match filter {
            IncidentFilter::Open => {
                "SELECT id, body, open, live, changed_at FROM incidents WHERE open = 1 AND id < ?1 \
                 ORDER BY id DESC LIMIT ?2"
            }
            IncidentFilter::Closed => {
                "SELECT id, body, open, live, changed_at FROM incidents WHERE open = 0 AND id < ?1 \
                 ORDER BY id DESC LIMIT ?2"
            }
            IncidentFilter::All => {
                "SELECT id, body, open, live, changed_at FROM incidents WHERE id < ?1 ORDER BY id DESC LIMIT ?2"
            }
        };
        self.bodies("incidents", sql, [before, limit_to_sql(limit)])
    }

    fn incident(&self, id: IncidentId) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT id, body, open, live, changed_at FROM incidents WHERE id = ?1";
        Ok(self.bodies("incidents", sql, [to_sql(id.0)])?.pop())
    }

    fn alerts_of(
        &self,
        incident: IncidentId,
        after: Option<AlertId>,
        limit: usize,
    ) -> Result<Vec<AlertBytes>, StoreError> {
        let incident = to_sql(incident.0);
        let Some(after) = after else {
            let sql = "SELECT a.id, a.body, a.incident, a.active, t.body FROM alerts AS a \
                       LEFT JOIN alert_texts AS t USING (id) WHERE a.incident = ?1 \
                       ORDER BY a.active DESC, a.id LIMIT ?2";
            return self.alert_rows(sql, [incident, limit_to_sql(limit)]);
        };
        // Active alerts come first, so "after" depends on whether that alert is active now.
        let sql = "SELECT a.id, a.body, a.incident, a.active, t.body FROM alerts AS a \
                   LEFT JOIN alert_texts AS t USING (id) WHERE a.incident = ?1 \
                   AND (-a.active, a.id) > (SELECT -coalesce(max(active), 0), ?2 FROM alerts \
                   WHERE id = ?2) ORDER BY a.active DESC, a.id LIMIT ?3";
        self.alert_rows(sql, [incident, to_sql(after.0), limit_to_sql(limit)])
    }

    fn alerts(&self, after: Option<AlertId>, limit: usize) -> Result<Vec<AlertBytes>, StoreError> {
        let sql = "SELECT a.id, a.body, a.incident, a.active, t.body FROM alerts AS a \
                   LEFT JOIN alert_texts AS t USING (id) WHERE a.id > ?1 ORDER BY a.id LIMIT ?2";
        let after = after.map_or(-1, |id| to_sql(id.0));
        self.alert_rows(sql, [after, limit_to_sql(limit)])
    }

    fn alert(&self, id: AlertId) -> Result<Option<AlertBytes>, StoreError> {
        let sql = "SELECT a.id, a.body, a.incident, a.active, t.body FROM alerts AS a \
                   LEFT JOIN alert_texts AS t USING (id) WHERE a.id = ?1";
        Ok(self.alert_rows(sql, [to_sql(id.0)])?.pop())
    }

    fn cases_of(&self, incident: IncidentId) -> Result<Vec<Vec<u8>>, StoreError> {
        let keys = self.options.keys.load_full();
        let sql = "SELECT incident, contract, body FROM cases WHERE incident = ?1 \
                   ORDER BY contract";
        self.readers
            .with(|connection| case_bodies(connection, sql, [to_sql(incident.0)], &keys))
    }

    fn cases_of_contract(
        &self,
        contract: &str,
        after: Option<IncidentId>,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let sql = "SELECT incident, contract, body FROM cases WHERE contract = ?1 \
                   AND incident > ?2 ORDER BY incident LIMIT ?3";
        let keys = self.options.keys.load_full();
        let after = after.map_or(-1, |id| to_sql(id.0));
        self.readers.with(|connection| {
            case_bodies(
                connection,
                sql,
                params![contract, after, limit_to_sql(limit)],
                &keys,
            )
        })
    }

    fn tickets_of(&self, incident: IncidentId) -> Result<Vec<Vec<u8>>, StoreError> {
        let sql =
            "SELECT id, body, incident, tracker, work FROM tickets WHERE incident = ?1 ORDER BY id";
        self.bodies("tickets", sql, [to_sql(incident.0)])
    }

    fn ticket(&self, id: TicketId) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT id, body, incident, tracker, work FROM tickets WHERE id = ?1";
        Ok(self.bodies("tickets", sql, [to_sql(id.0)])?.pop())
    }

    fn work(&self, tracker: &str, limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        let sql = "SELECT id, body, incident, tracker, work FROM tickets WHERE tracker = ?1 AND work IS NOT NULL \
                   ORDER BY work, id LIMIT ?2";
        self.bodies("tickets", sql, params![tracker, limit_to_sql(limit)])
    }

    fn tickets(&self, before: Option<TicketId>, limit: usize) -> Result<Vec<Vec<u8>>, StoreError> {
        let sql = "SELECT id, body, incident, tracker, work FROM tickets WHERE id < ?1 ORDER BY id DESC LIMIT ?2";
        let before = before.map_or(i64::MAX, |id| to_sql(id.0));
        self.bodies("tickets", sql, [before, limit_to_sql(limit)])
    }

    fn timeline(
        &self,
        incident: IncidentId,
        after: usize,
        limit: usize,
    ) -> Result<Vec<TimelineEntry>, StoreError> {
        let sql = "SELECT incident, body FROM timeline WHERE incident = ?1 ORDER BY n \
                   LIMIT ?2 OFFSET ?3";
        let params = [to_sql(incident.0), limit_to_sql(limit), limit_to_sql(after)];
        let bodies = self.bodies("timeline", sql, params)?;
        bodies.iter().map(|body| codec::decode(body)).collect()
    }

    fn thing(&self, kind: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let keys = self.options.keys.load_full();
        self.readers.with(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT kind, key, value, changed_at FROM things WHERE kind = ?1 AND key = ?2",
            )?;
            let rows = statement.query(params![kind, key])?;
            Ok(thing_rows(rows, &keys)?
                .into_iter()
                .next()
                .map(|(_, _, value)| value))
        })
    }

    fn things(
        &self,
        kind: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let keys = self.options.keys.load_full();
        self.readers.with(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT kind, key, value, changed_at FROM things WHERE kind = ?1 AND (?2 IS NULL OR key > ?2) \
                 ORDER BY key LIMIT ?3",
            )?;
            let rows = statement.query(params![kind, after, limit_to_sql(limit)])?;
            let found = thing_rows(rows, &keys)?;
            Ok(found
                .into_iter()
                .map(|(_, key, value)| (key, value))
                .collect())
        })
    }

    fn cursor(&self) -> Result<u64, StoreError> {
        self.readers.with(|connection| Ok(position(connection)?.0))
    }
}

/// Kind by kind, so that what only grows is not even read.
fn loaded_things(connection: &Connection, keys: &Keyring) -> Result<Vec<Thing>, ReadError> {
    let mut next = connection.prepare("SELECT min(kind) FROM things WHERE kind > ?1")?;
    let mut rows = connection
        .prepare("SELECT kind, key, value, changed_at FROM things WHERE kind = ?1 ORDER BY key")?;
    let mut found = Vec::new();
    let mut kind = String::new();
    while let Some(later) = next.query_row([&kind], |row| row.get::<_, Option<String>>(0))? {
        kind = later;
        if !KINDS_NOT_LOADED.contains(&kind.as_str()) {
            found.extend(thing_rows(rows.query([&kind])?, keys)?);
        }
    }
    Ok(found)
}

/// Kind, key and value.
type Thing = (String, String, Vec<u8>);

fn thing_rows(mut rows: rusqlite::Rows<'_>, keys: &Keyring) -> Result<Vec<Thing>, ReadError> {
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (kind, key): (String, String) = (row.get(0)?, row.get(1)?);
        let value = super::state_write::thing_place(&kind, &key)
            .place()
            .open(row, 2, 4, keys)?;
        found.push((kind, key, value));
    }
    Ok(found)
}
