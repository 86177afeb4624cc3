//! The section of a Jira in the configuration.

use super::Jira;
use crate::trackers::Tracker;
use crate::trackers::client::ConnectionConfig;
use crate::trackers::promise::PromiseField;
use crate::trackers::registry::Settings;
use crate::trackers::words::{Severities, Statuses};
use reqwest::Url;
use secrecy::SecretString;
use serde::Deserialize;
use std::sync::Arc;

/// `kind = "jira"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JiraConfig {
    /// Where Jira is.
    pub url: Url,
    /// Cloud or Data Center.
    pub deployment: Deployment,
    /// The key of the project of tickets whose route names none.
    pub project: String,
    /// The type of the issues.
    #[serde(default = "issue_type")]
    pub issue_type: String,
    /// On Cloud the mail address of the bridge's own user.
    #[serde(default)]
    pub user: String,
    /// On Cloud its API token, on Data Center a personal access token.
    pub token: SecretString,
    /// Whether the project belongs to Service Management, where comments can be internal.
    #[serde(default)]
    pub service_management: bool,
    /// The priority of each severity, by name.
    #[serde(default)]
    pub priority: Severities,
    /// The field in which staff promise the time of the next update, by its name or its id
    /// (`customfield_10050`); none unless said.
    #[serde(default)]
    pub promise_field: PromiseField,
    /// The names of the statuses.
    #[serde(default)]
    pub status: Statuses,
    /// Calls at the same time.
    #[serde(default = "parallel")]
    pub parallel: usize,
    /// How often it is asked what people did, seconds.
    #[serde(default = "poll_seconds")]
    pub poll_seconds: u64,
    /// How far the search may lag behind writes, seconds.
    #[serde(default = "settle_seconds")]
    pub settle_seconds: u64,
    /// How it is spoken to.
    #[serde(default)]
    pub connection: ConnectionConfig,
}

/// Which Jira it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deployment {
    /// Atlassian's.
    Cloud,
    /// One's own.
    DataCenter,
}

fn issue_type() -> String {
    "Task".to_owned()
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

impl Settings for JiraConfig {
    const TITLE: &'static str = "Jira Cloud and Data Center, Service Management";
    const EXAMPLE: &'static str = r#"
url = "https://example.atlassian.net/"
deployment = "cloud"
project = "OPS"
user = "bridge@example.net"
token = "..."
"#;

    fn connect(self, name: &str) -> Result<Arc<dyn Tracker>, String> {
        Ok(Arc::new(Jira::new(name, self)?))
    }
}
