//! How letters leave: one mail server that takes them by SMTP, with TLS and a login.
//!
//! A letter is taken, refused, to be sent later, or nobody knows. Nobody knows only between the
//! first byte of the letter itself and the server's word on it: everything before that certainly
//! left nothing behind. A letter that is sent again has the same Message-ID.

use crate::limits;
use crate::model::text::{bounded, one_line};
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, MessageBuilder, MultiPart, SinglePart};
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, Message};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// How long a letter may take to be taken or refused.
const SEND: Duration = Duration::from_secs(60);
/// Time to reach the server.
const CONNECT: Duration = Duration::from_secs(20);

/// Which server takes the letters.
#[derive(Clone, Debug)]
pub struct RelayConfig {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: RelayTls,
    /// A PEM file of a further certificate authority.
    pub ca_file: Option<PathBuf>,
    /// The login, if the server wants one.
    pub user: String,
    /// Its password.
    pub password: Option<SecretString>,
    /// The name in greetings.
    pub domain: String,
}

/// How a connection is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RelayTls {
    /// Not at all.
    None,
    /// By STARTTLS, or no letter is sent.
    #[default]
    Starttls,
    /// From the first byte.
    Tls,
}

/// A server that takes letters.
pub struct Relay {
    config: RelayConfig,
    tls: Option<TlsParameters>,
    hello: ClientId,
}

/// One letter.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Who writes.
    pub from: Mailbox,
    /// Who reads.
    pub to: Mailbox,
    /// Who gets it as well.
    pub cc: Vec<Mailbox>,
    /// Where answers go, if not to `from`.
    pub reply_to: Option<Mailbox>,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub body: String,
    /// Its own id, with angle brackets: the same when it is sent again.
    pub message_id: String,
    /// The first letter of its thread, with angle brackets; none for that one itself.
    pub thread: Option<String>,
    /// It says that a machine wrote it, so that no machine answers.
    pub automatic: Option<Automatic>,
}

/// Why a machine wrote a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Automatic {
    /// Of its own accord.
    Generated,
    /// In answer to a letter.
    Replied,
}

/// A file that goes with a letter.
#[derive(Clone, Copy, Debug)]
pub struct Enclosed<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its media type.
    pub content_type: &'a str,
    /// What is in it.
    pub bytes: &'a [u8],
}

/// What came of sending a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The server has it.
    Taken,
    /// The server does not want it, and will not.
    Refused(String),
    /// The server does not have it; later it may take it.
    Later {
        /// Why.
        reason: String,
        /// It answered and asks for a pause.
        asked: bool,
    },
    /// It may have it.
    Unknown(String),
}

impl Relay {
    /// A server by its configuration; nothing is sent yet.
    pub fn new(config: RelayConfig) -> Result<Relay, String> {
        if config.password.is_some() && config.tls == RelayTls::None && !is_loopback(&config.host) {
            return Err("password: it would leave this machine in the clear; set `tls`".to_owned());
        }
        let tls = match config.tls {
            RelayTls::None => None,
            RelayTls::Starttls | RelayTls::Tls => Some(tls_parameters(&config)?),
        };
        Ok(Relay {
            tls,
            hello: ClientId::Domain(config.domain.clone()),
            config,
        })
    }

    /// Host and port, for people.
    pub fn place(&self) -> String {
        format!("{}:{}", self.config.host, self.config.port)
    }

    /// Sends one letter.
    pub async fn send(&self, letter: &Letter) -> Sent {
        self.send_with(letter, &[]).await
    }

    /// Sends one letter with files.
    pub async fn send_with(&self, letter: &Letter, files: &[Enclosed<'_>]) -> Sent {
        let message = match compose(letter, files) {
            Ok(message) => message,
            Err(reason) => return Sent::Refused(reason),
        };
        let mut begun = false;
        let bytes = message.formatted();
        let sending = self.deliver(letter, &bytes, &mut begun);
        match tokio::time::timeout(SEND, sending).await {
            Ok(Ok(())) => Sent::Taken,
            Ok(Err(error)) => outcome(&error, begun),
            Err(_) if begun => Sent::Unknown("no answer in time".to_owned()),
            Err(_) => Sent::Later {
                reason: "no answer in time".to_owned(),
                asked: false,
            },
        }
    }

    /// Whether the server is there and lets us in.
    pub async fn check(&self) -> Result<(), String> {
        let checking = async {
            let mut connection = self.connect().await?;
            connection.abort().await;
            Ok(())
        };
        match tokio::time::timeout(SEND, checking).await {
            Ok(done) => done.map_err(|error: Error| said(&error)),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, Error> {
        let wrapped = match self.config.tls {
            RelayTls::Tls => self.tls.clone(),
            RelayTls::None | RelayTls::Starttls => None,
        };
        let server = (self.config.host.as_str(), self.config.port);
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(server, Some(CONNECT), &self.hello, wrapped, None)
                .await?;
        if let (RelayTls::Starttls, Some(tls)) = (self.config.tls, &self.tls) {
            connection.starttls(tls.clone(), &self.hello).await?;
        }
        if let Some(password) = &self.config.password {
            let login = Credentials::new(
                self.config.user.clone(),
                password.expose_secret().to_owned(),
            );
            connection.auth(DEFAULT_MECHANISMS, &login).await?;
        }
        Ok(connection)
    }

    async fn deliver(&self, letter: &Letter, bytes: &[u8], begun: &mut bool) -> Result<(), Error> {
        let mut connection = self.connect().await?;
        let from: Address = letter.from.email.clone();
        connection.command(Mail::new(Some(from), vec![])).await?;
        let to = letter.to.email.clone();
        connection.command(Rcpt::new(to, vec![])).await?;
        for reader in &letter.cc {
            // One that the server does not want keeps the letter from nobody else.
            let reader = Rcpt::new(reader.email.clone(), vec![]);
            match connection.command(reader).await {
                Err(error) if !error.is_permanent() => return Err(error),
                _ => {}
            }
        }
        connection.command(Data).await?;
        *begun = true;
        connection.message(bytes).await?;
        // It is taken: how the connection ends changes nothing.
        connection.abort().await;
        Ok(())
    }
}

fn outcome(error: &Error, begun: bool) -> Sent {
    let reason = said(error);
    if error.is_permanent() {
        Sent::Refused(reason)
    } else if error.is_transient() {
        Sent::Later {
            reason,
            asked: true,
        }
    } else if begun {
        Sent::Unknown(reason)
    } else {
        Sent::Later {
            reason,
            asked: false,
        }
    }
}

/// A letter as it goes out, with files.
pub fn compose(letter: &Letter, files: &[Enclosed<'_>]) -> Result<Message, String> {
    let mut builder: MessageBuilder = Message::builder()
        .from(letter.from.clone())
        .to(letter.to.clone())
        .subject(one_line(&letter.subject))
        .message_id(Some(letter.message_id.clone()));
    for reader in &letter.cc {
        builder = builder.cc(reader.clone());
    }
    if let Some(reply_to) = &letter.reply_to {
        builder = builder.reply_to(reply_to.clone());
    }
    if let Some(first) = &letter.thread {
        builder = builder.in_reply_to(first.clone()).references(first.clone());
    }
    if let Some(why) = letter.automatic {
        builder = builder.header(AutoSubmitted(why));
    }
    let made = if files.is_empty() {
        builder
            .header(ContentType::TEXT_PLAIN)
            .body(letter.body.clone())
    } else {
        let mut parts = MultiPart::mixed().singlepart(SinglePart::plain(letter.body.clone()));
        for file in files {
            let kind = ContentType::parse(file.content_type);
            let kind = kind.unwrap_or(ContentType::TEXT_PLAIN);
            let enclosed = Attachment::new(file.name.to_owned());
            parts = parts.singlepart(enclosed.body(file.bytes.to_vec(), kind));
        }
        builder.multipart(parts)
    };
    made.map_err(|error| format!("the letter could not be put together: {error}"))
}

fn tls_parameters(config: &RelayConfig) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(config.host.clone());
    if let Some(file) = &config.ca_file {
        let shown = file.display();
        let pem = std::fs::read(file).map_err(|error| format!("ca_file {shown}: {error}"))?;
        let certificate = Certificate::from_pem(&pem);
        let certificate = certificate.map_err(|error| format!("ca_file {shown}: {error}"))?;
        builder = builder.add_root_certificate(certificate);
    }
    builder.build().map_err(|error| format!("tls: {error}"))
}

/// Whether a host is this machine.
fn is_loopback(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

/// What the server said, in one bounded line.
fn said(error: &Error) -> String {
    let text = one_line(&error.to_string());
    bounded(&text, limits::TRACKER_REASON_BYTES_MAX)
}

/// `Auto-Submitted`.
#[derive(Clone)]
struct AutoSubmitted(Automatic);

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(AutoSubmitted(Automatic::Generated))
    }

    fn display(&self) -> HeaderValue {
        let word = match self.0 {
            Automatic::Generated => "auto-generated",
            Automatic::Replied => "auto-replied",
        };
        HeaderValue::new(Self::name(), word.to_owned())
    }
}
