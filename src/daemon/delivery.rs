//! Delivery's workers: one for each tracker, started and ended as the configuration names them.

use super::reports::StoredReports;
use super::{keeping, now};
use crate::config::Config;
use crate::delivery::presentation::Manner;
use crate::delivery::{Gate, Ledger, Pace, Presentation, Worker};
use crate::engine::telling::BELL;
use crate::formats::mail;
use crate::notices::{NoticeLedger, NoticeWorker};
use crate::store::sqlite::SqliteStore;
use crate::telemetry::metrics::Metrics;
use crate::trackers::desk::Desk;
use crate::trackers::{Attachment, Tracker};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The bells of the workers, by tracker.
#[derive(Default)]
pub(super) struct Bells(Mutex<BTreeMap<String, Arc<Notify>>>);

impl Bells {
    /// Rings for a tracker that has something to do.
    pub fn ring(&self, tracker: &str) {
        let bells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = bells.get(tracker) {
            bell.notify_one();
        }
    }

    fn of(&self, tracker: &str) -> Arc<Notify> {
        let mut bells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bells.entry(tracker.to_owned()).or_default().clone()
    }
}

struct Running {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// All workers.
pub(super) struct Workers {
    store: Arc<SqliteStore>,
    metrics: Arc<Metrics>,
    bells: Arc<Bells>,
    /// What the workers know together.
    pub ledger: Arc<Ledger>,
    looks: Bells,
    stop: CancellationToken,
    running: tokio::sync::Mutex<BTreeMap<String, Running>>,
}

impl Workers {
    /// No workers yet.
    pub fn new(
        store: Arc<SqliteStore>,
        metrics: Arc<Metrics>,
        bells: Arc<Bells>,
        stop: CancellationToken,
    ) -> Workers {
        Workers {
            store,
            metrics,
            bells,
            ledger: Arc::default(),
            looks: Bells::default(),
            stop,
            running: tokio::sync::Mutex::default(),
        }
    }

    /// Ends the workers that stand and starts one for each tracker and one for notices; the desk is
    /// always there. A
    /// call that is under way is finished first: two workers never work for one tracker.
    pub async fn start(&self, config: &Config) {
        let trackers = &config.trackers;
        let presentation = Arc::new(Presentation {
            board: config.file.operators.url.clone(),
            enclosed,
            routes: config
                .file
                .route
                .iter()
                .map(|route| {
                    let templates = config.templates.get(&route.name).cloned();
                    let manner = Manner {
                        original: route.original,
                        templates: templates.unwrap_or_default(),
                    };
                    (route.name.clone(), manner)
                })
                .collect(),
        });
        // Unreadable: then any ticket may have been made by somebody else.
        let lost_until = self.store.lost_time().map_or_else(
            |error| {
                tracing::error!(%error, "lost_time_unreadable");
                Some(now())
            },
            |lost| lost.map(|lost| lost.until),
        );
        let mut running = self.running.lock().await;
        end(std::mem::take(&mut running)).await;
        let desk: Arc<dyn Tracker> = Arc::new(Desk::new(self.store.desk.clone(), now));
        let all = trackers
            .iter()
            .map(|(name, one)| (name.clone(), one.tracker.clone(), one.calls_per_minute))
            .chain([("desk".to_owned(), desk, 0)]);
        for (name, tracker, calls_per_minute) in all {
            let worker = Worker {
                tracker,
                journal: self.store.journal.clone(),
                state: self.store.state.clone(),
                metrics: self.metrics.clone(),
                bell: self.bells.of(&name),
                look: self.looks.of(&name),
                now,
                lost_until,
                ledger: self.ledger.clone(),
                pace: Pace {
                    calls_per_minute,
                    ..Pace::default()
                },
                gate: Gate::default(),
                presentation: presentation.clone(),
            };
            let stop = self.stop.child_token();
            let task = {
                let (store, stop) = (self.store.clone(), stop.clone());
                tokio::spawn(async move {
                    if keeping::delivery_may_start(&store, &stop).await {
                        worker.run(stop).await;
                    }
                })
            };
            running.insert(name, Running { stop, task });
        }
        let notices = self.start_notices(config);
        running.insert(BELL.to_owned(), notices);
    }

    /// The worker of notices.
    fn start_notices(&self, config: &Config) -> Running {
        let worker = NoticeWorker {
            ways: config.ways.clone(),
            reports: Arc::new(StoredReports {
                state: self.store.state.clone(),
                sla: config.decisions.sla.clone(),
            }),
            journal: self.store.journal.clone(),
            state: self.store.state.clone(),
            bell: self.bells.of(BELL),
            now,
            ledger: NoticeLedger::default(),
        };
        let stop = self.stop.child_token();
        let (store, told) = (self.store.clone(), stop.clone());
        let task = tokio::spawn(async move {
            if keeping::delivery_may_start(&store, &told).await {
                worker.run(told).await;
            }
        });
        Running { stop, task }
    }

    /// Reads a tracker now: people may have done something there.
    pub fn look(&self, tracker: &str) {
        self.looks.ring(tracker);
    }

    /// Waits until all have ended.
    pub async fn end(&self) {
        let mut running = self.running.lock().await;
        end(std::mem::take(&mut running)).await;
    }
}

/// The files that a mail brought; none if it is no mail.
fn enclosed(raw: &[u8]) -> Vec<Attachment> {
    let files = mail::enclosed(raw).into_iter();
    let handed = files.map(|file| Attachment {
        name: file.name,
        content_type: file.content_type,
        bytes: file.bytes,
    });
    handed.collect()
}

async fn end(running: BTreeMap<String, Running>) {
    for worker in running.values() {
        worker.stop.cancel();
    }
    for (name, worker) in running {
        if let Err(error) = worker.task.await {
            tracing::error!(%error, tracker = name, "delivery_task_failed");
        }
    }
}
