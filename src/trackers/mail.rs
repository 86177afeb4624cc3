//! Any tracker that reads mail.
//!
//! Each operation is one letter with a Message-ID of its own that stays the same when it is sent
//! again, so a tracker that drops letters it has seen takes it once. Nothing can be searched, changed
//! or read back: what people do comes back by other ways or not at all.

use super::letter::{
    BODY_BYTES_MAX, Letter, Letters, Reader, SUBJECT_CHARS_MAX, enclosed, mailbox, readers, state,
};
use super::registry::Settings;
use super::{Called, Capabilities, Change, Draft, Known, RemoteTicket, Takes, Tracker, flat};
use crate::limits;
use crate::model::Time;
use crate::model::ticket::{PersonChange, RemoteRef};
use crate::relay::{Relay, RelayConfig, RelayTls, Sent};
use futures_util::future::BoxFuture;
use secrecy::SecretString;
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

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
    /// What reads the letters; it decides what they look like and whether more follow the first.
    #[serde(default)]
    pub reader: Reader,
    /// Whether letters say `Auto-Submitted: auto-generated`, so that nothing answers them by
    /// itself; as the reader takes it when it is not given.
    #[serde(default)]
    pub auto_submitted: Option<bool>,
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

impl Settings for MailConfig {
    const TITLE: &'static str = "Anything that reads mail";
    const EXAMPLE: &'static str = r#"
to = "support@example.net"
from = "alertbridge@example.net"
host = "mail.example.net"
"#;

    fn connect(self, name: &str) -> Result<Arc<dyn Tracker>, String> {
        Ok(Arc::new(MailTracker::new(name, self)?))
    }
}

/// A tracker that reads mail.
pub struct MailTracker {
    name: String,
    letters: Letters,
    relay: Relay,
    capabilities: Capabilities,
}

impl MailTracker {
    /// A tracker by its configuration; nothing is sent yet.
    pub fn new(name: &str, config: MailConfig) -> Result<MailTracker, String> {
        let from = mailbox("from", &config.from)?;
        let reader = config.reader;
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
            letters: Letters {
                from,
                to: mailbox("to", &config.to)?,
                domain,
                reader,
                auto_submitted: config
                    .auto_submitted
                    .unwrap_or_else(|| reader.takes_auto_submitted()),
                prefix: config.subject_prefix.clone(),
            },
            capabilities: Capabilities {
                key_kept: "Message-ID and subject",
                creates_once: reader.drops_seen(),
                updates: false,
                notes: reader.threads(),
                subject_chars_max: SUBJECT_CHARS_MAX,
                body_bytes_max: BODY_BYTES_MAX,
                attachment_bytes_max: 1024 * 1024,
                takes: Takes {
                    queue: true,
                    watchers: true,
                    ..Takes::NOTHING
                },
                parallel_max: 2,
                ..Capabilities::EVENTS
            },
        })
    }

    async fn send(&self, letter: Letter<'_>) -> Result<(), Called<()>> {
        let files = enclosed(letter.files);
        let letter = self.letters.letter(&letter);
        match self.relay.send_with(&letter, &files).await {
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
            about: &draft.fields.subject,
            queue: &draft.fields.queue,
            body: format!("{}\n{}", draft.body, state(&draft.fields)),
            cc: readers(&draft.watchers),
            files: &draft.attachments,
        };
        flat(self.send(letter).await).done()?;
        Ok(RemoteRef {
            key: draft.key.clone(),
            url: String::new(),
        })
    }

    async fn change_letter(&self, key: &str, change: &Change) -> Result<(), Called<()>> {
        let Change::Note {
            marker,
            text,
            about,
            ..
        } = change
        else {
            return Err(Called::refused(
                "a tracker that reads mail takes notes only",
            ));
        };
        let letter = Letter {
            key,
            id: marker,
            about,
            queue: "",
            body: format!("{text}\n\n{marker}\n"),
            cc: Vec::new(),
            files: &[],
        };
        self.send(letter).await
    }
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
                    self.letters.to
                )),
                Err(reason) => Err(format!("{server} does not take letters: {reason}")),
            }]
        })
    }
}
