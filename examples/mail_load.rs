//! Drives a mail server with alert mails over SMTP and prints what it took: one `name=value` a line.
//!
//! Each mail speaks of a host of its own, so that none is a repeat. Commands are pipelined and
//! connections are kept, as a busy mail server would do it; the same mails go to every receiver.
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
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

#[derive(Parser, Clone)]
struct Args {
    /// Where the receiver listens.
    #[arg(long)]
    address: String,
    /// The recipient of all mails.
    #[arg(long, default_value = "alerts@bridge.example.net")]
    recipient: String,
    /// Connections, each with one mail on its way.
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Stop after so many seconds.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// The first mail's number.
    #[arg(long, default_value_t = 0)]
    first: u64,
}

struct Shared {
    args: Args,
    next: AtomicU64,
    refused: AtomicU64,
    began: Instant,
}

/// A mail as Nagios' stock command writes it.
fn mail(text: &mut String, number: u64) {
    let host = format!("host-{number}.ams1.example.net");
    text.clear();
    write!(
        text,
        "Received: from mon.example.net (mon.example.net [192.0.2.5]) by mx.example.net\r\n\
         From: nagios@mon.example.net\r\nTo: alerts@bridge.example.net\r\n\
         Date: Mon, 30 Nov 2026 10:00:00 +0000\r\nMessage-Id: <{number}@mon.example.net>\r\n\
         Subject: ** PROBLEM Service Alert: {host}/HTTP is CRITICAL **\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=UTF-8\r\n\r\n\
         ***** Nagios *****\r\n\r\nNotification Type: PROBLEM\r\n\r\nService: HTTP\r\n\
         Host: {host}\r\nAddress: 192.0.2.11\r\nState: CRITICAL\r\n\r\n\
         Date/Time: Mon Nov 30 10:00:00 UTC 2026\r\n\r\nAdditional Info:\r\n\r\n\
         CRITICAL - Socket timeout after 10 seconds\r\n.\r\n"
    )
    .unwrap();
}

struct Session {
    stream: BufReader<TcpStream>,
    line: String,
}

impl Session {
    async fn open(address: &str) -> std::io::Result<Session> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut session = Session {
            stream: BufReader::new(stream),
            line: String::new(),
        };
        session.reply().await?;
        session.say("EHLO load.example.net\r\n").await?;
        session.reply().await?;
        Ok(session)
    }

    async fn say(&mut self, text: &str) -> std::io::Result<()> {
        self.stream.get_mut().write_all(text.as_bytes()).await
    }

    /// The code of the next reply, whose lines but the last have a `-` behind it.
    async fn reply(&mut self) -> std::io::Result<u16> {
        loop {
            self.line.clear();
            if self.stream.read_line(&mut self.line).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if self.line.as_bytes().get(3) != Some(&b'-') {
                let code = self.line.get(..3).and_then(|code| code.parse().ok());
                return Ok(code.unwrap_or(0));
            }
        }
    }

    /// Hands one mail over; whether it was taken.
    async fn send(&mut self, envelope: &str, mail: &str) -> std::io::Result<bool> {
        self.say(envelope).await?;
        for _ in 0..3 {
            let code = self.reply().await?;
            if !matches!(code, 250 | 354) {
                return Ok(false);
            }
        }
        self.say(mail).await?;
        Ok(self.reply().await? == 250)
    }
}

/// One connection's mails; the time each took, in microseconds.
async fn connection(shared: Arc<Shared>) -> Vec<u32> {
    let args = &shared.args;
    let recipient = &args.recipient;
    let envelope =
        format!("MAIL FROM:<nagios@mon.example.net>\r\nRCPT TO:<{recipient}>\r\nDATA\r\n");
    let end = shared.began + Duration::from_secs(args.seconds);
    let (mut took, mut text) = (Vec::new(), String::new());
    let mut session = None;
    while Instant::now() < end {
        let open = match session.take() {
            Some(open) => Ok(open),
            None => Session::open(&args.address).await,
        };
        let mut open = match open {
            Ok(open) => open,
            Err(error) => {
                eprintln!("cannot speak to {}: {error}", args.address);
                std::process::exit(1);
            }
        };
        mail(
            &mut text,
            args.first + shared.next.fetch_add(1, Ordering::Relaxed),
        );
        let from = Instant::now();
        match open.send(&envelope, &text).await {
            Ok(true) => {
                took.push(u32::try_from(from.elapsed().as_micros()).unwrap_or(u32::MAX));
                session = Some(open);
            }
            // Refused or hung up (servers end sessions after many mails): a new session.
            Ok(false) | Err(_) => {
                shared.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    took
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let args = Args::parse();
    let shared = Arc::new(Shared {
        args: args.clone(),
        next: AtomicU64::new(0),
        refused: AtomicU64::new(0),
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
    println!("mails={}", took.len());
    println!("seconds={seconds:.2}");
    println!("mails_per_second={:.0}", took.len() as f64 / seconds);
    println!("refused={}", shared.refused.load(Ordering::Relaxed));
    println!("p50_ms={:.2}", at(0.5));
    println!("p99_ms={:.2}", at(0.99));
}
