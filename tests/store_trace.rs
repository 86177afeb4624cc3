//! A trace of the daemon's system calls shows that the journal's sync returned before each 2xx and
//! each 250 that takes a mail. Needs `strace`; without it the test says so and is not run.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::string_slice
)]

#[path = "store_support/mod.rs"]
mod support;

use std::path::Path;
use std::process::Command;
use support::daemon::Daemon;

/// What the trace shows, in order.
#[derive(Clone, Debug, PartialEq)]
enum Seen {
    /// A request's body or a mail's data came in.
    Came(String),
    /// A sync of the journal's log began, on this thread.
    SyncBegan(String),
    /// It returned without an error.
    SyncEnded(String),
    /// An answer that acknowledges began to go out.
    Acknowledged(String),
}

fn read(trace: &str) -> Vec<Seen> {
    let mut seen = Vec::new();
    for line in trace.lines() {
        let thread = line
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned();
        let is = |part: &str| line.contains(part);
        let sync = is("fdatasync(") || is("fsync(");
        if sync && is("journal.db-wal") {
            seen.push(Seen::SyncBegan(thread.clone()));
            if line.ends_with("= 0") {
                seen.push(Seen::SyncEnded(thread));
            }
        } else if (is("<... fdatasync resumed>") || is("<... fsync resumed>")) && is("= 0") {
            seen.push(Seen::SyncEnded(thread));
        } else if (is("read(") || is("recvfrom(") || is("resumed>")) && is("traced-key-") {
            seen.push(Seen::Came(key_in(line)));
        } else if is("HTTP/1.1 202") {
            seen.push(Seen::Acknowledged("202".to_owned()));
        } else if is("250 2.0.0") && is("stored") || is("250 2.6.0") {
            seen.push(Seen::Acknowledged("250".to_owned()));
        }
    }
    seen
}

fn key_in(line: &str) -> String {
    let at = line.find("traced-key-").unwrap();
    line[at..]
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '-')
        .collect()
}

#[test]
fn the_sync_returned_before_each_acknowledgement() {
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("NOT RUN: store_trace: `strace` is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("trace");
    let wrapper = [
        "strace",
        "-f",
        "-y",
        "-s",
        "4096",
        "-e",
        "trace=fsync,fdatasync,read,recvfrom,write,writev,sendto,sendmsg",
        "-o",
        trace.to_str().unwrap(),
    ];
    let daemon = Daemon::start_by(&wrapper, dir.path(), &dir.path().join("data"));
    for n in 0..12 {
        assert_eq!(daemon.post(&format!("traced-key-{n}"), ""), 202);
        let subject = format!("** PROBLEM Host Alert: traced-key-m{n} is DOWN **");
        let body = format!("Notification Type: PROBLEM\r\nHost: traced-key-m{n}\r\nState: DOWN");
        let reply = daemon.mail(&subject, &body);
        assert!(reply.starts_with("250"), "{reply}");
    }
    terminate(&dir.path().join("data"));
    drop(daemon);
    let text = String::from_utf8_lossy(&std::fs::read(&trace).unwrap()).into_owned();
    let seen = read(&text);
    let (mut acknowledged, mut came) = (0, None);
    for (at, event) in seen.iter().enumerate() {
        match event {
            Seen::Came(key) => {
                if came.as_ref().is_none_or(|(_, known)| known != key) {
                    came = Some((at, key.clone()));
                }
            }
            Seen::Acknowledged(code) => {
                let (from, key) = came.take().expect("an answer without a question");
                let between = seen.get(from..at).unwrap();
                let whole = between.iter().enumerate().any(|(place, event)| {
                    let Seen::SyncBegan(thread) = event else {
                        return false;
                    };
                    let ended = Seen::SyncEnded(thread.clone());
                    between.iter().skip(place).any(|event| *event == ended)
                });
                assert!(
                    whole,
                    "{key}: {code} without a sync before it: {between:#?}"
                );
                acknowledged += 1;
            }
            Seen::SyncBegan(_) | Seen::SyncEnded(_) => {}
        }
    }
    assert_eq!(acknowledged, 24, "of 12 requests and 12 mails: {seen:#?}");
}

/// Ends the daemon that strace runs; strace ends with it.
fn terminate(data: &Path) {
    let wanted = data.to_string_lossy().into_owned();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(&wanted) && !line.starts_with("strace") && pid != "self" {
            let _ = Command::new("kill").args(["-TERM", &pid]).status();
        }
    }
}
