//! One ticket for each problem in the real Request Tracker, whatever the network does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod delivery_support;
mod fault_proxy;
mod tracker_contract;

use alertbridge::delivery::Ledger;
use alertbridge::model::ticket::WantedTicket;
use alertbridge::trackers::rt::{RequestTracker, RtConfig};
use alertbridge::trackers::{Called, Tracker};
use delivery_support::{Bridge, now};
use fault_proxy::{Dice, Fault, FaultProxy, Faults};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracker_contract::{cannot_run, done, draft, fresh_key, ready};

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// The address of the real RT.
fn service(test: &str) -> Option<SocketAddr> {
    ready();
    let url = variable("ALERTBRIDGE_TEST_RT");
    if url.is_none() {
        cannot_run(
            test,
            "ALERTBRIDGE_TEST_RT is not set; `tests/services/rt.sh start` says what to set",
        );
    }
    Some(url?.trim_start_matches("http://").parse().unwrap())
}

fn tracker(address: SocketAddr, timeout: u64, settle: u64) -> Arc<RequestTracker> {
    let token = variable("ALERTBRIDGE_TEST_RT_TOKEN").unwrap();
    let text = format!(
        "url = \"http://{address}\"\ntoken = \"{token}\"\nqueue = \"Monitoring\"\n\
         poll_seconds = 2\nsettle_seconds = {settle}\n[connection]\ntimeout_seconds = {timeout}"
    );
    let config: RtConfig = toml::from_str(&text).unwrap();
    Arc::new(RequestTracker::new("rt", config).unwrap())
}

fn all_written(tickets: &[WantedTicket], count: usize) -> bool {
    tickets.len() == count && tickets.iter().all(|t| t.remote.is_some() && !t.has_work())
}

/// Exactly one ticket, open or not as wanted, with each note once.
async fn exactly_one(direct: &RequestTracker, ticket: &WantedTicket, facts: &[String]) -> String {
    let found = done(direct.find(&ticket.key).await);
    if found.len() != 1 {
        return format!("{} has {} tickets: {found:?}", ticket.key, found.len());
    }
    let read = done(direct.read(&found[0].remote).await);
    if read.fields.status.is_over() != ticket.wanted.status.is_over() {
        return format!(
            "{} is {:?}, wanted {:?}",
            ticket.key, read.fields, ticket.wanted
        );
    }
    let mut markers: BTreeMap<&str, usize> = BTreeMap::new();
    let ours = ticket.key.get(..12).unwrap();
    for marker in read
        .markers
        .iter()
        .filter(|marker| marker.starts_with(ours))
    {
        *markers.entry(marker).or_default() += 1;
    }
    if markers.values().any(|count| *count != 1) || markers.len() < facts.len() {
        return format!("{} has notes {markers:?} for facts {facts:?}", ticket.key);
    }
    String::new()
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_workers_with_one_key_make_one_ticket() {
    let Some(address) = service("eight workers on RT") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(dir.path(), "rt").await;
    let direct = tracker(address, 30, 5);
    let ledger = Arc::new(Ledger::default());
    let stop = CancellationToken::new();
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let worker = bridge.worker(direct.clone(), ledger.clone());
            tokio::spawn(worker.run(stop.clone()))
        })
        .collect();
    for n in 0..4 {
        bridge.problem(&format!("eight-{n}"), true).await;
    }
    bridge
        .until("four tickets", 60, |t| all_written(t, 4))
        .await;
    stop.cancel();
    for worker in workers {
        worker.await.unwrap();
    }
    for ticket in bridge.tickets() {
        let wrong = exactly_one(&direct, &ticket, &[]).await;
        assert_eq!(wrong, "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_before_the_answer_finds_its_ticket() {
    let Some(address) = service("hanging up on RT") else {
        return;
    };
    let faults = Faults::always(Fault::CutAfter);
    let proxy = FaultProxy::start(address, 1, faults).await;
    let through = tracker(proxy.address, 30, 2);
    let key = fresh_key();
    // The queue is asked for its fields first; that answer is needed.
    proxy.calm();
    done(through.open(&draft(&fresh_key(), "first")).await);
    proxy.set(Faults::always(Fault::CutAfter));
    let opened = through.open(&draft(&key, "core-1 is down")).await;
    assert!(matches!(opened, Called::Unknown { .. }), "{opened:?}");
    proxy.calm();
    assert_eq!(done(through.find(&key).await).len(), 1);

    let dir = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(dir.path(), "rt").await;
    proxy.set(Faults::always(Fault::CutAfter));
    let worker = bridge.run(through.clone());
    bridge.problem("hang-up", true).await;
    bridge
        .until("trouble is told", 30, |t| {
            t.iter().any(|t| t.trouble.is_some())
        })
        .await;
    proxy.calm();
    bridge.until("one ticket", 60, |t| all_written(t, 1)).await;
    worker.abort();
    let wrong = exactly_one(&through, &bridge.tickets()[0], &[]).await;
    assert_eq!(wrong, "");
}

/// Incidents with updates and recoveries through a proxy that does everything, while the worker is
/// killed at random: each ends with exactly one ticket, in the right state, with each fact once.
#[tokio::test(flavor = "multi_thread")]
async fn every_incident_ends_with_one_ticket_whatever_the_network_does() {
    let Some(address) = service("the fault proxy before RT") else {
        return;
    };
    let count = variable("ALERTBRIDGE_TEST_INCIDENTS").map_or(40, |n| n.parse().unwrap());
    let seed = variable("ALERTBRIDGE_TEST_SEED").map_or_else(
        || u64::try_from(now().0).unwrap(),
        |seed| seed.parse().unwrap(),
    );
    println!("seed {seed}");
    let faults = Faults::all(35, Duration::from_millis(2500));
    let proxy = FaultProxy::start(address, seed, faults).await;
    let through = tracker(proxy.address, 2, 5);
    let dir = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(dir.path(), "rt").await;
    let mut dice = Dice::new(seed ^ 1);
    let mut worker = bridge.run(through.clone());
    let mut facts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for n in 0..count {
        let name = format!("host-{n}");
        bridge.problem(&name, true).await;
        facts.insert(name, Vec::new());
        if dice.below(4) == 0 {
            // An older problem gets a fact or its end.
            let tickets = bridge.tickets();
            if !tickets.is_empty() {
                let older = &tickets[usize::try_from(dice.below(tickets.len() as u64)).unwrap()];
                let text = format!("fact {n} of seed {seed}");
                bridge.note(older.incident, &text).await;
                facts
                    .entry(older.wanted.subject.clone())
                    .or_default()
                    .push(text);
            }
        }
        if dice.below(3) == 0 {
            let ended = format!("host-{}", dice.below(n + 1));
            bridge.problem(&ended, false).await;
        }
        tokio::time::sleep(Duration::from_millis(dice.below(400))).await;
        if dice.below(8) == 0 {
            worker.abort();
            let _ = worker.await;
            worker = bridge.run(through.clone());
        }
    }
    tokio::time::sleep(Duration::from_secs(4)).await;
    let counts = proxy.counts();
    assert!(counts.len() > 5, "the proxy did too little: {counts:?}");
    proxy.calm();
    bridge
        .until("all is written", 180, |tickets| {
            tickets.iter().all(|ticket| !ticket.has_work())
        })
        .await;
    // Twins of requests that arrived twice are closed by the looks that follow.
    let direct = tracker(address, 30, 5);
    let mut wrong = Vec::new();
    for _ in 0..30 {
        wrong.clear();
        for ticket in bridge.tickets().iter().filter(|t| t.remote.is_some()) {
            let none = Vec::new();
            let facts = facts.get(&ticket.wanted.subject).unwrap_or(&none);
            let said = exactly_one(&direct, ticket, facts).await;
            if !said.is_empty() {
                wrong.push(said);
            }
        }
        if wrong.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    worker.abort();
    println!(
        "faults {counts:?}, calls {:?}",
        bridge.calls.0.lock().unwrap()
    );
    assert_eq!(wrong, Vec::<String>::new(), "seed {seed}");
}
