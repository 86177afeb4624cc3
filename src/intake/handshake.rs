//! What senders ask before they send: whether they may (CloudEvents' `OPTIONS`, which Azure Event
//! Grid uses as well), and whether we know a secret (`crc_token`). Pure.
//!
//! Invariant: an answer here lets nobody speak; each message is proven by itself.

use super::answers::Answer;
use super::source::Source;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::ExposeSecret;
use serde_json::json;
use sha2::Sha256;

/// Longest challenge that is answered, bytes.
const CHALLENGE_BYTES_MAX: usize = 256;
/// Longest origin that is given back, bytes.
const ORIGIN_BYTES_MAX: usize = 253;

/// The answer to `OPTIONS`: the origin may send, at the rate that the source takes or else at the
/// one that it asked for (messages a minute).
pub fn options(source: &Source, origin: Option<&str>, rate: Option<&str>) -> Answer {
    let mut answer = Answer::json(200, "");
    answer.headers.push(("allow", "POST, OPTIONS".to_owned()));
    let origin = origin.map(str::trim).filter(|origin| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_*:/[]".contains(&byte);
        !origin.is_empty() && origin.len() <= ORIGIN_BYTES_MAX && origin.bytes().all(plain)
    });
    let Some(origin) = origin else {
        return answer;
    };
    answer
        .headers
        .push(("webhook-allowed-origin", origin.to_owned()));
    let asked = rate.and_then(|rate| rate.trim().parse::<u32>().ok());
    let taken = source.config.rate.map(|rate| rate.saturating_mul(60));
    let allowed = match (asked, taken) {
        (Some(asked), Some(taken)) => asked.min(taken).to_string(),
        (Some(asked), None) => asked.to_string(),
        // `*`: no limit was asked for.
        (None, Some(taken)) if rate.is_some() => taken.to_string(),
        (None, None) if rate.is_some() => "*".to_owned(),
        _ => return answer,
    };
    answer.headers.push(("webhook-allowed-rate", allowed));
    answer
}

/// The answer to `GET ?crc_token=TOKEN`, if the source has a secret for it.
pub fn challenge(source: &Source, query: &str) -> Option<Answer> {
    let secret = source.config.challenge.as_ref()?;
    let token = url::form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "crc_token")
        .map(|(_, token)| token)
        .filter(|token| !token.is_empty() && token.len() <= CHALLENGE_BYTES_MAX)?;
    let key = secret.expose_secret().as_bytes();
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).ok()?;
    mac.update(token.as_bytes());
    let written = STANDARD.encode(mac.finalize().into_bytes());
    let body = json!({ "response_token": format!("sha256={written}") });
    Some(Answer::json(200, body.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::source::{SourceConfig, Sources};
    use std::sync::Arc;

    fn source(rate: Option<u32>) -> Arc<Source> {
        let mut config = SourceConfig::new("a", "cloudevents");
        config.rate = rate;
        config.challenge = Some("Jefe".into());
        let sources = Sources::new(vec![config], []).unwrap();
        sources.named("a").unwrap().clone()
    }

    fn header(answer: &Answer, name: &str) -> Option<String> {
        let found = answer.headers.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.clone())
    }

    #[test]
    fn an_origin_may_send_at_the_lower_of_both_rates() {
        let rate = |limit, asked| {
            let answer = options(&source(limit), Some("fac.example.net"), asked);
            assert_eq!(
                header(&answer, "webhook-allowed-origin").as_deref(),
                Some("fac.example.net")
            );
            header(&answer, "webhook-allowed-rate")
        };
        assert_eq!(rate(None, Some("120")).as_deref(), Some("120"));
        assert_eq!(rate(Some(1), Some("120")).as_deref(), Some("60"));
        assert_eq!(rate(Some(1), Some("*")).as_deref(), Some("60"));
        assert_eq!(rate(None, Some("*")).as_deref(), Some("*"));
        assert_eq!(rate(Some(1), None), None);
        for odd in [None, Some("a\r\nb: c"), Some("")] {
            let answer = options(&source(None), odd, None);
            assert_eq!(header(&answer, "webhook-allowed-origin"), None, "{odd:?}");
            assert_eq!(answer.status, 200);
        }
    }

    #[test]
    fn a_challenge_is_answered_with_the_known_code() {
        // RFC 4231 case 2.
        let query = "crc_token=what%20do%20ya%20want%20for%20nothing%3F";
        let answer = challenge(&source(None), query).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(
            body["response_token"],
            "sha256=W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM="
        );
        assert_eq!(challenge(&source(None), "x=1"), None);
        assert_eq!(challenge(&source(None), "crc_token="), None);
    }
}
