//! Golden files of mappings: every message in `tests/data/mappings/NAME/` is decoded by the
//! `mapping.toml` beside it and compared with `MESSAGE.expected.json`.
//! `ALERTBRIDGE_UPDATE_GOLDEN=1` writes them anew.

#![allow(clippy::unwrap_used)]

use alertbridge::formats::mapped::{MappingConfig, Mappings};
use alertbridge::formats::view;
use alertbridge::intake::raw::Dump;
use alertbridge::model::Time;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const RECEIVED_AT: &str = "2026-08-21T06:31:45.600Z";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn dump(body: Vec<u8>) -> Dump {
    Dump::read(&body).unwrap_or(Dump {
        method: "POST".to_owned(),
        path: "/hooks/x".to_owned(),
        query: String::new(),
        headers: Vec::new(),
        body,
    })
}

#[test]
fn every_message_is_mapped_as_its_golden_file_says() {
    let update = std::env::var_os("ALERTBRIDGE_UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for folder in files(&root().join("tests/data/mappings")) {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(folder.join("mapping.toml")).unwrap();
        let config: MappingConfig = toml::from_str(&text).unwrap();
        let mappings = Mappings::compile(&BTreeMap::from([(name.clone(), config)])).unwrap();
        for file in files(&folder) {
            let message = file.file_name().unwrap().to_string_lossy().into_owned();
            if message == "mapping.toml" || message.ends_with(".expected.json") {
                continue;
            }
            let dump = dump(std::fs::read(&file).unwrap());
            let request = dump.request(Time::parse_rfc3339(RECEIVED_AT).unwrap());
            let outcome = mappings.decode_as(&name, &request);
            let kind = view::MessageKind::Webhook;
            let found = view::message(&message, Some(&name), kind, &outcome);
            let found = serde_json::to_string_pretty(&found).unwrap() + "\n";
            let golden = file.with_extension("expected.json");
            if update {
                std::fs::write(&golden, &found).unwrap();
            } else if std::fs::read_to_string(&golden).ok().as_deref() != Some(&found) {
                wrong.push(file);
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "differ from their golden files: {wrong:#?}"
    );
}

#[test]
fn the_example_of_the_manual_is_one_that_is_tested() {
    let manual = std::fs::read_to_string(root().join("docs/mappings.md")).unwrap();
    let mapping = root().join("tests/data/mappings/backup-jobs/mapping.toml");
    let tested = std::fs::read_to_string(mapping).unwrap();
    let indented = tested.replace("[labels]", "[mapping.backups.labels]");
    assert!(manual.contains(&indented), "docs/mappings.md differs");
}
