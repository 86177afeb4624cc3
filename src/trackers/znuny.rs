//! Znuny, OTOBO and the OTRS that they come from, by a web service of their generic interface.
//!
//! The web service has to be set up there: one route a call, all of them POST, named as in
//! [`CALLS`], so that the password never stands in an address. Errors come with HTTP 200. The key
//! stands in a dynamic field, else in the title. Articles are plain text and internal; what is for
//! the customer is visible in the portal and sends no mail. Times are the server's.

mod changes;
mod config;

pub use config::ZnunyConfig;

use super::client::{Answer, Client, send, written};
use super::rest::{
    Adaptor, Base, Changed, Greeting, NotDone, Note, Outcome, Said, Told, not_changed,
};
use super::words::{
    KEY_CHARS_MAX, Severities, Statuses, Zone, not_theirs, split_key, with_key, word,
};
use super::{Asked, Called, Capabilities, Draft, RemoteTicket, Takes, text};
use crate::limits;
use crate::model::Time;
use crate::model::ticket::{RemoteRef, TicketFields, TicketStatus};
use reqwest::Method;
use reqwest::header::HeaderMap;
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};
use std::time::Duration;
use tokio::sync::OnceCell;

const PRODUCT: &str = "Znuny";
/// Most tickets that one poll lists.
const CHANGED_MAX: usize = 2000;
/// Longest title, characters.
const TITLE_CHARS_MAX: usize = 250;
/// The calls of the web service; each is a route of its own below its address.
pub const CALLS: [&str; 7] = [
    "SessionCreate",
    "SessionGet",
    "TicketCreate",
    "TicketGet",
    "TicketHistoryGet",
    "TicketSearch",
    "TicketUpdate",
];

/// Znuny as a tracker.
pub struct Znuny {
    base: Base,
    config: ZnunyConfig,
    zone: Zone,
    me: OnceCell<String>,
}

/// The same whether or not the key follows it.
fn kept_title(subject: &str) -> String {
    text::subject(subject, "", TITLE_CHARS_MAX - KEY_CHARS_MAX)
}

/// One hit is no list in some versions.
fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(list) => list.clone(),
        Value::Null => Vec::new(),
        other => vec![other.clone()],
    }
}

/// Whether a call was refused because of the dynamic field.
fn is_about_the_field(outcome: &NotDone) -> bool {
    matches!(outcome, Called::Refused { reason, .. } if reason.contains("DynamicField"))
}

impl Znuny {
    /// A tracker by its configuration; nothing is sent yet.
    pub fn new(name: &str, mut config: ZnunyConfig) -> Result<Znuny, String> {
        config.status = config.status.or(Statuses::of_names([
            "new",
            "open",
            "pending reminder",
            "pending reminder",
            "closed successful",
            "closed successful",
            "merged",
        ]));
        config.priority = config.priority.or(Severities::of_words([
            "5 very high",
            "4 high",
            "3 normal",
            "2 low",
            "1 very low",
        ]));
        let base = Base {
            name: name.to_owned(),
            url: config.url.to_string(),
            client: Client::new(&config.url, HeaderMap::new(), &config.connection)?,
            capabilities: Capabilities {
                key_kept: "a dynamic field, else the title",
                settle: Duration::from_secs(config.settle_seconds.unwrap_or(30)),
                poll_every: Duration::from_secs(config.poll_seconds.unwrap_or(30).max(5)),
                subject_chars_max: TITLE_CHARS_MAX,
                attachment_bytes_max: 1024 * 1024,
                takes: Takes {
                    watchers: false,
                    ..Takes::ALL
                },
                parallel_max: config.parallel.unwrap_or(2).max(1),
                ..Capabilities::TICKETS
            },
        };
        Ok(Znuny {
            base,
            zone: Zone::named(&config.time_zone)?,
            config,
            me: OnceCell::new(),
        })
    }

    /// A call of the web service.
    async fn call(&self, name: &str, mut body: Value) -> Outcome<Answer> {
        body["UserLogin"] = json!(self.config.user);
        body["Password"] = json!(self.config.password.expose_secret().trim());
        let request = self.base.client.request(Method::POST, &format!("/{name}"));
        let answer = written(send(request.json(&body)).await).done()?;
        let said = answer.json();
        let error = &said["Error"];
        if error.is_object() {
            let code = word(error, "ErrorCode");
            let reason = format!("{code}: {}", word(error, "ErrorMessage"));
            // A right may come back, and a lock-out is not to be provoked.
            return Err(if code.ends_with("AuthFail") {
                Called::Later {
                    reason,
                    after: Some(Duration::from_secs(limits::TRACKER_UNAUTHORISED_SECONDS)),
                }
            } else {
                Called::refused(reason)
            });
        }
        if !said.is_object() {
            return Err(not_theirs(PRODUCT, &answer));
        }
        Ok(answer)
    }

    /// A call that changes nothing: it can be made again.
    async fn ask(&self, name: &str, body: Value) -> Outcome<Answer> {
        match self.call(name, body).await {
            Err(Called::Unknown { reason, after }) => Err(Called::Later { reason, after }),
            other => other,
        }
    }

    /// The number of the bridge's user.
    async fn me(&self) -> Outcome<&str> {
        let found = self.me.get_or_try_init(|| async {
            let session = self.ask("SessionCreate", json!({})).await?.json();
            let session = json!({ "SessionID": word(&session, "SessionID") });
            let data = self.ask("SessionGet", session).await?.json();
            let own = list(&data["SessionData"])
                .into_iter()
                .find(|item| word(item, "Key") == "UserID");
            own.map(|item| word(&item, "Value"))
                .ok_or_else(|| Called::later("a session does not name the bridge's user"))
        });
        found.await.map(String::as_str)
    }

    fn link(&self, id: &str) -> RemoteRef {
        let url = self.config.url.as_str();
        let base = url.split("nph-genericinterface.pl").next().unwrap_or(url);
        RemoteRef {
            key: id.to_owned(),
            url: format!("{base}index.pl?Action=AgentTicketZoom;TicketID={id}"),
        }
    }

    fn ticket(&self, item: &Value) -> RemoteTicket {
        let (title, in_title) = split_key(&word(item, "Title"));
        let own = list(&item["DynamicField"])
            .into_iter()
            .find(|field| word(field, "Name") == self.config.key_field);
        let in_field = own.map_or_else(String::new, |field| word(&field, "Value"));
        RemoteTicket {
            remote: self.link(&word(item, "TicketID")),
            key: if in_field.is_empty() {
                in_title
            } else {
                in_field
            },
            fields: TicketFields {
                subject: title,
                status: self.status(&word(item, "State"), &word(item, "StateType")),
                severity: self.config.priority.read(&word(item, "Priority")),
                queue: word(item, "Queue"),
            },
            markers: Vec::new(),
            created_at: self.zone.read(&word(item, "Created")),
        }
    }

    /// Our word for a state; one that nobody configured is over if its type says so.
    fn status(&self, name: &str, kind: &str) -> TicketStatus {
        match kind {
            "merged" | "removed" => TicketStatus::Gone,
            "closed" if self.config.status.read(name) == TicketStatus::Open => TicketStatus::Closed,
            "pending auto" => TicketStatus::Resolved,
            _ => self.config.status.read(name),
        }
    }

    /// A ticket with its articles; none if it was deleted.
    async fn item(&self, id: &str) -> Outcome<Option<Value>> {
        let query = json!({ "TicketID": id, "DynamicFields": 1, "AllArticles": 1, "Extended": 1 });
        let answer = match self.ask("TicketGet", query).await {
            Ok(answer) => answer,
            // Deleted, or out of reach; both are answered so.
            Err(Called::Refused { reason, .. }) if reason.starts_with("TicketGet.AccessDenied") => {
                return Ok(None);
            }
            Err(outcome) => return Err(outcome),
        };
        let item = list(&answer.json()["Ticket"]).into_iter().next();
        match item.filter(|item| !word(item, "TicketID").is_empty()) {
            Some(item) => Ok(Some(item)),
            None => Err(Called::later("the answer to a read is no ticket")),
        }
    }

    /// Ids that a search finds.
    async fn found(&self, query: Value) -> Outcome<(Vec<String>, Answer)> {
        let answer = self.ask("TicketSearch", query).await?;
        let ids = list(&answer.json()["TicketID"]);
        let text = |id: &Value| id.as_str().map_or_else(|| id.to_string(), str::to_owned);
        Ok((ids.iter().map(text).collect(), answer))
    }

    async fn update(&self, id: &str, mut change: Value) -> Outcome<()> {
        change["TicketID"] = json!(id);
        let answer = self.call("TicketUpdate", change).await?;
        if word(&answer.json(), "TicketID") == id {
            return Ok(());
        }
        Err(not_theirs(PRODUCT, &answer))
    }

    fn article(subject: &str, body: &str, visible: bool) -> Value {
        json!({
            "CommunicationChannel": "Internal",
            "SenderType": "agent",
            "IsVisibleForCustomer": u8::from(visible),
            "Subject": subject,
            "Body": body,
            "ContentType": "text/plain; charset=utf8",
        })
    }
}

impl Adaptor for Znuny {
    const PRODUCT: &'static str = PRODUCT;

    fn base(&self) -> &Base {
        &self.base
    }

    fn kept(&self, fields: TicketFields) -> TicketFields {
        let (status, priority) = (&self.config.status, &self.config.priority);
        TicketFields {
            subject: kept_title(&fields.subject),
            status: status.read(status.name(fields.status)),
            severity: priority.kept(fields.severity),
            ..fields
        }
    }

    async fn greet(&self) -> Outcome<Greeting> {
        let user = self.me().await?.to_owned();
        let query = json!({ "TicketNumber": "0", "Limit": 1 });
        let (_, answer) = self.found(query).await?;
        Ok(Greeting {
            words: format!("the bridge is `{}`, user {user}", self.config.user),
            user,
            clock: answer.date(),
        })
    }

    async fn check_more(&self) -> Said {
        let field = &self.config.key_field;
        let nobody =
            json!({ format!("DynamicField_{field}"): { "Equals": "ab-check" }, "Limit": 2 });
        let mut said = vec![match self.found(nobody).await {
            Ok((found, _)) if found.is_empty() => {
                Ok(format!("the key is kept in the dynamic field `{field}`"))
            }
            Ok(_) => Err(format!(
                "there is no dynamic field `{field}`: a search by it finds every ticket"
            )),
            Err(outcome) => Err(format!("a search by `{field}` fails: {}", outcome.why())),
        }];
        let history = json!({ "TicketID": "1" });
        if let Err(outcome) = self.ask("TicketHistoryGet", history).await
            && !matches!(&outcome, Called::Refused { reason, .. } if !reason.starts_with("HTTP"))
        {
            let why = outcome.why();
            said.push(Err(format!("the route TicketHistoryGet is needed: {why}")));
        }
        said
    }

    async fn check_asked(&self, asked: &[Asked]) -> Said {
        let mut said = Vec::new();
        for route in asked {
            for name in &route.custom {
                let query = json!({
                    format!("DynamicField_{name}"): { "Equals": "ab-check-nobody" }, "Limit": 2
                });
                // A field that there is not is dropped from the query, and tickets are found.
                let there = match self.found(query).await {
                    Ok((found, _)) => found.is_empty(),
                    Err(outcome) if is_about_the_field(&outcome) => false,
                    Err(outcome) => {
                        said.push(Err(outcome.why().to_owned()));
                        continue;
                    }
                };
                said.push(route.is_there(&format!("dynamic field `{name}`"), there));
            }
        }
        said
    }

    async fn search(&self, key: &str) -> Outcome<Vec<RemoteTicket>> {
        let by_field = format!("DynamicField_{}", self.config.key_field);
        let query = json!({ by_field: { "Equals": key }, "Limit": 50 });
        let mut ids = match self.found(query).await {
            // An unknown field is dropped, and all tickets are found.
            Ok((ids, _)) if ids.len() < 50 => ids,
            Ok(_) => Vec::new(),
            Err(outcome) if is_about_the_field(&outcome) => Vec::new(),
            Err(outcome) => return Err(outcome),
        };
        let query = json!({ "Title": format!("*[{key}]"), "Limit": 50 });
        for id in self.found(query).await?.0 {
            if !ids.contains(&id) {
                ids.push(id);
            }
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
        let or = |own: &str, default: &str| if own.is_empty() { default } else { own }.to_owned();
        let title = kept_title(&draft.fields.subject);
        let priority = draft
            .fields
            .severity
            .map_or("3 normal", |severity| self.config.priority.word(severity));
        let files = draft.attachments.iter().map(|file| {
            json!({
                "Content": file.base64(),
                "ContentType": file.content_type,
                "Filename": file.name,
            })
        });
        let mut body = json!({
            "Ticket": {
                "Title": title,
                "Queue": or(&draft.fields.queue, &self.config.queue),
                "State": self.config.status.name(TicketStatus::New),
                "Priority": priority,
                "CustomerUser": or(&draft.requestor, &self.config.customer),
            },
            "Article": Znuny::article(&draft.key, &text::plain(&draft.body), false),
            "DynamicField": [{ "Name": self.config.key_field, "Value": draft.key }],
            "Attachment": files.collect::<Vec<_>>(),
        });
        if !draft.kind.is_empty() {
            body["Ticket"]["Type"] = json!(draft.kind);
        }
        if let Some(fields) = body["DynamicField"].as_array_mut() {
            let custom = draft.custom.iter();
            fields.extend(custom.map(|(name, value)| json!({ "Name": name, "Value": value })));
        }
        let mut made = self.call("TicketCreate", body.clone()).await;
        if made.as_ref().is_err_and(is_about_the_field)
            && let Some((name, _)) = draft.custom.first()
        {
            // It may be any of them: the dispatcher asks again without this one.
            return made
                .map(|_| self.link(""))
                .map_err(|outcome| Called::Refused {
                    reason: outcome.why().to_owned(),
                    field: Some(name.clone()),
                });
        }
        if made.as_ref().is_err_and(is_about_the_field) {
            // Without the field the title shows the key; a ticket is never refused for it.
            body["Ticket"]["Title"] = json!(with_key(title, &draft.key));
            body["DynamicField"] = json!([]);
            made = self.call("TicketCreate", body).await;
        }
        let answer = made?;
        let id = word(&answer.json(), "TicketID");
        if id.is_empty() {
            return Err(not_theirs(PRODUCT, &answer));
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
        let mut change = Map::new();
        if from.is_none_or(|from| from.subject != to.subject) {
            let (_, key) = split_key(&word(&current, "Title"));
            let title = kept_title(&to.subject);
            let title = with_key(title, &key);
            change.insert("Title".to_owned(), json!(title));
        }
        let state = self.config.status.name(to.status);
        if from.is_none_or(|from| self.config.status.name(from.status) != state) {
            change.insert("State".to_owned(), json!(state));
            if state.starts_with("pending") {
                let minutes = u64::from(self.config.pending_days) * 24 * 60;
                change.insert("PendingTime".to_owned(), json!({ "Diff": minutes }));
            }
        }
        if let Some(severity) = to.severity
            && from.is_none_or(|from| from.severity != to.severity)
        {
            let priority = self.config.priority.word(severity);
            change.insert("Priority".to_owned(), json!(priority));
        }
        if change.is_empty() {
            return Ok(());
        }
        let wanted = Value::Object(change);
        self.update(id, json!({ "Ticket": wanted.clone() })).await?;
        let after = self.item(id).await?.unwrap_or_default();
        for name in ["State", "Priority"] {
            if !wanted[name].is_null() && wanted[name] != after[name] {
                return not_changed(PRODUCT, name);
            }
        }
        Ok(())
    }

    async fn write_note(&self, id: &str, note: Note<'_>) -> Outcome<()> {
        let body = format!("{}\n\n{}", text::plain(note.text), note.marker);
        let article = Znuny::article(note.marker, &body, note.public);
        self.update(id, json!({ "Article": article })).await
    }

    async fn close_twin(&self, id: &str, other: &str) -> Outcome<()> {
        let text = format!("Duplicate of ticket {other}.");
        let closed = self.config.status.name(TicketStatus::Closed);
        let change = json!({
            "Ticket": { "State": closed },
            "Article": Znuny::article("Duplicate", &text, false),
        });
        self.update(id, change).await
    }

    async fn read_whole(&self, id: &str) -> Outcome<Option<RemoteTicket>> {
        let Some(item) = self.item(id).await? else {
            return Ok(None);
        };
        let mut ticket = self.ticket(&item);
        let articles = list(&item["Article"]);
        ticket.markers = articles.iter().map(|a| word(a, "Subject")).collect();
        Ok(Some(ticket))
    }

    async fn changed_since(&self, since: Time) -> Outcome<Changed> {
        let query = json!({
            "TicketLastChangeTimeNewerDate": self.zone.write(since),
            "SortBy": "Changed",
            "OrderBy": "Up",
            "Limit": CHANGED_MAX,
        });
        let (ids, _) = self.found(query).await?;
        let mut left_from = None;
        if let Some(last) = ids.last().filter(|_| ids.len() >= CHANGED_MAX) {
            // A search tells ids only.
            let item = self.item(last).await?.unwrap_or_default();
            left_from = self.zone.read(&word(&item, "Changed"));
        }
        Ok(Changed { ids, left_from })
    }

    async fn history(&self, id: &str, me: &str) -> Outcome<Vec<Told>> {
        self.told(id, me).await
    }
}
