//! A promised time in what staff write: one line, `Next update: 2026-06-02 18:00`, in the contract's
//! zone unless the line names an offset. What cannot be read for certain goes back to its author.

use jiff::civil::{Date, Time as WallTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Timestamp, ToSpan};

/// What the line begins with, in the languages of contracts, in small letters.
const LABELS: [&str; 4] = [
    "next update",
    "prochaine mise à jour",
    "次回更新",
    "次回の更新",
];
/// A promise for later than this looks like a slip of the pen.
pub const FAR_SECONDS: i64 = 7 * 24 * 3600;

/// What a text promises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Promised {
    /// Nothing.
    Nothing,
    /// An update by this instant, seconds since 1970.
    At(i64),
    /// Something that cannot be read for certain: why, and what was expected.
    Unclear(String),
}

/// Reads a text as of `now`.
pub fn read(text: &str, zone: &TimeZone, now: i64) -> Promised {
    let mut found = text.lines().filter_map(after_label);
    let Some(said) = found.next() else {
        return Promised::Nothing;
    };
    if found.any(|other| other != said) {
        return Promised::Unclear("there are several lines with a next update".to_owned());
    }
    match instant(&said, zone, now) {
        Ok(at) if at <= now => Promised::Unclear(format!("`{said}` lies in the past")),
        Ok(at) => Promised::At(at),
        Err(why) => Promised::Unclear(why),
    }
}

/// What stands in the first line of a text that has the label.
pub fn line_in(text: &str) -> Option<String> {
    text.lines().find_map(after_label)
}

/// What stands behind the label of a line that has it; quoted lines are somebody else's words.
fn after_label(line: &str) -> Option<String> {
    let folded: String = line.trim().chars().map(narrow).collect();
    let (label, said) = folded.split_once(':')?;
    let label = label.trim().trim_matches('*').to_lowercase();
    LABELS
        .contains(&label.as_str())
        .then(|| said.trim().trim_matches('*').trim().to_owned())
}

/// Full-width forms, as they stand in Japanese mails, and blanks that are none.
fn narrow(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        '\u{3000}' | '\u{a0}' | '\u{202f}' => ' ',
        other => other,
    }
}

fn instant(said: &str, zone: &TimeZone, now: i64) -> Result<i64, String> {
    let expected = "expected like 2026-06-02 18:00, in the contract's zone";
    if let Ok(at) = said
        .replacen(' ', "T", 1)
        .replace(' ', "")
        .parse::<Timestamp>()
    {
        return Ok(at.as_second());
    }
    let mut words: Vec<&str> = said
        .split(' ')
        .flat_map(|word| match word.split_once('T') {
            Some((date, time)) if date.ends_with(|c: char| c.is_ascii_digit()) => vec![date, time],
            _ => vec![word],
        })
        .filter(|word| !word.is_empty())
        .collect();
    let utc = TimeZone::UTC;
    let zone = match words.last() {
        Some(last) if ["utc", "gmt", "z"].contains(&last.to_lowercase().as_str()) => {
            words.pop();
            &utc
        }
        Some(last)
            if words.len() > 1
                && (last.starts_with('(') || last.chars().all(char::is_alphabetic)) =>
        {
            // `JST`, `CET`: several zones share most of these.
            return Err(format!(
                "`{said}`: the zone `{last}` is not certain; {expected}"
            ));
        }
        _ => zone,
    };
    let unclear = || format!("`{said}` cannot be read; {expected}");
    match words.as_slice() {
        [date, time] => {
            let date: Date = strict_date(date).ok_or_else(unclear)?;
            at(zone, date, wall(time).ok_or_else(unclear)?, said)
        }
        [time] => {
            let wall = wall(time).ok_or_else(unclear)?;
            let here = Timestamp::from_second(now).map_err(|_| unclear())?;
            let here = zone.to_datetime(here);
            let today = at(zone, here.date(), wall, said)?;
            if today > now {
                return Ok(today);
            }
            let tomorrow = here.date().checked_add(1.day()).map_err(|_| unclear())?;
            at(zone, tomorrow, wall, said)
        }
        _ => Err(unclear()),
    }
}

/// `YYYY-MM-DD` and the Japanese form; a date whose day and month could be taken for each other is
/// not read.
fn strict_date(text: &str) -> Option<Date> {
    let plain = text
        .replace(['年', '月'], "-")
        .replace('日', "")
        .replace('/', "-");
    let mut parts = plain.split('-');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || year.len() != 4 {
        return None;
    }
    Date::new(year.parse().ok()?, month.parse().ok()?, day.parse().ok()?).ok()
}

/// `18:00` or `18:00:30`.
fn wall(text: &str) -> Option<WallTime> {
    let mut parts = text.split(':');
    let (hour, minute) = (parts.next()?, parts.next()?);
    let second = parts.next().unwrap_or("00");
    let two = |part: &str| part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
    if parts.next().is_some() || ![hour, minute, second].into_iter().all(two) {
        return None;
    }
    let number = |part: &str| part.parse().ok();
    WallTime::new(number(hour)?, number(minute)?, number(second)?, 0).ok()
}

fn at(zone: &TimeZone, date: Date, wall: WallTime, said: &str) -> Result<i64, String> {
    let found = zone.to_ambiguous_timestamp(date.to_datetime(wall));
    match found.offset() {
        AmbiguousOffset::Unambiguous { .. } => {}
        AmbiguousOffset::Gap { .. } => {
            return Err(format!("`{said}` does not exist: the clock is set forward"));
        }
        AmbiguousOffset::Fold { .. } => {
            return Err(format!(
                "`{said}` comes twice that night: write it with its offset, like +01:00"
            ));
        }
    }
    found
        .compatible()
        .map(Timestamp::as_second)
        .map_err(|_| format!("`{said}` is out of range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    fn zone(name: &str) -> TimeZone {
        jiff::tz::TimeZoneDatabase::bundled().get(name).unwrap()
    }

    #[test]
    fn a_line_is_read_in_the_contracts_zone() {
        let now = second("2026-06-02T00:00:00Z");
        for (tz, text, at) in [
            (
                "Asia/Tokyo",
                "We ordered a part.\nNext update: 2026-06-02 18:00\nBye",
                "2026-06-02T09:00:00Z",
            ),
            (
                "Asia/Tokyo",
                "次回更新：２０２６年６月２日　１８:００",
                "2026-06-02T09:00:00Z",
            ),
            (
                "Europe/Paris",
                "Prochaine mise à jour : 18:00",
                "2026-06-02T16:00:00Z",
            ),
            (
                "Europe/Paris",
                "**Next update:** 01:00",
                "2026-06-02T23:00:00Z",
            ),
            (
                "Europe/Paris",
                "next update: 2026-06-02T18:00:00+09:00",
                "2026-06-02T09:00:00Z",
            ),
            (
                "Europe/Paris",
                "Next update: 2026-06-02 18:00 UTC",
                "2026-06-02T18:00:00Z",
            ),
        ] {
            let read = read(text, &zone(tz), now);
            assert_eq!(read, Promised::At(second(at)), "{text}");
        }
        assert_eq!(
            read("no line\n> Next update: 18:00", &zone("UTC"), now),
            Promised::Nothing
        );
    }

    #[test]
    fn what_is_unclear_is_not_guessed() {
        let now = second("2026-06-02T00:00:00Z");
        for (text, why) in [
            ("Next update: soon", "cannot be read"),
            ("Next update: 03/04/2026 18:00", "cannot be read"),
            (
                "Next update: 2026-06-02 18:00 CET",
                "zone `CET` is not certain",
            ),
            ("Next update: 2026-06-01 18:00", "in the past"),
            ("Next update: 2026-10-25 02:30", "comes twice"),
            ("Next update: 2027-03-28 02:30", "does not exist"),
            ("Next update: 18:00\nNext update: 19:00", "several lines"),
            ("Next update:", "cannot be read"),
        ] {
            let Promised::Unclear(told) = read(text, &zone("Europe/Paris"), now) else {
                panic!("{text} is taken for clear");
            };
            assert!(told.contains(why), "{text}: {told}");
        }
    }
}
