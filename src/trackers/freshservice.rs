//! Freshservice: its dialect of the interface that Freshdesk and Freshservice share.

use super::Tracker;
use super::fresh::{Dialect, Fresh, FreshConfig};
use super::registry::Settings;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Calls a minute that the smallest plan grants, with room for people's own tools.
const CALLS_PER_MINUTE: u32 = 40;

/// `kind = "freshservice"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct FreshserviceConfig(pub FreshConfig);

impl Settings for FreshserviceConfig {
    const TITLE: &'static str = "Freshservice";
    const EXAMPLE: &'static str = r#"
url = "https://example.freshservice.com/"
token = "..."
agent = 1000001
requester = "noc@example.net"
"#;

    fn connect(self, name: &str) -> Result<Arc<dyn Tracker>, String> {
        Ok(Arc::new(Freshservice::of(name, self)?))
    }
}

/// Freshservice's dialect.
pub struct FreshserviceDialect;

/// Freshservice as a tracker.
pub type Freshservice = Fresh<FreshserviceDialect>;

impl Freshservice {
    /// A tracker by its configuration; nothing is sent yet.
    pub fn of(name: &str, config: FreshserviceConfig) -> Result<Freshservice, String> {
        Fresh::new(name, config.0, CALLS_PER_MINUTE)
    }
}

impl Dialect for FreshserviceDialect {
    const PRODUCT: &'static str = "Freshservice";
    const SEARCH: &'static str = "/api/v2/tickets/filter";
    const FOUND: &'static str = "tickets";
    const TICKET: &'static str = "ticket";
    const TICKETS: &'static str = "tickets";
    const CONVERSATIONS: &'static str = "conversations";

    /// An incident: urgency and impact stay as the service desk's matrix has them.
    fn more(ticket: &mut Value) {
        ticket["source"] = json!(2);
        ticket["type"] = json!("Incident");
    }
}
