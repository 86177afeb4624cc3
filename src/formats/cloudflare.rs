//! Cloudflare notifications: those with a state (health checks, attacks) carry a correlation id
//! and an event; one-shot ones have neither and never end. The test has only a text.

use super::draft::{Draft, key_of};
use super::fields::{Fields, holds, mentions};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, words};
use crate::model::{EventState, Identity};

/// Cloudflare.
pub struct Cloudflare;

const EVENTS: [(&str, EventState); 2] = [
    ("alert_state_event_start", EventState::Firing),
    ("alert_state_event_end", EventState::Resolved),
];

/// Ids of what a notification is about, within `data`.
const IDS: [&str; 8] = [
    "health_check_id",
    "attack_id",
    "pool_id",
    "monitor_id",
    "tunnel_id",
    "data.id",
    "id",
    "zone_name",
];

impl Format for Cloudflare {
    fn name(&self) -> &'static str {
        "cloudflare"
    }

    fn about(&self) -> About {
        About {
            title: "Cloudflare notifications",
            says: "problem, one-shot notice, recovery, test",
            identity: "`alert_correlation_id`, else policy and the id of the thing",
            auth: "header (cf-webhook-auth)",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"text":"Test notification","policy_id":"test","policy_name":"test","alert_type":"test","alert_correlation_id":"alertbridge-test","alert_event":"ALERT_STATE_EVENT_START","data":{}}"#,
            r#"{"text":"Test notification","policy_id":"test","policy_name":"test","alert_type":"test","alert_correlation_id":"alertbridge-test","alert_event":"ALERT_STATE_EVENT_END","data":{}}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        let known = request.header("cf-webhook-auth").is_some()
            || holds(request, &["alert_type", "policy_id"])
            || holds(request, &["policy_name", "text", "ts", "data"])
            || mentions(request, &["test message sent from https://cloudflare.com"]);
        if known {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        if fields.has("text") && fields.entries().len() == 1 {
            return Ok(Decoded::ignored("a test of the notification"));
        }
        let data = fields.at("data");
        let policy = fields.first(&["policy_id", "policy_name"]);
        let identity = match (
            fields.text("alert_correlation_id"),
            &policy,
            data.first(&IDS),
        ) {
            (Some(id), ..) => Identity::key(id),
            (None, Some(policy), Some(id)) => key_of(&[policy, &id]),
            _ => None,
        };
        let (state, odd) = match fields.text("alert_event") {
            Some(word) => words::judged_state("alert_event", Some(&word), &EVENTS),
            None => (EventState::Firing, None),
        };
        let severity = data.text("severity");
        let (hint, odd_word) = words::judged_hint("data.severity", severity.as_deref(), &[]);
        let at = fields.time("ts");
        let draft = Draft::new(
            state,
            identity,
            "`alert_correlation_id`, or a policy and an id in `data`",
        )?
        .host(data.first(&["origin_ip", "target_ip", "target_hostname", "data.hosts.0"]))
        .check(data.first(&[
            "health_check_name",
            "attack_vector",
            "pool_name",
            "tunnel_name",
        ]))
        .severity(severity, hint)
        .summary(fields.first(&["text", "name"]))
        .details(data.text("reason"))
        .label("policy", fields.text("policy_name"))
        .label("alert_type", fields.text("alert_type"))
        .label("account", fields.text("account_id"))
        .label("zone", data.text("zone_name"))
        .label("status", data.first(&["new_status", "data.status"]))
        .link(data.text("dashboard_link"))
        .sent_at(at)
        .problem(odd)
        .problem(odd_word);
        let draft = match state {
            EventState::Resolved => draft.ends_at(at),
            _ => draft.starts_at(data.time("start_time").or(at)),
        };
        Ok(Decoded::one(draft.finish_with_signals()))
    }
}
