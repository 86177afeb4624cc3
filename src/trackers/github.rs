//! GitHub issues.
//!
//! The key is a label, which a list finds at once. An issue is open or closed; what else the bridge
//! knows of a ticket's status is not shown. The severity is a label. Text stands inside of a code
//! fence, so that it mentions nobody. Each repository is a tracker of its own: the queue of a route
//! has no meaning here.

mod changes;
mod config;
mod transfers;

pub use config::GithubConfig;

use super::client::{Answer, Client, NoAnswer, base_or, secret_header, send};
use super::rest::{Adaptor, Base, Changed, Greeting, Note, Outcome, Said, Told, open_or_closed};
use super::words::{path_part, word};
use super::{Called, Capabilities, Draft, RemoteTicket, text};
use crate::limits;
use crate::model::Time;
use crate::model::severity::Severity;
use crate::model::text::bounded;
use crate::model::ticket::{RemoteRef, TicketFields, TicketStatus};
use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderName, HeaderValue};
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use std::sync::Mutex;
use std::time::Duration;
use transfers::Elsewhere;

const PRODUCT: &str = "GitHub";
/// Where the interface is.
const DEFAULT_URL: &str = "https://api.github.com";
/// Longest title, characters.
const TITLE_CHARS_MAX: usize = 250;
/// Longest body or comment that is sent, bytes; GitHub takes 65,536 characters.
const BODY_BYTES_MAX: usize = 60_000;
/// How often an issue can have been transferred.
const MOVES_MAX: u32 = 3;
/// What the labels of severities begin with.
const SEVERITY: &str = "severity:";

/// GitHub issues as a tracker.
pub struct Github {
    base: Base,
    config: GithubConfig,
    elsewhere: Mutex<Elsewhere>,
}

/// Text as GitHub shows it without reading it, with `last` as its last line.
fn body(text: &str, last: &str) -> String {
    let text = bounded(&text::plain(text), BODY_BYTES_MAX - 200);
    format!("{}\n\n{last}", text::fenced(&text))
}

/// `2027-01-31 12:00:00 UTC`, or with an offset like `+0100` in the place of `UTC`.
fn ends_at(text: &str) -> Option<Time> {
    let text = text.replace(" UTC", " +0000");
    let at = jiff::Timestamp::strptime("%Y-%m-%d %H:%M:%S %z", &text);
    at.ok().map(Time::from_timestamp)
}

fn label(severity: Severity) -> String {
    format!("{SEVERITY}{severity}")
}

impl Github {
    /// A tracker by its configuration; nothing is sent yet.
    pub fn new(name: &str, config: GithubConfig) -> Result<Github, String> {
        let repository = |text: &str| {
            text.split_once('/')
                .is_some_and(|(owner, name)| !owner.is_empty() && !name.is_empty())
        };
        if !repository(&config.repository) {
            return Err(format!(
                "repository: `{}` is not of the form OWNER/NAME",
                config.repository
            ));
        }
        let token = secret_header(&format!("Bearer {}", config.token.expose_secret().trim()))?;
        let headers = [
            (AUTHORIZATION, token),
            (
                ACCEPT,
                HeaderValue::from_static("application/vnd.github+json"),
            ),
            (
                HeaderName::from_static("x-github-api-version"),
                HeaderValue::from_static("2022-11-28"),
            ),
        ];
        let url = base_or(config.url.as_ref(), DEFAULT_URL)?;
        let base = Base {
            name: name.to_owned(),
            url: url.to_string(),
            client: Client::new(&url, headers.into_iter().collect(), &config.connection)?,
            capabilities: Capabilities {
                key_kept: "a label",
                settle: Duration::from_secs(config.settle_seconds),
                poll_every: Duration::from_secs(config.poll_seconds.max(5)),
                subject_chars_max: TITLE_CHARS_MAX,
                body_bytes_max: BODY_BYTES_MAX - 200,
                parallel_max: config.parallel.max(1),
                // About 80 texts a minute are taken.
                calls_per_minute: 60,
                ..Capabilities::TICKETS
            },
        };
        Ok(Github {
            base,
            config,
            elsewhere: Mutex::default(),
        })
    }

    /// The path of a repository; an issue is named `OWNER/NAME#7`, as people do.
    fn repository(&self, name: &str) -> String {
        let name = if name.is_empty() {
            &self.config.repository
        } else {
            name
        };
        let (owner, name) = name.split_once('/').unwrap_or((name, ""));
        format!("/repos/{}/{}", path_part(owner), path_part(name))
    }

    fn issue_path(&self, key: &str) -> String {
        let (repository, number) = key.rsplit_once('#').unwrap_or(("", key));
        format!(
            "{}/issues/{}",
            self.repository(repository),
            path_part(number)
        )
    }

    fn remote(repository: &str, issue: &Value) -> RemoteRef {
        RemoteRef {
            key: format!("{repository}#{}", word(issue, "number")),
            url: word(issue, "html_url"),
        }
    }

    fn ticket(&self, repository: &str, issue: &Value) -> RemoteTicket {
        let labels = || {
            let labels = issue["labels"].as_array().into_iter().flatten();
            labels.map(|label| word(label, "name"))
        };
        let severity = labels().find_map(|label| label.strip_prefix(SEVERITY)?.parse().ok());
        let closed = word(issue, "state") == "closed";
        RemoteTicket {
            remote: Github::remote(repository, issue),
            key: labels()
                .find(|label| label.starts_with("ab-"))
                .unwrap_or_default(),
            fields: TicketFields {
                subject: word(issue, "title"),
                status: if closed {
                    TicketStatus::Resolved
                } else {
                    TicketStatus::New
                },
                severity,
                queue: repository.to_owned(),
            },
            markers: Vec::new(),
            created_at: Time::parse_rfc3339(&word(issue, "created_at")),
        }
    }

    /// All pages of a list.
    async fn list(
        &self,
        path: &str,
        query: &[(&str, &str)],
        pages_max: usize,
    ) -> Outcome<Vec<Value>> {
        let mut items: Vec<Value> = Vec::new();
        for page in 1..=pages_max {
            let page = page.to_string();
            let mut query = query.to_vec();
            query.extend([("per_page", "100"), ("page", page.as_str())]);
            let answer = self.base.client.get(path, &query).await.done()?.json();
            let Some(list) = answer.as_array() else {
                return Err(Called::later("the answer is no list"));
            };
            items.extend(list.iter().cloned());
            if list.len() < 100 {
                break;
            }
        }
        Ok(items)
    }

    /// The path that a redirect leads to, if it stays at this GitHub.
    fn moved_to(&self, answer: &Answer) -> Option<String> {
        let place = answer.header("location").filter(|_| answer.status == 301)?;
        let path = place.strip_prefix(self.base.url.trim_end_matches('/'))?;
        path.starts_with('/').then(|| path.to_owned())
    }

    /// The issue, where it is now if it was transferred; none if it was deleted or is out of reach.
    async fn issue(&self, key: &str) -> Outcome<Option<Value>> {
        let mut path = self.issue_path(key);
        let mut moves = 0;
        let answer = loop {
            let answer = match send(self.base.client.request(Method::GET, &path)).await {
                Ok(answer) => answer,
                Err(NoAnswer::NotSent(why) | NoAnswer::Lost(why)) => {
                    return Err(Called::later(why));
                }
            };
            match self.moved_to(&answer).filter(|_| moves < MOVES_MAX) {
                Some(next) => (path, moves) = (next, moves + 1),
                None if moves > 0 && answer.status == 403 => return Ok(None),
                None if matches!(answer.status, 301 | 404 | 410) => {
                    // A token without access would look the same.
                    self.base.client.get("/user", &[]).await.done()?;
                    return Ok(None);
                }
                None => break answer.read().done()?,
            }
        };
        let issue = answer.json();
        if word(&issue, "number").is_empty() {
            return Err(Called::later("the answer to a read is no issue"));
        }
        Ok(Some(issue))
    }

    /// Issues of a repository that changed at or after an instant.
    async fn changed_in(&self, repository: &str, since: Time) -> Outcome<Changed> {
        let since = since.to_string();
        let path = format!("{}/issues", self.repository(repository));
        let query = [
            ("since", since.as_str()),
            ("state", "all"),
            ("sort", "updated"),
            ("direction", "asc"),
        ];
        let issues = self
            .list(&path, &query, limits::TRACKER_POLL_PAGES_MAX)
            .await?;
        let whole = issues.len() < 100 * limits::TRACKER_POLL_PAGES_MAX;
        let mut changed = Changed::listed(&issues, ("number", "updated_at"), whole);
        for number in &mut changed.ids {
            *number = format!("{repository}#{number}");
        }
        Ok(changed)
    }

    async fn patch(&self, key: &str, change: Map<String, Value>) -> Outcome<()> {
        let path = self.issue_path(key);
        let change = Value::Object(change);
        let to = (Method::PATCH, path.as_str());
        self.base.write(PRODUCT, to, &change, "number").await?;
        Ok(())
    }

    async fn comment(&self, key: &str, text: &str) -> Outcome<()> {
        let path = format!("{}/comments", self.issue_path(key));
        let comment = json!({ "body": text });
        let to = (Method::POST, path.as_str());
        self.base.write(PRODUCT, to, &comment, "id").await?;
        Ok(())
    }
}

impl Adaptor for Github {
    const PRODUCT: &'static str = PRODUCT;

    fn base(&self) -> &Base {
        &self.base
    }

    fn kept(&self, fields: TicketFields) -> TicketFields {
        open_or_closed(fields)
    }

    async fn greet(&self) -> Outcome<Greeting> {
        let answer = self.base.client.get("/user", &[]).await.done()?;
        let user = word(&answer.json(), "login");
        if user.is_empty() {
            return Err(Called::later("the answer does not name the bridge's user"));
        }
        Ok(Greeting {
            words: format!("the token belongs to `{user}`"),
            user,
            clock: answer.date(),
        })
    }

    async fn check_more(&self) -> Said {
        let repository = &self.config.repository;
        vec![
            match self.base.client.get(&self.repository(""), &[]).await {
                Called::Done(answer) => {
                    let answer = answer.json();
                    if answer["has_issues"] == json!(false) {
                        Err(format!("{repository} has no issues: switch them on"))
                    } else if answer["permissions"]["push"] == json!(false) {
                        Err(format!(
                            "the token may not push to {repository}: labels, and with them the key, are dropped"
                        ))
                    } else {
                        Ok(format!(
                            "{repository} takes issues; the key is kept as a label"
                        ))
                    }
                }
                other => Err(format!("{repository} cannot be read: {}", other.why())),
            },
        ]
    }

    async fn token_ends_at(&self) -> Option<Time> {
        let Called::Done(answer) = self.base.client.get("/user", &[]).await else {
            return None;
        };
        ends_at(answer.header("github-authentication-token-expiration")?)
    }

    fn lives_at(&self, key: &str) {
        self.met(key);
    }

    async fn search(&self, key: &str) -> Outcome<Vec<RemoteTicket>> {
        let path = format!("{}/issues", self.repository(""));
        let query = [("labels", key), ("state", "all"), ("direction", "asc")];
        let issues = self.list(&path, &query, 2).await?;
        let issues = issues
            .iter()
            .filter(|issue| issue["pull_request"].is_null());
        let tickets = issues.map(|issue| self.ticket(&self.config.repository, issue));
        Ok(tickets.collect())
    }

    async fn create(&self, draft: &Draft) -> Outcome<RemoteRef> {
        let mut labels = self.config.labels.clone();
        labels.push(draft.key.clone());
        labels.extend(draft.fields.severity.map(label));
        let issue = json!({
            "title": self.base.subject(&draft.fields.subject),
            "body": body(&draft.body, &draft.key),
            "labels": labels,
        });
        let path = format!("{}/issues", self.repository(""));
        let to = (Method::POST, path.as_str());
        let issue = self.base.write(PRODUCT, to, &issue, "number").await?;
        Ok(Github::remote(&self.config.repository, &issue))
    }

    async fn write_fields(
        &self,
        key: &str,
        from: Option<&TicketFields>,
        to: &TicketFields,
    ) -> Outcome<()> {
        let mut change = Map::new();
        if from.is_none_or(|from| from.subject != to.subject) {
            let title = self.base.subject(&to.subject);
            change.insert("title".to_owned(), json!(title));
        }
        if from.is_none_or(|from| from.status.is_over() != to.status.is_over()) {
            let (state, reason) = if to.status.is_over() {
                ("closed", "completed")
            } else {
                ("open", "reopened")
            };
            change.insert("state".to_owned(), json!(state));
            change.insert("state_reason".to_owned(), json!(reason));
        }
        if !change.is_empty() {
            self.patch(key, change).await?;
        }
        // Labels one by one: those of people stay.
        if from.is_none_or(|from| from.severity != to.severity) {
            let path = format!("{}/labels", self.issue_path(key));
            if let Some(severity) = to.severity {
                let labels = json!({ "labels": [label(severity)] });
                let client = &self.base.client;
                client.write(Method::POST, &path, &labels).await.done()?;
            }
            if let Some(old) = from.and_then(|from| from.severity) {
                let path = format!("{path}/{}", path_part(&label(old)));
                match self
                    .base
                    .client
                    .write(Method::DELETE, &path, &json!({}))
                    .await
                {
                    // A person has removed it.
                    Called::Done(_) | Called::Refused { .. } => {}
                    other => {
                        other.done()?;
                    }
                }
            }
        }
        Ok(())
    }

    async fn write_note(&self, key: &str, note: Note<'_>) -> Outcome<()> {
        self.comment(key, &body(note.text, note.marker)).await
    }

    async fn close_twin(&self, key: &str, other: &str) -> Outcome<()> {
        let closed = [
            ("state", json!("closed")),
            ("state_reason", json!("not_planned")),
        ];
        let change = closed
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value));
        self.patch(key, change.collect()).await?;
        self.comment(key, &format!("Duplicate of {other}")).await
    }

    async fn read_whole(&self, key: &str) -> Outcome<Option<RemoteTicket>> {
        let (repository, _) = key
            .rsplit_once('#')
            .unwrap_or((&self.config.repository, key));
        let Some(issue) = self.issue(key).await? else {
            return Ok(None);
        };
        let place = word(&issue, "repository_url");
        let now = place
            .rsplit_once("/repos/")
            .map_or(repository, |(_, name)| name);
        // The same one, however it is configured.
        let now = match now.eq_ignore_ascii_case(repository) {
            true => repository,
            false => now,
        };
        let mut ticket = self.ticket(now, &issue);
        if now != repository {
            self.arrived(&ticket.remote.key);
        }
        let path = format!("{}/comments", self.issue_path(&ticket.remote.key));
        let comments = self
            .list(&path, &[], limits::TRACKER_NOTES_PAGES_MAX)
            .await?;
        for comment in &comments {
            let text = word(comment, "body");
            ticket.markers.push(text::last_line(&text).to_owned());
        }
        Ok(Some(ticket))
    }

    async fn changed_since(&self, since: Time) -> Outcome<Changed> {
        let mut changed = self.changed_in(&self.config.repository, since).await?;
        let (repositories, arrived) = {
            let elsewhere = self.elsewhere();
            (elsewhere.repositories.clone(), elsewhere.arrived.clone())
        };
        for repository in &repositories {
            let there = match self.changed_in(repository, since).await {
                Ok(there) => there,
                // Out of reach by now; the issues there are found gone one by one.
                Err(Called::Refused { .. }) => continue,
                Err(outcome) => return Err(outcome),
            };
            changed.ids.extend(there.ids);
            let left_from = [changed.left_from, there.left_from];
            changed.left_from = left_from.into_iter().flatten().min();
        }
        let unseen = arrived.into_iter().filter(|key| !changed.ids.contains(key));
        let unseen: Vec<String> = unseen.collect();
        changed.ids.extend(unseen);
        Ok(changed)
    }

    async fn history(&self, key: &str, me: &str) -> Outcome<Vec<Told>> {
        self.told(key, me).await
    }
}
