//! A proxy that does to requests what networks and servers do, at random and by seed. It speaks
//! HTTP/1.1, one request a connection, and logs what it did.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// What is done to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Nothing.
    Pass,
    /// The connection is reset before the request is read.
    Refuse,
    /// The request goes on late.
    Delay,
    /// The connection is cut and the request goes nowhere.
    CutBefore,
    /// The request is carried out and the connection cut before the answer.
    CutAfter,
    /// Half of the answer comes.
    CutWithin,
    /// 500, 502, 503 or 429 without doing.
    ErrorBefore,
    /// 500, 502, 503 or 429 after doing.
    ErrorAfter,
    /// A create is carried out twice. Anything else passes: a note that the network doubles is
    /// doubled, and no tracker can be asked to take it back.
    Duplicate,
    /// The answer comes byte by byte.
    Slow,
    /// 200 and a page of HTML, without doing.
    Page,
    /// A create goes on when the test says so, long after its sender gave up; anything else passes.
    Held,
}

const FAULTS: [Fault; 10] = [
    Fault::Refuse,
    Fault::Delay,
    Fault::CutBefore,
    Fault::CutAfter,
    Fault::CutWithin,
    Fault::ErrorBefore,
    Fault::ErrorAfter,
    Fault::Duplicate,
    Fault::Slow,
    Fault::Page,
];

/// Numbers by seed: the same seed gives the same faults in the order of requests.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// How the proxy behaves.
#[derive(Clone, Debug)]
pub struct Faults {
    /// Of a hundred requests so many are interfered with.
    pub percent: u64,
    /// The longest delay.
    pub delay_max: Duration,
    /// What may happen.
    pub kinds: Vec<Fault>,
    /// Requests that begin so are creates.
    pub create: &'static str,
}

impl Faults {
    /// Everything, to so many of a hundred requests.
    pub fn all(percent: u64, delay_max: Duration) -> Faults {
        Faults {
            percent,
            delay_max,
            kinds: FAULTS.to_vec(),
            create: "POST /REST/2.0/ticket HTTP",
        }
    }

    /// Only this, always.
    pub fn always(fault: Fault) -> Faults {
        Faults {
            percent: 100,
            delay_max: Duration::from_millis(500),
            kinds: vec![fault],
            create: "POST /REST/2.0/ticket HTTP",
        }
    }
}

struct Shared {
    upstream: SocketAddr,
    faults: Mutex<Faults>,
    dice: Mutex<Dice>,
    counts: Mutex<BTreeMap<Fault, u64>>,
    doubled: AtomicU64,
    /// Creates that are held wait for it.
    release: Notify,
}

/// A running proxy; it ends with the test's runtime.
#[derive(Clone)]
pub struct FaultProxy {
    /// Where it listens.
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

impl FaultProxy {
    /// Starts before `upstream`.
    pub async fn start(upstream: SocketAddr, seed: u64, faults: Faults) -> FaultProxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream,
            faults: Mutex::new(faults),
            dice: Mutex::new(Dice::new(seed)),
            counts: Mutex::default(),
            doubled: AtomicU64::new(0),
            release: Notify::new(),
        });
        let serving = shared.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = serving.clone();
                tokio::spawn(async move {
                    // A broken connection is what this proxy is for.
                    let _ = shared.serve(stream).await;
                });
            }
        });
        FaultProxy { address, shared }
    }

    /// Changes what it does from the next request on.
    pub fn set(&self, faults: Faults) {
        *self.shared.faults.lock().unwrap() = faults;
    }

    /// No more faults.
    pub fn calm(&self) {
        self.shared.faults.lock().unwrap().percent = 0;
    }

    /// What is held goes on.
    pub fn release(&self) {
        self.shared.release.notify_waiters();
    }

    /// What was done how often.
    pub fn counts(&self) -> BTreeMap<Fault, u64> {
        self.shared.counts.lock().unwrap().clone()
    }

    /// Creates that were carried out twice: so many twins are nobody's fault.
    pub fn doubled(&self) -> u64 {
        self.shared.doubled.load(Ordering::Relaxed)
    }

    /// All requests.
    pub fn requests(&self) -> u64 {
        self.counts().values().sum()
    }
}

impl Shared {
    fn draw(&self) -> (Fault, u64, Duration) {
        let faults = self.faults.lock().unwrap().clone();
        let mut dice = self.dice.lock().unwrap();
        let fault = if dice.below(100) < faults.percent {
            faults.kinds[usize::try_from(dice.below(faults.kinds.len() as u64)).unwrap()]
        } else {
            Fault::Pass
        };
        let longest = u64::try_from(faults.delay_max.as_millis()).unwrap().max(1);
        let delay = Duration::from_millis(dice.below(longest));
        *self.counts.lock().unwrap().entry(fault).or_default() += 1;
        (fault, dice.below(4), delay)
    }

    async fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        let (fault, which, delay) = self.draw();
        if fault == Fault::Refuse {
            client.set_zero_linger()?;
            return Ok(());
        }
        let Some(request) = read_message(&mut client).await? else {
            return Ok(());
        };
        let create = self.faults.lock().unwrap().create;
        let creates = request.starts_with(create.as_bytes());
        match fault {
            Fault::CutBefore => return Ok(()),
            Fault::Page => return client.write_all(&page()).await,
            Fault::ErrorBefore => return client.write_all(&error(which)).await,
            Fault::Delay => tokio::time::sleep(delay).await,
            Fault::Held if creates => self.release.notified().await,
            _ => {}
        }
        let mut answer = self.forward(&request).await?;
        if fault == Fault::Duplicate && creates {
            self.doubled.fetch_add(1, Ordering::Relaxed);
            answer = self.forward(&request).await?;
        }
        match fault {
            Fault::CutAfter => Ok(()),
            Fault::CutWithin => client.write_all(&answer[..answer.len() / 2]).await,
            Fault::ErrorAfter => client.write_all(&error(which)).await,
            Fault::Slow => {
                for part in answer.chunks(answer.len() / 20 + 1) {
                    client.write_all(part).await?;
                    tokio::time::sleep(delay / 20).await;
                }
                Ok(())
            }
            _ => client.write_all(&answer).await,
        }
    }

    async fn forward(&self, request: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut upstream = TcpStream::connect(self.upstream).await?;
        upstream.write_all(request).await?;
        let mut answer = Vec::new();
        upstream.read_to_end(&mut answer).await?;
        Ok(answer)
    }
}

/// One request whole, told to close its connection.
async fn read_message(stream: &mut TcpStream) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = stream.read(&mut buffer).await?;
        if count == 0 {
            return Ok(None);
        }
        bytes.extend_from_slice(&buffer[..count]);
        let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else {
            continue;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let length: usize = head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .map_or(0, |(_, value)| value.trim().parse().unwrap());
        if bytes.len() < end + 4 + length {
            continue;
        }
        let mut message = format!("{head}\r\nConnection: close\r\n\r\n").into_bytes();
        message.extend_from_slice(&bytes[end + 4..end + 4 + length]);
        return Ok(Some(message));
    }
}

fn page() -> Vec<u8> {
    let body = "<html><body>Please wait, your instance is waking up.</body></html>";
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn error(which: u64) -> Vec<u8> {
    let status = match which {
        0 => "500 Internal Server Error",
        1 => "502 Bad Gateway",
        2 => "503 Service Unavailable\r\nRetry-After: 1",
        _ => "429 Too Many Requests\r\nRetry-After: 1",
    };
    format!("HTTP/1.1 {status}\r\nContent-Length: 4\r\nConnection: close\r\n\r\noops").into_bytes()
}
