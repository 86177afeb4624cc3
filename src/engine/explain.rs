//! The chain behind an incident as a tree that a person reads: events, identity, rules, elements
//! and the arithmetic of groups, services and accounts, holds and windows, and each change with its
//! time and cause. Made from what is recorded, so that it works for incidents that have left
//! memory; it decides nothing.

use super::Decisions;
use crate::inventory::{Condition, ElementId, Health, Lives, Query};
use crate::model::alert::{Alert, AlertText};
use crate::model::event::Event;
use crate::model::identity::Identity;
use crate::model::incident::WITHHELD;
use crate::model::incident::{Incident, IncidentState, TimelineEntry};
use crate::model::input::{Input, Sequenced};
use crate::model::reason::Reason;
use crate::model::severity::Basis;
use crate::rules::Facts;
use serde::Serialize;

/// Most alerts that are explained one by one.
const ALERTS_MAX: usize = 20;
/// Most elements whose groups are shown.
const GROUPS_MAX: usize = 20;

/// One sentence, and what stands behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// A sentence.
    pub text: String,
    /// What it rests on.
    pub because: Vec<Explained>,
}

/// What is recorded about an incident.
#[derive(Clone, Copy, Debug)]
pub struct Recorded<'a> {
    /// The incident.
    pub incident: &'a Incident,
    /// Its alerts with their texts.
    pub alerts: &'a [(Alert, AlertText)],
    /// Its timeline, oldest first.
    pub timeline: &'a [TimelineEntry],
    /// The decisions in force now.
    pub decisions: &'a Decisions,
    /// How old the inventory is and where it came from, for people; empty: not known.
    pub inventory_age: &'a str,
}

impl Explained {
    /// A sentence without anything behind it.
    fn leaf(text: impl Into<String>) -> Explained {
        Explained::of(text, Vec::new())
    }

    fn of(text: impl Into<String>, because: Vec<Explained>) -> Explained {
        Explained {
            text: text.into(),
            because,
        }
    }

    /// The tree as indented lines.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text, 0);
        text
    }

    fn write(&self, text: &mut String, depth: usize) {
        for (index, line) in self.text.lines().enumerate() {
            let sign = match (depth, index) {
                (0, _) => "",
                (_, 0) => "- ",
                _ => "  ",
            };
            text.push_str(&"  ".repeat(depth.saturating_sub(1)));
            text.push_str(sign);
            text.push_str(line);
            text.push('\n');
        }
        for child in &self.because {
            child.write(text, depth + 1);
        }
    }
}

/// Explains an incident.
pub fn explain(recorded: &Recorded) -> Explained {
    let (incident, timeline) = (recorded.incident, recorded.timeline);
    if incident.sensitive {
        return withheld(incident, recorded.alerts.len(), timeline);
    }
    let mut because = vec![alerts(recorded)];
    because.extend(chain(recorded));
    Explained::of(head(incident), because)
}

/// The same beneath one of its alerts, which is told already.
pub fn explain_around(recorded: &Recorded) -> Explained {
    let (incident, timeline) = (recorded.incident, recorded.timeline);
    if incident.sensitive {
        return withheld(incident, recorded.alerts.len(), timeline);
    }
    Explained::of(head(incident), chain(recorded))
}

/// What follows from the alerts of an incident.
fn chain(recorded: &Recorded) -> Vec<Explained> {
    let (incident, timeline) = (recorded.incident, recorded.timeline);
    let mut because = vec![elements(recorded), effect(incident)];
    because.extend(waiting(incident, timeline));
    because.extend(for_and_against(recorded));
    because.extend(written(timeline));
    because.push(history(timeline));
    because
}

/// The same out of what was written down when it was decided, for decisions that are not at hand
/// any more: without rules and the arithmetic of groups.
pub fn recap(incident: &Incident, timeline: &[TimelineEntry]) -> Explained {
    if incident.sensitive {
        return withheld(incident, incident.members as usize, timeline);
    }
    let mut because = vec![effect(incident)];
    because.extend(waiting(incident, timeline));
    because.push(history(timeline));
    Explained::of(head(incident), because)
}

fn head(incident: &Incident) -> String {
    let severity = incident
        .severity
        .map_or("no severity".to_owned(), |s| s.to_string());
    format!(
        "{} is {severity} ({}), {}, by {}: {}",
        incident.id,
        incident.reason_word.word(),
        incident.state.word(),
        incident.basis.word(),
        incident.title
    )
}

/// Of something sensitive only the decisions are told, by name and time.
fn withheld(incident: &Incident, alerts: usize, timeline: &[TimelineEntry]) -> Explained {
    let lines = timeline.iter().map(|entry| {
        let (at, reason, seq) = (entry.at, entry.reason.word(), entry.seq);
        Explained::leaf(format!("{at} {reason} (input {seq})"))
    });
    let belong = Explained::leaf(format!("{alerts} alert(s) belong to it"));
    let because = std::iter::once(belong).chain(lines).collect();
    Explained::of(head(&incident.clone().for_anybody()), because)
}

/// Explains one alert: event, identity, rules, element.
pub fn explain_alert(alert: &Alert, text: &AlertText, decisions: &Decisions) -> Explained {
    let event = event_of(alert, text);
    let facts = Facts {
        source: &text.source,
        sender: &text.sender,
        event: &event,
    };
    let state = match alert.resolved_at {
        Some(at) if !alert.state.is_active() => format!("resolved at {at}"),
        _ => format!("{} since {}", alert.state.word(), alert.fired_at),
    };
    let summary = if text.sensitive {
        WITHHELD
    } else {
        &text.summary
    };
    let head = format!("{} {state}: {summary}", alert.id);
    if text.sensitive {
        let (seq, index) = text.event;
        let event = format!("Event {seq}.{index} by source {}.", text.source);
        return Explained::of(head, vec![Explained::leaf(event)]);
    }
    let word = text.severity.as_deref().unwrap_or("none");
    let (seq, index) = text.event;
    let received = format!(
        "Event {seq}.{index} by source {} ({}): state {}, severity word `{word}`, {} time(s), last \
         at {}.",
        text.source,
        text.sender,
        text.event_state.word(),
        alert.count,
        alert.last_seen
    );
    let because = vec![
        Explained::of(
            received,
            text.problems.iter().map(Explained::leaf).collect(),
        ),
        Explained::leaf(identity(&text.scope, &text.identity)),
        rules(&facts, decisions),
        Explained::leaf(format!("Means: {}.", alert.hint.word())),
        Explained::leaf(element(&facts, decisions)),
    ];
    Explained::of(head, because)
}

/// Explains one event as it was received: what it says, what tells it from others, rules, element.
pub fn explain_event(event: &Sequenced, index: u32, decisions: &Decisions) -> Option<Explained> {
    let Input::Message(message) = &event.input else {
        return None;
    };
    let place = format!("{}.{index}", event.seq);
    let at = event.at;
    let event = message.events.get(usize::try_from(index).ok()?)?;
    let facts = Facts {
        source: &message.source,
        sender: &message.sender,
        event,
    };
    let ruled = decisions.rules.evaluate(&facts);
    if message.sensitive || ruled.sensitive {
        let source = &message.source;
        return Some(Explained::leaf(format!(
            "Event {place} at {at} by source {source}."
        )));
    }
    let summary = &event.summary;
    let word = event.severity.as_deref().unwrap_or("none");
    let head = format!(
        "Event {place} at {at} by source {} ({}): state {}, severity word `{word}`: {summary}",
        message.source,
        message.sender,
        event.state.word(),
    );
    let hint = ruled.hint.unwrap_or(event.severity_hint);
    let mut because: Vec<Explained> = event.problems.iter().map(Explained::leaf).collect();
    if event.test {
        because.push(Explained::leaf("It is a test: it opens and ends nothing."));
    }
    if event.suppressed.is_some() {
        because.push(Explained::leaf("It is a notice: it opens nothing."));
    }
    because.extend([
        Explained::leaf(identity(&message.scope, &event.identity)),
        rules(&facts, decisions),
        Explained::leaf(format!("Means: {}.", hint.word())),
        Explained::leaf(element(&facts, decisions)),
    ]);
    Some(Explained::of(head, because))
}

fn alerts(recorded: &Recorded) -> Explained {
    let count = recorded.alerts.len();
    let shown = recorded.alerts.iter().take(ALERTS_MAX);
    let mut because: Vec<Explained> = shown
        .map(|(alert, text)| explain_alert(alert, text, recorded.decisions))
        .collect();
    if count > ALERTS_MAX {
        because.push(Explained::leaf(format!("and {} more", count - ALERTS_MAX)));
    }
    let joined = recorded.timeline.iter().filter(|line| {
        matches!(
            line.reason,
            Reason::SameElement
                | Reason::ExplainedByRoot
                | Reason::SameGroup
                | Reason::GroupBy
                | Reason::RootSpokeLater
                | Reason::Merged
                | Reason::Storm
        )
    });
    because.extend(joined.map(line));
    Explained::of(format!("{count} alert(s) belong to it"), because)
}

fn identity(scope: &str, identity: &Identity) -> String {
    match identity {
        Identity::Key(key) => {
            format!("Identity: the sender's own id `{key}` within `{scope}`.")
        }
        parts @ Identity::Object { .. } => format!(
            "Identity: the object `{parts}` within `{scope}`, as the sender names no id of its own."
        ),
    }
}

fn rules(facts: &Facts, decisions: &Decisions) -> Explained {
    let traced = decisions.rules.trace(facts);
    let matched = traced.iter().filter(|t| t.how.is_ok()).count();
    let because = traced
        .into_iter()
        .map(|rule| match rule.how {
            Ok(sets) => Explained::leaf(format!("Rule {} matched: sets {sets}.", rule.name)),
            Err(miss) => Explained::leaf(format!("Rule {} nearly: {miss}.", rule.name)),
        })
        .collect();
    let head = if matched == 0 {
        "No rule matched: the sender's known signals decide.".to_owned()
    } else {
        format!("{matched} rule(s) matched.")
    };
    Explained::of(head, because)
}

fn element(facts: &Facts, decisions: &Decisions) -> String {
    let event = facts.event;
    let ruled = decisions.rules.evaluate(facts);
    let resolution = match &ruled.element {
        Some(name) => decisions.inventory.resolve_name(name),
        None => decisions.inventory.resolve(&Query {
            site: event.site.as_deref(),
            host: event.host.as_deref(),
            component: event.component.as_deref(),
            component_kind: event.component_kind,
            check: event.check.as_deref(),
            service: event.service.as_deref(),
            labels: &event.labels,
        }),
    };
    let part = if resolution.part_unknown {
        " Its part is not in the inventory."
    } else {
        ""
    };
    match (resolution.element, resolution.how.as_str()) {
        (_, "") => "No inventory: the impact is unknown.".to_owned(),
        (Some(_), how) if ruled.element.is_some() => format!("By rule: {how}."),
        (_, how) => format!("Inventory: {how}.{part}"),
    }
}

/// Elements and the arithmetic of their groups: as they are now, or, once all is over, as they
/// were when all of it had failed.
fn elements(recorded: &Recorded) -> Explained {
    let inventory = &recorded.decisions.inventory;
    let any_active = recorded
        .alerts
        .iter()
        .any(|(alert, _)| alert.state.is_active());
    let mut health = Health::new(inventory);
    let mut failed: Vec<(ElementId, Condition)> = Vec::new();
    for (alert, text) in recorded.alerts {
        let event = event_of(alert, text);
        let facts = Facts {
            source: &text.source,
            sender: &text.sender,
            event: &event,
        };
        let counts = alert.state.is_active() || !any_active;
        if let Some(id) = resolve(&facts, recorded.decisions).filter(|_| counts) {
            let redundant = inventory.is_group_member(id);
            let mut condition = super::severity::condition(alert.hint, redundant);
            if alert.doubted {
                condition = condition.min(Condition::Degraded);
            }
            failed.push((id, condition));
        }
    }
    failed.sort();
    for (id, condition) in &failed {
        health.set(inventory, *id, *condition);
    }
    failed.dedup_by_key(|(id, _)| *id);
    let mut because: Vec<Explained> = failed
        .iter()
        .take(GROUPS_MAX)
        .map(|(id, _)| {
            let groups = health.groups_above(inventory, *id);
            let roots = health.roots_of(inventory, *id);
            let mut because: Vec<Explained> = groups.into_iter().map(Explained::leaf).collect();
            because.extend(roots.into_iter().map(|root| {
                Explained::leaf(format!("explained by {}", inventory.element_name(root)))
            }));
            let name = inventory.element_name(*id);
            Explained::of(format!("{name}: {}", health.word(*id)), because)
        })
        .collect();
    let elements: Vec<ElementId> = failed.iter().map(|(id, _)| *id).collect();
    if elements.is_empty() {
        return Explained::leaf("No element of the inventory is named.");
    }
    let lives = Lives {
        now: recorded.incident.changed_at,
        healthy: None,
    };
    let impact = health.impact(inventory, &elements, &lives);
    because.extend(impact.sentences.into_iter().map(Explained::leaf));
    let age = recorded.inventory_age;
    let age = if age.is_empty() {
        String::new()
    } else {
        format!(" (inventory: {age})")
    };
    let when = if any_active { "now" } else { "at its worst" };
    Explained::of(
        format!("{} element(s) have failed {when}{age}", elements.len()),
        because,
    )
}

fn resolve(facts: &Facts, decisions: &Decisions) -> Option<ElementId> {
    let event = facts.event;
    match decisions.rules.evaluate(facts).element {
        Some(name) => decisions.inventory.resolve_name(&name).element,
        None => {
            let query = Query {
                site: event.site.as_deref(),
                host: event.host.as_deref(),
                component: event.component.as_deref(),
                component_kind: event.component_kind,
                check: event.check.as_deref(),
                service: event.service.as_deref(),
                labels: &event.labels,
            };
            decisions.inventory.resolve(&query).element
        }
    }
}

fn effect(incident: &Incident) -> Explained {
    let mut because = vec![Explained::leaf(incident.reason.clone())];
    if incident.services_hit > 0 {
        let names: Vec<&str> = incident
            .services
            .iter()
            .take(10)
            .map(String::as_str)
            .collect();
        because.push(Explained::leaf(format!(
            "{} service(s): {}",
            incident.services_hit,
            names.join(", ")
        )));
    }
    if !incident.accounts.is_empty() {
        let names: Vec<&str> = incident
            .accounts
            .iter()
            .take(10)
            .map(String::as_str)
            .collect();
        because.push(Explained::leaf(format!(
            "{} account(s), {} customer(s): {}",
            incident.accounts.len(),
            incident.parties_hit,
            names.join(", ")
        )));
    }
    if !incident.next_failure.is_empty() {
        let next = format!("Next failure: {}.", incident.next_failure);
        because.push(Explained::leaf(next));
    }
    if !incident.tags.is_empty() {
        let tags = incident.tags.join(", ");
        because.push(Explained::leaf(format!("Tags: {tags}.")));
    }
    for period in &incident.periods {
        let until = period.until.map_or("now".to_owned(), |at| at.to_string());
        let text = format!("{} from {} until {until}", period.severity, period.from);
        because.push(Explained::leaf(text));
    }
    if incident.needs_triage {
        because.push(Explained::leaf("A person has to look at it."));
    }
    let how = match incident.basis {
        Basis::Inventory => "The inventory proves the effect",
        Basis::Rule => "The effect is not proven: rules and the sender's word decide",
        Basis::Person => "A person decided the severity",
    };
    Explained::of(how, because)
}

fn waiting(incident: &Incident, timeline: &[TimelineEntry]) -> Option<Explained> {
    let mut because: Vec<Explained> = timeline
        .iter()
        .filter(|line| {
            matches!(
                line.reason,
                Reason::Hold
                    | Reason::HoldPassed
                    | Reason::ClearedInHold
                    | Reason::Maintenance
                    | Reason::MaintenanceOverrun
                    | Reason::Silenced
                    | Reason::SilenceEnded
                    | Reason::SilencePierced
                    | Reason::NotCovered
            )
        })
        .map(line)
        .collect();
    if incident.state == IncidentState::Held {
        let until = incident.quiet_until.or(incident.held_until);
        if let Some(until) = until {
            because.push(Explained::leaf(format!("No ticket before {until}.")));
        }
    }
    (!because.is_empty()).then(|| Explained::of("Holds, silences and windows", because))
}

fn for_and_against(recorded: &Recorded) -> Option<Explained> {
    let lines = recorded.timeline.iter().filter(|line| {
        matches!(
            line.reason,
            Reason::Unconfirmed
                | Reason::Confirmed
                | Reason::Reported
                | Reason::FalseAlarm
                | Reason::Stale
                | Reason::NoLongerStale
        )
    });
    let mut because: Vec<Explained> = lines.map(line).collect();
    because.extend(
        recorded
            .alerts
            .iter()
            .filter(|(alert, _)| alert.doubted)
            .map(|(alert, text)| {
                Explained::leaf(format!("{} by {} is contradicted.", alert.id, text.source))
            }),
    );
    (!because.is_empty()).then(|| Explained::of("Evidence for and against", because))
}

fn history(timeline: &[TimelineEntry]) -> Explained {
    let told = [
        Reason::FirstAlert,
        Reason::Worsened,
        Reason::Improved,
        Reason::PersonSeverity,
        Reason::Recategorised,
        Reason::Flapping,
        Reason::FlappingEnded,
        Reason::CauseEnded,
        Reason::AllResolved,
        Reason::PersonResolved,
        Reason::FalseAlarm,
        Reason::Reopened,
    ];
    Explained::of("What changed, when, and why", lines_of(timeline, &told))
}

/// Which tickets were asked for, and what became of that.
fn written(timeline: &[TimelineEntry]) -> Option<Explained> {
    let told = [
        Reason::TicketWanted,
        Reason::TicketOpened,
        Reason::TicketAdopted,
        Reason::TicketFailed,
        Reason::TwinClosed,
        Reason::Shadow,
        Reason::TicketCap,
        Reason::Fallback,
        Reason::NewTicket,
    ];
    let told = lines_of(timeline, &told);
    (!told.is_empty()).then(|| Explained::of("Where it is written", told))
}

fn lines_of(timeline: &[TimelineEntry], reasons: &[Reason]) -> Vec<Explained> {
    let told = timeline
        .iter()
        .filter(|entry| reasons.contains(&entry.reason));
    told.map(line).collect()
}

fn line(entry: &TimelineEntry) -> Explained {
    let by = if entry.author.is_empty() {
        String::new()
    } else {
        format!(" by {}", entry.author)
    };
    let (at, reason) = (entry.at, entry.reason.word());
    Explained::leaf(format!(
        "{at} {reason}{by} (input {}): {}",
        entry.seq, entry.text
    ))
}

/// The newest event of an alert, as far as it is kept.
pub(super) fn event_of(alert: &Alert, text: &AlertText) -> Event {
    Event {
        severity_hint: alert.hint,
        component_kind: alert.kind,
        dedup_key: text.dedup_key.clone(),
        severity: text.severity.clone(),
        details: text.details.clone(),
        site: text.site.clone(),
        host: text.host.clone(),
        component: text.component.clone(),
        check: text.check.clone(),
        service: text.service.clone(),
        labels: text.labels.clone(),
        ..Event::new(
            text.event_state,
            text.identity.clone(),
            text.summary.clone(),
        )
    }
}

#[cfg(test)]
mod tests;
