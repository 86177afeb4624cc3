//! The shipped dashboard: whole by Grafana's rules for such a file, and each of its queries answered
//! by a real Prometheus that scrapes a daemon with traffic.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod daemon_support;

use daemon_support::Daemon;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Panels that may have no series, and why.
const MAY_BE_EMPTY: [(&str, &str); 1] = [(
    "Waiting since",
    "the daemon keeps up: no queue has an entry that waits",
)];

fn dashboard() -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/grafana/alertbridge.json");
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// Panels that show something, without the rows between them.
fn panels(dashboard: &Value) -> Vec<&Value> {
    let all = dashboard["panels"].as_array().unwrap();
    all.iter().filter(|panel| panel["type"] != "row").collect()
}

#[test]
fn the_dashboard_is_one_that_grafana_takes() {
    let dashboard = dashboard();
    assert_eq!(dashboard["uid"], "alertbridge");
    assert!(dashboard["id"].is_null(), "an id belongs to one Grafana");
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 36);
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let source = variables
        .iter()
        .find(|v| v["name"] == "datasource")
        .unwrap();
    assert_eq!(
        (&source["type"], &source["query"]),
        (&json!("datasource"), &json!("prometheus"))
    );
    let known = ["timeseries", "stat", "table", "bargauge", "row"];
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(
            !title.is_empty() && known.contains(&panel["type"].as_str().unwrap()),
            "{title}"
        );
        assert!(
            ids.insert(panel["id"].as_u64().unwrap()),
            "{title}: its id is taken"
        );
        let place = |of: &str| panel["gridPos"][of].as_u64().unwrap();
        assert!(place("x") + place("w") <= 24, "{title} is too wide");
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(taken.insert((x, y)), "{title} lies over another panel");
            }
        }
    }
    for panel in panels(&dashboard) {
        let title = &panel["title"];
        assert!(
            panel["description"].as_str().is_some_and(|d| d.len() > 10),
            "{title}"
        );
        let mut refs = BTreeSet::new();
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            assert!(refs.insert(target["refId"].as_str().unwrap()), "{title}");
        }
        assert!(!refs.is_empty(), "{title} asks nothing");
    }
    let titles: Vec<&str> = panels(&dashboard)
        .iter()
        .filter_map(|p| p["title"].as_str())
        .collect();
    for asked in [
        "Open incidents by severity",
        "Clocks near their breach",
        "Breaches in the time shown",
        "Compliance, 30 days",
        "Outcomes by source",
        "Alert to ticket",
        "Held, folded, kept quiet",
        "Engine behind the journal",
    ] {
        assert!(titles.contains(&asked), "{asked} is not answered");
    }
}

/// Agreements short enough that verdicts, breaches, warnings and a running clock are all there.
fn configuration() -> String {
    let calendar = "[calendar.days]\ntz = \"Etc/UTC\"\nweek = { mon = [[\"00:00\", \"24:00\"]] }\n\
                    holidays = [\"2035-12-25\"]\n";
    let targets = |response: &str, restore: &str| {
        (1..=5)
            .map(|severity| {
                format!(
                    "[policy.p.severity.{severity}]\n\
                     initial_response = {{ within = \"{response}\" }}\n\
                     update = {{ every = \"1h\" }}\nrestore = {{ within = \"{restore}\" }}\n"
                )
            })
            .collect::<String>()
    };
    format!(
        "default_contract = \"acme\"\n\
         [engine]\nreopen_window = \"1s\"\n\
         [policy.p]\nscale = 5\n\
         [policy.p.category]\n\
         incident = {{ severity = \"set\", \
         targets = [\"initial_response\", \"update\", \"restore\"] }}\n\
         inquiry = {{ severity = 3, targets = [\"initial_response\", \"update\"] }}\n\
         provisioning = {{ severity = \"none\", targets = [] }}\n\
         {}{calendar}[contract.acme]\npolicy = \"p\"\n",
        targets("2s", "8h")
    )
}

fn event(host: &str, state: &str, hint: &str) -> Value {
    json!({ "state": state, "summary": format!("{host} is {state}"), "host": host,
            "site": format!("site-{host}"), "check": "ping", "severity_hint": hint,
            "starts_at": jiff::Timestamp::now().to_string() })
}

fn traffic(daemon: &Daemon) {
    for round in 0..6 {
        let host = format!("host-{round}");
        daemon.post(&event(&host, "problem", "outage")).unwrap();
        daemon
            .post(&event(&format!("held-{round}"), "problem", "redundancy"))
            .unwrap();
    }
    daemon
        .post(&event("host-0", "problem", "degradation"))
        .unwrap();
    daemon.until("tickets", |tickets| tickets.len() >= 6);
    for incident in ["INC-1", "INC-3"] {
        daemon.verb(&["note", incident, "We look at it.", "--public"]);
        daemon.verb(&["severity", incident, "S1"]);
    }
    std::thread::sleep(Duration::from_secs(4));
    for round in 0..3 {
        daemon
            .post(&event(&format!("host-{round}"), "recovery", "outage"))
            .unwrap();
    }
}

/// A server on loopback; stopped when dropped.
struct Prometheus {
    process: Child,
    port: u16,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Prometheus {
    /// Scrapes the daemon each second, with the shipped rules each second; `None`: not installed.
    fn start(dir: &Path, daemon: &Daemon) -> Option<Prometheus> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let rules = root.join("config/prometheus/alertbridge.rules.yml");
        let rules = std::fs::read_to_string(rules)
            .unwrap()
            .replace("interval: 1m", "interval: 1s");
        std::fs::write(dir.join("rules.yml"), rules).unwrap();
        let target = daemon.addresses["operators"].as_str().unwrap();
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yml]\n\
             scrape_configs: [{{job_name: alertbridge, static_configs: [{{targets: ['{target}']}}]}}]\n"
        );
        std::fs::write(dir.join("prometheus.yml"), config).unwrap();
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let process = Command::new("prometheus")
            .arg(format!(
                "--config.file={}",
                dir.join("prometheus.yml").display()
            ))
            .arg(format!(
                "--storage.tsdb.path={}",
                dir.join("tsdb").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(dir.join("prometheus.log")).unwrap())
            .spawn()
            .ok()?;
        let server = Prometheus { process, port };
        let began = Instant::now();
        while server
            .get("/-/ready")
            .is_none_or(|(status, _)| status != 200)
        {
            let log = std::fs::read_to_string(dir.join("prometheus.log")).unwrap();
            assert!(began.elapsed() < Duration::from_secs(60), "{log}");
            std::thread::sleep(Duration::from_millis(100));
        }
        Some(server)
    }

    fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        Some((status, body.to_owned()))
    }

    /// How many series a query gives; what is wrong with it otherwise.
    fn ask(&self, query: &str) -> Result<usize, String> {
        let mut path = String::from("/api/v1/query?query=");
        for byte in query.bytes() {
            path.push_str(&format!("%{byte:02X}"));
        }
        let (_, body) = self.get(&path).unwrap();
        let answer: Value = serde_json::from_str(&body).map_err(|error| error.to_string())?;
        match answer["status"].as_str() {
            Some("success") => Ok(answer["data"]["result"].as_array().unwrap().len()),
            _ => Err(answer["error"].to_string()),
        }
    }
}

/// What Grafana puts in place of its variables, for a time shown that these tests fill.
fn filled(query: &str) -> String {
    query
        .replace("$__rate_interval", "15s")
        .replace("$__range", "60s")
        .replace("$instance", ".*")
        .replace("$job", ".*")
}

#[test]
fn every_query_is_answered_by_a_real_prometheus() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_with(dir.path(), &configuration(), &[]);
    let Some(prometheus) = Prometheus::start(dir.path(), &daemon) else {
        println!("NOT RUN: the dashboard's queries: prometheus is not installed");
        return;
    };
    // An increase is seen from the first scrape on.
    let began = Instant::now();
    while prometheus.ask("alertbridge_alerts_active") != Ok(1) {
        assert!(began.elapsed() < Duration::from_secs(60), "no scrape");
        std::thread::sleep(Duration::from_millis(200));
    }
    traffic(&daemon);
    let dashboard = dashboard();
    let mut open: BTreeMap<(String, String), String> = BTreeMap::new();
    for panel in panels(&dashboard) {
        for target in panel["targets"].as_array().unwrap() {
            let query = filled(target["expr"].as_str().unwrap());
            assert!(!query.contains('$'), "an unknown variable in {query}");
            let title = panel["title"].as_str().unwrap().to_owned();
            open.insert((title, query), String::new());
        }
    }
    let all = open.len();
    assert!(all > 40, "only {all} queries");
    let began = Instant::now();
    // Quarters of an answer are enough once: some series need a few scrapes.
    while !open.is_empty() && began.elapsed() < Duration::from_secs(90) {
        open.retain(|(_, query), last| match prometheus.ask(query) {
            Ok(0) => {
                "no series".clone_into(last);
                true
            }
            Ok(_) => false,
            Err(error) => panic!("{query}: {error}"),
        });
        let expected = |title: &str| MAY_BE_EMPTY.iter().any(|(may, _)| *may == title);
        if open.keys().all(|(title, _)| expected(title)) {
            break;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    for ((title, query), last) in &open {
        let why = MAY_BE_EMPTY.iter().find(|(may, _)| may == title);
        assert!(why.is_some(), "{title}: {last}: {query}");
    }
}
