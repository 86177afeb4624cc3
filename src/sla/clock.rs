//! Clocks out of a log: started, paused, met, breached, void. A verdict, once reached in a cycle,
//! is final; everything else follows anew from the log each time.

use super::calendar::Pause;
use super::escalation::{self, Rise};
use super::log::{By, CaseDid, CaseEvent, EndedBy, VoidReason, ordered};
use super::policy::{Contract, SeverityChange, Target, TargetKind, TargetName};
use super::update::{self, UpdateView};
use crate::model::Category;

/// Where a clock stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockState {
    /// The target does not apply.
    None,
    /// Counts.
    Running,
    /// Waits for the customer.
    Paused,
    /// Fulfilled in time.
    Met,
    /// Not fulfilled in time.
    Breached,
    /// Does not count.
    Void(VoidReason),
    /// Updates: no first response yet.
    NotArmed,
    /// Updates: overdue.
    Late,
    /// Updates: over.
    Stopped,
}

impl ClockState {
    /// The word in API and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            ClockState::None => "none",
            ClockState::Running => "running",
            ClockState::Paused => "paused",
            ClockState::Met => "met",
            ClockState::Breached => "breached",
            ClockState::Void(_) => "void",
            ClockState::NotArmed => "not_armed",
            ClockState::Late => "late",
            ClockState::Stopped => "stopped",
        }
    }
}

/// One clock.
#[derive(Clone, Debug, PartialEq)]
pub struct ClockView {
    /// What it is about.
    pub target: TargetName,
    /// The impact period, from 1.
    pub period: usize,
    /// The cycle, from 1.
    pub cycle: usize,
    /// The severity it stands under, or fell under.
    pub severity: Option<u8>,
    /// Where it stands.
    pub state: ClockState,
    /// When it began.
    pub start: i64,
    /// When it is due, or was.
    pub due: Option<i64>,
    /// When it was fulfilled.
    pub fulfilled_at: Option<i64>,
    /// When the breach was.
    pub breached_at: Option<i64>,
    /// The breach came with a change of severity.
    pub retroactive: bool,
    /// Counted seconds so far.
    pub counted: i64,
    /// The target's length in counted seconds.
    pub length: Option<i64>,
    /// Measured, never a breach.
    pub soft: bool,
    /// Counts and has used most of its target.
    pub at_risk: bool,
}

/// How far a clock has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Most of the target is used up.
    AtRisk,
    /// It was missed.
    Breached,
}

/// Something that people are told once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// When it was due.
    pub at: i64,
    /// Which clock.
    pub target: TargetName,
    /// In which period.
    pub period: usize,
    /// In which cycle.
    pub cycle: usize,
    /// How often before in this cycle, for updates.
    pub round: usize,
    /// How far.
    pub stage: Stage,
    /// It came with a change of severity: nobody could have acted.
    pub retroactive: bool,
    /// Measured, never a breach.
    pub soft: bool,
}

impl Moment {
    /// What makes it this moment and no other: the key under which it was told.
    pub fn key(&self) -> String {
        let stage = match self.stage {
            Stage::AtRisk => "at_risk",
            Stage::Breached => "breached",
        };
        format!(
            "{}/{}/{}/{}/{stage}",
            self.target.word(),
            self.cycle,
            self.period,
            self.round
        )
    }
}

/// A case at an instant.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// The cycle, from 1.
    pub cycle: usize,
    /// Its category.
    pub category: Category,
    /// Its severity on the contract's scale.
    pub severity: Option<u8>,
    /// Clocks of all periods of the last cycle.
    pub clocks: Vec<ClockView>,
    /// Updates.
    pub update: UpdateView,
    /// Escalations so far, oldest first.
    pub rises: Vec<Rise>,
    /// What people are told, up to now.
    pub moments: Vec<Moment>,
    /// The next instant at which something changes by itself.
    pub next: Option<i64>,
    /// Seconds of waiting that did not count.
    pub waited: i64,
    /// It is over, and how it ended.
    pub resolved_at: Option<i64>,
    /// It does not count.
    pub void: Option<VoidReason>,
}

impl View {
    /// The level of escalation, from 1.
    pub fn level(&self) -> u8 {
        u8::try_from(self.rises.len() + 1).unwrap_or(u8::MAX)
    }

    /// The last period's clock of a target.
    pub fn clock(&self, target: TargetName) -> Option<&ClockView> {
        self.clocks
            .iter()
            .rev()
            .find(|clock| clock.target == target)
    }
}

/// What a log says, before clocks are asked.
pub(super) struct Facts<'a> {
    pub contract: &'a Contract,
    pub events: Vec<(i64, &'a CaseDid)>,
    pub now: i64,
    pub cycle: usize,
    /// When this cycle began.
    pub cycle_start: i64,
    pub category: Category,
    /// Severity by time, oldest first: when, which, whether a new period began with it.
    pub severities: Vec<(i64, Option<u8>, bool)>,
    pub waits: Vec<Pause>,
    pub gaps: Vec<Pause>,
    pub resolved: Option<(i64, EndedBy)>,
    pub void: Option<(i64, VoidReason)>,
    /// Restore and update are void from then on: it is no incident.
    pub recategorised: Option<i64>,
    /// Staff wrote publicly since the customer's last word.
    pub asked: bool,
}

/// A case at `now` (seconds since 1970): a function of its log and its contract.
pub fn evaluate(log: &[CaseEvent], contract: &Contract, now: i64) -> Option<View> {
    let facts = Facts::read(ordered(log, now), contract, now)?;
    let mut clocks = Vec::new();
    let mut moments = Vec::new();
    let mut next = None;
    for (index, period) in facts.periods().iter().enumerate() {
        for target in [
            TargetName::Triage,
            TargetName::InitialResponse,
            TargetName::Engineer,
            TargetName::Restore,
        ] {
            if let Some(clock) = facts.clock(target, index, period) {
                facts.moments_of(&clock, &mut moments, &mut next);
                clocks.push(clock);
            }
        }
    }
    let update = update::follow(&facts);
    update.moments(facts.cycle, now, &mut moments, &mut next);
    let restore = clocks
        .iter()
        .rev()
        .find(|clock| clock.target == TargetName::Restore);
    let rises = escalation::rises(&facts, &clocks, &update, restore, &mut next);
    moments.sort();
    let severity = facts
        .severities
        .last()
        .and_then(|(_, severity, _)| *severity);
    let waited = facts
        .waits
        .iter()
        .map(|(from, to)| to.unwrap_or(now).min(now) - from)
        .sum::<i64>()
        .max(0);
    Some(View {
        cycle: facts.cycle,
        category: facts.category,
        severity,
        clocks,
        update,
        rises,
        moments,
        next: next.filter(|_| facts.void.is_none()),
        waited,
        resolved_at: facts.resolved.map(|(at, _)| at),
        void: facts.void.map(|(_, reason)| reason),
    })
}

/// A period: from, until if it is over, and whether it owes a response of its own.
pub(super) struct Period {
    from: i64,
    until: Option<i64>,
    owes_response: bool,
    /// What came after it is worse.
    superseded: bool,
}

impl<'a> Facts<'a> {
    fn read(
        events: Vec<(i64, &'a CaseDid)>,
        contract: &'a Contract,
        now: i64,
    ) -> Option<Facts<'a>> {
        let mut facts: Option<Facts<'a>> = None;
        for (at, what) in events.iter().copied() {
            if let CaseDid::Opened {
                category,
                severity,
                reported_at,
            } = what
            {
                let reported = reported_at.map_or(at, |r| r.0.div_euclid(1000).min(at));
                let severity = contract.severity_of(*category, *severity);
                facts.get_or_insert(Facts {
                    contract,
                    events: Vec::new(),
                    now,
                    cycle: 1,
                    cycle_start: reported,
                    category: *category,
                    severities: vec![(reported, severity, true)],
                    waits: Vec::new(),
                    gaps: Vec::new(),
                    resolved: None,
                    void: None,
                    recategorised: None,
                    asked: false,
                });
            } else if let Some(facts) = facts.as_mut() {
                facts.follow(at, what);
            }
        }
        let mut facts = facts?;
        facts.events = events;
        Some(facts)
    }

    fn follow(&mut self, at: i64, what: &CaseDid) {
        match what {
            CaseDid::Absorb { reported_at } => {
                let reported = reported_at.0.div_euclid(1000);
                if self.cycle == 1 && reported < self.cycle_start {
                    self.cycle_start = reported;
                    if let Some(first) = self.severities.first_mut() {
                        first.0 = reported;
                    }
                }
            }
            CaseDid::WaitStart => {
                let open = self.waits.last().is_some_and(|(_, to)| to.is_none());
                if !open && (self.asked || !self.contract.wait_needs_question) {
                    self.waits.push((at, None));
                }
            }
            CaseDid::WaitEnd => self.end_wait(at),
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
            } => self.asked = true,
            CaseDid::Severity { to } => self.severities.push((at, Some(*to), false)),
            // While all is well there is no impact that could change.
            CaseDid::Period { severity } if self.resolved.is_none() => {
                self.severities.push((at, Some(*severity), true));
            }
            CaseDid::Resolved { by } => {
                self.end_wait(at);
                self.resolved.get_or_insert((at, *by));
            }
            CaseDid::Reopened { firing_during_gap } => {
                let Some((resolved, _)) = self.resolved.take() else {
                    return;
                };
                if at - resolved <= self.contract.reopen_window {
                    if !firing_during_gap {
                        self.gaps.push((resolved, Some(at)));
                    }
                    return;
                }
                let severity = self.severities.last().and_then(|(_, s, _)| *s);
                self.cycle += 1;
                self.cycle_start = at;
                self.severities = vec![(at, severity, true)];
                self.waits.clear();
                self.gaps.clear();
            }
            CaseDid::Void { reason } => {
                self.void.get_or_insert((at, *reason));
            }
            CaseDid::Category { to } => {
                if self.category == Category::Incident && *to != Category::Incident {
                    self.recategorised = Some(at);
                } else if *to == Category::Incident {
                    self.recategorised = None;
                }
                self.category = *to;
                let set = self.severities.last().and_then(|(_, s, _)| *s);
                let severity = self.contract.severity_of(*to, set);
                self.severities.push((at, severity, false));
            }
            _ => {}
        }
    }

    fn end_wait(&mut self, at: i64) {
        let limit = self.contract.wait_limit;
        if let Some((from, to @ None)) = self.waits.last_mut() {
            *to = Some(limit.map_or(at, |limit| at.min(*from + limit)));
        }
    }

    pub(super) fn periods(&self) -> Vec<Period> {
        let mut periods: Vec<Period> = Vec::new();
        let mut last: Option<u8> = None;
        for (at, severity, begins) in &self.severities {
            if *begins {
                // Smaller is worse; no severity is the least.
                let level = severity.unwrap_or(u8::MAX);
                let worse = last.is_some_and(|before| level < before);
                if let Some(period) = periods.last_mut() {
                    period.until = Some(*at);
                    period.superseded = worse;
                }
                periods.push(Period {
                    from: *at,
                    until: None,
                    owes_response: last.is_none() || worse,
                    superseded: false,
                });
            }
            last = Some(severity.unwrap_or(u8::MAX));
        }
        periods
    }

    /// When a period's restore target is fulfilled: the service is back, or a better period began.
    fn restored_at(&self, period: &Period) -> Option<i64> {
        match period.until {
            Some(until) => Some(until),
            None => self.resolved.map(|(at, _)| at),
        }
    }

    fn is_response(&self, what: &CaseDid) -> bool {
        match what {
            CaseDid::Reply {
                by: By::Staff,
                public: true,
                ..
            } => self.contract.public_note_counts,
            CaseDid::Ack => self.contract.ack_counts,
            CaseDid::Resolved { by: EndedBy::Staff } => true,
            _ => false,
        }
    }

    fn first(&self, from: i64, is_it: impl Fn(&CaseDid) -> bool) -> Option<i64> {
        self.events
            .iter()
            .find(|(at, what)| *at >= from && is_it(what))
            .map(|(at, _)| *at)
    }

    fn fulfilled(&self, target: TargetName, period: &Period, from: i64) -> Option<i64> {
        match target {
            TargetName::Restore => self.restored_at(period),
            TargetName::InitialResponse => self.first(from, |what| self.is_response(what)),
            TargetName::Triage => self.first(from, |what| {
                matches!(
                    what,
                    CaseDid::Ack
                        | CaseDid::Assigned
                        | CaseDid::Reply { by: By::Staff, .. }
                        | CaseDid::Severity { .. }
                        | CaseDid::Resolved { by: EndedBy::Staff }
                )
            }),
            TargetName::Engineer => {
                let assigned = self.first(from, |what| matches!(what, CaseDid::Assigned));
                let wrote = assigned.and_then(|at| {
                    self.first(at, |what| {
                        matches!(what, CaseDid::Reply { by: By::Staff, .. })
                    })
                });
                let resolved = self.first(from, |what| {
                    matches!(what, CaseDid::Resolved { by: EndedBy::Staff })
                });
                wrote.into_iter().chain(resolved).min()
            }
            TargetName::Update => None,
        }
    }

    /// Severities of a period as segments: from, severity.
    fn segments(&self, period: &Period) -> Vec<(i64, Option<u8>)> {
        self.severities
            .iter()
            .filter(|(at, _, begins)| {
                let after = *at > period.from && !begins;
                let at_start = *at == period.from;
                (after || at_start) && period.until.is_none_or(|until| *at < until)
            })
            .map(|(at, severity, _)| (*at, *severity))
            .collect()
    }

    fn pauses(&self, name: TargetName, target: &Target) -> Vec<Pause> {
        let mut pauses = self.gaps.clone();
        if name != TargetName::Restore {
            pauses.clear();
        }
        if target.pausable {
            pauses.extend(self.waits.iter().copied());
        }
        pauses
    }

    /// One clock of one period; `None`: the target never applied.
    fn clock(&self, name: TargetName, index: usize, period: &Period) -> Option<ClockView> {
        if name != TargetName::Restore && (!period.owes_response || self.cycle > 1) {
            return None;
        }
        let start = if index == 0 {
            self.cycle_start
        } else {
            period.from
        };
        let segments = self.segments(period);
        let category = match (self.recategorised, name) {
            // What it was decides what it owed; restore is void below.
            (Some(_), TargetName::Restore) => Category::Incident,
            _ => self.category,
        };
        let target_at = |severity| self.contract.target(name, category, severity);
        let fulfilled = self.fulfilled(name, period, start);
        let mut clock = ClockView {
            target: name,
            period: index + 1,
            cycle: self.cycle,
            severity: None,
            state: ClockState::None,
            start,
            due: None,
            fulfilled_at: fulfilled,
            breached_at: None,
            retroactive: false,
            counted: 0,
            length: None,
            soft: false,
            at_risk: false,
        };
        for (place, (from, severity)) in segments.iter().enumerate() {
            let until = segments.get(place + 1).map(|(at, _)| *at);
            let Some(target) = target_at(*severity) else {
                clock.state = ClockState::None;
                continue;
            };
            let pauses = self.pauses(name, target);
            let due = self.due_of(target, start, *from, place, &pauses);
            clock.severity = *severity;
            clock.due = due;
            clock.soft = target.objective.is_some();
            clock.length = target.length(start);
            clock.state = ClockState::Running;
            // A change of severity that finds its due instant in the past breaches there and then.
            let passed_before = place > 0 && due.is_some_and(|due| due < *from);
            let late_by = |at: i64| due.is_some_and(|due| at > due);
            let here = |at: i64| until.is_none_or(|until| at < until);
            if passed_before && fulfilled.is_none_or(|at| at >= *from) {
                clock.state = ClockState::Breached;
                clock.breached_at = Some(*from);
                clock.retroactive = true;
            } else if let Some(at) = fulfilled.filter(|at| here(*at)) {
                clock.state = if late_by(at) {
                    clock.breached_at = due;
                    ClockState::Breached
                } else {
                    ClockState::Met
                };
            } else if let Some(due) = due.filter(|due| *due < until.unwrap_or(self.now)) {
                clock.state = ClockState::Breached;
                clock.breached_at = Some(due);
            }
            if clock.state != ClockState::Running {
                break;
            }
        }
        if clock.state == ClockState::None {
            return (name == TargetName::Restore && index == 0).then_some(clock);
        }
        self.settle(&mut clock, name, period, category);
        Some(clock)
    }

    fn due_of(
        &self,
        target: &Target,
        start: i64,
        changed: i64,
        place: usize,
        pauses: &[Pause],
    ) -> Option<i64> {
        let due = |from: i64| target.due(from, pauses).ok().flatten();
        match self.contract.severity_change {
            SeverityChange::FromChange if place > 0 => due(changed),
            SeverityChange::FromStartWithFloor(floor) if place > 0 => {
                due(start).map(|due| due.max(changed + floor))
            }
            _ => due(start),
        }
    }

    /// What the rest of the log makes of a clock: void, paused, counted, at risk.
    fn settle(&self, clock: &mut ClockView, name: TargetName, period: &Period, category: Category) {
        // `counted` runs in the calendar of the last severity.
        let last = self
            .segments(period)
            .last()
            .and_then(|(_, severity)| *severity);
        let target = self.contract.target(name, category, last);
        let end = match name {
            TargetName::Restore => self.restored_at(period).unwrap_or(self.now),
            _ => clock.fulfilled_at.unwrap_or(self.now),
        };
        if let Some(target) = target {
            let pauses = self.pauses(name, target);
            clock.counted = target.counted(clock.start, end.min(self.now), &pauses);
            if clock.state == ClockState::Running {
                let waits = target.pausable && self.waits.iter().any(|(_, to)| to.is_none());
                if waits && self.resolved.is_none() {
                    clock.state = ClockState::Paused;
                } else {
                    let risk = target.share_due(clock.start, &pauses, target.at_risk);
                    clock.at_risk = risk.ok().flatten().is_some_and(|risk| risk <= self.now);
                }
            }
        }
        let open = matches!(clock.state, ClockState::Running | ClockState::Paused);
        let void = |clock: &mut ClockView, reason| {
            clock.state = ClockState::Void(reason);
            clock.due = None;
            clock.at_risk = false;
        };
        if name == TargetName::Restore {
            if let Some((_, reason)) = self.void {
                void(clock, reason);
            } else if self.recategorised.is_some() {
                void(clock, VoidReason::Recategorised);
            } else if period.superseded && clock.state != ClockState::Breached {
                void(clock, VoidReason::Superseded);
            }
            return;
        }
        if !open {
            return;
        }
        if let Some((_, reason)) = self.void {
            void(clock, reason);
        } else if let Some((at, by)) = self.resolved {
            let in_time = clock.due.is_none_or(|due| at <= due);
            match by {
                EndedBy::Monitoring if in_time => void(clock, VoidReason::AutoResolved),
                EndedBy::Customer => void(clock, VoidReason::Withdrawn),
                _ => {}
            }
        } else if period.until.is_some() {
            // A better period ended the need to answer this one; a worse one owes its own answer.
            void(clock, VoidReason::Superseded);
        }
    }

    fn moments_of(&self, clock: &ClockView, moments: &mut Vec<Moment>, next: &mut Option<i64>) {
        let moment = |at, stage| Moment {
            at,
            target: clock.target,
            period: clock.period,
            cycle: clock.cycle,
            round: 0,
            stage,
            retroactive: clock.retroactive,
            soft: clock.soft,
        };
        if let Some(at) = clock.breached_at {
            moments.push(moment(at, Stage::Breached));
        }
        if clock.state != ClockState::Running {
            return;
        }
        let target = self
            .contract
            .target(clock.target, self.category, clock.severity);
        if let Some(target) = target {
            let pauses = self.pauses(clock.target, target);
            let risk = target.share_due(clock.start, &pauses, target.at_risk);
            if let Ok(Some(risk)) = risk {
                if clock.at_risk {
                    moments.push(moment(risk, Stage::AtRisk));
                } else {
                    sooner(next, risk);
                }
            }
        }
        if let Some(due) = clock.due {
            // Breached as soon as now is after due.
            sooner(next, due + 1);
        }
    }
}

/// Keeps the earlier instant.
pub(super) fn sooner(next: &mut Option<i64>, at: i64) {
    *next = Some(next.map_or(at, |next| next.min(at)));
}

/// Whether a kind re-arms.
pub(super) fn interval_of(target: &Target) -> Option<(i64, &super::Calendar)> {
    match &target.kind {
        TargetKind::Every(seconds, calendar) | TargetKind::Within(seconds, calendar) => {
            Some((*seconds, calendar))
        }
        _ => None,
    }
}
