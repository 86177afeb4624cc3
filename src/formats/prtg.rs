//! PRTG Network Monitor: notification action "Execute HTTP action" with a form of placeholders.
//! The status text says what was and, when it ended, what is now; its words may be localised.

use super::draft::Draft;
use super::fields::{Fields, mentions};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, signals};
use crate::model::{ComponentKind, EventState, Identity, SeverityHint, Suppressed};

/// PRTG.
pub struct Prtg;

impl Format for Prtg {
    fn name(&self) -> &'static str {
        "prtg"
    }

    fn about(&self) -> About {
        About {
            title: "PRTG Network Monitor",
            says: "problem, escalation, acknowledged, paused, recovery, test",
            identity: "sensor id",
            auth: "token in URL or body, address",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            "sensorid=1&sensor=test&device=alertbridge-test&status=Warning&laststatus=Up",
            "sensorid=1&sensor=test&device=alertbridge-test&status=Warning+ended+%28now%3A+Up%29&laststatus=Warning",
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        if mentions(request, &["sensorid", "laststatus"]) {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let unfilled = fields.unresolved("status");
        if unfilled && fields.text("sensorid").is_none() {
            return Ok(Decoded::ignored(
                "a test of the notification: the placeholders are not filled in",
            ));
        }
        let status = fields.first(&["status", "down"]).unwrap_or_default();
        let said = read_status(&status);
        let identity = fields.text("sensorid").and_then(Identity::key);
        let sensor = fields.first(&["sensor", "name", "shortname"]);
        let device = fields.first(&["device", "host"]);
        let named = [sensor.as_deref(), device.as_deref()];
        let named: Vec<&str> = named.into_iter().flatten().collect();
        let message = fields.text("message");
        let mut event = Draft::new(said.state, identity, "`sensorid`")?
            .host(device.clone())
            .check(sensor.clone())
            .severity((!status.is_empty()).then(|| status.clone()), said.hint)
            .summary(format!(
                "{}: {status}{}{}",
                named.join(" on "),
                if message.is_some() { " - " } else { "" },
                message.as_deref().unwrap_or("")
            ))
            .details(message)
            .label("address", fields.text("host"))
            .label("sensor_id", fields.text("sensorid"))
            .label_fields(
                fields,
                &[
                    "probe", "group", "priority", "location", "deviceid", "sitename",
                ],
            )
            .link(fields.text("linksensor"))
            .suppressed(said.suppressed)
            .problem(said.problem)
            .problem(body.repaired.map(str::to_owned))
            .test(unfilled)
            .finish();
        if sensor.as_deref().is_some_and(watches_device) {
            event.component_kind = Some(ComponentKind::Device);
        } else {
            signals::apply_check(&mut event);
        }
        Ok(Decoded {
            events: vec![event],
            ..Decoded::default()
        })
    }
}

/// What a status text says.
struct Said {
    state: EventState,
    hint: SeverityHint,
    suppressed: Option<Suppressed>,
    problem: Option<String>,
}

/// `Down`, `Down ESCALATION`, `Down (Acknowledged)`, `Down ended (now: Up)`.
fn read_status(status: &str) -> Said {
    let now = status
        .split_once(" ended (now: ")
        .map(|(_, now)| now.strip_suffix(')').unwrap_or(now));
    let what = status.strip_suffix(" ESCALATION").unwrap_or(status);
    let mut said = Said {
        state: EventState::Firing,
        hint: hint(now.unwrap_or(what)),
        suppressed: None,
        problem: None,
    };
    match now.unwrap_or(what) {
        "Up" => said.state = EventState::Resolved,
        word if word.starts_with("Paused") => said.suppressed = Some(Suppressed::Downtime),
        word if word.contains("(Acknowledged)") => said.state = EventState::Acknowledged,
        _ if said.hint != SeverityHint::Unknown => {}
        "Unknown" => {}
        other => {
            said.problem = Some(format!(
                "the status `{other}` is not known (a localised core?): taken as a problem"
            ));
        }
    }
    said
}

fn hint(word: &str) -> SeverityHint {
    match word {
        "Partial Down" | "Down (Partial)" | "Warning" | "Unusual" => SeverityHint::Degradation,
        word if word.starts_with("Down") => SeverityHint::Outage,
        _ => SeverityHint::Unknown,
    }
}

/// A sensor that stands for its whole device.
fn watches_device(sensor: &str) -> bool {
    let sensor = sensor.to_lowercase();
    sensor.starts_with("ping") || sensor.ends_with("availability")
}
