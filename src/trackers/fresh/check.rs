//! `trackers check` of Freshdesk and Freshservice: what the configuration and the routes need is there.

use super::{Dialect, Fresh};
use crate::model::ticket::TicketStatus;
use crate::trackers::client::Answer;
use crate::trackers::rest::Said;
use crate::trackers::words::{names_there, path_part, word};
use crate::trackers::{Asked, Called};
use serde_json::Value;

/// The numbers of the statuses that there are, as the field of that name lists them; none if it does
/// not tell.
fn statuses(fields: &[Value]) -> Option<Vec<String>> {
    let field = fields.iter().find(|item| word(item, "name") == "status")?;
    let choices = field["choices"].as_object()?;
    Some(choices.keys().cloned().collect())
}

impl<D: Dialect> Fresh<D> {
    async fn group(&self, number: &str) -> Called<Answer> {
        let path = format!("/api/v2/groups/{}", path_part(number));
        self.base.client.get(&path, &[]).await
    }

    /// The group, the field for the key, the statuses.
    pub(super) async fn check_section(&self) -> Said {
        let mut said = Vec::new();
        let group = &self.config.group;
        if !group.is_empty() {
            said.push(match self.group(group).await {
                Called::Done(_) => Ok(format!("tickets go to the group {group}")),
                other => Err(format!("group {group} cannot be read: {}", other.why())),
            });
        }
        let field = &self.config.key_field;
        let kept = Ok(format!("the key is kept in the field `{field}`"));
        let fields = match self.list("/api/v2/ticket_fields", &[], "").await {
            Ok(fields) => fields,
            // Only administrators may read them; a search by the field has answered.
            Err(_) => {
                said.push(kept);
                return said;
            }
        };
        let there = fields.iter().any(|item| word(item, "name") == *field);
        said.push(if there {
            kept
        } else {
            Err(format!(
                "there is no ticket field `{field}`: make one, a text of one line"
            ))
        });
        if let Some(known) = statuses(&fields) {
            // Nothing is moved to `Gone`: a deleted ticket is read so.
            let wanted = TicketStatus::ALL.into_iter();
            let wanted = wanted.filter(|status| *status != TicketStatus::Gone);
            let wanted: Vec<_> = wanted
                .map(|status| self.config.status.name(status))
                .collect();
            said.push(names_there("status", &wanted, Ok(known)));
        }
        said
    }

    /// What routes ask for.
    pub(super) async fn check_routes(&self, asked: &[Asked]) -> Said {
        let mut said = Vec::new();
        let fields = self.list("/api/v2/ticket_fields", &[], "").await;
        for route in asked {
            if !route.queue.is_empty() {
                let found = self.group(&route.queue).await;
                said.push(route.is_found(&format!("group {}", route.queue), &found));
            }
            for name in &route.custom {
                said.push(match &fields {
                    Ok(fields) => {
                        let there = fields.iter().any(|item| word(item, "name") == *name);
                        route.is_there(&format!("ticket field `{name}`"), there)
                    }
                    Err(outcome) => Ok(format!(
                        "fields may be read by administrators only, `{name}` was not looked at: {}",
                        outcome.why()
                    )),
                });
            }
        }
        said
    }
}
