//! VMware Aria Operations for Logs (Log Insight) webhooks. An alert is a query that found
//! something: its name is its identity, and nothing ever says that it is over.

use super::draft::Draft;
use super::fields::{Fields, mentions};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body, signals};
use crate::model::{EventState, Identity};

/// Aria Operations for Logs.
pub struct Loginsight;

impl Format for Loginsight {
    fn name(&self) -> &'static str {
        "loginsight"
    }

    fn about(&self) -> About {
        About {
            title: "VMware Aria Operations for Logs (Log Insight)",
            says: "problem, test",
            identity: "alert name",
            auth: "basic, address",
        }
    }

    fn detect(&self, request: &Request) -> Detection {
        if mentions(
            request,
            &["\"AlertName\"", "\"HitCount\"", "\"SearchPeriod\""],
        ) {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let alert = Fields::of(&body.value);
        let name = alert.text("AlertName");
        let messages = alert.list("messages");
        let first = messages.first().copied();
        let host = messages.iter().find_map(|message| {
            let fields = message.list("fields");
            let named = fields
                .into_iter()
                .find(|field| field.word("name") == "hostname")?;
            named.text("content")
        });
        let text = first.and_then(|message| message.text("text"));
        let mut event = Draft::new(
            EventState::Firing,
            name.clone().and_then(Identity::key),
            "`AlertName`",
        )?
        .host(host)
        .check(name.clone())
        .summary(name)
        .details(text.or_else(|| alert.text("Info")))
        .label("info", alert.text("Info"))
        .link(alert.text("Url"))
        .sent_at(first.and_then(|message| message.time("timestamp")))
        .test(messages.is_empty() && !alert.has("Url"))
        .finish();
        signals::apply(&mut event);
        Ok(Decoded {
            events: vec![event],
            ..Decoded::default()
        })
    }
}
