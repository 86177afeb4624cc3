//! Zendesk.
//!
//! The key stands in `external_id`, which a list reads from the database at once, and goes with a
//! create as `Idempotency-Key`, so that one sent again makes no second ticket. A closed ticket is
//! final: a follow-up ticket refers to it. Comments are HTML, escaped; placeholders are defused.

use super::client::{Client, ConnectionConfig, basic, secret_header, send, written};
use super::promise::PromiseField;
use super::registry::Settings;
use super::rest::{Adaptor, Base, Changed, Greeting, Note, Outcome, Said, Told, not_changed};
use super::words::{Severities, Statuses, not_theirs, numbered, path_part, word};
use super::{
    Asked, Attachment, Called, Capabilities, Draft, RemoteTicket, Reopens, Takes, Tracker, text,
};
use crate::limits;
use crate::model::Time;
use crate::model::text::bounded;
use crate::model::ticket::{PersonDid, RemoteRef, TicketFields, TicketStatus};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const PRODUCT: &str = "Zendesk";
/// What changed in the last minute is not exported, so the export is read from two minutes before.
const EXPORT_BEFORE: Duration = Duration::from_secs(120);

/// `kind = "zendesk"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZendeskConfig {
    /// Where Zendesk is: `https://NAME.zendesk.com/`.
    pub url: Url,
    /// The mail address of the bridge's own agent; empty: the token is one of OAuth.
    #[serde(default)]
    pub user: String,
    /// Its API token.
    pub token: SecretString,
    /// The mail address of the requester of tickets without one.
    pub requester: String,
    /// The number of the group of tickets whose route names none; empty: Zendesk's default.
    #[serde(default)]
    pub group: String,
    /// The number of the ticket field in which staff promise the time of the next update; none unless
    /// said.
    #[serde(default)]
    pub promise_field: PromiseField,
    /// The priority of each severity.
    #[serde(default)]
    pub priority: Severities,
    /// The names of the statuses.
    #[serde(default)]
    pub status: Statuses,
    /// Calls at the same time.
    pub parallel: Option<usize>,
    /// How often it is asked what people did, seconds; the export takes ten questions a minute.
    pub poll_seconds: Option<u64>,
    /// After a request without an answer, how long it may still be worked on, seconds.
    pub settle_seconds: Option<u64>,
    /// How it is spoken to.
    #[serde(default)]
    pub connection: ConnectionConfig,
}

impl Settings for ZendeskConfig {
    const TITLE: &'static str = "Zendesk";
    const EXAMPLE: &'static str = r#"
url = "https://example.zendesk.com/"
user = "bridge@example.net"
token = "..."
requester = "noc@example.net"
"#;

    fn connect(self, name: &str) -> Result<Arc<dyn Tracker>, String> {
        Ok(Arc::new(Zendesk::new(name, self)?))
    }
}

/// Zendesk as a tracker.
pub struct Zendesk {
    base: Base,
    config: ZendeskConfig,
}

impl Zendesk {
    /// A tracker by its configuration; nothing is sent yet.
    pub fn new(name: &str, mut config: ZendeskConfig) -> Result<Zendesk, String> {
        config.status = config.status.or(Statuses::of_names([
            "new", "open", "pending", "hold", "solved", "closed", "deleted",
        ]));
        config.priority = config.priority.or(Severities::of_words([
            "urgent", "urgent", "high", "normal", "low",
        ]));
        let token = config.token.expose_secret().trim();
        let authorization = if config.user.is_empty() {
            secret_header(&format!("Bearer {token}"))?
        } else {
            basic(&format!("{}/token", config.user), token)?
        };
        let headers = [(AUTHORIZATION, authorization)].into_iter().collect();
        let base = Base {
            name: name.to_owned(),
            url: config.url.to_string(),
            client: Client::new(&config.url, headers, &config.connection)?,
            capabilities: Capabilities {
                key_kept: "`external_id`",
                creates_once: true,
                settle: Duration::from_secs(config.settle_seconds.unwrap_or(30)),
                reopens: Reopens::UntilClosed,
                poll_every: Duration::from_secs(config.poll_seconds.unwrap_or(60).max(10)),
                subject_chars_max: 150,
                body_bytes_max: 32 * 1024,
                attachment_bytes_max: 1024 * 1024,
                takes: Takes::ALL,
                parallel_max: config.parallel.unwrap_or(2).max(1),
                calls_per_minute: 150,
                ..Capabilities::TICKETS
            },
        };
        Ok(Zendesk { base, config })
    }

    fn link(&self, id: &str) -> RemoteRef {
        let base = self.config.url.as_str().trim_end_matches('/');
        RemoteRef {
            key: id.to_owned(),
            url: format!("{base}/agent/tickets/{id}"),
        }
    }

    fn ticket(&self, item: &Value) -> RemoteTicket {
        RemoteTicket {
            remote: self.link(&word(item, "id")),
            key: word(item, "external_id"),
            fields: TicketFields {
                subject: word(item, "subject"),
                status: self.config.status.read(&word(item, "status")),
                severity: self.config.priority.read(&word(item, "priority")),
                queue: word(item, "group_id"),
            },
            markers: Vec::new(),
            created_at: Time::parse_rfc3339(&word(item, "created_at")),
        }
    }

    /// The token of an uploaded file.
    async fn upload(&self, file: &Attachment) -> Outcome<String> {
        let request = self
            .base
            .client
            .request(Method::POST, "/api/v2/uploads")
            .query(&[("filename", &file.name)])
            .header(CONTENT_TYPE, &file.content_type)
            .body(file.bytes.clone());
        // A file that nothing refers to is dropped there: sending it again does no harm.
        match written(send(request).await) {
            Called::Unknown { reason, after } => Err(Called::Later { reason, after }),
            other => Ok(word(&other.done()?.json()["upload"], "token")),
        }
    }

    /// Writes a ticket that is there; the ticket after it.
    async fn put(&self, id: &str, ticket: &Value) -> Outcome<Value> {
        let path = format!("/api/v2/tickets/{}", path_part(id));
        let body = json!({ "ticket": ticket });
        let to = (Method::PUT, path.as_str());
        let answer = self.base.write_without(to, body, "/ticket", &["priority"]);
        let answer = answer.await?;
        let after = answer.json()["ticket"].clone();
        if word(&after, "id").is_empty() {
            return Err(not_theirs(PRODUCT, &answer));
        }
        Ok(after)
    }

    /// All pages of a list of a ticket.
    async fn pages(&self, path: &str, list: &str, more: &str) -> Outcome<(Vec<Value>, Vec<Value>)> {
        let (mut items, mut users) = (Vec::new(), Vec::new());
        let mut after = String::new();
        for _ in 0..limits::TRACKER_NOTES_PAGES_MAX {
            let mut query = vec![("page[size]", "100"), ("include", more)];
            if !after.is_empty() {
                query.push(("page[after]", &after));
            }
            let answer = self.base.client.get(path, &query).await.done()?.json();
            let Some(page) = answer[list].as_array() else {
                return Err(Called::later(format!("the answer has no {list}")));
            };
            items.extend(page.iter().cloned());
            users.extend(answer["users"].as_array().into_iter().flatten().cloned());
            if answer["meta"]["has_more"] != Value::Bool(true) {
                break;
            }
            after = word(&answer["meta"], "after_cursor");
        }
        Ok((items, users))
    }

    fn meaning(&self, event: &Value, staff: bool) -> Option<PersonDid> {
        let value = word(event, "value");
        match (
            word(event, "type").as_str(),
            word(event, "field_name").as_str(),
        ) {
            ("Comment", _) => {
                let text = word(event, "body");
                let text = bounded(text.trim(), limits::TRACKER_TEXT_BYTES_MAX);
                Some(if !staff {
                    PersonDid::CustomerWrote { text }
                } else if event["public"] == Value::Bool(true) {
                    PersonDid::Answered {
                        text,
                        promise: None,
                    }
                } else {
                    PersonDid::Noted { text }
                })
            }
            ("Change", "status") => Some(PersonDid::Status(self.config.status.read(&value))),
            ("Change", "assignee_id") => Some(PersonDid::Owner(value)),
            ("Change", "priority") => self.config.priority.read(&value).map(PersonDid::Severity),
            ("Change", id) if self.config.promise_field.is(id) => {
                Some(self.config.promise_field.set_to(&value))
            }
            _ => None,
        }
    }
}

impl Adaptor for Zendesk {
    const PRODUCT: &'static str = PRODUCT;

    fn base(&self) -> &Base {
        &self.base
    }

    fn kept(&self, fields: TicketFields) -> TicketFields {
        let priority = &self.config.priority;
        TicketFields {
            severity: priority.kept(fields.severity),
            ..fields
        }
    }

    async fn greet(&self) -> Outcome<Greeting> {
        let answer = self.base.client.get("/api/v2/users/me", &[]).await.done()?;
        let user = &answer.json()["user"];
        // Without credentials Zendesk answers for nobody instead of refusing.
        if user["id"].is_null() {
            return Err(Called::later("the token belongs to nobody"));
        }
        Ok(Greeting {
            words: format!("the token belongs to `{}`", word(user, "email")),
            user: word(user, "id"),
            clock: answer.date(),
        })
    }

    async fn check_more(&self) -> Said {
        if self.config.group.is_empty() {
            return vec![Ok("tickets go to Zendesk's default group".to_owned())];
        }
        let group = &self.config.group;
        let path = format!("/api/v2/groups/{}", path_part(group));
        vec![match self.base.look(&path, &[]).await {
            Ok(Some(answer)) => {
                let name = word(&answer.json()["group"], "name");
                Ok(format!("tickets go to the group {group}, `{name}`"))
            }
            Ok(None) => Err(format!("there is no group {group}")),
            Err(outcome) => Err(format!("group {group} cannot be read: {}", outcome.why())),
        }]
    }

    async fn check_asked(&self, asked: &[Asked]) -> Said {
        let mut said = Vec::new();
        for route in asked {
            if !route.queue.is_empty() {
                let path = format!("/api/v2/groups/{}", path_part(&route.queue));
                let found = self.base.client.get(&path, &[]).await;
                said.push(route.is_found(&format!("group {}", route.queue), &found));
            }
            if !route.kind.is_empty() {
                let known = ["problem", "incident", "question", "task"];
                let there = known.contains(&route.kind.as_str());
                said.push(route.is_there(&format!("type `{}`", route.kind), there));
            }
            for name in &route.custom {
                let path = format!("/api/v2/ticket_fields/{}", path_part(name));
                let found = self.base.client.get(&path, &[]).await;
                said.push(route.is_found(&format!("ticket field {name}"), &found));
            }
        }
        said
    }

    async fn search(&self, key: &str) -> Outcome<Vec<RemoteTicket>> {
        let query = [("external_id", key), ("per_page", "100")];
        let answer = self.base.client.get("/api/v2/tickets", &query).await;
        let answer = answer.done()?.json();
        let Some(items) = answer["tickets"].as_array() else {
            return Err(Called::later("the answer to a search is no list"));
        };
        let tickets = items.iter().map(|item| self.ticket(item));
        Ok(tickets
            .filter(|ticket| ticket.fields.status != TicketStatus::Gone)
            .collect())
    }

    async fn create(&self, draft: &Draft) -> Outcome<RemoteRef> {
        let mut tokens = Vec::new();
        for file in &draft.attachments {
            tokens.push(self.upload(file).await?);
        }
        let requester = if draft.requestor.is_empty() {
            &self.config.requester
        } else {
            &draft.requestor
        };
        let mut ticket = json!({
            "subject": text::without_placeholders(&self.base.subject(&draft.fields.subject)),
            "comment": {
                "html_body": text::marked_html(&draft.body, &draft.key),
                "public": false,
                "uploads": tokens,
            },
            "requester": { "name": requester, "email": requester },
            "external_id": draft.key,
            "tags": ["alertbridge"],
        });
        let group = if draft.fields.queue.is_empty() {
            &self.config.group
        } else {
            &draft.fields.queue
        };
        if !group.is_empty() {
            ticket["group_id"] = json!(group);
        }
        if let Some(severity) = draft.fields.severity {
            ticket["priority"] = json!(self.config.priority.word(severity));
        }
        if !draft.kind.is_empty() {
            ticket["type"] = json!(draft.kind);
        }
        if !draft.watchers.is_empty() {
            let followers = draft.watchers.iter();
            let followers = followers.map(|one| json!({ "user_email": one, "action": "put" }));
            ticket["followers"] = followers.collect();
        }
        if !draft.custom.is_empty() {
            ticket["custom_fields"] = numbered(PRODUCT, &draft.custom)?;
        }
        let mut key = draft.key.clone();
        if let Some(before) = &draft.follows {
            ticket["via_followup_source_id"] = json!(before.key);
            key = format!("{key}-after-{}", before.key);
        }
        let request = self
            .base
            .client
            .request(Method::POST, "/api/v2/tickets")
            .header("idempotency-key", key)
            .json(&json!({ "ticket": ticket }));
        let answer = written(send(request).await).done()?;
        let id = word(&answer.json()["ticket"], "id");
        if id.is_empty() {
            return Err(not_theirs(PRODUCT, &answer));
        }
        Ok(self.link(&id))
    }

    async fn write_fields(
        &self,
        id: &str,
        from: Option<&TicketFields>,
        to: &TicketFields,
    ) -> Outcome<()> {
        let mut change = Map::new();
        if from.is_none_or(|from| from.subject != to.subject) {
            let subject = text::without_placeholders(&self.base.subject(&to.subject));
            change.insert("subject".to_owned(), json!(subject));
        }
        if from.is_none_or(|from| from.status != to.status) {
            let status = self.config.status.name(to.status);
            change.insert("status".to_owned(), json!(status));
        }
        if let Some(severity) = to.severity
            && from.is_none_or(|from| from.severity != to.severity)
        {
            let priority = self.config.priority.word(severity);
            change.insert("priority".to_owned(), json!(priority));
        }
        if change.is_empty() {
            return Ok(());
        }
        let wanted = Value::Object(change);
        let after = self.put(id, &wanted).await?;
        if !wanted["status"].is_null() && wanted["status"] != after["status"] {
            return not_changed(PRODUCT, "status");
        }
        Ok(())
    }

    async fn write_note(&self, id: &str, note: Note<'_>) -> Outcome<()> {
        let body = text::marked_html(note.text, note.marker);
        let ticket = json!({ "comment": { "html_body": body, "public": note.public } });
        self.put(id, &ticket).await.map(|_| ())
    }

    async fn close_twin(&self, id: &str, other: &str) -> Outcome<()> {
        let body = text::as_html(&format!("Duplicate of ticket {other}."));
        let status = self.config.status.name(TicketStatus::Resolved);
        let comment = json!({ "html_body": body, "public": false });
        let ticket = json!({ "status": status, "comment": comment });
        self.put(id, &ticket).await.map(|_| ())
    }

    async fn read_whole(&self, id: &str) -> Outcome<Option<RemoteTicket>> {
        let path = format!("/api/v2/tickets/{}", path_part(id));
        let Some(answer) = self.base.look(&path, &[]).await? else {
            return Ok(None);
        };
        let item = &answer.json()["ticket"];
        if word(item, "id").is_empty() {
            return Err(Called::later("the answer to a read is no ticket"));
        }
        let mut ticket = self.ticket(item);
        let (comments, _) = self
            .pages(&format!("{path}/comments"), "comments", "")
            .await?;
        for comment in comments {
            let body = text::from_html(&word(&comment, "html_body"));
            ticket.markers.push(text::last_word(&body).to_owned());
        }
        Ok(Some(ticket))
    }

    async fn changed_since(&self, since: Time) -> Outcome<Changed> {
        let path = "/api/v2/incremental/tickets/cursor";
        let start = since.minus(EXPORT_BEFORE).seconds().to_string();
        let (mut tickets, mut whole) = (Vec::new(), false);
        let mut cursor = String::new();
        for _ in 0..limits::TRACKER_POLL_PAGES_MAX {
            let query = if cursor.is_empty() {
                [("start_time", start.as_str())]
            } else {
                [("cursor", cursor.as_str())]
            };
            let answer = self.base.client.get(path, &query).await.done()?.json();
            let Some(items) = answer["tickets"].as_array() else {
                return Err(Called::later("the answer to an export is no list"));
            };
            tickets.extend(items.iter().cloned());
            whole = answer["end_of_stream"] == Value::Bool(true);
            if whole {
                break;
            }
            cursor = word(&answer, "after_cursor");
        }
        Ok(Changed::listed(&tickets, ("id", "updated_at"), whole))
    }

    async fn history(&self, id: &str, me: &str) -> Outcome<Vec<Told>> {
        let path = format!("/api/v2/tickets/{}/audits", path_part(id));
        let (audits, users) = self.pages(&path, "audits", "users").await?;
        let roles: BTreeMap<String, String> = users
            .iter()
            .map(|user| (word(user, "id"), word(user, "role")))
            .collect();
        let mut told = Vec::new();
        for audit in &audits {
            let author = word(audit, "author_id");
            let Some(at) = Time::parse_rfc3339(&word(audit, "created_at")) else {
                continue;
            };
            // A negative author is Zendesk itself.
            if author == me || author.starts_with('-') {
                continue;
            }
            let staff = roles.get(&author).is_some_and(|role| role != "end-user");
            for event in audit["events"].as_array().into_iter().flatten() {
                let what = self.meaning(event, staff);
                told.extend(what.map(|what| Told::of(&word(event, "id"), at, &author, what)));
            }
        }
        Ok(told)
    }
}
