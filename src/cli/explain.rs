//! `alertbridge explain`: why an incident, an alert, a ticket or an event is what it is.

use super::client::{Daemon, show_one, text};
use super::say;
use std::process::ExitCode;

/// Arguments of `explain`.
#[derive(clap::Args)]
pub struct Args {
    /// An incident (INC-12), an alert, a ticket (T-3, or its number in its tracker: 1234,
    /// rt:1234) or an event (4.0: journal entry 4, its first event).
    id: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    daemon: Daemon,
}

/// Prints the chain.
pub fn run(args: &Args) -> ExitCode {
    let id: String = url::form_urlencoded::byte_serialize(args.id.as_bytes()).collect();
    let found = args.daemon.get(&format!("/api/v1/explain/{id}"));
    show_one(
        found,
        args.json,
        |found| say(text(found, "text").trim_end()),
    )
}
