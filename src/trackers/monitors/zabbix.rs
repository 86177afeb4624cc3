//! Zabbix: `event.acknowledge` of its API, with a message. The problem is found by the event's id,
//! which its webhook sends. Acknowledged again it only gets the message once more.

use super::{Condition, Monitor, needed, tracker};
use crate::trackers::client::{Client, ConnectionConfig, secret_header};
use crate::trackers::registry::Settings;
use crate::trackers::{Called, Tracker, flat};
use futures_util::future::BoxFuture;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// Where the API is below the frontend.
const INTERFACE: &str = "/api_jsonrpc.php";
/// Acknowledge, with a message.
const ACTION: u8 = 2 + 4;

/// `acknowledge = { kind = "zabbix", ... }`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZabbixConfig {
    /// The frontend, as `https://zabbix.example.net/zabbix/`.
    url: Url,
    /// An API token of a user that may acknowledge.
    token: SecretString,
    /// Zabbix before 6.4 takes the token in the body.
    #[serde(default)]
    token_in_body: bool,
    /// How it is spoken to.
    #[serde(default)]
    connection: ConnectionConfig,
}

impl Settings for ZabbixConfig {
    const TITLE: &'static str = "Zabbix";
    const EXAMPLE: &'static str = r#"url = "https://zabbix.example.net/zabbix/"
token = "...""#;

    fn connect(self, name: &str) -> Result<Arc<dyn Tracker>, String> {
        let token = self.token.expose_secret().trim().to_owned();
        let mut headers = HeaderMap::new();
        if !self.token_in_body {
            headers.insert(AUTHORIZATION, secret_header(&format!("Bearer {token}"))?);
        }
        let client = Client::new(&self.url, headers, &self.connection)?;
        let token = self.token_in_body.then(|| token.into());
        Ok(tracker(name, Zabbix { client, token }, false))
    }
}

struct Zabbix {
    client: Client,
    /// For the body.
    token: Option<SecretString>,
}

impl Zabbix {
    fn call(&self, method: &str, params: Value) -> Value {
        let mut call = json!({ "jsonrpc": "2.0", "method": method, "params": params, "id": 1 });
        if let (Some(token), Some(map)) = (&self.token, call.as_object_mut()) {
            map.insert("auth".to_owned(), json!(token.expose_secret()));
        }
        call
    }

    async fn send(&self, condition: &Condition, comment: &str) -> Result<String, Called<String>> {
        let event = needed(condition.dedup_key.as_ref(), "event id")?;
        let params = json!({ "eventids": [event], "action": ACTION, "message": comment });
        let call = self.call("event.acknowledge", params);
        let sent = self.client.write(Method::POST, INTERFACE, &call).await;
        let answer = sent.done()?.json();
        if let Some(error) = answer.get("error") {
            let said = error["data"].as_str().unwrap_or("an error without words");
            return Err(Called::refused(format!("Zabbix says: {said}")));
        }
        match answer["result"]["eventids"].as_array().map(Vec::len) {
            Some(0) | None => Err(Called::refused(format!("Zabbix knows no event {event}"))),
            Some(_) => Ok(event.to_owned()),
        }
    }
}

impl Monitor for Zabbix {
    fn acknowledge<'a>(
        &'a self,
        condition: &'a Condition,
        comment: &'a str,
    ) -> BoxFuture<'a, Called<String>> {
        Box::pin(async move { flat(self.send(condition, comment).await) })
    }

    fn check(&self) -> BoxFuture<'_, Vec<Result<String, String>>> {
        Box::pin(async move {
            let params = json!({ "output": ["eventid"], "limit": 1 });
            let call = self.call("event.get", params);
            vec![
                match self.client.write(Method::POST, INTERFACE, &call).await {
                    Called::Done(answer) => match answer.json().get("error") {
                        Some(error) => Err(error["data"].as_str().unwrap_or("refused").to_owned()),
                        None => Ok("Zabbix answers, and the token may read events".to_owned()),
                    },
                    other => Err(other.why().to_owned()),
                },
            ]
        })
    }
}
