//! Redmine by its REST interface.
//!
//! The key stands in the last line of the description, which a search finds at once, and in a custom
//! field where the project has one that can be searched by. Redmine drops filters that it does not
//! know and answers 204 to changes that it did not make, so every hit is compared and every change
//! read back. Our notes end with their marker.

mod changes;
mod check;
mod config;
mod files;
mod given;
mod open;
mod shape;

pub use config::{Markup, RedmineConfig};

use super::client::{Answer, Client, secret_header};
use super::words::{Severities, Statuses, path_part, word};
use super::{
    Asked, Called, Capabilities, Change, Draft, Known, OpenTicket, RemoteTicket, Takes, Tracker,
    flat, text,
};
use crate::model::Time;
use crate::model::ticket::{PersonChange, RemoteRef, TicketFields, TicketStatus};
use futures_util::future::BoxFuture;
use reqwest::Method;
use reqwest::header::HeaderName;
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use shape::Names;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;

/// Longest subject, characters.
const SUBJECT_CHARS_MAX: usize = 255;

/// Ids of custom fields by name.
type FieldIds = BTreeMap<String, u64>;
/// Members of the project by id: name and roles.
type Members = BTreeMap<String, (String, Vec<String>)>;

/// Redmine as a tracker.
pub struct Redmine {
    name: String,
    config: RedmineConfig,
    client: Client,
    capabilities: Capabilities,
    me: OnceCell<String>,
    names: OnceCell<Names>,
    /// By project.
    fields: Mutex<BTreeMap<String, FieldIds>>,
    /// Whether a search by the key's field is a search; none: not tried yet.
    filters: Mutex<Option<bool>>,
    members: Mutex<Members>,
}

fn refused_field<T>(field: &str, reason: &str) -> Called<T> {
    Called::Refused {
        reason: reason.to_owned(),
        field: Some(field.to_owned()),
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Redmine {
    /// A tracker by its configuration; nothing is sent yet.
    pub fn new(name: &str, mut config: RedmineConfig) -> Result<Redmine, String> {
        config.status = config.status.or(Statuses::of_names([
            "New",
            "In Progress",
            "Feedback",
            "Feedback",
            "Resolved",
            "Closed",
            "Rejected",
        ]));
        config.priority = config.priority.or(Severities::of_words([
            "Immediate",
            "Urgent",
            "High",
            "Normal",
            "Low",
        ]));
        let token = secret_header(config.token.expose_secret())?;
        let headers = [(HeaderName::from_static("x-redmine-api-key"), token)];
        let client = Client::new(
            &config.url,
            headers.into_iter().collect(),
            &config.connection,
        )?;
        Ok(Redmine {
            name: name.to_owned(),
            client,
            capabilities: Capabilities {
                key_kept: "a custom field, else the subject",
                settle: Duration::from_secs(config.settle_seconds),
                poll_every: Duration::from_secs(config.poll_seconds.max(1)),
                subject_chars_max: SUBJECT_CHARS_MAX,
                body_bytes_max: 60 * 1024,
                lists_open: true,
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
            names: OnceCell::new(),
            fields: Mutex::default(),
            filters: Mutex::default(),
            members: Mutex::default(),
        })
    }

    fn project_of<'a>(&'a self, fields: &'a TicketFields) -> &'a str {
        if fields.queue.is_empty() {
            &self.config.project
        } else {
            &fields.queue
        }
    }

    fn link(&self, number: &str) -> RemoteRef {
        let base = self.config.url.as_str().trim_end_matches('/');
        RemoteRef {
            key: number.to_owned(),
            url: format!("{base}/issues/{number}"),
        }
    }

    /// The id of the bridge's own user. A lost key would show as empty lists elsewhere.
    async fn me<T>(&self) -> Result<String, Called<T>> {
        if let Some(id) = self.me.get() {
            return Ok(id.clone());
        }
        let user = self.client.get("/users/current.json", &[]).await.done()?;
        let id = word(&user.json()["user"], "id");
        if id.is_empty() {
            return Err(Called::later("the answer does not name the bridge's user"));
        }
        Ok(self.me.get_or_init(|| async { id }).await.clone())
    }

    async fn list<T>(&self, path: &str, list: &str) -> Result<Value, Called<T>> {
        let answer = self.client.get(path, &[]).await.done()?.json();
        if answer[list].is_array() {
            return Ok(answer);
        }
        Err(Called::later(format!("the answer to {path} is no list")))
    }

    /// Ids of statuses, priorities and trackers; read once.
    async fn names<T>(&self) -> Result<Names, Called<T>> {
        if let Some(names) = self.names.get() {
            return Ok(names.clone());
        }
        let statuses = self.list("/issue_statuses.json", "issue_statuses").await?;
        let priorities = self
            .list("/enumerations/issue_priorities.json", "issue_priorities")
            .await?;
        let trackers = self.list("/trackers.json", "trackers").await?;
        let items = statuses["issue_statuses"].as_array().into_iter().flatten();
        let names = Names {
            statuses: shape::names(&statuses, "issue_statuses"),
            closed: items
                .filter(|status| status["is_closed"] == Value::Bool(true))
                .map(|status| word(status, "name"))
                .collect(),
            priorities: shape::names(&priorities, "issue_priorities"),
            trackers: shape::names(&trackers, "trackers"),
        };
        Ok(self.names.get_or_init(|| async { names }).await.clone())
    }

    /// Our word for a status; one that nobody configured is over if Redmine calls it closed.
    fn status(&self, names: &Names, name: &str) -> TicketStatus {
        let read = self.config.status.read(name);
        let configured = self.config.status.name(read) == name;
        if !configured && names.closed.iter().any(|closed| closed == name) {
            return TicketStatus::Closed;
        }
        read
    }

    /// Custom fields of a project, as its issues show them; none while it has no issue.
    async fn fields_of<T>(&self, project: &str) -> Result<FieldIds, Called<T>> {
        if let Some(known) = locked(&self.fields).get(project) {
            return Ok(known.clone());
        }
        let query = [("project_id", project), ("status_id", "*"), ("limit", "1")];
        let answer = self.client.get("/issues.json", &query).await.done()?.json();
        let ids = shape::custom_field_ids(&answer["issues"][0]["custom_fields"]);
        if !ids.is_empty() {
            locked(&self.fields).insert(project.to_owned(), ids.clone());
        }
        Ok(ids)
    }

    async fn id_of_status<T>(&self, status: TicketStatus) -> Result<u64, Called<T>> {
        let names = self.names().await?;
        let name = self.config.status.name(status);
        names
            .statuses
            .get(name)
            .copied()
            .ok_or_else(|| Called::Refused {
                reason: format!("Redmine has no status `{name}`: set [status] to the names it has"),
                field: Some("status".to_owned()),
            })
    }

    async fn create(&self, draft: &Draft) -> Result<RemoteRef, Called<RemoteRef>> {
        // Checked first: without its key Redmine would take the request for a stranger's.
        self.me().await?;
        let project = self.project_of(&draft.fields);
        let names = self.names().await?;
        let fields = self.fields_of(project).await?;
        let mut issue = json!({
            "project_id": project,
            "subject": text::subject(&draft.fields.subject, "", SUBJECT_CHARS_MAX),
            "description": shape::body(self.config.markup, &draft.body, &draft.key),
            "status_id": self.id_of_status(draft.fields.status).await?,
        });
        if let Some(id) = self.kind_of(&draft.kind, &names)? {
            issue["tracker_id"] = json!(id);
        }
        if !draft.watchers.is_empty() {
            issue["watcher_user_ids"] = self.watchers(project, &draft.watchers).await?;
        }
        let mut custom = Vec::new();
        for (name, value) in &draft.custom {
            // A new project shows its fields with its first issue; until then they are numbers only.
            let id = fields.get(name).copied().or_else(|| name.parse().ok());
            let Some(id) = id else {
                return Err(refused_field(
                    name,
                    &format!("project `{project}` shows no field `{name}`"),
                ));
            };
            custom.push(json!({ "id": id, "value": value }));
        }
        if let Some(id) = fields.get(&self.config.key_field) {
            custom.push(json!({ "id": id, "value": draft.key }));
        }
        if let Some(severity) = draft.fields.severity {
            if let Some(id) = names.priorities.get(self.config.priority.word(severity)) {
                issue["priority_id"] = json!(id);
            }
            if let Some(id) = fields.get(&self.config.severity_field) {
                custom.push(json!({ "id": id, "value": severity.to_string() }));
            }
        }
        issue["custom_fields"] = Value::Array(custom);
        if !draft.attachments.is_empty() {
            issue["uploads"] = self.uploads(&draft.attachments).await?;
        }
        let body = json!({ "issue": issue });
        let answer = self.client.write(Method::POST, "/issues.json", &body).await;
        let answer = answer.done()?;
        let number = word(&answer.json()["issue"], "id");
        if number.is_empty() {
            return Err(Called::Unknown {
                reason: format!("the answer to a create names no issue: {}", answer.said()),
                after: None,
            });
        }
        Ok(self.link(&number))
    }

    /// Changes an issue; a lost optimistic lock is tried again later.
    async fn put(&self, number: &str, issue: Value) -> Called<Answer> {
        let path = format!("/issues/{}.json", path_part(number));
        let body = json!({ "issue": issue });
        let answer = self.client.write(Method::PUT, &path, &body).await;
        match answer {
            Called::Refused {
                reason,
                field: None,
            } if reason == "HTTP 422" => {
                Called::later("somebody else changed the issue at the same time")
            }
            Called::Done(answer) if answer.status != 204 && !answer.body.is_empty() => {
                Called::Unknown {
                    reason: format!("the answer to a change is not Redmine's: {}", answer.said()),
                    after: None,
                }
            }
            other => other,
        }
    }

    /// The issue; none if it was deleted.
    async fn issue<T>(&self, number: &str) -> Result<Option<Value>, Called<T>> {
        let path = format!("/issues/{}.json", path_part(number));
        let answer = self.client.get(&path, &[("include", "journals")]).await;
        if let Called::Refused { reason, .. } = &answer
            && reason.starts_with("HTTP 404")
        {
            // A lost key would look the same.
            self.client.get("/users/current.json", &[]).await.done()?;
            return Ok(None);
        }
        let issue = answer.done()?.json()["issue"].take();
        if word(&issue, "id").is_empty() {
            return Err(Called::later("the answer to a read is no issue"));
        }
        Ok(Some(issue))
    }

    fn ticket(&self, names: &Names, issue: &Value) -> RemoteTicket {
        let in_field = shape::custom_value(issue, &self.config.key_field);
        let description = word(issue, "description");
        let severity = shape::custom_value(issue, &self.config.severity_field);
        let severity = severity
            .parse()
            .ok()
            .or_else(|| self.config.priority.read(&word(&issue["priority"], "name")));
        RemoteTicket {
            remote: self.link(&word(issue, "id")),
            key: if in_field.is_empty() {
                shape::last_line(&description).to_owned()
            } else {
                in_field
            },
            fields: TicketFields {
                subject: word(issue, "subject"),
                status: self.status(names, &word(&issue["status"], "name")),
                severity,
                queue: word(&issue["project"], "name"),
            },
            markers: Vec::new(),
            created_at: Time::parse_rfc3339(&word(issue, "created_on")),
        }
    }

    /// A field that is not marked as a filter is dropped from the query, and everything is found.
    async fn field_filters<T>(&self, id: u64) -> Result<bool, Called<T>> {
        if let Some(known) = *locked(&self.filters) {
            return Ok(known);
        }
        let filter = format!("cf_{id}");
        let query = [
            (filter.as_str(), "ab-nobody-has-this-key"),
            ("status_id", "*"),
            ("limit", "1"),
        ];
        let answer = self.client.get("/issues.json", &query).await.done()?.json();
        let filters = answer["total_count"] == json!(0);
        *locked(&self.filters) = Some(filters);
        Ok(filters)
    }

    async fn search(&self, key: &str) -> Result<Vec<RemoteTicket>, Called<Vec<RemoteTicket>>> {
        self.me().await?;
        let names = self.names().await?;
        let fields = self.fields_of(&self.config.project).await?;
        let contains = format!("~{key}");
        let mut filters = vec![("description".to_owned(), contains)];
        if let Some(id) = fields.get(&self.config.key_field)
            && self.field_filters(*id).await?
        {
            filters.push((format!("cf_{id}"), key.to_owned()));
        }
        let mut found: Vec<RemoteTicket> = Vec::new();
        for (filter, value) in filters {
            let query = [
                (filter.as_str(), value.as_str()),
                ("status_id", "*"),
                ("limit", "100"),
            ];
            let answer = self.client.get("/issues.json", &query).await.done()?.json();
            let Some(items) = answer["issues"].as_array() else {
                return Err(Called::later("the answer to a search is no list"));
            };
            let total = answer["total_count"].as_u64().unwrap_or(0);
            if total > 100 {
                return Err(Called::later(format!(
                    "a search by `{filter}` finds {total} issues: Redmine ignores it"
                )));
            }
            for ticket in items.iter().map(|issue| self.ticket(&names, issue)) {
                let gone = ticket.fields.status == TicketStatus::Gone;
                let fresh = found.iter().all(|other| other.remote != ticket.remote);
                if ticket.key == key && !gone && fresh {
                    found.push(ticket);
                }
            }
        }
        Ok(found)
    }

    async fn write_fields(
        &self,
        number: &str,
        from: Option<&TicketFields>,
        to: &TicketFields,
    ) -> Result<(), Called<()>> {
        let names = self.names().await?;
        let mut issue = Map::new();
        if from.is_none_or(|from| from.subject != to.subject) {
            let subject = text::subject(&to.subject, "", SUBJECT_CHARS_MAX);
            issue.insert("subject".to_owned(), json!(subject));
        }
        if from.is_none_or(|from| from.status != to.status) {
            let id = self.id_of_status(to.status).await?;
            issue.insert("status_id".to_owned(), json!(id));
        }
        if let Some(severity) = to.severity
            && from.is_none_or(|from| from.severity != to.severity)
        {
            if let Some(id) = names.priorities.get(self.config.priority.word(severity)) {
                issue.insert("priority_id".to_owned(), json!(id));
            }
            let fields = self.fields_of(&self.config.project).await?;
            if let Some(id) = fields.get(&self.config.severity_field) {
                let custom = json!([{ "id": id, "value": severity.to_string() }]);
                issue.insert("custom_fields".to_owned(), custom);
            }
        }
        if issue.is_empty() {
            return Ok(());
        }
        let wanted = Value::Object(issue);
        self.put(number, wanted.clone()).await.done()?;
        let Some(after) = self.issue(number).await? else {
            return Err(Called::refused(format!("issue {number} was deleted")));
        };
        for (name, shown) in [("status_id", "status"), ("priority_id", "priority")] {
            if !wanted[name].is_null() && wanted[name] != after[shown]["id"] {
                return Err(Called::Refused {
                    reason: format!(
                        "Redmine did not change the {shown}: the workflow or the rights of the bridge's user forbid it"
                    ),
                    field: Some(shown.to_owned()),
                });
            }
        }
        Ok(())
    }

    async fn close_as_duplicate(&self, number: &str, other: &str) -> Result<(), Called<()>> {
        let path = format!("/issues/{}/relations.json", path_part(number));
        let relation =
            json!({ "relation": { "issue_to_id": other, "relation_type": "duplicates" } });
        match self.client.write(Method::POST, &path, &relation).await {
            // Linked already, or not allowed to link: closing is what counts.
            Called::Done(_) | Called::Refused { .. } => {}
            other => {
                other.done()?;
            }
        }
        let id = self.id_of_status(TicketStatus::Gone).await?;
        self.put(number, json!({ "status_id": id })).await.done()?;
        let after = self.issue(number).await?;
        if after.is_none_or(|after| after["status"]["id"] == json!(id)) {
            return Ok(());
        }
        Err(Called::refused(format!(
            "issue {number} could not be rejected as a duplicate of {other}"
        )))
    }

    async fn read_whole(&self, number: &str) -> Result<RemoteTicket, Called<RemoteTicket>> {
        let names = self.names().await?;
        let Some(issue) = self.issue(number).await? else {
            return Ok(RemoteTicket::gone(self.link(number)));
        };
        let mut ticket = self.ticket(&names, &issue);
        let journals = issue["journals"].as_array().into_iter().flatten();
        let last_lines = journals.map(|journal| {
            let notes = word(journal, "notes");
            shape::last_line(&notes).to_owned()
        });
        ticket.markers = last_lines.filter(|line| !line.is_empty()).collect();
        Ok(ticket)
    }
}

impl Tracker for Redmine {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn as_kept(&self, fields: &TicketFields) -> TicketFields {
        TicketFields {
            subject: text::subject(&fields.subject, "", SUBJECT_CHARS_MAX),
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
        let number = &remote.key;
        Box::pin(async move {
            flat(match change {
                Change::Fields { from, to } => self.write_fields(number, from.as_ref(), to).await,
                Change::Note {
                    marker,
                    text,
                    public,
                    ..
                } => {
                    let notes = shape::body(self.config.markup, text, marker);
                    let issue = json!({ "notes": notes, "private_notes": !public });
                    self.put(number, issue).await.done().map(|_| ())
                }
                Change::CloseAsDuplicateOf(other) => {
                    self.close_as_duplicate(number, &other.key).await
                }
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

    fn open_tickets(&self) -> BoxFuture<'_, Called<Vec<OpenTicket>>> {
        Box::pin(async move { flat(self.list_open().await) })
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
