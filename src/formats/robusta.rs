//! Robusta's webhook sink: JSON, cut off behind any field when it grows too long, or plain lines
//! with the title first.

use super::draft::{Draft, key_of};
use super::fields::{Fields, holds};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, words};
use crate::model::{Event, EventState, SeverityHint};

/// Robusta.
pub struct Robusta;

const RESOLVED: &str = "[RESOLVED]";

impl Format for Robusta {
    fn name(&self) -> &'static str {
        "robusta"
    }

    fn about(&self) -> About {
        About {
            title: "Robusta (Kubernetes)",
            says: "problem, recovery, change notice",
            identity: "cluster and fingerprint; text form: cluster and title",
            auth: "header",
        }
    }

    fn detect(&self, request: &Request) -> Detection {
        if holds(request, &["cluster_name", "finding_type"])
            || holds(request, &["cluster_name", "aggregation_key"])
        {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let lines = fields
            .as_text()
            .or_else(|| fields.text("text").filter(|_| !fields.has("title")));
        match lines {
            Some(lines) => text(&lines),
            None => finding(fields),
        }
        .map(Decoded::one)
    }
}

fn finding(fields: Fields) -> Result<Event, Undecodable> {
    let cluster = fields.word("cluster_name");
    let identity = fields
        .text("fingerprint")
        .and_then(|fingerprint| key_of(&[&cluster, &fingerprint]));
    let title = fields.word("title");
    let over = title.starts_with(RESOLVED);
    let notice = matches!(
        fields.word("finding_type").as_str(),
        "CONF_CHANGE" | "REPORT" | "AI_ANALYSIS"
    );
    let state = match (over, notice) {
        (true, _) => EventState::Resolved,
        (false, true) => EventState::Info,
        (false, false) => EventState::Firing,
    };
    let severity = fields.text("severity");
    let own = [("low", SeverityHint::Unknown)];
    let (hint, odd) = words::judged_hint("severity", severity.as_deref(), &own);
    let subject = fields.at("subject");
    let mut draft = Draft::new(state, identity, "`fingerprint`")?
        .dedup_key(fields.text("fingerprint"))
        .site(fields.text("cluster_name"))
        .host(subject.text("node"))
        .component(subject.text("name"))
        .check(fields.text("aggregation_key"))
        .severity(severity, hint)
        .summary(Some(title).filter(|title| !title.is_empty()))
        .details(fields.text("description"))
        .label("source", fields.text("source"))
        .label("finding_type", fields.text("finding_type"))
        .label("namespace", subject.text("namespace"))
        .label("kind", subject.text("kind"))
        .labels(subject.labels("labels"))
        .starts_at(fields.time("starts_at"))
        .problem(odd);
    for link in fields.list("links") {
        draft = draft.link(link.text("url"));
    }
    if over {
        draft = draft.ends_at(fields.time("ends_at"));
    }
    Ok(draft.finish_with_signals())
}

/// The title, then `Source: cluster` and the description.
fn text(lines: &str) -> Result<Event, Undecodable> {
    let mut filled = lines.lines().map(str::trim).filter(|line| !line.is_empty());
    let title = filled.next().unwrap_or("").trim_matches('*').trim();
    let over = title.starts_with(RESOLVED);
    let name = title.trim_start_matches(RESOLVED).trim();
    let cluster = lines
        .lines()
        .find_map(|line| line.trim().strip_prefix("Source:"))
        .map(str::trim);
    let identity = cluster.and_then(|cluster| key_of(&[cluster, "", name]));
    let state = if over {
        EventState::Resolved
    } else {
        EventState::Firing
    };
    let draft = Draft::new(state, identity, "a title and a line `Source: CLUSTER`")?
        .site(cluster.map(str::to_owned))
        .summary(title.to_owned())
        .details(lines.to_owned());
    Ok(draft.finish_with_signals())
}
