//! Every sample mail under `tests/data/mail/samples` decodes as `tests/data/mail/EXPECTED.json`
//! says: sender, state, host, object, severity word, identity, windows.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod mail_support;

use alertbridge::formats::mail::decode_bytes;
use alertbridge::formats::{Decoded, Undecodable};
use alertbridge::model::notice::{MaintenanceImpact, MaintenanceNotice, MaintenanceStatus};
use alertbridge::model::{Event, EventState};
use mail_support::{folder, mails, received_at};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Samples from which no event may be made: they go to a person.
const TO_A_PERSON: &[&str] = &["hazard-encrypted.eml", "hazard-empty-everything.eml"];
/// Senders whose problem mails also name what is well: those are recoveries of other objects.
const RECOVERIES_BESIDE: &[&str] = &["munin", "proxmox"];

fn expected() -> BTreeMap<String, Value> {
    let text = std::fs::read_to_string(folder().join("EXPECTED.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn decode(name: &str) -> (String, Result<Decoded, Undecodable>) {
    let raw = std::fs::read(folder().join("samples").join(name)).unwrap();
    decode_bytes(&raw, received_at(&raw))
}

fn word<'a>(wanted: &'a Value, name: &str) -> Option<&'a str> {
    wanted.get(name).and_then(Value::as_str)
}

/// What of the expectation a sample does not meet, as text for people.
fn complaints(name: &str, wanted: &Value) -> String {
    let mut out = String::new();
    let (sender, outcome) = decode(name);
    let decoded = match outcome {
        Ok(decoded) if TO_A_PERSON.contains(&name) => {
            return format!("decoded, but a person has to read it: {decoded:?}");
        }
        Err(_) if TO_A_PERSON.contains(&name) => return out,
        Err(error) => return format!("[{sender}] undecodable: {error}"),
        Ok(decoded) => decoded,
    };
    let state = word(wanted, "state").unwrap();
    check_sender(&sender, wanted, &mut out);
    match state {
        "maintenance" => check_maintenance(&decoded, wanted, &mut out),
        "ignore" => {
            if decoded.ignored.is_none() || !decoded.events.is_empty() {
                let _ = write!(out, "not ignored: {decoded:?}; ");
            }
        }
        _ if word(wanted, "sender") == Some("person")
            || word(wanted, "sender") == Some("unknown") =>
        {
            check_reply(&decoded, wanted, &mut out);
        }
        "info" if word(wanted, "identity") == Some("none") => {
            if decoded.ignored.is_none() {
                out.push_str("not ignored; ");
            }
        }
        _ => check_events(&decoded, wanted, &mut out),
    }
    out
}

fn check_sender(sender: &str, wanted: &Value, out: &mut String) {
    let name = word(wanted, "sender").unwrap();
    let name = name
        .trim_end_matches("-like")
        .trim_end_matches(char::is_numeric);
    let name = match name {
        "icinga" => "icinga2",
        "aws" => "aws-dx",
        other => other,
    };
    let legacy = word(wanted, "identity").is_some_and(|i| i.starts_with("grafana-legacy"));
    let name = if legacy { "grafana-legacy" } else { name };
    if sender != name {
        let _ = write!(out, "sender {sender}, expected {name}; ");
    }
}

fn check_reply(decoded: &Decoded, wanted: &Value, out: &mut String) {
    let Some(reply) = decoded.replies.first() else {
        out.push_str("no reply; ");
        return;
    };
    if reply.ticket_tag.as_deref() != Some("40012") {
        let _ = write!(out, "ticket tag {:?}; ", reply.ticket_tag);
    }
    if reply.text.contains('>') || reply.text.contains("PROBLEM") {
        let _ = write!(out, "quoted text was kept: {}; ", reply.text);
    }
    let refers = reply
        .refers_to
        .iter()
        .any(|id| id == "t40012.1@noc.example.net");
    if refers != (word(wanted, "sender") == Some("person")) {
        let _ = write!(out, "refers to {:?}; ", reply.refers_to);
    }
}

fn joined(values: impl Iterator<Item = Option<String>>, separator: &str) -> Option<String> {
    let mut unique: Vec<String> = Vec::new();
    for value in values.flatten() {
        if !unique.contains(&value) {
            unique.push(value);
        }
    }
    (!unique.is_empty()).then(|| unique.join(separator))
}

/// The forms in which an event's object may be written.
fn objects(event: &Event) -> Vec<String> {
    let component = event.component.clone().unwrap_or_default();
    let check = event.check.clone().unwrap_or_default();
    vec![
        component.clone(),
        check.clone(),
        format!("{component} {check}"),
        format!("{check} {component}"),
        format!("{check} / {component}"),
    ]
}

fn check_events(decoded: &Decoded, wanted: &Value, out: &mut String) {
    let sender = word(wanted, "sender").unwrap();
    let state = word(wanted, "state").unwrap();
    let state_of = |event: &Event| match event.state {
        EventState::Firing => "problem",
        EventState::Resolved => "recovery",
        EventState::Acknowledged => "ack",
        EventState::Info => "info",
    };
    let beside = RECOVERIES_BESIDE.contains(&sender) && state == "problem";
    let events: Vec<&Event> = decoded
        .events
        .iter()
        .filter(|e| !(beside && e.state == EventState::Resolved))
        .collect();
    let states: Vec<&str> = events.iter().map(|e| state_of(e)).collect();
    let fits = match state {
        "mixed" => states.contains(&"problem") && states.contains(&"recovery"),
        one => !states.is_empty() && states.iter().all(|s| *s == one),
    };
    if !fits {
        let _ = write!(out, "states {states:?}, expected {state}; ");
    }
    let host = joined(events.iter().map(|e| e.host.clone()), ", ");
    let port_free = |host: &str| host.replace(":9100", "");
    if host != word(wanted, "host").map(port_free) {
        let _ = write!(out, "host {host:?}; ");
    }
    check_objects(&events, wanted, out);
    let severity = joined(events.iter().map(|e| e.severity.clone()), "; ");
    let wanted_severity = word(wanted, "severity_word").map(|w| {
        let words = w.split("; ").map(|w| Some(w.to_owned()));
        joined(words, "; ").unwrap()
    });
    if severity != wanted_severity {
        let _ = write!(out, "severity {severity:?}; ");
    }
    check_identity(&events, wanted, out);
}

fn check_objects(events: &[&Event], wanted: &Value, out: &mut String) {
    let Some(object) = word(wanted, "object") else {
        // Without an object of its own an event may still name what is checked there.
        if events.iter().any(|e| e.component.is_some()) {
            let _ = write!(out, "component {:?}; ", events[0].component);
        }
        return;
    };
    let parts: Vec<&str> = object.split("; ").collect();
    let fits = if parts.len() > 1 {
        parts.len() == events.len()
            && parts.iter().zip(events).all(|(part, event)| {
                objects(event)
                    .iter()
                    .any(|o| o == part || o.starts_with(&format!("{part} (")))
            })
    } else {
        events
            .iter()
            .all(|event| objects(event).iter().any(|o| o == object))
    };
    if !fits {
        let got: Vec<Vec<String>> = events.iter().map(|e| objects(e)).collect();
        let _ = write!(out, "objects {got:?}, expected {object}; ");
    }
}

/// Identities that are written out; the others are sentences for people.
fn literal_identity(identity: &str) -> Option<&str> {
    let sentences = [
        "per alert",
        "split at",
        "one per",
        "content hash",
        "none",
        "app+",
        "(id",
        "label set",
        "monitor 9911002",
        "sensor id",
        "System GUID",
        "alert text",
    ];
    let identity = identity
        .strip_suffix(" (only from In-Reply-To)")
        .unwrap_or(identity);
    let identity = identity.split(" (name only").next().unwrap_or(identity);
    (!sentences.iter().any(|s| identity.contains(s))).then_some(identity)
}

/// The first part names the sender; the samples do not always name it as the templates do.
fn tail(identity: &str) -> &str {
    if identity.starts_with("arn:") {
        return identity;
    }
    identity.split_once('|').map_or(identity, |(_, tail)| tail)
}

fn check_identity(events: &[&Event], wanted: &Value, out: &mut String) {
    let identity = word(wanted, "identity").unwrap();
    let Some(literal) = literal_identity(identity) else {
        return;
    };
    let carrier = word(wanted, "sender").unwrap().starts_with("carrier");
    let fits = events.iter().any(|event| {
        let got = event.identity.to_string();
        if carrier {
            // The provider is named by its domain, and each circuit is an alert of its own.
            got.contains(&format!("|{}|", tail(literal)))
        } else {
            tail(&got) == tail(literal)
        }
    });
    if !fits {
        let got: Vec<String> = events.iter().map(|e| e.identity.to_string()).collect();
        let _ = write!(out, "identity {got:?}, expected {literal}; ");
    }
}

fn status_of(word: &str) -> MaintenanceStatus {
    match word {
        "CONFIRMED" | "Planned" | "Scheduled" | "scheduled" | "新規" | "confirmé" => {
            MaintenanceStatus::Confirmed
        }
        "TENTATIVE" => MaintenanceStatus::Tentative,
        "IN-PROCESS" | "begun" | "is about to START" => MaintenanceStatus::InProcess,
        "COMPLETED" => MaintenanceStatus::Completed,
        "CANCELLED" | "Cancelled" => MaintenanceStatus::Cancelled,
        "RE-SCHEDULED" | "Rescheduled" | "Reschedule" | "amended" => MaintenanceStatus::Rescheduled,
        // A reminder changes nothing.
        "reminder" => MaintenanceStatus::Unknown,
        other => panic!("an unknown status word in EXPECTED.json: {other}"),
    }
}

fn check_maintenance(decoded: &Decoded, wanted: &Value, out: &mut String) {
    let [notice] = decoded.maintenance.as_slice() else {
        let _ = write!(out, "{} notices; ", decoded.maintenance.len());
        return;
    };
    let status = status_of(word(wanted, "severity_word").unwrap());
    if notice.status != status {
        let _ = write!(out, "status {:?}, expected {status:?}; ", notice.status);
    }
    let identity = word(wanted, "identity").unwrap();
    if !identity.contains("hash") {
        let id = identity
            .rsplit('|')
            .next()
            .unwrap()
            .split(" (")
            .next()
            .unwrap();
        if notice.maintenance_id != id {
            let _ = write!(out, "id {}, expected {id}; ", notice.maintenance_id);
        }
    }
    let start = notice.windows.first().map(|w| w.starts_at.to_string());
    let end = notice
        .windows
        .iter()
        .filter_map(|w| w.ends_at)
        .max()
        .map(|t| t.to_string());
    if start.as_deref() != word(wanted, "start") || end.as_deref() != word(wanted, "end") {
        let _ = write!(out, "windows {:?}; ", notice.windows);
    }
    check_circuits(notice, wanted, out);
}

fn check_circuits(notice: &MaintenanceNotice, wanted: &Value, out: &mut String) {
    let Some(object) = word(wanted, "object").filter(|o| *o != "stale copy") else {
        return;
    };
    let impacts = [
        (" OUTAGE 15 min", MaintenanceImpact::Outage),
        (" OUTAGE (assumed)", MaintenanceImpact::Outage),
        (" OUTAGE", MaintenanceImpact::Outage),
        (" NO-IMPACT", MaintenanceImpact::NoImpact),
        (" REDUCED-REDUNDANCY", MaintenanceImpact::ReducedRedundancy),
        (" short hit", MaintenanceImpact::Degraded),
    ];
    for part in object.split("; ") {
        let (id, impact) = impacts
            .iter()
            .find_map(|(suffix, impact)| Some((part.strip_suffix(suffix)?, Some(*impact))))
            .unwrap_or((part, None));
        let found = notice.objects.iter().find(|o| o.id == id);
        if !found.is_some_and(|o| impact.is_none_or(|impact| o.impact == impact)) {
            let _ = write!(out, "object {part} not in {:?}; ", notice.objects);
        }
    }
    let count = object.split("; ").count();
    if notice.objects.len() != count {
        let _ = write!(
            out,
            "{} objects: {:?}; ",
            notice.objects.len(),
            notice.objects
        );
    }
}

#[test]
fn every_sample_decodes_as_expected() {
    let mut report = String::new();
    let expected = expected();
    for (name, wanted) in &expected {
        let complaints = complaints(name, wanted);
        if !complaints.is_empty() {
            let _ = writeln!(report, "{name}: {complaints}");
        }
    }
    assert!(report.is_empty(), "\n{report}");
    let samples = mails()
        .iter()
        .filter(|path| path.parent().is_some_and(|p| p.ends_with("samples")))
        .count();
    assert_eq!(samples, expected.len(), "every sample has an expectation");
}

#[test]
fn identities_are_equal_where_the_problem_is_and_only_there() {
    let mut by_expected: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for (name, wanted) in expected() {
        let alert = matches!(word(&wanted, "state"), Some("problem" | "recovery" | "ack"));
        let identity = word(&wanted, "identity").unwrap();
        let one = literal_identity(identity).is_some() && identity.contains('|');
        if !alert || !one {
            continue;
        }
        let (_, Ok(decoded)) = decode(&name) else {
            continue;
        };
        let [event] = decoded.events.as_slice() else {
            continue;
        };
        let key = tail(literal_identity(identity).unwrap()).to_owned();
        let sender = word(&wanted, "sender").unwrap().to_owned();
        by_expected
            .entry(format!("{sender}|{key}"))
            .or_default()
            .insert(event.identity.to_string(), name);
    }
    let mut seen: BTreeMap<&String, &String> = BTreeMap::new();
    for (expected, identities) in &by_expected {
        assert_eq!(identities.len(), 1, "{expected}: {identities:?}");
        for identity in identities.keys() {
            let other = seen.insert(identity, expected);
            assert!(
                other.is_none(),
                "{identity} stands for {expected} and {other:?}"
            );
        }
    }
    assert!(by_expected.len() > 60, "{}", by_expected.len());
}

/// Mails as real systems sent them, in their order: what they tell of one problem has one identity,
/// and no other problem has it.
#[test]
fn captured_mails_tell_each_problem_from_its_beginning_to_its_end() {
    let folder = folder().join("captures");
    let text = std::fs::read_to_string(folder.join("problems.toml")).unwrap();
    let problems: BTreeMap<String, BTreeMap<String, String>> = toml::from_str(&text).unwrap();
    let mut seen: BTreeMap<String, &String> = BTreeMap::new();
    for (problem, mails) in &problems {
        for (name, state) in mails {
            let raw = std::fs::read(folder.join(format!("{name}.eml"))).unwrap();
            let (_, decoded) = decode_bytes(&raw, received_at(&raw));
            let events = decoded.unwrap().events;
            let [event] = events.as_slice() else {
                panic!("{name}: {} events", events.len());
            };
            let told = match event.state {
                EventState::Firing => "firing",
                EventState::Resolved => "resolved",
                EventState::Acknowledged => "acknowledged",
                EventState::Info => "info",
            };
            assert_eq!(told, state, "{name}");
            let of = seen.entry(event.identity.to_string()).or_insert(problem);
            assert_eq!(*of, problem, "{name}");
        }
    }
    assert_eq!(seen.len(), problems.len(), "a problem has two identities");
    assert!(problems.len() > 25, "{}", problems.len());
}
