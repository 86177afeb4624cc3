//! The engine that a history happens to, and what the daemon does around it.

use super::acts::{Act, SOURCES, TARGETS};
use crate::disk::Disk;
use alertbridge::engine::state::State;
use alertbridge::engine::{
    CaseTickets, Decisions, Engine, RecurringConfig, RecurringWindow, Route,
};
use alertbridge::inventory::{Inventory, InventoryFile};
use alertbridge::model::event::{Event, EventState, SeverityHint};
use alertbridge::model::input::{Input, Message, Sequenced};
use alertbridge::model::notice::{
    MaintenanceImpact, MaintenanceNotice, MaintenanceObject, MaintenanceStatus, MaintenanceWindow,
};
use alertbridge::model::ticket::{Origin, PersonChange, PersonDid, RemoteRef};
use alertbridge::model::{
    AlertId, Command, DeliveryReport, Identity, Incident, IncidentId, PersonRequest, RequestKind,
    SilenceId, TicketId, TicketStatus, Time, WantedTicket, WindowId,
};
use alertbridge::sla::SlaSections;
use jiff::tz::TimeZoneDatabase;
use std::sync::Arc;
use std::time::Duration;

const INVENTORY: &str = r#"
[[account]]
id = "acme"
[[account]]
id = "globex"
[[element]]
id = "feed"
[[element]]
id = "sw-1"
depends_on = ["feed", "psu@sw-1"]
[[element]]
id = "psu1@sw-1"
part_of = "sw-1"
[[element]]
id = "psu2@sw-1"
part_of = "sw-1"
[[group]]
id = "psu@sw-1"
members = ["psu1@sw-1", "psu2@sw-1"]
needs = 1
[[element]]
id = "sw-2"
depends_on = ["feed"]
[[element]]
id = "web-1"
depends_on = ["sw-1"]
[[element]]
id = "web-2"
depends_on = ["sw-2"]
[[element]]
id = "db-1"
depends_on = ["sw-1"]
[[element]]
id = "leg-a"
depends_on = ["sw-1"]
[[element]]
id = "leg-b"
depends_on = ["sw-2"]
[[group]]
id = "legs"
members = ["leg-a", "leg-b"]
needs = 1
[[element]]
id = "www"
watchers = ["mon-a", "mon-b", "mon-c"]
quorum = 2
[[service]]
id = "acmeshop"
depends_on = ["web-1"]
accounts = ["acme"]
[[service]]
id = "globexmail"
depends_on = ["web-2", "www"]
accounts = ["globex"]
[[service]]
id = "wave"
depends_on = ["legs"]
accounts = ["acme", "globex"]
"#;

const CONTRACTS: &str = r#"
[contract.acme]
policy = "three-level"
[contract.globex]
policy = "three-level"
"#;

pub struct World {
    pub engine: Engine,
    pub decisions: Decisions,
    pub disk: Disk,
    /// Outcomes that were missing or too many.
    pub miscounted: Vec<String>,
    /// Whether a person opened something again.
    pub reopened: bool,
    restarts: bool,
    now: Time,
    seq: u64,
}

impl World {
    pub fn new(restarts: bool) -> World {
        let decisions = decisions();
        let mut world = World {
            engine: Engine::new(decisions.clone()),
            decisions,
            disk: Disk::default(),
            miscounted: Vec::new(),
            reopened: false,
            restarts,
            now: Time::parse_rfc3339("2026-03-02T00:30:00Z").unwrap(),
            seq: 0,
        };
        world.input(Input::Restart {
            version: "test".to_owned(),
            generation: "g1".to_owned(),
        });
        world
    }

    pub fn state(&self) -> &State {
        self.engine.state()
    }

    /// The incidents, for a person who looks at what went wrong.
    pub fn shown(&self) -> Vec<String> {
        let shown = |i: &Incident| {
            let members = self.state().members.get(&i.id);
            let (id, state, severity) = (i.id, i.state, i.severity);
            let (merged, services, reason) = (i.merged_into, &i.services, &i.reason);
            format!("{id} {state:?} {severity:?} {merged:?} {members:?} {services:?} {reason}")
        };
        self.state().incidents.values().map(shown).collect()
    }

    fn input(&mut self, input: Input) {
        self.seq += 1;
        let events = match &input {
            // One without events has an outcome as well.
            Input::Message(message) => message.events.len().max(1),
            _ => 0,
        };
        self.engine.step(&Sequenced {
            seq: self.seq,
            at: self.now,
            input,
        });
        let said = self.engine.take_said();
        if said.outcomes.len() != events {
            let found = said.outcomes.len();
            self.miscounted
                .push(format!("{events} events, {found} outcomes"));
        }
        let delta = self.engine.take_delta();
        self.disk.keep(&delta);
        if self.restarts {
            let loaded = self.disk.loaded();
            self.engine = Engine::load(self.decisions.clone(), loaded).unwrap();
        }
        for incident in said.remains {
            let remains = self.disk.remains_of(incident);
            self.input(Input::Remains(remains));
        }
    }

    fn wait(&mut self, seconds: u64) {
        let until = self.now.plus(Duration::from_secs(seconds));
        while let Some(wake) = self.engine.next_wake()
            && wake <= until
        {
            self.now = self.now.max(wake);
            self.input(Input::Due);
        }
        self.now = until;
    }

    pub fn play(&mut self, act: &Act) {
        let in_tracker = matches!(act, Act::InTracker(_, TicketStatus::Open));
        self.reopened |= in_tracker || matches!(act, Act::Reopen(_));
        match act {
            Act::Fire(source, target, hint) => {
                self.event(*source, TARGETS[*target], EventState::Firing, *hint);
            }
            Act::Clear(source, target) => {
                let hint = SeverityHint::Outage;
                self.event(*source, TARGETS[*target], EventState::Resolved, hint);
            }
            Act::Acknowledged(source, target) => {
                let hint = SeverityHint::Outage;
                self.event(*source, TARGETS[*target], EventState::Acknowledged, hint);
            }
            Act::Burst(count) => self.burst(*count, EventState::Firing),
            Act::ClearBurst => self.burst(14, EventState::Resolved),
            Act::Wait(seconds) => self.wait(*seconds),
            Act::Alive(source) => {
                self.input(Input::Message(Message::new(
                    SOURCES[*source],
                    "native",
                    Vec::new(),
                )));
            }
            Act::ClockStep => self.input(Input::ClockStep { by_ms: 90_000 }),
            Act::Notice(target, sequence, seconds, cancelled) => {
                self.notice(TARGETS[*target], *sequence, *seconds, *cancelled);
            }
            Act::Delivered => self.deliver(),
            Act::InTracker(nth, status) => self.in_tracker(*nth, PersonDid::Status(*status)),
            Act::Answered(nth) => {
                let text = "We are on it.".to_owned();
                self.in_tracker(
                    *nth,
                    PersonDid::Answered {
                        text,
                        promise: None,
                    },
                );
            }
            people => self.people(people),
        }
    }

    fn people(&mut self, act: &Act) {
        let later = |seconds: u64| self.now.plus(Duration::from_secs(seconds));
        let incident = |nth: usize| self.some_incident(nth);
        let about = |target: usize| vec![format!("host={}", TARGETS[target])];
        let text = "looked at".to_owned();
        let command = match act {
            Act::Silence(target, seconds, holds_s1) => Command::Silence {
                matchers: about(*target),
                reason: text,
                until: later(*seconds + 1),
                holds_s1: *holds_s1,
            },
            Act::EndSilence(id) => Command::EndSilence {
                silence: SilenceId(*id),
            },
            Act::Window(target, from, lasts) => Command::OpenWindow {
                matchers: about(*target),
                reason: text,
                starts_at: later(*from),
                ends_at: later(*from + *lasts + 1),
            },
            Act::EndWindow(id) => Command::EndWindow {
                window: WindowId(*id),
            },
            Act::Severity(nth, severity) => Command::SetSeverity {
                incident: incident(*nth),
                severity: *severity,
                text,
            },
            Act::Acknowledge(nth) => Command::Acknowledge {
                incident: incident(*nth),
            },
            Act::Assign(nth) => Command::Assign {
                incident: incident(*nth),
                owner: "mori".to_owned(),
            },
            Act::Resolve(nth, false_alarm) => Command::Resolve {
                incident: incident(*nth),
                false_alarm: *false_alarm,
                text,
            },
            Act::Reopen(nth) => Command::Reopen {
                incident: incident(*nth),
            },
            Act::CloseAlert(nth) => Command::CloseAlert {
                alert: AlertId(*nth as u64 + 1),
            },
            Act::Report(which) => {
                let (account, service) = [("acme", "acmeshop"), ("globex", "wave")][*which];
                Command::Request(PersonRequest {
                    account: account.to_owned(),
                    service: Some(service.to_owned()),
                    kind: RequestKind::Outage,
                    reported_at: self.now,
                    summary: "it does not work".to_owned(),
                    text: String::new(),
                    sensitive: false,
                })
            }
            _ => return,
        };
        let author = "mori".to_owned();
        self.input(Input::Command { author, command });
    }

    fn some_incident(&self, nth: usize) -> IncidentId {
        let known: Vec<IncidentId> = self.state().incidents.keys().copied().collect();
        let place = nth % known.len().max(1);
        known.get(place).copied().unwrap_or(IncidentId(1))
    }

    fn event(&mut self, source: usize, target: &str, state: EventState, hint: SeverityHint) {
        let mut event = Event::new(state, Identity::key(target).unwrap(), format!("{target}!"));
        let (component, host) = target
            .split_once('@')
            .map_or((None, target), |(part, host)| (Some(part), host));
        event.host = Some(host.to_owned());
        event.component = component.map(str::to_owned);
        event.severity_hint = hint;
        event.site = Some("ams".to_owned());
        let message = Message::new(SOURCES[source], "native", vec![event]);
        self.input(Input::Message(message));
    }

    fn burst(&mut self, count: usize, state: EventState) {
        let events = (0..count)
            .map(|n| {
                let host = format!("burst-{n}");
                let mut event = Event::new(state, Identity::key(&host).unwrap(), "down");
                event.host = Some(host);
                event.severity_hint = SeverityHint::Outage;
                event.site = Some("ams".to_owned());
                event
            })
            .collect();
        self.input(Input::Message(Message::new(SOURCES[0], "native", events)));
    }

    fn notice(&mut self, target: &str, sequence: i64, seconds: u64, cancelled: bool) {
        let mut message = Message::new("carrier", "native", Vec::new());
        let starts_at = self.now.plus(Duration::from_secs(seconds));
        message.maintenance.push(MaintenanceNotice {
            provider: "carrier".to_owned(),
            maintenance_id: format!("CR-{}", sequence % 2),
            account: None,
            status: if cancelled {
                MaintenanceStatus::Cancelled
            } else {
                MaintenanceStatus::Confirmed
            },
            summary: "line work".to_owned(),
            objects: vec![MaintenanceObject {
                id: target.to_owned(),
                impact: MaintenanceImpact::Outage,
            }],
            windows: vec![MaintenanceWindow {
                starts_at,
                ends_at: Some(starts_at.plus(Duration::from_secs(3600))),
            }],
            sequence,
            unclear: Vec::new(),
        });
        self.input(Input::Message(message));
    }

    fn deliver(&mut self) {
        let waiting = self.state().tickets.values().filter(|t| t.has_work());
        let reports: Vec<DeliveryReport> = waiting.map(report).collect();
        for report in reports {
            self.input(Input::Delivery(report));
        }
    }

    fn in_tracker(&mut self, nth: usize, what: PersonDid) {
        let known: Vec<TicketId> = self.state().tickets.keys().copied().collect();
        let Some(ticket) = known.get(nth % known.len().max(1)) else {
            return;
        };
        let ticket = &self.state().tickets[ticket];
        let Some(remote) = ticket.remote.clone() else {
            return;
        };
        let change = PersonChange {
            tracker: ticket.tracker.clone(),
            remote: remote.key,
            change_id: self.seq.to_string(),
            at: self.now,
            author: "mori".to_owned(),
            what,
        };
        self.input(Input::Person(change));
    }
}

fn decisions() -> Decisions {
    let root = env!("CARGO_MANIFEST_DIR");
    let path = format!("{root}/config/policies/three-level.toml");
    let text = std::fs::read_to_string(path).unwrap() + CONTRACTS;
    let sections: SlaSections = toml::from_str(&text).unwrap();
    let (sla, _) = sections.compile(&TimeZoneDatabase::bundled()).unwrap();
    let file = InventoryFile::from_toml(INVENTORY).unwrap();
    let nightly = RecurringConfig {
        name: "nightly".to_owned(),
        matchers: vec!["element=sw-2".to_owned()],
        at: "01:00".to_owned(),
        lasts: "1h".to_owned(),
        ..RecurringConfig::default()
    };
    Decisions {
        inventory: Arc::new(Inventory::build(file).unwrap()),
        routes: vec![Route {
            case_tickets: CaseTickets::Always,
            ..Route::desk()
        }],
        sla: Arc::new(sla),
        recurring: vec![RecurringWindow::compile(nightly).unwrap()],
        expected: vec![(SOURCES[1].to_owned(), Duration::from_secs(1800))],
        ..Decisions::default()
    }
}

/// What a tracker that does as it is told reports.
fn report(ticket: &WantedTicket) -> DeliveryReport {
    DeliveryReport {
        ticket: ticket.id,
        version_done: ticket.version_wanted,
        written: Some(ticket.wanted.clone()),
        read: Some(ticket.wanted.clone()),
        remote: Some(RemoteRef {
            key: format!("T{}", ticket.id.0),
            url: String::new(),
        }),
        origin: Some(Origin::Created),
        notes_done: ticket.notes.iter().map(|n| n.marker.clone()).collect(),
        trouble: None,
        twins_closed: Vec::new(),
    }
}
