//! Customer-visible tickets: who gets one, what stands in it, and what a customer can do.
#![allow(clippy::unwrap_used, clippy::panic)]

use alertbridge::engine::{CaseTickets, Decisions, Engine, Route};
use alertbridge::inventory::{Inventory, InventoryFile};
use alertbridge::model::event::{Event, EventState, SeverityHint};
use alertbridge::model::incident::IncidentState;
use alertbridge::model::input::Message;
use alertbridge::model::ticket::{
    DeliveryReport, Origin, PersonChange, PersonDid, RemoteRef, TicketStatus, WantedTicket,
};
use alertbridge::model::{
    Command, Identity, IncidentId, Input, PersonRequest, RequestKind, Sequenced, Time,
};
use alertbridge::sla::SlaSections;
use alertbridge::sla::log::is_over;
use jiff::tz::TimeZoneDatabase;
use std::sync::Arc;
use std::time::Duration;

const INVENTORY: &str = r#"
[[account]]
id = "acme"
customer = "Acme Holding"
[[account]]
id = "globex"
[[element]]
id = "sw1"
[[service]]
id = "transit"
depends_on = ["sw1"]
accounts = ["acme", "globex", "small"]
[[service]]
id = "voice"
depends_on = ["sw1"]
accounts = ["globex"]
"#;

const CONTRACTS: &str = r#"
[contract.acme]
policy = "three-level"
locale = "fr"
[contract.globex]
policy = "three-level"
[contract.standard]
policy = "three-level"
"#;

struct Bench {
    engine: Engine,
    seq: u64,
    now: Time,
}

impl Bench {
    fn new(case_tickets: CaseTickets) -> Bench {
        let path = format!(
            "{}/config/policies/three-level.toml",
            env!("CARGO_MANIFEST_DIR")
        );
        let text = std::fs::read_to_string(path).unwrap() + CONTRACTS;
        let mut sections: SlaSections = toml::from_str(&text).unwrap();
        sections.default_contract = Some("standard".to_owned());
        let (sla, _) = sections.compile(&TimeZoneDatabase::bundled()).unwrap();
        let file = InventoryFile::from_toml(INVENTORY).unwrap();
        Bench {
            engine: Engine::new(Decisions {
                inventory: Arc::new(Inventory::build(file).unwrap()),
                routes: vec![Route {
                    case_tickets,
                    case_queue: "Customers".to_owned(),
                    ..Route::desk()
                }],
                sla: Arc::new(sla),
                ..Decisions::default()
            }),
            seq: 0,
            now: Time::parse_rfc3339("2026-06-02T09:00:00Z").unwrap(),
        }
    }

    fn step(&mut self, input: Input) {
        self.seq += 1;
        self.now = self.now.plus(Duration::from_secs(60));
        self.engine.step(&Sequenced {
            seq: self.seq,
            at: self.now,
            input,
        });
        // Every ticket that was asked for comes to be.
        let waiting: Vec<_> = self
            .all()
            .filter(|t| t.remote.is_none())
            .map(|t| t.id)
            .collect();
        for ticket in waiting {
            self.seq += 1;
            self.engine.step(&Sequenced {
                seq: self.seq,
                at: self.now,
                input: Input::Delivery(DeliveryReport {
                    ticket,
                    version_done: 1,
                    written: None,
                    read: None,
                    remote: Some(RemoteRef {
                        key: ticket.0.to_string(),
                        url: String::new(),
                    }),
                    origin: Some(Origin::Created),
                    notes_done: Vec::new(),
                    trouble: None,
                    twins_closed: Vec::new(),
                }),
            });
        }
    }

    fn alert(&mut self, state: EventState) {
        let mut event = Event::new(
            state,
            Identity::Key("sw1".to_owned()),
            "sw1 down, cut at the site of Globex",
        );
        event.host = Some("sw1".to_owned());
        event.severity_hint = SeverityHint::Outage;
        self.step(Input::Message(Message::new("mon", "native", vec![event])));
    }

    fn say(&mut self, command: Command) {
        let author = "mori".to_owned();
        self.step(Input::Command { author, command });
    }

    /// Somebody did something to the ticket of a contract, or of the incident.
    fn did(&mut self, contract: Option<&str>, author: &str, what: PersonDid) {
        let remote = self.ticket(contract).unwrap().remote.clone().unwrap().key;
        self.step(Input::Person(PersonChange {
            tracker: "desk".to_owned(),
            remote,
            change_id: self.seq.to_string(),
            at: self.now,
            author: author.to_owned(),
            what,
        }));
    }

    fn report(&mut self, account: &str) {
        self.say(Command::Request(PersonRequest {
            account: account.to_owned(),
            service: Some("transit".to_owned()),
            kind: RequestKind::Outage,
            reported_at: self.now,
            summary: "no internet".to_owned(),
            text: "nothing works".to_owned(),
            sensitive: false,
        }));
    }

    fn all(&self) -> impl Iterator<Item = &WantedTicket> {
        self.engine.state().tickets.values()
    }

    fn ticket(&self, contract: Option<&str>) -> Option<&WantedTicket> {
        self.all()
            .find(|ticket| ticket.contract.as_deref() == contract)
    }

    fn status(&self, contract: Option<&str>) -> TicketStatus {
        self.ticket(contract).unwrap().wanted.status
    }

    fn notes(&self, contract: Option<&str>) -> Vec<&str> {
        let notes = self.ticket(contract).unwrap().notes.iter();
        notes.map(|note| note.text.as_str()).collect()
    }

    fn case_is_over(&self, contract: &str) -> bool {
        let key = (IncidentId(1), contract.to_owned());
        is_over(&self.engine.state().cases[&key].log)
    }

    fn is_open(&self) -> bool {
        self.engine.state().incidents[&IncidentId(1)].state == IncidentState::Open
    }
}

#[test]
fn never_gives_none_and_always_gives_each_named_contract_its_own() {
    let mut bench = Bench::new(CaseTickets::Never);
    bench.alert(EventState::Firing);
    assert_eq!(bench.all().count(), 1);
    let mut bench = Bench::new(CaseTickets::Always);
    bench.alert(EventState::Firing);
    // The default contract speaks for several customers: none of them may see its ticket.
    assert_eq!(bench.engine.state().cases.len(), 3);
    assert_eq!(bench.all().count(), 3);
    let (acme, globex) = (
        bench.ticket(Some("acme")).unwrap(),
        bench.ticket(Some("globex")).unwrap(),
    );
    assert_ne!(acme.key, globex.key);
    assert_eq!(acme.wanted.queue, "Customers");
    assert_eq!(acme.language, "fr");
    assert_eq!(acme.wanted.subject, "Panne: transit (INC-1)");
    assert_eq!(globex.wanted.subject, "Outage: transit, voice (INC-1)");
    assert!(
        bench
            .ticket(None)
            .unwrap()
            .wanted
            .subject
            .contains("Globex")
    );
}

#[test]
fn a_report_gives_the_reporters_case_a_ticket_and_no_other() {
    let mut bench = Bench::new(CaseTickets::OnReport);
    bench.alert(EventState::Firing);
    assert_eq!(bench.all().count(), 1);
    bench.report("acme");
    assert_eq!(bench.all().count(), 2);
    assert!(bench.ticket(Some("acme")).is_some());
    bench.report("acme");
    bench.report("small");
    assert_eq!(bench.all().count(), 2);
    // A report without an open incident opens one, and the ticket with it.
    let mut bench = Bench::new(CaseTickets::OnReport);
    bench.report("globex");
    assert_eq!(bench.all().count(), 2);
    assert_eq!(
        bench.ticket(Some("globex")).unwrap().wanted.subject,
        "Incident (INC-1)"
    );
}

#[test]
fn a_staff_update_reaches_all_cases_without_anothers_name() {
    let mut bench = Bench::new(CaseTickets::Always);
    bench.alert(EventState::Firing);
    bench.say(Command::Note {
        incident: IncidentId(1),
        text: "Cut at Globex, next to ACME; acme holding is told.".to_owned(),
        public: true,
    });
    assert_eq!(
        bench.notes(Some("acme")),
        ["Cut at [another customer], next to ACME; acme holding is told."]
    );
    assert_eq!(
        bench.notes(Some("globex")),
        ["Cut at Globex, next to [another customer]; [another customer] is told."]
    );
    bench.say(Command::Note {
        incident: IncidentId(1),
        text: "for staff".to_owned(),
        public: false,
    });
    assert_eq!(bench.notes(Some("acme")).len(), 1);
    // What staff answer in the incident's own ticket goes to the cases, not back to itself.
    let before = bench.notes(None).len();
    let text = "the splice is done".to_owned();
    bench.did(
        None,
        "mori",
        PersonDid::Answered {
            text,
            promise: None,
        },
    );
    assert_eq!(bench.notes(Some("acme"))[1], "the splice is done");
    assert_eq!(bench.notes(Some("globex"))[1], "the splice is done");
    assert_eq!(bench.notes(None).len(), before);
    for contract in ["acme", "globex"] {
        let log = &bench.engine.state().cases[&(IncidentId(1), contract.to_owned())].log;
        assert!(format!("{log:?}").contains("by: Staff, public: true"));
    }
}

#[test]
fn a_customer_answers_and_closes_only_their_own() {
    let mut bench = Bench::new(CaseTickets::Always);
    bench.alert(EventState::Firing);
    bench.did(
        Some("acme"),
        "mori",
        PersonDid::Status(TicketStatus::WaitingCustomer),
    );
    assert_eq!(bench.status(Some("acme")), TicketStatus::WaitingCustomer);
    assert_eq!(bench.status(Some("globex")), TicketStatus::Open);
    let text = "we rebooted, globex too".to_owned();
    bench.did(Some("acme"), "eve@acme", PersonDid::CustomerWrote { text });
    assert_eq!(bench.status(Some("acme")), TicketStatus::Open);
    assert_eq!(bench.notes(Some("globex")), [] as [&str; 0]);
    assert!(
        bench
            .notes(None)
            .iter()
            .any(|note| note.contains("we rebooted"))
    );
    bench.did(
        Some("acme"),
        "eve@acme",
        PersonDid::Status(TicketStatus::Closed),
    );
    assert!(bench.case_is_over("acme") && !bench.case_is_over("globex"));
    assert!(bench.is_open());
    assert_eq!(bench.status(None), TicketStatus::Open);
    assert_eq!(bench.status(Some("globex")), TicketStatus::Open);
    let log = &bench.engine.state().cases[&(IncidentId(1), "acme".to_owned())].log;
    assert!(format!("{log:?}").contains("Resolved { by: Customer }"));
    // Who closed theirs hears nothing more of it.
    let heard = bench.notes(Some("acme")).len();
    bench.alert(EventState::Resolved);
    assert_eq!(bench.notes(Some("acme")).len(), heard);
    assert_eq!(bench.notes(Some("globex")).len(), 1);
    assert_eq!(bench.status(Some("globex")), TicketStatus::Resolved);
    // Not over for one of them: somebody looks again, and the others are left in peace.
    bench.did(
        Some("acme"),
        "eve@acme",
        PersonDid::Status(TicketStatus::Open),
    );
    assert!(bench.is_open() && !bench.case_is_over("acme") && bench.case_is_over("globex"));
    assert_eq!(bench.status(Some("globex")), TicketStatus::Resolved);
    assert_eq!(bench.notes(Some("globex")).len(), 1);
    assert!(!bench.status(None).is_over());
}

#[test]
fn an_unclear_promise_in_a_customers_ticket_goes_back_to_its_author_there() {
    let mut bench = Bench::new(CaseTickets::Always);
    bench.alert(EventState::Firing);
    let returned = |bench: &Bench, contract: Option<&str>| -> Vec<(bool, String)> {
        let notes = bench.ticket(contract).unwrap().notes.iter();
        notes
            .filter(|note| note.text.contains("is not counted"))
            .map(|note| (note.public, note.text.clone()))
            .collect()
    };
    bench.did(
        Some("acme"),
        "mori",
        PersonDid::Answered {
            text: "A card for Globex is late.\nNext update: 03/04/2026 10:00".to_owned(),
            promise: None,
        },
    );
    let back = returned(&bench, Some("acme"));
    assert_eq!(back.len(), 1, "once, where it was written");
    assert!(!back[0].0, "the customer does not read it");
    assert!(back[0].1.contains("mori") && back[0].1.contains("03/04/2026 10:00"));
    assert_eq!(returned(&bench, Some("globex")), [], "nobody else's ticket");
    assert_eq!(returned(&bench, None).len(), 1, "and the operations ticket");
    // The field of the ticket as well, and of no other.
    let value = "soon".to_owned();
    bench.did(Some("globex"), "mori", PersonDid::Promised { value });
    assert_eq!(returned(&bench, Some("acme")).len(), 1);
    assert!(returned(&bench, Some("globex"))[0].1.contains("`soon`"));
    // Without a case's ticket in hand it stands in the operations ticket alone.
    bench.did(
        None,
        "mori",
        PersonDid::Answered {
            text: "Next update: later".to_owned(),
            promise: None,
        },
    );
    assert_eq!(returned(&bench, Some("acme")).len(), 1);
    assert_eq!(returned(&bench, None).len(), 3);
}
