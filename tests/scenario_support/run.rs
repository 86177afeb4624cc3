//! Plays acts to an engine: no I/O, the clock is the script's.

use super::disk::{Disk, printed};
use super::file::{Person, Scenario, offset};
use super::script::Act;
use alertbridge::engine::Engine;
use alertbridge::engine::state::State;
use alertbridge::model::event::{Event, EventState};
use alertbridge::model::identity::AlertKey;
use alertbridge::model::input::{Input, Message, Sequenced};
use alertbridge::model::notice::{
    MaintenanceImpact, MaintenanceNotice, MaintenanceObject, MaintenanceStatus, MaintenanceWindow,
};
use alertbridge::model::saved::decode_body;
use alertbridge::model::ticket::{Origin, RemoteRef};
use alertbridge::model::{
    AlertId, Command, DeliveryReport, Identity, Incident, IncidentId, PersonChange, PersonDid,
    PersonRequest, RequestKind, SeverityHint, SilenceId, TicketStatus, Time, WantedTicket,
    WindowId,
};
use alertbridge::store::sqlite::{SqliteStore, StoreOptions};
use alertbridge::store::{Journal, NewInput, StateStore};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

/// How the engine is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Deadlines are served when they fall due.
    Plain,
    /// Deadlines are served with the next input only.
    Sleepy,
    /// Saved and loaded after every input.
    Restarted,
}

/// How long a story goes on after its last step, so that what is pending settles.
const SETTLE: Duration = Duration::from_secs(3600);

pub struct Run {
    pub engine: Engine,
    mode: Mode,
    scenario: ScenarioFacts,
    start: Time,
    now: Time,
    seq: u64,
    disk: Disk,
    inputs: Vec<(Time, Input)>,
    names: BTreeMap<AlertKey, String>,
    pub outcome: &'static str,
    pub told: Vec<&'static str>,
    /// Texts of notes on tickets.
    pub noted: BTreeSet<String>,
}

struct ScenarioFacts {
    times: bool,
    sent: bool,
    decisions: alertbridge::engine::Decisions,
}

/// A ticket that is not merged, as it must be whatever the order of arrival.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket {
    members: Vec<String>,
    severity: String,
    basis: &'static str,
    over: bool,
    category: &'static str,
    services: Vec<String>,
    accounts: Vec<String>,
    storm: bool,
    flapping: bool,
}

impl Run {
    pub fn new(scenario: &Scenario, mode: Mode) -> Run {
        let begins = scenario.begins.as_deref().unwrap_or("2026-03-02T08:00:00Z");
        let start = Time::parse_rfc3339(begins).unwrap();
        let decisions = scenario.decisions();
        let mut run = Run {
            engine: Engine::new(decisions.clone()),
            mode,
            scenario: ScenarioFacts {
                times: scenario.times,
                sent: scenario.sent,
                decisions,
            },
            start,
            now: start,
            seq: 0,
            disk: Disk::default(),
            inputs: Vec::new(),
            names: BTreeMap::new(),
            outcome: "",
            told: Vec::new(),
            noted: BTreeSet::new(),
        };
        run.input(restart());
        run
    }

    /// Plays everything and waits until what is pending has settled.
    pub fn finished(scenario: &Scenario, mode: Mode, acts: &[Act]) -> Run {
        let mut run = Run::new(scenario, mode);
        let mut last = Duration::ZERO;
        for act in acts {
            run.play(act);
        }
        for step in &scenario.steps {
            last = last.max(offset(&step.at));
        }
        run.wait_until(run.start.plus(last).plus(SETTLE));
        run.input(Input::Due);
        run
    }

    fn wait_until(&mut self, at: Time) {
        while self.mode != Mode::Sleepy
            && let Some(wake) = self.engine.next_wake()
            && wake <= at
        {
            self.now = self.now.max(wake);
            self.input(Input::Due);
        }
        self.now = self.now.max(at);
    }

    pub fn play(&mut self, act: &Act) {
        self.wait_until(self.start.plus(act.at));
        let step = &act.step;
        if let Some((source, target)) = act.identity() {
            let event = self.event(act, &target);
            let key = AlertKey::of(&source, &event.identity);
            let what = target.rsplit_once('/').unwrap().0;
            let name = if source == "mon" {
                what.to_owned()
            } else {
                format!("{source}:{what}")
            };
            self.names.insert(key, name);
            let mut message = message(&source);
            message.account.clone_from(&step.account);
            message.events.push(event);
            self.input(Input::Message(message));
        } else if let Some(Person::Delivered | Person::DeliveredWithoutReopening) = &step.person {
            let reopens = matches!(step.person, Some(Person::Delivered));
            let tickets = self.state().tickets.values().filter(|t| t.has_work());
            let reports: Vec<_> = tickets.map(|ticket| report(ticket, reopens)).collect();
            for report in reports {
                self.input(Input::Delivery(report));
            }
        } else if let Some(person) = &step.person {
            let input = self.person(person);
            self.input(input);
        } else if step.restart {
            self.input(restart());
        } else if let Some(seconds) = step.clock_step {
            self.input(Input::ClockStep {
                by_ms: seconds * 1000,
            });
        } else {
            self.input(Input::Due);
        }
    }

    fn event(&self, act: &Act, target: &str) -> Event {
        let step = &act.step;
        let skewed = |at: Duration| Time(self.start.plus(at).0 + step.skew * 1000);
        let state = if step.clear.is_some() {
            EventState::Resolved
        } else if step.ack.is_some() {
            EventState::Acknowledged
        } else if step.notice.is_some() {
            EventState::Info
        } else {
            EventState::Firing
        };
        let identity = Identity::key(target).unwrap();
        let what = target.rsplit_once('/').unwrap().0;
        let mut event = Event::new(state, identity, format!("{what} has a problem"));
        let (component, host) = what
            .split_once('@')
            .map_or((None, what), |(part, host)| (Some(part), host));
        event.host = Some(host.to_owned()).filter(|host| !host.is_empty());
        event.component = component.map(str::to_owned);
        event.component_kind = step.kind;
        event.check.clone_from(&step.check);
        event.site.clone_from(&step.site);
        event.service.clone_from(&step.service);
        event.labels.clone_from(&step.labels);
        event.suppressed = step.suppressed;
        event.test = step.test;
        event.severity_hint = step.hint.unwrap_or(SeverityHint::Outage);
        if self.scenario.times {
            match state {
                EventState::Resolved => event.ends_at = Some(skewed(act.when)),
                _ => event.starts_at = Some(skewed(act.when)),
            }
        }
        if self.scenario.sent {
            event.sent_at = Some(skewed(act.when));
        }
        if let Some(expires) = &step.expires {
            event.ends_at = Some(skewed(act.when + offset(expires)));
        }
        event
    }

    fn person(&self, person: &Person) -> Input {
        let at = |text: &str| self.start.plus(offset(text));
        let command = match person.clone() {
            Person::Silence {
                matchers,
                lasts,
                holds_s1,
            } => Command::Silence {
                matchers,
                reason: "known".to_owned(),
                until: self.now.plus(offset(&lasts)),
                holds_s1,
            },
            Person::EndSilence(id) => Command::EndSilence {
                silence: SilenceId(id),
            },
            Person::Window {
                matchers,
                from,
                until,
            } => Command::OpenWindow {
                matchers,
                reason: "planned work".to_owned(),
                starts_at: at(&from),
                ends_at: at(&until),
            },
            Person::EndWindow(id) => Command::EndWindow {
                window: WindowId(id),
            },
            Person::Severity { on, to } => Command::SetSeverity {
                incident: self.incident_of(&on),
                severity: to.map(|to| to.parse().unwrap()),
                text: "looked at".to_owned(),
            },
            Person::Acknowledge(on) => Command::Acknowledge {
                incident: self.incident_of(&on),
            },
            Person::Assign { on, owner } => Command::Assign {
                incident: self.incident_of(&on),
                owner,
            },
            Person::Resolve(on) => self.resolve(&on, false),
            Person::FalseAlarm(on) => self.resolve(&on, true),
            Person::Reopen(on) => Command::Reopen {
                incident: self.incident_of(&on),
            },
            Person::Report {
                account,
                service,
                degradation,
            } => Command::Request(PersonRequest {
                account,
                service,
                kind: if degradation {
                    RequestKind::Degradation
                } else {
                    RequestKind::Outage
                },
                reported_at: self.now,
                summary: "it does not work".to_owned(),
                text: String::new(),
                sensitive: false,
            }),
            Person::CloseAlert(on) => Command::CloseAlert {
                alert: self.alert_of(&on),
            },
            notice @ Person::Notice { .. } => return self.notice(&notice),
            Person::ClosedInTracker(on) => return self.in_tracker(&on, TicketStatus::Resolved),
            Person::ReopenedInTracker(on) => return self.in_tracker(&on, TicketStatus::Open),
            Person::Delivered | Person::DeliveredWithoutReopening => unreachable!(),
        };
        Input::Command {
            author: "ana".to_owned(),
            command,
        }
    }

    fn in_tracker(&self, on: &str, status: TicketStatus) -> Input {
        let ticket = self.state().tickets_of[&self.incident_of(on)].last();
        let ticket = &self.state().tickets[ticket.unwrap()];
        Input::Person(PersonChange {
            tracker: ticket.tracker.clone(),
            remote: ticket.remote.as_ref().unwrap().key.clone(),
            change_id: self.seq.to_string(),
            at: self.now,
            author: "ana".to_owned(),
            what: PersonDid::Status(status),
        })
    }

    fn resolve(&self, on: &str, false_alarm: bool) -> Command {
        Command::Resolve {
            incident: self.incident_of(on),
            false_alarm,
            text: "done".to_owned(),
        }
    }

    fn notice(&self, person: &Person) -> Input {
        let Person::Notice {
            id,
            objects,
            from,
            until,
            sequence,
            cancelled,
        } = person
        else {
            panic!("not a notice");
        };
        let object = |id: &String| MaintenanceObject {
            id: id.clone(),
            impact: MaintenanceImpact::Outage,
        };
        let mut message = message("carrier");
        message.maintenance.push(MaintenanceNotice {
            provider: "carrier".to_owned(),
            maintenance_id: id.clone(),
            account: None,
            status: if *cancelled {
                MaintenanceStatus::Cancelled
            } else {
                MaintenanceStatus::Confirmed
            },
            objects: objects.iter().map(object).collect(),
            windows: vec![MaintenanceWindow {
                starts_at: self.start.plus(offset(from)),
                ends_at: Some(self.start.plus(offset(until))),
            }],
            sequence: *sequence,
            summary: id.clone(),
            unclear: Vec::new(),
        });
        Input::Message(message)
    }

    fn alert_of(&self, name: &str) -> AlertId {
        let key = self.names.iter().find(|(_, n)| *n == name).unwrap().0;
        self.state().by_key[key]
    }

    fn incident_of(&self, name: &str) -> IncidentId {
        let alert = &self.state().alerts[&self.alert_of(name)];
        self.state().survivor(alert.incident.unwrap())
    }

    fn input(&mut self, input: Input) {
        self.seq += 1;
        self.inputs.push((self.now, input.clone()));
        self.engine.step(&Sequenced {
            seq: self.seq,
            at: self.now,
            input,
        });
        let said = self.engine.take_said();
        if let Some((_, outcome)) = said.outcomes.last() {
            self.outcome = outcome.word();
        }
        let delta = self.engine.take_delta();
        self.told
            .extend(delta.timeline.iter().map(|line| line.reason.word()));
        for row in &delta.tickets {
            let ticket: WantedTicket = decode_body(&row.body).unwrap();
            self.noted.extend(ticket.notes.into_iter().map(|n| n.text));
        }
        self.disk.keep(&delta);
        if self.mode == Mode::Restarted {
            let decisions = self.scenario.decisions.clone();
            self.engine = Engine::load(decisions, self.disk.loaded()).unwrap();
        }
        // As the daemon does.
        for storm in said.remains {
            let remains = self.disk.remains_of(storm);
            self.input(Input::Remains(remains));
        }
    }

    pub fn state(&self) -> &State {
        self.engine.state()
    }

    /// Names of an incident's alerts.
    pub fn members(&self, incident: IncidentId) -> Vec<String> {
        let alerts = self.state().members.get(&incident).into_iter().flatten();
        let mut names: Vec<String> = alerts
            .filter_map(|id| self.state().alerts.get(id))
            .map(|alert| self.names[&alert.key].clone())
            .collect();
        names.sort();
        names
    }

    /// Incidents that are not part of another.
    pub fn incidents(&self) -> impl Iterator<Item = &Incident> {
        let all = self.state().incidents.values();
        all.filter(|incident| incident.merged_into.is_none())
    }

    pub fn has_ticket(&self, incident: IncidentId) -> bool {
        let tickets = self.state().tickets_of.get(&incident);
        tickets.is_some_and(|tickets| !tickets.is_empty())
    }

    /// The tickets that are not merged, in an order of their own.
    pub fn tickets(&self) -> Vec<Ticket> {
        let mut tickets: Vec<Ticket> = self
            .incidents()
            .filter(|incident| self.has_ticket(incident.id))
            .map(|incident| {
                let sorted = |names: &[String]| {
                    let mut names = names.to_vec();
                    names.sort();
                    names
                };
                Ticket {
                    members: self.members(incident.id),
                    severity: incident.severity.map_or("none".into(), |s| s.to_string()),
                    basis: incident.basis.word(),
                    over: !incident.state.is_open(),
                    category: incident.category.word(),
                    services: sorted(&incident.services),
                    accounts: sorted(&incident.accounts),
                    storm: incident.storm,
                    flapping: incident.flapping,
                }
            })
            .collect();
        tickets.sort();
        tickets
    }

    /// Everything that was saved, in order.
    pub fn bytes(&self) -> &[String] {
        &self.disk.log
    }

    pub fn first_difference(&self, other: &Run) -> String {
        let both = self.disk.log.iter().zip(&other.disk.log).enumerate();
        for (index, (one, two)) in both {
            if one != two {
                return format!("at input {}:\n{one}\n{two}", index + 1);
            }
        }
        "lengths differ".to_owned()
    }

    /// Puts the inputs into a journal on disk and applies what is read back to a new engine and a
    /// state on disk, as a daemon does; everything that was saved, in order.
    pub fn stored(&self, scenario: &Scenario, dir: &Path) -> Vec<String> {
        let store = SqliteStore::open(dir, StoreOptions::default(), "g1").unwrap();
        let inputs = self.inputs.iter().map(|(at, input)| NewInput {
            at: *at,
            input: input.clone(),
            raw: None,
        });
        let appended = store.journal.append(inputs.collect(), Vec::new());
        runtime().block_on(appended).unwrap();
        let mut engine = Engine::new(scenario.decisions());
        let mut log = Vec::new();
        loop {
            let batch = store.journal.read(engine.cursor(), 1000).unwrap();
            if batch.is_empty() {
                return log;
            }
            for sequenced in &batch {
                engine.step(sequenced);
                let delta = engine.take_delta();
                log.push(printed(&delta));
                store.state.commit(&delta).unwrap();
            }
        }
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

/// What a worker reports of a ticket that it brought about.
fn report(ticket: &WantedTicket, reopens: bool) -> DeliveryReport {
    let mut read = ticket.wanted.clone();
    let was_over = ticket.last_written.as_ref();
    if !reopens && was_over.is_some_and(|fields| fields.status.is_over()) {
        read.status = TicketStatus::Resolved;
    }
    DeliveryReport {
        ticket: ticket.id,
        version_done: ticket.version_wanted,
        written: Some(ticket.wanted.clone()),
        read: Some(read),
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

fn restart() -> Input {
    Input::Restart {
        version: "test".to_owned(),
        generation: "g1".to_owned(),
    }
}

fn message(source: &str) -> Message {
    Message::new(source, "native", Vec::new())
}
