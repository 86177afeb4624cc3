//! `alertbridge trackers`: speaks to each configured tracker.

use super::{block_on, load_config, problems_found, say};
use crate::model::Time;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `trackers`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Says of each tracker whether it can be reached, knows us, and can keep and find our key.
    Check {
        /// Configuration file.
        #[arg(long)]
        config: PathBuf,
    },
    /// After a restore: which tickets are not as the store knows them, before delivery is released.
    Compare(super::compare::Args),
}

/// Checks: 0 all is well, 1 something is not.
pub fn run(args: &Args) -> ExitCode {
    let config = match &args.verb {
        Verb::Check { config } => config,
        Verb::Compare(args) => return super::compare::run(args),
    };
    let config = match load_config(Some(config)) {
        Ok(config) => config,
        Err(code) => return code,
    };
    if config.trackers.is_empty() {
        say("No tracker is configured; tickets go to the built-in desk.");
    }
    let now = Time::from_timestamp(jiff::Timestamp::now());
    let mut good = true;
    for (name, configured) in &config.trackers {
        let tracker = &configured.tracker;
        let asked = config.asked(name);
        let check = async {
            let mut found = tracker.check(now).await;
            // Of one that does not answer there is nothing more to be asked.
            if found.first().is_some_and(Result::is_ok) {
                found.extend(tracker.check_asked(&asked).await);
            }
            found
        };
        match block_on(check) {
            Ok(found) => {
                for line in found {
                    match line {
                        Ok(line) => say(&format!("{name}: {line}")),
                        Err(line) => {
                            good = false;
                            say(&format!("{name}: PROBLEM: {line}"));
                        }
                    }
                }
            }
            Err(why) => return problems_found(&[why]),
        }
    }
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
