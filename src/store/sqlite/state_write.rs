//! Writes an engine batch into the tables of `state.db`, inside the transaction that
//! [`super::state`] holds open, and forgets what retention no longer keeps.

use super::super::{StateDelta, StoreError, codec};
use super::connection::{ReadError, to_sql};
use super::seal::Place;
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
pub(super) fn apply(connection: &Connection, delta: &StateDelta) -> Result<(), ReadError> {
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
    alerts(connection, delta)?;
    incidents(connection, delta)?;
    cases_and_tickets(connection, delta)?;
    timeline(connection, delta)?;
    things(connection, delta)?;
    let (cursor, served) = (to_sql(delta.cursor), delta.served_until.0);
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO position (one, cursor, served_until, crc) \
             VALUES (1, ?1, ?2, ?3)",
        )?
        .execute([cursor, served, position_sum(cursor, served)])?;
    Ok(())
}

fn alerts(connection: &Connection, delta: &StateDelta) -> Result<(), ReadError> {
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
        let body = Place::number("alerts", id).seal(&row.body);
        put.execute(params![
            id,
            row.incident.map(|id| to_sql(id.0)),
            row.active,
            body
        ])?;
        if let Some(text) = &row.text {
            put_text.execute(params![id, Place::number("alert_texts", id).seal(text)])?;
        }
    }
    Ok(())
}

fn incidents(connection: &Connection, delta: &StateDelta) -> Result<(), ReadError> {
    let mut put = connection.prepare_cached(
        "INSERT INTO incidents (id, open, live, changed_at, body) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (id) DO UPDATE SET open = excluded.open, live = excluded.live, \
         changed_at = excluded.changed_at, body = excluded.body",
    )?;
    for row in &delta.incidents {
        let id = to_sql(row.id.0);
        let body = Place::number("incidents", id).seal(&row.body);
        put.execute(params![id, row.open, row.live, delta.served_until.0, body])?;
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
        put_case.execute(params![place.number, row.contract, place.seal(&row.body)])?;
    }
    let mut put_ticket = connection.prepare_cached(
        "INSERT INTO tickets (id, incident, tracker, work, body) VALUES (?1, ?2, ?3, ?4, ?5) \
         ON CONFLICT (id) DO UPDATE SET incident = excluded.incident, \
         tracker = excluded.tracker, work = excluded.work, body = excluded.body",
    )?;
    for row in &delta.tickets {
        let id = to_sql(row.id.0);
        let body = Place::number("tickets", id).seal(&row.body);
        put_ticket.execute(params![
            id,
            to_sql(row.incident.0),
            row.tracker,
            row.work,
            body
        ])?;
    }
    Ok(())
}

fn timeline(connection: &Connection, delta: &StateDelta) -> Result<(), ReadError> {
    let mut add =
        connection.prepare_cached("INSERT INTO timeline (incident, body) VALUES (?1, ?2)")?;
    for entry in &delta.timeline {
        let incident = to_sql(entry.incident.0);
        let body = Place::number("timeline", incident).seal(&codec::encode(entry)?);
        add.execute(params![incident, body])?;
    }
    Ok(())
}

fn things(connection: &Connection, delta: &StateDelta) -> Result<(), ReadError> {
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
        let value = thing_place(row.kind, &row.key).place().seal(&row.value);
        put.execute(params![row.kind, row.key, delta.served_until.0, value])?;
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
    /// that the engine does not hold in memory.
    pub fn trim_things(&self, kind: &str, before: Time, limit: usize) -> Result<u64, StoreError> {
        self.write(|connection| {
            let forgotten = connection
                .prepare_cached(
                    "DELETE FROM things WHERE kind = ?1 AND key IN (SELECT key FROM things \
                     WHERE kind = ?1 AND changed_at < ?2 LIMIT ?3)",
                )?
                .execute(params![
                    kind,
                    before.0,
                    super::connection::limit_to_sql(limit)
                ])?;
            Ok(forgotten as u64)
        })
    }
}
