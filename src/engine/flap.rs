//! Flapping: a state with thresholds for entering and leaving. One ticket, few comments.

use super::Engine;
use super::state::Wake;
use crate::model::IncidentId;
use crate::model::figure::Family;
use crate::model::incident::{Ended, IncidentState};
use crate::model::reason::Reason;

/// Most firings remembered for flapping.
const FIRINGS_MAX: usize = 32;

impl Engine {
    /// A flapping incident has been quiet for long enough.
    pub(super) fn flap_quiet(&mut self, id: IncidentId) {
        let quiet = self.decisions.settings.flap_quiet;
        let Some(incident) = self.state.incidents.get_mut(&id) else {
            return;
        };
        let last = incident.firings.last().copied().unwrap_or_default();
        if !incident.flapping || self.state.now.since(last) < quiet {
            return;
        }
        incident.flapping = false;
        let (active, open) = (incident.active, incident.state.is_open());
        let text = "Quiet for long enough: no longer flapping.";
        self.decide(id, Reason::FlappingEnded, text);
        if active == 0 && open {
            // It has held: it was well since the last of its alerts ended.
            let members = self.state.members.get(&id).into_iter().flatten();
            let alerts = members.filter_map(|id| self.state.alerts.get(id));
            let ended = alerts.filter_map(|alert| alert.resolved_at).max();
            let ended = ended.unwrap_or(self.state.now);
            let text = "All alerts ended.";
            self.finish(
                id,
                Ended::ResolvedByMonitoring,
                Reason::AllResolved,
                ended,
                text,
            );
        } else {
            self.evaluate(id);
        }
    }

    /// Counts a firing, and notices flapping.
    pub(super) fn count_firing(&mut self, id: IncidentId) {
        let settings = &self.decisions.settings;
        let (from, window, quiet) = (
            settings.flap_firings,
            settings.flap_window,
            settings.flap_quiet,
        );
        let now = self.state.now;
        let Some(incident) = self.state.incidents.get_mut(&id) else {
            return;
        };
        let last = incident.firings.last().copied();
        incident.firings.push(now);
        if incident.firings.len() > FIRINGS_MAX {
            incident.firings.remove(0);
        }
        // Members that join for the first time are not flapping; refirings of few members are.
        let within = |at: &&crate::model::Time| now.since(**at) <= window;
        let recent = incident.firings.iter().filter(within).count();
        let refirings = recent.saturating_sub(incident.members as usize);
        let begins = !incident.flapping && refirings >= from as usize;
        if begins {
            incident.flapping = true;
        }
        if incident.flapping {
            // Quiet is counted from the last firing.
            let old = last.map(|at| at.plus(quiet)).filter(|_| !begins);
            let wake = Wake::FlapQuiet(id);
            self.state.rewake(old, Some(now.plus(quiet)), wake);
        }
        self.state.touch_incident(id);
        if begins {
            let text = format!("{refirings} firings again within {window:?}: flapping.");
            self.decide(id, Reason::Flapping, text);
            self.add_figure(Family::Flaps, &[], 1);
        }
    }

    /// What flaps within its hold never passes it: it is told once it is known to flap.
    pub(super) fn release_flapping(&mut self, id: IncidentId) {
        let held = self.state.incidents.get(&id).is_some_and(|i| {
            i.flapping && i.state == IncidentState::Held && i.quiet_until.is_none()
        });
        if held {
            self.release(id);
        }
    }
}
