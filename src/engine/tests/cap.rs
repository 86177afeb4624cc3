//! The cap of new tickets an hour.

use super::*;

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
    let list = story.engine.state.tickets.values().last().unwrap();
    let notes: Vec<&str> = list.notes.iter().map(|note| note.text.as_str()).collect();
    for host in ["c", "d", "e"] {
        assert!(
            notes.iter().any(|note| note.contains(host)),
            "{host}: {notes:?}"
        );
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
    story.engine = Engine::load(decisions(1), disk.loaded()).unwrap();
    story.after(3600);
    assert_eq!(story.engine.state.tickets.len(), 3);
}
