//! Request Tracker 5 by REST 2.
//!
//! The key stands in a custom field of the queue, where a search finds it at once; where the queue
//! has no such field, or has not yet been seen to keep it, it stands at the end of the subject as
//! well. Our notes carry their marker as the subject of the comment. RT answers 200 to changes that
//! it did not make, so every change is read back.

mod changes;
mod check;
mod config;
mod open;
mod shape;

pub use config::RtConfig;

use super::client::{Answer, Client, secret_header, send, written};
use super::words::Statuses;
use super::{
    Asked, Called, Capabilities, Change, Draft, Known, OpenTicket, RemoteTicket, Takes, Tracker,
    flat, text,
};
use crate::limits;
use crate::model::Time;
use crate::model::ticket::{PersonChange, RemoteRef, TicketFields, TicketStatus};
use futures_util::future::BoxFuture;
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;

/// Room for the key and its brackets.
const KEY_BYTES_MAX: usize = 43;
/// Longest subject that RT keeps, in bytes of UTF-8; it cuts longer ones without a word.
const SUBJECT_BYTES_MAX: usize = 200;
/// Most tickets asked for by one search for a key.
const FOUND_MAX: &str = "50";

/// The same whether or not the key follows it.
fn kept_subject(text: &str) -> String {
    text::subject_bytes(text, "", SUBJECT_BYTES_MAX - KEY_BYTES_MAX)
}

/// The subject as RT is given it.
fn subject_with(text: &str, key: &str) -> String {
    let kept = kept_subject(text);
    if key.is_empty() {
        kept
    } else {
        format!("{kept} [{key}]").trim_start().to_owned()
    }
}

/// What is known of a queue.
#[derive(Clone, Debug, Default)]
struct QueueFields {
    /// Ids of the custom fields of its tickets, by name.
    ids: BTreeMap<String, String>,
}

/// Request Tracker as a tracker.
pub struct RequestTracker {
    name: String,
    config: RtConfig,
    client: Client,
    capabilities: Capabilities,
    me: OnceCell<String>,
    queues: Mutex<BTreeMap<String, QueueFields>>,
    /// Queues in which the key was read back from its field.
    proven: Mutex<Vec<String>>,
    staff: Mutex<BTreeMap<String, bool>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RequestTracker {
    /// A tracker by its configuration; nothing is sent yet.
    pub fn new(name: &str, mut config: RtConfig) -> Result<RequestTracker, String> {
        config.status = config.status.or(Statuses::of_names([
            "new", "open", "stalled", "stalled", "resolved", "resolved", "rejected",
        ]));
        let token = format!("token {}", config.token.expose_secret().trim());
        let headers = [(reqwest::header::AUTHORIZATION, secret_header(&token)?)];
        let mut base = config.url.clone();
        let path = format!("{}/REST/2.0", base.path().trim_end_matches('/'));
        base.set_path(&path);
        let client = Client::new(&base, headers.into_iter().collect(), &config.connection)?;
        Ok(RequestTracker {
            name: name.to_owned(),
            client,
            capabilities: Capabilities {
                lists_open: true,
                key_kept: "the custom field `AlertKey`, else the subject",
                settle: Duration::from_secs(config.settle_seconds),
                poll_every: Duration::from_secs(config.poll_seconds.max(1)),
                subject_chars_max: SUBJECT_BYTES_MAX,
                body_bytes_max: 256 * 1024,
                attachment_bytes_max: 1024 * 1024,
                takes: Takes {
                    kind: false,
                    ..Takes::ALL
                },
                parallel_max: config.parallel.max(1),
                ..Capabilities::TICKETS
            },
            config,
            me: OnceCell::new(),
            queues: Mutex::default(),
            proven: Mutex::default(),
            staff: Mutex::default(),
        })
    }

    /// Our word for RT's status; `deleted` is in every lifecycle.
    fn status(&self, name: &str) -> TicketStatus {
        if name == "deleted" {
            return TicketStatus::Gone;
        }
        self.config.status.read(name)
    }

    fn queue_of<'a>(&'a self, fields: &'a TicketFields) -> &'a str {
        if fields.queue.is_empty() {
            &self.config.queue
        } else {
            &fields.queue
        }
    }

    fn link(&self, number: &str) -> RemoteRef {
        let base = self.config.url.as_str().trim_end_matches('/');
        RemoteRef {
            key: number.to_owned(),
            url: format!("{base}/Ticket/Display.html?id={number}"),
        }
    }

    /// The name of the bridge's own user: configured, or by the id in the token.
    async fn me<T>(&self) -> Result<String, Called<T>> {
        if let Some(name) = &self.config.user {
            return Ok(name.clone());
        }
        if let Some(name) = self.me.get() {
            return Ok(name.clone());
        }
        let id = self.config.token.expose_secret().trim();
        let id = id.split('-').nth(1).unwrap_or_default().to_owned();
        if id.is_empty() || !id.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Called::refused(
                "the token does not name its user: set `user` to the name of the bridge's user",
            ));
        }
        let user = self.client.get(&format!("/user/{id}"), &[]).await.done()?;
        let name = shape::word(&user.json(), "Name");
        Ok(self.me.get_or_init(|| async { name }).await.clone())
    }

    /// The custom fields of a queue; read once, and again when it is checked.
    async fn fields_of<T>(&self, queue: &str) -> Result<QueueFields, Called<T>> {
        if let Some(known) = locked(&self.queues).get(queue) {
            return Ok(known.clone());
        }
        let path = format!("/queue/{}", shape::path_part(queue));
        let answer = self.client.get(&path, &[]).await.done()?;
        let fields = QueueFields {
            ids: shape::custom_field_ids(&answer.json()),
        };
        locked(&self.queues).insert(queue.to_owned(), fields.clone());
        Ok(fields)
    }

    /// Creates, and sees to it that the key can be found.
    async fn create(&self, draft: &Draft) -> Result<RemoteRef, Called<RemoteRef>> {
        let queue = self.queue_of(&draft.fields);
        let fields = self.fields_of(queue).await?;
        let has_field = fields.ids.contains_key(&self.config.key_field);
        let proven = has_field && locked(&self.proven).iter().any(|known| known == queue);
        let suffix = if proven { "" } else { draft.key.as_str() };
        let mut body = json!({
            "Queue": queue,
            "Subject": subject_with(&draft.fields.subject, suffix),
            "Content": text::plain(&draft.body),
            "ContentType": "text/plain",
            "Status": self.config.status.name(draft.fields.status),
        });
        let mut custom = Map::new();
        for (name, value) in &draft.custom {
            if !fields.ids.contains_key(name) {
                // RT would drop it without a word.
                return Err(Called::Refused {
                    reason: format!("queue `{queue}` has no ticket field `{name}`"),
                    field: Some(name.clone()),
                });
            }
            custom.insert(name.clone(), json!(value));
        }
        if has_field {
            custom.insert(self.config.key_field.clone(), json!(draft.key));
        }
        if let Some(severity) = draft.fields.severity {
            body["Priority"] = json!(self.config.priority.of(severity));
            if fields.ids.contains_key(&self.config.severity_field) {
                let value = json!(severity.to_string());
                custom.insert(self.config.severity_field.clone(), value);
            }
        }
        body["CustomFields"] = Value::Object(custom);
        if !draft.requestor.is_empty() {
            body["Requestor"] = json!(draft.requestor);
        }
        if !draft.watchers.is_empty() {
            // Those are told of comments, as the bridge's notes are.
            body["AdminCc"] = json!(draft.watchers);
        }
        if !draft.attachments.is_empty() {
            body["Attachments"] = draft.attachments.iter().map(shape::attachment).collect();
        }
        let answer = self.client.write(Method::POST, "/ticket", &body).await;
        let answer = answer.done()?;
        let number = shape::word(&answer.json(), "id");
        if number.is_empty() {
            return Err(Called::Unknown {
                reason: format!("the answer to a create names no ticket: {}", answer.said()),
                after: None,
            });
        }
        if has_field && !proven {
            self.prove_field(queue, &number, draft).await;
        }
        Ok(self.link(&number))
    }

    /// The first ticket of a queue shows whether the field keeps the key; then the subject need not.
    async fn prove_field(&self, queue: &str, number: &str, draft: &Draft) {
        let Called::Done(answer) = self.client.get(&format!("/ticket/{number}"), &[]).await else {
            return;
        };
        if shape::custom_value(&answer.json(), &self.config.key_field) != draft.key {
            return;
        }
        locked(&self.proven).push(queue.to_owned());
        let subject = subject_with(&draft.fields.subject, "");
        // Should this not be done, the subject shows the key, and nothing else is wrong.
        let body = json!({ "Subject": subject });
        let _ = self.put(number, &body).await;
    }

    async fn put(&self, number: &str, body: &Value) -> Called<Answer> {
        let path = format!("/ticket/{}", shape::path_part(number));
        self.client.write(Method::PUT, &path, body).await
    }

    async fn get_ticket<T>(&self, number: &str) -> Result<Value, Called<T>> {
        let path = format!("/ticket/{}", shape::path_part(number));
        let ticket = self.client.get(&path, &[]).await.done()?.json();
        if shape::word(&ticket, "id").is_empty() {
            return Err(Called::later("the answer to a read is no ticket"));
        }
        Ok(ticket)
    }

    /// A ticket in our words, from an item of a search or the ticket itself.
    fn ticket(&self, item: &Value) -> RemoteTicket {
        let (subject, in_subject) = shape::split_key(&shape::word(item, "Subject"));
        let in_field = shape::custom_value(item, &self.config.key_field);
        let queue = shape::queue(item);
        let severity = shape::custom_value(item, &self.config.severity_field);
        let severity = severity.parse().ok().or_else(|| {
            self.config
                .priority
                .severity(&shape::word(item, "Priority"))
        });
        let effective = shape::effective_id(item);
        RemoteTicket {
            remote: self.link(&effective),
            key: if in_field.is_empty() {
                in_subject
            } else {
                in_field
            },
            fields: TicketFields {
                subject,
                status: self.status(&shape::word(item, "Status")),
                severity,
                queue,
            },
            markers: Vec::new(),
            created_at: Time::parse_rfc3339(&shape::word(item, "Created")),
        }
    }

    /// Every ticket that holds the key, merged ones by their target, deleted ones left out.
    async fn search(&self, key: &str) -> Result<Vec<RemoteTicket>, Called<Vec<RemoteTicket>>> {
        let quoted = shape::quoted(key);
        let mut places = vec![format!("Subject LIKE {quoted}")];
        if !self.config.key_field.is_empty() {
            let field = shape::quoted_field(&self.config.key_field);
            places.push(format!("CF.{field} = {quoted}"));
        }
        let query = format!("({}) AND EffectiveId > 0", places.join(" OR "));
        let query = [
            ("query", query.as_str()),
            (
                "fields",
                "Subject,Status,Priority,CustomFields,Created,EffectiveId,Queue",
            ),
            ("fields[Queue]", "Name"),
            ("orderby", "id"),
            ("order", "ASC"),
            ("per_page", FOUND_MAX),
        ];
        let answer = self.client.get("/tickets", &query).await.done()?.json();
        let Some(items) = answer["items"].as_array() else {
            return Err(Called::later("the answer to a search is no list"));
        };
        let mut found: Vec<RemoteTicket> = Vec::new();
        for item in items {
            let mut ticket = self.ticket(item);
            if ticket.key != key {
                continue;
            }
            if ticket.remote.key != shape::word(item, "id") {
                let target = self.get_ticket(&ticket.remote.key).await?;
                ticket.fields = self.ticket(&target).fields;
            }
            let gone = ticket.fields.status == TicketStatus::Gone;
            if !gone && found.iter().all(|other| other.remote != ticket.remote) {
                found.push(ticket);
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
        let current = self.get_ticket(number).await?;
        let mut body = Map::new();
        if from.is_none_or(|from| from.subject != to.subject) {
            let (_, key) = shape::split_key(&shape::word(&current, "Subject"));
            let subject = subject_with(&to.subject, &key);
            body.insert("Subject".to_owned(), json!(subject));
        }
        if from.is_none_or(|from| from.status != to.status) {
            let status = self.config.status.name(to.status);
            body.insert("Status".to_owned(), json!(status));
        }
        if let Some(severity) = to.severity
            && from.is_none_or(|from| from.severity != to.severity)
        {
            let priority = json!(self.config.priority.of(severity));
            body.insert("Priority".to_owned(), priority);
            let queue = shape::queue(&current);
            let fields = self.fields_of(&queue).await?;
            if fields.ids.contains_key(&self.config.severity_field) {
                let field = self.config.severity_field.clone();
                let custom = json!({ field: severity.to_string() });
                body.insert("CustomFields".to_owned(), custom);
            }
        }
        if body.is_empty() {
            return Ok(());
        }
        let body = Value::Object(body);
        let answer = self.put(number, &body).await.done()?;
        let after = self.get_ticket(number).await?;
        let Some(field) = shape::differs(&body, &after) else {
            return Ok(());
        };
        let reason = format!("the change was not made: {}", shape::messages(&answer));
        Err(if answer.json().is_array() {
            Called::Refused {
                reason,
                field: Some(field),
            }
        } else {
            // Something between here and RT answered.
            Called::later(reason)
        })
    }

    /// A comment is internal; a reply goes to the requestor, and would open the ticket if it did
    /// not name the status that it has.
    async fn write_note(
        &self,
        number: &str,
        marker: &str,
        note: &str,
        public: bool,
    ) -> Result<(), Called<()>> {
        let mut body = json!({
            "Content": format!("{}\n\n{marker}", text::plain(note)),
            "ContentType": "text/plain",
            "Subject": marker,
        });
        let verb = if public { "correspond" } else { "comment" };
        if public {
            let ticket = self.get_ticket(number).await?;
            body["Status"] = json!(shape::word(&ticket, "Status"));
        }
        let path = format!("/ticket/{}/{verb}", shape::path_part(number));
        let request = self.client.request(Method::POST, &path).json(&body);
        let answer = written(send(request).await).done()?;
        if answer.status == 201 {
            return Ok(());
        }
        Err(Called::Unknown {
            reason: format!("the answer to a note is not RT's: {}", answer.said()),
            after: None,
        })
    }

    async fn close_as_duplicate(&self, number: &str, other: &str) -> Result<(), Called<()>> {
        let target: u64 = other
            .parse()
            .map_err(|_| Called::refused(format!("`{other}` is no number of a ticket")))?;
        let body = json!({ "MergeInto": target });
        let answer = self.put(number, &body).await.done()?;
        let after = self.get_ticket(number).await?;
        if shape::effective_id(&after) == other {
            return Ok(());
        }
        // Without the right to merge: link and reject.
        let rejected = self.config.status.name(TicketStatus::Gone);
        let body = json!({ "AddRefersTo": [target], "Status": rejected });
        self.put(number, &body).await.done()?;
        let after = self.get_ticket(number).await?;
        if shape::word(&after, "Status") == rejected {
            return Ok(());
        }
        Err(Called::refused(format!(
            "ticket {number} could be neither merged nor rejected: {}",
            shape::messages(&answer)
        )))
    }

    /// The ticket, and the markers of our notes in it.
    async fn read_whole(&self, number: &str) -> Result<RemoteTicket, Called<RemoteTicket>> {
        let mut ticket = self.ticket(&self.get_ticket(number).await?);
        let path = format!("/ticket/{}/attachments", shape::path_part(number));
        for page in 1..=limits::TRACKER_NOTES_PAGES_MAX {
            let page = page.to_string();
            let query = [
                ("fields", "Subject"),
                ("per_page", "100"),
                ("page", page.as_str()),
            ];
            let answer = self.client.get(&path, &query).await.done()?.json();
            let Some(items) = answer["items"].as_array() else {
                return Err(Called::later("the answer to a read of notes is no list"));
            };
            let subjects = items.iter().map(|item| shape::word(item, "Subject"));
            ticket.markers.extend(subjects.filter(|s| !s.is_empty()));
            if items.is_empty() {
                break;
            }
        }
        Ok(ticket)
    }
}

impl Tracker for RequestTracker {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn as_kept(&self, fields: &TicketFields) -> TicketFields {
        TicketFields {
            subject: kept_subject(&fields.subject),
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
                } => self.write_note(number, marker, text, *public).await,
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
