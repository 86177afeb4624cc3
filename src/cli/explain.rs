//! `alertbridge explain`: why an incident, an alert or a ticket is what it is.

use super::client::{Daemon, text};
use super::{problems_found, say};
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
    match args.daemon.get(&format!("/api/v1/explain/{}", args.id)) {
        Ok(found) if args.json => {
            say(&found.to_string());
            ExitCode::SUCCESS
        }
        Ok(found) => {
            say(text(&found, "text").trim_end());
            ExitCode::SUCCESS
        }
        Err(why) => problems_found(&[why]),
    }
}
