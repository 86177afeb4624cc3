//! The bridge watches itself: its own trouble becomes a ticket like any other; where no ticket can
//! be, a letter goes out, and the dead-man's switch is not called.
#![allow(clippy::unwrap_used, clippy::panic)]

mod daemon_support;

use daemon_support::{Daemon, until_within};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A mail server that keeps what it takes and refuses readers called `refused`.
struct MailServer {
    port: u16,
    letters: Arc<Mutex<Vec<String>>>,
}

impl MailServer {
    fn start() -> MailServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let letters = Arc::new(Mutex::new(Vec::new()));
        let kept = letters.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = kept.clone();
                // A session that breaks off brings no letter.
                std::thread::spawn(move || session(stream, &kept).ok());
            }
        });
        MailServer { port, letters }
    }

    /// `[watch.mail]` and the holds that let its tickets open at once.
    fn config(&self, watch: &str) -> String {
        format!(
            "[engine]\nhold_outage = \"0s\"\nhold_degradation = \"0s\"\nhold_redundancy = \"0s\"\n\
             [watch]\nafter = \"1s\"\n{watch}\n[watch.mail]\nto = [\"noc@x.example\"]\n\
             from = \"bridge@x.example\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n",
            self.port
        )
    }

    /// Waits for a letter that says this.
    fn until(&self, words: &str) {
        until(words, || {
            let letters = self.letters.lock().unwrap();
            letters.iter().any(|letter| letter.contains(words))
        });
    }
}

fn session(mut stream: TcpStream, kept: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?);
    stream.write_all(b"220 sink\r\n")?;
    loop {
        let mut line = String::new();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let answer: &[u8] = match line.get(..4).unwrap_or("") {
            "RCPT" if line.contains("refused@") => b"550 nobody here\r\n",
            "DATA" => {
                stream.write_all(b"354 go on\r\n")?;
                let mut letter = String::new();
                while !letter.ends_with("\r\n.\r\n") && lines.read_line(&mut letter)? > 0 {}
                // Long header lines and long lines of text are folded.
                let letter = letter.replace("\r\n ", " ").replace("=\r\n", "");
                kept.lock().unwrap().push(letter);
                b"250 kept\r\n"
            }
            "QUIT" => b"221 bye\r\n",
            _ => b"250 ok\r\n",
        };
        stream.write_all(answer)?;
    }
}

/// A dead-man's switch: counts its calls.
fn switch() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/ping", listener.local_addr().unwrap());
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut asked = [0; 1024];
            if stream.read(&mut asked).is_ok_and(|count| count > 0) {
                counted.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
            }
        }
    });
    (url, calls)
}

fn until(what: &str, is_true: impl FnMut() -> bool) {
    until_within(90, what, is_true);
}

fn outage(key: &str) -> Value {
    json!({
        "dedup_key": key, "state": "problem", "severity_hint": "outage", "host": key,
        "summary": format!("{key} is down"), "check": "ping",
    })
}

fn with_subject<'a>(tickets: &'a [Value], words: &str) -> Vec<&'a Value> {
    let says = |ticket: &&Value| ticket["subject"].as_str().unwrap().contains(words);
    tickets.iter().filter(says).collect()
}

/// Holds a database's lock: nothing can be written to it.
fn lock(dir: &Path, file: &str) -> rusqlite::Connection {
    let other = rusqlite::Connection::open(dir.join("data").join(file)).unwrap();
    other.busy_timeout(Duration::from_secs(20)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    other
}

#[test]
fn a_store_that_cannot_be_written_goes_out_by_letter_and_becomes_a_ticket_afterwards() {
    let dir = tempfile::tempdir().unwrap();
    let server = MailServer::start();
    let (url, calls) = switch();
    let watch = format!("clear_after = \"3s\"\nping_url = \"{url}\"\nping_every = \"200ms\"");
    let daemon = Daemon::start_with(dir.path(), &server.config(&watch), &[]);
    until("the switch is called", || calls.load(Ordering::SeqCst) > 2);

    let other = lock(dir.path(), "journal.db");
    server.until("the store cannot be written");
    let called = calls.load(Ordering::SeqCst);
    // Each answer waits as long as the writer waits for the lock: one may be too late for its client.
    until("doors refuse", || {
        let refused = daemon.post(&outage("meanwhile"));
        refused.is_ok_and(|status| status == 503)
    });
    until("it is not ready", || {
        let ready = daemon.ask("operators", "GET", "/readyz", "");
        ready.is_ok_and(|(status, _)| status == 503)
    });
    assert_eq!(
        calls.load(Ordering::SeqCst),
        called,
        "only while all is well"
    );

    other.execute_batch("ROLLBACK").unwrap();
    server.until("over: the store cannot be written");
    until("the switch is called again", || {
        calls.load(Ordering::SeqCst) > called
    });
    let about = "The store could not be written";
    daemon.until(
        "its ticket, resolved once it was well for a while",
        |tickets| {
            let own = with_subject(tickets, about);
            own.len() == 1 && own[0]["status"] == "resolved"
        },
    );
    let metrics = daemon.metrics();
    let received = "alertbridge_alerts_received_total{source=\"alertbridge\"} 2";
    assert!(metrics.contains(received), "{metrics}");
    let letters = server.letters.lock().unwrap();
    assert_eq!(letters.len(), 2, "one when it began, one when it was over");
}

#[test]
fn an_engine_that_is_stuck_goes_out_by_letter() {
    let dir = tempfile::tempdir().unwrap();
    let server = MailServer::start();
    let daemon = Daemon::start_with(dir.path(), &server.config(""), &[]);
    let other = lock(dir.path(), "state.db");
    assert_eq!(daemon.post(&outage("kept")).unwrap(), 202);
    server.until("the engine is stuck");
    assert_eq!(
        daemon.ask("operators", "GET", "/readyz", "").unwrap().0,
        503
    );
    other.execute_batch("ROLLBACK").unwrap();
    server.until("over: the engine is stuck");
    daemon.until("what was kept, and that it was stuck", |tickets| {
        with_subject(tickets, "kept is down").len() == 1
            && with_subject(tickets, "The engine was stuck").len() == 1
    });
}

#[test]
fn a_quarantine_that_grows_opens_one_ticket_and_a_restart_does_not_forget_to_resolve_it() {
    let dir = tempfile::tempdir().unwrap();
    let server = MailServer::start();
    let config = server.config("quarantine_growth = 3\nclear_after = \"2s\"");
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    let about = "Many messages cannot be read";
    daemon.until("a ticket", |tickets| {
        let (status, _) = daemon.ask("http", "POST", "/hooks/zabbix", "{").unwrap();
        assert_eq!(status, 200);
        with_subject(tickets, about).len() == 1
    });
    daemon.kill();
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    daemon.until("resolved by the next process", |tickets| {
        let own = with_subject(tickets, about);
        own.len() == 1 && own[0]["status"] == "resolved"
    });
}

#[test]
fn what_ends_soon_and_what_was_given_up_open_tickets() {
    let dir = tempfile::tempdir().unwrap();
    let server = MailServer::start();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut wanted = rcgen::CertificateParams::new(vec!["bridge.example".to_owned()]).unwrap();
    let day = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(5 * 24);
    let day = day.to_string();
    let day: jiff::civil::Date = day.get(..10).unwrap().parse().unwrap();
    let (month, date) = (day.month().unsigned_abs(), day.day().unsigned_abs());
    wanted.not_after = rcgen::date_time_ymd(i32::from(day.year()), month, date);
    let certificate = wanted.self_signed(&key).unwrap().pem();
    std::fs::write(dir.path().join("server.pem"), certificate).unwrap();
    std::fs::write(dir.path().join("key.pem"), key.serialize_pem()).unwrap();
    let config = format!(
        "{}[smtp]\nlisten = \"127.0.0.1:0\"\n\
         tls = {{ certificate = \"server.pem\", key = {{ file = \"key.pem\" }} }}\n\
         [tracker.support]\nkind = \"mail\"\nto = \"refused@x.example\"\n\
         from = \"bridge@x.example\"\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n\
         token_ends = \"{day}\"\n\
         [[route]]\nname = \"support\"\nmatch = [\"title=~given.*\"]\ntracker = \"support\"\n",
        server.config(""),
        server.port
    );
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    assert_eq!(daemon.post(&outage("given-1")).unwrap(), 202);
    for words in [
        "Ends soon: the certificate of door smtp",
        "Ends soon: the token of tracker support",
        "Tickets for tracker support were given up",
    ] {
        daemon.until(words, |tickets| with_subject(tickets, words).len() == 1);
    }
    assert!(server.letters.lock().unwrap().is_empty(), "tickets suffice");
}
