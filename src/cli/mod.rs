//! The command line: one file a verb.

/// Parses the arguments, runs the verb and gives the exit code: 0 done, 1 problems found, 2 wrong use.
pub fn run() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
