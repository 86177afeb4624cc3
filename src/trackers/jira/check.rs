//! `trackers check` of a Jira: what the configuration and the routes need is there.

use super::Jira;
use super::fields::field_named;
use crate::model::Time;
use crate::model::ticket::TicketStatus;
use crate::trackers::words::{clock, nobody_found, path_part, word};
use crate::trackers::{Asked, Called};
use serde_json::Value;

impl Jira {
    pub(super) async fn check_all(&self, now: Time) -> Vec<Result<String, String>> {
        let mut said = Vec::new();
        let url = &self.config.url;
        match self.client.get("/rest/api/2/myself", &[]).await {
            Called::Done(answer) => {
                let name = word(&answer.json(), "displayName");
                said.push(Ok(format!("{url} is Jira; the token belongs to `{name}`")));
                said.extend(answer.date().map(|date| clock(Some(date), now)));
            }
            other => {
                let why = other.why();
                return vec![Err(format!("{url} does not answer as Jira: {why}"))];
            }
        }
        let project = &self.config.project;
        let path = format!("/rest/api/2/project/{}", path_part(project));
        said.push(match self.client.get(&path, &[]).await {
            Called::Done(answer) => {
                let kinds = answer.json()["issueTypes"].as_array().cloned();
                let kinds = kinds.unwrap_or_default();
                let wanted = &self.config.issue_type;
                if kinds.iter().any(|kind| word(kind, "name") == *wanted) {
                    Ok(format!("project `{project}` has issues of type `{wanted}`"))
                } else {
                    Err(format!(
                        "project `{project}` has no issues of type `{wanted}`"
                    ))
                }
            }
            other => Err(format!(
                "project `{project}` cannot be read: {}",
                other.why()
            )),
        });
        said.extend(self.check_statuses(project, &self.config.issue_type).await);
        said.push(self.check_transitions(project).await);
        said.push(Ok("the key is kept in a label".to_owned()));
        let nobody = format!("ab-check-{}", now.0);
        said.push(nobody_found(self.search(&nobody).await, "label", "issues"));
        said
    }

    /// Names of the statuses that issues of a type can have in a project; none: Jira does not tell.
    async fn statuses(&self, project: &str, kind: &str) -> Option<Vec<String>> {
        let path = format!("/rest/api/2/project/{}/statuses", path_part(project));
        let Called::Done(answer) = self.client.get(&path, &[]).await else {
            return None;
        };
        let kinds = answer.json();
        let kinds = kinds.as_array()?;
        let own = kinds.iter().find(|one| word(one, "name") == kind)?;
        let list = own["statuses"].as_array()?;
        Some(list.iter().map(|status| word(status, "name")).collect())
    }

    /// Which transition leads where is seen on an issue only: the newest that is open has to have one
    /// to its end.
    async fn check_transitions(&self, project: &str) -> Result<String, String> {
        let jql = format!(
            "project = {} AND statusCategory != Done ORDER BY created DESC",
            super::quoted(project)
        );
        let found: Result<_, Called<()>> = self.search_issues(&jql, &["status"], 1).await;
        let newest = found.ok().and_then(|(issues, _)| issues.into_iter().next());
        let Some(issue) = newest else {
            return Ok("no issue is open: transitions were not looked at".to_owned());
        };
        let (key, now) = (
            word(&issue, "key"),
            word(&issue["fields"]["status"], "name"),
        );
        let path = format!("/rest/api/2/issue/{}/transitions", path_part(&key));
        let answer = match self.client.get(&path, &[]).await {
            Called::Done(answer) => answer.json(),
            other => {
                let why = other.why();
                return Ok(format!("transitions were not looked at: {why}"));
            }
        };
        let list = answer["transitions"].as_array().into_iter().flatten();
        let to: Vec<&Value> = list.map(|transition| &transition["to"]).collect();
        let end = self.config.status.name(TicketStatus::Resolved);
        let leads = to
            .iter()
            .any(|to| word(to, "name") == end || word(&to["statusCategory"], "key") == "done");
        if leads {
            return Ok(format!(
                "a transition leads from `{now}` ({key}) to the end"
            ));
        }
        let names: Vec<String> = to.iter().map(|to| word(to, "name")).collect();
        Err(format!(
            "no transition leads from `{now}` ({key}) to `{end}`, only to `{}`: give the workflow one",
            names.join("`, `")
        ))
    }

    /// The statuses that the bridge writes are there.
    async fn check_statuses(&self, project: &str, kind: &str) -> Vec<Result<String, String>> {
        let Some(known) = self.statuses(project, kind).await else {
            return vec![Ok(format!(
                "the statuses of project `{project}` cannot be read: not looked at"
            ))];
        };
        let wanted = [
            TicketStatus::New,
            TicketStatus::Open,
            TicketStatus::Resolved,
        ];
        let missing: Vec<&str> = wanted
            .iter()
            .map(|status| self.config.status.name(*status))
            .filter(|name| !known.iter().any(|known| known == name))
            .collect();
        if missing.is_empty() {
            return vec![Ok(format!("`{kind}` in `{project}` has the statuses"))];
        }
        let (missing, known) = (missing.join("`, `"), known.join("`, `"));
        vec![Err(format!(
            "`{kind}` in `{project}` has no status `{missing}`: set [status] to those it has, `{known}`"
        ))]
    }

    /// Projects, types and custom fields that routes name.
    pub(super) async fn check_routes(&self, asked: &[Asked]) -> Vec<Result<String, String>> {
        let mut said = Vec::new();
        for route in asked {
            let project = route.queue_or(&self.config.project);
            let path = format!("/rest/api/2/project/{}", path_part(project));
            let found = self.client.get(&path, &[]).await;
            said.push(route.is_found(&format!("project `{project}`"), &found));
            let Called::Done(found) = found else {
                continue;
            };
            if !route.kind.is_empty() {
                let kinds = found.json();
                let mut kinds = kinds["issueTypes"].as_array().into_iter().flatten();
                let there = kinds.any(|kind| word(kind, "name") == route.kind);
                let named = format!("type `{}` in project `{project}`", route.kind);
                said.push(route.is_there(&named, there));
            }
            if route.custom.is_empty() {
                continue;
            }
            match self.fields_known::<Value>().await {
                Err(outcome) => said.push(Err(outcome.why().to_owned())),
                Ok(known) => said.extend(route.custom.iter().map(|name| {
                    let there = field_named(known, name).is_some();
                    route.is_there(&format!("field `{name}`"), there)
                })),
            }
        }
        said
    }
}
