//! `alertbridge recover`: keeps what is readable of a damaged store.

use super::{DATA_DIR, DATA_DIR_ENV, problems_found, say};
use crate::store::sqlite;
use std::path::PathBuf;
use std::process::ExitCode;

/// Lost rows that are named one by one; the list has all.
const NAMED_MAX: usize = 20;

/// Arguments of `recover`.
#[derive(clap::Args)]
pub struct Args {
    /// Says that a backup is no option and that what is damaged may be lost.
    #[arg(long)]
    accept_loss: bool,
    /// Where the daemon keeps what lasts. The daemon must not run.
    #[arg(long, env = DATA_DIR_ENV, default_value = DATA_DIR)]
    data_dir: PathBuf,
}

/// Runs the verb: 0 the store can be used again, 1 nothing was changed.
pub fn run(args: &Args) -> ExitCode {
    let dir = args.data_dir.display();
    if !args.accept_loss {
        return problems_found(&[format!(
            "what is damaged will be lost: look with `alertbridge verify --data-dir {dir}`, try \
             `alertbridge restore` with a backup first, then add --accept-loss"
        )]);
    }
    let name = jiff::Timestamp::now()
        .strftime("%Y%m%dT%H%M%SZ")
        .to_string();
    let generation = format!("{:032x}", rand::random::<u128>());
    match sqlite::recover(&args.data_dir, &name, &generation) {
        Ok(done) => {
            for lost in done.lost.iter().take(NAMED_MAX) {
                say(&format!(
                    "lost: {} {} {}: {}",
                    lost.file, lost.table, lost.key, lost.reason
                ));
            }
            say(&format!(
                "{dir}: {} rows kept, {} lost; the files as they were and the whole list \
                 (lost.jsonl) are in {}",
                done.kept,
                done.lost.len(),
                done.aside.display()
            ));
            if done.state_rebuilt {
                say("The engine's state is built again from the journal at the next start.");
            }
            if !done.lost.is_empty() {
                say(&format!(
                    "Delivery is held: compare the trackers with the board, then run \
                     `alertbridge restore --release --data-dir {dir}`"
                ));
            }
            ExitCode::SUCCESS
        }
        Err(error) => problems_found(&[format!("nothing was recovered: {error}")]),
    }
}
