//! The daemon as a process, over real sockets: alerts in, one ticket for each problem out, and
//! nothing acknowledged is lost when it is killed at any instant.
#![allow(clippy::unwrap_used, clippy::panic)]

mod daemon_support;

use daemon_support::Daemon;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::Command;
use std::time::Duration;

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
    let uncapped = "[engine]\ntickets_per_hour_max = 0\n";
    let mut acknowledged: BTreeMap<String, &str> = BTreeMap::new();
    let mut number = 0;
    // Ten times in CI, two hundred by hand: `tests/run long`.
    let kills = std::env::var("ALERTBRIDGE_TEST_KILLS").ok();
    let kills: u64 = kills.and_then(|kills| kills.parse().ok()).unwrap_or(10);
    for round in 0..kills {
        let daemon = Daemon::start_with(dir.path(), uncapped, &[]);
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
            std::thread::sleep(Duration::from_millis(7 + round * 11 % 128));
            let pid = daemon.process.id().to_string();
            Command::new("kill").args(["-9", &pid]).status().unwrap();
            acknowledged.extend(posting.join().unwrap());
        });
        daemon.kill();
        number += 40;
    }
    let daemon = Daemon::start_with(dir.path(), uncapped, &[]);
    daemon.until(
        "every acknowledged problem is as it was acknowledged",
        |tickets| {
            let mut by_subject: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
            for ticket in tickets {
                let subject = ticket["subject"].as_str().unwrap();
                by_subject.entry(subject).or_default().push(ticket);
            }
            acknowledged.iter().all(|(key, state)| {
                let own = by_subject.get(format!("{key} is down").as_str());
                // A problem that came and went before its ticket was asked for opens none.
                match own.map(Vec::as_slice) {
                    None => *state != "new",
                    Some([one]) => *state == "either" || one["status"] == *state,
                    Some(_) => false,
                }
            })
        },
    );
    assert!(
        acknowledged.len() > 10,
        "too few were acknowledged: {}",
        acknowledged.len()
    );
}
