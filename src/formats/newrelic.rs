//! New Relic: workflow webhooks (issues) and the retired channel format (incidents) that still
//! comes from bridges.

use super::draft::{Draft, key_of};
use super::fields::{Fields, holds};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, words};
use crate::model::{Event, EventState, Identity, SeverityHint};

/// New Relic.
pub struct NewRelic;

/// The lowest priority of an issue is still an issue.
const PRIORITIES: [(&str, SeverityHint); 1] = [("low", SeverityHint::Unknown)];

const STATES: [(&str, EventState); 1] = [("activated", EventState::Firing)];

impl Format for NewRelic {
    fn name(&self) -> &'static str {
        "newrelic"
    }

    fn about(&self) -> About {
        About {
            title: "New Relic (workflows, older channels)",
            says: "problem, update, acknowledged, recovery, end by a time limit",
            identity: "issue id; older: `incident_id`",
            auth: "basic, bearer, header",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"id":"alertbridge-test","issueUrl":"https://one.newrelic.com/","title":"Test issue","priority":"LOW","state":"ACTIVATED","trigger":"STATE_CHANGE"}"#,
            r#"{"id":"alertbridge-test","issueUrl":"https://one.newrelic.com/","title":"Test issue","priority":"LOW","state":"CLOSED","trigger":"STATE_CHANGE"}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        let issue = holds(request, &["issueUrl", "state"])
            || holds(request, &["alertConditionNames", "totalIncidents"]);
        let older = holds(request, &["current_state", "incident_id", "condition_id"]);
        if issue || older {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let event = if fields.has("current_state") || fields.has("incident_id") {
            older(fields)
        } else {
            issue(fields)
        }?;
        Ok(Decoded::one(event))
    }
}

fn texts(fields: Fields, path: &str) -> Vec<String> {
    fields
        .list(path)
        .into_iter()
        .filter_map(Fields::as_text)
        .collect()
}

fn joined(list: &[String]) -> Option<String> {
    (!list.is_empty()).then(|| list.join(", "))
}

fn issue(fields: Fields) -> Result<Event, Undecodable> {
    let identity = fields.first(&["id", "issueId"]).and_then(Identity::key);
    let word = fields.text("state");
    let trigger = fields.word("trigger");
    let (mut state, odd) = words::judged_state("state", word.as_deref(), &STATES);
    let timed_out = matches!(trigger.as_str(), "CLOSE_TTL" | "CLOSE_INACTIVE");
    let mut note = None;
    if state == EventState::Resolved && timed_out {
        state = EventState::Info;
        note = Some(format!(
            "trigger `{trigger}`: closed by a time limit at the sender, which is no recovery"
        ));
    } else if state == EventState::Firing && fields.has("acknowledgedBy") {
        state = EventState::Acknowledged;
    }
    let severity = fields.text("priority");
    let (hint, odd_word) = words::judged_hint("priority", severity.as_deref(), &PRIORITIES);
    let entities = texts(fields, "impactedEntities");
    let only = match entities.as_slice() {
        [one] => Some(one.clone()),
        _ => None,
    };
    let conditions = texts(fields, "alertConditionNames");
    let draft = Draft::new(state, identity, "`id`")?
        .host(only)
        .check(conditions.first().cloned())
        .severity(severity, hint)
        .summary(fields.text("title"))
        .label("entities", joined(&entities))
        .label("conditions", joined(&conditions))
        .label("policies", joined(&texts(fields, "alertPolicyNames")))
        .label("trigger", fields.text("trigger"))
        .label("workflow", fields.text("workflowName"))
        .label("acknowledged_by", fields.text("acknowledgedBy"))
        .label("account", fields.text("nrAccountId"))
        .link(fields.text("issueUrl"))
        .link(fields.text("violationChartUrl"))
        .starts_at(fields.time("createdAt"))
        .sent_at(fields.time("updatedAt"))
        .problem(odd)
        .problem(odd_word)
        .problem(note);
    Ok(if state == EventState::Resolved {
        draft.ends_at(fields.first_time(&["closedAt", "updatedAt"]))
    } else {
        draft
    }
    .finish_with_signals())
}

fn older(fields: Fields) -> Result<Event, Undecodable> {
    let account = fields.word("account_id");
    let identity = fields
        .text("incident_id")
        .and_then(|id| key_of(&["incident", &account, &id]));
    let word = fields.text("current_state");
    let (state, odd) = words::judged_state("current_state", word.as_deref(), &[]);
    let severity = fields.text("severity");
    let (hint, odd_word) = words::judged_hint("severity", severity.as_deref(), &PRIORITIES);
    let target = fields.at("targets.0");
    let condition = fields.text("condition_name");
    let summary = match (&condition, target.text("name")) {
        (Some(condition), Some(target)) => Some(format!("{condition} on {target}")),
        (condition, _) => condition.clone(),
    };
    let draft = Draft::new(state, identity, "`incident_id`")?
        .site(target.text("labels.site"))
        .host(target.text("name"))
        .check(condition)
        .severity(severity, hint)
        .summary(summary)
        .details(fields.text("details"))
        .label("policy", fields.text("policy_name"))
        .label("account", fields.text("account_id"))
        .labels(target.labels("labels"))
        .link(fields.text("incident_url"))
        .link(fields.text("runbook_url"))
        .starts_at(fields.time("timestamp"))
        .problem(odd)
        .problem(odd_word);
    Ok(draft.finish_with_signals())
}
