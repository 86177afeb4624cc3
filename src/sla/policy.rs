//! Targets by severity, and the contracts that resolve to them.
//!
//! For one target the contract's override comes first, then the contract's policy, then the
//! default policy. The first one that says something wins, for each target by itself.

use super::calendar::{Calendar, NoBusinessTime, Pause};
use super::log::VoidReason;
use super::report::ReportDay;
use crate::model::{Category, Severity};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The closed list of targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TargetName {
    /// The first human act of any kind.
    Triage,
    /// The first public answer.
    InitialResponse,
    /// An engineer has begun.
    Engineer,
    /// The rhythm of updates.
    Update,
    /// The service is back.
    Restore,
}

impl TargetName {
    /// All, in the order of a case's life.
    pub const ALL: [TargetName; 5] = [
        TargetName::Triage,
        TargetName::InitialResponse,
        TargetName::Engineer,
        TargetName::Update,
        TargetName::Restore,
    ];

    /// The word in configuration, API and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            TargetName::Triage => "triage",
            TargetName::InitialResponse => "initial_response",
            TargetName::Engineer => "engineer",
            TargetName::Update => "update",
            TargetName::Restore => "restore",
        }
    }

    /// From the word.
    pub fn from_word(word: &str) -> Option<TargetName> {
        TargetName::ALL.into_iter().find(|t| t.word() == word)
    }
}

/// What has to happen when.
#[derive(Clone, Debug)]
pub enum TargetKind {
    /// Counted time from the start.
    Within(i64, Arc<Calendar>),
    /// Counted time since the last public update.
    Every(i64, Arc<Calendar>),
    /// Wall time, by whether the clock starts in or out of these hours.
    ByHours {
        /// Seconds, if it starts in them.
        inside: i64,
        /// Seconds, if not.
        outside: i64,
        /// The hours.
        hours: Arc<Calendar>,
    },
    /// The start of the next working day.
    NextDay {
        /// Seconds of the day.
        wall: u32,
        /// Whether the day of the start counts.
        same_day: bool,
        /// The working days.
        calendar: Arc<Calendar>,
    },
}

/// Where a target was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The contract's own.
    Contract,
    /// The contract's policy.
    Policy,
    /// The default policy.
    Default,
}

impl Origin {
    /// The word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Origin::Contract => "contract",
            Origin::Policy => "policy",
            Origin::Default => "default policy",
        }
    }
}

/// One target.
#[derive(Clone, Debug)]
pub struct Target {
    /// What has to happen when.
    pub kind: TargetKind,
    /// The same in words.
    pub said: String,
    /// Where it was found.
    pub origin: Origin,
    /// Waiting for the customer does not count.
    pub pausable: bool,
    /// The share that is aimed at: such a target is measured and never a breach.
    pub objective: Option<f64>,
    /// The share of the target at which it is at risk.
    pub at_risk: f64,
}

/// Half an hour: when a start-of-day target is at risk.
const RISK_BEFORE_DAY: i64 = 1800;

impl Target {
    /// The due instant of a clock that starts then.
    pub fn due(&self, start: i64, pauses: &[Pause]) -> Result<Option<i64>, NoBusinessTime> {
        self.share_due(start, pauses, 1.0)
    }

    /// The instant at which that share of the target is used up.
    pub fn share_due(
        &self,
        start: i64,
        pauses: &[Pause],
        share: f64,
    ) -> Result<Option<i64>, NoBusinessTime> {
        match &self.kind {
            TargetKind::Within(seconds, calendar) | TargetKind::Every(seconds, calendar) => {
                calendar.due(start, part(*seconds, share), pauses)
            }
            TargetKind::ByHours {
                inside,
                outside,
                hours,
            } => {
                let seconds = if hours.is_open(start) {
                    *inside
                } else {
                    *outside
                };
                Calendar::Always.due(start, part(seconds, share), pauses)
            }
            TargetKind::NextDay {
                wall,
                same_day,
                calendar,
            } => {
                let due = calendar.next_business_day_start(start, *wall, *same_day)?;
                let early = if share < 1.0 { RISK_BEFORE_DAY } else { 0 };
                Ok(Some((due - early).max(start)))
            }
        }
    }

    /// Counted seconds in [start, end).
    pub fn counted(&self, start: i64, end: i64, pauses: &[Pause]) -> i64 {
        match &self.kind {
            TargetKind::Within(_, calendar) | TargetKind::Every(_, calendar) => {
                calendar.elapsed(start, end, pauses)
            }
            TargetKind::ByHours { .. } | TargetKind::NextDay { .. } => {
                Calendar::Always.elapsed(start, end, pauses)
            }
        }
    }

    /// The target's length in counted seconds, for the used ratio; `None`: it has none.
    pub fn length(&self, start: i64) -> Option<i64> {
        match &self.kind {
            TargetKind::Within(seconds, _) | TargetKind::Every(seconds, _) => Some(*seconds),
            TargetKind::ByHours {
                inside,
                outside,
                hours,
            } => Some(if hours.is_open(start) {
                *inside
            } else {
                *outside
            }),
            TargetKind::NextDay { .. } => None,
        }
    }
}

/// A share of a duration, in whole seconds.
fn part(seconds: i64, share: f64) -> i64 {
    if share >= 1.0 {
        return seconds;
    }
    // Targets are far below the range in which a double is exact.
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
    let part = (seconds as f64 * share).round() as i64;
    part
}

/// Targets of one severity.
pub type Targets = BTreeMap<TargetName, Target>;

/// What a category is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CategoryRule {
    /// `None`: the severity as it is set; `Some(None)`: none; `Some(Some(n))`: always n.
    pub severity: Option<Option<u8>>,
    /// Targets that apply.
    pub targets: Vec<TargetName>,
    /// Its tickets have a high priority although it has no severity.
    pub high_priority: bool,
}

/// From when a clock counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClockStart {
    /// The earliest evidence that we were told.
    #[default]
    Reported,
    /// The ticket's creation in the tracker.
    TicketCreated,
    /// The alert's own start, for internal agreements.
    AlertStarted,
}

/// What a change of severity does to a clock without a verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SeverityChange {
    /// The new target counts from the original start.
    #[default]
    FromStart,
    /// The new target counts from the change.
    FromChange,
    /// From the original start, but due not earlier than the change and this many seconds.
    FromStartWithFloor(i64),
}

/// One level of escalation.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    /// From 1.
    pub level: u8,
    /// Who is told.
    pub contact: String,
    /// The share of the restore target at which it is reached.
    pub after_restore: Option<f64>,
}

/// The two scales of severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// Service loss, degraded, no impact.
    Three,
    /// S1 to S5 as the provider counts.
    #[default]
    Five,
}

impl Scale {
    /// The contract's severity of an S number.
    pub const fn of(self, severity: Severity) -> u8 {
        match (self, severity) {
            (Scale::Five, severity) => severity.number(),
            (Scale::Three, Severity::S1 | Severity::S2) => 1,
            (Scale::Three, Severity::S3) => 2,
            (Scale::Three, Severity::S4 | Severity::S5) => 3,
        }
    }
}

/// An agreement, resolved: nothing needs to be looked up any more.
#[derive(Clone, Debug)]
pub struct Contract {
    /// Its name.
    pub name: String,
    /// Its policy's name.
    pub policy: String,
    /// Tells its terms from earlier ones.
    pub version: String,
    /// Its terms as written, to be read again by [`super::agreement::as_agreed`].
    pub terms: String,
    /// Accounts it is for.
    pub accounts: Vec<String>,
    /// `direct`, `partner` or `managed`.
    pub account: String,
    /// The partner of a managed account.
    pub partner: String,
    /// `en`, `ja` or `fr`.
    pub locale: String,
    /// IANA zone for display.
    pub tz: String,
    /// The scale of its severities.
    pub scale: Scale,
    /// Targets by severity; 0: without severity.
    pub severities: BTreeMap<u8, Targets>,
    /// What each category is about.
    pub categories: BTreeMap<Category, CategoryRule>,
    /// From when clocks count.
    pub clock_start: ClockStart,
    /// What a reassessment does.
    pub severity_change: SeverityChange,
    /// How long after the resolution a reopening belongs to the same cycle, seconds.
    pub reopen_window: i64,
    /// An acknowledgement that the counterparty can see is a response.
    pub ack_counts: bool,
    /// A public note by staff is a response.
    pub public_note_counts: bool,
    /// A wait counts only after a public question.
    pub wait_needs_question: bool,
    /// Waiting for the customer pauses pausable targets.
    pub pause_waiting: bool,
    /// Planned work on what an open case is about pauses pausable targets.
    pub pause_maintenance: bool,
    /// Longest wait that counts, seconds.
    pub wait_limit: Option<i64>,
    /// Calendars that its targets use.
    pub calendars: BTreeSet<String>,
    /// Severities whose cases do not count when they end, and why.
    pub close_as: BTreeMap<u8, VoidReason>,
    /// Levels from 1.
    pub levels: Vec<Level>,
    /// Who is told of what.
    pub contacts: Contacts,
    /// How long before planned work it is told, seconds; none: at once.
    pub maintenance_lead: Option<i64>,
    /// When its report goes out by mail; none: it does not.
    pub monthly_report: Option<ReportDay>,
}

/// Mail addresses of a contract's people, by what they are told. Where one list is empty, those for
/// incidents are told.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Contacts {
    /// Incidents: opened, updates, restored.
    pub incidents: Vec<String>,
    /// Planned work.
    pub maintenance: Vec<String>,
    /// Security messages.
    pub security: Vec<String>,
    /// Levels of escalation from the second on.
    pub escalation: Vec<String>,
    /// The monthly report.
    pub report: Vec<String>,
}

/// One line of a contract's resolved table.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct TargetLine {
    /// The severity; none: without one.
    pub severity: Option<u8>,
    /// The target.
    pub target: &'static str,
    /// What has to happen when.
    pub said: String,
    /// Waiting for the customer does not count.
    pub pausable: bool,
    /// The share aimed at, for a soft target.
    pub objective: Option<f64>,
    /// The share at which it is at risk.
    pub at_risk: f64,
    /// Where it was found.
    pub origin: &'static str,
}

impl Contract {
    /// The resolved table, worst severity first.
    pub fn table(&self) -> Vec<TargetLine> {
        let numbered = self.severities.iter().filter(|(number, _)| **number > 0);
        let without = self.severities.iter().filter(|(number, _)| **number == 0);
        numbered
            .chain(without)
            .flat_map(|(number, targets)| targets.iter().map(move |target| (*number, target)))
            .map(|(number, (name, target))| TargetLine {
                severity: Some(number).filter(|number| *number > 0),
                target: name.word(),
                said: target.said.clone(),
                pausable: target.pausable,
                objective: target.objective,
                at_risk: target.at_risk,
                origin: target.origin.word(),
            })
            .collect()
    }

    /// The severity that a category has, and whether it has targets at all.
    pub fn severity_of(&self, category: Category, set: Option<u8>) -> Option<u8> {
        match self
            .categories
            .get(&category)
            .and_then(|rule| rule.severity)
        {
            Some(fixed) => fixed,
            None => set,
        }
    }

    /// Whether tickets of a category have a high priority although it has no severity.
    pub fn is_high_priority(&self, category: Category) -> bool {
        let rule = self.categories.get(&category);
        rule.is_some_and(|rule| rule.high_priority)
    }

    /// A target, if it applies.
    pub fn target(
        &self,
        name: TargetName,
        category: Category,
        severity: Option<u8>,
    ) -> Option<&Target> {
        let rule = self.categories.get(&category)?;
        if !rule.targets.contains(&name) {
            return None;
        }
        self.severities.get(&severity.unwrap_or(0))?.get(&name)
    }
}

/// All agreements.
#[derive(Clone, Debug, Default)]
pub struct Sla {
    /// Contracts by name.
    pub contracts: BTreeMap<String, Arc<Contract>>,
    /// Contract names by account.
    pub by_account: BTreeMap<String, Vec<String>>,
    /// The contract of accounts that have none of their own.
    pub default_contract: Option<String>,
    /// Calendars by name.
    pub calendars: BTreeMap<String, Arc<Calendar>>,
    /// The same as written, but for `always`.
    pub calendar_texts: BTreeMap<String, String>,
}

impl Sla {
    /// Policy, target and severity (0: none) of everything that contracts promise, each once.
    pub fn targets(&self) -> BTreeSet<(String, TargetName, u8)> {
        let mut targets = BTreeSet::new();
        for contract in self.contracts.values() {
            for (severity, table) in &contract.severities {
                let of = |target: &TargetName| (contract.policy.clone(), *target, *severity);
                targets.extend(table.keys().map(of));
            }
        }
        targets
    }

    /// Contracts that an account has a part in.
    pub fn contracts_of(&self, account: &str) -> Vec<&Arc<Contract>> {
        match self.by_account.get(account) {
            Some(names) => names
                .iter()
                .filter_map(|name| self.contracts.get(name))
                .collect(),
            None => self
                .default_contract
                .as_ref()
                .and_then(|name| self.contracts.get(name))
                .into_iter()
                .collect(),
        }
    }
}
