//! JSON in mails of AWS SNS topics: a CloudWatch alarm that a topic sends as it is. The mails that
//! SNS words itself are read by a template, with the same identity: the alarm's ARN.

use super::read::Mail;
use crate::formats::draft::Draft;
use crate::formats::{Decoded, Undecodable};
use crate::model::{EventState, Identity, SeverityHint, Time};
use serde_json::Value;

/// The template whose identities these events share.
const SENDER: &str = "cloudwatch-sns";

/// `None`: the text is no JSON of SNS.
pub(super) fn decode(
    mail: &Mail,
    text: &str,
    sent_at: Time,
) -> Option<(String, Result<Decoded, Undecodable>)> {
    // The footer below the JSON begins with a line of dashes.
    let text = text.split("\n--\n").next().unwrap_or(text).trim();
    if !text.starts_with('{') || text.len() > 256 * 1024 {
        return None;
    }
    let outer: Value = serde_json::from_str(text).ok()?;
    let inner = outer
        .get("Message")
        .and_then(Value::as_str)
        .and_then(|message| serde_json::from_str::<Value>(message).ok());
    let alarm = inner.as_ref().unwrap_or(&outer);
    alarm.get("AlarmName")?;
    Some((SENDER.to_owned(), event(mail, alarm, sent_at)))
}

fn event(mail: &Mail, alarm: &Value, sent_at: Time) -> Result<Decoded, Undecodable> {
    let get = |name: &str| alarm.get(name).and_then(Value::as_str).map(str::to_owned);
    let word = get("NewStateValue").unwrap_or_default();
    let (state, hint) = match word.as_str() {
        "OK" => (EventState::Resolved, SeverityHint::Unknown),
        "ALARM" => (EventState::Firing, SeverityHint::Unknown),
        _ => (EventState::Info, SeverityHint::Info),
    };
    let identity = get("AlarmArn").and_then(|arn| Identity::key(format!("{SENDER}|{arn}")));
    let dimension = alarm
        .pointer("/Trigger/Dimensions/0/value")
        .and_then(Value::as_str)
        .map(str::to_owned);
    let time = get("StateChangeTime").and_then(|time| aws_time(&time));
    let mut event = Draft::new(state, identity, "`AlarmArn`")?
        .severity((!word.is_empty()).then_some(word), hint)
        .host(dimension)
        .check(get("AlarmName"))
        .summary(mail.headers.subject().to_owned())
        .details(get("NewStateReason"))
        .label("account", get("AWSAccountId"))
        .label("region", get("Region"))
        .sent_at(time.or(Some(sent_at)))
        .finish();
    event.dedup_key = get("AlarmArn");
    Ok(Decoded {
        events: vec![event],
        ..Decoded::default()
    })
}

/// `2025-11-04T08:17:11.000+0000`.
fn aws_time(text: &str) -> Option<Time> {
    let spaced = text.replace("+0000", "Z");
    Time::parse_rfc3339(&spaced)
}
