//! `alertbridge replay`: which tickets another configuration and inventory would have opened out of
//! the journal, and why. Reads the store, whether a daemon uses it or not, and changes nothing.

use super::{DATA_DIR, DATA_DIR_ENV, complain, load_with_pulled, problems_found, say};
use crate::engine::Explained;
use crate::model::Time;
use crate::replay::{Asked, Difference, Replayed, Shown, TicketShown, replay};
use crate::store::sealing::Keys;
use arc_swap::ArcSwap;
use std::path::PathBuf;
use std::process::ExitCode;

/// Exit code of wrong use.
const WRONG_USE: u8 = 2;

/// Arguments of `replay`.
#[derive(clap::Args)]
pub struct Args {
    /// The configuration to decide by, which names its inventory. What messages mean stays as it
    /// was: sources, mappings and templates are not applied again.
    #[arg(long)]
    config: PathBuf,
    /// Compare tickets that were asked for from here on, RFC 3339.
    #[arg(long, value_parser = time)]
    from: Option<Time>,
    /// Compare tickets that were asked for up to here, RFC 3339.
    #[arg(long, value_parser = time)]
    to: Option<Time>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Where the daemon keeps what lasts, or a folder that `backup` made.
    #[arg(long, env = DATA_DIR_ENV, default_value = DATA_DIR)]
    data_dir: PathBuf,
}

fn time(text: &str) -> Result<Time, String> {
    let expected = || "expected a time like 2026-06-01T00:00:00Z".to_owned();
    Time::parse_rfc3339(text).ok_or_else(expected)
}

/// Runs the verb: 0 it was replayed, whatever came of it; 1 it could not be.
pub fn run(args: &Args) -> ExitCode {
    if args.from.zip(args.to).is_some_and(|(from, to)| from > to) {
        complain("--from lies after --to");
        return ExitCode::from(WRONG_USE);
    }
    let config = match load_with_pulled(&args.config, &args.data_dir) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let keys = Keys::new(ArcSwap::new(config.keyring.clone()));
    let replayed = replay(&Asked {
        data_dir: &args.data_dir,
        decisions: &config.decisions,
        keys: &keys,
        from: args.from,
        to: args.to,
        now: Time::from_timestamp(jiff::Timestamp::now()),
    });
    let replayed = match replayed {
        Ok(replayed) => replayed,
        Err(error) => return problems_found(&[error.to_string()]),
    };
    if args.json {
        match serde_json::to_string(&replayed) {
            Ok(text) => say(&text),
            Err(error) => return problems_found(&[error.to_string()]),
        }
    } else {
        tell(&replayed);
    }
    ExitCode::SUCCESS
}

fn tell(replayed: &Replayed) {
    let different = replayed.differences.len();
    let all = replayed.same + different as u64;
    let since = replayed
        .oldest_input
        .map_or(String::new(), |at| format!(" since {at}"));
    say(&format!(
        "{different} of {all} incidents with a ticket would have been different ({} inputs{since}).",
        replayed.inputs
    ));
    if replayed.not_compared > 0 {
        say(&format!(
            "{} began before the oldest input that is kept and are not compared.",
            replayed.not_compared
        ));
    }
    for difference in &replayed.differences {
        say("");
        tell_one(difference);
    }
    if replayed.left_out_count > 0 {
        say("");
        say(&format!(
            "{} act(s) of people are about what would not have been there:",
            replayed.left_out_count
        ));
        for left_out in &replayed.left_out {
            say(&format!("  input {}: {}", left_out.input, left_out.what));
        }
    }
}

fn tell_one(difference: &Difference) {
    let differs: Vec<&str> = difference.differs.iter().map(|d| d.word()).collect();
    let either = difference.was.as_ref().or(difference.would_be.as_ref());
    let title = either.map_or("", |shown| shown.title.as_str());
    say(&format!("{}: {title}", differs.join(", ")));
    tell_side("was", difference.was.as_ref());
    tell_side("would be", difference.would_be.as_ref());
    for instead in &difference.instead {
        tell_reason(instead, 2);
    }
}

fn tell_side(word: &str, shown: Option<&Shown>) {
    let Some(shown) = shown else {
        return say(&format!("  {word}: nothing"));
    };
    say(&format!("  {word}: {}", facts(shown)));
    for because in &shown.because.because {
        tell_reason(because, 2);
    }
}

fn facts(shown: &Shown) -> String {
    let severity = shown
        .severity
        .map_or("no severity".to_owned(), |s| s.to_string());
    let tickets = match shown.tickets.as_slice() {
        [] => "no ticket".to_owned(),
        tickets => tickets.iter().map(ticket).collect::<Vec<_>>().join("; "),
    };
    let resolved = shown
        .resolved_at
        .map_or(String::new(), |at| format!(", resolved at {at}"));
    format!(
        "{} {severity} {}, {tickets}, {} member(s), opened at {}{resolved}",
        shown.incident,
        shown.state,
        shown.members.len(),
        shown.opened_at
    )
}

fn ticket(ticket: &TicketShown) -> String {
    let queue = match ticket.queue.as_str() {
        "" => String::new(),
        queue => format!("/{queue}"),
    };
    let shadow = if ticket.shadow { " (shadow)" } else { "" };
    format!(
        "ticket by route {} in {}{queue}{shadow} at {}",
        ticket.route, ticket.tracker, ticket.asked_at
    )
}

fn tell_reason(reason: &Explained, depth: usize) {
    let indent = "  ".repeat(depth);
    for (index, line) in reason.text.lines().enumerate() {
        let sign = if index == 0 { "- " } else { "  " };
        say(&format!("{indent}{sign}{line}"));
    }
    for because in &reason.because {
        tell_reason(because, depth + 1);
    }
}
