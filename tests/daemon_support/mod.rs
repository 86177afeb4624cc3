//! A daemon as a process on free ports, for tests over real sockets.
#![allow(dead_code, clippy::unwrap_used, clippy::panic)]

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// A configuration on free ports, with more before it.
pub fn configuration(more: &str) -> String {
    let doors: String = ["http", "smtp", "lmtp", "operators"]
        .iter()
        .filter(|door| !more.contains(&format!("[{door}]")))
        .map(|door| format!("[{door}]\nlisten = \"127.0.0.1:0\"\n"))
        .collect();
    format!("{more}\n{doors}")
}

/// Waits until something is true, half a minute at most.
pub fn until(what: &str, is_true: impl FnMut() -> bool) {
    until_within(30, what, is_true);
}

/// The same with another bound.
pub fn until_within(seconds: u64, what: &str, mut is_true: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_true() {
        assert!(
            began.elapsed() < Duration::from_secs(seconds),
            "never: {what}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A running daemon; killed when dropped.
pub struct Daemon {
    pub process: Child,
    pub addresses: Value,
    pub dir: PathBuf,
}

impl Daemon {
    /// Starts with the defaults on free ports.
    pub fn start(dir: &Path) -> Daemon {
        Daemon::start_with(dir, "", &[])
    }

    /// Starts with more configuration and environment.
    pub fn start_with(dir: &Path, more: &str, environment: &[(&str, &str)]) -> Daemon {
        Daemon::start_as(dir, more, environment, &[])
    }

    /// The same with more words behind `serve`.
    pub fn start_as(
        dir: &Path,
        more: &str,
        environment: &[(&str, &str)],
        words: &[&str],
    ) -> Daemon {
        let config = dir.join("config.toml");
        std::fs::write(&config, configuration(more)).unwrap();
        let ready = dir.join("ready");
        let _ = std::fs::remove_file(&ready);
        let mut process = Command::new(env!("CARGO_BIN_EXE_alertbridge"))
            .arg("serve")
            .arg("--config")
            .arg(&config)
            .arg("--data-dir")
            .arg(dir.join("data"))
            .arg("--ready-file")
            .arg(&ready)
            .args(words)
            .envs(environment.iter().copied())
            .stderr(std::fs::File::create(dir.join("log")).unwrap())
            .spawn()
            .unwrap();
        let began = Instant::now();
        let addresses = loop {
            if let Ok(text) = std::fs::read_to_string(&ready) {
                break serde_json::from_str(&text).unwrap();
            }
            let ended = process.try_wait().unwrap();
            assert!(
                ended.is_none() && began.elapsed() < Duration::from_secs(30),
                "the daemon is not ready: {}",
                std::fs::read_to_string(dir.join("log")).unwrap()
            );
            std::thread::sleep(Duration::from_millis(20));
        };
        Daemon {
            process,
            addresses,
            dir: dir.to_owned(),
        }
    }

    /// Runs a verb against this daemon: whether it went well, and what it printed.
    pub fn verb(&self, words: &[&str]) -> (bool, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_alertbridge"))
            .args(words)
            .env("ALERTBRIDGE_DATA_DIR", self.dir.join("data"))
            .env("ALERTBRIDGE_URL", self.url("http"))
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        (output.status.success(), text)
    }

    /// The address of a door as a URL.
    pub fn url(&self, door: &str) -> String {
        format!("http://{}", self.addresses[door].as_str().unwrap())
    }

    /// The text of `/metrics`.
    pub fn metrics(&self) -> String {
        let (status, text) = self.ask("operators", "GET", "/metrics", "").unwrap();
        assert_eq!(status, 200, "{text}");
        text
    }

    pub fn connect(&self, door: &str) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect(self.addresses[door].as_str().unwrap())?;
        // A loaded machine may need a while; a daemon that hangs is still found out.
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(stream)
    }

    /// Status and body; an error if the daemon died before it answered.
    pub fn ask(
        &self,
        door: &str,
        method: &str,
        path: &str,
        body: &str,
    ) -> std::io::Result<(u16, String)> {
        let mut stream = self.connect(door)?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok())
            .unwrap_or(0);
        let body = answer
            .split_once("\r\n\r\n")
            .map_or("", |(_, body)| body)
            .to_owned();
        Ok((status, body))
    }

    pub fn post(&self, event: &Value) -> std::io::Result<u16> {
        Ok(self
            .ask("http", "POST", "/v1/events", &event.to_string())?
            .0)
    }

    /// Sends one mail over SMTP: the reply to its data.
    pub fn mail(&self, to: &str, from: &str, mail: &str) -> String {
        let mut stream = BufReader::new(self.connect("smtp").unwrap());
        let mut last = String::new();
        let end = if mail.ends_with("\r\n") { "" } else { "\r\n" };
        for line in [
            "EHLO monitor.example\r\n".to_owned(),
            format!("MAIL FROM:<{from}>\r\n"),
            format!("RCPT TO:<{to}>\r\n"),
            "DATA\r\n".to_owned(),
            format!("{mail}{end}.\r\n"),
            "QUIT\r\n".to_owned(),
        ] {
            last = smtp_reply(&mut stream);
            assert!(last.starts_with(['2', '3']), "before {line}: {last}");
            stream.get_mut().write_all(line.as_bytes()).unwrap();
        }
        last
    }

    /// All tickets of the desk, newest first.
    pub fn tickets(&self) -> Vec<Value> {
        let mut tickets = Vec::new();
        let mut path = "/api/v1/desk/tickets".to_owned();
        loop {
            let (status, body) = self.ask("operators", "GET", &path, "").unwrap();
            assert_eq!(status, 200);
            let mut page: Value = serde_json::from_str(&body).unwrap();
            tickets.append(page["tickets"].as_array_mut().unwrap());
            if page["next"].is_null() {
                return tickets;
            }
            path = format!("/api/v1/desk/tickets?before={}", page["next"]);
        }
    }

    pub fn until(&self, what: &str, is_true: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let began = Instant::now();
        loop {
            let tickets = self.tickets();
            if is_true(&tickets) {
                return tickets;
            }
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "{what}: {tickets:#?}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether the one alert about a host has come to a stage of its story: it fires, it is
    /// repeated, it is acknowledged, it is over.
    pub fn is_at(&self, host: &str, stage: usize) -> bool {
        let (status, body) = self.ask("operators", "GET", "/api/v1/alerts", "").unwrap();
        assert_eq!(status, 200, "{body}");
        let page: Value = serde_json::from_str(&body).unwrap();
        let about = |alert: &&Value| alert.to_string().contains(host);
        let alerts: Vec<&Value> = page["alerts"]
            .as_array()
            .unwrap()
            .iter()
            .filter(about)
            .collect();
        assert!(alerts.len() < 2, "{alerts:#?}");
        alerts.first().is_some_and(|alert| match stage {
            0 => alert["state"] == "firing",
            1 => alert["count"].as_u64() >= Some(2),
            2 => alert["state"] == "acknowledged",
            _ => alert["state"] == "resolved",
        })
    }

    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// One whole reply of a mail door.
pub fn smtp_reply(stream: &mut impl BufRead) -> String {
    let mut reply = String::new();
    loop {
        let start = reply.len();
        assert!(stream.read_line(&mut reply).unwrap() > 0, "after {reply:?}");
        if reply.as_bytes().get(start + 3) != Some(&b'-') {
            return reply;
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// So many hours ago, to the second, as people write it.
pub fn hours_ago(hours: i64) -> String {
    let second = jiff::Timestamp::now().as_second() - hours * 3600;
    jiff::Timestamp::from_second(second).unwrap().to_string()
}
