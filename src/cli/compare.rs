//! `alertbridge trackers compare`: what the trackers know that a restored store does not. Reads both,
//! beside a daemon or not, and changes nothing.

use super::{DATA_DIR, DATA_DIR_ENV, block_on, load_config, problems_found, say};
use crate::config::Config;
use crate::delivery::compare::{Difference, Finding, Since, compare, may_differ};
use crate::engine::{FIRST_CYCLE, ticket_key};
use crate::model::ticket::WantedTicket;
use crate::store::sealing::Keys;
use crate::store::sqlite::{LostTime, SqliteState, StateOptions, copy_state};
use crate::store::{StateStore, StoreError, codec};
use crate::trackers::Tracker;
use arc_swap::ArcSwap;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Tickets that are read from the store at once.
const PAGE: usize = 500;

/// Arguments of `trackers compare`.
#[derive(clap::Args)]
pub struct Args {
    /// Configuration file, for the trackers and the routes.
    #[arg(long)]
    config: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    /// Where the daemon keeps what lasts.
    #[arg(long, env = DATA_DIR_ENV, default_value = DATA_DIR)]
    data_dir: PathBuf,
}

/// Runs the verb: 0 nothing is different, 1 something is, or could not be looked at.
pub fn run(args: &Args) -> ExitCode {
    let config = match load_config(Some(&args.config)) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let (tickets, lost) = match read(&args.data_dir, &config) {
        Ok(read) => read,
        Err(why) => return problems_found(&[why]),
    };
    let (mut good, mut shown) = (true, Vec::new());
    for (name, configured) in &config.trackers {
        let tracker = configured.tracker.as_ref();
        let own: Vec<WantedTicket> = tickets
            .iter()
            .filter(|ticket| ticket.tracker == *name && may_differ(ticket))
            .cloned()
            .collect();
        let gap = Duration::from_secs(60)
            .checked_div(configured.calls_per_minute)
            .unwrap_or_default();
        let routes = routes_to(&config, name);
        let asked = ask(tracker, &own, lost.as_ref(), &routes, gap);
        let found = match block_on(asked) {
            Ok(Ok(found)) => found,
            Ok(Err(why)) | Err(why) => {
                good = false;
                shown.push(json!({ "tracker": name, "problem": why }));
                continue;
            }
        };
        good = good && found.is_empty();
        let found: Vec<Value> = found.iter().map(|finding| json_of(finding, name)).collect();
        let can = tracker.capabilities();
        shown.push(json!({
            "tracker": name,
            "compared": own.len(),
            "found": found,
            "finds_by_key": can.finds_by_key,
            "reads_back": can.reads_back,
        }));
    }
    if args.json {
        say(&json!({ "trackers": shown }).to_string());
    } else {
        tell(&shown);
    }
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn ask(
    tracker: &dyn Tracker,
    tickets: &[WantedTicket],
    lost: Option<&LostTime>,
    routes: &[String],
    gap: Duration,
) -> Result<Vec<Finding>, String> {
    let Some(lost) = lost.filter(|lost| !lost.generation.is_empty()) else {
        return compare(tracker, tickets, None, gap).await;
    };
    let key =
        |incident, route: &str| ticket_key(&lost.generation, incident, FIRST_CYCLE, route, None);
    let since = Since {
        after: lost.last_incident,
        routes,
        key: &key,
    };
    compare(tracker, tickets, Some(&since), gap).await
}

/// The tickets as the store knows them, and what it could not know.
fn read(dir: &Path, config: &Config) -> Result<(Vec<WantedTicket>, Option<LostTime>), String> {
    let folder = tempfile::Builder::new()
        .prefix("alertbridge-compare-")
        .tempdir()
        .map_err(|error| format!("no folder to work in: {error}. It is made in TMPDIR"))?;
    let all = || -> Result<_, StoreError> {
        copy_state(dir, folder.path())?;
        let options = StateOptions {
            keys: Keys::new(ArcSwap::new(config.keyring.clone())),
            ..StateOptions::default()
        };
        let state = SqliteState::open(folder.path(), options)?;
        let mut tickets: Vec<WantedTicket> = Vec::new();
        loop {
            let page = state.tickets(tickets.last().map(|ticket| ticket.id), PAGE)?;
            if page.is_empty() {
                return Ok((tickets, state.lost_time()?));
            }
            for body in page {
                tickets.push(codec::decode(&body)?);
            }
        }
    };
    all().map_err(|error| error.to_string())
}

fn routes_to(config: &Config, tracker: &str) -> Vec<String> {
    let routes = config.decisions.routes.iter();
    let own = routes.filter(|route| route.tracker == tracker);
    own.map(|route| route.name.clone()).collect()
}

fn json_of(finding: &Finding, tracker: &str) -> Value {
    let key = &finding.remote.key;
    let (what, incident, todo) = match finding.what {
        Difference::Unknown(incident, ticket) => (
            "unknown",
            Some(incident),
            format!("it is {ticket} of {incident}; delivery takes it"),
        ),
        Difference::OverThere(incident) => (
            "over_there",
            Some(incident),
            format!("{incident} is open here; if it is over: alertbridge resolve {incident}"),
        ),
        Difference::OpenedSince => (
            "opened_since",
            None,
            format!(
                "opened after the backup; once its problem is here again: alertbridge adopt \
                 INC-N --tracker {tracker} --key {key}, else close it there"
            ),
        ),
    };
    json!({
        "key": key,
        "url": finding.remote.url,
        "subject": finding.fields.subject,
        "status": finding.fields.status.word(),
        "what": what,
        "incident": incident.map(|incident| incident.to_string()),
        "todo": todo,
    })
}

fn tell(shown: &[Value]) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if shown.is_empty() {
        say("No tracker is configured; the built-in desk came back with the store.");
    }
    for one in shown {
        let name = text(&one["tracker"]);
        if let Some(problem) = one["problem"].as_str() {
            say(&format!("{name}: PROBLEM: {problem}"));
            continue;
        }
        let found = one["found"].as_array().map_or(&[][..], Vec::as_slice);
        let (compared, differ) = (&one["compared"], found.len());
        say(&format!(
            "{name}: {compared} tickets compared, {differ} to look at"
        ));
        if one["finds_by_key"] == false {
            say(&format!(
                "{name}: it cannot be searched by our key: look there for tickets opened after the backup"
            ));
        }
        for finding in found {
            let (key, status) = (text(&finding["key"]), text(&finding["status"]));
            let (subject, todo) = (text(&finding["subject"]), text(&finding["todo"]));
            say(&format!("{name} {key} ({status}) {subject}: {todo}"));
        }
    }
}
