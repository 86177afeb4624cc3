//! Prometheus Alertmanager: webhook version 4, and the API v2 array that Prometheus, vmalert,
//! Loki and Thanos ruler post. Every member is judged by itself; the head is ignored.

use super::draft::{Draft, labels_key};
use super::fields::{Fields, Labels, Said, bare_host, mentions};
use super::{
    About, Decoded, Detection, Format, Request, Undecodable, body, fields, signals, words,
};
use crate::limits::JSON_DEPTH_MAX;
use crate::model::{Event, EventState, SeverityHint, Time};
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::borrow::Cow;
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
        let received_at = request.received_at;
        let all_posted = |members: Vec<Member>| match members.is_empty() {
            true => Ok(Decoded::ignored("an empty list")),
            false => {
                let events = members
                    .into_iter()
                    .map(|member| posted(member, received_at));
                Decoded::from_members(events)
            }
        };
        if let Some(members) = posted_members(request) {
            return all_posted(members);
        }
        let body = body::read(request)?;
        match &body.value {
            Value::Array(list) => all_posted(list.iter().map(Fields::of).map(Member::of).collect()),
            message => {
                let fields = Fields::of(message);
                let alerts = fields.list("alerts");
                if alerts.is_empty() {
                    return Err(Undecodable::because(
                        "`alerts` is missing or empty; a list of alerts was expected",
                    ));
                }
                let mut decoded =
                    Decoded::from_members(alerts.into_iter().map(Member::of).map(grouped))?;
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

/// What one alert says.
#[derive(Debug, Default, PartialEq, Eq)]
struct Member {
    status: Said,
    labels: Labels,
    annotations: Labels,
    starts_at: Said,
    ends_at: Said,
    generator_url: Said,
    fingerprint: Said,
}

impl Member {
    fn of(alert: Fields) -> Member {
        Member {
            status: Said(alert.text("status")),
            labels: Labels(alert.labels("labels")),
            annotations: Labels(alert.labels("annotations")),
            starts_at: Said(alert.text("startsAt")),
            ends_at: Said(alert.text("endsAt")),
            generator_url: Said(alert.text("generatorURL")),
            fingerprint: Said(alert.text("fingerprint")),
        }
    }
}

/// An object only: of a list nobody can say what its values mean.
impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Member, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Member;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an alert")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Member, A::Error> {
                let mut member = Member::default();
                while let Some(Name(name)) = object.next_key()? {
                    match &*name {
                        "status" => member.status = object.next_value()?,
                        "labels" => member.labels = object.next_value()?,
                        "annotations" => member.annotations = object.next_value()?,
                        "startsAt" => member.starts_at = object.next_value()?,
                        "endsAt" => member.ends_at = object.next_value()?,
                        "generatorURL" => member.generator_url = object.next_value()?,
                        "fingerprint" => member.fingerprint = object.next_value()?,
                        _ => object.next_value::<IgnoredAny>().map(|_| ())?,
                    }
                }
                Ok(member)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A name in an object, borrowed where it holds no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The members of an API array, read in one pass: Prometheus sends hundreds of alerts at once.
/// `None` for whatever is not simply that; the general way sees to it.
fn posted_members(request: &Request) -> Option<Vec<Member>> {
    let text = std::str::from_utf8(request.body).ok()?;
    let is_array = text.trim_start().starts_with('[');
    (is_array && body::json_depth(request.body) <= JSON_DEPTH_MAX)
        .then(|| serde_json::from_str(text).ok())?
}

/// A member of a webhook: `status` says the state.
fn grouped(alert: Member) -> Result<Event, Undecodable> {
    let (state, odd) = match alert.status.0.as_deref().unwrap_or_default() {
        "firing" => (EventState::Firing, None),
        "resolved" => (EventState::Resolved, None),
        other => (
            EventState::Firing,
            Some(format!("status `{other}` is not known: taken as firing")),
        ),
    };
    let ends_at = time_of(&alert.ends_at).filter(|_| state == EventState::Resolved);
    let mut event = common(alert, state)?;
    event.ends_at = ends_at;
    event.problems.extend(odd);
    Ok(event)
}

/// An element of an API array: an end in the past is a recovery, one in the future a lease.
fn posted(alert: Member, received_at: Time) -> Result<Event, Undecodable> {
    let (starts, ends) = (time_of(&alert.starts_at), time_of(&alert.ends_at));
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

fn common(alert: Member, state: EventState) -> Result<Event, Undecodable> {
    let starts_at = time_of(&alert.starts_at);
    let (Labels(mut labels), Labels(mut annotations)) = (alert.labels, alert.annotations);
    labels.retain(|_, value| !value.is_empty());
    let identity = labels_key(&labels, &REPLICA_LABELS);
    let label = |names: &[&str]| names.iter().find_map(|name| labels.get(*name)).cloned();
    let severity = label(&["severity", "priority", "level"]);
    let hint = severity
        .as_deref()
        .map_or(SeverityHint::Unknown, words::hint);
    let summary = ["summary", "title", "message"]
        .iter()
        .find_map(|name| annotations.remove(*name))
        .or_else(|| label(&["alertname"]));
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
        .check(label(&["alertname"]))
        .severity(severity, hint)
        .summary(summary)
        .details(annotations.remove("description"))
        .labels(labels)
        .link(alert.generator_url.0)
        .link(annotations.remove("runbook_url"))
        .starts_at(starts_at)
        .finish();
    // The key is derived from labels; what the sender calls it is its fingerprint.
    event.dedup_key = alert.fingerprint.0.or(event.dedup_key);
    signals::apply(&mut event);
    Ok(event)
}

/// An instant; the zero time stands for "none".
fn time_of(said: &Said) -> Option<Time> {
    fields::time(said.0.as_deref()?).filter(|at| at.0 > 0)
}

/// The same members inside another sender's message.
pub(super) fn member(alert: Fields) -> Result<Event, Undecodable> {
    grouped(Member::of(alert))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn both(text: &str) -> (Option<Vec<Member>>, Vec<Member>) {
        let fast = posted_members(&Request::bare(text.as_bytes(), Time(0)));
        let tree: Value = serde_json::from_str(text).unwrap();
        let slow = Fields::of(&tree).elements().into_iter().map(Member::of);
        (fast, slow.collect())
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[ -~]{0,12}|\\$HOST\\$|\\{EVENT.ID\\}|é\u{0}\"".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("labels|status|a|b|endsAt|startsAt", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn one_pass_reads_what_the_tree_says(
            members in prop::collection::vec(
                prop::collection::btree_map(
                    "labels|annotations|status|startsAt|endsAt|generatorURL|fingerprint|other",
                    value(),
                    0..8,
                ),
                1..4,
            ),
        ) {
            let text = serde_json::to_string(&members).unwrap();
            let (fast, slow) = both(&text);
            prop_assert_eq!(fast, Some(slow));
        }
    }

    #[test]
    fn of_two_of_one_name_the_last_one_counts() {
        let text = r#"[{"labels":{"a":"1","a":"2","b":"1","b":null},"status":"x","status":"y"}]"#;
        let (fast, slow) = both(text);
        assert_eq!(fast, Some(slow));
    }

    #[test]
    fn a_list_in_the_place_of_an_alert_goes_the_general_way() {
        let text = r#"[["firing",{"a":"1"}]]"#;
        assert_eq!(
            posted_members(&Request::bare(text.as_bytes(), Time(0))),
            None
        );
    }
}
