//! SPF, DKIM, DMARC and ARC by the library, over the DNS. What an author's domain publishes is
//! asked for; nothing in a mail is believed. Queries have a time limit, and a panic in the parser
//! costs one mail its proof, not the process.

use super::senders::{Checked, Envelope, SenderCheck};
use crate::formats::mail::authentication::{Verdict, Verdicts};
use crate::limits;
use futures_util::future::BoxFuture;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use mail_auth::dmarc::verify::DmarcParameters;
use mail_auth::spf::verify::SpfParameters;
use mail_auth::{
    AuthenticatedMessage, DkimResult, DmarcResult, MessageAuthenticator, SpfOutput, SpfResult,
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The check over the DNS.
pub struct DnsCheck {
    dns: Arc<MessageAuthenticator>,
    hostname: String,
}

impl DnsCheck {
    /// A check by these DNS servers, or by the system's if there are none. `hostname` is ours.
    pub fn new(servers: &[SocketAddr], hostname: &str) -> Result<DnsCheck, String> {
        let mut options = ResolverOpts::default();
        options.timeout = Duration::from_secs(limits::DNS_SECONDS);
        options.attempts = 2;
        options.cache_size = limits::DNS_CACHE_ENTRIES;
        let built = if servers.is_empty() {
            MessageAuthenticator::new_system_conf()
        } else {
            let servers = servers.iter().map(name_server).collect();
            let config = ResolverConfig::from_parts(None, Vec::new(), servers);
            MessageAuthenticator::new(config, options)
        };
        let dns = built.map_err(|error| format!("the DNS cannot be asked: {error}"))?;
        Ok(DnsCheck {
            dns: Arc::new(dns),
            hostname: hostname.to_owned(),
        })
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()]
        .map(|mut connection| {
            connection.port = address.port();
            connection
        })
        .into();
    NameServerConfig::new(address.ip(), true, connections)
}

impl SenderCheck for DnsCheck {
    fn check<'a>(&'a self, raw: bytes::Bytes, envelope: &'a Envelope) -> BoxFuture<'a, Checked> {
        let (dns, hostname) = (self.dns.clone(), self.hostname.clone());
        let envelope = envelope.clone();
        Box::pin(async move {
            // A task of its own: what panics in it ends it alone.
            let task = tokio::spawn(async move { check(&dns, &hostname, &raw, &envelope).await });
            task.await.unwrap_or_default()
        })
    }
}

async fn check(
    dns: &MessageAuthenticator,
    hostname: &str,
    raw: &[u8],
    envelope: &Envelope,
) -> Checked {
    // Strict: a signature over a part of the body proves nothing.
    let Some(message) = AuthenticatedMessage::parse_with_opts(raw, None, true) else {
        return Checked::default();
    };
    let dkim = dns.verify_dkim(&message).await;
    let spf = match envelope.peer.filter(|_| envelope.direct) {
        Some(peer) => {
            let (helo, sender) = (envelope.helo.as_str(), envelope.sender.as_str());
            dns.verify_spf(SpfParameters::verify_mail_from(
                peer, helo, hostname, sender,
            ))
            .await
        }
        None => SpfOutput::new(String::new()),
    };
    let mail_from = envelope.sender.rsplit_once('@').map_or("", |(_, d)| d);
    let dmarc = dns
        .verify_dmarc(DmarcParameters::new(&message, &dkim, mail_from, &spf))
        .await;
    let arc = dns.verify_arc(&message).await;
    let valid = dkim
        .iter()
        .filter(|output| *output.result() == DkimResult::Pass)
        .filter_map(|output| output.signature());
    let dkim_domains: Vec<String> = valid.map(|signature| signature.d.to_lowercase()).collect();
    let verdicts = Verdicts {
        spf: match spf.result() {
            SpfResult::Pass => Verdict::Pass,
            SpfResult::Fail | SpfResult::SoftFail => Verdict::Fail,
            _ => Verdict::Unknown,
        },
        spf_domain: (!mail_from.is_empty()).then(|| mail_from.to_lowercase()),
        dkim: match (dkim_domains.is_empty(), dkim.is_empty()) {
            (false, _) => Verdict::Pass,
            (true, false) => Verdict::Fail,
            (true, true) => Verdict::Unknown,
        },
        dkim_domains,
        dmarc: match dmarc.result() {
            DmarcResult::Pass => Verdict::Pass,
            DmarcResult::Fail(_) | DmarcResult::PermError(_) => Verdict::Fail,
            DmarcResult::TempError(_) | DmarcResult::None => Verdict::Unknown,
        },
        dmarc_domain: Some(dmarc.domain().to_lowercase()).filter(|domain| !domain.is_empty()),
        arc: match arc.result() {
            DkimResult::Pass => Verdict::Pass,
            DkimResult::None | DkimResult::TempError(_) => Verdict::Unknown,
            _ => Verdict::Fail,
        },
    };
    Checked {
        verdicts,
        sealer: arc
            .sets()
            .last()
            .map(|set| set.seal.header.d.to_lowercase()),
    }
}
