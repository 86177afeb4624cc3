//! A store that is lost: incidents, cases and clocks come back out of the tickets in the tracker, as
//! far as it holds them, and what fires on joins its ticket.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod delivery_support;
mod fault_proxy;
mod tracker_contract;

use alertbridge::delivery::found::{Found, found_in};
use alertbridge::engine::{CaseTickets, Decisions, Route, Settings};
use alertbridge::inventory::{Inventory, InventoryFile};
use alertbridge::model::event::{Event, EventState, SeverityHint};
use alertbridge::model::incident::{Case, Incident, IncidentState};
use alertbridge::model::input::{Input, Message};
use alertbridge::model::ticket::{PersonChange, PersonDid, TicketStatus, WantedTicket};
use alertbridge::model::{Identity, IncidentId, Severity, Time};
use alertbridge::sla::log::is_rebuilt;
use alertbridge::sla::{CaseLog, ClockState, SlaSections, TargetName, View, evaluate};
use alertbridge::store::{StateStore, codec};
use alertbridge::trackers::Capabilities;
use delivery_support::memory::Memory;
use delivery_support::{Bridge, now};
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
[[element]]
id = "psu1"
[[element]]
id = "psu2"
[[group]]
id = "power"
members = ["psu1", "psu2"]
needs = 1
[[service]]
id = "transit"
depends_on = ["sw1"]
accounts = ["acme", "globex"]
[[service]]
id = "hosting"
depends_on = ["power"]
accounts = ["acme"]
"#;

const CONTRACTS: &str = r#"
[contract.acme]
policy = "three-level"
locale = "fr"
tz = "Europe/Paris"
[contract.globex]
policy = "three-level"
"#;

fn decisions(case_tickets: CaseTickets) -> Decisions {
    let path = format!(
        "{}/config/policies/three-level.toml",
        env!("CARGO_MANIFEST_DIR")
    );
    let text = std::fs::read_to_string(path).unwrap() + CONTRACTS;
    let sections: SlaSections = toml::from_str(&text).unwrap();
    let (sla, _) = sections.compile(&TimeZoneDatabase::bundled()).unwrap();
    let file = InventoryFile::from_toml(INVENTORY).unwrap();
    Decisions {
        settings: Settings {
            hold_redundancy: Duration::ZERO,
            ..Settings::default()
        },
        inventory: Arc::new(Inventory::build(file).unwrap()),
        routes: vec![Route {
            tracker: "memory".to_owned(),
            case_tickets,
            ..Route::desk()
        }],
        sla: Arc::new(sla),
        ..Decisions::default()
    }
}

/// A tracker that can list what is open, in which the first ticket was made so long ago.
fn tracker(ago: Duration) -> Memory {
    Memory {
        began: now().minus(ago),
        ..Memory::new(Capabilities {
            lists_open: true,
            settle: Duration::ZERO,
            ..Capabilities::TICKETS
        })
    }
}

fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

/// A bridge with its worker, in a directory of its own: to be lost.
struct Life {
    bridge: Bridge,
    worker: tokio::task::JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Life {
    async fn begin(tracker: &Arc<Memory>, case_tickets: CaseTickets) -> Life {
        let dir = tempfile::tempdir().unwrap();
        let bridge = Bridge::with_decisions(dir.path(), decisions(case_tickets)).await;
        let worker = bridge.run(tracker.clone());
        Life {
            bridge,
            worker,
            _dir: dir,
        }
    }

    async fn says(&self, name: &str, state: EventState, hint: SeverityHint) {
        let identity = Identity::key(name).unwrap();
        let mut event = Event::new(state, identity, format!("{name} is in trouble"));
        event.host = Some(name.to_owned());
        event.severity_hint = hint;
        let message = Message::new("mon", "native", vec![event]);
        self.bridge.append(Input::Message(message)).await;
    }

    async fn fires(&self, name: &str, hint: SeverityHint) {
        self.says(name, EventState::Firing, hint).await;
    }

    /// Until the engine has taken in everything and nothing is to be written.
    async fn settled(&self, tickets: usize) {
        let made = |all: &[WantedTicket]| {
            let there = |t: &WantedTicket| t.remote.is_some() && !t.has_work();
            all.len() == tickets && all.iter().all(there)
        };
        self.bridge.until("tickets are there", 20, made).await;
    }

    async fn rebuilt_from(&self, tracker: &Memory) {
        let found = found(tracker).await;
        self.bridge.append(Input::Rebuilt(found.tickets)).await;
    }

    fn incident(&self, number: u64) -> Incident {
        let body = self.bridge.store.state.incident(IncidentId(number));
        codec::decode(&body.unwrap().expect("the incident is there")).unwrap()
    }

    fn cases(&self, number: u64) -> Vec<Case<CaseLog>> {
        let bodies = self.bridge.store.state.cases_of(IncidentId(number));
        let decode = |body: &Vec<u8>| codec::decode(body).unwrap();
        bodies.unwrap().iter().map(decode).collect()
    }

    fn view(&self, number: u64, contract: &str) -> View {
        let cases = self.cases(number);
        let case = cases.iter().find(|case| case.contract == contract);
        let sla = decisions(CaseTickets::Never).sla;
        let terms = &sla.contracts[contract];
        evaluate(&case.unwrap().log, terms, now().seconds()).unwrap()
    }

    /// The ticket of an incident, or of one contract's case of it.
    fn ticket(&self, number: u64, contract: Option<&str>) -> WantedTicket {
        let all = self.bridge.tickets().into_iter();
        let mut of = all.filter(|t| t.incident.0 == number && t.contract.as_deref() == contract);
        of.next().expect("the ticket is there")
    }

    fn lose(self) {
        self.worker.abort();
    }
}

async fn found(tracker: &Memory) -> Found {
    match found_in(tracker, now()).await {
        Ok(found) => found,
        Err(other) => panic!("{}", other.why()),
    }
}

fn state(view: &View, target: TargetName) -> ClockState {
    let mut clocks = view.clocks.iter();
    clocks.find(|clock| clock.target == target).unwrap().state
}

fn did(tracker: &Memory, ticket: usize, after: Duration, what: PersonDid) {
    let mut history = tracker.history.lock().unwrap();
    let change = PersonChange {
        tracker: "memory".to_owned(),
        remote: (ticket + 1).to_string(),
        change_id: history.len().to_string(),
        at: tracker.began.plus(after),
        author: "mori".to_owned(),
        what,
    };
    history.push((ticket, change));
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_come_back_out_of_the_ticket_and_its_alert_joins_it() {
    let tracker = Arc::new(tracker(minutes(60)));
    let before = Life::begin(&tracker, CaseTickets::Never).await;
    before.fires("sw1", SeverityHint::Outage).await;
    before.settled(1).await;
    before.fires("db-1", SeverityHint::Outage).await;
    before.settled(2).await;
    before.lose();
    // An answer with a promise after 10 minutes, then a question to the customer.
    let text = "We look at it.\nNext update: 2099-01-01 10:00".to_owned();
    let answer = PersonDid::Answered {
        text,
        promise: None,
    };
    did(&tracker, 0, minutes(10), answer);
    let waits = PersonDid::Status(TicketStatus::WaitingCustomer);
    did(&tracker, 0, minutes(20), waits);
    tracker.tickets.lock().unwrap()[0].1.status = TicketStatus::WaitingCustomer;

    let after = Life::begin(&tracker, CaseTickets::Never).await;
    after.rebuilt_from(&tracker).await;
    // And one that says that somebody has to look.
    after.settled(3).await;
    let incident = after.incident(1);
    assert_eq!(incident.state, IncidentState::Open);
    assert_eq!(incident.opened_at, tracker.began, "as the ticket was made");
    assert_eq!(incident.severity, Some(Severity::S1));
    assert_eq!(incident.accounts, ["acme", "globex"]);
    assert!(incident.waiting);
    for case in after.cases(1) {
        assert!(is_rebuilt(&case.log), "marked as approximate");
        assert_eq!(case.severity, Some(1));
    }
    let view = after.view(1, "globex");
    assert_eq!(view.cycles[0], tracker.began.seconds());
    assert_eq!(state(&view, TargetName::InitialResponse), ClockState::Met);
    assert_eq!(state(&view, TargetName::Restore), ClockState::Paused);
    let restore = view.clocks.iter().find(|c| c.target == TargetName::Restore);
    assert_eq!(restore.unwrap().counted, 20 * 60, "the wait does not count");
    let promised = |contract: &str| {
        let promise = after.view(1, contract).update.promise;
        Time::from_seconds(promise.unwrap()).to_string()
    };
    assert_eq!(promised("globex"), "2099-01-01T10:00:00Z");
    assert_eq!(promised("acme"), "2099-01-01T09:00:00Z", "in Paris");
    // Nobody answered the other one.
    assert_eq!(
        after.incident(2).title,
        after.ticket(2, None).wanted.subject
    );
    // What fires on joins; nothing is opened a second time, and the ticket is left as it is.
    after.fires("sw1", SeverityHint::Outage).await;
    after.fires("db-1", SeverityHint::Outage).await;
    after.settled(3).await;
    assert_eq!(tracker.tickets.lock().unwrap().len(), 3);
    assert_eq!(
        after.ticket(1, None).wanted.status,
        TicketStatus::WaitingCustomer
    );
    // Another problem has a number that no closed ticket can have had.
    after.fires("db-2", SeverityHint::Outage).await;
    after.settled(4).await;
    assert!(after.bridge.tickets().iter().any(|t| t.incident.0 > 1000));
    // And a recovery ends it.
    after
        .says("sw1", EventState::Resolved, SeverityHint::Outage)
        .await;
    after.settled(4).await;
    assert_eq!(after.incident(1).state, IncidentState::Resolved);
    assert!(tracker.tickets.lock().unwrap()[0].1.status.is_over());
    after.lose();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customers_ticket_stays_with_its_case() {
    let tracker = Arc::new(tracker(minutes(5)));
    let before = Life::begin(&tracker, CaseTickets::Always).await;
    before.fires("sw1", SeverityHint::Outage).await;
    before.settled(3).await;
    let place = |contract: Option<&str>| {
        let remote = before.ticket(1, contract).remote.unwrap().key;
        remote.parse::<usize>().unwrap() - 1
    };
    let (globex, acme) = (place(Some("globex")), place(Some("acme")));
    before.lose();
    // What a customer reads names neither element nor alert.
    let of_customer = |n: usize| tracker.tickets.lock().unwrap()[n].0.body.clone();
    let read = alertbridge::model::memory::TicketMemory::read(&of_customer(globex));
    assert_eq!(read.unwrap().about, None);
    let text = String::new();
    let answer = PersonDid::Answered {
        text,
        promise: None,
    };
    did(&tracker, globex, minutes(2), answer);
    // The other customer's ticket was closed.
    tracker.tickets.lock().unwrap()[acme].1.status = TicketStatus::Closed;

    let after = Life::begin(&tracker, CaseTickets::Always).await;
    after.rebuilt_from(&tracker).await;
    after.fires("sw1", SeverityHint::Outage).await;
    // Two of three, and the one that says that the store was lost.
    after.settled(3).await;
    assert_eq!(
        after.ticket(1, Some("globex")).remote.unwrap().key,
        (globex + 1).to_string()
    );
    let answered = |contract: &str| state(&after.view(1, contract), TargetName::InitialResponse);
    assert_eq!(answered("globex"), ClockState::Met);
    assert_eq!(
        answered("acme"),
        ClockState::Running,
        "nobody wrote to them"
    );
    assert_eq!(
        tracker.tickets.lock().unwrap().len(),
        4,
        "none is opened again"
    );
    after.lose();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_opened_since_becomes_part_of_what_is_found() {
    let tracker = Arc::new(tracker(minutes(5)));
    let before = Life::begin(&tracker, CaseTickets::Never).await;
    before.fires("sw1", SeverityHint::Outage).await;
    before.settled(1).await;
    before.lose();
    // The daemon came up empty, and opened a second ticket before anybody noticed.
    let after = Life::begin(&tracker, CaseTickets::Never).await;
    after.fires("sw1", SeverityHint::Outage).await;
    after.settled(1).await;
    let first = tracker.tickets.lock().unwrap().len();
    assert_eq!(first, 2);
    let mut left = found(&tracker).await.tickets;
    left.retain(|ticket| ticket.remote.key == "1");
    after.bridge.append(Input::Rebuilt(left.clone())).await;
    after.settled(3).await;
    let old = after.bridge.tickets().into_iter();
    let mut old = old.filter(|t| t.remote.as_ref().is_some_and(|r| r.key == "1"));
    let old = after.incident(old.next().unwrap().incident.0);
    assert_eq!(old.state, IncidentState::Open);
    assert_ne!(old.id, IncidentId(1), "the number is taken");
    assert_eq!(after.incident(1).merged_into, Some(old.id));
    assert!(tracker.tickets.lock().unwrap()[1].1.status.is_over());
    assert!(!tracker.tickets.lock().unwrap()[0].1.status.is_over());
    // A second time nothing is new.
    after.bridge.append(Input::Rebuilt(left)).await;
    after.settled(3).await;
    after.lose();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_severity_of_which_not_all_is_known_is_not_lowered_by_silence() {
    let tracker = Arc::new(tracker(minutes(5)));
    let before = Life::begin(&tracker, CaseTickets::Never).await;
    before.fires("psu1", SeverityHint::Outage).await;
    before.settled(1).await;
    before.fires("psu2", SeverityHint::Outage).await;
    before.settled(1).await;
    let worse =
        |all: &[WantedTicket]| all[0].wanted.severity == Some(Severity::S2) && !all[0].has_work();
    before.bridge.until("it got worse", 20, worse).await;
    assert_eq!(before.incident(1).severity, Some(Severity::S2));
    before.lose();
    // The ticket remembers the first supply alone.
    let after = Life::begin(&tracker, CaseTickets::Never).await;
    after.rebuilt_from(&tracker).await;
    after.fires("psu1", SeverityHint::Outage).await;
    after.settled(2).await;
    assert_eq!(after.incident(1).severity, Some(Severity::S2));
    assert_eq!(after.incident(1).improving_since, None, "nothing is better");
    // The second one speaks again, and joins; once one is well, better is better.
    after.fires("psu2", SeverityHint::Outage).await;
    after.settled(2).await;
    assert_eq!(after.incident(1).members, 2);
    after
        .says("psu2", EventState::Resolved, SeverityHint::Outage)
        .await;
    after.settled(2).await;
    assert!(after.incident(1).improving_since.is_some());
    after.lose();
}
