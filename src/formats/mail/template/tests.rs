//! Templates as data: every shipped file compiles, and mistakes are named.

use super::*;

#[test]
fn every_shipped_file_compiles() {
    for (file, text) in SHIPPED {
        let templates = Templates::parse(file, text).unwrap_or_else(|e| panic!("{e}"));
        assert!(!templates.all.is_empty(), "{file}");
    }
    assert!(Templates::shipped().names().count() > 60);
}

#[test]
fn mistakes_are_named() {
    let error = Templates::parse("own.toml", "[[template]]\nname = \"x\"\ntitel = 1").unwrap_err();
    assert!(error.to_string().starts_with("own.toml: "), "{error}");
    assert!(error.to_string().contains("titel"), "{error}");
    let text = "[[template]]\nname = \"x\"\ntitle = \"X\"\nrecognise.subject = '('\n\
                ignored = \"no\"";
    let error = Templates::parse("own.toml", text).unwrap_err();
    assert!(error.reason.contains("template `x`, recognise"), "{error}");
    let text = "[[template]]\nname = \"x\"\ntitle = \"X\"\nrecognise.subject = 'a'\n\
                state = { of = [\"{a}\"] }\nevent = {}";
    let error = Templates::parse("own.toml", text).unwrap_err();
    assert!(
        error.reason.contains("`event.identity` is empty"),
        "{error}"
    );
}

/// The example of the manual works as the manual says.
#[test]
fn the_example_of_the_manual_works() {
    let manual = include_str!("../../../../docs/mail-templates.md");
    let (_, rest) = manual.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let templates = Templates::parse("docs/mail-templates.md", example).unwrap();
    let mail = "Date: Tue, 25 Nov 2025 12:00:00 +0000\r\nSubject: Door 7 at Hall A: open\r\n\r\n\
        Since: 25.11.2025 12:30\r\nAlarm class: B\r\nOperator remarks:\r\nSince: 1.1.1970\r\n";
    let received_at = Time::parse_rfc3339("2025-11-25T12:00:05Z").unwrap();
    let own = super::super::Own::default();
    let (sender, outcome) =
        super::super::decode_with(mail.as_bytes(), received_at, &templates, &own);
    let event = outcome.unwrap().events.remove(0);
    assert_eq!(sender, "doors");
    assert_eq!(event.identity.to_string(), "doors|Hall A|7");
    assert_eq!(event.summary, "Door 7 at Hall A is open");
    assert_eq!(event.starts_at, Time::parse_rfc3339("2025-11-25T11:30:00Z"));
    assert_eq!(event.severity.as_deref(), Some("B"));
    let shut = mail.replace(": open", ": shut");
    let (_, outcome) = super::super::decode_with(shut.as_bytes(), received_at, &templates, &own);
    let recovery = outcome.unwrap().events.remove(0);
    assert_eq!(recovery.identity, event.identity);
    assert_eq!(recovery.state, crate::model::EventState::Resolved);
}
