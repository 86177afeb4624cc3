//! What adaptors share. An adaptor says how its tracker is spoken to; finding, following and
//! checking in order, what cannot be done, and the form of the answers are said here once.

use super::client::{Answer, Client};
use super::follow::Cursor;
use super::words::{clock, nobody_found, not_theirs, word};
use super::{Asked, Called, Capabilities, Change, Draft, Known, RemoteTicket, Tracker, flat, text};
use crate::model::Time;
use crate::model::ticket::{PersonChange, PersonDid, RemoteRef, TicketFields, TicketStatus};
use futures_util::future::BoxFuture;
use reqwest::Method;
use serde_json::Value;
use std::convert::Infallible;
use std::future::{Future, ready};

/// Why something was not done.
pub(super) type NotDone = Called<Infallible>;
/// The answer, or why there is none.
pub(super) type Outcome<T> = Result<T, NotDone>;
/// Sentences of a check.
pub(super) type Said = Vec<Result<String, String>>;

/// What every adaptor has.
pub(super) struct Base {
    /// The configured name.
    pub name: String,
    /// Where the tracker is, for people.
    pub url: String,
    /// How it is spoken to.
    pub client: Client,
    /// What it can do.
    pub capabilities: Capabilities,
}

/// A note for a ticket.
pub(super) struct Note<'a> {
    /// Stands at its end, so that it can be found again.
    pub marker: &'a str,
    /// The text.
    pub text: &'a str,
    /// The ticket's subject.
    pub about: &'a str,
    /// Whether the customer may see it.
    pub public: bool,
}

/// One thing that somebody did to a ticket.
pub(super) struct Told {
    /// The tracker's id of it.
    pub id: String,
    /// When.
    pub at: Time,
    /// Who.
    pub author: String,
    /// What; none: the bridge did it, and it is not to be told later either.
    pub what: Option<PersonDid>,
    /// Its ticket was out of sight when it happened: it is told even if it is older than what was
    /// read.
    pub late: bool,
}

impl Told {
    /// Something that a person did.
    pub fn of(id: &str, at: Time, author: &str, what: PersonDid) -> Told {
        Told {
            id: id.to_owned(),
            at,
            author: author.to_owned(),
            what: Some(what),
            late: false,
        }
    }
}

/// Tickets that changed, the oldest change first.
pub(super) struct Changed {
    /// Their ids.
    pub ids: Vec<String>,
    /// More changed than one poll lists: what did so from then on is listed by the next.
    pub left_from: Option<Time>,
}

impl Changed {
    /// All that changed.
    pub fn all(ids: Vec<String>) -> Changed {
        Changed {
            ids,
            left_from: None,
        }
    }

    /// Of a list whose items name themselves and the instant of their change; `whole`: nothing was
    /// left out.
    pub fn listed(items: &[Value], (id, at): (&str, &str), whole: bool) -> Changed {
        let last = items.last().filter(|_| !whole);
        Changed {
            ids: items.iter().map(|item| word(item, id)).collect(),
            left_from: last.and_then(|item| Time::parse_rfc3339(&word(item, at))),
        }
    }
}

/// The tracker's answer to who the bridge is there.
pub(super) struct Greeting {
    /// What the tracker takes the bridge for, for people.
    pub words: String,
    /// The bridge's user there, as changes name it.
    pub user: String,
    /// Its clock.
    pub clock: Option<Time>,
}

impl Base {
    /// A subject as the tracker takes it.
    pub fn subject(&self, text: &str) -> String {
        text::subject(text, "", self.capabilities.subject_chars_max)
    }

    /// Reads; none if the tracker does not have it.
    pub async fn look(&self, path: &str, query: &[(&str, &str)]) -> Outcome<Option<Answer>> {
        match self.client.get(path, query).await {
            Called::Refused { reason, .. } if reason.starts_with("HTTP 404") => Ok(None),
            other => other.done().map(Some),
        }
    }

    /// Writes; the answer, which has to name what was written by its `id`.
    pub async fn write(
        &self,
        product: &str,
        (method, path): (Method, &str),
        body: &Value,
        id: &str,
    ) -> Outcome<Value> {
        let answer = self.client.write(method, path, body).await.done()?;
        let made = answer.json();
        if word(&made, id).is_empty() {
            return Err(not_theirs(product, &answer));
        }
        Ok(made)
    }

    /// Writes fields below `holder`; one of `optional` that is refused by name is left out.
    pub async fn write_without(
        &self,
        (method, path): (Method, &str),
        mut body: Value,
        holder: &str,
        optional: &[&str],
    ) -> Outcome<Answer> {
        loop {
            let written = self.client.write(method.clone(), path, &body).await;
            let Called::Refused {
                field: Some(field), ..
            } = &written
            else {
                return written.done();
            };
            let left_out = optional.contains(&field.as_str())
                && body
                    .pointer_mut(holder)
                    .and_then(Value::as_object_mut)
                    .is_some_and(|fields| fields.remove(field).is_some());
            if !left_out {
                return written.done();
            }
        }
    }
}

/// Fields as a tracker shows them that knows open and closed only.
pub(super) fn open_or_closed(fields: TicketFields) -> TicketFields {
    let status = if fields.status.is_over() {
        TicketStatus::Resolved
    } else {
        TicketStatus::New
    };
    TicketFields { status, ..fields }
}

/// What the tracker did not change though it said so.
pub(super) fn not_changed<T>(product: &str, field: &str) -> Outcome<T> {
    Err(Called::Refused {
        reason: format!("{product} did not change the {field}: a rule or a right forbids it"),
        field: Some(field.to_owned()),
    })
}

fn cannot<T>(product: &str, what: &str) -> Outcome<T> {
    Err(Called::refused(format!("{product} cannot {what}")))
}

/// How one kind of tracker is spoken to. What an adaptor does not say its tracker cannot do; its
/// capabilities say the same.
pub(super) trait Adaptor: Send + Sync {
    /// The tracker's name, for people.
    const PRODUCT: &'static str;

    /// What every adaptor has.
    fn base(&self) -> &Base;

    /// Fields as the tracker shows them once they are written, within its limits already.
    fn kept(&self, fields: TicketFields) -> TicketFields {
        fields
    }

    /// Who the bridge is there: the first thing that is asked.
    fn greet(&self) -> impl Future<Output = Outcome<Greeting>> + Send;

    /// Further sentences of a check.
    fn check_more(&self) -> impl Future<Output = Said> + Send {
        ready(Vec::new())
    }

    /// When the token ends with which it is spoken to, if the tracker tells.
    fn token_ends_at(&self) -> impl Future<Output = Option<Time>> + Send {
        ready(None)
    }

    /// Whether what routes ask for is there.
    fn check_asked(&self, _asked: &[Asked]) -> impl Future<Output = Said> + Send {
        ready(Vec::new())
    }

    /// A ticket of the bridge's has this name there, whatever it was made as.
    fn lives_at(&self, _key: &str) {}

    /// Tickets that hold this key.
    fn search(&self, _key: &str) -> impl Future<Output = Outcome<Vec<RemoteTicket>>> + Send {
        ready(cannot(Self::PRODUCT, "be searched"))
    }

    /// Makes a ticket.
    fn create(&self, draft: &Draft) -> impl Future<Output = Outcome<RemoteRef>> + Send;

    /// Writes the fields that differ.
    fn write_fields(
        &self,
        _id: &str,
        _from: Option<&TicketFields>,
        _to: &TicketFields,
    ) -> impl Future<Output = Outcome<()>> + Send {
        ready(cannot(Self::PRODUCT, "change a ticket"))
    }

    /// Adds a note.
    fn write_note(&self, _id: &str, _note: Note<'_>) -> impl Future<Output = Outcome<()>> + Send {
        ready(cannot(Self::PRODUCT, "take notes"))
    }

    /// Links a ticket to another and closes it.
    fn close_twin(&self, _id: &str, _other: &str) -> impl Future<Output = Outcome<()>> + Send {
        ready(cannot(Self::PRODUCT, "link tickets"))
    }

    /// A ticket with the markers of its notes; none if it was deleted.
    fn read_whole(&self, _id: &str) -> impl Future<Output = Outcome<Option<RemoteTicket>>> + Send {
        ready(cannot(Self::PRODUCT, "be read"))
    }

    /// Tickets that changed at or after this instant, the oldest change first.
    fn changed_since(&self, _since: Time) -> impl Future<Output = Outcome<Changed>> + Send {
        ready(Ok(Changed::all(Vec::new())))
    }

    /// All that others than the bridge, whose user is `me`, did to a ticket.
    fn history(&self, _id: &str, _me: &str) -> impl Future<Output = Outcome<Vec<Told>>> + Send {
        ready(Ok(Vec::new()))
    }
}

/// What people did since the cursor, and the new cursor.
async fn follow<A: Adaptor>(
    adaptor: &A,
    cursor: &str,
    known: Known<'_>,
) -> Outcome<(Vec<PersonChange>, String)> {
    let base = adaptor.base();
    if !base.capabilities.reads_changes {
        return Ok((Vec::new(), cursor.to_owned()));
    }
    let greeting = adaptor.greet().await?;
    let Some(now) = greeting.clock else {
        return Err(Called::later("the answer has no date"));
    };
    let Some(mut cursor) = Cursor::read(cursor) else {
        return Ok((Vec::new(), Cursor::start(now).written()));
    };
    let mut changes = Vec::new();
    let changed = adaptor.changed_since(cursor.since()).await?;
    for remote in changed.ids {
        if !known(&remote) {
            continue;
        }
        for told in adaptor.history(&remote, &greeting.user).await? {
            let change_id = format!("{remote}/{}", told.id);
            let taken = if told.late {
                cursor.take_late(&change_id, told.at)
            } else {
                cursor.take(&change_id, told.at)
            };
            if taken && let Some(what) = told.what {
                changes.push(PersonChange {
                    tracker: base.name.clone(),
                    remote: remote.clone(),
                    change_id,
                    at: told.at,
                    author: told.author,
                    what,
                });
            }
        }
    }
    changes.sort_by_key(|change| change.at);
    cursor.read_up_to(changed.left_from, now);
    Ok((changes, cursor.written()))
}

/// Reachable, authorised, clocks, the key can be found again, and what the adaptor has to say.
async fn check<A: Adaptor>(adaptor: &A, now: Time) -> Said {
    let base = adaptor.base();
    let (url, product) = (&base.url, A::PRODUCT);
    let mut said = match adaptor.greet().await {
        Ok(greeting) => vec![
            Ok(format!("{url} is {product}; {}", greeting.words)),
            clock(greeting.clock, now),
        ],
        Err(outcome) => {
            let why = outcome.why();
            return vec![Err(format!("{url} does not answer as {product}: {why}"))];
        }
    };
    let place = base.capabilities.key_kept;
    if base.capabilities.finds_by_key {
        let nobody = format!("ab-check-{}", now.0);
        let found = adaptor.search(&nobody).await;
        let found = found.map_err(|outcome| outcome.map(|never| match never {}));
        said.push(nobody_found(found, place, "tickets"));
    } else {
        said.push(Ok(format!(
            "the key is kept as {place}; {product} cannot be searched by it"
        )));
    }
    said.extend(adaptor.check_more().await);
    said
}

fn called<T>(outcome: Outcome<T>) -> Called<T> {
    flat(outcome.map_err(|outcome| outcome.map(|never| match never {})))
}

impl<A: Adaptor> Tracker for A {
    fn name(&self) -> &str {
        &self.base().name
    }

    fn capabilities(&self) -> &Capabilities {
        &self.base().capabilities
    }

    fn as_kept(&self, fields: &TicketFields) -> TicketFields {
        let can = &self.base().capabilities;
        self.kept(TicketFields {
            subject: self.base().subject(&fields.subject),
            status: fields.status,
            severity: fields.severity.filter(|_| can.priorities),
            queue: fields.queue.clone(),
        })
    }

    fn find<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Called<Vec<RemoteTicket>>> {
        Box::pin(async move {
            let found = self.search(key).await.map(|mut found| {
                // A search that is not understood may find anything.
                found.retain(|ticket| ticket.key == key);
                found
            });
            called(found)
        })
    }

    fn open<'a>(&'a self, draft: &'a Draft) -> BoxFuture<'a, Called<RemoteRef>> {
        Box::pin(async move { called(self.create(draft).await) })
    }

    fn change<'a>(
        &'a self,
        remote: &'a RemoteRef,
        change: &'a Change,
    ) -> BoxFuture<'a, Called<()>> {
        let id = &remote.key;
        Box::pin(async move {
            called(match change {
                Change::Fields { from, to } => self.write_fields(id, from.as_ref(), to).await,
                Change::Note {
                    marker,
                    text,
                    about,
                    public,
                } => {
                    let public = *public;
                    let note = Note {
                        marker,
                        text,
                        about,
                        public,
                    };
                    self.write_note(id, note).await
                }
                Change::CloseAsDuplicateOf(other) => self.close_twin(id, &other.key).await,
            })
        })
    }

    fn read<'a>(&'a self, remote: &'a RemoteRef) -> BoxFuture<'a, Called<RemoteTicket>> {
        Box::pin(async move {
            let read = self.read_whole(&remote.key).await;
            called(read).map(|ticket| ticket.unwrap_or_else(|| RemoteTicket::gone(remote.clone())))
        })
    }

    fn changes<'a>(
        &'a self,
        cursor: &'a str,
        known: Known<'a>,
    ) -> BoxFuture<'a, Called<(Vec<PersonChange>, String)>> {
        Box::pin(async move { called(follow(self, cursor, known).await) })
    }

    fn lives_at(&self, key: &str) {
        Adaptor::lives_at(self, key);
    }

    fn pause_asked(&self) -> Option<std::time::Duration> {
        self.base().client.pause_asked()
    }

    fn token_ends_at(&self) -> BoxFuture<'_, Option<Time>> {
        Box::pin(Adaptor::token_ends_at(self))
    }

    fn check(&self, now: Time) -> BoxFuture<'_, Said> {
        Box::pin(check(self, now))
    }

    fn check_asked<'a>(&'a self, asked: &'a [Asked]) -> BoxFuture<'a, Said> {
        Box::pin(Adaptor::check_asked(self, asked))
    }
}
