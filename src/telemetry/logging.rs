//! The log: to the journal with structured fields under systemd, else to standard error.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How lines look on standard error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// The journal under systemd, text on a terminal, JSON else.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// Sets the log up for this process. `ALERTBRIDGE_LOG` filters it (`info` unless said).
pub fn start(format: LogFormat) {
    use std::io::IsTerminal;
    let filter = || EnvFilter::try_from_env("ALERTBRIDGE_LOG").unwrap_or_else(|_| "info".into());
    let registry = tracing_subscriber::registry().with(filter());
    let under_systemd = std::env::var_os("JOURNAL_STREAM").is_some();
    if format == LogFormat::Auto
        && under_systemd
        && let Ok(journal) = tracing_journald::layer()
    {
        let _ = registry.with(journal.with_field_prefix(None)).try_init();
        return;
    }
    let text = match format {
        LogFormat::Text => true,
        LogFormat::Json => false,
        LogFormat::Auto => std::io::stderr().is_terminal(),
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let started = if text {
        registry.with(layer).try_init()
    } else {
        registry.with(layer.json().flatten_event(true)).try_init()
    };
    // A second start in one process, as tests do, keeps the first.
    drop(started);
}
