//! Drives a receiver of Alertmanager's API v2 and prints what it took: one `name=value` a line.
//!
//! One thread, many kept-alive connections, so that the sender's own share of the processor stays
//! small; it is printed beside the figures. The same requests go to every receiver.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr
)]

use clap::Parser;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[derive(Parser, Clone)]
struct Args {
    /// Where the receiver listens.
    #[arg(long)]
    address: String,
    /// Path of the requests.
    #[arg(long, default_value = "/api/v2/alerts")]
    path: String,
    /// Connections, each with one request on its way.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Alerts of one request.
    #[arg(long, default_value_t = 1)]
    alerts: u64,
    /// Send so many different alerts over and over; 0: each alert is new.
    #[arg(long, default_value_t = 0)]
    pool: u64,
    /// The first alert's number.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Stop after so many requests; 0: after the time.
    #[arg(long, default_value_t = 0)]
    requests: u64,
    /// Stop after so many seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Requests a second in all, evenly; 0: as many as go.
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// The site that all alerts name.
    #[arg(long, default_value = "ams1")]
    site: String,
    /// The receiver's process, for its share of the processor and its memory.
    #[arg(long)]
    pid: Option<u32>,
}

struct Shared {
    args: Args,
    next: AtomicU64,
    alerts: AtomicU64,
    refused: AtomicU64,
    starts_at: String,
    began: Instant,
}

fn alert(text: &mut String, number: u64, site: &str, starts_at: &str) {
    write!(
        text,
        "{{\"labels\":{{\"alertname\":\"HostDown\",\"instance\":\"host-{number}.{site}.example.net:9100\",\
         \"job\":\"node\",\"severity\":\"critical\",\"site\":\"{site}\",\"team\":\"noc\"}},\
         \"annotations\":{{\"summary\":\"host-{number} does not answer\",\
         \"description\":\"No answer from host-{number}.{site}.example.net for five minutes.\"}},\
         \"startsAt\":\"{starts_at}\",\
         \"generatorURL\":\"http://prometheus.example.net/graph?g0.expr=up%3D%3D0\"}}"
    )
    .unwrap();
}

/// The whole request for the `n`-th turn.
fn request(shared: &Shared, n: u64, text: &mut String, body: &mut String) {
    let args = &shared.args;
    body.clear();
    body.push('[');
    for k in 0..args.alerts {
        if k > 0 {
            body.push(',');
        }
        let mut number = n * args.alerts + k;
        if args.pool > 0 {
            number %= args.pool;
        }
        alert(body, args.first + number, &args.site, &shared.starts_at);
    }
    body.push(']');
    text.clear();
    write!(
        text,
        "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        args.path,
        args.address,
        body.len()
    )
    .unwrap();
}

/// Reads one answer; its status.
async fn answer(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<u16> {
    buffer.clear();
    let mut wanted = None;
    loop {
        let read = stream.read_buf(buffer).await?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if wanted.is_none()
            && let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n")
        {
            let head = String::from_utf8_lossy(&buffer[..end]).to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"))
                .map_or(0, |length| length.trim().parse::<usize>().unwrap());
            wanted = Some(end + 4 + length);
        }
        if wanted.is_some_and(|wanted| buffer.len() >= wanted) {
            let status = String::from_utf8_lossy(&buffer[9..12]).into_owned();
            return Ok(status.parse().unwrap_or(0));
        }
    }
}

/// One connection's turns; the time each took, in microseconds.
async fn connection(shared: Arc<Shared>) -> Vec<u32> {
    let args = &shared.args;
    let mut stream = match TcpStream::connect(&args.address).await {
        Ok(stream) => stream,
        Err(error) => {
            eprintln!("cannot connect to {}: {error}", args.address);
            std::process::exit(1);
        }
    };
    stream.set_nodelay(true).unwrap();
    let (mut text, mut body, mut buffer) = (String::new(), String::new(), Vec::new());
    let mut took = Vec::new();
    let end = shared.began + Duration::from_secs(args.seconds);
    loop {
        let n = shared.next.fetch_add(1, Ordering::Relaxed);
        if (args.requests > 0 && n >= args.requests) || Instant::now() >= end {
            return took;
        }
        let mut from = Instant::now();
        if args.rate > 0 {
            // Counted from when it was to be sent, so that a stall is not hidden by fewer sends.
            from = shared.began + Duration::from_secs_f64(n as f64 / args.rate as f64);
            tokio::time::sleep_until(from.into()).await;
        }
        request(&shared, n, &mut text, &mut body);
        loop {
            stream.write_all(text.as_bytes()).await.unwrap();
            let status = answer(&mut stream, &mut buffer).await.unwrap();
            if (200..300).contains(&status) {
                break;
            }
            // Refused is sent again: the figures count what was taken in.
            shared.refused.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        took.push(u32::try_from(from.elapsed().as_micros()).unwrap_or(u32::MAX));
        shared.alerts.fetch_add(args.alerts, Ordering::Relaxed);
    }
}

/// Seconds of processor time of a process so far; 0: unknown.
fn processor_seconds(pid: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|t| t.parse::<f64>().ok());
    (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / 100.0
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let args = Args::parse();
    let pid = args.pid.map(|pid| pid.to_string());
    let of_pid = || pid.as_deref().map_or(0.0, processor_seconds);
    let before = (processor_seconds("self"), of_pid());
    let shared = Arc::new(Shared {
        args: args.clone(),
        next: AtomicU64::new(0),
        alerts: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        starts_at: jiff::Timestamp::now().to_string(),
        began: Instant::now(),
    });
    let tasks: Vec<_> = (0..args.connections)
        .map(|_| tokio::spawn(connection(shared.clone())))
        .collect();
    let mut took = Vec::new();
    for task in tasks {
        took.extend(task.await.unwrap());
    }
    let seconds = shared.began.elapsed().as_secs_f64();
    took.sort_unstable();
    let at = |part: f64| {
        let index = (took.len().saturating_sub(1)) as f64 * part;
        f64::from(took.get(index as usize).copied().unwrap_or(0)) / 1000.0
    };
    let alerts = shared.alerts.load(Ordering::Relaxed);
    println!("requests={}", took.len());
    println!("alerts={alerts}");
    println!("seconds={seconds:.2}");
    println!("requests_per_second={:.0}", took.len() as f64 / seconds);
    println!("alerts_per_second={:.0}", alerts as f64 / seconds);
    println!("refused={}", shared.refused.load(Ordering::Relaxed));
    println!("p50_ms={:.2}", at(0.5));
    println!("p99_ms={:.2}", at(0.99));
    println!("max_ms={:.2}", at(1.0));
    println!(
        "sender_cpu={:.2}",
        (processor_seconds("self") - before.0) / seconds
    );
    println!("receiver_cpu={:.2}", (of_pid() - before.1) / seconds);
}
