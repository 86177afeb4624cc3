//! The built-in desk: what people see of its tickets and do to them. Changes are written as the
//! person's own; the bridge reads them from the desk's history like those of any tracker.

use super::door::{Caller, Held};
use super::{Answer, Failure, absent, wrong};
use crate::limits;
use crate::model::incident::WITHHELD;
use crate::model::ticket::TicketStatus;
use crate::store::desk_store::{DeskAuthor, DeskDid, DeskFilter, DeskPatch, NewDeskComment};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, Path, Query, State};
use serde::Deserialize;
use serde_json::json;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    state: Option<String>,
    queue: Option<String>,
    owner: Option<String>,
    before: Option<u64>,
    limit: Option<usize>,
}

pub(super) async fn list(State(api): Held, Query(wanted): Query<Wanted>) -> Answer {
    let open = match wanted.state.as_deref() {
        None | Some("all") => None,
        Some("open") => Some(true),
        Some("closed") => Some(false),
        Some(other) => {
            let what = format!("state `{other}` is not known; expected open, closed or all");
            return Err(wrong(what));
        }
    };
    let filter = DeskFilter {
        open,
        status: None,
        queue: wanted.queue,
        owner: wanted.owner,
    };
    let most = limits::PAGE_ROWS_MAX;
    let rows = wanted.limit.unwrap_or(most).clamp(1, most);
    let tickets = api.desk.list(&filter, wanted.before, rows)?;
    let last = tickets.last().map(|ticket| ticket.number);
    let next = last.filter(|_| tickets.len() == rows);
    Ok(Json(json!({ "tickets": tickets, "next": next })))
}

/// What people wrote on a ticket whose subject is withheld is for those who may see it.
pub(super) async fn one(
    State(api): Held,
    Extension(caller): Extension<Caller>,
    Path(number): Path<u64>,
) -> Answer {
    let ticket = api.desk.ticket(number)?;
    let ticket = ticket.ok_or_else(|| absent(format!("the desk has no ticket {number}")))?;
    let most = limits::TIMELINE_LINES_SHOWN_MAX;
    let mut comments = api.desk.comments(number, 0, most)?;
    let mut history = api.desk.history(number, 0, most)?;
    if ticket.subject.contains(WITHHELD) && !caller.sees_sensitive {
        let told = comments.iter_mut().map(|comment| &mut comment.text);
        let said = history
            .iter_mut()
            .filter_map(|change| match &mut change.what {
                DeskDid::Commented { text, .. } | DeskDid::Subject(text) => Some(text),
                _ => None,
            });
        told.chain(said).for_each(|text| WITHHELD.clone_into(text));
    }
    Ok(Json(
        json!({ "ticket": ticket, "comments": comments, "history": history }),
    ))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Act {
    text: String,
    public: bool,
    customer: Option<String>,
    owner: String,
    status: Option<TicketStatus>,
}

pub(super) async fn act(
    State(api): Held,
    Extension(caller): Extension<Caller>,
    Path((number, verb)): Path<(u64, String)>,
    bytes: Bytes,
) -> Answer {
    let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    let act: Act = serde_json::from_slice(bytes)
        .map_err(|error| wrong(format!("the body is not good: {error}")))?;
    let at = (api.now)();
    let author = match &act.customer {
        Some(customer) => DeskAuthor::Customer(customer.clone()),
        None => DeskAuthor::Staff(caller.name.clone()),
    };
    let patch = match verb.as_str() {
        "comment" => {
            if act.text.trim().is_empty() {
                return Err(wrong("`text` is needed"));
            }
            let comment = NewDeskComment {
                author,
                at,
                public: act.public || act.customer.is_some(),
                text: act.text,
                marker: String::new(),
            };
            let id = api.desk.comment(number, &comment)?;
            let id = id.ok_or_else(|| absent(format!("the desk has no ticket {number}")))?;
            return Ok(Json(json!({ "result": "commented", "comment": id })));
        }
        "assign" => DeskPatch {
            owner: Some(act.owner),
            ..DeskPatch::default()
        },
        "status" => DeskPatch {
            status: Some(act.status.ok_or_else(statuses)?),
            ..DeskPatch::default()
        },
        other => {
            return Err(wrong(format!(
                "`{other}` is not known; expected comment, assign or status"
            )));
        }
    };
    let ticket = api.desk.update(number, &patch, &author, at)?;
    let ticket = ticket.ok_or_else(|| absent(format!("the desk has no ticket {number}")))?;
    Ok(Json(json!({ "result": "done", "ticket": ticket })))
}

fn statuses() -> Failure {
    wrong("`status` is needed: new, open, waiting_customer, on_hold, resolved or closed")
}
