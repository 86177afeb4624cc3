//! The ticket: what the tracker should look like, what was last written and read, and what came
//! of each attempt.

use super::id::{AlertId, IncidentId, TicketId};
use super::severity::Severity;
use super::time::Time;
use serde::{Deserialize, Serialize};

/// What each key of a ticket begins with, whichever bridge made it.
pub const KEY_BEGINS: &str = "ab-";
/// Who did what nobody is named for.
pub const SOMEBODY: &str = "somebody";

/// Whether a text has the form of a ticket's key.
pub fn is_key(text: &str) -> bool {
    text.starts_with(KEY_BEGINS)
}

/// What one ticket in one tracker should look like, and how far the tracker has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedTicket {
    /// Our id.
    pub id: TicketId,
    /// The incident it speaks of.
    pub incident: IncidentId,
    /// The contract, for a customer-visible ticket of one case; `None` for the operations ticket.
    pub contract: Option<String>,
    /// The route that asked for it; kept for the ticket's life.
    pub route: String,
    /// The tracker it lives in; kept for the ticket's life.
    pub tracker: String,
    /// Which life of the incident: rises when a new ticket follows a closed one.
    pub cycle: u32,
    /// The idempotency key, at most 40 characters of `[a-z0-9-]`.
    pub key: String,
    /// What the ticket should look like.
    pub wanted: TicketFields,
    /// Rises with each change of `wanted`.
    pub version_wanted: u64,
    /// The version that the tracker shows.
    pub version_done: u64,
    /// What we wrote last.
    pub last_written: Option<TicketFields>,
    /// What we read last; a difference to `last_written` is a person's change.
    pub last_read: Option<TicketFields>,
    /// Where it lives, once it exists.
    pub remote: Option<RemoteRef>,
    /// Notes in order; those done are dropped once their successors are done.
    pub notes: Vec<TicketNote>,
    /// What stands in the way, if anything.
    pub trouble: Option<Trouble>,
    /// The instant of the alert that asked for it, for the alert-to-ticket figure.
    pub asked_at: Time,
    /// Written to the desk only, whatever the route's tracker.
    pub shadow: bool,
    /// The language it is written in: `en`, `ja` or `fr`.
    pub language: String,
    /// The alert whose acknowledgement at its monitor this is; `None`: a ticket.
    pub alert: Option<AlertId>,
    /// The ticket that could not be written, in whose place this one was asked for.
    pub stands_in_for: Option<TicketId>,
    /// Opened, and closed, also if its problem is over before the tracker took it.
    pub also_when_over: bool,
}

impl WantedTicket {
    /// Whether a worker has something to do.
    pub fn has_work(&self) -> bool {
        let dead = self.trouble.as_ref().is_some_and(|trouble| trouble.dead);
        !dead && (self.version_wanted > self.version_done || self.notes.iter().any(|n| !n.done))
    }
}

/// The fields of a ticket that are ours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketFields {
    /// One line.
    pub subject: String,
    /// Open or not.
    pub status: TicketStatus,
    /// Severity, if known.
    pub severity: Option<Severity>,
    /// Where it goes inside the tracker (queue, project); empty: the tracker's default.
    pub queue: String,
}

/// Status of a ticket in our words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TicketStatus {
    /// Nobody has taken it.
    New,
    /// Somebody works on it.
    Open,
    /// Waits for the customer.
    WaitingCustomer,
    /// On hold for another reason.
    OnHold,
    /// Solved; may be reopened.
    Resolved,
    /// Over for good.
    Closed,
    /// Not a ticket any more: deleted, rejected, merged into another.
    Gone,
}

impl TicketStatus {
    /// All of them.
    pub const ALL: [TicketStatus; 7] = [
        TicketStatus::New,
        TicketStatus::Open,
        TicketStatus::WaitingCustomer,
        TicketStatus::OnHold,
        TicketStatus::Resolved,
        TicketStatus::Closed,
        TicketStatus::Gone,
    ];

    /// The word used in the API and the desk.
    pub const fn word(self) -> &'static str {
        match self {
            TicketStatus::New => "new",
            TicketStatus::Open => "open",
            TicketStatus::WaitingCustomer => "waiting_customer",
            TicketStatus::OnHold => "on_hold",
            TicketStatus::Resolved => "resolved",
            TicketStatus::Closed => "closed",
            TicketStatus::Gone => "gone",
        }
    }

    /// From the word.
    pub fn from_word(word: &str) -> Option<TicketStatus> {
        TicketStatus::ALL
            .into_iter()
            .find(|status| status.word() == word)
    }

    /// Whether work on the ticket is over.
    pub const fn is_over(self) -> bool {
        matches!(
            self,
            TicketStatus::Resolved | TicketStatus::Closed | TicketStatus::Gone
        )
    }
}

/// A note that a ticket should get, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketNote {
    /// Stands in the note's text, so that it can be found after an unknown outcome.
    pub marker: String,
    /// When it was decided.
    pub at: Time,
    /// The text for people.
    pub text: String,
    /// Whether the customer may see it.
    pub public: bool,
    /// Whether the tracker has it.
    pub done: bool,
}

/// Where a ticket lives.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RemoteRef {
    /// The tracker's number or key.
    pub key: String,
    /// A link for people; empty if the tracker has none.
    pub url: String,
}

/// What stands in the way of a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// A sentence: what failed, and what was tried.
    pub reason: String,
    /// Attempts so far.
    pub attempts: u32,
    /// When it began.
    pub since: Time,
    /// Nothing more is tried until a person says so.
    pub dead: bool,
}

/// What came of working on a ticket. A delivery worker reports it as an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryReport {
    /// The ticket.
    pub ticket: TicketId,
    /// The version of `wanted` that the tracker shows now; 0 if no field was written.
    pub version_done: u64,
    /// What was written.
    pub written: Option<TicketFields>,
    /// What was read back.
    pub read: Option<TicketFields>,
    /// Where it lives, if it was created or found.
    pub remote: Option<RemoteRef>,
    /// How the ticket came to be, if this report brings `remote`.
    pub origin: Option<Origin>,
    /// Markers of the notes that the tracker has now.
    pub notes_done: Vec<String>,
    /// What stands in the way; `None` if all was done.
    pub trouble: Option<Trouble>,
    /// Other tickets with the same key that were linked and closed as duplicates.
    pub twins_closed: Vec<RemoteRef>,
}

/// How a ticket came to be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The tracker said so in answer to our request.
    Created,
    /// Found by its key after an unknown outcome.
    Found,
    /// A person named it.
    Adopted,
    /// Made anew, because the one before it cannot be opened again.
    Followed,
}

/// What people did to a ticket in its tracker. A poller or hook reports it as an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonChange {
    /// The tracker.
    pub tracker: String,
    /// The ticket there.
    pub remote: String,
    /// The tracker's id of this change; the same id is applied once.
    pub change_id: String,
    /// When it happened, by the tracker.
    pub at: Time,
    /// Who did it.
    pub author: String,
    /// What it was.
    pub what: PersonDid,
}

/// One thing that a person can do to a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PersonDid {
    /// Staff wrote something that the counterparty can see, with a promised time if it names one.
    Answered {
        /// The text, bounded.
        text: String,
        /// The time promised for the next update.
        promise: Option<Time>,
    },
    /// Staff wrote an internal note.
    Noted {
        /// The text, bounded.
        text: String,
    },
    /// The customer wrote.
    CustomerWrote {
        /// The text, bounded.
        text: String,
    },
    /// The status changed.
    Status(TicketStatus),
    /// The owner changed; empty: nobody.
    Owner(String),
    /// The severity or priority was changed to this severity.
    Severity(Severity),
    /// Merged into another ticket of the tracker.
    MergedInto(String),
    /// The customer closed it.
    ClosedByCustomer,
    /// The condition behind an acknowledgement ended; its monitor cannot say so itself.
    ConditionEnded,
    /// Staff set the field that holds the time promised for the next update.
    Promised {
        /// Its value as written, bounded; without an offset it is in the contract's zone.
        value: String,
    },
    /// Moved: the tracker names it so from now on.
    MovedTo(String),
}
