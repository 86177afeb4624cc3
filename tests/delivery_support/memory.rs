//! A tracker in memory, which may be down.

use alertbridge::model::Time;
use alertbridge::model::ticket::{PersonChange, RemoteRef, TicketFields, TicketStatus};
use alertbridge::trackers::{
    Called, Capabilities, Change, Draft, Known, OpenTicket, RemoteTicket, Tracker,
};
use futures_util::future::BoxFuture;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A tracker in memory.
pub struct Memory {
    pub can: Capabilities,
    /// It answers nothing at all.
    pub dead: AtomicBool,
    /// Calls while it was dead.
    pub in_vain: AtomicU64,
    /// As they were opened, and their fields now.
    pub tickets: Mutex<Vec<(Draft, TicketFields)>>,
    /// Of which ticket, and the marker.
    pub notes: Mutex<Vec<(usize, String)>>,
    /// Tickets that were closed as another's duplicate.
    pub twins: AtomicU64,
    /// What people did, with the number of the ticket from 0.
    pub history: Mutex<Vec<(usize, PersonChange)>>,
    /// When its first ticket was made; each later one a millisecond later.
    pub began: Time,
    /// What it asks for with its next answer.
    pub pause: Mutex<Option<Duration>>,
    /// So many creates are done and have no answer, and no search shows them yet.
    pub lost: AtomicU64,
    /// Tickets that no search shows.
    pub hidden: Mutex<BTreeSet<usize>>,
    /// Searches fail, or are refused.
    pub deaf: AtomicBool,
    pub refuses_searches: AtomicBool,
    /// Searches show tickets as they were opened, whatever became of them.
    pub stale: AtomicBool,
    /// Tickets that were deleted.
    pub deleted: Mutex<BTreeSet<usize>>,
    /// Tickets that have a new name.
    pub moved: Mutex<BTreeSet<usize>>,
    /// The status stays, and it says so.
    pub no_transition: AtomicBool,
}

impl Memory {
    pub fn new(can: Capabilities) -> Memory {
        Memory {
            can,
            dead: AtomicBool::new(false),
            in_vain: AtomicU64::new(0),
            tickets: Mutex::default(),
            notes: Mutex::default(),
            twins: AtomicU64::new(0),
            history: Mutex::default(),
            began: Time(0),
            pause: Mutex::default(),
            lost: AtomicU64::new(0),
            hidden: Mutex::default(),
            deaf: AtomicBool::new(false),
            refuses_searches: AtomicBool::new(false),
            stale: AtomicBool::new(false),
            deleted: Mutex::default(),
            moved: Mutex::default(),
            no_transition: AtomicBool::new(false),
        }
    }

    fn answer<T>(&self, answer: impl FnOnce() -> T) -> Called<T> {
        if self.dead.load(Ordering::Relaxed) {
            self.in_vain.fetch_add(1, Ordering::Relaxed);
            return Called::later("no connection");
        }
        Called::Done(answer())
    }

    fn ticket(&self, n: usize) -> RemoteTicket {
        let (draft, fields) = self.tickets.lock().unwrap()[n].clone();
        let notes = self.notes.lock().unwrap();
        let own = notes.iter().filter(|(of, _)| *of == n);
        let moved = self.moved.lock().unwrap().contains(&n);
        let name = if moved { moved_to(n) } else { remote(n) };
        if self.deleted.lock().unwrap().contains(&n) {
            return RemoteTicket::gone(name);
        }
        RemoteTicket {
            remote: name,
            key: draft.key,
            fields,
            markers: own.map(|(_, marker)| marker.clone()).collect(),
            created_at: Some(Time(self.began.0 + i64::try_from(n).unwrap())),
        }
    }
}

/// The ticket that was opened as the nth, from 0.
pub fn remote(n: usize) -> RemoteRef {
    RemoteRef {
        key: (n + 1).to_string(),
        url: String::new(),
    }
}

/// The same after it was moved.
pub fn moved_to(n: usize) -> RemoteRef {
    RemoteRef {
        key: format!("moved-{}", n + 1),
        url: String::new(),
    }
}

fn place(remote: &RemoteRef) -> usize {
    let number = remote.key.trim_start_matches("moved-");
    number.parse::<usize>().unwrap() - 1
}

impl Tracker for Memory {
    fn name(&self) -> &str {
        "memory"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.can
    }

    fn find<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Called<Vec<RemoteTicket>>> {
        Box::pin(async move {
            if self.deaf.load(Ordering::Relaxed) && self.refuses_searches.load(Ordering::Relaxed) {
                return Called::refused("HTTP 410 the search has been removed");
            }
            if self.deaf.load(Ordering::Relaxed) {
                return Called::later("the search is being rebuilt");
            }
            self.answer(|| {
                let count = self.tickets.lock().unwrap().len();
                let hidden = self.hidden.lock().unwrap().clone();
                let shown = (0..count).filter(|n| !hidden.contains(n));
                let all = shown.map(|n| self.ticket(n)).map(|mut ticket| {
                    if self.stale.load(Ordering::Relaxed) {
                        ticket.fields.status = TicketStatus::New;
                    }
                    ticket
                });
                all.filter(|ticket| ticket.key == key).collect()
            })
        })
    }

    fn open<'a>(&'a self, draft: &'a Draft) -> BoxFuture<'a, Called<RemoteRef>> {
        Box::pin(async move {
            let made = self.answer(|| {
                let mut tickets = self.tickets.lock().unwrap();
                let mut fields = draft.fields.clone();
                fields.status = TicketStatus::New;
                tickets.push((draft.clone(), fields));
                tickets.len() - 1
            });
            let count = |n: u64| n.checked_sub(1);
            if let Called::Done(n) = made
                && self
                    .lost
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, count)
                    .is_ok()
            {
                self.hidden.lock().unwrap().insert(n);
                return Called::Unknown {
                    reason: "no answer in time".to_owned(),
                    after: None,
                };
            }
            made.map(remote)
        })
    }

    fn change<'a>(
        &'a self,
        remote: &'a RemoteRef,
        change: &'a Change,
    ) -> BoxFuture<'a, Called<()>> {
        Box::pin(async move {
            if let Change::Fields { from, to } = change
                && self.no_transition.load(Ordering::Relaxed)
                && from.as_ref().is_none_or(|from| from.status != to.status)
            {
                return Called::Refused {
                    reason: "no transition leads there".to_owned(),
                    field: Some("status".to_owned()),
                };
            }
            self.answer(|| match change {
                Change::Fields { to, .. } => {
                    assert!(self.can.updates, "nobody asks for what it cannot do");
                    assert!(self.can.priorities || to.severity.is_none());
                    self.tickets.lock().unwrap()[place(remote)].1 = to.clone();
                }
                Change::Note { marker, text, .. } => {
                    assert!(self.can.notes, "nobody asks for what it cannot do");
                    assert!(text.len() <= self.can.body_bytes_max);
                    let note = (place(remote), marker.clone());
                    self.notes.lock().unwrap().push(note);
                }
                Change::CloseAsDuplicateOf(_) => {
                    self.tickets.lock().unwrap()[place(remote)].1.status = TicketStatus::Closed;
                    self.twins.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
    }

    fn read<'a>(&'a self, remote: &'a RemoteRef) -> BoxFuture<'a, Called<RemoteTicket>> {
        Box::pin(async move { self.answer(|| self.ticket(place(remote))) })
    }

    fn changes<'a>(
        &'a self,
        cursor: &'a str,
        _known: Known<'a>,
    ) -> BoxFuture<'a, Called<(Vec<PersonChange>, String)>> {
        Box::pin(async move { self.answer(|| (Vec::new(), cursor.to_owned())) })
    }

    fn open_tickets(&self) -> BoxFuture<'_, Called<Vec<OpenTicket>>> {
        Box::pin(async move {
            self.answer(|| {
                let count = self.tickets.lock().unwrap().len();
                let history = self.history.lock().unwrap();
                let open = (0..count).map(|n| OpenTicket {
                    ticket: self.ticket(n),
                    text: self.tickets.lock().unwrap()[n].0.body.clone(),
                    history: history
                        .iter()
                        .filter(|(of, _)| *of == n)
                        .map(|(_, change)| change.clone())
                        .collect(),
                });
                open.filter(|open| !open.ticket.fields.status.is_over())
                    .collect()
            })
        })
    }

    fn pause_asked(&self) -> Option<Duration> {
        self.pause.lock().unwrap().take()
    }

    fn check(&self, _now: Time) -> BoxFuture<'_, Vec<Result<String, String>>> {
        Box::pin(async { Vec::new() })
    }
}
