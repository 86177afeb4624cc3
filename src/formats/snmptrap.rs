//! SNMP traps by a relay: Telegraf's JSON, Logstash's, and snmptrapd's trap handler (its standard
//! input as it is, or as `alertbridge notify snmptrapd` posts it). Agent, trap and index make the
//! identity; a linkDown of a port that was switched off is no problem.

use super::codes::{self, TRAPS};
use super::draft::Draft;
use super::fields::{Fields, mentions, names_source};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, signals};
use crate::model::{Event, EventState, Identity, SeverityHint, Suppressed, Time};
use serde_json::Value;

/// SNMP trap relays.
pub struct Snmptrap;

impl Format for Snmptrap {
    fn name(&self) -> &'static str {
        "snmptrap"
    }

    fn about(&self) -> About {
        About {
            title: "SNMP traps (Telegraf, Logstash, snmptrapd)",
            says: "problem, recovery (linkDown and linkUp, BGP), information",
            identity: "agent, trap, index or peer",
            auth: "bearer, basic, header, certificate, address",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"source":"snmptrap","hostname":"alertbridge-test","agent":"alertbridge-test","trap_name":"IF-MIB::linkDown","varbinds":[{"oid":"IF-MIB::ifIndex.1","value":"1"}]}"#,
            r#"{"source":"snmptrap","hostname":"alertbridge-test","agent":"alertbridge-test","trap_name":"IF-MIB::linkUp","varbinds":[{"oid":"IF-MIB::ifIndex.1","value":"1"}]}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        let telegraf = mentions(request, &["\"snmp_trap\"", "\"tags\"", "\"fields\""]);
        let logstash = mentions(request, &["variable_bindings", "request_id"]);
        let first = request.body.iter().find(|byte| !byte.is_ascii_whitespace());
        let json = matches!(first, Some(b'{' | b'['));
        let handler = !json && mentions(request, &["snmpTrapOID.0", "\n"]);
        if telegraf || logstash || handler || names_source(request, "snmptrap") {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        if let Value::String(text) = &body.value {
            return event(handler(text)).map(one);
        }
        let fields = Fields::of(&body.value);
        if fields.has("metrics") || fields.has("tags") || fields.value().is_array() {
            let metrics = if fields.has("metrics") {
                fields.list("metrics")
            } else {
                fields.elements()
            };
            return Decoded::from_members(metrics.into_iter().map(|metric| {
                let trap = if metric.has("message") {
                    logstash(metric)
                } else {
                    telegraf(metric)
                };
                event(trap)
            }));
        }
        if fields.has("trap_oid") || fields.has("trap_name") {
            return event(posted(fields)).map(one);
        }
        event(logstash(fields)).map(one)
    }
}

fn one(event: Event) -> Decoded {
    Decoded {
        events: vec![event],
        ..Decoded::default()
    }
}

/// A trap, whatever relayed it.
#[derive(Default)]
struct Trap {
    /// Where it came from, for the identity: the agent's address, else its name.
    agent: Option<String>,
    host: Option<String>,
    /// Name or OID of the trap.
    name: String,
    /// Name or OID, and value.
    varbinds: Vec<(String, String)>,
    at: Option<Time>,
}

fn telegraf(metric: Fields) -> Trap {
    let tags = metric.at("tags");
    let source = tags.first(&["agent_address", "source"]);
    Trap {
        agent: source.clone(),
        host: source,
        name: tags.first(&["name", "oid"]).unwrap_or_default(),
        varbinds: varbinds(metric.at("fields")),
        at: metric.time("timestamp"),
    }
}

fn logstash(event: Fields) -> Trap {
    let host = event.first(&["host.ip", "host.name", "host"]);
    let mut trap = Trap {
        agent: host.clone(),
        host,
        at: event.time("@timestamp"),
        ..Trap::default()
    };
    // The trap itself is JSON in a string.
    let message = event.word("message");
    if let Ok(inner) = body::parse(&message) {
        trap.varbinds = varbinds(Fields::of(&inner.value).at("variable_bindings"));
    }
    let oid = trap
        .varbinds
        .iter()
        .find(|(oid, _)| oid.ends_with("1.3.6.1.6.3.1.1.4.1.0"));
    trap.name = oid.map(|(_, value)| value.clone()).unwrap_or_default();
    trap
}

fn posted(fields: Fields) -> Trap {
    Trap {
        agent: fields.first(&["agent", "hostname"]),
        host: fields.first(&["hostname", "agent"]),
        name: fields.first(&["trap_name", "trap_oid"]).unwrap_or_default(),
        varbinds: fields
            .list("varbinds")
            .into_iter()
            .map(|varbind| (varbind.word("oid"), varbind.word("value")))
            .collect(),
        at: fields.time("received_at"),
    }
}

/// The standard input of a trap handler: host name, transport, then a varbind a line.
fn handler(text: &str) -> Trap {
    let mut lines = text.lines().map(str::trim);
    let host = lines.next().unwrap_or("").to_owned();
    let transport = lines.next().unwrap_or("");
    let agent = transport
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'))
        .map(|(address, _)| address.to_owned());
    let varbinds: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(' '))
        .map(|(oid, value)| (oid.to_owned(), value.trim().to_owned()))
        .collect();
    let value = |end: &str| {
        varbinds
            .iter()
            .find(|(oid, _)| oid.ends_with(end))
            .map(|(_, value)| value.clone())
    };
    Trap {
        agent: value("snmpTrapAddress.0")
            .or(agent)
            .or_else(|| Some(host.clone())),
        host: Some(host).filter(|host| !host.is_empty() && host != "<UNKNOWN>"),
        name: value("snmpTrapOID.0").unwrap_or_default(),
        varbinds,
        at: None,
    }
}

fn varbinds(fields: Fields) -> Vec<(String, String)> {
    fields
        .entries()
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value.as_word()?)))
        .collect()
}

/// The standard traps by OID.
const STANDARD: [(&str, &str); 9] = [
    ("1.3.6.1.6.3.1.1.5.1", "coldStart"),
    ("1.3.6.1.6.3.1.1.5.2", "warmStart"),
    ("1.3.6.1.6.3.1.1.5.3", "linkDown"),
    ("1.3.6.1.6.3.1.1.5.4", "linkUp"),
    ("1.3.6.1.6.3.1.1.5.5", "authenticationFailure"),
    ("1.3.6.1.2.1.15.7.1", "bgpEstablished"),
    ("1.3.6.1.2.1.15.7.2", "bgpBackwardTransition"),
    ("1.3.6.1.2.1.15.0.1", "bgpEstablished"),
    ("1.3.6.1.2.1.15.0.2", "bgpBackwardTransition"),
];

/// The name without its module; a standard OID by its name.
fn trap_name(name: &str) -> String {
    let bare = name.rsplit("::").next().unwrap_or(name);
    let oid = bare.trim_start_matches('.');
    STANDARD
        .iter()
        .find(|(standard, _)| *standard == oid)
        .map_or(oid, |(_, name)| name)
        .to_owned()
}

impl Trap {
    /// The value of the first varbind of that name, or of that OID.
    fn value(&self, name: &str, oid: &str) -> Option<&str> {
        let named = |id: &str| {
            let bare = id.rsplit("::").next().unwrap_or(id);
            bare.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('.') || rest.is_empty())
                || id.trim_start_matches('.').starts_with(oid)
        };
        self.varbinds
            .iter()
            .find(|(id, _)| named(id))
            .map(|(_, value)| value.as_str())
    }

    /// What the trap is about: an interface's index, a peer's address, else the index that all
    /// varbinds share.
    fn part(&self, name: &str) -> Option<String> {
        match name {
            "linkDown" | "linkUp" => self
                .value("ifIndex", "1.3.6.1.2.1.2.2.1.1.")
                .map(str::to_owned),
            "bgpEstablished" | "bgpBackwardTransition" => {
                let state = |id: &str| {
                    let bare = id.rsplit("::").next().unwrap_or(id).trim_start_matches('.');
                    bare.strip_prefix("bgpPeerState.")
                        .or_else(|| bare.strip_prefix("bgpPeerLastError."))
                        .or_else(|| bare.strip_prefix("1.3.6.1.2.1.15.3.1.2."))
                        .map(str::to_owned)
                };
                self.varbinds.iter().find_map(|(id, _)| state(id))
            }
            _ => self.shared_index(),
        }
    }

    fn shared_index(&self) -> Option<String> {
        let mut ids = self
            .varbinds
            .iter()
            .map(|(id, _)| id.as_str())
            .filter(|id| !id.contains("sysUpTime") && !id.contains("snmpTrap"))
            .filter(|id| !id.contains("1.3.6.1.2.1.1.3.0") && !id.contains("1.3.6.1.6.3.1.1.4"));
        let first: Vec<&str> = ids.next()?.split('.').rev().collect();
        let second: Vec<&str> = ids.next()?.split('.').rev().collect();
        let mut shared = first.len().min(second.len());
        for other in std::iter::once(second).chain(ids.map(|id| id.split('.').rev().collect())) {
            let same = first.iter().zip(&other).take_while(|(a, b)| a == b).count();
            shared = shared.min(same);
        }
        let index: Vec<&str> = first.iter().take(shared).rev().copied().collect();
        (!index.is_empty()).then(|| index.join("."))
    }
}

fn event(trap: Trap) -> Result<Event, Undecodable> {
    let name = trap_name(&trap.name);
    let meaning = codes::find_one(TRAPS, &name);
    let part = trap.part(&name);
    let state = match meaning {
        Some(meaning) if meaning.clears => EventState::Resolved,
        Some(_) => EventState::Firing,
        None if matches!(
            name.as_str(),
            "coldStart" | "warmStart" | "authenticationFailure"
        ) =>
        {
            EventState::Info
        }
        None => EventState::Firing,
    };
    let key = trap
        .agent
        .as_ref()
        .filter(|_| !name.is_empty())
        .map(|agent| {
            let family = meaning.map_or(name.as_str(), |meaning| meaning.family);
            format!("{agent}/{family}/{}", part.as_deref().unwrap_or(""))
        });
    let admin = trap.value("ifAdminStatus", "1.3.6.1.2.1.2.2.1.7.");
    let off = name == "linkDown" && matches!(admin, Some("2" | "down" | "down(2)"));
    let unpaired = (meaning.is_none() && state == EventState::Firing)
        .then(|| format!("the trap `{name}` is not known: nothing will say that it is over"));
    let details: Vec<String> = trap
        .varbinds
        .iter()
        .map(|(id, value)| format!("{id} = {value}"))
        .collect();
    let host = trap.host.or_else(|| trap.agent.clone());
    let summary = [host.as_deref(), Some(name.as_str()), part.as_deref()];
    let summary = summary.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let hint = meaning.map_or(SeverityHint::Unknown, |meaning| meaning.hint);
    let interface = matches!(name.as_str(), "linkDown" | "linkUp");
    let component = part.map(|part| {
        if interface {
            format!("ifIndex {part}")
        } else {
            part
        }
    });
    let mut draft = Draft::new(
        state,
        key.and_then(Identity::key),
        "the agent with the trap's OID",
    )?
    .host(host.clone())
    .component(component)
    .check(Some(name.clone()))
    .hint(hint)
    .kind(meaning.map(|meaning| meaning.kind))
    .summary(summary)
    .details(details.join("\n"))
    .label("agent", trap.agent)
    .sent_at(trap.at)
    .suppressed(off.then_some(Suppressed::Downtime))
    .problem(unpaired);
    if state == EventState::Resolved {
        draft = draft.ends_at(trap.at);
    }
    let mut event = draft.finish();
    if event.component_kind.is_none() {
        signals::apply(&mut event);
    }
    Ok(event)
}
