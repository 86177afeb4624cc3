//! Routes choose by host and label, and give a ticket its type, requestor, watchers, fields,
//! subject and text; what is sensitive is in none of them; `check` refuses what cannot be.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod daemon_support;
mod stand_in;

use daemon_support::{Daemon, until};
use serde_json::{Value, json};
use stand_in::{Asked, Said, said, serve};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

fn answer(cases: &mut Vec<Value>, asked: &Asked) -> Said {
    if asked.method == "POST" && asked.path == "/cases" {
        cases.push(asked.body.clone());
        return said(201, json!({ "no": cases.len() }));
    }
    said(200, json!({}))
}

const TRACKER: &str = r#"
kind = "http"
creates_once = true
settle_seconds = 0
[tracker.cases.open]
method = "POST"
path = "/cases"
body = '{"title": {{ subject | tojson }}, "text": {{ body | tojson }}, "by": {{ requestor | tojson }}, "type": {{ kind | tojson }}, "watchers": {{ watchers | tojson }}, "fields": {{ fields | tojson }}, "queue": {{ queue | tojson }}}'
[tracker.cases.change]
method = "PATCH"
path = "/cases/{{ id | path }}"
body = '{"state": {{ status | tojson }}}'
[tracker.cases.answer]
id = "/no"
"#;

const ROUTES: &str = r#"
[[route]]
name = "closed"
match = ["labels.team=payroll"]
tracker = "cases"
queue = "closed"
sensitive = true
type = "{{ category }}"
requestor = "{{ host }}@example.net"
watchers = ["{{ host }}@example.net", "duty@example.net"]
fields = { Host = "{{ host }}", Origin = "alertbridge" }
subject = "{{ title }}"
body = "{{ title }}"
[[route]]
name = "databases"
match = ["host~db-*"]
tracker = "cases"
queue = "databases"
language = "ja"
type = "Incident"
requestor = "noc+{{ labels.team }}@example.net"
watchers = ["{{ labels.owner }}@example.net", "{{ labels.nobody }}"]
fields = { Host = "{{ host }}", Rack = "{{ labels.rack }}", Level = "{{ severity or 'none' }}" }
subject = "[{{ severity or 'S?' }}] {{ host }}: {{ summary }}"
[[route]]
name = "rest"
tracker = "cases"
language = "fr"
body_file = "rest.txt"
"#;

fn event(key: &str, host: &str, labels: &Value) -> Value {
    json!({
        "dedup_key": key, "summary": format!("{{{{ 7 * 7 }}}} {key} is odd"), "host": host,
        "site": format!("site-{key}"), "severity": "critical", "state": "firing", "labels": labels,
    })
}

fn configuration(dir: &Path, url: &str, routes: &str) -> String {
    std::fs::write(dir.join("key"), "07".repeat(32)).unwrap();
    std::fs::write(
        dir.join("rest.txt"),
        "{{ number }} à {{ site }}\n{% for alert in alerts %}\n> {{ alert.summary }}\n{% endfor %}\n",
    )
    .unwrap();
    format!(
        "[[sealing.key]]\nid = 1\nkey = {{ file = \"key\" }}\n\
         [tracker.cases]\nurl = \"{url}\"\n{TRACKER}{routes}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_given_what_its_route_says_and_nothing_that_is_sensitive() {
    let cases = Arc::new(Mutex::new(Vec::new()));
    let address = serve(cases.clone(), answer).await;
    let dir = tempfile::tempdir().unwrap();
    let text = configuration(dir.path(), &format!("http://{address}"), ROUTES);
    let daemon = Daemon::start_with(dir.path(), &text, &[]);
    let labels = json!({ "team": "db", "rack": "r7\nx", "owner": "ana" });
    for event in [
        event("a", "db-1", &labels),
        event("b", "zanzibar", &json!({ "team": "payroll" })),
        event("c", "web-1", &json!({ "team": "web" })),
    ] {
        assert_eq!(daemon.post(&event).unwrap(), 202);
        let before = cases.lock().unwrap().len();
        until("its case", || cases.lock().unwrap().len() > before);
    }
    let cases = cases.lock().unwrap().clone();
    let [database, closed, rest] = cases.as_slice() else {
        panic!("{cases:#?}");
    };
    assert_eq!(database["queue"], "databases");
    assert_eq!(database["type"], "Incident");
    assert_eq!(database["by"], "noc+db@example.net");
    // An empty name is nobody.
    assert_eq!(database["watchers"], json!(["ana@example.net"]));
    assert_eq!(database["fields"]["Host"], "db-1");
    assert_eq!(database["fields"]["Rack"], "r7 x");
    let title = database["title"].as_str().unwrap();
    assert!(title.ends_with("db-1: {{ 7 * 7 }} a is odd"), "{title}");
    let text = database["text"].as_str().unwrap();
    assert!(text.contains("アラート（1件）"), "{text}");
    assert!(
        text.contains("\n> A-1 発生中 {{ 7 * 7 }} a is odd"),
        "{text}"
    );

    // Of what is sensitive only those stand that name nothing of it.
    assert!(!closed.to_string().contains("zanzibar"), "{closed}");
    assert_eq!(closed["queue"], "closed");
    assert_eq!(closed["by"], "");
    assert_eq!(closed["watchers"], json!(["duty@example.net"]));
    assert_eq!(closed["fields"], json!({ "Origin": "alertbridge" }));
    assert_eq!(closed["type"], "");

    assert_eq!(rest["queue"], "");
    let text = rest["text"].as_str().unwrap();
    assert_eq!(text.trim_end(), "INC-3 à site-c\n> {{ 7 * 7 }} c is odd");
}

const TWO: &str = r#"
[[route]]
name = "urgent"
match = ["severity=S1"]
tracker = "cases"
queue = "urgent"
[[route]]
name = "network"
continue = true
tracker = "cases"
queue = "network"
[[route]]
name = "copy"
tracker = "desk"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_incident_goes_to_several_trackers() {
    let cases = Arc::new(Mutex::new(Vec::new()));
    let address = serve(cases.clone(), answer).await;
    let dir = tempfile::tempdir().unwrap();
    let text = configuration(dir.path(), &format!("http://{address}"), TWO);
    let daemon = Daemon::start_with(dir.path(), &text, &[]);
    assert_eq!(daemon.post(&event("a", "db-1", &json!({}))).unwrap(), 202);
    until("its case", || !cases.lock().unwrap().is_empty());
    daemon.until("its ticket at the desk", |tickets| tickets.len() == 1);
    // Another route would take it by now, and ends the list before the others.
    let (good, told) = daemon.verb(&["severity", "INC-1", "S1", "customers call"]);
    assert!(good, "{told}");
    let (good, told) = daemon.verb(&["resolve", "INC-1", "it is over"]);
    assert!(good, "{told}");
    daemon.until("the end at the desk", |tickets| {
        tickets.len() == 1 && tickets[0]["status"] == "resolved"
    });
    until("nothing waits", || {
        daemon.verb(&["outbox", "show", "--json"]).1.trim() == "[]"
    });
    let cases = cases.lock().unwrap();
    assert_eq!(cases.len(), 1, "{cases:#?}");
    assert_eq!(cases[0]["queue"], "network");
}

#[test]
fn what_cannot_be_is_refused_before_it_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = r#"
[[route]]
name = "a"
match = ["hots=db-1"]
tracker = "cases"
[[route]]
name = "b"
tracker = "cases"
subject = "{{ titel }}"
watchers = ["{{ account"]
language = "de"
[[route]]
name = "c"
tracker = "hub"
queue = "noc"
type = "Incident"
fields = { Site = "x" }
watchers = ["ana"]
requestor = "ana"
[[route]]
name = "d"
body_file = "nowhere.txt"
[tracker.hub]
kind = "github"
repository = "a/b"
token = { file = "key" }
"#;
    let text = configuration(dir.path(), "http://127.0.0.1:9", wrong);
    let file = dir.path().join("config.toml");
    std::fs::write(&file, text).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_alertbridge"))
        .args(["check"])
        .arg(&file)
        .output()
        .unwrap();
    assert!(!output.status.success());
    let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    for part in [
        "`hots` is nothing that a route can ask for",
        "a ticket has no `titel`",
        "watchers.1: ",
        "`de` is not known",
        "queue: tracker `hub` has nothing like it",
        "type: tracker `hub` has nothing like it",
        "fields: tracker `hub` has nothing like it",
        "watchers: tracker `hub` has nothing like it",
        "requestor: tracker `hub` has nothing like it",
        "nowhere.txt cannot be read",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}
