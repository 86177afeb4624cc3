//! What becomes of the words of people, from a mail at the door to a letter at a mail server: the
//! number of an inquiry comes back once, in its author's language and to no machine; answers to
//! notices and receipts reach their incident, and count for those who wrote them alone.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod daemon_support;
mod notices_support;

use alertbridge::engine::{Decisions, Engine, Route};
use alertbridge::inventory::{Inventory, InventoryFile};
use alertbridge::model::event::{Event, EventState, SeverityHint};
use alertbridge::model::input::Message;
use alertbridge::model::notice::{Author, Reply, Speaker};
use alertbridge::model::outgoing::{NoticeKind, WantedNotice};
use alertbridge::model::saved::{LoadedState, StateDelta};
use alertbridge::model::{Identity, IncidentId, Input, Sequenced, Time};
use alertbridge::notices::plan::section::{ContactSection, PlanSection, PlanText};
use alertbridge::sla::SlaSections;
use alertbridge::sla::log::{By, CaseDid};
use daemon_support::Daemon;
use jiff::tz::TimeZoneDatabase;
use notices_support::{Letter, Sink};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const INVENTORY: &str = r#"
[[account]]
id = "acme"
mail = ["@acme.example"]
[[account]]
id = "globex"
mail = ["@globex.example"]
[[element]]
id = "core-1"
[[service]]
id = "transit"
depends_on = ["core-1"]
accounts = ["acme", "globex"]
"#;

const CONTRACTS: &str = r#"
[contract.acme]
policy = "three-level"
locale = "fr"
contacts = { incidents = ["ops@acme.example"] }
[contract.globex]
policy = "three-level"
locale = "ja"
contacts = { incidents = ["ops@globex.example"] }
"#;

fn policies() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/policies/three-level.toml");
    std::fs::read_to_string(path).unwrap()
}

fn start(dir: &Path, sink: &Sink, more: &str) -> Daemon {
    std::fs::write(dir.join("inventory.toml"), INVENTORY).unwrap();
    std::fs::write(dir.join("levels.toml"), policies()).unwrap();
    let config = format!(
        r#"
inventory = ["inventory.toml"]
sla = ["levels.toml"]
[engine]
hold_outage = "0s"
[mail]
own_domains = ["noc.example"]
[[mail.trusted_server]]
authserv_id = "mx.noc.example"
peers = ["127.0.0.1/32"]
[[mail.sender]]
address = "jo@noc.example"
role = "engineer"
hosts = ["127.0.0.1/32"]
[[route]]
name = "money"
match = ["topic=billing"]
queue = "Billing"
[[route]]
name = "offers"
match = ["topic=sales"]
queue = "Sales"
[contact.jo]
mail = ["jo@noc.example"]
locale = "ja"
{}{CONTRACTS}{more}"#,
        sink.section()
    );
    Daemon::start_with(dir, &config, &[])
}

/// A mail that the trusted server proved.
fn proven(from: &str, subject: &str, more: &str, body: &str) -> String {
    let domain = from.rsplit_once('@').unwrap().1;
    format!(
        "Authentication-Results: mx.noc.example; dmarc=pass header.from={domain}\r\n\
         From: {from}\r\nSubject: {subject}\r\n{more}\r\n{body}\r\n"
    )
}

fn write(daemon: &Daemon, from: &str, subject: &str, more: &str, body: &str) {
    let mail = proven(from, subject, more, body);
    daemon.mail("alerts@noc.example", from, &mail);
}

fn get(daemon: &Daemon, path: &str) -> Value {
    let (status, body) = daemon.ask("operators", "GET", path, "").unwrap();
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

fn shown(daemon: &Daemon, id: &str) -> String {
    get(daemon, &format!("/api/v1/incidents/{id}")).to_string()
}

fn to<'a>(letters: &'a [Letter], address: &str) -> Vec<&'a Letter> {
    letters.iter().filter(|l| l.to == address).collect()
}

#[test]
fn an_inquiry_comes_back_with_its_number_once_in_its_authors_language() {
    let dir = tempfile::tempdir().unwrap();
    let sink = Sink::start();
    let daemon = start(dir.path(), &sink, "");
    let id = "Message-ID: <q1@acme.example>\r\n";
    write(
        &daemon,
        "lea@acme.example",
        "Heures",
        id,
        "Quand ouvrez-vous ?",
    );
    let letters = sink.until("a receipt", |letters| !letters.is_empty());
    let receipt = to(&letters, "lea@acme.example")[0];
    let subject = receipt.header("Subject");
    assert_eq!(subject, "[INC-1] Nous avons reçu votre message");
    assert!(
        receipt.text().contains("le numéro INC-1"),
        "{}",
        receipt.raw
    );
    assert_eq!(receipt.header("In-Reply-To"), "<q1@acme.example>");
    assert_eq!(receipt.header("Auto-Submitted"), "auto-replied");
    let inquiry = get(&daemon, "/api/v1/incidents/INC-1");
    assert_eq!(inquiry["severity"], "S3");
    assert_eq!(inquiry["category"], "inquiry");
    assert_eq!(inquiry["accounts"], json!(["acme"]));

    // The same mail once more, as a server sends it whose answer was lost; then the author again,
    // to the receipt, and by its number alone.
    write(
        &daemon,
        "lea@acme.example",
        "Heures",
        id,
        "Quand ouvrez-vous ?",
    );
    let receipt_id = receipt.header("Message-ID");
    let refers = format!("Message-ID: <q2@acme.example>\r\nIn-Reply-To: {receipt_id}\r\n");
    let re = format!("Re: {subject}");
    write(&daemon, "lea@acme.example", &re, &refers, "Et le samedi ?");
    write(&daemon, "lea@acme.example", &re, "", "Et le dimanche ?");
    write(&daemon, "jo@noc.example", &re, "", "We never close.");
    daemon.until("all words", |_| {
        shown(&daemon, "INC-1").contains("We never close.")
    });
    let told = shown(&daemon, "INC-1");
    for (words, times) in [
        ("Quand ouvrez", 1),
        ("Et le samedi", 1),
        ("Et le dimanche", 1),
    ] {
        let entries = get(&daemon, "/api/v1/incidents/INC-1");
        let entries = entries["timeline"].as_array().unwrap().clone();
        let found = entries
            .iter()
            .filter(|e| e["text"].as_str().unwrap().contains(words));
        assert_eq!(found.count(), times, "{words}: {told}");
    }
    // An engineer's own question, in the engineer's own language; and a mail that names nobody to
    // answer to.
    let lost = proven("lea@acme.example", "Perdu", "", "Sans retour.");
    daemon.mail("alerts@noc.example", "", &lost);
    write(
        &daemon,
        "jo@noc.example",
        "Spare parts",
        "",
        "Who has the key?",
    );
    let letters = sink.until("the engineer's receipt", |letters| {
        !to(letters, "jo@noc.example").is_empty()
    });
    let jo = to(&letters, "jo@noc.example")[0];
    assert!(
        jo.header("Subject").contains("メッセージを受け付けました"),
        "{}",
        jo.raw
    );
    assert_eq!(letters.len(), 2, "{letters:#?}");
    let all = get(&daemon, "/api/v1/incidents?state=all");
    assert_eq!(all["incidents"].as_array().unwrap().len(), 3, "{all}");
}

#[test]
fn no_machine_is_answered_and_no_list() {
    let dir = tempfile::tempdir().unwrap();
    let sink = Sink::start();
    let daemon = start(dir.path(), &sink, "");
    for (number, more) in [
        "Auto-Submitted: auto-generated\r\n",
        "Auto-Submitted: auto-replied\r\nIn-Reply-To: <t9.1@noc.example>\r\n",
        "Precedence: bulk\r\n",
        "List-Id: <noc.lists.example>\r\n",
        "X-Auto-Response-Suppress: All\r\n",
        "Return-Path: <>\r\n",
        "Content-Type: multipart/report; report-type=delivery-status; boundary=x\r\n",
        "X-Alertbridge-Loop: noc.example\r\n",
        // In a thread of ours, by way of a list.
        "In-Reply-To: <t9.1@noc.example>\r\nList-Id: <noc.lists.example>\r\n",
    ]
    .iter()
    .enumerate()
    {
        let subject = format!("Question {}", ["one", "two", "three"][number % 3]);
        write(
            &daemon,
            "bot@acme.example",
            &subject,
            more,
            "Is anybody there?",
        );
    }
    write(
        &daemon,
        "no-reply@acme.example",
        "Question",
        "",
        "Is anybody there?",
    );
    let stranger = "From: x@evil.example\r\nSubject: Question\r\n\r\nIs anybody there?\r\n";
    daemon.mail("alerts@noc.example", "x@evil.example", stranger);
    write(
        &daemon,
        "lea@globex.example",
        "Last",
        "",
        "Is anybody there?",
    );
    let letters = sink.until("a receipt", |letters| !letters.is_empty());
    assert_eq!(letters.len(), 1, "{letters:#?}");
    assert_eq!(letters[0].to, "lea@globex.example");
}

#[test]
fn what_is_about_money_goes_to_its_own_queue() {
    let dir = tempfile::tempdir().unwrap();
    let sink = Sink::start();
    let daemon = start(dir.path(), &sink, "[notices]\nreceipts = false\n");
    write(
        &daemon,
        "lea@acme.example",
        "Facture de mai",
        "",
        "Deux fois.",
    );
    write(
        &daemon,
        "lea@acme.example",
        "A quote, please",
        "",
        "One more line.",
    );
    write(
        &daemon,
        "lea@acme.example",
        "A question",
        "",
        "Who are you?",
    );
    let tickets = daemon.until("three tickets", |tickets| tickets.len() == 3);
    let queue = |about: &str| {
        let is_it = |t: &&Value| t["subject"].as_str().unwrap().contains(about);
        tickets.iter().find(is_it).unwrap()["queue"].clone()
    };
    assert_eq!(queue("Facture"), "Billing");
    assert_eq!(queue("quote"), "Sales");
    assert!(!["Billing", "Sales"].contains(&queue("question").as_str().unwrap()));
    assert!(sink.letters().is_empty());
}

#[test]
fn an_answer_to_a_notice_is_the_customers_word_on_its_incident() {
    let dir = tempfile::tempdir().unwrap();
    let sink = Sink::start();
    let daemon = start(dir.path(), &sink, "");
    let event = json!({ "dedup_key": "core-1", "state": "firing", "severity": "critical",
        "summary": "core-1 is down", "host": "core-1", "component": "core-1", "check": "ping" });
    assert_eq!(daemon.post(&event).unwrap(), 202);
    let letters = sink.until("both hear of it", |letters| letters.len() == 2);
    let notice = to(&letters, "ops@acme.example")[0];
    let re = format!("Re: {}", notice.header("Subject"));
    // By its message id; by its thread's id alone, as behind a relay that gives its own ids; by
    // the tag in the subject.
    let ids = [
        format!("In-Reply-To: {}\r\n", notice.header("Message-ID")),
        format!(
            "References: {} <x1@relay.example>\r\n",
            notice.header("References")
        ),
        String::new(),
    ];
    for (number, refers) in ids.iter().enumerate() {
        let words = format!("Still dark, {number}.\r\n\r\nOn Monday NOC wrote:\r\n> restored");
        let subject = match refers.as_str() {
            "" => re.as_str(),
            _ => "Re: your letter",
        };
        write(&daemon, "lea@acme.example", subject, refers, &words);
    }
    daemon.until("all words", |_| {
        shown(&daemon, "INC-1").contains("Still dark, 2.")
    });
    let told = shown(&daemon, "INC-1");
    assert!(
        told.contains("Still dark, 0.") && told.contains("Still dark, 1."),
        "{told}"
    );
    assert!(!told.contains("restored"), "{told}");
    // Words are no inquiries, and are not answered by a machine.
    let all = get(&daemon, "/api/v1/incidents?state=all");
    assert_eq!(all["incidents"].as_array().unwrap().len(), 1, "{all}");
    assert_eq!(sink.letters().len(), 2);
    let ticket = daemon.tickets()[0].to_string();
    let note = get(
        &daemon,
        &format!("/api/v1/desk/tickets/{}", daemon.tickets()[0]["number"]),
    );
    assert!(
        note.to_string().contains("Still dark, 1."),
        "{ticket} {note}"
    );
}

/// The engine alone, and what it saved.
struct Bench {
    engine: Engine,
    decisions: Decisions,
    seq: u64,
    now: Time,
    saved: LoadedState,
    things: BTreeMap<(String, String), Vec<u8>>,
    notices: Vec<WantedNotice>,
    timeline: Vec<String>,
}

impl Bench {
    fn new() -> Bench {
        let zones = TimeZoneDatabase::bundled();
        let sections: SlaSections = toml::from_str(&(policies() + CONTRACTS)).unwrap();
        let (sla, _) = sections.compile(&zones).unwrap();
        let text = PlanText {
            plan: PlanSection::default(),
            contacts: BTreeMap::<String, ContactSection>::new(),
            mail: true,
            ..PlanText::default()
        };
        let (plan, _) = text.compile(&sla, &zones, &|_| Ok(()));
        let inventory = Inventory::build(InventoryFile::from_toml(INVENTORY).unwrap()).unwrap();
        let decisions = Decisions {
            notices: Arc::new(plan),
            inventory: Arc::new(inventory),
            routes: vec![Route::desk()],
            sla: Arc::new(sla),
            ..Decisions::default()
        };
        Bench {
            engine: Engine::new(decisions.clone()),
            decisions,
            seq: 0,
            now: Time::parse_rfc3339("2026-06-02T09:00:00Z").unwrap(),
            saved: LoadedState::default(),
            things: BTreeMap::new(),
            notices: Vec::new(),
            timeline: Vec::new(),
        }
    }

    fn step(&mut self, input: Input) {
        self.seq += 1;
        self.now = self.now.plus(Duration::from_secs(1));
        self.engine.step(&Sequenced {
            seq: self.seq,
            at: self.now,
            input,
        });
        let delta = self.engine.take_delta();
        self.save(&delta);
    }

    fn save(&mut self, delta: &StateDelta) {
        let lines = delta.timeline.iter().map(|line| line.text.clone());
        self.timeline.extend(lines);
        for row in &delta.things {
            if row.kind == "notice_wanted" && !row.value.is_empty() {
                let notice: WantedNotice = alertbridge::store::codec::decode(&row.value).unwrap();
                self.notices.retain(|known| known.id != notice.id);
                self.notices.push(notice);
            }
            let key = (row.kind.to_owned(), row.key.clone());
            match row.value.is_empty() {
                true => drop(self.things.remove(&key)),
                false => drop(self.things.insert(key, row.value.clone())),
            }
        }
        self.saved.incidents = self
            .engine
            .state()
            .incidents
            .values()
            .map(|incident| alertbridge::store::codec::encode(incident).unwrap())
            .collect();
    }

    /// The engine as a new process loads it.
    fn restart(&mut self) {
        let things = self.things.iter();
        let loaded = LoadedState {
            cursor: self.seq,
            served_until: self.now,
            incidents: self.saved.incidents.clone(),
            things: things
                .map(|((kind, key), value)| (kind.clone(), key.clone(), value.clone()))
                .collect(),
            ..LoadedState::default()
        };
        self.engine = Engine::load(self.decisions.clone(), loaded).unwrap();
    }

    fn write(&mut self, account: &str, subject: &str, text: &str, id: Option<&str>) {
        let address = format!("lea@{account}.example");
        let tag = subject.split_once("[INC-").map(|(_, rest)| {
            let number = rest.split(']').next().unwrap();
            format!("INC-{number}")
        });
        let reply = Reply {
            from: address.clone(),
            subject: subject.to_owned(),
            text: text.to_owned(),
            refers_to: Vec::new(),
            ticket_tag: tag,
            message_id: id.map(str::to_owned),
        };
        let author = Author {
            address,
            speaker: Speaker::Customer,
            account: Some(account.to_owned()),
            ..Author::default()
        };
        self.step(Input::Message(Message {
            account: Some(account.to_owned()),
            author: Some(author),
            replies: vec![reply],
            answerable: true,
            ..Message::new("mail", "person", Vec::new())
        }));
    }

    fn receipts(&self) -> usize {
        let is_receipt = |notice: &&WantedNotice| notice.kind == NoticeKind::Received;
        self.notices.iter().filter(is_receipt).count()
    }

    fn customer_wrote(&self, contract: &str) -> usize {
        let key = (IncidentId(1), contract.to_owned());
        let case = &self.engine.state().cases[&key];
        let wrote = |did: &CaseDid| {
            matches!(
                did,
                CaseDid::Reply {
                    by: By::Customer,
                    ..
                }
            )
        };
        case.log.iter().filter(|event| wrote(&event.what)).count()
    }
}

#[test]
fn a_customers_words_count_for_their_own_case() {
    let mut bench = Bench::new();
    let identity = Identity::Key("core-1".to_owned());
    let mut event = Event::new(EventState::Firing, identity, "core-1 is down");
    event.host = Some("core-1".to_owned());
    event.severity_hint = SeverityHint::Outage;
    bench.step(Input::Message(Message::new("mon", "native", vec![event])));
    bench.write("acme", "Re: [INC-1] Incident", "Still dark.", None);
    assert_eq!(bench.customer_wrote("acme"), 1);
    assert_eq!(bench.customer_wrote("globex"), 0);
}

#[test]
fn a_mail_is_heard_once_and_a_matter_stays_one_over_a_restart() {
    let mut bench = Bench::new();
    bench.write("acme", "Question 1", "When?", Some("q1@acme.example"));
    assert_eq!(bench.receipts(), 1);
    assert_eq!(bench.notices[0].thread, "q1@acme.example");
    bench.restart();
    bench.write("acme", "Question 1", "When?", Some("q1@acme.example"));
    bench.write("acme", "Question 2", "And where?", Some("q2@acme.example"));
    assert_eq!(bench.engine.state().incidents.len(), 1);
    assert_eq!(bench.receipts(), 1);
    let told = |words: &str| {
        bench
            .timeline
            .iter()
            .filter(|line| line.contains(words))
            .count()
    };
    assert_eq!((told("When?"), told("And where?")), (1, 1));
    // The same id with other words is another mail: some programs give all of theirs one id.
    bench.write("acme", "Another matter", "Why?", Some("q1@acme.example"));
    assert_eq!(bench.engine.state().incidents.len(), 2);
    assert_eq!(bench.receipts(), 2);
}

#[test]
fn two_machines_do_not_answer_each_other_for_ever() {
    let mut bench = Bench::new();
    let letters = "abcdefghijklmnopqrstuvwxyz";
    for letter in letters.chars() {
        bench.write("acme", &format!("Matter {letter}"), "Thank you.", None);
    }
    assert_eq!(bench.engine.state().incidents.len(), letters.len());
    assert_eq!(bench.receipts(), 20);
    let last = bench.engine.state().incidents.values().next_back().unwrap();
    assert!(last.needs_triage);
    // Others are answered all the same.
    bench.write("globex", "A question", "When?", None);
    assert_eq!(bench.receipts(), 21);
}
