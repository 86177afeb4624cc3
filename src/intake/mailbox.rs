//! Mailboxes that the bridge reads itself ([`super::imap`], [`super::maildir`]): their
//! configuration, the ledger of what was read, and what becomes of a mail afterwards.
//!
//! The ledger is kept as marks of the journal, moved in the transaction that takes the mail in: a
//! mail is taken once over any restart, and nothing is removed from a mailbox before that commit.

use super::accept::{Delivery, Intake, summary_of};
use super::imap::ImapConfig;
use super::maildir::MaildirConfig;
use super::senders::Envelope;
use super::smtp::InHand;
use super::source::Source;
use crate::formats::Undecodable;
use crate::limits;
use crate::model::{Outcome, Time};
use crate::store::{Mark, StoreError};
use rustc_hash::FxHashMap;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The space of the ledger's marks.
const SPACE: &str = "mailbox";

/// `[[mailbox]]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MailboxConfig {
    /// A folder of an IMAP server.
    Imap(ImapConfig),
    /// A Maildir on this machine.
    Maildir(MaildirConfig),
}

impl MailboxConfig {
    /// Its name, for metrics and the ledger.
    pub fn name(&self) -> &str {
        match self {
            MailboxConfig::Imap(config) => &config.name,
            MailboxConfig::Maildir(config) => &config.name,
        }
    }

    /// The source that its mails are taken as.
    pub fn source(&self) -> &str {
        match self {
            MailboxConfig::Imap(config) => &config.source,
            MailboxConfig::Maildir(config) => &config.source,
        }
    }

    /// What is wrong with it, as a sentence; `None`: nothing.
    pub fn problem(&self) -> Option<String> {
        let name = self.name();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || !name.chars().all(plain) {
            return Some("its name is made of letters, digits, `-`, `_` and `.`".to_owned());
        }
        match self {
            MailboxConfig::Imap(config) => config.problem(),
            MailboxConfig::Maildir(_) => None,
        }
    }
}

pub(super) fn mail_source() -> String {
    "mail".to_owned()
}

/// What is told of mailboxes.
pub trait MailboxMetrics: Send + Sync {
    /// Whether the mailbox can be read.
    fn mailbox_up(&self, mailbox: &str, up: bool);

    /// The mailbox was looked through whole.
    fn mailbox_looked(&self, mailbox: &str, at: Time);
}

/// What a mailbox's reader works with.
pub struct Reading {
    /// The intake.
    pub intake: Arc<Intake>,
    /// Room in memory for whole mails, shared with the doors.
    pub in_hand: InHand,
    /// What is told.
    pub metrics: Arc<dyn MailboxMetrics>,
}

/// Why a mail was not taken from its mailbox; it stays there.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotTaken {
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("there is no source `{0}`")]
    NoSource(String),
    #[error("there is no room in memory for it")]
    NoRoom,
}

/// What of a mail there is to take.
pub(super) enum Content {
    /// The whole mail.
    Whole(bytes::Bytes),
    /// What can be had of one that cannot be read whole, and why.
    Part(bytes::Bytes, String),
}

/// What was read of one mailbox, and what is still to be removed from it.
pub(super) struct Ledger {
    reading: Arc<Reading>,
    name: String,
    source: String,
    /// Last UID by UIDVALIDITY.
    last: FxHashMap<u32, u32>,
    /// When a content was first read.
    contents: FxHashMap<[u8; 16], Time>,
    /// Read and still in the mailbox although it should not be.
    pub(super) pending: BTreeSet<String>,
}

impl Ledger {
    /// The ledger as the journal has it. Blocks.
    pub(super) fn load(
        reading: Arc<Reading>,
        name: &str,
        source: &str,
    ) -> Result<Ledger, StoreError> {
        let mut ledger = Ledger {
            name: name.to_owned(),
            source: source.to_owned(),
            last: FxHashMap::default(),
            contents: FxHashMap::default(),
            pending: BTreeSet::new(),
            reading,
        };
        for (key, value) in ledger.reading.intake.journal.marks(SPACE)? {
            let Some(rest) = key
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix('/'))
            else {
                continue;
            };
            match rest.split_once('/') {
                Some(("last", validity)) => {
                    let last = String::from_utf8_lossy(&value).parse();
                    if let (Ok(validity), Ok(last)) = (validity.parse(), last) {
                        ledger.last.insert(validity, last);
                    }
                }
                Some(("content", digest)) => {
                    let at = String::from_utf8_lossy(&value).parse();
                    let digest = u128::from_str_radix(digest, 16);
                    if let (Ok(digest), Ok(at)) = (digest, at) {
                        ledger.contents.insert(digest.to_be_bytes(), Time(at));
                    }
                }
                Some(("pending", what)) => {
                    ledger.pending.insert(what.to_owned());
                }
                _ => {}
            }
        }
        Ok(ledger)
    }

    /// The last UID that was read under a UIDVALIDITY; 0: none.
    pub(super) fn last(&self, validity: u32) -> u32 {
        self.last.get(&validity).copied().unwrap_or(0)
    }

    fn mark(&self, what: &str, key: &str, value: String) -> Mark {
        Mark {
            space: SPACE,
            key: format!("{}/{what}/{key}", self.name),
            value: value.into_bytes(),
        }
    }

    /// Takes one mail in, once. `at` is its place by UIDVALIDITY and UID, if it has one;
    /// `to_remove` what has to leave the mailbox afterwards.
    pub(super) async fn take(
        &mut self,
        content: Content,
        at: Option<(u32, u32)>,
        to_remove: Option<&str>,
    ) -> Result<(), NotTaken> {
        let intake = self.reading.intake.clone();
        let sources = intake.sources.load();
        let source = sources.named(&self.source).cloned();
        drop(sources);
        let source = source.ok_or_else(|| NotTaken::NoSource(self.source.clone()))?;
        let now = intake.clock.now();
        let bytes = match &content {
            Content::Whole(bytes) | Content::Part(bytes, _) => bytes,
        };
        let digest = digest(bytes);
        let is_known = self.is_known(&digest, bytes, now);
        let mut marks = Vec::new();
        if let Some((validity, uid)) = at {
            marks.push(self.mark("last", &validity.to_string(), uid.to_string()));
        }
        if let Some(what) = to_remove {
            marks.push(self.mark("pending", what, "1".to_owned()));
        }
        let key = format!("{:032x}", u128::from_be_bytes(digest));
        marks.push(self.mark("content", &key, now.0.to_string()));
        if is_known {
            intake.journal.append(Vec::new(), marks).await?;
            intake.metrics.received(&source.name, 1);
            intake
                .metrics
                .outcome(&source.name, Outcome::Deduplicated, 1);
        } else {
            self.append(&intake, &source, content, marks).await?;
        }
        self.contents.insert(digest, now);
        if let Some((validity, uid)) = at {
            self.last.insert(validity, uid);
        }
        self.pending.extend(to_remove.map(str::to_owned));
        Ok(())
    }

    async fn append(
        &self,
        intake: &Intake,
        source: &Arc<Source>,
        content: Content,
        marks: Vec<Mark>,
    ) -> Result<(), NotTaken> {
        match content {
            Content::Whole(raw) => {
                let longest = Duration::from_secs(limits::MAIL_WAIT_SECONDS);
                let room = self.reading.in_hand.room(raw.len(), longest).await;
                let _room = room.ok_or(NotTaken::NoRoom)?;
                let envelope = Envelope::default();
                intake.take_mail(source, raw, &envelope, marks).await?;
            }
            Content::Part(raw, reason) => {
                let delivery = Delivery {
                    tried: ("mailbox".to_owned(), Err(Undecodable::because(reason))),
                    group: format!("mailbox {}", self.name),
                    summary: summary_of(&raw),
                    raw: raw.to_vec(),
                };
                intake.accept_marked(source, vec![delivery], marks).await?;
            }
        }
        Ok(())
    }

    /// Skips a UID that is gone.
    pub(super) async fn skip(&mut self, validity: u32, uid: u32) -> Result<(), NotTaken> {
        let mark = self.mark("last", &validity.to_string(), uid.to_string());
        let journal = self.reading.intake.journal.clone();
        journal.append(Vec::new(), vec![mark]).await?;
        self.last.insert(validity, uid);
        Ok(())
    }

    /// Something has left the mailbox.
    pub(super) async fn removed(&mut self, what: &str) -> Result<(), NotTaken> {
        let mark = self.mark("pending", what, String::new());
        let journal = self.reading.intake.journal.clone();
        journal.append(Vec::new(), vec![mark]).await?;
        self.pending.remove(what);
        Ok(())
    }

    /// The same bytes again are the same mail. Without a Message-ID that holds for minutes only:
    /// after that it is a monitor that repeats itself.
    fn is_known(&self, digest: &[u8; 16], raw: &[u8], now: Time) -> bool {
        let window = Duration::from_secs(limits::MAIL_SAME_SECONDS);
        self.contents
            .get(digest)
            .is_some_and(|at| now.since(*at) < window || has_message_id(raw))
    }
}

/// A digest of the bytes, by which mails are told apart.
fn digest(raw: &[u8]) -> [u8; 16] {
    let whole: [u8; 32] = Sha256::digest(raw).into();
    let mut half = [0; 16];
    half.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
    half
}

fn has_message_id(raw: &[u8]) -> bool {
    let name = b"message-id:";
    raw.split(|byte| *byte == b'\n')
        .take_while(|line| !line.is_empty() && *line != b"\r")
        .any(|line| {
            line.get(..name.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(name))
        })
}

/// How long to wait before a mailbox is tried again: doubled each time, with a bound, and spread
/// so that several do not come at once.
pub(super) fn back_off(failures: u32, spread: f64) -> Duration {
    let most = limits::MAILBOX_BACK_OFF_SECONDS_MAX;
    let seconds = 1u64.checked_shl(failures.min(16)).unwrap_or(most).min(most);
    Duration::from_secs(seconds).mul_f64(0.5 + spread / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_bound() {
        assert_eq!(back_off(0, 1.0), Duration::from_secs(1));
        assert_eq!(back_off(3, 0.0), Duration::from_secs(4));
        assert_eq!(
            back_off(u32::MAX, 1.0),
            Duration::from_secs(limits::MAILBOX_BACK_OFF_SECONDS_MAX)
        );
    }

    #[test]
    fn a_message_id_counts_in_the_header_only() {
        assert!(has_message_id(b"Subject: x\r\nMessage-Id: <a@b>\r\n\r\nx"));
        assert!(!has_message_id(b"Subject: x\r\n\r\nMessage-ID: <a@b>\r\n"));
    }

    #[test]
    fn configurations_are_strict() {
        let read = |text: &str| toml::from_str::<MailboxConfig>(text);
        let maildir = read("kind = \"maildir\"\nname = \"m\"\npath = \"/var/mail/m\"\n").unwrap();
        assert_eq!((maildir.name(), maildir.source()), ("m", "mail"));
        assert!(read("kind = \"maildir\"\nname = \"m\"\npath = \"/m\"\nhost = \"x\"\n").is_err());
        let odd = read("kind = \"maildir\"\nname = \"a/b\"\npath = \"/m\"\n").unwrap();
        assert!(odd.problem().is_some());
    }
}
