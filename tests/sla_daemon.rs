//! Service levels through a daemon as a process: warnings and breaches at their instants, also when
//! they are found later; the report and the counters; what a reload moves.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod daemon_support;

use daemon_support::Daemon;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const INVENTORY: &str = r#"
[[account]]
id = "acme"
[[account]]
id = "globex"
[[element]]
id = "a1"
[[element]]
id = "a2"
[[element]]
id = "g1"
[[element]]
id = "g2"
[[service]]
id = "a1-line"
depends_on = ["a1"]
accounts = ["acme"]
[[service]]
id = "a2-line"
depends_on = ["a2"]
accounts = ["acme"]
[[service]]
id = "g1-line"
depends_on = ["g1"]
accounts = ["globex"]
[[service]]
id = "g2-line"
depends_on = ["g2"]
accounts = ["globex"]
"#;

/// A policy whose targets are these durations.
fn policy(name: &str, response: &str, update: &str, restore: &str) -> String {
    let severities: String = (1..=5)
        .map(|severity| {
            format!(
                "[policy.{name}.severity.{severity}]\n\
                 initial_response = {{ within = \"{response}\" }}\n\
                 update = {{ every = \"{update}\" }}\n\
                 restore = {{ {restore} }}\n"
            )
        })
        .collect();
    format!(
        "[policy.{name}]\nscale = 5\nreopen_window = \"2s\"\n\
         [policy.{name}.category]\n\
         incident = {{ severity = \"set\", \
         targets = [\"initial_response\", \"update\", \"restore\"] }}\n\
         inquiry = {{ severity = 3, targets = [\"initial_response\", \"update\"] }}\n\
         provisioning = {{ severity = \"none\", targets = [] }}\n\
         {severities}\
         [[policy.{name}.escalation]]\nlevel = 1\ncontact = \"lead\"\n\
         [[policy.{name}.escalation]]\nlevel = 2\ncontact = \"manager\"\nafter_restore = 0.9\n"
    )
}

fn write_inventory(dir: &Path) {
    std::fs::write(dir.join("inventory.toml"), INVENTORY).unwrap();
}

/// One contract for acme and one for globex, both by the same short policy.
fn short(response: &str, restore: &str) -> String {
    format!(
        "inventory = [\"inventory.toml\"]\n\
         [engine]\nreopen_window = \"2s\"\nlower_after = \"1s\"\n\
         {}{}\
         [contract.acme]\npolicy = \"p\"\n[contract.globex]\npolicy = \"q\"\nlocale = \"fr\"\n",
        policy("p", response, "20s", &format!("within = \"{restore}\"")),
        policy("q", response, "20s", &format!("within = \"{restore}\"")),
    )
}

fn event(host: &str, state: &str) -> Value {
    json!({ "state": state, "summary": format!("{host} is {state}"), "host": host,
            "check": "ping", "severity_hint": "outage" })
}

fn get(daemon: &Daemon, path: &str) -> Value {
    let (status, body) = daemon.ask("operators", "GET", path, "").unwrap();
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

fn until<T>(what: &str, seconds: u64, look: impl Fn() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < Duration::from_secs(seconds), "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Timeline lines of a reason.
fn told(daemon: &Daemon, incident: &str, reason: &str) -> Vec<String> {
    let shown = get(daemon, &format!("/api/v1/incidents/{incident}"));
    let lines = shown["timeline"].as_array().unwrap().iter();
    lines
        .filter(|line| line["reason"] == reason)
        .map(|line| line["text"].as_str().unwrap().to_owned())
        .collect()
}

fn clock(daemon: &Daemon, incident: &str, target: &str) -> Value {
    let shown = get(daemon, &format!("/api/v1/incidents/{incident}"));
    let clocks = shown["cases"][0]["clocks"].as_array().unwrap().iter();
    let mut clocks = clocks;
    clocks.rfind(|c| c["target"] == target).unwrap().clone()
}

fn opened(daemon: &Daemon, host: &str) -> String {
    assert!(matches!(
        daemon.post(&event(host, "problem")).unwrap(),
        200 | 202
    ));
    until("a case is there", 60, || {
        let all = get(daemon, "/api/v1/incidents");
        let incidents = all["incidents"].as_array().unwrap().clone();
        let mine = |i: &&Value| {
            i["root"] == host && i["state"] == "open" && !i["cases"].as_array().unwrap().is_empty()
        };
        let id = |i: &Value| i["id"].as_str().unwrap().to_owned();
        incidents.iter().find(mine).map(id)
    })
}

/// Value of each series of a metric, by its labels.
fn series(text: &str, name: &str) -> BTreeMap<String, u64> {
    let of = format!("{name}{{");
    text.lines()
        .filter(|line| line.starts_with(&of))
        .map(|line| {
            let (labels, value) = line.rsplit_once(' ').unwrap();
            let labels = labels.split_once('{').unwrap().1.trim_end_matches('}');
            (labels.to_owned(), value.parse::<f64>().unwrap() as u64)
        })
        .filter(|(_, value)| *value > 0)
        .collect()
}

fn sum(text: &str, name: &str) -> u64 {
    series(text, name).values().sum()
}

#[test]
fn a_warning_comes_before_a_breach_and_each_once() {
    let dir = tempfile::tempdir().unwrap();
    write_inventory(dir.path());
    let daemon = Daemon::start_with(dir.path(), &short("8s", "1h"), &[]);
    let incident = opened(&daemon, "a1");
    until("the warning", 60, || {
        (!told(&daemon, &incident, "sla_at_risk").is_empty()).then_some(())
    });
    until("the breach", 60, || {
        (!told(&daemon, &incident, "sla_breached").is_empty()).then_some(())
    });
    let due = clock(&daemon, &incident, "initial_response")["due"].clone();
    // Later looks at the same clocks tell nothing again.
    for words in [vec!["ack", &incident], vec!["assign", &incident, "mori"]] {
        let (good, said) = daemon.verb(&words);
        assert!(good, "{said}");
    }
    let risk = told(&daemon, &incident, "sla_at_risk");
    let breach = told(&daemon, &incident, "sla_breached");
    assert_eq!((risk.len(), breach.len()), (1, 1), "{risk:?} {breach:?}");
    assert!(
        breach[0].contains(due.as_str().unwrap()),
        "{breach:?} {due}"
    );
    assert!(breach[0].contains("initial response"));
    let text = daemon.metrics();
    assert_eq!(sum(&text, "alertbridge_sla_breaches_total"), 1);
    assert_eq!(
        sum(&text, "alertbridge_sla_corrections_total"),
        0,
        "found in time"
    );
}

/// The breach's instant in its line is the due instant, and it is told and counted once.
fn breached_once_at_due(daemon: &Daemon, incident: &str) {
    let due = clock(daemon, incident, "initial_response");
    assert_eq!(due["state"], "breached");
    assert_eq!(due["breached_at"], due["due"]);
    let mut lines = told(daemon, incident, "sla_breached");
    lines.retain(|line| line.contains("initial response"));
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains(due["due"].as_str().unwrap()), "{lines:?}");
    let mut counted = series(&daemon.metrics(), "alertbridge_sla_breaches_total");
    counted.retain(|labels, _| labels.contains("initial_response"));
    assert_eq!(counted.into_values().collect::<Vec<_>>(), [1]);
}

#[test]
fn a_breach_while_the_daemon_was_down_is_found_at_its_due_instant() {
    let dir = tempfile::tempdir().unwrap();
    write_inventory(dir.path());
    let config = short("4s", "1h");
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    let incident = opened(&daemon, "a1");
    daemon.kill();
    std::thread::sleep(Duration::from_secs(5));
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    until("the breach", 60, || {
        (!told(&daemon, &incident, "sla_breached").is_empty()).then_some(())
    });
    breached_once_at_due(&daemon, &incident);
    daemon.kill();
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    assert!(daemon.verb(&["ack", &incident]).0);
    breached_once_at_due(&daemon, &incident);
}

#[test]
fn a_breach_while_the_machine_was_suspended_is_found_at_its_due_instant() {
    let dir = tempfile::tempdir().unwrap();
    write_inventory(dir.path());
    let daemon = Daemon::start_with(dir.path(), &short("4s", "1h"), &[]);
    let incident = opened(&daemon, "a1");
    let pid = daemon.process.id().to_string();
    let signal = |name: &str| {
        let sent = Command::new("kill").args([name, &pid]).status().unwrap();
        assert!(sent.success());
    };
    signal("-STOP");
    std::thread::sleep(Duration::from_secs(5));
    signal("-CONT");
    until("the breach", 60, || {
        (!told(&daemon, &incident, "sla_breached").is_empty()).then_some(())
    });
    breached_once_at_due(&daemon, &incident);
}

/// Where Debian's `faketime` keeps its library.
fn faketime() -> Option<String> {
    let found = Command::new("sh")
        .args(["-c", "ls /usr/lib/*/faketime/libfaketimeMT.so.1"])
        .output()
        .ok()?;
    let path = String::from_utf8(found.stdout).ok()?.trim().to_owned();
    (!path.is_empty()).then_some(path)
}

#[test]
fn a_step_of_the_clock_finds_what_fell_due_and_a_step_back_undoes_nothing() {
    let Some(library) = faketime() else {
        println!(
            "NOT RUN: a stepped clock: libfaketime is not installed (Debian package faketime)"
        );
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    write_inventory(dir.path());
    let offset = dir.path().join("offset");
    let step = |by: &str| std::fs::write(&offset, by).unwrap();
    step("+0");
    let file = offset.display().to_string();
    let environment = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", file.as_str()),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
        ("DONT_FAKE_MONOTONIC", "1"),
    ];
    let daemon = Daemon::start_with(dir.path(), &short("1h", "48h"), &environment);
    let incident = opened(&daemon, "a1");
    assert_eq!(
        clock(&daemon, &incident, "initial_response")["state"],
        "running"
    );
    step("+3h");
    until("the breach", 60, || {
        (!told(&daemon, &incident, "sla_breached").is_empty()).then_some(())
    });
    breached_once_at_due(&daemon, &incident);
    let text = daemon.metrics();
    let late = series(&text, "alertbridge_sla_corrections_total");
    assert_eq!(late.get("kind=\"found_late\""), Some(&1), "{late:?}");
    step("+0");
    assert!(daemon.verb(&["ack", &incident]).0);
    step("+4h");
    assert!(daemon.verb(&["note", &incident, "again"]).0);
    breached_once_at_due(&daemon, &incident);
}

/// Rows of the reports of a contract for the months that a test may lie in.
fn reports(daemon: &Daemon, contract: &str, months: &[String]) -> Vec<Value> {
    months
        .iter()
        .map(|month| {
            let path = format!("/api/v1/report?contract={contract}&month={month}&format=json");
            get(daemon, &path)
        })
        .collect()
}

fn today() -> jiff::civil::Date {
    jiff::tz::TimeZone::UTC
        .to_datetime(jiff::Timestamp::now())
        .date()
}

fn month() -> String {
    today().strftime("%Y-%m").to_string()
}

type Counts = BTreeMap<String, u64>;

/// Counts of the reports in the form of the series that show the same.
fn counted(reports: &[(&str, Value)]) -> BTreeMap<&'static str, Counts> {
    let mut all: BTreeMap<&'static str, Counts> = BTreeMap::new();
    let mut add = |name: &'static str, labels: String, count: u64| {
        if count > 0 {
            *all.entry(name).or_default().entry(labels).or_default() += count;
        }
    };
    for (policy, report) in reports {
        for ticket in report["tickets"].as_array().unwrap() {
            let sev = &ticket["final_severity"];
            for row in ticket["targets"].as_array().unwrap() {
                let target = row["target"].as_str().unwrap();
                let outcome = row["verdict"].as_str().unwrap();
                assert_ne!(outcome, "open", "all is closed: {ticket}");
                let labels = format!(
                    "outcome=\"{outcome}\",policy=\"{policy}\",sev=\"{sev}\",target=\"{target}\""
                );
                add("alertbridge_sla_verdicts_total", labels, 1);
                if outcome == "breached" {
                    let at = &row["severity"];
                    let labels = format!("policy=\"{policy}\",sev=\"{at}\",target=\"{target}\"");
                    add("alertbridge_sla_breaches_total", labels, 1);
                }
                if row["found_late"] == true {
                    let labels = "kind=\"found_late\"".to_owned();
                    add("alertbridge_sla_corrections_total", labels, 1);
                }
            }
            for update in ticket["updates"].as_array().unwrap() {
                let late = update["late"] == true;
                let outcome = if late { "late" } else { "on_time" };
                let labels = format!("outcome=\"{outcome}\",policy=\"{policy}\",sev=\"{sev}\"");
                add("alertbridge_sla_updates_total", labels, 1);
            }
            let waited = ticket["wait_seconds"].as_u64().unwrap();
            let labels = format!("sev=\"{sev}\"");
            add("alertbridge_customer_wait_seconds_total", labels, waited);
        }
        for step in report["escalations"].as_array().unwrap() {
            let (level, reason) = (&step["level"], &step["reason"]);
            let labels = format!("level=\"{level}\",reason={reason}");
            add(
                "alertbridge_escalations_total",
                labels,
                step["count"].as_u64().unwrap(),
            );
        }
    }
    all
}

/// The summary of a report is the sum of its rows.
fn totals_are_sums(report: &Value) {
    let rows: Vec<&Value> = report["tickets"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|ticket| ticket["targets"].as_array().unwrap())
        .collect();
    for total in report["targets"].as_array().unwrap() {
        let of = |verdict: &str| {
            let mine = rows.iter().filter(|row| {
                row["target"] == total["target"] && row["severity"] == total["severity"]
            });
            mine.filter(|row| row["verdict"] == verdict).count() as u64
        };
        assert_eq!(total["met"].as_u64(), Some(of("met")), "{total}");
        assert_eq!(total["breached"].as_u64(), Some(of("breached")), "{total}");
        let void: u64 = total["void"]
            .as_object()
            .unwrap()
            .values()
            .filter_map(Value::as_u64)
            .sum();
        assert_eq!(void, of("void"), "{total}");
    }
    let by_day = |what: &str| -> u64 {
        let days = report["days"].as_array().unwrap().iter();
        days.map(|day| day[what].as_u64().unwrap()).sum()
    };
    let volume = |what: &str| -> u64 {
        let counts = report["volume"][what].as_object().unwrap().values();
        counts.filter_map(Value::as_u64).sum()
    };
    assert_eq!(by_day("opened"), volume("opened"));
    assert_eq!(by_day("closed"), volume("closed"));
}

#[test]
fn the_report_its_rows_and_the_counters_say_the_same_over_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    write_inventory(dir.path());
    let config = short("4s", "6s");
    let mut months = vec![month()];
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    let say = |daemon: &Daemon, words: &[&str]| {
        let (good, said) = daemon.verb(words);
        assert!(good, "{words:?}: {said}");
    };
    // Answered and restored in time, with a wait; a missed answer; a false alarm.
    let met = opened(&daemon, "a1");
    let missed = opened(&daemon, "g1");
    let nothing = opened(&daemon, "a2");
    say(&daemon, &["note", &met, "We look at it.", "--public"]);
    say(&daemon, &["wait", &met]);
    say(&daemon, &["escalate", &missed, "--reason", "expectations"]);
    std::thread::sleep(Duration::from_secs(2));
    say(&daemon, &["wait", &met, "--end"]);
    say(&daemon, &["severity", &met, "S1", "two sites"]);
    say(&daemon, &["resolve", &met, "Replaced."]);
    say(&daemon, &["resolve", &nothing, "--false-alarm"]);
    until("the missed answer", 60, || {
        (told(&daemon, &missed, "sla_breached").len() >= 2).then_some(())
    });
    daemon.kill();
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    // Cleared by monitoring before anyone had to answer; and the missed one at last.
    let cleared = opened(&daemon, "g2");
    for host in ["g2", "a1", "a2", "g1"] {
        daemon.post(&event(host, "recovery")).unwrap();
    }
    until("all is closed", 90, || {
        let all = get(&daemon, "/api/v1/incidents");
        let incidents = all["incidents"].as_array().unwrap();
        incidents
            .iter()
            .all(|i| i["state"] == "closed")
            .then_some(())
    });
    assert!(!cleared.is_empty());
    if month() != months[0] {
        months.push(month());
    }
    let mut all: Vec<(&str, Value)> = Vec::new();
    for (policy, contract) in [("p", "acme"), ("q", "globex")] {
        for report in reports(&daemon, contract, &months) {
            totals_are_sums(&report);
            all.push((policy, report));
        }
    }
    let rows = counted(&all);
    let text = daemon.metrics();
    for name in [
        "alertbridge_sla_verdicts_total",
        "alertbridge_sla_breaches_total",
        "alertbridge_sla_updates_total",
        "alertbridge_customer_wait_seconds_total",
        "alertbridge_escalations_total",
        "alertbridge_sla_corrections_total",
    ] {
        let shown = series(&text, name);
        let expected = rows.get(name).cloned().unwrap_or_default();
        assert_eq!(shown, expected, "{name}");
    }
    assert!(
        rows["alertbridge_sla_verdicts_total"].len() >= 4,
        "{rows:?}"
    );
    assert!(!rows["alertbridge_sla_breaches_total"].is_empty());
    // Each event concerned one contract: what the reports received is what the doors received.
    let alerts = |what: &str| -> u64 {
        let counts = all
            .iter()
            .map(|(_, r)| r["volume"]["alerts"][what].as_u64().unwrap());
        counts.sum()
    };
    let outcomes = sum(&text, "alertbridge_alerts_received_total");
    // The counters of a process begin anew: one event for each host came before the kill.
    assert_eq!(alerts("received"), outcomes + 3);
    assert_eq!(alerts("suppressed"), 0);
}

#[test]
fn a_reload_says_which_terms_are_new_and_which_due_instants_moved() {
    let dir = tempfile::tempdir().unwrap();
    write_inventory(dir.path());
    let days = "mon = [[\"00:00\", \"24:00\"]], tue = [[\"00:00\", \"24:00\"]], \
                wed = [[\"00:00\", \"24:00\"]], thu = [[\"00:00\", \"24:00\"]], \
                fri = [[\"00:00\", \"24:00\"]], sat = [[\"00:00\", \"24:00\"]], \
                sun = [[\"00:00\", \"24:00\"]]";
    let config = |restore: &str, holidays: &str| {
        format!(
            "inventory = [\"inventory.toml\"]\n{}\
             [calendar.office]\ntz = \"Etc/UTC\"\nweek = {{ {days} }}\nholidays = [{holidays}]\n\
             [contract.acme]\npolicy = \"p\"\n",
            policy(
                "p",
                "1h",
                "2h",
                &format!("within = \"{restore}\", calendar = \"office\"")
            ),
        )
    };
    let write = |text: &str| {
        std::fs::write(
            dir.path().join("config.toml"),
            daemon_support::configuration(text),
        )
        .unwrap();
    };
    let daemon = Daemon::start_with(dir.path(), &config("96h", ""), &[]);
    let incident = opened(&daemon, "a1");
    let before = clock(&daemon, &incident, "restore")["due"].clone();
    let version = |daemon: &Daemon, incident: &str| {
        get(daemon, &format!("/api/v1/incidents/{incident}"))["cases"][0]["policy_version"].clone()
    };
    let first = version(&daemon, &incident);

    // Other terms: the open case keeps its own, a new one has the new ones.
    write(&config("48h", ""));
    let (good, said) = daemon.verb(&["reload"]);
    assert!(good, "{said}");
    assert!(said.contains("contract acme: terms "), "{said}");
    assert!(
        said.contains(&format!("1 open cases keep theirs: {incident}")),
        "{said}"
    );
    assert!(!said.contains("due instants moved"), "{said}");
    assert_eq!(clock(&daemon, &incident, "restore")["due"], before);
    assert_eq!(version(&daemon, &incident), first);
    let newer = opened(&daemon, "a2");
    assert_ne!(version(&daemon, &newer), first);

    // A holiday that is declared now counts at once, for both.
    let holiday = today().tomorrow().unwrap();
    write(&config("48h", &format!("\"{holiday}\"")));
    let (good, said) = daemon.verb(&["reload"]);
    assert!(good && said.contains("due instants moved: 2"), "{said}");
    let after = clock(&daemon, &incident, "restore")["due"].clone();
    let line = format!(
        "{incident} acme restore: {} → {} (+24h00m)",
        before.as_str().unwrap(),
        after.as_str().unwrap()
    );
    assert!(said.contains(&line), "{said}\n{line}");
    assert_eq!(told(&daemon, &incident, "due_moved").len(), 1);

    // The report and `sla explain` print versions.
    let path = format!("/api/v1/report?contract=acme&month={}&format=csv", month());
    let (_, csv) = daemon.ask("operators", "GET", &path, "").unwrap();
    assert!(csv.contains(first.as_str().unwrap()), "{csv}");
    let file = dir.path().join("config.toml").display().to_string();
    let (good, said) = daemon.verb(&["sla", "explain", "acme", "--config", &file]);
    let newest = version(&daemon, &newer);
    assert!(good && said.contains(newest.as_str().unwrap()), "{said}");
    let (good, said) = daemon.verb(&["check", &file]);
    let line = format!("calendar office: closed in {}", holiday.year());
    assert!(
        good && said.contains(&line) && said.contains(&holiday.to_string()),
        "{said}"
    );

    // All of it over a restart.
    daemon.kill();
    let text = std::fs::read_to_string(dir.path().join("config.toml")).unwrap();
    let daemon = Daemon::start_with(dir.path(), &text, &[]);
    assert_eq!(clock(&daemon, &incident, "restore")["due"], after);
    assert_eq!(version(&daemon, &incident), first);
}

#[test]
fn each_verb_moves_the_clocks_of_the_case_as_its_word_says() {
    let dir = tempfile::tempdir().unwrap();
    write_inventory(dir.path());
    let config = short("1h", "6h").replace("\"2s\"", "\"1h\"");
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    let incident = opened(&daemon, "a1");
    let say = |words: &[&str]| {
        let (good, said) = daemon.verb(words);
        assert!(good, "{words:?}: {said}");
        said
    };
    let refused = |words: &[&str], why: &str| {
        let (good, said) = daemon.verb(words);
        assert!(!good && said.contains(why), "{words:?}: {said}");
    };
    let state = |target: &str| clock(&daemon, &incident, target)["state"].clone();
    assert_eq!(state("initial_response"), "running");
    // An internal note is no answer; one with a promise that is not clear is not taken.
    say(&["note", &incident, "I look at the console."]);
    assert_eq!(state("initial_response"), "running");
    refused(
        &["note", &incident, "Next update: soon", "--public"],
        "`soon` cannot be read",
    );
    say(&["note", &incident, "We look at it.", "--public"]);
    assert_eq!(state("initial_response"), "met");
    let in_hours = |hours: i64| {
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours);
        at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    };
    refused(
        &["promise", &incident, &in_hours(-1)],
        "is not in the future",
    );
    let at = in_hours(2);
    say(&["promise", &incident, &at, "The part arrives then."]);
    assert_eq!(clock(&daemon, &incident, "update")["promise"], at);
    say(&["wait", &incident]);
    assert_eq!(state("restore"), "paused");
    assert_eq!(clock(&daemon, &incident, "restore")["due"], Value::Null);
    say(&["wait", &incident, "--end"]);
    assert_eq!(state("restore"), "running");
    refused(
        &["escalate", &incident, "--reason", "weather"],
        "impact, slow or expectations",
    );
    say(&["escalate", &incident, "--reason", "expectations"]);
    let rises = told(&daemon, &incident, "escalated");
    assert_eq!(rises.len(), 1, "{rises:?}");
    assert!(
        rises[0].contains("level 2 (expectations), to manager"),
        "{rises:?}"
    );
    // Clocks count whole seconds: what was answered in an earlier one keeps its severity.
    std::thread::sleep(Duration::from_millis(1100));
    say(&["severity", &incident, "S3", "works again in part"]);
    assert_eq!(clock(&daemon, &incident, "restore")["severity"], 3);
    assert_eq!(clock(&daemon, &incident, "initial_response")["severity"], 2);
    // No incident after all: nothing is to be restored. And one again, from its report on.
    let started = clock(&daemon, &incident, "restore")["started_at"].clone();
    say(&["category", &incident, "inquiry"]);
    assert_eq!(state("restore"), "void");
    say(&["category", &incident, "incident"]);
    assert_eq!(state("restore"), "running");
    assert_eq!(clock(&daemon, &incident, "restore")["started_at"], started);
    say(&["resolve", &incident, "Replaced."]);
    assert_eq!(state("restore"), "met");
    // Within the window it goes on; the answer was given.
    say(&["reopen", &incident]);
    assert_eq!(state("initial_response"), "met");
    assert_eq!(state("restore"), "running");
}

#[test]
fn the_desk_and_engineers_mail_move_the_clocks_as_the_verbs_do() {
    let dir = tempfile::tempdir().unwrap();
    write_inventory(dir.path());
    let sender = "[[mail.sender]]\naddress = \"sato@noc.example\"\nrole = \"engineer\"\n\
                  hosts = [\"127.0.0.1/32\"]\n";
    let config = short("1h", "6h").replace("\"2s\"", "\"1h\"") + sender;
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    let say = |words: &[&str]| {
        let (good, said) = daemon.verb(words);
        assert!(good, "{words:?}: {said}");
    };
    let state = |incident: &str, target: &str| clock(&daemon, incident, target)["state"].clone();
    let becomes = |incident: &str, target: &str, wanted: &str| {
        until(&format!("{target} of {incident} is {wanted}"), 60, || {
            (state(incident, target) == wanted).then_some(())
        });
    };
    // At the desk.
    let incident = opened(&daemon, "a1");
    until("the ticket", 60, || {
        (!daemon.tickets().is_empty()).then_some(())
    });
    say(&["desk", "comment", "1", "I look."]);
    let words = "We work on it.\nNext update: 2099-06-02 18:00";
    say(&["desk", "comment", "1", words, "--public"]);
    becomes(&incident, "initial_response", "met");
    until("the promise", 60, || {
        let promise = clock(&daemon, &incident, "update")["promise"].clone();
        (promise == "2099-06-02T18:00:00Z").then_some(())
    });
    say(&["desk", "status", "1", "waiting_customer"]);
    becomes(&incident, "restore", "paused");
    say(&[
        "desk",
        "comment",
        "1",
        "Yes, restart it.",
        "--customer",
        "bob",
    ]);
    becomes(&incident, "restore", "running");
    say(&["desk", "comment", "1", "Next update: tonight", "--public"]);
    until("it goes back to its author", 60, || {
        let back = told(&daemon, &incident, "promise_unclear");
        (back.len() == 1 && back[0].contains("`tonight` cannot be read")).then_some(())
    });
    let promise = clock(&daemon, &incident, "update")["promise"].clone();
    assert_eq!(promise, "2099-06-02T18:00:00Z", "what was promised stands");
    say(&["desk", "status", "1", "resolved"]);
    becomes(&incident, "restore", "met");
    // By mail.
    let incident = opened(&daemon, "g1");
    let number = incident.strip_prefix("INC-").unwrap();
    let mut count = 0;
    let mut mail = |text: &str| {
        count += 1;
        let letter = format!(
            "From: sato@noc.example\r\nTo: alerts@bridge.example\r\nSubject: Re: it\r\n\
             Message-ID: <m{count}@noc.example>\r\nIn-Reply-To: <t{number}.x@bridge.example>\r\n\
             Date: Tue, 02 Jun 2026 09:00:00 +0000\r\n\r\n{text}\r\n"
        );
        let said = daemon.mail("alerts@bridge.example", "sato@noc.example", &letter);
        assert!(said.starts_with("250"), "{said}");
    };
    mail("Looks like the card.");
    until("it is a note", 60, || {
        let notes = told(&daemon, &incident, "note");
        notes
            .iter()
            .any(|note| note.contains("Looks like the card."))
            .then_some(())
    });
    assert_eq!(state(&incident, "initial_response"), "running");
    mail(
        "Public: yes\r\nStatus: waiting\r\n\r\nMay we restart it?\r\nNext update: 2099-06-02 18:00",
    );
    becomes(&incident, "initial_response", "met");
    becomes(&incident, "restore", "paused");
    assert_eq!(
        clock(&daemon, &incident, "update")["promise"],
        "2099-06-02T18:00:00Z"
    );
    mail("Status: resolved");
    becomes(&incident, "restore", "met");
}
