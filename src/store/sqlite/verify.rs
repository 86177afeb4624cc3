//! Reads a whole store and compares every row with its checksum, every index with its table, and
//! the files with each other. Changes nothing; also while a daemon uses the store.

use super::backup::{FILES, with_reader};
use super::connection::ReadError;
use super::lock::DirectoryLock;
use super::row::{check_input, check_raw};
use super::seal::{Place, check_row};
use super::state::position;
use super::state_write::thing_place;
use super::{acked, trim, writer};
use crate::store::StoreError;
use rusqlite::{Connection, Row};
use std::path::Path;

/// Most problems that are listed; the rest is counted.
const PROBLEMS_MAX: usize = 1000;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Rows that were read.
    pub rows: u64,
    /// What is wrong, a sentence each; at most a thousand.
    pub problems: Vec<String>,
    /// How many things are wrong.
    pub problem_count: u64,
}

impl Verified {
    fn problem(&mut self, file: &str, text: &str) {
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(format!("{file}: {text}"));
        }
    }
}

/// A table with checksums, and how to check a row of it.
pub(super) struct Table {
    /// Its name.
    pub(super) name: &'static str,
    /// What [`Table::check`] reads.
    pub(super) columns: &'static str,
    /// Its primary key.
    pub(super) key: &'static [&'static str],
    /// Says what is wrong with a row.
    pub(super) check: fn(&Row<'_>) -> Result<(), ReadError>,
}

const fn table(
    name: &'static str,
    columns: &'static str,
    key: &'static [&'static str],
    check: fn(&Row<'_>) -> Result<(), ReadError>,
) -> Table {
    Table {
        name,
        columns,
        key,
        check,
    }
}

static JOURNAL_TABLES: &[Table] = &[
    table(
        "inputs",
        "seq, at, kind, version, key_id, source, payload, crc",
        &["seq"],
        |row| check_input(row).map(drop),
    ),
    table(
        "raw",
        "at, keep, key_id, size, body, crc, seq",
        &["seq"],
        |row| check_raw(super::connection::from_sql(row.get(6)?), row),
    ),
    table(
        "marks",
        "space, key, at, value, crc",
        &["space", "key"],
        |row| check_row("marks", row),
    ),
];

static STATE_TABLES: &[Table] = &[
    table("meta", "name, value, crc", &["name"], |row| {
        check_row("meta", row)
    }),
    table("position", "one", &["one"], |_| Ok(())),
    table("alerts", "id, body, incident, active", &["id"], |row| {
        numbered("alerts", row)
    }),
    table("alert_texts", "id, body", &["id"], |row| {
        numbered("alert_texts", row)
    }),
    table(
        "incidents",
        "id, body, open, live, changed_at",
        &["id"],
        |row| numbered("incidents", row),
    ),
    table(
        "cases",
        "incident, contract, body",
        &["incident", "contract"],
        |row| {
            let place = Place {
                table: "cases",
                number: row.get(0)?,
                key: row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?,
            };
            place.is_plain(row, 2, 3).map(drop)
        },
    ),
    table(
        "tickets",
        "id, body, incident, tracker, work",
        &["id"],
        |row| numbered("tickets", row),
    ),
    table("timeline", "incident, body", &["n"], |row| {
        numbered("timeline", row)
    }),
    table(
        "things",
        "kind, key, value, changed_at",
        &["kind", "key"],
        |row| {
            let (kind, key): (String, String) = (row.get(0)?, row.get(1)?);
            let name = thing_place(&kind, &key);
            name.place().is_plain(row, 2, 4).map(drop)
        },
    ),
];

static DESK_TABLES: &[Table] = &[
    table("meta", "name, value, crc", &["name"], |row| {
        check_row("meta", row)
    }),
    table(
        "tickets",
        "number, key, subject, body, status, is_over, severity, queue, owner, requestor, \
         merged_into, created_at, changed_at, crc",
        &["number"],
        |row| check_row("tickets", row),
    ),
    table(
        "comments",
        "id, ticket, author, at, public, text, marker, crc",
        &["id"],
        |row| check_row("comments", row),
    ),
    table(
        "changes",
        "id, ticket, author, at, what, crc",
        &["id"],
        |row| check_row("changes", row),
    ),
];

/// The tables of a file.
pub(super) fn tables_of(file: &str) -> &'static [Table] {
    match file {
        "journal.db" => JOURNAL_TABLES,
        "state.db" => STATE_TABLES,
        _ => DESK_TABLES,
    }
}

fn numbered(table: &'static str, row: &Row<'_>) -> Result<(), ReadError> {
    let end = row.as_ref().column_count();
    Place::number(table, row.get(0)?)
        .is_plain(row, 1, end)
        .map(drop)
}

/// What a reading failure says, for a list.
pub(super) fn sentence(error: &ReadError) -> String {
    match error {
        ReadError::Sqlite(error) => error.to_string(),
        ReadError::Damaged(reason) => reason.clone(),
        ReadError::Store(error) => error.to_string(),
    }
}

/// Reads all of a store, or of a backup of one.
pub fn verify(dir: &Path) -> Result<Verified, StoreError> {
    let mut found = Verified::default();
    // In use: its logs change under our eyes, and whoever uses them has looked at them.
    let lock = DirectoryLock::acquire_if_there(dir);
    if lock.is_some() {
        for name in FILES {
            if let Err(error) = super::wal::check(&dir.join(name)) {
                found.problem(name, &error.to_string());
            }
        }
    }
    // The state first: what it speaks of is in the journal by then, also while both grow.
    let mut cursor = 0;
    // Read before the journal is: what was acknowledged by now is in it.
    let acked = acked::read(&acked::path_of(&dir.join("journal.db")));
    for name in FILES {
        let path = dir.join(name);
        if !path.is_file() {
            found.problem(name, "the file is missing");
            continue;
        }
        let read = with_reader(&path, |connection| {
            let snapshot = connection.unchecked_transaction()?;
            super::migrate::check(&snapshot, &path, super::migrate::schema_of(name))?;
            file(&snapshot, name, &mut found);
            match name {
                "state.db" => cursor = position(&snapshot)?.0,
                "journal.db" => journal(&snapshot, (cursor, acked), &mut found)?,
                _ => {}
            }
            Ok(())
        });
        match read {
            Err(StoreError::Damaged { reason, .. }) => found.problem(name, &reason),
            // Read, but not understood: a table or a step that is not there.
            Err(StoreError::Unavailable { reason, .. }) => found.problem(name, &reason),
            other => other?,
        }
    }
    Ok(found)
}

fn file(connection: &Connection, name: &str, found: &mut Verified) {
    match integrity(connection) {
        Ok(problems) => problems.iter().for_each(|text| found.problem(name, text)),
        Err(error) => found.problem(name, &error.to_string()),
    }
    for table in tables_of(name) {
        if let Err(error) = rows(connection, name, table, found) {
            found.problem(name, &format!("`{}`: {error}", table.name));
        }
    }
}

fn integrity(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare("PRAGMA integrity_check(100)")?;
    let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
    lines
        .filter(|line| line.as_ref().map_or(true, |line| line != "ok"))
        .collect()
}

fn rows(
    connection: &Connection,
    file: &str,
    table: &Table,
    found: &mut Verified,
) -> rusqlite::Result<()> {
    let sql = format!("SELECT {} FROM {}", table.columns, table.name);
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        found.rows += 1;
        if let Err(error) = (table.check)(row) {
            found.problem(file, &sentence(&error));
        }
    }
    Ok(())
}

/// Places without gaps, up to what was applied and acknowledged.
fn journal(
    connection: &Connection,
    (cursor, acked): (u64, Option<u64>),
    found: &mut Verified,
) -> Result<(), ReadError> {
    let kept_from = trim::kept_from(connection)?;
    let last = writer::last_place(connection)?;
    let count: i64 = connection.query_row(
        "SELECT count(*) FROM inputs WHERE seq >= ?1",
        [super::connection::to_sql(kept_from)],
        |row| row.get(0),
    )?;
    let wanted = (last + 1).saturating_sub(kept_from);
    if super::connection::from_sql(count) != wanted {
        let text =
            format!("{wanted} inputs from {kept_from} to {last} are expected, {count} stand there");
        found.problem("journal.db", &text);
    }
    if cursor > last {
        let text = format!("it ends at {last}, but inputs up to {cursor} were applied");
        found.problem("journal.db", &text);
    }
    if let Some(acked) = acked.filter(|acked| *acked > last) {
        let text = format!("it ends at {last}, but inputs up to {acked} were acknowledged");
        found.problem("journal.db", &text);
    }
    Ok(())
}
