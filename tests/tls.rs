//! TLS on every door of a running daemon: at once at the doors that speak HTTP, by STARTTLS at those
//! for mail; nothing in the clear, and a new certificate in force by a reload.
#![allow(clippy::unwrap_used, clippy::panic)]

mod daemon_support;
mod tls_client;

use daemon_support::{Daemon, smtp_reply};
use rustls::pki_types::ServerName;
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use tls_client::trusting;

type Encrypted = rustls::StreamOwned<rustls::ClientConnection, TcpStream>;

/// Writes a certificate and its key; the certificate as clients trust it.
fn certificate(dir: &Path) -> Vec<u8> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(dir.join("door.pem"), made.cert.pem()).unwrap();
    std::fs::write(dir.join("door.key"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().to_vec()
}

fn config() -> String {
    let doors = ["http", "smtp", "lmtp", "operators"].map(|door| {
        format!(
            "[{door}]\nlisten = \"127.0.0.1:0\"\n\
             tls = {{ certificate = \"door.pem\", key = {{ file = \"door.key\" }} }}\n"
        )
    });
    let token = "[[operators.token]]\nname = \"ann\"\nrole = \"operate\"\ntoken = { file = \"ann.token\" }\n";
    doors.concat() + token
}

fn encrypted(tcp: TcpStream, trusted: &[u8]) -> Encrypted {
    let config = trusting(trusted).with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    rustls::StreamOwned::new(client, tcp)
}

/// The status of an answer over TLS.
fn ask(
    daemon: &Daemon,
    door: &str,
    trusted: &[u8],
    (method, path, more, body): (&str, &str, &str, &str),
) -> std::io::Result<(u16, String)> {
    let mut stream = encrypted(daemon.connect(door)?, trusted);
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    Ok((status, answer))
}

/// Greets, begins TLS, and hands in a mail over it: the reply to its data.
fn mail(daemon: &Daemon, door: &str, hello: &str, trusted: &[u8]) -> String {
    let mut plain = BufReader::new(daemon.connect(door).unwrap());
    assert!(smtp_reply(&mut plain).starts_with("220"));
    write!(plain.get_mut(), "{hello} monitor.example\r\n").unwrap();
    let offered = smtp_reply(&mut plain);
    assert!(offered.contains("STARTTLS"), "{door}: {offered}");
    plain.get_mut().write_all(b"STARTTLS\r\n").unwrap();
    assert!(smtp_reply(&mut plain).starts_with("220"), "{door}");
    let mut stream = BufReader::new(encrypted(plain.into_inner(), trusted));
    let mut last = String::new();
    for line in [
        &format!("{hello} monitor.example"),
        "MAIL FROM:<nagios@mon1.example.net>",
        "RCPT TO:<alertbridge@localhost>",
        "DATA",
        "Subject: over TLS\r\n\r\nnothing that a format knows\r\n.",
    ] {
        write!(stream.get_mut(), "{line}\r\n").unwrap();
        last = smtp_reply(&mut stream);
        assert!(last.starts_with(['2', '3']), "{door}, {line}: {last}");
    }
    last
}

#[test]
fn every_door_speaks_tls_and_takes_a_new_certificate_by_a_reload() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("ann.token"), "word-of-ann").unwrap();
    let first = certificate(dir.path());
    let daemon = Daemon::start_with(dir.path(), &config(), &[]);

    let event = r#"{"state": "problem", "summary": "h1 is down", "host": "h1", "check": "ping"}"#;
    let (status, told) = ask(&daemon, "http", &first, ("POST", "/v1/events", "", event)).unwrap();
    assert_eq!(status, 202, "{told}");
    let as_ann = "Authorization: Bearer word-of-ann\r\n";
    let incidents = ("GET", "/api/v1/incidents", as_ann, "");
    let listed = || ask(&daemon, "operators", &first, incidents).unwrap().1;
    daemon_support::until("the incident at the operators' door", || {
        listed().contains("h1 is down")
    });
    let wrong = (
        "GET",
        "/api/v1/incidents",
        "Authorization: Bearer x\r\n",
        "",
    );
    assert_eq!(ask(&daemon, "operators", &first, wrong).unwrap().0, 401);
    assert!(mail(&daemon, "smtp", "EHLO", &first).starts_with("250"));
    assert!(mail(&daemon, "lmtp", "LHLO", &first).starts_with("250"));

    for (door, path) in [("http", "/v1/events"), ("operators", "/metrics")] {
        let plain = daemon
            .ask(door, "GET", path, "")
            .map_or(0, |(status, _)| status);
        assert_eq!(plain, 0, "{door} answers in the clear");
    }

    let second = certificate(dir.path());
    let (good, told) = daemon.verb(&["reload"]);
    assert!(good, "{told}");
    for door in ["http", "operators"] {
        let nothing = ("GET", "/nothing", as_ann, "");
        assert!(ask(&daemon, door, &first, nothing).is_err(), "{door}");
        assert_eq!(
            ask(&daemon, door, &second, nothing).unwrap().0,
            404,
            "{door}"
        );
    }
    assert!(mail(&daemon, "smtp", "EHLO", &second).starts_with("250"));
}
