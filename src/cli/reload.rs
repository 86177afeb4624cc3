//! `alertbridge reload`: waits until the new configuration is in force, or says why it is not.

use super::client::Daemon;
use serde_json::json;
use std::process::ExitCode;

/// Arguments of `reload`.
#[derive(clap::Args)]
pub struct Args {
    /// Take a new inventory also if it takes away many services, elements or open incidents; and
    /// pulls that are held because they do.
    #[arg(long)]
    accept: bool,
    #[command(flatten)]
    daemon: Daemon,
}

/// Reloads.
pub fn run(args: &Args) -> ExitCode {
    args.daemon
        .tell("/api/v1/reload", json!({ "accept": args.accept }))
}
