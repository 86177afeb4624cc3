//! A mail door over a bench, and a client that speaks to it line by line.

use super::{Bench, bench};
use alertbridge::intake::listener::{Listener, ListenerLimits, Running};
use alertbridge::intake::smtp::{InHand, SmtpDoor, SmtpSettings};
use alertbridge::intake::source::SourceConfig;
use alertbridge::intake::tls::TlsSlot;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

/// A door and what stands behind it.
pub struct Door {
    pub bench: Bench,
    pub address: SocketAddr,
    pub running: Running,
    _spool: tempfile::TempDir,
}

/// Opens a door whose settings may be changed.
pub async fn open_with(
    sources: Vec<SourceConfig>,
    slot: TlsSlot,
    change: impl FnOnce(&mut SmtpSettings),
) -> Door {
    let bench = bench(sources);
    let spool = tempfile::tempdir().unwrap();
    let mut settings = SmtpSettings::new(spool.path().to_owned());
    change(&mut settings);
    let any = "127.0.0.1:0".parse().unwrap();
    let limits = ListenerLimits::default();
    let listener = Listener::bind(any, limits, bench.counts.clone())
        .await
        .unwrap();
    let address = listener.local_addr().unwrap();
    let in_hand = InHand::new(64 * 1024 * 1024);
    let door = SmtpDoor::new(bench.intake.clone(), settings, slot, in_hand);
    Door {
        bench,
        address,
        running: listener.serve(door),
        _spool: spool,
    }
}

/// Opens a door as it is by default.
pub async fn open(sources: Vec<SourceConfig>) -> Door {
    open_with(sources, TlsSlot::default(), |_| {}).await
}

/// A client that speaks line by line.
pub struct Client<S> {
    pub stream: S,
    pub buffer: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// One whole reply, continued lines joined; empty when the connection ended.
    pub async fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') else {
                let mut piece = [0; 4096];
                match self.stream.read(&mut piece).await {
                    Ok(0) | Err(_) => return reply,
                    Ok(read) => self.buffer.extend_from_slice(&piece[..read]),
                }
                continue;
            };
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            let line = String::from_utf8(line).unwrap();
            let is_last = line.as_bytes().get(3) == Some(&b' ');
            reply.push_str(&line);
            if is_last {
                return reply;
            }
        }
    }

    pub async fn send(&mut self, text: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(text.as_ref()).await;
    }

    pub async fn say(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n")).await;
        self.reply().await
    }

    pub async fn expect(&mut self, line: &str, code: &str) -> String {
        let reply = self.say(line).await;
        assert!(reply.starts_with(code), "{line}: {reply}");
        reply
    }

    /// Whether no reply comes for a while.
    pub async fn is_silent(&mut self) -> bool {
        tokio::time::timeout(Duration::from_millis(200), self.reply())
            .await
            .is_err()
    }
}

/// A client that was greeted.
pub async fn connect(door: &Door) -> Client<TcpStream> {
    let mut client = Client {
        stream: TcpStream::connect(door.address).await.unwrap(),
        buffer: Vec::new(),
    };
    assert!(client.reply().await.starts_with("220 alertbridge "));
    client
}

/// A client that has greeted.
pub async fn greeted(door: &Door) -> Client<TcpStream> {
    let mut client = connect(door).await;
    client.expect("EHLO me", "250").await;
    client
}

/// Says all that comes before the data.
pub async fn envelope(client: &mut Client<TcpStream>, recipients: &[&str]) {
    client.expect("MAIL FROM:<nms@example.net>", "250").await;
    for recipient in recipients {
        client
            .expect(&format!("RCPT TO:<{recipient}>"), "250")
            .await;
    }
    client.expect("DATA", "354").await;
}

/// A small mail with its end.
pub const MAIL: &str = "Subject: disk full\r\n\r\nbody\r\n.\r\n";
