//! What senders need at the door before and besides their messages, over real sockets: handshakes,
//! SNS's signature, heartbeats, each kind of credential as the senders show it, and the limits and
//! answers of the drop-in receivers.

#![allow(clippy::unwrap_used, clippy::panic)]

mod daemon_support;
mod intake_support;

use alertbridge::intake::sns_trust::{Fetch, WebFetch};
use alertbridge::intake::source::{Credential, HeartbeatConfig, SourceConfig};
use alertbridge::model::{EventState, Input, Outcome, Time};
use daemon_support::Daemon;
use futures_util::future::BoxFuture;
use intake_support::http_door::{Door, ask, open, open_real, post};
use serde_json::Value;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const TOPIC: &str = "arn:aws:sns:ap-southeast-2:904411223355:noc-alerts";
const SNS_HOST: &str = "sns.ap-southeast-2.amazonaws.com";
const SIGNED: &str = "x-amz-sns-message-type: Notification\r\n";

fn data(file: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    std::fs::read(folder.join(file)).unwrap()
}

fn at(text: &str) -> Time {
    Time::parse_rfc3339(text).unwrap()
}

fn credentials(text: &str) -> Vec<Credential> {
    #[derive(serde::Deserialize)]
    struct Holder {
        credentials: Vec<Credential>,
    }
    toml::from_str::<Holder>(text).unwrap().credentials
}

/// A secret as the configuration takes it: in a file.
fn secret(text: &str) -> String {
    let path = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    let path = path.keep().unwrap();
    std::fs::write(&path, text).unwrap();
    format!("{{ file = {path:?} }}")
}

/// Answers from a table, and remembers what was asked for.
#[derive(Default)]
struct TableFetch {
    asked: Mutex<Vec<String>>,
    fails: Mutex<bool>,
}

impl Fetch for TableFetch {
    fn get(&self, url: url::Url) -> BoxFuture<'_, Result<Vec<u8>, String>> {
        self.asked.lock().unwrap().push(url.to_string());
        let fails = *self.fails.lock().unwrap();
        Box::pin(async move {
            if fails {
                return Err("no route to host".to_owned());
            }
            Ok(data("sns/certificate.pem"))
        })
    }
}

fn sns_source() -> SourceConfig {
    let mut source = SourceConfig::new("aws", "sns");
    source.credentials = credentials(&format!(
        "[[credentials]]\ntype = \"sns\"\ntopics = [\"{TOPIC}\"]\n"
    ));
    source
}

async fn sns_door(now: &str) -> (Door, Arc<TableFetch>) {
    let fetch = Arc::new(TableFetch::default());
    let door = open_real(vec![sns_source()], at(now), fetch.clone()).await;
    (door, fetch)
}

#[tokio::test]
async fn a_message_that_sns_signed_is_taken_and_its_certificate_is_fetched_once() {
    let (door, fetch) = sns_door("2026-08-21T02:15:00Z").await;
    let body = data("formats/sns/cloudwatch-alarm.json");
    for _ in 0..3 {
        let (status, ..) = ask(&door, post("/hooks/aws", SIGNED, &body)).await;
        assert_eq!(status, 200);
    }
    let asked = fetch.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert!(asked[0].starts_with("https://sns.ap-southeast-2.amazonaws.com/"));
    let inputs = door.bench.journal.inputs();
    let [Input::Message(message)] = inputs.as_slice() else {
        panic!("{inputs:?}");
    };
    assert_eq!(message.events[0].state, EventState::Firing);
}

#[tokio::test]
async fn a_forged_message_is_refused_and_nothing_strange_is_fetched() {
    let (door, fetch) = sns_door("2026-08-21T02:15:00Z").await;
    let refused = |body: Vec<u8>| ask(&door, post("/hooks/aws", SIGNED, body));
    let (status, _, said) = refused(data("sns/sns-bad-signature.json")).await;
    assert_eq!(status, 401);
    assert!(
        !said.contains("signature") && !said.contains("topic"),
        "{said}"
    );
    assert_eq!(fetch.asked.lock().unwrap().len(), 1);
    assert_eq!(refused(data("sns/sns-bad-cert-host.json")).await.0, 401);
    let mut other: Value = serde_json::from_slice(&data("formats/sns/cloudwatch-ok.json")).unwrap();
    other["TopicArn"] = format!("{TOPIC}-2").into();
    assert_eq!(refused(other.to_string().into_bytes()).await.0, 401);
    assert_eq!(refused(b"{}".to_vec()).await.0, 401);
    assert_eq!(
        fetch.asked.lock().unwrap().len(),
        1,
        "only the first may fetch"
    );
    let unauthorized = door.bench.counts.outcome_of("aws", Outcome::Unauthorized);
    assert_eq!(unauthorized, 4);
    assert!(door.bench.journal.inputs().is_empty());
}

#[tokio::test]
async fn a_subscription_is_confirmed_once_it_is_stored_and_only_for_our_topics() {
    let (door, fetch) = sns_door("2026-08-21T01:00:30Z").await;
    let body = data("formats/sns/subscription.json");
    let kind = "x-amz-sns-message-type: SubscriptionConfirmation\r\n";
    assert_eq!(ask(&door, post("/hooks/aws", kind, &body)).await.0, 200);
    let asked = fetch.asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(
        asked[1].contains("Action=ConfirmSubscription") && asked[1].contains(SNS_HOST),
        "{asked:?}"
    );
    assert_eq!(door.bench.journal.inputs().len(), 1);
    // An end of a subscription is told, never undone.
    let ended = data("formats/sns/unsubscribe.json");
    let sent = serde_json::from_slice::<Value>(&ended).unwrap()["Timestamp"].clone();
    let (door, fetch) = sns_door(sent.as_str().unwrap()).await;
    assert_eq!(ask(&door, post("/hooks/aws", "", &ended)).await.0, 200);
    let asked = fetch.asked.lock().unwrap().clone();
    assert!(
        asked.iter().all(|url| url.contains(".pem")),
        "only the certificate: {asked:?}"
    );
}

#[tokio::test]
async fn while_sns_cannot_be_reached_the_sender_tries_again() {
    let (door, fetch) = sns_door("2026-08-21T02:15:00Z").await;
    *fetch.fails.lock().unwrap() = true;
    let body = data("formats/sns/cloudwatch-alarm.json");
    let (status, head, _) = ask(&door, post("/hooks/aws", SIGNED, &body)).await;
    assert_eq!(status, 503, "4xx would be final for SNS");
    assert!(head.contains("retry-after"), "{head}");
    // Strangers who are refused too often wait with 503 as well.
    for _ in 0..40 {
        let _ = ask(&door, post("/hooks/aws", SIGNED, "{}")).await;
    }
    assert_eq!(ask(&door, post("/hooks/aws", SIGNED, "{}")).await.0, 503);
}

/// A server with TLS that says what it is told, and counts its requests.
async fn tls_server(
    name: &str,
    said: &'static str,
) -> (std::net::SocketAddr, String, Arc<Mutex<u32>>) {
    use rustls::pki_types::pem::PemObject;
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let key = made.signing_key.serialize_pem();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![made.cert.der().clone()],
            rustls::pki_types::PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
        )
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let count = Arc::new(Mutex::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            *counted.lock().unwrap() += 1;
            let mut asked = [0; 4096];
            let _ = stream.read(&mut asked).await;
            let _ = stream.write_all(said.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    (address, made.cert.pem(), count)
}

fn fetch_at(address: std::net::SocketAddr, root: &str) -> WebFetch {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let root = reqwest::Certificate::from_pem(root.as_bytes()).unwrap();
    WebFetch::with(|client| {
        client
            .tls_certs_only([root])
            .resolve(SNS_HOST, address)
            .no_proxy()
    })
    .unwrap()
}

#[tokio::test]
async fn what_is_fetched_comes_over_tls_from_the_named_host_and_from_nowhere_else() {
    let place = || url::Url::parse(&format!("https://{SNS_HOST}/a.pem")).unwrap();
    let fine = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    let (address, root, count) = tls_server(SNS_HOST, fine).await;
    let fetch = fetch_at(address, &root);
    assert_eq!(fetch.get(place()).await.unwrap(), b"ok");
    // The right address with another host's certificate.
    let (other, other_root, others) = tls_server("attacker.example", fine).await;
    assert!(fetch_at(other, &other_root).get(place()).await.is_err());
    // A certificate of a root that is not ours.
    assert!(fetch_at(address, &other_root).get(place()).await.is_err());
    assert_eq!(*others.lock().unwrap(), 0);
    let plain = url::Url::parse(&format!("http://{SNS_HOST}/a.pem")).unwrap();
    assert!(fetch.get(plain).await.is_err(), "http is refused");
    assert_eq!(*count.lock().unwrap(), 1);
    let moved = "HTTP/1.1 302 Found\r\nLocation: https://sns.ap-southeast-2.amazonaws.com/b\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let (address, root, count) = tls_server(SNS_HOST, moved).await;
    let told = fetch_at(address, &root).get(place()).await.unwrap_err();
    assert!(told.contains("302"), "{told}");
    assert_eq!(*count.lock().unwrap(), 1, "a redirect is not followed");
    let long: &'static str = Box::leak(
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 70000\r\nConnection: close\r\n\r\n{}",
            "x".repeat(70_000)
        )
        .into_boxed_str(),
    );
    let (address, root, _) = tls_server(SNS_HOST, long).await;
    let told = fetch_at(address, &root).get(place()).await.unwrap_err();
    assert!(told.contains("more than"), "{told}");
}

async fn asked(door: &Door, method: &str, path: &str, headers: &str) -> (u16, String, String) {
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n{headers}\r\n");
    ask(door, request.into_bytes()).await
}

#[tokio::test]
async fn cloudevents_ask_before_they_send() {
    let mut source = SourceConfig::new("events", "cloudevents");
    source.credentials = credentials(&format!(
        "[[credentials]]\ntype = \"bearer\"\ntoken = {}\n",
        secret("t")
    ));
    source.rate = Some(1);
    let door = open(vec![source]).await;
    let wants = "WebHook-Request-Origin: fac.example.net\r\nWebHook-Request-Rate: 120\r\n";
    let (status, head, _) = asked(&door, "OPTIONS", "/hooks/events", wants).await;
    assert_eq!(status, 200);
    for line in [
        "allow: POST, OPTIONS",
        "webhook-allowed-origin: fac.example.net",
        "webhook-allowed-rate: 60",
    ] {
        assert!(head.contains(line), "{line} in {head}");
    }
    assert_eq!(asked(&door, "OPTIONS", "/hooks/nobody", wants).await.0, 405);
    let unproven = post("/hooks/events", "", "{}");
    assert_eq!(ask(&door, unproven).await.0, 401, "asking proves nothing");
    assert!(door.bench.journal.inputs().is_empty());
}

#[tokio::test]
async fn a_challenge_is_answered_by_the_secret_of_the_source_alone() {
    let mut source = SourceConfig::new("netdata-cloud", "netdata");
    source.challenge = Some("Jefe".into());
    let door = open(vec![source]).await;
    let path = "?crc_token=what%20do%20ya%20want%20for%20nothing%3F";
    let (status, _, body) = asked(&door, "GET", &format!("/hooks/netdata-cloud{path}"), "").await;
    assert_eq!(status, 200);
    // RFC 4231 case 2.
    let known = "sha256=W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=";
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["response_token"], known);
    assert!(door.bench.journal.inputs().is_empty());
    let (_, _, body) = asked(&door, "GET", &format!("/hooks/tiny{path}"), "").await;
    assert!(!body.contains("response_token"), "{body}");
}

#[tokio::test]
async fn a_heartbeat_is_heard_by_its_name_and_its_key_in_every_way_that_clients_ping() {
    let mut source = SourceConfig::new("team", "opsgenie");
    source.keys.push("genie".into());
    source.heartbeats = vec![HeartbeatConfig {
        matchers: Vec::new(),
        name: "nightly-backup".to_owned(),
        every: Duration::from_secs(3600),
    }];
    let door = open_real(vec![source], Time(0), Arc::new(TableFetch::default())).await;
    let genie = "Authorization: GenieKey genie\r\n";
    for method in ["GET", "POST", "PUT", "PATCH"] {
        let path = "/v2/heartbeats/nightly-backup/ping";
        let (status, head, body) = asked(&door, method, path, genie).await;
        assert_eq!(status, 202, "{method}");
        assert!(head.contains("x-request-id: "), "{head}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["result"], "PONG - Heartbeat received");
    }
    let named = "/hooks/team/v2/heartbeats/nightly-backup/ping";
    assert_eq!(asked(&door, "GET", named, genie).await.0, 202);
    let heard = door.bench.journal.inputs();
    assert_eq!(heard.len(), 5);
    for input in &heard {
        let Input::Message(message) = input else {
            panic!("{input:?}");
        };
        assert_eq!(message.source, "team/nightly-backup");
        assert_eq!(message.sender, "heartbeat");
    }
    assert_eq!(asked(&door, "GET", named, "").await.0, 401);
    // Another name is heard as well, and said to be nobody's.
    assert_eq!(
        asked(&door, "GET", "/v2/heartbeats/other/ping", genie)
            .await
            .0,
        202
    );
    let Some(Input::Message(message)) = door.bench.journal.inputs().pop() else {
        panic!("nothing was kept");
    };
    assert_eq!(message.source, "team");
    assert!(
        message.problems[0].contains("`other` is no heartbeat"),
        "{message:?}"
    );
}

#[tokio::test]
async fn opsgenie_clients_learn_what_became_of_a_request() {
    let mut team = SourceConfig::new("team", "opsgenie");
    team.keys.push("genie".into());
    let mut others = SourceConfig::new("others", "opsgenie");
    others.keys.push("lamp".into());
    let door = open_real(vec![team, others], Time(0), Arc::new(TableFetch::default())).await;
    let genie = "Authorization: GenieKey genie\r\n";
    let created = r#"{"message":"inlet is hot","alias":"edge-sw1-inlet"}"#;
    let (status, head, body) = ask(&door, post("/v2/alerts", genie, created)).await;
    assert_eq!(status, 202);
    assert!(head.contains("x-ratelimit-state: OK"), "{head}");
    let body: Value = serde_json::from_str(&body).unwrap();
    let id = body["requestId"].as_str().unwrap().to_owned();
    assert!(!id.is_empty());
    let path = format!("/v2/alerts/requests/{id}");
    let (status, _, body) = asked(&door, "GET", &path, genie).await;
    assert_eq!(status, 200);
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["data"]["alias"], "edge-sw1-inlet");
    assert_eq!(body["data"]["isSuccess"], true);
    assert_eq!(body["data"]["action"], "Create");
    // A repeat costs no row and is looked up as the one before it.
    let (_, _, body) = ask(&door, post("/v2/alerts", genie, created)).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["requestId"], id.as_str());
    let lamp = "Authorization: GenieKey lamp\r\n";
    let (status, head, _) = asked(&door, "GET", &path, lamp).await;
    assert_eq!(status, 404, "another team's request");
    assert!(
        head.contains("x-opsgenie-errortype: RequestNotProcessed"),
        "{head}"
    );
    // Without a key: the source of unknown keys, which loopback believes.
    assert_eq!(asked(&door, "GET", &path, "").await.0, 404);
    let close = "/v2/alerts/edge-sw1-inlet/close?identifierType=alias";
    assert_eq!(ask(&door, post(close, genie, "")).await.0, 202);
    let (status, _, body) = ask(&door, post("/v2/alerts", genie, "{}")).await;
    assert_eq!(status, 422);
    let body: Value = serde_json::from_str(&body).unwrap();
    assert!(
        body["errors"].is_object() && body["message"].is_string(),
        "{body}"
    );
}

#[tokio::test]
async fn pagerduty_clients_find_the_answers_and_limits_of_the_original() {
    let mut team = SourceConfig::new("team", "pagerduty");
    team.keys.push("r0uting".into());
    team.rate = Some(1);
    let door = open_real(vec![team], Time(0), Arc::new(TableFetch::default())).await;
    let send = |event: Value| ask(&door, post("/v2/enqueue", "", event.to_string()));
    let mut event = serde_json::json!({
        "routing_key": "r0uting", "event_action": "trigger",
        "payload": {"summary": "UPS on battery", "source": "ups2", "severity": "error"},
    });
    let (status, _, body) = send(event.clone()).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, body["status"].as_str()), (202, Some("success")));
    assert_eq!(body["message"], "Event processed");
    let key = body["dedup_key"].as_str().unwrap().to_owned();
    event["dedup_key"] = key.as_str().into();
    for action in ["acknowledge", "resolve"] {
        event["event_action"] = action.into();
        let (status, _, body) = send(event.clone()).await;
        assert_eq!(status, 202, "{action}");
        assert!(body.contains(&key), "{body}");
    }
    assert!(door.bench.counts.odd.lock().unwrap().is_empty());
    let states: Vec<(EventState, Option<String>)> = door
        .bench
        .journal
        .inputs()
        .into_iter()
        .map(|input| match input {
            Input::Message(message) => {
                let event = &message.events[0];
                (event.state, event.dedup_key.clone())
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let key = Some(key);
    assert_eq!(
        states,
        [
            (EventState::Firing, key.clone()),
            (EventState::Acknowledged, key.clone()),
            (EventState::Resolved, key)
        ]
    );
    let nothing = serde_json::json!({"routing_key": "r0uting", "event_action": "trigger",
        "payload": {"summary": "", "severity": "fatal"}});
    let (status, _, body) = send(nothing).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (status, body["status"].as_str()),
        (400, Some("invalid event"))
    );
    assert!(body["errors"].is_array(), "{body}");
    let mut odd = event.clone();
    odd["payload"]["severity"] = "dreadful".into();
    odd["event_action"] = "trigger".into();
    assert_eq!(
        send(odd).await.0,
        202,
        "an unknown word is no reason to lose it"
    );
    assert_eq!(door.bench.counts.odd.lock().unwrap()["team"], 1);
    event["payload"]["custom_details"] = "x".repeat(600 * 1024).into();
    assert_eq!(send(event.clone()).await.0, 413);
    let change = serde_json::json!({"routing_key": "r0uting", "payload": {"summary": "deploy"}});
    let changed = ask(&door, post("/v2/change/enqueue", "", change.to_string())).await;
    assert_eq!(changed.0, 202);
    assert!(
        changed.2.contains("Change event processed"),
        "{}",
        changed.2
    );
    let strange = serde_json::json!({"routing_key": "wrong", "event_action": "resolve",
        "dedup_key": "x"});
    let (status, _, body) = ask(
        &door,
        post("/hooks/team/v2/enqueue", "", strange.to_string()),
    )
    .await;
    assert_eq!(status, 401);
    assert!(!body.contains("routing_key"), "{body}");
    let mut last = (0, String::new(), String::new());
    for number in 0..12 {
        let event = serde_json::json!({"routing_key": "r0uting", "event_action": "resolve",
            "dedup_key": number.to_string()});
        last = send(event).await;
    }
    assert_eq!(last.0, 429);
    assert!(last.2.contains("throttle exceeded"), "{}", last.2);
    assert!(last.1.contains("retry-after"), "{}", last.1);
}

#[tokio::test]
async fn alertmanager_clients_are_told_of_faults_and_the_rest_is_stored() {
    let door = open_real(vec![], Time(0), Arc::new(TableFetch::default())).await;
    let sound = r#"{"labels":{"alertname":"A","host":"h"}}"#;
    let send = |list: String| ask(&door, post("/api/v2/alerts", "", list));
    let (status, _, body) = send(format!("[{sound}]")).await;
    assert_eq!((status, body.as_str()), (200, ""));
    assert_eq!(send("[]".to_owned()).await.0, 200);
    let partly = format!(
        r#"[{},{{"labels":{{"x":""}}}}]"#,
        sound.replace("\"A\"", "\"B\"")
    );
    let (status, _, body) = send(partly).await;
    assert_eq!(status, 400);
    assert!(
        serde_json::from_str::<String>(&body)
            .unwrap()
            .contains("member 2"),
        "{body}"
    );
    let found: usize = door
        .bench
        .journal
        .inputs()
        .iter()
        .map(|input| match input {
            Input::Message(message) => message.events.len(),
            _ => 0,
        })
        .sum();
    assert_eq!(found, 2);
}

#[tokio::test]
async fn a_clock_that_runs_far_ahead_does_not_make_all_that_follows_late() {
    let now = at("2026-08-21T06:00:00Z");
    let nowhere = Arc::new(TableFetch::default());
    let door = open_real(vec![SourceConfig::new("team", "native")], now, nowhere).await;
    let said = |summary: &str, starts_at: &str| {
        let event = serde_json::json!({"dedup_key": "k", "state": "firing", "summary": summary,
            "starts_at": starts_at});
        ask(&door, post("/hooks/team", "", event.to_string()))
    };
    let soon = "2026-08-22T06:00:00Z";
    assert_eq!(said("by a day", soon).await.0, 200);
    assert_eq!(said("by years", "2062-08-21T06:00:00Z").await.0, 200);
    let inputs = door.bench.journal.inputs();
    let events: Vec<_> = inputs
        .iter()
        .flat_map(|input| match input {
            Input::Message(message) => message.events.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0].starts_at, Some(at(soon)));
    assert!(events[0].problems.is_empty());
    assert_eq!(events[1].starts_at, None);
    assert!(
        events[1].problems[0].contains("too far ahead"),
        "{events:?}"
    );
    assert_eq!(door.bench.counts.odd.lock().unwrap()["team"], 1);
}

#[tokio::test]
async fn a_storm_in_one_message_is_taken_whole() {
    let nowhere = Arc::new(TableFetch::default());
    let source = SourceConfig::new("alertmanager", "alertmanager");
    let door = open_real(vec![source], at("2026-08-21T06:00:00Z"), nowhere).await;
    let alerts: Vec<Value> = (0..1_500)
        .map(|host| {
            serde_json::json!({"status": "firing", "labels": {"alertname": "HostDown",
                "instance": format!("host{host}.example.net"), "severity": "critical",
                "rack": "r1"}, "annotations": {"description": "s".repeat(4_000)},
                "startsAt": "2026-08-21T05:59:00Z", "endsAt": "0001-01-01T00:00:00Z"})
        })
        .collect();
    let storm = serde_json::json!({"version": "4", "status": "firing", "receiver": "r",
        "groupKey": "{}", "alerts": alerts});
    let storm = storm.to_string();
    assert!(storm.len() > 5 * 1024 * 1024, "{}", storm.len());
    let (status, _, said) = ask(&door, post("/hooks/alertmanager", "", &storm)).await;
    assert_eq!(status, 200, "{said}");
    let inputs = door.bench.journal.inputs();
    let events = inputs.iter().map(|input| match input {
        Input::Message(message) => message.events.len(),
        other => panic!("{other:?}"),
    });
    assert_eq!(events.sum::<usize>(), 1_500);
}

/// Statuses of one request each.
async fn statuses(door: &Door, path: &str, requests: &[(&str, &str)]) -> Vec<u16> {
    let mut found = Vec::new();
    for (headers, body) in requests {
        found.push(ask(door, post(path, headers, body)).await.0);
    }
    found
}

#[tokio::test]
async fn each_kind_of_credential_is_taken_as_its_senders_show_it() {
    let mut sources = Vec::new();
    let mut source = |name: &str, text: String| {
        let mut source = SourceConfig::new(name, "tiny");
        source.credentials = credentials(&text);
        sources.push(source);
    };
    let (old, new) = (secret("old"), secret("new"));
    source(
        "rotating",
        format!(
            "[[credentials]]\ntype='bearer'\ntoken={old}\n[[credentials]]\ntype='bearer'\ntoken={new}"
        ),
    );
    source(
        "basic",
        format!("[[credentials]]\ntype='basic'\nuser='u'\npassword={new}"),
    );
    source(
        "header",
        format!("[[credentials]]\ntype='header'\nname='X-Secret'\nvalue={new}"),
    );
    source(
        "query",
        format!("[[credentials]]\ntype='query'\nname='auth_token'\nvalue={new}"),
    );
    // Meraki's secret stands in the body, StatusCake's and PRTG's in a form.
    source(
        "body",
        format!("[[credentials]]\ntype='body'\nname='sharedSecret'\nvalue={new}"),
    );
    let door = open(sources).await;
    let key = r#"{"key":"a"}"#;
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    let found = statuses(
        &door,
        "/hooks/rotating",
        &[
            (&bearer("old"), key),
            (&bearer("new"), key),
            (&bearer("x"), key),
            ("", key),
        ],
    )
    .await;
    assert_eq!(found, [200, 200, 401, 401]);
    // u:new and u:old.
    let basic = |written: &str| format!("Authorization: Basic {written}\r\n");
    let found = statuses(
        &door,
        "/hooks/basic",
        &[
            (&basic("dTpuZXc="), key),
            (&basic("dTpvbGQ="), key),
            (&basic("???"), key),
        ],
    )
    .await;
    assert_eq!(found, [200, 401, 401]);
    let (_, head, _) = ask(&door, post("/hooks/basic", "", key)).await;
    assert!(head.contains("www-authenticate: Basic"), "{head}");
    let found = statuses(
        &door,
        "/hooks/header",
        &[("X-Secret: new\r\n", key), ("X-Secret: old\r\n", key)],
    )
    .await;
    assert_eq!(found, [200, 401]);
    assert_eq!(
        statuses(&door, "/hooks/query?auth_token=new", &[("", key)]).await,
        [200]
    );
    assert_eq!(
        statuses(&door, "/hooks/query?auth_token=x", &[("", key)]).await,
        [401]
    );
    let found = statuses(
        &door,
        "/hooks/body",
        &[
            ("", r#"{"key":"a","sharedSecret":"new"}"#),
            ("", r#"{"key":"a","sharedSecret":"old"}"#),
            ("", r#"{"key":"a","sharedSecret":["new"]}"#),
            ("", "sharedSecret=new&key=a"),
            ("", "sharedSecret=&key=a"),
        ],
    )
    .await;
    assert_eq!(found, [200, 401, 401, 200, 401]);
    let raws = String::from_utf8(door.bench.journal.raws().concat()).unwrap();
    for secret in ["old", "new", "dTpuZXc="] {
        assert!(!raws.contains(secret), "{secret} was kept: {raws}");
    }
}

#[tokio::test]
async fn signatures_of_the_senders_own_samples_fit() {
    let signed = [
        // Grafana: hex of the body; with a time: the time, a colon and the body.
        (
            "grafana",
            "type='hmac'\nheader='X-Grafana-Alerting-Signature'",
        ),
        ("sentry", "type='hmac'\nheader='Sentry-Hook-Signature'"),
        ("mist", "type='hmac'\nheader='X-Mist-Signature-v2'"),
        (
            "zabbix",
            "type='hmac'\nheader='X-Alertbridge-Signature'\nprefix='sha256='",
        ),
        (
            "aruba",
            "type='hmac'\nheader='X-Central-Signature'\nencoding='base64'\nappended_headers=['X-Central-Service','X-Central-Delivery-Id','X-Central-Delivery-Timestamp']",
        ),
    ];
    let mut sources = Vec::new();
    for (kind, text) in signed {
        let mut source = SourceConfig::new(format!("s-{kind}"), "tiny");
        let text = format!("[[credentials]]\n{text}\nsecret={}", secret("hmac secret"));
        source.credentials = credentials(&text);
        sources.push(source);
    }
    let door = open(sources).await;
    let body = r#"{"key":"caf\u00e9", "n":1.50}"#;
    let hex = hmac_hex("hmac secret", body);
    let base64 = {
        use base64::Engine;
        let signed = format!("{body}Alerts7d1f1787000000");
        base64::engine::general_purpose::STANDARD.encode(hmac_bytes("hmac secret", &signed))
    };
    let aruba = format!(
        "X-Central-Signature: {base64}\r\nX-Central-Service: Alerts\r\nX-Central-Delivery-Id: 7d1f\r\nX-Central-Delivery-Timestamp: 1787000000\r\n"
    );
    for (kind, headers) in [
        (
            "grafana",
            format!("X-Grafana-Alerting-Signature: {hex}\r\n"),
        ),
        ("sentry", format!("Sentry-Hook-Signature: {hex}\r\n")),
        ("mist", format!("X-Mist-Signature-v2: {hex}\r\n")),
        (
            "zabbix",
            format!("X-Alertbridge-Signature: sha256={hex}\r\n"),
        ),
        ("aruba", aruba),
    ] {
        let path = format!("/hooks/s-{kind}");
        assert_eq!(
            ask(&door, post(&path, &headers, body)).await.0,
            200,
            "{kind}"
        );
        let other = body.replace("1.50", "1.5");
        assert_eq!(
            ask(&door, post(&path, &headers, other)).await.0,
            401,
            "{kind}"
        );
    }
}

/// What Grafana and Sentry wrote beside these very bytes, a time ago.
#[tokio::test]
async fn signatures_that_were_recorded_with_their_messages_fit() {
    let signed = |name: &str, kind: &str, keys: &str, shared: &str| {
        let mut source = SourceConfig::new(name, kind);
        let text = format!(
            "[[credentials]]\ntype='hmac'\n{keys}\nsecret={}",
            secret(shared)
        );
        source.credentials = credentials(&text);
        source
    };
    let header = "header='X-Grafana-Alerting-Signature'";
    let timed = format!("{header}\ntimestamp_header='X-Grafana-Alerting-Timestamp'");
    let grafana = "alertbridge-fixture-secret";
    let sentry = "sentry-fixture-client-secret";
    let sources = || {
        vec![
            signed("plain", "grafana", header, grafana),
            signed("timed", "grafana", &timed, grafana),
            signed("sentry", "sentry", "header='Sentry-Hook-Signature'", sentry),
        ]
    };
    let open_at = |at: i64| {
        open_real(
            sources(),
            Time::from_seconds(at),
            Arc::new(TableFetch::default()),
        )
    };
    let door = open_at(1_787_296_370).await;
    let body = data("formats/grafana/grafana-hmac.json");
    let plain = "3ba8de87b150288e1377e4d6f531778c23d600369965033d5b5637a59a16c7fb";
    let at_time = "09a59d05840fc8e23754bba988569d942410eb786303acffd79c68525bec2b61";
    let shown = |signature: &str| format!("X-Grafana-Alerting-Signature: {signature}\r\n");
    let then = "X-Grafana-Alerting-Timestamp: 1787296360\r\n";
    let later = "X-Grafana-Alerting-Timestamp: 1787296361\r\n";
    for (path, headers, status) in [
        ("/hooks/plain", shown(plain), 200),
        ("/hooks/plain", shown(at_time), 401),
        ("/hooks/timed", shown(at_time) + then, 200),
        ("/hooks/timed", shown(at_time) + later, 401),
        ("/hooks/timed", shown(at_time), 401),
        ("/hooks/timed", shown(plain) + then, 401),
    ] {
        let found = ask(&door, post(path, &headers, &body)).await.0;
        assert_eq!(found, status, "{path} {headers}");
    }
    for (file, signature) in [
        (
            "issue-alert",
            "3ea6b6583c6088aa55723d3dd87167e3afe4c47d4e8f327b67fc3abd21f8bdee",
        ),
        (
            "issue-alert-unicode-no-env",
            "a725c5751412326dbaf0d76052141e7df70defc0162a723abf848c7065df0a18",
        ),
        (
            "metric-warning",
            "bd3dcd066ca51701229174dfb9296e67b1ae7f14fc56514fbd9934f28f79985d",
        ),
    ] {
        let body = data(&format!("formats/sentry/{file}.json"));
        let headers = format!("Sentry-Hook-Signature: {signature}\r\n");
        let found = ask(&door, post("/hooks/sentry", &headers, &body)).await.0;
        assert_eq!(found, 200, "{file}");
        // The same to a reader of JSON, and other bytes.
        let again = [&body[..], b" "].concat();
        let found = ask(&door, post("/hooks/sentry", &headers, again)).await.0;
        assert_eq!(found, 401, "{file} written anew");
    }
    // Sent again after the time for which a signature counts.
    let door = open_at(1_787_296_661).await;
    let headers = shown(at_time) + then;
    assert_eq!(
        ask(&door, post("/hooks/timed", &headers, &body)).await.0,
        401
    );
    let headers = shown(plain);
    assert_eq!(
        ask(&door, post("/hooks/plain", &headers, &body)).await.0,
        200
    );
}

fn hmac_bytes(secret: &str, text: &str) -> Vec<u8> {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = <Hmac<sha2::Sha256> as KeyInit>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hmac_hex(secret: &str, text: &str) -> String {
    let bytes = hmac_bytes(secret, text);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn addresses_are_held_to_their_ranges_behind_trusted_proxies_too() {
    use alertbridge::intake::http::HttpSettings;
    use alertbridge::intake::listener::ListenerLimits;
    use alertbridge::intake::tls::TlsSlot;
    let mut near = SourceConfig::new("near", "tiny");
    near.addresses = vec!["127.0.0.0/8".parse().unwrap()];
    let mut far = SourceConfig::new("far", "tiny");
    far.addresses = vec![
        "192.0.2.0/24".parse().unwrap(),
        "2001:db8::/32".parse().unwrap(),
    ];
    far.credentials = credentials(&format!(
        "[[credentials]]\ntype='bearer'\ntoken={}",
        secret("t")
    ));
    let settings = HttpSettings {
        loopback: false,
        trusted_proxies: vec!["127.0.0.1/32".parse().unwrap()],
        ..HttpSettings::default()
    };
    let door = intake_support::http_door::open_with(
        vec![near, far],
        settings,
        ListenerLimits::default(),
        TlsSlot::default(),
    )
    .await;
    let key = r#"{"key":"a"}"#;
    assert_eq!(statuses(&door, "/hooks/near", &[("", key)]).await, [200]);
    let token = "Authorization: Bearer t\r\n";
    let from = |address: &str| format!("{token}X-Forwarded-For: 203.0.113.9, {address}\r\n");
    let found = statuses(
        &door,
        "/hooks/far",
        &[
            (token, key),
            (&from("192.0.2.7"), key),
            (&from("2001:db8::7"), key),
            (&from("198.51.100.7"), key),
            ("X-Forwarded-For: 192.0.2.7\r\n", key),
        ],
    )
    .await;
    assert_eq!(found, [401, 200, 200, 401, 401]);
    // A source without credentials or ranges is nobody's off loopback.
    assert_eq!(statuses(&door, "/hooks/tiny", &[("", key)]).await, [401]);
}

#[test]
fn a_heartbeat_that_is_missed_opens_a_ticket_and_the_next_ping_ends_it() {
    let dir = tempfile::tempdir().unwrap();
    let more = "[[source]]\nname = \"jobs\"\nkind = \"opsgenie\"\n\
                heartbeats = [{ name = \"nightly\", every = \"2s\" }]\n";
    let daemon = Daemon::start_with(dir.path(), more, &[]);
    let ping = || daemon.ask("http", "GET", "/hooks/jobs/v2/heartbeats/nightly/ping", "");
    assert_eq!(ping().unwrap().0, 202);
    let tickets = daemon.until("the heartbeat is missed", |tickets| !tickets.is_empty());
    let title = tickets[0]["subject"].as_str().unwrap();
    assert!(
        title.contains("Heartbeat nightly of jobs is missing"),
        "{title}"
    );
    assert_eq!(ping().unwrap().0, 202);
    daemon.until("the ticket ends", |tickets| {
        tickets
            .iter()
            .any(|ticket| ticket["status"] == "resolved" || ticket["status"] == "closed")
    });
    let (ok, listed) = daemon.verb(&["sources"]);
    assert!(
        ok && listed.contains("jobs/nightly") && listed.contains("heartbeat 2"),
        "{listed}"
    );
    let counted = "alertbridge_alerts_total{outcome=\"heartbeat\",source=\"jobs/nightly\"} 2";
    assert!(daemon.metrics().contains(counted), "{}", daemon.metrics());
}

/// What curl says: the status, or 0 if the handshake failed.
fn curl(dir: &Path, url: &str, more: &[&str]) -> u16 {
    let output = std::process::Command::new("curl")
        .args([
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "--cacert",
            "server.pem",
        ])
        .args(more)
        .arg(url)
        .current_dir(dir)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().parse().unwrap()
}

fn curl_event(dir: &Path, url: &str, more: &[&str]) -> u16 {
    let event = ["-d", "{\"host\":\"h\",\"check\":\"c\",\"summary\":\"s\"}"];
    curl(dir, url, &[&event, more].concat())
}

#[test]
fn a_client_certificate_proves_a_source_to_the_daemon() {
    use alertbridge::intake::tls::fingerprint;
    let dir = tempfile::tempdir().unwrap();
    let made = |name: &str| {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = made.signing_key.serialize_pem();
        std::fs::write(dir.path().join(format!("{name}.pem")), made.cert.pem()).unwrap();
        std::fs::write(dir.path().join(format!("{name}.key")), key).unwrap();
        fingerprint(made.cert.der())
    };
    made("server");
    let named = rcgen::generate_simple_self_signed(["app.netdata.cloud".to_owned()]).unwrap();
    std::fs::write(dir.path().join("named.pem"), named.cert.pem()).unwrap();
    let key = named.signing_key.serialize_pem();
    std::fs::write(dir.path().join("named.key"), key).unwrap();
    let (old, new, _) = (made("old"), made("new"), made("stranger"));
    let roots = ["old", "new", "named"]
        .map(|name| std::fs::read_to_string(dir.path().join(format!("{name}.pem"))).unwrap());
    std::fs::write(dir.path().join("clients.pem"), roots.concat()).unwrap();
    let source = |name: &str, sha256: &str| {
        format!(
            "[[source]]\nname = \"{name}\"\nkind = \"native\"\n[[source.credentials]]\n\
             type = \"client_certificate\"\nsha256 = \"{sha256}\"\n"
        )
    };
    let colons: Vec<String> = new
        .as_bytes()
        .chunks(2)
        .map(|pair| String::from_utf8_lossy(pair).to_uppercase())
        .collect();
    let both = format!(
        "{}[[source.credentials]]\ntype = \"client_certificate\"\nsha256 = \"{}\"\n",
        source("netapp", &old),
        colons.join(":")
    );
    let more = format!(
        "[http]\nlisten = \"127.0.0.1:0\"\n\
         tls = {{ certificate = \"server.pem\", key = {{ file = \"server.key\" }}, \
         client_roots = \"clients.pem\" }}\n{both}{}{}",
        source("other", &old),
        source("cloud", "").replace("sha256 = \"\"", "name = \"app.netdata.cloud\"")
    );
    let daemon = Daemon::start_with(dir.path(), &more, &[]);
    let port = daemon.addresses["http"]
        .as_str()
        .unwrap()
        .rsplit(':')
        .next()
        .unwrap();
    let ask = |source: &str, name: Option<&str>| {
        let url = format!("https://localhost:{port}/hooks/{source}");
        match name {
            Some(name) => {
                let (cert, key) = (format!("{name}.pem"), format!("{name}.key"));
                curl_event(dir.path(), &url, &["--cert", &cert, "--key", &key])
            }
            None => curl_event(dir.path(), &url, &[]),
        }
    };
    assert_eq!(ask("netapp", Some("old")), 200);
    assert_eq!(ask("netapp", Some("new")), 200, "two are valid at once");
    assert_eq!(ask("other", Some("old")), 200);
    assert_eq!(ask("cloud", Some("named")), 200, "whichever bears the name");
    assert_eq!(ask("cloud", Some("old")), 401);
    assert_eq!(ask("other", Some("named")), 401);
    assert_eq!(
        ask("other", Some("new")),
        401,
        "another source's certificate"
    );
    assert_eq!(ask("netapp", None), 401);
    assert_eq!(ask("netapp", Some("stranger")), 0, "the handshake ends");
}

#[test]
fn each_door_of_the_daemon_speaks_tls() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(dir.path().join("server.pem"), made.cert.pem()).unwrap();
    let key = made.signing_key.serialize_pem();
    std::fs::write(dir.path().join("server.key"), key).unwrap();
    std::fs::write(
        dir.path().join("mail"),
        "From: a@b\r\nTo: alerts@bridge\r\nSubject: disk full\r\nMessage-ID: <1@b>\r\n\r\nfull\r\n",
    )
    .unwrap();
    let more: String = ["http", "operators", "smtp", "lmtp"]
        .iter()
        .map(|door| {
            format!(
                "[{door}]\nlisten = \"127.0.0.1:0\"\ntls = {{ certificate = \"server.pem\", \
                 key = {{ file = \"server.key\" }} }}\n"
            )
        })
        .collect();
    let daemon = Daemon::start_with(dir.path(), &more, &[]);
    let port = |door: &str| {
        let address = daemon.addresses[door].as_str().unwrap();
        address.rsplit(':').next().unwrap().to_owned()
    };
    let hook = format!("https://localhost:{}/hooks/native", port("http"));
    assert_eq!(curl_event(dir.path(), &hook, &[]), 200);
    let metrics = format!("https://localhost:{}/metrics", port("operators"));
    assert_eq!(curl(dir.path(), &metrics, &[]), 200);
    // In the clear there is no answer.
    assert_eq!(curl(dir.path(), &metrics.replace("https", "http"), &[]), 0);
    let sent = std::process::Command::new("curl")
        .args(["-sS", "--ssl-reqd", "--cacert", "server.pem"])
        .args([
            "--mail-from",
            "a@b",
            "--mail-rcpt",
            "alerts@bridge",
            "-T",
            "mail",
        ])
        .arg(format!("smtp://localhost:{}", port("smtp")))
        .current_dir(dir.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&sent.stderr).into_owned();
    assert!(sent.status.success(), "{told}");
    let mut lmtp = daemon.connect("lmtp").unwrap();
    std::io::Write::write_all(&mut lmtp, b"LHLO me\r\n").unwrap();
    let mut told = String::new();
    while !told.contains("STARTTLS") {
        let mut bytes = [0; 1024];
        let count = std::io::Read::read(&mut lmtp, &mut bytes).unwrap();
        assert!(count > 0, "{told}");
        told.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
}

#[test]
fn a_message_is_tried_with_its_rules_and_severity_and_a_mail_is_told_by_its_first_lines() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.toml");
    let text = "[engine]\nhold_outage = \"5m\"\n[[source]]\nname = \"mine\"\nkind = \"native\"\n\
                [[rule]]\nname = \"web is an outage\"\nmatch = [\"host=~web.*\"]\nhint = \"outage\"\n";
    std::fs::write(&config, text).unwrap();
    let message = dir.path().join("message.json");
    std::fs::write(
        &message,
        r#"{"host":"web1","check":"http","summary":"no answer"}"#,
    )
    .unwrap();
    let tried = |words: &[&std::ffi::OsStr]| -> Value {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_alertbridge"));
        let output = command
            .arg("try")
            .arg("--json")
            .args(words)
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let found = tried(&[
        "--source".as_ref(),
        "mine".as_ref(),
        "--config".as_ref(),
        config.as_os_str(),
        message.as_os_str(),
    ]);
    let decided = &found["decided"][0];
    assert_eq!(
        decided["rules"][0]["name"], "1 `web is an outage`",
        "{found}"
    );
    assert_eq!(decided["severity"], "S2", "{found}");
    assert_eq!(decided["outcome"], "held", "{found}");
    let alone = tried(&[message.as_os_str()]);
    assert_eq!(alone["sender"], "native");
    assert!(alone.get("decided").is_none(), "{alone}");
    let mail = dir.path().join("mail");
    std::fs::write(&mail, "From: a@example.net\r\nSubject: x\r\n\r\nhello\r\n").unwrap();
    assert_eq!(tried(&[mail.as_os_str()])["kind"], "mail");
    let http = dir.path().join("dump");
    std::fs::write(&http, "POST /x HTTP/1.1\r\nFrom: a\r\n\r\n{}").unwrap();
    assert_eq!(tried(&[http.as_os_str()])["kind"], "webhook");
}
