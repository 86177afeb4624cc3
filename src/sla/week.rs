//! The table of a calendar: weekly intervals, holidays, overrides; and from wall time to instants.
//!
//! One rule settles every clock change: *f(date, wall) is the first instant at which the zone's
//! clock reads that wall time or later*. Nothing else in the program turns wall time into instants.

use jiff::ToSpan;
use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

/// Seconds of a day of 24 hours.
const DAY: u32 = 86_400;

/// Why a calendar is refused. The words are the codes of the documentation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {place}: {what}")]
pub struct Refusal {
    /// The code.
    pub code: &'static str,
    /// Calendar and day.
    pub place: String,
    /// What is wrong and what was expected.
    pub what: String,
}

fn refusal(code: &'static str, place: &str, what: impl Into<String>) -> Refusal {
    Refusal {
        code,
        place: place.to_owned(),
        what: what.into(),
    }
}

/// A calendar as written: `tz`, `week`, `holidays`, `overrides`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WeekText {
    /// IANA zone name.
    pub tz: String,
    /// Intervals by day (`mon` to `sun`).
    pub week: BTreeMap<String, Vec<(String, String)>>,
    /// `YYYY-MM-DD` once, `MM-DD` every year.
    pub holidays: Vec<String>,
    /// Intervals of single dates; an empty list closes the date.
    pub overrides: BTreeMap<String, Vec<(String, String)>>,
}

/// The table.
#[derive(Clone, Debug)]
pub struct Week {
    zone: TimeZone,
    /// Intervals by weekday from Monday, ends beyond [`DAY`] for nights.
    days: [Vec<(u32, u32)>; 7],
    yearly: BTreeSet<(i8, i8)>,
    dated: BTreeSet<Date>,
    overrides: BTreeMap<Date, Vec<(u32, u32)>>,
    /// Open instants by year from [`YEAR_FIRST`], made when a year is first asked for: what is written
    /// here never changes, and a zone's rules cost more than everything else of a clock.
    years: Vec<OnceLock<Vec<(i64, i64)>>>,
}

/// Years whose open instants are kept once they were asked for; others are made each time.
const YEAR_FIRST: i16 = 2000;
const YEARS: usize = 100;

impl Week {
    /// Reads a table; all refusals at once.
    pub fn read(
        name: &str,
        text: &WeekText,
        zones: &TimeZoneDatabase,
    ) -> Result<Week, Vec<Refusal>> {
        let mut refused = Vec::new();
        let zone = match zones.get(&text.tz) {
            Ok(zone) if !text.tz.is_empty() => zone,
            _ => {
                let what = format!("`{}` is not in the zone database", text.tz);
                refused.push(refusal("unknown_tz", name, what));
                TimeZone::UTC
            }
        };
        let mut week = Week {
            zone,
            days: Default::default(),
            yearly: BTreeSet::new(),
            dated: BTreeSet::new(),
            overrides: BTreeMap::new(),
            years: vec![OnceLock::new(); YEARS],
        };
        for (day, intervals) in &text.week {
            let place = format!("calendar {name}, {day}");
            let Some(index) = DAYS.iter().position(|known| known == day) else {
                refused.push(refusal("bad_day", &place, "expected mon to sun"));
                continue;
            };
            let read = read_intervals(&place, intervals, true, &mut refused);
            if let Some(slot) = week.days.get_mut(index) {
                *slot = read;
            }
        }
        for holiday in &text.holidays {
            week.read_holiday(name, holiday, &mut refused);
        }
        for (date, intervals) in &text.overrides {
            let place = format!("calendar {name}, {date}");
            match date.parse::<Date>() {
                Ok(day) if is_dated(date) => {
                    let read = read_intervals(&place, intervals, false, &mut refused);
                    check_overlap(&place, &read, &mut refused);
                    week.overrides.insert(day, read);
                }
                _ => refused.push(refusal(
                    "bad_date",
                    &place,
                    "expected YYYY-MM-DD that exists",
                )),
            }
        }
        for (index, day) in DAYS.iter().enumerate() {
            let place = format!("calendar {name}, {day}");
            check_overlap(&place, &week.weekly(index), &mut refused);
        }
        let open = week.days.iter().any(|day| !day.is_empty())
            || week.overrides.values().any(|day| !day.is_empty());
        if refused.is_empty() && !open {
            let what = "it never opens; give it at least one interval";
            refused.push(refusal("no_open_time", name, what));
        }
        if refused.is_empty() {
            Ok(week)
        } else {
            Err(refused)
        }
    }

    fn read_holiday(&mut self, name: &str, text: &str, refused: &mut Vec<Refusal>) {
        let place = format!("calendar {name}, holiday {text}");
        let bad = || {
            refusal(
                "bad_date",
                &place,
                "expected YYYY-MM-DD or MM-DD that exists",
            )
        };
        if is_dated(text) {
            match text.parse::<Date>() {
                Ok(date) => {
                    self.dated.insert(date);
                }
                Err(_) => refused.push(bad()),
            }
            return;
        }
        // A leap year has every yearly date.
        let yearly = (text.len() == 5)
            .then(|| format!("2000-{text}").parse::<Date>().ok())
            .flatten();
        match yearly {
            Some(date) => {
                self.yearly.insert((date.month(), date.day()));
            }
            None => refused.push(bad()),
        }
    }

    /// Open around the clock on every day, in the same zone.
    pub(super) fn every_day(&self) -> Week {
        Week {
            zone: self.zone.clone(),
            days: std::array::from_fn(|_| vec![(0, DAY)]),
            yearly: BTreeSet::new(),
            dated: BTreeSet::new(),
            overrides: BTreeMap::new(),
            years: vec![OnceLock::new(); YEARS],
        }
    }

    /// The zone.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }

    /// The last dated holiday: lists run out silently.
    pub fn last_holiday(&self) -> Option<Date> {
        self.dated.last().copied()
    }

    /// Dates in [from, until) that a holiday or an override keeps closed although their weekday
    /// is open.
    pub fn closed_between(&self, from: Date, until: Date) -> Vec<Date> {
        let mut closed = Vec::new();
        let mut date = from;
        while date < until {
            let ordinary = self.weekly(index_of(date.weekday()));
            if !ordinary.is_empty() && self.wall(date).is_empty() {
                closed.push(date);
            }
            match date.tomorrow() {
                Ok(next) => date = next,
                Err(_) => break,
            }
        }
        closed
    }

    /// Intervals of a weekday (0: Monday) within its date, with the tail of the night before.
    fn weekly(&self, index: usize) -> Vec<(u32, u32)> {
        let before = (index + 6) % 7;
        let day = |index: usize| self.days.get(index).map_or(&[][..], Vec::as_slice);
        let mut wall: Vec<(u32, u32)> = day(before)
            .iter()
            .filter(|(_, end)| *end > DAY)
            .map(|(_, end)| (0, end - DAY))
            .collect();
        wall.extend(
            day(index)
                .iter()
                .map(|(from, end)| (*from, (*end).min(DAY))),
        );
        wall.sort_unstable();
        wall
    }

    /// Wall intervals of a date.
    pub fn wall(&self, date: Date) -> Vec<(u32, u32)> {
        if let Some(wall) = self.overrides.get(&date) {
            return wall.clone();
        }
        if self.dated.contains(&date) || self.yearly.contains(&(date.month(), date.day())) {
            return Vec::new();
        }
        self.weekly(index_of(date.weekday()))
    }

    /// The first instant at which the zone's clock reads `wall` of `date` or later.
    pub fn instant(&self, date: Date, wall: u32) -> i64 {
        first_instant(&self.zone, date, wall)
    }

    /// The date that the zone's clock shows.
    pub fn date_of(&self, instant: i64) -> Date {
        jiff::Timestamp::from_second(instant)
            .map_or(Date::ZERO, |at| self.zone.to_datetime(at).date())
    }

    /// Open instants in [from, to), in order; they may touch.
    pub fn open_between(&self, from: i64, to: i64) -> Vec<(i64, i64)> {
        // A date may be open past the instant at which another year begins.
        let first = self.date_of(from).yesterday().unwrap_or(Date::MIN).year();
        let last = self.date_of(to).year();
        let mut open = Vec::new();
        for year in first..=last {
            let made;
            let known = match self.kept(year) {
                Some(known) => known,
                None => {
                    made = self.make_year(year);
                    made.as_slice()
                }
            };
            let begins = known.partition_point(|(_, end)| *end <= from);
            let inside = known
                .iter()
                .skip(begins)
                .take_while(|(begin, _)| *begin < to);
            open.extend(inside.map(|(begin, end)| ((*begin).max(from), (*end).min(to))));
        }
        open
    }

    /// Open instants of the dates of a year, if that year is kept.
    fn kept(&self, year: i16) -> Option<&[(i64, i64)]> {
        let place = usize::try_from(year.checked_sub(YEAR_FIRST)?).ok()?;
        let kept = self.years.get(place)?;
        Some(kept.get_or_init(|| self.make_year(year)))
    }

    fn make_year(&self, year: i16) -> Vec<(i64, i64)> {
        let Ok(first) = Date::new(year, 1, 1) else {
            return Vec::new();
        };
        let of_year = |date: &Date| date.year() == year;
        let dates = first.series(1.day()).take_while(of_year);
        dates.flat_map(|date| self.open(date)).collect()
    }

    /// Open instants of a date, in order.
    fn open(&self, date: Date) -> Vec<(i64, i64)> {
        self.wall(date)
            .into_iter()
            .map(|(from, end)| (self.instant(date, from), self.instant(date, end)))
            .filter(|(from, end)| from < end)
            .collect()
    }
}

/// The first instant at which the zone's clock reads `wall` (seconds of the day) of `date` or later.
pub(super) fn first_instant(zone: &TimeZone, date: Date, wall: u32) -> i64 {
    let (date, wall) = if wall >= DAY {
        (date.tomorrow().unwrap_or(date), wall - DAY)
    } else {
        (date, wall)
    };
    let civil = DateTime::from_parts(date, time_of(wall));
    let seconds = |offset: jiff::tz::Offset| {
        offset
            .to_timestamp(civil)
            .map_or(i64::MAX, |instant| instant.as_second())
    };
    match zone.to_ambiguous_timestamp(civil).offset() {
        AmbiguousOffset::Unambiguous { offset } => seconds(offset),
        AmbiguousOffset::Fold { before, .. } => seconds(before),
        AmbiguousOffset::Gap { before, .. } => {
            // Read with the old offset, a skipped time lies after the change.
            let after = seconds(before).saturating_add(1);
            jiff::Timestamp::from_second(after)
                .ok()
                .and_then(|after| zone.preceding(after).next())
                .map_or(after, |change| change.timestamp().as_second())
        }
    }
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

fn index_of(day: Weekday) -> usize {
    usize::try_from(day.to_monday_zero_offset()).unwrap_or(0)
}

fn is_dated(text: &str) -> bool {
    text.len() == 10 && text.bytes().filter(|byte| *byte == b'-').count() == 2
}

fn time_of(wall: u32) -> Time {
    let part = |value: u32| i8::try_from(value).unwrap_or(0);
    Time::new(part(wall / 3600), part(wall / 60 % 60), part(wall % 60), 0)
        .unwrap_or(Time::midnight())
}

/// `HH:MM` or `HH:MM:SS` as seconds of the day.
pub(super) fn read_time(text: &str) -> Option<u32> {
    let parts: Vec<&str> = text.split(':').collect();
    if !(2..=3).contains(&parts.len()) {
        return None;
    }
    let mut numbers = [0u32; 3];
    for (slot, part) in numbers.iter_mut().zip(&parts) {
        if part.len() != 2 || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *slot = part.parse().ok()?;
    }
    let [hours, minutes, seconds] = numbers;
    let total = hours * 3600 + minutes * 60 + seconds;
    (minutes < 60 && seconds < 60 && total <= DAY).then_some(total)
}

fn read_intervals(
    place: &str,
    intervals: &[(String, String)],
    nights: bool,
    refused: &mut Vec<Refusal>,
) -> Vec<(u32, u32)> {
    let mut read = Vec::new();
    for (from, end) in intervals {
        let (Some(start), Some(stop)) = (read_time(from), read_time(end)) else {
            let what = format!("`{from}` to `{end}`: expected HH:MM, at most 24:00");
            refused.push(refusal("bad_time", place, what));
            continue;
        };
        if start == DAY {
            let what = format!("`{from}`: 24:00 is an end, not a start");
            refused.push(refusal("bad_time", place, what));
        } else if start == stop {
            let what = format!("`{from}` to `{end}`: write 00:00 to 24:00 for a whole day");
            refused.push(refusal("empty_interval", place, what));
        } else if stop == 0 {
            read.push((start, DAY));
        } else if stop > start {
            read.push((start, stop));
        } else if nights {
            read.push((start, stop + DAY));
        } else {
            let what = format!("`{from}` to `{end}`: write two overrides");
            refused.push(refusal("override_crosses_midnight", place, what));
        }
    }
    read.sort_unstable();
    read
}

fn check_overlap(place: &str, wall: &[(u32, u32)], refused: &mut Vec<Refusal>) {
    let mut sorted = wall.to_vec();
    sorted.sort_unstable();
    for pair in sorted.windows(2) {
        if let [(_, end), (from, _)] = pair
            && from < end
        {
            let what = "two intervals overlap, the night before included; touching is fine";
            refused.push(refusal("overlap", place, what));
            return;
        }
    }
}
