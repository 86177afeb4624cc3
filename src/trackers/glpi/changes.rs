//! What people did in GLPI, read from follow-ups and the log of tickets that changed.

use super::{Glpi, status, words};
use crate::limits;
use crate::model::text::bounded;
use crate::model::ticket::PersonDid;
use crate::trackers::rest::{Outcome, Told};
use crate::trackers::words::word;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// `agent (6)` without its number, and the number.
fn named(text: &str) -> (&str, &str) {
    match text.rsplit_once(" (") {
        Some((name, number)) => (name, number.trim_end_matches(')')),
        None => (text, ""),
    }
}

impl Glpi {
    pub(super) async fn told(&self, id: &str, me: &str) -> Outcome<Vec<Told>> {
        let people = self.children(id, "Ticket_User").await?;
        // Who asked is of type 1.
        let requesters: BTreeSet<String> = people
            .iter()
            .filter(|one| word(one, "type") == "1")
            .map(|one| word(one, "users_id"))
            .collect();
        let mut told = Vec::new();
        for followup in self.children(id, "ITILFollowup").await? {
            let author = word(&followup, "users_id");
            let Some(at) = self.zone.read(&word(&followup, "date_creation")) else {
                continue;
            };
            if author == me {
                continue;
            }
            let text = bounded(
                &words(&word(&followup, "content")),
                limits::TRACKER_TEXT_BYTES_MAX,
            );
            let private = matches!(&followup["is_private"], Value::Bool(true))
                || word(&followup, "is_private") == "1";
            let what = if requesters.contains(&author) {
                PersonDid::CustomerWrote { text }
            } else if private {
                PersonDid::Noted { text }
            } else {
                PersonDid::Answered {
                    text,
                    promise: None,
                }
            };
            let name = format!("followup-{}", word(&followup, "id"));
            told.push(Told::of(&name, at, &author, what));
        }
        for row in self.children(id, "Log").await? {
            let by = word(&row, "user_name");
            let (author, number) = named(&by);
            let Some(at) = self.zone.read(&word(&row, "date_mod")) else {
                continue;
            };
            if number == me || number.is_empty() {
                continue;
            }
            let name = format!("log-{}", word(&row, "id"));
            let what = self.meaning(&row);
            told.extend(what.map(|what| Told::of(&name, at, author, what)));
        }
        Ok(told)
    }

    /// What a row of the log says in our words: 12 is the status, 10 the urgency, 5 the assignee.
    fn meaning(&self, row: &Value) -> Option<PersonDid> {
        let new = word(row, "new_value");
        match word(row, "id_search_option").as_str() {
            "12" => Some(PersonDid::Status(status(&new))),
            "10" => self.config.urgency.read(&new).map(PersonDid::Severity),
            "5" => Some(PersonDid::Owner(named(&new).0.to_owned())),
            _ if row["itemtype_link"] == json!("User") && word(row, "linked_action") == "15" => {
                Some(PersonDid::Owner(named(&new).0.to_owned()))
            }
            _ => None,
        }
    }
}
