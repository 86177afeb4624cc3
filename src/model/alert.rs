//! An alert as the engine holds it and the store keeps it. Texts stay in the store.

use super::event::{ComponentKind, EventState, SeverityHint, Suppressed};
use super::id::{AlertId, IncidentId, SilenceId, Sym, WindowId};
use super::identity::{AlertKey, Identity};
use super::incident::WITHHELD;
use super::severity::Severity;
use super::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The engine's part of an alert: small, without texts. Names are interned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Our id.
    pub id: AlertId,
    /// The hash of its identity.
    pub key: AlertKey,
    /// The source that spoke last.
    pub source: Sym,
    /// The site it names.
    pub site: Sym,
    /// The inventory element it resolves to; empty: none.
    pub element: Sym,
    /// Its state.
    pub state: AlertState,
    /// What stays the same when the sender numbers the same trouble anew, hashed; 0: nothing.
    pub condition: u64,
    /// What the sender's word and signals suggest.
    pub hint: SeverityHint,
    /// Kind of the component.
    pub kind: Option<ComponentKind>,
    /// The sender says that it flaps.
    pub flapping: bool,
    /// Monitoring's own downtime or unreachable notice stands.
    pub suppressed: Option<Suppressed>,
    /// The incident it belongs to.
    pub incident: Option<IncidentId>,
    /// When this firing began: the sender's start, or the first acceptance.
    pub fired_at: Time,
    /// When the last firing ended.
    pub resolved_at: Option<Time>,
    /// Newest start named by the sender; older ones are late.
    pub starts_at: Option<Time>,
    /// Newest time or sequence named by the sender; older ones are late.
    pub sent_at: Option<Time>,
    /// When it expires if it is not repeated.
    pub expires_at: Option<Time>,
    /// First acceptance.
    pub first_seen: Time,
    /// Last acceptance.
    pub last_seen: Time,
    /// Events accepted, repeats included.
    pub count: u64,
    /// Silences and windows that covered it when it began to fire.
    pub covers: Vec<Cover>,
    /// Fresh watchers of its element contradict it.
    pub doubted: bool,
    /// Content that must not leave the bridge.
    pub sensitive: bool,
    /// The severity that a rule gave it.
    pub severity: Option<Severity>,
}

/// What an alert says of how bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    /// By the sender's word and rules.
    pub hint: SeverityHint,
    /// By a rule.
    pub severity: Option<Severity>,
}

impl Alert {
    /// An alert of which nothing is known yet but its identity, and that it was heard of at `at`.
    pub const fn unknown(id: AlertId, key: AlertKey, at: Time) -> Alert {
        Alert {
            id,
            key,
            source: Sym(0),
            site: Sym(0),
            element: Sym(0),
            state: AlertState::Resolved,
            condition: 0,
            hint: SeverityHint::Unknown,
            kind: None,
            flapping: false,
            suppressed: None,
            incident: None,
            fired_at: at,
            resolved_at: None,
            starts_at: None,
            sent_at: None,
            expires_at: None,
            first_seen: at,
            last_seen: at,
            count: 0,
            covers: Vec::new(),
            doubted: false,
            sensitive: false,
            severity: None,
        }
    }

    /// What it says of how bad it is.
    pub const fn weight(&self) -> Weight {
        Weight {
            hint: self.hint,
            severity: self.severity,
        }
    }
}

/// What keeps an alert quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cover {
    /// A silence.
    Silence(SilenceId),
    /// A maintenance window.
    Window(WindowId),
    /// One occurrence of a recurring window, as earlier versions kept it.
    Recurring {
        /// Its name.
        name: Sym,
        /// Its end.
        until: Time,
    },
}

/// State of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// The condition holds.
    Firing,
    /// The condition holds and a person at the sender has seen it.
    Acknowledged,
    /// The condition has ended.
    Resolved,
    /// The sender has been silent for longer than promised; the condition may hold.
    Stale,
}

impl AlertState {
    /// The word used in the API.
    pub const fn word(self) -> &'static str {
        match self {
            AlertState::Firing => "firing",
            AlertState::Acknowledged => "acknowledged",
            AlertState::Resolved => "resolved",
            AlertState::Stale => "stale",
        }
    }

    /// Whether the condition holds, as far as is known.
    pub const fn is_active(self) -> bool {
        !matches!(self, AlertState::Resolved)
    }
}

impl AlertText {
    /// As those see it who may not see sensitive content.
    #[must_use]
    pub fn for_anybody(mut self) -> AlertText {
        if self.sensitive {
            self.dedup_key = None;
            self.severity = None;
            WITHHELD.clone_into(&mut self.summary);
            self.details.clear();
            (self.site, self.host, self.component) = (None, None, None);
            (self.check, self.service) = (None, None);
            self.labels.clear();
            self.links.clear();
            self.problems.clear();
        }
        self
    }
}

/// The texts of an alert: what its newest event said. Kept by the store, not by the engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertText {
    /// The source's name.
    pub source: String,
    /// The scope of its identity.
    pub scope: String,
    /// The parts of its identity.
    pub identity: Identity,
    /// Version of the identity's encoding.
    pub identity_version: u8,
    /// The format that decoded it.
    pub sender: String,
    /// State of the newest event.
    pub event_state: EventState,
    /// The sender's own id of the problem.
    pub dedup_key: Option<String>,
    /// The sender's severity word.
    pub severity: Option<String>,
    /// One line for people.
    pub summary: String,
    /// Longer text.
    pub details: String,
    /// Site.
    pub site: Option<String>,
    /// Host or device.
    pub host: Option<String>,
    /// Part of the host.
    pub component: Option<String>,
    /// What is checked.
    pub check: Option<String>,
    /// Inventory service it names.
    pub service: Option<String>,
    /// Everything else.
    pub labels: BTreeMap<String, String>,
    /// Links back to the sender.
    pub links: Vec<String>,
    /// What was odd about it.
    pub problems: Vec<String>,
    /// Journal position and index of the newest event: its id.
    pub event: (u64, u32),
    /// Content that must not leave the bridge.
    pub sensitive: bool,
    /// The account that its source is bound to.
    pub account: Option<String>,
}
