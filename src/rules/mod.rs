//! Operators' conditions over events: matchers, and ordered rules. Pure.
//!
//! A matcher is written `field=value`, `field!=value`, `field=~regex`, `field!~regex` or
//! `field~glob`, where `*` stands for any text and `?` for any one character. Fields
//! are `source`, `sender`, `state`, `site`, `host`, `component`, `component_kind`, `check`,
//! `service`, `severity`, `hint`, `summary`, `tag` (what rules before it added), and every label by
//! its name (`labels.` in front is allowed). Regular expressions and globs match the whole value.

mod ruleset;

pub use ruleset::{Rule, Ruled, Ruleset, Traced, tagged};

use crate::model::Event;
use regex::Regex;

/// The field that has the tags of rules.
pub const TAG: &str = "tag";

/// What is matched: an event and where it came from.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The source's name.
    pub source: &'a str,
    /// The format that decoded it.
    pub sender: &'a str,
    /// The event.
    pub event: &'a Event,
}

impl Facts<'_> {
    /// The value of a field; absent ones are empty.
    pub fn field(&self, name: &str) -> &str {
        let event = self.event;
        match name {
            "source" => self.source,
            "sender" => self.sender,
            "state" => event.state.word(),
            "site" => event.site.as_deref().unwrap_or(""),
            "host" => event.host.as_deref().unwrap_or(""),
            "component" => event.component.as_deref().unwrap_or(""),
            "component_kind" => event.component_kind.map_or("", |kind| kind.word()),
            "check" => event.check.as_deref().unwrap_or(""),
            "service" => event.service.as_deref().unwrap_or(""),
            "severity" => event.severity.as_deref().unwrap_or(""),
            "hint" => event.severity_hint.word(),
            "summary" => &event.summary,
            label => {
                let label = label.strip_prefix("labels.").unwrap_or(label);
                event.labels.get(label).map_or("", String::as_str)
            }
        }
    }
}

/// One condition, or several of which all must hold.
#[derive(Clone, Debug, Default)]
pub struct Matcher {
    conditions: Vec<Condition>,
}

#[derive(Clone, Debug)]
struct Condition {
    field: String,
    test: Test,
    negated: bool,
}

#[derive(Clone, Debug)]
enum Test {
    Equals(String),
    Matches(Regex),
}

impl Condition {
    fn holds(&self, value: &str) -> bool {
        self.test.finds(value) != self.negated
    }

    fn holds_with(&self, facts: &Facts, several: &dyn Fn(&str) -> Option<Several>) -> bool {
        match several(&self.field) {
            None => self.holds(facts.field(&self.field)),
            Some(Several::Any(values)) => {
                values.iter().any(|value| self.test.finds(value)) != self.negated
            }
            Some(Several::All(values)) if self.negated => {
                !values.iter().any(|value| self.test.finds(value))
            }
            Some(Several::All(values)) => {
                !values.is_empty() && values.iter().all(|value| self.test.finds(value))
            }
        }
    }

    fn wanted(&self) -> String {
        let not = if self.negated { "anything but " } else { "" };
        match &self.test {
            Test::Equals(value) => format!("{not}`{value}`"),
            Test::Matches(regex) => {
                let whole = regex.as_str();
                let inner = whole.strip_prefix("^(?:").unwrap_or(whole);
                let inner = inner.strip_suffix(")$").unwrap_or(inner);
                format!("{not}like `{inner}`")
            }
        }
    }
}

impl Test {
    fn finds(&self, value: &str) -> bool {
        match self {
            Test::Equals(wanted) => value == wanted,
            Test::Matches(regex) => regex.is_match(value),
        }
    }
}

/// The values of a field that has several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Several {
    /// One of them is enough.
    Any(Vec<String>),
    /// All of them must match, and there must be one.
    All(Vec<String>),
}

impl Matcher {
    /// Reads one condition.
    pub fn parse(text: &str) -> Result<Matcher, String> {
        Ok(Matcher {
            conditions: vec![parse_condition(text)?],
        })
    }

    /// Reads several conditions, of which all must hold.
    pub fn all<S: AsRef<str>>(texts: &[S]) -> Result<Matcher, String> {
        let conditions = texts.iter().map(|text| parse_condition(text.as_ref()));
        Ok(Matcher {
            conditions: conditions.collect::<Result<_, _>>()?,
        })
    }

    /// Whether all conditions hold, where some fields have several values.
    pub fn matches_with(&self, facts: &Facts, several: &dyn Fn(&str) -> Option<Several>) -> bool {
        let mut conditions = self.conditions.iter();
        conditions.all(|condition| condition.holds_with(facts, several))
    }

    /// Whether all conditions hold for named values; a field that is not named is empty. Of a field
    /// that is named several times any value will do, and none may be one that is ruled out.
    pub fn matches_fields(&self, fields: &[(&str, String)]) -> bool {
        self.conditions.iter().all(|condition| {
            let mut values = fields
                .iter()
                .filter(|(name, _)| *name == condition.field)
                .map(|(_, value)| value.as_str())
                .peekable();
            if values.peek().is_none() {
                return condition.holds("");
            }
            values.any(|value| condition.test.finds(value)) != condition.negated
        })
    }

    /// Whether some condition holds, where some fields have several values; a matcher that has no
    /// condition never does.
    pub fn matches_any(&self, facts: &Facts, several: &dyn Fn(&str) -> Option<Several>) -> bool {
        let mut conditions = self.conditions.iter();
        conditions.any(|condition| condition.holds_with(facts, several))
    }

    /// The fields that it looks at.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.conditions
            .iter()
            .map(|condition| condition.field.as_str())
    }

    /// What a condition on a field asks for, if none of these values, all that it can have, meets it.
    pub fn never_met(&self, field: &str, values: &[&str]) -> Option<String> {
        let mut asked = self.conditions.iter().filter(|one| one.field == field);
        asked
            .find(|one| !values.iter().any(|value| one.holds(value)))
            .map(Condition::wanted)
    }

    /// How many conditions there are.
    pub fn len(&self) -> usize {
        self.conditions.len()
    }

    /// Whether there is no condition.
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }

    /// The conditions that do not hold, with what was found instead, for people.
    pub fn misses(&self, facts: &Facts, several: &dyn Fn(&str) -> Option<Several>) -> Vec<String> {
        let conditions = self.conditions.iter();
        let missed = conditions.filter(|condition| !condition.holds_with(facts, several));
        missed
            .map(|condition| {
                let found = match several(&condition.field) {
                    Some(Several::Any(values) | Several::All(values)) => values.join(", "),
                    None => facts.field(&condition.field).to_owned(),
                };
                let (field, wanted) = (&condition.field, condition.wanted());
                format!("{field} is `{found}`, not {wanted}")
            })
            .collect()
    }
}

fn parse_condition(text: &str) -> Result<Condition, String> {
    for (operator, negated, regex) in [
        ("!=", true, false),
        ("!~", true, true),
        ("=~", false, true),
        ("=", false, false),
        ("~", false, true),
    ] {
        let Some((field, value)) = text.split_once(operator) else {
            continue;
        };
        let field = field.trim();
        // `a=b!=c` is an equality whose value holds the other operator.
        if field.is_empty() || field.contains(['=', '!', '~']) {
            continue;
        }
        let value = value.trim().trim_matches('"');
        let test = if regex {
            let whole = if operator == "~" {
                glob(value)
            } else {
                format!("^(?:{value})$")
            };
            Test::Matches(Regex::new(&whole).map_err(|error| {
                format!("`{value}` in `{text}` is not a regular expression: {error}")
            })?)
        } else {
            Test::Equals(value.to_owned())
        };
        return Ok(Condition {
            field: field.to_owned(),
            test,
            negated,
        });
    }
    Err(format!(
        "`{text}` is not a matcher; expected like `host=core-1` or `site=~ams.*`"
    ))
}

/// A glob as a regular expression over the whole value.
fn glob(pattern: &str) -> String {
    let mut regex = String::from("^(?s:");
    for c in pattern.chars() {
        match c {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            other => regex.push_str(&regex::escape(&other.to_string())),
        }
    }
    regex.push_str(")$");
    regex
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EventState, Identity};

    fn event() -> Event {
        let identity = Identity::key("1").unwrap();
        let mut event = Event::new(EventState::Firing, identity, "PSU failed");
        event.host = Some("core-1".into());
        event.labels.insert("team".into(), "noc".into());
        event
    }

    fn holds(text: &str) -> bool {
        let event = event();
        let facts = Facts {
            source: "zabbix",
            sender: "zabbix",
            event: &event,
        };
        Matcher::parse(text)
            .unwrap()
            .matches_with(&facts, &|_| None)
    }

    #[test]
    fn fields_and_labels_match_exactly_or_by_whole_regex() {
        assert!(holds("host=core-1"));
        assert!(holds("labels.team=noc"));
        assert!(holds("team=noc"));
        assert!(holds("host=~core-.*"));
        assert!(!holds("host=~core"));
        assert!(holds("site!=ams"));
        assert!(holds("host!~edge.*"));
        assert!(!holds("host=core-2"));
        assert!(holds("host~core-*"));
        assert!(holds("host~c?re-1"));
        assert!(!holds("host~core"));
        assert!(!holds("summary~*(*"));
    }

    #[test]
    fn wrong_matchers_say_what_was_expected() {
        assert!(
            Matcher::parse("core-1")
                .unwrap_err()
                .contains("expected like")
        );
        assert!(
            Matcher::parse("host=~(")
                .unwrap_err()
                .contains("not a regular expression")
        );
    }
}
