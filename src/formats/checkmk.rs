//! Checkmk 2.0 to 2.4: a notification script passes its `NOTIFY_*` variables; in bulk mode blocks
//! of variables, the first of which holds for all. `MICROTIME` is the best of its clocks.

use super::fields::{Fields, mentions, names_source};
use super::notification::Notification;
use super::{About, Decoded, Detection, Format, Request, Undecodable, body};
use crate::model::{Event, Identity};
use serde_json::{Map, Value};

/// Checkmk.
pub struct Checkmk;

impl Format for Checkmk {
    fn name(&self) -> &'static str {
        "checkmk"
    }

    fn about(&self) -> About {
        About {
            title: "Checkmk 2.0 to 2.4",
            says: "problem, repeat, acknowledged, flapping, downtime, unreachable, recovery, custom, test",
            identity: "Checkmk site and host, or host and service; event console: its event id",
            auth: "bearer, header, certificate, address",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            "NOTIFY_WHAT=SERVICE\nNOTIFY_NOTIFICATIONTYPE=PROBLEM\nNOTIFY_HOSTNAME=alertbridge-test\nNOTIFY_SERVICEDESC=test\nNOTIFY_SERVICESTATE=WARNING\n",
            "NOTIFY_WHAT=SERVICE\nNOTIFY_NOTIFICATIONTYPE=RECOVERY\nNOTIFY_HOSTNAME=alertbridge-test\nNOTIFY_SERVICEDESC=test\nNOTIFY_SERVICESTATE=OK\n",
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        let script = mentions(request, &["NOTIFY_NOTIFICATIONTYPE"]);
        let bulk = mentions(request, &["NOTIFICATIONTYPE=", "HOSTSHORTSTATE="]);
        if script || bulk || names_source(request, "checkmk") {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let text = request.text();
        if text.contains("NOTIFICATIONTYPE=") && text.trim().contains("\n\n") {
            return Decoded::from_members(bulk(&text).iter().map(event));
        }
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        if fields.text("NOTIFY_HOSTNAME").is_none() && fields.text("HOSTNAME").is_none() {
            return Notification::new(fields, "NOTIFY_").decoded();
        }
        event(&body.value).map(|event| Decoded {
            events: vec![event],
            ..Decoded::default()
        })
    }
}

/// The blocks of a bulk notification, each with the variables of the first, common one.
fn bulk(text: &str) -> Vec<Value> {
    let text = text.replace("\r\n", "\n").replace('\u{1}', "\\n");
    let mut blocks = text
        .split("\n\n")
        .filter(|block| !block.trim().is_empty())
        .map(|block| match body::env(block.trim_matches('\n')) {
            Value::Object(variables) => variables,
            _ => Map::new(),
        });
    let common = blocks.next().unwrap_or_default();
    blocks
        .map(|block| {
            let mut variables = common.clone();
            variables.extend(block);
            Value::Object(variables)
        })
        .collect()
}

/// The Checkmk site. Bulks do not name it but for their links, and a problem told in a bulk may end
/// in a notification of its own.
fn site(notification: &Notification) -> Option<String> {
    let named = notification.text(&["OMD_SITE"]);
    named.or_else(|| {
        let link = notification.text(&["SERVICEURL", "HOSTURL"])?;
        let link = link.replace("%3D", "=").replace("%26", "&");
        let (_, rest) = link.rsplit_once("site=")?;
        let site = rest.split('&').next().unwrap_or(rest);
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        (!site.is_empty() && site.chars().all(plain)).then(|| site.to_owned())
    })
}

fn event(variables: &Value) -> Result<Event, Undecodable> {
    let fields = Fields::of(variables);
    let notification = Notification::new(fields, "NOTIFY_");
    let site = site(&notification).unwrap_or_default();
    let console = notification.text(&["EC_ID"]);
    let identity = match (&console, notification.text(&["HOSTNAME"])) {
        (Some(id), _) => Identity::key(format!("{site}/ec/{id}")),
        (None, Some(host)) => {
            let service = notification.text(&["SERVICEDESC"]);
            let object = service.map_or(host.clone(), |service| format!("{host};{service}"));
            Identity::key(format!("{site}/{object}"))
        }
        (None, None) => None,
    };
    let mut event = notification.event(identity)?;
    if !site.is_empty() {
        event.labels.insert("omd_site".to_owned(), site);
    }
    let tags = notification.text(&["HOSTTAGS"]);
    event
        .labels
        .extend(tags.map(|tags| ("tags".to_owned(), tags)));
    Ok(event)
}
