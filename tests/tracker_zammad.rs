//! Zammad against a stand-in that behaves as Zammad is known to: attributes that it does not have
//! are dropped, merging answers 200, histories name values.
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

use alertbridge::model::ticket::{PersonDid, RemoteRef};
use alertbridge::trackers::zammad::{Zammad, ZammadConfig};
use alertbridge::trackers::{Attachment, Called, Tracker};
use delivery_support::storm::{Storm, incidents, seed};
use fault_proxy::{FaultProxy, Faults};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use stand_in::{Asked, Said, said, serve, stamp};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracker_contract::{Act, People, done, draft, fresh_key, ready};

#[derive(Default)]
struct Server {
    has_attribute: bool,
    tickets: Vec<Value>,
    articles: Vec<Value>,
    history: Vec<Value>,
}

fn wrong(status: u16, text: &str) -> Said {
    said(status, json!({ "error": text, "error_human": text }))
}

const BRIDGE: u64 = 5;
const AGENT: u64 = 6;

impl Server {
    fn touch(&mut self, n: usize) {
        self.tickets[n]["updated_at"] = json!(stamp());
    }

    fn article(&mut self, n: usize, by: u64, sender: &str, article: &Value) -> Value {
        let mut article = article.clone();
        article["id"] = json!(self.articles.len() + 1);
        article["ticket_id"] = json!(n + 1);
        article["created_by_id"] = json!(by);
        article["created_by"] = json!(format!("user{by}"));
        article["sender"] = json!(sender);
        article["created_at"] = json!(stamp());
        self.articles.push(article.clone());
        self.touch(n);
        article
    }

    fn change(&mut self, n: usize, by: u64, name: &str, value: &Value) {
        let id = self.history.len() + 1;
        self.history.push(json!({
            "id": id, "o_id": n + 1, "object": "Ticket", "attribute": name, "value_to": value,
            "created_at": stamp(), "created_by_id": by,
        }));
        self.tickets[n][name] = value.clone();
        self.touch(n);
    }

    fn create(&mut self, asked: &Asked) -> Said {
        let mut ticket = asked.body.clone();
        if ticket["group"] != "Users" {
            return wrong(422, "No lookup value found for 'group'");
        }
        if ticket["title"].as_str().unwrap().chars().count() > 250 {
            return wrong(422, "value too long");
        }
        let article = ticket.as_object_mut().unwrap().remove("article").unwrap();
        if !self.has_attribute {
            ticket.as_object_mut().unwrap().remove("alert_key");
        }
        let id = self.tickets.len() + 1;
        ticket["id"] = json!(id);
        ticket["number"] = json!(format!("9{id:04}"));
        ticket["created_at"] = json!(stamp());
        self.tickets.push(ticket);
        self.article(id - 1, BRIDGE, "Agent", &article);
        said(201, self.tickets[id - 1].clone())
    }

    fn search(&self, asked: &Asked) -> Said {
        let condition = |name: &str, part: &str| {
            asked
                .query(&format!("condition[ticket.{name}][{part}]"))
                .to_owned()
        };
        let known = |name: &&str| match *name {
            "title" | "updated_at" => true,
            "alert_key" => self.has_attribute,
            _ => false,
        };
        let mut names = asked.query.keys().filter_map(|key| {
            let name = key.strip_prefix("condition[ticket.")?;
            name.strip_suffix("][operator]")
        });
        if !names.all(|name| known(&name)) {
            return wrong(422, "Invalid condition");
        }
        let found = self.tickets.iter().filter(|ticket| {
            let text = |name: &str| ticket[name].as_str().unwrap_or("").to_owned();
            if condition("title", "operator") == "contains" {
                text("title").contains(&condition("title", "value"))
            } else if condition("updated_at", "operator") == "after (absolute)" {
                text("updated_at") > condition("updated_at", "value")
            } else {
                text("alert_key") == condition("alert_key", "value")
            }
        });
        let page: usize = asked.query("page").parse().unwrap();
        let mut found: Vec<_> = found.collect();
        found.sort_by_key(|ticket| ticket["updated_at"].as_str().unwrap().to_owned());
        let page: Vec<_> = found.into_iter().skip((page - 1) * 100).take(100).collect();
        said(200, json!(page))
    }

    /// The history says where to; the state follows.
    fn merged(&mut self, n: usize, by: u64, number: &str) {
        let to = self.tickets.iter().find(|t| t["number"] == number).unwrap()["id"].clone();
        let id = self.history.len() + 1;
        self.history.push(json!({
            "id": id, "o_id": n + 1, "object": "Ticket", "type": "merged_into", "id_to": to,
            "id_from": n + 1, "created_at": stamp(), "created_by_id": by,
        }));
        self.change(n, by, "state", &json!("merged"));
    }

    fn merge(&mut self, from: &str, number: &str) -> Said {
        let n = from.parse::<usize>().unwrap() - 1;
        if self.tickets.iter().any(|ticket| ticket["number"] == number) {
            self.merged(n, BRIDGE, number);
            return said(200, json!({ "result": "success" }));
        }
        said(200, json!({ "result": "failed" }))
    }

    fn answer(&mut self, asked: &Asked) -> Said {
        if asked.header("authorization") != "Token token=secret" {
            return wrong(401, "Not authorized");
        }
        let parts = asked.parts();
        let Some(parts) = parts.strip_prefix(&["api", "v1"]) else {
            return wrong(404, "no such path");
        };
        let n = parts
            .last()
            .and_then(|id| id.parse::<usize>().ok())
            .map(|id| id - 1);
        let n = n.filter(|n| *n < self.tickets.len());
        match (asked.method.as_str(), parts) {
            ("GET", ["users", "me"]) => said(200, json!({ "id": BRIDGE, "login": "bridge" })),
            ("GET", ["groups"]) => said(200, json!([{ "name": "Users" }, { "name": "2nd Level" }])),
            ("GET", ["ticket_states"]) => {
                let states = ["new", "open", "pending reminder", "closed", "merged"];
                said(200, json!(states.map(|name| json!({ "name": name }))))
            }
            ("POST", ["tickets"]) => self.create(asked),
            ("GET", ["tickets", "search"]) => self.search(asked),
            ("POST", ["ticket_articles"]) => {
                let id = asked.body["ticket_id"]
                    .as_str()
                    .unwrap()
                    .parse::<usize>()
                    .unwrap();
                let article = self.article(id - 1, BRIDGE, "Agent", &asked.body);
                said(201, article)
            }
            ("PUT", ["ticket_merge", from, number]) => self.merge(from, number),
            (method, [what, _]) => {
                let Some(n) = n else {
                    return wrong(404, "Couldn't find Ticket");
                };
                let of_ticket = |item: &&Value| {
                    item["ticket_id"] == json!(n + 1) || item["o_id"] == json!(n + 1)
                };
                match (method, *what) {
                    ("GET", "tickets") => said(200, self.tickets[n].clone()),
                    ("PUT", "tickets") => {
                        let state = asked.body["state"].as_str().unwrap_or("");
                        if state.starts_with("pending") && asked.body["pending_time"].is_null() {
                            return wrong(422, "Missing required value for field 'pending_time'!");
                        }
                        for (name, value) in asked.body.as_object().unwrap() {
                            self.change(n, BRIDGE, name, value);
                        }
                        said(200, self.tickets[n].clone())
                    }
                    ("GET", "ticket_history") => {
                        let history: Vec<_> = self.history.iter().filter(of_ticket).collect();
                        let users = json!({ "6": { "login": "agent" } });
                        said(
                            200,
                            json!({ "history": history, "assets": { "User": users } }),
                        )
                    }
                    _ => wrong(404, "no such path"),
                }
            }
            ("GET", ["ticket_articles", "by_ticket", id]) => {
                let id = json!(id.parse::<u64>().unwrap());
                let articles = self.articles.iter().filter(|a| a["ticket_id"] == id);
                said(200, json!(articles.collect::<Vec<_>>()))
            }
            _ => wrong(404, "no such path"),
        }
    }

    fn act(&mut self, n: usize, act: Act) {
        let words = |text: &str, internal: bool| {
            let body = format!("<div>{text}</div>");
            json!({ "body": body, "content_type": "text/html", "internal": internal })
        };
        match act {
            Act::Answer(text) => drop(self.article(n, AGENT, "Agent", &words(text, false))),
            Act::Note(text) => drop(self.article(n, AGENT, "Agent", &words(text, true))),
            Act::Customer(text) => drop(self.article(n, 9, "Customer", &words(text, false))),
            Act::Take => self.change(n, AGENT, "owner", &json!("agent")),
            Act::Wait => self.change(n, AGENT, "state", &json!("pending reminder")),
            Act::Resolve => self.change(n, AGENT, "state", &json!("closed")),
            Act::Reopen => self.change(n, AGENT, "state", &json!("open")),
        }
    }
}

struct Agents(Arc<Mutex<Server>>);

impl People for Agents {
    fn act<'a>(&'a self, ticket: &'a RemoteRef, act: Act) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let n = ticket.key.parse::<usize>().unwrap() - 1;
            self.0.lock().unwrap().act(n, act);
            // Within one second nothing tells what came first: times have whole seconds.
            tokio::time::sleep(Duration::from_millis(1050)).await;
            true
        })
    }
}

fn server(has_attribute: bool) -> Arc<Mutex<Server>> {
    Arc::new(Mutex::new(Server {
        has_attribute,
        ..Server::default()
    }))
}

fn tracker(address: SocketAddr, more: &str) -> Zammad {
    ready();
    let text = format!(
        "url = \"http://{address}\"\ngroup = \"Users\"\ncustomer = \"noc@x.example\"\ntoken = \"secret\"\n{more}"
    );
    let config: ZammadConfig = toml::from_str(&text).unwrap();
    Zammad::new("zammad", config).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_holds_what_every_tracker_holds() {
    for has_attribute in [true, false] {
        let server = server(has_attribute);
        let address = serve(server.clone(), Server::answer).await;
        tracker_contract::holds(&tracker(address, ""), &Agents(server)).await;
    }
}

#[tokio::test]
async fn the_title_shows_the_key_only_where_there_is_no_attribute() {
    for has_attribute in [true, false] {
        let server = server(has_attribute);
        let address = serve(server.clone(), Server::answer).await;
        let key = fresh_key();
        done(tracker(address, "").open(&draft(&key, "fan failed")).await);
        let title = server.lock().unwrap().tickets[0]["title"].clone();
        assert_eq!(title.as_str().unwrap().contains(&key), !has_attribute);
    }
}

#[tokio::test]
async fn a_file_travels_with_the_first_article() {
    let server = server(true);
    let address = serve(server.clone(), Server::answer).await;
    let mut one = draft(&fresh_key(), "fan failed");
    one.attachments = vec![Attachment::of_text("ab-1.txt", "the whole text")];
    done(tracker(address, "").open(&one).await);
    let file = server.lock().unwrap().articles[0]["attachments"][0].clone();
    assert_eq!(file["filename"], "ab-1.txt");
    assert_eq!(file["data"], "dGhlIHdob2xlIHRleHQ=");
}

#[tokio::test]
async fn the_check_names_what_is_not_there() {
    let server = server(true);
    let address = serve(server.clone(), Server::answer).await;
    let wrong = |more: &str| {
        let zammad = tracker(address, more);
        async move {
            let said = zammad.check(tracker_contract::now()).await;
            said.into_iter().filter_map(Result::err).collect::<Vec<_>>()
        }
    };
    assert_eq!(wrong("").await, Vec::<String>::new());
    let told = wrong("[status]\nresolved = \"solved\"\n").await;
    assert_eq!(
        told,
        [
            "there is no state `solved`; there are `new`, `open`, `pending reminder`, `closed`, `merged`"
        ]
    );
    let text = format!(
        "url = \"http://{address}\"\ngroup = \"NOC\"\ncustomer = \"noc@x.example\"\ntoken = \"secret\""
    );
    let other = Zammad::new("zammad", toml::from_str(&text).unwrap()).unwrap();
    let said = other.check(tracker_contract::now()).await;
    let told: Vec<_> = said.into_iter().filter_map(Result::err).collect();
    assert_eq!(
        told,
        ["there is no group `NOC`; there are `Users`, `2nd Level`"]
    );
    // Without its attribute the key goes to the title: that is said, and is no problem.
    server.lock().unwrap().has_attribute = false;
    let said = tracker(address, "").check(tracker_contract::now()).await;
    assert!(said.iter().all(Result::is_ok), "{said:?}");
    let said: Vec<_> = said.into_iter().map(Result::unwrap).collect();
    assert!(
        said.iter().any(|line| line.contains("kept in the title")),
        "{said:?}"
    );
    let asked = alertbridge::trackers::Asked {
        route: "noc".to_owned(),
        custom: vec!["rack".to_owned()],
        ..Default::default()
    };
    let said = tracker(address, "").check_asked(&[asked]).await;
    assert!(said.iter().all(Result::is_err), "{said:?}");
}

/// Merging is told by its target, once; that the state became "merged" says nothing more.
#[tokio::test]
async fn a_merge_is_told_by_its_target() {
    let server = server(true);
    let address = serve(server.clone(), Server::answer).await;
    let zammad = tracker(address, "");
    let ticket = done(zammad.open(&draft(&fresh_key(), "fan failed")).await);
    let other = done(
        zammad
            .open(&draft(&fresh_key(), "fan failed, says a customer"))
            .await,
    );
    let known = |key: &str| key == ticket.key;
    let (_, cursor) = done(zammad.changes("", &known).await);
    let number = server.lock().unwrap().tickets[1]["number"].clone();
    server
        .lock()
        .unwrap()
        .merged(0, AGENT, number.as_str().unwrap());
    let (told, _) = done(zammad.changes(&cursor, &known).await);
    let told: Vec<_> = told.into_iter().map(|change| change.what).collect();
    assert_eq!(told, [PersonDid::MergedInto(other.key)]);
}

/// More tickets changed than one poll lists: the next goes on where it ended.
#[tokio::test]
async fn what_one_poll_does_not_list_the_next_one_does() {
    let server = server(true);
    let address = serve(server.clone(), Server::answer).await;
    let zammad = tracker(address, "");
    let ticket = done(zammad.open(&draft(&fresh_key(), "fan failed")).await);
    let known = |key: &str| key == ticket.key;
    let (_, mut cursor) = done(zammad.changes("", &known).await);
    {
        // Two thousand tickets of others changed before it.
        let mut server = server.lock().unwrap();
        let own = server.tickets[0].clone();
        let at = |second: i64| {
            let begin = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(60);
            json!((begin + jiff::SignedDuration::from_secs(second)).to_string())
        };
        for n in 0..2000 {
            let mut other = own.clone();
            other["id"] = json!(n + 2);
            other["alert_key"] = json!("");
            other["updated_at"] = at(n / 10);
            server.tickets.push(other);
        }
        server.change(0, AGENT, "owner", &json!("agent"));
        server.tickets[0]["updated_at"] = at(1000);
    }
    let mut told = Vec::new();
    for poll in 0..3 {
        let (more, next) = done(zammad.changes(&cursor, &known).await);
        assert!(poll > 0 || more.is_empty(), "the first poll lists others");
        told.extend(more);
        cursor = next;
    }
    let told: Vec<_> = told.into_iter().map(|change| change.what).collect();
    assert_eq!(told, [PersonDid::Owner("agent".to_owned())]);
}

#[tokio::test]
async fn a_group_that_does_not_exist_is_refused_by_name() {
    let server = server(true);
    let address = serve(server.clone(), Server::answer).await;
    let mut draft = draft(&fresh_key(), "fan failed");
    draft.fields.queue = "Nowhere".to_owned();
    let called = tracker(address, "").open(&draft).await;
    let Called::Refused { reason, .. } = called else {
        panic!("{called:?}");
    };
    assert!(reason.contains("group"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_incident_ends_with_one_ticket_whatever_the_network_does() {
    ready();
    let server = server(true);
    let address = serve(server.clone(), Server::answer).await;
    let seed = seed();
    let mut faults = Faults::all(35, Duration::from_millis(1200));
    faults.create = "POST /api/v1/tickets HTTP";
    let proxy = FaultProxy::start(address, seed, faults).await;
    let quick = "settle_seconds = 3\n[connection]\ntimeout_seconds = 1\n";
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
async fn a_promise_in_the_declared_attribute_is_told() {
    let server = server(true);
    let address = serve(server.clone(), Server::answer).await;
    let tracker = tracker(address, "promise_field = \"next_update\"");
    let ticket = done(tracker.open(&draft(&fresh_key(), "fan failed")).await);
    let cursor = tracker_contract::cursor_now(&tracker).await;
    let set = |name: &str, value: &str| {
        let mut server = server.lock().unwrap();
        server.change(0, AGENT, name, &json!(value));
    };
    set("other", "2026-06-02 08:00:00 UTC");
    set("next_update", "2026-06-02 09:00:00 UTC");
    let told = tracker_contract::promises(&tracker, &cursor, &ticket, 1).await;
    assert_eq!(told, ["2026-06-02 09:00:00 UTC"]);
}
