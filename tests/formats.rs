//! Golden files: every message below `tests/data/formats/SENDER/` is decoded as that sender and
//! compared with `CASE.expected.json`, the object that `alertbridge try --json` prints.
//! `ALERTBRIDGE_UPDATE_GOLDEN=1` writes them anew.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "format_support/properties.rs"]
mod properties;

use alertbridge::formats::mail::{Templates, decode_bytes};
use alertbridge::formats::{self, Detection, Request, view};
use alertbridge::intake::raw::Dump;
use alertbridge::model::{Event, EventState, Identity, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Just after the resolved API alerts were sent.
const RECEIVED_AT: &str = "2026-08-21T06:31:45.600Z";
/// Within the lease of the firing API alerts, which [`LEASED`] names.
const LEASED_AT: &str = "2026-08-21T06:11:00Z";
const LEASED: [&str; 3] = [
    "amapi-prometheus-firing.json",
    "amapi-prometheus-resend.json",
    "amapi-vmalert-local-offset.json",
];

/// Messages that carry no mark of their sender; the source's kind tells it.
const UNMARKED: &[&str] = &[
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
            let text = file.to_string_lossy().into_owned();
            if !text.ends_with(".expected.json") && !text.ends_with(".toml") {
                found.push((name.clone(), file));
            }
        }
    }
    found.sort();
    found
}

/// A fixture as a door would hand it over: a body, or a whole request (`.http`) as captured.
struct Fixture {
    name: String,
    dump: Dump,
}

impl Fixture {
    fn read(file: &Path) -> Fixture {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        let bytes = std::fs::read(file).unwrap();
        if name.ends_with(".http") {
            let dump = Dump::read(&bytes).unwrap_or_else(|| of_lines(&bytes));
            return Fixture { name, dump };
        }
        let path = if name.starts_with("amapi-") {
            "/api/v2/alerts"
        } else {
            "/hooks/x"
        };
        let dump = posted(path, bytes);
        Fixture { name, dump }
    }

    fn request(&self) -> Request<'_> {
        let firing = LEASED.contains(&self.name.as_str());
        let at = if firing { LEASED_AT } else { RECEIVED_AT };
        // A capture says when it was received: leases end by that.
        let captured = self
            .dump
            .headers
            .iter()
            .find(|(name, _)| name == "x-received-at")
            .map(|(_, at)| at.as_str());
        self.dump
            .request(Time::parse_rfc3339(captured.unwrap_or(at)).unwrap())
    }

    /// The same request with another body.
    fn with(&self, body: Vec<u8>) -> Fixture {
        Fixture {
            name: self.name.clone(),
            dump: Dump {
                body,
                ..self.dump.clone()
            },
        }
    }
}

/// A request whose lines end without CR.
fn of_lines(bytes: &[u8]) -> Dump {
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    let (head, body) = text.split_once("\n\n").unwrap();
    let whole = format!("{}\r\n\r\n{body}", head.replace('\n', "\r\n"));
    Dump::read(whole.as_bytes()).unwrap()
}

fn posted(path: &str, body: Vec<u8>) -> Dump {
    Dump {
        method: "POST".to_owned(),
        path: path.to_owned(),
        query: String::new(),
        headers: Vec::new(),
        body,
    }
}

/// The body alone, so that nothing but it can give an identity.
fn alone(body: &[u8]) -> Fixture {
    Fixture {
        name: String::new(),
        dump: posted("/hooks/x", body.to_vec()),
    }
}

/// The events of a fixture.
fn decoded(sender: &str, file: &str) -> Vec<Event> {
    let fixture = Fixture::read(&folder().join(sender).join(file));
    formats::decode_as(sender, &fixture.request())
        .unwrap()
        .events
}

#[test]
fn every_message_decodes_as_its_golden_file_says() {
    let update = std::env::var_os("ALERTBRIDGE_UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    for (sender, file) in messages() {
        let fixture = Fixture::read(&file);
        let outcome = formats::decode_as(&sender, &fixture.request());
        let found = view::message(
            &fixture.name,
            Some(&sender),
            view::MessageKind::Webhook,
            &outcome,
        );
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
    let (mut known, mut wrong, all) = (0, Vec::new(), messages());
    for (sender, file) in &all {
        let fixture = Fixture::read(file);
        let found = formats::detect(&fixture.request()).map(formats::Format::name);
        let marked = !UNMARKED.contains(&format!("{sender}/{}", fixture.name).as_str());
        let expected = marked.then_some(sender.as_str());
        known += usize::from(found == Some(sender));
        if found != expected {
            wrong.push(format!("{}: {found:?}", file.display()));
        }
    }
    println!("recognised: {known} of {}", all.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_other_sender_is_certain_of_a_message() {
    for (sender, file) in messages() {
        let fixture = Fixture::read(&file);
        let request = fixture.request();
        let others: Vec<&str> = formats::ALL
            .iter()
            .filter(|format| format.detect(&request) == Detection::Certain)
            .map(|format| format.name())
            .filter(|name| *name != sender)
            .collect();
        assert!(others.is_empty(), "{}: {others:?}", file.display());
    }
}

/// Bodies that say nothing: no identity can be made of them.
const EMPTY: [&str; 12] = [
    "",
    " ",
    "{}",
    "[]",
    "[{}]",
    "null",
    "{\"a\":1}",
    "{\"events\":[{}],\"Events\":[{}],\"alerts\":[{}],\"Data\":[{}],\"topic\":\"alarms\"}",
    "{\"status\":\"firing\",\"state\":1,\"severity\":\"critical\"}",
    "<a/>",
    "a=b",
    "\u{0}\u{1}",
];

#[test]
fn what_says_nothing_becomes_no_event() {
    for format in formats::ALL {
        for body in EMPTY {
            let outcome = formats::decode(*format, &alone(body.as_bytes()).request());
            let events = outcome.map(|decoded| decoded.events).unwrap_or_default();
            assert_eq!(events, [], "{} of {body:?}", format.name());
        }
    }
}

fn fill(value: &mut serde_json::Value, with: &serde_json::Value) {
    match value {
        serde_json::Value::Object(map) => map.values_mut().for_each(|inner| fill(inner, with)),
        serde_json::Value::Array(list) => list.iter_mut().for_each(|inner| fill(inner, with)),
        scalar => *scalar = with.clone(),
    }
}

#[test]
fn fields_without_values_or_with_unresolved_macros_become_no_event() {
    let fillings = [
        serde_json::json!(null),
        serde_json::json!(""),
        serde_json::json!("{EVENT.ID}"),
        serde_json::json!("$HOSTNAME$"),
        serde_json::json!("${N=Alerting;M=AlertID}"),
        serde_json::json!("*UNKNOWN*"),
    ];
    for (sender, file) in messages() {
        let fixture = Fixture::read(&file);
        let Ok(value) = serde_json::from_slice::<serde_json::Value>(&fixture.dump.body) else {
            continue;
        };
        for filling in &fillings {
            let mut value = value.clone();
            fill(&mut value, filling);
            let body = serde_json::to_vec(&value).unwrap();
            let outcome = formats::decode_as(&sender, &alone(&body).request());
            let events = outcome.map(|decoded| decoded.events).unwrap_or_default();
            assert_eq!(events, [], "{} filled with {filling}", file.display());
        }
    }
}

/// What of a registry line the messages of its sender show.
#[derive(Default)]
struct Shown {
    states: BTreeSet<&'static str>,
    firing: BTreeMap<Identity, usize>,
    several: bool,
    test: bool,
    odd: bool,
}

impl Shown {
    fn add(&mut self, outcome: Result<formats::Decoded, formats::Undecodable>) {
        let Ok(decoded) = outcome else {
            self.odd = true;
            return;
        };
        self.several |= decoded.events.len() > 1;
        self.test |= decoded.ignored.is_some();
        self.odd |= !decoded.problems.is_empty();
        for event in decoded.events {
            self.odd |= !event.problems.is_empty();
            self.test |= event.test;
            self.states.insert(match event.state {
                EventState::Firing => "problem",
                EventState::Resolved => "recovery",
                EventState::Acknowledged => "acknowledged",
                EventState::Info => "notice",
            });
            if event.state == EventState::Firing {
                *self.firing.entry(event.identity).or_default() += 1;
            }
        }
    }

    fn shows(&self, word: &str) -> bool {
        match word {
            "problem" | "recovery" | "acknowledged" => self.states.contains(word),
            "repeat" | "reminder" => self.firing.values().any(|count| *count > 1),
            "several in one" => self.several,
            "test" => self.test,
            _ => true,
        }
    }
}

#[test]
fn what_a_sender_can_say_is_shown_by_its_messages_and_so_are_odd_ones() {
    let mut shown: BTreeMap<String, Shown> = BTreeMap::new();
    for (sender, file) in messages() {
        let outcome = formats::decode_as(&sender, &Fixture::read(&file).request());
        shown.entry(sender).or_default().add(outcome);
    }
    let mut missing = Vec::new();
    for format in formats::ALL {
        let shown = &shown[format.name()];
        let words = format.about().says.split([',', ';']).map(str::trim);
        let unseen = words.filter(|word| !shown.shows(word));
        missing.extend(unseen.map(|word| format!("{}: {word}", format.name())));
        if !shown.odd {
            missing.push(format!("{}: an odd one", format.name()));
        }
    }
    assert!(missing.is_empty(), "no message shows: {missing:#?}");
}

fn identities(sender: &str, file: &str) -> Vec<Identity> {
    decoded(sender, file)
        .into_iter()
        .map(|event| event.identity)
        .collect()
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
            let fixture = alone(body.as_bytes());
            let request = fixture.request();
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

const NOT_KNOWN: &str = "
OAuth tokens that an authorization server issues anew (Datadog, Kibana, Site24x7, Entra at Azure)
cannot be checked: give such a sender a fixed token, a header or a secret in the URL.

What **Domotz**, **QNAP** and **Pure Storage** post is not described where we could read it, so nothing
is guessed. Domotz's webhooks take a [mapping](mappings.md); QNAP is read by mail (below); Pure Storage
sends mails, syslog and SNMP traps. Known from other receivers or by convention only, so look at the
first messages with `alertbridge try`: Google Cloud Monitoring, Auvik, UniFi, OpManager, the layout of
ONTAP's XML, transactions of Pingdom, JSON of StatusCake, attributes of Better Stack, severity numbers
of OpenManage Enterprise, event ids of PAN-OS, CloudVision and Aruba's power and fan alerts.
";

const TEMPLATES: &str = "
## What to paste into them

Senders whose message is a template of their operator's; the files stand in `config/senders`. Send JSON
with `Content-Type: application/json`, the secret as a header where the sender can.

| sender | file | where |
| --- | --- | --- |
| Zabbix | `zabbix.yaml` | Alerts, Media types, Import; what else to set stands in it |
| Nagios, Naemon, Centreon Engine | `nagios.cfg` | commands of a contact |
| Icinga 2 | `icinga2.conf` | commands of notifications for hosts and for services |
| Checkmk | `checkmk.sh` | notification script of the site |
| LibreNMS | `librenms.json` | alert transport API, POST, body; header `Content-Type=application/json` |
| PRTG | `prtg.txt` | notification template, Execute HTTP action, POST data; the secret in the URL |
| SolarWinds | `solarwinds-trigger.json`, `solarwinds-reset.json` | web request of the trigger action and of the reset action |
| OpManager | `opmanager.json` | webhook profile, raw JSON; tick the clearing of alarms |
| WhatsUp Gold | `whatsupgold.json` | REST action of a monitor |
| LogicMonitor | `logicmonitor.json` | custom HTTP delivery, the same for new, acknowledged, cleared and updated |
| Proxmox | `proxmox.json` | webhook target, body |
| FortiGate | `fortigate.json` | automation action, webhook, body |
| PAN-OS | `paloalto.json` | HTTP server profile, payload of system logs |
| Datadog | `datadog.json` | webhooks integration, payload |
| Kibana | `kibana.json` | webhook connector, body of the actions for active and for recovered; `severity` as the rule means it |
| Healthchecks.io | `healthchecks.json` | webhook, POST, body for down and for up |

The others send what they send: only the URL and a secret are theirs to set.
";

const MAILS_HEAD: &str = "
## Mails

What is read in mails without a word of configuration, in the order in which templates are tried;
operators' own come first ([mail-templates.md](mail-templates.md)). Calendars (MAINTNOTE) and JSON
attachments are read as well. Who may speak by mail: [mail.md](mail.md).

| sender | template | says | identity | sample mails |
| --- | --- | --- | --- | --- |
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
    page.push_str(NOT_KNOWN);
    page.push_str(TEMPLATES);
    page.push_str(MAILS_HEAD);
    let read = mails_by_template();
    for about in Templates::shipped().about() {
        let cells = [
            about.title.to_owned(),
            format!("`{}`", about.name),
            about.says.join(", "),
            about.identity.join(", "),
            read.get(about.name).copied().unwrap_or(0).to_string(),
        ];
        let escaped: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
        page.push_str(&format!("| {} |\n", escaped.join(" | ")));
    }
    page
}

/// How many of the sample mails each template reads.
fn mails_by_template() -> BTreeMap<String, usize> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/mail");
    let mut read = BTreeMap::new();
    for folder in ["samples", "own", "captures"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|end| end == "eml") {
                let raw = std::fs::read(path).unwrap();
                let received_at = Time::parse_rfc3339("2026-01-01T00:00:00Z").unwrap();
                *read.entry(decode_bytes(&raw, received_at).0).or_default() += 1;
            }
        }
    }
    read
}

/// What operators paste into their monitors, and messages of these fields.
const PASTED: &[(&str, &str, &[&str])] = &[
    (
        "zabbix.yaml",
        "zabbix",
        &[
            "zabbix-problem.json",
            "zabbix-recovery.json",
            "zabbix-update-ack.json",
            "zabbix-update-severity.json",
            "zabbix-update-suppress.json",
            "zabbix-psu-degraded.json",
            "zabbix-service-problem.json",
            "zabbix-internal-item-unsupported.json",
        ],
    ),
    (
        "librenms.json",
        "librenms",
        &[
            "librenms-problem.json",
            "librenms-recovery.json",
            "librenms-ack.json",
            "librenms-device-down.json",
        ],
    ),
    (
        "prtg.txt",
        "prtg",
        &[
            "prtg-down.form",
            "prtg-up.form",
            "prtg-down-ended-paused.form",
            "prtg-down-acknowledged.form",
            "prtg-warning.form",
        ],
    ),
    (
        "solarwinds-trigger.json",
        "solarwinds",
        &["solarwinds-trigger.json", "solarwinds-hardware-psu.json"],
    ),
    (
        "solarwinds-reset.json",
        "solarwinds",
        &["solarwinds-reset.json"],
    ),
    (
        "opmanager.json",
        "opmanager",
        &[
            "opmanager-critical.json",
            "opmanager-clear.json",
            "opmanager-trouble-interface.json",
        ],
    ),
    (
        "whatsupgold.json",
        "whatsupgold",
        &[
            "whatsupgold-down.json",
            "whatsupgold-up.json",
            "whatsupgold-maintenance.json",
        ],
    ),
    (
        "logicmonitor.json",
        "logicmonitor",
        &[
            "logicmonitor-active.json",
            "logicmonitor-ack.json",
            "logicmonitor-clear.json",
            "logicmonitor-collector-down.json",
        ],
    ),
    (
        "proxmox.json",
        "proxmox",
        &[
            "proxmox-ve-backup-failed.json",
            "proxmox-ve-backup-ok.json",
            "proxmox-ve-fencing.json",
        ],
    ),
    (
        "fortigate.json",
        "fortigate",
        &[
            "fortigate-psu-failure.json",
            "fortigate-psu-restored.json",
            "fortigate-interface-down.json",
            "fortigate-ha-member-dead.json",
            "fortigate-ha-heartbeat-down.json",
            "fortigate-vpn-tunnel-down.json",
        ],
    ),
    (
        "paloalto.json",
        "paloalto",
        &[
            "paloalto-psu.json",
            "paloalto-ha2-link-down.json",
            "paloalto-ha2-link-up.json",
        ],
    ),
    (
        "datadog.json",
        "datadog",
        &[
            "custom-triggered.json",
            "custom-recovered.json",
            "custom-nodata.json",
            "custom-warn.json",
        ],
    ),
    (
        "kibana.json",
        "kibana",
        &[
            "active.json",
            "recovered.json",
            "warning.json",
            "nodata.json",
        ],
    ),
    (
        "healthchecks.json",
        "healthchecks",
        &["down.json", "up.json"],
    ),
];

/// The names of the fields that a template sends.
fn pasted_fields(text: &str) -> BTreeSet<String> {
    let quoted = |line: &str| -> Vec<String> {
        line.split("\": ")
            .filter_map(|before| before.rsplit_once('"'))
            .map(|(_, name)| name.to_owned())
            .collect()
    };
    let parameter = |line: &str| line.trim().strip_prefix("- name: ").map(str::to_owned);
    if text.starts_with('#') {
        return text.lines().filter_map(parameter).collect();
    }
    if !text.contains('{') {
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        return pairs.map(|(name, _)| name.to_owned()).collect();
    }
    text.lines().flat_map(quoted).collect()
}

/// The message with these fields alone.
fn only(body: &[u8], fields: &BTreeSet<String>) -> Vec<u8> {
    if let Ok(serde_json::Value::Object(mut map)) = serde_json::from_slice(body) {
        map.retain(|name, _| fields.contains(name));
        return serde_json::to_vec(&map).unwrap();
    }
    let text = std::str::from_utf8(body).unwrap();
    let kept: Vec<&str> = text
        .split('&')
        .filter(|pair| fields.contains(pair.split('=').next().unwrap()))
        .collect();
    kept.join("&").into_bytes()
}

#[test]
fn templates_that_operators_paste_say_what_a_message_has_to_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for (file, sender, cases) in PASTED {
        let text = std::fs::read_to_string(root.join("config/senders").join(file)).unwrap();
        let fields = pasted_fields(&text);
        assert!(fields.len() > 4, "{file}: {fields:?}");
        let said = |body: &[u8]| {
            let outcome = formats::decode_as(sender, &alone(body).request());
            let events = outcome.map(|decoded| decoded.events).unwrap_or_default();
            let told = |e: Event| {
                // What failed counts where it opens something.
                let part = e.component.filter(|_| e.state == EventState::Firing);
                let of = (e.state, e.identity, e.severity, e.severity_hint);
                (of, e.host, part, e.suppressed, e.test, e.summary)
            };
            events.into_iter().map(told).collect::<Vec<_>>()
        };
        for case in *cases {
            let body = std::fs::read(folder().join(sender).join(case)).unwrap();
            let pasted = said(&only(&body, &fields));
            if pasted.is_empty() || pasted != said(&body) {
                wrong.push(format!(
                    "{file}: {case}: {pasted:?} and not {:?}",
                    said(&body)
                ));
            }
        }
        // A test button fills nothing in.
        if !text.starts_with('#') {
            let opened = said(text.as_bytes());
            let quiet = |state, test| test || state == EventState::Info;
            if !opened.iter().all(|e| quiet(e.0.0, e.4)) {
                wrong.push(format!("{file} as it is: {opened:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
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

#[test]
fn any_sender_reads_any_message_without_harm() {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (sender, file) in messages() {
        let count = seen.entry(sender).or_default();
        *count += 1;
        if *count > 3 {
            continue;
        }
        let fixture = Fixture::read(&file);
        for format in formats::ALL {
            let outcome = formats::decode(*format, &fixture.request());
            for event in outcome.map(|decoded| decoded.events).unwrap_or_default() {
                assert!(!event.summary.is_empty(), "{}: {event:?}", format.name());
            }
        }
    }
}

/// Problems of a fixture folder by `problems.toml`: a name, and the files (`file` or `file#2` for
/// its second event) that speak of it.
fn problems(sender: &str) -> BTreeMap<String, BTreeMap<String, Identity>> {
    let file = folder().join(sender).join("problems.toml");
    let Ok(text) = std::fs::read_to_string(&file) else {
        return BTreeMap::new();
    };
    let listed: BTreeMap<String, Vec<String>> = toml::from_str(&text).unwrap();
    let identity = |place: &String| {
        let (file, number) = place.split_once('#').unwrap_or((place, "1"));
        let number: usize = number.parse().unwrap();
        let mut events = decoded(sender, file);
        assert!(
            events.len() >= number,
            "{sender}/{place}: there is no such event"
        );
        events.remove(number - 1).identity
    };
    listed
        .into_iter()
        .map(|(name, places)| {
            let places = places
                .into_iter()
                .map(|place| (place.clone(), identity(&place)));
            (name, places.collect())
        })
        .collect()
}

#[test]
fn one_problem_has_one_identity_and_two_problems_never_share_one() {
    for format in formats::ALL {
        let mut seen: BTreeMap<Identity, String> = BTreeMap::new();
        for (name, places) in problems(format.name()) {
            let identities: BTreeSet<&Identity> = places.values().collect();
            assert_eq!(
                identities.len(),
                1,
                "{}: {name}: {places:#?}",
                format.name()
            );
            for identity in identities {
                let other = seen.insert(identity.clone(), name.clone());
                assert_eq!(other, None, "{}: {name} has {identity}", format.name());
            }
        }
    }
}
