//! JSON in mails: topics of AWS SNS, and others that mail what they would send to a webhook. A
//! CloudWatch alarm shares its identity with the mails that SNS words itself: the alarm's ARN.
//! Other JSON is read as the sender over HTTP that it looks like.

use super::read::Mail;
use crate::formats::draft::Draft;
use crate::formats::{self, Decoded, Request, Undecodable};
use crate::limits::JSON_DEPTH_MAX;
use crate::model::{EventState, Identity, SeverityHint, Time};
use serde_json::Value;

/// The template whose identities CloudWatch's events share.
const CLOUDWATCH: &str = "cloudwatch-sns";

/// `None`: the text is no JSON that anything is known about.
pub(super) fn decode(
    mail: &Mail,
    text: &str,
    sent_at: Time,
    received_at: Time,
) -> Option<(String, Result<Decoded, Undecodable>)> {
    // The footer below the JSON begins with a line of dashes.
    let text = text.split("\n--\n").next().unwrap_or(text).trim();
    if !text.starts_with('{') || is_deep(text) {
        return None;
    }
    let outer: Value = serde_json::from_str(text).ok()?;
    let inner = outer.get("Message").and_then(Value::as_str);
    let parsed = inner.and_then(|message| serde_json::from_str::<Value>(message).ok());
    let alarm = parsed.as_ref().unwrap_or(&outer);
    if alarm.get("AlarmName").is_some() {
        return Some((CLOUDWATCH.to_owned(), event(mail, alarm, sent_at)));
    }
    let body = inner.filter(|_| parsed.is_some()).unwrap_or(text);
    webhook(body, received_at)
}

/// Nesting beyond what is decoded of a webhook.
fn is_deep(text: &str) -> bool {
    let mut depth = 0_usize;
    text.bytes().any(|byte| {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > JSON_DEPTH_MAX
    })
}

/// The text as the body of a webhook.
fn webhook(body: &str, received_at: Time) -> Option<(String, Result<Decoded, Undecodable>)> {
    let request = Request::bare(body.as_bytes(), received_at);
    let format = formats::detect(&request)?;
    let decoded = formats::decode(format, &request).ok()?;
    Some((format.name().to_owned(), Ok(decoded)))
}

fn event(mail: &Mail, alarm: &Value, sent_at: Time) -> Result<Decoded, Undecodable> {
    let get = |name: &str| alarm.get(name).and_then(Value::as_str).map(str::to_owned);
    let word = get("NewStateValue").unwrap_or_default();
    let (state, hint) = match word.as_str() {
        "OK" => (EventState::Resolved, SeverityHint::Unknown),
        "ALARM" => (EventState::Firing, SeverityHint::Unknown),
        _ => (EventState::Info, SeverityHint::Info),
    };
    let identity = get("AlarmArn").and_then(|arn| Identity::key(format!("{CLOUDWATCH}|{arn}")));
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
    Time::parse_rfc3339(&text.replace("+0000", "Z"))
}
