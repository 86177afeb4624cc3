//! Reading configuration files: every problem at once, each with file, line and key.
//!
//! A file is parsed into a tree that knows its places. The typed form is tried against it; what
//! is refused is noted and taken out, and the rest is tried again, so that one mistake does not
//! hide the next.

use super::refused::Refused;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Most problems of one file that are told.
const PROBLEMS_MAX: usize = 200;
/// How alike two names must be for the one to be suggested for the other.
const ALIKE: f64 = 0.75;

/// Something wrong with the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file; empty: what shows only when the files are put together.
    pub file: String,
    /// The line, from 1; 0: not known.
    pub line: usize,
    /// The key, with its tables.
    pub key: String,
    /// What is wrong, what was expected, what to do.
    pub what: String,
}

impl Problem {
    /// A problem that belongs to no line.
    pub fn of(key: impl Into<String>, what: impl Into<String>) -> Problem {
        Problem {
            file: String::new(),
            line: 0,
            key: key.into(),
            what: what.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.is_empty() {
            write!(f, "{}:", self.file)?;
            if self.line > 0 {
                write!(f, "{}:", self.line)?;
            }
            f.write_str(" ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)
    }
}

/// What a file holds.
#[derive(Default)]
pub(super) struct Content {
    /// As it is written.
    pub table: toml::Table,
    /// Without what is refused, so that the rest can be looked at; none: it is no TOML.
    pub sound: Option<toml::Table>,
    /// What is known and was refused.
    pub refused: Vec<Refused>,
}

/// The content of one file and everything that is wrong with it for the type `T`. Secrets are
/// looked for beside it, in `folder`.
pub(super) fn file<T: DeserializeOwned>(
    name: &str,
    text: &str,
    folder: &Path,
) -> (Content, Vec<Problem>) {
    let (mut tree, errors) = DeTable::parse_recoverable(text);
    anchor_tree(tree.get_mut(), folder);
    let mut problems: Vec<Problem> = errors
        .iter()
        .map(|error| Problem {
            file: name.to_owned(),
            line: line_of(text, error.span()),
            key: String::new(),
            what: error.message().to_owned(),
        })
        .collect();
    if !problems.is_empty() {
        return (Content::default(), problems);
    }
    let table = toml::Table::deserialize(toml::Deserializer::from(tree.clone()));
    let table = table.unwrap_or_default();
    let mut taken_out: Vec<String> = Vec::new();
    let mut refused = Vec::new();
    while problems.len() < PROBLEMS_MAX {
        let tried = T::deserialize(toml::Deserializer::from(tree.clone()));
        let Err(error) = tried else { break };
        let place = error
            .span()
            .and_then(|span| find(tree.get_ref(), &span, &mut Vec::new()));
        // The place of a list's entry is that of its header, and so is the place of its key.
        let place = place.map(|mut place| {
            while error.message().starts_with("unknown field")
                && matches!(place.last(), Some(Step::Place(_)))
            {
                place.pop();
            }
            place
        });
        // What was taken out before is missed now; that is no problem of its own.
        let missed = taken_out
            .iter()
            .any(|key| error.message() == format!("missing field `{key}`"));
        if !missed {
            problems.push(Problem {
                file: name.to_owned(),
                line: line_of(text, error.span()),
                key: place.as_deref().map(path_text).unwrap_or_default(),
                what: told(error.message()),
            });
        }
        if let Some(Step::Key(key)) = place.as_ref().and_then(|place| place.last()) {
            taken_out.push(key.clone());
        }
        if !error.message().starts_with("unknown field") {
            refused.extend(
                place
                    .as_deref()
                    .map(|place| Refused::at(tree.get_ref(), place)),
            );
        }
        let removed = place.is_some_and(|place| remove(tree.get_mut(), &place));
        if !removed {
            break;
        }
    }
    problems.sort_by_key(|problem| problem.line);
    let content = Content {
        table,
        sound: toml::Table::deserialize(toml::Deserializer::from(tree)).ok(),
        refused,
    };
    (content, problems)
}

/// One step into the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A key of a table.
    Key(String),
    /// A place in a list.
    Place(usize),
}

fn path_text(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) => {
                text.push('.');
                text.push_str(key);
            }
            // Places move when an entry is taken out; the line tells which one is meant.
            Step::Place(_) => {}
        }
    }
    text
}

/// The deepest entry whose key or value is what the span speaks of.
fn find(table: &DeTable, span: &Range<usize>, path: &mut Vec<Step>) -> Option<Vec<Step>> {
    let holds = |outer: Range<usize>| outer.start <= span.start && span.end <= outer.end;
    let mut found = None;
    for (key, value) in table {
        path.push(Step::Key(key.get_ref().to_string()));
        let deeper = find_in(value, span, path);
        if deeper.is_some() {
            found = deeper;
        } else if found.is_none() && (holds(key.span()) || holds(value.span())) {
            found = Some(path.clone());
        }
        path.pop();
    }
    found
}

fn find_in(
    value: &Spanned<DeValue>,
    span: &Range<usize>,
    path: &mut Vec<Step>,
) -> Option<Vec<Step>> {
    match value.get_ref() {
        DeValue::Table(table) => find(table, span, path),
        DeValue::Array(array) => {
            let mut found = None;
            for (place, item) in array.iter().enumerate() {
                path.push(Step::Place(place));
                let outer = item.span();
                if let Some(deeper) = find_in(item, span, path) {
                    found = Some(deeper);
                } else if found.is_none() && outer.start <= span.start && span.end <= outer.end {
                    found = Some(path.clone());
                }
                path.pop();
            }
            found
        }
        _ => None,
    }
}

fn remove(table: &mut DeTable, path: &[Step]) -> bool {
    let Some((Step::Key(first), rest)) = path.split_first() else {
        return false;
    };
    if rest.is_empty() {
        let key = table.keys().find(|key| key.get_ref() == first.as_str());
        return key.cloned().is_some_and(|key| table.remove(&key).is_some());
    }
    table
        .iter_mut()
        .find(|(key, _)| key.get_ref() == first.as_str())
        .is_some_and(|(_, value)| remove_in(value, rest))
}

fn remove_in(value: &mut Spanned<DeValue>, path: &[Step]) -> bool {
    match (value.get_mut(), path.split_first()) {
        (DeValue::Table(table), Some(_)) => remove(table, path),
        (DeValue::Array(array), Some((Step::Place(place), rest))) => {
            if !rest.is_empty() {
                return array
                    .get_mut(*place)
                    .is_some_and(|item| remove_in(item, rest));
            }
            let kept: Vec<_> = array
                .iter()
                .enumerate()
                .filter(|(index, _)| index != place)
                .map(|(_, item)| item.clone())
                .collect();
            let fewer = kept.len() < array.len();
            *array = kept.into_iter().collect();
            fewer
        }
        _ => false,
    }
}

/// Gives file and line to a problem that shows only when the files are put together: those of the
/// deepest table or key of its key that one of the texts has. `calendar.office, mon` is in the week
/// of that calendar, "route `noc`" is the entry of that name.
pub(super) fn locate(problem: &mut Problem, texts: &[(String, String)]) {
    if locate_entry(problem, texts) {
        return;
    }
    let (tables, inside) = problem.key.split_once(", ").unwrap_or((&problem.key, ""));
    let mut path: Vec<&str> = tables.split('.').collect();
    match inside.split_once(' ') {
        Some(("holiday", _)) => path.push("holidays"),
        _ if inside.contains('-') => path.extend(["overrides", inside]),
        _ if !inside.is_empty() => path.extend(["week", inside]),
        _ => {}
    }
    let mut deepest = 1;
    for (name, text) in texts {
        let Ok(tree) = DeTable::parse(text) else {
            continue;
        };
        let (depth, span) = descend(tree.get_ref(), &path);
        // A key outside of all tables is found where it stands; a table's own line would mislead.
        let alone = depth == 1 && path.len() == 1 && is_plain(tree.get_ref(), &path);
        if depth > deepest || alone {
            deepest = depth;
            name.clone_into(&mut problem.file);
            problem.line = line_of(text, span);
        }
    }
}

/// Finds the entry of a list that a problem names, and in it the key with which the problem begins.
fn locate_entry(problem: &mut Problem, texts: &[(String, String)]) -> bool {
    let list = problem.key.split(' ').next().unwrap_or_default();
    let quoted = |text: &str| -> Vec<String> {
        let names = text.split('`').skip(1).step_by(2);
        names.map(str::to_owned).collect()
    };
    let mut found = None;
    for name in [quoted(&problem.key), quoted(&problem.what)].concat() {
        for (file, text) in texts {
            let Ok(tree) = DeTable::parse(text) else {
                continue;
            };
            let Some(DeValue::Array(entries)) = tree.get_ref().get(list).map(Spanned::get_ref)
            else {
                continue;
            };
            for entry in entries.iter() {
                let DeValue::Table(table) = entry.get_ref() else {
                    continue;
                };
                let is_it = |value: &Spanned<DeValue>| value.get_ref().as_str() == Some(&name);
                if table.get("name").is_some_and(is_it) {
                    let first = problem.what.split([':', ' ']).next().unwrap_or_default();
                    let key = table.iter().find(|(key, _)| key.get_ref() == first);
                    let span = key.map_or_else(|| entry.span(), |(key, _)| key.span());
                    found = Some((file.clone(), line_of(text, Some(span))));
                }
            }
        }
        if let Some((file, line)) = found {
            (problem.file, problem.line) = (file, line);
            return true;
        }
    }
    false
}

fn is_plain(table: &DeTable, path: &[&str]) -> bool {
    let first = path.first().and_then(|first| table.get(*first));
    first.is_some_and(|value| match value.get_ref() {
        DeValue::Table(_) => false,
        DeValue::Array(items) => !items.iter().any(|item| item.get_ref().is_table()),
        _ => true,
    })
}

/// How many steps of a path a table has, and where the last of them is.
fn descend(table: &DeTable, path: &[&str]) -> (usize, Option<Range<usize>>) {
    let Some((first, rest)) = path.split_first() else {
        return (0, None);
    };
    let Some((key, value)) = table.iter().find(|(key, _)| key.get_ref() == first) else {
        return (0, None);
    };
    let (deeper, span) = match value.get_ref() {
        DeValue::Table(table) => descend(table, rest),
        _ => (0, None),
    };
    (deeper + 1, span.or_else(|| Some(key.span())))
}

fn line_of(text: &str, span: Option<Range<usize>>) -> usize {
    let Some(span) = span else { return 0 };
    let before = text.as_bytes().get(..span.start).unwrap_or_default();
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

/// The library's words, with the nearest known name for an unknown one.
fn told(message: &str) -> String {
    let unknown = ["unknown field `", "unknown variant `"]
        .iter()
        .find_map(|start| message.strip_prefix(start));
    let Some((name, expected)) = unknown.and_then(|rest| rest.split_once('`')) else {
        return plain(message);
    };
    let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
    let nearest = nearest(name, &known, ALIKE);
    let what = if message.starts_with("unknown field") {
        "unknown key"
    } else {
        "unknown word"
    };
    let listed = known.join(", ");
    match nearest {
        Some(nearest) => {
            format!("{what} `{name}`; did you mean `{nearest}`? Known here: {listed}")
        }
        None if known.is_empty() => format!("{what} `{name}`; none is known here"),
        None => format!("{what} `{name}`; known here: {listed}"),
    }
}

/// The library's words where they leave open what was expected.
fn plain(message: &str) -> String {
    let like = match message {
        "invalid socket address syntax" => "expected like `127.0.0.1:8480`, with a port",
        "invalid IP address syntax" => "expected like `192.0.2.0/24`",
        _ => {
            let whole = ["u8", "u16", "u32", "u64", "usize"];
            let found = message.rsplit_once(", expected ");
            let found = found.filter(|(_, expected)| whole.contains(expected));
            return found.map_or_else(
                || message.to_owned(),
                |(what, _)| format!("{what}, expected a whole number that is not negative"),
            );
        }
    };
    format!("{message}; {like}")
}

/// The known name that is most like this one, if it is alike enough.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str], alike: f64) -> Option<&'a str> {
    known
        .iter()
        .map(|known| (strsim::jaro_winkler(known, name), *known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(found, _)| *found >= alike)
        .map(|(_, known)| known)
}

/// What becomes of a list that stood before.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lists {
    /// It goes on: files add to each other.
    Continued,
    /// It is replaced: the environment has the last word.
    Replaced,
}

/// Adds what comes later to what stood before: tables are merged, everything but lists is
/// replaced.
pub(super) fn merge(into: &mut toml::Table, from: toml::Table, lists: Lists) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) => merge(old, new, lists),
            (Some(toml::Value::Array(old)), toml::Value::Array(new))
                if lists == Lists::Continued =>
            {
                old.extend(new);
            }
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

/// Makes the paths of secrets absolute: they are relative to the file that names them.
fn anchor_tree(table: &mut DeTable, folder: &Path) {
    let alone = table.len() == 1;
    for (key, value) in table.iter_mut() {
        match value.get_mut() {
            DeValue::String(path) if alone && key.get_ref() == "file" => {
                let absolute = folder.join(&**path).to_string_lossy().into_owned();
                *path = absolute.into();
            }
            other => anchor_place(other, folder),
        }
    }
}

fn anchor_place(value: &mut DeValue, folder: &Path) {
    match value {
        DeValue::Table(table) => anchor_tree(table, folder),
        DeValue::Array(items) => items
            .iter_mut()
            .for_each(|item| anchor_place(item.get_mut(), folder)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Whole {
        door: Door,
        item: Vec<Item>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Door {
        listen: Option<std::net::SocketAddr>,
        limit: u32,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Item {
        #[allow(dead_code)]
        name: String,
        #[serde(default)]
        #[allow(dead_code)]
        size: u8,
    }

    fn problems(text: &str) -> Vec<String> {
        let (_, problems) = file::<Whole>("a.toml", text, Path::new("."));
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_problem_is_told_with_line_and_key() {
        let found = problems(
            "[door]\nlisten = \"nowhere\"\nlimt = 3\n\n[[item]]\nname = \"a\"\nsize = 300\n\
             [[item]]\nsize = 2\n[[itme]]\nname = \"b\"\n",
        );
        assert_eq!(found.len(), 5, "{found:#?}");
        let all = found.join("\n");
        assert!(
            all.contains("a.toml:2: door.listen: invalid socket address"),
            "{all}"
        );
        assert!(
            all.contains("a.toml:3: door.limt: unknown key `limt`; did you mean `limit`?"),
            "{all}"
        );
        assert!(all.contains("a.toml:7: item.size: "), "{all}");
        assert!(
            all.contains("a.toml:8: item: missing field `name`"),
            "{all}"
        );
        assert!(all.contains("did you mean `item`?"), "{all}");
    }

    #[test]
    fn what_shows_only_when_files_are_put_together_has_its_line_as_well() {
        let texts = [
            (
                "a.toml".to_owned(),
                "[calendar.one]\ntz = \"x\"\n".to_owned(),
            ),
            (
                "b.toml".to_owned(),
                "\n[calendar.two]\ntz = \"x\"\nholidays = []\n[calendar.two.week]\nmon = []\n\
                 [policy.p.severity.1]\nrestore = { within = \"0s\" }\n"
                    .to_owned(),
            ),
        ];
        let place = |key: &str| {
            let mut problem = Problem::of(key, "wrong");
            locate(&mut problem, &texts);
            problem.to_string()
        };
        assert!(place("calendar.one").starts_with("a.toml:1: calendar.one: "));
        assert!(place("calendar.two, mon").starts_with("b.toml:6: "));
        assert!(place("calendar.two, holiday 2026-02-29").starts_with("b.toml:4: "));
        assert!(place("policy.p.severity.1.restore").starts_with("b.toml:8: "));
        assert!(place("policy.p.pause_on").starts_with("b.toml:7: "));
        assert!(place("maintenance").starts_with("maintenance: "));
    }

    #[test]
    fn an_entry_of_a_list_is_found_by_its_name() {
        let texts = [(
            "a.toml".to_owned(),
            "[[route]]\nname = \"a\"\n[[route]]\nname = \"b\"\nmatch = [\"x\"]\n[[rule]]\nname = \"r\"\n"
                .to_owned(),
        )];
        let place = |key: &str, what: &str| {
            let mut problem = Problem::of(key, what);
            locate(&mut problem, &texts);
            problem.line
        };
        assert_eq!(place("route `b`", "each route needs a name"), 3);
        assert_eq!(place("route `b`", "match: no such field"), 5);
        assert_eq!(place("rule", "rule 1 `r`: nothing is asked"), 6);
        assert_eq!(place("route `c`", "is not there"), 0);
    }

    #[test]
    fn what_is_no_toml_is_told_with_its_line() {
        let found = problems("[door]\nlimit = = 3\n");
        assert!(found[0].starts_with("a.toml:2: "), "{found:?}");
    }

    #[test]
    fn files_continue_each_other() {
        let mut whole: toml::Table = "a = 1\nl = [1]\n[t]\nx = 1".parse().unwrap();
        merge(
            &mut whole,
            "a = 2\nl = [2]\n[t]\ny = 1".parse().unwrap(),
            Lists::Continued,
        );
        let expected: toml::Table = "a = 2\nl = [1, 2]\n[t]\nx = 1\ny = 1".parse().unwrap();
        assert_eq!(whole, expected);
    }
}
