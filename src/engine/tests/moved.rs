//! Tickets that people merged, moved or deleted in their tracker.

use super::*;
use crate::model::TicketId;
use crate::model::ticket::{PersonChange, PersonDid, WantedTicket};

fn story(policy: ClosedWhileFiring) -> Story {
    let mut decisions = Decisions {
        routes: vec![Route::desk()],
        ..Decisions::default()
    };
    decisions.settings.closed_while_firing = policy;
    decisions.settings.reopen_closed_after = Duration::ZERO;
    Story::new(decisions)
}

/// An outage of its own site, whose ticket exists under this name.
fn outage(story: &mut Story, host: &str, key: &str) -> TicketId {
    let mut event = firing(host, host, Hint::Outage);
    event.site = Some(host.to_owned());
    story.event(event);
    let id = *story.engine.state.tickets.keys().last().unwrap();
    written(story, id, key, TicketStatus::New);
    id
}

fn ticket(story: &Story, id: TicketId) -> &WantedTicket {
    &story.engine.state.tickets[&id]
}

/// The worker wrote all that is wanted, and read this status.
fn written(story: &mut Story, id: TicketId, key: &str, status: TicketStatus) {
    let ticket = ticket(story, id).clone();
    let mut read = ticket.wanted.clone();
    read.status = status;
    story.input(Input::Delivery(DeliveryReport {
        ticket: id,
        version_done: ticket.version_wanted,
        written: Some(ticket.wanted.clone()),
        read: Some(read),
        remote: Some(RemoteRef {
            key: key.into(),
            url: format!("https://tickets.example.net/{key}"),
        }),
        origin: Some(Origin::Created),
        notes_done: ticket.notes.iter().map(|n| n.marker.clone()).collect(),
        trouble: None,
        twins_closed: Vec::new(),
    }));
}

fn person(story: &mut Story, remote: &str, what: PersonDid) {
    let tracker = story
        .engine
        .state
        .tickets
        .values()
        .next()
        .unwrap()
        .tracker
        .clone();
    story.input(Input::Person(PersonChange {
        tracker,
        remote: remote.into(),
        change_id: format!("{remote}/{what:?}"),
        at: story.now,
        author: "bob".into(),
        what,
    }));
}

#[test]
fn a_deleted_ticket_follows_the_policy_of_closed_ones() {
    for policy in [
        ClosedWhileFiring::Leave,
        ClosedWhileFiring::Reopen,
        ClosedWhileFiring::Remind,
    ] {
        let mut story = story(policy);
        let first = outage(&mut story, "web-1", "7");
        written(&mut story, first, "7", TicketStatus::Gone);
        if policy == ClosedWhileFiring::Leave {
            assert!(story.open().is_empty());
            continue;
        }
        assert_eq!(story.open().len(), 1);
        assert!(ticket(&story, first).has_work(), "it is asked for again");
        // It is not there, so nothing can be written: another one follows.
        written(&mut story, first, "7", TicketStatus::Gone);
        assert_eq!(story.tickets(), 2, "{policy:?}");
        let second = *story.engine.state.tickets.keys().last().unwrap();
        assert!(ticket(&story, second).has_work());
        assert_eq!(story.open().len(), 1);
        // The old one stays gone, and nobody is told again.
        written(&mut story, first, "7", TicketStatus::Gone);
        assert_eq!(story.tickets(), 2);
    }
}

#[test]
fn a_merged_or_moved_ticket_goes_on_under_its_new_name() {
    let merged: fn(String) -> PersonDid = PersonDid::MergedInto;
    for did in [merged, PersonDid::MovedTo] {
        let mut story = story(ClosedWhileFiring::Leave);
        let id = outage(&mut story, "web-1", "OPS-7");
        person(&mut story, "OPS-7", did("NET-9".into()));
        let remote = ticket(&story, id).remote.clone().unwrap();
        assert_eq!(remote.key, "NET-9");
        assert_eq!(remote.url, "https://tickets.example.net/NET-9");
        // Trackers close what was merged: that is its past.
        person(&mut story, "OPS-7", PersonDid::Status(TicketStatus::Closed));
        assert_eq!(story.open().len(), 1);
        person(&mut story, "NET-9", PersonDid::Owner("bob".into()));
        assert_eq!(story.open()[0].owner, "bob");
        story.event(resolved("web-1", "web-1"));
        assert_eq!(ticket(&story, id).wanted.status, TicketStatus::Resolved);
        assert!(ticket(&story, id).has_work());
    }
}

#[test]
fn who_merges_two_of_our_tickets_says_that_they_are_one_problem() {
    let mut story = story(ClosedWhileFiring::Leave);
    let one = outage(&mut story, "web-1", "7");
    let other = outage(&mut story, "web-2", "8");
    assert_eq!(story.open().len(), 2);
    person(&mut story, "7", PersonDid::MergedInto("8".into()));
    assert_eq!(story.open().len(), 1);
    // Nothing is written to the one that is gone: it would reach the other.
    assert!(!ticket(&story, one).has_work());
    person(&mut story, "7", PersonDid::Status(TicketStatus::Closed));
    person(&mut story, "8", PersonDid::Owner("bob".into()));
    assert_eq!(story.open()[0].owner, "bob");
    story.event(resolved("web-2", "web-2"));
    assert_eq!(story.open().len(), 1, "web-1 is still down");
    assert!(!ticket(&story, other).wanted.status.is_over());
    story.event(resolved("web-1", "web-1"));
    assert!(ticket(&story, other).wanted.status.is_over());
    assert!(!ticket(&story, one).has_work());
}

#[test]
fn a_ticket_merged_into_one_that_is_over_counts_as_closed() {
    let mut story = story(ClosedWhileFiring::Leave);
    outage(&mut story, "web-1", "7");
    outage(&mut story, "web-2", "8");
    story.event(resolved("web-2", "web-2"));
    story.after(3600);
    person(&mut story, "7", PersonDid::MergedInto("8".into()));
    assert!(story.open().is_empty());
}
