//! The first contact with a source: what fires already becomes one list, not a ticket each.
//! Severity that the inventory proves stays single.

use super::Engine;
use super::correlate::group_hash;
use crate::model::input::OWN_SOURCE;
use crate::model::reason::Reason;
use crate::model::{AlertId, IncidentId, Severity};
use std::time::Duration;

/// In the place of a source's name: every source.
pub const EVERY_SOURCE: &str = "*";

/// How long after its first word a source's alerts belong to its backlog: monitors repeat what
/// fires within a few minutes.
const FIRST_CONTACT: Duration = Duration::from_secs(300);

impl Engine {
    /// The list that a new alert of a source with `baseline = true` belongs to.
    pub(super) fn baseline_of(&mut self, id: AlertId) -> Option<IncidentId> {
        let source = self.state.alerts.get(&id)?.source;
        let name = self.state.symbols.name(source).to_owned();
        let asked = &self.decisions.baseline;
        let every = asked.contains(EVERY_SOURCE) && name != OWN_SOURCE;
        if !every && !asked.contains(&name) {
            return None;
        }
        let first = self.state.sources.get(&source)?.first_at;
        if self.state.now.since(first) >= FIRST_CONTACT {
            return None;
        }
        let group = group_hash(&["baseline", &name]);
        if let Some(list) = self.open_group(group) {
            return Some(list);
        }
        let title = format!("What fired at the first contact with source {name}");
        let text = format!(
            "Source {name} spoke for the first time at {first}: what fires already is listed here, \
             without a ticket each."
        );
        let list = self.new_own(
            &title,
            &text,
            (Reason::Baseline, Severity::S3),
            (source, Some(group)),
        );
        // Its ticket lists what it has by then.
        self.hold_until(list, first.plus(FIRST_CONTACT));
        if let Some(entry) = self.state.incidents.get_mut(&list) {
            entry.storm = true;
            entry.needs_triage = true;
        }
        self.state.touch_incident(list);
        Some(list)
    }
}
