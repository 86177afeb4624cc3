//! Damage to pages that were acknowledged long ago: whatever bit it hits, what is read is what was
//! written, or it is refused with the verb; `verify` finds it; `recover` keeps the rest.

use crate::support::{VERB, append, copy_store, keys, open, runtime};
use alertbridge::model::id::{AlertId, IncidentId, TicketId};
use alertbridge::model::saved::{AlertRow, IncidentRow, ThingRow, TicketRow};
use alertbridge::model::ticket::TicketStatus;
use alertbridge::model::{Input, Time};
use alertbridge::store::desk_store::{DeskAuthor, DeskFilter, DeskStore, NewDeskTicket};
use alertbridge::store::sqlite::{SqliteStore, recover, verify};
use alertbridge::store::{Journal, LoadedState, Mark, StateDelta, StateStore, StoreError};
use std::path::Path;

/// A closed store with something in every file.
fn make(dir: &Path) {
    let (store, runtime) = (open(dir).unwrap(), runtime());
    for n in 1..=60 {
        append(&store, &runtime, &format!("k{n}"), 300).unwrap();
    }
    let mark = Mark {
        space: "attempt",
        key: "ticket-1".to_owned(),
        value: vec![1],
    };
    runtime
        .block_on(store.journal.append(Vec::new(), vec![mark]))
        .unwrap();
    for n in 1..=40 {
        let delta = StateDelta {
            cursor: n,
            served_until: Time(1_700_000_000_000),
            alerts: vec![AlertRow {
                id: AlertId(n),
                incident: Some(IncidentId(n)),
                active: true,
                body: vec![n as u8; 80],
                text: Some(vec![n as u8; 200]),
            }],
            incidents: vec![IncidentRow {
                id: IncidentId(n),
                open: true,
                live: true,
                body: vec![n as u8; 150],
            }],
            tickets: vec![TicketRow {
                id: TicketId(n),
                incident: IncidentId(n),
                tracker: "desk".to_owned(),
                work: Some(1),
                body: vec![n as u8; 100],
            }],
            things: vec![ThingRow {
                kind: "symbol",
                key: format!("{n:010}"),
                value: vec![n as u8; 20],
            }],
            ..StateDelta::default()
        };
        store.state.commit(&delta).unwrap();
        let ticket = NewDeskTicket {
            key: format!("key-{n}"),
            subject: format!("subject {n}"),
            body: "body ".repeat(30),
            status: TicketStatus::New,
            severity: None,
            queue: String::new(),
            requestor: String::new(),
            author: DeskAuthor::Bridge,
            at: Time(1_700_000_000_000),
        };
        store.desk.create(&ticket).unwrap();
    }
}

/// All that a reader can see of a store.
#[derive(PartialEq, Debug)]
struct All {
    keys: Vec<String>,
    marks: Vec<(String, Vec<u8>)>,
    state: String,
    texts: Vec<(Vec<u8>, Vec<u8>)>,
    work: Vec<Vec<u8>>,
    desk: String,
}

fn all(store: &SqliteStore) -> Result<All, StoreError> {
    let LoadedState {
        cursor,
        served_until,
        alerts,
        incidents,
        cases,
        tickets,
        things,
    } = store.state.load()?;
    let by_key = (1..=40)
        .map(|n| store.desk.find(&format!("key-{n}")))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(All {
        keys: keys(store)?,
        marks: store.journal.marks("attempt")?,
        state: format!(
            "{cursor} {served_until:?} {alerts:?} {incidents:?} {cases:?} {tickets:?} {things:?}"
        ),
        texts: store.state.alerts(None, 1000)?,
        work: store.state.work("desk", 1000)?,
        desk: format!(
            "{:?} {:?} {by_key:?}",
            store.desk.list(&DeskFilter::default(), None, 1000)?,
            store.desk.changes(0, 1000)?
        ),
    })
}

fn read(dir: &Path) -> Result<All, StoreError> {
    all(&open(dir)?)
}

#[test]
fn a_flipped_bit_never_changes_what_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let sound = dir.path().join("sound");
    make(&sound);
    let expected = read(&sound).unwrap();
    assert_eq!(verify(&sound).unwrap().problems, Vec::<String>::new());
    let mut refused = 0;
    for file in ["journal.db", "state.db", "desk.db"] {
        let bytes = std::fs::read(sound.join(file)).unwrap();
        // A step that hits every part of a page over the whole file.
        for (turn, at) in (0..bytes.len()).step_by(1021).enumerate() {
            let copy = dir.path().join("copy");
            let _ = std::fs::remove_dir_all(&copy);
            copy_store(&sound, &copy);
            let mut garbled = bytes.clone();
            garbled[at] ^= 1 << (turn % 8);
            std::fs::write(copy.join(file), &garbled).unwrap();
            match read(&copy) {
                Ok(found) => {
                    let same = found == expected;
                    // An index may hide a row from a search; then `verify` says so.
                    let told = || verify(&copy).unwrap().problem_count > 0;
                    assert!(
                        same || told(),
                        "{file} at {at}: other data, and nobody says so"
                    );
                }
                Err(error) => {
                    refused += 1;
                    if let StoreError::Damaged { .. } = error {
                        assert!(error.to_string().contains(VERB), "{file} at {at}: {error}");
                    }
                    if at >= 100 {
                        let found = verify(&copy);
                        let seen = found.as_ref().map_or(true, |found| found.problem_count > 0);
                        assert!(seen, "{file} at {at}: {error}, but verify finds nothing");
                    }
                }
            }
        }
    }
    assert!(refused > 60, "only {refused} were refused");
}

#[test]
fn a_recovery_keeps_what_is_sound_lists_what_is_lost_and_holds_delivery() {
    let dir = tempfile::tempdir().unwrap();
    let sound = dir.path().join("sound");
    make(&sound);
    let bytes = std::fs::read(sound.join("journal.db")).unwrap();
    let (mut with_loss, mut turn) = (0, 0);
    for at in (4096..bytes.len()).step_by(3001) {
        turn += 1;
        let copy = dir.path().join(format!("copy-{turn}"));
        copy_store(&sound, &copy);
        let mut garbled = bytes.clone();
        for byte in garbled.iter_mut().skip(at).take(200) {
            *byte ^= 0x55;
        }
        std::fs::write(copy.join("journal.db"), &garbled).unwrap();
        let done = recover(&copy, "test", "generation-2").unwrap();
        let store = open(&copy).unwrap_or_else(|error| panic!("at {at}: {error}"));
        let rows = store.journal.read(0, 1000).unwrap();
        assert_eq!(rows.len(), 60, "at {at}: each place is there");
        for row in &rows {
            match &row.input {
                Input::Message(message) => {
                    let key = format!("k{} is down", row.seq);
                    assert_eq!(message.events[0].summary, key);
                }
                Input::Poisoned { .. } | Input::Due => {
                    assert!(!done.lost.is_empty(), "at {at}: {} was lost", row.seq);
                }
                other => panic!("{other:?}"),
            }
        }
        let held = store.delivery_held().unwrap();
        assert_eq!(held.is_some(), !done.lost.is_empty());
        assert_eq!(store.generation().unwrap(), "generation-1");
        drop(store);
        assert_eq!(verify(&copy).unwrap().problems, Vec::<String>::new());
        let aside = std::fs::read(done.aside.join("journal.db")).unwrap();
        assert_eq!(aside, garbled, "the file as it was");
        let list = std::fs::read_to_string(done.aside.join("lost.jsonl")).unwrap();
        assert_eq!(list.lines().count(), done.lost.len());
        with_loss += usize::from(!done.lost.is_empty());
    }
    assert!(with_loss > 5, "only {with_loss} of {turn} lost something");
}

#[test]
fn a_lost_state_is_built_again_from_the_journal_and_a_lost_desk_gives_no_number_twice() {
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("copy");
    make(&copy);
    std::fs::write(copy.join("state.db"), vec![7; 20_000]).unwrap();
    std::fs::remove_file(copy.join("desk.db")).unwrap();
    let refused = open(&copy).err().unwrap();
    assert!(refused.to_string().contains(VERB), "{refused}");
    let done = recover(&copy, "test", "generation-2").unwrap();
    assert!(done.state_rebuilt);
    let store = open(&copy).unwrap();
    assert_eq!(store.state.cursor().unwrap(), 0, "all is applied again");
    assert_eq!(keys(&store).unwrap().len(), 60);
    assert!(store.delivery_held().unwrap().is_some());
    let ticket = NewDeskTicket {
        key: "new".to_owned(),
        subject: String::new(),
        body: String::new(),
        status: TicketStatus::New,
        severity: None,
        queue: String::new(),
        requestor: String::new(),
        author: DeskAuthor::Bridge,
        at: Time(0),
    };
    assert!(store.desk.create(&ticket).unwrap().number() > 40);
    let again = recover(&copy, "other", "x").err().unwrap();
    assert!(again.to_string().contains("in use"), "{again}");
}

#[test]
fn recovering_a_sound_store_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path());
    let expected = read(dir.path()).unwrap();
    let done = recover(dir.path(), "test", "x").unwrap();
    assert_eq!(done.lost, []);
    assert_eq!(read(dir.path()).unwrap(), expected);
    let store = open(dir.path()).unwrap();
    assert_eq!(store.delivery_held().unwrap(), None);
}
