//! What can be read. Lists come in pages, newest first; `next` is the `before` of the next page.

use super::door::{Caller, Held};
use super::shown;
use super::{Answer, Failure, absent, wrong};
use crate::engine::state::{Audit, Quarantined, Silence, SourceSeen, Window};
use crate::limits;
use crate::model::alert::AlertText;
use crate::model::incident::{Incident, WITHHELD};
use crate::model::outgoing::WantedNotice;
use crate::model::ticket::WantedTicket;
use crate::model::{AlertId, IncidentId, Outcome, TicketId};
use crate::store::{IncidentFilter, codec};
use axum::Json;
use axum::extract::{Extension, Path, Query, State};
use axum::http::{StatusCode, header};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};

/// What every list takes.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Page {
    state: Option<String>,
    before: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
    incident: Option<String>,
}

impl Page {
    /// Which of them.
    pub(super) fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// Where the page before ended.
    pub(super) fn after_text(&self) -> Option<&str> {
        self.after.as_deref()
    }

    /// The same from another place.
    pub(super) fn starting_at(&self, key: &str) -> Page {
        Page {
            after: (!key.is_empty()).then(|| key.to_owned()),
            limit: self.limit,
            ..Page::default()
        }
    }

    fn rows(&self) -> usize {
        let most = limits::PAGE_ROWS_MAX;
        self.limit.unwrap_or(most).clamp(1, most)
    }

    fn before<T: std::str::FromStr>(&self) -> Result<Option<T>, Failure> {
        id(self.before.as_deref())
    }

    fn after<T: std::str::FromStr>(&self) -> Result<Option<T>, Failure> {
        id(self.after.as_deref())
    }
}

fn id<T: std::str::FromStr>(text: Option<&str>) -> Result<Option<T>, Failure> {
    text.map(|text| {
        text.parse()
            .map_err(|_| wrong(format!("`{text}` is no id of this list")))
    })
    .transpose()
}

/// An id out of a path.
pub(super) fn path_id<T: std::str::FromStr<Err = String>>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|error: String| wrong(error))
}

pub(super) async fn ready(State(api): Held) -> Result<String, Failure> {
    if let Err(why) = api.operations.ready() {
        return Err(Failure(StatusCode::SERVICE_UNAVAILABLE, why));
    }
    // An empty append is a commit: it fails exactly when the store cannot be written.
    api.journal.append(Vec::new(), Vec::new()).await?;
    let notes = api.operations.notes().into_iter();
    Ok(notes.fold("ready\n".to_owned(), |text, note| text + &note + "\n"))
}

pub(super) async fn metrics(
    State(api): Held,
) -> Result<([(header::HeaderName, &'static str); 1], Vec<u8>), Failure> {
    let text = api
        .operations
        .metrics()
        .map_err(|why| Failure(StatusCode::INTERNAL_SERVER_ERROR, why))?;
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, kind)], text))
}

pub(super) async fn incidents(
    State(api): Held,
    Extension(caller): Extension<Caller>,
    Query(page): Query<Page>,
) -> Answer {
    let filter = match page.state.as_deref() {
        Some("open") => IncidentFilter::Open,
        Some("closed") => IncidentFilter::Closed,
        None | Some("all") => IncidentFilter::All,
        Some(other) => {
            let what = format!("state `{other}` is not known; expected open, closed or all");
            return Err(wrong(what));
        }
    };
    let before: Option<IncidentId> = page.before()?;
    let rows = page.rows();
    let bodies = api.state.incidents(filter, before, rows)?;
    let mut last = None;
    let mut shown = Vec::new();
    for body in &bodies {
        let incident: Incident = codec::decode(body)?;
        last = Some(incident.id.to_string());
        shown.push(api.incident_shown(incident, &caller)?);
    }
    let next = last.filter(|_| bodies.len() == rows);
    Ok(Json(json!({ "incidents": shown, "next": next })))
}

pub(super) async fn incident(
    State(api): Held,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Query(page): Query<Page>,
) -> Answer {
    let id: IncidentId = path_id(&id)?;
    let body = api.state.incident(id)?;
    let incident: Incident =
        codec::decode(&body.ok_or_else(|| absent(format!("there is no {id}")))?)?;
    let withheld = incident.sensitive && !caller.sees_sensitive;
    let mut shown = api.incident_shown(incident, &caller)?;
    let most = limits::TIMELINE_LINES_SHOWN_MAX;
    let after: usize = page.after()?.unwrap_or(0);
    let lines = api.state.timeline(id, after, most)?;
    let next = (lines.len() == most).then_some(after + lines.len());
    let lines: Vec<Value> = lines
        .iter()
        .map(|line| shown::line(line, withheld))
        .collect();
    if let Some(row) = shown.as_object_mut() {
        row.insert("timeline".to_owned(), json!(lines));
        row.insert("timeline_next".to_owned(), json!(next));
    }
    Ok(Json(shown))
}

pub(super) async fn alerts(
    State(api): Held,
    Extension(caller): Extension<Caller>,
    Query(page): Query<Page>,
) -> Answer {
    let after: Option<AlertId> = page.after()?;
    let rows = page.rows();
    let found = match id::<IncidentId>(page.incident.as_deref())? {
        Some(incident) => api.state.alerts_of(incident, after, rows)?,
        None => api.state.alerts(after, rows)?,
    };
    let shown: Vec<Value> = found
        .iter()
        .map(|bytes| api.alert_shown(bytes, true, &caller))
        .collect::<Result<_, Failure>>()?;
    let last = shown.last().and_then(|row| row.get("id")).cloned();
    let next = last.filter(|_| found.len() == rows);
    Ok(Json(json!({ "alerts": shown, "next": next })))
}

pub(super) async fn alert(
    State(api): Held,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Answer {
    let id: AlertId = path_id(&id)?;
    let bytes = api.state.alert(id)?;
    let bytes = bytes.ok_or_else(|| absent(format!("there is no {id}")))?;
    Ok(Json(api.alert_shown(&bytes, true, &caller)?))
}

/// What the newest event of an alert came as: a mail, or a request with its headers.
pub(super) async fn original(
    State(api): Held,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<([(header::HeaderName, &'static str); 2], Vec<u8>), Failure> {
    let id: AlertId = path_id(&id)?;
    let gone = || absent(format!("what {id} came as is not kept"));
    let (_, text) = api.state.alert(id)?.ok_or_else(gone)?;
    if text.is_empty() {
        return Err(gone());
    }
    let text: AlertText = codec::decode(&text)?;
    if text.sensitive && !caller.sees_sensitive {
        let what = format!("what {id} came as is sensitive");
        return Err(Failure(StatusCode::FORBIDDEN, what));
    }
    let raw = api.journal.raw(text.event.0)?.ok_or_else(gone)?;
    // Never taken for a page: it comes from anybody.
    let kind = (header::CONTENT_TYPE, "text/plain; charset=utf-8");
    let options = (header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    Ok(([kind, options], raw))
}

/// Rows by key, and the key to go on after.
pub(super) type Things<T> = (Vec<(String, T)>, Option<String>);

/// All rows of a kind, by key, from `after`.
pub(super) fn things<T: DeserializeOwned>(
    api: &super::Api,
    kind: &str,
    page: &Page,
) -> Result<Things<T>, Failure> {
    let rows = page.rows();
    let found = api.state.things(kind, page.after.as_deref(), rows)?;
    let next = found
        .last()
        .filter(|_| found.len() == rows)
        .map(|(key, _)| key.clone());
    let found = found
        .into_iter()
        .map(|(key, bytes)| Ok((key, codec::decode(&bytes)?)))
        .collect::<Result<_, Failure>>()?;
    Ok((found, next))
}

/// One row of a kind.
pub(super) fn thing<T: DeserializeOwned>(
    api: &super::Api,
    kind: &str,
    key: &str,
) -> Result<Option<T>, Failure> {
    let bytes = api.state.thing(kind, key)?;
    bytes.map(|bytes| Ok(codec::decode(&bytes)?)).transpose()
}

fn quarantine_row(row: &Quarantined, handled: Option<String>, caller: &Caller) -> Value {
    let withheld = row.sensitive && !caller.sees_sensitive;
    let told = |text: &str| if withheld { WITHHELD } else { text }.to_owned();
    json!({
        "seq": row.seq,
        "at": row.at,
        "source": row.source,
        "sender": row.sender,
        "reason": told(&row.reason),
        "summary": told(&row.summary),
        "sensitive": row.sensitive,
        "handled": handled,
    })
}

pub(super) async fn quarantine(
    State(api): Held,
    Extension(caller): Extension<Caller>,
    Query(page): Query<Page>,
) -> Answer {
    let (rows, next) = things::<Quarantined>(&api, "quarantine", &page)?;
    let all = page.state.as_deref() == Some("all");
    let mut shown = Vec::new();
    for (key, row) in &rows {
        let handled = thing(&api, "quarantine_handled", key)?;
        if all || handled.is_none() {
            shown.push(quarantine_row(row, handled, &caller));
        }
    }
    Ok(Json(json!({ "quarantine": shown, "next": next })))
}

pub(super) async fn quarantined(
    State(api): Held,
    Extension(caller): Extension<Caller>,
    Path(seq): Path<u64>,
) -> Answer {
    let key = format!("{seq:020}");
    let row: Option<Quarantined> = thing(&api, "quarantine", &key)?;
    let row = row.ok_or_else(|| absent(format!("{seq} is not in quarantine")))?;
    let mut shown = quarantine_row(&row, thing(&api, "quarantine_handled", &key)?, &caller);
    let may_see = !row.sensitive || caller.sees_sensitive;
    let raw = api.journal.raw(seq)?.filter(|_| may_see);
    let raw = raw.map(|raw| String::from_utf8_lossy(&raw).into_owned());
    if let Some(map) = shown.as_object_mut() {
        map.insert("raw".to_owned(), json!(raw));
    }
    Ok(Json(shown))
}

/// Tickets with something to do or something in the way, and notices that should be out.
pub(super) async fn outbox(State(api): Held, Query(page): Query<Page>) -> Answer {
    let most = page.rows();
    let mut before: Option<TicketId> = page.before()?;
    let (mut shown, mut read) = (Vec::new(), 0);
    let mut next = None;
    if before.is_none() {
        // Notices come with the first page: they are few, or a server is down.
        let now = (api.now)();
        let (rows, _) = things::<WantedNotice>(&api, "notice_wanted", &page.starting_at(""))?;
        let waiting = rows.iter();
        shown.extend(waiting.filter_map(|(_, notice)| super::notices::in_outbox(notice, now)));
    }
    let notices = shown.len();
    loop {
        let bodies = api.state.tickets(before, limits::PAGE_ROWS_MAX)?;
        let full = bodies.len() == limits::PAGE_ROWS_MAX;
        for body in bodies {
            let ticket: WantedTicket = codec::decode(&body)?;
            before = Some(ticket.id);
            read += 1;
            if ticket.has_work() || ticket.trouble.is_some() {
                shown.push(shown::ticket(&ticket));
            }
            if shown.len() == most + notices {
                next = before;
                break;
            }
        }
        if next.is_some() || !full {
            break;
        }
        if read >= limits::PAGE_ROWS_READ_MAX {
            next = before;
            break;
        }
    }
    let next = next.map(|id| id.to_string());
    Ok(Json(json!({ "outbox": shown, "next": next })))
}

pub(super) async fn sources(State(api): Held) -> Answer {
    let mut seen: HashMap<String, SourceSeen> = HashMap::new();
    let mut page = Page::default();
    loop {
        let (rows, next) = things::<SourceSeen>(&api, "source", &page)?;
        seen.extend(rows);
        match next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    let mut shown = BTreeMap::new();
    for source in api.operations.sources() {
        let spoke = seen.remove(&source.name);
        if spoke.is_some() || source.configured {
            let row = source_row(&source.name, Some((&source.kind, source.proven)), spoke);
            shown.insert(source.name.clone(), row);
        }
    }
    for (name, spoke) in seen {
        let row = source_row(&name, None, Some(spoke));
        shown.insert(name, row);
    }
    let shown: Vec<Value> = shown.into_values().collect();
    Ok(Json(json!({ "sources": shown, "next": null })))
}

fn source_row(name: &str, known: Option<(&str, bool)>, spoke: Option<SourceSeen>) -> Value {
    let spoke = spoke.unwrap_or_default();
    let outcomes: BTreeMap<&str, u64> = Outcome::ALL
        .iter()
        .zip(&spoke.outcomes)
        .filter(|(_, count)| **count > 0)
        .map(|(outcome, count)| (outcome.word(), *count))
        .collect();
    let at = |time: crate::model::Time| (time.0 != 0).then_some(time);
    json!({
        "name": name,
        "kind": known.map(|(kind, _)| kind),
        "proven": known.map(|(_, proven)| proven),
        "first_at": at(spoke.first_at).filter(|_| spoke.messages > 0),
        "last_at": at(spoke.last_at),
        "messages": spoke.messages,
        "events": spoke.events,
        "quarantined": spoke.quarantined,
        "outcomes": outcomes,
        "silent": spoke.silent.map(|id| id.to_string()),
    })
}

pub(super) async fn audit(State(api): Held, Query(page): Query<Page>) -> Answer {
    let (rows, next) = things::<Audit>(&api, "audit", &page)?;
    let shown: Vec<Value> = rows.iter().map(|(_, row)| json!(row)).collect();
    Ok(Json(json!({ "audit": shown, "next": next })))
}

pub(super) async fn silences(State(api): Held, Query(page): Query<Page>) -> Answer {
    let (rows, next) = things::<Silence>(&api, "silence", &page)?;
    let shown: Vec<Value> = rows
        .iter()
        .map(|(_, row)| {
            json!({
                "id": row.id.to_string(),
                "matchers": row.matchers,
                "reason": row.reason,
                "author": row.author,
                "from": row.from,
                "until": row.until,
                "holds_s1": row.holds_s1,
            })
        })
        .collect();
    Ok(Json(json!({ "silences": shown, "next": next })))
}

pub(super) async fn windows(State(api): Held, Query(page): Query<Page>) -> Answer {
    let (rows, next) = things::<Window>(&api, "window", &page)?;
    let shown: Vec<Value> = rows
        .iter()
        .map(|(_, row)| {
            json!({
                "id": row.id.to_string(),
                "matchers": row.matchers,
                "elements": row.elements,
                "reason": row.reason,
                "author": row.author,
                "from": row.from,
                "until": row.until,
            })
        })
        .collect();
    Ok(Json(json!({ "windows": shown, "next": next })))
}

pub(super) async fn routes(State(api): Held) -> Answer {
    let shown: Vec<Value> = api
        .operations
        .routes()
        .into_iter()
        .map(
            |(name, tracker, shadow)| json!({ "name": name, "tracker": tracker, "shadow": shadow }),
        )
        .collect();
    Ok(Json(json!({ "routes": shown, "next": null })))
}
