//! One ticket's turn: bring it about if it does not exist, write what differs, add its notes.
//!
//! The attempt is committed before its first byte. Any later attempt looks for the ticket by its
//! key first, once the tracker has settled. A ticket that was not made in this very turn is read
//! before it is written, so that no note is added twice and no change of a person is undone.

use super::ledger::{Attempt, mark};
use super::{Worker, instead, merge, render};
use crate::model::text::bounded;
use crate::model::ticket::{
    DeliveryReport, Origin, RemoteRef, TicketFields, TicketStatus, WantedTicket,
};
use crate::store::StoreError;
use crate::trackers::{Called, Change, Draft, RemoteTicket};
use std::time::Duration;

/// If a look-up fails for so long, the ticket is made all the same and says so.
const LOOK_UP_GIVEN_UP: Duration = Duration::from_secs(15 * 60);

/// What one ticket's turn brought.
pub(super) struct Turn {
    /// What the engine is told.
    pub report: DeliveryReport,
    /// Why it could not be finished.
    pub failed: Option<Failed>,
}

/// Why a turn could not be finished.
pub(super) struct Failed {
    /// A sentence.
    pub reason: String,
    /// Nothing more is tried until a person says so.
    pub dead: bool,
    /// When to try again, if the tracker or the protocol says so.
    pub after: Option<Duration>,
    /// Not a failure: the protocol waits, and nobody need know.
    pub quiet: bool,
}

impl Turn {
    fn new(ticket: &WantedTicket) -> Turn {
        Turn {
            report: DeliveryReport {
                ticket: ticket.id,
                version_done: 0,
                written: None,
                read: None,
                remote: None,
                origin: None,
                notes_done: Vec::new(),
                trouble: None,
                twins_closed: Vec::new(),
            },
            failed: None,
        }
    }

    /// Whether the engine has something to learn besides the trouble.
    pub(super) fn has_news(&self) -> bool {
        self.report.version_done > 0
            || self.report.remote.is_some()
            || !self.report.notes_done.is_empty()
            || !self.report.twins_closed.is_empty()
    }

    /// A quiet wait, in which nothing has failed.
    pub(super) fn wait(&mut self, after: Duration) {
        self.failed = Some(Failed {
            reason: String::new(),
            dead: false,
            after: Some(after),
            quiet: true,
        });
    }

    /// The answer of a write. After an unknown one the ticket is looked at only once the tracker
    /// has settled: what is still on its way must have arrived by then.
    fn take_written<T>(&mut self, called: Called<T>, settle: Duration) -> Option<T> {
        let unknown = matches!(called, Called::Unknown { .. });
        let taken = self.take(called);
        if let Some(failed) = &mut self.failed
            && unknown
        {
            failed.after = failed.after.max(Some(settle));
        }
        taken
    }

    /// The answer, or the turn ends with the reason.
    fn take<T>(&mut self, called: Called<T>) -> Option<T> {
        let failed = |reason, dead, after| Failed {
            reason,
            dead,
            after,
            quiet: false,
        };
        self.failed = Some(match called {
            Called::Done(value) => return Some(value),
            Called::Refused { reason, field } => {
                let field = field.map_or_else(String::new, |field| format!(" (field {field})"));
                failed(format!("refused: {reason}{field}"), true, None)
            }
            Called::Unknown { reason, after } => {
                failed(format!("outcome unknown: {reason}"), false, after)
            }
            Called::Later { reason, after } => failed(reason, false, after),
        });
        None
    }

    fn all_done(&mut self, ticket: &WantedTicket) {
        self.report.version_done = ticket.version_wanted;
        self.report.notes_done = ticket.notes.iter().map(|n| n.marker.clone()).collect();
    }
}

impl Worker {
    /// Works on a ticket until it looks as wanted or something stands in the way.
    pub(super) async fn turn(&self, ticket: &WantedTicket) -> Result<Turn, StoreError> {
        let mut turn = Turn::new(ticket);
        let remote = match &ticket.remote {
            Some(remote) => remote.clone(),
            None if ticket.wanted.status.is_over()
                && !ticket.also_when_over
                && self.never_sent(ticket) =>
            {
                // It came and went before anything reached the tracker.
                self.forget(&ticket.key).await?;
                turn.all_done(ticket);
                return Ok(turn);
            }
            None => match self.bring_about(ticket, None, &mut turn).await? {
                Some(remote) => remote,
                None => return Ok(turn),
            },
        };
        self.follow_ticket(&remote.key);
        if let Some(left) = self.earlier_life_settles_in(ticket) {
            turn.wait(left);
            return Ok(turn);
        }
        // Many trackers make every ticket a new one: another status is written after it was read.
        let complete = turn.report.version_done > 0;
        if complete || !self.tracker.capabilities().reads_back {
            self.write_blind(ticket, &remote, &mut turn).await;
            return Ok(turn);
        }
        let read = self.call("read", self.tracker.read(&remote)).await;
        if let Some(current) = turn.take(read) {
            // One that was moved or merged is written to where it is now.
            let remote = &current.remote;
            self.write(ticket, remote, &current, &mut turn).await?;
        }
        Ok(turn)
    }

    /// Creates the ticket, or finds the one that an earlier attempt made. One that follows a ticket
    /// that cannot be opened again is not that ticket.
    async fn bring_about(
        &self,
        ticket: &WantedTicket,
        follows: Option<&RemoteRef>,
        turn: &mut Turn,
    ) -> Result<Option<RemoteRef>, StoreError> {
        let now = (self.now)();
        let earlier = self.earlier_attempt(ticket).filter(|attempt| {
            let made = attempt.made.as_ref().map(|(made, _)| made);
            made.is_none() || made != follows
        });
        let mut doubt = false;
        if let Some(attempt) = &earlier {
            if let Some((remote, _)) = &attempt.made {
                turn.report.remote = Some(remote.clone());
                turn.report.origin = Some(Origin::Found);
                return Ok(Some(remote.clone()));
            }
            if let Some(left) = self.settles_in(&ticket.key, attempt, now) {
                turn.wait(left);
                return Ok(None);
            }
            let can = self.tracker.capabilities();
            doubt = !can.finds_by_key && !can.creates_once && !self.never_sent(ticket);
            if can.finds_by_key {
                let found = match self.call("search", self.tracker.find(&ticket.key)).await {
                    // A question that is refused has no answer either: the ticket may be there.
                    Called::Refused { reason, .. } => Called::later(reason),
                    other => other,
                };
                let given_up = now.since(attempt.first_at) > LOOK_UP_GIVEN_UP;
                match turn.take(found) {
                    Some(mut found) => {
                        found.retain(|other| follows.is_none_or(|f| f.key != other.remote.key));
                        if let Some(remote) = self.adopt(ticket, found, turn).await {
                            return Ok(Some(remote));
                        }
                    }
                    None if given_up => {
                        turn.failed = None;
                        doubt = true;
                    }
                    None => return Ok(None),
                }
            }
        }
        let over = ticket.wanted.status.is_over() && !ticket.also_when_over;
        if over && earlier.as_ref().is_some_and(|earlier| earlier.count == 0) {
            // It came and went, and whoever went on after the backup did not make it either.
            turn.all_done(ticket);
            return Ok(None);
        }
        let body = self.body(ticket, doubt)?;
        self.create(ticket, earlier, (body, follows), turn).await
    }

    /// A ticket that cannot be opened again is followed by another.
    async fn follow_up(
        &self,
        ticket: &WantedTicket,
        remote: &RemoteRef,
        turn: &mut Turn,
    ) -> Result<(), StoreError> {
        turn.report.read = None;
        if let Some(next) = self.bring_about(ticket, Some(remote), turn).await? {
            turn.report.origin = Some(Origin::Followed);
            self.follow_ticket(&next.key);
        }
        Ok(())
    }

    /// Takes the ticket that an earlier attempt made; further ones are closed as its duplicates.
    async fn adopt(
        &self,
        ticket: &WantedTicket,
        found: Vec<RemoteTicket>,
        turn: &mut Turn,
    ) -> Option<RemoteRef> {
        let mut found: Vec<RemoteTicket> = found
            .into_iter()
            .filter(|other| other.key == ticket.key)
            .collect();
        // The oldest that is open, else the oldest.
        found.sort_by_key(|other| (other.fields.status.is_over(), other.created_at));
        let mut found = found.into_iter();
        let remote = found.next()?.remote;
        turn.report.remote = Some(remote.clone());
        turn.report.origin = Some(Origin::Found);
        self.close_twins(&remote, found.collect(), &mut turn.report)
            .await;
        Some(remote)
    }

    /// Closes twins that are still open. One that could not be closed is found again later.
    pub(super) async fn close_twins(
        &self,
        remote: &RemoteRef,
        twins: Vec<RemoteTicket>,
        report: &mut DeliveryReport,
    ) -> bool {
        let mut all = true;
        for twin in twins {
            if twin.remote.key == remote.key || twin.fields.status.is_over() {
                continue;
            }
            // A search may show what was before it was closed, by a person or by an earlier look.
            match self.call("read", self.tracker.read(&twin.remote)).await {
                Called::Done(now) if now.fields.status.is_over() => continue,
                // Merged by now.
                Called::Done(now) if now.remote.key == remote.key => continue,
                Called::Done(_) | Called::Refused { .. } => {}
                Called::Unknown { .. } | Called::Later { .. } => {
                    all = false;
                    continue;
                }
            }
            let change = Change::CloseAsDuplicateOf(remote.clone());
            let closing = self.tracker.change(&twin.remote, &change);
            match self.call("close_twin", closing).await {
                Called::Done(()) => report.twins_closed.push(twin.remote),
                Called::Refused { reason, .. } => {
                    let (twin, kept) = (&twin.remote.key, &remote.key);
                    let tracker = self.tracker.name();
                    // Asking again would change nothing: a person has to close it.
                    tracing::warn!(tracker, twin, kept, reason, "twin_not_closed");
                }
                Called::Unknown { .. } | Called::Later { .. } => all = false,
            }
        }
        all
    }

    /// Commits the attempt, then makes the ticket.
    async fn create(
        &self,
        ticket: &WantedTicket,
        earlier: Option<Attempt>,
        (body, follows): (String, Option<&RemoteRef>),
        turn: &mut Turn,
    ) -> Result<Option<RemoteRef>, StoreError> {
        let now = (self.now)();
        let attempt = Attempt {
            ticket: ticket.id,
            tracker: self.tracker.name().to_owned(),
            count: earlier.as_ref().map_or(0, |earlier| earlier.count) + 1,
            first_at: earlier.map_or(now, |earlier| earlier.first_at),
            last_at: now,
            made: None,
            looks: 0,
        };
        let committed = mark(&ticket.key, Some(&attempt))?;
        let nothing_arrived = self.never_sent(ticket);
        self.journal.append(Vec::new(), vec![committed]).await?;
        {
            let mut ledger = self.ledger.lock();
            ledger.attempts.insert(ticket.key.clone(), attempt);
            ledger.not_sent.remove(&ticket.key);
        }
        let limits = self.tracker.capabilities();
        let body = match follows {
            Some(before) => format!(
                "It follows ticket {}, which is closed.\n\n{body}",
                before.key
            ),
            None => body,
        };
        let files = self.files(ticket)?;
        let body = body + &files.told(&ticket.language);
        let memory = self.memory(ticket)?;
        let (body, mut attachments) = instead::body(limits, &ticket.key, body, &memory);
        attachments.extend(files.attachments);
        let given = render::given(self.state.as_ref(), ticket, &self.presentation)?;
        let mut draft = Draft {
            key: ticket.key.clone(),
            fields: instead::fields(limits, &ticket.wanted),
            body,
            kind: given.kind,
            requestor: given.requestor,
            watchers: given.watchers,
            custom: given.custom,
            attachments,
            follows: follows.cloned(),
        };
        instead::keep_taken(limits, &mut draft);
        let mut opened = self.call("create", self.tracker.open(&draft)).await;
        // Refused is not done: it can be asked for again, without what was refused.
        while let Called::Refused {
            field: Some(field), ..
        } = &opened
            && instead::leave_out(field, &mut draft)
        {
            tracing::warn!(tracker = self.tracker.name(), field, ticket = %ticket.id, "field_left_out");
            opened = self.call("create", self.tracker.open(&draft)).await;
        }
        // Without an answer that asks for a pause, nothing reached the tracker.
        let not_sent = matches!(
            opened,
            Called::Later { after: None, .. } | Called::Refused { .. }
        );
        if not_sent && nothing_arrived {
            self.ledger.lock().not_sent.insert(ticket.key.clone());
        }
        let Some(remote) = turn.take_written(opened, limits.settle) else {
            return Ok(None);
        };
        turn.report.remote = Some(remote.clone());
        turn.report.origin = Some(Origin::Created);
        if ticket.wanted.status == TicketStatus::New {
            turn.report.version_done = ticket.version_wanted;
            turn.report.written = Some(ticket.wanted.clone());
        }
        Ok(Some(remote))
    }

    /// Fields that differ and notes that are missing, by what the ticket shows.
    async fn write(
        &self,
        ticket: &WantedTicket,
        remote: &RemoteRef,
        current: &RemoteTicket,
        turn: &mut Turn,
    ) -> Result<(), StoreError> {
        turn.report.read = Some(current.fields.clone());
        if current.fields.status == TicketStatus::Gone {
            // Deleted, or merged where it cannot be followed: nothing of ours belongs there.
            turn.all_done(ticket);
            return Ok(());
        }
        let can = self.tracker.capabilities();
        let behind = ticket.version_done < ticket.version_wanted;
        if behind {
            let last = ticket.last_written.as_ref();
            let last = last.map(|fields| self.tracker.as_kept(fields));
            let asked_again = ticket.last_written.as_ref() == Some(&ticket.wanted);
            // The severity is written even where it cannot be told from others when it is read.
            let wanted = TicketFields {
                severity: instead::fields(can, &ticket.wanted).severity,
                ..self.tracker.as_kept(&ticket.wanted)
            };
            let to = merge::target(&wanted, last.as_ref(), &current.fields, asked_again);
            if instead::is_final(can, current.fields.status) && !to.status.is_over() {
                return self.follow_up(ticket, remote, turn).await;
            }
            let reopens = current.fields.status.is_over() && !to.status.is_over();
            let from = Some(&current.fields);
            if !self.write_fields(ticket, remote, (from, &to), turn).await {
                self.tell_what_is_refused(ticket, remote, (current, &to), turn)
                    .await;
                return Ok(());
            }
            turn.report.read = Some(to);
            if reopens {
                // A tracker's workflow may let this pass without doing it.
                let read = self.call("read", self.tracker.read(remote)).await;
                let Some(read) = turn.take(read) else {
                    return Ok(());
                };
                turn.report.read = Some(read.fields);
            }
            turn.report.version_done = ticket.version_wanted;
            turn.report.written = Some(ticket.wanted.clone());
        }
        self.write_notes(ticket, remote, &current.markers, turn)
            .await;
        Ok(())
    }

    /// To a ticket of this turn, or one that cannot be read.
    async fn write_blind(&self, ticket: &WantedTicket, remote: &RemoteRef, turn: &mut Turn) {
        let behind = ticket.version_done < ticket.version_wanted;
        if behind && turn.report.version_done == 0 {
            let from = ticket.last_written.as_ref();
            let to = instead::fields(self.tracker.capabilities(), &ticket.wanted);
            if !self.write_fields(ticket, remote, (from, &to), turn).await {
                return;
            }
            turn.report.version_done = ticket.version_wanted;
            turn.report.written = Some(ticket.wanted.clone());
        }
        self.write_notes(ticket, remote, &[], turn).await;
    }

    async fn write_fields(
        &self,
        ticket: &WantedTicket,
        remote: &RemoteRef,
        (from, to): (Option<&TicketFields>, &TicketFields),
        turn: &mut Turn,
    ) -> bool {
        if from == Some(to) {
            return true;
        }
        let can = self.tracker.capabilities();
        let (operation, change) = if can.updates {
            let (from, to) = (from.cloned(), to.clone());
            ("update", Change::Fields { from, to })
        } else if can.notes {
            // The severity has no place of its own there, but it can be told.
            let note = instead::note(ticket, (from, &ticket.wanted), &to.subject);
            ("comment", note)
        } else {
            return true;
        };
        let mut changed = self
            .call(operation, self.tracker.change(remote, &change))
            .await;
        let before = from.and_then(|from| from.severity);
        if let (
            Called::Refused {
                field: Some(field), ..
            },
            Change::Fields { from, to },
        ) = (&changed, &change)
            && instead::is_severity(field)
            && to.severity != before
        {
            tracing::warn!(tracker = self.tracker.name(), field, ticket = %ticket.id, "field_left_out");
            let (from, mut to) = (from.clone(), to.clone());
            to.severity = before;
            let change = Change::Fields { from, to };
            changed = self
                .call(operation, self.tracker.change(remote, &change))
                .await;
        }
        turn.take_written(changed, can.settle).is_some()
    }

    /// What a tracker refuses to write it can be told; and what else is to be said is said.
    async fn tell_what_is_refused(
        &self,
        ticket: &WantedTicket,
        remote: &RemoteRef,
        (current, to): (&RemoteTicket, &TicketFields),
        turn: &mut Turn,
    ) {
        let Some(refused) = turn.failed.take_if(|failed| failed.dead) else {
            return;
        };
        let can = self.tracker.capabilities();
        let mut said = true;
        if can.notes && !current.markers.contains(&instead::marker(ticket)) {
            let note = instead::note(ticket, (Some(&current.fields), to), &to.subject);
            let noted = self.call("comment", self.tracker.change(remote, &note));
            said = turn.take_written(noted.await, can.settle).is_some();
        }
        if said {
            self.write_notes(ticket, remote, &current.markers, turn)
                .await;
        }
        // Should a note be in doubt, all is tried once more.
        turn.failed.get_or_insert(refused);
    }

    async fn write_notes(
        &self,
        ticket: &WantedTicket,
        remote: &RemoteRef,
        markers: &[String],
        turn: &mut Turn,
    ) {
        let can = self.tracker.capabilities();
        for note in ticket.notes.iter().filter(|note| !note.done) {
            // Where there is nowhere to put it nothing is lost: the incident's page has it.
            if can.notes && !markers.contains(&note.marker) {
                let change = Change::Note {
                    marker: note.marker.clone(),
                    text: bounded(&note.text, can.body_bytes_max),
                    public: note.public,
                    about: ticket.wanted.subject.clone(),
                };
                let noted = self.call("comment", self.tracker.change(remote, &change));
                if turn.take_written(noted.await, can.settle).is_none() {
                    return;
                }
            }
            turn.report.notes_done.push(note.marker.clone());
        }
    }
}
