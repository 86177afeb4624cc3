//! GitLab issues against a stand-in that behaves as GitLab is known to.
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

use alertbridge::model::ticket::{RemoteRef, TicketStatus};
use alertbridge::trackers::gitlab::{Gitlab, GitlabConfig};
use alertbridge::trackers::{Attachment, Tracker};
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
    notes: Vec<Value>,
    states: Vec<Value>,
    uploads: Vec<String>,
}

fn page(items: Vec<&Value>, asked: &Asked) -> Said {
    let page: usize = asked.query("page").parse().unwrap();
    let items: Vec<_> = items.into_iter().skip((page - 1) * 100).take(100).collect();
    said(200, json!(items))
}

impl Server {
    fn note(&mut self, n: usize, by: &str, more: Value) -> Value {
        let mut note = json!({
            "id": self.notes.len() + 1, "n": n, "author": { "username": by }, "system": false,
            "internal": false, "created_at": stamp(),
        });
        for (name, value) in more.as_object().unwrap() {
            note[name] = value.clone();
        }
        self.notes.push(note.clone());
        self.issues[n]["updated_at"] = json!(stamp());
        note
    }

    fn state(&mut self, n: usize, by: &str, state: &str) {
        self.states.push(json!({
            "id": self.states.len() + 1, "n": n, "user": { "username": by }, "state": state,
            "created_at": stamp(),
        }));
        self.issues[n]["state"] = json!(if state == "closed" {
            "closed"
        } else {
            "opened"
        });
        self.issues[n]["updated_at"] = json!(stamp());
    }

    fn create(&mut self, body: &Value) -> Said {
        if body["title"].as_str().unwrap().chars().count() > 255 {
            return said(400, json!({ "message": { "title": ["is too long"] } }));
        }
        let n = self.issues.len();
        let labels: Vec<_> = body["labels"].as_str().unwrap().split(',').collect();
        self.issues.push(json!({
            "iid": n + 1, "title": body["title"], "description": body["description"],
            "labels": labels, "state": "opened", "created_at": stamp(), "updated_at": stamp(),
            "web_url": "", "moved_to_id": null,
        }));
        said(201, self.issues[n].clone())
    }

    fn change(&mut self, n: usize, body: &Value) -> Said {
        if !body["title"].is_null() {
            self.issues[n]["title"] = body["title"].clone();
        }
        let labels = self.issues[n]["labels"].as_array_mut().unwrap();
        if let Some(removed) = body["remove_labels"].as_str() {
            labels.retain(|label| label != removed);
        }
        if let Some(added) = body["add_labels"].as_str() {
            labels.push(json!(added));
        }
        match body["state_event"].as_str() {
            Some("close") => self.state(n, "bridge", "closed"),
            Some("reopen") => self.state(n, "bridge", "reopened"),
            _ => {}
        }
        said(200, self.issues[n].clone())
    }

    fn of_issue(&mut self, asked: &Asked, n: usize, rest: &[&str]) -> Said {
        let of_issue = |item: &&Value| item["n"] == json!(n);
        match (asked.method.as_str(), rest) {
            ("GET", []) => said(200, self.issues[n].clone()),
            ("PUT", []) => self.change(n, &asked.body),
            ("GET", ["notes"]) => page(self.notes.iter().filter(of_issue).collect(), asked),
            ("GET", ["resource_state_events"]) => {
                page(self.states.iter().filter(of_issue).collect(), asked)
            }
            ("GET", ["resource_label_events"]) => page(Vec::new(), asked),
            ("POST", ["notes"]) => {
                let note = self.note(n, "bridge", asked.body.clone());
                said(201, note)
            }
            _ => empty(405),
        }
    }

    fn answer(&mut self, asked: &Asked) -> Said {
        if asked.header("private-token") != "secret" {
            return said(401, json!({ "message": "401 Unauthorized" }));
        }
        let path = asked.path.replace("noc/alerts", "7");
        let parts: Vec<_> = path.trim_matches('/').split('/').skip(2).collect();
        match (asked.method.as_str(), &parts[..]) {
            ("GET", ["user"]) => said(200, json!({ "username": "bridge" })),
            ("GET", ["projects", "7"]) => said(200, json!({ "issues_enabled": true })),
            ("GET", ["projects", "7", "members", "all"]) => said(
                200,
                json!([{ "username": "ana", "access_level": 30 }, { "username": "guest", "access_level": 10 }]),
            ),
            ("POST", ["projects", "7", "uploads"]) => {
                self.uploads.push(asked.text.clone());
                let shown = "[ab-1.txt](/uploads/66db/ab-1.txt)";
                said(201, json!({ "alt": "ab-1.txt", "markdown": shown }))
            }
            ("POST", ["projects", "7", "issues"]) => self.create(&asked.body),
            ("GET", ["projects", "7", "issues"]) => {
                let (label, after) = (asked.query("labels"), asked.query("updated_after"));
                let found = self.issues.iter().filter(|issue| {
                    let labels = issue["labels"].as_array().unwrap();
                    (label.is_empty() || labels.iter().any(|own| own == label))
                        && issue["updated_at"].as_str().unwrap() >= after
                });
                page(found.collect(), asked)
            }
            (_, ["projects", "7", "issues", n, rest @ ..]) => match n.parse::<usize>() {
                Ok(n) if n >= 1 && n <= self.issues.len() => self.of_issue(asked, n - 1, rest),
                _ => said(404, json!({ "message": "404 Not found" })),
            },
            _ => said(404, json!({ "error": "404 Not Found" })),
        }
    }

    fn act(&mut self, n: usize, act: Act) -> bool {
        match act {
            Act::Answer(text) => drop(self.note(n, "ana", json!({ "body": text }))),
            Act::Note(text) => {
                drop(self.note(n, "ana", json!({ "body": text, "internal": true })));
            }
            Act::Customer(text) => drop(self.note(n, "guest", json!({ "body": text }))),
            Act::Take => {
                drop(self.note(
                    n,
                    "ana",
                    json!({ "body": "assigned to @ana", "system": true }),
                ));
            }
            Act::Resolve => self.state(n, "ana", "closed"),
            Act::Reopen => self.state(n, "ana", "reopened"),
            Act::Wait => return false,
        }
        true
    }
}

struct Agents(Arc<Mutex<Server>>);

impl People for Agents {
    fn act<'a>(&'a self, ticket: &'a RemoteRef, act: Act) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let n = ticket.key.parse::<usize>().unwrap() - 1;
            let acted = self.0.lock().unwrap().act(n, act);
            // Within one second nothing tells what came first: times have whole seconds.
            tokio::time::sleep(Duration::from_millis(1050)).await;
            acted
        })
    }
}

fn tracker(address: SocketAddr, more: &str) -> Gitlab {
    ready();
    let text =
        format!("url = \"http://{address}\"\nproject = \"noc/alerts\"\ntoken = \"secret\"\n{more}");
    let config: GitlabConfig = toml::from_str(&text).unwrap();
    Gitlab::new("gitlab", config).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_holds_what_every_tracker_holds() {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), Server::answer).await;
    tracker_contract::holds(&tracker(address, ""), &Agents(server)).await;
}

#[tokio::test]
async fn an_issue_that_was_moved_or_deleted_is_gone() {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), Server::answer).await;
    let tracker = tracker(address, "");
    let ticket = done(tracker.open(&draft("ab-1", "fan failed")).await);
    server.lock().unwrap().issues[0]["moved_to_id"] = json!(99);
    let read = done(tracker.read(&ticket).await);
    assert_eq!(read.fields.status, TicketStatus::Gone);
    server.lock().unwrap().issues.clear();
    let read = done(tracker.read(&ticket).await);
    assert_eq!(read.fields.status, TicketStatus::Gone);
}

#[tokio::test]
async fn quick_actions_in_alerts_stay_text() {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), Server::answer).await;
    let mut draft = draft("ab-1", "fan failed");
    draft.body = "```\n/close\n@all".to_owned();
    done(tracker(address, "").open(&draft).await);
    let description = server.lock().unwrap().issues[0]["description"].clone();
    let description = description.as_str().unwrap();
    assert!(description.starts_with("````text\n"), "{description}");
    assert_eq!(description.matches("````").count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_incident_ends_with_one_issue_whatever_the_network_does() {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), Server::answer).await;
    let seed = seed();
    let mut faults = Faults::all(35, Duration::from_millis(1200));
    faults.create = "POST /api/v4/projects/noc%2Falerts/issues HTTP";
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
    fn answer(_: &mut (), asked: &Asked) -> Said {
        assert_eq!(asked.path, "/api/v4/personal_access_tokens/self");
        said(200, json!({ "name": "bridge", "expires_at": "2031-01-31" }))
    }
    let address = serve(Arc::new(Mutex::new(())), answer).await;
    let ends = tracker(address, "").token_ends_at().await.unwrap();
    assert_eq!(ends.to_string(), "2031-01-31T00:00:00Z");
}

#[tokio::test]
async fn a_file_is_uploaded_and_shown_outside_of_the_fence() {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), Server::answer).await;
    let mut one = draft("ab-1", "fan failed");
    one.attachments = vec![Attachment::of_text("ab-1.txt", "the whole text")];
    done(tracker(address, "").open(&one).await);
    let server = server.lock().unwrap();
    assert!(server.uploads[0].contains("filename=\"ab-1.txt\""));
    assert!(server.uploads[0].contains("the whole text"));
    let text = server.issues[0]["description"].as_str().unwrap();
    let (_, after) = text.rsplit_once("```").unwrap();
    assert_eq!(after.trim(), "[ab-1.txt](/uploads/66db/ab-1.txt)\n\nab-1");
}
