//! The section of GitHub issues in the configuration.

use super::Github;
use crate::trackers::Tracker;
use crate::trackers::client::ConnectionConfig;
use crate::trackers::registry::Settings;
use reqwest::Url;
use secrecy::SecretString;
use serde::Deserialize;
use std::sync::Arc;

/// `kind = "github"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GithubConfig {
    /// Where the interface is, if not at `https://api.github.com`.
    #[serde(default)]
    pub url: Option<Url>,
    /// `OWNER/NAME` of the repository.
    pub repository: String,
    /// A token that may write issues.
    pub token: SecretString,
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

fn parallel() -> usize {
    1
}

fn poll_seconds() -> u64 {
    60
}

fn settle_seconds() -> u64 {
    30
}

impl Settings for GithubConfig {
    const TITLE: &'static str = "GitHub issues";
    const EXAMPLE: &'static str = r#"
repository = "example/noc"
token = "..."
"#;

    fn connect(self, name: &str) -> Result<Arc<dyn Tracker>, String> {
        Ok(Arc::new(Github::new(name, self)?))
    }
}
