//! Splits a request of native events, so that each event has its own result.
//!
//! Invariant: an element is passed on as it was sent; nothing is reordered or dropped.

use serde_json::value::RawValue;

/// The elements of a body: one event, or a list. The error is a sentence for the sender.
pub fn split(body: &[u8]) -> Result<Vec<&[u8]>, String> {
    let text = std::str::from_utf8(body)
        .map_err(|error| format!("the body is not UTF-8 from byte {} on", error.valid_up_to()))?;
    let not_json = |error: serde_json::Error| format!("the body is not JSON: {error}");
    if text.trim_start().starts_with('[') {
        let list: Vec<&RawValue> = serde_json::from_str(text).map_err(not_json)?;
        return Ok(list.into_iter().map(|raw| raw.get().as_bytes()).collect());
    }
    let one: &RawValue = serde_json::from_str(text).map_err(not_json)?;
    Ok(vec![one.get().as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_or_a_list() {
        assert_eq!(split(b" {\"a\":1} ").unwrap(), [b"{\"a\":1}"]);
        assert_eq!(split(b"[{},7]").unwrap(), [&b"{}"[..], b"7"]);
        assert!(split(b"[]").unwrap().is_empty());
        assert!(split(b"{\"a\":").unwrap_err().contains("not JSON"));
        assert!(split(b"\xff").unwrap_err().contains("byte 0"));
    }
}
