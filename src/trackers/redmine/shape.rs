//! Redmine's shapes. Pure.

use super::config::Markup;
use crate::trackers::text;
pub(super) use crate::trackers::text::last_line;
use crate::trackers::words::word;
use serde_json::Value;
use std::collections::BTreeMap;

/// Ids of named things by name, and which statuses are closed.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    /// Statuses.
    pub statuses: BTreeMap<String, u64>,
    /// Statuses that Redmine calls closed.
    pub closed: Vec<String>,
    /// Priorities.
    pub priorities: BTreeMap<String, u64>,
    /// Trackers.
    pub trackers: BTreeMap<String, u64>,
}

impl Names {
    /// The name of a status by its id as text.
    pub fn status_name(&self, id: &str) -> &str {
        name_of(&self.statuses, id)
    }

    /// The name of a priority by its id as text.
    pub fn priority_name(&self, id: &str) -> &str {
        name_of(&self.priorities, id)
    }
}

fn name_of<'a>(names: &'a BTreeMap<String, u64>, id: &str) -> &'a str {
    let id: Option<u64> = id.parse().ok();
    names
        .iter()
        .find(|(_, known)| Some(**known) == id)
        .map_or("", |(name, _)| name)
}

/// Names and ids of a list.
pub(super) fn names(answer: &Value, list: &str) -> BTreeMap<String, u64> {
    let items = answer[list].as_array().into_iter().flatten();
    items
        .filter_map(|item| Some((word(item, "name"), item["id"].as_u64()?)))
        .collect()
}

/// Ids of the custom fields that an issue or project shows, by name.
pub(super) fn custom_field_ids(fields: &Value) -> BTreeMap<String, u64> {
    let items = fields.as_array().into_iter().flatten();
    items
        .filter_map(|item| Some((word(item, "name"), item["id"].as_u64()?)))
        .collect()
}

/// The value of a custom field; empty if there is none.
pub(super) fn custom_value(issue: &Value, name: &str) -> String {
    let items = issue["custom_fields"].as_array().into_iter().flatten();
    items
        .filter(|item| word(item, "name") == name)
        .map(|item| word(item, "value"))
        .next()
        .unwrap_or_default()
}

/// Text of alerts as Redmine shows it without reading it, with `last` as its last line.
pub(super) fn body(markup: Markup, text: &str, last: &str) -> String {
    let text = text::plain(text);
    let shown = match markup {
        Markup::Textile => {
            let text = text.replace("</", "< /");
            format!("<pre>\n{text}\n</pre>")
        }
        // Who is mentioned is looked for outside of fences, and a fence in the text counts as one.
        Markup::Markdown => text::fenced(&text::without_mentions(&text)),
        Markup::None => text::without_mentions(&text),
    };
    format!("{shown}\n\n{last}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_of_alerts_stays_inside() {
        let shown = body(Markup::Textile, "a </pre> !x! {{include(y)}}", "ab-1");
        assert_eq!(shown, "<pre>\na < /pre> !x! {{include(y)}}\n</pre>\n\nab-1");
        assert_eq!(last_line(&shown), "ab-1");
        for markup in [Markup::Markdown, Markup::None] {
            let shown = body(markup, "a\n~~~\n@admin b", "ab-1");
            assert!(shown.contains("@ admin"), "{shown}");
        }
        assert_eq!(last_line("a\r\nab-2\r\n\r\n"), "ab-2");
        assert_eq!(last_line(""), "");
    }

    #[test]
    fn names_are_found_by_id() {
        let answer = json!({ "issue_statuses": [{ "id": 4, "name": "Feedback" }] });
        let names = Names {
            statuses: names(&answer, "issue_statuses"),
            ..Names::default()
        };
        assert_eq!(names.status_name("4"), "Feedback");
        assert_eq!(names.status_name("9"), "");
        assert_eq!(names.status_name(""), "");
    }
}
