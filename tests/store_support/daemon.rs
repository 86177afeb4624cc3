//! A daemon as a process, over real sockets.

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running daemon; killed at the end.
pub struct Daemon {
    pub process: Child,
    addresses: Value,
}

impl Daemon {
    /// Starts it with its data in `data` and its configuration beside.
    pub fn start(config_dir: &Path, data: &Path) -> Daemon {
        Daemon::start_by(&[], config_dir, data)
    }

    /// The same through a command that runs it.
    pub fn start_by(wrapper: &[&str], config_dir: &Path, data: &Path) -> Daemon {
        let config = config_dir.join("config.toml");
        let listen = "listen = \"127.0.0.1:0\"\n";
        let doors = ["http", "smtp", "lmtp", "operators"];
        let text: String = doors
            .iter()
            .map(|door| format!("[{door}]\n{listen}"))
            .collect();
        std::fs::write(&config, text).unwrap();
        let ready = config_dir.join("ready");
        let _ = std::fs::remove_file(&ready);
        let binary = env!("CARGO_BIN_EXE_alertbridge");
        let mut command = match wrapper.split_first() {
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(binary);
                command
            }
            None => Command::new(binary),
        };
        let mut process = command
            .args(["serve", "--config"])
            .arg(&config)
            .arg("--data-dir")
            .arg(data)
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
            assert_eq!(process.try_wait().unwrap(), None, "the daemon ended");
            assert!(began.elapsed() < Duration::from_secs(60), "it is not ready");
            std::thread::sleep(Duration::from_millis(20));
        };
        Daemon { process, addresses }
    }

    fn connect(&self, door: &str) -> TcpStream {
        let stream = TcpStream::connect(self.addresses[door].as_str().unwrap()).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        stream
    }

    /// Status and body.
    pub fn ask(&self, door: &str, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = self.connect(door);
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             Content-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        (status.unwrap_or(0), body.to_owned())
    }

    /// Posts an outage with details; the status.
    pub fn post(&self, key: &str, details: &str) -> u16 {
        let event = json!({
            "dedup_key": key, "state": "problem", "severity_hint": "outage",
            "summary": format!("{key} is down"), "details": details,
            "host": key, "site": format!("site-{key}"), "check": "ping",
        });
        self.ask("http", "POST", "/v1/events", &event.to_string()).0
    }

    /// Sends a mail; the reply to its data.
    pub fn mail(&self, subject: &str, body: &str) -> String {
        let mut stream = self.connect("smtp");
        let mut said = String::new();
        let data = format!("Subject: {subject}\r\n\r\n{body}\r\n.\r\n");
        for line in [
            "EHLO monitor.example.net\r\n",
            "MAIL FROM:<nagios@example.net>\r\n",
            "RCPT TO:<alerts@example.net>\r\n",
            "DATA\r\n",
            &data,
            "QUIT\r\n",
        ] {
            said = reply(&mut stream);
            stream.write_all(line.as_bytes()).unwrap();
        }
        said
    }

    /// The desk's tickets by subject.
    pub fn subjects(&self) -> Vec<String> {
        let mut subjects = Vec::new();
        let mut path = "/api/v1/desk/tickets".to_owned();
        loop {
            let (status, body) = self.ask("operators", "GET", &path, "");
            assert_eq!(status, 200);
            let page: Value = serde_json::from_str(&body).unwrap();
            for ticket in page["tickets"].as_array().unwrap() {
                subjects.push(ticket["subject"].as_str().unwrap().to_owned());
            }
            match page["next"].as_u64() {
                Some(next) => path = format!("/api/v1/desk/tickets?before={next}"),
                None => return subjects,
            }
        }
    }

    /// Waits until it is so.
    pub fn until(&self, what: &str, is_true: impl Fn(&Daemon) -> bool) {
        let began = Instant::now();
        while !is_true(self) {
            assert!(
                began.elapsed() < Duration::from_secs(60),
                "{what}: {:#?}",
                self.subjects()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// As the power switch would.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn reply(stream: &mut TcpStream) -> String {
    let mut all = Vec::new();
    let mut byte = [0];
    // The last line of a reply has a blank after its code.
    while stream.read(&mut byte).unwrap() == 1 {
        all.push(byte[0]);
        let text = String::from_utf8_lossy(&all);
        let last = text.trim_end().lines().next_back().unwrap_or_default();
        if text.ends_with("\r\n") && last.as_bytes().get(3) == Some(&b' ') {
            break;
        }
    }
    String::from_utf8_lossy(&all).into_owned()
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
