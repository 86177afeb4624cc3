//! The section of a tracker that is described by templates.

use super::HttpTracker;
use crate::trackers::Tracker;
use crate::trackers::client::ConnectionConfig;
use crate::trackers::registry::Settings;
use crate::trackers::words::{Severities, Statuses};
use reqwest::Url;
use secrecy::SecretString;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// `kind = "http"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpConfig {
    /// What the paths are below.
    pub url: Url,
    /// The value of the header `Authorization`.
    #[serde(default)]
    pub authorization: Option<SecretString>,
    /// Headers of every request; the values are templates.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The type of the bodies.
    #[serde(default = "content_type")]
    pub content_type: String,
    /// How a ticket is made.
    pub open: Request,
    /// How its fields are changed.
    pub change: Request,
    /// How it gets a note; without it notes go nowhere.
    #[serde(default)]
    pub note: Option<Request>,
    /// How tickets are found by their key; without it an uncertain create is sent again.
    #[serde(default)]
    pub find: Option<Request>,
    /// How a ticket is read; without it nothing is read back.
    #[serde(default)]
    pub read: Option<Request>,
    /// Where things stand in answers.
    #[serde(default)]
    pub answer: Pointers,
    /// Whether a create with a key that the tracker knows makes no second ticket.
    #[serde(default)]
    pub creates_once: bool,
    /// The tracker's word for each severity.
    #[serde(default)]
    pub severity: Severities,
    /// The tracker's word for each status.
    #[serde(default)]
    pub status: Statuses,
    /// Longest subject, characters.
    #[serde(default = "subject_chars_max")]
    pub subject_chars_max: usize,
    /// Longest body or note, bytes.
    #[serde(default = "body_bytes_max")]
    pub body_bytes_max: usize,
    /// Calls at the same time.
    #[serde(default = "parallel")]
    pub parallel: usize,
    /// How far a search may lag behind writes, and how long a request without an answer may still
    /// be worked on, seconds.
    #[serde(default = "settle_seconds")]
    pub settle_seconds: u64,
    /// How it is spoken to.
    #[serde(default)]
    pub connection: ConnectionConfig,
}

/// One request. Path and body are templates.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path below the address, with a slash at its beginning.
    pub path: String,
    /// The body; empty: none.
    #[serde(default)]
    pub body: String,
}

/// Where things stand in answers, as JSON pointers (`/issue/id`). The answer to a search is a list
/// of what the answer to a read is one of.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pointers {
    /// The list in the answer to a search; empty: the answer is the list.
    pub list: String,
    /// The ticket's number or key.
    pub id: String,
    /// A link for people; empty: none.
    pub url: String,
    /// Our key.
    pub key: String,
    /// The subject.
    pub subject: String,
    /// The status.
    pub status: String,
    /// The severity; empty: it is not shown.
    pub severity: String,
    /// The list of notes in the answer to a read; empty: they are not shown.
    pub notes: String,
    /// The text of one note; empty: the note is the text.
    pub note: String,
}

impl Default for Pointers {
    fn default() -> Pointers {
        let pointer = str::to_owned;
        Pointers {
            list: String::new(),
            id: pointer("/id"),
            url: String::new(),
            key: pointer("/key"),
            subject: pointer("/subject"),
            status: pointer("/status"),
            severity: String::new(),
            notes: String::new(),
            note: String::new(),
        }
    }
}

fn content_type() -> String {
    "application/json".to_owned()
}

fn subject_chars_max() -> usize {
    200
}

fn body_bytes_max() -> usize {
    32 * 1024
}

fn parallel() -> usize {
    2
}

fn settle_seconds() -> u64 {
    60
}

impl Settings for HttpConfig {
    const TITLE: &'static str = "Anything that speaks HTTP, by description";
    const EXAMPLE: &'static str = r#"
url = "https://cases.example.net/"
[open]
method = "POST"
path = "/cases"
body = "{}"
[change]
method = "PATCH"
path = "/cases/{{ id | path }}"
body = "{}"
"#;

    fn connect(self, name: &str) -> Result<Arc<dyn Tracker>, String> {
        Ok(Arc::new(HttpTracker::new(name, self)?))
    }
}
