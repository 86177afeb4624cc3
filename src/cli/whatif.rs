//! `alertbridge whatif`: severity, services and accounts before it happens.

use super::{DATA_DIR, DATA_DIR_ENV, load_with_pulled, problems_found, say};
use crate::inventory::{Health, Impact, Lives, what_if};
use crate::model::Time;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `whatif`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    act: Act,
}

#[derive(clap::Subcommand)]
enum Act {
    /// These elements fail, on top of everything working.
    Down {
        /// Ids or aliases of elements.
        #[arg(required = true)]
        elements: Vec<String>,
        /// Configuration file, which names the inventory.
        #[arg(long, default_value = "/etc/alertbridge/alertbridge.toml")]
        config: PathBuf,
        /// Where the daemon keeps what it pulled from NetBox.
        #[arg(long, env = DATA_DIR_ENV, default_value = DATA_DIR)]
        data_dir: PathBuf,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
}

/// Runs the verb.
pub fn run(args: &Args) -> ExitCode {
    let Act::Down {
        elements,
        config,
        data_dir,
        json,
    } = &args.act;
    let config = match load_with_pulled(config, data_dir) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let inventory = &config.decisions.inventory;
    let mut found = Vec::new();
    let mut unknown = Vec::new();
    for name in elements {
        match inventory.resolve_name(name).element {
            Some(element) => found.push(element),
            None => unknown.push(format!("`{name}` is not in the inventory")),
        }
    }
    if !unknown.is_empty() {
        return problems_found(&unknown);
    }
    let lives = Lives {
        now: Time::from_timestamp(jiff::Timestamp::now()),
        healthy: None,
    };
    let impact = what_if(inventory, &Health::new(inventory), &found, &lives);
    if *json {
        say(&json_of(&impact).to_string());
    } else {
        tell(&impact);
    }
    ExitCode::SUCCESS
}

fn json_of(impact: &Impact) -> serde_json::Value {
    serde_json::json!({
        "severity": impact.severity.map(|s| s.to_string()),
        "category": impact.category.word(),
        "services": impact.services,
        "accounts": impact.accounts,
        "customers": impact.parties,
        "reason": impact.sentences,
        "next_failure": impact.next_failure,
    })
}

fn tell(impact: &Impact) {
    match impact.severity {
        Some(severity) => say(&format!("{severity} ({})", impact.category.word())),
        None => say("no service would be hit"),
    }
    for sentence in &impact.sentences {
        say(&format!("  {sentence}"));
    }
    if !impact.services.is_empty() {
        say(&format!("services: {}", impact.services.join(", ")));
    }
    if !impact.accounts.is_empty() {
        say(&format!("accounts: {}", impact.accounts.join(", ")));
    }
    if !impact.next_failure.is_empty() {
        say(&format!("next failure: {}", impact.next_failure));
    }
}
