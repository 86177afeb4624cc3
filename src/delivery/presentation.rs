//! How tickets are presented: what the configuration says of links and of each route.

use url::Url;

/// How the tickets of an installation are presented.
#[derive(Clone, Debug, Default)]
pub struct Presentation {
    /// Where people reach the board.
    pub board: Option<Url>,
}

impl Presentation {
    /// A link to an incident for people; empty: nobody said where the board is.
    pub(super) fn link(&self, incident: crate::model::IncidentId) -> String {
        self.board
            .as_ref()
            .and_then(|board| board.join(&format!("api/v1/incidents/{incident}")).ok())
            .map_or_else(String::new, |url| url.to_string())
    }
}
