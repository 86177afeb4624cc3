//! Zammad.
//!
//! The key stands in an attribute of the ticket, looked up in the database, not in the index that
//! lags; where Zammad has no such attribute, in the title. Our notes carry their marker as the
//! subject of the article and are internal, so they never count as an answer.

mod changes;
mod check;
mod config;

pub use config::ZammadConfig;

use super::client::{Client, secret_header};
use super::words::{KEY_CHARS_MAX, Severities, Statuses, path_part, split_key, with_key, word};
use super::{
    Asked, Called, Capabilities, Change, Draft, Known, RemoteTicket, Takes, Tracker, flat, text,
};
use crate::model::Time;
use crate::model::ticket::{PersonChange, RemoteRef, TicketFields, TicketStatus};
use futures_util::future::BoxFuture;
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use std::time::Duration;
use tokio::sync::OnceCell;

/// Longest title, characters.
const TITLE_CHARS_MAX: usize = 250;

/// Zammad as a tracker.
pub struct Zammad {
    name: String,
    config: ZammadConfig,
    client: Client,
    capabilities: Capabilities,
    me: OnceCell<String>,
}

/// The same whether or not the key follows it.
fn kept_title(text: &str) -> String {
    text::subject(text, "", TITLE_CHARS_MAX - KEY_CHARS_MAX)
}

impl Zammad {
    /// A tracker by its configuration; nothing is sent yet.
    pub fn new(name: &str, mut config: ZammadConfig) -> Result<Zammad, String> {
        config.status = config.status.or(Statuses::of_names([
            "new",
            "open",
            "pending reminder",
            "pending reminder",
            "closed",
            "closed",
            "merged",
        ]));
        config.priority = config.priority.or(Severities::of_words([
            "3 high", "3 high", "2 normal", "1 low", "1 low",
        ]));
        let token = format!("Token token={}", config.token.expose_secret().trim());
        let headers = [(reqwest::header::AUTHORIZATION, secret_header(&token)?)];
        let client = Client::new(
            &config.url,
            headers.into_iter().collect(),
            &config.connection,
        )?;
        Ok(Zammad {
            name: name.to_owned(),
            client,
            capabilities: Capabilities {
                key_kept: "an attribute, else the title",
                settle: Duration::from_secs(config.settle_seconds),
                poll_every: Duration::from_secs(config.poll_seconds.max(1)),
                subject_chars_max: TITLE_CHARS_MAX,
                body_bytes_max: 200 * 1024,
                attachment_bytes_max: 1024 * 1024,
                takes: Takes {
                    requestor: true,
                    custom: true,
                    ..Takes::NOTHING
                },
                parallel_max: config.parallel.max(1),
                ..Capabilities::TICKETS
            },
            config,
            me: OnceCell::new(),
        })
    }

    fn link(&self, id: &str) -> RemoteRef {
        let base = self.config.url.as_str().trim_end_matches('/');
        RemoteRef {
            key: id.to_owned(),
            url: format!("{base}/#ticket/zoom/{id}"),
        }
    }

    async fn me<T>(&self) -> Result<String, Called<T>> {
        if let Some(id) = self.me.get() {
            return Ok(id.clone());
        }
        let answer = self.client.get("/api/v1/users/me", &[]).await.done()?;
        let id = word(&answer.json(), "id");
        if id.is_empty() {
            return Err(Called::later("the answer does not name the bridge's user"));
        }
        Ok(self.me.get_or_init(|| async { id }).await.clone())
    }

    /// Creates. Zammad drops attributes that it does not have; then the title shows the key.
    async fn create(&self, draft: &Draft) -> Result<RemoteRef, Called<RemoteRef>> {
        let queue = &draft.fields.queue;
        let group = if queue.is_empty() {
            &self.config.group
        } else {
            queue
        };
        let customer = if draft.requestor.is_empty() {
            &self.config.customer
        } else {
            &draft.requestor
        };
        let title = with_key(kept_title(&draft.fields.subject), &draft.key);
        let mut ticket = Value::Object(Map::new());
        for (name, value) in &draft.custom {
            ticket[name] = json!(value);
        }
        ticket["title"] = json!(title);
        ticket["group"] = json!(group);
        ticket["customer_id"] = json!(format!("guess:{customer}"));
        ticket["state"] = json!(self.config.status.name(TicketStatus::New));
        ticket["article"] = json!({
            "subject": title,
            "body": text::plain(&draft.body),
            "type": "note",
            "internal": true,
            "content_type": "text/plain",
        });
        for file in &draft.attachments {
            let data = file.base64();
            let kind = &file.content_type;
            let one = json!({ "filename": file.name, "data": data, "mime-type": kind });
            match ticket["article"]["attachments"].as_array_mut() {
                Some(list) => list.push(one),
                None => ticket["article"]["attachments"] = json!([one]),
            }
        }
        ticket[&self.config.key_attribute] = json!(draft.key);
        if let Some(severity) = draft.fields.severity {
            ticket["priority"] = json!(self.config.priority.word(severity));
        }
        let answer = self
            .client
            .write(Method::POST, "/api/v1/tickets", &ticket)
            .await;
        let answer = answer.done()?;
        let made = answer.json();
        let id = word(&made, "id");
        if id.is_empty() {
            return Err(Called::Unknown {
                reason: format!("the answer to a create names no ticket: {}", answer.said()),
                after: None,
            });
        }
        if word(&made, &self.config.key_attribute) == draft.key {
            // Should this not be done, the title shows the key, and nothing else is wrong.
            let plain = json!({ "title": kept_title(&draft.fields.subject) });
            let _ = self.put(&id, &plain).await;
        }
        Ok(self.link(&id))
    }

    async fn put(&self, id: &str, ticket: &Value) -> Result<(), Called<()>> {
        let path = format!("/api/v1/tickets/{}", path_part(id));
        let answer = self.client.write(Method::PUT, &path, ticket).await.done()?;
        if word(&answer.json(), "id").is_empty() {
            return Err(Called::Unknown {
                reason: format!("the answer to a change is not Zammad's: {}", answer.said()),
                after: None,
            });
        }
        Ok(())
    }

    /// The ticket with names instead of ids; none if it was deleted.
    async fn get_ticket<T>(&self, id: &str) -> Result<Option<Value>, Called<T>> {
        let path = format!("/api/v1/tickets/{}", path_part(id));
        let answer = self.client.get(&path, &[("expand", "true")]).await;
        if let Called::Refused { reason, .. } = &answer
            && reason.starts_with("HTTP 404")
        {
            return Ok(None);
        }
        let ticket = answer.done()?.json();
        if word(&ticket, "id").is_empty() {
            return Err(Called::later("the answer to a read is no ticket"));
        }
        Ok(Some(ticket))
    }

    fn status(&self, name: &str) -> TicketStatus {
        match name {
            "merged" | "removed" => TicketStatus::Gone,
            name if name.starts_with("pending close") => TicketStatus::Resolved,
            name => self.config.status.read(name),
        }
    }

    fn ticket(&self, item: &Value) -> RemoteTicket {
        let (title, in_title) = split_key(&word(item, "title"));
        let in_attribute = word(item, &self.config.key_attribute);
        RemoteTicket {
            remote: self.link(&word(item, "id")),
            key: if in_attribute.is_empty() {
                in_title
            } else {
                in_attribute
            },
            fields: TicketFields {
                subject: title,
                status: self.status(&word(item, "state")),
                severity: self.config.priority.read(&word(item, "priority")),
                queue: word(item, "group"),
            },
            markers: Vec::new(),
            created_at: Time::parse_rfc3339(&word(item, "created_at")),
        }
    }

    /// A search by a condition: it reads the database.
    async fn by_condition<T>(
        &self,
        attribute: &str,
        operator: &str,
        value: &str,
        page: usize,
    ) -> Result<Vec<Value>, Called<T>> {
        let (operator_key, value_key) = (
            format!("condition[ticket.{attribute}][operator]"),
            format!("condition[ticket.{attribute}][value]"),
        );
        let page = page.to_string();
        let query = [
            (operator_key.as_str(), operator),
            (value_key.as_str(), value),
            ("sort_by", "updated_at"),
            ("order_by", "asc"),
            ("expand", "true"),
            ("per_page", "100"),
            ("page", page.as_str()),
        ];
        let answer = self.client.get("/api/v1/tickets/search", &query).await;
        let answer = answer.done()?.json();
        answer
            .as_array()
            .cloned()
            .ok_or_else(|| Called::later("the answer to a search is no list"))
    }

    async fn search(&self, key: &str) -> Result<Vec<RemoteTicket>, Called<Vec<RemoteTicket>>> {
        let mut items = self.by_condition("title", "contains", key, 1).await?;
        let by_attribute = self.by_condition::<()>(&self.config.key_attribute, "is", key, 1);
        match by_attribute.await {
            Ok(more) => items.extend(more),
            // Zammad has no such attribute: the title has the key.
            Err(Called::Refused { .. }) => {}
            Err(outcome) => return Err(outcome.map(|()| Vec::new())),
        }
        let mut found: Vec<RemoteTicket> = Vec::new();
        for ticket in items.iter().map(|item| self.ticket(item)) {
            let gone = ticket.fields.status == TicketStatus::Gone;
            let fresh = found.iter().all(|other| other.remote != ticket.remote);
            if ticket.key == key && !gone && fresh {
                found.push(ticket);
            }
        }
        Ok(found)
    }

    async fn write_fields(
        &self,
        id: &str,
        from: Option<&TicketFields>,
        to: &TicketFields,
    ) -> Result<(), Called<()>> {
        let Some(current) = self.get_ticket(id).await? else {
            return Err(Called::refused(format!("ticket {id} was deleted")));
        };
        let mut change = Map::new();
        if from.is_none_or(|from| from.subject != to.subject) {
            let (_, key) = split_key(&word(&current, "title"));
            let title = kept_title(&to.subject);
            let title = with_key(title, &key);
            change.insert("title".to_owned(), json!(title));
        }
        if from.is_none_or(|from| from.status != to.status) {
            let state = self.config.status.name(to.status);
            change.insert("state".to_owned(), json!(state));
            if state.starts_with("pending") {
                let at = self.pending_until(&current);
                change.insert("pending_time".to_owned(), json!(at.to_string()));
            }
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
        self.put(id, &wanted).await?;
        let after = self.get_ticket(id).await?.unwrap_or_default();
        for name in ["state", "priority"] {
            if !wanted[name].is_null() && wanted[name] != after[name] {
                return Err(Called::Refused {
                    reason: format!("Zammad did not change the {name}"),
                    field: Some(name.to_owned()),
                });
            }
        }
        Ok(())
    }

    /// A pending state needs an end: so many days after the ticket's last change.
    fn pending_until(&self, ticket: &Value) -> Time {
        let changed = Time::parse_rfc3339(&word(ticket, "updated_at")).unwrap_or(Time(0));
        let days = u64::from(self.config.pending_days);
        changed.plus(Duration::from_secs(days * 24 * 3600))
    }

    async fn write_note(
        &self,
        id: &str,
        marker: &str,
        note: &str,
        public: bool,
    ) -> Result<(), Called<()>> {
        let article = json!({
            "ticket_id": id,
            "subject": marker,
            "body": format!("{}\n\n{marker}", text::plain(note)),
            "content_type": "text/plain",
            "type": "note",
            "sender": "Agent",
            "internal": !public,
        });
        let path = "/api/v1/ticket_articles";
        let answer = self
            .client
            .write(Method::POST, path, &article)
            .await
            .done()?;
        if word(&answer.json(), "id").is_empty() {
            return Err(Called::Unknown {
                reason: format!("the answer to a note is not Zammad's: {}", answer.said()),
                after: None,
            });
        }
        Ok(())
    }

    async fn close_as_duplicate(&self, id: &str, other: &str) -> Result<(), Called<()>> {
        let Some(target) = self.get_ticket(other).await? else {
            return Err(Called::refused(format!("ticket {other} was deleted")));
        };
        let number = word(&target, "number");
        let path = format!(
            "/api/v1/ticket_merge/{}/{}",
            path_part(id),
            path_part(&number)
        );
        self.client
            .write(Method::PUT, &path, &json!({}))
            .await
            .done()?;
        let after = self.get_ticket(id).await?;
        let status = after.map(|after| self.status(&word(&after, "state")));
        if status.is_none_or(TicketStatus::is_over) {
            return Ok(());
        }
        // Merging answers 200 when it failed: without the right to merge, close.
        let closed = json!({ "state": self.config.status.name(TicketStatus::Closed) });
        self.put(id, &closed).await
    }

    async fn articles<T>(&self, id: &str) -> Result<Vec<Value>, Called<T>> {
        let path = format!("/api/v1/ticket_articles/by_ticket/{}", path_part(id));
        let answer = self.client.get(&path, &[]).await.done()?.json();
        answer
            .as_array()
            .cloned()
            .ok_or_else(|| Called::later("the answer is no list of articles"))
    }

    async fn read_whole(&self, id: &str) -> Result<RemoteTicket, Called<RemoteTicket>> {
        let Some(item) = self.get_ticket(id).await? else {
            return Ok(RemoteTicket::gone(self.link(id)));
        };
        let mut ticket = self.ticket(&item);
        let articles = self.articles(id).await?;
        ticket.markers = articles
            .iter()
            .map(|article| word(article, "subject"))
            .collect();
        Ok(ticket)
    }
}

impl Tracker for Zammad {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn as_kept(&self, fields: &TicketFields) -> TicketFields {
        TicketFields {
            subject: kept_title(&fields.subject),
            status: self.status(self.config.status.name(fields.status)),
            severity: fields.severity.and_then(|severity| {
                self.config
                    .priority
                    .read(self.config.priority.word(severity))
            }),
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
        let id = &remote.key;
        Box::pin(async move {
            flat(match change {
                Change::Fields { from, to } => self.write_fields(id, from.as_ref(), to).await,
                Change::Note {
                    marker,
                    text,
                    public,
                    ..
                } => self.write_note(id, marker, text, *public).await,
                Change::CloseAsDuplicateOf(other) => self.close_as_duplicate(id, &other.key).await,
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
