//! Outside ticket systems: one file a tracker behind one trait. Trackers know tickets and
//! operations, not alerts. An adaptor reports what came of a call; it never retries, sleeps, logs
//! or reads a clock. What a tracker cannot do is declared and handled by the dispatcher.

pub mod client;
pub mod desk;
mod follow;
pub mod freescout;
mod fresh;
pub mod freshdesk;
pub mod freshservice;
pub mod github;
pub mod gitlab;
pub mod gitlab_alerts;
pub mod glpi;
pub mod goalert;
pub mod hooks;
pub mod http;
pub mod itop;
pub mod jira;
mod letter;
pub mod mail;
pub mod monitors;
pub mod osticket;
pub mod pagerduty;
mod promise;
pub mod redmine;
pub mod registry;
mod rest;
pub mod rt;
pub mod servicenow;
pub mod text;
pub mod words;
pub mod zammad;
pub mod zendesk;
pub mod znuny;

use crate::model::ticket::{PersonChange, RemoteRef, TicketFields, TicketStatus};
use crate::model::time::Time;
use futures_util::future::BoxFuture;
use std::time::Duration;

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Called<T> {
    /// It was done; the answer.
    Done(T),
    /// It was not done, and the same call will not be done later either.
    Refused {
        /// A sentence: what the tracker said.
        reason: String,
        /// The field it names, if it names one.
        field: Option<String>,
    },
    /// It is not known whether it was done: look before doing it again.
    Unknown {
        /// A sentence: what was seen.
        reason: String,
        /// How long it asks to wait before it is spoken to again.
        after: Option<Duration>,
    },
    /// It was not done; it may be done later.
    Later {
        /// A sentence: what the tracker said.
        reason: String,
        /// How long it asks to wait.
        after: Option<Duration>,
    },
}

impl<T> Called<T> {
    /// The same outcome with another answer.
    pub fn map<U>(self, answer: impl FnOnce(T) -> U) -> Called<U> {
        match self {
            Called::Done(value) => Called::Done(answer(value)),
            Called::Refused { reason, field } => Called::Refused { reason, field },
            Called::Unknown { reason, after } => Called::Unknown { reason, after },
            Called::Later { reason, after } => Called::Later { reason, after },
        }
    }

    /// The answer, or the outcome that stands in its way. With `?` a later step of an operation
    /// ends it with the outcome of an earlier one.
    pub fn done<U>(self) -> Result<T, Called<U>> {
        match self {
            Called::Done(value) => Ok(value),
            Called::Refused { reason, field } => Err(Called::Refused { reason, field }),
            Called::Unknown { reason, after } => Err(Called::Unknown { reason, after }),
            Called::Later { reason, after } => Err(Called::Later { reason, after }),
        }
    }

    /// The sentence, if it was not done.
    pub fn why(&self) -> &str {
        match self {
            Called::Done(_) => "",
            Called::Refused { reason, .. }
            | Called::Unknown { reason, .. }
            | Called::Later { reason, .. } => reason,
        }
    }

    /// Refused, without a field.
    pub fn refused(reason: impl Into<String>) -> Called<T> {
        Called::Refused {
            reason: reason.into(),
            field: None,
        }
    }

    /// What is no answer, as what came of another question; an answer is dropped.
    pub fn without_answer<U: Default>(self) -> Called<U> {
        self.map(|_| U::default())
    }

    /// Not done, without a time to wait.
    pub fn later(reason: impl Into<String>) -> Called<T> {
        Called::Later {
            reason: reason.into(),
            after: None,
        }
    }
}

/// An operation of several calls: the first that is not done ends it.
pub(crate) fn flat<T>(outcome: Result<T, Called<T>>) -> Called<T> {
    match outcome {
        Ok(value) => Called::Done(value),
        Err(outcome) => outcome,
    }
}

/// Whether the bridge has a ticket of this key in the tracker; an adaptor asks before it reads the
/// words of people, so that it never reads what is not the bridge's.
pub type Known<'a> = &'a (dyn Fn(&str) -> bool + Send + Sync);

/// Whether a ticket whose work is over can be opened again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reopens {
    /// Whatever its status is.
    Always,
    /// While it is resolved; once it is closed, a new ticket follows it.
    UntilClosed,
    /// Never: a new ticket follows it.
    Never,
}

/// What a tracker can do, and its limits. What it cannot do is handled by the dispatcher.
#[derive(Clone, Debug)]
pub struct Capabilities {
    /// Tickets can be found by our key through a consistent read.
    pub finds_by_key: bool,
    /// Open tickets with a key of the bridge's can be listed with their texts, whatever the key.
    pub lists_open: bool,
    /// Where the key stands, for people.
    pub key_kept: &'static str,
    /// A create with a key that it knows makes no second ticket: it can simply be sent again.
    pub creates_once: bool,
    /// How long after a write a search may miss it.
    pub settle: Duration,
    /// Fields of a ticket can be written after it was made.
    pub updates: bool,
    /// A ticket has a place for the severity.
    pub priorities: bool,
    /// Notes can be added.
    pub notes: bool,
    /// A ticket whose work is over can be opened again.
    pub reopens: Reopens,
    /// Two tickets can be linked or merged.
    pub links: bool,
    /// A ticket can be read back, with the markers of our notes.
    pub reads_back: bool,
    /// People's changes can be read.
    pub reads_changes: bool,
    /// How often people's changes are read.
    pub poll_every: Duration,
    /// Longest subject, characters.
    pub subject_chars_max: usize,
    /// Longest body or note, bytes.
    pub body_bytes_max: usize,
    /// Largest file that goes with a new ticket, bytes; 0: none does.
    pub attachment_bytes_max: usize,
    /// What else a route can give a new ticket.
    pub takes: Takes,
    /// Calls at the same time.
    pub parallel_max: usize,
    /// Most calls a minute where the configuration names no rate; 0: no limit is known.
    pub calls_per_minute: u32,
}

impl Capabilities {
    /// A tracker that can do everything; its settle time and its limits are to be named.
    pub const TICKETS: Capabilities = Capabilities {
        finds_by_key: true,
        lists_open: false,
        key_kept: "",
        creates_once: false,
        settle: Duration::from_secs(30),
        updates: true,
        priorities: true,
        notes: true,
        reopens: Reopens::Always,
        links: true,
        reads_back: true,
        reads_changes: true,
        poll_every: Duration::from_secs(30),
        subject_chars_max: 200,
        body_bytes_max: 64 * 1024,
        attachment_bytes_max: 0,
        takes: Takes::NOTHING,
        parallel_max: 2,
        calls_per_minute: 0,
    };

    /// A tracker that takes events by a key of ours and tells nothing.
    pub const EVENTS: Capabilities = Capabilities {
        finds_by_key: false,
        creates_once: true,
        settle: Duration::ZERO,
        notes: false,
        links: false,
        reads_back: false,
        reads_changes: false,
        poll_every: Duration::from_secs(3600),
        ..Capabilities::TICKETS
    };
}

/// What a route can give a new ticket where the tracker has the notion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Takes {
    /// A queue, project, group or mailbox.
    pub queue: bool,
    /// A type of ticket.
    pub kind: bool,
    /// Who asked for it.
    pub requestor: bool,
    /// Who is told of changes.
    pub watchers: bool,
    /// Fields that the operators made.
    pub custom: bool,
}

impl Takes {
    /// Nothing of it.
    pub const NOTHING: Takes = Takes {
        queue: false,
        kind: false,
        requestor: false,
        watchers: false,
        custom: false,
    };
    /// All of it.
    pub const ALL: Takes = Takes {
        queue: true,
        kind: true,
        requestor: true,
        watchers: true,
        custom: true,
    };
}

/// What a route asks of a tracker, as far as the configuration tells it without an alert.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The route.
    pub route: String,
    /// The queue, project or group; empty: the tracker's default.
    pub queue: String,
    /// The type of ticket; empty: the tracker's default, or it depends on the incident.
    pub kind: String,
    /// Names of custom fields.
    pub custom: Vec<String>,
}

impl Asked {
    /// The queue, or the one of the tracker's section.
    pub(crate) fn queue_or<'a>(&'a self, default: &'a str) -> &'a str {
        if self.queue.is_empty() {
            default
        } else {
            &self.queue
        }
    }

    /// Whether something that it asks for is there; a sentence for people. `named` says what it is:
    /// "queue `x`", "field `y`".
    pub(crate) fn is_there(&self, named: &str, there: bool) -> Result<String, String> {
        let route = &self.route;
        if there {
            Ok(format!("route `{route}`: {named} is there"))
        } else {
            Err(format!("route `{route}`: there is no {named}"))
        }
    }

    /// The same, where looking may fail.
    pub(crate) fn is_found<T>(&self, named: &str, found: &Called<T>) -> Result<String, String> {
        match found {
            Called::Done(_) => self.is_there(named, true),
            other => {
                let (route, why) = (&self.route, other.why());
                Err(format!("route `{route}`: {named} cannot be read: {why}"))
            }
        }
    }
}

/// A file that goes with a new ticket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Its name: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Its media type; one that nothing runs or shows as a page.
    pub content_type: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

impl Attachment {
    /// A file of text.
    pub fn of_text(name: impl Into<String>, text: impl Into<String>) -> Attachment {
        Attachment {
            name: name.into(),
            content_type: "text/plain".to_owned(),
            bytes: text.into().into_bytes(),
        }
    }

    /// Its bytes in base64.
    pub(crate) fn base64(&self) -> String {
        use base64::Engine as _;
        base64::engine::general_purpose::STANDARD.encode(&self.bytes)
    }

    /// As a part of a form; none if its media type is none.
    pub(crate) fn part(&self) -> Option<reqwest::multipart::Part> {
        let part = reqwest::multipart::Part::bytes(self.bytes.clone());
        part.file_name(self.name.clone())
            .mime_str(&self.content_type)
            .ok()
    }
}

/// A ticket to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The idempotency key, stored where the tracker can find it again.
    pub key: String,
    /// Our fields.
    pub fields: TicketFields,
    /// The body, plain text, within the limits.
    pub body: String,
    /// The tracker's word for the type of ticket; empty: its default.
    pub kind: String,
    /// Who asked for it, for trackers that want a requestor; empty: the default.
    pub requestor: String,
    /// Who is told of changes: a name or address each, without separators.
    pub watchers: Vec<String>,
    /// Custom fields, by the tracker's name of each: one line each.
    pub custom: Vec<(String, String)>,
    /// Files that go with it, within the limits.
    pub attachments: Vec<Attachment>,
    /// The ticket that it follows, because that one cannot be opened again.
    pub follows: Option<RemoteRef>,
}

/// A change of a ticket that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Write the fields that differ between the two.
    Fields {
        /// What was written last, if known.
        from: Option<TicketFields>,
        /// What it should be.
        to: TicketFields,
    },
    /// Add a note.
    Note {
        /// Stands in the note, so that it can be found again.
        marker: String,
        /// The text, within the limits.
        text: String,
        /// The ticket's subject, for trackers where a note is a letter of its own.
        about: String,
        /// Whether the customer may see it.
        public: bool,
    },
    /// Link to another ticket and close as its duplicate.
    CloseAsDuplicateOf(RemoteRef),
}

/// A ticket as read from its tracker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteTicket {
    /// Where it lives.
    pub remote: RemoteRef,
    /// The key stored in it, as read.
    pub key: String,
    /// Our fields as they are now.
    pub fields: TicketFields,
    /// Markers of our notes that it holds, if asked for.
    pub markers: Vec<String>,
    /// When it was made, by the tracker.
    pub created_at: Option<Time>,
}

impl RemoteTicket {
    /// A ticket that is not there any more.
    pub fn gone(remote: RemoteRef) -> RemoteTicket {
        RemoteTicket {
            remote,
            key: String::new(),
            fields: TicketFields {
                subject: String::new(),
                status: TicketStatus::Gone,
                severity: None,
                queue: String::new(),
            },
            markers: Vec::new(),
            created_at: None,
        }
    }
}

/// An open ticket that carries a key of the bridge's, whosever it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenTicket {
    /// The ticket; its markers are not read.
    pub ticket: RemoteTicket,
    /// Its text as it was opened.
    pub text: String,
    /// What others than the bridge did to it, oldest first, with the change ids of
    /// [`Tracker::changes`].
    pub history: Vec<PersonChange>,
}

/// One outside ticket system.
pub trait Tracker: Send + Sync {
    /// The configured name.
    fn name(&self) -> &str;

    /// What it can do.
    fn capabilities(&self) -> &Capabilities;

    /// Our fields as the tracker shows them once they are written: cut, folded, renamed. A
    /// difference between this and what is read is a person's change.
    fn as_kept(&self, fields: &TicketFields) -> TicketFields {
        fields.clone()
    }

    /// Tickets that hold exactly this key and are not gone. A failed look-up is not "none".
    fn find<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Called<Vec<RemoteTicket>>>;

    /// Makes a ticket.
    fn open<'a>(&'a self, draft: &'a Draft) -> BoxFuture<'a, Called<RemoteRef>>;

    /// Changes a ticket.
    fn change<'a>(&'a self, remote: &'a RemoteRef, change: &'a Change)
    -> BoxFuture<'a, Called<()>>;

    /// Reads a ticket, with the markers of our notes.
    fn read<'a>(&'a self, remote: &'a RemoteRef) -> BoxFuture<'a, Called<RemoteTicket>>;

    /// What people did to tickets that are known since the cursor, oldest first, and the new
    /// cursor. An empty cursor means "from now on".
    fn changes<'a>(
        &'a self,
        cursor: &'a str,
        known: Known<'a>,
    ) -> BoxFuture<'a, Called<(Vec<PersonChange>, String)>>;

    /// Every open ticket that carries a key of the form of the bridge's: what is left when the store
    /// is lost. Called where [`Capabilities::lists_open`] says so.
    fn open_tickets(&self) -> BoxFuture<'_, Called<Vec<OpenTicket>>> {
        Box::pin(async { Called::refused("its open tickets cannot be listed by their key") })
    }

    /// A ticket of the bridge's has this name there: what people do to it is to be told.
    fn lives_at(&self, _key: &str) {}

    /// How long good answers since the last question asked to wait, because the tracker's rate is
    /// nearly used up; told once.
    fn pause_asked(&self) -> Option<Duration> {
        None
    }

    /// When the token ends with which it is spoken to, if the tracker tells.
    fn token_ends_at(&self) -> BoxFuture<'_, Option<Time>> {
        Box::pin(async { None })
    }

    /// Speaks to the tracker: reachable, authorised, the key can be stored and found again. One
    /// sentence for each thing that was tried; an error sentence for what failed. `now` is what
    /// the tracker's clock is compared with.
    fn check(&self, now: Time) -> BoxFuture<'_, Vec<Result<String, String>>>;

    /// Whether what routes ask for is there: queues, types, custom fields. One sentence for each
    /// thing that was looked at; what it does not take is not asked.
    fn check_asked<'a>(
        &'a self,
        _asked: &'a [Asked],
    ) -> BoxFuture<'a, Vec<Result<String, String>>> {
        Box::pin(async { Vec::new() })
    }
}
