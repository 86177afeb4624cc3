//! iTop: HTTP 200 whatever happened, stimuli by state, OQL, logs that count from the newest.

use super::*;
use alertbridge::trackers::{Called, Reopens};
use serde_json::{Value, json};
use stand_in::{Asked, Said, empty, said, serve};

struct Server {
    has_attribute: bool,
    tickets: Vec<Value>,
    changes: Vec<Value>,
    files: Vec<Value>,
}

fn stamp() -> String {
    let now = jiff::Timestamp::now();
    now.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn wrong(code: u64, text: &str) -> Said {
    said(
        200,
        json!({ "code": code, "message": text, "objects": null }),
    )
}

/// The states that a stimulus leads from and to.
fn moved(stimulus: &str, from: &str) -> Option<&'static str> {
    match (stimulus, from) {
        ("ev_assign", "new" | "pending") => Some("assigned"),
        ("ev_pending", "assigned" | "new") => Some("pending"),
        ("ev_resolve", "assigned") => Some("resolved"),
        ("ev_autoresolve", "new" | "pending") => Some("resolved"),
        ("ev_reopen", "resolved") => Some("assigned"),
        ("ev_close", "resolved") => Some("closed"),
        _ => None,
    }
}

/// The value after `=` or `LIKE` or `>=` of a query, without quotes.
fn value(oql: &str) -> String {
    let last = oql.rsplit(['=', 'E']).next().unwrap();
    last.trim().trim_matches('\'').to_owned()
}

impl Server {
    fn entry(&mut self, n: usize, log: &str, by: &str, text: &str) {
        let entry = json!({ "date": stamp(), "user_login": by, "user_id": "7", "message": text });
        let entries = self.tickets[n][log]["entries"].as_array_mut().unwrap();
        entries.insert(0, entry);
        self.tickets[n]["last_update"] = json!(stamp());
    }

    fn set(&mut self, n: usize, by: &str, name: &str, value: &Value) {
        self.changes.push(json!({
            "objkey": (n + 1).to_string(), "date": stamp(), "userinfo": by, "attcode": name,
            "newvalue": value,
        }));
        self.tickets[n][name] = value.clone();
        self.tickets[n]["last_update"] = json!(stamp());
    }

    fn object(&self, class: &str, key: usize, fields: &Value) -> Value {
        json!({ "code": 0, "message": "", "class": class, "key": key.to_string(), "fields": fields })
    }

    fn made(&self, n: usize) -> Said {
        let object = self.object("Incident", n + 1, &self.tickets[n]);
        let name = format!("Incident::{}", n + 1);
        said(
            200,
            json!({ "code": 0, "message": "", "objects": { name: object } }),
        )
    }

    fn create(&mut self, fields: &Value) -> Said {
        if !fields["org_id"].as_str().unwrap().contains("'Example'") {
            return wrong(100, "Error: org_id: no item found");
        }
        if fields["title"].as_str().unwrap().chars().count() > 255 {
            return wrong(100, "Error: title: too long");
        }
        if !self.has_attribute && !fields["alert_key"].is_null() {
            return wrong(100, "Error: alert_key: unknown attribute");
        }
        let n = self.tickets.len();
        let mut ticket = fields.clone();
        ticket["status"] = json!("new");
        ticket["start_date"] = json!(stamp());
        ticket["last_update"] = json!(stamp());
        ticket["caller_id_friendlyname"] = json!("Carla Customer");
        ticket["public_log"] = json!({ "entries": [] });
        ticket["private_log"] = json!({ "entries": [] });
        self.tickets.push(ticket);
        self.made(n)
    }

    fn get(&self, class: &str, oql: &str) -> Said {
        let mut objects = serde_json::Map::new();
        let mut add = |key: usize, fields: &Value| {
            objects.insert(format!("{class}::{key}"), self.object(class, key, fields));
        };
        match class {
            "User" => add(
                5,
                &json!({ "login": "bridge", "friendlyname": "Alert Bridge" }),
            ),
            "Organization" if oql.contains("'Example'") => add(1, &json!({ "name": "Example" })),
            "Incident" => {
                for (n, ticket) in self.tickets.iter().enumerate() {
                    let text = |name: &str| ticket[name].as_str().unwrap_or("").to_owned();
                    let wanted = value(oql);
                    let hit = if oql.contains("id =") {
                        wanted == (n + 1).to_string()
                    } else if oql.contains("title LIKE") {
                        text("title").contains(wanted.trim_matches('%'))
                    } else if oql.contains("last_update") {
                        text("last_update") >= wanted
                    } else {
                        text("alert_key") == wanted
                    };
                    if hit {
                        add(n + 1, ticket);
                    }
                }
            }
            _ => {
                for (n, change) in self.changes.iter().enumerate() {
                    if change["objkey"] == value(oql) {
                        add(n + 1, change);
                    }
                }
            }
        }
        if objects.is_empty() {
            return said(
                200,
                json!({ "code": 0, "message": "Found: 0", "objects": null }),
            );
        }
        said(
            200,
            json!({ "code": 0, "message": "Found", "objects": objects }),
        )
    }

    fn update(&mut self, n: usize, fields: &Value) -> Said {
        if self.tickets[n]["status"] == "closed" {
            return wrong(100, "Error: the ticket is closed");
        }
        for (name, value) in fields.as_object().unwrap() {
            if name.ends_with("_log") {
                let text = value["add_item"]["message"].as_str().unwrap().to_owned();
                self.entry(n, name, "Alert Bridge", &text);
            } else {
                self.set(n, "alertbridge", name, value);
            }
        }
        self.made(n)
    }

    fn answer(&mut self, asked: &Asked) -> Said {
        if asked.path != "/webservices/rest.php" {
            return empty(404);
        }
        // bridge:secret
        if asked.header("authorization") != "Basic YnJpZGdlOnNlY3JldA==" {
            return wrong(1, "Invalid login");
        }
        let form = url::form_urlencoded::parse(asked.text.as_bytes());
        let data = form.into_owned().find(|(name, _)| name == "json_data");
        let Some((_, data)) = data else {
            return wrong(3, "Missing parameter 'json_data'");
        };
        let operation: Value = serde_json::from_str(&data).unwrap();
        if operation["comment"].as_str().is_none() {
            return wrong(5, "Missing parameter 'comment'");
        }
        let class = operation["class"].as_str().unwrap();
        let fields = &operation["fields"];
        let key = operation["key"].as_str().unwrap_or("");
        match operation["operation"].as_str().unwrap() {
            "core/get" => self.get(class, key),
            "core/create" if class == "Attachment" => {
                self.files.push(fields.clone());
                let object = self.object(class, self.files.len(), fields);
                let objects = json!({ "Attachment::1": object });
                said(200, json!({ "code": 0, "message": "", "objects": objects }))
            }
            "core/create" => self.create(fields),
            "core/update" => self.update(key.parse::<usize>().unwrap() - 1, fields),
            "core/apply_stimulus" => {
                let n = key.parse::<usize>().unwrap() - 1;
                let from = self.tickets[n]["status"].as_str().unwrap().to_owned();
                let stimulus = operation["stimulus"].as_str().unwrap();
                let Some(to) = moved(stimulus, &from) else {
                    return wrong(100, &format!("Error: {stimulus} is not allowed in {from}"));
                };
                if to == "resolved" && fields["solution"].is_null() {
                    return wrong(100, "Error: solution is mandatory");
                }
                self.set(n, "alertbridge", "status", &json!(to));
                self.made(n)
            }
            _ => wrong(8, "Unknown operation"),
        }
    }

    fn act(&mut self, n: usize, act: Act) -> bool {
        let agent = "Anna Agent";
        match act {
            Act::Answer(text) => self.entry(n, "public_log", agent, text),
            Act::Note(text) => self.entry(n, "private_log", agent, text),
            Act::Customer(text) => self.entry(n, "public_log", "Carla Customer", text),
            Act::Take => self.set(n, agent, "agent_id", &json!("6")),
            Act::Wait => self.set(n, agent, "status", &json!("pending")),
            Act::Resolve => self.set(n, agent, "status", &json!("resolved")),
            Act::Reopen => self.set(n, agent, "status", &json!("assigned")),
        }
        true
    }
}

async fn start(has_attribute: bool) -> (Arc<Mutex<Server>>, SocketAddr) {
    let server = Arc::new(Mutex::new(Server {
        has_attribute,
        tickets: Vec::new(),
        changes: Vec::new(),
        files: Vec::new(),
    }));
    let address = serve(server.clone(), Server::answer).await;
    (server, address)
}

fn itop(address: SocketAddr, more: &str) -> Arc<dyn Tracker> {
    let section = format!(
        "url = \"http://{address}\"\nuser = \"bridge\"\npassword = \"secret\"\norganization = \"Example\"\n{more}"
    );
    tracker("itop", &section)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_holds_what_every_tracker_holds() {
    for (has_attribute, more) in [(true, "key_attribute = \"alert_key\""), (false, "")] {
        let (server, address) = start(has_attribute).await;
        let agents = Agents(server, Server::act);
        tracker_contract::holds(itop(address, more).as_ref(), &agents).await;
    }
}

#[tokio::test]
async fn a_code_in_the_answer_is_what_counts() {
    let (_server, address) = start(false).await;
    let section = format!(
        "url = \"http://{address}\"\nuser = \"bridge\"\npassword = \"wrong\"\norganization = \"Example\""
    );
    let called = tracker("itop", &section).find("ab-1").await;
    assert!(
        matches!(called, Called::Later { after: Some(_), .. }),
        "{called:?}"
    );
    // An attribute that the data model does not have is named.
    let called = itop(address, "key_attribute = \"alert_key\"")
        .open(&draft("ab-1", "x"))
        .await;
    assert!(
        matches!(&called, Called::Refused { reason, .. } if reason.contains("alert_key")),
        "{called:?}"
    );
}

#[tokio::test]
async fn a_closed_ticket_says_that_it_stays_closed() {
    let (server, address) = start(false).await;
    let tracker = itop(address, "");
    assert_eq!(tracker.capabilities().reopens, Reopens::UntilClosed);
    let remote = done(tracker.open(&draft(&fresh_key(), "x")).await);
    server.lock().unwrap().tickets[0]["status"] = json!("closed");
    let called = move_to(tracker.as_ref(), &remote, TicketStatus::Open).await;
    assert!(matches!(called, Called::Refused { .. }), "{called:?}");
}

#[tokio::test]
async fn text_becomes_neither_html_nor_a_link_nor_a_query() {
    let (server, address) = start(false).await;
    let text = "<script>x</script> [[Server:web-1]] ' OR 1=1 --";
    hostile(itop(address, "").as_ref(), text).await;
    assert_eq!(
        done(itop(address, "").find("x' OR 'a'='a").await),
        Vec::new()
    );
    let server = server.lock().unwrap();
    let ticket = &server.tickets[0];
    assert!(
        !ticket["description"].as_str().unwrap().contains("<script"),
        "{ticket}"
    );
    assert!(!ticket.to_string().contains("[[Server"), "{ticket}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_incident_ends_with_one_ticket_whatever_the_network_does() {
    let (_server, address) = start(false).await;
    // Creates and questions are one path: nothing is doubled here.
    storm(address, "POST /nothing HTTP", itop).await;
}

#[tokio::test]
async fn a_promise_in_the_declared_attribute_is_told() {
    let (server, address) = start(false).await;
    let tracker = itop(address, "promise_field = \"next_update\"");
    let ticket = done(tracker.open(&draft(&fresh_key(), "x")).await);
    let cursor = tracker_contract::cursor_now(tracker.as_ref()).await;
    let set = |name: &str, value: &str| {
        let mut server = server.lock().unwrap();
        server.set(0, "agent", name, &json!(value));
    };
    set("other", "2026-06-02 17:00:00");
    set("next_update", "2026-06-02 18:00:00");
    let told = tracker_contract::promises(tracker.as_ref(), &cursor, &ticket, 1).await;
    assert_eq!(told, ["2026-06-02 18:00:00"]);
}

#[tokio::test]
async fn a_file_hangs_on_its_ticket() {
    let (server, address) = start(false).await;
    done(itop(address, "").open(&with_file()).await);
    let server = server.lock().unwrap();
    let file = &server.files[0];
    assert_eq!(
        (&file["item_class"], &file["item_id"]),
        (&json!("Incident"), &json!("1"))
    );
    assert_eq!(file["contents"]["filename"], "ab-1.txt");
    assert_eq!(file["contents"]["data"], "dGhlIHdob2xlIHRleHQ=");
}
