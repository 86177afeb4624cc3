//! What a shift needs on the first day: looking on before anything is written, tickets that are
//! there already, requests of customers, a tracker that is down, and the verbs under load.
#![allow(clippy::unwrap_used, clippy::panic)]

mod daemon_support;
mod stand_in;

use daemon_support::{Daemon, hours_ago, until};
use serde_json::{Value, json};
use stand_in::{Asked, Said, said, serve};
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const INVENTORY: &str = r#"
    [[account]]
    id = "acme"
    [[account]]
    id = "globex"
    [[element]]
    id = "edge-1"
    [[service]]
    id = "transit"
    depends_on = ["edge-1"]
    accounts = ["acme", "globex"]
"#;

fn problem(host: &str) -> Value {
    json!({ "state": "problem", "summary": format!("{host} is down"), "host": host,
            "check": "ping", "severity_hint": "outage" })
}

fn incidents(daemon: &Daemon) -> Vec<Value> {
    let (good, text) = daemon.verb(&["incidents", "--json"]);
    assert!(good, "{text}");
    serde_json::from_str(&text).unwrap()
}

/// A tracker of our own: its cases, and what was changed of them.
#[derive(Default)]
struct Cases {
    opened: Vec<Value>,
    changed: Vec<(String, Value)>,
}

fn answer(cases: &mut Cases, asked: &Asked) -> Said {
    match (asked.method.as_str(), asked.parts().as_slice()) {
        ("POST", ["cases"]) => {
            cases.opened.push(asked.body.clone());
            said(201, json!({ "no": cases.opened.len() }))
        }
        (_, ["cases", number, ..]) => {
            cases
                .changed
                .push(((*number).to_owned(), asked.body.clone()));
            said(200, json!({}))
        }
        _ => said(404, json!({})),
    }
}

/// A route to that tracker; `more` stands in the route.
fn config(url: &str, more: &str) -> String {
    format!(
        r#"
inventory = ["inventory.toml"]
[tracker.cases]
kind = "http"
creates_once = true
settle_seconds = 0
url = "{url}"
[tracker.cases.open]
method = "POST"
path = "/cases"
body = '{{"title": {{{{ subject | tojson }}}}}}'
[tracker.cases.change]
method = "PATCH"
path = "/cases/{{{{ id | path }}}}"
body = '{{"state": {{{{ status | tojson }}}}}}'
[tracker.cases.note]
method = "POST"
path = "/cases/{{{{ id | path }}}}/notes"
body = '{{"text": {{{{ note | tojson }}}}}}'
[tracker.cases.answer]
id = "/no"
{more}
"#
    )
}

async fn start(more: &str) -> (tempfile::TempDir, Daemon, Arc<Mutex<Cases>>) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("inventory.toml"), INVENTORY).unwrap();
    std::fs::write(dir.path().join("seal"), "7".repeat(64)).unwrap();
    let cases = Arc::new(Mutex::new(Cases::default()));
    let address = serve(cases.clone(), answer).await;
    let config = config(&format!("http://{address}"), more);
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    (dir, daemon, cases)
}

/// Two sources meet the daemon while much is down already.
#[test]
fn with_baseline_what_fires_at_first_contact_is_one_list_for_each_source() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("inventory.toml"), INVENTORY).unwrap();
    let more =
        "inventory = [\"inventory.toml\"]\n[[source]]\nname = \"other\"\nkind = \"native\"\n";
    let daemon = Daemon::start_as(dir.path(), more, &[], &["--baseline"]);
    for number in 0..20 {
        let event = problem(&format!("h{number}"));
        assert_eq!(daemon.post(&event).unwrap(), 202);
        let (status, told) = daemon
            .ask("http", "POST", "/hooks/other", &event.to_string())
            .unwrap();
        assert!(status < 300, "{status} {told}");
    }
    until("a list for each source", || {
        let lists = incidents(&daemon);
        lists.len() == 2 && lists.iter().all(|list| list["members"] == 20)
    });
    assert!(daemon.tickets().is_empty(), "no ticket for what was down");
    let (good, told) = daemon.verb(&["explain", "INC-1"]);
    assert!(good && told.contains("spoke for the first time"), "{told}");

    // What the inventory proves to be an outage gets its ticket at once.
    daemon.post(&problem("edge-1")).unwrap();
    let desk = daemon.until("the outage", |tickets| tickets.len() == 1);
    let outage = desk[0].to_string();
    assert!(outage.contains("edge-1"), "{outage}");

    // A start without the word lists nothing more; the lists stay.
    daemon.kill();
    let daemon = Daemon::start_with(dir.path(), more, &[]);
    daemon.post(&problem("h99")).unwrap();
    daemon.until("a ticket of its own", |tickets| tickets.len() == 2);
    assert_eq!(incidents(&daemon).len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_in_shadow_shows_what_it_would_write_until_it_is_promoted() {
    let (_dir, daemon, cases) =
        start("[[route]]\nname = \"noc\"\ntracker = \"cases\"\nshadow = true\n").await;
    daemon.post(&problem("h1")).unwrap();
    let desk = daemon.until("a ticket at the desk", |tickets| tickets.len() == 1);
    assert!(
        desk[0]["subject"].as_str().unwrap().contains("h1"),
        "{desk:?}"
    );
    let (_, told) = daemon.verb(&["explain", "INC-1"]);
    let would = "Shadow: a ticket in cases would open by route noc.";
    assert!(told.contains(would), "{told}");
    assert!(cases.lock().unwrap().opened.is_empty());
    let (good, told) = daemon.verb(&["promote", "other"]);
    assert!(!good && told.contains("other"), "{told}");
    let (good, told) = daemon.verb(&["promote", "noc"]);
    assert!(good, "{told}");
    daemon.post(&problem("h2")).unwrap();
    until("a case in the tracker", || {
        cases.lock().unwrap().opened.len() == 1
    });
    assert!(
        cases.lock().unwrap().opened[0]["title"]
            .as_str()
            .unwrap()
            .contains("h2")
    );
    assert_eq!(daemon.tickets().len(), 1, "the desk gets no more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_exists_already_is_adopted_and_followed() {
    let (_dir, daemon, cases) =
        start("[[route]]\nname = \"noc\"\ntracker = \"cases\"\nshadow = true\n").await;
    daemon.post(&problem("h1")).unwrap();
    daemon.until("a ticket at the desk", |tickets| tickets.len() == 1);
    let adopt = ["adopt", "INC-1", "--tracker", "cases", "--key", "4711"];
    let (good, told) = daemon.verb(&adopt);
    assert!(good && told.contains("INC-1 adopted cases 4711"), "{told}");
    let noted = |text: &str| {
        let cases = cases.lock().unwrap();
        let mut of = cases.changed.iter().filter(|(number, _)| number == "4711");
        of.any(|(_, body)| body.to_string().contains(text))
    };
    until("a note says whose ticket it is", || {
        noted("This is the ticket of INC-1 now.")
    });
    assert!(!noted("state"), "nothing of it is overwritten");
    // Once only, and for one incident only.
    let (good, told) = daemon.verb(&adopt);
    assert!(
        !good && told.contains("is the ticket of INC-1 already"),
        "{told}"
    );
    let (good, told) = daemon.verb(&["adopt", "INC-1", "--tracker", "cases", "--key", "1"]);
    assert!(
        !good && told.contains("INC-1 has ticket 4711 in cases"),
        "{told}"
    );
    let (good, told) = daemon.verb(&["adopt", "INC-1", "--tracker", "rt", "--key", "1"]);
    assert!(!good && told.contains("no route writes to `rt`"), "{told}");
    // What becomes of the incident is written there, and no second ticket opens.
    let mut over = problem("h1");
    over["state"] = json!("recovery");
    daemon.post(&over).unwrap();
    until("its end is written", || noted("resolved"));
    assert!(cases.lock().unwrap().opened.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_by_verb_door_or_mail_joins_the_incident_that_hits_its_service() {
    let (_dir, daemon, _) = start(
        "[[sealing.key]]\nid = 1\nkey = { file = \"seal\" }\n[mail]\nverify = false\n[[mail.sender]]\naddress = \"it@globex.example\"\n\
         account = \"globex\"\nrole = \"customer\"\n",
    )
    .await;
    daemon.post(&problem("edge-1")).unwrap();
    daemon.until("the outage", |tickets| tickets.len() == 1);
    let reported = hours_ago(3);
    let (good, told) = daemon.verb(&[
        "request",
        "--account",
        "acme",
        "--service",
        "transit",
        "--kind",
        "outage",
        "--reported-at",
        &reported,
        "Nothing works",
    ]);
    assert!(good && told.trim_end().ends_with("joined INC-1"), "{told}");
    let socket_only = daemon
        .ask("operators", "POST", "/api/v1/requests", "{}")
        .unwrap();
    assert_eq!(socket_only.0, 403);
    // The clock of that contract starts when the customer said it.
    let (_, shown) = daemon.verb(&["incidents", "INC-1", "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let text = shown.to_string();
    assert!(
        text.contains(&reported) && text.contains("Nothing works"),
        "{shown:#}"
    );
    // What hits no open incident is one of its own; sensitive content stays inside.
    let (good, told) = daemon.verb(&[
        "request",
        "--account",
        "globex",
        "--sensitive",
        "--text",
        "the code is 0815",
        "Access to the cage",
    ]);
    assert!(good && told.contains("opened INC-2"), "{told}");
    let desk = daemon.until("its ticket", |tickets| tickets.len() == 2);
    assert!(
        !serde_json::to_string(&desk).unwrap().contains("cage"),
        "{desk:#?}"
    );
    // A name that nobody knows is told; the request counts all the same.
    let (good, told) = daemon.verb(&[
        "request",
        "--account",
        "globx",
        "--service",
        "trnsit",
        "--kind",
        "provisioning",
        "x",
    ]);
    assert!(
        good && told.contains("opened INC-3; no account `globx` is known")
            && told.contains("no service `trnsit`"),
        "{told}"
    );
    assert!(
        daemon
            .verb(&["resolve", "INC-3", "mistyped", "--false-alarm"])
            .0
    );
    daemon.until("its ticket is over", |tickets| {
        tickets.iter().any(|ticket| ticket["status"] == "resolved")
    });
    // By mail.
    let reply = daemon.mail(
        "noc@bridge.example",
        "it@globex.example",
        "From: it@globex.example\r\nTo: noc@bridge.example\r\nSubject: a question\r\n\
         Message-ID: <1@globex.example>\r\nDate: Mon, 30 Nov 2026 10:00:00 +0000\r\n\r\n\
         When will the new rack be ready?\r\n",
    );
    assert!(reply.starts_with("250"), "{reply}");
    daemon.until("the question's ticket", |tickets| tickets.len() == 4);
    let question = incidents(&daemon);
    let question = question
        .iter()
        .find(|i| i["category"] == "inquiry")
        .unwrap();
    assert_eq!(question["severity"], "S3");
}

#[test]
fn an_outage_goes_by_the_fallback_while_its_tracker_is_down() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("inventory.toml"), INVENTORY).unwrap();
    // Nobody listens there.
    let closed = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let more = "[engine]\nfallback_after = \"2s\"\n[[route]]\nname = \"noc\"\ntracker = \"cases\"\n\
                fallback = \"spare\"\n[[route]]\nname = \"spare\"\ntracker = \"desk\"\n";
    let daemon = Daemon::start_with(dir.path(), &config(&url, more), &[]);
    let mut mild = problem("somewhere");
    mild["severity_hint"] = json!("degradation");
    daemon.post(&mild).unwrap();
    daemon.post(&problem("edge-1")).unwrap();
    let desk = daemon.until("the outage at the desk", |tickets| !tickets.is_empty());
    assert!(
        desk[0]["subject"].as_str().unwrap().contains("edge-1"),
        "{desk:#?}"
    );
    let (_, waits) = daemon.verb(&["outbox", "show"]);
    assert!(waits.contains("cases"), "{waits}");
    // A person gives one up.
    let (good, told) = daemon.verb(&["outbox", "drop", "T-1"]);
    assert!(good, "{told}");
}

/// Posts from several clients until it is told to stop: problems that were acknowledged.
struct Load {
    stop: Arc<AtomicBool>,
    taken: Arc<AtomicUsize>,
    clients: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    fn on(daemon: &Daemon) -> Load {
        let (stop, taken) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(AtomicUsize::new(0)),
        );
        let clients = (0..3)
            .map(|client| {
                let (stop, taken) = (stop.clone(), taken.clone());
                let address = daemon.addresses["http"].as_str().unwrap().to_owned();
                std::thread::spawn(move || {
                    // Bounded, whatever the test does.
                    for number in 0..20_000 {
                        if stop.load(Ordering::Relaxed) {
                            return;
                        }
                        let event = problem(&format!("host-{client}-{number}"));
                        let status = post(&address, "/v1/events", &event.to_string());
                        assert_eq!(status, 202, "the intake never refuses");
                        taken.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        Load {
            stop,
            taken,
            clients,
        }
    }

    fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().unwrap();
        }
    }
}

fn post(address: &str, path: &str, body: &str) -> u16 {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

/// Messages of the load that a daemon has applied, also before its restart.
fn applied(daemon: &Daemon) -> usize {
    let (good, text) = daemon.verb(&["sources", "--json"]);
    assert!(good, "{text}");
    let sources: Vec<Value> = serde_json::from_str(&text).unwrap();
    let native = sources.iter().find(|source| source["name"] == "native");
    native.map_or(0, |native| native["messages"].as_u64().unwrap() as usize)
}

#[test]
fn every_verb_works_under_load_and_a_backup_has_what_was_acknowledged_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path());
    let load = Load::on(&daemon);
    until("some load", || load.taken() > 100);
    let verb = |words: &[&str]| {
        let (good, told) = daemon.verb(words);
        assert!(good, "{words:?}: {told}");
        told
    };
    for number in 0..3 {
        let address = daemon.addresses["http"].as_str().unwrap();
        let body = format!("no json, number {number}");
        assert_eq!(post(address, "/hooks/zabbix", &body), 200);
    }
    let waiting = || -> Vec<Value> {
        serde_json::from_str(&verb(&["quarantine", "list", "--json"])).unwrap()
    };
    until("three in quarantine", || waiting().len() == 3);
    let seq = |n: usize| waiting()[n]["seq"].to_string();
    assert!(verb(&["quarantine", "show", &seq(0)]).contains("no json"));
    verb(&["quarantine", "drop", &seq(0), "a test"]);
    let (_, told) = daemon.verb(&["quarantine", "replay", &seq(0)]);
    assert!(told.contains("not") || told.contains("again"), "{told}");
    until("two are left", || waiting().len() == 2);
    assert!(!incidents(&daemon).is_empty());
    verb(&["ack", "INC-1"]);
    verb(&["desk", "comment", "1", "on it"]);
    verb(&["desk", "assign", "1", "mori"]);
    until("the desk is heard", || {
        verb(&["incidents", "--json"]).contains("\"owner\":\"mori\"")
    });
    verb(&["outbox", "show"]);
    verb(&["sources"]);
    verb(&["audit"]);
    let before = load.taken();
    let copy = dir.path().join("copy");
    verb(&["backup", copy.to_str().unwrap()]);
    until("the load goes on", || load.taken() > before + 50);
    load.end();
    daemon.kill();
    // The copy is a store: it starts, and delivery waits for a person.
    let again = tempfile::tempdir().unwrap();
    let restored = std::process::Command::new(env!("CARGO_BIN_EXE_alertbridge"))
        .args(["restore", copy.to_str().unwrap(), "--data-dir"])
        .arg(again.path().join("data"))
        .output()
        .unwrap();
    assert!(restored.status.success(), "{restored:?}");
    let daemon = Daemon::start(again.path());
    until("the copy has what was acknowledged before it", || {
        applied(&daemon) >= before
    });
    let (good, told) = daemon.verb(&["restore", "--release"]);
    assert!(good, "{told}");
}
