//! How tickets are presented: what the configuration says of links and of each route.

use super::templates::Templates;
use crate::model::IncidentId;
use crate::trackers::Attachment;
use serde::Deserialize;
use std::collections::BTreeMap;
use url::Url;

/// How the tickets of an installation are presented.
#[derive(Clone, Debug)]
pub struct Presentation {
    /// Where people reach the board.
    pub board: Option<Url>,
    /// What each route says.
    pub routes: BTreeMap<String, Manner>,
    /// The files in a message as it was received.
    pub enclosed: fn(&[u8]) -> Vec<Attachment>,
}

impl Default for Presentation {
    fn default() -> Presentation {
        Presentation {
            board: None,
            routes: BTreeMap::new(),
            enclosed: |_| Vec::new(),
        }
    }
}

/// How a route presents its tickets.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    /// Whether the alert goes with it as it was received.
    pub original: Original,
    /// What it writes into the fields of a new ticket.
    pub templates: Templates,
}

/// Whether an alert goes with its ticket as it was received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Original {
    /// It does not.
    #[default]
    No,
    /// The ticket links to it.
    Link,
    /// As a file, where the tracker takes files; and a link.
    Attach,
}

impl Presentation {
    /// A link to an incident for people; empty: nobody said where the board is.
    pub(super) fn link(&self, incident: IncidentId) -> String {
        self.joined(&format!("api/v1/incidents/{incident}"))
            .unwrap_or_default()
    }

    /// A link to what an alert came as; where nobody said where the board is, its place at the
    /// operators' door.
    pub(super) fn link_to_original(&self, alert: crate::model::AlertId) -> String {
        let path = format!("api/v1/alerts/{alert}/original");
        self.joined(&path)
            .unwrap_or_else(|| format!("/{path} at the operators' door"))
    }

    fn joined(&self, path: &str) -> Option<String> {
        let board = self.board.as_ref()?;
        board.join(path).ok().map(|url| url.to_string())
    }

    /// What a route says of the original.
    pub(super) fn original(&self, route: &str) -> Original {
        self.routes.get(route).map_or(Original::No, |m| m.original)
    }
}
