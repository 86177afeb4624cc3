//! A person's acknowledgement goes back to the monitors that take it, for each alert that fires. It
//! is a wanted ticket at the monitor: intent, attempts and dead letters are those of tickets.

use super::ticketing::Wanted;
use super::{Engine, Route};
use crate::model::reason::Reason;
use crate::model::ticket::{TicketFields, TicketStatus, WantedTicket};
use crate::model::{AlertId, AlertState, IncidentId};

/// Most alerts of one incident that are acknowledged at their monitors.
const ALERTS_MAX: usize = 200;
/// The name of the route that such a ticket carries.
const ROUTE: &str = "acknowledge";

impl Engine {
    /// A person acknowledged the incident for the first time.
    pub(super) fn acknowledge_at_monitors(&mut self, id: IncidentId, author: &str) {
        if self.decisions.acknowledges.is_empty() {
            return;
        }
        let Some(incident) = self.state.incidents.get(&id).cloned() else {
            return;
        };
        // What only shadow routes know touches nothing outside.
        if self.tickets(id).all(|ticket| ticket.shadow) && self.tickets(id).next().is_some() {
            return;
        }
        let members = self.state.members.get(&id).cloned().unwrap_or_default();
        let firing = members.into_iter().filter_map(|alert| {
            let alert = self.state.alerts.get(&alert)?;
            let source = self.state.symbols.name(alert.source);
            let monitor = self.decisions.acknowledges.get(source)?;
            (alert.state == AlertState::Firing).then(|| (alert.id, monitor.clone()))
        });
        let firing: Vec<(AlertId, String)> = firing.take(ALERTS_MAX).collect();
        let route = Route {
            name: ROUTE.to_owned(),
            ..Route::desk()
        };
        for (alert, tracker) in firing {
            if self
                .acknowledgements(id)
                .any(|ticket| ticket.alert == Some(alert))
            {
                continue;
            }
            let wanted = Wanted {
                route: &route,
                tracker: &tracker,
                contract: None,
                alert: Some(alert),
                stands_in_for: None,
                language: "en".to_owned(),
                fields: TicketFields {
                    subject: format!("Acknowledged by {author}: {id}"),
                    status: TicketStatus::New,
                    severity: None,
                    queue: String::new(),
                },
            };
            self.want(&incident, wanted);
        }
    }

    /// Acknowledgements of an incident's alerts at their monitors.
    fn acknowledgements(&self, id: IncidentId) -> impl Iterator<Item = &WantedTicket> {
        let ids = self.state.tickets_of.get(&id).into_iter().flatten();
        ids.filter_map(|ticket| self.state.tickets.get(ticket))
            .filter(|ticket| ticket.alert.is_some())
    }

    /// Once the alert or the incident is over, the acknowledgement is as well.
    pub(super) fn acknowledgement_fields(
        &self,
        ticket: &WantedTicket,
        alert: AlertId,
    ) -> TicketFields {
        let alert = self.state.alerts.get(&alert);
        let fires = alert.is_some_and(|alert| alert.state.is_active());
        let incident = self.state.survivor(ticket.incident);
        let open = self
            .incident_state(incident)
            .is_some_and(|state| state.is_open());
        TicketFields {
            status: if fires && open {
                TicketStatus::New
            } else {
                TicketStatus::Resolved
            },
            ..ticket.wanted.clone()
        }
    }

    /// An alert that is acknowledged at its monitor ended.
    pub(super) fn sync_acknowledgement(&mut self, id: IncidentId, alert: AlertId) {
        if self
            .acknowledgements(id)
            .any(|ticket| ticket.alert == Some(alert))
        {
            self.sync_tickets(id);
        }
    }

    /// The monitor cannot say that the condition ended, since its acknowledgement silences it.
    pub(super) fn condition_ended(&mut self, id: IncidentId, alert: AlertId) {
        let text = format!("{alert} is gone at its monitor, which is silenced.");
        if self.end_alert(alert).is_ok() {
            self.decide(id, Reason::AlertResolved, text);
        }
    }
}
