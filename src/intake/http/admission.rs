//! Who may speak at the door now: credentials, SNS's signature, rates, and the cap for those who
//! keep showing wrong ones.
//!
//! Invariant: a refusal is the same whatever was wrong.

use super::{HttpDoor, Served};
use crate::formats::Request;
use crate::intake::answers::{Answer, Refusal, Route};
use crate::intake::auth::{self, Shown};
use crate::intake::listener::Peer;
use crate::intake::sns;
use crate::intake::sns_trust::Doubt;
use crate::intake::source::{Credential, Source};
use crate::limits;
use crate::model::Outcome;
use rustc_hash::FxHasher;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::time::Duration;
use url::Url;

impl HttpDoor {
    /// Whether the sender may speak now. Gives the URL by which a subscription is confirmed, if the
    /// message asks for that.
    pub(in crate::intake) async fn admit(
        &self,
        route: Route,
        source: &Source,
        served: &Served<'_>,
        peer: &Peer,
        by_key: bool,
    ) -> Result<Option<Url>, Answer> {
        let now = self.intake.clock.monotonic();
        let stranger = hash_of(&served.client);
        let pace = Duration::from_secs(60) / limits::UNAUTHORIZED_PER_MINUTE_MAX;
        let burst = limits::UNAUTHORIZED_PER_MINUTE_MAX;
        let request = &served.request;
        if let Some(wait) = self.strangers.exhausted(stranger, pace, burst, now) {
            return Err(self.too_many(route, source, request, wait));
        }
        let shown = Shown {
            request,
            client: served.client,
            loopback: self.settings.loopback,
            certificate: peer.certificate.as_deref(),
            by_key,
        };
        let mut confirm = None;
        let mut allowed = auth::is_allowed(source, &shown);
        if !allowed && auth::may_come_from(source, served.client) {
            (allowed, confirm) = self.signed_by_sns(route, source, &served.request).await?;
        }
        if !allowed {
            let _ = self.strangers.admit(stranger, pace, burst, now);
            self.ended(source, Outcome::Unauthorized);
            let refusal = Refusal {
                status: 401,
                reason: "not authorized".to_owned(),
                retry_after: None,
            };
            return Err(self.answers.refused(route, &refusal));
        }
        if let Some(pace) = source.pace {
            let rate = source.config.rate.unwrap_or(1);
            let burst = rate.saturating_mul(limits::RATE_BURST_SECONDS);
            if let Err(wait) = self.pace.admit(source.index, pace, burst, now) {
                return Err(self.too_many(route, source, request, wait));
            }
        }
        Ok(confirm)
    }

    /// Whether SNS signed it for a topic that the source expects, and where a subscription is
    /// confirmed. An error: its certificate could not be had now.
    async fn signed_by_sns(
        &self,
        route: Route,
        source: &Source,
        request: &Request<'_>,
    ) -> Result<(bool, Option<Url>), Answer> {
        let (now, age) = (request.received_at, self.intake.clock.monotonic());
        for credential in &source.config.credentials {
            let Credential::Sns(expected) = credential else {
                continue;
            };
            match self.sns.believe(request, expected, now, age).await {
                Ok(confirm) => return Ok((true, confirm)),
                Err(Doubt::Refused(why)) => {
                    tracing::info!(source = %source.name, %why, "sns_refused");
                }
                Err(Doubt::Later(why)) => {
                    tracing::warn!(source = %source.name, why, "sns_certificate_missing");
                    return Err(self.unavailable(route, "the sender cannot be proven now"));
                }
            }
        }
        Ok((false, None))
    }

    /// Confirms a subscription that a believed message asked for.
    pub(super) async fn confirm(
        &self,
        route: Route,
        source: &Source,
        url: Option<Url>,
    ) -> Result<(), Answer> {
        let Some(url) = url else { return Ok(()) };
        match self.sns.confirm(url).await {
            Ok(()) => {
                tracing::info!(source = %source.name, "sns_subscription_confirmed");
                Ok(())
            }
            Err(why) => {
                tracing::warn!(source = %source.name, why, "sns_subscription_not_confirmed");
                Err(self.unavailable(route, "the subscription could not be confirmed now"))
            }
        }
    }

    fn ended(&self, source: &Source, outcome: Outcome) {
        self.intake.metrics.received(&source.name, 1);
        self.intake.metrics.outcome(&source.name, outcome, 1);
    }

    fn too_many(&self, route: Route, source: &Source, request: &Request, wait: Duration) -> Answer {
        self.ended(source, Outcome::RateLimited);
        let refusal = Refusal {
            // SNS gives a message up at any 4xx.
            status: if sns::is_from_sns(request) { 503 } else { 429 },
            reason: "too many requests".to_owned(),
            retry_after: Some(wait.as_secs() + 1),
        };
        self.answers.refused(route, &refusal)
    }
}

fn hash_of(address: &IpAddr) -> u64 {
    let mut hasher = FxHasher::default();
    address.hash(&mut hasher);
    hasher.finish()
}
