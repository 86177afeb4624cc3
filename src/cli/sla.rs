//! `alertbridge sla explain`: the resolved targets of a contract.

use super::{load_config, problems_found, say, table};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `sla`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Prints what a contract resolves to: its own words, else its policy's.
    Explain {
        /// The contract.
        contract: String,
        /// Configuration file.
        #[arg(long)]
        config: PathBuf,
    },
}

/// Prints the table.
pub fn run(args: &Args) -> ExitCode {
    let Verb::Explain { contract, config } = &args.verb;
    let config = match load_config(Some(config)) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let sla = &config.decisions.sla;
    let Some(found) = sla.contracts.get(contract) else {
        let known: Vec<&str> = sla.contracts.keys().map(String::as_str).collect();
        let listed = known.join(", ");
        return problems_found(&[format!(
            "there is no contract `{contract}`; there are: {listed}"
        )]);
    };
    say(&format!(
        "contract {}: policy {}, version {}, {} account, for {}, in {} and {}",
        found.name,
        found.policy,
        found.version,
        found.account,
        found.accounts.join(", "),
        found.locale,
        found.tz
    ));
    let rows: Vec<Vec<String>> = found
        .table()
        .into_iter()
        .map(|line| {
            let severity = line.severity.map_or("none".to_owned(), |s| s.to_string());
            let mut notes = vec![format!("from {}", line.origin)];
            if line.pausable {
                notes.push("waiting for the customer does not count".to_owned());
            }
            if let Some(objective) = line.objective {
                notes.push(format!("soft: {objective} of them"));
            }
            vec![
                severity,
                line.target.to_owned(),
                line.said,
                notes.join("; "),
            ]
        })
        .collect();
    table(&["SEVERITY", "TARGET", "WHEN", "NOTES"], &rows);
    ExitCode::SUCCESS
}
