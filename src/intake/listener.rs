//! The accept loop that all doors share: permits, a cap for each address, back-off, TLS, and an
//! end that lets connections finish.
//!
//! Invariant: a connection has its permit before it is accepted, and none outlives the deadline of
//! the end.

use super::threads::Threads;
use super::tls::{ClientCertificate, TlsSlot};
use super::{IntakeMetrics, Refused};
use crate::limits;
use futures_util::future::BoxFuture;
use rustc_hash::FxHashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A connection's bytes.
pub enum Stream {
    /// Plain TCP.
    Tcp(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
    /// A unix socket.
    Unix(UnixStream),
}

/// Who is at the other end.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The address; a unix socket counts as loopback.
    pub address: IpAddr,
    /// The client certificate, if one was shown.
    pub certificate: Option<Arc<ClientCertificate>>,
    /// The user at the other end of a unix socket, by number.
    pub user: Option<u32>,
    /// Whether the connection is encrypted, or never leaves the machine's kernel.
    pub local: bool,
}

/// What serves the connections of a listener.
pub trait Door: Send + Sync + 'static {
    /// Serves one connection to its end. When `stop` is cancelled, what is being served is
    /// finished and nothing new begun.
    fn serve(
        self: Arc<Self>,
        stream: Stream,
        peer: Peer,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()>;

    /// The door's name in metrics and logs.
    fn name(&self) -> &'static str;

    /// Whether TLS begins with the first byte (SMTP begins it with STARTTLS).
    fn tls_at_once(&self) -> bool {
        true
    }
}

/// The bounds of a listener.
#[derive(Clone, Copy, Debug)]
pub struct ListenerLimits {
    /// Most simultaneous connections.
    pub connections_max: usize,
    /// Most simultaneous connections of one address.
    pub per_address_max: usize,
    /// Time for a TLS handshake.
    pub handshake: Duration,
}

impl Default for ListenerLimits {
    fn default() -> ListenerLimits {
        ListenerLimits {
            connections_max: limits::CONNECTIONS_MAX,
            per_address_max: limits::CONNECTIONS_PER_ADDRESS_MAX,
            handshake: Duration::from_secs(limits::TLS_HANDSHAKE_SECONDS),
        }
    }
}

/// Where connections come from.
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, PathBuf),
}

/// A bound listener that does not serve yet.
pub struct Listener {
    socket: Socket,
    tls: TlsSlot,
    limits: ListenerLimits,
    metrics: Arc<dyn IntakeMetrics>,
    threads: Option<Threads>,
}

/// A listener that serves.
pub struct Running {
    stop: CancellationToken,
    connections: TaskTracker,
    accepting: tokio::task::JoinHandle<()>,
}

impl Listener {
    /// Binds an address; port 0 takes a free one.
    pub async fn bind(
        address: SocketAddr,
        limits: ListenerLimits,
        metrics: Arc<dyn IntakeMetrics>,
    ) -> std::io::Result<Listener> {
        let socket = Socket::Tcp(TcpListener::bind(address).await?);
        Ok(Listener::of(socket, limits, metrics))
    }

    /// Takes a socket that was bound by someone else (socket activation).
    pub fn from_std(
        socket: std::net::TcpListener,
        limits: ListenerLimits,
        metrics: Arc<dyn IntakeMetrics>,
    ) -> std::io::Result<Listener> {
        socket.set_nonblocking(true)?;
        let socket = Socket::Tcp(TcpListener::from_std(socket)?);
        Ok(Listener::of(socket, limits, metrics))
    }

    /// Binds a unix socket; one that a dead process left is replaced.
    pub fn bind_unix(
        path: &Path,
        limits: ListenerLimits,
        metrics: Arc<dyn IntakeMetrics>,
    ) -> std::io::Result<Listener> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = Socket::Unix(UnixListener::bind(path)?, path.to_owned());
        Ok(Listener::of(socket, limits, metrics))
    }

    fn of(socket: Socket, limits: ListenerLimits, metrics: Arc<dyn IntakeMetrics>) -> Listener {
        Listener {
            socket,
            tls: TlsSlot::default(),
            limits,
            metrics,
            threads: None,
        }
    }

    /// With its connections on these threads; else where it accepts them.
    pub fn on_threads(self, threads: &Threads) -> Listener {
        Listener {
            threads: Some(threads.clone()),
            ..self
        }
    }

    /// With TLS by that slot.
    pub fn with_tls(self, tls: TlsSlot) -> Listener {
        Listener { tls, ..self }
    }

    /// The address in use; none for a unix socket.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.socket {
            Socket::Tcp(listener) => listener.local_addr().ok(),
            Socket::Unix(..) => None,
        }
    }

    /// Begins to serve.
    pub fn serve(self, door: Arc<dyn Door>) -> Running {
        let stop = CancellationToken::new();
        let connections = TaskTracker::new();
        let accepting = tokio::spawn(accept_all(self, door, stop.clone(), connections.clone()));
        Running {
            stop,
            connections,
            accepting,
        }
    }
}

impl Running {
    /// Accepts nothing more, lets connections finish what they are at, and cuts those off that
    /// are not done by the deadline. Gives the number that was cut off.
    pub async fn end(self, deadline: Duration) -> usize {
        self.stop.cancel();
        let accepting = self.accepting;
        let _ = accepting.await;
        self.connections.close();
        let _ = tokio::time::timeout(deadline, self.connections.wait()).await;
        self.connections.len()
    }
}

async fn accept_all(
    listener: Listener,
    door: Arc<dyn Door>,
    stop: CancellationToken,
    connections: TaskTracker,
) {
    let permits = Arc::new(Semaphore::new(listener.limits.connections_max));
    let addresses = Arc::new(Addresses::default());
    let mut pause = Duration::from_millis(limits::ACCEPT_PAUSE_MILLISECONDS_MIN);
    loop {
        let permit = tokio::select! {
            permit = permits.clone().acquire_owned() => permit,
            () = stop.cancelled() => break,
        };
        let Ok(permit) = permit else { break };
        let accepted = tokio::select! {
            accepted = accept(&listener.socket) => accepted,
            () = stop.cancelled() => break,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, or a connection that went before it came: wait, do not spin.
                tracing::warn!(door = door.name(), %error, "connection_not_accepted");
                tokio::time::sleep(pause).await;
                let longest = Duration::from_millis(limits::ACCEPT_PAUSE_MILLISECONDS_MAX);
                pause = (pause * 2).min(longest);
                continue;
            }
        };
        pause = Duration::from_millis(limits::ACCEPT_PAUSE_MILLISECONDS_MIN);
        let Some(place) = addresses.enter(address, listener.limits.per_address_max) else {
            listener
                .metrics
                .refused(door.name(), Refused::TooManyConnections);
            continue;
        };
        let tls = listener.tls.current().filter(|_| door.tls_at_once());
        let connection = serve_one(
            stream,
            address,
            tls,
            listener.limits.handshake,
            door.clone(),
            listener.metrics.clone(),
            stop.clone(),
        );
        let served = async move {
            connection.await;
            drop((permit, place));
        };
        match &listener.threads {
            Some(threads) => connections.spawn_on(served, threads.next()),
            None => connections.spawn(served),
        };
    }
    if let Socket::Unix(_, path) = &listener.socket {
        let _ = std::fs::remove_file(path);
    }
}

/// A connection that no runtime watches yet.
enum Arrived {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

impl Arrived {
    /// Watched by the runtime that this is called in.
    fn watched(self) -> std::io::Result<Stream> {
        Ok(match self {
            Arrived::Tcp(stream) => Stream::Tcp(TcpStream::from_std(stream)?),
            Arrived::Unix(stream) => Stream::Unix(UnixStream::from_std(stream)?),
        })
    }
}

async fn accept(socket: &Socket) -> std::io::Result<(Arrived, IpAddr)> {
    match socket {
        Socket::Tcp(listener) => {
            let (stream, peer) = listener.accept().await?;
            let _ = stream.set_nodelay(true);
            Ok((Arrived::Tcp(stream.into_std()?), peer.ip().to_canonical()))
        }
        Socket::Unix(listener, _) => {
            let (stream, _) = listener.accept().await?;
            Ok((
                Arrived::Unix(stream.into_std()?),
                IpAddr::V4(Ipv4Addr::LOCALHOST),
            ))
        }
    }
}

async fn serve_one(
    stream: Arrived,
    address: IpAddr,
    tls: Option<Arc<rustls::ServerConfig>>,
    handshake: Duration,
    door: Arc<dyn Door>,
    metrics: Arc<dyn IntakeMetrics>,
    stop: CancellationToken,
) {
    let stream = match stream.watched() {
        Ok(stream) => stream,
        Err(error) => {
            tracing::warn!(door = door.name(), %address, %error, "connection_not_accepted");
            return;
        }
    };
    let local = matches!(stream, Stream::Unix(_));
    let user = match &stream {
        Stream::Unix(unix) => unix.peer_cred().ok().map(|peer| peer.uid()),
        _ => None,
    };
    let (stream, certificate) = match (stream, tls) {
        (Stream::Tcp(tcp), Some(config)) => match secure(tcp, config, handshake).await {
            Ok(stream) => {
                let certificate = client_certificate(&stream);
                (Stream::Tls(Box::new(stream)), certificate)
            }
            Err(error) => {
                tracing::debug!(door = door.name(), %address, %error, "tls_handshake_failed");
                metrics.refused(door.name(), Refused::Handshake);
                return;
            }
        },
        (stream, _) => (stream, None),
    };
    let peer = Peer {
        address,
        certificate,
        user,
        local: local || matches!(stream, Stream::Tls(_)),
    };
    door.serve(stream, peer, stop).await;
}

/// The server's side of a handshake, within a time.
pub async fn secure(
    tcp: TcpStream,
    config: Arc<rustls::ServerConfig>,
    longest: Duration,
) -> std::io::Result<TlsStream<TcpStream>> {
    tokio::time::timeout(longest, TlsAcceptor::from(config).accept(tcp))
        .await
        .map_err(|_| std::io::Error::from(std::io::ErrorKind::TimedOut))?
}

fn client_certificate(stream: &TlsStream<TcpStream>) -> Option<Arc<ClientCertificate>> {
    let (_, connection) = stream.get_ref();
    let first = connection.peer_certificates()?.first()?;
    Some(Arc::new(ClientCertificate::of(first)))
}

/// How many connections each address has.
#[derive(Default)]
struct Addresses(Mutex<FxHashMap<IpAddr, usize>>);

/// One connection's place among those of its address.
struct Place(Arc<Addresses>, IpAddr);

impl Addresses {
    fn enter(self: &Arc<Addresses>, address: IpAddr, most: usize) -> Option<Place> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Place(self.clone(), address))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.1) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.1);
            }
        }
    }
}

macro_rules! each {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            Stream::Tcp($stream) => $call,
            Stream::Tls($stream) => $call,
            Stream::Unix($stream) => $call,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(cx, buf))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        !matches!(self, Stream::Tls(_))
    }
}
