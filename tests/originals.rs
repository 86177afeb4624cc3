//! The alert as it was received goes with its ticket, and what its mail enclosed with it, where the
//! tracker takes files; elsewhere the ticket says where it can be read. What is sensitive never goes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod daemon_support;
mod stand_in;

use base64::Engine as _;
use daemon_support::{Daemon, until};
use serde_json::{Value, json};
use stand_in::{Asked, Said, said, serve};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// What a graph begins with, and bytes that are no text.
const GRAPH: &[u8] = b"\x89PNG\r\n\x1a\n\x00\xff\xfe";

fn mail(host: &str) -> String {
    let graph = base64::engine::general_purpose::STANDARD.encode(GRAPH);
    format!(
        "From: nagios@mon.example\r\nTo: alerts@noc.example\r\nMessage-ID: <{host}@mon.example>\r\n\
         Date: Mon, 30 Nov 2026 10:00:00 +0000\r\n\
         Subject: ** PROBLEM Host Alert: {host} is DOWN **\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\n\
         Notification Type: PROBLEM\r\nHost: {host}\r\nState: DOWN\r\n\
         --b\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=graph.png\r\n\r\n{graph}\r\n--b--\r\n"
    )
}

#[derive(Default)]
struct Server {
    bodies: Vec<Value>,
    /// Files that came by themselves: name, and text as far as it is one.
    files: Vec<(String, String)>,
}

fn answer(server: &mut Server, asked: &Asked) -> Said {
    match (asked.method.as_str(), asked.path.as_str()) {
        ("POST", "/api/v1/tickets" | "/api/now/table/incident" | "/api/v4/projects/7/issues") => {
            server.bodies.push(asked.body.clone());
            let made = json!({
                "id": 7, "iid": 7, "web_url": "",
                "result": { "sys_id": "s7", "number": "INC7" },
            });
            said(201, made)
        }
        ("POST", "/api/now/attachment/file") => {
            let name = asked.query("file_name").to_owned();
            server.files.push((name, asked.text.clone()));
            said(201, json!({}))
        }
        _ => said(404, json!({})),
    }
}

fn daemon(dir: &Path, tracker: &str, route: &str) -> Daemon {
    std::fs::write(dir.join("token"), "secret").unwrap();
    std::fs::write(dir.join("key"), "07".repeat(32)).unwrap();
    let text = format!(
        "[operators]\nlisten = \"127.0.0.1:0\"\nurl = \"https://noc.example.net/\"\n\
         [[sealing.key]]\nid = 1\nkey = {{ file = \"key\" }}\n\
         [tracker.t]\n{tracker}\n\
         [[route]]\nname = \"r\"\ntracker = \"t\"\noriginal = \"attach\"\n{route}\n"
    );
    Daemon::start_with(dir, &text, &[])
}

#[tokio::test(flavor = "multi_thread")]
async fn zammad_gets_the_mail_and_its_files() {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), answer).await;
    let dir = tempfile::tempdir().unwrap();
    let tracker = format!(
        "kind = \"zammad\"\nurl = \"http://{address}\"\ngroup = \"Users\"\n\
         customer = \"noc@example.net\"\ntoken = {{ file = \"token\" }}"
    );
    let daemon = daemon(dir.path(), &tracker, "");
    daemon.mail("alerts@noc.example", "nagios@mon.example", &mail("web-1"));
    until("the ticket", || !server.lock().unwrap().bodies.is_empty());
    let article = server.lock().unwrap().bodies[0]["article"].clone();
    let files = article["attachments"].as_array().unwrap();
    let bytes = |n: usize| {
        let text = files[n]["data"].as_str().unwrap();
        base64::engine::general_purpose::STANDARD
            .decode(text)
            .unwrap()
    };
    assert_eq!(files.len(), 2, "{article}");
    assert!(
        files[0]["filename"]
            .as_str()
            .unwrap()
            .starts_with("original-")
    );
    let original = String::from_utf8(bytes(0)).unwrap();
    assert!(original.contains("Subject: ** PROBLEM Host Alert: web-1 is DOWN **"));
    assert_eq!(files[1]["filename"], "graph.png");
    assert_eq!(files[1]["mime-type"], "image/png");
    assert_eq!(bytes(1), GRAPH);
}

#[tokio::test(flavor = "multi_thread")]
async fn servicenow_gets_a_request_as_it_came() {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), answer).await;
    let dir = tempfile::tempdir().unwrap();
    let tracker = format!(
        "kind = \"servicenow\"\nurl = \"http://{address}\"\nuser = \"a\"\n\
         password = {{ file = \"token\" }}"
    );
    let daemon = daemon(dir.path(), &tracker, "");
    let event = json!({
        "dedup_key": "a", "summary": "a is odd", "host": "a", "severity": "critical",
        "state": "firing",
    });
    assert_eq!(daemon.post(&event).unwrap(), 202);
    until("the file", || !server.lock().unwrap().files.is_empty());
    let (name, text) = server.lock().unwrap().files[0].clone();
    assert!(
        name.starts_with("original-") && name.ends_with(".txt"),
        "{name}"
    );
    assert!(text.starts_with("POST /v1/events HTTP/1.1"), "{text}");
    assert!(text.contains("a is odd"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tracker_without_files_gets_a_link() {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), answer).await;
    let dir = tempfile::tempdir().unwrap();
    let tracker = format!(
        "kind = \"gitlab\"\nurl = \"http://{address}\"\nproject = \"7\"\ntoken = {{ file = \"token\" }}"
    );
    let daemon = daemon(dir.path(), &tracker, "");
    daemon.mail("alerts@noc.example", "nagios@mon.example", &mail("web-1"));
    until("the issue", || !server.lock().unwrap().bodies.is_empty());
    let issue = server.lock().unwrap().bodies[0].to_string();
    assert!(
        issue.contains("https://noc.example.net/api/v1/alerts/A-1/original"),
        "{issue}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sensitive_never_goes() {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), answer).await;
    let dir = tempfile::tempdir().unwrap();
    let tracker = format!(
        "kind = \"zammad\"\nurl = \"http://{address}\"\ngroup = \"Users\"\n\
         customer = \"noc@example.net\"\ntoken = {{ file = \"token\" }}"
    );
    let daemon = daemon(dir.path(), &tracker, "sensitive = true");
    daemon.mail(
        "alerts@noc.example",
        "nagios@mon.example",
        &mail("zanzibar"),
    );
    until("the ticket", || !server.lock().unwrap().bodies.is_empty());
    let ticket = server.lock().unwrap().bodies[0].to_string();
    assert!(
        !ticket.contains("zanzibar") && !ticket.contains("attachments"),
        "{ticket}"
    );
    assert!(!ticket.contains("/original"), "{ticket}");
}
