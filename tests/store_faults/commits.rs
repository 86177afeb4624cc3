//! Commits that fail: whichever it is, those that were told "done" are there once, in order and
//! without a gap, and those that were told "no" can try again.

use crate::support::{append, keys, message, new_input, open, runtime};
use alertbridge::model::Time;
use alertbridge::model::id::IncidentId;
use alertbridge::model::incident::TimelineEntry;
use alertbridge::model::reason::Reason;
use alertbridge::model::ticket::TicketStatus;
use alertbridge::store::desk_store::{
    DeskAuthor, DeskCreated, DeskFilter, DeskStore, NewDeskComment, NewDeskTicket,
};
use alertbridge::store::sqlite::{CommitFaults, SqliteStore, StoreOptions};
use alertbridge::store::{Journal, Mark, StateDelta, StateStore};
use std::sync::Arc;

#[test]
fn the_nth_commit_of_the_journal_fails_and_the_others_are_kept() {
    for n in 0..12 {
        let dir = tempfile::tempdir().unwrap();
        let runtime = runtime();
        let faults = CommitFaults::default();
        let mut options = StoreOptions::default();
        options.journal.faults = faults.clone();
        let store = Arc::new(SqliteStore::open(dir.path(), options, "g").unwrap());
        faults.fail_after(n, 2);
        let mut acknowledged: Vec<(u64, String)> = runtime.block_on(async {
            let tasks: Vec<_> = (0..8)
                .map(|task| tokio::spawn(appends(store.clone(), task)))
                .collect();
            let mut all = Vec::new();
            for task in tasks {
                all.extend(task.await.unwrap());
            }
            all
        });
        acknowledged.sort();
        assert_eq!(acknowledged.len(), 80, "each is taken in the end");
        let expected: Vec<String> = acknowledged.into_iter().map(|(_, key)| key).collect();
        assert_eq!(keys(&store).unwrap(), expected, "commit {n} failed");
        assert!(store.journal.trouble().is_none());
        drop(store);
        assert_eq!(keys(&open(dir.path()).unwrap()).unwrap(), expected);
    }
}

/// Ten messages one after the other, each again until it is taken.
async fn appends(store: Arc<SqliteStore>, task: usize) -> Vec<(u64, String)> {
    let mut done = Vec::new();
    for n in 0..10 {
        let key = format!("t{task}-{n}");
        loop {
            let input = new_input(Time(0), message(&key, 20), Some(vec![1]));
            if let Ok(places) = store.journal.append(vec![input], Vec::new()).await {
                done.push((places[0], key));
                break;
            }
        }
    }
    done
}

#[test]
fn marks_move_with_their_append_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let faults = CommitFaults::default();
    let mut options = StoreOptions::default();
    options.journal.faults = faults.clone();
    let store = SqliteStore::open(dir.path(), options, "g").unwrap();
    let with_mark = |value: u8| {
        let input = new_input(Time(0), message("polled", 1), None);
        let mark = Mark {
            space: "poll",
            key: "rt".to_owned(),
            value: vec![value],
        };
        runtime.block_on(store.journal.append(vec![input], vec![mark]))
    };
    with_mark(1).unwrap();
    faults.fail_after(0, 1);
    with_mark(2).unwrap_err();
    assert_eq!(keys(&store).unwrap().len(), 1);
    let marks = store.journal.marks("poll").unwrap();
    assert_eq!(marks, [("rt".to_owned(), vec![1])]);
    with_mark(2).unwrap();
    assert_eq!(store.journal.marks("poll").unwrap()[0].1, [2]);
}

#[test]
fn a_state_that_is_not_saved_is_not_there() {
    let dir = tempfile::tempdir().unwrap();
    let faults = CommitFaults::default();
    let mut options = StoreOptions::default();
    options.state.faults = faults.clone();
    let store = SqliteStore::open(dir.path(), options, "g").unwrap();
    let runtime = runtime();
    append(&store, &runtime, "a", 1).unwrap();
    let delta = StateDelta {
        cursor: 1,
        ..StateDelta::default()
    };
    faults.fail_after(0, 2);
    store.state.commit(&delta).unwrap_err();
    store.state.commit(&delta).unwrap_err();
    assert_eq!(store.state.cursor().unwrap(), 0);
    store.state.commit(&delta).unwrap();
    assert_eq!(store.state.cursor().unwrap(), 1);
    // A commit that came through although it was reported as failed is repeated without harm.
    let line = TimelineEntry {
        incident: IncidentId(1),
        seq: 2,
        at: Time(0),
        reason: Reason::Note,
        text: String::new(),
        author: String::new(),
    };
    let delta = StateDelta {
        cursor: 2,
        timeline: vec![line],
        ..StateDelta::default()
    };
    store.state.commit(&delta).unwrap();
    store.state.commit(&delta).unwrap();
    let lines = store.state.timeline(IncidentId(1), 0, 9).unwrap();
    assert_eq!(lines.len(), 1);
    let backwards = StateDelta::default();
    assert!(store.state.commit(&backwards).is_err(), "never backwards");
}

#[test]
fn a_desk_that_fails_makes_one_ticket_in_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let faults = CommitFaults::default();
    let mut options = StoreOptions::default();
    options.desk.faults = faults.clone();
    let store = SqliteStore::open(dir.path(), options, "g").unwrap();
    let new = NewDeskTicket {
        key: "k".to_owned(),
        subject: "s".to_owned(),
        body: String::new(),
        status: TicketStatus::New,
        severity: None,
        queue: String::new(),
        requestor: String::new(),
        author: DeskAuthor::Bridge,
        at: Time(1),
    };
    faults.fail_after(0, 1);
    store.desk.create(&new).unwrap_err();
    assert_eq!(store.desk.find("k").unwrap(), None);
    assert_eq!(store.desk.create(&new).unwrap(), DeskCreated::Made(1));
    assert_eq!(store.desk.create(&new).unwrap(), DeskCreated::Found(1));
    let comment = NewDeskComment {
        author: DeskAuthor::Bridge,
        at: Time(2),
        public: false,
        text: "t".to_owned(),
        marker: "m".to_owned(),
    };
    faults.fail_after(0, 1);
    store.desk.comment(1, &comment).unwrap_err();
    assert!(store.desk.markers(1).unwrap().is_empty());
    let id = store.desk.comment(1, &comment).unwrap();
    assert_eq!(store.desk.comment(1, &comment).unwrap(), id);
    let all = store.desk.list(&DeskFilter::default(), None, 10).unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(store.desk.history(1, 0, 10).unwrap().len(), 2);
}
