//! Ticket lines and target lines: what the summary is a sum of.

use super::{CaseFacts, Month, ReportFacts, cycles};
use crate::model::Ended;
use crate::sla::clock::{ClockState, ClockView, View};
use crate::sla::log::{CaseDid, is_rebuilt};
use crate::sla::policy::Target;
use serde::Serialize;

/// One clock of a ticket whose verdict fell in the month, or that was open at its end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TargetRow {
    /// The target.
    pub target: String,
    /// The cycle, from 1.
    pub cycle: usize,
    /// The impact period, from 1.
    pub period: usize,
    /// The severity under which the verdict fell, or that is in force.
    pub severity: Option<u8>,
    /// When it was due.
    pub due: Option<String>,
    /// `met`, `breached`, `missed`, `void`; `open` at the month's end.
    pub verdict: String,
    /// When the verdict became final.
    pub settled: Option<String>,
    /// Counted seconds.
    pub counted_seconds: i64,
    /// Seconds on the wall, waits included.
    pub wall_seconds: i64,
    /// Seconds from due to fulfilment, or to now; 0: in time.
    pub late_seconds: i64,
    /// Why it does not count.
    pub reason: Option<String>,
    /// The breach came with a change of severity.
    pub retroactive: bool,
    /// The share aimed at, for a soft target.
    pub objective: Option<f64>,
    /// The breach was recorded long after its due instant.
    pub found_late: bool,
    /// The target's length in counted seconds; none: the start of a working day.
    pub target_seconds: Option<i64>,
}

impl TargetRow {
    /// Whether it is met, missed or breached.
    pub fn judged(&self) -> bool {
        matches!(self.verdict.as_str(), "met" | "missed" | "breached")
    }
}

/// One judged interval between updates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UpdateRow {
    /// From.
    pub from: String,
    /// When the next one was due.
    pub due: String,
    /// When it came.
    pub to: Option<String>,
    /// Its length so far.
    pub seconds: i64,
    /// The due instant was promised.
    pub promised: bool,
    /// It came too late.
    pub late: bool,
}

/// One wait, as far as it lies in the month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WaitRow {
    /// The ticket.
    pub id: String,
    /// From.
    pub from: String,
    /// Until.
    pub to: Option<String>,
    /// Its length in the month.
    pub seconds: i64,
    /// Staff had asked something publicly.
    pub asked: bool,
    /// It is kept out of what counts.
    pub counts: bool,
}

/// One step of escalation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RiseRow {
    /// To this level.
    pub level: u8,
    /// When.
    pub at: String,
    /// Why.
    pub reason: String,
}

/// One ticket.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TicketRow {
    /// Its key.
    pub id: String,
    /// Where to see it.
    pub link: String,
    /// Its category.
    pub category: String,
    /// The severity with which it began.
    pub first_severity: Option<u8>,
    /// The severity that it ended with, or has.
    pub final_severity: Option<u8>,
    /// The source that opened it.
    pub source: String,
    /// When it was reported.
    pub reported: String,
    /// When the tracker had it.
    pub ticket_created: Option<String>,
    /// The first answer.
    pub first_answer: Option<String>,
    /// The last resolution.
    pub restored: Option<String>,
    /// When it was closed for good.
    pub closed: Option<String>,
    /// How it ended.
    pub outcome: Option<String>,
    /// It was reported in the month.
    pub opened_in_month: bool,
    /// It ended in the month.
    pub ended_in_month: bool,
    /// It was open when the month ended.
    pub carried_over: bool,
    /// Reopenings in the month.
    pub reopened: usize,
    /// Duplicates merged in during the month.
    pub merged: usize,
    /// Clocks.
    pub targets: Vec<TargetRow>,
    /// Intervals between updates.
    pub updates: Vec<UpdateRow>,
    /// Waits.
    pub waits: Vec<WaitRow>,
    /// Steps of escalation in the month.
    pub escalations: Vec<RiseRow>,
    /// Seconds of the waits that did not count.
    pub wait_seconds: i64,
    /// Seconds from the report to the end; of one that is open, to the month's end or to now.
    pub age_seconds: i64,
    /// When it ended: resolved, or found not to count.
    pub ended: Option<String>,
    /// The version of the contract's terms that it keeps.
    pub policy_version: String,
    /// It came out of its ticket after the store was lost: what stands here is what the tracker held.
    pub approximate: bool,
}

/// A ticket's line; `None`: it has no part in the month.
pub(super) fn ticket(case: &CaseFacts, facts: &ReportFacts) -> Option<TicketRow> {
    let month = &facts.month;
    let now = facts.generated.seconds();
    let views = cycles(case, now);
    let (first, last) = (views.first()?, views.last()?);
    let reported = *first.cycles.first()?;
    let ended_at = ended_at(last, case);
    if reported >= month.until || ended_at.is_some_and(|at| at < month.from) {
        return None;
    }
    let shown = |at: Option<i64>| at.map(|at| month.shown(at));
    let targets = views
        .iter()
        .flat_map(|view| view.clocks.iter().map(move |clock| (view, clock)))
        .filter_map(|(view, clock)| target(view, clock, case, month, now))
        .collect();
    let waits: Vec<WaitRow> = views
        .iter()
        .flat_map(|view| waits(view, &case.id, month, now))
        .collect();
    let count = |is_it: fn(&CaseDid) -> bool| {
        let events = case.log.iter();
        events
            .filter(|event| is_it(&event.what) && month.has(event.at.seconds()))
            .count()
    };
    let closed = case.log.iter().rev().find_map(|event| {
        let closes = event.what == CaseDid::Closed && event.at.seconds() <= now;
        closes.then_some(event.at.seconds())
    });
    Some(TicketRow {
        id: case.id.clone(),
        link: case.link.clone(),
        category: last.category.word().to_owned(),
        first_severity: first.first_severity,
        final_severity: last.severity,
        source: case.source.clone(),
        reported: month.shown(reported),
        ticket_created: shown(case.ticket_created),
        first_answer: shown(first.answered_at),
        restored: shown(last.resolved_at),
        closed: shown(closed),
        outcome: last.ended.map(|ended| outcome(ended).to_owned()),
        opened_in_month: month.has(reported),
        ended_in_month: ended_at.is_some_and(|at| month.has(at)),
        carried_over: ended_at.is_none_or(|at| at >= month.until),
        reopened: count(|what| matches!(what, CaseDid::Reopened { .. })),
        merged: count(|what| matches!(what, CaseDid::Absorb { .. })),
        targets,
        updates: views
            .iter()
            .flat_map(|view| updates(view, month, now))
            .collect(),
        wait_seconds: waits.iter().filter(|w| w.counts).map(|w| w.seconds).sum(),
        waits,
        age_seconds: (ended_at.unwrap_or(now).min(month.until) - reported).max(0),
        escalations: views.iter().flat_map(|view| rises(view, month)).collect(),
        ended: shown(ended_at.filter(|at| *at < month.until)),
        policy_version: case.contract.version.clone(),
        approximate: is_rebuilt(case.log),
    })
}

/// When it ended: resolved, or found not to count.
fn ended_at(view: &View, case: &CaseFacts) -> Option<i64> {
    view.ended?;
    view.resolved_at.or_else(|| {
        case.log.iter().rev().find_map(|event| {
            matches!(event.what, CaseDid::Void { .. }).then_some(event.at.seconds())
        })
    })
}

const fn outcome(ended: Ended) -> &'static str {
    match ended {
        Ended::Restored => "restored",
        Ended::ResolvedByMonitoring => "resolved_by_monitoring",
        Ended::Withdrawn => "withdrawn",
        Ended::FalseAlarm => "false_alarm",
        Ended::Merged => "merged",
        Ended::Recategorised => "recategorised",
        Ended::Transient => "transient",
        Ended::Planned => "planned",
        Ended::Test => "test",
    }
}

fn target(
    view: &View,
    clock: &ClockView,
    case: &CaseFacts,
    month: &Month,
    now: i64,
) -> Option<TargetRow> {
    if clock.state == ClockState::None || clock.start >= month.until {
        return None;
    }
    let settled = clock.settled_at.filter(|at| *at < month.until);
    if settled.is_some_and(|at| at < month.from) {
        return None;
    }
    let verdict = match clock.state {
        _ if settled.is_none() => "open",
        ClockState::Met | ClockState::Breached => clock.shown(),
        ClockState::Void(_) => "void",
        _ => "open",
    };
    let end = clock.fulfilled_at.unwrap_or(now);
    let judged = matches!(verdict, "met" | "breached" | "missed");
    let late = match (verdict, clock.due) {
        ("breached" | "missed", Some(due)) => (end - due).max(0),
        _ => 0,
    };
    let reason = match clock.state {
        ClockState::Void(reason) if verdict == "void" => Some(reason.word().to_owned()),
        _ => None,
    };
    let objective = case
        .contract
        .target(clock.target, view.category, clock.severity)
        .and_then(|target: &Target| target.objective);
    Some(TargetRow {
        target: clock.target.word().to_owned(),
        cycle: clock.cycle,
        period: clock.period,
        severity: clock.severity,
        due: clock.due.map(|due| month.shown(due)),
        verdict: verdict.to_owned(),
        settled: settled.map(|at| month.shown(at)),
        counted_seconds: if judged { clock.counted } else { 0 },
        wall_seconds: if judged {
            (end - clock.start).max(0)
        } else {
            0
        },
        late_seconds: late,
        reason,
        retroactive: clock.retroactive && judged,
        objective,
        found_late: judged
            && verdict != "met"
            && case.found_late.contains(&(
                clock.target.word().to_owned(),
                clock.cycle,
                clock.period,
            )),
        target_seconds: clock.length,
    })
}

/// Intervals that were judged in the month: at the update if it was in time, else when it was due.
fn updates(view: &View, month: &Month, now: i64) -> Vec<UpdateRow> {
    view.update
        .intervals
        .iter()
        .filter(|interval| {
            let in_time = interval.to.filter(|_| !interval.late);
            month.has(in_time.unwrap_or(interval.due))
        })
        .map(|interval| UpdateRow {
            from: month.shown(interval.from),
            due: month.shown(interval.due),
            to: interval.to.map(|to| month.shown(to)),
            seconds: interval.to.unwrap_or(now) - interval.from,
            promised: interval.promised,
            late: interval.late,
        })
        .collect()
}

fn waits(view: &View, id: &str, month: &Month, now: i64) -> Vec<WaitRow> {
    view.waits
        .iter()
        .map(|wait| {
            let to = wait.to.unwrap_or(now).min(month.until);
            (wait, to - wait.from.max(month.from))
        })
        .filter(|(_, seconds)| *seconds > 0)
        .map(|(wait, seconds)| WaitRow {
            id: id.to_owned(),
            from: month.shown(wait.from),
            to: wait.to.map(|to| month.shown(to)),
            seconds,
            asked: wait.asked,
            counts: wait.counts,
        })
        .collect()
}

fn rises(view: &View, month: &Month) -> Vec<RiseRow> {
    view.rises
        .iter()
        .filter(|rise| month.has(rise.at))
        .map(|rise| RiseRow {
            level: rise.level,
            at: month.shown(rise.at),
            reason: rise.reason.to_owned(),
        })
        .collect()
}
