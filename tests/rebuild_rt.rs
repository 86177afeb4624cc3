//! The data directory is gone, the real Request Tracker is there: the verb takes over what was open,
//! and the monitor's next word joins its ticket.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod daemon_support;
mod tracker_contract;

use daemon_support::{Daemon, until};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};
use tracker_contract::{fresh_key, ready, real_rt};

fn config(dir: &Path, url: &str, token: &str) -> String {
    std::fs::write(dir.join("token"), token).unwrap();
    let policies = format!(
        "{}/config/policies/three-level.toml",
        env!("CARGO_MANIFEST_DIR")
    );
    format!(
        "sla = [\"{policies}\"]\ndefault_contract = \"standard\"\n\
         [contract.standard]\npolicy = \"three-level\"\n\
         [tracker.rt]\nkind = \"rt\"\nurl = \"{url}\"\nqueue = \"Monitoring\"\n\
         token = {{ file = \"token\" }}\nsettle_seconds = 2\npoll_seconds = 2\n\
         [[route]]\nname = \"own\"\nmatch = [\"source=alertbridge\"]\ntracker = \"desk\"\n\
         [[route]]\nname = \"rt\"\ntracker = \"rt\"\n"
    )
}

fn event(key: &str, state: &str) -> Value {
    json!({
        "dedup_key": key, "state": state, "severity_hint": "outage", "host": key, "check": "ping",
        "summary": format!("{key} is down"), "site": format!("site-{key}"),
    })
}

fn restore(dir: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_alertbridge"))
        .args(["restore", "--from-trackers", "--config"])
        .arg(dir.join("config.toml"))
        .arg("--data-dir")
        .arg(dir.join("data"))
        .args(more)
        .output()
        .unwrap()
}

fn incidents(daemon: &Daemon) -> Vec<Value> {
    let path = "/api/v1/incidents?state=open";
    let (_, body) = daemon.ask("operators", "GET", path, "").unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    body["incidents"].as_array().unwrap().clone()
}

fn about(daemon: &Daemon, key: &str) -> Option<Value> {
    let all = incidents(daemon).into_iter();
    let mut own = all.filter(|i| i["title"].as_str().is_some_and(|title| title.contains(key)));
    own.next()
}

async fn tickets(url: &str, token: &str, key: &str) -> Vec<String> {
    let query = format!("Subject LIKE '{key} is down'");
    let asked = reqwest::Client::new()
        .get(format!("{url}/REST/2.0/tickets"))
        .query(&[("query", query.as_str()), ("fields", "Status")])
        .header("Authorization", format!("token {token}"));
    let answer: Value = asked.send().await.unwrap().json().await.unwrap();
    let items = answer["items"].as_array().unwrap().iter();
    items
        .map(|item| item["Status"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_store_comes_back_out_of_request_tracker() {
    ready();
    let Some((url, token)) = real_rt("a lost store before RT") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path(), &url, &token);
    let key = fresh_key().replacen("ab-", "lost-", 1);
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    assert_eq!(daemon.post(&event(&key, "problem")).unwrap(), 202);
    let ticketed = |daemon: &Daemon| {
        let incident = about(daemon, &key)?;
        let number = incident["tickets"][0]["key"].as_str()?.to_owned();
        (!number.is_empty()).then_some((incident["id"].clone(), number))
    };
    until("its ticket is there", || ticketed(&daemon).is_some());
    let (id, number) = ticketed(&daemon).unwrap();
    let running = restore(dir.path(), &["--installation", "none"]);
    assert!(
        running.status.success(),
        "nothing is asked of the store: {running:?}"
    );
    daemon.kill();
    std::fs::remove_dir_all(dir.path().join("data")).unwrap();

    let listed = restore(dir.path(), &["--dry-run"]);
    let text = String::from_utf8(listed.stdout).unwrap();
    let line = text.lines().find(|line| line.contains(&key)).unwrap();
    assert!(line.contains(&number), "{text}");
    assert!(line.contains(id.as_str().unwrap()), "{text}");
    assert!(!dir.path().join("data").exists(), "nothing was changed");
    // Other tests write to the same tracker: theirs are another installation's.
    let columns: Vec<&str> = line.split_whitespace().collect();
    let installation = columns[5];
    let done = restore(dir.path(), &["--installation", installation]);
    assert!(done.status.success(), "{done:?}");

    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    until("it is taken over", || ticketed(&daemon).is_some());
    let incident = about(&daemon, &key).unwrap();
    assert_eq!(
        (incident["id"].clone(), ticketed(&daemon).unwrap().1),
        (id, number)
    );
    assert_eq!(incident["cases"][0]["approximate"], json!(true));
    assert_eq!(incident["alerts"][0]["state"], json!("stale"));
    let lost = "store was lost";
    assert!(about(&daemon, lost).is_some(), "somebody has to look");
    // Still firing: it joins, and nothing is opened a second time.
    assert_eq!(daemon.post(&event(&key, "problem")).unwrap(), 202);
    until("it is heard again", || {
        about(&daemon, &key).unwrap()["alerts"][0]["state"] == json!("firing")
    });
    assert_eq!(tickets(&url, &token, &key).await.len(), 1);
    assert_eq!(daemon.post(&event(&key, "recovery")).unwrap(), 202);
    until("it is over", || about(&daemon, &key).is_none());
    for _ in 0..100 {
        if tickets(&url, &token, &key).await == ["resolved"] {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    assert_eq!(tickets(&url, &token, &key).await, ["resolved"]);
    daemon.kill();
}
