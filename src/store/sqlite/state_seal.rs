//! Seals what was stored in the clear of an incident that turned out to be sensitive, and wipes what
//! it was. The journal's rows that it came from follow once the engine's transaction stands; until
//! then they are named in the state, so that no crash forgets them.

use super::super::sealing::Keyring;
use super::super::{StateDelta, StateStore, StoreError, codec};
use super::SqliteStore;
use super::connection::{ReadError, to_sql, wiped};
use super::seal::Place;
use super::state::SqliteState;
use super::state_write::thing_place;
use crate::model::TimelineEntry;
use crate::model::alert::AlertText;
use crate::model::saved::TO_SEAL;
use rusqlite::{Connection, params};
use std::collections::BTreeSet;

/// Most journal rows sealed in one transaction: appends wait for it.
const ROWS_AT_ONCE: usize = 200;

/// Seals the timeline and the alerts' texts of incidents, and names their places in the journal.
pub(super) fn seal_incidents(
    connection: &Connection,
    delta: &StateDelta,
    keys: &Keyring,
) -> Result<(), ReadError> {
    if delta.seal.is_empty() {
        return Ok(());
    }
    connection.execute_batch("PRAGMA secure_delete = ON;")?;
    let mut places = BTreeSet::new();
    for incident in &delta.seal {
        let incident = to_sql(incident.0);
        let read = "SELECT incident, body, n FROM timeline WHERE incident = ?1";
        let write = "UPDATE timeline SET body = ?2 WHERE n = ?1";
        for (row, body) in sealed_rows(connection, ("timeline", read), incident, keys, |body| {
            let entry: TimelineEntry = codec::decode(body)?;
            places.insert(entry.seq);
            Ok(())
        })? {
            connection
                .prepare_cached(write)?
                .execute(params![row, body])?;
        }
        let read = "SELECT t.id, t.body, t.id FROM alerts AS a JOIN alert_texts AS t USING (id) \
                    WHERE a.incident = ?1";
        let write = "UPDATE alert_texts SET body = ?2 WHERE id = ?1";
        for (row, body) in sealed_rows(connection, ("alert_texts", read), incident, keys, |body| {
            let text: AlertText = codec::decode(body)?;
            places.insert(text.event.0);
            Ok(())
        })? {
            connection
                .prepare_cached(write)?
                .execute(params![row, body])?;
        }
    }
    let mut put = connection.prepare_cached(
        "INSERT OR REPLACE INTO things (kind, key, changed_at, value) VALUES (?1, ?2, ?3, ?4)",
    )?;
    for seq in places {
        let (key, at) = (format!("{seq:020}"), delta.served_until.0);
        let name = thing_place(TO_SEAL, &key);
        let value = name.place().seal(&[at.into()], &codec::encode(&true)?);
        put.execute(params![TO_SEAL, key, at, value])?;
    }
    connection.execute_batch("PRAGMA secure_delete = OFF;")?;
    Ok(())
}

/// Rows of `number, body, row id` that are in the clear, sealed; `look` sees each body.
fn sealed_rows(
    connection: &Connection,
    (table, sql): (&'static str, &str),
    incident: i64,
    keys: &Keyring,
    mut look: impl FnMut(&[u8]) -> Result<(), StoreError>,
) -> Result<Vec<(i64, Vec<u8>)>, ReadError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([incident])?;
    let mut sealed = Vec::new();
    while let Some(row) = rows.next()? {
        let place = Place::number(table, row.get(0)?);
        let body = place.open(row, 1, 2, keys)?;
        look(&body)?;
        if place.is_plain(row, 1, 2)? {
            sealed.push((row.get(2)?, place.lock(&[], &body, keys)?));
        }
    }
    Ok(sealed)
}

impl SqliteState {
    /// Empties the write-ahead log. `false`: a reader is in the way.
    fn wipe(&self) -> Result<bool, StoreError> {
        let mut writer = super::connection::locked(&self.writer);
        let connection = match writer.take() {
            Some(connection) => connection,
            None => self.open_writer()?,
        };
        let _alone = self.checkpointer.alone();
        let wiped = wiped(&connection, self.options.busy, |_| Ok(()))
            .map_err(|error| super::connection::failed(&self.path, error))?;
        *writer = Some(connection);
        Ok(wiped)
    }
}

/// Seals journal rows that the engine found to be sensitive after they were written; how many. What
/// could not be wiped yet is tried again by the next call.
pub fn seal_found(store: &SqliteStore) -> Result<usize, StoreError> {
    let rows = store.state.things(TO_SEAL, None, ROWS_AT_ONCE)?;
    if rows.is_empty() {
        return Ok(0);
    }
    let keys: Vec<String> = rows.into_iter().map(|(key, _)| key).collect();
    let seqs = keys.iter().filter_map(|key| key.parse().ok()).collect();
    if !store.journal.seal(seqs)? || !store.state.wipe()? {
        return Ok(0);
    }
    store.state.write(|connection| {
        let mut forget =
            connection.prepare_cached("DELETE FROM things WHERE kind = ?1 AND key = ?2")?;
        for key in &keys {
            forget.execute(params![TO_SEAL, key])?;
        }
        Ok(())
    })?;
    Ok(keys.len())
}
