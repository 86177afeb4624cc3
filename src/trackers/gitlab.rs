//! GitLab issues and incidents.
//!
//! The key is a label, which a list finds at once. An issue is open or closed; what else the bridge
//! knows of a ticket's status is not shown. The severity is a scoped label. Text stands inside of a
//! code fence, where GitLab reads neither mentions nor quick actions. Each project is a tracker of
//! its own: the queue of a route has no meaning here.

mod changes;
mod config;

pub use config::GitlabConfig;

use super::client::{Client, secret_header};
use super::words::{clock, nobody_found, not_theirs, path_part, word};
use super::{
    Asked, Called, Capabilities, Change, Draft, Known, RemoteTicket, Takes, Tracker, flat, text,
};
use crate::limits;
use crate::model::Time;
use crate::model::severity::Severity;
use crate::model::ticket::{PersonChange, RemoteRef, TicketFields, TicketStatus};
use futures_util::future::BoxFuture;
use reqwest::Method;
use reqwest::header::HeaderName;
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use std::time::Duration;
use tokio::sync::OnceCell;

/// Longest title, characters.
const TITLE_CHARS_MAX: usize = 250;
/// What the labels of severities begin with; a scoped label replaces the one before it.
const SEVERITY: &str = "severity::";

/// GitLab issues as a tracker.
pub struct Gitlab {
    name: String,
    config: GitlabConfig,
    client: Client,
    capabilities: Capabilities,
    me: OnceCell<String>,
}

/// Text as GitLab shows it without reading it, with `last` as its last line.
fn body(text: &str, last: &str) -> String {
    format!("{}\n\n{last}", text::fenced(&text::plain(text)))
}

fn label(severity: Severity) -> String {
    format!("{SEVERITY}{severity}")
}

impl Gitlab {
    /// A tracker by its configuration; nothing is sent yet.
    pub fn new(name: &str, config: GitlabConfig) -> Result<Gitlab, String> {
        let token = secret_header(config.token.expose_secret())?;
        let headers = [(HeaderName::from_static("private-token"), token)];
        let client = Client::new(
            &config.url,
            headers.into_iter().collect(),
            &config.connection,
        )?;
        Ok(Gitlab {
            name: name.to_owned(),
            client,
            capabilities: Capabilities {
                key_kept: "a label",
                settle: Duration::from_secs(config.settle_seconds),
                poll_every: Duration::from_secs(config.poll_seconds.max(5)),
                subject_chars_max: TITLE_CHARS_MAX,
                body_bytes_max: 256 * 1024,
                takes: Takes {
                    kind: true,
                    ..Takes::NOTHING
                },
                parallel_max: config.parallel.max(1),
                ..Capabilities::TICKETS
            },
            config,
            me: OnceCell::new(),
        })
    }

    fn project(&self) -> String {
        format!("/api/v4/projects/{}", path_part(&self.config.project))
    }

    fn issue_path(&self, iid: &str) -> String {
        format!("{}/issues/{}", self.project(), path_part(iid))
    }

    async fn me<T>(&self) -> Result<String, Called<T>> {
        if let Some(name) = self.me.get() {
            return Ok(name.clone());
        }
        let user = self.client.get("/api/v4/user", &[]).await.done()?.json();
        let name = word(&user, "username");
        if name.is_empty() {
            return Err(Called::later("the answer does not name the bridge's user"));
        }
        Ok(self.me.get_or_init(|| async { name }).await.clone())
    }

    fn ticket(issue: &Value) -> RemoteTicket {
        let labels = || {
            let labels = issue["labels"].as_array().into_iter().flatten();
            labels.filter_map(Value::as_str)
        };
        let severity = labels().find_map(|label| label.strip_prefix(SEVERITY)?.parse().ok());
        let closed = word(issue, "state") == "closed";
        RemoteTicket {
            remote: RemoteRef {
                key: word(issue, "iid"),
                url: word(issue, "web_url"),
            },
            key: labels()
                .find(|label| label.starts_with("ab-"))
                .unwrap_or_default()
                .to_owned(),
            fields: TicketFields {
                subject: word(issue, "title"),
                status: if closed {
                    TicketStatus::Resolved
                } else {
                    TicketStatus::New
                },
                severity,
                queue: String::new(),
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
            "description": body(&draft.body, &draft.key),
            "labels": labels.join(","),
            "issue_type": if draft.kind.is_empty() { &self.config.issue_type } else { &draft.kind },
            "confidential": self.config.confidential,
        });
        let path = format!("{}/issues", self.project());
        let answer = self
            .client
            .write(Method::POST, &path, &issue)
            .await
            .done()?;
        let issue = answer.json();
        if word(&issue, "iid").is_empty() {
            return Err(not_theirs("GitLab", &answer));
        }
        Ok(Gitlab::ticket(&issue).remote)
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
        let path = format!("{}/issues", self.project());
        let query = [("labels", key), ("scope", "all"), ("sort", "asc")];
        let issues = self.list(&path, &query, 2).await?;
        let tickets = issues.iter().map(Gitlab::ticket);
        Ok(tickets.filter(|ticket| ticket.key == key).collect())
    }

    /// The issue; none if it was deleted or moved away.
    async fn issue<T>(&self, iid: &str) -> Result<Option<Value>, Called<T>> {
        let answer = self.client.get(&self.issue_path(iid), &[]).await;
        if let Called::Refused { reason, .. } = &answer
            && reason.starts_with("HTTP 404")
        {
            // A token without access would look the same.
            self.client.get(&self.project(), &[]).await.done()?;
            return Ok(None);
        }
        let issue = answer.done()?.json();
        if word(&issue, "iid").is_empty() {
            return Err(Called::later("the answer to a read is no issue"));
        }
        let moved = !issue["moved_to_id"].is_null();
        Ok((!moved).then_some(issue))
    }

    async fn put(&self, iid: &str, change: &Value) -> Result<Value, Called<()>> {
        let path = self.issue_path(iid);
        let answer = self.client.write(Method::PUT, &path, change).await.done()?;
        let issue = answer.json();
        if word(&issue, "iid").is_empty() {
            return Err(not_theirs("GitLab", &answer));
        }
        Ok(issue)
    }

    async fn write_fields(
        &self,
        iid: &str,
        from: Option<&TicketFields>,
        to: &TicketFields,
    ) -> Result<(), Called<()>> {
        let mut change = Map::new();
        if from.is_none_or(|from| from.subject != to.subject) {
            let title = text::subject(&to.subject, "", TITLE_CHARS_MAX);
            change.insert("title".to_owned(), json!(title));
        }
        if from.is_none_or(|from| from.status.is_over() != to.status.is_over()) {
            let event = if to.status.is_over() {
                "close"
            } else {
                "reopen"
            };
            change.insert("state_event".to_owned(), json!(event));
        }
        if let Some(severity) = to.severity
            && from.is_none_or(|from| from.severity != to.severity)
        {
            change.insert("add_labels".to_owned(), json!(label(severity)));
            // Without a licence for scoped labels the old one would stay.
            if let Some(old) = from.and_then(|from| from.severity) {
                change.insert("remove_labels".to_owned(), json!(label(old)));
            }
        }
        if change.is_empty() {
            return Ok(());
        }
        let after = Gitlab::ticket(&self.put(iid, &Value::Object(change)).await?);
        if after.fields.status.is_over() == to.status.is_over() {
            return Ok(());
        }
        Err(Called::Refused {
            reason: "GitLab did not change the state: a right is missing".to_owned(),
            field: Some("state".to_owned()),
        })
    }

    async fn note(&self, iid: &str, text: &str, public: bool) -> Result<(), Called<()>> {
        let path = format!("{}/notes", self.issue_path(iid));
        let note = json!({ "body": text, "internal": !public });
        let answer = self.client.write(Method::POST, &path, &note).await.done()?;
        if word(&answer.json(), "id").is_empty() {
            return Err(not_theirs("GitLab", &answer));
        }
        Ok(())
    }

    async fn close_as_duplicate(&self, iid: &str, other: &str) -> Result<(), Called<()>> {
        self.put(iid, &json!({ "state_event": "close" })).await?;
        self.note(iid, &format!("Duplicate of #{other}"), false)
            .await
    }

    async fn read_whole(&self, iid: &str) -> Result<RemoteTicket, Called<RemoteTicket>> {
        let Some(issue) = self.issue(iid).await? else {
            let (key, url) = (iid.to_owned(), String::new());
            return Ok(RemoteTicket::gone(RemoteRef { key, url }));
        };
        let mut ticket = Gitlab::ticket(&issue);
        for note in self.notes(iid).await? {
            let text = word(&note, "body");
            ticket.markers.push(text::last_line(&text).to_owned());
        }
        Ok(ticket)
    }

    async fn notes<T>(&self, iid: &str) -> Result<Vec<Value>, Called<T>> {
        let path = format!("{}/notes", self.issue_path(iid));
        self.list(&path, &[("sort", "asc")], limits::TRACKER_NOTES_PAGES_MAX)
            .await
    }

    async fn check_all(&self, now: Time) -> Vec<Result<String, String>> {
        let mut said = Vec::new();
        let url = &self.config.url;
        match self.client.get("/api/v4/user", &[]).await {
            Called::Done(answer) => {
                let name = word(&answer.json(), "username");
                said.push(Ok(format!(
                    "{url} is GitLab; the token belongs to `{name}`"
                )));
                said.extend(answer.date().map(|date| clock(Some(date), now)));
            }
            other => {
                let why = other.why();
                return vec![Err(format!("{url} does not answer as GitLab: {why}"))];
            }
        }
        let project = &self.config.project;
        said.push(match self.client.get(&self.project(), &[]).await {
            Called::Done(answer) if answer.json()["issues_enabled"] == json!(false) => {
                Err(format!("{project} has no issues: switch them on"))
            }
            Called::Done(_) => Ok(format!(
                "{project} takes issues; the key is kept as a label"
            )),
            other => Err(format!("{project} cannot be read: {}", other.why())),
        });
        let nobody = format!("ab-check-{}", now.0);
        said.push(nobody_found(self.search(&nobody).await, "label", "issues"));
        said
    }
}

impl Tracker for Gitlab {
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
        let iid = &remote.key;
        Box::pin(async move {
            flat(match change {
                Change::Fields { from, to } => self.write_fields(iid, from.as_ref(), to).await,
                Change::Note {
                    marker,
                    text,
                    public,
                    ..
                } => self.note(iid, &body(text, marker), *public).await,
                Change::CloseAsDuplicateOf(other) => self.close_as_duplicate(iid, &other.key).await,
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

    fn token_ends_at(&self) -> BoxFuture<'_, Option<Time>> {
        Box::pin(async {
            // Only personal, project and group tokens answer; a job's or an OAuth token ends anyhow.
            let asked = self.client.get("/api/v4/personal_access_tokens/self", &[]);
            let Called::Done(answer) = asked.await else {
                return None;
            };
            let day = word(&answer.json(), "expires_at");
            Time::parse_rfc3339(&format!("{day}T00:00:00Z"))
        })
    }

    fn check(&self, now: Time) -> BoxFuture<'_, Vec<Result<String, String>>> {
        Box::pin(self.check_all(now))
    }

    fn check_asked<'a>(&'a self, asked: &'a [Asked]) -> BoxFuture<'a, Vec<Result<String, String>>> {
        let known = ["issue", "incident", "task", "test_case"];
        let kinds = asked.iter().filter(|route| !route.kind.is_empty());
        let said = kinds.map(|route| {
            let there = known.contains(&route.kind.as_str());
            route.is_there(&format!("type `{}`", route.kind), there)
        });
        let said = said.collect();
        Box::pin(async move { said })
    }
}
