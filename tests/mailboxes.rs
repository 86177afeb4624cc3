//! Mailboxes that the bridge reads: a Maildir, and IMAP folders of a real Dovecot (its address in
//! `ALERTBRIDGE_TEST_IMAP`, see `tests/services/dovecot.sh`), over restarts and lost servers.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod daemon_support;
mod intake_support;

use alertbridge::intake::imap::{self as intake_imap, ImapConfig};
use alertbridge::intake::mailbox::{MailboxMetrics, Reading};
use alertbridge::intake::maildir::{self as intake_maildir, MaildirConfig};
use alertbridge::intake::smtp::InHand;
use alertbridge::model::Time;
use daemon_support::{Daemon, until_within};
use intake_support::Mode;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

fn alert(host: &str, word: &str, state: &str) -> String {
    format!(
        "From: nagios@mon.example\r\nMessage-ID: <{host}.{word}@mon.example>\r\n\
         Subject: ** {word} Host Alert: {host} is {state} **\r\n\r\n\
         Notification Type: {word}\r\nHost: {host}\r\nState: {state}\r\n"
    )
}

fn has(tickets: &[Value], host: &str) -> bool {
    let about = |ticket: &Value| ticket["subject"].as_str().unwrap().contains(host);
    tickets.iter().any(about)
}

/// The value of a series.
fn series(daemon: &Daemon, name: &str) -> Option<f64> {
    let text = daemon.metrics();
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

fn until(what: &str, is_true: impl FnMut() -> bool) {
    until_within(60, what, is_true);
}

fn up(daemon: &Daemon, mailbox: &str) -> bool {
    let name = format!("alertbridge_mailbox_up{{mailbox=\"{mailbox}\"}}");
    series(daemon, &name) == Some(1.0)
}

fn files(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// As a mail server does: written to `tmp`, then renamed.
fn put(maildir: &Path, name: &str, mail: &str) {
    let tmp = maildir.join("tmp").join(name);
    std::fs::write(&tmp, mail).unwrap();
    std::fs::rename(tmp, maildir.join("new").join(name)).unwrap();
}

fn maildir(dir: &Path, after: &str) -> (std::path::PathBuf, String) {
    let path = dir.join("Maildir");
    for part in ["tmp", "new", "cur"] {
        std::fs::create_dir_all(path.join(part)).unwrap();
    }
    let config = format!(
        "[engine]\nhold_outage = \"0s\"\n[[mailbox]]\nkind = \"maildir\"\nname = \"box\"\n\
         path = \"{}\"\nafter = \"{after}\"\npoll_every = \"100ms\"\n",
        path.display()
    );
    (path, config)
}

#[test]
fn a_maildir_is_taken_in_once_over_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let (path, config) = maildir(dir.path(), "keep");
    put(&path, "1.a.mon", &alert("md-1", "PROBLEM", "DOWN"));
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    daemon.until("a ticket", |tickets| has(tickets, "md-1"));
    until("in cur", || files(&path.join("cur")) == ["1.a.mon:2,S"]);
    assert!(up(&daemon, "box"));
    daemon.kill();

    // The same mail again under another name, as after a crash of the mail server; and a file that
    // was taken in just before the last end: it was never moved.
    put(&path, "2.b.mon", &alert("md-1", "PROBLEM", "DOWN"));
    std::fs::rename(path.join("cur/1.a.mon:2,S"), path.join("new/1.a.mon")).unwrap();
    put(&path, "3.c.mon", &alert("md-2", "PROBLEM", "DOWN"));
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    daemon.until("the new one", |tickets| has(tickets, "md-2"));
    until("nothing in new", || files(&path.join("new")).is_empty());
    assert_eq!(daemon.tickets().len(), 2);
    let repeats = "alertbridge_alerts_total{outcome=\"deduplicated\",source=\"mail\"}";
    assert_eq!(series(&daemon, repeats), Some(2.0));
    daemon.kill();
}

#[test]
fn a_maildir_that_is_lost_shows_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let (path, config) = maildir(dir.path(), "delete");
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    until("up", || up(&daemon, "box"));
    let away = dir.path().join("away");
    std::fs::rename(&path, &away).unwrap();
    until("down", || !up(&daemon, "box"));
    put(&away, "1.a.mon", &alert("md-3", "PROBLEM", "DOWN"));
    std::fs::rename(&away, &path).unwrap();
    daemon.until("a ticket", |tickets| has(tickets, "md-3"));
    until("gone", || files(&path.join("new")).is_empty());
    assert!(files(&path.join("cur")).is_empty());
}

/// Told nothing, remembers nothing.
struct Untold;

impl MailboxMetrics for Untold {
    fn mailbox_up(&self, _mailbox: &str, _up: bool) {}
    fn mailbox_looked(&self, _mailbox: &str, _at: Time) {}
}

#[tokio::test]
async fn nothing_leaves_a_mailbox_before_the_journal_has_it() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = maildir(dir.path(), "delete");
    put(&path, "1.a.mon", &alert("md-4", "PROBLEM", "DOWN"));
    let bench = intake_support::bench(vec![]);
    bench.journal.set(Mode::Fail);
    let reading = Arc::new(Reading {
        intake: bench.intake.clone(),
        in_hand: InHand::new(1 << 20),
        metrics: Arc::new(Untold),
    });
    let config = format!(
        "name = \"box\"\npath = \"{}\"\nafter = \"delete\"\npoll_every = \"20ms\"\n",
        path.display()
    );
    let config: MaildirConfig = toml::from_str(&config).unwrap();
    let stop = CancellationToken::new();
    let task = tokio::spawn(intake_maildir::run(config, reading, stop.clone()));
    let appends = || bench.journal.tried();
    intake_support::until("an append that failed", || appends() > 0).await;
    assert_eq!(files(&path.join("new")), ["1.a.mon"]);
    bench.journal.set(Mode::Hold);
    intake_support::until("an append that waits", || appends() > 1).await;
    assert_eq!(files(&path.join("new")), ["1.a.mon"]);
    bench.journal.set(Mode::Commit);
    intake_support::until("gone", || files(&path.join("new")).is_empty()).await;
    assert_eq!(bench.journal.inputs().len(), 1);
    stop.cancel();
    task.await.unwrap();
}

/// A real server, or why there is none.
struct Server {
    imap: String,
    imaps: String,
    ca: String,
    lmtp: String,
}

fn server() -> Option<Server> {
    let env = |name: &str| std::env::var(name).ok();
    let found = (|| {
        Some(Server {
            imap: env("ALERTBRIDGE_TEST_IMAP")?,
            imaps: env("ALERTBRIDGE_TEST_IMAPS")?,
            ca: env("ALERTBRIDGE_TEST_IMAP_CA")?,
            lmtp: env("ALERTBRIDGE_TEST_IMAP_LMTP")?,
        })
    })();
    if found.is_none() {
        println!("NOT RUN: IMAP against a real Dovecot: ALERTBRIDGE_TEST_IMAP is not set");
    }
    found
}

/// Puts a mail into a user's inbox, by the server's own LMTP.
fn deliver(server: &Server, user: &str, mail: &str) {
    let mut stream = BufReader::new(TcpStream::connect(&server.lmtp).unwrap());
    let mut reply = String::new();
    for line in [
        "LHLO test\r\n".to_owned(),
        "MAIL FROM:<nagios@mon.example>\r\n".to_owned(),
        format!("RCPT TO:<{user}@localhost>\r\n"),
        "DATA\r\n".to_owned(),
        format!("{mail}.\r\n"),
        "QUIT\r\n".to_owned(),
    ] {
        loop {
            reply.clear();
            stream.read_line(&mut reply).unwrap();
            if reply.as_bytes().get(3) == Some(&b' ') {
                break;
            }
        }
        assert!(reply.starts_with(['2', '3']), "before {line}: {reply}");
        stream.get_mut().write_all(line.as_bytes()).unwrap();
    }
}

/// Answers of the server to one command of a user who looks at a folder.
fn look(server: &Server, user: &str, folder: &str, command: &str) -> String {
    let mut stream = BufReader::new(TcpStream::connect(&server.imap).unwrap());
    let mut said = String::new();
    stream.read_line(&mut said).unwrap();
    for line in [
        format!("a LOGIN {user} labpw"),
        format!("b SELECT {folder}"),
        format!("c {command}"),
    ] {
        said.clear();
        stream
            .get_mut()
            .write_all(format!("{line}\r\n").as_bytes())
            .unwrap();
        let tag = line.split(' ').next().unwrap();
        loop {
            let start = said.len();
            assert!(stream.read_line(&mut said).unwrap() > 0, "{line}: {said}");
            if said.get(start..).unwrap().starts_with(&format!("{tag} ")) {
                break;
            }
        }
    }
    said
}

fn imap(dir: &Path, address: &str, user: &str, more: &str) -> String {
    std::fs::write(dir.join("password"), "labpw\n").unwrap();
    let (host, port) = address.rsplit_once(':').unwrap();
    format!(
        "[engine]\nhold_outage = \"0s\"\n[[mailbox]]\nkind = \"imap\"\nname = \"box\"\n\
         host = \"{host}\"\nport = {port}\nuser = \"{user}\"\n\
         password = {{ file = \"password\" }}\npoll_every = \"1h\"\n{more}\n"
    )
}

/// A name that no other test or run uses.
fn user(name: &str) -> String {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    format!("{name}-{now}")
}

#[test]
fn idle_over_tls_tells_at_once_and_nothing_comes_twice() {
    let Some(server) = server() else { return };
    let dir = tempfile::tempdir().unwrap();
    let user = user("idle");
    deliver(&server, &user, &alert("im-1", "PROBLEM", "DOWN"));
    let more = format!("ca_file = \"{}\"", server.ca);
    let config = imap(dir.path(), &server.imaps, &user, &more);
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    daemon.until("what lay there", |tickets| has(tickets, "im-1"));
    until("up", || up(&daemon, "box"));
    // The folder is looked through once an hour: this one comes by IDLE.
    deliver(&server, &user, &alert("im-2", "PROBLEM", "DOWN"));
    daemon.until("what arrived", |tickets| has(tickets, "im-2"));
    // Somebody else reads the mail: flags mean nothing to the ledger.
    look(&server, &user, "INBOX", "STORE 1:* +FLAGS (\\Seen)");
    daemon.kill();
    deliver(&server, &user, &alert("im-3", "PROBLEM", "DOWN"));
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    daemon.until("what came meanwhile", |tickets| has(tickets, "im-3"));
    assert_eq!(daemon.tickets().len(), 3);
    let accepted = "alertbridge_alerts_received_total{source=\"mail\"}";
    assert_eq!(
        series(&daemon, accepted),
        Some(1.0),
        "only the new one was read"
    );
    assert!(look(&server, &user, "INBOX", "SEARCH ALL").contains("1 2 3"));
}

#[tokio::test]
async fn nothing_leaves_an_imap_folder_before_the_journal_has_it() {
    let Some(server) = server() else { return };
    let dir = tempfile::tempdir().unwrap();
    let user = user("kept");
    deliver(&server, &user, &alert("im-12", "PROBLEM", "DOWN"));
    let password = dir.path().join("password");
    std::fs::write(&password, "labpw\n").unwrap();
    let (host, port) = server.imap.rsplit_once(':').unwrap();
    let config = format!(
        "name = \"box\"\nhost = \"{host}\"\nport = {port}\ntls = \"none\"\nuser = \"{user}\"\n\
         password = {{ file = \"{}\" }}\nafter = \"delete\"\npoll_every = \"1s\"\n",
        password.display()
    );
    let config: ImapConfig = toml::from_str(&config).unwrap();
    let bench = intake_support::bench(vec![]);
    bench.journal.set(Mode::Fail);
    let reading = Arc::new(Reading {
        intake: bench.intake.clone(),
        in_hand: InHand::new(1 << 20),
        metrics: Arc::new(Untold),
    });
    let stop = CancellationToken::new();
    let task = tokio::spawn(intake_imap::run(config, reading, stop.clone()));
    let is_there = || look(&server, &user, "INBOX", "SEARCH ALL").starts_with("* SEARCH 1");
    intake_support::until("an append that failed", || bench.journal.tried() > 0).await;
    assert!(is_there());
    bench.journal.set(Mode::Hold);
    intake_support::until("an append that waits", || bench.journal.tried() > 1).await;
    assert!(is_there());
    bench.journal.set(Mode::Commit);
    intake_support::until("gone", || !is_there()).await;
    assert_eq!(bench.journal.inputs().len(), 1);
    stop.cancel();
    task.await.unwrap();
}

#[test]
fn a_new_uidvalidity_reads_the_folder_again_and_takes_only_what_is_new() {
    let Some(server) = server() else { return };
    let dir = tempfile::tempdir().unwrap();
    let user = user("again");
    deliver(&server, &user, &alert("im-4", "PROBLEM", "DOWN"));
    let more = "tls = \"none\"\nfolder = \"work\"";
    look(&server, &user, "INBOX", "CREATE work");
    look(&server, &user, "INBOX", "COPY 1 work");
    let config = imap(dir.path(), &server.imap, &user, more);
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    daemon.until("a ticket", |tickets| has(tickets, "im-4"));
    until("up", || up(&daemon, "box"));
    daemon.kill();
    let before = look(&server, &user, "INBOX", "STATUS work (UIDVALIDITY)");
    look(&server, &user, "INBOX", "DELETE work");
    look(&server, &user, "INBOX", "CREATE work");
    look(&server, &user, "INBOX", "COPY 1 work");
    deliver(&server, &user, &alert("im-5", "PROBLEM", "DOWN"));
    look(&server, &user, "INBOX", "COPY 2 work");
    let after = look(&server, &user, "INBOX", "STATUS work (UIDVALIDITY)");
    assert_ne!(before, after, "the server gave a new UIDVALIDITY");
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    daemon.until("the new one", |tickets| has(tickets, "im-5"));
    assert_eq!(daemon.tickets().len(), 2);
    let repeats = "alertbridge_alerts_total{outcome=\"deduplicated\",source=\"mail\"}";
    assert_eq!(series(&daemon, repeats), Some(1.0));
}

#[test]
fn what_was_taken_in_is_moved_or_deleted_as_configured() {
    let Some(server) = server() else { return };
    for (after, more) in [
        ("delete", "after = \"delete\""),
        ("move", "after = \"move\"\nmove_to = \"done\""),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let user = user(after);
        look(&server, &user, "INBOX", "CREATE done");
        deliver(&server, &user, &alert("im-6", "PROBLEM", "DOWN"));
        let more = format!("tls = \"none\"\n{more}");
        let config = imap(dir.path(), &server.imap, &user, &more);
        let daemon = Daemon::start_with(dir.path(), &config, &[]);
        daemon.until("a ticket", |tickets| has(tickets, "im-6"));
        until("gone from the inbox", || {
            let found = look(&server, &user, "INBOX", "SEARCH ALL");
            found.lines().next() == Some("* SEARCH")
        });
        let kept = look(&server, &user, "done", "SEARCH ALL");
        let is_there = kept.lines().next() == Some("* SEARCH 1");
        assert_eq!(is_there, after == "move", "{kept}");
    }
}

/// A proxy that can hold everything back, and forget its connections.
struct Proxy {
    address: String,
    hung: Arc<AtomicBool>,
    cut: Arc<AtomicBool>,
    /// What clients said.
    said: Arc<Mutex<Vec<u8>>>,
}

fn proxy(to: &str) -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (hung, cut) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(false)),
    );
    let said = Arc::new(Mutex::new(Vec::new()));
    let (to, state) = (to.to_owned(), (hung.clone(), cut.clone()));
    let heard = said.clone();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            if state.1.load(Ordering::SeqCst) {
                continue;
            }
            let server = TcpStream::connect(&to).unwrap();
            for (mut from, mut to, heard) in [
                (
                    client.try_clone().unwrap(),
                    server.try_clone().unwrap(),
                    Some(heard.clone()),
                ),
                (server, client, None),
            ] {
                let (hung, cut) = state.clone();
                from.set_read_timeout(Some(Duration::from_millis(50)))
                    .unwrap();
                std::thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    loop {
                        if cut.load(Ordering::SeqCst) {
                            let _ = to.shutdown(std::net::Shutdown::Both);
                            return;
                        }
                        if hung.load(Ordering::SeqCst) {
                            std::thread::sleep(Duration::from_millis(50));
                            continue;
                        }
                        match from.read(&mut buffer) {
                            Ok(0) => return,
                            Ok(read) => {
                                if let Some(heard) = &heard {
                                    heard.lock().unwrap().extend(&buffer[..read]);
                                }
                                if to.write_all(&buffer[..read]).is_err() {
                                    return;
                                }
                            }
                            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                            Err(_) => return,
                        }
                    }
                });
            }
        }
    });
    Proxy {
        address,
        hung,
        cut,
        said,
    }
}

/// What clients said to it, as far as it is text.
fn said(proxy: &Proxy) -> String {
    String::from_utf8_lossy(&proxy.said.lock().unwrap()).into_owned()
}

#[test]
fn starttls_comes_before_the_password() {
    let Some(server) = server() else { return };
    let dir = tempfile::tempdir().unwrap();
    let user = user("starttls");
    deliver(&server, &user, &alert("im-9", "PROBLEM", "DOWN"));
    let proxy = proxy(&server.imap);
    let address = proxy.address.replace("127.0.0.1", "localhost");
    let more = format!("tls = \"starttls\"\nca_file = \"{}\"", server.ca);
    let config = imap(dir.path(), &address, &user, &more);
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    daemon.until("what lay there", |tickets| has(tickets, "im-9"));
    deliver(&server, &user, &alert("im-10", "PROBLEM", "DOWN"));
    daemon.until("what arrived", |tickets| has(tickets, "im-10"));
    until("up", || up(&daemon, "box"));
    let said = said(&proxy);
    assert!(said.contains("STARTTLS\r\n"), "{said}");
    assert!(!said.contains("LOGIN") && !said.contains("labpw"), "{said}");
}

#[test]
fn nobody_logs_in_where_the_certificate_or_starttls_itself_is_not_right() {
    let Some(server) = server() else { return };
    // No authority that is known made the certificate; the name is not the certificate's.
    let wrong_name = server.imaps.replace("localhost", "127.0.0.1");
    let cleartext = proxy(&server.imap);
    let starttls = cleartext.address.replace("127.0.0.1", "localhost");
    let ca = format!("ca_file = \"{}\"", server.ca);
    for (address, more) in [
        (&server.imaps, String::new()),
        (&wrong_name, ca.clone()),
        (&starttls, "tls = \"starttls\"".to_owned()),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let config = imap(dir.path(), address, &user("cert"), &more);
        let daemon = Daemon::start_with(dir.path(), &config, &[]);
        until("it is told", || {
            let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
            log.contains("mailbox_failed") && log.contains("TLS: ")
        });
        assert!(!up(&daemon, "box"));
    }
    assert!(!said(&cleartext).contains("LOGIN"));

    // A server, or somebody between, that knows no STARTTLS.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::new(Mutex::new(String::new()));
    let told = heard.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let _ = stream.get_mut().write_all(b"* OK ready\r\n");
            let mut line = String::new();
            while stream.read_line(&mut line).is_ok_and(|read| read > 0) {
                told.lock().unwrap().push_str(&line);
                let tag = line.split(' ').next().unwrap().to_owned();
                let _ = write!(stream.get_mut(), "{tag} BAD what?\r\n");
                line.clear();
            }
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let more = format!("tls = \"starttls\"\n{ca}");
    let config = imap(dir.path(), &format!("localhost:{port}"), "jo", &more);
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    until("it is told", || {
        let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
        log.contains("mailbox_failed") && log.contains("STARTTLS")
    });
    assert!(!up(&daemon, "box"));
    let heard = heard.lock().unwrap();
    assert!(
        heard.contains("STARTTLS") && !heard.contains("LOGIN"),
        "{heard}"
    );
}

#[test]
fn a_problem_told_by_mailbox_is_one_ticket_to_its_end() {
    let Some(server) = server() else { return };
    let dir = tempfile::tempdir().unwrap();
    let user = user("story");
    let config = imap(dir.path(), &server.imap, &user, "tls = \"none\"");
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    for (number, (word, state)) in [
        ("PROBLEM", "DOWN"),
        ("PROBLEM", "DOWN"),
        ("ACKNOWLEDGEMENT", "DOWN"),
        ("RECOVERY", "UP"),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("Message-ID: <{number}.{user}@mon.example>\r\nX-Id: ");
        let mail = alert("im-11", word, state).replace("Message-ID: ", &id);
        deliver(&server, &user, &mail);
        until(word, || daemon.is_at("im-11", number));
    }
    let tickets = daemon.until("its end", |tickets| {
        tickets.iter().all(|ticket| ticket["status"] == "resolved")
    });
    assert_eq!(tickets.len(), 1, "{tickets:#?}");
}

#[test]
fn a_lost_server_shows_and_is_come_back_to() {
    let Some(server) = server() else { return };
    let dir = tempfile::tempdir().unwrap();
    let user = user("lost");
    let proxy = proxy(&server.imap);
    let config = imap(dir.path(), &proxy.address, &user, "tls = \"none\"");
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    until("up", || up(&daemon, "box"));
    proxy.cut.store(true, Ordering::SeqCst);
    until("down", || !up(&daemon, "box"));
    deliver(&server, &user, &alert("im-7", "PROBLEM", "DOWN"));
    proxy.cut.store(false, Ordering::SeqCst);
    daemon.until("a ticket", |tickets| has(tickets, "im-7"));
    until("up again", || up(&daemon, "box"));
    // A server that says nothing any more: the time of the last look stands still.
    let name = "alertbridge_mailbox_last_success_timestamp_seconds{mailbox=\"box\"}";
    let last = series(&daemon, name).unwrap();
    proxy.hung.store(true, Ordering::SeqCst);
    deliver(&server, &user, &alert("im-8", "PROBLEM", "DOWN"));
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(series(&daemon, name), Some(last));
    proxy.hung.store(false, Ordering::SeqCst);
    daemon.until("it speaks again", |tickets| has(tickets, "im-8"));
}
