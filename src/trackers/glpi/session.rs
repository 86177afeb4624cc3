//! GLPI is spoken to in a session. One that ended is begun anew, and the call is made again: what is
//! answered with 401 was not done.

use super::Glpi;
use crate::trackers::client::{Answer, NoAnswer, secret_header, send, written};
use crate::trackers::rest::Outcome;
use crate::trackers::words::word;
use crate::trackers::{Attachment, Called};
use reqwest::header::AUTHORIZATION;
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

impl Glpi {
    async fn begin(&self) -> Outcome<String> {
        let token = self.config.token.expose_secret().trim();
        let authorization =
            secret_header(&format!("user_token {token}")).map_err(Called::refused)?;
        let request = self.base.client.request(Method::GET, "/initSession");
        let answer = send(request.header(AUTHORIZATION, authorization)).await;
        let answer = match answer {
            Ok(answer) => answer.read().done()?,
            Err(NoAnswer::NotSent(reason) | NoAnswer::Lost(reason)) => {
                return Err(Called::later(reason));
            }
        };
        let session = word(&answer.json(), "session_token");
        if session.is_empty() {
            return Err(Called::later("the answer has no session"));
        }
        Ok(session)
    }

    /// Sends what `request` makes, in a session.
    async fn in_session(
        &self,
        request: impl Fn() -> RequestBuilder,
    ) -> Outcome<Result<Answer, NoAnswer>> {
        let mut ended = String::new();
        loop {
            let session = {
                let mut held = self.session.lock().await;
                if held.is_empty() || *held == ended {
                    *held = self.begin().await?;
                }
                held.clone()
            };
            let header = secret_header(&session).map_err(Called::refused)?;
            let sent = send(request().header("session-token", header)).await;
            match &sent {
                Ok(answer) if answer.status == 401 && ended.is_empty() => ended = session,
                _ => return Ok(sent),
            }
        }
    }

    /// Reads.
    pub(super) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Outcome<Answer> {
        let request = || self.base.client.request(Method::GET, path).query(query);
        match self.in_session(request).await? {
            Ok(answer) => answer.read().done(),
            Err(NoAnswer::NotSent(reason) | NoAnswer::Lost(reason)) => Err(Called::later(reason)),
        }
    }

    /// Reads; none if GLPI does not have it.
    pub(super) async fn look(&self, path: &str, query: &[(&str, &str)]) -> Outcome<Option<Answer>> {
        match self.get(path, query).await {
            Err(Called::Refused { reason, .. }) if reason.starts_with("HTTP 404") => Ok(None),
            other => other.map(Some),
        }
    }

    /// Writes an item.
    pub(super) async fn write(&self, method: Method, path: &str, input: &Value) -> Outcome<Answer> {
        let body = json!({ "input": input });
        let client = &self.base.client;
        let request = || client.request(method.clone(), path).json(&body);
        written(self.in_session(request).await?).done()
    }

    /// A file is a document that hangs on the ticket. The ticket is there: should this not be done,
    /// its text says what was cut, and nothing else is wrong.
    pub(super) async fn attach(&self, id: &str, file: &Attachment) {
        let manifest = json!({ "input": {
            "name": file.name, "_filename": [file.name], "itemtype": "Ticket", "items_id": id,
        } });
        let client = &self.base.client;
        let request = || {
            let manifest = Part::text(manifest.to_string());
            let mut form = Form::new();
            if let Ok(manifest) = manifest.mime_str("application/json") {
                form = form.part("uploadManifest", manifest);
            }
            if let Some(part) = file.part() {
                form = form.part("filename[0]", part);
            }
            client.request(Method::POST, "/Document").multipart(form)
        };
        let _ = self.in_session(request).await;
    }

    /// What hangs on a ticket, all of it.
    pub(super) async fn children(&self, id: &str, kind: &str) -> Outcome<Vec<Value>> {
        let id = crate::trackers::words::path_part(id);
        let path = format!("/Ticket/{id}/{kind}");
        let answer = self.get(&path, &[("range", "0-999")]).await?.json();
        let list = answer.as_array();
        list.cloned()
            .ok_or_else(|| Called::later(format!("the answer is no list of {kind}")))
    }
}
