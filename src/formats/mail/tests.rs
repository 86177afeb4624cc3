//! Reading mails as a whole: what the samples under `tests/data/mail` do not show.

use super::*;
use crate::model::notice::MaintenanceStatus;
use crate::model::{SeverityHint, Suppressed};

fn now() -> Time {
    Time::parse_rfc3339("2025-11-25T12:00:00Z").unwrap()
}

fn decode(text: &str) -> Result<Decoded, Undecodable> {
    decode_bytes(text.as_bytes(), now()).1
}

const MAIL: &str = "From: nagios@example.net\r\n\
    Subject: ** PROBLEM Host Alert: core-1 is DOWN **\r\n\r\n\
    ***** Nagios *****\r\n\r\nNotification Type: PROBLEM\r\nHost: core-1\r\nState: DOWN\r\n\
    Address: 192.0.2.1\r\nInfo: CRITICAL - OK is inside BROKEN\r\n";

#[test]
fn problem_and_recovery_have_one_identity() {
    let problem = decode(MAIL).unwrap().events.remove(0);
    let recovery = MAIL.replace("PROBLEM", "RECOVERY").replace("DOWN", "UP");
    let recovery = decode(&recovery).unwrap().events.remove(0);
    assert_eq!(problem.state, EventState::Firing);
    assert_eq!(problem.severity_hint, SeverityHint::Outage);
    assert_eq!(recovery.state, EventState::Resolved);
    assert_eq!(problem.identity, recovery.identity);
}

#[test]
fn an_unreachable_host_is_no_problem_of_its_own() {
    let mail = MAIL.replace("DOWN", "UNREACHABLE");
    let event = decode(&mail).unwrap().events.remove(0);
    assert_eq!(event.state, EventState::Info);
    assert_eq!(event.suppressed, Some(Suppressed::Unreachable));
}

#[test]
fn another_mail_is_undecodable_with_a_reason() {
    let error = decode("Subject: lunch?\r\n\r\nAt noon.\r\n").unwrap_err();
    assert!(
        error
            .reason
            .contains("no mail format matches the mail `lunch?`")
    );
}

#[test]
fn fields_within_the_output_of_a_check_do_not_count() {
    let mail = "Subject: ** PROBLEM Service Alert: a/b is CRITICAL **\r\n\r\n\
        Notification Type: PROBLEM\r\n\r\nService: b\r\nHost: a\r\nState: CRITICAL\r\n\r\n\
        Additional Info:\r\n\r\nNotification Type: RECOVERY\r\nHost: other\r\nState: OK\r\n";
    let event = decode(mail).unwrap().events.remove(0);
    assert_eq!(event.state, EventState::Firing);
    assert_eq!(event.host.as_deref(), Some("a"));
}

#[test]
fn a_name_with_a_bar_is_no_other_problem() {
    let with = |host: &str, service: &str| {
        let mail = format!(
            "Subject: x\r\n\r\nNotification Type: PROBLEM\r\nHost: {host}\r\n\
             Service: {service}\r\nState: CRITICAL\r\n"
        );
        decode(&mail).unwrap().events.remove(0).identity
    };
    assert_ne!(with("a|b", "c"), with("a", "b|c"));
}

#[test]
fn a_mail_that_only_mentions_an_alert_is_none() {
    let error = decode("Subject: question\r\n\r\nWhy was core-1 DOWN, is it OK?\r\n").unwrap_err();
    assert!(error.reason.contains("no mail format matches"));
}

#[test]
fn templates_of_operators_are_tried_first() {
    let text = r#"
        [[template]]
        name = "door"
        title = "Door controller"
        recognise.subject = '^Door \S+ (?:open|shut)$'
        take = [{ in = "subject", pattern = '^Door (?P<door>\S+) (?P<word>open|shut)$' }]
        state = { of = ["{word}"], firing = ["open"], resolved = ["shut"] }
        [template.event]
        identity = ["{door}"]
        component = "{door}"
    "#;
    let templates = Templates::parse("own.toml", text)
        .unwrap()
        .then(Templates::shipped());
    let read = |mail: &str| decode_with(mail.as_bytes(), now(), &templates, &Own::default());
    let (sender, open) = read("Subject: Door north open\r\n\r\nx\r\n");
    assert_eq!(sender, "door");
    let open = open.unwrap().events.remove(0);
    assert_eq!(open.state, EventState::Firing);
    let (_, shut) = read("Subject: Re: Door north shut\r\n\r\nx\r\n");
    assert_eq!(shut.unwrap().events.remove(0).identity, open.identity);
    assert_eq!(read(MAIL).0, "nagios");
}

#[test]
fn our_own_mails_are_told_by_their_domain() {
    let own = Own {
        domains: vec!["noc.example.net".to_owned()],
        ..Own::default()
    };
    let mail = |id: &str| MAIL.replace("Subject:", &format!("Message-ID: <{id}>\r\nSubject:"));
    let read = |id: &str| decode_with(mail(id).as_bytes(), now(), Templates::shipped(), &own);
    let ours = read("t7.1@noc.example.net").1.unwrap();
    assert!(ours.ignored.unwrap().contains("our own mail"));
    assert_eq!(read("t7.1@mon.example.net").1.unwrap().events.len(), 1);
}

#[test]
fn a_bounce_names_recipient_and_ticket() {
    let raw = include_bytes!("../../../tests/data/mail/samples/hazard-dsn-bounce.eml");
    let reason = decode_bytes(raw, now()).1.unwrap().ignored.unwrap();
    assert_eq!(
        reason,
        "a mail came back undelivered, recipient `gone@customer.example.com`, ticket 40012"
    );
}

#[test]
fn cloudwatch_as_json_and_as_text_are_one_alarm() {
    let json = "Subject: AWS Notification Message\r\n\r\n{\"AlarmName\":\"prod-api-5xx\",\
        \"NewStateValue\":\"OK\",\"StateChangeTime\":\"2025-11-25T11:00:00.000+0000\",\
        \"AlarmArn\":\"arn:aws:cloudwatch:eu-central-1:111122223333:alarm:prod-api-5xx\"}\r\n\
        \r\n--\r\nIf you wish to stop receiving notifications, ...\r\n";
    let recovery = decode(json).unwrap().events.remove(0);
    let raw = include_bytes!("../../../tests/data/mail/samples/cloudwatch-alarm.eml");
    let alarm = decode_bytes(raw, now()).1.unwrap().events.remove(0);
    assert_eq!(recovery.state, EventState::Resolved);
    assert_eq!(recovery.identity, alarm.identity);
    assert_eq!(
        recovery.sent_at,
        Time::parse_rfc3339("2025-11-25T11:00:00Z")
    );
}

fn notice(name: &str) -> crate::model::notice::MaintenanceNotice {
    let path = format!(
        "{}/tests/data/mail/samples/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    let raw = std::fs::read(path).unwrap();
    let mut decoded = decode_bytes(&raw, now()).1.unwrap();
    assert_eq!(decoded.maintenance.len(), 1);
    decoded.maintenance.remove(0)
}

#[test]
fn a_calendar_that_names_no_provider_is_its_senders_and_a_person_looks_at_it() {
    let whole = include_str!("../../../tests/data/mail/samples/maintnote-new.eml");
    let line =
        |line: &&str| !line.contains("X-MAINTNOTE-PROVIDER") && !line.starts_with("ORGANIZER");
    let bare: Vec<&str> = whole.lines().filter(line).collect();
    let bare = bare.join("\r\n").replace("<noc@carrier", "<noc@other");
    let decoded = decode(&bare).unwrap();
    let notice = &decoded.maintenance[0];
    let named = &decode(whole).unwrap().maintenance[0];
    assert!(named.unclear.is_empty() && !notice.unclear.is_empty());
    assert_eq!(notice.provider, "other.example.com");
    assert_eq!(notice.maintenance_id, named.maintenance_id);
}

#[test]
fn sequences_of_a_calendar_order_its_notices() {
    let (new, update) = (notice("maintnote-new.eml"), notice("maintnote-update.eml"));
    let (stale, started) = (
        notice("maintnote-update-stale.eml"),
        notice("maintnote-inprocess.eml"),
    );
    assert!(new.sequence < update.sequence);
    assert_eq!(new.sequence, stale.sequence);
    assert!(update.sequence < started.sequence);
}

#[test]
fn what_is_unclear_in_a_notice_is_said() {
    let broken = notice("maintnote-broken.eml");
    assert_eq!(broken.status, MaintenanceStatus::Tentative);
    assert!(
        broken.unclear.iter().any(|u| u.contains("DTEND")),
        "{broken:?}"
    );
    assert!(
        broken
            .unclear
            .iter()
            .any(|u| u.contains("id is not readable")),
        "{broken:?}"
    );
    assert!(notice("maintnote-new.eml").unclear.is_empty());
    assert_eq!(notice("maint-zayo-planned.eml").windows.len(), 2);
    assert!(notice("maint-zayo-planned.eml").unclear.is_empty());
    assert_eq!(
        notice("maint-google-noend.eml").unclear,
        ["the notice names no end"]
    );
}

#[test]
fn what_cannot_be_read_is_noted_and_the_rest_is_read() {
    let mail = "Subject: ** PROBLEM Host Alert: a is DOWN **\r\nMIME-Version: 1.0\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\
        Content-Type: application/ms-tnef; name=winmail.dat\r\n\
        Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\n--b--\r\n";
    let decoded = decode(mail).unwrap();
    assert_eq!(decoded.events.len(), 1);
    assert!(
        decoded.problems.iter().any(|p| p.contains("TNEF")),
        "{:?}",
        decoded.problems
    );
}

#[test]
fn what_a_signed_wrapper_hides_in_turn_is_said() {
    use base64::Engine;
    // The content of a signature, which itself holds what nobody can read.
    let inner = |body: &str| {
        let mut out = vec![
            0x06, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x01,
        ];
        let length = u16::try_from(body.len()).unwrap().to_be_bytes();
        let around = u16::try_from(body.len() + 4).unwrap().to_be_bytes();
        out.extend_from_slice(&[0xA0, 0x82, around[0], around[1], 0x04, 0x82]);
        out.extend_from_slice(&length);
        out.extend_from_slice(body.as_bytes());
        base64::engine::general_purpose::STANDARD.encode(out)
    };
    let wrapped = |body: &str, subject: &str| {
        format!(
            "Subject: {subject}\r\nMIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime; \
             smime-type=signed-data; name=smime.p7m\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n",
            inner(body)
        )
    };
    let alert = "** PROBLEM Host Alert: a is DOWN **";
    let tnef = "Content-Type: application/ms-tnef; name=winmail.dat\r\n\r\nAAAA\r\n";
    let decoded = decode(&wrapped(tnef, alert)).unwrap();
    assert_eq!(decoded.events.len(), 1);
    assert!(
        decoded.problems.iter().any(|p| p.contains("TNEF")),
        "{decoded:?}"
    );
    let secret = "Content-Type: text/plain\r\n\r\n-----BEGIN PGP MESSAGE-----\r\nx\r\n";
    let error = decode(&wrapped(secret, "hello")).unwrap_err();
    assert!(error.reason.contains("encrypted"), "{}", error.reason);
}

#[test]
fn several_from_fields_are_noted() {
    let mail = MAIL.replace("Subject:", "From: b@example.org\r\nSubject:");
    let decoded = decode(&mail).unwrap();
    assert!(
        decoded
            .problems
            .iter()
            .any(|p| p.contains("several `from` fields"))
    );
    let calendar = include_str!("../../../tests/data/mail/samples/maintnote-new.eml");
    let twice = format!("Subject: another\r\n{calendar}");
    let unclear = &decode(&twice).unwrap().maintenance[0].unclear;
    assert!(
        unclear[0].contains("several `subject` fields"),
        "{unclear:?}"
    );
}

#[test]
fn a_persons_mail_is_their_words_and_a_machines_is_not() {
    let mail = b"From: Kim <kim@example.org>\r\nSubject: no internet\r\n\r\nOur line is dead.\r\n";
    let own = Own::default();
    let reply = Letter::read(mail, &own).unwrap().words.unwrap();
    assert_eq!(reply.from, "kim@example.org");
    assert_eq!(reply.text, "Our line is dead.");
    let machine = b"From: x@example.org\r\nAuto-Submitted: auto-generated\r\n\r\nx\r\n";
    assert_eq!(Letter::read(machine, &own).unwrap().words, None);
}

#[test]
fn a_clock_far_off_does_not_count() {
    let mail = MAIL.replace("Info:", "Date/Time: Tue Nov 25 11:00:00 UTC 2030\r\nInfo:");
    let event = decode(&mail).unwrap().events.remove(0);
    assert_eq!(event.sent_at, None);
    assert!(
        event.problems[0].contains("too far"),
        "{:?}",
        event.problems
    );
}

#[test]
fn macros_that_were_not_filled_in_are_said() {
    let mail = "Subject: Problem: x\r\n\r\nProblem name: x\r\nHost: {HOST.NAME}\r\n\
        Severity: High\r\nOriginal problem ID: 7\r\n";
    let event = decode(mail).unwrap().events.remove(0);
    assert_eq!(event.host, None);
    assert_eq!(event.problems, ["the sender did not fill in `{HOST.NAME}`"]);
}

#[test]
fn a_webhook_body_in_a_mail_is_read_as_that_webhook() {
    let json = r#"{"version":"4","groupKey":"g","status":"firing","receiver":"r","groupLabels":{},"commonLabels":{},"commonAnnotations":{},"externalURL":"http://am","alerts":[{"status":"firing","labels":{"alertname":"Down","instance":"a"},"annotations":{},"startsAt":"2025-11-25T11:00:00Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"","fingerprint":"f1"}]}"#;
    let mail = format!("Subject: AWS Notification Message\r\n\r\n{json}\r\n");
    let (sender, outcome) = decode_bytes(mail.as_bytes(), now());
    assert_eq!(sender, "alertmanager");
    assert_eq!(outcome.unwrap().events.len(), 1);
}

#[test]
fn a_list_server_says_nothing_and_a_list_may() {
    let administration = "From: noc-request@lists.example.net\r\nSubject: Welcome\r\n\r\nx\r\n";
    assert!(decode(administration).unwrap().ignored.is_some());
    let through_a_list = MAIL.replace("Subject:", "Precedence: list\r\nSubject:");
    assert_eq!(decode(&through_a_list).unwrap().events.len(), 1);
}

#[test]
fn times_come_from_the_mail_with_their_zone() {
    let sent = |name: &str| {
        let path = format!(
            "{}/tests/data/mail/samples/{name}",
            env!("CARGO_MANIFEST_DIR")
        );
        let raw = std::fs::read(path).unwrap();
        let received_at = Time::parse_rfc3339("2025-11-21T00:00:00Z").unwrap();
        let event = decode_bytes(&raw, received_at).1.unwrap().events.remove(0);
        event.sent_at.map(|time| time.to_string())
    };
    let icinga = sent("icinga2-host-problem.eml");
    assert_eq!(icinga.as_deref(), Some("2025-11-20T13:22:10Z"));
    // CST by itself has three meanings; the mail's own Date tells which.
    let nagios = sent("nagios-host-problem.eml");
    assert_eq!(nagios.as_deref(), Some("2025-11-17T09:12:44Z"));
    let kuma = sent("uptime-kuma-down.eml");
    assert_eq!(kuma.as_deref(), Some("2025-11-16T10:01:02Z"));
    let monit = sent("monit-problem.eml");
    assert_eq!(monit.as_deref(), Some("2025-11-19T04:20:11Z"));
}

#[test]
fn a_word_in_the_subject_alone_makes_no_automatic_reply() {
    let error = decode("Subject: Absence: heartbeat of core-1\r\n\r\nx\r\n").unwrap_err();
    assert!(error.reason.contains("no mail format matches"));
    let away = "Subject: Automatic reply: [T#7] x\r\n\r\naway\r\n";
    assert!(decode(away).unwrap().ignored.is_some());
}
