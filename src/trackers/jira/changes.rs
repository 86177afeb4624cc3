//! What people did in Jira, read from changelogs and comments of issues that changed. JQL reads
//! times in the user's zone and by the minute, so it is asked for minutes back from now.

use super::{Jira, time, user};
use crate::limits;
use crate::model::Time;
use crate::model::text::bounded;
use crate::model::ticket::{PersonChange, PersonDid, is_key};
use crate::trackers::follow::Cursor;
use crate::trackers::words::word;
use crate::trackers::{Called, Known};
use serde_json::Value;

type Followed = (Vec<PersonChange>, String);
type Outcome<T> = Result<T, Called<Followed>>;

/// Whether an issue bears a key of a bridge.
fn has_a_key(issue: &Value) -> bool {
    let labels = issue["fields"]["labels"].as_array().into_iter().flatten();
    let mut labels = labels.filter_map(Value::as_str);
    labels.any(is_key)
}

impl Jira {
    /// What people did since the cursor.
    pub(super) async fn follow(&self, cursor: &str, known: Known<'_>) -> Outcome<Followed> {
        let me = self.me().await?;
        let answer = self.client.get("/rest/api/2/myself", &[]).await.done()?;
        let Some(now) = answer.date() else {
            return Err(Called::later("the answer has no date"));
        };
        let Some(mut cursor) = Cursor::read(cursor) else {
            return Ok((Vec::new(), Cursor::start(now).written()));
        };
        let minutes = now.since(cursor.since()).as_secs() / 60 + 2;
        // Routes name further projects, and people move issues: what the bridge made is its own.
        let jql = format!(
            "(project = {} OR creator = currentUser()) AND updated >= \"-{minutes}m\" \
             ORDER BY updated ASC",
            super::quoted(&self.config.project)
        );
        let fields = ["updated", "labels"];
        let pages_max = limits::TRACKER_POLL_PAGES_MAX;
        let (issues, whole) = self.search_issues(&jql, &fields, pages_max).await?;
        let mut told = Vec::new();
        for issue in &issues {
            let key = word(issue, "key");
            if known(&key) {
                self.read_changes(&key, &me, &mut cursor, &mut told).await?;
            } else if has_a_key(issue) {
                told.extend(self.moved(&key, known).await?);
            }
        }
        told.sort_by_key(|change| change.at);
        let last = issues.last().filter(|_| !whole);
        let left_from = last.and_then(|last| time(&word(&last["fields"], "updated")));
        cursor.read_up_to(left_from, now);
        Ok((told, cursor.written()))
    }

    /// An issue with a key of ours whose name is not known was moved to another project: its name
    /// before that is known.
    async fn moved(&self, key: &str, known: Known<'_>) -> Outcome<Option<PersonChange>> {
        let query = [("expand", "changelog"), ("fields", "reporter")];
        let issue = self.issue(key, &query).await?.unwrap_or_default();
        let histories = issue["changelog"]["histories"].as_array();
        let moves = histories.into_iter().flatten().rev().filter_map(|history| {
            let items = history["items"].as_array().into_iter().flatten();
            let mut names = items.filter(|item| word(item, "field") == "Key");
            let before = names.next().map(|item| word(item, "fromString"))?;
            known(&before).then_some((history, before))
        });
        let moved = moves.into_iter().next();
        Ok(moved.map(|(history, before)| PersonChange {
            tracker: self.name.clone(),
            change_id: format!("{before}-h{}", word(history, "id")),
            at: time(&word(history, "created")).unwrap_or_default(),
            author: word(&history["author"], "displayName"),
            what: PersonDid::MovedTo(key.to_owned()),
            remote: before,
        }))
    }

    async fn read_changes(
        &self,
        key: &str,
        me: &str,
        cursor: &mut Cursor,
        told: &mut Vec<PersonChange>,
    ) -> Outcome<()> {
        let query = [("expand", "changelog"), ("fields", "reporter")];
        let Some(issue) = self.issue(key, &query).await? else {
            return Ok(());
        };
        let mut tell = |id: &str, at: Time, author: &Value, what: PersonDid| {
            told.push(PersonChange {
                tracker: self.name.clone(),
                remote: key.to_owned(),
                change_id: format!("{key}-{id}"),
                at,
                author: word(author, "displayName"),
                what,
            });
        };
        let histories = issue["changelog"]["histories"].as_array();
        for history in histories.into_iter().flatten() {
            let (id, author) = (word(history, "id"), &history["author"]);
            let Some(at) = time(&word(history, "created")) else {
                continue;
            };
            if user(author) == me || !cursor.take(&format!("{key}-h{id}"), at) {
                continue;
            }
            for (n, item) in history["items"]
                .as_array()
                .into_iter()
                .flatten()
                .enumerate()
            {
                if let Some(what) = self.meaning(item) {
                    tell(&format!("h{id}-{n}"), at, author, what);
                }
            }
        }
        let reporter = user(&issue["fields"]["reporter"]);
        for comment in self.comments(key).await? {
            let (id, author) = (word(&comment, "id"), &comment["author"]);
            let Some(at) = time(&word(&comment, "created")) else {
                continue;
            };
            if user(author) == me || !cursor.take(&format!("{key}-c{id}"), at) {
                continue;
            }
            let text = word(&comment, "body");
            let text = bounded(text.trim(), limits::TRACKER_TEXT_BYTES_MAX);
            let customer = word(author, "accountType") == "customer" || user(author) == reporter;
            let what = if customer {
                PersonDid::CustomerWrote { text }
            } else if comment["jsdPublic"] == Value::Bool(false) {
                PersonDid::Noted { text }
            } else {
                PersonDid::Answered {
                    text,
                    promise: None,
                }
            };
            tell(&format!("c{id}"), at, author, what);
        }
        Ok(())
    }

    /// What a line of a changelog says in our words.
    fn meaning(&self, item: &Value) -> Option<PersonDid> {
        let new = word(item, "toString");
        let promise = &self.config.promise_field;
        if promise.is(&word(item, "field")) || promise.is(&word(item, "fieldId")) {
            // Beside the words for people, a date-and-time field has the instant.
            return Some(match time(&word(item, "to")) {
                Some(at) => PersonDid::Promised {
                    value: at.to_string(),
                },
                None => promise.set_to(&new),
            });
        }
        match word(item, "field").as_str() {
            "status" => {
                // The changelog has no category; resolved is told by its name or by its resolution.
                Some(PersonDid::Status(self.config.status.read(&new)))
            }
            "assignee" => Some(PersonDid::Owner(new)),
            "priority" => self.config.priority.read(&new).map(PersonDid::Severity),
            _ => None,
        }
    }
}
