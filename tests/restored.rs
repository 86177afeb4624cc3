//! A backup is older than the trackers: what came after it is found before delivery goes on, and no
//! problem gets a second ticket.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod daemon_support;
mod stand_in;

use daemon_support::{Daemon, until};
use serde_json::{Value, json};
use stand_in::{Asked, Said, cases, said, serve};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

/// A tracker: its cases, and whether it answers.
#[derive(Default)]
struct Server {
    cases: Vec<Value>,
    busy: bool,
}

fn answer(server: &mut Server, asked: &Asked) -> Said {
    if server.busy {
        return said(503, json!({}));
    }
    cases::answer(&mut server.cases, asked)
}

fn config(url: &str) -> String {
    format!(
        r#"
[tracker.cases]
kind = "http"
settle_seconds = 0
url = "{url}"
[tracker.cases.open]
method = "POST"
path = "/cases"
body = '{{"key": {{{{ key | tojson }}}}, "subject": {{{{ subject | tojson }}}}, "status": {{{{ status | tojson }}}}}}'
[tracker.cases.change]
method = "PATCH"
path = "/cases/{{{{ id | path }}}}"
body = '{{"subject": {{{{ subject | tojson }}}}, "status": {{{{ status | tojson }}}}}}'
[tracker.cases.find]
method = "GET"
path = "/cases?key={{{{ key | path }}}}"
[tracker.cases.read]
method = "GET"
path = "/cases/{{{{ id | path }}}}"
[tracker.cases.answer]
notes = "/log"
[[route]]
name = "noc"
tracker = "cases"
"#
    )
}

fn event(host: &str, state: &str) -> Value {
    json!({ "state": state, "summary": format!("{host} is down"), "host": host, "site": host,
            "check": "ping", "severity_hint": "outage" })
}

/// Runs a verb on a data directory: whether it went well, and what it printed.
fn verb(data: &Path, words: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_alertbridge"))
        .args(words)
        .arg("--data-dir")
        .arg(data)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_after_the_backup_is_shown_and_gets_no_second_ticket() {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), answer).await;
    let subjects = || -> Vec<String> {
        let server = server.lock().unwrap();
        let told = server.cases.iter().map(|case| case["subject"].to_string());
        told.collect()
    };
    let config = config(&format!("http://{address}"));
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("copy");
    let (first, second) = (dir.path().join("first"), dir.path().join("second"));
    std::fs::create_dir_all(&first).unwrap();
    std::fs::create_dir_all(&second).unwrap();

    let daemon = Daemon::start_with(&first, &config, &[]);
    daemon.post(&event("a", "problem")).unwrap();
    until("the first ticket", || subjects().len() == 1);
    server.lock().unwrap().busy = true;
    daemon.post(&event("b", "problem")).unwrap();
    until("the second waits", || {
        daemon.verb(&["outbox", "show"]).1.contains("cases")
    });
    let (good, told) = verb(&first.join("data"), &["backup", copy.to_str().unwrap()]);
    assert!(good, "{told}");
    server.lock().unwrap().busy = false;
    daemon.post(&event("c", "problem")).unwrap();
    daemon.post(&event("a", "recovery")).unwrap();
    until("what came after the backup is written", || {
        let server = server.lock().unwrap();
        server.cases.len() == 3 && server.cases[0]["status"] == "resolved"
    });
    daemon.kill();

    let data = second.join("data");
    let (good, told) = verb(&data, &["restore", copy.to_str().unwrap()]);
    assert!(good && told.contains("trackers compare"), "{told}");
    let daemon = Daemon::start_with(&second, &config, &[]);
    let file = second.join("config.toml");
    let compare = ["trackers", "compare", "--config", file.to_str().unwrap()];
    let (good, told) = verb(&data, &compare);
    assert!(
        !good && told.contains("2 tickets compared, 3 to look at"),
        "{told}"
    );
    let line = |subject: &str| {
        let mut lines = told.lines();
        lines
            .find(|line| line.contains(subject))
            .unwrap()
            .to_owned()
    };
    assert!(line("a is down").contains("INC-1 is open here"), "{told}");
    assert!(line("b is down").contains("it is T-2 of INC-2"), "{told}");
    let since = line("c is down");
    assert!(since.contains("opened after the backup"), "{told}");
    let key = since.split(' ').nth(1).unwrap();

    // The monitor says it again; the ticket that is there becomes its ticket, while delivery is held.
    daemon.post(&event("c", "problem")).unwrap();
    until("the problem is here again", || {
        daemon.verb(&["incidents"]).1.contains("c is down")
    });
    let adopt = ["adopt", "INC-3", "--tracker", "cases", "--key", key];
    let (good, told) = daemon.verb(&adopt);
    assert!(good, "{told}");
    let (good, told) = daemon.verb(&["resolve", "INC-1"]);
    assert!(good, "{told}");
    let (good, told) = verb(&data, &["restore", "--release"]);
    assert!(good, "{told}");
    until("nothing waits", || {
        let (_, told) = daemon.verb(&["outbox", "show", "--json"]);
        serde_json::from_str::<Value>(&told).is_ok_and(|waiting| waiting == json!([]))
    });
    assert_eq!(subjects().len(), 3, "{:?}", subjects());
    let (good, told) = verb(&data, &compare);
    assert!(told.contains("opened after the backup") && !good, "{told}");
    assert!(told.contains("1 to look at"), "{told}");
}
