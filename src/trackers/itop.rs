//! iTop, tickets of one class.
//!
//! iTop answers 200 whatever happened; the code in the answer tells. A status moves by stimuli only,
//! and which one is allowed depends on the status it has. The key stands in an attribute of the
//! ticket if one is configured, else in the title. iTop names the bridge in its history by the
//! comment that goes with every write. Descriptions are HTML, escaped; log entries are plain text.
//! Times are the server's.

mod config;

pub use config::ItopConfig;

use super::client::{Answer, Client, NoAnswer, basic, send, written};
use super::rest::{Adaptor, Base, Changed, Greeting, Note, Outcome, Said, Told, not_changed};
use super::words::{KEY_CHARS_MAX, Severities, Zone, not_theirs, split_key, with_key, word};
use super::{Asked, Attachment, Called, Capabilities, Draft, RemoteTicket, Reopens, Takes, text};
use crate::limits;
use crate::model::Time;
use crate::model::text::bounded;
use crate::model::ticket::{PersonDid, RemoteRef, TicketFields, TicketStatus};
use reqwest::Method;
use reqwest::header::AUTHORIZATION;
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use std::time::Duration;

const PRODUCT: &str = "iTop";
const PATH: &str = "/webservices/rest.php?version=1.3";
/// Longest title, characters.
const TITLE_CHARS_MAX: usize = 250;
/// How the bridge is named in the history.
const COMMENT: &str = "alertbridge";

/// iTop as a tracker.
pub struct Itop {
    base: Base,
    config: ItopConfig,
    zone: Zone,
}

/// A value of an OQL query; a quote would end it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// `[[Server:web-1]]` would become a link.
fn unlinked(text: &str) -> String {
    text.replace("[[", "[ [")
}

/// The same whether or not the key follows it.
fn kept_title(subject: &str) -> String {
    text::subject(&unlinked(subject), "", TITLE_CHARS_MAX - KEY_CHARS_MAX)
}

fn status(name: &str) -> TicketStatus {
    match name {
        "new" | "escalated_tto" | "waiting_for_approval" | "approved" => TicketStatus::New,
        "pending" => TicketStatus::WaitingCustomer,
        "resolved" => TicketStatus::Resolved,
        "closed" => TicketStatus::Closed,
        "rejected" => TicketStatus::Gone,
        _ => TicketStatus::Open,
    }
}

/// The stimuli that lead to a status, in the order in which they are tried.
fn stimuli(to: TicketStatus) -> &'static [&'static str] {
    match to {
        TicketStatus::New | TicketStatus::Open => &["ev_reopen", "ev_assign"],
        TicketStatus::WaitingCustomer | TicketStatus::OnHold => &["ev_pending"],
        TicketStatus::Resolved => &["ev_resolve", "ev_autoresolve"],
        TicketStatus::Closed | TicketStatus::Gone => &["ev_close", "ev_resolve", "ev_autoresolve"],
    }
}

impl Itop {
    /// A tracker by its configuration; nothing is sent yet.
    pub fn new(name: &str, mut config: ItopConfig) -> Result<Itop, String> {
        for part in [&config.class, &config.key_attribute] {
            let plain = part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !plain {
                return Err(format!("`{part}` is no name of a class or attribute"));
            }
        }
        config.impact_urgency = config
            .impact_urgency
            .or(Severities::of_words(["1/1", "2/1", "2/2", "3/3", "3/4"]));
        let authorization = basic(&config.user, config.password.expose_secret().trim())?;
        let headers = [(AUTHORIZATION, authorization)].into_iter().collect();
        let base = Base {
            name: name.to_owned(),
            url: config.url.to_string(),
            client: Client::new(&config.url, headers, &config.connection)?,
            capabilities: Capabilities {
                key_kept: "an attribute, else the title",
                settle: Duration::from_secs(config.settle_seconds.unwrap_or(30)),
                reopens: Reopens::UntilClosed,
                poll_every: Duration::from_secs(config.poll_seconds.unwrap_or(30).max(5)),
                takes: Takes {
                    requestor: true,
                    custom: true,
                    ..Takes::NOTHING
                },
                subject_chars_max: TITLE_CHARS_MAX,
                attachment_bytes_max: 1024 * 1024,
                parallel_max: config.parallel.unwrap_or(2).max(1),
                ..Capabilities::TICKETS
            },
        };
        Ok(Itop {
            base,
            zone: Zone::named(&config.time_zone)?,
            config,
        })
    }

    async fn send(&self, mut operation: Value) -> Result<Answer, NoAnswer> {
        operation["comment"] = json!(COMMENT);
        let request = self.base.client.request(Method::POST, PATH);
        send(request.form(&[("json_data", operation.to_string())])).await
    }

    /// What an answer of 200 says; the code tells.
    fn meaning(answer: &Answer) -> Outcome<Value> {
        let said = answer.json();
        let reason = word(&said, "message");
        match said["code"].as_u64() {
            Some(0) => Ok(said),
            Some(1) => Err(Called::Later {
                reason: format!("not authorised: {reason}"),
                after: Some(Duration::from_secs(limits::TRACKER_UNAUTHORISED_SECONDS)),
            }),
            Some(2..=9) => Err(Called::refused(reason)),
            Some(_) => Err(Called::refused(format!("iTop failed: {reason}"))),
            None => Err(not_theirs(PRODUCT, answer)),
        }
    }

    /// Objects by an OQL query.
    async fn objects(&self, class: &str, oql: &str, fields: &str) -> Outcome<(Vec<Value>, Answer)> {
        let operation = json!({
            "operation": "core/get", "class": class, "key": oql, "output_fields": fields,
        });
        let answer = match self.send(operation).await {
            Ok(answer) => answer.read().done()?,
            Err(NoAnswer::NotSent(reason) | NoAnswer::Lost(reason)) => {
                return Err(Called::later(reason));
            }
        };
        let said = match Itop::meaning(&answer) {
            // A question that has no answer was not done: it changes nothing.
            Err(Called::Unknown { reason, after }) => return Err(Called::Later { reason, after }),
            other => other?,
        };
        let objects = said["objects"].as_object().into_iter().flatten();
        let objects = objects.map(|(_, object)| {
            let mut fields = object["fields"].clone();
            fields["key"] = object["key"].clone();
            fields
        });
        Ok((objects.collect(), answer))
    }

    /// Writes; the object after it.
    async fn write(&self, operation: Value) -> Outcome<Value> {
        let answer = written(self.send(operation).await).done()?;
        let said = Itop::meaning(&answer)?;
        let object = said["objects"]
            .as_object()
            .and_then(|all| all.values().next());
        let Some(object) = object else {
            return Err(not_theirs(PRODUCT, &answer));
        };
        let mut fields = object["fields"].clone();
        fields["key"] = object["key"].clone();
        Ok(fields)
    }

    fn columns(&self) -> String {
        let columns = "ref,title,status,impact,urgency,start_date,caller_id_friendlyname,\
                       public_log,private_log";
        if self.config.key_attribute.is_empty() {
            columns.to_owned()
        } else {
            format!("{columns},{}", self.config.key_attribute)
        }
    }

    fn link(&self, id: &str) -> RemoteRef {
        let base = self.config.url.as_str().trim_end_matches('/');
        let class = &self.config.class;
        RemoteRef {
            key: id.to_owned(),
            url: format!("{base}/pages/UI.php?operation=details&class={class}&id={id}"),
        }
    }

    fn ticket(&self, item: &Value) -> RemoteTicket {
        let (title, in_title) = split_key(&word(item, "title"));
        let in_attribute = word(item, &self.config.key_attribute);
        let words = format!("{}/{}", word(item, "impact"), word(item, "urgency"));
        RemoteTicket {
            remote: self.link(&word(item, "key")),
            key: if in_attribute.is_empty() {
                in_title
            } else {
                in_attribute
            },
            fields: TicketFields {
                subject: title,
                status: status(&word(item, "status")),
                severity: self.config.impact_urgency.read(&words),
                queue: String::new(),
            },
            markers: Vec::new(),
            created_at: self.zone.read(&word(item, "start_date")),
        }
    }

    /// The ticket; none if it was deleted.
    async fn item(&self, id: &str) -> Outcome<Option<Value>> {
        let Ok(number) = id.parse::<u64>() else {
            return Err(Called::refused(format!("`{id}` is no number of iTop")));
        };
        let class = &self.config.class;
        let oql = format!("SELECT {class} WHERE id = {number}");
        let (found, _) = self.objects(class, &oql, &self.columns()).await?;
        Ok(found.into_iter().next())
    }

    fn severity(&self, to: &TicketFields, fields: &mut Map<String, Value>) {
        if let Some(severity) = to.severity {
            let words = self.config.impact_urgency.word(severity);
            let (impact, urgency) = words.split_once('/').unwrap_or((words, words));
            fields.insert("impact".to_owned(), json!(impact));
            fields.insert("urgency".to_owned(), json!(urgency));
        }
    }

    async fn update(&self, id: &str, fields: Value) -> Outcome<Value> {
        let operation = json!({
            "operation": "core/update",
            "class": self.config.class,
            "key": id,
            "output_fields": "status",
            "fields": fields,
        });
        self.write(operation).await
    }

    /// A file cannot come with a create. The ticket is there: should this not be done, its text says
    /// what was cut, and nothing else is wrong.
    async fn attach(&self, id: &str, file: &Attachment) {
        let operation = json!({
            "operation": "core/create",
            "class": "Attachment",
            "output_fields": "id",
            "fields": {
                "item_class": self.config.class,
                "item_id": id,
                "contents": {
                    "data": file.base64(),
                    "filename": file.name,
                    "mimetype": file.content_type,
                },
            },
        });
        let _ = self.write(operation).await;
    }

    /// Moves the status; the first stimulus that is allowed.
    async fn stimulate(&self, id: &str, to: TicketStatus) -> Outcome<()> {
        let fields = match to {
            TicketStatus::WaitingCustomer | TicketStatus::OnHold => {
                json!({ "pending_reason": "Waiting, as the bridge was told." })
            }
            TicketStatus::Resolved | TicketStatus::Closed => {
                json!({ "solution": self.config.solution })
            }
            _ => json!({}),
        };
        let mut refused = Called::refused("iTop knows no stimulus for it");
        for stimulus in stimuli(to) {
            let operation = json!({
                "operation": "core/apply_stimulus",
                "class": self.config.class,
                "key": id,
                "stimulus": stimulus,
                "output_fields": "status",
                "fields": fields,
            });
            match self.write(operation).await {
                Ok(after) if status(&word(&after, "status")).is_over() == to.is_over() => {
                    return Ok(());
                }
                Ok(_) => return not_changed(PRODUCT, "status"),
                Err(outcome @ Called::Refused { .. }) => refused = outcome,
                Err(outcome) => return Err(outcome),
            }
        }
        Err(refused)
    }

    /// Entries of a log by others than `me`. They have no ids: they are counted from the first.
    fn entries(&self, item: &Value, log: &str, me: &str) -> Vec<Told> {
        let caller = word(item, "caller_id_friendlyname");
        let entries = item[log]["entries"].as_array();
        let entries = entries.map_or(&[][..], Vec::as_slice);
        let mut told = Vec::new();
        for (n, entry) in entries.iter().rev().enumerate() {
            let author = word(entry, "user_login");
            let Some(at) = self.zone.read(&word(entry, "date")) else {
                continue;
            };
            if author == me || author == COMMENT {
                continue;
            }
            let text = word(entry, "message");
            let text = bounded(text.trim(), limits::TRACKER_TEXT_BYTES_MAX);
            let what = if author == caller {
                PersonDid::CustomerWrote { text }
            } else if log == "private_log" {
                PersonDid::Noted { text }
            } else {
                PersonDid::Answered {
                    text,
                    promise: None,
                }
            };
            told.push(Told::of(&format!("{log}-{n}"), at, &author, what));
        }
        told
    }
}

impl Adaptor for Itop {
    const PRODUCT: &'static str = PRODUCT;

    fn base(&self) -> &Base {
        &self.base
    }

    fn kept(&self, fields: TicketFields) -> TicketFields {
        let words = &self.config.impact_urgency;
        TicketFields {
            subject: kept_title(&fields.subject),
            severity: words.kept(fields.severity),
            ..fields
        }
    }

    async fn greet(&self) -> Outcome<Greeting> {
        let login = &self.config.user;
        let oql = format!("SELECT User WHERE login = {}", quoted(login));
        let (found, answer) = self.objects("User", &oql, "login,friendlyname").await?;
        let name = found.first().map(|user| word(user, "friendlyname"));
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Err(Called::later(format!(
                "`{login}` may not read its own account"
            )));
        };
        Ok(Greeting {
            words: format!("the bridge writes as `{name}`"),
            user: name,
            clock: answer.date(),
        })
    }

    async fn check_more(&self) -> Said {
        let name = &self.config.organization;
        let oql = format!("SELECT Organization WHERE name = {}", quoted(name));
        vec![match self.objects("Organization", &oql, "name").await {
            Ok((found, _)) if found.is_empty() => Err(format!("there is no organization `{name}`")),
            Ok(_) => Ok(format!("tickets belong to the organization `{name}`")),
            Err(outcome) => Err(format!("organizations cannot be read: {}", outcome.why())),
        }]
    }

    async fn check_asked(&self, asked: &[Asked]) -> Said {
        let class = &self.config.class;
        let nobody = format!("SELECT {class} WHERE id = 0");
        let mut said = Vec::new();
        for route in asked {
            for name in &route.custom {
                let there = self.objects(class, &nobody, name).await;
                let named = format!("attribute `{name}` of `{class}`");
                said.push(match there {
                    Ok(_) => route.is_there(&named, true),
                    Err(Called::Refused { .. }) => route.is_there(&named, false),
                    Err(outcome) => Err(outcome.why().to_owned()),
                });
            }
        }
        said
    }

    async fn search(&self, key: &str) -> Outcome<Vec<RemoteTicket>> {
        let (class, attribute) = (&self.config.class, &self.config.key_attribute);
        let oql = if attribute.is_empty() {
            format!(
                "SELECT {class} WHERE title LIKE {}",
                quoted(&format!("%[{key}]%"))
            )
        } else {
            format!("SELECT {class} WHERE {attribute} = {}", quoted(key))
        };
        let (found, _) = self.objects(class, &oql, &self.columns()).await?;
        let tickets = found.iter().map(|item| self.ticket(item));
        Ok(tickets
            .filter(|ticket| ticket.fields.status != TicketStatus::Gone)
            .collect())
    }

    async fn create(&self, draft: &Draft) -> Outcome<RemoteRef> {
        let organization = quoted(&self.config.organization);
        let mut fields = Map::new();
        for (name, value) in &draft.custom {
            fields.insert(name.clone(), json!(value));
        }
        let org = format!("SELECT Organization WHERE name = {organization}");
        fields.insert("org_id".to_owned(), json!(org));
        let title = kept_title(&draft.fields.subject);
        let attribute = &self.config.key_attribute;
        if attribute.is_empty() {
            let title = with_key(title, &draft.key);
            fields.insert("title".to_owned(), json!(title));
        } else {
            fields.insert("title".to_owned(), json!(title));
            fields.insert(attribute.clone(), json!(draft.key));
        }
        let body = format!("{}\n\n{}", unlinked(&draft.body), draft.key);
        fields.insert("description".to_owned(), json!(text::as_html(&body)));
        let caller = if draft.requestor.is_empty() {
            &self.config.caller
        } else {
            &draft.requestor
        };
        if !caller.is_empty() {
            let caller = quoted(caller);
            let oql = format!("SELECT Person WHERE email = {caller}");
            fields.insert("caller_id".to_owned(), json!(oql));
        }
        self.severity(&draft.fields, &mut fields);
        let operation = json!({
            "operation": "core/create",
            "class": self.config.class,
            "output_fields": "ref,status",
            "fields": fields,
        });
        let made = self.write(operation).await?;
        let id = word(&made, "key");
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
            return Err(Called::refused(format!("ticket {id} was deleted")));
        };
        let mut fields = Map::new();
        if from.is_none_or(|from| from.subject != to.subject) {
            let (_, key) = split_key(&word(&current, "title"));
            let title = kept_title(&to.subject);
            let title = with_key(title, &key);
            fields.insert("title".to_owned(), json!(title));
        }
        if from.is_none_or(|from| from.severity != to.severity) {
            self.severity(to, &mut fields);
        }
        let now = status(&word(&current, "status"));
        let live = |status| matches!(status, TicketStatus::New | TicketStatus::Open);
        // Who works on it is for people to say: between new and assigned the bridge moves nothing.
        let moves = from.is_none_or(|from| from.status != to.status)
            && now != to.status
            && !(live(now) && live(to.status));
        // What is over takes no fields: open it first, and close it last.
        if moves && !to.status.is_over() {
            self.stimulate(id, to.status).await?;
        }
        if !fields.is_empty() {
            self.update(id, Value::Object(fields)).await?;
        }
        if moves && to.status.is_over() {
            self.stimulate(id, to.status).await?;
        }
        Ok(())
    }

    async fn write_note(&self, id: &str, note: Note<'_>) -> Outcome<()> {
        let text = format!("{}\n\n{}", unlinked(&text::plain(note.text)), note.marker);
        let entry = json!({ "add_item": { "message": text, "format": "text" } });
        let log = if note.public {
            "public_log"
        } else {
            "private_log"
        };
        self.update(id, json!({ log: entry })).await.map(|_| ())
    }

    async fn close_twin(&self, id: &str, other: &str) -> Outcome<()> {
        let text = format!("Duplicate of ticket {other}.");
        let entry = json!({ "add_item": { "message": text, "format": "text" } });
        let parent = match self.config.class.as_str() {
            "UserRequest" => "parent_request_id",
            _ => "parent_incident_id",
        };
        let fields = json!({ "private_log": entry, parent: other });
        self.update(id, fields).await?;
        self.stimulate(id, TicketStatus::Resolved).await
    }

    async fn read_whole(&self, id: &str) -> Outcome<Option<RemoteTicket>> {
        let Some(item) = self.item(id).await? else {
            return Ok(None);
        };
        let mut ticket = self.ticket(&item);
        for log in ["private_log", "public_log"] {
            for entry in item[log]["entries"].as_array().into_iter().flatten() {
                let text = word(entry, "message");
                ticket.markers.push(text::last_word(&text).to_owned());
            }
        }
        Ok(Some(ticket))
    }

    async fn changed_since(&self, since: Time) -> Outcome<Changed> {
        let (class, since) = (&self.config.class, self.zone.write(since));
        let oql = format!("SELECT {class} WHERE last_update >= {}", quoted(&since));
        let (found, _) = self.objects(class, &oql, "last_update").await?;
        let mut found: Vec<(String, String)> = found
            .iter()
            .map(|item| (word(item, "last_update"), word(item, "key")))
            .collect();
        found.sort();
        let ids = found.into_iter().map(|(_, id)| id);
        Ok(Changed::all(ids.collect()))
    }

    async fn history(&self, id: &str, me: &str) -> Outcome<Vec<Told>> {
        let Some(item) = self.item(id).await? else {
            return Ok(Vec::new());
        };
        let mut told = self.entries(&item, "public_log", me);
        told.extend(self.entries(&item, "private_log", me));
        let class = "CMDBChangeOpSetAttributeScalar";
        let oql = format!(
            "SELECT {class} WHERE objclass = {} AND objkey = {}",
            quoted(&self.config.class),
            id.parse::<u64>().unwrap_or_default(),
        );
        let columns = "date,userinfo,attcode,newvalue";
        let (rows, _) = self.objects(class, &oql, columns).await?;
        for row in &rows {
            let author = word(row, "userinfo");
            let Some(at) = self.zone.read(&word(row, "date")) else {
                continue;
            };
            if author == me || author.starts_with(COMMENT) {
                continue;
            }
            let new = word(row, "newvalue");
            let promise = &self.config.promise_field;
            let what = match word(row, "attcode").as_str() {
                field if promise.is(field) => promise.set_to(&new),
                "status" => PersonDid::Status(status(&new)),
                "agent_id" if new == "0" => PersonDid::Owner(String::new()),
                "agent_id" => PersonDid::Owner(new),
                _ => continue,
            };
            let name = format!("change-{}", word(row, "key"));
            told.push(Told::of(&name, at, &author, what));
        }
        Ok(told)
    }
}
