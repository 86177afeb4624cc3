//! What categories are about, and tables that are allowed and still look wrong.

use super::Reader;
use crate::limits;
use crate::model::Category;
use crate::sla::policy::{CategoryRule, Sla, TargetKind, TargetName, Targets};
use crate::sla::section::{PolicySection, SeverityWord, SlaProblem};
use std::collections::BTreeMap;

/// Each target of each severity is some twenty series of the metrics: more than can be looked at are
/// refused, and none is ever dropped.
pub(super) fn too_many(sla: &Sla) -> Option<SlaProblem> {
    let count = sla.targets().len();
    (count > limits::SLA_PAIRS_MAX).then(|| SlaProblem {
        key: "policy".to_owned(),
        what: format!(
            "the policies of all contracts have {count} targets, each severity by itself; at most {} \
             was expected: let contracts share policies",
            limits::SLA_PAIRS_MAX
        ),
        warning: false,
    })
}

impl Reader<'_> {
    pub(super) fn categories(
        &mut self,
        key: &str,
        policy: &PolicySection,
        severities: &BTreeMap<u8, Targets>,
    ) -> BTreeMap<Category, CategoryRule> {
        let mut categories = BTreeMap::new();
        for (word, section) in &policy.category {
            let at = format!("{key}.category.{word}");
            let category = match word.as_str() {
                "incident" => Category::Incident,
                "inquiry" => Category::Inquiry,
                "provisioning" => Category::Provisioning,
                _ => {
                    self.tell(at, "expected incident, inquiry or provisioning");
                    continue;
                }
            };
            let severity = match &section.severity {
                None => None,
                Some(SeverityWord::Word(word)) if word == "set" => None,
                Some(SeverityWord::Word(word)) if word == "none" => Some(None),
                Some(SeverityWord::Number(number)) if (1..=5).contains(number) => {
                    Some(Some(*number))
                }
                Some(_) => {
                    self.tell(format!("{at}.severity"), "expected set, none or 1 to 5");
                    None
                }
            };
            let mut targets = Vec::new();
            for name in &section.targets {
                match TargetName::from_word(name) {
                    Some(target) => {
                        if !severities.values().any(|table| table.contains_key(&target)) {
                            let what = format!("the policy has no target `{name}`");
                            self.tell(format!("{at}.targets"), what);
                        }
                        targets.push(target);
                    }
                    None => self.tell(
                        format!("{at}.targets"),
                        format!(
                            "`{name}`: expected triage, initial_response, engineer, update or \
                             restore"
                        ),
                    ),
                }
            }
            let high_priority = match section.priority.as_deref() {
                None => false,
                Some("high") => true,
                Some(other) => {
                    let what = format!("`{other}`: expected high, or nothing");
                    self.tell(format!("{at}.priority"), what);
                    false
                }
            };
            let rule = CategoryRule {
                severity,
                targets,
                high_priority,
            };
            categories.insert(category, rule);
        }
        categories
    }

    /// What is allowed and still looks wrong.
    pub(super) fn check_order(&mut self, key: &str, severities: &BTreeMap<u8, Targets>) {
        let within = |targets: &Targets, name| match targets.get(&name).map(|t| &t.kind) {
            Some(TargetKind::Within(seconds, _) | TargetKind::Every(seconds, _)) => Some(*seconds),
            _ => None,
        };
        for (severity, targets) in severities {
            let at = format!("{key}.severity.{severity}");
            let response = within(targets, TargetName::InitialResponse);
            let restore = within(targets, TargetName::Restore);
            let update = within(targets, TargetName::Update);
            if matches!((response, restore), (Some(a), Some(b)) if a > b) {
                self.warn(&at, "the response target is longer than the restore target");
            }
            if matches!((update, restore), (Some(a), Some(b)) if a > b) {
                self.warn(&at, "the update interval is longer than the restore target");
            }
            let next = severities.get(&(severity + 1)).filter(|_| *severity > 0);
            for name in TargetName::ALL {
                let pair = (
                    within(targets, name),
                    next.and_then(|next| within(next, name)),
                );
                if matches!(pair, (Some(a), Some(b)) if a > b) {
                    let what = format!(
                        "{} is longer than that of severity {}",
                        name.word(),
                        severity + 1
                    );
                    self.warn(&at, &what);
                }
            }
        }
    }
}
