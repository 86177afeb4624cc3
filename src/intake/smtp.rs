//! The mail door: SMTP and LMTP.
//!
//! A session reads commands with `smtp-proto`, data with [`super::smtp_data`], and hands each whole
//! mail to [`Intake::accept`], once for each source that its recipients name
//! (`alerts+SOURCE@...`). Nothing is relayed. Invariant: 250 after the data means that the journal
//! has committed; a mail is refused for its size or its recipient, never for what it says.

use super::Refused;
use super::accept::Intake;
use super::auth::in_ranges;
use super::listener::{Door, Peer, Stream};
use super::rate::Limiter;
use super::senders::Envelope;
use super::smtp_data::Mail;
use super::smtp_reply::{self as reply, Reply};
use super::smtp_session::Session;
use super::source::Source;
use super::tls::TlsSlot;
use crate::limits;
use crate::model::Outcome;
use crate::store::StoreError;
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How the door behaves.
#[derive(Clone, Debug)]
pub struct SmtpSettings {
    /// LMTP instead of SMTP.
    pub lmtp: bool,
    /// The name in greetings.
    pub hostname: String,
    /// Domains whose mail is taken; empty: any.
    pub domains: Vec<String>,
    /// What stands between the local part and the source's name.
    pub delimiter: char,
    /// The source of mail whose recipient names none that is known.
    pub default_source: String,
    /// Whether sources without address ranges are believed: the door is on loopback, or the
    /// operator said so.
    pub believe_any_address: bool,
    /// Whether mail is taken only after STARTTLS.
    pub require_tls: bool,
    /// Where large mails are kept while they arrive.
    pub spool: PathBuf,
    /// Largest mail.
    pub mail_bytes_max: usize,
    /// Longest silence.
    pub idle_time: Duration,
    /// Longest time for the data of one mail.
    pub data_time: Duration,
    /// Longest session.
    pub session_time: Duration,
}

impl SmtpSettings {
    /// The defaults of SMTP; large mails are kept in `spool`.
    pub fn new(spool: PathBuf) -> SmtpSettings {
        SmtpSettings {
            lmtp: false,
            hostname: "alertbridge".to_owned(),
            domains: Vec::new(),
            delimiter: '+',
            default_source: "mail".to_owned(),
            believe_any_address: true,
            require_tls: false,
            spool,
            mail_bytes_max: limits::MAIL_BYTES_MAX,
            idle_time: Duration::from_secs(limits::SMTP_IDLE_SECONDS),
            data_time: Duration::from_secs(limits::SMTP_DATA_SECONDS),
            session_time: Duration::from_secs(limits::SMTP_SESSION_SECONDS),
        }
    }
}

/// Room in memory for whole mails; one for all mail doors of a daemon.
#[derive(Clone, Debug)]
pub struct InHand(Arc<Semaphore>);

impl InHand {
    /// Room for that many bytes.
    pub fn new(bytes_max: usize) -> InHand {
        InHand(Arc::new(Semaphore::new(bytes_max / 1024)))
    }

    /// Room for a mail of that length while the permit is held; `None` if there is none in time.
    pub(super) async fn room(
        &self,
        bytes: usize,
        longest: Duration,
    ) -> Option<SemaphorePermit<'_>> {
        let kibibytes = u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX);
        let room = timeout(longest, self.0.acquire_many(kibibytes)).await;
        room.ok()?.ok()
    }
}

/// The door.
pub struct SmtpDoor {
    pub(super) intake: Arc<Intake>,
    pub(super) settings: SmtpSettings,
    pub(super) tls: TlsSlot,
    in_hand: InHand,
    pace: Limiter,
}

impl SmtpDoor {
    /// A door to an intake. The slot gives STARTTLS its certificate.
    pub fn new(
        intake: Arc<Intake>,
        settings: SmtpSettings,
        tls: TlsSlot,
        in_hand: InHand,
    ) -> Arc<SmtpDoor> {
        Arc::new(SmtpDoor {
            intake,
            settings,
            tls,
            in_hand,
            pace: Limiter::new(limits::RATE_KEYS_MAX),
        })
    }

    pub(super) fn door_name(&self) -> &'static str {
        if self.settings.lmtp { "lmtp" } else { "smtp" }
    }

    /// The source of a recipient, or why there is none.
    pub(super) fn recipient(&self, address: &str, client: IpAddr) -> Result<Arc<Source>, Reply> {
        let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
        let domains = &self.settings.domains;
        let is_ours = domain.is_empty()
            || domains.is_empty()
            || domains.iter().any(|ours| ours.eq_ignore_ascii_case(domain));
        if !is_ours {
            return Err(reply::NO_RELAY);
        }
        let sources = self.intake.sources.load();
        let source = local
            .split_once(self.settings.delimiter)
            .and_then(|(_, tag)| {
                sources
                    .named(tag)
                    .or_else(|| sources.named(&tag.to_lowercase()))
            })
            .or_else(|| sources.named(&self.settings.default_source))
            .cloned()
            .ok_or(reply::NOT_AUTHORIZED)?;
        let ranges = &source.config.addresses;
        let is_believed = if ranges.is_empty() {
            self.settings.believe_any_address && !source.has_credentials()
        } else {
            in_ranges(ranges, client)
        };
        if !is_believed {
            self.ended(&source, Outcome::Unauthorized);
            return Err(reply::NOT_AUTHORIZED);
        }
        if let Some(pace) = source.pace {
            let now = self.intake.clock.monotonic();
            let rate = source.config.rate.unwrap_or(1);
            let burst = rate.saturating_mul(limits::RATE_BURST_SECONDS);
            if self.pace.admit(source.index, pace, burst, now).is_err() {
                self.ended(&source, Outcome::RateLimited);
                return Err(reply::RATE_LIMITED);
            }
        }
        Ok(source)
    }

    fn ended(&self, source: &Source, outcome: Outcome) {
        self.intake.metrics.received(&source.name, 1);
        self.intake.metrics.outcome(&source.name, outcome, 1);
    }

    /// Stores a mail for each source of its recipients. One reply for each recipient.
    pub(super) async fn store(
        &self,
        mail: Mail,
        envelope: &Envelope,
        recipients: &[Arc<Source>],
    ) -> Vec<Reply> {
        let all = |reply| vec![reply; recipients.len()];
        let longest = Duration::from_secs(limits::MAIL_WAIT_SECONDS);
        let Some(_room) = self.in_hand.room(mail.len(), longest).await else {
            return all(reply::BUSY);
        };
        let mut raw = match mail.into_bytes() {
            Ok(raw) => bytes::Bytes::from(raw),
            Err(error) => {
                tracing::warn!(%error, "mail_spool_unreadable");
                return all(reply::STORE_UNAVAILABLE);
            }
        };
        let mut sources: Vec<&Arc<Source>> = Vec::new();
        for source in recipients {
            if !sources.iter().any(|other| other.name == source.name) {
                sources.push(source);
            }
        }
        let mut done: BTreeMap<&str, Reply> = BTreeMap::new();
        for (left, source) in (0..sources.len()).rev().zip(sources) {
            // The last one gets the bytes themselves: large mails are copied for the others alone.
            let bytes = match left {
                0 => std::mem::take(&mut raw),
                _ => raw.clone(),
            };
            done.insert(&source.name, self.store_for(source, bytes, envelope).await);
        }
        let reply = |source: &Arc<Source>| done.get(&*source.name).copied();
        recipients
            .iter()
            .map(|source| reply(source).unwrap_or(reply::STORE_UNAVAILABLE))
            .collect()
    }

    async fn store_for(
        &self,
        source: &Arc<Source>,
        raw: bytes::Bytes,
        envelope: &Envelope,
    ) -> Reply {
        let taken = self
            .intake
            .take_mail(source, raw, envelope, Vec::new())
            .await;
        match taken {
            Ok(_) => reply::ACCEPTED,
            Err(error) => {
                tracing::warn!(source = %source.name, %error, "mail_not_stored");
                let (why, reply) = match error {
                    StoreError::Full { .. } => (Refused::BacklogFull, reply::BACKLOG_FULL),
                    _ => (Refused::StoreUnavailable, reply::STORE_UNAVAILABLE),
                };
                self.intake.metrics.refused(self.door_name(), why);
                reply
            }
        }
    }
}

impl Door for SmtpDoor {
    fn serve(
        self: Arc<Self>,
        stream: Stream,
        peer: Peer,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut session = Session::new(&self, stream, peer);
            let result = session.run(&stop).await;
            if let Err(end) = result {
                session.say_last(end).await;
            }
        })
    }

    fn name(&self) -> &'static str {
        self.door_name()
    }

    fn tls_at_once(&self) -> bool {
        false
    }
}
