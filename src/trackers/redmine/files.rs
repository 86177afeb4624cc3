//! Files for Redmine.

use super::Redmine;
use crate::trackers::client::{send, written};
use crate::trackers::{Attachment, Called};
use reqwest::Method;
use serde_json::{Value, json};

impl Redmine {
    /// Hands files in; an issue refers to them by their tokens.
    pub(super) async fn uploads<T>(&self, files: &[Attachment]) -> Result<Value, Called<T>> {
        let mut uploads = Vec::new();
        for file in files {
            let request = self
                .client
                .request(Method::POST, "/uploads.json")
                .query(&[("filename", &file.name)])
                .header(reqwest::header::CONTENT_TYPE, "application/octet-stream")
                .body(file.bytes.clone());
            let answer = match written(send(request).await) {
                // A file that nothing refers to is dropped there: it can be handed in again.
                Called::Unknown { reason, after } => return Err(Called::Later { reason, after }),
                other => other.done()?.json(),
            };
            uploads.push(json!({
                "token": answer["upload"]["token"],
                "filename": file.name,
                "content_type": file.content_type,
            }));
        }
        Ok(Value::Array(uploads))
    }
}
