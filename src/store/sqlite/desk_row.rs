//! Rows of the desk, in and out. Each carries a checksum over all of its columns as they are stored,
//! which is compared whenever the row is read. Texts of people are sealed ([`super::desk_seal`]).

use super::super::StoreError;
use super::super::desk_store::{
    DeskAuthor, DeskChange, DeskComment, DeskDid, DeskTicket, NewDeskComment,
};
use super::super::sealing::Keyring;
use super::connection::{ReadError, from_sql, to_sql};
use super::desk_seal::{closed, opened};
use super::seal::{Column, Place, check_row, sum_of};
use crate::model::Time;
use crate::model::severity::Severity;
use crate::model::ticket::TicketStatus;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// All columns of tickets, the sum last.
pub(super) const TICKET: &str = "SELECT number, key, subject, body, status, is_over, severity, \
    queue, owner, requestor, merged_into, created_at, changed_at, crc FROM tickets";
/// All columns of comments, the sum last.
pub(super) const COMMENT: &str =
    "SELECT id, ticket, author, at, public, text, marker, crc FROM comments";
/// All columns of changes, the sum last.
pub(super) const CHANGE: &str = "SELECT id, ticket, author, at, what, crc FROM changes";

fn unreadable(column: usize, what: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, what.into())
}

/// Where a text stands.
fn place(table: &'static str, number: i64, column: &'static str) -> Place<'static> {
    Place {
        table,
        number,
        key: column,
    }
}

fn from_json<T: DeserializeOwned>(column: usize, text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|error| unreadable(column, error.to_string()))
}

/// A text of a row, opened.
fn text_of(
    row: &Row<'_>,
    column: usize,
    (table, name): (&'static str, &'static str),
    keys: &Keyring,
) -> Result<String, ReadError> {
    let stored = row
        .get_ref(column)?
        .as_str()
        .map_err(rusqlite::Error::from)?;
    opened(place(table, row.get(0)?, name), stored, keys)
}

fn to_json<T: Serialize>(value: &T) -> Result<String, ReadError> {
    serde_json::to_string(value).map_err(|error| {
        ReadError::Store(StoreError::Unreadable {
            what: "a new row of the desk".to_owned(),
            reason: error.to_string(),
        })
    })
}

/// Reads a row of [`TICKET`].
pub(super) fn read_ticket(row: &Row<'_>, keys: &Keyring) -> Result<DeskTicket, ReadError> {
    check_row("tickets", row)?;
    let status = row.get_ref(4)?.as_str().map_err(rusqlite::Error::from)?;
    Ok(DeskTicket {
        number: from_sql(row.get(0)?),
        key: row.get(1)?,
        subject: text_of(row, 2, ("tickets", "subject"), keys)?,
        body: text_of(row, 3, ("tickets", "body"), keys)?,
        status: TicketStatus::from_word(status)
            .ok_or_else(|| unreadable(4, format!("`{status}` is no status")))?,
        severity: row.get::<_, Option<u8>>(6)?.and_then(Severity::from_number),
        queue: row.get(7)?,
        owner: row.get(8)?,
        requestor: text_of(row, 9, ("tickets", "requestor"), keys)?,
        merged_into: row.get::<_, Option<i64>>(10)?.map(from_sql),
        created_at: Time(row.get(11)?),
        changed_at: Time(row.get(12)?),
    })
}

/// Reads a row of [`COMMENT`].
pub(super) fn read_comment(row: &Row<'_>, keys: &Keyring) -> Result<DeskComment, ReadError> {
    check_row("comments", row)?;
    Ok(DeskComment {
        id: from_sql(row.get(0)?),
        ticket: from_sql(row.get(1)?),
        author: from_json(2, &text_of(row, 2, ("comments", "author"), keys)?)?,
        at: Time(row.get(3)?),
        public: row.get(4)?,
        text: text_of(row, 5, ("comments", "text"), keys)?,
        marker: row.get(6)?,
    })
}

/// Reads a row of [`CHANGE`].
pub(super) fn read_change(row: &Row<'_>, keys: &Keyring) -> Result<DeskChange, ReadError> {
    check_row("changes", row)?;
    Ok(DeskChange {
        id: from_sql(row.get(0)?),
        ticket: from_sql(row.get(1)?),
        author: from_json(2, &text_of(row, 2, ("changes", "author"), keys)?)?,
        at: Time(row.get(3)?),
        what: from_json(4, &text_of(row, 4, ("changes", "what"), keys)?)?,
    })
}

/// The ticket with a number.
pub(super) fn ticket_in(
    connection: &Connection,
    number: i64,
    keys: &Keyring,
) -> Result<Option<DeskTicket>, ReadError> {
    connection
        .prepare_cached(&format!("{TICKET} WHERE number = ?1"))?
        .query_row([number], |row| Ok(read_ticket(row, keys)))
        .optional()?
        .transpose()
}

/// The ticket with a key.
pub(super) fn find_in(
    connection: &Connection,
    key: &str,
    keys: &Keyring,
) -> Result<Option<DeskTicket>, ReadError> {
    if key.is_empty() {
        return Ok(None);
    }
    connection
        .prepare_cached(&format!("{TICKET} WHERE key = ?1 AND key <> ''"))?
        .query_row([key], |row| Ok(read_ticket(row, keys)))
        .optional()?
        .transpose()
}

/// The highest number that a table ever gave out.
pub(super) fn last_id(connection: &Connection, table: &str) -> Result<i64, ReadError> {
    Ok(connection
        .prepare_cached("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = ?1")?
        .query_row([table], |row| row.get(0))?)
}

/// Writes a ticket, new or known.
pub(super) fn save(
    connection: &Connection,
    ticket: &DeskTicket,
    keys: &Keyring,
) -> Result<(), ReadError> {
    let (number, status) = (to_sql(ticket.number), ticket.status.word());
    let shut = |column, text: &str| closed(place("tickets", number, column), text, keys);
    let subject = shut("subject", &ticket.subject)?;
    let body = shut("body", &ticket.body)?;
    let requestor = shut("requestor", &ticket.requestor)?;
    let severity = ticket.severity.map(Severity::number);
    let merged_into = ticket.merged_into.map(to_sql);
    let sum = sum_of(
        "tickets",
        &[
            number.into(),
            Column::Text(&ticket.key),
            Column::Text(&subject),
            Column::Text(&body),
            status.into(),
            ticket.status.is_over().into(),
            Column::Number(severity.map(i64::from)),
            Column::Text(&ticket.queue),
            Column::Text(&ticket.owner),
            Column::Text(&requestor),
            Column::Number(merged_into),
            ticket.created_at.0.into(),
            ticket.changed_at.0.into(),
        ],
    );
    connection
        .prepare_cached(
            "INSERT INTO tickets (number, key, subject, body, status, is_over, severity, queue, \
             owner, requestor, merged_into, created_at, changed_at, crc) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) \
             ON CONFLICT (number) DO UPDATE SET subject = excluded.subject, \
             body = excluded.body, requestor = excluded.requestor, \
             status = excluded.status, is_over = excluded.is_over, severity = excluded.severity, \
             queue = excluded.queue, owner = excluded.owner, merged_into = excluded.merged_into, \
             changed_at = excluded.changed_at, crc = excluded.crc",
        )?
        .execute(params![
            number,
            ticket.key,
            subject,
            body,
            status,
            ticket.status.is_over(),
            severity,
            ticket.queue,
            ticket.owner,
            requestor,
            merged_into,
            ticket.created_at.0,
            ticket.changed_at.0,
            sum,
        ])?;
    Ok(())
}

/// Adds a line of history.
pub(super) fn add_change(
    connection: &Connection,
    ticket: i64,
    (author, at): (&DeskAuthor, Time),
    what: &DeskDid,
    keys: &Keyring,
) -> Result<(), ReadError> {
    let id = last_id(connection, "changes")? + 1;
    let shut = |column, text: &str| closed(place("changes", id, column), text, keys);
    let author = shut("author", &to_json(author)?)?;
    let what = shut("what", &to_json(what)?)?;
    let columns = [
        id.into(),
        ticket.into(),
        Column::Text(&author),
        at.0.into(),
        Column::Text(&what),
    ];
    let sum = sum_of("changes", &columns);
    connection
        .prepare_cached(
            "INSERT INTO changes (id, ticket, author, at, what, crc) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![id, ticket, author, at.0, what, sum])?;
    Ok(())
}

/// Adds a comment; its id.
pub(super) fn add_comment(
    connection: &Connection,
    ticket: i64,
    new: &NewDeskComment,
    keys: &Keyring,
) -> Result<i64, ReadError> {
    let id = last_id(connection, "comments")? + 1;
    let shut = |column, text: &str| closed(place("comments", id, column), text, keys);
    let author = shut("author", &to_json(&new.author)?)?;
    let text = shut("text", &new.text)?;
    let columns = [
        id.into(),
        ticket.into(),
        Column::Text(&author),
        new.at.0.into(),
        new.public.into(),
        Column::Text(&text),
        Column::Text(&new.marker),
    ];
    let sum = sum_of("comments", &columns);
    connection
        .prepare_cached(
            "INSERT INTO comments (id, ticket, author, at, public, text, marker, crc) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            id, ticket, author, new.at.0, new.public, text, new.marker, sum
        ])?;
    Ok(id)
}
