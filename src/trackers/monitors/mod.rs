//! Acknowledgements that go back to monitors. To delivery a monitor is one more tracker: the
//! acknowledgement of one alert is its ticket, with a key, attempts, retries, unknown outcomes and
//! dead letters like any other. One file a monitor behind one trait.

mod alertmanager;
mod icinga2;
mod nagios;
mod zabbix;

use super::registry::Kind;
use super::{Called, Capabilities, Change, Draft, Known, RemoteTicket, Tracker};
use crate::model::Time;
use crate::model::ticket::{PersonChange, PersonDid, RemoteRef, TicketFields, TicketStatus};
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Every monitor that takes acknowledgements, one line each.
pub static ALL: &[Kind] = &[
    super::registry::kind::<alertmanager::AlertmanagerConfig>("alertmanager", &["authorization"]),
    super::registry::kind::<icinga2::Icinga2Config>("icinga2", &["password"]),
    super::registry::kind::<nagios::NagiosConfig>("nagios", &[]),
    super::registry::kind::<zabbix::ZabbixConfig>("zabbix", &["token"]),
];

/// The monitor of this name; the error names those there are.
pub fn find(name: &str) -> Result<&'static Kind, String> {
    ALL.iter().find(|kind| kind.name == name).ok_or_else(|| {
        let names: Vec<&str> = ALL.iter().map(|kind| kind.name).collect();
        format!(
            "`{name}` takes no acknowledgements; these do: {}",
            names.join(", ")
        )
    })
}

/// The name under which delivery knows the monitor behind a source.
pub fn name_of(source: &str) -> String {
    format!("{PREFIX}{source}")
}

/// What the names of monitors begin with.
pub const PREFIX: &str = "ack-";

/// The condition that is acknowledged, as its sender named it. The body of the draft, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Labels as sent.
    pub labels: BTreeMap<String, String>,
    /// Host.
    pub host: Option<String>,
    /// What is checked.
    pub check: Option<String>,
    /// The sender's own id of the problem.
    pub dedup_key: Option<String>,
    /// When a person acknowledged it.
    pub asked_at: Time,
}

/// A condition whose end was seen at the monitor.
struct SeenEnd {
    remote: String,
    at: Time,
}

/// What a monitor can do.
trait Monitor: Send + Sync {
    /// Acknowledges a condition; gives the name of the acknowledgement there.
    fn acknowledge<'a>(
        &'a self,
        condition: &'a Condition,
        comment: &'a str,
    ) -> BoxFuture<'a, Called<String>>;

    /// The problem is over, or was given back. Most monitors forget an acknowledgement themselves.
    fn release<'a>(&'a self, _remote: &'a str) -> BoxFuture<'a, Called<()>> {
        Box::pin(async { Called::Done(()) })
    }

    /// Acknowledgements whose comment holds the key.
    fn find<'a>(&'a self, _key: &'a str) -> BoxFuture<'a, Called<Vec<String>>> {
        Box::pin(async { Called::refused("acknowledgements cannot be searched there") })
    }

    /// Conditions that ended unheard, since an acknowledgement there silences the recovery as well.
    fn ended<'a>(
        &'a self,
        cursor: &'a str,
        _known: Known<'a>,
    ) -> BoxFuture<'a, Called<(Vec<SeenEnd>, String)>> {
        Box::pin(async move { Called::Done((Vec::new(), cursor.to_owned())) })
    }

    /// One sentence for each thing that was tried.
    fn check(&self) -> BoxFuture<'_, Vec<Result<String, String>>>;
}

/// A monitor as delivery sees it.
struct AtMonitor<M> {
    name: String,
    monitor: M,
    capabilities: Capabilities,
}

/// Makes a tracker of a monitor. One that can be searched is looked at before it is asked again;
/// where that is not possible, asking again changes nothing.
fn tracker<M: Monitor + 'static>(name: &str, monitor: M, searchable: bool) -> Arc<dyn Tracker> {
    Arc::new(AtMonitor {
        name: name.to_owned(),
        monitor,
        capabilities: Capabilities {
            finds_by_key: searchable,
            key_kept: if searchable { "comment" } else { "" },
            creates_once: !searchable,
            settle: Duration::from_secs(2),
            reads_changes: searchable,
            poll_every: Duration::from_secs(30),
            ..Capabilities::EVENTS
        },
    })
}

fn remote(key: String) -> RemoteRef {
    RemoteRef {
        key,
        url: String::new(),
    }
}

impl<M: Monitor> Tracker for AtMonitor<M> {
    fn name(&self) -> &str {
        &self.name
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn find<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Called<Vec<RemoteTicket>>> {
        Box::pin(async move {
            let found = self.monitor.find(key).await;
            found.map(|names| {
                let tickets = names.into_iter().map(|name| RemoteTicket {
                    remote: remote(name),
                    key: key.to_owned(),
                    fields: TicketFields {
                        subject: String::new(),
                        status: TicketStatus::New,
                        severity: None,
                        queue: String::new(),
                    },
                    markers: Vec::new(),
                    created_at: None,
                });
                tickets.collect()
            })
        })
    }

    fn open<'a>(&'a self, draft: &'a Draft) -> BoxFuture<'a, Called<RemoteRef>> {
        Box::pin(async move {
            let condition: Condition = match serde_json::from_str(&draft.body) {
                Ok(condition) => condition,
                Err(_) => return Called::refused("what the monitor said is not kept any more"),
            };
            let comment = format!("{} [{}]", draft.fields.subject, draft.key);
            self.monitor
                .acknowledge(&condition, &comment)
                .await
                .map(remote)
        })
    }

    fn change<'a>(
        &'a self,
        remote: &'a RemoteRef,
        change: &'a Change,
    ) -> BoxFuture<'a, Called<()>> {
        Box::pin(async move {
            match change {
                Change::Fields { to, .. } if to.status.is_over() => {
                    self.monitor.release(&remote.key).await
                }
                Change::CloseAsDuplicateOf(_) => self.monitor.release(&remote.key).await,
                Change::Fields { .. } | Change::Note { .. } => Called::Done(()),
            }
        })
    }

    fn read<'a>(&'a self, _remote: &'a RemoteRef) -> BoxFuture<'a, Called<RemoteTicket>> {
        Box::pin(async { Called::refused("acknowledgements are not read back") })
    }

    fn changes<'a>(
        &'a self,
        cursor: &'a str,
        known: Known<'a>,
    ) -> BoxFuture<'a, Called<(Vec<PersonChange>, String)>> {
        Box::pin(async move {
            let ended = self.monitor.ended(cursor, known).await;
            ended.map(|(ended, cursor)| {
                let changes = ended.into_iter().map(|seen| PersonChange {
                    tracker: self.name.clone(),
                    change_id: format!("ended-{}", seen.remote),
                    remote: seen.remote,
                    at: seen.at,
                    author: String::new(),
                    what: PersonDid::ConditionEnded,
                });
                (changes.collect(), cursor)
            })
        })
    }

    fn check(&self, _now: Time) -> BoxFuture<'_, Vec<Result<String, String>>> {
        self.monitor.check()
    }
}

/// A value of the condition that has to be there.
fn needed<'a, T>(value: Option<&'a String>, what: &str) -> Result<&'a str, Called<T>> {
    value
        .map(String::as_str)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Called::refused(format!("the alert names no {what}")))
}

/// Whether the check is that of the host itself, by the names that senders give it.
fn is_of_host(check: &str) -> bool {
    ["", "host", "hostalive", "host check"].contains(&check.to_ascii_lowercase().as_str())
}

/// A text field of an answer.
fn text_of(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}
