//! The section of a Redmine in the configuration.

use super::Redmine;
use crate::trackers::Tracker;
use crate::trackers::client::ConnectionConfig;
use crate::trackers::promise::PromiseField;
use crate::trackers::registry::Settings;
use crate::trackers::words::{Severities, Statuses};
use reqwest::Url;
use secrecy::SecretString;
use serde::Deserialize;
use std::sync::Arc;

/// `kind = "redmine"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RedmineConfig {
    /// Where Redmine is.
    pub url: Url,
    /// The identifier of the project of tickets whose route names none.
    pub project: String,
    /// The API key of the bridge's own user.
    pub token: SecretString,
    /// The name of the tracker inside of Redmine (Bug, Support); the project's first without it.
    #[serde(default)]
    pub tracker: String,
    /// The custom field for the key, marked as a filter; used where the project has it.
    #[serde(default = "key_field")]
    pub key_field: String,
    /// The custom field for the severity; used where the project has it.
    #[serde(default = "severity_field")]
    pub severity_field: String,
    /// The field in which staff promise the time of the next update; none unless said.
    #[serde(default)]
    pub promise_field: PromiseField,
    /// The priority of each severity, by name.
    #[serde(default)]
    pub priority: Severities,
    /// The names of the statuses.
    #[serde(default)]
    pub status: Statuses,
    /// Roles whose members are customers, not staff.
    #[serde(default = "customer_roles")]
    pub customer_roles: Vec<String>,
    /// The text formatting that Redmine is set to.
    #[serde(default)]
    pub markup: Markup,
    /// Calls at the same time.
    #[serde(default = "parallel")]
    pub parallel: usize,
    /// How often it is asked what people did, seconds.
    #[serde(default = "poll_seconds")]
    pub poll_seconds: u64,
    /// After a request without an answer, how long Redmine may still be working on it, seconds.
    #[serde(default = "settle_seconds")]
    pub settle_seconds: u64,
    /// How it is spoken to.
    #[serde(default)]
    pub connection: ConnectionConfig,
}

/// The text formatting that Redmine is set to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Markup {
    /// Textile, the default of Redmine 5.
    #[default]
    Textile,
    /// Markdown or CommonMark.
    Markdown,
    /// No formatting.
    None,
}

fn key_field() -> String {
    "AlertKey".to_owned()
}

fn severity_field() -> String {
    "AlertSeverity".to_owned()
}

fn customer_roles() -> Vec<String> {
    vec!["Reporter".to_owned()]
}

fn parallel() -> usize {
    2
}

fn poll_seconds() -> u64 {
    15
}

fn settle_seconds() -> u64 {
    30
}

impl Settings for RedmineConfig {
    const TITLE: &'static str = "Redmine 5, 6";
    const EXAMPLE: &'static str = r#"
url = "https://redmine.example.net/"
project = "monitoring"
token = "..."
"#;

    fn connect(self, name: &str) -> Result<Arc<dyn Tracker>, String> {
        Ok(Arc::new(Redmine::new(name, self)?))
    }
}
