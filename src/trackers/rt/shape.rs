//! RT's shapes and words, and ours. Pure.

use crate::model::Time;
use crate::model::severity::Severity;
use crate::model::ticket::TicketStatus;
use crate::trackers::client::Answer;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Clocks that differ by more than this confuse people who compare times.
const CLOCK_DIFFERENCE_MAX: Duration = Duration::from_secs(60);

/// The priority of each severity.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "UPPERCASE")]
pub struct Priorities {
    /// Outage of several.
    pub s1: u32,
    /// Outage of one.
    pub s2: u32,
    /// Degraded.
    pub s3: u32,
    /// Redundancy lost.
    pub s4: u32,
    /// False alarm.
    pub s5: u32,
}

impl Default for Priorities {
    fn default() -> Priorities {
        Priorities {
            s1: 100,
            s2: 80,
            s3: 50,
            s4: 20,
            s5: 0,
        }
    }
}

impl Priorities {
    /// The priority of a severity.
    pub(super) fn of(&self, severity: Severity) -> u32 {
        match severity {
            Severity::S1 => self.s1,
            Severity::S2 => self.s2,
            Severity::S3 => self.s3,
            Severity::S4 => self.s4,
            Severity::S5 => self.s5,
        }
    }

    /// The severity that has exactly this priority. A false alarm is never read from a priority:
    /// nobody who calls a ticket unimportant says that nothing was wrong.
    pub(super) fn severity(&self, priority: &str) -> Option<Severity> {
        let priority: u32 = priority.parse().ok()?;
        [Severity::S1, Severity::S2, Severity::S3, Severity::S4]
            .into_iter()
            .find(|severity| self.of(*severity) == priority)
    }
}

/// The names of the statuses in the queue's lifecycle.
#[derive(Clone, Debug, Deserialize)]
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

impl Default for Statuses {
    fn default() -> Statuses {
        Statuses {
            new: "new".to_owned(),
            open: "open".to_owned(),
            waiting_customer: "stalled".to_owned(),
            on_hold: "stalled".to_owned(),
            resolved: "resolved".to_owned(),
            closed: "resolved".to_owned(),
            rejected: "rejected".to_owned(),
        }
    }
}

impl Statuses {
    /// RT's name of a status.
    pub(super) fn name(&self, status: TicketStatus) -> &str {
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

    /// Our word for RT's name; a name that nobody configured is work in progress.
    pub(super) fn read(&self, name: &str) -> TicketStatus {
        if name == "deleted" {
            return TicketStatus::Gone;
        }
        [
            TicketStatus::New,
            TicketStatus::Open,
            TicketStatus::WaitingCustomer,
            TicketStatus::OnHold,
            TicketStatus::Resolved,
            TicketStatus::Closed,
            TicketStatus::Gone,
        ]
        .into_iter()
        .find(|status| self.name(*status) == name)
        .unwrap_or(TicketStatus::Open)
    }
}

/// A text or number of an object, as text; an object is shown by its id.
pub(super) fn word(value: &Value, key: &str) -> String {
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

/// The ticket that a ticket is now: itself, or the one it was merged into.
pub(super) fn effective_id(ticket: &Value) -> String {
    let effective = word(ticket, "EffectiveId");
    if effective.is_empty() {
        word(ticket, "id")
    } else {
        effective
    }
}

/// The queue of a ticket: its name where RT tells it, else its id; both name it in a path.
pub(super) fn queue(ticket: &Value) -> String {
    let name = word(&ticket["Queue"], "Name");
    if name.is_empty() {
        word(ticket, "Queue")
    } else {
        name
    }
}

/// Names and ids of the custom fields of a queue's tickets.
pub(super) fn custom_field_ids(queue: &Value) -> BTreeMap<String, String> {
    let list = queue["TicketCustomFields"].as_array();
    list.into_iter()
        .flatten()
        .map(|field| (word(field, "name"), word(field, "id")))
        .collect()
}

/// The first value of a custom field; empty if there is none.
pub(super) fn custom_value(ticket: &Value, name: &str) -> String {
    let fields = ticket["CustomFields"].as_array();
    let field = fields
        .into_iter()
        .flatten()
        .find(|field| !name.is_empty() && word(field, "name") == name);
    field
        .and_then(|field| field["values"].get(0))
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// A subject without the key at its end, and the key; empty if there is none.
pub(super) fn split_key(subject: &str) -> (String, String) {
    let split = subject
        .strip_suffix(']')
        .and_then(|subject| subject.rsplit_once('['))
        .filter(|(_, key)| key.starts_with("ab-") && !key.contains(' '));
    match split {
        Some((rest, key)) => (rest.trim_end().to_owned(), key.to_owned()),
        None => (subject.to_owned(), String::new()),
    }
}

/// A text of TicketSQL.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// The name of a custom field in TicketSQL.
pub(super) fn quoted_field(name: &str) -> String {
    let name: String = name.chars().filter(|c| !matches!(c, '{' | '}')).collect();
    format!("{{{name}}}")
}

/// One part of a path.
pub(super) fn path_part(text: &str) -> String {
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

/// The first field of a change that the ticket does not show.
pub(super) fn differs(change: &Value, ticket: &Value) -> Option<String> {
    ["Status", "Priority", "Subject"]
        .into_iter()
        .find(|name| {
            let wanted = word(change, name);
            !wanted.is_empty() && wanted != word(ticket, name)
        })
        .map(str::to_lowercase)
}

/// What RT said to a change.
pub(super) fn messages(answer: &Answer) -> String {
    let said = answer.json();
    let list = said.as_array().into_iter().flatten();
    let words: Vec<&str> = list.filter_map(Value::as_str).collect();
    if words.is_empty() {
        "RT gives no reason".to_owned()
    } else {
        words.join("; ")
    }
}

/// A sentence on the tracker's clock.
pub(super) fn clock(theirs: Option<Time>, ours: Time) -> Result<String, String> {
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
    fn quotes_in_keys_and_names_stay_inside() {
        assert_eq!(quoted("a'b\\c"), "'a\\'b\\\\c'");
        assert_eq!(quoted_field("A}B"), "{AB}");
        assert_eq!(path_part("Über uns/x"), "%C3%9Cber%20uns%2Fx");
    }

    #[test]
    fn statuses_are_read_back_as_written() {
        let statuses = Statuses::default();
        for status in [
            TicketStatus::New,
            TicketStatus::Open,
            TicketStatus::WaitingCustomer,
            TicketStatus::Resolved,
            TicketStatus::Gone,
        ] {
            assert_eq!(statuses.read(statuses.name(status)), status);
        }
        assert_eq!(statuses.read("deleted"), TicketStatus::Gone);
        assert_eq!(statuses.read("in review"), TicketStatus::Open);
    }

    #[test]
    fn a_low_priority_is_no_false_alarm() {
        let priorities = Priorities::default();
        assert_eq!(priorities.severity("0"), None);
        assert_eq!(priorities.severity("80"), Some(Severity::S2));
        assert_eq!(priorities.severity("77"), None);
        assert_eq!(priorities.severity(""), None);
    }
}
