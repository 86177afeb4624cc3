//! PagerDuty as a sink, by version 2 of its events.
//!
//! The key is the event's `dedup_key`: a trigger that is sent again joins the alert that is open, so
//! nothing has to be looked for. Nothing can be read back, and there are no notes: they are part of
//! the next event's details.

use super::client::{Client, ConnectionConfig, base_or};
use super::registry::Settings;
use super::rest::{Adaptor, Base, Greeting, Outcome};
use super::words::{Severities, not_theirs, word};
use super::{Capabilities, Draft, Takes, Tracker, text};
use crate::model::Time;
use crate::model::text::bounded;
use crate::model::ticket::{RemoteRef, TicketFields, TicketStatus};
use reqwest::header::HeaderMap;
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// Where events go.
const DEFAULT_URL: &str = "https://events.pagerduty.com";
/// Longest summary, characters.
const SUMMARY_CHARS_MAX: usize = 1024;
/// Longest text among the details, bytes; an event takes 512 KB.
const DETAILS_BYTES_MAX: usize = 100_000;

/// `kind = "pagerduty"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PagerDutyConfig {
    /// Where events go, if not to `https://events.pagerduty.com`.
    #[serde(default)]
    pub url: Option<Url>,
    /// The integration key of the service.
    pub routing_key: SecretString,
    /// The severity of events for each severity: `critical`, `error`, `warning` or `info`.
    #[serde(default)]
    pub severity: Severities,
    /// How it is spoken to.
    #[serde(default)]
    pub connection: ConnectionConfig,
}

impl Settings for PagerDutyConfig {
    const TITLE: &'static str = "PagerDuty Events v2";
    const EXAMPLE: &'static str = r#"
routing_key = "..."
"#;

    fn connect(self, name: &str) -> Result<Arc<dyn Tracker>, String> {
        Ok(Arc::new(PagerDuty::new(name, self)?))
    }
}

/// PagerDuty as a tracker.
pub struct PagerDuty {
    base: Base,
    config: PagerDutyConfig,
}

impl PagerDuty {
    /// A tracker by its configuration; nothing is sent yet.
    pub fn new(name: &str, mut config: PagerDutyConfig) -> Result<PagerDuty, String> {
        config.severity = config.severity.or(Severities::of_words([
            "critical", "critical", "error", "warning", "info",
        ]));
        let url = base_or(config.url.as_ref(), DEFAULT_URL)?;
        let client = Client::new(&url, HeaderMap::new(), &config.connection)?;
        let base = Base {
            name: name.to_owned(),
            url: url.to_string(),
            client,
            capabilities: Capabilities {
                key_kept: "`dedup_key`",
                subject_chars_max: SUMMARY_CHARS_MAX,
                body_bytes_max: DETAILS_BYTES_MAX,
                parallel_max: 2,
                takes: Takes {
                    custom: true,
                    ..Takes::NOTHING
                },
                // About 120 a minute are taken for one key.
                calls_per_minute: 100,
                ..Capabilities::EVENTS
            },
        };
        Ok(PagerDuty { base, config })
    }

    async fn event(
        &self,
        key: &str,
        action: &str,
        fields: Option<&TicketFields>,
        (details, custom): (&str, &[(String, String)]),
    ) -> Outcome<Option<Time>> {
        let mut event = json!({
            "routing_key": self.config.routing_key.expose_secret().trim(),
            "event_action": action,
            "dedup_key": key,
            "client": "alertbridge",
        });
        if let Some(fields) = fields {
            let severity = fields
                .severity
                .map_or("error", |severity| self.config.severity.word(severity));
            event["payload"] = json!({
                "summary": text::subject(&fields.subject, "", SUMMARY_CHARS_MAX),
                "source": "alertbridge",
                "severity": severity,
                "custom_details": {},
            });
            let given = &mut event["payload"]["custom_details"];
            for (name, value) in custom {
                given[name] = json!(value);
            }
            given["text"] = json!(bounded(&text::plain(details), DETAILS_BYTES_MAX));
        }
        let client = &self.base.client;
        let answer = client.write(Method::POST, "/v2/enqueue", &event).await;
        let answer = answer.done()?;
        if word(&answer.json(), "status") == "success" {
            return Ok(answer.date());
        }
        Err(not_theirs("PagerDuty", &answer))
    }
}

impl Adaptor for PagerDuty {
    const PRODUCT: &'static str = "PagerDuty";

    fn base(&self) -> &Base {
        &self.base
    }

    /// Resolving what is not open is dropped there and pages nobody.
    async fn greet(&self) -> Outcome<Greeting> {
        let clock = self.event("ab-check", "resolve", None, ("", &[])).await?;
        Ok(Greeting {
            words: "it takes events with this routing key".to_owned(),
            user: String::new(),
            clock,
        })
    }

    async fn create(&self, draft: &Draft) -> Outcome<RemoteRef> {
        let said = (draft.body.as_str(), draft.custom.as_slice());
        self.event(&draft.key, "trigger", Some(&draft.fields), said)
            .await?;
        Ok(RemoteRef {
            key: draft.key.clone(),
            url: String::new(),
        })
    }

    async fn write_fields(
        &self,
        key: &str,
        _from: Option<&TicketFields>,
        to: &TicketFields,
    ) -> Outcome<()> {
        match to.status {
            status if status.is_over() => self.event(key, "resolve", None, ("", &[])).await?,
            TicketStatus::New => self.event(key, "trigger", Some(to), ("", &[])).await?,
            _ => {
                self.event(key, "trigger", Some(to), ("", &[])).await?;
                self.event(key, "acknowledge", None, ("", &[])).await?
            }
        };
        Ok(())
    }
}
