//! `alertbridge incidents`.

use super::client::{Daemon, short, show, show_one, text};
use super::{say, table};
use serde_json::Value;
use std::process::ExitCode;

/// Arguments of `incidents`.
#[derive(clap::Args)]
pub struct Args {
    /// One incident, with its timeline.
    incident: Option<String>,
    /// open, closed or all.
    #[arg(long, default_value = "open")]
    state: String,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    daemon: Daemon,
}

/// Lists incidents or shows one.
pub fn run(args: &Args) -> ExitCode {
    if let Some(id) = &args.incident {
        let found = args.daemon.get(&format!("/api/v1/incidents/{id}"));
        return show_one(found, args.json, print);
    }
    let path = format!("/api/v1/incidents?state={}", args.state);
    let rows = args.daemon.list(&path, "incidents", "before");
    show(rows, args.json, |rows| {
        let rows: Vec<Vec<String>> = rows
            .iter()
            .map(|row| {
                vec![
                    text(row, "id"),
                    text(row, "severity"),
                    text(row, "state"),
                    text(row, "active"),
                    tickets(row),
                    short(row, "title", 48),
                    short(row, "reason", 64),
                ]
            })
            .collect();
        table(
            &["ID", "SEV", "STATE", "ALERTS", "TICKETS", "TITLE", "REASON"],
            &rows,
        );
    })
}

fn tickets(row: &Value) -> String {
    let tickets = row.get("tickets").and_then(Value::as_array);
    tickets
        .into_iter()
        .flatten()
        .map(|ticket| {
            let key = text(ticket, "key");
            let key = if key.is_empty() {
                "…".to_owned()
            } else {
                key
            };
            format!("{} {key}", text(ticket, "tracker"))
        })
        .collect::<Vec<_>>()
        .join(", ")
}

fn print(incident: &Value) {
    say(&format!(
        "{} {} {}: {}",
        text(incident, "id"),
        text(incident, "severity"),
        text(incident, "state"),
        text(incident, "title")
    ));
    for (name, key) in [
        ("why", "reason"),
        ("basis", "basis"),
        ("next failure", "next_failure"),
        ("owner", "owner"),
        ("opened", "opened_at"),
        ("resolved", "resolved_at"),
    ] {
        let value = text(incident, key);
        if !value.is_empty() {
            say(&format!("  {name}: {value}"));
        }
    }
    let tickets = tickets(incident);
    if !tickets.is_empty() {
        say(&format!("  tickets: {tickets}"));
    }
    let list = |key: &str| {
        incident
            .get(key)
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default()
    };
    let tags = list("tags");
    if !tags.is_empty() {
        let tags: Vec<&str> = tags.iter().filter_map(Value::as_str).collect();
        say(&format!("  tags: {}", tags.join(", ")));
    }
    for alert in list("alerts") {
        say(&format!(
            "  {} {} {} ({} times): {}",
            text(&alert, "id"),
            text(&alert, "source"),
            text(&alert, "state"),
            text(&alert, "count"),
            text(&alert, "summary")
        ));
    }
    for line in list("timeline") {
        let author = text(&line, "author");
        let author = if author.is_empty() {
            String::new()
        } else {
            format!(" [{author}]")
        };
        say(&format!(
            "  {} {}{author}: {}",
            text(&line, "at"),
            text(&line, "reason"),
            text(&line, "text")
        ));
    }
}
