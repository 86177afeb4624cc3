//! The gate before a new inventory: one that takes away much of what is known is refused until a
//! person says that this is meant. The same for a reload and for a pull.

use super::operations::Daemon;
use crate::api::Accepted;
use crate::config::Config;
use crate::engine::{Decisions, element_of};
use crate::inventory::Difference;
use crate::limits;
use crate::model::alert::{Alert, AlertText};
use crate::model::{AlertId, IncidentId, Sym};
use crate::store::{StoreError, codec};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a person types to take it all the same.
pub(super) const ACCEPT: &str = "`alertbridge reload --accept`";

/// What a new inventory would do to what is known and to open alerts.
pub(super) struct Consequences {
    /// By names.
    pub difference: Difference,
    /// Active alerts that resolve to another element: alert and element (empty: none).
    pub moved: Vec<(u64, String)>,
    /// Open incidents of which no alert names an element any more.
    pub orphaned: Vec<IncidentId>,
    /// Open incidents of which an alert names an element now.
    pub proven: usize,
}

impl Consequences {
    /// Why it needs a person's word; empty: it does not.
    pub fn losses(&self) -> Vec<String> {
        let mut losses = self.difference.losses();
        let lost = self.orphaned.len();
        if lost * 100 > self.proven * limits::INVENTORY_INCIDENTS_LOST_PERCENT_MAX {
            losses.push(format!(
                "{lost} of {} open incidents would lose their element: {}",
                self.proven,
                self.orphans_told()
            ));
        }
        losses
    }

    fn orphans_told(&self) -> String {
        let told: Vec<String> = self
            .orphaned
            .iter()
            .take(limits::NAMES_TOLD_MAX)
            .map(ToString::to_string)
            .collect();
        match self.orphaned.len().saturating_sub(limits::NAMES_TOLD_MAX) {
            0 => told.join(", "),
            more => format!("{} and {more} more", told.join(", ")),
        }
    }

    /// What changes, for people: a sentence each.
    pub fn told(&self) -> Vec<String> {
        let mut told = Vec::new();
        if !self.difference.is_empty() {
            told.push(format!("inventory: {}", self.difference));
        }
        if !self.orphaned.is_empty() {
            let (count, which) = (self.orphaned.len(), self.orphans_told());
            told.push(format!(
                "{count} open incident(s) lose their element ({which})"
            ));
        }
        told
    }
}

impl Daemon {
    /// What it would mean to decide by `new` instead of what is in force.
    pub(super) fn consequences(&self, new: &Decisions) -> Result<Consequences, StoreError> {
        let old = self.config();
        let known = &old.decisions.inventory;
        let difference = match Arc::ptr_eq(known, &new.inventory) {
            true => Difference::default(),
            false => Difference::between(known, &new.inventory),
        };
        let mut moved = Vec::new();
        let mut incidents: BTreeMap<IncidentId, (bool, bool)> = BTreeMap::new();
        let mut after: Option<AlertId> = None;
        loop {
            let page = self.state().alerts(after, limits::PAGE_ROWS_READ_MAX)?;
            for (body, text) in &page {
                let alert: Alert = codec::decode(body)?;
                after = Some(alert.id);
                if !alert.state.is_active() || text.is_empty() {
                    continue;
                }
                let text: AlertText = codec::decode(text)?;
                let element = element_of(new, &text, alert.kind);
                if let Some(incident) = alert.incident {
                    let (had, has) = incidents.entry(incident).or_default();
                    *had |= alert.element != Sym(0);
                    *has |= !element.is_empty();
                }
                if element != self.state().symbol(alert.element)? {
                    moved.push((alert.id.0, element));
                }
            }
            if page.len() < limits::PAGE_ROWS_READ_MAX {
                break;
            }
        }
        let proven = incidents.values().filter(|(had, _)| *had).count();
        let orphaned = incidents.into_iter().filter(|(_, (had, has))| *had && !has);
        Ok(Consequences {
            difference,
            moved,
            orphaned: orphaned.map(|(id, _)| id).collect(),
            proven,
        })
    }

    /// Refuses what would lose much, unless it is accepted.
    pub(super) fn judge(
        &self,
        new: &Config,
        accepted: Accepted,
    ) -> Result<Consequences, Vec<String>> {
        let consequences = self
            .consequences(&new.decisions)
            .map_err(|error| vec![error.to_string()])?;
        let mut losses = consequences.losses();
        if losses.is_empty() || accepted == Accepted::Yes {
            return Ok(consequences);
        }
        losses.insert(
            0,
            "the new inventory takes away much of what is known".to_owned(),
        );
        losses.push(format!("if that is meant, {ACCEPT} takes it"));
        Err(losses)
    }
}
