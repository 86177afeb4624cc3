//! Believing SNS at the door: fetches what [`super::sns`] names and nothing else, keeps the
//! certificates, and confirms subscriptions.
//!
//! Invariant: nothing is fetched but `https` URLs of SNS endpoints, for topics that the source
//! expects, without following redirects and within a time and a size.

use super::sns::{Envelope, Expected, Refused};
use crate::formats::Request;
use crate::limits;
use crate::model::Time;
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use url::Url;

/// Gets the body of a URL at SNS. The error is for the log.
pub trait Fetch: Send + Sync {
    /// The body of a 2xx answer.
    fn get(&self, url: Url) -> BoxFuture<'_, Result<Vec<u8>, String>>;
}

/// Fetches over the network.
#[derive(Clone, Debug, Default)]
pub struct WebFetch {
    client: Option<reqwest::Client>,
}

impl WebFetch {
    /// The same with more said about its client, such as other roots or another address of a host.
    /// What [`WebFetch::client`] refuses stays refused.
    pub fn with(
        more: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> reqwest::Result<WebFetch> {
        let client = Some(WebFetch::client(more)?);
        Ok(WebFetch { client })
    }

    /// No redirects: they would lead away from the host that was looked at.
    fn client(
        more: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> reqwest::Result<reqwest::Client> {
        more(reqwest::Client::builder())
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(limits::SNS_FETCH_SECONDS))
            .build()
    }

    async fn body(&self, url: Url) -> Result<Vec<u8>, String> {
        let told = |error: reqwest::Error| error.without_url().to_string();
        let client = match &self.client {
            Some(client) => client.clone(),
            // Made when it is needed: a certificate a day, a subscription a year.
            None => WebFetch::client(|builder| builder).map_err(told)?,
        };
        let mut answer = client.get(url).send().await.map_err(told)?;
        if !answer.status().is_success() {
            return Err(format!("the answer was {}", answer.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(told)? {
            if body.len() + chunk.len() > limits::SNS_FETCH_BYTES_MAX {
                return Err(format!(
                    "the answer has more than {} bytes",
                    limits::SNS_FETCH_BYTES_MAX
                ));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

impl Fetch for WebFetch {
    fn get(&self, url: Url) -> BoxFuture<'_, Result<Vec<u8>, String>> {
        Box::pin(self.body(url))
    }
}

/// Why a message is not believed, or not yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It never will be.
    Refused(Refused),
    /// The certificate could not be had now; the sender should try again.
    Later(String),
}

impl From<Refused> for Doubt {
    fn from(refused: Refused) -> Doubt {
        Doubt::Refused(refused)
    }
}

/// A certificate, or that it could not be had, and when that was.
#[derive(Clone)]
struct Kept {
    at: Duration,
    certificate: Result<Arc<Vec<u8>>, String>,
}

/// Looks at signatures. Shared by all connections of a door.
pub struct SnsTrust {
    fetch: Arc<dyn Fetch>,
    kept: Mutex<BTreeMap<Url, Kept>>,
}

impl SnsTrust {
    /// One that fetches in that way.
    pub fn new(fetch: Arc<dyn Fetch>) -> SnsTrust {
        SnsTrust {
            fetch,
            kept: Mutex::default(),
        }
    }

    /// Whether a message was signed by SNS for one of the expected topics. Gives the URL that
    /// confirms a subscription, if the message asks for that. `now` is the wall clock, `monotonic`
    /// the age of what is kept.
    pub async fn believe(
        &self,
        request: &Request<'_>,
        expected: &Expected,
        now: Time,
        monotonic: Duration,
    ) -> Result<Option<Url>, Doubt> {
        let body: Value =
            serde_json::from_slice(request.body).map_err(|_| Refused::NoEnvelope("Type"))?;
        let envelope = Envelope::of(&body);
        let place = envelope.certificate_url(expected, now)?;
        let certificate = self.certificate(place, monotonic).await?;
        envelope.verify(&certificate)?;
        Ok(envelope.subscribe_url()?)
    }

    /// Confirms a subscription.
    pub async fn confirm(&self, url: Url) -> Result<(), String> {
        self.fetch.get(url).await.map(drop)
    }

    /// One fetch at a time: strangers who know a topic cannot make the bridge knock at SNS often.
    async fn certificate(&self, place: Url, now: Duration) -> Result<Arc<Vec<u8>>, Doubt> {
        let mut kept = self.kept.lock().await;
        kept.retain(|_, one| {
            let seconds = match one.certificate {
                Ok(_) => limits::SNS_CERTIFICATE_SECONDS,
                Err(_) => limits::SNS_FETCH_AGAIN_SECONDS,
            };
            now.saturating_sub(one.at) < Duration::from_secs(seconds)
        });
        if let Some(known) = kept.get(&place) {
            return known.certificate.clone().map_err(Doubt::Later);
        }
        if kept.len() >= limits::SNS_CERTIFICATES_MAX {
            // Strangers' guesses go first; certificates that were had are few.
            kept.retain(|_, one| one.certificate.is_ok());
        }
        if kept.len() >= limits::SNS_CERTIFICATES_MAX {
            return Err(Doubt::Later("too many certificates are in use".to_owned()));
        }
        let certificate = self.fetch.get(place.clone()).await.map(Arc::new);
        let one = Kept {
            at: now,
            certificate,
        };
        kept.insert(place, one.clone());
        one.certificate.map_err(Doubt::Later)
    }
}
