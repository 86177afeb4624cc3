//! What Freshdesk and Freshservice have in common: their interface is one in two dialects.
//!
//! The key stands in a custom field. A search by it reads an index that lags by minutes, so what
//! changed lately is listed and compared as well: a list reads the database. Nobody is named as the
//! author of a status, so what the bridge wrote is remembered by the tracker's own instants. Notes
//! of the bridge are private unless they are for the customer: a public one counts as an answer.

mod files;

use super::client::{Answer, Client, ConnectionConfig, basic};
use super::rest::{Adaptor, Base, Changed, Greeting, Note, Outcome, Said, Told, not_changed};
use super::words::{Severities, Statuses, not_theirs, path_part, word};
use super::{Asked, Called, Capabilities, Draft, RemoteTicket, Takes, text};
use crate::limits;
use crate::model::Time;
use crate::model::text::bounded;
use crate::model::ticket::{PersonDid, RemoteRef, TicketFields, TicketStatus};
use reqwest::header::AUTHORIZATION;
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What the index may not show yet is listed instead.
const INDEX_LAGS: Duration = Duration::from_secs(15 * 60);
const PER_PAGE: usize = 100;
/// Most instants of own writes, and most tickets, that are remembered.
const REMEMBERED_MAX: usize = 20_000;

/// The section of one of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreshConfig {
    /// Where it is: `https://NAME.freshdesk.com/` or `https://NAME.freshservice.com/`.
    pub url: Url,
    /// The API key of the bridge's own agent.
    pub token: SecretString,
    /// The number of that agent.
    pub agent: u64,
    /// The mail address of the requester of tickets without one.
    pub requester: String,
    /// The custom field of tickets for the key, a text.
    #[serde(default = "key_field")]
    pub key_field: String,
    /// The number of the group of tickets whose route names none; empty: the default.
    #[serde(default)]
    pub group: String,
    /// The priority of each severity, by number.
    #[serde(default)]
    pub priority: Severities,
    /// The numbers of the statuses.
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

fn key_field() -> String {
    "cf_alert_key".to_owned()
}

/// Where the two differ.
pub trait Dialect: Send + Sync + 'static {
    /// The product's name.
    const PRODUCT: &'static str;
    /// Where a search by a field is.
    const SEARCH: &'static str;
    /// The name of the list in the answer to a search.
    const FOUND: &'static str;
    /// The name of one ticket in an answer, if it is wrapped.
    const TICKET: &'static str;
    /// The name of a list of tickets in an answer, if it is wrapped.
    const TICKETS: &'static str;
    /// The name of a list of conversations in an answer, if it is wrapped.
    const CONVERSATIONS: &'static str;
    /// What a ticket needs besides.
    fn more(ticket: &mut Value);
}

/// What the bridge wrote, and what it saw last.
#[derive(Default)]
struct Memory {
    own: BTreeSet<String>,
    seen: BTreeMap<String, (String, String)>,
}

/// One of them as a tracker.
pub struct Fresh<D> {
    base: Base,
    config: FreshConfig,
    memory: Mutex<Memory>,
    dialect: std::marker::PhantomData<D>,
}

/// The value itself, or what stands in it under a name.
fn unwrapped<'a>(answer: &'a Value, name: &str) -> &'a Value {
    if name.is_empty() {
        answer
    } else {
        &answer[name]
    }
}

impl<D: Dialect> Fresh<D> {
    /// A tracker by its configuration; nothing is sent yet.
    pub(super) fn new(name: &str, mut config: FreshConfig, calls: u32) -> Result<Self, String> {
        config.status = config
            .status
            .or(Statuses::of_names(["2", "2", "3", "3", "4", "5", "5"]));
        config.priority = config
            .priority
            .or(Severities::of_words(["4", "4", "3", "2", "1"]));
        let authorization = basic(config.token.expose_secret().trim(), "X")?;
        let headers = [(AUTHORIZATION, authorization)].into_iter().collect();
        let base = Base {
            name: name.to_owned(),
            url: config.url.to_string(),
            client: Client::new(&config.url, headers, &config.connection)?,
            capabilities: Capabilities {
                key_kept: "a custom field",
                settle: Duration::from_secs(config.settle_seconds.unwrap_or(30)),
                poll_every: Duration::from_secs(config.poll_seconds.unwrap_or(60).max(15)),
                subject_chars_max: 200,
                body_bytes_max: 48 * 1024,
                attachment_bytes_max: 1024 * 1024,
                takes: Takes::ALL,
                parallel_max: config.parallel.unwrap_or(1).max(1),
                calls_per_minute: calls,
                ..Capabilities::TICKETS
            },
        };
        Ok(Fresh {
            base,
            config,
            memory: Mutex::default(),
            dialect: std::marker::PhantomData,
        })
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn link(&self, id: &str) -> RemoteRef {
        let base = self.config.url.as_str().trim_end_matches('/');
        RemoteRef {
            key: id.to_owned(),
            url: format!("{base}/a/tickets/{id}"),
        }
    }

    fn ticket(&self, item: &Value) -> RemoteTicket {
        let deleted = item["deleted"] == Value::Bool(true) || item["spam"] == Value::Bool(true);
        RemoteTicket {
            remote: self.link(&word(item, "id")),
            key: word(&item["custom_fields"], &self.config.key_field),
            fields: TicketFields {
                subject: word(item, "subject"),
                status: if deleted {
                    TicketStatus::Gone
                } else {
                    self.config.status.read(&word(item, "status"))
                },
                severity: self.config.priority.read(&word(item, "priority")),
                queue: word(item, "group_id"),
            },
            markers: Vec::new(),
            created_at: Time::parse_rfc3339(&word(item, "created_at")),
        }
    }

    /// All pages of a list.
    async fn list(&self, path: &str, query: &[(&str, &str)], name: &str) -> Outcome<Vec<Value>> {
        match self.listed(path, query, name).await? {
            (items, true) => Ok(items),
            _ => Err(Called::later("the list does not end")),
        }
    }

    /// A list as far as it is read, and whether that is all.
    async fn listed(
        &self,
        path: &str,
        query: &[(&str, &str)],
        name: &str,
    ) -> Outcome<(Vec<Value>, bool)> {
        let per_page = PER_PAGE.to_string();
        let mut items = Vec::new();
        for page in 1..=limits::TRACKER_POLL_PAGES_MAX {
            let page = page.to_string();
            let mut query = query.to_vec();
            query.extend([("per_page", per_page.as_str()), ("page", page.as_str())]);
            let answer = self.base.client.get(path, &query).await.done()?.json();
            let Some(list) = unwrapped(&answer, name).as_array() else {
                return Err(Called::later("the answer is no list"));
            };
            items.extend(list.iter().cloned());
            if list.len() < PER_PAGE {
                return Ok((items, true));
            }
        }
        Ok((items, false))
    }

    /// Tickets that changed at or after an instant, the oldest change first, and whether these are
    /// all.
    async fn changed(&self, since: Time) -> Outcome<(Vec<Value>, bool)> {
        let since = since.to_string();
        let query = [
            ("updated_since", since.as_str()),
            ("order_by", "updated_at"),
            ("order_type", "asc"),
        ];
        self.listed("/api/v2/tickets", &query, D::TICKETS).await
    }

    /// A ticket with the instants of its statuses; none if it was deleted for good.
    async fn whole(&self, id: &str) -> Outcome<Option<Value>> {
        let path = format!("/api/v2/tickets/{}", path_part(id));
        let Some(answer) = self.base.look(&path, &[("include", "stats")]).await? else {
            return Ok(None);
        };
        let item = unwrapped(&answer.json(), D::TICKET).clone();
        if word(&item, "id").is_empty() {
            return Err(Called::later("the answer to a read is no ticket"));
        }
        Ok(Some(item))
    }

    /// A status and its instant, for each that the tracker tells of.
    fn statuses(&self, item: &Value) -> Vec<(String, Time, TicketStatus)> {
        let stats = &item["stats"];
        let current = self.config.status.read(&word(item, "status"));
        let mut found: Vec<(String, Time, TicketStatus)> = Vec::new();
        for (name, status) in [
            ("pending_since", TicketStatus::WaitingCustomer),
            ("resolved_at", TicketStatus::Resolved),
            ("closed_at", TicketStatus::Closed),
            ("reopened_at", TicketStatus::Open),
            ("status_updated_at", current),
        ] {
            let at = word(stats, name);
            let Some(time) = Time::parse_rfc3339(&at) else {
                continue;
            };
            // The last one repeats one of the others.
            if found.iter().all(|(_, other, _)| *other != time) {
                found.push((format!("{name}-{at}"), time, status));
            }
        }
        found
    }

    fn remember(&self, item: &Value) {
        let id = word(item, "id");
        let own: Vec<String> = self
            .statuses(item)
            .into_iter()
            .map(|(name, ..)| format!("{id}/{name}"))
            .collect();
        let mut memory = self.memory();
        if memory.own.len() < REMEMBERED_MAX {
            memory.own.extend(own);
        }
        if memory.seen.len() < REMEMBERED_MAX {
            let now = (word(item, "responder_id"), word(item, "priority"));
            memory.seen.insert(id, now);
        }
    }

    /// Statuses, and what is new of owner and priority since the ticket was seen last.
    fn told_of(&self, item: &Value) -> Vec<Told> {
        let id = word(item, "id");
        let (owner, priority) = (word(item, "responder_id"), word(item, "priority"));
        let author = if owner.is_empty() { "an agent" } else { &owner };
        let mut told = Vec::new();
        let mut memory = self.memory();
        for (name, at, status) in self.statuses(item) {
            let own = memory.own.contains(&format!("{id}/{name}"));
            let what = (!own).then_some(PersonDid::Status(status));
            told.push(Told {
                what,
                ..Told::of(&name, at, author, PersonDid::Status(status))
            });
        }
        let updated = word(item, "updated_at");
        let before = memory.seen.get(&id).cloned();
        if let Some(at) = Time::parse_rfc3339(&updated) {
            let was = before.as_ref().map_or("", |(owner, _)| owner);
            if was != owner {
                let name = format!("owner-{owner}-{updated}");
                told.push(Told::of(&name, at, author, PersonDid::Owner(owner.clone())));
            }
            let changed = before.is_some_and(|(_, was)| was != priority);
            let severity = self.config.priority.read(&priority).filter(|_| changed);
            if let Some(severity) = severity {
                let name = format!("priority-{priority}-{updated}");
                told.push(Told::of(&name, at, author, PersonDid::Severity(severity)));
            }
        }
        if memory.seen.len() < REMEMBERED_MAX {
            memory.seen.insert(id, (owner, priority));
        }
        told
    }

    async fn conversations(&self, id: &str) -> Outcome<Vec<Value>> {
        let path = format!("/api/v2/tickets/{}/conversations", path_part(id));
        self.list(&path, &[], D::CONVERSATIONS).await
    }

    async fn put(&self, id: &str, change: Value) -> Outcome<Answer> {
        let path = format!("/api/v2/tickets/{}", path_part(id));
        let to = (Method::PUT, path.as_str());
        self.base.write_without(to, change, "", &["priority"]).await
    }
}

impl<D: Dialect> Adaptor for Fresh<D> {
    const PRODUCT: &'static str = D::PRODUCT;

    fn base(&self) -> &Base {
        &self.base
    }

    fn kept(&self, fields: TicketFields) -> TicketFields {
        let (status, priority) = (&self.config.status, &self.config.priority);
        TicketFields {
            status: status.read(status.name(fields.status)),
            severity: priority.kept(fields.severity),
            ..fields
        }
    }

    async fn greet(&self) -> Outcome<Greeting> {
        let agent = self.config.agent;
        let path = format!("/api/v2/agents/{agent}");
        let answer = self.base.client.get(&path, &[]).await.done()?;
        Ok(Greeting {
            words: format!("the bridge is its agent {agent}"),
            user: agent.to_string(),
            clock: answer.date(),
        })
    }

    async fn check_more(&self) -> Said {
        let field = &self.config.key_field;
        let fields = match self.list("/api/v2/ticket_fields", &[], "").await {
            Ok(fields) => fields,
            // Only administrators may read them; a search by the field has answered.
            Err(_) => return vec![Ok(format!("the key is kept in the field `{field}`"))],
        };
        let there = fields.iter().any(|item| word(item, "name") == *field);
        vec![if there {
            Ok(format!("the key is kept in the field `{field}`"))
        } else {
            Err(format!(
                "there is no ticket field `{field}`: make one, a text of one line"
            ))
        }]
    }

    async fn check_asked(&self, asked: &[Asked]) -> Said {
        let mut said = Vec::new();
        let fields = self.list("/api/v2/ticket_fields", &[], "").await;
        for route in asked {
            if !route.queue.is_empty() {
                let path = format!("/api/v2/groups/{}", path_part(&route.queue));
                let found = self.base.client.get(&path, &[]).await;
                said.push(route.is_found(&format!("group {}", route.queue), &found));
            }
            for name in &route.custom {
                said.push(match &fields {
                    Ok(fields) => {
                        let there = fields.iter().any(|item| word(item, "name") == *name);
                        route.is_there(&format!("ticket field `{name}`"), there)
                    }
                    Err(outcome) => Ok(format!(
                        "fields may be read by administrators only, `{name}` was not looked at: {}",
                        outcome.why()
                    )),
                });
            }
        }
        said
    }

    async fn search(&self, key: &str) -> Outcome<Vec<RemoteTicket>> {
        let query = format!("\"{}:'{}'\"", self.config.key_field, key.replace('\'', ""));
        let query = [("query", query.as_str())];
        let answer = self.base.client.get(D::SEARCH, &query).await.done()?;
        let Some(now) = answer.date() else {
            return Err(Called::later("the answer has no date"));
        };
        let found = answer.json();
        let Some(indexed) = found[D::FOUND].as_array() else {
            return Err(Called::later("the answer to a search is no list"));
        };
        let mut tickets: BTreeMap<String, RemoteTicket> = BTreeMap::new();
        let (recent, true) = self.changed(now.minus(INDEX_LAGS)).await? else {
            return Err(Called::later("more changed of late than can be listed"));
        };
        // The list is newer than the index: it comes last and wins.
        for ticket in indexed.iter().chain(&recent).map(|item| self.ticket(item)) {
            tickets.insert(ticket.remote.key.clone(), ticket);
        }
        let tickets = tickets.into_values();
        Ok(tickets
            .filter(|ticket| ticket.key == key && ticket.fields.status != TicketStatus::Gone)
            .collect())
    }

    async fn create(&self, draft: &Draft) -> Outcome<RemoteRef> {
        let requester = if draft.requestor.is_empty() {
            &self.config.requester
        } else {
            &draft.requestor
        };
        let severity = draft
            .fields
            .severity
            .map_or("2", |severity| self.config.priority.word(severity));
        let number = |text: &str| {
            text.parse::<u64>()
                .map_or_else(|_| json!(text), Value::from)
        };
        let mut ticket = json!({
            "email": requester,
            "subject": text::without_placeholders(&self.base.subject(&draft.fields.subject)),
            "description": text::marked_html(&draft.body, &draft.key),
            "status": number(self.config.status.name(TicketStatus::New)),
            "priority": number(severity),
            "custom_fields": {},
        });
        for (name, value) in &draft.custom {
            ticket["custom_fields"][name] = json!(value);
        }
        ticket["custom_fields"][&self.config.key_field] = json!(draft.key);
        if !draft.kind.is_empty() {
            ticket["type"] = json!(draft.kind);
        }
        if !draft.watchers.is_empty() {
            ticket["cc_emails"] = json!(draft.watchers);
        }
        let group = if draft.fields.queue.is_empty() {
            &self.config.group
        } else {
            &draft.fields.queue
        };
        if !group.is_empty() {
            ticket["group_id"] = number(group);
        }
        D::more(&mut ticket);
        let client = &self.base.client;
        let answer = client.write(Method::POST, "/api/v2/tickets", &ticket).await;
        let answer = answer.done()?;
        let json = answer.json();
        let made = unwrapped(&json, D::TICKET);
        if word(made, "id").is_empty() {
            return Err(not_theirs(D::PRODUCT, &answer));
        }
        self.remember(made);
        let id = word(made, "id");
        self.attach(&id, &draft.attachments).await;
        Ok(self.link(&id))
    }

    async fn write_fields(
        &self,
        id: &str,
        from: Option<&TicketFields>,
        to: &TicketFields,
    ) -> Outcome<()> {
        let number = |text: &str| {
            text.parse::<u64>()
                .map_or_else(|_| json!(text), Value::from)
        };
        let mut change = Map::new();
        if from.is_none_or(|from| from.subject != to.subject) {
            let subject = text::without_placeholders(&self.base.subject(&to.subject));
            change.insert("subject".to_owned(), json!(subject));
        }
        let status = self.config.status.name(to.status);
        let moves = from.is_none_or(|from| self.config.status.name(from.status) != status);
        if moves {
            change.insert("status".to_owned(), number(status));
        }
        if let Some(severity) = to.severity
            && from.is_none_or(|from| from.severity != to.severity)
        {
            let priority = number(self.config.priority.word(severity));
            change.insert("priority".to_owned(), priority);
        }
        if change.is_empty() {
            return Ok(());
        }
        self.put(id, Value::Object(change)).await?;
        let after = self.whole(id).await?.unwrap_or_default();
        if moves && word(&after, "status") != status {
            return not_changed(D::PRODUCT, "status");
        }
        self.remember(&after);
        Ok(())
    }

    async fn write_note(&self, id: &str, note: Note<'_>) -> Outcome<()> {
        let path = format!("/api/v2/tickets/{}/notes", path_part(id));
        let body =
            json!({ "body": text::marked_html(note.text, note.marker), "private": !note.public });
        let written = self.base.client.write(Method::POST, &path, &body).await;
        let answer = written.done()?;
        let json = answer.json();
        let made = if json["conversation"].is_object() {
            &json["conversation"]
        } else {
            &json
        };
        if word(made, "id").is_empty() {
            return Err(not_theirs(D::PRODUCT, &answer));
        }
        Ok(())
    }

    async fn close_twin(&self, id: &str, other: &str) -> Outcome<()> {
        let path = format!("/api/v2/tickets/{}/notes", path_part(id));
        let text = text::as_html(&format!("Duplicate of ticket {other}."));
        let note = json!({ "body": text, "private": true });
        let written = self.base.client.write(Method::POST, &path, &note).await;
        written.done()?;
        let from = None;
        let Some(item) = self.whole(id).await? else {
            return Ok(());
        };
        let to = TicketFields {
            status: TicketStatus::Closed,
            severity: None,
            ..self.ticket(&item).fields
        };
        self.write_fields(id, from, &to).await
    }

    async fn read_whole(&self, id: &str) -> Outcome<Option<RemoteTicket>> {
        let Some(item) = self.whole(id).await? else {
            return Ok(None);
        };
        let mut ticket = self.ticket(&item);
        for entry in self.conversations(id).await? {
            let body = text::from_html(&word(&entry, "body"));
            ticket.markers.push(text::last_word(&body).to_owned());
        }
        Ok(Some(ticket))
    }

    async fn changed_since(&self, since: Time) -> Outcome<Changed> {
        let (items, whole) = self.changed(since).await?;
        Ok(Changed::listed(&items, ("id", "updated_at"), whole))
    }

    async fn history(&self, id: &str, me: &str) -> Outcome<Vec<Told>> {
        let Some(item) = self.whole(id).await? else {
            return Ok(Vec::new());
        };
        let mut told = self.told_of(&item);
        for entry in self.conversations(id).await? {
            let author = word(&entry, "user_id");
            let Some(at) = Time::parse_rfc3339(&word(&entry, "created_at")) else {
                continue;
            };
            if author == me {
                continue;
            }
            let text = text::from_html(&word(&entry, "body"));
            let text = bounded(&text, limits::TRACKER_TEXT_BYTES_MAX);
            let what = if entry["incoming"] == Value::Bool(true) {
                PersonDid::CustomerWrote { text }
            } else if entry["private"] == Value::Bool(true) {
                PersonDid::Noted { text }
            } else {
                PersonDid::Answered {
                    text,
                    promise: None,
                }
            };
            let name = format!("conversation-{}", word(&entry, "id"));
            told.push(Told::of(&name, at, &author, what));
        }
        Ok(told)
    }
}
