//! What kind of text a body is, whatever its `Content-Type` says, and that text as one tree.
//!
//! Senders lie about types, do not escape what they put into templates and post forms, JSON, XML
//! or environment dumps to the same path. [`read`] sniffs, repairs what template engines are known
//! to break, and gives a [`serde_json::Value`] for all of them; [`super::fields`] reads from it.

use super::{Request, Undecodable};
use crate::limits::JSON_DEPTH_MAX;
use serde_json::{Map, Value};

/// How a body was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// JSON; several documents in a row become one list.
    Json,
    /// XML: elements become objects, attributes `@name`, text `#text`.
    Xml,
    /// `a=b&c=d`, also from the query of a request without a body, and multipart forms.
    Form,
    /// Lines of `NAME=VALUE`; a literal `\n` in a value is a new line.
    Env,
    /// Anything else.
    Text,
}

/// A body as one tree.
#[derive(Clone, Debug)]
pub struct Body {
    /// How it was written.
    pub kind: Kind,
    /// The tree; a string for plain text.
    pub value: Value,
    /// What had to be repaired, for the `problems` of the message.
    pub repaired: Option<&'static str>,
}

/// Reads the body of a request; the query if there is no body. Fails only on what is nested too
/// deeply: everything else is at least text.
pub fn read(request: &Request) -> Result<Body, Undecodable> {
    let text = request.text();
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Ok(Body::of(Kind::Form, form(request.query)));
    }
    let content_type = request.header("content-type").unwrap_or("");
    if let Some(boundary) = multipart_boundary(content_type) {
        return Ok(Body::of(Kind::Form, multipart(text, boundary)));
    }
    parse(text)
}

/// The same for a text without a request around it.
pub fn parse(text: &str) -> Result<Body, Undecodable> {
    match text.trim_start().chars().next() {
        Some('{' | '[') => return json(text),
        Some('<') => return xml(text),
        _ => {}
    }
    let body = if looks_like_env(text) {
        Body::of(Kind::Env, env(text))
    } else if looks_like_form(text) {
        Body::of(Kind::Form, form(text))
    } else {
        Body::of(Kind::Text, Value::String(text.to_owned()))
    };
    Ok(body)
}

impl Body {
    fn of(kind: Kind, value: Value) -> Body {
        Body {
            kind,
            value,
            repaired: None,
        }
    }
}

fn json(text: &str) -> Result<Body, Undecodable> {
    if json_depth(text.as_bytes()) > JSON_DEPTH_MAX {
        return Err(too_deep());
    }
    if let Ok(value) = serde_json::from_str(text) {
        return Ok(Body::of(Kind::Json, value));
    }
    let documents: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(text)
        .into_iter()
        .collect();
    if let Ok(documents) = documents {
        return Ok(Body::of(Kind::Json, Value::Array(documents)));
    }
    let repairs = [
        (
            false,
            "the JSON held raw control characters or stray backslashes",
        ),
        (true, "the JSON held quotes that were not escaped"),
    ];
    for (quotes, what) in repairs {
        if let Ok(value) = serde_json::from_str(&repair(text, quotes)) {
            let mut body = Body::of(Kind::Json, value);
            body.repaired = Some(what);
            return Ok(body);
        }
    }
    let mut body = Body::of(Kind::Text, Value::String(text.to_owned()));
    body.repaired = Some("the body starts like JSON and is not JSON");
    Ok(body)
}

fn too_deep() -> Undecodable {
    Undecodable::because(format!(
        "the body is nested more than {JSON_DEPTH_MAX} levels deep"
    ))
}

/// What a body costs once it is taken apart, about: each value 1, each object or XML element 8.
pub fn weight(text: &[u8]) -> usize {
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
    if !matches!(first, Some(b'{' | b'[')) {
        let each = |byte: &u8| match byte {
            b'<' => 8,
            b'&' | b'\n' => 2,
            _ => 0,
        };
        return text.iter().map(each).sum();
    }
    let (mut weight, mut quoted, mut escaped) = (0, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' => weight += 8,
            b',' | b'[' => weight += 1,
            _ => {}
        }
    }
    weight
}

/// Deepest nesting of brackets outside strings.
pub fn json_depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0usize, 0usize);
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => rest = after_string(rest.as_slice()).iter(),
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// What follows the end of a string that was begun.
fn after_string(mut text: &[u8]) -> &[u8] {
    while let Some(at) = memchr::memchr2(b'"', b'\\', text) {
        let escaped = text.get(at) == Some(&b'\\');
        text = text
            .get(at + 1 + usize::from(escaped)..)
            .unwrap_or_default();
        if !escaped {
            return text;
        }
    }
    &[]
}

/// Escapes, inside strings, raw control characters and backslashes that begin no escape. With
/// `quotes` a quote ends a string only where JSON can go on after it.
fn repair(text: &str, quotes: bool) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    let mut in_string = false;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        if !in_string {
            in_string = c == '"';
            out.push(c);
            continue;
        }
        match c {
            '\\' => match chars.peek() {
                Some((_, next)) if "\"\\/bfnrtu".contains(*next) => {
                    out.push(c);
                    out.push(*next);
                    chars.next();
                }
                _ => out.push_str("\\\\"),
            },
            '"' if quotes && !can_end(text.get(at + 1..).unwrap_or("")) => out.push_str("\\\""),
            '"' => {
                in_string = false;
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

fn can_end(rest: &str) -> bool {
    matches!(
        rest.trim_start().chars().next(),
        None | Some(',' | ':' | '}' | ']')
    )
}

fn xml(text: &str) -> Result<Body, Undecodable> {
    if text.matches('<').take(1_000_000).count() >= 1_000_000 {
        return Err(Undecodable::because("the XML has too many elements"));
    }
    match roxmltree::Document::parse(text) {
        Ok(document) => {
            let root = document.root_element();
            let value = element(root, 0).ok_or_else(too_deep)?;
            let mut top = Map::new();
            top.insert(root.tag_name().name().to_owned(), value);
            Ok(Body::of(Kind::Xml, Value::Object(top)))
        }
        Err(_) => {
            let mut body = Body::of(Kind::Text, Value::String(text.to_owned()));
            body.repaired = Some("the body starts like XML and is not XML");
            Ok(body)
        }
    }
}

fn element(node: roxmltree::Node, depth: usize) -> Option<Value> {
    if depth > JSON_DEPTH_MAX {
        return None;
    }
    let mut object = Map::new();
    for attribute in node.attributes() {
        object.insert(format!("@{}", attribute.name()), attribute.value().into());
    }
    let mut text = String::new();
    for child in node.children() {
        if let Some(part) = child.text().filter(|_| child.is_text()) {
            text.push_str(part);
        }
        if !child.is_element() {
            continue;
        }
        let value = element(child, depth + 1)?;
        match object.get_mut(child.tag_name().name()) {
            Some(Value::Array(list)) => list.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
            None => {
                object.insert(child.tag_name().name().to_owned(), value);
            }
        }
    }
    let text = text.trim();
    if object.is_empty() {
        return Some(text.into());
    }
    if !text.is_empty() {
        object.insert("#text".to_owned(), text.into());
    }
    Some(Value::Object(object))
}

fn is_name(name: &str, more: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || more.contains(c))
}

fn looks_like_form(text: &str) -> bool {
    let first = text.split('&').next().unwrap_or("");
    first
        .split_once('=')
        .is_some_and(|(name, _)| is_name(name, ".%[]-+"))
        && (text.contains('&') || !text.contains('\n'))
}

/// `a=b&c=d` as an object; the first of equal names counts.
pub fn form(text: &str) -> Value {
    let mut object = Map::new();
    for (name, value) in url::form_urlencoded::parse(text.trim().as_bytes()) {
        object
            .entry(name.into_owned())
            .or_insert_with(|| Value::String(value.into_owned()));
    }
    Value::Object(object)
}

fn looks_like_env(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let named = |line: &str| line.split_once('=').is_some_and(|(n, _)| is_name(n, ""));
    lines.next().is_some_and(named) && lines.next().is_some_and(named)
}

/// Lines of `NAME=VALUE`; a line without a name continues the value before it.
pub fn env(text: &str) -> Value {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        match line.split_once('=') {
            Some((name, value)) if is_name(name, "") => {
                pairs.push((name.to_owned(), value.replace("\\n", "\n")));
            }
            _ => {
                if let Some((_, value)) = pairs.last_mut() {
                    value.push('\n');
                    value.push_str(line);
                }
            }
        }
    }
    pairs
        .into_iter()
        .map(|(name, value)| (name, Value::String(value.trim_end().to_owned())))
        .collect::<Map<_, _>>()
        .into()
}

fn multipart_boundary(content_type: &str) -> Option<&str> {
    let (kind, rest) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = rest.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("boundary")
            .then(|| value.trim().trim_matches('"'))
    })?;
    (!boundary.is_empty()).then_some(boundary)
}

fn multipart(text: &str, boundary: &str) -> Value {
    let mut object = Map::new();
    for part in text.split(&format!("--{boundary}")) {
        let Some((head, content)) = part
            .split_once("\r\n\r\n")
            .or_else(|| part.split_once("\n\n"))
        else {
            continue;
        };
        let name = head
            .split("name=\"")
            .nth(1)
            .and_then(|s| s.split('"').next());
        if let Some(name) = name {
            object
                .entry(name.to_owned())
                .or_insert_with(|| content.trim_end_matches(['\r', '\n']).into());
        }
    }
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_brackets_outside_of_strings() {
        for (text, depth) in [
            ("", 0),
            ("[{}]", 2),
            (r#"{"a":"[[[[","b":[1]}"#, 2),
            (r#"{"a\"[":"\\","b":[[1]]}"#, 3),
            (r#"["never ended [["#, 1),
            (r#"["ends in \"#, 1),
            ("]]][[", 2),
        ] {
            assert_eq!(json_depth(text.as_bytes()), depth, "{text}");
        }
    }
    use serde_json::json;

    fn value(text: &str) -> (Kind, Value) {
        let body = parse(text).unwrap();
        (body.kind, body.value)
    }

    #[test]
    fn the_kind_is_sniffed() {
        assert_eq!(value("{\"a\":1}").0, Kind::Json);
        assert_eq!(
            value("a=1&b=x%20y"),
            (Kind::Form, json!({"a":"1","b":"x y"}))
        );
        assert_eq!(
            value("A=1\nB=x\\ny\n"),
            (Kind::Env, json!({"A":"1","B":"x\ny"}))
        );
        assert_eq!(value("disk = full").0, Kind::Text);
        assert_eq!(
            value("<a x=\"1\"><b>t</b><b>u</b></a>").1,
            json!({"a":{"@x":"1","b":["t","u"]}})
        );
        assert_eq!(value("{\"a\":1}\n{\"a\":2}").1, json!([{"a":1},{"a":2}]));
    }

    #[test]
    fn broken_json_is_repaired_or_kept_as_text() {
        assert_eq!(value("{\"a\":\"x\ny\"}").1, json!({"a":"x\ny"}));
        assert_eq!(value("{\"a\":\"C:\\data\"}").1, json!({"a":"C:\\data"}));
        assert_eq!(
            value("{\"a\":\"say \"hi\" now\"}").1,
            json!({"a":"say \"hi\" now"})
        );
        assert_eq!(value("{\"a\":").0, Kind::Text);
    }

    #[test]
    fn deep_nesting_is_refused() {
        let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
        assert!(parse(&deep).is_err());
        let xml = format!("{}{}", "<a>".repeat(100), "</a>".repeat(100));
        assert!(parse(&xml).is_err());
    }

    #[test]
    fn multipart_forms_are_read() {
        let text = "--X\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n{\"a\":1}\r\n--X--";
        assert_eq!(multipart(text, "X"), json!({"data":"{\"a\":1}"}));
    }
}
