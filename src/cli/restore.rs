//! `alertbridge restore`: brings a backup back as a new generation, with delivery held; lets delivery
//! go on once a person has looked at the trackers; and, where there is no backup, takes what was open
//! out of the trackers' tickets.

use super::{DATA_DIR, DATA_DIR_ENV, block_on, complain, load_config, problems_found, say, table};
use crate::config::Config;
use crate::delivery::found::{Found, found_in};
use crate::model::memory::FoundTicket;
use crate::model::{Input, Time};
use crate::store::sealing::Keys;
use crate::store::sqlite::{self, SqliteStore, StoreOptions};
use crate::store::{Journal, Mark, NewInput, StoreError};
use arc_swap::ArcSwap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Arguments of `restore`.
#[derive(clap::Args)]
pub struct Args {
    /// The folder that `backup` made.
    #[arg(required_unless_present_any = ["release", "from_trackers"])]
    backup: Option<PathBuf>,
    /// Let delivery go on after a restore or a recovery; also while the daemon runs.
    #[arg(long, conflicts_with_all = ["backup", "from_trackers"])]
    release: bool,
    /// The store is lost and there is no backup: rebuild incidents and clocks from the open tickets in
    /// the trackers. The daemon must not run; a store that is there already takes in what it misses.
    #[arg(long, conflicts_with = "backup", requires = "config")]
    from_trackers: bool,
    /// With `--from-trackers`: the configuration with the trackers.
    #[arg(long, requires = "from_trackers")]
    config: Option<PathBuf>,
    /// With `--from-trackers`: only tickets of this installation, as the list names it; may be
    /// repeated. Without it all are taken.
    #[arg(long, requires = "from_trackers")]
    installation: Vec<String>,
    /// With `--from-trackers`: list what would be taken, and change nothing.
    #[arg(long, requires = "from_trackers")]
    dry_run: bool,
    /// Where the daemon keeps what lasts; must hold no store yet, unless it is rebuilt from trackers.
    #[arg(long, env = DATA_DIR_ENV, default_value = DATA_DIR)]
    data_dir: PathBuf,
}

/// Runs the verb: 0 done, 1 nothing was changed.
pub fn run(args: &Args) -> ExitCode {
    let dir = args.data_dir.display();
    if let (true, Some(config)) = (args.from_trackers, &args.config) {
        return from_trackers(args, config);
    }
    let Some(backup) = &args.backup else {
        return match sqlite::release_delivery(&args.data_dir) {
            Ok(()) => {
                say(&format!("{dir}: delivery goes on"));
                ExitCode::SUCCESS
            }
            Err(error) => problems_found(&[format!("delivery was not released: {error}")]),
        };
    };
    let generation = format!("{:032x}", rand::random::<u128>());
    match sqlite::restore(backup, &args.data_dir, &generation) {
        Ok(manifest) => {
            say(&format!(
                "{dir}: restored up to input {}, as a new generation. Delivery is held: start the \
                 daemon, see with `alertbridge trackers compare --config FILE --data-dir {dir}` what \
                 the trackers know that the backup does not, then run `alertbridge restore --release \
                 --data-dir {dir}`",
                manifest.cursor
            ));
            ExitCode::SUCCESS
        }
        Err(error) => problems_found(&[format!("nothing was restored: {error}")]),
    }
}

fn from_trackers(args: &Args, path: &Path) -> ExitCode {
    let config = match load_config(Some(path)) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let now = Time::from_timestamp(jiff::Timestamp::now());
    let found = match block_on(read_all(&config, now)) {
        Ok(Ok(found)) => found,
        Ok(Err(problems)) => return problems_found(&problems),
        Err(why) => return problems_found(&[why]),
    };
    let (mut tickets, mut marks) = (Vec::new(), Vec::new());
    for one in found {
        marks.extend(one.read_on);
        tickets.extend(
            one.tickets
                .into_iter()
                .filter(|ticket| wanted(args, ticket)),
        );
    }
    list(&tickets);
    if args.dry_run || tickets.is_empty() {
        say(&format!(
            "{} open tickets; nothing was changed",
            tickets.len()
        ));
        return ExitCode::SUCCESS;
    }
    let count = tickets.len();
    let keys = Keys::new(ArcSwap::new(config.keyring.clone()));
    match block_on(keep(&args.data_dir, &keys, tickets, marks, now)) {
        Ok(Ok(())) => {
            say(&format!(
                "{}: {count} open tickets are taken over with the next start. Their clocks are \
                 approximate: `alertbridge incidents` lists them; close those whose alerts ended \
                 meanwhile",
                args.data_dir.display()
            ));
            ExitCode::SUCCESS
        }
        Ok(Err(error)) => problems_found(&[format!("nothing was rebuilt: {error}")]),
        Err(why) => problems_found(&[why]),
    }
}

/// Whether the ticket is of an installation that is asked for.
fn wanted(args: &Args, ticket: &FoundTicket) -> bool {
    let of = installation(ticket);
    args.installation.is_empty() || args.installation.iter().any(|name| name == of)
}

fn installation(ticket: &FoundTicket) -> &str {
    let memory = ticket.memory.as_ref();
    memory.map_or("unknown", |memory| memory.generation.as_str())
}

/// What all trackers hold. One that cannot be read is a problem: its tickets would be opened twice.
async fn read_all(config: &Config, now: Time) -> Result<Vec<Found>, Vec<String>> {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for (name, configured) in &config.trackers {
        let tracker = configured.tracker.as_ref();
        if !tracker.capabilities().lists_open {
            complain(&format!(
                "{name}: its open tickets cannot be listed by the bridge's key; `alertbridge adopt` \
                 takes them one by one"
            ));
            continue;
        }
        match found_in(tracker, now).await {
            Ok(one) => found.push(one),
            Err(outcome) => problems.push(format!(
                "nothing was rebuilt: {name} cannot be read: {}",
                outcome.why()
            )),
        }
    }
    if problems.is_empty() {
        Ok(found)
    } else {
        Err(problems)
    }
}

fn list(tickets: &[FoundTicket]) {
    let row = |ticket: &FoundTicket| {
        let memory = ticket.memory.as_ref();
        let severity = ticket.fields.severity;
        vec![
            ticket.tracker.clone(),
            ticket.remote.key.clone(),
            memory.map_or_else(String::new, |memory| format!("INC-{}", memory.incident)),
            severity.map_or_else(String::new, |severity| severity.to_string()),
            ticket.created_at.to_string(),
            installation(ticket).to_owned(),
            ticket.fields.subject.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = tickets.iter().map(row).collect();
    table(
        &[
            "tracker",
            "ticket",
            "incident",
            "severity",
            "made",
            "installation",
            "subject",
        ],
        &rows,
    );
}

/// Writes them down as the next inputs of the store, which is made if there is none.
async fn keep(
    dir: &Path,
    keys: &Keys,
    tickets: Vec<FoundTicket>,
    marks: Vec<Mark>,
    now: Time,
) -> Result<(), StoreError> {
    std::fs::create_dir_all(dir).map_err(|error| StoreError::Unavailable {
        what: dir.display().to_string(),
        reason: error.to_string(),
    })?;
    let generation = format!("{:032x}", rand::random::<u128>());
    let store = SqliteStore::open(dir, StoreOptions::with_keys(keys), &generation)?;
    let store = Arc::new(store);
    let restart = Input::Restart {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        generation: store.generation()?,
    };
    let inputs = [restart, Input::Rebuilt(tickets)].map(|input| NewInput {
        at: now,
        input,
        raw: None,
    });
    // Where a store has read on already, it goes on from there.
    let read = store.journal.marks("poll")?;
    let is_new = |mark: &Mark| read.iter().all(|(tracker, _)| *tracker != mark.key);
    let marks = marks.into_iter().filter(is_new).collect();
    store.journal.append(inputs.into(), marks).await.map(|_| ())
}
