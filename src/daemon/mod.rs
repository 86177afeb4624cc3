//! Builds the rooms in order and tears them down in reverse. The only room that knows all parts.
//!
//! | file | does |
//! | --- | --- |
//! | `mod` | start, doors, stop |
//! | `changes` | what a reload changes, in words |
//! | `delivery` | a worker for each tracker |
//! | `engine_loop` | the engine's thread |
//! | `mailboxes` | a reader for each mailbox |
//! | `hooks` | webhooks of trackers: hints to read them now |
//! | `gate` | what a new inventory would take away, and who has to say that this is meant |
//! | `keeping` | what is forgotten each hour; delivery that waits after a restore |
//! | `operations` | what the operators' door asks of the daemon: reload, backup, replay, metrics |
//! | `pull` | inventories from NetBox, at intervals |
//! | `watch` | the bridge watches itself: watchdog, clock, its own tickets and letters, dead-man's switch |

mod changes;
mod delivery;
mod doors;
pub(crate) use doors::{LMTP_SOCKET, OPERATORS_SOCKET};
mod engine_loop;
mod gate;
mod hooks;
mod keeping;
mod mailboxes;
mod operations;
mod pull;
mod reports;
mod watch;

use crate::api::{Accepted, Api};
use crate::config::{Config, PulledByName, kept_copies};
use crate::engine::Engine;
use crate::intake::mailbox::Reading;
use crate::intake::smtp::InHand;
use crate::intake::threads::Threads;
use crate::limits;
use crate::model::{Input, Time};
use crate::store::sealing::Keys;
use crate::store::sqlite::{SqliteStore, StoreOptions};
use crate::store::{Journal, NewInput, StateStore};
use crate::telemetry::metrics::Metrics;
use anyhow::Context;
use arc_swap::ArcSwap;
use delivery::{Bells, Workers};
use engine_loop::{EngineLoop, Turned};
use mailboxes::Mailboxes;
use operations::Daemon;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Time the doors have to end their connections.
const DRAIN: Duration = Duration::from_secs(10);

/// How the daemon is started.
pub struct Start {
    /// The configuration.
    pub config: Config,
    /// Where it was read from, for reloads.
    pub config_path: Option<PathBuf>,
    /// All that lasts.
    pub data_dir: PathBuf,
    /// Gets the addresses in use once the daemon is ready.
    pub ready_file: Option<PathBuf>,
    /// Every source's first words are one list.
    pub baseline: bool,
}

fn now() -> Time {
    Time::from_timestamp(jiff::Timestamp::now())
}

/// Runs until SIGTERM or SIGINT.
pub async fn run(mut start: Start) -> anyhow::Result<()> {
    // Fails when a provider was installed before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    start.config.list_first_contacts(start.baseline);
    std::fs::create_dir_all(&start.data_dir).with_context(|| {
        let shown = start.data_dir.display();
        format!("cannot make the data directory {shown}")
    })?;
    let keys = Keys::new(ArcSwap::new(start.config.keyring.clone()));
    let store = open_store(&start.data_dir, &keys).await?;
    let pulled = take_in_kept(&mut start);
    let data_dir = &start.data_dir;
    let metrics = Arc::new(Metrics::new()?);
    let bells = Arc::new(Bells::default());
    let stop = CancellationToken::new();
    let decisions = start.config.decisions.clone();
    let engine = Engine::load(decisions.clone(), store.state.load()?)?;
    let (applied, applied_to) = tokio::sync::watch::channel(engine.cursor());
    let gauges = Arc::new(ArcSwap::from_pointee(engine.gauges()));
    let turned = Arc::new(Turned::new());
    let pending = Arc::new(Mutex::default());
    let received_before = store.journal.last_seq();
    let engine_loop = EngineLoop {
        engine,
        step: Engine::step,
        decisions,
        pending: Arc::clone(&pending),
        store: store.clone(),
        bells: bells.clone(),
        stop: stop.clone(),
        runtime: tokio::runtime::Handle::current(),
        metrics: metrics.clone(),
        applied,
        gauges: gauges.clone(),
        turned: turned.clone(),
        received_before,
        counted_at: Instant::now(),
    };
    let engine = std::thread::Builder::new()
        .name("engine".to_owned())
        .spawn(|| engine_loop.run())?;
    let workers = Arc::new(Workers::new(
        store.clone(),
        metrics.clone(),
        bells,
        stop.clone(),
    ));
    workers.start(&start.config).await;
    let sealing = tokio::spawn(keeping::seal_what_is_found(store.clone(), stop.clone()));

    let mail: doors::MailSlot = Arc::new(ArcSwap::new(start.config.mail.clone()));
    let intake = doors::intake(&start.config, &store, metrics.clone(), mail.clone())?;
    let intake = Arc::new(intake);
    let in_hand = InHand::new(limits::MAIL_IN_HAND_BYTES_MAX);
    let reading = Reading {
        intake: intake.clone(),
        in_hand: in_hand.clone(),
        metrics: metrics.clone(),
    };
    let mailboxes = Arc::new(Mailboxes::new(reading, metrics.clone()));
    let hooks = Arc::new(hooks::Hooks::new(
        store.clone(),
        workers.clone(),
        &start.config,
    ));
    let daemon = Arc::new(Daemon::new(operations::Parts {
        start: &start,
        hooks,
        store: store.clone(),
        keys,
        intake: intake.clone(),
        metrics,
        gauges,
        pending,
        applied: applied_to.clone(),
        turned,
        workers: workers.clone(),
        mail,
        mailboxes: mailboxes.clone(),
        threads: Threads::start().context("cannot start the threads of the doors")?,
        pulled,
    }));
    let api = Arc::new(Api {
        state: store.state.clone(),
        desk: store.desk.clone(),
        journal: store.journal.clone(),
        operations: daemon.clone(),
        applied: applied_to,
        rules: ArcSwap::from_pointee(doors::operator_rules(&start.config.file)),
        names: crate::api::Names::default(),
        now,
    });
    daemon.attach(api.clone());
    let retention = tokio::spawn(keeping::retire_hourly(
        store.clone(),
        daemon.clone(),
        stop.clone(),
    ));
    daemon.note_generation().await?;
    let shared = (&intake, in_hand);
    let doors = doors::open(&start.config, data_dir, shared, &api, &daemon).await?;
    mailboxes.start(&start.config.file.mailbox).await;
    let repeats_stop = CancellationToken::new();
    let repeats = {
        let (intake, stop) = (intake.clone(), repeats_stop.clone());
        tokio::spawn(async move { intake.run_repeats(stop).await })
    };
    let watching = tokio::spawn(watch::run(daemon.clone(), stop.clone()));
    let pulling = tokio::spawn(pull::run(daemon.clone(), stop.clone()));
    if let Some(path) = &start.ready_file {
        write_ready(path, &doors.addresses())?;
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    tracing::info!(addresses = %doors.addresses(), "daemon_ready");
    wait_for_signal(&daemon).await?;

    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    mailboxes.end().await;
    doors.end(DRAIN).await;
    repeats_stop.cancel();
    repeats.await.context("the repeat task failed")?;
    stop.cancel();
    store.journal.wake();
    workers.end().await;
    retention.await.context("the retention task failed")?;
    sealing.await.context("the sealing task failed")?;
    watching.await.context("the watching task failed")?;
    pulling
        .await
        .context("the task that pulls inventories failed")?;
    tokio::task::spawn_blocking(move || engine.join())
        .await?
        .map_err(|_| {
            anyhow::anyhow!("the engine ended by a panic; the journal is applied at the next start")
        })?;
    tracing::info!("daemon_stopped");
    Ok(())
}

/// The inventory as it was last pulled, so that a start does not wait for NetBox. What does not fit
/// together is told; the next pull may mend it.
fn take_in_kept(start: &mut Start) -> PulledByName {
    let (pulled, missing) = kept_copies(&start.config, &start.data_dir);
    for why in missing {
        tracing::warn!(why, "inventory_copy_missing");
    }
    if let Err(problems) = start.config.take_in(&pulled) {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let problems = problems.join("; ");
        tracing::error!(problems, "inventory_incomplete");
    }
    pulled
}

/// Opens the store and journals the start.
async fn open_store(data_dir: &Path, keys: &Keys) -> anyhow::Result<Arc<SqliteStore>> {
    let generation = format!("{:032x}", rand::random::<u128>());
    let store = SqliteStore::open(data_dir, StoreOptions::with_keys(keys), &generation)?;
    let store = Arc::new(store);
    let restart = Input::Restart {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        generation: store.generation()?,
    };
    let first = NewInput {
        at: now(),
        input: restart,
        raw: None,
    };
    store.journal.append(vec![first], Vec::new()).await?;
    Ok(store)
}

fn write_ready(path: &Path, addresses: &serde_json::Value) -> anyhow::Result<()> {
    let partial = path.with_extension("partial");
    std::fs::write(&partial, format!("{addresses}\n"))?;
    std::fs::rename(&partial, path)
        .with_context(|| format!("cannot write the ready file {}", path.display()))
}

/// SIGTERM and SIGINT end the daemon, SIGHUP reloads.
async fn wait_for_signal(daemon: &Arc<Daemon>) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => {
                // The outcome stands in the log and in the metrics.
                let _ = daemon.reload_as("SIGHUP", Accepted::No).await;
            }
        }
    }
}
