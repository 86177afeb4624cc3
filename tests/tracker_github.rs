//! GitHub issues against a stand-in that behaves as GitHub is known to: pull requests among the
//! issues, limits that answer 403, labels one by one, moved and deleted issues.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod delivery_support;
mod fault_proxy;
mod stand_in;
mod tracker_contract;

use alertbridge::model::ticket::{PersonChange, PersonDid, RemoteRef, TicketStatus};
use alertbridge::trackers::github::{Github, GithubConfig};
use alertbridge::trackers::{Called, Tracker};
use delivery_support::storm::{Storm, incidents, seed};
use fault_proxy::{FaultProxy, Faults};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use stand_in::{Asked, Said, empty, said, serve, stamp};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracker_contract::{Act, People, done, draft, ready};

#[derive(Default)]
struct Server {
    issues: Vec<Value>,
    events: Vec<Value>,
    /// What was done to the first issue in the repository that it was transferred to.
    elsewhere: Vec<Value>,
    limited: bool,
}

fn wrong(status: u16, text: &str) -> Said {
    said(status, json!({ "message": text }))
}

impl Server {
    fn event(&mut self, n: usize, by: &str, event: &str, more: Value) -> Value {
        let id = self.events.len() + 1;
        let mut made = json!({
            "id": id, "n": n, "event": event, "created_at": stamp(),
            "actor": { "login": by, "type": if by == "ci" { "Bot" } else { "User" } },
            "author_association": if by == "stranger" { "NONE" } else { "MEMBER" },
        });
        for (name, value) in more.as_object().unwrap() {
            made[name] = value.clone();
        }
        self.events.push(made.clone());
        self.issues[n]["updated_at"] = json!(stamp());
        made
    }

    fn create(&mut self, body: &Value) -> Said {
        if body["title"].as_str().unwrap().chars().count() > 256 {
            let error = json!({ "resource": "Issue", "code": "custom", "field": "title" });
            return said(
                422,
                json!({ "message": "Validation Failed", "errors": [error] }),
            );
        }
        let n = self.issues.len();
        let labels: Vec<_> = body["labels"]
            .as_array()
            .unwrap()
            .iter()
            .map(|l| json!({ "name": l }))
            .collect();
        self.issues.push(json!({
            "number": n + 1, "title": body["title"], "body": body["body"], "labels": labels,
            "state": "open", "created_at": stamp(), "updated_at": stamp(),
            "html_url": format!("https://x.example/{}", n + 1),
        }));
        said(201, self.issues[n].clone())
    }

    fn list(&self, asked: &Asked) -> Said {
        let (label, since) = (asked.query("labels"), asked.query("since"));
        let mut found: Vec<_> = self
            .issues
            .iter()
            .filter(|issue| {
                let labels = issue["labels"].as_array().unwrap();
                label.is_empty() || labels.iter().any(|own| own["name"] == label)
            })
            .filter(|issue| issue["updated_at"].as_str().unwrap() >= since)
            .cloned()
            .collect();
        // A pull request that carries the same label is no issue.
        if !label.is_empty() {
            let labels = json!([{ "name": label }]);
            found.push(json!({
                "number": 999, "title": "x", "labels": labels, "state": "open", "pull_request": {},
                "updated_at": stamp(),
            }));
        }
        page(&found, asked)
    }

    fn of_issue(&mut self, asked: &Asked, n: usize, rest: &[&str]) -> Said {
        let of_issue = |event: &&Value| event["n"] == json!(n);
        match (asked.method.as_str(), rest) {
            ("GET", []) if self.issues[n]["moved"] == true => {
                let mut moved = wrong(301, "Moved Permanently");
                let place = format!("http://{}/repositories/77/issues/4", asked.header("host"));
                moved.headers.push(("location", place));
                moved
            }
            ("GET", []) if self.issues[n]["state"] == "deleted" => {
                wrong(410, "This issue was deleted")
            }
            ("GET", []) => said(200, self.issues[n].clone()),
            ("PATCH", []) => {
                for (name, value) in asked.body.as_object().unwrap() {
                    self.issues[n][name] = value.clone();
                }
                if let Some(state) = asked.body["state"].as_str() {
                    let event = if state == "open" {
                        "reopened"
                    } else {
                        "closed"
                    };
                    self.event(n, "bridge", event, json!({}));
                }
                said(200, self.issues[n].clone())
            }
            ("GET", ["comments"]) => {
                let comments = self.events.iter().filter(of_issue);
                let comments = comments.filter(|e| e["event"] == "commented").cloned();
                page(&comments.collect::<Vec<_>>(), asked)
            }
            ("GET", ["timeline"]) => {
                let events: Vec<_> = self.events.iter().filter(of_issue).cloned().collect();
                page(&events, asked)
            }
            ("POST", ["comments"]) => {
                let body = json!({ "body": asked.body["body"] });
                let event = self.event(n, "bridge", "commented", body);
                said(201, event)
            }
            ("POST", ["labels"]) => {
                for label in asked.body["labels"].as_array().unwrap() {
                    let label = json!({ "name": label });
                    self.issues[n]["labels"].as_array_mut().unwrap().push(label);
                }
                said(200, json!([]))
            }
            ("DELETE", ["labels", label]) => {
                let labels = self.issues[n]["labels"].as_array_mut().unwrap();
                let before = labels.len();
                labels.retain(|own| own["name"] != *label);
                if labels.len() == before {
                    return wrong(404, "Label does not exist");
                }
                said(200, json!([]))
            }
            _ => empty(405),
        }
    }

    fn answer(&mut self, asked: &Asked) -> Said {
        if asked.header("user-agent").is_empty() {
            return wrong(403, "Request forbidden by administrative rules.");
        }
        if asked.header("authorization") != "Bearer secret" {
            return wrong(401, "Bad credentials");
        }
        if self.limited {
            let mut limited = wrong(403, "You have exceeded a secondary rate limit.");
            limited.headers.push(("retry-after", "30".to_owned()));
            return limited;
        }
        let parts = asked.parts();
        match (asked.method.as_str(), &parts[..]) {
            ("GET", ["user"]) => said(200, json!({ "login": "bridge" })),
            ("GET", ["repositories", "77", "issues", "4"]) => {
                let mut issue = self.issues[0].clone();
                issue["number"] = json!(4);
                let place = format!("http://{}/repos/noc/network", asked.header("host"));
                issue["repository_url"] = json!(place);
                said(200, issue)
            }
            ("GET", ["repos", "noc", "network", "issues"]) => {
                let changed = self.elsewhere.iter().map(|event| &event["created_at"]);
                let since = asked.query("since");
                let mut changed = changed.filter(|at| at.as_str().unwrap() >= since);
                let issue = json!({ "number": 4, "updated_at": stamp() });
                said(
                    200,
                    json!(
                        changed
                            .next()
                            .map(|_| issue)
                            .into_iter()
                            .collect::<Vec<_>>()
                    ),
                )
            }
            ("GET", ["repos", "noc", "network", "issues", "4", "timeline"]) => {
                page(&self.elsewhere, asked)
            }
            ("GET", ["repos", "noc", "network", "issues", "4", "comments"]) => said(200, json!([])),
            ("GET", ["repos", "noc", "alerts"]) => said(
                200,
                json!({ "has_issues": true, "permissions": { "push": true } }),
            ),
            ("POST", ["repos", "noc", "alerts", "issues"]) => self.create(&asked.body),
            ("GET", ["repos", "noc", "alerts", "issues"]) => self.list(asked),
            (_, ["repos", "noc", "alerts", "issues", n, rest @ ..]) => match n.parse::<usize>() {
                Ok(n) if n >= 1 && n <= self.issues.len() => self.of_issue(asked, n - 1, rest),
                _ => wrong(404, "Not Found"),
            },
            _ => wrong(404, "Not Found"),
        }
    }

    fn act(&mut self, n: usize, act: Act) -> bool {
        let words = |text: &str| json!({ "body": text });
        let (by, event, more) = match act {
            Act::Answer(text) => ("ana", "commented", words(text)),
            Act::Customer(text) => ("stranger", "commented", words(text)),
            Act::Take => ("ana", "assigned", json!({ "assignee": { "login": "ana" } })),
            Act::Resolve => ("ana", "closed", json!({})),
            Act::Reopen => ("ana", "reopened", json!({})),
            Act::Note(text) => {
                // A program comments: nobody's answer.
                self.event(n, "ci", "commented", words(text));
                return false;
            }
            Act::Wait => return false,
        };
        self.event(n, by, event, more);
        true
    }
}

fn page(items: &[Value], asked: &Asked) -> Said {
    let page: usize = asked.query("page").parse().unwrap();
    let per_page: usize = asked.query("per_page").parse().unwrap();
    let items: Vec<_> = items
        .iter()
        .skip((page - 1) * per_page)
        .take(per_page)
        .collect();
    said(200, json!(items))
}

struct Agents(Arc<Mutex<Server>>);

impl People for Agents {
    fn act<'a>(&'a self, ticket: &'a RemoteRef, act: Act) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let n = ticket
                .key
                .rsplit_once('#')
                .unwrap()
                .1
                .parse::<usize>()
                .unwrap()
                - 1;
            let acted = self.0.lock().unwrap().act(n, act);
            // Within one second nothing tells what came first: times have whole seconds.
            tokio::time::sleep(Duration::from_millis(1050)).await;
            acted
        })
    }
}

fn tracker(address: SocketAddr, more: &str) -> Github {
    ready();
    let text = format!(
        "url = \"http://{address}\"\nrepository = \"noc/alerts\"\ntoken = \"secret\"\n{more}"
    );
    let config: GithubConfig = toml::from_str(&text).unwrap();
    Github::new("github", config).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_holds_what_every_tracker_holds() {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), Server::answer).await;
    tracker_contract::holds(&tracker(address, ""), &Agents(server)).await;
}

#[tokio::test]
async fn a_limit_is_heeded_and_a_deleted_issue_is_gone() {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), Server::answer).await;
    let tracker = tracker(address, "");
    let ticket = done(tracker.open(&draft("ab-1", "fan failed")).await);
    assert_eq!(ticket.key, "noc/alerts#1");
    server.lock().unwrap().limited = true;
    let called = tracker.open(&draft("ab-2", "fan failed")).await;
    let pause = Some(Duration::from_secs(30));
    assert!(
        matches!(called, Called::Later { after, .. } if after == pause),
        "{called:?}"
    );
    server.lock().unwrap().limited = false;
    server.lock().unwrap().issues[0]["state"] = json!("deleted");
    let read = done(tracker.read(&ticket).await);
    assert_eq!(read.fields.status, TicketStatus::Gone);
}

#[tokio::test]
async fn an_issue_that_was_transferred_is_read_where_it_is_now() {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), Server::answer).await;
    let tracker = tracker(address, "");
    let ticket = done(tracker.open(&draft("ab-1", "fan failed")).await);
    server.lock().unwrap().issues[0]["moved"] = json!(true);
    let read = done(tracker.read(&ticket).await);
    assert_eq!(read.remote.key, "noc/network#4");
    assert_eq!(read.fields.subject, "fan failed");
    assert_eq!(read.fields.queue, "noc/network");
}

/// An event of that time, so many seconds from now.
fn event_at(id: u64, seconds: i64, by: &str, event: &str) -> Value {
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    let at = at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    json!({
        "id": id, "event": event, "created_at": at, "body": "We are on it.",
        "actor": { "login": by, "type": "User" }, "author_association": "MEMBER",
    })
}

#[tokio::test]
async fn what_people_do_to_a_transferred_issue_is_told_from_where_it_is_now() {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), Server::answer).await;
    let github = tracker(address, "");
    let ticket = done(github.open(&draft("ab-1", "fan failed")).await);
    let known = |key: &str| key == "noc/network#4";
    let (_, cursor) = done(github.changes("", &known).await);
    {
        let mut server = server.lock().unwrap();
        server.issues[0]["moved"] = json!(true);
        // Long before the bridge sees it: told where it was, transferred, answered there.
        server.elsewhere = vec![
            event_at(1, -9000, "ana", "commented"),
            event_at(2, -8000, "ana", "transferred"),
            event_at(3, -7000, "ana", "commented"),
        ];
    }
    let (told, cursor) = done(github.changes(&cursor, &known).await);
    assert_eq!(told, Vec::new(), "nobody has seen it move");
    let read = done(github.read(&ticket).await);
    assert_eq!(read.remote.key, "noc/network#4");
    let ids = |told: &[PersonChange]| -> Vec<String> {
        told.iter().map(|change| change.change_id.clone()).collect()
    };
    let (told, cursor) = done(github.changes(&cursor, &known).await);
    assert_eq!(ids(&told), ["noc/network#4/commented-3"], "{told:?}");
    let (told, cursor) = done(github.changes(&cursor, &known).await);
    assert_eq!(told, Vec::new(), "nothing is told twice");
    let closed = event_at(4, 1, "ana", "closed");
    server.lock().unwrap().elsewhere.push(closed);
    let (told, cursor) = done(github.changes(&cursor, &known).await);
    assert_eq!(ids(&told), ["noc/network#4/closed-4"]);
    assert_eq!(told[0].what, PersonDid::Status(TicketStatus::Resolved));
    // Another process knows from its store where the issue lives.
    let other = tracker(address, "");
    other.lives_at("noc/network#4");
    let reopened = event_at(5, 2, "ana", "reopened");
    server.lock().unwrap().elsewhere.push(reopened);
    let (told, _) = done(other.changes(&cursor, &known).await);
    assert_eq!(ids(&told), ["noc/network#4/reopened-5"]);
}

#[tokio::test]
async fn a_repository_written_in_another_case_is_the_same_one() {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), Server::answer).await;
    let tracker = tracker(address, "");
    let ticket = done(tracker.open(&draft("ab-1", "fan failed")).await);
    server.lock().unwrap().issues[0]["repository_url"] = json!("https://x/repos/NOC/Alerts");
    assert_eq!(done(tracker.read(&ticket).await).remote.key, ticket.key);
}

#[tokio::test]
async fn labels_of_people_stay() {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), Server::answer).await;
    let tracker = tracker(address, "labels = [\"alert\"]");
    let ticket = done(tracker.open(&draft("ab-1", "fan failed")).await);
    let label = json!({ "name": "hardware" });
    server.lock().unwrap().issues[0]["labels"]
        .as_array_mut()
        .unwrap()
        .push(label);
    let from = done(tracker.read(&ticket).await).fields;
    let mut to = from.clone();
    to.severity = Some(alertbridge::model::severity::Severity::S1);
    let change = alertbridge::trackers::Change::Fields {
        from: Some(from),
        to,
    };
    done(tracker.change(&ticket, &change).await);
    let labels = server.lock().unwrap().issues[0]["labels"].to_string();
    for label in ["alert", "ab-1", "hardware", "severity:S1"] {
        assert!(labels.contains(label), "{labels}");
    }
    assert!(!labels.contains("severity:S3"), "{labels}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_incident_ends_with_one_issue_whatever_the_network_does() {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), Server::answer).await;
    let seed = seed();
    let mut faults = Faults::all(35, Duration::from_millis(1200));
    faults.create = "POST /repos/noc/alerts/issues HTTP";
    let proxy = FaultProxy::start(address, seed, faults).await;
    let quick = "settle_seconds = 3\nparallel = 4\n[connection]\ntimeout_seconds = 1\n";
    Storm {
        through: Arc::new(tracker(proxy.address, quick)),
        direct: Arc::new(tracker(address, "")),
        proxy,
        seed,
        incidents: incidents(40),
    }
    .passes()
    .await;
}

#[tokio::test]
async fn it_says_when_its_token_ends() {
    fn answer(header: &mut &'static str, _: &Asked) -> Said {
        let mut said = said(200, json!({ "login": "bridge" }));
        let header = (*header).to_owned();
        said.headers
            .push(("github-authentication-token-expiration", header));
        said
    }
    for (header, expected) in [
        ("2031-01-31 12:00:00 UTC", Some("2031-01-31T12:00:00Z")),
        ("2031-01-31 12:00:00 +0100", Some("2031-01-31T11:00:00Z")),
        ("soon", None),
    ] {
        let address = serve(Arc::new(Mutex::new(header)), answer).await;
        let ends = tracker(address, "").token_ends_at().await;
        assert_eq!(ends.map(|at| at.to_string()).as_deref(), expected);
    }
}
