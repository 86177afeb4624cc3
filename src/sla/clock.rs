//! Clocks out of a log: started, paused, met, breached, void. A verdict, once reached in a cycle,
//! is final; everything else follows anew from the log each time.

use super::calendar::Pause;
use super::escalation::{self, Rise};
use super::history::{Facts, Period, Wait};
use super::log::{By, CaseDid, CaseEvent, EndedBy, VoidReason, ordered, settled};
use super::policy::{Contract, SeverityChange, Target, TargetKind, TargetName};
use super::update::{self, UpdateView};
use crate::model::{Category, Ended};

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
    /// When the verdict became final: met, breached or void.
    pub settled_at: Option<i64>,
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

impl ClockView {
    /// The word that people read: a soft target is missed, not breached.
    pub const fn shown(&self) -> &'static str {
        match self.state {
            ClockState::Breached if self.soft => "missed",
            ClockState::Running if self.at_risk => "at_risk",
            state => state.word(),
        }
    }
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
    /// Waits of this cycle, oldest first.
    pub waits: Vec<Wait>,
    /// Since when it is over.
    pub resolved_at: Option<i64>,
    /// It does not count.
    pub void: Option<VoidReason>,
    /// How it ended.
    pub ended: Option<Ended>,
    /// When each cycle began, oldest first. The one before is seen by evaluating at the second
    /// before its successor.
    pub cycles: Vec<i64>,
    /// The severity with which this cycle began.
    pub first_severity: Option<u8>,
    /// The first answer of this cycle that counts as a response.
    pub answered_at: Option<i64>,
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

    /// Keys that were told as breaches and are none any more: a late fact took them back.
    pub fn withdrawn<'a>(&self, told: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
        let stand: std::collections::BTreeSet<String> =
            self.moments.iter().map(Moment::key).collect();
        let cycle = format!("/{}/", self.cycle);
        told.into_iter()
            .filter(|key| key.ends_with("/breached") && !key.starts_with("withdrawn/"))
            .filter(|key| key.contains(&cycle))
            .filter(|key| !stand.contains(*key))
            .collect()
    }
}

/// A case at `now` (seconds since 1970): a function of its log and its contract.
pub fn evaluate(log: &[CaseEvent], contract: &Contract, now: i64) -> Option<View> {
    let mut facts = Facts::read(ordered(log, now), contract, now)?;
    facts.settled = settled(log);
    let facts = facts;
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
            if let Some((clock, risk)) = facts.clock(target, index, period) {
                moments_of(&clock, risk, &mut moments, &mut next);
                clocks.push(clock);
            }
        }
    }
    let update = update::follow(&facts);
    update.moments(facts.cycle(), now, &mut moments, &mut next);
    let restore = clocks
        .iter()
        .rev()
        .find(|clock| clock.target == TargetName::Restore);
    let rises = escalation::rises(&facts, &clocks, &update, restore, &mut next);
    moments.sort();
    if let Some(ends) = facts.wait_ends() {
        sooner(&mut next, ends);
    }
    let waited = |wait: &Wait| if wait.counts { wait.seconds(now) } else { 0 };
    Some(View {
        cycle: facts.cycle(),
        category: facts.category,
        severity: facts.severity(),
        clocks,
        update,
        rises,
        moments,
        next: next.filter(|_| facts.void.is_none()),
        waited: facts.waits.iter().map(waited).sum(),
        resolved_at: facts.resolved.map(|(at, _)| at),
        void: facts.void.map(|(_, reason)| reason),
        ended: facts.ended(),
        first_severity: facts.severities.first().and_then(|step| step.severity),
        answered_at: facts.first(facts.cycle_start, |what| facts.is_response(what)),
        waits: facts.waits,
        cycles: facts.cycles,
    })
}

impl Facts<'_> {
    /// When a period's restore target is fulfilled: the service is back, or a better period began.
    fn restored_at(&self, period: &Period) -> Option<i64> {
        period
            .until
            .or_else(|| self.resolved.map(|(resolved, _)| resolved))
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

    /// From when a response is owed no longer, and why.
    fn lapse(&self, name: TargetName, period: &Period) -> Option<(i64, VoidReason)> {
        if name == TargetName::Restore {
            return None;
        }
        // A worse period owes an answer of its own; a better one leaves this answer owed.
        let worse = period.until.filter(|_| period.superseded);
        let worse = worse.map(|until| (until, VoidReason::Superseded));
        let ends = [self.void, self.lapsed, worse];
        ends.into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    pub(super) fn pauses(&self, name: TargetName, target: &Target) -> Vec<Pause> {
        let mut pauses = match name {
            TargetName::Restore => self.gaps.clone(),
            _ => Vec::new(),
        };
        if target.pausable {
            pauses.extend(self.counted_pauses());
        }
        pauses
    }

    /// One clock of one period, and when it is at risk; `None`: the target never applied.
    fn clock(
        &self,
        name: TargetName,
        index: usize,
        period: &Period,
    ) -> Option<(ClockView, Option<i64>)> {
        if name != TargetName::Restore && !period.owes_response {
            return None;
        }
        let category = match (self.recategorised, name) {
            // What it was decides what it owed; restore is void below.
            (Some(_), TargetName::Restore) => Category::Incident,
            _ => self.category,
        };
        let mut clock = ClockView {
            target: name,
            period: index + 1,
            cycle: self.cycle(),
            severity: None,
            state: ClockState::None,
            start: period.from,
            due: None,
            fulfilled_at: self.fulfilled(name, period, period.from),
            breached_at: None,
            settled_at: None,
            retroactive: false,
            counted: 0,
            length: None,
            soft: false,
            at_risk: false,
        };
        let lapse = self.lapse(name, period);
        self.judge(&mut clock, period, category, lapse.map(|(at, _)| at));
        let kept = self.keep_verdict(&mut clock);
        if clock.state == ClockState::None {
            let shown = name == TargetName::Restore && index == 0;
            return shown.then_some((clock, None));
        }
        clock.settled_at = match clock.state {
            ClockState::Met => clock.fulfilled_at,
            ClockState::Breached => clock.breached_at,
            _ => None,
        };
        if let (ClockState::Running, Some(lapse)) = (clock.state, lapse) {
            void(&mut clock, lapse);
        }
        self.settle_void(&mut clock, period);
        let risk = self.count(&mut clock, period, category);
        if let (Some(counted), ClockState::Met) = (kept, clock.state) {
            clock.counted = counted;
        }
        Some((clock, risk))
    }

    /// A verdict that fell before a calendar was edited stands as it fell; its counted seconds.
    fn keep_verdict(&self, clock: &mut ClockView) -> Option<i64> {
        let is_it = |number: u32, of: usize| usize::try_from(number).is_ok_and(|n| n == of);
        let kept = self.settled.iter().find(|kept| {
            kept.target == clock.target.word()
                && is_it(kept.cycle, clock.cycle)
                && is_it(kept.period, clock.period)
        })?;
        let breached_at = kept.breached_at.map(crate::model::Time::seconds);
        let settled_at = breached_at.or(clock.fulfilled_at)?;
        if settled_at > self.now {
            return None;
        }
        clock.state = match breached_at {
            Some(_) => ClockState::Breached,
            None => ClockState::Met,
        };
        clock.breached_at = breached_at;
        clock.due = kept.due.map(crate::model::Time::seconds);
        clock.severity = kept.severity;
        Some(kept.counted)
    }

    /// The verdict, if there is one by now: severity by severity, each from the start.
    fn judge(
        &self,
        clock: &mut ClockView,
        period: &Period,
        category: Category,
        lapse: Option<i64>,
    ) {
        let segments = self.segments(period);
        let horizon = lapse.map_or(self.now, |lapse| lapse.min(self.now));
        let restore = clock.target == TargetName::Restore;
        let fulfilled = clock
            .fulfilled_at
            .filter(|at| lapse.is_none_or(|lapse| *at <= lapse));
        let resolution = self.resolved.map(|(at, _)| at);
        for (place, (from, severity)) in segments.iter().enumerate() {
            let no_incident = self.recategorised.is_some_and(|since| *from >= since);
            if *from > horizon || restore && no_incident {
                break;
            }
            let until = segments.get(place + 1).map(|(at, _)| *at);
            let Some(target) = self.contract.target(clock.target, category, *severity) else {
                clock.state = ClockState::None;
                continue;
            };
            let pauses = self.pauses(clock.target, target);
            let due = self.due_of(target, clock.start, *from, place, &pauses);
            clock.severity = *severity;
            clock.due = due;
            clock.soft = target.objective.is_some();
            clock.length = target.length(clock.start);
            clock.state = ClockState::Running;
            // A resolution comes before a change of severity at the same instant.
            let here = |at: i64| until.is_none_or(|u| at < u || at == u && resolution == Some(u));
            // A change that finds its due instant in the past breaches there and then.
            let passed_before = place > 0 && due.is_some_and(|due| due < *from);
            let end = until.map_or(horizon, |until| until.min(horizon));
            if passed_before && fulfilled.is_none_or(|at| at >= *from) {
                clock.state = ClockState::Breached;
                clock.breached_at = Some(*from);
                clock.retroactive = true;
            } else if let Some(at) = fulfilled.filter(|at| here(*at)) {
                if due.is_some_and(|due| at > due) {
                    clock.breached_at = due;
                    clock.state = ClockState::Breached;
                } else {
                    clock.state = ClockState::Met;
                }
            } else if let Some(due) = due.filter(|due| *due < end) {
                clock.state = ClockState::Breached;
                clock.breached_at = Some(due);
            }
            if clock.state != ClockState::Running {
                break;
            }
        }
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

    /// What does not count, whatever the clock said.
    fn settle_void(&self, clock: &mut ClockView, period: &Period) {
        let restore = clock.target == TargetName::Restore;
        let superseded = period.until.filter(|_| period.superseded);
        match (self.void, self.recategorised, superseded) {
            (Some(merged @ (_, VoidReason::Merged)), ..) => void(clock, merged),
            (Some(ended), ..) if restore => void(clock, ended),
            (_, Some(since), _) if restore => void(clock, (since, VoidReason::Recategorised)),
            (.., Some(until)) if restore && clock.state != ClockState::Breached => {
                void(clock, (until, VoidReason::Superseded));
            }
            _ => {}
        }
    }

    /// Counted seconds in the calendar of the last severity; paused and at risk.
    fn count(&self, clock: &mut ClockView, period: &Period, category: Category) -> Option<i64> {
        let last = self.segments(period).last().and_then(|(_, last)| *last);
        let target = self.contract.target(clock.target, category, last)?;
        let end = match clock.target {
            TargetName::Restore => self.restored_at(period).unwrap_or(self.now),
            _ => clock.fulfilled_at.unwrap_or(self.now),
        };
        let pauses = self.pauses(clock.target, target);
        clock.counted = target.counted(clock.start, end.min(self.now), &pauses);
        if clock.state != ClockState::Running {
            return None;
        }
        // Used up at the instant at which the pause began: due, not paused.
        if target.pausable && self.pauses_now() && clock.due.is_none() {
            clock.state = ClockState::Paused;
            return None;
        }
        let risk = target.share_due(clock.start, &pauses, target.at_risk);
        let risk = risk.ok().flatten()?;
        clock.at_risk = risk <= self.now;
        Some(risk)
    }
}

fn void(clock: &mut ClockView, (at, reason): (i64, VoidReason)) {
    clock.state = ClockState::Void(reason);
    clock.settled_at = Some(at);
    clock.due = None;
    clock.at_risk = false;
}

fn moments_of(
    clock: &ClockView,
    risk: Option<i64>,
    moments: &mut Vec<Moment>,
    next: &mut Option<i64>,
) {
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
    match risk {
        Some(risk) if clock.at_risk => moments.push(moment(risk, Stage::AtRisk)),
        Some(risk) => sooner(next, risk),
        None => {}
    }
    if let Some(due) = clock.due {
        // Breached as soon as now is after due.
        sooner(next, due + 1);
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
