//! RT's shapes and words, and ours. Pure.

use crate::model::severity::Severity;
use crate::trackers::Attachment;
use crate::trackers::client::Answer;
pub(super) use crate::trackers::words::{clock, path_part, split_key, word};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

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

/// A text of TicketSQL.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// The name of a custom field in TicketSQL.
pub(super) fn quoted_field(name: &str) -> String {
    let name: String = name.chars().filter(|c| !matches!(c, '{' | '}')).collect();
    format!("{{{name}}}")
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

/// A file as RT takes it with a ticket.
pub(super) fn attachment(file: &Attachment) -> Value {
    json!({
        "FileName": file.name,
        "FileType": file.content_type,
        "FileContent": file.base64(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_in_keys_and_names_stay_inside() {
        assert_eq!(quoted("a'b\\c"), "'a\\'b\\\\c'");
        assert_eq!(quoted_field("A}B"), "{AB}");
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
