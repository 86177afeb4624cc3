//! What the store keeps and what it forgets; copies of it and the way back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr
)]

#[path = "store_support/mod.rs"]
mod support;

use alertbridge::model::id::IncidentId;
use alertbridge::model::incident::TimelineEntry;
use alertbridge::model::reason::Reason;
use alertbridge::model::saved::{IncidentRow, ThingRow, TicketRow};
use alertbridge::model::ticket::{TicketFields, TicketStatus, WantedTicket};
use alertbridge::model::{Input, TicketId, Time, Undecoded};
use alertbridge::store::sqlite::{
    Retention, Retired, SqliteStore, StoreOptions, backup, restore, retire, verify,
};
use alertbridge::store::{IncidentFilter, Journal, Mark, StateDelta, StateStore, codec};
use std::time::Duration;
use support::{append, keys, message, new_input, open, runtime};
use tokio::runtime::Runtime;

const DAY: Duration = Duration::from_secs(24 * 3600);

fn append_at(store: &SqliteStore, runtime: &Runtime, at: Time, input: Input) -> u64 {
    let input = new_input(at, input, Some(b"as received".to_vec()));
    runtime
        .block_on(store.journal.append(vec![input], Vec::new()))
        .unwrap()[0]
}

fn undecoded() -> Input {
    Input::Undecoded(Undecoded {
        sensitive: false,
        source: "s".to_owned(),
        sender: String::new(),
        reason: "no format".to_owned(),
        group: String::new(),
        summary: String::new(),
    })
}

fn now() -> Time {
    Time::from_timestamp(jiff::Timestamp::now())
}

fn cursor_to(store: &SqliteStore, cursor: u64) {
    let delta = StateDelta {
        cursor,
        ..StateDelta::default()
    };
    store.state.commit(&delta).unwrap();
}

#[test]
fn inputs_raw_and_quarantine_go_at_their_times_and_only_below_the_cursor() {
    let dir = tempfile::tempdir().unwrap();
    let (store, runtime, now) = (open(dir.path()).unwrap(), runtime(), now());
    // One an hour for 100 days, every tenth of them for quarantine.
    let hours = 2400_u64;
    for hour in 1..=hours {
        let at = now.minus(Duration::from_secs(3600) * (hours - hour) as u32);
        let input = if hour % 10 == 0 {
            undecoded()
        } else {
            message("k", 1)
        };
        assert_eq!(append_at(&store, &runtime, at, input), hour);
    }
    // Nothing is applied yet: nothing goes.
    assert_eq!(
        retire(&store, &Retention::default(), now).unwrap(),
        Retired::default()
    );
    cursor_to(&store, hours - 24);
    let retired = retire(&store, &Retention::default(), now).unwrap();
    let rows = store.journal.read(0, 10_000).unwrap();
    let first = rows[0].seq;
    assert_eq!(rows.len() as u64, hours + 1 - first, "no gaps");
    assert_eq!(first, hours - 30 * 24, "inputs of 30 days");
    assert_eq!(retired.inputs, first - 1);
    let has_raw = |seq: u64| store.journal.raw(seq).unwrap().is_some();
    for seq in 1..=hours {
        let days = if seq % 10 == 0 { 90 } else { 14 };
        assert_eq!(has_raw(seq), seq >= hours - days * 24, "raw of {seq}");
    }
    // Again: nothing more, and a restart sees no damage.
    assert_eq!(
        retire(&store, &Retention::default(), now).unwrap(),
        Retired::default()
    );
    drop(store);
    let store = open(dir.path()).unwrap();
    assert_eq!(append(&store, &runtime, "next", 1).unwrap(), hours + 1);
    drop(store);
    assert_eq!(verify(dir.path()).unwrap().problems, Vec::<String>::new());
}

#[test]
fn what_is_not_applied_stays_however_old_and_the_newest_always() {
    let dir = tempfile::tempdir().unwrap();
    let (store, runtime) = (open(dir.path()).unwrap(), runtime());
    for _ in 0..10 {
        append_at(&store, &runtime, Time(0), message("old", 1));
    }
    cursor_to(&store, 4);
    retire(&store, &Retention::default(), now()).unwrap();
    let seqs: Vec<u64> = store
        .journal
        .read(0, 100)
        .unwrap()
        .iter()
        .map(|row| row.seq)
        .collect();
    assert_eq!(seqs, [4, 5, 6, 7, 8, 9, 10]);
    cursor_to(&store, 10);
    retire(&store, &Retention::default(), now()).unwrap();
    assert_eq!(store.journal.read(0, 100).unwrap()[0].seq, 10);
    drop(store);
    let store = open(dir.path()).unwrap();
    assert_eq!(append(&store, &runtime, "next", 1).unwrap(), 11);
}

#[test]
fn a_row_from_the_future_holds_nothing_back() {
    let dir = tempfile::tempdir().unwrap();
    let (store, runtime, now) = (open(dir.path()).unwrap(), runtime(), now());
    let future = now.plus(DAY * 4000);
    for at in [now.minus(DAY * 50), future, now.minus(DAY * 40), now] {
        append_at(&store, &runtime, at, message("k", 1));
    }
    cursor_to(&store, 4);
    let retired = retire(&store, &Retention::default(), now).unwrap();
    assert_eq!((retired.inputs, retired.raw), (3, 3));
}

fn fields() -> TicketFields {
    TicketFields {
        subject: String::new(),
        status: TicketStatus::Closed,
        severity: None,
        queue: String::new(),
    }
}

fn incident(id: u64, live: bool, at: Time, cursor: u64, ticket_key: &str) -> StateDelta {
    let incident = IncidentId(id);
    let ticket = WantedTicket {
        id: TicketId(id),
        incident,
        contract: None,
        route: "default".to_owned(),
        tracker: "desk".to_owned(),
        cycle: 1,
        key: ticket_key.to_owned(),
        wanted: fields(),
        version_wanted: 1,
        version_done: 1,
        last_written: None,
        last_read: None,
        remote: None,
        notes: Vec::new(),
        trouble: None,
        asked_at: at,
        shadow: false,
        also_when_over: false,
        language: "en".into(),
        alert: None,
        stands_in_for: None,
    };
    StateDelta {
        cursor,
        served_until: at,
        incidents: vec![IncidentRow {
            id: incident,
            open: live,
            live,
            body: vec![1],
        }],
        tickets: vec![TicketRow {
            id: TicketId(id),
            incident,
            tracker: "desk".to_owned(),
            work: None,
            body: codec::encode(&ticket).unwrap(),
        }],
        timeline: vec![TimelineEntry {
            incident,
            seq: cursor,
            at,
            reason: Reason::Note,
            text: String::new(),
            author: String::new(),
        }],
        things: vec![ThingRow {
            kind: "quarantine",
            key: format!("{id:020}"),
            value: vec![1],
        }],
        ..StateDelta::default()
    }
}

#[test]
fn closed_incidents_quarantine_and_attempts_go_and_what_lives_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (store, runtime, now) = (open(dir.path()).unwrap(), runtime(), now());
    for (id, live, days) in [
        (1, false, 800),
        (2, true, 800),
        (3, false, 100),
        (4, false, 1),
    ] {
        append(&store, &runtime, "k", 1).unwrap();
        let at = now.minus(DAY * days);
        let delta = incident(id, live, at, id, &format!("key-{id}"));
        store.state.commit(&delta).unwrap();
        let mark = Mark {
            space: "attempt",
            key: format!("key-{id}"),
            value: vec![1],
        };
        runtime
            .block_on(store.journal.append(Vec::new(), vec![mark]))
            .unwrap();
    }
    let retired = retire(&store, &Retention::default(), now).unwrap();
    assert_eq!((retired.incidents, retired.quarantine), (1, 3));
    assert_eq!(retired.deliveries, 0, "the marks are new");
    let left = store
        .state
        .incidents(IncidentFilter::All, None, 10)
        .unwrap();
    assert_eq!(left.len(), 3);
    assert!(
        store
            .state
            .timeline(IncidentId(1), 0, 9)
            .unwrap()
            .is_empty()
    );
    assert_eq!(store.state.timeline(IncidentId(2), 0, 9).unwrap().len(), 1);
    // A hundred days later the marks are old; that of the open incident is still needed.
    let retired = retire(&store, &Retention::default(), now.plus(DAY * 100)).unwrap();
    assert_eq!(retired.deliveries, 3);
    let marks = store.journal.marks("attempt").unwrap();
    assert_eq!(marks, [("key-2".to_owned(), vec![1])]);
}

#[test]
fn a_backup_under_load_is_a_moment_and_comes_back_as_a_new_generation() {
    let dir = tempfile::tempdir().unwrap();
    let (data, copy) = (dir.path().join("data"), dir.path().join("copy"));
    let (store, runtime) = (open(&data).unwrap(), runtime());
    for n in 0..50 {
        append(&store, &runtime, &format!("k{n}"), 2000).unwrap();
    }
    cursor_to(&store, 50);
    let manifest = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            for n in 50..400 {
                append(&store, &runtime, &format!("k{n}"), 2000).unwrap();
                cursor_to(&store, n + 1);
            }
        });
        let manifest = backup(&data, &copy).unwrap();
        load.join().unwrap();
        manifest
    });
    assert!((50..=400).contains(&manifest.cursor));
    let again = backup(&data, &copy).unwrap_err().to_string();
    assert!(
        again.contains("a backup goes into an empty folder"),
        "{again}"
    );
    let over = restore(&copy, &data, "generation-2").unwrap_err();
    assert!(over.to_string().contains("in use"), "{over}");
    drop(store);
    let over = restore(&copy, &data, "generation-2").unwrap_err();
    assert!(
        over.to_string().contains("a store is there already"),
        "{over}"
    );

    let back = dir.path().join("back");
    restore(&copy, &back, "generation-2").unwrap();
    let store = open(&back).unwrap();
    assert_eq!(store.generation().unwrap(), "generation-2");
    assert!(store.delivery_held().unwrap().is_some());
    assert_eq!(store.state.cursor().unwrap(), manifest.cursor);
    let kept = keys(&store).unwrap();
    assert!(kept.len() as u64 >= manifest.cursor);
    let expected: Vec<String> = (0..kept.len()).map(|n| format!("k{n}")).collect();
    assert_eq!(kept, expected);
    store.release_delivery().unwrap();
    assert_eq!(store.delivery_held().unwrap(), None);
}

#[test]
fn a_backup_that_was_changed_or_has_damage_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (data, copy) = (dir.path().join("data"), dir.path().join("copy"));
    let (store, runtime) = (open(&data).unwrap(), runtime());
    append(&store, &runtime, "k", 10_000).unwrap();
    drop(store);
    backup(&data, &copy).unwrap();
    let path = copy.join("journal.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() - 3000;
    bytes[at] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let back = dir.path().join("back");
    let refused = restore(&copy, &back, "g2").unwrap_err().to_string();
    assert!(
        refused.contains("not the file that the manifest describes"),
        "{refused}"
    );
    let nothing = SqliteStore::open(&back, StoreOptions::default(), "g3").unwrap();
    assert_eq!(nothing.journal.last_seq(), 0, "nothing came back by halves");
    // A damaged store gives no backup that looks like one.
    std::fs::write(data.join("journal.db"), &bytes).unwrap();
    let refused = backup(&data, &dir.path().join("copy-2")).unwrap_err();
    assert!(refused.to_string().contains("damaged"), "{refused}");
    assert!(!dir.path().join("copy-2/manifest.json").exists());
    let missing = restore(&dir.path().join("copy-2"), &back, "g").unwrap_err();
    assert!(missing.to_string().contains("manifest.json"), "{missing}");
}
