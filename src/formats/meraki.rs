//! Cisco Meraki dashboard webhooks, payload 0.1. Down and up of one problem have different
//! `alertId`s: network, device, kind of problem and port make the identity. The body carries the
//! shared secret, which is never copied into an event.

use super::codes::{self, MERAKI, Meaning};
use super::draft::Draft;
use super::fields::{Fields, mentions};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, words};
use crate::model::{ComponentKind, Event, EventState, Identity, SeverityHint};

/// Meraki.
pub struct Meraki;

impl Format for Meraki {
    fn name(&self) -> &'static str {
        "meraki"
    }

    fn about(&self) -> About {
        About {
            title: "Cisco Meraki dashboard",
            says: "problem, recovery, test",
            identity: "network, device, kind of problem, port or peer",
            auth: "`sharedSecret` in the body, header",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"version":"0.1","networkId":"N_1","deviceSerial":"Q2XX-TEST-0001","deviceName":"alertbridge-test","alertId":"0000000000000000","alertTypeId":"power_supply_down","alertType":"Power supply went down","alertLevel":"warning","alertData":{"num":1}}"#,
            r#"{"version":"0.1","networkId":"N_1","deviceSerial":"Q2XX-TEST-0001","deviceName":"alertbridge-test","alertId":"0000000000000000","alertTypeId":"power_supply_up","alertType":"Power supply came up","alertLevel":"informational","alertData":{"num":1}}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        if mentions(
            request,
            &["\"alertTypeId\"", "\"alertLevel\"", "\"networkId\""],
        ) {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let id = fields.word("alertTypeId");
        if id == "settings_changed" {
            return Ok(Decoded::ignored("a change of settings is no alert"));
        }
        let told = told(fields, &id);
        let level = fields.text("alertLevel");
        let part = part_of(fields, &told);
        let unnamed = codes::unnamed(codes::find_one(MERAKI, &id), part.as_deref());
        let at = fields.time("occurredAt");
        let mut draft = Draft::new(
            told.state,
            identity(fields, &told, part.as_deref()),
            "`networkId` with `alertTypeId`",
        )?
        .dedup_key(fields.text("alertId"))
        .site(fields.text("networkName"))
        .host(fields.first(&["deviceName", "deviceSerial"]))
        .component(part)
        .check((!id.is_empty()).then_some(id))
        .severity(level.clone(), told.hint)
        .kind(told.kind)
        .summary(summary(fields))
        .details(details(fields))
        .label("organization", fields.text("organizationName"))
        .label("serial", fields.text("deviceSerial"))
        .label("model", fields.text("deviceModel"))
        .label("peer", fields.text("alertData.peerNetworkName"))
        .link(fields.first(&["deviceUrl", "networkUrl"]))
        .sent_at(at)
        .problem(words::unknown_severity(level.as_deref()))
        .problem(unnamed)
        .test(is_test(fields));
        draft = match told.state {
            EventState::Resolved => draft.ends_at(at),
            EventState::Info => draft,
            _ => draft.starts_at(at),
        };
        Ok(Decoded {
            events: vec![finish(draft, fields)],
            ..Decoded::default()
        })
    }
}

/// What an alert says: state, kind of problem, and what it means.
struct Told {
    state: EventState,
    family: String,
    kind: Option<ComponentKind>,
    hint: SeverityHint,
    whole: bool,
}

fn told(fields: Fields, id: &str) -> Told {
    let both_ways = |clear: Option<bool>, family: &str, kind, hint| Told {
        state: match clear {
            Some(true) => EventState::Resolved,
            _ => EventState::Firing,
        },
        family: family.to_owned(),
        kind: Some(kind),
        hint,
        whole: false,
    };
    let link = ComponentKind::Link;
    let spare = SeverityHint::Redundancy;
    match id {
        "failover_event" => {
            let primary = fields.integer("alertData.uplink").map(|uplink| uplink == 0);
            both_ways(primary, "failover", link, spare)
        }
        "vpn_connectivity_change" => {
            both_ways(fields.flag("alertData.connectivity"), "vpn", link, spare)
        }
        "client_connectivity" => {
            let connected = fields.flag("alertData.connected");
            let (kind, hint) = (ComponentKind::Device, SeverityHint::Degradation);
            both_ways(connected, "client", kind, hint)
        }
        _ => match codes::find_one(MERAKI, id) {
            Some(meaning) => by_code(meaning),
            None => by_level(fields, id),
        },
    }
}

fn by_code(meaning: Meaning) -> Told {
    Told {
        state: if meaning.clears {
            EventState::Resolved
        } else {
            EventState::Firing
        },
        family: meaning.family.to_owned(),
        kind: Some(meaning.kind),
        hint: meaning.hint,
        whole: meaning.whole,
    }
}

/// An id that is not known: informational ones say nothing of a problem.
fn by_level(fields: Fields, id: &str) -> Told {
    let (state, hint) = match fields.word("alertLevel").as_str() {
        "informational" => (EventState::Info, SeverityHint::Info),
        "critical" | "warning" => (EventState::Firing, SeverityHint::Degradation),
        _ => (EventState::Firing, SeverityHint::Unknown),
    };
    Told {
        state,
        family: id.to_owned(),
        kind: None,
        hint,
        whole: true,
    }
}

fn part_of(fields: Fields, told: &Told) -> Option<String> {
    if told.whole || told.family == "failover" {
        return None;
    }
    if told.family == "power_supply" {
        return fields
            .text("alertData.num")
            .map(|n| format!("power supply {n}"));
    }
    fields.first(&[
        "alertData.portNum",
        "alertData.peerNetworkId",
        "alertData.clientMac",
        "alertData.clientName",
        "alertData.num",
    ])
}

fn identity(fields: Fields, told: &Told, part: Option<&str>) -> Option<Identity> {
    let network = fields.word("networkId");
    let serial = fields.word("deviceSerial");
    if told.family.is_empty() || (network.is_empty() && serial.is_empty()) {
        return None;
    }
    let part = part.unwrap_or("");
    Identity::key(format!("{network}/{serial}/{}/{part}", told.family))
}

fn is_test(fields: Fields) -> bool {
    let id = fields.word("alertId");
    !id.is_empty() && id.chars().all(|c| c == '0')
}

fn summary(fields: Fields) -> Option<String> {
    let what = fields.first(&["alertType", "alertTypeId"])?;
    Some(match fields.first(&["deviceName", "networkName"]) {
        Some(name) => format!("{name}: {what}"),
        None => what,
    })
}

fn details(fields: Fields) -> String {
    let data = fields.at("alertData").entries();
    let lines: Vec<String> = data
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}: {}", value.as_word()?)))
        .collect();
    lines.join("\n")
}

/// A port whose description names a bundle or an uplink is one of several ways.
fn finish(draft: Draft, fields: Fields) -> Event {
    let mut event = draft.finish();
    let description = fields.word("alertData.portDesc").to_lowercase();
    let spare = ["lag", "uplink", "member"]
        .iter()
        .any(|word| description.contains(word));
    if spare && fields.word("alertTypeId").starts_with("port_") {
        event.severity_hint = SeverityHint::Redundancy;
    }
    event
}
