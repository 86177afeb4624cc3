//! What the operators' door and signals ask of the daemon as a whole.

use super::changes::{changes, fixed_changes};
use super::delivery::Workers;
use super::doors::{self, MailSlot, Slots};
use super::engine_loop::Turned;
use super::hooks::Hooks;
use super::mailboxes::Mailboxes;
use super::pull::Pulls;
use super::watch::Watched;
use super::{Start, now};
use crate::api::{Accepted, Api, Operations, SourceShown};
use crate::config::{self, Config, PulledByName};
use crate::engine::Decisions;
use crate::engine::gauges::Gauges;
use crate::formats::Request;
use crate::intake::accept::Intake;
use crate::intake::raw::Dump;
use crate::intake::threads::Threads;
use crate::limits;
use crate::model::figure::Stored;
use crate::model::input::OWN_SOURCE;
use crate::model::input::{Generation, GenerationOf, HEARTBEAT};
use crate::model::review::Review;
use crate::model::{Input, Message};
use crate::store::sealing::Keys;
use crate::store::sqlite::SqliteStore;
use crate::store::{Journal, NewInput, StateStore, StoreError, codec};
use crate::telemetry::metrics::{Metrics, Standing};
use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// What the daemon is made of.
pub(super) struct Parts<'a> {
    /// How it was started.
    pub start: &'a Start,
    /// The store.
    pub store: Arc<SqliteStore>,
    /// Keys for what is sensitive.
    pub keys: Keys,
    /// Hooks of trackers.
    pub hooks: Arc<Hooks>,
    /// The intake.
    pub intake: Arc<Intake>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// How things stand.
    pub gauges: Arc<ArcSwap<Gauges>>,
    /// Generations on their way to the engine.
    pub pending: Arc<Mutex<BTreeMap<String, Decisions>>>,
    /// How far the journal is applied.
    pub applied: watch::Receiver<u64>,
    /// When the engine's loop last turned.
    pub turned: Arc<Turned>,
    /// Delivery's workers.
    pub workers: Arc<Workers>,
    /// How mails are read.
    pub mail: MailSlot,
    /// The readers of mailboxes.
    pub mailboxes: Arc<Mailboxes>,
    /// The threads of the doors.
    pub threads: Threads,
    /// Inventories that were pulled.
    pub pulled: PulledByName,
}

/// The daemon as its doors see it.
pub(super) struct Daemon {
    config_path: Option<PathBuf>,
    baseline: bool,
    /// The configuration in force.
    pub config: ArcSwap<Config>,
    store: Arc<SqliteStore>,
    keys: Keys,
    /// Hooks of trackers.
    pub hooks: Arc<Hooks>,
    pub(super) intake: Arc<Intake>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    gauges: Arc<ArcSwap<Gauges>>,
    pending: Arc<Mutex<BTreeMap<String, Decisions>>>,
    applied: watch::Receiver<u64>,
    /// When the engine's loop last turned.
    pub turned: Arc<Turned>,
    /// TLS of the doors.
    pub slots: Slots,
    workers: Arc<Workers>,
    pub(super) mail: MailSlot,
    pub(super) mailboxes: Arc<Mailboxes>,
    /// The threads of the doors.
    pub threads: Threads,
    api: OnceLock<Arc<Api>>,
    /// One change of what is decided by at a time.
    pub reloading: tokio::sync::Mutex<()>,
    /// Inventories that are pulled.
    pub pulls: Pulls,
    /// What the bridge knows about itself.
    pub watched: Watched,
}

/// How long a reload waits until the engine decides by it.
const RELOAD_WAIT: Duration = Duration::from_secs(60);
/// Longest silence of the engine's loop before the daemon is not ready.
pub(super) const ENGINE_SILENT_MAX: Duration = Duration::from_secs(60);

impl Daemon {
    /// A daemon of these parts.
    pub fn new(parts: Parts) -> Daemon {
        let daemon = Daemon {
            config_path: parts.start.config_path.clone(),
            baseline: parts.start.baseline,
            config: ArcSwap::from_pointee(parts.start.config.clone()),
            store: parts.store,
            keys: parts.keys,
            hooks: parts.hooks,
            intake: parts.intake,
            metrics: parts.metrics,
            gauges: parts.gauges,
            pending: parts.pending,
            applied: parts.applied,
            turned: parts.turned,
            workers: parts.workers,
            mail: parts.mail,
            mailboxes: parts.mailboxes,
            threads: parts.threads,
            slots: Slots::default(),
            api: OnceLock::new(),
            reloading: tokio::sync::Mutex::new(()),
            pulls: Pulls::of(parts.pulled),
            watched: Watched::default(),
        };
        daemon.announce(&parts.start.config);
        daemon.metrics.reloaded(true, now());
        daemon
    }

    /// The API whose door rules are replaced at a reload.
    pub fn attach(&self, api: Arc<Api>) {
        let _ = self.api.set(api);
    }

    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// The engine's state, to read.
    pub fn state(&self) -> &dyn StateStore {
        self.store.state.as_ref()
    }

    /// All that lasts.
    pub fn data_dir(&self) -> &Path {
        &self.store.dir
    }

    /// The journal, for inputs of the daemon's own.
    pub fn journal(&self) -> &dyn Journal {
        self.store.journal.as_ref()
    }

    /// The store.
    pub fn store(&self) -> &SqliteStore {
        &self.store
    }

    /// How far the journal is applied.
    pub fn applied_to(&self) -> u64 {
        *self.applied.borrow()
    }

    /// Tickets that were given up, by tracker.
    pub fn given_up(&self) -> BTreeMap<String, u64> {
        self.gauges.load().dead.clone()
    }

    /// The series of a configuration are there from the start.
    fn announce(&self, config: &Config) {
        let sources = self.intake.sources.load();
        let mut names: BTreeSet<(&str, Option<Duration>)> = sources
            .all()
            .map(|source| (source.config.name.as_str(), source.config.expect_every))
            .collect();
        names.insert((OWN_SOURCE, None));
        let configured: BTreeSet<&str> =
            config.file.source.iter().map(|s| s.name.as_str()).collect();
        // Configured sources come first, so that they have a label of their own.
        let (first, rest): (Vec<_>, Vec<_>) = names
            .into_iter()
            .partition(|(name, _)| configured.contains(name));
        let trackers = config.file.tracker_names();
        self.metrics.configured(
            first.into_iter().chain(rest),
            trackers.iter().map(String::as_str),
        );
        let pulled = self.pulls.kept.load();
        for name in config.file.netbox.keys() {
            let last = pulled.get(name).map(|pulled| pulled.pulled_at);
            self.metrics.pull_configured(name, last);
        }
    }

    /// Journals the generation of the configuration in force, if the journal has another one.
    pub async fn note_generation(&self) -> anyhow::Result<()> {
        let config = self.config();
        let known = self.store.state.thing("generation", "configuration")?;
        let known: Option<Generation> = known.as_deref().map(codec::decode).transpose()?;
        let inventory = self.store.state.thing("generation", "inventory")?;
        let inventory: Option<Generation> = inventory.as_deref().map(codec::decode).transpose()?;
        let mut inputs = Vec::new();
        let new = [
            (GenerationOf::Configuration, known, &config.digest),
            (GenerationOf::Inventory, inventory, &config.inventory_digest),
        ];
        for (of, known, digest) in new {
            if known.is_none_or(|known| known.digest != *digest) {
                let moved = self.consequences(&config.decisions)?.moved;
                inputs.push(generation(&config, of, "at the start".to_owned(), moved));
            }
        }
        if !inputs.is_empty() {
            self.store.journal.append(inputs, Vec::new()).await?;
        }
        Ok(())
    }

    /// Reads the configuration again and puts it in force, whole or not at all.
    pub async fn reload_as(&self, author: &str, accepted: Accepted) -> Result<String, Vec<String>> {
        let _one = self.reloading.lock().await;
        let _ = sd_notify::NotifyState::monotonic_usec_now()
            .map(|stamp| sd_notify::notify(&[sd_notify::NotifyState::Reloading, stamp]));
        let outcome = self.reload_once(author, accepted).await;
        match &outcome {
            Ok(done) => tracing::info!(author, done, "configuration_reloaded"),
            Err(problems) => {
                let problems = problems.join("; ");
                tracing::error!(author, problems, "reload_refused");
            }
        }
        self.metrics.reloaded(outcome.is_ok(), now());
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        outcome
    }

    async fn reload_once(&self, author: &str, accepted: Accepted) -> Result<String, Vec<String>> {
        let path = self.config_path.clone();
        let baseline = self.baseline;
        let pulled = self.pulls.for_reload(accepted);
        let with = pulled.clone();
        let load = move || {
            let mut new = config::load(path.as_deref())?;
            new.list_first_contacts(baseline);
            new.take_in(&with).map(|()| new)
        };
        let loaded = tokio::task::spawn_blocking(load)
            .await
            .map_err(|error| vec![format!("reading the configuration failed: {error}")])?;
        let new = loaded.map_err(|found| {
            found
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<String>>()
        })?;
        let old = self.config();
        let fixed = fixed_changes(&old, &new);
        if !fixed.is_empty() {
            return Err(fixed);
        }
        // Before the first row that it seals.
        self.keys.store(new.keyring.clone());
        let sources =
            doors::sources(new.file.source.clone()).map_err(|error| vec![error.to_string()])?;
        let mut changes = changes(&old, &new);
        if new.digest != old.digest || new.inventory_digest != old.inventory_digest {
            // A large inventory is compared for seconds.
            let judged = tokio::task::block_in_place(|| self.judge(&new, accepted));
            let consequences = judged?;
            for told in consequences.told() {
                changes.push_str("; ");
                changes.push_str(&told);
            }
            let note = format!("{author}: {changes}");
            let of = GenerationOf::Configuration;
            self.change_generation(&new, of, note, consequences.moved)
                .await
                .map_err(|why| vec![why])?;
            for line in self
                .reviewed(&new.digest)
                .map_err(|error| vec![error.to_string()])?
            {
                changes.push('\n');
                changes.push_str(&line);
            }
        }
        self.pulls_taken(&new, pulled);
        self.intake.sources.store(Arc::new(sources));
        self.intake.repeats.forget();
        self.slots.replace(&new);
        self.read_mail_by(&new).await;
        self.hooks.replace(&new);
        // A tracker's or mail server's secret may be new although its section is not.
        let has_trackers = !(new.trackers.is_empty() && old.trackers.is_empty());
        let tells = |config: &Config| config.decisions.notices.is_on();
        if has_trackers || tells(&new) || tells(&old) || new.digest != old.digest {
            self.workers.start(&new).await;
        }
        if let Some(api) = self.api.get() {
            api.rules.store(Arc::new(doors::operator_rules(&new.file)));
        }
        self.announce(&new);
        self.config.store(Arc::new(new));
        self.pull_again();
        Ok(changes)
    }

    /// Journals a generation and waits until the engine decides by it.
    pub(super) async fn change_generation(
        &self,
        new: &Config,
        of: GenerationOf,
        note: String,
        moved: Vec<(u64, String)>,
    ) -> Result<(), String> {
        let digest = digest_of(new, of).to_owned();
        let input = generation(new, of, note, moved);
        self.pending
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(digest.clone(), new.decisions.clone());
        let appended = self.store.journal.append(vec![input], Vec::new()).await;
        let seq = match appended {
            Ok(places) => places.first().copied().unwrap_or_default(),
            Err(error) => {
                self.pending
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&digest);
                return Err(error.to_string());
            }
        };
        let mut applied = self.applied.clone();
        let waited = applied.wait_for(|cursor| *cursor >= seq);
        match tokio::time::timeout(RELOAD_WAIT, waited).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(format!(
                "the engine has not come to journal entry {seq} within {RELOAD_WAIT:?}; the new \
                 configuration comes into force when it does"
            )),
        }
    }

    /// What a generation did to agreements that are being kept.
    fn reviewed(&self, digest: &str) -> Result<Vec<String>, StoreError> {
        let review = self.store.state.thing("review", "latest")?;
        let review: Option<Review> = review.as_deref().map(codec::decode).transpose()?;
        let review = review.filter(|review| review.digest == digest);
        Ok(review.map_or_else(Vec::new, |review| review.lines()))
    }

    fn standing(&self) -> Result<Standing, StoreError> {
        let gauges = Gauges::clone(&self.gauges.load());
        let cursor = *self.applied.borrow();
        let backlog = self.store.journal.last_seq().saturating_sub(cursor);
        let backlog_oldest = match backlog {
            0 => None,
            _ => self.store.journal.read(cursor, 1)?.first().map(|i| i.at),
        };
        let mut figures = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let rows =
                self.store
                    .state
                    .things("figure", after.as_deref(), limits::PAGE_ROWS_READ_MAX)?;
            let full = rows.len() == limits::PAGE_ROWS_READ_MAX;
            for (key, bytes) in rows {
                figures.push((key.clone(), codec::decode::<Stored>(&bytes)?));
                after = Some(key);
            }
            if !full {
                break;
            }
        }
        let config = self.config();
        Ok(Standing {
            targets: targets(&config),
            soonest_clocks: config.file.operators.soonest_clocks,
            gauges,
            backlog,
            backlog_oldest,
            figures,
        })
    }

    async fn replay_one(&self, seq: u64) -> Result<String, String> {
        let gone = || format!("the bytes of message {seq} are not kept any more");
        let input = self
            .store
            .journal
            .read(seq.saturating_sub(1), 1)
            .map_err(|error| error.to_string())?
            .into_iter()
            .find(|input| input.seq == seq)
            .ok_or_else(gone)?;
        let raw = self.store.journal.raw(seq);
        let raw = raw.map_err(|error| error.to_string())?.ok_or_else(gone)?;
        let sources = self.intake.sources.load_full();
        let name = input.input.source().to_owned();
        let source = sources
            .named(&name)
            .ok_or_else(|| format!("there is no source `{name}` any more"))?;
        let decoder = &self.intake.decoder;
        let (sender, decoded) = match Dump::read(&raw) {
            Some(dump) => decoder.http(source, &dump.request(input.at)),
            None if source.config.kind == "mail" => decoder.mail(source, &raw, input.at),
            None => decoder.http(source, &Request::bare(&raw, input.at)),
        };
        let mut decoded =
            decoded.map_err(|error| format!("still not readable: {}", error.reason))?;
        // What was encoded in the bytes shows only now.
        self.intake.redactor.load().decoded(&mut decoded);
        let events = decoded.events.len();
        let message = source.message(sender, decoded);
        let message = Message {
            replay_of: Some(seq),
            sensitive: message.sensitive || input.input.is_sensitive(),
            ..message
        };
        let input = NewInput {
            at: now(),
            input: Input::Message(message),
            raw: None,
        };
        let metrics: &dyn crate::intake::IntakeMetrics = &*self.metrics;
        metrics.received(&source.config.name, events as u64);
        let places = self.store.journal.append(vec![input], Vec::new()).await;
        let places = places.map_err(|error| error.to_string())?;
        let place = places.first().copied().unwrap_or_default();
        Ok(format!(
            "taken in as journal entry {place}: {events} events"
        ))
    }
}

impl Operations for Daemon {
    fn metrics(&self) -> Result<Vec<u8>, String> {
        let standing = self.standing().map_err(|error| error.to_string())?;
        self.metrics
            .text(&standing)
            .map_err(|error| error.to_string())
    }

    fn reload<'a>(
        &'a self,
        author: &'a str,
        accepted: Accepted,
    ) -> BoxFuture<'a, Result<String, Vec<String>>> {
        Box::pin(self.reload_as(author, accepted))
    }

    fn backup(&self, to: PathBuf) -> BoxFuture<'_, Result<String, String>> {
        let store = self.store.clone();
        Box::pin(async move {
            let shown = to.display().to_string();
            let written =
                tokio::task::spawn_blocking(move || crate::store::sqlite::backup(&store.dir, &to))
                    .await
                    .map_err(|error| error.to_string())?;
            written.map_err(|error| error.to_string())?;
            Ok(format!("backup written to {shown}"))
        })
    }

    fn replay(&self, seq: u64) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(self.replay_one(seq))
    }

    fn sources(&self) -> Vec<SourceShown> {
        let config = self.config();
        let configured: BTreeSet<&str> =
            config.file.source.iter().map(|s| s.name.as_str()).collect();
        let sources = self.intake.sources.load();
        sources
            .all()
            .map(|source| SourceShown {
                name: source.config.name.clone(),
                kind: source.config.kind.clone(),
                proven: source.has_credentials(),
                configured: configured.contains(source.config.name.as_str())
                    || source.config.kind == HEARTBEAT,
            })
            .collect()
    }

    fn routes(&self) -> Vec<(String, String, bool)> {
        self.config()
            .decisions
            .routes
            .iter()
            .map(|route| (route.name.clone(), route.tracker.clone(), route.shadow))
            .collect()
    }

    fn decisions(&self) -> Decisions {
        self.config().decisions.clone()
    }

    fn inventory_age(&self) -> String {
        self.config().inventory_age(now())
    }

    fn can_seal(&self) -> bool {
        self.keys.load().can_seal()
    }

    fn configuration_digest(&self) -> String {
        self.config().digest.clone()
    }

    fn ready(&self) -> Result<(), String> {
        let silent = self.turned.ago();
        if silent > ENGINE_SILENT_MAX {
            return Err(format!("the engine has not moved for {silent:?}"));
        }
        self.watched.stuck().map_or(Ok(()), Err)
    }

    fn notes(&self) -> Vec<String> {
        self.pulls.notes()
    }
}

/// Tells a generation from another one.
fn digest_of(config: &Config, of: GenerationOf) -> &str {
    match of {
        GenerationOf::Inventory => &config.inventory_digest,
        GenerationOf::Configuration | GenerationOf::ZoneData => &config.digest,
    }
}

/// The input with which a generation comes into force; a configuration brings its files.
fn generation(
    config: &Config,
    of: GenerationOf,
    note: String,
    elements: Vec<(u64, String)>,
) -> NewInput {
    let raw = (of == GenerationOf::Configuration).then(|| {
        let mut raw = Vec::new();
        for (name, text) in &config.texts {
            raw.extend_from_slice(format!("# {name}\n{text}\n").as_bytes());
        }
        raw
    });
    NewInput {
        at: now(),
        input: Input::Generation(Generation {
            of,
            digest: digest_of(config, of).to_owned(),
            note,
            elements,
        }),
        raw,
    }
}

/// Targets of the policies in force.
fn targets(config: &Config) -> Vec<(String, &'static str, u8)> {
    let targets = config.decisions.sla.targets().into_iter();
    targets
        .map(|(policy, target, severity)| (policy, target.word(), severity))
        .collect()
}
