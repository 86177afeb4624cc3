//! `alertbridge test source NAME`: a problem and its recovery through the real door.

use super::client::{Daemon, text};
use super::{block_on, problems_found, say, token_of};
use crate::formats;
use reqwest::Client;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Arguments of `test`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Sends a test problem and its recovery as a source. They open no ticket.
    Source {
        /// The source's name.
        name: String,
        /// The daemon's webhook door.
        #[arg(long, env = "ALERTBRIDGE_URL", default_value = "http://127.0.0.1:8480")]
        door: String,
        /// A file with the source's bearer token.
        #[arg(long)]
        source_token_file: Option<PathBuf>,
        #[command(flatten)]
        daemon: Daemon,
    },
}

/// Runs the test.
pub fn run(args: &Args) -> ExitCode {
    let What::Source {
        name,
        door,
        source_token_file,
        daemon,
    } = &args.what;
    match test(name, door, source_token_file.as_ref(), daemon) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => problems_found(&[why]),
    }
}

fn source(daemon: &Daemon, name: &str) -> Result<Value, String> {
    daemon
        .list("/api/v1/sources", "sources", "after")?
        .into_iter()
        .find(|row| text(row, "name") == name)
        .ok_or_else(|| format!("the daemon has no source `{name}`, or it never spoke"))
}

fn test(
    name: &str,
    door: &str,
    token_file: Option<&PathBuf>,
    daemon: &Daemon,
) -> Result<(), String> {
    let before = source(daemon, name).ok();
    // Without configuration each kind has a source of its own name.
    let kind = match &before {
        Some(row) => text(row, "kind"),
        None if formats::by_name(name).is_some() => name.to_owned(),
        None => {
            let rows = daemon.list("/api/v1/sources", "sources", "after")?;
            let names: Vec<String> = rows.iter().map(|row| text(row, "name")).collect();
            return Err(format!(
                "there is no source `{name}`; there are: {}",
                names.join(", ")
            ));
        }
    };
    let format = formats::by_name(&kind)
        .ok_or_else(|| format!("source `{name}` is of kind `{kind}`, which takes no webhook"))?;
    let messages = format.test_messages().ok_or_else(|| {
        format!("kind `{kind}` has no test messages; use the sender's own test button")
    })?;
    let url = format!("{}/hooks/{name}", door.trim_end_matches('/'));
    let token = token_of(token_file.map(PathBuf::as_path))?;
    for (what, body) in ["problem", "recovery"].into_iter().zip(messages) {
        let answer = block_on(post(&url, token.as_ref(), body))??;
        say(&format!("{what}: {answer}"));
    }
    std::thread::sleep(Duration::from_millis(500));
    let after = source(daemon, name)?;
    let count =
        |row: Option<&Value>, key: &str| row.and_then(|row| row.get(key)?.as_u64()).unwrap_or(0);
    let events = count(Some(&after), "events")
        - count(before.as_ref(), "events").min(count(Some(&after), "events"));
    let outcomes = after.get("outcomes").map(ToString::to_string);
    say(&format!(
        "{events} events of source {name} were applied; outcomes so far: {}",
        outcomes.unwrap_or_default()
    ));
    Ok(())
}

async fn post(url: &str, token: Option<&SecretString>, body: &str) -> Result<String, String> {
    let client = Client::builder()
        .timeout(Duration::from_secs(10))
        .build()
        .map_err(|error| error.to_string())?;
    let mut request = client
        .post(url)
        .header("content-type", "application/json")
        .body(body.to_owned());
    if let Some(token) = token {
        request = request.bearer_auth(token.expose_secret());
    }
    let answer = request.send().await.map_err(|error| error.to_string())?;
    let status = answer.status();
    let text = answer.text().await.map_err(|error| error.to_string())?;
    if status.is_success() {
        Ok(format!("{status} {text}"))
    } else {
        Err(format!("the door answered {status}: {text}"))
    }
}
