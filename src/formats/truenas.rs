//! TrueNAS by its Slack, Mattermost and VictorOps services. A chat text lists new, cleared and
//! current alerts of one host: each item of the first two lists is an event, told by host and the
//! first clause of its text without counts. VictorOps messages have an id.

use super::draft::Draft;
use super::fields::{Fields, mentions, mentions_any};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, signals};
use crate::limits::SKELETON_BYTES_MAX;
use crate::model::{ComponentKind, Event, EventState, Identity, SeverityHint};

/// TrueNAS.
pub struct Truenas;

impl Format for Truenas {
    fn name(&self) -> &'static str {
        "truenas"
    }

    fn about(&self) -> About {
        About {
            title: "TrueNAS CORE and SCALE (Slack, Mattermost, VictorOps services)",
            says: "problem, recovery, several in one, test",
            identity: "host and text without counts; VictorOps: entity id",
            auth: "token in URL, address",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"text":"TrueNAS @ alertbridge-test\n\nNew alert:\n\n * Test alert of the bridge.\n"}"#,
            r#"{"text":"TrueNAS @ alertbridge-test\n\nThe following alert has been cleared:\n\n * Test alert of the bridge.\n"}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        if mentions_any(request, &["\"TrueNAS @ ", "\"FreeNAS @ "]) {
            return Detection::Certain;
        }
        if mentions(
            request,
            &[
                "\"message_type\"",
                "\"entity_id\"",
                "\"entity_display_name\"",
            ],
        ) {
            return Detection::Possible;
        }
        Detection::No
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        if fields.has("message_type") || fields.has("entity_id") {
            return by_id(fields).map(|event| Decoded {
                events: vec![event],
                ..Decoded::default()
            });
        }
        let text = fields
            .first(&["text", "message"])
            .or_else(|| fields.as_text())
            .unwrap_or_default();
        let text = unescaped(&text);
        let host = text.lines().next().and_then(|line| line.split_once(" @ "));
        let Some((_, host)) = host else {
            return Err(Undecodable::because(
                "the text does not begin with `TrueNAS @ HOST`",
            ));
        };
        let host = host.trim();
        if text.contains("This is a test alert") {
            return Ok(Decoded::ignored("a test of the alert service"));
        }
        let items = items(&text);
        if items.is_empty() {
            return Ok(Decoded::ignored("no new and no cleared alert is listed"));
        }
        Decoded::from_members(
            items
                .into_iter()
                .map(|(state, item)| event(host, state, &item)),
        )
    }
}

fn by_id(fields: Fields) -> Result<Event, Undecodable> {
    let word = fields.word("message_type");
    let (state, problem) = match word.as_str() {
        "CRITICAL" | "WARNING" => (EventState::Firing, None),
        "ACKNOWLEDGEMENT" => (EventState::Acknowledged, None),
        "RECOVERY" => (EventState::Resolved, None),
        "INFO" => (EventState::Info, None),
        other => {
            let problem = format!("the message_type `{other}` is not known: taken as CRITICAL");
            (EventState::Firing, Some(problem))
        }
    };
    let text = fields.first(&["state_message", "entity_display_name"]);
    let draft = Draft::new(
        state,
        fields.text("entity_id").and_then(Identity::key),
        "`entity_id`",
    )?
    .severity(
        (!word.is_empty()).then_some(word),
        SeverityHint::Degradation,
    )
    .summary(fields.first(&["entity_display_name", "state_message"]))
    .details(text.clone())
    .problem(problem);
    Ok(judged(draft, text.as_deref().unwrap_or("")))
}

/// The items of the lists of new and cleared alerts.
fn items(text: &str) -> Vec<(EventState, String)> {
    let mut found: Vec<(EventState, String)> = Vec::new();
    let mut list = None;
    // A line like `The following devices are not healthy:` begins a list inside an item.
    let mut inner = false;
    for line in text.lines().skip(1) {
        let trimmed = line.trim();
        let lower = trimmed.to_lowercase();
        if lower.starts_with("new alert") {
            (list, inner) = (Some(EventState::Firing), false);
        } else if lower.ends_with("been cleared:") {
            (list, inner) = (Some(EventState::Resolved), false);
        } else if lower.starts_with("current alert") {
            list = None;
        } else if let Some(state) = list {
            match trimmed.strip_prefix("* ") {
                Some(item) if !inner => found.push((state, item.to_owned())),
                _ => {
                    inner |= trimmed.ends_with(':');
                    if let Some((_, item)) = found.last_mut().filter(|_| !trimmed.is_empty()) {
                        item.push('\n');
                        item.push_str(trimmed);
                    }
                }
            }
        }
    }
    found
}

fn event(host: &str, state: EventState, item: &str) -> Result<Event, Undecodable> {
    let skeleton = skeleton(item);
    let key = (!skeleton.is_empty()).then(|| format!("{host}/{skeleton}"));
    let first = item.lines().next().unwrap_or("").to_owned();
    let draft = Draft::new(state, key.and_then(Identity::key), "the text of the alert")?
        .host(Some(host.to_owned()))
        .check(Some(skeleton))
        .hint(SeverityHint::Unknown)
        .summary(format!("{host}: {first}"))
        .details(item.to_owned());
    Ok(judged(draft, item))
}

/// The first clause, with counts masked: what follows differs between the lists of one alert.
fn skeleton(item: &str) -> String {
    let line = item.lines().next().unwrap_or("");
    let sentence = line.split(". ").next().unwrap_or("").trim_end_matches('.');
    // `Pool tank state is DEGRADED: ...`, but not `Device: /dev/sda ...`.
    let clause = match sentence.split_once(": ") {
        Some((clause, _)) if clause.split_whitespace().count() >= 4 => clause,
        _ => sentence,
    };
    let words: Vec<&str> = clause
        .split_whitespace()
        .map(|word| {
            let number = word.trim_end_matches(['%', ',', '.']);
            let counts = number.parse::<f64>().is_ok();
            if counts { "#" } else { word }
        })
        .collect();
    crate::model::text::bounded(&words.join(" "), SKELETON_BYTES_MAX)
}

/// What the page of signals says about the texts of TrueNAS.
fn judged(draft: Draft, text: &str) -> Event {
    let mut event = draft.finish();
    let lower = text.to_lowercase();
    let dead = ["unavail", "suspended", "faulted:"]
        .iter()
        .any(|word| lower.contains(&format!("state is {word}")))
        || lower.contains("state is faulted");
    let (kind, hint) = if lower.contains("pool ") && dead {
        (Some(ComponentKind::Array), SeverityHint::Outage)
    } else if lower.contains("state is degraded") {
        (Some(ComponentKind::Array), SeverityHint::Redundancy)
    } else if lower.contains("bond ") || lower.contains("bond interface") {
        (Some(ComponentKind::Link), SeverityHint::Redundancy)
    } else if lower.contains("on battery") {
        (Some(ComponentKind::Power), SeverityHint::Redundancy)
    } else if lower.contains("failover") {
        (Some(ComponentKind::Member), SeverityHint::Redundancy)
    } else if lower.contains("space usage") || lower.contains("capacity") {
        (Some(ComponentKind::Resource), SeverityHint::Degradation)
    } else {
        signals::apply(&mut event);
        return event;
    };
    event.component_kind = kind;
    event.severity_hint = hint;
    event
}

/// Slack texts have three characters escaped.
fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_what_follows_the_first_clause_are_left_out() {
        assert_eq!(
            skeleton("Pool tank state is DEGRADED: One or more devices. More text."),
            "Pool tank state is DEGRADED"
        );
        assert_eq!(
            skeleton("Device: /dev/sda [SAT], 8 Currently unreadable (pending) sectors."),
            "Device: /dev/sda [SAT], # Currently unreadable (pending) sectors"
        );
        assert_ne!(
            skeleton("Device: /dev/sda x"),
            skeleton("Device: /dev/sdb x")
        );
    }
}
