//! PagerDuty as a sink against a stand-in of its events door.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod stand_in;
mod tracker_contract;

use alertbridge::model::ticket::{RemoteRef, TicketFields, TicketStatus};
use alertbridge::trackers::pagerduty::{PagerDuty, PagerDutyConfig};
use alertbridge::trackers::{Called, Change, Tracker};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use stand_in::{Asked, Said, said, serve};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tracker_contract::{Act, People, done, draft, fields, ready};

#[derive(Default)]
struct Server {
    events: Vec<Value>,
    limited: bool,
}

fn answer(server: &mut Server, asked: &Asked) -> Said {
    if server.limited {
        return said(429, json!({ "status": "throttled" }));
    }
    let known = asked.body["routing_key"] == "secret" && asked.path == "/v2/enqueue";
    let summary = asked.body["payload"]["summary"].as_str().unwrap_or("");
    if !known || summary.chars().count() > 1024 {
        let errors = json!(["'routing_key' is invalid"]);
        return said(
            400,
            json!({ "status": "invalid event", "message": "Event object is invalid", "errors": errors }),
        );
    }
    server.events.push(asked.body.clone());
    said(
        202,
        json!({ "status": "success", "message": "Event processed", "dedup_key": asked.body["dedup_key"] }),
    )
}

struct Nobody;

impl People for Nobody {
    fn act<'a>(&'a self, _ticket: &'a RemoteRef, _act: Act) -> BoxFuture<'a, bool> {
        Box::pin(async { false })
    }
}

fn tracker(address: SocketAddr, key: &str) -> PagerDuty {
    ready();
    let text = format!("url = \"http://{address}\"\nrouting_key = \"{key}\"");
    let config: PagerDutyConfig = toml::from_str(&text).unwrap();
    PagerDuty::new("pagerduty", config).unwrap()
}

#[tokio::test]
async fn it_holds_what_every_tracker_holds() {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), answer).await;
    tracker_contract::holds(&tracker(address, "secret"), &Nobody).await;
}

#[tokio::test]
async fn one_key_is_one_alert_from_trigger_to_resolve() {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), answer).await;
    let tracker = tracker(address, "secret");
    let ticket = done(tracker.open(&draft("ab-1", "core-1 is down")).await);
    for status in [TicketStatus::Open, TicketStatus::Resolved] {
        let to = TicketFields {
            status,
            ..fields("core-1 is down")
        };
        done(
            tracker
                .change(&ticket, &Change::Fields { from: None, to })
                .await,
        );
    }
    let events = server.lock().unwrap().events.clone();
    let actions: Vec<_> = events
        .iter()
        .map(|event| event["event_action"].as_str().unwrap())
        .collect();
    assert_eq!(actions, ["trigger", "trigger", "acknowledge", "resolve"]);
    assert!(events.iter().all(|event| event["dedup_key"] == "ab-1"));
    assert_eq!(events[0]["payload"]["severity"], "error");
}

#[tokio::test]
async fn a_wrong_key_is_refused_and_a_limit_waits() {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), answer).await;
    let called = tracker(address, "wrong").open(&draft("ab-1", "x")).await;
    assert!(
        matches!(&called, Called::Refused { reason, .. } if reason.contains("routing_key")),
        "{called:?}"
    );
    assert!(
        tracker(address, "wrong")
            .check(tracker_contract::now())
            .await[0]
            .is_err()
    );
    server.lock().unwrap().limited = true;
    let called = tracker(address, "secret").open(&draft("ab-1", "x")).await;
    assert!(
        matches!(called, Called::Later { after: Some(_), .. }),
        "{called:?}"
    );
}
