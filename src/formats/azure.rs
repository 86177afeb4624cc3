//! Azure Monitor action groups: the common alert schema of all services, and the older metric
//! and classic forms. Names of fields are read in lower case: Azure has sent the same document in
//! `camelCase` and in `PascalCase`.

use super::draft::{Draft, key_of};
use super::fields::{Fields, lower_names, mentions_any};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, words};
use super::{
    MaintenanceImpact, MaintenanceNotice, MaintenanceObject, MaintenanceStatus, MaintenanceWindow,
};
use crate::limits::EVENTS_PER_MESSAGE_MAX;
use crate::model::{EventState, Identity, SeverityHint, Time};

/// Azure Monitor.
pub struct Azure;

/// `Sev4` is "verbose"; the portal proposes `Sev3` for every new rule, so it is no mere notice.
const SEVERITIES: [(&str, SeverityHint); 10] = [
    ("sev0", SeverityHint::Outage),
    ("sev1", SeverityHint::Degradation),
    ("sev2", SeverityHint::Degradation),
    ("sev3", SeverityHint::Degradation),
    ("sev4", SeverityHint::Info),
    ("0", SeverityHint::Outage),
    ("1", SeverityHint::Degradation),
    ("2", SeverityHint::Degradation),
    ("3", SeverityHint::Degradation),
    ("4", SeverityHint::Info),
];

const CONDITIONS: [(&str, EventState); 4] = [
    ("fired", EventState::Firing),
    ("activated", EventState::Firing),
    ("deactivated", EventState::Resolved),
    ("resolved", EventState::Resolved),
];

impl Format for Azure {
    fn name(&self) -> &'static str {
        "azure"
    }

    fn about(&self) -> About {
        About {
            title: "Azure Monitor (common alert schema and older forms)",
            says: "problem, recovery, service health, resource health, budget notice, test",
            identity: "alert GUID; service health: tracking id; resource health: resource; older: rule and resource",
            auth: "secret in the URL, basic; no Entra tokens",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"schemaId":"azureMonitorCommonAlertSchema","data":{"essentials":{"alertId":"/subscriptions/11111111-1111-1111-1111-111111111111/providers/Microsoft.AlertsManagement/alerts/11111111-1111-1111-1111-111111111111","alertRule":"test-alertbridge","severity":"Sev3","monitorCondition":"Fired","monitoringService":"Platform","alertTargetIDs":["/subscriptions/11111111-1111-1111-1111-111111111111/resourcegroups/test/providers/test/test/alertbridge-test"]},"alertContext":{}}}"#,
            r#"{"schemaId":"azureMonitorCommonAlertSchema","data":{"essentials":{"alertId":"/subscriptions/11111111-1111-1111-1111-111111111111/providers/Microsoft.AlertsManagement/alerts/11111111-1111-1111-1111-111111111111","alertRule":"test-alertbridge","severity":"Sev3","monitorCondition":"Resolved","monitoringService":"Platform","alertTargetIDs":["/subscriptions/11111111-1111-1111-1111-111111111111/resourcegroups/test/providers/test/test/alertbridge-test"]},"alertContext":{}}}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        if mentions_any(
            request,
            &["azureMonitorCommonAlertSchema", "AzureMonitorMetricAlert"],
        ) {
            return Detection::Certain;
        }
        let Ok(body) = body::read(request) else {
            return Detection::No;
        };
        let value = lower_names(body.value);
        let fields = Fields::of(&value);
        if fields.has("context.resourceid") && fields.has("status") {
            Detection::Possible
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let value = lower_names(body::read(request)?.value);
        let root = Fields::of(&value);
        let data = if root.has("data") {
            root.at("data")
        } else {
            root
        };
        if !data.has("essentials") && data.has("context") {
            return older(data).map(Decoded::one);
        }
        let essentials = data.at("essentials");
        let context = data.at("alertcontext");
        let service = essentials.word("monitoringservice").to_lowercase();
        let draft = match service.as_str() {
            "servicehealth" => service_health(essentials, context),
            "resourcehealth" => resource_health(essentials, context),
            "costalerts" => budget(essentials, context),
            name if name.starts_with("activity log") => activity(essentials, context),
            "log analytics" => log_search(essentials, context),
            _ => alert(essentials, context),
        }?;
        let event = described(draft, essentials)
            .labels(data.words("customproperties"))
            .finish_with_signals();
        let mut decoded = Decoded::one(event);
        decoded.maintenance.extend(maintenance(essentials, context));
        Ok(decoded)
    }
}

/// What every form of the common schema has.
fn described(draft: Draft, essentials: Fields) -> Draft {
    let severity = essentials.text("severity");
    let rule = essentials.text("alertrule");
    let target = essentials.text("alerttargetids.0");
    let test = rule
        .as_deref()
        .is_some_and(|rule| rule.starts_with("test-"))
        && target
            .as_deref()
            .is_some_and(|target| target.contains("11111111-1111-1111-1111-111111111111"));
    draft
        .dedup_key(essentials.text("alertid"))
        .severity(severity, SeverityHint::Unknown)
        .label("rule", rule)
        .label("monitoring_service", essentials.text("monitoringservice"))
        .label("signal_type", essentials.text("signaltype"))
        .label("target", target)
        .label("resource_type", essentials.text("targetresourcetype"))
        .label("resource_group", essentials.text("targetresourcegroup"))
        .link(essentials.text("investigationlink"))
        .sent_at(essentials.first_time(&["resolveddatetime", "fireddatetime"]))
        .test(test)
}

/// The last part of a resource id, which the `alertId` keeps over problem and recovery.
fn guid_of(essentials: Fields) -> Option<String> {
    let id = essentials.first(&["alertid", "originalertid"])?;
    let last = id.rsplit('/').next().unwrap_or(&id);
    (!last.is_empty()).then(|| last.to_lowercase())
}

fn resource_of(essentials: Fields) -> Option<String> {
    essentials.text("configurationitems.0").or_else(|| {
        let target = essentials.text("alerttargetids.0")?;
        target.rsplit('/').next().map(str::to_owned)
    })
}

/// Metric, log and Prometheus alerts: `monitorCondition` says the state.
fn alert(essentials: Fields, context: Fields) -> Result<Draft, Undecodable> {
    let identity = guid_of(essentials).and_then(Identity::key);
    let word = essentials.text("monitorcondition");
    let (state, odd) = words::judged_state("monitorCondition", word.as_deref(), &CONDITIONS);
    let severity = essentials.text("severity");
    let (hint, odd_word) = words::judged_hint("severity", severity.as_deref(), &SEVERITIES);
    let condition = context.at("condition.allof.0");
    let what = condition.first(&["metricname", "searchquery"]);
    let measured = condition.text("metricvalue");
    let mut details = essentials.word("description");
    if let Some(what) = what {
        let value = measured.unwrap_or_else(|| "no value".to_owned());
        let (operator, threshold) = (condition.word("operator"), condition.word("threshold"));
        details.push_str(&format!("\n{what}: {value} ({operator} {threshold})"));
    }
    if let Some(text) = context.text("annotations.description") {
        details.push_str(&format!("\n{text}"));
    }
    let rule = essentials.text("alertrule");
    let resource = resource_of(essentials);
    let summary = match (&rule, &resource) {
        (Some(rule), Some(resource)) => Some(format!("{rule} on {resource}")),
        (rule, resource) => rule.clone().or_else(|| resource.clone()),
    };
    let draft = Draft::new(state, identity, "`data.essentials.alertId`")?
        .host(resource)
        .check(rule)
        .severity(None, hint)
        .summary(summary)
        .details(details)
        .labels(dimensions(condition.at("dimensions")))
        .labels(context.labels("labels"))
        .starts_at(essentials.time("fireddatetime"))
        .problem(odd)
        .problem(odd_word);
    Ok(if state == EventState::Resolved {
        draft.ends_at(essentials.time("resolveddatetime"))
    } else {
        draft
    })
}

fn dimensions(list: Fields) -> Vec<(String, String)> {
    list.elements()
        .into_iter()
        .filter_map(|pair| Some((pair.text("name")?, pair.text("value")?)))
        .collect()
}

/// Log alerts of the first version have no memory: each firing has an id of its own, and the
/// rule, the target and the dimensions are what stays.
fn log_search(essentials: Fields, context: Fields) -> Result<Draft, Undecodable> {
    let rule = essentials.text("alertrule");
    let target = essentials.text("alerttargetids.0");
    let mut pairs = dimensions(context.at("dimensions"));
    pairs.sort();
    let identity = match (&rule, &target) {
        (Some(rule), Some(target)) => {
            let target = target.to_lowercase();
            let mut parts = vec!["log", rule.as_str(), target.as_str()];
            for (name, value) in &pairs {
                parts.extend([name.as_str(), value.as_str()]);
            }
            key_of(&parts)
        }
        _ => None,
    };
    let severity = essentials.text("severity");
    let (hint, odd) = words::judged_hint("severity", severity.as_deref(), &SEVERITIES);
    let count = context.text("resultcount");
    let summary = rule.as_ref().map(|rule| match &count {
        Some(count) => format!("{rule}: {count} results"),
        None => rule.clone(),
    });
    Ok(Draft::new(
        EventState::Firing,
        identity,
        "`alertRule` and `alertTargetIDs`",
    )?
    .host(context.text("affectedconfigurationitems.0"))
    .check(rule)
    .severity(None, hint)
    .summary(summary)
    .details(context.text("searchquery"))
    .labels(pairs)
    .starts_at(essentials.time("fireddatetime"))
    .link(context.text("linktofilteredsearchresultsui"))
    .problem(odd))
}

/// The end of a service problem is told by `status` or `stage`; the condition stays "Fired".
fn service_health(essentials: Fields, context: Fields) -> Result<Draft, Undecodable> {
    let properties = context.at("properties");
    let identity = properties
        .text("trackingid")
        .and_then(|id| key_of(&["servicehealth", &id]));
    let kind = properties.text("incidenttype");
    let over = context.word("status").eq_ignore_ascii_case("resolved")
        || matches!(
            properties.word("stage").to_lowercase().as_str(),
            "resolved" | "rca" | "complete" | "completed" | "canceled"
        );
    let hints = [
        ("incident", SeverityHint::Degradation),
        ("maintenance", SeverityHint::Info),
        ("informational", SeverityHint::Info),
        ("actionrequired", SeverityHint::Info),
        ("security", SeverityHint::Degradation),
    ];
    let (hint, odd) = words::judged_hint("incidentType", kind.as_deref(), &hints);
    let state = match (over, hint) {
        (true, _) => EventState::Resolved,
        (false, SeverityHint::Info) => EventState::Info,
        (false, _) => EventState::Firing,
    };
    let draft = Draft::new(state, identity, "`alertContext.properties.trackingId`")?
        .site(properties.text("region"))
        .check(properties.text("service"))
        .severity(None, hint)
        .summary(properties.text("title"))
        .details(properties.text("communication"))
        .label("incident_type", kind)
        .label("stage", properties.text("stage"))
        .starts_at(
            properties
                .time("impactstarttime")
                .or_else(|| essentials.time("fireddatetime")),
        )
        .problem(odd);
    Ok(if over {
        draft.ends_at(properties.time("impactmitigationtime"))
    } else {
        draft
    })
}

/// Planned work at Azure, on the service and on the resources that the alert names.
fn maintenance(essentials: Fields, context: Fields) -> Option<MaintenanceNotice> {
    let properties = context.at("properties");
    if properties.word("incidenttype") != "Maintenance" {
        return None;
    }
    let stage = properties
        .first(&["stage"])
        .or_else(|| context.text("status"))?;
    let status = match stage.to_lowercase().as_str() {
        "planned" => MaintenanceStatus::Confirmed,
        "rescheduled" => MaintenanceStatus::Rescheduled,
        "active" | "inprogress" => MaintenanceStatus::InProcess,
        "canceled" | "cancelled" => MaintenanceStatus::Cancelled,
        "complete" | "completed" | "resolved" => MaintenanceStatus::Completed,
        _ => MaintenanceStatus::Unknown,
    };
    let items = essentials.list("configurationitems");
    let objects = items
        .into_iter()
        .take(EVENTS_PER_MESSAGE_MAX)
        .filter_map(Fields::as_text)
        .chain(properties.text("service"));
    let window = properties
        .time("impactstarttime")
        .map(|starts_at| MaintenanceWindow {
            starts_at,
            ends_at: properties.time("impactmitigationtime"),
        });
    Some(MaintenanceNotice {
        provider: "Azure".to_owned(),
        maintenance_id: properties
            .text("trackingid")
            .filter(|id| MaintenanceNotice::is_id(id))?,
        account: None,
        status,
        objects: objects
            .map(|id| MaintenanceObject {
                id,
                impact: MaintenanceImpact::Unknown,
            })
            .collect(),
        windows: window.into_iter().collect(),
        sequence: essentials.time("fireddatetime").map_or(0, Time::seconds),
        summary: properties.word("title"),
        unclear: Vec::new(),
    })
}

fn resource_health(essentials: Fields, context: Fields) -> Result<Draft, Undecodable> {
    let target = essentials.text("alerttargetids.0");
    let identity = target
        .as_ref()
        .and_then(|id| key_of(&["resourcehealth", &id.to_lowercase()]));
    let properties = context.at("properties");
    let health = properties.text("currenthealthstatus");
    let over = health.as_deref() == Some("Available")
        || context.word("status").eq_ignore_ascii_case("resolved");
    let hints = [
        ("unavailable", SeverityHint::Outage),
        ("degraded", SeverityHint::Degradation),
        ("available", SeverityHint::Info),
    ];
    let (hint, odd) = words::judged_hint("currentHealthStatus", health.as_deref(), &hints);
    let resource = resource_of(essentials);
    let summary = match (&resource, &health) {
        (Some(resource), Some(health)) => Some(format!("{resource} is {health}")),
        _ => properties.text("title"),
    };
    let at = context.time("eventtimestamp");
    let state = if over {
        EventState::Resolved
    } else {
        EventState::Firing
    };
    let draft = Draft::new(state, identity, "`alertTargetIDs`")?
        .host(resource)
        .check(Some("resource health".to_owned()))
        .severity(None, hint)
        .summary(summary)
        .details(properties.first(&["details", "title"]))
        .label("health", health)
        .label("cause", properties.text("cause"))
        .problem(odd);
    Ok(if over {
        draft.ends_at(at)
    } else {
        draft.starts_at(at)
    })
}

/// Something was done to a resource: an event without an end.
fn activity(essentials: Fields, context: Fields) -> Result<Draft, Undecodable> {
    let operation = context.text("operationname");
    let correlation = context.text("correlationid");
    let target = essentials.text("alerttargetids.0");
    let identity = match (&correlation, &operation, &target) {
        (Some(correlation), Some(operation), Some(target)) => {
            key_of(&["activity", correlation, operation, &target.to_lowercase()])
        }
        _ => guid_of(essentials).and_then(Identity::key),
    };
    let resource = resource_of(essentials);
    let status = context.text("status");
    let failed = status.as_deref() == Some("Failed");
    let summary = match (&operation, &status) {
        (Some(operation), Some(status)) => Some(format!("{operation}: {status}")),
        _ => essentials.text("alertrule"),
    };
    let hint = if failed {
        SeverityHint::Unknown
    } else {
        SeverityHint::Info
    };
    Ok(
        Draft::new(EventState::Info, identity, "`correlationId` or `alertId`")?
            .host(resource)
            .check(essentials.text("alertrule"))
            .severity(None, hint)
            .summary(summary)
            .details(essentials.text("description"))
            .label("caller", context.text("caller"))
            .label("level", context.text("level"))
            .starts_at(context.time("eventtimestamp")),
    )
}

/// One notice a month, budget and kind of threshold; it never recovers.
fn budget(essentials: Fields, context: Fields) -> Result<Draft, Undecodable> {
    let data = context.at("alertdata");
    let month: String = essentials.word("fireddatetime").chars().take(7).collect();
    let identity = data.text("budgetid").and_then(|id| {
        let kind = data.word("thresholdtype");
        key_of(&[&id.to_lowercase(), &kind, &month])
    });
    let name = data.text("budgetname");
    Ok(
        Draft::new(EventState::Info, identity, "`AlertData.BudgetId`")?
            .check(name.clone())
            .severity(None, SeverityHint::Info)
            .summary(
                essentials
                    .text("description")
                    .or_else(|| name.map(|name| format!("budget {name}"))),
            )
            .label("threshold_type", data.text("thresholdtype"))
            .starts_at(essentials.time("fireddatetime")),
    )
}

/// Metric alerts without the common schema, and the classic form before 2018.
fn older(data: Fields) -> Result<crate::model::Event, Undecodable> {
    let context = data.at("context");
    let rule = context.text("id");
    let resource = context.text("resourceid");
    let identity = match (&rule, &resource) {
        (Some(rule), Some(resource)) => key_of(&[&rule.to_lowercase(), &resource.to_lowercase()]),
        _ => None,
    };
    let status = data.text("status");
    let (state, odd) = words::judged_state("status", status.as_deref(), &CONDITIONS);
    let severity = context.text("severity");
    let (hint, odd_word) = words::judged_hint("severity", severity.as_deref(), &SEVERITIES);
    let name = context.text("name");
    let host = context.text("resourcename");
    let summary = match (&name, &host) {
        (Some(name), Some(host)) => Some(format!("{name} on {host}")),
        _ => name.clone(),
    };
    let at = context.time("timestamp");
    let condition = context.at("condition.allof.0");
    let draft = Draft::new(state, identity, "`context.id` and `context.resourceId`")?
        .host(host)
        .check(name)
        .severity(severity, hint)
        .summary(summary)
        .details(context.text("description"))
        .labels(dimensions(condition.at("dimensions")))
        .label("metric", condition.text("metricname"))
        .label("resource_type", context.text("resourcetype"))
        .label("resource_group", context.text("resourcegroupname"))
        .link(context.text("portallink"))
        .sent_at(at)
        .problem(odd)
        .problem(odd_word);
    let draft = if state == EventState::Resolved {
        draft.ends_at(at)
    } else {
        draft.starts_at(at)
    };
    Ok(draft.finish_with_signals())
}
