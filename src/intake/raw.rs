//! A request as it is kept beside its journal row: an HTTP dump that people can read, that `try`
//! takes and that a replay decodes again. Headers that prove who speaks are left out.

use crate::formats::Request;
use crate::model::Time;

/// Headers that never reach the disk.
const SECRET_HEADERS: [&str; 5] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-api-key",
    "x-auth-token",
];

/// The dump of a request. `secret` says which further headers and query parameters carry a
/// secret.
pub fn dump(request: &Request, secret: &dyn Fn(&str) -> bool) -> Vec<u8> {
    let mut raw = Vec::with_capacity(request.body.len() + 256);
    raw.extend_from_slice(request.method.as_bytes());
    raw.push(b' ');
    raw.extend_from_slice(request.path.as_bytes());
    let mut separator = b'?';
    for pair in request.query.split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split_once('=').map_or(pair, |(name, _)| name);
        if !secret(name) {
            raw.push(separator);
            raw.extend_from_slice(pair.as_bytes());
            separator = b'&';
        }
    }
    raw.extend_from_slice(b" HTTP/1.1\r\n");
    for (name, value) in request.headers {
        if !SECRET_HEADERS.contains(&name.as_str()) && !secret(name) {
            raw.extend_from_slice(name.as_bytes());
            raw.extend_from_slice(b": ");
            raw.extend_from_slice(value.as_bytes());
            raw.extend_from_slice(b"\r\n");
        }
    }
    raw.extend_from_slice(b"\r\n");
    raw.extend_from_slice(request.body);
    raw
}

/// The dump with a secret of the body masked, as it is and as a form writes it.
pub fn without(raw: Vec<u8>, secret: &str) -> Vec<u8> {
    let written: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let mut clean = raw;
    for form in [secret, written.as_str()] {
        if form.is_empty() {
            continue;
        }
        let finder = memchr::memmem::Finder::new(form);
        let Some(mut found) = finder.find(&clean) else {
            continue;
        };
        let mut masked = Vec::with_capacity(clean.len());
        let mut rest = clean.as_slice();
        loop {
            masked.extend_from_slice(rest.get(..found).unwrap_or_default());
            masked.extend_from_slice(super::redact::MASK.as_bytes());
            rest = rest.get(found + form.len()..).unwrap_or_default();
            match finder.find(rest) {
                Some(next) => found = next,
                None => break,
            }
        }
        masked.extend_from_slice(rest);
        clean = masked;
    }
    clean
}

/// A dump, read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dump {
    /// The method.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The query without `?`.
    pub query: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Dump {
    /// Reads a dump; `None` if the bytes are none.
    pub fn read(raw: &[u8]) -> Option<Dump> {
        let end = raw.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = std::str::from_utf8(raw.get(..end)?).ok()?;
        let mut lines = head.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let (method, target) = (words.next()?, words.next()?);
        if !words.next()?.starts_with("HTTP/1") {
            return None;
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect::<Vec<(String, String)>>();
        let body = raw.get(end + 4..)?;
        let chunked = headers.iter().any(|(name, value)| {
            name == "transfer-encoding" && value.eq_ignore_ascii_case("chunked")
        });
        let body = chunked.then(|| dechunked(body)).flatten();
        let body = body.unwrap_or_else(|| raw.get(end + 4..).unwrap_or_default().to_vec());
        Some(Dump {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            headers,
            body,
        })
    }

    /// As the decoders take it.
    pub fn request(&self, received_at: Time) -> Request<'_> {
        Request {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: &self.headers,
            body: &self.body,
            received_at,
        }
    }
}

/// The body of a request that was recorded on the wire, without its chunk headers.
fn dechunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::with_capacity(rest.len());
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(rest.get(..end)?).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        let start = end.checked_add(2)?;
        if size == 0 {
            return Some(body);
        }
        let stop = start.checked_add(size)?;
        body.extend_from_slice(rest.get(start..stop)?);
        rest = rest.get(stop.checked_add(2)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_of_the_body_is_masked_wherever_it_stands() {
        let raw = b"{\"a\":\"p w\"}p+w&p wx".to_vec();
        assert_eq!(
            without(raw, "p w"),
            b"{\"a\":\"[masked]\"}[masked]&[masked]x"
        );
        assert_eq!(without(b"abc".to_vec(), ""), b"abc");
    }

    #[test]
    fn a_dump_is_read_back_without_its_secrets() {
        let headers = vec![
            ("authorization".to_owned(), "Bearer x".to_owned()),
            ("x-mine".to_owned(), "x".to_owned()),
            ("content-type".to_owned(), "a/b".to_owned()),
        ];
        let request = Request {
            method: "POST",
            path: "/hooks/a",
            query: "pass=1&b=2",
            headers: &headers,
            body: b"{}\r\n\r\n",
            received_at: Time(0),
        };
        let raw = dump(&request, &|name| ["pass", "x-mine"].contains(&name));
        let read = Dump::read(&raw).unwrap();
        assert_eq!(read.query, "b=2");
        assert_eq!(
            read.headers,
            [("content-type".to_owned(), "a/b".to_owned())]
        );
        assert_eq!(read.request(Time(0)).body, b"{}\r\n\r\n");
        let chunked = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        assert_eq!(Dump::read(chunked).unwrap().body, b"abcde");
        assert_eq!(Dump::read(b"From: a\r\n\r\nhello"), None);
    }
}
