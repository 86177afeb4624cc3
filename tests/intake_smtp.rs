//! SMTP and LMTP dialogues over real sockets: what is taken, what is refused, where a mail ends,
//! and that 250 never comes before the commit.
#![allow(clippy::unwrap_used, clippy::panic)]

mod intake_support;
mod tls_client;

use alertbridge::intake::Refused;
use alertbridge::intake::listener::{Listener, ListenerLimits};
use alertbridge::intake::smtp::{InHand, SmtpDoor, SmtpSettings};
use alertbridge::intake::source::SourceConfig;
use alertbridge::intake::tls::{self, TlsSlot};
use alertbridge::model::{Input, Outcome};
use intake_support::mail_door::{Client, MAIL, connect, envelope, greeted, open, open_with};
use intake_support::{Mode, bench};
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn a_mail_is_answered_after_the_commit_and_not_before() {
    let door = open(vec![]).await;
    let mut client = greeted(&door).await;
    door.bench.journal.set(Mode::Hold);
    envelope(&mut client, &["alerts@bridge"]).await;
    client.send(MAIL).await;
    assert!(client.is_silent().await, "answered before the commit");
    assert!(door.bench.journal.inputs().is_empty());
    door.bench.journal.set(Mode::Commit);
    assert_eq!(client.reply().await, "250 2.0.0 accepted and stored\r\n");
    assert_eq!(
        door.bench.journal.raws()[0],
        b"Subject: disk full\r\n\r\nbody\r\n"
    );
    client.expect("QUIT", "221").await;
    assert_eq!(client.reply().await, "");
}

#[tokio::test]
async fn a_store_that_cannot_write_keeps_the_mail_with_the_sender() {
    let door = open(vec![]).await;
    let mut client = greeted(&door).await;
    for (mode, code) in [
        (Mode::Fail, "451"),
        (Mode::Full, "452"),
        (Mode::Commit, "250"),
    ] {
        door.bench.journal.set(mode);
        envelope(&mut client, &["alerts@bridge"]).await;
        client.send(MAIL).await;
        let reply = client.reply().await;
        assert!(reply.starts_with(code), "{mode:?}: {reply}");
    }
    assert_eq!(door.bench.journal.inputs().len(), 1);
}

#[tokio::test]
async fn a_second_mail_cannot_be_smuggled_behind_the_first() {
    for lure in ["\n.\n", "\n.\r\n", "\r.\r", "\r\n.\r", "\r\n.\n", "\r.\r\n"] {
        let door = open(vec![]).await;
        let mut client = greeted(&door).await;
        envelope(&mut client, &["alerts@bridge"]).await;
        let smuggled = "MAIL FROM:<evil@x>\r\nRCPT TO:<alerts@bridge>\r\nDATA\r\n\
                        Subject: smuggled\r\n\r\nx";
        client
            .send(format!(
                "Subject: outer\r\n\r\nbody{lure}{smuggled}\r\n.\r\n"
            ))
            .await;
        assert!(client.reply().await.starts_with("250 2.0.0"), "{lure:?}");
        client.expect("NOOP", "250").await;
        assert_eq!(door.bench.journal.inputs().len(), 1, "{lure:?}");
        let raw = String::from_utf8(door.bench.journal.raws().remove(0)).unwrap();
        assert!(raw.contains("Subject: smuggled"), "{lure:?}: {raw:?}");
    }
}

#[tokio::test]
async fn the_tag_of_each_recipient_names_its_source() {
    let mut ranged = SourceConfig::new("ranged", "mail");
    ranged.addresses = vec!["192.0.2.0/24".parse().unwrap()];
    let mut secret = SourceConfig::new("secret", "tiny");
    secret.keys.push("k".into());
    let ups = SourceConfig::new("ups", "mail");
    let door = open_with(vec![ranged, secret, ups], TlsSlot::default(), |settings| {
        settings.domains = vec!["bridge.example".to_owned()];
    })
    .await;
    let mut client = greeted(&door).await;
    client.expect("MAIL FROM:<>", "250").await;
    client
        .expect("RCPT TO:<alerts+UPS@Bridge.Example>", "250")
        .await;
    client
        .expect("RCPT TO:<alerts+ups@bridge.example>", "250")
        .await;
    client
        .expect("RCPT TO:<alerts+nobody@bridge.example>", "250")
        .await;
    client
        .expect("RCPT TO:<alerts+ranged@bridge.example>", "550 5.7.1")
        .await;
    client
        .expect("RCPT TO:<alerts+secret@bridge.example>", "550 5.7.1")
        .await;
    client
        .expect("RCPT TO:<someone@elsewhere.example>", "550 5.7.1")
        .await;
    client.expect("DATA", "354").await;
    client.send(MAIL).await;
    assert!(client.reply().await.starts_with("250"));
    let sources: Vec<_> = door
        .bench
        .journal
        .inputs()
        .iter()
        .map(|input| input.source().to_owned())
        .collect();
    assert_eq!(sources, ["ups", "mail"]);
    let counts = &door.bench.counts;
    assert_eq!(counts.outcome_of("ranged", Outcome::Unauthorized), 1);
    assert_eq!(counts.received_of("ups"), 1);
}

#[tokio::test]
async fn an_unreadable_mail_is_taken_into_quarantine() {
    let door = open(vec![]).await;
    let mut client = greeted(&door).await;
    envelope(&mut client, &["alerts@bridge"]).await;
    client
        .send(b"Subject: =?utf-8?Q?=C3=A4?=\r\n\r\n\xff\x00\r\n.\r\n")
        .await;
    assert!(client.reply().await.starts_with("250"));
    envelope(&mut client, &["alerts@bridge"]).await;
    client.send(b".\r\n").await;
    assert!(client.reply().await.starts_with("250"));
    let inputs = door.bench.journal.inputs();
    let Input::Undecoded(empty) = &inputs[1] else {
        panic!("{inputs:?}")
    };
    assert_eq!(empty.reason, "the mail has no subject");
    assert_eq!(empty.group, "nms@example.net ");
    assert_eq!(
        door.bench.counts.outcome_of("mail", Outcome::Quarantined),
        1
    );
}

#[tokio::test]
async fn commands_may_be_pipelined_and_are_answered_in_order() {
    let door = open(vec![]).await;
    let mut client = connect(&door).await;
    client
        .send(
            "EHLO me\r\nMAIL FROM:<a@b> SIZE=100 BODY=8BITMIME SMTPUTF8\r\n\
             RCPT TO:<alerts@bridge>\r\nDATA\r\n",
        )
        .await;
    let hello = client.reply().await;
    for word in [
        "PIPELINING",
        "SIZE 26214400",
        "8BITMIME",
        "SMTPUTF8",
        "CHUNKING",
    ] {
        assert!(
            hello.contains(&format!("250-{word}\r\n")),
            "{word}: {hello}"
        );
    }
    assert!(
        !hello.contains("STARTTLS"),
        "there is no certificate: {hello}"
    );
    for code in ["250 2.1.0", "250 2.1.5", "354"] {
        let reply = client.reply().await;
        assert!(reply.starts_with(code), "{reply}");
    }
    client.send(format!("{MAIL}RSET\r\nQUIT\r\n")).await;
    for code in ["250 2.0.0", "250 2.0.0", "221"] {
        let reply = client.reply().await;
        assert!(reply.starts_with(code), "{reply}");
    }
}

#[tokio::test]
async fn old_devices_and_wrong_orders() {
    let door = open(vec![]).await;
    let mut client = connect(&door).await;
    client.expect("HELO my_device 1", "250").await;
    client.expect("RCPT TO:<a@b>", "503").await;
    client.expect("DATA", "503").await;
    client.expect("mail from: nms@x", "250").await;
    client.expect("MAIL FROM:<a@b>", "503").await;
    client.expect("DATA", "503").await;
    client.expect("RCPT TO: alerts@bridge", "250").await;
    client.expect("DATA", "354").await;
    client.send(MAIL).await;
    assert!(client.reply().await.starts_with("250"));
    client.expect("VRFY root", "252").await;
    client.expect("XCLIENT a", "500").await;
    client.expect("AUTH PLAIN AGEAYg==", "502").await;
    client.expect("STARTTLS", "454").await;
    client.expect("LHLO me", "500").await;
    let mut last = String::new();
    for _ in 0..30 {
        last = client.say("RUBBISH").await;
        if last.starts_with("421") || last.contains("\r\n421") {
            break;
        }
    }
    let end = if last.starts_with("500") {
        client.reply().await
    } else {
        last
    };
    assert!(end.starts_with("421") || end.is_empty(), "{end}");
}

#[tokio::test]
async fn sizes_have_limits() {
    let door = open_with(vec![], TlsSlot::default(), |settings| {
        settings.mail_bytes_max = 1000;
    })
    .await;
    let mut client = greeted(&door).await;
    client.expect("MAIL FROM:<a@b> SIZE=1001", "552").await;
    envelope(&mut client, &["alerts@bridge"]).await;
    client.send("x".repeat(2000)).await;
    client.send("\r\n.\r\n").await;
    assert!(client.reply().await.starts_with("552 5.3.4"));
    assert_eq!(door.bench.counts.refused_of(Refused::TooLarge), 2);
    envelope(&mut client, &["alerts@bridge"]).await;
    client.send(MAIL).await;
    assert!(client.reply().await.starts_with("250"));
    client.expect("MAIL FROM:<a@b>", "250").await;
    for _ in 0..100 {
        client.expect("RCPT TO:<alerts@bridge>", "250").await;
    }
    client.expect("RCPT TO:<alerts@bridge>", "452 4.5.3").await;
    client.send("NOOP ".to_owned() + &"y".repeat(5000)).await;
    assert!(client.reply().await.starts_with("500"));
    assert!(client.reply().await.starts_with("421"));
}

#[tokio::test]
async fn a_large_mail_arrives_whole() {
    let door = open(vec![]).await;
    let mut client = greeted(&door).await;
    envelope(&mut client, &["alerts@bridge"]).await;
    let line = "z".repeat(75) + "\r\n";
    let text = format!("Subject: big\r\n\r\n{}", line.repeat(40_000));
    client.send(format!("{text}.\r\n")).await;
    assert!(client.reply().await.starts_with("250"));
    assert_eq!(door.bench.journal.raws()[0], text.as_bytes());
}

#[tokio::test]
async fn chunks_are_counted_and_not_unstuffed() {
    let door = open(vec![]).await;
    let mut client = greeted(&door).await;
    client.send("BDAT 6\r\nQUIT\r\n").await;
    assert!(client.reply().await.starts_with("503"));
    client.expect("MAIL FROM:<a@b>", "250").await;
    client.expect("RCPT TO:<alerts@bridge>", "250").await;
    let first = "Subject: chunks\r\n\r\n..a\r\n.\r\n";
    client
        .send(format!("BDAT {}\r\n{first}", first.len()))
        .await;
    assert!(client.reply().await.starts_with("250"));
    client.expect("DATA", "503").await;
    client.expect("RCPT TO:<alerts@bridge>", "503").await;
    client.send("BDAT 3\r\nxy\nBDAT 0 LAST\r\n").await;
    assert!(client.reply().await.starts_with("250 2.0.0 chunk"));
    assert!(client.reply().await.starts_with("250 2.0.0 accepted"));
    let raw = door.bench.journal.raws().remove(0);
    assert_eq!(raw, format!("{first}xy\n").as_bytes());
}

#[tokio::test]
async fn lmtp_replies_for_each_recipient() {
    let door = open_with(
        vec![
            SourceConfig::new("a", "mail"),
            SourceConfig::new("b", "mail"),
        ],
        TlsSlot::default(),
        |settings| settings.lmtp = true,
    )
    .await;
    let mut client = connect(&door).await;
    client.expect("EHLO me", "500").await;
    client.expect("LHLO me", "250").await;
    client.expect("MAIL FROM:<x@y>", "250").await;
    client.expect("DATA", "503").await;
    for tag in ["a", "b", "a"] {
        client
            .expect(&format!("RCPT TO:<alerts+{tag}@h>"), "250")
            .await;
    }
    client.expect("DATA", "354").await;
    client.send(MAIL).await;
    for _ in 0..3 {
        let reply = client.reply().await;
        assert!(reply.starts_with("250"), "{reply}");
    }
    assert_eq!(door.bench.journal.inputs().len(), 2);
    door.bench.journal.set(Mode::Fail);
    client.expect("MAIL FROM:<x@y>", "250").await;
    client.expect("RCPT TO:<alerts+a@h>", "250").await;
    client.expect("RCPT TO:<alerts+b@h>", "250").await;
    client.expect("DATA", "354").await;
    client.send("Subject: other\r\n\r\n.\r\n").await;
    for _ in 0..2 {
        let reply = client.reply().await;
        assert!(reply.starts_with("451"), "{reply}");
    }
}

#[tokio::test]
async fn slow_clients_end_and_the_end_waits_for_a_mail() {
    let door = open_with(vec![], TlsSlot::default(), |settings| {
        settings.idle_time = Duration::from_millis(300);
    })
    .await;
    let mut idle = connect(&door).await;
    let mut slow = greeted(&door).await;
    envelope(&mut slow, &["alerts@bridge"]).await;
    slow.send("Subject: never").await;
    assert!(idle.reply().await.starts_with("421 4.4.2"));
    assert!(slow.reply().await.starts_with("421 4.4.2"));
    assert!(door.bench.journal.inputs().is_empty());
    assert_eq!(door.bench.counts.refused_of(Refused::TooSlow), 2);
    let mut busy = greeted(&door).await;
    door.bench.journal.set(Mode::Hold);
    envelope(&mut busy, &["alerts@bridge"]).await;
    busy.send(MAIL).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let journal = door.bench.journal.clone();
    let ending = tokio::spawn(door.running.end(Duration::from_secs(20)));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!ending.is_finished());
    journal.set(Mode::Commit);
    assert!(busy.reply().await.starts_with("250 2.0.0 accepted"));
    assert!(busy.reply().await.starts_with("421 4.3.2"));
    assert_eq!(ending.await.unwrap(), 0);
}

#[tokio::test]
async fn starttls_forgets_what_was_said_in_the_clear() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let config = tls::server_config(certificate.as_bytes(), key.as_bytes(), None).unwrap();
    let door = open_with(vec![], TlsSlot::with(config), |settings| {
        settings.require_tls = true;
    })
    .await;
    let mut client = connect(&door).await;
    assert!(client.expect("EHLO me", "250").await.contains("STARTTLS"));
    client.expect("MAIL FROM:<a@b>", "530").await;
    client
        .send("STARTTLS\r\nMAIL FROM:<injected@x>\r\nRCPT TO:<alerts@bridge>\r\n")
        .await;
    assert!(client.reply().await.starts_with("220"));
    let config = tls_client::trusting(made.cert.der()).with_no_client_auth();
    let stream = tokio_rustls::TlsConnector::from(Arc::new(config))
        .connect("localhost".try_into().unwrap(), client.stream)
        .await
        .unwrap();
    let mut secured = Client {
        stream,
        buffer: Vec::new(),
    };
    assert!(
        secured.is_silent().await,
        "an injected command was answered"
    );
    secured.expect("RCPT TO:<alerts@bridge>", "503").await;
    assert!(!secured.expect("EHLO me", "250").await.contains("STARTTLS"));
    secured.expect("MAIL FROM:<a@b>", "250").await;
    secured.expect("RCPT TO:<alerts@bridge>", "250").await;
    secured.expect("DATA", "354").await;
    secured.send(MAIL).await;
    assert!(secured.reply().await.starts_with("250"));
}

#[tokio::test]
async fn a_mail_from_a_pipe_is_done_only_when_the_daemon_stored_it() {
    use alertbridge::intake::pipe::{self, LmtpAddress, PipeError};
    let bench = bench(vec![SourceConfig::new("ups", "mail")]);
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("lmtp.sock");
    let mut settings = SmtpSettings::new(dir.path().to_owned());
    settings.lmtp = true;
    let door = SmtpDoor::new(
        bench.intake.clone(),
        settings,
        TlsSlot::default(),
        InHand::new(1 << 20),
    );
    std::fs::write(&socket, "left by a dead process").unwrap();
    let limits = ListenerLimits::default();
    let listener = Listener::bind_unix(&socket, limits, bench.counts.clone()).unwrap();
    let running = listener.serve(door);
    let to = ["alerts+ups@localhost".to_owned()];
    let hand = |text: &'static str| {
        let (socket, to) = (LmtpAddress::Unix(socket.clone()), to.clone());
        async move {
            let longest = Duration::from_secs(20);
            pipe::hand_over(text.as_bytes(), &socket, "nms@x", &to, longest).await
        }
    };
    hand("From nms\nSubject: from a pipe\n\n.dot\n")
        .await
        .unwrap();
    assert_eq!(bench.journal.inputs()[0].source(), "ups");
    assert_eq!(
        bench.journal.raws()[0],
        b"Subject: from a pipe\r\n\r\n.dot\r\n"
    );
    bench.journal.set(Mode::Fail);
    let error = hand("Subject: other\n\n").await.unwrap_err();
    assert!(error.to_string().contains("451 4.3.0"), "{error}");
    running.end(Duration::from_secs(5)).await;
    let error = hand("Subject: other\n\n").await.unwrap_err();
    assert!(matches!(error, PipeError::Connection(_)), "{error}");
    assert!(!socket.exists());
}
