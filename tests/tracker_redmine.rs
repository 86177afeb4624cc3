//! Redmine 5, the real one: `tests/services/redmine.sh start` prints the variables that these tests
//! need.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod tracker_contract;

use alertbridge::model::ticket::{RemoteRef, TicketStatus};
use alertbridge::trackers::redmine::{Redmine, RedmineConfig};
use alertbridge::trackers::{Asked, Attachment, Called, Change, Tracker};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tracker_contract::{Act, People, cannot_run, done, draft, fresh_key, ready};

/// Where the real Redmine is, and the keys of its users.
struct Service {
    url: String,
    bridge: String,
    agent: String,
    customer: String,
}

fn service(test: &str) -> Option<Service> {
    ready();
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let found = (|| {
        Some(Service {
            url: variable("ALERTBRIDGE_TEST_REDMINE")?,
            bridge: variable("ALERTBRIDGE_TEST_REDMINE_KEY_ALERTBRIDGE")?,
            agent: variable("ALERTBRIDGE_TEST_REDMINE_KEY_AGENT1")?,
            customer: variable("ALERTBRIDGE_TEST_REDMINE_KEY_CUSTOMER")?,
        })
    })();
    if found.is_none() {
        cannot_run(
            test,
            "ALERTBRIDGE_TEST_REDMINE is not set; `tests/services/redmine.sh start` says what to set",
        );
    }
    found
}

fn config(service: &Service, more: &str) -> RedmineConfig {
    let (url, token) = (&service.url, &service.bridge);
    let text = format!("url = \"{url}\"\ntoken = \"{token}\"\nproject = \"monitoring\"\n{more}");
    toml::from_str(&text).unwrap()
}

fn tracker(service: &Service, more: &str) -> Redmine {
    Redmine::new("redmine", config(service, more)).unwrap()
}

impl Service {
    async fn get(&self, path: &str) -> Vec<u8> {
        let response = reqwest::Client::new()
            .get(format!("{}{path}", self.url))
            .header("X-Redmine-API-Key", &self.agent)
            .send()
            .await
            .unwrap();
        assert!(response.status().is_success(), "{path}: {response:?}");
        response.bytes().await.unwrap().to_vec()
    }

    async fn put(&self, key: &str, ticket: &RemoteRef, issue: Value) {
        let response = reqwest::Client::new()
            .put(format!("{}/issues/{}.json", self.url, ticket.key))
            .header("X-Redmine-API-Key", key)
            .json(&json!({ "issue": issue }))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 204, "{response:?}");
    }
}

impl People for Service {
    fn act<'a>(&'a self, ticket: &'a RemoteRef, act: Act) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let (key, issue) = match act {
                Act::Answer(text) => (&self.agent, json!({ "notes": text })),
                Act::Note(text) => (&self.agent, json!({ "notes": text, "private_notes": true })),
                Act::Take => (&self.agent, json!({ "assigned_to_id": 6 })),
                Act::Wait => (&self.agent, json!({ "status_id": 4 })),
                Act::Resolve => (&self.agent, json!({ "status_id": 3 })),
                Act::Reopen => (&self.agent, json!({ "status_id": 2 })),
                Act::Customer(text) => (&self.customer, json!({ "notes": text })),
            };
            self.put(key, ticket, issue).await;
            true
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_holds_what_every_tracker_holds() {
    let Some(service) = service("the contract on Redmine") else {
        return;
    };
    tracker_contract::holds(&tracker(&service, "tracker = \"Support\""), &service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_holds_what_every_tracker_holds_without_a_field_for_the_key() {
    let Some(service) = service("the contract on Redmine without a custom field") else {
        return;
    };
    let more = "key_field = \"Nope\"\nseverity_field = \"Nope\"\nmarkup = \"markdown\"";
    tracker_contract::holds(&tracker(&service, more), &service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_that_quotes_the_key_is_not_taken_for_ours() {
    let Some(service) = service("quoted keys in Redmine") else {
        return;
    };
    let tracker = tracker(&service, "");
    let key = fresh_key();
    let ticket = done(tracker.open(&draft(&key, "feed A lost")).await);
    let mut quoting = draft(&fresh_key(), "see also");
    quoting.body = format!("The same as {key}\n{key}");
    done(tracker.open(&quoting).await);
    let found = done(tracker.find(&key).await);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].remote.key, ticket.key);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_redmine_ignores_is_noticed() {
    let Some(service) = service("silent refusals of Redmine") else {
        return;
    };
    let odd = tracker(&service, "[status]\nopen = \"In Review\"");
    let ticket = done(odd.open(&draft(&fresh_key(), "x")).await);
    let before = done(odd.read(&ticket).await).fields;
    let mut to = before.clone();
    to.status = TicketStatus::Open;
    let change = Change::Fields {
        from: Some(before),
        to,
    };
    let called = odd.change(&ticket, &change).await;
    let Called::Refused { reason, field } = called else {
        panic!("{called:?}");
    };
    assert!(reason.contains("In Review"), "{reason}");
    assert_eq!(field.as_deref(), Some("status"));
    let said = odd.check(tracker_contract::now()).await;
    assert!(
        said.iter()
            .any(|line| line.as_ref().is_err_and(|l| l.contains("In Review")))
    );

    let nowhere = RemoteRef {
        key: "999999".to_owned(),
        url: String::new(),
    };
    let gone = done(odd.read(&nowhere).await);
    assert_eq!(gone.fields.status, TicketStatus::Gone);
}

/// A list asked for with a wrong key may be empty instead of refused: no ticket is not the answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_is_never_taken_for_no_ticket() {
    let Some(service) = service("a wrong key for Redmine") else {
        return;
    };
    let mut wrong = config(&service, "");
    wrong.token = "0000".into();
    let wrong = Redmine::new("redmine", wrong).unwrap();
    let called = wrong.find("ab-1").await;
    assert!(
        matches!(called, Called::Later { after: Some(_), .. }),
        "{called:?}"
    );
    let called = wrong.open(&draft(&fresh_key(), "x")).await;
    assert!(matches!(called, Called::Later { .. }), "{called:?}");
    assert!(wrong.check(tracker_contract::now()).await[0].is_err());
}

#[tokio::test]
async fn a_file_travels_with_its_issue() {
    let Some(service) = service("a_file_travels_with_its_issue") else {
        return;
    };
    let mut one = draft(&fresh_key(), "fan failed");
    one.attachments = vec![Attachment::of_text("ab-1.txt", "日本語, the whole text")];
    let remote = done(tracker(&service, "").open(&one).await);
    let answer = reqwest::Client::new()
        .get(format!(
            "{}/issues/{}.json?include=attachments",
            service.url, remote.key
        ))
        .header("X-Redmine-API-Key", &service.agent)
        .send()
        .await
        .unwrap();
    let issue: Value = answer.json().await.unwrap();
    let file = issue.pointer("/issue/attachments/0").unwrap();
    assert_eq!(file.get("filename").unwrap(), "ab-1.txt");
    assert_eq!(
        file.get("filesize").unwrap(),
        one.attachments[0].bytes.len()
    );
}

#[tokio::test]
async fn files_that_are_no_text_come_back_to_the_byte() {
    let Some(service) = service("files_that_are_no_text_come_back_to_the_byte") else {
        return;
    };
    let mut one = draft(&fresh_key(), "fan failed");
    one.attachments = vec![
        Attachment::of_text("original-7.txt", "From: nagios@example.net\n\nfan failed"),
        Attachment {
            name: "障害.png".to_owned(),
            content_type: "image/png".to_owned(),
            bytes: vec![0x89, b'P', b'N', b'G', 0, 255, 10, 13],
        },
    ];
    let remote = done(tracker(&service, "").open(&one).await);
    let issue = service
        .get(&format!("/issues/{}.json?include=attachments", remote.key))
        .await;
    let issue: Value = serde_json::from_slice(&issue).unwrap();
    let files = issue
        .pointer("/issue/attachments")
        .unwrap()
        .as_array()
        .unwrap();
    let graph = files
        .iter()
        .find(|file| file.get("filename").unwrap() == "障害.png");
    let graph = graph.unwrap_or_else(|| panic!("{issue}"));
    let path = format!("/attachments/download/{}", graph.get("id").unwrap());
    assert_eq!(service.get(&path).await, one.attachments[1].bytes);
}

#[tokio::test]
async fn what_a_route_gives_is_there_and_what_redmine_would_drop_is_refused_by_name() {
    let Some(service) = service("fields of routes in Redmine") else {
        return;
    };
    let redmine = tracker(&service, "");
    // A project shows its fields with its first issue.
    done(redmine.open(&draft(&fresh_key(), "the first")).await);
    let mut one = draft(&fresh_key(), "feed lost");
    one.kind = "Support".to_owned();
    one.watchers = vec!["agent1 Test".to_owned()];
    one.custom = vec![("AlertSite".to_owned(), "ams-1 \"x\" {y}".to_owned())];
    let remote = done(redmine.open(&one).await);
    let issue = service
        .get(&format!("/issues/{}.json?include=watchers", remote.key))
        .await;
    let issue: Value = serde_json::from_slice(&issue).unwrap();
    assert_eq!(issue.pointer("/issue/tracker/name").unwrap(), "Support");
    let watcher = issue.pointer("/issue/watchers/0/name");
    assert_eq!(watcher.unwrap(), "agent1 Test", "{issue}");
    assert!(issue.to_string().contains("ams-1 \\\"x\\\" {y}"), "{issue}");

    for (kind, watcher, custom, named) in [
        ("Nonsense", "agent1 Test", "AlertSite", "type"),
        ("Bug", "Nobody", "AlertSite", "watchers"),
        ("Bug", "agent1 Test", "Rack", "Rack"),
    ] {
        let mut wrong = draft(&fresh_key(), "feed lost");
        wrong.kind = kind.to_owned();
        wrong.watchers = vec![watcher.to_owned()];
        wrong.custom = vec![(custom.to_owned(), "x".to_owned())];
        let called = redmine.open(&wrong).await;
        let Called::Refused { field, .. } = called else {
            panic!("{called:?}");
        };
        assert_eq!(field.as_deref(), Some(named));
        let asked = Asked {
            route: "noc".to_owned(),
            kind: kind.to_owned(),
            custom: vec![custom.to_owned()],
            ..Asked::default()
        };
        let said = redmine.check_asked(&[asked]).await;
        let wrong = said.iter().any(Result::is_err);
        assert_eq!(wrong, named != "watchers", "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promise_in_the_declared_field_is_told_also_by_a_bridge_that_wrote_nothing_yet() {
    let Some(service) = service("promises in a field of Redmine") else {
        return;
    };
    let ticket = done(tracker(&service, "").open(&draft(&fresh_key(), "x")).await);
    let fresh = tracker(&service, "promise_field = \"NextUpdate\"");
    let cursor = tracker_contract::cursor_now(&fresh).await;
    let read = reqwest::Client::new()
        .get(format!("{}/issues/{}.json", service.url, ticket.key))
        .header("X-Redmine-API-Key", &service.agent);
    let issue: Value = read.send().await.unwrap().json().await.unwrap();
    let fields = issue["issue"]["custom_fields"].as_array().unwrap().iter();
    let id = |name: &str| {
        let mut named = fields.clone().filter(|field| field["name"] == name);
        named.next().unwrap()["id"].clone()
    };
    for (name, value) in [("AlertSeverity", "2"), ("NextUpdate", "2030-06-02 18:00")] {
        let field = json!([{ "id": id(name), "value": value }]);
        let issue = json!({ "custom_fields": field });
        service.put(&service.agent, &ticket, issue).await;
    }
    let told = tracker_contract::promises(&fresh, &cursor, &ticket, 1).await;
    assert_eq!(told, ["2030-06-02 18:00"]);
}
