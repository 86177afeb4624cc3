//! A tracker that is described by templates, against a small stand-in.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod delivery_support;
mod fault_proxy;
mod stand_in;
mod tracker_contract;

use alertbridge::model::ticket::RemoteRef;
use alertbridge::trackers::http::{HttpConfig, HttpTracker};
use alertbridge::trackers::{Called, Tracker};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use stand_in::{Asked, Said, said, serve};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tracker_contract::{Act, People, done, draft, ready};

#[derive(Default)]
struct Server {
    cases: Vec<Value>,
    idempotency: Vec<String>,
}

fn answer(server: &mut Server, asked: &Asked) -> Said {
    if asked.header("authorization") != "Bearer secret" {
        return said(401, json!({ "error": "who are you" }));
    }
    let parts = asked.parts();
    let n = parts.get(1).and_then(|n| n.parse::<usize>().ok());
    let n = n.filter(|n| *n >= 1 && *n <= server.cases.len());
    match (asked.method.as_str(), &parts[..], n) {
        ("POST", ["cases"], _) => {
            server
                .idempotency
                .push(asked.header("x-request").to_owned());
            let mut case = asked.body.clone();
            case["no"] = json!(server.cases.len() + 1);
            case["log"] = json!([]);
            server.cases.push(case.clone());
            said(201, json!({ "no": case["no"] }))
        }
        ("GET", ["cases"], _) => {
            let key = asked.query("external");
            let found: Vec<_> = server
                .cases
                .iter()
                .filter(|case| case["external"] == key)
                .collect();
            said(200, json!({ "hits": found }))
        }
        ("GET", ["cases", _], Some(n)) => said(200, server.cases[n - 1].clone()),
        ("PATCH", ["cases", _], Some(n)) => {
            for (name, value) in asked.body.as_object().unwrap() {
                server.cases[n - 1][name] = value.clone();
            }
            said(200, json!({}))
        }
        ("POST", ["cases", _, "log"], Some(n)) => {
            let line = asked.body.clone();
            server.cases[n - 1]["log"]
                .as_array_mut()
                .unwrap()
                .push(line);
            said(201, json!({}))
        }
        _ => said(404, json!({ "error": "nothing here" })),
    }
}

const DESCRIPTION: &str = r#"
authorization = "Bearer secret"
[headers]
X-Request = "{{ key }}"
[open]
method = "POST"
path = "/cases"
body = '{"title": {{ subject | tojson }}, "text": {{ body | tojson }}, "external": {{ key | tojson }}, "state": {{ status | tojson }}, "level": {{ severity | tojson }}}'
[change]
method = "PATCH"
path = "/cases/{{ id | path }}"
body = '{"title": {{ subject | tojson }}, "state": {{ status | tojson }}, "level": {{ severity | tojson }}}'
[note]
method = "POST"
path = "/cases/{{ id | path }}/log"
body = '{"line": {{ note | tojson }}, "open": {{ public | tojson }}}'
[find]
method = "GET"
path = "/cases?external={{ key | path }}"
[read]
method = "GET"
path = "/cases/{{ id | path }}"
[answer]
list = "/hits"
id = "/no"
key = "/external"
subject = "/title"
status = "/state"
severity = "/level"
notes = "/log"
note = "/line"
"#;

struct Nobody;

impl People for Nobody {
    fn act<'a>(&'a self, _ticket: &'a RemoteRef, _act: Act) -> BoxFuture<'a, bool> {
        Box::pin(async { false })
    }
}

fn config(address: SocketAddr, description: &str) -> HttpConfig {
    ready();
    toml::from_str(&format!("url = \"http://{address}\"\n{description}")).unwrap()
}

/// The header is a template as well; requests without a key have none to show.
fn described() -> String {
    DESCRIPTION.replace("{{ key }}", "{{ key if key is defined else '' }}")
}

#[tokio::test]
async fn it_holds_what_every_tracker_holds() {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), answer).await;
    let tracker = HttpTracker::new("cases", config(address, &described())).unwrap();
    assert!(tracker.capabilities().finds_by_key && tracker.capabilities().reads_back);
    tracker_contract::holds(&tracker, &Nobody).await;
}

#[tokio::test]
async fn headers_are_templates() {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), answer).await;
    let tracker = HttpTracker::new("cases", config(address, &described())).unwrap();
    done(tracker.open(&draft("ab-1", "x")).await);
    assert_eq!(server.lock().unwrap().idempotency, ["ab-1"]);
}

#[tokio::test]
async fn a_template_that_forgets_to_quote_sends_nothing() {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), answer).await;
    let careless = described().replace("{{ subject | tojson }}", "\"{{ subject }}\"");
    let tracker = HttpTracker::new("cases", config(address, &careless)).unwrap();
    let called = tracker.open(&draft("ab-1", "say \"hi\"")).await;
    let Called::Refused { reason, .. } = called else {
        panic!("{called:?}");
    };
    assert!(
        reason.contains("open.body") && reason.contains("tojson"),
        "{reason}"
    );
    assert!(server.lock().unwrap().cases.is_empty());
}

#[test]
fn a_wrong_description_is_refused_where_it_is_wrong() {
    let address = "127.0.0.1:9".parse().unwrap();
    for (from, to, expected) in [
        ("{{ subject | tojson }}", "{{ subject", "open.body"),
        ("path = \"/cases\"", "path = \"cases\"", "open: path"),
        ("method = \"PATCH\"", "method = \"PA TCH\"", "PA TCH"),
    ] {
        let description = described().replacen(from, to, 1);
        let refused = HttpTracker::new("cases", config(address, &description)).err();
        assert!(
            refused.as_ref().is_some_and(|r| r.contains(expected)),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn what_is_left_out_cannot_be_done() {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), answer).await;
    let whole = described();
    let (head, rest) = whole.split_once("[note]").unwrap();
    let (_, answers) = rest.split_once("[answer]").unwrap();
    let short = format!("{head}[answer]{answers}");
    let tracker = HttpTracker::new("cases", config(address, &short)).unwrap();
    assert!(!tracker.capabilities().finds_by_key && !tracker.capabilities().reads_back);
    tracker_contract::holds(&tracker, &Nobody).await;
    assert_eq!(server.lock().unwrap().cases[0]["log"], json!([]));
}
