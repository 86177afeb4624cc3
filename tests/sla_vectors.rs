//! The public vectors, and further files of the same format named in `ALERTBRIDGE_SLA_VECTORS`
//! (separated by colons): calendars, due instants, case histories, refusals.
#![allow(clippy::unwrap_used, clippy::panic)]

use alertbridge::model::{Category, Time};
use alertbridge::sla::calendar::{CalendarText, read_all};
use alertbridge::sla::clock::ClockState;
use alertbridge::sla::log::{By, CaseDid, CaseEvent, EndedBy, VoidReason};
use alertbridge::sla::policy::{
    CategoryRule, ClockStart, Contract, Origin, Scale, SeverityChange, Target, TargetKind,
    TargetName,
};
use alertbridge::sla::section::CalendarSection;
use alertbridge::sla::{Calendar, evaluate};
use jiff::tz::TimeZoneDatabase;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

type Calendars = BTreeMap<String, Arc<Calendar>>;

fn zones() -> TimeZoneDatabase {
    TimeZoneDatabase::bundled()
}

fn files() -> Vec<(String, Value)> {
    let more = std::env::var("ALERTBRIDGE_SLA_VECTORS").unwrap_or_default();
    let mut names = vec![format!(
        "{}/tests/data/sla/public.json",
        env!("CARGO_MANIFEST_DIR")
    )];
    names.extend(
        more.split(':')
            .filter(|name| !name.is_empty())
            .map(str::to_owned),
    );
    names
        .into_iter()
        .map(|name| {
            let text = std::fs::read_to_string(&name).unwrap_or_else(|e| panic!("{name}: {e}"));
            let value: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(value["format"], "alertbridge-sla-vectors/1", "{name}");
            (name, value)
        })
        .collect()
}

fn text_of(value: &Value) -> CalendarText {
    let section: CalendarSection = serde_json::from_value(value.clone()).unwrap();
    section.text()
}

fn calendars(file: &Value) -> Calendars {
    let texts = file["calendars"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), text_of(value)))
        .collect();
    read_all(&texts, &zones()).unwrap()
}

fn second(value: &Value) -> i64 {
    Time::parse_rfc3339(value.as_str().unwrap()).unwrap().0 / 1000
}

fn shown(at: Option<i64>) -> Value {
    at.map_or(Value::Null, |at| {
        let text = jiff::Timestamp::from_second(at).unwrap().to_string();
        Value::String(text)
    })
}

fn pauses(value: &Value) -> Vec<(i64, Option<i64>)> {
    let list = value.as_array().cloned().unwrap_or_default();
    list.iter()
        .map(|pause| {
            let to = &pause[1];
            (second(&pause[0]), (!to.is_null()).then(|| second(to)))
        })
        .collect()
}

fn seconds_of_day(text: &str) -> u32 {
    let (hours, minutes) = text.split_once(':').unwrap();
    hours.parse::<u32>().unwrap() * 3600 + minutes.parse::<u32>().unwrap() * 60
}

#[test]
fn due_and_elapsed_are_as_the_vectors_say() {
    let mut wrong = Vec::new();
    for (name, file) in files() {
        let calendars = calendars(&file);
        for case in file["cases"].as_array().unwrap() {
            let calendar = &calendars[case["calendar"].as_str().unwrap()];
            let pauses = pauses(&case["pauses"]);
            let start = second(&case["start"]);
            let (found, expected) = if case["op"] == "elapsed" {
                let found = calendar.elapsed(start, second(&case["end"]), &pauses);
                (Value::from(found), case["expect"]["seconds"].clone())
            } else {
                let target = &case["target"];
                let due = match target["kind"].as_str().unwrap() {
                    "duration" => calendar
                        .due(start, target["seconds"].as_i64().unwrap(), &pauses)
                        .unwrap(),
                    "next_open" => Some(calendar.next_open(start).unwrap()),
                    "next_business_day_start" => {
                        let wall = seconds_of_day(target["at"].as_str().unwrap());
                        let same_day = target["same_day"].as_bool().unwrap_or(true);
                        let due = calendar.next_business_day_start(start, wall, same_day);
                        Some(due.unwrap())
                    }
                    other => panic!("{name}: target kind {other}"),
                };
                (shown(due), case["expect"]["due"].clone())
            };
            if found != expected {
                wrong.push(format!("{name} {}: {found} is not {expected}", case["id"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn calendars_that_mean_nothing_are_refused_by_code() {
    for (name, file) in files() {
        for case in file["invalid_calendars"].as_array().unwrap() {
            let texts = BTreeMap::from([("it".to_owned(), text_of(&case["calendar"]))]);
            let refused = read_all(&texts, &zones()).err();
            let codes: Vec<&str> = refused.iter().flatten().map(|found| found.code).collect();
            let code = case["error"].as_str().unwrap();
            assert!(
                codes.contains(&code),
                "{name} {}: {codes:?} lacks {code}",
                case["id"]
            );
        }
    }
}

/// A contract of the vectors' policy tables.
fn contract(policy: &Value, calendars: &Calendars) -> Contract {
    let mut severities: BTreeMap<u8, BTreeMap<TargetName, Target>> = BTreeMap::new();
    for name in TargetName::ALL {
        let Some(table) = policy.get(name.word()).and_then(Value::as_object) else {
            continue;
        };
        for (severity, target) in table {
            let seconds = target["seconds"].as_i64().unwrap();
            let calendar = target["calendar"].as_str().unwrap_or("always");
            let calendar = calendars[calendar].clone();
            let kind = if name == TargetName::Update {
                TargetKind::Every(seconds, calendar)
            } else {
                TargetKind::Within(seconds, calendar)
            };
            let target = Target {
                kind,
                said: String::new(),
                origin: Origin::Policy,
                pausable: name == TargetName::Restore,
                objective: None,
                at_risk: 0.75,
            };
            let severity = severity.parse().unwrap();
            severities.entry(severity).or_default().insert(name, target);
        }
    }
    let rule = |severity, targets: &[TargetName]| CategoryRule {
        severity,
        targets: targets.to_vec(),
        high_priority: false,
    };
    let answers = [TargetName::InitialResponse, TargetName::Update];
    let all = [
        TargetName::Triage,
        TargetName::InitialResponse,
        TargetName::Engineer,
        TargetName::Update,
        TargetName::Restore,
    ];
    Contract {
        version: String::new(),
        terms: String::new(),
        name: "vector".to_owned(),
        policy: "vector".to_owned(),
        accounts: vec![],
        account: "direct".to_owned(),
        partner: String::new(),
        locale: "en".to_owned(),
        tz: "UTC".to_owned(),
        scale: Scale::Three,
        severities,
        categories: BTreeMap::from([
            (Category::Incident, rule(None, &all)),
            (Category::Inquiry, rule(Some(Some(3)), &answers)),
            (Category::Provisioning, rule(Some(None), &[])),
        ]),
        clock_start: ClockStart::Reported,
        severity_change: SeverityChange::FromStart,
        reopen_window: policy["reopen_window_seconds"].as_i64().unwrap(),
        ack_counts: true,
        public_note_counts: true,
        wait_needs_question: false,
        pause_waiting: true,
        pause_maintenance: false,
        wait_limit: None,
        calendars: BTreeSet::new(),
        close_as: BTreeMap::new(),
        levels: vec![],
        contacts: Default::default(),
        maintenance_lead: None,
        monthly_report: None,
    }
}

fn category(value: &Value) -> Category {
    match value.as_str() {
        None | Some("incident") => Category::Incident,
        Some("inquiry") => Category::Inquiry,
        Some("provisioning") => Category::Provisioning,
        Some(other) => panic!("category {other}"),
    }
}

fn event(value: &Value) -> CaseEvent {
    let at = Time(second(&value["at"]) * 1000);
    let time = |key: &str| {
        value
            .get(key)
            .filter(|v| !v.is_null())
            .map(|v| Time(second(v) * 1000))
    };
    let what = match value["type"].as_str().unwrap() {
        "opened" => CaseDid::Opened {
            category: category(&value["category"]),
            severity: value["severity"].as_u64().map(|s| u8::try_from(s).unwrap()),
            reported_at: time("reported_at"),
        },
        "reply" => CaseDid::Reply {
            by: match value["by"].as_str() {
                None | Some("staff") => By::Staff,
                Some("customer") => By::Customer,
                Some("bot") => By::Bot,
                Some(other) => panic!("by {other}"),
            },
            public: value["public"].as_bool().unwrap_or(true),
            promise: time("promise"),
        },
        "ack" => CaseDid::Ack,
        "wait_start" => CaseDid::WaitStart,
        "wait_end" => CaseDid::WaitEnd,
        "severity" => CaseDid::Severity {
            to: u8::try_from(value["to"].as_u64().unwrap()).unwrap(),
        },
        "resolved" => CaseDid::Resolved {
            by: match value["by"].as_str() {
                None | Some("staff") => EndedBy::Staff,
                Some("monitoring") => EndedBy::Monitoring,
                Some("customer") => EndedBy::Customer,
                Some(other) => panic!("by {other}"),
            },
        },
        "reopened" => CaseDid::Reopened {
            firing_during_gap: value["firing_during_gap"].as_bool().unwrap_or(false),
        },
        "absorb" => CaseDid::Absorb {
            reported_at: time("reported_at").unwrap(),
        },
        "void" => CaseDid::Void {
            reason: match value["reason"].as_str().unwrap() {
                "false_alarm" => VoidReason::FalseAlarm,
                "merged" => VoidReason::Merged,
                "recategorised" => VoidReason::Recategorised,
                "withdrawn" => VoidReason::Withdrawn,
                other => panic!("void {other}"),
            },
        },
        "closed" => CaseDid::Closed,
        "category" => CaseDid::Category {
            to: category(&value["to"]),
        },
        other => panic!("event {other}"),
    };
    CaseEvent { at, what }
}

fn reason(state: ClockState) -> Value {
    match state {
        ClockState::Void(reason) => Value::from(reason.word()),
        _ => Value::Null,
    }
}

/// Every key of every expectation, for one order of arrival.
fn differences(timeline: &Value, log: &[CaseEvent], contract: &Contract) -> Vec<String> {
    let view = evaluate(log, contract, second(&timeline["at"])).unwrap();
    let mut wrong = Vec::new();
    for (key, expected) in timeline["expect"].as_object().unwrap() {
        if key == "cycle" {
            if expected.as_u64() != u64::try_from(view.cycle).ok() {
                wrong.push(format!("cycle {} is not {expected}", view.cycle));
            }
            continue;
        }
        for (field, expected) in expected.as_object().unwrap() {
            let found = if key == "update" {
                let update = &view.update;
                match field.as_str() {
                    "state" => Value::from(update.state.map_or("none", ClockState::word)),
                    "due" => shown(update.due),
                    "breaches" => Value::from(update.breaches),
                    "reason" => update.state.map_or(Value::Null, reason),
                    other => panic!("update.{other}"),
                }
            } else {
                let clock = view.clock(TargetName::from_word(key).unwrap());
                match (field.as_str(), clock) {
                    ("state", None) => Value::from("none"),
                    (_, None) => Value::Null,
                    ("state", Some(clock)) => Value::from(clock.state.word()),
                    ("due", Some(clock)) => shown(clock.due),
                    ("fulfilled_at", Some(clock)) => shown(clock.fulfilled_at),
                    ("breached_at", Some(clock)) => shown(clock.breached_at),
                    ("counted_seconds", Some(clock)) => Value::from(clock.counted),
                    ("retroactive", Some(clock)) => Value::from(clock.retroactive),
                    ("reason", Some(clock)) => reason(clock.state),
                    (other, _) => panic!("{key}.{other}"),
                }
            };
            if found != *expected {
                wrong.push(format!("{key}.{field} {found} is not {expected}"));
            }
        }
    }
    wrong
}

#[test]
fn histories_give_the_clocks_of_the_vectors_in_any_order_of_arrival() {
    let mut wrong = Vec::new();
    for (name, file) in files() {
        let calendars = calendars(&file);
        for timeline in file["timelines"].as_array().unwrap() {
            let policy = &file["policies"][timeline["policy"].as_str().unwrap()];
            let contract = contract(policy, &calendars);
            let events = timeline["events"].as_array().unwrap();
            let mut log: Vec<CaseEvent> = events.iter().map(event).collect();
            for turn in 0..2 {
                let found = differences(timeline, &log, &contract);
                let id = &timeline["id"];
                wrong.extend(
                    found
                        .iter()
                        .map(|what| format!("{name} {id} turn {turn}: {what}")),
                );
                log.reverse();
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The two policies that come with the program are good.
#[test]
fn the_shipped_policies_compile() {
    for name in ["three-level", "five-level"] {
        let path = format!("{}/config/policies/{name}.toml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let text = format!("{text}\n[contract.acme]\npolicy = \"{name}\"\n");
        let sections: alertbridge::sla::SlaSections = toml::from_str(&text).unwrap();
        let (sla, warnings) = sections.compile(&zones()).unwrap();
        assert!(warnings.is_empty(), "{warnings:?}");
        assert!(sla.contracts["acme"].severities.len() >= 3);
    }
}

/// Further files are read beside the public one, each of them, and a wrong answer in one is told with
/// its name: this very program, run with that variable.
#[test]
fn further_files_of_vectors_count_each() {
    if std::env::var_os("ALERTBRIDGE_SLA_VECTORS").is_some() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let public = std::fs::read_to_string(format!(
        "{}/tests/data/sla/public.json",
        env!("CARGO_MANIFEST_DIR")
    ))
    .unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let run = |names: &[&str]| {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["due_and_elapsed_are_as_the_vectors_say", "--exact"])
            .env("ALERTBRIDGE_SLA_VECTORS", names.join(":"))
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    };
    let good = file("good.json", &public);
    let mut wrong: Value = serde_json::from_str(&public).unwrap();
    let case = wrong["cases"].as_array_mut().unwrap().first_mut().unwrap();
    case["expect"] = serde_json::json!({ "due": "2001-01-01T00:00:00Z", "seconds": 1 });
    let wrong = file("wrong.json", &wrong.to_string());
    let (fine, said) = run(&[&good, &good]);
    assert!(fine, "{said}");
    for names in [[&good, &wrong], [&wrong, &good]] {
        let (fine, said) = run(&names.map(String::as_str));
        assert!(!fine && said.contains("wrong.json"), "{said}");
    }
    let (fine, said) = run(&[&good, "/nowhere.json"]);
    assert!(!fine && said.contains("/nowhere.json"), "{said}");
}
