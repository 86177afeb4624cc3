//! The cap of new tickets an hour.

use super::*;
use crate::model::{PersonRequest, RequestKind};

fn decisions(cap: u32) -> Decisions {
    let mut decisions = Decisions {
        routes: vec![Route::desk()],
        ..Decisions::default()
    };
    decisions.settings.tickets_per_hour_max = cap;
    decisions
}

fn capped(cap: u32) -> Story {
    Story::new(decisions(cap))
}

/// Titles of the tickets, in the order in which they were asked for.
fn titles(story: &Story) -> Vec<String> {
    let tickets = story.engine.state.tickets.values();
    tickets
        .map(|ticket| ticket.wanted.subject.clone())
        .collect()
}

/// One outage a minute apart, each at a site of its own, so that no storm folds them.
fn outages(story: &mut Story, hosts: &[&str]) {
    for host in hosts {
        let mut event = firing(host, host, Hint::Outage);
        event.site = Some((*host).to_owned());
        story.event(event);
        story.after(60);
    }
}

fn notes_of_the_list(story: &Story) -> Vec<String> {
    let tickets = story.engine.state.tickets.values();
    let list = tickets
        .filter(|ticket| ticket.wanted.subject.contains("within an hour"))
        .flat_map(|ticket| ticket.notes.iter().map(|note| note.text.clone()));
    list.collect()
}

#[test]
fn without_configuration_an_hour_brings_three_hundred_tickets_and_one_list() {
    let mut story = Story::plain();
    // Each at a site of its own: no storm folds them.
    let hosts: Vec<String> = (0..500).map(|n| format!("host{n}")).collect();
    for host in &hosts {
        let mut event = firing(host, host, Hint::Outage);
        event.site = Some(host.clone());
        story.event(event);
    }
    assert_eq!(titles(&story).len(), 301);
    story.after(300);
    let notes = notes_of_the_list(&story);
    assert_eq!(notes.len(), 1);
    assert!(notes[0].len() <= 4000, "{}", notes[0].len());
    let named = notes[0].matches("\nINC-").count();
    let more = format!("and {} more", 200 - named);
    assert!(named > 50 && notes[0].contains(&more), "{}", notes[0]);
    // Each has its ticket in the end.
    story.after(3600);
    assert_eq!(titles(&story).len(), 501);
    assert!(story.engine.state.held_back.is_empty());
}

#[test]
fn the_list_is_added_to_every_five_minutes_the_worst_first() {
    let mut story = capped(1);
    outages(&mut story, &["a"]);
    for (host, hint) in [("b", Hint::Unknown), ("c", Hint::Outage)] {
        let mut event = firing(host, host, hint);
        event.site = Some(host.to_owned());
        story.event(event);
    }
    story.after(240);
    let notes = notes_of_the_list(&story);
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(
        notes[0].find("S2 c bad") < notes[0].find("S3 b bad"),
        "{notes:?}"
    );
    assert!(notes[0].contains("S2 c bad"), "{notes:?}");
    // What has ended by then needs no line, and nothing new needs no note.
    outages(&mut story, &["d"]);
    let mut over = firing("d", "d", Hint::Outage);
    over.site = Some("d".to_owned());
    over.state = EventState::Resolved;
    story.event(over);
    story.after(600);
    assert_eq!(notes_of_the_list(&story).len(), 1);
}

#[test]
fn routes_of_one_incident_wait_together() {
    let mut with_two = decisions(1);
    let mut first = Route::desk();
    first.name = "archive".to_owned();
    first.further = true;
    with_two.routes.insert(0, first);
    let mut story = Story::new(with_two);
    outages(&mut story, &["a", "b"]);
    let of = |story: &Story, host: &str| {
        let titles = titles(story).into_iter();
        titles.filter(|title| title.contains(host)).count()
    };
    assert_eq!((of(&story, "a bad"), of(&story, "b bad")), (2, 0));
    story.after(3600);
    assert_eq!((of(&story, "a bad"), of(&story, "b bad")), (2, 2));
}

#[test]
fn what_customers_report_does_not_wait() {
    let mut story = capped(1);
    outages(&mut story, &["a", "b"]);
    assert_eq!(story.engine.state.held_back.len(), 1);
    story.command(Command::Request(PersonRequest {
        account: "acme".into(),
        service: None,
        kind: RequestKind::Inquiry,
        summary: "a question".into(),
        text: "how long?".into(),
        reported_at: story.now,
        sensitive: false,
    }));
    let told = titles(&story);
    assert!(told.last().unwrap().contains("a question"), "{told:?}");
    assert_eq!(story.engine.state.held_back.len(), 1);
}

#[test]
fn past_the_cap_one_list_stands_for_all_and_the_hour_brings_the_rest() {
    let mut story = capped(2);
    outages(&mut story, &["a", "b", "c", "d", "e"]);
    let told = titles(&story);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(
        told[2].contains("More than 2 tickets within an hour"),
        "{told:?}"
    );
    let notes = notes_of_the_list(&story);
    assert_eq!(notes.len(), 1, "one note for all: {notes:?}");
    for host in ["c bad", "d bad", "e bad"] {
        assert!(notes[0].contains(host), "{host}: {notes:?}");
    }
    // One is over by then, and is no ticket any more.
    let mut over = firing("d", "d", Hint::Outage);
    over.site = Some("d".to_owned());
    over.state = EventState::Resolved;
    story.event(over);
    story.after(3600);
    let told = titles(&story);
    assert_eq!(told.len(), 5, "{told:?}");
    assert!(told[3].contains('c') && told[4].contains('e'), "{told:?}");
    // Nothing waits any more: the list is over.
    let open: Vec<String> = story.open().iter().map(|i| i.title.clone()).collect();
    assert!(
        !open.iter().any(|title| title.contains("More than")),
        "{open:?}"
    );
    assert!(story.engine.state.held_back.is_empty());
}

#[test]
fn the_next_hour_has_the_same_cap() {
    let mut story = capped(1);
    outages(&mut story, &["a", "b", "c"]);
    assert_eq!(titles(&story).len(), 2, "the first one and the list");
    story.after(3600);
    assert_eq!(titles(&story).len(), 3);
    story.after(3600);
    assert_eq!(titles(&story).len(), 4);
    assert!(story.engine.state.held_back.is_empty());
}

#[test]
fn what_becomes_an_outage_of_customers_does_not_wait() {
    let mut story = capped(1);
    outages(&mut story, &["a", "b"]);
    let held = *story.engine.state.held_back.iter().next().unwrap();
    story.command(Command::SetSeverity {
        incident: held,
        severity: Some(Severity::S1),
        text: "two customers called".into(),
    });
    let last = story.engine.state.tickets.values().last().unwrap();
    assert_eq!(last.incident, held);
    assert!(story.engine.state.held_back.is_empty());
}

#[test]
fn what_waits_waits_over_a_restart() {
    let mut story = capped(1);
    outages(&mut story, &["a", "b"]);
    let mut disk = Disk::default();
    disk.keep(story.engine.take_delta());
    let wakes = story.engine.state.wakes.clone();
    story.engine = Engine::load(decisions(1), disk.loaded()).unwrap();
    assert_eq!(story.engine.state.wakes, wakes);
    story.after(300);
    assert_eq!(notes_of_the_list(&story).len(), 1);
    story.after(3300);
    assert_eq!(story.engine.state.tickets.len(), 3);
}
