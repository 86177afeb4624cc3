//! What a route gives an issue: its tracker inside of Redmine and its watchers, by their numbers.

use super::shape::Names;
use super::{Redmine, locked, refused_field};
use crate::trackers::Called;
use serde_json::{Value, json};

impl Redmine {
    /// The number of a tracker inside of Redmine: the route's, else the section's; none: the
    /// project's first.
    pub(super) fn kind_of<T>(&self, kind: &str, names: &Names) -> Result<Option<u64>, Called<T>> {
        if kind.is_empty() {
            return Ok(names.trackers.get(&self.config.tracker).copied());
        }
        match names.trackers.get(kind) {
            Some(id) => Ok(Some(*id)),
            None => Err(refused_field(
                "type",
                &format!("Redmine has no tracker `{kind}`"),
            )),
        }
    }

    /// Numbers of members of a project by their names; numbers stand for themselves.
    pub(super) async fn watchers<T>(
        &self,
        project: &str,
        names: &[String],
    ) -> Result<Value, Called<T>> {
        let numbers = |names: &[String]| -> Result<Vec<u64>, String> {
            let members = locked(&self.members);
            let one = |name: &String| {
                let by_name = members.iter().find(|(_, (member, _))| member == name);
                let id = by_name.map_or(name.as_str(), |(id, _)| id);
                id.parse().map_err(|_| name.clone())
            };
            names.iter().map(one).collect()
        };
        let mut found = numbers(names);
        if found.is_err() {
            self.read_members_of(project).await?;
            found = numbers(names);
        }
        found.map(|ids| json!(ids)).map_err(|name| {
            refused_field(
                "watchers",
                &format!("project `{project}` has no member `{name}`"),
            )
        })
    }
}
