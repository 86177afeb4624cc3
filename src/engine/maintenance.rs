//! Maintenance of what an open incident is about, for contracts whose clocks pause meanwhile
//! (`pause_on = ["maintenance"]`). What fires inside a window opens no ticket and has no clock;
//! here it is about incidents that were open when the window began. Their alerts' texts are not
//! at hand: a window is matched by elements, hosts that are elements, sites, services and
//! accounts.

use super::Engine;
use crate::model::event::{Event, EventState};
use crate::model::identity::Identity;
use crate::model::incident::IncidentState;
use crate::model::reason::Reason;
use crate::model::{Alert, AlertId, IncidentId, Sym};
use crate::rules::Facts;
use crate::sla::log::CaseDid;

impl Engine {
    /// The cases of an incident whose clocks pause in maintenance.
    fn pausing_cases(&self, id: IncidentId) -> Vec<(IncidentId, String)> {
        let contracts = &self.decisions.sla.contracts;
        let mut keys = self.case_keys(id, None);
        keys.retain(|(_, name)| contracts.get(name).is_some_and(|c| c.pause_maintenance));
        keys
    }

    /// Whether maintenance of an incident's elements began or ended: the log of its cases says so.
    pub(super) fn follow_maintenance(&mut self, id: IncidentId) {
        let open = self.incident_state(id) == Some(IncidentState::Open);
        let keys = self.pausing_cases(id);
        if keys.is_empty() || !open {
            return;
        }
        let planned = self.is_planned_now(id);
        let now = self.state.now;
        for key in keys {
            let case = self.state.cases.get(&key);
            if case.is_none_or(|case| in_maintenance(&case.log) == planned) {
                continue;
            }
            let (what, text) = if planned {
                (CaseDid::MaintenanceStart, "its clocks pause: planned work")
            } else {
                (
                    CaseDid::MaintenanceEnd,
                    "its clocks run again: not planned any more",
                )
            };
            self.log_case(&key, now, what);
            self.decide(id, Reason::Maintenance, format!("{}: {text}.", key.1));
        }
    }

    /// A member of an incident came or went.
    pub(super) fn review_maintenance_of(&mut self, id: IncidentId) {
        if !self.state.windows.is_empty() && !self.pausing_cases(id).is_empty() {
            self.look_at_clocks(id);
        }
    }

    /// A window began, ended or changed.
    pub(super) fn review_maintenance(&mut self) {
        let mut incidents: Vec<IncidentId> = self.state.cases.keys().map(|key| key.0).collect();
        incidents.dedup();
        for id in incidents {
            if !self.pausing_cases(id).is_empty() {
                self.look_at_clocks(id);
            }
        }
    }

    /// Whether every active alert of an incident is about planned work, or explained by it.
    fn is_planned_now(&self, id: IncidentId) -> bool {
        let members = self.state.members.get(&id).into_iter().flatten();
        let mut active = members
            .filter_map(|id: &AlertId| self.state.alerts.get(id))
            .filter(|alert| alert.state.is_active())
            .peekable();
        active.peek().is_some() && active.all(|alert| self.alert_is_planned(alert))
    }

    fn alert_is_planned(&self, alert: &Alert) -> bool {
        if self.in_window(alert) {
            return true;
        }
        let inventory = &self.decisions.inventory;
        let name = self.state.symbols.name(alert.element);
        let Some(element) = inventory.element(name) else {
            return false;
        };
        self.health.roots_of(inventory, element).iter().any(|root| {
            let sym = self.state.symbols.get(inventory.element_name(*root));
            let alerts = sym.and_then(|sym| self.state.by_element.get(&sym));
            let mut alerts = alerts.into_iter().flatten();
            alerts.any(|id| {
                let alert = self.state.alerts.get(id);
                alert.is_some_and(|alert| self.in_window(alert))
            })
        })
    }

    fn in_window(&self, alert: &Alert) -> bool {
        let now = self.state.now;
        let windows = self.state.windows.values();
        let mut in_force = windows.filter(|w| w.from <= now && now < w.until);
        in_force.any(|window| {
            self.lists(window, alert.element) || self.all_hold(&window.matchers, alert)
        })
    }

    fn all_hold(&self, matchers: &[String], alert: &Alert) -> bool {
        let Some(identity) = Identity::key("window") else {
            return false;
        };
        let mut event = Event::new(EventState::Firing, identity, String::new());
        let site = self.state.symbols.name(alert.site);
        event.site = (!site.is_empty()).then(|| site.to_owned());
        let facts = Facts {
            source: self.state.symbols.name(alert.source),
            sender: "",
            event: &event,
        };
        let incident = alert.incident.map(|id| self.state.survivor(id));
        let incident = incident.and_then(|id| self.state.incidents.get(&id));
        let tags = incident.map_or(&[][..], |incident| &incident.tags);
        let holds = |text: &String| {
            self.names_element(text, alert.element)
                || self.all_match(std::slice::from_ref(text), &facts, alert.element, tags)
        };
        !matchers.is_empty() && matchers.iter().all(holds)
    }

    /// Whether an exact `host=` or `element=` names the element, or what it hangs from.
    fn names_element(&self, matcher: &str, element: Sym) -> bool {
        let inventory = &self.decisions.inventory;
        let Some(element) = inventory.element(self.state.symbols.name(element)) else {
            return false;
        };
        super::windows::named_by(inventory, matcher)
            .is_some_and(|named| inventory.hangs_from(element).contains(&named))
    }
}

/// Whether a case's clocks stand in maintenance, by its log.
fn in_maintenance(log: &[crate::sla::log::CaseEvent]) -> bool {
    let last = log.iter().rev().find_map(|event| match event.what {
        CaseDid::MaintenanceStart => Some(true),
        CaseDid::MaintenanceEnd | CaseDid::Resolved { .. } | CaseDid::Void { .. } => Some(false),
        _ => None,
    });
    last.unwrap_or(false)
}
