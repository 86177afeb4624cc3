//! From an alert at the door to a letter at a real mail server, over kills, failing servers and
//! outcomes that nobody knows.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod daemon_support;
mod notices_support;

use daemon_support::{Daemon, until_within};
use notices_support::{Letter, Mood, Sink};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const INVENTORY: &str = r#"
[[account]]
id = "acme"
[[account]]
id = "globex"
[[element]]
id = "core-1"
[[service]]
id = "transit"
depends_on = ["core-1"]
accounts = ["acme", "globex"]
"#;

const CONTRACTS: &str = r#"
[policy.plain]
scale = 3
[policy.plain.category]
incident = { severity = "set", targets = ["restore"] }
[policy.plain.severity.1]
restore = { within = "6h" }
[policy.plain.severity.2]
restore = { within = "24h" }
[policy.plain.severity.3]
restore = { within = "48h" }
[contract.acme]
policy = "plain"
locale = "fr"
tz = "Europe/Paris"
contacts = { incidents = ["ops@acme.example"] }
[contract.globex]
policy = "plain"
locale = "ja"
tz = "Asia/Tokyo"
contacts = { incidents = ["ops@globex.example"] }
[contact.shift]
mail = ["shift@noc.example"]
"#;

fn configuration(dir: &Path, sink: &Sink, more: &str) -> String {
    std::fs::write(dir.join("inventory.toml"), INVENTORY).unwrap();
    std::fs::write(dir.join("contracts.toml"), "").unwrap();
    format!(
        "inventory = [\"inventory.toml\"]\n[notices]\non_call = [\"shift\"]\nsupport = \
         \"+44 1632 960000\"\n{}{CONTRACTS}\n{more}\n[engine]\nlower_after = \"0s\"\n",
        sink.section()
    )
}

fn outage(daemon: &Daemon, state: &str) {
    let event = json!({
        "dedup_key": "core-1", "state": state, "severity": "critical",
        "summary": "core-1 of globex is down", "host": "core-1", "component": "core-1",
        "check": "ping", "component_kind": "device",
    });
    let mut event = event;
    event.as_object_mut().unwrap().remove("component_kind");
    assert_eq!(daemon.post(&event).unwrap(), 202);
}

fn to<'a>(letters: &'a [Letter], address: &str) -> Vec<&'a Letter> {
    letters.iter().filter(|l| l.to == address).collect()
}

fn notices(daemon: &Daemon, state: &str) -> Vec<Value> {
    let (good, text) = daemon.verb(&["notices", "list", "--state", state, "--json"]);
    assert!(good, "{text}");
    serde_json::from_str(&text).unwrap()
}

fn until(what: &str, is_true: impl FnMut() -> bool) {
    until_within(60, what, is_true);
}

#[test]
fn an_alert_becomes_letters_in_each_customers_language_and_one_thread() {
    let dir = tempfile::tempdir().unwrap();
    let sink = Sink::start();
    let config = configuration(dir.path(), &sink, "");
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    outage(&daemon, "firing");
    let customers = ["ops@acme.example", "ops@globex.example"];
    sink.until("both customers hear of it", |letters| {
        customers
            .iter()
            .all(|address| to(letters, address).len() == 1)
    });
    let (good, said) = daemon.verb(&["note", "INC-1", "A part is on its way.", "--public"]);
    assert!(good, "{said}");
    outage(&daemon, "resolved");
    let letters = sink.until("it is told to its end", |letters| {
        customers
            .iter()
            .all(|address| to(letters, address).len() == 3)
    });
    let acme = to(&letters, "ops@acme.example");
    assert_eq!(
        acme[0].header("Subject"),
        "[INC-1] Incident : perte de service"
    );
    assert!(
        acme[0].text().contains("Nous traitons un incident"),
        "{}",
        acme[0].text()
    );
    assert!(acme[1].text().contains("    A part is on its way."));
    assert!(acme[2].header("Subject").contains("Rétabli"));
    let globex = to(&letters, "ops@globex.example");
    assert_eq!(
        globex[0].header("Subject"),
        "[INC-1] インシデント：サービスの損失"
    );
    assert!(globex[0].text().contains("+09:00 (Asia/Tokyo)"));
    assert!(globex[0].text().contains("+44 1632 960000"));
    for letter in &letters {
        assert_eq!(letter.header("Auto-Submitted"), "auto-generated");
        assert!(letter.header("From").contains("noc@example.net"));
    }
    // Threads: one for each reader, another for the other.
    let thread = |letter: &Letter| letter.header("References");
    assert!(
        acme.iter()
            .all(|l| thread(l) == thread(acme[0]) && !thread(l).is_empty())
    );
    assert_ne!(thread(acme[0]), thread(globex[0]));
    assert!(
        !acme[0].raw.to_lowercase().contains("globex"),
        "{}",
        acme[0].raw
    );
    until("all is reported", || {
        notices(&daemon, "closed")
            .iter()
            .filter(|n| n["state"] == "sent")
            .count()
            >= 6
    });
    let metrics = daemon.metrics();
    let counted = "alertbridge_notifications_total{audience=\"customer\",channel=\"mail\",outcome=\"sent\"} 6";
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn a_server_that_is_down_loses_nothing_and_one_that_refuses_is_seen_in_the_outbox() {
    let dir = tempfile::tempdir().unwrap();
    let sink = Sink::start();
    sink.set(Mood::TryLater);
    let config = configuration(dir.path(), &sink, "");
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    outage(&daemon, "firing");
    until("it fails", || {
        let waiting = notices(&daemon, "open");
        waiting.len() >= 2
            && waiting
                .iter()
                .any(|n| n["reason"].as_str().unwrap().contains("try again"))
    });
    assert!(sink.letters().is_empty());
    sink.set(Mood::Takes);
    sink.until("it is told after all", |letters| {
        to(letters, "ops@acme.example").len() == 1 && to(letters, "ops@globex.example").len() == 1
    });
    sink.set(Mood::Refuses);
    daemon.verb(&["note", "INC-1", "Still at it.", "--public"]);
    let dead = || {
        let (_, text) = daemon.verb(&["outbox", "show", "--json"]);
        let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
        let dead = rows.into_iter().filter(|row| {
            let id = row["id"].as_str().unwrap();
            id.starts_with("N-") && row["trouble"]["dead"] == true
        });
        dead.collect::<Vec<Value>>()
    };
    until("it is given up", || dead().len() >= 2);
    let id = dead()[0]["id"].as_str().unwrap().to_owned();
    let before = sink.letters().len();
    sink.set(Mood::Takes);
    let (good, said) = daemon.verb(&["outbox", "retry", &id]);
    assert!(good, "{said}");
    sink.until("a person has it tried again", |letters| {
        letters.len() == before + 1
    });
    let other = dead()
        .iter()
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .find(|other| *other != id);
    let (good, said) = daemon.verb(&["notices", "drop", &other.unwrap(), "told by phone"]);
    assert!(good, "{said}");
}

#[test]
fn a_letter_whose_outcome_nobody_knows_is_the_same_letter_again_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let sink = Sink::start();
    sink.set(Mood::TakesAndHangsUp);
    let config = configuration(dir.path(), &sink, "");
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    outage(&daemon, "firing");
    sink.until("it may have arrived", |letters| {
        to(letters, "ops@acme.example").len() == 1
    });
    sink.set(Mood::Takes);
    let letters = sink.until("it is sent again", |letters| {
        to(letters, "ops@acme.example").len() >= 2
    });
    let acme = to(&letters, "ops@acme.example");
    let id = |letter: &Letter| letter.header("Message-ID");
    assert!(
        acme.iter().all(|letter| id(letter) == id(acme[0])),
        "one letter"
    );
    assert!(
        acme.last()
            .unwrap()
            .text()
            .contains("peut vous parvenir deux fois")
    );
    until("it is known to be in doubt", || {
        notices(&daemon, "closed")
            .iter()
            .any(|n| n["state"] == "sent_maybe_twice")
    });
}

#[test]
fn kills_at_any_instant_lose_no_letter_and_double_none_silently() {
    let dir = tempfile::tempdir().unwrap();
    let sink = Sink::start();
    let config = configuration(dir.path(), &sink, "");
    let mut daemon = Daemon::start_with(dir.path(), &config, &[]);
    outage(&daemon, "firing");
    for round in 0..6_u64 {
        daemon.verb(&["note", "INC-1", &format!("Round {round}."), "--public"]);
        std::thread::sleep(Duration::from_millis(7 * round * round));
        daemon.kill();
        daemon = Daemon::start_with(dir.path(), &config, &[]);
    }
    until("nothing waits any more", || {
        notices(&daemon, "open")
            .iter()
            .all(|n| n["audience"] == "staff")
    });
    let letters = sink.letters();
    for address in ["ops@acme.example", "ops@globex.example"] {
        let mine = to(&letters, address);
        let mut by_id = std::collections::BTreeMap::<String, Vec<&Letter>>::new();
        for letter in &mine {
            by_id
                .entry(letter.header("Message-ID"))
                .or_default()
                .push(letter);
        }
        assert_eq!(
            by_id.len(),
            7,
            "the opening and six updates: {:?}",
            by_id.keys()
        );
        for twins in by_id.values().filter(|twins| twins.len() > 1) {
            // Twice only where a kill hid the server's word, and then it says so.
            let said = twins.iter().skip(1).all(|letter| {
                let text = letter.text();
                text.contains("deux fois") || text.contains("重複して届く")
            });
            assert!(said, "{twins:#?}");
        }
    }
}

#[test]
fn check_names_audiences_that_are_nobody_and_refuses_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let sink = Sink::start();
    let path = dir.path().join("check.toml");
    let good = configuration(dir.path(), &sink, "[contract.silent]\npolicy = \"plain\"\n");
    std::fs::write(&path, &good).unwrap();
    let check = || {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_alertbridge"))
            .arg("check")
            .arg(&path)
            .output()
            .unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.success(), text)
    };
    let (fine, said) = check();
    assert!(fine, "{said}");
    assert!(said.contains("an audience is nobody: contract silent has no contacts for incidents"));
    for (from, to, what) in [
        ("tls = \"none\"", "tls = \"maybe\"", "maybe"),
        ("on_call", "on_cal", "unknown key `on_cal`"),
        ("ops@acme.example", "ops", "it is no mail address"),
        (
            "[contact.shift]",
            "[contact.other]",
            "there is no contact `shift`",
        ),
        (
            "from = \"Example NOC <noc@example.net>\"",
            "from = \"NOC\"",
            "is no mail address",
        ),
    ] {
        std::fs::write(&path, good.replacen(from, to, 1)).unwrap();
        let (fine, said) = check();
        assert!(!fine && said.contains(what), "{from} → {to}: {said}");
    }
}

#[test]
fn a_partners_report_has_a_section_for_each_account_that_it_manages() {
    let dir = tempfile::tempdir().unwrap();
    let sink = Sink::start();
    let partner = "[contract.northwind]\npolicy = \"plain\"\naccount = \"partner\"\n\
                   locale = \"fr\"\ntz = \"Europe/Paris\"\n\
                   contacts = { incidents = [\"noc@northwind.example\"] }\n";
    let config = configuration(dir.path(), &sink, partner).replace(
        "[contract.globex]\n",
        "[contract.globex]\naccount = \"managed\"\npartner = \"northwind\"\n",
    );
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    outage(&daemon, "firing");
    let letters = sink.until("the partner hears of it", |letters| {
        to(letters, "noc@northwind.example").len() == 1
    });
    assert!(
        to(&letters, "ops@globex.example").is_empty(),
        "off by default"
    );
    let month = jiff::Timestamp::now().strftime("%Y-%m").to_string();
    let report = |contract: &str, format: &str| {
        let (good, text) = daemon.verb(&[
            "report",
            "--contract",
            contract,
            "--month",
            &month,
            "--format",
            format,
        ]);
        assert!(good, "{text}");
        text
    };
    let whole: Value = serde_json::from_str(&report("northwind", "json")).unwrap();
    assert!(whole["tickets"].as_array().unwrap().is_empty());
    let section = &whole["managed"][0];
    assert_eq!(section["header"]["contract"], "globex");
    assert_eq!(
        section["header"]["locale"], "fr",
        "in the partner's language"
    );
    assert_eq!(section["tickets"][0]["id"], "INC-1");
    for format in ["text", "html", "csv"] {
        let text = report("northwind", format);
        assert!(
            text.contains("globex") && text.contains("INC-1"),
            "{format}: {text}"
        );
        assert!(!text.contains("acme"), "{format}: {text}");
    }
    let own: Value = serde_json::from_str(&report("acme", "json")).unwrap();
    assert!(own.get("managed").is_none());
}
