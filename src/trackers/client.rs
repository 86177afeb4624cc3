//! The one HTTP client of the trackers: bounds, time-outs, certificates, and what an answer means.
//!
//! A read that fails was not done and may be done later. A write that never left was not done; one
//! that left and brought no whole answer, or a 5xx, is unknown. Redirects are never followed: a
//! redirected write can turn into a read that looks like success.

use super::Called;
use crate::limits;
use crate::model::Time;
use crate::model::text::{bounded, innermost, one_line};
use base64::Engine as _;
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, Url};
use serde::Deserialize;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How the bridge speaks to a tracker.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectionConfig {
    /// A proxy; none is used without it, whatever the environment says.
    pub proxy: Option<Url>,
    /// A PEM file of further certificate authorities.
    pub ca_file: Option<PathBuf>,
    /// Longest time of one call, seconds.
    pub timeout_seconds: u64,
}

impl Default for ConnectionConfig {
    fn default() -> ConnectionConfig {
        ConnectionConfig {
            proxy: None,
            ca_file: None,
            timeout_seconds: limits::TRACKER_CALL_SECONDS,
        }
    }
}

/// A client of one tracker.
pub struct Client {
    http: reqwest::Client,
    base: String,
    /// How long an answer that was good asked to wait, because the rate is nearly used up.
    pause: Mutex<Option<Duration>>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, within the limit.
    pub body: Vec<u8>,
}

/// Why there is no whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// The request never left.
    NotSent(String),
    /// It may have been carried out.
    Lost(String),
}

impl Answer {
    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The tracker's clock.
    pub fn date(&self) -> Option<Time> {
        http_date(self.header("date")?)
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether it says "done".
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// How long the tracker asks to wait: seconds, or a date held against the tracker's own clock.
    pub fn retry_after(&self) -> Option<Duration> {
        let Some(asked) = self.header("retry-after") else {
            return self.rate_reset();
        };
        let asked = asked.trim();
        let wait = match asked.parse::<u64>() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => http_date(asked)?.since(self.date()?),
        };
        Some(wait.min(Duration::from_secs(limits::TRACKER_WAIT_SECONDS_MAX)))
    }

    /// Nothing is left of the rate until the instant that the tracker names.
    fn rate_reset(&self) -> Option<Duration> {
        let named = |name: &str| {
            ["x-ratelimit-", "ratelimit-", "x-rate-limit-"]
                .iter()
                .find_map(|prefix| self.header(&format!("{prefix}{name}")))
        };
        let near = self.header("x-ratelimit-nearlimit") == Some("true");
        if !near && named("remaining")?.trim() != "0" {
            return None;
        }
        let reset = named("reset")?.trim();
        let reset = match reset.parse::<i64>() {
            // Small numbers are seconds from now.
            Ok(seconds) if seconds < 1_000_000_000 => {
                let wait = Duration::from_secs(u64::try_from(seconds).ok()?);
                return Some(wait.min(Duration::from_secs(limits::TRACKER_WAIT_SECONDS_MAX)));
            }
            Ok(seconds) => Time::from_seconds(seconds),
            Err(_) => Time::parse_rfc3339(reset)?,
        };
        let wait = reset.since(self.date()?);
        Some(wait.min(Duration::from_secs(limits::TRACKER_WAIT_SECONDS_MAX)))
    }

    /// What the tracker said, for people: one bounded line.
    pub fn said(&self) -> String {
        let text = words_of(&self.json());
        let text = if text.is_empty() {
            String::from_utf8_lossy(&self.body).into_owned()
        } else {
            text
        };
        let said = bounded(&one_line(&text), limits::TRACKER_REASON_BYTES_MAX);
        format!("HTTP {} {said}", self.status).trim_end().to_owned()
    }

    /// What came of a read that was answered so.
    pub fn read(self) -> Called<Answer> {
        match self.status {
            200..300 => Called::Done(self),
            400 | 404 | 405 | 406 | 410 | 415 | 422 => self.refused(),
            _ => self.later(),
        }
    }

    /// What came of a write that was answered so.
    pub fn write(self) -> Called<Answer> {
        match self.status {
            200..300 => Called::Done(self),
            400 | 404..=407 | 409..=424 | 426..=428 => self.refused(),
            300..500 if self.status != 408 => self.later(),
            _ => Called::Unknown {
                after: self.retry_after(),
                reason: self.said(),
            },
        }
    }

    /// Not done, and not to be done again as it is.
    pub fn refused<T>(&self) -> Called<T> {
        Called::Refused {
            reason: self.said(),
            field: field_of(&self.json()),
        }
    }

    /// Not done; may be done later, and not at once: what answered wants to be left alone. Refused
    /// credentials wait longer, so that a lock-out is not provoked.
    pub fn later<T>(&self) -> Called<T> {
        let pause = if matches!(self.status, 300..=399 | 401 | 403) {
            limits::TRACKER_UNAUTHORISED_SECONDS
        } else {
            limits::TRACKER_PAUSE_SECONDS
        };
        let after = self.retry_after().unwrap_or(Duration::from_secs(pause));
        Called::Later {
            reason: self.said(),
            after: Some(after),
        }
    }
}

impl Client {
    /// A client for what lives below `base`; `headers` go with every request.
    pub fn new(
        base: &Url,
        headers: HeaderMap,
        connection: &ConnectionConfig,
    ) -> Result<Client, String> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("alertbridge/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(Duration::from_secs(limits::TRACKER_CONNECT_SECONDS))
            .timeout(Duration::from_secs(connection.timeout_seconds.max(1)));
        if let Some(proxy) = &connection.proxy {
            let proxy = reqwest::Proxy::all(proxy.clone());
            builder = builder.proxy(proxy.map_err(|error| format!("proxy: {error}"))?);
        }
        if let Some(file) = &connection.ca_file {
            let shown = file.display();
            let pem = std::fs::read(file).map_err(|error| format!("ca_file {shown}: {error}"))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)
                .map_err(|error| format!("ca_file {shown}: {error}"))?;
            builder = builder.tls_certs_merge(certificates);
        }
        let http = builder.build().map_err(|error| error.to_string())?;
        Ok(Client {
            http,
            base: base.as_str().trim_end_matches('/').to_owned(),
            pause: Mutex::default(),
        })
    }

    /// A request below the base; `path` begins with a slash.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// Reads: what fails was not done and may be done later.
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Called<Answer> {
        match send(self.request(Method::GET, path).query(query)).await {
            Ok(answer) => {
                self.heed(&answer);
                answer.read()
            }
            Err(NoAnswer::NotSent(reason) | NoAnswer::Lost(reason)) => Called::later(reason),
        }
    }

    /// Writes JSON.
    pub async fn write(&self, method: Method, path: &str, body: &Value) -> Called<Answer> {
        let sent = send(self.request(method, path).json(body)).await;
        if let Ok(answer) = &sent {
            self.heed(answer);
        }
        written(sent)
    }

    /// Keeps what a good answer says of the rate; one that is none says it itself.
    fn heed(&self, answer: &Answer) {
        if answer.is_success()
            && let Some(pause) = answer.rate_reset()
        {
            let mut kept = self.pause.lock().unwrap_or_else(PoisonError::into_inner);
            *kept = Some(pause);
        }
    }

    /// How long good answers since the last question asked to wait; told once.
    pub fn pause_asked(&self) -> Option<Duration> {
        let mut kept = self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        kept.take()
    }
}

/// What came of a write.
pub fn written(sent: Result<Answer, NoAnswer>) -> Called<Answer> {
    match sent {
        Ok(answer) => answer.write(),
        Err(NoAnswer::NotSent(reason)) => Called::later(reason),
        Err(NoAnswer::Lost(reason)) => Called::Unknown {
            reason,
            after: None,
        },
    }
}

/// Sends a request and reads its answer whole.
pub async fn send(request: RequestBuilder) -> Result<Answer, NoAnswer> {
    let lost = |error: &reqwest::Error| {
        let reason = reason_of(error);
        if error.is_connect() || error.is_builder() {
            NoAnswer::NotSent(reason)
        } else {
            NoAnswer::Lost(reason)
        }
    };
    let mut response = request.send().await.map_err(|error| lost(&error))?;
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(part)) if body.len() + part.len() <= limits::TRACKER_ANSWER_BYTES_MAX => {
                body.extend_from_slice(&part);
            }
            Ok(Some(_)) => {
                return Err(NoAnswer::Lost(format!(
                    "the answer is larger than {} bytes",
                    limits::TRACKER_ANSWER_BYTES_MAX
                )));
            }
            Ok(None) => break,
            Err(error) => return Err(NoAnswer::Lost(reason_of(&error))),
        }
    }
    Ok(Answer {
        status: response.status().as_u16(),
        headers: std::mem::take(response.headers_mut()),
        body,
    })
}

/// The configured address, or where the service is for everybody.
pub fn base_or(configured: Option<&Url>, default: &str) -> Result<Url, String> {
    match configured {
        Some(url) => Ok(url.clone()),
        None => Url::parse(default).map_err(|error| format!("url: {error}")),
    }
}

/// The value of `Authorization` for a name and a password.
pub fn basic(user: &str, password: &str) -> Result<HeaderValue, String> {
    let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    secret_header(&format!("Basic {pair}"))
}

/// A header that is never logged.
pub fn secret_header(value: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(value.trim())
        .map_err(|_| "the token holds characters that no header can carry".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// The innermost cause, without the address: it may hold what is secret.
pub fn reason_of(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let cause = innermost(error);
    let what = if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    };
    let words = if std::ptr::addr_eq(cause, error) {
        String::new()
    } else {
        format!(": {cause}")
    };
    bounded(&format!("{what}{words}"), limits::TRACKER_REASON_BYTES_MAX)
}

/// Reads the date of HTTP: `Wed, 25 Nov 2026 03:14:07 GMT`.
fn http_date(text: &str) -> Option<Time> {
    let parsed = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    Some(Time::from_timestamp(parsed.timestamp()))
}

/// The words in the shapes that trackers answer errors with.
fn words_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => {
            let words: Vec<String> = list.iter().map(words_of).collect();
            words.join(" ")
        }
        Value::Object(object) => {
            let mut words = Vec::new();
            for key in [
                "message",
                "error",
                "error_human",
                "errorMessages",
                "errors",
                "detail",
                "details",
                "description",
                "msg",
            ] {
                match object.get(key) {
                    Some(Value::Object(inner))
                        if matches!(key, "errors" | "message" | "details") =>
                    {
                        let inner = inner.iter().map(|(k, v)| format!("{k}: {}", words_of(v)));
                        words.extend(inner);
                    }
                    Some(value) => words.push(words_of(value)),
                    None => {}
                }
            }
            words.retain(|word| !word.is_empty());
            words.join(" ")
        }
        _ => String::new(),
    }
}

/// The field that an error names, in the shapes that say so.
fn field_of(value: &Value) -> Option<String> {
    let places = ["/errors", "/details", "/_embedded/errors", "/message"];
    match places.iter().find_map(|place| value.pointer(place))? {
        Value::Object(fields) => fields.keys().next().cloned(),
        Value::Array(list) => {
            let first = list.first()?;
            let named = first.get("field").or_else(|| first.get("path"))?;
            named.as_str().map(str::to_owned)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Answer {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    reqwest::header::HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        Answer {
            status,
            headers,
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        let seconds = answer(429, &[("retry-after", "7")], "");
        assert_eq!(seconds.retry_after(), Some(Duration::from_secs(7)));
        let date = answer(
            503,
            &[
                ("date", "Wed, 25 Nov 2026 03:14:07 GMT"),
                ("retry-after", "Wed, 25 Nov 2026 03:15:07 GMT"),
            ],
            "",
        );
        assert_eq!(date.retry_after(), Some(Duration::from_secs(60)));
        let limited = answer(
            403,
            &[
                ("date", "Wed, 25 Nov 2026 03:14:07 GMT"),
                ("x-ratelimit-remaining", "0"),
                ("x-ratelimit-reset", "1795576477"),
            ],
            "",
        );
        assert_eq!(limited.retry_after(), Some(Duration::from_secs(30)));
        for (reset, remaining) in [
            ("2026-11-25T03:14:37Z", "x-ratelimit-remaining"),
            ("30", "x-rate-limit-remaining"),
        ] {
            let prefix = remaining.trim_end_matches("remaining");
            let name: &'static str = if prefix == "x-ratelimit-" {
                "x-ratelimit-reset"
            } else {
                "x-rate-limit-reset"
            };
            let date = ("date", "Wed, 25 Nov 2026 03:14:07 GMT");
            let limited = answer(429, &[date, (remaining, "0"), (name, reset)], "");
            assert_eq!(limited.retry_after(), Some(Duration::from_secs(30)));
        }
        let near = answer(
            200,
            &[
                ("date", "Wed, 25 Nov 2026 03:14:07 GMT"),
                ("x-ratelimit-nearlimit", "true"),
                ("x-ratelimit-remaining", "17"),
                ("x-ratelimit-reset", "2026-11-25T03:14:37Z"),
            ],
            "",
        );
        assert_eq!(near.rate_reset(), Some(Duration::from_secs(30)));
        let absurd = answer(429, &[("retry-after", "999999999")], "");
        let longest = Duration::from_secs(limits::TRACKER_WAIT_SECONDS_MAX);
        assert_eq!(absurd.retry_after(), Some(longest));
    }

    #[test]
    fn a_write_answered_5xx_is_unknown_and_a_read_is_not() {
        for status in [408, 500, 502, 503, 504] {
            let written = answer(status, &[], "").write();
            assert!(matches!(written, Called::Unknown { .. }), "{status}");
            let read = answer(status, &[], "").read();
            assert!(matches!(read, Called::Later { .. }), "{status}");
        }
        for status in [301, 302, 401, 403, 425, 429] {
            let written = answer(status, &[], "").write();
            assert!(matches!(written, Called::Later { .. }), "{status}");
        }
        for status in [400, 404, 409, 413, 422] {
            let written = answer(status, &[], "").write();
            assert!(matches!(written, Called::Refused { .. }), "{status}");
        }
    }

    #[test]
    fn errors_become_one_sentence_with_their_field() {
        let body =
            r#"{"errorMessages":[],"errors":{"summary":"Summary can't exceed 255 characters."}}"#;
        let Called::Refused { reason, field } = answer(400, &[], body).write() else {
            panic!("not refused");
        };
        assert_eq!(
            reason,
            "HTTP 400 summary: Summary can't exceed 255 characters."
        );
        assert_eq!(field.as_deref(), Some("summary"));
        for (body, named) in [
            (r#"{"message":{"title":["is too long"]}}"#, "title"),
            (
                r#"{"message":"Bad request","_embedded":{"errors":[{"path":"mailboxId","message":"x"}]}}"#,
                "mailboxId",
            ),
            (
                r#"{"message":"Validation Failed","errors":[{"resource":"Issue","field":"labels"}]}"#,
                "labels",
            ),
            (
                r#"{"error":"RecordInvalid","details":{"priority":[{}]}}"#,
                "priority",
            ),
        ] {
            let Called::Refused { field, .. } = answer(422, &[], body).write() else {
                panic!("not refused");
            };
            assert_eq!(field.as_deref(), Some(named));
        }
        let body = r#"{"error":{"message":"User Not Authenticated","detail":"x"}}"#;
        assert_eq!(
            answer(401, &[], body).said(),
            "HTTP 401 User Not Authenticated x"
        );
        assert_eq!(
            answer(500, &[], "<html>\n oops").said(),
            "HTTP 500 <html> oops"
        );
    }
}
