//! The command line: one file a verb.

mod backup;
mod recover;
mod restore;
mod try_message;
mod verify;

use crate::daemon::{self, Start};
use clap::{Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Runs the daemon until SIGTERM.
    Serve {
        /// Configuration file; without it everything is served on loopback.
        #[arg(long)]
        config: Option<PathBuf>,
        /// Holds all that lasts.
        #[arg(long, default_value = "./alertbridge-data")]
        data_dir: PathBuf,
        /// Gets a JSON object with the addresses in use once the daemon is ready.
        #[arg(long)]
        ready_file: Option<PathBuf>,
    },
    /// Says everything that is wrong with a configuration.
    Check {
        /// Configuration file.
        file: PathBuf,
    },
    /// Prints what messages would become, without daemon or store.
    Try(try_message::Args),
    /// Copies the store, also while the daemon works, and reads the copy back.
    Backup(backup::Args),
    /// Brings a backup back as a new generation, with delivery held.
    Restore(restore::Args),
    /// Reads every row of a store or backup and says what is not as it was written.
    Verify(verify::Args),
    /// Keeps what is readable of a damaged store and sets the rest aside.
    Recover(recover::Args),
}

/// Writes a line; a closed pipe is no error of ours.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Parses the arguments, runs the verb and gives the exit code: 0 done, 1 problems found, 2 wrong
/// use.
pub fn run() -> ExitCode {
    match Cli::parse().verb {
        Verb::Serve {
            config,
            data_dir,
            ready_file,
        } => {
            let config = match crate::config::load(config.as_deref()) {
                Ok(config) => config,
                Err(problems) => return problems_found(&problems),
            };
            let filter = tracing_subscriber::EnvFilter::try_from_env("ALERTBRIDGE_LOG")
                .unwrap_or_else(|_| "info".into());
            tracing_subscriber::fmt()
                .json()
                .with_env_filter(filter)
                .with_writer(std::io::stderr)
                .init();
            let runtime = match tokio::runtime::Runtime::new() {
                Ok(runtime) => runtime,
                Err(error) => return problems_found(&[format!("no runtime: {error}")]),
            };
            match runtime.block_on(daemon::run(Start {
                config,
                data_dir,
                ready_file,
            })) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => problems_found(&[format!("{error:#}")]),
            }
        }
        Verb::Check { file } => match crate::config::load(Some(&file)) {
            Ok(config) => {
                let nodes = config.decisions.inventory.len();
                say(&format!(
                    "{}: good; {nodes} inventory entries",
                    file.display()
                ));
                ExitCode::SUCCESS
            }
            Err(problems) => problems_found(&problems),
        },
        Verb::Try(args) => try_message::run(&args),
        Verb::Backup(args) => backup::run(&args),
        Verb::Restore(args) => restore::run(&args),
        Verb::Verify(args) => verify::run(&args),
        Verb::Recover(args) => recover::run(&args),
    }
}

fn problems_found(problems: &[String]) -> ExitCode {
    for problem in problems {
        let _ = writeln!(std::io::stderr(), "{problem}");
    }
    ExitCode::FAILURE
}
