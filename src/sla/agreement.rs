//! The terms of a contract as they were written, so that an open case keeps those under which it was
//! opened. Terms are what decides a clock: the policy, the default policy, the contract's own targets
//! and which calendars it takes. What is in a calendar is no term: a holiday that is declared later
//! counts at once, for every clock without a verdict.

use super::calendar::{Calendar, read_all};
use super::compile;
use super::policy::Contract;
use super::section::{
    CalendarSection, ContractSection, PolicySection, SeveritySection, SlaSections,
};
use jiff::tz::TimeZoneDatabase;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Bytes of the digest that a version shows.
const VERSION_BYTES: usize = 4;

/// What decides the clocks of a contract.
#[derive(Serialize, Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Terms {
    /// The policy's name.
    policy: String,
    /// It, and the default policy.
    policies: BTreeMap<String, PolicySection>,
    /// The contract's own targets.
    severity: BTreeMap<String, SeveritySection>,
    /// Its calendars in place of those that the policy names.
    calendars: BTreeMap<String, String>,
    /// Engineers are there at all hours.
    cloud: bool,
}

/// The terms of a contract as text, and their version: the same terms have the same version,
/// whatever else is in the configuration.
pub(super) fn terms(sections: &SlaSections, contract: &ContractSection) -> (String, String) {
    let policies = sections
        .policy
        .iter()
        .filter(|(name, policy)| **name == contract.policy || policy.default);
    let terms = Terms {
        policy: contract.policy.clone(),
        policies: policies
            .map(|(name, policy)| (name.clone(), policy.clone()))
            .collect(),
        severity: contract.severity.clone(),
        calendars: contract.calendars.clone(),
        cloud: contract.cloud,
    };
    let text = written(&terms);
    let digest = Sha256::digest(text.as_bytes());
    let version = digest
        .iter()
        .take(VERSION_BYTES)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    (text, version)
}

/// As JSON without what is not said, so that a key that a later program knows changes no version.
fn written<T: Serialize>(value: &T) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    said(value).unwrap_or_default().to_string()
}

fn said(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::Array(items) => {
            let items: Vec<Value> = items.into_iter().filter_map(said).collect();
            (!items.is_empty()).then_some(Value::Array(items))
        }
        Value::Object(fields) => {
            let fields: serde_json::Map<String, Value> = fields
                .into_iter()
                .filter_map(|(name, value)| Some((name, said(value)?)))
                .collect();
            (!fields.is_empty()).then_some(Value::Object(fields))
        }
        other => Some(other),
    }
}

/// A contract by its earlier terms: everything else (accounts, language, zone) is as it is now.
/// `None`: the terms cannot be read, or name a calendar that is gone.
pub fn as_agreed(
    name: &str,
    version: &str,
    terms: &str,
    now: Option<&Contract>,
    calendars: &BTreeMap<String, Arc<Calendar>>,
) -> Option<Contract> {
    let read: Terms = serde_json::from_str(terms).ok()?;
    let section = ContractSection {
        policy: read.policy,
        severity: read.severity,
        calendars: read.calendars,
        cloud: read.cloud,
        ..ContractSection::default()
    };
    let sections = SlaSections {
        policy: read.policies,
        ..SlaSections::default()
    };
    let mut then = compile::alone(name, &section, &sections, calendars)?;
    version.clone_into(&mut then.version);
    terms.clone_into(&mut then.terms);
    let Some(now) = now else { return Some(then) };
    Some(Contract {
        policy: then.policy,
        version: then.version,
        terms: then.terms,
        scale: then.scale,
        severities: then.severities,
        categories: then.categories,
        clock_start: then.clock_start,
        severity_change: then.severity_change,
        reopen_window: then.reopen_window,
        ack_counts: then.ack_counts,
        public_note_counts: then.public_note_counts,
        wait_needs_question: then.wait_needs_question,
        pause_waiting: then.pause_waiting,
        pause_maintenance: then.pause_maintenance,
        wait_limit: then.wait_limit,
        calendars: then.calendars,
        close_as: then.close_as,
        levels: then.levels,
        ..now.clone()
    })
}

/// Calendars as text, by name.
pub(super) fn calendar_texts(
    sections: &BTreeMap<String, CalendarSection>,
) -> BTreeMap<String, String> {
    sections
        .iter()
        .map(|(name, section)| (name.clone(), written(section)))
        .collect()
}

fn calendar_sections(texts: &BTreeMap<String, String>) -> BTreeMap<String, CalendarSection> {
    texts
        .iter()
        .filter_map(|(name, text)| Some((name.clone(), serde_json::from_str(text).ok()?)))
        .collect()
}

/// Calendars out of their texts; none if one of them cannot be read any more.
pub fn calendars(texts: &BTreeMap<String, String>) -> BTreeMap<String, Arc<Calendar>> {
    let sections = calendar_sections(texts);
    let texts = sections
        .iter()
        .map(|(name, section)| (name.clone(), section.text()))
        .collect();
    read_all(&texts, &TimeZoneDatabase::bundled()).unwrap_or_default()
}

/// Names of calendars that say something else than before, unions of such ones included. A calendar
/// that is new has not changed.
pub fn changed_calendars(
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> BTreeSet<String> {
    let mut changed: BTreeSet<String> = before
        .iter()
        .filter(|(name, text)| after.get(*name).is_some_and(|new| new != *text))
        .map(|(name, _)| name.clone())
        .collect();
    let sections = calendar_sections(after);
    // Unions of unions: as many rounds as there are calendars are enough.
    for _ in 0..sections.len() {
        for (name, section) in &sections {
            let members = section.union.iter().flatten();
            if members.clone().any(|member| changed.contains(member)) {
                changed.insert(name.clone());
            }
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"
        [policy.p]
        [policy.p.category]
        incident = { severity = "set", targets = ["restore"] }
        [policy.p.severity.1]
        restore = { within = "6h", calendar = "office" }
        [policy.other.category]
        incident = { severity = "set", targets = [] }
        [calendar.office]
        tz = "Europe/Paris"
        week = { mon = [["09:00", "17:00"]] }
        [calendar.both]
        union = ["office"]
    "#;

    fn compiled(text: &str) -> super::super::Sla {
        let sections: SlaSections = toml::from_str(text).unwrap();
        sections.compile(&TimeZoneDatabase::bundled()).unwrap().0
    }

    fn contract(text: &str) -> Arc<Contract> {
        compiled(&format!("{POLICY}{text}")).contracts["acme"].clone()
    }

    #[test]
    fn a_version_follows_from_the_terms_and_from_nothing_else() {
        let plain = contract("[contract.acme]\npolicy = \"p\"\n");
        let language = contract("[contract.acme]\npolicy = \"p\"\nlocale = \"fr\"\n");
        assert_eq!(plain.version, language.version);
        assert_eq!(plain.version.len(), 8);
        let own =
            contract("[contract.acme]\npolicy = \"p\"\nseverity.1.restore = { within = \"4h\" }\n");
        assert_ne!(plain.version, own.version);
    }

    #[test]
    fn earlier_terms_give_the_same_contract_again_with_what_is_new_beside_them() {
        let before =
            contract("[contract.acme]\npolicy = \"p\"\nseverity.1.restore = { within = \"4h\" }\n");
        let now = compiled(&format!(
            "{POLICY}\n[contract.acme]\npolicy = \"p\"\nlocale = \"ja\"\n"
        ));
        let current = &now.contracts["acme"];
        let again = as_agreed(
            "acme",
            &before.version,
            &before.terms,
            Some(current),
            &now.calendars,
        )
        .unwrap();
        assert_eq!(again.table(), before.table());
        assert_eq!(
            (again.locale.as_str(), &again.version),
            ("ja", &before.version)
        );
        assert_ne!(again.table(), current.table());
        // What pauses a clock is a term like its length.
        let paused = POLICY.replacen("[policy.p]", "[policy.p]\npause_on = [\"maintenance\"]", 1);
        let then =
            &compiled(&format!("{paused}\n[contract.acme]\npolicy = \"p\"\n")).contracts["acme"];
        let again = as_agreed(
            "acme",
            &then.version,
            &then.terms,
            Some(current),
            &now.calendars,
        );
        let again = again.unwrap();
        assert_eq!(
            (again.pause_waiting, again.pause_maintenance),
            (false, true)
        );
        assert_eq!(
            (current.pause_waiting, current.pause_maintenance),
            (true, false)
        );
        let gone = as_agreed("acme", "x", &current.terms, None, &BTreeMap::new());
        assert!(gone.is_none(), "its calendar is not there");
    }

    #[test]
    fn a_union_changes_with_its_members_and_texts_are_calendars_again() {
        let before = compiled(POLICY).calendar_texts;
        let after = compiled(&POLICY.replace("09:00", "10:00")).calendar_texts;
        let changed = changed_calendars(&before, &after);
        assert_eq!(changed.into_iter().collect::<Vec<_>>(), ["both", "office"]);
        assert!(changed_calendars(&before, &before).is_empty());
        assert!(calendars(&before).contains_key("both"));
    }
}
