//! What clients of Opsgenie's API ask besides alerts, and how they are answered: the state of a
//! request, heartbeats, limits. Pure.
//!
//! The id of a request is its place in the journal. Invariant: a source is told only of its own.

use super::accept::Accepted;
use super::answers::{Answer, Refusal, unreadable};
use crate::formats::Request;
use crate::model::{EventState, Input, Sequenced};
use serde_json::{Value, json};

/// The heartbeat that a path pings, decoded.
pub fn heartbeat_of(path: &str) -> Option<String> {
    let (_, rest) = path.split_once("/v2/heartbeats/")?;
    let name = rest.strip_suffix("/ping")?;
    let pair = format!("x={}", name.replace('+', "%2B"));
    let decoded = url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map(|(_, name)| name.into_owned())?;
    (!decoded.is_empty()).then_some(decoded)
}

/// The request whose state is asked for: `GET /v2/alerts/requests/ID`.
pub fn lookup_of<'a>(request: &Request<'a>) -> Option<&'a str> {
    if request.method != "GET" {
        return None;
    }
    let (_, id) = request.path.split_once("/v2/alerts/requests/")?;
    (!id.is_empty() && !id.contains('/')).then_some(id)
}

/// What was taken.
pub(super) fn accepted(request: &Request, accepted: &Accepted) -> Answer {
    let id = accepted.seq().or(accepted.repeat_of);
    let id = id.map_or_else(String::new, |seq| seq.to_string());
    if let Some(reason) = unreadable(accepted) {
        let field = reason.split('`').nth(1).unwrap_or("body");
        let body = json!({
            "message": reason,
            "errors": { field: reason },
            "took": 0.001,
            "requestId": id,
        });
        return answer(422, &body, &id);
    }
    let result = if request.path.contains("/v2/heartbeats/") {
        "PONG - Heartbeat received"
    } else {
        "Request will be processed"
    };
    let body = json!({"result": result, "took": 0.001, "requestId": id});
    answer(202, &body, &id)
}

/// What was refused.
pub(super) fn refused(refusal: &Refusal) -> Answer {
    let message = match refusal.status {
        401 => "Could not authenticate",
        429 => "You are making too many requests! To avoid this, wait and try again.",
        _ => &refusal.reason,
    };
    let body = json!({"message": message, "took": 0.001, "requestId": ""});
    let answer = Answer {
        retry_after: refusal.retry_after,
        ..Answer::json(refusal.status, body.to_string())
    };
    match refusal.status {
        429 => answer
            .with("x-ratelimit-state", "THROTTLED")
            .with("x-ratelimit-reason", "ACCOUNT")
            .with("x-ratelimit-period-in-sec", "60"),
        _ => answer,
    }
}

/// The state of a request: its row in the journal, if there is one.
pub fn looked_up(id: &str, source: &str, row: Option<&Sequenced>) -> Answer {
    let data = row.and_then(|row| match &row.input {
        Input::Message(message) if message.source == source => {
            let event = message.events.first();
            let key = event.and_then(|event| event.dedup_key.clone());
            let action = event.map_or("Other", |event| match event.state {
                EventState::Firing => "Create",
                EventState::Acknowledged => "Acknowledge",
                EventState::Resolved => "Close",
                EventState::Info => "Snooze",
            });
            Some(json!({
                "success": true,
                "isSuccess": true,
                "action": action,
                "status": "Processed",
                "processedAt": row.at,
                "alertId": key,
                "alias": key,
            }))
        }
        Input::Undecoded(undecoded) if undecoded.source == source => Some(json!({
            "success": false,
            "isSuccess": false,
            "action": "Create",
            "status": undecoded.reason,
            "processedAt": row.at,
        })),
        _ => None,
    });
    match data {
        Some(data) => {
            let body = json!({"data": data, "took": 0.001, "requestId": id});
            answer(200, &body, id)
        }
        None => {
            let message = "Request not found. It may not be processed yet.";
            let body = json!({"message": message, "took": 0.001, "requestId": id});
            answer(404, &body, id).with("x-opsgenie-errortype", "RequestNotProcessed")
        }
    }
}

fn answer(status: u16, body: &Value, id: &str) -> Answer {
    let plain = id
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    Answer::json(status, body.to_string())
        .with("x-request-id", if plain { id } else { "" })
        .with("x-ratelimit-state", "OK")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Event, Identity, Message, Time};

    fn get(path: &str) -> Request<'_> {
        Request {
            method: "GET",
            path,
            ..Request::bare(b"", Time(0))
        }
    }

    #[test]
    fn paths_name_heartbeats_and_requests() {
        let beat = |path: &str| heartbeat_of(path);
        assert_eq!(beat("/v2/heartbeats/a%20b/ping").as_deref(), Some("a b"));
        assert_eq!(
            beat("/hooks/x/v2/heartbeats/n+1/ping").as_deref(),
            Some("n+1")
        );
        assert_eq!(beat("/v2/heartbeats//ping"), None);
        assert_eq!(beat("/v2/heartbeats/a"), None);
        assert_eq!(lookup_of(&get("/v2/alerts/requests/7")), Some("7"));
        assert_eq!(lookup_of(&get("/v2/alerts/requests/7/x")), None);
        let posted = Request {
            method: "POST",
            ..get("/v2/alerts/requests/close")
        };
        assert_eq!(lookup_of(&posted), None);
    }

    #[test]
    fn a_source_is_told_of_its_own_requests_only() {
        let mut event = Event::new(
            EventState::Resolved,
            Identity::key("k").unwrap(),
            "it is over",
        );
        event.dedup_key = Some("k".to_owned());
        let message = Message::new("a", "opsgenie", vec![event]);
        let row = Sequenced {
            seq: 7,
            at: Time(0),
            input: Input::Message(message),
        };
        let found = looked_up("7", "a", Some(&row));
        let body: Value = serde_json::from_slice(&found.body).unwrap();
        assert_eq!(found.status, 200);
        assert_eq!(body["data"]["alias"], "k");
        assert_eq!(body["data"]["action"], "Close");
        for other in [looked_up("7", "b", Some(&row)), looked_up("9", "a", None)] {
            assert_eq!(other.status, 404);
            let header = ("x-opsgenie-errortype", "RequestNotProcessed".to_owned());
            assert!(other.headers.contains(&header), "{other:?}");
        }
    }
}
