//! MAINTNOTE: maintenance notices as iCalendar, read by calcard. Real files break the rules in
//! many ways; what is readable is kept, the rest is said in `unclear` for a person.

use super::notices;
use super::zones;
use crate::model::notice::{
    MaintenanceImpact, MaintenanceNotice, MaintenanceObject, MaintenanceStatus, MaintenanceWindow,
    NO_OBJECT, NO_WINDOW,
};
use crate::model::{Time, text};
use calcard::icalendar::{
    ICalendarComponent, ICalendarComponentType, ICalendarEntry, ICalendarProperty, ICalendarValue,
    Uri,
};
use calcard::{Entry, Parser};

/// Most notices of one calendar.
const NOTICES_MAX: usize = 100;
/// Most objects of one notice.
const OBJECTS_MAX: usize = 2_000;

/// Whether a text is a calendar with maintenance properties.
pub fn is_maintnote(text: &str) -> bool {
    is_calendar(text) && text.to_ascii_uppercase().contains("X-MAINTNOTE-")
}

/// Whether a text is a calendar.
pub fn is_calendar(text: &str) -> bool {
    let start: String = text.trim_start().chars().take(20).collect();
    start.to_ascii_uppercase().starts_with("BEGIN:VCALENDAR")
}

/// The notices of a calendar; `sent_at` orders those without a sequence.
pub fn notices(text: &str, sent_at: Time) -> Vec<MaintenanceNotice> {
    let mended = mended(text);
    let mut parser = Parser::new(&mended);
    let mut found = Vec::new();
    loop {
        match parser.entry() {
            Entry::ICalendar(calendar) => {
                let events = calendar
                    .components
                    .iter()
                    .filter(|c| c.component_type == ICalendarComponentType::VEvent);
                found.extend(events.filter_map(|event| notice(event, sent_at)));
            }
            Entry::Eof | Entry::TooManyComponents => break,
            _ => {}
        }
        if found.len() >= NOTICES_MAX {
            break;
        }
    }
    found
}

/// The text with raw continuation lines folded and lines that are no property left out, since a
/// parser would give up on them.
fn mended(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let property = line
            .split([':', ';'])
            .next()
            .is_some_and(|name| !name.is_empty() && name.bytes().all(is_name_byte));
        let has_value = line.contains(':');
        if line.starts_with([' ', '\t']) || (property && has_value) {
            out.push_str(line);
        } else if line.trim().is_empty() || property {
            continue;
        } else {
            // A raw line within a text: fold it to the property above.
            out.push(' ');
            out.push_str(line);
        }
        out.push_str("\r\n");
    }
    out
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-' || byte.is_ascii_lowercase()
}

fn name(entry: &ICalendarEntry) -> String {
    entry.name.as_str().to_ascii_uppercase()
}

fn value_text(entry: &ICalendarEntry) -> Option<String> {
    let mut whole = String::new();
    for value in &entry.values {
        let part = match value {
            ICalendarValue::Text(text) => text.clone(),
            ICalendarValue::Integer(number) => number.to_string(),
            ICalendarValue::Uri(Uri::Location(uri)) => uri.clone(),
            _ => continue,
        };
        if !whole.is_empty() {
            whole.push(',');
        }
        whole.push_str(&part);
    }
    let line = text::one_line(&whole);
    (!line.is_empty()).then(|| text::bounded(&line, 1000))
}

struct Reader<'a> {
    event: &'a ICalendarComponent,
    unclear: Vec<String>,
}

impl<'a> Reader<'a> {
    fn entries(&self, wanted: &'a str) -> impl Iterator<Item = &'a ICalendarEntry> {
        let event = self.event;
        event.entries.iter().filter(move |e| name(e) == wanted)
    }

    fn text(&self, wanted: &'a str) -> Option<String> {
        self.entries(wanted).find_map(value_text)
    }

    /// An instant; a time that is there and cannot be read is noted.
    fn time(&mut self, wanted: &'a str) -> Option<Time> {
        let entry = self.entries(wanted).next()?;
        let time = instant(entry);
        if time.is_none() {
            self.unclear.push(format!("{wanted} could not be read"));
        }
        time
    }
}

/// A date and time in UTC, with an offset, or in the zone of its TZID.
fn instant(entry: &ICalendarEntry) -> Option<Time> {
    let parsed = entry.values.iter().find_map(|value| match value {
        ICalendarValue::PartialDateTime(time) => Some(time),
        _ => None,
    })?;
    if !parsed.has_date_and_time() {
        return None;
    }
    let date = jiff::civil::Date::new(
        i16::try_from(parsed.year?).ok()?,
        i8::try_from(parsed.month?).ok()?,
        i8::try_from(parsed.day?).ok()?,
    )
    .ok()?;
    let part = |value: Option<u8>| i8::try_from(value.unwrap_or(0)).ok();
    let local = date.to_datetime(
        jiff::civil::Time::new(
            part(parsed.hour)?,
            part(parsed.minute)?,
            part(parsed.second)?.min(59),
            0,
        )
        .ok()?,
    );
    let zone = match parsed.tz_hour {
        Some(hours) => {
            let seconds = i32::from(hours) * 3600 + i32::from(parsed.tz_minute.unwrap_or(0)) * 60;
            let seconds = if parsed.tz_minus { -seconds } else { seconds };
            jiff::tz::TimeZone::fixed(jiff::tz::Offset::from_seconds(seconds).ok()?)
        }
        None => zones::resolve(windows_zone(parameter(entry, "TZID")?.trim_matches('"')))?,
    };
    zone.to_timestamp(local).ok().map(Time::from_timestamp)
}

/// Names that Outlook writes for zones.
fn windows_zone(name: &str) -> &str {
    match name {
        "W. Europe Standard Time" => "Europe/Berlin",
        "Romance Standard Time" => "Europe/Paris",
        "Central European Standard Time" | "Central Europe Standard Time" => "Europe/Budapest",
        "GMT Standard Time" => "Europe/London",
        "FLE Standard Time" => "Europe/Helsinki",
        "Eastern Standard Time" => "America/New_York",
        "Central Standard Time" => "America/Chicago",
        "Mountain Standard Time" => "America/Denver",
        "Pacific Standard Time" => "America/Los_Angeles",
        "Tokyo Standard Time" => "Asia/Tokyo",
        "India Standard Time" => "Asia/Kolkata",
        "Singapore Standard Time" => "Asia/Singapore",
        "China Standard Time" => "Asia/Shanghai",
        "AUS Eastern Standard Time" => "Australia/Sydney",
        other => other,
    }
}

fn parameter<'a>(entry: &'a ICalendarEntry, wanted: &str) -> Option<&'a str> {
    entry
        .params
        .iter()
        .find(|p| p.name.as_str().eq_ignore_ascii_case(wanted))
        .and_then(|p| p.value.as_text())
}

fn notice(event: &ICalendarComponent, sent_at: Time) -> Option<MaintenanceNotice> {
    let mut reader = Reader {
        event,
        unclear: Vec::new(),
    };
    if !event
        .entries
        .iter()
        .any(|e| name(e).starts_with("X-MAINTNOTE-"))
    {
        return None;
    }
    let provider = reader.text("X-MAINTNOTE-PROVIDER").or_else(|| {
        let organizer = reader.text("ORGANIZER")?;
        organizer
            .rsplit_once('@')
            .map(|(_, domain)| domain.to_owned())
    });
    if provider.is_none() {
        reader.unclear.push("the provider is not named".to_owned());
    }
    let maintenance_id = maintenance_id(&mut reader)?;
    let said = reader.text("X-MAINTNOTE-STATUS");
    let cancelled = event.entries.iter().any(|e| {
        e.name == ICalendarProperty::Status
            && value_text(e).is_some_and(|t| t.eq_ignore_ascii_case("CANCELLED"))
    });
    let status = match said.as_deref().map(|word| (word, status_word(word))) {
        Some((_, Some(status))) => status,
        Some((word, None)) => {
            reader
                .unclear
                .push(format!("the status `{word}` is not known"));
            MaintenanceStatus::Unknown
        }
        None if cancelled => MaintenanceStatus::Cancelled,
        None => MaintenanceStatus::Tentative,
    };
    let objects = objects(&reader);
    let over = matches!(
        status,
        MaintenanceStatus::Cancelled | MaintenanceStatus::Completed
    );
    if objects.is_empty() && !over {
        reader.unclear.push(NO_OBJECT.to_owned());
    }
    let windows = window(&mut reader, over);
    let stamp = reader.time("DTSTAMP").unwrap_or(sent_at);
    let sequence = reader
        .text("SEQUENCE")
        .and_then(|t| t.trim().parse::<i64>().ok());
    Some(MaintenanceNotice {
        provider: provider.unwrap_or_default(),
        maintenance_id,
        account: reader.text("X-MAINTNOTE-ACCOUNT"),
        status,
        objects,
        windows,
        sequence: order(sequence, stamp),
        summary: reader.text("SUMMARY").unwrap_or_default(),
        unclear: reader.unclear,
    })
}

/// Higher sequences win; equal ones are ordered by their stamp, to the minute.
fn order(sequence: Option<i64>, stamp: Time) -> i64 {
    const MINUTES_MAX: i64 = 1 << 40;
    let sequence = sequence.unwrap_or(0).clamp(0, 1 << 20);
    let minutes = (stamp.seconds() / 60).clamp(0, MINUTES_MAX - 1);
    sequence * MINUTES_MAX + minutes
}

/// The primary id, else the first, else the UID.
fn maintenance_id(reader: &mut Reader) -> Option<String> {
    let ids: Vec<&ICalendarEntry> = reader.entries("X-MAINTNOTE-MAINTENANCE-ID").collect();
    let primary = ids.iter().find(|entry| {
        parameter(entry, "X-MAINTNOTE-PRECEDENCE")
            .is_some_and(|p| p.eq_ignore_ascii_case("PRIMARY"))
    });
    let id = primary.or(ids.first()).and_then(|entry| value_text(entry));
    let is_id = |id: &String| MaintenanceNotice::is_id(id);
    let id = id.filter(is_id);
    if id.is_some() {
        return id;
    }
    reader
        .unclear
        .push("the maintenance id is not readable: the calendar's UID stands for it".to_owned());
    reader.text("UID").filter(is_id)
}

fn status_word(word: &str) -> Option<MaintenanceStatus> {
    notices::status(word)
}

fn impact_word(word: &str) -> MaintenanceImpact {
    // Any other word counts as an outage, as the standard says.
    notices::impact(word).unwrap_or(MaintenanceImpact::Outage)
}

fn objects(reader: &Reader) -> Vec<MaintenanceObject> {
    let whole = reader
        .text("X-MAINTNOTE-IMPACT")
        .map_or(MaintenanceImpact::Outage, |word| impact_word(&word));
    reader
        .entries("X-MAINTNOTE-OBJECT-ID")
        .take(OBJECTS_MAX)
        .filter_map(|entry| {
            let impact = parameter(entry, "X-MAINTNOTE-OBJECT-IMPACT").map_or(whole, impact_word);
            Some(MaintenanceObject {
                id: value_text(entry)?,
                impact,
            })
        })
        .collect()
}

fn window(reader: &mut Reader, over: bool) -> Vec<MaintenanceWindow> {
    let start = reader.time("DTSTART");
    let end = reader.time("DTEND");
    let Some(starts_at) = start else {
        if !over && reader.unclear.is_empty() {
            reader.unclear.push(NO_WINDOW.to_owned());
        }
        return Vec::new();
    };
    let ends_at = end.filter(|end| *end > starts_at);
    if end.is_some() && ends_at.is_none() {
        reader
            .unclear
            .push("the end lies before the start".to_owned());
    }
    vec![MaintenanceWindow { starts_at, ends_at }]
}
