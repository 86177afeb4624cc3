//! `trackers check` of a Zammad: what the configuration and the routes need is there.

use super::Zammad;
use crate::model::ticket::TicketStatus;
use crate::trackers::rest::Said;
use crate::trackers::words::{names_of, names_there};
use crate::trackers::{Asked, Called};

impl Zammad {
    pub(super) async fn check_section(&self) -> Said {
        let mut said = Vec::new();
        let groups = self.base.client.get("/api/v1/groups", &[]).await;
        let group = self.config.group.as_str();
        said.push(names_there("group", &[group], names_of(groups, "name")));
        let states = self.base.client.get("/api/v1/ticket_states", &[]).await;
        let wanted = [
            TicketStatus::New,
            TicketStatus::Open,
            TicketStatus::WaitingCustomer,
            TicketStatus::Resolved,
        ]
        .map(|status| self.config.status.name(status));
        said.push(names_there("state", &wanted, names_of(states, "name")));
        let attribute = &self.config.key_attribute;
        said.push(match self.has_attribute(attribute).await {
            Ok(true) => Ok(format!("the key is kept in the attribute `{attribute}`")),
            Ok(false) => Ok(format!(
                "there is no attribute `{attribute}`: the key is kept in the title"
            )),
            Err(why) => Err(why),
        });
        said
    }

    async fn has_attribute(&self, name: &str) -> Result<bool, String> {
        let nobody = "ab-check-nobody-has-this";
        match self.by_condition(name, "is", nobody, 1).await {
            Ok(found) if found.is_empty() => Ok(true),
            Ok(_) => Err(format!(
                "a search by `{name}` finds tickets with another value: it is ignored"
            )),
            Err(Called::Refused { .. }) => Ok(false),
            Err(outcome) => Err(outcome.why().to_owned()),
        }
    }

    /// Groups and attributes that routes name; an unknown attribute is dropped without a word there.
    pub(super) async fn check_routes(&self, asked: &[Asked]) -> Said {
        let mut said = Vec::new();
        for route in asked {
            if !route.queue.is_empty() {
                let groups = self.base.client.get("/api/v1/groups", &[]).await;
                said.push(names_there(
                    "group",
                    &[&route.queue],
                    names_of(groups, "name"),
                ));
            }
            for name in &route.custom {
                said.push(match self.has_attribute(name).await {
                    Ok(there) => route.is_there(&format!("attribute `{name}`"), there),
                    Err(why) => Err(why),
                });
            }
        }
        said
    }
}
