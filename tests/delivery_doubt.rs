//! What is done about a ticket of which it is not known whether, where or how it exists.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod delivery_support;
mod fault_proxy;
mod tracker_contract;

use alertbridge::delivery::Worker;
use alertbridge::model::Time;
use alertbridge::model::severity::Severity;
use alertbridge::model::ticket::{RemoteRef, TicketStatus, WantedTicket};
use alertbridge::store::Journal;
use alertbridge::trackers::Capabilities;
use delivery_support::memory::{Memory, moved_to, remote};
use delivery_support::{Bridge, now};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

fn memory(lost: u64) -> Memory {
    let memory = Memory::new(Capabilities {
        settle: Duration::ZERO,
        poll_every: Duration::from_millis(200),
        ..Capabilities::TICKETS
    });
    memory.lost.store(lost, Ordering::Relaxed);
    memory
}

fn written(tickets: &[WantedTicket]) -> bool {
    !tickets.is_empty() && tickets.iter().all(|t| t.remote.is_some() && !t.has_work())
}

fn run(worker: Worker) -> tokio::task::JoinHandle<()> {
    tokio::spawn(worker.run(CancellationToken::new()))
}

async fn until(what: &str, is_true: impl Fn() -> bool) {
    for _ in 0..600 {
        if is_true() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {what}");
}

/// The bridge's ticket is the second; the first is its closed twin.
fn is_closed_as_twin(memory: &Memory, bridge: &Bridge) {
    let tickets = memory.tickets.lock().unwrap();
    assert_eq!(tickets.len(), 2);
    assert_eq!(tickets[0].1.status, TicketStatus::Closed);
    assert!(!tickets[1].1.status.is_over());
    assert_eq!(tickets[0].0.key, tickets[1].0.key);
    assert_eq!(bridge.tickets()[0].remote, Some(remote(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_shows_up_after_its_time_to_settle_is_closed_as_a_duplicate() {
    let memory = Arc::new(memory(1));
    let dir = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(dir.path(), "memory").await;
    let worker = bridge.run(memory.clone());
    bridge.problem("core-1", true).await;
    // Nobody finds the first one in time.
    bridge.until("another is made", 30, written).await;
    assert_eq!(memory.twins.load(Ordering::Relaxed), 0);
    memory.hidden.lock().unwrap().clear();
    until("the twin is closed", || {
        memory.twins.load(Ordering::Relaxed) == 1
    })
    .await;
    worker.abort();
    is_closed_as_twin(&memory, &bridge);
}

/// The search of many trackers shows for a while what was: each look would close and tell it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_twin_that_a_search_still_shows_as_open_is_closed_once() {
    let memory = Arc::new(memory(1));
    memory.stale.store(true, Ordering::Relaxed);
    let dir = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(dir.path(), "memory").await;
    let worker = bridge.run(memory.clone());
    bridge.problem("core-1", true).await;
    bridge.until("another is made", 30, written).await;
    memory.hidden.lock().unwrap().clear();
    // An attempt whose looks are done leaves no mark.
    until("all looks are done", || {
        bridge.store.journal.marks("attempt").unwrap().is_empty()
    })
    .await;
    worker.abort();
    assert_eq!(memory.twins.load(Ordering::Relaxed), 1);
    is_closed_as_twin(&memory, &bridge);
}

static LATER: AtomicI64 = AtomicI64::new(0);

fn later() -> Time {
    Time(now().0 + LATER.load(Ordering::Relaxed) * 60_000)
}

/// Searches fail for longer than anybody waits: the ticket is made, says what it may be, and the
/// first one is closed when it shows up.
#[tokio::test(flavor = "multi_thread")]
async fn a_look_up_that_fails_for_long_is_never_taken_for_no_ticket() {
    for refused in [false, true] {
        a_look_up_fails(refused).await;
    }
}

async fn a_look_up_fails(refused: bool) {
    LATER.store(0, Ordering::Relaxed);
    let memory = Arc::new(memory(1));
    memory.deaf.store(true, Ordering::Relaxed);
    memory.refuses_searches.store(refused, Ordering::Relaxed);
    let dir = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(dir.path(), "memory").await;
    let mut worker = bridge.worker(memory.clone(), Arc::default());
    worker.now = later;
    let running = run(worker);
    bridge.problem("core-1", true).await;
    bridge
        .until("the search has failed", 30, |_| {
            let failed = if refused {
                "client_error"
            } else {
                "server_error"
            };
            let calls = bridge.calls.0.lock().unwrap();
            calls.get(&("search", failed)).is_some_and(|n| *n > 2)
        })
        .await;
    LATER.store(14, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(memory.tickets.lock().unwrap().len(), 1, "it is looked for");
    LATER.store(16, Ordering::Relaxed);
    bridge
        .until("a ticket is made all the same", 30, written)
        .await;
    let body = memory.tickets.lock().unwrap()[1].0.body.clone();
    assert!(body.contains("may be a duplicate"), "{body}");
    memory.deaf.store(false, Ordering::Relaxed);
    memory.hidden.lock().unwrap().clear();
    LATER.store(26, Ordering::Relaxed);
    until("the twin is closed", || {
        memory.twins.load(Ordering::Relaxed) == 1
    })
    .await;
    running.abort();
    is_closed_as_twin(&memory, &bridge);
}

static MUCH_LATER: AtomicI64 = AtomicI64::new(0);

fn much_later() -> Time {
    Time(now().0 + MUCH_LATER.load(Ordering::Relaxed) * 24 * 3_600_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_waits_for_its_tracker_without_limit() {
    let memory = Arc::new(memory(0));
    memory.dead.store(true, Ordering::Relaxed);
    let dir = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(dir.path(), "memory").await;
    let mut worker = bridge.worker(memory.clone(), Arc::default());
    worker.now = much_later;
    let running = run(worker);
    bridge.problem("core-1", true).await;
    for day in 1..=30 {
        MUCH_LATER.store(day, Ordering::Relaxed);
        let before = memory.in_vain.load(Ordering::Relaxed);
        until("it is tried again", || {
            memory.in_vain.load(Ordering::Relaxed) > before
        })
        .await;
    }
    let waits = bridge.tickets()[0].clone();
    assert!(waits.has_work() && waits.wanted.severity <= Some(Severity::S2));
    assert!(!waits.trouble.unwrap().dead);
    memory.dead.store(false, Ordering::Relaxed);
    bridge.until("it is opened", 60, written).await;
    running.abort();
    assert_eq!(memory.tickets.lock().unwrap().len(), 1);
}

/// Nothing is to be written, and no list of changes tells it.
#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_was_moved_or_deleted_without_a_word_is_noticed() {
    let memory = Arc::new(memory(0));
    let dir = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(dir.path(), "memory").await;
    let worker = bridge.run(memory.clone());
    for name in ["core-1", "core-2", "core-3"] {
        bridge.problem(name, true).await;
    }
    bridge
        .until("three tickets", 30, |t| t.len() == 3 && written(t))
        .await;
    // Two are opened at once: which is which?
    let place = |name: &str| {
        let tickets = memory.tickets.lock().unwrap();
        let mut drafts = tickets.iter().map(|(draft, _)| &draft.fields.subject);
        drafts.position(|subject| subject.contains(name)).unwrap()
    };
    let (moved, other, deleted) = (place("core-1"), place("core-2"), place("core-3"));
    memory.moved.lock().unwrap().insert(moved);
    memory.deleted.lock().unwrap().insert(deleted);
    let lives_in =
        |t: &[WantedTicket], place: &RemoteRef| t.iter().any(|t| t.remote.as_ref() == Some(place));
    bridge
        .until("its new name is known", 30, |t| {
            lives_in(t, &moved_to(moved))
        })
        .await;
    let closed = |t: &WantedTicket| t.wanted.status.is_over();
    bridge
        .until("the other one counts as closed", 30, |t| {
            t.iter().filter(|t| closed(t)).count() == 1
        })
        .await;
    bridge.problem("core-1", false).await;
    bridge
        .until("its end is written", 30, |t| {
            t.iter().filter(|t| closed(t)).count() == 2 && t.iter().all(|t| !t.has_work())
        })
        .await;
    worker.abort();
    let tickets = memory.tickets.lock().unwrap();
    assert_eq!(tickets.len(), 3);
    let status = |n: usize| tickets[n].1.status;
    assert!(status(moved).is_over() && !status(other).is_over());
}

/// A workflow without the transition: the ticket says in a note what it should be, gets its other
/// notes, and waits as a dead letter for somebody to mend the workflow.
#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_no_transition_leads_to_is_told_in_a_note() {
    let memory = Arc::new(memory(0));
    memory.no_transition.store(true, Ordering::Relaxed);
    let dir = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(dir.path(), "memory").await;
    let worker = bridge.run(memory.clone());
    bridge.problem("core-1", true).await;
    bridge.until("it is opened", 30, written).await;
    worker.abort();
    let incident = bridge.tickets()[0].incident;
    bridge.note(incident, "The line card was changed.").await;
    bridge.problem("core-1", false).await;
    bridge
        .until("its end is wanted", 30, |t| t[0].wanted.status.is_over())
        .await;
    let worker = bridge.run(memory.clone());
    bridge
        .until("a dead letter without a note left", 30, |t| {
            let dead = t[0].trouble.as_ref().is_some_and(|trouble| trouble.dead);
            dead && t[0].notes.iter().all(|note| note.done)
        })
        .await;
    let notes = memory.notes.lock().unwrap().clone();
    let told = notes.iter().filter(|(_, marker)| marker.contains("-v"));
    assert_eq!(told.count(), 1, "{notes:?}");
    assert!(!memory.tickets.lock().unwrap()[0].1.status.is_over());
    memory.no_transition.store(false, Ordering::Relaxed);
    let retry = alertbridge::model::Command::RetryTicket {
        ticket: bridge.tickets()[0].id,
    };
    let author = "ana".to_owned();
    bridge
        .append(alertbridge::model::input::Input::Command {
            author,
            command: retry,
        })
        .await;
    bridge
        .until("it is resolved", 30, |t| {
            !t[0].has_work() && t[0].trouble.is_none()
        })
        .await;
    worker.abort();
    assert!(memory.tickets.lock().unwrap()[0].1.status.is_over());
    let again = memory.notes.lock().unwrap().clone();
    assert_eq!(again, notes, "each once");
}
