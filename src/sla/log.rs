//! What happened to a case. Stored as it is; clocks follow from it.

use crate::model::{Category, Time};
use serde::{Deserialize, Serialize};

/// One event of a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaseEvent {
    /// When it happened.
    pub at: Time,
    /// What.
    pub what: CaseDid,
}

/// Who wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum By {
    /// The provider's people.
    Staff,
    /// The counterparty.
    Customer,
    /// A machine.
    Bot,
}

/// Why a case does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VoidReason {
    /// Nothing was wrong.
    FalseAlarm,
    /// It is part of another.
    Merged,
    /// It is provisioning or an inquiry after all.
    Recategorised,
    /// Monitoring cleared it before anyone had to answer.
    AutoResolved,
    /// The customer took it back.
    Withdrawn,
    /// A worse period began.
    Superseded,
}

impl VoidReason {
    /// The word in API and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            VoidReason::FalseAlarm => "false_alarm",
            VoidReason::Merged => "merged",
            VoidReason::Recategorised => "recategorised",
            VoidReason::AutoResolved => "auto_resolved",
            VoidReason::Withdrawn => "withdrawn",
            VoidReason::Superseded => "superseded",
        }
    }
}

/// Who ended it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndedBy {
    /// The provider's people.
    Staff,
    /// Monitoring.
    Monitoring,
    /// The counterparty.
    Customer,
}

/// What can happen to a case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CaseDid {
    /// It was opened.
    Opened {
        /// Its category.
        category: Category,
        /// Its severity on the contract's scale.
        severity: Option<u8>,
        /// When it was reported, if earlier.
        reported_at: Option<Time>,
    },
    /// Somebody wrote.
    Reply {
        /// Who.
        by: By,
        /// The counterparty can see it.
        public: bool,
        /// The time promised for the next update.
        promise: Option<Time>,
    },
    /// Staff acknowledged it.
    Ack,
    /// Staff took it.
    Assigned,
    /// It waits for the customer.
    WaitStart,
    /// It waits no longer.
    WaitEnd,
    /// A person saw the same facts otherwise.
    Severity {
        /// The new severity.
        to: u8,
    },
    /// The facts changed: a new impact period.
    Period {
        /// Its severity.
        severity: u8,
    },
    /// It is over.
    Resolved {
        /// By whom.
        by: EndedBy,
    },
    /// It is not over after all.
    Reopened {
        /// An alert of it was firing in between.
        firing_during_gap: bool,
    },
    /// A duplicate was merged in.
    Absorb {
        /// When that one was reported.
        reported_at: Time,
    },
    /// It does not count.
    Void {
        /// Why.
        reason: VoidReason,
    },
    /// Its category changed.
    Category {
        /// The new one.
        to: Category,
    },
    /// A person escalates.
    Escalated {
        /// `impact`, `slow` or `expectations`.
        reason: String,
    },
    /// The reopen window is over.
    Closed,
    /// The version of the contract's terms that it keeps.
    Agreed {
        /// As in [`super::Contract::version`].
        version: String,
    },
    /// Its ticket exists in the tracker.
    Ticketed,
    /// A calendar was edited after this verdict; a verdict never changes.
    Settled(SettledClock),
    /// A calendar was edited after these updates were judged.
    UpdatesSettled {
        /// Intervals of the cycle, oldest first; one without an end was late already.
        intervals: Vec<SettledInterval>,
    },
    /// Planned work on what it is about begins.
    MaintenanceStart,
    /// Planned work on what it is about ends.
    MaintenanceEnd,
    /// The store was lost: what stands before this came out of tickets and is approximate.
    Rebuilt,
}

/// A verdict as it fell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettledClock {
    /// The target's word.
    pub target: String,
    /// The cycle, from 1.
    pub cycle: u32,
    /// The impact period, from 1.
    pub period: u32,
    /// The severity under which it fell.
    pub severity: Option<u8>,
    /// When it was due.
    pub due: Option<Time>,
    /// When it was breached; none: it was met.
    pub breached_at: Option<Time>,
    /// Counted seconds.
    pub counted: i64,
}

/// An interval between two updates as it was judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettledInterval {
    /// From.
    pub from: Time,
    /// When the next one was due.
    pub due: Time,
    /// When it came.
    pub to: Option<Time>,
    /// The due instant was promised.
    pub promised: bool,
    /// It came too late.
    pub late: bool,
}

/// The version of its terms that a case keeps; `None`: it was opened before versions were kept.
pub fn agreed(log: &[CaseEvent]) -> Option<&str> {
    log.iter().find_map(|event| match &event.what {
        CaseDid::Agreed { version } => Some(version.as_str()),
        _ => None,
    })
}

/// Whether it came out of tickets after the store was lost: its clocks are approximate.
pub fn is_rebuilt(log: &[CaseEvent]) -> bool {
    log.iter().any(|event| event.what == CaseDid::Rebuilt)
}

/// When its ticket first existed in a tracker.
pub fn ticketed(log: &[CaseEvent]) -> Option<Time> {
    let made = log.iter().filter(|event| event.what == CaseDid::Ticketed);
    made.map(|event| event.at).min()
}

impl CaseDid {
    /// Whether it is an answer, a wait or another act of people on the case.
    pub const fn is_of_people(&self) -> bool {
        matches!(
            self,
            CaseDid::Reply { .. }
                | CaseDid::Ack
                | CaseDid::Assigned
                | CaseDid::WaitStart
                | CaseDid::WaitEnd
                | CaseDid::Escalated { .. }
        )
    }

    /// At one instant: what stops comes before what pauses before what starts.
    const fn rank(&self) -> u8 {
        match self {
            CaseDid::Opened { .. } => 0,
            CaseDid::Resolved { .. } => 1,
            CaseDid::Void { .. } => 2,
            CaseDid::WaitStart => 3,
            CaseDid::WaitEnd => 4,
            // As they came: planned work is left and entered again with a flapping neighbour.
            CaseDid::MaintenanceStart | CaseDid::MaintenanceEnd => 4,
            CaseDid::Severity { .. } | CaseDid::Period { .. } | CaseDid::Category { .. } => 5,
            CaseDid::Reply { .. } => 6,
            CaseDid::Ack | CaseDid::Assigned => 7,
            CaseDid::Reopened { .. } => 8,
            CaseDid::Absorb { .. }
            | CaseDid::Escalated { .. }
            | CaseDid::Closed
            | CaseDid::Agreed { .. }
            | CaseDid::Ticketed
            | CaseDid::Rebuilt
            | CaseDid::Settled(_)
            | CaseDid::UpdatesSettled { .. } => 9,
        }
    }
}

/// Everything that happened to a case, in order of arrival.
pub type CaseLog = Vec<CaseEvent>;

/// Whether a case has ended and was not reopened.
pub fn is_over(log: &[CaseEvent]) -> bool {
    let last = log.iter().rev().find_map(|event| match event.what {
        CaseDid::Resolved { .. } | CaseDid::Void { .. } | CaseDid::Closed => Some(true),
        CaseDid::Reopened { .. } => Some(false),
        _ => None,
    });
    last.unwrap_or(false)
}

/// Whether a case waits for its customer.
pub fn is_waiting(log: &[CaseEvent]) -> bool {
    let last = log.iter().rev().find_map(|event| match event.what {
        CaseDid::WaitStart => Some(true),
        CaseDid::WaitEnd
        | CaseDid::Resolved { .. }
        | CaseDid::Reply {
            by: By::Customer, ..
        } => Some(false),
        _ => None,
    });
    last.unwrap_or(false)
}

/// Takes a duplicate of the same contract into a case at `at`: the earlier report counts, and so do
/// the answers and waits of both. The duplicate's own log ends with a void event.
pub fn unite(survivor: &mut CaseLog, duplicate: &[CaseEvent], at: Time) {
    let mut reported: Option<Time> = None;
    for event in duplicate {
        match &event.what {
            CaseDid::Opened { reported_at, .. } => {
                let told = reported_at.map_or(event.at, |told| told.min(event.at));
                reported = Some(reported.map_or(told, |known| known.min(told)));
            }
            CaseDid::Absorb { reported_at } => {
                reported = Some(reported.map_or(*reported_at, |known| known.min(*reported_at)));
            }
            what if what.is_of_people() => survivor.push(event.clone()),
            _ => {}
        }
    }
    if let Some(reported_at) = reported {
        let what = CaseDid::Absorb { reported_at };
        survivor.push(CaseEvent { at, what });
    }
}

/// The events up to an instant, in the order in which clocks see them, in seconds.
pub(super) fn ordered(log: &[CaseEvent], now: i64) -> Vec<(i64, &CaseDid)> {
    let mut events: Vec<(i64, &CaseDid)> = log
        .iter()
        .map(|event| (event.at.0.div_euclid(1000), &event.what))
        .filter(|(at, _)| *at <= now)
        .collect();
    events.sort_by_key(|(at, what)| (*at, what.rank()));
    events
}

/// Verdicts that fell before a calendar was edited, whenever that was.
pub(super) fn settled(log: &[CaseEvent]) -> Vec<&SettledClock> {
    let kept = log.iter().filter_map(|event| match &event.what {
        CaseDid::Settled(kept) => Some(kept),
        _ => None,
    });
    kept.collect()
}
