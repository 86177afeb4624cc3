//! What people do to incidents: `ack`, `assign`, `wait`, `promise`, `note`, `resolve`, `reopen`,
//! `severity`, `category`, `escalate`, `adopt`.

use super::client::Daemon;
use serde_json::{Value, json};
use std::process::ExitCode;

fn act(daemon: &Daemon, incident: &str, verb: &str, body: Value) -> ExitCode {
    daemon.tell(&format!("/api/v1/incidents/{incident}/{verb}"), body)
}

/// Arguments of verbs that need nothing but the incident.
#[derive(clap::Args)]
pub struct OnlyIncident {
    /// The incident, like INC-12.
    incident: String,
    #[command(flatten)]
    daemon: Daemon,
}

impl OnlyIncident {
    /// Does it.
    pub fn run(self, verb: &str) -> ExitCode {
        act(&self.daemon, &self.incident, verb, json!({}))
    }
}

/// Arguments of `assign`.
#[derive(clap::Args)]
pub struct Assign {
    /// The incident.
    incident: String,
    /// Login or name; empty gives it back.
    owner: String,
    #[command(flatten)]
    daemon: Daemon,
}

impl Assign {
    /// Does it.
    pub fn run(self) -> ExitCode {
        let body = json!({ "owner": self.owner });
        act(&self.daemon, &self.incident, "assign", body)
    }
}

/// Arguments of `wait`.
#[derive(clap::Args)]
pub struct Wait {
    /// The incident.
    incident: String,
    /// One contract's case; else all.
    #[arg(long)]
    contract: Option<String>,
    /// The wait is over.
    #[arg(long)]
    end: bool,
    #[command(flatten)]
    daemon: Daemon,
}

impl Wait {
    /// Does it.
    pub fn run(self) -> ExitCode {
        let body = json!({ "waiting": !self.end, "contract": self.contract });
        act(&self.daemon, &self.incident, "wait", body)
    }
}

/// Arguments of `promise`.
#[derive(clap::Args)]
pub struct Promise {
    /// The incident.
    incident: String,
    /// The promised time, RFC 3339.
    at: String,
    /// What to tell the customer.
    #[arg(default_value = "")]
    text: String,
    #[command(flatten)]
    daemon: Daemon,
}

impl Promise {
    /// Does it.
    pub fn run(self) -> ExitCode {
        let body = json!({ "at": self.at, "text": self.text });
        act(&self.daemon, &self.incident, "promise", body)
    }
}

/// Arguments of `note`.
#[derive(clap::Args)]
pub struct Note {
    /// The incident.
    incident: String,
    /// The text.
    text: String,
    /// The customer may see it: an answer.
    #[arg(long)]
    public: bool,
    #[command(flatten)]
    daemon: Daemon,
}

impl Note {
    /// Does it.
    pub fn run(self) -> ExitCode {
        let body = json!({ "text": self.text, "public": self.public });
        act(&self.daemon, &self.incident, "note", body)
    }
}

/// Arguments of `resolve`.
#[derive(clap::Args)]
pub struct Resolve {
    /// The incident.
    incident: String,
    /// Why, for the ticket.
    #[arg(default_value = "")]
    text: String,
    /// Nothing was wrong after all: severity S5.
    #[arg(long)]
    false_alarm: bool,
    #[command(flatten)]
    daemon: Daemon,
}

impl Resolve {
    /// Does it.
    pub fn run(self) -> ExitCode {
        let body = json!({ "text": self.text, "false_alarm": self.false_alarm });
        act(&self.daemon, &self.incident, "resolve", body)
    }
}

/// Arguments of `severity`.
#[derive(clap::Args)]
pub struct SetSeverity {
    /// The incident.
    incident: String,
    /// S1 to S5; `none` lifts a person's severity.
    severity: String,
    /// Why.
    #[arg(default_value = "")]
    text: String,
    #[command(flatten)]
    daemon: Daemon,
}

impl SetSeverity {
    /// Does it.
    pub fn run(self) -> ExitCode {
        let body = json!({ "severity": self.severity, "text": self.text });
        act(&self.daemon, &self.incident, "severity", body)
    }
}

/// Arguments of `category`.
#[derive(clap::Args)]
pub struct SetCategory {
    /// The incident.
    incident: String,
    /// incident, provisioning or inquiry.
    category: String,
    #[command(flatten)]
    daemon: Daemon,
}

impl SetCategory {
    /// Does it.
    pub fn run(self) -> ExitCode {
        let body = json!({ "category": self.category });
        act(&self.daemon, &self.incident, "category", body)
    }
}

/// Arguments of `escalate`.
#[derive(clap::Args)]
pub struct Escalate {
    /// The incident.
    incident: String,
    /// impact, slow or expectations.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    daemon: Daemon,
}

impl Escalate {
    /// Does it.
    pub fn run(self) -> ExitCode {
        let body = json!({ "reason": self.reason });
        act(&self.daemon, &self.incident, "escalate", body)
    }
}

/// Arguments of `adopt`.
#[derive(clap::Args)]
pub struct Adopt {
    /// The incident.
    incident: String,
    /// The tracker's name in the configuration.
    #[arg(long)]
    tracker: String,
    /// The ticket's number or key there.
    #[arg(long)]
    key: String,
    #[command(flatten)]
    daemon: Daemon,
}

impl Adopt {
    /// Does it.
    pub fn run(self) -> ExitCode {
        let body = json!({ "tracker": self.tracker, "key": self.key });
        act(&self.daemon, &self.incident, "adopt", body)
    }
}
