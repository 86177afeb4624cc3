//! A folder of an IMAP server, read as mails arrive (IDLE) and looked through now and then.
//!
//! Mails are taken by UID in order, whatever their flags say: others may read the folder too. The
//! ledger ([`super::mailbox`]) moves with the journal's commit, and only then is a mail deleted or
//! moved, if that is configured. Every command has a time limit; on any error the connection is
//! given up and made again after a while. A mail that the server cannot hand out, or that is too
//! large, is noted in quarantine and passed over: it must not stop those behind it.

use super::mailbox::{Content, Ledger, NotTaken, Reading, back_off, mail_source};
use super::tls;
use crate::limits;
use async_imap::error::Error as Imap;
use async_imap::types::{Fetch, Uid};
use async_imap::{Client, Session};
use futures_util::{Stream, TryStreamExt};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// `[[mailbox]]` with `kind = "imap"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImapConfig {
    /// Its name.
    pub name: String,
    /// The server.
    pub host: String,
    /// Its port; 993, or 143 without TLS from the first byte.
    #[serde(default)]
    pub port: Option<u16>,
    /// How the connection is protected.
    #[serde(default)]
    pub tls: ImapTls,
    /// A PEM file of a further certificate authority.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The login.
    pub user: String,
    /// Its password.
    #[serde(deserialize_with = "crate::secret::one")]
    pub password: SecretString,
    /// The folder.
    #[serde(default = "inbox")]
    pub folder: String,
    /// The source that its mails are taken as.
    #[serde(default = "mail_source")]
    pub source: String,
    /// What becomes of a mail that was taken in.
    #[serde(default)]
    pub after: AfterTaking,
    /// The folder for `after = "move"`.
    #[serde(default)]
    pub move_to: Option<String>,
    /// How often the folder is looked through, whatever the server tells.
    #[serde(default = "poll_every", with = "crate::model::time::duration")]
    pub poll_every: Duration,
}

/// How a connection is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ImapTls {
    /// Not at all; on loopback only.
    None,
    /// By STARTTLS, or nobody logs in.
    Starttls,
    /// From the first byte.
    #[default]
    Tls,
}

/// What becomes of a mail at the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterTaking {
    /// It stays as it is.
    #[default]
    Keep,
    /// It is deleted.
    Delete,
    /// It goes to the folder `move_to`.
    Move,
}

fn inbox() -> String {
    "INBOX".to_owned()
}

fn poll_every() -> Duration {
    Duration::from_secs(limits::IMAP_POLL_SECONDS)
}

impl ImapConfig {
    /// What is wrong with it, as a sentence.
    pub(super) fn problem(&self) -> Option<String> {
        let local = self.host == "localhost"
            || self
                .host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|a| a.is_loopback());
        if self.tls == ImapTls::None && !local {
            return Some("tls: the password would leave this machine in the clear".to_owned());
        }
        if (self.after == AfterTaking::Move) != self.move_to.is_some() {
            return Some("`after = \"move\"` and `move_to` go together".to_owned());
        }
        if self.poll_every < Duration::from_secs(1) {
            return Some("poll_every: at least a second was expected".to_owned());
        }
        None
    }

    fn port(&self) -> u16 {
        self.port.unwrap_or(match self.tls {
            ImapTls::Tls => 993,
            ImapTls::None | ImapTls::Starttls => 143,
        })
    }
}

/// Why a connection was given up.
#[derive(Debug, thiserror::Error)]
enum ImapError {
    #[error("cannot connect to {0}: {1}")]
    Connect(String, std::io::Error),
    #[error("TLS: {0}")]
    Tls(String),
    #[error("{0}: {1}")]
    Refused(&'static str, Imap),
    #[error("{0}: no answer within {1} s")]
    Silent(&'static str, u64),
    #[error("{0}: the server ended the connection")]
    Ended(&'static str),
    #[error("the server gives no UIDVALIDITY for the folder")]
    NoValidity,
    #[error("a mail was not taken in and stays in the folder: {0}")]
    NotTaken(#[from] NotTaken),
}

trait Link: AsyncRead + AsyncWrite + Unpin + Send + std::fmt::Debug {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + std::fmt::Debug> Link for T {}
type Connection = Session<Box<dyn Link>>;

/// What the server can do beside the least.
#[derive(Clone, Copy, Debug, Default)]
struct Abilities {
    idle: bool,
    moves: bool,
    uidplus: bool,
}

/// Reads a folder until told to stop.
pub async fn run(config: ImapConfig, reading: Arc<Reading>, stop: CancellationToken) {
    let work = work(&config, &reading);
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}

async fn work(config: &ImapConfig, reading: &Arc<Reading>) {
    let mut failures = 0u32;
    loop {
        let mut reached = false;
        let error = match connected(config, reading, &mut reached).await {
            Ok(never) => match never {},
            Err(error) => error,
        };
        reading.metrics.mailbox_up(&config.name, false);
        failures = if reached {
            0
        } else {
            failures.saturating_add(1)
        };
        tracing::warn!(mailbox = config.name, %error, "mailbox_failed");
        tokio::time::sleep(back_off(failures, rand::random::<f64>())).await;
    }
}

/// One connection from its beginning to its end, which is always an error. `reached` is set once
/// the folder was looked through.
async fn connected(
    config: &ImapConfig,
    reading: &Arc<Reading>,
    reached: &mut bool,
) -> Result<std::convert::Infallible, ImapError> {
    let mut ledger = Ledger::load(reading.clone(), &config.name, &config.source)
        .map_err(|error| ImapError::NotTaken(error.into()))?;
    let mut session = log_in(config).await?;
    let abilities = within("CAPABILITY", session.capabilities()).await?;
    let abilities = Abilities {
        idle: abilities.has_str("IDLE"),
        moves: abilities.has_str("MOVE"),
        uidplus: abilities.has_str("UIDPLUS"),
    };
    let folder = within("SELECT", session.select(&config.folder)).await?;
    let validity = folder.uid_validity.ok_or(ImapError::NoValidity)?;
    loop {
        clear(config, abilities, validity, &mut session, &mut ledger).await?;
        look(config, validity, &mut session, &mut ledger).await?;
        clear(config, abilities, validity, &mut session, &mut ledger).await?;
        *reached = true;
        reading.metrics.mailbox_up(&config.name, true);
        let now = reading.intake.clock.now();
        reading.metrics.mailbox_looked(&config.name, now);
        session = wait_for_news(config, abilities, session).await?;
    }
}

async fn log_in(config: &ImapConfig) -> Result<Connection, ImapError> {
    let link = dial(config).await?;
    let mut client = Client::new(link);
    if config.tls != ImapTls::Starttls {
        greeting(&mut client).await?;
    }
    let password = config.password.expose_secret();
    let login = client.login(&config.user, password);
    let logged_in = timeout(COMMAND, login).await;
    let logged_in = logged_in.map_err(|_| ImapError::Silent("LOGIN", COMMAND.as_secs()))?;
    logged_in.map_err(|(error, _)| ImapError::Refused("LOGIN", error))
}

async fn greeting<T: Link>(client: &mut Client<T>) -> Result<(), ImapError> {
    let read = timeout(COMMAND, client.read_response()).await;
    match read {
        Ok(Ok(Some(_))) => Ok(()),
        Ok(Ok(None)) => Err(ImapError::Ended("greeting")),
        Ok(Err(error)) => Err(ImapError::Refused("greeting", error.into())),
        Err(_) => Err(ImapError::Silent("greeting", COMMAND.as_secs())),
    }
}

/// A connection that is protected as configured, with its greeting still to come unless STARTTLS
/// took it.
async fn dial(config: &ImapConfig) -> Result<Box<dyn Link>, ImapError> {
    let address = format!("{}:{}", config.host, config.port());
    let tcp = match timeout(COMMAND, TcpStream::connect(&address)).await {
        Ok(Ok(tcp)) => tcp,
        Ok(Err(error)) => return Err(ImapError::Connect(address, error)),
        Err(_) => return Err(ImapError::Silent("connect", COMMAND.as_secs())),
    };
    let tcp = match config.tls {
        ImapTls::None => return Ok(Box::new(tcp)),
        ImapTls::Tls => tcp,
        ImapTls::Starttls => {
            let mut client = Client::new(tcp);
            greeting(&mut client).await?;
            within(
                "STARTTLS",
                client.run_command_and_check_ok("STARTTLS", None),
            )
            .await?;
            client.into_inner()
        }
    };
    let ca = config.ca_file.clone();
    let tls = tokio::task::spawn_blocking(move || tls::client_config(ca.as_deref())).await;
    let tls = tls
        .map_err(|error| ImapError::Tls(error.to_string()))?
        .map_err(|error| ImapError::Tls(error.to_string()))?;
    let name = rustls::pki_types::ServerName::try_from(config.host.clone())
        .map_err(|error| ImapError::Tls(error.to_string()))?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(tls));
    match timeout(COMMAND, connector.connect(name, tcp)).await {
        Ok(Ok(stream)) => Ok(Box::new(stream)),
        Ok(Err(error)) => Err(ImapError::Tls(error.to_string())),
        Err(_) => Err(ImapError::Silent("TLS handshake", COMMAND.as_secs())),
    }
}

const COMMAND: Duration = Duration::from_secs(limits::IMAP_COMMAND_SECONDS);

async fn within<T>(
    what: &'static str,
    command: impl Future<Output = Result<T, Imap>>,
) -> Result<T, ImapError> {
    match timeout(COMMAND, command).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(ImapError::Refused(what, error)),
        Err(_) => Err(ImapError::Silent(what, COMMAND.as_secs())),
    }
}

/// The answers of a command that has many, each within the time of a command.
async fn all<T>(
    what: &'static str,
    command: impl Future<Output = Result<impl Stream<Item = Result<T, Imap>>, Imap>>,
) -> Result<Vec<T>, ImapError> {
    let answers = within(what, command).await?;
    let mut answers = pin!(answers);
    let mut found = Vec::new();
    while let Some(next) = within(what, answers.try_next()).await? {
        found.push(next);
    }
    Ok(found)
}

/// Takes in what lies behind the last UID, in order.
async fn look(
    config: &ImapConfig,
    validity: u32,
    session: &mut Connection,
    ledger: &mut Ledger,
) -> Result<(), ImapError> {
    let last = ledger.last(validity);
    let query = format!("UID {}:*", last.saturating_add(1));
    // `*` is the last mail even if its UID is lower.
    let found = within("UID SEARCH", session.uid_search(&query)).await?;
    let mut uids: Vec<Uid> = found.into_iter().filter(|uid| *uid > last).collect();
    uids.sort_unstable();
    for uid in uids {
        let Some(content) = fetched(session, uid).await? else {
            ledger.skip(validity, uid).await?;
            continue;
        };
        let place = format!("{validity}.{uid}");
        let to_remove = (config.after != AfterTaking::Keep).then_some(place.as_str());
        ledger
            .take(content, Some((validity, uid)), to_remove)
            .await?;
    }
    Ok(())
}

/// One mail; `None` if it is gone. What the server cannot hand out is a part, with the reason.
async fn fetched(session: &mut Connection, uid: Uid) -> Result<Option<Content>, ImapError> {
    let size = match one(session, uid, "(UID RFC822.SIZE)").await {
        Ok(Some(about)) => about.size.unwrap_or(0),
        Ok(None) => return Ok(None),
        Err(error) => return unreadable(uid, error),
    };
    let most = limits::MAIL_BYTES_MAX;
    if usize::try_from(size).is_ok_and(|size| size > most) {
        let head = one(session, uid, "(UID BODY.PEEK[HEADER])").await?;
        let head = head.as_ref().and_then(Fetch::header).unwrap_or_default();
        let head = head.get(..limits::MAIL_MEMORY_BYTES_MAX).unwrap_or(head);
        let reason = format!(
            "the mail with UID {uid} has {size} bytes; at most {most} are taken. Its header was \
             kept"
        );
        let head = bytes::Bytes::copy_from_slice(head);
        return Ok(Some(Content::Part(head, reason)));
    }
    match one(session, uid, "(UID BODY.PEEK[])").await {
        Ok(Some(mail)) => Ok(mail
            .body()
            .map(|body| Content::Whole(bytes::Bytes::copy_from_slice(body)))),
        Ok(None) => Ok(None),
        Err(error) => unreadable(uid, error),
    }
}

/// A refusal concerns this mail; anything else ends the connection.
fn unreadable(uid: Uid, error: ImapError) -> Result<Option<Content>, ImapError> {
    match error {
        ImapError::Refused(_, Imap::No(_) | Imap::Bad(_)) => {
            let reason = format!("the server does not hand out the mail with UID {uid}: {error}");
            Ok(Some(Content::Part(
                bytes::Bytes::from(reason.clone()),
                reason,
            )))
        }
        other => Err(other),
    }
}

/// The answer about one mail among whatever else the server tells.
async fn one(session: &mut Connection, uid: Uid, what: &str) -> Result<Option<Fetch>, ImapError> {
    let answers = all("UID FETCH", session.uid_fetch(uid.to_string(), what)).await?;
    let told = |fetch: &Fetch| fetch.uid == Some(uid);
    Ok(answers.into_iter().find(told))
}

/// Removes what was taken in and is still there.
async fn clear(
    config: &ImapConfig,
    abilities: Abilities,
    validity: u32,
    session: &mut Connection,
    ledger: &mut Ledger,
) -> Result<(), ImapError> {
    for place in ledger.pending.clone() {
        let uid = place
            .split_once('.')
            .filter(|(of, _)| *of == validity.to_string())
            .map(|(_, uid)| uid.to_owned());
        // Of another UIDVALIDITY: nobody knows which mail that is now.
        if let Some(uid) = uid {
            match (config.after, &config.move_to) {
                (AfterTaking::Keep, _) => {}
                (AfterTaking::Move, Some(to)) if abilities.moves => {
                    within("UID MOVE", session.uid_mv(&uid, to)).await?;
                }
                (AfterTaking::Move, Some(to)) => {
                    within("UID COPY", session.uid_copy(&uid, to)).await?;
                    delete(session, abilities, &uid).await?;
                }
                (AfterTaking::Delete | AfterTaking::Move, _) => {
                    delete(session, abilities, &uid).await?;
                }
            }
        }
        ledger.removed(&place).await?;
    }
    Ok(())
}

/// Deletes one mail. Without UIDPLUS it is only marked: a plain EXPUNGE would take away what
/// others marked.
async fn delete(
    session: &mut Connection,
    abilities: Abilities,
    uid: &str,
) -> Result<(), ImapError> {
    let marked = session.uid_store(uid, "+FLAGS.SILENT (\\Deleted)");
    all("UID STORE", marked).await?;
    if abilities.uidplus {
        all("UID EXPUNGE", session.uid_expunge(uid)).await?;
    }
    Ok(())
}

/// Waits until the server tells of something, or it is time to look anyway.
async fn wait_for_news(
    config: &ImapConfig,
    abilities: Abilities,
    mut session: Connection,
) -> Result<Connection, ImapError> {
    if !abilities.idle {
        tokio::time::sleep(config.poll_every).await;
        within("NOOP", session.noop()).await?;
        return Ok(session);
    }
    let mut idle = session.idle();
    within("IDLE", idle.init()).await?;
    let longest = config
        .poll_every
        .min(Duration::from_secs(limits::IMAP_IDLE_SECONDS));
    let (news, stop) = idle.wait_with_timeout(longest);
    let told = news.await;
    drop(stop);
    told.map_err(|error| ImapError::Refused("IDLE", error))?;
    within("DONE", idle.done()).await
}
