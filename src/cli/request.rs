//! `alertbridge request`: a customer's report or question, entered by a person.

use super::client::Daemon;
use serde_json::json;
use std::process::ExitCode;

/// Arguments of `request`.
#[derive(clap::Args)]
pub struct Args {
    /// One line.
    summary: String,
    /// The account that reports.
    #[arg(long)]
    account: String,
    /// The service it is about.
    #[arg(long)]
    service: Option<String>,
    /// outage, degradation, provisioning or inquiry.
    #[arg(long, default_value = "inquiry")]
    kind: String,
    /// When it was reported, RFC 3339: the clock's start; now unless said.
    #[arg(long)]
    reported_at: Option<String>,
    /// The whole text.
    #[arg(long, default_value = "")]
    text: String,
    /// Its content must not leave the bridge.
    #[arg(long)]
    sensitive: bool,
    #[command(flatten)]
    daemon: Daemon,
}

/// Opens a request.
pub fn run(args: &Args) -> ExitCode {
    let body = json!({
        "account": args.account,
        "service": args.service,
        "kind": args.kind,
        "reported_at": args.reported_at,
        "summary": args.summary,
        "text": args.text,
        "sensitive": args.sensitive,
    });
    args.daemon.tell("/api/v1/requests", body)
}
