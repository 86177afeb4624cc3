//! The bridge watches itself: systemd's watchdog is fed only while engine, store and doors answer, a
//! step of the wall clock becomes an input, and a dead-man's switch is called while all is well. What
//! goes wrong becomes an alert of the source `alertbridge`, or a letter where no ticket can be.

mod findings;
mod letters;
mod look;

use super::now;
use super::operations::{Daemon, ENGINE_SILENT_MAX};
use crate::api::Operations;
use crate::config::Expiring;
use crate::model::Input;
use crate::store::NewInput;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How often the clocks are compared.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// A difference between wall clock and monotonic clock that counts as a step.
const STEP_MIN: Duration = Duration::from_secs(60);
/// How often the dead-man's switch is called unless said.
const PING_EVERY: Duration = Duration::from_secs(60);
/// Time for one call of it.
const PING_TIME: Duration = Duration::from_secs(10);
/// How often trackers are asked when their tokens end.
const TOKENS_EVERY: Duration = Duration::from_secs(6 * 3600);

/// What the watchers know of each other.
#[derive(Default)]
pub(super) struct Watched(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    stuck: Option<String>,
    stepped_ms: Option<i64>,
    expiries: Vec<Expiring>,
}

impl Watched {
    fn seen<T>(&self, with: impl FnOnce(&mut Seen) -> T) -> T {
        with(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Why the engine is stuck, as the last look found it.
    pub fn stuck(&self) -> Option<String> {
        self.seen(|seen| seen.stuck.clone())
    }
}

/// Watches until told to stop.
pub(super) async fn run(daemon: Arc<Daemon>, stop: CancellationToken) {
    let all = async {
        tokio::join!(
            feed_watchdog(&daemon),
            watch_clock(&daemon),
            call_dead_man(&daemon),
            ask_for_expiries(&daemon),
            look::run(&daemon)
        );
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = all => {}
    }
}

async fn feed_watchdog(daemon: &Daemon) {
    let Some(interval) = sd_notify::watchdog_enabled() else {
        return;
    };
    let mut due = tokio::time::interval(interval / 3);
    loop {
        due.tick().await;
        let silent = daemon.turned.ago();
        if silent > interval.min(ENGINE_SILENT_MAX) {
            tracing::error!(?silent, "engine_silent");
            continue;
        }
        let answered = tokio::time::timeout(
            interval / 3,
            daemon.journal().append(Vec::new(), Vec::new()),
        );
        // A store that cannot write answers; it is not hung, and a restart would not help it.
        if answered.await.is_err() {
            tracing::error!("store_silent");
            continue;
        }
        if !daemon.threads.turn_within(interval / 3).await {
            tracing::error!("doors_silent");
            continue;
        }
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
    }
}

async fn watch_clock(daemon: &Daemon) {
    let mut last = (now(), Instant::now());
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let this = (now(), Instant::now());
        let passed = i64::try_from((this.1 - last.1).as_millis()).unwrap_or(i64::MAX);
        let by_ms = this.0.0.saturating_sub(last.0.0).saturating_sub(passed);
        last = this;
        if u128::from(by_ms.unsigned_abs()) < STEP_MIN.as_millis() {
            continue;
        }
        tracing::warn!(by_ms, "clock_stepped");
        daemon
            .watched
            .seen(|seen| *seen.stepped_ms.get_or_insert(0) += by_ms);
        let input = NewInput {
            at: now(),
            input: Input::ClockStep { by_ms },
            raw: None,
        };
        if let Err(error) = daemon.journal().append(vec![input], Vec::new()).await {
            tracing::warn!(%error, "clock_step_not_journaled");
        }
    }
}

async fn call_dead_man(daemon: &Daemon) {
    loop {
        let config = daemon.config();
        let watch = &config.file.watch;
        if let Some(url) = &watch.ping_url
            && is_well(daemon).await
            && let Err(error) = call(url.clone()).await
        {
            tracing::warn!(error = %error.without_url(), "dead_man_not_called");
        }
        tokio::time::sleep(watch.ping_every.unwrap_or(PING_EVERY)).await;
    }
}

/// Whether the bridge can take in, decide and store.
async fn is_well(daemon: &Daemon) -> bool {
    let asked = daemon.journal().append(Vec::new(), Vec::new());
    daemon.ready().is_ok() && matches!(tokio::time::timeout(PING_TIME, asked).await, Ok(Ok(_)))
}

/// Trackers that tell when their token ends are asked a few times a day, and after a reload.
async fn ask_for_expiries(daemon: &Daemon) {
    let (mut digest, mut asked) = (String::new(), Instant::now());
    loop {
        let config = daemon.config();
        if config.digest != digest || asked.elapsed() >= TOKENS_EVERY {
            let mut found = Vec::new();
            for (name, one) in &config.trackers {
                if let Some(at) = one.tracker.token_ends_at().await {
                    found.push(Expiring {
                        key: format!("token/{name}"),
                        what: format!("the token of tracker {name}"),
                        at,
                    });
                }
            }
            daemon.watched.seen(|seen| seen.expiries = found);
            digest.clone_from(&config.digest);
            asked = Instant::now();
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A client for one call: it is needed once a minute, and only where a switch is configured.
async fn call(url: url::Url) -> reqwest::Result<()> {
    let client = reqwest::Client::builder().timeout(PING_TIME).build()?;
    client.get(url).send().await?.error_for_status().map(drop)
}
