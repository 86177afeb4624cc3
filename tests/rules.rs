//! What ordered rules match and set, through a daemon and its doors.
#![allow(clippy::unwrap_used, clippy::panic)]

mod daemon_support;

use daemon_support::{Daemon, configuration};
use serde_json::{Value, json};
use std::process::Command;
use std::time::{Duration, Instant};

const RULES: &str = r#"
[[rule]]
name = "edge"
match = ["host~edge-?"]
tags = ["edge", "team:net"]
continue = true

[[rule]]
name = "core of the edge"
match = ["tag=edge", "check=ping"]
severity = "S1"

[[rule]]
name = "quiet edge"
match = ["tag=~ed.*", "check!=ping"]
hint = "redundancy"
tags = ["quiet"]
hold = "0s"

[[rule]]
name = "ports"
match = ["check=ifstate"]
component_kind = "interface"
hint = "outage"

[[rule]]
name = "sensors"
match = ["host=~sensor-[0-9]+"]
element = "core-1"
hint = "degradation"
hold = "0s"

[[rule]]
name = "pair"
any = ["host=a-1", "host=b-1"]
group = "pair"
hint = "outage"

[[rule]]
name = "slow"
match = ["check=slow"]
not = ["host=quick-1"]
hold = "5m"
hint = "degradation"

[[rule]]
name = "disks"
match = ["check=disk"]
route = "storage"
hint = "outage"

[[rule]]
name = "second thoughts"
match = ["check=disk"]
route = "nowhere"

[[route]]
name = "edge"
match = ["tag=edge"]
queue = "Edge"

[[route]]
name = "storage"
match = ["site=nowhere"]
queue = "Storage"

[engine]
storm_from = 100
"#;

const INVENTORY: &str = r#"
[[element]]
id = "core-1"
site = "ams"
[[service]]
id = "transit"
depends_on = ["core-1"]
accounts = ["acme"]
"#;

fn problem(host: &str, check: &str) -> Value {
    json!({ "state": "problem", "host": host, "check": check, "severity_hint": "unknown",
            "summary": format!("{check} of {host} is bad") })
}

fn api(daemon: &Daemon, path: &str) -> Value {
    let (status, body) = daemon.ask("operators", "GET", path, "").unwrap();
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

/// The incident that a problem of this host belongs to, once it is there.
fn incident_of(daemon: &Daemon, host: &str) -> Value {
    let began = Instant::now();
    loop {
        let list = api(daemon, "/api/v1/incidents?state=all");
        let found = list["incidents"].as_array().unwrap().iter().find(|one| {
            let alerts = one["alerts"].as_array().unwrap();
            alerts.iter().any(|alert| alert["host"] == host)
        });
        if let Some(found) = found {
            return found.clone();
        }
        let waited = began.elapsed() < Duration::from_secs(60);
        assert!(waited, "no incident of {host}: {list:#}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn start(dir: &std::path::Path) -> Daemon {
    std::fs::write(dir.join("inventory.toml"), INVENTORY).unwrap();
    let config = format!("inventory = [\"inventory.toml\"]\n{RULES}");
    Daemon::start_with(dir, &config, &[])
}

#[test]
fn rules_set_severity_kind_element_group_hold_route_and_tags() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = start(dir.path());
    for (host, check) in [
        ("edge-1", "ping"),
        ("edge-2", "fan"),
        ("edge-10", "fan"),
        ("sw-1", "ifstate"),
        ("sensor-7", "temperature"),
        ("a-1", "sync"),
        ("b-1", "sync"),
        ("web-1", "slow"),
        ("quick-1", "slow"),
        ("nas-1", "disk"),
    ] {
        assert!(daemon.post(&problem(host, check)).unwrap() < 300);
    }

    // Severity, by a rule that asks for a tag of a rule before it; tags on the incident.
    let edge = incident_of(&daemon, "edge-1");
    assert_eq!(
        (&edge["severity"], &edge["basis"], &edge["needs_triage"]),
        (&json!("S1"), &json!("rule"), &json!(true))
    );
    assert_eq!(edge["tags"], json!(["edge", "team:net"]));
    assert_eq!(edge["reason"], "A rule says S1; the impact is unknown.");
    // A tag that does not begin with `ed` would not have matched, and a glob's `?` is one character.
    let other = incident_of(&daemon, "edge-2");
    assert_eq!(other["severity"], "S4");
    assert_eq!(other["tags"], json!(["edge", "quiet", "team:net"]));
    assert_eq!(incident_of(&daemon, "edge-10")["tags"], json!([]));

    // The kind of the component: an interface that is down is held as a link is.
    let port = incident_of(&daemon, "sw-1");
    assert_eq!(port["state"], "held", "{port:#}");
    let alert = port["alerts"][0]["id"].as_str().unwrap();
    let alert = api(&daemon, &format!("/api/v1/alerts/{alert}"));
    assert_eq!(alert["component_kind"], "interface", "{alert:#}");

    // The element: what the inventory knows of it decides.
    let sensor = incident_of(&daemon, "sensor-7");
    assert_eq!(
        (&sensor["severity"], &sensor["basis"], &sensor["services"]),
        (&json!("S3"), &json!("inventory"), &json!(["transit"]))
    );
    // The alert names no site; the inventory does.
    assert_eq!(sensor["sites"], json!(["ams"]));

    // The group key: one incident of two hosts.
    let pair = incident_of(&daemon, "a-1");
    assert_eq!(pair["id"], incident_of(&daemon, "b-1")["id"]);

    // The hold, but not where `not` holds.
    assert_eq!(incident_of(&daemon, "web-1")["state"], "held");
    assert_eq!(incident_of(&daemon, "quick-1")["state"], "open");

    // The route, by the first rule that matches; and a route that asks for a tag.
    let tickets = daemon.until("all tickets", |tickets| tickets.len() == 7);
    let queue = |host: &str| {
        let of = |ticket: &&Value| {
            ticket["body"]
                .as_str()
                .unwrap()
                .contains(&format!(" {host} "))
        };
        tickets.iter().find(of).unwrap()["queue"].clone()
    };
    assert_eq!(queue("nas-1"), "Storage");
    assert_eq!(queue("edge-1"), "Edge");
    assert_eq!(queue("edge-10"), "");
    // Tags stand in the ticket.
    let tagged = |ticket: &Value| {
        let body = ticket["body"].as_str().unwrap();
        body.contains("Tags: edge, team:net\n")
    };
    assert!(tickets.iter().any(tagged), "{tickets:#?}");
    let (_, told) = daemon.verb(&["explain", edge["id"].as_str().unwrap()]);
    assert!(told.contains("- Tags: edge, team:net."), "{told}");
    assert!(
        told.contains("`edge` matched: sets tags edge, team:net."),
        "{told}"
    );
    assert!(
        told.contains("`core of the edge` matched: sets severity S1."),
        "{told}"
    );
}

#[test]
fn silences_and_windows_take_tags_and_labels() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = start(dir.path());
    let (good, told) = daemon.verb(&["silence", "add", "tag=quiet", "--reason", "known"]);
    assert!(good, "{told}");
    let words = [
        "window",
        "add",
        "rack=r7",
        "--reason",
        "move",
        "--until",
        "2100-01-01T00:00:00Z",
    ];
    let (good, told) = daemon.verb(&words);
    assert!(good, "{told}");
    daemon.post(&problem("edge-1", "fan")).unwrap();
    let mut labelled = problem("web-7", "ping");
    labelled["labels"] = json!({ "rack": "r7" });
    daemon.post(&labelled).unwrap();
    daemon.post(&problem("web-8", "ping")).unwrap();
    assert_eq!(incident_of(&daemon, "web-8")["state"], "open");
    for host in ["edge-1", "web-7"] {
        let incident = incident_of(&daemon, host);
        assert_eq!(incident["state"], "held", "{incident:#}");
        assert!(incident["quiet_until"].is_string(), "{incident:#}");
    }
}

/// What a rule said of an alert is kept with it: over a kill, and no longer than it fires.
#[test]
fn a_rules_severity_outlives_a_restart_and_ends_with_its_alert() {
    let dir = tempfile::tempdir().unwrap();
    let config = "[[rule]]\nname = \"one\"\nmatch = [\"host=t-1\"]\ngroup = \"trio\"\n\
                  severity = \"S1\"\ntags = [\"t\"]\n\
                  [[rule]]\nname = \"rest\"\nmatch = [\"host~t-?\"]\ngroup = \"trio\"\n\
                  hint = \"degradation\"\n[engine]\nlower_after = \"0s\"\n";
    let daemon = Daemon::start_with(dir.path(), config, &[]);
    daemon.post(&problem("t-1", "ping")).unwrap();
    daemon.post(&problem("t-2", "ping")).unwrap();
    daemon.until("an S1", |tickets| {
        tickets.len() == 1 && tickets[0]["severity"] == "S1"
    });
    let before = incident_of(&daemon, "t-2");
    daemon.kill();
    let daemon = Daemon::start_with(dir.path(), config, &[]);
    let after = incident_of(&daemon, "t-2");
    for key in ["id", "severity", "tags", "reason", "members"] {
        assert_eq!(after[key], before[key], "{key}");
    }
    assert_eq!(
        (&after["severity"], &after["tags"]),
        (&json!("S1"), &json!(["t"]))
    );
    let mut well = problem("t-1", "ping");
    well["state"] = json!("recovery");
    daemon.post(&well).unwrap();
    daemon.until("an S3", |tickets| tickets[0]["severity"] == "S3");
    let reason = incident_of(&daemon, "t-2")["reason"].clone();
    assert_eq!(
        reason,
        "The sender says degradation; the impact is unknown."
    );
}

#[test]
fn triage_ends_when_a_person_confirms_assigns_or_acknowledges() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = start(dir.path());
    let acts: [&[&str]; 3] = [
        &["severity", "INC-1", "S2", "it is down"],
        &["assign", "INC-2", "mori"],
        &["ack", "INC-3"],
    ];
    for (number, act) in (1..).zip(acts) {
        let host = format!("web-{number}");
        daemon.post(&problem(&host, "ping")).unwrap();
        let found = incident_of(&daemon, &host);
        assert_eq!(found["id"], format!("INC-{number}"));
        assert_eq!(
            (&found["needs_triage"], &found["basis"]),
            (&json!(true), &json!("rule"))
        );
        let (good, told) = daemon.verb(act);
        assert!(good, "{told}");
        assert_eq!(
            incident_of(&daemon, &host)["needs_triage"],
            json!(false),
            "{act:?}"
        );
    }
}

#[test]
fn wrong_rules_are_told_by_check_with_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("bad.toml");
    let text = "[[rule]]\nname = \"odd\"\nmatch = [\"host\", \"site=~(\"]\ntags = [\"two words\"]\n\
                hold = \"soon\"\n[[rule]]\nname = \"worse\"\nseverity = \"S9\"\n";
    std::fs::write(&config, configuration(text)).unwrap();
    let run = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_alertbridge"));
        let output = command.arg("check").arg(&config).output().unwrap();
        let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.success(), told)
    };
    let (good, told) = run();
    assert!(
        !good && told.contains("bad.toml:8: rule.severity: unknown word `S9`"),
        "{told}"
    );
    std::fs::write(&config, configuration(&text.replace("S9", "S2"))).unwrap();
    let (good, told) = run();
    assert!(!good);
    for part in [
        "rule 1 `odd`: tags: `two words` is no tag",
        "rule 1 `odd`: match: `host` is not a matcher",
        "rule 1 `odd`: hold: `soon` is not a duration",
    ] {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
}
