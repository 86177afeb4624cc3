//! Stories over the engine alone: what arrives when, and what must follow.

use super::*;
use crate::inventory::{Inventory, InventoryFile};
use crate::model::event::{ComponentKind, Event, EventState, SeverityHint, Suppressed};
use crate::model::incident::{Ended, IncidentState};
use crate::model::input::{Input, Message, Sequenced};
use crate::model::saved::LoadedState;
use crate::model::ticket::{DeliveryReport, Origin, RemoteRef, TicketStatus};
use crate::model::{Command, Identity, SeverityHint as Hint};
use std::sync::Arc;
use std::time::Duration;

mod cap;
mod moved;
mod quarantine;
mod routes;

struct Story {
    engine: Engine,
    seq: u64,
    now: Time,
}

impl Story {
    fn new(decisions: Decisions) -> Story {
        let mut story = Story {
            engine: Engine::new(decisions),
            seq: 0,
            now: Time(1_000_000_000),
        };
        story.input(Input::Restart {
            version: "test".into(),
            generation: "g1".into(),
        });
        story
    }

    fn plain() -> Story {
        Story::new(Decisions {
            routes: vec![Route::desk()],
            ..Decisions::default()
        })
    }

    fn input(&mut self, input: Input) {
        self.seq += 1;
        self.engine.step(&Sequenced {
            seq: self.seq,
            at: self.now,
            input,
        });
    }

    fn after(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
        self.input(Input::Due);
    }

    fn events(&mut self, events: Vec<Event>) -> Vec<&'static str> {
        self.engine.take_said();
        self.input(Input::Message(Message::new("mon", "native", events)));
        let said = self.engine.take_said();
        said.outcomes
            .iter()
            .map(|(_, outcome)| outcome.word())
            .collect()
    }

    fn event(&mut self, event: Event) -> &'static str {
        self.events(vec![event])[0]
    }

    fn command(&mut self, command: Command) {
        self.input(Input::Command {
            author: "ana".into(),
            command,
        });
    }

    fn incidents(&self) -> Vec<&crate::model::Incident> {
        self.engine
            .state
            .incidents
            .values()
            .filter(|i| i.merged_into.is_none())
            .collect()
    }

    fn open(&self) -> Vec<&crate::model::Incident> {
        self.incidents()
            .into_iter()
            .filter(|i| i.state == IncidentState::Open)
            .collect()
    }

    fn tickets(&self) -> usize {
        self.engine.state.tickets.len()
    }
}

fn firing(key: &str, host: &str, hint: Hint) -> Event {
    let mut event = Event::new(
        EventState::Firing,
        Identity::key(key).unwrap(),
        format!("{key} bad"),
    );
    event.host = Some(host.into());
    event.severity_hint = hint;
    event
}

fn resolved(key: &str, host: &str) -> Event {
    Event {
        state: EventState::Resolved,
        ..firing(key, host, Hint::Outage)
    }
}

fn core_switch() -> Decisions {
    let file = InventoryFile::from_toml(
        r#"
        [[element]]
        id = "core-1"
        depends_on = ["psu@core-1"]
        [[element]]
        id = "psu1@core-1"
        part_of = "core-1"
        [[element]]
        id = "psu2@core-1"
        part_of = "core-1"
        [[element]]
        id = "gi0/1@core-1"
        part_of = "core-1"
        [[group]]
        id = "psu@core-1"
        members = ["psu1@core-1", "psu2@core-1"]
        needs = 1
        [[service]]
        id = "transit"
        depends_on = ["core-1"]
        accounts = ["acme", "globex"]
        "#,
    )
    .unwrap();
    Decisions {
        inventory: Arc::new(Inventory::build(file).unwrap()),
        routes: vec![Route::desk()],
        ..Decisions::default()
    }
}

fn part(component: &str, hint: Hint) -> Event {
    let mut event = firing(component, "core-1", hint);
    event.component = Some(component.into());
    event
}

#[test]
fn a_problem_its_repeat_and_its_recovery_are_one_ticket() {
    let mut story = Story::plain();
    assert_eq!(story.event(firing("p", "h", Hint::Outage)), "opened");
    assert_eq!(story.event(firing("p", "h", Hint::Outage)), "deduplicated");
    assert_eq!(story.tickets(), 1);
    assert_eq!(story.open()[0].severity, Some(Severity::S2));
    assert!(story.open()[0].needs_triage);
    assert_eq!(story.event(resolved("p", "h")), "resolved");
    let ticket = story.engine.state.tickets.values().next().unwrap();
    assert_eq!(ticket.wanted.status, TicketStatus::Resolved);
    assert_eq!(story.event(firing("p", "h", Hint::Outage)), "reopened");
    assert_eq!(story.tickets(), 1);
}

#[test]
fn the_second_supply_turns_the_s4_into_an_s1_on_the_same_ticket() {
    let mut story = Story::new(core_switch());
    assert_eq!(story.event(part("psu1", Hint::Redundancy)), "held");
    story.after(121);
    let incident = story.open()[0];
    assert_eq!(incident.severity, Some(Severity::S4));
    assert_eq!(
        incident.next_failure,
        "then S1: 1 service(s), 2 customer(s): transit; acme, globex"
    );
    assert_eq!(story.event(part("psu2", Hint::Redundancy)), "grouped");
    let incident = story.open()[0];
    assert_eq!(incident.severity, Some(Severity::S1));
    assert_eq!(incident.basis, crate::model::Basis::Inventory);
    assert_eq!(incident.periods.len(), 2);
    assert_eq!(story.tickets(), 1);
    // The supply comes back: S4 again, once that has held, dated by when it came back.
    let back = story.now;
    story.event(Event {
        state: EventState::Resolved,
        ..part("psu2", Hint::Redundancy)
    });
    assert_eq!(story.open()[0].severity, Some(Severity::S1));
    story.after(901);
    let incident = story.open()[0];
    assert_eq!(incident.severity, Some(Severity::S4));
    assert_eq!(incident.periods[1].until, Some(back));
}

#[test]
fn a_root_that_speaks_later_takes_in_what_it_explains() {
    let mut story = Story::new(core_switch());
    assert_eq!(story.event(part("gi0/1", Hint::Outage)), "held");
    story.after(3);
    assert_eq!(story.event(firing("down", "core-1", Hint::Outage)), "held");
    story.after(11);
    assert_eq!(story.open().len(), 1);
    assert_eq!(story.open()[0].members, 2);
    assert_eq!(story.open()[0].severity, Some(Severity::S1));
    assert_eq!(story.tickets(), 1);
}

#[test]
fn a_blip_within_its_hold_opens_nothing() {
    let mut story = Story::plain();
    assert_eq!(story.event(firing("p", "h", Hint::Degradation)), "held");
    story.after(20);
    assert_eq!(story.event(resolved("p", "h")), "transient");
    story.after(300);
    assert_eq!(story.tickets(), 0);
    assert_eq!(story.incidents()[0].ended, Some(Ended::Transient));
}

#[test]
fn a_recovery_of_nothing_opens_nothing_and_tests_and_notices_neither() {
    let mut story = Story::plain();
    assert_eq!(story.event(resolved("p", "h")), "orphan_recovery");
    assert_eq!(
        story.event(Event {
            test: true,
            ..firing("t", "h", Hint::Outage)
        }),
        "test"
    );
    assert_eq!(
        story.event(Event {
            state: EventState::Info,
            ..firing("i", "h", Hint::Info)
        }),
        "info"
    );
    assert_eq!(story.tickets(), 0);
    assert!(story.incidents().is_empty());
}

#[test]
fn the_end_of_flapping_in_a_good_state_is_the_recovery_that_is_never_told() {
    let mut story = Story::plain();
    assert_eq!(story.event(firing("p", "h", Hint::Outage)), "opened");
    let notice = |word: &str, state: &str| {
        let mut event = firing("p", "h", Hint::Unknown);
        event.state = EventState::Info;
        event.suppressed = Some(Suppressed::Flapping);
        event.severity = Some(state.to_owned());
        event.labels.insert("notification".into(), word.into());
        event
    };
    assert_eq!(story.event(notice("FLAPPINGSTART", "OK")), "info");
    assert_eq!(story.event(notice("FLAPPINGEND", "CRITICAL")), "info");
    assert_eq!(story.open().len(), 1);
    story.event(notice("FLAPPINGEND", "OK"));
    story.after(3600);
    assert!(story.open().is_empty());
    assert_eq!(story.tickets(), 1);
}

#[test]
fn a_late_firing_of_an_ended_episode_leaves_the_ticket_closed() {
    let mut story = Story::plain();
    let at = |seconds: i64| Some(Time(1_000_000_000 + seconds * 1000));
    story.after(200);
    let first = Event {
        starts_at: at(0),
        ..firing("p", "h", Hint::Outage)
    };
    story.event(first.clone());
    story.event(Event {
        state: EventState::Resolved,
        ends_at: at(100),
        ..first.clone()
    });
    assert_eq!(story.event(first), "late");
    assert_eq!(story.incidents()[0].state, IncidentState::Resolved);
    let next = Event {
        starts_at: at(150),
        ..firing("p", "h", Hint::Outage)
    };
    assert_eq!(story.event(next), "reopened");
}

#[test]
fn four_hundred_hosts_are_one_ticket_to_look_at() {
    let mut story = Story::plain();
    for n in 0..400 {
        let mut event = firing(&format!("p{n}"), &format!("h{n}"), Hint::Outage);
        event.site = Some("ams".into());
        story.event(event);
    }
    assert_eq!(story.open().len(), 1);
    let storm = story.open()[0];
    assert!(storm.storm && storm.needs_triage);
    assert_eq!(storm.members, 400);
    // What opened before the threshold is closed as part of the storm.
    let open = story
        .engine
        .state
        .tickets
        .values()
        .filter(|t| !t.wanted.status.is_over())
        .count();
    assert_eq!(open, 1);
    for n in 0..400 {
        story.event(resolved(&format!("p{n}"), &format!("h{n}")));
    }
    assert!(story.open().is_empty());
}

#[test]
fn stale_is_marked_and_not_a_recovery() {
    let mut story = Story::plain();
    let expires = Some(story.now.plus(Duration::from_secs(60)));
    story.event(Event {
        ends_at: expires,
        ..firing("p", "h", Hint::Outage)
    });
    story.after(120);
    let alert = story.engine.state.alerts.values().next().unwrap();
    assert_eq!(alert.state, crate::model::AlertState::Stale);
    assert_eq!(story.open().len(), 1);
    story.event(firing("p", "h", Hint::Outage));
    let alert = story.engine.state.alerts.values().next().unwrap();
    assert_eq!(alert.state, crate::model::AlertState::Firing);
}

#[test]
fn still_bad_at_the_end_of_a_silence_opens_a_ticket() {
    let mut story = Story::plain();
    let until = story.now.plus(Duration::from_secs(3600));
    story.command(Command::Silence {
        matchers: vec!["host=h".into()],
        reason: "known".into(),
        until,
        holds_s1: false,
    });
    assert_eq!(
        story.event(firing("p", "h", Hint::Outage)),
        "suppressed_silence"
    );
    assert_eq!(story.tickets(), 0);
    story.after(3601);
    assert_eq!(story.tickets(), 1);
}

#[test]
fn flapping_is_one_ticket_that_closes_after_a_quiet_time() {
    let mut story = Story::plain();
    for _ in 0..10 {
        story.event(firing("p", "h", Hint::Outage));
        story.after(10);
        story.event(resolved("p", "h"));
        story.after(10);
    }
    assert_eq!(story.tickets(), 1);
    assert!(story.incidents()[0].flapping);
    assert_eq!(story.incidents()[0].state, IncidentState::Open);
    story.after(1000);
    assert_eq!(story.incidents()[0].state, IncidentState::Resolved);
}

#[test]
fn a_persons_severity_stands_until_the_facts_get_worse() {
    let mut story = Story::new(core_switch());
    story.event(part("psu1", Hint::Redundancy));
    story.after(121);
    let id = story.open()[0].id;
    story.command(Command::SetSeverity {
        incident: id,
        severity: Some(Severity::S3),
        text: "noisy".into(),
    });
    assert_eq!(story.open()[0].severity, Some(Severity::S3));
    story.event(part("psu2", Hint::Redundancy));
    assert_eq!(story.open()[0].severity, Some(Severity::S1));
}

#[test]
fn an_unlinked_ticket_key_is_stable_and_bound_to_the_generation() {
    let mut story = Story::plain();
    story.event(firing("p", "h", Hint::Outage));
    let key = story
        .engine
        .state
        .tickets
        .values()
        .next()
        .unwrap()
        .key
        .clone();
    assert!(key.len() <= 40 && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));
    let mut other = Story::plain();
    other.input(Input::Restart {
        version: "t".into(),
        generation: "g2".into(),
    });
    other.event(firing("p", "h", Hint::Outage));
    assert_ne!(other.engine.state.tickets.values().next().unwrap().key, key);
}

#[test]
fn delivery_reports_end_the_work() {
    let mut story = Story::plain();
    story.event(firing("p", "h", Hint::Outage));
    let ticket = story.engine.state.tickets.values().next().unwrap().clone();
    assert!(ticket.has_work());
    story.input(Input::Delivery(DeliveryReport {
        ticket: ticket.id,
        version_done: ticket.version_wanted,
        written: Some(ticket.wanted.clone()),
        read: None,
        remote: Some(RemoteRef {
            key: "17".into(),
            url: String::new(),
        }),
        origin: Some(Origin::Created),
        notes_done: Vec::new(),
        trouble: None,
        twins_closed: Vec::new(),
    }));
    let ticket = story.engine.state.tickets.values().next().unwrap();
    assert!(!ticket.has_work());
    let ticket = ticket.id;
    assert_eq!(story.engine.state.by_remote.len(), 1);
    // A number that is mistyped gives nothing up.
    let text = String::new();
    let refused = story
        .engine
        .obey("ana", &Command::DropTicket { ticket, text });
    assert!(refused.unwrap_err().contains("waits for nothing"));
}

/// A state saved after every step and loaded again, at any point, goes on as if nothing happened.
#[test]
fn a_restart_at_any_point_changes_nothing() {
    let script = |story: &mut Story, n: u64| match n % 7 {
        0 => drop(story.event(part("psu1", Hint::Redundancy))),
        1 => story.after(130),
        2 => drop(story.event(firing(&format!("x{n}"), "web", Hint::Degradation))),
        3 => drop(story.event(part("psu2", Hint::Redundancy))),
        4 => drop(story.event(Event {
            state: EventState::Resolved,
            ..part("psu2", SeverityHint::Redundancy)
        })),
        5 => story.after(400),
        _ => drop(story.event(resolved(&format!("x{}", n - 4), "web"))),
    };
    let summary = |story: &Story| format!("{:?}", story.engine.state.incidents);
    let mut whole = Story::new(core_switch());
    let mut broken = Story::new(core_switch());
    let mut disk = Disk::default();
    disk.keep(broken.engine.take_delta());
    for n in 0..60 {
        script(&mut whole, n);
        whole.engine.take_delta();
        script(&mut broken, n);
        disk.keep(broken.engine.take_delta());
        broken.engine = Engine::load(core_switch(), disk.loaded()).unwrap();
        assert_eq!(summary(&whole), summary(&broken), "after step {n}");
        assert_eq!(
            whole.engine.state.wakes, broken.engine.state.wakes,
            "after step {n}"
        );
    }
}

#[derive(Default)]
struct Disk {
    state: LoadedState,
    alerts: BTreeMap<u64, Vec<u8>>,
    incidents: BTreeMap<u64, Option<Vec<u8>>>,
    tickets: BTreeMap<u64, Vec<u8>>,
    things: BTreeMap<(String, String), Vec<u8>>,
}

impl Disk {
    fn keep(&mut self, delta: crate::model::saved::StateDelta) {
        self.state.cursor = delta.cursor;
        self.state.served_until = delta.served_until;
        self.alerts
            .extend(delta.alerts.into_iter().map(|row| (row.id.0, row.body)));
        self.incidents.extend(
            delta
                .incidents
                .into_iter()
                .map(|row| (row.id.0, row.live.then_some(row.body))),
        );
        self.tickets
            .extend(delta.tickets.into_iter().map(|row| (row.id.0, row.body)));
        for thing in delta.things {
            self.things
                .insert((thing.kind.to_owned(), thing.key), thing.value);
        }
        self.things.retain(|_, value| !value.is_empty());
    }

    fn loaded(&self) -> LoadedState {
        LoadedState {
            alerts: self.alerts.values().cloned().collect(),
            incidents: self.incidents.values().flatten().cloned().collect(),
            tickets: self.tickets.values().cloned().collect(),
            things: self
                .things
                .iter()
                .map(|((k, n), v)| (k.clone(), n.clone(), v.clone()))
                .collect(),
            ..self.state.clone()
        }
    }
}

#[test]
fn a_host_that_is_down_without_an_inventory_takes_in_its_parts() {
    let mut story = Story::plain();
    story.event(firing("port", "sw1", Hint::Outage));
    let mut down = firing("down", "SW1", Hint::Outage);
    down.component_kind = Some(ComponentKind::Device);
    story.event(down);
    assert_eq!(story.open().len(), 1);
    let mut other = firing("other-monitor", "sw1", Hint::Outage);
    other.component_kind = Some(ComponentKind::Device);
    assert_eq!(story.event(other), "grouped");
}

/// Zabbix numbers each problem of a trigger anew: it is the same trouble all the same.
#[test]
fn a_new_number_of_the_same_trouble_goes_back_to_its_ticket_and_counts_as_flapping() {
    let mut story = Story::plain();
    let problem = |number: u32, state: EventState| {
        let mut event = firing(&number.to_string(), "rtr1", Hint::Outage);
        event.state = state;
        event.condition = Some("trigger 7".into());
        event
    };
    assert_eq!(story.event(problem(1, EventState::Firing)), "opened");
    for number in 1..8 {
        story.after(30);
        assert_eq!(
            story.event(problem(number, EventState::Resolved)),
            "resolved"
        );
        story.after(30);
        assert_eq!(
            story.event(problem(number + 1, EventState::Firing)),
            "reopened"
        );
    }
    assert_eq!(story.incidents().len(), 1);
    assert_eq!(story.tickets(), 1);
    assert!(story.incidents()[0].flapping);
    // Another trigger of the same host is another problem.
    let mut other = problem(99, EventState::Firing);
    other.host = Some("rtr2".into());
    other.condition = Some("trigger 8".into());
    assert_eq!(story.event(other), "opened");
}

#[test]
fn what_fires_at_the_first_contact_is_one_list() {
    let mut story = Story::new(Decisions {
        routes: vec![Route::desk()],
        baseline: ["mon".to_owned()].into(),
        ..Decisions::default()
    });
    for host in ["a", "b", "c", "d"] {
        story.event(firing(host, host, Hint::Outage));
        story.after(20);
    }
    // The ticket opens when the list is whole.
    assert_eq!((story.incidents().len(), story.tickets()), (1, 0));
    story.after(300);
    assert_eq!((story.open().len(), story.tickets()), (1, 1));
    assert_eq!(story.open()[0].members, 4);
    // What begins later is a problem of its own.
    story.after(100);
    assert_eq!(story.event(firing("e", "e", Hint::Outage)), "opened");
    assert_eq!(story.tickets(), 2);
}
