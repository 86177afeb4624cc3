//! Golden files: every message below `tests/data/formats/SENDER/` is decoded as that sender and
//! compared with `CASE.expected.json`, the object that `alertbridge try --json` prints.
//! `ALERTBRIDGE_UPDATE_GOLDEN=1` writes them anew. A file that ends in `.http` is a whole request
//! with CRLF line ends, for what method, path, query or headers say; anything else is a body.

#![allow(clippy::unwrap_used)]

use alertbridge::formats::{self, view};
use alertbridge::intake::raw::Dump;
use alertbridge::model::{AlertKey, Identity, Time};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Just after the resolved API alerts were sent.
const RECEIVED_AT: &str = "2026-08-21T06:31:45.600Z";
/// Within the lease of the firing API alerts.
const LEASED_AT: &str = "2026-08-21T06:11:00Z";

/// Messages that carry no mark of their sender; the source's kind tells it.
const UNMARKED: &[&str] = &[
    "template-broken.txt",
    "text.txt",
    "payload-map.json",
    "http_post2.json",
    "v2.form",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/formats")
}

fn messages() -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for sender in std::fs::read_dir(folder()).unwrap() {
        let sender = sender.unwrap().path();
        let name = sender.file_name().unwrap().to_string_lossy().into_owned();
        for file in std::fs::read_dir(&sender).unwrap() {
            let file = file.unwrap().path();
            if !file.to_string_lossy().ends_with(".expected.json") {
                found.push((name.clone(), file));
            }
        }
    }
    found.sort();
    found
}

fn message(body: Vec<u8>, name: &str) -> Dump {
    if name.ends_with(".http") {
        return Dump::read(&body).unwrap_or_else(|| panic!("{name} is no request"));
    }
    let path = if name.starts_with("amapi-") {
        "/api/v2/alerts"
    } else {
        "/hooks/x"
    };
    Dump {
        method: "POST".to_owned(),
        path: path.to_owned(),
        query: String::new(),
        headers: Vec::new(),
        body,
    }
}

fn received_at(name: &str) -> Time {
    let firing = name == "amapi-prometheus-firing.json";
    let at = if firing { LEASED_AT } else { RECEIVED_AT };
    Time::parse_rfc3339(at).unwrap()
}

fn read(file: &Path) -> (String, Dump) {
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let dump = message(std::fs::read(file).unwrap(), &name);
    (name, dump)
}

#[test]
fn every_message_decodes_as_its_golden_file_says() {
    let update = std::env::var_os("ALERTBRIDGE_UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for (sender, file) in messages() {
        let (name, dump) = read(&file);
        let outcome = formats::decode_as(&sender, &dump.request(received_at(&name)));
        let found = view::message(&name, Some(&sender), view::MessageKind::Webhook, &outcome);
        let found = serde_json::to_string_pretty(&found).unwrap() + "\n";
        let golden = file.with_extension("expected.json");
        if update {
            std::fs::write(&golden, &found).unwrap();
        } else if std::fs::read_to_string(&golden).ok().as_deref() != Some(&found) {
            wrong.push(file);
        }
    }
    assert!(
        wrong.is_empty(),
        "differ from their golden files: {wrong:#?}"
    );
}

#[test]
fn every_sender_of_the_registry_has_a_folder_and_every_folder_a_sender() {
    let folders: BTreeSet<String> = messages().into_iter().map(|(sender, _)| sender).collect();
    let senders = formats::ALL
        .iter()
        .map(|format| format.name().to_owned())
        .collect();
    assert_eq!(folders, senders);
}

#[test]
fn every_message_is_recognised_as_its_sender() {
    for (sender, file) in messages() {
        let (name, dump) = read(&file);
        let request = dump.request(received_at(&name));
        let found = formats::detect(&request).map(formats::Format::name);
        if !UNMARKED.contains(&name.as_str()) {
            assert_eq!(found, Some(sender.as_str()), "{}", file.display());
        }
    }
}

fn identities(sender: &str, file: &str) -> Vec<Identity> {
    let (name, dump) = read(&folder().join(sender).join(file));
    let decoded = formats::decode_as(sender, &dump.request(received_at(&name))).unwrap();
    decoded
        .events
        .into_iter()
        .map(|event| event.identity)
        .collect()
}

#[test]
fn problem_and_recovery_have_one_identity_and_replicas_too() {
    let firing = identities("alertmanager", "alertmanager-firing.json");
    assert_eq!(
        firing,
        identities("alertmanager", "alertmanager-resolved.json")
    );
    let replicas = identities("alertmanager", "alertmanager-ha-replica-label.json");
    assert_eq!(replicas[0], replicas[1]);
    let mixed = identities("alertmanager", "alertmanager-mixed-truncated.json");
    assert_eq!(mixed.iter().collect::<BTreeSet<_>>().len(), 3);
    let problem = identities("zabbix", "zabbix-problem.json");
    assert_eq!(problem, identities("zabbix", "zabbix-recovery.json"));
    assert_eq!(problem, identities("zabbix", "zabbix-update-ack.json"));
    assert_ne!(problem, identities("zabbix", "zabbix-psu-degraded.json"));
}

fn mutate(value: &mut serde_json::Value, seed: &mut u64) {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    let dice = *seed >> 33;
    match value {
        serde_json::Value::Object(map) => {
            let keys: Vec<String> = map.keys().cloned().collect();
            for key in keys {
                *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                match (*seed >> 33) % 12 {
                    0 => drop(map.remove(&key)),
                    1 => drop(map.insert(key, serde_json::json!({"x": [1, null]}))),
                    2 => drop(map.insert(key, serde_json::json!(17))),
                    3 => drop(map.insert(key, serde_json::Value::Null)),
                    _ => {
                        if let Some(inner) = map.get_mut(&key) {
                            mutate(inner, seed);
                        }
                    }
                }
            }
        }
        serde_json::Value::Array(list) => list.iter_mut().for_each(|v| mutate(v, seed)),
        serde_json::Value::String(text) if dice.is_multiple_of(9) => {
            text.truncate(text.char_indices().nth(3).map_or(0, |(at, _)| at));
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn mutated_messages_never_panic(seed in any::<u64>(), cut in 0..4000_usize) {
        let all = messages();
        let (sender, file) = &all[(seed % all.len() as u64) as usize];
        let (name, dump) = read(file);
        let mut mutated = dump.body.clone();
        if let Ok(mut value) = serde_json::from_slice(&dump.body) {
            let mut seed = seed;
            mutate(&mut value, &mut seed);
            mutated = serde_json::to_vec(&value).unwrap();
        }
        for body in [mutated, dump.body[..cut.min(dump.body.len())].to_vec()] {
            let dump = Dump { body, ..dump.clone() };
            if let Ok(decoded) = formats::decode_as(sender, &dump.request(received_at(&name))) {
                for event in decoded.events {
                    let key = AlertKey::of("s", &event.identity);
                    prop_assert_eq!(key, AlertKey::of("s", &event.identity));
                    prop_assert!(!event.summary.is_empty());
                }
            }
        }
    }
}
