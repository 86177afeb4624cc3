//! What people did in Redmine, read from the journals of issues that changed.
//!
//! The bridge's own journals are nobody's.

use super::{Redmine, locked, shape};
use crate::limits;
use crate::model::Time;
use crate::model::text::bounded;
use crate::model::ticket::{PersonChange, PersonDid};
use crate::trackers::follow::Cursor;
use crate::trackers::words::{path_part, word};
use crate::trackers::{Called, Known};
use serde_json::Value;

type Followed = (Vec<PersonChange>, String);
type Outcome<T> = Result<T, Called<Followed>>;

impl Redmine {
    /// What people did since the cursor.
    pub(super) async fn follow(&self, cursor: &str, known: Known<'_>) -> Outcome<Followed> {
        let me = self.me().await?;
        let newest = self.newest().await?;
        let Some(mut cursor) = Cursor::read(cursor) else {
            return Ok((Vec::new(), Cursor::start(newest).written()));
        };
        let mut found = Vec::new();
        let (changed, left_from) = self.changed(cursor.since(), known).await?;
        for issue in changed {
            found.extend(self.journals(&issue).await?);
        }
        found.sort_by_key(|(id, ..)| *id);
        let mut told = Vec::new();
        for (id, issue, journal) in found {
            let at = Time::parse_rfc3339(&word(&journal, "created_on")).unwrap_or(newest);
            if word(&journal, "user") == me || !cursor.take(&id.to_string(), at) {
                continue;
            }
            for (n, what) in self.meaning(&journal).await?.into_iter().enumerate() {
                told.push(self.told((id, n), &issue, at, &journal, what));
            }
        }
        cursor.read_up_to(left_from, newest);
        Ok((told, cursor.written()))
    }

    /// The nth thing that a journal says.
    pub(super) fn told(
        &self,
        (id, n): (u64, usize),
        issue: &str,
        at: Time,
        journal: &Value,
        what: PersonDid,
    ) -> PersonChange {
        PersonChange {
            tracker: self.name.clone(),
            remote: issue.to_owned(),
            change_id: format!("{id}-{n}"),
            at,
            author: word(&journal["user"], "name"),
            what,
        }
    }

    /// When the newest change happened, by Redmine's clock; its answers need not have a date.
    async fn newest(&self) -> Outcome<Time> {
        let query = [
            ("limit", "1"),
            ("status_id", "*"),
            ("sort", "updated_on:desc"),
        ];
        let answer = self.client.get("/issues.json", &query).await.done()?.json();
        if !answer["issues"].is_array() {
            return Err(Called::later("the answer to a poll is no list"));
        }
        let newest = word(&answer["issues"][0], "updated_on");
        Ok(Time::parse_rfc3339(&newest).unwrap_or(Time(0)))
    }

    /// Known issues that changed since then, those that changed first, first; and from when on there
    /// are more than one poll lists.
    async fn changed(&self, since: Time, known: Known<'_>) -> Outcome<(Vec<String>, Option<Time>)> {
        let since = format!(">={}", Time::from_seconds(since.seconds()));
        let (mut changed, mut left_from) = (Vec::new(), None);
        for page in 0..limits::TRACKER_POLL_PAGES_MAX {
            let offset = (page * 100).to_string();
            let query = [
                ("updated_on", since.as_str()),
                ("status_id", "*"),
                ("sort", "updated_on:asc,id:asc"),
                ("limit", "100"),
                ("offset", offset.as_str()),
            ];
            let answer = self.client.get("/issues.json", &query).await.done()?.json();
            let Some(items) = answer["issues"].as_array() else {
                return Err(Called::later("the answer to a poll is no list"));
            };
            let ids = items.iter().map(|issue| word(issue, "id"));
            changed.extend(ids.filter(|id| known(id)));
            let last = items.last().filter(|_| items.len() == 100);
            left_from = last.and_then(|last| Time::parse_rfc3339(&word(last, "updated_on")));
            if items.len() < 100 {
                break;
            }
        }
        changed.dedup();
        Ok((changed, left_from))
    }

    pub(super) async fn journals(&self, issue: &str) -> Outcome<Vec<(u64, String, Value)>> {
        let path = format!("/issues/{issue}.json");
        let query = [("include", "journals")];
        let answer = self.client.get(&path, &query).await;
        if matches!(&answer, Called::Refused { .. }) {
            // Deleted since it was listed.
            return Ok(Vec::new());
        }
        let answer = answer.done()?.json();
        self.learn_fields(&answer["issue"]);
        let items = answer["issue"]["journals"].as_array().cloned();
        let with_id = |journal: Value| Some((journal["id"].as_u64()?, issue.to_owned(), journal));
        Ok(items
            .unwrap_or_default()
            .into_iter()
            .filter_map(with_id)
            .collect())
    }

    /// What a journal says in our words: what was written first, then what was changed.
    pub(super) async fn meaning(&self, journal: &Value) -> Outcome<Vec<PersonDid>> {
        let mut said = Vec::new();
        let notes = word(journal, "notes");
        if !notes.trim().is_empty() {
            let text = bounded(notes.trim(), limits::TRACKER_TEXT_BYTES_MAX);
            said.push(if !self.is_staff(&word(journal, "user")).await? {
                PersonDid::CustomerWrote { text }
            } else if journal["private_notes"] == Value::Bool(true) {
                PersonDid::Noted { text }
            } else {
                PersonDid::Answered {
                    text,
                    promise: None,
                }
            });
        }
        let names = self.names().await?;
        for detail in journal["details"].as_array().into_iter().flatten() {
            let new = word(detail, "new_value");
            let (property, name) = (word(detail, "property"), word(detail, "name"));
            let what = match (property.as_str(), name.as_str()) {
                ("attr", "status_id") => Some(PersonDid::Status(
                    self.status(&names, names.status_name(&new)),
                )),
                ("attr", "assigned_to_id") => Some(PersonDid::Owner(self.person(&new).await?)),
                ("attr", "priority_id") => self
                    .config
                    .priority
                    .read(names.priority_name(&new))
                    .map(PersonDid::Severity),
                ("cf", id) if self.is_field(id, &self.config.severity_field) => {
                    new.parse().ok().map(PersonDid::Severity)
                }
                ("cf", id) if self.is_field(id, self.config.promise_field.name()) => {
                    Some(self.config.promise_field.set_to(&new))
                }
                _ => None,
            };
            said.extend(what);
        }
        Ok(said)
    }

    /// Journals name custom fields by their ids; the issue shows both.
    fn learn_fields(&self, issue: &Value) {
        let ids = shape::custom_field_ids(&issue["custom_fields"]);
        let project = format!("#{}", word(&issue["project"], "id"));
        if !ids.is_empty() {
            locked(&self.fields).insert(project, ids);
        }
    }

    fn is_field(&self, id: &str, name: &str) -> bool {
        let fields = locked(&self.fields);
        let mut ids = fields.values().filter_map(|ids| ids.get(name));
        ids.any(|known| known.to_string() == id)
    }

    /// Staff is who has a role that is no customer's. Where roles cannot be read, everybody is.
    async fn is_staff(&self, user: &str) -> Outcome<bool> {
        let known = locked(&self.members).get(user).cloned();
        let (_, roles) = match known {
            Some(known) => known,
            None => {
                self.read_members().await?;
                match locked(&self.members).get(user).cloned() {
                    Some(known) => known,
                    None => return Ok(true),
                }
            }
        };
        Ok(roles
            .iter()
            .any(|role| !self.config.customer_roles.contains(role)))
    }

    /// The name of a member by id; the id itself for somebody else; empty for nobody.
    async fn person(&self, id: &str) -> Outcome<String> {
        if id.is_empty() {
            return Ok(String::new());
        }
        if !locked(&self.members).contains_key(id) {
            self.read_members().await?;
        }
        let name = locked(&self.members).get(id).map(|(name, _)| name.clone());
        Ok(name.unwrap_or_else(|| format!("user {id}")))
    }

    async fn read_members(&self) -> Outcome<()> {
        self.read_members_of(&self.config.project).await
    }

    /// Members of a project, who are remembered with those of others.
    pub(super) async fn read_members_of<T>(&self, project: &str) -> Result<(), Called<T>> {
        let path = format!("/projects/{}/memberships.json", path_part(project));
        for page in 0..limits::TRACKER_POLL_PAGES_MAX {
            let offset = (page * 100).to_string();
            let query = [("limit", "100"), ("offset", offset.as_str())];
            let answer = self.client.get(&path, &query).await.done()?.json();
            let items = answer["memberships"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let mut members = locked(&self.members);
            for member in &items {
                let roles = member["roles"].as_array().into_iter().flatten();
                let roles = roles.map(|role| word(role, "name")).collect();
                let user = &member["user"];
                members.insert(word(user, "id"), (word(user, "name"), roles));
            }
            if items.len() < 100 {
                break;
            }
        }
        Ok(())
    }
}
