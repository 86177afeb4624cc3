//! The HTTP door: hooks, native events and drop-in receivers.
//!
//! One `match` on the path leads to a source; then credentials, rate, decoding behind the fence,
//! and [`Intake::accept`]. Answers come from [`super::answers`]. Invariant: a success is answered
//! only after `accept` resolved, and a request is answered in full or not at all.

mod admission;

use super::accept::{Delivery, Intake, summary_of};
use super::answers::{Answer, Answers, Refusal, Route};
use super::auth;
use super::body::{self, BodyError, Room, Taken};
use super::fence::Busy;
use super::listener::{Door, Peer, Stream};
use super::native;
use super::patient::Patient;
use super::rate::Limiter;
use super::raw;
use super::routes::{self, Target};
use super::sns_trust::{Fetch, SnsTrust, WebFetch};
use super::source::{Credential, Source, heartbeat_source};
use super::tracker_hooks::HookTaker;
use super::{Refused, Tried, handshake, opsgenie};
use crate::formats::{Decoded, Request};
use crate::limits;
use crate::model::input::HEARTBEAT;
use crate::store::StoreError;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use secrecy::ExposeSecret;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

// Hyper's own bound, which it keeps on the stack; setting it would cost an allocation a request.
const _: () = assert!(limits::HTTP_HEADERS_MAX == 100);

/// How the door behaves.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Whether the door is bound to loopback, where sources without credentials are believed.
    pub loopback: bool,
    /// Proxies that are believed when they name the client.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// The source of `/v1/events`.
    pub native_source: String,
    /// The source of the bare Alertmanager path.
    pub alertmanager_source: String,
    /// The source of PagerDuty events whose key leads to none.
    pub pagerduty_source: String,
    /// The source of Opsgenie requests whose key leads to none.
    pub opsgenie_source: String,
    /// Who takes the hooks of trackers.
    pub tracker_hooks: HookTaker,
    /// Largest body on the wire and after decompression.
    pub body_bytes_max: usize,
    /// Most bytes of large bodies in memory at once.
    pub bodies_bytes_max: usize,
    /// Longest time a request waits for room for its body.
    pub room_time: Duration,
    /// Time for a head.
    pub head_time: Duration,
    /// Time for a body.
    pub body_time: Duration,
    /// Time an idle connection may wait.
    pub idle_time: Duration,
}

impl Default for HttpSettings {
    fn default() -> HttpSettings {
        HttpSettings {
            loopback: true,
            trusted_proxies: Vec::new(),
            native_source: "native".to_owned(),
            alertmanager_source: "prometheus".to_owned(),
            pagerduty_source: "pagerduty".to_owned(),
            opsgenie_source: "opsgenie".to_owned(),
            tracker_hooks: HookTaker::default(),
            body_bytes_max: limits::HTTP_BODY_BYTES_MAX,
            bodies_bytes_max: limits::HTTP_BODIES_BYTES_MAX,
            room_time: Duration::from_secs(limits::HTTP_ROOM_SECONDS),
            head_time: Duration::from_secs(limits::HTTP_HEADER_SECONDS),
            body_time: Duration::from_secs(limits::HTTP_BODY_SECONDS),
            idle_time: Duration::from_secs(limits::HTTP_IDLE_SECONDS),
        }
    }
}

/// The door.
pub struct HttpDoor {
    intake: Arc<Intake>,
    pub(super) answers: Arc<dyn Answers>,
    pub(super) settings: HttpSettings,
    pace: Limiter,
    strangers: Limiter,
    sns: SnsTrust,
    room: Room,
}

/// Why a request was not even tried.
enum NotDecoded {
    /// The status and the reason.
    Refused(u16, String),
    /// It may come again.
    Busy(Busy),
}

/// A request that is being served.
pub(super) struct Served<'a> {
    pub(super) request: Request<'a>,
    bytes: &'a Bytes,
    client: IpAddr,
}

impl HttpDoor {
    /// A door to an intake.
    pub fn new(
        intake: Arc<Intake>,
        answers: Arc<dyn Answers>,
        settings: HttpSettings,
    ) -> Arc<HttpDoor> {
        HttpDoor::with_fetch(intake, answers, settings, Arc::new(WebFetch::default()))
    }

    /// The same with its own way to fetch certificates and confirmations from SNS.
    pub fn with_fetch(
        intake: Arc<Intake>,
        answers: Arc<dyn Answers>,
        settings: HttpSettings,
        fetch: Arc<dyn Fetch>,
    ) -> Arc<HttpDoor> {
        Arc::new(HttpDoor {
            room: Room::new(settings.bodies_bytes_max, settings.room_time),
            intake,
            answers,
            settings,
            pace: Limiter::new(limits::RATE_KEYS_MAX),
            strangers: Limiter::new(limits::RATE_KEYS_MAX),
            sns: SnsTrust::new(fetch),
        })
    }

    async fn handle(&self, request: hyper::Request<Incoming>, peer: &Peer) -> Answer {
        let (head, body) = request.into_parts();
        let (method, path) = (head.method.clone(), head.uri.path().to_owned());
        let (method, path) = (method.as_str(), path.as_str());
        let mut tracker = None;
        let (route, named) = match Target::of(path, &self.settings) {
            Target::Take(route, name) => (route, Some(name)),
            Target::Keyed(route) => (route, None),
            Target::Tracker(name) => {
                tracker = Some(name);
                (Route::Hook, None)
            }
            Target::Fixed(fixed) => return fixed.answer(),
            Target::Nothing => return self.refuse(Route::Hook, 404, Refused::Unknown, NO_ROUTE),
        };
        if method == "OPTIONS"
            && route == Route::Hook
            && head.headers.contains_key("webhook-request-origin")
            && let Some(source) = named.and_then(|name| self.named(name))
        {
            let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
            let (origin, rate) = (text("webhook-request-origin"), text("webhook-request-rate"));
            return handshake::options(&source, origin, rate);
        }
        if !matches!(method, "POST" | "PUT" | "PATCH" | "GET" | "DELETE") {
            let reason = "this path takes POST; hooks of senders that can only GET take GET";
            return self.refuse(route, 405, Refused::Malformed, reason);
        }
        if method == "GET" && !matches!(route, Route::Hook | Route::Opsgenie) {
            return self.refuse(route, 405, Refused::Malformed, "this path takes POST");
        }
        // Held until the answer is known: decoding and storing need the bytes as well.
        let mut taken = self.room.taken();
        let body = match self.body(body, &head.headers, &mut taken).await {
            Ok(body) => body,
            Err(error) => return self.refuse_body(route, &error),
        };
        if route == Route::PagerDuty && body.len() > limits::PAGERDUTY_BODY_BYTES_MAX {
            return self.refuse_body(
                route,
                &BodyError::TooLarge(limits::PAGERDUTY_BODY_BYTES_MAX),
            );
        }
        let headers = text_headers(&head.headers);
        let query = head.uri.query().unwrap_or("").to_owned();
        // While the journal syncs, hyper watches for the end of the connection: it gets a new buffer
        // for that if anything of the request still stands in its own.
        drop(head);
        let request = Request {
            method,
            path,
            query: &query,
            headers: &headers,
            body: &body,
            received_at: self.intake.clock.now(),
        };
        let forwarded = request.header("x-forwarded-for");
        let client = auth::client_address(peer.address, forwarded, &self.settings.trusted_proxies);
        let served = Served {
            request,
            bytes: &body,
            client,
        };
        match tracker {
            Some(tracker) => self.tracker_hook(tracker, &served, peer).await,
            None => self.take(route, named, &served, peer).await,
        }
    }

    async fn body(
        &self,
        body: Incoming,
        headers: &hyper::HeaderMap,
        taken: &mut Taken<'_>,
    ) -> Result<Bytes, BodyError> {
        let bytes_max = self.settings.body_bytes_max;
        let bytes = body::collect(body, bytes_max, self.settings.body_time, taken).await?;
        let encoding = headers
            .get(hyper::header::CONTENT_ENCODING)
            .and_then(|value| value.to_str().ok());
        body::decompress(bytes, encoding, bytes_max, taken).await
    }

    async fn take(
        &self,
        route: Route,
        named: Option<&str>,
        served: &Served<'_>,
        peer: &Peer,
    ) -> Answer {
        let sources = self.intake.sources.load();
        let keyed = matches!(route, Route::PagerDuty | Route::Opsgenie)
            .then(|| routes::key_of(route, &served.request))
            .flatten()
            .and_then(|key| sources.keyed(&key));
        let (source, by_key) = match (named.map(|name| sources.named(name)), keyed) {
            (Some(named), keyed) => {
                let same = |one: &Arc<Source>| named.is_some_and(|named| Arc::ptr_eq(named, one));
                (named, keyed.is_some_and(same))
            }
            (None, Some(keyed)) => (Some(keyed), true),
            (None, None) => (sources.named(self.fallback(route)), false),
        };
        let source = source.cloned();
        drop(sources);
        let Some(source) = source else {
            return self.refuse(route, 404, Refused::Unknown, "there is no such source");
        };
        if let Some(answer) = self.challenged(route, &source, &served.request) {
            return answer;
        }
        let admitted = match self.admit(route, &source, served, peer, by_key).await {
            Ok(admitted) => admitted,
            Err(answer) => return answer,
        };
        if route == Route::Opsgenie
            && let Some(id) = opsgenie::lookup_of(&served.request)
        {
            return self.looked_up(&source, id).await;
        }
        if body::is_too_deep(served.bytes) {
            let reason = format!(
                "the body nests deeper than {} levels",
                limits::JSON_DEPTH_MAX
            );
            return self.refuse(route, 400, Refused::Malformed, &reason);
        }
        if body::is_too_heavy(served.bytes) {
            let reason = "the body holds more objects and values than can be taken at once; \
                          send fewer alerts in one message";
            return self.refuse(route, 413, Refused::TooLarge, reason);
        }
        if let Some(beat) = self.heartbeat(route, &source, &served.request) {
            return self.beaten(&beat, served).await;
        }
        let deliveries = match self.decode(route, &source, served).await {
            Ok(deliveries) => deliveries,
            Err(NotDecoded::Refused(status, reason)) => {
                return self.refuse(route, status, Refused::Malformed, &reason);
            }
            Err(NotDecoded::Busy(busy)) => {
                self.intake.metrics.refused("http", Refused::NoRoom);
                return self.unavailable(route, &busy.to_string());
            }
        };
        // Stored before it is confirmed: a subscription that nobody knows of would be worse.
        match self.intake.accept(&source, deliveries).await {
            Ok(accepted) => match self.confirm(route, &source, admitted).await {
                Ok(()) => self.answers.accepted(route, &served.request, &accepted),
                Err(answer) => answer,
            },
            Err(error) => self.refuse_store(route, &source, &error),
        }
    }

    /// The configured heartbeat that a request pings.
    fn heartbeat(&self, route: Route, source: &Source, request: &Request) -> Option<Arc<Source>> {
        if route != Route::Opsgenie {
            return None;
        }
        let name = opsgenie::heartbeat_of(request.path)?;
        self.named(&heartbeat_source(&source.config.name, &name))
    }

    /// A sign of life: nothing is decoded, the row alone moves the engine.
    async fn beaten(&self, beat: &Arc<Source>, served: &Served<'_>) -> Answer {
        let decoded = Decoded::ignored("a sign of life");
        let tried = (HEARTBEAT.to_owned(), Ok(decoded));
        let sign = delivery(beat, &served.request, tried);
        match self.intake.accept(beat, vec![sign]).await {
            Ok(accepted) => self
                .answers
                .accepted(Route::Opsgenie, &served.request, &accepted),
            Err(error) => self.refuse_store(Route::Opsgenie, beat, &error),
        }
    }

    fn named(&self, name: &str) -> Option<Arc<Source>> {
        self.intake.sources.load().named(name).cloned()
    }

    fn challenged(&self, route: Route, source: &Source, request: &Request) -> Option<Answer> {
        (route == Route::Hook && request.method == "GET")
            .then(|| handshake::challenge(source, request.query))
            .flatten()
    }

    /// The state of an Opsgenie request: its place in the journal is its id.
    async fn looked_up(&self, source: &Source, id: &str) -> Answer {
        let seq = id.parse::<u64>().ok().and_then(|seq| seq.checked_sub(1));
        let journal = self.intake.journal.clone();
        let read = tokio::task::spawn_blocking(move || journal.read(seq?, 1).ok());
        let rows = read.await.ok().flatten().unwrap_or_default();
        let row = rows.first().filter(|row| row.seq.to_string() == id);
        opsgenie::looked_up(id, &source.name, row)
    }

    fn fallback(&self, route: Route) -> &str {
        match route {
            Route::PagerDuty => &self.settings.pagerduty_source,
            _ => &self.settings.opsgenie_source,
        }
    }

    fn unavailable(&self, route: Route, reason: &str) -> Answer {
        let refusal = Refusal {
            status: 503,
            reason: format!("{reason}; try again"),
            retry_after: Some(limits::RETRY_AFTER_SECONDS),
        };
        self.answers.refused(route, &refusal)
    }

    async fn decode(
        &self,
        route: Route,
        source: &Arc<Source>,
        served: &Served<'_>,
    ) -> Result<Vec<Delivery>, NotDecoded> {
        let refused = |status, reason| NotDecoded::Refused(status, reason);
        if route != Route::Native {
            let tried = self.try_decode(source, served).await?;
            return Ok(vec![delivery(source, &served.request, tried)]);
        }
        let elements = native::split(served.request.body).map_err(|reason| refused(400, reason))?;
        if elements.is_empty() {
            return Err(refused(400, "the list holds no event".to_owned()));
        }
        if elements.len() > limits::EVENTS_PER_MESSAGE_MAX {
            let most = limits::EVENTS_PER_MESSAGE_MAX;
            let reason = format!("one request may carry at most {most} events");
            return Err(refused(413, reason));
        }
        let mut deliveries = Vec::with_capacity(elements.len());
        for (place, element) in elements.into_iter().enumerate() {
            let bytes = served.bytes.slice_ref(element);
            let one = Served {
                request: Request {
                    body: element,
                    ..served.request
                },
                bytes: &bytes,
                client: served.client,
            };
            let tried = self.try_decode(source, &one).await?;
            // The whole request stands beside the first event, an event in quarantine beside its
            // own row.
            let mut next = delivery(source, &one.request, tried);
            if next.tried.1.is_ok() {
                next.raw = if place == 0 {
                    dump(source, &served.request)
                } else {
                    Vec::new()
                };
            }
            deliveries.push(next);
        }
        Ok(deliveries)
    }

    async fn try_decode(
        &self,
        source: &Arc<Source>,
        served: &Served<'_>,
    ) -> Result<Tried, NotDecoded> {
        let (fence, decoder) = (&self.intake.fence, &self.intake.decoder);
        let request = &served.request;
        if request.body.len() <= limits::DECODE_IN_PLACE_BYTES_MAX {
            let kind = &source.config.kind;
            return Ok(fence.decode(kind, request.body, || decoder.http(source, request)));
        }
        let (decoder, apart) = (decoder.clone(), source.clone());
        let (method, path) = (request.method.to_owned(), request.path.to_owned());
        let (query, headers) = (request.query.to_owned(), request.headers.to_vec());
        let received_at = request.received_at;
        let decode = move |body: &[u8]| {
            let request = Request {
                method: &method,
                path: &path,
                query: &query,
                headers: &headers,
                body,
                received_at,
            };
            decoder.http(&apart, &request)
        };
        fence
            .decode_apart(&source.config.kind, served.bytes.clone(), decode)
            .await
            .map_err(NotDecoded::Busy)
    }

    pub(super) fn refuse(&self, route: Route, status: u16, why: Refused, reason: &str) -> Answer {
        self.intake.metrics.refused("http", why);
        let refusal = Refusal {
            status,
            reason: reason.to_owned(),
            retry_after: None,
        };
        self.answers.refused(route, &refusal)
    }

    fn refuse_body(&self, route: Route, error: &BodyError) -> Answer {
        let (status, why) = match error {
            BodyError::TooLarge(_) => (413, Refused::TooLarge),
            BodyError::TooSlow(_) => (408, Refused::TooSlow),
            BodyError::Broken(_) => (400, Refused::Malformed),
            BodyError::Encoding(_) => (415, Refused::Malformed),
            BodyError::NoRoom => {
                self.intake.metrics.refused("http", Refused::NoRoom);
                return self.unavailable(route, &error.to_string());
            }
        };
        self.refuse(route, status, why, &error.to_string())
    }

    fn refuse_store(&self, route: Route, source: &Source, error: &StoreError) -> Answer {
        let why = match error {
            StoreError::Full { .. } => Refused::BacklogFull,
            _ => Refused::StoreUnavailable,
        };
        tracing::warn!(source = %source.name, %error, "request_not_stored");
        self.intake.metrics.refused("http", why);
        self.unavailable(route, "it cannot be stored now")
    }
}

const NO_ROUTE: &str = "there is nothing at this path; hooks are at /hooks/SOURCE, native events \
                        at /v1/events";

fn delivery(source: &Source, request: &Request, tried: Tried) -> Delivery {
    let summary = if tried.1.is_err() {
        summary_of(request.body)
    } else {
        String::new()
    };
    Delivery {
        tried,
        raw: dump(source, request),
        group: String::new(),
        summary,
    }
}

fn dump(source: &Source, request: &Request) -> Vec<u8> {
    let is_secret = |name: &str| {
        source.config.credentials.iter().any(|one| match one {
            Credential::Header { name: secret, .. } | Credential::Query { name: secret, .. } => {
                secret.eq_ignore_ascii_case(name)
            }
            _ => false,
        })
    };
    let mut raw = raw::dump(request, &is_secret);
    for credential in &source.config.credentials {
        if let Credential::Body { value, .. } = credential {
            raw = raw::without(raw, value.expose_secret());
        }
    }
    raw
}

fn text_headers(headers: &hyper::HeaderMap) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.as_str().to_owned(), value)
        })
        .collect()
}

fn response(answer: Answer) -> hyper::Response<Full<Bytes>> {
    let mut response = hyper::Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = hyper::StatusCode::from_u16(answer.status)
        .unwrap_or(hyper::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    }
    if let Some(seconds) = answer.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

impl Door for HttpDoor {
    fn serve(
        self: Arc<Self>,
        stream: Stream,
        peer: Peer,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let in_request = Arc::new(AtomicBool::new(false));
            let head_time = self.settings.head_time;
            let stream = Patient::new(stream, in_request.clone(), head_time);
            let idle_time = self.settings.idle_time;
            let (door, peer) = (&self, &peer);
            let service = service_fn(move |request| {
                in_request.store(true, Ordering::Relaxed);
                let in_request = in_request.clone();
                async move {
                    let answer = door.handle(request, peer).await;
                    in_request.store(false, Ordering::Relaxed);
                    Ok::<_, Infallible>(response(answer))
                }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(idle_time)
                .max_header_size(limits::HTTP_HEADER_BYTES_MAX)
                .max_buf_size(2 * limits::HTTP_HEADER_BYTES_MAX)
                .serve_connection(TokioIo::new(stream), service);
            tokio::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                let why = if error.is_timeout() {
                    Refused::TooSlow
                } else {
                    Refused::Malformed
                };
                if error.is_parse() || error.is_timeout() {
                    self.intake.metrics.refused("http", why);
                }
                tracing::debug!(client = %peer.address, %error, "http_connection_broke");
            }
        })
    }

    fn name(&self) -> &'static str {
        "http"
    }
}
