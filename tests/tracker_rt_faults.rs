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
use alertbridge::trackers::rt::{RequestTracker, RtConfig};
use alertbridge::trackers::{Called, Tracker};
use delivery_support::Bridge;
use delivery_support::storm::{self, all_written, exactly_one};
use fault_proxy::{Fault, FaultProxy, Faults};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracker_contract::{done, draft, fresh_key, ready, real_rt, variable};

/// How long a request without an answer may still be on its way.
const SETTLE_SECONDS: u64 = 20;

/// The address of the real RT.
fn service(test: &str) -> Option<SocketAddr> {
    ready();
    let (url, _) = real_rt(test)?;
    Some(url.trim_start_matches("http://").parse().unwrap())
}

fn tracker(address: SocketAddr, timeout: u64, settle: u64) -> Arc<RequestTracker> {
    let token = variable("ALERTBRIDGE_TEST_RT_TOKEN").unwrap();
    let text = format!(
        "url = \"http://{address}\"\ntoken = \"{token}\"\nqueue = \"Monitoring\"\n\
         settle_seconds = {settle}\n[connection]\ntimeout_seconds = {timeout}"
    );
    let config: RtConfig = toml::from_str(&text).unwrap();
    Arc::new(RequestTracker::new("rt", config).unwrap())
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
        let wrong = exactly_one(direct.as_ref(), &ticket, &[]).await;
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
    let wrong = exactly_one(through.as_ref(), &bridge.tickets()[0], &[]).await;
    assert_eq!(wrong, "");
}

/// Incidents with updates and recoveries through a proxy that does everything, while the worker is
/// killed at random: each ends with exactly one ticket, in the right state, with each fact once.
#[tokio::test(flavor = "multi_thread")]
async fn every_incident_ends_with_one_ticket_whatever_the_network_does() {
    let Some(address) = service("the fault proxy before RT") else {
        return;
    };
    let seed = storm::seed();
    // RT has the rest of the time to settle for its own work.
    let faults = Faults::all(35, Duration::from_secs(SETTLE_SECONDS - 5));
    let proxy = FaultProxy::start(address, seed, faults).await;
    storm::Storm {
        through: tracker(proxy.address, 3, SETTLE_SECONDS),
        direct: tracker(address, 30, 5),
        proxy,
        seed,
        incidents: storm::incidents(150),
    }
    .passes()
    .await;
}

/// What arrives after the time to settle makes a second ticket: it is merged into the first.
#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_arrives_after_its_time_is_merged_into_the_one_that_was_made() {
    let Some(address) = service("a late create on RT") else {
        return;
    };
    let proxy = FaultProxy::start(address, 1, Faults::always(Fault::Held)).await;
    storm::a_late_create_is_closed(storm::Late {
        through: tracker(proxy.address, 5, 2),
        direct: tracker(address, 30, 5),
        proxy,
    })
    .await;
}
