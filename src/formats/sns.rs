//! AWS by SNS or by an EventBridge API destination: CloudWatch alarms, Health, Budgets and what
//! people publish themselves. `Message` of the SNS envelope is text, mostly JSON inside; with raw
//! delivery the body is that text. Signatures and the handshake are checked before, at the door.

use super::draft::{Draft, key_of};
use super::fields::{self, Fields, holds};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, words};
use super::{
    MaintenanceImpact, MaintenanceNotice, MaintenanceObject, MaintenanceStatus, MaintenanceWindow,
};
use crate::limits::EVENTS_PER_MESSAGE_MAX;
use crate::model::{EventState, Identity, SeverityHint, Suppressed, Time};
use serde_json::Value;

/// AWS SNS and EventBridge.
pub struct Sns;

/// Dimensions that name the thing that is measured, the most telling first.
const HOST_DIMENSIONS: [&str; 8] = [
    "InstanceId",
    "DBInstanceIdentifier",
    "CacheClusterId",
    "FunctionName",
    "LoadBalancer",
    "ClusterName",
    "QueueName",
    "VpnId",
];

/// Longest span of a scheduled change that is taken as a maintenance window.
const WINDOW_MAX: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

const ALARM_STATES: [(&str, EventState); 3] = [
    ("alarm", EventState::Firing),
    ("ok", EventState::Resolved),
    ("insufficient_data", EventState::Firing),
];

/// What surrounds a message: the topic, the subject and the attributes of the envelope.
struct Envelope<'a> {
    fields: Fields<'a>,
}

impl Format for Sns {
    fn name(&self) -> &'static str {
        "sns"
    }

    fn about(&self) -> About {
        About {
            title: "AWS SNS and EventBridge (CloudWatch, Health, Budgets)",
            says: "problem, no data, recovery, planned work, suppressed, budget notice",
            identity: "alarm ARN; Health: event ARN and account; other texts: topic and subject",
            auth: "SNS signature, basic, secret in the URL",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"AlarmName":"alertbridge-test","AWSAccountId":"000000000000","NewStateValue":"ALARM","NewStateReason":"test","Region":"test","AlarmArn":"arn:aws:cloudwatch:test:000000000000:alarm:alertbridge-test"}"#,
            r#"{"AlarmName":"alertbridge-test","AWSAccountId":"000000000000","NewStateValue":"OK","NewStateReason":"test","Region":"test","AlarmArn":"arn:aws:cloudwatch:test:000000000000:alarm:alertbridge-test"}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        let envelope = request.header("x-amz-sns-message-type").is_some()
            || request.header("x-amz-sns-rawdelivery").is_some()
            || holds(request, &["TopicArn", "MessageId", "Type"]);
        let bridge = holds(request, &["detail-type", "source", "detail"]);
        let alarm = holds(request, &["AlarmName", "NewStateValue"]);
        if envelope || bridge || alarm {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let outer = Fields::of(&body.value);
        let kind = outer.word("Type");
        let topic = outer.word("TopicArn");
        if kind == "SubscriptionConfirmation" {
            return Ok(Decoded::ignored(format!(
                "SNS asks to confirm the subscription of {topic}"
            )));
        }
        if kind == "UnsubscribeConfirmation" {
            let mut decoded = Decoded::ignored("an SNS subscription was ended");
            decoded.problems.push(format!(
                "{topic} will send nothing any more: subscribe again if that was not wanted"
            ));
            return Ok(decoded);
        }
        let envelope = Envelope { fields: outer };
        let Some(message) = outer.at("Message").value().as_str() else {
            return message_of(&envelope, &body.value);
        };
        match body::parse(message)?.value {
            inner @ Value::Object(_) if message.trim_start().starts_with('{') => {
                message_of(&envelope, &inner)
            }
            _ => text(&envelope, message),
        }
    }
}

fn message_of(envelope: &Envelope, message: &Value) -> Result<Decoded, Undecodable> {
    let fields = Fields::of(message);
    if fields.has("AlarmName") || fields.has("NewStateValue") {
        return alarm(fields);
    }
    match fields.text("detail-type").as_deref() {
        Some("CloudWatch Alarm State Change") => bridged_alarm(fields),
        Some("CloudWatch Alarm Configuration Change") => changed_alarm(fields),
        Some(_) if fields.has("detail.eventArn") || fields.word("source") == "aws.health" => {
            health(fields)
        }
        Some(kind) => bridged(fields, kind),
        None => match message {
            Value::String(message) => text(envelope, message),
            other => text(envelope, &other.to_string()),
        },
    }
}

/// The region's code: the fourth part of an ARN.
fn region_of(arn: &str) -> Option<String> {
    let region = arn.split(':').nth(3)?;
    (!region.is_empty()).then(|| region.to_owned())
}

fn alarm_draft(
    identity: Option<Identity>,
    wanted: &str,
    state: (Option<String>, &str),
) -> Result<Draft, Undecodable> {
    let (word, field) = state;
    let (state, odd) = words::judged_state(field, word.as_deref(), &ALARM_STATES);
    let no_data = word.as_deref() == Some("INSUFFICIENT_DATA");
    Ok(Draft::new(state, identity, wanted)?
        .label("no_data", no_data.then(|| "true".to_owned()))
        .problem(odd))
}

fn alarm(fields: Fields) -> Result<Decoded, Undecodable> {
    let arn = fields.text("AlarmArn");
    let name = fields.text("AlarmName");
    let region = fields.text("Region");
    let account = fields.text("AWSAccountId");
    let identity = match (&arn, &account, &region, &name) {
        (Some(arn), ..) => Identity::key(arn),
        (None, Some(account), Some(region), Some(name)) => key_of(&[account, region, name]),
        _ => None,
    };
    let word = fields.text("NewStateValue");
    let summary = match (&word, &name) {
        (Some(word), Some(name)) => Some(format!("{word}: {name}")),
        _ => None,
    };
    let changed_at = fields.time("StateChangeTime");
    let mut draft = alarm_draft(
        identity,
        "`AlarmArn`, or `AWSAccountId`, `Region` and `AlarmName`",
        (word, "NewStateValue"),
    )?
    .dedup_key(arn.clone())
    .site(arn.as_deref().and_then(region_of).or(region))
    .check(name)
    .summary(summary)
    .details(joined(fields, &["AlarmDescription", "NewStateReason"]))
    .label("account", account)
    .label("namespace", fields.text("Trigger.Namespace"))
    .label("metric", fields.text("Trigger.MetricName"))
    .label("alarm_rule", fields.text("AlarmRule"));
    let mut dimensions = dimensions_of(fields.at("Trigger.Dimensions"));
    for metric in fields.list("Trigger.Metrics") {
        dimensions.extend(dimensions_of(metric.at("MetricStat.Metric.Dimensions")));
    }
    draft = draft.host(host_of(&dimensions)).labels(dimensions);
    Ok(Decoded::one(timed(draft, changed_at).finish_with_signals()))
}

/// The time of a change of state is the start of a problem and the end of a recovery.
fn timed(draft: Draft, changed_at: Option<Time>) -> Draft {
    let draft = draft.sent_at(changed_at);
    if draft.state() == EventState::Resolved {
        draft.ends_at(changed_at)
    } else {
        draft.starts_at(changed_at)
    }
}

fn joined(fields: Fields, paths: &[&str]) -> String {
    let parts: Vec<String> = paths.iter().filter_map(|path| fields.text(path)).collect();
    parts.join("\n")
}

/// `[{name, value}]` as pairs.
fn dimensions_of(list: Fields) -> Vec<(String, String)> {
    list.elements()
        .into_iter()
        .filter_map(|pair| Some((pair.text("name")?, pair.text("value")?)))
        .collect()
}

fn host_of(dimensions: &[(String, String)]) -> Option<String> {
    HOST_DIMENSIONS.iter().find_map(|wanted| {
        let found = dimensions.iter().find(|(name, _)| name == wanted)?;
        Some(found.1.clone())
    })
}

fn bridged_alarm(fields: Fields) -> Result<Decoded, Undecodable> {
    let arn = fields.text("resources.0");
    let name = fields.text("detail.alarmName");
    let identity = arn.as_ref().and_then(Identity::key);
    let word = fields.text("detail.state.value");
    let summary = match (&word, &name) {
        (Some(word), Some(name)) => Some(format!("{word}: {name}")),
        _ => None,
    };
    let details = joined(
        fields,
        &[
            "detail.configuration.description",
            "detail.state.reason",
            "detail.state.actionsSuppressedReason",
        ],
    );
    let suppressed = fields
        .has("detail.state.actionsSuppressedBy")
        .then_some(Suppressed::Downtime);
    let mut dimensions = Vec::new();
    for metric in fields.list("detail.configuration.metrics") {
        dimensions.extend(metric.labels("metricStat.metric.dimensions"));
    }
    let draft = alarm_draft(identity, "`resources`", (word, "detail.state.value"))?
        .site(fields.text("region"))
        .host(host_of(&dimensions))
        .check(name)
        .summary(summary)
        .details(details)
        .label("account", fields.text("account"))
        .labels(dimensions)
        .suppressed(suppressed);
    let changed_at = fields.first_time(&["detail.state.timestamp", "time"]);
    Ok(Decoded::one(timed(draft, changed_at).finish_with_signals()))
}

/// A deleted alarm never says OK: its deletion ends the problem.
fn changed_alarm(fields: Fields) -> Result<Decoded, Undecodable> {
    let operation = fields.word("detail.operation");
    if operation != "delete" {
        return Ok(Decoded::ignored(format!(
            "the configuration of an alarm was changed ({operation})"
        )));
    }
    let name = fields.text("detail.alarmName");
    let identity = fields.text("resources.0").and_then(Identity::key);
    let draft = Draft::new(EventState::Resolved, identity, "`resources`")?
        .site(fields.text("region"))
        .summary(
            name.as_ref()
                .map(|name| format!("{name}: the alarm was deleted at the sender")),
        )
        .check(name)
        .label("account", fields.text("account"))
        .label("ended_by", "deletion of the alarm".to_owned());
    Ok(Decoded::one(
        timed(draft, fields.time("time")).finish_with_signals(),
    ))
}

fn health(fields: Fields) -> Result<Decoded, Undecodable> {
    let detail = fields.at("detail");
    let account = detail
        .text("affectedAccount")
        .or_else(|| fields.text("account"));
    let identity = detail.text("eventArn").and_then(|arn| {
        let account = account.clone().unwrap_or_default();
        key_of(&[&arn, &account])
    });
    let category = detail.text("eventTypeCategory");
    let planned = category.as_deref() == Some("scheduledChange");
    let own = [("upcoming", EventState::Info)];
    let status = detail.text("statusCode");
    let (mut state, odd) = words::judged_state("detail.statusCode", status.as_deref(), &own);
    if planned && state == EventState::Firing {
        state = EventState::Info;
    }
    let hints = [
        ("issue", SeverityHint::Degradation),
        ("investigation", SeverityHint::Degradation),
        ("accountnotification", SeverityHint::Info),
        ("scheduledchange", SeverityHint::Info),
    ];
    let (hint, odd_word) =
        words::judged_hint("detail.eventTypeCategory", category.as_deref(), &hints);
    let mut details = detail.word("eventDescription.0.latestDescription");
    for entity in detail.list("affectedEntities").into_iter().take(100) {
        let (name, status) = (entity.word("entityValue"), entity.word("status"));
        details.push_str(&format!("\n{name} {status}"));
    }
    let service = detail.text("service");
    let code = detail.text("eventTypeCode");
    let summary = match (&service, &code) {
        (Some(service), Some(code)) => Some(format!("AWS {service}: {code}")),
        _ => None,
    };
    let at = |path: &str| health_time(&detail.word(path));
    let over = state == EventState::Resolved || planned;
    let draft = Draft::new(state, identity, "`detail.eventArn`")?
        .site(detail.text("eventRegion").or_else(|| fields.text("region")))
        .check(code)
        .severity(category, hint)
        .summary(summary)
        .details(details)
        .label("account", account)
        .label("aws_service", service)
        .label("communication_id", detail.text("communicationId"))
        .label("scope", detail.text("eventScopeCode"))
        .starts_at(at("startTime"))
        .ends_at(at("endTime").filter(|_| over))
        .sent_at(at("lastUpdatedTime"))
        .problem(odd)
        .problem(odd_word);
    let mut decoded = Decoded::one(draft.finish());
    if planned {
        decoded.maintenance.push(maintenance(fields));
    }
    Ok(decoded)
}

/// A scheduled change is planned work on the resources that it names.
fn maintenance(fields: Fields) -> MaintenanceNotice {
    let detail = fields.at("detail");
    let at = |path: &str| health_time(&detail.word(path));
    let status = match detail.word("statusCode").as_str() {
        "upcoming" => MaintenanceStatus::Confirmed,
        "open" => MaintenanceStatus::InProcess,
        "closed" => MaintenanceStatus::Completed,
        _ => MaintenanceStatus::Unknown,
    };
    let objects = detail
        .list("affectedEntities")
        .into_iter()
        .take(EVENTS_PER_MESSAGE_MAX)
        .filter_map(|entity| entity.text("entityValue"));
    let window = at("startTime").map(|starts_at| MaintenanceWindow {
        starts_at,
        ends_at: at("endTime"),
    });
    // A change that may come at any time within days is no reason to silence anything for days.
    let long = window.filter(|window| {
        window
            .ends_at
            .is_some_and(|ends_at| ends_at.since(window.starts_at) > WINDOW_MAX)
    });
    let unclear = long.map(|window| {
        format!(
            "it may come at any time from {} on, within more than a day",
            window.starts_at
        )
    });
    MaintenanceNotice {
        provider: "AWS".to_owned(),
        maintenance_id: detail.word("eventArn"),
        account: detail.text("affectedAccount"),
        status,
        objects: objects
            .map(|id| MaintenanceObject {
                id,
                impact: MaintenanceImpact::Unknown,
            })
            .collect(),
        windows: window.filter(|_| long.is_none()).into_iter().collect(),
        sequence: at("lastUpdatedTime").map_or(0, Time::seconds),
        summary: format!(
            "{} {}",
            detail.word("service"),
            detail.word("eventTypeCode")
        ),
        unclear: unclear.into_iter().collect(),
    }
}

/// `Fri, 21 Aug 2026 03:02:11 GMT`; RFC 3339 as well.
fn health_time(text: &str) -> Option<Time> {
    let written = jiff::fmt::rfc2822::parse(text).ok();
    written
        .map(|zoned| Time::from_timestamp(zoned.timestamp()))
        .or_else(|| fields::time(text))
}

/// Another service's event: what happened to which resource.
fn bridged(fields: Fields, kind: &str) -> Result<Decoded, Undecodable> {
    let resource = fields.text("resources.0");
    let source = fields.text("source");
    let identity = match (&resource, &source) {
        (Some(resource), Some(source)) => key_of(&[source, kind, resource]),
        _ => None,
    };
    let word = fields.first(&["detail.state.value", "detail.state", "detail.status"]);
    let (state, odd) = words::judged_state("detail.state", word.as_deref(), &[]);
    let draft = Draft::new(state, identity, "`source` and `resources`")?
        .site(fields.text("region"))
        .check(Some(kind.to_owned()))
        .component(resource)
        .summary(source.map(|source| format!("{source}: {kind}")))
        .details(fields.at("detail").value().to_string())
        .label("account", fields.text("account"))
        .problem(odd);
    Ok(Decoded::one(
        timed(draft, fields.time("time")).finish_with_signals(),
    ))
}

/// A text: a budget notice by its lines, anything else by its subject.
fn text(envelope: &Envelope, message: &str) -> Result<Decoded, Undecodable> {
    let outer = envelope.fields;
    if let Some(decoded) = budget(outer, message)? {
        return Ok(decoded);
    }
    let topic = outer.text("TopicArn");
    let subject = outer.text("Subject");
    let identity = match (&topic, &subject) {
        (Some(topic), Some(subject)) => key_of(&[topic, subject]),
        _ => None,
    };
    let attributes = outer.at("MessageAttributes");
    let labels: Vec<(String, String)> = attributes
        .entries()
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value.text("Value")?)))
        .collect();
    let attribute = |wanted: &str| {
        let found = labels
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.clone())
    };
    let severity = attribute("severity");
    let (hint, odd_word) = words::judged_hint("severity", severity.as_deref(), &[]);
    let (state, odd) = match attribute("state").or_else(|| attribute("status")) {
        Some(word) => words::judged_state("state", Some(&word), &[]),
        None => {
            let odd = "the message says no state: taken as firing".to_owned();
            (EventState::Firing, Some(odd))
        }
    };
    let draft = Draft::new(state, identity, "`TopicArn` and `Subject`")?
        .site(topic.as_deref().and_then(region_of))
        .host(attribute("host"))
        .check(subject.clone())
        .severity(severity, hint)
        .summary(subject)
        .details(message.to_owned())
        .label("topic", topic)
        .labels(labels.iter().cloned())
        .sent_at(outer.time("Timestamp"))
        .problem(odd)
        .problem(odd_word);
    Ok(Decoded::one(draft.finish_with_signals()))
}

/// A budget is one notice a month, kind and budget; it never recovers.
fn budget(outer: Fields, message: &str) -> Result<Option<Decoded>, Undecodable> {
    let line = |name: &str| {
        message.lines().find_map(|line| {
            let value = line.trim().strip_prefix(name)?.trim();
            (!value.is_empty()).then(|| value.to_owned())
        })
    };
    let (Some(name), Some(kind)) = (line("Budget Name:"), line("Alert Type:")) else {
        return Ok(None);
    };
    let account = line("AWS Account");
    let sent_at = outer.time("Timestamp");
    let month: String = sent_at
        .map(|at| at.to_string().chars().take(7).collect())
        .unwrap_or_default();
    let owner = account.clone().unwrap_or_default();
    let identity = key_of(&[&owner, &name, &kind, &month]);
    let amounts: Vec<String> = ["ACTUAL Amount:", "FORECASTED Amount:", "Alert Threshold:"]
        .iter()
        .filter_map(|name| Some(format!("{name} {}", line(name)?)))
        .collect();
    let summary = format!("AWS budget {name}: {}", amounts.join(", "));
    let draft = Draft::new(EventState::Info, identity, "`Budget Name`")?
        .check(Some(name))
        .summary(summary)
        .details(message.to_owned())
        .hint(SeverityHint::Info)
        .label("account", account)
        .sent_at(sent_at);
    Ok(Some(Decoded::one(draft.finish())))
}
