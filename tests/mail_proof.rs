//! SPF, DKIM, DMARC and ARC against a DNS server of the test: real signatures, made with a key
//! whose public half the server publishes; and the whole way through a daemon.
#![allow(clippy::unwrap_used, clippy::panic)]

mod daemon_support;

use alertbridge::formats::mail::authentication::Verdict;
use alertbridge::intake::senders::{Checked, Envelope, SenderCheck};
use alertbridge::intake::verify::DnsCheck;
use base64::Engine;
use daemon_support::Daemon;
use mail_auth::arc::ArcSealer;
use mail_auth::common::crypto::Ed25519Key;
use mail_auth::common::headers::HeaderWriter;
use mail_auth::dkim::DkimSigner;
use mail_auth::{ArcOutput, AuthenticatedMessage, AuthenticationResults};
use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};

/// A DNS server that knows these TXT records, and nothing else.
fn dns(records: BTreeMap<String, String>) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut query = [0; 1500];
        loop {
            let (read, client) = socket.recv_from(&mut query).unwrap();
            let _ = socket.send_to(&answer(&query[..read], &records), client);
        }
    });
    address
}

fn answer(query: &[u8], records: &BTreeMap<String, String>) -> Vec<u8> {
    let mut name = String::new();
    let mut at = 12;
    while query[at] != 0 {
        let length = usize::from(query[at]);
        name.push_str(&String::from_utf8_lossy(&query[at + 1..at + 1 + length]).to_lowercase());
        name.push('.');
        at += length + 1;
    }
    let question = &query[12..at + 5];
    let is_txt = question[question.len() - 3] == 16;
    let text = records.get(name.trim_end_matches('.')).filter(|_| is_txt);
    let found = u8::from(text.is_some());
    let code = if text.is_some() { 0x80 } else { 0x83 };
    let mut out = vec![query[0], query[1], 0x85, code, 0, 1, 0, found, 0, 0, 0, 0];
    out.extend_from_slice(question);
    if let Some(text) = text {
        let parts: Vec<u8> = text
            .as_bytes()
            .chunks(255)
            .flat_map(|part| [&[u8::try_from(part.len()).unwrap()], part].concat())
            .collect();
        out.extend_from_slice(&[0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 60]);
        out.extend_from_slice(&u16::try_from(parts.len()).unwrap().to_be_bytes());
        out.extend_from_slice(&parts);
    }
    out
}

/// A key, and the record of its public half.
fn key() -> (Vec<u8>, String) {
    let der = Ed25519Key::generate_pkcs8().unwrap();
    let public = Ed25519Key::from_pkcs8_der(&der).unwrap().public_key();
    let public = base64::engine::general_purpose::STANDARD.encode(public);
    (der, format!("v=DKIM1; k=ed25519; p={public}"))
}

fn records(key: &str) -> BTreeMap<String, String> {
    [
        ("s1._domainkey.acme.example", key),
        ("s1._domainkey.lists.example", key),
        ("_dmarc.acme.example", "v=DMARC1; p=reject"),
        ("acme.example", "v=spf1 ip4:127.0.0.1 -all"),
        ("evil.example", "v=spf1 ip4:127.0.0.1 -all"),
    ]
    .map(|(name, text)| (name.to_owned(), text.to_owned()))
    .into()
}

fn signed(der: &[u8], mail: &str, part_of_body: bool) -> String {
    let signature = DkimSigner::from_key(Ed25519Key::from_pkcs8_der(der).unwrap())
        .domain("acme.example")
        .selector("s1")
        .headers(["From", "Subject"])
        .body_length(part_of_body)
        .sign(mail.as_bytes())
        .unwrap();
    format!("{}{mail}", signature.to_header())
}

fn mail(host: &str, word: &str, state: &str) -> String {
    format!(
        "From: NOC <noc@acme.example>\r\nSubject: ** {word} Host Alert: {host} is {state} **\r\n\
         \r\nNotification Type: {word}\r\nHost: {host}\r\nState: {state}\r\n"
    )
}

async fn check(dns: SocketAddr, mail: &str, sender: &str, direct: bool) -> Checked {
    let check = DnsCheck::new(&[dns], "mx.noc.example").unwrap();
    let envelope = Envelope {
        sender: sender.to_owned(),
        helo: "mail.acme.example".to_owned(),
        peer: Some("127.0.0.1".parse().unwrap()),
        direct,
    };
    check
        .check(bytes::Bytes::from(mail.to_owned()), &envelope)
        .await
}

#[tokio::test]
async fn signatures_and_hosts_prove_the_domain_that_they_are_of() {
    let (der, public) = key();
    let dns = dns(records(&public));
    let mail = mail("h", "PROBLEM", "DOWN");
    let proven = |checked: &Checked| checked.verdicts.prove("acme.example");

    let good = signed(&der, &mail, false);
    let checked = check(dns, &good, "bounce@list.example", false).await;
    assert!(proven(&checked), "{checked:?}");
    assert_eq!(checked.verdicts.dmarc, Verdict::Pass);
    let changed = check(dns, &good.replace("DOWN", "UP"), "", false).await;
    assert!(!proven(&changed), "{changed:?}");
    let longer = format!("{}And more.\r\n", signed(&der, &mail, true));
    let longer = check(dns, &longer, "", false).await;
    assert!(!proven(&longer), "a part of the body: {longer:?}");
    let (other, _) = key();
    let forged = check(dns, &signed(&other, &mail, false), "", false).await;
    assert!(!proven(&forged), "{forged:?}");

    // By its host, if the client is the author's own server, and for that domain alone.
    let by_host = check(dns, &mail, "noc@acme.example", true).await;
    assert!(proven(&by_host), "{by_host:?}");
    assert!(!proven(&check(dns, &mail, "noc@acme.example", false).await));
    assert!(!proven(&check(dns, &mail, "x@evil.example", true).await));
    // Nobody answers.
    let nobody = UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent = check(nobody.local_addr().unwrap(), &good, "", false).await;
    assert!(!proven(&silent), "{silent:?}");
}

#[tokio::test]
async fn seals_of_a_forwarder_hold_until_something_is_changed() {
    let (der, public) = key();
    let dns = dns(records(&public));
    let mail = mail("h", "PROBLEM", "DOWN");
    let message = AuthenticatedMessage::parse(mail.as_bytes()).unwrap();
    let results = AuthenticationResults::new("lists.example");
    let sealer = ArcSealer::from_key(Ed25519Key::from_pkcs8_der(&der).unwrap())
        .domain("lists.example")
        .selector("s1")
        .headers(["From", "Subject"]);
    let seal = sealer
        .seal(&message, &results, &ArcOutput::default())
        .unwrap();
    let sealed = format!("{}{mail}", seal.to_header());
    let checked = check(dns, &sealed, "", false).await;
    assert_eq!(checked.verdicts.arc, Verdict::Pass, "{checked:?}");
    assert_eq!(checked.sealer.as_deref(), Some("lists.example"));
    let changed = check(dns, &sealed.replace("DOWN", "UP"), "", false).await;
    assert_eq!(changed.verdicts.arc, Verdict::Fail, "{changed:?}");
}

#[test]
fn a_daemon_believes_the_signed_recovery_and_no_other() {
    let (der, public) = key();
    let dns = dns(records(&public));
    let dir = tempfile::tempdir().unwrap();
    let config = format!(
        "[engine]\nhold_outage = \"0s\"\n[mail]\nverify = true\nresolvers = [\"{dns}\"]\n\
         [[mail.sender]]\naddress = \"noc@acme.example\"\naccount = \"acme\"\n"
    );
    let daemon = Daemon::start_with(dir.path(), &config, &[]);
    let send = |mail: &str| daemon.mail("alerts@noc.example", "b@lists.example", mail);
    send(&signed(&der, &mail("core-9", "PROBLEM", "DOWN"), false));
    daemon.until("a ticket", |tickets| tickets.len() == 1);
    let recovery = mail("core-9", "RECOVERY", "UP");
    send(&recovery);
    let tickets = daemon.until("triage", |tickets| tickets.len() == 2);
    assert!(tickets.iter().all(|ticket| ticket["status"] != "resolved"));
    send(&signed(&der, &recovery, false));
    daemon.until("resolved", |tickets| {
        let mut alert = tickets
            .iter()
            .filter(|t| t["subject"].as_str().unwrap().contains("DOWN"));
        alert.any(|ticket| ticket["status"] == "resolved")
    });
}
