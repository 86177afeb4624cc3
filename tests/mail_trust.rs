//! Who may speak by mail, over real SMTP into a daemon: strangers wait in quarantine, accounts
//! speak for themselves alone, people's words reach their incident or become an inquiry.
#![allow(clippy::unwrap_used, clippy::panic)]

mod daemon_support;

use daemon_support::{Daemon, hours_ago};
use serde_json::Value;

const INVENTORY: &str = r#"
[[account]]
id = "acme"
mail = ["noc@acme.example"]
[[account]]
id = "globex"
mail = ["@globex.example"]
[[element]]
id = "edge-acme"
[[element]]
id = "edge-globex"
[[service]]
id = "net-acme"
depends_on = ["edge-acme"]
accounts = ["acme"]
[[service]]
id = "net-globex"
depends_on = ["edge-globex"]
accounts = ["globex"]
"#;

const CONFIG: &str = r#"
inventory = ["inventory.toml"]
[engine]
hold_outage = "0s"
[[sealing.key]]
id = 1
key = { file = "seal" }
[mail]
own_domains = ["noc.example"]
[[mail.trusted_server]]
authserv_id = "mx.noc.example"
peers = ["127.0.0.1/32"]
[[mail.sender]]
address = "jo@noc.example"
role = "engineer"
hosts = ["127.0.0.1/32"]
[[mail.sender]]
address = "nagios@noc.example"
hosts = ["127.0.0.1/32"]
[[mail.topic]]
name = "billing"
words = ["invoice"]
[[source]]
name = "acme-hook"
kind = "native"
account = "acme"
[[route]]
name = "money"
match = ["topic=billing"]
queue = "Billing"
"#;

fn start(dir: &tempfile::TempDir) -> Daemon {
    std::fs::write(dir.path().join("inventory.toml"), INVENTORY).unwrap();
    std::fs::write(dir.path().join("seal"), "5a".repeat(32)).unwrap();
    Daemon::start_with(dir.path(), CONFIG, &[])
}

/// A mail that the trusted server proved.
fn proven(from: &str, subject: &str, more: &str, body: &str) -> String {
    let domain = from.rsplit_once('@').unwrap().1;
    format!(
        "Authentication-Results: mx.noc.example; dmarc=pass header.from={domain}\r\n\
         From: {from}\r\nSubject: {subject}\r\n{more}\r\n{body}\r\n"
    )
}

fn nagios(host: &str, word: &str, state: &str) -> (String, String) {
    (
        format!("** {word} Host Alert: {host} is {state} **"),
        format!("Notification Type: {word}\r\nHost: {host}\r\nState: {state}"),
    )
}

fn get(daemon: &Daemon, path: &str) -> Value {
    let (status, body) = daemon.ask("operators", "GET", path, "").unwrap();
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

fn incidents(daemon: &Daemon) -> Vec<Value> {
    let all = get(daemon, "/api/v1/incidents?state=all");
    all["incidents"].as_array().unwrap().clone()
}

fn titled(daemon: &Daemon, part: &str) -> Option<Value> {
    let found = |i: &Value| i["title"].as_str().unwrap().contains(part);
    incidents(daemon).into_iter().find(found)
}

/// The incident once it is there.
fn awaited(daemon: &Daemon, part: &str) -> Value {
    daemon.until(part, |_| titled(daemon, part).is_some());
    titled(daemon, part).unwrap()
}

fn timeline(daemon: &Daemon, id: &Value) -> String {
    get(
        daemon,
        &format!("/api/v1/incidents/{}", id.as_str().unwrap()),
    )
    .to_string()
}

#[test]
fn a_strangers_mail_waits_in_quarantine_and_closes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = start(&dir);
    let (subject, body) = nagios("core-1", "PROBLEM", "DOWN");
    let own = format!("From: nagios@noc.example\r\nSubject: {subject}\r\n\r\n{body}\r\n");
    daemon.mail("alerts@noc.example", "nagios@noc.example", &own);
    let open = awaited(&daemon, "core-1");
    // The recovery of somebody who only writes the monitor's name, and of strangers; with numbers
    // that count up in their subjects.
    let (subject, body) = nagios("core-1", "RECOVERY", "UP");
    for number in 1..=3 {
        let forged = format!(
            "Authentication-Results: mx.evil.example; dmarc=pass header.from=evil.example\r\n\
             From: x@evil.example\r\nSubject: {subject} {number}\r\n\r\n{body}\r\n"
        );
        daemon.mail("alerts@noc.example", "x@evil.example", &forged);
    }
    let triage = awaited(&daemon, "RECOVERY Host Alert");
    assert_eq!(triage["needs_triage"], true);
    daemon.until("three in quarantine", |_| {
        get(&daemon, "/api/v1/quarantine")["quarantine"]
            .as_array()
            .is_some_and(|list| list.len() == 3)
    });
    let waiting = get(&daemon, "/api/v1/quarantine").to_string();
    assert!(
        waiting.contains("the author `x@evil.example` is not known"),
        "{waiting}"
    );
    // One for the alert and one for triage.
    let tickets = daemon.until("two tickets", |tickets| tickets.len() >= 2);
    assert_eq!(tickets.len(), 2, "{tickets:#?}");
    let still = titled(&daemon, "core-1 is DOWN").unwrap_or_else(|| open.clone());
    assert_eq!(still["state"], "open");
    assert_eq!(still["id"], open["id"]);
}

/// Recovery, acknowledgement, planned work and words, by somebody who only writes the right names.
#[test]
fn whoever_is_not_proven_neither_closes_nor_acknowledges_nor_silences() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("inventory.toml"), INVENTORY).unwrap();
    std::fs::write(dir.path().join("seal"), "5a".repeat(32)).unwrap();
    // The trusted server delivers from elsewhere: its name in a mail from here is anybody's.
    let config = CONFIG.replace("peers = [\"127.0.0.1/32\"]", "peers = [\"192.0.2.1/32\"]");
    assert_ne!(config, CONFIG);
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    let (subject, body) = nagios("edge-acme", "PROBLEM", "DOWN");
    let own = format!("From: nagios@noc.example\r\nSubject: {subject}\r\n\r\n{body}\r\n");
    daemon.mail("alerts@noc.example", "nagios@noc.example", &own);
    let open = awaited(&daemon, "edge-acme");
    let before = get(&daemon, "/api/v1/alerts");
    let number = open["id"].as_str().unwrap().trim_start_matches("INC-");
    let (recovery, up) = nagios("edge-acme", "RECOVERY", "UP");
    let (acknowledgement, down) = nagios("edge-acme", "ACKNOWLEDGEMENT", "DOWN");
    let calendar = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:m1\r\nSEQUENCE:1\r\n\
        DTSTAMP:20260101T000000Z\r\nDTSTART:20260101T000000Z\r\nDTEND:20301231T000000Z\r\n\
        SUMMARY:work\r\nX-MAINTNOTE-PROVIDER:acme.example\r\nX-MAINTNOTE-ACCOUNT:1\r\n\
        X-MAINTNOTE-MAINTENANCE-ID:m1\r\nX-MAINTNOTE-OBJECT-ID:edge-acme\r\n\
        X-MAINTNOTE-IMPACT:OUTAGE\r\nX-MAINTNOTE-STATUS:CONFIRMED\r\nEND:VEVENT\r\n\
        END:VCALENDAR";
    for (subject, more, body) in [
        (recovery.as_str(), String::new(), up.as_str()),
        (&acknowledgement, String::new(), &down),
        (
            "Planned work",
            "Content-Type: text/calendar\r\n".to_owned(),
            calendar,
        ),
        (
            &format!("Re: [T#{number}] edge"),
            format!("In-Reply-To: <t{number}.1@noc.example>\r\n"),
            "Status: resolved\r\n\r\nAll good.",
        ),
    ] {
        for from in ["noc@acme.example", "x@evil.example"] {
            let mail = proven(from, subject, &more, body);
            daemon.mail("alerts@noc.example", from, &mail);
        }
    }
    daemon.until("all of them in quarantine", |_| {
        get(&daemon, "/api/v1/quarantine")["quarantine"]
            .as_array()
            .is_some_and(|list| list.len() == 8)
    });
    let still = get(
        &daemon,
        &format!("/api/v1/incidents/{}", open["id"].as_str().unwrap()),
    );
    assert_eq!(still["state"], "open");
    assert!(!still.to_string().contains("All good."), "{still}");
    assert_eq!(get(&daemon, "/api/v1/alerts"), before);
    let (_, windows) = daemon.verb(&["window", "list"]);
    assert!(!windows.contains("m1"), "{windows}");
}

#[test]
fn an_account_raises_and_clears_only_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = start(&dir);
    let send = |from: &str, host: &str, word: &str, state: &str| {
        let (subject, body) = nagios(host, word, state);
        let mail = proven(from, &subject, "", &body);
        daemon.mail("alerts@noc.example", from, &mail);
    };
    send("noc@acme.example", "edge-acme", "PROBLEM", "DOWN");
    let own = awaited(&daemon, "edge-acme");
    assert_eq!(
        (&own["basis"], &own["severity"]),
        (&"inventory".into(), &"S2".into())
    );
    // Another account neither clears it, nor fails its element.
    send("ops@globex.example", "edge-acme", "RECOVERY", "UP");
    send("ops@globex.example", "edge-acme", "PROBLEM", "DOWN");
    daemon.until("the other's claim", |_| incidents(&daemon).len() == 2);
    let claim = incidents(&daemon)
        .into_iter()
        .find(|i| i["id"] != own["id"])
        .unwrap();
    assert_eq!(claim["basis"], "rule");
    // Its word is kept as a monitor's without an inventory is: it proves nothing, and somebody looks.
    assert_eq!(claim["severity"], "S2");
    assert_eq!(claim["needs_triage"], true);
    assert_eq!(claim["accounts"].as_array().unwrap().len(), 0);
    assert_eq!(titled(&daemon, "edge-acme").unwrap()["state"], "open");
    // A webhook source that is bound to an account is held to the same.
    let event = serde_json::json!({"dedup_key": "k", "summary": "globex edge is down",
        "host": "edge-globex", "state": "firing", "severity": "critical"});
    let (status, _) = daemon
        .ask("http", "POST", "/hooks/acme-hook", &event.to_string())
        .unwrap();
    assert_eq!(status, 200);
    let claim = awaited(&daemon, "globex edge is down");
    assert_eq!(
        (&claim["basis"], &claim["needs_triage"]),
        (&"rule".into(), &true.into())
    );
    send("noc@acme.example", "edge-acme", "RECOVERY", "UP");
    daemon.until("its own recovery", |_| {
        get(
            &daemon,
            &format!("/api/v1/incidents/{}", own["id"].as_str().unwrap()),
        )["state"]
            == "resolved"
    });
}

#[test]
fn words_reach_the_incident_of_those_who_may_write_there() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = start(&dir);
    let (subject, body) = nagios("edge-acme", "PROBLEM", "DOWN");
    let mail = proven("noc@acme.example", &subject, "", &body);
    daemon.mail("alerts@noc.example", "noc@acme.example", &mail);
    let id = awaited(&daemon, "edge-acme")["id"].clone();
    let number = id.as_str().unwrap().trim_start_matches("INC-").to_owned();
    let answer = |from: &str, more: &str, text: &str| {
        let quoted = "\r\n\r\nOn Monday the NOC wrote:\r\n> RECOVERY of everything";
        let mail = proven(
            from,
            &format!("Re: edge [T#{number}]"),
            more,
            &format!("{text}{quoted}"),
        );
        daemon.mail("alerts@noc.example", from, &mail);
    };
    let reference = format!("In-Reply-To: <t{number}.1@noc.example>\r\n");
    answer("noc@acme.example", &reference, "Still dark here.");
    answer("jo@noc.example", "", "Fibre crew is on site.");
    answer("ops@globex.example", &reference, "Let me in.");
    daemon.until("an engineer's words", |_| {
        timeline(&daemon, &id).contains("Fibre crew is on site.")
    });
    // The stranger to this incident is told to a person, as an inquiry of their own.
    let other = awaited(&daemon, "edge [T#");
    let told = timeline(&daemon, &other["id"]);
    assert!(told.contains("is not ops@globex.example's"), "{told}");
    assert_eq!(other["needs_triage"], true);
    let told = timeline(&daemon, &id);
    assert!(told.contains("Still dark here."), "{told}");
    assert!(
        !told.contains("Let me in") && !told.contains("RECOVERY of"),
        "{told}"
    );
    // An automatic answer is nobody's word.
    let away = proven(
        "noc@acme.example",
        &format!("Automatic reply: [T#{number}]"),
        &format!("Auto-Submitted: auto-replied\r\n{reference}"),
        "I am away.",
    );
    daemon.mail("alerts@noc.example", "noc@acme.example", &away);
    answer("noc@acme.example", &reference, "The light is back.");
    daemon.until("the last words", |_| {
        timeline(&daemon, &id).contains("The light is back.")
    });
    assert!(!timeline(&daemon, &id).contains("I am away"));
}

#[test]
fn a_persons_mail_is_an_inquiry_or_the_request_it_asks_for() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = start(&dir);
    let write = |from: &str, subject: &str, body: &str| {
        let mail = proven(from, subject, "", body);
        daemon.mail("alerts@noc.example", from, &mail);
    };
    write(
        "noc@acme.example",
        "Invoice of May",
        "We were billed twice.",
    );
    let inquiry = awaited(&daemon, "Invoice of May");
    assert_eq!(inquiry["category"], "inquiry");
    assert_eq!(inquiry["severity"], "S3");
    assert_eq!(inquiry["accounts"][0], "acme");
    assert_eq!(inquiry["tickets"][0]["route"], "money");
    // The same matter again is no second inquiry.
    write("noc@acme.example", "Re: Invoice of May", "Any news?");
    daemon.until("the second mail", |_| {
        timeline(&daemon, &inquiry["id"]).contains("Any news?")
    });

    let reported = hours_ago(3);
    write(
        "ops@globex.example",
        "No internet",
        &format!(
            "Service: net-globex\r\nType: outage\r\nReported-At: {reported}\r\n\r\nNothing works."
        ),
    );
    let request = awaited(&daemon, "No internet");
    assert_eq!(request["severity"], "S2");
    assert_eq!(request["services"][0], "net-globex");
    assert_eq!(request["accounts"][0], "globex");
    assert!(
        request["opened_at"]
            .as_str()
            .unwrap()
            .starts_with(reported.trim_end_matches('Z'))
    );

    // Nobody reports for others, and nobody names a service that is not theirs.
    write(
        "noc@acme.example",
        "Their internet",
        "Account: globex\r\nService: net-globex\r\nType: outage\r\n\r\nx",
    );
    let refused = awaited(&daemon, "Their internet");
    assert_eq!(refused["accounts"][0], "acme");
    assert_eq!(refused["services"].as_array().unwrap().len(), 0);
    let told = timeline(&daemon, &refused["id"]);
    assert!(told.contains("may not report for `globex`"), "{told}");
    daemon.until("a ticket each", |tickets| tickets.len() == 3);

    // What an author marks is shown to nobody who may not see it.
    write(
        "ops@globex.example",
        "Our intruder",
        "Type: inquiry\r\nSensitive: yes\r\n\r\nThe salary list is out.",
    );
    daemon.until("its ticket", |tickets| tickets.len() == 4);
    let shown = format!("{:?} {:?}", incidents(&daemon), daemon.tickets());
    assert!(
        !shown.contains("salary") && !shown.contains("intruder"),
        "{shown}"
    );
}
