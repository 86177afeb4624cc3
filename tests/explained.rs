//! The reason for each severity, as people get it: `explain` for incidents, tickets, alerts and
//! events, the ticket itself, `whatif` and `replay`, through a daemon and the real program.
#![allow(clippy::unwrap_used, clippy::panic)]

mod daemon_support;

use daemon_support::{Daemon, configuration, until_within};
use serde_json::{Value, json};
use std::path::Path;

const INVENTORY: &str = r#"
[[element]]
id = "core-1"
aliases = ["core-1.example.net", "192.0.2.1"]
depends_on = ["psu@core-1"]
[[element]]
id = "psu1@core-1"
part_of = "core-1"
[[element]]
id = "psu2@core-1"
part_of = "core-1"
[[element]]
id = "gw"
watchers = ["here", "there"]
quorum = 2
[[group]]
id = "psu@core-1"
members = ["psu1@core-1", "psu2@core-1"]
needs = 1
[[service]]
id = "transit"
depends_on = ["core-1"]
accounts = ["acme", "globex"]
[[service]]
id = "vpn"
depends_on = ["gw"]
accounts = ["acme"]
[[account]]
id = "acme"
[[account]]
id = "globex"
"#;

const RULES: &str = r#"
[[source]]
name = "here"
kind = "native"
[[source]]
name = "there"
kind = "native"
[[rule]]
name = "fans"
match = ["host~core-*", "component=~fan.*"]
hint = "degradation"
[[rule]]
name = "supplies"
match = ["component=~psu.*"]
hint = "redundancy"
[engine]
hold_redundancy = "0s"
root_wait = "0s"
"#;

fn supply(part: &str, state: &str) -> Value {
    json!({ "state": state, "summary": format!("{part} failed"), "host": "core-1.example.net",
            "component": part, "check": "power", "severity": "major" })
}

fn api(daemon: &Daemon, path: &str) -> Value {
    let (status, body) = daemon.ask("operators", "GET", path, "").unwrap();
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

fn explain(daemon: &Daemon, id: &str) -> String {
    let (good, told) = daemon.verb(&["explain", id]);
    assert!(good, "{id}: {told}");
    told
}

fn holds(told: &str, parts: &[&str]) {
    for part in parts {
        assert!(told.contains(part), "{part} is missing in\n{told}");
    }
}

fn until(what: &str, is_true: impl FnMut() -> bool) {
    until_within(60, what, is_true);
}

fn start(dir: &Path) -> Daemon {
    std::fs::write(dir.join("inventory.toml"), INVENTORY).unwrap();
    let config = format!("inventory = [\"inventory.toml\"]\n{RULES}");
    Daemon::start_with(dir, &config, &[])
}

/// One supply fails, and then the other: an S4 that becomes an S1 on one ticket.
fn both_supplies(daemon: &Daemon) {
    daemon.post(&supply("psu1", "problem")).unwrap();
    let tickets = daemon.until("an S4", |tickets| tickets.len() == 1);
    let body = tickets[0]["body"].as_str().unwrap();
    holds(
        body,
        &[
            "Severity: S4 (inventory)\n",
            "Reason: psu@core-1: 1 of 2 working, needs 1: redundancy lost. \
             1 service(s) at risk (transit), 2 customer(s).\n",
            "Next failure: then S1: 1 service(s), 2 customer(s): transit; acme, globex\n",
        ],
    );
    daemon.post(&supply("psu2", "problem")).unwrap();
    daemon.until("an S1 on the same ticket", |tickets| {
        tickets.len() == 1 && tickets[0]["severity"] == "S1"
    });
}

#[test]
fn the_whole_chain_is_told_for_an_incident_its_ticket_its_alerts_and_their_events() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = start(dir.path());
    both_supplies(&daemon);
    let told = explain(&daemon, "INC-1");
    holds(
        &told,
        &[
            "INC-1 is S1 (impact), open, by inventory: ",
            // The event as received, identity and why, rules that matched and that nearly did.
            "by source native (native): state firing, severity word `major`, 1 time(s)",
            "- Identity: the object `core-1.example.net|psu1|power` within `native`, as the sender \
             names no id of its own.",
            "- Rule 1 `fans` nearly: component is `psu1`, not like `fan.*`.",
            "- Rule 2 `supplies` matched: sets hint redundancy.",
            "- Means: redundancy.",
            // Elements and the arithmetic of their groups; how old the inventory is.
            "is element psu1@core-1.",
            "2 element(s) have failed now (inventory: inventory.toml of 2",
            "psu1@core-1: down\n    - psu@core-1: 0 of 2 working, needs 1: down.",
            // Services and accounts.
            "- 1 service(s): transit",
            "- 2 account(s), 2 customer(s): acme, globex",
            // Each change of severity with its time and cause.
            "S4 from 2",
            "S1 from 2",
            " worsened (input ",
            "S4 → S1: psu@core-1: 0 of 2 working, needs 1: down. 1 service(s) down (transit), 2 \
             customer(s).",
        ],
    );
    // The same by its ticket, ours and the tracker's number, and from the API as text and tree.
    until("the tracker's number is known", || {
        daemon.verb(&["explain", "desk:1"]).0
    });
    let told = explain(&daemon, "INC-1");
    for id in ["T-1", "desk:1", "1"] {
        assert_eq!(explain(&daemon, id), told);
    }
    let answer = api(&daemon, "/api/v1/explain/INC-1");
    assert_eq!(answer["text"].as_str().unwrap().trim_end(), told.trim_end());
    let head = answer["tree"]["text"].as_str().unwrap();
    assert!(told.starts_with(head), "{head}");
    assert!(answer["tree"]["because"].as_array().unwrap().len() >= 4);

    // One alert, and the event that it came from.
    let alert = explain(&daemon, "A-2");
    holds(
        &alert,
        &["A-2 firing since 2", "psu2 failed", "`supplies` matched"],
    );
    // What its incident makes of it stands beneath, for the alert and for the event.
    let chain = [
        "- INC-1 is S1 (impact), open, by inventory: ",
        "- 1 service(s): transit",
        " worsened (input ",
    ];
    holds(&alert, &chain);
    let place = alert.split("Event ").nth(1).unwrap();
    let place = place.split(' ').next().unwrap();
    holds(&explain(&daemon, place), &chain);
    holds(
        &explain(&daemon, place),
        &[
            &format!("Event {place} at 2"),
            "Rule 2 `supplies` matched: sets hint redundancy.",
            "It speaks of A-2 firing since",
            "It belongs to INC-1.",
        ],
    );

    // The ticket has got the sentence of the change as a note.
    let noted = || api(&daemon, "/api/v1/desk/tickets/1")["comments"].to_string();
    until("the change is noted", || {
        noted().contains("S4 → S1: psu@core-1: 0 of 2 working, needs 1: down.")
    });
}

#[test]
fn holds_silences_windows_and_contradictions_stand_in_the_explanation() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = start(dir.path());
    let words = ["silence", "add", "host=lab-1", "--reason", "being rebuilt"];
    let (good, told) = daemon.verb(&words);
    assert!(good, "{told}");
    let until_then = "2100-01-01T00:00:00Z";
    let words = [
        "window",
        "add",
        "host=lab-2",
        "--reason",
        "new disks",
        "--until",
        until_then,
    ];
    let (good, told) = daemon.verb(&words);
    assert!(good, "{told}");
    let said = |source: &str, host: &str, state: &str| {
        let event = json!({ "state": state, "summary": format!("{host} is down"), "host": host,
                            "check": "ping", "severity_hint": "outage" });
        let path = format!("/hooks/{source}");
        let (status, told) = daemon
            .ask("http", "POST", &path, &event.to_string())
            .unwrap();
        assert!(status < 300, "{told}");
    };
    said("here", "lab-1", "problem");
    until("it is silenced", || daemon.verb(&["explain", "INC-1"]).0);
    holds(
        &explain(&daemon, "INC-1"),
        &[
            "Holds, silences and windows",
            "being rebuilt",
            "No ticket before 2",
        ],
    );
    said("here", "lab-2", "problem");
    until("it is in the window", || {
        daemon.verb(&["explain", "INC-2"]).0
    });
    holds(
        &explain(&daemon, "INC-2"),
        &[
            "maintenance (input ",
            "Inside MW-1: new disks (until 2100-01-01T00:00:00Z).",
        ],
    );
    // The other watcher is fresh and says nothing of it: the lone word is held.
    said("there", "elsewhere", "recovery");
    said("here", "gw", "problem");
    until("it is held", || daemon.verb(&["explain", "INC-3"]).0);
    holds(
        &explain(&daemon, "INC-3"),
        &[
            "Evidence for and against",
            "is contradicted.",
            "Unconfirmed: ",
        ],
    );
    said("there", "gw", "problem");
    daemon.until("both say so", |tickets| {
        tickets.len() == 1 && tickets[0]["severity"] == "S2"
    });
    holds(&explain(&daemon, "INC-3"), &[" confirmed (input "]);
}

#[test]
fn whatif_and_replay_say_it_before_it_happens() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = start(dir.path());
    let config = dir.path().join("config.toml");
    let config = config.to_str().unwrap();
    let (good, told) = daemon.verb(&["whatif", "down", "psu1@core-1", "--config", config]);
    assert!(good, "{told}");
    holds(
        &told,
        &[
            "S4 (incident)",
            "psu@core-1: 1 of 2 working, needs 1: redundancy lost.",
            "services: transit",
            "accounts: acme, globex",
            "next failure: then S1: 1 service(s), 2 customer(s): transit; acme, globex",
        ],
    );
    let words = ["whatif", "down", "192.0.2.1", "--json", "--config", config];
    let (good, told) = daemon.verb(&words);
    assert!(good, "{told}");
    let whole: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        (&whole["severity"], &whole["customers"]),
        (&json!("S1"), &json!(2))
    );
    let (good, told) = daemon.verb(&["whatif", "down", "nobody", "--config", config]);
    assert!(
        !good && told.contains("`nobody` is not in the inventory"),
        "{told}"
    );

    // The same night with both supplies needed: the first failure would have been the outage.
    both_supplies(&daemon);
    let needy = INVENTORY.replace("needs = 1", "needs = 2");
    std::fs::write(dir.path().join("needy.toml"), needy).unwrap();
    let new = dir.path().join("new.toml");
    let text = configuration(&format!("inventory = [\"needy.toml\"]\n{RULES}"));
    std::fs::write(&new, text).unwrap();
    let replay = |config: &str, span: [&str; 2]| {
        let [from, to] = span;
        let words = ["replay", "--config", config, "--from", from, "--to", to];
        let (good, told) = daemon.verb(&words);
        assert!(good, "{told}");
        told
    };
    let all = ["2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z"];
    let told = replay(config, all);
    assert!(told.starts_with("0 of 1 incidents with a ticket"), "{told}");
    let told = replay(new.to_str().unwrap(), all);
    holds(
        &told,
        &[
            "1 of 1 incidents with a ticket would have been different",
            "severity: core-1.example.net: psu1 failed\n  was: INC-1 S1",
            // Both sides with their reasons: it would have been an S1 from the start.
            "psu@core-1: 0 of 2 working, needs 1: down.",
            "psu@core-1: 0 of 2 working, needs 2: down.",
            "S4 → S1",
        ],
    );
    let before = ["2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z"];
    let told = replay(new.to_str().unwrap(), before);
    assert!(told.starts_with("0 of 0 incidents"), "{told}");
}
