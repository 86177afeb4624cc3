//! GLPI 9.5, 10 and 11 by its first REST interface.
//!
//! The key stands in `externalid` where GLPI can search it, else in the title. Content is HTML,
//! escaped. An item of an answer that says `false` was not done, whatever the status code. A twin is
//! linked as related and never as a duplicate: GLPI solves the duplicates of what is solved, and
//! would solve the ticket that is kept. Times are the server's.

mod changes;
mod config;
mod session;

pub use config::GlpiConfig;

use super::client::Client;
use super::rest::{Adaptor, Base, Changed, Greeting, Note, Outcome, Said, Told, not_changed};
use super::words::{
    KEY_CHARS_MAX, Severities, Zone, not_theirs, path_part, split_key, with_key, word,
};
use super::{Asked, Called, Capabilities, Draft, RemoteTicket, Takes, text};
use crate::model::Time;
use crate::model::ticket::{RemoteRef, TicketFields, TicketStatus};
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName};
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use std::time::Duration;
use tokio::sync::{Mutex, OnceCell};

const PRODUCT: &str = "GLPI";
/// Longest title, characters.
const TITLE_CHARS_MAX: usize = 250;

/// GLPI as a tracker.
pub struct Glpi {
    base: Base,
    config: GlpiConfig,
    zone: Zone,
    session: Mutex<String>,
    /// The number by which `externalid` is searched; empty: it cannot be.
    key_option: OnceCell<String>,
}

/// GLPI's number of a status.
fn number(status: TicketStatus) -> u64 {
    match status {
        TicketStatus::New => 1,
        TicketStatus::Open => 2,
        TicketStatus::WaitingCustomer | TicketStatus::OnHold => 4,
        TicketStatus::Resolved => 5,
        TicketStatus::Closed | TicketStatus::Gone => 6,
    }
}

/// Our word for GLPI's number; planned is work in progress.
fn status(number: &str) -> TicketStatus {
    match number {
        "1" => TicketStatus::New,
        "4" => TicketStatus::WaitingCustomer,
        "5" => TicketStatus::Resolved,
        "6" => TicketStatus::Closed,
        _ => TicketStatus::Open,
    }
}

/// The same whether or not the key follows it.
fn kept_title(subject: &str) -> String {
    let room = TITLE_CHARS_MAX - KEY_CHARS_MAX;
    text::subject(&text::without_placeholders(subject), "", room)
}

/// Content as text: older versions store it with its tags spelt out.
fn words(content: &str) -> String {
    let once = text::from_html(content);
    if content.contains('<') {
        once
    } else {
        text::from_html(&once)
    }
}

/// The number of a type of ticket.
fn kind(word: &str) -> Outcome<u8> {
    match word {
        "" | "1" | "incident" => Ok(1),
        "2" | "request" => Ok(2),
        other => Err(Called::Refused {
            reason: format!("a ticket of GLPI is an `incident` or a `request`, not `{other}`"),
            field: Some("type".to_owned()),
        }),
    }
}

impl Glpi {
    /// A tracker by its configuration; nothing is sent yet.
    pub fn new(name: &str, mut config: GlpiConfig) -> Result<Glpi, String> {
        config.urgency = config
            .urgency
            .or(Severities::of_words(["5", "4", "3", "2", "1"]));
        let mut headers = HeaderMap::new();
        if let Some(token) = &config.app_token {
            let token = super::client::secret_header(token.expose_secret())?;
            headers.insert(HeaderName::from_static("app-token"), token);
        }
        let base = Base {
            name: name.to_owned(),
            url: config.url.to_string(),
            client: Client::new(&config.url, headers, &config.connection)?,
            capabilities: Capabilities {
                key_kept: "`externalid`, else the title",
                settle: Duration::from_secs(config.settle_seconds.unwrap_or(30)),
                poll_every: Duration::from_secs(config.poll_seconds.unwrap_or(30).max(5)),
                subject_chars_max: TITLE_CHARS_MAX,
                attachment_bytes_max: 1024 * 1024,
                takes: Takes {
                    custom: false,
                    ..Takes::ALL
                },
                parallel_max: config.parallel.unwrap_or(2).max(1),
                ..Capabilities::TICKETS
            },
        };
        Ok(Glpi {
            base,
            zone: Zone::named(&config.time_zone)?,
            config,
            session: Mutex::default(),
            key_option: OnceCell::new(),
        })
    }

    fn link(&self, id: &str) -> RemoteRef {
        let base = self.config.url.as_str().trim_end_matches('/');
        let base = base.trim_end_matches("/apirest.php");
        RemoteRef {
            key: id.to_owned(),
            url: format!("{base}/front/ticket.form.php?id={id}"),
        }
    }

    /// The number by which `externalid` is searched; empty if it cannot be.
    async fn key_option(&self) -> Outcome<&str> {
        let found = self.key_option.get_or_try_init(|| async {
            let options = self.get("/listSearchOptions/Ticket", &[]).await?;
            let options = options.json();
            let Some(options) = options.as_object() else {
                return Err(Called::later("the answer names no search options"));
            };
            let own = options.iter().find(|(_, option)| {
                word(option, "table") == "glpi_tickets" && word(option, "field") == "externalid"
            });
            Ok(own.map_or_else(String::new, |(number, _)| number.clone()))
        });
        found.await.map(String::as_str)
    }

    fn ticket(&self, item: &Value) -> RemoteTicket {
        let (title, in_title) = split_key(&words(&word(item, "name")));
        let external = word(item, "externalid");
        let deleted = matches!(word(item, "is_deleted").as_str(), "1" | "true");
        RemoteTicket {
            remote: self.link(&word(item, "id")),
            key: if external.is_empty() {
                in_title
            } else {
                external
            },
            fields: TicketFields {
                subject: title,
                status: if deleted || item["is_deleted"] == Value::Bool(true) {
                    TicketStatus::Gone
                } else {
                    status(&word(item, "status"))
                },
                severity: self.config.urgency.read(&word(item, "urgency")),
                queue: String::new(),
            },
            markers: Vec::new(),
            created_at: self.zone.read(&word(item, "date")),
        }
    }

    /// Ids of tickets that a criterion finds, the oldest change first.
    async fn found(&self, field: &str, kind: &str, value: &str) -> Outcome<Changed> {
        let query = [
            ("criteria[0][field]", field),
            ("criteria[0][searchtype]", kind),
            ("criteria[0][value]", value),
            ("forcedisplay[0]", "2"),
            ("forcedisplay[1]", "19"),
            ("sort", "19"),
            ("order", "ASC"),
            ("range", "0-999"),
        ];
        let answer = self.get("/search/Ticket", &query).await?.json();
        let Some(total) = answer["totalcount"].as_u64() else {
            return Err(Called::later("the answer to a search has no count"));
        };
        let rows = answer["data"].as_array().map_or(&[][..], Vec::as_slice);
        let last = rows.last().filter(|_| total > rows.len() as u64);
        Ok(Changed {
            ids: rows.iter().map(|row| word(row, "2")).collect(),
            left_from: last.and_then(|row| self.zone.read(&word(row, "19"))),
        })
    }

    /// The ticket; none if it was purged.
    async fn item(&self, id: &str) -> Outcome<Option<Value>> {
        let path = format!("/Ticket/{}", path_part(id));
        let Some(answer) = self.look(&path, &[]).await? else {
            return Ok(None);
        };
        let item = answer.json();
        if word(&item, "id").is_empty() {
            return Err(Called::later("the answer to a read is no ticket"));
        }
        Ok(Some(item))
    }

    /// Adds an item; its number.
    async fn add(&self, kind: &str, input: &Value) -> Outcome<String> {
        let path = format!("/{kind}");
        let answer = self.write(Method::POST, &path, input).await?;
        let made = answer.json();
        let id = word(&made, "id");
        if made["id"] == Value::Bool(false) {
            return Err(Called::refused(format!("{kind}: {}", answer.said())));
        }
        if id.is_empty() || answer.status != 201 {
            return Err(not_theirs(PRODUCT, &answer));
        }
        Ok(id)
    }

    async fn put(&self, id: &str, input: Map<String, Value>) -> Outcome<()> {
        let path = format!("/Ticket/{}", path_part(id));
        let input = Value::Object(input);
        let answer = self.write(Method::PUT, &path, &input).await?;
        let list = answer.json();
        match list.as_array().and_then(|list| list.first()) {
            Some(done) if done[id] == Value::Bool(true) => Ok(()),
            Some(done) if done[id] == Value::Bool(false) => Err(Called::refused(answer.said())),
            _ => Err(not_theirs(PRODUCT, &answer)),
        }
    }

    /// A solution solves the ticket.
    async fn solve(&self, id: &str) -> Outcome<()> {
        let text = text::as_html(&self.config.solution);
        let solution = json!({ "itemtype": "Ticket", "items_id": id, "content": text });
        self.add("ITILSolution", &solution).await.map(|_| ())
    }
}

impl Adaptor for Glpi {
    const PRODUCT: &'static str = PRODUCT;

    fn base(&self) -> &Base {
        &self.base
    }

    fn kept(&self, fields: TicketFields) -> TicketFields {
        let urgency = &self.config.urgency;
        TicketFields {
            subject: kept_title(&fields.subject),
            status: status(&number(fields.status).to_string()),
            severity: urgency.kept(fields.severity),
            ..fields
        }
    }

    async fn greet(&self) -> Outcome<Greeting> {
        let answer = self.get("/getFullSession", &[]).await?;
        let session = &answer.json()["session"];
        let user = word(session, "glpiID");
        if user.is_empty() {
            return Err(Called::later("the answer does not name the bridge's user"));
        }
        Ok(Greeting {
            words: format!("the token belongs to `{}`", word(session, "glpiname")),
            user,
            clock: answer.date(),
        })
    }

    async fn check_more(&self) -> Said {
        vec![match self.key_option().await {
            Ok("") => {
                Ok("`externalid` cannot be searched: the key is kept in the title".to_owned())
            }
            Ok(option) => Ok(format!(
                "the key is kept in `externalid`, search option {option}"
            )),
            Err(outcome) => Err(format!("search options cannot be read: {}", outcome.why())),
        }]
    }

    async fn check_asked(&self, asked: &[Asked]) -> Said {
        let mut said = Vec::new();
        for route in asked {
            let group = route.queue_or(&self.config.group);
            if !group.is_empty() {
                let path = format!("/Group/{}", path_part(group));
                let found = match self.get(&path, &[]).await {
                    Ok(answer) => Called::Done(answer),
                    Err(outcome) => outcome.map(|never| match never {}),
                };
                said.push(route.is_found(&format!("group {group}"), &found));
            }
            if !route.kind.is_empty() {
                let named = format!("type `{}`", route.kind);
                said.push(route.is_there(&named, kind(&route.kind).is_ok()));
            }
        }
        said
    }

    async fn search(&self, key: &str) -> Outcome<Vec<RemoteTicket>> {
        let option = self.key_option().await?;
        let found = if option.is_empty() {
            // The title is field 1.
            self.found("1", "contains", &format!("[{key}]")).await?
        } else {
            // Without the two signs a part of a key would do.
            self.found(option, "contains", &format!("^{key}$")).await?
        };
        let ids = found.ids;
        if ids.len() > 100 {
            return Err(Called::later(
                "a search by key finds everything: it is ignored",
            ));
        }
        let mut tickets = Vec::new();
        for id in ids {
            let item = self.item(&id).await?;
            tickets.extend(item.map(|item| self.ticket(&item)));
        }
        tickets.retain(|ticket| ticket.fields.status != TicketStatus::Gone);
        Ok(tickets)
    }

    async fn create(&self, draft: &Draft) -> Outcome<RemoteRef> {
        let title = kept_title(&draft.fields.subject);
        let mut input = Map::new();
        if self.key_option().await?.is_empty() {
            let title = with_key(title, &draft.key);
            input.insert("name".to_owned(), json!(title));
        } else {
            input.insert("name".to_owned(), json!(title));
            input.insert("externalid".to_owned(), json!(draft.key));
        }
        let content = text::marked_html(&draft.body, &draft.key);
        input.insert("content".to_owned(), json!(content));
        input.insert("type".to_owned(), json!(kind(&draft.kind)?));
        if !draft.watchers.is_empty() {
            input.insert("_users_id_observer".to_owned(), json!(draft.watchers));
        }
        if let Some(severity) = draft.fields.severity {
            let urgency = self.config.urgency.word(severity);
            input.insert("urgency".to_owned(), json!(urgency));
            input.insert("impact".to_owned(), json!(urgency));
        }
        let queue = &draft.fields.queue;
        let group = if queue.is_empty() {
            &self.config.group
        } else {
            queue
        };
        for (name, value) in [
            ("_groups_id_assign", group),
            ("entities_id", &self.config.entity),
            ("itilcategories_id", &self.config.category),
            (
                "_users_id_requester",
                if draft.requestor.is_empty() {
                    &self.config.requester
                } else {
                    &draft.requestor
                },
            ),
        ] {
            if !value.is_empty() {
                input.insert(name.to_owned(), json!(value));
            }
        }
        let id = self.add("Ticket", &Value::Object(input)).await?;
        for file in &draft.attachments {
            self.attach(&id, file).await;
        }
        Ok(self.link(&id))
    }

    async fn write_fields(
        &self,
        id: &str,
        from: Option<&TicketFields>,
        to: &TicketFields,
    ) -> Outcome<()> {
        let Some(current) = self.item(id).await? else {
            return Err(Called::refused(format!("ticket {id} was purged")));
        };
        let mut input = Map::new();
        if from.is_none_or(|from| from.subject != to.subject) {
            let (_, key) = split_key(&words(&word(&current, "name")));
            let title = kept_title(&to.subject);
            let title = with_key(title, &key);
            input.insert("name".to_owned(), json!(title));
        }
        if let Some(severity) = to.severity
            && from.is_none_or(|from| from.severity != to.severity)
        {
            let urgency = self.config.urgency.word(severity);
            input.insert("urgency".to_owned(), json!(urgency));
            input.insert("impact".to_owned(), json!(urgency));
        }
        let wanted = number(to.status).to_string();
        let moves =
            from.is_none_or(|from| from.status != to.status) && word(&current, "status") != wanted;
        let solves = moves && to.status == TicketStatus::Resolved;
        if moves && !solves {
            input.insert("status".to_owned(), json!(number(to.status)));
        }
        if !input.is_empty() {
            self.put(id, input).await?;
        }
        if solves {
            self.solve(id).await?;
        }
        if !moves {
            return Ok(());
        }
        let after = self.item(id).await?.unwrap_or_default();
        let after = word(&after, "status");
        // A closing delay of none makes a solved ticket a closed one at once.
        if after == wanted || (solves && after == "6") {
            return Ok(());
        }
        not_changed(PRODUCT, "status")
    }

    async fn write_note(&self, id: &str, note: Note<'_>) -> Outcome<()> {
        let followup = json!({
            "itemtype": "Ticket",
            "items_id": id,
            "content": text::marked_html(note.text, note.marker),
            "is_private": u8::from(!note.public),
        });
        self.add("ITILFollowup", &followup).await.map(|_| ())
    }

    async fn close_twin(&self, id: &str, other: &str) -> Outcome<()> {
        let link = json!({ "tickets_id_1": id, "tickets_id_2": other, "link": 1 });
        match self.add("Ticket_Ticket", &link).await {
            // The link is there already.
            Ok(_) | Err(Called::Refused { .. }) => {}
            Err(outcome) => return Err(outcome),
        }
        let closed = [("status".to_owned(), json!(6))];
        self.put(id, closed.into_iter().collect()).await
    }

    async fn read_whole(&self, id: &str) -> Outcome<Option<RemoteTicket>> {
        let Some(item) = self.item(id).await? else {
            return Ok(None);
        };
        let mut ticket = self.ticket(&item);
        for followup in self.children(id, "ITILFollowup").await? {
            let content = words(&word(&followup, "content"));
            ticket.markers.push(text::last_word(&content).to_owned());
        }
        Ok(Some(ticket))
    }

    async fn changed_since(&self, since: Time) -> Outcome<Changed> {
        // "More than" leaves the instant itself out.
        let since = self.zone.write(since.minus(Duration::from_secs(1)));
        self.found("19", "morethan", &since).await
    }

    async fn history(&self, id: &str, me: &str) -> Outcome<Vec<Told>> {
        self.told(id, me).await
    }
}
