//! Golden files: every message below `tests/data/formats/SENDER/` is decoded as that sender and
//! compared with `CASE.expected.json`, the object that `alertbridge try --json` prints.
//! `ALERTBRIDGE_UPDATE_GOLDEN=1` writes them anew. A file that ends in `.http` is a whole request
//! with CRLF line ends, for what method, path, query or headers say; anything else is a body.

#![allow(clippy::unwrap_used)]

use alertbridge::formats::{self, view};
use alertbridge::intake::raw::Dump;
use alertbridge::model::{AlertKey, EventState, Identity, Time};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Just after the resolved API alerts were sent.
const RECEIVED_AT: &str = "2026-08-21T06:31:45.600Z";
/// Within the lease of the firing API alerts.
const LEASED_AT: &str = "2026-08-21T06:11:00Z";

/// Messages that carry no mark of their sender; the source's kind tells it.
const UNMARKED: &[&str] = &[
    "cloudevents/odd-no-source.json",
    "elastalert/http_post2.json",
    "elastalert/payload-map.json",
    "graylog/v2.form",
    "kibana/template-broken.txt",
    "robusta/text.txt",
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/formats")
}

fn messages() -> Vec<(String, PathBuf)> {
    let mut found = Vec::new();
    for sender in std::fs::read_dir(folder()).unwrap() {
        let sender = sender.unwrap().path();
        let name = sender.file_name().unwrap().to_string_lossy().into_owned();
        for file in std::fs::read_dir(&sender).unwrap() {
            let file = file.unwrap().path();
            if !file.to_string_lossy().ends_with(".expected.json") {
                found.push((name.clone(), file));
            }
        }
    }
    found.sort();
    found
}

fn message(body: Vec<u8>, name: &str) -> Dump {
    if name.ends_with(".http") {
        return Dump::read(&body).unwrap();
    }
    let path = if name.starts_with("amapi-") {
        "/api/v2/alerts"
    } else {
        "/hooks/x"
    };
    Dump {
        method: "POST".to_owned(),
        path: path.to_owned(),
        query: String::new(),
        headers: Vec::new(),
        body,
    }
}

fn received_at(name: &str) -> Time {
    let firing = [
        "amapi-prometheus-firing.json",
        "amapi-prometheus-resend.json",
        "amapi-vmalert-local-offset.json",
    ];
    let at = if firing.contains(&name) {
        LEASED_AT
    } else {
        RECEIVED_AT
    };
    Time::parse_rfc3339(at).unwrap()
}

fn read(file: &Path) -> (String, Dump) {
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    let dump = message(std::fs::read(file).unwrap(), &name);
    (name, dump)
}

#[test]
fn every_message_decodes_as_its_golden_file_says() {
    let update = std::env::var_os("ALERTBRIDGE_UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for (sender, file) in messages() {
        let (name, dump) = read(&file);
        let outcome = formats::decode_as(&sender, &dump.request(received_at(&name)));
        let found = view::message(&name, Some(&sender), view::MessageKind::Webhook, &outcome);
        let found = serde_json::to_string_pretty(&found).unwrap() + "\n";
        let golden = file.with_extension("expected.json");
        if update {
            std::fs::write(&golden, &found).unwrap();
        } else if std::fs::read_to_string(&golden).ok().as_deref() != Some(&found) {
            wrong.push(file);
        }
    }
    assert!(
        wrong.is_empty(),
        "differ from their golden files: {wrong:#?}"
    );
}

#[test]
fn every_sender_of_the_registry_has_a_folder_and_every_folder_a_sender() {
    let folders: BTreeSet<String> = messages().into_iter().map(|(sender, _)| sender).collect();
    let senders = formats::ALL
        .iter()
        .map(|format| format.name().to_owned())
        .collect();
    assert_eq!(folders, senders);
}

#[test]
fn every_message_is_recognised_as_its_sender() {
    for (sender, file) in messages() {
        let (name, dump) = read(&file);
        let request = dump.request(received_at(&name));
        let found = formats::detect(&request).map(formats::Format::name);
        let marked = !UNMARKED.contains(&format!("{sender}/{name}").as_str());
        let expected = marked.then_some(sender.as_str());
        assert_eq!(found, expected, "{}", file.display());
    }
}

fn identities(sender: &str, file: &str) -> Vec<Identity> {
    let (name, dump) = read(&folder().join(sender).join(file));
    let decoded = formats::decode_as(sender, &dump.request(received_at(&name))).unwrap();
    decoded
        .events
        .into_iter()
        .map(|event| event.identity)
        .collect()
}

/// Messages that speak of one problem, in a row; a problem differs from those of the other rows of
/// its sender.
const ONE_PROBLEM: &[&str] = &[
    "alertmanager: alertmanager-firing.json alertmanager-resolved.json",
    "azure: log-v2-fired.json log-v2-resolved.json",
    "azure: metric-fired.json metric-resolved.json odd-words-and-types.json",
    "azure: noncommon-metric-activated.json noncommon-metric-deactivated.json noncommon-pascalcase.json",
    "azure: resourcehealth-unavailable.json resourcehealth-available.json",
    "azure: servicehealth-active.json servicehealth-resolved.json",
    "azure: budget.json",
    "betterstack: started.json acknowledged.json resolved.json custom-template.json",
    "botkube: error.json odd-words-and-types.json",
    "botkube: notice.json",
    "cloudevents: structured-raised.json structured-cleared.json odd-words-and-types.json",
    "cloudevents: path-source-dataschema.json",
    "cloudflare: healthcheck-start.json healthcheck-end.json",
    "cloudflare: ddos-l4.json",
    "datadog: custom-triggered.json custom-renotify.json custom-warn.json custom-nodata.json custom-recovered.json custom-form.form",
    "datadog: default-triggered.json default-recovered.json",
    "elastalert: static-payload.json http_post2.json",
    "elastalert: flatline.json",
    "gcp: open.json renotify.json closed.json v1.1-string-documentation.json",
    "gcp: absent-no-severity.json",
    "graylog: event.json",
    "graylog: legacy-alarm-callback.json",
    "healthchecks: down.json up.json down-get.http down-status-differs.json down-name-breaks-json.txt",
    "kapacitor: critical.json warning.json ok.json info.json",
    "kapacitor: deadman-no-recover.json",
    "kibana: active.json warning.json nodata.json recovered.json",
    "kibana: ungrouped.json",
    "netdata: agent-warning.http agent-clear.http agent-nan-null.http agent-broken-quotes.http",
    "netdata: cloud-warning.json cloud-critical.json cloud-clear.json cloud-warning-with-host.json",
    "netdata: cloud-unreachable.json cloud-reachable.json",
    "netdata: recorded-warning.json recorded-critical.json recorded-clear.json",
    "newrelic: activated.json correlated-update.json acknowledged.json closed.json closed-ttl.json",
    "newrelic: legacy-open.json legacy-closed.json",
    "opsgenie: alertmanager-create.http alertmanager-close.http update-message.http close-no-body.http",
    "opsgenie: create.http acknowledge.http unacknowledge.http snooze.http close.http close-empty.http delete.http",
    "opsgenie: create-minimal.http",
    "pagerduty: alertmanager-trigger.json alertmanager-resolve.json",
    "pagerduty: trigger.json acknowledge.json resolve.json v1-trigger.json v1-resolve.json",
    "pagerduty: trigger-minimal-no-dedup.json",
    "pagerduty: uptimekuma-trigger.json uptimekuma-resolve.json",
    "pingdom: down.json up.json",
    "pingdom: ping-down-custom-message.json",
    "pingdom: transaction-failing.json transaction-success.json",
    "robusta: firing.json resolved.json truncated-keys.json",
    "robusta: text.txt",
    "sensu: failing.json still-failing.json resolved.json unknown-silenced.json wrapped.json flapping.json",
    "sensu: keepalive.json",
    "sentry: issue-alert.json issue-created.json issue-archived.json issue-unresolved.json issue-resolved.json legacy-plugin.json",
    "sentry: metric-critical.json metric-warning.json metric-resolved.json",
    "site24x7: critical-server.json",
    "site24x7: down.json trouble.json up.json form-down.form",
    "sns: cloudwatch-alarm.json cloudwatch-ok.json cloudwatch-insufficient.json raw-delivery.txt",
    "sns: cloudwatch-composite.json eventbridge-composite-suppressed.json",
    "sns: cloudwatch-metric-math.json",
    "sns: eventbridge-alarm.json eventbridge-alarm-ok.json eventbridge-alarm-deleted.json",
    "sns: eventbridge-health-open.json eventbridge-health-closed.json health-page2.json",
    "sns: budget-actual.json",
    "sns: budget-forecasted.json",
    "splunk: alert.json resolved-by-convention.json",
    "splunk: multivalue.json",
    "statuscake: down.form up.form down-upper.form",
    "statuscake: json-down.json json-up.json",
    "statuspage: component-outage.json component-operational.json component-maintenance.json",
    "statuspage: incident-investigating.json incident-monitoring.json incident-resolved.json",
    "statuspage: maintenance-scheduled.json maintenance-completed.json",
    "uptimekuma: cert-expiry.json",
    "uptimekuma: down.json up.json down-get.http down-multipart.http down-reminder.json maintenance.json",
    "uptimekuma: ping-na.json",
    "uptimekuma: recorded-backup-down.json recorded-up.json recorded-form-down.http",
    "uptimerobot: down.json up.json form-down.form up-get.http",
    "uptimerobot: ssl.json",
    "zabbix: zabbix-problem.json zabbix-recovery.json zabbix-update-ack.json",
    "zabbix: zabbix-psu-degraded.json",
];

#[test]
fn one_problem_has_one_identity_over_its_life_and_another_has_another() {
    let mut seen = BTreeMap::new();
    for row in ONE_PROBLEM {
        let (sender, files) = row.split_once(": ").unwrap();
        let mut found = BTreeSet::new();
        for file in files.split(' ') {
            found.extend(identities(sender, file));
        }
        assert_eq!(found.len(), 1, "{row}: {found:?}");
        let identity = found.pop_first().unwrap();
        if let Some(other) = seen.insert((sender, identity), *row) {
            assert_eq!(other, *row, "two problems share an identity");
        }
    }
}

#[test]
fn replicas_have_one_identity_and_members_their_own() {
    let replicas = identities("alertmanager", "alertmanager-ha-replica-label.json");
    assert_eq!(replicas[0], replicas[1]);
    for (sender, file) in [
        ("alertmanager", "alertmanager-mixed-truncated.json"),
        ("cloudevents", "batch.json"),
        ("kibana", "summary.json"),
    ] {
        let members = identities(sender, file);
        assert_eq!(members.iter().collect::<BTreeSet<_>>().len(), 3, "{file}");
    }
}

#[test]
fn test_messages_are_a_problem_and_its_recovery() {
    for format in formats::ALL {
        let Some(bodies) = format.test_messages() else {
            continue;
        };
        let mut found = Vec::new();
        for body in bodies {
            let dump = message(body.as_bytes().to_vec(), "test");
            let request = dump.request(received_at("test"));
            let detected = formats::detect(&request).map(formats::Format::name);
            assert_eq!(detected, Some(format.name()), "{body}");
            let decoded = formats::decode(*format, &request).unwrap();
            let [event] = decoded.events.as_slice() else {
                unreachable!("{} events: {body}", decoded.events.len());
            };
            assert_eq!(event.problems, Vec::<String>::new(), "{body}");
            found.push((event.identity.clone(), event.state));
        }
        assert_eq!(found[0].0, found[1].0, "{}", format.name());
        assert_eq!(found[0].1, EventState::Firing, "{}", format.name());
        assert_eq!(found[1].1, EventState::Resolved, "{}", format.name());
    }
}

/// The same shape without a single value.
fn emptied(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => map.values_mut().for_each(emptied),
        serde_json::Value::Array(list) => list.iter_mut().for_each(emptied),
        other => *other = serde_json::Value::Null,
    }
}

#[test]
fn a_message_without_values_has_no_identity() {
    for (sender, file) in messages() {
        let (name, dump) = read(&file);
        let Ok(mut value) = serde_json::from_slice(&dump.body) else {
            continue;
        };
        emptied(&mut value);
        let path = "/hooks/x".to_owned();
        let body = serde_json::to_vec(&value).unwrap();
        let headers = Vec::new();
        let dump = Dump {
            path,
            body,
            headers,
            ..dump
        };
        if let Ok(decoded) = formats::decode_as(&sender, &dump.request(received_at(&name))) {
            assert_eq!(decoded.events, [], "{}", file.display());
        }
    }
}

const PAGE_HEAD: &str = "\
# Senders

What each sender can say, what tells one of its problems from another, and how it can prove that it
is the sender. The kind is what `kind` of a source takes; without a configured source it is also the
path below `/hooks/`. Anything else is read by a [mapping](mappings.md).

This page is made from the registry in `src/formats/mod.rs`; a test compares it. Write it anew with
`ALERTBRIDGE_UPDATE_GOLDEN=1 cargo test --test formats`.

| sender | kind | says | identity | authentication | messages it is tested with |
| --- | --- | --- | --- | --- | --- |
";

fn page() -> String {
    let mut page = PAGE_HEAD.to_owned();
    let messages = messages();
    for format in formats::ALL {
        let (name, about) = (format.name(), format.about());
        let count = messages.iter().filter(|(sender, _)| sender == name).count();
        let cells = [
            about.title.to_owned(),
            format!("`{name}`"),
            about.says.to_owned(),
            about.identity.to_owned(),
            about.auth.to_owned(),
            format!("[{count}](../tests/data/formats/{name})"),
        ];
        let escaped: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        page.push_str(&format!("| {} |\n", escaped.join(" | ")));
    }
    page
}

#[test]
fn the_page_of_senders_is_that_of_the_registry() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/senders.md");
    let page = page();
    if std::env::var_os("ALERTBRIDGE_UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(found, page, "docs/senders.md: write it anew");
}

fn mutate(value: &mut serde_json::Value, seed: &mut u64) {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    let dice = *seed >> 33;
    match value {
        serde_json::Value::Object(map) => {
            let keys: Vec<String> = map.keys().cloned().collect();
            for key in keys {
                *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                match (*seed >> 33) % 12 {
                    0 => drop(map.remove(&key)),
                    1 => drop(map.insert(key, serde_json::json!({"x": [1, null]}))),
                    2 => drop(map.insert(key, serde_json::json!(17))),
                    3 => drop(map.insert(key, serde_json::Value::Null)),
                    _ => {
                        if let Some(inner) = map.get_mut(&key) {
                            mutate(inner, seed);
                        }
                    }
                }
            }
        }
        serde_json::Value::Array(list) => list.iter_mut().for_each(|v| mutate(v, seed)),
        serde_json::Value::String(text) if dice.is_multiple_of(9) => {
            text.truncate(text.char_indices().nth(3).map_or(0, |(at, _)| at));
        }
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn mutated_messages_never_panic(seed in any::<u64>(), cut in 0..4000_usize) {
        let all = messages();
        let (sender, file) = &all[(seed % all.len() as u64) as usize];
        let (name, dump) = read(file);
        let mut mutated = dump.body.clone();
        if let Ok(mut value) = serde_json::from_slice(&dump.body) {
            let mut seed = seed;
            mutate(&mut value, &mut seed);
            mutated = serde_json::to_vec(&value).unwrap();
        }
        for body in [mutated, dump.body[..cut.min(dump.body.len())].to_vec()] {
            let dump = Dump { body, ..dump.clone() };
            if let Ok(decoded) = formats::decode_as(sender, &dump.request(received_at(&name))) {
                for event in decoded.events {
                    let key = AlertKey::of("s", &event.identity);
                    prop_assert_eq!(key, AlertKey::of("s", &event.identity));
                    prop_assert!(!event.summary.is_empty());
                }
            }
        }
    }
}
