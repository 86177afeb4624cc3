//! The HTTP door over real sockets: what it takes, what it refuses, and that it never answers a
//! success before the commit.

#![allow(clippy::unwrap_used, clippy::panic)]

mod intake_support;
mod tls_client;

use alertbridge::intake::Refused;
use alertbridge::intake::http::HttpSettings;
use alertbridge::intake::listener::ListenerLimits;
use alertbridge::intake::source::{Credential, SourceConfig};
use alertbridge::intake::tls::{self, TlsSlot};
use alertbridge::model::{Input, Outcome};
use intake_support::http_door::{Door, answer, ask, open, open_with, post};
use intake_support::{Mode, until};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// A door with these settings, and everything else as it is by default.
async fn open_by(settings: HttpSettings) -> Door {
    open_with(
        vec![],
        settings,
        ListenerLimits::default(),
        TlsSlot::default(),
    )
    .await
}

async fn hook(door: &Door, body: &str) -> (u16, String) {
    let (status, _, body) = ask(door, post("/hooks/tiny", "", body)).await;
    (status, body)
}

#[tokio::test]
async fn a_hook_is_answered_after_the_commit_and_not_before() {
    let door = open(vec![]).await;
    door.bench.journal.set(Mode::Hold);
    let mut stream = TcpStream::connect(door.address).await.unwrap();
    stream
        .write_all(&post("/hooks/tiny", "", "{\"key\":\"a\"}"))
        .await
        .unwrap();
    let early = tokio::time::timeout(Duration::from_millis(200), answer(&mut stream)).await;
    assert!(early.is_err(), "answered before the commit: {early:?}");
    door.bench.journal.set(Mode::Commit);
    let (status, head, body) = answer(&mut stream).await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/json"), "{head}");
    assert_eq!(
        body,
        r#"{"status":"successful","ok":true,"event_id":"1","accepted":1}"#
    );
}

#[tokio::test]
async fn two_equal_first_posts_cost_one_row_and_both_wait_for_its_commit() {
    let door = open(vec![]).await;
    door.bench.journal.set(Mode::Hold);
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(door.address).await.unwrap();
        stream
            .write_all(&post("/hooks/tiny", "", "{\"key\":\"a\"}"))
            .await
            .unwrap();
        streams.push(stream);
    }
    for stream in &mut streams {
        let early = tokio::time::timeout(Duration::from_millis(100), answer(stream)).await;
        assert!(early.is_err());
    }
    door.bench.journal.set(Mode::Commit);
    for stream in &mut streams {
        assert_eq!(answer(stream).await.0, 200);
    }
    assert_eq!(door.bench.journal.inputs().len(), 1);
    assert_eq!(door.bench.counts.received_of("tiny"), 2);
    assert_eq!(
        door.bench.counts.outcome_of("tiny", Outcome::Deduplicated),
        1
    );
    door.bench.intake.append_repeats().await.unwrap();
    let Some(Input::Seen(seen)) = door.bench.journal.inputs().pop() else {
        panic!("no summary of repeats")
    };
    assert_eq!((seen.len(), seen[0].count), (1, 1));
}

#[tokio::test]
async fn when_the_first_of_two_equal_posts_fails_the_second_is_no_repeat() {
    let door = open(vec![]).await;
    door.bench.journal.set(Mode::Hold);
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(door.address).await.unwrap();
        stream
            .write_all(&post("/hooks/tiny", "", "{\"key\":\"a\"}"))
            .await
            .unwrap();
        streams.push(stream);
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    door.bench.journal.set(Mode::Fail);
    for stream in &mut streams {
        let (status, head, _) = answer(stream).await;
        assert_eq!(status, 503);
        assert!(head.contains("retry-after: "), "{head}");
    }
    assert_eq!(door.bench.counts.received_of("tiny"), 0);
    assert_eq!(door.bench.counts.refused_of(Refused::StoreUnavailable), 2);
    door.bench.journal.set(Mode::Commit);
    assert!(
        hook(&door, "{\"key\":\"a\"}")
            .await
            .1
            .contains("\"accepted\":1")
    );
}

#[tokio::test]
async fn a_full_backlog_and_an_unknown_path_are_told() {
    let door = open(vec![]).await;
    door.bench.journal.set(Mode::Full);
    assert_eq!(hook(&door, "{\"key\":\"a\"}").await.0, 503);
    assert_eq!(door.bench.counts.refused_of(Refused::BacklogFull), 1);
    assert_eq!(ask(&door, post("/hooks/none", "", "{}")).await.0, 404);
    assert_eq!(ask(&door, post("/", "", "{}")).await.0, 404);
    let put = b"OPTIONS /hooks/tiny HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    assert_eq!(ask(&door, put).await.0, 405);
}

#[tokio::test]
async fn what_cannot_be_decoded_goes_to_quarantine_with_its_bytes() {
    let door = open(vec![]).await;
    for body in [
        "not json",
        "{\"no\":1}",
        "{\"key\":7}",
        "{\"key\":\"panic\"}",
    ] {
        let (status, text) = hook(&door, body).await;
        assert_eq!(status, 200, "{body}");
        assert!(text.contains("\"quarantined\":1"), "{body}: {text}");
    }
    let (status, _, _) = ask(&door, post("/hooks/tiny", "", b"\xff\xfe{}")).await;
    assert_eq!(status, 200);
    let inputs = door.bench.journal.inputs();
    assert_eq!(inputs.len(), 5);
    let Input::Undecoded(panicked) = &inputs[3] else {
        panic!("{:?}", inputs[3])
    };
    assert!(
        panicked.reason.contains("the decoder's bug"),
        "{}",
        panicked.reason
    );
    assert!(door.bench.journal.raws()[0].ends_with(b"\r\n\r\nnot json"));
    assert!(door.bench.journal.raws()[4].ends_with(b"\xff\xfe{}"));
    assert_eq!(door.bench.counts.received_of("tiny"), 5);
    assert_eq!(
        door.bench.counts.outcome_of("tiny", Outcome::Quarantined),
        5
    );
}

#[tokio::test]
async fn native_events_have_one_result_each() {
    let door = open(vec![]).await;
    let list = r#"[{"key":"a"},{"no":1},{"key":"a"},{"key":"b","state":"resolved"}]"#;
    let (status, _, body) = ask(&door, post("/v1/events", "", list)).await;
    assert_eq!(status, 202, "{body}");
    let body: serde_json::Value = serde_json::from_str(&body).unwrap();
    let results: Vec<_> = body["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["result"].as_str().unwrap())
        .collect();
    assert_eq!(
        results,
        ["accepted", "quarantined", "duplicate", "accepted"]
    );
    assert_eq!(
        body["results"][1]["reason"],
        "`key` is missing; a text was expected"
    );
    assert_eq!(door.bench.counts.received_of("native"), 4);
    for bad in ["{", "\u{7f}", "[{}", "[]"] {
        assert_eq!(
            ask(&door, post("/v1/events", "", bad)).await.0,
            400,
            "{bad}"
        );
    }
    assert_eq!(ask(&door, post("/v1/events", "", b"\xff")).await.0, 400);
    let many = format!("[{}]", vec!["1"; 10_001].join(","));
    assert_eq!(ask(&door, post("/v1/events", "", many)).await.0, 413);
}

#[tokio::test]
async fn drop_in_receivers_answer_as_their_originals() {
    let mut keyed = SourceConfig::new("pd-team-a", "pagerduty");
    keyed.keys.push("R0UT1NG".into());
    keyed.keys.push("genie-1".into());
    let door = open(vec![keyed]).await;
    for path in ["/api/v2/alerts", "/hooks/tiny/api/v2/alerts"] {
        let (status, _, body) = ask(&door, post(path, "", "[{\"key\":\"a\"}]")).await;
        assert_eq!((status, body.as_str()), (200, ""), "{path}");
    }
    let event = r#"{"routing_key":"R0UT1NG","key":"p"}"#;
    let (status, _, body) = ask(&door, post("/v2/enqueue", "", event)).await;
    assert_eq!(status, 202);
    assert!(body.contains("\"dedup_key\":\"p\""), "{body}");
    assert_eq!(door.bench.counts.received_of("pd-team-a"), 1);
    let genie = "Authorization: GenieKey genie-1\r\n";
    let (status, _, body) = ask(&door, post("/v2/alerts", genie, "{\"key\":\"o\"}")).await;
    assert_eq!(status, 202);
    assert!(body.contains("Request will be processed"), "{body}");
    assert_eq!(door.bench.counts.received_of("pd-team-a"), 2);
    let ping = b"GET /v2/heartbeats/nightly/ping?name HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    assert_eq!(ask(&door, ping).await.0, 202);
    assert_eq!(door.bench.counts.received_of("opsgenie"), 1);
    for path in [
        "/healthz",
        "/-/healthy",
        "/-/ready",
        "/api/v2/status",
        "/hooks/tiny/-/ready",
    ] {
        let get = format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes();
        assert_eq!(ask(&door, get).await.0, 200, "{path}");
    }
    let get = b"GET /hooks/tiny?down HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
    assert_eq!(ask(&door, get).await.0, 200);
}

#[tokio::test]
async fn credentials_are_needed_and_refusals_are_capped() {
    let mut secured = SourceConfig::new("secured", "tiny");
    secured.credentials = vec![
        Credential::Bearer { token: "t1".into() },
        Credential::Header {
            name: "X-Mine".to_owned(),
            value: "hush".into(),
        },
    ];
    let door = open(vec![secured]).await;
    let path = "/hooks/secured";
    for good in ["Authorization: Bearer t1\r\n", "X-Mine: hush\r\n"] {
        assert_eq!(ask(&door, post(path, good, "{\"key\":\"a\"}")).await.0, 200);
    }
    let raws = door.bench.journal.raws().concat();
    let raws = String::from_utf8(raws).unwrap();
    assert!(!raws.contains("t1") && !raws.contains("hush"), "{raws}");
    let (status, _, body) = ask(&door, post(path, "", "{\"key\":\"b\"}")).await;
    assert_eq!(status, 401);
    assert!(
        body.contains("not authorized") && !body.contains("bearer"),
        "{body}"
    );
    let mut last = (0, String::new(), String::new());
    for _ in 0..30 {
        last = ask(&door, post(path, "X-Mine: no\r\n", "{}")).await;
    }
    assert_eq!(last.0, 429);
    assert!(last.1.contains("retry-after"), "{}", last.1);
    let counts = &door.bench.counts;
    let ended = [
        Outcome::Deduplicated,
        Outcome::Unauthorized,
        Outcome::RateLimited,
    ]
    .map(|outcome| counts.outcome_of("secured", outcome));
    assert_eq!(ended[0], 1);
    assert_eq!(counts.received_of("secured"), 1 + ended.iter().sum::<u64>());
}

#[tokio::test]
async fn a_source_over_its_rate_waits_and_the_others_do_not() {
    let mut limited = SourceConfig::new("limited", "tiny");
    limited.rate = Some(1);
    let door = open(vec![limited]).await;
    let mut statuses = Vec::new();
    for place in 0..12 {
        let body = format!("{{\"key\":\"{place}\"}}");
        statuses.push(ask(&door, post("/hooks/limited", "", body)).await.0);
    }
    assert_eq!(statuses[..10], [200; 10]);
    assert_eq!(statuses[11], 429);
    assert_eq!(hook(&door, "{\"key\":\"a\"}").await.0, 200);
}

#[tokio::test]
async fn sizes_and_depths_have_limits() {
    let settings = HttpSettings {
        body_bytes_max: 1000,
        ..HttpSettings::default()
    };
    let door = open_by(settings).await;
    let big = "x".repeat(1001);
    assert_eq!(ask(&door, post("/hooks/tiny", "", &big)).await.0, 413);
    let chunked = format!(
        "POST /hooks/tiny HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n{big}\r\n0\r\n\r\n"
    );
    assert_eq!(ask(&door, chunked.into_bytes()).await.0, 413);
    let small = "POST /hooks/tiny HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                 5\r\n{\"key\r\n6\r\n\":\"c\"}\r\n0\r\n\r\n";
    let (status, _, body) = ask(&door, small.as_bytes().to_vec()).await;
    assert!(
        status == 200 && body.contains("\"accepted\":1"),
        "{status} {body}"
    );
    let mut bomb = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
    std::io::Write::write_all(&mut bomb, &vec![b' '; 500_000]).unwrap();
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 1000);
    let gzip = "Content-Encoding: gzip\r\n";
    assert_eq!(ask(&door, post("/hooks/tiny", gzip, bomb)).await.0, 413);
    let mut small = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    std::io::Write::write_all(&mut small, b"{\"key\":\"z\"}").unwrap();
    let (_, _, body) = ask(&door, post("/hooks/tiny", gzip, small.finish().unwrap())).await;
    assert!(body.contains("\"accepted\":1"), "{body}");
    let deep = "[".repeat(65);
    assert_eq!(ask(&door, post("/hooks/tiny", "", deep)).await.0, 400);
    let long = format!("X-Long: {}\r\n", "y".repeat(40_000));
    assert_eq!(ask(&door, post("/hooks/tiny", &long, "{}")).await.0, 431);
    let many: String = (0..101).map(|n| format!("X-{n}: 1\r\n")).collect();
    assert_eq!(ask(&door, post("/hooks/tiny", &many, "{}")).await.0, 431);
    assert_eq!(ask(&door, b"rubbish\r\n\r\n".to_vec()).await.0, 400);
    assert_eq!(hook(&door, "{\"key\":\"after\"}").await.0, 200);
}

#[tokio::test]
async fn slow_heads_and_bodies_end_and_idle_connections_may_wait() {
    let settings = HttpSettings {
        head_time: Duration::from_millis(150),
        body_time: Duration::from_millis(150),
        ..HttpSettings::default()
    };
    let door = open_by(settings).await;
    let mut idle = TcpStream::connect(door.address).await.unwrap();
    let mut half = TcpStream::connect(door.address).await.unwrap();
    half.write_all(b"POST /hooks/tiny HT").await.unwrap();
    let mut body = TcpStream::connect(door.address).await.unwrap();
    let mut request = post("/hooks/tiny", "", "{\"key\":\"slow\"}");
    request.pop();
    body.write_all(&request).await.unwrap();
    assert_eq!(answer(&mut half).await.0, 0, "a half head is closed");
    assert_eq!(answer(&mut body).await.0, 408);
    assert_eq!(door.bench.counts.refused_of(Refused::TooSlow), 1);
    for key in ["i", "j"] {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let body = format!("{{\"key\":\"{key}\"}}");
        idle.write_all(&post("/hooks/tiny", "", body))
            .await
            .unwrap();
        assert_eq!(answer(&mut idle).await.0, 200);
    }
}

/// Slow clients with large bodies share a bound: others are told to come again, usual requests are
/// not in their way, and the room comes back.
#[tokio::test]
async fn large_bodies_share_the_memory_that_there_is_for_them() {
    let settings = HttpSettings {
        bodies_bytes_max: 512 * 1024,
        room_time: Duration::from_millis(50),
        ..HttpSettings::default()
    };
    let door = open_by(settings).await;
    let large = |key: &str| format!("{{\"key\":\"{key}\"}}{}", " ".repeat(300 * 1024));
    // A promise of a large body takes nothing.
    let mut promises = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(door.address).await.unwrap();
        let request = post("/hooks/tiny", "", large("promised"));
        stream.write_all(&request[..2000]).await.unwrap();
        promises.push(stream);
    }
    assert_eq!(hook(&door, &large("first")).await.0, 200);
    let mut slow = Vec::new();
    let mut answered = (0, String::new());
    while answered.0 != 503 {
        assert!(slow.len() < 20, "bodies without a bound");
        let mut stream = TcpStream::connect(door.address).await.unwrap();
        let mut request = post("/hooks/tiny", "", large("slow"));
        request.pop();
        stream.write_all(&request).await.unwrap();
        slow.push(stream);
        let (status, head, _) = ask(&door, post("/hooks/tiny", "", large("other"))).await;
        answered = (status, head);
    }
    let head = answered.1.to_ascii_lowercase();
    assert!(head.contains("retry-after: 5"), "{head}");
    assert!(door.bench.counts.refused_of(Refused::NoRoom) >= 1);
    assert_eq!(hook(&door, "{\"key\":\"usual\"}").await.0, 200);
    drop(slow);
    let mut tries = 0;
    while hook(&door, &large("again")).await.0 != 200 {
        tries += 1;
        assert!(tries < 200, "the room does not come back");
    }
    drop(promises);
}

#[tokio::test]
async fn many_idle_connections_leave_room_and_one_address_is_capped() {
    let limits = ListenerLimits {
        per_address_max: 200,
        ..ListenerLimits::default()
    };
    let door = open_with(vec![], HttpSettings::default(), limits, TlsSlot::default()).await;
    let mut idle = Vec::new();
    for _ in 0..200 {
        idle.push(TcpStream::connect(door.address).await.unwrap());
    }
    let mut one_more = TcpStream::connect(door.address).await.unwrap();
    let _ = one_more.write_all(&post("/hooks/tiny", "", "{}")).await;
    assert_eq!(answer(&mut one_more).await.0, 0);
    assert_eq!(door.bench.counts.refused_of(Refused::TooManyConnections), 1);
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.9:0".parse().unwrap()).unwrap();
    let mut other = socket.connect(door.address).await.unwrap();
    other
        .write_all(&post("/hooks/tiny", "", "{\"key\":\"a\"}"))
        .await
        .unwrap();
    assert_eq!(answer(&mut other).await.0, 200);
    drop(idle);
    let mut tries = 0;
    while hook(&door, "{\"key\":\"b\"}").await.0 != 200 {
        tries += 1;
        assert!(tries < 500, "closed connections still count");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn the_end_lets_a_request_finish_and_closes_idle_connections() {
    let door = open(vec![]).await;
    let mut idle = TcpStream::connect(door.address).await.unwrap();
    door.bench.journal.set(Mode::Hold);
    let mut busy = TcpStream::connect(door.address).await.unwrap();
    busy.write_all(&post("/hooks/tiny", "", "{\"key\":\"a\"}"))
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let journal = door.bench.journal.clone();
    let ending = tokio::spawn(door.running.end(Duration::from_secs(20)));
    assert_eq!(answer(&mut idle).await.0, 0);
    assert!(!ending.is_finished());
    journal.set(Mode::Commit);
    assert_eq!(answer(&mut busy).await.0, 200);
    assert_eq!(ending.await.unwrap(), 0);
    assert!(TcpStream::connect(door.address).await.is_err());
}

struct Made {
    certificate: String,
    key: String,
    der: Vec<u8>,
}

fn made() -> Made {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    Made {
        certificate: made.cert.pem(),
        key: made.signing_key.serialize_pem(),
        der: made.cert.der().to_vec(),
    }
}

fn server(made: &Made, clients: Option<&Made>) -> rustls::ServerConfig {
    let roots = clients.map(|made| made.certificate.as_bytes());
    tls::server_config(made.certificate.as_bytes(), made.key.as_bytes(), roots).unwrap()
}

async fn ask_tls(
    door: &Door,
    trusted: &Made,
    own: Option<&Made>,
    request: Vec<u8>,
) -> std::io::Result<u16> {
    use rustls::pki_types::pem::PemObject;
    let builder = tls_client::trusting(&trusted.der);
    let config = match own {
        None => builder.with_no_client_auth(),
        Some(made) => {
            let key = rustls::pki_types::PrivateKeyDer::from_pem_slice(made.key.as_bytes());
            builder
                .with_client_auth_cert(vec![made.der.clone().into()], key.unwrap())
                .unwrap()
        }
    };
    let tcp = TcpStream::connect(door.address).await?;
    let mut stream = tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect("localhost".try_into().unwrap(), tcp)
        .await?;
    stream.write_all(&request).await?;
    Ok(answer(&mut stream).await.0)
}

#[tokio::test]
async fn tls_client_certificates_and_a_new_certificate_without_a_restart() {
    let (first, second, client) = (made(), made(), made());
    let mut source = SourceConfig::new("by-cert", "tiny");
    let sha256 = tls::fingerprint(&client.der);
    source
        .credentials
        .push(alertbridge::intake::source::Credential::ClientCertificate {
            sha256: Some(sha256),
            name: None,
        });
    let slot = TlsSlot::with(server(&first, Some(&client)));
    let door = open_with(
        vec![source],
        HttpSettings::default(),
        ListenerLimits::default(),
        slot.clone(),
    )
    .await;
    let request = || post("/hooks/by-cert", "", "{\"key\":\"a\"}");
    assert_eq!(
        ask_tls(&door, &first, Some(&client), request())
            .await
            .unwrap(),
        200
    );
    assert_eq!(ask_tls(&door, &first, None, request()).await.unwrap(), 401);
    let stranger = made();
    let refused = ask_tls(&door, &first, Some(&stranger), request()).await;
    assert!(!matches!(refused, Ok(200)), "{refused:?}");
    slot.replace(Some(server(&second, None)));
    assert!(ask_tls(&door, &first, None, request()).await.is_err());
    assert_eq!(ask_tls(&door, &second, None, request()).await.unwrap(), 401);
    assert_eq!(
        ask(&door, request()).await.0,
        0,
        "plain bytes end the handshake"
    );
    until("the failed handshake is counted", || {
        door.bench.counts.refused_of(Refused::Handshake) >= 1
    })
    .await;
}

#[tokio::test]
async fn notify_spools_while_the_daemon_is_down_and_delivers_oldest_first() {
    use alertbridge::intake::notify::{self, Client};
    use alertbridge::intake::spool::{Entry, Spool};
    use alertbridge::store::sealing::Keyring;
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path(), Keyring::default()).unwrap();
    let client = Client::new(Duration::from_secs(5), None).unwrap();
    let entry = |url: String, key: &str| Entry {
        url,
        content_type: "application/json".to_owned(),
        body: format!("{{\"key\":\"{key}\"}}"),
    };
    let door = open(vec![]).await;
    let url = format!("http://{}/hooks/tiny", door.address);
    door.bench.journal.set(Mode::Fail);
    for key in ["one", "two"] {
        notify::spool(&spool, &entry(url.clone(), key)).unwrap();
        let flushed = notify::flush(&spool, &client).await.unwrap();
        assert_eq!(flushed.delivered, 0);
        assert!(flushed.trouble.unwrap().contains("503"));
    }
    assert_eq!(spool.entries().unwrap().len(), 2);
    door.bench.journal.set(Mode::Commit);
    std::fs::write(dir.path().join("0.json"), "damaged").unwrap();
    let flushed = notify::flush(&spool, &client).await.unwrap();
    assert_eq!(
        (flushed.delivered, flushed.refused, flushed.left),
        (2, 1, 0)
    );
    let keys: Vec<_> = door
        .bench
        .journal
        .inputs()
        .iter()
        .map(|input| match input {
            Input::Message(message) => message.events[0].identity.to_string(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(keys, ["one", "two"]);
    door.running.end(Duration::from_secs(5)).await;
    notify::spool(&spool, &entry(url, "three")).unwrap();
    let flushed = notify::flush(&spool, &client).await.unwrap();
    assert_eq!((flushed.delivered, flushed.left), (0, 1));
}
