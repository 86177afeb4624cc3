//! `[[route]]`: where tickets go and what they are given there, checked against what each tracker
//! takes.

use super::read::Problem;
use super::sections::{ConfigFile, RouteSection};
use super::{Config, ConfiguredTracker};
use crate::delivery::templates::{Templates, Texts};
use crate::engine::{Reopen, Route, routes_can_ask};
use crate::notices::words::LOCALES;
use crate::rules::Matcher;
use crate::trackers::desk::Desk;
use crate::trackers::{Asked, Takes};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Routes in order, and the templates of each.
pub(super) struct Routes {
    pub routes: Vec<Route>,
    pub templates: BTreeMap<String, Templates>,
}

type Trackers = BTreeMap<String, ConfiguredTracker>;

/// The routes of a configuration.
pub(super) fn build(
    file: &ConfigFile,
    (folder, trackers): (&Path, &Trackers),
    texts: &mut Vec<(String, String)>,
    problems: &mut Vec<Problem>,
) -> Routes {
    let mut built = Routes {
        routes: Vec::new(),
        templates: BTreeMap::new(),
    };
    let mut names = BTreeSet::new();
    let known = file.tracker_names();
    for section in &file.route {
        let key = format!("route `{}`", section.name);
        let mut wrong = |what: String| problems.push(Problem::of(key.clone(), what));
        if section.name.is_empty() || !names.insert(section.name.clone()) {
            wrong("each route needs a name of its own".to_owned());
        }
        places(section, &known, &mut wrong);
        taken(section, trackers, &mut wrong);
        match section.templates(folder, texts) {
            Ok(templates) => {
                built.templates.insert(section.name.clone(), templates);
            }
            Err(found) => found.into_iter().for_each(&mut wrong),
        }
        let matcher = Matcher::all(&section.matchers)
            .and_then(|matcher| routes_can_ask(&matcher).map(|()| matcher));
        match matcher {
            Ok(matcher) => {
                let matcher = (!section.matchers.is_empty()).then_some(matcher);
                built.routes.push(section.route(matcher));
            }
            Err(error) => wrong(format!("match: {error}")),
        }
    }
    for section in &file.route {
        let window = file.engine.reopen_window;
        if let Reopen::Within(limit) = section.reopen
            && limit > window
        {
            let what = format!(
                "reopen: within {limit:?} is longer than `[engine] reopen_window` ({window:?}), \
                 after which a problem that comes back is a new one"
            );
            problems.push(Problem::of(format!("route `{}`", section.name), what));
        }
        let fallback = &section.fallback;
        if !fallback.is_empty() && !names.contains(fallback) && fallback != "default" {
            let what = format!("fallback: there is no route `{fallback}`");
            problems.push(Problem::of(format!("route `{}`", section.name), what));
        }
    }
    built.routes.push(Route::desk());
    built
}

/// The trackers and the language that it names are there.
fn places(section: &RouteSection, known: &BTreeSet<String>, wrong: &mut impl FnMut(String)) {
    for tracker in section.trackers() {
        if !known.contains(tracker) {
            let listed: Vec<&str> = known.iter().map(String::as_str).collect();
            wrong(format!(
                "tracker `{tracker}` is not configured; there are: {}",
                listed.join(", ")
            ));
        }
    }
    let language = &section.language;
    if !language.is_empty() && !LOCALES.contains(&language.as_str()) {
        wrong(format!(
            "language: `{language}` is not known; there are {}",
            LOCALES.join(", ")
        ));
    }
}

/// What it gives tickets is something that the tracker takes.
fn taken(section: &RouteSection, trackers: &Trackers, wrong: &mut impl FnMut(String)) {
    let takes = |name: &str| match trackers.get(name) {
        Some(one) => one.tracker.capabilities().takes,
        None if name == "desk" => Desk::TAKES,
        // That it is not configured is told.
        None => Takes::ALL,
    };
    let name = section.tracker();
    let own = takes(name);
    let asker = own.requestor || section.trackers().any(|name| takes(name).requestor);
    let cases = section.trackers().last().map_or(own, takes);
    if !section.case_queue.is_empty() && !cases.queue {
        wrong("case_queue: its tracker has nothing like it".to_owned());
    }
    for (key, said, taken) in [
        ("queue", !section.queue.is_empty(), own.queue),
        ("type", !section.kind.is_empty(), own.kind),
        ("requestor", !section.requestor.is_empty(), asker),
        ("watchers", !section.watchers.is_empty(), own.watchers),
        ("fields", !section.fields.is_empty(), own.custom),
    ] {
        if said && !taken {
            wrong(format!(
                "{key}: tracker `{name}` has nothing like it; docs/trackers.md says what each takes"
            ));
        }
    }
}

impl RouteSection {
    fn tracker(&self) -> &str {
        self.tracker.as_deref().unwrap_or("desk")
    }

    /// Its tracker, and that of its customers' tickets if it is another.
    fn trackers(&self) -> impl Iterator<Item = &str> {
        let of_cases = Some(self.case_tracker.as_str()).filter(|name| !name.is_empty());
        std::iter::once(self.tracker()).chain(of_cases)
    }

    fn templates(
        &self,
        folder: &Path,
        texts: &mut Vec<(String, String)>,
    ) -> Result<Templates, Vec<String>> {
        let mut body = self.body.clone();
        if !self.body_file.is_empty() {
            if !body.is_empty() {
                return Err(vec!["body and body_file are both given".to_owned()]);
            }
            let path = folder.join(&self.body_file);
            let shown = path.display().to_string();
            body = std::fs::read_to_string(&path)
                .map_err(|error| vec![format!("body_file: {shown} cannot be read: {error}")])?;
            texts.push((shown, body.clone()));
        }
        Templates::new(&Texts {
            kind: self.kind.clone(),
            subject: self.subject.clone(),
            body,
            requestor: self.requestor.clone(),
            watchers: self.watchers.clone(),
            custom: self.fields.clone(),
        })
    }

    fn route(&self, matcher: Option<Matcher>) -> Route {
        let language = Some(&self.language).filter(|language| !language.is_empty());
        Route {
            name: self.name.clone(),
            matcher,
            tracker: self.tracker().to_owned(),
            queue: self.queue.clone(),
            shadow: self.shadow,
            further: self.further,
            group_by: self.group_by.clone(),
            fallback: self.fallback.clone(),
            severities: self.severities.clone(),
            reopen: self.reopen,
            came_and_went: self.came_and_went,
            case_tickets: self.case_tickets,
            case_tracker: self.case_tracker.clone(),
            case_queue: self.case_queue.clone(),
            sensitive: self.sensitive,
            language: language.map_or("en", String::as_str).to_owned(),
        }
    }
}

impl Config {
    /// What the routes ask of a tracker, as far as it can be told without an incident.
    pub fn asked(&self, tracker: &str) -> Vec<Asked> {
        let mut all = Vec::new();
        for route in &self.file.route {
            let mut asked = Asked {
                route: route.name.clone(),
                ..Asked::default()
            };
            if route.trackers().last() == Some(tracker) && !route.case_queue.is_empty() {
                asked.queue.clone_from(&route.case_queue);
                all.push(asked.clone());
            }
            if route.tracker() == tracker {
                asked.queue.clone_from(&route.queue);
                asked.custom = route.fields.keys().cloned().collect();
                let templates = self.templates.get(&route.name);
                let kind = templates.and_then(Templates::constant_kind);
                asked.kind = kind.unwrap_or_default();
                all.push(asked);
            }
        }
        all
    }
}
