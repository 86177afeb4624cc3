//! A folder of an IMAP server, read as mails arrive (IDLE) and looked through now and then.
//!
//! Mails are taken by UID in order, whatever their flags say: others may read the folder too. The
//! ledger ([`super::mailbox`]) moves with the journal's commit, and only then is a mail deleted or
//! moved, if that is configured. Every command has a time limit; on any error the connection is
//! given up and made again after a while. A mail that the server cannot hand out, at which the
//! connection breaks again and again, or that is too large, is noted in quarantine and passed over: it
//! must not stop those behind it. It stays in the folder, since nobody else has it.

pub use super::imap_dialogue::Patience;
use super::imap_dialogue::{Connection, ImapError, Link};
use super::mailbox::{Content, Ledger, Reading, back_off, mail_source};
use super::tls;
use crate::limits;
use async_imap::Client;
use async_imap::error::Error as Imap;
use async_imap::types::Uid;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
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
    /// How long the server is waited for.
    #[serde(skip)]
    pub patience: Patience,
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

/// What is remembered from one connection to the next.
#[derive(Debug, Default)]
struct Tries {
    /// Whether the folder was looked through.
    reached: bool,
    /// The mail that was asked for last, by UIDVALIDITY and UID, and how often the connection broke
    /// before it came.
    broke_at: Option<((u32, Uid), u32)>,
}

impl Tries {
    /// How often the connection broke at that mail so far. It counts as broken until it has come.
    fn begin(&mut self, mail: (u32, Uid)) -> u32 {
        let before = self.broke_at.filter(|(last, _)| *last == mail);
        let broke = before.map_or(0, |(_, count)| count);
        self.broke_at = Some((mail, broke + 1));
        broke
    }
}

async fn work(config: &ImapConfig, reading: &Arc<Reading>) {
    let mut failures = 0u32;
    let mut tries = Tries::default();
    loop {
        tries.reached = false;
        let error = match connected(config, reading, &mut tries).await {
            Ok(never) => match never {},
            Err(error) => error,
        };
        reading.metrics.mailbox_up(&config.name, false);
        failures = if tries.reached {
            0
        } else {
            failures.saturating_add(1)
        };
        tracing::warn!(mailbox = config.name, %error, "mailbox_failed");
        let wait = back_off(failures, rand::random::<f64>()).min(config.patience.again);
        tokio::time::sleep(wait).await;
    }
}

/// One connection from its beginning to its end, which is always an error.
async fn connected(
    config: &ImapConfig,
    reading: &Arc<Reading>,
    tries: &mut Tries,
) -> Result<std::convert::Infallible, ImapError> {
    let mut ledger = Ledger::load(reading.clone(), &config.name, &config.source)
        .map_err(|error| ImapError::NotTaken(error.into()))?;
    let mut session = log_in(config).await?;
    let patience = config.patience;
    let abilities = patience.within("CAPABILITY", session.capabilities());
    let abilities = abilities.await?;
    let abilities = Abilities {
        idle: abilities.has_str("IDLE"),
        moves: abilities.has_str("MOVE"),
        uidplus: abilities.has_str("UIDPLUS"),
    };
    let folder = patience.within("SELECT", session.select(&config.folder));
    let folder = folder.await?;
    let validity = folder.uid_validity.ok_or(ImapError::NoValidity)?;
    loop {
        look(config, validity, &mut session, &mut ledger, tries).await?;
        clear(config, abilities, validity, &mut session, &mut ledger).await?;
        tries.reached = true;
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
        greeting(config.patience, &mut client).await?;
    }
    let password = config.password.expose_secret();
    let login = client.login(&config.user, password);
    let logged_in = config.patience.in_time("LOGIN", login).await?;
    logged_in.map_err(|(error, _)| ImapError::Refused("LOGIN", error))
}

async fn greeting<T: Link>(patience: Patience, client: &mut Client<T>) -> Result<(), ImapError> {
    match patience.in_time("greeting", client.read_response()).await? {
        Ok(Some(_)) => Ok(()),
        Ok(None) => Err(ImapError::Ended("greeting")),
        Err(error) => Err(ImapError::Refused("greeting", error.into())),
    }
}

/// A connection that is protected as configured, with its greeting still to come unless STARTTLS
/// took it.
async fn dial(config: &ImapConfig) -> Result<Box<dyn Link>, ImapError> {
    let address = format!("{}:{}", config.host, config.port());
    let patience = config.patience;
    let tcp = patience.in_time("connect", TcpStream::connect(&address));
    let tcp = tcp
        .await?
        .map_err(|error| ImapError::Connect(address, error))?;
    let tcp = match config.tls {
        ImapTls::None => return Ok(Box::new(tcp)),
        ImapTls::Tls => tcp,
        ImapTls::Starttls => {
            let mut client = Client::new(tcp);
            greeting(patience, &mut client).await?;
            let command = client.run_command_and_check_ok("STARTTLS", None);
            patience.within("STARTTLS", command).await?;
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
    let stream = patience.in_time("TLS handshake", connector.connect(name, tcp));
    match stream.await? {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(ImapError::Tls(error.to_string())),
    }
}

/// Takes in what lies behind the last UID, in order.
async fn look(
    config: &ImapConfig,
    validity: u32,
    session: &mut Connection,
    ledger: &mut Ledger,
    tries: &mut Tries,
) -> Result<(), ImapError> {
    let last = ledger.last(validity);
    let query = format!("UID {}:*", last.saturating_add(1));
    // `*` is the last mail even if its UID is lower.
    let patience = config.patience;
    let found = patience.search(session, &query).await?;
    let mut uids: Vec<Uid> = found.into_iter().filter(|uid| *uid > last).collect();
    uids.sort_unstable();
    for uid in uids {
        let broke = tries.begin((validity, uid));
        let content = match broke < limits::IMAP_TRIES_PER_MAIL {
            true => fetched(patience, session, uid).await?,
            false => Some(without_content(format!(
                "the connection broke {broke} times at the mail with UID {uid}; look at it at the \
                 server"
            ))),
        };
        tries.broke_at = None;
        let Some(content) = content else {
            ledger.skip(validity, uid).await?;
            continue;
        };
        let place = format!("{validity}.{uid}");
        // What was not had whole stays there.
        let is_whole = matches!(content, Content::Whole(_));
        let to_remove = (is_whole && config.after != AfterTaking::Keep).then_some(place.as_str());
        ledger
            .take(content, Some((validity, uid)), to_remove)
            .await?;
    }
    Ok(())
}

/// One mail; `None` if it is gone. What the server cannot hand out is a part, with the reason.
async fn fetched(
    patience: Patience,
    session: &mut Connection,
    uid: Uid,
) -> Result<Option<Content>, ImapError> {
    let size = match patience.fetch(session, uid, "(UID RFC822.SIZE)").await {
        Ok(Some(about)) => about.size.unwrap_or(0),
        Ok(None) => return Ok(None),
        Err(error) => return unreadable(uid, error),
    };
    let most = limits::MAIL_BYTES_MAX;
    if usize::try_from(size).is_ok_and(|size| size > most) {
        let head = patience.fetch(session, uid, "(UID BODY.PEEK[HEADER])");
        let head = head.await?.and_then(|mail| mail.header);
        let mut head = head.unwrap_or_default();
        head.truncate(limits::MAIL_MEMORY_BYTES_MAX);
        let reason = format!(
            "the mail with UID {uid} has {size} bytes; at most {most} are taken. Its header was \
             kept"
        );
        return Ok(Some(Content::Part(head.into(), reason)));
    }
    match patience.fetch(session, uid, "(UID BODY.PEEK[])").await {
        Ok(Some(mail)) => Ok(Some(content_of(uid, mail.body))),
        Ok(None) => Ok(None),
        Err(error) => unreadable(uid, error),
    }
}

/// The content that a server gave; some say that there is none (`NIL`) where they cannot read it.
fn content_of(uid: Uid, body: Option<Vec<u8>>) -> Content {
    match body {
        Some(body) if !body.is_empty() => Content::Whole(body.into()),
        _ => without_content(format!(
            "the server gives the mail with UID {uid} without any content"
        )),
    }
}

/// What is kept of a mail of which nothing can be had: why.
fn without_content(reason: String) -> Content {
    Content::Part(bytes::Bytes::from(reason.clone()), reason)
}

/// A refusal concerns this mail; anything else ends the connection.
fn unreadable(uid: Uid, error: ImapError) -> Result<Option<Content>, ImapError> {
    match error {
        ImapError::Refused(_, Imap::No(_) | Imap::Bad(_)) => {
            let reason = format!("the server does not hand out the mail with UID {uid}: {error}");
            Ok(Some(without_content(reason)))
        }
        other => Err(other),
    }
}

/// Removes what was taken in and is still there.
async fn clear(
    config: &ImapConfig,
    abilities: Abilities,
    validity: u32,
    session: &mut Connection,
    ledger: &mut Ledger,
) -> Result<(), ImapError> {
    let patience = config.patience;
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
                    let moved = patience.within("UID MOVE", session.uid_mv(&uid, to));
                    moved.await?;
                }
                (AfterTaking::Move, Some(to)) => {
                    let copied = patience.within("UID COPY", session.uid_copy(&uid, to));
                    copied.await?;
                    delete(patience, session, abilities, &uid).await?;
                }
                (AfterTaking::Delete | AfterTaking::Move, _) => {
                    delete(patience, session, abilities, &uid).await?;
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
    patience: Patience,
    session: &mut Connection,
    abilities: Abilities,
    uid: &str,
) -> Result<(), ImapError> {
    let mark = format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)");
    patience.run(session, "UID STORE", &mark).await?;
    if abilities.uidplus {
        let expunge = format!("UID EXPUNGE {uid}");
        patience.run(session, "UID EXPUNGE", &expunge).await?;
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
        config.patience.run(&mut session, "NOOP", "NOOP").await?;
        return Ok(session);
    }
    let mut idle = session.idle();
    config.patience.within("IDLE", idle.init()).await?;
    let longest = config.poll_every.min(config.patience.news);
    let (news, stop) = idle.wait_with_timeout(longest);
    let told = news.await;
    drop(stop);
    told.map_err(|error| ImapError::Refused("IDLE", error))?;
    config.patience.within("DONE", idle.done()).await
}
