//! What must be true at a step. Anything extra is wrong, too.

use super::file::Expected;
use super::run::Run;
use super::script::Act;
use alertbridge::model::{Incident, IncidentState};

/// Everything that is not as the step says.
pub fn check(run: &Run, act: &Act) -> Vec<String> {
    let step = &act.step;
    let mut wrong = Vec::new();
    let is_open = |i: &&Incident| i.state == IncidentState::Open && run.has_ticket(i.id);
    let is_held = |i: &&Incident| i.state == IncidentState::Held;
    let is_untold = |i: &&Incident| !i.state.is_open() && !run.has_ticket(i.id);
    let is_resolved = |i: &&Incident| !i.state.is_open() && run.has_ticket(i.id);
    if let Some(wanted) = &step.tickets {
        let found: Vec<&Incident> = run.incidents().filter(is_open).collect();
        wrong.extend(compare(run, "tickets", &found, wanted));
    }
    if let Some(wanted) = &step.held {
        let found: Vec<&Incident> = run.incidents().filter(is_held).collect();
        wrong.extend(compare(run, "held", &found, wanted));
    }
    if let Some(wanted) = &step.untold {
        let found: Vec<&Incident> = run.incidents().filter(is_untold).collect();
        wrong.extend(compare(run, "untold", &found, wanted));
    }
    if let Some(wanted) = &step.resolved {
        let found: Vec<&Incident> = run.incidents().filter(is_resolved).collect();
        wrong.extend(compare(run, "resolved", &found, wanted));
    }
    if let Some(wanted) = &step.outcome
        && wanted != run.outcome
    {
        wrong.push(format!("outcome {}, wanted {wanted}", run.outcome));
    }
    for reason in &step.told {
        if !run.told.contains(&reason.as_str()) {
            wrong.push(format!("{reason} was not told"));
        }
    }
    for reason in &step.never {
        if run.told.contains(&reason.as_str()) {
            wrong.push(format!("{reason} was told"));
        }
    }
    for part in &step.noted {
        if !run.noted.iter().any(|note| note.contains(part)) {
            wrong.push(format!("no note says {part:?}"));
        }
    }
    if let Some(asked) = step.asked {
        let found = run.state().scalars.next_ticket;
        if found != asked as u64 {
            wrong.push(format!("{found} tickets were asked for, wanted {asked}"));
        }
    }
    if let Some(most) = step.notes_max {
        let tickets = run.state().tickets.values();
        let found = tickets.map(|t| t.notes.len()).max().unwrap_or(0);
        if found > most {
            wrong.push(format!("{found} notes on a ticket, wanted at most {most}"));
        }
    }
    wrong
        .into_iter()
        .map(|w| format!("at {}: {w}", step.at))
        .collect()
}

/// Each wanted one takes a found one that is like it; nothing may be left on either side.
fn compare(run: &Run, what: &str, found: &[&Incident], wanted: &[Expected]) -> Vec<String> {
    let mut left: Vec<&Incident> = found.to_vec();
    let mut wrong = Vec::new();
    for expected in wanted {
        let best = left
            .iter()
            .enumerate()
            .map(|(index, incident)| (differences(run, incident, expected), index))
            .min_by_key(|(differences, _)| differences.len());
        match best {
            Some((differences, index)) if differences.is_empty() => {
                left.remove(index);
            }
            Some((differences, index)) => {
                let incident = left.remove(index);
                wrong.push(format!(
                    "{what}: {}: {}",
                    incident.id,
                    differences.join("; ")
                ));
            }
            None => wrong.push(format!("{what}: one is missing: {expected:?}")),
        }
    }
    for extra in left {
        wrong.push(format!(
            "{what}: {} is extra: {:?} {:?} {}",
            extra.id,
            extra.severity,
            run.members(extra.id).iter().take(5).collect::<Vec<_>>(),
            extra.reason
        ));
    }
    wrong
}

type Compared = (&'static str, String, Option<String>);

fn differences(run: &Run, incident: &Incident, expected: &Expected) -> Vec<String> {
    let mut found: Vec<String> = words(incident, expected)
        .into_iter()
        .chain(lists(run, incident, expected))
        .filter_map(|(what, is, wanted)| {
            let wanted = wanted.filter(|wanted| *wanted != is)?;
            Some(format!("{what} is {is}, wanted {wanted}"))
        })
        .collect();
    if let Some(says) = &expected.says
        && !incident.reason.contains(says)
    {
        found.push(format!("it says {:?}, wanted {says:?}", incident.reason));
    }
    found
}

fn words(incident: &Incident, expected: &Expected) -> Vec<Compared> {
    let severity = incident.severity.map_or("none".into(), |s| s.to_string());
    let ended = incident.ended.map(|e| serde_json::to_value(e).unwrap());
    let ended = ended.and_then(|e| e.as_str().map(str::to_owned));
    let flag = |wanted: Option<bool>| wanted.map(|wanted| wanted.to_string());
    vec![
        ("severity", severity, expected.severity.clone()),
        (
            "reason",
            incident.reason_word.word().into(),
            expected.reason.clone(),
        ),
        (
            "basis",
            incident.basis.word().into(),
            expected.basis.clone(),
        ),
        (
            "category",
            incident.category.word().into(),
            expected.category.clone(),
        ),
        ("next", incident.next_failure.clone(), expected.next.clone()),
        ("ended", ended.unwrap_or_default(), expected.ended.clone()),
        ("owner", incident.owner.clone(), expected.owner.clone()),
        (
            "acknowledged",
            incident.acknowledged_at.is_some().to_string(),
            flag(expected.acknowledged),
        ),
        (
            "triage",
            incident.needs_triage.to_string(),
            flag(expected.triage),
        ),
        (
            "flapping",
            incident.flapping.to_string(),
            flag(expected.flapping),
        ),
        ("storm", incident.storm.to_string(), flag(expected.storm)),
    ]
}

fn lists(run: &Run, incident: &Incident, expected: &Expected) -> Vec<Compared> {
    let sorted = |names: &Vec<String>| {
        let mut names = names.clone();
        names.sort();
        names.join(" ")
    };
    let members = run.members(incident.id);
    let periods = incident.periods.iter().map(|p| p.severity.to_string());
    let periods = periods.collect::<Vec<_>>().join(" ");
    let root = run.state().symbols.name(incident.root).to_owned();
    let count = expected.count.map(|count| count.to_string());
    vec![
        ("count", members.len().to_string(), count),
        (
            "members",
            sorted(&members),
            expected.members.as_ref().map(sorted),
        ),
        (
            "services",
            sorted(&incident.services),
            expected.services.as_ref().map(sorted),
        ),
        (
            "accounts",
            sorted(&incident.accounts),
            expected.accounts.as_ref().map(sorted),
        ),
        (
            "periods",
            periods,
            expected.periods.as_ref().map(|p| p.join(" ")),
        ),
        ("root", root, expected.root.clone()),
    ]
}
