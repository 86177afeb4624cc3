//! Words that trackers and the bridge use for the same things, and small shapes that several
//! trackers share. Pure.

use super::client::Answer;
use super::{Called, RemoteTicket};
use crate::model::Time;
use crate::model::severity::Severity;
use crate::model::ticket::TicketStatus;
use serde::Deserialize;
use serde_json::Value;
use std::time::Duration;

/// Clocks that differ by more than this confuse people who compare times.
const CLOCK_DIFFERENCE_MAX: Duration = Duration::from_secs(60);

/// The tracker's names of the statuses. An empty name is a status that it does not have.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Statuses {
    /// Nobody has taken it.
    pub new: String,
    /// Somebody works on it.
    pub open: String,
    /// Waits for the customer.
    pub waiting_customer: String,
    /// On hold for another reason.
    pub on_hold: String,
    /// Solved.
    pub resolved: String,
    /// Over for good.
    pub closed: String,
    /// Not a ticket any more.
    pub rejected: String,
}

impl Statuses {
    /// Names in the order new, open, waiting, on hold, resolved, closed, rejected.
    pub(in crate::trackers) fn of_names(names: [&str; 7]) -> Statuses {
        let [
            new,
            open,
            waiting_customer,
            on_hold,
            resolved,
            closed,
            rejected,
        ] = names.map(str::to_owned);
        Statuses {
            new,
            open,
            waiting_customer,
            on_hold,
            resolved,
            closed,
            rejected,
        }
    }

    /// These names, with those that are empty taken from `defaults`.
    pub(in crate::trackers) fn or(self, defaults: Statuses) -> Statuses {
        let or = |own: String, default: String| if own.is_empty() { default } else { own };
        Statuses {
            new: or(self.new, defaults.new),
            open: or(self.open, defaults.open),
            waiting_customer: or(self.waiting_customer, defaults.waiting_customer),
            on_hold: or(self.on_hold, defaults.on_hold),
            resolved: or(self.resolved, defaults.resolved),
            closed: or(self.closed, defaults.closed),
            rejected: or(self.rejected, defaults.rejected),
        }
    }

    /// The tracker's name of a status.
    pub(in crate::trackers) fn name(&self, status: TicketStatus) -> &str {
        match status {
            TicketStatus::New => &self.new,
            TicketStatus::Open => &self.open,
            TicketStatus::WaitingCustomer => &self.waiting_customer,
            TicketStatus::OnHold => &self.on_hold,
            TicketStatus::Resolved => &self.resolved,
            TicketStatus::Closed => &self.closed,
            TicketStatus::Gone => &self.rejected,
        }
    }

    /// Our word for the tracker's name; a name that nobody configured is work in progress.
    pub(in crate::trackers) fn read(&self, name: &str) -> TicketStatus {
        TicketStatus::ALL
            .into_iter()
            .find(|status| self.name(*status) == name)
            .unwrap_or(TicketStatus::Open)
    }
}

/// The tracker's word for each severity.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "UPPERCASE")]
pub struct Severities {
    /// Outage of several.
    pub s1: String,
    /// Outage of one.
    pub s2: String,
    /// Degraded.
    pub s3: String,
    /// Redundancy lost.
    pub s4: String,
    /// False alarm.
    pub s5: String,
}

impl Severities {
    /// These words, with those that are empty taken from `defaults`.
    pub(in crate::trackers) fn or(self, defaults: Severities) -> Severities {
        let or = |own: String, default: String| if own.is_empty() { default } else { own };
        Severities {
            s1: or(self.s1, defaults.s1),
            s2: or(self.s2, defaults.s2),
            s3: or(self.s3, defaults.s3),
            s4: or(self.s4, defaults.s4),
            s5: or(self.s5, defaults.s5),
        }
    }

    /// Words in the order S1 to S5.
    pub(in crate::trackers) fn of_words(words: [&str; 5]) -> Severities {
        let [s1, s2, s3, s4, s5] = words.map(str::to_owned);
        Severities { s1, s2, s3, s4, s5 }
    }

    /// A severity as it is read back once it is written: one word may stand for several.
    pub(in crate::trackers) fn kept(&self, severity: Option<Severity>) -> Option<Severity> {
        severity.and_then(|severity| self.read(self.word(severity)))
    }

    /// The tracker's word.
    pub(in crate::trackers) fn word(&self, severity: Severity) -> &str {
        match severity {
            Severity::S1 => &self.s1,
            Severity::S2 => &self.s2,
            Severity::S3 => &self.s3,
            Severity::S4 => &self.s4,
            Severity::S5 => &self.s5,
        }
    }

    /// The one severity that has this word; none if several have it. A false alarm is never read
    /// from a priority: nobody who calls a ticket unimportant says that nothing was wrong.
    pub(in crate::trackers) fn read(&self, word: &str) -> Option<Severity> {
        let mut with = Severity::ALL
            .into_iter()
            .filter(|severity| self.word(*severity) == word);
        match (with.next(), with.next()) {
            (Some(Severity::S5), _) | (_, Some(_)) => None,
            (first, None) => first,
        }
    }
}

/// The zone that a server shows its times in; `UTC` where none is named.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::trackers) struct Zone(jiff::tz::TimeZone);

impl Zone {
    /// By its name, like `Europe/Berlin`; empty: UTC.
    pub(in crate::trackers) fn named(name: &str) -> Result<Zone, String> {
        if name.is_empty() {
            return Ok(Zone(jiff::tz::TimeZone::UTC));
        }
        let zone = jiff::tz::TimeZone::get(name);
        zone.map(Zone)
            .map_err(|_| format!("time_zone: `{name}` is no time zone, like Europe/Berlin"))
    }

    /// Reads `2026-11-25 03:13:00`.
    pub(in crate::trackers) fn read(&self, text: &str) -> Option<Time> {
        let time: jiff::civil::DateTime = text.trim().replace(' ', "T").parse().ok()?;
        let zoned = time.to_zoned_datetime(self.0.clone()).ok()?;
        Some(Time::from_timestamp(zoned.timestamp()))
    }

    /// Writes it, whole seconds.
    pub(in crate::trackers) fn write(&self, time: Time) -> String {
        let zoned = time.timestamp().to_zoned_datetime(self.0.clone());
        zoned.strftime("%Y-%m-%d %H:%M:%S").to_string()
    }
}

/// A text or number of an object, as text; an object is shown by its id.
pub(in crate::trackers) fn word(value: &Value, key: &str) -> String {
    match &value[key] {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Object(object) => match object.get("id") {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            _ => String::new(),
        },
        _ => String::new(),
    }
}

/// A subject without the key at its end, and the key; empty if there is none.
pub(in crate::trackers) fn split_key(subject: &str) -> (String, String) {
    let split = subject
        .strip_suffix(']')
        .and_then(|subject| subject.rsplit_once('['))
        .filter(|(_, key)| key.starts_with("ab-") && !key.contains(' '));
    match split {
        Some((rest, key)) => (rest.trim_end().to_owned(), key.to_owned()),
        None => (subject.to_owned(), String::new()),
    }
}

/// Room for a key in brackets at the end of a title, characters.
pub(in crate::trackers) const KEY_CHARS_MAX: usize = 43;

/// A title with the key at its end, as [`split_key`] reads it; without a key it stays as it is.
pub(in crate::trackers) fn with_key(title: String, key: &str) -> String {
    if key.is_empty() {
        title
    } else {
        format!("{title} [{key}]")
    }
}

/// One part of a path.
pub(in crate::trackers) fn path_part(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'@') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// What a search for a key that nobody has says of the tracker; `by` and `what` are its words for
/// the key and for tickets.
pub(in crate::trackers) fn nobody_found(
    found: Result<Vec<RemoteTicket>, Called<Vec<RemoteTicket>>>,
    by: &str,
    what: &str,
) -> Result<String, String> {
    match found {
        Ok(found) if found.is_empty() => Ok(format!("a search by {by} answers as it should")),
        Ok(_) => Err(format!("a search for a {by} that nobody has finds {what}")),
        Err(outcome) => Err(format!("a search by {by} fails: {}", outcome.why())),
    }
}

/// Whether names are among those that a tracker lists. A list that cannot be read was not looked at.
pub(in crate::trackers) fn names_there(
    what: &str,
    wanted: &[&str],
    known: Result<Vec<String>, String>,
) -> Result<String, String> {
    let known = match known {
        Ok(known) => known,
        Err(why) => return Ok(format!("each {what} was not looked at: {why}")),
    };
    let missing = wanted.iter().find(|name| !known.iter().any(|k| k == *name));
    match missing {
        Some(missing) => {
            let known = known.join("`, `");
            Err(format!(
                "there is no {what} `{missing}`; there are `{known}`"
            ))
        }
        None => Ok(format!("each {what} is there: `{}`", wanted.join("`, `"))),
    }
}

/// Custom fields that are known by their numbers, as a list.
pub(in crate::trackers) fn numbered<T>(
    product: &str,
    custom: &[(String, String)],
) -> Result<Value, Called<T>> {
    let one = |(name, value): &(String, String)| match name.parse::<u64>() {
        Ok(id) => Ok(serde_json::json!({ "id": id, "value": value })),
        Err(_) => Err(Called::Refused {
            reason: format!("{product} knows its fields by numbers, and `{name}` is none"),
            field: Some(name.clone()),
        }),
    };
    custom.iter().map(one).collect()
}

/// The names in the answer to a list; the reason if it is none.
pub(in crate::trackers) fn names_of(
    list: Called<Answer>,
    key: &str,
) -> Result<Vec<String>, String> {
    match list {
        Called::Done(answer) => match answer.json().as_array() {
            Some(items) => Ok(items.iter().map(|item| word(item, key)).collect()),
            None => Err("the answer is no list".to_owned()),
        },
        other => Err(other.why().to_owned()),
    }
}

/// The answer is not this product's: it is not known what was done.
pub(in crate::trackers) fn not_theirs<T>(product: &str, answer: &Answer) -> Called<T> {
    Called::Unknown {
        reason: format!("the answer is not {product}'s: {}", answer.said()),
        after: None,
    }
}

/// A sentence on the tracker's clock.
pub(in crate::trackers) fn clock(theirs: Option<Time>, ours: Time) -> Result<String, String> {
    let Some(theirs) = theirs else {
        return Err("the answer has no date: the clocks cannot be compared".to_owned());
    };
    let apart = theirs.since(ours).max(ours.since(theirs));
    let sentence = format!("the clocks differ by {} s", apart.as_secs());
    if apart > CLOCK_DIFFERENCE_MAX {
        Err(format!("{sentence}: set one of them right"))
    } else {
        Ok(sentence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_split_from_the_subject() {
        let (subject, key) = split_key("web-1 is down [ab-12ef]");
        assert_eq!(
            (subject.as_str(), key.as_str()),
            ("web-1 is down", "ab-12ef")
        );
        assert_eq!(split_key("disk [sda]").1, "");
        assert_eq!(split_key("disk [ab-1").1, "");
    }

    #[test]
    fn statuses_are_read_back_as_written() {
        let statuses = Statuses::of_names([
            "new", "open", "stalled", "stalled", "resolved", "resolved", "rejected",
        ]);
        for status in [
            TicketStatus::New,
            TicketStatus::Open,
            TicketStatus::WaitingCustomer,
            TicketStatus::Resolved,
            TicketStatus::Gone,
        ] {
            assert_eq!(statuses.read(statuses.name(status)), status);
        }
        assert_eq!(statuses.read("in review"), TicketStatus::Open);
    }

    #[test]
    fn severities_are_read_back_where_the_word_is_their_own() {
        let own = Severities::of_words(["1", "2", "3", "4", "5"]);
        assert_eq!(own.read("2"), Some(Severity::S2));
        assert_eq!(own.read("5"), None);
        let shared = Severities::of_words(["high", "high", "normal", "low", "low"]);
        assert_eq!(shared.read("high"), None);
        assert_eq!(shared.read("normal"), Some(Severity::S3));
        assert_eq!(shared.read("?"), None);
    }

    #[test]
    fn times_of_servers_are_read_in_their_zone() {
        let zone = Zone::named("Europe/Berlin").unwrap();
        let time = Time::parse_rfc3339("2026-11-25T02:13:00Z").unwrap();
        assert_eq!(zone.read("2026-11-25 03:13:00"), Some(time));
        assert_eq!(zone.write(time), "2026-11-25 03:13:00");
        assert_eq!(Zone::named("").unwrap().write(time), "2026-11-25 02:13:00");
        assert!(Zone::named("Mars/Base").is_err());
    }

    #[test]
    fn parts_of_paths_are_encoded() {
        assert_eq!(path_part("Über uns/x"), "%C3%9Cber%20uns%2Fx");
    }
}
