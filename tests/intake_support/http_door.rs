//! An HTTP door over fakes, and a client that sends bytes as they are given.

use super::{Bench, RealDecoder, Standing, bench, bench_with};
use alertbridge::intake::answers::StandardAnswers;
use alertbridge::intake::http::{HttpDoor, HttpSettings};
use alertbridge::intake::listener::{Listener, ListenerLimits, Running};
use alertbridge::intake::sns_trust::Fetch;
use alertbridge::intake::source::SourceConfig;
use alertbridge::intake::tls::TlsSlot;
use alertbridge::model::Time;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub struct Door {
    pub bench: Bench,
    pub address: SocketAddr,
    pub running: Running,
}

pub async fn open_with(
    sources: Vec<SourceConfig>,
    settings: HttpSettings,
    limits: ListenerLimits,
    slot: TlsSlot,
) -> Door {
    let bench = bench(sources);
    let door = HttpDoor::new(bench.intake.clone(), Arc::new(StandardAnswers), settings);
    serve(bench, door, limits, slot).await
}

/// A door over the decoders of the product, at that instant, with its own way to reach SNS.
pub async fn open_real(sources: Vec<SourceConfig>, now: Time, fetch: Arc<dyn Fetch>) -> Door {
    let bench = bench_with(sources, Arc::new(RealDecoder), Arc::new(Standing(now)));
    let door = HttpDoor::with_fetch(
        bench.intake.clone(),
        Arc::new(StandardAnswers),
        HttpSettings::default(),
        fetch,
    );
    serve(bench, door, ListenerLimits::default(), TlsSlot::default()).await
}

async fn serve(bench: Bench, door: Arc<HttpDoor>, limits: ListenerLimits, slot: TlsSlot) -> Door {
    let any = "127.0.0.1:0".parse().unwrap();
    let listener = Listener::bind(any, limits, bench.counts.clone())
        .await
        .unwrap()
        .with_tls(slot);
    let address = listener.local_addr().unwrap();
    Door {
        bench,
        address,
        running: listener.serve(door),
    }
}

pub async fn open(sources: Vec<SourceConfig>) -> Door {
    open_with(
        sources,
        HttpSettings::default(),
        ListenerLimits::default(),
        TlsSlot::default(),
    )
    .await
}

pub fn post(path: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut bytes = format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Reads one answer: status, head, body.
pub async fn answer(stream: &mut (impl AsyncReadExt + Unpin)) -> (u16, String, String) {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await.unwrap_or(0);
        if read == 0 {
            return (0, String::new(), String::new());
        }
        bytes.extend_from_slice(&chunk[..read]);
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let length: usize = head
        .to_lowercase()
        .lines()
        .find_map(|line| line.strip_prefix("content-length: ").map(str::to_owned))
        .map_or(0, |length| length.parse().unwrap());
    let mut body = bytes[end + 4..].to_vec();
    while body.len() < length {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await.unwrap();
        assert!(read > 0, "the answer is cut off");
        body.extend_from_slice(&chunk[..read]);
    }
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head, String::from_utf8(body).unwrap())
}

pub async fn ask(door: &Door, request: Vec<u8>) -> (u16, String, String) {
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    // The door may refuse before it has read everything.
    let _ = stream.write_all(&request).await;
    answer(&mut stream).await
}
