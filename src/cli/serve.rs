//! `alertbridge serve`.

use super::{DATA_DIR, DATA_DIR_ENV, load_config, problems_found};
use crate::daemon::{self, Start};
use crate::telemetry::logging::{self, LogFormat};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `serve`.
#[derive(clap::Args)]
pub struct Args {
    /// Configuration file; without it everything is served on loopback.
    #[arg(long)]
    config: Option<PathBuf>,
    /// Holds all that lasts.
    #[arg(long, env = DATA_DIR_ENV, default_value = DATA_DIR)]
    data_dir: PathBuf,
    /// Gets a JSON object with the addresses in use once the daemon is ready.
    #[arg(long)]
    ready_file: Option<PathBuf>,
    /// What fires at the first contact with any source is one list for each source, not a ticket
    /// each; like `baseline = true` of every source.
    #[arg(long)]
    baseline: bool,
    /// How log lines look.
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
}

/// Runs the daemon.
pub fn run(args: Args) -> ExitCode {
    let config = match load_config(args.config.as_deref()) {
        Ok(config) => config,
        Err(code) => return code,
    };
    logging::start(args.log_format);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return problems_found(&[format!("no runtime: {error}")]),
    };
    match runtime.block_on(daemon::run(Start {
        config,
        config_path: args.config,
        data_dir: args.data_dir,
        ready_file: args.ready_file,
        baseline: args.baseline,
    })) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => problems_found(&[format!("{error:#}")]),
    }
}
