//! `alertbridge restore`: brings a backup back as a new generation, with delivery held; and lets
//! delivery go on once a person has looked at the trackers.

use super::{problems_found, say};
use crate::store::sqlite;
use std::path::PathBuf;
use std::process::ExitCode;

/// Arguments of `restore`.
#[derive(clap::Args)]
pub struct Args {
    /// The folder that `backup` made.
    #[arg(required_unless_present = "release")]
    backup: Option<PathBuf>,
    /// Let delivery go on after a restore or a recovery; also while the daemon runs.
    #[arg(long, conflicts_with = "backup")]
    release: bool,
    /// Where the daemon keeps what lasts; must hold no store yet.
    #[arg(
        long,
        env = "ALERTBRIDGE_DATA_DIR",
        default_value = "./alertbridge-data"
    )]
    data_dir: PathBuf,
}

/// Runs the verb: 0 done, 1 nothing was changed.
pub fn run(args: &Args) -> ExitCode {
    let dir = args.data_dir.display();
    let Some(backup) = &args.backup else {
        return match sqlite::release_delivery(&args.data_dir) {
            Ok(()) => {
                say(&format!("{dir}: delivery goes on"));
                ExitCode::SUCCESS
            }
            Err(error) => problems_found(&[format!("delivery was not released: {error}")]),
        };
    };
    let generation = format!("{:032x}", rand::random::<u128>());
    match sqlite::restore(backup, &args.data_dir, &generation) {
        Ok(manifest) => {
            say(&format!(
                "{dir}: restored up to input {}, as a new generation. Delivery is held: start the \
                 daemon, see with `alertbridge trackers compare --config FILE --data-dir {dir}` what \
                 the trackers know that the backup does not, then run `alertbridge restore --release \
                 --data-dir {dir}`",
                manifest.cursor
            ));
            ExitCode::SUCCESS
        }
        Err(error) => problems_found(&[format!("nothing was restored: {error}")]),
    }
}
