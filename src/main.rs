//! Parse, run, exit code. Nothing else.

/// Inputs are made on the doors' threads and dropped on the engine's; the system's allocator took a
/// quarter of all time for that (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    alertbridge::cli::run()
}
