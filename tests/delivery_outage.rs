//! A tracker that is down loses nothing: when it is back, what is still true is written, and what
//! came and went meanwhile opens nothing. What people write in tickets stays.
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

use alertbridge::delivery::Pace;
use alertbridge::engine::{CameAndWent, Route};
use alertbridge::model::WantedTicket;
use alertbridge::trackers::http::{HttpConfig, HttpTracker};
use delivery_support::{Bridge, quick};
use serde_json::{Value, json};
use stand_in::{Asked, Said, cases, said, serve, serve_on};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracker_contract::ready;

#[derive(Default)]
struct Server {
    cases: Vec<Value>,
    asked: u64,
    broken: bool,
    /// What is resolved stays so, whatever is written.
    never_reopens: bool,
}

fn answer(server: &mut Server, asked: &Asked) -> Said {
    server.asked += 1;
    if server.broken {
        let mut busy = said(503, json!({ "error": "maintenance" }));
        busy.headers.push(("retry-after", "1".to_owned()));
        return busy;
    }
    let n = asked.parts().get(1).and_then(|n| n.parse::<usize>().ok());
    let before = n.and_then(|n| server.cases.get(n - 1).cloned());
    let told = cases::answer(&mut server.cases, asked);
    if let (Some(n), Some(before)) = (n, before)
        && server.never_reopens
        && before["status"] == "resolved"
    {
        server.cases[n - 1]["status"] = before["status"].clone();
    }
    told
}

fn tracker(address: SocketAddr) -> Arc<HttpTracker> {
    ready();
    let description = r#"
        settle_seconds = 1
        [open]
        method = "POST"
        path = "/cases"
        body = '{"key": {{ key | tojson }}, "subject": {{ subject | tojson }}, "status": {{ status | tojson }}}'
        [change]
        method = "PATCH"
        path = "/cases/{{ id | path }}"
        body = '{"subject": {{ subject | tojson }}, "status": {{ status | tojson }}}'
        [note]
        method = "POST"
        path = "/cases/{{ id | path }}"
        body = '{"note": {{ note | tojson }}}'
        [find]
        method = "GET"
        path = "/cases?key={{ key | path }}"
        [read]
        method = "GET"
        path = "/cases/{{ id | path }}"
        [answer]
        notes = "/log"
    "#;
    let text = format!("url = \"http://{address}\"\n{description}");
    let config: HttpConfig = toml::from_str(&text).unwrap();
    Arc::new(HttpTracker::new("cases", config).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_and_went_while_the_tracker_was_down_opens_nothing() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let dir = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(dir.path(), "cases").await;
    let worker = bridge.run(tracker(address));
    for n in 0..20 {
        bridge.problem(&format!("host-{n}"), true).await;
    }
    bridge
        .until("the outage is told", 30, |tickets| {
            tickets.len() == 20 && tickets.iter().any(|ticket| ticket.trouble.is_some())
        })
        .await;
    for n in 0..10 {
        bridge.problem(&format!("host-{n}"), false).await;
    }
    bridge
        .until("ten are over", 30, |tickets| {
            tickets.iter().filter(|t| t.wanted.status.is_over()).count() == 10
        })
        .await;
    let server = Arc::new(Mutex::new(Server::default()));
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    serve_on(listener, server.clone(), answer);
    bridge.until_written(60).await;
    worker.abort();
    let cases = server.lock().unwrap().cases.clone();
    assert_eq!(cases.len(), 10, "{cases:#?}");
    assert!(cases.iter().all(|case| case["status"] == "new"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_and_went_opens_one_closed_ticket_where_the_route_says_so() {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), answer).await;
    let dir = tempfile::tempdir().unwrap();
    let route = Route {
        tracker: "cases".to_owned(),
        came_and_went: CameAndWent::ClosedTicket,
        ..Route::desk()
    };
    let bridge = Bridge::with_route(dir.path(), route).await;
    // The worker comes when all is over.
    bridge.problem("core-1", true).await;
    bridge.problem("core-1", false).await;
    bridge
        .until("it is over", 30, |tickets| {
            tickets.iter().any(|t| t.wanted.status.is_over())
        })
        .await;
    let worker = bridge.run(tracker(address));
    bridge.until_written(30).await;
    worker.abort();
    let cases = server.lock().unwrap().cases.clone();
    assert_eq!(cases.len(), 1, "{cases:#?}");
    assert_eq!(cases[0]["status"], "resolved");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_stays_closed_although_it_was_opened_again_has_a_successor() {
    for never_reopens in [false, true] {
        let server = Arc::new(Mutex::new(Server::default()));
        server.lock().unwrap().never_reopens = never_reopens;
        let address = serve(server.clone(), answer).await;
        let dir = tempfile::tempdir().unwrap();
        let bridge = Bridge::start(dir.path(), "cases").await;
        let worker = bridge.run(tracker(address));
        let (done, over) = (
            |t: &WantedTicket| !t.has_work(),
            |t: &WantedTicket| t.wanted.status.is_over() && !t.has_work(),
        );
        bridge.problem("core-1", true).await;
        bridge
            .until("told", 30, |t| t.len() == 1 && t.iter().all(done))
            .await;
        bridge.problem("core-1", false).await;
        bridge.until("over", 30, |t| t.iter().all(over)).await;
        bridge.problem("core-1", true).await;
        let tickets = if never_reopens { 2 } else { 1 };
        bridge
            .until("told again", 30, |t| {
                t.len() == tickets && t.iter().all(done) && t.iter().any(|t| !over(t))
            })
            .await;
        worker.abort();
        let cases = server.lock().unwrap().cases.clone();
        assert_eq!(cases.len(), tickets, "{cases:#?}");
        assert_eq!(cases[tickets - 1]["status"], "new");
        if never_reopens {
            assert_eq!(cases[0]["status"], "resolved");
            let (old, new) = (cases[0]["log"].to_string(), cases[1]["log"].to_string());
            assert!(new.contains("Follows ticket 1"), "{new}");
            assert!(old.contains("see ticket 2"), "{old}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tracker_that_asks_for_a_pause_is_left_alone() {
    let server = Arc::new(Mutex::new(Server::default()));
    server.lock().unwrap().broken = true;
    let address = serve(server.clone(), answer).await;
    let dir = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(dir.path(), "cases").await;
    let mut worker = bridge.worker(tracker(address), Arc::default());
    // Once open, the breaker stays open for longer than this test lasts.
    worker.pace = Pace {
        pauses: (Duration::from_secs(600), Duration::from_secs(600)),
        ..quick()
    };
    let running = tokio::spawn(worker.run(CancellationToken::new()));
    for n in 0..100 {
        bridge.problem(&format!("host-{n}"), true).await;
    }
    bridge
        .until("a hundred tickets wait", 30, |tickets| tickets.len() == 100)
        .await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    running.abort();
    let asked = server.lock().unwrap().asked;
    assert!((1..=10).contains(&asked), "asked {asked} times");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_wrote_stays() {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), answer).await;
    let dir = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(dir.path(), "cases").await;
    let worker = bridge.run(tracker(address));
    bridge.problem("core-1", true).await;
    bridge
        .until("one ticket", 30, |t| {
            t.iter().any(|t| t.remote.is_some() && !t.has_work())
        })
        .await;
    server.lock().unwrap().cases[0]["subject"] = json!("core-1: call Bob first");
    let incident = bridge.tickets()[0].incident;
    bridge.note(incident, "Spare part ordered.").await;
    bridge.problem("core-1", false).await;
    bridge
        .until("resolved", 30, |t| {
            t.iter().all(|t| t.wanted.status.is_over() && !t.has_work())
        })
        .await;
    worker.abort();
    let case = server.lock().unwrap().cases[0].clone();
    assert_eq!(case["subject"], "core-1: call Bob first");
    assert_eq!(case["status"], "resolved");
    let log = case["log"].to_string();
    assert_eq!(log.matches("Spare part ordered.").count(), 1, "{log}");
}

/// The process from which the backup was taken went on after it, and made some of the tickets.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_restore_what_may_have_been_made_is_looked_for_and_not_made_again() {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), answer).await;
    let dir = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(dir.path(), "cases").await;
    for name in ["made", "unmade", "made-and-over", "over"] {
        bridge.problem(name, true).await;
    }
    bridge
        .until("all are wanted", 30, |tickets| tickets.len() == 4)
        .await;
    let wanted = bridge.tickets();
    let of = |name: &str| {
        let subject = format!("{name} is down");
        let own = wanted
            .iter()
            .find(|ticket| ticket.wanted.subject == subject);
        own.unwrap().clone()
    };
    for name in ["made", "made-and-over"] {
        let ticket = of(name);
        let mut server = server.lock().unwrap();
        let id = server.cases.len() + 1;
        server.cases.push(json!({
            "id": id, "key": ticket.key, "subject": ticket.wanted.subject, "status": "new", "log": []
        }));
    }
    for name in ["made-and-over", "over"] {
        bridge.problem(name, false).await;
    }
    bridge
        .until("two are over", 30, |tickets| {
            tickets.iter().filter(|t| t.wanted.status.is_over()).count() == 2
        })
        .await;
    let mut worker = bridge.worker(tracker(address), Arc::default());
    worker.lost_until = Some((worker.now)());
    let worker = tokio::spawn(worker.run(CancellationToken::new()));
    bridge.until_written(60).await;
    worker.abort();
    let cases = server.lock().unwrap().cases.clone();
    let told: Vec<(&str, &str)> = cases
        .iter()
        .map(|case| {
            let text = |name: &str| case[name].as_str().unwrap();
            (text("subject"), text("status"))
        })
        .collect();
    assert_eq!(
        told,
        [
            ("made is down", "new"),
            ("made-and-over is down", "resolved"),
            ("unmade is down", "new")
        ]
    );
}
