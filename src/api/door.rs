//! Connections of the operators' door and who is calling.
//!
//! Reading is open on loopback; writing needs the unix socket (whoever may open it is trusted, by
//! the group of the file) or a token with a role. The Host header is checked, so that a page in a
//! browser cannot reach the door under another name, and a body has to be JSON, so that a form
//! cannot post to it.

use super::{Failure, Shared};
use crate::limits;
pub use crate::model::command::Role;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use secrecy::{ExposeSecret, SecretString};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use subtle::ConstantTimeEq;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

/// How a connection came.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Over the unix socket: the user's name there.
    pub socket_user: Option<String>,
}

/// Who is calling.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The name for the journal.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// May see sensitive content.
    pub sees_sensitive: bool,
}

/// Who may come in.
#[derive(Clone, Default)]
pub struct DoorRules {
    /// The door listens on loopback only: reading is open.
    pub loopback: bool,
    /// Names by which the door may be called, without port.
    pub hosts: Vec<String>,
    /// Names of tokens that may see sensitive content; administrators may anyhow.
    pub sees_sensitive: BTreeSet<String>,
    /// Tokens: name, role, value.
    pub tokens: Vec<(String, Role, SecretString)>,
}

/// Serves one connection to its end.
pub async fn serve(
    api: Shared,
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    arrival: Arrival,
    stop: CancellationToken,
) {
    let router = super::router(api).layer(axum::Extension(arrival));
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(limits::HTTP_HEADER_SECONDS))
        .max_buf_size(limits::HTTP_HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "operators_connection_broke");
    }
}

/// Lets a request in, or not, and says who is calling.
pub(super) async fn guard(State(api): State<Shared>, mut request: Request, next: Next) -> Response {
    let rules = api.rules.load_full();
    let arrival = request.extensions().get::<Arrival>().cloned();
    let socket_user = arrival.and_then(|arrival| arrival.socket_user);
    let headers = request.headers();
    if socket_user.is_none() && !host_is_known(&rules, headers) {
        let what = "this door is not called by that name; add it to [operators] hosts";
        return Failure(StatusCode::MISDIRECTED_REQUEST, what.to_owned()).into_response();
    }
    let shown = token_of(headers);
    let caller = match (socket_user, shown) {
        (Some(name), None) => Some(Caller {
            name,
            role: Role::Admin,
            sees_sensitive: true,
        }),
        (_, Some(token)) => match by_token(&rules, token) {
            Some(caller) => Some(caller),
            None => {
                let what = "that token is not known".to_owned();
                return Failure(StatusCode::UNAUTHORIZED, what).into_response();
            }
        },
        (None, None) if rules.loopback => Some(Caller {
            name: "loopback".to_owned(),
            role: Role::View,
            sees_sensitive: false,
        }),
        (None, None) => None,
    };
    let open = matches!(request.uri().path(), "/healthz" | "/readyz");
    let reading = matches!(*request.method(), Method::GET | Method::HEAD);
    match caller {
        None if !open => {
            let what = "a token is needed: Authorization: Bearer TOKEN".to_owned();
            return Failure(StatusCode::UNAUTHORIZED, what).into_response();
        }
        Some(caller) if !reading && caller.role == Role::View => {
            let what = "writing needs the unix socket in the data directory, or a token with role \
                        operate or admin";
            return Failure(StatusCode::FORBIDDEN, what.to_owned()).into_response();
        }
        Some(caller) => {
            request.extensions_mut().insert(caller);
        }
        None => {}
    }
    if !reading && !is_json(request.headers()) {
        let what = "the body must be JSON, with Content-Type: application/json".to_owned();
        return Failure(StatusCode::UNSUPPORTED_MEDIA_TYPE, what).into_response();
    }
    let time = Duration::from_secs(limits::OPERATORS_REQUEST_SECONDS);
    match tokio::time::timeout(time, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            let what = "the daemon did not get to it in time; look again later".to_owned();
            Failure(StatusCode::GATEWAY_TIMEOUT, what).into_response()
        }
    }
}

fn host_is_known(rules: &DoorRules, headers: &HeaderMap) -> bool {
    let Some(host) = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok())
    else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback() || !rules.loopback)
        || rules
            .hosts
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name))
}

fn token_of(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Compares with every token, so that the time says nothing about them.
fn by_token(rules: &DoorRules, token: &str) -> Option<Caller> {
    let mut found = None;
    for (name, role, known) in &rules.tokens {
        if bool::from(known.expose_secret().as_bytes().ct_eq(token.as_bytes())) {
            found = Some(Caller {
                name: name.clone(),
                role: *role,
                sees_sensitive: *role == Role::Admin || rules.sees_sensitive.contains(name),
            });
        }
    }
    found
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .and_then(|kind| kind.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// Refuses a caller who may not do what only an administrator may.
pub(super) fn admin(caller: &Caller) -> Result<(), Failure> {
    if caller.role == Role::Admin {
        return Ok(());
    }
    let what = format!("`{}` has not the role admin", caller.name);
    Err(Failure(StatusCode::FORBIDDEN, what))
}

/// The API behind one reference, as handlers get it.
pub(super) type Held = State<Arc<super::Api>>;

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(host: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        headers
    }

    #[test]
    fn a_strange_name_does_not_reach_the_door() {
        let rules = DoorRules {
            loopback: true,
            hosts: vec!["noc.example.net".to_owned()],
            ..DoorRules::default()
        };
        for good in [
            "localhost:8481",
            "127.0.0.1",
            "[::1]:1",
            "noc.example.net:8481",
        ] {
            assert!(host_is_known(&rules, &headers(good)), "{good}");
        }
        for bad in [
            "evil.example",
            "127.0.0.1.evil.example:8481",
            "192.0.2.1:8481",
        ] {
            assert!(!host_is_known(&rules, &headers(bad)), "{bad}");
        }
        assert!(!host_is_known(&rules, &HeaderMap::new()));
    }

    #[test]
    fn a_token_says_who_and_what() {
        let rules = DoorRules {
            tokens: vec![("noc".to_owned(), Role::Operate, "t1".into())],
            ..DoorRules::default()
        };
        let caller = by_token(&rules, "t1").unwrap();
        assert_eq!((caller.name.as_str(), caller.role), ("noc", Role::Operate));
        assert!(by_token(&rules, "t").is_none());
    }
}
