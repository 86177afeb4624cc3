//! What the dispatcher makes of a tracker that cannot do everything, or that does not answer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod delivery_support;
mod fault_proxy;
mod tracker_contract;

use alertbridge::delivery::Pace;
use alertbridge::model::ticket::{TicketStatus, WantedTicket};
use alertbridge::trackers::{Capabilities, Reopens};
use delivery_support::memory::{Memory, remote};
use delivery_support::{Bridge, quick};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

fn quiet() -> Capabilities {
    Capabilities {
        settle: Duration::ZERO,
        reads_changes: false,
        ..Capabilities::TICKETS
    }
}

fn written(tickets: &[WantedTicket]) -> bool {
    !tickets.is_empty() && tickets.iter().all(|t| t.remote.is_some() && !t.has_work())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_stays_closed_is_followed_by_another() {
    let memory = Arc::new(Memory::new(Capabilities {
        reopens: Reopens::UntilClosed,
        ..quiet()
    }));
    let dir = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(dir.path(), "memory").await;
    let worker = bridge.run(memory.clone());
    bridge.problem("core-1", true).await;
    bridge.until("it is opened", 30, written).await;
    bridge.problem("core-1", false).await;
    bridge
        .until("it is resolved", 30, |tickets| {
            written(tickets) && tickets[0].wanted.status.is_over()
        })
        .await;
    // The tracker closes what was resolved for good.
    memory.tickets.lock().unwrap()[0].1.status = TicketStatus::Closed;
    bridge.problem("core-1", true).await;
    bridge
        .until("another follows", 30, |tickets| {
            written(tickets) && tickets.iter().any(|t| t.remote == Some(remote(1)))
        })
        .await;
    worker.abort();
    let tickets = memory.tickets.lock().unwrap().clone();
    assert_eq!(tickets.len(), 2, "{tickets:#?}");
    assert_eq!(tickets[1].0.follows, Some(remote(0)));
    assert!(
        tickets[1].0.body.contains("follows ticket 1"),
        "{}",
        tickets[1].0.body
    );
    assert_eq!(
        tickets[0].1.status,
        TicketStatus::Closed,
        "it is left alone"
    );
    assert!(!tickets[1].1.status.is_over());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_tracker_cannot_do_is_not_asked_of_it() {
    for (updates, notes) in [(false, true), (false, false), (true, false)] {
        let memory = Arc::new(Memory::new(Capabilities {
            updates,
            notes,
            priorities: false,
            reads_back: false,
            body_bytes_max: 600,
            attachment_bytes_max: 100_000,
            ..quiet()
        }));
        let dir = tempfile::tempdir().unwrap();
        let bridge = Bridge::start(dir.path(), "memory").await;
        let worker = bridge.run(memory.clone());
        bridge.problem("core-1", true).await;
        bridge.until("it is opened", 30, written).await;
        let incident = bridge.tickets()[0].incident;
        bridge
            .note(incident, &"Spare part ordered. ".repeat(100))
            .await;
        bridge.problem("core-1", false).await;
        bridge
            .until("its end is told", 30, |tickets| {
                written(tickets) && tickets[0].wanted.status.is_over()
            })
            .await;
        worker.abort();
        let (draft, fields) = memory.tickets.lock().unwrap()[0].clone();
        assert_eq!(draft.fields.severity, None, "it has no place for it");
        assert_eq!(fields.status.is_over(), updates);
        let notes_there = memory.notes.lock().unwrap().clone();
        let told = notes_there
            .iter()
            .filter(|(_, marker)| marker.contains("-v"))
            .count();
        assert_eq!(told > 0, notes && !updates, "{notes_there:?}");
        assert_eq!(notes_there.is_empty(), !notes);
    }
}

/// Ten minutes and the breaker's pauses, all a hundred times shorter. Fifty tickets wait, and a poll.
#[tokio::test(flavor = "multi_thread")]
async fn ten_dead_minutes_see_about_twenty_requests() {
    let memory = Arc::new(Memory {
        dead: AtomicBool::new(true),
        ..Memory::new(Capabilities {
            reads_changes: true,
            poll_every: Duration::from_millis(300),
            ..quiet()
        })
    });
    let dir = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(dir.path(), "memory").await;
    for n in 0..50 {
        bridge.problem(&format!("host-{n}"), true).await;
    }
    bridge
        .until("all wait", 30, |tickets| tickets.len() == 50)
        .await;
    let mut worker = bridge.worker(memory.clone(), Arc::default());
    let (first, longest) = Pace::default().pauses;
    worker.pace = Pace {
        pauses: (first / 100, longest / 100),
        ..quick()
    };
    let running = tokio::spawn(worker.run(CancellationToken::new()));
    tokio::time::sleep(Duration::from_secs(6)).await;
    running.abort();
    let asked = memory.in_vain.load(Ordering::Relaxed);
    // A slow machine asks less often.
    assert!((1..=25).contains(&asked), "asked {asked} times");
}

/// The first answer says that the rate is used up for an hour: nothing is asked in the meantime.
#[tokio::test(flavor = "multi_thread")]
async fn a_rate_that_is_nearly_used_up_is_rested_for() {
    let memory = Arc::new(Memory::new(quiet()));
    *memory.pause.lock().unwrap() = Some(Duration::from_secs(3600));
    let dir = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(dir.path(), "memory").await;
    for n in 0..8 {
        bridge.problem(&format!("host-{n}"), true).await;
    }
    let worker = bridge.run(memory.clone());
    bridge
        .until("one is made", 30, |tickets| {
            tickets.iter().any(|ticket| ticket.remote.is_some())
        })
        .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    worker.abort();
    let made = memory.tickets.lock().unwrap().len();
    // Two at once had begun before the first answer came.
    assert!((1..=2).contains(&made), "{made}");
}
