//! What would have been: the journal played through another configuration and inventory, and the
//! tickets that come of it compared with those that are recorded. Nothing of the store is touched;
//! both sides are worked on in a folder of their own that goes with the process.
//!
//! | file | does |
//! | --- | --- |
//! | `mod` | copies, plays, compares |
//! | `play` | one input after the other, from the oldest that is kept |
//! | `counterpart` | which incident, ticket or alert of the replay a recorded one is |
//! | `side` | the incidents of one side, with their tickets and members |
//! | `compare` | pairs both sides and says what differs; pure |
//!
//! The replay begins without a state, with the oldest input that is kept, wherever `from` lies:
//! what was open at `from` is then what the new configuration would have made of the time before.
//! A ticket that began before that oldest input cannot be compared and is counted as such.

mod compare;
mod counterpart;
mod play;
mod side;

pub use compare::{Difference, Differs, Shown, TicketShown};
pub use play::LeftOut;

use crate::engine::Decisions;
use crate::model::Time;
use crate::store::StoreError;
use crate::store::sealing::Keys;
use crate::store::sqlite::{JournalView, SqliteState, StateOptions, copy_state, in_use};
use serde::Serialize;
use side::{Reasons, Side};
use std::path::Path;

/// What is to be replayed.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The daemon's data directory; it may run or not.
    pub data_dir: &'a Path,
    /// What the replay decides by.
    pub decisions: &'a Decisions,
    /// Keys for what is sensitive.
    pub keys: &'a Keys,
    /// Tickets asked for from here on; `None`: from the first.
    pub from: Option<Time>,
    /// Tickets asked for up to here; `None`: up to the last.
    pub to: Option<Time>,
    /// Now.
    pub now: Time,
}

/// What came of a replay.
#[derive(Clone, Debug, Serialize)]
pub struct Replayed {
    /// The span in which the compared tickets were asked for.
    pub from: Option<Time>,
    /// Its end.
    pub to: Option<Time>,
    /// Inputs that were played.
    pub inputs: u64,
    /// When the oldest of them was accepted.
    pub oldest_input: Option<Time>,
    /// Whether the journal is kept from its first input on.
    pub journal_whole: bool,
    /// Incidents with a ticket, of which nothing would have been different.
    pub same: u64,
    /// Incidents with a ticket that began before the oldest input that is kept.
    pub not_compared: u64,
    /// What would have been different.
    pub differences: Vec<Difference>,
    /// What people did to incidents that the replay does not have; at most a hundred.
    pub left_out: Vec<LeftOut>,
    /// How many there are of them.
    pub left_out_count: u64,
}

/// Why a replay is not possible.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No folder to work in.
    #[error("no folder to work in: {0}. It is made in TMPDIR")]
    Folder(#[from] std::io::Error),
    /// Retention was faster.
    #[error("retention took journal entries up to {0} while they were read; try again")]
    Retired(u64),
    /// The journal ends too early.
    #[error("the journal ends at {last}, but the state speaks of inputs up to {wanted}")]
    Short {
        /// The last entry.
        last: u64,
        /// The last that is needed.
        wanted: u64,
    },
    /// The engine failed.
    #[error(
        "the engine fails at journal entry {0} with this configuration. Please report it with the \
         output of `alertbridge quarantine show {0}`"
    )]
    Engine(u64),
}

/// Plays the journal through other decisions and says which tickets would have been different.
pub fn replay(asked: &Asked) -> Result<Replayed, ReplayError> {
    let folder = tempfile::Builder::new()
        .prefix("alertbridge-replay-")
        .tempdir()?;
    let open = |name: &str| -> Result<SqliteState, ReplayError> {
        let dir = folder.path().join(name);
        std::fs::create_dir_all(&dir)?;
        if name == "recorded" {
            copy_state(asked.data_dir, &dir)?;
        }
        Ok(SqliteState::open(
            &dir,
            StateOptions {
                keys: Keys::clone(asked.keys),
                ..StateOptions::default()
            },
        )?)
    };
    let (recorded, replayed) = (open("recorded")?, open("replayed")?);
    let journal = JournalView::open(asked.data_dir, asked.keys)?;
    // A daemon serves deadlines up to now; what a stopped one would have done is not known.
    let until = in_use(asked.data_dir).then_some(asked.now);
    let played = play::play(&journal, &recorded, &replayed, asked.decisions, until)?;
    let oldest = played.oldest_input.unwrap_or_default();
    let since = if played.journal_whole {
        Time(i64::MIN)
    } else {
        oldest
    };
    let was = Side::read(&recorded, Reasons::Recorded, since)?;
    let would_be = Side::read(&replayed, Reasons::Of(asked.decisions), Time(i64::MIN))?;
    let compared = compare::compare(&was, &would_be, asked, since);
    let mut differences = Vec::new();
    for found in compared.differences {
        differences.push(found.shown(&was, &would_be)?);
    }
    Ok(Replayed {
        from: asked.from,
        to: asked.to,
        inputs: played.inputs,
        oldest_input: played.oldest_input,
        journal_whole: played.journal_whole,
        same: compared.same,
        not_compared: compared.not_compared,
        differences,
        left_out: played.left_out,
        left_out_count: played.left_out_count,
    })
}
