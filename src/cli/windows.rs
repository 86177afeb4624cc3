//! `alertbridge window`: maintenance windows.

use super::client::{Daemon, short, show, text};
use super::silences::matchers;
use super::table;
use serde_json::json;
use std::process::ExitCode;

/// Arguments of `window`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    daemon: Daemon,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Lists windows that are planned or in force.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Plans maintenance: no tickets for matching alerts, until it ends.
    Add {
        /// Conditions like `element=sw1` or `site=~ams.*`, of which all must hold.
        #[arg(required = true)]
        matchers: Vec<String>,
        /// Why; shown in tickets.
        #[arg(long)]
        reason: String,
        /// From when, RFC 3339; now unless said.
        #[arg(long)]
        from: Option<String>,
        /// Until when, RFC 3339.
        #[arg(long)]
        until: String,
    },
    /// Cancels a window, or ends it now.
    End {
        /// The window, like MW-3.
        window: String,
    },
}

/// Works on windows.
pub fn run(args: &Args) -> ExitCode {
    let daemon = &args.daemon;
    match &args.verb {
        Verb::List { json } => {
            let rows = daemon.list("/api/v1/windows", "windows", "after");
            show(rows, *json, |rows| {
                let rows: Vec<Vec<String>> = rows
                    .iter()
                    .map(|row| {
                        vec![
                            text(row, "id"),
                            text(row, "from"),
                            text(row, "until"),
                            text(row, "author"),
                            matchers(row),
                            short(row, "reason", 60),
                        ]
                    })
                    .collect();
                table(&["ID", "FROM", "UNTIL", "WHO", "MATCHES", "REASON"], &rows);
            })
        }
        Verb::Add {
            matchers,
            reason,
            from,
            until,
        } => {
            let body = json!({
                "matchers": matchers,
                "reason": reason,
                "starts_at": from,
                "ends_at": until,
            });
            daemon.tell("/api/v1/windows", body)
        }
        Verb::End { window } => daemon.tell(&format!("/api/v1/windows/{window}/end"), json!({})),
    }
}
