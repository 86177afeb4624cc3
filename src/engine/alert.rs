//! What an event does to its alert: new, repeat, change, recovery, late word.

use super::Engine;
use super::correlate::{Judged, group_hash};
use super::state::Wake;
use crate::model::alert::{Alert, AlertState, AlertText, Weight};
use crate::model::event::{Event, EventState, SeverityHint, Suppressed};
use crate::model::identity::{AlertKey, ENCODING_VERSION};
use crate::model::input::Message;
use crate::model::reason::{Outcome, Reason};
use crate::model::{AlertId, IncidentId, IncidentState, Sym, Time};

impl Engine {
    /// Applies one event and names its outcome.
    pub(super) fn apply_event(
        &mut self,
        message: &Message,
        place: (u64, u32),
        event: &Event,
    ) -> Outcome {
        if event.test {
            return Outcome::Test;
        }
        let key = AlertKey::of(&message.scope, &event.identity);
        if let Some(outcome) = self.dead_man(key, message, event) {
            return outcome;
        }
        let outcome = self.apply_event_of(key, message, place, event);
        self.keep_secret(place.0, message, key);
        outcome
    }

    fn apply_event_of(
        &mut self,
        key: AlertKey,
        message: &Message,
        place: (u64, u32),
        event: &Event,
    ) -> Outcome {
        let known = self.state.by_key.get(&key).copied();
        if event.state == EventState::Info || event.suppressed.is_some() {
            self.note_info(known, event);
            // Monitors tell no recovery while an object flaps or is in maintenance: the notice
            // that this is over is all that says that the object is well.
            return match known {
                Some(id) if ends_notice(event) && says_well(event) => self.recovery(id, event),
                _ => Outcome::Info,
            };
        }
        self.note_delay(event);
        match (known, event.state) {
            (None, EventState::Resolved) => {
                self.keep_early(key, event);
                Outcome::OrphanRecovery
            }
            (None, _) => {
                let judged = self.judge(message, event);
                if judged.drop {
                    return Outcome::Filtered;
                }
                let id = self.new_alert(key, message, event, &judged);
                self.keep_text(id, message, place, event, judged.sensitive);
                let outcome = self.begin_firing(id, event, &judged, true);
                match self.early_end(key, event) {
                    Some(end) => self.recovery(id, &end),
                    None => outcome,
                }
            }
            (Some(id), EventState::Resolved) => self.recovery(id, event),
            (Some(id), _) => self.known_firing(id, message, place, event),
        }
    }

    fn note_delay(&mut self, event: &Event) {
        if let (EventState::Firing, Some(starts_at)) = (event.state, event.starts_at) {
            let delay = self.state.now.0.saturating_sub(starts_at.0);
            self.out.figures.push(super::Figure::DetectionDelay(delay));
        }
    }

    /// Flapping, downtime and unreachable notices change a flag; they never open or close.
    fn note_info(&mut self, known: Option<AlertId>, event: &Event) {
        let Some(id) = known else { return };
        let Some(alert) = self.state.alerts.get_mut(&id) else {
            return;
        };
        let over = ends_notice(event);
        alert.suppressed = event.suppressed.filter(|_| !over);
        if event.suppressed == Some(Suppressed::Flapping) {
            alert.flapping = !over;
        }
        alert.last_seen = self.state.now;
        let incident = alert.incident;
        self.state.dirty.alerts.insert(id);
        if let Some(incident) = incident.map(|i| self.state.survivor(i)) {
            let text = format!("Notice for {id}: {}", event.summary);
            self.state.tell(incident, Reason::Note, text);
            self.state.touch_incident(incident);
        }
    }

    fn new_alert(
        &mut self,
        key: AlertKey,
        message: &Message,
        event: &Event,
        judged: &Judged,
    ) -> AlertId {
        let now = self.state.now;
        let source = self.state.intern(&message.source);
        let site = self.state.intern(judged.site.as_str());
        let element = self.state.intern(&judged.element);
        self.add_alert(key, |id| Alert {
            source,
            site,
            element,
            condition: event
                .condition
                .as_deref()
                .map_or(0, |c| group_hash(&["condition", &message.scope, c])),
            hint: judged.hint,
            kind: judged.kind,
            sensitive: judged.sensitive,
            severity: judged.severity,
            ..Alert::unknown(id, key, now)
        })
    }

    /// Takes in an alert of a new identity, under the next number.
    pub(super) fn add_alert(
        &mut self,
        key: AlertKey,
        alert: impl FnOnce(AlertId) -> Alert,
    ) -> AlertId {
        self.state.scalars.next_alert += 1;
        self.state.dirty.scalars = true;
        let id = AlertId(self.state.scalars.next_alert);
        self.state.alerts.insert(id, Box::new(alert(id)));
        self.state.by_key.insert(key, id);
        id
    }

    fn keep_text(
        &mut self,
        id: AlertId,
        message: &Message,
        place: (u64, u32),
        event: &Event,
        sensitive: bool,
    ) {
        let text = AlertText {
            source: message.source.clone(),
            scope: message.scope.clone(),
            identity: event.identity.clone(),
            identity_version: ENCODING_VERSION,
            sender: message.sender.clone(),
            event_state: event.state,
            dedup_key: event.dedup_key.clone(),
            severity: event.severity.clone(),
            summary: event.summary.clone(),
            details: event.details.clone(),
            site: event.site.clone(),
            host: event.host.clone(),
            component: event.component.clone(),
            check: event.check.clone(),
            service: event.service.clone(),
            labels: event.labels.clone(),
            links: event.links.clone(),
            problems: event.problems.clone(),
            event: place,
            sensitive,
            account: message.account.clone(),
        };
        self.state.dirty.texts.insert(id, text);
        self.state.dirty.alerts.insert(id);
    }

    /// An alert that was not active fires: a new one, or one that had ended.
    fn begin_firing(&mut self, id: AlertId, event: &Event, judged: &Judged, new: bool) -> Outcome {
        let now = self.state.now;
        self.health_moved = true;
        let Some(alert) = self.state.alerts.get_mut(&id) else {
            return Outcome::Failed;
        };
        alert.state = if event.state == EventState::Acknowledged {
            AlertState::Acknowledged
        } else {
            AlertState::Firing
        };
        alert.fired_at = event.starts_at.filter(|at| *at <= now).unwrap_or(now);
        alert.resolved_at = None;
        alert.hint = judged.hint;
        alert.severity = judged.severity;
        alert.kind = judged.kind;
        self.note_event(id, event);
        self.cover(id, event, &judged.tags);
        self.join_element(id);
        self.begin_problem(id, event, judged, new)
    }

    /// An active alert is about a problem from now on; one that only informs has no incident.
    fn begin_problem(&mut self, id: AlertId, event: &Event, judged: &Judged, new: bool) -> Outcome {
        if judged.hint == SeverityHint::Info {
            return Outcome::Info;
        }
        let outcome = self.attach(id, event, judged, new);
        // Also where the alert went back to an incident, or into a storm.
        if let Some(incident) = self.state.alerts.get(&id).and_then(|a| a.incident) {
            self.tag_incident(incident, judged);
        }
        if event.state == EventState::Acknowledged
            && let Some(incident) = self.state.alerts.get(&id).and_then(|a| a.incident)
        {
            self.acknowledged_at_sender(incident, id);
        }
        outcome
    }

    /// Only information by its sender's own word: what was wrong is over, and it is no firing. The
    /// same episode may get worse again.
    fn only_informs(&mut self, id: AlertId, event: &Event) -> Outcome {
        let active = self.state.alerts.get(&id).map(|a| a.state.is_active());
        let outcome = if active == Some(true) {
            self.recovery(id, event)
        } else {
            Outcome::Info
        };
        if let Some(alert) = self.state.alerts.get_mut(&id) {
            alert.starts_at = None;
            alert.last_seen = self.state.now;
            self.state.dirty.alerts.insert(id);
        }
        outcome
    }

    /// Moves times, expiry and count with an event.
    fn note_event(&mut self, id: AlertId, event: &Event) {
        let now = self.state.now;
        let Some(alert) = self.state.alerts.get_mut(&id) else {
            return;
        };
        alert.starts_at = alert.starts_at.max(event.starts_at);
        alert.sent_at = alert.sent_at.max(event.sent_at);
        alert.last_seen = now;
        alert.count += 1;
        let old = alert.expires_at;
        let active = alert.state.is_active();
        alert.expires_at = if active {
            event.ends_at.filter(|at| *at > now)
        } else {
            None
        };
        let new = alert.expires_at;
        self.state.rewake(old, new, Wake::Stale(id));
        self.state.dirty.alerts.insert(id);
    }

    /// Whether an event speaks of an older time than what is known.
    fn is_late(&self, id: AlertId, event: &Event) -> bool {
        let Some(alert) = self.state.alerts.get(&id) else {
            return false;
        };
        let older = |new: Option<Time>, known: Option<Time>| matches!((new, known), (Some(new), Some(known)) if new < known);
        if older(event.sent_at, alert.sent_at) {
            return true;
        }
        if event.sent_at.is_some() && event.sent_at > alert.sent_at {
            return false;
        }
        if older(event.starts_at, alert.starts_at) {
            return true;
        }
        // A firing of the episode that has ended already, delivered again.
        !alert.state.is_active()
            && event.state != EventState::Resolved
            && event.starts_at.is_some()
            && event.starts_at <= alert.starts_at
            && event.sent_at <= alert.sent_at
    }

    fn known_firing(
        &mut self,
        id: AlertId,
        message: &Message,
        place: (u64, u32),
        event: &Event,
    ) -> Outcome {
        if self.is_late(id, event) {
            return Outcome::Late;
        }
        let judged = self.judge(message, event);
        if judged.drop {
            return Outcome::Filtered;
        }
        self.keep_text(id, message, place, event, judged.sensitive);
        let Some(alert) = self.state.alerts.get_mut(&id) else {
            return Outcome::Failed;
        };
        alert.sensitive |= judged.sensitive;
        let (was, was_weight) = (alert.state, alert.weight());
        let had_incident = alert.incident.is_some();
        if had_incident && judged.hint == SeverityHint::Info {
            return self.only_informs(id, event);
        }
        let new_start = event.starts_at > alert.starts_at && alert.starts_at.is_some();
        let element = self.state.symbols.name(alert.element).to_owned();
        if !was.is_active() {
            if element != judged.element {
                self.change_element(id, &judged.element);
            }
            return self.begin_firing(id, event, &judged, false);
        }
        self.note_event(id, event);
        if was == AlertState::Stale {
            self.no_longer_stale(id);
        }
        if element != judged.element {
            self.change_element(id, &judged.element);
        }
        if was_weight != judged.weight() {
            self.change_weight(id, judged.weight());
        }
        if !had_incident {
            // It only informed until now.
            self.cover(id, event, &judged.tags);
            return self.begin_problem(id, event, &judged, true);
        }
        let incident = self.state.alerts.get(&id).and_then(|a| a.incident);
        if let Some(incident) = incident {
            self.tag_incident(incident, &judged);
        }
        let changed = was_weight != judged.weight() || element != judged.element;
        if event.state == EventState::Acknowledged {
            if let Some(incident) = incident.filter(|_| changed) {
                self.evaluate_for(incident, id);
            }
            if was == AlertState::Acknowledged {
                return Outcome::Deduplicated;
            }
            if let Some(alert) = self.state.alerts.get_mut(&id) {
                alert.state = AlertState::Acknowledged;
            }
            if let Some(incident) = incident {
                self.acknowledged_at_sender(incident, id);
            }
            return Outcome::Acknowledged;
        }
        // A worse word breaks an acknowledgement; an equal or milder one does not.
        if was == AlertState::Acknowledged
            && worse(judged.hint, was_weight.hint)
            && let Some(alert) = self.state.alerts.get_mut(&id)
        {
            alert.state = AlertState::Firing;
        }
        if let Some(incident) = incident {
            if new_start {
                self.count_firing(incident);
            }
            if changed {
                self.evaluate_for(incident, id);
                return Outcome::Updated;
            }
        }
        Outcome::Deduplicated
    }

    fn acknowledged_at_sender(&mut self, incident: crate::model::IncidentId, id: AlertId) {
        let incident = self.state.survivor(incident);
        let now = self.state.now;
        let Some(entry) = self.state.incidents.get_mut(&incident) else {
            return;
        };
        let first = entry.acknowledged_at.is_none();
        entry.acknowledged_at.get_or_insert(now);
        entry.needs_triage = false;
        if first {
            self.decide(
                incident,
                Reason::Acknowledged,
                format!("{id} was acknowledged at the sender."),
            );
            self.sync_tickets(incident);
        }
    }

    fn recovery(&mut self, id: AlertId, event: &Event) -> Outcome {
        if self.is_late(id, event) {
            return Outcome::Late;
        }
        let now = self.state.now;
        let Some(alert) = self.state.alerts.get_mut(&id) else {
            return Outcome::Failed;
        };
        if !alert.state.is_active() {
            alert.sent_at = alert.sent_at.max(event.sent_at);
            return Outcome::Deduplicated;
        }
        alert.state = AlertState::Resolved;
        let ended = event
            .ends_at
            .filter(|at| *at <= now && *at >= alert.fired_at)
            .unwrap_or(now);
        alert.resolved_at = Some(ended);
        self.health_moved = true;
        let (incident, weight) = (alert.incident, alert.weight());
        self.note_event(id, event);
        self.leave_element(id);
        match incident.and_then(|id| self.live_incident(id)) {
            Some(incident) => {
                let outcome = self.member_ended(incident, id, weight, ended);
                self.sync_acknowledgement(incident, id);
                outcome
            }
            None => {
                self.forget_alert(id);
                Outcome::Resolved
            }
        }
    }

    /// An operator ends an alert although its sender never said so.
    pub(super) fn end_alert(&mut self, id: AlertId) -> Result<String, String> {
        let now = self.state.now;
        let alert = self
            .state
            .alerts
            .get_mut(&id)
            .ok_or_else(|| format!("no alert {id}"))?;
        if !alert.state.is_active() {
            return Err(format!("{id} has ended already"));
        }
        alert.state = AlertState::Resolved;
        alert.resolved_at = Some(now);
        self.health_moved = true;
        let (incident, weight) = (alert.incident, alert.weight());
        let expires = alert.expires_at.take();
        self.state.rewake(expires, None, Wake::Stale(id));
        self.state.dirty.alerts.insert(id);
        self.leave_element(id);
        match incident.and_then(|id| self.live_incident(id)) {
            Some(incident) => {
                self.member_ended(incident, id, weight, now);
            }
            None => self.forget_alert(id),
        }
        Ok(format!("{id} ended"))
    }

    /// Removes an alert that nothing refers to any more from memory. Its row stays.
    pub(super) fn forget_alert(&mut self, id: AlertId) {
        if let Some(alert) = self.state.alerts.remove(&id) {
            self.state.rewake(alert.expires_at, None, Wake::Stale(id));
            self.state.by_key.remove(&alert.key);
            if self.state.by_condition.get(&alert.condition) == Some(&id) {
                self.state.by_condition.remove(&alert.condition);
            }
            self.out.forgotten.push(alert.key);
            self.state.dirty.forgotten.insert(id, alert);
        }
    }

    /// The element's active alerts changed: health follows.
    pub(super) fn join_element(&mut self, id: AlertId) {
        let Some(element) = self.state.alerts.get(&id).map(|a| a.element) else {
            return;
        };
        if element != Sym(0) {
            self.state.by_element.entry(element).or_default().insert(id);
            self.refresh_health(element);
            self.review_vote(element);
        }
    }

    pub(super) fn leave_element(&mut self, id: AlertId) {
        let Some(element) = self.state.alerts.get(&id).map(|a| a.element) else {
            return;
        };
        if element == Sym(0) {
            return;
        }
        if let Some(alerts) = self.state.by_element.get_mut(&element) {
            alerts.remove(&id);
            if alerts.is_empty() {
                self.state.by_element.remove(&element);
            }
        }
        self.refresh_health(element);
        self.review_vote(element);
    }

    /// An alert resolves to another element: the inventory or its own words changed.
    pub(super) fn change_element(&mut self, id: AlertId, element: &str) {
        let Some(alert) = self.state.alerts.get(&id) else {
            return;
        };
        let (active, incident, old) = (alert.state.is_active(), alert.incident, alert.element);
        if active {
            self.leave_element(id);
        }
        let new = self.state.intern(element);
        if let Some(alert) = self.state.alerts.get_mut(&id) {
            alert.element = new;
        }
        self.state.dirty.alerts.insert(id);
        if active {
            self.join_element(id);
            if let Some(incident) = incident.map(|i| self.state.survivor(i)) {
                let tally = self.tallies.entry(incident).or_default();
                tally.remove_element(old);
                tally.add_element(new);
            }
        }
    }

    fn change_weight(&mut self, id: AlertId, new: Weight) {
        let Some(alert) = self.state.alerts.get_mut(&id) else {
            return;
        };
        let (old, element) = (alert.weight(), alert.element);
        (alert.hint, alert.severity) = (new.hint, new.severity);
        let incident = alert.incident;
        self.state.dirty.alerts.insert(id);
        if let Some(incident) = incident.map(|i| self.state.survivor(i)) {
            let tally = self.tallies.entry(incident).or_default();
            tally.change(old, new);
        }
        if element != Sym(0) {
            self.refresh_health(element);
        }
    }

    /// What stands for an incident, if that is not closed for good.
    fn live_incident(&self, id: IncidentId) -> Option<IncidentId> {
        let id = self.state.survivor(id);
        self.state.incidents.contains_key(&id).then_some(id)
    }

    /// The state of an incident, for outcomes.
    pub(super) fn incident_state(&self, id: crate::model::IncidentId) -> Option<IncidentState> {
        self.state.incidents.get(&id).map(|i| i.state)
    }
}

/// Whether one hint is worse than another; unknown counts as degradation.
fn worse(one: SeverityHint, other: SeverityHint) -> bool {
    rank(one) < rank(other)
}

pub(super) fn rank(hint: SeverityHint) -> u8 {
    match hint {
        SeverityHint::Outage => 0,
        SeverityHint::Degradation | SeverityHint::Unknown => 1,
        SeverityHint::Redundancy => 2,
        SeverityHint::Info => 3,
    }
}

/// Whether a notice says that flapping or maintenance is over, by the sender's own word.
fn ends_notice(event: &Event) -> bool {
    let word = event.labels.get("notification").or(event.severity.as_ref());
    matches!(
        word.map(String::as_str),
        Some(
            "FLAPPINGSTOP"
                | "FLAPPINGEND"
                | "FLAPPINGDISABLED"
                | "DOWNTIMEEND"
                | "DOWNTIMECANCELLED"
        )
    )
}

/// Whether the state that a notice names is a good one.
fn says_well(event: &Event) -> bool {
    matches!(event.severity.as_deref(), Some("OK" | "UP" | "ok"))
}
