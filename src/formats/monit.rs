//! Monit: an `exec` script that posts event, service, host and description, or the `MONIT_*`
//! variables. A recovery is an event of another name; a service may have several problems at once.

use super::draft::Draft;
use super::fields::{Fields, mentions, names_source};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, signals};
use crate::model::{ComponentKind, EventState, Identity, SeverityHint};

/// Monit.
pub struct Monit;

/// Problem, recovery, and what the problem means.
const PAIRS: [(&str, &str, SeverityHint); 20] = [
    ("Does not exist", "Exists", SeverityHint::Outage),
    (
        "Connection failed",
        "Connection succeeded",
        SeverityHint::Outage,
    ),
    ("Ping failed", "Ping succeeded", SeverityHint::Outage),
    ("ICMP failed", "ICMP succeeded", SeverityHint::Outage),
    ("Link down", "Link up", SeverityHint::Degradation),
    (
        "Resource limit matched",
        "Resource limit succeeded",
        SeverityHint::Degradation,
    ),
    (
        "Status failed",
        "Status succeeded",
        SeverityHint::Degradation,
    ),
    (
        "Execution failed",
        "Execution succeeded",
        SeverityHint::Outage,
    ),
    ("Timeout", "Timeout recovery", SeverityHint::Outage),
    (
        "Content failed",
        "Content succeeded",
        SeverityHint::Degradation,
    ),
    (
        "Content match",
        "Content succeeded",
        SeverityHint::Degradation,
    ),
    (
        "Data access error",
        "Data access succeeded",
        SeverityHint::Degradation,
    ),
    (
        "Checksum failed",
        "Checksum succeeded",
        SeverityHint::Degradation,
    ),
    ("Size failed", "Size succeeded", SeverityHint::Degradation),
    ("PID failed", "PID succeeded", SeverityHint::Degradation),
    ("PPID failed", "PPID succeeded", SeverityHint::Degradation),
    ("UID failed", "UID succeeded", SeverityHint::Degradation),
    ("GID failed", "GID succeeded", SeverityHint::Degradation),
    (
        "Permission failed",
        "Permission succeeded",
        SeverityHint::Degradation,
    ),
    (
        "Timestamp failed",
        "Timestamp succeeded",
        SeverityHint::Degradation,
    ),
];

impl Format for Monit {
    fn name(&self) -> &'static str {
        "monit"
    }

    fn about(&self) -> About {
        About {
            title: "Monit",
            says: "problem, repeat, recovery",
            identity: "host, service, kind of problem",
            auth: "header, basic, address",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"source":"monit","event":"Status failed","service":"test","host":"alertbridge-test","description":"test"}"#,
            r#"{"source":"monit","event":"Status succeeded","service":"test","host":"alertbridge-test","description":"test"}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        if mentions(request, &["MONIT_EVENT", "MONIT_SERVICE"]) || names_source(request, "monit") {
            return Detection::Certain;
        }
        if mentions(request, &["event=", "service=", "description=", "host="]) {
            return Detection::Possible;
        }
        Detection::No
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let event = fields.first(&["event", "MONIT_EVENT"]).unwrap_or_default();
        let host = fields.first(&["host", "MONIT_HOST"]);
        let service = fields.first(&["service", "MONIT_SERVICE"]);
        let said = said(&event);
        // A problem without a recovery of its own is told by its event.
        let family = said.family.unwrap_or(&event);
        let named = service.as_deref().filter(|_| !event.is_empty());
        let identity = named.and_then(|service| {
            let host = host.as_deref().unwrap_or("");
            Identity::object("", host, service, family)
        });
        let description = fields.first(&["description", "MONIT_DESCRIPTION"]);
        let first = description.as_deref().and_then(|text| text.lines().next());
        let summary = [service.as_deref(), Some(event.as_str()), first];
        let summary: Vec<&str> = summary.into_iter().flatten().collect();
        let mut event = Draft::new(said.state, identity, "`host` with `service` and `event`")?
            .check(Some(event.clone()))
            .hint(said.hint)
            .summary(summary.join(": "))
            .details(description)
            .problem(said.problem)
            .finish();
        // What Monit checks is a process, a file or a program, unless its words say otherwise.
        signals::apply(&mut event);
        event
            .component_kind
            .get_or_insert(ComponentKind::Application);
        Ok(Decoded {
            events: vec![event],
            ..Decoded::default()
        })
    }
}

struct Said {
    state: EventState,
    family: Option<&'static str>,
    hint: SeverityHint,
    problem: Option<String>,
}

fn said(event: &str) -> Said {
    let says = |state, family, hint| Said {
        state,
        family,
        hint,
        problem: None,
    };
    if let Some((problem, _, hint)) = PAIRS.iter().find(|(problem, _, _)| *problem == event) {
        return says(EventState::Firing, Some(family_of(problem)), *hint);
    }
    if let Some((problem, _, hint)) = PAIRS.iter().find(|(_, recovery, _)| *recovery == event) {
        return says(EventState::Resolved, Some(family_of(problem)), *hint);
    }
    let quiet = event.ends_with("changed") || event == "Action done";
    if quiet {
        return says(EventState::Info, None, SeverityHint::Info);
    }
    Said {
        problem: Some(format!(
            "the event `{event}` is not known: nothing will say that it is over"
        )),
        ..says(EventState::Firing, None, SeverityHint::Unknown)
    }
}

/// Both problems of a content have one recovery.
fn family_of(problem: &'static str) -> &'static str {
    match problem {
        "Content match" => "Content failed",
        other => other,
    }
}
