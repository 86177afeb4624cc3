//! Storm control. Openings without a proven impact are counted by site, or by source where no
//! site is named. Past a threshold they fold into one incident with a member table; what opened
//! just before joins it. Severity proven by the inventory stays single.

use super::Engine;
use super::correlate::group_hash;
use super::state::Wake;
use crate::model::incident::IncidentState;
use crate::model::reason::Reason;
use crate::model::severity::{Basis, Category, Severity};
use crate::model::{AlertId, IncidentId, Sym};
use std::collections::BTreeSet;

impl Engine {
    fn storm_key(&self, id: AlertId) -> Option<(u64, String)> {
        let alert = self.state.alerts.get(&id)?;
        let source = self.state.symbols.name(alert.source);
        if alert.site == Sym(0) {
            return Some((
                group_hash(&["storm", "source", source]),
                format!("source {source}"),
            ));
        }
        let site = self.state.symbols.name(alert.site);
        Some((group_hash(&["storm", "site", site]), format!("site {site}")))
    }

    /// The storm that a new alert folds into, if there is one.
    pub(super) fn storm_of(&mut self, id: AlertId) -> Option<IncidentId> {
        let (key, _) = self.storm_key(id)?;
        let now = self.state.now;
        let quiet = self.decisions.settings.storm_quiet;
        let watch = self.state.storms.get_mut(&key)?;
        let storm = watch.incident?;
        let open = self
            .state
            .incidents
            .get(&storm)
            .is_some_and(|i| i.state.is_open());
        if !open {
            watch.incident = None;
            return None;
        }
        if now.since(watch.last_at) >= quiet {
            watch.incident = None;
            return None;
        }
        self.storm_moved(key);
        Some(storm)
    }

    /// An opening counted: quiet is counted from now.
    fn storm_moved(&mut self, key: u64) {
        let quiet = self.decisions.settings.storm_quiet;
        let now = self.state.now;
        let Some(watch) = self.state.storms.get_mut(&key) else {
            return;
        };
        let old = watch.last_at.plus(quiet);
        watch.last_at = now;
        self.state
            .rewake(Some(old), Some(now.plus(quiet)), Wake::StormQuiet(key));
        self.state.dirty.storms.insert(key);
    }

    /// Counts an opening; at the threshold the recent ones become a storm.
    pub(super) fn watch_storm(&mut self, id: AlertId, incident: IncidentId) {
        let Some((key, place)) = self.storm_key(id) else {
            return;
        };
        let settings = &self.decisions.settings;
        let (from, window) = (settings.storm_from, settings.storm_window);
        let now = self.state.now;
        let watch = self.state.storms.entry(key).or_default();
        watch.recent.push_back((now, incident));
        while watch
            .recent
            .front()
            .is_some_and(|(at, _)| now.since(*at) > window)
        {
            watch.recent.pop_front();
        }
        self.storm_moved(key);
        // What opens again and again is one problem.
        let recent = self.state.storms.get(&key).map_or(0, |watch| {
            let incidents = watch.recent.iter().map(|(_, id)| self.state.survivor(*id));
            incidents.collect::<BTreeSet<_>>().len()
        });
        if from > 0 && recent >= from as usize {
            self.begin_storm(key, &place);
        }
    }

    fn begin_storm(&mut self, key: u64, place: &str) {
        let Some(watch) = self.state.storms.get_mut(&key) else {
            return;
        };
        let recent: Vec<IncidentId> = watch.recent.drain(..).map(|(_, id)| id).collect();
        let source = recent
            .first()
            .and_then(|id| self.state.incidents.get(id))
            .map_or(Sym(0), |i| i.source);
        let title = format!("Alert storm at {place}");
        let storm = self.new_incident(&title, source, Category::Incident);
        if let Some(entry) = self.state.incidents.get_mut(&storm) {
            entry.storm = true;
            entry.needs_triage = true;
            entry.severity = Some(Severity::S3);
            entry.basis = Basis::Rule;
            entry.reason_word = Reason::Storm;
            entry.reason = format!(
                "{} alerts of unknown impact at {place} within a short time: they fold into this \
                 ticket until it is quiet.",
                recent.len()
            );
        }
        if let Some(watch) = self.state.storms.get_mut(&key) {
            watch.incident = Some(storm);
        }
        let text = self
            .state
            .incidents
            .get(&storm)
            .map_or(String::new(), |i| i.reason.clone());
        self.decide(storm, Reason::Storm, text);
        for incident in recent {
            let incident = self.state.survivor(incident);
            let open = self
                .state
                .incidents
                .get(&incident)
                .is_some_and(|i| i.state != IncidentState::Closed);
            let proven = self.is_proven_incident(incident);
            if open && !proven && incident != storm {
                self.merge(incident, storm, Reason::Storm);
            }
        }
        self.release(storm);
    }

    fn is_proven_incident(&self, id: IncidentId) -> bool {
        let entry = self.state.incidents.get(&id);
        entry.is_some_and(|i| i.basis != Basis::Rule)
    }

    /// A watch without openings is forgotten.
    pub(super) fn storm_quiet(&mut self, key: u64) {
        let quiet = self.decisions.settings.storm_quiet;
        let now = self.state.now;
        let is_quiet = |watch: &super::state::StormWatch| now.since(watch.last_at) >= quiet;
        if self.state.storms.get(&key).is_some_and(is_quiet) {
            self.state.storms.remove(&key);
            self.state.dirty.storms.insert(key);
        }
    }
}
