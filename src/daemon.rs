//! Builds the rooms in order and tears them down in reverse. The only file that knows all parts.

use crate::api::{ApiState, router};
use crate::config::Config;
use crate::delivery::{DeliveryMetrics, Gate, Pace, Worker};
use crate::engine::Engine;
use crate::formats::{self, Request};
use crate::intake::accept::Intake;
use crate::intake::answers::StandardAnswers;
use crate::intake::fence::Fence;
use crate::intake::http::{HttpDoor, HttpSettings};
use crate::intake::listener::{Listener, ListenerLimits};
use crate::intake::redact::Redactor;
use crate::intake::repeat::Repeats;
use crate::intake::smtp::{InHand, SmtpDoor, SmtpSettings};
use crate::intake::source::{Source, Sources};
use crate::intake::tls::TlsSlot;
use crate::intake::{Decoder, IntakeMetrics, Refused, SystemClock, Tried};
use crate::limits;
use crate::model::{Input, Outcome, Time};
use crate::store::sqlite::{SqliteStore, StoreOptions};
use crate::store::{Journal, NewInput, StateStore};
use crate::trackers::desk::Desk;
use anyhow::Context;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Most inputs applied in one transaction.
const BATCH_MAX: usize = 1000;
/// Time the doors have to end their connections.
const DRAIN: Duration = Duration::from_secs(10);

/// How the daemon is started.
pub struct Start {
    /// The configuration.
    pub config: Config,
    /// All that lasts.
    pub data_dir: PathBuf,
    /// Gets the addresses in use once the daemon is ready.
    pub ready_file: Option<PathBuf>,
}

fn now() -> Time {
    Time::from_timestamp(jiff::Timestamp::now())
}

struct Formats;

impl Decoder for Formats {
    fn http(&self, source: &Source, request: &Request) -> Tried {
        let kind = source.config.kind.clone();
        let outcome = formats::decode_as(&kind, request);
        (kind, outcome)
    }

    fn mail(&self, _source: &Source, raw: &[u8], received_at: Time) -> Tried {
        formats::mail::decode_bytes(raw, received_at)
    }
}

/// Counts as log events.
struct Logged;

impl IntakeMetrics for Logged {
    fn received(&self, source: &str, count: u64) {
        tracing::debug!(source, count, "events_received");
    }

    fn outcome(&self, source: &str, outcome: Outcome, count: u64) {
        tracing::debug!(source, outcome = outcome.word(), count, "events_ended");
    }

    fn refused(&self, door: &'static str, why: Refused) {
        tracing::warn!(door, why = why.word(), "message_refused");
    }
}

impl DeliveryMetrics for Logged {
    fn called(&self, tracker: &str, operation: &'static str, result: &'static str, took: Duration) {
        tracing::debug!(tracker, operation, result, ?took, "tracker_called");
    }
}

/// Runs until SIGTERM or SIGINT.
pub async fn run(start: Start) -> anyhow::Result<()> {
    let Start {
        config,
        data_dir,
        ready_file,
    } = start;
    std::fs::create_dir_all(&data_dir)
        .with_context(|| format!("cannot make the data directory {}", data_dir.display()))?;
    let generation = format!("{:032x}", rand::random::<u128>());
    let store = Arc::new(SqliteStore::open(
        &data_dir,
        StoreOptions::default(),
        &generation,
    )?);
    let generation = store.generation()?;
    let restart = Input::Restart {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        generation,
    };
    let first = NewInput {
        at: now(),
        input: restart,
        raw: None,
    };
    store.journal.append(vec![first], Vec::new()).await?;

    let bell = Arc::new(Notify::new());
    let stop = CancellationToken::new();
    let engine = Engine::load(config.decisions.clone(), store.state.load()?)?;
    let engine = EngineLoop {
        engine,
        config: config.decisions.clone(),
        store: store.clone(),
        bell: bell.clone(),
        stop: stop.clone(),
        runtime: tokio::runtime::Handle::current(),
    };
    let engine = std::thread::Builder::new()
        .name("engine".to_owned())
        .spawn(|| engine.run())?;
    let worker = Worker {
        tracker: Arc::new(Desk::new(store.desk.clone(), now)),
        journal: store.journal.clone(),
        state: store.state.clone(),
        metrics: Arc::new(Logged),
        bell,
        now,
        ledger: Arc::default(),
        pace: Pace::default(),
        gate: Gate::default(),
    };
    let worker = tokio::spawn(worker.run(stop.clone()));

    let intake = intake(&config, &store)?;
    let repeats_stop = CancellationToken::new();
    let repeats = {
        let (intake, stop) = (intake.clone(), repeats_stop.clone());
        tokio::spawn(async move { intake.run_repeats(stop).await })
    };
    let address = config
        .file
        .http
        .listen
        .unwrap_or(([127, 0, 0, 1], 8480).into());
    let listener = Listener::bind(address, ListenerLimits::default(), Arc::new(Logged))
        .await
        .with_context(|| format!("[http] listen: cannot bind {address}"))?;
    let http = listener.local_addr();
    let settings = HttpSettings {
        loopback: true,
        ..HttpSettings::default()
    };
    let door = listener.serve(HttpDoor::new(
        intake.clone(),
        Arc::new(StandardAnswers),
        settings,
    ));

    let address = config
        .file
        .smtp
        .listen
        .unwrap_or(([127, 0, 0, 1], 2525).into());
    let listener = Listener::bind(address, ListenerLimits::default(), Arc::new(Logged))
        .await
        .with_context(|| format!("[smtp] listen: cannot bind {address}"))?;
    let smtp = listener.local_addr();
    let spool = data_dir.join("mail-spool");
    std::fs::create_dir_all(&spool).context("cannot make the folder for large mails")?;
    let mail = listener.serve(SmtpDoor::new(
        intake,
        SmtpSettings::new(spool),
        TlsSlot::default(),
        InHand::new(limits::MAIL_IN_HAND_BYTES_MAX),
    ));

    let address = config
        .file
        .operators
        .listen
        .unwrap_or(([127, 0, 0, 1], 8481).into());
    let operators = tokio::net::TcpListener::bind(address)
        .await
        .with_context(|| format!("[operators] listen: cannot bind {address}"))?;
    let operators_at = operators.local_addr()?;
    let api = ApiState {
        state: store.state.clone(),
        desk: store.desk.clone(),
        journal: store.journal.clone(),
    };
    let api_stop = stop.clone();
    let api = tokio::spawn(async move {
        let served = axum::serve(operators, router(api));
        served
            .with_graceful_shutdown(async move { api_stop.cancelled().await })
            .await
    });

    if let Some(path) = &ready_file {
        write_ready(path, http, smtp, operators_at)?;
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    tracing::info!(http = ?http, operators = %operators_at, "daemon_ready");
    wait_for_signal().await?;

    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    tokio::join!(door.end(DRAIN), mail.end(DRAIN));
    repeats_stop.cancel();
    repeats.await.context("the repeat task failed")?;
    stop.cancel();
    store.journal.wake();
    worker.await.context("the delivery task failed")?;
    api.await.context("the operators' door failed")??;
    tokio::task::spawn_blocking(move || engine.join())
        .await?
        .map_err(|_| {
            anyhow::anyhow!("the engine ended by a panic; the journal is applied at the next start")
        })?;
    tracing::info!("daemon_stopped");
    Ok(())
}

fn intake(config: &Config, store: &SqliteStore) -> anyhow::Result<Arc<Intake>> {
    let mut defaults: Vec<(&str, &str)> = formats::ALL
        .iter()
        .map(|format| (format.name(), format.name()))
        .collect();
    defaults.extend([("prometheus", "alertmanager"), ("mail", "mail")]);
    Ok(Arc::new(Intake {
        journal: store.journal.clone(),
        decoder: Arc::new(Formats),
        metrics: Arc::new(Logged),
        clock: Arc::new(SystemClock::default()),
        sources: Arc::new(Sources::new(config.file.source.clone(), defaults)?).into(),
        repeats: Repeats::new(limits::REPEAT_ENTRIES_MAX),
        fence: Arc::new(Fence::open(&store.dir)?),
        redactor: Arc::new(Redactor::new(&[])?).into(),
    }))
}

fn write_ready(
    path: &Path,
    http: Option<std::net::SocketAddr>,
    smtp: Option<std::net::SocketAddr>,
    operators: std::net::SocketAddr,
) -> anyhow::Result<()> {
    let ready = serde_json::json!({ "http": http, "smtp": smtp, "operators": operators });
    let partial = path.with_extension("partial");
    std::fs::write(&partial, format!("{ready}\n"))?;
    std::fs::rename(&partial, path)
        .with_context(|| format!("cannot write the ready file {}", path.display()))
}

async fn wait_for_signal() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

/// The engine's thread: inputs in order, one transaction a batch.
struct EngineLoop {
    engine: Engine,
    config: crate::engine::Decisions,
    store: Arc<SqliteStore>,
    bell: Arc<Notify>,
    stop: CancellationToken,
    runtime: tokio::runtime::Handle,
}

impl EngineLoop {
    fn run(mut self) {
        while !self.stop.is_cancelled() {
            let due = self.engine.next_wake().map(|at| at.since(now()));
            let wait = due
                .unwrap_or(Duration::from_secs(1))
                .min(Duration::from_millis(500));
            let wait = wait.max(Duration::from_millis(1));
            match self
                .store
                .journal
                .next(self.engine.cursor(), BATCH_MAX, wait)
            {
                Ok(batch) if batch.is_empty() => self.append_due(),
                Ok(batch) => self.apply(&batch),
                Err(error) => {
                    tracing::error!(%error, "journal_unreadable");
                    std::thread::sleep(Duration::from_secs(1));
                }
            }
        }
    }

    /// A deadline fell due: that is an input as well, so that a replay does the same.
    fn append_due(&self) {
        let at = now();
        if self.engine.next_wake().is_none_or(|due| due > at) {
            return;
        }
        let input = NewInput {
            at,
            input: Input::Due,
            raw: None,
        };
        if let Err(error) = self
            .runtime
            .block_on(self.store.journal.append(vec![input], Vec::new()))
        {
            tracing::warn!(%error, "deadline_not_journaled");
            std::thread::sleep(Duration::from_millis(500));
        }
    }

    fn apply(&mut self, batch: &[Arc<crate::model::Sequenced>]) {
        let engine = &mut self.engine;
        let stepped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            batch.iter().for_each(|input| engine.step(input));
        }));
        if stepped.is_err() {
            if self.reload() {
                batch.iter().for_each(|input| self.apply_alone(input));
            }
            return;
        }
        self.commit();
    }

    /// The state as it was saved: what a panic left behind is not trusted.
    fn reload(&mut self) -> bool {
        let loaded = self.store.state.load().map_err(|error| error.to_string());
        let engine = loaded.and_then(|loaded| {
            Engine::load(self.config.clone(), loaded).map_err(|error| error.to_string())
        });
        match engine {
            Ok(engine) => {
                self.engine = engine;
                true
            }
            Err(error) => {
                tracing::error!(error, "state_not_reloaded");
                std::thread::sleep(Duration::from_secs(1));
                false
            }
        }
    }

    /// One input by itself; one that panics is set aside with a ticket for a person.
    fn apply_alone(&mut self, input: &Arc<crate::model::Sequenced>) {
        let engine = &mut self.engine;
        let stepped = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| engine.step(input)));
        if stepped.is_err() {
            tracing::error!(
                seq = input.seq,
                kind = input.input.kind(),
                "input_set_aside"
            );
            if !self.reload() {
                return;
            }
            let reason = format!("applying the {} failed", input.input.kind());
            let aside = Input::Poisoned {
                seq: input.seq,
                reason,
            };
            self.engine.step(&crate::model::Sequenced {
                input: aside,
                ..**input
            });
        }
        self.commit();
    }

    /// The same batch is committed until it succeeds; nothing later is applied before.
    fn commit(&mut self) {
        let delta = self.engine.take_delta();
        while let Err(error) = self.store.state.commit(&delta) {
            tracing::error!(%error, "state_not_committed");
            if self.stop.is_cancelled() {
                return;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        self.store.journal.applied(delta.cursor);
        let said = self.engine.take_said();
        for decided in said.decided {
            let severity = decided.severity.map(|severity| severity.to_string());
            tracing::info!(
                incident = %decided.incident,
                severity,
                reason = decided.reason.word(),
                text = decided.text,
                "incident_decided"
            );
        }
        if !said.work.is_empty() {
            self.bell.notify_one();
        }
    }
}
