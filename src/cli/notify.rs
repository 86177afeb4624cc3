//! `alertbridge notify`: one command for Nagios, Icinga and shell scripts. 0 once the notification
//! is safe in the spool, 75 if it cannot be spooled. Older entries go first.

use super::{block_on, complain, problems_found, say, token_of};
use crate::intake::notify::{self, Client};
use crate::intake::pipe::EXIT_TRY_AGAIN;
use crate::intake::spool::{Entry, Spool};
use crate::store::sealing::{Keyring, key_bytes};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Arguments of `notify`.
#[derive(clap::Args)]
pub struct Args {
    /// One line for people. Needed, unless `--flush` or `--body` is given.
    #[arg(required_unless_present_any = ["flush", "body"])]
    summary: Option<String>,
    /// problem, recovery, acknowledge, or the monitor's own word.
    #[arg(long, default_value = "problem")]
    state: String,
    /// The monitor's severity word.
    #[arg(long)]
    severity: Option<String>,
    /// Host or device.
    #[arg(long)]
    host: Option<String>,
    /// What is checked.
    #[arg(long)]
    check: Option<String>,
    /// Part of the host.
    #[arg(long)]
    component: Option<String>,
    /// Site.
    #[arg(long)]
    site: Option<String>,
    /// An inventory service.
    #[arg(long)]
    service: Option<String>,
    /// The monitor's own id of the problem.
    #[arg(long)]
    dedup_key: Option<String>,
    /// Longer text.
    #[arg(long)]
    details: Option<String>,
    /// Further names, like `rack=a3`.
    #[arg(long = "label", value_parser = label)]
    labels: Vec<(String, String)>,
    /// It is a test.
    #[arg(long)]
    test: bool,
    /// Send this file's content as it is (`-`: standard input) instead of an event made of the
    /// other options.
    #[arg(long, conflicts_with = "summary")]
    body: Option<PathBuf>,
    /// The source to speak as.
    #[arg(long)]
    source: Option<String>,
    /// The daemon's webhook door.
    #[arg(long, env = "ALERTBRIDGE_URL", default_value = "http://127.0.0.1:8480")]
    url: String,
    /// A file with the source's token.
    #[arg(long)]
    token_file: Option<PathBuf>,
    /// Where notifications wait for the daemon.
    #[arg(
        long,
        env = "ALERTBRIDGE_SPOOL",
        default_value = "/var/spool/alertbridge"
    )]
    spool: PathBuf,
    /// A file with a key of its own, as `openssl rand -hex 32` makes it: what waits is sealed.
    #[arg(long, env = "ALERTBRIDGE_SPOOL_KEY_FILE")]
    spool_key_file: Option<PathBuf>,
    /// Only deliver what waits; for a timer. 1 if something still waits.
    #[arg(long)]
    flush: bool,
    /// Longest time for one delivery, seconds.
    #[arg(long, default_value_t = 10)]
    timeout: u64,
}

fn label(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("`{text}` is no label; expected NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Spools and delivers.
pub fn run(args: Args) -> ExitCode {
    let cannot = |why: String| {
        complain(&why);
        ExitCode::from(EXIT_TRY_AGAIN)
    };
    let keys = match key_of(args.spool_key_file.as_deref()) {
        Ok(keys) => keys,
        Err(why) => return cannot(why),
    };
    let spool = match Spool::open(&args.spool, keys) {
        Ok(spool) => spool,
        Err(error) => {
            let shown = args.spool.display();
            return cannot(format!("cannot use the spool {shown}: {error}"));
        }
    };
    if !args.flush {
        let entry = match entry(&args) {
            Ok(entry) => entry,
            Err(why) => return cannot(why),
        };
        if let Err(error) = notify::spool(&spool, &entry) {
            return cannot(format!("cannot spool the notification: {error}"));
        }
    }
    let delivered = token_of(args.token_file.as_deref()).and_then(|token| {
        let client = Client::new(Duration::from_secs(args.timeout), token)
            .map_err(|error| error.to_string())?;
        block_on(notify::flush(&spool, &client))?.map_err(|error| error.to_string())
    });
    match delivered {
        Ok(flushed) => {
            if let Some(trouble) = &flushed.trouble {
                complain(&format!("{} wait in the spool: {trouble}", flushed.left));
            }
            if args.flush {
                let (sent, refused) = (flushed.delivered, flushed.refused);
                say(&format!(
                    "{sent} delivered, {refused} refused and set aside"
                ));
                if flushed.left > 0 {
                    return ExitCode::FAILURE;
                }
            }
            ExitCode::SUCCESS
        }
        // What was spooled is safe, whatever stands in the way now.
        Err(why) if args.flush => problems_found(&[why]),
        Err(why) => {
            complain(&why);
            ExitCode::SUCCESS
        }
    }
}

fn key_of(file: Option<&Path>) -> Result<Keyring, String> {
    let Some(file) = file else {
        return Ok(Keyring::default());
    };
    let shown = file.display();
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("the spool's key {shown} cannot be read: {error}"))?;
    let bytes = key_bytes(&text).ok_or_else(|| {
        format!("{shown} holds no key: 64 hexadecimal digits were expected, `openssl rand -hex 32`")
    })?;
    Keyring::new([(1, bytes)])
}

fn entry(args: &Args) -> Result<Entry, String> {
    let base = args.url.trim_end_matches('/');
    let url = match &args.source {
        Some(source) => format!("{base}/hooks/{source}"),
        None => format!("{base}/v1/events"),
    };
    let body = match &args.body {
        Some(path) if path.as_os_str() == "-" => std::io::read_to_string(std::io::stdin())
            .map_err(|error| format!("standard input cannot be read: {error}"))?,
        Some(path) => std::fs::read_to_string(path)
            .map_err(|error| format!("{} cannot be read: {error}", path.display()))?,
        None => event(args).to_string(),
    };
    Ok(Entry {
        url,
        content_type: "application/json".to_owned(),
        body,
    })
}

fn event(args: &Args) -> Value {
    let mut event = Map::new();
    let now = jiff::Timestamp::now();
    event.insert("state".to_owned(), json!(args.state));
    event.insert("summary".to_owned(), json!(args.summary));
    event.insert("sent_at".to_owned(), json!(now.to_string()));
    for (key, value) in [
        ("severity", &args.severity),
        ("host", &args.host),
        ("check", &args.check),
        ("component", &args.component),
        ("site", &args.site),
        ("service", &args.service),
        ("dedup_key", &args.dedup_key),
        ("details", &args.details),
    ] {
        if let Some(value) = value {
            event.insert(key.to_owned(), json!(value));
        }
    }
    if !args.labels.is_empty() {
        let labels: Map<String, Value> = args
            .labels
            .iter()
            .map(|(name, value)| (name.clone(), json!(value)))
            .collect();
        event.insert("labels".to_owned(), Value::Object(labels));
    }
    if args.test {
        event.insert("test".to_owned(), json!(true));
    }
    Value::Object(event)
}
