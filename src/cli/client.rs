//! How verbs speak to the daemon: over the unix socket in its data directory, or to another
//! machine with a token.

use super::{DATA_DIR, DATA_DIR_ENV, block_on, problems_found, say, token_of};
use crate::trackers::client::reason_of;
use reqwest::{Client, Method};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Longest wait for an answer.
const ANSWER_TIME: Duration = Duration::from_secs(90);

/// Where the daemon is.
#[derive(clap::Args, Clone)]
pub struct Daemon {
    /// The daemon's data directory.
    #[arg(long, env = DATA_DIR_ENV, default_value = DATA_DIR, global = true)]
    data_dir: PathBuf,
    /// The operators' door of a daemon elsewhere, like `https://bridge.example.net:8481`.
    #[arg(long, global = true)]
    url: Option<String>,
    /// A file with the token for it.
    #[arg(long, requires = "url", global = true)]
    token_file: Option<PathBuf>,
}

impl Daemon {
    fn client(&self) -> Result<(Client, String), String> {
        let builder = Client::builder()
            .timeout(ANSWER_TIME)
            .redirect(reqwest::redirect::Policy::none());
        let (builder, base) = match &self.url {
            Some(url) => (builder, url.trim_end_matches('/').to_owned()),
            None => {
                let socket = self.data_dir.join(crate::daemon::OPERATORS_SOCKET);
                (builder.unix_socket(socket), "http://localhost".to_owned())
            }
        };
        let client = builder.build().map_err(|error| error.to_string())?;
        Ok((client, base))
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(bool, String), String> {
        let (client, base) = self.client()?;
        let mut request = client.request(method, format!("{base}{path}"));
        if let Some(token) = token_of(self.token_file.as_deref())? {
            request = request.bearer_auth(token.expose_secret());
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.map_err(|error| {
            let why = reason_of(&error);
            match &self.url {
                Some(url) => {
                    format!("the daemon at {url} cannot be reached: {why}; is it running there?")
                }
                None => format!(
                    "the daemon at {} cannot be reached: {why}; is it running, and is this its data \
                     directory (--data-dir)?",
                    self.data_dir.display()
                ),
            }
        })?;
        let good = answer.status().is_success();
        let text = answer.text().await.map_err(|error| error.to_string())?;
        Ok((good, text))
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, String> {
        let (good, text) = self.ask(method, path, body).await?;
        let value: Value = serde_json::from_str(&text).unwrap_or_else(|_| json!({ "error": text }));
        if good && value.get("error").is_none() {
            return Ok(value);
        }
        let why = value.get("error").and_then(Value::as_str).unwrap_or(&text);
        Err(why.to_owned())
    }

    /// Asks for a text.
    pub fn get_text(&self, path: &str) -> Result<String, String> {
        let (good, text) = block_on(self.ask(Method::GET, path, None))??;
        if good {
            return Ok(text);
        }
        let value: Value = serde_json::from_str(&text).unwrap_or_default();
        let why = value.get("error").and_then(Value::as_str).unwrap_or(&text);
        Err(why.to_owned())
    }

    /// Asks for one thing.
    pub fn get(&self, path: &str) -> Result<Value, String> {
        block_on(self.call(Method::GET, path, None))?
    }

    /// Asks for all pages of a list.
    pub fn list(&self, path: &str, key: &str, cursor: &str) -> Result<Vec<Value>, String> {
        let mut rows = Vec::new();
        let mut next = String::new();
        loop {
            let joint = if path.contains('?') { '&' } else { '?' };
            let paged = match next.as_str() {
                "" => path.to_owned(),
                next => format!("{path}{joint}{cursor}={next}"),
            };
            let mut page = self.get(&paged)?;
            if let Some(Value::Array(found)) = page.get_mut(key).map(Value::take) {
                rows.extend(found);
            }
            match page.get("next") {
                Some(Value::String(text)) => next.clone_from(text),
                Some(Value::Number(number)) => next = number.to_string(),
                _ => return Ok(rows),
            }
        }
    }

    /// The daemon of a data directory.
    pub fn at(data_dir: PathBuf) -> Daemon {
        Daemon {
            data_dir,
            url: None,
            token_file: None,
        }
    }

    /// Tells the daemon something; what came of it.
    pub fn post(&self, path: &str, body: Value) -> Result<Value, String> {
        block_on(self.call(Method::POST, path, Some(body)))?
    }

    /// Tells the daemon something and prints what came of it.
    pub fn tell(&self, path: &str, body: Value) -> ExitCode {
        match self.post(path, body) {
            Ok(answer) => {
                say(text(&answer, "result").as_str());
                ExitCode::SUCCESS
            }
            Err(why) => problems_found(&[why]),
        }
    }
}

/// Prints a list: as JSON, or through `print`.
pub fn show(
    rows: Result<Vec<Value>, String>,
    as_json: bool,
    print: impl FnOnce(&[Value]),
) -> ExitCode {
    match rows {
        Ok(rows) if as_json => {
            say(&Value::Array(rows).to_string());
            ExitCode::SUCCESS
        }
        Ok(rows) => {
            print(&rows);
            ExitCode::SUCCESS
        }
        Err(why) => problems_found(&[why]),
    }
}

/// Prints one thing: as JSON, or through `print`.
pub fn show_one(
    found: Result<Value, String>,
    as_json: bool,
    print: impl FnOnce(&Value),
) -> ExitCode {
    match found {
        Ok(found) if as_json => say(&found.to_string()),
        Ok(found) => print(&found),
        Err(why) => return problems_found(&[why]),
    }
    ExitCode::SUCCESS
}

/// A field as text; empty if it is not there.
pub fn text(row: &Value, key: &str) -> String {
    match row.get(key) {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    }
}

/// The same, cut to a width for a table.
pub fn short(row: &Value, key: &str, width: usize) -> String {
    let text = text(row, key);
    if text.chars().count() <= width {
        return text;
    }
    let cut: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{cut}…")
}
