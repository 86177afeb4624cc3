//! Jira, Cloud and Data Center, with or without Service Management.
//!
//! The key is a label. Cloud's search lags behind writes, so a look-up waits until the index has
//! settled. Text goes through version 2 of the interface, inside of `{noformat}`. The status moves
//! by transitions only. A field that is not on the project's screen is left out if it is optional.

mod changes;
mod check;
mod config;
mod fields;

pub use config::{Deployment, JiraConfig};

use super::client::{Answer, Client, secret_header};
use super::words::{Severities, Statuses, path_part, word};
use super::{
    Asked, Attachment, Called, Capabilities, Change, Draft, Known, RemoteTicket, Takes, Tracker,
    flat, text,
};
use crate::limits;
use crate::model::Time;
use crate::model::text::bounded;
use crate::model::ticket::{PersonChange, RemoteRef, TicketFields, TicketStatus};
use base64::Engine as _;
use futures_util::future::BoxFuture;
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use std::time::Duration;
use tokio::sync::OnceCell;

/// Longest summary, characters.
const SUMMARY_CHARS_MAX: usize = 255;
/// Longest description or comment that is sent, bytes; Jira takes 32,767 characters.
const TEXT_BYTES_MAX: usize = 32_000;

/// Jira as a tracker.
pub struct Jira {
    name: String,
    config: JiraConfig,
    client: Client,
    capabilities: Capabilities,
    me: OnceCell<String>,
    fields: OnceCell<Vec<Value>>,
}

/// Alert text as Jira shows it without reading it, with `last` as its last line.
fn body(text: &str, last: &str) -> String {
    let text = text::broken_up(&text::plain(text), "{noformat");
    // Mentions are looked for in the text as it is written, whatever stands around them.
    let text = text.replace("[~", "[ ~");
    let text = bounded(&text, TEXT_BYTES_MAX - 200);
    format!("{{noformat}}\n{text}\n{{noformat}}\n\n{last}")
}

/// Jira writes offsets without a colon.
fn time(text: &str) -> Option<Time> {
    let (rest, offset) = text.split_at_checked(text.len().checked_sub(5)?)?;
    match offset.split_at_checked(3) {
        Some((hours, minutes)) if hours.starts_with(['+', '-']) => {
            Time::parse_rfc3339(&format!("{rest}{hours}:{minutes}"))
        }
        _ => Time::parse_rfc3339(text),
    }
}

/// A text of JQL.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Who a user is: an account id on Cloud, a name on Data Center.
fn user(value: &Value) -> String {
    let id = word(value, "accountId");
    if id.is_empty() {
        word(value, "name")
    } else {
        id
    }
}

impl Jira {
    /// A tracker by its configuration; nothing is sent yet.
    pub fn new(name: &str, mut config: JiraConfig) -> Result<Jira, String> {
        config.status = config.status.or(Statuses::of_names([
            "To Do",
            "In Progress",
            "Waiting for customer",
            "On Hold",
            "Done",
            "Done",
            "Done",
        ]));
        config.priority = config.priority.or(Severities::of_words([
            "Highest", "High", "Medium", "Low", "Lowest",
        ]));
        let token = config.token.expose_secret();
        let cloud = config.deployment == Deployment::Cloud;
        let authorization = if cloud {
            let pair = format!("{}:{token}", config.user);
            let pair = base64::engine::general_purpose::STANDARD.encode(pair);
            secret_header(&format!("Basic {pair}"))?
        } else {
            secret_header(&format!("Bearer {token}"))?
        };
        let headers = [(reqwest::header::AUTHORIZATION, authorization)];
        let client = Client::new(
            &config.url,
            headers.into_iter().collect(),
            &config.connection,
        )?;
        Ok(Jira {
            name: name.to_owned(),
            client,
            capabilities: Capabilities {
                key_kept: "a label",
                settle: Duration::from_secs(config.settle_seconds),
                poll_every: Duration::from_secs(config.poll_seconds.max(5)),
                subject_chars_max: SUMMARY_CHARS_MAX,
                body_bytes_max: TEXT_BYTES_MAX - 200,
                attachment_bytes_max: 1024 * 1024,
                takes: Takes {
                    requestor: false,
                    ..Takes::ALL
                },
                parallel_max: config.parallel.max(1),
                ..Capabilities::TICKETS
            },
            config,
            me: OnceCell::new(),
            fields: OnceCell::new(),
        })
    }

    fn link(&self, key: &str) -> RemoteRef {
        let base = self.config.url.as_str().trim_end_matches('/');
        RemoteRef {
            key: key.to_owned(),
            url: format!("{base}/browse/{key}"),
        }
    }

    async fn me<T>(&self) -> Result<String, Called<T>> {
        if let Some(id) = self.me.get() {
            return Ok(id.clone());
        }
        let answer = self.client.get("/rest/api/2/myself", &[]).await.done()?;
        let id = user(&answer.json());
        if id.is_empty() {
            return Err(Called::later("the answer does not name the bridge's user"));
        }
        Ok(self.me.get_or_init(|| async { id }).await.clone())
    }

    async fn create(&self, draft: &Draft) -> Result<RemoteRef, Called<RemoteRef>> {
        let queue = &draft.fields.queue;
        let project = if queue.is_empty() {
            &self.config.project
        } else {
            queue
        };
        let kind = if draft.kind.is_empty() {
            &self.config.issue_type
        } else {
            &draft.kind
        };
        let mut fields = Value::Object(self.custom(&draft.custom).await?);
        fields["project"] = json!({ "key": project });
        fields["issuetype"] = json!({ "name": kind });
        fields["summary"] = json!(text::subject(&draft.fields.subject, "", SUMMARY_CHARS_MAX));
        fields["description"] = json!(body(&draft.body, &draft.key));
        fields["labels"] = json!([draft.key]);
        if let Some(severity) = draft.fields.severity {
            fields["priority"] = json!({ "name": self.config.priority.word(severity) });
        }
        let issue = json!({ "fields": fields });
        let answer = self
            .write_issue(Method::POST, "/rest/api/2/issue", issue)
            .await;
        let answer = answer.done()?;
        let key = word(&answer.json(), "key");
        if key.is_empty() {
            return Err(Called::Unknown {
                reason: format!("the answer to a create names no issue: {}", answer.said()),
                after: None,
            });
        }
        for file in &draft.attachments {
            self.attach(&key, file).await;
        }
        for watcher in &draft.watchers {
            // A file, a watcher: the issue is there without, and nothing else is wrong.
            let path = format!("/rest/api/2/issue/{}/watchers", path_part(&key));
            let request = self
                .client
                .request(Method::POST, &path)
                .json(&json!(watcher));
            let _ = super::client::send(request).await;
        }
        Ok(self.link(&key))
    }

    /// A file cannot come with a create. The issue is there: should this not be done, its body says
    /// what was cut, and nothing else is wrong.
    async fn attach(&self, key: &str, file: &Attachment) {
        let Some(part) = file.part() else {
            return;
        };
        let form = reqwest::multipart::Form::new().part("file", part);
        let path = format!("/rest/api/2/issue/{}/attachments", path_part(key));
        let request = self
            .client
            .request(Method::POST, &path)
            .header("x-atlassian-token", "no-check")
            .multipart(form);
        let _ = super::client::send(request).await;
    }

    /// Writes an issue; the priority is left out if the project's screen does not have it.
    async fn write_issue(&self, method: Method, path: &str, mut issue: Value) -> Called<Answer> {
        let written = self.client.write(method.clone(), path, &issue).await;
        let Called::Refused {
            field: Some(field), ..
        } = &written
        else {
            return written;
        };
        let fields = issue["fields"].as_object_mut();
        match fields.and_then(|fields| (field == "priority").then(|| fields.remove("priority"))) {
            Some(Some(_)) => self.client.write(method, path, &issue).await,
            _ => written,
        }
    }

    /// Our word for a status; one that nobody configured is over if its category says so.
    fn status(&self, status: &Value) -> TicketStatus {
        let name = word(status, "name");
        let read = self.config.status.read(&name);
        let configured = self.config.status.name(read) == name;
        if !configured && word(&status["statusCategory"], "key") == "done" {
            return TicketStatus::Closed;
        }
        read
    }

    fn ticket(&self, issue: &Value) -> RemoteTicket {
        let fields = &issue["fields"];
        let labels = fields["labels"].as_array().into_iter().flatten();
        let key = labels
            .filter_map(Value::as_str)
            .find(|l| l.starts_with("ab-"));
        RemoteTicket {
            remote: self.link(&word(issue, "key")),
            key: key.unwrap_or_default().to_owned(),
            fields: TicketFields {
                subject: word(fields, "summary"),
                status: self.status(&fields["status"]),
                severity: self
                    .config
                    .priority
                    .read(&word(&fields["priority"], "name")),
                queue: word(&fields["project"], "key"),
            },
            markers: Vec::new(),
            created_at: time(&word(fields, "created")),
        }
    }

    /// Issues of a search, and whether these are all.
    async fn search_issues<T>(
        &self,
        jql: &str,
        fields: &[&str],
        pages_max: usize,
    ) -> Result<(Vec<Value>, bool), Called<T>> {
        let cloud = self.config.deployment == Deployment::Cloud;
        let mut issues: Vec<Value> = Vec::new();
        let mut next = String::new();
        for _ in 0..pages_max {
            let mut query = json!({ "jql": jql, "fields": fields, "maxResults": 50 });
            let path = if cloud {
                if !next.is_empty() {
                    query["nextPageToken"] = json!(next);
                }
                "/rest/api/3/search/jql"
            } else {
                query["startAt"] = json!(issues.len());
                "/rest/api/2/search"
            };
            // A search is a read, though it is posted: nothing is unknown after it.
            let answer = match self.client.write(Method::POST, path, &query).await {
                Called::Unknown { reason, after } => return Err(Called::Later { reason, after }),
                Called::Refused { reason, .. } => return Err(Called::later(reason)),
                other => other.done()?.json(),
            };
            let Some(items) = answer["issues"].as_array() else {
                return Err(Called::later("the answer to a search is no list"));
            };
            issues.extend(items.iter().cloned());
            next = word(&answer, "nextPageToken");
            let total = answer["total"].as_u64().unwrap_or(0);
            let more = if cloud {
                !next.is_empty()
            } else {
                (issues.len() as u64) < total
            };
            if items.is_empty() || !more {
                return Ok((issues, true));
            }
        }
        Ok((issues, false))
    }

    async fn search(&self, key: &str) -> Result<Vec<RemoteTicket>, Called<Vec<RemoteTicket>>> {
        let jql = format!("labels = {} ORDER BY created ASC", quoted(key));
        let fields = [
            "summary", "status", "priority", "labels", "created", "project",
        ];
        let pages_max = limits::TRACKER_POLL_PAGES_MAX;
        let (issues, _) = self.search_issues(&jql, &fields, pages_max).await?;
        let tickets = issues.iter().map(|issue| self.ticket(issue));
        Ok(tickets
            .filter(|ticket| ticket.key == key && ticket.fields.status != TicketStatus::Gone)
            .collect())
    }

    /// The issue; none if it was deleted.
    async fn issue<T>(
        &self,
        key: &str,
        query: &[(&str, &str)],
    ) -> Result<Option<Value>, Called<T>> {
        let path = format!("/rest/api/2/issue/{}", path_part(key));
        let answer = self.client.get(&path, query).await;
        if let Called::Refused { reason, .. } = &answer
            && reason.starts_with("HTTP 404")
        {
            return Ok(None);
        }
        let issue = answer.done()?.json();
        if word(&issue, "key").is_empty() {
            return Err(Called::later("the answer to a read is no issue"));
        }
        Ok(Some(issue))
    }

    async fn write_fields(
        &self,
        key: &str,
        from: Option<&TicketFields>,
        to: &TicketFields,
    ) -> Result<(), Called<()>> {
        let path = format!("/rest/api/2/issue/{}", path_part(key));
        let mut fields = Map::new();
        if from.is_none_or(|from| from.subject != to.subject) {
            let summary = text::subject(&to.subject, "", SUMMARY_CHARS_MAX);
            fields.insert("summary".to_owned(), json!(summary));
        }
        if let Some(severity) = to.severity
            && from.is_none_or(|from| from.severity != to.severity)
        {
            let name = self.config.priority.word(severity);
            fields.insert("priority".to_owned(), json!({ "name": name }));
        }
        if !fields.is_empty() {
            let issue = json!({ "fields": fields });
            self.write_issue(Method::PUT, &path, issue).await.done()?;
        }
        if from.is_none_or(|from| from.status != to.status) {
            self.move_to(key, to.status).await?;
        }
        Ok(())
    }

    /// Moves an issue by the transition that leads to a status, and looks whether it is there.
    async fn move_to(&self, key: &str, status: TicketStatus) -> Result<(), Called<()>> {
        let wanted = self.config.status.name(status);
        let path = format!("/rest/api/2/issue/{}/transitions", path_part(key));
        let answer = self.client.get(&path, &[]).await.done()?.json();
        let Some(list) = answer["transitions"].as_array() else {
            return Err(Called::later("the answer is no list of transitions"));
        };
        let to = |transition: &&Value| word(&transition["to"], "name") == wanted;
        // Any transition to a closed category will do where the named one is missing.
        let done = |transition: &&Value| {
            status.is_over() && word(&transition["to"]["statusCategory"], "key") == "done"
        };
        let Some(transition) = list.iter().find(to).or_else(|| list.iter().find(done)) else {
            if self.is_in(key, status).await? {
                return Ok(());
            }
            return Err(Called::Refused {
                reason: format!("no transition of {key} leads to `{wanted}`"),
                field: Some("status".to_owned()),
            });
        };
        let body = json!({ "transition": { "id": word(transition, "id") } });
        self.client.write(Method::POST, &path, &body).await.done()?;
        if self.is_in(key, status).await? {
            return Ok(());
        }
        Err(Called::later(format!("{key} is not in `{wanted}` yet")))
    }

    async fn is_in(&self, key: &str, status: TicketStatus) -> Result<bool, Called<()>> {
        let issue = self.issue(key, &[("fields", "status")]).await?;
        Ok(issue.is_some_and(|issue| {
            let now = self.status(&issue["fields"]["status"]);
            now == status || (now.is_over() && status.is_over())
        }))
    }

    async fn write_note(
        &self,
        key: &str,
        marker: &str,
        note: &str,
        public: bool,
    ) -> Result<(), Called<()>> {
        let path = format!("/rest/api/2/issue/{}/comment", path_part(key));
        let mut comment = json!({ "body": body(note, marker) });
        if self.config.service_management {
            comment["properties"] =
                json!([{ "key": "sd.public.comment", "value": { "internal": !public } }]);
        }
        let answer = self
            .client
            .write(Method::POST, &path, &comment)
            .await
            .done()?;
        if word(&answer.json(), "id").is_empty() {
            return Err(Called::Unknown {
                reason: format!("the answer to a comment is not Jira's: {}", answer.said()),
                after: None,
            });
        }
        Ok(())
    }

    async fn close_as_duplicate(&self, key: &str, other: &str) -> Result<(), Called<()>> {
        let link = json!({
            "type": { "name": "Duplicate" },
            "inwardIssue": { "key": key },
            "outwardIssue": { "key": other },
        });
        match self
            .client
            .write(Method::POST, "/rest/api/2/issueLink", &link)
            .await
        {
            // Without the right to link, closing is what counts.
            Called::Done(_) | Called::Refused { .. } => {}
            other => {
                other.done()?;
            }
        }
        self.move_to(key, TicketStatus::Closed).await
    }

    async fn read_whole(&self, key: &str) -> Result<RemoteTicket, Called<RemoteTicket>> {
        let fields = "summary,status,priority,labels,created,project";
        let Some(issue) = self.issue(key, &[("fields", fields)]).await? else {
            // A token without access to the project would look the same.
            let project = key.rsplit_once('-').map_or(key, |(project, _)| project);
            let path = format!("/rest/api/2/project/{}", path_part(project));
            self.client.get(&path, &[]).await.done()?;
            return Ok(RemoteTicket::gone(self.link(key)));
        };
        let mut ticket = self.ticket(&issue);
        for comment in self.comments(key).await? {
            let body = word(&comment, "body");
            ticket.markers.push(text::last_line(&body).to_owned());
        }
        Ok(ticket)
    }

    async fn comments<T>(&self, key: &str) -> Result<Vec<Value>, Called<T>> {
        let path = format!("/rest/api/2/issue/{}/comment", path_part(key));
        let mut comments: Vec<Value> = Vec::new();
        for _ in 0..limits::TRACKER_NOTES_PAGES_MAX {
            let start = comments.len().to_string();
            let query = [("startAt", start.as_str()), ("maxResults", "100")];
            let answer = self.client.get(&path, &query).await.done()?.json();
            let Some(items) = answer["comments"].as_array() else {
                return Err(Called::later("the answer is no list of comments"));
            };
            comments.extend(items.iter().cloned());
            let total = answer["total"].as_u64().unwrap_or(0);
            if items.is_empty() || comments.len() as u64 >= total {
                break;
            }
        }
        Ok(comments)
    }
}

impl Tracker for Jira {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn as_kept(&self, fields: &TicketFields) -> TicketFields {
        TicketFields {
            subject: text::subject(&fields.subject, "", SUMMARY_CHARS_MAX),
            status: self
                .config
                .status
                .read(self.config.status.name(fields.status)),
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
                Change::Note {
                    marker,
                    text,
                    public,
                    ..
                } => self.write_note(key, marker, text, *public).await,
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

    fn check_asked<'a>(&'a self, asked: &'a [Asked]) -> BoxFuture<'a, Vec<Result<String, String>>> {
        Box::pin(self.check_routes(asked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_alerts_stays_inside() {
        let shown = body("a {noformat} {NOFORMAT} [~admin] h1. x", "ab-1");
        assert_eq!(shown.matches("{noformat}").count(), 2);
        assert!(
            !shown.contains("{NOFORMAT") && !shown.contains("[~"),
            "{shown}"
        );
        assert_eq!(text::last_line(&shown), "ab-1");
    }

    #[test]
    fn times_are_read_with_and_without_a_colon() {
        let expected = Time::parse_rfc3339("2026-11-25T03:12:38Z");
        assert_eq!(time("2026-11-25T04:12:38.000+0100"), expected);
        assert_eq!(time("2026-11-25T03:12:38Z"), expected);
        assert_eq!(time("+"), None);
    }
}
