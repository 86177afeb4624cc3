//! Compares a store that was brought back with a tracker that went on: which tickets the store
//! knows otherwise, which it does not know at all. Reads, and changes nothing.

use crate::model::ticket::{RemoteRef, TicketFields, WantedTicket};
use crate::model::{IncidentId, TicketId};
use crate::trackers::{Called, Tracker};
use std::time::Duration;

/// How many incident numbers in a row may have no ticket before nothing more is looked for: most
/// of what is held ends without one.
const NUMBERS_WITHOUT: u64 = 30;
/// Most incident numbers that are looked for.
const NUMBERS_MAX: u64 = 5_000;

/// One ticket of a tracker that is not as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where it lives.
    pub remote: RemoteRef,
    /// How it is now.
    pub fields: TicketFields,
    /// What is different.
    pub what: Difference,
}

/// What is different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// The store wants it and does not know that it is there; delivery takes it.
    Unknown(IncidentId, TicketId),
    /// It is over in the tracker, and open in the store.
    OverThere(IncidentId),
    /// It was opened after the backup: no incident of the store knows it.
    OpenedSince,
}

/// The tickets that came after the backup.
pub struct Since<'a> {
    /// The last incident that the backup knows.
    pub after: IncidentId,
    /// The routes whose tickets are in this tracker.
    pub routes: &'a [String],
    /// The key that an incident's ticket by a route had.
    pub key: &'a (dyn Fn(IncidentId, &str) -> String + Sync),
}

/// Asks a tracker for each ticket that is not over, and for those that came after the backup, with
/// `gap` between its questions. The error is a sentence.
pub async fn compare(
    tracker: &dyn Tracker,
    tickets: &[WantedTicket],
    since: Option<&Since<'_>>,
    gap: Duration,
) -> Result<Vec<Finding>, String> {
    let mut found = Vec::new();
    for ticket in tickets {
        tokio::time::sleep(gap).await;
        found.extend(known(tracker, ticket).await?);
    }
    if let Some(since) = since.filter(|_| tracker.capabilities().finds_by_key) {
        opened_since(tracker, since, gap, &mut found).await?;
    }
    Ok(found)
}

/// Whether there is anything to be asked about a ticket.
pub fn may_differ(ticket: &WantedTicket) -> bool {
    ticket.alert.is_none() && (!ticket.wanted.status.is_over() || ticket.remote.is_none())
}

async fn known(tracker: &dyn Tracker, ticket: &WantedTicket) -> Result<Option<Finding>, String> {
    let can = tracker.capabilities();
    let Some(remote) = &ticket.remote else {
        if !can.finds_by_key {
            return Ok(None);
        }
        let twins = answer(tracker.find(&ticket.key).await)?;
        let one = twins.into_iter().find(|twin| twin.key == ticket.key);
        return Ok(one.map(|twin| Finding {
            remote: twin.remote,
            fields: twin.fields,
            what: Difference::Unknown(ticket.incident, ticket.id),
        }));
    };
    if !can.reads_back || ticket.wanted.status.is_over() {
        return Ok(None);
    }
    let now = answer(tracker.read(remote).await)?;
    Ok(now.fields.status.is_over().then(|| Finding {
        remote: remote.clone(),
        fields: now.fields,
        what: Difference::OverThere(ticket.incident),
    }))
}

async fn opened_since(
    tracker: &dyn Tracker,
    since: &Since<'_>,
    gap: Duration,
    found: &mut Vec<Finding>,
) -> Result<(), String> {
    let mut last = since.after.0;
    let mut number = last;
    while number < last + NUMBERS_WITHOUT && number < since.after.0 + NUMBERS_MAX {
        number += 1;
        for route in since.routes {
            tokio::time::sleep(gap).await;
            let key = (since.key)(IncidentId(number), route);
            let twins = answer(tracker.find(&key).await)?;
            for twin in twins.into_iter().filter(|twin| twin.key == key) {
                last = number;
                found.push(Finding {
                    remote: twin.remote,
                    fields: twin.fields,
                    what: Difference::OpenedSince,
                });
            }
        }
    }
    Ok(())
}

fn answer<T>(called: Called<T>) -> Result<T, String> {
    let done: Result<T, Called<()>> = called.done();
    done.map_err(|outcome| outcome.why().to_owned())
}
