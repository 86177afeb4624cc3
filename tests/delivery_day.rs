//! A tracker that is down for a day while alerts come and go: memory and disk stay bounded, and in
//! the end it shows what is still true, the worst first, each once. The wall clock is simulated: the
//! test moves it. `ALERTBRIDGE_TEST_DAY=50000` is the long form.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

#[path = "delivery_support/memory.rs"]
mod memory;

use alertbridge::delivery::{DeliveryMetrics, Gate, Ledger, Pace, Worker};
use alertbridge::engine::{Decisions, Engine, Route, Settings};
use alertbridge::model::event::{Event, EventState, SeverityHint};
use alertbridge::model::input::{Input, Message};
use alertbridge::model::ticket::WantedTicket;
use alertbridge::model::{Identity, Severity, Time};
use alertbridge::store::sqlite::{SqliteStore, StoreOptions};
use alertbridge::store::{Journal, NewInput, StateStore, codec};
use alertbridge::trackers::Capabilities;
use memory::Memory;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

const DAY: Duration = Duration::from_secs(24 * 3600);
/// Hosts that fail now and then; each is a problem of its own site.
const HOSTS: usize = 500;
/// Hosts that had a ticket before the tracker went down.
const BEFORE: usize = 60;

static NOW: AtomicI64 = AtomicI64::new(1_800_000_000_000);

/// The wall clock of the simulation.
fn now() -> Time {
    Time(NOW.load(Ordering::SeqCst))
}

fn pass(time: Duration) {
    NOW.fetch_add(i64::try_from(time.as_millis()).unwrap(), Ordering::SeqCst);
}

#[derive(Default)]
struct Uncounted;

impl DeliveryMetrics for Uncounted {
    fn called(&self, _: &str, _: &'static str, _: &'static str, _: Duration) {}
}

fn hint(n: usize) -> SeverityHint {
    match n % 3 {
        0 => SeverityHint::Outage,
        1 => SeverityHint::Degradation,
        _ => SeverityHint::Redundancy,
    }
}

fn event(n: usize, firing: bool) -> Event {
    let state = if firing {
        EventState::Firing
    } else {
        EventState::Resolved
    };
    let identity = Identity::key(format!("host-{n}")).unwrap();
    let mut event = Event::new(state, identity, format!("host-{n} is down"));
    event.host = Some(format!("host-{n}"));
    event.site = Some(format!("site-{n}"));
    event.severity_hint = hint(n);
    event.details = "as the monitor said, ".repeat(10);
    event
}

struct Sim {
    store: Arc<SqliteStore>,
    bell: Arc<Notify>,
    runtime: tokio::runtime::Handle,
    /// The engine had nothing to do at this instant.
    idle_at: AtomicI64,
    stop: AtomicBool,
}

impl Sim {
    async fn append(&self, input: Input) {
        let input = NewInput {
            at: now(),
            input,
            raw: None,
        };
        let appended = self.store.journal.append(vec![input], Vec::new());
        appended.await.unwrap();
    }

    async fn tell(&self, events: Vec<Event>) {
        let message = Message::new("mon", "native", events);
        self.append(Input::Message(message)).await;
    }

    /// The engine in its thread, as in the daemon; deadlines are served when they fall due.
    fn decide(&self, decisions: Decisions) {
        let loaded = self.store.state.load().unwrap();
        let mut engine = Engine::load(decisions, loaded).unwrap();
        while !self.stop.load(Ordering::Relaxed) {
            let at = now();
            let wait = Duration::from_millis(5);
            let batch = self.store.journal.next(engine.cursor(), 500, wait).unwrap();
            if batch.is_empty() {
                if engine.next_wake().is_some_and(|due| due <= at) {
                    self.runtime.block_on(self.append(Input::Due));
                } else {
                    self.idle_at.store(at.0, Ordering::SeqCst);
                }
                continue;
            }
            batch.iter().for_each(|input| engine.step(input));
            let delta = engine.take_delta();
            self.store.state.commit(&delta).unwrap();
            self.store.journal.applied(delta.cursor);
            engine.take_said();
            self.bell.notify_waiters();
        }
    }

    /// Until the engine has decided all that there is at this instant.
    async fn decided(&self) {
        self.idle_at.store(0, Ordering::SeqCst);
        while self.idle_at.load(Ordering::SeqCst) != now().0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn tickets(&self) -> Vec<WantedTicket> {
        let tickets = self.store.state.tickets(None, 100_000).unwrap();
        let decoded = tickets.iter().map(|body| codec::decode(body).unwrap());
        decoded.collect()
    }

    /// Until nothing waits.
    async fn written(&self) {
        for _ in 0..20_000 {
            pass(Duration::from_secs(1));
            self.decided().await;
            if self.tickets().iter().all(|ticket| !ticket.has_work()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let left: Vec<_> = self
            .tickets()
            .into_iter()
            .filter(WantedTicket::has_work)
            .collect();
        panic!("{left:#?}");
    }
}

fn bytes_below(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().flatten();
    let sizes = entries.map(|entry| {
        let meta = entry.metadata().unwrap();
        if meta.is_dir() {
            bytes_below(&entry.path())
        } else {
            meta.len()
        }
    });
    sizes.sum()
}

/// The most memory that this process ever had, bytes.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_without_its_tracker_costs_little_and_loses_nothing() {
    let alerts: usize = std::env::var("ALERTBRIDGE_TEST_DAY")
        .ok()
        .map_or(3000, |count| count.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path(), StoreOptions::default(), &"7".repeat(32)).unwrap();
    let sim = Arc::new(Sim {
        store: Arc::new(store),
        bell: Arc::default(),
        runtime: tokio::runtime::Handle::current(),
        idle_at: AtomicI64::new(0),
        stop: AtomicBool::new(false),
    });
    let decisions = Decisions {
        settings: Settings {
            storm_from: 1_000_000,
            tickets_per_hour_max: 0,
            storm_tickets_per_minute: 0,
            ..Settings::default()
        },
        routes: vec![Route {
            tracker: "memory".to_owned(),
            ..Route::desk()
        }],
        ..Decisions::default()
    };
    sim.append(Input::Restart {
        version: "test".to_owned(),
        generation: sim.store.generation().unwrap(),
    })
    .await;
    let engine = {
        let sim = sim.clone();
        std::thread::spawn(move || sim.decide(decisions))
    };
    let memory = Arc::new(Memory::new(Capabilities {
        parallel_max: 1,
        ..Capabilities::TICKETS
    }));
    let worker = Worker {
        tracker: memory.clone(),
        journal: sim.store.journal.clone(),
        state: sim.store.state.clone(),
        metrics: Arc::new(Uncounted),
        bell: sim.bell.clone(),
        look: Arc::default(),
        now,
        lost_until: None,
        ledger: Arc::new(Ledger::default()),
        pace: Pace {
            // These are of the real clock.
            pauses: (Duration::from_millis(100), Duration::from_millis(500)),
            ..Pace::default()
        },
        gate: Gate::default(),
        presentation: Arc::default(),
    };
    let worker = tokio::spawn(worker.run(CancellationToken::new()));

    // Some have their tickets already.
    let mut firing = vec![false; HOSTS];
    for (n, fires) in firing.iter_mut().enumerate().take(BEFORE) {
        sim.tell(vec![event(n, true)]).await;
        *fires = true;
    }
    sim.decided().await;
    // Their holds pass.
    pass(Duration::from_secs(600));
    sim.decided().await;
    sim.written().await;
    assert_eq!(memory.tickets.lock().unwrap().len(), BEFORE);

    memory.dead.store(true, Ordering::Relaxed);
    let (fell, disk_before) = (now(), bytes_below(dir.path()));
    let (mut told, mut dice) = (0, 7_u64);
    while told < alerts {
        let mut events = Vec::new();
        for _ in 0..25.min(alerts - told) {
            // The same hosts in every run.
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let n = usize::try_from(dice >> 33).unwrap() % HOSTS;
            firing[n] = !firing[n];
            events.push(event(n, firing[n]));
            told += 1;
        }
        sim.tell(events).await;
        let share =
            f64::from(u32::try_from(told).unwrap()) / f64::from(u32::try_from(alerts).unwrap());
        let due = fell.plus(DAY.mul_f64(share));
        pass(due.since(now()));
        sim.decided().await;
    }
    assert!(now().since(fell) >= DAY - Duration::from_secs(1));
    pass(Duration::from_secs(1200));
    sim.decided().await;
    let waits = sim.tickets();
    let disk = bytes_below(dir.path()) - disk_before;
    let in_vain = memory.in_vain.load(Ordering::Relaxed);
    assert!(waits.len() <= 2 * HOSTS, "{} tickets wait", waits.len());
    let notes = waits.iter().map(|ticket| ticket.notes.len()).max().unwrap();
    assert!(notes <= 51, "{notes} notes wait for one ticket");
    assert!(in_vain > 0);
    let each = disk / u64::try_from(alerts).unwrap();
    assert!(each < 16 * 1024, "{each} bytes of disk an alert");

    // A turn that waits for its pause, which is real time, may have begun simulated hours ago.
    tokio::time::sleep(Duration::from_secs(2)).await;
    memory.dead.store(false, Ordering::Relaxed);
    let opened_before = memory.tickets.lock().unwrap().len();
    sim.written().await;
    worker.abort();
    sim.stop.store(true, Ordering::Relaxed);
    engine.join().unwrap();
    assert_eq!(memory.twins.load(Ordering::Relaxed), 0);
    let tickets = memory.tickets.lock().unwrap().clone();
    let wanted = sim.tickets();
    let still: Vec<usize> = (0..HOSTS).filter(|n| firing[*n]).collect();
    for (n, fires) in firing.iter().enumerate() {
        let own = |subject: &str| subject.split_whitespace().next() == Some(&format!("host-{n}"));
        let there: Vec<_> = tickets
            .iter()
            .filter(|(_, fields)| own(&fields.subject))
            .collect();
        let open = there
            .iter()
            .filter(|(_, fields)| !fields.status.is_over())
            .count();
        assert_eq!(open, usize::from(*fires), "host-{n}: {there:?}");
        let most = if n < BEFORE { 2 } else { usize::from(*fires) };
        assert!(there.len() <= most, "host-{n}: {there:?}");
    }
    assert!(wanted.iter().all(|ticket| ticket.trouble.is_none()));
    // The worst first.
    let later: Vec<Severity> = tickets[opened_before..]
        .iter()
        .map(|(_, fields)| fields.severity.unwrap())
        .collect();
    assert!(later.is_sorted(), "{later:?}");
    assert!(later.len() > HOSTS / 10 && still.len() < HOSTS);
    let memory_now = most_memory();
    assert!(
        memory_now < 1024 * 1024 * 1024,
        "{memory_now} bytes of memory"
    );
    println!(
        "{alerts} alerts in a dead day: {} tickets waited, {each} bytes of disk an alert, {} MiB of memory at most; {} tickets opened when it was back",
        waits.len(),
        memory_now / (1024 * 1024),
        later.len()
    );
}
