//! What the daemon does for the store while it runs: delivery waits after a restore, and what is old
//! is forgotten.

use super::now;
use super::operations::Daemon;
use crate::store::sqlite::{Retention, Retired, SqliteStore, retire, seal_found};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How often what is old is forgotten.
const RETIRE_EVERY: Duration = Duration::from_secs(3600);
/// How often it is looked whether a reload changed how long things are kept.
const KEEP_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked for what is to be sealed.
const SEAL_EVERY: Duration = Duration::from_secs(1);
/// How often it is looked whether delivery may go on.
const HELD_EVERY: Duration = Duration::from_secs(1);

/// After a restore or a recovery delivery waits until a person has looked at the trackers. `false`:
/// the daemon ends first.
pub(super) async fn delivery_may_start(store: &SqliteStore, stop: &CancellationToken) -> bool {
    let mut told = false;
    while !stop.is_cancelled() {
        match store.delivery_held() {
            Ok(None) => return true,
            Ok(Some(since)) if !told => {
                tracing::warn!(since, "delivery_held");
                told = true;
            }
            Ok(Some(_)) => {}
            Err(error) => tracing::error!(%error, "delivery_hold_unreadable"),
        }
        pause(HELD_EVERY, stop).await;
    }
    false
}

/// Forgets what is older than the retention in force says: at the start, every hour, and when a
/// reload changes it.
pub(super) async fn retire_hourly(
    store: Arc<SqliteStore>,
    daemon: Arc<Daemon>,
    stop: CancellationToken,
) {
    let mut last: Option<(Instant, Retention)> = None;
    while !stop.is_cancelled() {
        let keep = daemon.config().file.retention;
        if last.is_some_and(|(at, kept)| at.elapsed() < RETIRE_EVERY && kept == keep) {
            pause(KEEP_EVERY, &stop).await;
            continue;
        }
        last = Some((Instant::now(), keep));
        let store = store.clone();
        let retired = tokio::task::spawn_blocking(move || retire(&store, &keep, now())).await;
        match retired {
            Ok(Ok(retired)) if retired == Retired::default() => {}
            Ok(Ok(retired)) => tracing::info!(?retired, "store_retired"),
            Ok(Err(error)) => tracing::warn!(%error, "store_not_retired"),
            Err(error) => tracing::error!(%error, "store_not_retired"),
        }
    }
}

/// Seals what was found to be sensitive after it was written.
pub(super) async fn seal_what_is_found(store: Arc<SqliteStore>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let store = store.clone();
        match tokio::task::spawn_blocking(move || seal_found(&store)).await {
            Ok(Ok(0)) => {}
            Ok(Ok(rows)) => tracing::info!(rows, "sealed_again"),
            Ok(Err(error)) => tracing::warn!(%error, "not_sealed_yet"),
            Err(error) => tracing::error!(%error, "not_sealed_yet"),
        }
        pause(SEAL_EVERY, &stop).await;
    }
}

async fn pause(time: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(time) => {}
    }
}
