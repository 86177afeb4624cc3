//! Reads the sources: walls between rooms, length of files, words that must not stand there.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Longest file, lines.
const LINES_MAX: usize = 600;

fn sources(below: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut left = vec![below.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(dir).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found.sort();
    assert!(!found.is_empty(), "nothing to read");
    found
}

fn src(room: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let dir = root.join(room);
    let file = root.join(format!("{room}.rs"));
    if dir.is_dir() {
        sources(&dir)
    } else {
        let text = std::fs::read_to_string(&file).unwrap();
        vec![(file, text)]
    }
}

/// The same without files of tests.
fn shipped(room: &str) -> impl Iterator<Item = (PathBuf, String)> {
    src(room)
        .into_iter()
        .filter(|(path, _)| !path.ends_with("tests.rs"))
}

/// Code without comments and tests.
fn code(text: &str) -> impl Iterator<Item = &str> {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let code = text.get(..end).unwrap();
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
}

#[test]
fn pure_rooms_do_no_io_and_read_no_clock() {
    let forbidden = [
        "std::fs",
        "std::net::Tcp",
        "std::net::Udp",
        "std::io::Read",
        "std::io::Write",
        "std::io::std",
        "tokio",
        "hyper",
        "reqwest",
        "rusqlite",
        "lettre",
        "SystemTime::now",
        "Instant::now",
        "Timestamp::now",
        "rand::",
        "std::env",
    ];
    let mut wrong = Vec::new();
    for room in [
        "model",
        "formats",
        "rules",
        "inventory",
        "engine",
        "sla",
        "notices/plan",
    ] {
        for (path, text) in shipped(room) {
            for line in code(&text) {
                for word in forbidden.iter().filter(|word| line.contains(**word)) {
                    wrong.push(format!("{}: {word}: {}", path.display(), line.trim()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn rooms_import_only_what_stands_before_them() {
    let walls = [
        (
            "model",
            "formats intake store rules inventory engine delivery trackers api config daemon cli telemetry",
        ),
        (
            "formats",
            "intake store rules inventory engine delivery trackers api config daemon cli telemetry",
        ),
        (
            "rules",
            "formats intake store inventory engine delivery trackers api config daemon cli",
        ),
        (
            "inventory",
            "formats intake store engine delivery trackers api config daemon cli",
        ),
        (
            "sla",
            "formats intake store rules inventory engine delivery trackers api config daemon cli",
        ),
        (
            "engine",
            "formats intake store delivery trackers api config daemon cli telemetry",
        ),
        (
            "intake",
            "rules inventory engine delivery trackers api config daemon cli telemetry",
        ),
        (
            "delivery",
            "formats intake rules inventory engine api config daemon cli telemetry",
        ),
        (
            "trackers",
            "formats intake rules inventory engine delivery api config daemon cli telemetry",
        ),
        (
            "api",
            "formats intake delivery trackers config daemon cli telemetry",
        ),
        (
            "notices/plan",
            "formats intake store rules engine delivery trackers api config daemon cli telemetry relay",
        ),
        (
            "notices",
            "formats intake rules engine api config daemon cli telemetry",
        ),
        (
            "relay",
            "formats intake store rules inventory engine delivery trackers notices api config daemon cli telemetry",
        ),
        (
            "store",
            "formats intake rules inventory engine delivery trackers api config daemon cli telemetry",
        ),
    ];
    let mut wrong = Vec::new();
    for (room, others) in walls {
        for (path, text) in shipped(room) {
            for line in code(&text) {
                for other in others.split(' ') {
                    if line.contains(&format!("crate::{other}::")) {
                        wrong.push(format!("{}: {}", path.display(), line.trim()));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn formats_know_nothing_of_each_other_and_no_file_is_a_drawer() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut wrong = Vec::new();
    for (path, text) in sources(&root) {
        let lines = text.lines().count();
        if lines > LINES_MAX {
            wrong.push(format!("{}: {lines} lines", path.display()));
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if ["utils", "util", "helpers", "manager", "common", "misc"].contains(&name.as_str()) {
            wrong.push(format!("{}: the name says nothing", path.display()));
        }
        for word in ["TODO", "FIXME", "XXX", "unimplemented!", "todo!"] {
            if text.contains(&format!("{word} ")) || text.contains(&format!("{word}(")) {
                wrong.push(format!("{}: {word}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What stands before the bracket that ends a call.
fn inside(rest: &str) -> &str {
    let (mut depth, mut quoted, mut escaped) = (1, false, false);
    let end = rest.find(|c: char| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    rest.get(..end.unwrap_or(rest.len())).unwrap()
}

/// Names of events in what is logged: the last text of each call.
fn events() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (path, text) in sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src")) {
        let code: String = code(&text).flat_map(|line| [line, "\n"]).collect();
        for level in ["error", "warn", "info", "debug", "trace"] {
            for call in code.split(&format!("tracing::{level}!(")).skip(1) {
                let call = inside(call);
                let name = call.rsplit('"').nth(1).unwrap_or_default();
                let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
                assert!(
                    !name.is_empty() && name.chars().all(is_name),
                    "{}: an event is named by one word_with_strokes: {call}",
                    path.display()
                );
                names.insert(name.to_owned());
            }
        }
    }
    names
}

/// What is told of each name that stands in the first column of a table: the other columns.
fn told(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut told = BTreeMap::new();
    for row in text.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let (names, rest) = cells.split_first().unwrap();
        for name in names.split(", ") {
            let rest = rest.iter().map(|cell| (*cell).to_owned()).collect();
            told.insert(name.trim_matches('`').to_owned(), rest);
        }
    }
    told
}

#[test]
fn each_event_and_each_alarm_says_at_three_in_the_morning_what_to_do() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = std::fs::read_to_string(root.join("docs/operations.md")).unwrap();
    let section = |title: &str| {
        let from = pages.split(&format!("\n## {title}\n")).nth(1).unwrap();
        told(from.split("\n## ").next().unwrap())
    };
    let log = section("Log");
    for event in events() {
        let told = log.get(&event);
        assert!(
            told.is_some_and(|told| told.len() == 2 && told.iter().all(|cell| !cell.is_empty())),
            "docs/operations.md, Log: what `{event}` means and what to do: {told:?}"
        );
    }
    let known = events();
    let stale = log
        .keys()
        .find(|name| !known.contains(*name) && *name != "event" && !name.starts_with("--"));
    assert_eq!(stale, None, "docs/operations.md, Log: nothing logs this");

    let rules = root.join("config/prometheus/alertbridge.rules.yml");
    let rules = std::fs::read_to_string(rules).unwrap();
    let alarms = section("Alarms");
    let mut count = 0;
    for rule in rules
        .lines()
        .filter_map(|l| l.trim().strip_prefix("- alert: "))
    {
        count += 1;
        let told = alarms.get(rule);
        assert!(
            told.is_some_and(|told| told.len() == 2 && told.iter().all(|cell| !cell.is_empty())),
            "docs/operations.md, Alarms: what {rule} means and what to do: {told:?}"
        );
    }
    assert!(count > 10, "{count} rules");
}
