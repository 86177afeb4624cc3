//! Brings a database file to the schema of this program: numbered SQL files, each applied once, in
//! one transaction, after a backup of what was there. A newer or foreign file is refused.

use super::super::StoreError;
use super::connection::{damaged, explain, unavailable};
use rusqlite::{Connection, TransactionBehavior, params};
use sha2::{Digest, Sha256};
use std::path::Path;

/// One numbered step. Never changed once released: its checksum is stored.
pub(super) struct Step {
    /// What it does, as its file is named.
    pub(super) name: &'static str,
    /// The SQL.
    pub(super) sql: &'static str,
}

/// One database file's schema.
pub(super) struct Schema {
    /// What the file holds, for people.
    pub(super) what: &'static str,
    /// Marks the file as ours (`PRAGMA application_id`).
    pub(super) application_id: i32,
    /// Steps in order; the n-th leads to version n.
    pub(super) steps: &'static [Step],
}

/// `journal.db`.
pub(super) static JOURNAL: Schema = Schema {
    what: "journal",
    application_id: 0x4142_4a01,
    steps: &[Step {
        name: "journal_0001",
        sql: include_str!("sql/journal_0001.sql"),
    }],
};

/// `state.db`.
pub(super) static STATE: Schema = Schema {
    what: "state",
    application_id: 0x4142_5301,
    steps: &[
        Step {
            name: "state_0001",
            sql: include_str!("sql/state_0001.sql"),
        },
        Step {
            name: "state_0002",
            sql: include_str!("sql/state_0002.sql"),
        },
    ],
};

/// `desk.db`.
pub(super) static DESK: Schema = Schema {
    what: "desk",
    application_id: 0x4142_4401,
    steps: &[Step {
        name: "desk_0001",
        sql: include_str!("sql/desk_0001.sql"),
    }],
};

/// Checks the file and applies what is missing. Run before anything else uses the file.
pub(super) fn migrate(
    connection: &mut Connection,
    path: &Path,
    schema: &Schema,
) -> Result<(), StoreError> {
    let version = check(connection, path, schema)?;
    if version == known(schema) {
        return Ok(());
    }
    if version > 0 {
        back_up(connection, path, version)?;
    }
    apply(connection, schema, version).map_err(|error| explain(path, &error))
}

fn known(schema: &Schema) -> i64 {
    i64::try_from(schema.steps.len()).unwrap_or(i64::MAX)
}

/// Whether the file is ours and as this program or an older one made it; its version.
pub(super) fn check(
    connection: &Connection,
    path: &Path,
    schema: &Schema,
) -> Result<i64, StoreError> {
    let known = known(schema);
    let version = pragma(connection, "user_version").map_err(|error| explain(path, &error))?;
    if version > known {
        return Err(StoreError::Newer {
            file: path.display().to_string(),
            found: version,
            known,
        });
    }
    check_owner(connection, path, schema, version)?;
    check_applied(connection, path, schema, version)?;
    Ok(version)
}

/// The schema of a file of the store.
pub(super) fn schema_of(file: &str) -> &'static Schema {
    match file {
        "journal.db" => &JOURNAL,
        "state.db" => &STATE,
        _ => &DESK,
    }
}

fn pragma(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, name, |row| row.get(0))
}

fn check_owner(
    connection: &Connection,
    path: &Path,
    schema: &Schema,
    version: i64,
) -> Result<(), StoreError> {
    let sqlite = |error: rusqlite::Error| explain(path, &error);
    let owner = pragma(connection, "application_id").map_err(sqlite)?;
    let tables: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(sqlite)?;
    let fresh = version == 0 && tables == 0 && owner == 0;
    if fresh || owner == i64::from(schema.application_id) {
        return Ok(());
    }
    Err(damaged(
        path,
        format!(
            "it is not a {} of alertbridge (application id {owner:#x})",
            schema.what
        ),
    ))
}

fn check_applied(
    connection: &Connection,
    path: &Path,
    schema: &Schema,
    version: i64,
) -> Result<(), StoreError> {
    if version == 0 {
        return Ok(());
    }
    let sqlite = |error: rusqlite::Error| explain(path, &error);
    for (number, step) in (1_i64..=version).zip(schema.steps) {
        let stored: Option<String> = connection
            .query_row(
                "SELECT checksum FROM schema_steps WHERE number = ?1",
                [number],
                |row| row.get(0),
            )
            .map(Some)
            .or_else(|error| match error {
                rusqlite::Error::QueryReturnedNoRows => Ok(None),
                other => Err(other),
            })
            .map_err(sqlite)?;
        if stored.as_deref() != Some(checksum(step.sql).as_str()) {
            return Err(damaged(
                path,
                format!(
                    "schema step {} is not the one that this program has",
                    step.name
                ),
            ));
        }
    }
    Ok(())
}

/// Before a change of schema the file is copied to `backups/`, for the way back.
fn back_up(connection: &Connection, path: &Path, version: i64) -> Result<(), StoreError> {
    let dir = path.parent().unwrap_or(Path::new(".")).join("backups");
    std::fs::create_dir_all(&dir).map_err(|error| unavailable(&dir, &error))?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let copy = dir.join(format!("{name}-version-{version}.db"));
    // A copy that an earlier try left behind is replaced: only a whole one gets the name.
    let partial = dir.join(format!("{name}-version-{version}.partial"));
    if partial.exists() {
        std::fs::remove_file(&partial).map_err(|error| unavailable(&partial, &error))?;
    }
    super::backup::copy_database(connection, path, &partial)?;
    std::fs::rename(&partial, &copy).map_err(|error| unavailable(&copy, &error))?;
    super::backup::sync(&dir)
}

fn apply(connection: &mut Connection, schema: &Schema, version: i64) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(
        "CREATE TABLE IF NOT EXISTS schema_steps (
             number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL
         ) STRICT;",
    )?;
    for (number, step) in (1_i64..).zip(schema.steps) {
        if number <= version {
            continue;
        }
        transaction.execute_batch(step.sql)?;
        transaction.execute(
            "INSERT INTO schema_steps (number, name, checksum) VALUES (?1, ?2, ?3)",
            params![number, step.name, checksum(step.sql)],
        )?;
        transaction.pragma_update(None, "user_version", number)?;
    }
    transaction.pragma_update(None, "application_id", schema.application_id)?;
    transaction.commit()
}

fn checksum(sql: &str) -> String {
    use std::fmt::Write;
    Sha256::digest(sql.as_bytes())
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    static TWO: Schema = Schema {
        what: "journal",
        application_id: 0x4142_4a01,
        steps: &[
            Step {
                name: "journal_0001",
                sql: include_str!("sql/journal_0001.sql"),
            },
            Step {
                name: "journal_0002",
                sql: "ALTER TABLE meta ADD COLUMN extra TEXT",
            },
        ],
    };

    fn open(path: &Path) -> Connection {
        super::super::connection::open_writer(path, Duration::from_secs(1)).unwrap()
    }

    #[test]
    fn an_older_file_is_backed_up_and_migrated_and_a_newer_one_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.db");
        migrate(&mut open(&path), &path, &JOURNAL).unwrap();
        migrate(&mut open(&path), &path, &JOURNAL).unwrap();
        assert!(!dir.path().join("backups").exists());
        // Left behind by a try that was cut off.
        std::fs::create_dir_all(dir.path().join("backups")).unwrap();
        std::fs::write(dir.path().join("backups/journal-version-1.partial"), "x").unwrap();
        std::fs::write(dir.path().join("backups/journal-version-1.db"), "x").unwrap();
        migrate(&mut open(&path), &path, &TWO).unwrap();
        assert!(dir.path().join("backups/journal-version-1.db").exists());
        let refused = migrate(&mut open(&path), &path, &JOURNAL).unwrap_err();
        assert!(
            refused
                .to_string()
                .ends_with("has version 2, this program knows up to 1: use a newer program")
        );
    }

    #[test]
    fn a_foreign_file_and_a_changed_step_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("other.db");
        open(&path).execute_batch("CREATE TABLE t (a)").unwrap();
        let refused = migrate(&mut open(&path), &path, &JOURNAL).unwrap_err();
        assert!(refused.to_string().contains("not a journal of alertbridge"));
        let path = dir.path().join("state.db");
        migrate(&mut open(&path), &path, &STATE).unwrap();
        open(&path)
            .execute("UPDATE schema_steps SET checksum = 'x'", [])
            .unwrap();
        let refused = migrate(&mut open(&path), &path, &STATE).unwrap_err();
        assert!(refused.to_string().contains("schema step state_0001"));
    }
}
