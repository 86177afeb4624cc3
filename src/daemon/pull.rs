//! Pulls inventories from NetBox: at the start, at intervals, and again sooner after a failure. A
//! good answer goes through the same gate as a reload and becomes a generation of its own; one that
//! would take away much is held until a person accepts it. The last one taken is kept on disk.

use super::gate::ACCEPT;
use super::now;
use super::operations::Daemon;
use crate::api::Accepted;
use crate::config::{NetboxSection, Pulled, PulledByName};
use crate::inventory::{Netbox, NetboxList};
use crate::limits;
use crate::model::Time;
use crate::model::input::GenerationOf;
use crate::telemetry::metrics::PullOutcome;
use crate::trackers::client::{Answer, Client, NoAnswer, secret_header, send};
use arc_swap::ArcSwap;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{Method, Url};
use secrecy::ExposeSecret;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// How often it is looked whether a pull is due.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A failed pull is tried again after this, unless its interval is shorter.
const AGAIN_AFTER: Duration = Duration::from_secs(60);
/// A page is asked for so often.
const TRIES: u32 = 3;
/// The wait before a page is asked for again, unless NetBox names another.
const PAUSE: Duration = Duration::from_secs(1);
/// NetBox asks for a longer wait: the pull ends, and a later one begins anew.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Rows asked for at once.
const PAGE_ROWS: u32 = 250;

/// What was pulled, what is held, what failed.
#[derive(Default)]
pub(super) struct Pulls {
    /// In force, by name.
    pub kept: ArcSwap<PulledByName>,
    /// Rises with each reload: what is configured is pulled at once.
    reloads: AtomicU64,
    held: Mutex<BTreeMap<String, Held>>,
    failed: Mutex<BTreeMap<String, String>>,
}

/// A good answer that would take away much.
#[derive(Clone)]
struct Held {
    pulled: Arc<Pulled>,
    why: String,
    since: Time,
}

/// Why there is no whole answer.
struct Failed {
    why: String,
    after: Option<Duration>,
}

impl Pulls {
    /// With the copies that were kept.
    pub fn of(kept: PulledByName) -> Pulls {
        Pulls {
            kept: ArcSwap::from_pointee(kept),
            ..Pulls::default()
        }
    }

    fn held(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a reload decides by: what is in force, and, if a person accepts it, what is held.
    pub fn for_reload(&self, accepted: Accepted) -> PulledByName {
        let mut pulled = PulledByName::clone(&self.kept.load());
        if accepted == Accepted::Yes {
            let held = self.held();
            pulled.extend(
                held.iter()
                    .map(|(name, held)| (name.clone(), held.pulled.clone())),
            );
        }
        pulled
    }

    /// Sentences for people about what is not as it should be.
    pub fn notes(&self) -> Vec<String> {
        let held = self.held();
        let failed = self.failed();
        let held = held.iter().map(|(name, held)| {
            let (since, why) = (held.since, &held.why);
            format!("netbox.{name}: a pull is held since {since}: {why}")
        });
        let failed = failed
            .iter()
            .map(|(name, why)| format!("netbox.{name}: not pulled: {why}"));
        held.chain(failed).collect()
    }
}

/// Pulls until told to stop.
pub(super) async fn run(daemon: Arc<Daemon>, stop: CancellationToken) {
    let mut due: BTreeMap<String, Instant> = BTreeMap::new();
    let mut reloads = 0;
    loop {
        let config = daemon.config();
        let now_reloads = daemon.pulls.reloads.load(Ordering::Acquire);
        if std::mem::replace(&mut reloads, now_reloads) != now_reloads {
            due.clear();
        }
        for (name, section) in &config.file.netbox {
            if due.get(name).is_some_and(|at| *at > Instant::now()) {
                continue;
            }
            let wait = tokio::select! {
                () = stop.cancelled() => return,
                wait = daemon.pull(name, section) => wait,
            };
            due.insert(name.clone(), Instant::now() + wait);
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

impl Daemon {
    /// Pulls one inventory; how long until the next time.
    async fn pull(&self, name: &str, section: &NetboxSection) -> Duration {
        let every = section.every();
        let outcome = match fetch(section).await {
            Ok(netbox) => self
                .take_pulled(name, netbox)
                .await
                .map_err(|why| Failed { why, after: None }),
            Err(failed) => Err(failed),
        };
        let (outcome, wait) = match outcome {
            Ok(outcome) => {
                self.pulls.failed().remove(name);
                (outcome, every)
            }
            Err(failed) => {
                tracing::warn!(netbox = name, why = failed.why, "netbox_not_pulled");
                self.pulls.failed().insert(name.to_owned(), failed.why);
                let wait = failed.after.unwrap_or(AGAIN_AFTER.min(every));
                (PullOutcome::Failed, wait)
            }
        };
        let held = self.pulls.held().contains_key(name);
        self.metrics.pulled(name, outcome, held, now());
        wait
    }

    /// Puts a good answer in force, or holds it.
    async fn take_pulled(&self, name: &str, netbox: Netbox) -> Result<PullOutcome, String> {
        let _one = self.reloading.lock().await;
        let old = self.config();
        let mut all = PulledByName::clone(&self.pulls.kept.load());
        let known = all.get(name).map(|pulled| pulled.digest.clone());
        let copied = Arc::clone(&old);
        let name_there = name.to_owned();
        let built = tokio::task::spawn_blocking(move || {
            let pulled = Arc::new(Pulled::new(netbox, now()));
            all.insert(name_there, pulled.clone());
            let mut new = crate::config::Config::clone(&copied);
            new.take_in(&all).map(|()| (new, all, pulled))
        });
        let built = built.await.map_err(|error| error.to_string())?;
        let (new, all, pulled) = built.map_err(|problems| {
            let told: Vec<String> = problems.iter().take(3).map(ToString::to_string).collect();
            format!("what it says cannot be used: {}", told.join("; "))
        })?;
        if known.as_ref() == Some(&pulled.digest) {
            self.pulls.held().remove(name);
            self.keep(name, &pulled);
            self.pulls.kept.store(Arc::new(all));
            self.intake.mail.store(new.trust.clone());
            self.config.store(Arc::new(new));
            return Ok(PullOutcome::Unchanged);
        }
        let judged = tokio::task::block_in_place(|| self.judge(&new, Accepted::No));
        let consequences = match judged {
            Ok(consequences) => consequences,
            Err(losses) => {
                let why = losses.join("; ");
                tracing::error!(netbox = name, why, accept = ACCEPT, "inventory_pull_held");
                let since = now();
                let mut held = self.pulls.held();
                let since = held.get(name).map_or(since, |held| held.since);
                held.insert(name.to_owned(), Held { pulled, why, since });
                return Ok(PullOutcome::Held);
            }
        };
        for odd in pulled.left_out.iter().take(limits::NAMES_TOLD_MAX) {
            tracing::warn!(netbox = name, %odd, "netbox_left_out");
        }
        self.keep(name, &pulled);
        let note = format!("netbox.{name}: {}", consequences.told().join("; "));
        let of = GenerationOf::Inventory;
        self.change_generation(&new, of, note.clone(), consequences.moved)
            .await?;
        self.pulls.held().remove(name);
        self.pulls.kept.store(Arc::new(all));
        self.intake.mail.store(new.trust.clone());
        self.config.store(Arc::new(new));
        tracing::info!(netbox = name, note, "inventory_pulled");
        Ok(PullOutcome::Taken)
    }

    fn keep(&self, name: &str, pulled: &Pulled) {
        if let Err(error) = pulled.keep(self.data_dir(), name) {
            tracing::error!(netbox = name, %error, "inventory_copy_not_kept");
        }
    }

    /// A reload has put this in force: it is what is kept from now on, and what NetBox says now is
    /// asked at once.
    pub(super) fn pulls_taken(&self, config: &crate::config::Config, pulled: PulledByName) {
        let configured = |name: &String| config.file.netbox.contains_key(name);
        let before = self.pulls.kept.load_full();
        for (name, pulled) in pulled.iter().filter(|(name, _)| configured(name)) {
            let known = before.get(name);
            if known.is_none_or(|known| known.digest != pulled.digest) {
                self.keep(name, pulled);
                self.pulls.held().remove(name);
                let at = pulled.pulled_at;
                self.metrics.pulled(name, PullOutcome::Taken, false, at);
            }
        }
        self.pulls.held().retain(|name, _| configured(name));
        self.pulls.failed().retain(|name, _| configured(name));
        self.pulls.kept.store(Arc::new(pulled));
    }

    /// What is configured is pulled at once.
    pub(super) fn pull_again(&self) {
        self.pulls.reloads.fetch_add(1, Ordering::Release);
    }
}

/// All lists of one NetBox, whole.
async fn fetch(section: &NetboxSection) -> Result<Netbox, Failed> {
    let failed = |why: String| Failed { why, after: None };
    let token = section.token.expose_secret().trim();
    // Tokens of the second version say so themselves.
    let scheme = if token.starts_with("nbt_") {
        "Bearer"
    } else {
        "Token"
    };
    let mut headers = HeaderMap::new();
    let value = secret_header(&format!("{scheme} {token}")).map_err(failed)?;
    headers.insert(AUTHORIZATION, value);
    let client = Client::new(&section.url, headers, &section.connection).map_err(failed)?;
    let mut netbox = Netbox::default();
    for list in NetboxList::ALL {
        // What devices are configured with is large, and not asked for.
        let but = match list {
            NetboxList::Devices => "&exclude=config_context",
            _ => "",
        };
        let mut next = Some(format!("{}?limit={PAGE_ROWS}{but}", list.path()));
        let mut pages = 0;
        while let Some(path) = next {
            pages += 1;
            if pages > limits::NETBOX_PAGES_MAX {
                let most = limits::NETBOX_PAGES_MAX;
                return Err(failed(format!(
                    "{} has more than {most} pages",
                    list.path()
                )));
            }
            let answer = page(&client, &path).await?;
            let told = netbox.take_page(list, &answer.body);
            let told = told.map_err(|problem| failed(problem.to_string()))?;
            next = told
                .map(|told| below(&section.url, &told, list))
                .transpose()
                .map_err(failed)?;
        }
        netbox
            .check_whole(list)
            .map_err(|problem| failed(problem.to_string()))?;
    }
    Ok(netbox)
}

/// The path of the next page. Its host is not followed: NetBox behind a proxy names its own, and
/// the token goes nowhere but to the configured address.
fn below(base: &Url, next: &str, list: NetboxList) -> Result<String, String> {
    let elsewhere = || {
        format!(
            "the page after one of {} lies elsewhere: {next}",
            list.path()
        )
    };
    let next_url = base.join(next).map_err(|_| elsewhere())?;
    let prefix = base.path().trim_end_matches('/');
    let path = next_url.path();
    let path = path.strip_prefix(prefix).unwrap_or(path);
    if path != list.path() {
        return Err(elsewhere());
    }
    Ok(format!("{path}?{}", next_url.query().unwrap_or_default()))
}

/// One page; asked for again when NetBox is busy or the answer is torn.
async fn page(client: &Client, path: &str) -> Result<Answer, Failed> {
    let mut tries = 0;
    loop {
        tries += 1;
        let (why, after) = match send(client.request(Method::GET, path)).await {
            Ok(answer) if answer.is_success() => return Ok(answer),
            Ok(answer) if matches!(answer.status, 401 | 403) => {
                return Err(Failed {
                    why: format!("{}; is the token right, and may it read?", answer.said()),
                    after: Some(Duration::from_secs(limits::TRACKER_UNAUTHORISED_SECONDS)),
                });
            }
            Ok(answer) if matches!(answer.status, 408 | 429 | 500..=599) => {
                (answer.said(), answer.retry_after())
            }
            Ok(answer) => {
                return Err(Failed {
                    why: format!("{path}: {}", answer.said()),
                    after: None,
                });
            }
            Err(NoAnswer::NotSent(why) | NoAnswer::Lost(why)) => (why, None),
        };
        let wait = after.unwrap_or(PAUSE);
        if tries >= TRIES || wait > WAIT_MAX {
            let why = format!("{path}: {why}");
            return Err(Failed { why, after });
        }
        tokio::time::sleep(wait).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_asked_of_the_configured_address_only() {
        let base = Url::parse("https://nb.example.net/netbox/").unwrap();
        let list = NetboxList::Devices;
        let next = "http://10.0.0.1:8001/netbox/api/dcim/devices/?limit=2&offset=2";
        let path = below(&base, next, list).unwrap();
        assert_eq!(path, "/api/dcim/devices/?limit=2&offset=2");
        let next = "https://nb.example.net/netbox/api/users/tokens/?limit=2";
        assert!(
            below(&base, next, list)
                .unwrap_err()
                .contains("lies elsewhere")
        );
    }
}
