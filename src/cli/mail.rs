//! `alertbridge mail`: for a mail server's pipe. 0 only after the daemon's journal has the mail,
//! else 75, so that the mail server keeps it; there is no spool.

use super::{DATA_DIR, DATA_DIR_ENV, block_on, complain};
use crate::intake::pipe::{EXIT_TRY_AGAIN, LmtpAddress, hand_over};
use std::io::Read;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Arguments of `mail`.
#[derive(clap::Args)]
pub struct Args {
    /// Recipients; `alerts+SOURCE@host` names the source.
    #[arg(default_value = "alerts@localhost")]
    recipients: Vec<String>,
    /// The envelope's sender.
    #[arg(long, default_value = "")]
    sender: String,
    /// The daemon's data directory.
    #[arg(long, env = DATA_DIR_ENV, default_value = DATA_DIR)]
    data_dir: PathBuf,
    /// The daemon's LMTP address, instead of the socket in its data directory.
    #[arg(long)]
    lmtp: Option<SocketAddr>,
    /// Longest time, seconds.
    #[arg(long, default_value_t = 120)]
    timeout: u64,
}

/// Hands the mail over.
pub fn run(args: &Args) -> ExitCode {
    let daemon = match args.lmtp {
        Some(address) => LmtpAddress::Tcp(address),
        None => LmtpAddress::Unix(args.data_dir.join(crate::daemon::LMTP_SOCKET)),
    };
    let mut mail = Vec::new();
    let most = crate::limits::MAIL_BYTES_MAX as u64 + 1;
    if let Err(error) = std::io::stdin().take(most).read_to_end(&mut mail) {
        complain(&format!(
            "cannot read the mail from standard input: {error}"
        ));
        return ExitCode::from(EXIT_TRY_AGAIN);
    }
    let handed = block_on(hand_over(
        mail.as_slice(),
        &daemon,
        &args.sender,
        &args.recipients,
        Duration::from_secs(args.timeout),
    ));
    let why = match handed {
        Ok(Ok(())) => return ExitCode::SUCCESS,
        Ok(Err(error)) => error.to_string(),
        Err(why) => why,
    };
    complain(&why);
    ExitCode::from(EXIT_TRY_AGAIN)
}
