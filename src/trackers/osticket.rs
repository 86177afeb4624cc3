//! osTicket by its interface, as letters.
//!
//! The interface creates and nothing else: a ticket can be neither read nor searched nor changed.
//! A letter handed to it is filed as one that came by mail: one that refers to the first is added to
//! its ticket, and one whose Message-ID was seen makes nothing new, so that it can be sent again.
//! A note on a ticket that staff closed opens it again, as every answer of its owner does there.

use super::client::{Answer, Client, ConnectionConfig, secret_header, send, written};
use super::letter::{
    BODY_BYTES_MAX, Letter, Letters, Reader, SUBJECT_CHARS_MAX, enclosed, mailbox, state,
};
use super::registry::Settings;
use super::rest::{Adaptor, Base, Greeting, Note, Outcome, Said};
use super::words::not_theirs;
use super::{Called, Capabilities, Draft, Tracker};
use crate::model::ticket::RemoteRef;
use crate::relay;
use reqwest::header::{CONTENT_TYPE, HeaderName};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::sync::Arc;

const PRODUCT: &str = "osTicket";
const PATH: &str = "/api/tickets.email";

/// `kind = "osticket"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OsTicketConfig {
    /// Where osTicket is.
    pub url: Url,
    /// An API key that may create tickets, made for the address that the bridge calls from.
    pub token: SecretString,
    /// The mail address of the owner of the tickets: the bridge's own.
    pub from: String,
    /// The mail address of osTicket whose department gets the tickets.
    pub to: String,
    /// How it is spoken to.
    #[serde(default)]
    pub connection: ConnectionConfig,
}

impl Settings for OsTicketConfig {
    const TITLE: &'static str = "osTicket";
    const EXAMPLE: &'static str = r#"
url = "https://support.example.net/"
token = "..."
from = "alertbridge@example.net"
to = "support@example.net"
"#;

    fn connect(self, name: &str) -> Result<Arc<dyn Tracker>, String> {
        Ok(Arc::new(OsTicket::new(name, &self)?))
    }
}

/// osTicket as a tracker.
pub struct OsTicket {
    base: Base,
    letters: Letters,
}

impl OsTicket {
    /// A tracker by its configuration; nothing is sent yet.
    pub fn new(name: &str, config: &OsTicketConfig) -> Result<OsTicket, String> {
        let key = secret_header(config.token.expose_secret())?;
        let headers = [(HeaderName::from_static("x-api-key"), key)];
        let headers = headers.into_iter().collect();
        let from = mailbox("from", &config.from)?;
        let letters = Letters {
            domain: from.email.domain().to_owned(),
            from,
            to: mailbox("to", &config.to)?,
            reader: Reader::Osticket,
            auto_submitted: true,
            prefix: String::new(),
        };
        let base = Base {
            name: name.to_owned(),
            url: config.url.to_string(),
            client: Client::new(&config.url, headers, &config.connection)?,
            capabilities: Capabilities {
                key_kept: "Message-ID and subject",
                updates: false,
                priorities: false,
                notes: true,
                subject_chars_max: SUBJECT_CHARS_MAX,
                body_bytes_max: BODY_BYTES_MAX,
                attachment_bytes_max: 1024 * 1024,
                parallel_max: 1,
                ..Capabilities::EVENTS
            },
        };
        Ok(OsTicket { base, letters })
    }

    async fn hand_in(&self, letter: &Letter<'_>) -> Outcome<(String, Answer)> {
        let files = enclosed(letter.files);
        let message = relay::compose(&self.letters.letter(letter), &files);
        let message = message.map_err(Called::refused)?;
        let request = self
            .base
            .client
            .request(Method::POST, PATH)
            .header(CONTENT_TYPE, "message/rfc822")
            .body(message.formatted());
        let answer = written(send(request).await).done()?;
        let number = String::from_utf8_lossy(&answer.body).trim().to_owned();
        let is_number = !number.is_empty() && number.len() < 40 && !number.contains(['<', ' ']);
        if answer.status != 201 || !is_number {
            return Err(not_theirs(PRODUCT, &answer));
        }
        Ok((number, answer))
    }
}

impl Adaptor for OsTicket {
    const PRODUCT: &'static str = PRODUCT;

    fn base(&self) -> &Base {
        &self.base
    }

    /// There is nothing that can be asked. An empty letter is refused after the key was looked at.
    async fn greet(&self) -> Outcome<Greeting> {
        let request = self.base.client.request(Method::POST, PATH);
        let request = request.header(CONTENT_TYPE, "message/rfc822").body("");
        let answer = send(request).await;
        let answer = answer.map_err(|_| Called::later("no answer"))?;
        if !matches!(answer.status, 400 | 500) {
            return Err(answer.later());
        }
        Ok(Greeting {
            words: "it looked at the key and refused an empty letter, as it should".to_owned(),
            user: String::new(),
            clock: answer.date(),
        })
    }

    async fn check_more(&self) -> Said {
        let said = "tickets can be neither read nor changed: clocks do not follow what people do";
        vec![Ok(said.to_owned())]
    }

    async fn create(&self, draft: &Draft) -> Outcome<RemoteRef> {
        let letter = Letter {
            key: &draft.key,
            id: "",
            about: &draft.fields.subject,
            queue: &draft.fields.queue,
            body: format!("{}\n{}", draft.body, state(&draft.fields)),
            cc: Vec::new(),
            files: &draft.attachments,
        };
        let (number, _) = self.hand_in(&letter).await?;
        let base = self.base.url.trim_end_matches('/');
        Ok(RemoteRef {
            key: draft.key.clone(),
            url: format!("{base}/scp/tickets.php?a=search&query={number}"),
        })
    }

    async fn write_note(&self, key: &str, note: Note<'_>) -> Outcome<()> {
        let letter = Letter {
            key,
            id: note.marker,
            about: note.about,
            queue: "",
            body: format!("{}\n\n{}\n", note.text, note.marker),
            cc: Vec::new(),
            files: &[],
        };
        self.hand_in(&letter).await.map(|_| ())
    }
}
