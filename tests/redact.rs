//! Patterns of an operator's own are masked before anything is stored: in tickets, in quarantine, in
//! the journal and the bytes as received; and wrong ones are refused with their names.
#![allow(clippy::unwrap_used, clippy::panic)]

mod daemon_support;

use daemon_support::{Daemon, configuration};
use serde_json::json;
use std::path::Path;

const PINS: &str = r#"
[engine]
hold_outage = "0s"
[[redact]]
name = "door pins"
pattern = '(?i)pin:? [0-9]{4}'
example = "PIN 1234"
"#;

/// Files below a folder in which the bytes stand.
fn holding(folder: &Path, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(holding(&path, bytes));
        } else if let Ok(text) = std::fs::read(&path)
            && text.windows(bytes.len()).any(|window| window == bytes)
        {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn own_patterns_are_masked_before_anything_is_stored() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_with(dir.path(), PINS, &[]);
    let event = json!({ "dedup_key": "door", "state": "firing", "severity": "critical",
        "summary": "door of rack 7 stands open, PIN 4711", "details": "pin: 4711",
        "labels": { "note": "its pin 4711" }, "host": "door-7", "check": "door" });
    assert_eq!(daemon.post(&event).unwrap(), 202);
    let mail = "From: x@y.example\r\nSubject: what is PIN 4711?\r\n\r\nPIN 4711\r\n";
    daemon.mail("alerts@noc.example", "x@y.example", mail);
    let tickets = daemon.until("both tickets", |tickets| tickets.len() == 2);
    let shown = format!("{tickets:?}");
    assert!(shown.contains("stands open, [masked]"), "{shown}");
    let (_, waiting) = daemon.verb(&["quarantine", "list", "--json"]);
    assert!(waiting.contains("what is [masked]?"), "{waiting}");
    assert!(!shown.contains("4711") && !waiting.contains("4711"));
    assert_eq!(holding(&dir.path().join("data"), b"4711"), [""; 0]);

    // A reload takes new ones, and refuses what is wrong without touching what is in force.
    let more = PINS.replace("{4}", "{4,6}").replace("1234", "123456");
    std::fs::write(dir.path().join("config.toml"), configuration(&more)).unwrap();
    let (good, told) = daemon.verb(&["reload"]);
    assert!(good, "{told}");
    let wrong = more.replace("123456", "none");
    std::fs::write(dir.path().join("config.toml"), configuration(&wrong)).unwrap();
    let (good, told) = daemon.verb(&["reload"]);
    assert!(!good);
    assert!(
        told.contains("redact: `door pins`: it does not match its example"),
        "{told}"
    );
    let event = json!({ "dedup_key": "door-8", "state": "firing", "severity": "critical",
        "summary": "door of rack 8 stands open, PIN 471199", "host": "door-8", "check": "door" });
    assert_eq!(daemon.post(&event).unwrap(), 202);
    let tickets = daemon.until("a third ticket", |tickets| tickets.len() == 3);
    let shown = format!("{tickets:?}");
    assert!(shown.contains("rack 8 stands open, [masked]"), "{shown}");
    assert_eq!(holding(&dir.path().join("data"), b"471199"), [""; 0]);
}
