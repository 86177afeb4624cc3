//! Freshdesk and Freshservice: an index that lags, pages, statuses without an author.

use super::*;
use alertbridge::trackers::Called;
use serde_json::{Value, json};
use stand_in::{Asked, Lagging, Said, empty, said, serve, stamp};

struct Server {
    service: bool,
    lag: Duration,
    tickets: Vec<(Value, Lagging)>,
    entries: Vec<Value>,
    /// Notes with files, as forms.
    files: Vec<(usize, String)>,
    limited: bool,
}

const BRIDGE: u64 = 5;

impl Server {
    fn wrap(&self, name: &str, value: Value) -> Value {
        if self.service {
            json!({ name: value })
        } else {
            value
        }
    }

    fn status(&mut self, n: usize, status: u64) {
        let ticket = &mut self.tickets[n].0;
        let was = ticket["status"].as_u64().unwrap();
        ticket["status"] = json!(status);
        ticket["stats"]["status_updated_at"] = json!(stamp());
        let name = match status {
            3 => "pending_since",
            4 => "resolved_at",
            5 => "closed_at",
            _ if was >= 4 => "reopened_at",
            _ => "opened_at",
        };
        ticket["stats"][name] = json!(stamp());
        self.touch(n);
    }

    fn touch(&mut self, n: usize) {
        self.tickets[n].0["updated_at"] = json!(stamp());
    }

    fn entry(&mut self, n: usize, by: u64, body: &Value, private: bool, incoming: bool) -> Value {
        self.entries.push(json!({
            "id": self.entries.len() + 1, "ticket_id": n + 1, "user_id": by, "body": body,
            "private": private, "incoming": incoming, "created_at": stamp(),
        }));
        self.touch(n);
        self.entries.last().unwrap().clone()
    }

    fn wrong(field: &str) -> Said {
        let errors =
            json!([{ "field": field, "message": "It is not right", "code": "invalid_value" }]);
        said(
            400,
            json!({ "description": "Validation failed", "errors": errors }),
        )
    }

    fn create(&mut self, asked: &Asked) -> Said {
        let body = &asked.body;
        for name in ["status", "priority", "source"] {
            if !body[name].is_number() {
                return Server::wrong(name);
            }
        }
        if body["subject"].as_str().unwrap().chars().count() > 255 {
            return Server::wrong("subject");
        }
        let n = self.tickets.len();
        let mut ticket = body.clone();
        ticket["id"] = json!(n + 1);
        ticket["created_at"] = json!(stamp());
        ticket["updated_at"] = json!(stamp());
        ticket["stats"] = json!({ "status_updated_at": stamp() });
        self.tickets.push((ticket.clone(), Lagging::now()));
        said(201, self.wrap("ticket", ticket))
    }

    fn list(&self, items: Vec<Value>, name: &str, asked: &Asked) -> Said {
        let number = |name: &str| asked.query(name).parse::<usize>().unwrap();
        let (page, size) = (number("page"), number("per_page"));
        let items: Vec<Value> = items
            .into_iter()
            .skip((page - 1) * size)
            .take(size)
            .collect();
        said(200, self.wrap(name, json!(items)))
    }

    fn answer(&mut self, asked: &Asked) -> Said {
        // secret:X
        if asked.header("authorization") != "Basic c2VjcmV0Olg=" {
            return said(
                401,
                json!({ "code": "invalid_credentials", "message": "no" }),
            );
        }
        if self.limited {
            let mut limited = said(429, json!({ "message": "slow down" }));
            limited.headers.push(("retry-after", "17".to_owned()));
            return limited;
        }
        let parts = asked.parts();
        let search = if self.service {
            "tickets/filter"
        } else {
            "search/tickets"
        };
        let parts = parts.strip_prefix(&["api", "v2"]).unwrap();
        if asked.method == "GET" && parts.join("/") == search {
            let query = asked.query("query").trim_matches('"');
            let key = query
                .strip_prefix("cf_alert_key:'")
                .unwrap()
                .trim_end_matches('\'');
            let shown = self
                .tickets
                .iter()
                .filter(|(_, written)| written.shows(self.lag));
            let found = shown.filter(|(t, _)| t["custom_fields"]["cf_alert_key"] == key);
            let found: Vec<_> = found.map(|(ticket, _)| ticket).collect();
            let name = if self.service { "tickets" } else { "results" };
            return said(200, json!({ name: found, "total": found.len() }));
        }
        match (asked.method.as_str(), parts) {
            ("GET", ["agents", "5"]) => said(200, json!({ "id": BRIDGE })),
            ("GET", ["ticket_fields"]) => said(403, json!({ "code": "access_denied" })),
            ("POST", ["tickets"]) => self.create(asked),
            ("GET", ["tickets"]) => {
                let since = asked.query("updated_since");
                let of = self.tickets.iter().map(|(ticket, _)| ticket);
                let of = of.filter(|t| t["updated_at"].as_str().unwrap() >= since);
                self.list(of.cloned().collect(), "tickets", asked)
            }
            (_, ["tickets", id, rest @ ..]) => {
                let n = id.parse::<usize>().unwrap() - 1;
                match (asked.method.as_str(), rest) {
                    _ if n >= self.tickets.len() => empty(404),
                    ("GET", []) => said(200, self.wrap("ticket", self.tickets[n].0.clone())),
                    ("PUT", []) => {
                        for (name, value) in asked.body.as_object().unwrap() {
                            if name == "status" {
                                self.status(n, value.as_u64().unwrap());
                            } else {
                                self.tickets[n].0[name] = value.clone();
                            }
                        }
                        self.touch(n);
                        said(200, self.wrap("ticket", self.tickets[n].0.clone()))
                    }
                    ("POST", ["notes"]) if asked.body.is_null() => {
                        self.files.push((n, asked.text.clone()));
                        said(201, self.wrap("conversation", json!({ "id": 99 })))
                    }
                    ("POST", ["notes"]) => {
                        let private = asked.body["private"] == true;
                        let entry = self.entry(n, BRIDGE, &asked.body["body"], private, false);
                        said(201, self.wrap("conversation", entry))
                    }
                    ("GET", ["conversations"]) => {
                        let of = self
                            .entries
                            .iter()
                            .filter(|e| e["ticket_id"] == json!(n + 1));
                        self.list(of.cloned().collect(), "conversations", asked)
                    }
                    _ => empty(404),
                }
            }
            _ => empty(404),
        }
    }

    fn act(&mut self, n: usize, act: Act) -> bool {
        match act {
            Act::Answer(text) => drop(self.entry(n, 6, &json!(text), false, false)),
            Act::Note(text) => drop(self.entry(n, 6, &json!(text), true, false)),
            Act::Customer(text) => drop(self.entry(n, 9, &json!(text), false, true)),
            Act::Take => {
                self.tickets[n].0["responder_id"] = json!(6);
                self.touch(n);
                // It is told with the instant of the ticket's last change: no order can be asked.
                return false;
            }
            Act::Wait => self.status(n, 3),
            Act::Resolve => self.status(n, 4),
            Act::Reopen => self.status(n, 2),
        }
        true
    }
}

async fn start(service: bool, lag: Duration) -> (Arc<Mutex<Server>>, SocketAddr) {
    let server = Arc::new(Mutex::new(Server {
        service,
        lag,
        tickets: Vec::new(),
        entries: Vec::new(),
        files: Vec::new(),
        limited: false,
    }));
    let address = serve(server.clone(), Server::answer).await;
    (server, address)
}

fn fresh(kind: &str, address: SocketAddr, more: &str) -> Arc<dyn Tracker> {
    let section = format!(
        "url = \"http://{address}\"\ntoken = \"secret\"\nagent = 5\nrequester = \"noc@x.example\"\n{more}"
    );
    tracker(kind, &section)
}

const KINDS: [(&str, bool); 2] = [("freshdesk", false), ("freshservice", true)];

#[tokio::test(flavor = "multi_thread")]
async fn they_hold_what_every_tracker_holds() {
    for (kind, service) in KINDS {
        // The index never shows anything in time.
        let (server, address) = start(service, Duration::from_secs(600)).await;
        let agents = Agents(server, Server::act);
        tracker_contract::holds(fresh(kind, address, "").as_ref(), &agents).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_bridge_wrote_is_nobodys_and_a_new_owner_is_told() {
    let (server, address) = start(false, Duration::ZERO).await;
    let tracker = fresh("freshdesk", address, "");
    let remote = done(tracker.open(&draft(&fresh_key(), "x")).await);
    let (_, cursor) = done(tracker.changes("", &|_| true).await);
    done(move_to(tracker.as_ref(), &remote, TicketStatus::Resolved).await);
    let (told, cursor) = done(tracker.changes(&cursor, &|_| true).await);
    assert_eq!(told, Vec::new(), "the bridge is nobody");
    // Known by the cursor now: another process does not tell it either.
    let other = fresh("freshdesk", address, "");
    let (told, cursor) = done(other.changes(&cursor, &|_| true).await);
    assert_eq!(told, Vec::new());
    server.lock().unwrap().act(0, Act::Take);
    let (told, _) = done(tracker.changes(&cursor, &|_| true).await);
    assert_eq!(told.len(), 1, "{told:?}");
    let owner = alertbridge::model::ticket::PersonDid::Owner("6".to_owned());
    assert_eq!(told[0].what, owner);
}

#[tokio::test]
async fn a_limit_is_kept_and_a_wrong_field_is_named() {
    let (server, address) = start(false, Duration::ZERO).await;
    let tracker = fresh("freshdesk", address, "[priority]\nS3 = \"urgent\"");
    let called = tracker.open(&draft(&fresh_key(), "x")).await;
    assert!(
        matches!(&called, Called::Refused { field: Some(field), .. } if field == "priority"),
        "{called:?}"
    );
    server.lock().unwrap().limited = true;
    let called = tracker.open(&draft(&fresh_key(), "x")).await;
    let Called::Later { after, .. } = called else {
        panic!("{called:?}");
    };
    assert_eq!(after, Some(Duration::from_secs(17)));
}

#[tokio::test]
async fn text_becomes_neither_html_nor_a_placeholder() {
    let (server, address) = start(false, Duration::ZERO).await;
    let text = "<script>alert(1)</script> {{ticket.requester.email}}";
    hostile(fresh("freshdesk", address, "").as_ref(), text).await;
    let server = server.lock().unwrap();
    let description = server.tickets[0].0["description"].as_str().unwrap();
    let note = server.entries[0]["body"].as_str().unwrap();
    for html in [description, note] {
        assert!(!html.contains("<script") && !html.contains("{{"), "{html}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_incident_ends_with_one_ticket_whatever_the_network_and_the_index_do() {
    let (_server, address) = start(true, Duration::from_secs(600)).await;
    storm(address, "POST /api/v2/tickets HTTP", |at, more| {
        fresh("freshservice", at, more)
    })
    .await;
}

#[tokio::test]
async fn a_file_follows_its_ticket_in_a_private_note() {
    for (kind, service) in KINDS {
        let (server, address) = start(service, Duration::ZERO).await;
        done(fresh(kind, address, "").open(&with_file()).await);
        let server = server.lock().unwrap();
        let (ticket, form) = &server.files[0];
        assert_eq!(*ticket, 0);
        for part in [
            "name=\"private\"\r\n\r\ntrue",
            "name=\"attachments[]\"; filename=\"ab-1.txt\"",
            "the whole text",
        ] {
            assert!(form.contains(part), "{form}");
        }
    }
}
