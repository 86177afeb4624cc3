//! FreeScout, by its module "API & Webhooks".
//!
//! The key stands in the subject, which a list searches at once. A conversation has no priority.
//! What the bridge writes is imported, so that no mail goes out. Threads are HTML, escaped;
//! placeholders are defused. Who changed a status is named by the thread that tells of it.

use super::client::{Client, ConnectionConfig, secret_header, send, written};
use super::registry::Settings;
use super::rest::{Adaptor, Base, Changed, Greeting, Note, Outcome, Said, Told, not_changed};
use super::words::{
    KEY_CHARS_MAX, Statuses, not_theirs, numbered, path_part, split_key, with_key, word,
};
use super::{Asked, Called, Capabilities, Draft, RemoteTicket, Takes, Tracker, text};
use crate::limits;
use crate::model::Time;
use crate::model::text::bounded;
use crate::model::ticket::{PersonDid, RemoteRef, TicketFields, TicketStatus};
use reqwest::header::HeaderName;
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

const PRODUCT: &str = "FreeScout";

/// `kind = "freescout"`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreeScoutConfig {
    /// Where FreeScout is.
    pub url: Url,
    /// The key of its API.
    pub token: SecretString,
    /// The number of the mailbox of tickets whose route names none.
    pub mailbox: u64,
    /// The number of the bridge's own user.
    pub user: u64,
    /// The mail address of the customer of tickets without one.
    pub customer: String,
    /// The names of the statuses.
    #[serde(default)]
    pub status: Statuses,
    /// Calls at the same time.
    pub parallel: Option<usize>,
    /// How often it is asked what people did, seconds.
    pub poll_seconds: Option<u64>,
    /// After a request without an answer, how long it may still be worked on, seconds.
    pub settle_seconds: Option<u64>,
    /// How it is spoken to.
    #[serde(default)]
    pub connection: ConnectionConfig,
}

impl Settings for FreeScoutConfig {
    const TITLE: &'static str = "FreeScout with API & Webhooks";
    const EXAMPLE: &'static str = r#"
url = "https://freescout.example.net/"
token = "..."
mailbox = 1
user = 7
customer = "noc@example.net"
"#;

    fn connect(self, name: &str) -> Result<Arc<dyn Tracker>, String> {
        Ok(Arc::new(FreeScout::new(name, self)?))
    }
}

/// FreeScout as a tracker.
pub struct FreeScout {
    base: Base,
    config: FreeScoutConfig,
}

impl FreeScout {
    /// A tracker by its configuration; nothing is sent yet.
    pub fn new(name: &str, mut config: FreeScoutConfig) -> Result<FreeScout, String> {
        config.status = config.status.or(Statuses::of_names([
            "active", "active", "pending", "pending", "closed", "closed", "spam",
        ]));
        let key = secret_header(config.token.expose_secret())?;
        let headers = [(HeaderName::from_static("x-freescout-api-key"), key)];
        let headers = headers.into_iter().collect();
        let base = Base {
            name: name.to_owned(),
            url: config.url.to_string(),
            client: Client::new(&config.url, headers, &config.connection)?,
            capabilities: Capabilities {
                key_kept: "the subject",
                settle: Duration::from_secs(config.settle_seconds.unwrap_or(30)),
                priorities: false,
                poll_every: Duration::from_secs(config.poll_seconds.unwrap_or(30).max(5)),
                takes: Takes {
                    queue: true,
                    requestor: true,
                    custom: true,
                    ..Takes::NOTHING
                },
                subject_chars_max: 200,
                attachment_bytes_max: 1024 * 1024,
                parallel_max: config.parallel.unwrap_or(2).max(1),
                ..Capabilities::TICKETS
            },
        };
        Ok(FreeScout { base, config })
    }

    fn link(&self, id: &str) -> RemoteRef {
        let base = self.config.url.as_str().trim_end_matches('/');
        RemoteRef {
            key: id.to_owned(),
            url: format!("{base}/conversation/{id}"),
        }
    }

    fn subject(&self, subject: &str, key: &str) -> String {
        let line = text::without_placeholders(&self.kept_subject(subject));
        with_key(line, key)
    }

    fn kept_subject(&self, subject: &str) -> String {
        let room = self.base.capabilities.subject_chars_max - KEY_CHARS_MAX;
        text::subject(&text::without_placeholders(subject), "", room)
    }

    fn ticket(&self, item: &Value) -> RemoteTicket {
        let (subject, key) = split_key(&word(item, "subject"));
        let deleted = word(item, "state") == "deleted";
        RemoteTicket {
            remote: self.link(&word(item, "id")),
            key,
            fields: TicketFields {
                subject,
                status: if deleted {
                    TicketStatus::Gone
                } else {
                    self.config.status.read(&word(item, "status"))
                },
                severity: None,
                queue: word(item, "mailboxId"),
            },
            markers: Vec::new(),
            created_at: Time::parse_rfc3339(&word(item, "createdAt")),
        }
    }

    /// A list of conversations, and whether these are all.
    async fn list(&self, query: &[(&str, &str)]) -> Outcome<(Vec<Value>, bool)> {
        let mut items = Vec::new();
        for page in 1..=limits::TRACKER_POLL_PAGES_MAX {
            let number = page.to_string();
            let mut query = query.to_vec();
            query.extend([("page", number.as_str()), ("pageSize", "100")]);
            let answer = self.base.client.get("/api/conversations", &query).await;
            let answer = answer.done()?.json();
            let Some(list) = answer["_embedded"]["conversations"].as_array() else {
                return Err(Called::later("the answer is no list of conversations"));
            };
            items.extend(list.iter().cloned());
            let pages = answer["page"]["totalPages"].as_u64().unwrap_or(1);
            if list.is_empty() || page as u64 >= pages {
                return Ok((items, true));
            }
        }
        Ok((items, false))
    }

    /// The conversation with its threads; none if it was deleted for good.
    async fn conversation(&self, id: &str) -> Outcome<Option<Value>> {
        let path = format!("/api/conversations/{}", path_part(id));
        let Some(answer) = self.base.look(&path, &[("embed", "threads")]).await? else {
            return Ok(None);
        };
        let item = answer.json();
        if word(&item, "id").is_empty() {
            return Err(Called::later("the answer to a read is no conversation"));
        }
        Ok(Some(item))
    }

    async fn put(&self, id: &str, mut change: Map<String, Value>) -> Outcome<()> {
        change.insert("byUser".to_owned(), json!(self.config.user));
        let path = format!("/api/conversations/{}", path_part(id));
        let change = Value::Object(change);
        let written = self.base.client.write(Method::PUT, &path, &change).await;
        let answer = written.done()?;
        if answer.status != 204 {
            return Err(not_theirs(PRODUCT, &answer));
        }
        Ok(())
    }

    async fn thread(&self, id: &str, thread: &Value) -> Outcome<()> {
        let path = format!("/api/conversations/{}/threads", path_part(id));
        let written = self.base.client.write(Method::POST, &path, thread).await;
        let answer = written.done()?;
        if answer.status != 201 {
            return Err(not_theirs(PRODUCT, &answer));
        }
        Ok(())
    }

    fn meaning(&self, thread: &Value) -> Option<PersonDid> {
        let text = text::from_html(&word(thread, "body"));
        let text = bounded(&text, limits::TRACKER_TEXT_BYTES_MAX);
        match word(thread, "type").as_str() {
            "customer" => Some(PersonDid::CustomerWrote { text }),
            "note" => Some(PersonDid::Noted { text }),
            "message" => Some(PersonDid::Answered {
                text,
                promise: None,
            }),
            _ => match word(&thread["action"], "type").as_str() {
                "changed-ticket-status" => {
                    let status = self.config.status.read(&word(thread, "status"));
                    Some(PersonDid::Status(status))
                }
                "changed-ticket-assignee" => {
                    Some(PersonDid::Owner(word(&thread["assignedTo"], "email")))
                }
                "deleted-ticket" => Some(PersonDid::Status(TicketStatus::Gone)),
                _ => None,
            },
        }
    }
}

impl Adaptor for FreeScout {
    const PRODUCT: &'static str = PRODUCT;

    fn base(&self) -> &Base {
        &self.base
    }

    fn kept(&self, fields: TicketFields) -> TicketFields {
        let status = &self.config.status;
        TicketFields {
            subject: self.kept_subject(&fields.subject),
            status: status.read(status.name(fields.status)),
            ..fields
        }
    }

    async fn greet(&self) -> Outcome<Greeting> {
        let path = format!("/api/users/{}", self.config.user);
        let answer = self.base.client.get(&path, &[]).await.done()?;
        let user = answer.json();
        Ok(Greeting {
            words: format!("the bridge writes as `{}`", word(&user, "email")),
            user: word(&user, "id"),
            clock: answer.date(),
        })
    }

    async fn check_more(&self) -> Said {
        let mailbox = self.config.mailbox;
        let list = match self.base.client.get("/api/mailboxes", &[]).await {
            Called::Done(answer) => answer.json()["_embedded"]["mailboxes"].clone(),
            other => return vec![Err(format!("mailboxes cannot be read: {}", other.why()))],
        };
        let own = list.as_array().into_iter().flatten();
        let own = own.into_iter().find(|item| item["id"] == json!(mailbox));
        vec![match own {
            Some(own) => Ok(format!("mailbox {mailbox} is `{}`", word(own, "name"))),
            None => Err(format!("there is no mailbox {mailbox}")),
        }]
    }

    async fn check_asked(&self, asked: &[Asked]) -> Said {
        let mut said = Vec::new();
        for route in asked {
            let own = self.config.mailbox.to_string();
            let mailbox = route.queue_or(&own);
            if route.custom.is_empty() && route.queue.is_empty() {
                continue;
            }
            let path = format!("/api/mailboxes/{}/custom_fields", path_part(mailbox));
            let found = self.base.client.get(&path, &[]).await;
            said.push(route.is_found(&format!("mailbox {mailbox}"), &found));
            let Called::Done(found) = found else {
                continue;
            };
            let fields = found.json();
            let fields = fields["_embedded"]["custom_fields"].as_array();
            for name in &route.custom {
                let mut fields = fields.into_iter().flatten();
                let there = fields.any(|field| word(field, "id") == *name);
                said.push(route.is_there(&format!("field {name} in mailbox {mailbox}"), there));
            }
        }
        said
    }

    async fn search(&self, key: &str) -> Outcome<Vec<RemoteTicket>> {
        let query = [("subject", key), ("state", "published")];
        let (found, _) = self.list(&query).await?;
        Ok(found.iter().map(|item| self.ticket(item)).collect())
    }

    async fn create(&self, draft: &Draft) -> Outcome<RemoteRef> {
        let customer = if draft.requestor.is_empty() {
            &self.config.customer
        } else {
            &draft.requestor
        };
        let mailbox = draft.fields.queue.parse().unwrap_or(self.config.mailbox);
        let mut conversation = json!({
            "type": "email",
            "mailboxId": mailbox,
            "subject": self.subject(&draft.fields.subject, &draft.key),
            "customer": { "email": customer },
            "threads": [{
                "type": "customer",
                "text": text::marked_html(&draft.body, &draft.key),
                "customer": { "email": customer },
            }],
            "status": self.config.status.name(TicketStatus::New),
            "imported": true,
        });
        let files = draft.attachments.iter().map(|file| {
            json!({ "fileName": file.name, "mimeType": file.content_type, "data": file.base64() })
        });
        let files: Vec<Value> = files.collect();
        if !files.is_empty() {
            conversation["threads"][0]["attachments"] = json!(files);
        }
        if !draft.custom.is_empty() {
            conversation["customFields"] = numbered(PRODUCT, &draft.custom)?;
        }
        let request = self
            .base
            .client
            .request(Method::POST, "/api/conversations")
            .json(&conversation);
        let answer = written(send(request).await).done()?;
        let id = match answer.header("resource-id") {
            Some(id) => id.to_owned(),
            None => word(&answer.json(), "id"),
        };
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
            let Some(current) = self.conversation(id).await? else {
                return Err(Called::refused(format!("conversation {id} was deleted")));
            };
            let (_, key) = split_key(&word(&current, "subject"));
            change.insert("subject".to_owned(), json!(self.subject(&to.subject, &key)));
        }
        let status = self.config.status.name(to.status);
        let moves = from.is_none_or(|from| self.config.status.name(from.status) != status);
        if moves {
            change.insert("status".to_owned(), json!(status));
        }
        if change.is_empty() {
            return Ok(());
        }
        self.put(id, change).await?;
        let after = self.conversation(id).await?.unwrap_or_default();
        if moves && word(&after, "status") != status {
            return not_changed(PRODUCT, "status");
        }
        Ok(())
    }

    async fn write_note(&self, id: &str, note: Note<'_>) -> Outcome<()> {
        let mut thread = json!({
            "type": if note.public { "message" } else { "note" },
            "text": text::marked_html(note.text, note.marker),
            "user": self.config.user,
            "imported": true,
        });
        if note.public {
            // A message moves the status unless it names one.
            let current = self.conversation(id).await?.unwrap_or_default();
            thread["status"] = current["status"].clone();
        }
        self.thread(id, &thread).await
    }

    async fn close_twin(&self, id: &str, other: &str) -> Outcome<()> {
        let status = json!(self.config.status.name(TicketStatus::Closed));
        let change = [("status".to_owned(), status)].into_iter().collect();
        self.put(id, change).await?;
        let text = text::as_html(&format!("Duplicate of conversation {other}."));
        let user = self.config.user;
        self.thread(id, &json!({ "type": "note", "text": text, "user": user }))
            .await
    }

    async fn read_whole(&self, id: &str) -> Outcome<Option<RemoteTicket>> {
        let Some(item) = self.conversation(id).await? else {
            return Ok(None);
        };
        let mut ticket = self.ticket(&item);
        for thread in item["_embedded"]["threads"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let body = text::from_html(&word(thread, "body"));
            ticket.markers.push(text::last_word(&body).to_owned());
        }
        Ok(Some(ticket))
    }

    async fn changed_since(&self, since: Time) -> Outcome<Changed> {
        let since = since.to_string();
        let query = [
            ("updatedSince", since.as_str()),
            ("sortField", "updatedAt"),
            ("sortOrder", "asc"),
        ];
        let (items, whole) = self.list(&query).await?;
        Ok(Changed::listed(&items, ("id", "updatedAt"), whole))
    }

    async fn history(&self, id: &str, me: &str) -> Outcome<Vec<Told>> {
        let Some(item) = self.conversation(id).await? else {
            return Ok(Vec::new());
        };
        let threads = || {
            item["_embedded"]["threads"]
                .as_array()
                .into_iter()
                .flatten()
        };
        // The bridge's first thread is written in the customer's name.
        let first = threads().filter_map(|thread| thread["id"].as_u64()).min();
        let mut told = Vec::new();
        for thread in threads() {
            let by = &thread["createdBy"];
            let Some(at) = Time::parse_rfc3339(&word(thread, "createdAt")) else {
                continue;
            };
            let own = word(by, "type") != "customer" && word(by, "id") == me;
            if own || thread["id"].as_u64() == first {
                continue;
            }
            let what = self.meaning(thread);
            let author = word(by, "email");
            told.extend(what.map(|what| Told::of(&word(thread, "id"), at, &author, what)));
        }
        Ok(told)
    }
}
