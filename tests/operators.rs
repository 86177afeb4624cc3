//! The operators' door and the verbs, against a daemon as a process.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod daemon_support;

use daemon_support::{Daemon, configuration, until};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn problem(host: &str, state: &str) -> Value {
    json!({ "state": state, "summary": format!("{host} is down"), "host": host, "check": "ping",
            "severity_hint": "outage" })
}

/// Sum of a metric by source.
fn by_source(text: &str, name: &str) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for line in text
        .lines()
        .filter(|line| line.starts_with(&format!("{name}{{")))
    {
        let source = line.split("source=\"").nth(1).unwrap();
        let source = source.split('"').next().unwrap().to_owned();
        let count: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        *sums.entry(source).or_insert(0) += count as u64;
    }
    sums
}

/// Every event received has exactly one outcome.
#[test]
fn a_thousand_mixed_alerts_add_up() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path());
    let post = |path: &str, body: &str| {
        let (status, _) = daemon.ask("http", "POST", path, body).unwrap();
        assert!(matches!(status, 200 | 202), "{path} {status}");
    };
    let mut sent = BTreeMap::from([("native", 0u64), ("prometheus", 0), ("zabbix", 0)]);
    for round in 0..125 {
        let host = format!("host-{}", round % 40);
        let state = if round % 3 == 2 {
            "recovery"
        } else {
            "problem"
        };
        // One event of each: changed, repeated, test, two in one request, one broken body.
        post("/v1/events", &problem(&host, state).to_string());
        post("/v1/events", &problem(&host, state).to_string());
        let mut test = problem("nowhere", "problem");
        test["test"] = json!(true);
        post("/v1/events", &test.to_string());
        *sent.get_mut("native").unwrap() += 3;
        let alert = |name: &str| {
            json!({ "labels": { "alertname": name, "instance": host, "severity": "critical" },
                    "annotations": { "summary": "x" } })
        };
        let two = json!([alert("A"), alert("B"), alert("C"), alert("D")]);
        post("/api/v2/alerts", &two.to_string());
        *sent.get_mut("prometheus").unwrap() += 4;
        post("/hooks/zabbix", &format!("no json, number {round}"));
        *sent.get_mut("zabbix").unwrap() += 1;
    }
    assert_eq!(sent.values().sum::<u64>(), 1000);
    until("every event has its outcome", || {
        let text = daemon.metrics();
        let received = by_source(&text, "alertbridge_alerts_received_total");
        let outcomes = by_source(&text, "alertbridge_alerts_total");
        // On a slow machine the bridge has seen meanwhile how much it cannot read, and says so.
        let own = received.get("alertbridge").copied().unwrap_or_default();
        received.values().sum::<u64>() - own == 1000 && received == outcomes
    });
    let received = by_source(&daemon.metrics(), "alertbridge_alerts_received_total");
    for (source, count) in sent {
        assert_eq!(received[source], count, "{source}");
    }
    check_with_promtool(&daemon.metrics());
}

fn check_with_promtool(text: &str) {
    let started = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut promtool) = started else {
        println!("NOT RUN: promtool is not installed (Debian package prometheus)");
        return;
    };
    promtool
        .stdin
        .take()
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    let output = promtool.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{told}");
}

#[test]
fn commands_come_by_the_socket_and_are_kept_with_their_author() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path());
    daemon.post(&problem("core-1", "problem")).unwrap();
    daemon.until("one ticket", |tickets| tickets.len() == 1);
    // By TCP without a token: reading only.
    let path = "/api/v1/incidents/INC-1/ack";
    assert_eq!(daemon.ask("operators", "POST", path, "{}").unwrap().0, 403);
    let (good, told) = daemon.verb(&["ack", "INC-1"]);
    assert!(good && told.contains("INC-1 acknowledged"), "{told}");
    let (good, told) = daemon.verb(&["severity", "INC-1", "S1", "two customers called"]);
    assert!(good, "{told}");
    let (good, told) = daemon.verb(&["ack", "INC-77"]);
    assert!(!good && told.contains("no live incident INC-77"), "{told}");
    let (_, listed) = daemon.verb(&["incidents", "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed[0]["severity"], "S1");
    assert_eq!(listed[0]["basis"], "person");
    assert_eq!(listed[0]["alerts"][0]["source"], "native");
    let (_, shown) = daemon.verb(&["incidents", "INC-1"]);
    assert!(shown.contains("person_severity") && shown.contains("two customers called"));
    let (_, audit) = daemon.verb(&["audit", "--json"]);
    let audit: Value = serde_json::from_str(&audit).unwrap();
    assert_eq!(audit.as_array().unwrap().len(), 3);
    let me = Command::new("id").arg("-un").output().unwrap();
    let me = String::from_utf8(me.stdout).unwrap();
    assert_eq!(audit[0]["author"], me.trim());
    assert_eq!(audit[0]["command"], "acknowledge INC-1");
    assert_eq!(audit[1]["command"], "set INC-1 to S1: two customers called");
    assert_eq!(audit[2]["result"], "refused: no live incident INC-77");
    // The desk's people are heard.
    let (good, told) = daemon.verb(&["desk", "assign", "1", "mori"]);
    assert!(good, "{told}");
    until("the owner came back", || {
        daemon
            .verb(&["incidents", "--json"])
            .1
            .contains("\"owner\":\"mori\"")
    });
    let (good, _) = daemon.verb(&["resolve", "INC-1", "replaced", "--false-alarm"]);
    assert!(good);
    daemon.until("closed at the desk", |tickets| {
        tickets[0]["status"] == "resolved"
    });
}

#[test]
fn tokens_have_roles_and_strange_hosts_are_turned_away() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("t-operate"), "op-secret\n").unwrap();
    std::fs::write(dir.path().join("t-view"), "view-secret\n").unwrap();
    let more = "[[operators.token]]\nname = \"noc\"\nrole = \"operate\"\ntoken = { file = \"t-operate\" }\n\
                [[operators.token]]\nname = \"wall\"\nrole = \"view\"\ntoken = { file = \"t-view\" }\n\
                [operators]\nlisten = \"127.0.0.1:0\"\n";
    let daemon = Daemon::start_with(dir.path(), more, &[]);
    daemon.post(&problem("core-1", "problem")).unwrap();
    daemon.until("one ticket", |tickets| tickets.len() == 1);
    let ask = |path: &str, token: &str, extra: &[&str]| {
        let url = format!("{}{path}", daemon.url("operators"));
        let output = Command::new("curl")
            .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", "-X", "POST"])
            .args(["-H", &format!("Authorization: Bearer {token}"), "-d", "{}"])
            .args(extra)
            .arg(url)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let json = ["-H", "Content-Type: application/json"];
    let ack = "/api/v1/incidents/INC-1/ack";
    assert_eq!(ask(ack, "op-secret", &json), "200");
    assert_eq!(ask(ack, "view-secret", &json), "403");
    assert_eq!(ask(ack, "wrong", &json), "401");
    assert_eq!(ask("/api/v1/reload", "op-secret", &json), "403");
    assert_eq!(ask(ack, "op-secret", &[]), "415");
    let strange = [json[0], json[1], "-H", "Host: evil.example"];
    assert_eq!(ask(ack, "op-secret", &strange), "421");
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(!log.contains("op-secret"));
}

#[test]
fn a_bad_configuration_is_refused_whole_and_the_old_one_stays() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path());
    let config = dir.path().join("config.toml");
    let running = std::fs::read_to_string(&config).unwrap();
    // The door's address stays; only free ports are asked for again.
    std::fs::write(&config, format!("{running}\n[engine]\nstorm_frm = 3\n")).unwrap();
    let (good, told) = daemon.verb(&["reload"]);
    assert!(!good, "{told}");
    assert!(told.contains("did you mean `storm_from`?"), "{told}");
    assert!(
        daemon
            .metrics()
            .contains("alertbridge_config_last_reload_successful 0")
    );
    daemon.post(&problem("core-1", "problem")).unwrap();
    daemon.until("it works as before", |tickets| tickets.len() == 1);

    let more = "[[source]]\nname = \"lab\"\nkind = \"native\"\n\
                [[rule]]\nname = \"quiet\"\nmatch = [\"host=~lab-.*\"]\ndrop = true\n";
    std::fs::write(&config, configuration(more)).unwrap();
    let (good, told) = daemon.verb(&["reload"]);
    assert!(good && told.contains("rules 0 → 1"), "{told}");
    let body = problem("lab-1", "problem").to_string();
    assert_eq!(
        daemon.ask("http", "POST", "/hooks/lab", &body).unwrap().0,
        200
    );
    until("the new rule drops it", || {
        let (_, sources) = daemon.verb(&["sources", "--json"]);
        sources.contains("\"filtered\":1")
    });
    assert_eq!(daemon.tickets().len(), 1);
    assert!(
        daemon
            .metrics()
            .contains("alertbridge_config_last_reload_successful 1")
    );

    std::fs::write(&config, configuration("")).unwrap();
    let pid = daemon.process.id().to_string();
    Command::new("kill").args(["-HUP", &pid]).status().unwrap();
    until("SIGHUP takes the source away", || {
        daemon.ask("http", "POST", "/hooks/lab", &body).unwrap().0 == 404
    });
}

#[test]
fn check_tells_everything_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("bad.toml");
    std::fs::write(
        &config,
        "[http]\nlistn = \"x\"\n[engine]\nhold_link = \"soon\"\n",
    )
    .unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_alertbridge"))
        .arg("check")
        .arg(&config)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("bad.toml:2: http.listn: unknown key"),
        "{told}"
    );
    assert!(
        told.contains("bad.toml:4: engine.hold_link: `soon` is not a duration"),
        "{told}"
    );
}

/// What one section has wrong does not hide what shows only when all are put together; and what
/// only follows from a mistake is not told as another one.
#[test]
fn one_mistake_hides_no_other_and_makes_none() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("bad.toml");
    let check = |text: &str| {
        std::fs::write(&config, text).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_alertbridge"))
            .arg("check")
            .arg(&config)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let told = check(
        "[engine]\nhold_lnk = \"1m\"\n[[source]]\nname = \"zab\"\nkind = \"zabix\"\n\
         [[route]]\nname = \"a\"\nmatch = [\"sevrity=S1\"]\ntracker = \"nope\"\n",
    );
    for line in [
        "bad.toml:2: engine.hold_lnk: unknown key",
        "bad.toml:5: source `zab`: kind: `zabix` is not known; did you mean `zabbix`?",
        "bad.toml:9: route `a`: tracker",
        "bad.toml:8: route `a`: match: `sevrity`",
    ] {
        assert!(told.contains(line), "{line}\n{told}");
    }
    // Neither within a section nor within an entry.
    let told = check(
        "default_contract = \"gold\"\ninventory = [\"gone.toml\"]\n[http]\n\
         trusted_proxies = [\"192.0.2.0/40\"]\ntls = { certificate = \"gone.pem\", key = { file = \"bad.toml\" } }\n\
         [smtp]\nlisten = \"nowhere\"\n[operators]\nlisten = \"0.0.0.0:0\"\nplaintext = true\n\
         [[source]]\nname = \"zab\"\nkind = \"zabix\"\n[[source]]\nname = \"zab\"\nkind = \"zabbix\"\n\
         [[source]]\nname = \"fast\"\nkind = \"zabbix\"\nrate = -5\n[[route]]\nname = \"a\"\nmatch = [\"hots=x\"]\ncame_and_went = \"perhaps\"\n",
    );
    for line in [
        "bad.toml:1: default_contract: there is no contract `gold`",
        "bad.toml:2: inventory: ",
        "gone.toml cannot be read",
        "bad.toml:4: http.trusted_proxies: invalid IP address syntax; expected like `192.0.2.0/24`",
        "bad.toml:5: http.tls: ",
        "bad.toml:7: smtp.listen: invalid socket address syntax; expected like `127.0.0.1:8480`",
        "bad.toml:9: operators.listen: a door off loopback needs at least one [[operators.token]]",
        "source `zab`: kind: `zabix` is not known",
        "bad.toml:20: source.rate: invalid value: integer `-5`, expected a whole number that is not",
        "two sources have the name `zab`",
        "bad.toml:23: route `a`: match: `hots`",
        "bad.toml:24: route.came_and_went: unknown word `perhaps`",
    ] {
        assert!(told.contains(line), "{line}\n{told}");
    }
    let told = check(
        "[http]\nlisten = \"0.0.0.0:0\"\nplaintext = true\n[[source]]\nname = \"z\"\n\
         kind = \"zabbix\"\n[[source.credentials]]\ntype = \"bearer\"\n\
         token = { file = \"none\" }\n",
    );
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains("none cannot be read"), "{told}");
}

fn notify(dir: &std::path::Path, url: &str, words: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_alertbridge"))
        .arg("notify")
        .args(words)
        .args(["--url", url, "--timeout", "5"])
        .arg("--spool")
        .arg(dir.join("spool"))
        .output()
        .unwrap()
}

#[test]
fn notify_keeps_what_it_cannot_deliver_and_delivers_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let nobody = "http://127.0.0.1:9";
    for state in ["problem", "recovery"] {
        let words = [
            "db1 is down",
            "--state",
            state,
            "--host",
            "db1",
            "--check",
            "ping",
        ];
        let output = notify(dir.path(), nobody, &words);
        assert_eq!(output.status.code(), Some(0));
    }
    let flush = notify(dir.path(), nobody, &["--flush"]);
    assert_eq!(flush.status.code(), Some(1), "something still waits");
    let told = String::from_utf8(flush.stderr).unwrap();
    assert!(
        told.contains("2 wait in the spool: Connection refused"),
        "{told}"
    );
    // A verb says as much, and where it looked.
    let verb = Command::new(env!("CARGO_BIN_EXE_alertbridge"))
        .args(["incidents", "--data-dir", "/nowhere"])
        .output()
        .unwrap();
    let told = String::from_utf8(verb.stderr).unwrap();
    assert!(
        told.contains("the daemon at /nowhere cannot be reached: no connection: No such file")
            && told.contains("--data-dir"),
        "{told}"
    );
    let daemon = Daemon::start(dir.path());
    // Entries carry the door they were meant for; a later call delivers them there.
    let url = daemon.url("http");
    let output = notify(
        dir.path(),
        &url,
        &["disk full", "--host", "db2", "--check", "disk"],
    );
    assert_eq!(output.status.code(), Some(0));
    let left = std::fs::read_dir(dir.path().join("spool")).unwrap().count();
    assert!(left >= 2, "older entries for a dead door stay");
    let unwritable = notify(std::path::Path::new("/proc/nowhere"), &url, &["x"]);
    assert_eq!(unwritable.status.code(), Some(75));
}

#[test]
fn a_mail_from_a_pipe_is_taken_or_left_with_the_mail_server() {
    let dir = tempfile::tempdir().unwrap();
    let mail = "From: icinga@mon.example\r\nTo: alerts@bridge.example\r\n\
        Subject: ** PROBLEM Service Alert: db1/Disk is CRITICAL **\r\n\r\n\
        ***** Nagios *****\r\n\r\nNotification Type: PROBLEM\r\n\r\nService: Disk\r\nHost: db1\r\n\
        State: CRITICAL\r\n\r\nAdditional Info:\r\n\r\nDISK CRITICAL\r\n";
    let pipe = |dir: &std::path::Path| {
        let mut process = Command::new(env!("CARGO_BIN_EXE_alertbridge"))
            .args(["mail", "alerts@localhost"])
            .env("ALERTBRIDGE_DATA_DIR", dir.join("data"))
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        process
            .stdin
            .take()
            .unwrap()
            .write_all(mail.as_bytes())
            .unwrap();
        process.wait().unwrap().code()
    };
    assert_eq!(
        pipe(dir.path()),
        Some(75),
        "no daemon: the mail server keeps it"
    );
    let daemon = Daemon::start(dir.path());
    assert_eq!(pipe(dir.path()), Some(0));
    daemon.until("a ticket of the mail", |tickets| tickets.len() == 1);
}

#[test]
fn what_cannot_be_read_waits_for_a_person() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path());
    assert_eq!(
        daemon
            .ask("http", "POST", "/hooks/zabbix", "gibberish")
            .unwrap()
            .0,
        200
    );
    daemon.until("one triage ticket", |tickets| tickets.len() == 1);
    let (_, listed) = daemon.verb(&["quarantine", "list", "--json"]);
    let listed: Value = serde_json::from_str(&listed).unwrap();
    let seq = listed[0]["seq"].to_string();
    let (good, shown) = daemon.verb(&["quarantine", "show", &seq]);
    assert!(good && shown.contains("gibberish"), "{shown}");
    let (good, told) = daemon.verb(&["quarantine", "replay", &seq]);
    assert!(!good && told.contains("still not readable"), "{told}");
    // A second one like it is of the same ticket, which lives as long as one of them waits.
    let gibberish = || {
        daemon
            .ask("http", "POST", "/hooks/zabbix", "gibberish")
            .unwrap()
            .0
    };
    assert_eq!(gibberish(), 200);
    let waiting = || -> Vec<Value> {
        let (_, listed) = daemon.verb(&["quarantine", "list", "--json"]);
        serde_json::from_str(&listed).unwrap()
    };
    until("both wait", || waiting().len() == 2);
    let other = waiting()[1]["seq"].to_string();
    let (good, _) = daemon.verb(&["quarantine", "drop", &seq, "noise"]);
    assert!(good);
    assert_eq!(waiting().len(), 1);
    assert_eq!(daemon.tickets()[0]["status"], "new");
    let (good, told) = daemon.verb(&["quarantine", "drop", &seq]);
    assert!(!good && told.contains("dropped by"), "{told}");
    let (good, told) = daemon.verb(&["quarantine", "drop", "77"]);
    assert!(!good && told.contains("77 is not in quarantine"), "{told}");
    assert!(daemon.verb(&["quarantine", "drop", &other]).0);
    // The verb alone lists.
    let (good, listed) = daemon.verb(&["quarantine"]);
    assert!(good && !listed.contains("gibberish"), "{listed}");
    daemon.until("the ticket is over", |tickets| {
        tickets.len() == 1 && tickets[0]["status"] == "resolved"
    });
    // What comes after that is never filed away unseen.
    assert_eq!(gibberish(), 200);
    daemon.until("the ticket is open again", |tickets| {
        tickets.len() == 1 && tickets[0]["status"] != "resolved"
    });
}

#[test]
fn a_service_manager_is_told_and_credentials_are_read_from_its_directory() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("notify");
    let heard = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    heard
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let credentials = dir.path().join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    std::fs::write(credentials.join("hook-token"), "t-123").unwrap();
    let more = "[[source]]\nname = \"closed\"\nkind = \"native\"\n\
                [[source.credentials]]\ntype = \"bearer\"\ntoken = { credential = \"hook-token\" }\n";
    let environment = [
        ("NOTIFY_SOCKET", socket.to_str().unwrap()),
        ("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap()),
        ("WATCHDOG_USEC", "1500000"),
    ];
    let mut daemon = Daemon::start_with(dir.path(), more, &environment);
    let mut lines = String::new();
    let mut hear = |word: &str| {
        let began = Instant::now();
        while !lines.contains(word) {
            let mut bytes = [0; 4096];
            let count = heard.recv(&mut bytes).unwrap();
            lines.push_str(&String::from_utf8_lossy(&bytes[..count]));
            lines.push('\n');
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "{word} in {lines}"
            );
        }
    };
    hear("READY=1");
    hear("WATCHDOG=1");
    let body = problem("a", "problem").to_string();
    assert_eq!(
        daemon
            .ask("http", "POST", "/hooks/closed", &body)
            .unwrap()
            .0,
        401
    );
    let (good, _) = daemon.verb(&["reload"]);
    assert!(good);
    hear("RELOADING=1");
    let pid = daemon.process.id().to_string();
    Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    hear("STOPPING=1");
    assert!(daemon.process.wait().unwrap().success());
}

#[test]
fn a_source_is_tested_through_its_door() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path());
    let (good, told) = daemon.verb(&["test", "source", "native"]);
    assert!(good && told.contains("2 events"), "{told}");
    assert!(daemon.tickets().is_empty(), "a test opens no ticket");
}

#[test]
fn the_board_shows_what_is_open_and_escapes_it() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path());
    daemon
        .post(&problem("<script>x</script>", "problem"))
        .unwrap();
    daemon.until("one ticket", |tickets| tickets.len() == 1);
    let (status, page) = daemon.ask("operators", "GET", "/", "").unwrap();
    assert_eq!(status, 200);
    assert!(
        page.contains("INC-1") && page.contains("&lt;script&gt;"),
        "{page}"
    );
    assert!(!page.contains("<script>x"));
}

/// `explain` takes an event and the number that the tracker gave, beside our own numbers.
#[test]
fn an_event_and_a_trackers_number_are_explained() {
    let dir = tempfile::tempdir().unwrap();
    let more = "[[rule]]\nname = \"lab\"\nmatch = [\"host=~lab-.*\"]\ndrop = true\n";
    let daemon = Daemon::start_with(dir.path(), more, &[]);
    daemon.post(&problem("core-1", "problem")).unwrap();
    daemon.post(&problem("lab-1", "problem")).unwrap();
    daemon.until("one ticket", |tickets| tickets.len() == 1);
    let explain = |id: &str| {
        let (good, told) = daemon.verb(&["explain", id]);
        assert!(good, "{id}: {told}");
        told
    };
    let incident = explain("INC-1");
    let place = incident.split("Event ").nth(1).unwrap();
    let place = place.split(' ').next().unwrap();
    let told = explain(place);
    assert!(told.starts_with(&format!("Event {place} at 2")), "{told}");
    for part in [
        "by source native (native): state firing",
        "Identity: the object `core-1|ping` within `native`",
        "No rule matched: the sender's known signals decide.",
        "It speaks of A-1 firing since",
        "It belongs to INC-1.",
    ] {
        assert!(told.contains(part), "{part} is missing in {told}");
    }
    // The next entry was dropped, and the explanation says by what.
    let seq: u64 = place.split('.').next().unwrap().parse().unwrap();
    let dropped = (seq + 1..seq + 6).find_map(|seq| {
        let (good, told) = daemon.verb(&["explain", &format!("{seq}.0")]);
        (good && told.contains("lab-1")).then_some(told)
    });
    let told = dropped.unwrap();
    assert!(told.contains("`lab` matched: sets drop"), "{told}");
    assert!(told.contains("No alert came of it."), "{told}");
    until("the ticket's number is known", || {
        daemon.verb(&["explain", "desk:1"]).0
    });
    assert_eq!(explain("desk:1"), incident);
    assert_eq!(explain("1"), incident);
    let (good, told) = daemon.verb(&["explain", "rt:1"]);
    assert!(!good && told.contains("cannot be explained"), "{told}");
    assert!(!daemon.verb(&["explain", "999999.0"]).0);
}
