//! `[[rule]]`: ordered rules. The first that matches decides, unless it says `continue`.

use super::{Facts, Matcher, Several, TAG};
use crate::model::Severity;
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
    /// Sets the severity that counts while the inventory proves none, `S1` to `S5`; the hint follows
    /// from it, unless it is set as well.
    pub severity: Option<Severity>,
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
    /// Adds tags: shown with the incident, and matched as `tag` by later rules, routes, silences
    /// and windows.
    pub tags: Vec<String>,
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
    /// The severity while the inventory proves none.
    pub severity: Option<Severity>,
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
    /// Tags of all rules that matched, in their order.
    pub tags: Vec<String>,
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
    fn matches(&self, facts: &Facts, tags: &[String]) -> bool {
        let several = tagged(facts, tags);
        self.all.matches_with(facts, &several)
            && (self.any.is_empty() || self.any.matches_any(facts, &several))
            && !self.not.matches_any(facts, &several)
    }

    /// Why it does not match, if only one thing stands in the way.
    fn near_miss(&self, facts: &Facts, tags: &[String]) -> Option<String> {
        let several = tagged(facts, tags);
        let mut misses = self.all.misses(facts, &several);
        if !self.any.is_empty() && !self.any.matches_any(facts, &several) {
            misses.extend(self.any.misses(facts, &several).into_iter().next());
        }
        if self.not.matches_any(facts, &several) {
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

/// The fields that have several values: `tag` is what rules before it added, and a label of that
/// name.
pub fn tagged<'a>(facts: &'a Facts, tags: &'a [String]) -> impl Fn(&str) -> Option<Several> + 'a {
    move |field| {
        (field == TAG).then(|| {
            let label = facts.event.labels.get(TAG);
            Several::Any(tags.iter().chain(label).cloned().collect())
        })
    }
}

/// Longest tag, bytes.
const TAG_BYTES_MAX: usize = 64;

fn is_tag(text: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "-_.:/=".contains(c);
    !text.is_empty() && text.len() <= TAG_BYTES_MAX && text.chars().all(plain)
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
            for tag in rule.tags.iter().filter(|tag| !is_tag(tag)) {
                problems.push(format!(
                    "{place}: tags: `{tag}` is no tag; it is made of letters, digits and -_.:/="
                ));
            }
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
            if !compiled.matches(facts, &ruled.tags) {
                continue;
            }
            let (hold, rule) = (&compiled.hold, &compiled.rule);
            let hint = rule.hint.or(rule.severity.map(hint_of));
            ruled.hint = ruled.hint.or(hint);
            ruled.severity = ruled.severity.or(rule.severity);
            ruled.component_kind = ruled.component_kind.or(rule.component_kind);
            ruled.element = ruled.element.or_else(|| rule.element.clone());
            ruled.group = ruled.group.or_else(|| rule.group.clone());
            ruled.hold = ruled.hold.or(*hold);
            ruled.route = ruled.route.or_else(|| rule.route.clone());
            for tag in &rule.tags {
                if !ruled.tags.contains(tag) {
                    ruled.tags.push(tag.clone());
                }
            }
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
        let mut tags: Vec<String> = Vec::new();
        for (index, compiled) in self.rules.iter().enumerate() {
            let name = format!("{} `{}`", index + 1, compiled.rule.name);
            if !decided && compiled.matches(facts, &tags) {
                decided = !compiled.rule.further;
                tags.extend(compiled.rule.tags.iter().cloned());
                let how = Ok(compiled.rule.sets());
                traced.push(Traced { name, how });
            } else if let Some(miss) = compiled.near_miss(facts, &tags) {
                traced.push(Traced {
                    name,
                    how: Err(miss),
                });
            }
        }
        traced
    }
}

/// What an alert of a severity says of its element.
fn hint_of(severity: Severity) -> SeverityHint {
    match severity {
        Severity::S1 | Severity::S2 => SeverityHint::Outage,
        Severity::S3 => SeverityHint::Degradation,
        Severity::S4 => SeverityHint::Redundancy,
        Severity::S5 => SeverityHint::Info,
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
        parts.extend(self.severity.map(|severity| format!("severity {severity}")));
        parts.extend(
            self.component_kind
                .map(|kind| format!("kind {}", kind.word())),
        );
        parts.extend(named("element", &self.element));
        parts.extend(named("group", &self.group));
        parts.extend(named("hold", &self.hold));
        parts.extend(named("route", &self.route));
        let tags = self.tags.join(", ");
        parts.extend((!tags.is_empty()).then(|| format!("tags {tags}")));
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
    fn tags_add_up_and_later_rules_ask_for_them() {
        let rule = |name: &str, matchers: &[&str]| Rule {
            name: name.into(),
            matchers: matchers.iter().map(ToString::to_string).collect(),
            further: true,
            ..Rule::default()
        };
        let rules = Ruleset::compile(vec![
            Rule {
                tags: vec!["core".into(), "team:net".into()],
                ..rule("first", &["host=db-1"])
            },
            rule("too early", &["tag=late", "host=db-1"]),
            Rule {
                tags: vec!["core".into(), "late".into()],
                severity: Some(Severity::S4),
                ..rule("glob", &["tag~team:*", "tag!=late"])
            },
            Rule {
                severity: Some(Severity::S1),
                ..rule("last", &["tag=~l.te"])
            },
            rule("by the sender", &["tag=own"]),
            rule("not both", &["tag!=core"]),
        ])
        .unwrap();
        let mut event = Event::new(EventState::Firing, Identity::key("1").unwrap(), "x");
        event.host = Some("db-1".into());
        event.labels.insert("tag".into(), "own".into());
        let facts = Facts {
            source: "a",
            sender: "a",
            event: &event,
        };
        let ruled = rules.evaluate(&facts);
        assert_eq!(ruled.matched, ["first", "glob", "last", "by the sender"]);
        assert_eq!(ruled.tags, ["core", "team:net", "late"]);
        // The first that says it counts; the hint follows from the severity.
        assert_eq!(ruled.severity, Some(Severity::S4));
        assert_eq!(ruled.hint, Some(SeverityHint::Redundancy));
        let traced = rules.trace(&facts);
        let told: Vec<_> = traced.iter().map(|t| (t.name.as_str(), &t.how)).collect();
        assert_eq!(
            told[1],
            (
                "2 `too early`",
                &Err("tag is `core, team:net, own`, not `late`".to_owned())
            )
        );
        assert_eq!(told[2].1, &Ok("severity S4, tags core, late".to_owned()));
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
