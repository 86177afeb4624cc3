//! The doors: how requests and mails come in.
//!
//! In the flow this room stands first. A door ([`http`], [`smtp`], [`pipe`]) or the reader of a
//! mailbox ([`imap`], [`maildir`]) reads bytes within limits and finds the [`source`]; [`auth`],
//! [`rate`] and, for mails, [`senders`] say whether it may speak; [`fence`] runs
//! the decoder; [`redact`] masks secrets; [`repeat`] takes out what changes nothing; [`accept`]
//! appends the rest to the journal. Only then does the door answer. Decoders, answers of the
//! drop-in receivers, the clock and the counters are handed in, so that this room knows no sender.
//!
//! Invariant: no 2xx, no 250 and no exit code 0 before the journal's commit, and nothing that was
//! taken in whole is dropped: what cannot be decoded is appended as it came.

pub mod accept;
pub mod answers;
pub mod auth;
pub mod body;
pub mod fence;
pub mod handshake;
pub mod http;
pub mod imap;
mod imap_dialogue;
pub mod listener;
pub mod mailbox;
pub mod maildir;
pub mod native;
pub mod notify;
pub mod opsgenie;
pub mod patient;
pub mod pipe;
pub mod post;
pub mod rate;
pub mod raw;
pub mod redact;
pub mod repeat;
mod routes;
pub mod senders;
pub mod smtp;
pub mod smtp_data;
pub mod smtp_reply;
mod smtp_session;
pub mod sns;
pub mod sns_trust;
pub mod source;
pub mod spool;
pub mod threads;
pub mod tls;
pub mod tracker_hooks;
pub mod verify;

use crate::formats::{Decoded, Request, Undecodable};
use crate::model::{Outcome, Time};
use source::Source;
use std::time::Duration;

/// What came of decoding: the format that tried, and what it made of the bytes.
pub type Tried = (String, Result<Decoded, Undecodable>);

/// Turns bytes into our words. The daemon builds it from the registries of `formats`.
pub trait Decoder: Send + Sync {
    /// Decodes one request of a source. Pure; may panic or take long, the fence holds it.
    fn http(&self, source: &Source, request: &Request) -> Tried;

    /// Prepares what takes its time, before the first mail. Blocks.
    fn ready(&self) {}

    /// Decodes one mail.
    fn mail(&self, source: &Source, raw: &[u8], received_at: Time) -> Tried;
}

/// Why a door refused something before it could become an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refused {
    /// The body, head or mail is over its limit.
    TooLarge,
    /// The client was too slow.
    TooSlow,
    /// Not HTTP or SMTP, or not what the route takes.
    Malformed,
    /// No source or route of that name.
    Unknown,
    /// The store cannot write.
    StoreUnavailable,
    /// The backlog of the source is full.
    BacklogFull,
    /// Large bodies of others take all the memory that there is for them.
    NoRoom,
    /// Too many connections of one address.
    TooManyConnections,
    /// The TLS handshake failed.
    Handshake,
}

impl Refused {
    /// Every kind, for zero initialisation.
    pub const ALL: [Refused; 9] = [
        Refused::TooLarge,
        Refused::TooSlow,
        Refused::Malformed,
        Refused::Unknown,
        Refused::StoreUnavailable,
        Refused::BacklogFull,
        Refused::NoRoom,
        Refused::TooManyConnections,
        Refused::Handshake,
    ];

    /// The word used as metric label and in logs.
    pub const fn word(self) -> &'static str {
        match self {
            Refused::TooLarge => "too_large",
            Refused::TooSlow => "too_slow",
            Refused::Malformed => "malformed",
            Refused::Unknown => "unknown",
            Refused::StoreUnavailable => "store_unavailable",
            Refused::BacklogFull => "backlog_full",
            Refused::NoRoom => "no_room",
            Refused::TooManyConnections => "too_many_connections",
            Refused::Handshake => "handshake",
        }
    }
}

/// What the doors count. Every received event ends in exactly one outcome: here repeats,
/// quarantine, wrong credentials and rate; the engine counts the rest.
pub trait IntakeMetrics: Send + Sync {
    /// Events (or messages that hold none that can be told) that came in.
    fn received(&self, source: &str, count: u64);

    /// How received events ended, as far as that is known at the door.
    fn outcome(&self, source: &str, outcome: Outcome, count: u64);

    /// Events that were taken although a field was missing, of a wrong type or not understood; each
    /// says what.
    fn odd(&self, source: &str, count: u64);

    /// Something was refused before it was received; the sender was told and may retry.
    fn refused(&self, door: &'static str, why: Refused);
}

/// Where the doors get the time from.
pub trait Clock: Send + Sync {
    /// The wall clock.
    fn now(&self) -> Time;

    /// Time since some fixed instant; never goes back.
    fn monotonic(&self) -> Duration;
}

/// The system's clocks.
#[derive(Debug)]
pub struct SystemClock {
    started: std::time::Instant,
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock {
            started: std::time::Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Time {
        Time::from_timestamp(jiff::Timestamp::now())
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}
