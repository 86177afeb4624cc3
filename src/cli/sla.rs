//! `alertbridge sla explain`: the resolved targets of a contract.

use super::{problems_found, say, table};
use crate::sla::{Target, TargetKind};
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
    let config = match crate::config::load(Some(config)) {
        Ok(config) => config,
        Err(problems) => {
            let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
            return problems_found(&told);
        }
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
        "contract {}: policy {}, {} account, for {}, in {} and {}",
        found.name,
        found.policy,
        found.account,
        found.accounts.join(", "),
        found.locale,
        found.tz
    ));
    let mut rows = Vec::new();
    for (severity, targets) in &found.severities {
        for (name, target) in targets {
            let sev = match severity {
                0 => "none".to_owned(),
                number => number.to_string(),
            };
            rows.push(vec![
                sev,
                name.word().to_owned(),
                shown(target),
                notes(target),
            ]);
        }
    }
    table(&["SEVERITY", "TARGET", "WHEN", "NOTES"], &rows);
    ExitCode::SUCCESS
}

fn length(seconds: i64) -> String {
    match (seconds % 3600, seconds % 60) {
        (0, _) => format!("{} h", seconds / 3600),
        (_, 0) => format!("{} min", seconds / 60),
        _ => format!("{seconds} s"),
    }
}

fn shown(target: &Target) -> String {
    match &target.kind {
        TargetKind::Within(seconds, calendar) => {
            format!("within {} of {}", length(*seconds), hours(calendar))
        }
        TargetKind::Every(seconds, calendar) => {
            format!("every {} of {}", length(*seconds), hours(calendar))
        }
        TargetKind::ByHours {
            inside, outside, ..
        } => format!(
            "within {} in hours, {} out of hours",
            length(*inside),
            length(*outside)
        ),
        TargetKind::NextDay { wall, same_day, .. } => format!(
            "{:02}:{:02} of the next working day{}",
            wall / 3600,
            wall / 60 % 60,
            if *same_day { "" } else { ", not the same" }
        ),
    }
}

fn hours(calendar: &crate::sla::Calendar) -> &'static str {
    match calendar {
        crate::sla::Calendar::Always => "all hours",
        _ => "business hours",
    }
}

fn notes(target: &Target) -> String {
    let mut notes = Vec::new();
    if target.pausable {
        notes.push("waiting for the customer does not count".to_owned());
    }
    if let Some(objective) = target.objective {
        notes.push(format!("soft: {objective} of them"));
    }
    notes.join("; ")
}
