//! A tracker that is described by templates: what is sent where, and where things stand in answers.
//!
//! What its description leaves out it cannot do. Text of alerts reaches bodies through `tojson` and
//! paths through `path`; a body of JSON that is none is refused before it is sent.

mod config;
mod templates;

pub use config::{HttpConfig, Pointers, Request};

use super::client::{Answer, Client, secret_header, send, written};
use super::words::Severities;
use super::words::Statuses;
use super::{Called, Capabilities, Change, Draft, Known, RemoteTicket, Takes, Tracker, flat, text};
use crate::model::Time;
use crate::model::text::bounded;
use crate::model::ticket::{PersonChange, RemoteRef, TicketFields};
use futures_util::future::BoxFuture;
use minijinja::{Value as Context, context};
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use templates::Templates;

/// A tracker by its description.
pub struct HttpTracker {
    name: String,
    config: HttpConfig,
    client: Client,
    templates: Templates,
    capabilities: Capabilities,
}

/// What stands at a pointer, as text; an empty pointer is the value itself.
fn at(value: &Value, pointer: &str) -> String {
    match value.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Bool(flag)) => flag.to_string(),
        _ => String::new(),
    }
}

impl HttpTracker {
    /// A tracker by its configuration; nothing is sent yet.
    pub fn new(name: &str, mut config: HttpConfig) -> Result<HttpTracker, String> {
        config.status = config.status.or(Statuses::of_names([
            "new", "open", "waiting", "on_hold", "resolved", "closed", "gone",
        ]));
        config.severity = config
            .severity
            .or(Severities::of_words(["S1", "S2", "S3", "S4", "S5"]));
        let templates = Templates::new(&config)?;
        let described = [&config.open, &config.change];
        let optional = [&config.note, &config.find, &config.read];
        for request in described.into_iter().chain(optional.into_iter().flatten()) {
            method(request)?;
        }
        let mut headers = reqwest::header::HeaderMap::new();
        if let Some(authorization) = &config.authorization {
            let value = secret_header(authorization.expose_secret())?;
            headers.insert(reqwest::header::AUTHORIZATION, value);
        }
        Ok(HttpTracker {
            name: name.to_owned(),
            client: Client::new(&config.url, headers, &config.connection)?,
            templates,
            capabilities: Capabilities {
                key_kept: "as described",
                finds_by_key: config.find.is_some(),
                notes: config.note.is_some(),
                creates_once: config.creates_once,
                settle: Duration::from_secs(config.settle_seconds),
                links: false,
                reads_back: config.read.is_some() && !config.answer.notes.is_empty(),
                reads_changes: false,
                poll_every: Duration::from_secs(3600),
                takes: Takes::ALL,
                subject_chars_max: config.subject_chars_max,
                body_bytes_max: config.body_bytes_max,
                parallel_max: config.parallel.max(1),
                ..Capabilities::TICKETS
            },
            config,
        })
    }

    /// What templates can use of a ticket's fields.
    fn context(&self, key: &str, id: &str, fields: &TicketFields) -> Context {
        let severity = fields.severity;
        context! {
            key,
            id,
            subject => text::subject(&fields.subject, "", self.config.subject_chars_max),
            status => self.config.status.name(fields.status),
            over => fields.status.is_over(),
            severity => severity.map(|severity| self.config.severity.word(severity)),
            queue => &fields.queue,
        }
    }

    fn bounded(&self, text: &str) -> String {
        bounded(&text::plain(text), self.config.body_bytes_max)
    }

    async fn send<T>(
        &self,
        name: &str,
        request: &Request,
        context: Context,
    ) -> Result<Answer, Called<T>> {
        let rendered = self
            .templates
            .render(name, &context)
            .map_err(Called::refused)?;
        let method = method(request).map_err(Called::refused)?;
        let reads = method == Method::GET;
        let mut builder = self.client.request(method, &rendered.path);
        for (name, value) in rendered.headers {
            builder = builder.header(name, value);
        }
        if !rendered.body.is_empty() {
            builder = builder
                .header(reqwest::header::CONTENT_TYPE, &self.config.content_type)
                .body(rendered.body);
        }
        match written(send(builder).await) {
            Called::Unknown { reason, after } if reads => Err(Called::Later { reason, after }),
            other => other.done(),
        }
    }

    async fn create(&self, draft: &Draft) -> Result<RemoteRef, Called<RemoteRef>> {
        let context = context! {
            body => self.bounded(&draft.body),
            requestor => &draft.requestor,
            kind => &draft.kind,
            watchers => &draft.watchers,
            fields => BTreeMap::from_iter(draft.custom.iter().cloned()),
            ..self.context(&draft.key, "", &draft.fields)
        };
        let answer = self.send("open", &self.config.open, context).await?;
        let remote = self.remote(&answer.json());
        if remote.key.is_empty() {
            return Err(Called::Unknown {
                reason: format!(
                    "the answer to a create has nothing at `{}`: {}",
                    self.config.answer.id,
                    answer.said()
                ),
                after: None,
            });
        }
        Ok(remote)
    }

    fn remote(&self, answer: &Value) -> RemoteRef {
        let pointers = &self.config.answer;
        let url = if pointers.url.is_empty() {
            String::new()
        } else {
            at(answer, &pointers.url)
        };
        RemoteRef {
            key: at(answer, &pointers.id),
            url,
        }
    }

    fn ticket(&self, answer: &Value) -> RemoteTicket {
        let pointers = &self.config.answer;
        let severity = (!pointers.severity.is_empty()).then(|| at(answer, &pointers.severity));
        let notes = answer.pointer(&pointers.notes).and_then(Value::as_array);
        let notes = notes.filter(|_| !pointers.notes.is_empty());
        RemoteTicket {
            remote: self.remote(answer),
            key: at(answer, &pointers.key),
            fields: TicketFields {
                subject: at(answer, &pointers.subject),
                status: self.config.status.read(&at(answer, &pointers.status)),
                severity: severity.and_then(|word| self.config.severity.read(&word)),
                queue: String::new(),
            },
            markers: notes
                .into_iter()
                .flatten()
                .map(|note| text::last_line(&at(note, &pointers.note)).to_owned())
                .collect(),
            created_at: None,
        }
    }

    async fn search(&self, key: &str) -> Result<Vec<RemoteTicket>, Called<Vec<RemoteTicket>>> {
        let Some(request) = &self.config.find else {
            return Err(Called::refused("the tracker's description has no [find]"));
        };
        let answer = self.send("find", request, context! { key }).await?.json();
        let list = answer.pointer(&self.config.answer.list);
        let Some(list) = list.and_then(Value::as_array) else {
            return Err(Called::later(format!(
                "the answer to a search has no list at `{}`",
                self.config.answer.list
            )));
        };
        let tickets = list.iter().map(|item| self.ticket(item));
        Ok(tickets.filter(|ticket| ticket.key == key).collect())
    }

    async fn read_whole(&self, id: &str) -> Result<RemoteTicket, Called<RemoteTicket>> {
        let Some(request) = &self.config.read else {
            return Err(Called::refused("the tracker's description has no [read]"));
        };
        match self.send("read", request, context! { id }).await {
            Ok(answer) => {
                let ticket = self.ticket(&answer.json());
                if ticket.remote.key.is_empty() {
                    return Err(Called::later("the answer to a read is no ticket"));
                }
                Ok(ticket)
            }
            Err(Called::Refused { reason, .. }) if reason.starts_with("HTTP 404") => {
                let (key, url) = (id.to_owned(), String::new());
                Ok(RemoteTicket::gone(RemoteRef { key, url }))
            }
            Err(outcome) => Err(outcome),
        }
    }

    async fn write(&self, id: &str, change: &Change) -> Result<(), Called<()>> {
        match change {
            Change::Fields { to, .. } => {
                let context = self.context("", id, to);
                self.send("change", &self.config.change, context).await?;
            }
            Change::Note {
                marker,
                text,
                public,
                ..
            } => {
                let Some(request) = &self.config.note else {
                    return Err(Called::refused("the tracker's description has no [note]"));
                };
                let note = format!("{}\n\n{marker}", self.bounded(text));
                let context = context! { id, marker, note, public };
                self.send("note", request, context).await?;
            }
            Change::CloseAsDuplicateOf(other) => {
                return Err(Called::refused(format!(
                    "the tracker's description cannot link {id} to {}",
                    other.key
                )));
            }
        }
        Ok(())
    }
}

fn method(request: &Request) -> Result<Method, String> {
    request
        .method
        .parse()
        .map_err(|_| format!("`{}` is no method of HTTP", request.method))
}

impl Tracker for HttpTracker {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn as_kept(&self, fields: &TicketFields) -> TicketFields {
        let shown = !self.config.answer.severity.is_empty();
        let words = &self.config.severity;
        TicketFields {
            subject: text::subject(&fields.subject, "", self.config.subject_chars_max),
            status: self
                .config
                .status
                .read(self.config.status.name(fields.status)),
            severity: words.kept(fields.severity.filter(|_| shown)),
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
        Box::pin(async move { flat(self.write(&remote.key, change).await) })
    }

    fn read<'a>(&'a self, remote: &'a RemoteRef) -> BoxFuture<'a, Called<RemoteTicket>> {
        Box::pin(async move { flat(self.read_whole(&remote.key).await) })
    }

    fn changes<'a>(
        &'a self,
        cursor: &'a str,
        _known: Known<'a>,
    ) -> BoxFuture<'a, Called<(Vec<PersonChange>, String)>> {
        Box::pin(async move { Called::Done((Vec::new(), cursor.to_owned())) })
    }

    fn pause_asked(&self) -> Option<Duration> {
        self.client.pause_asked()
    }

    fn check(&self, now: Time) -> BoxFuture<'_, Vec<Result<String, String>>> {
        Box::pin(async move {
            let url = &self.config.url;
            if self.config.find.is_none() {
                return vec![Ok(format!(
                    "{url} is not asked: its description has no [find], so nothing can be looked up"
                ))];
            }
            let nobody = format!("ab-check-{}", now.0);
            vec![match self.search(&nobody).await {
                Ok(found) if found.is_empty() => Ok(format!("{url} answers a search by key")),
                Ok(_) => Err(format!("{url} finds tickets for a key that nobody has")),
                Err(outcome) => Err(format!("{url} cannot be searched: {}", outcome.why())),
            }]
        })
    }
}
