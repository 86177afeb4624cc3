//! Site24x7: JSON or a form with names in capitals; users choose which are sent. Localised times
//! are left alone. Monitor ids are larger than a floating point number holds.

use super::draft::{Draft, key_of};
use super::fields::{Fields, holds, host_of_url};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, words};
use crate::model::{EventState, Identity, SeverityHint};

/// Site24x7.
pub struct Site24x7;

const STATES: [(&str, EventState); 3] = [
    ("trouble", EventState::Firing),
    ("suspended", EventState::Info),
    ("maintenance", EventState::Info),
];

const HINTS: [(&str, SeverityHint); 4] = [
    ("down", SeverityHint::Outage),
    ("critical", SeverityHint::Outage),
    ("trouble", SeverityHint::Degradation),
    ("up", SeverityHint::Unknown),
];

impl Format for Site24x7 {
    fn name(&self) -> &'static str {
        "site24x7"
    }

    fn about(&self) -> About {
        About {
            title: "Site24x7",
            says: "problem, trouble, recovery",
            identity: "`MONITOR_ID`, else monitor name and type",
            auth: "basic, bearer, header",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"MONITOR_ID":"alertbridge-test","MONITORNAME":"alertbridge-test","MONITORTYPE":"URL","STATUS":"TROUBLE","INCIDENT_REASON":"test"}"#,
            r#"{"MONITOR_ID":"alertbridge-test","MONITORNAME":"alertbridge-test","MONITORTYPE":"URL","STATUS":"UP","INCIDENT_REASON":"test"}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        if holds(request, &["MONITORNAME", "STATUS"]) || holds(request, &["MONITOR_ID", "STATUS"]) {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let name = fields.text("MONITORNAME");
        let kind = fields.text("MONITORTYPE");
        let identity = match (fields.first(&["MONITOR_ID", "MONITORID"]), &name, &kind) {
            (Some(id), ..) => Identity::key(id),
            (None, Some(name), Some(kind)) => key_of(&[kind, name]),
            _ => None,
        };
        let status = fields.text("STATUS");
        let (state, odd) = words::judged_state("STATUS", status.as_deref(), &STATES);
        let (hint, odd_word) = words::judged_hint("STATUS", status.as_deref(), &HINTS);
        let reason = fields.text("INCIDENT_REASON");
        let summary = match (&name, &status) {
            (Some(name), Some(status)) => Some(match &reason {
                Some(reason) => format!("{name} is {status}: {reason}"),
                None => format!("{name} is {status}"),
            }),
            (name, _) => name.clone(),
        };
        let host = fields
            .text("MONITORURL")
            .as_deref()
            .and_then(host_of_url)
            .or_else(|| name.clone().filter(|_| kind.as_deref() == Some("SERVER")));
        let tags: Vec<String> = fields
            .list("TAGS")
            .into_iter()
            .filter_map(Fields::as_text)
            .collect();
        let at = fields.first_time(&["OUTAGE_TIME_UNIX_FORMAT", "INCIDENT_TIME_ISO"]);
        let draft = Draft::new(
            state,
            identity,
            "`MONITOR_ID`, or `MONITORNAME` and `MONITORTYPE`",
        )?
        .host(host)
        .check(name)
        .severity(status, hint)
        .summary(summary)
        .details(fields.text("INCIDENT_DETAILS"))
        .label("type", kind)
        .label("group", fields.text("MONITOR_GROUPNAME"))
        .label("failed_locations", fields.text("FAILED_LOCATIONS"))
        .label("tags", (!tags.is_empty()).then(|| tags.join(",")))
        .link(fields.text("MONITOR_DASHBOARD_LINK"))
        .link(fields.text("RCA_LINK"))
        .sent_at(at)
        .problem(odd)
        .problem(odd_word);
        let draft = match state {
            EventState::Resolved => draft.ends_at(at),
            EventState::Firing => draft.starts_at(at),
            _ => draft,
        };
        Ok(Decoded::one(draft.finish_with_signals()))
    }
}
