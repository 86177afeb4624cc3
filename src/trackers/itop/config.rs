//! The section of an iTop in the configuration.

use super::Itop;
use crate::trackers::Tracker;
use crate::trackers::client::ConnectionConfig;
use crate::trackers::promise::PromiseField;
use crate::trackers::registry::Settings;
use crate::trackers::words::Severities;
use reqwest::Url;
use secrecy::SecretString;
use serde::Deserialize;
use std::sync::Arc;

/// `kind = "itop"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ItopConfig {
    /// Where iTop is.
    pub url: Url,
    /// The login of the bridge's own user, with the profile "REST Services User".
    pub user: String,
    /// Its password.
    pub password: SecretString,
    /// The class of the tickets.
    #[serde(default = "class")]
    pub class: String,
    /// The name of the organization that tickets belong to.
    pub organization: String,
    /// The mail address of the person who calls, if the class needs one.
    #[serde(default)]
    pub caller: String,
    /// An attribute of your data model for the key, a text; empty: the key stands in the title.
    #[serde(default)]
    pub key_attribute: String,
    /// An attribute of your data model in which staff promise the time of the next update; none unless
    /// said.
    #[serde(default)]
    pub promise_field: PromiseField,
    /// Impact and urgency of each severity. iTop makes the priority of the two.
    #[serde(default)]
    pub impact_urgency: Severities,
    /// What a solution of the bridge says.
    #[serde(default = "solution")]
    pub solution: String,
    /// The zone of iTop's times; UTC without it.
    #[serde(default)]
    pub time_zone: String,
    /// Calls at the same time.
    pub parallel: Option<usize>,
    /// How often it is asked what people did, seconds.
    pub poll_seconds: Option<u64>,
    /// After a request without an answer, how long it may still be worked on, seconds.
    pub settle_seconds: Option<u64>,
    /// How it is spoken to.
    #[serde(default)]
    pub connection: ConnectionConfig,
}

fn class() -> String {
    "Incident".to_owned()
}

fn solution() -> String {
    "Recovered, as the monitoring says.".to_owned()
}

impl Settings for ItopConfig {
    const TITLE: &'static str = "iTop 3";
    const EXAMPLE: &'static str = r#"
url = "https://itop.example.net/"
user = "alertbridge"
password = "..."
organization = "Example"
"#;

    fn connect(self, name: &str) -> Result<Arc<dyn Tracker>, String> {
        Ok(Arc::new(Itop::new(name, self)?))
    }
}
