//! What mail doors do where recipients fare differently, chunks are wrong, line ends are odd and
//! clients are slow: over real sockets.
#![allow(clippy::unwrap_used, clippy::panic)]

mod intake_support;

use alertbridge::intake::Refused;
use alertbridge::intake::source::SourceConfig;
use alertbridge::intake::tls::TlsSlot;
use intake_support::Mode;
use intake_support::mail_door::{Client, Door, MAIL, connect, envelope, greeted, open, open_with};
use std::time::Duration;
use tokio::net::TcpStream;

fn two_sources() -> Vec<SourceConfig> {
    let mut ranged = SourceConfig::new("ranged", "mail");
    ranged.addresses = vec!["192.0.2.0/24".parse().unwrap()];
    vec![
        SourceConfig::new("a", "mail"),
        SourceConfig::new("b", "mail"),
        ranged,
    ]
}

async fn lmtp() -> Door {
    open_with(two_sources(), TlsSlot::default(), |settings| {
        settings.lmtp = true
    })
    .await
}

/// Says all that comes before the data to an LMTP door, which turns the third recipient away.
async fn before_data(client: &mut Client<TcpStream>) {
    client.expect("MAIL FROM:<x@y>", "250").await;
    for (tag, code) in [("a", "250"), ("b", "250"), ("ranged", "550"), ("a", "250")] {
        client
            .expect(&format!("RCPT TO:<alerts+{tag}@h>"), code)
            .await;
    }
}

async fn codes(client: &mut Client<TcpStream>, count: usize) -> Vec<String> {
    let mut codes = Vec::new();
    for _ in 0..count {
        codes.push(client.reply().await.get(..3).unwrap().to_owned());
    }
    codes
}

#[tokio::test]
async fn each_recipient_of_lmtp_has_its_own_answer() {
    let door = lmtp().await;
    let mut client = connect(&door).await;
    client.expect("LHLO me", "250").await;
    door.bench.journal.set(Mode::FailFor("b"));
    before_data(&mut client).await;
    client.expect("DATA", "354").await;
    client.send(MAIL).await;
    // One for each that was taken, in their order; who was turned away has had its answer.
    assert_eq!(codes(&mut client, 3).await, ["250", "451", "250"]);
    client.expect("NOOP", "250").await;
    assert_eq!(door.bench.journal.inputs().len(), 1);

    before_data(&mut client).await;
    client.send("BDAT 11 LAST\r\nSubject: c\n").await;
    assert_eq!(codes(&mut client, 3).await, ["250", "451", "250"]);
    client.expect("NOOP", "250").await;

    // The mail server comes again for the one alone.
    door.bench.journal.set(Mode::Commit);
    client.expect("MAIL FROM:<x@y>", "250").await;
    client.expect("RCPT TO:<alerts+b@h>", "250").await;
    client.expect("DATA", "354").await;
    client.send(MAIL).await;
    assert_eq!(codes(&mut client, 1).await, ["250"]);
    let inputs = door.bench.journal.inputs();
    let sources: Vec<&str> = inputs.iter().map(|input| input.source()).collect();
    assert_eq!(sources, ["a", "a", "b"]);
}

#[tokio::test]
async fn smtp_has_one_answer_and_it_is_the_worst() {
    let door = open_with(two_sources(), TlsSlot::default(), |_| {}).await;
    let mut client = greeted(&door).await;
    door.bench.journal.set(Mode::FailFor("b"));
    envelope(&mut client, &["alerts+a@h", "alerts+b@h"]).await;
    client.send(MAIL).await;
    assert!(client.reply().await.starts_with("451 4.3.0"));
    client.expect("NOOP", "250").await;
}

#[tokio::test]
async fn a_chunk_that_is_refused_is_read_to_its_end_and_nothing_more() {
    let door = open_with(vec![], TlsSlot::default(), |settings| {
        settings.mail_bytes_max = 100;
    })
    .await;
    let mut client = greeted(&door).await;
    client.expect("MAIL FROM:<a@b>", "250").await;
    client.expect("RCPT TO:<alerts@bridge>", "250").await;
    // Commands within chunks are content, also of those that are refused.
    let chunk = "QUIT\r\n".repeat(20);
    client
        .send(format!("BDAT {}\r\n{chunk}", chunk.len()))
        .await;
    assert!(client.reply().await.starts_with("552 5.3.4"));
    client.send("BDAT 6\r\nQUIT\r\n").await;
    assert!(client.reply().await.starts_with("503"));
    client.send("BDAT 6 LAST\r\nQUIT\r\n").await;
    assert!(client.reply().await.starts_with("503"));
    client.expect("DATA", "503").await;
    client.expect("RSET", "250").await;
    client
        .expect("MAIL FROM:<a@b> BODY=BINARYMIME", "555")
        .await;
    envelope(&mut client, &["alerts@bridge"]).await;
    client.send(MAIL).await;
    assert!(client.reply().await.starts_with("250"));
    assert_eq!(door.bench.journal.inputs().len(), 1);
}

#[tokio::test]
async fn a_chunk_of_unknown_length_ends_the_session() {
    for size in [
        "",
        " ",
        " x",
        " -1",
        " 9999999999999",
        " 18446744073709551617",
        " 99999999999999999999999",
        " 12x LAST",
        " 5 FIRST",
    ] {
        let door = open(vec![]).await;
        let mut client = greeted(&door).await;
        client.expect("MAIL FROM:<a@b>", "250").await;
        client.expect("RCPT TO:<alerts@bridge>", "250").await;
        let inside = "RSET\r\nMAIL FROM:<evil@x>\r\nRCPT TO:<alerts@bridge>\r\nDATA\r\n";
        client.send(format!("BDAT{size}\r\n{inside}{MAIL}")).await;
        let said = client.reply().await;
        assert!(said.starts_with("501 5.5.4"), "{size:?}: {said}");
        assert_eq!(client.reply().await, "", "{size:?}");
        assert!(door.bench.journal.inputs().is_empty(), "{size:?}");
    }
}

#[tokio::test]
async fn no_odd_line_end_ends_a_mail_whatever_the_door_and_the_pieces() {
    let odd_ends = [
        "\n.\n",
        "\n.\r\n",
        "\r.\r",
        "\r.\r\n",
        "\r\n.\r",
        "\r\n.\n",
        "\n.\r",
        "\r.\n",
        "\n\r.\n\r",
        "\r\n.\r\r\n",
        "\r\n.\0\r\n",
        "\r\n\0.\r\n",
        "\r\n. \r\n",
        "\u{85}.\u{85}",
        "\r\n.\u{b}\r\n",
    ];
    let inside = "MAIL FROM:<evil@x>\r\nRCPT TO:<alerts@bridge>\r\nDATA\r\nSubject: smuggled\r\n";
    for is_lmtp in [false, true] {
        let change = |s: &mut alertbridge::intake::smtp::SmtpSettings| s.lmtp = is_lmtp;
        let door = open_with(vec![], TlsSlot::default(), change).await;
        for (number, odd) in odd_ends.iter().enumerate() {
            let mut client = connect(&door).await;
            let hello = if is_lmtp { "LHLO me" } else { "EHLO me" };
            client.expect(hello, "250").await;
            envelope(&mut client, &["alerts@bridge"]).await;
            client
                .send(format!("Subject: outer {number}\r\n\r\nbody"))
                .await;
            // In one piece, and cut within the end.
            let (first, second) = odd.split_at(odd.char_indices().nth(1).map_or(1, |(at, _)| at));
            client.send(first).await;
            tokio::task::yield_now().await;
            client
                .send(format!("{second}{inside}\r\n.\r\nNOOP\r\n"))
                .await;
            assert!(client.reply().await.starts_with("250 2.0.0 acc"), "{odd:?}");
            // The next answer is that of NOOP, and there is none behind it.
            assert_eq!(client.reply().await, "250 2.0.0 OK\r\n", "{odd:?}");
            client.expect("QUIT", "221").await;
            assert_eq!(door.bench.journal.inputs().len(), number + 1, "{odd:?}");
            let raw = door.bench.journal.raws().pop().unwrap();
            let raw = String::from_utf8(raw).unwrap();
            assert!(raw.contains("Subject: smuggled"), "{odd:?}: {raw:?}");
            // What is kept has line ends of one kind, for whoever is handed it.
            let bare = raw.replace("\r\n", "");
            assert!(!bare.contains(['\r', '\n']), "{odd:?}: {raw:?}");
        }
    }
}

#[tokio::test]
async fn who_always_says_a_little_has_no_more_time_than_others() {
    // A silence would end it much later.
    let open_short = |what: fn(&mut alertbridge::intake::smtp::SmtpSettings)| {
        open_with(vec![], TlsSlot::default(), what)
    };
    let short = Duration::from_millis(400);
    let data = open_short(|settings| settings.data_time = Duration::from_millis(400)).await;
    let session = open_short(|settings| settings.session_time = Duration::from_millis(400)).await;
    for (door, before, drop) in [
        (&data, "DATA\r\n", "x"),
        (&data, "BDAT 1000000 LAST\r\n", "x"),
        (&session, "", "NOOP\r\n"),
        (&session, "DATA\r\n", "x"),
    ] {
        let mut client = connect(door).await;
        client
            .send("EHLO me\r\nMAIL FROM:<a@b>\r\nRCPT TO:<alerts@bridge>\r\n")
            .await;
        client.send(before).await;
        let drops = tokio::time::timeout(Duration::from_secs(60), async {
            loop {
                client.send(drop).await;
                let wait = tokio::time::timeout(short / 8, client.reply()).await;
                match wait {
                    // What is sent into a closed connection may take its last words with it.
                    Ok(reply) if reply.is_empty() || reply.starts_with("421 4.4.2") => return,
                    Ok(_) => {}
                    Err(_) => {}
                }
            }
        });
        assert!(drops.await.is_ok(), "{before:?} went on for ever");
    }
    for door in [&data, &session] {
        assert_eq!(door.bench.counts.refused_of(Refused::TooSlow), 2);
    }
    assert!(data.bench.journal.inputs().is_empty());
}

#[tokio::test]
async fn addresses_and_content_beyond_ascii_are_taken_as_they_are() {
    let ups = SourceConfig::new("ups", "mail");
    let door = open_with(vec![ups], TlsSlot::default(), |settings| {
        settings.domains = vec!["brücke.example".to_owned()];
    })
    .await;
    let mut client = greeted(&door).await;
    let from = "MAIL FROM:<wächter@zürich.example> BODY=8BITMIME SMTPUTF8";
    client.expect(from, "250").await;
    client
        .expect("RCPT TO:<störung+ups@brücke.example>", "250")
        .await;
    client
        .expect("RCPT TO:<störung+ups@brucke.example>", "550")
        .await;
    client.expect("DATA", "354").await;
    let mail = b"Subject: Netzausfall in Z\xc3\xbcrich\r\n\r\n\xe4\xff\x80 as Latin-1\r\n";
    client.send(mail).await;
    client.send(".\r\n").await;
    assert!(client.reply().await.starts_with("250"));
    assert_eq!(door.bench.journal.inputs()[0].source(), "ups");
    assert_eq!(door.bench.journal.raws()[0], mail);
}
