//! Alertmanager: a silence over exactly the alert's labels.
//!
//! A silence mutes the recovery as well, so an alert that is silenced is watched: once Alertmanager
//! has not known it for five minutes, its condition has ended. A recovery or a resolved incident
//! ends the silence, so that the next firing is heard.

use super::{Condition, Monitor, SeenEnd, text_of, tracker};
use crate::model::Time;
use crate::trackers::client::{Client, ConnectionConfig, secret_header, send, written};
use crate::trackers::registry::Settings;
use crate::trackers::words::path_part;
use crate::trackers::{Called, Known, Tracker, flat};
use futures_util::future::BoxFuture;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// An alert that is not known for so long has ended: senders repeat theirs more often.
const GONE_FOR: Duration = Duration::from_secs(5 * 60);

/// `acknowledge = { kind = "alertmanager", ... }`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlertmanagerConfig {
    /// Where it is, with its path prefix.
    url: Url,
    /// The value of the `Authorization` header, if it wants one.
    #[serde(default)]
    authorization: Option<SecretString>,
    /// How long a silence lasts.
    #[serde(
        default = "eight_hours",
        rename = "for",
        with = "crate::model::time::duration"
    )]
    lasts: Duration,
    /// How it is spoken to.
    #[serde(default)]
    connection: ConnectionConfig,
}

fn eight_hours() -> Duration {
    Duration::from_secs(8 * 3600)
}

impl Settings for AlertmanagerConfig {
    const TITLE: &'static str = "Alertmanager";
    const EXAMPLE: &'static str = r#"url = "http://alertmanager.example.net:9093/""#;

    fn connect(self, name: &str) -> Result<Arc<dyn Tracker>, String> {
        let mut headers = HeaderMap::new();
        if let Some(secret) = &self.authorization {
            headers.insert(AUTHORIZATION, secret_header(secret.expose_secret().trim())?);
        }
        let client = Client::new(&self.url, headers, &self.connection)?;
        let monitor = Alertmanager {
            client,
            lasts: self.lasts,
        };
        Ok(tracker(name, monitor, true))
    }
}

struct Alertmanager {
    client: Client,
    lasts: Duration,
}

/// Since when an alert behind a silence is not known, milliseconds; told: 0.
type Missing = BTreeMap<String, i64>;

impl Alertmanager {
    async fn silence(
        &self,
        condition: &Condition,
        comment: &str,
    ) -> Result<String, Called<String>> {
        if condition.labels.is_empty() {
            return Err(Called::refused("the alert has no labels to silence it by"));
        }
        let Some(now) = self.client.get("/api/v2/status", &[]).await.done()?.date() else {
            return Err(Called::later("the answer has no date"));
        };
        let matchers: Vec<Value> = condition
            .labels
            .iter()
            .map(|(name, value)| {
                json!({ "name": name, "value": value, "isRegex": false, "isEqual": true })
            })
            .collect();
        let silence = json!({
            "matchers": matchers,
            "startsAt": now.to_string(),
            "endsAt": now.plus(self.lasts).to_string(),
            "createdBy": "alertbridge",
            "comment": comment,
        });
        let answer = self
            .client
            .write(Method::POST, "/api/v2/silences", &silence)
            .await
            .done()?
            .json();
        let id = text_of(&answer, "silenceID");
        if id.is_empty() {
            return Err(Called::Unknown {
                reason: "the answer names no silence".to_owned(),
                after: None,
            });
        }
        Ok(id)
    }

    /// Silences that stand.
    async fn silences<T>(&self) -> Result<(Vec<Value>, Option<Time>), Called<T>> {
        let answer = self.client.get("/api/v2/silences", &[]).await.done()?;
        let now = answer.date();
        let Value::Array(all) = answer.json() else {
            return Err(Called::later("the answer is no list of silences"));
        };
        let stands = |silence: &Value| silence["status"]["state"] != "expired";
        Ok((all.into_iter().filter(stands).collect(), now))
    }

    /// Whether Alertmanager knows an alert with these matchers' labels.
    async fn knows<T>(&self, silence: &Value) -> Result<bool, Called<T>> {
        let matchers = silence["matchers"].as_array().into_iter().flatten();
        let filters: Vec<String> = matchers
            .map(|matcher| {
                let value = Value::from(text_of(matcher, "value"));
                format!("{}={value}", text_of(matcher, "name"))
            })
            .collect();
        let query: Vec<(&str, &str)> = filters.iter().map(|f| ("filter", f.as_str())).collect();
        let answer = self
            .client
            .get("/api/v2/alerts", &query)
            .await
            .done()?
            .json();
        match answer {
            Value::Array(alerts) => Ok(!alerts.is_empty()),
            _ => Err(Called::later("the answer is no list of alerts")),
        }
    }

    async fn watch(
        &self,
        cursor: &str,
        known: Known<'_>,
    ) -> Result<(Vec<SeenEnd>, String), Called<(Vec<SeenEnd>, String)>> {
        let mut missing: Missing = serde_json::from_str(cursor).unwrap_or_default();
        let (silences, now) = self.silences().await?;
        let Some(now) = now else {
            return Err(Called::later("the answer has no date"));
        };
        let mut still: Missing = BTreeMap::new();
        let mut ended = Vec::new();
        for silence in &silences {
            let id = text_of(silence, "id");
            if !known(&id) {
                continue;
            }
            let since = missing.remove(&id);
            if since == Some(0) {
                still.insert(id, 0);
            } else if !self.knows(silence).await? {
                let since = since.unwrap_or(now.0);
                let over = now.since(Time(since)) >= GONE_FOR;
                if over {
                    ended.push(SeenEnd {
                        remote: id.clone(),
                        at: Time(since),
                    });
                }
                still.insert(id, if over { 0 } else { since });
            }
        }
        let cursor = serde_json::to_string(&still).unwrap_or_default();
        Ok((ended, cursor))
    }
}

impl Monitor for Alertmanager {
    fn acknowledge<'a>(
        &'a self,
        condition: &'a Condition,
        comment: &'a str,
    ) -> BoxFuture<'a, Called<String>> {
        Box::pin(async move { flat(self.silence(condition, comment).await) })
    }

    fn release<'a>(&'a self, remote: &'a str) -> BoxFuture<'a, Called<()>> {
        Box::pin(async move {
            let path = format!("/api/v2/silence/{}", path_part(remote));
            let sent = written(send(self.client.request(Method::DELETE, &path)).await);
            match sent {
                // One that expired or was taken away by a person is over already.
                Called::Refused { .. } => Called::Done(()),
                other => other.map(|_| ()),
            }
        })
    }

    fn find<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Called<Vec<String>>> {
        Box::pin(async move {
            let found = self.silences().await.map(|(silences, _)| {
                let ours = |silence: &&Value| text_of(silence, "comment").contains(key);
                let ids = silences.iter().filter(ours).map(|s| text_of(s, "id"));
                ids.collect()
            });
            flat(found)
        })
    }

    fn ended<'a>(
        &'a self,
        cursor: &'a str,
        known: Known<'a>,
    ) -> BoxFuture<'a, Called<(Vec<SeenEnd>, String)>> {
        Box::pin(async move { flat(self.watch(cursor, known).await) })
    }

    fn check(&self) -> BoxFuture<'_, Vec<Result<String, String>>> {
        Box::pin(async move {
            vec![match self.client.get("/api/v2/status", &[]).await {
                Called::Done(answer) => Ok(format!(
                    "Alertmanager {} answers",
                    text_of(&answer.json()["versionInfo"], "version")
                )),
                other => Err(other.why().to_owned()),
            }]
        })
    }
}
