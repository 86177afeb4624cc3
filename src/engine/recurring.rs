//! Maintenance windows that come again, like "the first Sunday of the month at 02:00 in Berlin".
//! The zone's rules come from the database that the configuration was read with; nothing here
//! reads a clock. A local time that a clock change skips is taken as the same length after
//! midnight; one that comes twice is taken once, the first.

use crate::model::Time;
use crate::rules::Matcher;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, ToSpan};
use serde::Deserialize;
use std::time::Duration;

/// Longest recurring window.
const LASTS_MAX: Duration = Duration::from_secs(7 * 24 * 3600);

/// `[[maintenance]]` as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecurringConfig {
    /// Its name, shown in explanations.
    pub name: String,
    /// Why; shown in tickets.
    pub reason: String,
    /// Conditions, of which all must hold.
    #[serde(rename = "match")]
    pub matchers: Vec<String>,
    /// Weekdays like `sunday`; empty: every day.
    pub days: Vec<String>,
    /// Which of these weekdays in a month, 1 to 5; empty: all.
    pub weeks: Vec<u8>,
    /// Local time of its start, like `02:00`.
    pub at: String,
    /// How long it lasts, like `2h`.
    #[serde(rename = "for")]
    pub lasts: String,
    /// IANA name of the zone, like `Europe/Berlin`; empty: UTC.
    pub zone: String,
    /// Whether customers are told of it.
    pub tell: bool,
}

impl Default for RecurringConfig {
    fn default() -> RecurringConfig {
        RecurringConfig {
            name: String::new(),
            reason: String::new(),
            matchers: Vec::new(),
            days: Vec::new(),
            weeks: Vec::new(),
            at: String::new(),
            lasts: String::new(),
            zone: String::new(),
            tell: true,
        }
    }
}

/// A recurring window, checked.
#[derive(Clone, Debug)]
pub struct RecurringWindow {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: String,
    /// Conditions, of which all must hold.
    pub matchers: Vec<String>,
    /// Whether customers are told of it.
    pub tell: bool,
    days: Vec<Weekday>,
    weeks: Vec<u8>,
    at: jiff::civil::Time,
    lasts: Duration,
    zone: TimeZone,
}

impl RecurringWindow {
    /// Checks a window; the error names it and the key.
    pub fn compile(config: RecurringConfig) -> Result<RecurringWindow, String> {
        let place = format!("maintenance `{}`", config.name);
        let wrong = |key: &str, what: String| format!("{place}: {key}: {what}");
        if config.matchers.is_empty() {
            return Err(wrong("match", "at least one matcher is needed".to_owned()));
        }
        for text in &config.matchers {
            Matcher::parse(text).map_err(|error| wrong("match", error))?;
        }
        let mut days = Vec::new();
        for day in &config.days {
            days.push(weekday(day).ok_or_else(|| {
                wrong(
                    "days",
                    format!("`{day}` is no weekday; expected like `sunday`"),
                )
            })?);
        }
        if let Some(week) = config.weeks.iter().find(|w| !(1..=5).contains(*w)) {
            return Err(wrong("weeks", format!("{week} is not one of 1 to 5")));
        }
        let at = config.at.parse().map_err(|_| {
            wrong(
                "at",
                format!("`{}` is no time; expected like `02:00`", config.at),
            )
        })?;
        let lasts = crate::model::time::duration::parse(&config.lasts);
        let lasts = lasts.map_err(|error| wrong("for", error))?;
        if lasts.is_zero() || lasts > LASTS_MAX {
            return Err(wrong(
                "for",
                "must be longer than nothing and at most 168h".to_owned(),
            ));
        }
        let zone = if config.zone.is_empty() {
            TimeZone::UTC
        } else {
            TimeZone::get(&config.zone).map_err(|_| {
                wrong(
                    "zone",
                    format!("`{}` is no IANA zone like `Europe/Berlin`", config.zone),
                )
            })?
        };
        Ok(RecurringWindow {
            name: config.name,
            reason: config.reason,
            matchers: config.matchers,
            tell: config.tell,
            days,
            weeks: config.weeks,
            at,
            lasts,
            zone,
        })
    }

    /// Whether this is one of its occurrences.
    pub fn has(&self, from: Time, until: Time) -> bool {
        let date = self.zone.to_datetime(from.timestamp()).date();
        self.on(date) == Some((from, until))
    }

    /// The occurrence in force at an instant: its start and end.
    pub fn in_force(&self, now: Time) -> Option<(Time, Time)> {
        let today = self.zone.to_datetime(now.timestamp()).date();
        let back = self.lasts.as_secs() / (24 * 3600) + 1;
        (0..=i64::try_from(back).unwrap_or(8))
            .filter_map(|days| today.checked_sub(Span::new().days(days)).ok())
            .filter_map(|date| self.on(date))
            .find(|(from, until)| *from <= now && now < *until)
    }

    /// The next occurrence that begins at or after an instant, within about a year.
    pub fn next_after(&self, now: Time) -> Option<(Time, Time)> {
        let today = self.zone.to_datetime(now.timestamp()).date();
        (0..=370)
            .filter_map(|days: i64| today.checked_add(days.days()).ok())
            .filter_map(|date| self.on(date))
            .find(|(from, _)| *from >= now)
    }

    /// Occurrences that end after `now` and begin at or before `until`, in order.
    pub fn between(&self, now: Time, until: Time) -> Vec<(Time, Time)> {
        let today = self.zone.to_datetime(now.timestamp()).date();
        let days = |length: Duration| i64::try_from(length.as_secs() / (24 * 3600)).unwrap_or(0);
        let (back, ahead) = (days(self.lasts) + 1, days(until.since(now)) + 2);
        (-back..=ahead)
            .filter_map(|days| today.checked_add(Span::new().days(days)).ok())
            .filter_map(|date| self.on(date))
            .filter(|(from, ends)| now < *ends && *from <= until)
            .collect()
    }

    fn on(&self, date: Date) -> Option<(Time, Time)> {
        let week = u8::try_from((date.day() - 1) / 7 + 1).unwrap_or(1);
        let wanted = (self.days.is_empty() || self.days.contains(&date.weekday()))
            && (self.weeks.is_empty() || self.weeks.contains(&week));
        if !wanted {
            return None;
        }
        let begins = self.zone.to_ambiguous_timestamp(date.to_datetime(self.at));
        let from = Time::from_timestamp(begins.compatible().ok()?);
        Some((from, from.plus(self.lasts)))
    }
}

fn weekday(text: &str) -> Option<Weekday> {
    let text = text.to_lowercase();
    [
        ("monday", Weekday::Monday),
        ("tuesday", Weekday::Tuesday),
        ("wednesday", Weekday::Wednesday),
        ("thursday", Weekday::Thursday),
        ("friday", Weekday::Friday),
        ("saturday", Weekday::Saturday),
        ("sunday", Weekday::Sunday),
    ]
    .into_iter()
    .find(|(name, _)| *name == text || (text.len() >= 3 && name.starts_with(&text)))
    .map(|(_, day)| day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(days: &[&str], weeks: &[u8], at: &str, lasts: &str) -> RecurringWindow {
        RecurringWindow::compile(RecurringConfig {
            name: "w".into(),
            matchers: vec!["host=core-1".into()],
            days: days.iter().map(ToString::to_string).collect(),
            weeks: weeks.to_vec(),
            at: at.into(),
            lasts: lasts.into(),
            zone: "Europe/Berlin".into(),
            ..RecurringConfig::default()
        })
        .unwrap()
    }

    fn time(text: &str) -> Time {
        Time::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn the_zone_moves_with_summer_time() {
        let window = window(&["sun"], &[], "04:00", "2h");
        // 1 March 2026 is winter (+01:00), 5 April is summer (+02:00).
        assert!(window.in_force(time("2026-03-01T03:00:00Z")).is_some());
        assert!(window.in_force(time("2026-03-01T02:59:00Z")).is_none());
        assert!(window.in_force(time("2026-04-05T02:00:00Z")).is_some());
        assert!(window.in_force(time("2026-04-05T04:00:00Z")).is_none());
    }

    #[test]
    fn a_skipped_local_time_still_gives_a_window() {
        // 02:30 does not exist on 29 March 2026 in Berlin.
        let window = window(&["sunday"], &[], "02:30", "1h");
        assert!(window.in_force(time("2026-03-29T01:45:00Z")).is_some());
    }

    #[test]
    fn windows_over_midnight_and_weeks_of_a_month() {
        let late = window(&["monday"], &[], "23:00", "3h");
        // Tuesday 01:30 in Berlin belongs to Monday's window.
        assert!(late.in_force(time("2026-03-03T00:30:00Z")).is_some());
        let first = window(&["sunday"], &[1], "02:00", "1h");
        assert!(first.in_force(time("2026-03-01T01:30:00Z")).is_some());
        assert!(first.in_force(time("2026-03-08T01:30:00Z")).is_none());
        let next = first.next_after(time("2026-03-08T01:30:00Z")).unwrap();
        assert_eq!(next.0, time("2026-04-05T00:00:00Z"));
    }

    #[test]
    fn occurrences_of_a_time_are_those_that_touch_it() {
        let nightly = window(&[], &[], "23:00", "3h");
        // Berlin is an hour ahead: 22:00 to 01:00 of UTC.
        let spans = nightly.between(time("2026-03-03T00:30:00Z"), time("2026-03-04T22:00:00Z"));
        let begins: Vec<String> = spans.iter().map(|(from, _)| from.to_string()).collect();
        assert_eq!(
            begins,
            [
                "2026-03-02T22:00:00Z",
                "2026-03-03T22:00:00Z",
                "2026-03-04T22:00:00Z"
            ]
        );
        let over = nightly.between(time("2026-03-03T01:00:00Z"), time("2026-03-03T21:59:59Z"));
        assert_eq!(over, [], "one is over, the next is later");
    }

    #[test]
    fn problems_name_window_and_key() {
        let wrong = |change: fn(&mut RecurringConfig)| {
            let mut config = RecurringConfig {
                name: "w".into(),
                matchers: vec!["host=a".into()],
                at: "02:00".into(),
                lasts: "1h".into(),
                ..RecurringConfig::default()
            };
            change(&mut config);
            RecurringWindow::compile(config).unwrap_err()
        };
        assert_eq!(
            wrong(|c| c.zone = "Mars/Olympus".into()),
            "maintenance `w`: zone: `Mars/Olympus` is no IANA zone like `Europe/Berlin`"
        );
        assert!(wrong(|c| c.at = "noon".into()).contains("at: `noon` is no time"));
        assert!(wrong(|c| c.days = vec!["noday".into()]).contains("days: `noday`"));
        assert!(wrong(|c| c.matchers.clear()).contains("match: at least one"));
    }
}
