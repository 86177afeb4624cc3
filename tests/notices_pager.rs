//! Calls through a daemon: PagerDuty and GoAlert as they answer, and a command of one's own.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod daemon_support;
mod notices_support;

use daemon_support::{Daemon, until_within};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

/// A web service that keeps what it is told.
#[derive(Clone)]
struct Service {
    port: u16,
    calls: Arc<Mutex<Vec<(String, String)>>>,
    answered: Arc<Mutex<Option<String>>>,
    status: Arc<Mutex<u16>>,
}

impl Service {
    fn start() -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let service = Service {
            port: listener.local_addr().unwrap().port(),
            calls: Arc::default(),
            answered: Arc::default(),
            status: Arc::new(Mutex::new(202)),
        };
        let mine = service.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mine = mine.clone();
                std::thread::spawn(move || mine.serve(stream));
            }
        });
        service
    }

    fn serve(&self, stream: std::net::TcpStream) -> Option<()> {
        let mut out = stream.try_clone().ok()?;
        let mut lines = BufReader::new(stream);
        loop {
            let mut first = String::new();
            if lines.read_line(&mut first).ok()? == 0 {
                return None;
            }
            let (mut length, mut token) = (0, String::new());
            loop {
                let mut line = String::new();
                lines.read_line(&mut line).ok()?;
                let line = line.trim().to_lowercase();
                if line.is_empty() {
                    break;
                }
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().ok()?;
                }
                if let Some(value) = line.strip_prefix("authorization:") {
                    token = value.trim().to_owned();
                }
            }
            let mut body = vec![0; length];
            lines.read_exact(&mut body).ok()?;
            let body = String::from_utf8(body).ok()?;
            let (status, answer) = if first.starts_with("GET /incidents?incident_key=ap-") {
                assert_eq!(token, "token token=rest");
                let incidents = match &*self.answered.lock().unwrap() {
                    Some(name) => json!([{
                        "status": "acknowledged",
                        "acknowledgements": [{ "acknowledger": { "summary": name } }],
                    }]),
                    None => json!([{ "status": "triggered", "acknowledgements": [] }]),
                };
                (200, json!({ "incidents": incidents }))
            } else {
                let path = first.split(' ').nth(1)?.to_owned();
                self.calls.lock().unwrap().push((path, body));
                let status = *self.status.lock().unwrap();
                (
                    status,
                    json!({ "status": "success", "message": "Event processed" }),
                )
            };
            let answer = answer.to_string();
            write!(
                out,
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{answer}",
                answer.len()
            )
            .ok()?;
        }
    }

    fn events(&self) -> Vec<Value> {
        let calls = self.calls.lock().unwrap();
        let events = calls.iter().filter(|(path, _)| path == "/v2/enqueue");
        events
            .map(|(_, body)| serde_json::from_str(body).unwrap())
            .collect()
    }

    fn forms(&self) -> Vec<String> {
        let calls = self.calls.lock().unwrap();
        let forms = calls
            .iter()
            .filter(|(path, _)| path == "/api/v2/generic/incoming");
        forms.map(|(_, body)| body.clone()).collect()
    }
}

fn until(what: &str, is_true: impl FnMut() -> bool) {
    until_within(60, what, is_true);
}

fn outage(daemon: &Daemon, state: &str) {
    let event = json!({
        "dedup_key": "core-1", "state": state, "severity": "critical",
        "summary": "core-1 is down", "host": "core-1", "check": "ping",
    });
    assert_eq!(daemon.post(&event).unwrap(), 202);
}

fn timeline(daemon: &Daemon) -> String {
    let path = "/api/v1/incidents/INC-1";
    daemon.ask("operators", "GET", path, "").unwrap().1
}

fn start(dir: &Path, pager: &str) -> Daemon {
    std::fs::write(dir.join("key"), "routing\n").unwrap();
    std::fs::write(dir.join("rest"), "rest\n").unwrap();
    let config = format!(
        "[notices]\non_call = [\"shift\"]\npage_every = \"1s\"\nnext_level_after = \"60s\"\n\
         [contact.shift]\npager = \"duty\"\n[pager.duty]\n{pager}\n[engine]\nhold_outage = \"0s\"\n\
         [[rule]]\nname = \"down\"\nmatch = [\"host=core-1\"]\nhint = \"outage\"\nhold = \"0s\"\n"
    );
    Daemon::start_with(dir, &config, &[])
}

#[test]
fn pagerduty_is_called_until_somebody_answers_there() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start();
    let url = format!("http://127.0.0.1:{}", service.port);
    let pager = format!(
        "kind = \"pagerduty\"\nurl = \"{url}\"\napi_url = \"{url}\"\n\
         routing_key = {{ file = \"key\" }}\napi_token = {{ file = \"rest\" }}"
    );
    let daemon = start(dir.path(), &pager);
    outage(&daemon, "firing");
    until("it is repeated", || service.events().len() >= 2);
    let events = service.events();
    assert_eq!(events[0]["event_action"], "trigger");
    assert_eq!(events[0]["routing_key"], "routing");
    assert!(
        events[0]["payload"]["summary"]
            .as_str()
            .unwrap()
            .contains("core-1 is down")
    );
    let key = events[0]["dedup_key"].as_str().unwrap().to_owned();
    assert!(
        events.iter().all(|event| event["dedup_key"] == *key),
        "one call"
    );
    *service.answered.lock().unwrap() = Some("Ito".to_owned());
    until("the answer comes back", || {
        timeline(&daemon).contains("Ito answered")
    });
    until("the pager hears that it is over", || {
        service.events().last().unwrap()["event_action"] == "acknowledge"
    });
    // Gauges are counted once a second.
    until("nobody is called any more", || {
        daemon.metrics().contains("alertbridge_calls_unanswered 0")
    });
    let metrics = daemon.metrics();
    assert!(
        metrics.contains("channel=\"pagerduty\",outcome=\"sent\""),
        "{metrics}"
    );
    let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
    assert!(
        !log.contains("routing\"") && !log.contains("token=rest"),
        "no secret in the log"
    );
}

#[test]
fn goalert_is_called_and_the_call_is_closed_with_the_incident() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start();
    *service.status.lock().unwrap() = 204;
    let pager = format!(
        "kind = \"goalert\"\nurl = \"http://127.0.0.1:{}\"\ntoken = {{ file = \"key\" }}",
        service.port
    );
    let daemon = start(dir.path(), &pager);
    outage(&daemon, "firing");
    until("it is called", || !service.forms().is_empty());
    let form = service.forms()[0].clone();
    let field = |form: &str, name: &str| {
        let found = url::form_urlencoded::parse(form.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned());
        found.unwrap_or_default()
    };
    assert_eq!(field(&form, "token"), "routing");
    assert!(field(&form, "summary").contains("core-1 is down"));
    outage(&daemon, "resolved");
    until("it is closed", || {
        service
            .forms()
            .last()
            .is_some_and(|form| field(form, "action") == "close")
    });
    let last = service.forms().last().unwrap().clone();
    assert_eq!(field(&last, "dedup"), field(&form, "dedup"));
}

#[test]
fn a_command_is_called_with_words_and_its_answer_counts() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("page");
    let log = dir.path().join("called");
    std::fs::write(
        &script,
        format!(
            "#!/bin/sh\necho \"$ALERTBRIDGE_PAGE_ACTION $ALERTBRIDGE_PAGE_REFERENCE \
             $ALERTBRIDGE_PAGE_SUBJECT\" >> {0}\ncat >> {0}\ntest -e {0}.answer && echo \
             'acknowledged by Sato'\nexit 0\n",
            log.display()
        ),
    )
    .unwrap();
    let pager = format!(
        "kind = \"command\"\ncommand = [\"/bin/sh\", {:?}]\nseconds = 20",
        script.display().to_string()
    );
    let daemon = start(dir.path(), &pager);
    outage(&daemon, "firing");
    let called = || std::fs::read_to_string(&log).unwrap_or_default();
    until("it is repeated", || {
        called().matches("trigger INC-1").count() >= 2
    });
    assert!(called().contains("core-1 is down"));
    std::fs::write(log.with_extension("answer"), "").unwrap();
    until("the command says who answered", || {
        timeline(&daemon).contains("Sato answered")
    });
    until("it hears of it", || called().contains("acknowledge INC-1"));
}

#[test]
fn an_acknowledgement_by_the_verb_ends_the_call_and_a_dead_pager_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let service = Service::start();
    *service.status.lock().unwrap() = 400;
    let pager = format!(
        "kind = \"goalert\"\nurl = \"http://127.0.0.1:{}\"\ntoken = {{ file = \"key\" }}",
        service.port
    );
    let daemon = start(dir.path(), &pager);
    outage(&daemon, "firing");
    until("it is seen", || {
        let (_, text) = daemon.verb(&["outbox", "show"]);
        text.contains("given up") && text.contains("HTTP 400")
    });
    let (good, said) = daemon.verb(&["ack", "INC-1"]);
    assert!(good, "{said}");
    until("the call is over", || {
        daemon.metrics().contains("alertbridge_calls_unanswered 0")
    });
}
