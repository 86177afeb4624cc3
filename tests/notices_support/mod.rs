//! A mail server that keeps what it takes, on loopback.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing
)]

pub mod protected;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What the server does once it has a whole letter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mood {
    Takes,
    TakesAndHangsUp,
    TakesAndIsSilent,
    TryLater,
    Refuses,
}

/// A mail server.
#[derive(Clone)]
pub struct Sink {
    pub port: u16,
    letters: Arc<Mutex<Vec<Letter>>>,
    mood: Arc<Mutex<Mood>>,
}

/// One letter as it arrived.
#[derive(Clone, Debug)]
pub struct Letter {
    pub to: String,
    pub raw: String,
}

impl Letter {
    /// A header's value, decoded.
    pub fn header(&self, name: &str) -> String {
        let message = mail_parser::MessageParser::default()
            .parse(self.raw.as_bytes())
            .unwrap();
        if name == "Subject" {
            return message.subject().unwrap_or("").to_owned();
        }
        let raw = message.header_raw(name).unwrap_or("");
        raw.trim().to_owned()
    }

    /// What goes with it: names and texts.
    pub fn files(&self) -> Vec<(String, String)> {
        use mail_parser::MimeHeaders;
        let message = mail_parser::MessageParser::default()
            .parse(self.raw.as_bytes())
            .unwrap();
        message
            .attachments()
            .map(|part| {
                let name = part.attachment_name().unwrap_or("").to_owned();
                (name, part.text_contents().unwrap_or("").to_owned())
            })
            .collect()
    }

    /// The text, decoded.
    pub fn text(&self) -> String {
        let message = mail_parser::MessageParser::default()
            .parse(self.raw.as_bytes())
            .unwrap();
        message
            .body_text(0)
            .unwrap()
            .into_owned()
            .replace("\r\n", "\n")
    }
}

impl Sink {
    pub fn start() -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sink = Sink {
            port: listener.local_addr().unwrap().port(),
            letters: Arc::default(),
            mood: Arc::new(Mutex::new(Mood::Takes)),
        };
        let mine = sink.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mine = mine.clone();
                std::thread::spawn(move || mine.session(stream));
            }
        });
        sink
    }

    /// `[notices.mail]` for this server.
    pub fn section(&self) -> String {
        format!(
            "[notices.mail]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n\
             from = \"Example NOC <noc@example.net>\"\n",
            self.port
        )
    }

    pub fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub fn letters(&self) -> Vec<Letter> {
        self.letters.lock().unwrap().clone()
    }

    /// Waits until the letters are so.
    pub fn until(&self, what: &str, is_true: impl Fn(&[Letter]) -> bool) -> Vec<Letter> {
        let began = Instant::now();
        loop {
            let letters = self.letters();
            if is_true(&letters) {
                return letters;
            }
            let subjects: Vec<String> = letters.iter().map(|l| l.header("Subject")).collect();
            let waited = began.elapsed() < Duration::from_secs(60);
            assert!(waited, "{what}: {subjects:#?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn session(&self, stream: TcpStream) -> Option<()> {
        let mut out = stream.try_clone().ok()?;
        let mut lines = BufReader::new(stream);
        out.write_all(b"220 sink.example\r\n").ok()?;
        let mut to = String::new();
        loop {
            let mut line = String::new();
            if lines.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let verb = line.get(..4).unwrap_or("").to_uppercase();
            let answer = match verb.as_str() {
                "EHLO" => "250-sink.example\r\n250 8BITMIME\r\n",
                "QUIT" => return out.write_all(b"221 bye\r\n").ok(),
                "RCPT" => {
                    to = line.trim().to_owned();
                    "250 ok\r\n"
                }
                "DATA" => {
                    out.write_all(b"354 go on\r\n").ok()?;
                    let mut letter = Vec::new();
                    let mut byte = [0_u8];
                    while !letter.ends_with(b"\r\n.\r\n") {
                        lines.read_exact(&mut byte).ok()?;
                        letter.push(byte[0]);
                    }
                    letter.truncate(letter.len() - 3);
                    let mood = *self.mood.lock().unwrap();
                    if !matches!(mood, Mood::TryLater | Mood::Refuses) {
                        let address = to.split(['<', '>']).nth(1).unwrap_or("").to_owned();
                        self.letters.lock().unwrap().push(Letter {
                            to: address,
                            raw: String::from_utf8(letter).unwrap(),
                        });
                    }
                    match mood {
                        Mood::Takes => "250 taken\r\n",
                        Mood::TakesAndHangsUp => return None,
                        Mood::TakesAndIsSilent => {
                            std::thread::sleep(Duration::from_secs(120));
                            return None;
                        }
                        Mood::TryLater => "451 try again\r\n",
                        Mood::Refuses => "554 nobody here\r\n",
                    }
                }
                _ => "250 ok\r\n",
            };
            out.write_all(answer.as_bytes()).ok()?;
        }
    }
}
