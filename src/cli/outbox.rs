//! `alertbridge outbox`: tickets that wait for their tracker, and those that were given up.

use super::client::{Daemon, short, show, text};
use super::table;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Arguments of `outbox`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    daemon: Daemon,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Lists what waits, with what stands in the way.
    Show {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Tries a ticket again.
    Retry {
        /// The ticket, like T-12.
        ticket: String,
    },
    /// Gives a ticket up.
    Drop {
        /// The ticket.
        ticket: String,
        /// Why.
        #[arg(default_value = "")]
        text: String,
    },
}

/// Looks at the outbox.
pub fn run(args: &Args) -> ExitCode {
    let daemon = &args.daemon;
    // Alone it lists, as `incidents` and `sources` do.
    let listing = Verb::Show { json: false };
    match args.verb.as_ref().unwrap_or(&listing) {
        Verb::Show { json } => {
            let rows = daemon.list("/api/v1/outbox", "outbox", "before");
            show(rows, *json, |rows| {
                let rows: Vec<Vec<String>> = rows
                    .iter()
                    .map(|row| {
                        let trouble = row.get("trouble").unwrap_or(&Value::Null);
                        let dead = trouble.get("dead").and_then(Value::as_bool);
                        let state = match (trouble.is_null(), dead) {
                            (true, _) => "waiting",
                            (_, Some(true)) => "given up",
                            _ => "retrying",
                        };
                        vec![
                            text(row, "id"),
                            text(row, "incident"),
                            text(row, "tracker"),
                            text(row, "key"),
                            state.to_owned(),
                            short(trouble, "reason", 60),
                            short(row, "subject", 60),
                        ]
                    })
                    .collect();
                table(
                    &[
                        "TICKET", "INCIDENT", "TRACKER", "KEY", "STATE", "TROUBLE", "SUBJECT",
                    ],
                    &rows,
                );
            })
        }
        Verb::Retry { ticket } => daemon.tell(&format!("/api/v1/outbox/{ticket}/retry"), json!({})),
        Verb::Drop { ticket, text } => {
            let path = format!("/api/v1/outbox/{ticket}/drop");
            daemon.tell(&path, json!({ "text": text }))
        }
    }
}
