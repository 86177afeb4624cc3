//! What is fuzzed: plain functions over bytes, so that the kept corpus also runs as an ordinary
//! test (`tests/formats.rs`). Each may say anything of the bytes, but must say it in time,
//! without a panic, and without inventing an identity or an empty summary. What it says is within
//! the bounds, one line where people read one, the same each time, and the same out of the store.

use alertbridge::formats::{self, Decoded, MaintenanceNotice, Request, Undecodable, draft, view};
use alertbridge::intake::raw::Dump;
use alertbridge::limits;
use alertbridge::model::{AlertKey, Event, EventState, Identity, Time};

/// An instant among those of the fixtures, so that leases end and clocks agree.
const RECEIVED_AT: Time = Time(1_787_293_905_600);
/// From this first byte on, no decoder is picked: the message is guessed.
const GUESS: u8 = 240;

/// One HTTP decoder, picked by the first byte; by a high one, the decoder that the message looks
/// like. The rest is a request as it is kept beside the journal if it reads as one, else a body.
pub fn decoder(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    let dump = Dump::read(rest);
    let bare = Request::bare(rest, RECEIVED_AT);
    let request = dump.as_ref().map_or(bare, |dump| dump.request(RECEIVED_AT));
    let format = match *first {
        GUESS.. => formats::detect(&request),
        place => formats::ALL
            .get(usize::from(place) % formats::ALL.len())
            .copied(),
    };
    let Some(format) = format else {
        return;
    };
    let _ = format.detect(&request);
    let outcome = formats::decode(format, &request);
    let name = format.name();
    assert_eq!(
        outcome,
        formats::decode(format, &request),
        "{name}: not the same twice"
    );
    hold(name, view::MessageKind::Webhook, &outcome);
}

/// A mail as a door or a pipe takes it.
pub fn mail(data: &[u8]) {
    let (sender, outcome) = formats::mail::decode_bytes(data, RECEIVED_AT);
    let again = formats::mail::decode_bytes(data, RECEIVED_AT);
    assert_eq!(
        (&sender, &outcome),
        (&again.0, &again.1),
        "{sender}: not the same twice"
    );
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
            assert!(
                decoded.events.len() <= limits::EVENTS_PER_MESSAGE_MAX,
                "{sender}: events"
            );
            decoded
                .events
                .iter()
                .for_each(|event| hold_event(sender, event));
            decoded
                .maintenance
                .iter()
                .for_each(|notice| hold_notice(sender, notice));
            let read: Result<Decoded, _> =
                postcard::to_stdvec(decoded).and_then(|stored| postcard::from_bytes(&stored));
            assert_eq!(
                read.as_ref(),
                Ok(decoded),
                "{sender}: another one out of the store"
            );
        }
        Err(error) => assert!(!error.reason.is_empty(), "{sender}: no reason"),
    }
}

fn hold_event(sender: &str, event: &Event) {
    assert!(!event.summary.is_empty(), "{sender}: an empty summary");
    if let Identity::Object {
        component, check, ..
    } = &event.identity
    {
        let bare = component.is_empty() && check.is_empty();
        assert!(!bare, "{sender}: a bare host");
    }
    let parts: Vec<&str> = event.identity.parts().collect();
    assert!(
        parts
            .iter()
            .any(|part| part.contains(char::is_alphanumeric)),
        "{sender}: an empty identity"
    );
    assert!(
        parts
            .iter()
            .all(|part| part.len() <= limits::EVENT_LABEL_BYTES_MAX),
        "{sender}: a long identity"
    );
    let _ = AlertKey::of("s", &event.identity);
    let mut bound = event.clone();
    draft::bound(&mut bound);
    assert_eq!(*event, bound, "{sender}: beyond the bounds");
    for (name, text) in [
        ("dedup_key", &event.dedup_key),
        ("severity", &event.severity),
        ("site", &event.site),
        ("host", &event.host),
        ("component", &event.component),
        ("check", &event.check),
        ("service", &event.service),
    ] {
        let says = text.as_ref().is_none_or(|text| !text.is_empty());
        assert!(says, "{sender}: an empty {name}");
        assert!(
            text.iter().all(|text| is_one_line(text)),
            "{sender}: lines in {name}"
        );
    }
    assert!(
        is_one_line(&event.summary),
        "{sender}: lines in the summary"
    );
    assert!(event.links.len() <= 16, "{sender}: many links");
    for link in &event.links {
        let known = link.starts_with("https://") || link.starts_with("http://");
        assert!(known && is_one_line(link), "{sender}: an odd link");
    }
    let notice = event.suppressed.is_none() || event.state == EventState::Info;
    assert!(notice, "{sender}: a notice that opens or closes");
    for at in [event.starts_at, event.ends_at, event.sent_at]
        .into_iter()
        .flatten()
    {
        let read = Time::parse_rfc3339(&at.to_string());
        assert_eq!(read, Some(at), "{sender}: a time that cannot be written");
    }
}

fn hold_notice(sender: &str, notice: &MaintenanceNotice) {
    let named = notice.maintenance_id.contains(char::is_alphanumeric);
    assert!(named, "{sender}: work without an id");
    let clear = notice.unclear.is_empty();
    assert!(
        !notice.provider.is_empty() || !clear,
        "{sender}: work of nobody"
    );
    assert!(
        is_one_line(&notice.summary),
        "{sender}: lines in the notice's summary"
    );
    for window in &notice.windows {
        let ends = window.ends_at.is_none_or(|end| end >= window.starts_at);
        assert!(ends, "{sender}: a window that ends before it begins");
    }
    for object in &notice.objects {
        assert!(
            !object.id.trim().is_empty(),
            "{sender}: an object without an id"
        );
    }
}

fn is_one_line(text: &str) -> bool {
    !text.contains(char::is_control)
}
