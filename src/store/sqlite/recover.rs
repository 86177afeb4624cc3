//! Keeps what is readable of a damaged store. The files as they were are set aside first, whole;
//! then each row that matches its checksum goes into new files. What is lost is listed, an input
//! that was acknowledged and is lost leaves a row that makes the engine open a ticket for a person,
//! and delivery is held until someone has looked.

use super::acked;
use super::backup::{FILES, GENERATION, LostTime, RESTORED, sync};
use super::connection::{
    ReadError, explain, failed, from_sql, open_reader, open_writer, set_word, to_sql, unavailable,
    word,
};
use super::lock::DirectoryLock;
use super::migrate::{STATE, migrate, schema_of};
use super::row::{INSERT_INPUT, INSERT_RAW, NewRow};
use super::state::position;
use super::verify::{Table, sentence, tables_of};
use crate::model::{IncidentId, Input, Time};
use crate::store::sealing::Keyring;
use crate::store::{NewInput, StoreError};
use rusqlite::types::Value;
use rusqlite::{Connection, Statement, params_from_iter};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Most lost inputs that each get a row of their own.
const FILLED_MAX: u64 = 100_000;
/// Longest stretch of numbers that is skipped over.
const JUMP_MAX: i64 = 1 << 40;
/// Things without which the engine's other rows mean nothing.
const ESSENTIAL: [&str; 2] = ["symbol", "scalars"];

/// What a recovery did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Where the files as they were, and the list `lost.jsonl`, are.
    pub aside: PathBuf,
    /// Rows that were kept.
    pub kept: u64,
    /// What could not be kept; also in the list, with the bytes.
    pub lost: Vec<SetAside>,
    /// The engine's state was lost: it is rebuilt from the journal at the next start.
    pub state_rebuilt: bool,
}

/// One row, or stretch of rows, that could not be kept.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SetAside {
    /// The file.
    pub file: &'static str,
    /// The table; empty: the whole file.
    pub table: &'static str,
    /// The row's key, as far as it is known.
    pub key: String,
    /// What is wrong with it.
    pub reason: String,
    /// Its columns, as far as they can be read; bytes as hexadecimal digits.
    pub columns: Vec<String>,
}

/// Recovers the store in `dir`, which no daemon may use. `name` tells this recovery from others;
/// `generation` is used if the store's own is lost.
pub fn recover(dir: &Path, name: &str, generation: &str) -> Result<Recovered, StoreError> {
    let lock = DirectoryLock::acquire(dir)?;
    let aside = dir.join(format!("recovered-{name}"));
    set_aside(dir, &aside)?;
    let mut done = Recovered {
        aside,
        ..Recovered::default()
    };
    let acknowledged = acked::read(&acked::path_of(&dir.join("journal.db"))).unwrap_or(0);
    let [state, journal, desk] = FILES.map(|file| dir.join(format!("{file}.recovering")));
    for path in [&state, &journal, &desk] {
        let _ = std::fs::remove_file(path);
    }
    copy(dir, "state.db", &state, &mut done)?;
    copy(dir, "journal.db", &journal, &mut done)?;
    copy(dir, "desk.db", &desk, &mut done)?;
    let cursor = finish_state(dir, &state, generation, &mut done)?;
    finish_journal(&journal, cursor, acknowledged, &mut done)?;
    finish_desk(dir, &desk)?;
    if !done.lost.is_empty() {
        let note = format!("recovery {}", done.aside.display());
        write(&state, |connection| {
            LostTime::write(connection, String::new(), IncidentId(0))?;
            set_word(connection, RESTORED, &note)
        })?;
    }
    write_list(&done)?;
    put_in_place(dir)?;
    drop(lock);
    Ok(done)
}

/// Copies the files as they are, logs and marks included.
fn set_aside(dir: &Path, aside: &Path) -> Result<(), StoreError> {
    if aside.exists() {
        return Err(unavailable(
            aside,
            &"a recovery of this name is there already",
        ));
    }
    super::lock::make(aside).map_err(|error| unavailable(aside, &error))?;
    for path in FILES.iter().flat_map(|file| parts_of(&dir.join(file))) {
        if let Some(name) = path.file_name().filter(|_| path.is_file()) {
            let to = aside.join(name);
            std::fs::copy(&path, &to).map_err(|error| unavailable(&to, &error))?;
            sync(&to)?;
        }
    }
    sync(aside)
}

/// A database, its log, the log's index, and its mark.
fn parts_of(database: &Path) -> [PathBuf; 4] {
    let with = |end: &str| {
        let mut name = database.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    [
        database.to_owned(),
        with("-wal"),
        with("-shm"),
        acked::path_of(database),
    ]
}

fn write<T>(
    path: &Path,
    job: impl FnOnce(&Connection) -> Result<T, ReadError>,
) -> Result<T, StoreError> {
    let attempt = || -> Result<T, ReadError> {
        let mut connection = open_writer(path, Duration::from_secs(5))?;
        let transaction = connection.transaction()?;
        let value = job(&transaction)?;
        transaction.commit()?;
        connection.close().map_err(|(_, error)| error)?;
        Ok(value)
    };
    attempt().map_err(|error| failed(path, error))
}

/// Copies what is sound of one file into a new one.
fn copy(
    dir: &Path,
    file: &'static str,
    target: &Path,
    done: &mut Recovered,
) -> Result<(), StoreError> {
    let schema = schema_of(file);
    let mut to = open_writer(target, Duration::from_secs(5)).map_err(|e| explain(target, &e))?;
    migrate(&mut to, target, schema)?;
    drop(to);
    let source = dir.join(file);
    let from = if source.is_file() {
        open_reader(&source).map_err(|error| error.to_string())
    } else {
        Err("the file is missing".to_owned())
    };
    let from = from.and_then(|from| {
        let owner = from.pragma_query_value(None, "application_id", |row| row.get::<_, i32>(0));
        match owner {
            Ok(owner) if owner == schema.application_id => Ok(from),
            Ok(owner) => Err(format!("it is not ours (application id {owner:#x})")),
            Err(error) => Err(error.to_string()),
        }
    });
    let from = match from {
        Ok(from) => from,
        Err(reason) => {
            done.lose(file, "", String::new(), reason, Vec::new());
            return Ok(());
        }
    };
    write(target, |to| {
        for table in tables_of(file) {
            if table.name == "position" {
                to.execute("DELETE FROM position", [])?;
            }
            copy_table(&from, to, file, table, done)?;
        }
        Ok(())
    })
}

/// The statements by which one table is copied.
struct Copying<'a> {
    /// The key and all columns of the row after a key.
    next: Statement<'a>,
    /// What the table's check reads, of the row with a key.
    check: Statement<'a>,
    /// Writes all columns.
    insert: Statement<'a>,
    columns: usize,
}

impl<'a> Copying<'a> {
    /// The error is that of the damaged file.
    fn prepare(
        from: &'a Connection,
        to: &'a Connection,
        table: &Table,
    ) -> Result<rusqlite::Result<Copying<'a>>, ReadError> {
        let columns: Vec<String> = to
            .prepare(&format!("SELECT * FROM {}", table.name))?
            .column_names()
            .map(str::to_owned)
            .collect();
        let (name, key, all) = (table.name, table.key.join(", "), columns.join(", "));
        let marks = |count: usize| vec!["?"; count].join(", ");
        let of_key = marks(table.key.len());
        let next = from.prepare(&format!(
            "SELECT {key}, {all} FROM {name} WHERE ({key}) > ({of_key}) ORDER BY {key} LIMIT 1"
        ));
        let check = from.prepare(&format!(
            "SELECT {} FROM {name} WHERE ({key}) = ({of_key})",
            table.columns
        ));
        let insert = to.prepare(&format!(
            "INSERT OR IGNORE INTO {name} ({all}) VALUES ({})",
            marks(columns.len())
        ))?;
        Ok(next.and_then(|next| {
            Ok(Copying {
                next,
                check: check?,
                insert,
                columns: columns.len(),
            })
        }))
    }

    /// Key and columns of the row after a key.
    fn after(&mut self, at: &[Value]) -> rusqlite::Result<(Vec<Value>, Vec<Value>)> {
        let count = at.len() + self.columns;
        self.next.query_row(params_from_iter(at), |row| {
            let mut key = (0..count)
                .map(|index| row.get::<_, Value>(index))
                .collect::<rusqlite::Result<Vec<_>>>()?;
            let columns = key.split_off(at.len());
            Ok((key, columns))
        })
    }

    /// What is wrong with the row of a key, if anything.
    fn wrong(&mut self, table: &Table, key: &[Value]) -> Option<String> {
        let checked = self
            .check
            .query_row(params_from_iter(key), |row| Ok((table.check)(row)));
        match checked {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(sentence(&error)),
            Err(error) => Some(error.to_string()),
        }
    }
}

/// Row by row in the order of the key; past what cannot be read, if there is a way.
fn copy_table(
    from: &Connection,
    to: &Connection,
    file: &'static str,
    table: &Table,
    done: &mut Recovered,
) -> Result<(), ReadError> {
    let mut copying = match Copying::prepare(from, to, table)? {
        Ok(copying) => copying,
        Err(error) => {
            let reason = error.to_string();
            done.lose(file, table.name, String::new(), reason, Vec::new());
            return Ok(());
        }
    };
    let mut at: Vec<Value> = vec![first_key(table); table.key.len()];
    let mut jump: i64 = 1;
    loop {
        match copying.after(&at) {
            Ok((key, columns)) => {
                (at, jump) = (key, 1);
                if let Some(reason) = copying.wrong(table, &at) {
                    let shown = columns.iter().map(shown).collect();
                    done.lose(file, table.name, shown_key(&at), reason, shown);
                } else {
                    copying.insert.execute(params_from_iter(&columns))?;
                    done.kept += 1;
                }
            }
            Err(rusqlite::Error::QueryReturnedNoRows) => return Ok(()),
            Err(error) => {
                if jump == 1 {
                    let after = format!("after {}", shown_key(&at));
                    done.lose(file, table.name, after, error.to_string(), Vec::new());
                }
                match further(&at, jump) {
                    Some(further) => at = further,
                    None => return Ok(()),
                }
                jump = jump.saturating_mul(2);
            }
        }
    }
}

/// Numbers can be skipped over; after a text nobody knows what comes next.
fn further(at: &[Value], jump: i64) -> Option<Vec<Value>> {
    let [Value::Integer(number)] = at else {
        return None;
    };
    let further = number.max(&0).checked_add(jump)?;
    (jump <= JUMP_MAX).then(|| vec![Value::Integer(further)])
}

fn first_key(table: &Table) -> Value {
    // Less than any key: numbers sort before texts, and no key is negative.
    match table.key {
        [_] => Value::Integer(-1),
        _ => Value::Integer(i64::MIN),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

fn shown_key(values: &[Value]) -> String {
    values.iter().map(shown).collect::<Vec<_>>().join(" ")
}

impl Recovered {
    fn lose(
        &mut self,
        file: &'static str,
        table: &'static str,
        key: String,
        reason: String,
        columns: Vec<String>,
    ) {
        self.lost.push(SetAside {
            file,
            table,
            key,
            reason,
            columns,
        });
    }

    /// Whether the engine's rows cannot be understood, or not be placed in the journal.
    fn lost_state(&self) -> bool {
        self.lost.iter().any(|lost| {
            let essential = || ESSENTIAL.iter().any(|kind| lost.key.starts_with(kind));
            let stretch = || lost.columns.is_empty();
            lost.file == "state.db"
                && match lost.table {
                    "" | "position" => true,
                    "things" => essential() || stretch(),
                    _ => false,
                }
        })
    }
}

/// The cursor of the state as it will be.
fn finish_state(
    dir: &Path,
    state: &Path,
    generation: &str,
    done: &mut Recovered,
) -> Result<u64, StoreError> {
    let cursor = write(state, position);
    if let (false, Ok((cursor, _))) = (done.lost_state(), &cursor) {
        write(state, |connection| match word(connection, GENERATION)? {
            Some(_) => Ok(()),
            None => set_word(connection, GENERATION, generation),
        })?;
        return Ok(*cursor);
    }
    done.state_rebuilt = true;
    let known = open_reader(&dir.join("state.db"))
        .ok()
        .and_then(|old| word(&old, GENERATION).ok().flatten());
    std::fs::remove_file(state).map_err(|error| unavailable(state, &error))?;
    let mut connection =
        open_writer(state, Duration::from_secs(5)).map_err(|error| explain(state, &error))?;
    migrate(&mut connection, state, &STATE)?;
    drop(connection);
    let generation = known.as_deref().unwrap_or(generation);
    write(state, |connection| {
        set_word(connection, GENERATION, generation)
    })?;
    if !done.lost.iter().any(|lost| lost.file == "state.db") {
        let reason = "the journal cursor cannot be read".to_owned();
        done.lose("state.db", "position", String::new(), reason, Vec::new());
    }
    Ok(0)
}

/// Puts a row where an acknowledged input is lost, so that places have no gaps and a person hears
/// of it.
fn finish_journal(
    journal: &Path,
    cursor: u64,
    acknowledged: u64,
    done: &mut Recovered,
) -> Result<(), StoreError> {
    let (filled, kept_from) = write(journal, |connection| {
        let from = super::trim::kept_from(connection)?;
        let last = super::writer::last_place(connection)?;
        let end = last.max(cursor).max(acknowledged);
        let mut missing = Vec::new();
        let mut before = from.saturating_sub(1);
        let mut statement =
            connection.prepare("SELECT seq FROM inputs WHERE seq >= ?1 ORDER BY seq")?;
        let mut rows = statement.query([to_sql(from)])?;
        while let Some(row) = rows.next()? {
            let seq = from_sql(row.get(0)?);
            if seq > before + 1 {
                missing.push((before + 1, seq - 1));
            }
            before = seq;
        }
        if end > before {
            missing.push((before + 1, end));
        }
        fill(connection, missing)
    })?;
    for (first, last) in filled {
        let key = format!("{first} to {last}");
        let reason = "acknowledged inputs are missing".to_owned();
        done.lose("journal.db", "inputs", key, reason, Vec::new());
    }
    if let Some(from) = kept_from {
        let reason = format!("too much is missing: the journal begins at {from} now");
        done.lose("journal.db", "inputs", String::new(), reason, Vec::new());
    }
    Ok(())
}

type Filled = (Vec<(u64, u64)>, Option<u64>);

fn fill(connection: &Connection, missing: Vec<(u64, u64)>) -> Result<Filled, ReadError> {
    let at = Time::from_timestamp(jiff::Timestamp::now());
    let mut inputs = connection.prepare_cached(INSERT_INPUT)?;
    let mut raws = connection.prepare_cached(INSERT_RAW)?;
    let mut left = FILLED_MAX;
    let mut kept_from = None;
    for (first, last) in missing.iter().rev() {
        let from = (*first).max((last + 1).saturating_sub(left));
        for seq in from..=*last {
            // One for a person; the others only hold their places.
            let input = if seq == from {
                let reason = format!(
                    "the journal was damaged; what the inputs {first} to {last} said is lost"
                );
                Input::Poisoned { seq, reason }
            } else {
                Input::Due
            };
            let new = NewInput {
                at,
                input,
                raw: None,
            };
            let row = NewRow::encode(new, &Keyring::default())?;
            row.insert(seq, &mut inputs, &mut raws)?;
        }
        left -= last + 1 - from;
        if from > *first {
            connection.execute("DELETE FROM inputs WHERE seq < ?1", [to_sql(from)])?;
            set_word(connection, super::trim::KEPT_FROM, &from.to_string())?;
            kept_from = Some(from);
            break;
        }
    }
    Ok((missing, kept_from))
}

/// Numbers that were given out are not given out again. Each write adds a change, so no number is
/// larger than the last change's.
fn finish_desk(dir: &Path, desk: &Path) -> Result<(), StoreError> {
    let last = acked::read(&acked::path_of(&dir.join("desk.db"))).unwrap_or(0);
    write(desk, |connection| {
        for table in ["tickets", "comments", "changes"] {
            let known = super::desk_row::last_id(connection, table)?;
            connection.execute("DELETE FROM sqlite_sequence WHERE name = ?1", [table])?;
            connection.execute(
                "INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)",
                (table, known.max(to_sql(last))),
            )?;
        }
        Ok(())
    })
}

fn write_list(done: &Recovered) -> Result<(), StoreError> {
    let path = done.aside.join("lost.jsonl");
    let list = || -> std::io::Result<()> {
        let mut file = File::create(&path)?;
        for lost in &done.lost {
            writeln!(file, "{}", serde_json::to_string(lost)?)?;
        }
        file.sync_all()
    };
    list().map_err(|error| unavailable(&path, &error))?;
    sync(&done.aside)
}

/// The state comes last: without it what is there is refused as incomplete.
fn put_in_place(dir: &Path) -> Result<(), StoreError> {
    for file in FILES.into_iter().rev() {
        let path = dir.join(file);
        let new = dir.join(format!("{file}.recovering"));
        sync(&new)?;
        for old in parts_of(&path) {
            match std::fs::remove_file(&old) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(unavailable(&old, &error));
                }
                _ => {}
            }
        }
        std::fs::rename(&new, &path).map_err(|error| unavailable(&path, &error))?;
    }
    sync(dir)
}
