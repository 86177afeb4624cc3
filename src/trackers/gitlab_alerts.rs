//! GitLab's alert endpoint as a sink.
//!
//! The key is the alert's `fingerprint`: an alert that is sent again is counted on the open one.
//! Nothing can be read back. An incident that GitLab makes of the alert shows the description as
//! Markdown, so it stands inside of a fence, where there are neither mentions nor quick actions.

use super::client::{Client, ConnectionConfig, secret_header, send};
use super::registry::Settings;
use super::rest::{Adaptor, Base, Greeting, Outcome, Said};
use super::words::{Severities, not_theirs, word};
use super::{Called, Capabilities, Draft, Tracker, text};
use crate::model::Time;
use crate::model::ticket::{RemoteRef, TicketFields};
use reqwest::header::AUTHORIZATION;
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// `kind = "gitlab_alerts"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GitlabAlertsConfig {
    /// The address of the integration, as GitLab shows it: `.../alerts/notify/NAME/ID.json`.
    pub url: Url,
    /// The integration's authorization key.
    pub token: SecretString,
    /// The word for each severity: `critical`, `high`, `medium`, `low`, `info` or `unknown`.
    #[serde(default)]
    pub severity: Severities,
    /// The name of GitLab's environment, if alerts belong to one.
    #[serde(default)]
    pub environment: String,
    /// How it is spoken to.
    #[serde(default)]
    pub connection: ConnectionConfig,
}

impl Settings for GitlabAlertsConfig {
    const TITLE: &'static str = "GitLab alerts";
    const EXAMPLE: &'static str = r#"
url = "https://gitlab.example.net/noc/net/alerts/notify/alertbridge/0123456789abcdef.json"
token = "..."
"#;

    fn connect(self, name: &str) -> Result<Arc<dyn Tracker>, String> {
        Ok(Arc::new(GitlabAlerts::new(name, self)?))
    }
}

/// GitLab's alerts as a tracker.
pub struct GitlabAlerts {
    base: Base,
    config: GitlabAlertsConfig,
}

impl GitlabAlerts {
    /// A tracker by its configuration; nothing is sent yet.
    pub fn new(name: &str, mut config: GitlabAlertsConfig) -> Result<GitlabAlerts, String> {
        config.severity = config.severity.or(Severities::of_words([
            "critical", "high", "medium", "low", "info",
        ]));
        let token = format!("Bearer {}", config.token.expose_secret().trim());
        let headers = [(AUTHORIZATION, secret_header(&token)?)];
        let headers = headers.into_iter().collect();
        let base = Base {
            name: name.to_owned(),
            url: config.url.to_string(),
            client: Client::new(&config.url, headers, &config.connection)?,
            capabilities: Capabilities {
                key_kept: "`fingerprint`",
                subject_chars_max: 200,
                // A description is cut there at a thousand characters.
                body_bytes_max: 900,
                ..Capabilities::EVENTS
            },
        };
        Ok(GitlabAlerts { base, config })
    }

    /// GitLab's clock, from whatever it answers to a question that writes nothing.
    async fn clock(&self) -> Outcome<Option<Time>> {
        let answer = send(self.base.client.request(Method::HEAD, "")).await;
        let answer = answer.map_err(|_| Called::later("no answer to a look at its clock"))?;
        Ok(answer.date())
    }

    async fn alert(
        &self,
        key: &str,
        fields: &TicketFields,
        body: Option<&str>,
        ended: Option<Time>,
    ) -> Outcome<String> {
        let severity = fields
            .severity
            .map_or("unknown", |severity| self.config.severity.word(severity));
        let mut alert = json!({
            "title": self.base.subject(&fields.subject),
            "severity": severity,
            "fingerprint": key,
            "monitoring_tool": "alertbridge",
        });
        if let Some(body) = body {
            alert["description"] = json!(text::fenced(&text::plain(body)));
        }
        if !self.config.environment.is_empty() {
            alert["gitlab_environment_name"] = json!(self.config.environment);
        }
        if let Some(ended) = ended {
            alert["end_time"] = json!(ended.to_string());
        }
        let written = self.base.client.write(Method::POST, "", &alert).await;
        let answer = written.done()?;
        match answer.json() {
            Value::Array(alerts) => Ok(alerts.first().map_or_else(String::new, |a| word(a, "iid"))),
            _ => Err(not_theirs("GitLab", &answer)),
        }
    }
}

impl Adaptor for GitlabAlerts {
    const PRODUCT: &'static str = "GitLab";

    fn base(&self) -> &Base {
        &self.base
    }

    async fn greet(&self) -> Outcome<Greeting> {
        Ok(Greeting {
            words: "it answers".to_owned(),
            user: String::new(),
            clock: self.clock().await?,
        })
    }

    async fn check_more(&self) -> Said {
        let said = "whether the key is taken shows with the first alert: every question opens one";
        vec![Ok(said.to_owned())]
    }

    async fn create(&self, draft: &Draft) -> Outcome<RemoteRef> {
        let (fields, body) = (&draft.fields, Some(draft.body.as_str()));
        let iid = self.alert(&draft.key, fields, body, None).await?;
        let project = self.config.url.as_str().split("/alerts/notify").next();
        let url = match project {
            Some(project) if !iid.is_empty() => {
                format!("{project}/-/alert_management/{iid}/details")
            }
            _ => String::new(),
        };
        Ok(RemoteRef {
            key: draft.key.clone(),
            url,
        })
    }

    async fn write_fields(
        &self,
        key: &str,
        _from: Option<&TicketFields>,
        to: &TicketFields,
    ) -> Outcome<()> {
        let ended = if to.status.is_over() {
            let clock = self.clock().await?;
            Some(clock.ok_or_else(|| Called::later("the answer has no date"))?)
        } else {
            None
        };
        self.alert(key, to, None, ended).await.map(|_| ())
    }
}
