//! GitLab issues and incidents.
//!
//! The key is a label, which a list finds at once. An issue is open or closed; what else the bridge
//! knows of a ticket's status is not shown. The severity is a scoped label. Text stands inside of a
//! code fence, where GitLab reads neither mentions nor quick actions. Each project is a tracker of
//! its own: the queue of a route has no meaning here.

mod changes;
mod config;

pub use config::GitlabConfig;

use super::client::{Client, secret_header, send};
use super::rest::{
    Adaptor, Base, Changed, Greeting, Note, Outcome, Said, Told, not_changed, open_or_closed,
};
use super::words::{path_part, word};
use super::{Asked, Attachment, Called, Capabilities, Draft, RemoteTicket, Takes, text};
use crate::limits;
use crate::model::Time;
use crate::model::severity::Severity;
use crate::model::text::one_line;
use crate::model::ticket::{RemoteRef, TicketFields, TicketStatus, is_key};
use reqwest::Method;
use reqwest::header::HeaderName;
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::Mutex;

const PRODUCT: &str = "GitLab";
/// What an issue can be.
const KINDS: [&str; 4] = ["issue", "incident", "task", "test_case"];
/// Longest title, characters.
const TITLE_CHARS_MAX: usize = 250;
/// What the labels of severities begin with; a scoped label replaces the one before it.
const SEVERITY: &str = "severity::";

/// GitLab issues as a tracker.
pub struct Gitlab {
    base: Base,
    config: GitlabConfig,
    /// Levels of the project's members by name, as this poll has read them.
    members: Mutex<Option<BTreeMap<String, u64>>>,
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
        let base = Base {
            name: name.to_owned(),
            url: config.url.to_string(),
            client: Client::new(
                &config.url,
                headers.into_iter().collect(),
                &config.connection,
            )?,
            capabilities: Capabilities {
                key_kept: "a label",
                settle: Duration::from_secs(config.settle_seconds),
                poll_every: Duration::from_secs(config.poll_seconds.max(5)),
                subject_chars_max: TITLE_CHARS_MAX,
                body_bytes_max: 256 * 1024,
                attachment_bytes_max: 1024 * 1024,
                takes: Takes {
                    kind: true,
                    ..Takes::NOTHING
                },
                parallel_max: config.parallel.max(1),
                ..Capabilities::TICKETS
            },
        };
        Ok(Gitlab {
            base,
            config,
            members: Mutex::default(),
        })
    }

    fn project(&self) -> String {
        format!("/api/v4/projects/{}", path_part(&self.config.project))
    }

    fn issue_path(&self, iid: &str) -> String {
        format!("{}/issues/{}", self.project(), path_part(iid))
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
                .find(|label| is_key(label))
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

    /// All pages of a list.
    async fn list(
        &self,
        path: &str,
        query: &[(&str, &str)],
        pages_max: usize,
    ) -> Outcome<Vec<Value>> {
        let mut items: Vec<Value> = Vec::new();
        for page in 1..=pages_max {
            let page = page.to_string();
            let mut query = query.to_vec();
            query.extend([("per_page", "100"), ("page", page.as_str())]);
            let answer = self.base.client.get(path, &query).await.done()?.json();
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

    /// The issue; none if it was deleted or moved away.
    async fn issue(&self, iid: &str) -> Outcome<Option<Value>> {
        let Some(answer) = self.base.look(&self.issue_path(iid), &[]).await? else {
            // A token without access would look the same.
            self.base.client.get(&self.project(), &[]).await.done()?;
            return Ok(None);
        };
        let issue = answer.json();
        if word(&issue, "iid").is_empty() {
            return Err(Called::later("the answer to a read is no issue"));
        }
        let moved = !issue["moved_to_id"].is_null();
        Ok((!moved).then_some(issue))
    }

    /// Uploads a file; the Markdown that shows it. Should this not be done, the issue says what was
    /// cut, and nothing else is wrong.
    async fn upload(&self, file: &Attachment) -> Option<String> {
        let form = reqwest::multipart::Form::new().part("file", file.part()?);
        let path = format!("{}/uploads", self.project());
        let request = self.base.client.request(Method::POST, &path);
        let answer = send(request.multipart(form)).await.ok()?;
        let shown = one_line(&word(&answer.json(), "markdown"));
        (answer.is_success() && !shown.is_empty()).then_some(shown)
    }

    async fn put(&self, iid: &str, change: &Value) -> Outcome<Value> {
        let path = self.issue_path(iid);
        let to = (Method::PUT, path.as_str());
        self.base.write(PRODUCT, to, change, "iid").await
    }

    async fn note(&self, iid: &str, text: &str, public: bool) -> Outcome<()> {
        let path = format!("{}/notes", self.issue_path(iid));
        let note = json!({ "body": text, "internal": !public });
        let to = (Method::POST, path.as_str());
        self.base.write(PRODUCT, to, &note, "id").await?;
        Ok(())
    }

    async fn notes(&self, iid: &str) -> Outcome<Vec<Value>> {
        let path = format!("{}/notes", self.issue_path(iid));
        self.list(&path, &[("sort", "asc")], limits::TRACKER_NOTES_PAGES_MAX)
            .await
    }
}

impl Adaptor for Gitlab {
    const PRODUCT: &'static str = PRODUCT;

    fn base(&self) -> &Base {
        &self.base
    }

    fn kept(&self, fields: TicketFields) -> TicketFields {
        open_or_closed(fields)
    }

    async fn greet(&self) -> Outcome<Greeting> {
        let answer = self.base.client.get("/api/v4/user", &[]).await.done()?;
        let user = word(&answer.json(), "username");
        if user.is_empty() {
            return Err(Called::later("the answer does not name the bridge's user"));
        }
        Ok(Greeting {
            words: format!("the token belongs to `{user}`"),
            user,
            clock: answer.date(),
        })
    }

    async fn check_more(&self) -> Said {
        let project = &self.config.project;
        vec![match self.base.client.get(&self.project(), &[]).await {
            Called::Done(answer) if answer.json()["issues_enabled"] == json!(false) => {
                Err(format!("{project} has no issues: switch them on"))
            }
            Called::Done(_) => Ok(format!(
                "{project} takes issues; the key is kept as a label"
            )),
            other => Err(format!("{project} cannot be read: {}", other.why())),
        }]
    }

    async fn check_asked(&self, asked: &[Asked]) -> Said {
        let kinds = asked.iter().filter(|route| !route.kind.is_empty());
        let said = kinds.map(|route| {
            let there = KINDS.contains(&route.kind.as_str());
            route.is_there(&format!("type `{}`", route.kind), there)
        });
        said.collect()
    }

    async fn token_ends_at(&self) -> Option<Time> {
        // Only personal, project and group tokens answer; a job's or an OAuth token ends anyhow.
        let path = "/api/v4/personal_access_tokens/self";
        let Called::Done(answer) = self.base.client.get(path, &[]).await else {
            return None;
        };
        let day = word(&answer.json(), "expires_at");
        Time::parse_rfc3339(&format!("{day}T00:00:00Z"))
    }

    async fn search(&self, key: &str) -> Outcome<Vec<RemoteTicket>> {
        let path = format!("{}/issues", self.project());
        let query = [("labels", key), ("scope", "all"), ("sort", "asc")];
        let issues = self.list(&path, &query, 2).await?;
        Ok(issues.iter().map(Gitlab::ticket).collect())
    }

    async fn create(&self, draft: &Draft) -> Outcome<RemoteRef> {
        let mut labels = self.config.labels.clone();
        labels.push(draft.key.clone());
        labels.extend(draft.fields.severity.map(label));
        let mut last = String::new();
        for file in &draft.attachments {
            if let Some(shown) = self.upload(file).await {
                last.push_str(&format!("{shown}\n\n"));
            }
        }
        last.push_str(&draft.key);
        let issue = json!({
            "title": self.base.subject(&draft.fields.subject),
            "description": body(&draft.body, &last),
            "labels": labels.join(","),
            "issue_type": if draft.kind.is_empty() { &self.config.issue_type } else { &draft.kind },
            "confidential": self.config.confidential,
        });
        let path = format!("{}/issues", self.project());
        let to = (Method::POST, path.as_str());
        let issue = self.base.write(PRODUCT, to, &issue, "iid").await?;
        Ok(Gitlab::ticket(&issue).remote)
    }

    async fn write_fields(
        &self,
        iid: &str,
        from: Option<&TicketFields>,
        to: &TicketFields,
    ) -> Outcome<()> {
        let mut change = Map::new();
        if from.is_none_or(|from| from.subject != to.subject) {
            let title = self.base.subject(&to.subject);
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
        not_changed(PRODUCT, "state")
    }

    async fn write_note(&self, iid: &str, note: Note<'_>) -> Outcome<()> {
        self.note(iid, &body(note.text, note.marker), note.public)
            .await
    }

    async fn close_twin(&self, iid: &str, other: &str) -> Outcome<()> {
        self.put(iid, &json!({ "state_event": "close" })).await?;
        self.note(iid, &format!("Duplicate of #{other}"), false)
            .await
    }

    async fn read_whole(&self, iid: &str) -> Outcome<Option<RemoteTicket>> {
        let Some(issue) = self.issue(iid).await? else {
            return Ok(None);
        };
        let mut ticket = Gitlab::ticket(&issue);
        for note in self.notes(iid).await? {
            let text = word(&note, "body");
            ticket.markers.push(text::last_line(&text).to_owned());
        }
        Ok(Some(ticket))
    }

    async fn changed_since(&self, since: Time) -> Outcome<Changed> {
        *self.members.lock().await = None;
        let since = since.to_string();
        let path = format!("{}/issues", self.project());
        let query = [
            ("updated_after", since.as_str()),
            ("scope", "all"),
            ("order_by", "updated_at"),
            ("sort", "asc"),
        ];
        let issues = self
            .list(&path, &query, limits::TRACKER_POLL_PAGES_MAX)
            .await?;
        let whole = issues.len() < 100 * limits::TRACKER_POLL_PAGES_MAX;
        Ok(Changed::listed(&issues, ("iid", "updated_at"), whole))
    }

    async fn history(&self, iid: &str, me: &str) -> Outcome<Vec<Told>> {
        self.told(iid, me).await
    }
}
