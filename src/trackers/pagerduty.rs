//! PagerDuty as a sink, by version 2 of its events.
//!
//! The key is the event's `dedup_key`: a trigger that is sent again joins the alert that is open, so
//! nothing has to be looked for. Nothing can be read back, and there are no notes: they are part of
//! the next event's details.

use super::client::{Client, ConnectionConfig, base_or, send};
use super::registry::Settings;
use super::{Called, Capabilities, Change, Draft, Known, RemoteTicket, Tracker, flat, text};
use crate::model::Time;
use crate::model::text::bounded;
use crate::model::ticket::{PersonChange, RemoteRef, TicketFields, TicketStatus};
use crate::trackers::words::{Severities, word};
use futures_util::future::BoxFuture;
use reqwest::header::HeaderMap;
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

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
    fn connect(self, name: &str) -> Result<Arc<dyn Tracker>, String> {
        Ok(Arc::new(PagerDuty::new(name, self)?))
    }
}

/// PagerDuty as a tracker.
pub struct PagerDuty {
    name: String,
    config: PagerDutyConfig,
    client: Client,
    capabilities: Capabilities,
}

impl PagerDuty {
    /// A tracker by its configuration; nothing is sent yet.
    pub fn new(name: &str, mut config: PagerDutyConfig) -> Result<PagerDuty, String> {
        config.severity = config.severity.or(Severities::of_words([
            "critical", "critical", "error", "warning", "info",
        ]));
        let url = base_or(config.url.as_ref(), DEFAULT_URL)?;
        let client = Client::new(&url, HeaderMap::new(), &config.connection)?;
        Ok(PagerDuty {
            name: name.to_owned(),
            client,
            config,
            capabilities: Capabilities {
                finds_by_key: false,
                creates_once: true,
                settle: Duration::ZERO,
                reopens: true,
                links: false,
                reads_back: false,
                reads_changes: false,
                poll_every: Duration::from_secs(3600),
                subject_chars_max: SUMMARY_CHARS_MAX,
                body_bytes_max: DETAILS_BYTES_MAX,
                parallel_max: 2,
            },
        })
    }

    async fn event(
        &self,
        key: &str,
        action: &str,
        fields: Option<&TicketFields>,
        details: &str,
    ) -> Result<(), Called<()>> {
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
                "custom_details": { "text": bounded(&text::plain(details), DETAILS_BYTES_MAX) },
            });
        }
        let answer = self.client.write(Method::POST, "/v2/enqueue", &event).await;
        let answer = answer.done()?;
        if word(&answer.json(), "status") == "success" {
            return Ok(());
        }
        Err(Called::Unknown {
            reason: format!("the answer is not PagerDuty's: {}", answer.said()),
            after: None,
        })
    }

    async fn write_fields(&self, key: &str, to: &TicketFields) -> Result<(), Called<()>> {
        match to.status {
            status if status.is_over() => self.event(key, "resolve", None, "").await,
            TicketStatus::New => self.event(key, "trigger", Some(to), "").await,
            _ => {
                self.event(key, "trigger", Some(to), "").await?;
                self.event(key, "acknowledge", None, "").await
            }
        }
    }
}

impl Tracker for PagerDuty {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn find<'a>(&'a self, _key: &'a str) -> BoxFuture<'a, Called<Vec<RemoteTicket>>> {
        Box::pin(async { Called::refused("events of PagerDuty cannot be searched") })
    }

    fn open<'a>(&'a self, draft: &'a Draft) -> BoxFuture<'a, Called<RemoteRef>> {
        Box::pin(async move {
            let sent = self
                .event(&draft.key, "trigger", Some(&draft.fields), &draft.body)
                .await;
            flat(sent).map(|()| RemoteRef {
                key: draft.key.clone(),
                url: String::new(),
            })
        })
    }

    fn change<'a>(
        &'a self,
        remote: &'a RemoteRef,
        change: &'a Change,
    ) -> BoxFuture<'a, Called<()>> {
        Box::pin(async move {
            match change {
                Change::Fields { to, .. } => flat(self.write_fields(&remote.key, to).await),
                // There is nowhere to put it, and nothing is lost: the incident's page has it.
                Change::Note { .. } => Called::Done(()),
                Change::CloseAsDuplicateOf(_) => {
                    Called::refused("two alerts of PagerDuty cannot be linked by events")
                }
            }
        })
    }

    fn read<'a>(&'a self, _remote: &'a RemoteRef) -> BoxFuture<'a, Called<RemoteTicket>> {
        Box::pin(async { Called::refused("events of PagerDuty cannot be read") })
    }

    fn changes<'a>(
        &'a self,
        cursor: &'a str,
        _known: Known<'a>,
    ) -> BoxFuture<'a, Called<(Vec<PersonChange>, String)>> {
        Box::pin(async move { Called::Done((Vec::new(), cursor.to_owned())) })
    }

    /// Without a page for anybody: resolving what is not open is dropped there.
    fn check(&self, now: Time) -> BoxFuture<'_, Vec<Result<String, String>>> {
        Box::pin(async move {
            let url = self.config.url.as_ref().map_or(DEFAULT_URL, Url::as_str);
            let event: Value = json!({
                "routing_key": self.config.routing_key.expose_secret().trim(),
                "event_action": "resolve",
                "dedup_key": format!("ab-check-{}", now.0),
            });
            let request = self
                .client
                .request(Method::POST, "/v2/enqueue")
                .json(&event);
            vec![match send(request).await {
                Ok(answer) if answer.is_success() => {
                    Ok(format!("{url} takes events with this routing key"))
                }
                Ok(answer) => Err(format!("{url} refuses events: {}", answer.said())),
                Err(_) => Err(format!("{url} does not answer")),
            }]
        })
    }
}
