//! `alertbridge replay`: the journal of a daemon through other configurations.
#![allow(clippy::unwrap_used, clippy::panic)]

mod daemon_support;

use alertbridge::engine::{Decisions, Engine, Route};
use alertbridge::model::event::{Event, EventState};
use alertbridge::model::{Identity, Input, Message, SeverityHint, Time};
use alertbridge::replay::{Asked, replay as replay_store};
use alertbridge::store::sqlite::{Retention, SqliteStore, StoreOptions, retire};
use alertbridge::store::{Journal, NewInput, StateStore};
use daemon_support::{Daemon, configuration};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

const BASE: &str = "[engine]\nhold_redundancy = \"0s\"\nroot_wait = \"0s\"\n";

fn problem(host: &str, state: &str) -> Value {
    json!({ "state": state, "summary": format!("{host} is down"), "host": host, "check": "ping",
            "severity": "critical", "severity_hint": "outage" })
}

/// Runs the verb: exit code, standard output, standard error.
fn run(data: &Path, words: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_alertbridge"))
        .arg("replay")
        .args(words)
        .env("ALERTBRIDGE_DATA_DIR", data)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// Replays through a configuration.
fn replay(dir: &Path, new: &str, words: &[&str]) -> Value {
    let config = dir.join("new.toml");
    std::fs::write(&config, configuration(new)).unwrap();
    let words: Vec<&str> = ["--json", "--config", config.to_str().unwrap()]
        .into_iter()
        .chain(words.iter().copied())
        .collect();
    let (code, out, err) = run(&dir.join("data"), &words);
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(&out).unwrap()
}

fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && !path.to_string_lossy().ends_with("-shm"))
        .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()))
        .collect()
}

/// What differs, by the recorded title or the one that would have been.
fn differs(replayed: &Value) -> BTreeMap<String, Vec<String>> {
    let differences = replayed["differences"].as_array().unwrap();
    let one = |found: &Value| {
        let side = if found["was"].is_null() {
            "would_be"
        } else {
            "was"
        };
        let title = found[side]["title"].as_str().unwrap().to_owned();
        let words = found["differs"].as_array().unwrap().iter();
        (
            title,
            words.map(|w| w.as_str().unwrap().to_owned()).collect(),
        )
    };
    differences.iter().map(one).collect()
}

fn of<'a>(replayed: &'a Value, title: &str) -> &'a Value {
    let differences = replayed["differences"].as_array().unwrap();
    let titled =
        |found: &&Value| found["was"]["title"] == title || found["would_be"]["title"] == title;
    differences.iter().find(titled).unwrap()
}

fn night(daemon: &Daemon) {
    for host in ["web-1", "web-2", "db-1"] {
        daemon.post(&problem(host, "problem")).unwrap();
    }
    daemon.until("three tickets", |tickets| tickets.len() == 3);
    let told = daemon.verb(&["resolve", "INC-3", "put back"]);
    assert!(told.0, "{}", told.1);
    daemon.post(&problem("web-1", "recovery")).unwrap();
    daemon.until("two are over", |tickets| {
        tickets.iter().filter(|t| t["status"] == "resolved").count() == 2
    });
}

#[test]
fn what_another_configuration_would_have_opened_is_told_with_the_reasons_of_both_sides() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_with(dir.path(), BASE, &[]);
    night(&daemon);

    // The same configuration, beside the running daemon: nothing is different.
    let same = replay(dir.path(), BASE, &[]);
    assert_eq!(same["differences"], json!([]), "{same:#}");
    assert_eq!(
        (&same["same"], &same["left_out_count"]),
        (&json!(3), &json!(0))
    );
    assert_eq!(same["journal_whole"], true);

    // Two servers of which one is enough: one ticket, S4 and then worse.
    let inventory = r#"
        [[element]]
        id = "web-1"
        [[element]]
        id = "web-2"
        [[group]]
        id = "web"
        members = ["web-1", "web-2"]
        needs = 1
        [[service]]
        id = "shop"
        depends_on = ["web"]
        accounts = ["acme"]
        [[account]]
        id = "acme"
    "#;
    std::fs::write(dir.path().join("inventory.toml"), inventory).unwrap();
    let new = format!("inventory = [\"inventory.toml\"]\n{BASE}");
    let found = replay(dir.path(), &new, &[]);
    let first = of(&found, "web-1 is down");
    assert_eq!(first["would_be"]["severities"][0][0], "S4", "{found:#}");
    assert_eq!(first["would_be"]["severities"][1][0], "S2");
    assert_eq!(first["would_be"]["members"].as_array().unwrap().len(), 2);
    assert!(
        first["differs"]
            .as_array()
            .unwrap()
            .contains(&json!("members"))
    );
    let second = of(&found, "web-2 is down");
    assert_eq!(second["differs"], json!(["not_opened"]));
    assert_eq!(
        second["would_be"]["incident"],
        first["would_be"]["incident"]
    );
    assert!(
        second["was"]["because"]
            .to_string()
            .contains("rules and the sender's word")
    );
    let why = second["would_be"]["because"].to_string();
    assert!(why.contains("needs 1"), "{why}");

    // A rule that drops, a hold that is longer, a route in shadow mode.
    let new = "[engine]\nhold_outage = \"10h\"\n[[rule]]\nname = \"not ours\"\n\
               match = [\"host=web-2\"]\ndrop = true\n";
    let found = replay(dir.path(), new, &[]);
    let dropped = of(&found, "web-2 is down");
    assert_eq!(dropped["would_be"], Value::Null);
    assert!(
        dropped["instead"]
            .to_string()
            .contains("`not ours` matched: sets drop"),
        "{dropped:#}"
    );
    let held = of(&found, "db-1 is down");
    assert_eq!(held["differs"], json!(["not_opened"]));
    assert!(
        held["would_be"]["because"].to_string().contains("hold"),
        "{held:#}"
    );
    let new = format!("{BASE}[[route]]\nname = \"quiet\"\nshadow = true\n");
    let found = replay(dir.path(), &new, &[]);
    assert_eq!(differs(&found)["db-1 is down"], ["route"]);
    // What a person did is carried over: it is over on both sides.
    let both = of(&found, "db-1 is down");
    assert_eq!(both["was"]["resolved_at"], both["would_be"]["resolved_at"]);

    // A span in which nothing was asked for.
    let none = replay(dir.path(), new.as_str(), &["--to", "2020-01-01T00:00:00Z"]);
    assert_eq!(
        (&none["same"], &none["differences"]),
        (&json!(0), &json!([]))
    );
    drop(daemon);
}

#[test]
fn a_stopped_store_is_replayed_and_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_with(dir.path(), BASE, &[]);
    night(&daemon);
    daemon.kill();
    let data = dir.path().join("data");
    let before = contents(&data);
    let found = replay(dir.path(), BASE, &[]);
    assert_eq!(
        (&found["same"], &found["differences"]),
        (&json!(3), &json!([])),
        "{found:#}"
    );
    assert!(before.keys().any(|name| name.ends_with("journal.db")));
    assert!(contents(&data) == before, "the store was touched");

    let new = dir.path().join("new.toml");
    let silent = format!("{BASE}[[rule]]\nname = \"none\"\nmatch = [\"host=~.*\"]\ndrop = true\n");
    std::fs::write(&new, configuration(&silent)).unwrap();
    let new = new.to_str().unwrap();
    let (code, told, _) = run(&data, &["--config", new]);
    assert_eq!(code, 0);
    assert!(
        told.contains("3 of 3 incidents with a ticket would have been different"),
        "{told}"
    );
    assert!(
        told.contains("not opened: web-2 is down\n  was: INC-2 S2"),
        "{told}"
    );
    assert!(told.contains("would be: nothing"), "{told}");
    assert!(
        told.contains("1 act(s) of people are about what would not have been there"),
        "{told}"
    );

    let wrong = [
        "--config",
        new,
        "--from",
        "2026-02-01T00:00:00Z",
        "--to",
        "2026-01-01T00:00:00Z",
    ];
    assert_eq!(run(&data, &wrong).0, 2);
    assert_eq!(run(&data, &["--config", new, "--from", "yesterday"]).0, 2);
    let (code, _, told) = run(&dir.path().join("nowhere"), &["--config", new]);
    assert_eq!(code, 1);
    assert!(told.contains("there is no store here"), "{told}");
}

/// A store in which retention has forgotten the first inputs.
#[test]
fn what_began_before_the_oldest_kept_input_is_counted_and_not_compared() {
    const DAY_MS: i64 = 24 * 3600 * 1000;
    let dir = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(dir.path(), StoreOptions::default(), "g1").unwrap();
    let decisions = Decisions {
        routes: vec![Route::desk()],
        ..Decisions::default()
    };
    let mut engine = Engine::new(decisions.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let mut take = |at: i64, host: &str, word: &str| {
        let identity = Identity::key(host).unwrap();
        let mut event = Event::new(EventState::Firing, identity, format!("{host} is down"));
        event.host = Some(host.to_owned());
        event.severity = Some(word.to_owned());
        event.severity_hint = SeverityHint::Outage;
        let message = Message::new("mon", "native", vec![event]);
        let input = NewInput {
            at: Time(at),
            input: Input::Message(message),
            raw: None,
        };
        let places = runtime.block_on(store.journal.append(vec![input], Vec::new()));
        let place = places.unwrap()[0];
        for sequenced in store.journal.read(place - 1, 1).unwrap() {
            engine.step(&sequenced);
        }
        store.state.commit(&engine.take_delta()).unwrap();
    };
    take(DAY_MS, "old", "critical");
    take(3 * DAY_MS, "new", "critical");
    // The old trouble speaks again: here it would be a new ticket.
    take(3 * DAY_MS + 1000, "old", "disaster");
    take(3 * DAY_MS + 2000, "newer", "critical");
    let keep = Retention {
        inputs_days: 1,
        ..Retention::default()
    };
    assert_eq!(
        retire(&store, &keep, Time(3 * DAY_MS + 3000))
            .unwrap()
            .inputs,
        1
    );
    drop(store);
    let replayed = replay_store(&Asked {
        data_dir: dir.path(),
        decisions: &decisions,
        keys: &Default::default(),
        from: None,
        to: None,
        now: Time(4 * DAY_MS),
    });
    let replayed = replayed.unwrap();
    assert_eq!(replayed.oldest_input, Some(Time(3 * DAY_MS)));
    assert!(
        !replayed.journal_whole && replayed.differences.is_empty(),
        "{replayed:#?}"
    );
    assert_eq!(
        (replayed.same, replayed.not_compared, replayed.inputs),
        (2, 1, 3)
    );
}
