//! The doors: binding, serving, ending. The accept loop of the intake serves the operators' door
//! as well, so that every door has the same bounds.

use super::operations::Daemon;
use crate::api::{Api, Arrival, DoorRules};
use crate::config::{Config, ConfigFile, MailReading};
use crate::formats::mail::Templates;
use crate::formats::{self, Request};
use crate::intake::accept::Intake;
use crate::intake::answers::StandardAnswers;
use crate::intake::fence::Fence;
use crate::intake::http::{HttpDoor, HttpSettings};
use crate::intake::listener::{Door, Listener, ListenerLimits, Peer, Running, Stream};
use crate::intake::repeat::Repeats;
use crate::intake::smtp::{InHand, SmtpDoor, SmtpSettings};
use crate::intake::source::{Source, SourceConfig, Sources};
use crate::intake::threads::Threads;
use crate::intake::tls::TlsSlot;
use crate::intake::tracker_hooks::HookTaker;
use crate::intake::{Decoder, IntakeMetrics, SystemClock, Tried};
use crate::limits;
use crate::model::Time;
use crate::store::sqlite::SqliteStore;
use crate::telemetry::metrics::Metrics;
use anyhow::Context;
use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use serde_json::json;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The socket of the operators' door in the data directory.
pub(crate) const OPERATORS_SOCKET: &str = "operators.sock";
/// The socket that `alertbridge mail` speaks to.
pub(crate) const LMTP_SOCKET: &str = "lmtp.sock";

/// All doors, open.
pub(super) struct Doors {
    threads: Threads,
    running: Vec<Running>,
    http: Option<SocketAddr>,
    smtp: Option<SocketAddr>,
    lmtp: Option<SocketAddr>,
    operators: Option<SocketAddr>,
    socket: PathBuf,
    lmtp_socket: PathBuf,
}

impl Doors {
    /// The addresses in use, as the ready file has them.
    pub fn addresses(&self) -> serde_json::Value {
        json!({
            "http": self.http,
            "smtp": self.smtp,
            "lmtp": self.lmtp,
            "operators": self.operators,
            "operators_socket": self.socket,
            "lmtp_socket": self.lmtp_socket,
        })
    }

    /// Lets connections finish what they are at.
    pub async fn end(self, deadline: Duration) {
        let ends = self.running.into_iter().map(|door| door.end(deadline));
        let cut: usize = futures_util::future::join_all(ends).await.into_iter().sum();
        if cut > 0 {
            tracing::warn!(connections = cut, "connections_cut_off");
        }
        let threads = self.threads;
        let _ = tokio::task::spawn_blocking(move || threads.end()).await;
    }
}

/// TLS of the doors, replaced at a reload.
#[derive(Clone, Default)]
pub(super) struct Slots {
    http: TlsSlot,
    smtp: TlsSlot,
    lmtp: TlsSlot,
    operators: TlsSlot,
}

impl Slots {
    /// Puts the certificates of a configuration in force for new handshakes.
    pub fn replace(&self, config: &Config) {
        self.http.replace(config.tls.http.clone());
        self.smtp.replace(config.tls.smtp.clone());
        self.lmtp.replace(config.tls.lmtp.clone());
        self.operators.replace(config.tls.operators.clone());
    }
}

/// How mails are read, replaced at a reload.
pub(super) type MailSlot = Arc<ArcSwap<MailReading>>;

struct Formats(MailSlot);

impl Decoder for Formats {
    fn http(&self, source: &Source, request: &Request) -> Tried {
        let kind = source.config.kind.clone();
        let outcome = match &source.config.mapping {
            Some(mapping) => mapping.decode(request),
            None => formats::decode_as(&kind, request),
        };
        (kind, outcome)
    }

    fn ready(&self) {
        Templates::shipped();
    }

    fn mail(&self, _source: &Source, raw: &[u8], received_at: Time) -> Tried {
        self.0.load().decode(raw, received_at)
    }
}

/// The sources of a configuration and those that are there without one.
pub(super) fn sources(configured: Vec<SourceConfig>) -> anyhow::Result<Sources> {
    let mut defaults: Vec<(&str, &str)> = formats::ALL
        .iter()
        .map(|format| (format.name(), format.name()))
        .collect();
    defaults.extend([("prometheus", "alertmanager"), ("mail", "mail")]);
    Ok(Sources::new(configured, defaults)?)
}

/// What all doors of the intake share.
pub(super) fn intake(
    config: &Config,
    store: &SqliteStore,
    metrics: Arc<Metrics>,
    mail: MailSlot,
) -> anyhow::Result<Intake> {
    // Compiling the shipped templates takes a moment; the first mail should not wait for it.
    std::thread::spawn(|| Templates::shipped().names().count());
    Ok(Intake {
        journal: store.journal.clone(),
        decoder: Arc::new(Formats(mail)),
        metrics,
        clock: Arc::new(SystemClock::default()),
        sources: Arc::new(sources(config.file.source.clone())?).into(),
        repeats: Repeats::new(limits::REPEAT_ENTRIES_MAX),
        fence: Arc::new(Fence::open(&store.dir)?),
        redactor: ArcSwap::new(config.redactor.clone()),
        mail: ArcSwap::new(config.trust.clone()),
        mail_ready: tokio::sync::OnceCell::new(),
    })
}

/// Who may come in at the operators' door.
pub(super) fn operator_rules(file: &ConfigFile) -> DoorRules {
    let listen = file.operators.listen;
    DoorRules {
        loopback: listen.is_none_or(|address| address.ip().is_loopback()),
        hosts: file.operators.hosts.clone(),
        sees_sensitive: file
            .operators
            .token
            .iter()
            .filter(|token| token.sensitive)
            .map(|token| token.name.clone())
            .collect(),
        tokens: file
            .operators
            .token
            .iter()
            .map(|token| (token.name.clone(), token.role, token.token.clone()))
            .collect(),
    }
}

struct OperatorsDoor(Arc<Api>);

impl Door for OperatorsDoor {
    fn serve(
        self: Arc<Self>,
        stream: Stream,
        peer: Peer,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()> {
        let arrival = Arrival {
            socket_user: peer.user.map(user_name),
        };
        Box::pin(crate::api::serve(self.0.clone(), stream, arrival, stop))
    }

    fn name(&self) -> &'static str {
        "operators"
    }
}

/// A user's name by the system's list; the number if it has none.
fn user_name(number: u32) -> String {
    let list = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    list.lines()
        .filter_map(|line| {
            let mut parts = line.split(':');
            let (name, _, id) = (parts.next()?, parts.next()?, parts.next()?);
            (id == number.to_string()).then(|| name.to_owned())
        })
        .next()
        .unwrap_or_else(|| format!("uid {number}"))
}

async fn bind(
    name: &str,
    address: SocketAddr,
    limits: ListenerLimits,
    metrics: &Arc<dyn IntakeMetrics>,
) -> anyhow::Result<Listener> {
    Listener::bind(address, limits, metrics.clone())
        .await
        .with_context(|| format!("[{name}] listen: cannot bind {address}"))
}

fn unix(
    path: &Path,
    limits: ListenerLimits,
    metrics: &Arc<dyn IntakeMetrics>,
) -> anyhow::Result<Listener> {
    use std::os::unix::fs::PermissionsExt;
    let listener = Listener::bind_unix(path, limits, metrics.clone())
        .with_context(|| format!("cannot bind the socket {}", path.display()))?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// Binds all doors, then serves them.
pub(super) async fn open(
    config: &Config,
    data_dir: &Path,
    (intake, in_hand): (&Arc<Intake>, InHand),
    api: &Arc<Api>,
    daemon: &Daemon,
) -> anyhow::Result<Doors> {
    let file = &config.file;
    let metrics: Arc<dyn IntakeMetrics> = daemon.metrics.clone();
    let slots = &daemon.slots;
    slots.replace(config);
    let local = |port| SocketAddr::from(([127, 0, 0, 1], port));
    let mail_limits = ListenerLimits {
        connections_max: limits::SMTP_CONNECTIONS_MAX,
        per_address_max: limits::SMTP_CONNECTIONS_PER_ADDRESS_MAX,
        ..ListenerLimits::default()
    };
    let operator_limits = ListenerLimits {
        connections_max: limits::OPERATORS_CONNECTIONS_MAX,
        ..ListenerLimits::default()
    };
    let at = |listen: Option<SocketAddr>, port| listen.unwrap_or(local(port));
    let http_at = at(file.http.listen, 8480);
    let smtp_at = at(file.smtp.listen, 2525);
    let lmtp_at = at(file.lmtp.listen, 2424);
    let operators_at = at(file.operators.listen, 8481);
    let http = bind("http", http_at, ListenerLimits::default(), &metrics).await?;
    let smtp = bind("smtp", smtp_at, mail_limits, &metrics).await?;
    let lmtp = bind("lmtp", lmtp_at, mail_limits, &metrics).await?;
    let operators = bind("operators", operators_at, operator_limits, &metrics).await?;
    let socket = data_dir.join(OPERATORS_SOCKET);
    let lmtp_socket = data_dir.join(LMTP_SOCKET);
    let operators_unix = unix(&socket, operator_limits, &metrics)?;
    let lmtp_unix = unix(&lmtp_socket, mail_limits, &metrics)?;

    let spool = data_dir.join("mail-spool");
    std::fs::create_dir_all(&spool).context("cannot make the folder for large mails")?;
    let mail_door = |section: &crate::config::sections::MailDoorSection,
                     address: SocketAddr,
                     lmtp: bool,
                     tls: &TlsSlot| {
        let mut settings = SmtpSettings::new(spool.clone());
        settings.lmtp = lmtp;
        settings.believe_any_address = address.ip().is_loopback();
        settings.domains.clone_from(&section.domains);
        if let Some(hostname) = &section.hostname {
            settings.hostname.clone_from(hostname);
        }
        if let Some(source) = &section.default_source {
            settings.default_source.clone_from(source);
        }
        SmtpDoor::new(intake.clone(), settings, tls.clone(), in_hand.clone())
    };
    let http_door = HttpDoor::new(
        intake.clone(),
        Arc::new(StandardAnswers),
        HttpSettings {
            loopback: http_at.ip().is_loopback(),
            trusted_proxies: file.http.trusted_proxies.clone(),
            tracker_hooks: HookTaker(Some(daemon.hooks.clone())),
            ..HttpSettings::default()
        },
    );
    let threads = &daemon.threads;
    let doors = Doors {
        threads: threads.clone(),
        http: http.local_addr(),
        smtp: smtp.local_addr(),
        lmtp: lmtp.local_addr(),
        operators: operators.local_addr(),
        socket,
        lmtp_socket,
        running: vec![
            http.with_tls(slots.http.clone())
                .on_threads(threads)
                .serve(http_door),
            smtp.on_threads(threads)
                .serve(mail_door(&file.smtp, smtp_at, false, &slots.smtp)),
            lmtp.on_threads(threads)
                .serve(mail_door(&file.lmtp, lmtp_at, true, &slots.lmtp)),
            lmtp_unix.on_threads(threads).serve(mail_door(
                &file.lmtp,
                local(0),
                true,
                &TlsSlot::default(),
            )),
            operators
                .with_tls(slots.operators.clone())
                .serve(Arc::new(OperatorsDoor(api.clone()))),
            operators_unix.serve(Arc::new(OperatorsDoor(api.clone()))),
        ],
    };
    Ok(doors)
}
