//! Trackers that take events and tell nothing: GoAlert and GitLab's alert endpoint.

use super::*;
use alertbridge::model::ticket::TicketFields;
use alertbridge::trackers::Called;
use serde_json::{Value, json};
use stand_in::{Asked, Said, empty, said, serve};
use tracker_contract::fields;

#[derive(Default)]
struct Server {
    /// Alerts that are open, by their key.
    open: Vec<(String, Value)>,
    events: Vec<Value>,
    limited: bool,
}

fn goalert(server: &mut Server, asked: &Asked) -> Said {
    if asked.header("authorization") != "Bearer secret" || server.limited {
        return empty(if server.limited { 429 } else { 401 });
    }
    let body = &asked.body;
    let (key, action) = (
        body["dedup"].as_str().unwrap(),
        body["action"].as_str().unwrap(),
    );
    server.events.push(body.clone());
    if action == "close" {
        server.open.retain(|(other, _)| other != key);
    } else if server.open.iter().all(|(other, _)| other != key) {
        server.open.push((key.to_owned(), body.clone()));
    }
    empty(204)
}

fn gitlab(server: &mut Server, asked: &Asked) -> Said {
    if asked.method == "HEAD" {
        return empty(404);
    }
    if asked.header("authorization") != "Bearer secret" {
        return said(401, json!({ "message": "401 Unauthorized" }));
    }
    if server.limited {
        return said(
            429,
            json!({ "message": "This endpoint has been requested too many times." }),
        );
    }
    let body = &asked.body;
    let key = body["fingerprint"].as_str().unwrap().to_owned();
    server.events.push(body.clone());
    if body["end_time"].is_string() {
        server.open.retain(|(other, _)| *other != key);
    } else if server.open.iter().all(|(other, _)| *other != key) {
        server.open.push((key, body.clone()));
    }
    said(200, json!([{ "iid": 7, "title": body["title"] }]))
}

async fn start(answer: Answer) -> (Arc<Mutex<Server>>, SocketAddr) {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), answer).await;
    (server, address)
}

fn sink(kind: &str, address: SocketAddr, token: &str) -> Arc<dyn Tracker> {
    let path = if kind == "goalert" {
        ""
    } else {
        "/noc/net/alerts/notify/bridge/1.json"
    };
    tracker(
        kind,
        &format!("url = \"http://{address}{path}\"\ntoken = \"{token}\""),
    )
}

type Answer = fn(&mut Server, &Asked) -> Said;
const SINKS: [(&str, Answer); 2] = [("goalert", goalert), ("gitlab_alerts", gitlab)];

#[tokio::test]
async fn they_hold_what_every_tracker_holds() {
    for (kind, answer) in SINKS {
        let (server, address) = start(answer).await;
        let nobody = Agents(server, |_, _, _| false);
        tracker_contract::holds(sink(kind, address, "secret").as_ref(), &nobody).await;
    }
}

#[tokio::test]
async fn one_key_is_one_alert_from_its_begin_to_its_end() {
    for (kind, answer) in SINKS {
        let (server, address) = start(answer).await;
        let tracker = sink(kind, address, "secret");
        let remote = done(tracker.open(&draft("ab-1", "core-1 is down")).await);
        done(tracker.open(&draft("ab-1", "core-1 is down")).await);
        assert_eq!(server.lock().unwrap().open.len(), 1, "{kind}");
        for (status, open) in [(TicketStatus::Resolved, 0), (TicketStatus::New, 1)] {
            let to = TicketFields {
                status,
                ..fields("core-1 is down")
            };
            done(
                tracker
                    .change(&remote, &Change::Fields { from: None, to })
                    .await,
            );
            assert_eq!(server.lock().unwrap().open.len(), open, "{kind}");
        }
    }
}

#[tokio::test]
async fn a_wrong_token_and_a_limit_wait() {
    for (kind, answer) in SINKS {
        let (server, address) = start(answer).await;
        let called = sink(kind, address, "wrong").open(&draft("ab-1", "x")).await;
        assert!(
            matches!(called, Called::Later { after: Some(_), .. }),
            "{kind} {called:?}"
        );
        server.lock().unwrap().limited = true;
        let called = sink(kind, address, "secret")
            .open(&draft("ab-1", "x"))
            .await;
        assert!(
            matches!(called, Called::Later { after: Some(_), .. }),
            "{kind} {called:?}"
        );
    }
}

#[tokio::test]
async fn text_stands_inside_of_a_fence() {
    for (kind, answer) in SINKS {
        let (server, address) = start(answer).await;
        let mut one = draft("ab-1", "x");
        one.body = "@all\n/close\n``` ![x](http://x)".to_owned();
        done(sink(kind, address, "secret").open(&one).await);
        let event = server.lock().unwrap().events[0].clone();
        let body = event["details"]
            .as_str()
            .or(event["description"].as_str())
            .unwrap();
        assert!(
            body.starts_with("````text\n") && body.ends_with("\n````"),
            "{body}"
        );
    }
}
