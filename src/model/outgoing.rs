//! Notices that the bridge sends to people: wanted and stored before the first byte leaves, and what
//! came of each.

use super::id::{IncidentId, NoticeId};
use super::incident::Effect;
use super::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One notice to one reader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedNotice {
    /// Our number.
    pub id: NoticeId,
    /// The idempotency key, at most 40 characters of `[a-z0-9-]`; letters are named by it.
    pub key: String,
    /// What ties the notices of one matter to one reader together, like a key; the message id of
    /// the mail that it answers, if it answers one.
    pub thread: String,
    /// What it tells.
    pub kind: NoticeKind,
    /// Whom it is for.
    pub audience: Audience,
    /// How it goes.
    pub way: Way,
    /// The mail address, or the pager's name.
    pub to: String,
    /// The incident it speaks of, if any.
    pub incident: Option<IncidentId>,
    /// What it says; the words are chosen when it is sent.
    pub facts: NoticeFacts,
    /// When it was decided.
    pub wanted_at: Time,
    /// Not to be sent before.
    pub send_at: Time,
    /// Why it waits until then.
    pub waits_for: Option<WaitsFor>,
    /// Where it stands.
    pub state: NoticeState,
    /// Attempts that are known of.
    pub attempts: u32,
    /// What stands in its way, or how it ended; empty: nothing to say.
    pub reason: String,
    /// When that was known.
    pub changed_at: Time,
}

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// An incident opened.
    Opened,
    /// Staff wrote, or the severity changed.
    Updated,
    /// A time for the next update was promised.
    Promised,
    /// It is over.
    Resolved,
    /// It is not over after all.
    Reopened,
    /// A level of escalation was reached.
    Escalation,
    /// A target is about to be missed.
    Warning,
    /// A target was missed.
    Breach,
    /// Work is planned.
    MaintenancePlanned,
    /// Planned work takes place at another time.
    MaintenanceChanged,
    /// Planned work does not take place.
    MaintenanceCancelled,
    /// Planned work began.
    MaintenanceStarted,
    /// Planned work is over.
    MaintenanceEnded,
    /// Planned work should be over, and the service is not back.
    MaintenanceOverrun,
    /// A security message that a person released.
    Security,
    /// An audience has no address: somebody has to tell it.
    Unaddressed,
    /// A promised time could not be read: its author has to write it again.
    PromiseUnclear,
    /// Somebody is called.
    Page,
    /// A call is over.
    PageEnded,
    /// The report of a contract's month.
    Report,
    /// What somebody wrote was received, under this number.
    Received,
}

impl NoticeKind {
    /// Every kind.
    pub const ALL: [NoticeKind; 21] = [
        NoticeKind::Opened,
        NoticeKind::Updated,
        NoticeKind::Promised,
        NoticeKind::Resolved,
        NoticeKind::Reopened,
        NoticeKind::Escalation,
        NoticeKind::Warning,
        NoticeKind::Breach,
        NoticeKind::MaintenancePlanned,
        NoticeKind::MaintenanceChanged,
        NoticeKind::MaintenanceCancelled,
        NoticeKind::MaintenanceStarted,
        NoticeKind::MaintenanceEnded,
        NoticeKind::MaintenanceOverrun,
        NoticeKind::Security,
        NoticeKind::Unaddressed,
        NoticeKind::PromiseUnclear,
        NoticeKind::Page,
        NoticeKind::PageEnded,
        NoticeKind::Report,
        NoticeKind::Received,
    ];

    /// The word in templates, API and keys.
    pub const fn word(self) -> &'static str {
        match self {
            NoticeKind::Opened => "opened",
            NoticeKind::Updated => "updated",
            NoticeKind::Promised => "promised",
            NoticeKind::Resolved => "resolved",
            NoticeKind::Reopened => "reopened",
            NoticeKind::Escalation => "escalation",
            NoticeKind::Warning => "warning",
            NoticeKind::Breach => "breach",
            NoticeKind::MaintenancePlanned => "maintenance_planned",
            NoticeKind::MaintenanceChanged => "maintenance_changed",
            NoticeKind::MaintenanceCancelled => "maintenance_cancelled",
            NoticeKind::MaintenanceStarted => "maintenance_started",
            NoticeKind::MaintenanceEnded => "maintenance_ended",
            NoticeKind::MaintenanceOverrun => "maintenance_overrun",
            NoticeKind::Security => "security",
            NoticeKind::Unaddressed => "unaddressed",
            NoticeKind::PromiseUnclear => "promise_unclear",
            NoticeKind::Page => "page",
            NoticeKind::PageEnded => "page_ended",
            NoticeKind::Report => "report",
            NoticeKind::Received => "received",
        }
    }
}

/// Whom a notice is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Audience {
    /// A customer's own people, users of managed accounts included.
    Customer,
    /// A partner's people, about an account that it manages.
    Partner,
    /// Our own people.
    Staff,
    /// Whoever a security message concerns.
    Security,
}

impl Audience {
    /// Every audience.
    pub const ALL: [Audience; 4] = [
        Audience::Customer,
        Audience::Partner,
        Audience::Staff,
        Audience::Security,
    ];

    /// The word in API and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Audience::Customer => "customer",
            Audience::Partner => "partner",
            Audience::Staff => "staff",
            Audience::Security => "security",
        }
    }
}

/// How a notice goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// By mail.
    Mail,
    /// By a pager.
    Pager,
}

impl Way {
    /// The word in API and keys.
    pub const fn word(self) -> &'static str {
        match self {
            Way::Mail => "mail",
            Way::Pager => "pager",
        }
    }
}

/// Why a notice is not sent at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WaitsFor {
    /// Nobody is called for it off hours.
    NextWorkingDay,
    /// It is soft, and the hours are quiet.
    QuietHours,
    /// The contract says how long before the work it is told.
    LeadTime,
}

/// Where a notice stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeState {
    /// To be sent.
    Waiting,
    /// Sent.
    Sent,
    /// Sent again after an outcome that nobody knows: the reader may have it twice.
    SentMaybeTwice,
    /// Nothing more is tried until a person says so.
    Dead,
    /// A person gave it up, or it says nothing any more.
    Dropped,
}

impl NoticeState {
    /// The word in the API.
    pub const fn word(self) -> &'static str {
        match self {
            NoticeState::Waiting => "waiting",
            NoticeState::Sent => "sent",
            NoticeState::SentMaybeTwice => "sent_maybe_twice",
            NoticeState::Dead => "dead",
            NoticeState::Dropped => "dropped",
        }
    }
}

/// What a notice says, free of language. Texts hold no name of another customer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeFacts {
    /// `en`, `ja` or `fr`.
    pub locale: String,
    /// IANA zone of the reader.
    pub tz: String,
    /// The name that signs; empty: the configured sender.
    pub sender_name: String,
    /// Where the reader gets help.
    pub support: String,
    /// `INC-12`, `MW-3`, `SEC-1`; a report's month, like `2026-06`.
    pub reference: String,
    /// The contract; empty: none.
    pub contract: String,
    /// For a partner: the accounts that it is about.
    pub accounts: Vec<String>,
    /// One line for staff; empty for customers.
    pub title: String,
    /// On the contract's scale.
    pub severity: Option<u8>,
    /// The worst effect on the reader's services.
    pub effect: Option<Effect>,
    /// The reader's services.
    pub services: Vec<String>,
    /// What staff wrote.
    pub text: String,
    /// When it happened.
    pub at: Time,
    /// Since when: the incident's report, the window's begin.
    pub since: Option<Time>,
    /// Until when: the promised update, the end of a window, a target's due instant.
    pub until: Option<Time>,
    /// The target, for warnings and breaches.
    pub target: String,
    /// The level, for escalations.
    pub level: u8,
    /// Why: `impact`, `slow`, `expectations`; how it ended; which audience has no address.
    pub reason: String,
    /// Told later than the contract's lead time.
    pub short_notice: bool,
}

/// What came of sending a notice. A worker reports it as an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeReport {
    /// The notice.
    pub notice: NoticeId,
    /// Attempts so far.
    pub attempts: u32,
    /// What came of it.
    pub outcome: NoticeOutcome,
    /// A sentence, if there is something to say.
    pub reason: String,
}

/// What can come of sending a notice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NoticeOutcome {
    /// It was taken.
    Sent {
        /// An earlier attempt may have been taken as well.
        maybe_twice: bool,
    },
    /// It was not; it is tried again.
    Failing,
    /// It was refused, or tried for too long.
    Dead,
    /// Somebody answered the call.
    Acknowledged {
        /// Who.
        by: String,
    },
}

/// A call that goes on until somebody answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The incident.
    pub incident: IncidentId,
    /// Which call for this incident, from 1.
    pub number: u64,
    /// Contacts by level, from 1.
    pub chain: Vec<String>,
    /// Levels that are called.
    pub level: usize,
    /// When it began.
    pub began_at: Time,
    /// When it is repeated.
    pub repeat_at: Time,
    /// When the next level is called.
    pub next_level_at: Time,
    /// Repeats so far.
    pub repeats: u32,
    /// Why.
    pub why: String,
    /// By pager: the last call of it, and the key that all its calls share.
    pub calls: BTreeMap<String, (NoticeId, String)>,
}
