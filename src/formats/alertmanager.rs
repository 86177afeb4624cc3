//! Prometheus Alertmanager: webhook version 4, and the API v2 array that Prometheus, vmalert,
//! Loki and Thanos ruler post. Every member is judged by itself; the head is ignored.

use super::draft::{Draft, labels_key};
use super::fields::{Fields, bare_host, mentions};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, signals, words};
use crate::model::{Event, EventState, SeverityHint, Time};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// Alertmanager webhook and API v2.
pub struct Alertmanager;

/// Labels that tell replicas of one Prometheus apart and never problems.
const REPLICA_LABELS: [&str; 4] = [
    "replica",
    "prometheus_replica",
    "__replica__",
    "rule_replica",
];
/// How long an API alert without an end lives, as at Alertmanager.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(300);

impl Format for Alertmanager {
    fn name(&self) -> &'static str {
        "alertmanager"
    }

    fn about(&self) -> About {
        About {
            title: "Prometheus Alertmanager (webhook v4, API v2)",
            says: "problem, repeat, recovery, expiry",
            identity: "labels without replica labels",
            auth: "bearer, basic, header, certificate, address",
        }
    }

    fn detect(&self, request: &Request) -> Detection {
        if request.path.ends_with("/api/v2/alerts") {
            return Detection::Certain;
        }
        if mentions(request, &["\"groupKey\"", "\"commonLabels\""]) {
            let grafana = mentions(request, &["\"orgId\""]);
            let cloudvision = mentions(request, &["\"eventType\"", "\"deviceId\""]);
            return if grafana || cloudvision {
                Detection::No
            } else {
                Detection::Certain
            };
        }
        let array = request.body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'[');
        if array && mentions(request, &["\"labels\"", "\"alertname\""]) {
            return Detection::Possible;
        }
        Detection::No
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let received_at = request.received_at;
        match &body.value {
            Value::Array(list) if list.is_empty() => Ok(Decoded::ignored("an empty list")),
            Value::Array(list) => Decoded::from_members(
                list.iter()
                    .map(|member| posted(Fields::of(member), received_at)),
            ),
            message => {
                let fields = Fields::of(message);
                let alerts = fields.list("alerts");
                if alerts.is_empty() {
                    return Err(Undecodable::because(
                        "`alerts` is missing or empty; a list of alerts was expected",
                    ));
                }
                let mut decoded = Decoded::from_members(alerts.into_iter().map(grouped))?;
                let cut = fields.integer("truncatedAlerts").unwrap_or(0);
                if cut > 0 {
                    decoded.problems.push(format!(
                        "{cut} alerts were cut off by the sender (max_alerts): they are unknown"
                    ));
                }
                Ok(decoded)
            }
        }
    }
}

/// A member of a webhook: `status` says the state.
fn grouped(alert: Fields) -> Result<Event, Undecodable> {
    let word = alert.word("status");
    let (state, odd) = match word.as_str() {
        "firing" => (EventState::Firing, None),
        "resolved" => (EventState::Resolved, None),
        other => (
            EventState::Firing,
            Some(format!("status `{other}` is not known: taken as firing")),
        ),
    };
    let ends_at = real(alert.time("endsAt")).filter(|_| state == EventState::Resolved);
    let mut event = common(alert, state)?;
    event.ends_at = ends_at;
    event.problems.extend(odd);
    Ok(event)
}

/// An element of an API array: an end in the past is a recovery, one in the future a lease.
fn posted(alert: Fields, received_at: Time) -> Result<Event, Undecodable> {
    let (starts, ends) = (real(alert.time("startsAt")), real(alert.time("endsAt")));
    if let (Some(starts), Some(ends)) = (starts, ends)
        && ends < starts
    {
        return Err(Undecodable::because("`endsAt` lies before `startsAt`"));
    }
    let over = ends.is_some_and(|at| at <= received_at);
    let state = if over {
        EventState::Resolved
    } else {
        EventState::Firing
    };
    let mut event = common(alert, state)?;
    event.ends_at = ends.or(Some(received_at.plus(RESOLVE_TIMEOUT)));
    Ok(event)
}

fn common(alert: Fields, state: EventState) -> Result<Event, Undecodable> {
    let labels: BTreeMap<String, String> = alert
        .labels("labels")
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let annotations = alert.labels("annotations");
    let identity = labels_key(&labels, &REPLICA_LABELS);
    let label = |names: &[&str]| names.iter().find_map(|name| labels.get(*name)).cloned();
    let severity = label(&["severity", "priority", "level"]);
    let hint = severity
        .as_deref()
        .map_or(SeverityHint::Unknown, words::hint);
    let summary = ["summary", "title", "message"]
        .iter()
        .find_map(|name| annotations.get(*name))
        .or_else(|| labels.get("alertname"))
        .cloned();
    let host =
        label(&["host", "hostname", "node", "device", "instance"]).map(|name| bare_host(&name));
    let component = label(&[
        "interface",
        "ifName",
        "device_name",
        "psu",
        "disk",
        "component",
    ])
    .filter(|part| Some(part) != host.as_ref());
    let mut event = Draft::new(state, identity, "`labels`")?
        .site(label(&["site", "datacenter", "dc", "region"]))
        .host(host)
        .component(component)
        .check(labels.get("alertname").cloned())
        .severity(severity, hint)
        .summary(summary)
        .details(annotations.get("description").cloned())
        .labels(labels)
        .link(alert.text("generatorURL"))
        .link(annotations.get("runbook_url").cloned())
        .starts_at(real(alert.time("startsAt")))
        .finish();
    // The key is derived from labels; what the sender calls it is its fingerprint.
    event.dedup_key = alert.text("fingerprint").or(event.dedup_key);
    signals::apply(&mut event);
    Ok(event)
}

/// A time that is one: the zero time stands for "none".
fn real(time: Option<Time>) -> Option<Time> {
    time.filter(|at| at.0 > 0)
}

/// The same members inside another sender's message.
pub(super) fn member(alert: Fields) -> Result<Event, Undecodable> {
    grouped(alert)
}
