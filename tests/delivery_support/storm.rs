//! Incidents with updates and recoveries through a proxy that does everything, while the worker is
//! killed at random: each ends with exactly one ticket, in the right state, with each fact once.

use super::{Bridge, now};
use crate::fault_proxy::{Dice, FaultProxy};
use crate::tracker_contract::done;
use alertbridge::model::ticket::WantedTicket;
use alertbridge::trackers::{RemoteTicket, Tracker};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Most tickets that wait to be made while the network is bad.
const WAITING_MAX: usize = 40;

/// The seed of this run; a printed one can be given again.
pub fn seed() -> u64 {
    let given = std::env::var("ALERTBRIDGE_TEST_SEED").ok();
    let seed = given.map_or_else(
        || u64::try_from(now().0).unwrap(),
        |seed| seed.parse().unwrap(),
    );
    println!("seed {seed}");
    seed
}

/// How many incidents; the long form is asked for by a variable.
pub fn incidents(short: u64) -> u64 {
    let given = std::env::var("ALERTBRIDGE_TEST_INCIDENTS").ok();
    given.map_or(short, |count| count.parse().unwrap())
}

/// How long the index lags behind; a minute in the long form, which a variable asks for.
pub fn index_lag() -> Duration {
    let given = std::env::var("ALERTBRIDGE_TEST_INDEX_LAG_SECONDS").ok();
    Duration::from_secs(given.map_or(2, |seconds| seconds.parse().unwrap()))
}

/// All of them exist and are as wanted.
pub fn all_written(tickets: &[WantedTicket], count: usize) -> bool {
    tickets.len() == count && tickets.iter().all(|t| t.remote.is_some() && !t.has_work())
}

/// Exactly one ticket, open or not as wanted, with each note once.
pub async fn exactly_one(direct: &dyn Tracker, ticket: &WantedTicket, facts: &[String]) -> String {
    let found = done(direct.find(&ticket.key).await);
    let own = ticket.remote.as_ref().unwrap();
    // A duplicate that was closed may still be found, closed.
    let is_own = |other: &&RemoteTicket| other.remote.key == own.key;
    let closed = |other: &RemoteTicket| is_own(&other) || other.fields.status.is_over();
    if found.iter().filter(is_own).count() != 1 || !found.iter().all(closed) {
        return format!("{} lives in {own:?} and has {found:?}", ticket.key);
    }
    let read = done(direct.read(own).await);
    if read.fields.status.is_over() != ticket.wanted.status.is_over() {
        return format!(
            "{} is {:?}, wanted {:?}",
            ticket.key, read.fields, ticket.wanted
        );
    }
    let mut markers: BTreeMap<&str, usize> = BTreeMap::new();
    // All notes of a ticket begin alike; other last lines are no notes of ours.
    let ours = ticket.notes.first().and_then(|note| note.marker.get(..12));
    let is_ours = |marker: &&String| ours.is_some_and(|ours| marker.starts_with(ours));
    for marker in read.markers.iter().filter(is_ours) {
        *markers.entry(marker).or_default() += 1;
    }
    if markers.values().any(|count| *count != 1) || markers.len() < facts.len() {
        return format!("{} has notes {markers:?} for facts {facts:?}", ticket.key);
    }
    String::new()
}

/// One run.
pub struct Storm {
    /// The tracker behind the proxy.
    pub through: Arc<dyn Tracker>,
    /// The same tracker without it.
    pub direct: Arc<dyn Tracker>,
    /// What stands between.
    pub proxy: FaultProxy,
    /// Where all that is random comes from.
    pub seed: u64,
    /// How many incidents.
    pub incidents: u64,
}

impl Storm {
    /// Holds what it says at the top.
    pub async fn passes(self) {
        let dir = tempfile::tempdir().unwrap();
        let began = std::time::Instant::now();
        let bridge = Bridge::start(dir.path(), self.through.name()).await;
        let mut worker = bridge.run(self.through.clone());
        let facts = self.rages(&bridge, &mut worker).await;
        tokio::time::sleep(Duration::from_secs(4)).await;
        // A loaded machine or a long back-off: the storm goes on until it was one.
        for _ in 0..60 {
            if self.proxy.counts().len() > 5 {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let counts = self.proxy.counts();
        assert!(counts.len() > 5, "the proxy did too little: {counts:?}");
        self.proxy.calm();
        let longest = 240 + 4 * self.incidents + 20 * index_lag().as_secs();
        bridge.until_written(longest).await;
        let wrong = self.wrong_in_the_end(&bridge, &facts).await;
        worker.abort();
        let calls = bridge.calls.0.lock().unwrap().clone();
        let (seed, incidents) = (self.seed, self.incidents);
        let took = began.elapsed().as_secs();
        println!(
            "{incidents} incidents in {took} s, seed {seed}: faults {counts:?}, calls {calls:?}"
        );
        assert_eq!(wrong, Vec::<String>::new(), "seed {}", self.seed);
        // Twins are closed in the end; that the bridge made none itself has to be seen as well.
        let closed = calls.get(&("close_twin", "ok")).copied().unwrap_or(0);
        let doubled = self.proxy.doubled();
        assert!(
            closed <= doubled,
            "{closed} twins, of which the network made {doubled}; seed {}",
            self.seed
        );
    }

    async fn rages(
        &self,
        bridge: &Bridge,
        worker: &mut tokio::task::JoinHandle<()>,
    ) -> BTreeMap<String, Vec<String>> {
        let mut dice = Dice::new(self.seed ^ 1);
        let mut facts: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for n in 0..self.incidents {
            bridge.problem(&format!("host-{n}"), true).await;
            let tickets = if dice.below(4) == 0 {
                bridge.tickets()
            } else {
                Vec::new()
            };
            if !tickets.is_empty() {
                // An older problem gets a fact.
                let older = &tickets[usize::try_from(dice.below(tickets.len() as u64)).unwrap()];
                let text = format!("fact {n} of seed {}", self.seed);
                bridge.note(older.incident, &text).await;
                let subject = older.wanted.subject.clone();
                facts.entry(subject).or_default().push(text);
            }
            if dice.below(3) == 0 {
                let ended = format!("host-{}", dice.below(n + 1));
                bridge.problem(&ended, false).await;
            }
            tokio::time::sleep(Duration::from_millis(dice.below(400))).await;
            self.waits_for_room(bridge).await;
            if dice.below(8) == 0 {
                worker.abort();
                let _ = (&mut *worker).await;
                *worker = bridge.run(self.through.clone());
            }
        }
        facts
    }

    /// The network has to be bad for all of them: as many wait at a time as a slow tracker takes in
    /// before it is good again.
    async fn waits_for_room(&self, bridge: &Bridge) {
        for _ in 0..600 {
            let tickets = bridge.tickets();
            let mut waiting: Vec<_> = tickets.iter().filter(|ticket| ticket.has_work()).collect();
            waiting.retain(|ticket| ticket.remote.is_none());
            if waiting.len() <= WAITING_MAX {
                break;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Twins of requests that arrived twice are closed by the looks that follow, within ten minutes:
    /// a slow tracker takes its time for thousands of looks.
    async fn wrong_in_the_end(
        &self,
        bridge: &Bridge,
        facts: &BTreeMap<String, Vec<String>>,
    ) -> Vec<String> {
        let mut left = bridge.tickets();
        left.retain(|ticket| ticket.remote.is_some());
        let mut wrong = Vec::new();
        for _ in 0..600 + 2 * index_lag().as_secs() {
            wrong.clear();
            let mut still = Vec::new();
            for ticket in left {
                let none = Vec::new();
                let facts = facts.get(&ticket.wanted.subject).unwrap_or(&none);
                let said = exactly_one(self.direct.as_ref(), &ticket, facts).await;
                if !said.is_empty() {
                    wrong.push(said);
                    still.push(ticket);
                }
            }
            if still.is_empty() {
                break;
            }
            left = still;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        wrong
    }
}

/// A create that arrives later than its tracker is thought to need.
pub struct Late {
    /// The tracker behind a proxy that holds creates.
    pub through: Arc<dyn Tracker>,
    /// The same tracker without it.
    pub direct: Arc<dyn Tracker>,
    /// What stands between.
    pub proxy: FaultProxy,
}

/// The bridge makes another ticket, and closes the late one when it shows up.
pub async fn a_late_create_is_closed(late: Late) {
    let dir = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(dir.path(), late.through.name()).await;
    let mut worker = bridge.worker(late.through.clone(), Arc::default());
    worker.pace.looks_in_doubt = [2, 10, 30, 60, 120].map(Duration::from_secs).to_vec();
    let running = tokio::spawn(worker.run(tokio_util::sync::CancellationToken::new()));
    bridge.problem(&format!("late-{}", now().0), true).await;
    bridge
        .until("its outcome is unknown", 60, |tickets| {
            tickets.iter().any(|ticket| ticket.trouble.is_some())
        })
        .await;
    late.proxy.calm();
    bridge
        .until("another is made", 120, |tickets| all_written(tickets, 1))
        .await;
    late.proxy.release();
    bridge
        .until("the late one is closed", 180, |_| {
            let calls = bridge.calls.0.lock().unwrap();
            calls.get(&("close_twin", "ok")) == Some(&1)
        })
        .await;
    running.abort();
    let wrong = exactly_one(late.direct.as_ref(), &bridge.tickets()[0], &[]).await;
    assert_eq!(wrong, "");
}
