//! What makes an SNS message believable: a topic that is expected, a fresh time, a certificate
//! from SNS itself, and a signature over the canonical text. Pure: fetching the certificate and
//! confirming a subscription are the caller's, by the URLs that come out of here.
//!
//! Invariant: no URL leaves here whose host is not an SNS endpoint, and none before the topic was
//! found among the expected ones.

use crate::formats::Request;
use crate::limits::{SNS_AGE_SECONDS_MAX, SNS_AHEAD_SECONDS_MAX};
use crate::model::Time;
use base64::Engine as _;
use ring::signature::{self, UnparsedPublicKey};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::Value;
use std::time::Duration;
use url::Url;

/// What is expected of a source's messages.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// ARNs of the topics that may speak. Others are refused before anything is fetched.
    pub topics: Vec<String>,
    /// Refuse signatures with SHA-1 (version 1).
    #[serde(default)]
    pub only_version_2: bool,
}

/// Why a message is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is no SNS envelope.
    #[error("`{0}` is missing or no text; an SNS envelope was expected")]
    NoEnvelope(&'static str),
    /// Another topic than those expected.
    #[error("topic `{0}` is not among the source's topics")]
    Topic(String),
    /// Sent too long ago, in the future, or at no time at all.
    #[error("`Timestamp` `{0}` is not within an hour")]
    Time(String),
    /// The certificate or the subscription lies elsewhere.
    #[error("`{field}` does not lead to SNS: https, an SNS host and no port were expected")]
    Place {
        /// The field that holds the URL.
        field: &'static str,
    },
    /// A signature of a version that is not taken.
    #[error("`SignatureVersion` `{0}` is not taken")]
    Version(String),
    /// The certificate holds no RSA key.
    #[error("the signing certificate cannot be read")]
    Certificate,
    /// The signature does not fit.
    #[error("the signature does not fit the message")]
    Signature,
}

/// Whether SNS sent a request, by its headers: for how to answer it, not for whom to believe.
pub fn is_from_sns(request: &Request) -> bool {
    request.header("x-amz-sns-message-type").is_some()
        || request.header("x-amz-sns-rawdelivery").is_some()
}

/// The envelope of a message.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    body: &'a Value,
}

impl<'a> Envelope<'a> {
    /// Of a body that was read as JSON.
    pub fn of(body: &'a Value) -> Envelope<'a> {
        Envelope { body }
    }

    fn optional(&self, field: &str) -> Option<&'a str> {
        self.body.get(field)?.as_str()
    }

    fn text(&self, field: &'static str) -> Result<&'a str, Refused> {
        self.optional(field).ok_or(Refused::NoEnvelope(field))
    }

    /// `Notification`, `SubscriptionConfirmation` or `UnsubscribeConfirmation`.
    pub fn kind(&self) -> Result<&'a str, Refused> {
        self.text("Type")
    }

    /// The same on every delivery of one message.
    pub fn message_id(&self) -> Option<&'a str> {
        self.optional("MessageId")
    }

    /// Checks all that needs no certificate, and says where the certificate is.
    pub fn certificate_url(&self, expected: &Expected, now: Time) -> Result<Url, Refused> {
        let topic = self.text("TopicArn")?;
        if !expected.topics.iter().any(|known| known == topic) {
            return Err(Refused::Topic(topic.to_owned()));
        }
        let written = self.text("Timestamp")?;
        let age = Duration::from_secs(SNS_AGE_SECONDS_MAX);
        let ahead = Duration::from_secs(SNS_AHEAD_SECONDS_MAX);
        let fresh = Time::parse_rfc3339(written)
            .is_some_and(|sent| now.since(sent) <= age && sent.since(now) <= ahead);
        if !fresh {
            return Err(Refused::Time(written.to_owned()));
        }
        let version = self.version()?;
        if version == Version::Sha1 && expected.only_version_2 {
            return Err(Refused::Version("1".to_owned()));
        }
        let field = "SigningCertURL";
        let place = self
            .optional(field)
            .or_else(|| self.optional("SigningCertUrl"))
            .ok_or(Refused::NoEnvelope(field))?;
        let url = sns_url(place).filter(|url| url.path().ends_with(".pem"));
        url.ok_or(Refused::Place { field })
    }

    /// Where a subscription is confirmed, for a message that asks for it. Call only after
    /// [`Envelope::verify`].
    pub fn subscribe_url(&self) -> Result<Option<Url>, Refused> {
        if self.kind()? != "SubscriptionConfirmation" {
            return Ok(None);
        }
        let field = "SubscribeURL";
        sns_url(self.text(field)?)
            .map(Some)
            .ok_or(Refused::Place { field })
    }

    fn version(&self) -> Result<Version, Refused> {
        match self.text("SignatureVersion")? {
            "1" => Ok(Version::Sha1),
            "2" => Ok(Version::Sha256),
            other => Err(Refused::Version(other.to_owned())),
        }
    }

    /// The text that is signed: name and value of each field that is there, a line each.
    fn signed_text(&self) -> Result<String, Refused> {
        const NOTIFICATION: [&str; 6] = [
            "Message",
            "MessageId",
            "Subject",
            "Timestamp",
            "TopicArn",
            "Type",
        ];
        const CONFIRMATION: [&str; 7] = [
            "Message",
            "MessageId",
            "SubscribeURL",
            "Timestamp",
            "Token",
            "TopicArn",
            "Type",
        ];
        let fields: &[&'static str] = match self.kind()? {
            "Notification" => &NOTIFICATION,
            "SubscriptionConfirmation" | "UnsubscribeConfirmation" => &CONFIRMATION,
            _ => return Err(Refused::NoEnvelope("Type")),
        };
        let mut text = String::new();
        for field in fields {
            match self.optional(field) {
                Some(value) => {
                    text.push_str(field);
                    text.push('\n');
                    text.push_str(value);
                    text.push('\n');
                }
                None if *field == "Subject" => {}
                None => return Err(Refused::NoEnvelope(field)),
            }
        }
        Ok(text)
    }

    /// Checks the signature with the certificate (PEM) from [`Envelope::certificate_url`].
    pub fn verify(&self, certificate_pem: &[u8]) -> Result<(), Refused> {
        let text = self.signed_text()?;
        let written = self.text("Signature")?;
        let signature = base64::engine::general_purpose::STANDARD
            .decode(written)
            .map_err(|_| Refused::Signature)?;
        let certificate =
            CertificateDer::from_pem_slice(certificate_pem).map_err(|_| Refused::Certificate)?;
        let key = rsa_key(&certificate).ok_or(Refused::Certificate)?;
        let algorithm = match self.version()? {
            Version::Sha1 => &signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            Version::Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        };
        UnparsedPublicKey::new(algorithm, key)
            .verify(text.as_bytes(), &signature)
            .map_err(|_| Refused::Signature)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    Sha1,
    Sha256,
}

/// A URL at an SNS endpoint: https, the whole host `sns.REGION.amazonaws.com` or its Chinese
/// form, no user, password or port.
fn sns_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let host = url.host_str()?;
    let plain = url.scheme() == "https"
        && url.username().is_empty()
        && url.password().is_none()
        && url.port().is_none();
    let region = host
        .strip_suffix(".cn")
        .unwrap_or(host)
        .strip_suffix(".amazonaws.com")?
        .strip_prefix("sns.")?;
    let named = region.len() >= 3
        && region
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (plain && named).then_some(url)
}

/// One DER value: its tag, its content, and what follows it.
fn der(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match *first {
        short @ 0..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            let length = digits
                .iter()
                .fold(0_usize, |sum, digit| (sum << 8) | usize::from(*digit));
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

/// The RSA key of a certificate, as PKCS #1 bytes: the subject's key stands behind version,
/// serial number, algorithm, issuer, validity and subject.
fn rsa_key(certificate: &[u8]) -> Option<&[u8]> {
    const SEQUENCE: u8 = 0x30;
    const VERSION: u8 = 0xa0;
    const BIT_STRING: u8 = 0x03;
    let (SEQUENCE, certificate, _) = der(certificate)? else {
        return None;
    };
    let (SEQUENCE, mut rest, _) = der(certificate)? else {
        return None;
    };
    if let (VERSION, _, after) = der(rest)? {
        rest = after;
    }
    for _ in [
        "serial number",
        "algorithm",
        "issuer",
        "validity",
        "subject",
    ] {
        rest = der(rest)?.2;
    }
    let (SEQUENCE, key, _) = der(rest)? else {
        return None;
    };
    let (SEQUENCE, _, key) = der(key)? else {
        return None;
    };
    let (BIT_STRING, bits, _) = der(key)? else {
        return None;
    };
    let (unused, key) = bits.split_first()?;
    (*unused == 0).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_host_of_an_endpoint_is_sns() {
        for good in [
            "https://sns.ap-southeast-2.amazonaws.com/x.pem",
            "https://sns.cn-north-1.amazonaws.com.cn/x.pem",
        ] {
            assert!(sns_url(good).is_some(), "{good}");
        }
        for bad in [
            "http://sns.ap-southeast-2.amazonaws.com/x.pem",
            "https://sns.ap-southeast-2.amazonaws.com.attacker.example/x.pem",
            "https://sns.ap-southeast-2.amazonaws.com@attacker.example/x.pem",
            "https://user@sns.ap-southeast-2.amazonaws.com/x.pem",
            "https://sns.ap-southeast-2.amazonaws.com:444/x.pem",
            "https://attacker.example/sns.ap-southeast-2.amazonaws.com/x.pem",
            "https://sns.a.b.amazonaws.com/x.pem",
            "https://sns..amazonaws.com/x.pem",
            "https://xsns.ap-southeast-2.amazonaws.com/x.pem",
            "https://s3.amazonaws.com/x.pem",
            "file:///etc/passwd",
            "",
        ] {
            assert!(sns_url(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn der_lengths_never_reach_past_the_end() {
        for bytes in [
            &[][..],
            &[0x30],
            &[0x30, 0x05, 0x00],
            &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x00],
            &[0x30, 0x85, 0x00, 0x00, 0x00, 0x00, 0x01, 0x00],
            &[0x30, 0x80, 0x00, 0x00],
        ] {
            assert_eq!(der(bytes), None, "{bytes:?}");
            assert_eq!(rsa_key(bytes), None);
        }
    }
}
