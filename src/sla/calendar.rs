//! When time counts. A calendar means a set of instants; due and elapsed are sums over it.
//!
//! *counted(t)* are the seconds in [start, t) that are open and in no pause; *due* is the earliest
//! t with counted(t) >= target. The walk goes over dates, never over minutes.

use super::week::{Refusal, Week, WeekText};
use jiff::civil::Date;
use jiff::tz::TimeZoneDatabase;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How far a due instant is looked for, seconds: 20 years.
const HORIZON: i64 = 20 * 366 * 86_400;
/// The walk's first step, seconds; it grows as it goes on.
const STEP_MIN: i64 = 4 * 86_400;
/// Its longest step.
const STEP_MAX: i64 = 64 * 86_400;

/// A pause: from, and until when if it is over.
pub type Pause = (i64, Option<i64>);

/// A calendar never opens within the horizon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no business time within 20 years")]
pub struct NoBusinessTime;

/// A calendar as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CalendarText {
    /// Everything.
    Always,
    /// A weekly table.
    Week(WeekText),
    /// Open when one of these is.
    Union(Vec<String>),
}

/// A named set of open instants.
#[derive(Clone, Debug)]
pub enum Calendar {
    /// Everything.
    Always,
    /// A weekly table in a zone.
    Week(Box<Week>),
    /// Open when one of these is.
    Union(Vec<Arc<Calendar>>),
}

/// Reads calendars that may name each other; all refusals at once.
pub fn read_all(
    texts: &BTreeMap<String, CalendarText>,
    zones: &TimeZoneDatabase,
) -> Result<BTreeMap<String, Arc<Calendar>>, Vec<Refusal>> {
    let mut read = BTreeMap::from([("always".to_owned(), Arc::new(Calendar::Always))]);
    let mut refused = Vec::new();
    for (name, text) in texts {
        match text {
            CalendarText::Always => {
                read.insert(name.clone(), Arc::new(Calendar::Always));
            }
            CalendarText::Week(text) => match Week::read(name, text, zones) {
                Ok(week) => {
                    let week = Calendar::Week(Box::new(week));
                    read.insert(name.clone(), Arc::new(week));
                }
                Err(found) => refused.extend(found),
            },
            CalendarText::Union(_) => {}
        }
    }
    // Unions of unions: as many rounds as there are calendars are enough.
    for _ in 0..=texts.len() {
        for (name, text) in texts {
            let CalendarText::Union(members) = text else {
                continue;
            };
            let found: Option<Vec<_>> = members.iter().map(|m| read.get(m).cloned()).collect();
            if let Some(found) = found.filter(|found| !found.is_empty()) {
                read.entry(name.clone())
                    .or_insert_with(|| Arc::new(Calendar::Union(found)));
            }
        }
    }
    for (name, text) in texts {
        if let CalendarText::Union(members) = text
            && !read.contains_key(name)
            && members
                .iter()
                .all(|m| read.contains_key(m) || m == name || !texts.contains_key(m))
        {
            refused.push(Refusal {
                code: "unknown_calendar",
                place: name.clone(),
                what: format!(
                    "union of {}: each must be a calendar, and not this one",
                    members.join(", ")
                ),
            });
        }
    }
    let lost = texts.keys().any(|name| !read.contains_key(name));
    match (refused.is_empty(), lost) {
        (true, false) => Ok(read),
        (true, true) => Err(vec![Refusal {
            code: "unknown_calendar",
            place: "calendars".to_owned(),
            what: "unions that contain each other".to_owned(),
        }]),
        _ => Err(refused),
    }
}

impl Calendar {
    /// Open instants in [from, to), in order, not touching.
    pub fn open_between(&self, from: i64, to: i64) -> Vec<(i64, i64)> {
        if from >= to {
            return Vec::new();
        }
        let mut open = Vec::new();
        match self {
            Calendar::Always => open.push((from, to)),
            Calendar::Week(week) => open = week.open_between(from, to),
            Calendar::Union(members) => {
                open.extend(members.iter().flat_map(|m| m.open_between(from, to)));
            }
        }
        merged(open)
    }

    /// The earliest instant at which the counted time from `start` reaches `target` seconds;
    /// `None` while a pause that has not ended keeps it from being reached.
    pub fn due(
        &self,
        start: i64,
        target: i64,
        pauses: &[Pause],
    ) -> Result<Option<i64>, NoBusinessTime> {
        if target <= 0 {
            return Ok(Some(start));
        }
        if matches!(self, Calendar::Always) {
            return Ok(due_always(start, target, pauses));
        }
        let endless = pauses
            .iter()
            .filter(|(_, to)| to.is_none())
            .map(|(from, _)| *from)
            .min();
        let pauses = ended(pauses);
        let mut left = target;
        let (mut from, mut step) = (start, STEP_MIN);
        let last = start.saturating_add(HORIZON);
        while from < last {
            let to = from.saturating_add(step).min(last);
            let to = endless.map_or(to, |endless| to.min(endless));
            for (a, b) in without(&self.open_between(from, to), &pauses) {
                if b - a >= left {
                    return Ok(Some(a + left));
                }
                left -= b - a;
            }
            if endless.is_some_and(|endless| to >= endless) {
                return Ok(None);
            }
            from = to;
            step = (step * 2).min(STEP_MAX);
        }
        Err(NoBusinessTime)
    }

    /// Counted seconds in [start, end).
    pub fn elapsed(&self, start: i64, end: i64, pauses: &[Pause]) -> i64 {
        if pauses.is_empty() && matches!(self, Calendar::Always) {
            return (end - start).max(0);
        }
        let pauses: Vec<(i64, i64)> = merged(
            pauses
                .iter()
                .map(|(from, to)| (*from, to.unwrap_or(i64::MAX)))
                .filter(|(from, to)| from < to)
                .collect(),
        );
        without(&self.open_between(start, end), &pauses)
            .iter()
            .map(|(a, b)| b - a)
            .sum()
    }

    /// The first open instant at or after `start`.
    pub fn next_open(&self, start: i64) -> Result<i64, NoBusinessTime> {
        let (mut from, mut step) = (start, STEP_MIN);
        let last = start.saturating_add(HORIZON);
        while from < last {
            let to = from.saturating_add(step).min(last);
            if let Some((a, _)) = self.open_between(from, to).first() {
                return Ok(*a);
            }
            from = to;
            step = (step * 2).min(STEP_MAX);
        }
        Err(NoBusinessTime)
    }

    /// Whether an instant is open.
    pub fn is_open(&self, at: i64) -> bool {
        !self.open_between(at, at.saturating_add(1)).is_empty()
    }

    /// The first instant strictly after `start` at which a working date's clock reads `wall`
    /// seconds. With `same_day` the date of the start counts as well.
    pub fn next_business_day_start(
        &self,
        start: i64,
        wall: u32,
        same_day: bool,
    ) -> Result<i64, NoBusinessTime> {
        match self {
            Calendar::Always => {
                let midnight = start.div_euclid(86_400) * 86_400;
                let today = midnight + i64::from(wall);
                let good = same_day && today > start;
                Ok(if good { today } else { today + 86_400 })
            }
            Calendar::Week(week) => {
                let mut date = week.date_of(start);
                if !same_day {
                    date = date.tomorrow().map_err(|_| NoBusinessTime)?;
                }
                for _ in 0..(HORIZON / 86_400) {
                    let at = week.instant(date, wall);
                    if at > start && !week.wall(date).is_empty() {
                        return Ok(at);
                    }
                    date = date.tomorrow().map_err(|_| NoBusinessTime)?;
                }
                Err(NoBusinessTime)
            }
            Calendar::Union(members) => members
                .iter()
                .filter_map(|m| m.next_business_day_start(start, wall, same_day).ok())
                .min()
                .ok_or(NoBusinessTime),
        }
    }

    /// The same clocks on the wall, open around the clock on every day.
    #[must_use]
    pub fn every_day(&self) -> Calendar {
        match self {
            Calendar::Always => Calendar::Always,
            Calendar::Week(week) => Calendar::Week(Box::new(week.every_day())),
            Calendar::Union(members) => {
                let members = members.iter();
                Calendar::Union(members.map(|m| Arc::new(m.every_day())).collect())
            }
        }
    }

    /// Dates in [from, until) that a holiday or an override closes, in it or in a member.
    pub fn closed_between(&self, from: Date, until: Date) -> Vec<Date> {
        let mut closed = match self {
            Calendar::Always => Vec::new(),
            Calendar::Week(week) => week.closed_between(from, until),
            Calendar::Union(members) => members
                .iter()
                .flat_map(|member| member.closed_between(from, until))
                .collect(),
        };
        closed.sort_unstable();
        closed.dedup();
        closed
    }

    /// The last dated holiday of it or its members, in seconds.
    pub fn last_holiday(&self) -> Option<i64> {
        match self {
            Calendar::Always => None,
            Calendar::Week(week) => week.last_holiday().map(|date| week.instant(date, 0)),
            Calendar::Union(members) => members.iter().filter_map(|m| m.last_holiday()).min(),
        }
    }
}

/// The due instant where every second counts: most clocks, so without walking.
fn due_always(start: i64, target: i64, pauses: &[Pause]) -> Option<i64> {
    let mut due = start.saturating_add(target);
    if pauses.is_empty() {
        return Some(due);
    }
    let mut pauses: Vec<(i64, i64)> = pauses
        .iter()
        .map(|(from, to)| ((*from).max(start), to.unwrap_or(i64::MAX)))
        .filter(|(from, to)| from < to)
        .collect();
    pauses = merged(pauses);
    for (from, to) in pauses {
        // One that begins at the due instant comes too late to move it.
        if from >= due {
            break;
        }
        if to == i64::MAX {
            return None;
        }
        due = due.saturating_add(to - from);
    }
    Some(due)
}

/// Sorted, overlapping and touching ones joined.
fn merged(mut intervals: Vec<(i64, i64)>) -> Vec<(i64, i64)> {
    intervals.sort_unstable();
    let mut out: Vec<(i64, i64)> = Vec::with_capacity(intervals.len());
    for (a, b) in intervals {
        match out.last_mut() {
            Some((_, end)) if a <= *end => *end = (*end).max(b),
            _ => out.push((a, b)),
        }
    }
    out
}

fn ended(pauses: &[Pause]) -> Vec<(i64, i64)> {
    merged(
        pauses
            .iter()
            .filter_map(|(from, to)| Some((*from, (*to)?)))
            .filter(|(from, to)| from < to)
            .collect(),
    )
}

/// Open intervals without the pauses; both in order.
fn without(open: &[(i64, i64)], pauses: &[(i64, i64)]) -> Vec<(i64, i64)> {
    let mut out = Vec::with_capacity(open.len());
    let mut pauses = pauses.iter().peekable();
    for (mut a, b) in open.iter().copied() {
        while let Some((from, to)) = pauses.peek().copied().copied() {
            if to <= a {
                pauses.next();
                continue;
            }
            if from >= b {
                break;
            }
            if from > a {
                out.push((a, from));
            }
            a = a.max(to);
            if a >= b {
                break;
            }
            pauses.next();
        }
        if a < b {
            out.push((a, b));
        }
    }
    out
}
