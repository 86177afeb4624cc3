//! What becomes of a ticket that its tracker refuses: without the field that it names, else a dead
//! letter and a ticket by the next route, until the first one is there after all.
#![allow(clippy::unwrap_used, clippy::panic)]

mod daemon_support;
mod stand_in;

use daemon_support::{Daemon, until};
use serde_json::{Value, json};
use stand_in::{Asked, Said, said, serve};
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Server {
    refuse_all: bool,
    refuse_level: bool,
    asked: Vec<Value>,
    cases: Vec<Value>,
}

fn answer(server: &mut Server, asked: &Asked) -> Said {
    if asked.method != "POST" || asked.path != "/cases" {
        return said(200, json!({}));
    }
    server.asked.push(asked.body.clone());
    if server.refuse_all {
        return said(422, json!({ "error": "this form is closed" }));
    }
    let level = asked.body["level"].as_str().unwrap_or_default();
    if server.refuse_level && !level.is_empty() {
        return said(
            422,
            json!({ "errors": { "priority": ["is not on the screen"] } }),
        );
    }
    server.cases.push(asked.body.clone());
    said(201, json!({ "no": server.cases.len() }))
}

const TRACKER: &str = r#"
kind = "http"
creates_once = true
settle_seconds = 0
[tracker.cases.open]
method = "POST"
path = "/cases"
body = '{"title": {{ subject | tojson }}, "text": {{ body | tojson }}, "by": {{ requestor | tojson }}, "level": {{ severity | tojson }}}'
[tracker.cases.change]
method = "PATCH"
path = "/cases/{{ id | path }}"
body = '{"state": {{ status | tojson }}}'
[tracker.cases.answer]
id = "/no"
[[route]]
name = "first"
tracker = "cases"
requestor = "noc+{{ category }}@example.net"
original = "link"
"#;

async fn started(server: &Arc<Mutex<Server>>, dir: &std::path::Path) -> Daemon {
    let address = serve(server.clone(), answer).await;
    let config = format!(
        "[operators]\nlisten = \"127.0.0.1:0\"\nurl = \"https://noc.example.net/\"\n\
         [tracker.cases]\nurl = \"http://{address}\"\n{TRACKER}"
    );
    let daemon = Daemon::start_with(dir, &config, &[]);
    let event = json!({
        "dedup_key": "a", "summary": "a is odd", "host": "a", "severity": "critical",
        "state": "firing",
    });
    assert_eq!(daemon.post(&event).unwrap(), 202);
    daemon
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_field_is_left_out() {
    let server = Arc::new(Mutex::new(Server {
        refuse_level: true,
        ..Server::default()
    }));
    let dir = tempfile::tempdir().unwrap();
    let daemon = started(&server, dir.path()).await;
    until("the case", || !server.lock().unwrap().cases.is_empty());
    let case = server.lock().unwrap().cases[0].clone();
    assert_eq!(case["level"].as_str().unwrap_or_default(), "");
    assert_eq!(case["by"], "noc+incident@example.net");
    assert_ne!(server.lock().unwrap().asked[0]["level"], "");
    // The alert as it was received is a link away.
    let text = case["text"].as_str().unwrap();
    assert!(
        text.contains("https://noc.example.net/api/v1/alerts/A-1/original"),
        "{text}"
    );
    let (status, original) = daemon
        .ask("operators", "GET", "/api/v1/alerts/A-1/original", "")
        .unwrap();
    assert!(status == 200 && original.contains("a is odd"), "{original}");
    until("nothing waits", || {
        daemon.verb(&["outbox", "show", "--json"]).1.trim() == "[]"
    });
    assert!(daemon.tickets().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_has_a_stand_in_until_it_is_written() {
    let server = Arc::new(Mutex::new(Server {
        refuse_all: true,
        ..Server::default()
    }));
    let dir = tempfile::tempdir().unwrap();
    let daemon = started(&server, dir.path()).await;
    let tickets = daemon.until("the stand-in at the desk", |tickets| !tickets.is_empty());
    assert_eq!(tickets[0]["status"], "new");
    let listed = || daemon.verb(&["outbox", "show", "--json"]).1;
    until("the dead letter", || {
        listed().contains("this form is closed")
    });
    let rows: Value = serde_json::from_str(&listed()).unwrap();
    server.lock().unwrap().refuse_all = false;
    let (good, told) = daemon.verb(&["outbox", "retry", rows[0]["id"].as_str().unwrap()]);
    assert!(good, "{told}");
    until("the case", || !server.lock().unwrap().cases.is_empty());
    // One is left: the stand-in is closed, and the incident goes on.
    daemon.until("the end of the stand-in", |tickets| {
        tickets.len() == 1 && tickets[0]["status"] == "resolved"
    });
    let (_, shown) = daemon.verb(&["incidents", "INC-1"]);
    assert!(shown.contains("open"), "{shown}");
    assert_eq!(server.lock().unwrap().cases.len(), 1);
}
