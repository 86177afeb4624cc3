//! Properties of every decoder over damaged messages: it never panics, and it never invents an
//! identity. Fields are dropped, retyped, swapped, cut and nested deeply; what is no JSON loses,
//! repeats and swaps pieces.
//!
//! An identity is invented if it stays the same when every word and number of the message changes:
//! then it came from nowhere, and all problems of a sender would be one.

#[path = "../../fuzz/src/targets.rs"]
#[allow(dead_code)]
mod targets;

use super::{Fixture, alone, messages};
use alertbridge::formats::{self, About, Decoded, Detection, Format, Request, Undecodable};
use alertbridge::model::{AlertKey, Event, EventState, Identity};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Damages of each message in the test over all of them.
const ROUNDS: u64 = 6;

fn dice(seed: &mut u64) -> u64 {
    *seed = seed
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

/// A value within so many lists.
fn nested(value: Value, depth: usize) -> Value {
    (0..depth).fold(value, |inner, _| Value::Array(vec![inner]))
}

fn damage(value: &mut Value, seed: &mut u64) {
    match value {
        Value::Object(map) => {
            let keys: Vec<String> = map.keys().cloned().collect();
            for key in &keys {
                match dice(seed) % 16 {
                    0 => drop(map.remove(key)),
                    1 => drop(map.insert(key.clone(), json!({"x": [1, null]}))),
                    2 => drop(map.insert(key.clone(), json!(17))),
                    3 => drop(map.insert(key.clone(), Value::Null)),
                    4 => drop(map.insert(key.clone(), json!(true))),
                    5 => {
                        let other = &keys[(dice(seed) as usize) % keys.len()];
                        let (here, there) = (map.remove(key), map.remove(other));
                        let swapped = [(key, there), (other, here)];
                        for (key, value) in swapped {
                            if let Some(value) = value {
                                map.insert(key.clone(), value);
                            }
                        }
                    }
                    6 => {
                        let inner = map.remove(key).unwrap_or_default();
                        map.insert(key.clone(), nested(inner, 60));
                    }
                    _ => {
                        if let Some(inner) = map.get_mut(key) {
                            damage(inner, seed);
                        }
                    }
                }
            }
        }
        Value::Array(list) => {
            if dice(seed).is_multiple_of(8) {
                list.reverse();
            }
            list.iter_mut().for_each(|inner| damage(inner, seed));
        }
        Value::String(text) if dice(seed).is_multiple_of(9) => {
            text.truncate(text.char_indices().nth(3).map_or(0, |(at, _)| at));
        }
        _ => {}
    }
}

/// A damaged body.
fn damaged(body: &[u8], seed: &mut u64) -> Vec<u8> {
    if let Ok(mut value) = serde_json::from_slice(body) {
        damage(&mut value, seed);
        return serde_json::to_vec(&value).unwrap();
    }
    let text = String::from_utf8_lossy(body);
    let mut pieces: Vec<&str> = text.split_inclusive(['\n', '&', '<']).collect();
    let mut kept = String::new();
    let count = pieces.len();
    for place in 0..count {
        match dice(seed) % 12 {
            0 | 1 => continue,
            2 => pieces.swap(place, (dice(seed) as usize) % count),
            3 => kept.push_str(&pieces[place].repeat(50)),
            _ => {}
        }
        kept.push_str(pieces[place]);
    }
    kept.into_bytes()
}

/// Every word and every number becomes another one, in all JSON within JSON; names stay.
fn changed_value(value: &mut Value) {
    match value {
        Value::Object(map) => map.values_mut().for_each(changed_value),
        Value::Array(list) => list.iter_mut().for_each(changed_value),
        Value::String(text) => match serde_json::from_str::<Value>(text) {
            Ok(mut inner) if inner.is_object() || inner.is_array() => {
                changed_value(&mut inner);
                *text = inner.to_string();
            }
            _ => *text = changed_words(text),
        },
        Value::Number(number) => {
            *value = match number.as_i64() {
                Some(whole) => json!(whole.wrapping_add(7)),
                None => json!(number.as_f64().unwrap_or(0.0) + 7.5),
            }
        }
        _ => {}
    }
}

/// Each run of letters and digits gets an end of its own; digits alone another digit.
fn changed_words(text: &str) -> String {
    let mut changed = String::new();
    let mut word = String::new();
    for c in text.chars().chain(['\0']) {
        if c.is_alphanumeric() {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            let number = word.bytes().all(|byte| byte.is_ascii_digit());
            changed.push_str(&word);
            changed.push_str(if number { "7" } else { "qx" });
            word.clear();
        }
        if c != '\0' {
            changed.push(c);
        }
    }
    changed
}

fn changed(body: &[u8]) -> Option<Vec<u8>> {
    let mut value: Value = serde_json::from_slice(body).ok()?;
    changed_value(&mut value);
    serde_json::to_vec(&value).ok()
}

fn events(format: &dyn Format, request: &Request) -> Vec<Event> {
    formats::decode(format, request)
        .map(|decoded| decoded.events)
        .unwrap_or_default()
}

/// What is wrong with how a format reads a body that came with nothing else.
fn faults(format: &dyn Format, body: &[u8]) -> Vec<String> {
    let read = |body: &[u8]| {
        let read = || events(format, &alone(body).request());
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(read))
    };
    let Ok(found) = read(body) else {
        return vec!["it panics".to_owned()];
    };
    let mut faults = Vec::new();
    for event in &found {
        if event.summary.is_empty() {
            faults.push("an empty summary".to_owned());
        }
        if AlertKey::of("s", &event.identity) != AlertKey::of("s", &event.identity) {
            faults.push("two keys of one identity".to_owned());
        }
    }
    let Some(other) = changed(body) else {
        return faults;
    };
    match read(&other) {
        Ok(others) => {
            let others: BTreeSet<Identity> =
                others.into_iter().map(|event| event.identity).collect();
            let same = found
                .iter()
                .filter(|event| others.contains(&event.identity));
            faults.extend(same.map(|event| format!("an invented identity: {}", event.identity)));
        }
        Err(_) => faults.push("it panics when all words change".to_owned()),
    }
    faults
}

/// The faults of each message of a sender, whole and damaged.
fn all_faults(format: &dyn Format, bodies: &[Vec<u8>]) -> Vec<String> {
    let mut found = Vec::new();
    for (number, body) in bodies.iter().enumerate() {
        found.extend(faults(format, body));
        for round in 0..ROUNDS {
            let mut seed = (number as u64) << 8 | round;
            let damaged = damaged(body, &mut seed);
            for fault in faults(format, &damaged) {
                let shown = String::from_utf8_lossy(&damaged).into_owned();
                found.push(format!("{}: {fault}: {shown}", format.name()));
            }
        }
    }
    found
}

#[test]
fn no_sender_invents_an_identity_or_panics_on_damaged_messages() {
    let all = messages();
    let mut wrong = Vec::new();
    for format in formats::ALL {
        let bodies: Vec<Vec<u8>> = all
            .iter()
            .filter(|(sender, _)| sender == format.name())
            .map(|(_, file)| Fixture::read(file).dump.body)
            .collect();
        assert!(!bodies.is_empty(), "{} has no messages", format.name());
        wrong.extend(all_faults(*format, &bodies));
    }
    wrong.truncate(20);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What fuzzing found and kept, and the bytes that failed once.
#[test]
fn the_kept_corpus_holds() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, target) in [
        ("decoders", targets::decoder as fn(&[u8])),
        ("mail", targets::mail),
    ] {
        let mut count = 0;
        for file in std::fs::read_dir(folder.join(name)).unwrap() {
            let file = file.unwrap().path();
            println!("{}", file.display());
            target(&std::fs::read(file).unwrap());
            count += 1;
        }
        assert!(count > 0, "{name} has no corpus");
    }
}

/// A format with a fault.
struct Faulty(fn(&Value) -> Option<Identity>);

impl Format for Faulty {
    fn name(&self) -> &'static str {
        "faulty"
    }

    fn about(&self) -> About {
        About {
            title: "",
            says: "",
            identity: "",
            auth: "",
        }
    }

    fn detect(&self, _request: &Request) -> Detection {
        Detection::No
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let value: Value = serde_json::from_slice(request.body)
            .map_err(|error| Undecodable::because(error.to_string()))?;
        let identity = (self.0)(&value).ok_or_else(|| Undecodable::because("`host` is missing"))?;
        Ok(Decoded::one(Event::new(EventState::Firing, identity, "x")))
    }
}

/// The property can fail: a decoder with a stand-in for a missing host, one with a fixed key and
/// one that trusts a type are found out, and one that reads the host is not.
#[test]
fn faulty_decoders_are_found_out() {
    let bodies = vec![br#"{"host":"web1","check":"http","list":["a","b"]}"#.to_vec()];
    let sound = Faulty(|value| Identity::key(value["host"].as_str()?));
    assert_eq!(all_faults(&sound, &bodies), Vec::<String>::new());
    let stand_in = Faulty(|value| Identity::key(value["host"].as_str().unwrap_or("unknown")));
    let fixed = Faulty(|_| Identity::key("a problem"));
    let trusting = Faulty(|value| {
        let first = &value["list"].as_array().unwrap()[1];
        Identity::key(first.as_str().unwrap())
    });
    for (name, faulty) in [
        ("stand-in", stand_in),
        ("fixed", fixed),
        ("trusting", trusting),
    ] {
        assert!(!all_faults(&faulty, &bodies).is_empty(), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::default())]
    #[test]
    fn damaged_and_cut_messages_never_panic(seed in any::<u64>(), cut in 0..4000_usize) {
        let all = messages();
        let (sender, file) = &all[(seed % all.len() as u64) as usize];
        let format = formats::by_name(sender).unwrap();
        let fixture = Fixture::read(file);
        let mut seed = seed;
        let damaged = damaged(&fixture.dump.body, &mut seed);
        let whole = &fixture.dump.body;
        for body in [&damaged[..], &whole[..cut.min(whole.len())]] {
            prop_assert_eq!(faults(format, body), Vec::<String>::new());
            // With its own path and headers, too.
            for event in events(format, &fixture.with(body.to_vec()).request()) {
                prop_assert!(!event.summary.is_empty());
            }
        }
    }
}
