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
    /// Conditions, of which one must hold, if there are any.
    pub any: Vec<String>,
    /// Conditions, of which none may hold.
    pub not: Vec<String>,
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
    /// It concerns security: customers hear of it once a person releases a message.
    pub security: bool,
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
    /// The rule by which it concerns security.
    pub security: Option<String>,
    /// Names of the rules that matched.
    pub matched: Vec<String>,
}

/// Compiled rules.
#[derive(Clone, Debug, Default)]
pub struct Ruleset {
    rules: Vec<Compiled>,
}

#[derive(Clone, Debug)]
struct Compiled {
    all: Matcher,
    any: Matcher,
    not: Matcher,
    hold: Option<Duration>,
    rule: Rule,
}

impl Compiled {
    fn matches(&self, facts: &Facts) -> bool {
        self.all.matches(facts)
            && (self.any.is_empty() || self.any.matches_any(facts))
            && !self.not.matches_any(facts)
    }

    /// Why it does not match, if only one thing stands in the way.
    fn near_miss(&self, facts: &Facts) -> Option<String> {
        let mut misses = self.all.misses(facts);
        if !self.any.is_empty() && !self.any.matches_any(facts) {
            misses.extend(self.any.first_miss(facts));
        }
        if self.not.matches_any(facts) {
            misses.push("one of its `not` conditions holds".to_owned());
        }
        let conditions =
            self.all.len() + usize::from(!self.any.is_empty()) + usize::from(!self.not.is_empty());
        match misses.as_slice() {
            [only] if conditions > 1 => Some(only.clone()),
            _ => None,
        }
    }
}

/// How one rule stands to an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traced {
    /// The rule's place, from 1, and its name.
    pub name: String,
    /// What it sets, if it matched; else the one thing that stands in the way.
    pub how: Result<String, String>,
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
            let all = Matcher::all(&rule.matchers);
            let any = Matcher::all(&rule.any);
            let not = Matcher::all(&rule.not);
            match (all, any, not, hold) {
                (Ok(all), Ok(any), Ok(not), Ok(hold)) => compiled.push(Compiled {
                    all,
                    any,
                    not,
                    hold,
                    rule,
                }),
                (all, any, not, hold) => {
                    problems.extend(all.err().map(|e| format!("{place}: match: {e}")));
                    problems.extend(any.err().map(|e| format!("{place}: any: {e}")));
                    problems.extend(not.err().map(|e| format!("{place}: not: {e}")));
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
        for compiled in &self.rules {
            if !compiled.matches(facts) {
                continue;
            }
            let (hold, rule) = (&compiled.hold, &compiled.rule);
            ruled.hint = ruled.hint.or(rule.hint);
            ruled.component_kind = ruled.component_kind.or(rule.component_kind);
            ruled.element = ruled.element.or_else(|| rule.element.clone());
            ruled.group = ruled.group.or_else(|| rule.group.clone());
            ruled.hold = ruled.hold.or(*hold);
            ruled.route = ruled.route.or_else(|| rule.route.clone());
            ruled.drop |= rule.drop;
            ruled.sensitive |= rule.sensitive;
            if rule.security && ruled.security.is_none() {
                ruled.security = Some(rule.name.clone());
            }
            ruled.matched.push(rule.name.clone());
            if !rule.further {
                break;
            }
        }
        ruled
    }

    /// The rules that matched, with what they set, and those that nearly did, with what stood in
    /// the way; in order, until one decides.
    pub fn trace(&self, facts: &Facts) -> Vec<Traced> {
        let mut traced = Vec::new();
        let mut decided = false;
        for (index, compiled) in self.rules.iter().enumerate() {
            let name = format!("{} `{}`", index + 1, compiled.rule.name);
            if !decided && compiled.matches(facts) {
                decided = !compiled.rule.further;
                let how = Ok(compiled.rule.sets());
                traced.push(Traced { name, how });
            } else if let Some(miss) = compiled.near_miss(facts) {
                traced.push(Traced {
                    name,
                    how: Err(miss),
                });
            }
        }
        traced
    }
}

impl Rule {
    /// What it sets, for people.
    fn sets(&self) -> String {
        let named = |name: &str, value: &Option<String>| {
            value.as_ref().map(|value| format!("{name} `{value}`"))
        };
        let mut parts: Vec<String> = Vec::new();
        parts.extend(self.hint.map(|hint| format!("hint {}", hint.word())));
        parts.extend(
            self.component_kind
                .map(|kind| format!("kind {}", kind.word())),
        );
        parts.extend(named("element", &self.element));
        parts.extend(named("group", &self.group));
        parts.extend(named("hold", &self.hold));
        parts.extend(named("route", &self.route));
        parts.extend(self.drop.then(|| "drop".to_owned()));
        parts.extend(self.sensitive.then(|| "sensitive".to_owned()));
        parts.extend(self.security.then(|| "security".to_owned()));
        if parts.is_empty() {
            "nothing".to_owned()
        } else {
            parts.join(", ")
        }
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
    fn any_and_not_and_what_nearly_matched() {
        let rule = |name: &str, all: &[&str], any: &[&str], not: &[&str]| Rule {
            name: name.into(),
            matchers: all.iter().map(ToString::to_string).collect(),
            any: any.iter().map(ToString::to_string).collect(),
            not: not.iter().map(ToString::to_string).collect(),
            hint: Some(SeverityHint::Outage),
            ..Rule::default()
        };
        let rules = Ruleset::compile(vec![
            rule("near", &["host=db-1", "site=ams"], &[], &[]),
            rule("far", &["host=x", "site=y"], &[], &[]),
            rule("not", &["host=db-1"], &[], &["summary~*PSU*"]),
            rule("any", &[], &["site=ams", "host=db-1"], &["host=x"]),
        ])
        .unwrap();
        let identity = Identity::key("1").unwrap();
        let mut event = Event::new(EventState::Firing, identity, "PSU 1 failed");
        event.host = Some("db-1".into());
        let facts = Facts {
            source: "a",
            sender: "a",
            event: &event,
        };
        assert_eq!(rules.evaluate(&facts).matched, ["any"]);
        let traced = rules.trace(&facts);
        let told: Vec<_> = traced
            .iter()
            .map(|t| (t.name.as_str(), t.how.clone()))
            .collect();
        assert_eq!(
            told,
            [
                ("1 `near`", Err("site is ``, not `ams`".to_owned())),
                (
                    "3 `not`",
                    Err("one of its `not` conditions holds".to_owned())
                ),
                ("4 `any`", Ok("hint outage".to_owned())),
            ]
        );
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
