//! The rhythm of updates: armed by the first response, moved by each public word of staff, replaced
//! by a promise, stopped by the resolution. One gap is one breach, however long.

use super::clock::{ClockState, Moment, Stage, interval_of, sooner};
use super::history::Facts;
use super::log::{By, CaseDid, SettledInterval, VoidReason};
use super::policy::{Target, TargetName};
use crate::model::{Category, Time};

/// The time between two updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// From the last update, or from what armed the clock.
    pub from: i64,
    /// The next one; `None`: still to come.
    pub to: Option<i64>,
    /// When it was due.
    pub due: i64,
    /// The due instant was promised.
    pub promised: bool,
    /// It came too late.
    pub late: bool,
}

/// The update clock.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpdateView {
    /// Where it stands; `None`: the target does not apply.
    pub state: Option<ClockState>,
    /// When the next update is due.
    pub due: Option<i64>,
    /// Gaps that were too long.
    pub breaches: u32,
    /// Updates that came in time.
    pub on_time: u32,
    /// Instants at which a gap became too long.
    pub breached_at: Vec<i64>,
    /// A promised time stands.
    pub promise: Option<i64>,
    /// When a running interval is at risk.
    pub risk_at: Option<i64>,
    /// Promises made, and kept.
    pub promises: (u32, u32),
    /// Intervals that were judged, oldest first.
    pub intervals: Vec<Interval>,
}

struct Walk<'a> {
    facts: &'a Facts<'a>,
    view: UpdateView,
    armed: bool,
    stopped: bool,
    last: i64,
    category: Category,
    severity: Option<u8>,
    /// The running interval is counted as late already.
    counted: bool,
    /// The target applied at some time.
    applied: bool,
}

impl Walk<'_> {
    fn target(&self) -> Option<&Target> {
        let contract = self.facts.contract;
        contract.target(TargetName::Update, self.category, self.severity)
    }

    fn interval(&self) -> Option<(i64, &super::Calendar)> {
        interval_of(self.target()?)
    }

    fn due_from(&self, from: i64) -> Option<i64> {
        let (seconds, calendar) = self.interval()?;
        calendar.due(from, seconds, &[]).ok().flatten()
    }

    fn restart(&mut self, at: i64) {
        self.last = at;
        self.counted = false;
        self.view.promise = None;
        self.view.due = self.due_from(at);
    }

    /// Counts the running interval as late if it is over at `at`.
    fn judge(&mut self, at: i64) {
        if let Some(due) = self
            .view
            .due
            .filter(|due| self.armed && !self.counted && at > *due)
        {
            self.counted = true;
            self.view.breaches += 1;
            self.view.breached_at.push(due);
        }
    }

    /// Keeps the interval that ends at `to`.
    fn close(&mut self, to: Option<i64>) {
        if let Some(due) = self.view.due.filter(|_| self.armed) {
            self.view.intervals.push(Interval {
                from: self.last,
                to,
                due,
                promised: self.view.promise.is_some(),
                late: self.counted,
            });
        }
    }

    fn updated(&mut self, at: i64, promise: Option<i64>) {
        self.judge(at);
        if self.armed && !self.counted && self.view.due.is_some() {
            self.view.on_time += 1;
        }
        self.close(Some(at));
        let interval = self.interval().map_or(0, |(seconds, _)| seconds);
        match self.view.promise {
            // A word long before the promised time leaves the promise standing.
            Some(promised) if at < promised - interval && !self.counted => self.last = at,
            Some(promised) => {
                if at <= promised {
                    self.view.promises.1 += 1;
                }
                self.restart(at);
            }
            None => self.restart(at),
        }
        self.armed = true;
        if let Some(promised) = promise.filter(|promised| *promised > at) {
            self.view.promise = Some(promised);
            self.view.promises.0 += 1;
            self.view.due = Some(promised);
            self.counted = false;
        }
    }

    /// Another severity or another category, and so another rhythm from `at` on.
    fn changed(&mut self, at: i64) {
        self.judge(at);
        let before = self.severity;
        self.severity = self.facts.severity_at(at);
        self.applied |= self.target().is_some();
        if !self.armed || self.counted || self.stopped {
            return;
        }
        let level = |severity: Option<u8>| severity.unwrap_or(u8::MAX);
        if level(self.severity) < level(before) {
            let soonest = self.due_from(at);
            let due = self.view.due.into_iter().chain(soonest).min();
            if self
                .view
                .promise
                .is_some_and(|p| due.is_some_and(|due| p > due))
            {
                self.view.promise = None;
            }
            self.view.due = due;
        } else if self.view.promise.is_none() {
            self.view.due = self.due_from(self.last);
        }
    }

    fn follow(&mut self, at: i64, what: &CaseDid) {
        match what {
            CaseDid::Reply {
                by: By::Staff,
                public: true,
                promise,
            } if !self.stopped => self.updated(at, promise.map(Time::seconds)),
            CaseDid::Ack if !self.stopped && !self.armed && self.facts.contract.ack_counts => {
                self.armed = true;
                self.restart(at);
            }
            CaseDid::Category { to } => {
                self.category = *to;
                self.changed(at);
            }
            CaseDid::Severity { .. } | CaseDid::Period { .. } => self.changed(at),
            CaseDid::Resolved { .. } | CaseDid::Void { .. } if !self.stopped => {
                self.judge(at);
                if self.counted {
                    self.close(Some(at));
                }
                self.stopped = true;
            }
            CaseDid::UpdatesSettled { intervals } => self.keep(intervals),
            CaseDid::Reopened { .. } if self.stopped || at == self.facts.cycle_start => {
                self.stopped = false;
                self.armed = true;
                self.restart(at);
            }
            _ => {}
        }
    }

    /// What was judged before a calendar was edited stands as it was judged.
    fn keep(&mut self, intervals: &[SettledInterval]) {
        let late = intervals.iter().filter(|interval| interval.late);
        self.view.breached_at = late.map(|interval| interval.due.seconds()).collect();
        self.view.breaches = u32::try_from(self.view.breached_at.len()).unwrap_or(u32::MAX);
        let ended = intervals.iter().filter(|interval| interval.to.is_some());
        self.view.intervals = ended
            .map(|interval| Interval {
                from: interval.from.seconds(),
                to: interval.to.map(Time::seconds),
                due: interval.due.seconds(),
                promised: interval.promised,
                late: interval.late,
            })
            .collect();
        let on_time = self.view.intervals.iter().filter(|i| !i.late).count();
        self.view.on_time = u32::try_from(on_time).unwrap_or(u32::MAX);
        let running = intervals.iter().find(|interval| interval.to.is_none());
        self.counted = running.is_some();
        if let Some(late) = running {
            self.view.due = Some(late.due.seconds());
            self.last = late.from.seconds();
        }
    }

    fn state(&self) -> Option<ClockState> {
        if !self.applied {
            return None;
        }
        Some(match self.facts.void {
            Some((_, reason)) => ClockState::Void(reason),
            None if self.target().is_none() && self.facts.recategorised.is_some() => {
                ClockState::Void(VoidReason::Recategorised)
            }
            None if self.stopped => ClockState::Stopped,
            None if !self.armed => ClockState::NotArmed,
            None if self.counted => ClockState::Late,
            None => ClockState::Running,
        })
    }

    /// When the running interval is at risk.
    fn risk(&self) -> Option<i64> {
        let target = self.target()?;
        let (seconds, _) = self.interval()?;
        match (self.view.promise, self.view.due) {
            (Some(promise), _) => Some(promise - seconds / 4),
            // After a change for the worse the interval is what is left of it.
            (None, Some(due)) => {
                let risk = target.share_due(self.last, &[], target.at_risk);
                risk.ok().flatten().filter(|risk| *risk <= due)
            }
            _ => None,
        }
    }
}

/// The update clock of a case.
pub(super) fn follow(facts: &Facts) -> UpdateView {
    let mut walk = Walk {
        facts,
        view: UpdateView::default(),
        armed: false,
        stopped: false,
        last: facts.cycle_start,
        category: facts.category,
        severity: facts.severities.first().and_then(|step| step.severity),
        counted: false,
        applied: false,
    };
    for (at, what) in facts.events.iter().copied() {
        match what {
            // The category in force before this cycle, or at its opening.
            CaseDid::Opened { category, .. } if !walk.applied => walk.category = *category,
            CaseDid::Category { to } if at < facts.cycle_start => walk.category = *to,
            _ => {}
        }
        walk.applied |= walk.target().is_some();
        if at >= facts.cycle_start {
            walk.follow(at, what);
        }
    }
    if !walk.stopped {
        walk.judge(facts.now);
        if walk.counted {
            walk.close(None);
        }
    }
    let state = walk.state();
    let risk = walk.risk().filter(|_| state == Some(ClockState::Running));
    let mut view = walk.view;
    view.risk_at = risk;
    if !matches!(state, Some(ClockState::Running | ClockState::Late)) {
        view.due = None;
    }
    view.state = state;
    view
}

impl UpdateView {
    /// What people are told of it.
    pub(super) fn moments(
        &self,
        cycle: usize,
        now: i64,
        moments: &mut Vec<Moment>,
        next: &mut Option<i64>,
    ) {
        let moment = |at, round, stage| Moment {
            at,
            target: TargetName::Update,
            period: 0,
            cycle,
            round,
            stage,
            retroactive: false,
            soft: false,
        };
        for (round, at) in self.breached_at.iter().enumerate() {
            moments.push(moment(*at, round + 1, Stage::Breached));
        }
        if self.state != Some(ClockState::Running) {
            return;
        }
        let round = usize::try_from(self.on_time + self.breaches).unwrap_or(0) + 1;
        match self.risk_at {
            Some(risk) if risk <= now => moments.push(moment(risk, round, Stage::AtRisk)),
            Some(risk) => sooner(next, risk),
            None => {}
        }
        if let Some(due) = self.due {
            sooner(next, due + 1);
        }
    }
}
