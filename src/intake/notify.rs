//! `alertbridge notify`, the sender's side: spool first, then deliver what is there, oldest first.
//!
//! A monitor calls it and forgets, so the exit code tells only whether the notification is safe: 0
//! once it is in the spool or with the daemon, 75 if it could not be spooled. Invariant: an entry
//! is never delivered before an older one of the same spool, and leaves the spool only when the
//! daemon has it or will never take it.

use super::spool::{Entry, Spool};
use crate::model::text::innermost;
use reqwest::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What a delivery run did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Entries that the daemon took.
    pub delivered: usize,
    /// Entries that it will never take; they were set aside.
    pub refused: usize,
    /// Entries that wait for the next run.
    pub left: usize,
    /// Why entries wait, if the daemon could not take them.
    pub trouble: Option<String>,
}

/// What the daemon said to one entry.
enum Said {
    Taken,
    Never(String),
    Later(String),
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the HTTP client: {0}")]
pub struct ClientError(#[from] reqwest::Error);

/// The HTTP client for deliveries.
pub struct Client {
    http: reqwest::Client,
    token: Option<SecretString>,
}

impl Client {
    /// A client that gives each request that long, with a token if the source wants one.
    pub fn new(longest: Duration, token: Option<SecretString>) -> Result<Client, ClientError> {
        // Fails when a provider was installed before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(longest)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Client { http, token })
    }

    async fn send(&self, entry: Entry) -> Said {
        let mut request = self
            .http
            .post(&entry.url)
            .header(reqwest::header::CONTENT_TYPE, entry.content_type)
            .body(entry.body);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose_secret());
        }
        let status = match request.send().await {
            Ok(response) => response.status(),
            Err(error) if error.is_builder() => return Said::Never(error.to_string()),
            Err(error) => return Said::Later(innermost(&error).to_string()),
        };
        let reason = format!("the daemon answered {status}");
        match status {
            _ if status.is_success() => Said::Taken,
            // What an operator can put right (a token, a missing source) is tried again.
            StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::NOT_FOUND
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS => Said::Later(reason),
            _ if status.is_client_error() => Said::Never(reason),
            _ => Said::Later(reason),
        }
    }
}

/// Spools an entry. After `Ok` the caller may exit 0, whatever becomes of the delivery.
pub fn spool(spool: &Spool, entry: &Entry) -> io::Result<()> {
    let at = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    spool.put(entry, at.as_nanos()).map(|_| ())
}

/// Delivers what is in the spool, oldest first, until something has to wait. If another process is
/// delivering, it will deliver these entries as well, and this run leaves at once.
pub async fn flush(spool: &Spool, client: &Client) -> io::Result<Flushed> {
    let mut flushed = Flushed::default();
    let Some(_turn) = spool.turn()? else {
        flushed.left = spool.entries()?.len();
        return Ok(flushed);
    };
    // Entries that are spooled meanwhile by others, who found the turn taken, are ours too.
    loop {
        let paths = spool.entries()?;
        if paths.is_empty() {
            return Ok(flushed);
        }
        for (done, path) in paths.iter().enumerate() {
            let entry = match spool.read(path) {
                Ok(entry) => entry,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    flushed.left = paths.len() - done;
                    flushed.trouble = Some(error.to_string());
                    return Ok(flushed);
                }
                Err(error) => {
                    spool.set_aside(path, &format!("it cannot be read: {error}"))?;
                    flushed.refused += 1;
                    continue;
                }
            };
            match client.send(entry).await {
                Said::Taken => {
                    spool.remove(path)?;
                    flushed.delivered += 1;
                }
                Said::Never(reason) => {
                    spool.set_aside(path, &reason)?;
                    flushed.refused += 1;
                }
                Said::Later(reason) => {
                    flushed.left = paths.len() - done;
                    flushed.trouble = Some(reason);
                    return Ok(flushed);
                }
            }
        }
    }
}
