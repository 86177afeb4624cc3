//! ServiceNow against a stand-in that behaves as it is known to: unknown parts of queries find
//! everything, unknown fields are dropped, an instance that is asleep answers 200 with a page, the
//! index lags.
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

use alertbridge::model::ticket::RemoteRef;
use alertbridge::trackers::servicenow::{ServiceNow, ServiceNowConfig};
use alertbridge::trackers::{Attachment, Called, Tracker};
use delivery_support::storm::{Storm, incidents, index_lag, seed};
use fault_proxy::{FaultProxy, Faults};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use stand_in::{Asked, Lagging, Said, said, serve};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tracker_contract::{Act, People, done, draft, fresh_key, ready};

const COLUMNS: [&str; 12] = [
    "short_description",
    "description",
    "state",
    "hold_reason",
    "impact",
    "urgency",
    "correlation_id",
    "correlation_display",
    "assignment_group",
    "caller_id",
    "close_code",
    "parent_incident",
];

struct Record {
    fields: Value,
    written: Lagging,
}

struct Server {
    lag: Duration,
    asleep: bool,
    frozen_state: bool,
    ignores_queries: bool,
    records: Vec<Record>,
    journal: Vec<Value>,
    audit: Vec<Value>,
    files: Vec<(String, String, String)>,
}

fn server(lag: Duration) -> Arc<Mutex<Server>> {
    Arc::new(Mutex::new(Server {
        lag,
        asleep: false,
        frozen_state: false,
        ignores_queries: false,
        records: Vec::new(),
        journal: Vec::new(),
        audit: Vec::new(),
        files: Vec::new(),
    }))
}

fn stamp() -> String {
    jiff::Timestamp::now()
        .strftime("%Y-%m-%d %H:%M:%S")
        .to_string()
}

fn wrong(status: u16, text: &str) -> Said {
    said(
        status,
        json!({ "error": { "message": text, "detail": "" }, "status": "failure" }),
    )
}

impl Server {
    fn write(&mut self, n: usize, by: &str, body: &Value) {
        for (name, value) in body.as_object().unwrap() {
            if name == "work_notes" || name == "comments" {
                self.journal.push(json!({
                    "sys_id": format!("j{}", self.journal.len()), "element_id": format!("id{n}"),
                    "element": name, "value": value, "sys_created_by": by, "sys_created_on": stamp(),
                }));
            } else if COLUMNS.contains(&name.as_str())
                || name == "assigned_to"
                || name.starts_with("u_")
            {
                if name == "state" && self.frozen_state {
                    continue;
                }
                self.audit.push(json!({
                    "sys_id": format!("a{}", self.audit.len()), "documentkey": format!("id{n}"),
                    "fieldname": name, "newvalue": value, "user": by, "sys_created_on": stamp(),
                }));
                self.records[n].fields[name] = value.clone();
            }
        }
    }

    fn create(&mut self, body: &Value) -> Said {
        let n = self.records.len();
        self.records.push(Record {
            fields: json!({
                "sys_id": format!("id{n}"), "number": format!("INC{n:05}"), "state": "1",
                "hold_reason": "", "impact": "3", "urgency": "3", "correlation_id": "",
                "sys_created_on": stamp(), "caller_id": "cust", "caller_id.user_name": "cust",
            }),
            written: Lagging::now(),
        });
        self.write(n, "bridge", body);
        self.records[n].fields["caller_id.user_name"] = json!("cust");
        said(201, json!({ "result": self.records[n].fields }))
    }

    fn list(&self, table: &str, asked: &Asked) -> Said {
        let query = asked.query("sysparm_query");
        let first = query.split('^').next().unwrap();
        let (column, wanted) = first.split_once('=').unwrap_or(("", ""));
        let matches = |item: &Value| {
            self.ignores_queries
                || column.is_empty()
                || column.ends_with('>')
                || item[column] == json!(wanted)
        };
        let found: Vec<Value> = match table {
            "incident" => {
                // By number a record is read from the table, by anything else through the index.
                let direct = column == "number";
                let shown = self
                    .records
                    .iter()
                    .filter(|r| direct || r.written.shows(self.lag));
                shown.map(|r| r.fields.clone()).filter(matches).collect()
            }
            "sys_journal_field" => self
                .journal
                .iter()
                .filter(|e| matches(e))
                .cloned()
                .collect(),
            _ => {
                let mut parts = query.split('^');
                let named = parts.find_map(|part| part.strip_prefix("fieldnameIN"));
                let asked = |e: &Value| {
                    let mut names = named.unwrap_or_default().split(',');
                    named.is_none() || names.any(|name| e["fieldname"] == name)
                };
                let audit = self.audit.iter().filter(|e| matches(e) && asked(e));
                audit.cloned().collect()
            }
        };
        let limit: usize = asked.query("sysparm_limit").parse().unwrap();
        let found: Vec<_> = found.into_iter().take(limit).collect();
        said(200, json!({ "result": found }))
    }

    fn answer(&mut self, asked: &Asked) -> Said {
        if asked.header("authorization") != "Basic YnJpZGdlOnNlY3JldA==" {
            return wrong(401, "User Not Authenticated");
        }
        if self.asleep {
            return said(200, json!("<html>Your instance is hibernating</html>"));
        }
        let parts = asked.parts();
        match (asked.method.as_str(), &parts[..]) {
            ("GET", ["api", "now", "table", table]) => self.list(table, asked),
            ("POST", ["api", "now", "table", "incident"]) => self.create(&asked.body),
            ("POST", ["api", "now", "attachment", "file"]) => {
                let of = asked.query("table_sys_id").to_owned();
                self.files
                    .push((of, asked.query("file_name").to_owned(), asked.text.clone()));
                said(201, json!({ "result": {} }))
            }
            ("PATCH", ["api", "now", "table", "incident", id]) => {
                let n = id.strip_prefix("id").and_then(|n| n.parse::<usize>().ok());
                match n.filter(|n| *n < self.records.len()) {
                    Some(n) => {
                        self.write(n, "bridge", &asked.body);
                        said(200, json!({ "result": self.records[n].fields }))
                    }
                    None => wrong(404, "No Record found"),
                }
            }
            _ => wrong(400, "Requested URI does not represent any resource"),
        }
    }

    fn act(&mut self, n: usize, act: Act) {
        match act {
            Act::Answer(text) => self.write(n, "agent", &json!({ "comments": text })),
            Act::Note(text) => self.write(n, "agent", &json!({ "work_notes": text })),
            Act::Customer(text) => self.write(n, "cust", &json!({ "comments": text })),
            Act::Take => self.write(n, "agent", &json!({ "assigned_to": "agent" })),
            Act::Wait => self.write(n, "agent", &json!({ "state": "3", "hold_reason": "1" })),
            Act::Resolve => self.write(n, "agent", &json!({ "state": "6" })),
            Act::Reopen => self.write(n, "agent", &json!({ "state": "2" })),
        }
    }
}

struct Agents(Arc<Mutex<Server>>);

impl People for Agents {
    fn act<'a>(&'a self, ticket: &'a RemoteRef, act: Act) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let n = ticket
                .key
                .strip_prefix("INC")
                .unwrap()
                .parse::<usize>()
                .unwrap();
            self.0.lock().unwrap().act(n, act);
            // Within one second nothing tells what came first: times have whole seconds.
            tokio::time::sleep(Duration::from_millis(1050)).await;
            true
        })
    }
}

fn tracker(address: SocketAddr, more: &str) -> ServiceNow {
    ready();
    let text = format!(
        "url = \"http://{address}\"\nuser = \"bridge\"\npassword = \"secret\"\ncaller = \"cust\"\n{more}"
    );
    let config: ServiceNowConfig = toml::from_str(&text).unwrap();
    ServiceNow::new("servicenow", config).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_holds_what_every_tracker_holds() {
    let server = server(Duration::ZERO);
    let address = serve(server.clone(), Server::answer).await;
    tracker_contract::holds(&tracker(address, ""), &Agents(server)).await;
}

#[tokio::test]
async fn an_instance_that_is_asleep_has_neither_a_ticket_nor_none() {
    let server = server(Duration::ZERO);
    let address = serve(server.clone(), Server::answer).await;
    let tracker = tracker(address, "");
    server.lock().unwrap().asleep = true;
    assert!(matches!(tracker.find("ab-1").await, Called::Later { .. }));
    let opened = tracker.open(&draft("ab-1", "x")).await;
    assert!(matches!(opened, Called::Unknown { .. }), "{opened:?}");
    assert!(tracker.check(tracker_contract::now()).await[0].is_err());
}

#[tokio::test]
async fn a_file_follows_its_record() {
    let server = server(Duration::ZERO);
    let address = serve(server.clone(), Server::answer).await;
    let mut one = draft(&fresh_key(), "fan failed");
    one.attachments = vec![Attachment {
        name: "ab-1.txt".to_owned(),
        text: "the whole text".to_owned(),
    }];
    done(tracker(address, "").open(&one).await);
    let files = server.lock().unwrap().files.clone();
    let file = ("id0", "ab-1.txt", "the whole text");
    assert_eq!(
        files,
        [(file.0.to_owned(), file.1.to_owned(), file.2.to_owned())]
    );
}

#[tokio::test]
async fn a_query_that_is_ignored_finds_nobody_elses_ticket() {
    let server = server(Duration::ZERO);
    let address = serve(server.clone(), Server::answer).await;
    let tracker = tracker(address, "");
    for _ in 0..3 {
        done(tracker.open(&draft(&fresh_key(), "x")).await);
    }
    server.lock().unwrap().ignores_queries = true;
    assert_eq!(done(tracker.find("ab-1").await), Vec::new());
}

#[tokio::test]
async fn a_state_that_a_rule_keeps_is_noticed() {
    let server = server(Duration::ZERO);
    let address = serve(server.clone(), Server::answer).await;
    let tracker = tracker(address, "");
    let ticket = done(tracker.open(&draft(&fresh_key(), "x")).await);
    server.lock().unwrap().frozen_state = true;
    let from = done(tracker.read(&ticket).await).fields;
    let mut to = from.clone();
    to.status = alertbridge::model::ticket::TicketStatus::Resolved;
    let change = alertbridge::trackers::Change::Fields {
        from: Some(from),
        to,
    };
    let called = tracker.change(&ticket, &change).await;
    assert!(
        matches!(&called, Called::Refused { field: Some(field), .. } if field == "state"),
        "{called:?}"
    );
}

/// The index shows what was written two seconds ago, a minute ago in the long form; the proxy does
/// everything else.
#[tokio::test(flavor = "multi_thread")]
async fn every_incident_ends_with_one_ticket_whatever_the_network_and_the_index_do() {
    ready();
    let lag = index_lag();
    let server = server(lag);
    let address = serve(server.clone(), Server::answer).await;
    let seed = seed();
    let mut faults = Faults::all(35, Duration::from_millis(1200));
    faults.create = "POST /api/now/table/incident?";
    let proxy = FaultProxy::start(address, seed, faults).await;
    let settle = lag.as_secs() + 2;
    let quick = format!("settle_seconds = {settle}\n[connection]\ntimeout_seconds = 1\n");
    Storm {
        through: Arc::new(tracker(proxy.address, &quick)),
        direct: Arc::new(tracker(address, "")),
        proxy,
        seed,
        incidents: incidents(60),
    }
    .passes()
    .await;
}

#[tokio::test]
async fn a_promise_in_the_declared_column_is_told_and_only_if_it_is_declared() {
    let server = server(Duration::ZERO);
    let address = serve(server.clone(), Server::answer).await;
    let promising = tracker(address, "promise_field = { name = \"u_next\", utc = true }");
    let ticket = done(promising.open(&draft(&fresh_key(), "fan failed")).await);
    let cursor = tracker_contract::cursor_now(&promising).await;
    let set = |name: &str, value: &str| {
        let mut server = server.lock().unwrap();
        server.write(0, "agent", &json!({ name: value }));
    };
    set("u_other", "2026-06-02 08:00:00");
    set("u_next", "2026-06-02 09:00:00");
    let told = tracker_contract::promises(&promising, &cursor, &ticket, 1).await;
    assert_eq!(told, ["2026-06-02 09:00:00 UTC"]);
    // Undeclared, it is not even asked for.
    let plain = tracker(address, "");
    let (told, _) = done(plain.changes(&cursor, &|_| true).await);
    assert_eq!(told, Vec::new());
}
