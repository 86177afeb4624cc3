//! Ids are counters, so the replay has others than the recorded state as soon as anything differs.
//! What people and trackers did is carried over by what an incident is about: its alerts, whose
//! identities are the same on both sides; else its title.

use crate::engine::state::State;
use crate::model::alert::Alert;
use crate::model::incident::Incident;
use crate::model::reason::Reason;
use crate::model::{AlertId, AlertKey, IncidentId, TicketId, Time, WantedTicket};
use crate::store::sqlite::SqliteState;
use crate::store::{StateStore, StoreError, codec};
use std::collections::BTreeMap;

/// So many alerts of an incident are asked which incident they belong to.
const KEYS_MAX: usize = 100;
/// Rows read at once.
const ROWS: usize = 1000;

/// The recorded state, asked by id.
pub(super) struct Recorded<'a> {
    state: &'a SqliteState,
    incidents: BTreeMap<IncidentId, About>,
    by_remote: Option<BTreeMap<(String, String), TicketId>>,
}

/// What an incident is about.
#[derive(Clone)]
struct About {
    keys: Vec<AlertKey>,
    title: String,
    reason: Option<Reason>,
    opened_at: Time,
}

impl<'a> Recorded<'a> {
    /// Of a copy of the store's state.
    pub(super) fn new(state: &'a SqliteState) -> Recorded<'a> {
        Recorded {
            state,
            incidents: BTreeMap::new(),
            by_remote: None,
        }
    }

    /// The incident of `state` that a recorded one is.
    pub(super) fn incident(
        &mut self,
        state: &State,
        id: IncidentId,
    ) -> Result<Option<IncidentId>, StoreError> {
        let about = self.about(id)?;
        let mut votes: BTreeMap<IncidentId, usize> = BTreeMap::new();
        for key in &about.keys {
            let alert = state.by_key.get(key).and_then(|id| state.alerts.get(id));
            if let Some(incident) = alert.and_then(|alert| alert.incident) {
                let incident = state.survivor(incident);
                if state.incidents.contains_key(&incident) {
                    *votes.entry(incident).or_default() += 1;
                }
            }
        }
        // One that was merged into another later is told from that by its title.
        let most = votes.into_iter().max_by_key(|(id, count)| {
            let same = state.incidents.get(id).map(|i| i.title == about.title);
            (same, *count, std::cmp::Reverse(*id))
        });
        if let Some((found, _)) = most {
            return Ok(Some(found));
        }
        let alike = state.incidents.values().filter(|incident| {
            incident.title == about.title
                && about.reason == Some(incident.reason_word)
                && incident.merged_into.is_none()
        });
        let nearest = alike.min_by_key(|incident| incident.opened_at.0.abs_diff(about.opened_at.0));
        Ok(nearest.map(|incident| incident.id))
    }

    fn about(&mut self, id: IncidentId) -> Result<About, StoreError> {
        if let Some(about) = self.incidents.get(&id) {
            return Ok(about.clone());
        }
        let mut about = About {
            keys: Vec::new(),
            title: String::new(),
            reason: None,
            opened_at: Time(0),
        };
        let mut next = Some(id);
        // Alerts of a merged incident belong to the one it was merged into.
        for _ in 0..64 {
            let Some(body) = next
                .map(|id| self.state.incident(id))
                .transpose()?
                .flatten()
            else {
                break;
            };
            let incident: Incident = codec::decode(&body)?;
            if about.title.is_empty() {
                about.title.clone_from(&incident.title);
                about.reason = Some(incident.reason_word);
                about.opened_at = incident.opened_at;
            }
            for (body, _) in self.state.alerts_of(incident.id, None, KEYS_MAX)? {
                about.keys.push(codec::decode::<Alert>(&body)?.key);
            }
            next = incident.merged_into;
        }
        self.incidents.insert(id, about.clone());
        Ok(about)
    }

    /// The ticket of `state` that a recorded one is: of the same incident, by the same route, else
    /// in the same tracker, else the first.
    pub(super) fn ticket(
        &mut self,
        state: &State,
        id: TicketId,
    ) -> Result<Option<TicketId>, StoreError> {
        let Some(body) = self.state.ticket(id)? else {
            return Ok(None);
        };
        let recorded: WantedTicket = codec::decode(&body)?;
        let Some(incident) = self.incident(state, recorded.incident)? else {
            return Ok(None);
        };
        let tickets = state.tickets_of.get(&incident).into_iter().flatten();
        let tickets: Vec<&WantedTicket> = tickets
            .filter_map(|ticket| state.tickets.get(ticket))
            .filter(|ticket| ticket.contract == recorded.contract)
            .collect();
        let by = |is: &dyn Fn(&WantedTicket) -> bool| tickets.iter().find(|t| is(t)).copied();
        let found = by(&|t| t.route == recorded.route && t.tracker == recorded.tracker)
            .or_else(|| by(&|t| t.route == recorded.route))
            .or_else(|| by(&|t| t.tracker == recorded.tracker))
            .or_else(|| tickets.first().copied());
        Ok(found.map(|ticket| ticket.id))
    }

    /// The recorded ticket of a tracker's number.
    pub(super) fn by_remote(
        &mut self,
        tracker: &str,
        key: &str,
    ) -> Result<Option<TicketId>, StoreError> {
        if self.by_remote.is_none() {
            let mut known = BTreeMap::new();
            let mut before = None;
            loop {
                let page = self.state.tickets(before, ROWS)?;
                for body in &page {
                    let ticket: WantedTicket = codec::decode(body)?;
                    before = Some(ticket.id);
                    if let Some(remote) = ticket.remote {
                        known.insert((ticket.tracker, remote.key), ticket.id);
                    }
                }
                if page.len() < ROWS {
                    break;
                }
            }
            self.by_remote = Some(known);
        }
        let name = (tracker.to_owned(), key.to_owned());
        Ok(self
            .by_remote
            .as_ref()
            .and_then(|known| known.get(&name))
            .copied())
    }

    /// The alert of `state` that a recorded one is.
    pub(super) fn alert(&self, state: &State, id: AlertId) -> Result<Option<AlertId>, StoreError> {
        let Some((body, _)) = self.state.alert(id)? else {
            return Ok(None);
        };
        let alert: Alert = codec::decode(&body)?;
        Ok(state.by_key.get(&alert.key).copied())
    }
}
