//! The section of GitLab issues in the configuration.

use super::Gitlab;
use crate::trackers::Tracker;
use crate::trackers::client::ConnectionConfig;
use crate::trackers::registry::Settings;
use reqwest::Url;
use secrecy::SecretString;
use serde::Deserialize;
use std::sync::Arc;

/// `kind = "gitlab"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GitlabConfig {
    /// Where GitLab is.
    pub url: Url,
    /// The project: its path or its number.
    pub project: String,
    /// A token that may write issues.
    pub token: SecretString,
    /// The type of the issues: `incident` or `issue`.
    #[serde(default = "issue_type")]
    pub issue_type: String,
    /// Whether only members see the issues.
    #[serde(default)]
    pub confidential: bool,
    /// Labels that every issue of the bridge gets.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Calls at the same time.
    #[serde(default = "parallel")]
    pub parallel: usize,
    /// How often it is asked what people did, seconds.
    #[serde(default = "poll_seconds")]
    pub poll_seconds: u64,
    /// After a request without an answer, how long it may still be worked on, seconds.
    #[serde(default = "settle_seconds")]
    pub settle_seconds: u64,
    /// How it is spoken to.
    #[serde(default)]
    pub connection: ConnectionConfig,
}

fn issue_type() -> String {
    "incident".to_owned()
}

fn parallel() -> usize {
    2
}

fn poll_seconds() -> u64 {
    30
}

fn settle_seconds() -> u64 {
    30
}

impl Settings for GitlabConfig {
    const TITLE: &'static str = "GitLab issues and incidents";
    const EXAMPLE: &'static str = r#"
url = "https://gitlab.example.net/"
project = "noc/net"
token = "..."
"#;

    fn connect(self, name: &str) -> Result<Arc<dyn Tracker>, String> {
        Ok(Arc::new(Gitlab::new(name, self)?))
    }
}
