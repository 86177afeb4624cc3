//! What customers are told of planned work: planned, changed, cancelled, started, ended, overrun. Only
//! those whose services the work touches, as the inventory says; managed accounts' partners in their
//! place, their users never.

use super::Engine;
use super::state::Window;
use super::telling::{SERVICES_MAX, Tell};
use super::told_recurring::is_recurring;
use crate::inventory::{self, Condition, ElementId, Health, Lives, OnAccount};
use crate::model::alert::Cover;
use crate::model::outgoing::{NoticeFacts, NoticeKind, NoticeState, WaitsFor};
use crate::model::{Time, WindowId};
use crate::notices::plan::Matter;
use crate::sla::Contract;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What customers know of one piece of planned work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowTold {
    /// The window in force for it.
    pub window: WindowId,
    /// What its notices are called, like `MW-3`; the same over all changes.
    pub reference: String,
    /// From when, as told.
    pub from: Time,
    /// Until when, as told.
    pub until: Time,
    /// Elements, as told.
    pub elements: Vec<String>,
    /// Why, as told.
    pub reason: String,
    /// Whether its begin was told.
    pub started: bool,
}

impl Engine {
    /// A window was planned by a person; a sentence about those for whom it is told too late.
    pub(super) fn tell_planned(&mut self, id: WindowId) -> String {
        let Some(window) = self.state.windows.get(&id).cloned() else {
            return String::new();
        };
        self.plan_window(window_key(&window, 0), &window)
    }

    fn plan_window(&mut self, key: String, window: &Window) -> String {
        if !self.decisions.notices.is_on() {
            return String::new();
        }
        let told = WindowTold {
            window: window.id,
            reference: window.id.to_string(),
            from: window.from,
            until: window.until,
            elements: self.element_names(window),
            reason: window.reason.clone(),
            started: window.from <= self.state.now,
        };
        let kind = if told.started {
            NoticeKind::MaintenanceStarted
        } else {
            NoticeKind::MaintenancePlanned
        };
        let late = self.tell_window(&told, kind);
        self.keep_told(key, told);
        match late.as_slice() {
            [] => String::new(),
            late => format!("; told later than agreed with {}", late.join(", ")),
        }
    }

    pub(super) fn keep_told(&mut self, key: String, told: WindowTold) {
        self.save_thing("window_told", key.clone(), &told);
        self.state.telling.windows.insert(key, told);
    }

    fn forget_told(&mut self, key: &str) {
        self.state.telling.windows.remove(key);
        self.drop_thing("window_told", key.to_owned());
    }

    /// A carrier's notice came in place of an earlier one: what changed is told. `over`: the work is
    /// cancelled (`false`) or done (`true`).
    pub(super) fn tell_replanned(
        &mut self,
        name: &(String, String),
        windows: &[WindowId],
        over: Option<bool>,
    ) {
        let prefix = notice_prefix(name);
        let known: Vec<String> = self
            .state
            .telling
            .windows
            .keys()
            .filter(|key| key.starts_with(&prefix))
            .cloned()
            .collect();
        let mut left: Vec<String> = known;
        for (place, id) in windows.iter().enumerate() {
            let Some(window) = self.state.windows.get(id).cloned() else {
                continue;
            };
            let key = window_key(&window, place);
            left.retain(|other| *other != key);
            let elements = self.element_names(&window);
            let Some(mut told) = self.state.telling.windows.get(&key).cloned() else {
                self.plan_window(key, &window);
                continue;
            };
            let same =
                told.from == window.from && told.until == window.until && told.elements == elements;
            told.window = window.id;
            if !same {
                told.from = window.from;
                told.until = window.until;
                told.elements = elements;
                told.reason.clone_from(&window.reason);
                told.started = window.from <= self.state.now;
                self.tell_changed(&told);
            }
            self.keep_told(key, told);
        }
        for key in left {
            self.end_told(&key, over == Some(true));
        }
    }

    /// Work takes place at another time: who has not been told yet is told of the new time only.
    pub(super) fn tell_changed(&mut self, told: &WindowTold) {
        let unsent = self.drop_unsent(&told.reference);
        let kind = if unsent {
            NoticeKind::MaintenancePlanned
        } else {
            NoticeKind::MaintenanceChanged
        };
        self.tell_window(told, kind);
    }

    /// Whether a plan waited for its time and is not told any more.
    fn drop_unsent(&mut self, reference: &str) -> bool {
        let waits = |notice: &crate::model::outgoing::WantedNotice| {
            notice.facts.reference == reference
                && notice.kind == NoticeKind::MaintenancePlanned
                && notice.waits_for == Some(WaitsFor::LeadTime)
                && notice.state == NoticeState::Waiting
                && notice.attempts == 0
        };
        let any = self.state.telling.notices.values().any(waits);
        self.drop_notices("the plan changed", waits);
        any
    }

    /// A window begins.
    pub(super) fn tell_started(&mut self, id: WindowId) {
        let Some((key, mut told)) = self.told_of(id) else {
            return;
        };
        if told.started {
            return;
        }
        told.started = true;
        self.tell_window(&told, NoticeKind::MaintenanceStarted);
        self.keep_told(key, told);
    }

    /// A window is gone: it ended, or it never began.
    pub(super) fn tell_window_over(&mut self, id: WindowId) {
        if let Some((key, told)) = self.told_of(id) {
            let done = told.started || told.from <= self.state.now;
            self.end_told(&key, done);
        }
    }

    pub(super) fn end_told(&mut self, key: &str, done: bool) {
        let Some(told) = self.state.telling.windows.get(key).cloned() else {
            return;
        };
        self.forget_told(key);
        let unsent = self.drop_unsent(&told.reference);
        let kind = match done {
            true if self.still_bad(key, &told) => NoticeKind::MaintenanceOverrun,
            true => NoticeKind::MaintenanceEnded,
            // Nobody knew of it.
            false if unsent => return,
            false => NoticeKind::MaintenanceCancelled,
        };
        self.tell_window(&told, kind);
    }

    fn told_of(&self, id: WindowId) -> Option<(String, WindowTold)> {
        if let Some(found) = self.told_of_occurrence(id) {
            return Some(found);
        }
        let mut told = self.state.telling.windows.iter();
        told.find(|(key, told)| told.window == id && !is_recurring(key))
            .map(|(key, told)| (key.clone(), told.clone()))
    }

    /// Whether an alert that began in the window, and that it covered, still fires.
    fn still_bad(&self, key: &str, told: &WindowTold) -> bool {
        let alerts = self.state.alerts.values();
        let mut active = alerts.filter(|a| a.state.is_active() && a.fired_at >= told.from);
        if !is_recurring(key) {
            let cover = Cover::Window(told.window);
            return active.any(|alert| alert.covers.contains(&cover));
        }
        // An occurrence that moved was told under another number than its alerts name: what is planned
        // and fires there.
        let inventory = &self.decisions.inventory;
        let is_planned = |cover: &Cover| !matches!(cover, Cover::Silence(_));
        active.any(|alert| {
            let element = inventory.element(self.state.symbols.name(alert.element));
            let above = element.map_or(Vec::new(), |id| inventory.hangs_from(id));
            let mut names = above.iter().map(|id| inventory.element_name(*id));
            alert.covers.iter().any(is_planned)
                && names.any(|name| told.elements.iter().any(|told| told == name))
        })
    }

    fn element_names(&self, window: &Window) -> Vec<String> {
        let inventory = &self.decisions.inventory;
        self.planned_elements(window)
            .into_iter()
            .map(|id| inventory.element_name(id).to_owned())
            .collect()
    }

    /// Contracts that planned work touches, what it does to each, and which services.
    pub(super) fn touched(&self, elements: &[String]) -> Vec<(Arc<Contract>, OnAccount)> {
        let inventory = &self.decisions.inventory;
        let elements: Vec<ElementId> = elements
            .iter()
            .filter_map(|name| inventory.element(name))
            .collect();
        if elements.is_empty() {
            return Vec::new();
        }
        let mut health = Health::new(inventory);
        for element in &elements {
            health.set(inventory, *element, Condition::Down);
        }
        let lives = Lives {
            now: self.state.now,
            healthy: Some(&self.state.healthy),
        };
        let impact = health.impact(inventory, &elements, &lives);
        let effects = inventory::effects(inventory, &impact.hits);
        let mut touched: BTreeMap<String, (Arc<Contract>, OnAccount)> = BTreeMap::new();
        for (account, felt) in &effects {
            for contract in self.decisions.sla.contracts_of(account) {
                if !contract.accounts.contains(account) {
                    continue;
                }
                touched
                    .entry(contract.name.clone())
                    .and_modify(|known| known.1.unite(felt))
                    .or_insert_with(|| (contract.clone(), felt.clone()));
            }
        }
        touched.into_values().collect()
    }

    /// Tells everybody whom the work touches; contracts that are told later than agreed.
    pub(super) fn tell_window(&mut self, told: &WindowTold, kind: NoticeKind) -> Vec<String> {
        let plan = self.decisions.notices.clone();
        if !plan.mail {
            return Vec::new();
        }
        let sla = self.decisions.sla.clone();
        let now = self.state.now;
        let (mut late, mut nobody) = (Vec::new(), Vec::new());
        for (contract, felt) in self.touched(&told.elements) {
            let readers = plan.readers(&sla, &contract, Matter::Maintenance, |_| true);
            let planned = kind == NoticeKind::MaintenancePlanned;
            let (send_at, waits_for, short) = plan.lead_time(&contract, told.from, now);
            if planned && short {
                late.push(contract.name.clone());
            }
            let facts = NoticeFacts {
                reference: told.reference.clone(),
                contract: contract.name.clone(),
                accounts: contract.accounts.clone(),
                effect: Some(felt.effect),
                services: felt.services.into_iter().take(SERVICES_MAX).collect(),
                text: told.reason.clone(),
                at: now,
                since: Some(told.from),
                until: Some(told.until),
                short_notice: planned && short,
                ..NoticeFacts::default()
            };
            self.tell(&Tell {
                kind,
                incident: None,
                thread: told.reference.clone(),
                stage: format!("{}/{}/{}", contract.name, told.from.0, told.until.0),
                facts,
                readers: &readers.readers,
                send_at: planned.then_some((send_at, waits_for)),
            });
            nobody.extend(readers.nobody);
        }
        if matches!(kind, NoticeKind::MaintenancePlanned) {
            self.tell_unaddressed(None, &told.reference, &nobody);
        }
        late
    }

    /// Loads one row.
    pub(super) fn restore_window_told(&mut self, key: &str, told: WindowTold) {
        self.state.telling.windows.insert(key.to_owned(), told);
    }
}

fn notice_prefix(name: &(String, String)) -> String {
    format!("{}\u{1f}{}\u{1f}", name.0, name.1)
}

/// What stays the same while a carrier's notices replace one another: the maintenance and the place
/// of the window in it.
fn window_key(window: &Window, place: usize) -> String {
    match &window.notice {
        Some(name) => format!("{}{place}", notice_prefix(name)),
        None => window.id.to_string(),
    }
}
