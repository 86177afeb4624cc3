//! The summary: sums over the rows and nothing else.

use super::rows::{TargetRow, TicketRow, WaitRow};
use super::{AlertCounts, LONGEST_WAITS, Month};
use serde::Serialize;
use std::collections::BTreeMap;

/// Half, nine tenths, and all of a distribution, seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    /// Half were not longer.
    pub p50: i64,
    /// Nine of ten were not longer.
    pub p90: i64,
    /// The longest.
    pub max: i64,
}

impl Spread {
    /// By nearest rank: always a value that occurred.
    pub fn of(values: impl IntoIterator<Item = i64>) -> Spread {
        let mut sorted: Vec<i64> = values.into_iter().collect();
        sorted.sort_unstable();
        let rank = |tenths: usize| {
            let place = (sorted.len() * tenths).div_ceil(10).saturating_sub(1);
            sorted.get(place).copied().unwrap_or(0)
        };
        Spread {
            p50: rank(5),
            p90: rank(9),
            max: rank(10),
        }
    }
}

/// One target of one severity.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TargetSum {
    /// The severity; none: without one.
    pub severity: Option<u8>,
    /// The target.
    pub target: String,
    /// Met and breached.
    pub judged: usize,
    /// In time.
    pub met: usize,
    /// Not in time; missed, for a soft target.
    pub breached: usize,
    /// Of these: with a change of severity.
    pub retroactive: usize,
    /// Of these: recorded long after they were due.
    pub found_late: usize,
    /// Not counted, by reason.
    pub void: BTreeMap<String, usize>,
    /// Still open at the month's end.
    pub open: usize,
    /// Met of judged, in percent with one decimal; none: nothing was judged.
    pub compliance_percent: Option<f64>,
    /// The share aimed at, for a soft target.
    pub objective: Option<f64>,
    /// Counted time.
    pub counted: Spread,
    /// Time on the wall.
    pub wall: Spread,
    /// The longest lateness, seconds.
    pub longest_late: i64,
}

/// A day of the month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DaySum {
    /// The date.
    pub date: String,
    /// Tickets reported.
    pub opened: usize,
    /// Tickets that ended.
    pub closed: usize,
}

/// Judged clocks that used a share of their target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UsedSum {
    /// Above this share, in percent.
    pub above: u16,
    /// Up to this one; none: without end.
    pub up_to: Option<u16>,
    /// How many.
    pub clocks: usize,
}

/// Updates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct UpdateSum {
    /// Judged intervals.
    pub periods: usize,
    /// In time.
    pub on_time: usize,
    /// Late.
    pub late: usize,
    /// The longest interval, seconds.
    pub longest_gap: i64,
    /// Promised ones among them.
    pub promises_made: usize,
    /// Promised and in time.
    pub promises_kept: usize,
}

/// How many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VolumeSum {
    /// Reported in the month, by category.
    pub opened: BTreeMap<String, usize>,
    /// Ended in the month, by category.
    pub closed: BTreeMap<String, usize>,
    /// Open at its end, by category.
    pub carried_over: BTreeMap<String, usize>,
    /// How old they became or are, by category: what provisioning is measured by, as it has no clock.
    pub age: BTreeMap<String, Spread>,
    /// Alerts.
    pub alerts: AlertCounts,
    /// Ended as false alarms.
    pub false_alarms: usize,
    /// Reopenings.
    pub reopened: usize,
    /// Duplicates merged in.
    pub merged: usize,
    /// Ended worse than they began.
    pub raised: usize,
    /// Ended better than they began.
    pub lowered: usize,
}

/// Waiting for the customer.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct WaitSum {
    /// Seconds that did not count.
    pub excluded_seconds: i64,
    /// Of the wall time of the restore clocks that were judged, in percent.
    pub share_of_restore_percent: Option<f64>,
    /// Waits without a question.
    pub without_question: usize,
    /// The longest ones.
    pub longest: Vec<WaitRow>,
}

/// Steps of escalation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EscalationSum {
    /// To this level.
    pub level: u8,
    /// `impact`, `slow` or `expectations`.
    pub reason: String,
    /// How often.
    pub count: usize,
}

/// `part` of `whole` in percent with one decimal.
fn percent(part: i64, whole: i64) -> Option<f64> {
    if whole <= 0 {
        return None;
    }
    let tenths = (part * 2000 + whole) / (whole * 2);
    i32::try_from(tenths)
        .ok()
        .map(|tenths| f64::from(tenths) / 10.0)
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn targets(tickets: &[TicketRow]) -> Vec<TargetSum> {
    // Severities from the worst, none last; targets in the order of a case's life.
    let mut groups: BTreeMap<(u8, usize), Vec<&TargetRow>> = BTreeMap::new();
    for row in tickets.iter().flat_map(|ticket| &ticket.targets) {
        let order = crate::sla::TargetName::ALL
            .iter()
            .position(|target| target.word() == row.target)
            .unwrap_or(usize::MAX);
        let key = (row.severity.unwrap_or(u8::MAX), order);
        groups.entry(key).or_default().push(row);
    }
    groups.into_values().filter_map(|rows| sum(&rows)).collect()
}

fn sum(rows: &[&TargetRow]) -> Option<TargetSum> {
    let first = rows.first()?;
    let judged: Vec<&&TargetRow> = rows.iter().filter(|row| row.judged()).collect();
    let met = judged.iter().filter(|row| row.verdict == "met").count();
    let mut void: BTreeMap<String, usize> = BTreeMap::new();
    for reason in rows.iter().filter_map(|row| row.reason.clone()) {
        *void.entry(reason).or_default() += 1;
    }
    Some(TargetSum {
        severity: first.severity,
        target: first.target.clone(),
        judged: judged.len(),
        met,
        breached: judged.len() - met,
        retroactive: judged.iter().filter(|row| row.retroactive).count(),
        found_late: judged.iter().filter(|row| row.found_late).count(),
        void,
        open: rows.iter().filter(|row| row.verdict == "open").count(),
        compliance_percent: percent(number(met), number(judged.len())),
        objective: first.objective,
        counted: Spread::of(judged.iter().map(|row| row.counted_seconds)),
        wall: Spread::of(judged.iter().map(|row| row.wall_seconds)),
        longest_late: judged.iter().map(|row| row.late_seconds).max().unwrap_or(0),
    })
}

/// Bounds of the shares, in percent.
const USED_BOUNDS: [u16; 6] = [0, 25, 50, 75, 100, 150];

/// Judged clocks by the share of their target that they used. Clocks whose target has no length
/// (the start of a working day) are left out.
pub(super) fn used(tickets: &[TicketRow]) -> Vec<UsedSum> {
    let mut sums: Vec<UsedSum> = USED_BOUNDS
        .iter()
        .enumerate()
        .map(|(place, above)| UsedSum {
            above: *above,
            up_to: USED_BOUNDS.get(place + 1).copied(),
            clocks: 0,
        })
        .collect();
    let rows = tickets.iter().flat_map(|ticket| &ticket.targets);
    for row in rows.filter(|row| row.judged()) {
        let Some(length) = row.target_seconds.filter(|length| *length > 0) else {
            continue;
        };
        let reached = |sum: &&mut UsedSum| {
            let up_to = sum.up_to.map(i64::from);
            up_to.is_none_or(|share| row.counted_seconds * 100 <= share * length)
        };
        if let Some(sum) = sums.iter_mut().find(reached) {
            sum.clocks += 1;
        }
    }
    sums
}

/// Tickets by the day on which they were reported and ended, in the month's zone.
pub(super) fn days(tickets: &[TicketRow], month: &Month) -> Vec<DaySum> {
    let date = |at: &str| at.get(..10).unwrap_or_default().to_owned();
    let mut days: BTreeMap<String, (usize, usize)> = month
        .dates()
        .map(|date| (date.to_string(), (0, 0)))
        .collect();
    for ticket in tickets {
        if ticket.opened_in_month
            && let Some(day) = days.get_mut(&date(&ticket.reported))
        {
            day.0 += 1;
        }
        if ticket.ended_in_month
            && let Some(day) = ticket
                .ended
                .as_deref()
                .and_then(|at| days.get_mut(&date(at)))
        {
            day.1 += 1;
        }
    }
    let day = |(date, (opened, closed))| DaySum {
        date,
        opened,
        closed,
    };
    days.into_iter().map(day).collect()
}

pub(super) fn updates(tickets: &[TicketRow]) -> UpdateSum {
    let mut sum = UpdateSum::default();
    for row in tickets.iter().flat_map(|ticket| &ticket.updates) {
        sum.periods += 1;
        sum.on_time += usize::from(!row.late);
        sum.late += usize::from(row.late);
        sum.longest_gap = sum.longest_gap.max(row.seconds);
        sum.promises_made += usize::from(row.promised);
        sum.promises_kept += usize::from(row.promised && !row.late);
    }
    sum
}

pub(super) fn volume(tickets: &[TicketRow], alerts: AlertCounts) -> VolumeSum {
    let mut sum = VolumeSum {
        alerts,
        ..VolumeSum::default()
    };
    let mut ages: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for ticket in tickets {
        for (is_so, counts) in [
            (ticket.opened_in_month, &mut sum.opened),
            (ticket.ended_in_month, &mut sum.closed),
            (ticket.carried_over, &mut sum.carried_over),
        ] {
            if is_so {
                *counts.entry(ticket.category.clone()).or_default() += 1;
            }
        }
        let category = ticket.category.clone();
        ages.entry(category).or_default().push(ticket.age_seconds);
        sum.reopened += ticket.reopened;
        sum.merged += ticket.merged;
        if !ticket.ended_in_month {
            continue;
        }
        let false_alarm = ticket.outcome.as_deref() == Some("false_alarm");
        sum.false_alarms += usize::from(false_alarm);
        if let (Some(first), Some(last)) = (ticket.first_severity, ticket.final_severity) {
            sum.raised += usize::from(last < first);
            sum.lowered += usize::from(last > first);
        }
    }
    let spread = |(category, ages)| (category, Spread::of(ages));
    sum.age = ages.into_iter().map(spread).collect();
    sum
}

pub(super) fn waits(tickets: &[TicketRow]) -> WaitSum {
    let excluded_seconds = tickets.iter().map(|ticket| ticket.wait_seconds).sum();
    let restore: i64 = tickets
        .iter()
        .flat_map(|ticket| &ticket.targets)
        .filter(|row| row.target == "restore" && row.judged())
        .map(|row| row.wall_seconds)
        .sum();
    let mut all: Vec<&WaitRow> = tickets.iter().flat_map(|ticket| &ticket.waits).collect();
    all.sort_by(|a, b| b.seconds.cmp(&a.seconds).then_with(|| a.id.cmp(&b.id)));
    WaitSum {
        excluded_seconds,
        share_of_restore_percent: percent(excluded_seconds, restore),
        without_question: all.iter().filter(|wait| !wait.asked).count(),
        longest: all.into_iter().take(LONGEST_WAITS).cloned().collect(),
    }
}

pub(super) fn escalations(tickets: &[TicketRow]) -> Vec<EscalationSum> {
    let mut counts: BTreeMap<(u8, String), usize> = BTreeMap::new();
    for rise in tickets.iter().flat_map(|ticket| &ticket.escalations) {
        *counts.entry((rise.level, rise.reason.clone())).or_default() += 1;
    }
    counts
        .into_iter()
        .map(|((level, reason), count)| EscalationSum {
            level,
            reason,
            count,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreads_are_values_that_occurred_and_percents_are_rounded() {
        let spread = Spread::of([10, 20, 30, 40, 50, 60, 70, 80, 90, 100]);
        assert_eq!((spread.p50, spread.p90, spread.max), (50, 90, 100));
        assert_eq!(
            Spread::of([7]),
            Spread {
                p50: 7,
                p90: 7,
                max: 7
            }
        );
        assert_eq!(Spread::of([]), Spread::default());
        assert_eq!(percent(2, 3), Some(66.7));
        assert_eq!(percent(1, 0), None);
    }
}
