//! What the built-in desk keeps: numbered tickets, comments and a history of changes. The tracker
//! `desk` and the operators' API work over this trait. Calls block on the disk for a moment: async
//! callers go through `spawn_blocking`. The store keeps no policy: what a status may follow, who
//! may write and what a customer sees is decided above it.

use super::StoreError;
use crate::model::Time;
use crate::model::severity::Severity;
use crate::model::ticket::TicketStatus;
use serde::{Deserialize, Serialize};

/// Who did something at the desk.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeskAuthor {
    /// The bridge itself.
    Bridge,
    /// A person of the provider, by name.
    Staff(String),
    /// The counterparty, by name or address.
    Customer(String),
}

/// A ticket to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDeskTicket {
    /// The idempotency key, unique; empty: a person opened it and there is none.
    pub key: String,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub body: String,
    /// Its first status.
    pub status: TicketStatus,
    /// Severity, if known.
    pub severity: Option<Severity>,
    /// Where it goes; empty: the default queue.
    pub queue: String,
    /// Who asked for it; empty: nobody in particular.
    pub requestor: String,
    /// Who makes it.
    pub author: DeskAuthor,
    /// When.
    pub at: Time,
}

/// What came of making a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeskCreated {
    /// It was made; its number.
    Made(u64),
    /// A ticket with this key stood there already, as number; nothing was changed.
    Found(u64),
}

impl DeskCreated {
    /// The number, however it came to be.
    pub const fn number(self) -> u64 {
        match self {
            DeskCreated::Made(number) | DeskCreated::Found(number) => number,
        }
    }
}

/// A ticket of the desk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeskTicket {
    /// From 1, rising.
    pub number: u64,
    /// The idempotency key; empty: none.
    pub key: String,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub body: String,
    /// Where it stands; [`TicketStatus::WaitingCustomer`] says that it waits for the customer.
    pub status: TicketStatus,
    /// Severity, if known.
    pub severity: Option<Severity>,
    /// Queue; empty: the default.
    pub queue: String,
    /// Who works on it; empty: nobody.
    pub owner: String,
    /// Who asked for it.
    pub requestor: String,
    /// The ticket that this one was merged into or closed as a duplicate of.
    pub merged_into: Option<u64>,
    /// When it was made.
    pub created_at: Time,
    /// When it changed last (comments count).
    pub changed_at: Time,
}

/// Fields to set; `None` leaves a field alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeskPatch {
    /// New subject.
    pub subject: Option<String>,
    /// New status.
    pub status: Option<TicketStatus>,
    /// New severity; `Some(None)` removes it.
    pub severity: Option<Option<Severity>>,
    /// New queue.
    pub queue: Option<String>,
    /// New owner; empty: nobody.
    pub owner: Option<String>,
    /// Merged into this ticket.
    pub merged_into: Option<u64>,
}

/// A comment to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDeskComment {
    /// Who writes.
    pub author: DeskAuthor,
    /// When.
    pub at: Time,
    /// Whether the customer may see it.
    pub public: bool,
    /// The text.
    pub text: String,
    /// Makes it unique within its ticket; empty: none.
    pub marker: String,
}

/// A comment of a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeskComment {
    /// Rising over the whole desk.
    pub id: u64,
    /// Its ticket.
    pub ticket: u64,
    /// Who wrote.
    pub author: DeskAuthor,
    /// When.
    pub at: Time,
    /// Whether the customer may see it.
    pub public: bool,
    /// The text.
    pub text: String,
    /// Its marker; empty: none.
    pub marker: String,
}

/// One line of a ticket's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeskChange {
    /// Rising over the whole desk, in the order of the commits: a cursor for polling.
    pub id: u64,
    /// Its ticket.
    pub ticket: u64,
    /// Who did it.
    pub author: DeskAuthor,
    /// When.
    pub at: Time,
    /// What.
    pub what: DeskDid,
}

/// What can happen to a ticket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeskDid {
    /// It was made.
    Created,
    /// The new subject.
    Subject(String),
    /// The new status.
    Status(TicketStatus),
    /// The new severity.
    Severity(Option<Severity>),
    /// The new queue.
    Queue(String),
    /// The new owner; empty: nobody.
    Owner(String),
    /// A comment was added.
    Commented {
        /// Its id.
        comment: u64,
        /// Whether the customer may see it.
        public: bool,
        /// The text.
        text: String,
    },
    /// Merged into this ticket.
    MergedInto(u64),
}

/// Which tickets a listing wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeskFilter {
    /// `true`: only tickets that are not over; `false`: only those that are.
    pub open: Option<bool>,
    /// Only this status.
    pub status: Option<TicketStatus>,
    /// Only this queue.
    pub queue: Option<String>,
    /// Only this owner; empty: nobody's.
    pub owner: Option<String>,
}

/// The desk's tickets. Every write is one synced transaction.
pub trait DeskStore: Send + Sync {
    /// Makes a ticket, or finds the one that has the key already.
    fn create(&self, ticket: &NewDeskTicket) -> Result<DeskCreated, StoreError>;

    /// A ticket by number.
    fn ticket(&self, number: u64) -> Result<Option<DeskTicket>, StoreError>;

    /// A ticket by key. An empty key finds nothing.
    fn find(&self, key: &str) -> Result<Option<DeskTicket>, StoreError>;

    /// Tickets, newest first, below `before` if given, at most `limit`.
    fn list(
        &self,
        filter: &DeskFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<DeskTicket>, StoreError>;

    /// Sets fields; each that differs from before becomes a change. The ticket as it is then;
    /// `None`: there is no such ticket.
    fn update(
        &self,
        number: u64,
        patch: &DeskPatch,
        author: &DeskAuthor,
        at: Time,
    ) -> Result<Option<DeskTicket>, StoreError>;

    /// Adds a comment; if the ticket holds one with the same non-empty marker already, nothing is
    /// added and that one's id is given. `None`: there is no such ticket.
    fn comment(&self, number: u64, comment: &NewDeskComment) -> Result<Option<u64>, StoreError>;

    /// Comments of a ticket by id, after `after` (0: from the first), at most `limit`.
    fn comments(
        &self,
        number: u64,
        after: u64,
        limit: usize,
    ) -> Result<Vec<DeskComment>, StoreError>;

    /// Markers of all comments of a ticket, without the empty ones.
    fn markers(&self, number: u64) -> Result<Vec<String>, StoreError>;

    /// History of a ticket by change id, after `after` (0: from the first), at most `limit`.
    fn history(&self, number: u64, after: u64, limit: usize)
    -> Result<Vec<DeskChange>, StoreError>;

    /// Changes of all tickets by id, after `after`, at most `limit`.
    fn changes(&self, after: u64, limit: usize) -> Result<Vec<DeskChange>, StoreError>;

    /// The id of the newest change; 0: none.
    fn last_change(&self) -> Result<u64, StoreError>;
}
