//! `alertbridge mail` as a mail server runs it: 0 only for a mail that is stored, and 75 for all
//! else, so that no monitor ever gets its mail back.
#![allow(clippy::unwrap_used, clippy::panic)]

mod daemon_support;

use daemon_support::Daemon;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

const MAIL: &str = "From nagios@mon Mon Mar  2 10:00:00 2026\nFrom: nagios@mon.example\n\
    Subject: ** PROBLEM Host Alert: piped is DOWN **\n\n\
    Notification Type: PROBLEM\nHost: piped\nState: DOWN\n";

/// Exit code and what was said, for these words and this input.
fn pipe(words: &[&str], mail: &[u8]) -> (Option<i32>, String) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_alertbridge"))
        .arg("mail")
        .args(words)
        .env_remove("ALERTBRIDGE_DATA_DIR")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Who does not read it is judged by its exit code.
    let _ = process.stdin.take().unwrap().write_all(mail);
    let output = process.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

/// An LMTP server that says these replies, one a command, and then the rest as one.
fn server(replies: &'static [&'static str]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = speak(stream.unwrap(), replies);
        }
    });
    address
}

fn speak(stream: TcpStream, replies: &[&str]) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    for reply in replies {
        if *reply == "silence" {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest)?;
            return Ok(());
        }
        stream
            .get_mut()
            .write_all(format!("{reply}\r\n").as_bytes())?;
        let mut line = String::new();
        let in_data = reply.starts_with("354");
        while stream.read_line(&mut line)? > 0 {
            if !in_data || line == ".\r\n" {
                break;
            }
            line.clear();
        }
    }
    Ok(())
}

#[test]
fn whatever_goes_wrong_the_mail_server_keeps_the_mail() {
    let taken = ["220 x", "250 x", "250 x", "250 x", "354 x", "250 stored"];
    let leaked: &'static [&'static str] = Box::leak(Box::new(taken));
    let (code, said) = pipe(&["--lmtp", &server(leaked)], MAIL.as_bytes());
    assert_eq!((code, said.as_str()), (Some(0), ""));
    for (what, replies) in [
        (
            "its store cannot write",
            &[
                "220 x",
                "250 x",
                "250 x",
                "250 x",
                "354 x",
                "451 4.3.0 full",
            ][..],
        ),
        (
            "too large for it",
            &[
                "220 x",
                "250 x",
                "250 x",
                "250 x",
                "354 x",
                "552 5.3.4 large",
            ],
        ),
        (
            "not its domain",
            &["220 x", "250 x", "250 x", "550 5.7.1 nothing is relayed"],
        ),
        ("it ends", &["421 4.3.2 shutting down"]),
        (
            "it is gone after the data",
            &["220 x", "250 x", "250 x", "250 x", "354 x"],
        ),
        ("it is another program", &["HTTP/1.1 400 Bad Request"]),
        ("it says nothing", &["silence"]),
        (
            "it hangs after the data",
            &["220 x", "250 x", "250 x", "250 x", "354 x", "silence"],
        ),
    ] {
        let (code, said) = pipe(
            &["--timeout", "2", "--lmtp", &server(replies)],
            MAIL.as_bytes(),
        );
        assert_eq!(code, Some(75), "{what}: {said}");
        // It stands in a bounce if the mail server gives up after days: one line, nothing of ours.
        assert!(
            !said.is_empty() && said.lines().count() == 1,
            "{what}: {said}"
        );
    }
    // One of two recipients is not stored.
    let half = &[
        "220 x",
        "250 x",
        "250 x",
        "250 x",
        "250 x",
        "354 x",
        "250 x\r\n451 x",
    ];
    let words = ["--lmtp", &server(half), "alerts+a@h", "alerts+b@h"];
    assert_eq!(pipe(&words, MAIL.as_bytes()).0, Some(75));
}

#[test]
fn wrong_words_large_mails_and_a_missing_daemon_are_no_bounce_either() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("nobody");
    let data = data.to_str().unwrap();
    for words in [
        &["--data-dir", data][..],
        &["--lmtp", "127.0.0.1:1"],
        &["--no-such-word"],
        &["--lmtp", "not an address"],
        &["--timeout", "soon"],
    ] {
        let (code, said) = pipe(words, MAIL.as_bytes());
        assert_eq!(code, Some(75), "{words:?}: {said}");
        assert!(!said.is_empty(), "{words:?}");
    }
    let large = vec![b'x'; alertbridge::limits::MAIL_BYTES_MAX + 1];
    let (code, said) = pipe(&["--data-dir", data], &large);
    assert_eq!(code, Some(75), "{said}");
    assert!(said.contains("larger than"), "{said}");
    // Other verbs say 2, and who asks for help gets it.
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_alertbridge"));
        command.args(words).output().unwrap().status.code()
    };
    assert_eq!(run(&["check", "--no-such-word"]), Some(2));
    assert_eq!(run(&["mail", "--help"]), Some(0));
}

#[test]
fn what_a_daemon_stored_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = Daemon::start_with(dir.path(), "[engine]\nhold_outage = \"0s\"\n", &[]);
    let data = dir.path().join("data");
    let words = [
        "--data-dir",
        data.to_str().unwrap(),
        "--sender",
        "nagios@mon.example",
    ];
    assert_eq!(pipe(&words, MAIL.as_bytes()), (Some(0), String::new()));
    daemon.until("its ticket", |tickets| {
        tickets.len() == 1 && tickets[0]["subject"].as_str().unwrap().contains("piped")
    });
}
