//! An incident and its cases, as the engine holds them and the store keeps them.

use super::id::{IncidentId, Sym};
use super::reason::Reason;
use super::severity::{Basis, Category, Severity};
use super::time::Time;
use serde::{Deserialize, Serialize};

/// One real problem: alerts with a common root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Our number.
    pub id: IncidentId,
    /// Where it stands.
    pub state: IncidentState,
    /// Decided before severity.
    pub category: Category,
    /// How bad; `None` while it is not known or does not apply.
    pub severity: Option<Severity>,
    /// What the severity rests on.
    pub basis: Basis,
    /// A person's severity; stands until lifted or the facts get worse.
    pub person_severity: Option<Severity>,
    /// The impact is unknown; a person has to look.
    pub needs_triage: bool,
    /// One line for people.
    pub title: String,
    /// The decision behind the severity, in short sentences for people.
    pub reason: String,
    /// The name of that decision.
    pub reason_word: Reason,
    /// The element that explains the others; empty: none known.
    pub root: Sym,
    /// The source that opened it.
    pub source: Sym,
    /// Sites of its alerts, at most 32.
    pub sites: Vec<Sym>,
    /// Services that are hit, at most 1000, worst first.
    pub services: Vec<String>,
    /// Accounts that are hit, at most 1000.
    pub accounts: Vec<String>,
    /// How many services and parties are hit, without a cap.
    pub services_hit: u32,
    /// Parties as counted for "several customers".
    pub parties_hit: u32,
    /// What it was grouped by, for routes with `group_by` and storms.
    pub group: Option<u64>,
    /// A storm ticket: members without a proven impact.
    pub storm: bool,
    /// Routes it goes to; kept for its life.
    pub routes: Vec<String>,
    /// Earliest evidence that we were told.
    pub opened_at: Time,
    /// When it left its hold.
    pub released_at: Option<Time>,
    /// End of its hold.
    pub held_until: Option<Time>,
    /// The instant from which all was well.
    pub resolved_at: Option<Time>,
    /// End of the reopen window.
    pub reopen_until: Option<Time>,
    /// Rises when a new life begins after the reopen window.
    pub cycle: u32,
    /// The incident that this one was merged into.
    pub merged_into: Option<IncidentId>,
    /// How it ended.
    pub ended: Option<Ended>,
    /// Changes state too often.
    pub flapping: bool,
    /// The latest instants at which an alert of it began to fire, at most 32.
    pub firings: Vec<Time>,
    /// Alerts that belong to it.
    pub members: u32,
    /// Alerts of it that are active.
    pub active: u32,
    /// Who works on it; empty: nobody.
    pub owner: String,
    /// First human act of any kind.
    pub acknowledged_at: Option<Time>,
    /// First human answer.
    pub answered_at: Option<Time>,
    /// Waits for the customer.
    pub waiting: bool,
    /// A person reported it: ends hold, vote and silence.
    pub reported: bool,
    /// Escalation level reached.
    pub escalation: u8,
    /// In a maintenance window or silenced: no ticket until then.
    pub quiet_until: Option<Time>,
    /// Why it is quiet.
    pub quiet_reason: Option<Reason>,
    /// Impact periods, oldest first.
    pub periods: Vec<ImpactPeriod>,
    /// What its next failure would cause, for an S4.
    pub next_failure: String,
    /// What a person's words are about, by the operator's list; empty: nothing of it.
    pub topic: String,
    /// Content that must not leave the bridge.
    pub sensitive: bool,
    /// Since when the facts are better than the severity says; it falls once that has held.
    pub improving_since: Option<Time>,
    /// Told by the basis of a person's severity: the facts when it was set.
    pub person_facts: Option<Severity>,
    /// Last change.
    pub changed_at: Time,
    /// Group keys of the hosts that its alerts without an element are about, at most 32.
    pub hosts: Vec<u64>,
    /// Accounts whose people reported it, at most 1000.
    pub reported_by: Vec<String>,
    /// Tags that rules gave to its alerts, in order, at most 32.
    pub tags: Vec<String>,
}

/// What stands in place of sensitive content.
pub const WITHHELD: &str = "(content withheld)";

/// Most accounts whose reports are remembered.
const REPORTERS_MAX: usize = 1000;
/// Most tags of an incident.
const TAGS_MAX: usize = 32;

impl Incident {
    /// As those see it who may not see sensitive content: number, severity and times.
    #[must_use]
    pub fn for_anybody(mut self) -> Incident {
        if self.sensitive {
            WITHHELD.clone_into(&mut self.title);
            WITHHELD.clone_into(&mut self.reason);
            self.next_failure.clear();
            self.root = Sym(0);
            self.sites.clear();
            self.services.clear();
            self.accounts.clear();
            self.reported_by.clear();
            self.tags.clear();
        }
        self
    }

    /// Adds tags; whether one is new.
    pub fn tag(&mut self, tags: &[String]) -> bool {
        let before = self.tags.len();
        for tag in tags {
            if let Err(place) = self.tags.binary_search(tag)
                && self.tags.len() < TAGS_MAX
            {
                self.tags.insert(place, tag.clone());
            }
        }
        self.tags.len() > before
    }

    /// Somebody of this account reported it.
    pub fn reported_by_account(&mut self, account: &str) {
        let known = self.reported_by.iter().any(|known| known == account);
        if !known && self.reported_by.len() < REPORTERS_MAX {
            self.reported_by.push(account.to_owned());
        }
    }
}

/// Where an incident stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IncidentState {
    /// Waits for its hold to pass.
    Held,
    /// Somebody has to act.
    Open,
    /// All is well; may be reopened.
    Resolved,
    /// The reopen window is over.
    Closed,
}

impl IncidentState {
    /// The word used in the API.
    pub const fn word(self) -> &'static str {
        match self {
            IncidentState::Held => "held",
            IncidentState::Open => "open",
            IncidentState::Resolved => "resolved",
            IncidentState::Closed => "closed",
        }
    }

    /// Held and open count as open, as in the API's `state=open`.
    pub const fn is_open(self) -> bool {
        matches!(self, IncidentState::Held | IncidentState::Open)
    }
}

/// How an incident ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// A person restored it.
    Restored,
    /// Monitoring says that it is well.
    ResolvedByMonitoring,
    /// The customer took it back.
    Withdrawn,
    /// Nothing was wrong after all.
    FalseAlarm,
    /// Cleared within its hold.
    Transient,
    /// Planned work.
    Planned,
    /// A test.
    Test,
    /// It was part of another incident.
    Merged,
    /// It became provisioning or an inquiry.
    Recategorised,
}

/// The time in which an incident's worst effect is of one kind. Clocks belong to periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImpactPeriod {
    /// The worst effect.
    pub effect: Effect,
    /// Severity in this period.
    pub severity: Severity,
    /// From when.
    pub from: Time,
    /// Until when; `None`: still.
    pub until: Option<Time>,
}

/// Kind of effect on services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// No effect is known.
    Unknown,
    /// Works; redundancy is lost.
    AtRisk,
    /// Works badly.
    Degraded,
    /// Does not work.
    Down,
}

/// An incident as one affected contract sees it. Its clocks follow from its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case<Log> {
    /// The incident.
    pub incident: IncidentId,
    /// The contract's name.
    pub contract: String,
    /// The policy it was opened under.
    pub policy: String,
    /// Severity on the policy's scale; `None`: does not apply.
    pub severity: Option<u8>,
    /// Impact periods of its own services.
    pub periods: Vec<ImpactPeriod>,
    /// What happened, for the clocks.
    pub log: Log,
    /// The next instant at which a clock changes by itself.
    pub wake_at: Option<Time>,
    /// Warnings and breaches that were told already: `(target, cycle, stage)`.
    pub told: Vec<String>,
    /// Services of this contract's accounts that are hit, worst first, at most 100.
    pub services: Vec<String>,
    /// The worst effect on them, by the inventory.
    pub effect: Effect,
    /// Who wrote on its ticket as a customer, at most 20.
    pub customers: Vec<String>,
}

/// One line of an incident's timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// The incident.
    pub incident: IncidentId,
    /// Journal position of the input that caused it.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// The decision.
    pub reason: Reason,
    /// A sentence for people.
    pub text: String,
    /// Who, for what people did; empty: the bridge.
    pub author: String,
}
