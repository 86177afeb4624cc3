//! Znuny: errors with HTTP 200, one hit that is no list, dynamic fields that are not there.

use super::*;
use alertbridge::trackers::{Attachment, Called};
use serde_json::{Value, json};
use stand_in::{Asked, Said, empty, said, serve};

struct Server {
    has_field: bool,
    frozen: bool,
    tickets: Vec<Value>,
    history: Vec<Value>,
    files: usize,
}

fn stamp() -> String {
    let now = jiff::Timestamp::now();
    now.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

fn wrong(code: &str, text: &str) -> Said {
    said(
        200,
        json!({ "Error": { "ErrorCode": code, "ErrorMessage": text } }),
    )
}

impl Server {
    fn article(&mut self, n: usize, by: u64, article: &Value) {
        let mut article = article.clone();
        let articles = self.tickets[n]["Article"].as_array_mut().unwrap();
        article["ArticleID"] = json!((n * 1000 + articles.len()).to_string());
        article["CreateBy"] = json!(by.to_string());
        article["CreateTime"] = json!(stamp());
        article["From"] = json!(format!("user{by}"));
        articles.push(article);
        self.tickets[n]["Changed"] = json!(stamp());
    }

    fn told(&mut self, n: usize, by: u64, kind: &str, name: &str) {
        self.history.push(json!({
            "HistoryID": self.history.len().to_string(), "TicketID": (n + 1).to_string(),
            "HistoryType": kind, "Name": name, "CreateBy": by.to_string(), "CreateTime": stamp(),
        }));
        self.tickets[n]["Changed"] = json!(stamp());
    }

    fn set(&mut self, n: usize, by: u64, name: &str, value: &Value) {
        let old = self.tickets[n][name].as_str().unwrap_or("").to_owned();
        let new = value.as_str().unwrap();
        self.tickets[n][name] = value.clone();
        if name == "State" {
            let kind = if new.starts_with("closed") {
                "closed"
            } else {
                new
            };
            self.tickets[n]["StateType"] = json!(kind);
            self.told(n, by, "StateUpdate", &format!("%%{old}%%{new}%%"));
        } else {
            self.told(n, by, "Misc", "%%x");
        }
    }

    fn create(&mut self, body: &Value) -> Said {
        let ticket = &body["Ticket"];
        if ticket["Queue"] != "Monitoring" {
            return wrong("TicketCreate.InvalidParameter", "Queue is invalid!");
        }
        let fields = body["DynamicField"].as_array().unwrap();
        if !self.has_field && !fields.is_empty() {
            let text = "DynamicField->Name parameter is invalid!";
            return wrong("TicketCreate.InvalidParameter", text);
        }
        if ticket["Title"].as_str().unwrap().chars().count() > 255 {
            return wrong("TicketCreate.InvalidParameter", "Title is invalid!");
        }
        self.files += body["Attachment"].as_array().map_or(0, Vec::len);
        let n = self.tickets.len();
        self.tickets.push(json!({
            "TicketID": (n + 1).to_string(), "Title": ticket["Title"], "State": "new",
            "StateType": "new", "Priority": ticket["Priority"], "Queue": ticket["Queue"],
            "Created": stamp(), "Changed": stamp(), "DynamicField": fields, "Article": [],
        }));
        self.article(n, 5, &body["Article"]);
        let id = (n + 1).to_string();
        said(
            200,
            json!({ "TicketID": id, "TicketNumber": "2026", "ArticleID": "1" }),
        )
    }

    fn search(&self, body: &Value) -> Said {
        let by_field = body["DynamicField_AlertKey"]["Equals"].as_str();
        let title = body["Title"]
            .as_str()
            .map(|t| t.trim_start_matches('*').to_owned());
        let since = body["TicketLastChangeTimeNewerDate"].as_str();
        let found = self.tickets.iter().filter(|ticket| {
            let text = |name: &str| ticket[name].as_str().unwrap().to_owned();
            let fields = ticket["DynamicField"].as_array().unwrap();
            // A field that is not there is dropped from the question.
            by_field.is_none_or(|key| !self.has_field || fields.iter().any(|f| f["Value"] == key))
                && title
                    .as_ref()
                    .is_none_or(|end| text("Title").ends_with(end.as_str()))
                && since.is_none_or(|since| text("Changed").as_str() >= since)
                && body["TicketNumber"].is_null()
        });
        let limit = usize::try_from(body["Limit"].as_u64().unwrap()).unwrap();
        let ids: Vec<Value> = found.take(limit).map(|t| t["TicketID"].clone()).collect();
        match ids.as_slice() {
            [] => said(200, json!({})),
            [one] => said(200, json!({ "TicketID": one })),
            _ => said(200, json!({ "TicketID": ids })),
        }
    }

    fn update(&mut self, n: usize, body: &Value) -> Said {
        for (name, value) in body["Ticket"].as_object().into_iter().flatten() {
            if name == "State" && value.as_str().unwrap().starts_with("pending") {
                let until = &body["Ticket"]["PendingTime"]["Diff"];
                if until.is_null() {
                    let text = "PendingTime is missing!";
                    return wrong("TicketUpdate.MissingParameter", text);
                }
            }
            if name != "PendingTime" && !(self.frozen && name == "State") {
                self.set(n, 5, name, value);
            }
        }
        if body["Article"].is_object() {
            self.article(n, 5, &body["Article"]);
        }
        said(
            200,
            json!({ "TicketID": body["TicketID"], "TicketNumber": "2026" }),
        )
    }

    fn answer(&mut self, asked: &Asked) -> Said {
        let (body, call) = (&asked.body, asked.path.rsplit('/').next().unwrap());
        assert!(
            asked.query.is_empty(),
            "nothing secret stands in an address"
        );
        if asked.method != "POST" {
            return empty(404);
        }
        if body["Password"] != "secret" {
            return wrong(
                &format!("{call}.AuthFail"),
                "User could not be authenticated!",
            );
        }
        let id = body["TicketID"]
            .as_str()
            .unwrap_or("0")
            .parse::<usize>()
            .unwrap();
        let there = (1..=self.tickets.len()).contains(&id);
        match call {
            "SessionCreate" => said(200, json!({ "SessionID": "s1" })),
            "SessionGet" => {
                let data = json!([{ "Key": "UserLogin", "Value": "bridge" }, { "Key": "UserID", "Value": "5" }]);
                said(200, json!({ "SessionData": data }))
            }
            "TicketCreate" => self.create(body),
            "TicketSearch" => self.search(body),
            _ if !there => wrong(
                &format!("{call}.AccessDenied"),
                "User does not have access!",
            ),
            "TicketGet" => said(200, json!({ "Ticket": [self.tickets[id - 1]] })),
            "TicketUpdate" => self.update(id - 1, body),
            "TicketHistoryGet" => {
                let own = self
                    .history
                    .iter()
                    .filter(|row| row["TicketID"] == body["TicketID"]);
                let own: Vec<_> = own.collect();
                said(
                    200,
                    json!({ "TicketHistory": [{ "TicketID": id, "History": own }] }),
                )
            }
            _ => empty(500),
        }
    }

    fn act(&mut self, n: usize, act: Act) -> bool {
        let article = |text: &str, sender: &str, visible: u8| json!({ "Subject": "Re", "Body": text, "SenderType": sender, "IsVisibleForCustomer": visible.to_string() });
        match act {
            Act::Answer(text) => self.article(n, 6, &article(text, "agent", 1)),
            Act::Note(text) => self.article(n, 6, &article(text, "agent", 0)),
            Act::Customer(text) => self.article(n, 9, &article(text, "customer", 1)),
            Act::Take => self.told(n, 6, "OwnerUpdate", "%%agent%%6"),
            Act::Wait => self.set(n, 6, "State", &json!("pending reminder")),
            Act::Resolve => self.set(n, 6, "State", &json!("closed successful")),
            Act::Reopen => self.set(n, 6, "State", &json!("open")),
        }
        true
    }
}

async fn start(has_field: bool) -> (Arc<Mutex<Server>>, SocketAddr) {
    let server = Arc::new(Mutex::new(Server {
        has_field,
        frozen: false,
        tickets: Vec::new(),
        history: Vec::new(),
        files: 0,
    }));
    let address = serve(server.clone(), Server::answer).await;
    (server, address)
}

fn znuny(address: SocketAddr, more: &str) -> Arc<dyn Tracker> {
    let section = format!(
        "url = \"http://{address}/nph-genericinterface.pl/Webservice/bridge\"\nuser = \"bridge\"\n\
         password = \"secret\"\nqueue = \"Monitoring\"\ncustomer = \"noc\"\n{more}"
    );
    tracker("znuny", &section)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_holds_what_every_tracker_holds() {
    for has_field in [true, false] {
        let (server, address) = start(has_field).await;
        let agents = Agents(server, Server::act);
        let tracker = znuny(address, "");
        if has_field {
            tracker_contract::holds(tracker.as_ref(), &agents).await;
        } else {
            tracker_contract::a_ticket_is_found_by_its_key_and_only_by_it(tracker.as_ref()).await;
            tracker_contract::twins_are_closed(tracker.as_ref()).await;
        }
    }
}

#[tokio::test]
async fn the_check_says_that_the_field_is_not_there() {
    let (_server, address) = start(false).await;
    let tracker = znuny(address, "");
    for _ in 0..3 {
        done(tracker.open(&draft(&fresh_key(), "x")).await);
    }
    let said = tracker.check(tracker_contract::now()).await;
    assert!(
        said.iter()
            .any(|line| line.as_ref().is_err_and(|e| e.contains("AlertKey"))),
        "{said:?}"
    );
}

#[tokio::test]
async fn a_merge_is_told_by_its_target() {
    let (server, address) = start(true).await;
    let tracker = znuny(address, "");
    let ticket = done(tracker.open(&draft(&fresh_key(), "x")).await);
    let known = |key: &str| key == ticket.key;
    let (_, cursor) = done(tracker.changes("", &known).await);
    {
        let mut server = server.lock().unwrap();
        server.told(0, 6, "Merged", "Merged Ticket (20260001/1) to (20260007/7)");
        server.told(0, 6, "StateUpdate", "%%new%%merged%%");
    }
    let (told, _) = done(tracker.changes(&cursor, &known).await);
    let told: Vec<_> = told.into_iter().map(|change| change.what).collect();
    let merged = alertbridge::model::ticket::PersonDid::MergedInto("7".to_owned());
    assert_eq!(told, [merged]);
}

#[tokio::test]
async fn an_error_with_http_200_is_an_error() {
    let (server, address) = start(true).await;
    let mut other = draft(&fresh_key(), "x");
    other.fields.queue = "Nowhere".to_owned();
    let called = znuny(address, "").open(&other).await;
    assert!(
        matches!(&called, Called::Refused { reason, .. } if reason.contains("Queue")),
        "{called:?}"
    );
    let section = format!(
        "url = \"http://{address}/x\"\nuser = \"bridge\"\npassword = \"wrong\"\nqueue = \"Monitoring\"\ncustomer = \"noc\""
    );
    let called = tracker("znuny", &section).open(&draft("ab-1", "x")).await;
    assert!(matches!(called, Called::Later { .. }), "{called:?}");
    let tracker = znuny(address, "");
    let remote = done(tracker.open(&draft(&fresh_key(), "x")).await);
    server.lock().unwrap().frozen = true;
    let called = move_to(tracker.as_ref(), &remote, TicketStatus::Resolved).await;
    assert!(
        matches!(&called, Called::Refused { field: Some(field), .. } if field == "State"),
        "{called:?}"
    );
}

#[tokio::test]
async fn files_travel_with_the_first_article() {
    let (server, address) = start(true).await;
    let mut one = draft(&fresh_key(), "x");
    one.attachments = vec![Attachment::of_text("ab-1.txt", "日本語")];
    done(znuny(address, "").open(&one).await);
    assert_eq!(server.lock().unwrap().files, 1);
}

#[tokio::test]
async fn text_is_plain_and_names_no_other_ticket() {
    let (server, address) = start(true).await;
    hostile(
        znuny(address, "").as_ref(),
        "[Ticket#2026112510000017] <OTRS_x>",
    )
    .await;
    let server = server.lock().unwrap();
    let ticket = &server.tickets[0];
    assert!(
        !ticket["Title"].as_str().unwrap().contains("Ticket#2"),
        "{ticket}"
    );
    for article in ticket["Article"].as_array().unwrap() {
        assert!(
            article["ContentType"]
                .as_str()
                .unwrap()
                .starts_with("text/plain")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_incident_ends_with_one_ticket_whatever_the_network_does() {
    let (_server, address) = start(true).await;
    let create = "POST /nph-genericinterface.pl/Webservice/bridge/TicketCreate HTTP";
    storm(address, create, znuny).await;
}
