//! `alertbridge explain`: why an incident, an alert or a ticket is what it is.

use super::client::{Daemon, show_one, text};
use super::say;
use std::process::ExitCode;

/// Arguments of `explain`.
#[derive(clap::Args)]
pub struct Args {
    /// An incident (INC-12), an alert or a wanted ticket (T-3).
    id: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    daemon: Daemon,
}

/// Prints the chain.
pub fn run(args: &Args) -> ExitCode {
    let found = args.daemon.get(&format!("/api/v1/explain/{}", args.id));
    show_one(
        found,
        args.json,
        |found| say(text(found, "text").trim_end()),
    )
}
