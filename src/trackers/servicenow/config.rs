//! The section of a ServiceNow in the configuration.

use super::ServiceNow;
use crate::trackers::Tracker;
use crate::trackers::client::ConnectionConfig;
use crate::trackers::promise::PromiseField;
use crate::trackers::registry::Settings;
use crate::trackers::words::{Severities, Statuses};
use reqwest::Url;
use secrecy::SecretString;
use serde::Deserialize;
use std::sync::Arc;

/// `kind = "servicenow"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceNowConfig {
    /// Where the instance is.
    pub url: Url,
    /// The table.
    #[serde(default = "table")]
    pub table: String,
    /// The bridge's own user, with a password; without, a token is used.
    #[serde(default)]
    pub user: String,
    /// Its password.
    #[serde(default)]
    pub password: Option<SecretString>,
    /// A bearer token.
    #[serde(default)]
    pub token: Option<SecretString>,
    /// The assignment group of tickets whose route names none.
    #[serde(default)]
    pub group: String,
    /// The caller of tickets without one.
    #[serde(default)]
    pub caller: String,
    /// Impact and urgency of each severity, as `"1/2"`; the instance computes the priority.
    #[serde(default)]
    pub impact_urgency: Severities,
    /// The audited column in which staff promise the time of the next update; none unless said. The
    /// audit has date-and-time columns in UTC.
    #[serde(default)]
    pub promise_field: PromiseField,
    /// The values of the states.
    #[serde(default)]
    pub status: Statuses,
    /// The reason for being on hold that means "waits for the caller".
    #[serde(default = "hold_reason")]
    pub hold_reason: String,
    /// The close code of what is resolved.
    #[serde(default = "close_code")]
    pub close_code: String,
    /// Calls at the same time.
    #[serde(default = "parallel")]
    pub parallel: usize,
    /// How often it is asked what people did, seconds.
    #[serde(default = "poll_seconds")]
    pub poll_seconds: u64,
    /// After a request without an answer, how long the instance may still be working on it, seconds.
    #[serde(default = "settle_seconds")]
    pub settle_seconds: u64,
    /// How it is spoken to.
    #[serde(default)]
    pub connection: ConnectionConfig,
}

fn table() -> String {
    "incident".to_owned()
}

fn hold_reason() -> String {
    "1".to_owned()
}

fn close_code() -> String {
    "Solved (Permanently)".to_owned()
}

fn parallel() -> usize {
    4
}

fn poll_seconds() -> u64 {
    30
}

fn settle_seconds() -> u64 {
    60
}

impl Settings for ServiceNowConfig {
    const TITLE: &'static str = "ServiceNow";
    const EXAMPLE: &'static str = r#"
url = "https://example.service-now.com/"
user = "alertbridge"
password = "..."
"#;

    fn connect(self, name: &str) -> Result<Arc<dyn Tracker>, String> {
        Ok(Arc::new(ServiceNow::new(name, self)?))
    }
}
