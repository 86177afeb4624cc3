//! Request Tracker 5, the real one: `tests/services/rt.sh start` prints the variables that these
//! tests need.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod tracker_contract;

use alertbridge::model::ticket::{PersonDid, RemoteRef, TicketStatus};
use alertbridge::trackers::rt::{RequestTracker, RtConfig};
use alertbridge::trackers::{Asked, Attachment, Called, Change, Tracker};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tracker_contract::{Act, NO_RT, People, cannot_run, done, draft, fresh_key, ready, variable};

/// Where the real RT is, and the tokens of its users.
struct Service {
    url: String,
    bridge: String,
    agent: String,
    root: String,
}

fn service(test: &str) -> Option<Service> {
    ready();
    let found = (|| {
        Some(Service {
            url: variable("ALERTBRIDGE_TEST_RT")?,
            bridge: variable("ALERTBRIDGE_TEST_RT_TOKEN")?,
            agent: variable("ALERTBRIDGE_TEST_RT_AGENT_TOKEN")?,
            root: variable("ALERTBRIDGE_TEST_RT_ROOT_TOKEN")?,
        })
    })();
    if found.is_none() {
        cannot_run(test, NO_RT);
    }
    found
}

fn config(service: &Service, more: &str) -> RtConfig {
    let (url, token) = (&service.url, &service.bridge);
    toml::from_str(&format!("url = \"{url}\"\ntoken = \"{token}\"\n{more}")).unwrap()
}

fn tracker(service: &Service, more: &str) -> RequestTracker {
    RequestTracker::new("rt", config(service, more)).unwrap()
}

impl Service {
    async fn call(&self, token: &str, method: &str, path: &str, body: Value) -> Value {
        let response = reqwest::Client::new()
            .request(
                method.parse().unwrap(),
                format!("{}/REST/2.0{path}", self.url),
            )
            .header("Authorization", format!("token {token}"))
            .json(&body)
            .send()
            .await
            .unwrap();
        assert!(
            response.status().is_success(),
            "{method} {path}: {response:?}"
        );
        response.json().await.unwrap_or(Value::Null)
    }

    /// A customer's mail: the gateway takes a whole message.
    async fn mail(&self, subject: &str, words: &str) {
        let message = format!(
            "From: customer@example.com\nTo: mon@alertbridge.test\nSubject: {subject}\nMessage-ID: <{}@example.com>\n\n{words}\n",
            fresh_key()
        );
        let form = [
            ("queue", "Monitoring"),
            ("action", "correspond"),
            ("message", &message),
        ];
        let response = reqwest::Client::new()
            .post(format!("{}/REST/1.0/NoAuth/mail-gateway", self.url))
            .form(&form)
            .send()
            .await
            .unwrap();
        let said = response.text().await.unwrap();
        assert!(said.contains("ok"), "{said}");
    }
}

impl People for Service {
    fn act<'a>(&'a self, ticket: &'a RemoteRef, act: Act) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let number = &ticket.key;
            let (verb, path, body) = match act {
                Act::Answer(text) => (
                    "POST",
                    format!("/ticket/{number}/correspond"),
                    json!({ "Content": text, "ContentType": "text/plain" }),
                ),
                Act::Note(text) => (
                    "POST",
                    format!("/ticket/{number}/comment"),
                    json!({ "Content": text, "ContentType": "text/plain" }),
                ),
                Act::Take => (
                    "PUT",
                    format!("/ticket/{number}"),
                    json!({ "Owner": "agent1" }),
                ),
                Act::Wait => (
                    "PUT",
                    format!("/ticket/{number}"),
                    json!({ "Status": "stalled" }),
                ),
                Act::Resolve => (
                    "PUT",
                    format!("/ticket/{number}"),
                    json!({ "Status": "resolved" }),
                ),
                Act::Reopen => (
                    "PUT",
                    format!("/ticket/{number}"),
                    json!({ "Status": "open" }),
                ),
                Act::Customer(words) => {
                    self.mail(&format!("Re: [alertbridge.test #{number}] x"), words)
                        .await;
                    return true;
                }
            };
            self.call(&self.agent, verb, &path, body).await;
            true
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_holds_what_every_tracker_holds_with_the_key_in_a_field() {
    let Some(service) = service("the contract on RT with a custom field") else {
        return;
    };
    tracker_contract::holds(&tracker(&service, "queue = \"Monitoring\""), &service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_holds_what_every_tracker_holds_with_the_key_in_the_subject() {
    let Some(service) = service("the contract on RT without a custom field") else {
        return;
    };
    tracker_contract::holds(&tracker(&service, "queue = \"Plain\""), &service).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_subject_shows_the_key_only_until_the_field_is_proven() {
    let Some(service) = service("where RT keeps the key") else {
        return;
    };
    let (plain, field) = (
        tracker(&service, "queue = \"Plain\""),
        tracker(&service, "queue = \"Monitoring\""),
    );
    for (tracker, shows) in [(&plain, true), (&field, false)] {
        for _ in 0..2 {
            let key = fresh_key();
            let remote = done(tracker.open(&draft(&key, "disk full")).await);
            let path = format!("/ticket/{}", remote.key);
            let ticket = service
                .call(&service.agent, "GET", &path, Value::Null)
                .await;
            let subject = ticket["Subject"].as_str().unwrap();
            assert_eq!(subject.contains(&key), shows, "{subject}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merged_ticket_is_found_by_its_target_and_the_merge_is_told() {
    let Some(service) = service("merging in RT") else {
        return;
    };
    let tracker = tracker(&service, "queue = \"Monitoring\"");
    let (key, other) = (fresh_key(), fresh_key());
    let ticket = done(tracker.open(&draft(&key, "feed A lost")).await);
    let target = done(tracker.open(&draft(&other, "feed B lost")).await);
    let own = ticket.key.clone();
    let known = move |key: &str| key == own;
    let (_, cursor) = done(tracker.changes("", &known).await);
    let number: u64 = target.key.parse().unwrap();
    let path = format!("/ticket/{}", ticket.key);
    service
        .call(&service.agent, "PUT", &path, json!({ "MergeInto": number }))
        .await;
    let found = done(tracker.find(&key).await);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].remote.key, target.key);
    let (told, _) = done(tracker.changes(&cursor, &known).await);
    let merged = PersonDid::MergedInto(target.key.clone());
    assert!(told.iter().any(|change| change.what == merged), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_ticket_is_gone_and_is_not_found() {
    let Some(service) = service("deleting in RT") else {
        return;
    };
    let tracker = tracker(&service, "queue = \"Monitoring\"");
    let key = fresh_key();
    let ticket = done(tracker.open(&draft(&key, "test")).await);
    let path = format!("/ticket/{}", ticket.key);
    service
        .call(&service.root, "PUT", &path, json!({ "Status": "deleted" }))
        .await;
    assert_eq!(done(tracker.find(&key).await), Vec::new());
    let read = done(tracker.read(&ticket).await);
    assert_eq!(read.fields.status, TicketStatus::Gone);
}

/// A reply of the bridge would open the ticket; a customer's reply opens it and is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_resolved_ticket_is_reopened_by_people_only() {
    let Some(service) = service("reopening in RT") else {
        return;
    };
    let tracker = tracker(&service, "queue = \"Monitoring\"");
    let key = fresh_key();
    let ticket = done(tracker.open(&draft(&key, "switch down")).await);
    let own = ticket.key.clone();
    let known = move |key: &str| key == own;
    service.act(&ticket, Act::Resolve).await;
    let (_, cursor) = done(tracker.changes("", &known).await);
    let note = Change::Note {
        marker: format!("{key}-1"),
        text: "Over since 12:00.".to_owned(),
        public: true,
        about: "link flaps".to_owned(),
    };
    done(tracker.change(&ticket, &note).await);
    let read = done(tracker.read(&ticket).await);
    assert_eq!(read.fields.status, TicketStatus::Resolved);
    let (told, cursor) = done(tracker.changes(&cursor, &known).await);
    assert_eq!(told, Vec::new());
    service.act(&ticket, Act::Customer("Still down.")).await;
    let (told, _) = done(tracker.changes(&cursor, &known).await);
    let what: Vec<_> = told.into_iter().map(|change| change.what).collect();
    assert!(
        matches!(&what[..], [PersonDid::CustomerWrote { text }, PersonDid::Status(TicketStatus::Open)] if text.contains("Still down")),
        "{what:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rt_refuses_is_told_and_what_it_ignores_is_noticed() {
    let Some(service) = service("refusals of RT") else {
        return;
    };
    let odd = "queue = \"Monitoring\"\n[status]\nopen = \"nonsense\"";
    let tracker_with_odd_status = tracker(&service, odd);
    let ticket = done(
        tracker_with_odd_status
            .open(&draft(&fresh_key(), "x"))
            .await,
    );
    let before = done(tracker_with_odd_status.read(&ticket).await).fields;
    let mut to = before.clone();
    to.status = TicketStatus::Open;
    let change = Change::Fields {
        from: Some(before),
        to,
    };
    let called = tracker_with_odd_status.change(&ticket, &change).await;
    let Called::Refused { reason, field } = called else {
        panic!("{called:?}");
    };
    assert!(reason.contains("nonsense"), "{reason}");
    assert_eq!(field.as_deref(), Some("status"));

    let nowhere = tracker(&service, "queue = \"Nowhere\"");
    let called = nowhere.open(&draft(&fresh_key(), "x")).await;
    assert!(matches!(called, Called::Later { .. }), "{called:?}");
    assert!(
        nowhere
            .check(tracker_contract::now())
            .await
            .iter()
            .any(Result::is_err)
    );

    let mut wrong = config(&service, "queue = \"Monitoring\"");
    wrong.token = "1-27-0000".into();
    let wrong = RequestTracker::new("rt", wrong).unwrap();
    let called = wrong.find("ab-1").await;
    assert!(
        matches!(called, Called::Later { after: Some(_), .. }),
        "{called:?}"
    );
    let said = wrong.check(tracker_contract::now()).await;
    assert!(
        said[0].as_ref().is_err_and(|line| line.contains("401")),
        "{said:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_rt_that_is_not_there_is_later_not_never() {
    ready();
    let text = "url = \"http://127.0.0.1:9/\"\ntoken = \"1-2-3\"\nqueue = \"x\"\nuser = \"b\"";
    let tracker = RequestTracker::new("rt", toml::from_str(text).unwrap()).unwrap();
    assert!(matches!(tracker.find("ab-1").await, Called::Later { .. }));
    let called = tracker.open(&draft("ab-1", "x")).await;
    assert!(matches!(called, Called::Later { .. }), "{called:?}");
    assert!(tracker.check(tracker_contract::now()).await[0].is_err());
}

#[tokio::test]
async fn a_file_travels_with_its_ticket() {
    let Some(service) = service("a_file_travels_with_its_ticket") else {
        return;
    };
    let mut one = draft(&fresh_key(), "fan failed");
    one.attachments = vec![Attachment::of_text("ab-1.txt", "日本語, the whole text")];
    let remote = done(tracker(&service, "queue = \"Monitoring\"").open(&one).await);
    let path = format!("/ticket/{}/attachments?fields=Filename", remote.key);
    let list = service
        .call(&service.agent, "GET", &path, Value::Null)
        .await;
    assert!(list.to_string().contains("ab-1.txt"), "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promise_in_the_declared_field_is_told_also_by_a_bridge_that_wrote_nothing_yet() {
    let Some(service) = service("promises in a field of RT") else {
        return;
    };
    let ticket = done(
        tracker(&service, "queue = \"Monitoring\"")
            .open(&draft(&fresh_key(), "x"))
            .await,
    );
    let text = tracker(
        &service,
        "queue = \"Monitoring\"\npromise_field = \"NextUpdate\"",
    );
    let instant = tracker(
        &service,
        "queue = \"Monitoring\"\npromise_field = { name = \"NextUpdateAt\", utc = true }",
    );
    let cursor = tracker_contract::cursor_now(&text).await;
    let path = format!("/ticket/{}", ticket.key);
    for (name, value) in [
        ("NextUpdate", "2030-06-02 18:00"),
        ("AlertSeverity", "2"),
        ("NextUpdateAt", "2030-06-02 18:00:00"),
    ] {
        let body = json!({ "CustomFields": { name: value } });
        service.call(&service.agent, "PUT", &path, body).await;
    }
    let told = tracker_contract::promises(&text, &cursor, &ticket, 1).await;
    assert_eq!(told, ["2030-06-02 18:00"]);
    // What RT keeps of a date and time is UTC, whatever zone its people have.
    let told = tracker_contract::promises(&instant, &cursor, &ticket, 1).await;
    let shown = service.call(&service.root, "GET", &path, Value::Null).await;
    let fields = shown["CustomFields"].as_array().unwrap().iter();
    let mut kept = fields.filter(|field| field["name"] == "NextUpdateAt");
    let kept = kept.next().unwrap()["values"][0]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(kept.replace('T', " ").replace('Z', " UTC"), told[0]);
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
            name: "graph.png".to_owned(),
            content_type: "image/png".to_owned(),
            bytes: vec![0x89, b'P', b'N', b'G', 0, 255, 10, 13],
        },
    ];
    let remote = done(tracker(&service, "queue = \"Monitoring\"").open(&one).await);
    let path = format!(
        "/ticket/{}/attachments?fields=Filename,ContentType",
        remote.key
    );
    let list = service
        .call(&service.agent, "GET", &path, Value::Null)
        .await;
    let items = list.get("items").unwrap().as_array().unwrap();
    let graph = items
        .iter()
        .find(|item| item.get("Filename").unwrap() == "graph.png");
    let graph = graph.unwrap_or_else(|| panic!("{list}"));
    assert_eq!(graph.get("ContentType").unwrap(), "image/png");
    let path = format!("/attachment/{}", graph.get("id").unwrap().as_str().unwrap());
    let whole = service
        .call(&service.agent, "GET", &path, Value::Null)
        .await;
    use base64::Engine as _;
    let text: String = whole
        .get("Content")
        .unwrap()
        .as_str()
        .unwrap()
        .split_whitespace()
        .collect();
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text)
        .unwrap();
    assert_eq!(bytes, one.attachments[1].bytes);
}

#[tokio::test]
async fn what_a_route_gives_is_there_and_what_rt_would_drop_is_refused_by_name() {
    let Some(service) = service("fields of routes in RT") else {
        return;
    };
    let rt = tracker(&service, "queue = \"Monitoring\"");
    let mut one = draft(&fresh_key(), "feed lost");
    one.requestor = "customer@example.com".to_owned();
    one.watchers = vec!["agent1@alertbridge.test".to_owned()];
    one.custom = vec![("AlertSite".to_owned(), "ams-1 \"x\" {y}".to_owned())];
    let remote = done(rt.open(&one).await);
    let path = format!("/ticket/{}", remote.key);
    let ticket = service
        .call(&service.agent, "GET", &path, Value::Null)
        .await
        .to_string();
    assert!(ticket.contains("customer@example.com"), "{ticket}");
    assert!(ticket.contains("agent1"), "{ticket}");
    assert!(ticket.contains("ams-1 \\\"x\\\" {y}"), "{ticket}");

    one.key = fresh_key();
    one.custom.push(("Rack".to_owned(), "r7".to_owned()));
    let called = rt.open(&one).await;
    let Called::Refused { field, .. } = called else {
        panic!("{called:?}");
    };
    assert_eq!(field.as_deref(), Some("Rack"));
    assert_eq!(done(rt.find(&one.key).await), Vec::new());

    let asked = |queue: &str, field: &str| Asked {
        route: "noc".to_owned(),
        queue: queue.to_owned(),
        custom: vec![field.to_owned()],
        ..Asked::default()
    };
    let good = rt.check_asked(&[asked("", "AlertSite")]).await;
    assert!(good.iter().all(Result::is_ok), "{good:?}");
    for (queue, field) in [
        ("", "Rack"),
        ("Plain", "AlertSite"),
        ("Nowhere", "AlertSite"),
    ] {
        let said = rt.check_asked(&[asked(queue, field)]).await;
        assert!(said.iter().any(Result::is_err), "{queue} {field}: {said:?}");
    }
}
