//! What a ticket remembers of its incident, for the day on which the store is lost
//! (`alertbridge restore --from-trackers`).

use super::Worker;
use crate::model::alert::Alert;
use crate::model::incident::Incident;
use crate::model::memory::{ALERTS_MAX, About, NAMES_MAX, RememberedAlert, TicketMemory};
use crate::model::ticket::WantedTicket;
use crate::store::{StateStore, StoreError, codec};

/// Characters of the generation that tell one installation's numbers from another's.
const GENERATION_CHARS: usize = 8;

impl Worker {
    /// The line for a ticket's text; empty where nobody can list the tickets.
    pub(super) fn memory(&self, ticket: &WantedTicket) -> Result<String, StoreError> {
        if !self.tracker.capabilities().lists_open || ticket.alert.is_some() || ticket.shadow {
            return Ok(String::new());
        }
        let Some(body) = self.state.incident(ticket.incident)? else {
            return Ok(String::new());
        };
        let incident: Incident = codec::decode(&body)?;
        let about = match ticket.contract {
            // A customer reads it: nothing of others stands there.
            Some(_) => None,
            None => Some(about(self.state.as_ref(), &incident)?),
        };
        let generation = self.state.thing("installation", "generation")?;
        let generation: String = match generation {
            Some(bytes) => codec::decode(&bytes)?,
            None => String::new(),
        };
        let memory = TicketMemory {
            generation: generation.chars().take(GENERATION_CHARS).collect(),
            incident: incident.id.0,
            route: ticket.route.clone(),
            cycle: ticket.cycle,
            contract: ticket.contract.clone(),
            category: incident.category,
            severity: incident.severity,
            basis: incident.basis,
            opened_at: incident.opened_at,
            sensitive: incident.sensitive,
            about,
        };
        Ok(memory.line())
    }
}

fn about(state: &dyn StateStore, incident: &Incident) -> Result<About, StoreError> {
    let some = |names: &[String]| names.iter().take(NAMES_MAX).cloned().collect();
    let mut about = About {
        group: incident.group,
        hosts: incident.hosts.iter().take(NAMES_MAX).copied().collect(),
        ..About::default()
    };
    if !incident.sensitive {
        about.source = state.symbol(incident.source)?;
        about.root = state.symbol(incident.root)?;
        about.reported_by = some(&incident.reported_by);
        if incident.reported {
            about.services = some(&incident.services);
        }
    }
    for (body, _) in state.alerts_of(incident.id, None, ALERTS_MAX)? {
        let alert: Alert = codec::decode(&body)?;
        if !alert.state.is_active() {
            continue;
        }
        let open = !incident.sensitive && !alert.sensitive;
        let name = |sym| match open {
            true => state.symbol(sym),
            false => Ok(String::new()),
        };
        about.alerts.push(RememberedAlert {
            key: alert.key,
            source: name(alert.source)?,
            element: name(alert.element)?,
            hint: alert.hint,
            severity: alert.severity,
            kind: alert.kind,
        });
    }
    Ok(about)
}
