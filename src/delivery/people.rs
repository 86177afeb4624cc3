//! What people do in a tracker becomes inputs of the engine; the cursor moves in the same
//! transaction.

use super::Worker;
use crate::model::input::Input;
use crate::model::ticket::{PersonDid, WantedTicket};
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
}

impl Worker {
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
            if let PersonDid::MergedInto(target) = &change.what {
                self.ledger.follow(name, target);
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
                    self.ledger.follow(&ticket.tracker, &remote.key);
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
