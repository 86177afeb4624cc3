//! `trackers check` of a Redmine: what the configuration and the routes need is there.

use super::Redmine;
use crate::model::Time;
use crate::model::ticket::TicketStatus;
use crate::trackers::words::{clock, nobody_found, path_part, word};
use crate::trackers::{Asked, Called};

impl Redmine {
    pub(super) async fn check_all(&self, now: Time) -> Vec<Result<String, String>> {
        let mut said = Vec::new();
        let url = &self.config.url;
        match self.client.get("/users/current.json", &[]).await {
            Called::Done(answer) => {
                let login = word(&answer.json()["user"], "login");
                said.push(Ok(format!(
                    "{url} is Redmine; the key belongs to `{login}`"
                )));
                // The server behind Redmine need not send a date.
                said.extend(answer.date().map(|date| clock(Some(date), now)));
            }
            other => {
                let why = other.why();
                return vec![Err(format!("{url} does not answer as Redmine: {why}"))];
            }
        }
        let project = &self.config.project;
        let path = format!("/projects/{}.json", path_part(project));
        said.push(match self.client.get(&path, &[]).await {
            Called::Done(_) => Ok(format!("project `{project}` exists")),
            other => Err(format!(
                "project `{project}` cannot be read: {}",
                other.why()
            )),
        });
        match self.names::<()>().await {
            Err(outcome) => said.push(Err(outcome.why().to_owned())),
            Ok(names) => {
                for status in [
                    TicketStatus::New,
                    TicketStatus::Open,
                    TicketStatus::WaitingCustomer,
                    TicketStatus::Resolved,
                    TicketStatus::Gone,
                ] {
                    let name = self.config.status.name(status);
                    if !names.statuses.contains_key(name) {
                        said.push(Err(format!("there is no status `{name}`; set [status]")));
                    }
                }
                let tracker = &self.config.tracker;
                if !tracker.is_empty() && !names.trackers.contains_key(tracker) {
                    said.push(Err(format!("there is no tracker `{tracker}` in Redmine")));
                }
            }
        }
        let field = &self.config.key_field;
        said.push(match self.fields_of::<()>(project).await {
            Err(outcome) => Err(outcome.why().to_owned()),
            Ok(fields) => match fields.get(field) {
                None => Ok(format!(
                    "no issue of `{project}` shows the field `{field}`: the key is kept in the \
                     last line of the description"
                )),
                Some(id) => match self.field_filters::<()>(*id).await {
                    Err(outcome) => Err(outcome.why().to_owned()),
                    Ok(true) => Ok(format!(
                        "the key is kept in the field `{field}` and in the description"
                    )),
                    Ok(false) => Ok(format!(
                        "the field `{field}` is not marked \"used as a filter\": the key is looked \
                         for in the description"
                    )),
                },
            },
        });
        let nobody = format!("ab-check-{}", now.0);
        said.push(nobody_found(self.search(&nobody).await, "key", "issues"));
        said
    }

    /// Projects, trackers and custom fields that routes name.
    pub(super) async fn check_routes(&self, asked: &[Asked]) -> Vec<Result<String, String>> {
        let mut said = Vec::new();
        let names = self.names::<()>().await;
        for route in asked {
            let project = route.queue_or(&self.config.project);
            let path = format!("/projects/{}.json", path_part(project));
            let found = self.client.get(&path, &[("include", "trackers")]).await;
            said.push(route.is_found(&format!("project `{project}`"), &found));
            let Called::Done(found) = found else {
                continue;
            };
            if !route.kind.is_empty() {
                let of_project = found.json();
                let of_project = of_project["project"]["trackers"].as_array();
                let there = match of_project {
                    Some(list) => list.iter().any(|one| word(one, "name") == route.kind),
                    None => names
                        .as_ref()
                        .is_ok_and(|names| names.trackers.contains_key(&route.kind)),
                };
                let named = format!("tracker `{}` in project `{project}`", route.kind);
                said.push(route.is_there(&named, there));
            }
            if route.custom.is_empty() {
                continue;
            }
            match self.fields_of::<()>(project).await {
                Err(outcome) => said.push(Err(outcome.why().to_owned())),
                Ok(fields) if fields.is_empty() => said.push(Ok(format!(
                    "route `{}`: project `{project}` has no issue yet that shows its fields",
                    route.route
                ))),
                Ok(fields) => said.extend(route.custom.iter().map(|name| {
                    let there = fields.contains_key(name) || name.parse::<u64>().is_ok();
                    route.is_there(&format!("field `{name}` in project `{project}`"), there)
                })),
            }
        }
        said
    }
}
