//! Writes an engine batch into the tables of `state.db`, inside the transaction that
//! [`super::state`] holds open, and forgets what retention no longer keeps.

use super::super::sealing::Keyring;
use super::super::{StateDelta, StoreError, codec};
use super::connection::{ReadError, to_sql};
use super::seal::{Column, Place};
use super::state::{SqliteState, position, position_sum};
use crate::model::Time;
use rusqlite::{Connection, params};

/// The name of a thing, kept so that a [`Place`] can point into it.
pub(super) struct ThingName(String);

impl ThingName {
    /// Its place for the checksum.
    pub(super) fn place(&self) -> Place<'_> {
        Place {
            table: "things",
            number: 0,
            key: &self.0,
        }
    }
}

/// Kind and key together; no kind holds the separator.
pub(super) fn thing_place(kind: &str, key: &str) -> ThingName {
    ThingName(format!("{kind}\u{1f}{key}"))
}

/// Applies a batch: all of its rows and the cursor.
pub(super) fn apply(
    connection: &Connection,
    delta: &StateDelta,
    keys: &Keyring,
) -> Result<(), ReadError> {
    let (before, _) = position(connection)?;
    if delta.cursor < before {
        return Err(ReadError::Store(StoreError::Unreadable {
            what: "a batch of the engine".to_owned(),
            reason: format!(
                "its cursor {} lies before the committed one {before}",
                delta.cursor
            ),
        }));
    }
    if delta.cursor == before && before > 0 {
        // Its commit was reported as failed and had come through all the same.
        return Ok(());
    }
    alerts(connection, delta, keys)?;
    incidents(connection, delta, keys)?;
    cases_and_tickets(connection, delta)?;
    timeline(connection, delta, keys)?;
    things(connection, delta, keys)?;
    super::state_seal::seal_incidents(connection, delta, keys)?;
    let (cursor, served) = (to_sql(delta.cursor), delta.served_until.0);
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO position (one, cursor, served_until, crc) \
             VALUES (1, ?1, ?2, ?3)",
        )?
        .execute([cursor, served, position_sum(cursor, served)])?;
    Ok(())
}

fn alerts(connection: &Connection, delta: &StateDelta, keys: &Keyring) -> Result<(), ReadError> {
    let mut put = connection.prepare_cached(
        "INSERT INTO alerts (id, incident, active, body) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (id) DO UPDATE SET incident = excluded.incident, \
         active = excluded.active, body = excluded.body",
    )?;
    let mut put_text = connection
        .prepare_cached("INSERT OR REPLACE INTO alert_texts (id, body) VALUES (?1, ?2)")?;
    let mut drop_row = connection.prepare_cached("DELETE FROM alerts WHERE id = ?1")?;
    let mut drop_text = connection.prepare_cached("DELETE FROM alert_texts WHERE id = ?1")?;
    for row in &delta.alerts {
        let id = to_sql(row.id.0);
        if row.body.is_empty() {
            drop_row.execute([id])?;
            drop_text.execute([id])?;
            continue;
        }
        let incident = row.incident.map(|id| to_sql(id.0));
        let columns = [Column::Number(incident), row.active.into()];
        let body = Place::number("alerts", id).seal(&columns, &row.body);
        put.execute(params![id, incident, row.active, body])?;
        if let Some(text) = &row.text {
            let place = Place::number("alert_texts", id);
            let text = match delta.sealed_texts.contains(&row.id) {
                true => place.lock(&[], text, keys)?,
                false => place.seal(&[], text),
            };
            put_text.execute(params![id, text])?;
        }
    }
    Ok(())
}

fn incidents(connection: &Connection, delta: &StateDelta, keys: &Keyring) -> Result<(), ReadError> {
    let mut put = connection.prepare_cached(
        "INSERT INTO incidents (id, open, live, changed_at, body) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (id) DO UPDATE SET open = excluded.open, live = excluded.live, \
         changed_at = excluded.changed_at, body = excluded.body",
    )?;
    for row in &delta.incidents {
        let id = to_sql(row.id.0);
        let changed_at = delta.served_until.0;
        let columns = [row.open.into(), row.live.into(), changed_at.into()];
        let place = Place::number("incidents", id);
        let body = match delta.sealed.contains(&row.id) {
            true => place.lock(&columns, &row.body, keys)?,
            false => place.seal(&columns, &row.body),
        };
        put.execute(params![id, row.open, row.live, changed_at, body])?;
    }
    Ok(())
}

fn cases_and_tickets(connection: &Connection, delta: &StateDelta) -> Result<(), ReadError> {
    let mut put_case = connection.prepare_cached(
        "INSERT OR REPLACE INTO cases (incident, contract, body) VALUES (?1, ?2, ?3)",
    )?;
    for row in &delta.cases {
        let place = Place {
            table: "cases",
            number: to_sql(row.incident.0),
            key: &row.contract,
        };
        put_case.execute(params![
            place.number,
            row.contract,
            place.seal(&[], &row.body)
        ])?;
    }
    let mut put_ticket = connection.prepare_cached(
        "INSERT INTO tickets (id, incident, tracker, work, body) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (id) DO UPDATE SET incident = excluded.incident, \
         tracker = excluded.tracker, work = excluded.work, body = excluded.body",
    )?;
    for row in &delta.tickets {
        let id = to_sql(row.id.0);
        let incident = to_sql(row.incident.0);
        let tracker = Column::Text(&row.tracker);
        let columns = [incident.into(), tracker, Column::Number(row.work)];
        let body = Place::number("tickets", id).seal(&columns, &row.body);
        put_ticket.execute(params![id, incident, row.tracker, row.work, body])?;
    }
    Ok(())
}

fn timeline(connection: &Connection, delta: &StateDelta, keys: &Keyring) -> Result<(), ReadError> {
    let mut add =
        connection.prepare_cached("INSERT INTO timeline (incident, body) VALUES (?1, ?2)")?;
    for entry in &delta.timeline {
        let incident = to_sql(entry.incident.0);
        let (place, body) = (Place::number("timeline", incident), codec::encode(entry)?);
        let body = match delta.sealed.contains(&entry.incident) {
            true => place.lock(&[], &body, keys)?,
            false => place.seal(&[], &body),
        };
        add.execute(params![incident, body])?;
    }
    Ok(())
}

/// Kinds of things that may repeat words of something sensitive: sealed wherever there is a key.
const KINDS_THAT_MAY_TELL: [&str; 5] = ["audit", "quarantine", "silence", "symbol", "window"];

fn things(connection: &Connection, delta: &StateDelta, keys: &Keyring) -> Result<(), ReadError> {
    let mut put = connection.prepare_cached(
        "INSERT OR REPLACE INTO things (kind, key, changed_at, value) VALUES (?1, ?2, ?3, ?4)",
    )?;
    let mut forget =
        connection.prepare_cached("DELETE FROM things WHERE kind = ?1 AND key = ?2")?;
    for row in &delta.things {
        if row.value.is_empty() {
            forget.execute(params![row.kind, row.key])?;
            continue;
        }
        let changed_at = delta.served_until.0;
        let place = thing_place(row.kind, &row.key);
        let columns = [changed_at.into()];
        let value = if keys.can_seal() && KINDS_THAT_MAY_TELL.contains(&row.kind) {
            place.place().lock(&columns, &row.value, keys)?
        } else {
            place.place().seal(&columns, &row.value)
        };
        put.execute(params![row.kind, row.key, changed_at, value])?;
    }
    Ok(())
}

impl SqliteState {
    /// Forgets at most `limit` incidents that are over and did not change since `before`, with
    /// their cases, tickets and timelines. How many; called again until it is 0.
    pub fn trim_incidents(&self, before: Time, limit: usize) -> Result<u64, StoreError> {
        self.write(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id FROM incidents WHERE live = 0 AND changed_at < ?1 \
                 ORDER BY changed_at LIMIT ?2",
            )?;
            let ids = statement
                .query_map([before.0, super::connection::limit_to_sql(limit)], |row| {
                    row.get(0)
                })?
                .collect::<rusqlite::Result<Vec<i64>>>()?;
            for id in &ids {
                for sql in [
                    "DELETE FROM cases WHERE incident = ?1",
                    "DELETE FROM tickets WHERE incident = ?1",
                    "DELETE FROM timeline WHERE incident = ?1",
                    "DELETE FROM incidents WHERE id = ?1",
                ] {
                    connection.prepare_cached(sql)?.execute([id])?;
                }
            }
            Ok(ids.len() as u64)
        })
    }

    /// Forgets at most `limit` things of a kind that did not change since `before`. Only for kinds
    /// that the engine does not hold in memory. They are looked for outside of the transaction, so
    /// that the engine waits for the deletion alone.
    pub fn trim_things(&self, kind: &str, before: Time, limit: usize) -> Result<u64, StoreError> {
        let keys: Vec<String> = self.readers.with(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT key FROM things WHERE kind = ?1 AND changed_at < ?2 LIMIT ?3",
            )?;
            let limit = super::connection::limit_to_sql(limit);
            let keys = statement.query_map(params![kind, before.0, limit], |row| row.get(0))?;
            Ok(keys.collect::<rusqlite::Result<_>>()?)
        })?;
        if keys.is_empty() {
            return Ok(0);
        }
        self.write(|connection| {
            let mut forget = connection.prepare_cached(
                "DELETE FROM things WHERE kind = ?1 AND key = ?2 AND changed_at < ?3",
            )?;
            let mut forgotten = 0;
            for key in &keys {
                forgotten += forget.execute(params![kind, key, before.0])?;
            }
            Ok(forgotten as u64)
        })
    }

    /// Encoded tickets of incidents that are not closed.
    pub(super) fn live_tickets(&self) -> Result<Vec<Vec<u8>>, StoreError> {
        let sql = "SELECT id, body, incident, tracker, work FROM tickets \
                   WHERE incident IN (SELECT id FROM incidents WHERE live = 1)";
        self.bodies("tickets", sql, [])
    }
}
