//! Freshdesk: its dialect of the interface that Freshdesk and Freshservice share.

use super::Tracker;
use super::fresh::{Dialect, Fresh, FreshConfig};
use super::registry::Settings;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Calls a minute that the smallest plan grants, with room for people's own tools.
const CALLS_PER_MINUTE: u32 = 40;

/// `kind = "freshdesk"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct FreshdeskConfig(pub FreshConfig);

impl Settings for FreshdeskConfig {
    const TITLE: &'static str = "Freshdesk";
    const EXAMPLE: &'static str = r#"
url = "https://example.freshdesk.com/"
token = "..."
agent = 1000001
requester = "noc@example.net"
"#;

    fn connect(self, name: &str) -> Result<Arc<dyn Tracker>, String> {
        Ok(Arc::new(Freshdesk::of(name, self)?))
    }
}

/// Freshdesk's dialect.
pub struct FreshdeskDialect;

/// Freshdesk as a tracker.
pub type Freshdesk = Fresh<FreshdeskDialect>;

impl Freshdesk {
    /// A tracker by its configuration; nothing is sent yet.
    pub fn of(name: &str, config: FreshdeskConfig) -> Result<Freshdesk, String> {
        Fresh::new(name, config.0, CALLS_PER_MINUTE)
    }
}

impl Dialect for FreshdeskDialect {
    const PRODUCT: &'static str = "Freshdesk";
    const SEARCH: &'static str = "/api/v2/search/tickets";
    const FOUND: &'static str = "results";
    const TICKET: &'static str = "";
    const TICKETS: &'static str = "";
    const CONVERSATIONS: &'static str = "";

    /// A source is needed: 2 is the portal.
    fn more(ticket: &mut Value) {
        ticket["source"] = json!(2);
        ticket["tags"] = json!(["alertbridge"]);
    }
}
