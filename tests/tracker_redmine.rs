//! Redmine 5, the real one: `tests/services/redmine.sh start` prints the variables that these tests
//! need.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod tracker_contract;

use alertbridge::model::ticket::{RemoteRef, TicketStatus};
use alertbridge::trackers::redmine::{Redmine, RedmineConfig};
use alertbridge::trackers::{Attachment, Called, Change, Tracker};
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
    one.attachments = vec![Attachment {
        name: "ab-1.txt".to_owned(),
        text: "日本語, the whole text".to_owned(),
    }];
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
    assert_eq!(file.get("filesize").unwrap(), one.attachments[0].text.len());
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
