//! What people tell the bridge. A command is journaled with its author; the answer waits until
//! the engine has applied it and says what came of it.

use super::door::{Caller, Held, admin};
use super::read::{path_id, thing};
use super::{Accepted, Answer, Api, Failure, absent, silencing, wrong};
use crate::engine::state::{Audit, Quarantined};
use crate::limits;
use crate::model::command::{PersonRequest, RequestKind};
use crate::model::{
    AlertId, Category, Command, IncidentId, Input, Severity, SilenceId, TicketId, Time, WindowId,
};
use crate::store::NewInput;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;

/// The body of a command; an empty one counts as an empty object.
pub(super) fn body<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, Failure> {
    let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { bytes };
    if bytes.len() > limits::OPERATORS_BODY_BYTES_MAX {
        let what = format!(
            "the body is over {} bytes",
            limits::OPERATORS_BODY_BYTES_MAX
        );
        return Err(Failure(StatusCode::PAYLOAD_TOO_LARGE, what));
    }
    serde_json::from_slice(bytes).map_err(|error| wrong(format!("the body is not good: {error}")))
}

/// Journals a command, waits until it was applied, and answers what came of it.
pub(super) async fn obey(api: &Api, caller: &Caller, command: Command) -> Answer {
    let input = NewInput {
        at: (api.now)(),
        input: Input::Command {
            author: caller.name.clone(),
            command,
        },
        raw: None,
    };
    let places = api.journal.append(vec![input], Vec::new()).await?;
    let seq = places.first().copied().unwrap_or_default();
    let mut applied = api.applied.clone();
    let time = Duration::from_secs(limits::COMMAND_WAIT_SECONDS);
    let waited = tokio::time::timeout(time, applied.wait_for(|cursor| *cursor >= seq)).await;
    if !matches!(waited, Ok(Ok(_))) {
        let what = format!("taken as journal entry {seq}, not applied yet; look again later");
        return Err(Failure(StatusCode::ACCEPTED, what));
    }
    let Some(audit) = thing::<Audit>(api, "audit", &format!("{seq:020}"))? else {
        return Ok(Json(json!({ "result": "done", "input": seq })));
    };
    match audit.result.strip_prefix("refused: ") {
        Some(why) => Err(Failure(StatusCode::CONFLICT, why.to_owned())),
        None => Ok(Json(json!({ "result": audit.result, "input": seq }))),
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct OnIncident {
    owner: Option<String>,
    contract: Option<String>,
    waiting: Option<bool>,
    at: Option<Time>,
    text: Option<String>,
    public: bool,
    false_alarm: bool,
    severity: Option<String>,
    category: Option<Category>,
    reason: Option<String>,
    tracker: Option<String>,
    key: Option<String>,
}

pub(super) async fn on_incident(
    State(api): Held,
    Extension(caller): Extension<Caller>,
    Path((id, verb)): Path<(String, String)>,
    bytes: Bytes,
) -> Answer {
    let incident: IncidentId = path_id(&id)?;
    let said: OnIncident = body(&bytes)?;
    let needed = |what: Option<String>, key: &str| {
        what.filter(|text| !text.trim().is_empty())
            .ok_or_else(|| wrong(format!("`{key}` is needed")))
    };
    let text = said.text.clone().unwrap_or_default();
    let command = match verb.as_str() {
        "ack" => Command::Acknowledge { incident },
        "assign" => Command::Assign {
            incident,
            owner: said.owner.unwrap_or_default(),
        },
        "wait" => Command::Wait {
            incident,
            contract: said.contract,
            waiting: said.waiting.unwrap_or(true),
        },
        "promise" => Command::Promise {
            incident,
            at: said.at.ok_or_else(|| wrong("`at` is needed: RFC 3339"))?,
            text,
        },
        "note" => Command::Note {
            incident,
            text: needed(said.text, "text")?,
            public: said.public,
        },
        "resolve" => Command::Resolve {
            incident,
            false_alarm: said.false_alarm,
            text,
        },
        "reopen" => Command::Reopen { incident },
        "severity" => Command::SetSeverity {
            incident,
            severity: severity(said.severity.as_deref())?,
            text,
        },
        "category" => Command::SetCategory {
            incident,
            category: said
                .category
                .ok_or_else(|| wrong("`category` is needed: incident, provisioning, inquiry"))?,
        },
        "escalate" => Command::Escalate {
            incident,
            reason: needed(said.reason, "reason")?,
        },
        "security" => Command::MarkSecurity { incident, text },
        "adopt" => Command::Adopt {
            incident,
            tracker: needed(said.tracker, "tracker")?,
            key: needed(said.key, "key")?,
        },
        other => {
            return Err(wrong(format!(
                "`{other}` is not known; expected ack, assign, wait, promise, note, resolve, \
                 reopen, severity, category, escalate, security or adopt"
            )));
        }
    };
    obey(&api, &caller, command).await
}

fn severity(text: Option<&str>) -> Result<Option<Severity>, Failure> {
    match text {
        None | Some("" | "none") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| {
            wrong(format!(
                "severity `{text}` is not known; expected S1 to S5 or none"
            ))
        }),
    }
}

pub(super) async fn close_alert(
    State(api): Held,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Answer {
    let alert: AlertId = path_id(&id)?;
    obey(&api, &caller, Command::CloseAlert { alert }).await
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Why {
    text: String,
}

pub(super) async fn on_quarantined(
    State(api): Held,
    Extension(caller): Extension<Caller>,
    Path((seq, verb)): Path<(u64, String)>,
    bytes: Bytes,
) -> Answer {
    match verb.as_str() {
        "replay" => match api.operations.replay(seq).await {
            Ok(done) => Ok(Json(json!({ "result": done }))),
            Err(why) => Err(Failure(StatusCode::CONFLICT, why)),
        },
        "drop" => {
            let why: Why = body(&bytes)?;
            waits_in_quarantine(&api, seq)?;
            let command = Command::DropQuarantined {
                seq,
                text: why.text,
            };
            obey(&api, &caller, command).await
        }
        other => Err(wrong(format!(
            "`{other}` is not known; expected replay or drop"
        ))),
    }
}

/// A number that is mistyped, or was handled by a colleague, is told and not noted as done.
fn waits_in_quarantine(api: &Api, seq: u64) -> Result<(), Failure> {
    let key = format!("{seq:020}");
    if thing::<Quarantined>(api, "quarantine", &key)?.is_none() {
        return Err(absent(format!("{seq} is not in quarantine")));
    }
    match thing::<String>(api, "quarantine_handled", &key)? {
        Some(how) => {
            let what = format!("{seq} does not wait any more: it was {how}");
            Err(Failure(StatusCode::CONFLICT, what))
        }
        None => Ok(()),
    }
}

pub(super) async fn on_ticket(
    State(api): Held,
    Extension(caller): Extension<Caller>,
    Path((id, verb)): Path<(String, String)>,
    bytes: Bytes,
) -> Answer {
    if id.to_ascii_uppercase().starts_with("N-") {
        let command = super::notices::command(path_id(&id)?, &verb, &bytes)?;
        return obey(&api, &caller, command).await;
    }
    let ticket: TicketId = path_id(&id)?;
    let command = match verb.as_str() {
        "retry" => Command::RetryTicket { ticket },
        "drop" => Command::DropTicket {
            ticket,
            text: body::<Why>(&bytes)?.text,
        },
        other => {
            return Err(wrong(format!(
                "`{other}` is not known; expected retry or drop"
            )));
        }
    };
    obey(&api, &caller, command).await
}

pub(super) async fn promote(
    State(api): Held,
    Extension(caller): Extension<Caller>,
    Path(route): Path<String>,
) -> Answer {
    admin(&caller)?;
    obey(&api, &caller, Command::Promote { route }).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSilence {
    /// Conditions; or the incident or ticket that they follow from.
    #[serde(default)]
    matchers: Vec<String>,
    #[serde(default)]
    incident: Option<String>,
    #[serde(default)]
    ticket: Option<String>,
    reason: String,
    #[serde(default)]
    until: Option<Time>,
    #[serde(default)]
    holds_s1: bool,
}

/// How long a silence lasts unless said.
const SILENCE: Duration = Duration::from_secs(8 * 3600);

pub(super) async fn silence(
    State(api): Held,
    Extension(caller): Extension<Caller>,
    bytes: Bytes,
) -> Answer {
    let said: NewSilence = body(&bytes)?;
    let matchers = match (said.matchers.is_empty(), said.incident, said.ticket) {
        (false, None, None) => said.matchers,
        (true, Some(id), None) => silencing::matchers_of(&api, path_id(&id)?)?,
        (true, None, Some(key)) => {
            silencing::matchers_of(&api, silencing::incident_of(&api, &key)?)?
        }
        _ => return Err(wrong("expected one of matchers, incident and ticket")),
    };
    let command = Command::Silence {
        matchers,
        reason: said.reason,
        until: said.until.unwrap_or_else(|| (api.now)().plus(SILENCE)),
        holds_s1: said.holds_s1,
    };
    obey(&api, &caller, command).await
}

pub(super) async fn end_silence(
    State(api): Held,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Answer {
    let silence: SilenceId = path_id(&id)?;
    obey(&api, &caller, Command::EndSilence { silence }).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewWindow {
    matchers: Vec<String>,
    reason: String,
    #[serde(default)]
    starts_at: Option<Time>,
    ends_at: Time,
}

pub(super) async fn window(
    State(api): Held,
    Extension(caller): Extension<Caller>,
    bytes: Bytes,
) -> Answer {
    let said: NewWindow = body(&bytes)?;
    let command = Command::OpenWindow {
        matchers: said.matchers,
        reason: said.reason,
        starts_at: said.starts_at.unwrap_or_else(|| (api.now)()),
        ends_at: said.ends_at,
    };
    obey(&api, &caller, command).await
}

pub(super) async fn end_window(
    State(api): Held,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Answer {
    let window: WindowId = path_id(&id)?;
    obey(&api, &caller, Command::EndWindow { window }).await
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRequest {
    account: String,
    #[serde(default)]
    service: Option<String>,
    kind: RequestKind,
    #[serde(default)]
    reported_at: Option<Time>,
    summary: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    sensitive: bool,
}

pub(super) async fn request(
    State(api): Held,
    Extension(caller): Extension<Caller>,
    bytes: Bytes,
) -> Answer {
    let said: NewRequest = body(&bytes)?;
    if said.sensitive && !api.operations.can_seal() {
        let what = "nothing sensitive can be kept: there is no key to seal it with; configure \
                    [[sealing.key]]";
        return Err(Failure(StatusCode::CONFLICT, what.to_owned()));
    }
    let request = PersonRequest {
        account: said.account,
        service: said.service,
        kind: said.kind,
        reported_at: said.reported_at.unwrap_or_else(|| (api.now)()),
        summary: said.summary,
        text: said.text,
        sensitive: said.sensitive,
    };
    obey(&api, &caller, Command::Request(request)).await
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Reload {
    accept: bool,
}

pub(super) async fn reload(
    State(api): Held,
    Extension(caller): Extension<Caller>,
    bytes: Bytes,
) -> Answer {
    admin(&caller)?;
    let said = match bytes.is_empty() {
        true => Reload::default(),
        false => body(&bytes)?,
    };
    let accepted = if said.accept {
        Accepted::Yes
    } else {
        Accepted::No
    };
    match api.operations.reload(&caller.name, accepted).await {
        Ok(done) => Ok(Json(json!({ "result": done }))),
        Err(problems) => Err(Failure(StatusCode::CONFLICT, problems.join("\n"))),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewBackup {
    to: PathBuf,
}

pub(super) async fn backup(
    State(api): Held,
    Extension(caller): Extension<Caller>,
    bytes: Bytes,
) -> Answer {
    admin(&caller)?;
    let said: NewBackup = body(&bytes)?;
    match api.operations.backup(said.to).await {
        Ok(done) => Ok(Json(json!({ "result": done }))),
        Err(why) => Err(Failure(StatusCode::CONFLICT, why)),
    }
}
