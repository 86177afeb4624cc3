//! Grafana: unified alerting (9 and later), whose members are shaped like Alertmanager's, and
//! legacy alerting (8 and older), one rule a message.

use super::draft::Draft;
use super::fields::{Fields, mentions};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, signals};
use crate::model::{Event, EventState, Identity, SeverityHint};

/// Grafana, both generations.
pub struct Grafana;

impl Format for Grafana {
    fn name(&self) -> &'static str {
        "grafana"
    }

    fn about(&self) -> About {
        About {
            title: "Grafana (unified and legacy alerting)",
            says: "problem, repeat, recovery, no data, test",
            identity: "organisation and fingerprint; legacy: organisation and rule id",
            auth: "bearer, basic, header, HMAC (also with a time), certificate, address",
        }
    }

    fn detect(&self, request: &Request) -> Detection {
        let unified = mentions(request, &["\"alerts\"", "\"orgId\"", "\"groupKey\""]);
        let legacy = mentions(request, &["\"ruleId\"", "\"evalMatches\""]);
        if unified || legacy {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        if fields.has("ruleId") || fields.has("evalMatches") {
            return legacy(fields).map(|event| Decoded {
                events: vec![event],
                ..Decoded::default()
            });
        }
        let org = fields.text("orgId").unwrap_or_default();
        let alerts = fields.list("alerts");
        if alerts.is_empty() {
            return Err(Undecodable::because("`alerts` is missing or empty"));
        }
        let mut decoded =
            Decoded::from_members(alerts.into_iter().map(|alert| unified(alert, &org)))?;
        let cut = fields.integer("truncatedAlerts").unwrap_or(0);
        if cut > 0 {
            decoded.problems.push(format!(
                "{cut} alerts were cut off by the sender (max alerts)"
            ));
        }
        Ok(decoded)
    }
}

fn unified(alert: Fields, org: &str) -> Result<Event, Undecodable> {
    let mut event = super::alertmanager::member(alert)?;
    if let Some(fingerprint) = alert.text("fingerprint")
        && let Some(identity) = Identity::key(format!("{org}/{fingerprint}"))
    {
        event.identity = identity;
        event.dedup_key = Some(fingerprint);
    }
    let labels = alert.labels("labels");
    let name = labels.get("alertname").map_or("", String::as_str);
    let instance = labels.get("instance").map_or("", String::as_str);
    event.test = name == "TestAlert" && instance == "Grafana";
    if matches!(name, "DatasourceNoData" | "DatasourceError") {
        event.severity_hint = SeverityHint::Unknown;
    }
    unmeasured(alert, &mut event);
    Ok(event)
}

/// An alert whose state came from the absence of values: no outage was seen, nor its end.
fn unmeasured(alert: Fields, event: &mut Event) {
    let reason = alert.word("annotations.grafana_state_reason");
    if !matches!(reason.as_str(), "MissingSeries" | "NoData" | "Error") {
        return;
    }
    match event.state {
        EventState::Resolved => {
            event.state = EventState::Info;
            event.problems.push(format!(
                "grafana_state_reason `{reason}`: ended for want of values, which is no recovery"
            ));
        }
        _ => event.severity_hint = SeverityHint::Unknown,
    }
}

fn legacy(fields: Fields) -> Result<Event, Undecodable> {
    let org = fields.text("orgId").unwrap_or_default();
    let identity = fields
        .text("ruleId")
        .and_then(|id| Identity::key(format!("{org}/rule/{id}")));
    let (state, hint, odd) = match fields.word("state").as_str() {
        "alerting" => (EventState::Firing, SeverityHint::Unknown, None),
        "ok" => (EventState::Resolved, SeverityHint::Unknown, None),
        "no_data" | "unknown" => (EventState::Firing, SeverityHint::Unknown, None),
        "paused" | "pending" => (EventState::Info, SeverityHint::Info, None),
        other => (
            EventState::Firing,
            SeverityHint::Unknown,
            Some(format!("state `{other}` is not known: taken as firing")),
        ),
    };
    let matches = fields.list("evalMatches");
    let only = if matches.len() == 1 {
        matches.first().copied()
    } else {
        None
    };
    let host = only.and_then(|m| m.text("tags.host").or_else(|| m.text("metric")));
    let test = fields.text("ruleId").as_deref() == Some("0")
        || fields.word("ruleName") == "Test notification";
    let mut event = Draft::new(state, identity, "`ruleId`")?
        .dedup_key(fields.text("ruleId"))
        .host(host)
        .check(fields.text("ruleName"))
        .severity(None, hint)
        .summary(fields.first(&["title", "ruleName"]))
        .details(fields.text("message"))
        .labels(fields.labels("tags"))
        .link(fields.first(&["ruleUrl", "rule_url"]))
        .test(test)
        .problem(odd)
        .finish();
    signals::apply(&mut event);
    Ok(event)
}
