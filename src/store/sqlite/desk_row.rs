//! Rows of the desk, in and out. Each carries a checksum over all of its columns, which is compared
//! whenever the row is read.

use super::super::StoreError;
use super::super::desk_store::{
    DeskAuthor, DeskChange, DeskComment, DeskDid, DeskTicket, NewDeskComment,
};
use super::connection::{ReadError, from_sql, to_sql};
use super::seal::{Column, check_row, sum_of};
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

fn from_json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| unreadable(column, error.to_string()))
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
pub(super) fn read_ticket(row: &Row<'_>) -> Result<DeskTicket, ReadError> {
    check_row("tickets", row)?;
    let status = row.get_ref(4)?.as_str().map_err(rusqlite::Error::from)?;
    Ok(DeskTicket {
        number: from_sql(row.get(0)?),
        key: row.get(1)?,
        subject: row.get(2)?,
        body: row.get(3)?,
        status: TicketStatus::from_word(status)
            .ok_or_else(|| unreadable(4, format!("`{status}` is no status")))?,
        severity: row.get::<_, Option<u8>>(6)?.and_then(Severity::from_number),
        queue: row.get(7)?,
        owner: row.get(8)?,
        requestor: row.get(9)?,
        merged_into: row.get::<_, Option<i64>>(10)?.map(from_sql),
        created_at: Time(row.get(11)?),
        changed_at: Time(row.get(12)?),
    })
}

/// Reads a row of [`COMMENT`].
pub(super) fn read_comment(row: &Row<'_>) -> Result<DeskComment, ReadError> {
    check_row("comments", row)?;
    Ok(DeskComment {
        id: from_sql(row.get(0)?),
        ticket: from_sql(row.get(1)?),
        author: from_json(row, 2)?,
        at: Time(row.get(3)?),
        public: row.get(4)?,
        text: row.get(5)?,
        marker: row.get(6)?,
    })
}

/// Reads a row of [`CHANGE`].
pub(super) fn read_change(row: &Row<'_>) -> Result<DeskChange, ReadError> {
    check_row("changes", row)?;
    Ok(DeskChange {
        id: from_sql(row.get(0)?),
        ticket: from_sql(row.get(1)?),
        author: from_json(row, 2)?,
        at: Time(row.get(3)?),
        what: from_json(row, 4)?,
    })
}

/// The ticket with a number.
pub(super) fn ticket_in(
    connection: &Connection,
    number: i64,
) -> Result<Option<DeskTicket>, ReadError> {
    connection
        .prepare_cached(&format!("{TICKET} WHERE number = ?1"))?
        .query_row([number], |row| Ok(read_ticket(row)))
        .optional()?
        .transpose()
}

/// The ticket with a key.
pub(super) fn find_in(connection: &Connection, key: &str) -> Result<Option<DeskTicket>, ReadError> {
    if key.is_empty() {
        return Ok(None);
    }
    connection
        .prepare_cached(&format!("{TICKET} WHERE key = ?1 AND key <> ''"))?
        .query_row([key], |row| Ok(read_ticket(row)))
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
pub(super) fn save(connection: &Connection, ticket: &DeskTicket) -> Result<(), ReadError> {
    let (number, status) = (to_sql(ticket.number), ticket.status.word());
    let severity = ticket.severity.map(Severity::number);
    let merged_into = ticket.merged_into.map(to_sql);
    let sum = sum_of(
        "tickets",
        &[
            number.into(),
            Column::Text(&ticket.key),
            Column::Text(&ticket.subject),
            Column::Text(&ticket.body),
            status.into(),
            ticket.status.is_over().into(),
            Column::Number(severity.map(i64::from)),
            Column::Text(&ticket.queue),
            Column::Text(&ticket.owner),
            Column::Text(&ticket.requestor),
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
             status = excluded.status, is_over = excluded.is_over, severity = excluded.severity, \
             queue = excluded.queue, owner = excluded.owner, merged_into = excluded.merged_into, \
             changed_at = excluded.changed_at, crc = excluded.crc",
        )?
        .execute(params![
            number,
            ticket.key,
            ticket.subject,
            ticket.body,
            status,
            ticket.status.is_over(),
            severity,
            ticket.queue,
            ticket.owner,
            ticket.requestor,
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
    author: &DeskAuthor,
    at: Time,
    what: &DeskDid,
) -> Result<(), ReadError> {
    let id = last_id(connection, "changes")? + 1;
    let (author, what) = (to_json(author)?, to_json(what)?);
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
) -> Result<i64, ReadError> {
    let id = last_id(connection, "comments")? + 1;
    let author = to_json(&new.author)?;
    let columns = [
        id.into(),
        ticket.into(),
        Column::Text(&author),
        new.at.0.into(),
        new.public.into(),
        Column::Text(&new.text),
        Column::Text(&new.marker),
    ];
    let sum = sum_of("comments", &columns);
    connection
        .prepare_cached(
            "INSERT INTO comments (id, ticket, author, at, public, text, marker, crc) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            id, ticket, author, new.at.0, new.public, new.text, new.marker, sum
        ])?;
    Ok(id)
}
