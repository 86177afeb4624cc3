//! What people did in ServiceNow, read from the journal and the audit of records that changed.

use super::{ServiceNow, time, value};
use crate::limits;
use crate::model::Time;
use crate::model::text::bounded;
use crate::model::ticket::{PersonChange, PersonDid};
use crate::trackers::follow::Cursor;
use crate::trackers::words::word;
use crate::trackers::{Called, Known};
use serde_json::{Value, json};

type Followed = (Vec<PersonChange>, String);
type Outcome<T> = Result<T, Called<Followed>>;

impl ServiceNow {
    /// What people did since the cursor.
    pub(super) async fn follow(&self, cursor: &str, known: Known<'_>) -> Outcome<Followed> {
        let query = [("sysparm_limit", "1"), ("sysparm_fields", "number")];
        let answer = self.client.get(&self.table(), &query).await.done()?;
        let Some(now) = answer.date() else {
            return Err(Called::later("the answer has no date"));
        };
        let Some(mut cursor) = Cursor::read(cursor) else {
            return Ok((Vec::new(), Cursor::start(now).written()));
        };
        let since = cursor.since().timestamp();
        let (day, hour) = (since.strftime("%Y-%m-%d"), since.strftime("%H:%M:%S"));
        let query = format!(
            "sys_updated_on>=javascript:gs.dateGenerate('{day}','{hour}')^ORDERBYsys_updated_on"
        );
        let columns = "sys_id,number,caller_id,caller_id.user_name,sys_updated_on";
        let (mut records, mut whole) = (Vec::new(), false);
        for _ in 0..limits::TRACKER_POLL_PAGES_MAX {
            let from = records.len();
            let page = self.page(&self.config.table, &query, columns, from);
            let page: Vec<Value> = page.await?;
            whole = page.len() < super::RECORDS_MAX;
            records.extend(page);
            if whole {
                break;
            }
        }
        let last = records.last().filter(|_| !whole);
        let left_from = last.and_then(|last| time(&word(last, "sys_updated_on")));
        let mut told = Vec::new();
        for record in records {
            if known(&word(&record, "number")) {
                self.read_journal(&record, &mut cursor, &mut told).await?;
                self.read_audit(&record, &mut cursor, &mut told).await?;
            }
        }
        told.sort_by_key(|change| change.at);
        cursor.read_up_to(left_from, now);
        Ok((told, cursor.written()))
    }

    fn change(
        &self,
        record: &Value,
        id: &str,
        at: Time,
        by: &str,
        what: PersonDid,
    ) -> PersonChange {
        PersonChange {
            tracker: self.name.clone(),
            remote: word(record, "number"),
            change_id: id.to_owned(),
            at,
            author: by.to_owned(),
            what,
        }
    }

    /// Whether a name is the bridge's own or the instance's.
    fn is_nobody(&self, user: &str) -> bool {
        user == self.config.user || user == "system"
    }

    async fn read_journal(
        &self,
        record: &Value,
        cursor: &mut Cursor,
        told: &mut Vec<PersonChange>,
    ) -> Outcome<()> {
        for entry in self.journal(&word(record, "sys_id")).await? {
            let id = format!("j{}", word(&entry, "sys_id"));
            let by = word(&entry, "sys_created_by");
            let Some(at) = time(&word(&entry, "sys_created_on")) else {
                continue;
            };
            if self.is_nobody(&by) || !cursor.take(&id, at) {
                continue;
            }
            let text = bounded(word(&entry, "value").trim(), limits::TRACKER_TEXT_BYTES_MAX);
            let what = if by == word(record, "caller_id.user_name") {
                PersonDid::CustomerWrote { text }
            } else if word(&entry, "element") == "work_notes" {
                PersonDid::Noted { text }
            } else {
                PersonDid::Answered {
                    text,
                    promise: None,
                }
            };
            told.push(self.change(record, &id, at, &by, what));
        }
        Ok(())
    }

    async fn read_audit(
        &self,
        record: &Value,
        cursor: &mut Cursor,
        told: &mut Vec<PersonChange>,
    ) -> Outcome<()> {
        let promise = &self.config.promise_field;
        let mut fields = "state,assigned_to".to_owned();
        if !promise.name().is_empty() {
            fields = format!("{fields},{}", value(promise.name()));
        }
        let query = format!(
            "documentkey={}^fieldnameIN{fields}^ORDERBYDESCsys_created_on",
            value(&word(record, "sys_id"))
        );
        let columns = "sys_id,fieldname,newvalue,user,sys_created_on";
        for entry in self.records("sys_audit", &query, columns).await? {
            let id = format!("a{}", word(&entry, "sys_id"));
            let by = word(&entry, "user");
            let Some(at) = time(&word(&entry, "sys_created_on")) else {
                continue;
            };
            if self.is_nobody(&by) || !cursor.take(&id, at) {
                continue;
            }
            let new = word(&entry, "newvalue");
            let field = word(&entry, "fieldname");
            let what = if promise.is(&field) {
                promise.set_to(&new)
            } else if field == "state" {
                // On hold means "waits for the caller" unless the record says otherwise by now.
                let state = json!({ "state": new, "hold_reason": self.config.hold_reason });
                PersonDid::Status(self.status(&state))
            } else {
                PersonDid::Owner(new)
            };
            told.push(self.change(record, &id, at, &by, what));
        }
        Ok(())
    }
}
