//! Every kind of tracker, one line each. Names in the configuration and in the docs follow from it.

use super::{
    Tracker, github, gitlab, http, jira, mail, pagerduty, redmine, rt, servicenow, zammad,
};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// The section of the configuration of one kind of tracker.
pub trait Settings: DeserializeOwned {
    /// A tracker of this name; nothing is sent yet. The error is a sentence.
    fn connect(self, name: &str) -> Result<Arc<dyn Tracker>, String>;
}

/// Builds a tracker of this name from its section, without `name` and `kind`.
pub type Build = fn(&str, toml::Table) -> Result<Arc<dyn Tracker>, String>;

/// A kind of tracker.
pub struct Kind {
    /// The word of `kind = "..."`.
    pub name: &'static str,
    /// Keys of its section that hold secrets: given as `{ file = ... }` or `{ credential = ... }`
    /// and replaced by their content before `build`.
    pub secrets: &'static [&'static str],
    /// Builds one.
    pub build: Build,
}

/// All kinds, in the order of the docs. The built-in desk is always there and has no section.
pub static ALL: &[Kind] = &[
    kind::<rt::RtConfig>("rt", &["token"]),
    kind::<redmine::RedmineConfig>("redmine", &["token"]),
    kind::<jira::JiraConfig>("jira", &["token"]),
    kind::<zammad::ZammadConfig>("zammad", &["token"]),
    kind::<servicenow::ServiceNowConfig>("servicenow", &["password", "token"]),
    kind::<github::GithubConfig>("github", &["token"]),
    kind::<gitlab::GitlabConfig>("gitlab", &["token"]),
    kind::<pagerduty::PagerDutyConfig>("pagerduty", &["routing_key"]),
    kind::<mail::MailConfig>("mail", &["password"]),
    kind::<http::HttpConfig>("http", &["authorization"]),
];

pub(super) const fn kind<S: Settings>(
    name: &'static str,
    secrets: &'static [&'static str],
) -> Kind {
    Kind {
        name,
        secrets,
        build: build::<S>,
    }
}

fn build<S: Settings>(name: &str, section: toml::Table) -> Result<Arc<dyn Tracker>, String> {
    let settings: S = section
        .try_into()
        .map_err(|error: toml::de::Error| error.message().to_owned())?;
    settings.connect(name)
}

/// The kind of this name; the error names those there are.
pub fn find(name: &str) -> Result<&'static Kind, String> {
    ALL.iter().find(|kind| kind.name == name).ok_or_else(|| {
        let names: Vec<&str> = ALL.iter().map(|kind| kind.name).collect();
        format!(
            "`{name}` is no kind of tracker; there are {}",
            names.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = ALL.iter().map(|kind| kind.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn unknown_kinds_and_keys_are_refused_by_name() {
        assert!(find("rtt").err().unwrap().contains("there are rt"));
        let section = toml::toml! {
            url = "http://127.0.0.1/"
            queue = "x"
            token = "1-2-3"
            que = "y"
        };
        let error = (find("rt").unwrap().build)("rt", section).err().unwrap();
        assert!(error.contains("que"), "{error}");
    }
}
