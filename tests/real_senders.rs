//! Real monitoring systems, each a private instance on loopback (`tests/services/*.sh`), drive the
//! daemon: problem, repeat, acknowledgement where it has one, and recovery end as one ticket each.
//! A test whose packages cannot be had says so in one line and ends.

#![allow(clippy::unwrap_used, clippy::panic)]

mod daemon_support;

use daemon_support::Daemon;
use serde_json::Value;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// Longest wait for one step: these systems have clocks of their own.
const STEP: Duration = Duration::from_secs(120);

/// Nothing is held back: the tests are about senders.
const AT_ONCE: &str = "[engine]\nhold_outage = \"0s\"\nhold_degradation = \"0s\"\n\
                       hold_redundancy = \"0s\"\nhold_link = \"0s\"\nhold_unknown = \"0s\"\n";

/// A monitoring system; stopped when dropped.
struct System {
    script: PathBuf,
    dir: PathBuf,
}

impl System {
    /// Starts it. `None`, with a line that says why, if its packages cannot be had.
    fn start(name: &str, dir: &Path, words: &[&str]) -> Option<System> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/services");
        let system = System {
            script: script.join(format!("{name}.sh")),
            dir: dir.join(name),
        };
        let output = system.run("start", words);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        match output.status.code() {
            Some(0) => Some(system),
            Some(3) => {
                let why = told.lines().next().unwrap_or("no reason was given");
                let line = format!("\nCANNOT RUN real_senders::{name}: {why}\n");
                let _ = std::io::stderr().write_all(line.as_bytes());
                None
            }
            code => panic!("{name}.sh start ended with {code:?}: {told}"),
        }
    }

    fn run(&self, verb: &str, words: &[&str]) -> std::process::Output {
        Command::new(&self.script)
            .arg(verb)
            .arg(&self.dir)
            .args(words)
            .output()
            .unwrap()
    }

    fn tell(&self, verb: &str, word: &str) {
        let output = self.run(verb, &[word]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{verb} {word}: {told}");
    }
}

impl Drop for System {
    fn drop(&mut self) {
        let _ = self.run("stop", &[]);
    }
}

fn bridge(dir: &Path) -> Daemon {
    Daemon::start_with(dir, AT_ONCE, &[])
}

fn alerts(daemon: &Daemon) -> Vec<Value> {
    let (status, body) = daemon
        .ask("operators", "GET", "/api/v1/alerts", "")
        .unwrap();
    assert_eq!(status, 200, "{body}");
    let mut page: Value = serde_json::from_str(&body).unwrap();
    std::mem::take(page["alerts"].as_array_mut().unwrap())
}

/// Waits until the one alert is as wanted, nudging the sender every few seconds if it needs that.
fn until(daemon: &Daemon, what: &str, mut nudge: impl FnMut(), is_true: impl Fn(&Value) -> bool) {
    let began = Instant::now();
    let mut nudged = Instant::now();
    loop {
        let alerts = alerts(daemon);
        assert!(alerts.len() < 2, "{what}: {alerts:#?}");
        if alerts.first().is_some_and(&is_true) {
            return;
        }
        assert!(began.elapsed() < STEP, "{what}: {alerts:#?}");
        if nudged.elapsed() > Duration::from_secs(4) {
            nudge();
            nudged = Instant::now();
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn fires(alert: &Value) -> bool {
    alert["state"] == "firing"
}

fn is_repeated(alert: &Value) -> bool {
    alert["count"].as_u64() >= Some(2)
}

fn is_acknowledged(alert: &Value) -> bool {
    alert["state"] == "acknowledged"
}

fn is_over(alert: &Value) -> bool {
    alert["state"] == "resolved"
}

/// All of it was one ticket, and that has ended.
fn is_one_ticket(daemon: &Daemon, of_host: &str) {
    let tickets = daemon.until("the ticket ends", |tickets| {
        let ended = |ticket: &Value| ticket["status"] == "resolved" || ticket["status"] == "closed";
        !tickets.is_empty() && tickets.iter().all(ended)
    });
    assert_eq!(tickets.len(), 1, "{tickets:#?}");
    let text = tickets[0].to_string();
    assert!(text.contains(of_host), "{text}");
    let (_, waiting) = daemon
        .ask("operators", "GET", "/api/v1/quarantine", "")
        .unwrap();
    let waiting: Value = serde_json::from_str(&waiting).unwrap();
    assert_eq!(
        waiting["quarantine"].as_array().map(Vec::len),
        Some(0),
        "{waiting}"
    );
}

/// Serves `demo_up` for Prometheus to scrape.
fn target(up: Arc<AtomicU8>, stop: Arc<AtomicBool>) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let Ok(mut stream) = stream else { continue };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let up = up.load(Ordering::Relaxed);
            let page = format!("# TYPE demo_up gauge\ndemo_up{{host=\"web1.example.net\"}} {up}\n");
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n\
                 Content-Length: {}\r\n\r\n{page}",
                page.len()
            );
        }
    });
    address
}

/// Prometheus, with Alertmanager behind it or straight to the bridge. It has no acknowledgement.
fn prometheus(way: &str) {
    let dir = tempfile::tempdir().unwrap();
    let daemon = bridge(dir.path());
    let (up, stop) = (Arc::new(AtomicU8::new(1)), Arc::new(AtomicBool::new(false)));
    let target = target(up.clone(), stop.clone());
    let words = [way, &daemon.url("http"), &target];
    let Some(_system) = System::start("prometheus", dir.path(), &words) else {
        return;
    };
    up.store(0, Ordering::Relaxed);
    until(&daemon, "it fires", || (), fires);
    until(&daemon, "it is repeated", || (), is_repeated);
    up.store(1, Ordering::Relaxed);
    until(&daemon, "it is over", || (), is_over);
    is_one_ticket(&daemon, "web1.example.net");
    stop.store(true, Ordering::Relaxed);
}

#[test]
fn prometheus_straight_to_the_bridge() {
    prometheus("direct");
}

#[test]
fn prometheus_through_alertmanager() {
    prometheus("alertmanager");
}

/// Icinga and Nagios take the same lines.
fn by_command_pipe(name: &str, service: &str) {
    let dir = tempfile::tempdir().unwrap();
    let daemon = bridge(dir.path());
    let Some(system) = System::start(name, dir.path(), &[&daemon.url("http")]) else {
        return;
    };
    let result = |state: u8, text: &str| {
        let line =
            format!("PROCESS_SERVICE_CHECK_RESULT;web1.example.net;{service};{state};{text}");
        system.tell("say", &line);
    };
    result(2, "HTTP CRITICAL: no answer");
    // Nagios reminds only when a result comes.
    let again = || result(2, "HTTP CRITICAL: no answer");
    until(&daemon, "it fires", again, fires);
    until(&daemon, "it is repeated", again, is_repeated);
    let line = format!("ACKNOWLEDGE_SVC_PROBLEM;web1.example.net;{service};2;1;1;jdoe;looking");
    system.tell("say", &line);
    until(&daemon, "it is acknowledged", || (), is_acknowledged);
    result(0, "HTTP OK");
    until(&daemon, "it is over", || result(0, "HTTP OK"), is_over);
    is_one_ticket(&daemon, "web1.example.net");
}

#[test]
fn icinga_by_its_notification_command() {
    by_command_pipe("icinga", "http");
}

#[test]
fn nagios_by_its_notification_command() {
    by_command_pipe("nagios", "HTTP");
}

/// Monit reminds and has no acknowledgement.
#[test]
fn monit_by_mail() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = bridge(dir.path());
    let smtp = daemon.addresses["smtp"].as_str().unwrap();
    let port = smtp.rsplit(':').next().unwrap();
    let Some(system) = System::start("monit", dir.path(), &[port]) else {
        return;
    };
    let state = system.dir.join("state");
    std::fs::write(&state, "2\n").unwrap();
    until(&daemon, "it fires", || (), fires);
    until(&daemon, "it is repeated", || (), is_repeated);
    std::fs::write(&state, "0\n").unwrap();
    until(&daemon, "it is over", || (), is_over);
    is_one_ticket(&daemon, "probe");
}

/// Zabbix repeats by an escalation, once a minute at most.
#[test]
fn zabbix_by_its_webhook() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = bridge(dir.path());
    let Some(system) = System::start("zabbix", dir.path(), &[&daemon.url("http")]) else {
        return;
    };
    system.tell("value", "503");
    until(&daemon, "it fires", || system.tell("value", "503"), fires);
    until(&daemon, "it is repeated", || (), is_repeated);
    system.tell("acknowledge", "looking");
    until(&daemon, "it is acknowledged", || (), is_acknowledged);
    system.tell("value", "200");
    until(
        &daemon,
        "it is over",
        || system.tell("value", "200"),
        is_over,
    );
    is_one_ticket(&daemon, "web1.example.net");
}
