//! Any tracker that reads mail.
//!
//! Each operation is one letter with a Message-ID of its own that stays the same when it is sent
//! again, so a tracker that drops letters it has seen takes it once. Later letters refer to the
//! first by References and In-Reply-To and carry the key in the subject. Nothing can be searched or
//! read back: what people do comes back by other ways or not at all.

use super::registry::Settings;
use super::{Called, Capabilities, Change, Draft, Known, RemoteTicket, Tracker, flat, text};
use crate::limits;
use crate::model::Time;
use crate::model::text::bounded;
use crate::model::ticket::{PersonChange, RemoteRef, TicketFields};
use crate::relay::{self, Relay, RelayConfig, RelayTls, Sent};
use futures_util::future::BoxFuture;
use lettre::message::Mailbox;
use secrecy::SecretString;
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Longest subject of a letter, characters.
const SUBJECT_CHARS_MAX: usize = 200;

/// `kind = "mail"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailConfig {
    /// The address that the tracker reads.
    pub to: String,
    /// The address that the bridge writes from.
    pub from: String,
    /// The mail server.
    pub host: String,
    /// Its port.
    #[serde(default = "port")]
    pub port: u16,
    /// How the connection is protected.
    #[serde(default)]
    pub tls: RelayTls,
    /// A PEM file of a further certificate authority.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The login, if the server wants one.
    #[serde(default)]
    pub user: String,
    /// Its password.
    #[serde(default)]
    pub password: Option<SecretString>,
    /// Whether letters say `Auto-Submitted: auto-generated`, so that nothing answers them by
    /// itself. Redmine drops such letters: false there.
    #[serde(default = "yes")]
    pub auto_submitted: bool,
    /// Where the name of a queue or project stands in the subject, `{queue}` for its place; empty:
    /// nowhere.
    #[serde(default)]
    pub subject_prefix: String,
    /// The name in Message-IDs and greetings; the domain of `from` when it is not given.
    #[serde(default)]
    pub domain: Option<String>,
}

fn port() -> u16 {
    587
}

fn yes() -> bool {
    true
}

impl Settings for MailConfig {
    fn connect(self, name: &str) -> Result<Arc<dyn Tracker>, String> {
        Ok(Arc::new(MailTracker::new(name, self)?))
    }
}

/// A tracker that reads mail.
pub struct MailTracker {
    name: String,
    config: MailConfig,
    from: Mailbox,
    to: Mailbox,
    domain: String,
    relay: Relay,
    capabilities: Capabilities,
}

/// One letter.
struct Letter<'a> {
    /// The key of the ticket.
    key: &'a str,
    /// What tells this letter from the others of its ticket; empty for the first.
    id: &'a str,
    subject: String,
    body: String,
}

impl MailTracker {
    /// A tracker by its configuration; nothing is sent yet.
    pub fn new(name: &str, config: MailConfig) -> Result<MailTracker, String> {
        let address = |key: &str, text: &str| {
            text.parse::<Mailbox>()
                .map_err(|error| format!("{key}: `{text}` is no mail address: {error}"))
        };
        let from = address("from", &config.from)?;
        let to = address("to", &config.to)?;
        let domain = config
            .domain
            .clone()
            .unwrap_or_else(|| from.email.domain().to_owned());
        let relay = RelayConfig {
            host: config.host.clone(),
            port: config.port,
            tls: config.tls,
            ca_file: config.ca_file.clone(),
            user: config.user.clone(),
            password: config.password.clone(),
            domain: domain.clone(),
        };
        Ok(MailTracker {
            name: name.to_owned(),
            relay: Relay::new(relay)?,
            from,
            to,
            domain,
            config,
            capabilities: Capabilities {
                finds_by_key: false,
                creates_once: false,
                settle: Duration::ZERO,
                reopens: true,
                links: false,
                reads_back: false,
                reads_changes: false,
                poll_every: Duration::from_secs(3600),
                subject_chars_max: SUBJECT_CHARS_MAX,
                body_bytes_max: 200 * 1024,
                parallel_max: 2,
            },
        })
    }

    fn first_id(&self, key: &str) -> String {
        format!("<{key}@{}>", self.domain)
    }

    fn subject(&self, fields: &TicketFields, key: &str) -> String {
        let prefix = self.config.subject_prefix.replace("{queue}", &fields.queue);
        let about = format!("{prefix} {}", fields.subject);
        text::subject(&about, &format!("[{key}]"), SUBJECT_CHARS_MAX)
    }

    async fn send(&self, letter: Letter<'_>) -> Result<(), Called<()>> {
        let first = self.first_id(letter.key);
        let (message_id, thread) = match letter.id {
            "" => (first, None),
            id => {
                let own = format!("<{}.{id}@{}>", letter.key, self.domain);
                (own, Some(first))
            }
        };
        let body = text::without_ticket_tags(&text::plain(&letter.body));
        let letter = relay::Letter {
            from: self.from.clone(),
            to: self.to.clone(),
            reply_to: None,
            subject: letter.subject,
            body: bounded(&body, self.capabilities.body_bytes_max),
            message_id,
            thread,
            automatic: self.config.auto_submitted,
        };
        match self.relay.send(&letter).await {
            Sent::Taken => Ok(()),
            Sent::Refused(reason) => Err(Called::refused(reason)),
            Sent::Later { reason, asked } => Err(Called::Later {
                reason,
                after: asked.then_some(Duration::from_secs(limits::TRACKER_UNAUTHORISED_SECONDS)),
            }),
            Sent::Unknown(reason) => Err(Called::Unknown {
                reason,
                after: None,
            }),
        }
    }

    async fn open_letter(&self, draft: &Draft) -> Result<RemoteRef, Called<RemoteRef>> {
        let letter = Letter {
            key: &draft.key,
            id: "",
            subject: self.subject(&draft.fields, &draft.key),
            body: format!("{}\n{}", draft.body, state(&draft.fields)),
        };
        flat(self.send(letter).await).done()?;
        Ok(RemoteRef {
            key: draft.key.clone(),
            url: String::new(),
        })
    }

    async fn change_letter(&self, key: &str, change: &Change) -> Result<(), Called<()>> {
        let (subject, id, body) = match change {
            Change::Fields { to, .. } => {
                let subject = self.subject(to, key);
                (subject, digest(to), state(to))
            }
            Change::Note {
                marker,
                text,
                about,
                ..
            } => {
                let fields = TicketFields {
                    subject: about.clone(),
                    status: crate::model::ticket::TicketStatus::Open,
                    severity: None,
                    queue: String::new(),
                };
                let subject = self.subject(&fields, key);
                (subject, marker.clone(), format!("{text}\n\n{marker}\n"))
            }
            Change::CloseAsDuplicateOf(other) => {
                return Err(Called::refused(format!(
                    "a tracker that reads mail cannot link {key} to {}",
                    other.key
                )));
            }
        };
        let letter = Letter {
            key,
            id: &id,
            subject: format!("Re: {subject}"),
            body,
        };
        self.send(letter).await
    }
}

/// Status and severity, for people and for filters of the tracker.
fn state(fields: &TicketFields) -> String {
    let severity = fields
        .severity
        .map_or_else(|| "unknown".to_owned(), |severity| severity.to_string());
    format!("Status: {}\nSeverity: {severity}\n", fields.status.word())
}

/// The same change has the same id, so that sending it again is no second letter.
fn digest(fields: &TicketFields) -> String {
    use sha2::{Digest, Sha256};
    let text = format!("{}\n{}\n{}", fields.subject, state(fields), fields.queue);
    let hash = Sha256::digest(text.as_bytes());
    hash.iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl Tracker for MailTracker {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn find<'a>(&'a self, _key: &'a str) -> BoxFuture<'a, Called<Vec<RemoteTicket>>> {
        Box::pin(async { Called::refused("a tracker that reads mail cannot be searched") })
    }

    fn open<'a>(&'a self, draft: &'a Draft) -> BoxFuture<'a, Called<RemoteRef>> {
        Box::pin(async move { flat(self.open_letter(draft).await) })
    }

    fn change<'a>(
        &'a self,
        remote: &'a RemoteRef,
        change: &'a Change,
    ) -> BoxFuture<'a, Called<()>> {
        Box::pin(async move { flat(self.change_letter(&remote.key, change).await) })
    }

    fn read<'a>(&'a self, _remote: &'a RemoteRef) -> BoxFuture<'a, Called<RemoteTicket>> {
        Box::pin(async { Called::refused("a tracker that reads mail cannot be read") })
    }

    fn changes<'a>(
        &'a self,
        cursor: &'a str,
        _known: Known<'a>,
    ) -> BoxFuture<'a, Called<(Vec<PersonChange>, String)>> {
        Box::pin(async move { Called::Done((Vec::new(), cursor.to_owned())) })
    }

    fn check(&self, _now: Time) -> BoxFuture<'_, Vec<Result<String, String>>> {
        Box::pin(async move {
            let server = self.relay.place();
            vec![match self.relay.check().await {
                Ok(()) => Ok(format!(
                    "{server} takes letters to {}; tickets cannot be searched or followed",
                    self.to
                )),
                Err(reason) => Err(format!("{server} does not take letters: {reason}")),
            }]
        })
    }
}
