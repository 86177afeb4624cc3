//! `alertbridge sources`: what each source said, and what became of it.

use super::client::{Daemon, show, text};
use super::table;
use serde_json::Value;
use std::process::ExitCode;

/// Arguments of `sources`.
#[derive(clap::Args)]
pub struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    daemon: Daemon,
}

/// Lists sources.
pub fn run(args: &Args) -> ExitCode {
    let rows = args.daemon.list("/api/v1/sources", "sources", "after");
    show(rows, args.json, |rows| {
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|row| {
                let outcomes = row.get("outcomes").and_then(Value::as_object);
                let outcomes: Vec<String> = outcomes
                    .into_iter()
                    .flatten()
                    .map(|(outcome, count)| format!("{outcome} {count}"))
                    .collect();
                vec![
                    text(row, "name"),
                    text(row, "kind"),
                    text(row, "last_at"),
                    text(row, "messages"),
                    text(row, "events"),
                    text(row, "quarantined"),
                    outcomes.join(", "),
                ]
            })
            .collect();
        table(
            &[
                "SOURCE",
                "KIND",
                "LAST",
                "MESSAGES",
                "EVENTS",
                "QUARANTINED",
                "OUTCOMES",
            ],
            &rows,
        );
    })
}
