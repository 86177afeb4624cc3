//! Plays inputs to an engine of its own. Messages, repeats, restarts and clock steps are taken as
//! they stand in the journal. What people did is carried over to the incident that is about the
//! same. Trackers are taken to do what is asked of them within a minute, unless they are recorded
//! to have failed. Recorded generations change nothing: one configuration decides throughout.

use super::ReplayError;
use super::counterpart::Recorded;
use crate::engine::state::{Audit, Quarantined};
use crate::engine::{Decisions, Engine};
use crate::model::outgoing::NoticeOutcome;
use crate::model::ticket::{DeliveryReport, Origin, PersonChange, RemoteRef};
use crate::model::{
    Command, IncidentId, Input, Message, Sequenced, SilenceId, TicketId, Time, WantedTicket,
    WindowId,
};
use crate::store::sqlite::{JournalView, SqliteState};
use crate::store::{StateStore, StoreError, codec};
use serde::Serialize;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Inputs read and saved at once.
const BATCH: usize = 1000;
/// A tracker of which nothing is recorded has done by then what was asked.
const DELIVERED_AFTER: Duration = Duration::from_secs(60);
/// Most acts of people that are named.
const LEFT_OUT_MAX: usize = 100;
/// Rows of the recorded state read at once.
const ROWS: usize = 1000;

/// What was played.
pub(super) struct Played {
    pub(super) inputs: u64,
    pub(super) oldest_input: Option<Time>,
    pub(super) journal_whole: bool,
    pub(super) left_out: Vec<LeftOut>,
    pub(super) left_out_count: u64,
}

/// What a person did to something that the replay does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Its place in the journal.
    pub input: u64,
    /// What was done, by whom, to what.
    pub what: String,
}

/// Plays the journal up to where `recorded` stands; deadlines are served `until` then.
pub(super) fn play(
    journal: &JournalView,
    recorded: &SqliteState,
    into: &SqliteState,
    decisions: &Decisions,
    until: Option<Time>,
) -> Result<Played, ReplayError> {
    let end = recorded.cursor()?;
    let kept_from = journal.kept_from()?;
    let mut player = Player {
        engine: Engine::new(decisions.clone()),
        recorded: Recorded::new(recorded),
        audit: recorded,
        set_aside: set_aside(recorded)?,
        silences: BTreeMap::new(),
        windows: BTreeMap::new(),
        whole: kept_from <= 1,
        looked_at: Time(0),
        left_out: Vec::new(),
        left_out_count: 0,
    };
    let mut oldest_input = None;
    let mut last = kept_from.saturating_sub(1);
    while last < end {
        let most = usize::try_from(end - last).unwrap_or(BATCH).min(BATCH);
        let batch = journal.read(last, most)?;
        let Some(first) = batch.first() else {
            return Err(ReplayError::Short { last, wanted: end });
        };
        if first.seq != last + 1 {
            return Err(ReplayError::Retired(first.seq - 1));
        }
        oldest_input.get_or_insert(first.at);
        for input in &batch {
            last = input.seq;
            let played = catch_unwind(AssertUnwindSafe(|| {
                player.play(input)?;
                player.answer(input.at, into)
            }));
            played.map_err(|_| ReplayError::Engine(input.seq))??;
        }
        player.save(into)?;
    }
    if let Some(until) = until.filter(|_| last > 0) {
        player.deliver_overdue(until);
        player.engine.step(&Sequenced {
            seq: last + 1,
            at: until,
            input: Input::Due,
        });
        player.answer(until, into)?;
        player.save(into)?;
    }
    Ok(Played {
        inputs: (last + 1).saturating_sub(kept_from),
        oldest_input,
        journal_whole: player.whole,
        left_out: player.left_out,
        left_out_count: player.left_out_count,
    })
}

/// Inputs at which the daemon's engine failed: it went on without them.
fn set_aside(recorded: &SqliteState) -> Result<BTreeMap<u64, String>, StoreError> {
    let mut found = BTreeMap::new();
    let mut after: Option<String> = None;
    loop {
        let page = recorded.things("quarantine", after.as_deref(), ROWS)?;
        let full = page.len() == ROWS;
        for (key, value) in page {
            let row: Quarantined = codec::decode(&value)?;
            if row.sender == "engine" {
                found.insert(row.seq, row.reason);
            }
            after = Some(key);
        }
        if !full {
            return Ok(found);
        }
    }
}

struct Player<'a> {
    engine: Engine,
    recorded: Recorded<'a>,
    audit: &'a SqliteState,
    set_aside: BTreeMap<u64, String>,
    silences: BTreeMap<SilenceId, SilenceId>,
    windows: BTreeMap<WindowId, WindowId>,
    whole: bool,
    looked_at: Time,
    left_out: Vec<LeftOut>,
    left_out_count: u64,
}

impl Player<'_> {
    fn save(&mut self, into: &SqliteState) -> Result<(), StoreError> {
        drop(self.engine.take_said());
        into.commit(&self.engine.take_delta())
    }

    /// What the engine asks for: the texts of what still fires of a storm.
    fn answer(&mut self, at: Time, into: &SqliteState) -> Result<(), StoreError> {
        let asked = self.engine.take_said().remains;
        if asked.is_empty() {
            return Ok(());
        }
        self.save(into)?;
        for storm in asked {
            let remains = into.remains_of(storm)?;
            self.engine.step_beside(at, &Input::Remains(remains));
        }
        Ok(())
    }

    fn play(&mut self, sequenced: &Sequenced) -> Result<(), StoreError> {
        let (seq, at) = (sequenced.seq, sequenced.at);
        self.deliver_overdue(at);
        if let Some(reason) = self.set_aside.get(&seq).cloned() {
            self.step(seq, at, Input::Poisoned { seq, reason });
            return Ok(());
        }
        match &sequenced.input {
            Input::Delivery(report) => self.delivery(seq, at, report)?,
            Input::Person(change) => self.person(seq, at, change)?,
            Input::Command { author, command } => self.command(seq, at, author, command)?,
            Input::Message(message) if !message.replies.is_empty() => {
                self.replies(seq, at, message)?;
            }
            Input::Notice(report) => {
                // What became of a letter changes no ticket; who answered a call does.
                if let NoticeOutcome::Acknowledged { by } = &report.outcome {
                    self.leave_out(seq, format!("that {by} answered a call"));
                }
                self.step(seq, at, Input::Due);
            }
            // What remains of a storm is asked for anew: storms may be others here.
            Input::Generation(_) | Input::Remains(_) => self.step(seq, at, Input::Due),
            Input::Message(_)
            | Input::Undecoded(_)
            | Input::Seen(_)
            | Input::Due
            | Input::ClockStep { .. }
            | Input::Restart { .. }
            | Input::Rebuilt(_)
            | Input::Poisoned { .. } => self.engine.step(sequenced),
        }
        Ok(())
    }

    fn step(&mut self, seq: u64, at: Time, input: Input) {
        self.engine.step(&Sequenced { seq, at, input });
    }

    fn leave_out(&mut self, seq: u64, what: String) {
        self.left_out_count += 1;
        if self.left_out.len() < LEFT_OUT_MAX {
            self.left_out.push(LeftOut { input: seq, what });
        }
    }

    /// Trackers that nothing is recorded of do what is asked.
    fn deliver_overdue(&mut self, at: Time) {
        if at < self.looked_at.plus(DELIVERED_AFTER) {
            return;
        }
        self.looked_at = at;
        let tickets = self.engine.state().tickets.values();
        let overdue: Vec<DeliveryReport> = tickets
            .filter(|ticket| ticket.has_work() && ticket.trouble.is_none())
            .filter(|ticket| ticket.asked_at.plus(DELIVERED_AFTER) <= at)
            .map(|ticket| done(ticket, None))
            .collect();
        for report in overdue {
            self.engine.step_beside(at, &Input::Delivery(report));
        }
    }

    fn delivery(&mut self, seq: u64, at: Time, report: &DeliveryReport) -> Result<(), StoreError> {
        self.engine.step_beside(at, &Input::Due);
        let found = self.recorded.ticket(self.engine.state(), report.ticket)?;
        let ticket = found.and_then(|id| self.engine.state().tickets.get(&id));
        let Some(ticket) = ticket else {
            self.step(seq, at, Input::Due);
            return Ok(());
        };
        let report = match &report.trouble {
            Some(_) if ticket.remote.is_none() => DeliveryReport {
                ticket: ticket.id,
                notes_done: Vec::new(),
                ..report.clone()
            },
            _ => {
                let mut done = done(ticket, report.remote.clone());
                // A ticket that stayed closed stays closed here as well.
                if let (Some(read), Some(recorded)) = (&mut done.read, &report.read)
                    && recorded.status.is_over()
                {
                    read.status = recorded.status;
                }
                DeliveryReport {
                    twins_closed: report.twins_closed.clone(),
                    ..done
                }
            }
        };
        self.step(seq, at, Input::Delivery(report));
        Ok(())
    }

    fn person(&mut self, seq: u64, at: Time, change: &PersonChange) -> Result<(), StoreError> {
        self.engine.step_beside(at, &Input::Due);
        let known = self.recorded.by_remote(&change.tracker, &change.remote)?;
        let found = match known {
            Some(ticket) => self.recorded.ticket(self.engine.state(), ticket)?,
            None => None,
        };
        let Some(ticket) = found.and_then(|id| self.engine.state().tickets.get(&id)) else {
            let (remote, tracker, author) = (&change.remote, &change.tracker, &change.author);
            self.leave_out(
                seq,
                format!(
                    "what {author} did to {remote} in {tracker}: it would not have had that ticket"
                ),
            );
            self.step(seq, at, Input::Due);
            return Ok(());
        };
        let name = RemoteRef {
            key: change.remote.clone(),
            url: String::new(),
        };
        let mut change = change.clone();
        change.tracker.clone_from(&ticket.tracker);
        match &ticket.remote {
            Some(remote) => change.remote.clone_from(&remote.key),
            None => {
                let report = done(ticket, Some(name));
                self.engine.step_beside(at, &Input::Delivery(report));
            }
        }
        self.step(seq, at, Input::Person(change));
        Ok(())
    }

    fn replies(&mut self, seq: u64, at: Time, message: &Message) -> Result<(), StoreError> {
        self.engine.step_beside(at, &Input::Due);
        let mut message = message.clone();
        for reply in &mut message.replies {
            let tag = reply.ticket_tag.as_deref().unwrap_or_default();
            let named: Option<IncidentId> = tag.trim_start_matches('#').parse().ok();
            let found = match named {
                Some(id) => self.recorded.incident(self.engine.state(), id)?,
                None => None,
            };
            if let Some(found) = found {
                reply.ticket_tag = Some(found.to_string());
            }
            for id in &mut reply.refers_to {
                if let Some((named, rest)) = incident_in(id) {
                    let found = self.recorded.incident(self.engine.state(), named)?;
                    *id = found.map_or_else(String::new, |found| format!("t{}{rest}", found.0));
                }
            }
        }
        self.step(seq, at, Input::Message(message));
        Ok(())
    }

    fn command(
        &mut self,
        seq: u64,
        at: Time,
        author: &str,
        command: &Command,
    ) -> Result<(), StoreError> {
        self.engine.step_beside(at, &Input::Due);
        match self.carried_over(command)? {
            Ok(carried) => {
                let author = author.to_owned();
                let command = carried.clone();
                self.step(seq, at, Input::Command { author, command });
                self.note_made(seq, &carried)?;
            }
            Err(missing) => {
                self.leave_out(seq, format!("what {author} did to {missing}"));
                self.step(seq, at, Input::Due);
            }
        }
        Ok(())
    }

    /// The command about what is here instead of what is recorded; else what is missing.
    fn carried_over(&mut self, command: &Command) -> Result<Result<Command, String>, StoreError> {
        let mut command = command.clone();
        match &mut command {
            Command::Acknowledge { incident }
            | Command::Assign { incident, .. }
            | Command::Wait { incident, .. }
            | Command::Promise { incident, .. }
            | Command::Note { incident, .. }
            | Command::Resolve { incident, .. }
            | Command::Reopen { incident }
            | Command::SetSeverity { incident, .. }
            | Command::SetCategory { incident, .. }
            | Command::Escalate { incident, .. }
            | Command::MarkSecurity { incident, .. }
            | Command::Adopt { incident, .. } => {
                match self.recorded.incident(self.engine.state(), *incident)? {
                    Some(found) => *incident = found,
                    None => return Ok(Err(incident.to_string())),
                }
            }
            Command::RetryTicket { ticket } | Command::DropTicket { ticket, .. } => {
                match self.recorded.ticket(self.engine.state(), *ticket)? {
                    Some(found) => *ticket = found,
                    None => return Ok(Err(ticket.to_string())),
                }
            }
            Command::CloseAlert { alert } => {
                match self.recorded.alert(self.engine.state(), *alert)? {
                    Some(found) => *alert = found,
                    None => return Ok(Err(alert.to_string())),
                }
            }
            Command::EndSilence { silence } => match self.silences.get(silence) {
                Some(found) => *silence = *found,
                None => return Ok(Err(silence.to_string())),
            },
            Command::EndWindow { window } => match self.windows.get(window) {
                Some(found) => *window = *found,
                // A window out of a notice has no command; its number is the same from the start.
                None if self.whole => {}
                None => return Ok(Err(window.to_string())),
            },
            Command::Request(_)
            | Command::Silence { .. }
            | Command::OpenWindow { .. }
            | Command::Promote { .. }
            | Command::RetryNotice { .. }
            | Command::DropNotice { .. }
            | Command::ReleaseSecurity { .. }
            | Command::DropSecurity { .. }
            | Command::DropQuarantined { .. }
            | Command::Desk { .. } => {}
        }
        Ok(Ok(command))
    }

    /// Silences and windows have numbers of their own here; the audit has the recorded ones.
    fn note_made(&mut self, seq: u64, command: &Command) -> Result<(), StoreError> {
        if !matches!(
            command,
            Command::Silence { .. } | Command::OpenWindow { .. }
        ) {
            return Ok(());
        }
        let Some(row) = self.audit.thing("audit", &format!("{seq:020}"))? else {
            return Ok(());
        };
        let audit: Audit = codec::decode(&row)?;
        let made = audit.result.split(' ').next().unwrap_or_default();
        let scalars = &self.engine.state().scalars;
        match command {
            Command::Silence { .. } => {
                if let Ok(recorded) = made.parse() {
                    let here = SilenceId(scalars.next_silence);
                    self.silences.insert(recorded, here);
                }
            }
            _ => {
                if let Ok(recorded) = made.parse() {
                    self.windows.insert(recorded, WindowId(scalars.next_window));
                }
            }
        }
        Ok(())
    }
}

/// The report of a tracker that did all that is wanted of it.
fn done(ticket: &WantedTicket, remote: Option<RemoteRef>) -> DeliveryReport {
    // A number that no tracker gives.
    let made_up = |id: TicketId| RemoteRef {
        key: format!("replay-{id}"),
        url: String::new(),
    };
    let new = ticket.remote.is_none();
    let remote = remote.unwrap_or_else(|| made_up(ticket.id));
    DeliveryReport {
        ticket: ticket.id,
        version_done: ticket.version_wanted,
        written: Some(ticket.wanted.clone()),
        read: Some(ticket.wanted.clone()),
        remote: new.then_some(remote),
        origin: new.then_some(Origin::Created),
        notes_done: ticket.notes.iter().map(|n| n.marker.clone()).collect(),
        trouble: None,
        twins_closed: Vec::new(),
    }
}

/// The incident that a message id of ours names, and what follows its number.
fn incident_in(id: &str) -> Option<(IncidentId, &str)> {
    let dot = id.find('.')?;
    let number = id.get(..dot)?.strip_prefix('t')?.parse().ok()?;
    Some((IncidentId(number), id.get(dot..)?))
}
