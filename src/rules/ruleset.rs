//! `[[rule]]`: ordered rules. The first that matches decides, unless it says `continue`.

use super::{Facts, Matcher};
use crate::model::event::{ComponentKind, SeverityHint};
use serde::Deserialize;
use std::time::Duration;

/// One rule as written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// Its name, for explanations.
    pub name: String,
    /// Conditions, of which all must hold.
    #[serde(rename = "match")]
    pub matchers: Vec<String>,
    /// Sets the hint: `outage`, `degradation`, `redundancy`, `info`, `unknown`.
    pub hint: Option<SeverityHint>,
    /// Sets the component kind.
    pub component_kind: Option<ComponentKind>,
    /// Sets the inventory element.
    pub element: Option<String>,
    /// Groups alerts with the same key.
    pub group: Option<String>,
    /// Sets the hold, like `90s`.
    pub hold: Option<String>,
    /// Sets the route.
    pub route: Option<String>,
    /// Drops the event; it is counted as filtered.
    pub drop: bool,
    /// Its content must not leave the bridge.
    pub sensitive: bool,
    /// Goes on with the rules that follow.
    #[serde(rename = "continue")]
    pub further: bool,
}

/// What the rules say about an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruled {
    /// The hint.
    pub hint: Option<SeverityHint>,
    /// The component kind.
    pub component_kind: Option<ComponentKind>,
    /// The element.
    pub element: Option<String>,
    /// The group key.
    pub group: Option<String>,
    /// The hold.
    pub hold: Option<Duration>,
    /// The route.
    pub route: Option<String>,
    /// Drop it.
    pub drop: bool,
    /// Its content must not leave the bridge.
    pub sensitive: bool,
    /// Names of the rules that matched.
    pub matched: Vec<String>,
}

/// Compiled rules.
#[derive(Clone, Debug, Default)]
pub struct Ruleset {
    rules: Vec<(Matcher, Option<Duration>, Rule)>,
}

impl Ruleset {
    /// Compiles rules; the errors name the rule and the key.
    pub fn compile(rules: Vec<Rule>) -> Result<Ruleset, Vec<String>> {
        let mut compiled = Vec::new();
        let mut problems = Vec::new();
        for (index, rule) in rules.into_iter().enumerate() {
            let place = format!("rule {} `{}`", index + 1, rule.name);
            let hold = rule
                .hold
                .as_deref()
                .map(crate::model::time::duration::parse)
                .transpose();
            match (Matcher::all(&rule.matchers), hold) {
                (Ok(matcher), Ok(hold)) => compiled.push((matcher, hold, rule)),
                (matcher, hold) => {
                    problems.extend(matcher.err().map(|e| format!("{place}: match: {e}")));
                    problems.extend(hold.err().map(|e| format!("{place}: hold: {e}")));
                }
            }
        }
        if problems.is_empty() {
            Ok(Ruleset { rules: compiled })
        } else {
            Err(problems)
        }
    }

    /// Asks the rules in order.
    pub fn evaluate(&self, facts: &Facts) -> Ruled {
        let mut ruled = Ruled::default();
        for (matcher, hold, rule) in &self.rules {
            if !matcher.matches(facts) {
                continue;
            }
            ruled.hint = ruled.hint.or(rule.hint);
            ruled.component_kind = ruled.component_kind.or(rule.component_kind);
            ruled.element = ruled.element.or_else(|| rule.element.clone());
            ruled.group = ruled.group.or_else(|| rule.group.clone());
            ruled.hold = ruled.hold.or(*hold);
            ruled.route = ruled.route.or_else(|| rule.route.clone());
            ruled.drop |= rule.drop;
            ruled.sensitive |= rule.sensitive;
            ruled.matched.push(rule.name.clone());
            if !rule.further {
                break;
            }
        }
        ruled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Event, EventState, Identity};

    #[test]
    fn the_first_match_decides_unless_it_continues() {
        let rules: Vec<Rule> = toml::from_str::<std::collections::BTreeMap<String, Vec<Rule>>>(
            r#"
            [[rule]]
            name = "sensitive"
            match = ["host=~db.*"]
            sensitive = true
            continue = true
            [[rule]]
            name = "psu"
            match = ["summary=~.*PSU.*"]
            hint = "redundancy"
            hold = "30s"
            [[rule]]
            name = "rest"
            hint = "outage"
            "#,
        )
        .unwrap()
        .remove("rule")
        .unwrap();
        let rules = Ruleset::compile(rules).unwrap();
        let mut event = Event::new(
            EventState::Firing,
            Identity::key("1").unwrap(),
            "PSU 1 failed",
        );
        event.host = Some("db-1".into());
        let ruled = rules.evaluate(&Facts {
            source: "a",
            sender: "a",
            event: &event,
        });
        assert_eq!(ruled.matched, ["sensitive", "psu"]);
        assert_eq!(ruled.hint, Some(SeverityHint::Redundancy));
        assert_eq!(ruled.hold, Some(Duration::from_secs(30)));
        assert!(ruled.sensitive);
    }

    #[test]
    fn problems_name_the_rule() {
        let rule = Rule {
            name: "x".into(),
            hold: Some("soon".into()),
            ..Rule::default()
        };
        let problems = Ruleset::compile(vec![rule]).unwrap_err();
        assert!(problems[0].starts_with("rule 1 `x`: hold: `soon` is not a duration"));
    }
}
