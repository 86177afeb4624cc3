//! A disk that is full, read-only or locked: refused with the reason, nothing acknowledged lost,
//! and on again by itself.

use crate::support::{Mount, append, keys, open, runtime};
use alertbridge::store::sqlite::{JournalOptions, SqliteStore, StateOptions, StoreOptions};
use alertbridge::store::{Journal, StateDelta, StateStore, StoreError};
use std::time::Duration;

/// The budget is what refuses first, normally; here the disk itself has to.
fn without_budget() -> StoreOptions {
    StoreOptions {
        journal: JournalOptions {
            backlog_disk_percent_max: 100_000,
            backlog_share_percent: 100,
            ..JournalOptions::default()
        },
        ..StoreOptions::default()
    }
}

#[test]
fn a_full_disk_is_refused_and_filled_again_when_there_is_room() {
    let Some(disk) = Mount::tmpfs("full disk", "8m") else {
        return;
    };
    let ballast = disk.path.join("ballast");
    std::fs::write(&ballast, vec![1; 4 << 20]).unwrap();
    let dir = disk.path.join("data");
    let runtime = runtime();
    let store = SqliteStore::open(&dir, without_budget(), "g").unwrap();
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for n in 0..200 {
        let key = format!("k{n}");
        match append(&store, &runtime, &key, 50_000) {
            Ok(place) => {
                acknowledged.push(key);
                assert_eq!(place, acknowledged.len() as u64);
            }
            Err(StoreError::Unavailable { what, reason }) => {
                assert!(what.ends_with("journal.db"), "{what}");
                assert!(reason.contains("full"), "{reason}");
                refused += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(acknowledged.len() > 10 && refused > 10, "{refused} refused");
    assert!(store.journal.trouble().is_some(), "readiness can tell");
    // The engine cannot save either, and says so.
    let delta = StateDelta {
        cursor: 1,
        things: vec![alertbridge::model::saved::ThingRow {
            kind: "audit",
            key: "1".to_owned(),
            value: vec![1; 1 << 20],
        }],
        ..StateDelta::default()
    };
    assert!(store.state.commit(&delta).is_err());
    assert_eq!(keys(&store).unwrap(), acknowledged);

    std::fs::remove_file(&ballast).unwrap();
    append(&store, &runtime, "after", 50_000).unwrap();
    acknowledged.push("after".to_owned());
    store.state.commit(&delta).unwrap();
    assert!(store.journal.trouble().is_none());
    assert_eq!(keys(&store).unwrap(), acknowledged);
    drop(store);
    assert_eq!(keys(&open(&dir).unwrap()).unwrap(), acknowledged);
}

#[test]
fn the_budget_refuses_a_source_before_the_disk_is_full_and_takes_the_engines_words() {
    let Some(disk) = Mount::tmpfs("disk budget", "16m") else {
        return;
    };
    let runtime = runtime();
    let store = open(&disk.path.join("data")).unwrap();
    let refused = (0..400).find_map(|n| append(&store, &runtime, &format!("k{n}"), 50_000).err());
    let Some(StoreError::Full { source_name, .. }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(source_name, "s");
    let due = crate::support::new_input(
        alertbridge::model::Time(0),
        alertbridge::model::Input::Due,
        None,
    );
    runtime
        .block_on(store.journal.append(vec![due], Vec::new()))
        .unwrap();
    // What is applied is no backlog any more.
    store.journal.applied(store.journal.last_seq());
    append(&store, &runtime, "after", 50_000).unwrap();
}

#[test]
fn a_read_only_disk_is_refused_at_the_start_and_taken_when_it_can_be_written() {
    let Some(disk) = Mount::tmpfs("read-only disk", "8m") else {
        return;
    };
    let dir = disk.path.join("data");
    let runtime = runtime();
    let store = open(&dir).unwrap();
    append(&store, &runtime, "before", 10).unwrap();
    drop(store);
    assert!(disk.remount("ro"));
    let refused = open(&dir).err().expect("it cannot be written");
    assert!(
        matches!(refused, StoreError::Unavailable { .. }),
        "{refused}"
    );
    assert!(refused.to_string().contains("ead-only"), "{refused}");
    assert!(disk.remount("rw"));
    let store = open(&dir).unwrap();
    append(&store, &runtime, "after", 10).unwrap();
    assert_eq!(keys(&store).unwrap(), ["before", "after"]);
}

#[test]
fn a_locked_database_is_refused_for_now_and_nothing_is_half_written() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let busy = Duration::from_millis(20);
    let options = StoreOptions {
        journal: JournalOptions {
            busy,
            ..JournalOptions::default()
        },
        state: StateOptions {
            busy,
            ..StateOptions::default()
        },
        ..StoreOptions::default()
    };
    let store = SqliteStore::open(dir.path(), options, "g").unwrap();
    append(&store, &runtime, "before", 10).unwrap();
    for file in ["journal.db", "state.db"] {
        let other = rusqlite::Connection::open(dir.path().join(file)).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let delta = StateDelta {
            cursor: 1,
            ..StateDelta::default()
        };
        let (appended, saved) = (
            append(&store, &runtime, &format!("while {file}"), 10),
            store.state.commit(&delta),
        );
        let refused = if file == "journal.db" {
            saved.unwrap();
            appended.unwrap_err()
        } else {
            appended.unwrap();
            saved.unwrap_err()
        };
        assert!(refused.to_string().contains("locked"), "{refused}");
        other.execute_batch("ROLLBACK").unwrap();
    }
    append(&store, &runtime, "after", 10).unwrap();
    assert_eq!(keys(&store).unwrap(), ["before", "while state.db", "after"]);
}
