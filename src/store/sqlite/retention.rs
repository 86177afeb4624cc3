//! What goes when. Called hourly by the daemon; everything in small transactions, and only below
//! the engine's cursor, so that neither an append nor the engine waits long, and nothing that is
//! still to be applied is touched.

use super::SqliteStore;
use super::writer::Trim;
use crate::limits;
use crate::model::Time;
use crate::model::ticket::WantedTicket;
use crate::store::{StateStore, StoreError, codec};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// `[retention]`: how many days things are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Inputs of the journal.
    pub inputs_days: u32,
    /// The bytes as received.
    pub raw_days: u32,
    /// What waits in quarantine, with its bytes.
    pub quarantine_days: u32,
    /// What is remembered about deliveries that are over.
    pub deliveries_days: u32,
    /// Closed incidents with their cases, tickets and timelines, corrections of verdicts, and the
    /// audit.
    pub timelines_days: u32,
}

impl Default for Retention {
    fn default() -> Retention {
        Retention {
            inputs_days: 30,
            raw_days: 14,
            quarantine_days: 90,
            deliveries_days: 90,
            // 25 months.
            timelines_days: 762,
        }
    }
}

/// What was forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retired {
    /// Inputs.
    pub inputs: u64,
    /// Raw bodies.
    pub raw: u64,
    /// Messages in quarantine.
    pub quarantine: u64,
    /// Marks of deliveries.
    pub deliveries: u64,
    /// Closed incidents.
    pub incidents: u64,
    /// Lines of the audit.
    pub audit: u64,
}

/// Forgets what is older than `keep` says. Blocks for a while: called on a thread of its own.
pub fn retire(store: &SqliteStore, keep: &Retention, now: Time) -> Result<Retired, StoreError> {
    let mut retired = Retired::default();
    let mut trim = Trim {
        raw_after: 0,
        below: store.state.cursor()?,
        inputs_before: now.minus(DAY * keep.inputs_days),
        raw_before: now.minus(DAY * keep.raw_days),
        quarantine_before: now.minus(DAY * keep.quarantine_days),
        now,
        limit: limits::TRIM_ROWS_MAX,
    };
    loop {
        let trimmed = store.journal.trim(trim)?;
        retired.inputs += trimmed.inputs;
        retired.raw += trimmed.raw;
        match trimmed.raw_next {
            Some(next) => trim.raw_after = next,
            None if trimmed.inputs == 0 => break,
            None => {}
        }
    }
    let things =
        |kind: &str, before: Time| until_none(|limit| store.state.trim_things(kind, before, limit));
    let quarantine_before = now.minus(DAY * keep.quarantine_days);
    retired.quarantine = things("quarantine", quarantine_before)?;
    things("quarantine_handled", quarantine_before)?;
    retired.audit = things("audit", now.minus(DAY * keep.timelines_days))?;
    things("notice", now.minus(DAY * keep.deliveries_days))?;
    things("security_over", now.minus(DAY * keep.timelines_days))?;
    let before = now.minus(DAY * keep.timelines_days);
    things("correction", before)?;
    retired.incidents = until_none(|limit| store.state.trim_incidents(before, limit))?;
    retired.deliveries = retire_attempts(store, now.minus(DAY * keep.deliveries_days))?;
    retire_contents(store, now.minus(DAY * keep.deliveries_days))?;
    Ok(retired)
}

fn until_none(mut some: impl FnMut(usize) -> Result<u64, StoreError>) -> Result<u64, StoreError> {
    let limit = usize::try_from(limits::TRIM_ROWS_MAX).unwrap_or(usize::MAX);
    let mut all = 0;
    loop {
        match some(limit)? {
            0 => return Ok(all),
            gone => all += gone,
        }
    }
}

/// What mailboxes held long ago does not come again; where they were read to, is kept.
fn retire_contents(store: &SqliteStore, before: Time) -> Result<(), StoreError> {
    let old = store.journal.marks_before("mailbox", before)?;
    let contents: Vec<String> = old
        .into_iter()
        .filter(|key| key.contains("/content/"))
        .collect();
    for some in contents.chunks(usize::try_from(limits::TRIM_ROWS_MAX).unwrap_or(usize::MAX)) {
        store.journal.drop_marks("mailbox", some.to_vec())?;
    }
    Ok(())
}

/// An attempt's mark makes a later attempt look before it creates: it stays for as long as its
/// ticket can be worked on.
fn retire_attempts(store: &SqliteStore, before: Time) -> Result<u64, StoreError> {
    let hooks = store.journal.marks_before("hook", before)?;
    if !hooks.is_empty() {
        store.journal.drop_marks("hook", hooks)?;
    }
    let old = store.journal.marks_before("attempt", before)?;
    if old.is_empty() {
        return Ok(0);
    }
    let mut in_use = BTreeSet::new();
    for body in store.state.live_tickets()? {
        in_use.insert(codec::decode::<WantedTicket>(&body)?.key);
    }
    let over: Vec<String> = old
        .into_iter()
        .filter(|key| !in_use.contains(key))
        .collect();
    let count = over.len() as u64;
    for some in over.chunks(usize::try_from(limits::TRIM_ROWS_MAX).unwrap_or(usize::MAX)) {
        store.journal.drop_marks("attempt", some.to_vec())?;
    }
    Ok(count)
}
