//! Syslog as JSON by Vector or Logstash. Lines about links, sessions and arrays that say down or
//! up are paired by what they name; any other line from warning on is told by host, program and
//! its text without numbers. Lower ones say nothing.

use super::draft::Draft;
use super::fields::{Fields, mentions};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, signals};
use crate::limits::SKELETON_BYTES_MAX;
use crate::model::{ComponentKind, Event, EventState, Identity, SeverityHint};
use regex::Regex;
use std::sync::LazyLock;

/// Syslog relays.
pub struct Syslog;

impl Format for Syslog {
    fn name(&self) -> &'static str {
        "syslog"
    }

    fn about(&self) -> About {
        About {
            title: "Syslog as JSON (Vector, Logstash)",
            says: "problem, recovery (links, sessions, arrays)",
            identity: "host and what a known line names; else host, program and text without numbers",
            auth: "bearer, basic, header, certificate, address",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"[{"appname":"test","facility":"user","hostname":"alertbridge-test","message":"SNMP_TRAP_LINK_DOWN: ifIndex 1, ifName test0","severity":"warning","source_type":"syslog"}]"#,
            r#"[{"appname":"test","facility":"user","hostname":"alertbridge-test","message":"SNMP_TRAP_LINK_UP: ifIndex 1, ifName test0","severity":"info","source_type":"syslog"}]"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        let fields = mentions(request, &["\"message\"", "\"facility\"", "\"severity\""]);
        let vector = fields && mentions(request, &["\"source_type\"", "\"syslog\""]);
        let like = fields && mentions(request, &["\"appname\""]);
        let logstash = mentions(request, &["\"@timestamp\"", "\"message\"", "\"syslog\""]);
        if vector {
            Detection::Certain
        } else if like || logstash {
            // Documents of log searches look alike; their senders have surer marks.
            Detection::Possible
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let lines = Fields::of(&body.value).elements();
        let members: Vec<_> = lines.into_iter().filter_map(line).collect();
        if members.is_empty() {
            return Ok(Decoded::ignored("lines that no problem follows from"));
        }
        Decoded::from_members(members)
    }
}

/// A line that is paired with another: pattern, name of the problem, kind, hint. The pattern's
/// group `what` names the object and `edge` says which way it went.
struct Pair {
    pattern: Regex,
    family: &'static str,
    kind: ComponentKind,
    hint: SeverityHint,
}

/// The patterns are constants; one that could not be compiled would be left out, and a test would
/// miss its events.
static PAIRS: LazyLock<Vec<Pair>> = LazyLock::new(|| {
    let link = (ComponentKind::Interface, SeverityHint::Degradation);
    let session = (ComponentKind::Session, SeverityHint::Redundancy);
    let array = (ComponentKind::Array, SeverityHint::Redundancy);
    [
        (
            r"SNMP_TRAP_LINK_(?P<edge>DOWN|UP):.*ifName (?P<what>\S+)",
            "link",
            link,
        ),
        (
            r"%(?:LINK|LINEPROTO)-\d-UPDOWN:.*Interface (?P<what>[^,\s]+),.*to (?P<edge>down|up)",
            "link",
            link,
        ),
        (
            r"%ETHPORT-\d-IF_(?P<edge>DOWN|UP)\w*: Interface (?P<what>\S+)",
            "link",
            link,
        ),
        (
            r"%BGP-\d-ADJCHANGE: neighbor (?P<what>\S+).* (?P<edge>Down|Up)\b",
            "bgp",
            session,
        ),
        (
            r"RPD_BGP_NEIGHBOR_STATE_CHANGED: BGP peer (?P<what>\S+) .*(?:to (?P<edge>Established|Idle|Active|Connect|OpenSent|OpenConfirm))",
            "bgp",
            session,
        ),
        (
            r"%OSPF-\d-ADJCHG:.*Nbr (?P<what>\S+) on .*to (?P<edge>DOWN|FULL)",
            "ospf",
            session,
        ),
        (r"md/raid\w*:(?P<what>md\d+): (?P<edge>Disk failure)", "md", array),
    ]
    .into_iter()
    .filter_map(|(pattern, family, (kind, hint))| {
        Some(Pair {
            pattern: Regex::new(pattern).ok()?,
            family,
            kind,
            hint,
        })
    })
    .collect()
});

/// One line; `None` for those that no problem follows from.
fn line(line: Fields) -> Option<Result<Event, Undecodable>> {
    let text = line
        .first(&["message", "event.original"])
        .unwrap_or_default();
    let severity = line.first(&["severity", "log.syslog.severity.name", "severity_label"]);
    let level = severity.as_deref().unwrap_or("").to_ascii_lowercase();
    for pair in PAIRS.iter() {
        if let Some(found) = pair.pattern.captures(&text) {
            let what = found.name("what").map_or("", |m| m.as_str());
            let what = what.trim_end_matches([',', ':']).to_owned();
            let edge = found.name("edge").map_or("", |m| m.as_str());
            let back = ["up", "established", "full"].contains(&edge.to_ascii_lowercase().as_str());
            let state = if back {
                EventState::Resolved
            } else {
                EventState::Firing
            };
            let told = Told {
                state,
                key: format!("{}/{what}", pair.family),
                what: Some(what),
                kind: Some(pair.kind),
                hint: pair.hint,
            };
            return Some(event(line, &text, severity, told));
        }
    }
    let hint = match level.as_str() {
        "emerg" | "emergency" | "alert" | "crit" | "critical" | "err" | "error" | "warning"
        | "warn" => SeverityHint::Degradation,
        "notice" | "info" | "informational" | "debug" => return None,
        _ => SeverityHint::Unknown,
    };
    let program = program(line).unwrap_or_default();
    let told = Told {
        state: EventState::Firing,
        key: format!("{program}/{}", skeleton(&text)),
        what: None,
        kind: None,
        hint,
    };
    let told = (!text.is_empty()).then_some(told);
    Some(match told {
        Some(told) => event(line, &text, severity, told),
        None => Err(Undecodable::because("`message` is missing or empty")),
    })
}

struct Told {
    state: EventState,
    key: String,
    what: Option<String>,
    kind: Option<ComponentKind>,
    hint: SeverityHint,
}

fn program(line: Fields) -> Option<String> {
    line.first(&["appname", "process.name", "program", "event.module"])
}

fn event(
    line: Fields,
    text: &str,
    severity: Option<String>,
    told: Told,
) -> Result<Event, Undecodable> {
    let host = line.first(&[
        "hostname",
        "host.hostname",
        "host.name",
        "host",
        "host.ip",
        "source_ip",
    ]);
    let key = host.as_ref().map(|host| format!("{host}/{}", told.key));
    let at = line.first_time(&["timestamp", "@timestamp"]);
    let level = severity.as_deref().unwrap_or("");
    let unknown = (told.kind.is_none() && told.hint == SeverityHint::Unknown)
        .then(|| format!("the severity `{level}` is not a priority of syslog"));
    let mut draft = Draft::new(told.state, key.and_then(Identity::key), "the host's name")?
        .host(host.clone())
        .component(told.what)
        .check(program(line))
        .severity(severity, told.hint)
        .kind(told.kind)
        .summary(format!("{}: {text}", host.as_deref().unwrap_or("")))
        .details(text.to_owned())
        .label("address", line.first(&["source_ip", "host.ip"]))
        .label(
            "facility",
            line.first(&["facility", "log.syslog.facility.name"]),
        )
        .sent_at(at)
        .problem(unknown);
    if told.state == EventState::Resolved {
        draft = draft.ends_at(at);
    }
    let mut event = draft.finish();
    if event.component_kind.is_none() {
        signals::apply(&mut event);
    }
    Ok(event)
}

/// A text with numbers, hexadecimal words and addresses masked, cut to a length.
fn skeleton(text: &str) -> String {
    let words: Vec<&str> = text
        .split_whitespace()
        .take(24)
        .map(|word| {
            let digits = word.chars().filter(char::is_ascii_digit).count();
            let address = word.matches('.').count() == 3 || word.matches(':').count() >= 2;
            let hex = word.len() >= 6 && digits > 0 && word.chars().all(|c| c.is_ascii_hexdigit());
            let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
            let number = !bare.is_empty() && bare.chars().all(|c| c.is_ascii_digit() || c == '.');
            if number || hex || (address && digits >= 4) {
                "#"
            } else {
                word
            }
        })
        .collect();
    crate::model::text::bounded(&words.join(" "), SKELETON_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles_and_numbers_are_masked() {
        assert_eq!(PAIRS.len(), 7);
        assert_eq!(
            skeleton("sshd[812]: error 5 from 192.0.2.7 port 44231"),
            "sshd[812]: error # from # port #"
        );
    }
}
