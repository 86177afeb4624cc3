//! The rhythm of updates: armed by the first response, moved by each public word of staff, replaced
//! by a promise, stopped by the resolution. One gap is one breach, however long.

use super::clock::{ClockState, Facts, Moment, Stage, interval_of, sooner};
use super::log::{By, CaseDid};
use super::policy::TargetName;

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
}

struct Walk<'a> {
    facts: &'a Facts<'a>,
    view: UpdateView,
    armed: bool,
    last: i64,
    severity: Option<u8>,
    /// The running interval is counted as late already.
    counted: bool,
}

impl Walk<'_> {
    fn interval(&self) -> Option<(i64, &super::Calendar)> {
        let target =
            self.facts
                .contract
                .target(TargetName::Update, self.facts.category, self.severity)?;
        interval_of(target)
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

    fn updated(&mut self, at: i64, promise: Option<i64>) {
        self.judge(at);
        if self.armed && !self.counted && self.view.due.is_some() {
            self.view.on_time += 1;
        }
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

    fn severity_changed(&mut self, at: i64, to: Option<u8>) {
        let worse = to.unwrap_or(u8::MAX) < self.severity.unwrap_or(u8::MAX);
        self.judge(at);
        self.severity = to;
        if !self.armed || self.counted {
            return;
        }
        if worse {
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
}

/// The update clock of a case.
pub(super) fn follow(facts: &Facts) -> UpdateView {
    let mut walk = Walk {
        facts,
        view: UpdateView::default(),
        armed: false,
        last: facts.cycle_start,
        severity: facts
            .severities
            .first()
            .and_then(|(_, severity, _)| *severity),
        counted: false,
    };
    if facts.category == crate::model::Category::Provisioning || walk.interval().is_none() {
        return UpdateView {
            state: None,
            ..UpdateView::default()
        };
    }
    let mut stopped = false;
    for (at, what) in facts.events.iter().copied() {
        if at < facts.cycle_start && !matches!(what, CaseDid::Reopened { .. }) {
            continue;
        }
        match what {
            CaseDid::Reply {
                by: By::Staff,
                public: true,
                promise,
            } if !stopped => {
                walk.updated(at, promise.map(|promise| promise.0.div_euclid(1000)));
            }
            CaseDid::Ack if !stopped && !walk.armed && facts.contract.ack_counts => {
                walk.armed = true;
                walk.restart(at);
            }
            CaseDid::Severity { to } | CaseDid::Period { severity: to } => {
                walk.severity_changed(at, Some(*to));
            }
            CaseDid::Resolved { .. } => {
                walk.judge(at);
                stopped = true;
            }
            CaseDid::Reopened { .. } => {
                stopped = false;
                walk.armed = true;
                walk.restart(at);
            }
            _ => {}
        }
    }
    if !stopped {
        walk.judge(facts.now);
    }
    let state = if let Some((_, reason)) = facts.void {
        ClockState::Void(reason)
    } else if let Some(reason) = facts
        .recategorised
        .map(|_| super::log::VoidReason::Recategorised)
        .filter(|_| facts.category == crate::model::Category::Provisioning)
    {
        ClockState::Void(reason)
    } else if stopped {
        ClockState::Stopped
    } else if !walk.armed {
        ClockState::NotArmed
    } else if walk.counted {
        ClockState::Late
    } else {
        ClockState::Running
    };
    let interval = walk.interval().map_or(0, |(seconds, _)| seconds);
    let risk = match (walk.view.promise, walk.view.due) {
        (Some(promise), _) => Some(promise - interval / 4),
        (None, Some(_)) => walk.interval().and_then(|(seconds, calendar)| {
            calendar.due(walk.last, seconds * 3 / 4, &[]).ok().flatten()
        }),
        _ => None,
    };
    let mut view = walk.view;
    view.risk_at = risk.filter(|_| state == ClockState::Running);
    if !matches!(state, ClockState::Running | ClockState::Late) {
        view.due = None;
    }
    view.state = Some(state);
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
