//! How tickets are presented: what the configuration says of links and of each route.

use crate::model::IncidentId;
use minijinja::{Environment, UndefinedBehavior};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use url::Url;

/// How the tickets of an installation are presented.
#[derive(Clone, Debug, Default)]
pub struct Presentation {
    /// Where people reach the board.
    pub board: Option<Url>,
    /// What each route says.
    pub routes: BTreeMap<String, Manner>,
}

/// How a route presents its tickets.
#[derive(Clone, Debug, Default)]
pub struct Manner {
    /// Whether the alert goes with it as it was received.
    pub original: Original,
    /// A template of the requestor's name or address; empty: the tracker's default.
    pub requestor: String,
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

/// What the template of a requestor may name.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Requested {
    /// The account that is hit or reported it, if it is one; else empty.
    pub account: String,
    /// The contract of a customer's ticket; else empty.
    pub contract: String,
    /// The first site; empty: none.
    pub site: String,
    /// `incident`, `provisioning` or `inquiry`.
    pub category: String,
}

/// The requestor out of its template; the error is a sentence.
pub fn requestor(template: &str, requested: &Requested) -> Result<String, String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(10_000));
    let values = minijinja::Value::from(minijinja::value::Serde(requested.clone()));
    environment
        .render_str(template, values)
        .map(|text| crate::model::text::one_line(text.trim()))
        .map_err(|error| error.to_string())
}

impl Presentation {
    /// A link to an incident for people; empty: nobody said where the board is.
    pub(super) fn link(&self, incident: IncidentId) -> String {
        self.joined(&format!("api/v1/incidents/{incident}"))
    }

    /// A link to what an alert came as.
    pub(super) fn link_to_original(&self, alert: crate::model::AlertId) -> String {
        self.joined(&format!("api/v1/alerts/{alert}/original"))
    }

    fn joined(&self, path: &str) -> String {
        let board = self.board.as_ref();
        board
            .and_then(|board| board.join(path).ok())
            .map_or_else(String::new, |url| url.to_string())
    }

    /// What a route says of the original.
    pub(super) fn original(&self, route: &str) -> Original {
        self.routes.get(route).map_or(Original::No, |m| m.original)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requestor_is_one_line_and_unknown_names_are_errors() {
        let requested = Requested {
            account: "acme\nBcc: x".to_owned(),
            ..Requested::default()
        };
        let made = requestor("noc+{{ account }}@example.net", &requested).unwrap();
        assert_eq!(made, "noc+acme Bcc: x@example.net");
        assert!(requestor("{{ acount }}", &requested).is_err());
        assert!(requestor("{{ account", &requested).is_err());
    }
}
