//! The bridge from its journal to a tracker: a store, the engine in its thread, and workers that
//! can be killed at any instant.
#![allow(dead_code, clippy::print_stdout)]

pub mod memory;
pub mod storm;

use alertbridge::delivery::{DeliveryMetrics, Gate, Ledger, Pace, Worker};
use alertbridge::engine::{Decisions, Engine, Route, Settings};
use alertbridge::model::event::{Event, EventState, SeverityHint};
use alertbridge::model::input::{Input, Message};
use alertbridge::model::ticket::WantedTicket;
use alertbridge::model::{Command, Identity, IncidentId, Time};
use alertbridge::store::sqlite::{SqliteStore, StoreOptions};
use alertbridge::store::{Journal, NewInput, StateStore, codec};
use alertbridge::trackers::Tracker;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The wall clock.
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Time(i64::try_from(since.unwrap().as_millis()).unwrap())
}

/// Calls by operation and result.
#[derive(Default)]
pub struct Counted(pub Mutex<BTreeMap<(&'static str, &'static str), u64>>);

impl DeliveryMetrics for Counted {
    fn called(&self, _: &str, operation: &'static str, result: &'static str, _: Duration) {
        *self
            .0
            .lock()
            .unwrap()
            .entry((operation, result))
            .or_default() += 1;
    }
}

/// A bridge without doors.
pub struct Bridge {
    pub store: Arc<SqliteStore>,
    pub calls: Arc<Counted>,
    bell: Arc<Notify>,
    stop: Arc<AtomicBool>,
    engine: Option<std::thread::JoinHandle<()>>,
}

/// Waits that suit a test. What an index does not show yet is not looked for.
pub fn quick() -> Pace {
    let late = storm::index_lag().saturating_sub(Duration::from_secs(2));
    let looks = |seconds: u64| Duration::from_secs(seconds) + late;
    Pace {
        calls_per_minute: 0,
        looks: vec![looks(4)],
        looks_in_doubt: [2, 6, 12].map(looks).to_vec(),
        wait_max: Duration::from_millis(700),
        pauses: (Duration::from_millis(300), Duration::from_secs(1)),
    }
}

impl Bridge {
    /// A bridge whose one route goes to `tracker`.
    pub async fn start(dir: &Path, tracker: &str) -> Bridge {
        let route = Route {
            tracker: tracker.to_owned(),
            ..Route::desk()
        };
        Bridge::with_route(dir, route).await
    }

    /// A bridge of one route.
    pub async fn with_route(dir: &Path, route: Route) -> Bridge {
        let decisions = Decisions {
            settings: Settings {
                storm_from: 1_000_000,
                tickets_per_hour_max: 0,
                ..Settings::default()
            },
            routes: vec![route],
            ..Decisions::default()
        };
        Bridge::with_decisions(dir, decisions).await
    }

    /// A bridge that decides so.
    pub async fn with_decisions(dir: &Path, decisions: Decisions) -> Bridge {
        let generation = format!("{:032x}", now().0);
        let store = SqliteStore::open(dir, StoreOptions::default(), &generation).unwrap();
        let store = Arc::new(store);
        let restart = Input::Restart {
            version: "test".to_owned(),
            generation: store.generation().unwrap(),
        };
        let mut bridge = Bridge {
            store: store.clone(),
            calls: Arc::default(),
            bell: Arc::default(),
            stop: Arc::default(),
            engine: None,
        };
        bridge.append(restart).await;
        let (stop, bell) = (bridge.stop.clone(), bridge.bell.clone());
        bridge.engine = Some(std::thread::spawn(move || {
            let loaded = store.state.load().unwrap();
            let mut engine = Engine::load(decisions, loaded).unwrap();
            while !stop.load(Ordering::Relaxed) {
                let wait = Duration::from_millis(20);
                let batch = store.journal.next(engine.cursor(), 500, wait).unwrap();
                if batch.is_empty() {
                    continue;
                }
                batch.iter().for_each(|input| engine.step(input));
                let delta = engine.take_delta();
                store.state.commit(&delta).unwrap();
                store.journal.applied(delta.cursor);
                engine.take_said();
                bell.notify_waiters();
            }
        }));
        bridge
    }

    pub async fn append(&self, input: Input) -> u64 {
        let input = NewInput {
            at: now(),
            input,
            raw: None,
        };
        let places = self.store.journal.append(vec![input], Vec::new()).await;
        places.unwrap()[0]
    }

    /// A problem of its own host and site, or its end.
    pub async fn problem(&self, name: &str, firing: bool) {
        self.problem_of(name, firing, SeverityHint::Outage).await;
    }

    /// The same of another kind.
    pub async fn problem_of(&self, name: &str, firing: bool, hint: SeverityHint) {
        let state = if firing {
            EventState::Firing
        } else {
            EventState::Resolved
        };
        let identity = Identity::key(name).unwrap();
        let mut event = Event::new(state, identity, format!("{name} is down"));
        event.host = Some(name.to_owned());
        event.site = Some(format!("site-{name}"));
        event.severity_hint = hint;
        self.append(Input::Message(Message::new("mon", "native", vec![event])))
            .await;
    }

    /// A fact that must stand in the ticket once.
    pub async fn note(&self, incident: IncidentId, text: &str) {
        let command = Command::Note {
            incident,
            text: text.to_owned(),
            public: false,
        };
        self.append(Input::Command {
            author: "ana".to_owned(),
            command,
        })
        .await;
    }

    /// A worker of a new process life: it knows what is stored, and nothing else.
    pub fn worker(&self, tracker: Arc<dyn Tracker>, ledger: Arc<Ledger>) -> Worker {
        Worker {
            tracker,
            journal: self.store.journal.clone(),
            state: self.store.state.clone(),
            metrics: self.calls.clone(),
            bell: self.bell.clone(),
            now,
            lost_until: None,
            ledger,
            pace: quick(),
            gate: Gate::default(),
            presentation: Arc::default(),
            look: Arc::default(),
        }
    }

    /// Runs a worker until it is killed.
    pub fn run(&self, tracker: Arc<dyn Tracker>) -> JoinHandle<()> {
        let worker = self.worker(tracker, Arc::default());
        tokio::spawn(worker.run(CancellationToken::new()))
    }

    pub fn tickets(&self) -> Vec<WantedTicket> {
        let tickets = self.store.state.tickets(None, 10_000).unwrap();
        tickets
            .iter()
            .map(|body| codec::decode(body).unwrap())
            .collect()
    }

    /// Waits until the engine has taken in everything and the tickets are as `is_true` wants.
    pub async fn until(&self, what: &str, seconds: u64, is_true: impl Fn(&[WantedTicket]) -> bool) {
        let began = std::time::Instant::now();
        loop {
            let tickets = self.tickets();
            let applied = self.store.state.cursor().unwrap() == self.store.journal.last_seq();
            if applied && is_true(&tickets) {
                return;
            }
            if began.elapsed() > Duration::from_secs(seconds) {
                let work: Vec<_> = tickets.iter().filter(|t| t.has_work()).collect();
                panic!("{what}: {:#?}\n{:?}", work, self.calls.0.lock().unwrap());
            }
            // Many tickets take long to read.
            let pause = 50 + u64::try_from(tickets.len()).unwrap();
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
    }

    /// Waits until no ticket has anything left to be written.
    pub async fn until_written(&self, seconds: u64) {
        let written = |tickets: &[WantedTicket]| tickets.iter().all(|ticket| !ticket.has_work());
        self.until("all is written", seconds, written).await;
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.store.journal.wake();
        if let Some(engine) = self.engine.take() {
            let _ = engine.join();
        }
    }
}
