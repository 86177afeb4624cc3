//! Cases in the engine: who gets one, what its clocks say, what is told once, and what is counted.
#![allow(clippy::unwrap_used, clippy::panic)]

use alertbridge::engine::{Decisions, Engine, Route};
use alertbridge::inventory::{Inventory, InventoryFile};
use alertbridge::model::event::{Event, EventState, SeverityHint};
use alertbridge::model::figure::{Family, Stored, series_key};
use alertbridge::model::incident::Case;
use alertbridge::model::input::{Generation, GenerationOf, Message};
use alertbridge::model::saved::StateDelta;
use alertbridge::model::{
    Category, Command, Identity, IncidentId, Input, Reason, Sequenced, Severity, Time,
};
use alertbridge::model::{DeliveryReport, PersonRequest, RequestKind, WantedTicket};
use alertbridge::sla::{CaseLog, ClockState, Sla, SlaSections, TargetName, View, evaluate};
use jiff::tz::TimeZoneDatabase;
use std::sync::Arc;
use std::time::Duration;

const INVENTORY: &str = r#"
[[account]]
id = "acme"
[[account]]
id = "globex"
[[element]]
id = "sw1"
depends_on = ["psu@sw1"]
[[element]]
id = "psu1@sw1"
part_of = "sw1"
[[element]]
id = "psu2@sw1"
part_of = "sw1"
[[group]]
id = "psu@sw1"
members = ["psu1@sw1", "psu2@sw1"]
needs = 1
[[service]]
id = "transit"
depends_on = ["sw1"]
accounts = ["acme", "globex"]
"#;

const CONTRACTS: &str = r#"
[contract.acme]
policy = "three-level"
[contract.globex]
policy = "three-level"
severity.1.restore = { within = "4h" }
"#;

struct Bench {
    engine: Engine,
    decisions: Decisions,
    seq: u64,
    now: Time,
    figures: Vec<(Reason, String)>,
}

fn compiled(text: &str) -> Sla {
    let sections: SlaSections = toml::from_str(text).unwrap();
    sections.compile(&TimeZoneDatabase::bundled()).unwrap().0
}

impl Bench {
    fn new() -> Bench {
        Bench::of("")
    }

    /// With another line instead of the policy's `pause_on`.
    fn of(pause_on: &str) -> Bench {
        let path = format!(
            "{}/config/policies/three-level.toml",
            env!("CARGO_MANIFEST_DIR")
        );
        let mut text = std::fs::read_to_string(path).unwrap() + CONTRACTS;
        if !pause_on.is_empty() {
            text = text.replacen("pause_on = [\"waiting_customer\"]", pause_on, 1);
        }
        Bench::with(&text)
    }

    fn with(agreements: &str) -> Bench {
        let sla = compiled(agreements);
        let file = InventoryFile::from_toml(INVENTORY).unwrap();
        let decisions = Decisions {
            inventory: Arc::new(Inventory::build(file).unwrap()),
            routes: vec![Route::desk()],
            sla: Arc::new(sla),
            ..Decisions::default()
        };
        Bench {
            engine: Engine::new(decisions.clone()),
            decisions,
            seq: 0,
            now: Time::parse_rfc3339("2026-06-02T00:00:00Z").unwrap(),
            figures: Vec::new(),
        }
    }

    fn step(&mut self, input: Input) -> StateDelta {
        self.seq += 1;
        let input = Sequenced {
            seq: self.seq,
            at: self.now,
            input,
        };
        self.engine.step(&input);
        let said = self.engine.take_said();
        let told = said.decided.into_iter().map(|d| (d.reason, d.text));
        self.figures.extend(told);
        self.engine.take_delta()
    }

    /// Other agreements come into force.
    fn reload(&mut self, agreements: &str) {
        self.decisions.sla = Arc::new(compiled(agreements));
        self.engine.replace_decisions(self.decisions.clone());
        self.step(Input::Generation(Generation {
            of: GenerationOf::Configuration,
            digest: format!("digest {}", self.seq),
            note: String::new(),
            elements: Vec::new(),
        }));
    }

    fn after(&mut self, minutes: u64) -> StateDelta {
        self.now = self.now.plus(Duration::from_secs(minutes * 60));
        self.step(Input::Due)
    }

    fn alert(&mut self, component: &str, state: EventState) {
        let identity = Identity::Key(component.to_owned());
        let mut event = Event::new(state, identity, format!("{component} failed"));
        event.host = Some("sw1".to_owned());
        event.component = Some(component.to_owned());
        event.severity_hint = SeverityHint::Redundancy;
        self.send(event);
    }

    fn send(&mut self, event: Event) {
        self.step(Input::Message(Message::new("mon", "native", vec![event])));
    }

    fn say(&mut self, command: Command) {
        let author = "mori".to_owned();
        self.step(Input::Command { author, command });
    }

    fn case(&self, contract: &str) -> Option<&Case<CaseLog>> {
        let key = (IncidentId(1), contract.to_owned());
        self.engine.state().cases.get(&key)
    }

    fn view(&self, contract: &str) -> View {
        let case = self.case(contract).unwrap();
        let now = self.now.0 / 1000;
        evaluate(&case.log, &self.decisions.sla.contracts[contract], now).unwrap()
    }

    fn told(&self, reason: Reason) -> Vec<&str> {
        let found = self.figures.iter().filter(|(r, _)| *r == reason);
        found.map(|(_, text)| text.as_str()).collect()
    }

    fn count(&self, family: Family, labels: &[&str]) -> u64 {
        match self.engine.state().figures.get(&series_key(family, labels)) {
            Some(Stored::Count(count)) => *count,
            Some(Stored::Spread { counts, .. }) => counts.iter().sum(),
            None => 0,
        }
    }
}

/// The tracker has all of it.
fn delivered(wanted: &WantedTicket) -> DeliveryReport {
    DeliveryReport {
        ticket: wanted.id,
        version_done: wanted.version_wanted,
        written: Some(wanted.wanted.clone()),
        read: None,
        remote: Some(alertbridge::model::ticket::RemoteRef {
            key: "1".to_owned(),
            url: String::new(),
        }),
        origin: None,
        notes_done: wanted.notes.iter().map(|n| n.marker.clone()).collect(),
        trouble: None,
        twins_closed: vec![],
    }
}

#[test]
fn each_affected_contract_has_its_case_and_a_worsening_has_clocks_of_its_own() {
    let mut bench = Bench::new();
    bench.alert("psu1", EventState::Firing);
    assert!(bench.case("acme").is_none(), "a held incident has no case");
    bench.after(2);
    // One supply is gone: the third level of this policy, with its half hour to answer.
    let view = bench.view("acme");
    assert_eq!(view.severity, Some(3));
    let response = view.clock(TargetName::InitialResponse).unwrap();
    assert_eq!(response.due, Some(bench.now.0 / 1000 - 120 + 1800));
    assert!(bench.case("globex").is_some());

    bench.after(5);
    bench.alert("psu2", EventState::Firing);
    let view = bench.view("globex");
    assert_eq!(view.severity, Some(1), "down");
    assert_eq!(view.clocks.iter().map(|c| c.period).max(), Some(2));
    let restore = view.clock(TargetName::Restore).unwrap();
    assert_eq!(
        restore.due,
        Some(bench.now.0 / 1000 + 4 * 3600),
        "globex's own target"
    );
    assert_eq!(
        bench.view("acme").clock(TargetName::Restore).unwrap().due,
        Some(bench.now.0 / 1000 + 6 * 3600)
    );
    // The outage is over, the spare is not back: the outage's restore clock ends in time.
    bench.after(60);
    bench.alert("psu2", EventState::Resolved);
    bench.after(20);
    let view = bench.view("globex");
    assert_eq!(view.severity, Some(3));
    let outage = view
        .clocks
        .iter()
        .find(|c| c.target == TargetName::Restore && c.period == 2)
        .unwrap();
    assert_eq!(outage.state, ClockState::Met);
    assert_eq!(
        outage.counted, 3600,
        "until the service was back, not until that was believed"
    );
}

#[test]
fn a_missed_answer_is_told_once_at_its_due_instant_and_escalates() {
    let mut bench = Bench::new();
    bench.alert("psu1", EventState::Firing);
    bench.alert("psu2", EventState::Firing);
    bench.after(12);
    assert_eq!(bench.told(Reason::SlaAtRisk).len(), 2, "both contracts");
    bench.after(4);
    bench.after(1);
    bench.after(1);
    let told = bench.told(Reason::SlaBreached);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("acme: initial response was due by 2026-06-02T00:15:00Z"));
    let policy = ["three-level", "initial_response", "1"];
    assert_eq!(bench.count(Family::SlaBreaches, &policy), 2);
    assert_eq!(bench.count(Family::Escalations, &["2", "slow"]), 2);
    bench.say(Command::Note {
        incident: IncidentId(1),
        text: "On it.".to_owned(),
        public: true,
    });
    let view = bench.view("acme");
    let response = view.clock(TargetName::InitialResponse).unwrap();
    assert_eq!(response.state, ClockState::Breached);
    assert!(response.fulfilled_at.is_some());
}

#[test]
fn waiting_moves_restore_and_a_false_alarm_voids_it() {
    let mut bench = Bench::new();
    bench.alert("psu1", EventState::Firing);
    bench.alert("psu2", EventState::Firing);
    let incident = IncidentId(1);
    bench.say(Command::Acknowledge { incident });
    let start = bench.now.0 / 1000;
    let wait = |waiting| Command::Wait {
        incident,
        contract: Some("acme".to_owned()),
        waiting,
    };
    bench.say(wait(true));
    bench.after(30);
    assert_eq!(
        bench.view("acme").clock(TargetName::Restore).unwrap().state,
        ClockState::Paused
    );
    bench.say(wait(false));
    let due = |bench: &Bench, contract| {
        bench
            .view(contract)
            .clock(TargetName::Restore)
            .unwrap()
            .due
            .unwrap()
            - start
    };
    assert_eq!(due(&bench, "acme"), 6 * 3600 + 1800);
    assert_eq!(due(&bench, "globex"), 4 * 3600, "only the one that waits");
    bench.say(Command::SetSeverity {
        incident,
        severity: Some(Severity::S3),
        text: String::new(),
    });
    assert_eq!(
        due(&bench, "acme"),
        24 * 3600 + 1800,
        "the new target from the old start"
    );
    bench.say(Command::Resolve {
        incident,
        false_alarm: true,
        text: String::new(),
    });
    let view = bench.view("acme");
    assert!(matches!(
        view.clock(TargetName::Restore).unwrap().state,
        ClockState::Void(_)
    ));
}

#[test]
fn figures_are_counted_when_the_case_is_closed_for_good() {
    let mut bench = Bench::new();
    bench.alert("psu1", EventState::Firing);
    bench.alert("psu2", EventState::Firing);
    bench.say(Command::Acknowledge {
        incident: IncidentId(1),
    });
    bench.after(50);
    bench.alert("psu1", EventState::Resolved);
    bench.alert("psu2", EventState::Resolved);
    let met = ["three-level", "restore", "1", "met"];
    assert_eq!(bench.count(Family::SlaVerdicts, &met), 0);
    // The desk has taken everything; else the incident would stay.
    bench.after(1);
    for ticket in bench
        .engine
        .state()
        .tickets
        .keys()
        .copied()
        .collect::<Vec<_>>()
    {
        let wanted = bench.engine.state().tickets[&ticket].clone();
        bench.step(Input::Delivery(delivered(&wanted)));
    }
    bench.after(25 * 60);
    assert_eq!(bench.count(Family::SlaVerdicts, &met), 2);
    assert_eq!(bench.count(Family::TimeToRestore, &["three-level", "1"]), 2);
    assert_eq!(
        bench.count(Family::SlaUsedRatio, &["three-level", "restore", "1"]),
        2
    );
    assert!(bench.case("acme").is_none(), "it left memory");
}

#[test]
fn planned_work_on_an_open_case_pauses_its_clocks_until_its_end() {
    let mut bench = Bench::of("pause_on = [\"maintenance\"]");
    bench.alert("psu1", EventState::Firing);
    bench.alert("psu2", EventState::Firing);
    bench.after(10);
    let restore = |bench: &Bench| {
        let view = bench.view("globex");
        let clock = view.clock(TargetName::Restore).unwrap();
        (clock.state, clock.counted)
    };
    assert_eq!(restore(&bench).0, ClockState::Running);
    let (from, until) = (
        bench.now.plus(Duration::from_secs(600)),
        bench.now.plus(Duration::from_secs(4200)),
    );
    bench.say(Command::OpenWindow {
        matchers: vec!["host=sw1".to_owned()],
        reason: "new supplies".to_owned(),
        starts_at: from,
        ends_at: until,
    });
    bench.after(5);
    assert_eq!(restore(&bench).0, ClockState::Running, "not yet");
    bench.after(20);
    assert_eq!(restore(&bench), (ClockState::Paused, 20 * 60));
    bench.after(60);
    assert_eq!(restore(&bench), (ClockState::Running, 35 * 60));
    assert_eq!(
        bench.told(Reason::Maintenance).len(),
        4,
        "two contracts, both ends"
    );

    // Another contract without the word counts on.
    let mut bench = Bench::new();
    bench.alert("psu1", EventState::Firing);
    bench.alert("psu2", EventState::Firing);
    bench.say(Command::OpenWindow {
        matchers: vec!["host=sw1".to_owned()],
        reason: "new supplies".to_owned(),
        starts_at: bench.now,
        ends_at: bench.now.plus(Duration::from_secs(3600)),
    });
    bench.after(20);
    assert_eq!(restore(&bench), (ClockState::Running, 20 * 60));
}

#[test]
fn a_neighbour_that_fails_as_well_ends_the_pause() {
    let mut bench = Bench::of("pause_on = [\"maintenance\"]");
    bench.alert("psu1", EventState::Firing);
    bench.after(10);
    let (from, until) = (bench.now, bench.now.plus(Duration::from_secs(7200)));
    bench.say(Command::OpenWindow {
        matchers: vec!["element=psu1@sw1".to_owned()],
        reason: "new supply".to_owned(),
        starts_at: from,
        ends_at: until,
    });
    bench.after(10);
    let state = |bench: &Bench| bench.view("acme").clock(TargetName::Restore).unwrap().state;
    assert_eq!(state(&bench), ClockState::Paused);
    bench.alert("psu2", EventState::Firing);
    assert_eq!(state(&bench), ClockState::Running);
    bench.alert("psu2", EventState::Resolved);
    assert_eq!(
        state(&bench),
        ClockState::Paused,
        "only the planned one is left"
    );
}

/// Both clocks count in a calendar that is always open, but for its holidays.
fn office(restore: &str, holidays: &str) -> String {
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let week: Vec<String> = days
        .iter()
        .map(|day| format!("{day} = [[\"00:00\", \"24:00\"]]"))
        .collect();
    let severities: String = (1..=5)
        .map(|severity| {
            format!(
                "[policy.p.severity.{severity}]\n\
                 initial_response = {{ within = \"8h\", calendar = \"office\" }}\n\
                 restore = {{ within = \"{restore}\", calendar = \"office\" }}\n"
            )
        })
        .collect();
    format!(
        "[calendar.office]\ntz = \"Etc/UTC\"\nweek = {{ {} }}\nholidays = [{holidays}]\n\
         [policy.p]\nscale = 5\n[policy.p.category]\n\
         incident = {{ severity = \"set\", targets = [\"initial_response\", \"restore\"] }}\n\
         {severities}[contract.acme]\npolicy = \"p\"\n",
        week.join(", ")
    )
}

#[test]
fn an_edited_calendar_moves_what_runs_and_leaves_verdicts_as_they_fell() {
    let mut bench = Bench::with(&office("1h", ""));
    bench.reload(&office("1h", ""));
    bench.alert("psu1", EventState::Firing);
    bench.alert("psu2", EventState::Firing);
    let start = bench.now.seconds();
    bench.after(120);
    let before = bench.view("acme");
    let restore = before.clock(TargetName::Restore).unwrap();
    assert_eq!(
        (restore.state, restore.due),
        (ClockState::Breached, Some(start + 3600))
    );
    let told = bench.told(Reason::SlaBreached).len();

    // The day on which all this happens is declared a holiday.
    bench.reload(&office("1h", "\"2026-06-02\""));
    let after = bench.view("acme");
    let kept = after.clock(TargetName::Restore).unwrap();
    assert_eq!(
        (kept.state, kept.due),
        (ClockState::Breached, Some(start + 3600))
    );
    let response = after.clock(TargetName::InitialResponse).unwrap();
    assert_eq!(response.due, Some(start + 32 * 3600), "the day is closed");
    let moved = bench.told(Reason::DueMoved);
    assert_eq!(moved.len(), 1, "{moved:?}");
    assert!(moved[0].contains("2026-06-03T08:00:00Z and no longer by 2026-06-02T08:00:00Z"));
    bench.after(60);
    assert_eq!(bench.told(Reason::SlaBreached).len(), told, "told once");
    assert_eq!(bench.count(Family::SlaCorrections, &["withdrawn"]), 0);

    // Other terms: this case keeps its own.
    let first = bench.decisions.sla.contracts["acme"].version.clone();
    bench.reload(&office("200h", "\"2026-06-02\""));
    bench.after(60);
    let log = &bench.case("acme").unwrap().log;
    assert_eq!(alertbridge::sla::log::agreed(log), Some(first.as_str()));
    assert_ne!(first, bench.decisions.sla.contracts["acme"].version);
    assert_eq!(bench.told(Reason::SlaBreached).len(), told);
    assert_eq!(bench.count(Family::SlaCorrections, &["withdrawn"]), 0);
}

#[test]
fn a_contract_may_count_from_the_ticket_or_from_the_alert() {
    for (word, from) in [
        ("ticket_created", 300),
        ("alert_started", -600),
        ("reported", 0),
    ] {
        let policy = office("6h", "").replace(
            "[policy.p]\n",
            &format!("[policy.p]\nclock_start = \"{word}\"\n"),
        );
        let mut bench = Bench::with(&policy);
        let start = bench.now;
        let mut event = Event::new(
            EventState::Firing,
            Identity::Key("sw1".to_owned()),
            "sw1 is down".to_owned(),
        );
        event.host = Some("sw1".to_owned());
        event.severity_hint = SeverityHint::Outage;
        event.starts_at = Some(start.minus(Duration::from_secs(600)));
        bench.send(event);
        bench.after(5);
        let ticket = bench.engine.state().tickets.values().next().cloned();
        bench.step(Input::Delivery(delivered(&ticket.unwrap())));
        let view = bench.view("acme");
        let restore = view.clock(TargetName::Restore).unwrap();
        assert_eq!(restore.start, start.seconds() + from, "{word}");
    }
}

/// The same facts on the scales of both policies; and a person who sees them otherwise, and takes
/// that back: no new period begins, and each contract has its own severity again.
#[test]
fn both_scales_follow_the_same_facts_and_a_persons_severity_is_no_new_period() {
    let folder = format!("{}/config/policies", env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| std::fs::read_to_string(format!("{folder}/{name}.toml")).unwrap();
    let agreements = read("three-level") + &read("five-level");
    let contracts = "[contract.acme]\npolicy = \"three-level\"\n\
                     [contract.globex]\npolicy = \"five-level\"\n";
    let mut bench = Bench::with(&(agreements + contracts));
    let severities = |bench: &Bench| ["acme", "globex"].map(|of| bench.view(of).severity);
    let periods = |bench: &Bench| {
        let view = bench.view("acme");
        let of_incident = bench.engine.state().incidents[&IncidentId(1)].periods.len();
        (
            view.clocks.iter().map(|c| c.period).max().unwrap(),
            of_incident,
        )
    };
    bench.alert("psu1", EventState::Firing);
    bench.after(2);
    assert_eq!(severities(&bench), [Some(3), Some(4)], "redundancy lost");
    let restore = |bench: &Bench| bench.view("acme").clock(TargetName::Restore).unwrap().due;
    let due = restore(&bench);

    bench.after(5);
    let set = |bench: &mut Bench, severity: Option<Severity>| {
        bench.say(Command::SetSeverity {
            incident: IncidentId(1),
            severity,
            text: String::new(),
        });
    };
    set(&mut bench, Some(Severity::S3));
    assert_eq!(severities(&bench), [Some(2), Some(3)], "seen otherwise");
    assert_eq!(periods(&bench), (1, 1), "the same facts");
    bench.after(5);
    set(&mut bench, None);
    assert_eq!(severities(&bench), [Some(3), Some(4)], "lifted");
    assert_eq!(periods(&bench), (1, 1), "the same facts still");
    assert_eq!(restore(&bench), due, "as if it had not been");

    // A person's severity stands until the facts get worse: that is a period of its own.
    set(&mut bench, Some(Severity::S3));
    bench.after(5);
    bench.alert("psu2", EventState::Firing);
    assert_eq!(severities(&bench), [Some(1), Some(1)], "several customers");
    assert_eq!(periods(&bench), (2, 2));
}

#[test]
fn what_is_being_set_up_has_no_clock_and_a_high_priority_where_the_policy_says_so() {
    let five = std::fs::read_to_string(format!(
        "{}/config/policies/five-level.toml",
        env!("CARGO_MANIFEST_DIR")
    ));
    let three = std::fs::read_to_string(format!(
        "{}/config/policies/three-level.toml",
        env!("CARGO_MANIFEST_DIR")
    ));
    let agreements = format!(
        "{}\n{}\n[contract.acme]\npolicy = \"three-level\"\n[contract.globex]\npolicy = \
         \"five-level\"\n",
        three.unwrap(),
        five.unwrap()
    );
    for (account, priority) in [("acme", Some(Severity::S2)), ("globex", None)] {
        let mut bench = Bench::with(&agreements);
        let asked = bench.now;
        bench.say(Command::Request(PersonRequest {
            account: account.to_owned(),
            service: None,
            kind: RequestKind::Provisioning,
            reported_at: asked,
            summary: "a second line".to_owned(),
            text: "please".to_owned(),
            sensitive: false,
        }));
        let incident = &bench.engine.state().incidents[&IncidentId(1)];
        assert_eq!(incident.severity, None);
        let wanted = bench
            .engine
            .state()
            .tickets
            .values()
            .next()
            .unwrap()
            .clone();
        assert_eq!(wanted.wanted.severity, priority, "{account}");
        let clocks = bench.view(account).clocks;
        let apply = clocks
            .iter()
            .filter(|clock| clock.state != ClockState::None);
        let names: Vec<TargetName> = apply.map(|clock| clock.target).collect();
        let triage = [TargetName::Triage];
        assert_eq!(
            names,
            if account == "acme" {
                &[][..]
            } else {
                &triage[..]
            }
        );
        bench.step(Input::Delivery(delivered(&wanted)));
        let oldest = bench.engine.gauges().oldest;
        assert_eq!(oldest.get(&Category::Provisioning), Some(&asked), "its age");
        let created = bench.count(Family::TicketsCreated, &["request", "none"]);
        assert_eq!(created, 1, "a priority is no severity");
        // A person gives it a severity after all: that counts.
        bench.say(Command::SetSeverity {
            incident: IncidentId(1),
            severity: Some(Severity::S4),
            text: String::new(),
        });
        let ticket = bench.engine.state().tickets.values().next().unwrap();
        assert_eq!(ticket.wanted.severity, Some(Severity::S4));
    }
}
