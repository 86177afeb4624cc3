//! GoAlert as a sink, by its generic interface.
//!
//! The key is the alert's `dedup`: an alert that is sent again joins the open one, and GoAlert keeps
//! the summary and details of the first. Nothing can be read back, and there is no severity. Details
//! are read as Markdown, so they stand inside of a fence.

use super::client::{Client, ConnectionConfig, secret_header};
use super::registry::Settings;
use super::rest::{Adaptor, Base, Greeting, Outcome};
use super::{Capabilities, Draft, Tracker, text};
use crate::model::text::bounded;
use crate::model::ticket::{RemoteRef, TicketFields};
use reqwest::header::AUTHORIZATION;
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// Longest details, characters; what is longer is cut there.
const DETAILS_CHARS_MAX: usize = 6 * 1024;
/// Room for the fence.
const FENCE_BYTES: usize = 100;
const PATH: &str = "/api/v2/generic/incoming";

/// `kind = "goalert"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoAlertConfig {
    /// Where GoAlert is.
    pub url: Url,
    /// The key of a generic integration of the service.
    pub token: SecretString,
    /// How it is spoken to.
    #[serde(default)]
    pub connection: ConnectionConfig,
}

impl Settings for GoAlertConfig {
    const TITLE: &'static str = "GoAlert";
    const EXAMPLE: &'static str = r#"
url = "https://goalert.example.net/"
token = "..."
"#;

    fn connect(self, name: &str) -> Result<Arc<dyn Tracker>, String> {
        Ok(Arc::new(GoAlert::new(name, &self)?))
    }
}

/// GoAlert as a tracker.
pub struct GoAlert {
    base: Base,
}

impl GoAlert {
    /// A tracker by its configuration; nothing is sent yet.
    pub fn new(name: &str, config: &GoAlertConfig) -> Result<GoAlert, String> {
        let token = secret_header(&format!("Bearer {}", config.token.expose_secret().trim()))?;
        let headers = [(AUTHORIZATION, token)].into_iter().collect();
        let base = Base {
            name: name.to_owned(),
            url: config.url.to_string(),
            client: Client::new(&config.url, headers, &config.connection)?,
            capabilities: Capabilities {
                key_kept: "`dedup`",
                priorities: false,
                subject_chars_max: 1024,
                body_bytes_max: DETAILS_CHARS_MAX - FENCE_BYTES,
                ..Capabilities::EVENTS
            },
        };
        Ok(GoAlert { base })
    }

    async fn event(&self, key: &str, action: &str, subject: &str, body: &str) -> Outcome<Greeting> {
        let event = json!({
            "summary": self.base.subject(subject),
            "details": text::fenced(&bounded(
                &text::plain(body),
                self.base.capabilities.body_bytes_max,
            )),
            "action": action,
            "dedup": key,
        });
        let written = self.base.client.write(Method::POST, PATH, &event).await;
        let answer = written.done()?;
        if answer.status == 204 {
            return Ok(Greeting {
                words: "it takes events with this token".to_owned(),
                user: String::new(),
                clock: answer.date(),
            });
        }
        Err(super::words::not_theirs("GoAlert", &answer))
    }
}

impl Adaptor for GoAlert {
    const PRODUCT: &'static str = "GoAlert";

    fn base(&self) -> &Base {
        &self.base
    }

    /// Closing an alert that nobody has pages nobody.
    async fn greet(&self) -> Outcome<Greeting> {
        self.event("ab-check", "close", "alertbridge", "").await
    }

    async fn create(&self, draft: &Draft) -> Outcome<RemoteRef> {
        self.event(&draft.key, "", &draft.fields.subject, &draft.body)
            .await?;
        Ok(RemoteRef {
            key: draft.key.clone(),
            url: String::new(),
        })
    }

    async fn write_fields(
        &self,
        key: &str,
        from: Option<&TicketFields>,
        to: &TicketFields,
    ) -> Outcome<()> {
        let over = to.status.is_over();
        // An open alert keeps what it says: another word for it would page nobody.
        if from.is_some_and(|from| from.status.is_over() == over) {
            return Ok(());
        }
        let action = if over { "close" } else { "" };
        self.event(key, action, &to.subject, "").await.map(|_| ())
    }
}
