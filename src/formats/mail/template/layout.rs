//! The shape of a template file. Doc comments are its manual.
//!
//! *Formats* are texts with placeholders: `{a}` stands for what a pattern took as `a`; `{a|b}` for
//! the first that was taken; `{a|=text}` for `text` if none was; `{a?}` may be empty; `{a:lower}`,
//! `{a:upper}`, `{a:nodigits}`, `{a:noport}`, `{a:first}` (up to the first blank) and `{a:set}` (the
//! word `set`) change it. A format with a
//! placeholder that was not taken gives nothing; formats joined by ` ?? ` are tried in turn. Always
//! known: `subject`, `from`, `from_local`, `from_host`, `from_name`, `message_id`, `summary_line`.

use super::super::times::Order;
use crate::model::SeverityHint;
use crate::model::notice::MaintenanceImpact;
use serde::Deserialize;
use std::collections::BTreeMap;

/// One mail format.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    /// Name of the sender: metric label, first part of identities.
    pub name: String,
    /// The product's name as people write it.
    pub title: String,
    /// How its mails are recognised.
    pub recognise: Recognise,
    /// Which text is searched.
    #[serde(default)]
    pub text: TextChoice,
    /// Full-width forms count as ASCII.
    #[serde(default)]
    pub narrow: bool,
    /// Patterns that begin free text: nothing from there on is searched.
    #[serde(default)]
    pub cut: Vec<String>,
    /// Where the fields stand.
    #[serde(default)]
    pub take: Vec<Take>,
    /// What tells several events of one mail apart.
    pub each: Option<Each>,
    /// Words that stand for others, by the name under which they are then known.
    #[serde(default)]
    pub map: BTreeMap<String, Mapping>,
    /// The event's state.
    pub state: Option<State>,
    /// The severity word and what it means.
    #[serde(default)]
    pub severity: Severity,
    /// The event's fields.
    pub event: Option<EventFields>,
    /// Times.
    #[serde(default)]
    pub time: Times,
    /// A maintenance notice instead of an event.
    pub maintenance: Option<Maintenance>,
    /// Why such a mail says nothing of interest, for mails that are known and no alert.
    pub ignored: Option<String>,
}

/// The documentation row of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct About<'a> {
    /// Name of the sender.
    pub name: &'a str,
    /// The product's name as people write it.
    pub title: &'a str,
    /// What its mails can say: `problem, acknowledged, recovery, ...`.
    pub says: Vec<&'static str>,
    /// The fields that its identity is made of.
    pub identity: Vec<&'a str>,
}

impl Layout {
    /// What the template says of itself.
    pub fn about(&self) -> About<'_> {
        let event = self.event.as_ref();
        let identity = event
            .map(|event| event.identity.as_slice())
            .unwrap_or_default();
        let mut names: Vec<&str> = Vec::new();
        for format in identity {
            for piece in format.split('{').skip(1) {
                let name = piece.split(['|', ':', '?', '}']).next().unwrap_or(piece);
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        if event.is_some_and(|event| event.identity_labels) {
            names.push("labels");
        }
        if self.maintenance.is_some() {
            names.push("maintenance id");
        }
        About {
            name: &self.name,
            title: &self.title,
            says: self.says(),
            identity: names,
        }
    }

    fn says(&self) -> Vec<&'static str> {
        if self.ignored.is_some() {
            return vec!["nothing (known, and no alert)"];
        }
        if self.maintenance.is_some() {
            return vec!["planned work"];
        }
        let Some(state) = &self.state else {
            return vec!["problem"];
        };
        let problem = matches!(state.otherwise, Otherwise::Firing) || !state.firing.is_empty();
        [
            ("problem", problem),
            ("acknowledged", !state.acknowledged.is_empty()),
            ("recovery", !state.resolved.is_empty()),
            ("flapping", !state.flapping.is_empty()),
            ("downtime", !state.downtime.is_empty()),
            ("unreachable", !state.unreachable.is_empty()),
            ("notice", !state.info.is_empty()),
            ("test", !state.test.is_empty()),
        ]
        .into_iter()
        .filter_map(|(word, said)| said.then_some(word))
        .collect()
    }
}

/// What must be there. Every pattern that is given must match, or one if `any` is set.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recognise {
    /// Pattern for the subject, without prefixes of mailers and lists.
    pub subject: Option<String>,
    /// Pattern for the text.
    pub body: Option<String>,
    /// Pattern for the author's address.
    pub from: Option<String>,
    /// Patterns for header fields, by lower case name.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// One match is enough.
    #[serde(default)]
    pub any: bool,
}

/// Which text of a mail is searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextChoice {
    /// Plain text if it fits, else that of the HTML body.
    #[default]
    Any,
    /// Plain text only.
    Plain,
    /// The HTML body if there is one, else plain text.
    Html,
}

/// A pattern whose named groups become fields. The first pattern that takes a name wins.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Take {
    /// `body`, `whole` (free text too), `subject`, `links`, `from`, `files` or `header:NAME`.
    #[serde(default = "body", rename = "in")]
    pub place: String,
    /// The pattern.
    pub pattern: String,
}

fn body() -> String {
    "body".to_owned()
}

/// How a mail with several events is split. One of `item`, `start` and `list`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Each {
    /// Every match is an event; its groups are fields.
    pub item: Option<String>,
    /// Every match begins a piece that is searched by itself.
    pub start: Option<String>,
    /// A format that gives a list; each member is an event's `item`.
    pub list: Option<String>,
    /// Groups of the nearest match above the piece are fields of it.
    #[serde(default)]
    pub section: Vec<String>,
    /// A mail in which nothing is found is one event all the same.
    #[serde(default)]
    pub optional: bool,
    /// Groups `name` and `value` of every match in a piece become labels.
    pub labels: Option<String>,
    /// Where the labels of a piece end.
    pub labels_until: Option<String>,
}

/// A table of words.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// A format that gives the word.
    pub of: String,
    /// What each word stands for; compared as a whole, without case.
    pub words: BTreeMap<String, String>,
}

/// Which words mean which state; compared as a whole, without case.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Formats; the first that gives a word decides.
    pub of: Vec<String>,
    /// Problem.
    #[serde(default)]
    pub firing: Vec<String>,
    /// Acknowledged.
    #[serde(default)]
    pub acknowledged: Vec<String>,
    /// Recovery.
    #[serde(default)]
    pub resolved: Vec<String>,
    /// Neither.
    #[serde(default)]
    pub info: Vec<String>,
    /// Flapping notices.
    #[serde(default)]
    pub flapping: Vec<String>,
    /// Downtime notices.
    #[serde(default)]
    pub downtime: Vec<String>,
    /// Unreachable notices.
    #[serde(default)]
    pub unreachable: Vec<String>,
    /// Test messages.
    #[serde(default)]
    pub test: Vec<String>,
    /// No event at all.
    #[serde(default)]
    pub skip: Vec<String>,
    /// What an unknown word or none means.
    #[serde(default)]
    pub otherwise: Otherwise,
    /// Patterns that turn a recovery into information unless they match the text.
    #[serde(default)]
    pub resolved_needs: Vec<String>,
}

/// What a state word means that no list holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    /// A problem, noted as odd.
    #[default]
    Odd,
    /// A problem.
    Firing,
    /// Information.
    Info,
    /// Not this template's mail.
    Refuse,
}

/// The severity word and what it means.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Severity {
    /// A format that gives the word.
    pub word: Option<String>,
    /// A format that gives the word for the hint, if it is another.
    pub of: Option<String>,
    /// Words of outages.
    #[serde(default)]
    pub outage: Vec<String>,
    /// Words of degradations.
    #[serde(default)]
    pub degradation: Vec<String>,
    /// Words of lost redundancy.
    #[serde(default)]
    pub redundancy: Vec<String>,
    /// Words of information.
    #[serde(default)]
    pub info: Vec<String>,
    /// Words that say nothing about the effect.
    #[serde(default)]
    pub unknown: Vec<String>,
    /// What other words mean; without it the words of most senders.
    pub otherwise: Option<SeverityHint>,
}

/// The event's fields, as formats.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventFields {
    /// Parts of the identity; each must be there.
    #[serde(default)]
    pub identity: Vec<String>,
    /// All labels belong to the identity.
    #[serde(default)]
    pub identity_labels: bool,
    /// Site, tenant or network.
    pub site: Option<String>,
    /// Host or device.
    pub host: Option<String>,
    /// Part of the host.
    pub component: Option<String>,
    /// What is checked.
    pub check: Option<String>,
    /// One line for people; by default the subject.
    pub summary: Option<String>,
    /// Kind of the component: a format that gives the word of a kind.
    pub kind: Option<String>,
    /// The sender's own id of the problem.
    pub dedup_key: Option<String>,
    /// Labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Links back to the sender.
    #[serde(default)]
    pub links: Vec<String>,
}

/// Times, as formats.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Times {
    /// When the sender made the event; by default the mail's Date.
    pub sent: Option<String>,
    /// When the problem began.
    pub start: Option<String>,
    /// When it ended.
    pub end: Option<String>,
    /// Zone of times without one.
    pub zone: Option<String>,
    /// Order of all-numeric dates.
    #[serde(default)]
    pub order: Order,
    /// Year of dates without one.
    pub year: Option<String>,
}

/// A maintenance notice.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Maintenance {
    /// Who announces it.
    pub provider: String,
    /// The provider's id of the work; without it one is made of windows and objects.
    pub id: Option<String>,
    /// Our account.
    pub account: Option<String>,
    /// Formats whose words tell the status; the first that holds a known word decides.
    pub status: Vec<String>,
    /// One line for people; by default the subject.
    pub summary: Option<String>,
    /// Windows.
    #[serde(default)]
    pub window: Vec<Window>,
    /// What is touched.
    #[serde(default)]
    pub object: Vec<Objects>,
}

/// Windows: every match of the pattern is one.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Where to search, as in `take`.
    #[serde(default = "body", rename = "in")]
    pub place: String,
    /// The pattern.
    pub pattern: String,
    /// Its start.
    pub start: String,
    /// Its end; a notice without one has an open window.
    pub end: Option<String>,
}

/// Objects: a list in one text, or rows.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objects {
    /// Where to search, as in `take`.
    #[serde(default = "body", rename = "in")]
    pub place: String,
    /// Every match is one; groups `id` and perhaps `impact`.
    pub row: Option<String>,
    /// Rows are searched only below the match of this.
    pub after: Option<String>,
    /// A format that gives a list of ids.
    pub list: Option<String>,
    /// A format whose words tell the impact where a row does not.
    pub impact: Option<String>,
    /// The impact where no word tells.
    pub otherwise: Option<MaintenanceImpact>,
}
