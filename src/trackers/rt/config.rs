//! The section of a Request Tracker in the configuration.

use super::RequestTracker;
use super::shape::Priorities;
use crate::trackers::Tracker;
use crate::trackers::client::ConnectionConfig;
use crate::trackers::promise::PromiseField;
use crate::trackers::registry::Settings;
use crate::trackers::words::Statuses;
use reqwest::Url;
use secrecy::SecretString;
use serde::Deserialize;
use std::sync::Arc;

/// `kind = "rt"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RtConfig {
    /// Where RT is, without `/REST/2.0`.
    pub url: Url,
    /// The queue of tickets whose route names none.
    pub queue: String,
    /// An authentication token of the bridge's own user.
    pub token: SecretString,
    /// The name of that user; asked of RT when it is not given.
    #[serde(default)]
    pub user: Option<String>,
    /// The custom field for the key; empty: the key stands in the subject.
    #[serde(default = "key_field")]
    pub key_field: String,
    /// The custom field for the severity; used where the queue has it.
    #[serde(default = "severity_field")]
    pub severity_field: String,
    /// The field in which staff promise the time of the next update; none unless said.
    #[serde(default)]
    pub promise_field: PromiseField,
    /// The priority of each severity.
    #[serde(default)]
    pub priority: Priorities,
    /// The names of the statuses in the queue's lifecycle.
    #[serde(default)]
    pub status: Statuses,
    /// Calls at the same time.
    #[serde(default = "parallel")]
    pub parallel: usize,
    /// How often it is asked what people did, seconds.
    #[serde(default = "poll_seconds")]
    pub poll_seconds: u64,
    /// After a request without an answer, how long RT may still be working on it, seconds.
    #[serde(default = "settle_seconds")]
    pub settle_seconds: u64,
    /// How it is spoken to.
    #[serde(default)]
    pub connection: ConnectionConfig,
}

fn key_field() -> String {
    "AlertKey".to_owned()
}

fn severity_field() -> String {
    "AlertSeverity".to_owned()
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

impl Settings for RtConfig {
    const TITLE: &'static str = "Request Tracker 5";
    const EXAMPLE: &'static str = r#"
url = "https://rt.example.net/"
queue = "Monitoring"
token = "..."
"#;

    fn connect(self, name: &str) -> Result<Arc<dyn Tracker>, String> {
        Ok(Arc::new(RequestTracker::new(name, self)?))
    }
}
