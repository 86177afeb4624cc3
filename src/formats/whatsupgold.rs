//! WhatsUp Gold: web action with percent variables, a template of ours, put in raw. An action on a
//! device has no monitor; one on a monitor has both.

use super::draft::Draft;
use super::fields::{Fields, names_source};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, signals};
use crate::model::{ComponentKind, EventState, Identity, SeverityHint, Suppressed};

/// WhatsUp Gold.
pub struct Whatsupgold;

impl Format for Whatsupgold {
    fn name(&self) -> &'static str {
        "whatsupgold"
    }

    fn about(&self) -> About {
        About {
            title: "WhatsUp Gold",
            says: "problem, maintenance, recovery",
            identity: "device id, or device id and monitor",
            auth: "header, basic, address",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"source":"whatsupgold","device":"alertbridge-test","deviceid":"0","monitor":"test","monitor_state":"Down"}"#,
            r#"{"source":"whatsupgold","device":"alertbridge-test","deviceid":"0","monitor":"test","monitor_state":"Up"}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        if names_source(request, "whatsupgold") {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let device = fields.first(&["device", "host"]);
        let monitor = fields.text("monitor");
        let unfilled = fields.unresolved("device_state");
        let Some(id) = fields.text("deviceid") else {
            if unfilled {
                return Ok(Decoded::ignored("a test: the variables are not resolved"));
            }
            return Err(Undecodable::because(
                "nothing tells this problem from another: `deviceid` is missing or empty",
            ));
        };
        let key = monitor
            .as_deref()
            .map_or(id.clone(), |monitor| format!("{id}/{monitor}"));
        let word = fields.first(&["monitor_state", "device_state"]);
        let (state, suppressed, hint, problem) = meaning(word.as_deref().unwrap_or(""));
        let named = [monitor.as_deref(), device.as_deref()];
        let named: Vec<&str> = named.into_iter().flatten().collect();
        let state_text = word.clone().unwrap_or_default();
        let mut event = Draft::new(state, Identity::key(key), "`deviceid`")?
            .host(device.clone())
            .check(monitor.clone())
            .severity(word, hint)
            .summary(format!("{}: {state_text}", named.join(" on ")))
            .details(fields.first(&["monitor_payload", "monitor_comment"]))
            .label("address", fields.text("address"))
            .label("deviceid", Some(id))
            .suppressed(suppressed)
            .problem(problem)
            .problem(body.repaired.map(str::to_owned))
            .test(unfilled)
            .finish();
        if monitor.is_none_or(|monitor| monitor.eq_ignore_ascii_case("ping")) {
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

type Meaning = (EventState, Option<Suppressed>, SeverityHint, Option<String>);

/// `Down at least 2 min`, `Up`, `Maintenance`, `Unknown`.
fn meaning(word: &str) -> Meaning {
    if word.starts_with("Down") {
        (EventState::Firing, None, SeverityHint::Outage, None)
    } else if word.starts_with("Up") {
        (EventState::Resolved, None, SeverityHint::Unknown, None)
    } else if word.starts_with("Maintenance") {
        let why = Some(Suppressed::Downtime);
        (EventState::Info, why, SeverityHint::Unknown, None)
    } else {
        let problem = (word != "Unknown")
            .then(|| format!("the state `{word}` is not known: taken as a problem"));
        (EventState::Firing, None, SeverityHint::Unknown, problem)
    }
}
