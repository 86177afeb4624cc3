//! What a log says before any clock is asked: cycles, severities, waits, gaps, and how it ended.

use super::calendar::Pause;
use super::log::{By, CaseDid, EndedBy, SettledClock, VoidReason};
use super::policy::{ClockStart, Contract};
use crate::model::{Category, Ended};

/// A wait for the customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// From when.
    pub from: i64,
    /// Until when; `None`: still.
    pub to: Option<i64>,
    /// Staff had asked something publicly since the customer's last word.
    pub asked: bool,
    /// It is kept out of what counts.
    pub counts: bool,
}

impl Wait {
    /// How long it was, up to `now`.
    pub fn seconds(&self, now: i64) -> i64 {
        (self.to.unwrap_or(now).min(now) - self.from).max(0)
    }
}

/// The severity from an instant on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub at: i64,
    pub severity: Option<u8>,
    /// The facts changed: a new impact period. Else a person saw the same facts otherwise.
    pub begins: bool,
}

/// A period: from, until if it is over, and whether it owes a response of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Period {
    pub from: i64,
    pub until: Option<i64>,
    pub owes_response: bool,
    /// What came after it is worse.
    pub superseded: bool,
}

/// When the ticket was made, for contracts that count from there; until it is, the report counts.
fn ticketed(events: &[(i64, &CaseDid)], contract: &Contract) -> Option<i64> {
    if contract.clock_start != ClockStart::TicketCreated {
        return None;
    }
    let made = |(at, what): &(i64, &CaseDid)| matches!(what, CaseDid::Ticketed).then_some(*at);
    events.iter().find_map(made)
}

/// What a log says, for its last cycle.
pub(super) struct Facts<'a> {
    pub contract: &'a Contract,
    pub events: Vec<(i64, &'a CaseDid)>,
    pub now: i64,
    /// When each cycle began, oldest first.
    pub cycles: Vec<i64>,
    /// When this cycle began.
    pub cycle_start: i64,
    pub category: Category,
    /// The severity that people or facts set, whatever the category makes of it.
    set: Option<u8>,
    /// Oldest first; the first one is the beginning of the cycle.
    pub severities: Vec<Step>,
    pub waits: Vec<Wait>,
    pub gaps: Vec<Pause>,
    /// Planned work, oldest first.
    maintenance: Vec<Pause>,
    pub resolved: Option<(i64, EndedBy)>,
    pub void: Option<(i64, VoidReason)>,
    /// Restore is void from then on: it is no incident.
    pub recategorised: Option<i64>,
    /// It ended before anyone had to answer; stays so for the cycle.
    pub lapsed: Option<(i64, VoidReason)>,
    /// Verdicts that fell before a calendar was edited.
    pub settled: Vec<&'a SettledClock>,
    asked: bool,
}

impl<'a> Facts<'a> {
    /// Reads events in order; `None` while it is not opened.
    pub fn read(
        events: Vec<(i64, &'a CaseDid)>,
        contract: &'a Contract,
        now: i64,
    ) -> Option<Facts<'a>> {
        let mut facts = events.iter().find_map(|(at, what)| match what {
            CaseDid::Opened {
                category,
                severity,
                reported_at,
            } => {
                let told = reported_at.map_or(*at, |told| told.seconds().min(*at));
                let start = ticketed(&events, contract).unwrap_or(told);
                Some(Facts::opened(contract, now, start, *category, *severity))
            }
            _ => None,
        })?;
        // What a duplicate brought in may have happened before this case was opened.
        for (at, what) in events.iter().copied() {
            facts.follow(at, what);
        }
        facts.events = events;
        facts.limit_wait();
        Some(facts)
    }

    fn opened(
        contract: &'a Contract,
        now: i64,
        start: i64,
        category: Category,
        set: Option<u8>,
    ) -> Facts<'a> {
        Facts {
            contract,
            events: Vec::new(),
            now,
            cycles: vec![start],
            cycle_start: start,
            category,
            set,
            severities: vec![Step {
                at: start,
                severity: contract.severity_of(category, set),
                begins: true,
            }],
            waits: Vec::new(),
            gaps: Vec::new(),
            maintenance: Vec::new(),
            resolved: None,
            void: None,
            recategorised: None,
            lapsed: None,
            settled: Vec::new(),
            asked: false,
        }
    }

    fn follow(&mut self, at: i64, what: &CaseDid) {
        match what {
            CaseDid::Absorb { reported_at } => self.absorb(reported_at.seconds()),
            CaseDid::WaitStart => self.begin_wait(at),
            CaseDid::WaitEnd => self.end_wait(at),
            CaseDid::MaintenanceStart => self.begin_maintenance(at),
            CaseDid::MaintenanceEnd => self.end_maintenance(at),
            CaseDid::Reply {
                by: By::Customer, ..
            } => {
                self.end_wait(at);
                self.asked = false;
            }
            CaseDid::Reply {
                by: By::Staff,
                public: true,
                ..
            } => self.ask(at),
            CaseDid::Severity { to } => self.step(at, Some(*to), false),
            // While all is well there is no impact that could change; the same level is the same
            // period.
            CaseDid::Period { severity } if self.resolved.is_none() => {
                if self.contract.severity_of(self.category, Some(*severity)) == self.severity() {
                    self.set = Some(*severity);
                } else {
                    self.step(at, Some(*severity), true);
                }
            }
            CaseDid::Resolved { by } => self.resolve(at, *by),
            CaseDid::Reopened { firing_during_gap } => self.reopen(at, *firing_during_gap),
            CaseDid::Void { reason } => {
                self.end_wait(at);
                self.end_maintenance(at);
                self.void.get_or_insert((at, *reason));
            }
            CaseDid::Category { to } => {
                if *to == Category::Incident {
                    self.recategorised = None;
                } else if self.category == Category::Incident {
                    self.recategorised = Some(at);
                }
                self.category = *to;
                self.step(at, self.set, false);
            }
            _ => {}
        }
    }

    /// A duplicate that was reported earlier moves the start of the first cycle.
    fn absorb(&mut self, reported: i64) {
        if self.cycles.len() != 1 || reported >= self.cycle_start {
            return;
        }
        self.cycle_start = reported;
        self.cycles = vec![reported];
        if let Some(first) = self.severities.first_mut() {
            first.at = reported;
        }
    }

    fn step(&mut self, at: i64, set: Option<u8>, begins: bool) {
        self.set = set;
        let severity = self.contract.severity_of(self.category, set);
        self.severities.push(Step {
            at,
            severity,
            begins,
        });
    }

    fn resolve(&mut self, at: i64, by: EndedBy) {
        self.end_wait(at);
        self.end_maintenance(at);
        if self.resolved.is_some() {
            return;
        }
        self.resolved = Some((at, by));
        let severity = self.severity().unwrap_or(0);
        if let Some(reason) = self.contract.close_as.get(&severity) {
            self.void.get_or_insert((at, *reason));
        }
        let lapse = match by {
            EndedBy::Staff => return,
            EndedBy::Monitoring => VoidReason::AutoResolved,
            EndedBy::Customer => VoidReason::Withdrawn,
        };
        self.lapsed.get_or_insert((at, lapse));
    }

    fn reopen(&mut self, at: i64, firing_during_gap: bool) {
        let resolved = self.resolved.take();
        if resolved.is_none() && self.void.is_none() {
            return;
        }
        if let (Some((resolved, _)), None) = (resolved, self.void)
            && at - resolved <= self.contract.reopen_window
        {
            if !firing_during_gap {
                self.gaps.push((resolved, Some(at)));
            }
            return;
        }
        // What did not count is final; a reopening of it is a cycle of its own.
        self.cycles.push(at);
        self.cycle_start = at;
        self.severities.clear();
        self.step(at, self.set, true);
        self.waits.clear();
        self.gaps.clear();
        self.maintenance.clear();
        self.void = None;
        self.lapsed = None;
    }

    fn begin_wait(&mut self, at: i64) {
        let waits = self.waits.last().is_some_and(|wait| wait.to.is_none());
        if waits || self.resolved.is_some() || self.void.is_some() {
            return;
        }
        self.waits.push(Wait {
            from: at,
            to: None,
            asked: self.asked,
            counts: self.contract.pause_waiting
                && (self.asked || !self.contract.wait_needs_question),
        });
    }

    /// A public word of staff: from then on a wait has its question.
    fn ask(&mut self, at: i64) {
        self.asked = true;
        if !self.contract.pause_waiting {
            return;
        }
        let Some(wait) = self.waits.last_mut() else {
            return;
        };
        if wait.to.is_some() || wait.asked {
            return;
        }
        if wait.counts || wait.from == at {
            wait.asked |= wait.from == at;
            wait.counts = true;
        } else {
            wait.to = Some(at);
            self.begin_wait(at);
        }
    }

    fn end_wait(&mut self, at: i64) {
        let limit = self.contract.wait_limit;
        if let Some(wait) = self.waits.last_mut()
            && wait.to.is_none()
        {
            wait.to = Some(limit.map_or(at, |limit| at.min(wait.from + limit)));
        }
    }

    fn begin_maintenance(&mut self, at: i64) {
        let begun = self.maintenance.last().is_some_and(|(_, to)| to.is_none());
        if !begun && self.resolved.is_none() && self.void.is_none() {
            self.maintenance.push((at, None));
        }
    }

    fn end_maintenance(&mut self, at: i64) {
        if let Some((_, to @ None)) = self.maintenance.last_mut() {
            *to = Some(at);
        }
    }

    /// A wait that goes on past its limit has ended there.
    fn limit_wait(&mut self) {
        let Some(limit) = self.contract.wait_limit else {
            return;
        };
        let now = self.now;
        if let Some(wait) = self.waits.last_mut()
            && wait.to.is_none()
            && wait.from + limit <= now
        {
            wait.to = Some(wait.from + limit);
        }
    }

    /// When the wait that goes on ends by itself.
    pub fn wait_ends(&self) -> Option<i64> {
        let wait = self.waits.last().filter(|wait| wait.to.is_none())?;
        Some(wait.from + self.contract.wait_limit?)
    }

    /// The severity now.
    pub fn severity(&self) -> Option<u8> {
        self.severities.last().and_then(|step| step.severity)
    }

    /// The severity just after everything that happened at `at`.
    pub fn severity_at(&self, at: i64) -> Option<u8> {
        self.severities
            .iter()
            .rev()
            .find(|step| step.at <= at)
            .or(self.severities.first())
            .and_then(|step| step.severity)
    }

    /// The cycle, from 1.
    pub fn cycle(&self) -> usize {
        self.cycles.len()
    }

    pub fn periods(&self) -> Vec<Period> {
        let mut periods: Vec<Period> = Vec::new();
        let mut last: Option<u8> = None;
        for step in &self.severities {
            // Smaller is worse; no severity is the least.
            let level = step.severity.unwrap_or(u8::MAX);
            if step.begins {
                let worse = last.is_some_and(|before| level < before);
                if let Some(period) = periods.last_mut() {
                    period.until = Some(step.at);
                    period.superseded = worse;
                }
                let first = periods.is_empty() && self.cycle() == 1;
                periods.push(Period {
                    from: step.at,
                    until: None,
                    owes_response: first || worse,
                    superseded: false,
                });
            }
            last = Some(level);
        }
        periods
    }

    /// Severities of a period: from, severity.
    pub fn segments(&self, period: &Period) -> Vec<(i64, Option<u8>)> {
        let within = |at: i64| at >= period.from && period.until.is_none_or(|until| at < until);
        self.severities
            .iter()
            .filter(|step| within(step.at) && (!step.begins || step.at == period.from))
            .map(|step| (step.at, step.severity))
            .collect()
    }

    /// Waits and planned work, as far as the contract keeps them out of what counts.
    pub fn counted_pauses(&self) -> impl Iterator<Item = Pause> + '_ {
        let waits = self.waits.iter().filter(|wait| wait.counts);
        let planned = self.maintenance.iter().copied();
        waits
            .map(|wait| (wait.from, wait.to))
            .chain(planned.filter(|_| self.contract.pause_maintenance))
    }

    /// Whether such a pause goes on now.
    pub fn pauses_now(&self) -> bool {
        self.counted_pauses().any(|(_, to)| to.is_none())
    }

    /// How it ended.
    pub fn ended(&self) -> Option<Ended> {
        if let Some((_, reason)) = self.void {
            return Some(match reason {
                VoidReason::FalseAlarm => Ended::FalseAlarm,
                VoidReason::Merged => Ended::Merged,
                VoidReason::Recategorised => Ended::Recategorised,
                VoidReason::AutoResolved => Ended::ResolvedByMonitoring,
                VoidReason::Withdrawn | VoidReason::Superseded => Ended::Withdrawn,
            });
        }
        let (_, by) = self.resolved?;
        Some(match by {
            _ if self.recategorised.is_some() => Ended::Recategorised,
            EndedBy::Staff => Ended::Restored,
            EndedBy::Monitoring => Ended::ResolvedByMonitoring,
            EndedBy::Customer => Ended::Withdrawn,
        })
    }
}
