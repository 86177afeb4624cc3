//! Jira against a stand-in that behaves as Jira is known to: transitions only, an index that lags,
//! errors that name fields, pages, Cloud's search without totals.
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

use alertbridge::model::ticket::{PersonDid, RemoteRef, TicketStatus};
use alertbridge::trackers::jira::{Jira, JiraConfig};
use alertbridge::trackers::{Attachment, Called, Tracker};
use delivery_support::storm::{Storm, incidents, index_lag, seed};
use fault_proxy::{FaultProxy, Faults};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use stand_in::{Asked, Lagging, Said, empty, said, serve, stamp};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracker_contract::{Act, People, done, draft, fresh_key, ready};

struct Issue {
    key: String,
    fields: Value,
    comments: Vec<Value>,
    histories: Vec<Value>,
    written: Lagging,
}

struct Server {
    cloud: bool,
    lag: Duration,
    has_priority: bool,
    issues: Vec<Issue>,
    ids: u64,
    files: Vec<String>,
    /// What the workflow has.
    statuses: Vec<&'static str>,
    /// The polls that were asked, as JQL.
    asked: Vec<String>,
}

fn server(cloud: bool, lag: Duration) -> Arc<Mutex<Server>> {
    Arc::new(Mutex::new(Server {
        cloud,
        lag,
        has_priority: true,
        issues: Vec::new(),
        ids: 0,
        files: Vec::new(),
        statuses: vec![
            "To Do",
            "In Progress",
            "Waiting for customer",
            "On Hold",
            "Done",
        ],
        asked: Vec::new(),
    }))
}

fn person(name: &str) -> Value {
    let kind = if name == "customer" {
        "customer"
    } else {
        "atlassian"
    };
    json!({ "accountId": name, "name": name, "displayName": name, "accountType": kind })
}

fn status(name: &str) -> Value {
    let category = if name == "Done" { "done" } else { "new" };
    json!({ "name": name, "statusCategory": { "key": category } })
}

fn wrong(field: &str, text: &str) -> Said {
    said(
        400,
        json!({ "errorMessages": [], "errors": { field: text } }),
    )
}

impl Server {
    fn id(&mut self) -> String {
        self.ids += 1;
        self.ids.to_string()
    }

    fn comment(&mut self, n: usize, author: &str, body: &Value, public: bool) -> Value {
        let comment = json!({
            "id": self.id(), "author": person(author), "body": body, "created": stamp(),
            "jsdPublic": public,
        });
        self.issues[n].comments.push(comment.clone());
        comment
    }

    fn change(&mut self, n: usize, author: &str, field: &str, value: Value, shown: &str) {
        let id = self.id();
        self.issues[n].fields[field] = value;
        self.issues[n].histories.push(json!({
            "id": id, "author": person(author), "created": stamp(),
            "items": [{ "field": field, "toString": shown }],
        }));
    }

    fn checked(&self, fields: &Value) -> Option<Said> {
        let summary = fields["summary"].as_str().unwrap_or("");
        if summary.chars().count() > 255 {
            return Some(wrong("summary", "Summary can't exceed 255 characters."));
        }
        if summary.contains('\n') {
            return Some(wrong(
                "summary",
                "The summary is invalid because it contains newline characters.",
            ));
        }
        let description = fields["description"].as_str().unwrap_or("");
        if description.chars().count() > 32_767 {
            return Some(wrong("description", "The entered text is too long."));
        }
        if !self.has_priority && !fields["priority"].is_null() {
            let text =
                "Field 'priority' cannot be set. It is not on the appropriate screen, or unknown.";
            return Some(wrong("priority", text));
        }
        None
    }

    fn create(&mut self, asked: &Asked) -> Said {
        let fields = &asked.body["fields"];
        if let Some(wrong) = self.checked(fields) {
            return wrong;
        }
        let mut fields = fields.clone();
        fields["status"] = status("To Do");
        fields["created"] = json!(stamp());
        fields["reporter"] = person("bridge");
        let key = format!("OPS-{}", self.issues.len() + 1);
        self.issues.push(Issue {
            key: key.clone(),
            fields,
            comments: Vec::new(),
            histories: Vec::new(),
            written: Lagging::now(),
        });
        said(201, json!({ "id": "1", "key": key, "self": "" }))
    }

    /// Labels and "updated" are all that is understood; times are taken as "all".
    fn search(&mut self, asked: &Asked) -> Said {
        let jql = asked.body["jql"].as_str().unwrap();
        self.asked.push(jql.to_owned());
        let label = jql
            .split("labels = \"")
            .nth(1)
            .map(|rest| rest.split('"').next().unwrap());
        let from: usize = if self.cloud {
            asked.body["nextPageToken"]
                .as_str()
                .map_or(0, |token| token.parse().unwrap())
        } else {
            usize::try_from(asked.body["startAt"].as_u64().unwrap()).unwrap()
        };
        let found: Vec<Value> = self
            .issues
            .iter()
            .filter(|issue| issue.written.shows(self.lag))
            .filter(|issue| {
                let labels = issue.fields["labels"].as_array().unwrap();
                label.is_none_or(|label| labels.iter().any(|own| own == label))
            })
            .map(|issue| json!({ "key": issue.key, "fields": issue.fields }))
            .collect();
        let page: Vec<Value> = found.iter().skip(from).take(2).cloned().collect();
        let mut answer = json!({ "issues": page });
        if self.cloud && from + 2 < found.len() {
            answer["nextPageToken"] = json!((from + 2).to_string());
        }
        if !self.cloud {
            answer["total"] = json!(found.len());
        }
        said(200, answer)
    }

    fn of_issue(&mut self, asked: &Asked, n: usize, rest: &[&str]) -> Said {
        match (asked.method.as_str(), rest) {
            ("GET", []) => {
                let issue = &self.issues[n];
                said(
                    200,
                    json!({
                        "key": issue.key, "fields": issue.fields,
                        "changelog": { "histories": issue.histories },
                    }),
                )
            }
            ("PUT", []) => {
                let fields = &asked.body["fields"];
                if let Some(wrong) = self.checked(fields) {
                    return wrong;
                }
                for (name, value) in fields.as_object().unwrap() {
                    self.change(n, "bridge", name, value.clone(), "");
                }
                empty(204)
            }
            ("GET", ["transitions"]) => {
                let all = [("11", "To Do"), ("21", "In Progress"), ("31", "Done")];
                let own = all.iter().filter(|(_, to)| self.statuses.contains(to));
                let list = own.map(|(id, to)| json!({ "id": id, "to": status(to) }));
                said(200, json!({ "transitions": list.collect::<Vec<_>>() }))
            }
            ("POST", ["transitions"]) => {
                let to = match asked.body["transition"]["id"].as_str().unwrap() {
                    "11" => "To Do",
                    "21" => "In Progress",
                    "31" => "Done",
                    _ => return said(400, json!({ "errorMessages": ["no such transition"] })),
                };
                self.change(n, "bridge", "status", status(to), to);
                empty(204)
            }
            ("POST", ["comment"]) => {
                let internal = &asked.body["properties"][0]["value"]["internal"];
                let public = internal != &json!(true);
                let comment = self.comment(n, "bridge", &asked.body["body"], public);
                said(201, comment)
            }
            ("GET", ["comment"]) => {
                let from: usize = asked.query("startAt").parse().unwrap();
                let comments = &self.issues[n].comments;
                let page: Vec<_> = comments.iter().skip(from).take(2).collect();
                said(200, json!({ "comments": page, "total": comments.len() }))
            }
            _ => empty(405),
        }
    }

    fn answer(&mut self, asked: &Asked) -> Said {
        let expected = if self.cloud {
            "Basic Ym90QHguZXhhbXBsZTpzZWNyZXQ="
        } else {
            "Bearer secret"
        };
        if asked.header("authorization") != expected {
            return said(
                401,
                json!({ "errorMessages": ["Client must be authenticated"], "errors": {} }),
            );
        }
        let parts = asked.parts();
        match (asked.method.as_str(), &parts[..]) {
            ("GET", ["rest", "api", "2", "myself"]) => said(200, person("bridge")),
            ("GET", ["rest", "api", "2", "project", "OPS"]) => {
                said(200, json!({ "issueTypes": [{ "name": "Task" }] }))
            }
            ("GET", ["rest", "api", "2", "project", "OPS", "statuses"]) => {
                let list: Vec<Value> = self.statuses.iter().map(|name| status(name)).collect();
                said(200, json!([{ "name": "Task", "statuses": list }]))
            }
            ("GET", ["rest", "api", "2", "field"]) => said(
                200,
                json!([{ "id": "customfield_7", "name": "Site", "schema": { "type": "string" } }]),
            ),
            ("POST", ["rest", "api", "2", "search"]) if self.cloud => said(
                410,
                json!({ "errorMessages": ["The requested API has been removed."] }),
            ),
            ("POST", ["rest", "api", "2", "search"] | ["rest", "api", "3", "search", "jql"]) => {
                self.search(asked)
            }
            ("POST", ["rest", "api", "2", "issue"]) => self.create(asked),
            ("POST", ["rest", "api", "2", "issueLink"]) => empty(201),
            ("POST", ["rest", "api", "2", "issue", _, "attachments"]) => {
                if asked.header("x-atlassian-token") != "no-check" {
                    return empty(403);
                }
                self.files.push(asked.text.clone());
                said(200, json!([]))
            }
            (_, ["rest", "api", "2", "issue", key, rest @ ..]) => {
                // An issue that was moved goes on by both names.
                let n = key
                    .split_once('-')
                    .and_then(|(_, n)| n.parse::<usize>().ok());
                match n {
                    Some(n) if n >= 1 && n <= self.issues.len() => {
                        self.of_issue(asked, n - 1, rest)
                    }
                    _ => said(404, json!({ "errorMessages": ["Issue does not exist"] })),
                }
            }
            _ => said(404, json!({ "errorMessages": ["no such path"] })),
        }
    }
}

struct Agents(Arc<Mutex<Server>>);

impl Server {
    fn act(&mut self, n: usize, act: Act) {
        match act {
            Act::Answer(text) => drop(self.comment(n, "agent", &json!(text), true)),
            Act::Note(text) => drop(self.comment(n, "agent", &json!(text), false)),
            Act::Customer(text) => drop(self.comment(n, "customer", &json!(text), true)),
            Act::Take => self.change(n, "agent", "assignee", person("agent"), "agent"),
            Act::Wait => {
                let name = "Waiting for customer";
                self.change(n, "agent", "status", status(name), name);
            }
            Act::Resolve => self.change(n, "agent", "status", status("Done"), "Done"),
            Act::Reopen => {
                self.change(n, "agent", "status", status("In Progress"), "In Progress");
            }
        }
    }
}

impl People for Agents {
    fn act<'a>(&'a self, ticket: &'a RemoteRef, act: Act) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let (_, n) = ticket.key.split_once('-').unwrap();
            let n = n.parse::<usize>().unwrap() - 1;
            self.0.lock().unwrap().act(n, act);
            // Within one second nothing tells what came first: times have whole seconds.
            tokio::time::sleep(Duration::from_millis(1050)).await;
            true
        })
    }
}

fn tracker(address: SocketAddr, more: &str) -> Jira {
    ready();
    let text = format!("url = \"http://{address}\"\nproject = \"OPS\"\ntoken = \"secret\"\n{more}");
    let config: JiraConfig = toml::from_str(&text).unwrap();
    Jira::new("jira", config).unwrap()
}

const CLOUD: &str = "deployment = \"cloud\"\nuser = \"bot@x.example\"\nservice_management = true\n";
const OWN: &str = "deployment = \"data_center\"\nservice_management = true\n";

#[tokio::test(flavor = "multi_thread")]
async fn it_holds_what_every_tracker_holds() {
    for (cloud, config) in [(true, CLOUD), (false, OWN)] {
        let server = server(cloud, Duration::ZERO);
        let address = serve(server.clone(), Server::answer).await;
        tracker_contract::holds(&tracker(address, config), &Agents(server)).await;
    }
}

#[tokio::test]
async fn a_priority_that_is_not_on_the_screen_is_left_out() {
    let server = server(true, Duration::ZERO);
    server.lock().unwrap().has_priority = false;
    let address = serve(server.clone(), Server::answer).await;
    let tracker = tracker(address, CLOUD);
    let ticket = done(tracker.open(&draft(&fresh_key(), "fan failed")).await);
    assert_eq!(ticket.key, "OPS-1");
    assert_eq!(done(tracker.read(&ticket).await).fields.severity, None);
}

fn wrong_lines(said: &[Result<String, String>]) -> Vec<String> {
    said.iter().filter_map(|line| line.clone().err()).collect()
}

#[tokio::test]
async fn the_check_names_what_is_not_there() {
    for (cloud, section) in [(true, CLOUD), (false, OWN)] {
        let server = server(cloud, Duration::ZERO);
        let address = serve(server.clone(), Server::answer).await;
        let jira = tracker(address, section);
        done(jira.open(&draft(&fresh_key(), "fan failed")).await);
        let said = jira.check(tracker_contract::now()).await;
        assert_eq!(wrong_lines(&said), Vec::<String>::new());
        // A workflow of other words, and none that ends.
        server.lock().unwrap().statuses = vec!["Backlog", "In Progress"];
        let wrong = wrong_lines(&jira.check(tracker_contract::now()).await);
        assert_eq!(wrong.len(), 2, "{wrong:?}");
        let told = [
            "no status `To Do`, `Done`",
            "`Backlog`",
            "only to `In Progress`",
        ];
        for part in [told[0], told[1]] {
            assert!(wrong[0].contains(part), "{wrong:?}");
        }
        assert!(wrong[1].contains(told[2]), "{wrong:?}");
        // The words of the workflow: what no transition leads to is left.
        let own = "[status]\nnew = \"Backlog\"\nopen = \"In Progress\"\n\
                   resolved = \"In Progress\"\nclosed = \"In Progress\"\n";
        let named = tracker(address, &format!("{section}{own}"));
        let wrong = wrong_lines(&named.check(tracker_contract::now()).await);
        assert_eq!(wrong, Vec::<String>::new());
        let wrong = |more: &str| {
            let jira = tracker(address, &format!("{section}{more}"));
            async move { wrong_lines(&jira.check(tracker_contract::now()).await) }
        };
        let told = wrong("issue_type = \"Incident\"\n").await;
        assert!(told[0].contains("no issues of type `Incident`"), "{told:?}");
        let asked = alertbridge::trackers::Asked {
            route: "noc".to_owned(),
            custom: vec!["Site".to_owned(), "Rack".to_owned()],
            ..Default::default()
        };
        let told = wrong_lines(&jira.check_asked(&[asked]).await);
        assert_eq!(told, ["route `noc`: there is no field `Rack`"]);
        let stranger = Jira::new("jira", {
            let text = format!(
                "url = \"http://{address}\"\nproject = \"OPS\"\ntoken = \"wrong\"\n{section}"
            );
            toml::from_str::<JiraConfig>(&text).unwrap()
        });
        let said = stranger.unwrap().check(tracker_contract::now()).await;
        assert!(said.len() == 1 && said[0].is_err(), "{said:?}");
    }
}

/// Moved to another project: by its new name it is unknown, and by its old one it is told no more.
#[tokio::test]
async fn an_issue_that_was_moved_is_followed_by_its_new_name() {
    let server = server(true, Duration::ZERO);
    let address = serve(server.clone(), Server::answer).await;
    let jira = tracker(address, CLOUD);
    let ticket = done(jira.open(&draft(&fresh_key(), "fan failed")).await);
    done(jira.open(&draft(&fresh_key(), "another bridge's")).await);
    let known = |key: &str| key == "OPS-1";
    let (_, cursor) = done(jira.changes("", &known).await);
    {
        let mut server = server.lock().unwrap();
        let id = server.id();
        let issue = &mut server.issues[0];
        issue.key = "NET-1".to_owned();
        issue.histories.push(json!({
            "id": id, "author": person("agent"), "created": stamp(),
            "items": [
                { "field": "project", "fromString": "OPS", "toString": "NET" },
                { "field": "Key", "fromString": "OPS-1", "toString": "NET-1" },
            ],
        }));
    }
    let (told, _) = done(jira.changes(&cursor, &known).await);
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0].remote, ticket.key);
    assert_eq!(told[0].what, PersonDid::MovedTo("NET-1".to_owned()));
    assert_eq!(told[0].author, "agent");
    // The old name goes on, and tells the new one.
    assert_eq!(done(jira.read(&ticket).await).remote.key, "NET-1");
    // What the bridge made in other projects is asked for as well.
    let asked = server.lock().unwrap().asked.last().unwrap().clone();
    assert!(asked.contains("OR creator = currentUser()"), "{asked}");
}

#[tokio::test]
async fn an_issue_out_of_reach_is_not_a_deleted_one() {
    let server = server(true, Duration::ZERO);
    let address = serve(server.clone(), Server::answer).await;
    let jira = tracker(address, CLOUD);
    let of = |key: &str| RemoteRef {
        key: key.to_owned(),
        url: String::new(),
    };
    let read = done(jira.read(&of("OPS-7")).await);
    assert_eq!(read.fields.status, TicketStatus::Gone);
    let read = jira.read(&of("NET-7")).await;
    assert!(!matches!(read, Called::Done(_)), "{read:?}");
}

#[tokio::test]
async fn a_file_follows_its_issue() {
    let server = server(true, Duration::ZERO);
    let address = serve(server.clone(), Server::answer).await;
    let mut one = draft(&fresh_key(), "fan failed");
    one.attachments = vec![Attachment::of_text("ab-1.txt", "the whole text")];
    done(tracker(address, CLOUD).open(&one).await);
    let files = server.lock().unwrap().files.clone();
    assert_eq!(files.len(), 1);
    assert!(files[0].contains("filename=\"ab-1.txt\"") && files[0].contains("the whole text"));
}

#[tokio::test]
async fn a_search_that_is_gone_is_not_no_ticket() {
    let server = server(true, Duration::ZERO);
    let address = serve(server.clone(), Server::answer).await;
    // The search of Data Center, asked of Cloud.
    let text = "deployment = \"cloud\"\nuser = \"bot@x.example\"\n";
    assert!(matches!(
        tracker(address, text).find("ab-1").await,
        Called::Done(_)
    ));
    server.lock().unwrap().cloud = false;
    let called = tracker(address, text).find("ab-1").await;
    assert!(matches!(called, Called::Later { .. }), "{called:?}");
}

/// The index shows what was written two seconds ago, a minute ago in the long form; the proxy does
/// everything else.
#[tokio::test(flavor = "multi_thread")]
async fn every_incident_ends_with_one_issue_whatever_the_network_and_the_index_do() {
    ready();
    let lag = index_lag();
    let server = server(true, lag);
    let address = serve(server.clone(), Server::answer).await;
    let seed = seed();
    let mut faults = Faults::all(35, Duration::from_millis(1200));
    faults.create = "POST /rest/api/2/issue HTTP";
    let proxy = FaultProxy::start(address, seed, faults).await;
    let settle = lag.as_secs() + 2;
    let quick = format!("settle_seconds = {settle}\n[connection]\ntimeout_seconds = 1\n");
    Storm {
        through: Arc::new(tracker(proxy.address, &format!("{CLOUD}{quick}"))),
        direct: Arc::new(tracker(address, CLOUD)),
        proxy,
        seed,
        incidents: incidents(60),
    }
    .passes()
    .await;
}

#[tokio::test]
async fn a_promise_in_the_declared_field_is_told_as_an_instant_or_as_written() {
    for declared in ["Next update", "customfield_10050"] {
        let server = server(true, Duration::ZERO);
        let address = serve(server.clone(), Server::answer).await;
        let config = format!("{CLOUD}promise_field = \"{declared}\"\n");
        let tracker = tracker(address, &config);
        let ticket = done(tracker.open(&draft(&fresh_key(), "fan failed")).await);
        let cursor = tracker_contract::cursor_now(&tracker).await;
        let set = |id: &str, name: &str, to: &str, shown: &str| {
            let history = json!({
                "id": format!("9{id}{shown}"), "author": person("agent"), "created": stamp(),
                "items": [{ "field": name, "fieldId": id, "to": to, "toString": shown }],
            });
            server.lock().unwrap().issues[0].histories.push(history);
        };
        let iso = "2026-06-02T18:00:00.000+0900";
        set("customfield_10050", "Next update", iso, "02/Jun/26 6:00 PM");
        set("customfield_10051", "Other", iso, "02/Jun/26 6:00 PM");
        set("customfield_10050", "Next update", "", "2026-06-02 19:00");
        let told = tracker_contract::promises(&tracker, &cursor, &ticket, 2).await;
        assert_eq!(told, ["2026-06-02T09:00:00Z", "2026-06-02 19:00"]);
    }
}
