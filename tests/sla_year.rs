//! A year of operation through the real engine and the real store, twice, killed at different
//! instants: both give the same reports to the byte. `ALERTBRIDGE_TEST_YEAR` sets the number of
//! incidents, `ALERTBRIDGE_TEST_SEED` what they are.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use alertbridge::api::report::of_store;
use alertbridge::engine::{Decisions, Engine, Route, Settings};
use alertbridge::inventory::{Inventory, InventoryFile};
use alertbridge::model::event::{Event, EventState, SeverityHint};
use alertbridge::model::input::Message;
use alertbridge::model::ticket::RemoteRef;
use alertbridge::model::{
    Command, DeliveryReport, Identity, IncidentId, Input, PersonChange, PersonDid, Severity,
    TicketId, Time, WantedTicket,
};
use alertbridge::sla::report::Month;
use alertbridge::sla::{Sla, SlaSections};
use alertbridge::store::sqlite::{SqliteStore, StoreOptions};
use alertbridge::store::{Journal, NewInput, StateStore};
use jiff::tz::TimeZoneDatabase;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

const CONTRACTS: u64 = 50;
/// Elements of a contract: so many incidents of it can be open at once.
const ELEMENTS: u64 = 6;
/// Inputs that are journaled and applied together.
const BATCH: usize = 200;
/// How often each run is killed.
const KILLS: u64 = 12;
const ZONES: [&str; 5] = [
    "Europe/Paris",
    "America/New_York",
    "Australia/Brisbane",
    "Asia/Tokyo",
    "Etc/UTC",
];
const LOCALES: [&str; 3] = ["en", "fr", "ja"];

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

fn element(contract: u64, number: u64) -> String {
    format!("e{contract}-{number}")
}

fn agreements() -> Sla {
    let mut text = [
        include_str!("../config/policies/three-level.toml"),
        include_str!("../config/policies/five-level.toml"),
    ]
    .concat();
    for contract in 0..CONTRACTS {
        let zone = ZONES[usize::try_from(contract).unwrap() % ZONES.len()];
        let locale = LOCALES[usize::try_from(contract).unwrap() % LOCALES.len()];
        let policy = ["three-level", "five-level"][usize::try_from(contract).unwrap() % 2];
        writeln!(
            text,
            "[contract.c{contract}]\npolicy = \"{policy}\"\ntz = \"{zone}\"\nlocale = \"{locale}\""
        )
        .unwrap();
    }
    let sections: SlaSections = toml::from_str(&text).unwrap();
    sections.compile(&TimeZoneDatabase::bundled()).unwrap().0
}

fn decisions() -> Decisions {
    let mut text = String::new();
    for contract in 0..CONTRACTS {
        writeln!(text, "[[account]]\nid = \"c{contract}\"").unwrap();
        for number in 0..ELEMENTS {
            let element = element(contract, number);
            writeln!(
                text,
                "[[element]]\nid = \"{element}\"\n[[service]]\nid = \"line-{element}\"\n\
                 depends_on = [\"{element}\"]\naccounts = [\"c{contract}\"]"
            )
            .unwrap();
        }
    }
    let file = InventoryFile::from_toml(&text).unwrap();
    Decisions {
        inventory: Arc::new(Inventory::build(file).unwrap()),
        routes: vec![Route::desk()],
        sla: Arc::new(agreements()),
        settings: Settings {
            storm_from: 1_000_000,
            tickets_per_hour_max: 0,
            storm_tickets_per_minute: 0,
            ..Settings::default()
        },
        ..Decisions::default()
    }
}

/// What happens, by whom it concerns: commands name the element, since the incident's number is the
/// engine's.
#[derive(Clone)]
enum Happens {
    Alert(EventState, SeverityHint),
    Person(Person),
    Ticket(InTicket),
}

#[derive(Clone)]
enum Person {
    Ack,
    Assign,
    Answer,
    Promise(i64),
    Wait(bool),
    Severity(Severity),
    Escalate,
    Resolve(bool),
}

/// What people do in the incident's ticket.
#[derive(Clone)]
enum InTicket {
    CustomerWrote,
    /// The field of promises is set to this wall time of each contract.
    Field(i64),
}

type Script = Vec<(i64, u64, String, Happens)>;

/// The life of one incident on an element that is free from `from` on; when it is free again.
fn life(dice: &mut Dice, from: i64, element: &str, script: &mut Script) -> i64 {
    let mut order = script.len() as u64;
    let mut push = |at: i64, what: Happens| {
        order += 1;
        script.push((at, order, element.to_owned(), what));
    };
    let hints = [
        SeverityHint::Outage,
        SeverityHint::Outage,
        SeverityHint::Degradation,
        SeverityHint::Redundancy,
    ];
    let hint = hints[usize::try_from(dice.below(4)).unwrap()];
    let mut at = from;
    push(at, Happens::Alert(EventState::Firing, hint));
    at += 130;
    for _ in 0..dice.below(7) {
        at += 1 + i64::try_from(dice.below(14_400)).unwrap();
        let what = match dice.below(12) {
            0 => {
                push(at, Happens::Ticket(InTicket::CustomerWrote));
                continue;
            }
            1 => {
                push(at, Happens::Ticket(InTicket::Field(at + 90_000)));
                continue;
            }
            2 => Person::Ack,
            3 => Person::Assign,
            4 => Person::Promise(at + 7200),
            5 => Person::Wait(true),
            6 => Person::Wait(false),
            7 => Person::Severity(
                [Severity::S1, Severity::S2, Severity::S3][usize::try_from(dice.below(3)).unwrap()],
            ),
            8 => Person::Escalate,
            _ => Person::Answer,
        };
        push(at, Happens::Person(what));
    }
    at += 1 + i64::try_from(dice.below(90_000)).unwrap();
    match dice.below(10) {
        0 => push(at, Happens::Person(Person::Resolve(true))),
        1..=3 => push(at, Happens::Person(Person::Resolve(false))),
        4 => {
            push(at, Happens::Alert(EventState::Resolved, hint));
            at += 600 + i64::try_from(dice.below(60_000)).unwrap();
            push(at, Happens::Alert(EventState::Firing, hint));
            at += 3600;
        }
        _ => {}
    }
    at += 5;
    push(at, Happens::Alert(EventState::Resolved, hint));
    // The reopen window of a day is over, and a bit more.
    at + 90_000
}

fn script(incidents: u64, seed: u64) -> Script {
    let mut dice = Dice(seed);
    let begin = Time::parse_rfc3339("2025-12-31T00:00:00Z")
        .unwrap()
        .seconds();
    let year = 365 * 86_400;
    let places = CONTRACTS * ELEMENTS;
    let mut script = Script::new();
    for place in 0..places {
        let mine = incidents / places + u64::from(place < incidents % places);
        let element = element(place / ELEMENTS, place % ELEMENTS);
        let gap = year / i64::try_from(mine.max(1)).unwrap();
        let mut free = begin;
        for number in 0..mine {
            let wanted = begin + i64::try_from(number).unwrap() * gap;
            let slack = u64::try_from((gap - 200_000).max(3600)).unwrap();
            let from = wanted.max(free) + i64::try_from(dice.below(slack)).unwrap();
            free = life(&mut dice, from, &element, &mut script);
        }
    }
    script.sort_by_key(|(at, order, element, _)| (*at, element.clone(), *order));
    script
}

/// A run: the engine as the daemon drives it, on a store of its own.
struct Run<'a> {
    dir: &'a Path,
    runtime: &'a Runtime,
    decisions: Decisions,
    store: Option<SqliteStore>,
    engine: Engine,
    now: Time,
    kills: u64,
}

impl<'a> Run<'a> {
    fn new(dir: &'a Path, runtime: &'a Runtime) -> Run<'a> {
        let decisions = decisions();
        let mut run = Run {
            dir,
            runtime,
            engine: Engine::new(decisions.clone()),
            decisions,
            store: None,
            now: Time::parse_rfc3339("2025-12-30T00:00:00Z").unwrap(),
            kills: 0,
        };
        run.start();
        run
    }

    fn store(&self) -> &SqliteStore {
        self.store.as_ref().unwrap()
    }

    fn append(&self, inputs: Vec<Input>, at: Time) {
        let input = |input| NewInput {
            at,
            input,
            raw: None,
        };
        let inputs = inputs.into_iter().map(input).collect();
        let appended = self.store().journal.append(inputs, Vec::new());
        self.runtime.block_on(appended).unwrap();
    }

    /// As the daemon starts: what is saved is loaded, the restart is an input.
    fn start(&mut self) {
        self.store = None;
        let store = SqliteStore::open(self.dir, StoreOptions::default(), "generation").unwrap();
        self.engine = Engine::load(self.decisions.clone(), store.state.load().unwrap()).unwrap();
        self.store = Some(store);
        let restart = Input::Restart {
            version: "1".to_owned(),
            generation: "generation".to_owned(),
        };
        self.append(vec![restart], self.now);
        self.apply(usize::MAX);
    }

    /// Applies what is journaled in batches; killed after `kill` inputs: what was not committed is
    /// lost, and the next start applies it again.
    fn apply(&mut self, mut kill: usize) {
        loop {
            let inputs = self
                .store()
                .journal
                .read(self.engine.cursor(), BATCH)
                .unwrap();
            if inputs.is_empty() {
                return;
            }
            for input in &inputs {
                if kill == 0 {
                    self.kills += 1;
                    self.start();
                    return;
                }
                kill -= 1;
                self.engine.step(input);
            }
            if kill == 0 {
                // All of it was applied, and nothing is saved.
                self.kills += 1;
                self.start();
                return;
            }
            let delta = self.engine.take_delta();
            self.store().state.commit(&delta).unwrap();
            self.engine.take_said();
        }
    }

    /// The desk does all that is wanted, at once.
    fn deliver(&mut self) {
        let tickets = self.engine.state().tickets.values();
        let work: Vec<WantedTicket> = tickets.filter(|t| t.has_work()).cloned().collect();
        if work.is_empty() {
            return;
        }
        let done = work.into_iter().map(|ticket| delivered(&ticket)).collect();
        self.append(done, self.now);
        self.apply(usize::MAX);
    }

    fn input(&self, element: &str, what: &Happens) -> Option<Input> {
        match what {
            Happens::Alert(state, hint) => Some(alert(element, *state, *hint)),
            Happens::Ticket(what) => self.in_ticket(self.incident_of(element)?, what),
            Happens::Person(person) => {
                let incident = self.incident_of(element)?;
                Some(Input::Command {
                    author: "mori".to_owned(),
                    command: command(person, incident),
                })
            }
        }
    }

    /// What people do in the incident's ticket, if it has one.
    fn in_ticket(&self, incident: IncidentId, what: &InTicket) -> Option<Input> {
        let state = self.engine.state();
        let ticket = state.tickets_of.get(&incident)?.first()?;
        let remote = state.tickets.get(ticket)?.remote.clone()?;
        let (author, what) = match what {
            InTicket::Field(at) => {
                let at = Time::from_seconds(*at).timestamp();
                let value = at.strftime("%Y-%m-%d %H:%M").to_string();
                ("mori", PersonDid::Promised { value })
            }
            InTicket::CustomerWrote => {
                let text = "Here you are.".to_owned();
                ("customer", PersonDid::CustomerWrote { text })
            }
        };
        Some(Input::Person(PersonChange {
            tracker: "desk".to_owned(),
            remote: remote.key,
            change_id: format!("{}-{author}", self.now.0),
            at: self.now,
            author: author.to_owned(),
            what,
        }))
    }

    /// The newest incident whose root is the element.
    fn incident_of(&self, element: &str) -> Option<IncidentId> {
        let state = self.engine.state();
        let root = state.symbols.get(element)?;
        let mut newest = state.incidents.values().rev();
        newest.find(|i| i.root == root).map(|i| i.id)
    }

    fn play(&mut self, script: &Script, dice: &mut Dice) {
        let inputs = script.len() as u64;
        let mut next_kill = dice.below(inputs / KILLS);
        for (number, (at, _, element, what)) in (0u64..).zip(script) {
            self.now = Time::from_seconds(*at);
            let Some(input) = self.input(element, what) else {
                continue;
            };
            self.append(vec![Input::Due, input], self.now);
            let killed = number >= next_kill;
            // Before the first input of the pair, between both, or after both and before the commit.
            let after = usize::try_from(dice.below(3)).unwrap();
            self.apply(if killed { after } else { usize::MAX });
            if killed {
                next_kill = number + inputs / KILLS / 2 + dice.below(inputs / KILLS);
            }
            self.deliver();
        }
        self.now = self.now.plus(Duration::from_secs(40 * 86_400));
        self.append(vec![Input::Due], self.now);
        self.apply(usize::MAX);
        self.deliver();
    }

    /// All reports of the year, one after the other, and how many clocks they judge.
    fn reports(&self) -> (String, usize) {
        let sla = &self.decisions.sla;
        let (mut all, mut judged) = (String::new(), 0);
        for contract in sla.contracts.values() {
            for number in 0..13 {
                let name = format!(
                    "{}-{:02}",
                    2025 + (number + 11) / 12,
                    (number + 11) % 12 + 1
                );
                let zone = TimeZoneDatabase::bundled().get(&contract.tz).unwrap();
                let month = Month::read(&name, zone).unwrap();
                let state = self.store().state.as_ref();
                let report = of_store(state, sla, contract, month, self.now).unwrap();
                judged += report.targets.iter().map(|sum| sum.judged).sum::<usize>();
                all.push_str(&report.json().unwrap());
                all.push_str(&report.csv().unwrap());
            }
        }
        (all, judged)
    }
}

fn delivered(ticket: &WantedTicket) -> Input {
    let TicketId(number) = ticket.id;
    Input::Delivery(DeliveryReport {
        ticket: ticket.id,
        version_done: ticket.version_wanted,
        written: Some(ticket.wanted.clone()),
        read: None,
        remote: Some(RemoteRef {
            key: number.to_string(),
            url: String::new(),
        }),
        origin: None,
        notes_done: ticket
            .notes
            .iter()
            .map(|note| note.marker.clone())
            .collect(),
        trouble: None,
        twins_closed: vec![],
    })
}

fn alert(element: &str, state: EventState, hint: SeverityHint) -> Input {
    let identity = Identity::Key(element.to_owned());
    let mut event = Event::new(state, identity, format!("{element} failed"));
    event.host = Some(element.to_owned());
    event.severity_hint = hint;
    Input::Message(Message::new("mon", "native", vec![event]))
}

fn command(person: &Person, incident: IncidentId) -> Command {
    match person {
        Person::Ack => Command::Acknowledge { incident },
        Person::Assign => Command::Assign {
            incident,
            owner: "mori".to_owned(),
        },
        Person::Answer => Command::Note {
            incident,
            text: "We look at it.".to_owned(),
            public: true,
        },
        Person::Promise(at) => Command::Promise {
            incident,
            at: Time::from_seconds(*at),
            text: "More then.".to_owned(),
        },
        Person::Wait(waiting) => Command::Wait {
            incident,
            contract: None,
            waiting: *waiting,
        },
        Person::Severity(severity) => Command::SetSeverity {
            incident,
            severity: Some(*severity),
            text: String::new(),
        },
        Person::Escalate => Command::Escalate {
            incident,
            reason: "expectations".to_owned(),
        },
        Person::Resolve(false_alarm) => Command::Resolve {
            incident,
            false_alarm: *false_alarm,
            text: "Done.".to_owned(),
        },
    }
}

#[test]
fn a_year_killed_at_other_instants_gives_the_same_reports_to_the_byte() {
    let incidents = setting("ALERTBRIDGE_TEST_YEAR", 400);
    let seed = setting("ALERTBRIDGE_TEST_SEED", 20_261_130);
    println!("a year of {incidents} incidents, seed {seed}");
    let script = script(incidents, seed);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let mut results = Vec::new();
    for run in [1, 2] {
        // In memory where there is such a place: processes are killed here, not machines.
        let dir = tempfile::tempdir_in("/dev/shm")
            .or_else(|_| tempfile::tempdir())
            .unwrap();
        let mut year = Run::new(dir.path(), &runtime);
        year.play(&script, &mut Dice(seed ^ run));
        let (reports, judged) = year.reports();
        let digest = Sha256::digest(reports.as_bytes());
        println!(
            "run {run}: {} inputs, {} kills, {judged} verdicts, {} bytes of reports, {:02x?}",
            year.engine.cursor(),
            year.kills,
            reports.len(),
            &digest[..4]
        );
        assert!(year.kills >= KILLS / 2, "{} kills", year.kills);
        assert!(judged as u64 > incidents, "only {judged} verdicts");
        results.push(reports);
    }
    let [one, two] = results.as_slice() else {
        panic!("two runs")
    };
    if one != two {
        let differs = one.lines().zip(two.lines()).find(|(a, b)| a != b);
        panic!("seed {seed}: the reports differ, first here: {differs:?}");
    }
}
