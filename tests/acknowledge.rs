//! A person's acknowledgement goes back to the monitors behind the sources: with a key, attempts,
//! unknown outcomes and dead letters like any ticket.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod daemon_support;
mod stand_in;

use daemon_support::{Daemon, until_within};
use serde_json::{Value, json};
use stand_in::{Asked, Said, empty, said, serve};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

fn until(what: &str, is_true: impl FnMut() -> bool) {
    until_within(40, what, is_true);
}

/// A webhook of Alertmanager with one alert.
fn webhook(status: &str) -> String {
    json!({
        "version": "4", "status": status, "receiver": "bridge", "groupKey": "k",
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "",
        "truncatedAlerts": 0,
        "alerts": [{
            "status": status,
            "labels": { "alertname": "DiskFull", "instance": "db\"1:9100", "severity": "critical" },
            "annotations": { "summary": "the disk is full" },
            "startsAt": "2026-06-01T10:00:00Z",
            "endsAt": if status == "resolved" { "2026-06-01T10:30:00Z" } else { "0001-01-01T00:00:00Z" },
            "generatorURL": "", "fingerprint": "f1",
        }],
    })
    .to_string()
}

fn post(daemon: &Daemon, path: &str, body: &str) {
    let (status, answer) = daemon.ask("http", "POST", path, body).unwrap();
    assert_eq!(status, 200, "{answer}");
}

/// Opens an incident by a webhook and acknowledges it.
fn acknowledged(daemon: &Daemon, path: &str, body: &str) {
    post(daemon, path, body);
    daemon.until("the ticket", |tickets| !tickets.is_empty());
    let (good, told) = daemon.verb(&["ack", "INC-1"]);
    assert!(good, "{told}");
}

#[derive(Default)]
struct Alertmanager {
    silences: Vec<Value>,
    posts: usize,
}

fn alertmanager(server: &mut Alertmanager, asked: &Asked) -> Said {
    match (asked.method.as_str(), asked.parts().as_slice()) {
        ("GET", ["api", "v2", "status"]) => said(200, json!({})),
        ("POST", ["api", "v2", "silences"]) => {
            server.posts += 1;
            let mut silence = asked.body.clone();
            let id = format!("s{}", server.silences.len() + 1);
            silence["id"] = json!(id);
            silence["status"] = json!({ "state": "active" });
            server.silences.push(silence);
            if server.posts == 1 {
                // Done, and said otherwise.
                return empty(500);
            }
            said(200, json!({ "silenceID": id }))
        }
        ("GET", ["api", "v2", "silences"]) => said(200, json!(server.silences)),
        ("GET", ["api", "v2", "alerts"]) => said(200, json!([{}])),
        ("DELETE", ["api", "v2", "silence", id]) => {
            let mut all = server.silences.iter_mut();
            match all.find(|silence| silence["id"] == *id) {
                Some(silence) => {
                    silence["status"]["state"] = json!("expired");
                    empty(200)
                }
                None => empty(404),
            }
        }
        _ => empty(404),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_is_made_once_over_the_alerts_labels_and_ends_with_it() {
    let server = Arc::new(Mutex::new(Alertmanager::default()));
    let address = serve(server.clone(), alertmanager).await;
    let dir = tempfile::tempdir().unwrap();
    let config = format!(
        "[[source]]\nname = \"am\"\nkind = \"alertmanager\"\n\
         acknowledge = {{ kind = \"alertmanager\", url = \"http://{address}/\", for = \"2h\" }}\n"
    );
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    acknowledged(&daemon, "/hooks/am", &webhook("firing"));
    // The first answer was a lie: the silence is looked for by its key, and not made again.
    until("the silence is known", || {
        let (_, shown) = daemon.verb(&["explain", "INC-1"]);
        let (_, outbox) = daemon.verb(&["outbox", "show", "--json"]);
        !shown.is_empty() && outbox.trim() == "[]"
    });
    let silences = server.lock().unwrap().silences.clone();
    assert_eq!(silences.len(), 1, "{silences:#?}");
    let comment = silences[0]["comment"].as_str().unwrap();
    assert!(
        comment.contains("INC-1") && comment.contains("[ab-"),
        "{comment}"
    );
    let mut matchers: Vec<String> = silences[0]["matchers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| {
            format!(
                "{}={}",
                m["name"].as_str().unwrap(),
                m["value"].as_str().unwrap()
            )
        })
        .collect();
    matchers.sort();
    assert_eq!(
        matchers,
        [
            "alertname=DiskFull",
            "instance=db\"1:9100",
            "severity=critical"
        ]
    );
    // Nobody takes it for a ticket of the incident.
    let (_, shown) = daemon
        .ask("operators", "GET", "/api/v1/incidents/INC-1", "")
        .unwrap();
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["tickets"].as_array().unwrap().len(), 1);
    // The next firing must be heard.
    post(&daemon, "/hooks/am", &webhook("resolved"));
    until("the end of the silence", || {
        server.lock().unwrap().silences[0]["status"]["state"] == "expired"
    });
}

/// What a monitor was asked, and how many calls it still refuses.
#[derive(Default)]
struct Calls {
    bodies: Vec<Value>,
    refuse: usize,
}

fn icinga(calls: &mut Calls, asked: &Asked) -> Said {
    if asked.path != "/v1/actions/acknowledge-problem" {
        return empty(404);
    }
    assert!(asked.header("authorization").starts_with("Basic "));
    if calls.refuse > 0 {
        calls.refuse -= 1;
        return empty(503);
    }
    calls.bodies.push(asked.body.clone());
    let status = "Service is already acknowledged.";
    said(
        409,
        json!({ "results": [{ "code": 409.0, "status": status }] }),
    )
}

fn zabbix(calls: &mut Calls, asked: &Asked) -> Said {
    assert_eq!(asked.header("authorization"), "Bearer t");
    calls.bodies.push(asked.body.clone());
    if calls.refuse > 0 {
        return said(
            200,
            json!({ "error": { "code": -32500, "data": "No permissions." } }),
        );
    }
    said(
        200,
        json!({ "result": { "eventids": [asked.body["params"]["eventids"][0]] } }),
    )
}

fn secret(dir: &Path) {
    std::fs::write(dir.join("secret"), "t").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn icinga_is_asked_again_and_takes_it_once() {
    let calls = Arc::new(Mutex::new(Calls {
        refuse: 1,
        ..Calls::default()
    }));
    let address = serve(calls.clone(), icinga).await;
    let dir = tempfile::tempdir().unwrap();
    secret(dir.path());
    let config = format!(
        "[[source]]\nname = \"ici\"\nkind = \"native\"\n[source.acknowledge]\nkind = \"icinga2\"\n\
         url = \"http://{address}/\"\nuser = \"bridge\"\npassword = {{ file = \"secret\" }}\n"
    );
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    let event = json!({
        "host": "db1", "check": "load", "component": "cpu", "summary": "load is high",
        "severity": "critical", "state": "firing",
    });
    acknowledged(&daemon, "/hooks/ici", &event.to_string());
    until("the acknowledgement", || {
        !calls.lock().unwrap().bodies.is_empty()
    });
    let body = calls.lock().unwrap().bodies[0].clone();
    assert_eq!(body["type"], "Service");
    assert_eq!(body["filter_vars"], json!({ "h": "db1", "s": "load" }));
    until("it is done", || {
        daemon.verb(&["outbox", "show", "--json"]).1.trim() == "[]"
    });
    assert_eq!(calls.lock().unwrap().bodies.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn zabbix_gets_its_event_id_and_a_refusal_is_a_dead_letter() {
    let calls = Arc::new(Mutex::new(Calls {
        refuse: 1,
        ..Calls::default()
    }));
    let address = serve(calls.clone(), zabbix).await;
    let dir = tempfile::tempdir().unwrap();
    secret(dir.path());
    let config = format!(
        "[[source]]\nname = \"zbx\"\nkind = \"native\"\n[source.acknowledge]\nkind = \"zabbix\"\n\
         url = \"http://{address}/\"\ntoken = {{ file = \"secret\" }}\n"
    );
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    let event = json!({
        "dedup_key": "4711", "host": "db1", "summary": "no space", "severity": "critical",
        "state": "firing",
    });
    acknowledged(&daemon, "/hooks/zbx", &event.to_string());
    let listed = || daemon.verb(&["outbox", "show", "--json"]).1;
    until("the dead letter", || listed().contains("No permissions"));
    let ticket = serde_json::from_str::<Value>(&listed()).unwrap()[0]["id"].clone();
    calls.lock().unwrap().refuse = 0;
    let (good, told) = daemon.verb(&["outbox", "retry", ticket.as_str().unwrap()]);
    assert!(good, "{told}");
    until("it is done", || listed().trim() == "[]");
    let calls = calls.lock().unwrap();
    let params = &calls.bodies.last().unwrap()["params"];
    assert_eq!(params["eventids"], json!(["4711"]));
    assert_eq!(params["action"], 6);
}

#[test]
fn nagios_reads_a_line_from_its_command_file() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("nagios.cmd");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let config = format!(
        "[[source]]\nname = \"nag\"\nkind = \"native\"\n[source.acknowledge]\nkind = \"nagios\"\n\
         command_file = {pipe:?}\n"
    );
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    let event = json!({
        "host": "db1", "check": "load", "component": "cpu", "summary": "load is high",
        "severity": "critical", "state": "firing",
    });
    acknowledged(&daemon, "/hooks/nag", &event.to_string());
    // Nobody reads yet: it waits, and goes out once somebody does.
    until("the trouble", || {
        daemon
            .verb(&["outbox", "show", "--json"])
            .1
            .contains("nagios.cmd")
    });
    let reader = std::thread::spawn(move || {
        let mut text = [0; 4096];
        let mut file = std::fs::File::open(pipe).unwrap();
        let length = file.read(&mut text).unwrap();
        String::from_utf8(text[..length].to_vec()).unwrap()
    });
    let line = reader.join().unwrap();
    assert!(
        line.contains("] ACKNOWLEDGE_SVC_PROBLEM;db1;load;1;0;0;alertbridge;"),
        "{line}"
    );
}

/// The real Alertmanager; ended when dropped.
struct Real(Child, String);

impl Drop for Real {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn real_alertmanager(dir: &Path, webhook: &str) -> Option<Real> {
    let config = dir.join("alertmanager.yml");
    let text = format!(
        "route:\n  receiver: bridge\n  group_wait: 0s\n  group_interval: 1s\n  repeat_interval: 1h\n\
         receivers:\n- name: bridge\n  webhook_configs:\n  - url: {webhook}\n"
    );
    std::fs::write(&config, text).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let address = format!("127.0.0.1:{port}");
    let child = Command::new("prometheus-alertmanager")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.path={}", dir.join("am").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--cluster.listen-address=")
        .stderr(std::fs::File::create(dir.join("am.log")).unwrap())
        .spawn();
    match child {
        Ok(child) => Some(Real(child, address)),
        Err(error) => {
            println!("not tested against the real Alertmanager: {error}");
            None
        }
    }
}

async fn of_real(address: &str, method: &str, path: &str, body: Value) -> Option<Value> {
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let url = format!("http://{address}{path}");
    let sent = reqwest::Client::new()
        .request(method, url)
        .json(&body)
        .send()
        .await;
    let text = sent.ok()?.text().await.ok()?;
    Some(serde_json::from_str(&text).unwrap_or(Value::Null))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_alertmanager_takes_the_silence_and_its_end() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let free = || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let port = free();
    let Some(real) = real_alertmanager(dir.path(), &format!("http://127.0.0.1:{port}/hooks/am"))
    else {
        return;
    };
    let address = real.1.clone();
    let config = format!(
        "[http]\nlisten = \"127.0.0.1:{port}\"\n[[source]]\nname = \"am\"\nkind = \"alertmanager\"\n\
         acknowledge = {{ kind = \"alertmanager\", url = \"http://{address}/\" }}\n"
    );
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    let alert = |ends: &str| {
        let labels =
            json!({ "alertname": "DiskFull", "instance": "db\"1 ä", "severity": "critical" });
        let mut alert = json!({ "labels": labels, "annotations": { "summary": "full" } });
        if !ends.is_empty() {
            alert["endsAt"] = json!(ends);
        }
        json!([alert])
    };
    let began = Instant::now();
    while of_real(&address, "POST", "/api/v2/alerts", alert(""))
        .await
        .is_none()
    {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "Alertmanager does not start"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    daemon.until("the ticket", |tickets| !tickets.is_empty());
    assert!(daemon.verb(&["ack", "INC-1"]).0);
    let state = async |wanted: &str| {
        let began = Instant::now();
        loop {
            let all = of_real(&address, "GET", "/api/v2/silences", Value::Null)
                .await
                .unwrap();
            if all[0]["status"]["state"] == wanted {
                return all;
            }
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "{wanted}: {all:#}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let all = state("active").await;
    assert_eq!(all.as_array().unwrap().len(), 1);
    let path = "/api/v2/alerts?active=false&silenced=true";
    let began = Instant::now();
    loop {
        let silenced = of_real(&address, "GET", path, Value::Null).await.unwrap();
        if silenced.as_array().is_some_and(|all| all.len() == 1) {
            break;
        }
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "the alert is not silenced: {silenced}"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // A person resolves it here: there it may speak again.
    assert!(daemon.verb(&["resolve", "INC-1", "cleaned up"]).0);
    state("expired").await;
}
