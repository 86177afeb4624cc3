//! The command line: one file a verb. Exit codes: 0 done, 1 problems found, 2 wrong use; of `mail` 75
//! for whatever is not 0.

mod act;
mod audit;
mod backup;
mod check;
mod client;
mod compare;
mod demo;
mod desk;
mod explain;
mod incidents;
mod inventory;
mod mail;
mod notices;
mod notify;
mod outbox;
mod promote;
mod quarantine;
mod recover;
mod reload;
mod replay;
mod report;
mod request;
mod restore;
mod security;
mod serve;
mod silences;
mod sla;
mod sources;
mod test_source;
mod trackers;
mod try_decided;
mod try_message;
mod verify;
mod whatif;
mod windows;

use crate::config::Config;
use clap::{Parser, Subcommand};
use secrecy::SecretString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

/// The store's directory if no other is named.
const DATA_DIR: &str = "./alertbridge-data";
/// The variable that names it.
const DATA_DIR_ENV: &str = "ALERTBRIDGE_DATA_DIR";

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Plays a bad night into a daemon and prints its tickets.
    Demo(demo::Args),
    /// Runs the daemon until SIGTERM.
    Serve(serve::Args),
    /// Says everything that is wrong with a configuration.
    Check(check::Args),
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
    /// Sends an alert; spools it when the daemon cannot be reached.
    Notify(notify::Args),
    /// Hands one mail from standard input to the daemon, for a mail server's pipe.
    Mail(mail::Args),
    /// Lists incidents, or shows one.
    Incidents(incidents::Args),
    /// Says why an incident, an alert, a ticket or an event is what it is.
    Explain(explain::Args),
    /// Prints a contract's month.
    Report(report::Args),
    /// Service levels.
    Sla(sla::Args),
    /// Acknowledges an incident.
    Ack(act::OnlyIncident),
    /// Gives an incident to somebody.
    Assign(act::Assign),
    /// An incident waits for the customer, or no longer.
    Wait(act::Wait),
    /// Promises the customer an update by a time.
    Promise(act::Promise),
    /// Adds a note to an incident; a public one is an answer to the customer.
    Note(act::Note),
    /// Resolves an incident.
    Resolve(act::Resolve),
    /// Reopens a resolved incident.
    Reopen(act::OnlyIncident),
    /// Sets a person's severity, or lifts it.
    Severity(act::SetSeverity),
    /// Changes an incident's category.
    Category(act::SetCategory),
    /// Escalates an incident.
    Escalate(act::Escalate),
    /// Makes an existing ticket an incident's ticket.
    Adopt(act::Adopt),
    /// Opens a request: a customer's report or question.
    Request(request::Args),
    /// Works at the built-in desk.
    Desk(desk::Args),
    /// Messages that could not be read.
    Quarantine(quarantine::Args),
    /// Tickets and notices that wait for their tracker or server.
    Outbox(outbox::Args),
    /// Who is told what, and when.
    Notices(notices::Args),
    /// Security messages that a person has to release.
    Security(security::Args),
    /// What each source said, and what became of it.
    Sources(sources::Args),
    /// Sends test messages through the real door.
    Test(test_source::Args),
    /// What people did, with their names.
    Audit(audit::Args),
    /// Silences.
    Silence(silences::Args),
    /// Maintenance windows.
    Window(windows::Args),
    /// Makes a route that runs in shadow mode live.
    Promote(promote::Args),
    /// Speaks to the configured trackers.
    Trackers(trackers::Args),
    /// Makes the daemon read its configuration again.
    Reload(reload::Args),
    /// Says which tickets another configuration would have opened, and why.
    Replay(replay::Args),
    /// Looks at inventory files.
    Inventory(inventory::Args),
    /// Says what a failure would mean, before it happens.
    Whatif(whatif::Args),
}

/// Tells what is wrong with the words of a command. A mail server that calls `mail` with wrong words
/// must keep its mails until somebody has put that right, and not return them to the monitors.
fn wrong_use(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    let is_mail = std::env::args_os()
        .nth(1)
        .is_some_and(|verb| verb == "mail");
    match error.use_stderr() {
        true if is_mail => ExitCode::from(crate::intake::pipe::EXIT_TRY_AGAIN),
        true => ExitCode::from(2),
        false => ExitCode::SUCCESS,
    }
}

/// Writes a line; a closed pipe is no error of ours.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Writes a line for the operator beside the output.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Tells problems; exit code 1.
fn problems_found(problems: &[String]) -> ExitCode {
    problems.iter().for_each(|problem| complain(problem));
    ExitCode::FAILURE
}

/// Loads a configuration, or tells everything that is wrong with it.
fn load_config(path: Option<&Path>) -> Result<Config, ExitCode> {
    crate::config::load(path).map_err(|problems| {
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        problems_found(&told)
    })
}

/// The same with the inventories that a daemon has pulled into its data directory.
fn load_with_pulled(path: &Path, data_dir: &Path) -> Result<Config, ExitCode> {
    let mut config = load_config(Some(path))?;
    let (pulled, missing) = crate::config::kept_copies(&config, data_dir);
    missing.iter().for_each(|what| complain(what));
    match config.take_in(&pulled) {
        Ok(()) => Ok(config),
        Err(problems) => {
            let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
            Err(problems_found(&told))
        }
    }
}

/// The token in a file, if there is one.
fn token_of(file: Option<&Path>) -> Result<Option<SecretString>, String> {
    let Some(file) = file else { return Ok(None) };
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    Ok(Some(text.trim().into()))
}

/// Columns with a heading, as wide as they need to be.
fn table(heading: &[&str], rows: &[Vec<String>]) {
    let mut widths: Vec<usize> = heading.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<&str>| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        say(padded.join("  ").trim_end());
    };
    line(heading.to_vec());
    for row in rows {
        line(row.iter().map(String::as_str).collect());
    }
}

/// A runtime for verbs that speak to the daemon.
fn block_on<T>(work: impl Future<Output = T>) -> Result<T, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map(|runtime| runtime.block_on(work))
        .map_err(|error| format!("no runtime: {error}"))
}

/// Parses the arguments, runs the verb and gives the exit code.
pub fn run() -> ExitCode {
    // Fails when a provider was installed before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return wrong_use(&error),
    };
    match cli.verb {
        Verb::Demo(args) => demo::run(&args),
        Verb::Serve(args) => serve::run(args),
        Verb::Check(args) => check::run(&args),
        Verb::Try(args) => try_message::run(&args),
        Verb::Backup(args) => backup::run(&args),
        Verb::Restore(args) => restore::run(&args),
        Verb::Verify(args) => verify::run(&args),
        Verb::Recover(args) => recover::run(&args),
        Verb::Notify(args) => notify::run(args),
        Verb::Mail(args) => mail::run(&args),
        Verb::Incidents(args) => incidents::run(&args),
        Verb::Explain(args) => explain::run(&args),
        Verb::Report(args) => report::run(&args),
        Verb::Sla(args) => sla::run(&args),
        Verb::Ack(args) => args.run("ack"),
        Verb::Assign(args) => args.run(),
        Verb::Wait(args) => args.run(),
        Verb::Promise(args) => args.run(),
        Verb::Note(args) => args.run(),
        Verb::Resolve(args) => args.run(),
        Verb::Reopen(args) => args.run("reopen"),
        Verb::Severity(args) => args.run(),
        Verb::Category(args) => args.run(),
        Verb::Escalate(args) => args.run(),
        Verb::Adopt(args) => args.run(),
        Verb::Request(args) => request::run(&args),
        Verb::Desk(args) => desk::run(&args),
        Verb::Quarantine(args) => quarantine::run(&args),
        Verb::Outbox(args) => outbox::run(&args),
        Verb::Notices(args) => notices::run(&args),
        Verb::Security(args) => security::run(&args),
        Verb::Sources(args) => sources::run(&args),
        Verb::Test(args) => test_source::run(&args),
        Verb::Audit(args) => audit::run(&args),
        Verb::Silence(args) => silences::run(&args),
        Verb::Window(args) => windows::run(&args),
        Verb::Promote(args) => promote::run(&args),
        Verb::Trackers(args) => trackers::run(&args),
        Verb::Reload(args) => reload::run(&args),
        Verb::Replay(args) => replay::run(&args),
        Verb::Inventory(args) => inventory::run(&args),
        Verb::Whatif(args) => whatif::run(&args),
    }
}
