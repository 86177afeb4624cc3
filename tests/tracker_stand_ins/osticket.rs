//! osTicket: letters through its interface. A Message-ID that was seen makes nothing, one that is
//! referred to is added to; nothing can be read.

use super::*;
use alertbridge::trackers::{Attachment, Called};
use delivery_support::Bridge;
use serde_json::{Value, json};
use stand_in::{Asked, Said, empty, said, serve};

#[derive(Default)]
struct Server {
    /// Letters of each ticket.
    tickets: Vec<Vec<String>>,
    broken: bool,
}

fn header(letter: &str, name: &str) -> String {
    let head = letter
        .split("\r\n\r\n")
        .next()
        .unwrap()
        .replace("\r\n ", " ");
    let found = head.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name)
            .then(|| value.trim().to_owned())
    });
    found.unwrap_or_default()
}

impl Server {
    fn answer(&mut self, asked: &Asked) -> Said {
        if asked.header("x-api-key") != "secret" {
            return said(
                401,
                json!("API key not found/active or source IP not authorized"),
            );
        }
        if asked.path != "/api/tickets.email" {
            return empty(404);
        }
        if asked.text.is_empty() || self.broken {
            return said(500, json!("Unable to create new ticket: unknown error"));
        }
        let letter = asked.text.clone();
        let (id, refers) = (
            header(&letter, "Message-ID"),
            header(&letter, "In-Reply-To"),
        );
        let with = |id: &str, tickets: &[Vec<String>]| {
            let has = |ticket: &Vec<String>| ticket.iter().any(|l| header(l, "Message-ID") == id);
            tickets.iter().position(has)
        };
        let number = if let Some(n) = with(&id, &self.tickets) {
            n
        } else if let Some(n) = with(&refers, &self.tickets) {
            self.tickets[n].push(letter);
            n
        } else {
            self.tickets.push(vec![letter]);
            self.tickets.len() - 1
        };
        said(201, Value::from(100_000 + number))
    }
}

async fn start() -> (Arc<Mutex<Server>>, SocketAddr) {
    let server = Arc::new(Mutex::new(Server::default()));
    let address = serve(server.clone(), Server::answer).await;
    (server, address)
}

fn osticket(address: SocketAddr) -> Arc<dyn Tracker> {
    let section = format!(
        "url = \"http://{address}\"\ntoken = \"secret\"\nfrom = \"bridge@x.example\"\nto = \"support@x.example\""
    );
    tracker("osticket", &section)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_holds_what_every_tracker_holds() {
    let (server, address) = start().await;
    let nobody = Agents(server, |_, _, _| false);
    tracker_contract::holds(osticket(address).as_ref(), &nobody).await;
}

#[tokio::test]
async fn a_letter_sent_again_makes_nothing_and_a_note_is_added() {
    let (server, address) = start().await;
    let tracker = osticket(address);
    let mut one = draft("ab-12", "[pool #1] is down\r\nBcc: all@x.example");
    one.attachments = vec![Attachment::of_text("ab-12.txt", "the whole text")];
    let remote = done(tracker.open(&one).await);
    assert!(remote.url.ends_with("query=100000"), "{remote:?}");
    assert_eq!(done(tracker.open(&one).await), remote);
    let note = Change::Note {
        marker: "ab-12-7".to_owned(),
        text: "Ticket#7 <b>".to_owned(),
        about: "pool 1 is down".to_owned(),
        public: false,
    };
    for _ in 0..2 {
        done(tracker.change(&remote, &note).await);
    }
    let tickets = server.lock().unwrap().tickets.clone();
    assert_eq!((tickets.len(), tickets[0].len()), (1, 2));
    let first = &tickets[0][0];
    assert_eq!(header(first, "Bcc"), "");
    assert!(!header(first, "Subject").contains("#1"), "{first}");
    assert!(first.contains("ab-12.txt"), "{first}");
    assert!(!tickets[0][1].contains("Ticket#7"));
}

#[tokio::test]
async fn an_error_of_the_server_is_no_answer() {
    let (server, address) = start().await;
    server.lock().unwrap().broken = true;
    let called = osticket(address).open(&draft("ab-1", "x")).await;
    assert!(matches!(called, Called::Unknown { .. }), "{called:?}");
}

/// Its status cannot be changed: a note says it. What is sent again is filed once.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_changed_is_told_in_a_note() {
    let (server, address) = start().await;
    let dir = tempfile::tempdir().unwrap();
    let bridge = Bridge::start(dir.path(), "osticket").await;
    let worker = bridge.run(osticket(address));
    bridge.problem("core-1", true).await;
    let written = |tickets: &[alertbridge::model::ticket::WantedTicket]| {
        tickets.len() == 1 && tickets[0].remote.is_some() && !tickets[0].has_work()
    };
    bridge.until("it is opened", 30, written).await;
    bridge.problem("core-1", false).await;
    bridge
        .until("its end is told", 30, |tickets| {
            written(tickets) && tickets[0].wanted.status.is_over()
        })
        .await;
    worker.abort();
    let letters = server.lock().unwrap().tickets[0].clone();
    let told: Vec<_> = letters
        .iter()
        .filter(|l| l.contains("Status: resolved"))
        .collect();
    assert_eq!(told.len(), 1, "{letters:#?}");
    assert!(header(told[0], "In-Reply-To").starts_with("<ab-"));
}
