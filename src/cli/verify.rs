//! `alertbridge verify`: reads every row of a store or of a backup.

use super::{DATA_DIR, DATA_DIR_ENV, problems_found, say};
use crate::store::sqlite;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `verify`.
#[derive(clap::Args)]
pub struct Args {
    /// Where the daemon keeps what lasts, or a folder that `backup` made.
    #[arg(long, env = DATA_DIR_ENV, default_value = DATA_DIR)]
    data_dir: PathBuf,
}

/// Runs the verb: 0 all is as it was written, 1 something is not.
pub fn run(args: &Args) -> ExitCode {
    match sqlite::verify(&args.data_dir) {
        Ok(verified) if verified.problem_count == 0 => {
            say(&format!(
                "{}: good; {} rows",
                args.data_dir.display(),
                verified.rows
            ));
            ExitCode::SUCCESS
        }
        Ok(verified) => {
            let mut problems = verified.problems;
            problems.push(format!(
                "{} problems in {} rows. Bring back a backup with `alertbridge restore`, or keep \
                 what is readable with `alertbridge recover --accept-loss`",
                verified.problem_count, verified.rows
            ));
            problems_found(&problems)
        }
        Err(error) => problems_found(&[format!("it could not be read: {error}")]),
    }
}
