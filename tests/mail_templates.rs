//! Templates of an operator's own: the example of docs/mail-templates.md, tried with
//! `alertbridge try`, taken in by a running daemon, and refused where it is wrong.
#![allow(clippy::unwrap_used, clippy::panic)]

mod daemon_support;

use daemon_support::{Daemon, configuration};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// The template that the page shows.
fn example() -> String {
    let page = std::fs::read_to_string("docs/mail-templates.md").unwrap();
    let (_, rest) = page.split_once("```toml\n").unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// An hour ago, where the doors are.
fn since() -> jiff::ZonedDateTime {
    let zone = jiff::tz::TimeZone::get("Europe/Vienna").unwrap();
    let ago = jiff::Timestamp::now() - std::time::Duration::from_secs(3600);
    ago.to_zoned_datetime(zone)
}

fn mail(word: &str) -> String {
    let since = since().strftime("%d.%m.%Y %H:%M").to_string();
    format!(
        "From: doors@site.example\r\nSubject: [EXTERNAL] Door north at Wien Mitte: {word}\r\n\r\n\
         Alarm class: A\r\nSince: {since}\r\n\r\nOperator remarks:\r\nAlarm class: C\r\n\
         Door north is shut again, he says\r\n"
    )
}

/// What `try` prints of a mail, and whether it says that all went well.
fn tried(mail: &Path, config: Option<&Path>) -> (bool, Value) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_alertbridge"));
    command
        .arg("try")
        .args(config.map(|_| "--config"))
        .args(config);
    let output = command.arg("--json").arg(mail).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let shown = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{output:?}"));
    (output.status.success(), shown)
}

#[test]
fn an_operators_template_is_tried_and_taken_in_without_a_new_build() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_with(dir.path(), "[engine]\nhold_degradation = \"0s\"\n", &[]);
    let config = dir.path().join("config.toml");
    std::fs::write(dir.path().join("doors.toml"), example()).unwrap();
    let file = dir.path().join("open.eml");
    std::fs::write(&file, mail("open")).unwrap();

    // Nobody knows the sender yet: the mail waits for a person.
    let (well, shown) = tried(&file, Some(&config));
    assert!(
        !well && shown["events"].as_array().unwrap().is_empty(),
        "{shown}"
    );
    daemon.mail("alerts@noc.example", "doors@site.example", &mail("open"));
    daemon.until("triage", |tickets| tickets.len() == 1);

    let with_template = "mail_templates = [\"doors.toml\"]\n[engine]\nhold_degradation = \"0s\"\n\
                         [[rule]]\nname = \"doors\"\nmatch = [\"source=mail\"]\nhint = \"outage\"\n";
    std::fs::write(&config, configuration(with_template)).unwrap();
    let (well, shown) = tried(&file, Some(&config));
    assert!(well, "{shown}");
    assert_eq!(shown["sender"], "doors");
    let event = &shown["events"][0];
    assert_eq!(event["state"], "firing");
    assert_eq!(
        event["severity"], "A",
        "what stands below the cut does not count"
    );
    assert_eq!(event["site"], "Wien Mitte");
    assert_eq!(event["component"], "door north");
    let starts_at: jiff::Timestamp = event["starts_at"].as_str().unwrap().parse().unwrap();
    let off = since().timestamp().as_second() - starts_at.as_second();
    assert!((0..600).contains(&off), "in its own zone: {event}");
    assert_eq!(
        shown["decided"][0]["rules"][0]["name"], "1 `doors`",
        "{shown}"
    );
    // Without the configuration only the shipped templates are tried.
    assert!(!tried(&file, None).0);

    let (well, told) = daemon.verb(&["reload"]);
    assert!(well, "{told}");
    daemon.mail("alerts@noc.example", "doors@site.example", &mail("open"));
    let is_door = |ticket: &&Value| {
        let subject = ticket["subject"].as_str().unwrap();
        subject.contains("Door north at Wien Mitte is open")
    };
    daemon.until("its ticket", |tickets| tickets.iter().any(|t| is_door(&t)));
    // The word is compared as a whole.
    daemon.mail(
        "alerts@noc.example",
        "doors@site.example",
        &mail("shutters stuck"),
    );
    daemon.mail("alerts@noc.example", "doors@site.example", &mail("shut"));
    daemon.until("its end", |tickets| {
        let door = tickets.iter().find(is_door).unwrap();
        door["status"] == "resolved"
    });
}

#[test]
fn a_template_that_is_wrong_is_told_with_its_file_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("doors.toml"), example()).unwrap();
    let named = "mail_templates = [\"doors.toml\"]\n[engine]\nhold_degradation = \"0s\"\n";
    let daemon = Daemon::start_with(dir.path(), named, &[]);
    for (from, to, told) in [
        (
            "recognise.subject = '^",
            "recognise.subject = '^(",
            "recognise",
        ),
        (
            "[template.severity]\n",
            "[template.severity]\nwrod = 1\n",
            "wrod",
        ),
    ] {
        let wrong = example().replace(from, to);
        assert_ne!(wrong, example());
        std::fs::write(dir.path().join("doors.toml"), wrong).unwrap();
        let (well, said) = daemon.verb(&["reload"]);
        assert!(!well, "{said}");
        assert!(said.contains("doors.toml") && said.contains(told), "{said}");
    }
    daemon.mail("alerts@noc.example", "doors@site.example", &mail("open"));
    daemon.until("the template of before", |tickets| {
        let about = |t: &Value| {
            t["subject"]
                .as_str()
                .unwrap()
                .contains("Wien Mitte is open")
        };
        tickets.iter().any(about)
    });
}
