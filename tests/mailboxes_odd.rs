//! Mailboxes that are as odd as real ones are: an IMAP server with mails that it cannot hand out,
//! answers out of order, connections that break, and silence; a Maildir with files that cannot be had.
//! None of it stops the mails behind it, goes unseen, or costs a mail.
#![allow(clippy::unwrap_used, clippy::panic)]

mod intake_support;

use alertbridge::intake::imap::{self, ImapConfig, Patience};
use alertbridge::intake::mailbox::{MailboxMetrics, Reading};
use alertbridge::intake::maildir::{self, MaildirConfig};
use alertbridge::intake::smtp::InHand;
use alertbridge::limits::{IMAP_TRIES_PER_MAIL, MAIL_BYTES_MAX};
use alertbridge::model::{Input, Time};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What the server does and what it was told.
#[derive(Default)]
struct Server {
    /// It answers nothing any more.
    is_silent: AtomicBool,
    deleted: Mutex<Vec<u32>>,
    broke: AtomicUsize,
}

/// A literal.
fn body(uid: u32, section: &str, text: &str) -> String {
    let length = text.len();
    format!("* {uid} FETCH (UID {uid} BODY[{section}] {{{length}}}\r\n{text})\r\n")
}

const REFUSED: u32 = 1;
const EMPTY: u32 = 2;
const BREAKS: u32 = 3;
const AMONG_OTHERS: u32 = 4;
const HUGE: u32 = 5;
const GONE: u32 = 6;
const PLAIN: u32 = 7;

impl Server {
    fn start() -> (Arc<Server>, u16) {
        let server = Arc::new(Server::default());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let server = shared.clone();
                let stream = BufReader::new(stream.unwrap());
                std::thread::spawn(move || {
                    let _ = server.speak(stream);
                });
            }
        });
        (server, port)
    }

    fn speak(&self, mut stream: BufReader<TcpStream>) -> std::io::Result<()> {
        stream.get_mut().write_all(b"* OK ready\r\n")?;
        let mut line = String::new();
        let mut idle_tag = String::new();
        while stream.read_line(&mut line)? > 0 {
            while self.is_silent.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(5));
            }
            let words: Vec<&str> = line.split_whitespace().collect();
            let tag = words[0];
            let answer = match words.get(1).copied().unwrap_or("") {
                _ if tag == "DONE" => format!("{idle_tag} OK done\r\n"),
                "CAPABILITY" => {
                    format!("* CAPABILITY IMAP4rev1 IDLE UIDPLUS MOVE\r\n{tag} OK done\r\n")
                }
                "SELECT" => {
                    format!("* 7 EXISTS\r\n* OK [UIDVALIDITY 77] is\r\n{tag} OK done\r\n")
                }
                "IDLE" => {
                    tag.clone_into(&mut idle_tag);
                    "+ idling\r\n".to_owned()
                }
                "UID" if words[2] == "SEARCH" => {
                    format!("* SEARCH 7 5 1 3 2 6 4\r\n{tag} OK done\r\n")
                }
                "UID" if words[2] == "STORE" => {
                    self.deleted.lock().unwrap().push(words[3].parse().unwrap());
                    format!("{tag} OK done\r\n")
                }
                "UID" if words[2] == "FETCH" => {
                    let Some(told) = self.fetched(words[3].parse().unwrap(), &line, tag) else {
                        self.broke.fetch_add(1, Ordering::SeqCst);
                        return Ok(());
                    };
                    told
                }
                _ => format!("{tag} OK done\r\n"),
            };
            stream.get_mut().write_all(answer.as_bytes())?;
            line.clear();
        }
        Ok(())
    }

    /// What is told of a mail; `None` ends the connection.
    fn fetched(&self, uid: u32, line: &str, tag: &str) -> Option<String> {
        let done = format!("{tag} OK done\r\n");
        if uid == GONE {
            return Some(done);
        }
        if line.contains("RFC822.SIZE") {
            // Some servers are wrong about it.
            let size = if uid == HUGE { MAIL_BYTES_MAX + 1 } else { 3 };
            return Some(format!(
                "* {uid} FETCH (UID {uid} RFC822.SIZE {size})\r\n{done}"
            ));
        }
        let mail = format!("Subject: mail {uid}\r\n\r\nx\r\n");
        Some(match uid {
            REFUSED => format!("{tag} NO [SERVERBUG] the index is corrupt\r\n"),
            EMPTY => format!("* 2 FETCH (UID 2 BODY[] NIL)\r\n{done}"),
            BREAKS => return None,
            AMONG_OTHERS => {
                let others = "* 9 EXPUNGE\r\n* 1 FETCH (UID 1 FLAGS (\\Seen))\r\n* 8 EXISTS\r\n";
                let other = body(7, "", "Subject: nobody asked\r\n\r\n");
                format!("{others}{other}{}{done}", body(uid, "", &mail))
            }
            HUGE => body(uid, "HEADER", "Subject: huge\r\n\r\n") + &done,
            _ => body(uid, "", &mail) + &done,
        })
    }
}

/// What was told of the mailbox.
#[derive(Default)]
struct Told {
    up: Mutex<Vec<bool>>,
    looked: AtomicUsize,
}

impl MailboxMetrics for Told {
    fn mailbox_up(&self, _mailbox: &str, up: bool) {
        self.up.lock().unwrap().push(up);
    }

    fn mailbox_looked(&self, _mailbox: &str, _at: Time) {
        self.looked.fetch_add(1, Ordering::SeqCst);
    }
}

impl Told {
    fn downs(&self) -> usize {
        self.up.lock().unwrap().iter().filter(|up| !**up).count()
    }
}

/// What a mailbox is read into, and what is told of it.
fn reading(bench: &intake_support::Bench) -> (Arc<Told>, Arc<Reading>) {
    let told = Arc::new(Told::default());
    let reading = Reading {
        intake: bench.intake.clone(),
        in_hand: InHand::new(1 << 20),
        metrics: told.clone(),
    };
    (told, Arc::new(reading))
}

#[tokio::test]
async fn odd_mails_hold_up_none_and_silence_shows() {
    let (server, port) = Server::start();
    let dir = tempfile::tempdir().unwrap();
    let password = dir.path().join("password");
    std::fs::write(&password, "labpw\n").unwrap();
    let config = format!(
        "name = \"box\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\nuser = \"jo\"\n\
         password = {{ file = \"{}\" }}\nafter = \"delete\"\npoll_every = \"1h\"\n",
        password.display()
    );
    let mut config: ImapConfig = toml::from_str(&config).unwrap();
    config.patience = Patience {
        answer: Duration::from_secs(2),
        news: Duration::from_secs(1),
        again: Duration::from_millis(10),
    };
    let bench = intake_support::bench(vec![]);
    let (told, reading) = reading(&bench);
    let stop = CancellationToken::new();
    let task = tokio::spawn(imap::run(config, reading, stop.clone()));

    // It breaks at one mail again and again.
    intake_support::until("a look", || told.looked.load(Ordering::SeqCst) > 0).await;
    assert_eq!(told.downs(), IMAP_TRIES_PER_MAIL as usize);
    assert_eq!(
        server.broke.load(Ordering::SeqCst),
        IMAP_TRIES_PER_MAIL as usize
    );
    let inputs = bench.journal.inputs();
    let found: Vec<String> = inputs
        .iter()
        .map(|input| match input {
            Input::Undecoded(undecoded) => undecoded.reason.clone(),
            Input::Message(message) => message.events[0].summary.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    for (place, part) in [
        "does not hand out the mail with UID 1",
        "the mail with UID 2 without any content",
        "the connection broke 5 times at the mail with UID 3",
        "mail 4",
        "at most 26214400 are taken. Its header was kept",
        "mail 7",
    ]
    .iter()
    .enumerate()
    {
        assert!(found[place].contains(part), "{place}: {found:#?}");
    }
    assert_eq!(found.len(), 6, "{found:#?}");
    // Deleted is what the journal has whole, and nothing else.
    assert_eq!(*server.deleted.lock().unwrap(), [AMONG_OTHERS, PLAIN]);

    // The server falls silent while it is waited for news.
    assert_eq!(told.up.lock().unwrap().last(), Some(&true));
    server.is_silent.store(true, Ordering::SeqCst);
    let downs = told.downs();
    intake_support::until("it shows", || told.downs() > downs).await;
    let looked = told.looked.load(Ordering::SeqCst);

    // It speaks again, and nothing is taken twice.
    server.is_silent.store(false, Ordering::SeqCst);
    intake_support::until("up", || told.looked.load(Ordering::SeqCst) > looked).await;
    assert_eq!(bench.journal.inputs().len(), found.len());
    stop.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn a_file_that_cannot_be_had_holds_up_none_and_is_not_lost() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for part in ["tmp", "new", "cur"] {
        std::fs::create_dir(at(part)).unwrap();
    }
    // Larger than any mail: its end is not in the journal, so the file must not go.
    let huge = std::fs::File::create(at("new/1.huge.mon")).unwrap();
    (&huge).write_all(b"Subject: huge\r\n\r\n").unwrap();
    huge.set_len(MAIL_BYTES_MAX as u64 + 1).unwrap();
    // It cannot be moved where a folder of its name stands.
    std::fs::create_dir(at("cur/1.huge.mon:2,S")).unwrap();
    std::fs::write(at("new/2.a.mon"), "Subject: mail 2\r\n\r\nx\r\n").unwrap();
    let odd = dir.path().join(OsStr::from_bytes(b"new/3.\xff.mon"));
    std::fs::write(&odd, "Subject: mail 3\r\n\r\nx\r\n").unwrap();
    let config = format!(
        "name = \"box\"\npath = \"{}\"\nafter = \"delete\"\npoll_every = \"20ms\"\n",
        dir.path().display()
    );
    let config: MaildirConfig = toml::from_str(&config).unwrap();
    let bench = intake_support::bench(vec![]);
    let (told, reading) = reading(&bench);
    let stop = CancellationToken::new();
    let task = tokio::spawn(maildir::run(config, reading, stop.clone()));
    intake_support::until("those behind it", || {
        !at("new/2.a.mon").exists() && !odd.exists()
    })
    .await;
    assert!(at("new/1.huge.mon").exists());
    intake_support::until("it shows", || told.downs() > 0).await;
    assert_eq!(told.looked.load(Ordering::SeqCst), 0);
    std::fs::remove_dir(at("cur/1.huge.mon:2,S")).unwrap();
    intake_support::until("a look", || told.looked.load(Ordering::SeqCst) > 0).await;
    assert!(!at("new/1.huge.mon").exists());
    // Others are deleted; of this one nobody else has the whole.
    assert!(at("cur/1.huge.mon:2,S").is_file());
    assert_eq!(std::fs::read_dir(at("cur")).unwrap().count(), 1);
    let inputs = bench.journal.inputs();
    let waits = inputs.iter().filter(|input| match input {
        Input::Undecoded(undecoded) => undecoded.reason.contains("larger than 26214400 bytes"),
        _ => false,
    });
    assert_eq!(
        waits.count(),
        1,
        "once, however often it was tried: {inputs:?}"
    );
    stop.cancel();
    task.await.unwrap();
}
