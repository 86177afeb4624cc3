//! Pairs the incidents of both sides by the alerts they are about, and says what differs.

use super::side::{Member, Side, Told};
use super::{Asked, ReplayError};
use crate::engine::Explained;
use crate::model::incident::Incident;
use crate::model::{AlertKey, Severity, Time, WantedTicket};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// What can differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Differs {
    /// A ticket that there was not.
    Opened,
    /// No ticket, where there was one.
    NotOpened,
    /// Another severity, now or on the way.
    Severity,
    /// Other alerts.
    Members,
    /// Another number of tickets, route, tracker, queue or shadow mode.
    Route,
    /// Asked for, worse, better or resolved at another time.
    Times,
    /// Incident, provisioning, inquiry.
    Category,
}

impl Differs {
    /// The word.
    pub const fn word(self) -> &'static str {
        match self {
            Differs::Opened => "opened",
            Differs::NotOpened => "not opened",
            Differs::Severity => "severity",
            Differs::Members => "members",
            Differs::Route => "route",
            Differs::Times => "times",
            Differs::Category => "category",
        }
    }
}

/// One incident whose tickets would have been different.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// What differs.
    pub differs: Vec<Differs>,
    /// As it is recorded; `None`: no incident at all.
    pub was: Option<Shown>,
    /// As it would have been; `None`: no incident at all.
    pub would_be: Option<Shown>,
    /// What the other configuration makes of its alerts, if it makes no incident of them.
    pub instead: Vec<Explained>,
}

/// An incident of one side.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    /// Its number on its side.
    pub incident: String,
    /// One line.
    pub title: String,
    /// State.
    pub state: &'static str,
    /// Severity at last.
    pub severity: Option<Severity>,
    /// Severities on the way, with the instants from which they held.
    pub severities: Vec<(Severity, Time)>,
    /// Category.
    pub category: &'static str,
    /// Its tickets; none: it has no ticket on this side.
    pub tickets: Vec<TicketShown>,
    /// What its alerts are about.
    pub members: Vec<String>,
    /// Earliest evidence.
    pub opened_at: Time,
    /// When all was well.
    pub resolved_at: Option<Time>,
    /// The decision behind the severity, in a sentence.
    pub reason: String,
    /// The chain, as `explain` prints it.
    pub because: Explained,
}

/// A ticket of one side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TicketShown {
    /// Our number on its side.
    pub id: String,
    /// The route that asked for it.
    pub route: String,
    /// The tracker.
    pub tracker: String,
    /// Where inside the tracker.
    pub queue: String,
    /// Written to the desk only.
    pub shadow: bool,
    /// The tracker's number, if it was given one.
    pub key: Option<String>,
    /// When it was asked for.
    pub asked_at: Time,
}

/// A difference by the places of both sides.
pub(super) struct Found {
    differs: Vec<Differs>,
    was: Option<usize>,
    would_be: Option<usize>,
}

/// What a comparison gives.
pub(super) struct Compared {
    pub(super) same: u64,
    pub(super) not_compared: u64,
    pub(super) differences: Vec<Found>,
}

/// Compares the tickets that were asked for in the span; what began before `since` is not known
/// well enough.
pub(super) fn compare(was: &Side, would_be: &Side, asked: &Asked, since: Time) -> Compared {
    let mut pairs = pairs(&was.told, &would_be.told);
    let mut compared = Compared {
        same: 0,
        not_compared: 0,
        differences: Vec::new(),
    };
    let both = |pair: &Pair| sides((pair.was, pair.would_be), was, would_be);
    // A ticket that only one side has says when it was asked for.
    let asked_for = |pair: &Pair| -> Vec<Time> {
        let (one, other) = match (both(pair), pair.only) {
            ((one, _), Some(Differs::NotOpened)) => (one, None),
            ((_, other), Some(_)) => (None, other),
            (both, None) => both,
        };
        let told = [one, other].into_iter().flatten();
        let tickets = told.flat_map(|told| &told.tickets);
        tickets.map(|ticket| ticket.asked_at).collect()
    };
    pairs.sort_by_key(|pair| (asked_for(pair).into_iter().min(), *pair));
    for pair in pairs {
        let (one, other) = both(&pair);
        let in_span = asked_for(&pair).into_iter().any(|at| {
            asked.from.is_none_or(|from| at >= from) && asked.to.is_none_or(|to| at <= to)
        });
        if !in_span {
            continue;
        }
        if one.is_some_and(|told| began_before(told, since)) {
            compared.not_compared += 1;
            continue;
        }
        let differs = match (pair.only, one, other) {
            (Some(only), ..) => vec![only],
            (None, Some(one), Some(other)) => differences(one, other),
            (None, ..) => Vec::new(),
        };
        if differs.is_empty() {
            compared.same += 1;
        } else {
            compared.differences.push(Found {
                differs,
                was: pair.was,
                would_be: pair.would_be,
            });
        }
    }
    compared
}

fn sides<'a>(
    (one, other): (Option<usize>, Option<usize>),
    was: &'a Side,
    would_be: &'a Side,
) -> (Option<&'a Told>, Option<&'a Told>) {
    (
        one.and_then(|place| was.told.get(place)),
        other.and_then(|place| would_be.told.get(place)),
    )
}

fn began_before(told: &Told, since: Time) -> bool {
    told.incident.opened_at < since || told.members.values().any(|m| m.first_seen < since)
}

/// An incident of one side and the one of the other that is about the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    was: Option<usize>,
    would_be: Option<usize>,
    /// Only one side has a ticket of its own for it.
    only: Option<Differs>,
}

/// Each incident with a ticket, with the one of the other side that is about the same: first those
/// that both have tickets, one to one; then, for a ticket that only one side has, what became of
/// its alerts on the other.
fn pairs(was: &[Told], would_be: &[Told]) -> Vec<Pair> {
    let scored = scores(was, would_be);
    let (mut left, mut right) = (BTreeSet::new(), BTreeSet::new());
    let mut pairs = Vec::new();
    let has = |side: &[Told], place: usize| side.get(place).is_some_and(|t| !t.tickets.is_empty());
    for &(_, _, one, other) in &scored {
        let free = !left.contains(&one) && !right.contains(&other);
        if free && has(was, one) && has(would_be, other) {
            left.insert(one);
            right.insert(other);
            pairs.push(Pair {
                was: Some(one),
                would_be: Some(other),
                only: None,
            });
        }
    }
    for one in (0..was.len()).filter(|one| has(was, *one) && !left.contains(one)) {
        let other = scored.iter().find(|score| score.2 == one);
        pairs.push(Pair {
            was: Some(one),
            would_be: other.map(|score| score.3),
            only: Some(Differs::NotOpened),
        });
    }
    for other in (0..would_be.len()).filter(|o| has(would_be, *o) && !right.contains(o)) {
        let one = scored.iter().find(|score| score.3 == other);
        pairs.push(Pair {
            was: one.map(|score| score.2),
            would_be: Some(other),
            only: Some(Differs::Opened),
        });
    }
    pairs
}

/// How much two incidents have in common, the most first: minus the score, how far apart they
/// began, and their places.
type Score = (i64, u64, usize, usize);

fn scores(was: &[Told], would_be: &[Told]) -> Vec<Score> {
    let mut by_key: BTreeMap<AlertKey, Vec<usize>> = BTreeMap::new();
    let mut by_title: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, told) in would_be.iter().enumerate() {
        for key in told.members.keys() {
            by_key.entry(*key).or_default().push(place);
        }
        if told.members.is_empty() {
            let title = told.incident.title.as_str();
            by_title.entry(title).or_default().push(place);
        }
    }
    let mut scores = Vec::new();
    for (place, told) in was.iter().enumerate() {
        let mut common: BTreeMap<usize, i64> = BTreeMap::new();
        for (key, member) in &told.members {
            for other in by_key.get(key).into_iter().flatten() {
                let Some(there) = would_be.get(*other) else {
                    continue;
                };
                let same_life = there
                    .members
                    .get(key)
                    .is_some_and(|m: &Member| m.first_seen == member.first_seen);
                let score = match (same_life, overlap(&told.incident, &there.incident)) {
                    (true, true) => 4,
                    (true, false) => 2,
                    (false, true) => 1,
                    (false, false) => 0,
                };
                *common.entry(*other).or_default() += score;
            }
        }
        if told.members.is_empty() {
            let alike = by_title.get(told.incident.title.as_str());
            for other in alike.into_iter().flatten() {
                let there = would_be.get(*other);
                if there.is_some_and(|there| overlap(&told.incident, &there.incident)) {
                    common.insert(*other, 1);
                }
            }
        }
        for (other, score) in common.into_iter().filter(|(_, score)| *score > 0) {
            let there = would_be.get(other).map_or(0, |t| t.incident.opened_at.0);
            let apart = told.incident.opened_at.0.abs_diff(there);
            scores.push((-score, apart, place, other));
        }
    }
    scores.sort_unstable();
    scores
}

/// Whether two incidents were there at the same time.
fn overlap(one: &Incident, other: &Incident) -> bool {
    let end = |incident: &Incident| incident.resolved_at.unwrap_or(Time(i64::MAX));
    one.opened_at <= end(other) && other.opened_at <= end(one)
}

fn differences(one: &Told, other: &Told) -> Vec<Differs> {
    let mut differs = Vec::new();
    let (course, other_course) = (course(&one.incident), course(&other.incident));
    let steps = |course: &[(Severity, Time)]| -> Vec<Severity> {
        course.iter().map(|(severity, _)| *severity).collect()
    };
    let same_steps = steps(&course) == steps(&other_course);
    if !same_steps || one.incident.severity != other.incident.severity {
        differs.push(Differs::Severity);
    }
    if !one.members.keys().eq(other.members.keys()) {
        differs.push(Differs::Members);
    }
    if routes(&one.tickets) != routes(&other.tickets) {
        differs.push(Differs::Route);
    }
    let asked = |told: &Told| -> BTreeSet<Time> {
        told.tickets.iter().map(|ticket| ticket.asked_at).collect()
    };
    let resolved = one.incident.resolved_at != other.incident.resolved_at;
    let stepped = same_steps && course != other_course;
    if resolved || stepped || asked(one) != asked(other) {
        differs.push(Differs::Times);
    }
    if one.incident.category != other.incident.category {
        differs.push(Differs::Category);
    }
    differs
}

/// The severities that an incident had, each with the instant from which it held.
fn course(incident: &Incident) -> Vec<(Severity, Time)> {
    let mut course: Vec<(Severity, Time)> = Vec::new();
    for period in &incident.periods {
        if course
            .last()
            .is_none_or(|(last, _)| *last != period.severity)
        {
            course.push((period.severity, period.from));
        }
    }
    course
}

fn routes(tickets: &[WantedTicket]) -> Vec<(&str, &str, &str, bool, Option<&str>)> {
    let mut routes: Vec<_> = tickets
        .iter()
        .map(|ticket| {
            (
                ticket.route.as_str(),
                ticket.tracker.as_str(),
                ticket.wanted.queue.as_str(),
                ticket.shadow,
                ticket.contract.as_deref(),
            )
        })
        .collect();
    routes.sort_unstable();
    routes
}

impl Found {
    /// With the reasons of both sides.
    pub(super) fn shown(&self, was: &Side, would_be: &Side) -> Result<Difference, ReplayError> {
        let (one, other) = sides((self.was, self.would_be), was, would_be);
        let show = |told: Option<&Told>, side: &Side| -> Result<Option<Shown>, ReplayError> {
            told.map(|told| Ok(shown(told, side.why(told)?)))
                .transpose()
        };
        Ok(Difference {
            differs: self.differs.clone(),
            was: show(one, was)?,
            would_be: show(other, would_be)?,
            instead: match (one, other) {
                (Some(one), None) => was.seen_by(one, would_be)?,
                _ => Vec::new(),
            },
        })
    }
}

fn shown(told: &Told, because: Explained) -> Shown {
    let incident = &told.incident;
    let mut members: Vec<String> = told.members.values().map(|m| m.name.clone()).collect();
    members.sort();
    Shown {
        incident: incident.id.to_string(),
        title: if incident.sensitive {
            "(content withheld)".to_owned()
        } else {
            incident.title.clone()
        },
        state: incident.state.word(),
        severity: incident.severity,
        severities: course(incident),
        category: incident.category.word(),
        tickets: told.tickets.iter().map(ticket_shown).collect(),
        members,
        opened_at: incident.opened_at,
        resolved_at: incident.resolved_at,
        reason: incident.clone().for_anybody().reason,
        because,
    }
}

fn ticket_shown(ticket: &WantedTicket) -> TicketShown {
    TicketShown {
        id: ticket.id.to_string(),
        route: ticket.route.clone(),
        tracker: ticket.tracker.clone(),
        queue: ticket.wanted.queue.clone(),
        shadow: ticket.shadow,
        key: ticket.remote.as_ref().map(|remote| remote.key.clone()),
        asked_at: ticket.asked_at,
    }
}
