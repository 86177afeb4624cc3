//! Zendesk: one answer a key and two hours, a closed ticket is final, audits and comments in pages.

use super::*;
use alertbridge::model::ticket::TicketFields;
use alertbridge::trackers::{Attachment, Called};
use serde_json::{Value, json};
use stand_in::{Asked, Said, empty, said, serve, stamp};
use std::collections::BTreeMap;

#[derive(Default)]
struct Server {
    tickets: Vec<Value>,
    comments: Vec<Value>,
    audits: Vec<Value>,
    uploads: Vec<String>,
    answered: BTreeMap<String, (Value, Value)>,
    frozen: bool,
}

const BRIDGE: i64 = 5;
const AGENT: i64 = 6;
const CUSTOMER: i64 = 9;

fn wrong(field: &str, text: &str) -> Said {
    let details = json!({ field: [{ "description": text, "error": "InvalidValue" }] });
    let body = json!({ "error": "RecordInvalid", "description": "Record validation errors", "details": details });
    said(422, body)
}

impl Server {
    fn audit(&mut self, n: usize, by: i64, events: &Value) {
        let mut events = events.clone();
        for (at, event) in events.as_array_mut().unwrap().iter_mut().enumerate() {
            event["id"] = json!(self.audits.len() * 100 + at);
        }
        self.audits.push(json!({
            "id": self.audits.len(), "ticket_id": n + 1, "author_id": by,
            "created_at": stamp(), "events": events,
        }));
        self.tickets[n]["updated_at"] = json!(stamp());
    }

    fn comment(&mut self, n: usize, by: i64, comment: &Value) {
        let html = comment["html_body"].as_str().unwrap();
        let public = comment["public"].clone();
        self.comments.push(json!({
            "id": self.comments.len(), "ticket_id": n + 1, "author_id": by,
            "html_body": html, "public": public, "uploads": comment["uploads"],
        }));
        let event = json!([{ "type": "Comment", "body": html, "public": public }]);
        self.audit(n, by, &event);
    }

    fn change(&mut self, n: usize, by: i64, name: &str, value: &Value) {
        let old = self.tickets[n][name].clone();
        self.tickets[n][name] = value.clone();
        let event = json!([{ "type": "Change", "field_name": name, "value": value, "previous_value": old }]);
        self.audit(n, by, &event);
    }

    fn create(&mut self, asked: &Asked) -> Said {
        let key = asked.header("idempotency-key").to_owned();
        if let Some((body, answer)) = self.answered.get(&key) {
            return if *body == asked.body {
                said(201, answer.clone())
            } else {
                said(400, json!({ "error": "IdempotentRequestError" }))
            };
        }
        let ticket = &asked.body["ticket"];
        if ticket["subject"].as_str().unwrap().chars().count() > 150 {
            return wrong("subject", "Subject: is too long");
        }
        let followed = ticket["via_followup_source_id"].as_str();
        let followed = followed.map(|id| id.parse::<usize>().unwrap() - 1);
        if followed.is_some_and(|n| self.tickets[n]["status"] != "closed") {
            return wrong("base", "the source is not closed");
        }
        let n = self.tickets.len();
        self.tickets.push(json!({
            "id": n + 1, "subject": ticket["subject"], "external_id": ticket["external_id"],
            "status": "new", "priority": ticket["priority"], "created_at": stamp(),
            "updated_at": stamp(), "via": ticket["via_followup_source_id"],
        }));
        self.comment(n, BRIDGE, &ticket["comment"]);
        let answer = json!({ "ticket": self.tickets[n], "audit": {} });
        self.answered
            .insert(key, (asked.body.clone(), answer.clone()));
        said(201, answer)
    }

    fn update(&mut self, n: usize, asked: &Asked) -> Said {
        if self.tickets[n]["status"] == "closed" {
            return wrong("status", "Status: closed prevents ticket update");
        }
        for (name, value) in asked.body["ticket"].as_object().unwrap() {
            match name.as_str() {
                "comment" => self.comment(n, BRIDGE, value),
                "status" if self.frozen => {}
                _ => self.change(n, BRIDGE, name, value),
            }
        }
        said(200, json!({ "ticket": self.tickets[n] }))
    }

    fn page(&self, list: &str, of: &[Value], asked: &Asked) -> Said {
        // Two a page, whatever was asked for.
        let from: usize = asked.query("page[after]").parse().unwrap_or(0);
        let page: Vec<_> = of.iter().skip(from).take(2).collect();
        let users = json!([
            { "id": BRIDGE, "role": "agent" }, { "id": AGENT, "role": "agent" },
            { "id": CUSTOMER, "role": "end-user" },
        ]);
        let meta =
            json!({ "has_more": from + 2 < of.len(), "after_cursor": (from + 2).to_string() });
        said(200, json!({ list: page, "users": users, "meta": meta }))
    }

    fn answer(&mut self, asked: &Asked) -> Said {
        // bridge@x.example/token:secret
        if asked.header("authorization") != "Basic YnJpZGdlQHguZXhhbXBsZS90b2tlbjpzZWNyZXQ=" {
            return said(401, json!({ "error": "Couldn't authenticate you" }));
        }
        let parts = asked.parts();
        let of = |items: &[Value], id: &str| -> Vec<Value> {
            let id = json!(id.parse::<usize>().unwrap());
            items
                .iter()
                .filter(|i| i["ticket_id"] == id)
                .cloned()
                .collect()
        };
        match (
            asked.method.as_str(),
            parts.strip_prefix(&["api", "v2"]).unwrap(),
        ) {
            ("GET", ["users", "me"]) => said(
                200,
                json!({ "user": { "id": BRIDGE, "email": "bridge@x.example" } }),
            ),
            ("POST", ["uploads"]) => {
                self.uploads.push(asked.text.clone());
                let token = format!("file-{}", self.uploads.len());
                said(201, json!({ "upload": { "token": token } }))
            }
            ("GET", ["tickets"]) => {
                let key = asked.query("external_id");
                let found = self.tickets.iter().filter(|t| t["external_id"] == key);
                said(200, json!({ "tickets": found.collect::<Vec<_>>() }))
            }
            ("POST", ["tickets"]) => self.create(asked),
            ("GET", ["incremental", "tickets", "cursor"]) => {
                let ended = json!({ "tickets": self.tickets, "end_of_stream": true });
                said(200, ended)
            }
            (_, ["tickets", id, rest @ ..]) => {
                let n = id.parse::<usize>().unwrap() - 1;
                match (asked.method.as_str(), rest) {
                    _ if n >= self.tickets.len() => empty(404),
                    ("GET", []) => said(200, json!({ "ticket": self.tickets[n] })),
                    ("PUT", []) => self.update(n, asked),
                    ("GET", ["comments"]) => self.page("comments", &of(&self.comments, id), asked),
                    ("GET", ["audits"]) => self.page("audits", &of(&self.audits, id), asked),
                    _ => empty(404),
                }
            }
            _ => empty(404),
        }
    }

    fn act(&mut self, n: usize, act: Act) -> bool {
        let comment = |text: &str, public: bool| json!({ "html_body": text, "public": public });
        match act {
            Act::Answer(text) => self.comment(n, AGENT, &comment(text, true)),
            Act::Note(text) => self.comment(n, AGENT, &comment(text, false)),
            Act::Customer(text) => self.comment(n, CUSTOMER, &comment(text, true)),
            Act::Take => self.change(n, AGENT, "assignee_id", &json!("6")),
            Act::Wait => self.change(n, AGENT, "status", &json!("pending")),
            Act::Resolve => self.change(n, AGENT, "status", &json!("solved")),
            Act::Reopen => self.change(n, AGENT, "status", &json!("open")),
        }
        true
    }
}

fn zendesk(address: SocketAddr, more: &str) -> Arc<dyn Tracker> {
    let section = format!(
        "url = \"http://{address}\"\nuser = \"bridge@x.example\"\ntoken = \"secret\"\n\
         requester = \"noc@x.example\"\n{more}"
    );
    tracker("zendesk", &section)
}

async fn start() -> (Arc<Mutex<Server>>, SocketAddr) {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), Server::answer).await;
    (server, address)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_holds_what_every_tracker_holds() {
    let (server, address) = start().await;
    let agents = Agents(server, Server::act);
    tracker_contract::holds(zendesk(address, "").as_ref(), &agents).await;
}

#[tokio::test]
async fn a_create_sent_again_makes_no_second_ticket() {
    let (server, address) = start().await;
    let tracker = zendesk(address, "");
    let one = draft(&fresh_key(), "fan failed");
    let first = done(tracker.open(&one).await);
    assert_eq!(done(tracker.open(&one).await), first);
    assert_eq!(server.lock().unwrap().tickets.len(), 1);
}

#[tokio::test]
async fn a_closed_ticket_is_followed_by_one_that_refers_to_it() {
    let (server, address) = start().await;
    let tracker = zendesk(address, "");
    let mut next = draft(&fresh_key(), "fan failed");
    let old = done(tracker.open(&next).await);
    server.lock().unwrap().tickets[0]["status"] = json!("closed");
    let called = move_to(tracker.as_ref(), &old, TicketStatus::Open).await;
    assert!(matches!(called, Called::Refused { .. }), "{called:?}");
    next.follows = Some(old);
    next.body = "It fails again.".to_owned();
    let new = done(tracker.open(&next).await);
    assert_eq!(new.key, "2");
    assert_eq!(server.lock().unwrap().tickets[1]["via"], "1");
}

#[tokio::test]
async fn files_travel_and_a_status_that_stays_is_noticed() {
    let (server, address) = start().await;
    let tracker = zendesk(address, "");
    let mut one = draft(&fresh_key(), "fan failed");
    one.attachments = vec![Attachment {
        name: "ab-1.txt".to_owned(),
        text: "the whole text".to_owned(),
    }];
    let remote = done(tracker.open(&one).await);
    assert_eq!(server.lock().unwrap().uploads, ["the whole text"]);
    let token = server.lock().unwrap().comments[0]["uploads"][0].clone();
    assert_eq!(token, "file-1");
    server.lock().unwrap().frozen = true;
    let called = move_to(tracker.as_ref(), &remote, TicketStatus::Resolved).await;
    assert!(
        matches!(&called, Called::Refused { field: Some(field), .. } if field == "status"),
        "{called:?}"
    );
}

#[tokio::test]
async fn text_becomes_neither_html_nor_a_placeholder() {
    let (server, address) = start().await;
    let text = "<img src=x onerror=alert(1)> {{ticket.requester.email}} {% if x %}";
    hostile(zendesk(address, "").as_ref(), text).await;
    let server = server.lock().unwrap();
    for comment in &server.comments {
        let html = comment["html_body"].as_str().unwrap();
        assert!(
            !html.contains("<img") && !html.contains("{{") && !html.contains("{%"),
            "{html}"
        );
    }
    assert!(
        !server.tickets[0]["subject"]
            .as_str()
            .unwrap()
            .contains("{{")
    );
}

#[tokio::test]
async fn only_our_fields_are_written() {
    let (server, address) = start().await;
    let tracker = zendesk(address, "");
    let remote = done(tracker.open(&draft(&fresh_key(), "x")).await);
    let from = done(tracker.read(&remote).await).fields;
    let to = TicketFields {
        subject: "y".to_owned(),
        ..from.clone()
    };
    let before = server.lock().unwrap().audits.len();
    let from = Some(from);
    done(tracker.change(&remote, &Change::Fields { from, to }).await);
    let events: Vec<Value> = server.lock().unwrap().audits[before..].to_vec();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["events"][0]["field_name"], "subject");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_incident_ends_with_one_ticket_whatever_the_network_does() {
    let (_server, address) = start().await;
    storm(address, "POST /api/v2/tickets HTTP", zendesk).await;
}

#[tokio::test]
async fn a_promise_in_the_declared_field_is_told() {
    let (server, address) = start().await;
    let tracker = zendesk(address, "promise_field = \"360001\"");
    let ticket = done(tracker.open(&draft(&fresh_key(), "x")).await);
    let cursor = tracker_contract::cursor_now(tracker.as_ref()).await;
    let set = |name: &str, value: &str| {
        let mut server = server.lock().unwrap();
        server.change(0, AGENT, name, &json!(value));
    };
    set("360002", "2026-06-02 17:00");
    set("360001", "2026-06-02 18:00");
    let told = tracker_contract::promises(tracker.as_ref(), &cursor, &ticket, 1).await;
    assert_eq!(told, ["2026-06-02 18:00"]);
}
