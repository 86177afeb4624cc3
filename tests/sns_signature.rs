//! SNS messages are believed only with an expected topic, a fresh time, a certificate at SNS and
//! a signature that fits; every recorded message is signed with the key of one certificate.

#![allow(clippy::unwrap_used)]

use alertbridge::intake::sns::{Envelope, Expected, Refused};
use alertbridge::model::Time;
use serde_json::Value;
use std::path::{Path, PathBuf};

const TOPIC: &str = "arn:aws:sns:ap-southeast-2:904411223355:noc-alerts";

fn data(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(file)
}

fn json(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

fn certificate() -> Vec<u8> {
    std::fs::read(data("sns/certificate.pem")).unwrap()
}

fn expected() -> Expected {
    Expected {
        topics: vec![TOPIC.to_owned()],
        only_version_2: false,
    }
}

fn at(text: &str) -> Time {
    Time::parse_rfc3339(text).unwrap()
}

#[test]
fn every_signed_message_is_believed_and_no_altered_one() {
    let mut count = 0;
    for file in std::fs::read_dir(data("formats/sns")).unwrap() {
        let file = file.unwrap().path();
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let ours = name.starts_with("odd-") || name.starts_with("eventbridge-");
        if ours || !name.ends_with(".json") || name.ends_with(".expected.json") {
            continue;
        }
        let mut body = json(&file);
        let now = at(body["Timestamp"].as_str().unwrap());
        let envelope = Envelope::of(&body);
        envelope.certificate_url(&expected(), now).unwrap();
        assert_eq!(envelope.verify(&certificate()), Ok(()), "{name}");
        count += 1;
        for field in ["Message", "MessageId", "TopicArn", "Timestamp"] {
            let kept = body[field].take();
            body[field] = format!("{} ", kept.as_str().unwrap()).into();
            let verdict = Envelope::of(&body).verify(&certificate());
            assert_eq!(verdict, Err(Refused::Signature), "{name} {field}");
            body[field] = kept;
        }
        body["Subject"] = "another".into();
        if body["Type"] == "Notification" {
            let verdict = Envelope::of(&body).verify(&certificate());
            assert_eq!(verdict, Err(Refused::Signature), "{name}");
        }
    }
    assert!(count >= 10, "{count} signed messages");
}

#[test]
fn forged_messages_are_refused() {
    let now = at("2026-08-21T02:15:00Z");
    let host = json(&data("sns/sns-bad-cert-host.json"));
    assert_eq!(
        Envelope::of(&host).certificate_url(&expected(), now),
        Err(Refused::Place {
            field: "SigningCertURL"
        })
    );
    let altered = json(&data("sns/sns-bad-signature.json"));
    let envelope = Envelope::of(&altered);
    assert!(envelope.certificate_url(&expected(), now).is_ok());
    assert_eq!(envelope.verify(&certificate()), Err(Refused::Signature));
    assert_eq!(envelope.verify(b"no pem"), Err(Refused::Certificate));
}

#[test]
fn topic_time_and_version_are_checked_before_anything_is_fetched() {
    let body = json(&data("formats/sns/cloudwatch-alarm.json"));
    let envelope = Envelope::of(&body);
    let now = at("2026-08-21T02:15:00Z");
    let strangers = Expected {
        topics: vec![format!("{TOPIC}-2")],
        ..expected()
    };
    assert_eq!(
        envelope.certificate_url(&strangers, now),
        Err(Refused::Topic(TOPIC.to_owned()))
    );
    for late in ["2026-08-21T03:15:00Z", "2026-08-21T01:00:00Z"] {
        let refused = envelope.certificate_url(&expected(), at(late));
        assert!(matches!(refused, Err(Refused::Time(_))), "{late}");
    }
    let only_2 = Expected {
        only_version_2: true,
        ..expected()
    };
    assert_eq!(
        envelope.certificate_url(&only_2, now),
        Err(Refused::Version("1".to_owned()))
    );
    let mut third = body.clone();
    third["SignatureVersion"] = "3".into();
    assert!(
        Envelope::of(&third)
            .certificate_url(&expected(), now)
            .is_err()
    );
    let nothing = Value::Null;
    assert_eq!(
        Envelope::of(&nothing).certificate_url(&expected(), now),
        Err(Refused::NoEnvelope("TopicArn"))
    );
}

#[test]
fn only_a_confirmation_leads_to_a_subscription() {
    let body = json(&data("formats/sns/subscription.json"));
    let url = Envelope::of(&body).subscribe_url().unwrap().unwrap();
    assert_eq!(url.host_str(), Some("sns.ap-southeast-2.amazonaws.com"));
    let mut elsewhere = body.clone();
    elsewhere["SubscribeURL"] = "https://attacker.example/".into();
    assert!(Envelope::of(&elsewhere).subscribe_url().is_err());
    for file in ["unsubscribe.json", "cloudwatch-alarm.json"] {
        let body = json(&data("formats/sns").join(file));
        assert_eq!(Envelope::of(&body).subscribe_url(), Ok(None), "{file}");
    }
}
