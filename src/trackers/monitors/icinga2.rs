//! Icinga 2: `acknowledge-problem` of its API. Acknowledged twice is refused there as a conflict,
//! which says that it is done. Icinga forgets an acknowledgement with the recovery.

use super::{Condition, Monitor, is_of_host, needed, tracker};
use crate::trackers::client::{Client, ConnectionConfig, secret_header, send, written};
use crate::trackers::registry::Settings;
use crate::trackers::{Called, Tracker, flat};
use base64::Engine as _;
use futures_util::future::BoxFuture;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// `acknowledge = { kind = "icinga2", ... }`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Icinga2Config {
    /// Where the API is, as `https://icinga.example.net:5665/`.
    url: Url,
    /// An API user with the permissions `actions/acknowledge-problem` and `status/query`.
    user: String,
    /// Its password.
    password: SecretString,
    /// How it is spoken to; `ca_file` is Icinga's own authority.
    #[serde(default)]
    connection: ConnectionConfig,
}

impl Settings for Icinga2Config {
    const TITLE: &'static str = "Icinga 2";
    const EXAMPLE: &'static str = r#"url = "https://icinga.example.net:5665/"
user = "alertbridge"
password = "...""#;

    fn connect(self, name: &str) -> Result<Arc<dyn Tracker>, String> {
        let pair = format!("{}:{}", self.user, self.password.expose_secret().trim());
        let pair = base64::engine::general_purpose::STANDARD.encode(pair);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, secret_header(&format!("Basic {pair}"))?);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let client = Client::new(&self.url, headers, &self.connection)?;
        Ok(tracker(name, Icinga2 { client }, false))
    }
}

struct Icinga2 {
    client: Client,
}

impl Icinga2 {
    async fn send(&self, condition: &Condition, comment: &str) -> Result<String, Called<String>> {
        let host = needed(condition.host.as_ref(), "host")?;
        let check = condition.check.as_deref().unwrap_or_default();
        let mut body = json!({ "author": "alertbridge", "comment": comment, "notify": false });
        let (kind, filter, values, remote) = if is_of_host(check) {
            (
                "Host",
                "host.name == h",
                json!({ "h": host }),
                host.to_owned(),
            )
        } else {
            (
                "Service",
                "host.name == h && service.name == s",
                json!({ "h": host, "s": check }),
                format!("{host}!{check}"),
            )
        };
        if let Some(map) = body.as_object_mut() {
            map.insert("type".to_owned(), json!(kind));
            map.insert("filter".to_owned(), json!(filter));
            map.insert("filter_vars".to_owned(), values);
        }
        let path = "/v1/actions/acknowledge-problem";
        let answer = send(self.client.request(Method::POST, path).json(&body)).await;
        if let Ok(answer) = &answer
            && let Some(result) = answer.json()["results"].get(0)
        {
            // Each object has a code of its own.
            let code = result["code"].as_f64().unwrap_or(0.0);
            let said = result["status"].as_str().unwrap_or_default();
            if (code - 409.0).abs() < 0.5 && said.contains("already acknowledged") {
                return Ok(remote);
            }
            if code >= 400.0 {
                return Err(Called::refused(format!("Icinga says: {said}")));
            }
        }
        let answer = written(answer).done()?.json();
        match answer["results"].as_array().map(Vec::len) {
            Some(0) | None => Err(Called::refused(format!("Icinga knows no {remote}"))),
            Some(_) => Ok(remote),
        }
    }
}

impl Monitor for Icinga2 {
    fn acknowledge<'a>(
        &'a self,
        condition: &'a Condition,
        comment: &'a str,
    ) -> BoxFuture<'a, Called<String>> {
        Box::pin(async move { flat(self.send(condition, comment).await) })
    }

    fn check(&self) -> BoxFuture<'_, Vec<Result<String, String>>> {
        Box::pin(async move {
            let asked = self.client.get("/v1/status/IcingaApplication", &[]);
            vec![match asked.await {
                Called::Done(answer) => Ok(format!(
                    "Icinga {} answers",
                    answer
                        .json()
                        .pointer("/results/0/status/icingaapplication/app/version")
                        .and_then(Value::as_str)
                        .unwrap_or_default()
                )),
                other => Err(other.why().to_owned()),
            }]
        })
    }
}
