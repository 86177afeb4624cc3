//! `alertbridge promote`: a route in shadow mode goes live.

use super::client::Daemon;
use serde_json::json;
use std::process::ExitCode;

/// Arguments of `promote`.
#[derive(clap::Args)]
pub struct Args {
    /// The route.
    route: String,
    #[command(flatten)]
    daemon: Daemon,
}

/// Promotes a route.
pub fn run(args: &Args) -> ExitCode {
    let path = format!("/api/v1/routes/{}/promote", args.route);
    args.daemon.tell(&path, json!({}))
}
