//! What a tracker holds of a bridge whose store was lost: its open tickets with a key of ours, with
//! what they remember and what people did to them.

use super::people::SPACE;
use crate::model::Time;
use crate::model::memory::{FoundTicket, TicketMemory};
use crate::model::ticket::{PersonChange, PersonDid};
use crate::sla::promise;
use crate::store::Mark;
use crate::trackers::{Called, OpenTicket, Tracker};

/// What was found in a tracker.
#[derive(Clone, Debug)]
pub struct Found {
    /// The tickets, the oldest first.
    pub tickets: Vec<FoundTicket>,
    /// From where people's changes are read on; none if the tracker tells none.
    pub read_on: Option<Mark>,
}

/// Reads a tracker. `now` stands in for the time of a ticket whose tracker does not tell when it was
/// made.
pub async fn found_in(tracker: &dyn Tracker, now: Time) -> Result<Found, Called<Found>> {
    // First, so that nothing falls between; what is read twice is applied once.
    let mut read_on = None;
    if tracker.capabilities().reads_changes {
        let (_, cursor) = tracker.changes("", &|_| false).await.done()?;
        read_on = Some(Mark {
            space: SPACE,
            key: tracker.name().to_owned(),
            value: cursor.into_bytes(),
        });
    }
    let open = tracker.open_tickets().await.done()?.into_iter();
    let tickets = open.map(|open| found(tracker.name(), open, now)).collect();
    Ok(Found { tickets, read_on })
}

fn found(tracker: &str, open: OpenTicket, now: Time) -> FoundTicket {
    let OpenTicket {
        ticket,
        text,
        history,
    } = open;
    FoundTicket {
        tracker: tracker.to_owned(),
        memory: TicketMemory::read(&text),
        created_at: ticket.created_at.unwrap_or(now),
        remote: ticket.remote,
        key: ticket.key,
        fields: ticket.fields,
        history: history.into_iter().map(without_words).collect(),
    }
}

/// Of what people wrote only a promised time moves a clock.
fn without_words(change: PersonChange) -> PersonChange {
    let what = match change.what {
        PersonDid::Answered { text, promise } => PersonDid::Answered {
            text: promise::line_in(&text)
                .map_or_else(String::new, |value| format!("Next update: {value}")),
            promise,
        },
        PersonDid::Noted { .. } => PersonDid::Noted {
            text: String::new(),
        },
        PersonDid::CustomerWrote { .. } => PersonDid::CustomerWrote {
            text: String::new(),
        },
        other => other,
    };
    PersonChange { what, ..change }
}
