//! What happens before it happens: planned work that is too much together, and elements that are
//! taken down in thought.

use super::health::{Condition, Health};
use super::impact::{Impact, Lives};
use super::model::{ElementId, Inventory, NodeKind};

/// Most groups named.
const GROUPS_NAMED_MAX: usize = 5;

/// The groups that two works take down together although neither does alone, as a sentence;
/// `None`: there is none.
pub fn overlap(inventory: &Inventory, one: &[ElementId], other: &[ElementId]) -> Option<String> {
    if one.is_empty() || other.is_empty() {
        return None;
    }
    let alone = [with_down(inventory, one), with_down(inventory, other)];
    let both: Vec<ElementId> = one.iter().chain(other).copied().collect();
    let together = with_down(inventory, &both);
    let down = |health: &Health, number: u32| health.at(number) == Condition::Down;
    let all = 0..u32::try_from(inventory.nodes.len()).unwrap_or(u32::MAX);
    let lost: Vec<String> = all
        .filter(|n| down(&together, *n) && !alone.iter().any(|health| down(health, *n)))
        .filter_map(|n| match inventory.node(n) {
            Some(node) if matches!(node.kind, NodeKind::Group { .. }) => {
                Some(together.arithmetic(inventory, n))
            }
            _ => None,
        })
        .take(GROUPS_NAMED_MAX)
        .collect();
    if lost.is_empty() {
        return None;
    }
    let impact = together.impact(inventory, &both, &Lives::default());
    let severity = impact
        .severity
        .map_or("no service hit".to_owned(), |s| s.to_string());
    Some(format!(
        "{} Together they mean {severity}: {} service(s), {} customer(s).",
        lost.join(" "),
        impact.services.len(),
        impact.parties
    ))
}

/// What would follow if these elements went down now, on top of what is down already.
pub fn what_if(
    inventory: &Inventory,
    health: &Health,
    elements: &[ElementId],
    lives: &Lives,
) -> Impact {
    let mut thought = health.clone();
    for element in elements {
        thought.set(inventory, *element, Condition::Down);
    }
    thought.impact(inventory, elements, lives)
}

fn with_down(inventory: &Inventory, elements: &[ElementId]) -> Health {
    let mut health = Health::new(inventory);
    for element in elements {
        health.set(inventory, *element, Condition::Down);
    }
    health
}
