//! What is marked sensitive never stands in the clear: not on the disk, not in a backup, not in a
//! ticket, the log, the metrics or an explanation, and only those see it who may.
#![allow(clippy::unwrap_used, clippy::panic)]

mod daemon_support;

use daemon_support::Daemon;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The word that must not be found.
const SECRET: &str = "zanzibar-payroll";

fn configuration(dir: &Path, ids: &[u32]) -> String {
    let mut text = String::new();
    for (name, token) in [("noc", "t-noc"), ("trusted", "t-trusted")] {
        std::fs::write(dir.join(name), token).unwrap();
        let sees = name == "trusted";
        text.push_str(&format!(
            "[[operators.token]]\nname = \"{name}\"\nrole = \"operate\"\nsensitive = {sees}\n\
             token = {{ file = \"{name}\" }}\n"
        ));
    }
    for id in ids {
        let file = format!("key-{id}");
        std::fs::write(dir.join(&file), format!("{id:02x}").repeat(32)).unwrap();
        text.push_str(&format!(
            "[[sealing.key]]\nid = {id}\nkey = {{ file = \"{file}\" }}\n"
        ));
    }
    text
}

fn files(below: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![below.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            match entry.file_type().unwrap() {
                kind if kind.is_dir() => left.push(entry.path()),
                kind if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found
}

/// Files in which the word stands, in any place.
fn told_in(below: &Path, word: &str) -> Vec<PathBuf> {
    let holds = |path: &PathBuf| {
        let bytes = std::fs::read(path).unwrap();
        bytes
            .windows(word.len())
            .any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
    };
    files(below).into_iter().filter(holds).collect()
}

fn until_clean(below: &Path) {
    let began = Instant::now();
    loop {
        let told = told_in(below, SECRET);
        if told.is_empty() {
            return;
        }
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "still in {told:?}"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn event(key: &str) -> Value {
    json!({
        "dedup_key": format!("{SECRET}-{key}"),
        "summary": format!("{SECRET} is down"),
        "details": format!("see {SECRET}"),
        "host": format!("{SECRET}-host"),
        "site": format!("{SECRET}-site"),
        "component": "db",
        "severity": "critical",
        "state": "firing",
        "labels": { "team": SECRET },
    })
}

/// An answer of the operators' door to whom the token names.
fn seen(daemon: &Daemon, token: &str, path: &str) -> String {
    let answer = door::get(&format!("{}{path}", daemon.url("operators")), token);
    answer.unwrap()
}

/// A small client of its own: one request, with a token.
mod door {
    use std::io::{Read, Write};

    pub fn get(url: &str, token: &str) -> std::io::Result<String> {
        let rest = url.strip_prefix("http://").unwrap();
        let (address, path) = rest.split_once('/').unwrap();
        let mut stream = std::net::TcpStream::connect(address)?;
        let proof = if token.is_empty() {
            String::new()
        } else {
            format!("Authorization: Bearer {token}\r\n")
        };
        write!(
            stream,
            "GET /{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{proof}\r\n"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

const PATHS: [&str; 8] = [
    "/api/v1/incidents",
    "/api/v1/incidents/INC-1",
    "/api/v1/alerts",
    "/api/v1/alerts/A-1",
    "/api/v1/outbox",
    "/api/v1/audit",
    "/api/v1/quarantine",
    "/",
];

fn nobody_else_is_told(daemon: &Daemon, dir: &Path) {
    for path in PATHS {
        for token in ["", "t-noc"] {
            let answer = seen(daemon, token, path);
            assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
            assert!(!answer.contains(SECRET), "{path} told `{token}`: {answer}");
        }
    }
    for path in ["/api/v1/explain/INC-1", "/api/v1/explain/A-1", "/metrics"] {
        let answer = seen(daemon, "t-trusted", path);
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        assert!(!answer.contains(SECRET), "{path}: {answer}");
    }
    let log = std::fs::read_to_string(dir.join("log")).unwrap();
    assert!(!log.contains(SECRET), "{log}");
    for ticket in daemon.tickets() {
        assert!(!ticket.to_string().contains(SECRET), "{ticket}");
    }
}

#[test]
fn a_sensitive_source_is_sealed_from_the_first_byte() {
    let dir = tempfile::tempdir().unwrap();
    let source = "[[source]]\nname = \"hr\"\nkind = \"native\"\nsensitive = true\n";
    let text = configuration(dir.path(), &[1]) + source;
    let daemon = Daemon::start_with(dir.path(), &text, &[]);
    let post = |path: &str, body: String| daemon.ask("http", "POST", path, &body).unwrap();
    for n in 0..3 {
        let (status, answer) = post("/hooks/hr", event(&n.to_string()).to_string());
        assert_eq!(status, 200, "{answer}");
    }
    // What cannot be read waits in quarantine, sealed as well.
    assert_eq!(post("/hooks/hr", format!("{{{SECRET}")).0, 200);
    // Repeats, an operator's words and an acknowledgement change nothing of that.
    post("/hooks/hr", event("0").to_string());
    let (good, told) = daemon.verb(&["note", "INC-1", &format!("{SECRET} again")]);
    assert!(good, "{told}");
    daemon.until("tickets", |tickets| tickets.len() >= 2);
    let (good, told) = daemon.verb(&["backup", dir.path().join("copy").to_str().unwrap()]);
    assert!(good, "{told}");
    assert_eq!(
        told_in(&dir.path().join("data"), SECRET),
        [] as [PathBuf; 0]
    );
    assert_eq!(
        told_in(&dir.path().join("copy"), SECRET),
        [] as [PathBuf; 0]
    );
    nobody_else_is_told(&daemon, dir.path());
    let tickets = daemon.tickets();
    let withheld = |t: &Value| t["subject"] == "INC-1 (content withheld)";
    assert!(tickets.iter().any(withheld), "{tickets:#?}");
    // Who may see it does.
    for path in ["/api/v1/incidents/INC-1", "/api/v1/alerts/A-1"] {
        let answer = seen(&daemon, "t-trusted", path);
        assert!(answer.contains(SECRET), "{path}: {answer}");
    }
    let (_, listed) = daemon.verb(&["quarantine", "list", "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let seq = listed[0]["seq"].to_string();
    let (_, shown) = daemon.verb(&["quarantine", "show", &seq]);
    assert!(shown.contains(SECRET), "{shown}");
    let answer = seen(&daemon, "t-noc", &format!("/api/v1/quarantine/{seq}"));
    assert!(!answer.contains(SECRET), "{answer}");
    daemon.kill();
    // A new key seals, the old one still opens.
    let text = configuration(dir.path(), &[1, 2]) + source;
    let daemon = Daemon::start_with(dir.path(), &text, &[]);
    let (status, _) = daemon
        .ask("http", "POST", "/hooks/hr", &event("9").to_string())
        .unwrap();
    assert_eq!(status, 200);
    assert!(seen(&daemon, "t-trusted", "/api/v1/incidents/INC-1").contains(SECRET));
    assert_eq!(
        told_in(&dir.path().join("data"), SECRET),
        [] as [PathBuf; 0]
    );
    let (good, told) = daemon.verb(&["verify"]);
    assert!(good, "{told}");
    // A key that is in use cannot be taken away by a reload.
    let text = configuration(dir.path(), &[2]) + source;
    let path = dir.path().join("config.toml");
    std::fs::write(path, daemon_support::configuration(&text)).unwrap();
    let (good, told) = daemon.verb(&["reload"]);
    assert!(!good && told.contains("key 1 is gone"), "{told}");
}

#[test]
fn what_a_rule_or_a_route_calls_sensitive_is_sealed_again() {
    for marks in [
        "[[rule]]\nname = \"payroll\"\nmatch = [\"host=~zanzibar.*\"]\nsensitive = true\n",
        "[[route]]\nname = \"closed\"\nmatch = [\"title=~.*zanzibar.*\"]\nsensitive = true\n",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let text = configuration(dir.path(), &[7]) + marks;
        let daemon = Daemon::start_with(dir.path(), &text, &[]);
        assert_eq!(daemon.post(&event("1")).unwrap(), 202);
        daemon.until("a ticket", |tickets| !tickets.is_empty());
        let mut again = event("1");
        again["state"] = json!("resolved");
        assert_eq!(daemon.post(&again).unwrap(), 202);
        until_clean(&dir.path().join("data"));
        nobody_else_is_told(&daemon, dir.path());
        assert!(seen(&daemon, "t-trusted", "/api/v1/incidents/INC-1").contains(SECRET));
    }
}

#[test]
fn a_request_is_sealed_at_its_door_or_refused() {
    let dir = tempfile::tempdir().unwrap();
    let text = configuration(dir.path(), &[1]);
    let daemon = Daemon::start_with(dir.path(), &text, &[]);
    let words = [
        "request",
        SECRET,
        "--account",
        "acme",
        "--kind",
        "outage",
        "--sensitive",
    ];
    let (good, told) = daemon.verb(&words);
    assert!(good, "{told}");
    daemon.until("a ticket", |tickets| !tickets.is_empty());
    assert_eq!(
        told_in(&dir.path().join("data"), SECRET),
        [] as [PathBuf; 0]
    );
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(!log.contains(SECRET), "{log}");
    daemon.kill();
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_with(dir.path(), "", &[]);
    let (good, told) = daemon.verb(&words);
    assert!(!good && told.contains("[[sealing.key]]"), "{told}");
}

#[test]
fn a_replay_goes_through_the_masks_as_well() {
    // Base64 hides the password from a look at the bytes; decoding brings it out.
    let dir = tempfile::tempdir().unwrap();
    let mapping = "[mapping.odd]\ndedup_key = \"item.id\"\nsummary = \"item.text\"\n\
                   [[source]]\nname = \"odd\"\nkind = \"odd\"\n";
    let daemon = Daemon::start_with(dir.path(), mapping, &[]);
    let (_, body) = daemon
        .ask(
            "http",
            "POST",
            "/hooks/odd",
            r#"{"key":"k","words":"pass\u0077ord=hunter2"}"#,
        )
        .unwrap();
    assert!(body.contains("successful"), "{body}");
    daemon.until("the triage ticket", |tickets| !tickets.is_empty());
    let (_, listed) = daemon.verb(&["quarantine", "list", "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let seq = listed[0]["seq"].to_string();
    let fixed = mapping
        .replace("item.id", "item.key")
        .replace("item.text", "item.words");
    let path = dir.path().join("config.toml");
    std::fs::write(path, daemon_support::configuration(&fixed)).unwrap();
    assert!(daemon.verb(&["reload"]).0);
    let (good, told) = daemon.verb(&["quarantine", "replay", &seq]);
    assert!(good, "{told}");
    daemon.until("its ticket", |tickets| tickets.len() == 2);
    let answer = seen(&daemon, "", "/api/v1/alerts");
    assert!(
        answer.contains("password=[masked]") && !answer.contains("hunter2"),
        "{answer}"
    );
}

#[test]
fn what_people_write_at_the_desk_is_sealed_there() {
    let dir = tempfile::tempdir().unwrap();
    let source = "[[source]]\nname = \"hr\"\nkind = \"native\"\nsensitive = true\n";
    let text = configuration(dir.path(), &[1]) + source;
    let daemon = Daemon::start_with(dir.path(), &text, &[]);
    let body = event("a").to_string();
    let (status, _) = daemon.ask("http", "POST", "/hooks/hr", &body).unwrap();
    assert_eq!(status, 200);
    daemon.until("a ticket", |tickets| !tickets.is_empty());
    for words in [
        vec!["desk", "comment", "1", SECRET],
        vec!["desk", "comment", "1", SECRET, "--public"],
        vec!["desk", "comment", "1", SECRET, "--customer", "acme"],
    ] {
        let (good, told) = daemon.verb(&words);
        assert!(good, "{told}");
    }
    let (good, told) = daemon.verb(&["backup", dir.path().join("copy").to_str().unwrap()]);
    assert!(good, "{told}");
    for folder in ["data", "copy"] {
        let told = told_in(&dir.path().join(folder), SECRET);
        assert_eq!(told, [] as [PathBuf; 0]);
    }
    let path = "/api/v1/desk/tickets/1";
    for token in ["", "t-noc"] {
        let answer = seen(&daemon, token, path);
        assert!(!answer.contains(SECRET), "{answer}");
    }
    assert!(seen(&daemon, "t-trusted", path).contains(SECRET));
    // It is read by who works there, also after a start, and by no other key.
    let shown = daemon.verb(&["desk", "show", "1"]).1;
    assert_eq!(shown.matches(SECRET).count(), 3, "{shown}");
    daemon.kill();
    let daemon = Daemon::start_with(dir.path(), &text, &[]);
    let again = daemon.verb(&["desk", "show", "1"]).1;
    assert_eq!(again.matches(SECRET).count(), 3, "{again}");
    let (good, told) = daemon.verb(&["verify"]);
    assert!(good, "{told}");
}

#[test]
fn neither_a_large_mail_nor_what_notify_spools_stands_on_the_disk() {
    let dir = tempfile::tempdir().unwrap();
    let source = "[[source]]\nname = \"mail\"\nkind = \"mail\"\nsensitive = true\n";
    let text = configuration(dir.path(), &[1]) + source;
    let daemon = Daemon::start_with(dir.path(), &text, &[]);
    let line = format!("{SECRET} and more of it\r\n");
    let mail = format!(
        "From: nagios@noc.example\r\nMessage-ID: <1@noc.example>\r\n\
         Subject: ** PROBLEM Host Alert: {SECRET} is DOWN **\r\n\r\n\
         Notification Type: PROBLEM\r\nHost: {SECRET}\r\nState: DOWN\r\n{}",
        line.repeat(6000)
    );
    daemon.mail("alerts@noc.example", "nagios@noc.example", &mail);
    daemon.until("a ticket", |tickets| !tickets.is_empty());
    assert_eq!(
        told_in(&dir.path().join("data"), SECRET),
        [] as [PathBuf; 0]
    );

    let (spool, key) = (dir.path().join("spool"), dir.path().join("key-1"));
    let notify = |url: &str, more: &[&str]| {
        std::process::Command::new(env!("CARGO_BIN_EXE_alertbridge"))
            .arg("notify")
            .args(more)
            .arg("--spool")
            .arg(&spool)
            .arg("--spool-key-file")
            .arg(&key)
            .args(["--url", url])
            .output()
            .unwrap()
    };
    // Nobody listens there: it waits.
    let waits = notify(
        "http://127.0.0.1:9",
        &[SECRET, "--host", SECRET, "--check", "x"],
    );
    assert!(waits.status.success(), "{waits:?}");
    assert_eq!(
        files(&spool)
            .iter()
            .filter(|path| path.extension().is_some())
            .count(),
        1
    );
    assert_eq!(told_in(&spool, SECRET), [] as [PathBuf; 0]);
}
