//! What people did in RT, read from its transactions.
//!
//! Transactions can become visible out of order, so the last minute is read again at every poll;
//! the cursor names where to read on and which of those were told already. The bridge's own
//! transactions are nobody's.

use super::{RequestTracker, locked, shape};
use crate::limits;
use crate::model::Time;
use crate::model::text::bounded;
use crate::model::ticket::{PersonChange, PersonDid};
use crate::trackers::{Called, Known};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::time::Duration;

/// Transactions younger than this are read again.
const OVERLAP: Duration = Duration::from_secs(60);
/// RT's own user, in whose name scrips act.
const SYSTEM: &str = "RT_System";
/// The reopening that a scrip does follows the reply within so many transactions.
const SCRIP_DISTANCE: u64 = 6;

/// Where to read on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    after: u64,
    seen: BTreeSet<u64>,
}

/// A transaction, as far as it matters.
#[derive(Clone, Debug)]
pub(super) struct Transaction {
    pub(super) id: u64,
    ticket: String,
    pub(super) kind: String,
    field: String,
    old: String,
    new: String,
    creator: String,
    created: Time,
}

type Followed = (Vec<PersonChange>, String);
type Outcome<T> = Result<T, Called<Followed>>;

impl RequestTracker {
    /// What people did since the cursor.
    pub(super) async fn follow(&self, cursor: &str, known: Known<'_>) -> Outcome<Followed> {
        let me = self.me().await?;
        let Ok(mut cursor) = serde_json::from_str::<Cursor>(cursor) else {
            let start = Cursor {
                after: self.newest_transaction(&me).await?,
                seen: BTreeSet::new(),
            };
            return Ok((Vec::new(), written(&start)));
        };
        let scope = self.scope(&me);
        let (list, server) = self.transactions_of(&scope, cursor.after).await?;
        let mut told = Vec::new();
        for transaction in &list {
            if cursor.seen.contains(&transaction.id) || !known(&transaction.ticket) {
                continue;
            }
            if let Some(what) = self.meaning(transaction, &list, &me).await? {
                cursor.seen.insert(transaction.id);
                told.push(self.told(transaction, what));
            }
        }
        let settled = list
            .iter()
            .take_while(|transaction| transaction.created < server.minus(OVERLAP));
        cursor.after = settled.last().map_or(cursor.after, |last| last.id);
        cursor.seen.retain(|id| *id > cursor.after);
        Ok((told, written(&cursor)))
    }

    pub(super) fn told(&self, transaction: &Transaction, what: PersonDid) -> PersonChange {
        PersonChange {
            tracker: self.name.clone(),
            remote: transaction.ticket.clone(),
            change_id: transaction.id.to_string(),
            at: transaction.created,
            author: transaction.creator.clone(),
            what,
        }
    }

    /// Only what the bridge may see is asked for: rows that RT hides would make empty pages.
    fn scope(&self, me: &str) -> String {
        format!(
            "ObjectType='RT::Ticket' AND (TicketQueue={} OR TicketCreator={})",
            shape::quoted(&self.config.queue),
            shape::quoted(me)
        )
    }

    async fn newest_transaction(&self, me: &str) -> Outcome<u64> {
        let scope = self.scope(me);
        let query = [
            ("query", scope.as_str()),
            ("orderby", "id"),
            ("order", "DESC"),
            ("per_page", "1"),
        ];
        let answer = self.client.get("/transactions", &query).await.done()?;
        let newest = answer.json()["items"]
            .get(0)
            .map_or_else(String::new, |item| shape::word(item, "id"));
        Ok(newest.parse().unwrap_or(0))
    }

    /// Transactions after an id, oldest first, and RT's clock.
    pub(super) async fn transactions_of(
        &self,
        scope: &str,
        after: u64,
    ) -> Outcome<(Vec<Transaction>, Time)> {
        let mut list: Vec<Transaction> = Vec::new();
        let mut server = Time(0);
        for _ in 0..limits::TRACKER_POLL_PAGES_MAX {
            let after = list.last().map_or(after, |last| last.id);
            let text = format!("{scope} AND id > {after}");
            let query = [
                ("query", text.as_str()),
                (
                    "fields",
                    "Type,ObjectId,Field,OldValue,NewValue,Creator,Created",
                ),
                ("orderby", "id"),
                ("order", "ASC"),
                ("per_page", "100"),
            ];
            let answer = self.client.get("/transactions", &query).await.done()?;
            server = answer.date().unwrap_or(server);
            let answer = answer.json();
            let Some(items) = answer["items"].as_array() else {
                return Err(Called::later("the answer to a poll is no list"));
            };
            list.extend(items.iter().filter_map(transaction));
            if items.is_empty() {
                break;
            }
        }
        Ok((list, server))
    }

    /// What a transaction says in our words; nothing for those of the bridge and of scrips.
    pub(super) async fn meaning(
        &self,
        transaction: &Transaction,
        list: &[Transaction],
        me: &str,
    ) -> Outcome<Option<PersonDid>> {
        if transaction.creator == me {
            return Ok(None);
        }
        let kind = transaction.kind.as_str();
        if transaction.creator == SYSTEM {
            return Ok((kind == "Status")
                .then(|| self.reopened_by_reply(transaction, list, me))
                .flatten());
        }
        let field = transaction.field.as_str();
        Ok(match (kind, field) {
            ("Correspond" | "Comment", _) => {
                let text = self.words(transaction.id).await?;
                Some(if !self.is_staff(&transaction.creator).await? {
                    PersonDid::CustomerWrote { text }
                } else if kind == "Comment" {
                    PersonDid::Noted { text }
                } else {
                    PersonDid::Answered {
                        text,
                        promise: None,
                    }
                })
            }
            ("Status", _) => Some(PersonDid::Status(self.status(&transaction.new))),
            ("Set", "Owner") => Some(PersonDid::Owner(self.owner(&transaction.new).await?)),
            ("Set", "Priority") => self
                .config
                .priority
                .severity(&transaction.new)
                .map(PersonDid::Severity),
            ("CustomField", id) => {
                self.know_field(id, &transaction.ticket).await?;
                if self.is_field(id, &self.config.severity_field) {
                    transaction.new.parse().ok().map(PersonDid::Severity)
                } else if self.is_field(id, self.config.promise_field.name()) {
                    Some(self.config.promise_field.set_to(&transaction.new))
                } else {
                    None
                }
            }
            ("AddLink", "MergedInto") => merged_into(transaction),
            _ => None,
        })
    }

    /// RT reopens a ticket by itself when somebody answers it; that counts unless it was us.
    fn reopened_by_reply(
        &self,
        transaction: &Transaction,
        list: &[Transaction],
        me: &str,
    ) -> Option<PersonDid> {
        let was_over = self.status(&transaction.old).is_over();
        let reply = list.iter().rev().find(|other| {
            other.ticket == transaction.ticket
                && other.kind == "Correspond"
                && other.id < transaction.id
                && transaction.id - other.id <= SCRIP_DISTANCE
        });
        let by_person = reply.is_some_and(|reply| reply.creator != me);
        (was_over && by_person).then(|| PersonDid::Status(self.status(&transaction.new)))
    }

    /// Reads the fields of a ticket's queue, unless a queue that is known has the field.
    async fn know_field(&self, id: &str, ticket: &str) -> Outcome<()> {
        let known = |queue: &super::QueueFields| queue.ids.values().any(|known| known == id);
        if locked(&self.queues).values().any(known) {
            return Ok(());
        }
        let path = format!("/ticket/{}", shape::path_part(ticket));
        let query = [("fields", "Queue"), ("fields[Queue]", "Name")];
        let answer = self.client.get(&path, &query).await.done()?.json();
        self.fields_of(&shape::queue(&answer)).await.map(|_| ())
    }

    fn is_field(&self, id: &str, name: &str) -> bool {
        let queues = locked(&self.queues);
        let mut ids = queues.values().filter_map(|queue| queue.ids.get(name));
        ids.any(|known| known == id)
    }

    /// The words of a comment or reply.
    async fn words(&self, transaction: u64) -> Outcome<String> {
        let text = self.content(transaction).await?;
        Ok(bounded(&text, limits::TRACKER_TEXT_BYTES_MAX))
    }

    /// The text of a transaction, as it is.
    pub(super) async fn content(&self, transaction: u64) -> Outcome<String> {
        let path = format!("/transaction/{transaction}/attachments");
        let query = [("fields", "Content,ContentType"), ("per_page", "20")];
        let answer = self.client.get(&path, &query).await.done()?.json();
        let items = answer["items"].as_array().cloned().unwrap_or_default();
        let of_type = |kind: &str| {
            items
                .iter()
                .find(|item| shape::word(item, "ContentType").starts_with(kind))
                .map(|item| shape::word(item, "Content"))
        };
        let text = of_type("text/plain")
            .or_else(|| of_type("text/html").map(|html| crate::trackers::text::from_html(&html)));
        let text = text.unwrap_or_default();
        Ok(text.trim().to_owned())
    }

    /// Staff is who is privileged in RT.
    async fn is_staff(&self, user: &str) -> Outcome<bool> {
        if let Some(known) = locked(&self.staff).get(user) {
            return Ok(*known);
        }
        let path = format!("/user/{}", shape::path_part(user));
        let answer = self.client.get(&path, &[]).await.done()?.json();
        let staff = shape::word(&answer, "Privileged") == "1";
        locked(&self.staff).insert(user.to_owned(), staff);
        Ok(staff)
    }

    /// The name of an owner by id; empty for RT's `Nobody`.
    async fn owner(&self, id: &str) -> Outcome<String> {
        let path = format!("/user/{}", shape::path_part(id));
        let answer = self.client.get(&path, &[]).await.done()?.json();
        let name = shape::word(&answer, "Name");
        Ok(if name == "Nobody" {
            String::new()
        } else {
            name
        })
    }
}

fn written(cursor: &Cursor) -> String {
    serde_json::to_string(cursor).unwrap_or_default()
}

fn transaction(item: &Value) -> Option<Transaction> {
    Some(Transaction {
        id: shape::word(item, "id").parse().ok()?,
        ticket: shape::word(item, "ObjectId"),
        kind: shape::word(item, "Type"),
        field: shape::word(item, "Field"),
        old: shape::word(item, "OldValue"),
        new: shape::word(item, "NewValue"),
        creator: shape::word(item, "Creator"),
        created: Time::parse_rfc3339(&shape::word(item, "Created"))?,
    })
}

/// The link stands on both tickets; only the one that went away was merged.
fn merged_into(transaction: &Transaction) -> Option<PersonDid> {
    let (_, target) = transaction.new.rsplit_once("/ticket/")?;
    (target != transaction.ticket).then(|| PersonDid::MergedInto(target.to_owned()))
}
