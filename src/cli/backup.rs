//! `alertbridge backup`: a copy of the store, also while the daemon works.

use super::{DATA_DIR, DATA_DIR_ENV, problems_found, say};
use crate::store::sqlite;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `backup`.
#[derive(clap::Args)]
pub struct Args {
    /// An empty or missing folder for the copy.
    target: PathBuf,
    /// Where the daemon keeps what lasts.
    #[arg(long, env = DATA_DIR_ENV, default_value = DATA_DIR)]
    data_dir: PathBuf,
}

/// Runs the verb: 0 the copy is whole and was read back, 1 there is none.
pub fn run(args: &Args) -> ExitCode {
    match sqlite::backup(&args.data_dir, &args.target) {
        Ok(manifest) => {
            let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
            say(&format!(
                "{}: {bytes} bytes, applied up to input {}; every row was read back",
                args.target.display(),
                manifest.cursor
            ));
            ExitCode::SUCCESS
        }
        Err(error) => problems_found(&[format!("no backup was made: {error}")]),
    }
}
