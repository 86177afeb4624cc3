//! When the cause speaks later than its effects, incidents become one. The earliest start stays.

use super::correlate::Judged;
use super::incident::SITES_MAX;
use super::state::Wake;
use super::{Engine, Figure};
use crate::model::incident::{Ended, IncidentState};
use crate::model::reason::Reason;
use crate::model::{AlertId, IncidentId};

impl Engine {
    /// The alert is a root: incidents that it explains become part of its own.
    pub(super) fn merge_explained(&mut self, id: AlertId, judged: &Judged, incident: IncidentId) {
        for other in self.explained_by(id, judged) {
            let other = self.state.survivor(other);
            if other != incident {
                self.merge(other, incident, Reason::RootSpokeLater);
            }
        }
    }

    /// Makes one incident part of another. The earliest start stays.
    pub(super) fn merge(&mut self, from: IncidentId, into: IncidentId, reason: Reason) {
        let now = self.state.now;
        let members = self.state.members.remove(&from).unwrap_or_default();
        let Some(gone) = self.state.incidents.get_mut(&from) else {
            return;
        };
        gone.state = IncidentState::Resolved;
        gone.ended = Some(Ended::Merged);
        gone.merged_into = Some(into);
        gone.resolved_at = Some(now);
        gone.active = 0;
        let (opened_at, sites) = (gone.opened_at, gone.sites.clone());
        let held = gone.held_until.take();
        if let Some(at) = held {
            self.state.wakes.remove(&(at, Wake::Hold(from)));
        }
        self.tallies.remove(&from);
        for id in members {
            if let Some(alert) = self.state.alerts.get_mut(&id) {
                alert.incident = Some(into);
                let (active, hint, element) = (alert.state.is_active(), alert.hint, alert.element);
                self.state.dirty.alerts.insert(id);
                self.state.members.entry(into).or_default().insert(id);
                if active {
                    self.member_active(into, hint, element);
                }
            }
        }
        let count = self.state.members.get(&into).map_or(0, |m| m.len());
        if let Some(entry) = self.state.incidents.get_mut(&into) {
            entry.members = u32::try_from(count).unwrap_or(u32::MAX);
            entry.opened_at = entry.opened_at.min(opened_at);
            for site in sites {
                if !entry.sites.contains(&site) && entry.sites.len() < SITES_MAX {
                    entry.sites.push(site);
                }
            }
        }
        let until = now.plus(self.decisions.settings.reopen_window);
        self.wake(until, Wake::Close(from));
        self.out.figures.push(Figure::Merged);
        self.decide(from, Reason::Merged, format!("Part of {into}."));
        self.decide(into, reason, format!("{from} is part of this problem."));
        self.sync_tickets(from);
        self.note_tickets(from, &format!("This is part of {into}."), true);
        self.evaluate(into);
    }
}
