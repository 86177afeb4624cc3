//! Messages that could not be read, and entries of the journal that could not be applied: each waits
//! for a person. Its ticket is over once the last message of it was replayed or dropped; the next
//! one opens it again.

use super::Engine;
use super::correlate::group_hash;
use super::state::Quarantined;
use crate::limits::QUARANTINED_REMEMBERED_MAX;
use crate::model::incident::Ended;
use crate::model::input::{OWN_SOURCE, Undecoded};
use crate::model::reason::Reason;
use crate::model::text::bounded;
use crate::model::{IncidentId, IncidentState};

const UNREAD: &str = "unread";

fn key_of(id: IncidentId) -> String {
    format!("{:010}", id.0)
}

impl Engine {
    pub(super) fn apply_undecoded(&mut self, seq: u64, undecoded: &Undecoded) {
        let source = self.state.intern(&undecoded.source);
        self.source_spoke(source);
        if let Some(seen) = self.state.sources.get_mut(&source) {
            seen.quarantined += 1;
        }
        let quarantined = Quarantined {
            seq,
            at: self.state.now,
            source: undecoded.source.clone(),
            sender: undecoded.sender.clone(),
            reason: undecoded.reason.clone(),
            summary: undecoded.summary.clone(),
            handled: String::new(),
            sensitive: undecoded.sensitive,
        };
        self.save_thing("quarantine", format!("{seq:020}"), &quarantined);
        let group = group_hash(&["quarantine", &undecoded.source, &undecoded.group]);
        let (reason, summary) = if undecoded.sensitive {
            (super::sensitive::WITHHELD, super::sensitive::WITHHELD)
        } else {
            (undecoded.reason.as_str(), undecoded.summary.as_str())
        };
        let text = format!(
            "Message {seq} waits in quarantine: {reason}. See `alertbridge quarantine show {seq}`."
        );
        let known = self.state.by_group.get(&group).copied();
        let known = known.map(|id| self.state.survivor(id));
        if let Some(id) = known.filter(|id| self.state.incidents.contains_key(id)) {
            self.one_more_unread(id, seq, text);
            return;
        }
        let title = format!(
            "In quarantine from {}: {}",
            undecoded.source,
            bounded(summary, 120)
        );
        let found_by = (source, Some(group));
        let id = self.open_own_of(&title, &text, Reason::Quarantined, found_by);
        if let Some(incident) = self.state.incidents.get_mut(&id) {
            incident.needs_triage = true;
        }
        self.remember_unread(id, seq);
    }

    /// A message like others before it. What was over is looked at anew: nobody else would tell.
    fn one_more_unread(&mut self, id: IncidentId, seq: u64, text: String) {
        self.remember_unread(id, seq);
        if self.incident_state(id) == Some(IncidentState::Resolved) {
            if let Some(incident) = self.state.incidents.get_mut(&id) {
                incident.needs_triage = true;
            }
            self.reopen(id, Reason::Quarantined, text);
        } else {
            self.state.tell(id, Reason::Quarantined, text);
        }
        self.state.touch_incident(id);
    }

    pub(super) fn apply_poisoned(&mut self, seq: u64, reason: &str) {
        let quarantined = Quarantined {
            seq,
            at: self.state.now,
            source: OWN_SOURCE.to_owned(),
            sender: "engine".to_owned(),
            reason: reason.to_owned(),
            summary: format!("Journal entry {seq} could not be applied"),
            handled: String::new(),
            sensitive: false,
        };
        self.save_thing("quarantine", format!("{seq:020}"), &quarantined);
        let source = self.state.intern(OWN_SOURCE);
        let text = format!(
            "Journal entry {seq} could not be applied and was set aside: {reason}. \
             See `alertbridge quarantine show {seq}`."
        );
        let title = format!("Journal entry {seq} could not be applied");
        let id = self.open_own(&title, &text, Reason::Poisoned, source);
        if let Some(incident) = self.state.incidents.get_mut(&id) {
            incident.needs_triage = true;
        }
        self.remember_unread(id, seq);
    }

    /// An incident with more messages than are remembered is ended by a person.
    fn remember_unread(&mut self, id: IncidentId, seq: u64) {
        let unread = self.state.unread.entry(id).or_default();
        if unread.len() < QUARANTINED_REMEMBERED_MAX {
            unread.push(seq);
            self.save_unread(id);
        }
    }

    fn save_unread(&mut self, id: IncidentId) {
        match self.state.unread.get(&id).cloned() {
            Some(unread) => self.save_thing(UNREAD, key_of(id), &unread),
            None => self.drop_thing(UNREAD, key_of(id)),
        }
    }

    /// Marks a quarantined message as handled; the last one of an incident ends it.
    pub(super) fn quarantine_handled(&mut self, seq: u64, how: &str) {
        self.save_thing("quarantine_handled", format!("{seq:020}"), &how.to_owned());
        let of = |(id, unread): (&IncidentId, &Vec<u64>)| {
            let place = unread.iter().position(|one| *one == seq)?;
            Some((*id, place, unread.len()))
        };
        let Some((id, place, known)) = self.state.unread.iter().find_map(of) else {
            return;
        };
        if known >= QUARANTINED_REMEMBERED_MAX {
            return;
        }
        if known > 1 {
            if let Some(unread) = self.state.unread.get_mut(&id) {
                unread.remove(place);
            }
            self.save_unread(id);
            return;
        }
        self.forget_unread(id);
        // What was merged into something else ends with that.
        let open = self.incident_state(id).is_some_and(|state| state.is_open());
        if open {
            let now = self.state.now;
            let text = format!("The last message of it in quarantine, {seq}, was {how}.");
            self.finish(id, Ended::Restored, Reason::PersonResolved, now, &text);
        }
    }

    pub(super) fn forget_unread(&mut self, id: IncidentId) {
        if self.state.unread.remove(&id).is_some() {
            self.save_unread(id);
        }
    }
}
