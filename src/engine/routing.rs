//! Where an incident's tickets go: the routes that match, and those that stand in for one whose
//! tracker cannot be written.

use super::correlate::Judged;
use super::ticketing::Wanted;
use super::{Engine, Route};
use crate::model::incident::{Incident, IncidentState};
use crate::model::reason::Reason;
use crate::model::severity::Severity;
use crate::model::text::bounded;
use crate::model::ticket::WantedTicket;
use crate::model::{IncidentId, TicketId};
use crate::rules::{Facts, Matcher, TAG};

/// Longest value of an alert that is kept for routes, bytes.
const TOLD_BYTES_MAX: usize = 256;

/// Fields of an incident that routes can ask for.
const OF_INCIDENT: [&str; 11] = [
    "account", "basis", "category", "element", "service", "severity", "site", "source", TAG,
    "title", "topic",
];

/// Whether a field is one of the alerts: where it is, or a label.
fn is_of_alert(field: &str) -> bool {
    matches!(field, "host" | "component" | "check") || field.starts_with("labels.")
}

/// Fields of which all values are known.
const WORDS: [(&str, &[&str]); 3] = [
    ("severity", &["S1", "S2", "S3", "S4", "S5"]),
    ("category", &["incident", "provisioning", "inquiry"]),
    ("basis", &["rule", "inventory", "person"]),
];

/// Refuses a condition on what no incident has; the error is a sentence.
pub fn routes_can_ask(matcher: &Matcher) -> Result<(), String> {
    if let Some(field) = matcher
        .fields()
        .find(|f| !OF_INCIDENT.contains(f) && !is_of_alert(f))
    {
        return Err(format!(
            "`{field}` is nothing that a route can ask for; there are {}, host, component, check, \
             and labels.NAME for what senders call labels or tags",
            OF_INCIDENT.join(", ")
        ));
    }
    for (field, values) in WORDS {
        if let Some(wanted) = matcher.never_met(field, values) {
            return Err(format!(
                "no incident has a {field} that is {wanted}; there are {}",
                values.join(", ")
            ));
        }
    }
    Ok(())
}

impl Engine {
    /// The routes by which the incident's tickets were opened; those are kept for its life. Without
    /// a ticket, the routes that match now.
    pub(super) fn routes_of(&self, incident: &Incident) -> Vec<Route> {
        let opened: Vec<Route> = self
            .decisions
            .routes
            .iter()
            .filter(|route| self.has_ticket(incident.id, &route.name, None))
            .cloned()
            .collect();
        if opened.is_empty() {
            self.routes_for(incident)
        } else {
            opened
        }
    }

    /// The routes of an incident: those it names, else the first that match.
    pub(super) fn routes_for(&self, incident: &Incident) -> Vec<Route> {
        let named: Vec<Route> = self
            .decisions
            .routes
            .iter()
            .filter(|route| incident.routes.contains(&route.name))
            .cloned()
            .collect();
        if !named.is_empty() {
            return named;
        }
        let mut routes = Vec::new();
        for route in &self.decisions.routes {
            let takes = route.severities.is_empty()
                || incident
                    .severity
                    .is_some_and(|s| route.severities.contains(&s));
            if takes && self.route_matches(route, incident) {
                routes.push(route.clone());
                if !route.further {
                    break;
                }
            }
        }
        if routes.is_empty() {
            routes.push(Route::desk());
        }
        routes
    }

    /// What the routes' conditions ask of an event, with its value; nothing is kept of the rest.
    pub(super) fn told_to_routes(&self, facts: &Facts<'_>) -> Vec<(String, String)> {
        let mut told: Vec<(String, String)> = Vec::new();
        let matchers = self
            .decisions
            .routes
            .iter()
            .filter_map(|r| r.matcher.as_ref());
        for field in matchers
            .flat_map(Matcher::fields)
            .filter(|f| is_of_alert(f))
        {
            let value = bounded(facts.field(field), TOLD_BYTES_MAX);
            if !value.is_empty() && told.iter().all(|(known, _)| known != field) {
                told.push((field.to_owned(), value));
            }
        }
        told
    }

    /// An incident remembers what its alerts said of what routes ask.
    pub(super) fn remember_told(&mut self, id: IncidentId, judged: &Judged) {
        let id = self.state.survivor(id);
        if let Some(entry) = self.state.incidents.get_mut(&id) {
            for (field, value) in &judged.told {
                entry.is_told(field, value);
            }
        }
    }

    /// Whether the incident, or what its alerts said, is what the route asks for; any of several
    /// values will do.
    fn route_matches(&self, route: &Route, incident: &Incident) -> bool {
        let Some(matcher) = &route.matcher else {
            return true;
        };
        let mut fields = vec![
            (
                "source",
                self.state.symbols.name(incident.source).to_owned(),
            ),
            (
                "severity",
                incident.severity.map_or(String::new(), |s| s.to_string()),
            ),
            ("element", self.state.symbols.name(incident.root).to_owned()),
            ("title", incident.title.clone()),
            ("category", incident.category.word().to_owned()),
            ("topic", incident.topic.clone()),
            ("basis", incident.basis.word().to_owned()),
        ];
        let sites = incident.sites.iter();
        fields.extend(sites.map(|site| ("site", self.state.symbols.name(*site).to_owned())));
        let accounts = incident.accounts.iter().chain(&incident.reported_by);
        fields.extend(accounts.map(|account| ("account", account.clone())));
        let tags = incident.tags.iter();
        fields.extend(tags.map(|tag| (TAG, tag.clone())));
        fields.extend(incident.services.iter().map(|id| ("service", id.clone())));
        let told = incident.told.iter();
        fields.extend(told.map(|(field, value)| (field.as_str(), value.clone())));
        matcher.matches_fields(&fields)
    }

    /// The incident got worse: routes with `continue` that match only now open their tickets as
    /// well. Those that are open stay; another route never takes their place.
    pub(super) fn want_further(&mut self, id: IncidentId) {
        let further = |route: &Route| route.further;
        let Some(incident) = self.state.incidents.get(&id) else {
            return;
        };
        if self.state.held_back.contains(&id) {
            return;
        }
        if incident.state != IncidentState::Open || !self.decisions.routes.iter().any(further) {
            return;
        }
        let incident = incident.clone();
        for route in self.routes_for(&incident) {
            let known = self.has_ticket(id, &route.name, None);
            if route.further && !known {
                self.count_tickets(1);
                self.want_ticket(&incident, &route);
            }
        }
    }

    /// A ticket could not be written, or its tracker has been down for too long: another route takes
    /// it meanwhile. The tracker that is down: S1 and S2 by the fallback that the route names. A
    /// dead letter: whatever the severity, by that fallback or else by the next route.
    pub(super) fn fall_back(&mut self, id: TicketId) {
        let Some(ticket) = self.state.tickets.get(&id) else {
            return;
        };
        let of_incident = ticket.contract.is_none() && ticket.alert.is_none();
        let dead = match &ticket.trouble {
            Some(trouble) if ticket.remote.is_none() && of_incident => trouble.dead,
            _ => return,
        };
        let Some(incident) = self.state.incidents.get(&ticket.incident).cloned() else {
            return;
        };
        let urgent = matches!(incident.severity, Some(Severity::S1 | Severity::S2));
        let Some(fallback) = self.stand_in(ticket, &incident, dead) else {
            return;
        };
        let taken = self.has_ticket(incident.id, &fallback.name, None);
        if !(urgent || dead) || taken || !incident.state.is_open() {
            return;
        }
        let why = if dead {
            "takes it not"
        } else {
            "does not answer"
        };
        let text = format!(
            "{} {why}: route {} takes it.",
            ticket.tracker, fallback.name
        );
        self.decide(incident.id, Reason::Fallback, text);
        let wanted = Wanted {
            route: &fallback,
            tracker: &fallback.tracker,
            contract: None,
            alert: None,
            stands_in_for: Some(id),
            language: fallback.language.clone(),
            fields: self.operations_fields(&incident, &fallback.queue),
        };
        self.want(&incident, wanted);
    }

    /// The route that takes a ticket's place.
    fn stand_in(&self, ticket: &WantedTicket, incident: &Incident, dead: bool) -> Option<Route> {
        let routes = &self.decisions.routes;
        let place = routes.iter().position(|route| route.name == ticket.route)?;
        let named = &routes.get(place)?.fallback;
        if let Some(named) = routes.iter().find(|route| route.name == *named) {
            return Some(named.clone());
        }
        let mut later = routes.iter().skip(place + 1);
        later
            .find(|route| route.tracker != ticket.tracker && self.route_matches(route, incident))
            .filter(|_| dead)
            .cloned()
    }

    /// Whether the ticket that it stands in for exists after all.
    pub(super) fn is_replaced(&self, ticket: &WantedTicket) -> bool {
        let first = ticket
            .stands_in_for
            .and_then(|id| self.state.tickets.get(&id));
        first.is_some_and(|first| first.remote.is_some())
    }

    /// A ticket came to be after all: what stood in for it says so and ends, so that one is left.
    pub(super) fn take_over(&mut self, ticket: &WantedTicket) {
        let stands_in = |other: &&WantedTicket| other.stands_in_for == Some(ticket.id);
        let Some(other) = self.tickets(ticket.incident).find(stands_in) else {
            return;
        };
        let key = ticket
            .remote
            .as_ref()
            .map_or("", |remote| remote.key.as_str());
        let text = format!("Goes on in ticket {key} in {}.", ticket.tracker);
        let (id, tracker) = (other.id, other.tracker.clone());
        self.note_ticket(id, &text, false);
        let text = format!("{text} The one in {tracker} is closed.");
        self.decide(ticket.incident, Reason::TwinClosed, text);
        self.sync_tickets(ticket.incident);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::model::severity::{Basis, Category};

    #[test]
    fn what_no_incident_can_be_is_no_condition_of_a_route() {
        let asked = |text: &str| routes_can_ask(&Matcher::parse(text).unwrap());
        for good in [
            "severity=S1",
            "severity=~S[1-3]",
            "severity!=S5",
            "category=provisioning",
            "basis~inv*",
            "site=S9",
        ] {
            assert_eq!(asked(good), Ok(()), "{good}");
        }
        for (wrong, told) in [
            (
                "severity=S9",
                "no incident has a severity that is `S9`; there are S1, S2",
            ),
            ("severity=critical", "`critical`"),
            ("severity=~s[12]", "like `s[12]`"),
            (
                "category=incidents",
                "there are incident, provisioning, inquiry",
            ),
            ("basis=monitor", "there are rule, inventory, person"),
            ("hots=a", "`hots` is nothing that a route can ask for"),
        ] {
            let error = asked(wrong).unwrap_err();
            assert!(error.contains(told), "{wrong}: {error}");
        }
    }

    #[test]
    fn the_words_are_those_of_the_types() {
        let severities = Severity::ALL.map(|severity| severity.to_string());
        let categories = [
            Category::Incident,
            Category::Provisioning,
            Category::Inquiry,
        ];
        let bases = [Basis::Rule, Basis::Inventory, Basis::Person];
        assert_eq!(WORDS[0].1, severities);
        assert_eq!(WORDS[1].1, categories.map(Category::word));
        assert_eq!(WORDS[2].1, bases.map(Basis::word));
    }
}
