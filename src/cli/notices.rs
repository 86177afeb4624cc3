//! `alertbridge notices`: who is told what, and when.

use super::client::{Daemon, short, show, show_one, text};
use super::{say, table};
use serde_json::json;
use std::process::ExitCode;

/// Arguments of `notices`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    daemon: Daemon,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Lists what waits: for its time, for the next working day, or for its server.
    List {
        /// `open` (waiting or given up), `closed` (sent or dropped) or `all`.
        #[arg(long, default_value = "open")]
        state: String,
        /// Only what stands in the list for the next working day.
        #[arg(long)]
        next_day: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows one with what it says.
    Show {
        /// The notice, like N-12.
        notice: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Sends one now, also one that was given up.
    Retry {
        /// The notice.
        notice: String,
    },
    /// Gives one up.
    Drop {
        /// The notice.
        notice: String,
        /// Why.
        #[arg(default_value = "")]
        text: String,
    },
}

/// Works on notices.
pub fn run(args: &Args) -> ExitCode {
    let daemon = &args.daemon;
    // Alone it lists, as `incidents` and `sources` do.
    let listing = Verb::List {
        state: "open".to_owned(),
        next_day: false,
        json: false,
    };
    match args.verb.as_ref().unwrap_or(&listing) {
        Verb::List {
            state,
            next_day,
            json,
        } => {
            let path = format!("/api/v1/notices?state={state}");
            let rows = daemon.list(&path, "notices", "after").map(|rows| {
                let wanted = |row: &serde_json::Value| {
                    !next_day || text(row, "waits_for") == "next_working_day"
                };
                rows.into_iter().filter(wanted).collect()
            });
            show(rows, *json, |rows| {
                let rows: Vec<Vec<String>> = rows
                    .iter()
                    .map(|row| {
                        vec![
                            text(row, "id"),
                            text(row, "reference"),
                            text(row, "kind"),
                            text(row, "audience"),
                            short(row, "to", 32),
                            text(row, "state"),
                            text(row, "send_at"),
                            short(row, "waits_for", 20),
                            short(row, "reason", 50),
                        ]
                    })
                    .collect();
                table(
                    &[
                        "ID",
                        "ABOUT",
                        "KIND",
                        "FOR",
                        "TO",
                        "STATE",
                        "AT",
                        "WAITS FOR",
                        "REASON",
                    ],
                    &rows,
                );
            })
        }
        Verb::Show { notice, json } => {
            let found = daemon.get(&format!("/api/v1/notices/{notice}"));
            show_one(found, *json, |found| {
                say(&serde_json::to_string_pretty(found).unwrap_or_default());
            })
        }
        Verb::Retry { notice } => {
            daemon.tell(&format!("/api/v1/notices/{notice}/retry"), json!({}))
        }
        Verb::Drop { notice, text } => {
            let path = format!("/api/v1/notices/{notice}/drop");
            daemon.tell(&path, json!({ "text": text }))
        }
    }
}
