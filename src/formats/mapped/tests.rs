//! Unit tests of mappings.

use super::*;
use crate::limits::MAPPING_FUEL;
use crate::model::{EventState, Identity, SeverityHint, Time};

fn config(text: &str) -> MappingConfig {
    toml::from_str(text).unwrap()
}

fn errors(text: &str) -> Vec<String> {
    let errors = Mapping::compile("m", &config(text)).unwrap_err();
    errors.iter().map(ToString::to_string).collect()
}

fn decode(text: &str, body: &str) -> Result<Decoded, Undecodable> {
    let mapping = Mapping::compile("m", &config(text)).unwrap();
    mapping.decode(&Request {
        method: "POST",
        path: "/hooks/m",
        query: "site=syd1",
        headers: &[
            ("x-customer".to_owned(), "acme".to_owned()),
            ("authorization".to_owned(), "Bearer hush".to_owned()),
        ],
        body: body.as_bytes(),
        received_at: Time::parse_rfc3339("2026-08-21T06:32:40Z").unwrap(),
    })
}

const JOBS: &str = r#"
    each = "body.jobs"
    when = "item.result != 'running'"
    dedup_key = "item.server ~ '/' ~ item.job"
    state = "{'ok': 'resolved', 'failed': 'firing'}[item.result]"
    severity = "item.level | lower"
    summary = "item.job ~ ' on ' ~ item.server ~ ' ' ~ item.result"
    host = "item.server"
    site = "query.site"
    starts_at = "item.at | in_zone('Australia/Sydney')"
    links = ["item.url", "'https://backup.example.net/job/' ~ index"]

    [labels]
    customer = "headers['x-customer']"
    secret = "headers.authorization"
    size = "item.bytes"
"#;

#[test]
fn each_item_becomes_a_native_event() {
    let body = r#"{"jobs": [
        {"job": "pg", "server": "db1", "result": "failed", "level": "MAJOR",
         "at": "2026-08-21 16:32:40", "bytes": 9007199254740993},
        {"job": "pg", "server": "db2", "result": "running"},
        {"job": "pg", "server": "db3", "result": "ok", "at": "2026-08-21T16:32:40",
         "url": "https://x.example.net/3"}
    ]}"#;
    let decoded = decode(JOBS, body).unwrap();
    let [failed, good] = decoded.events.as_slice() else {
        panic!("{decoded:?}");
    };
    assert_eq!(failed.identity, Identity::key("db1/pg").unwrap());
    assert_eq!(failed.state, EventState::Firing);
    assert_eq!(failed.severity.as_deref(), Some("major"));
    assert_eq!(failed.severity_hint, SeverityHint::Degradation);
    assert_eq!(failed.site.as_deref(), Some("syd1"));
    assert_eq!(
        failed.starts_at,
        Time::parse_rfc3339("2026-08-21T06:32:40Z")
    );
    assert_eq!(failed.labels["customer"], "acme");
    assert_eq!(failed.labels["size"], "9007199254740993");
    assert!(!failed.labels.contains_key("secret"));
    assert_eq!(failed.links, ["https://backup.example.net/job/0"]);
    assert_eq!(good.state, EventState::Resolved);
    assert_eq!(good.links[0], "https://x.example.net/3");
}

#[test]
fn a_body_without_each_is_one_item_or_its_elements() {
    let text = "dedup_key = 'item.id'\nsummary = 'item.text'\nstate = 'item.state'";
    let one = decode(text, r#"{"id": 7, "text": "x", "state": "up"}"#).unwrap();
    assert_eq!(one.events[0].identity, Identity::key("7").unwrap());
    assert_eq!(one.events[0].state, EventState::Resolved);
    let two = decode(text, r#"[{"id": 7, "text": "x"}, {"id": 8, "text": "y"}]"#).unwrap();
    assert_eq!(two.events.len(), 2);
    assert_eq!(
        two.events[0].problems,
        ["mapping `m`: state: gives nothing: taken as firing"]
    );
    let form = decode(text, "id=9&text=z&state=down").unwrap();
    assert_eq!(form.events[0].identity, Identity::key("9").unwrap());
}

#[test]
fn plain_text_is_taken_apart_by_patterns() {
    let text = r#"
        host = "body | capture('host=([^ ]+)')"
        check = "body | capture('^[A-Z]+')"
        summary = "body"
    "#;
    let decoded = decode(text, "PROBLEM host=core-1 link lost").unwrap();
    assert_eq!(
        decoded.events[0].identity,
        Identity::object("", "core-1", "", "PROBLEM").unwrap()
    );
    let error = decode(text, "PROBLEM without a host").unwrap_err();
    assert!(error.reason.contains("mapping `m`"), "{error}");
    assert!(error.reason.contains("`host`"), "{error}");
}

#[test]
fn what_is_wrong_with_a_mapping_is_told_at_once_and_by_field() {
    let found = errors(
        "host = 'item.'\ncheck = 'itm.x'\nseverity = 'item.x | uper'\nlinks = ['1 +']\n\
         [labels]\nteam = 'item.team | nosuch'",
    );
    assert_eq!(found.len(), 6, "{found:#?}");
    for (number, start) in [
        "mapping `m`: severity: unknown filter",
        "mapping `m`: host: syntax error",
        "mapping `m`: check: `itm` is not known in `itm.x`; there are `body`, `item`",
        "mapping `m`: labels.team: unknown filter",
        "mapping `m`: links.0: syntax error",
        "mapping `m`: summary: is missing",
    ]
    .iter()
    .enumerate()
    {
        assert!(
            found[number].starts_with(start),
            "{} / {start}",
            found[number]
        );
    }
    let found = errors("summary = 'item.x'\nhost = 'item.h'");
    assert!(
        found[0].starts_with("mapping `m`: dedup_key: is missing"),
        "{found:?}"
    );
    assert!(toml::from_str::<MappingConfig>("hots = 'item.x'").is_err());
}

#[test]
fn an_expression_can_only_be_an_expression() {
    for text in ["1 %}{% set x = 2", "x }}{{ y", "{% raw %}"] {
        let config = MappingConfig {
            summary: Some(text.to_owned()),
            dedup_key: Some("item.id".to_owned()),
            ..MappingConfig::default()
        };
        assert!(Mapping::compile("m", &config).is_err(), "{text}");
    }
    let braces = "dedup_key = 'item.id'\nsummary = \"'100 %} {{ x }}'\"";
    let decoded = decode(braces, r#"{"id": 1}"#).unwrap();
    assert_eq!(decoded.events[0].summary, "100 %} {{ x }}");
}

#[test]
fn an_expression_that_fails_costs_its_field_only_and_says_so() {
    let text = "dedup_key = 'item.id'\nsummary = 'item.text'\nhost = 'item.text | int(1) + []'";
    let decoded = decode(text, r#"{"id": 7, "text": "x"}"#).unwrap();
    let event = &decoded.events[0];
    assert_eq!(event.host, None);
    assert!(
        event.problems[0].starts_with("mapping `m`: host: "),
        "{:?}",
        event.problems
    );
}

#[test]
fn fuel_ends_what_would_take_too_much() {
    let text = "dedup_key = 'item.id'\nsummary = 'item.id'\ndetails = 'item.text * 1000'\n\
                check = 'item.text | upper * 1000'";
    let body = serde_json::json!({"id": 1, "text": "x".repeat(60_000)}).to_string();
    let decoded = decode(text, &body).unwrap();
    let event = &decoded.events[0];
    assert_eq!(event.details, "");
    let expected = format!("mapping `m`: details: takes more than {MAPPING_FUEL} steps");
    assert_eq!(event.problems[0], expected, "{:?}", event.problems);
    assert!(event.problems[1].contains("check: takes more than"));
}

#[test]
fn no_identity_is_made_of_absent_values() {
    let text = "dedup_key = \"item.server ~ '/' ~ item.job\"\nsummary = \"'backup ' ~ item.job\"";
    for body in [
        "{}",
        r#"{"server": null, "job": null}"#,
        r#"{"server": "", "job": " "}"#,
        r#"{"server": "${SERVER}", "job": "a"}"#,
        r#"{"server": "a"}"#,
        "\"a text\"",
    ] {
        let error = decode(text, body).unwrap_err();
        assert!(error.reason.contains("dedup_key: "), "{body}: {error}");
    }
    let good = decode(text, r#"{"server": "a", "job": 0}"#).unwrap();
    assert_eq!(good.events[0].identity, Identity::key("a/0").unwrap());
}

#[test]
fn nothing_taken_is_ignored_and_nothing_there_is_an_error() {
    let body = r#"{"jobs": [{"job": "a", "server": "b", "result": "running"}]}"#;
    let decoded = decode(JOBS, body).unwrap();
    assert_eq!(
        decoded.ignored.as_deref(),
        Some("mapping `m`: `when` takes none of 1 items")
    );
    assert!(decode(JOBS, r#"{"jobs": []}"#).unwrap().ignored.is_some());
    let error = decode(JOBS, r#"{"jbos": []}"#).unwrap_err();
    assert_eq!(
        error.reason,
        "mapping `m`: each: nothing is there; a list was expected"
    );
}

#[test]
fn members_are_judged_one_by_one() {
    let body = r#"{"jobs": [
        {"job": "pg", "server": "db1", "result": "failed", "at": "yesterday"},
        "no object"
    ]}"#;
    let decoded = decode(JOBS, body).unwrap();
    assert_eq!(decoded.events.len(), 1);
    assert!(
        decoded.problems[0].starts_with("item 1: mapping `m`: "),
        "{:?}",
        decoded.problems
    );
    assert!(
        decoded.events[0].problems[0].contains("`yesterday` is no date and time"),
        "{:?}",
        decoded.events[0].problems
    );
}

#[test]
fn a_mapping_does_not_take_the_name_of_a_sender() {
    let good = config("dedup_key = 'item.id'\nsummary = 'item.text'");
    let named = |name: &str| BTreeMap::from([(name.to_owned(), good.clone())]);
    let errors = Mappings::compile(&named("zabbix")).unwrap_err();
    assert!(errors[0].to_string().contains("known sender"));
    assert!(
        Mappings::compile(&named("backups"))
            .unwrap()
            .get("backups")
            .is_some()
    );
}
