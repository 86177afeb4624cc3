//! A copied store whose log is cut or garbled: it opens with all that was acknowledged, or it is
//! refused. What was not acknowledged may be there or not.

use crate::support::{VERB, append, copy_store, keys, open, runtime};
use alertbridge::model::saved::ThingRow;
use alertbridge::store::{StateDelta, StateStore, StoreError};
use std::path::Path;

/// A store of five acknowledged appends and, in `unsynced`, a sixth that nobody was told about.
struct Copies {
    _dir: tempfile::TempDir,
    acknowledged: std::path::PathBuf,
    unsynced: std::path::PathBuf,
    /// Bytes of the log that were synced when the fifth was acknowledged.
    synced: usize,
}

fn copies() -> Copies {
    let dir = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let store = open(&dir.path().join("data")).unwrap();
    for n in 1..=5 {
        append(&store, &runtime, &format!("k{n}"), 3000).unwrap();
    }
    let (acknowledged, unsynced) = (dir.path().join("five"), dir.path().join("six"));
    copy_store(&dir.path().join("data"), &acknowledged);
    append(&store, &runtime, "k6", 3000).unwrap();
    copy_store(&dir.path().join("data"), &unsynced);
    // As if the power went before the sync returned: the mark is that of the fifth.
    std::fs::copy(
        acknowledged.join("journal.acked"),
        unsynced.join("journal.acked"),
    )
    .unwrap();
    let synced = log(&acknowledged).len();
    assert!(log(&unsynced).len() > synced);
    Copies {
        _dir: dir,
        acknowledged,
        unsynced,
        synced,
    }
}

fn log(dir: &Path) -> Vec<u8> {
    std::fs::read(dir.join("journal.db-wal")).unwrap()
}

/// The keys of a copy with another log.
fn with_log(from: &Path, log: &[u8]) -> Result<Vec<String>, StoreError> {
    let dir = tempfile::tempdir().unwrap();
    copy_store(from, dir.path());
    std::fs::write(dir.path().join("journal.db-wal"), log).unwrap();
    let store = open(dir.path())?;
    let keys = keys(&store)?;
    // It can be written, and what is written then is there.
    append(&store, &runtime(), "next", 10)?;
    Ok(keys)
}

#[test]
fn an_unsynced_tail_may_be_cut_or_garbled_anywhere() {
    let copies = copies();
    let whole = log(&copies.unsynced);
    assert_eq!(with_log(&copies.unsynced, &whole).unwrap().len(), 6);
    let unsynced = copies.synced..whole.len();
    for at in unsynced.clone().step_by(517).chain([whole.len() - 1]) {
        let cut = whole.get(..at).unwrap();
        let keys = with_log(&copies.unsynced, cut).unwrap();
        assert_eq!(keys, ["k1", "k2", "k3", "k4", "k5"], "cut at {at}");
        let mut garbled = whole.clone();
        for byte in garbled.iter_mut().skip(at) {
            *byte ^= 0xa5;
        }
        let keys = with_log(&copies.unsynced, &garbled).unwrap();
        assert_eq!(keys.first().map(String::as_str), Some("k1"));
        assert!(
            keys.len() == 5 || keys.len() == 6,
            "garbled from {at}: {keys:?}"
        );
    }
    let mut longer = log(&copies.acknowledged);
    longer.extend_from_slice(&[0x5a; 5000]);
    assert_eq!(with_log(&copies.acknowledged, &longer).unwrap().len(), 5);
}

#[test]
fn a_cut_into_what_was_acknowledged_is_refused_with_the_verb() {
    let copies = copies();
    let whole = log(&copies.acknowledged);
    let mut refusals = 0;
    for at in (0..whole.len()).step_by(811) {
        match with_log(&copies.acknowledged, whole.get(..at).unwrap()) {
            Ok(keys) => assert_eq!(keys.len(), 5, "cut at {at}"),
            Err(error @ StoreError::Damaged { .. }) => {
                assert!(error.to_string().contains(VERB), "{error}");
                refusals += 1;
            }
            Err(other) => panic!("cut at {at}: {other}"),
        }
    }
    assert!(refusals > 10, "only {refusals} cuts were refused");
}

#[test]
fn a_flipped_bit_in_what_was_acknowledged_is_refused_with_the_verb() {
    let copies = copies();
    let whole = log(&copies.acknowledged);
    let mut refusals = 0;
    for at in (0..whole.len()).step_by(499) {
        let mut garbled = whole.clone();
        garbled[at] ^= 1 << (at % 8);
        match with_log(&copies.acknowledged, &garbled) {
            Ok(keys) => assert_eq!(keys.len(), 5, "flipped at {at}"),
            Err(error @ StoreError::Damaged { .. }) => {
                assert!(error.to_string().contains(VERB), "{error}");
                refusals += 1;
            }
            Err(other) => panic!("flipped at {at}: {other}"),
        }
    }
    assert!(refusals > 20, "only {refusals} were refused");
}

#[test]
fn the_states_log_may_be_cut_anywhere_because_it_follows_from_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let (data, copied) = (dir.path().join("data"), dir.path().join("copied"));
    let runtime = runtime();
    let store = open(&data).unwrap();
    for n in 1..=8 {
        append(&store, &runtime, &format!("k{n}"), 10).unwrap();
        let delta = StateDelta {
            cursor: n,
            things: vec![ThingRow {
                kind: "symbol",
                key: format!("{n}"),
                value: vec![1; 500],
            }],
            ..StateDelta::default()
        };
        store.state.commit(&delta).unwrap();
    }
    copy_store(&data, &copied);
    let whole = std::fs::read(copied.join("state.db-wal")).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for at in (0..=whole.len()).step_by(733) {
        for garbled in [false, true] {
            let copy = tempfile::tempdir().unwrap();
            copy_store(&copied, copy.path());
            let mut log = whole.get(..at).unwrap().to_vec();
            if garbled {
                log.extend(whole.iter().skip(at).map(|byte| byte ^ 0xa5));
            }
            std::fs::write(copy.path().join("state.db-wal"), log).unwrap();
            let store = open(copy.path()).unwrap_or_else(|error| panic!("at {at}: {error}"));
            let cursor = store.state.cursor().unwrap();
            let things = store.state.load().unwrap().things;
            assert_eq!(things.len() as u64, cursor, "batches are whole, at {at}");
            assert_eq!(store.generation().unwrap(), "generation-1");
            assert_eq!(keys(&store).unwrap().len(), 8);
            seen.insert(cursor);
        }
    }
    assert!(seen.len() > 5, "{seen:?}");
}

#[test]
fn a_file_that_went_missing_is_refused() {
    let copies = copies();
    let dir = tempfile::tempdir().unwrap();
    let cases: [(&[&str], bool); 3] = [
        (&["journal.db", "journal.db-wal"], true),
        (&["state.db", "state.db-wal"], true),
        // The mark only detects more; without it the store is as good as any.
        (&["journal.acked"], false),
    ];
    for (n, (files, refused)) in cases.into_iter().enumerate() {
        let copy = dir.path().join(n.to_string());
        copy_store(&copies.acknowledged, &copy);
        for file in files {
            std::fs::remove_file(copy.join(file)).unwrap();
        }
        match open(&copy) {
            Ok(store) => {
                assert!(!refused, "without {files:?}");
                assert_eq!(keys(&store).unwrap().len(), 5);
            }
            Err(error) => {
                assert!(refused, "without {files:?}: {error}");
                assert!(error.to_string().contains(VERB), "{error}");
            }
        }
    }
}
