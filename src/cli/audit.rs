//! `alertbridge audit`: what people did, with their names.

use super::client::{Daemon, short, show, text};
use super::table;
use std::process::ExitCode;

/// Arguments of `audit`.
#[derive(clap::Args)]
pub struct Args {
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    daemon: Daemon,
}

/// Lists commands, oldest first.
pub fn run(args: &Args) -> ExitCode {
    let rows = args.daemon.list("/api/v1/audit", "audit", "after");
    show(rows, args.json, |rows| {
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|row| {
                vec![
                    text(row, "seq"),
                    text(row, "at"),
                    text(row, "author"),
                    short(row, "command", 70),
                    short(row, "result", 70),
                ]
            })
            .collect();
        table(&["INPUT", "AT", "WHO", "WHAT", "RESULT"], &rows);
    })
}
