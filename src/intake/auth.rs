//! Who may speak as which source over HTTP. Secrets are compared in constant time.
//!
//! Invariant: a source with credentials is believed only with one of them; one without is believed
//! on loopback only, or from its address ranges.

use super::source::{Credential, HmacAlgorithm, HmacEncoding, Source};
use super::tls::ClientCertificate;
use crate::formats::Request;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha1::Sha1;
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use subtle::ConstantTimeEq;

/// How far a signed time may be from ours, seconds.
const SIGNED_TIME_SECONDS: u64 = 300;

/// What a request shows of its sender.
pub struct Shown<'a> {
    /// The request.
    pub request: &'a Request<'a>,
    /// The sender's address, behind trusted proxies the one they name.
    pub client: IpAddr,
    /// Whether the door itself is on loopback.
    pub loopback: bool,
    /// The client certificate, if one was shown and verified.
    pub certificate: Option<&'a ClientCertificate>,
    /// Whether the source was found by a key that only its senders know.
    pub by_key: bool,
}

/// Whether the sender may speak as that source.
pub fn is_allowed(source: &Source, shown: &Shown) -> bool {
    let config = &source.config;
    if !may_come_from(source, shown.client) {
        return false;
    }
    if !source.has_credentials() {
        return shown.loopback || !config.addresses.is_empty();
    }
    if shown.by_key {
        return true;
    }
    // All are looked at, so that the time does not tell which one is right.
    config
        .credentials
        .iter()
        .fold(false, |any, one| any | proves(one, shown))
}

/// Whether a source may speak from that address.
pub fn may_come_from(source: &Source, client: IpAddr) -> bool {
    let ranges = &source.config.addresses;
    ranges.is_empty() || in_ranges(ranges, client)
}

/// Whether an address lies in one of the ranges; IPv4 in IPv6 clothes counts as IPv4.
pub fn in_ranges(ranges: &[ipnet::IpNet], address: IpAddr) -> bool {
    let address = address.to_canonical();
    ranges.iter().any(|range| range.contains(&address))
}

/// The sender's address: the peer, or what trusted proxies say in `X-Forwarded-For`, read from the
/// right up to the first address that is not a trusted proxy.
pub fn client_address(peer: IpAddr, forwarded: Option<&str>, trusted: &[ipnet::IpNet]) -> IpAddr {
    let mut client = peer.to_canonical();
    let mut hops = forwarded.unwrap_or("").rsplit(',');
    while in_ranges(trusted, client) {
        match hops
            .next()
            .and_then(|hop| hop.trim().parse::<IpAddr>().ok())
        {
            Some(hop) => client = hop.to_canonical(),
            None => break,
        }
    }
    client
}

/// The API key of an Opsgenie request.
pub fn genie_key<'a>(request: &Request<'a>) -> Option<&'a str> {
    after_scheme(request.header("authorization")?, "geniekey")
}

fn after_scheme<'a>(value: &'a str, scheme: &str) -> Option<&'a str> {
    let (word, rest) = value.trim().split_once(' ')?;
    word.eq_ignore_ascii_case(scheme).then(|| rest.trim())
}

fn proves(credential: &Credential, shown: &Shown) -> bool {
    let request = shown.request;
    match credential {
        Credential::Bearer { token } => request.header("authorization").is_some_and(|value| {
            let bare = after_scheme(value, "bearer")
                .or_else(|| after_scheme(value, "token"))
                .unwrap_or(value);
            same(bare, token)
        }),
        Credential::Basic { user, password } => request
            .header("authorization")
            .and_then(|value| after_scheme(value, "basic"))
            .and_then(|value| STANDARD.decode(value).ok())
            .is_some_and(|given| {
                let wanted = format!("{user}:{}", password.expose_secret());
                same_bytes(&given, wanted.as_bytes())
            }),
        Credential::Header { name, value } => request
            .header(&name.to_ascii_lowercase())
            .is_some_and(|given| same(given, value)),
        Credential::Query { name, value } => url::form_urlencoded::parse(request.query.as_bytes())
            .any(|(given, secret)| given == name.as_str() && same(&secret, value)),
        Credential::ClientCertificate { sha256, name } => shown
            .certificate
            .is_some_and(|given| is_certificate(given, sha256.as_deref(), name.as_deref())),
        Credential::Hmac { .. } => is_signed(credential, request),
        Credential::Body { name, value } => in_body(request, name)
            .iter()
            .fold(false, |any, given| any | same(given, value)),
        // Its certificate has to be fetched: `sns_trust` looks at it.
        Credential::Sns(_) => false,
    }
}

/// Whether the certificate is the wanted one: by its fingerprint, by a name, or by both.
fn is_certificate(given: &ClientCertificate, sha256: Option<&str>, name: Option<&str>) -> bool {
    let by_print = sha256.map(|sha256| {
        let digits = sha256.chars().filter(char::is_ascii_hexdigit);
        let wanted: String = digits.map(|c| c.to_ascii_lowercase()).collect();
        given.sha256 == wanted
    });
    let by_name = name.map(|name| given.names.iter().any(|one| one.eq_ignore_ascii_case(name)));
    (sha256.is_some() || name.is_some()) && by_print.unwrap_or(true) && by_name.unwrap_or(true)
}

/// The values of a field of the body: JSON at its top level, or a form.
fn in_body(request: &Request, name: &str) -> Vec<String> {
    if let Ok(body) = serde_json::from_slice::<serde_json::Value>(request.body) {
        let field = body.get(name).and_then(serde_json::Value::as_str);
        return field.map(str::to_owned).into_iter().collect();
    }
    url::form_urlencoded::parse(request.body)
        .filter(|(given, _)| given == name)
        .map(|(_, value)| value.into_owned())
        .collect()
}

fn is_signed(credential: &Credential, request: &Request) -> bool {
    let Credential::Hmac {
        header,
        secret,
        algorithm,
        encoding,
        prefix,
        timestamp_header,
        timestamp_separator,
        appended_headers,
    } = credential
    else {
        return false;
    };
    let mut signed = Vec::new();
    if let Some(name) = timestamp_header {
        let Some(time) = request.header(&name.to_ascii_lowercase()) else {
            return false;
        };
        let now = u64::try_from(request.received_at.seconds()).unwrap_or(0);
        let time = time.trim();
        // Seconds, or a date as Zendesk writes it.
        let seconds = time.parse::<u64>().ok().or_else(|| {
            let date = crate::model::Time::parse_rfc3339(time)?;
            u64::try_from(date.seconds()).ok()
        });
        match seconds {
            Some(seconds) if now.abs_diff(seconds) <= SIGNED_TIME_SECONDS => {}
            _ => return false,
        }
        signed.extend_from_slice(time.as_bytes());
        signed.extend_from_slice(timestamp_separator.as_bytes());
    }
    signed.extend_from_slice(request.body);
    for name in appended_headers {
        let value = request.header(&name.to_ascii_lowercase()).unwrap_or("");
        signed.extend_from_slice(value.as_bytes());
    }
    let wanted = match algorithm {
        HmacAlgorithm::Sha1 => mac::<Hmac<Sha1>>(secret, &signed),
        HmacAlgorithm::Sha256 => mac::<Hmac<Sha256>>(secret, &signed),
    };
    // Several signatures in one header: the sender rotates its secret.
    request
        .header(&header.to_ascii_lowercase())
        .unwrap_or("")
        .split(',')
        .filter_map(|one| one.trim().strip_prefix(prefix.as_str()))
        .filter_map(|text| match encoding {
            HmacEncoding::Hex => from_hex(text),
            HmacEncoding::Base64 => STANDARD.decode(text).ok(),
        })
        .fold(false, |any, given| any | same_bytes(&given, &wanted))
}

fn mac<M: Mac + KeyInit>(secret: &SecretString, signed: &[u8]) -> Vec<u8> {
    match <M as KeyInit>::new_from_slice(secret.expose_secret().as_bytes()) {
        Ok(mut mac) => {
            mac.update(signed);
            mac.finalize().into_bytes().to_vec()
        }
        // HMAC takes keys of any length; an empty answer equals no signature.
        Err(_) => Vec::new(),
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

/// Hashes first, so that the length does not show in the time either.
fn same(given: &str, wanted: &SecretString) -> bool {
    same_bytes(given.as_bytes(), wanted.expose_secret().as_bytes())
}

fn same_bytes(given: &[u8], wanted: &[u8]) -> bool {
    !wanted.is_empty()
        && bool::from(
            Sha256::digest(given)
                .as_slice()
                .ct_eq(Sha256::digest(wanted).as_slice()),
        )
}

#[cfg(test)]
#[path = "auth/tests.rs"]
mod tests;
