//! Dates and times as senders write them → instants. Day and month are never guessed from the
//! numbers: an all-numeric date needs an order from its template. A time without a zone, or with
//! an ambiguous one, is an instant only where the template names the zone or the mail's own Date
//! is within minutes of it.

use super::zones;
use crate::model::Time;
use jiff::civil;
use std::time::Duration;

/// Order of all-numeric dates such as `09/12/2025`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Not known: such dates are not read.
    #[default]
    Unknown,
    /// Day first.
    DayFirst,
    /// Month first.
    MonthFirst,
}

/// How far the clocks of a sender and of its mail may differ to find a zone by them.
const NEAR: Duration = Duration::from_secs(5 * 60);

/// What a template knows about the times of its sender.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock<'a> {
    /// Order of all-numeric dates.
    pub order: Order,
    /// Zone of times without one.
    pub zone: Option<&'a str>,
    /// When the mail says that it was sent: tells the year of dates without one.
    pub sent_at: Option<Time>,
    /// The time is about the mail's own Date, which then tells the zone.
    pub live: bool,
    /// Year of dates without one.
    pub year: Option<i16>,
}

/// Parts of a date and time, as far as the text names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Parts {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    hour: Option<i64>,
    minute: i8,
    second: i8,
    afternoon: Option<bool>,
    /// `翌 4:00` is on the next day.
    days_later: i64,
    zone: Option<String>,
}

/// The instant that a text names; `None` if it is not certain.
pub fn read(text: &str, clock: Clock) -> Option<Time> {
    if let Some(time) = Time::parse_rfc3339(text) {
        return Some(time);
    }
    let parts = parts(text, clock.order);
    let local = civil_time(&parts, clock)?;
    match parts.zone.as_deref() {
        Some(zone) => match zones::resolve(zone) {
            Some(zone) => at(local, &zone),
            None => clock
                .zone
                .and_then(zones::resolve)
                .and_then(|zone| at(local, &zone))
                .or_else(|| near(local, clock)),
        },
        None => clock
            .zone
            .and_then(zones::resolve)
            .and_then(|zone| at(local, &zone))
            .or_else(|| near(local, clock)),
    }
}

fn at(local: civil::DateTime, zone: &jiff::tz::TimeZone) -> Option<Time> {
    zone.to_timestamp(local).ok().map(Time::from_timestamp)
}

/// A local time within minutes of the mail's own Date, whatever whole quarter hour lies between.
fn near(local: civil::DateTime, clock: Clock) -> Option<Time> {
    let sent_at = clock.sent_at.filter(|_| clock.live)?;
    let as_utc = at(local, &jiff::tz::TimeZone::UTC)?;
    let quarter = 15 * 60 * 1000;
    let difference = as_utc.0 - sent_at.0;
    let offset = (difference + difference.signum() * quarter / 2) / quarter * quarter;
    let far = u128::from((difference - offset).unsigned_abs()) > NEAR.as_millis();
    (!far && offset.abs() <= 14 * 3_600_000).then_some(Time(as_utc.0 - offset))
}

fn civil_time(parts: &Parts, clock: Clock) -> Option<civil::DateTime> {
    let (month, day) = (parts.month?, parts.day?);
    let mut hour = parts.hour.unwrap_or(0);
    if let Some(afternoon) = parts.afternoon {
        hour = hour % 12 + if afternoon { 12 } else { 0 };
    }
    let year = match parts.year.or(clock.year) {
        Some(year) => year,
        None => nearest_year(month, day, clock.sent_at?)?,
    };
    let date = civil::Date::new(year, month, day).ok()?;
    // `25:30` is half past one on the next day.
    if hour / 24 > 1 {
        return None;
    }
    let days = hour / 24 + parts.days_later;
    let date = date
        .checked_add(jiff::Span::new().try_days(days).ok()?)
        .ok()?;
    let hour = i8::try_from(hour % 24).ok()?;
    let time = civil::Time::new(hour, parts.minute, parts.second.min(59), 0).ok()?;
    Some(date.to_datetime(time))
}

/// The year that brings a date without one closest to the mail's own.
fn nearest_year(month: i8, day: i8, sent_at: Time) -> Option<i16> {
    let sent = jiff::tz::TimeZone::UTC
        .to_datetime(sent_at.timestamp())
        .date();
    let distance = |year: i16| {
        let date = civil::Date::new(year, month, day).ok()?;
        let span = date.until(sent).ok()?;
        Some(span.get_days().unsigned_abs())
    };
    let around = [sent.year() - 1, sent.year(), sent.year() + 1];
    around
        .into_iter()
        .filter_map(|year| distance(year).map(|distance| (distance, year)))
        .min()
        .map(|(_, year)| year)
}

/// Splits a text into tokens and sorts them by their shape.
fn parts(text: &str, order: Order) -> Parts {
    let mut parts = Parts::default();
    let text = super::text::narrow(text);
    zone_by_phrase(&text, &mut parts);
    if text.contains('翌') {
        parts.days_later = 1;
    }
    let spaced = east_asian(&text);
    let tokens: Vec<&str> = spaced
        .split(|c: char| c.is_whitespace() || "(),;[]".contains(c))
        .filter(|token| !token.is_empty())
        .take(24)
        .collect();
    for token in &tokens {
        token_part(token, order, &mut parts);
    }
    parts
}

/// `2025年12月9日 04時12分` → `2025-12-9 04:12`; `10: 00` → `10:00`.
fn east_asian(text: &str) -> String {
    let western = japanese_year(text).unwrap_or_else(|| text.to_owned());
    western
        .replace("翌日", " ")
        .replace('翌', " ")
        .replace(['年', '月'], "-")
        .replace('日', " ")
        .replace(['時', '时'], ":")
        .replace(['分', '頃'], " ")
        .replace(": ", ":")
        .replace("à", " ")
}

/// `令和7年` → `2025年`.
fn japanese_year(text: &str) -> Option<String> {
    let (before, after) = text.split_once("令和")?;
    let (year, rest) = after.split_once('年')?;
    let year = if year == "元" {
        1
    } else {
        year.trim().parse::<i16>().ok()?
    };
    Some(format!("{before}{}年{rest}", year.checked_add(2018)?))
}

fn zone_by_phrase(text: &str, parts: &mut Parts) {
    const PHRASES: &[(&str, &str)] = &[
        ("heure de paris", "Europe/Paris"),
        ("日本", "Asia/Tokyo"),
        ("eastern", "America/New_York"),
        ("central european", "Europe/Paris"),
        ("central", "America/Chicago"),
        ("mountain", "America/Denver"),
        ("pacific", "America/Los_Angeles"),
        ("greenwich", "UTC"),
        ("coordinated universal", "UTC"),
    ];
    let lower = text.to_lowercase();
    parts.zone = PHRASES
        .iter()
        .find(|(phrase, _)| lower.contains(phrase))
        .map(|(_, zone)| (*zone).to_owned());
}

fn token_part(token: &str, order: Order, parts: &mut Parts) {
    let token = token.trim_end_matches(['.', ':']).trim_start_matches('.');
    let starts_with_digit = token.starts_with(|c: char| c.is_ascii_digit());
    if starts_with_digit {
        if !(time(token, parts) || date(token, order, parts)) {
            number(token, parts);
        }
    } else if let Some(month) = month(token) {
        parts.month.get_or_insert(month);
    } else if let Some(afternoon) = meridiem(token) {
        parts.afternoon.get_or_insert(afternoon);
    } else if parts.zone.is_none() && parts.hour.is_some() && zones::looks_like_zone(token) {
        parts.zone = Some(token.to_owned());
    }
}

fn meridiem(token: &str) -> Option<bool> {
    match token.to_ascii_lowercase().replace('.', "").as_str() {
        "am" => Some(false),
        "pm" => Some(true),
        _ => None,
    }
}

/// `22:05:09.120`, `23h30`, `10:00pm`, `22:00Z`, `22:00+01:00`.
fn time(token: &str, parts: &mut Parts) -> bool {
    if parts.hour.is_some() {
        return false;
    }
    let digits = token
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(token.len());
    let (hour, rest) = (token.get(..digits), token.get(digits..).unwrap_or(""));
    let Some(rest) = rest.strip_prefix([':', 'h', 'H']) else {
        return false;
    };
    let Some(hour) = hour.and_then(|h| h.parse::<i64>().ok()).filter(|h| *h < 48) else {
        return false;
    };
    let two = |text: &str| text.get(..2).and_then(|t| t.parse::<i8>().ok());
    let minute = two(rest).filter(|m| (0..60).contains(m));
    let mut rest = match minute {
        Some(_) => rest.get(2..).unwrap_or(""),
        None if rest.is_empty() => rest,
        None => return false,
    };
    parts.hour = Some(hour);
    parts.minute = minute.unwrap_or(0);
    if let Some(after) = rest.strip_prefix(':') {
        parts.second = two(after).filter(|s| (0..61).contains(s)).unwrap_or(0);
        rest = after.get(2..).unwrap_or("");
    }
    let rest = rest.trim_start_matches(|c: char| c == '.' || c.is_ascii_digit());
    if let Some(afternoon) = meridiem(rest) {
        parts.afternoon = Some(afternoon);
    } else if !rest.is_empty() && zones::looks_like_zone(rest) {
        parts.zone = Some(rest.to_owned());
    }
    true
}

/// `2025-11-20`, `2025.11.20`, `20/11/2025`, `08-Dec-2025`.
fn date(token: &str, order: Order, parts: &mut Parts) -> bool {
    if let Some((token, clock)) = token.split_once('T') {
        return date(token, order, parts) && time(clock, parts);
    }
    let pieces: Vec<&str> = token.split(['-', '/', '.']).collect();
    let [first, second, third] = pieces.as_slice() else {
        return false;
    };
    let small = |text: &str| text.parse::<i8>().ok().filter(|n| (1..=31).contains(n));
    let year = |text: &str| match text.len() {
        4 => text.parse::<i16>().ok(),
        2 => text.parse::<i16>().ok().map(|year| 2000 + year),
        _ => None,
    };
    let read = if first.len() == 4 {
        Some((year(first), small(second), small(third)))
    } else if let Some(named) = month(second) {
        Some((year(third), Some(named), small(first)))
    } else {
        match order {
            Order::DayFirst => Some((year(third), small(second), small(first))),
            Order::MonthFirst => Some((year(third), small(first), small(second))),
            Order::Unknown => None,
        }
    };
    match read {
        Some((Some(year), Some(month), Some(day))) if month <= 12 => {
            (parts.year, parts.month, parts.day) = (Some(year), Some(month), Some(day));
            true
        }
        _ => true,
    }
}

/// A bare number: a year or a day.
fn number(token: &str, parts: &mut Parts) {
    let digits: String = token.chars().take_while(char::is_ascii_digit).collect();
    match digits.len() {
        4 => parts.year = parts.year.or_else(|| digits.parse().ok()),
        1 | 2 => parts.day = parts.day.or_else(|| digits.parse().ok()),
        _ => {}
    }
}

/// Month names in English, German, French, Spanish, Italian, Portuguese and Dutch; three letters
/// are enough where they are unique.
fn month(token: &str) -> Option<i8> {
    const NAMES: &[(&str, i8)] = &[
        ("jan", 1),
        ("jän", 1),
        ("gen", 1),
        ("ene", 1),
        ("fév", 2),
        ("fev", 2),
        ("feb", 2),
        ("mar", 3),
        ("mär", 3),
        ("maa", 3),
        ("mrz", 3),
        ("apr", 4),
        ("avr", 4),
        ("abr", 4),
        ("mai", 5),
        ("may", 5),
        ("mag", 5),
        ("mei", 5),
        ("juin", 6),
        ("jun", 6),
        ("giu", 6),
        ("juil", 7),
        ("jul", 7),
        ("lug", 7),
        ("aug", 8),
        ("aoû", 8),
        ("aou", 8),
        ("ago", 8),
        ("sep", 9),
        ("set", 9),
        ("oct", 10),
        ("okt", 10),
        ("ott", 10),
        ("out", 10),
        ("nov", 11),
        ("dec", 12),
        ("dez", 12),
        ("déc", 12),
        ("dic", 12),
    ];
    // Weekdays that begin like a month.
    const DAYS: &[&str] = &["mardi", "martes", "martedì", "marti", "set-feira"];
    let lower = token.trim_matches(',').to_lowercase();
    if DAYS.contains(&lower.as_str()) || !lower.chars().all(char::is_alphabetic) {
        return None;
    }
    NAMES
        .iter()
        .find(|(name, _)| lower.starts_with(name))
        .map(|(_, number)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_as(text: &str, order: Order, zone: Option<&str>) -> Option<String> {
        let sent_at = Time::parse_rfc3339("2025-11-26T07:12:00Z");
        let clock = Clock {
            order,
            zone,
            sent_at,
            live: true,
            year: None,
        };
        read(text, clock).map(|time| time.to_string())
    }

    #[test]
    fn shapes_that_senders_use() {
        for (text, wanted) in [
            ("2025-11-20 16:05:12 +0100", "2025-11-20T15:05:12Z"),
            ("2025-11-17 19:45:11+0000", "2025-11-17T19:45:11Z"),
            ("Wed, 26 Nov 2025 14:00:00 UTC", "2025-11-26T14:00:00Z"),
            (
                "Tuesday 04 November, 2025 08:17:11 UTC",
                "2025-11-04T08:17:11Z",
            ),
            (
                "Tuesday, 02 Dec 2025 15:00:00 (UTC)",
                "2025-12-02T15:00:00Z",
            ),
            ("08-Dec-2025 00:01 Eastern", "2025-12-08T05:01:00Z"),
            (
                "mardi 9 décembre 2025 à 23h30 (heure de Paris)",
                "2025-12-09T22:30:00Z",
            ),
            ("2025年12月10日（水） 25:30 (JST)", "2025-12-10T16:30:00Z"),
            ("2025-12-10T01:02:03", "2025-12-10T01:02:03Z"),
            ("令和7年12月10日 翌 4:00 JST", "2025-12-10T19:00:00Z"),
            ("2025-12-04 20:55:00 +0000 UTC", "2025-12-04T20:55:00Z"),
            ("10: 00 UTC 12 May 2021", "2021-05-12T10:00:00Z"),
            ("26 Nov 07:09", "2025-11-26T07:09:00Z"),
            ("Wed Nov 12 12:32:55 CET 2025", "2025-11-12T11:32:55Z"),
        ] {
            let read = read_as(text, Order::Unknown, Some("UTC"));
            assert_eq!(read.as_deref(), Some(wanted), "{text}");
        }
    }

    #[test]
    fn orders_and_zones_are_never_guessed() {
        assert_eq!(
            read_as("09/12/2025 23:00:00 GMT", Order::Unknown, None),
            None
        );
        assert_eq!(
            read_as("09/12/2025 23:00:00 GMT", Order::DayFirst, None).as_deref(),
            Some("2025-12-09T23:00:00Z")
        );
        let local = "12:00 AM (local time) 11/12/2025";
        assert_eq!(read_as(local, Order::MonthFirst, None), None);
        assert_eq!(
            read_as(local, Order::MonthFirst, Some("America/New_York")).as_deref(),
            Some("2025-11-12T05:00:00Z")
        );
        assert_eq!(
            read_as("2025-12-15 00:00:00 IST", Order::Unknown, None),
            None
        );
        assert_eq!(
            read_as("Wed Nov 26 01:11:44 CST 2025", Order::Unknown, None).as_deref(),
            Some("2025-11-26T07:11:44Z"),
            "the mail's own Date tells which CST"
        );
    }
}
