//! The built-in desk: numbered tickets in the bridge's own store. Creating is idempotent by key
//! and commenting by marker, so an unknown outcome cannot make a second one.

use super::{Called, Capabilities, Change, Draft, Known, RemoteTicket, Takes, Tracker};
use crate::model::Time;
use crate::model::ticket::{PersonChange, PersonDid, RemoteRef, TicketFields};
use crate::store::StoreError;
use crate::store::desk_store::{
    DeskAuthor, DeskChange, DeskDid, DeskPatch, DeskStore, DeskTicket, NewDeskComment,
    NewDeskTicket,
};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;

/// Most changes read at once.
const CHANGES_MAX: usize = 500;

/// The built-in desk as a tracker.
pub struct Desk {
    store: Arc<dyn DeskStore>,
    now: fn() -> Time,
    capabilities: Capabilities,
}

impl Desk {
    /// What a route can give its tickets.
    pub const TAKES: Takes = Takes {
        queue: true,
        requestor: true,
        ..Takes::NOTHING
    };

    /// A desk over a store, with the clock that dates its entries.
    pub fn new(store: Arc<dyn DeskStore>, now: fn() -> Time) -> Desk {
        let capabilities = Capabilities {
            key_kept: "its own column",
            creates_once: true,
            settle: Duration::ZERO,
            poll_every: Duration::from_millis(500),
            subject_chars_max: 200,
            body_bytes_max: 256 * 1024,
            parallel_max: 1,
            takes: Desk::TAKES,
            ..Capabilities::TICKETS
        };
        Desk {
            store,
            now,
            capabilities,
        }
    }

    fn number(remote: &RemoteRef) -> Result<u64, String> {
        remote
            .key
            .parse()
            .map_err(|_| format!("`{}` is no number of the desk", remote.key))
    }

    fn fill(&self, remote: &RemoteRef, change: &Change) -> Called<()> {
        let number = match Desk::number(remote) {
            Ok(number) => number,
            Err(reason) => {
                return Called::Refused {
                    reason,
                    field: None,
                };
            }
        };
        let at = (self.now)();
        let bridge = DeskAuthor::Bridge;
        let done = match change {
            Change::Fields { to, .. } => {
                let patch = DeskPatch {
                    subject: Some(to.subject.clone()),
                    status: Some(to.status),
                    severity: Some(to.severity),
                    ..DeskPatch::default()
                };
                self.store
                    .update(number, &patch, &bridge, at)
                    .map(|found| found.is_some())
            }
            Change::Note {
                marker,
                text,
                public,
                ..
            } => {
                let comment = NewDeskComment {
                    author: bridge,
                    at,
                    public: *public,
                    text: text.clone(),
                    marker: marker.clone(),
                };
                self.store
                    .comment(number, &comment)
                    .map(|found| found.is_some())
            }
            Change::CloseAsDuplicateOf(other) => match Desk::number(other) {
                Ok(other) => {
                    let patch = DeskPatch {
                        merged_into: Some(other),
                        ..DeskPatch::default()
                    };
                    self.store
                        .update(number, &patch, &bridge, at)
                        .map(|found| found.is_some())
                }
                Err(reason) => {
                    return Called::Refused {
                        reason,
                        field: None,
                    };
                }
            },
        };
        match done {
            Ok(true) => Called::Done(()),
            Ok(false) => Called::Refused {
                reason: format!("there is no desk ticket {number}"),
                field: None,
            },
            Err(error) => later(&error),
        }
    }
}

fn later<T>(error: &StoreError) -> Called<T> {
    Called::Later {
        reason: error.to_string(),
        after: None,
    }
}

fn remote_of(ticket: &DeskTicket) -> RemoteTicket {
    RemoteTicket {
        remote: RemoteRef {
            key: ticket.number.to_string(),
            url: String::new(),
        },
        key: ticket.key.clone(),
        fields: TicketFields {
            subject: ticket.subject.clone(),
            status: ticket.status,
            severity: ticket.severity,
            queue: ticket.queue.clone(),
        },
        markers: Vec::new(),
        created_at: Some(ticket.created_at),
    }
}

/// A desk change as a person's; what the bridge did itself is nobody's.
fn person_change(change: &DeskChange) -> Option<PersonChange> {
    let (author, staff) = match &change.author {
        DeskAuthor::Bridge => return None,
        DeskAuthor::Staff(name) => (name.clone(), true),
        DeskAuthor::Customer(name) => (name.clone(), false),
    };
    let what = match &change.what {
        DeskDid::Created | DeskDid::Subject(_) | DeskDid::Queue(_) => return None,
        DeskDid::Severity(severity) => PersonDid::Severity((*severity)?),
        DeskDid::Status(status) if !staff && status.is_over() => PersonDid::ClosedByCustomer,
        DeskDid::Status(status) => PersonDid::Status(*status),
        DeskDid::Owner(owner) => PersonDid::Owner(owner.clone()),
        DeskDid::MergedInto(number) => PersonDid::MergedInto(number.to_string()),
        DeskDid::Commented { text, .. } if !staff => {
            PersonDid::CustomerWrote { text: text.clone() }
        }
        DeskDid::Commented {
            text, public: true, ..
        } => PersonDid::Answered {
            text: text.clone(),
            promise: None,
        },
        DeskDid::Commented { text, .. } => PersonDid::Noted { text: text.clone() },
    };
    Some(PersonChange {
        tracker: "desk".to_owned(),
        remote: change.ticket.to_string(),
        change_id: change.id.to_string(),
        at: change.at,
        author,
        what,
    })
}

impl Tracker for Desk {
    fn name(&self) -> &'static str {
        "desk"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn find<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Called<Vec<RemoteTicket>>> {
        Box::pin(async move {
            match self.store.find(key) {
                Ok(found) => Called::Done(found.iter().map(remote_of).collect()),
                Err(error) => later(&error),
            }
        })
    }

    fn open<'a>(&'a self, draft: &'a Draft) -> BoxFuture<'a, Called<RemoteRef>> {
        Box::pin(async move {
            let ticket = NewDeskTicket {
                key: draft.key.clone(),
                subject: draft.fields.subject.clone(),
                body: draft.body.clone(),
                status: draft.fields.status,
                severity: draft.fields.severity,
                queue: draft.fields.queue.clone(),
                requestor: draft.requestor.clone(),
                author: DeskAuthor::Bridge,
                at: (self.now)(),
            };
            match self.store.create(&ticket) {
                Ok(created) => {
                    let key = created.number().to_string();
                    Called::Done(RemoteRef {
                        key,
                        url: String::new(),
                    })
                }
                Err(error) => later(&error),
            }
        })
    }

    fn change<'a>(
        &'a self,
        remote: &'a RemoteRef,
        change: &'a Change,
    ) -> BoxFuture<'a, Called<()>> {
        Box::pin(async move { self.fill(remote, change) })
    }

    fn read<'a>(&'a self, remote: &'a RemoteRef) -> BoxFuture<'a, Called<RemoteTicket>> {
        Box::pin(async move {
            let number = match Desk::number(remote) {
                Ok(number) => number,
                Err(reason) => {
                    return Called::Refused {
                        reason,
                        field: None,
                    };
                }
            };
            match (self.store.ticket(number), self.store.markers(number)) {
                (Ok(Some(ticket)), Ok(markers)) => Called::Done(RemoteTicket {
                    markers,
                    ..remote_of(&ticket)
                }),
                (Ok(None), _) => Called::Refused {
                    reason: format!("there is no desk ticket {number}"),
                    field: None,
                },
                (Err(error), _) | (_, Err(error)) => later(&error),
            }
        })
    }

    fn changes<'a>(
        &'a self,
        cursor: &'a str,
        _known: Known<'a>,
    ) -> BoxFuture<'a, Called<(Vec<PersonChange>, String)>> {
        Box::pin(async move {
            let after = cursor.parse().unwrap_or(0);
            match self.store.changes(after, CHANGES_MAX) {
                Ok(changes) => {
                    let last = changes.last().map_or(after, |change| change.id);
                    let people = changes.iter().filter_map(person_change).collect();
                    Called::Done((people, last.to_string()))
                }
                Err(error) => later(&error),
            }
        })
    }

    fn check(&self, _now: Time) -> BoxFuture<'_, Vec<Result<String, String>>> {
        Box::pin(async move {
            vec![match self.store.last_change() {
                Ok(last) => Ok(format!("the desk answers; its newest change is {last}")),
                Err(error) => Err(error.to_string()),
            }]
        })
    }
}
