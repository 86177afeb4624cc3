//! Webhooks of trackers over a real socket: who may send them, what they bring about, and that late,
//! doubled and reordered ones undo nothing.
#![allow(clippy::unwrap_used, clippy::panic)]

mod daemon_support;
mod stand_in;

use base64::Engine as _;
use daemon_support::{Daemon, until_within};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha1::Sha1;
use sha2::Sha256;
use stand_in::{Asked, Said, empty, said, serve, stamp};
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SECRET: &str = "hook-secret";

/// A repository with one issue.
#[derive(Default)]
struct Repository {
    issue: Option<Value>,
    timeline: Vec<Value>,
    polls: usize,
}

fn github(repository: &mut Repository, asked: &Asked) -> Said {
    let parts = asked.parts();
    match (asked.method.as_str(), parts.as_slice()) {
        ("GET", ["user"]) => said(200, json!({ "login": "bridge" })),
        ("POST", ["repos", "o", "r", "issues"]) => {
            let issue = json!({
                "number": 1, "title": asked.body["title"], "state": "open", "html_url": "",
                "labels": asked.body["labels"].as_array().unwrap().iter()
                    .map(|name| json!({ "name": name })).collect::<Vec<_>>(),
                "created_at": stamp(), "updated_at": stamp(),
            });
            repository.issue = Some(issue.clone());
            said(201, issue)
        }
        ("GET", ["repos", "o", "r", "issues"]) => {
            repository.polls += 1;
            said(200, json!(repository.issue.iter().collect::<Vec<_>>()))
        }
        ("GET", [.., "timeline"]) => said(200, json!(repository.timeline)),
        ("GET", [.., "comments"]) => said(200, json!([])),
        ("GET", ["repos", "o", "r", "issues", "1"]) => said(200, json!(repository.issue)),
        ("PATCH" | "POST", _) => said(200, json!({})),
        _ => empty(404),
    }
}

fn hook(daemon: &Daemon, path: &str, headers: &[(&str, &str)], body: &str) -> u16 {
    let mut stream = daemon.connect("http").unwrap();
    let headers: String = headers
        .iter()
        .map(|(k, v)| format!("{k}: {v}\r\n"))
        .collect();
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

fn mac<M: Mac + KeyInit>(text: &str, secret: &str) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn signed(prefix: &str, secret: &str, body: &str) -> String {
    let bytes = mac::<Hmac<Sha256>>(body, secret);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{prefix}{hex}")
}

fn until(what: &str, is_true: impl FnMut() -> bool) {
    until_within(20, what, is_true);
}

fn state(daemon: &Daemon) -> String {
    let (_, body) = daemon
        .ask("operators", "GET", "/api/v1/incidents", "")
        .unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    body["incidents"][0]["state"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn ticket(daemon: &Daemon) -> Option<String> {
    let (_, body) = daemon
        .ask("operators", "GET", "/api/v1/incidents", "")
        .unwrap();
    let body: Value = serde_json::from_str(&body).unwrap();
    let key = body["incidents"][0]["tickets"][0]["key"].as_str();
    key.filter(|key| !key.is_empty()).map(str::to_owned)
}

fn trouble(daemon: &Daemon) {
    let event = json!({
        "dedup_key": "a", "summary": "a is down", "host": "a", "severity": "critical", "state": "firing",
    });
    assert_eq!(daemon.post(&event).unwrap(), 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_is_a_hint_to_read_the_tracker_now() {
    let repository = Arc::new(Mutex::new(Repository::default()));
    let address = serve(repository.clone(), github).await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token"), "t").unwrap();
    std::fs::write(dir.path().join("hook"), SECRET).unwrap();
    let config = format!(
        "[tracker.gh]\nkind = \"github\"\nurl = \"http://{address}/\"\nrepository = \"o/r\"\n\
         poll_seconds = 3600\ntoken = {{ file = \"token\" }}\nhook_secret = {{ file = \"hook\" }}\n\
         [[route]]\nname = \"all\"\ntracker = \"gh\"\n"
    );
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    until("the ticket", || {
        if ticket(&daemon).is_none() && state(&daemon).is_empty() {
            trouble(&daemon);
        }
        ticket(&daemon).is_some()
    });
    let body = |action: &str, number: u64| {
        json!({
            "action": action, "issue": { "number": number },
            "repository": { "full_name": "o/r" },
        })
        .to_string()
    };
    let send = |body: &str, id: &str, secret: &str| {
        let signature = signed("sha256=", secret, body);
        let headers = [
            ("X-Hub-Signature-256", signature.as_str()),
            ("X-GitHub-Delivery", id),
        ];
        hook(&daemon, "/hooks/trackers/gh", &headers, body)
    };
    // A person closes it there; the next poll would be in an hour.
    {
        let mut repository = repository.lock().unwrap();
        repository.issue.as_mut().unwrap()["state"] = json!("closed");
        repository.timeline.push(json!({
            "event": "closed", "id": 5, "created_at": stamp(),
            "actor": { "login": "ana", "type": "User" },
        }));
    }
    assert_eq!(send(&body("closed", 1), "d-0", "wrong"), 401);
    assert_eq!(
        hook(&daemon, "/hooks/trackers/gh", &[], &body("closed", 1)),
        401
    );
    assert_eq!(hook(&daemon, "/hooks/trackers/nobody", &[], "{}"), 404);
    assert_eq!(state(&daemon), "open");
    assert_eq!(send(&body("closed", 1), "d-1", SECRET), 200);
    until("the end", || state(&daemon) == "resolved");
    // Twice, about somebody else's issue: nothing is asked for.
    let polls = repository.lock().unwrap().polls;
    assert_eq!(send(&body("closed", 1), "d-1", SECRET), 200);
    assert_eq!(send(&body("closed", 99), "d-2", SECRET), 200);
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(repository.lock().unwrap().polls, polls);
    // A hook of something older, late: the tracker is read, and says what is true.
    assert_eq!(send(&body("reopened", 1), "d-3", SECRET), 200);
    until("another poll", || repository.lock().unwrap().polls > polls);
    assert_eq!(state(&daemon), "resolved");
}

#[test]
fn each_help_desk_proves_itself_in_its_own_form() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("s"), SECRET).unwrap();
    let nobody = "http://127.0.0.1:9/";
    let mut config = "[[route]]\nname = \"all\"\ntracker = \"zendesk\"\n".to_owned();
    for (kind, more) in [
        (
            "zendesk",
            "user = \"b@x.example\"\nrequester = \"n@x.example\"\ntoken = { file = \"s\" }",
        ),
        (
            "freescout",
            "mailbox = 1\nuser = 7\ncustomer = \"n@x.example\"\ntoken = { file = \"s\" }",
        ),
        ("glpi", "token = { file = \"s\" }"),
        (
            "freshdesk",
            "agent = 5\nrequester = \"n@x.example\"\ntoken = { file = \"s\" }",
        ),
        (
            "itop",
            "user = \"b\"\norganization = \"E\"\npassword = { file = \"s\" }",
        ),
    ] {
        config.push_str(&format!(
            "[tracker.{kind}]\nkind = \"{kind}\"\nurl = \"{nobody}\"\n{more}\n\
             hook_secret = {{ file = \"s\" }}\n"
        ));
    }
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    let body = r#"{"id": 7, "detail": {"id": "7"}, "item": {"id": 7}, "ticket": 7}"#;
    let base64 = |bytes: Vec<u8>| base64::engine::general_purpose::STANDARD.encode(bytes);
    let (now, seconds) = (stamp(), jiff::Timestamp::now().as_second().to_string());
    let of_time = |secret: &str| base64(mac::<Hmac<Sha256>>(&format!("{now}{body}"), secret));
    let sent = |kind: &str, headers: &[(&str, &str)]| {
        hook(&daemon, &format!("/hooks/trackers/{kind}"), headers, body)
    };
    for (secret, status) in [(SECRET, 200), ("wrong", 401)] {
        let headers = [
            ("X-Zendesk-Webhook-Signature", of_time(secret)),
            ("X-Zendesk-Webhook-Signature-Timestamp", now.clone()),
        ];
        let headers = headers
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        assert_eq!(sent("zendesk", &headers), status);
        let signature = base64(mac::<Hmac<Sha1>>(body, secret));
        let headers = [("X-FreeScout-Signature", signature.as_str())];
        assert_eq!(sent("freescout", &headers), status);
        let signature = signed("", secret, &format!("{body}{seconds}"));
        let headers = [
            ("X-GLPI-signature", signature.as_str()),
            ("X-GLPI-timestamp", seconds.as_str()),
        ];
        assert_eq!(sent("glpi", &headers), status);
        let bearer = format!("Bearer {secret}");
        for kind in ["freshdesk", "itop"] {
            assert_eq!(sent(kind, &[("Authorization", &bearer)]), status, "{kind}");
        }
    }
    // What was recorded long ago is worth nothing.
    let old = "2026-01-01T00:00:00Z";
    let signature = base64(mac::<Hmac<Sha256>>(&format!("{old}{body}"), SECRET));
    let headers = [
        ("X-Zendesk-Webhook-Signature", signature.as_str()),
        ("X-Zendesk-Webhook-Signature-Timestamp", old),
    ];
    assert_eq!(sent("zendesk", &headers), 401);
}

fn events(_: &mut (), asked: &Asked) -> Said {
    match asked.path.as_str() {
        "/v2/enqueue" => said(202, json!({ "status": "success" })),
        _ => empty(404),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pagerduty_says_it_in_the_hook_and_the_newest_word_stands() {
    let address = serve(Arc::new(Mutex::new(())), events).await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("key"), "k").unwrap();
    std::fs::write(dir.path().join("hook"), SECRET).unwrap();
    let config = format!(
        "[tracker.pd]\nkind = \"pagerduty\"\nurl = \"http://{address}/\"\n\
         routing_key = {{ file = \"key\" }}\nhook_secret = {{ file = \"hook\" }}\n\
         [[route]]\nname = \"all\"\ntracker = \"pd\"\n"
    );
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    trouble(&daemon);
    until("the ticket", || ticket(&daemon).is_some());
    let key = ticket(&daemon).unwrap();
    let send = |id: &str, kind: &str, at: &str| {
        let body = json!({"event": {
            "id": id, "event_type": kind, "occurred_at": at,
            "agent": { "type": "user_reference", "summary": "Ana" },
            "data": { "incident_key": key },
        }})
        .to_string();
        // The old secret and the new one: the sender rotates.
        let both = format!(
            "{},{}",
            signed("v1=", "old", &body),
            signed("v1=", SECRET, &body)
        );
        let headers = [("X-PagerDuty-Signature", both.as_str())];
        assert_eq!(hook(&daemon, "/hooks/trackers/pd", &headers, &body), 200);
    };
    send("E2", "incident.resolved", "2026-06-01T10:05:00Z");
    until("the end", || state(&daemon) == "resolved");
    // The acknowledgement that came before it arrives after it, and the end arrives again.
    send("E1", "incident.acknowledged", "2026-06-01T10:00:00Z");
    send("E2", "incident.resolved", "2026-06-01T10:05:00Z");
    let (_, shown) = daemon.verb(&["incidents", "INC-1", "--json"]);
    assert!(!shown.contains("reopened"), "{shown}");
    assert_eq!(state(&daemon), "resolved");
    send("E3", "incident.reopened", "2026-06-01T10:06:00Z");
    until("open again", || state(&daemon) == "open");
}
