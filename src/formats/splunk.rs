//! Splunk's webhook alert action: the search's name and the first row of its result. State and
//! severity exist only if the search writes them into the row.

use super::draft::{Draft, key_of};
use super::fields::{Fields, bare_host, holds};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, words};
use crate::model::EventState;

/// Splunk.
pub struct Splunk;

/// Columns that name the thing a row is about; those present make the identity.
const OBJECTS: [&str; 9] = [
    "host",
    "device",
    "dvc",
    "component",
    "interface",
    "service",
    "src",
    "dest",
    "object",
];

impl Format for Splunk {
    fn name(&self) -> &'static str {
        "splunk"
    }

    fn about(&self) -> About {
        About {
            title: "Splunk (webhook alert action)",
            says: "problem, repeat; recovery if the search writes a `status`",
            identity: "search name and the row's host, device, component, interface, service, src, dest",
            auth: "secret in the URL",
        }
    }

    fn detect(&self, request: &Request) -> Detection {
        if holds(request, &["sid", "results_link"]) || holds(request, &["sid", "owner", "result"]) {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let row = fields.at("result");
        let name = fields.text("search_name");
        let objects: Vec<(String, String)> = OBJECTS
            .iter()
            .filter_map(|column| Some(((*column).to_owned(), row.text(column)?)))
            .collect();
        let identity = match &name {
            Some(name) => {
                let mut parts = vec![name.as_str()];
                for (column, value) in &objects {
                    parts.extend([column.as_str(), value.as_str()]);
                }
                key_of(&parts)
            }
            None => match (fields.text("owner"), fields.text("app")) {
                (Some(owner), Some(app)) => key_of(&["", &owner, &app]),
                _ => None,
            },
        };
        let (state, odd) = match row.first(&["status", "state", "alert_state"]) {
            Some(word) => words::judged_state("result.status", Some(&word), &[]),
            None => (EventState::Firing, None),
        };
        let severity = row.first(&["severity", "urgency", "priority"]);
        let (hint, odd_word) = words::judged_hint("result.severity", severity.as_deref(), &[]);
        let named = |wanted: &[&str]| {
            let found = objects
                .iter()
                .find(|(column, _)| wanted.contains(&column.as_str()));
            found.map(|(_, value)| value.clone())
        };
        let host = named(&["host", "device", "dvc"]);
        let what: Vec<&str> = objects.iter().map(|(_, value)| value.as_str()).collect();
        let title = name.clone().unwrap_or_else(|| "ad hoc search".to_owned());
        let summary = if what.is_empty() {
            title
        } else {
            format!("{title}: {}", what.join(" "))
        };
        let mut details = Vec::new();
        for (column, value) in row.entries() {
            if !column.starts_with("__mv_") {
                let shown = value.as_word().unwrap_or_else(|| value.value().to_string());
                details.push(format!("{column}: {shown}"));
            }
        }
        let draft = Draft::new(state, identity, "`search_name`, or `owner` and `app`")?
            .host(host.map(|host| bare_host(&host)))
            .component(named(&["component", "interface"]))
            .check(name)
            .severity(severity, hint)
            .summary(summary)
            .details(details.join("\n"))
            .label("app", fields.text("app"))
            .label("owner", fields.text("owner"))
            .labels(objects.iter().cloned())
            .link(fields.text("results_link"))
            .sent_at(row.time("_time"))
            .problem(odd)
            .problem(odd_word);
        Ok(Decoded::one(draft.finish_with_signals()))
    }
}
