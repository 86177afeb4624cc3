//! A real Postfix in front of the bridge (its address in `ALERTBRIDGE_TEST_POSTFIX`, see
//! `tests/services/postfix.sh`): transports over SMTP and LMTP, a pipe and an alias, retries after
//! 4xx and while the bridge is down; and odd clients by swaks.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod daemon_support;

use daemon_support::Daemon;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Address and folder of the server and the ports to which it delivers, or a word on why there is
/// none: mails to `NUMBER.smtp.example` and `NUMBER.lmtp.example` go to one port each.
fn server() -> Option<(String, PathBuf, Vec<String>)> {
    let address = std::env::var("ALERTBRIDGE_TEST_POSTFIX").ok();
    let folder = std::env::var("ALERTBRIDGE_TEST_POSTFIX_CONFIG").ok();
    let ports = std::env::var("ALERTBRIDGE_TEST_POSTFIX_PORTS").ok();
    if address.is_none() {
        println!("NOT RUN: a real Postfix: ALERTBRIDGE_TEST_POSTFIX is not set");
    }
    let ports = ports?.split(',').map(str::to_owned).collect();
    Some((address?, folder?.into(), ports))
}

/// A daemon at these ports.
fn at(smtp: &str, lmtp: &str) -> String {
    format!(
        "{AT_ONCE}[smtp]\nlisten = \"127.0.0.1:{smtp}\"\n[lmtp]\nlisten = \"127.0.0.1:{lmtp}\"\n"
    )
}

fn swaks(server: &str, words: &[&str]) -> (bool, String) {
    let ran = Command::new("swaks")
        .args(["--server", server, "--from", "nagios@mon.example.net"])
        .args(words)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = [ran.stdout, ran.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    (ran.status.success(), said)
}

/// An alert of a host, as Nagios mails it.
fn send(server: &str, to: &str, host: &str, more: &[&str]) {
    let subject = format!("Subject: ** PROBLEM Host Alert: {host} is DOWN **");
    let body = format!("Notification Type: PROBLEM\nHost: {host}\nState: DOWN\nInfo: Zürich\n");
    let words = ["--to", to, "--header", &subject, "--body", &body];
    let (well, said) = swaks(server, &[&words, more].concat());
    assert!(well, "{said}");
}

fn has(tickets: &[Value], host: &str) -> bool {
    let about = |ticket: &Value| ticket["subject"].as_str().unwrap().contains(host);
    tickets.iter().any(about)
}

/// A command of the server's that hands mails to `alertbridge mail`. The server's user must be
/// able to run it, so the program is put beside it.
fn command(folder: &Path, name: &str, lmtp: &str, recipient: &str) -> PathBuf {
    let commands = folder.join("commands");
    let program = commands.join(format!("alertbridge-{}", std::process::id()));
    if !program.exists() {
        let from = env!("CARGO_BIN_EXE_alertbridge");
        if std::fs::hard_link(from, &program).is_err() {
            std::fs::copy(from, &program).unwrap();
        }
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    }
    let file = commands.join(name);
    let text = format!(
        "#!/bin/sh\nexec {} mail --lmtp 127.0.0.1:{lmtp} --sender \"$1\" {recipient}\n",
        program.display()
    );
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
    file
}

const AT_ONCE: &str = "[engine]\nhold_outage = \"0s\"\n";

#[test]
fn transports_pipe_and_alias_bring_each_alert_once() {
    let Some((server, folder, ports)) = server() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let [smtp, lmtp] = [&ports[0], &ports[1]];
    let daemon = Daemon::start_with(dir.path(), &at(smtp, lmtp), &[]);
    send(&server, "alerts@1.smtp.example", "pf-smtp", &[]);
    let two = "alerts@1.lmtp.example,alerts+mail@1.lmtp.example";
    send(&server, two, "pf-lmtp", &[]);
    let pipe = command(&folder, "one", lmtp, "alerts@bridge.example");
    send(&server, "alerts@one.pipe.example", "pf-pipe", &[]);
    let alias = command(&folder, "alias", lmtp, "alerts@bridge.example");
    send(&server, "alerts@mon.example.net", "pf-alias", &[]);
    for host in ["pf-smtp", "pf-lmtp", "pf-pipe", "pf-alias"] {
        daemon.until(host, |tickets| has(tickets, host));
    }
    assert_eq!(daemon.tickets().len(), 4);
    // Raw UTF-8 in a header, submitted as a program of the machine does.
    let raw = "Subject: ** PROBLEM Host Alert: pf-zürich is DOWN **\nFrom: nagios\n\n\
               Notification Type: PROBLEM\nHost: pf-zürich\nState: DOWN\n";
    let mut sendmail = Command::new("/usr/sbin/sendmail")
        .arg("-C")
        .arg(&folder)
        .args(["-i", "alerts@1.smtp.example"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = sendmail.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, raw.as_bytes()).unwrap();
    drop(input);
    assert!(sendmail.wait().unwrap().success());
    daemon.until("pf-zürich", |tickets| has(tickets, "pf-zürich"));
    for file in [pipe, alias] {
        std::fs::remove_file(file).unwrap();
    }
}

/// Problem, repeat, acknowledgement and recovery, each by another way into the bridge.
#[test]
fn a_problem_told_by_postfix_is_one_ticket_to_its_end() {
    let Some((server, folder, ports)) = server() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let [smtp, lmtp] = [&ports[4], &ports[5]];
    let daemon = Daemon::start_with(dir.path(), &at(smtp, lmtp), &[]);
    let pipe = command(&folder, "three", lmtp, "alerts@bridge.example");
    let host = "pf-story";
    for (stage, (to, word, state)) in [
        ("alerts@3.smtp.example", "PROBLEM", "DOWN"),
        ("alerts@3.lmtp.example", "PROBLEM", "DOWN"),
        ("alerts@three.pipe.example", "ACKNOWLEDGEMENT", "DOWN"),
        ("alerts@3.smtp.example", "RECOVERY", "UP"),
    ]
    .into_iter()
    .enumerate()
    {
        let subject = format!("Subject: ** {word} Host Alert: {host} is {state} **");
        let body = format!("Notification Type: {word}\nHost: {host}\nState: {state}\n");
        let words = ["--to", to, "--header", &subject, "--body", &body];
        let (well, said) = swaks(&server, &words);
        assert!(well, "{said}");
        daemon.until(word, |_| daemon.is_at(host, stage));
    }
    let tickets = daemon.until("its end", |tickets| {
        tickets.iter().all(|ticket| ticket["status"] == "resolved")
    });
    assert_eq!(tickets.len(), 1, "{tickets:#?}");
    std::fs::remove_file(pipe).unwrap();
}

#[test]
fn what_the_bridge_cannot_take_now_waits_in_the_servers_queue() {
    let Some((server, folder, ports)) = server() else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let [smtp, lmtp] = [&ports[2], &ports[3]];
    let pipe = command(&folder, "two", lmtp, "alerts@bridge.example");
    // Nobody is there: the connection is refused, and the pipe's command exits 75.
    send(&server, "alerts@2.smtp.example", "pf-down", &[]);
    send(&server, "alerts@two.pipe.example", "pf-piped", &[]);
    let slow = "[[source]]\nname = \"slow\"\nkind = \"mail\"\nrate = 1\n";
    let config = at(smtp, lmtp) + slow;
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    for host in ["pf-down", "pf-piped"] {
        daemon.until(host, |tickets| has(tickets, host));
    }
    // A source that speaks too fast gets a 4xx, and all of it comes in the end.
    for number in 0..14 {
        let to = "alerts+slow@2.smtp.example";
        send(&server, to, &format!("pf-fast-{number:02}"), &[]);
    }
    let limited = "alertbridge_alerts_total{outcome=\"rate_limited\",source=\"slow\"} 0";
    assert!(!daemon.metrics().contains(limited), "nothing was deferred");
    daemon.until("all of them", |_| {
        let text = daemon.metrics();
        let taken = text
            .lines()
            .filter(|line| line.starts_with("alertbridge_alerts_total{"))
            .filter(|line| line.contains("source=\"slow\"") && !line.contains("rate_limited"))
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok());
        taken.sum::<u64>() == 14
    });
    std::fs::remove_file(pipe).unwrap();
}

#[test]
fn odd_clients_are_understood() {
    if server().is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_with(dir.path(), AT_ONCE, &[]);
    let smtp = daemon.addresses["smtp"].as_str().unwrap();
    let lmtp = daemon.addresses["lmtp"].as_str().unwrap();
    for (host, door, words) in [
        ("sw-helo", smtp, &["--protocol", "SMTP"][..]),
        ("sw-pipeline", smtp, &["--pipeline"]),
        ("sw-null", smtp, &["--from", "<>"]),
        ("sw-lmtp", lmtp, &["--protocol", "LMTP"]),
        ("sw-ipv4-helo", smtp, &["--helo", "192.0.2.7"]),
    ] {
        send(door, "alerts@bridge.example", host, words);
        daemon.until(host, |tickets| has(tickets, host));
    }
    // A client that goes away after the data was answered, and one that goes before.
    let subject = "Subject: ** PROBLEM Host Alert: sw-gone is DOWN **";
    let mail = ["--to", "alerts@bridge.example", "--header", subject];
    let body = [
        "--body",
        "Notification Type: PROBLEM\nHost: sw-gone\nState: DOWN\n",
    ];
    swaks(
        smtp,
        &[&mail[..], &body, &["--drop-after", "RCPT"]].concat(),
    );
    assert!(!has(&daemon.tickets(), "sw-gone"));
    swaks(smtp, &[&mail[..], &body, &["--drop-after", "DOT"]].concat());
    daemon.until("sw-gone", |tickets| has(tickets, "sw-gone"));
}
