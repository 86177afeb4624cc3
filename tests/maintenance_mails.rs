//! Notices of carriers, from their mails to windows on the inventory's circuits: announced, moved,
//! begun, cancelled, completed, in the order that the carrier gave them and not in that of arrival.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use alertbridge::engine::{Decisions, Engine, Route};
use alertbridge::formats::mail::decode_bytes;
use alertbridge::inventory::{Inventory, InventoryFile};
use alertbridge::model::event::{Event, EventState, SeverityHint};
use alertbridge::model::incident::{Incident, IncidentState};
use alertbridge::model::input::Message;
use alertbridge::model::saved::LoadedState;
use alertbridge::model::{Identity, Input, Sequenced, Time};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const INVENTORY: &str = r#"
element = [
  { id = "CKT-AMS-FRA-0011" }, { id = "CKT-AMS-LON-0044" },
  { id = "syd-mel", aliases = ["0a1b2c3d"] }, { id = "port-x", aliases = ["aa11bb22"] },
]
[[service]]
id = "transit"
depends_on = ["CKT-AMS-FRA-0011"]
accounts = ["acme"]
[[account]]
id = "acme"
"#;

struct Bench {
    engine: Engine,
    decisions: Decisions,
    seq: u64,
    now: Time,
    things: BTreeMap<(String, String), Vec<u8>>,
}

fn at(text: &str) -> Time {
    Time::parse_rfc3339(text).unwrap()
}

fn sample(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/mail");
    let read = |part: &str| std::fs::read(folder.join(part).join(name));
    let raw = read("samples").or_else(|_| read("own")).unwrap();
    String::from_utf8(raw).unwrap()
}

impl Bench {
    fn new(now: &str) -> Bench {
        let inventory = Inventory::build(InventoryFile::from_toml(INVENTORY).unwrap()).unwrap();
        let decisions = Decisions {
            inventory: Arc::new(inventory),
            routes: vec![Route::desk()],
            ..Decisions::default()
        };
        Bench {
            engine: Engine::new(decisions.clone()),
            decisions,
            seq: 0,
            now: at(now),
            things: BTreeMap::new(),
        }
    }

    fn step(&mut self, input: Input) {
        self.seq += 1;
        self.engine.step(&Sequenced {
            seq: self.seq,
            at: self.now,
            input,
        });
        for row in self.engine.take_delta().things {
            self.things
                .insert((row.kind.to_owned(), row.key), row.value);
        }
    }

    /// A mail as it comes in now.
    fn mail(&mut self, raw: &str) {
        let (sender, decoded) = decode_bytes(raw.as_bytes(), self.now);
        let decoded = decoded.unwrap();
        assert_eq!(decoded.maintenance.len(), 1, "{decoded:?}");
        self.step(Input::Message(Message {
            maintenance: decoded.maintenance,
            ..Message::new("mail", &sender, Vec::new())
        }));
    }

    fn go_to(&mut self, now: &str) {
        self.now = at(now);
        self.step(Input::Due);
    }

    fn alert(&mut self, element: &str, state: EventState) {
        let mut event = Event::new(state, Identity::Key(element.to_owned()), "it is down");
        event.host = Some(element.to_owned());
        event.severity_hint = SeverityHint::Outage;
        self.step(Input::Message(Message::new("mon", "native", vec![event])));
    }

    /// Windows: from, until and elements.
    fn windows(&self) -> Vec<(String, String, Vec<String>)> {
        let windows = self.engine.state().windows.values();
        windows
            .map(|w| (w.from.to_string(), w.until.to_string(), w.elements.clone()))
            .collect()
    }

    /// The incident about an element.
    fn about(&self, part: &str) -> &Incident {
        let mut incidents = self.engine.state().incidents.values();
        incidents.find(|i| i.title.contains(part)).unwrap()
    }

    fn tickets(&self) -> usize {
        self.engine.state().tickets.len()
    }

    /// The engine as a new process loads it, without incidents.
    fn restart(&mut self) {
        let things = self.things.iter();
        let loaded = LoadedState {
            cursor: self.seq,
            served_until: self.now,
            things: things
                .filter(|(_, value)| !value.is_empty())
                .map(|((kind, key), value)| (kind.clone(), key.clone(), value.clone()))
                .collect(),
            ..LoadedState::default()
        };
        self.engine = Engine::load(self.decisions.clone(), loaded).unwrap();
    }
}

const FIRST: (&str, &str) = ("2025-12-02T22:00:00Z", "2025-12-03T04:00:00Z");
const MOVED: (&str, &str) = ("2025-12-03T22:00:00Z", "2025-12-04T04:00:00Z");

fn is_window(found: &[(String, String, Vec<String>)], wanted: (&str, &str), elements: &[&str]) {
    let [(from, until, named)] = found else {
        panic!("{found:?}");
    };
    assert_eq!((from.as_str(), until.as_str()), wanted);
    assert_eq!(named, elements);
}

#[test]
fn a_calendar_is_announced_moved_and_completed_and_a_stale_copy_moves_nothing_back() {
    let mut bench = Bench::new("2025-11-13T10:00:00Z");
    // What is announced as not hit is no excuse for a circuit that fails.
    let hit = ["CKT-AMS-FRA-0011"];
    bench.mail(&sample("maintnote-new.eml"));
    is_window(&bench.windows(), FIRST, &hit);
    bench.go_to("2025-11-20T10:00:00Z");
    bench.mail(&sample("maintnote-update.eml"));
    is_window(&bench.windows(), MOVED, &hit);
    bench.mail(&sample("maintnote-update-stale.eml"));
    is_window(&bench.windows(), MOVED, &hit);

    // Inside the window the circuit's failure is planned, and no ticket opens.
    bench.go_to("2025-12-03T22:30:00Z");
    bench.alert("CKT-AMS-FRA-0011", EventState::Firing);
    bench.alert("CKT-AMS-LON-0044", EventState::Firing);
    bench.go_to("2025-12-03T22:40:00Z");
    assert!(bench.about("FRA-0011").quiet_until.is_some());
    assert!(bench.about("LON-0044").quiet_until.is_none());
    assert_eq!(bench.tickets(), 1);

    // Done before its time: what still fails then is nobody's plan.
    bench.go_to("2025-12-04T03:12:00Z");
    bench.mail(&sample("maintnote-completed.eml"));
    assert_eq!(bench.windows(), []);
    bench.go_to("2025-12-04T03:30:00Z");
    assert_eq!(bench.about("FRA-0011").quiet_until, None);
    assert_eq!(bench.about("FRA-0011").state, IncidentState::Open);
    assert_eq!(bench.tickets(), 2);

    // A late copy of the announcement is still stale, over a restart as well.
    let late = sample("maintnote-update.eml")
        .replace("20251203T22", "20251213T22")
        .replace("20251204T04", "20251214T04");
    bench.mail(&late);
    assert_eq!(bench.windows(), []);
    bench.restart();
    bench.mail(&late);
    assert_eq!(bench.windows(), []);
    // A later sequence of the same maintenance counts.
    bench.mail(&late.replace("SEQUENCE:1", "SEQUENCE:4"));
    assert_eq!(bench.windows().len(), 1);
}

/// A notice of Megaport's, as it writes them.
fn megaport(
    sent: &str,
    subject: &str,
    sentence: &str,
    dates: Option<(&str, &str)>,
    rows: &str,
) -> String {
    let window = dates.map_or_else(String::new, |(from, until)| {
        format!("<p><b>Start Date and Time:</b> {from}</p><p><b>End Date and Time:</b> {until}</p>")
    });
    let table = match rows {
        "" => String::new(),
        rows => format!(
            "<table><tr><th>Service ID</th><th>Service Type</th><th>Service Name</th></tr>{rows}\
             </table>"
        ),
    };
    format!(
        "From: Mega NOC <noc@megaport.example.com>\r\nTo: maint@noc.example.net\r\n\
         Subject: {subject}\r\nDate: {sent}\r\nContent-Type: text/html; charset=utf-8\r\n\r\n\
         <html><body><p>Hi Acme,</p><p>{sentence}</p>{window}{table}</body></html>\r\n"
    )
}

const ROW: &str = "<tr><td>0a1b2c3d</td><td>VXC</td><td>syd-mel-1</td></tr>";

#[test]
fn megaports_mails_announce_remind_move_begin_and_end() {
    let mut bench = Bench::new("2025-11-10T00:00:00Z");
    let dates = (
        "Wed, 26 Nov 2025 14:00:00 UTC",
        "Wed, 26 Nov 2025 16:00:00 UTC",
    );
    let window = ("2025-11-26T14:00:00Z", "2025-11-26T16:00:00Z");
    let planned = "Planned maintenance (117440) will take place.";
    bench.mail(&megaport(
        "Mon, 10 Nov 2025 00:00:00 +0000",
        "Planned Maintenance Notification",
        planned,
        Some(dates),
        ROW,
    ));
    is_window(&bench.windows(), window, &["syd-mel"]);
    bench.go_to("2025-11-17T00:00:00Z");
    bench.mail(&sample("maint-megaport-reminder.eml"));
    is_window(&bench.windows(), window, &["syd-mel"]);
    // A reminder without dates changes nothing.
    bench.go_to("2025-11-18T00:00:00Z");
    bench.mail(&megaport(
        "Tue, 18 Nov 2025 00:00:00 +0000",
        "Planned Maintenance Notification - Reminder",
        "This is a reminder that Planned maintenance (117440) will take place.",
        None,
        "",
    ));
    is_window(&bench.windows(), window, &["syd-mel"]);

    // Moved, without a word about the circuits: they are those of before.
    bench.go_to("2025-11-20T00:00:00Z");
    let dates = (
        "Fri, 28 Nov 2025 14:00:00 UTC",
        "Fri, 28 Nov 2025 16:00:00 UTC",
    );
    let window = ("2025-11-28T14:00:00Z", "2025-11-28T16:00:00Z");
    bench.mail(&megaport(
        "Thu, 20 Nov 2025 00:00:00 +0000",
        "Planned Maintenance Notification - Rescheduled",
        "Planned maintenance (117440) has been rescheduled.",
        Some(dates),
        "",
    ));
    is_window(&bench.windows(), window, &["syd-mel"]);
    // The announcement once more, late: mails overtake each other.
    bench.mail(&sample("maint-megaport-reminder.eml"));
    is_window(&bench.windows(), window, &["syd-mel"]);

    bench.go_to("2025-11-28T14:10:00Z");
    bench.alert("syd-mel", EventState::Firing);
    bench.go_to("2025-11-28T14:20:00Z");
    assert_eq!(bench.tickets(), 0);
    bench.mail(&megaport(
        "Fri, 28 Nov 2025 14:20:00 +0000",
        "Planned Maintenance Notification - Commenced",
        "Planned maintenance (117440) is in progress.",
        None,
        "",
    ));
    is_window(&bench.windows(), window, &["syd-mel"]);
    bench.go_to("2025-11-28T15:00:00Z");
    bench.mail(&megaport(
        "Fri, 28 Nov 2025 15:00:00 +0000",
        "Planned Maintenance Notification - Completed",
        "Planned maintenance (117440) has been completed.",
        None,
        "",
    ));
    assert_eq!(bench.windows(), []);
    bench.go_to("2025-11-28T15:30:00Z");
    assert_eq!(
        bench.tickets(),
        1,
        "it still fails, and nothing explains it any more"
    );
}

#[test]
fn a_cancelled_one_keeps_nothing_quiet_and_an_emergency_counts_at_once() {
    let mut bench = Bench::new("2025-11-25T12:00:05Z");
    bench.mail(&sample("maint-megaport-emergency.eml"));
    let emergency = ("2025-12-02T10:00:00Z", "2025-12-02T11:00:00Z");
    is_window(&bench.windows(), emergency, &["port-x"]);
    bench.go_to("2025-12-02T10:05:00Z");
    bench.alert("port-x", EventState::Firing);
    bench.go_to("2025-12-02T10:10:00Z");
    assert_eq!(bench.tickets(), 0);
    let cancelled = sample("maint-megaport-cancelled.eml")
        .replace("Tue, 25 Nov 2025 12:00:05", "Tue, 02 Dec 2025 10:10:00");
    bench.mail(&cancelled);
    assert_eq!(bench.windows(), []);
    bench.go_to("2025-12-02T10:20:00Z");
    assert_eq!(bench.tickets(), 1);
}

#[test]
fn what_is_unclear_goes_to_a_person_once_and_keeps_nothing_quiet() {
    let mut bench = Bench::new("2025-11-25T12:05:00Z");
    let raw = sample("maint-cogent-unknown-city.eml");
    bench.mail(&raw);
    let asked = bench.about("Unclear maintenance notice");
    assert!(asked.needs_triage);
    let count = bench.engine.state().incidents.len();
    bench.now = bench.now.plus(Duration::from_secs(60));
    bench.mail(&raw);
    assert_eq!(bench.engine.state().incidents.len(), count);
}
