//! One issue for each problem in the real Redmine, whatever the network does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod delivery_support;
mod fault_proxy;
mod tracker_contract;

use alertbridge::trackers::redmine::{Redmine, RedmineConfig};
use delivery_support::storm::{Late, Storm, a_late_create_is_closed, incidents, seed};
use fault_proxy::{Fault, FaultProxy, Faults};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tracker_contract::{cannot_run, ready};

/// How long a request without an answer may still be on its way.
const SETTLE_SECONDS: u64 = 20;

fn tracker(address: SocketAddr, token: &str, timeout: u64, settle: u64) -> Arc<Redmine> {
    let text = format!(
        "url = \"http://{address}\"\ntoken = \"{token}\"\nproject = \"monitoring\"\n\
         settle_seconds = {settle}\n[connection]\ntimeout_seconds = {timeout}"
    );
    let config: RedmineConfig = toml::from_str(&text).unwrap();
    Arc::new(Redmine::new("redmine", config).unwrap())
}

/// The address of the real Redmine, and the bridge's key there.
fn service(test: &str) -> Option<(SocketAddr, String)> {
    ready();
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (Some(url), Some(token)) = (
        variable("ALERTBRIDGE_TEST_REDMINE"),
        variable("ALERTBRIDGE_TEST_REDMINE_KEY_ALERTBRIDGE"),
    ) else {
        cannot_run(
            test,
            "ALERTBRIDGE_TEST_REDMINE is not set; `tests/services/redmine.sh start` says what to set",
        );
        return None;
    };
    Some((url.trim_start_matches("http://").parse().unwrap(), token))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_incident_ends_with_one_issue_whatever_the_network_does() {
    let Some((address, token)) = service("the fault proxy before Redmine") else {
        return;
    };
    let seed = seed();
    // Redmine has the rest of the time to settle for its own work.
    let mut faults = Faults::all(35, Duration::from_secs(SETTLE_SECONDS - 5));
    faults.create = "POST /issues.json HTTP";
    let proxy = FaultProxy::start(address, seed, faults).await;
    Storm {
        through: tracker(proxy.address, &token, 3, SETTLE_SECONDS),
        direct: tracker(address, &token, 30, 5),
        proxy,
        seed,
        incidents: incidents(150),
    }
    .passes()
    .await;
}

/// What arrives after the time to settle makes a second issue: it is closed as a duplicate.
#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_arrives_after_its_time_is_closed_as_a_duplicate() {
    let Some((address, token)) = service("a late create on Redmine") else {
        return;
    };
    let mut faults = Faults::always(Fault::Held);
    faults.create = "POST /issues.json HTTP";
    let proxy = FaultProxy::start(address, 1, faults).await;
    a_late_create_is_closed(Late {
        through: tracker(proxy.address, &token, 5, 2),
        direct: tracker(address, &token, 30, 5),
        proxy,
    })
    .await;
}
