//! ServiceNow by its table interface.
//!
//! The key stands in `correlation_id`. A part of a query that the instance does not understand is
//! ignored and finds everything, so every hit is compared. Unknown fields are dropped without a
//! word, so every change is read back. The priority is computed there from impact and urgency.

mod changes;
mod check;
mod config;

pub use config::ServiceNowConfig;

use super::client::{Client, secret_header};
use super::words::{Severities, Statuses, not_theirs, path_part, word};
use super::{
    Asked, Attachment, Called, Capabilities, Change, Draft, Known, RemoteTicket, Reopens, Takes,
    Tracker, flat, text,
};
use crate::model::Time;
use crate::model::severity::Severity;
use crate::model::ticket::{PersonChange, RemoteRef, TicketFields, TicketStatus};
use base64::Engine as _;
use futures_util::future::BoxFuture;
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most records that are asked for at once.
const RECORDS_MAX: usize = 200;
/// Longest short description, characters.
const SUBJECT_CHARS_MAX: usize = 160;
/// Most ids of records that are remembered by number.
const IDS_MAX: usize = 50_000;
/// The columns that are read.
const COLUMNS: &str = "sys_id,number,short_description,state,hold_reason,impact,urgency,\
                       correlation_id,sys_created_on,assignment_group";

/// ServiceNow as a tracker.
pub struct ServiceNow {
    name: String,
    config: ServiceNowConfig,
    client: Client,
    capabilities: Capabilities,
    /// Ids of records by their number.
    ids: Mutex<BTreeMap<String, String>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `2026-11-25 03:13:00`, UTC.
fn time(text: &str) -> Option<Time> {
    Time::parse_rfc3339(&format!("{}Z", text.trim().replace(' ', "T")))
}

/// A value of an encoded query; `^` would end it.
fn value(text: &str) -> String {
    text.replace('^', "^^")
}

fn bearer(token: &SecretString) -> Result<reqwest::header::HeaderValue, String> {
    secret_header(&format!("Bearer {}", token.expose_secret().trim()))
}

impl ServiceNow {
    /// A tracker by its configuration; nothing is sent yet.
    pub fn new(name: &str, mut config: ServiceNowConfig) -> Result<ServiceNow, String> {
        config.status = config
            .status
            .or(Statuses::of_names(["1", "2", "3", "3", "6", "7", "8"]));
        config.impact_urgency = config
            .impact_urgency
            .or(Severities::of_words(["1/1", "1/2", "2/2", "2/3", "3/3"]));
        let authorization = match (&config.password, &config.token) {
            (Some(password), _) => {
                let pair = format!("{}:{}", config.user, password.expose_secret());
                let pair = base64::engine::general_purpose::STANDARD.encode(pair);
                secret_header(&format!("Basic {pair}"))?
            }
            (None, Some(token)) => bearer(token)?,
            (None, None) => return Err("either `password` or `token` is needed".to_owned()),
        };
        let headers = [
            (reqwest::header::AUTHORIZATION, authorization),
            (
                reqwest::header::ACCEPT,
                reqwest::header::HeaderValue::from_static("application/json"),
            ),
        ];
        let client = Client::new(
            &config.url,
            headers.into_iter().collect(),
            &config.connection,
        )?;
        Ok(ServiceNow {
            name: name.to_owned(),
            client,
            capabilities: Capabilities {
                key_kept: "`correlation_id`",
                settle: Duration::from_secs(config.settle_seconds),
                poll_every: Duration::from_secs(config.poll_seconds.max(5)),
                subject_chars_max: SUBJECT_CHARS_MAX,
                body_bytes_max: 30 * 1024,
                attachment_bytes_max: 1024 * 1024,
                takes: Takes {
                    queue: true,
                    requestor: true,
                    watchers: true,
                    custom: true,
                    ..Takes::NOTHING
                },
                parallel_max: config.parallel.max(1),
                reopens: Reopens::UntilClosed,
                ..Capabilities::TICKETS
            },
            config,
            ids: Mutex::default(),
        })
    }

    fn table(&self) -> String {
        format!("/api/now/table/{}", path_part(&self.config.table))
    }

    fn link(&self, number: &str) -> RemoteRef {
        let base = self.config.url.as_str().trim_end_matches('/');
        let table = &self.config.table;
        RemoteRef {
            key: number.to_owned(),
            url: format!("{base}/nav_to.do?uri={table}.do?sysparm_query=number={number}"),
        }
    }

    /// The first records of a table that a query finds.
    async fn records<T>(
        &self,
        table: &str,
        query: &str,
        columns: &str,
    ) -> Result<Vec<Value>, Called<T>> {
        self.page(table, query, columns, 0).await
    }

    /// Records of a table that a query finds, from a place on. An `error` beside a result is a
    /// cancelled search.
    async fn page<T>(
        &self,
        table: &str,
        query: &str,
        columns: &str,
        offset: usize,
    ) -> Result<Vec<Value>, Called<T>> {
        let path = format!("/api/now/table/{}", path_part(table));
        let (limit, offset) = (RECORDS_MAX.to_string(), offset.to_string());
        let query = [
            ("sysparm_query", query),
            ("sysparm_fields", columns),
            ("sysparm_limit", limit.as_str()),
            ("sysparm_offset", offset.as_str()),
            ("sysparm_exclude_reference_link", "true"),
        ];
        let answer = self.client.get(&path, &query).await.done()?;
        let records = answer.json();
        match records["result"].as_array() {
            Some(list) if records["error"].is_null() => Ok(list.clone()),
            _ => Err(Called::later(format!(
                "the search failed: {}",
                answer.said()
            ))),
        }
    }

    /// The record of a number; none if it was deleted.
    async fn record<T>(&self, number: &str) -> Result<Option<Value>, Called<T>> {
        let query = format!("number={}", value(number));
        let found = self.records(&self.config.table, &query, COLUMNS).await?;
        let own = found
            .into_iter()
            .find(|record| word(record, "number") == number);
        if let Some(record) = &own {
            self.remember(record);
        }
        Ok(own)
    }

    fn remember(&self, record: &Value) {
        let mut ids = locked(&self.ids);
        if ids.len() < IDS_MAX {
            ids.insert(word(record, "number"), word(record, "sys_id"));
        }
    }

    async fn id_of<T>(&self, number: &str) -> Result<String, Called<T>> {
        if let Some(id) = locked(&self.ids).get(number) {
            return Ok(id.clone());
        }
        let record = self.record(number).await?;
        let record = record.ok_or_else(|| Called::refused(format!("there is no {number}")))?;
        Ok(word(&record, "sys_id"))
    }

    fn severity(&self, severity: Severity, body: &mut Map<String, Value>) {
        let words = self.config.impact_urgency.word(severity);
        let (impact, urgency) = words.split_once('/').unwrap_or((words, words));
        body.insert("impact".to_owned(), json!(impact));
        body.insert("urgency".to_owned(), json!(urgency));
    }

    fn state(&self, status: TicketStatus, body: &mut Map<String, Value>) {
        let state = self.config.status.name(status);
        body.insert("state".to_owned(), json!(state));
        match status {
            TicketStatus::WaitingCustomer => {
                let reason = json!(self.config.hold_reason);
                body.insert("hold_reason".to_owned(), reason);
            }
            TicketStatus::Resolved | TicketStatus::Closed => {
                let code = json!(self.config.close_code);
                body.insert("close_code".to_owned(), code);
                let notes = "Recovered, as the monitoring says.";
                body.insert("close_notes".to_owned(), json!(notes));
            }
            _ => {}
        }
    }

    fn status(&self, record: &Value) -> TicketStatus {
        let status = self.config.status.read(&word(record, "state"));
        let waits = word(record, "hold_reason") == self.config.hold_reason;
        match status {
            TicketStatus::WaitingCustomer | TicketStatus::OnHold if waits => {
                TicketStatus::WaitingCustomer
            }
            TicketStatus::WaitingCustomer => TicketStatus::OnHold,
            other => other,
        }
    }

    fn ticket(&self, record: &Value) -> RemoteTicket {
        let words = format!("{}/{}", word(record, "impact"), word(record, "urgency"));
        RemoteTicket {
            remote: self.link(&word(record, "number")),
            key: word(record, "correlation_id"),
            fields: TicketFields {
                subject: word(record, "short_description"),
                status: self.status(record),
                severity: self.config.impact_urgency.read(&words),
                queue: word(record, "assignment_group"),
            },
            markers: Vec::new(),
            created_at: time(&word(record, "sys_created_on")),
        }
    }

    async fn create(&self, draft: &Draft) -> Result<RemoteRef, Called<RemoteRef>> {
        let mut body = Map::new();
        let mut set = |name: &str, value: &str| {
            if !value.is_empty() {
                body.insert(name.to_owned(), json!(value));
            }
        };
        for (name, value) in &draft.custom {
            set(name, value);
        }
        set("watch_list", &draft.watchers.join(","));
        let queue = &draft.fields.queue;
        set(
            "short_description",
            &text::subject(&draft.fields.subject, "", SUBJECT_CHARS_MAX),
        );
        set("description", &text::plain(&draft.body));
        set("correlation_id", &draft.key);
        set("correlation_display", "alertbridge");
        set(
            "assignment_group",
            if queue.is_empty() {
                &self.config.group
            } else {
                queue
            },
        );
        let caller = &draft.requestor;
        set(
            "caller_id",
            if caller.is_empty() {
                &self.config.caller
            } else {
                caller
            },
        );
        if let Some(severity) = draft.fields.severity {
            self.severity(severity, &mut body);
        }
        let path = format!("{}?sysparm_input_display_value=true", self.table());
        let answer = self
            .client
            .write(Method::POST, &path, &Value::Object(body))
            .await;
        let answer = answer.done()?;
        let record = &answer.json()["result"];
        let number = word(record, "number");
        if number.is_empty() {
            return Err(not_theirs("ServiceNow", &answer));
        }
        self.remember(record);
        for file in &draft.attachments {
            self.attach(&word(record, "sys_id"), file).await;
        }
        Ok(self.link(&number))
    }

    /// A file cannot come with a create. The record is there: should this not be done, its
    /// description says what was cut, and nothing else is wrong.
    async fn attach(&self, id: &str, file: &Attachment) {
        let table = self.config.table.as_str();
        let query = [
            ("table_name", table),
            ("table_sys_id", id),
            ("file_name", file.name.as_str()),
        ];
        let request = self
            .client
            .request(Method::POST, "/api/now/attachment/file")
            .query(&query)
            .header(reqwest::header::CONTENT_TYPE, &file.content_type)
            .body(file.bytes.clone());
        let _ = super::client::send(request).await;
    }

    async fn patch(&self, number: &str, body: Map<String, Value>) -> Result<(), Called<()>> {
        let id = self.id_of(number).await?;
        let path = format!("{}/{}", self.table(), path_part(&id));
        let body = Value::Object(body);
        let answer = self
            .client
            .write(Method::PATCH, &path, &body)
            .await
            .done()?;
        let said = answer.json();
        if said["result"].is_object() && said["error"].is_null() {
            return Ok(());
        }
        Err(not_theirs("ServiceNow", &answer))
    }

    async fn search(&self, key: &str) -> Result<Vec<RemoteTicket>, Called<Vec<RemoteTicket>>> {
        let query = format!("correlation_id={}^ORDERBYsys_created_on", value(key));
        let found = self.records(&self.config.table, &query, COLUMNS).await?;
        if found.len() >= 200 {
            return Err(Called::later(
                "a search by `correlation_id` finds everything: the instance ignores it",
            ));
        }
        found.iter().for_each(|record| self.remember(record));
        let tickets = found.iter().map(|record| self.ticket(record));
        Ok(tickets
            .filter(|ticket| ticket.key == key && ticket.fields.status != TicketStatus::Gone)
            .collect())
    }

    async fn write_fields(
        &self,
        number: &str,
        from: Option<&TicketFields>,
        to: &TicketFields,
    ) -> Result<(), Called<()>> {
        let mut body = Map::new();
        if from.is_none_or(|from| from.subject != to.subject) {
            let subject = text::subject(&to.subject, "", SUBJECT_CHARS_MAX);
            body.insert("short_description".to_owned(), json!(subject));
        }
        if from.is_none_or(|from| from.status != to.status) {
            self.state(to.status, &mut body);
        }
        if let Some(severity) = to.severity
            && from.is_none_or(|from| from.severity != to.severity)
        {
            self.severity(severity, &mut body);
        }
        if body.is_empty() {
            return Ok(());
        }
        self.patch(number, body.clone()).await?;
        let after = self.record(number).await?.unwrap_or_default();
        for name in ["state", "impact", "urgency"] {
            if let Some(wanted) = body.get(name)
                && word(&after, name) != wanted.as_str().unwrap_or_default()
            {
                return Err(Called::Refused {
                    reason: format!(
                        "ServiceNow did not change `{name}`: a rule or a right forbids it"
                    ),
                    field: Some(name.to_owned()),
                });
            }
        }
        Ok(())
    }

    async fn write_note(
        &self,
        number: &str,
        marker: &str,
        note: &str,
        public: bool,
    ) -> Result<(), Called<()>> {
        // `[code]` would let HTML through.
        let note = text::broken_up(&text::plain(note), "[code]");
        let column = if public { "comments" } else { "work_notes" };
        let text = json!(format!("{note}\n\n{marker}"));
        let body = [(column.to_owned(), text)];
        self.patch(number, body.into_iter().collect()).await
    }

    async fn close_as_duplicate(&self, number: &str, other: &str) -> Result<(), Called<()>> {
        let mut body = Map::new();
        self.state(TicketStatus::Gone, &mut body);
        let parent = self.id_of(other).await?;
        body.insert("parent_incident".to_owned(), json!(parent));
        let text = json!(format!("Duplicate of {other}."));
        body.insert("work_notes".to_owned(), text);
        self.patch(number, body).await?;
        let after = self.record(number).await?;
        if after.is_none_or(|after| self.status(&after).is_over()) {
            return Ok(());
        }
        Err(Called::refused(format!(
            "{number} could not be cancelled as a duplicate"
        )))
    }

    async fn read_whole(&self, number: &str) -> Result<RemoteTicket, Called<RemoteTicket>> {
        let Some(record) = self.record(number).await? else {
            return Ok(RemoteTicket::gone(self.link(number)));
        };
        let mut ticket = self.ticket(&record);
        let entries = self.journal(&word(&record, "sys_id")).await?;
        let last_lines = entries.iter().map(|entry| {
            let text = word(entry, "value");
            text::last_line(&text).to_owned()
        });
        ticket.markers = last_lines.collect();
        Ok(ticket)
    }

    /// Comments and work notes of a record.
    async fn journal<T>(&self, id: &str) -> Result<Vec<Value>, Called<T>> {
        let query = format!("element_id={}^ORDERBYDESCsys_created_on", value(id));
        let columns = "sys_id,element,value,sys_created_by,sys_created_on";
        self.records("sys_journal_field", &query, columns).await
    }
}

impl Tracker for ServiceNow {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn as_kept(&self, fields: &TicketFields) -> TicketFields {
        let words = &self.config.impact_urgency;
        TicketFields {
            subject: text::subject(&fields.subject, "", SUBJECT_CHARS_MAX),
            status: fields.status,
            severity: words.kept(fields.severity),
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
