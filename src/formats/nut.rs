//! NUT (Network UPS Tools): a `NOTIFYCMD` that posts the UPS, the type of notice and its text.
//! Mains and communication have pairs; a battery that needs to be replaced has none. On battery
//! costs redundancy; a low battery or a shutdown is an outage to come.

use super::draft::Draft;
use super::fields::{Fields, mentions, names_source};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body};
use crate::model::{ComponentKind, EventState, Identity, SeverityHint};

/// NUT.
pub struct Nut;

/// Type, problem it belongs to, state, hint.
const TYPES: [(&str, &str, EventState, SeverityHint); 18] = [
    (
        "ONBATT",
        "mains",
        EventState::Firing,
        SeverityHint::Redundancy,
    ),
    ("LOWBATT", "mains", EventState::Firing, SeverityHint::Outage),
    ("FSD", "mains", EventState::Firing, SeverityHint::Outage),
    (
        "SHUTDOWN",
        "mains",
        EventState::Firing,
        SeverityHint::Outage,
    ),
    (
        "ONLINE",
        "mains",
        EventState::Resolved,
        SeverityHint::Redundancy,
    ),
    (
        "COMMBAD",
        "communication",
        EventState::Firing,
        SeverityHint::Unknown,
    ),
    (
        "NOCOMM",
        "communication",
        EventState::Firing,
        SeverityHint::Unknown,
    ),
    (
        "COMMOK",
        "communication",
        EventState::Resolved,
        SeverityHint::Unknown,
    ),
    (
        "REPLBATT",
        "battery",
        EventState::Firing,
        SeverityHint::Redundancy,
    ),
    (
        "OVER",
        "load",
        EventState::Firing,
        SeverityHint::Degradation,
    ),
    (
        "NOTOVER",
        "load",
        EventState::Resolved,
        SeverityHint::Degradation,
    ),
    (
        "BYPASS",
        "bypass",
        EventState::Firing,
        SeverityHint::Redundancy,
    ),
    (
        "NOTBYPASS",
        "bypass",
        EventState::Resolved,
        SeverityHint::Redundancy,
    ),
    ("OFF", "output", EventState::Firing, SeverityHint::Outage),
    (
        "NOTOFF",
        "output",
        EventState::Resolved,
        SeverityHint::Outage,
    ),
    ("CAL", "calibration", EventState::Info, SeverityHint::Info),
    (
        "NOTCAL",
        "calibration",
        EventState::Info,
        SeverityHint::Info,
    ),
    (
        "NOPARENT",
        "monitor",
        EventState::Firing,
        SeverityHint::Unknown,
    ),
];

impl Format for Nut {
    fn name(&self) -> &'static str {
        "nut"
    }

    fn about(&self) -> About {
        About {
            title: "NUT, Network UPS Tools (NOTIFYCMD)",
            says: "problem, worse, recovery",
            identity: "UPS and kind of problem",
            auth: "header, basic, address",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            "ups=test@alertbridge-test&type=ONBATT&message=test",
            "ups=test@alertbridge-test&type=ONLINE&message=test",
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        let command = mentions(request, &["ups=", "type=", "message="]);
        let environment = mentions(request, &["UPSNAME", "NOTIFYTYPE"]);
        if command || environment || names_source(request, "nut") {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let ups = fields.first(&["ups", "UPSNAME"]);
        let word = fields.first(&["type", "NOTIFYTYPE"]).unwrap_or_default();
        let known = TYPES.iter().find(|(name, _, _, _)| *name == word);
        let (family, state, hint) = match known {
            Some((_, family, state, hint)) => (*family, *state, *hint),
            None => (word.as_str(), EventState::Firing, SeverityHint::Unknown),
        };
        let problem = known
            .is_none()
            .then(|| format!("the type `{word}` is not known: nothing will say that it is over"));
        let key = ups
            .as_ref()
            .filter(|_| !word.is_empty())
            .map(|ups| format!("{ups}/{family}"));
        let (name, host) = match ups.as_deref().and_then(|ups| ups.split_once('@')) {
            Some((name, host)) => (Some(name.to_owned()), Some(host.to_owned())),
            None => (ups.clone(), None),
        };
        let draft = Draft::new(state, key.and_then(Identity::key), "`ups` with `type`")?
            .host(host)
            .component(name)
            .check(Some(family.to_owned()))
            .severity((!word.is_empty()).then(|| word.clone()), hint)
            .kind(ComponentKind::Power)
            .summary(fields.first(&["message", "NOTIFYMSG"]))
            .problem(problem);
        Ok(draft.decoded())
    }
}
