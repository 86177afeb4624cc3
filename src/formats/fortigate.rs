//! FortiGate automation stitches: our body with the fields of the triggering log, or the default
//! one with the raw log line. The level says nothing about the edge: a clear may be `critical`.
//! `logid` ends in the message id; `status` and `action` say which way it went.

use super::codes::{self, FORTIGATE, Meaning};
use super::draft::Draft;
use super::fields::{Fields, mentions, names_source};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, words};
use crate::model::{EventState, Identity, SeverityHint};
use serde_json::{Map, Value};

/// FortiGate.
pub struct Fortigate;

impl Format for Fortigate {
    fn name(&self) -> &'static str {
        "fortigate"
    }

    fn about(&self) -> About {
        About {
            title: "Fortinet FortiGate (automation stitch)",
            says: "problem, recovery",
            identity: "device, virtual domain, kind of problem, interface, unit, member or tunnel",
            auth: "header, address",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"source":"fortigate","devid":"alertbridge-test","devname":"alertbridge-test","vd":"root","logid":"0100020099","level":"warning","logdesc":"Interface status changed","msg":"Interface test0 was turned down","status":"DOWN"}"#,
            r#"{"source":"fortigate","devid":"alertbridge-test","devname":"alertbridge-test","vd":"root","logid":"0100020099","level":"warning","logdesc":"Interface status changed","msg":"Interface test0 was turned up","status":"UP"}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        if names_source(request, "fortigate")
            || mentions(request, &["rawlog", "logid=", "devid="])
            || mentions(request, &["\"logid\"", "\"devid\"", "\"logdesc\""])
        {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let raw = fields.first(&["raw", "data.rawlog", "rawlog"]);
        let log = raw.as_deref().map(pairs).unwrap_or_default();
        let log = Log(fields, Fields::of(&log));
        let id = log.text("logid").unwrap_or_default();
        if id.is_empty() && fields.unresolved("logid") {
            return Ok(Decoded::ignored(
                "a test: the placeholders are not filled in",
            ));
        }
        let meaning = codes::find_one(FORTIGATE, message_id(&id));
        let part = part_of(log, meaning);
        let (state, problem) = state_of(log, meaning);
        let device = log.text("devid");
        let key = device.as_ref().filter(|_| !id.is_empty()).map(|device| {
            let family = meaning.map_or(message_id(&id), |meaning| meaning.family);
            let vd = log.text("vd").unwrap_or_default();
            format!("{device}/{vd}/{family}/{}", part.as_deref().unwrap_or(""))
        });
        let level = log.text("level");
        let at = log
            .text("eventtime")
            .and_then(|text| super::fields::time(&text));
        let host = log.text("devname").or_else(|| device.clone());
        let told = [log.text("msg"), log.text("logdesc")];
        let told = told.into_iter().flatten().next().unwrap_or_default();
        let hint = meaning.map_or_else(|| by_level(level.as_deref()), |meaning| meaning.hint);
        let mut draft = Draft::new(state, key.and_then(Identity::key), "`devid` with `logid`")?
            .host(host.clone())
            .component(part.clone())
            .check(log.text("logdesc"))
            .severity(level.clone(), hint)
            .kind(meaning.map(|meaning| meaning.kind))
            .summary(summary(host, &told, part.as_deref()))
            .details(raw)
            .label("logid", (!id.is_empty()).then_some(id))
            .label("devid", device)
            .label("vd", log.text("vd"))
            .label("subtype", log.text("subtype"))
            .sent_at(at)
            .problem(problem)
            .problem(codes::unnamed(meaning, part.as_deref()))
            .problem(words::unknown_severity(level.as_deref()))
            .problem(body.repaired.map(str::to_owned));
        if state == EventState::Resolved {
            draft = draft.ends_at(at);
        }
        Ok(draft.decoded())
    }
}

/// The fields of the body, and behind them those of the raw line.
#[derive(Clone, Copy)]
struct Log<'a>(Fields<'a>, Fields<'a>);

impl Log<'_> {
    fn text(self, name: &str) -> Option<String> {
        self.0.text(name).or_else(|| self.1.text(name))
    }
}

/// `a=1 b="two words"` as an object.
fn pairs(line: &str) -> Value {
    let mut object = Map::new();
    let mut rest = line.trim();
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.rsplit(' ').next().unwrap_or(name);
        let (value, left) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => after.split_once(' ').unwrap_or((after, "")),
        };
        object
            .entry(name.to_owned())
            .or_insert_with(|| value.into());
        rest = left.trim_start();
    }
    Value::Object(object)
}

/// The message id: without type and subtype in front, without leading zeros.
fn message_id(logid: &str) -> &str {
    let id = logid.get(logid.len().saturating_sub(6)..).unwrap_or(logid);
    let id = id.trim_start_matches('0');
    if id.is_empty() { logid } else { id }
}

fn part_of(log: Log, meaning: Option<Meaning>) -> Option<String> {
    let names: &[&str] = match meaning?.family {
        "power_supply" => &["unit"],
        "member" => &["sn"],
        "failover" => &["vcluster_member", "vcluster"],
        "heartbeat" => &["devintfname"],
        "tunnel" => &["vpntunnel"],
        "interface" => {
            let named = log.text("intf").or_else(|| log.text("interface"));
            return named.or_else(|| interface_in(&log.text("msg")?));
        }
        _ => return None,
    };
    names.iter().find_map(|name| log.text(name))
}

/// The name after the word `Interface` in a message.
fn interface_in(message: &str) -> Option<String> {
    let mut words = message.split_whitespace();
    words.find(|word| word.eq_ignore_ascii_case("interface"))?;
    words.next().map(str::to_owned)
}

fn state_of(log: Log, meaning: Option<Meaning>) -> (EventState, Option<String>) {
    let word = |name| log.text(name).unwrap_or_default().to_ascii_lowercase();
    let both_ways = match meaning.map(|meaning| meaning.family) {
        Some("interface") => word("status"),
        Some("tunnel") => word("action").trim_start_matches("tunnel-").to_owned(),
        Some(_) => String::new(),
        None => {
            let low = matches!(word("level").as_str(), "notice" | "information" | "debug");
            let state = if low {
                EventState::Info
            } else {
                EventState::Firing
            };
            return (state, None);
        }
    };
    match (both_ways.as_str(), meaning) {
        ("up", _) => (EventState::Resolved, None),
        ("down", _) => (EventState::Firing, None),
        (_, Some(meaning)) if meaning.clears => (EventState::Resolved, None),
        (_, Some(meaning)) if matches!(meaning.family, "interface" | "tunnel") => {
            let problem = "neither `status` nor `action` says up or down: taken as down".to_owned();
            (EventState::Firing, Some(problem))
        }
        _ => (EventState::Firing, None),
    }
}

fn by_level(level: Option<&str>) -> SeverityHint {
    level.map_or(SeverityHint::Unknown, |level| match words::hint(level) {
        SeverityHint::Outage => SeverityHint::Degradation,
        hint => hint,
    })
}

fn summary(host: Option<String>, told: &str, part: Option<&str>) -> String {
    let mut text = host.unwrap_or_default();
    if !told.is_empty() {
        text.push_str(": ");
        text.push_str(told);
    }
    if let Some(part) = part.filter(|part| !told.contains(part)) {
        text.push_str(&format!(" ({part})"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_lines_and_ids_are_read() {
        let log = pairs("date=2026-05-12 logdesc=\"Power supply failed\" unit=2");
        let fields = Fields::of(&log);
        assert_eq!(
            fields.text("logdesc").as_deref(),
            Some("Power supply failed")
        );
        assert_eq!(fields.text("unit").as_deref(), Some("2"));
        assert_eq!(message_id("0100022105"), "22105");
        assert_eq!(message_id("22105"), "22105");
    }
}
