//! `alertbridge desk`: the built-in desk.

use super::client::{Daemon, short, show, show_one, text};
use super::{say, table};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Arguments of `desk`.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    daemon: Daemon,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Lists tickets.
    List {
        /// open, closed or all.
        #[arg(long, default_value = "open")]
        state: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Shows a ticket with its comments.
    Show {
        /// The ticket's number.
        number: u64,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Comments on a ticket.
    Comment {
        /// The ticket's number.
        number: u64,
        /// The text.
        text: String,
        /// The customer may see it.
        #[arg(long)]
        public: bool,
        /// These are the customer's words; their name or address.
        #[arg(long)]
        customer: Option<String>,
    },
    /// Gives a ticket to somebody.
    Assign {
        /// The ticket's number.
        number: u64,
        /// Login or name; empty: nobody.
        owner: String,
    },
    /// Sets a ticket's status: new, open, `waiting_customer`, `on_hold`, resolved, closed.
    Status {
        /// The ticket's number.
        number: u64,
        /// The status.
        status: String,
    },
}

/// Works at the desk.
pub fn run(args: &Args) -> ExitCode {
    let daemon = &args.daemon;
    let act = |number: &u64, verb: &str, body: Value| {
        daemon.tell(&format!("/api/v1/desk/tickets/{number}/{verb}"), body)
    };
    // Alone it lists, as `incidents` and `sources` do.
    let listing = Verb::List {
        state: "open".to_owned(),
        json: false,
    };
    match args.verb.as_ref().unwrap_or(&listing) {
        Verb::List { state, json } => {
            let path = format!("/api/v1/desk/tickets?state={state}");
            let rows = daemon.list(&path, "tickets", "before");
            show(rows, *json, |rows| {
                let rows: Vec<Vec<String>> = rows
                    .iter()
                    .map(|row| {
                        vec![
                            text(row, "number"),
                            text(row, "severity"),
                            text(row, "status"),
                            text(row, "owner"),
                            short(row, "queue", 16),
                            short(row, "subject", 80),
                        ]
                    })
                    .collect();
                table(&["NO", "SEV", "STATUS", "OWNER", "QUEUE", "SUBJECT"], &rows);
            })
        }
        Verb::Show { number, json } => {
            let found = daemon.get(&format!("/api/v1/desk/tickets/{number}"));
            show_one(found, *json, print)
        }
        Verb::Comment {
            number,
            text,
            public,
            customer,
        } => act(
            number,
            "comment",
            json!({ "text": text, "public": public, "customer": customer }),
        ),
        Verb::Assign { number, owner } => act(number, "assign", json!({ "owner": owner })),
        Verb::Status { number, status } => act(number, "status", json!({ "status": status })),
    }
}

fn print(found: &Value) {
    let Some(ticket) = found.get("ticket") else {
        return;
    };
    say(&format!(
        "{} {} {}: {}",
        text(ticket, "number"),
        text(ticket, "severity"),
        text(ticket, "status"),
        text(ticket, "subject")
    ));
    say(&text(ticket, "body"));
    let comments = found.get("comments").and_then(Value::as_array);
    for comment in comments.into_iter().flatten() {
        let author = comment.get("author").map(ToString::to_string);
        say(&format!(
            "--- {} {}\n{}",
            text(comment, "at"),
            author.unwrap_or_default(),
            text(comment, "text")
        ));
    }
}
