//! What was refused in one place, and which problems elsewhere may be there only because of it.

use super::read::{Problem, Step};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Something that is known and was refused, and is therefore missing for those who look at the whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Refused {
    /// The section.
    section: String,
    /// The keys within it; none: a whole entry, or the section.
    inside: Vec<String>,
    /// Whether it is in an entry of a list.
    in_list: bool,
    /// The name of that entry.
    name: Option<String>,
}

impl Refused {
    /// What is at a place of a tree.
    pub(super) fn at(tree: &DeTable, place: &[Step]) -> Refused {
        let mut keys = place.iter().filter_map(|step| match step {
            Step::Key(key) => Some(key.clone()),
            Step::Place(_) => None,
        });
        let section = keys.next().unwrap_or_default();
        let entries = tree.get(section.as_str()).map(Spanned::get_ref);
        let index = match place.get(1) {
            Some(Step::Place(index)) => Some(*index),
            _ => None,
        };
        let entry = match (entries, index) {
            (Some(DeValue::Array(entries)), Some(index)) => entries.get(index),
            _ => None,
        };
        let name = match entry.map(Spanned::get_ref) {
            Some(DeValue::Table(entry)) => entry.get("name").and_then(|n| n.get_ref().as_str()),
            _ => None,
        };
        Refused {
            name: name.map(str::to_owned),
            in_list: index.is_some(),
            inside: keys.collect(),
            section,
        }
    }

    /// Whether a problem may be there only because of it.
    fn may_cause(&self, problem: &Problem) -> bool {
        if self.section.is_empty() {
            return true;
        }
        let named: Vec<&str> = [&problem.key, &problem.what]
            .into_iter()
            .flat_map(|text| text.split('`').skip(1).step_by(2))
            .collect();
        let is_named = |name: &str| named.contains(&name);
        if !problem.key.starts_with(&self.section) {
            // An entry that is gone is missed by its name, a value by that of its key.
            return match &self.name {
                Some(name) if self.inside.is_empty() => is_named(name),
                _ => self.inside.iter().any(|key| speaks_of(&problem.what, key)),
            };
        }
        if self.in_list && !named.is_empty() && !self.name.as_deref().is_some_and(is_named) {
            return false;
        }
        match (self.inside.first(), key_of(problem, &self.section)) {
            (Some(refused), Some(key)) => refused == key || speaks_of(&problem.what, refused),
            _ => true,
        }
    }
}

/// Whether a sentence has a key. What it lists as known says nothing.
fn speaks_of(what: &str, key: &str) -> bool {
    let said = what.split("; there are").next().unwrap_or_default();
    let mut words = said.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-')));
    words.any(|word| word.eq_ignore_ascii_case(key))
}

/// The key of a section that a problem is about: `tls` of "http.tls", `match` of "route `a`" with
/// "match: ...", `days` of "maintenance" with "maintenance `x`: days: ...".
fn key_of<'a>(problem: &'a Problem, section: &str) -> Option<&'a str> {
    let within = problem.key.strip_prefix(section)?;
    if let Some(within) = within.strip_prefix('.') {
        return within.split('.').next();
    }
    let what = problem.what.as_str();
    let what = what
        .split_once("`: ")
        .filter(|(entry, _)| !entry.contains(": "));
    let what = what.map_or(problem.what.as_str(), |(_, rest)| rest);
    let (key, _) = what.split_once(": ")?;
    let is_key = |c: char| c.is_ascii_lowercase() || c == '_';
    (!key.is_empty() && key.chars().all(is_key)).then_some(key)
}

/// Whether a problem may be there only because something else was refused.
pub(super) fn may_follow(problem: &Problem, refused: &[Refused]) -> bool {
    refused.iter().any(|refused| refused.may_cause(problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is refused where `path` is, a list's places as numbers.
    fn refused(text: &str, path: &str) -> [Refused; 1] {
        let tree = DeTable::parse(text).unwrap();
        let step = |step: &str| match step.parse() {
            Ok(place) => Step::Place(place),
            Err(_) => Step::Key(step.to_owned()),
        };
        let place: Vec<Step> = path.split('.').map(step).collect();
        [Refused::at(tree.get_ref(), &place)]
    }

    fn follows(refused: &[Refused], key: &str, what: &str) -> bool {
        may_follow(&Problem::of(key, what), refused)
    }

    #[test]
    fn an_entry_hides_nothing_of_its_neighbours() {
        let text = "[[source]]\nname = \"a\"\n[[source]]\nname = \"b\"\nrate = \"x\"\n\
                    credentials = 1\n";
        let rate = refused(text, "source.1.rate");
        assert!(!follows(&rate, "source `a`", "kind: `zabix` is not known"));
        assert!(!follows(&rate, "source `b`", "kind: `zabix` is not known"));
        assert!(follows(&rate, "source `b`", "rate: must not be missing"));
        assert!(!follows(
            &rate,
            "route `r`",
            "tracker `x` is not configured"
        ));
        let proof = refused(text, "source.1.credentials");
        assert!(follows(&proof, "http.listen", "no source has credentials"));
        let whole = refused(text, "source.1");
        assert!(!follows(&whole, "source `a`", "kind: `zabix` is not known"));
        assert!(follows(&whole, "source `b`", "kind: `zabix` is not known"));
        assert!(follows(&whole, "mailbox `m`", "source: there is no `b`"));
        assert!(!follows(&whole, "mailbox `m`", "source: there is no `c`"));
    }

    #[test]
    fn a_table_hides_what_is_about_the_same_key() {
        let text = "[http]\ntls = 1\nlisten = 2\n[tracker.rt]\nurl = 3\n[[route]]\n\
                    name = \"r\"\nseverity = 1\n[[maintenance]]\nname = \"m\"\nat = 1\n";
        let tls = refused(text, "http.tls");
        assert!(follows(&tls, "http.listen", "off loopback needs TLS"));
        assert!(follows(&tls, "http.tls", "no.pem cannot be read"));
        assert!(!follows(&tls, "http.trusted_proxies", "is nothing"));
        let tracker = refused(text, "tracker.rt.url");
        assert!(follows(&tracker, "tracker.rt", "missing field `url`"));
        assert!(follows(&tracker, "route `r`", "tracker `rt` is not there"));
        assert!(!follows(&tracker, "tracker.jira", "missing field `url`"));
        let severity = refused(text, "route.0.severity");
        let what = "match: `hots` is nothing; there are account, severity";
        assert!(!follows(&severity, "route `r`", what));
        let at = refused(text, "maintenance.0.at");
        assert!(!follows(
            &at,
            "maintenance",
            "maintenance `m`: days: `x` is none"
        ));
        assert!(follows(
            &at,
            "maintenance",
            "maintenance `m`: at is missing"
        ));
    }
}
