//! Sentry: webhooks of the integration platform (issue alerts, issues, metric alerts) and of the
//! older plugin. Issue alerts never resolve by themselves; the issue's own webhooks do that under
//! the same identity.

use super::draft::Draft;
use super::fields::{Fields, holds};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, words};
use crate::model::{Event, EventState, Identity, SeverityHint, Suppressed};

/// Sentry.
pub struct Sentry;

/// A fatal error ends one request or process; it does not prove that a service is down.
const LEVELS: [(&str, SeverityHint); 1] = [("fatal", SeverityHint::Degradation)];

const ISSUE_ACTIONS: [(&str, EventState); 6] = [
    ("created", EventState::Firing),
    ("unresolved", EventState::Firing),
    ("resolved", EventState::Resolved),
    ("assigned", EventState::Info),
    ("archived", EventState::Info),
    ("ignored", EventState::Info),
];

impl Format for Sentry {
    fn name(&self) -> &'static str {
        "sentry"
    }

    fn about(&self) -> About {
        About {
            title: "Sentry (integration platform, older plugin)",
            says: "problem, repeat, archived, reopened, recovery",
            identity: "issue id; metric alerts: alert id",
            auth: "HMAC (Sentry-Hook-Signature); older plugin: secret in the URL",
        }
    }

    fn detect(&self, request: &Request) -> Detection {
        let platform = request.header("sentry-hook-resource").is_some()
            || (holds(request, &["action", "installation.uuid", "data"]));
        let plugin = holds(request, &["project_slug", "culprit", "event"])
            || holds(request, &["triggering_rules", "event"]);
        if platform || plugin {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let data = fields.at("data");
        let event = if data.has("metric_alert") {
            metric(fields, data)
        } else if data.has("issue") {
            issue(fields, data.at("issue"))
        } else if data.has("event") {
            happened(data.at("event"), data.text("triggered_rule"))
        } else if data.has("error") {
            happened(data.at("error"), None)
        } else if fields.has("event") {
            plugin(fields)
        } else if fields.has("action") && fields.has("installation") {
            let action = fields.word("action");
            let kind = request
                .header("sentry-hook-resource")
                .unwrap_or("installation");
            return Ok(Decoded::ignored(format!(
                "`{kind}` `{action}` of Sentry is no alert"
            )));
        } else {
            return Err(Undecodable::because(
                "`data.event`, `data.issue` or `data.metric_alert` was expected",
            ));
        }?;
        Ok(Decoded::one(event))
    }
}

fn identity_of(issue: Option<String>) -> Option<Identity> {
    issue.and_then(|id| Identity::key(format!("issue/{id}")))
}

/// Tags come as pairs.
fn tags_of(event: Fields) -> Vec<(String, String)> {
    event
        .list("tags")
        .into_iter()
        .filter_map(|pair| Some((pair.text("0")?, pair.text("1")?)))
        .collect()
}

fn described(draft: Draft, event: Fields) -> Draft {
    let tags = tags_of(event);
    let server = tags.iter().find(|(name, _)| name == "server_name");
    let host = server.map(|(_, value)| value.clone());
    let parts = [event.word("metadata.type"), event.word("metadata.value")];
    draft
        .host(host)
        .check(event.text("culprit"))
        .summary(event.first(&["title", "message", "culprit"]))
        .details(parts.join(": ").trim_matches([':', ' ']).to_owned())
        .label("environment", event.text("environment"))
        .label("release", event.text("release"))
        .label("platform", event.text("platform"))
        .labels(tags)
        .link(event.first(&["web_url", "url"]))
}

fn happened(event: Fields, rule: Option<String>) -> Result<Event, Undecodable> {
    let level = event.text("level");
    let (hint, odd) = words::judged_hint("level", level.as_deref(), &LEVELS);
    let identity = identity_of(event.first(&["issue_id", "issue.id"]));
    let draft = Draft::new(EventState::Firing, identity, "`data.event.issue_id`")?
        .severity(level, hint)
        .label("rule", rule)
        .starts_at(event.first_time(&["datetime", "timestamp"]))
        .problem(odd);
    Ok(described(draft, event).finish_with_signals())
}

fn plugin(fields: Fields) -> Result<Event, Undecodable> {
    let level = fields.text("level");
    let (hint, odd) = words::judged_hint("level", level.as_deref(), &LEVELS);
    let event = fields.at("event");
    let draft = Draft::new(EventState::Firing, identity_of(fields.text("id")), "`id`")?
        .severity(level, hint)
        .label("rule", fields.text("triggering_rules.0"))
        .label("project", fields.text("project_slug"))
        .link(fields.text("url"))
        .starts_at(event.time("timestamp"))
        .problem(odd);
    Ok(described(draft, event).finish_with_signals())
}

fn issue(fields: Fields, issue: Fields) -> Result<Event, Undecodable> {
    let action = fields.text("action");
    let (state, odd) = words::judged_state("action", action.as_deref(), &ISSUE_ACTIONS);
    let muted = matches!(action.as_deref(), Some("archived" | "ignored"));
    let level = issue.text("level");
    let (hint, odd_word) = words::judged_hint("level", level.as_deref(), &LEVELS);
    let draft = Draft::new(state, identity_of(issue.text("id")), "`data.issue.id`")?
        .severity(level, hint)
        .dedup_key(issue.text("shortId"))
        .check(issue.text("culprit"))
        .summary(issue.first(&["title", "shortId"]))
        .details(issue.text("metadata.value"))
        .label("project", issue.first(&["project.slug", "project"]))
        .label("priority", issue.text("priority"))
        .label("substatus", issue.text("substatus"))
        .label("actor", fields.text("actor.name"))
        .link(issue.first(&["web_url", "permalink"]))
        .starts_at(issue.time("firstSeen"))
        .suppressed(muted.then_some(Suppressed::Downtime))
        .problem(odd)
        .problem(odd_word);
    Ok(draft.finish_with_signals())
}

fn metric(fields: Fields, data: Fields) -> Result<Event, Undecodable> {
    let alert = data.at("metric_alert");
    let action = fields.text("action");
    let (state, odd) = words::judged_state("action", action.as_deref(), &[]);
    let severity = action.filter(|_| state == EventState::Firing);
    let (hint, odd_word) = words::judged_hint("action", severity.as_deref(), &[]);
    let identity = alert
        .text("id")
        .and_then(|id| Identity::key(format!("metric/{id}")));
    let draft = Draft::new(state, identity, "`data.metric_alert.id`")?
        .check(alert.first(&["alert_rule.name", "title"]))
        .severity(severity, hint)
        .summary(data.first(&["description_title", "metric_alert.title"]))
        .details(data.text("description_text"))
        .label("environment", alert.text("alert_rule.environment"))
        .label("project", alert.text("projects.0"))
        .label("query", alert.text("alert_rule.query"))
        .link(data.text("web_url"))
        .starts_at(alert.first_time(&["date_started", "date_detected"]))
        .problem(odd)
        .problem(odd_word);
    Ok(if state == EventState::Resolved {
        draft.ends_at(alert.time("date_closed"))
    } else {
        draft
    }
    .finish_with_signals())
}
