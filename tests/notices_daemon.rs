//! Reports, security messages and windows that come again, and mail servers that want TLS and a login:
//! through a running daemon, over kills.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod daemon_support;
mod notices_support;

use daemon_support::{Daemon, until_within};
use notices_support::protected::{Guarded, Protected};
use notices_support::{Letter, Mood, Sink};
use serde_json::{Value, json};
use std::path::Path;

const INVENTORY: &str = r#"
[[account]]
id = "acme"
[[account]]
id = "northwind"
[[account]]
id = "shop"
partner = "northwind"
[[element]]
id = "core-1"
[[service]]
id = "transit"
depends_on = ["core-1"]
accounts = ["acme"]
[[service]]
id = "shop-lan"
depends_on = ["core-1"]
accounts = ["shop"]
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
contacts = { incidents = ["ops@acme.example"], security = ["cert@acme.example"] }
[contract.northwind]
policy = "plain"
account = "partner"
locale = "fr"
contacts = { incidents = ["noc@northwind.example"], report = ["sla@northwind.example"] }
[contract.shop]
policy = "plain"
account = "managed"
partner = "northwind"
contacts = { incidents = ["it@shop.example"] }
[contact.shift]
mail = ["shift@noc.example"]
"#;

fn configuration(dir: &Path, mail: &str, more: &str) -> String {
    std::fs::write(dir.join("inventory.toml"), INVENTORY).unwrap();
    format!(
        "inventory = [\"inventory.toml\"]\n[notices]\non_call = [\"shift\"]\n{mail}{CONTRACTS}\n\
         {more}\n"
    )
}

fn fires(daemon: &Daemon, summary: &str) {
    let event = json!({
        "dedup_key": "core-1", "state": "firing", "severity": "critical",
        "summary": summary, "host": "core-1", "check": "ping",
    });
    assert_eq!(daemon.post(&event).unwrap(), 202);
}

fn to<'a>(letters: &'a [Letter], address: &str) -> Vec<&'a Letter> {
    letters.iter().filter(|l| l.to == address).collect()
}

fn until(what: &str, is_true: impl FnMut() -> bool) {
    until_within(60, what, is_true);
}

/// Runs a verb that must go well.
fn good(daemon: &Daemon, words: &[&str]) -> String {
    let (good, text) = daemon.verb(words);
    assert!(good, "{words:?}: {text}");
    text
}

/// A zone in which it is morning now, and the day there: an hour of the day is never far from it.
fn morning() -> (&'static str, jiff::civil::Date) {
    let now = jiff::Timestamp::now();
    let utc = now.in_tz("Etc/UTC").unwrap();
    // Twelve hours behind: `Etc/GMT+12`.
    let zone = if utc.hour() < 12 {
        "Etc/UTC"
    } else {
        "Etc/GMT+12"
    };
    (zone, now.in_tz(zone).unwrap().date())
}

#[test]
fn a_partner_gets_its_report_by_mail_once_whatever_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let sink = Sink::start();
    let (zone, today) = morning();
    let config = |at: &str| {
        let on = format!(
            "account = \"partner\"\ntz = \"{zone}\"\nmonthly_report = {{ day = {}, at = \"{at}\" }}",
            today.day()
        );
        configuration(dir.path(), &sink.section(), "").replace("account = \"partner\"", &on)
    };
    // Tonight: what is due until then is the report before that.
    let mut daemon = Daemon::start_with(dir.path(), &config("23:59:59"), &[]);
    fires(&daemon, "core-1 is down, see https://chat.noc.example");
    sink.until("the partner hears of the incident", |letters| {
        to(letters, "noc@northwind.example").len() == 1
    });
    good(
        &daemon,
        &["note", "INC-1", "The invoice is 40 EUR.", "--public"],
    );
    // The hour is moved to last midnight: it is due now, and no server takes it.
    sink.set(Mood::TryLater);
    let reload = |daemon: &Daemon, at: &str| {
        let path = dir.path().join("config.toml");
        std::fs::write(&path, daemon_support::configuration(&config(at))).unwrap();
        good(daemon, &["reload"]);
    };
    reload(&daemon, "00:00");
    let reports = |daemon: &Daemon, state: &str| -> Vec<Value> {
        let text = good(daemon, &["notices", "list", "--state", state, "--json"]);
        let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
        rows.into_iter().filter(|n| n["kind"] == "report").collect()
    };
    until("it waits", || reports(&daemon, "open").len() == 1);
    for _ in 0..3 {
        daemon.kill();
        daemon = Daemon::start_with(dir.path(), &config("00:00"), &[]);
    }
    assert_eq!(reports(&daemon, "open").len(), 1);
    sink.set(Mood::Takes);
    let letters = sink.until("it goes out", |letters| {
        !to(letters, "sla@northwind.example").is_empty()
    });
    until("that is known", || reports(&daemon, "closed").len() == 1);
    daemon.kill();
    daemon = Daemon::start_with(dir.path(), &config("00:00"), &[]);
    reload(&daemon, "00:00:01");
    // What is told after that is told: nothing of the report came again.
    good(&daemon, &["note", "INC-1", "Still at it.", "--public"]);
    let all = sink.until("later letters", |letters| {
        let told = |who| to(letters, who).len();
        told("noc@northwind.example") >= 3 && told("ops@acme.example") >= 3
    });
    let mut ids: Vec<String> = to(&all, "sla@northwind.example")
        .iter()
        .map(|l| l.header("Message-ID"))
        .collect();
    ids.dedup();
    assert_eq!(ids.len(), 1, "one report");
    let letter = to(&letters, "sla@northwind.example")[0];
    let month = today
        .first_of_month()
        .yesterday()
        .unwrap()
        .strftime("%Y-%m")
        .to_string();
    let subject = format!("Rapport de niveau de service {month} : northwind");
    assert_eq!(letter.header("Subject"), subject);
    let files = letter.files();
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            format!("northwind-{month}.html"),
            format!("northwind-{month}.csv")
        ]
    );
    let page = &files[0].1;
    assert!(
        page.contains("shop"),
        "a section for the managed account: {page}"
    );
    for (name, text) in &files {
        for word in ["acme", "EUR", "invoice", "chat.noc.example"] {
            assert!(!text.contains(word), "{name}: {word}");
        }
    }
    assert!(
        to(&all, "it@shop.example").is_empty() && to(&all, "ops@acme.example").len() >= 3,
        "managed users get none, and only who asks for reports gets them"
    );
    assert!(
        !all.iter()
            .any(|l| l.to == "ops@acme.example" && !l.files().is_empty())
    );
}

#[test]
fn check_refuses_what_could_not_be_told() {
    let dir = tempfile::tempdir().unwrap();
    let sink = Sink::start();
    let path = dir.path().join("check.toml");
    let check = |more: &str, mail: &str| {
        let text = configuration(dir.path(), mail, "")
            .replace("[contract.shop]", &format!("{more}\n[contract.shop]"));
        std::fs::write(&path, text).unwrap();
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_alertbridge"))
            .args(["check", path.to_str().unwrap()])
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    };
    let section = |line: &str| format!("[contract.other]\npolicy = \"plain\"\n{line}\n");
    let contacts = "contacts = { report = [\"sla@other.example\"] }";
    let (fine, said) = check(
        &section(&format!("monthly_report = {{ day = 2 }}\n{contacts}")),
        &sink.section(),
    );
    assert!(fine, "{said}");
    for (line, what) in [
        (
            "monthly_report = { day = 32 }",
            "a day from 1 to 31 was expected",
        ),
        (
            "monthly_report = { at = \"noon\" }",
            "`noon` is no time; expected HH:MM",
        ),
        ("monthly_report = { hour = 8 }", "hour"),
        (
            "monthly_report = {}\naccount = \"managed\"\npartner = \"northwind\"",
            "the partner's report has a section for this account",
        ),
    ] {
        let (fine, said) = check(&section(line), &sink.section());
        assert!(!fine && said.contains(what), "{line}: {said}");
    }
    let window = "[[maintenance]]\nname = \"patches\"\nmatch = [\"host=a\"]\nat = \"02:00\"\n\
                  for = \"1h\"\n";
    let (fine, said) = check(&window.repeat(2), &sink.section());
    assert!(
        !fine && said.contains("two windows are called `patches`"),
        "{said}"
    );
    let (_, said) = check(&section("monthly_report = {}"), &sink.section());
    assert!(
        said.contains("contract other has no contacts for report"),
        "{said}"
    );
    let (fine, said) = check(&section(&format!("monthly_report = {{}}\n{contacts}")), "");
    assert!(!fine && said.contains("[notices.mail] is needed"), "{said}");
}

#[test]
fn a_rule_marks_a_security_message_and_a_person_releases_it_through_the_doors() {
    let dir = tempfile::tempdir().unwrap();
    let sink = Sink::start();
    let rule = "[[rule]]\nname = \"intrusion\"\nmatch = [\"summary=~.*intruder.*\"]\n\
                security = true\n";
    let config = configuration(dir.path(), &sink.section(), rule);
    let mut daemon = Daemon::start_with(dir.path(), &config, &[]);
    fires(&daemon, "an intruder at core-1");
    let list = |daemon: &Daemon, all: bool| -> Vec<Value> {
        let words: &[&str] = match all {
            true => &["security", "list", "--all", "--json"],
            false => &["security", "list", "--json"],
        };
        serde_json::from_str(&good(daemon, words)).unwrap()
    };
    until("it waits", || list(&daemon, false).len() == 1);
    let waiting = &list(&daemon, false)[0];
    assert_eq!(waiting["id"], "SEC-1");
    assert_eq!(waiting["marked_by"], "rule intrusion");
    assert_eq!(waiting["state"], "waiting");
    // Without a text, without a right, and twice: refused. A kill changes nothing.
    let (done, said) = daemon.verb(&["security", "release", "SEC-1"]);
    assert!(!done && said.contains("has no text yet"), "{said}");
    let (status, said) = daemon
        .ask(
            "operators",
            "POST",
            "/api/v1/security/SEC-1/release",
            "{\"text\": \"x\"}",
        )
        .unwrap();
    assert!(
        status == 401 || status == 403,
        "writing needs a token: {status} {said}"
    );
    let (done, said) = daemon.verb(&["security", "mark", "INC-1"]);
    assert!(!done && said.contains("waits already"), "{said}");
    daemon.kill();
    daemon = Daemon::start_with(dir.path(), &config, &[]);
    good(&daemon, &["note", "INC-1", "We look into it.", "--public"]);
    let words = "Somebody was at the console. Please change your passwords.";
    good(&daemon, &["security", "release", "SEC-1", "--text", words]);
    let letters = sink.until("everybody who is hit reads it", |letters| {
        ["cert@acme.example", "it@shop.example"]
            .iter()
            .all(|address| to(letters, address).len() == 1)
    });
    for address in ["cert@acme.example", "it@shop.example"] {
        let letter = to(&letters, address)[0];
        assert_eq!(letter.header("Subject"), "[SEC-1] Security notice");
        assert!(letter.text().contains(words), "{}", letter.text());
    }
    // Nobody outside had heard of the incident before; with the release they do.
    let letters = sink.until("and of the incident", |letters| {
        to(letters, "ops@acme.example").len() == 1
            && to(letters, "noc@northwind.example").len() == 1
    });
    let opened = to(&letters, "ops@acme.example")[0];
    assert!(
        opened.header("Subject").contains("Incident"),
        "{}",
        opened.header("Subject")
    );
    assert!(list(&daemon, false).is_empty());
    let over = &list(&daemon, true)[0];
    assert_eq!(over["state"], "released");
    assert_eq!(over["contracts"], json!(["acme", "shop"]));
    let (done, said) = daemon.verb(&["security", "release", "SEC-1", "--text", "again"]);
    assert!(!done && said.contains("does not wait"), "{said}");
    // A person marks, and drops: nothing is sent.
    good(
        &daemon,
        &["security", "mark", "INC-1", "--text", "A second look."],
    );
    let security = list(&daemon, false);
    assert_eq!(
        (&security[0]["id"], &security[0]["text"]),
        (&json!("SEC-2"), &json!("A second look."))
    );
    good(
        &daemon,
        &["security", "drop", "SEC-2", "no attack after all"],
    );
    assert_eq!(list(&daemon, true).last().unwrap()["state"], "dropped");
    good(&daemon, &["note", "INC-1", "All is well.", "--public"]);
    let letters = sink.until("later letters", |letters| {
        to(letters, "ops@acme.example").len() == 2
    });
    assert_eq!(to(&letters, "cert@acme.example").len(), 1);
    let audit = good(&daemon, &["audit"]);
    assert!(
        audit.contains("release SEC-1") && audit.contains("drop SEC-2: no attack after all"),
        "{audit}"
    );
}

#[test]
fn users_of_a_managed_account_read_facts_under_their_partners_name() {
    let dir = tempfile::tempdir().unwrap();
    let sink = Sink::start();
    let partner = "[partner.northwind]\nmanaged_users_get_incidents = true\n\
                   sender_name = \"Northwind Care\"\nsupport = \"help@northwind.example\"\n";
    let config = configuration(dir.path(), &sink.section(), partner);
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    fires(&daemon, "core-1 is down");
    let words = "It costs 40 EUR, see https://chat.noc.example";
    good(&daemon, &["note", "INC-1", words, "--public"]);
    let letters = sink.until("partner and user read of it twice", |letters| {
        ["noc@northwind.example", "it@shop.example"]
            .iter()
            .all(|address| to(letters, address).len() == 2)
    });
    let from = |letter: &Letter| letter.header("From");
    for letter in to(&letters, "it@shop.example") {
        assert!(from(letter).contains("Northwind Care"), "{}", from(letter));
        let text = letter.text();
        assert!(text.contains("help@northwind.example"), "{text}");
        assert!(!text.contains("EUR") && !text.contains("chat"), "{text}");
    }
    let update = to(&letters, "noc@northwind.example")[1];
    assert!(from(update).contains("Example NOC"), "{}", from(update));
    assert!(update.text().contains("40 EUR"), "{}", update.text());
}

/// A daemon whose notices and tracker mails leave by a guarded server.
fn guarded(dir: &Path, server: &Guarded, tls: &str) -> String {
    let keys = server.keys(tls, &dir.join("password"));
    let mail = format!("[notices.mail]\nfrom = \"NOC <noc@example.net>\"\n{keys}");
    let tracker = format!(
        "[tracker.support]\nkind = \"mail\"\nto = \"support@example.net\"\n\
         from = \"noc@example.net\"\n{keys}\n[[route]]\nname = \"all\"\ntracker = \"support\"\n"
    );
    configuration(dir, &mail, &tracker)
}

#[test]
fn notices_and_tracker_mail_go_out_by_tls_with_a_login() {
    for (how, tls) in [
        (Protected::FromTheFirstByte, "tls"),
        (Protected::AfterStarttls, "starttls"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("password"), "korrekt pferd\n").unwrap();
        let server = Guarded::start(dir.path(), how, "korrekt pferd");
        let daemon = Daemon::start_with(dir.path(), &guarded(dir.path(), &server, tls), &[]);
        let file = dir.path().join("config.toml").display().to_string();
        let said = good(&daemon, &["trackers", "check", "--config", &file]);
        assert!(said.contains("support"), "{said}");
        fires(&daemon, "core-1 is down");
        until("a notice and a ticket", || {
            let letters = server.letters();
            ["ops@acme.example", "support@example.net"]
                .iter()
                .all(|address| to(&letters, address).len() == 1)
        });
        for (safe, line) in server.said() {
            let begins = line.starts_with("EHLO") || line == "STARTTLS";
            assert!(safe || begins, "{how:?}: in the clear: {line}");
        }
        let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
        assert!(!log.contains("pferd"), "{log}");
    }
}

#[test]
fn no_letter_leaves_in_the_clear_to_a_stranger_or_without_the_login() {
    // A server that offers no TLS, one that nobody vouches for, and a wrong password.
    for (how, tls, trusted, password, why) in [
        (Protected::Never, "starttls", true, "right", "STARTTLS"),
        (
            Protected::AfterStarttls,
            "starttls",
            false,
            "right",
            "certificate",
        ),
        (Protected::FromTheFirstByte, "tls", true, "wrong", "535"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("password"), password).unwrap();
        let mut server = Guarded::start(dir.path(), how, "right");
        let ca_file = server.ca_file.clone();
        if !trusted {
            let other = Guarded::start(dir.path(), how, "right");
            server.ca_file = other.ca_file;
        }
        let config = guarded(dir.path(), &server, tls);
        let daemon = Daemon::start_with(dir.path(), &config, &[]);
        fires(&daemon, "core-1 is down");
        let troubles = || -> Vec<(String, String)> {
            let text = good(&daemon, &["outbox", "show", "--json"]);
            let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
            let troubles = rows.iter().filter(|row| !row["trouble"].is_null());
            troubles
                .map(|row| {
                    let text = |value: &Value| value.as_str().unwrap_or("").to_owned();
                    (text(&row["id"]), text(&row["trouble"]["reason"]))
                })
                .collect()
        };
        let is_notice = |id: &String| id.starts_with("N-");
        until(&format!("{how:?}: both say why"), || {
            let troubles = troubles();
            let says = |(_, reason): &&(String, String)| {
                reason.to_lowercase().contains(&why.to_lowercase())
            };
            let said: Vec<_> = troubles.iter().filter(says).collect();
            said.iter().any(|(id, _)| is_notice(id)) && said.iter().any(|(id, _)| !is_notice(id))
        });
        assert!(server.letters().is_empty(), "{how:?}");
        for (safe, line) in server.said() {
            let secret = line.contains("AUTH") || line.contains("MAIL");
            assert!(safe || !secret, "{how:?}: in the clear: {line}");
        }
        if how == Protected::Never {
            continue;
        }
        // Put right: the same daemon, after a reload.
        std::fs::write(dir.path().join("password"), "right").unwrap();
        server.ca_file = ca_file;
        let config = guarded(dir.path(), &server, tls);
        let path = dir.path().join("config.toml");
        std::fs::write(path, daemon_support::configuration(&config)).unwrap();
        good(&daemon, &["reload"]);
        for (id, _) in troubles() {
            // What was refused waits for a person; what failed may be tried again by now.
            let _ = daemon.verb(&["outbox", "retry", &id]);
        }
        until(&format!("{how:?}: they go out"), || {
            let letters = server.letters();
            ["ops@acme.example", "support@example.net"]
                .iter()
                .all(|address| to(&letters, address).len() == 1)
        });
    }
}

#[test]
fn a_window_that_comes_again_is_told_by_a_running_daemon_and_not_twice() {
    let dir = tempfile::tempdir().unwrap();
    let sink = Sink::start();
    let window = |more: &str| {
        format!(
            "[[maintenance]]\nname = \"patches\"\nreason = \"patches\"\nmatch = \
             [\"element=core-1\"]\nfor = \"1s\"\nat = \"00:00\"\n{more}"
        )
    };
    let config = |more: &str| configuration(dir.path(), &sink.section(), &window(more));
    // Once in a year or so: a week before it at the earliest, so nothing is told by chance.
    let none = jiff::Timestamp::now().in_tz("UTC").unwrap().date();
    let far = none.checked_add(jiff::ToSpan::days(10)).unwrap();
    let near = none.checked_add(jiff::ToSpan::days(2)).unwrap();
    let on = |date: jiff::civil::Date| {
        let day = date.strftime("%A").to_string().to_lowercase();
        format!(
            "days = [\"{day}\"]\nweeks = [{}]\n",
            (date.day() - 1) / 7 + 1
        )
    };
    let mut daemon = Daemon::start_with(dir.path(), &config(&on(far)), &[]);
    let reload = |daemon: &Daemon, more: &str| {
        let path = dir.path().join("config.toml");
        std::fs::write(path, daemon_support::configuration(&config(more))).unwrap();
        good(daemon, &["reload"]);
    };
    assert!(sink.letters().is_empty());
    reload(&daemon, &on(near));
    let letters = sink.until("it is planned", |letters| {
        to(letters, "ops@acme.example").len() == 1
            && to(letters, "noc@northwind.example").len() == 1
    });
    let planned = to(&letters, "ops@acme.example")[0];
    let subject = planned.header("Subject");
    let (number, words) = subject.split_once(' ').unwrap();
    assert!(words.starts_with("Planned maintenance"), "{subject}");
    let listed = good(&daemon, &["window", "list"]);
    let shown = number.trim_matches(['[', ']']);
    assert!(listed.contains(shown), "{subject}: {listed}");
    assert!(planned.text().contains("    patches"), "{}", planned.text());
    daemon.kill();
    daemon = Daemon::start_with(dir.path(), &config(&on(near)), &[]);
    reload(&daemon, &format!("{}tell = false\n", on(near)));
    let letters = sink.until("it is off", |letters| {
        to(letters, "ops@acme.example").len() == 2
            && to(letters, "noc@northwind.example").len() == 2
    });
    let cancelled = to(&letters, "ops@acme.example")[1];
    let off = cancelled.header("Subject");
    let wanted = format!("{number} Maintenance cancelled");
    assert!(off.starts_with(&wanted), "{off}");
    assert!(to(&letters, "it@shop.example").is_empty());
    assert_eq!(letters.len(), 4);
}
