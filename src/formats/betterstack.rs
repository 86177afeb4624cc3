//! Better Stack (Better Uptime): incident webhooks, whose times say the state better than their
//! `status`, and the user's own template. The oldest hook posts only an id and expects to be asked
//! back; it says nothing by itself.

use super::draft::Draft;
use super::fields::{Fields, holds, host_of_url};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, words};
use crate::model::{Event, EventState, Identity, SeverityHint};

/// Better Stack.
pub struct BetterStack;

impl Format for BetterStack {
    fn name(&self) -> &'static str {
        "betterstack"
    }

    fn about(&self) -> About {
        About {
            title: "Better Stack (Better Uptime)",
            says: "problem, acknowledged, recovery",
            identity: "incident id",
            auth: "header, secret in the URL",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"data":{"id":"alertbridge-test","type":"incident","attributes":{"name":"alertbridge-test","cause":"test","started_at":"2026-01-01T00:00:00Z"}}}"#,
            r#"{"data":{"id":"alertbridge-test","type":"incident","attributes":{"name":"alertbridge-test","cause":"test","started_at":"2026-01-01T00:00:00Z","resolved_at":"2026-01-01T00:01:00Z"}}}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        if holds(request, &["data.id", "data.attributes.started_at"])
            || holds(request, &["data.id", "data.attributes.cause"])
            || holds(request, &["incident_id", "Cause"])
        {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        if fields.has("data.attributes") {
            return incident(fields.at("data")).map(Decoded::one);
        }
        if fields.has("team_id") && !fields.has("incident_id") {
            return Err(Undecodable::because(
                "this hook carries only an id: let Better Stack send incident webhooks with a body",
            ));
        }
        template(fields).map(Decoded::one)
    }
}

fn incident(data: Fields) -> Result<Event, Undecodable> {
    let attributes = data.at("attributes");
    let identity = data.text("id").and_then(Identity::key);
    let word = attributes.text("status");
    let (state, odd) = if attributes.has("resolved_at") {
        (EventState::Resolved, None)
    } else if attributes.has("acknowledged_at") {
        (EventState::Acknowledged, None)
    } else if word.is_none() && attributes.has("started_at") {
        (EventState::Firing, None)
    } else {
        words::judged_state("status", word.as_deref(), &[])
    };
    let url = attributes.text("url");
    let (name, cause) = (attributes.text("name"), attributes.text("cause"));
    let summary = match (&name, &cause) {
        (Some(name), Some(cause)) => Some(format!("{name}: {cause}")),
        (name, cause) => name.clone().or_else(|| cause.clone()),
    };
    let draft = Draft::new(state, identity, "`data.id`")?
        .host(url.as_deref().and_then(host_of_url))
        .check(name)
        .hint(hint_of(&odd))
        .summary(summary)
        .details(attributes.text("response_content"))
        .label("cause", cause)
        .label("team", attributes.text("team_name"))
        .label("monitor_id", data.text("relationships.monitor.data.id"))
        .label("acknowledged_by", attributes.text("acknowledged_by"))
        .label("resolved_by", attributes.text("resolved_by"))
        .link(attributes.text("origin_url"))
        .link(url)
        .starts_at(attributes.time("started_at"))
        .sent_at(attributes.first_time(&["resolved_at", "acknowledged_at", "started_at"]))
        .problem(odd);
    Ok(if state == EventState::Resolved {
        draft.ends_at(attributes.time("resolved_at"))
    } else {
        draft
    }
    .finish_with_signals())
}

/// An incident is a check that fails, unless its state is not understood.
fn hint_of(odd: &Option<String>) -> SeverityHint {
    match odd {
        None => SeverityHint::Outage,
        Some(_) => SeverityHint::Unknown,
    }
}

fn template(fields: Fields) -> Result<Event, Undecodable> {
    let identity = fields
        .first(&["incident_id", "INCIDENT_ID"])
        .and_then(Identity::key);
    let word = fields.first(&["event", "status", "state"]);
    let (state, odd) = words::judged_state("event", word.as_deref(), &[]);
    let name = fields.first(&["Title", "title", "Name", "name"]);
    let cause = fields.first(&["Cause", "cause"]);
    let url = fields.first(&["URL", "url"]);
    let summary = match (&name, &cause) {
        (Some(name), Some(cause)) => Some(format!("{name}: {cause}")),
        (name, cause) => name.clone().or_else(|| cause.clone()),
    };
    let draft = Draft::new(state, identity, "`incident_id`")?
        .host(url.as_deref().and_then(host_of_url))
        .check(name)
        .hint(hint_of(&odd))
        .summary(summary)
        .label("cause", cause)
        .link(url)
        .problem(odd);
    Ok(draft.finish_with_signals())
}
