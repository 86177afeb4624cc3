//! The look: every few seconds the bridge asks itself how it stands. What can become a ticket goes
//! through the journal like any alert; trouble of the store or the engine goes out by letter.

use super::findings::{Change, Finding, Growth, Part, Told, Word};
use super::letters::{self, Letters};
use super::{Daemon, now};
use crate::config::{Config, Expiring};
use crate::intake::IntakeMetrics;
use crate::model::Input;
use crate::model::event::SeverityHint;
use crate::model::input::OWN_SOURCE;
use crate::store::{Journal, Mark, NewInput};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Longest time between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Longest time between two questions to the disk while nothing else is written.
const PROBE_EVERY: Duration = Duration::from_secs(30);
/// Time that the store has to answer.
const PROBE_TIME: Duration = Duration::from_secs(10);
/// Within this time growth of the quarantine is counted.
const GROWTH_WITHIN: Duration = Duration::from_secs(600);
/// From this share of the disk budget on, people are told.
const BACKLOG_PERCENT: u64 = 80;
/// Marks of what was told, in the journal.
const MARKS: &str = "watch";

/// What one look knows of those before it.
struct Look<'a> {
    daemon: &'a Daemon,
    began: Instant,
    told: Option<Told>,
    store: Part,
    engine: Part,
    growth: Growth,
    letters: Letters,
    probed: Option<Duration>,
    cursor: u64,
    /// What is over already and is still to be told, by key.
    once: BTreeMap<String, Finding>,
}

/// Looks for as long as the daemon runs.
pub(super) async fn run(daemon: &Daemon) {
    let mut look = Look {
        daemon,
        began: Instant::now(),
        told: None,
        store: Part::default(),
        engine: Part::default(),
        growth: Growth::new(GROWTH_WITHIN),
        letters: Letters::default(),
        probed: None,
        cursor: 0,
        once: BTreeMap::new(),
    };
    loop {
        look.once().await;
        let after = daemon.config().file.watch.after;
        let pause = LOOK_EVERY.min(after).max(Duration::from_secs(1));
        tokio::time::sleep(pause).await;
    }
}

impl Look<'_> {
    async fn once(&mut self) {
        let config = self.daemon.config();
        let at = self.began.elapsed();
        let after = config.file.watch.after;
        let every = config.watch_mail.as_ref().map_or(after, |mail| mail.every);
        let why = self.store_trouble(at, after).await;
        let word = self.store.looked(why, at, after, every);
        self.say("store", word, &config);
        let why = self.engine_trouble(after);
        let word = self.engine.looked(why, at, after, every);
        self.say("engine", word, &config);
        // Whoever asks for readiness asks the store anew.
        let stuck = self.engine.lasting(at, after);
        let stuck = stuck.map(|why| format!("the engine is stuck: {why}"));
        self.daemon.watched.seen(|seen| seen.stuck = stuck);
        if let Some(mail) = &config.watch_mail {
            self.letters.send(mail, at).await;
        }
        if !self.store.is_bad() {
            self.tell(&config, at).await;
        }
    }

    /// Asks the disk, if nobody else did lately.
    async fn store_trouble(&mut self, at: Duration, after: Duration) -> Option<String> {
        let journal = &self.daemon.store().journal;
        let every = PROBE_EVERY.min(after);
        let is_due = self
            .probed
            .is_none_or(|last| at.saturating_sub(last) >= every);
        if !is_due && journal.trouble().is_none() {
            return None;
        }
        self.probed = Some(at);
        // An empty append is a commit: it fails exactly when the store cannot be written.
        let asked = journal.append(Vec::new(), Vec::new());
        match tokio::time::timeout(PROBE_TIME, asked).await {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("the store has not answered within {PROBE_TIME:?}")),
        }
    }

    /// The engine is stuck when its loop does not turn, or when it is behind and does not move.
    fn engine_trouble(&mut self, after: Duration) -> Option<String> {
        let silent = self.daemon.turned.ago();
        if silent > after.max(LOOK_EVERY) {
            return Some(format!("its loop has not turned for {}s", silent.as_secs()));
        }
        let cursor = self.daemon.applied_to();
        let last = self.daemon.store().journal.last_seq();
        let before = std::mem::replace(&mut self.cursor, cursor);
        (cursor == before && last > cursor).then(|| {
            let waiting = last - cursor;
            format!(
                "{waiting} journal entries wait, and entry {} is not applied",
                cursor + 1
            )
        })
    }

    /// A word about a part becomes a letter, and a ticket once that is possible again.
    fn say(&mut self, part: &'static str, word: Option<Word>, config: &Config) {
        let Some(word) = word else { return };
        let is_worth_a_letter = matches!(&word, Word::Bad(..) | Word::Well(_, _, true));
        if let Some(mail) = config.watch_mail.as_ref().filter(|_| is_worth_a_letter) {
            let data = &self.daemon.store().dir;
            let text = letters::text(part, &word, &host(), data, mail.every);
            self.letters.put(part, mail.to.len(), &text);
        }
        match word {
            Word::Bad(lasted, why) => {
                tracing::error!(part, ?lasted, why, "bridge_in_trouble");
            }
            Word::Well(lasted, why, _) => {
                tracing::warn!(part, ?lasted, why, "bridge_well_again");
                let finding = was_in_trouble(part, lasted, &why);
                self.once.insert(finding.key.clone(), finding);
            }
        }
    }

    /// What is found now.
    fn findings(&mut self, config: &Config, at: Duration) -> Vec<Finding> {
        let watch = &config.file.watch;
        let mut found: Vec<Finding> = self.once.values().cloned().collect();
        for (tracker, count) in self.daemon.given_up() {
            found.push(given_up(&tracker, count));
        }
        let figures = self.daemon.store().journal.figures();
        let (used, most) = (figures.backlog_bytes, figures.backlog_bytes_max);
        if most > 0 && used.saturating_mul(100) / most >= BACKLOG_PERCENT {
            found.push(backlog(used, most));
        }
        let grew = self.growth.counted(self.daemon.metrics.quarantined(), at);
        if watch.quarantine_growth > 0 && grew >= watch.quarantine_growth {
            found.push(quarantine(grew));
        }
        let days = Duration::from_secs(u64::from(watch.expiry_days) * 86_400);
        let until = now().plus(days);
        let told = self.daemon.watched.seen(|seen| seen.expiries.clone());
        let ending = told.iter().chain(&config.expiring);
        found.extend(ending.filter(|one| one.at < until).map(expires));
        found
    }

    /// Journals what is new, each with its mark in the same transaction.
    async fn tell(&mut self, config: &Config, at: Duration) {
        let journal = self.daemon.store().journal.clone();
        let mut told = match self.told.take() {
            Some(told) => told,
            None => match journal.marks(MARKS) {
                Ok(marks) => Told::from_marks(marks, at),
                Err(error) => {
                    tracing::warn!(%error, "watch_marks_unreadable");
                    return;
                }
            },
        };
        let stepped = self.daemon.watched.seen(|seen| seen.stepped_ms.take());
        if let Some(by_ms) = stepped {
            let finding = clock_stepped(by_ms);
            self.once.insert(finding.key.clone(), finding);
        }
        let found = self.findings(config, at);
        for change in told.changes(&found, at, config.file.watch.clear_after) {
            let value = match &change {
                Change::Raise(finding) => finding.summary.clone().into_bytes(),
                Change::Clear(..) => Vec::new(),
            };
            let mark = Mark {
                space: MARKS,
                key: change.key().to_owned(),
                value,
            };
            let received_at = now();
            let input = NewInput {
                at: received_at,
                input: Input::Message(change.message(received_at)),
                raw: None,
            };
            match journal.append(vec![input], vec![mark]).await {
                Ok(_) => {
                    IntakeMetrics::received(&*self.daemon.metrics, OWN_SOURCE, 1);
                    told.journaled(&change, at);
                }
                Err(error) => {
                    tracing::warn!(%error, key = change.key(), "watch_finding_not_journaled");
                    self.told = Some(told);
                    return;
                }
            }
        }
        // All of it is in the journal.
        self.once.clear();
        self.told = Some(told);
    }
}

/// The machine's name, for people.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(|c| !c.is_control()).collect();
    if name.is_empty() {
        "this machine".to_owned()
    } else {
        name
    }
}

fn was_in_trouble(part: &str, lasted: Duration, why: &str) -> Finding {
    let lasted = Duration::from_secs(lasted.as_secs());
    let (summary, details) = match part {
        "store" => (
            "The store could not be written",
            "Doors answered 503 and 451 meanwhile; senders that try again have lost nothing. Look \
             at the disk of the data directory.",
        ),
        _ => (
            "The engine was stuck",
            "Alerts were kept and are decided now, later than they should have been. The log says \
             why: state_not_committed, engine_stuck.",
        ),
    };
    Finding {
        key: part.to_owned(),
        hint: SeverityHint::Outage,
        summary: summary.to_owned(),
        details: format!("For {lasted:?}: {why}. {details}"),
    }
}

fn clock_stepped(by_ms: i64) -> Finding {
    Finding {
        key: "clock".to_owned(),
        hint: SeverityHint::Degradation,
        summary: "The clock of the bridge's machine jumped".to_owned(),
        details: format!(
            "By {} s, or the machine was asleep. Holds and expiries got a full period of grace; \
             due instants of contracts did not move. Look at the time service (timedatectl).",
            by_ms / 1000
        ),
    }
}

fn given_up(tracker: &str, count: u64) -> Finding {
    Finding {
        key: format!("given-up/{tracker}"),
        hint: SeverityHint::Degradation,
        summary: format!("Tickets for tracker {tracker} were given up"),
        details: format!(
            "{count} so far: the tracker refuses them for good. `alertbridge outbox show` names \
             the field; put it right there, then `outbox retry` or `outbox drop`."
        ),
    }
}

fn backlog(used: u64, most: u64) -> Finding {
    Finding {
        key: "backlog".to_owned(),
        hint: SeverityHint::Degradation,
        summary: "The disk budget for what waits is nearly used up".to_owned(),
        details: format!(
            "{used} of {most} bytes wait for the engine; at the end of the budget doors answer 503."
        ),
    }
}

fn quarantine(grew: u64) -> Finding {
    Finding {
        key: "quarantine".to_owned(),
        hint: SeverityHint::Degradation,
        summary: "Many messages cannot be read and go to quarantine".to_owned(),
        details: format!(
            "{grew} within ten minutes. `alertbridge quarantine` lists them; `alertbridge sources` \
             says whose they are. After a fix: `quarantine replay`."
        ),
    }
}

fn expires(one: &Expiring) -> Finding {
    let renew = if one.key.starts_with("certificate/") {
        "Put a new one in its place, then `alertbridge reload`."
    } else {
        "Make a new one at the tracker, put it into its file or credential, then `alertbridge \
         reload`."
    };
    let what = &one.what;
    Finding {
        key: one.key.clone(),
        hint: SeverityHint::Redundancy,
        summary: format!("Ends soon: {what}"),
        details: format!("It ends at {}. {renew}", one.at),
    }
}
