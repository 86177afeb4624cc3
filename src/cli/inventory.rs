//! `alertbridge inventory`: what is wrong or odd about inventory files, before they are in force.

use super::{complain, problems_found, say};
use crate::config::read_inventory;
use crate::inventory::{Finding, check};
use std::path::{Path, PathBuf};
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
        /// Inventory files (`.toml`, `.csv`, or `.json` as NetBox's API answers), taken together.
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
    let names: Vec<String> = files
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let read = read_inventory(&names, Path::new(""));
    if !read.wrong.is_empty() {
        let told: Vec<String> = read.wrong.iter().map(ToString::to_string).collect();
        return problems_found(&told);
    }
    let whole = read.entries;
    let counts = [
        whole.element.len(),
        whole.group.len(),
        whole.service.len(),
        whole.account.len(),
    ];
    let mut findings = check(whole);
    findings.extend(read.left_out.into_iter().map(|odd| Finding {
        wrong: false,
        place: odd.key,
        what: odd.what,
    }));
    let wrong = findings.iter().filter(|finding| finding.wrong).count();
    if *json {
        say(&serde_json::json!({ "findings": findings }).to_string());
    } else {
        for finding in &findings {
            let word = if finding.wrong { "wrong" } else { "odd" };
            say(&format!("{word}: {}: {}", finding.place, finding.what));
        }
        let [elements, groups, services, accounts] = counts;
        complain(&format!(
            "{elements} elements, {groups} groups, {services} services, {accounts} accounts: \
             {wrong} wrong, {} odd",
            findings.len() - wrong
        ));
    }
    if wrong == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
