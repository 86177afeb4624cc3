//! Everything that can move the engine: a closed list. What is journaled is exactly this.

use super::alert::{Alert, AlertText};
use super::command::Command;
use super::event::Event;
use super::id::IncidentId;
use super::identity::AlertKey;
use super::memory::FoundTicket;
use super::notice::{Author, MaintenanceNotice, Reply};
use super::outgoing::NoticeReport;
use super::ticket::{DeliveryReport, PersonChange};
use super::time::Time;
use serde::{Deserialize, Serialize};

/// Version of the stored encoding of [`Input`]. A field that is added later stands at the end of
/// its variant's content and encodes as zeros while it says nothing; an input of an older version
/// is then read as if zeros followed it.
pub const ENCODING_VERSION: u8 = 2;

/// The `sender` of a [`Message`] that is a sign of life of a heartbeat.
pub const HEARTBEAT: &str = "heartbeat";
/// The source under whose name the bridge speaks of itself.
pub const OWN_SOURCE: &str = "alertbridge";

/// An input with its place in the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequenced {
    /// Order in the journal, from 1, without gaps.
    pub seq: u64,
    /// When the bridge accepted it.
    pub at: Time,
    /// What it is.
    pub input: Input,
}

/// One input of the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// A request or mail that was decoded.
    Message(Message),
    /// A request or mail that could not be decoded, or may not be believed. It waits in
    /// quarantine; its raw bytes stand beside it.
    Undecoded(Undecoded),
    /// Repeats that cost no row of their own, summed over an interval.
    Seen(Vec<Seen>),
    /// What came of working on a ticket.
    Delivery(DeliveryReport),
    /// What a person did to a ticket in its tracker.
    Person(PersonChange),
    /// What an operator said.
    Command {
        /// Who said it.
        author: String,
        /// What.
        command: Command,
    },
    /// Deadlines fell due.
    Due,
    /// A generation of configuration, inventory or zone data came into force.
    Generation(Generation),
    /// The wall clock jumped by more than a minute, or the process was suspended.
    ClockStep {
        /// How far, in milliseconds; negative: backwards.
        by_ms: i64,
    },
    /// The daemon started.
    Restart {
        /// Version of the program.
        version: String,
        /// The installation's generation: random, drawn at first start and at `restore`.
        generation: String,
    },
    /// An input that the engine could not apply was set aside.
    Poisoned {
        /// Its place in the journal.
        seq: u64,
        /// What went wrong.
        reason: String,
    },
    /// What a storm that has subsided leaves: the engine asked for its texts.
    Remains(Remains),
    /// What came of sending a notice.
    Notice(NoticeReport),
    /// The store was lost: these open tickets were found in the trackers.
    Rebuilt(Vec<FoundTicket>),
}

impl Input {
    /// The kind, as stored, logged and counted.
    pub const fn kind(&self) -> &'static str {
        match self {
            Input::Message(_) => "message",
            Input::Undecoded(_) => "undecoded",
            Input::Seen(_) => "seen",
            Input::Delivery(_) => "delivery",
            Input::Person(_) => "person",
            Input::Command { .. } => "command",
            Input::Due => "due",
            Input::Generation(_) => "generation",
            Input::ClockStep { .. } => "clock_step",
            Input::Restart { .. } => "restart",
            Input::Poisoned { .. } => "poisoned",
            Input::Remains(_) => "remains",
            Input::Notice(_) => "notice",
            Input::Rebuilt(_) => "rebuilt",
        }
    }

    /// Whether its content must not be stored in the clear.
    pub fn is_sensitive(&self) -> bool {
        match self {
            Input::Message(message) => message.sensitive,
            Input::Undecoded(undecoded) => undecoded.sensitive,
            Input::Command {
                command: Command::Request(request),
                ..
            } => request.sensitive,
            Input::Rebuilt(found) => {
                let mut memories = found.iter().filter_map(|ticket| ticket.memory.as_ref());
                memories.any(|memory| memory.sensitive)
            }
            Input::Remains(remains) => remains.alerts.iter().any(|(_, text)| text.sensitive),
            _ => false,
        }
    }

    /// The source, for inputs that come from one.
    pub fn source(&self) -> &str {
        match self {
            Input::Message(message) => &message.source,
            Input::Undecoded(undecoded) => &undecoded.source,
            _ => "",
        }
    }
}

/// A decoded request or mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The source's name.
    pub source: String,
    /// The scope of its identities: the source's `identity_scope`, by default its name.
    pub scope: String,
    /// The format that decoded it.
    pub sender: String,
    /// The account that the source or address is bound to; it may raise and clear only that
    /// account's elements.
    pub account: Option<String>,
    /// Who wrote it, for mails.
    pub author: Option<Author>,
    /// The events.
    pub events: Vec<Event>,
    /// Maintenance notices.
    pub maintenance: Vec<MaintenanceNotice>,
    /// Words of people.
    pub replies: Vec<Reply>,
    /// Why it says nothing, if so.
    pub ignored: Option<String>,
    /// What was odd about it.
    pub problems: Vec<String>,
    /// The journal position of the quarantined message that this is a replay of.
    pub replay_of: Option<u64>,
    /// Content that must not leave the bridge.
    pub sensitive: bool,
    /// A machine may answer it: a person wrote it, to us and to no list.
    pub answerable: bool,
}

impl Message {
    /// Events and nothing else, of a source whose scope is its own name.
    pub fn new(source: &str, sender: &str, events: Vec<Event>) -> Message {
        Message {
            source: source.to_owned(),
            scope: source.to_owned(),
            sender: sender.to_owned(),
            account: None,
            author: None,
            events,
            maintenance: Vec::new(),
            replies: Vec::new(),
            ignored: None,
            problems: Vec::new(),
            replay_of: None,
            sensitive: false,
            answerable: false,
        }
    }
}

/// A request or mail in quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undecoded {
    /// The source's name.
    pub source: String,
    /// The format that tried, if known.
    pub sender: String,
    /// Why: a sentence for people.
    pub reason: String,
    /// What tells it apart from others of its sort: for mails sender and subject, for requests
    /// the source. One triage ticket for each.
    pub group: String,
    /// One line for people: subject, or the first words of the body.
    pub summary: String,
    /// Content that must not leave the bridge.
    pub sensitive: bool,
}

/// Repeats of one alert within an interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Which alert.
    pub key: AlertKey,
    /// The source that repeated it.
    pub source: String,
    /// How many repeats.
    pub count: u32,
    /// The last of them.
    pub last_seen: Time,
    /// The newest expiry.
    pub ends_at: Option<Time>,
    /// The newest summary, if it changed.
    pub summary: Option<String>,
}

/// Alerts that still fire, with the texts that the engine does not hold: of a storm that may be
/// over, or of what is held while a silence or window begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remains {
    /// The storm, or what is held.
    pub storm: IncidentId,
    /// Every alert of it that is active, and what its newest event said.
    pub alerts: Vec<(Alert, AlertText)>,
}

/// A generation of something that the engine decides by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// What changed.
    pub of: GenerationOf,
    /// A digest of the new content.
    pub digest: String,
    /// What changed, for people.
    pub note: String,
    /// Open alerts that resolve to another element now: alert id and element (empty: none).
    pub elements: Vec<(u64, String)>,
}

/// What a generation is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GenerationOf {
    /// The configuration files; the raw bytes beside the row are the files.
    Configuration,
    /// The inventory; the raw bytes beside the row are its files.
    Inventory,
    /// The time zone database.
    ZoneData,
}
