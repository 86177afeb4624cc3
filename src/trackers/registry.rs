//! Every kind of tracker, one line each. Names in the configuration and in the docs follow from it.

use super::{
    Tracker, freescout, freshdesk, freshservice, github, gitlab, gitlab_alerts, glpi, goalert,
    http, itop, jira, mail, osticket, pagerduty, redmine, rt, servicenow, zammad, zendesk, znuny,
};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// The section of the configuration of one kind of tracker.
pub trait Settings: DeserializeOwned {
    /// The tracker's name, for people.
    const TITLE: &'static str;
    /// The smallest section, without `name` and `kind`, for the docs.
    const EXAMPLE: &'static str;

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
    /// Its name, for people.
    pub title: &'static str,
    /// The smallest section, for the docs; secrets stand in it as text.
    pub example: &'static str,
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
    kind::<glpi::GlpiConfig>("glpi", &["token", "app_token"]),
    kind::<znuny::ZnunyConfig>("znuny", &["password"]),
    kind::<zendesk::ZendeskConfig>("zendesk", &["token"]),
    kind::<freshdesk::FreshdeskConfig>("freshdesk", &["token"]),
    kind::<freshservice::FreshserviceConfig>("freshservice", &["token"]),
    kind::<itop::ItopConfig>("itop", &["password"]),
    kind::<freescout::FreeScoutConfig>("freescout", &["token"]),
    kind::<osticket::OsTicketConfig>("osticket", &["token"]),
    kind::<github::GithubConfig>("github", &["token"]),
    kind::<gitlab::GitlabConfig>("gitlab", &["token"]),
    kind::<gitlab_alerts::GitlabAlertsConfig>("gitlab_alerts", &["token"]),
    kind::<pagerduty::PagerDutyConfig>("pagerduty", &["routing_key"]),
    kind::<goalert::GoAlertConfig>("goalert", &["token"]),
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
        title: S::TITLE,
        example: S::EXAMPLE,
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
    use crate::trackers::Reopens;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<&str> = ALL.iter().map(|kind| kind.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ALL.len());
    }

    const HEAD: &str = "\
# Trackers

What each kind of tracker can do, where the idempotency key is kept, and its limits. The kind is what
`kind` of a `[tracker.NAME]` takes. What a tracker cannot do the bridge does otherwise: a status that
cannot be written is told in a note, a closed ticket that stays closed is followed by a new one, and
text that had to be cut travels whole in a file where the tracker takes files. `alertbridge trackers
check --config FILE` speaks to each: reachable, authorised, where tickets go, the key can be found
again, clocks; and of what routes name, whether it is there.

This page is made from the registry in `src/trackers/registry.rs`; a test compares it. Write it anew
with `ALERTBRIDGE_UPDATE_GOLDEN=1 cargo test --lib trackers::registry`.

- **found**: the ticket is looked for by its key after an unknown outcome; *again*: a create with the
  same key makes no second ticket, so it is simply sent again.
- **settle**: how long a request without an answer may still be worked on there.
- **reopens**: *until closed* and *never*: a new ticket follows the old one.
- **routes give**: what `queue`, `type`, `requestor`, `watchers` and `fields` of a route ([routes.md](routes.md))
  set there.
- **calls**: most calls a minute unless `calls_per_minute` says otherwise.

| tracker | kind | key kept in | found | settle | changes | severity | notes | reopens | links | read back | people's changes | routes give | subject | text | file | calls |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
";

    const LIMITS: &str = "
What `type`, `watchers` and `fields` mean in each: Request Tracker: AdminCc, ticket fields by name;
Redmine: its tracker, members by name or number, fields by name or number; Jira: issue type, watchers
by account id (Data Center: name), fields by id or name; Zammad: attributes; ServiceNow: `watch_list`,
columns; GLPI: `incident` or `request`, observers by number (the requestor too); Znuny: type, dynamic
fields; Zendesk: type, followers by address, fields by number; Freshdesk and Freshservice: type, `cc`,
fields by name; iTop: attributes; FreeScout: fields by number; GitLab: issue type; PagerDuty:
`custom_details`; mail: Cc; HTTP: the templates get `kind`, `watchers` and `fields`.

A ticket that people merge or move goes on under its new name, two of the bridge's that they merge are
one incident, and one that they delete counts as closed by a person. With each poll one open ticket is
read, in turn, for what no list of changes tells. A status that is refused, because no transition leads
there say, is told in a note, and the ticket waits as a dead letter (`alertbridge outbox`).

Limits that come from the trackers themselves:

- Freshdesk and Freshservice name no author of a status. The bridge remembers the instants of its own
  writes; after a restart a status that it wrote just before may be told once as a person's.
- osTicket takes an answer of a ticket's owner as a reason to open it again, and its interface has no
  note that is not such an answer: a note on a ticket that staff closed opens it.
- Request Tracker does not tell the statuses of a lifecycle: a name that is wrong in `[status]` is seen
  when the first ticket is refused.
- GitHub and trackers of events take no files with a new ticket: the alert as received is linked. In
  Jira, Freshdesk, Freshservice, GLPI and iTop files follow the create; should one fail, the ticket
  is there without it.
- GitHub: an issue that was transferred is followed to where it is now, in at most 20 other
  repositories that the token may read. GitLab tells no address of an issue that was moved to another
  project: it counts as closed by a person.
";

    fn sample(kind: &Kind) -> Arc<dyn Tracker> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let section = toml::from_str(kind.example).unwrap();
        (kind.build)("sample", section).unwrap()
    }

    fn row(kind: &Kind) -> String {
        let tracker = sample(kind);
        let can = tracker.capabilities();
        let yes = |can: bool| if can { "yes" } else { "no" };
        let kib = |bytes: usize| match bytes {
            0 => "no".to_owned(),
            bytes if bytes < 10_240 => format!("{bytes} bytes"),
            bytes => format!("{} KiB", bytes / 1024),
        };
        let found = match (can.finds_by_key, can.creates_once) {
            (true, true) => "yes, again",
            (true, false) => "yes",
            (false, true) => "again",
            (false, false) => "no",
        };
        let reopens = match can.reopens {
            Reopens::Always => "yes",
            Reopens::UntilClosed => "until closed",
            Reopens::Never => "never",
        };
        let calls = match can.calls_per_minute {
            0 => "no limit".to_owned(),
            calls => calls.to_string(),
        };
        let takes = [
            ("queue", can.takes.queue),
            ("type", can.takes.kind),
            ("requestor", can.takes.requestor),
            ("watchers", can.takes.watchers),
            ("fields", can.takes.custom),
        ];
        let takes: Vec<&str> = takes
            .iter()
            .filter(|(_, takes)| *takes)
            .map(|(n, _)| *n)
            .collect();
        let takes = if takes.is_empty() {
            "nothing".to_owned()
        } else {
            takes.join(", ")
        };
        let cells = [
            kind.title.to_owned(),
            format!("`{}`", kind.name),
            can.key_kept.to_owned(),
            found.to_owned(),
            format!("{} s", can.settle.as_secs()),
            yes(can.updates).to_owned(),
            yes(can.priorities).to_owned(),
            yes(can.notes).to_owned(),
            reopens.to_owned(),
            yes(can.links).to_owned(),
            yes(can.reads_back).to_owned(),
            yes(can.reads_changes).to_owned(),
            takes,
            can.subject_chars_max.to_string(),
            kib(can.body_bytes_max),
            kib(can.attachment_bytes_max),
            calls,
        ];
        format!("| {} |\n", cells.join(" | "))
    }

    /// The smallest section as it stands in a file: secrets come from credentials.
    fn section(kind: &Kind) -> String {
        let mut text = format!("[tracker.{0}]\nkind = \"{0}\"\n", kind.name);
        for line in kind.example.trim().lines() {
            let name = line.split(" = ").next().unwrap();
            if kind.secrets.contains(&name) {
                let kept = format!("{}-{name}", kind.name).replace('_', "-");
                text.push_str(&format!("{name} = {{ credential = \"{kept}\" }}\n"));
            } else if let Some(table) = line.strip_prefix('[') {
                text.push_str(&format!("[tracker.{}.{table}\n", kind.name));
            } else {
                text.push_str(&format!("{line}\n"));
            }
        }
        text
    }

    #[test]
    fn the_page_of_trackers_is_that_of_the_registry() {
        let mut page = HEAD.to_owned();
        ALL.iter().for_each(|kind| page.push_str(&row(kind)));
        page.push_str(LIMITS);
        page.push_str("\nThe smallest section of each:\n\n```toml\n");
        let sections: Vec<String> = ALL.iter().map(section).collect();
        page.push_str(&sections.join("\n"));
        page.push_str("```\n");
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/trackers.md");
        if std::env::var_os("ALERTBRIDGE_UPDATE_GOLDEN").is_some() {
            std::fs::write(&file, &page).unwrap();
        }
        let found = std::fs::read_to_string(&file).unwrap_or_default();
        assert_eq!(found, page, "docs/trackers.md: write it anew");
    }

    #[test]
    fn what_is_declared_fits_together() {
        for kind in ALL {
            let tracker = sample(kind);
            let can = tracker.capabilities();
            let name = kind.name;
            assert!(!can.key_kept.is_empty(), "{name}: where is the key?");
            assert!(can.subject_chars_max >= 100, "{name}");
            assert!(can.body_bytes_max >= 500, "{name}");
            let sure = can.finds_by_key || can.creates_once;
            assert!(sure || name == "mail" || name == "http", "{name}: twins");
            assert!(!can.reads_changes || can.reads_back, "{name}");
        }
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
