//! Synology DSM 7 custom webhooks: no more than a text. The object that a text names (a pool, a
//! volume, a drive, a supply, a fan) makes the identity together with the host; a text about the
//! same object that says it was repaired ends its problem. Any other text stands for itself.

use super::draft::Draft;
use super::fields::{Fields, names_source};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, signals};
use crate::limits::SKELETON_BYTES_MAX;
use crate::model::{ComponentKind, EventState, Identity, SeverityHint};

/// Synology.
pub struct Synology;

/// What a text can be about, with its kind.
const OBJECTS: [(&str, ComponentKind); 7] = [
    ("storage pool", ComponentKind::Array),
    ("volume", ComponentKind::Array),
    ("drive", ComponentKind::Disk),
    ("disk", ComponentKind::Disk),
    ("power supply", ComponentKind::PowerSupply),
    ("fan", ComponentKind::Fan),
    ("ups", ComponentKind::Power),
];

impl Format for Synology {
    fn name(&self) -> &'static str {
        "synology"
    }

    fn about(&self) -> About {
        About {
            title: "Synology DSM",
            says: "problem, repair of the same object, test",
            identity: "host and the object that the text names, else the text",
            auth: "header, token in URL",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"source":"synology","hostname":"alertbridge-test","text":"Storage Pool 0 has degraded."}"#,
            r#"{"source":"synology","hostname":"alertbridge-test","text":"Storage Pool 0 has been repaired."}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        if names_source(request, "synology") {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let host = fields.first(&["hostname", "prefix"]);
        let Some(text) = fields.first(&["text", "message", "subject"]) else {
            if fields.unresolved("text") {
                return Ok(Decoded::ignored("a test: the text is not filled in"));
            }
            return Err(Undecodable::because("`text` is missing or empty"));
        };
        let lower = text.to_lowercase();
        let object = object_in(&lower);
        let part = match &object {
            Some((name, _)) => name.clone(),
            None => skeleton(&lower),
        };
        let key = host.as_ref().map(|host| format!("{host}/{part}"));
        let back = [
            "repaired",
            "restored",
            "recovered",
            "back to normal",
            "replaced",
        ]
        .iter()
        .any(|word| lower.contains(word));
        let state = if back && object.is_some() {
            EventState::Resolved
        } else {
            EventState::Firing
        };
        let spare = ["degraded", "redundan", "fan ", "power supply"]
            .iter()
            .any(|word| lower.contains(word));
        let hint = if lower.contains("crashed") {
            SeverityHint::Outage
        } else if spare {
            SeverityHint::Redundancy
        } else {
            SeverityHint::Unknown
        };
        let mut event = Draft::new(state, key.and_then(Identity::key), "`hostname`")?
            .host(host)
            .component(object.as_ref().map(|(name, _)| name.clone()))
            .hint(hint)
            .kind(object.map(|(_, kind)| kind))
            .summary(text.clone())
            .problem(body.repaired.map(str::to_owned))
            .test(lower.starts_with("this is a test message"))
            .finish();
        if event.component_kind.is_none() {
            signals::apply(&mut event);
        }
        Ok(Decoded {
            events: vec![event],
            ..Decoded::default()
        })
    }
}

/// The first object of the text with its number.
fn object_in(lower: &str) -> Option<(String, ComponentKind)> {
    let (at, name, kind) = OBJECTS
        .iter()
        .filter_map(|(name, kind)| Some((lower.find(name)?, *name, *kind)))
        .min_by_key(|(at, _, _)| *at)?;
    let after = lower.get(at + name.len()..)?.trim_start();
    let number: String = after.chars().take_while(char::is_ascii_digit).collect();
    Some((format!("{name} {number}").trim().to_owned(), kind))
}

/// A text without its numbers.
fn skeleton(lower: &str) -> String {
    let words: Vec<&str> = lower
        .split_whitespace()
        .map(|word| {
            if word.chars().any(|c| c.is_ascii_digit()) {
                "#"
            } else {
                word
            }
        })
        .collect();
    crate::model::text::bounded(&words.join(" "), SKELETON_BYTES_MAX)
}
