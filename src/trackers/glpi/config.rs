//! The section of a GLPI in the configuration.

use super::Glpi;
use crate::trackers::Tracker;
use crate::trackers::client::ConnectionConfig;
use crate::trackers::registry::Settings;
use crate::trackers::words::Severities;
use reqwest::Url;
use secrecy::SecretString;
use serde::Deserialize;
use std::sync::Arc;

/// `kind = "glpi"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GlpiConfig {
    /// Where its interface is: `https://.../apirest.php`.
    pub url: Url,
    /// The token of the bridge's own user ("remote access key").
    pub token: SecretString,
    /// The token of the API client, if GLPI asks for one.
    #[serde(default)]
    pub app_token: Option<SecretString>,
    /// The number of the group that tickets are assigned to whose route names none.
    #[serde(default)]
    pub group: String,
    /// The number of the entity.
    #[serde(default)]
    pub entity: String,
    /// The number of the category.
    #[serde(default)]
    pub category: String,
    /// The number of the user who asks.
    #[serde(default)]
    pub requester: String,
    /// The urgency, and impact, of each severity: 1 to 5. GLPI makes the priority of the two.
    #[serde(default)]
    pub urgency: Severities,
    /// What a solution of the bridge says.
    #[serde(default = "solution")]
    pub solution: String,
    /// The zone of GLPI's times; UTC without it.
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

fn solution() -> String {
    "Recovered, as the monitoring says.".to_owned()
}

impl Settings for GlpiConfig {
    const TITLE: &'static str = "GLPI 9.5, 10, 11";
    const EXAMPLE: &'static str = r#"
url = "https://glpi.example.net/apirest.php"
token = "..."
"#;

    fn connect(self, name: &str) -> Result<Arc<dyn Tracker>, String> {
        Ok(Arc::new(Glpi::new(name, self)?))
    }
}
