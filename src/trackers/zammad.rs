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
use super::rest::{Adaptor, Base, Changed, Greeting, Note, Outcome, Said, Told, not_changed};
use super::words::{KEY_CHARS_MAX, Severities, Statuses, path_part, split_key, with_key, word};
use super::{Asked, Called, Capabilities, Draft, RemoteTicket, Takes, text};
use crate::limits;
use crate::model::Time;
use crate::model::ticket::{RemoteRef, TicketFields, TicketStatus};
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use std::time::Duration;

const PRODUCT: &str = "Zammad";
/// Longest title, characters.
const TITLE_CHARS_MAX: usize = 250;

/// Zammad as a tracker.
pub struct Zammad {
    base: Base,
    config: ZammadConfig,
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
        let base = Base {
            name: name.to_owned(),
            url: config.url.to_string(),
            client: Client::new(
                &config.url,
                headers.into_iter().collect(),
                &config.connection,
            )?,
            capabilities: Capabilities {
                key_kept: "an attribute, else the title",
                settle: Duration::from_secs(config.settle_seconds),
                poll_every: Duration::from_secs(config.poll_seconds.max(1)),
                subject_chars_max: TITLE_CHARS_MAX,
                body_bytes_max: 200 * 1024,
                attachment_bytes_max: 1024 * 1024,
                takes: Takes {
                    queue: true,
                    requestor: true,
                    custom: true,
                    ..Takes::NOTHING
                },
                parallel_max: config.parallel.max(1),
                ..Capabilities::TICKETS
            },
        };
        Ok(Zammad { base, config })
    }

    fn link(&self, id: &str) -> RemoteRef {
        let base = self.config.url.as_str().trim_end_matches('/');
        RemoteRef {
            key: id.to_owned(),
            url: format!("{base}/#ticket/zoom/{id}"),
        }
    }

    async fn put(&self, id: &str, ticket: &Value) -> Outcome<()> {
        let path = format!("/api/v1/tickets/{}", path_part(id));
        let to = (Method::PUT, path.as_str());
        self.base.write(PRODUCT, to, ticket, "id").await?;
        Ok(())
    }

    /// The ticket with names instead of ids; none if it was deleted.
    async fn get_ticket(&self, id: &str) -> Outcome<Option<Value>> {
        let path = format!("/api/v1/tickets/{}", path_part(id));
        let Some(answer) = self.base.look(&path, &[("expand", "true")]).await? else {
            return Ok(None);
        };
        let ticket = answer.json();
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
    async fn by_condition(
        &self,
        attribute: &str,
        operator: &str,
        value: &str,
        page: usize,
    ) -> Outcome<Vec<Value>> {
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
        let answer = self.base.client.get("/api/v1/tickets/search", &query).await;
        let answer = answer.done()?.json();
        answer
            .as_array()
            .cloned()
            .ok_or_else(|| Called::later("the answer to a search is no list"))
    }

    /// A pending state needs an end: so many days after the ticket's last change.
    fn pending_until(&self, ticket: &Value) -> Time {
        let changed = Time::parse_rfc3339(&word(ticket, "updated_at")).unwrap_or(Time(0));
        let days = u64::from(self.config.pending_days);
        changed.plus(Duration::from_secs(days * 24 * 3600))
    }

    async fn articles(&self, id: &str) -> Outcome<Vec<Value>> {
        let path = format!("/api/v1/ticket_articles/by_ticket/{}", path_part(id));
        let answer = self.base.client.get(&path, &[]).await.done()?.json();
        answer
            .as_array()
            .cloned()
            .ok_or_else(|| Called::later("the answer is no list of articles"))
    }
}

impl Adaptor for Zammad {
    const PRODUCT: &'static str = PRODUCT;

    fn base(&self) -> &Base {
        &self.base
    }

    fn kept(&self, fields: TicketFields) -> TicketFields {
        let priority = &self.config.priority;
        TicketFields {
            subject: kept_title(&fields.subject),
            status: self.status(self.config.status.name(fields.status)),
            severity: priority.kept(fields.severity),
            ..fields
        }
    }

    async fn greet(&self) -> Outcome<Greeting> {
        let answer = self.base.client.get("/api/v1/users/me", &[]).await.done()?;
        let me = answer.json();
        let user = word(&me, "id");
        if user.is_empty() {
            return Err(Called::later("the answer does not name the bridge's user"));
        }
        Ok(Greeting {
            words: format!("the token belongs to `{}`", word(&me, "login")),
            user,
            clock: answer.date(),
        })
    }

    async fn check_more(&self) -> Said {
        self.check_section().await
    }

    async fn check_asked(&self, asked: &[Asked]) -> Said {
        self.check_routes(asked).await
    }

    async fn search(&self, key: &str) -> Outcome<Vec<RemoteTicket>> {
        let mut items = self.by_condition("title", "contains", key, 1).await?;
        let by_attribute = self.by_condition(&self.config.key_attribute, "is", key, 1);
        match by_attribute.await {
            Ok(more) => items.extend(more),
            // Zammad has no such attribute: the title has the key.
            Err(Called::Refused { .. }) => {}
            Err(outcome) => return Err(outcome),
        }
        let mut found: Vec<RemoteTicket> = Vec::new();
        for ticket in items.iter().map(|item| self.ticket(item)) {
            let gone = ticket.fields.status == TicketStatus::Gone;
            let fresh = found.iter().all(|other| other.remote != ticket.remote);
            if !gone && fresh {
                found.push(ticket);
            }
        }
        Ok(found)
    }

    /// Creates. Zammad drops attributes that it does not have; then the title shows the key.
    async fn create(&self, draft: &Draft) -> Outcome<RemoteRef> {
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
        let to = (Method::POST, "/api/v1/tickets");
        let made = self.base.write(PRODUCT, to, &ticket, "id").await?;
        let id = word(&made, "id");
        if word(&made, &self.config.key_attribute) == draft.key {
            // Should this not be done, the title shows the key, and nothing else is wrong.
            let plain = json!({ "title": kept_title(&draft.fields.subject) });
            let _ = self.put(&id, &plain).await;
        }
        Ok(self.link(&id))
    }

    async fn write_fields(
        &self,
        id: &str,
        from: Option<&TicketFields>,
        to: &TicketFields,
    ) -> Outcome<()> {
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
                return not_changed(PRODUCT, name);
            }
        }
        Ok(())
    }

    async fn write_note(&self, id: &str, note: Note<'_>) -> Outcome<()> {
        let article = json!({
            "ticket_id": id,
            "subject": note.marker,
            "body": format!("{}\n\n{}", text::plain(note.text), note.marker),
            "content_type": "text/plain",
            "type": "note",
            "sender": "Agent",
            "internal": !note.public,
        });
        let to = (Method::POST, "/api/v1/ticket_articles");
        self.base.write(PRODUCT, to, &article, "id").await?;
        Ok(())
    }

    async fn close_twin(&self, id: &str, other: &str) -> Outcome<()> {
        let Some(target) = self.get_ticket(other).await? else {
            return Err(Called::refused(format!("ticket {other} was deleted")));
        };
        let number = word(&target, "number");
        let path = format!(
            "/api/v1/ticket_merge/{}/{}",
            path_part(id),
            path_part(&number)
        );
        let client = &self.base.client;
        client.write(Method::PUT, &path, &json!({})).await.done()?;
        let after = self.get_ticket(id).await?;
        let status = after.map(|after| self.status(&word(&after, "state")));
        if status.is_none_or(TicketStatus::is_over) {
            return Ok(());
        }
        // Merging answers 200 when it failed: without the right to merge, close.
        let closed = json!({ "state": self.config.status.name(TicketStatus::Closed) });
        self.put(id, &closed).await
    }

    async fn read_whole(&self, id: &str) -> Outcome<Option<RemoteTicket>> {
        let Some(item) = self.get_ticket(id).await? else {
            return Ok(None);
        };
        let mut ticket = self.ticket(&item);
        let articles = self.articles(id).await?;
        let subjects = articles.iter().map(|article| word(article, "subject"));
        ticket.markers = subjects.collect();
        Ok(Some(ticket))
    }

    async fn changed_since(&self, since: Time) -> Outcome<Changed> {
        // "After" leaves the instant itself out.
        let since = since.minus(Duration::from_secs(1)).to_string();
        let (mut items, mut whole) = (Vec::new(), false);
        for page in 1..=limits::TRACKER_POLL_PAGES_MAX {
            let more = self.by_condition("updated_at", "after (absolute)", &since, page);
            let more = more.await?;
            whole = more.len() < 100;
            items.extend(more);
            if whole {
                break;
            }
        }
        Ok(Changed::listed(&items, ("id", "updated_at"), whole))
    }

    async fn history(&self, id: &str, me: &str) -> Outcome<Vec<Told>> {
        let mut told = self.told_in_articles(id, me).await?;
        told.extend(self.told_in_history(id, me).await?);
        Ok(told)
    }
}
