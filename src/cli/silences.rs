//! `alertbridge silence`.

use super::client::{Daemon, short, show, text};
use super::table;
use crate::model::Time;
use crate::model::time::duration;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Arguments of `silence`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    daemon: Daemon,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Lists silences in force.
    List {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Silences matching alerts.
    Add {
        /// Conditions like `host=sw1` or `site=~ams.*`, of which all must hold.
        #[arg(required_unless_present_any = ["incident", "ticket"])]
        matchers: Vec<String>,
        /// What this incident is about, like INC-12.
        #[arg(long, conflicts_with_all = ["matchers", "ticket"])]
        incident: Option<String>,
        /// What this ticket is about, by its number in the tracker.
        #[arg(long, conflicts_with = "matchers")]
        ticket: Option<String>,
        /// Why.
        #[arg(long)]
        reason: String,
        /// How long, like `2h`; 8 hours unless said.
        #[arg(long = "for", value_parser = duration::parse)]
        lasting: Option<std::time::Duration>,
        /// Also hold back a proven outage of several customers.
        #[arg(long)]
        holds_s1: bool,
    },
    /// Ends a silence now.
    End {
        /// The silence, like SIL-3.
        silence: String,
    },
}

/// Works on silences.
pub fn run(args: &Args) -> ExitCode {
    let daemon = &args.daemon;
    match &args.verb {
        Verb::List { json } => {
            let rows = daemon.list("/api/v1/silences", "silences", "after");
            show(rows, *json, |rows| {
                let rows: Vec<Vec<String>> = rows
                    .iter()
                    .map(|row| {
                        vec![
                            text(row, "id"),
                            text(row, "until"),
                            text(row, "author"),
                            matchers(row),
                            short(row, "reason", 60),
                        ]
                    })
                    .collect();
                table(&["ID", "UNTIL", "WHO", "MATCHES", "REASON"], &rows);
            })
        }
        Verb::Add {
            matchers,
            incident,
            ticket,
            reason,
            lasting,
            holds_s1,
        } => {
            let now = Time::from_timestamp(jiff::Timestamp::now());
            let until = lasting.map(|lasting| now.plus(lasting));
            let body = json!({
                "matchers": matchers,
                "incident": incident,
                "ticket": ticket,
                "reason": reason,
                "until": until,
                "holds_s1": holds_s1,
            });
            daemon.tell("/api/v1/silences", body)
        }
        Verb::End { silence } => daemon.tell(&format!("/api/v1/silences/{silence}/end"), json!({})),
    }
}

/// The conditions of a silence or window on one line.
pub fn matchers(row: &Value) -> String {
    let list = row.get("matchers").and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect::<Vec<_>>()
        .join(" ")
}
