//! The daemon as a process, over real sockets: alerts in, one ticket for each problem out, and
//! nothing acknowledged is lost when it is killed at any instant.
#![allow(clippy::unwrap_used, clippy::panic)]

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

struct Daemon {
    process: Child,
    addresses: Value,
}

impl Daemon {
    fn start(dir: &Path) -> Daemon {
        let config = dir.join("config.toml");
        let listen = "listen = \"127.0.0.1:0\"\n";
        let text = format!("[http]\n{listen}[smtp]\n{listen}[operators]\n{listen}");
        std::fs::write(&config, text).unwrap();
        let ready = dir.join("ready");
        let _ = std::fs::remove_file(&ready);
        let process = Command::new(env!("CARGO_BIN_EXE_alertbridge"))
            .arg("serve")
            .arg("--config")
            .arg(&config)
            .arg("--data-dir")
            .arg(dir.join("data"))
            .arg("--ready-file")
            .arg(&ready)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let began = Instant::now();
        let addresses = loop {
            if let Ok(text) = std::fs::read_to_string(&ready) {
                break serde_json::from_str(&text).unwrap();
            }
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "the daemon is not ready"
            );
            std::thread::sleep(Duration::from_millis(20));
        };
        Daemon { process, addresses }
    }

    fn connect(&self, door: &str) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect(self.addresses[door].as_str().unwrap())?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(stream)
    }

    /// Status and body; an error if the daemon died before it answered.
    fn ask(
        &self,
        door: &str,
        method: &str,
        path: &str,
        body: &str,
    ) -> std::io::Result<(u16, String)> {
        let mut stream = self.connect(door)?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .unwrap_or(0);
        let body = answer
            .split_once("\r\n\r\n")
            .map_or("", |(_, body)| body)
            .to_owned();
        Ok((status, body))
    }

    fn post(&self, event: &Value) -> std::io::Result<u16> {
        Ok(self
            .ask("http", "POST", "/v1/events", &event.to_string())?
            .0)
    }

    fn tickets(&self) -> Vec<Value> {
        let (status, body) = self
            .ask("operators", "GET", "/api/v1/desk/tickets", "")
            .unwrap();
        assert_eq!(status, 200);
        let page: Value = serde_json::from_str(&body).unwrap();
        assert!(page["next"].is_null(), "one page is enough here");
        page["tickets"].as_array().unwrap().clone()
    }

    fn until(&self, what: &str, is_true: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let began = Instant::now();
        loop {
            let tickets = self.tickets();
            if is_true(&tickets) {
                return tickets;
            }
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "{what}: {tickets:#?}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn outage(key: &str, state: &str) -> Value {
    json!({
        "dedup_key": key, "state": state, "severity_hint": "outage", "summary": format!("{key} is down"),
        "host": key, "site": format!("site-{key}"), "check": "ping",
    })
}

#[test]
fn a_problem_opens_one_ticket_and_its_recovery_resolves_it() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path());
    assert_eq!(daemon.post(&outage("core-1", "problem")).unwrap(), 202);
    assert_eq!(daemon.post(&outage("core-1", "problem")).unwrap(), 202);
    let tickets = daemon.until("one ticket", |tickets| tickets.len() == 1);
    assert_eq!(tickets[0]["severity"], "S2");
    assert_eq!(daemon.post(&outage("core-1", "recovery")).unwrap(), 202);
    daemon.until("resolved", |tickets| tickets[0]["status"] == "resolved");
    assert_eq!(daemon.tickets().len(), 1);
}

#[test]
fn an_alert_mail_opens_a_ticket() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(dir.path());
    let mut stream = daemon.connect("smtp").unwrap();
    let mut said = String::new();
    let mut buffer = [0; 512];
    for line in [
        "EHLO monitor.example.net\r\n",
        "MAIL FROM:<nagios@example.net>\r\n",
        "RCPT TO:<alerts@example.net>\r\n",
        "DATA\r\n",
        "Subject: ** PROBLEM Host Alert: web-1 is DOWN **\r\n\r\nNotification Type: PROBLEM\r\nHost: web-1\r\nState: DOWN\r\n.\r\n",
        "QUIT\r\n",
    ] {
        let count = stream.read(&mut buffer).unwrap();
        said.push_str(&String::from_utf8_lossy(&buffer[..count]));
        stream.write_all(line.as_bytes()).unwrap();
    }
    assert!(said.lines().any(|line| line.starts_with("354")), "{said}");
    let tickets = daemon.until("a ticket", |tickets| tickets.len() == 1);
    assert!(tickets[0]["subject"].as_str().unwrap().contains("web-1"));
}

/// Killed ten times while clients post and retry: every acknowledged problem has exactly one
/// ticket, in the state that was acknowledged last.
#[test]
fn a_kill_at_any_instant_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged: BTreeMap<String, &str> = BTreeMap::new();
    let mut number = 0;
    for round in 0..10_u64 {
        let daemon = Daemon::start(dir.path());
        std::thread::scope(|scope| {
            let posting = scope.spawn(|| {
                let mut done = Vec::new();
                for n in number..number + 40 {
                    let key = format!("host-{n}");
                    let Ok(202) = daemon.post(&outage(&key, "problem")) else {
                        break;
                    };
                    done.push((key.clone(), "new"));
                    if n % 3 == 0 {
                        // Sent, but not acknowledged: it may have been taken in all the same.
                        let Ok(202) = daemon.post(&outage(&key, "recovery")) else {
                            done.push((key, "either"));
                            break;
                        };
                        done.push((key, "resolved"));
                    }
                }
                done
            });
            // Not a wait for something: the instant of the kill is what varies.
            std::thread::sleep(Duration::from_millis(7 + round * 11));
            let pid = daemon.process.id().to_string();
            Command::new("kill").args(["-9", &pid]).status().unwrap();
            acknowledged.extend(posting.join().unwrap());
        });
        daemon.kill();
        number += 40;
    }
    let daemon = Daemon::start(dir.path());
    for (key, state) in &acknowledged {
        daemon.until(&format!("{key} is {state}"), |tickets| {
            let own: Vec<_> = tickets
                .iter()
                .filter(|t| t["subject"] == format!("{key} is down"))
                .collect();
            // A problem that came and went before its ticket was asked for opens none.
            match own.as_slice() {
                [] => *state != "new",
                [one] => *state == "either" || one["status"] == *state,
                _ => false,
            }
        });
    }
    assert!(
        acknowledged.len() > 10,
        "too few were acknowledged: {}",
        acknowledged.len()
    );
}
