//! The section of a Zammad in the configuration.

use super::Zammad;
use crate::trackers::Tracker;
use crate::trackers::client::ConnectionConfig;
use crate::trackers::promise::PromiseField;
use crate::trackers::registry::Settings;
use crate::trackers::words::{Severities, Statuses};
use reqwest::Url;
use secrecy::SecretString;
use serde::Deserialize;
use std::sync::Arc;

/// `kind = "zammad"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZammadConfig {
    /// Where Zammad is.
    pub url: Url,
    /// The group of tickets whose route names none.
    pub group: String,
    /// The customer of tickets without one: Zammad has no ticket without.
    pub customer: String,
    /// A token of the bridge's own user, with the permission `ticket.agent`.
    pub token: SecretString,
    /// The attribute of tickets for the key, a text; used where Zammad has it.
    #[serde(default = "key_attribute")]
    pub key_attribute: String,
    /// The attribute of tickets in which staff promise the time of the next update; none unless said.
    #[serde(default)]
    pub promise_field: PromiseField,
    /// The priority of each severity, by name.
    #[serde(default)]
    pub priority: Severities,
    /// The names of the states.
    #[serde(default)]
    pub status: Statuses,
    /// Days until a pending state ends by itself.
    #[serde(default = "pending_days")]
    pub pending_days: u16,
    /// Calls at the same time.
    #[serde(default = "parallel")]
    pub parallel: usize,
    /// How often it is asked what people did, seconds.
    #[serde(default = "poll_seconds")]
    pub poll_seconds: u64,
    /// After a request without an answer, how long Zammad may still be working on it, seconds.
    #[serde(default = "settle_seconds")]
    pub settle_seconds: u64,
    /// How it is spoken to.
    #[serde(default)]
    pub connection: ConnectionConfig,
}

fn key_attribute() -> String {
    "alert_key".to_owned()
}

fn pending_days() -> u16 {
    7
}

fn parallel() -> usize {
    4
}

fn poll_seconds() -> u64 {
    15
}

fn settle_seconds() -> u64 {
    30
}

impl Settings for ZammadConfig {
    const TITLE: &'static str = "Zammad 6";
    const EXAMPLE: &'static str = r#"
url = "https://zammad.example.net/"
group = "Users"
customer = "noc@example.net"
token = "..."
"#;

    fn connect(self, name: &str) -> Result<Arc<dyn Tracker>, String> {
        Ok(Arc::new(Zammad::new(name, self)?))
    }
}
