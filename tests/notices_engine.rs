//! Who is told what: from alerts, people and clocks through the engine to the notices it wants.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use alertbridge::engine::{Decisions, Engine, Route};
use alertbridge::inventory::{Inventory, InventoryFile};
use alertbridge::model::event::{Event, EventState, SeverityHint};
use alertbridge::model::input::Message;
use alertbridge::model::notice::{
    MaintenanceImpact, MaintenanceNotice, MaintenanceObject, MaintenanceStatus, MaintenanceWindow,
};
use alertbridge::model::outgoing::{
    Audience, NoticeKind, NoticeOutcome, NoticeReport, NoticeState, WaitsFor, WantedNotice, Way,
};
use alertbridge::model::saved::LoadedState;
use alertbridge::model::{
    Command, Identity, IncidentId, Input, SecurityId, Sequenced, Severity, Time, WindowId,
};
use alertbridge::notices::plan::section::{ContactSection, PartnerSection, PlanSection, PlanText};
use alertbridge::notices::words::Templates;
use alertbridge::rules::{Rule, Ruleset};
use alertbridge::sla::SlaSections;
use jiff::tz::TimeZoneDatabase;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const INVENTORY: &str = r#"
[[account]]
id = "acme"
customer = "Acme Holding"
[[account]]
id = "globex"
customer = "Globex Industries"
[[account]]
id = "northwind"
[[account]]
id = "shop"
partner = "northwind"
[[account]]
id = "bakery"
partner = "northwind"
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
id = "acme-transit"
depends_on = ["sw1"]
accounts = ["acme"]
[[service]]
id = "globex-vpn"
depends_on = ["sw1"]
accounts = ["globex"]
[[service]]
id = "managed-lan"
depends_on = ["sw1"]
accounts = ["shop", "bakery"]
"#;

const CONTRACTS: &str = r#"
[calendar.office]
tz = "Europe/Paris"
week = { mon = [["09:00", "17:00"]], tue = [["09:00", "17:00"]], wed = [["09:00", "17:00"]] }
[contract.acme]
policy = "three-level"
tz = "Asia/Tokyo"
locale = "ja"
contacts = { incidents = ["ops@acme.example"] }
maintenance_lead = "24h"
[contract.globex]
policy = "three-level"
tz = "Europe/Paris"
locale = "fr"
contacts = { incidents = ["ops@globex.example"] }
[contract.northwind]
policy = "three-level"
account = "partner"
contacts = { incidents = ["noc@northwind.example"] }
[contract.shop]
policy = "three-level"
account = "managed"
partner = "northwind"
contacts = { incidents = ["it@shop.example"] }
[contract.bakery]
policy = "three-level"
account = "managed"
partner = "northwind"
contacts = { incidents = ["it@bakery.example"] }
"#;

struct Bench {
    engine: Engine,
    decisions: Decisions,
    seq: u64,
    now: Time,
    /// Everything that was ever wanted, as it stands.
    notices: BTreeMap<u64, WantedNotice>,
    things: BTreeMap<(String, String), Vec<u8>>,
    said: Vec<String>,
}

fn plan_text() -> PlanText {
    let contact = |mail: &str, pager: &str| ContactSection {
        mail: vec![mail.to_owned()],
        pager: pager.to_owned(),
        ..ContactSection::default()
    };
    PlanText {
        plan: PlanSection {
            on_call: vec!["shift".to_owned(), "manager".to_owned()],
            working_hours: "office".to_owned(),
            warn_in: "office".to_owned(),
            ..PlanSection::default()
        },
        contacts: BTreeMap::from([
            ("shift".to_owned(), contact("shift@noc.example", "duty")),
            ("manager".to_owned(), contact("manager@noc.example", "")),
        ]),
        partners: BTreeMap::new(),
        pagers: BTreeMap::from([("duty".to_owned(), "pagerduty".to_owned())]),
        mail: true,
    }
}

impl Bench {
    fn new() -> Bench {
        Bench::with(plan_text(), CONTRACTS, Ruleset::default())
    }

    fn with(text: PlanText, contracts: &str, rules: Ruleset) -> Bench {
        let path = format!(
            "{}/config/policies/three-level.toml",
            env!("CARGO_MANIFEST_DIR")
        );
        let policies = std::fs::read_to_string(path).unwrap() + contracts;
        let sections: SlaSections = toml::from_str(&policies).unwrap();
        let zones = TimeZoneDatabase::bundled();
        let (sla, _) = sections.compile(&zones).unwrap();
        let inventory = Inventory::build(InventoryFile::from_toml(INVENTORY).unwrap()).unwrap();
        let (plan, problems) = text.compile(&sla, &zones, &|_| Ok(()));
        assert!(problems.iter().all(|p| p.warning), "{problems:?}");
        let decisions = Decisions {
            notices: Arc::new(plan),
            inventory: Arc::new(inventory),
            routes: vec![Route::desk()],
            sla: Arc::new(sla),
            rules: Arc::new(rules),
            ..Decisions::default()
        };
        Bench {
            engine: Engine::new(decisions.clone()),
            decisions,
            seq: 0,
            // A Tuesday at nine in Tokyo: two in the night in Paris.
            now: Time::parse_rfc3339("2026-06-02T00:00:00Z").unwrap(),
            notices: BTreeMap::new(),
            things: BTreeMap::new(),
            said: Vec::new(),
        }
    }

    fn step(&mut self, input: Input) {
        self.seq += 1;
        self.engine.step(&Sequenced {
            seq: self.seq,
            at: self.now,
            input,
        });
        let said = self.engine.take_said();
        self.said.extend(said.decided.into_iter().map(|d| d.text));
        for row in self.engine.take_delta().things {
            if matches!(row.kind, "notice_wanted" | "notice") && !row.value.is_empty() {
                let notice: WantedNotice = alertbridge::store::codec::decode(&row.value).unwrap();
                self.notices.insert(notice.id.0, notice);
            }
            let key = (row.kind.to_owned(), row.key);
            if row.value.is_empty() {
                self.things.remove(&key);
            } else {
                self.things.insert(key, row.value);
            }
        }
    }

    fn after(&mut self, minutes: u64) {
        self.now = self.now.plus(Duration::from_secs(minutes * 60));
        self.step(Input::Due);
    }

    fn alert_of(&mut self, component: &str, state: EventState, summary: &str) {
        let identity = Identity::Key(component.to_owned());
        let mut event = Event::new(state, identity, summary.to_owned());
        event.host = Some("sw1".to_owned());
        event.component = Some(component.to_owned());
        event.severity_hint = SeverityHint::Redundancy;
        self.message(vec![event], vec![]);
    }

    fn alert(&mut self, component: &str, state: EventState) {
        self.alert_of(component, state, &format!("{component} of Globex failed"));
    }

    fn message(&mut self, events: Vec<Event>, maintenance: Vec<MaintenanceNotice>) {
        self.step(Input::Message(Message {
            maintenance,
            ..Message::new("mon", "native", events)
        }));
    }

    fn outage(&mut self) {
        self.alert("psu1", EventState::Firing);
        self.alert("psu2", EventState::Firing);
    }

    fn recovery(&mut self) {
        self.alert("psu1", EventState::Resolved);
        self.alert("psu2", EventState::Resolved);
    }

    fn say(&mut self, command: Command) {
        let author = "mori".to_owned();
        self.step(Input::Command { author, command });
    }

    fn note(&mut self, text: &str) {
        self.say(Command::Note {
            incident: IncidentId(1),
            text: text.to_owned(),
            public: true,
        });
    }

    fn of(&self, kind: NoticeKind) -> Vec<&WantedNotice> {
        self.notices.values().filter(|n| n.kind == kind).collect()
    }

    fn to(&self, kind: NoticeKind) -> Vec<String> {
        let mut to: Vec<String> = self.of(kind).iter().map(|n| n.to.clone()).collect();
        to.sort();
        to
    }

    fn customers(&self, kind: NoticeKind) -> Vec<String> {
        let outside = self
            .of(kind)
            .into_iter()
            .filter(|n| n.audience != Audience::Staff);
        let mut to: Vec<String> = outside.map(|n| n.to.clone()).collect();
        to.sort();
        to
    }

    fn report(&mut self, notice: &WantedNotice, outcome: NoticeOutcome) {
        self.step(Input::Notice(NoticeReport {
            notice: notice.id,
            attempts: 1,
            outcome,
            reason: String::new(),
        }));
    }

    /// The engine as a new process loads it.
    fn restart(&mut self) {
        let things = self.things.iter();
        let loaded = LoadedState {
            cursor: self.seq,
            served_until: self.now,
            things: things
                .map(|((kind, key), value)| (kind.clone(), key.clone(), value.clone()))
                .filter(|(kind, ..)| kind != "notice")
                .collect(),
            ..LoadedState::default()
        };
        self.engine = Engine::load(self.decisions.clone(), loaded).unwrap();
    }
}

const OUTSIDE: [&str; 3] = [
    "noc@northwind.example",
    "ops@acme.example",
    "ops@globex.example",
];

#[test]
fn an_incident_is_told_from_its_opening_to_its_end_once_each() {
    let mut bench = Bench::new();
    bench.outage();
    assert_eq!(
        bench.customers(NoticeKind::Opened),
        OUTSIDE,
        "partners in place of their accounts"
    );
    let opened = bench.of(NoticeKind::Opened);
    let partner = opened
        .iter()
        .find(|n| n.audience == Audience::Partner)
        .unwrap();
    assert_eq!(
        partner.facts.accounts,
        ["bakery", "shop"],
        "one letter for both"
    );
    let acme = opened.iter().find(|n| n.to == "ops@acme.example").unwrap();
    assert_eq!(acme.facts.services, ["acme-transit"]);
    assert_eq!(acme.facts.locale, "ja");
    assert_eq!(
        acme.facts.title, "",
        "an alert's words go to nobody outside"
    );

    bench.after(5);
    bench.note("We replace the power supply that Globex shares.");
    let updated = bench.of(NoticeKind::Updated);
    assert_eq!(updated.len(), 3);
    let words = |to: &str| {
        let found = updated.iter().find(|n| n.to == to).unwrap();
        found.facts.text.clone()
    };
    assert_eq!(
        words("ops@acme.example"),
        "We replace the power supply that [another customer] shares."
    );
    assert!(words("ops@globex.example").contains("Globex"));

    bench.after(5);
    bench.note("A technician drives there.\nNext update: 14:00");
    let promised = bench.of(NoticeKind::Promised);
    let until = |to: &str| {
        let found = promised.iter().find(|n| n.to == to).unwrap();
        found.facts.until.unwrap().to_string()
    };
    // Fourteen o'clock is each contract's own.
    assert_eq!(until("ops@acme.example"), "2026-06-02T05:00:00Z");
    assert_eq!(until("ops@globex.example"), "2026-06-02T12:00:00Z");

    bench.after(5);
    bench.recovery();
    assert_eq!(bench.customers(NoticeKind::Resolved), OUTSIDE);
    let keys: std::collections::BTreeSet<_> =
        bench.notices.values().map(|n| n.key.clone()).collect();
    assert_eq!(keys.len(), bench.notices.len(), "no two are the same");
    let threads: std::collections::BTreeSet<_> = bench
        .notices
        .values()
        .filter(|n| n.to == "ops@acme.example")
        .map(|n| n.thread.clone())
        .collect();
    assert_eq!(threads.len(), 1, "one thread for one reader");
}

#[test]
fn users_of_managed_accounts_hear_of_incidents_only_if_their_partner_wants_it() {
    let mut text = plan_text();
    let wants = PartnerSection {
        managed_users_get_incidents: true,
        sender_name: "Northwind".to_owned(),
        support: "help@northwind.example".to_owned(),
    };
    text.partners.insert("northwind".to_owned(), wants);
    let mut bench = Bench::with(text, CONTRACTS, Ruleset::default());
    bench.outage();
    assert!(
        bench
            .customers(NoticeKind::Opened)
            .contains(&"it@shop.example".to_owned())
    );
    bench.note("Please pay 40 EUR at https://chat.noc.example");
    let user = bench.of(NoticeKind::Updated);
    let user = user.iter().find(|n| n.to == "it@shop.example").unwrap();
    assert_eq!(user.facts.text, "", "facts alone");
    assert_eq!(user.facts.sender_name, "Northwind");
    assert!(user.facts.accounts.is_empty());
}

#[test]
fn less_than_urgent_stands_in_the_list_for_the_next_working_day_and_calls_nobody() {
    let mut bench = Bench::new();
    bench.alert("psu1", EventState::Firing);
    bench.after(3);
    let opened = bench.of(NoticeKind::Opened);
    let staff = opened
        .iter()
        .find(|n| n.audience == Audience::Staff)
        .unwrap();
    assert_eq!(staff.waits_for, Some(WaitsFor::NextWorkingDay));
    assert_eq!(
        staff.send_at.to_string(),
        "2026-06-02T07:00:00Z",
        "nine in Paris"
    );
    assert!(bench.of(NoticeKind::Page).is_empty());
    // It is over before anybody came: nothing to look at any more.
    bench.alert("psu1", EventState::Resolved);
    let staff = &bench.of(NoticeKind::Opened);
    let staff = staff
        .iter()
        .find(|n| n.audience == Audience::Staff)
        .unwrap();
    assert_eq!(staff.state, NoticeState::Dropped);
}

#[test]
fn warnings_wait_for_their_hours_and_breaches_of_what_is_urgent_do_not() {
    let mut bench = Bench::new();
    bench.outage();
    bench.after(12);
    let warnings = bench.of(NoticeKind::Warning);
    assert_eq!(warnings.len(), 4, "one for each contract");
    assert!(
        warnings
            .iter()
            .all(|n| n.waits_for == Some(WaitsFor::QuietHours))
    );
    bench.after(4);
    let breaches = bench.of(NoticeKind::Breach);
    assert_eq!(breaches.len(), 4);
    assert!(
        breaches
            .iter()
            .all(|n| n.waits_for.is_none() && n.audience == Audience::Staff)
    );
    // A missed answer raises the level: customers' contacts and partners hear of it.
    assert_eq!(bench.customers(NoticeKind::Escalation), OUTSIDE);
    let escalation = bench.of(NoticeKind::Escalation);
    assert!(
        escalation
            .iter()
            .all(|n| n.facts.level == 2 && n.facts.reason == "slow")
    );
    bench.after(1);
    bench.after(1);
    assert_eq!(bench.of(NoticeKind::Breach).len(), 4, "once each");
}

#[test]
fn an_audience_that_is_nobody_calls_whoever_is_on_call() {
    let contracts = CONTRACTS.replace("contacts = { incidents = [\"ops@acme.example\"] }", "");
    let mut bench = Bench::with(plan_text(), &contracts, Ruleset::default());
    bench.outage();
    let unaddressed = bench.of(NoticeKind::Unaddressed);
    assert_eq!(unaddressed.len(), 1);
    assert_eq!(
        (unaddressed[0].way, unaddressed[0].to.as_str()),
        (Way::Pager, "duty")
    );
    assert!(
        unaddressed[0]
            .facts
            .reason
            .contains("contract acme has no contacts for incidents")
    );
    bench.note("Still at it.");
    assert_eq!(bench.of(NoticeKind::Unaddressed).len(), 1, "once");
    // With nobody on call there is a ticket, and nothing is silent.
    let mut text = plan_text();
    text.plan.on_call.clear();
    let mut bench = Bench::with(text, &contracts, Ruleset::default());
    bench.outage();
    assert!(
        bench
            .said
            .iter()
            .any(|text| text.contains("nobody is on call")),
        "{:?}",
        bench.said
    );
}

#[test]
fn a_call_is_repeated_climbs_and_ends_with_an_answer() {
    let mut bench = Bench::new();
    bench.outage();
    let first = bench.of(NoticeKind::Page)[0].clone();
    assert_eq!((first.way, first.to.as_str()), (Way::Pager, "duty"));
    bench.report(&first, NoticeOutcome::Sent { maybe_twice: false });
    for _ in 0..2 {
        bench.after(5);
    }
    let pages = bench.of(NoticeKind::Page);
    assert_eq!(pages.len(), 3, "repeated");
    assert!(
        pages.iter().all(|n| n.thread == first.thread),
        "one call at the pager"
    );
    bench.after(5);
    assert!(
        bench
            .to(NoticeKind::Page)
            .contains(&"manager@noc.example".to_owned()),
        "the next level"
    );
    // A restart forgets no call.
    bench.restart();
    assert_eq!(bench.engine.state().telling.pages.len(), 1);
}

#[test]
fn an_answer_at_the_pager_stops_the_call() {
    let mut bench = Bench::new();
    bench.outage();
    let first = bench.of(NoticeKind::Page)[0].clone();
    bench.report(&first, NoticeOutcome::Sent { maybe_twice: false });
    let by = "Ito".to_owned();
    bench.report(&first, NoticeOutcome::Acknowledged { by });
    assert!(bench.engine.state().telling.pages.is_empty());
    let ended = bench.of(NoticeKind::PageEnded);
    assert_eq!(
        (ended.len(), ended[0].facts.reason.as_str()),
        (1, "acknowledged")
    );
    assert_eq!(ended[0].thread, first.thread);
    let count = bench.of(NoticeKind::Page).len();
    bench.after(60);
    let pages = bench.of(NoticeKind::Page);
    // Escalations call their own level; the call that was answered is not repeated.
    assert!(
        pages.iter().skip(count).all(|n| n.thread != first.thread),
        "{pages:#?}"
    );
    let incident = &bench.engine.state().incidents[&IncidentId(1)];
    assert!(incident.acknowledged_at.is_some());
    assert!(
        incident.answered_at.is_none(),
        "no answer that a customer could see"
    );
}

#[test]
fn a_call_that_cannot_get_out_does_not_wait_for_its_time() {
    let mut bench = Bench::new();
    bench.outage();
    let first = bench.of(NoticeKind::Page)[0].clone();
    bench.report(&first, NoticeOutcome::Dead);
    bench.step(Input::Due);
    assert!(
        bench
            .to(NoticeKind::Page)
            .contains(&"manager@noc.example".to_owned())
    );
}

#[test]
fn a_promise_that_is_not_clear_goes_back_to_its_author() {
    let mut bench = Bench::new();
    bench.outage();
    bench.note("Next update: soon");
    assert!(bench.of(NoticeKind::Promised).is_empty());
    let audit = bench.things.iter().rfind(|((kind, _), _)| kind == "audit");
    let text = String::from_utf8_lossy(audit.unwrap().1).into_owned();
    assert!(text.contains("refused: `soon` cannot be read"), "{text}");
    // In a tracker nobody waits for the answer: a note and a letter.
    let ticket = bench.engine.state().tickets.keys().next().copied().unwrap();
    bench.step(Input::Delivery(alertbridge::model::DeliveryReport {
        ticket,
        version_done: 1,
        written: None,
        read: None,
        remote: Some(alertbridge::model::ticket::RemoteRef {
            key: "7".to_owned(),
            url: String::new(),
        }),
        origin: None,
        notes_done: vec![],
        trouble: None,
        twins_closed: vec![],
    }));
    bench.step(Input::Person(alertbridge::model::PersonChange {
        tracker: "desk".to_owned(),
        remote: "7".to_owned(),
        change_id: "c1".to_owned(),
        at: bench.now,
        author: "sato@noc.example".to_owned(),
        what: alertbridge::model::PersonDid::Answered {
            text: "We work on it.\nNext update: 03/04/2026 10:00".to_owned(),
            promise: None,
        },
    }));
    assert_eq!(bench.to(NoticeKind::PromiseUnclear), ["sato@noc.example"]);
    assert_eq!(
        bench.customers(NoticeKind::Updated),
        OUTSIDE,
        "the words are told all the same"
    );
    let notes = &bench.engine.state().tickets[&ticket].notes;
    assert!(
        notes
            .iter()
            .any(|n| !n.public && n.text.contains("is not counted"))
    );
}

fn carrier(
    status: MaintenanceStatus,
    sequence: i64,
    hours: (u64, u64),
    now: Time,
) -> MaintenanceNotice {
    let at = |hours: u64| now.plus(Duration::from_secs(hours * 3600));
    MaintenanceNotice {
        provider: "carrier".to_owned(),
        maintenance_id: "CHG-9".to_owned(),
        account: None,
        status,
        objects: vec![MaintenanceObject {
            id: "sw1".to_owned(),
            impact: MaintenanceImpact::Outage,
        }],
        windows: vec![MaintenanceWindow {
            starts_at: at(hours.0),
            ends_at: Some(at(hours.1)),
        }],
        sequence,
        summary: "fibre work".to_owned(),
        unclear: vec![],
    }
}

#[test]
fn planned_work_is_told_from_plan_to_end_and_managed_users_never_hear_of_it() {
    let mut text = plan_text();
    let wants = PartnerSection {
        managed_users_get_incidents: true,
        ..PartnerSection::default()
    };
    text.partners.insert("northwind".to_owned(), wants);
    let mut bench = Bench::with(text, CONTRACTS, Ruleset::default());
    let now = bench.now;
    let at = |hours: u64| now.plus(Duration::from_secs(hours * 3600));
    bench.say(Command::OpenWindow {
        matchers: vec!["element=sw1".to_owned()],
        reason: "new firmware".to_owned(),
        starts_at: at(48),
        ends_at: at(50),
    });
    assert_eq!(bench.customers(NoticeKind::MaintenancePlanned), OUTSIDE);
    let planned = bench.of(NoticeKind::MaintenancePlanned);
    let acme = planned.iter().find(|n| n.to == "ops@acme.example").unwrap();
    assert_eq!(acme.send_at, at(24), "a day before, as agreed");
    assert_eq!(acme.waits_for, Some(WaitsFor::LeadTime));
    assert_eq!(acme.facts.reference, "MW-1");
    bench.after(48 * 60);
    assert_eq!(bench.customers(NoticeKind::MaintenanceStarted), OUTSIDE);
    bench.outage();
    assert!(
        bench.of(NoticeKind::Opened).is_empty(),
        "planned work is no incident"
    );
    bench.after(60);
    bench.recovery();
    bench.after(60);
    assert_eq!(bench.customers(NoticeKind::MaintenanceEnded), OUTSIDE);
    assert!(bench.of(NoticeKind::MaintenanceOverrun).is_empty());
}

#[test]
fn work_that_takes_too_long_is_told_and_so_is_what_is_cancelled() {
    let mut bench = Bench::new();
    let now = bench.now;
    let at = |hours: u64| now.plus(Duration::from_secs(hours * 3600));
    let window = |from, until| Command::OpenWindow {
        matchers: vec!["element=sw1".to_owned()],
        reason: "new firmware".to_owned(),
        starts_at: at(from),
        ends_at: at(until),
    };
    bench.say(window(1, 2));
    let planned = bench.of(NoticeKind::MaintenancePlanned);
    let acme = planned.iter().find(|n| n.to == "ops@acme.example").unwrap();
    assert!(acme.facts.short_notice, "later than agreed");
    bench.after(61);
    bench.outage();
    bench.after(60);
    assert_eq!(bench.customers(NoticeKind::MaintenanceOverrun), OUTSIDE);
    assert!(bench.of(NoticeKind::MaintenanceEnded).is_empty());
    assert_eq!(
        bench.customers(NoticeKind::Opened),
        OUTSIDE,
        "it is an incident now"
    );
    bench.say(window(72, 73));
    bench.say(Command::EndWindow {
        window: WindowId(2),
    });
    // Who had not been told of the plan is not told that it is off.
    let told = bench.customers(NoticeKind::MaintenanceCancelled);
    assert!(told.is_empty(), "{told:?}");
    bench.say(window(10, 11));
    bench.say(Command::EndWindow {
        window: WindowId(3),
    });
    assert_eq!(bench.customers(NoticeKind::MaintenanceCancelled), OUTSIDE);
}

#[test]
fn a_carriers_change_is_told_once_and_the_same_notice_again_is_not() {
    let contracts = CONTRACTS.replace("maintenance_lead = \"24h\"", "");
    let mut bench = Bench::with(plan_text(), &contracts, Ruleset::default());
    let now = bench.now;
    bench.message(
        vec![],
        vec![carrier(MaintenanceStatus::Confirmed, 1, (48, 50), now)],
    );
    assert_eq!(bench.customers(NoticeKind::MaintenancePlanned), OUTSIDE);
    bench.message(
        vec![],
        vec![carrier(MaintenanceStatus::Confirmed, 2, (48, 50), now)],
    );
    assert!(bench.of(NoticeKind::MaintenanceChanged).is_empty());
    bench.message(
        vec![],
        vec![carrier(MaintenanceStatus::Rescheduled, 3, (72, 74), now)],
    );
    assert_eq!(bench.customers(NoticeKind::MaintenanceChanged), OUTSIDE);
    let changed = bench.of(NoticeKind::MaintenanceChanged);
    assert_eq!(changed[0].facts.reference, "MW-1", "the same work");
    bench.restart();
    bench.message(
        vec![],
        vec![carrier(MaintenanceStatus::Cancelled, 4, (72, 74), now)],
    );
    assert_eq!(bench.customers(NoticeKind::MaintenanceCancelled), OUTSIDE);
}

#[test]
fn a_security_message_waits_for_a_person_and_reaches_managed_users_directly() {
    let rule = Rule {
        name: "intrusion".to_owned(),
        matchers: vec!["summary=~.*intruder.*".to_owned()],
        security: true,
        ..Rule::default()
    };
    let rules = Ruleset::compile(vec![rule]).unwrap();
    let mut bench = Bench::with(plan_text(), CONTRACTS, rules);
    bench.alert_of("psu1", EventState::Firing, "intruder at the console");
    bench.alert_of("psu2", EventState::Firing, "intruder at the console");
    assert!(
        bench.customers(NoticeKind::Opened).is_empty(),
        "nobody outside hears of it"
    );
    bench.restart_security_check();
    let release = |text: &str| Command::ReleaseSecurity {
        security: SecurityId(1),
        text: text.to_owned(),
    };
    bench.say(release(""));
    assert!(
        bench.of(NoticeKind::Security).is_empty(),
        "it has no text yet"
    );
    bench.say(release(
        "Somebody was at the console. Change your passwords, Globex too.",
    ));
    let to = bench.to(NoticeKind::Security);
    let everybody = [
        "it@bakery.example",
        "it@shop.example",
        "ops@acme.example",
        "ops@globex.example",
    ];
    assert_eq!(to, everybody, "the partner is not hit itself");
    for notice in bench.of(NoticeKind::Security) {
        let names_globex = notice.facts.text.contains("Globex");
        assert_eq!(names_globex, notice.to == "ops@globex.example");
    }
    assert_eq!(
        bench.customers(NoticeKind::Opened),
        OUTSIDE,
        "and now of the incident"
    );
}

impl Bench {
    fn restart_security_check(&self) {
        assert_eq!(self.engine.state().telling.security.len(), 1);
        let kept = self.things.keys().filter(|(kind, _)| kind == "security");
        assert_eq!(kept.count(), 1, "it is in the state");
    }
}

#[test]
fn what_was_wanted_is_wanted_after_a_restart_and_not_twice() {
    let mut bench = Bench::new();
    bench.outage();
    let before = bench.engine.state().telling.notices.clone();
    bench.restart();
    assert_eq!(bench.engine.state().telling.notices, before);
    let first = before.values().next().unwrap().clone();
    bench.report(&first, NoticeOutcome::Sent { maybe_twice: true });
    bench.restart();
    assert!(!bench.engine.state().telling.notices.contains_key(&first.id));
    assert_eq!(
        bench.notices[&first.id.0].state,
        NoticeState::SentMaybeTwice
    );
}

#[test]
fn the_words_are_those_of_each_language() {
    let templates = Templates::new(BTreeMap::new(), "Example NOC").unwrap();
    for locale in ["en", "ja", "fr"] {
        let mut whole = String::new();
        for kind in NoticeKind::ALL {
            for audience in Audience::ALL {
                let staff_only = matches!(
                    kind,
                    NoticeKind::Warning
                        | NoticeKind::Breach
                        | NoticeKind::Unaddressed
                        | NoticeKind::PromiseUnclear
                        | NoticeKind::Page
                        | NoticeKind::PageEnded
                );
                let security = (audience == Audience::Security) == (kind == NoticeKind::Security);
                if staff_only != (audience == Audience::Staff)
                    && kind != NoticeKind::Escalation
                    && kind != NoticeKind::Opened
                    || !security
                    || audience == Audience::Staff && kind == NoticeKind::Security
                {
                    continue;
                }
                let again = kind == NoticeKind::Updated;
                let sample = alertbridge::notices::words::sample(kind, audience, locale, true);
                let worded = templates.word(&sample, again).unwrap();
                let (kind, audience) = (kind.word(), audience.word());
                whole += &format!(
                    "=== {kind} {audience}\n{}\n\n{}\n",
                    worded.subject, worded.body
                );
            }
        }
        let path = format!(
            "{}/tests/data/notices/{locale}.txt",
            env!("CARGO_MANIFEST_DIR")
        );
        if std::env::var_os("ALERTBRIDGE_UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &whole).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            whole, kept,
            "{path}: look at the difference; ALERTBRIDGE_UPDATE_GOLDEN=1 keeps it"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever monitors and people write: no letter outside names another customer.
    #[test]
    fn another_customers_name_never_appears(
        parts in prop::collection::vec(
            prop_oneof![
                Just("Globex".to_owned()),
                Just("ACME".to_owned()),
                Just("Acme Holding".to_owned()),
                Just("globex-vpn".to_owned()),
                Just("shop".to_owned()),
                Just("Bakery".to_owned()),
                Just("northwind".to_owned()),
                Just("Globex社".to_owned()),
                "\\PC{0,10}",
            ],
            1..12,
        ),
        joint in prop_oneof![Just(" "), Just(", "), Just("\n"), Just("-"), Just("/")],
        severity in prop_oneof![Just(None), Just(Some(Severity::S3))],
    ) {
        let words = parts.join(joint);
        let mut bench = Bench::new();
        bench.alert_of("psu1", EventState::Firing, &words);
        bench.alert_of("psu2", EventState::Firing, &words);
        bench.note(&words);
        if let Some(severity) = severity {
            let severity = Some(severity);
            bench.say(Command::SetSeverity { incident: IncidentId(1), severity, text: words.clone() });
        }
        bench.say(Command::OpenWindow {
            matchers: vec!["element=sw1".to_owned()],
            reason: words.clone(),
            starts_at: bench.now.plus(Duration::from_secs(3600)),
            ends_at: bench.now.plus(Duration::from_secs(7200)),
        });
        bench.say(Command::MarkSecurity { incident: IncidentId(1), text: words.clone() });
        bench.say(Command::ReleaseSecurity { security: SecurityId(1), text: String::new() });
        bench.recovery();
        let templates = Templates::new(BTreeMap::new(), "Example NOC").unwrap();
        let all = ["acme", "globex", "shop", "bakery", "northwind"];
        for notice in bench.notices.values().filter(|n| n.audience != Audience::Staff) {
            let worded = templates.word(notice, false).unwrap();
            let text = format!("{}\n{}", worded.subject, worded.body).to_lowercase();
            let mine: &[&str] = match notice.to.as_str() {
                "ops@acme.example" => &["acme"],
                "ops@globex.example" => &["globex"],
                "it@shop.example" => &["shop", "northwind"],
                "it@bakery.example" => &["bakery", "northwind"],
                _ => &["northwind", "shop", "bakery"],
            };
            for other in all.iter().filter(|name| !mine.contains(name)) {
                let found = text
                    .split(|c: char| !(c.is_alphanumeric() && (c as u32) < 0x3000))
                    .any(|word| word == *other);
                prop_assert!(!found, "{} reads {other}: {text}", notice.to);
            }
        }
    }
}

#[test]
fn of_something_sensitive_the_number_alone_is_told() {
    let rule: Rule =
        toml::from_str("name = \"payroll\"\nmatch = [\"host=sw1\"]\nsensitive = true").unwrap();
    let rules = Ruleset::compile(vec![rule]).unwrap();
    let mut bench = Bench::with(plan_text(), CONTRACTS, rules);
    bench.outage();
    bench.note("the payroll host is being replaced");
    bench.after(60);
    bench.recovery();
    assert!(!bench.of(NoticeKind::Opened).is_empty());
    for notice in bench.notices.values() {
        let facts = &notice.facts;
        assert_eq!(facts.reference, "INC-1");
        assert_eq!((facts.title.as_str(), facts.text.as_str()), ("", ""));
        assert!(facts.services.is_empty() && facts.accounts.is_empty());
    }
}

/// `CONTRACTS` with reports on a day and at a time, for those who get one of their own.
fn with_reports(acme: &str, northwind: &str) -> String {
    CONTRACTS
        .replace(
            "maintenance_lead = \"24h\"",
            &format!("maintenance_lead = \"24h\"\nmonthly_report = {acme}"),
        )
        .replace(
            "account = \"partner\"\ncontacts = { ",
            &format!(
                "account = \"partner\"\nmonthly_report = {northwind}\ncontacts = {{ report = \
                 [\"sla@northwind.example\"], "
            ),
        )
}

impl Bench {
    /// Comes into force with its input, as the daemon does it.
    fn reload(&mut self) {
        self.engine.replace_decisions(self.decisions.clone());
        self.generation();
    }

    fn generation(&mut self) {
        use alertbridge::model::input::{Generation, GenerationOf};
        self.step(Input::Generation(Generation {
            of: GenerationOf::Configuration,
            digest: format!("d{}", self.seq),
            note: String::new(),
            elements: vec![],
        }));
    }

    /// Lets the deadlines up to an instant pass, as a daemon that is awake does.
    fn until(&mut self, at: &str) {
        let end = Time::parse_rfc3339(at).unwrap();
        while let Some(next) = self.engine.next_wake().filter(|next| *next <= end) {
            self.now = self.now.max(next);
            self.step(Input::Due);
        }
        self.now = end;
        self.step(Input::Due);
    }
}

#[test]
fn the_months_report_goes_out_once_by_each_contracts_clock_and_language() {
    let contracts = with_reports("{ day = 2, at = \"08:00\" }", "{}");
    let mut bench = Bench::with(plan_text(), &contracts, Ruleset::default());
    bench.generation();
    assert!(
        bench.of(NoticeKind::Report).is_empty(),
        "nothing to tell of the time before"
    );
    // It is nine in the morning of the second in Tokyo: that of May is due since an hour.
    bench.until("2026-07-01T07:59:59Z");
    assert!(bench.of(NoticeKind::Report).is_empty());
    bench.until("2026-07-01T23:00:00Z");
    let to = |bench: &Bench, month: &str| {
        let of = bench.of(NoticeKind::Report);
        let mut of: Vec<_> = of.iter().filter(|n| n.facts.reference == month).collect();
        of.sort_by_key(|n| n.to.clone());
        of.iter()
            .map(|n| (n.to.clone(), n.facts.at.to_string()))
            .collect::<Vec<_>>()
    };
    let june = [
        // Eight in Tokyo, in the contract's language; no address for reports: that for incidents.
        ("ops@acme.example", "2026-07-01T23:00:00Z"),
        // The partner has an address for reports. Managed accounts get none of their own.
        ("sla@northwind.example", "2026-07-01T08:00:00Z"),
    ]
    .map(|(to, at)| (to.to_owned(), at.to_owned()));
    assert_eq!(to(&bench, "2026-06"), june);
    let acme = bench.of(NoticeKind::Report);
    let acme = acme.iter().find(|n| n.to == "ops@acme.example").unwrap();
    assert_eq!(
        (acme.facts.locale.as_str(), acme.facts.contract.as_str()),
        ("ja", "acme")
    );
    assert_eq!(
        acme.facts.since.unwrap().to_string(),
        "2026-05-31T15:00:00Z"
    );
    // Restarts and reloads tell nothing again, and a month that passes meanwhile is caught up on.
    bench.restart();
    bench.generation();
    assert_eq!(bench.of(NoticeKind::Report).len(), 2);
    bench.restart();
    bench.now = Time::parse_rfc3339("2026-09-05T00:00:00Z").unwrap();
    bench.step(Input::Due);
    assert_eq!(bench.of(NoticeKind::Report).len(), 6);
    for month in ["2026-07", "2026-08"] {
        assert_eq!(to(&bench, month).len(), 2, "{month}");
    }
    bench.generation();
    bench.until("2026-09-30T00:00:00Z");
    assert_eq!(bench.of(NoticeKind::Report).len(), 6, "once each");
}

#[test]
fn a_report_that_is_nobodys_calls_and_one_that_is_not_wanted_any_more_is_forgotten() {
    let contracts = with_reports("{ day = 31 }", "{ day = 31 }")
        .replace("contacts = { incidents = [\"ops@acme.example\"] }", "");
    let mut bench = Bench::with(plan_text(), &contracts, Ruleset::default());
    bench.generation();
    bench.until("2026-06-30T08:00:00Z");
    let reports = bench.of(NoticeKind::Report);
    assert_eq!(reports.len(), 1, "the last day of June");
    assert_eq!(reports[0].facts.reference, "2026-05");
    let unaddressed = bench.of(NoticeKind::Unaddressed);
    let words = "contract acme has no contacts for report";
    assert!(unaddressed.iter().any(|n| n.facts.reason.contains(words)));
    // Off for two months, then on again: what lies between was not wanted.
    let wanted = bench.decisions.sla.clone();
    let without = Bench::new().decisions.sla;
    bench.decisions.sla = without;
    bench.reload();
    bench.until("2026-09-01T00:00:00Z");
    bench.decisions.sla = wanted;
    bench.reload();
    bench.until("2026-09-29T00:00:00Z");
    assert_eq!(bench.of(NoticeKind::Report).len(), 1);
    bench.until("2026-09-30T08:00:00Z");
    let months: Vec<String> = bench
        .of(NoticeKind::Report)
        .iter()
        .map(|n| n.facts.reference.clone())
        .collect();
    assert_eq!(months, ["2026-05", "2026-08"]);
}

/// A window that comes again every Sunday, in Paris.
fn sundays(more: &str) -> alertbridge::engine::RecurringWindow {
    let text = format!(
        "name = \"patches\"\nreason = \"firmware of Globex\"\nmatch = [\"element=sw1\"]\n\
         days = [\"sunday\"]\nat = \"02:00\"\nfor = \"2h\"\nzone = \"Europe/Paris\"\n{more}"
    );
    let config = toml::from_str(&text).unwrap();
    alertbridge::engine::RecurringWindow::compile(config).unwrap()
}

#[test]
fn a_window_that_comes_again_is_told_at_each_of_its_occurrences() {
    let mut text = plan_text();
    let wants = PartnerSection {
        managed_users_get_incidents: true,
        ..PartnerSection::default()
    };
    text.partners.insert("northwind".to_owned(), wants);
    let mut bench = Bench::with(text, CONTRACTS, Ruleset::default());
    bench.decisions.recurring = vec![sundays("")];
    bench.reload();
    // Tuesday: the next Sunday is known, each contract hears of it at its lead time.
    assert_eq!(bench.customers(NoticeKind::MaintenancePlanned), OUTSIDE);
    let planned = bench.of(NoticeKind::MaintenancePlanned);
    let of = |to: &str| planned.iter().find(|n| n.to == to).unwrap();
    let acme = of("ops@acme.example");
    assert_eq!(
        acme.send_at.to_string(),
        "2026-06-06T00:00:00Z",
        "a day before"
    );
    assert_eq!(acme.waits_for, Some(WaitsFor::LeadTime));
    assert!(!acme.facts.text.contains("Globex"), "{}", acme.facts.text);
    let globex = of("ops@globex.example");
    assert_eq!(globex.waits_for, None, "at once");
    assert_eq!(
        globex.facts.since.unwrap().to_string(),
        "2026-06-07T00:00:00Z"
    );
    // A restart and the same configuration tell nothing new.
    bench.restart();
    bench.reload();
    assert_eq!(bench.of(NoticeKind::MaintenancePlanned).len(), 3);
    bench.until("2026-06-07T00:30:00Z");
    assert_eq!(bench.customers(NoticeKind::MaintenanceStarted), OUTSIDE);
    // The second Sunday is known a week before it begins.
    let planned = bench.of(NoticeKind::MaintenancePlanned);
    assert_eq!(planned.len(), 6);
    let references: std::collections::BTreeSet<_> =
        planned.iter().map(|n| n.facts.reference.as_str()).collect();
    assert_eq!(references.len(), 2, "each occurrence has its own");
    // Planned work is no incident, and it is over in time.
    bench.outage();
    bench.recovery();
    bench.until("2026-06-07T02:00:00Z");
    assert!(bench.of(NoticeKind::Opened).is_empty());
    assert_eq!(bench.customers(NoticeKind::MaintenanceEnded), OUTSIDE);
    assert!(bench.of(NoticeKind::MaintenanceOverrun).is_empty());
    // The next time something is left broken.
    bench.until("2026-06-14T00:30:00Z");
    bench.outage();
    bench.until("2026-06-14T02:00:00Z");
    assert_eq!(bench.customers(NoticeKind::MaintenanceOverrun), OUTSIDE);
    assert_eq!(
        bench.of(NoticeKind::MaintenanceEnded).len(),
        3,
        "not this one"
    );
    assert_eq!(bench.customers(NoticeKind::Opened).len(), OUTSIDE.len() + 2);
    let users = ["it@shop.example", "it@bakery.example"];
    let maintenance = bench
        .notices
        .values()
        .filter(|n| n.kind.word().starts_with("maintenance"));
    assert!(maintenance.clone().count() > 12);
    for notice in maintenance {
        assert!(!users.contains(&notice.to.as_str()), "managed users never");
    }
}

#[test]
fn an_occurrence_that_moves_is_changed_and_one_that_goes_is_cancelled() {
    let contracts = CONTRACTS.replace("maintenance_lead = \"24h\"", "");
    let mut bench = Bench::with(plan_text(), &contracts, Ruleset::default());
    bench.decisions.recurring = vec![sundays("")];
    bench.reload();
    let text = "name = \"patches\"\nmatch = [\"element=sw1\"]\ndays = [\"monday\"]\nat = \"03:00\"\n\
                for = \"1h\"\nzone = \"Europe/Paris\"";
    let monday = toml::from_str(text).unwrap();
    let monday = alertbridge::engine::RecurringWindow::compile(monday).unwrap();
    bench.decisions.recurring = vec![monday];
    bench.reload();
    assert_eq!(bench.customers(NoticeKind::MaintenanceChanged), OUTSIDE);
    let changed = bench.of(NoticeKind::MaintenanceChanged);
    let planned = bench.of(NoticeKind::MaintenancePlanned);
    assert_eq!(
        changed[0].facts.reference, planned[0].facts.reference,
        "the same work"
    );
    assert_eq!(
        changed[0].facts.since.unwrap().to_string(),
        "2026-06-08T01:00:00Z"
    );
    bench.decisions.recurring = Vec::new();
    bench.reload();
    assert_eq!(bench.customers(NoticeKind::MaintenanceCancelled), OUTSIDE);
    bench.until("2026-07-01T00:00:00Z");
    assert!(bench.of(NoticeKind::MaintenanceStarted).is_empty());
    assert!(bench.state_is_clean());
    // One of which nobody is to hear, and one that touches nobody.
    let elsewhere =
        toml::from_str("name = \"lab\"\nmatch = [\"host=lab-1\"]\nat = \"02:00\"\nfor = \"1h\"");
    let elsewhere = alertbridge::engine::RecurringWindow::compile(elsewhere.unwrap()).unwrap();
    bench.decisions.recurring = vec![sundays("tell = false"), elsewhere];
    let before = bench.notices.len();
    bench.reload();
    bench.until("2026-08-01T00:00:00Z");
    assert_eq!(bench.notices.len(), before);
}

impl Bench {
    /// Nothing is kept of windows that are gone.
    fn state_is_clean(&self) -> bool {
        let told = self.things.keys().any(|(kind, _)| kind == "window_told");
        !told && self.engine.next_wake().is_none_or(|at| at > self.now)
    }
}

#[test]
fn while_nothing_ran_occurrences_began_and_ended_at_their_own_instants() {
    let contracts = CONTRACTS.replace("maintenance_lead = \"24h\"", "maintenance_lead = \"240h\"");
    let mut bench = Bench::with(plan_text(), &contracts, Ruleset::default());
    bench.decisions.recurring = vec![sundays("")];
    bench.reload();
    // Ten days ahead: one Sunday.
    assert_eq!(bench.of(NoticeKind::MaintenancePlanned).len(), 3);
    bench.restart();
    bench.now = Time::parse_rfc3339("2026-06-16T00:00:00Z").unwrap();
    bench.step(Input::Due);
    // The Sunday of which they knew; that of which nobody was told came and went meanwhile.
    let at = |kind: NoticeKind| {
        let of = bench.of(kind);
        let mut at: Vec<String> = of.iter().map(|n| n.facts.at.to_string()).collect();
        at.dedup();
        at
    };
    assert_eq!(at(NoticeKind::MaintenanceStarted), ["2026-06-07T00:00:00Z"]);
    assert_eq!(at(NoticeKind::MaintenanceEnded), ["2026-06-07T02:00:00Z"]);
    let planned = bench.of(NoticeKind::MaintenancePlanned);
    let acme = planned.iter().filter(|n| n.to == "ops@acme.example");
    let begins: Vec<(String, bool)> = acme
        .map(|n| (n.facts.since.unwrap().to_string(), n.facts.short_notice))
        .collect();
    // Ten days before were agreed: on Tuesday it was too late for the first, the last is in time.
    assert_eq!(
        begins,
        [
            ("2026-06-07T00:00:00Z".to_owned(), true),
            ("2026-06-21T00:00:00Z".to_owned(), false)
        ]
    );
}

#[test]
fn a_person_who_ends_an_occurrence_early_ends_it_for_customers_too() {
    let contracts = CONTRACTS.replace("maintenance_lead = \"24h\"", "");
    let mut bench = Bench::with(plan_text(), &contracts, Ruleset::default());
    bench.decisions.recurring = vec![sundays("")];
    bench.reload();
    let number = |bench: &Bench| bench.engine.state().occurrences["patches"].window;
    let references = |bench: &Bench, kind: NoticeKind| {
        let told = bench.of(kind);
        let mut of: Vec<String> = told.iter().map(|n| n.facts.reference.clone()).collect();
        of.dedup();
        of
    };
    let first = number(&bench);
    let planned = references(&bench, NoticeKind::MaintenancePlanned);
    assert_eq!(planned, [first.to_string()], "the number of its window");
    bench.until("2026-06-07T00:30:00Z");
    bench.say(Command::EndWindow { window: first });
    assert_eq!(bench.customers(NoticeKind::MaintenanceEnded), OUTSIDE);
    bench.until("2026-06-08T00:00:00Z");
    assert_eq!(bench.of(NoticeKind::MaintenanceEnded).len(), 3, "once");
    // The next one does not take place. It was told under the number that its window has now.
    let second = number(&bench);
    assert_eq!(
        references(&bench, NoticeKind::MaintenancePlanned),
        [first.to_string(), second.to_string()]
    );
    bench.say(Command::EndWindow { window: second });
    assert_eq!(bench.customers(NoticeKind::MaintenanceCancelled), OUTSIDE);
    bench.until("2026-06-14T12:00:00Z");
    assert_eq!(
        bench.of(NoticeKind::MaintenanceStarted).len(),
        3,
        "the first alone"
    );
    bench.until("2026-06-21T03:00:00Z");
    assert_eq!(bench.of(NoticeKind::MaintenanceStarted).len(), 6);
    assert_eq!(bench.of(NoticeKind::MaintenanceEnded).len(), 6);
    assert!(bench.of(NoticeKind::MaintenanceChanged).is_empty());
}

#[test]
fn an_engine_without_a_past_tells_nothing_of_it() {
    let mut bench = Bench::new();
    bench.decisions.recurring = vec![sundays("")];
    let fresh = LoadedState::default();
    bench.engine = Engine::load(bench.decisions.clone(), fresh).unwrap();
    bench.generation();
    let begins = |bench: &Bench| {
        let planned = bench.of(NoticeKind::MaintenancePlanned);
        let mut begins: Vec<String> = planned
            .iter()
            .map(|n| n.facts.since.unwrap().to_string())
            .collect();
        begins.dedup();
        begins
    };
    assert_eq!(begins(&bench), ["2026-06-07T00:00:00Z"]);
    // A window that was configured while nothing ran.
    let mut bench = Bench::new();
    bench.generation();
    bench.decisions.recurring = vec![sundays("")];
    bench.restart();
    bench.now = Time::parse_rfc3339("2026-07-14T00:00:00Z").unwrap();
    bench.generation();
    assert_eq!(begins(&bench), ["2026-07-19T00:00:00Z"]);
    assert!(bench.of(NoticeKind::MaintenanceEnded).is_empty());
}

impl Bench {
    fn ticket_is_there(&mut self) -> alertbridge::model::TicketId {
        let ticket = self.engine.state().tickets.keys().next().copied().unwrap();
        self.step(Input::Delivery(alertbridge::model::DeliveryReport {
            ticket,
            version_done: 1,
            written: None,
            read: None,
            remote: Some(alertbridge::model::ticket::RemoteRef {
                key: "7".to_owned(),
                url: String::new(),
            }),
            origin: None,
            notes_done: vec![],
            trouble: None,
            twins_closed: vec![],
        }));
        ticket
    }

    fn field(&mut self, value: &str) {
        self.step(Input::Person(alertbridge::model::PersonChange {
            tracker: "desk".to_owned(),
            remote: "7".to_owned(),
            change_id: format!("f{}", self.seq),
            at: self.now,
            author: "sato@noc.example".to_owned(),
            what: alertbridge::model::PersonDid::Promised {
                value: value.to_owned(),
            },
        }));
    }

    fn promise_of(&self, contract: &str) -> Option<String> {
        let key = (IncidentId(1), contract.to_owned());
        let case = &self.engine.state().cases[&key];
        let contract = &self.decisions.sla.contracts[contract];
        let view = alertbridge::sla::evaluate(&case.log, contract, self.now.seconds())?;
        let at = view.update.promise?;
        Some(Time::from_seconds(at).to_string())
    }
}

#[test]
fn a_promise_in_a_trackers_field_is_read_by_each_contracts_clock() {
    let mut bench = Bench::new();
    bench.outage();
    bench.ticket_is_there();
    bench.after(5);
    bench.field("2026-06-02 14:00");
    let promised = bench.of(NoticeKind::Promised);
    assert_eq!(promised.len(), 3);
    let until = |to: &str| {
        let found = promised.iter().find(|n| n.to == to).unwrap();
        assert_eq!(found.facts.text, "", "the time alone");
        found.facts.until.unwrap().to_string()
    };
    assert_eq!(until("ops@acme.example"), "2026-06-02T05:00:00Z");
    assert_eq!(until("ops@globex.example"), "2026-06-02T12:00:00Z");
    // The clocks of each case follow it, and the answer is given.
    assert_eq!(
        bench.promise_of("acme").as_deref(),
        Some("2026-06-02T05:00:00Z")
    );
    assert_eq!(
        bench.promise_of("globex").as_deref(),
        Some("2026-06-02T12:00:00Z")
    );
    bench.after(30);
    assert!(
        bench.of(NoticeKind::Breach).is_empty(),
        "it was answered in time"
    );
    // An instant is the same for all.
    bench.field("2026-06-02T10:00:00Z");
    assert_eq!(
        bench.promise_of("acme").as_deref(),
        Some("2026-06-02T10:00:00Z")
    );
    // Emptied: what was promised stands. Unclear: back to its author, and nothing moves.
    bench.field(" ");
    assert!(bench.of(NoticeKind::PromiseUnclear).is_empty());
    bench.field("tomorrow");
    assert_eq!(bench.to(NoticeKind::PromiseUnclear), ["sato@noc.example"]);
    assert_eq!(bench.of(NoticeKind::Promised).len(), 6);
    assert_eq!(
        bench.promise_of("acme").as_deref(),
        Some("2026-06-02T10:00:00Z")
    );
    let notes = &bench.engine.state().tickets.values().next().unwrap().notes;
    assert!(
        notes
            .iter()
            .any(|n| !n.public && n.text.contains("`tomorrow` cannot be read"))
    );
    assert!(
        !notes.iter().any(|n| n.text.contains("14:00")),
        "it stands in that ticket already"
    );
}

impl Bench {
    fn mail_of(&mut self, from: &str, speaker: alertbridge::model::notice::Speaker, text: &str) {
        use alertbridge::model::notice::{Author, Reply};
        self.step(Input::Message(Message {
            author: Some(Author {
                address: from.to_owned(),
                speaker,
                ..Author::default()
            }),
            replies: vec![Reply {
                from: from.to_owned(),
                subject: "Re: [INC-1] x".to_owned(),
                text: text.to_owned(),
                refers_to: vec!["t1.x@noc.example".to_owned()],
                ticket_tag: None,
                message_id: None,
            }],
            ..Message::new("mail", "mail", vec![])
        }));
    }

    fn staff_mail(&mut self, text: &str) {
        let engineer = alertbridge::model::notice::Speaker::Engineer;
        self.mail_of("sato@noc.example", engineer, text);
    }
}

#[test]
fn staff_answer_promise_wait_and_resolve_by_mail() {
    use alertbridge::model::incident::IncidentState;
    let mut bench = Bench::new();
    bench.outage();
    let opened = bench.now;
    bench.after(5);
    bench.staff_mail("I look at the console. Next update: soon, I think");
    assert!(
        bench.of(NoticeKind::Updated).is_empty(),
        "internal unless it says otherwise"
    );
    let incident = |bench: &Bench| bench.engine.state().incidents[&IncidentId(1)].clone();
    assert_eq!(incident(&bench).answered_at, None);
    assert!(incident(&bench).acknowledged_at.is_some());
    // The first answer, with a question: the customer is waited for.
    bench.staff_mail("Public: yes\nStatus: waiting\n\nMay we restart it?\nNext update: 14:00");
    let promised = bench.of(NoticeKind::Promised);
    assert_eq!(promised.len(), 3);
    assert!(
        promised
            .iter()
            .all(|n| n.facts.text.starts_with("May we restart it?"))
    );
    assert_eq!(
        incident(&bench).answered_at,
        Some(opened.plus(Duration::from_secs(300)))
    );
    assert!(incident(&bench).waiting);
    assert_eq!(
        bench.promise_of("globex").as_deref(),
        Some("2026-06-02T12:00:00Z")
    );
    // A promise in an internal mail: customers read the time alone.
    bench.after(5);
    bench.staff_mail("Status: open\nThe carrier is slow.\nNext update: 15:00");
    assert!(!incident(&bench).waiting);
    let promised = bench.of(NoticeKind::Promised);
    assert_eq!(promised.len(), 6);
    assert!(!promised.iter().any(|n| n.facts.text.contains("carrier")));
    assert_eq!(
        bench.promise_of("globex").as_deref(),
        Some("2026-06-02T13:00:00Z")
    );
    // Unclear: back by mail.
    bench.staff_mail("Public: yes\nNext update: 03/04/2026 10:00");
    assert_eq!(bench.to(NoticeKind::PromiseUnclear), ["sato@noc.example"]);
    // Others cannot: a customer's lines are a customer's words.
    let customer = alertbridge::model::notice::Speaker::Unknown;
    bench.mail_of(
        "ops@acme.example",
        customer,
        "Public: yes\nStatus: resolved",
    );
    assert!(incident(&bench).state.is_open());
    bench.staff_mail("Status: resolved\nThe supply was replaced.");
    assert_eq!(incident(&bench).state, IncidentState::Resolved);
    assert_eq!(bench.customers(NoticeKind::Resolved), OUTSIDE);
}

#[test]
fn a_rebuilt_incident_tells_nobody_again_and_calls_somebody_once() {
    use alertbridge::model::memory::{About, FoundTicket, RememberedAlert, TicketMemory};
    use alertbridge::model::severity::{Basis, Category};
    use alertbridge::model::ticket::{RemoteRef, TicketFields, TicketStatus};
    use alertbridge::model::{AlertKey, SeverityHint};
    let mut bench = Bench::new();
    let created_at = bench.now.minus(Duration::from_secs(7 * 3600));
    let fields = TicketFields {
        subject: "sw1 is down".to_owned(),
        status: TicketStatus::Open,
        severity: Some(Severity::S1),
        queue: String::new(),
    };
    let alert = RememberedAlert {
        key: AlertKey::of("mon", &Identity::Key("x".to_owned())),
        source: "mon".to_owned(),
        element: "sw1".to_owned(),
        hint: SeverityHint::Outage,
        severity: None,
        kind: None,
    };
    bench.step(Input::Rebuilt(vec![FoundTicket {
        tracker: "desk".to_owned(),
        remote: RemoteRef {
            key: "7".to_owned(),
            url: String::new(),
        },
        key: "ab-1".to_owned(),
        fields,
        created_at,
        memory: Some(TicketMemory {
            generation: "g0".to_owned(),
            incident: 12,
            route: "desk".to_owned(),
            cycle: 1,
            contract: None,
            category: Category::Incident,
            severity: Some(Severity::S1),
            basis: Basis::Inventory,
            opened_at: created_at.minus(Duration::from_secs(60)),
            sensitive: false,
            about: Some(About {
                alerts: vec![alert],
                ..About::default()
            }),
        }),
        history: Vec::new(),
    }]));
    let incident = &bench.engine.state().incidents[&IncidentId(12)];
    let reported = created_at.minus(Duration::from_secs(60));
    assert_eq!(
        incident.opened_at, reported,
        "the earliest evidence that is left"
    );
    assert!(incident.acknowledged_at.is_some(), "somebody has it open");
    // Seven hours after the report every target is missed: it is recorded, and told to nobody.
    for kind in [NoticeKind::Opened, NoticeKind::Updated] {
        assert!(bench.customers(kind).is_empty(), "{kind:?}");
    }
    for kind in [
        NoticeKind::Breach,
        NoticeKind::Warning,
        NoticeKind::Escalation,
    ] {
        assert!(bench.of(kind).is_empty(), "{kind:?}");
    }
    let told = |word: &str| {
        let cases = bench.engine.state().cases.values();
        let all = cases.filter(|case| case.incident == IncidentId(12));
        all.flat_map(|case| &case.told)
            .filter(|told| told.starts_with(word))
            .count()
    };
    assert!(told("restore/") > 0, "the breach is known");
    let rows = |kind: &str| bench.things.keys().filter(|(of, _)| of == kind).count();
    assert!(rows("correction") >= 2, "rebuilt, and found late");
    // One call: the store was lost.
    let calls = bench.of(NoticeKind::Page);
    assert!(!calls.is_empty());
    let lost = calls
        .iter()
        .all(|call| call.facts.title.contains("store was lost"));
    assert!(lost, "nobody is called for what somebody works on");
    // Nothing of it comes later.
    bench.after(60);
    bench.step(Input::Due);
    assert!(bench.customers(NoticeKind::Opened).is_empty());
    let about = |n: &&&WantedNotice| n.facts.reference == "INC-12";
    assert_eq!(bench.of(NoticeKind::Breach).iter().filter(about).count(), 0);
}
