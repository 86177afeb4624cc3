//! Sensu Go: the event object that a handler posts, bare or in its wrapped form. Every run of a
//! check may be posted; a passing one resolves, however often it is said.

use super::draft::Draft;
use super::fields::{Fields, holds};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body};
use crate::model::{ComponentKind, Event, EventState, Identity, SeverityHint, Suppressed};
use serde_json::Value;

/// Sensu Go.
pub struct Sensu;

impl Format for Sensu {
    fn name(&self) -> &'static str {
        "sensu"
    }

    fn about(&self) -> About {
        About {
            title: "Sensu Go",
            says: "problem, repeat, silenced, flapping, lost agent, recovery",
            identity: "namespace, entity and check",
            auth: "bearer, basic, header",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"entity":{"metadata":{"name":"alertbridge-test","namespace":"test"},"entity_class":"proxy"},"check":{"metadata":{"name":"test","namespace":"test"},"status":1,"output":"test"}}"#,
            r#"{"entity":{"metadata":{"name":"alertbridge-test","namespace":"test"},"entity_class":"proxy"},"check":{"metadata":{"name":"test","namespace":"test"},"status":0,"output":"test"}}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        let bare = holds(request, &["entity.metadata.name", "check.metadata.name"])
            || holds(request, &["entity.metadata.name", "entity.entity_class"])
            || holds(request, &["check.metadata.name", "check.status"]);
        let wrapped = holds(request, &["spec.entity.metadata.name", "api_version"]);
        if bare || wrapped {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        if let Value::Array(list) = &body.value {
            return Decoded::from_members(list.iter().map(|one| event(inner(Fields::of(one)))));
        }
        let fields = inner(Fields::of(&body.value));
        if !fields.has("check") && fields.has("metrics") {
            return Ok(Decoded::ignored("metrics without a check"));
        }
        event(fields).map(Decoded::one)
    }
}

fn inner(fields: Fields) -> Fields {
    if fields.has("spec") {
        fields.at("spec")
    } else {
        fields
    }
}

fn event(fields: Fields) -> Result<Event, Undecodable> {
    let (check, entity) = (fields.at("check"), fields.at("entity"));
    let namespace = check
        .text("metadata.namespace")
        .or_else(|| entity.text("metadata.namespace"))
        .unwrap_or_default();
    let host = entity
        .text("metadata.name")
        .or_else(|| check.text("proxy_entity_name"));
    let name = check.text("metadata.name");
    let identity = Identity::object(
        &namespace,
        host.as_deref().unwrap_or(""),
        "",
        name.as_deref().unwrap_or(""),
    );
    let status = check.integer("status");
    let (state, hint, word) = match status {
        Some(0) => (EventState::Resolved, SeverityHint::Unknown, "ok"),
        Some(1) => (EventState::Firing, SeverityHint::Degradation, "warning"),
        Some(2) => (EventState::Firing, SeverityHint::Outage, "critical"),
        _ => (EventState::Firing, SeverityHint::Unknown, "unknown"),
    };
    let odd = status
        .is_none()
        .then(|| "`check.status` is missing or no number: taken as firing".to_owned());
    let silenced = check.flag("is_silenced") == Some(true);
    let suppressed = match state {
        EventState::Firing if silenced => Some(Suppressed::Downtime),
        EventState::Firing if check.word("state") == "flapping" => Some(Suppressed::Flapping),
        _ => None,
    };
    let keepalive = name.as_deref() == Some("keepalive");
    let output = check.text("output");
    let first_line = output
        .as_deref()
        .and_then(|text| text.lines().next())
        .map(str::to_owned);
    let summary = match (&name, first_line) {
        (Some(name), Some(line)) => Some(format!("{name}: {line}")),
        (name, _) => name.clone(),
    };
    let at = check.time("executed").or_else(|| fields.time("timestamp"));
    let draft = Draft::new(
        state,
        identity,
        "`entity.metadata.name` and `check.metadata.name`",
    )?
    .site(entity.first(&["metadata.labels.site", "metadata.labels.datacenter"]))
    .kind(keepalive.then_some(ComponentKind::Device))
    .severity(Some(word.to_owned()), hint)
    .summary(summary)
    .details(output)
    .labels(entity.words("metadata.labels"))
    .labels(check.words("metadata.labels"))
    .label("namespace", Some(namespace).filter(|name| !name.is_empty()))
    .link(check.first(&[
        "metadata.annotations.runbook",
        "metadata.annotations.runbook_url",
    ]))
    .sent_at(at)
    .suppressed(suppressed)
    .problem(odd);
    let draft = match state {
        EventState::Resolved => draft.ends_at(at),
        _ => draft.starts_at(check.time("last_ok").filter(|ok| at != Some(*ok)).or(at)),
    };
    Ok(draft.finish_with_signals())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_passing_run_resolves_and_a_silence_never_hides_a_recovery() {
        let value = json!({
            "entity": {"metadata": {"name": "a", "namespace": "n"}},
            "check": {"metadata": {"name": "c"}, "status": 0, "occurrences": 9,
                      "is_silenced": true},
        });
        let event = event(Fields::of(&value)).unwrap();
        assert_eq!(event.state, EventState::Resolved);
        assert_eq!(event.suppressed, None);
    }
}
