//! Hooks of trackers. A hook is a hint: the tracker is read now, and what is read is the truth. So a
//! hook that comes late, twice or out of order undoes nothing. The one that carries its change itself
//! is ordered by its time at the tracker; an older one than the last taken says nothing any more.

use super::delivery::Workers;
use super::now;
use crate::config::Config;
use crate::formats::Request;
use crate::intake::source::{
    Credential, HmacAlgorithm, HmacEncoding, Source, SourceConfig, Sources,
};
use crate::intake::tracker_hooks::TrackerHooks;
use crate::limits;
use crate::model::ticket::{PersonChange, is_key};
use crate::model::{Input, Time};
use crate::store::sqlite::SqliteStore;
use crate::store::{Journal, Mark, NewInput};
use crate::trackers::hooks::{self, Carried, HookKind, Proof};
use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// The space of the marks: the newest change that a hook carried, by tracker and ticket.
const SPACE: &str = "hook";

/// One tracker's hooks.
struct Taken {
    kind: &'static HookKind,
    sender: Arc<Source>,
}

/// The hooks of all trackers.
pub(super) struct Hooks {
    store: Arc<SqliteStore>,
    workers: Arc<Workers>,
    taken: ArcSwap<BTreeMap<String, Taken>>,
    /// Deliveries that were taken, newest last.
    seen: Mutex<VecDeque<String>>,
    /// Changes that hooks carry are taken one after the other.
    carrying: tokio::sync::Mutex<()>,
}

/// What a hook has to show.
fn credential(proof: Proof, secret: SecretString) -> Credential {
    use HmacAlgorithm::{Sha1, Sha256};
    use HmacEncoding::{Base64, Hex};
    let (time, with) = match proof {
        Proof::Sha256OfTime(_, time) => (Some(time), None),
        Proof::Sha256With(_, with) => (None, Some(with)),
        _ => (None, None),
    };
    let (header, prefix, algorithm, encoding) = match proof {
        Proof::Bearer => return Credential::Bearer { token: secret },
        Proof::Header(name) => {
            return Credential::Header {
                name: name.to_owned(),
                value: secret,
            };
        }
        Proof::Sha256(header, prefix) => (header, prefix, Sha256, Hex),
        Proof::Sha1(header, prefix) => (header, prefix, Sha1, Hex),
        Proof::Sha1Base64(header) => (header, "", Sha1, Base64),
        Proof::Sha256OfTime(header, _) => (header, "", Sha256, Base64),
        Proof::Sha256With(header, _) => (header, "", Sha256, Hex),
    };
    Credential::Hmac {
        header: header.to_owned(),
        secret,
        algorithm,
        encoding,
        prefix: prefix.to_owned(),
        timestamp_header: time.map(str::to_owned),
        timestamp_separator: String::new(),
        appended_headers: with.into_iter().map(str::to_owned).collect(),
    }
}

impl Hooks {
    /// Takes the hooks of these trackers.
    pub fn new(store: Arc<SqliteStore>, workers: Arc<Workers>, config: &Config) -> Hooks {
        let hooks = Hooks {
            store,
            workers,
            taken: ArcSwap::default(),
            seen: Mutex::default(),
            carrying: tokio::sync::Mutex::default(),
        };
        hooks.replace(config);
        hooks
    }

    /// From now on those of another configuration.
    pub fn replace(&self, config: &Config) {
        let mut taken = BTreeMap::new();
        for (name, tracker) in &config.trackers {
            let secret = tracker.hook_secret.clone();
            let (Some(kind), Some(secret)) = (hooks::of(tracker.kind), secret) else {
                continue;
            };
            let credential = credential(kind.proof, secret);
            let source = format!("trackers/{name}");
            let mut section = SourceConfig::new(source.clone(), kind.kind);
            section.credentials.push(credential);
            let sources = Sources::new(vec![section], []).unwrap_or_default();
            if let Some(sender) = sources.named(&source) {
                let sender = sender.clone();
                taken.insert(name.clone(), Taken { kind, sender });
            }
        }
        self.taken.store(Arc::new(taken));
    }

    /// Whether this delivery comes for the first time.
    fn is_new(&self, delivery: String) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.contains(&delivery) {
            return false;
        }
        if seen.len() >= limits::TRACKER_HOOK_IDS_MAX {
            seen.pop_front();
        }
        seen.push_back(delivery);
        true
    }

    /// A change that the hook carries becomes an input, unless a newer one of its ticket was taken.
    async fn carry(&self, tracker: &str, remote: String, carried: Carried) -> Result<(), String> {
        let _one = self.carrying.lock().await;
        let sentence = |error: crate::store::StoreError| error.to_string();
        let key = format!("{tracker}/{remote}");
        let marks = self.store.journal.marks(SPACE).map_err(sentence)?;
        let newest = marks
            .into_iter()
            .find(|(known, _)| *known == key)
            .and_then(|(_, value)| String::from_utf8(value).ok()?.parse().ok())
            .map_or(Time(i64::MIN), Time);
        if carried.at < newest {
            return Ok(());
        }
        let mark = Mark {
            space: SPACE,
            key,
            value: carried.at.0.to_string().into_bytes(),
        };
        let change = PersonChange {
            tracker: tracker.to_owned(),
            remote,
            change_id: carried.id,
            at: carried.at,
            author: carried.author,
            what: carried.what,
        };
        let input = NewInput {
            at: now(),
            input: Input::Person(change),
            raw: None,
        };
        let appended = self.store.journal.append(vec![input], vec![mark]).await;
        appended.map(drop).map_err(sentence)
    }

    async fn taken(&self, tracker: &str, hook: &Request<'_>) -> Result<(), String> {
        let kind = self.taken.load().get(tracker).map(|taken| taken.kind);
        let Some(kind) = kind else { return Ok(()) };
        let delivery = hook.header(kind.delivery).unwrap_or_default();
        let said = kind.read(hook.body);
        let known = |remote: &str| self.workers.ledger.follows(tracker, remote);
        if let (Some(remote), Some(carried)) = (&said.ticket, said.change) {
            // The engine takes each change once, by its id; what has not our key is not ours.
            return match is_key(remote) {
                true => self.carry(tracker, remote.clone(), carried).await,
                false => Ok(()),
            };
        }
        if said.ticket.as_deref().is_some_and(|remote| !known(remote)) {
            // Somebody else's ticket.
            return Ok(());
        }
        if delivery.is_empty() || self.is_new(format!("{tracker}/{delivery}")) {
            self.workers.look(tracker);
        }
        Ok(())
    }
}

impl TrackerHooks for Hooks {
    fn sender(&self, tracker: &str) -> Option<Arc<Source>> {
        let taken = self.taken.load();
        taken.get(tracker).map(|taken| taken.sender.clone())
    }

    fn take<'a>(
        &'a self,
        tracker: &'a str,
        hook: &'a Request<'a>,
    ) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(self.taken(tracker, hook))
    }
}
