//! What retention lets the journal forget: inputs as a prefix of the journal, raw bytes by age, marks
//! by name; and sealing of what was written in the clear. Small transactions, in the writer's own order, so that an append waits for one of them
//! at most. Nothing at or above the engine's cursor is touched.

use super::connection::{ReadError, explain, failed, set_word, to_sql, wiped, word};
use super::row::seal_row;
use super::writer::{Shared, Trim, Trimmed, last_place};
use crate::store::StoreError;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};

/// The word for the first place that was not forgotten.
pub(super) const KEPT_FROM: &str = "kept_from";

/// Forgets a few of the oldest rows. The newest input always stays: it holds the place.
pub(super) fn delete(
    shared: &Shared,
    connection: &mut Connection,
    trim: Trim,
) -> Result<Trimmed, StoreError> {
    delete_rows(connection, trim).map_err(|error| failed(&shared.path, error))
}

/// Seals rows that were written in the clear. `false`: a reader keeps what they were in the log.
pub(super) fn seal(
    shared: &Shared,
    connection: &mut Connection,
    seqs: &[u64],
) -> Result<bool, StoreError> {
    let keys = shared.options.keys.load_full();
    let _alone = shared.checkpointer.alone();
    let sealed = wiped(connection, shared.options.busy, |connection| {
        seqs.iter()
            .try_for_each(|seq| seal_row(connection, *seq, &keys))
    });
    sealed.map_err(|error| failed(&shared.path, error))
}

fn delete_rows(connection: &mut Connection, trim: Trim) -> Result<Trimmed, ReadError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let below = to_sql(trim.below.min(last_place(&transaction)?));
    let (raw, raw_next) = delete_raw(&transaction, below, trim)?;
    // Only a prefix, so that places stay without gaps.
    let end: Option<i64> = transaction
        .query_row(
            "SELECT coalesce(min(CASE WHEN at >= ?3 AND at <= ?4 THEN seq END) - 1, max(seq)) \
             FROM (SELECT seq, at FROM inputs WHERE seq < ?1 ORDER BY seq LIMIT ?2)",
            params![below, to_sql(trim.limit), trim.inputs_before.0, trim.now.0],
            |row| row.get(0),
        )
        .optional()?
        .flatten();
    let mut inputs = 0;
    if let Some(end) = end {
        inputs = transaction.execute("DELETE FROM inputs WHERE seq <= ?1", [end])? as u64;
        if inputs > 0 {
            set_word(&transaction, KEPT_FROM, &(end + 1).to_string())?;
        }
    }
    transaction.commit()?;
    Ok(Trimmed {
        inputs,
        raw,
        raw_next,
    })
}

/// Looks at a window of raw bodies; how many went, and where the next window begins, unless this
/// one reached what is to be kept.
fn delete_raw(
    connection: &Connection,
    below: i64,
    trim: Trim,
) -> rusqlite::Result<(u64, Option<u64>)> {
    let mut window = connection.prepare_cached(
        "SELECT seq, at, keep FROM raw WHERE seq > ?1 AND seq < ?2 ORDER BY seq LIMIT ?3",
    )?;
    let mut forget = connection.prepare_cached("DELETE FROM raw WHERE seq = ?1")?;
    let mut rows = window.query([to_sql(trim.raw_after), below, to_sql(trim.limit)])?;
    let (mut old, mut next) = (Vec::new(), None);
    while let Some(row) = rows.next()? {
        let (seq, at, keep): (i64, i64, bool) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if !keep && at >= trim.raw_before.0 && at <= trim.now.0 {
            next = None;
            break;
        }
        next = u64::try_from(seq).ok();
        if !keep || at < trim.quarantine_before.0 {
            old.push(seq);
        }
    }
    for seq in &old {
        forget.execute([seq])?;
    }
    Ok((old.len() as u64, next))
}

/// The first place that was not forgotten.
pub(super) fn kept_from(connection: &Connection) -> Result<u64, ReadError> {
    let word = word(connection, KEPT_FROM)?;
    Ok(word.and_then(|word| word.parse().ok()).unwrap_or(1))
}

/// Forgets marks.
pub(super) fn drop_marks(
    shared: &Shared,
    connection: &mut Connection,
    space: &str,
    keys: &[String],
) -> Result<(), StoreError> {
    let dropped = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .and_then(|transaction| {
            for key in keys {
                transaction
                    .prepare_cached("DELETE FROM marks WHERE space = ?1 AND key = ?2")?
                    .execute(params![space, key])?;
            }
            transaction.commit()
        });
    dropped.map_err(|error| explain(&shared.path, &error))
}
