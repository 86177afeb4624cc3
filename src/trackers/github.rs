//! GitHub issues.
//!
//! The key is a label, which a list finds at once. An issue is open or closed; what else the bridge
//! knows of a ticket's status is not shown. The severity is a label. Text stands inside of a code
//! fence, so that it mentions nobody. Each repository is a tracker of its own: the queue of a route
//! has no meaning here.

mod changes;
mod config;

pub use config::GithubConfig;

use super::client::{Client, base_or, secret_header, send};
use super::words::{clock, nobody_found, not_theirs, path_part, word};
use super::{Called, Capabilities, Change, Draft, Known, RemoteTicket, Tracker, flat, text};
use crate::limits;
use crate::model::Time;
use crate::model::severity::Severity;
use crate::model::text::bounded;
use crate::model::ticket::{PersonChange, RemoteRef, TicketFields, TicketStatus};
use futures_util::future::BoxFuture;
use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use std::time::Duration;
use tokio::sync::OnceCell;

/// Where the interface is.
const DEFAULT_URL: &str = "https://api.github.com";
/// Longest title, characters.
const TITLE_CHARS_MAX: usize = 250;
/// Longest body or comment that is sent, bytes; GitHub takes 65,536 characters.
const BODY_BYTES_MAX: usize = 60_000;
/// What the labels of severities begin with.
const SEVERITY: &str = "severity:";

/// GitHub issues as a tracker.
pub struct Github {
    name: String,
    config: GithubConfig,
    client: Client,
    capabilities: Capabilities,
    me: OnceCell<String>,
}

/// Text as GitHub shows it without reading it, with `last` as its last line.
fn body(text: &str, last: &str) -> String {
    let text = bounded(&text::plain(text), BODY_BYTES_MAX - 200);
    format!("{}\n\n{last}", text::fenced(&text))
}

fn label(severity: Severity) -> String {
    format!("{SEVERITY}{severity}")
}

impl Github {
    /// A tracker by its configuration; nothing is sent yet.
    pub fn new(name: &str, config: GithubConfig) -> Result<Github, String> {
        let repository = |text: &str| {
            text.split_once('/')
                .is_some_and(|(owner, name)| !owner.is_empty() && !name.is_empty())
        };
        if !repository(&config.repository) {
            return Err(format!(
                "repository: `{}` is not of the form OWNER/NAME",
                config.repository
            ));
        }
        let token = secret_header(&format!("Bearer {}", config.token.expose_secret().trim()))?;
        let headers = [
            (AUTHORIZATION, token),
            (
                ACCEPT,
                HeaderValue::from_static("application/vnd.github+json"),
            ),
            (
                HeaderName::from_static("x-github-api-version"),
                HeaderValue::from_static("2022-11-28"),
            ),
        ];
        let url = base_or(config.url.as_ref(), DEFAULT_URL)?;
        let client = Client::new(&url, headers.into_iter().collect(), &config.connection)?;
        Ok(Github {
            name: name.to_owned(),
            client,
            capabilities: Capabilities {
                key_kept: "a label",
                settle: Duration::from_secs(config.settle_seconds),
                poll_every: Duration::from_secs(config.poll_seconds.max(5)),
                subject_chars_max: TITLE_CHARS_MAX,
                body_bytes_max: BODY_BYTES_MAX - 200,
                parallel_max: config.parallel.max(1),
                // About 80 texts a minute are taken.
                calls_per_minute: 60,
                ..Capabilities::TICKETS
            },
            config,
            me: OnceCell::new(),
        })
    }

    /// The path of a repository; an issue is named `OWNER/NAME#7`, as people do.
    fn repository(&self, name: &str) -> String {
        let name = if name.is_empty() {
            &self.config.repository
        } else {
            name
        };
        let (owner, name) = name.split_once('/').unwrap_or((name, ""));
        format!("/repos/{}/{}", path_part(owner), path_part(name))
    }

    fn issue_path(&self, key: &str) -> String {
        let (repository, number) = key.rsplit_once('#').unwrap_or(("", key));
        format!(
            "{}/issues/{}",
            self.repository(repository),
            path_part(number)
        )
    }

    fn remote(repository: &str, issue: &Value) -> RemoteRef {
        RemoteRef {
            key: format!("{repository}#{}", word(issue, "number")),
            url: word(issue, "html_url"),
        }
    }

    async fn me<T>(&self) -> Result<String, Called<T>> {
        if let Some(login) = self.me.get() {
            return Ok(login.clone());
        }
        let login = word(&self.client.get("/user", &[]).await.done()?.json(), "login");
        if login.is_empty() {
            return Err(Called::later("the answer does not name the bridge's user"));
        }
        Ok(self.me.get_or_init(|| async { login }).await.clone())
    }

    fn ticket(&self, repository: &str, issue: &Value) -> RemoteTicket {
        let labels = || {
            let labels = issue["labels"].as_array().into_iter().flatten();
            labels.map(|label| word(label, "name"))
        };
        let severity = labels().find_map(|label| label.strip_prefix(SEVERITY)?.parse().ok());
        let closed = word(issue, "state") == "closed";
        RemoteTicket {
            remote: Github::remote(repository, issue),
            key: labels()
                .find(|label| label.starts_with("ab-"))
                .unwrap_or_default(),
            fields: TicketFields {
                subject: word(issue, "title"),
                status: if closed {
                    TicketStatus::Resolved
                } else {
                    TicketStatus::New
                },
                severity,
                queue: repository.to_owned(),
            },
            markers: Vec::new(),
            created_at: Time::parse_rfc3339(&word(issue, "created_at")),
        }
    }

    async fn create(&self, draft: &Draft) -> Result<RemoteRef, Called<RemoteRef>> {
        let mut labels = self.config.labels.clone();
        labels.push(draft.key.clone());
        labels.extend(draft.fields.severity.map(label));
        let issue = json!({
            "title": text::subject(&draft.fields.subject, "", TITLE_CHARS_MAX),
            "body": body(&draft.body, &draft.key),
            "labels": labels,
        });
        let path = format!("{}/issues", self.repository(""));
        let answer = self
            .client
            .write(Method::POST, &path, &issue)
            .await
            .done()?;
        let issue = answer.json();
        if word(&issue, "number").is_empty() {
            return Err(not_theirs("GitHub", &answer));
        }
        Ok(Github::remote(&self.config.repository, &issue))
    }

    /// All pages of a list.
    async fn list<T>(
        &self,
        path: &str,
        query: &[(&str, &str)],
        pages_max: usize,
    ) -> Result<Vec<Value>, Called<T>> {
        let mut items: Vec<Value> = Vec::new();
        for page in 1..=pages_max {
            let page = page.to_string();
            let mut query = query.to_vec();
            query.extend([("per_page", "100"), ("page", page.as_str())]);
            let answer = self.client.get(path, &query).await.done()?.json();
            let Some(list) = answer.as_array() else {
                return Err(Called::later("the answer is no list"));
            };
            items.extend(list.iter().cloned());
            if list.len() < 100 {
                break;
            }
        }
        Ok(items)
    }

    async fn search(&self, key: &str) -> Result<Vec<RemoteTicket>, Called<Vec<RemoteTicket>>> {
        let path = format!("{}/issues", self.repository(""));
        let query = [("labels", key), ("state", "all"), ("direction", "asc")];
        let issues = self.list(&path, &query, 2).await?;
        let issues = issues
            .iter()
            .filter(|issue| issue["pull_request"].is_null());
        let tickets = issues.map(|issue| self.ticket(&self.config.repository, issue));
        Ok(tickets.filter(|ticket| ticket.key == key).collect())
    }

    /// The issue; none if it was deleted or moved away.
    async fn issue<T>(&self, key: &str) -> Result<Option<Value>, Called<T>> {
        let path = self.issue_path(key);
        let answer = match send(self.client.request(Method::GET, &path)).await {
            Ok(answer) if matches!(answer.status, 301 | 404 | 410) => {
                // A token without access would look the same.
                self.client.get("/user", &[]).await.done()?;
                return Ok(None);
            }
            Ok(answer) => answer.read().done()?,
            Err(super::client::NoAnswer::NotSent(why) | super::client::NoAnswer::Lost(why)) => {
                return Err(Called::later(why));
            }
        };
        let issue = answer.json();
        if word(&issue, "number").is_empty() {
            return Err(Called::later("the answer to a read is no issue"));
        }
        Ok(Some(issue))
    }

    async fn patch(&self, key: &str, change: Map<String, Value>) -> Result<(), Called<()>> {
        let path = self.issue_path(key);
        let change = Value::Object(change);
        let answer = self
            .client
            .write(Method::PATCH, &path, &change)
            .await
            .done()?;
        if word(&answer.json(), "number").is_empty() {
            return Err(not_theirs("GitHub", &answer));
        }
        Ok(())
    }

    async fn write_fields(
        &self,
        key: &str,
        from: Option<&TicketFields>,
        to: &TicketFields,
    ) -> Result<(), Called<()>> {
        let mut change = Map::new();
        if from.is_none_or(|from| from.subject != to.subject) {
            let title = text::subject(&to.subject, "", TITLE_CHARS_MAX);
            change.insert("title".to_owned(), json!(title));
        }
        if from.is_none_or(|from| from.status.is_over() != to.status.is_over()) {
            let (state, reason) = if to.status.is_over() {
                ("closed", "completed")
            } else {
                ("open", "reopened")
            };
            change.insert("state".to_owned(), json!(state));
            change.insert("state_reason".to_owned(), json!(reason));
        }
        if !change.is_empty() {
            self.patch(key, change).await?;
        }
        // Labels one by one: those of people stay.
        if from.is_none_or(|from| from.severity != to.severity) {
            let path = format!("{}/labels", self.issue_path(key));
            if let Some(severity) = to.severity {
                let labels = json!({ "labels": [label(severity)] });
                self.client
                    .write(Method::POST, &path, &labels)
                    .await
                    .done()?;
            }
            if let Some(old) = from.and_then(|from| from.severity) {
                let path = format!("{path}/{}", path_part(&label(old)));
                match self.client.write(Method::DELETE, &path, &json!({})).await {
                    // A person has removed it.
                    Called::Done(_) | Called::Refused { .. } => {}
                    other => {
                        other.done()?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn comment(&self, key: &str, text: &str) -> Result<(), Called<()>> {
        let path = format!("{}/comments", self.issue_path(key));
        let comment = json!({ "body": text });
        let answer = self
            .client
            .write(Method::POST, &path, &comment)
            .await
            .done()?;
        if word(&answer.json(), "id").is_empty() {
            return Err(not_theirs("GitHub", &answer));
        }
        Ok(())
    }

    async fn close_as_duplicate(&self, key: &str, other: &str) -> Result<(), Called<()>> {
        let closed = [
            ("state", json!("closed")),
            ("state_reason", json!("not_planned")),
        ];
        let change = closed
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        self.patch(key, change.collect()).await?;
        self.comment(key, &format!("Duplicate of {other}")).await
    }

    async fn read_whole(&self, key: &str) -> Result<RemoteTicket, Called<RemoteTicket>> {
        let (repository, _) = key
            .rsplit_once('#')
            .unwrap_or((&self.config.repository, key));
        let Some(issue) = self.issue(key).await? else {
            let url = String::new();
            let key = key.to_owned();
            return Ok(RemoteTicket::gone(RemoteRef { key, url }));
        };
        let mut ticket = self.ticket(repository, &issue);
        let path = format!("{}/comments", self.issue_path(key));
        let comments = self
            .list(&path, &[], limits::TRACKER_NOTES_PAGES_MAX)
            .await?;
        for comment in &comments {
            let text = word(comment, "body");
            ticket.markers.push(text::last_line(&text).to_owned());
        }
        Ok(ticket)
    }

    async fn check_all(&self, now: Time) -> Vec<Result<String, String>> {
        let mut said = Vec::new();
        let url = self.config.url.as_ref();
        let url = url.map_or(DEFAULT_URL, reqwest::Url::as_str);
        match self.client.get("/user", &[]).await {
            Called::Done(answer) => {
                let login = word(&answer.json(), "login");
                said.push(Ok(format!(
                    "{url} is GitHub; the token belongs to `{login}`"
                )));
                said.extend(answer.date().map(|date| clock(Some(date), now)));
            }
            other => {
                let why = other.why();
                return vec![Err(format!("{url} does not answer as GitHub: {why}"))];
            }
        }
        let repository = &self.config.repository;
        said.push(match self.client.get(&self.repository(""), &[]).await {
            Called::Done(answer) => {
                let answer = answer.json();
                if answer["has_issues"] == json!(false) {
                    Err(format!("{repository} has no issues: switch them on"))
                } else if answer["permissions"]["push"] == json!(false) {
                    Err(format!(
                        "the token may not push to {repository}: labels, and with them the key, are dropped"
                    ))
                } else {
                    Ok(format!("{repository} takes issues; the key is kept as a label"))
                }
            }
            other => Err(format!("{repository} cannot be read: {}", other.why())),
        });
        let nobody = format!("ab-check-{}", now.0);
        said.push(nobody_found(self.search(&nobody).await, "label", "issues"));
        said
    }
}

impl Tracker for Github {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn as_kept(&self, fields: &TicketFields) -> TicketFields {
        TicketFields {
            subject: text::subject(&fields.subject, "", TITLE_CHARS_MAX),
            status: if fields.status.is_over() {
                TicketStatus::Resolved
            } else {
                TicketStatus::New
            },
            severity: fields.severity,
            queue: fields.queue.clone(),
        }
    }

    fn find<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Called<Vec<RemoteTicket>>> {
        Box::pin(async move { flat(self.search(key).await) })
    }

    fn open<'a>(&'a self, draft: &'a Draft) -> BoxFuture<'a, Called<RemoteRef>> {
        Box::pin(async move { flat(self.create(draft).await) })
    }

    fn change<'a>(
        &'a self,
        remote: &'a RemoteRef,
        change: &'a Change,
    ) -> BoxFuture<'a, Called<()>> {
        let key = &remote.key;
        Box::pin(async move {
            flat(match change {
                Change::Fields { from, to } => self.write_fields(key, from.as_ref(), to).await,
                Change::Note { marker, text, .. } => self.comment(key, &body(text, marker)).await,
                Change::CloseAsDuplicateOf(other) => self.close_as_duplicate(key, &other.key).await,
            })
        })
    }

    fn read<'a>(&'a self, remote: &'a RemoteRef) -> BoxFuture<'a, Called<RemoteTicket>> {
        Box::pin(async move { flat(self.read_whole(&remote.key).await) })
    }

    fn changes<'a>(
        &'a self,
        cursor: &'a str,
        known: Known<'a>,
    ) -> BoxFuture<'a, Called<(Vec<PersonChange>, String)>> {
        Box::pin(async move { flat(self.follow(cursor, known).await) })
    }

    fn pause_asked(&self) -> Option<Duration> {
        self.client.pause_asked()
    }

    fn check(&self, now: Time) -> BoxFuture<'_, Vec<Result<String, String>>> {
        Box::pin(self.check_all(now))
    }
}
