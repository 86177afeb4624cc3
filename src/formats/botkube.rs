//! Botkube's webhook sink: what Kubernetes says about an object. There is no recovery; `success`
//! and `info` are notices.

use super::draft::{Draft, key_of};
use super::fields::{Fields, holds};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, words};
use crate::model::EventState;

/// Botkube.
pub struct Botkube;

const LEVELS: [(&str, EventState); 3] = [
    ("success", EventState::Info),
    ("info", EventState::Info),
    ("debug", EventState::Info),
];

impl Format for Botkube {
    fn name(&self) -> &'static str {
        "botkube"
    }

    fn about(&self) -> About {
        About {
            title: "Botkube (Kubernetes)",
            says: "problem, notice",
            identity: "cluster, namespace, kind, name and reason",
            auth: "secret in the URL",
        }
    }

    fn detect(&self, request: &Request) -> Detection {
        if holds(request, &["source", "data.Kind", "data.Level"])
            || holds(request, &["source", "data.Cluster", "timeStamp"])
        {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let data = fields.at("data");
        let part = |name: &str| data.word(name);
        let identity = match (&data.text("Kind"), &data.text("Name")) {
            (Some(kind), Some(name)) => key_of(&[
                &part("Cluster"),
                &part("Namespace"),
                kind,
                name,
                &part("Reason"),
            ]),
            _ => None,
        };
        let level = data.first(&["Level", "Type"]);
        let (state, odd) = words::judged_state("data.Level", level.as_deref(), &LEVELS);
        let (hint, odd_word) = words::judged_hint("data.Level", level.as_deref(), &[]);
        let odd_word = odd_word.filter(|_| state == EventState::Firing);
        let messages: Vec<String> = data
            .list("Messages")
            .into_iter()
            .filter_map(Fields::as_text)
            .collect();
        let (name, reason) = (data.text("Name"), data.text("Reason"));
        let summary = match (&name, &reason) {
            (Some(name), Some(reason)) => Some(format!("{} {name}: {reason}", part("Kind"))),
            _ => data.text("Title"),
        };
        let draft = Draft::new(state, identity, "`data.Kind` and `data.Name`")?
            .site(data.text("Cluster"))
            .component(name)
            .check(reason)
            .severity(level, hint)
            .summary(summary)
            .details(messages.join("\n"))
            .label("namespace", data.text("Namespace"))
            .label("kind", data.text("Kind"))
            .label("source", fields.text("source"))
            .starts_at(data.time("TimeStamp"))
            .problem(odd)
            .problem(odd_word);
        Ok(Decoded::one(draft.finish_with_signals()))
    }
}
