//! Silences and maintenance windows through a daemon: made on the command line, by the API, from a
//! ticket, by the configuration and by a carrier's mail; durable when acknowledged.
#![allow(clippy::unwrap_used, clippy::panic)]

mod daemon_support;

use daemon_support::Daemon;
use jiff::{Span, Timestamp};
use serde_json::{Value, json};
use std::process::Command;

const CONFIG: &str = r#"
inventory = ["inventory.toml"]
[engine]
hold_outage = "0s"
hold_redundancy = "0s"
hold_degradation = "0s"
hold_link = "0s"
[[maintenance]]
name = "always"
reason = "a laboratory"
match = ["host=~lab-.*"]
at = "00:00"
for = "24h"
"#;

const INVENTORY: &str = r#"
[[element]]
id = "leg-a"
aliases = ["CKT-AMS-FRA-0011"]
[[element]]
id = "leg-b"
aliases = ["CKT-AMS-LON-0044"]
[[group]]
id = "legs"
members = ["leg-a", "leg-b"]
needs = 1
[[service]]
id = "wave"
depends_on = ["legs"]
accounts = ["acme", "globex"]
"#;

fn start(dir: &tempfile::TempDir) -> Daemon {
    std::fs::write(dir.path().join("inventory.toml"), INVENTORY).unwrap();
    Daemon::start_with(dir.path(), CONFIG, &[])
}

fn problem(daemon: &Daemon, host: &str, state: &str) {
    let event = json!({ "state": state, "summary": format!("{host} is down"), "host": host,
                        "check": "ping", "severity": "critical" });
    assert_eq!(daemon.post(&event).unwrap(), 202);
}

fn get(daemon: &Daemon, path: &str) -> Value {
    let (status, body) = daemon.ask("operators", "GET", path, "").unwrap();
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// How many events had this outcome so far.
fn outcomes(daemon: &Daemon, outcome: &str) -> u64 {
    let text = daemon.metrics();
    let name = "alertbridge_alerts_total{";
    let lines = text.lines().filter(|line| line.starts_with(name));
    let of_outcome = lines.filter(|line| line.contains(&format!("outcome=\"{outcome}\"")));
    let counts = of_outcome.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap());
    counts.map(|count| count as u64).sum()
}

fn is_open(ticket: &Value) -> bool {
    !matches!(ticket["status"].as_str(), Some("resolved" | "closed"))
}

fn open(tickets: &[Value]) -> usize {
    tickets.iter().filter(|ticket| is_open(ticket)).count()
}

fn listed(daemon: &Daemon, verb: &str) -> Vec<Value> {
    let (good, text) = daemon.verb(&[verb, "list", "--json"]);
    assert!(good, "{text}");
    let rows: Value = serde_json::from_str(&text).unwrap();
    rows.as_array().unwrap().clone()
}

fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

#[test]
fn a_silence_made_from_a_ticket_keeps_its_problem_quiet_until_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let mut daemon = start(&dir);
    problem(&daemon, "db-1", "problem");
    daemon.until("a ticket", |tickets| open(tickets) == 1);
    let (good, told) = daemon.verb(&["silence", "add", "--ticket", "1"]);
    assert!(!good && told.contains("--reason"), "{told}");
    let (good, told) = daemon.verb(&["silence", "add", "--ticket", "1", "--reason", " "]);
    assert!(!good && told.contains("a silence needs a reason"), "{told}");
    let (good, told) = daemon.verb(&["silence", "add", "--ticket", "77", "--reason", "x"]);
    assert!(
        !good && told.contains("no tracker has a ticket 77"),
        "{told}"
    );
    let before = Timestamp::now();
    let (good, told) = daemon.verb(&[
        "silence",
        "add",
        "--ticket",
        "1",
        "--reason",
        "disk is ordered",
    ]);
    assert!(good && told.contains("SIL-1"), "{told}");
    let after = Timestamp::now();
    let silences = listed(&daemon, "silence");
    assert_eq!(silences[0]["matchers"], json!(["host=db-1", "check=ping"]));
    assert_eq!(silences[0]["reason"], "disk is ordered");
    let until = time(&silences[0]["until"]);
    // Eight hours unless said; told in whole milliseconds.
    let eight = Span::new().hours(8);
    let (first, last) = (before + eight - Span::new().milliseconds(1), after + eight);
    assert!(first <= until && until <= last, "{first} {until} {last}");
    // It is durable: the daemon dies as soon as it has answered.
    daemon.kill();
    daemon = start(&dir);
    problem(&daemon, "db-1", "recovery");
    daemon.until("it recovered", |tickets| open(tickets) == 0);
    problem(&daemon, "db-1", "problem");
    problem(&daemon, "db-2", "problem");
    let two = |tickets: &[Value]| tickets.len() == 2 && open(tickets) == 1;
    daemon.until("the other host alone", two);
    daemon.until("it is silenced", |_| {
        outcomes(&daemon, "suppressed_silence") == 1
    });
    // Still firing at its end: the ticket is open again.
    let (good, told) = daemon.verb(&["silence", "end", "SIL-1"]);
    assert!(good, "{told}");
    daemon.until("it speaks", |tickets| {
        tickets.len() == 2 && open(tickets) == 2
    });
    assert!(listed(&daemon, "silence").is_empty());
}

#[test]
fn a_silence_made_from_an_incident_covers_its_element_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = start(&dir);
    problem(&daemon, "leg-a", "problem");
    daemon.until("a ticket", |tickets| open(tickets) == 1);
    let words = [
        "silence",
        "add",
        "--incident",
        "INC-1",
        "--reason",
        "the carrier knows",
    ];
    let (good, told) = daemon.verb(&[&words[..], &["--for", "2h"]].concat());
    assert!(good, "{told}");
    assert_eq!(
        listed(&daemon, "silence")[0]["matchers"],
        json!(["element=leg-a"])
    );
    problem(&daemon, "leg-a", "recovery");
    daemon.until("it recovered", |tickets| open(tickets) == 0);
    problem(&daemon, "CKT-AMS-FRA-0011", "problem");
    daemon.until("it is silenced", |_| {
        outcomes(&daemon, "suppressed_silence") == 1
    });
    // The other leg too: a proven S1 pierces the silence.
    problem(&daemon, "leg-b", "problem");
    let tickets = daemon.until("it is pierced", |tickets| open(tickets) == 1);
    let open = tickets.iter().find(|ticket| is_open(ticket)).unwrap();
    assert_eq!(open["severity"], "S1", "{open}");
}

#[test]
fn the_api_makes_silences_and_windows_and_refuses_what_is_not_clear() {
    let dir = tempfile::tempdir().unwrap();
    // Writing by the API needs a token.
    std::fs::write(dir.path().join("inventory.toml"), INVENTORY).unwrap();
    std::fs::write(dir.path().join("token"), "operator-token-0123456789abcdef").unwrap();
    let config = CONFIG.to_owned()
        + "[operators]\nlisten = \"127.0.0.1:0\"\n[[operators.token]]\nname = \"ana\"\nrole = \
           \"operate\"\ntoken = { file = \"token\" }\n";
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    let post = |path: &str, body: Value| {
        let output = Command::new("curl")
            .args([
                "-s",
                "-w",
                "\n%{http_code}",
                "-X",
                "POST",
                "-d",
                &body.to_string(),
            ])
            .args([
                "-H",
                "Authorization: Bearer operator-token-0123456789abcdef",
            ])
            .args(["-H", "Content-Type: application/json"])
            .arg(format!("{}{path}", daemon.url("operators")))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (told, status) = text.rsplit_once('\n').unwrap();
        (status.parse::<u16>().unwrap(), told.to_owned())
    };
    problem(&daemon, "db-1", "problem");
    daemon.until("a ticket", |tickets| open(tickets) == 1);
    for (body, why) in [
        (json!({ "matchers": ["host=x"] }), "reason"),
        (
            json!({ "matchers": ["host=x"], "reason": "" }),
            "a silence needs a reason",
        ),
        (json!({ "matchers": [], "reason": "x" }), "expected one of"),
        (
            json!({ "matchers": ["host=x"], "ticket": "1", "reason": "x" }),
            "expected one of",
        ),
        (
            json!({ "incident": "INC-9", "reason": "x" }),
            "there is no INC-9",
        ),
        (json!({ "matchers": ["host"], "reason": "x" }), "host"),
    ] {
        let (status, told) = post("/api/v1/silences", body.clone());
        assert!(
            (400..500).contains(&status) && told.contains(why),
            "{body}: {status} {told}"
        );
    }
    assert_eq!(get(&daemon, "/api/v1/silences")["silences"], json!([]));
    let (status, told) = post(
        "/api/v1/silences",
        json!({ "ticket": "1", "reason": "known" }),
    );
    assert_eq!(status, 200, "{told}");
    let silences = get(&daemon, "/api/v1/silences");
    assert_eq!(silences["silences"][0]["author"], "ana");
    let until = Timestamp::now() + Span::new().hours(1);
    let window = json!({ "matchers": ["element=leg-b"], "reason": "new optics", "ends_at": until });
    let (status, told) = post("/api/v1/windows", window);
    assert_eq!(status, 200, "{told}");
    problem(&daemon, "leg-b", "problem");
    daemon.until("it is planned", |_| {
        outcomes(&daemon, "suppressed_maintenance") == 1
    });
    let window = listed(&daemon, "window");
    let window = window.iter().find(|w| w["reason"] == "new optics").unwrap();
    let path = format!("/api/v1/windows/{}/end", window["id"].as_str().unwrap());
    assert_eq!(post(&path, json!({})).0, 200);
    daemon.until("it overran", |tickets| open(tickets) == 2);
}

#[test]
fn windows_come_from_the_configuration_the_command_line_and_carriers() {
    let dir = tempfile::tempdir().unwrap();
    let mut daemon = start(&dir);
    // The configuration's.
    problem(&daemon, "lab-7", "problem");
    daemon.until("it is planned", |_| {
        outcomes(&daemon, "suppressed_maintenance") == 1
    });
    let windows = listed(&daemon, "window");
    assert_eq!(windows.len(), 1);
    assert_eq!(windows[0]["author"], "maintenance `always`");
    // The command line's, on one leg; the carrier's on the other: warned of before either begins.
    let at = |hours: i64| (Timestamp::now() + Span::new().hours(hours)).to_string();
    let words = ["window", "add", "element=leg-b", "--reason", "new optics"];
    let (from, until) = (at(20), at(24));
    let (good, told) = daemon.verb(&[&words[..], &["--from", &from, "--until", &until]].concat());
    assert!(good && told.contains("MW-2"), "{told}");
    let carrier = notice(&at(22), &at(26), "0", "CONFIRMED");
    let told = daemon.mail("alerts@noc.example", "noc@carrier.example.com", &carrier);
    assert!(told.starts_with("250"), "{told}");
    let tickets = daemon.until("a warning", |tickets| open(tickets) == 1);
    let subject = tickets[0]["subject"].as_str().unwrap();
    assert!(subject.contains("Overlapping maintenances"), "{subject}");
    daemon.kill();
    daemon = start(&dir);
    assert_eq!(listed(&daemon, "window").len(), 3);
    // It begins now, and says so again: nothing is told but that the warning is over.
    let carrier = notice(&at(-1), &at(2), "1", "CONFIRMED");
    daemon.mail("alerts@noc.example", "noc@carrier.example.com", &carrier);
    daemon.until("the warning is over", |tickets| open(tickets) == 0);
    problem(&daemon, "CKT-AMS-FRA-0011", "problem");
    daemon.until("it is planned", |_| {
        outcomes(&daemon, "suppressed_maintenance") == 1
    });
    let carrier = notice(&at(-1), &at(2), "2", "IN-PROCESS");
    daemon.mail("alerts@noc.example", "noc@carrier.example.com", &carrier);
    let carrier = notice(&at(-1), &at(2), "3", "COMPLETED");
    daemon.mail("alerts@noc.example", "noc@carrier.example.com", &carrier);
    // Done by the carrier's word, still down: a ticket, once.
    let tickets = daemon.until("it overran", |tickets| open(tickets) == 1);
    assert_eq!(tickets.len(), 2);
    assert_eq!(listed(&daemon, "window").len(), 2);
}

/// A carrier's mail with a calendar.
fn notice(from: &str, until: &str, sequence: &str, status: &str) -> String {
    let stamp = |text: &str| {
        let at: Timestamp = text.parse().unwrap();
        at.strftime("%Y%m%dT%H%M%SZ").to_string()
    };
    let lines = [
        "From: Carrier NOC <noc@carrier.example.com>",
        &format!("Subject: Planned maintenance WO-220117 {sequence}"),
        &format!("Message-ID: <wo.{sequence}@carrier.example.com>"),
        "MIME-Version: 1.0",
        "Content-Type: text/calendar; charset=utf-8; method=REQUEST",
        "",
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//Maint Note//https://github.com/maint-notification//",
        "BEGIN:VEVENT",
        "SUMMARY:Fibre splice",
        &format!("DTSTART:{}", stamp(from)),
        &format!("DTEND:{}", stamp(until)),
        &format!("DTSTAMP:{}", stamp(&Timestamp::now().to_string())),
        "UID:WO-220117@carrier.example.com",
        &format!("SEQUENCE:{sequence}"),
        "X-MAINTNOTE-PROVIDER:carrier.example.com",
        "X-MAINTNOTE-ACCOUNT:137.035",
        "X-MAINTNOTE-MAINTENANCE-ID:WO-220117",
        "X-MAINTNOTE-OBJECT-ID;X-MAINTNOTE-OBJECT-IMPACT=OUTAGE:CKT-AMS-FRA-0011",
        "X-MAINTNOTE-OBJECT-ID;X-MAINTNOTE-OBJECT-IMPACT=NO-IMPACT:CKT-AMS-LON-0044",
        "X-MAINTNOTE-IMPACT:OUTAGE",
        &format!("X-MAINTNOTE-STATUS:{status}"),
        "ORGANIZER;CN=\"Carrier NOC\":mailto:noc@carrier.example.com",
        "END:VEVENT",
        "END:VCALENDAR",
    ];
    lines.join("\r\n") + "\r\n"
}
