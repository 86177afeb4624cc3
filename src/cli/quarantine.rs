//! `alertbridge quarantine`: messages that could not be read or may not be believed.

use super::client::{Daemon, short, show, show_one, text};
use super::{say, table};
use serde_json::json;
use std::process::ExitCode;

/// Arguments of `quarantine`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    daemon: Daemon,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Lists what waits.
    List {
        /// Also what was handled.
        #[arg(long)]
        all: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows a message as it was received.
    Show {
        /// Its number.
        seq: u64,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Reads a message again, after a fix, and takes it in.
    Replay {
        /// Its number.
        seq: u64,
    },
    /// It is of no interest.
    Drop {
        /// Its number.
        seq: u64,
        /// Why.
        #[arg(default_value = "")]
        text: String,
    },
}

/// Looks at the quarantine.
pub fn run(args: &Args) -> ExitCode {
    let daemon = &args.daemon;
    // Alone it lists, as `incidents` and `sources` do.
    let listing = Verb::List {
        all: false,
        json: false,
    };
    match args.verb.as_ref().unwrap_or(&listing) {
        Verb::List { all, json } => {
            let state = if *all { "all" } else { "waiting" };
            let path = format!("/api/v1/quarantine?state={state}");
            show(daemon.list(&path, "quarantine", "after"), *json, |rows| {
                let rows: Vec<Vec<String>> = rows
                    .iter()
                    .map(|row| {
                        vec![
                            text(row, "seq"),
                            text(row, "at"),
                            text(row, "source"),
                            short(row, "reason", 60),
                            short(row, "summary", 60),
                            text(row, "handled"),
                        ]
                    })
                    .collect();
                table(
                    &["NO", "AT", "SOURCE", "REASON", "SUMMARY", "HANDLED"],
                    &rows,
                );
            })
        }
        Verb::Show { seq, json } => {
            let found = daemon.get(&format!("/api/v1/quarantine/{seq}"));
            show_one(found, *json, |row| {
                say(&format!(
                    "{} from {} at {}: {}",
                    text(row, "seq"),
                    text(row, "source"),
                    text(row, "at"),
                    text(row, "reason")
                ));
                say(&text(row, "raw"));
            })
        }
        Verb::Replay { seq } => daemon.tell(&format!("/api/v1/quarantine/{seq}/replay"), json!({})),
        Verb::Drop { seq, text } => {
            let path = format!("/api/v1/quarantine/{seq}/drop");
            daemon.tell(&path, json!({ "text": text }))
        }
    }
}
