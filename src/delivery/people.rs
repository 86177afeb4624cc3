//! What people do in a tracker becomes inputs of the engine; the cursor moves in the same
//! transaction.

use super::Worker;
use crate::model::TicketId;
use crate::model::input::Input;
use crate::model::ticket::{
    PersonChange, PersonDid, RemoteRef, SOMEBODY, TicketStatus, WantedTicket,
};
use crate::store::{Mark, NewInput, StoreError, codec};
use crate::trackers::Called;

/// The space of the cursors.
pub(super) const SPACE: &str = "poll";
/// Tickets read at once to learn which ones are followed.
const PAGE: usize = 500;

/// What one tracker's poll remembers.
#[derive(Default)]
pub(super) struct Follower {
    cursor: Option<String>,
    all_known: bool,
    /// The ticket that was looked at last.
    looked_at: Option<TicketId>,
}

impl Worker {
    /// The bridge has this ticket there: what people do to it is followed.
    pub(super) fn follow_ticket(&self, remote: &str) {
        self.ledger.follow(self.tracker.name(), remote);
        self.tracker.lives_at(remote);
    }

    /// One look at what people did. The bool: whether there may be more at once.
    pub(super) async fn poll(&self, follower: &mut Follower) -> Result<bool, StoreError> {
        let name = self.tracker.name();
        self.learn_tickets(follower)?;
        if follower.cursor.is_none() {
            let marks = self.journal.marks(SPACE)?;
            let kept = marks.into_iter().find(|(key, _)| key == name);
            follower.cursor = Some(kept.map_or_else(String::new, |(_, value)| {
                String::from_utf8_lossy(&value).into_owned()
            }));
        }
        let cursor = follower.cursor.clone().unwrap_or_default();
        let known = |remote: &str| self.ledger.follows(name, remote);
        let polled = self
            .call("poll", self.tracker.changes(&cursor, &known))
            .await;
        let (changes, next) = match polled {
            Called::Done(done) => done,
            other => {
                let reason = other.why();
                tracing::warn!(tracker = name, reason, "poll_failed");
                return Ok(false);
            }
        };
        if next == cursor && changes.is_empty() {
            return Ok(false);
        }
        for change in &changes {
            if let PersonDid::MergedInto(target) | PersonDid::MovedTo(target) = &change.what {
                self.follow_ticket(target);
            }
        }
        let more = !changes.is_empty();
        let at = (self.now)();
        let inputs = changes
            .into_iter()
            .map(|change| NewInput {
                at,
                input: Input::Person(change),
                raw: None,
            })
            .collect();
        let mark = Mark {
            space: SPACE,
            key: name.to_owned(),
            value: next.clone().into_bytes(),
        };
        self.journal.append(inputs, vec![mark]).await?;
        follower.cursor = Some(next);
        Ok(more)
    }

    /// A ticket that was deleted or moved need not show among what changed: with each poll one of
    /// those that are open is looked at, in turn.
    pub(super) async fn look_at_one(&self, follower: &mut Follower) -> Result<(), StoreError> {
        if !self.tracker.capabilities().reads_back {
            return Ok(());
        }
        let Some((ticket, remote)) = self.next_open(follower)? else {
            return Ok(());
        };
        let Called::Done(read) = self.call("read", self.tracker.read(&remote)).await else {
            return Ok(());
        };
        let now = read.remote.key;
        let input = if read.fields.status == TicketStatus::Gone {
            let mut report = self.report_of(ticket)?;
            report.read = Some(read.fields);
            Input::Delivery(report)
        } else if now != remote.key && !now.is_empty() {
            self.follow_ticket(&now);
            Input::Person(PersonChange {
                tracker: self.tracker.name().to_owned(),
                change_id: format!("{}/moved-to/{now}", remote.key),
                remote: remote.key,
                at: (self.now)(),
                author: SOMEBODY.to_owned(),
                what: PersonDid::MovedTo(now),
            })
        } else {
            return Ok(());
        };
        let (at, raw) = ((self.now)(), None);
        let input = NewInput { at, input, raw };
        self.journal.append(vec![input], Vec::new()).await?;
        Ok(())
    }

    /// The next older ticket that is there and is not over; the newest again after the oldest.
    fn next_open(
        &self,
        follower: &mut Follower,
    ) -> Result<Option<(TicketId, RemoteRef)>, StoreError> {
        let page = self.state.tickets(follower.looked_at, PAGE)?;
        for body in &page {
            let ticket: WantedTicket = codec::decode(body)?;
            follower.looked_at = Some(ticket.id);
            let read = ticket.last_read.as_ref();
            let gone = read.is_some_and(|read| read.status == TicketStatus::Gone);
            if ticket.tracker == self.tracker.name()
                && !ticket.wanted.status.is_over()
                && !gone
                && let Some(remote) = ticket.remote
            {
                return Ok(Some((ticket.id, remote)));
            }
        }
        if page.len() < PAGE {
            follower.looked_at = None;
        }
        Ok(None)
    }

    /// All tickets at first, the newest ones later: an adopted ticket has no report.
    fn learn_tickets(&self, follower: &mut Follower) -> Result<(), StoreError> {
        let mut before = None;
        loop {
            let page = self.state.tickets(before, PAGE)?;
            for body in &page {
                let ticket: WantedTicket = codec::decode(body)?;
                before = Some(ticket.id);
                if let Some(remote) = &ticket.remote
                    && ticket.tracker == self.tracker.name()
                {
                    self.follow_ticket(&remote.key);
                }
            }
            if page.len() < PAGE || follower.all_known {
                break;
            }
        }
        follower.all_known = true;
        Ok(())
    }
}
