//! A server that stands in for a tracker that cannot be run here: one function answers requests
//! from a state that the test can look into and change.
#![allow(dead_code)]

pub mod cases;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A request as a tracker sees it.
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub headers: HeaderMap,
    pub body: Value,
    pub text: String,
}

impl Asked {
    /// The parts of the path.
    pub fn parts(&self) -> Vec<&str> {
        self.path.trim_matches('/').split('/').collect()
    }

    /// A header, empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// A value of the query, empty if it is not there.
    pub fn query(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }
}

/// An answer.
pub struct Said {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Value,
}

/// An answer with a body.
pub fn said(status: u16, body: Value) -> Said {
    Said {
        status,
        headers: Vec::new(),
        body,
    }
}

/// An answer without a body.
pub fn empty(status: u16) -> Said {
    said(status, Value::Null)
}

impl IntoResponse for Said {
    fn into_response(self) -> Response {
        let mut response = if self.body.is_null() {
            StatusCode::from_u16(self.status).unwrap().into_response()
        } else {
            let status = StatusCode::from_u16(self.status).unwrap();
            let body = self.body.to_string();
            (status, [("content-type", "application/json")], body).into_response()
        };
        let date = jiff::Timestamp::now()
            .strftime("%a, %d %b %Y %H:%M:%S GMT")
            .to_string();
        response.headers_mut().insert("date", date.parse().unwrap());
        for (name, value) in self.headers {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        response
    }
}

/// Something that a search finds only after a while.
pub struct Lagging {
    written: Instant,
}

impl Lagging {
    pub fn now() -> Lagging {
        Lagging {
            written: Instant::now(),
        }
    }

    pub fn shows(&self, lag: Duration) -> bool {
        self.written.elapsed() >= lag
    }
}

/// Serves until the test ends.
pub async fn serve<S: Send + 'static>(
    state: Arc<Mutex<S>>,
    answer: fn(&mut S, &Asked) -> Said,
) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    serve_on(listener, state, answer)
}

/// Serves on a listener until the test ends.
pub fn serve_on<S: Send + 'static>(
    listener: tokio::net::TcpListener,
    state: Arc<Mutex<S>>,
    answer: fn(&mut S, &Asked) -> Said,
) -> SocketAddr {
    let handler = move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| async move {
        let text = String::from_utf8_lossy(&body).into_owned();
        let query = url::form_urlencoded::parse(uri.query().unwrap_or("").as_bytes());
        let asked = Asked {
            method: method.to_string(),
            path: percent_decoded(uri.path()),
            query: query.into_owned().collect(),
            headers,
            body: serde_json::from_str(&text).unwrap_or(Value::Null),
            text,
        };
        answer(&mut state.lock().unwrap(), &asked)
    };
    let router = axum::Router::new().fallback(handler);
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn percent_decoded(path: &str) -> String {
    let pairs = url::form_urlencoded::parse(path.as_bytes());
    pairs
        .map(|(key, _)| key.into_owned())
        .collect::<Vec<_>>()
        .join("&")
}

/// The wall clock in the form of RFC 3339, whole seconds.
pub fn stamp() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}
