//! Levels of escalation: from 1 at the opening, only upwards, one step at a time, at most one step
//! in ten minutes.

use super::clock::{ClockState, ClockView, sooner};
use super::history::Facts;
use super::log::CaseDid;
use super::policy::TargetName;
use super::update::UpdateView;
use crate::model::Category;

/// Shortest time between two steps, seconds.
const STEP_MIN: i64 = 600;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rise {
    /// To this level.
    pub level: u8,
    /// When.
    pub at: i64,
    /// `impact`, `slow` or `expectations`.
    pub reason: &'static str,
}

/// The steps so far; `next` learns of those that time alone will bring.
pub(super) fn rises(
    facts: &Facts,
    clocks: &[ClockView],
    update: &UpdateView,
    restore: Option<&ClockView>,
    next: &mut Option<i64>,
) -> Vec<Rise> {
    let incident = facts.category == Category::Incident;
    let mut causes: Vec<(i64, &'static str, Option<u8>)> = Vec::new();
    for (at, what) in facts.events.iter().copied() {
        if let CaseDid::Escalated { reason } = what
            && at >= facts.cycle_start
        {
            let reason = match reason.as_str() {
                "impact" => "impact",
                "slow" => "slow",
                _ => "expectations",
            };
            causes.push((at, reason, None));
        }
    }
    if incident {
        for pair in facts.severities.windows(2) {
            if let [before, after] = pair
                && after
                    .severity
                    .is_some_and(|to| to <= 2 && before.severity.is_none_or(|from| to < from))
            {
                causes.push((after.at, "impact", None));
            }
        }
        // A soft target is no breach when it is missed, but the silence is the same.
        for clock in clocks {
            if clock.target != TargetName::Restore
                && let Some(at) = clock.breached_at
            {
                causes.push((at, "slow", None));
            }
        }
        shares(facts, restore, &mut causes, next);
        late_updates(facts, update, &mut causes, next);
    }
    causes.sort_unstable();
    climb(facts, &causes, next)
}

/// One step at a time, at most one in ten minutes, none after the end.
fn climb(
    facts: &Facts,
    causes: &[(i64, &'static str, Option<u8>)],
    next: &mut Option<i64>,
) -> Vec<Rise> {
    let top = facts.contract.levels.len();
    let ended = [
        facts.resolved.map(|(at, _)| at),
        facts.void.map(|(at, _)| at),
    ];
    let end = ended.into_iter().flatten().min().unwrap_or(i64::MAX);
    let mut rises: Vec<Rise> = Vec::new();
    for (cause, reason, aim) in causes {
        // A share of the restore target aims at its own level, everything else at the next one.
        let aim = aim.map_or(rises.len() + 2, usize::from).min(top);
        while rises.len() + 1 < aim {
            let soonest = rises.last().map_or(*cause, |last| last.at + STEP_MIN);
            let at = soonest.max(*cause);
            if at > end {
                return rises;
            }
            if at > facts.now {
                sooner(next, at);
                return rises;
            }
            rises.push(Rise {
                level: u8::try_from(rises.len() + 2).unwrap_or(u8::MAX),
                at,
                reason,
            });
        }
    }
    rises
}

/// Shares of the restore target at which a level is reached.
fn shares(
    facts: &Facts,
    restore: Option<&ClockView>,
    causes: &mut Vec<(i64, &'static str, Option<u8>)>,
    next: &mut Option<i64>,
) {
    let Some(clock) = restore else { return };
    if matches!(clock.state, ClockState::Void(_) | ClockState::None) {
        return;
    }
    let target = facts
        .contract
        .target(TargetName::Restore, facts.category, clock.severity);
    let Some(target) = target else { return };
    let pauses = facts.pauses(TargetName::Restore, target);
    let end = clock.fulfilled_at.unwrap_or(i64::MAX);
    for level in &facts.contract.levels {
        let Some(share) = level.after_restore else {
            continue;
        };
        if let Ok(Some(at)) = target.share_due(clock.start, &pauses, share)
            && at < end
        {
            if at <= facts.now {
                causes.push((at, "slow", Some(level.level)));
            } else {
                sooner(next, at);
            }
        }
    }
}

/// A late update that no update follows within another interval.
fn late_updates(
    facts: &Facts,
    update: &UpdateView,
    causes: &mut Vec<(i64, &'static str, Option<u8>)>,
    next: &mut Option<i64>,
) {
    let interval = facts
        .contract
        .target(TargetName::Update, facts.category, facts.severity())
        .and_then(super::clock::interval_of);
    let Some((seconds, calendar)) = interval else {
        return;
    };
    for due in &update.breached_at {
        let Ok(Some(at)) = calendar.due(*due, seconds, &[]) else {
            continue;
        };
        let updated = facts.events.iter().any(|(when, what)| {
            *when > *due
                && *when <= at
                && matches!(
                    what,
                    CaseDid::Reply {
                        by: super::log::By::Staff,
                        public: true,
                        ..
                    } | CaseDid::Resolved { .. }
                )
        });
        if updated {
            continue;
        }
        if at <= facts.now {
            causes.push((at, "slow", None));
        } else {
            sooner(next, at);
        }
    }
}
