//! What tests of mails share.

#![allow(dead_code)]

use alertbridge::model::Time;
use std::path::{Path, PathBuf};

/// The folder of mails.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/mail")
}

/// Every mail below the folder, in order.
pub fn mails() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in ["samples", "own", "captures"] {
        for entry in std::fs::read_dir(self::folder().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "eml") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// When a mail was received: at its own Date, or on a day of that autumn.
pub fn received_at(raw: &[u8]) -> Time {
    let fallback = Time::parse_rfc3339("2025-11-25T12:05:00Z").unwrap();
    let text = String::from_utf8_lossy(raw);
    let date = text
        .lines()
        .take_while(|line| !line.is_empty())
        .find_map(|line| line.strip_prefix("Date: "))
        .and_then(|date| mail_parser::DateTime::parse_rfc822(date.trim()))
        .map(|date| Time::from_seconds(date.to_timestamp()));
    date.filter(|d| (d.0 - fallback.0).abs() < 90 * 24 * 3_600_000)
        .unwrap_or(fallback)
}
