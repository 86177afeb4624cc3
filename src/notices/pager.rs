//! Calls: PagerDuty, GoAlert, or a command of one's own.
//!
//! A call and its end carry the same key, so a repeat joins the call that goes on. PagerDuty says who
//! answered when it is asked with a token; a command says so in its output; GoAlert's integration
//! keys cannot be asked, there an answer comes by `alertbridge ack` or the ticket.

use super::words::Worded;
use crate::model::outgoing::{NoticeKind, WantedNotice};
use crate::model::text::{bounded, one_line};
use crate::relay::Sent;
use crate::trackers::Called;
use crate::trackers::client::{Client, ConnectionConfig, base_or, secret_header, send, written};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Longest summary of PagerDuty and GoAlert, bytes.
const SUMMARY_BYTES_MAX: usize = 1000;
/// Longest details, bytes.
const DETAILS_BYTES_MAX: usize = 6000;
/// Most output of a command that is read, bytes.
const OUTPUT_BYTES_MAX: u64 = 4096;

/// `[pager.NAME]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum PagerSection {
    /// PagerDuty, by version 2 of its events.
    Pagerduty {
        /// The integration key of the service.
        #[serde(deserialize_with = "crate::secret::one")]
        routing_key: SecretString,
        /// Where events go, if not to PagerDuty itself.
        #[serde(default)]
        url: Option<Url>,
        /// A token of the REST API, to learn who answered.
        #[serde(default, deserialize_with = "crate::secret::maybe")]
        api_token: Option<SecretString>,
        /// Where the REST API is, if not at PagerDuty itself.
        #[serde(default)]
        api_url: Option<Url>,
        /// How it is spoken to.
        #[serde(default)]
        connection: ConnectionConfig,
    },
    /// GoAlert, by its generic API.
    Goalert {
        /// Where it is.
        url: Url,
        /// The integration key.
        #[serde(deserialize_with = "crate::secret::one")]
        token: SecretString,
        /// How it is spoken to.
        #[serde(default)]
        connection: ConnectionConfig,
    },
    /// A command; the text comes on its standard input, the rest in `ALERTBRIDGE_PAGE_*`.
    Command {
        /// The program and its arguments; no shell reads them.
        command: Vec<String>,
        /// Longest time it may take, seconds.
        #[serde(default = "seconds")]
        seconds: u64,
    },
}

fn seconds() -> u64 {
    30
}

impl PagerSection {
    /// The word in the metrics.
    pub const fn word(&self) -> &'static str {
        match self {
            PagerSection::Pagerduty { .. } => "pagerduty",
            PagerSection::Goalert { .. } => "goalert",
            PagerSection::Command { .. } => "command",
        }
    }
}

/// Calls people.
pub enum Pager {
    /// PagerDuty.
    Pagerduty {
        /// Where events go.
        events: Client,
        /// The integration key.
        routing_key: SecretString,
        /// The REST API.
        api: Option<Client>,
    },
    /// GoAlert.
    Goalert {
        /// Where it is.
        client: Client,
        /// The integration key.
        token: SecretString,
    },
    /// A command.
    Command {
        /// The program and its arguments.
        command: Vec<String>,
        /// Longest time.
        time: Duration,
    },
}

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Trigger,
    Acknowledge,
    Resolve,
}

impl Action {
    fn of(notice: &WantedNotice) -> Action {
        match (notice.kind, notice.facts.reason.as_str()) {
            (NoticeKind::PageEnded, "resolved") => Action::Resolve,
            (NoticeKind::PageEnded, _) => Action::Acknowledge,
            _ => Action::Trigger,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Action::Trigger => "trigger",
            Action::Acknowledge => "acknowledge",
            Action::Resolve => "resolve",
        }
    }
}

impl Pager {
    /// A pager by its configuration; nobody is called yet.
    pub fn new(section: &PagerSection) -> Result<Pager, String> {
        match section {
            PagerSection::Pagerduty {
                routing_key,
                url,
                api_token,
                api_url,
                connection,
            } => {
                let url = base_or(url.as_ref(), "https://events.pagerduty.com")?;
                let api = match api_token {
                    None => None,
                    Some(token) => {
                        let base = base_or(api_url.as_ref(), "https://api.pagerduty.com")?;
                        let value = format!("Token token={}", token.expose_secret().trim());
                        let mut headers = HeaderMap::new();
                        headers.insert(AUTHORIZATION, secret_header(&value)?);
                        let kind = "application/vnd.pagerduty+json;version=2";
                        headers.insert(ACCEPT, HeaderValue::from_static(kind));
                        Some(Client::new(&base, headers, connection)?)
                    }
                };
                Ok(Pager::Pagerduty {
                    events: Client::new(&url, HeaderMap::new(), connection)?,
                    routing_key: routing_key.clone(),
                    api,
                })
            }
            PagerSection::Goalert {
                url,
                token,
                connection,
            } => Ok(Pager::Goalert {
                client: Client::new(url, HeaderMap::new(), connection)?,
                token: token.clone(),
            }),
            PagerSection::Command { command, seconds } => {
                if command.first().is_none_or(String::is_empty) {
                    return Err("command: a program was expected".to_owned());
                }
                Ok(Pager::Command {
                    command: command.clone(),
                    time: Duration::from_secs((*seconds).max(1)),
                })
            }
        }
    }

    /// Calls, or says that a call is over; who answered, if the pager says so at once.
    pub async fn call(&self, notice: &WantedNotice, worded: &Worded) -> (Sent, Option<String>) {
        let action = Action::of(notice);
        match self {
            Pager::Pagerduty {
                events,
                routing_key,
                ..
            } => {
                let event = pagerduty_event(notice, worded, action, routing_key);
                let called = events.write(Method::POST, "/v2/enqueue", &event).await;
                (sent(called), None)
            }
            Pager::Goalert { client, token } => {
                if action == Action::Acknowledge {
                    // Its integration keys know no acknowledgement: the call stands until it is over.
                    return (Sent::Taken, None);
                }
                let summary = bounded(&worded.subject, SUMMARY_BYTES_MAX);
                let details = bounded(&worded.body, DETAILS_BYTES_MAX);
                let mut form = vec![
                    ("token", token.expose_secret().trim()),
                    ("summary", summary.as_str()),
                    ("details", details.as_str()),
                    ("dedup", notice.thread.as_str()),
                ];
                if action == Action::Resolve {
                    form.push(("action", "close"));
                }
                let path = "/api/v2/generic/incoming";
                let request = client.request(Method::POST, path).form(&form);
                (sent(written(send(request).await)), None)
            }
            Pager::Command { command, time } => {
                let running = run(command, notice, worded, action);
                match tokio::time::timeout(*time, running).await {
                    Ok(done) => done,
                    Err(_) => {
                        let reason = format!("no end within {} s", time.as_secs());
                        (Sent::Unknown(reason), None)
                    }
                }
            }
        }
    }

    /// Who answered a call, if the pager can be asked and somebody did.
    pub async fn answered(&self, thread: &str) -> Option<String> {
        let Pager::Pagerduty { api: Some(api), .. } = self else {
            return None;
        };
        let query = [("incident_key", thread)];
        let Called::Done(answer) = api.get("/incidents", &query).await else {
            return None;
        };
        let found = answer.json();
        let incident = found.get("incidents")?.as_array()?.first()?.clone();
        let status = incident.get("status")?.as_str()?;
        if !matches!(status, "acknowledged" | "resolved") {
            return None;
        }
        let by = incident
            .pointer("/acknowledgements/0/acknowledger/summary")
            .or_else(|| incident.pointer("/last_status_change_by/summary"));
        let by = by.and_then(|by| by.as_str()).unwrap_or("somebody");
        Some(bounded(&one_line(by), 100))
    }
}

fn sent<T>(called: Called<T>) -> Sent {
    match called {
        Called::Done(_) => Sent::Taken,
        Called::Refused { reason, .. } => Sent::Refused(reason),
        Called::Unknown { reason, .. } => Sent::Unknown(reason),
        Called::Later { reason, after } => Sent::Later {
            reason,
            asked: after.is_some(),
        },
    }
}

fn pagerduty_event(
    notice: &WantedNotice,
    worded: &Worded,
    action: Action,
    routing_key: &SecretString,
) -> serde_json::Value {
    let mut event = json!({
        "routing_key": routing_key.expose_secret().trim(),
        "event_action": action.word(),
        "dedup_key": notice.thread,
        "client": "alertbridge",
    });
    if action == Action::Trigger {
        event["payload"] = json!({
            "summary": bounded(&worded.subject, SUMMARY_BYTES_MAX),
            "source": "alertbridge",
            "severity": "critical",
            "custom_details": {
                "incident": notice.facts.reference,
                "text": bounded(&worded.body, DETAILS_BYTES_MAX),
            },
        });
    }
    event
}

/// Runs the command. 0: called; 75: later; anything else: later as well, with what it said. A line
/// `acknowledged by NAME` in its output is somebody's answer.
async fn run(
    command: &[String],
    notice: &WantedNotice,
    worded: &Worded,
    action: Action,
) -> (Sent, Option<String>) {
    let later = |reason: String| {
        let sent = Sent::Later {
            reason: bounded(&one_line(&reason), crate::limits::TRACKER_REASON_BYTES_MAX),
            asked: false,
        };
        (sent, None)
    };
    let Some((program, arguments)) = command.split_first() else {
        return later("there is no command".to_owned());
    };
    let started = tokio::process::Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(
            std::env::vars().filter(|(name, _)| ["PATH", "HOME", "LANG"].contains(&name.as_str())),
        )
        .env("ALERTBRIDGE_PAGE_ACTION", action.word())
        .env("ALERTBRIDGE_PAGE_KEY", &notice.thread)
        .env(
            "ALERTBRIDGE_PAGE_REFERENCE",
            one_line(&notice.facts.reference),
        )
        .env("ALERTBRIDGE_PAGE_SUBJECT", &worded.subject)
        .env("ALERTBRIDGE_PAGE_LEVEL", notice.facts.level.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => return later(format!("{program} cannot be started: {error}")),
    };
    if let Some(mut input) = child.stdin.take() {
        // A command that does not read is none the worse for it.
        let _ = input.write_all(worded.body.as_bytes()).await;
    }
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        let _ = stdout.take(OUTPUT_BYTES_MAX).read_to_end(&mut output).await;
    }
    let output = String::from_utf8_lossy(&output).into_owned();
    match child.wait().await {
        Ok(status) if status.success() => {
            let by = output.lines().find_map(|line| {
                let name = line.trim().strip_prefix("acknowledged by ")?;
                Some(bounded(&one_line(name), 100))
            });
            (Sent::Taken, by.filter(|by| !by.is_empty()))
        }
        Ok(status) => later(format!("{program}: {status}: {output}")),
        Err(error) => (Sent::Unknown(error.to_string()), None),
    }
}
