//! The smallest tracker that can do everything: cases by number, found by their key, each with a log.

use super::{Asked, Said, said};
use serde_json::{Value, json};

/// Answers a request for `/cases` or `/cases/N`.
pub fn answer(cases: &mut Vec<Value>, asked: &Asked) -> Said {
    let parts = asked.parts();
    let n = parts.get(1).and_then(|n| n.parse::<usize>().ok());
    match (asked.method.as_str(), n) {
        ("POST", None) => {
            let mut case = asked.body.clone();
            case["id"] = json!(cases.len() + 1);
            case["log"] = json!([]);
            cases.push(case.clone());
            said(201, case)
        }
        ("GET", None) => {
            let key = asked.query("key");
            let found = cases.iter().filter(|case| case["key"] == key);
            said(200, json!(found.collect::<Vec<_>>()))
        }
        ("GET", Some(n)) => said(200, cases[n - 1].clone()),
        ("PATCH", Some(n)) => {
            for (name, value) in asked.body.as_object().unwrap() {
                cases[n - 1][name] = value.clone();
            }
            said(200, json!({}))
        }
        ("POST", Some(n)) => {
            let line = asked.body["note"].clone();
            cases[n - 1]["log"].as_array_mut().unwrap().push(line);
            said(201, json!({}))
        }
        _ => said(404, json!({})),
    }
}
