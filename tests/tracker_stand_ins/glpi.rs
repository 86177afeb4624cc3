//! GLPI: sessions that end, `contains` that is a substring, `false` inside of a 200, content with
//! its tags spelt out, duplicates that are solved with what is solved.

use super::*;
use alertbridge::trackers::Called;
use serde_json::{Value, json};
use stand_in::{Asked, Said, said, serve};

struct Server {
    has_option: bool,
    refuses_status: bool,
    sessions: usize,
    /// Sessions up to this one have ended.
    ended: usize,
    tickets: Vec<Value>,
    followups: Vec<Value>,
    log: Vec<Value>,
    links: Vec<Value>,
    /// Uploads, as forms.
    documents: Vec<String>,
}

/// The server's clock is Berlin's.
fn local() -> String {
    let zone = jiff::tz::TimeZone::get("Europe/Berlin").unwrap();
    let now = jiff::Timestamp::now().to_zoned_datetime(zone);
    now.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn wrong(status: u16, code: &str) -> Said {
    said(status, json!([code, "an explanation"]))
}

impl Server {
    fn log(&mut self, n: usize, by: &str, option: u64, value: &str) {
        self.log.push(json!({
            "id": self.log.len() + 1, "items_id": n + 1, "user_name": by, "date_mod": local(),
            "id_search_option": option, "new_value": value, "itemtype_link": "", "linked_action": 0,
        }));
        self.tickets[n]["date_mod"] = json!(local());
    }

    fn status(&mut self, n: usize, by: &str, status: u64) {
        self.tickets[n]["status"] = json!(status);
        self.log(n, by, 12, &status.to_string());
        if status == 5 {
            let twins: Vec<usize> = self
                .links
                .iter()
                .filter(|link| {
                    link["link"] == 3 && link["tickets_id_1"] == json!((n + 1).to_string())
                })
                .map(|link| {
                    link["tickets_id_2"]
                        .as_str()
                        .unwrap()
                        .parse::<usize>()
                        .unwrap()
                        - 1
                })
                .collect();
            for twin in twins {
                self.tickets[twin]["status"] = json!(5);
            }
        }
    }

    fn followup(&mut self, n: usize, by: u64, content: &str, private: bool) -> usize {
        // Older versions keep tags spelt out.
        let content = content.replace('<', "&lt;").replace('>', "&gt;");
        self.followups.push(json!({
            "id": self.followups.len() + 1, "items_id": n + 1, "users_id": by, "content": content,
            "is_private": u8::from(private), "date_creation": local(),
        }));
        self.tickets[n]["date_mod"] = json!(local());
        self.followups.len()
    }

    fn search(&self, asked: &Asked) -> Said {
        let value = asked.query("criteria[0][value]");
        let matches = |ticket: &&Value| {
            let text = |name: &str| ticket[name].as_str().unwrap_or("").to_owned();
            let contains = |text: String| match value.strip_prefix('^') {
                Some(exact) => text == exact.trim_end_matches('$'),
                None => text.contains(value),
            };
            match asked.query("criteria[0][field]") {
                "1" => contains(text("name")),
                "19" => text("date_mod").as_str() > value,
                "77" if self.has_option => contains(text("externalid")),
                _ => true,
            }
        };
        let found: Vec<Value> = self
            .tickets
            .iter()
            .filter(matches)
            .map(|ticket| json!({ "2": ticket["id"], "1": ticket["name"] }))
            .collect();
        if found.is_empty() {
            return said(200, json!({ "totalcount": 0, "count": 0 }));
        }
        let status = if found.len() > 1000 { 206 } else { 200 };
        said(
            status,
            json!({ "totalcount": found.len(), "count": found.len(), "data": found }),
        )
    }

    fn create(&mut self, input: &Value) -> Said {
        if input["name"].as_str().unwrap().chars().count() > 255 {
            return wrong(400, "ERROR_GLPI_ADD");
        }
        let n = self.tickets.len();
        let mut ticket = input.clone();
        if !self.has_option {
            ticket.as_object_mut().unwrap().remove("externalid");
        }
        ticket["id"] = json!(n + 1);
        ticket["status"] = json!(1);
        ticket["date"] = json!(local());
        ticket["date_mod"] = json!(local());
        self.tickets.push(ticket);
        said(201, json!({ "id": n + 1, "message": "" }))
    }

    fn update(&mut self, n: usize, input: &Value) -> Said {
        let id = (n + 1).to_string();
        if self.refuses_status && !input["status"].is_null() {
            return said(200, json!([{ id: false, "message": "You may not" }]));
        }
        for (name, value) in input.as_object().unwrap() {
            if name == "status" {
                self.status(n, "bridge (5)", value.as_u64().unwrap());
            } else {
                self.tickets[n][name] = value.clone();
            }
        }
        said(200, json!([{ id: true, "message": "" }]))
    }

    fn answer(&mut self, asked: &Asked) -> Said {
        let parts = asked.parts();
        if parts.last() == Some(&"initSession") {
            return if asked.header("authorization") == "user_token secret" {
                self.sessions += 1;
                said(
                    200,
                    json!({ "session_token": format!("s{}", self.sessions) }),
                )
            } else {
                wrong(401, "ERROR_GLPI_LOGIN")
            };
        }
        let session = asked.header("session-token").trim_start_matches('s');
        let session = session.parse::<usize>().unwrap_or(0);
        if session <= self.ended || session > self.sessions {
            return wrong(401, "ERROR_SESSION_TOKEN_INVALID");
        }
        if asked.method == "GET" && !asked.text.is_empty() {
            return wrong(400, "ERROR_JSON_PAYLOAD_FORBIDDEN");
        }
        let input = &asked.body["input"];
        let place = |value: &Value| value.as_str().unwrap().parse::<usize>().unwrap() - 1;
        match (asked.method.as_str(), parts.as_slice()) {
            ("GET", ["apirest.php", "getFullSession"]) => said(
                200,
                json!({ "session": { "glpiID": 5, "glpiname": "bridge" } }),
            ),
            ("GET", ["apirest.php", "listSearchOptions", "Ticket"]) => {
                let mut options = json!({ "1": { "table": "glpi_tickets", "field": "name" } });
                if self.has_option {
                    options["77"] = json!({ "table": "glpi_tickets", "field": "externalid" });
                }
                said(200, options)
            }
            ("GET", ["apirest.php", "search", "Ticket"]) => self.search(asked),
            ("POST", ["apirest.php", "Ticket"]) => self.create(input),
            ("POST", ["apirest.php", "ITILFollowup"]) => {
                let private = input["is_private"] == 1;
                let content = input["content"].as_str().unwrap();
                let id = self.followup(place(&input["items_id"]), 5, content, private);
                said(201, json!({ "id": id, "message": "" }))
            }
            ("POST", ["apirest.php", "ITILSolution"]) => {
                let n = place(&input["items_id"]);
                if self.tickets[n]["status"] == 5 {
                    return said(
                        207,
                        json!({ "id": false, "message": "It is solved already" }),
                    );
                }
                self.status(n, "bridge (5)", 5);
                said(201, json!({ "id": 1, "message": "" }))
            }
            ("POST", ["apirest.php", "Document"]) => {
                self.documents.push(asked.text.clone());
                said(201, json!({ "id": self.documents.len(), "message": "" }))
            }
            ("POST", ["apirest.php", "Ticket_Ticket"]) => {
                self.links.push(input.clone());
                said(201, json!({ "id": self.links.len(), "message": "" }))
            }
            (method, ["apirest.php", "Ticket", id, rest @ ..]) => {
                let n = id.parse::<usize>().unwrap() - 1;
                if n >= self.tickets.len() {
                    return wrong(404, "ERROR_ITEM_NOT_FOUND");
                }
                let of = |items: &[Value]| -> Value {
                    items
                        .iter()
                        .filter(|i| i["items_id"] == json!(n + 1))
                        .cloned()
                        .collect()
                };
                match (method, rest) {
                    ("GET", []) => said(200, self.tickets[n].clone()),
                    ("PUT", []) => self.update(n, input),
                    ("GET", ["ITILFollowup"]) => said(200, of(&self.followups)),
                    ("GET", ["Log"]) => said(200, of(&self.log)),
                    ("GET", ["Ticket_User"]) => said(200, json!([{ "type": 1, "users_id": 9 }])),
                    _ => wrong(400, "ERROR_RESOURCE_NOT_FOUND_NOR_COMMONDBTM"),
                }
            }
            _ => wrong(400, "ERROR_RESOURCE_NOT_FOUND_NOR_COMMONDBTM"),
        }
    }

    fn act(&mut self, n: usize, act: Act) -> bool {
        match act {
            Act::Answer(text) => drop(self.followup(n, 6, &format!("<p>{text}</p>"), false)),
            Act::Note(text) => drop(self.followup(n, 6, &format!("<p>{text}</p>"), true)),
            Act::Customer(text) => drop(self.followup(n, 9, &format!("<p>{text}</p>"), false)),
            Act::Take => self.log(n, "agent (6)", 5, "agent (6)"),
            Act::Wait => self.status(n, "agent (6)", 4),
            Act::Resolve => self.status(n, "agent (6)", 5),
            Act::Reopen => self.status(n, "agent (6)", 2),
        }
        true
    }
}

async fn start(has_option: bool) -> (Arc<Mutex<Server>>, SocketAddr) {
    let server = Arc::new(Mutex::new(Server {
        has_option,
        refuses_status: false,
        sessions: 0,
        ended: 0,
        tickets: Vec::new(),
        followups: Vec::new(),
        log: Vec::new(),
        links: Vec::new(),
        documents: Vec::new(),
    }));
    let address = serve(server.clone(), Server::answer).await;
    (server, address)
}

fn glpi(address: SocketAddr, more: &str) -> Arc<dyn Tracker> {
    let section = format!(
        "url = \"http://{address}/apirest.php\"\ntoken = \"secret\"\ntime_zone = \"Europe/Berlin\"\n{more}"
    );
    tracker("glpi", &section)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_holds_what_every_tracker_holds() {
    for has_option in [true, false] {
        let (server, address) = start(has_option).await;
        let agents = Agents(server, Server::act);
        tracker_contract::holds(glpi(address, "").as_ref(), &agents).await;
    }
}

#[tokio::test]
async fn a_session_that_ended_is_begun_anew() {
    let (server, address) = start(true).await;
    let tracker = glpi(address, "");
    done(tracker.open(&draft(&fresh_key(), "x")).await);
    {
        let mut server = server.lock().unwrap();
        server.ended = server.sessions;
    }
    done(tracker.open(&draft(&fresh_key(), "y")).await);
    assert_eq!(server.lock().unwrap().tickets.len(), 2);
}

#[tokio::test]
async fn what_is_answered_with_false_was_not_done() {
    let (server, address) = start(true).await;
    let tracker = glpi(address, "");
    let remote = done(tracker.open(&draft(&fresh_key(), "x")).await);
    server.lock().unwrap().refuses_status = true;
    let called = move_to(tracker.as_ref(), &remote, TicketStatus::WaitingCustomer).await;
    assert!(matches!(called, Called::Refused { .. }), "{called:?}");
}

#[tokio::test]
async fn a_twin_is_linked_so_that_the_other_stays_open() {
    let (server, address) = start(true).await;
    let tracker = glpi(address, "");
    let first = done(tracker.open(&draft(&fresh_key(), "x")).await);
    let second = done(tracker.open(&draft(&fresh_key(), "x")).await);
    let change = Change::CloseAsDuplicateOf(first.clone());
    done(tracker.change(&second, &change).await);
    assert!(!done(tracker.read(&first).await).fields.status.is_over());
    assert_eq!(server.lock().unwrap().links[0]["link"], 1);
}

#[tokio::test]
async fn text_becomes_neither_html_nor_a_tag_of_a_notice() {
    let (server, address) = start(true).await;
    hostile(glpi(address, "").as_ref(), "<b onclick=x> ##ticket.url##").await;
    let server = server.lock().unwrap();
    let content = server.tickets[0]["content"].as_str().unwrap();
    assert!(
        !content.contains("<b ") && !content.contains("##"),
        "{content}"
    );
    assert!(!server.tickets[0]["name"].as_str().unwrap().contains("##"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_incident_ends_with_one_ticket_whatever_the_network_does() {
    let (_server, address) = start(true).await;
    storm(address, "POST /apirest.php/Ticket HTTP", glpi).await;
}

#[tokio::test]
async fn a_file_is_a_document_of_its_ticket() {
    let (server, address) = start(true).await;
    done(glpi(address, "").open(&with_file()).await);
    let server = server.lock().unwrap();
    let form = &server.documents[0];
    for part in [
        "name=\"uploadManifest\"",
        "\"_filename\":[\"ab-1.txt\"]",
        "\"itemtype\":\"Ticket\"",
        "\"items_id\":\"1\"",
        "filename=\"ab-1.txt\"",
        "the whole text",
    ] {
        assert!(form.contains(part), "{form}");
    }
}
