//! Holidays out of iCalendar files, as authorities publish them. Only whole-day events close a date;
//! what has a time of day or was cancelled is listed and does nothing. Recurring ones are expanded
//! for the years asked for, so that no open end can make the list endless.

use calcard::common::PartialDateTime;
use calcard::common::timezone::Tz;
use calcard::icalendar::{
    ICalendar, ICalendarComponent, ICalendarComponentType, ICalendarProperty, ICalendarStatus,
};
use calcard::{Entry, Parser};
use jiff::ToSpan;
use jiff::civil::Date;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use crate::limits::{HOLIDAY_DATES_MAX, HOLIDAY_EVENT_DAYS_MAX, HOLIDAY_NAME_BYTES_MAX};
use crate::model::text::{bounded, one_line};

/// Why a file gives no holidays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HolidayError {
    /// It is something else.
    #[error("no iCalendar file: expected a line `BEGIN:VCALENDAR`")]
    NotACalendar,
    /// It stops in the middle.
    #[error("the file stops before its `END:VCALENDAR`; fetch it again")]
    Cut,
    /// Whole-day events are missing.
    #[error("no whole-day event in {years}; expected `DTSTART;VALUE=DATE:...`")]
    Empty {
        /// The years looked at.
        years: String,
    },
    /// More than a list of holidays can have.
    #[error("more than {HOLIDAY_DATES_MAX} dates; a list of holidays was expected")]
    TooMany,
}

/// Dates that are closed, and what else was in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holidays {
    /// Each date with the name of its holiday.
    pub dates: BTreeMap<Date, String>,
    /// Events that close nothing, with the reason.
    pub ignored: Vec<String>,
}

/// Reads the text of an `.ics` file; recurring holidays are expanded within `years`.
pub fn read(text: &str, years: RangeInclusive<i16>) -> Result<Holidays, HolidayError> {
    let mut parser = Parser::new(text);
    let mut calendars: Vec<ICalendar> = Vec::new();
    loop {
        match parser.entry() {
            Entry::ICalendar(calendar) => calendars.push(calendar),
            Entry::UnterminatedComponent(_) => return Err(HolidayError::Cut),
            Entry::Eof => break,
            _ => {}
        }
    }
    if calendars.is_empty() {
        return Err(HolidayError::NotACalendar);
    }
    // The parser is content with half a file; half a list of holidays is a wrong one.
    let last = text.trim_end().lines().next_back().unwrap_or_default();
    if !last.trim().eq_ignore_ascii_case("END:VCALENDAR") {
        return Err(HolidayError::Cut);
    }
    let mut found = Holidays::default();
    for component in calendars.iter().flat_map(|calendar| &calendar.components) {
        if component.component_type == ICalendarComponentType::VEvent {
            found.take(component, &years)?;
        }
    }
    if found.dates.is_empty() {
        let years = format!("{} to {}", years.start(), years.end());
        return Err(HolidayError::Empty { years });
    }
    Ok(found)
}

impl Holidays {
    fn take(
        &mut self,
        event: &ICalendarComponent,
        years: &RangeInclusive<i16>,
    ) -> Result<(), HolidayError> {
        let name = event
            .property(&ICalendarProperty::Summary)
            .and_then(|entry| entry.values.first()?.as_text())
            .map_or_else(|| "without a name".to_owned(), one_line);
        let name = bounded(&name, HOLIDAY_NAME_BYTES_MAX);
        let cancelled = event.status() == Some(&ICalendarStatus::Cancelled);
        let date = |property| date_of(event, property);
        let Some(first) = date(&ICalendarProperty::Dtstart).filter(|_| !cancelled) else {
            let why = if cancelled {
                "cancelled"
            } else {
                "not a whole day"
            };
            self.ignored.push(format!("{name}: {why}"));
            return Ok(());
        };
        let days = match date(&ICalendarProperty::Dtend) {
            Some(end) => i64::from(first.until(end).map_or(1, |span| span.get_days())),
            None => 1,
        };
        if !(1..=HOLIDAY_EVENT_DAYS_MAX).contains(&days) {
            self.ignored.push(format!("{name}: {days} days long"));
            return Ok(());
        }
        for start in starts(event, first) {
            for day in 0..days {
                let Ok(date) = start.checked_add(day.days()) else {
                    continue;
                };
                if years.contains(&date.year()) {
                    self.dates.entry(date).or_insert_with(|| name.clone());
                }
            }
            if self.dates.len() > HOLIDAY_DATES_MAX {
                return Err(HolidayError::TooMany);
            }
        }
        Ok(())
    }
}

/// The whole-day date of a property; `None` if it has a time of day.
fn date_of(event: &ICalendarComponent, property: &ICalendarProperty) -> Option<Date> {
    let value = event.property(property)?.values.first()?;
    let PartialDateTime {
        year: Some(year),
        month: Some(month),
        day: Some(day),
        hour: None,
        ..
    } = value.as_partial_date_time()?
    else {
        return None;
    };
    let year = i16::try_from(*year).ok()?;
    Date::new(year, i8::try_from(*month).ok()?, i8::try_from(*day).ok()?).ok()
}

/// The dates on which an event begins.
fn starts(event: &ICalendarComponent, first: Date) -> Vec<Date> {
    let recurs = event.has_property(&ICalendarProperty::Rrule)
        || event.has_property(&ICalendarProperty::Rdate);
    if !recurs {
        return vec![first];
    }
    let alone = ICalendar {
        components: vec![event.clone()],
    };
    // One more than allowed, so that too many are noticed.
    let expanded = alone.expand_dates(Tz::UTC, HOLIDAY_DATES_MAX + 1);
    let mut dates: Vec<Date> = expanded
        .events
        .iter()
        .filter_map(|event| jiff::Timestamp::from_second(event.timestamps().0).ok())
        .map(|start| jiff::tz::TimeZone::UTC.to_datetime(start).date())
        .collect();
    dates.sort_unstable();
    dates.dedup();
    dates
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(events: &str) -> String {
        format!("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:test\r\n{events}END:VCALENDAR\r\n")
    }

    fn event(lines: &str) -> String {
        format!(
            "BEGIN:VEVENT\r\nUID:{}\r\n{lines}END:VEVENT\r\n",
            lines.len()
        )
    }

    fn dates(found: &Holidays) -> Vec<String> {
        found.dates.keys().map(Date::to_string).collect()
    }

    #[test]
    fn whole_days_close_and_an_end_is_the_day_after() {
        let text = file(
            &[
                event(
                    "DTSTART;VALUE=DATE:20261225\r\nDTEND;VALUE=DATE:20261227\r\nSUMMARY:Noël\r\n",
                ),
                event("DTSTART;VALUE=DATE:20260501\r\nSUMMARY:Fête du Travail\r\n"),
                event("DTSTART:20260714T090000Z\r\nSUMMARY:Parade\r\n"),
                event("DTSTART;VALUE=DATE:20260815\r\nSTATUS:CANCELLED\r\nSUMMARY:Gone\r\n"),
            ]
            .concat(),
        );
        let found = read(&text, 2026..=2027).unwrap();
        assert_eq!(dates(&found), ["2026-05-01", "2026-12-25", "2026-12-26"]);
        assert_eq!(found.dates[&jiff::civil::date(2026, 12, 25)], "Noël");
        assert_eq!(
            found.ignored,
            ["Parade: not a whole day", "Gone: cancelled"]
        );
    }

    #[test]
    fn yearly_rules_are_expanded_within_the_years_and_exceptions_hold() {
        let text = file(&event(
            "DTSTART;VALUE=DATE:20200101\r\nRRULE:FREQ=YEARLY\r\n\
             EXDATE;VALUE=DATE:20270101\r\nSUMMARY:New Year\r\n",
        ));
        let found = read(&text, 2026..=2029).unwrap();
        assert_eq!(dates(&found), ["2026-01-01", "2028-01-01", "2029-01-01"]);
        let last_monday = file(&event(
            "DTSTART;VALUE=DATE:20200525\r\nRRULE:FREQ=YEARLY;BYMONTH=5;BYDAY=-1MO\r\n",
        ));
        let found = read(&last_monday, 2026..=2026).unwrap();
        assert_eq!(dates(&found), ["2026-05-25"]);
    }

    #[test]
    fn what_is_no_list_of_holidays_is_refused_with_the_reason() {
        assert_eq!(read("<html>", 2026..=2026), Err(HolidayError::NotACalendar));
        let empty = read(&file(""), 2026..=2027).unwrap_err().to_string();
        assert!(empty.contains("2026 to 2027"), "{empty}");
        let cut = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20260101\r\n";
        assert_eq!(read(cut, 2026..=2026), Err(HolidayError::Cut));
        let daily = file(&event(
            "DTSTART;VALUE=DATE:20200101\r\nRRULE:FREQ=DAILY\r\n",
        ));
        assert_eq!(read(&daily, 1990..=2050), Err(HolidayError::TooMany));
    }
}
