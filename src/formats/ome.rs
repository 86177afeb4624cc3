//! Dell OpenManage Enterprise: the message of its Kafka topic, posted by a bridge. Service tag,
//! kind of problem by EEMI id and the part that the description numbers make the identity.

use super::codes::{self, IDRAC};
use super::draft::Draft;
use super::fields::{Fields, mentions};
use super::{About, Decoded, Detection, Format, Request, Undecodable, body};
use crate::model::{Event, EventState, Identity, SeverityHint, Time};

/// OpenManage Enterprise.
pub struct Ome;

impl Format for Ome {
    fn name(&self) -> &'static str {
        "ome"
    }

    fn about(&self) -> About {
        About {
            title: "Dell OpenManage Enterprise (Kafka message)",
            says: "problem, acknowledged, recovery",
            identity: "service tag, kind of problem, part",
            auth: "header, bearer, certificate",
        }
    }

    fn test_messages(&self) -> Option<[&'static str; 2]> {
        Some([
            r#"{"Data":[{"AlertId":0,"Severity":8,"Description":"Power supply redundancy is lost.","EEMIMessageId":"RDU0012","AlertIdentifier":"alertbridge-test"}],"TransferType":"Delta"}"#,
            r#"{"Data":[{"AlertId":0,"Severity":4,"Description":"The power supplies are redundant.","EEMIMessageId":"RDU0011","AlertIdentifier":"alertbridge-test"}],"TransferType":"Delta"}"#,
        ])
    }

    fn detect(&self, request: &Request) -> Detection {
        if mentions(request, &["\"EEMIMessageId\"", "\"AlertIdentifier\""]) {
            Detection::Certain
        } else {
            Detection::No
        }
    }

    fn decode(&self, request: &Request) -> Result<Decoded, Undecodable> {
        let body = body::read(request)?;
        let fields = Fields::of(&body.value);
        let alerts = fields.list("Data");
        if alerts.is_empty() {
            return Err(Undecodable::because("`Data` is missing or empty"));
        }
        Decoded::from_members(alerts.into_iter().map(alert))
    }
}

fn alert(alert: Fields) -> Result<Event, Undecodable> {
    let code = alert.word("EEMIMessageId");
    let code = code.rsplit('.').next().unwrap_or("").to_owned();
    let meaning = codes::find_one(IDRAC, &code);
    let number = alert.integer("Severity");
    let state = match (meaning, number) {
        (Some(meaning), _) if meaning.clears => EventState::Resolved,
        (None, Some(2 | 4)) => EventState::Info,
        _ if alert.flag("IsAcknowledged") == Some(true) => EventState::Acknowledged,
        _ => EventState::Firing,
    };
    let text = alert.word("Description");
    let part = part_of(&text).filter(|_| !meaning.is_some_and(|meaning| meaning.whole));
    let tag = alert.text("AlertIdentifier");
    let key = tag.as_ref().filter(|_| !code.is_empty()).map(|tag| {
        let family = meaning.map_or(code.as_str(), |meaning| meaning.family);
        format!("{tag}/{family}/{}", part.as_deref().unwrap_or(""))
    });
    let hint = match (meaning, number) {
        (Some(meaning), _) => meaning.hint,
        (None, Some(8 | 16)) => SeverityHint::Degradation,
        (None, Some(2 | 4)) => SeverityHint::Info,
        _ => SeverityHint::Unknown,
    };
    let known = matches!(number, Some(1 | 2 | 4 | 8 | 16));
    let problem = (!known).then(|| "`Severity` is none of 1, 2, 4, 8 and 16".to_owned());
    let at = ["UpdatedTimeStamp", "Timestamp"]
        .iter()
        .find_map(|path| compact(&alert.text(path)?));
    let mut draft = Draft::new(
        state,
        key.and_then(Identity::key),
        "`AlertIdentifier` with `EEMIMessageId`",
    )?
    .dedup_key(alert.text("AlertId"))
    .host(tag)
    .component(part)
    .check(Some(code))
    .severity(alert.text("Severity"), hint)
    .kind(meaning.map(|meaning| meaning.kind))
    .summary(text)
    .sent_at(at)
    .problem(problem);
    if state == EventState::Resolved {
        draft = draft.ends_at(at);
    }
    Ok(draft.finish())
}

/// The first name with a number in a description: `power supply 2`, `Fan 1`.
fn part_of(text: &str) -> Option<String> {
    let words: Vec<&str> = text.split([' ', ',', '.']).collect();
    words.windows(2).find_map(|pair| match pair {
        [name, number]
            if !number.is_empty()
                && number.bytes().all(|b| b.is_ascii_digit())
                && ["supply", "fan", "drive", "disk", "bay", "slot"]
                    .contains(&name.to_lowercase().as_str()) =>
        {
            Some(format!("{} {number}", name.to_lowercase()))
        }
        _ => None,
    })
}

/// `20260512T031407Z`.
fn compact(text: &str) -> Option<Time> {
    let piece = |from: usize, to: usize| text.get(from..to);
    let time = format!(
        "{}-{}-{}T{}:{}:{}Z",
        piece(0, 4)?,
        piece(4, 6)?,
        piece(6, 8)?,
        piece(9, 11)?,
        piece(11, 13)?,
        piece(13, 15)?
    );
    Time::parse_rfc3339(&time).or_else(|| super::fields::time(text))
}
