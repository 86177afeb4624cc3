//! Notices: what people are told, and security messages that wait for a person.

use super::door::{Caller, Held};
use super::read::{Page, path_id, thing, things};
use super::write::{body, obey};
use super::{Answer, absent, wrong};
use crate::engine::security::SecurityMessage;
use crate::model::outgoing::{NoticeState, WantedNotice};
use crate::model::{Command, NoticeId, SecurityId};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

/// A notice as lists show it.
pub(super) fn row(notice: &WantedNotice) -> Value {
    let facts = &notice.facts;
    json!({
        "id": notice.id.to_string(),
        "kind": notice.kind.word(),
        "audience": notice.audience.word(),
        "way": notice.way.word(),
        "to": notice.to,
        "incident": notice.incident.map(|id| id.to_string()),
        "reference": facts.reference,
        "contract": facts.contract,
        "accounts": facts.accounts,
        "locale": facts.locale,
        "state": notice.state.word(),
        "wanted_at": notice.wanted_at,
        "send_at": notice.send_at,
        "waits_for": notice.waits_for,
        "attempts": notice.attempts,
        "reason": notice.reason,
        "changed_at": notice.changed_at,
        "key": notice.key,
    })
}

/// Notices that wait or were given up (`state=open`, the default), those that are over (`closed`),
/// or all: first those that wait. Oldest first.
pub(super) async fn list(State(api): Held, Query(page): Query<Page>) -> Answer {
    let (open, over) = match page.state() {
        None | Some("open") => (true, false),
        Some("closed") => (false, true),
        Some("all") => (true, true),
        Some(other) => {
            let what = format!("state `{other}` is not known; expected open, closed or all");
            return Err(wrong(what));
        }
    };
    // The page's place says in which of the two lists it goes on.
    let (place, key) = match page.after_text() {
        Some(text) => text
            .split_once('-')
            .ok_or_else(|| wrong(format!("`{text}` is no place of this list")))?,
        None => ("w", ""),
    };
    let mut shown = Vec::new();
    let mut next = None;
    if open && place == "w" {
        let part = page.starting_at(key);
        let (rows, more) = things::<WantedNotice>(&api, "notice_wanted", &part)?;
        shown.extend(rows.iter().map(|(_, notice)| row(notice)));
        next = more.map(|key| format!("w-{key}"));
        if next.is_none() && over {
            next = Some("o-".to_owned());
        }
    } else if over {
        let part = page.starting_at(if place == "o" { key } else { "" });
        let (rows, more) = things::<WantedNotice>(&api, "notice", &part)?;
        shown.extend(rows.iter().map(|(_, notice)| row(notice)));
        next = more.map(|key| format!("o-{key}"));
    }
    Ok(Json(json!({ "notices": shown, "next": next })))
}

/// One notice with what it says.
pub(super) async fn one(State(api): Held, Path(id): Path<String>) -> Answer {
    let id: NoticeId = path_id(&id)?;
    let key = format!("{:012}", id.0);
    let notice: Option<WantedNotice> = match thing(&api, "notice_wanted", &key)? {
        Some(notice) => Some(notice),
        None => thing(&api, "notice", &key)?,
    };
    let notice = notice.ok_or_else(|| absent(format!("there is no {id}")))?;
    let mut shown = row(&notice);
    if let Some(map) = shown.as_object_mut() {
        map.insert("facts".to_owned(), json!(notice.facts));
    }
    Ok(Json(shown))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Said {
    text: String,
}

pub(super) async fn act(
    State(api): Held,
    Extension(caller): Extension<Caller>,
    Path((id, verb)): Path<(String, String)>,
    bytes: Bytes,
) -> Answer {
    let notice: NoticeId = path_id(&id)?;
    obey(&api, &caller, command(notice, &verb, &bytes)?).await
}

/// What a verb does to a notice; the outbox takes the same ones.
pub(super) fn command(
    notice: NoticeId,
    verb: &str,
    bytes: &Bytes,
) -> Result<Command, super::Failure> {
    match verb {
        "retry" => Ok(Command::RetryNotice { notice }),
        "drop" => Ok(Command::DropNotice {
            notice,
            text: body::<Said>(bytes)?.text,
        }),
        other => Err(wrong(format!(
            "`{other}` is not known; expected retry or drop"
        ))),
    }
}

/// Notices in the outbox: those that should be out by now.
pub(super) fn in_outbox(notice: &WantedNotice, now: crate::model::Time) -> Option<Value> {
    let dead = notice.state == NoticeState::Dead;
    if !dead && notice.send_at > now {
        return None;
    }
    let facts = &notice.facts;
    let trouble = (!notice.reason.is_empty()).then(|| {
        json!({
            "reason": notice.reason,
            "attempts": notice.attempts,
            "since": notice.changed_at,
            "dead": dead,
        })
    });
    Some(json!({
        "id": notice.id.to_string(),
        "incident": notice.incident.map(|id| id.to_string()),
        "tracker": notice.way.word(),
        "route": null,
        "key": null,
        "subject": format!(
            "{} for {} of {}",
            notice.kind.word(),
            notice.audience.word(),
            if facts.contract.is_empty() { &facts.reference } else { &facts.contract },
        ),
        "severity": null,
        "status": notice.state.word(),
        "behind": 1,
        "notes_waiting": 0,
        "asked_at": notice.wanted_at,
        "trouble": trouble,
    }))
}

/// Security messages: those that wait (the default), or all with `state=all`.
pub(super) async fn security(State(api): Held, Query(page): Query<Page>) -> Answer {
    let (rows, _) = things::<SecurityMessage>(&api, "security", &page.starting_at(""))?;
    let mut shown: Vec<Value> = rows
        .iter()
        .map(|(_, message)| message_row(message))
        .collect();
    let mut next = None;
    if page.state() == Some("all") {
        let (rows, more) = things::<SecurityMessage>(&api, "security_over", &page)?;
        if page.after_text().is_some() {
            shown.clear();
        }
        shown.extend(rows.iter().map(|(_, message)| message_row(message)));
        next = more;
    }
    Ok(Json(json!({ "security": shown, "next": next })))
}

fn message_row(message: &SecurityMessage) -> Value {
    json!({
        "id": message.id.to_string(),
        "incident": message.incident.to_string(),
        "state": message.state,
        "text": message.text,
        "marked_by": message.marked_by,
        "marked_at": message.marked_at,
        "ended_by": message.ended_by,
        "ended_at": message.ended_at,
        "contracts": message.contracts,
    })
}

pub(super) async fn on_security(
    State(api): Held,
    Extension(caller): Extension<Caller>,
    Path((id, verb)): Path<(String, String)>,
    bytes: Bytes,
) -> Answer {
    let security: SecurityId = path_id(&id)?;
    let text = body::<Said>(&bytes)?.text;
    let command = match verb.as_str() {
        "release" => Command::ReleaseSecurity { security, text },
        "drop" => Command::DropSecurity { security, text },
        other => {
            return Err(wrong(format!(
                "`{other}` is not known; expected release or drop"
            )));
        }
    };
    obey(&api, &caller, command).await
}
