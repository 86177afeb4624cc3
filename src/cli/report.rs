//! `alertbridge report`: a contract's month.

use super::client::Daemon;
use super::{problems_found, say};
use std::process::ExitCode;

/// Arguments of `report`.
#[derive(clap::Args)]
pub struct Args {
    /// The contract.
    #[arg(long)]
    contract: String,
    /// The month, like 2026-06.
    #[arg(long)]
    month: String,
    /// text, html, csv or json.
    #[arg(long, default_value = "text")]
    format: String,
    #[command(flatten)]
    daemon: Daemon,
}

/// Prints the report.
pub fn run(args: &Args) -> ExitCode {
    let path = format!(
        "/api/v1/report?contract={}&month={}&format={}",
        args.contract, args.month, args.format
    );
    match args.daemon.get_text(&path) {
        Ok(report) => {
            say(report.trim_end());
            ExitCode::SUCCESS
        }
        Err(why) => problems_found(&[why]),
    }
}
