//! Which incident an alert belongs to, and what rules and inventory say about an event.
//!
//! In order: the incident it was in, one on the same element, the one whose root explains it, one
//! of a member of the same group, one on the same host or group key. When a root speaks later
//! than its effects, the incidents merge.

use super::{Decisions, Engine};
use crate::inventory::{ElementId, Inventory, Query, Resolution, beside};
use crate::model::alert::{AlertText, Weight};
use crate::model::event::{ComponentKind, Event, SeverityHint};
use crate::model::input::Message;
use crate::model::reason::Reason;
use crate::model::{Alert, AlertId, IncidentId, Severity, Sym, hash_of_parts};
use crate::rules::{Facts, Matcher, tagged};
use std::collections::BTreeSet;
use std::time::Duration;

/// Most nodes walked for the accounts of an element.
const SERVED_WALK_MAX: usize = 10_000;

/// What rules and inventory say about an event.
#[derive(Clone, Debug, Default)]
pub(super) struct Judged {
    /// The hint, after rules.
    pub hint: SeverityHint,
    /// The severity that a rule gives it.
    pub severity: Option<Severity>,
    /// The kind, after rules.
    pub kind: Option<ComponentKind>,
    /// The element's name; empty: none.
    pub element: String,
    /// How the element was found, for people.
    pub how: String,
    /// The site, by the event or the inventory.
    pub site: String,
    /// What alerts without an element are grouped by.
    pub group: Option<u64>,
    /// The host's group key: several alerts about one host.
    pub host: Option<u64>,
    /// The whole host is meant.
    pub whole_host: bool,
    /// A rule's hold.
    pub hold: Option<Duration>,
    /// A rule's route.
    pub route: Option<String>,
    /// Tags of rules.
    pub tags: Vec<String>,
    /// A rule drops it.
    pub drop: bool,
    /// Its content must not leave the bridge.
    pub sensitive: bool,
    /// The rule by which it concerns security.
    pub security: Option<String>,
}

impl Judged {
    /// What it says of how bad it is.
    pub(super) const fn weight(&self) -> Weight {
        Weight {
            hint: self.hint,
            severity: self.severity,
        }
    }
}

/// The element that an alert's newest event resolves to; empty: none. For alerts that are open
/// when rules or inventory change.
pub fn element_of(decisions: &Decisions, text: &AlertText, kind: Option<ComponentKind>) -> String {
    let mut event = Event::new(
        text.event_state,
        text.identity.clone(),
        text.summary.clone(),
    );
    event.dedup_key.clone_from(&text.dedup_key);
    event.severity.clone_from(&text.severity);
    event.details.clone_from(&text.details);
    event.site.clone_from(&text.site);
    event.host.clone_from(&text.host);
    event.component.clone_from(&text.component);
    event.component_kind = kind;
    event.check.clone_from(&text.check);
    event.service.clone_from(&text.service);
    event.labels.clone_from(&text.labels);
    let facts = Facts {
        source: &text.source,
        sender: &text.sender,
        event: &event,
    };
    let ruled = decisions.rules.evaluate(&facts);
    let found = resolve(decisions, &event, kind, ruled.element.as_deref()).element;
    let account = text.account.as_deref();
    found
        .filter(|id| account.is_none_or(|account| belongs_to(&decisions.inventory, *id, account)))
        .map_or_else(String::new, |id| {
            decisions.inventory.element_name(id).to_owned()
        })
}

/// Whether an element serves this account and no other: a source that is bound to an account may
/// raise and clear only what is its own.
pub(super) fn belongs_to(inventory: &Inventory, element: ElementId, account: &str) -> bool {
    let (_, accounts) = inventory.served_by(element, SERVED_WALK_MAX);
    !accounts.is_empty() && accounts.iter().all(|of| *of == account)
}

fn resolve(
    decisions: &Decisions,
    event: &Event,
    kind: Option<ComponentKind>,
    named: Option<&str>,
) -> Resolution {
    let query = Query {
        site: event.site.as_deref(),
        host: event.host.as_deref(),
        component: event.component.as_deref(),
        component_kind: kind,
        check: event.check.as_deref(),
        service: event.service.as_deref(),
        labels: &event.labels,
    };
    match named {
        Some(name) => decisions.inventory.resolve_name(name),
        None => decisions.inventory.resolve(&query),
    }
}

impl Engine {
    /// Asks rules and inventory about an event.
    pub(super) fn judge(&self, message: &Message, event: &Event) -> Judged {
        let facts = Facts {
            source: &message.source,
            sender: &message.sender,
            event,
        };
        let ruled = self.decisions.rules.evaluate(&facts);
        let kind = ruled.component_kind.or(event.component_kind);
        let mut resolution = resolve(&self.decisions, event, kind, ruled.element.as_deref());
        let mut element = self.element_name(&resolution);
        let hint = ruled.hint.unwrap_or(event.severity_hint);
        let account = message.account.as_deref();
        if let (Some(account), Some(id)) = (account, resolution.element)
            && !belongs_to(&self.decisions.inventory, id, account)
        {
            resolution.how = format!("{element} is not {account}'s alone: its word does not count");
            element = String::new();
        }
        let host = event.host.as_deref().unwrap_or("").to_lowercase();
        let inventory = &self.decisions.inventory;
        let known = resolution.element.filter(|_| !element.is_empty());
        let site = match (event.site.as_deref(), known) {
            (None | Some(""), Some(id)) => inventory.site_of(id).to_owned(),
            (site, _) => site.unwrap_or_default().to_owned(),
        };
        let mut judged = Judged {
            hint,
            severity: ruled.severity,
            kind,
            element,
            how: resolution.how,
            site,
            group: ruled
                .group
                .as_deref()
                .map(|key| group_hash(&["rule", key, account.unwrap_or("")])),
            host: (!host.is_empty()).then(|| group_hash(&["host", &host, account.unwrap_or("")])),
            whole_host: kind == Some(ComponentKind::Device),
            hold: ruled.hold,
            route: ruled.route,
            tags: ruled.tags,
            drop: ruled.drop,
            sensitive: ruled.sensitive || message.sensitive,
            security: ruled.security,
        };
        if judged.group.is_none() && judged.element.is_empty() {
            judged.group = self.route_group(message, event, &facts, &judged.tags);
        }
        judged
    }

    fn element_name(&self, resolution: &Resolution) -> String {
        match resolution.element {
            Some(id) => self.decisions.inventory.element_name(id).to_owned(),
            None => String::new(),
        }
    }

    /// The group key of the first matching route with `group_by`.
    fn route_group(
        &self,
        message: &Message,
        event: &Event,
        facts: &Facts,
        tags: &[String],
    ) -> Option<u64> {
        let several = tagged(facts, tags);
        let takes = |matcher: &Matcher| matcher.matches_with(facts, &several);
        let mut routes = self.decisions.routes.iter();
        let route = routes.find(|route| route.matcher.as_ref().is_none_or(takes))?;
        if route.group_by.is_empty() {
            return None;
        }
        let account = message.account.as_deref().unwrap_or("");
        let mut parts = vec![
            "route",
            route.name.as_str(),
            message.scope.as_str(),
            account,
        ];
        for name in &route.group_by {
            parts.push(name);
            parts.push(match name.as_str() {
                "source" => &message.source,
                "site" => event.site.as_deref().unwrap_or(""),
                "host" => event.host.as_deref().unwrap_or(""),
                "component" => event.component.as_deref().unwrap_or(""),
                "check" => event.check.as_deref().unwrap_or(""),
                "service" => event.service.as_deref().unwrap_or(""),
                label => event.labels.get(label).map_or("", String::as_str),
            });
        }
        Some(group_hash(&parts))
    }

    /// The open incident that an alert belongs to, with the reason.
    pub(super) fn find_incident(
        &self,
        id: AlertId,
        judged: &Judged,
    ) -> Option<(IncidentId, Reason)> {
        let alert = self.state.alerts.get(&id)?;
        if alert.element != Sym(0) {
            return self.find_by_element(alert);
        }
        if let Some(group) = judged.group
            && let Some(incident) = self.open_group(group)
        {
            return Some((incident, Reason::GroupBy));
        }
        // A host that is down explains the alerts about its parts; two monitors that report one
        // host report one problem.
        let host = judged.host?;
        let incident = self.open_group(host)?;
        let whole = self
            .state
            .incidents
            .get(&incident)
            .is_some_and(|i| i.group == Some(host));
        whole.then_some((incident, Reason::ExplainedByRoot))
    }

    pub(super) fn open_group(&self, group: u64) -> Option<IncidentId> {
        let incident = self.state.survivor(*self.state.by_group.get(&group)?);
        self.state
            .incidents
            .get(&incident)
            .filter(|i| i.state.is_open())
            .map(|i| i.id)
    }

    fn find_by_element(&self, alert: &Alert) -> Option<(IncidentId, Reason)> {
        let element = alert.element;
        if let Some(incident) = self.incident_on(element) {
            return Some((incident, Reason::SameElement));
        }
        let inventory = &self.decisions.inventory;
        let id = inventory.element(self.state.symbols.name(element))?;
        for root in self.health.roots_of(inventory, id) {
            if let Some(sym) = self.state.symbols.get(inventory.element_name(root))
                && let Some(incident) = self.incident_on(sym)
            {
                return Some((incident, Reason::ExplainedByRoot));
            }
        }
        for member in self.members_behind(id, alert.hint) {
            if let Some(sym) = self.state.symbols.get(inventory.element_name(member))
                && let Some(incident) = self.incident_on(sym)
            {
                return Some((incident, Reason::ExplainedByRoot));
            }
        }
        for mate in self.health.mates_of(inventory, id) {
            if let Some(sym) = self.state.symbols.get(inventory.element_name(mate))
                && let Some(incident) = self.incident_on(sym)
            {
                return Some((incident, Reason::SameGroup));
            }
        }
        self.reported_on(id)
            .map(|incident| (incident, Reason::Reported))
    }

    /// Failed parts that an alert about lost redundancy or worse work speaks of.
    fn members_behind(&self, element: ElementId, hint: SeverityHint) -> Vec<ElementId> {
        match hint {
            SeverityHint::Redundancy | SeverityHint::Degradation => {
                let of_redundancy = hint == SeverityHint::Redundancy;
                let inventory = &self.decisions.inventory;
                self.health
                    .members_behind(inventory, element, of_redundancy)
            }
            _ => Vec::new(),
        }
    }

    /// The open incident that a customer reported on a service that this element carries.
    fn reported_on(&self, element: ElementId) -> Option<IncidentId> {
        if self.state.reported.is_empty() {
            return None;
        }
        let (services, _) = self.decisions.inventory.served_by(element, SERVED_WALK_MAX);
        let reported = self.state.reported.iter().copied();
        reported.into_iter().find(|id| {
            let entry = self.state.incidents.get(id);
            entry.is_some_and(|i| {
                i.state.is_open() && i.services.iter().any(|s| services.contains(&s.as_str()))
            })
        })
    }

    /// The open incident of an active alert on an element.
    fn incident_on(&self, element: Sym) -> Option<IncidentId> {
        let alerts = self.state.by_element.get(&element)?;
        alerts.iter().find_map(|alert| {
            let incident = self.state.survivor(self.state.alerts.get(alert)?.incident?);
            self.state
                .incidents
                .get(&incident)
                .filter(|i| i.state.is_open())
                .map(|i| i.id)
        })
    }

    /// Active alerts that an alert explains: their elements depend on its element or are part of
    /// it, or they are about parts of the host that is down.
    pub(super) fn explained_by(&self, id: AlertId, judged: &Judged) -> Vec<AlertId> {
        let Some(alert) = self.state.alerts.get(&id) else {
            return Vec::new();
        };
        let inventory = &self.decisions.inventory;
        if let Some(element) = inventory.element(self.state.symbols.name(alert.element)) {
            if !self.health.is_down(element) || !inventory.has_effects(element) {
                return Vec::new();
            }
            let alerts_on = |e: ElementId| {
                let sym = self.state.symbols.get(inventory.element_name(e));
                let alerts = sym.and_then(|sym| self.state.by_element.get(&sym));
                alerts.into_iter().flatten().copied()
            };
            let effects = self.health.explained_by(inventory, element).into_iter();
            let mut found: Vec<AlertId> = effects.flat_map(alerts_on).collect();
            for head in self.health.heads_of(inventory, element) {
                found.extend(alerts_on(head).filter(|id| {
                    let hint = self.state.alerts.get(id).map(|a| a.hint);
                    let hint = hint.unwrap_or(SeverityHint::Unknown);
                    hint == SeverityHint::Redundancy
                        || hint == SeverityHint::Degradation && beside(inventory, element, head)
                }));
            }
            return found;
        }
        let host = judged
            .host
            .filter(|_| judged.whole_host && judged.hint == SeverityHint::Outage);
        let incidents = host.and_then(|host| self.state.by_host.get(&host));
        let own = alert.incident.map(|i| self.state.survivor(i));
        let survivors: BTreeSet<IncidentId> = incidents
            .into_iter()
            .flatten()
            .map(|i| self.state.survivor(*i))
            // Which alerts of a storm are about the host is not known here.
            .filter(|i| Some(*i) != own && self.state.incidents.get(i).is_some_and(|i| !i.storm))
            .collect();
        let first = |i: IncidentId| {
            let members = self.state.members.get(&i)?;
            let active = |a: &&AlertId| {
                let alert = self.state.alerts.get(a);
                alert.is_some_and(|a| a.state.is_active())
            };
            members.iter().find(active).copied()
        };
        survivors.into_iter().filter_map(first).collect()
    }
}

/// A group key: the first 8 bytes of SHA-256 over the parts with their lengths.
pub(super) fn group_hash(parts: &[&str]) -> u64 {
    hash_of_parts(parts.iter().copied())
        .iter()
        .take(8)
        .fold(0, |key, byte| (key << 8) | u64::from(*byte))
}
