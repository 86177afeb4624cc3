//! Notices as letters.
//!
//! The Message-ID follows from the idempotency key, so a letter that is sent again is the same
//! letter. Every letter refers to its thread's id, so that mail programs show those of one incident
//! together. Both ids name the incident, so that an answer finds its way back to it.

use super::words::Worded;
use crate::model::outgoing::WantedNotice;
use crate::relay::{Automatic, Enclosed, Letter, Relay, RelayConfig, RelayTls, Sent};
use lettre::message::Mailbox;
use secrecy::SecretString;
use serde::Deserialize;
use std::path::PathBuf;

/// `[notices.mail]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailSection {
    /// The mail server.
    pub host: String,
    /// Its port.
    #[serde(default = "port")]
    pub port: u16,
    /// How the connection is protected: `none`, `starttls` or `tls`.
    #[serde(default)]
    pub tls: RelayTls,
    /// A PEM file of a further certificate authority.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The login, if the server wants one.
    #[serde(default)]
    pub user: String,
    /// Its password.
    #[serde(default, deserialize_with = "crate::secret::maybe")]
    pub password: Option<SecretString>,
    /// Who writes: `NOC <noc@example.net>`.
    pub from: String,
    /// Where answers go; to `from` unless said.
    #[serde(default)]
    pub reply_to: Option<String>,
    /// The name in Message-IDs and greetings; the domain of `from` unless said.
    #[serde(default)]
    pub domain: Option<String>,
}

fn port() -> u16 {
    587
}

impl MailSection {
    /// The name in Message-IDs, as far as it can be read.
    pub fn id_domain(&self) -> Option<&str> {
        let (_, of_from) = self.from.rsplit_once('@')?;
        let own = self.domain.as_deref();
        Some(own.unwrap_or(of_from.trim_end_matches(['>', ' '])))
    }
}

/// Writes letters.
pub struct Mailer {
    relay: Relay,
    from: Mailbox,
    reply_to: Option<Mailbox>,
    domain: String,
}

/// What is wrong with a mail address.
pub fn is_address(text: &str) -> Result<(), String> {
    if !text.is_ascii() {
        return Err("a mail address in ASCII was expected".to_owned());
    }
    text.parse::<lettre::Address>()
        .map(|_| ())
        .map_err(|error| format!("it is no mail address: {error}"))
}

impl Mailer {
    /// A writer by its configuration; nothing is sent yet.
    pub fn new(section: &MailSection) -> Result<Mailer, String> {
        let mailbox = |key: &str, text: &str| {
            text.parse::<Mailbox>()
                .map_err(|error| format!("{key}: `{text}` is no mail address: {error}"))
        };
        let from = mailbox("from", &section.from)?;
        let reply_to = section.reply_to.as_deref();
        let reply_to = reply_to.map(|text| mailbox("reply_to", text)).transpose()?;
        let domain = section
            .domain
            .clone()
            .unwrap_or_else(|| from.email.domain().to_owned());
        let relay = Relay::new(RelayConfig {
            host: section.host.clone(),
            port: section.port,
            tls: section.tls,
            ca_file: section.ca_file.clone(),
            user: section.user.clone(),
            password: section.password.clone(),
            domain: domain.clone(),
        })?;
        Ok(Mailer {
            relay,
            from,
            reply_to,
            domain,
        })
    }

    /// The name that signs.
    pub fn sender(&self) -> String {
        let from = &self.from;
        from.name.clone().unwrap_or_else(|| from.email.to_string())
    }

    /// Sends one notice.
    pub async fn send(&self, notice: &WantedNotice, worded: Worded) -> Sent {
        let to = match notice.to.parse::<lettre::Address>() {
            Ok(address) => Mailbox::new(None, address),
            Err(error) => return Sent::Refused(format!("{}: {error}", notice.to)),
        };
        let mut from = self.from.clone();
        if !notice.facts.sender_name.is_empty() {
            from.name = Some(crate::model::text::one_line(&notice.facts.sender_name));
        }
        let about = notice
            .incident
            .map_or_else(String::new, |id| format!("t{}.", id.0));
        let (thread, why) = match notice.thread.contains('@') {
            true => (format!("<{}>", notice.thread), Automatic::Replied),
            false => {
                let thread = format!("<{about}{}@{}>", notice.thread, self.domain);
                (thread, Automatic::Generated)
            }
        };
        let letter = Letter {
            from,
            to,
            cc: Vec::new(),
            reply_to: self.reply_to.clone(),
            subject: worded.subject,
            body: worded.body,
            message_id: format!("<{about}{}@{}>", notice.key, self.domain),
            thread: Some(thread),
            automatic: Some(why),
        };
        let files: Vec<Enclosed<'_>> = worded
            .files
            .iter()
            .map(|file| Enclosed {
                name: &file.name,
                content_type: kind_of(&file.name),
                bytes: file.text.as_bytes(),
            })
            .collect();
        self.relay.send_with(&letter, &files).await
    }
}

fn kind_of(name: &str) -> &'static str {
    match name.rsplit_once('.') {
        Some((_, "html")) => "text/html; charset=utf-8",
        Some((_, "csv")) => "text/csv; charset=utf-8",
        _ => "text/plain; charset=utf-8",
    }
}
