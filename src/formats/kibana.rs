//! Kibana rule actions by the webhook connector: the recommended template, one alert a message,
//! and summaries that put the lists of new, ongoing and recovered alerts inline.

use super::draft::{Draft, key_of};
use super::fields::{Fields, holds};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, words};
use crate::model::{Event, EventState, Identity, SeverityHint};

/// Kibana.
pub struct Kibana;

impl Format for Kibana {
    fn name(&self) -> &'static str {
        "kibana"
    }

    fn about(&self) -> About {
        About {
            title: "Kibana rules (webhook connector)",
            says: "problem, repeat, warning, no data, recovery, several in one",
            identity: "rule id and alert (instance) id",
            auth: "basic, bearer, header, certificate",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"rule_id":"alertbridge-test","rule_name":"Test rule","alert_id":"alertbridge-test","action_group":"active","reason":"test"}"#,
            r#"{"rule_id":"alertbridge-test","rule_name":"Test rule","alert_id":"alertbridge-test","action_group":"recovered","reason":"test"}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        if holds(request, &["rule_id", "alert_uuid"])
            || holds(request, &["rule_id", "action_group"])
            || (holds(request, &["rule_id", "rule_name"])
                && (holds(request, &["new"])
                    || holds(request, &["ongoing"])
                    || holds(request, &["recovered"])))
        {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let lists = ["new", "ongoing", "recovered"];
        let inline = lists.iter().any(|list| fields.at(list).value().is_array());
        if !inline {
            return one(fields).map(Decoded::one);
        }
        let members = lists.iter().flat_map(|list| {
            let over = *list == "recovered";
            fields
                .list(list)
                .into_iter()
                .map(move |alert| member(fields, alert, over))
        });
        Decoded::from_members(members)
    }
}

fn identity_of(rule: Option<String>, alert: Option<String>) -> Option<Identity> {
    match (rule, alert) {
        (Some(rule), Some(alert)) => key_of(&[&rule, &alert]),
        _ => None,
    }
}

/// The state that an action group stands for, and whether it is one of missing data.
fn state_of(group: Option<&str>) -> (EventState, bool, Option<String>) {
    let Some(group) = group else {
        let (state, odd) = words::judged_state("action_group", None, &[]);
        return (state, false, odd);
    };
    let last = group.rsplit('.').next().unwrap_or(group).to_lowercase();
    match last.as_str() {
        "recovered" => (EventState::Resolved, false, None),
        "nodata" | "no_data" | "no data" => (EventState::Firing, true, None),
        // Every rule type has groups of its own; all but the recovery are problems.
        _ => (EventState::Firing, false, None),
    }
}

/// An alert's id is often its host.
fn host_of(alert: &str) -> Option<String> {
    let host =
        alert.contains('.') && !alert.contains(|c: char| c.is_whitespace() || "*,/".contains(c));
    host.then(|| alert.to_owned())
}

fn one(fields: Fields) -> Result<Event, Undecodable> {
    let alert = fields.text("alert_id");
    let group = fields.text("action_group");
    let (state, no_data, odd) = state_of(group.as_deref());
    let severity = fields.text("severity");
    let (mut hint, odd_word) = words::judged_hint("severity", severity.as_deref(), &[]);
    if no_data {
        hint = SeverityHint::Unknown;
    } else if hint == SeverityHint::Unknown
        && group
            .as_deref()
            .is_some_and(|group| group.ends_with("warning"))
    {
        hint = SeverityHint::Degradation;
    }
    let rule = fields.text("rule_name");
    let reason = fields.text("reason");
    let summary = match (&rule, &alert) {
        (Some(rule), Some(alert)) => Some(format!("{rule}: {alert}")),
        (rule, _) => rule.clone(),
    };
    let at = fields.time("date");
    let draft = Draft::new(
        state,
        identity_of(fields.text("rule_id"), alert.clone()),
        "`rule_id` and `alert_id`",
    )?
    .dedup_key(fields.text("alert_uuid"))
    .host(alert.as_deref().and_then(host_of))
    .check(rule)
    .severity(severity, hint)
    .summary(summary)
    .details(reason)
    .label("rule_type", fields.text("rule_type"))
    .label("space", fields.text("space"))
    .label("tags", fields.text("tags"))
    .label("action_group", group)
    .label("flapping", fields.text("flapping"))
    .label("no_data", no_data.then(|| "true".to_owned()))
    .link(fields.text("rule_url"))
    .sent_at(at)
    .problem(odd)
    .problem(odd_word);
    let draft = if state == EventState::Resolved {
        draft.ends_at(at)
    } else {
        draft
    };
    Ok(draft.finish_with_signals())
}

fn member(fields: Fields, alert: Fields, over: bool) -> Result<Event, Undecodable> {
    let rule = fields
        .text("rule_id")
        .or_else(|| alert.text("kibana.alert.rule.uuid"));
    let id = alert.text("kibana.alert.instance.id");
    let group = alert.text("kibana.alert.action_group");
    let (told, no_data, _) = state_of(group.as_deref());
    let state = if over { EventState::Resolved } else { told };
    let name = alert
        .text("kibana.alert.rule.name")
        .or_else(|| fields.text("rule_name"));
    let summary = match (&name, &id) {
        (Some(name), Some(id)) => Some(format!("{name}: {id}")),
        (name, _) => name.clone(),
    };
    let at = fields.time("date");
    let draft = Draft::new(
        state,
        identity_of(rule, id.clone()),
        "`rule_id` and `kibana.alert.instance.id`",
    )?
    .dedup_key(alert.text("kibana.alert.uuid"))
    .host(id.as_deref().and_then(host_of))
    .check(name)
    .summary(summary)
    .details(alert.text("kibana.alert.reason"))
    .label("action_group", group)
    .label("no_data", no_data.then(|| "true".to_owned()))
    .starts_at(alert.time("kibana.alert.start"))
    .sent_at(at);
    let draft = if state == EventState::Resolved {
        draft.ends_at(at)
    } else {
        draft
    };
    Ok(draft.finish_with_signals())
}
