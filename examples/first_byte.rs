//! How long after an alert its first byte leaves towards the tracker, when there is no hold:
//! `benches/run first-byte`. Starts the daemon beside this program with one tracker, which is a
//! socket of its own; sends one alert after the other over HTTP; prints the times from the last
//! byte of the alert to the first byte that the tracker gets.
#![allow(clippy::print_stdout)]

use anyhow::Context;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Alerts before the figure, for connections and caches.
const WARM_UP: usize = 10;
/// Alerts that are measured.
const ALERTS: usize = 300;

/// A daemon that ends with this program.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Takes whatever comes and tells when the first byte of each request came.
fn tracker() -> anyhow::Result<(u16, Receiver<Instant>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let (tell, told) = channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let tell = tell.clone();
            std::thread::spawn(move || {
                let mut buffer = [0; 64 * 1024];
                while stream.read(&mut buffer).is_ok_and(|count| count > 0) {
                    if tell.send(Instant::now()).is_err() {
                        return;
                    }
                    // What is still to come of this request is not a first byte.
                    let _ = stream.set_read_timeout(Some(Duration::from_millis(1)));
                    while stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
                    let _ = stream.set_read_timeout(None);
                    let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
                }
            });
        }
    });
    Ok((port, told))
}

fn start(dir: &Path, tracker: u16) -> anyhow::Result<(Daemon, String)> {
    std::fs::write(dir.join("token"), "t")?;
    let doors: String = ["http", "smtp", "lmtp", "operators"]
        .iter()
        .map(|door| format!("[{door}]\nlisten = \"127.0.0.1:0\"\n"))
        .collect();
    let config = format!(
        "{doors}[engine]\nhold_outage = \"0s\"\nstorm_from = 100000\ntickets_per_hour_max = 0\n\
         [tracker.sink]\nkind = \"goalert\"\nurl = \"http://127.0.0.1:{tracker}/\"\n\
         token = {{ file = \"token\" }}\n[[route]]\nname = \"all\"\ntracker = \"sink\"\n"
    );
    std::fs::write(dir.join("config.toml"), config)?;
    let own = std::env::current_exe()?;
    let folder = own.parent().and_then(Path::parent);
    let binary = folder.context("where is target/?")?.join("alertbridge");
    let ready = dir.join("ready");
    let child = Command::new(&binary)
        .args(["serve", "--config"])
        .arg(dir.join("config.toml"))
        .arg("--data-dir")
        .arg(dir.join("data"))
        .arg("--ready-file")
        .arg(&ready)
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("{} cannot be started; build it first", binary.display()))?;
    let daemon = Daemon(child);
    let began = Instant::now();
    while !ready.exists() {
        anyhow::ensure!(began.elapsed() < Duration::from_secs(60), "it is not ready");
        std::thread::sleep(Duration::from_millis(20));
    }
    let addresses: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&ready)?)?;
    let door = addresses["http"].as_str().context("no HTTP door")?;
    Ok((daemon, door.to_owned()))
}

/// Sends one alert and waits for its answer; when its last byte was sent.
fn send(door: &mut TcpStream, n: usize) -> anyhow::Result<Instant> {
    let body = format!(
        r#"{{"dedup_key":"k{n}","state":"problem","severity_hint":"outage","summary":"k{n} is down","host":"host-{n}","site":"site-{n}","check":"ping"}}"#
    );
    let length = body.len();
    let request = format!(
        "POST /v1/events HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    door.write_all(request.as_bytes())?;
    let sent = Instant::now();
    let mut answer = [0; 4096];
    let count = door.read(&mut answer)?;
    let answer = String::from_utf8_lossy(answer.get(..count).unwrap_or_default()).into_owned();
    anyhow::ensure!(answer.starts_with("HTTP/1.1 202"), "refused: {answer}");
    Ok(sent)
}

fn main() -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let (port, told) = tracker()?;
    let (_daemon, address) = start(dir.path(), port)?;
    let mut door = TcpStream::connect(address)?;
    let mut times = Vec::with_capacity(ALERTS);
    for n in 0..WARM_UP + ALERTS {
        let sent = send(&mut door, n)?;
        let came = told.recv_timeout(Duration::from_secs(30));
        let came = came.with_context(|| format!("alert {n} never left"))?;
        if n >= WARM_UP {
            times.push(came.saturating_duration_since(sent));
        }
        // Whatever else belongs to this ticket is not the next one's first byte.
        std::thread::sleep(Duration::from_millis(50));
        while told.try_recv().is_ok() {}
    }
    times.sort();
    let at = |percent: usize| times.get((times.len() - 1) * percent / 100).copied();
    println!("alert to first byte towards the tracker, no hold, {ALERTS} alerts one by one:");
    for (name, percent) in [("p50", 50), ("p90", 90), ("p99", 99), ("most", 100)] {
        println!("{name:>5} {:.1?}", at(percent).unwrap_or_default());
    }
    Ok(())
}
