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
use delivery_support::storm::{Storm, incidents, seed};
use fault_proxy::{FaultProxy, Faults};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tracker_contract::{cannot_run, ready};

fn tracker(address: SocketAddr, token: &str, timeout: u64) -> Arc<Redmine> {
    let text = format!(
        "url = \"http://{address}\"\ntoken = \"{token}\"\nproject = \"monitoring\"\n\
         poll_seconds = 2\nsettle_seconds = 10\n[connection]\ntimeout_seconds = {timeout}"
    );
    let config: RedmineConfig = toml::from_str(&text).unwrap();
    Arc::new(Redmine::new("redmine", config).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_incident_ends_with_one_issue_whatever_the_network_does() {
    ready();
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (Some(url), Some(token)) = (
        variable("ALERTBRIDGE_TEST_REDMINE"),
        variable("ALERTBRIDGE_TEST_REDMINE_KEY_ALERTBRIDGE"),
    ) else {
        cannot_run(
            "the fault proxy before Redmine",
            "ALERTBRIDGE_TEST_REDMINE is not set; `tests/services/redmine.sh start` says what to set",
        );
        return;
    };
    let address = url.trim_start_matches("http://").parse().unwrap();
    let seed = seed();
    let mut faults = Faults::all(35, Duration::from_millis(2500));
    faults.create = "POST /issues.json HTTP";
    let proxy = FaultProxy::start(address, seed, faults).await;
    Storm {
        through: tracker(proxy.address, &token, 2),
        direct: tracker(address, &token, 30),
        proxy,
        seed,
        incidents: incidents(150),
    }
    .passes()
    .await;
}
