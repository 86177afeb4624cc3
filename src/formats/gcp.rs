//! Google Cloud Monitoring: the webhook channel, schema 1.1 and 1.2. One incident a message;
//! `incident_id` stays from opening over reminders to closing.

use super::draft::Draft;
use super::fields::{Fields, holds};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, words};
use crate::model::{EventState, Identity, SeverityHint};

/// Google Cloud Monitoring.
pub struct Gcp;

impl Format for Gcp {
    fn name(&self) -> &'static str {
        "gcp"
    }

    fn about(&self) -> About {
        About {
            title: "Google Cloud Monitoring",
            says: "problem, repeat, absence, recovery, test",
            identity: "`incident_id`",
            auth: "basic, secret in the URL",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"version":"test","incident":{"incident_id":"alertbridge-test","state":"open","summary":"Test incident","policy_name":"test","condition_name":"test"}}"#,
            r#"{"version":"test","incident":{"incident_id":"alertbridge-test","state":"closed","summary":"Test incident","policy_name":"test","condition_name":"test"}}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        if holds(request, &["incident.incident_id", "incident.state"])
            || holds(
                request,
                &["incident.policy_name", "incident.condition_name"],
            )
        {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let root = Fields::of(&body.value);
        let incident = root.at("incident");
        let id = incident.text("incident_id");
        let identity = id.as_ref().and_then(Identity::key);
        let word = incident.text("state");
        let (state, odd) = words::judged_state("incident.state", word.as_deref(), &[]);
        let severity = incident.text("severity");
        let own = [("no severity", SeverityHint::Unknown)];
        let (hint, odd_word) = words::judged_hint("incident.severity", severity.as_deref(), &own);
        let absent = incident.has("condition.conditionAbsent");
        let policy = incident.text("policy_name");
        let mut draft = Draft::new(state, identity, "`incident.incident_id`")?
            .site(incident.first(&["resource.labels.zone", "resource.labels.location"]))
            .host(incident.first(&[
                "metadata.system_labels.name",
                "resource_display_name",
                "resource.labels.instance_id",
                "resource_name",
            ]))
            .check(incident.first(&["condition_name", "condition.displayName"]))
            .severity(severity, hint)
            .summary(incident.first(&["summary", "policy_name"]))
            .details(incident.first(&["documentation.content", "documentation"]))
            .label("policy", policy)
            .label("project", incident.text("scoping_project_id"))
            .label("resource_type", incident.text("resource.type"))
            .label("metric", incident.text("metric.type"))
            .label("no_data", absent.then(|| "true".to_owned()))
            .labels(incident.labels("resource.labels"))
            .labels(incident.labels("metadata.user_labels"))
            .labels(incident.labels("policy_user_labels"))
            .link(incident.text("url"))
            .starts_at(incident.time("started_at"))
            .test(root.word("version") == "test")
            .problem(odd)
            .problem(odd_word);
        for link in incident.list("documentation.links") {
            draft = draft.link(link.text("url"));
        }
        if state == EventState::Resolved {
            draft = draft.ends_at(incident.time("ended_at"));
        }
        Ok(Decoded::one(draft.finish_with_signals()))
    }
}
