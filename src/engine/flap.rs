//! Flapping: a state with thresholds for entering and leaving. One ticket, few comments.

use super::Engine;
use crate::model::IncidentId;
use crate::model::incident::Ended;
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
        self.decide(
            id,
            Reason::FlappingEnded,
            "Quiet for long enough: no longer flapping.",
        );
        if active == 0 && open {
            let now = self.state.now;
            self.finish(
                id,
                Ended::ResolvedByMonitoring,
                Reason::AllResolved,
                now,
                "All alerts ended.",
            );
        } else {
            self.evaluate(id);
        }
    }

    /// Counts a firing, and notices flapping.
    pub(super) fn count_firing(&mut self, id: IncidentId) {
        let settings = &self.decisions.settings;
        let (from, window) = (settings.flap_firings, settings.flap_window);
        let now = self.state.now;
        let Some(incident) = self.state.incidents.get_mut(&id) else {
            return;
        };
        incident.firings.push(now);
        if incident.firings.len() > FIRINGS_MAX {
            incident.firings.remove(0);
        }
        // Members that join for the first time are not flapping; refirings of few members are.
        let recent = incident
            .firings
            .iter()
            .filter(|at| now.since(**at) <= window)
            .count();
        let refirings = recent.saturating_sub(incident.members as usize);
        if !incident.flapping && refirings >= from as usize {
            incident.flapping = true;
            let text = format!("{refirings} firings again within {window:?}: flapping.");
            self.decide(id, Reason::Flapping, text);
        }
    }
}
