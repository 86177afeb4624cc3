//! Commands to an IMAP server and their answers, each in time. A command is done when the server says
//! so by its tag: what it refuses, and a connection that ends before, are errors, and never an answer
//! with nothing in it. (`async-imap` takes both for the end of the list.)

use super::mailbox::NotTaken;
use crate::limits;
use async_imap::Session;
use async_imap::error::Error as Imap;
use async_imap::imap_proto::{
    AttributeValue, MailboxDatum, MessageSection, Response, SectionPath, Status,
};
use async_imap::types::Uid;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

/// Why a connection was given up.
#[derive(Debug, thiserror::Error)]
pub(super) enum ImapError {
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

pub(super) trait Link: AsyncRead + AsyncWrite + Unpin + Send + std::fmt::Debug {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send + std::fmt::Debug> Link for T {}
pub(super) type Connection = Session<Box<dyn Link>>;

/// How long a server is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Its answer to a command.
    pub answer: Duration,
    /// News, at most.
    pub news: Duration,
    /// Until it is tried again, at most.
    pub again: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            answer: Duration::from_secs(limits::IMAP_COMMAND_SECONDS),
            news: Duration::from_secs(limits::IMAP_IDLE_SECONDS),
            again: Duration::from_secs(limits::MAILBOX_BACK_OFF_SECONDS_MAX),
        }
    }
}

impl Patience {
    /// The result of a command, in time.
    pub(super) async fn within<T>(
        self,
        what: &'static str,
        command: impl Future<Output = Result<T, Imap>>,
    ) -> Result<T, ImapError> {
        let done = self.in_time(what, command).await?;
        done.map_err(|error| ImapError::Refused(what, error))
    }

    pub(super) async fn in_time<T>(
        self,
        what: &'static str,
        work: impl Future<Output = T>,
    ) -> Result<T, ImapError> {
        let silent = |_| ImapError::Silent(what, self.answer.as_secs());
        timeout(self.answer, work).await.map_err(silent)
    }

    /// What `pick` finds in the answers to a command, each of which comes in time.
    async fn answers<T>(
        self,
        session: &mut Connection,
        what: &'static str,
        command: &str,
        pick: impl Fn(&Response<'_>) -> Option<T>,
    ) -> Result<Vec<T>, ImapError> {
        let tag = self.within(what, session.run_command(command)).await?;
        let mut found = Vec::new();
        loop {
            let next = self.in_time(what, session.read_response()).await?;
            let next = next.map_err(|error| ImapError::Refused(what, error.into()))?;
            let next = next.ok_or(ImapError::Ended(what))?;
            match next.parsed() {
                Response::Done {
                    tag: of,
                    status,
                    outcome,
                } if *of == tag => {
                    let said = outcome.information.as_deref().unwrap_or("").to_owned();
                    return match status {
                        Status::Ok => Ok(found),
                        Status::No => Err(ImapError::Refused(what, Imap::No(said))),
                        _ => Err(ImapError::Refused(what, Imap::Bad(said))),
                    };
                }
                other => found.extend(pick(other)),
            }
        }
    }

    /// The UIDs that a search finds.
    pub(super) async fn search(
        self,
        session: &mut Connection,
        query: &str,
    ) -> Result<Vec<Uid>, ImapError> {
        let command = format!("UID SEARCH {query}");
        let pick = |response: &Response<'_>| match response {
            Response::MailboxData(MailboxDatum::Search(uids)) => Some(uids.clone()),
            _ => None,
        };
        let found = self.answers(session, "UID SEARCH", &command, pick).await?;
        Ok(found.concat())
    }

    /// What is asked for of one mail, among whatever else the server tells; `None` if the server has
    /// no such mail.
    pub(super) async fn fetch(
        self,
        session: &mut Connection,
        uid: Uid,
        what: &str,
    ) -> Result<Option<Fetched>, ImapError> {
        let command = format!("UID FETCH {uid} {what}");
        let pick = |response: &Response<'_>| match response {
            Response::Fetch(_, attributes) => fetched(attributes, uid),
            _ => None,
        };
        let found = self.answers(session, "UID FETCH", &command, pick).await?;
        // Flags that somebody changed meanwhile are told of the same mail.
        let parts = found.into_iter();
        Ok(parts.reduce(|one, other| Fetched {
            size: one.size.or(other.size),
            header: one.header.or(other.header),
            body: one.body.or(other.body),
        }))
    }

    /// Does what has no answer but that it is done.
    pub(super) async fn run(
        self,
        session: &mut Connection,
        what: &'static str,
        command: &str,
    ) -> Result<(), ImapError> {
        let nothing = |_: &Response<'_>| None::<()>;
        self.answers(session, what, command, nothing).await?;
        Ok(())
    }
}

/// What a server told of one mail.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    pub(super) size: Option<u32>,
    pub(super) header: Option<Vec<u8>>,
    pub(super) body: Option<Vec<u8>>,
}

fn fetched(attributes: &[AttributeValue<'_>], uid: Uid) -> Option<Fetched> {
    let mut is_it = false;
    let mut found = Fetched::default();
    for attribute in attributes {
        match attribute {
            AttributeValue::Uid(of) => is_it = *of == uid,
            AttributeValue::Rfc822Size(size) => found.size = Some(*size),
            AttributeValue::BodySection {
                section: None,
                data: Some(data),
                ..
            } => found.body = Some(data.to_vec()),
            AttributeValue::BodySection {
                section: Some(SectionPath::Full(MessageSection::Header)),
                data: Some(data),
                ..
            } => found.header = Some(data.to_vec()),
            _ => {}
        }
    }
    is_it.then_some(found)
}
