//! What is fuzzed: plain functions over bytes, so that the kept corpus also runs as an ordinary
//! test (`tests/formats.rs`). Each may say anything of the bytes, but must say it in time,
//! without a panic, and without inventing an identity or an empty summary.

use alertbridge::formats::{self, Decoded, Request, Undecodable, view};
use alertbridge::intake::raw::Dump;
use alertbridge::model::{AlertKey, Time};

/// An instant among those of the fixtures, so that leases end and clocks agree.
const RECEIVED_AT: Time = Time(1_787_293_905_600);

/// One HTTP decoder, picked by the first byte. The rest is a request as it is kept beside the
/// journal if it reads as one, else a body.
pub fn decoder(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    let place = usize::from(*first) % formats::ALL.len();
    let Some(format) = formats::ALL.get(place) else {
        return;
    };
    let dump = Dump::read(rest);
    let bare = Request::bare(rest, RECEIVED_AT);
    let request = dump.as_ref().map_or(bare, |dump| dump.request(RECEIVED_AT));
    let _ = format.detect(&request);
    let outcome = formats::decode(*format, &request);
    hold(format.name(), view::MessageKind::Webhook, &outcome);
}

/// A mail as a door or a pipe takes it.
pub fn mail(data: &[u8]) {
    let (sender, outcome) = formats::mail::decode_bytes(data, RECEIVED_AT);
    hold(&sender, view::MessageKind::Mail, &outcome);
}

/// The byte that picks a decoder.
#[allow(dead_code)]
pub fn byte_of(sender: &str) -> Option<u8> {
    let place = formats::ALL.iter().position(|f| f.name() == sender)?;
    u8::try_from(place).ok()
}

/// What holds of every message, whatever its bytes.
fn hold(sender: &str, kind: view::MessageKind, outcome: &Result<Decoded, Undecodable>) {
    let _ = view::message("-", Some(sender), kind, outcome).to_string();
    match outcome {
        Ok(decoded) => {
            for event in &decoded.events {
                assert!(!event.summary.is_empty(), "{sender}: an empty summary");
                assert!(
                    !event.identity.to_string().trim().is_empty(),
                    "{sender}: an empty identity"
                );
                let _ = AlertKey::of("s", &event.identity);
            }
        }
        Err(error) => assert!(!error.reason.is_empty(), "{sender}: no reason"),
    }
}
