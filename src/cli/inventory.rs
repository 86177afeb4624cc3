//! `alertbridge inventory`: what is wrong or odd about inventory files, before they are in force.

use super::{complain, problems_found, say};
use crate::inventory::{InventoryFile, check};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `inventory`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    act: Act,
}

#[derive(clap::Subcommand)]
enum Act {
    /// Finds loops, dangling names, groups that can never be whole, names that two elements claim,
    /// services that depend on nothing, and what is only odd.
    Check {
        /// Inventory files (`.toml` or `.csv`), taken together.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// Runs the verb: 0 nothing wrong, 1 something is; what is odd alone is no failure.
pub fn run(args: &Args) -> ExitCode {
    let Act::Check { files, json } = &args.act;
    let mut whole = InventoryFile::default();
    let mut unread = Vec::new();
    for path in files {
        let shown = path.display();
        let read = match std::fs::read_to_string(path) {
            Ok(text) => read(path, &text),
            Err(error) => Err(vec![format!("cannot be read: {error}")]),
        };
        match read {
            Ok(part) => whole.extend(part),
            Err(found) => unread.extend(found.iter().map(|what| format!("{shown}: {what}"))),
        }
    }
    if !unread.is_empty() {
        return problems_found(&unread);
    }
    let findings = check(&whole);
    let wrong = findings.iter().filter(|finding| finding.wrong).count();
    if *json {
        say(&serde_json::json!({ "findings": findings }).to_string());
    } else {
        for finding in &findings {
            let word = if finding.wrong { "wrong" } else { "odd" };
            say(&format!("{word}: {}: {}", finding.place, finding.what));
        }
        complain(&format!(
            "{} elements, {} groups, {} services, {} accounts: {wrong} wrong, {} odd",
            whole.element.len(),
            whole.group.len(),
            whole.service.len(),
            whole.account.len(),
            findings.len() - wrong
        ));
    }
    if wrong == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn read(path: &std::path::Path, text: &str) -> Result<InventoryFile, Vec<String>> {
    if path.extension().is_some_and(|e| e == "csv") {
        InventoryFile::from_csv(text)
            .map_err(|found| found.iter().map(ToString::to_string).collect())
    } else {
        InventoryFile::from_toml(text).map_err(|found| vec![found.to_string()])
    }
}
