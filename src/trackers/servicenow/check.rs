//! `trackers check` of a ServiceNow: what the configuration and the routes need is there.

use super::{ServiceNow, value};
use crate::model::Time;
use crate::trackers::words::{clock, word};
use crate::trackers::{Asked, Called};
use serde_json::Value;

impl ServiceNow {
    pub(super) async fn check_all(&self, now: Time) -> Vec<Result<String, String>> {
        let mut said = Vec::new();
        let url = &self.config.url;
        let path = self.table();
        match self.client.get(&path, &[("sysparm_limit", "1")]).await {
            Called::Done(answer) if answer.json()["result"].is_array() => {
                let table = &self.config.table;
                said.push(Ok(format!(
                    "{url} is ServiceNow and shows the table `{table}`"
                )));
                said.extend(answer.date().map(|date| clock(Some(date), now)));
            }
            Called::Done(answer) => {
                return vec![Err(format!(
                    "{url} answers, but not as ServiceNow (an instance may be asleep): {}",
                    answer.said()
                ))];
            }
            other => {
                let why = other.why();
                return vec![Err(format!("{url} does not answer as ServiceNow: {why}"))];
            }
        }
        let nobody = format!("ab-check-{}", now.0);
        said.push(match self.search(&nobody).await {
            Ok(found) if found.is_empty() => {
                Ok("the key is kept in `correlation_id`, and a search by it answers".to_owned())
            }
            Ok(_) => Err("a search for a key that nobody has finds records".to_owned()),
            Err(outcome) => Err(format!("a search by key fails: {}", outcome.why())),
        });
        said.push(match self.journal::<()>("none").await {
            Ok(_) => Ok("comments and work notes can be read".to_owned()),
            Err(outcome) => Err(format!(
                "comments cannot be read (a rule for `sys_journal_field` is needed): {}",
                outcome.why()
            )),
        });
        said
    }

    /// Groups and columns that routes name; an unknown column is dropped without a word there.
    pub(super) async fn check_routes(&self, asked: &[Asked]) -> Vec<Result<String, String>> {
        let mut said = Vec::new();
        for route in asked {
            let group = route.queue_or(&self.config.group);
            if !group.is_empty() {
                let query = format!("name={0}^ORsys_id={0}", value(group));
                let found = self
                    .records::<()>("sys_user_group", &query, "sys_id,name")
                    .await;
                let own = |record: &Value| {
                    word(record, "name") == group || word(record, "sys_id") == group
                };
                said.push(match found {
                    Ok(found) => route.is_there(&format!("group `{group}`"), found.iter().any(own)),
                    Err(outcome) => Ok(format!(
                        "route `{}`: groups cannot be read, `{group}` was not looked at: {}",
                        route.route,
                        outcome.why()
                    )),
                });
            }
            for name in &route.custom {
                // A table has its own columns and those of the one that it extends.
                let query = format!("element={}", value(name));
                let found = self
                    .records::<()>("sys_dictionary", &query, "name,element")
                    .await;
                let table = &self.config.table;
                let own = |record: &Value| {
                    let of = word(record, "name");
                    word(record, "element") == *name && (of == *table || of == "task")
                };
                said.push(match found {
                    Ok(found) => {
                        let named = format!("column `{name}` in `{table}`");
                        route.is_there(&named, found.iter().any(own))
                    }
                    Err(outcome) => Ok(format!(
                        "route `{}`: the dictionary cannot be read, `{name}` was not looked at: {}",
                        route.route,
                        outcome.why()
                    )),
                });
            }
        }
        said
    }
}
