//! `trackers check` of a Request Tracker: what the configuration and the routes need is there.

use super::{RequestTracker, locked, shape};
use crate::model::Time;
use crate::model::ticket::TicketStatus;
use crate::trackers::words::nobody_found;
use crate::trackers::{Asked, Called};

impl RequestTracker {
    pub(super) async fn check_all(&self, now: Time) -> Vec<Result<String, String>> {
        let mut said = Vec::new();
        let version = match self.client.get("/rt", &[]).await {
            Called::Done(answer) => answer,
            other => {
                let (url, why) = (&self.config.url, other.why());
                return vec![Err(format!("{url} does not answer as RT: {why}"))];
            }
        };
        let shown = shape::word(&version.json(), "Version");
        said.push(Ok(format!("{} is RT {shown}", self.config.url)));
        said.push(shape::clock(version.date(), now));
        said.push(match self.me::<()>().await {
            Ok(name) => Ok(format!("the token belongs to `{name}`")),
            Err(outcome) => Err(format!("the bridge's user is unknown: {}", outcome.why())),
        });
        locked(&self.queues).clear();
        let queue = &self.config.queue;
        said.push(match self.fields_of::<()>(queue).await {
            Err(outcome) => Err(format!(
                "queue `{queue}` cannot be read (it does not exist, or the right SeeQueue is missing): {}",
                outcome.why()
            )),
            Ok(fields) if fields.ids.contains_key(&self.config.key_field) => {
                Ok(format!("the key is kept in the field `{}`", self.config.key_field))
            }
            Ok(_) => Ok(format!(
                "queue `{queue}` has no ticket field `{}`: the key is kept in the subject",
                self.config.key_field
            )),
        });
        let status = &self.config.status;
        said.push(Ok(format!(
            "RT does not tell the statuses of a lifecycle; `{}`, `{}`, `{}` and `{}` are written",
            status.name(TicketStatus::New),
            status.name(TicketStatus::Open),
            status.name(TicketStatus::WaitingCustomer),
            status.name(TicketStatus::Resolved),
        )));
        let nobody = format!("ab-check-{}", now.0);
        said.push(nobody_found(self.search(&nobody).await, "key", "tickets"));
        said
    }

    /// Queues and custom fields that routes name.
    pub(super) async fn check_routes(&self, asked: &[Asked]) -> Vec<Result<String, String>> {
        let mut said = Vec::new();
        for route in asked {
            let queue = route.queue_or(&self.config.queue);
            let found = match self.fields_of::<()>(queue).await {
                Ok(fields) => Called::Done(fields),
                Err(outcome) => outcome.map(|()| super::QueueFields::default()),
            };
            said.push(route.is_found(&format!("queue `{queue}`"), &found));
            let Called::Done(fields) = found else {
                continue;
            };
            for name in &route.custom {
                let named = format!("ticket field `{name}` in queue `{queue}`");
                said.push(route.is_there(&named, fields.ids.contains_key(name)));
            }
        }
        said
    }
}
