//! `alertbridge check`: everything that is wrong with a configuration, at once.

use super::{load_config, say};
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `check`.
#[derive(clap::Args)]
pub struct Args {
    /// Configuration file; `conf.d/*.toml` beside it are read as well.
    file: PathBuf,
}

/// Checks a configuration.
pub fn run(args: &Args) -> ExitCode {
    match load_config(Some(&args.file)) {
        Ok(config) => {
            for warning in &config.warnings {
                say(&format!("warning: {warning}"));
            }
            say(&format!(
                "{}: good; {} sources, {} rules, {} routes, {} inventory entries",
                args.file.display(),
                config.file.source.len(),
                config.file.rule.len(),
                config.file.route.len(),
                config.decisions.inventory.len(),
            ));
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}
