//! What a request is answered with. Hooks and native events have answers of their own; the drop-in
//! receivers answer as their originals.
//!
//! Invariant: an answer never says why credentials were refused.

use super::accept::{Accepted, Fate};
use super::opsgenie;
use crate::formats::Request;
use serde_json::json;

/// Which kind of route a request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// `/hooks/{source}`.
    Hook,
    /// `/v1/events`.
    Native,
    /// Alertmanager's API v2.
    Alertmanager,
    /// PagerDuty Events v2.
    PagerDuty,
    /// Opsgenie alerts and heartbeats.
    Opsgenie,
}

/// Why a request was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The status code.
    pub status: u16,
    /// A sentence for people.
    pub reason: String,
    /// When to try again, seconds.
    pub retry_after: Option<u64>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The media type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
    /// When to try again, seconds.
    pub retry_after: Option<u64>,
    /// Further headers: names in lower case, values of printable ASCII.
    pub headers: Vec<(&'static str, String)>,
}

impl Answer {
    /// A JSON answer.
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Answer {
        Answer {
            status,
            content_type: "application/json",
            body: body.into(),
            retry_after: None,
            headers: Vec::new(),
        }
    }

    /// The same with one header more.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Answer {
        self.headers.push((name, value.into()));
        self
    }
}

/// The answers of a route.
pub trait Answers: Send + Sync {
    /// What was accepted.
    fn accepted(&self, route: Route, request: &Request, accepted: &Accepted) -> Answer;

    /// What was refused.
    fn refused(&self, route: Route, refusal: &Refusal) -> Answer;
}

/// The answers that hold for every sender known.
#[derive(Clone, Copy, Debug, Default)]
pub struct StandardAnswers;

impl Answers for StandardAnswers {
    fn accepted(&self, route: Route, request: &Request, accepted: &Accepted) -> Answer {
        match route {
            Route::Hook => Answer::json(200, hook(accepted)),
            Route::Native => Answer::json(202, native(accepted)),
            Route::Alertmanager => alertmanager(accepted),
            Route::PagerDuty => pagerduty(request, accepted),
            Route::Opsgenie => opsgenie::accepted(request, accepted),
        }
    }

    fn refused(&self, route: Route, refusal: &Refusal) -> Answer {
        let body = match route {
            Route::Hook | Route::Native => {
                json!({"status": "error", "ok": false, "error": refusal.reason})
            }
            Route::Alertmanager => json!(refusal.reason),
            Route::PagerDuty if refusal.status == 429 => json!({
                "status": "throttle exceeded",
                "message": "Requests for this service are arriving too quickly. Please retry later.",
            }),
            Route::PagerDuty => json!({
                "status": "invalid event",
                "message": "Event object is invalid",
                "errors": [refusal.reason],
            }),
            Route::Opsgenie => return opsgenie::refused(refusal),
        };
        let answer = Answer {
            retry_after: refusal.retry_after,
            ..Answer::json(refusal.status, body.to_string())
        };
        match (route, refusal.status) {
            // Senders with user and password in the URL (SNS) show them only when asked.
            (Route::Hook | Route::Native | Route::Alertmanager, 401) => {
                answer.with("www-authenticate", "Basic realm=\"alertbridge\"")
            }
            _ => answer,
        }
    }
}

/// Where clients of version 1 of PagerDuty's Events API post.
pub const PAGERDUTY_V1: &str = "/generic/2010-04-15/create_event.json";

/// Why nothing of a message could be read. It is kept in quarantine all the same.
pub(super) fn unreadable(accepted: &Accepted) -> Option<&str> {
    let [Fate::Quarantined { reason, .. }] = accepted.fates.as_slice() else {
        return None;
    };
    Some(reason)
}

/// As the original: what is sound is stored all the same, and the faults are told.
fn alertmanager(accepted: &Accepted) -> Answer {
    let members = accepted.problems.iter().map(String::as_str);
    let mut faults: Vec<&str> = members.filter(|told| told.starts_with("member ")).collect();
    faults.extend(unreadable(accepted));
    if faults.is_empty() {
        return Answer::json(200, "");
    }
    Answer::json(400, json!(faults.join("; ")).to_string())
}

fn pagerduty(request: &Request, accepted: &Accepted) -> Answer {
    if let Some(reason) = unreadable(accepted) {
        let body = json!({
            "status": "invalid event",
            "message": "Event object is invalid",
            "errors": [reason],
        });
        return Answer::json(400, body.to_string());
    }
    if request.path.ends_with("/v2/change/enqueue") {
        let body = json!({"status": "success", "message": "Change event processed"});
        return Answer::json(202, body.to_string());
    }
    let key = accepted.dedup_keys.iter().flatten().next();
    let first = request.path == PAGERDUTY_V1;
    let name = if first { "incident_key" } else { "dedup_key" };
    let mut body = json!({"status": "success", "message": "Event processed"});
    if let Some(key) = key {
        body[name] = json!(key);
    }
    // Clients of each version take exactly one status for success.
    Answer::json(if first { 200 } else { 202 }, body.to_string())
}

/// Built by hand: it is the answer to almost every request.
fn hook(accepted: &Accepted) -> Vec<u8> {
    use std::io::Write;
    let mut body = Vec::with_capacity(96);
    body.extend_from_slice(b"{\"status\":\"successful\",\"ok\":true");
    if let Some(seq) = accepted.seq() {
        let _ = write!(body, ",\"event_id\":\"{seq}\"");
    }
    let mut counts = [0usize; 4];
    for fate in &accepted.fates {
        let [new, repeated, quarantined, ignored] = &mut counts;
        *match fate {
            Fate::Accepted { .. } => new,
            Fate::Duplicate => repeated,
            Fate::Quarantined { .. } => quarantined,
            Fate::Ignored { .. } => ignored,
        } += 1;
    }
    let names = ["accepted", "duplicate", "quarantined", "ignored"];
    for (name, count) in names.iter().zip(counts).filter(|(_, count)| *count > 0) {
        let _ = write!(body, ",\"{name}\":{count}");
    }
    body.push(b'}');
    body
}

fn native(accepted: &Accepted) -> String {
    let results: Vec<_> = accepted
        .fates
        .iter()
        .map(|fate| match fate {
            Fate::Accepted { seq, index } => {
                json!({"result": "accepted", "event_id": format!("{seq}.{index}")})
            }
            Fate::Duplicate => json!({"result": "duplicate"}),
            Fate::Quarantined { seq, reason } => json!({
                "result": "quarantined",
                "reason": reason,
                "event_id": format!("{seq}.0"),
            }),
            Fate::Ignored { reason, .. } => json!({"result": "accepted", "ignored": reason}),
        })
        .collect();
    json!({"results": results, "problems": accepted.problems}).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn posted(path: &'static str) -> Request<'static> {
        Request {
            method: "POST",
            path,
            query: "",
            headers: &[],
            body: b"",
            received_at: crate::model::Time(0),
        }
    }

    fn of_one(fate: Fate, key: Option<&str>) -> Accepted {
        Accepted {
            fates: vec![fate],
            dedup_keys: vec![key.map(str::to_owned)],
            ..Accepted::default()
        }
    }

    #[test]
    fn drop_in_receivers_answer_as_their_originals() {
        let taken = of_one(Fate::Accepted { seq: 7, index: 0 }, Some("k"));
        let reason = "`dedup_key` is missing".to_owned();
        let lost = of_one(Fate::Quarantined { seq: 8, reason }, None);
        let cases = [
            (
                Route::PagerDuty,
                "/v2/enqueue",
                &taken,
                202,
                "\"dedup_key\":\"k\"",
            ),
            (
                Route::PagerDuty,
                PAGERDUTY_V1,
                &taken,
                200,
                "\"incident_key\":\"k\"",
            ),
            (
                Route::PagerDuty,
                "/v2/enqueue",
                &lost,
                400,
                "`dedup_key` is missing",
            ),
            (
                Route::Opsgenie,
                "/v2/alerts",
                &taken,
                202,
                "\"requestId\":\"7\"",
            ),
            (
                Route::Opsgenie,
                "/v2/alerts",
                &lost,
                422,
                "`dedup_key` is missing",
            ),
            (
                Route::PagerDuty,
                "/v2/change/enqueue",
                &taken,
                202,
                "Change event processed",
            ),
            (
                Route::Opsgenie,
                "/v2/heartbeats/a/ping",
                &taken,
                202,
                "PONG",
            ),
        ];
        for (route, path, accepted, status, part) in cases {
            let answer = StandardAnswers.accepted(route, &posted(path), accepted);
            let body = String::from_utf8(answer.body).unwrap();
            assert_eq!(answer.status, status, "{path}");
            assert!(body.contains(part), "{path}: {body}");
        }
    }

    #[test]
    fn a_hook_answer_is_json_that_every_sender_takes() {
        let accepted = Accepted {
            fates: vec![Fate::Duplicate, Fate::Accepted { seq: 7, index: 0 }],
            ..Accepted::default()
        };
        let body: serde_json::Value = serde_json::from_slice(&hook(&accepted)).unwrap();
        assert_eq!(
            body,
            json!({"status": "successful", "ok": true, "event_id": "7",
                   "accepted": 1, "duplicate": 1})
        );
    }
}
