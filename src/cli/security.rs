//! `alertbridge security`: messages that a person has to release.

use super::client::{Daemon, short, show, text};
use super::table;
use serde_json::json;
use std::process::ExitCode;

/// Arguments of `security`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    daemon: Daemon,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Lists messages that wait.
    List {
        /// Released and dropped ones as well.
        #[arg(long)]
        all: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Marks an incident: customers hear nothing of it until the message is released or dropped.
    Mark {
        /// The incident, like INC-3.
        incident: String,
        /// What those who are hit should read; can be given with the release as well.
        #[arg(long, default_value = "")]
        text: String,
    },
    /// Sends a message to everybody who is hit, users of managed accounts included.
    Release {
        /// The message, like SEC-1.
        message: String,
        /// Its text in place of the marked one.
        #[arg(long, default_value = "")]
        text: String,
    },
    /// Does not send a message.
    Drop {
        /// The message.
        message: String,
        /// Why.
        #[arg(default_value = "")]
        text: String,
    },
}

/// Works on security messages.
pub fn run(args: &Args) -> ExitCode {
    let daemon = &args.daemon;
    let tell = |path: String, text: &str| daemon.tell(&path, json!({ "text": text }));
    match &args.verb {
        Verb::List { all, json } => {
            let state = if *all { "all" } else { "open" };
            let path = format!("/api/v1/security?state={state}");
            let rows = daemon.list(&path, "security", "after");
            show(rows, *json, |rows| {
                let rows: Vec<Vec<String>> = rows
                    .iter()
                    .map(|row| {
                        vec![
                            text(row, "id"),
                            text(row, "incident"),
                            text(row, "state"),
                            text(row, "marked_by"),
                            text(row, "ended_by"),
                            short(row, "text", 60),
                        ]
                    })
                    .collect();
                let heading = ["ID", "INCIDENT", "STATE", "MARKED BY", "ENDED BY", "TEXT"];
                table(&heading, &rows);
            })
        }
        Verb::Mark { incident, text } => {
            tell(format!("/api/v1/incidents/{incident}/security"), text)
        }
        Verb::Release { message, text } => {
            tell(format!("/api/v1/security/{message}/release"), text)
        }
        Verb::Drop { message, text } => tell(format!("/api/v1/security/{message}/drop"), text),
    }
}
