//! Munin: a contact's command with a text of ours that lists a graph's fields by level. It sends on
//! changes only; each field is an event of its own, told by group, host, graph and field.

use super::draft::{Draft, key_of};
use super::fields::{Fields, mentions, names_source};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, signals};
use crate::model::{Event, EventState, SeverityHint};

/// Munin.
pub struct Munin;

/// The lists, and what a field in them is.
const LEVELS: [(&str, EventState, SeverityHint); 5] = [
    ("critical", EventState::Firing, SeverityHint::Outage),
    ("warning", EventState::Firing, SeverityHint::Degradation),
    ("unknown", EventState::Firing, SeverityHint::Unknown),
    ("ok", EventState::Resolved, SeverityHint::Unknown),
    ("foks", EventState::Resolved, SeverityHint::Unknown),
];

impl Format for Munin {
    fn name(&self) -> &'static str {
        "munin"
    }

    fn about(&self) -> About {
        About {
            title: "Munin (contact command)",
            says: "problem, severity change, recovery, several in one",
            identity: "group, host, graph, field",
            auth: "header, basic, address",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"group":"test","host":"alertbridge-test","graph_category":"test","graph_title":"test","warning":[{"label":"test","value":"1"}],"critical":[],"ok":[]}"#,
            r#"{"group":"test","host":"alertbridge-test","graph_category":"test","graph_title":"test","warning":[],"critical":[],"ok":[{"label":"test","value":"1"}]}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        let lists = mentions(
            request,
            &["\"graph_title\"", "\"graph_category\"", "\"host\""],
        );
        if lists || names_source(request, "munin") {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let graph = Fields::of(&body.value);
        let mut members = Vec::new();
        for (level, state, hint) in LEVELS {
            for field in graph.list(level) {
                members.push(event(graph, field, level, state, hint));
            }
        }
        if members.is_empty() {
            return Err(Undecodable::because(
                "no field is listed: `critical`, `warning`, `unknown` and `ok` are missing or empty",
            ));
        }
        Decoded::from_members(members)
    }
}

fn event(
    graph: Fields,
    field: Fields,
    level: &str,
    state: EventState,
    hint: SeverityHint,
) -> Result<Event, Undecodable> {
    let host = graph.text("host");
    let title = graph.first(&["plugin", "graph_title"]);
    let name = field.text("label");
    let key = match (&host, &title, &name) {
        (Some(host), Some(title), Some(name)) => key_of(&[&graph.word("group"), host, title, name]),
        _ => None,
    };
    let value = field.text("value");
    let named = [host.as_deref(), title.as_deref(), name.as_deref()];
    let named: Vec<&str> = named.into_iter().flatten().collect();
    let ranges = [field.text("wrange"), field.text("crange")];
    let ranges: Vec<String> = ranges.into_iter().flatten().collect();
    let mut event = Draft::new(state, key, "`host` with `graph_title` and `label`")?
        .host(host.clone())
        .check(name.clone())
        .severity(Some(level.to_owned()), hint)
        .summary(match &value {
            Some(value) => format!("{} is {level}: {value}", named.join(" ")),
            None => format!("{} is {level}", named.join(" ")),
        })
        .details(field.text("extinfo"))
        .label("group", graph.text("group"))
        .label("category", graph.text("graph_category"))
        .label("ranges", (!ranges.is_empty()).then(|| ranges.join(" ")))
        .finish();
    signals::apply_check(&mut event);
    Ok(event)
}
