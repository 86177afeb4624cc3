//! A tracker that reads mail: what arrives at its server, and what an uncertain outcome does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod tracker_contract;

use alertbridge::model::ticket::RemoteRef;
use alertbridge::trackers::mail::{MailConfig, MailTracker};
use alertbridge::trackers::{Attachment, Called, Change, Tracker};
use futures_util::future::BoxFuture;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tracker_contract::{Act, People, done, draft, ready};

/// What the server does once it has a whole letter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Takes,
    TakesAndHangsUp,
    TryLater,
    Refuses,
}

/// A mail server that keeps what it takes.
struct Server {
    port: u16,
    letters: Arc<Mutex<Vec<String>>>,
    mood: Arc<Mutex<Mood>>,
}

impl Server {
    async fn start() -> Server {
        ready();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let letters = Arc::new(Mutex::new(Vec::new()));
        let mood = Arc::new(Mutex::new(Mood::Takes));
        let (kept, feels) = (letters.clone(), mood.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(session(stream, kept.clone(), feels.clone()));
            }
        });
        Server {
            port,
            letters,
            mood,
        }
    }

    fn tracker(&self, more: &str) -> MailTracker {
        let text = format!(
            "to = \"Support <support@tracker.example>\"\nfrom = \"bridge@noc.example\"\n\
             host = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n{more}",
            self.port
        );
        let config: MailConfig = toml::from_str(&text).unwrap();
        MailTracker::new("mail", config).unwrap()
    }

    fn letters(&self) -> Vec<String> {
        self.letters.lock().unwrap().clone()
    }

    fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

async fn session(
    stream: TcpStream,
    letters: Arc<Mutex<Vec<String>>>,
    mood: Arc<Mutex<Mood>>,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 tracker.example\r\n").await.ok()?;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let verb = line.get(..4).unwrap_or("").to_uppercase();
        let answer = match verb.as_str() {
            "EHLO" => "250-tracker.example\r\n250 8BITMIME\r\n",
            "QUIT" => return stream.write_all(b"221 bye\r\n").await.ok(),
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await.ok()?;
                let mut letter = Vec::new();
                while !letter.ends_with(b"\r\n.\r\n") {
                    letter.push(stream.read_u8().await.ok()?);
                }
                let mood = *mood.lock().unwrap();
                if matches!(mood, Mood::Takes | Mood::TakesAndHangsUp) {
                    let letter = String::from_utf8(letter).unwrap();
                    letters.lock().unwrap().push(letter);
                }
                match mood {
                    Mood::Takes => "250 taken\r\n",
                    Mood::TakesAndHangsUp => return None,
                    Mood::TryLater => "451 try again\r\n",
                    Mood::Refuses => "554 no such queue\r\n",
                }
            }
            _ => "250 ok\r\n",
        };
        stream.write_all(answer.as_bytes()).await.ok()?;
    }
}

impl People for Server {
    fn act<'a>(&'a self, _ticket: &'a RemoteRef, _act: Act) -> BoxFuture<'a, bool> {
        Box::pin(async { false })
    }
}

/// A header's value, folded lines joined.
fn header(letter: &str, name: &str) -> String {
    let head = letter
        .split("\r\n\r\n")
        .next()
        .unwrap()
        .replace("\r\n ", " ");
    let found = head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name)
            .then(|| value.trim().to_owned())
    });
    found.unwrap_or_default()
}

#[tokio::test]
async fn it_holds_what_every_tracker_holds() {
    let server = Server::start().await;
    tracker_contract::holds(&server.tracker(""), &server).await;
}

#[tokio::test]
async fn later_letters_refer_to_the_first() {
    let server = Server::start().await;
    let tracker = server.tracker("subject_prefix = \"[NOC]\"");
    let ticket = done(tracker.open(&draft("ab-12", "core-1 is down")).await);
    let note = Change::Note {
        marker: "ab-12-7-0".to_owned(),
        text: "Spare part ordered.".to_owned(),
        public: false,
        about: "core-1 is down".to_owned(),
    };
    done(tracker.change(&ticket, &note).await);
    // What the dispatcher makes of fields that cannot be changed.
    let change = Change::Note {
        marker: "ab-12-v2".to_owned(),
        text: "Status: resolved\nSeverity: S2\n".to_owned(),
        public: false,
        about: "core-1 is down".to_owned(),
    };
    done(tracker.change(&ticket, &change).await);
    let letters = server.letters();
    assert_eq!(letters.len(), 3);
    assert_eq!(
        header(&letters[0], "Subject"),
        "[NOC] core-1 is down [ab-12]"
    );
    assert_eq!(header(&letters[0], "Message-ID"), "<ab-12@noc.example>");
    assert_eq!(header(&letters[0], "Auto-Submitted"), "auto-generated");
    for letter in &letters[1..] {
        assert_eq!(
            header(letter, "Subject"),
            "Re: [NOC] core-1 is down [ab-12]"
        );
        assert_eq!(header(letter, "References"), "<ab-12@noc.example>");
        assert_eq!(header(letter, "In-Reply-To"), "<ab-12@noc.example>");
    }
    assert!(letters[1].contains("Spare part ordered."));
    assert!(letters[2].contains("Status: resolved") && letters[2].contains("Severity: S2"));
}

#[tokio::test]
async fn a_letter_sent_again_has_the_same_message_id() {
    let server = Server::start().await;
    let tracker = server.tracker("");
    server.set(Mood::TakesAndHangsUp);
    let called = tracker.open(&draft("ab-1", "fan failed")).await;
    assert!(matches!(called, Called::Unknown { .. }), "{called:?}");
    server.set(Mood::Takes);
    let ticket = done(tracker.open(&draft("ab-1", "fan failed")).await);
    let change = Change::Note {
        marker: "ab-1-v2".to_owned(),
        text: "Status: open\n".to_owned(),
        public: false,
        about: "fan failed".to_owned(),
    };
    done(tracker.change(&ticket, &change).await);
    done(tracker.change(&ticket, &change).await);
    let ids: Vec<_> = server
        .letters()
        .iter()
        .map(|letter| header(letter, "Message-ID"))
        .collect();
    assert_eq!(ids[0], ids[1]);
    assert_eq!(ids[2], ids[3]);
    assert_ne!(ids[1], ids[2]);
}

#[tokio::test]
async fn what_the_server_says_is_told_apart() {
    let server = Server::start().await;
    let tracker = server.tracker("");
    server.set(Mood::TryLater);
    let called = tracker.open(&draft("ab-1", "x")).await;
    assert!(matches!(called, Called::Later { .. }), "{called:?}");
    server.set(Mood::Refuses);
    let called = tracker.open(&draft("ab-1", "x")).await;
    let Called::Refused { reason, .. } = called else {
        panic!("{called:?}");
    };
    assert!(reason.contains("no such queue"), "{reason}");
    drop(server);
    let text = "to = \"a@b.example\"\nfrom = \"c@d.example\"\nhost = \"127.0.0.1\"\nport = 9\ntls = \"none\"";
    let nobody = MailTracker::new("mail", toml::from_str(text).unwrap()).unwrap();
    let called = nobody.open(&draft("ab-1", "x")).await;
    assert!(matches!(called, Called::Later { .. }), "{called:?}");
    assert!(nobody.check(tracker_contract::now()).await[0].is_err());
}

#[tokio::test]
async fn text_of_alerts_becomes_no_header_and_no_tag() {
    let server = Server::start().await;
    let tracker = server.tracker("auto_submitted = false");
    let mut letter = draft("ab-9", "[pool #1] down\r\nBcc: everyone@example.com");
    letter.body = "Ticket#7\r\n.\r\nQUIT\r\nfrom [pool #1]".to_owned();
    done(tracker.open(&letter).await);
    let letters = server.letters();
    assert_eq!(letters.len(), 1);
    assert_eq!(header(&letters[0], "Bcc"), "");
    assert_eq!(header(&letters[0], "Auto-Submitted"), "");
    assert!(!letters[0].contains("#1]") && !letters[0].contains("Ticket#7"));
    assert!(letters[0].contains("QUIT"), "the whole text arrived");
}

/// What each reader takes: a letter that it would drop or file as a new ticket is not sent.
#[tokio::test]
async fn letters_are_as_their_reader_expects_them() {
    let server = Server::start().await;
    for (reader, auto_submitted, notes, once) in [
        ("rt", true, false, false),
        ("redmine", false, false, false),
        ("zammad", true, true, false),
        ("znuny", true, true, false),
        ("osticket", true, true, true),
        ("freescout", true, true, true),
        ("freshdesk", true, true, false),
        ("zendesk", false, false, false),
        ("jira", false, true, false),
        ("other", true, true, false),
    ] {
        let tracker = server.tracker(&format!("reader = \"{reader}\""));
        let can = tracker.capabilities();
        assert_eq!((can.notes, can.creates_once), (notes, once), "{reader}");
        done(
            tracker
                .open(&draft("ab-3", "OPS-7: [pool #1] is down"))
                .await,
        );
        let letter = server.letters().pop().unwrap();
        let says = header(&letter, "Auto-Submitted") == "auto-generated";
        assert_eq!(says, auto_submitted, "{reader}");
        let subject = header(&letter, "Subject");
        assert!(!subject.contains("#1"), "{reader}: {subject}");
        assert_eq!(subject.contains("OPS-7"), reader != "jira", "{subject}");
    }
}

#[tokio::test]
async fn files_are_enclosed() {
    let server = Server::start().await;
    let mut one = draft("ab-4", "x");
    one.attachments = vec![Attachment::of_text("ab-4.txt", "the whole text")];
    done(server.tracker("").open(&one).await);
    let letter = server.letters().pop().unwrap();
    assert!(letter.contains("filename=\"ab-4.txt\""), "{letter}");
    assert!(letter.contains("the whole text"), "{letter}");
}

#[test]
fn a_password_never_leaves_in_the_clear() {
    let text = "to = \"a@b.example\"\nfrom = \"c@d.example\"\nhost = \"mail.example\"\ntls = \"none\"\nuser = \"x\"\npassword = \"y\"";
    let refused = MailTracker::new("mail", toml::from_str(text).unwrap());
    assert!(refused.err().unwrap().contains("in the clear"));
}
