//! Trackers that cannot be run here, each against a stand-in that behaves as it is known to: its
//! errors, its limits, its pages, its odd answers. All have to hold what every tracker holds.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "../delivery_support/mod.rs"]
mod delivery_support;
#[path = "../fault_proxy/mod.rs"]
mod fault_proxy;
#[path = "../stand_in/mod.rs"]
mod stand_in;
#[path = "../tracker_contract/mod.rs"]
mod tracker_contract;

mod events;
mod freescout;
mod fresh;
mod glpi;
mod itop;
mod osticket;
mod zendesk;
mod znuny;

use alertbridge::model::ticket::{RemoteRef, TicketStatus};
use alertbridge::trackers::{Attachment, Change, Draft, Tracker, registry};
use delivery_support::storm::{Storm, incidents, seed};
use fault_proxy::{FaultProxy, Faults};
use futures_util::future::BoxFuture;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracker_contract::{Act, People, done, draft, fresh_key, ready};

/// A tracker of a kind, by its section.
fn tracker(kind: &str, section: &str) -> Arc<dyn Tracker> {
    ready();
    let section = toml::from_str(section).unwrap();
    (registry::find(kind).unwrap().build)(kind, section).unwrap()
}

/// People who act in the state of a stand-in; the number of a ticket is one more than its place.
struct Agents<S>(Arc<Mutex<S>>, fn(&mut S, usize, Act) -> bool);

impl<S: Send> People for Agents<S> {
    fn act<'a>(&'a self, ticket: &'a RemoteRef, act: Act) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let n = ticket.key.parse::<usize>().unwrap() - 1;
            let seen = self.1(&mut self.0.lock().unwrap(), n, act);
            // Within one second nothing tells what came first: times have whole seconds.
            tokio::time::sleep(Duration::from_millis(1050)).await;
            seen
        })
    }
}

/// A tracker of this section, spoken to at an address, for a storm.
async fn storm(
    address: SocketAddr,
    create: &'static str,
    build: impl Fn(SocketAddr, &str) -> Arc<dyn Tracker>,
) {
    ready();
    let seed = seed();
    let mut faults = Faults::all(35, Duration::from_millis(1200));
    faults.create = create;
    let proxy = FaultProxy::start(address, seed, faults).await;
    let quick = "settle_seconds = 3\n[connection]\ntimeout_seconds = 1\n";
    Storm {
        through: build(proxy.address, quick),
        direct: build(address, ""),
        proxy,
        seed,
        incidents: incidents(20),
    }
    .passes()
    .await;
}

/// Opens a ticket with a hostile body and adds the same as a note.
async fn hostile(tracker: &dyn Tracker, text: &str) -> RemoteRef {
    let key = fresh_key();
    let mut letter = draft(&key, text);
    letter.body = text.to_owned();
    let remote = done(tracker.open(&letter).await);
    let note = Change::Note {
        marker: format!("{key}-1"),
        text: text.to_owned(),
        about: "x".to_owned(),
        public: true,
    };
    done(tracker.change(&remote, &note).await);
    remote
}

/// A ticket with a file.
fn with_file() -> Draft {
    let mut one = draft(&fresh_key(), "fan failed");
    one.attachments = vec![Attachment::of_text("ab-1.txt", "the whole text")];
    one
}

/// Writes a status to a ticket; what came of it.
async fn move_to(
    tracker: &dyn Tracker,
    remote: &RemoteRef,
    status: TicketStatus,
) -> alertbridge::trackers::Called<()> {
    let from = done(tracker.read(remote).await).fields;
    let mut to = from.clone();
    to.status = status;
    let from = Some(from);
    tracker.change(remote, &Change::Fields { from, to }).await
}
