//! 400 hosts down at once: the tracker sees at most its rate, the worst first, and fewer calls than
//! the incidents had changes. `cargo test --test delivery_rate -- --nocapture` prints the figures;
//! with `ALERTBRIDGE_TEST_STORM_SECONDS=30` the hosts go down within 30 s instead of 3.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

mod delivery_support;
mod fault_proxy;
mod stand_in;
mod tracker_contract;

use alertbridge::delivery::Pace;
use alertbridge::engine::{Decisions, Route, Settings};
use alertbridge::model::event::SeverityHint;
use alertbridge::model::{Command, Input, Severity};
use alertbridge::store::StateStore;
use alertbridge::trackers::http::{HttpConfig, HttpTracker};
use delivery_support::{Bridge, quick};
use serde_json::Value;
use stand_in::{Asked, Said, cases, serve};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Calls a minute that the tracker is given.
const RATE: u32 = 3000;
const HOSTS: usize = 400;

#[derive(Default)]
struct Server {
    cases: Vec<Value>,
    calls: Vec<Instant>,
}

fn answer(server: &mut Server, asked: &Asked) -> Said {
    server.calls.push(Instant::now());
    let told = cases::answer(&mut server.cases, asked);
    let opens = asked.method == "POST" && asked.parts().len() == 1;
    if let Some(case) = server.cases.last_mut().filter(|_| opens) {
        case["opened_as"] = case["severity"].clone();
    }
    told
}

fn tracker(address: SocketAddr) -> Arc<HttpTracker> {
    tracker_contract::ready();
    let text = format!(
        r#"
        url = "http://{address}"
        settle_seconds = 1
        [open]
        method = "POST"
        path = "/cases"
        body = '{{"key": {{{{ key | tojson }}}}, "subject": {{{{ subject | tojson }}}}, "status": {{{{ status | tojson }}}}, "severity": {{{{ severity | tojson }}}}}}'
        [change]
        method = "PATCH"
        path = "/cases/{{{{ id | path }}}}"
        body = '{{"subject": {{{{ subject | tojson }}}}, "status": {{{{ status | tojson }}}}, "severity": {{{{ severity | tojson }}}}}}'
        [note]
        method = "POST"
        path = "/cases/{{{{ id | path }}}}"
        body = '{{"note": {{{{ note | tojson }}}}}}'
        [find]
        method = "GET"
        path = "/cases?key={{{{ key | path }}}}"
        [read]
        method = "GET"
        path = "/cases/{{{{ id | path }}}}"
        [answer]
        notes = "/log"
        severity = "/severity"
        [severity]
        S1 = "S1"
        S2 = "S2"
        S3 = "S3"
        S4 = "S4"
        S5 = "S5"
        "#
    );
    let config: HttpConfig = toml::from_str(&text).unwrap();
    Arc::new(HttpTracker::new("cases", config).unwrap())
}

async fn bridge(dir: &Path) -> Bridge {
    let decisions = Decisions {
        settings: Settings {
            storm_from: 1_000_000,
            tickets_per_hour_max: 0,
            storm_tickets_per_minute: 0,
            hold_degradation: Duration::ZERO,
            hold_redundancy: Duration::ZERO,
            ..Settings::default()
        },
        routes: vec![Route {
            tracker: "cases".to_owned(),
            ..Route::desk()
        }],
        ..Decisions::default()
    };
    Bridge::with_decisions(dir, decisions).await
}

fn run(bridge: &Bridge, tracker: Arc<HttpTracker>) -> tokio::task::JoinHandle<()> {
    let mut worker = bridge.worker(tracker, Arc::default());
    worker.pace = Pace {
        calls_per_minute: RATE,
        // Nothing here is looked for twins.
        looks: Vec::new(),
        looks_in_doubt: Vec::new(),
        ..quick()
    };
    tokio::spawn(worker.run(CancellationToken::new()))
}

/// Every fourth host an outage, the others degraded or without redundancy.
fn hint(n: usize) -> SeverityHint {
    match n % 4 {
        0 => SeverityHint::Outage,
        1 => SeverityHint::Redundancy,
        _ => SeverityHint::Degradation,
    }
}

/// How often the incidents changed: a line of their timelines each.
fn changes(bridge: &Bridge) -> usize {
    let incidents: BTreeSet<_> = bridge.tickets().iter().map(|t| t.incident).collect();
    let lines = |incident| {
        bridge
            .store
            .state
            .timeline(incident, 0, 10_000)
            .unwrap()
            .len()
    };
    incidents.into_iter().map(lines).sum()
}

/// What else happens to the hosts.
async fn stirred(bridge: &Bridge) {
    for ticket in bridge.tickets() {
        let number = ticket.id.0;
        if number.is_multiple_of(40) {
            let command = Command::SetSeverity {
                incident: ticket.incident,
                severity: Some(Severity::S1),
                text: "customers call".to_owned(),
            };
            let author = "ana".to_owned();
            bridge.append(Input::Command { author, command }).await;
        }
        for n in 0..number % 3 {
            bridge.note(ticket.incident, &format!("fact {n}")).await;
        }
    }
}

/// The rate is kept: so many calls take at least so long, however late each was heard.
fn kept_its_rate(calls: usize, began: Instant, ended: Instant) {
    let gaps = u32::try_from(calls.saturating_sub(1)).unwrap();
    let least = Duration::from_secs(60) / RATE * gaps;
    let took = ended.duration_since(began);
    assert!(
        took >= least,
        "{calls} calls within {took:?}, not {least:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_goes_worst_first_at_the_rate_with_fewer_calls_than_changes() {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), answer).await;
    let dir = tempfile::tempdir().unwrap();
    let bridge = bridge(dir.path()).await;
    for n in 0..HOSTS {
        bridge.problem_of(&format!("host-{n}"), true, hint(n)).await;
    }
    bridge
        .until("all are asked for", 60, |t| t.len() == HOSTS)
        .await;
    stirred(&bridge).await;
    // Every tenth is over before its ticket was made; one in twenty failed again.
    for n in (0..HOSTS).step_by(10) {
        bridge
            .problem_of(&format!("host-{n}"), false, hint(n))
            .await;
    }
    // Monitors change their minds meanwhile.
    for n in (1..HOSTS).step_by(2) {
        for firing in [false, true] {
            let name = format!("host-{n}");
            bridge.problem_of(&name, firing, hint(n)).await;
        }
    }
    for n in (0..HOSTS).step_by(20) {
        bridge.problem_of(&format!("host-{n}"), true, hint(n)).await;
    }
    bridge.until("all is decided", 60, |t| !t.is_empty()).await;
    let changes = changes(&bridge);
    let urgent = |severity: Option<Severity>| severity.is_some_and(|s| s <= Severity::S2);
    let wanted = bridge.tickets();
    let open = wanted.iter().filter(|t| !t.wanted.status.is_over());
    let urgent_wanted = open.clone().filter(|t| urgent(t.wanted.severity)).count();
    let open = open.count();
    assert!(
        urgent_wanted > HOSTS / 8 && open < HOSTS,
        "{urgent_wanted} of {open}"
    );

    let began = Instant::now();
    let worker = run(&bridge, tracker(address));
    bridge.until_written(120).await;
    worker.abort();
    let server = server.lock().unwrap();
    assert_eq!(server.cases.len(), open, "what came and went opens nothing");
    let opened_urgent: Vec<bool> = server
        .cases
        .iter()
        .map(|case| matches!(case["opened_as"].as_str(), Some("S1" | "S2")))
        .collect();
    // As many as are written at once may overtake each other.
    let parallel = 8;
    let last = opened_urgent.iter().rposition(|urgent| *urgent).unwrap();
    assert_eq!(
        opened_urgent.iter().filter(|u| **u).count(),
        urgent_wanted,
        "{:#?}",
        server.cases[0]
    );
    assert!(
        last < urgent_wanted + parallel,
        "the last urgent one was {last}"
    );
    let calls = server.calls.len();
    kept_its_rate(calls, began, Instant::now());
    assert!(calls < changes, "{calls} calls for {changes} changes");
    println!(
        "{HOSTS} hosts that waited for their tracker: {changes} changes, {open} tickets, {calls} \
         calls at most {RATE} a minute; the last of {urgent_wanted} S1 and S2 was ticket {}",
        last + 1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_is_written_at_the_rate_while_it_rages() {
    let seconds = std::env::var("ALERTBRIDGE_TEST_STORM_SECONDS").ok();
    let seconds: u64 = seconds.map_or(3, |seconds| seconds.parse().unwrap());
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), answer).await;
    let dir = tempfile::tempdir().unwrap();
    let bridge = bridge(dir.path()).await;
    let began = Instant::now();
    let worker = run(&bridge, tracker(address));
    let pause = Duration::from_secs(seconds) / u32::try_from(HOSTS).unwrap();
    let mut changes = 0;
    for n in 0..HOSTS {
        bridge.problem_of(&format!("host-{n}"), true, hint(n)).await;
        changes += 1;
        // Each is told three times more, as monitors do; a third of them recover at once.
        for word in ["again", "and again"] {
            if let Some(ticket) = bridge.tickets().last() {
                bridge.note(ticket.incident, &format!("{n} {word}")).await;
                changes += 1;
            }
        }
        if n % 3 == 0 {
            bridge
                .problem_of(&format!("host-{n}"), false, hint(n))
                .await;
            changes += 1;
        }
        tokio::time::sleep(pause).await;
    }
    bridge.until_written(240).await;
    let ended = Instant::now();
    worker.abort();
    let server = server.lock().unwrap();
    let calls = server.calls.len();
    kept_its_rate(calls, began, ended);
    assert!(calls < changes, "{calls} calls for {changes} changes");
    for ticket in bridge.tickets() {
        let own: Vec<_> = server
            .cases
            .iter()
            .filter(|case| case["key"] == ticket.key.as_str())
            .collect();
        assert!(own.len() <= 1, "{own:?}");
        let over = own.first().is_none_or(|case| case["status"] == "resolved");
        assert_eq!(over, ticket.wanted.status.is_over(), "{ticket:?}");
    }
    let busiest = |window: Duration| {
        let calls = &server.calls;
        let within = |n: usize| {
            calls[n..]
                .iter()
                .take_while(|at| **at < calls[n] + window)
                .count()
        };
        (0..calls.len()).map(within).max().unwrap_or(0)
    };
    println!(
        "{HOSTS} hosts down within {seconds} s: {changes} changes, {} tickets, {calls} calls in {:.1} s, \
         {} in the busiest second (the rate allows {})",
        server.cases.len(),
        ended.duration_since(began).as_secs_f64(),
        busiest(Duration::from_secs(1)),
        RATE / 60 + 1,
    );
}
