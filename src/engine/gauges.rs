//! How things stand, for the metrics: counted from the state when asked, not kept.

use super::Engine;
use crate::limits;
use crate::model::incident::IncidentState;
use crate::model::outgoing::NoticeState;
use crate::model::{Category, IncidentId, Time};
use std::collections::BTreeMap;

/// How things stand.
#[derive(Clone, Debug, Default)]
pub struct Gauges {
    /// Incidents that are not closed, by category, `sev` and state (`new`, `in_progress`,
    /// `waiting_customer`, `resolved`).
    pub incidents: BTreeMap<(Category, &'static str, &'static str), u64>,
    /// When the oldest open one of each category was opened: what is owed no clock has an age.
    pub oldest: BTreeMap<Category, Time>,
    /// Incidents whose impact is not known and that nobody has looked at.
    pub needs_triage: u64,
    /// When the oldest of them was opened.
    pub oldest_triage: Option<Time>,
    /// Alerts that are active.
    pub alerts_active: u64,
    /// Tickets with something to do, by tracker: how many, and since when.
    pub outbox: BTreeMap<String, (u64, Time)>,
    /// Notices that should be out: how many, and since when the oldest.
    pub notices: (u64, Option<Time>),
    /// Notices that were given up.
    pub notices_dead: u64,
    /// Calls that nobody has answered.
    pub calls: u64,
    /// Tickets that were given up, by tracker.
    pub dead: BTreeMap<String, u64>,
    /// Sources: their last message, 0 if there was none.
    pub sources: BTreeMap<String, Time>,
    /// Silences in force.
    pub silences: u64,
    /// Maintenance windows planned or in force.
    pub windows: u64,
    /// Open clocks by policy, target, `sev` and state (`running`, `at_risk`, `breached`,
    /// `paused`).
    pub clocks: BTreeMap<(String, &'static str, u8, &'static str), u64>,
    /// The earliest due instant of running clocks, by target and `sev`, seconds since 1970.
    pub next_due: BTreeMap<(&'static str, u8), i64>,
    /// The clocks that are due soonest, one a target of an incident: due instant in seconds since 1970,
    /// incident, target.
    pub soonest: Vec<(i64, IncidentId, &'static str)>,
    /// The last dated holiday of each calendar, seconds since 1970.
    pub last_holidays: BTreeMap<String, i64>,
    /// The journal is applied up to here.
    pub cursor: u64,
    /// When the stored figures began.
    pub created_at: Time,
    /// Restarts so far.
    pub restarts: u64,
}

impl Engine {
    /// Counts how things stand.
    pub fn gauges(&self) -> Gauges {
        let mut gauges = Gauges {
            silences: self.state.silences.len() as u64,
            windows: self.state.windows.len() as u64,
            cursor: self.state.cursor,
            created_at: self.state.scalars.created_at,
            restarts: self.state.scalars.restarts,
            ..Gauges::default()
        };
        for incident in self.state.incidents.values() {
            if incident.merged_into.is_some() {
                continue;
            }
            let state = match incident.state {
                IncidentState::Closed => continue,
                IncidentState::Resolved => "resolved",
                _ if incident.waiting => "waiting_customer",
                _ if incident.acknowledged_at.is_some() => "in_progress",
                _ => "new",
            };
            let sev = incident.severity.map_or("none", |s| s.digit());
            let key = (incident.category, sev, state);
            *gauges.incidents.entry(key).or_default() += 1;
            if !incident.state.is_open() {
                continue;
            }
            let oldest = gauges.oldest.entry(incident.category);
            let oldest = oldest.or_insert(incident.opened_at);
            *oldest = incident.opened_at.min(*oldest);
            if incident.needs_triage {
                gauges.needs_triage += 1;
                let oldest = gauges.oldest_triage.unwrap_or(incident.opened_at);
                gauges.oldest_triage = Some(oldest.min(incident.opened_at));
            }
        }
        for alert in self.state.alerts.values() {
            gauges.alerts_active += u64::from(alert.state.is_active());
        }
        for ticket in self.state.tickets.values() {
            if ticket.trouble.as_ref().is_some_and(|trouble| trouble.dead) {
                *gauges.dead.entry(ticket.tracker.clone()).or_default() += 1;
            } else if ticket.has_work() {
                let since = self.waiting_since(ticket.incident, ticket.asked_at);
                let entry = gauges
                    .outbox
                    .entry(ticket.tracker.clone())
                    .or_insert((0, since));
                *entry = (entry.0 + 1, entry.1.min(since));
            }
        }
        self.count_clocks(&mut gauges);
        gauges.calls = self.state.telling.pages.len() as u64;
        for notice in self.state.telling.notices.values() {
            if notice.state == NoticeState::Dead {
                gauges.notices_dead += 1;
            } else if notice.send_at <= self.state.now {
                let since = gauges.notices.1.unwrap_or(notice.send_at);
                gauges.notices = (gauges.notices.0 + 1, Some(since.min(notice.send_at)));
            }
        }
        for (source, seen) in self.state.sources.iter().filter(|(_, s)| s.messages > 0) {
            let name = self.state.symbols.name(*source).to_owned();
            gauges.sources.insert(name, seen.last_at);
        }
        gauges
    }

    fn count_clocks(&self, gauges: &mut Gauges) {
        for (key, clocks) in &self.clocks {
            let policy = self.state.cases.get(key).map_or("", |case| &case.policy);
            for clock in clocks {
                let target = clock.target.word();
                let series = (policy.to_owned(), target, clock.sev, clock.state);
                *gauges.clocks.entry(series).or_default() += 1;
                if let Some(due) = clock.due {
                    let soonest = gauges.next_due.entry((target, clock.sev)).or_insert(due);
                    *soonest = (*soonest).min(due);
                    among_soonest(&mut gauges.soonest, (due, key.0, target));
                }
            }
        }
        for (name, calendar) in &self.decisions.sla.calendars {
            if let Some(last) = calendar.last_holiday() {
                gauges.last_holidays.insert(name.clone(), last);
            }
        }
    }

    /// A ticket that exists waits since its incident changed; one that does not, since it was
    /// asked for.
    fn waiting_since(&self, incident: IncidentId, asked_at: Time) -> Time {
        self.state
            .incidents
            .get(&incident)
            .map_or(asked_at, |i| i.changed_at.max(asked_at))
    }
}

/// Keeps a clock if it is one of the soonest.
fn among_soonest(
    soonest: &mut Vec<(i64, IncidentId, &'static str)>,
    clock: (i64, IncidentId, &'static str),
) {
    if soonest.len() >= limits::CLOCKS_SHOWN_MAX && soonest.last().is_some_and(|last| *last < clock)
    {
        return;
    }
    let same = |other: &(i64, IncidentId, &'static str)| (other.1, other.2) == (clock.1, clock.2);
    if let Some(place) = soonest.iter().position(same) {
        // Another contract's clock of the same target.
        if soonest.get(place).is_some_and(|other| *other <= clock) {
            return;
        }
        soonest.remove(place);
    }
    let place = soonest.partition_point(|other| *other < clock);
    soonest.insert(place, clock);
    soonest.truncate(limits::CLOCKS_SHOWN_MAX);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soonest_clocks_are_few_in_order_and_one_for_each_target_of_an_incident() {
        let mut soonest = Vec::new();
        for number in 0..100_u64 {
            let due = i64::try_from(number * 37 % 101).unwrap();
            among_soonest(&mut soonest, (due, IncidentId(number), "restore"));
        }
        let dues: Vec<i64> = soonest.iter().map(|clock| clock.0).collect();
        let last = i64::try_from(limits::CLOCKS_SHOWN_MAX).unwrap();
        assert_eq!(dues, (0..last).collect::<Vec<_>>());
        // Another contract of the first incident: the sooner one counts.
        among_soonest(&mut soonest, (5, IncidentId(0), "restore"));
        assert_eq!(soonest.iter().filter(|c| c.1 == IncidentId(0)).count(), 1);
        assert_eq!(soonest[0], (0, IncidentId(0), "restore"));
        let later = soonest[3].1;
        among_soonest(&mut soonest, (-1, later, "restore"));
        assert_eq!(soonest[0], (-1, later, "restore"));
        assert_eq!(soonest.iter().filter(|c| c.1 == later).count(), 1);
        among_soonest(&mut soonest, (-2, later, "update"));
        assert_eq!(soonest.iter().filter(|c| c.1 == later).count(), 2);
        assert_eq!(soonest.len(), limits::CLOCKS_SHOWN_MAX);
    }
}
