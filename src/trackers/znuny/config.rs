//! The section of a Znuny, OTOBO or OTRS in the configuration.

use super::Znuny;
use crate::trackers::Tracker;
use crate::trackers::client::ConnectionConfig;
use crate::trackers::registry::Settings;
use crate::trackers::words::{Severities, Statuses};
use reqwest::Url;
use secrecy::SecretString;
use serde::Deserialize;
use std::sync::Arc;

/// `kind = "znuny"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZnunyConfig {
    /// Where the web service is: `https://.../nph-genericinterface.pl/Webservice/NAME`.
    pub url: Url,
    /// The login of the bridge's own agent.
    pub user: String,
    /// Its password.
    pub password: SecretString,
    /// The queue of tickets whose route names none.
    pub queue: String,
    /// The customer user of tickets without one.
    pub customer: String,
    /// The dynamic field of tickets for the key, a text.
    #[serde(default = "key_field")]
    pub key_field: String,
    /// The priority of each severity, by name.
    #[serde(default)]
    pub priority: Severities,
    /// The names of the states.
    #[serde(default)]
    pub status: Statuses,
    /// Days until a pending state ends by itself.
    #[serde(default = "pending_days")]
    pub pending_days: u16,
    /// The zone of its times (`OTRSTimeZone`); UTC without it.
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

fn key_field() -> String {
    "AlertKey".to_owned()
}

fn pending_days() -> u16 {
    7
}

impl Settings for ZnunyConfig {
    const TITLE: &'static str = "Znuny, OTOBO, OTRS";
    const EXAMPLE: &'static str = r#"
url = "https://znuny.example.net/znuny/nph-genericinterface.pl/Webservice/alertbridge"
user = "alertbridge"
password = "..."
queue = "Monitoring"
customer = "noc@example.net"
"#;

    fn connect(self, name: &str) -> Result<Arc<dyn Tracker>, String> {
        Ok(Arc::new(Znuny::new(name, self)?))
    }
}
