//! FreeScout: no priority, subjects that are searched for a part, pages, threads of every kind.

use super::*;
use alertbridge::trackers::Called;
use serde_json::{Value, json};
use stand_in::{Asked, Said, empty, said, serve, stamp};

#[derive(Default)]
struct Server {
    conversations: Vec<Value>,
    frozen: bool,
}

const BRIDGE: u64 = 7;

fn wrong(path: &str, text: &str) -> Said {
    let errors = json!([{ "path": path, "message": text, "source": "JSON" }]);
    let body = json!({ "message": "Bad request", "errorCode": "BAD REQUEST", "_embedded": { "errors": errors } });
    said(400, body)
}

impl Server {
    fn thread(&mut self, n: usize, by: (&str, u64), mut thread: Value) {
        let threads = self.conversations[n]["_embedded"]["threads"]
            .as_array_mut()
            .unwrap();
        thread["id"] = json!(n * 1000 + threads.len() + 1);
        thread["createdAt"] = json!(stamp());
        let email = format!("{}{}@x.example", by.0, by.1);
        thread["createdBy"] = json!({ "id": by.1, "type": by.0, "email": email });
        // The newest first.
        threads.insert(0, thread);
        self.conversations[n]["updatedAt"] = json!(stamp());
    }

    fn status(&mut self, n: usize, by: u64, status: &Value) {
        self.conversations[n]["status"] = status.clone();
        let action = json!({ "type": "changed-ticket-status" });
        let line = json!({ "type": "lineitem", "status": status, "action": action, "body": "" });
        self.thread(n, ("user", by), line);
    }

    fn create(&mut self, body: &Value) -> Said {
        if body["mailboxId"] != 1 {
            return wrong("mailboxId", "Mailbox not found");
        }
        let n = self.conversations.len();
        self.conversations.push(json!({
            "id": n + 1, "number": n + 100, "subject": body["subject"], "status": body["status"],
            "state": "published", "mailboxId": 1, "imported": body["imported"],
            "createdAt": stamp(), "updatedAt": stamp(), "_embedded": { "threads": [] },
        }));
        let mut first = body["threads"][0].clone();
        first["body"] = first["text"].clone();
        self.thread(n, ("customer", 9), first);
        let mut made = empty(201);
        made.headers.push(("resource-id", (n + 1).to_string()));
        made
    }

    fn list(&self, asked: &Asked) -> Said {
        let found: Vec<&Value> = self
            .conversations
            .iter()
            .filter(|item| {
                let subject = item["subject"].as_str().unwrap();
                let since = asked.query("updatedSince");
                subject.contains(asked.query("subject"))
                    && item["updatedAt"].as_str().unwrap() >= since
            })
            .collect();
        // Ten a page at most.
        let page = asked.query("page").parse::<usize>().unwrap();
        let shown: Vec<_> = found.iter().skip((page - 1) * 10).take(10).collect();
        let pages = found.len().div_ceil(10);
        let numbers = json!({ "size": 10, "totalElements": found.len(), "totalPages": pages, "number": page });
        said(
            200,
            json!({ "_embedded": { "conversations": shown }, "page": numbers }),
        )
    }

    fn answer(&mut self, asked: &Asked) -> Said {
        if asked.header("x-freescout-api-key") != "secret" {
            return said(401, json!({ "message": "Not authorized" }));
        }
        let parts = asked.parts();
        match (asked.method.as_str(), parts.as_slice()) {
            ("GET", ["api", "users", "7"]) => {
                said(200, json!({ "id": BRIDGE, "email": "bridge@x.example" }))
            }
            ("GET", ["api", "mailboxes"]) => {
                let list = json!([{ "id": 1, "name": "NOC" }]);
                said(200, json!({ "_embedded": { "mailboxes": list } }))
            }
            ("GET", ["api", "conversations"]) => self.list(asked),
            ("POST", ["api", "conversations"]) => self.create(&asked.body),
            (method, ["api", "conversations", id, rest @ ..]) => {
                let n = id.parse::<usize>().unwrap() - 1;
                if n >= self.conversations.len() {
                    return said(404, json!({ "message": "Not Found" }));
                }
                match (method, rest) {
                    ("GET", []) => said(200, self.conversations[n].clone()),
                    ("PUT", []) => {
                        if asked.body["byUser"] != BRIDGE {
                            return wrong("byUser", "User not found");
                        }
                        if !asked.body["subject"].is_null() {
                            self.conversations[n]["subject"] = asked.body["subject"].clone();
                        }
                        if !asked.body["status"].is_null() && !self.frozen {
                            self.status(n, BRIDGE, &asked.body["status"]);
                        }
                        empty(204)
                    }
                    ("POST", ["threads"]) => {
                        let mut thread = asked.body.clone();
                        thread["body"] = thread["text"].clone();
                        if thread["type"] == "message" {
                            // A message moves the status unless it names one.
                            let status = match &thread["status"] {
                                Value::Null => json!("pending"),
                                named => named.clone(),
                            };
                            self.conversations[n]["status"] = status;
                        }
                        self.thread(n, ("user", BRIDGE), thread);
                        empty(201)
                    }
                    _ => empty(405),
                }
            }
            _ => empty(405),
        }
    }

    fn act(&mut self, n: usize, act: Act) -> bool {
        let words =
            |kind: &str, text: &str| json!({ "type": kind, "body": format!("<p>{text}</p>") });
        let agent = ("user", 6);
        match act {
            Act::Answer(text) => self.thread(n, agent, words("message", text)),
            Act::Note(text) => self.thread(n, agent, words("note", text)),
            Act::Customer(text) => self.thread(n, ("customer", 9), words("customer", text)),
            Act::Take => {
                let action = json!({ "type": "changed-ticket-assignee" });
                let to = json!({ "id": 6, "email": "agent@x.example" });
                let line =
                    json!({ "type": "lineitem", "action": action, "assignedTo": to, "body": "" });
                self.thread(n, agent, line);
            }
            Act::Wait => self.status(n, 6, &json!("pending")),
            Act::Resolve => self.status(n, 6, &json!("closed")),
            Act::Reopen => self.status(n, 6, &json!("active")),
        }
        true
    }
}

async fn start() -> (Arc<Mutex<Server>>, SocketAddr) {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), Server::answer).await;
    (server, address)
}

fn freescout(address: SocketAddr, more: &str) -> Arc<dyn Tracker> {
    let section = format!(
        "url = \"http://{address}\"\ntoken = \"secret\"\nmailbox = 1\nuser = 7\ncustomer = \"noc@x.example\"\n{more}"
    );
    tracker("freescout", &section)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_holds_what_every_tracker_holds() {
    let (server, address) = start().await;
    let agents = Agents(server, Server::act);
    let tracker = freescout(address, "");
    tracker_contract::holds(tracker.as_ref(), &agents).await;
    let read = done(
        tracker
            .read(&RemoteRef {
                key: "1".to_owned(),
                url: String::new(),
            })
            .await,
    );
    assert_eq!(read.fields.severity, None, "there is no place for it");
}

#[tokio::test]
async fn nothing_of_it_is_mailed_and_a_wrong_mailbox_is_said() {
    let (server, address) = start().await;
    let tracker = freescout(address, "");
    let remote = done(tracker.open(&draft(&fresh_key(), "x")).await);
    assert_eq!(server.lock().unwrap().conversations[0]["imported"], true);
    let mut other = draft(&fresh_key(), "x");
    other.fields.queue = "99".to_owned();
    let called = tracker.open(&other).await;
    assert!(matches!(called, Called::Refused { .. }), "{called:?}");
    server.lock().unwrap().frozen = true;
    let called = move_to(tracker.as_ref(), &remote, TicketStatus::Resolved).await;
    assert!(
        matches!(&called, Called::Refused { field: Some(field), .. } if field == "status"),
        "{called:?}"
    );
}

#[tokio::test]
async fn text_becomes_neither_html_nor_a_variable() {
    let (server, address) = start().await;
    hostile(
        freescout(address, "").as_ref(),
        "<script>x</script> {%user.fullName%}",
    )
    .await;
    let server = server.lock().unwrap();
    for thread in server.conversations[0]["_embedded"]["threads"]
        .as_array()
        .unwrap()
    {
        let body = thread["body"].as_str().unwrap();
        assert!(!body.contains("<script") && !body.contains("{%"), "{body}");
        if thread["type"] != "customer" {
            assert_eq!(thread["imported"], true, "no mail goes out");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_incident_ends_with_one_ticket_whatever_the_network_does() {
    let (_server, address) = start().await;
    storm(address, "POST /api/conversations HTTP", freescout).await;
}

#[tokio::test]
async fn a_file_travels_with_the_first_thread() {
    let (server, address) = start().await;
    done(freescout(address, "").open(&with_file()).await);
    let server = server.lock().unwrap();
    let file = &server.conversations[0]["_embedded"]["threads"][0]["attachments"][0];
    assert_eq!(file["fileName"], "ab-1.txt");
    assert_eq!(file["mimeType"], "text/plain");
    assert_eq!(file["data"], "dGhlIHdob2xlIHRleHQ=");
}
