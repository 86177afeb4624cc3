//! VMware Aria Operations (vROps) REST notifications. Anything but `ACTIVE` is over; versions
//! before 6.2 send no name.

use super::draft::Draft;
use super::fields::{Fields, mentions};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, signals};
use crate::model::{ComponentKind, EventState, Identity, SeverityHint};

/// Aria Operations.
pub struct Vrops;

impl Format for Vrops {
    fn name(&self) -> &'static str {
        "vrops"
    }

    fn about(&self) -> About {
        About {
            title: "VMware Aria Operations (vROps)",
            says: "problem, update, recovery, test",
            identity: "alert id",
            auth: "basic",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"alertId":"alertbridge-test","status":"ACTIVE","criticality":"ALERT_CRITICALITY_LEVEL_INFO","alertName":"test","adapterKind":"sample-adapter-type","resourceName":"alertbridge-test"}"#,
            r#"{"alertId":"alertbridge-test","status":"CANCELED","criticality":"ALERT_CRITICALITY_LEVEL_INFO","alertName":"test","adapterKind":"sample-adapter-type","resourceName":"alertbridge-test"}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        if mentions(
            request,
            &["\"criticality\"", "\"alertId\"", "\"adapterKind\""],
        ) {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let alert = Fields::of(&body.value);
        let status = alert.word("status");
        let (state, problem) = match status.as_str() {
            "ACTIVE" => (EventState::Firing, None),
            "" => {
                let problem = "`status` is missing: taken as ACTIVE".to_owned();
                (EventState::Firing, Some(problem))
            }
            _ => (EventState::Resolved, None),
        };
        let criticality = alert.text("criticality");
        let word = criticality
            .as_deref()
            .map(|word| word.trim_start_matches("ALERT_CRITICALITY_LEVEL_"));
        let (hint, unknown) = hint(word.unwrap_or(""), &alert.word("subType"));
        let kind = alert.word("resourceKind");
        let mut draft = Draft::new(
            state,
            alert.text("alertId").and_then(Identity::key),
            "`alertId`",
        )?
        .host(alert.text("resourceName"))
        .check(alert.text("alertName"))
        .severity(criticality.clone(), hint)
        .summary(summary(alert))
        .details(alert.text("info"))
        .label_fields(alert, &["adapterKind", "resourceKind", "type", "subType"])
        .sent_at(alert.time("updateDate"))
        .problem(problem)
        .problem(unknown)
        .test(alert.word("adapterKind") == "sample-adapter-type");
        draft = match state {
            EventState::Resolved => draft.ends_at(alert.time("cancelDate")),
            _ => draft.starts_at(alert.time("startDate")),
        };
        let mut event = draft.finish();
        signals::apply(&mut event);
        if event.component_kind.is_none()
            && matches!(kind.as_str(), "HostSystem" | "VirtualMachine")
        {
            event.component_kind = Some(ComponentKind::Device);
        }
        Ok(Decoded {
            events: vec![event],
            ..Decoded::default()
        })
    }
}

fn summary(alert: Fields) -> Option<String> {
    let what = alert.text("alertName").or_else(|| {
        let info = alert.text("info")?;
        Some(info.trim_start_matches("symptomSet:").trim().to_owned())
    })?;
    Some(match alert.text("resourceName") {
        Some(name) => format!("{name}: {what}"),
        None => what,
    })
}

fn hint(criticality: &str, kind: &str) -> (SeverityHint, Option<String>) {
    let hint = match criticality {
        "CRITICAL" | "IMMEDIATE" if kind.contains("AVAILABILITY") => SeverityHint::Outage,
        "CRITICAL" | "IMMEDIATE" | "WARNING" => SeverityHint::Degradation,
        "INFO" | "INFORMATION" => SeverityHint::Info,
        "AUTO" => SeverityHint::Unknown,
        other => {
            let problem = format!("the criticality `{other}` is not known");
            return (SeverityHint::Unknown, Some(problem));
        }
    };
    (hint, None)
}
