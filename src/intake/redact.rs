//! Masks secrets before anything is stored: passwords, tokens, keys, SNMP communities.
//!
//! Texts and labels of events and the bytes as received go through it. Identities do not, for
//! masking them would make two problems one. Invariant: what is masked cannot be read back, and
//! what holds no secret stays byte for byte.

use crate::formats::Decoded;
use crate::model::Event;
use aho_corasick::packed::Searcher;
use regex::Regex;
use regex::bytes::Regex as BytesRegex;
use std::borrow::Cow;

/// What stands where a secret was.
pub const MASK: &str = "[masked]";

/// Words whose value is a secret, in `word: value`, `word=value` and JSON form.
const NAMED: &str = r#"(?i)(?P<keep>\b(?:[a-z0-9]+[_.-])*(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|apikey|access[_-]?key|private[_-]?key|auth[_-]?key|routing[_-]?key|sharedsecret|client[_-]?secret|community)\\?["']?\s*[:=]\s*(?:\\?["'])?)(?P<hide>[^\s"'\\,;&<>}\]]+)"#;
/// `Authorization: Scheme VALUE`.
const AUTHORIZATION: &str =
    r#"(?i)(?P<keep>\b(?:bearer|basic|geniekey)\s+)(?P<hide>[A-Za-z0-9+/=_.~-]{8,})"#;
/// `https://user:password@host`.
const USERINFO: &str = r#"(?P<keep>://[^\s/:@"']+:)(?P<hide>[^\s/@"']+)(?P<rest>@)"#;
/// `snmp-server community VALUE`, `snmpget -c VALUE`.
const SNMP: &str = r#"(?i)(?P<keep>\bsnmp(?:-server\s+community|(?:get|walk|bulkwalk|getnext|trap)\b[^\n"]*?\s-c)\s+)(?P<hide>[^\s"'\\]+)"#;
/// A PEM private key, also with its line ends escaped.
const PEM: &str = r"(?s)(?P<keep>-----BEGIN [A-Z ]*PRIVATE KEY-----)(?P<hide>.+?)(?P<rest>-----END [A-Z ]*PRIVATE KEY-----)";

/// A label of such a name has a secret for a value.
const LABEL: &str = r"(?i)^(?:.*[_.-])?(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|private[_-]?key|community)$";

/// Words without which no pattern of ours matches, but for passwords in addresses. In small letters.
const WORDS: [&str; 23] = [
    "passw",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "community",
    "bearer",
    "basic",
    "snmp",
    "apikey",
    "api_key",
    "api-key",
    "access",
    "privatekey",
    "private_key",
    "private-key",
    "private key",
    "authkey",
    "auth_key",
    "auth-key",
    "routing",
    "geniekey",
    "genie_key",
];

/// `None`, where the processor has no wide registers: the patterns look by themselves then.
fn suspicious_words() -> Option<Searcher> {
    Searcher::new(WORDS)
}

/// The compiled patterns.
#[derive(Debug)]
pub struct Redactor {
    texts: Vec<Regex>,
    bytes: Vec<BytesRegex>,
    any_text: Regex,
    any_bytes: BytesRegex,
    label: Regex,
    has_own: bool,
    words: Option<Searcher>,
}

impl Redactor {
    /// The built-in patterns and the operator's own (the whole match is masked). Fails with the
    /// pattern that is no regular expression.
    pub fn new(own: &[String]) -> Result<Redactor, regex::Error> {
        let mut patterns: Vec<String> = [NAMED, AUTHORIZATION, USERINFO, SNMP, PEM]
            .iter()
            .map(|pattern| (*pattern).to_owned())
            .collect();
        for pattern in own {
            Regex::new(pattern)?;
            patterns.push(format!("(?P<hide>{pattern})"));
        }
        // A cheap first look: most messages hold none of these words.
        let mut first: Vec<String> = vec![
            r"(?i)passw|passphrase|pwd|secret|token|(?:api|access|private|auth|routing|genie)[_-]?key|community|bearer|basic|snmp".to_owned(),
            r"://[^\s/]*@|PRIVATE KEY".to_owned(),
        ];
        first.extend(own.iter().cloned());
        let any = first
            .iter()
            .map(|pattern| format!("(?:{pattern})"))
            .collect::<Vec<_>>()
            .join("|");
        Ok(Redactor {
            texts: patterns
                .iter()
                .map(|p| Regex::new(p))
                .collect::<Result<_, _>>()?,
            bytes: patterns
                .iter()
                .map(|p| BytesRegex::new(&format!("(?-u){p}")))
                .collect::<Result<_, _>>()?,
            any_text: Regex::new(&any)?,
            any_bytes: BytesRegex::new(&any)?,
            label: Regex::new(LABEL)?,
            has_own: !own.is_empty(),
            words: suspicious_words(),
        })
    }

    /// The text with secrets masked.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if !self.any_text.is_match(text) {
            return Cow::Borrowed(text);
        }
        let mut masked = Cow::Borrowed(text);
        for pattern in &self.texts {
            let replaced = pattern.replace_all(&masked, format!("${{keep}}{MASK}${{rest}}"));
            if let Cow::Owned(replaced) = replaced {
                masked = Cow::Owned(replaced);
            }
        }
        masked
    }

    /// Whether neither the bytes of a request nor what is decoded from them can hold a secret: JSON
    /// without escapes says what it says. One look at the bytes spares one at each text.
    pub fn is_clean(&self, dump: &[u8]) -> bool {
        let body = dump.windows(4).position(|four| four == b"\r\n\r\n");
        let first = body.and_then(|end| dump.get(end + 4));
        !self.has_own
            && matches!(first, Some(b'[' | b'{'))
            && !dump.contains(&b'\\')
            && self.words.as_ref().is_some_and(|words| {
                // A copy in small letters and one search cost less than a search in any letters.
                words.find(dump.to_ascii_lowercase()).is_none()
            })
            // Only an address with a password is none of the words.
            && (!dump.contains(&b'@') || !self.any_bytes.is_match(dump))
    }

    /// The bytes with secrets masked.
    pub fn raw(&self, raw: Vec<u8>) -> Vec<u8> {
        if !self.any_bytes.is_match(&raw) {
            return raw;
        }
        let replacement = format!("${{keep}}{MASK}${{rest}}");
        let mut masked = raw;
        for pattern in &self.bytes {
            if let Cow::Owned(replaced) = pattern.replace_all(&masked, replacement.as_bytes()) {
                masked = replaced;
            }
        }
        masked
    }

    /// Masks a decoded message in place.
    pub fn decoded(&self, decoded: &mut Decoded) {
        for event in &mut decoded.events {
            self.event(event);
        }
        for problem in &mut decoded.problems {
            self.in_place(problem);
        }
        for reply in &mut decoded.replies {
            self.in_place(&mut reply.subject);
            self.in_place(&mut reply.text);
        }
        for notice in &mut decoded.maintenance {
            self.in_place(&mut notice.summary);
        }
    }

    fn event(&self, event: &mut Event) {
        self.in_place(&mut event.summary);
        self.in_place(&mut event.details);
        for (name, value) in &mut event.labels {
            if self.label.is_match(name) {
                *value = MASK.to_owned();
            } else {
                self.in_place(value);
            }
        }
        for text in event.links.iter_mut().chain(&mut event.problems) {
            self.in_place(text);
        }
    }

    fn in_place(&self, text: &mut String) {
        if let Cow::Owned(masked) = self.text(text) {
            *text = masked;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EventState, Identity};

    #[test]
    fn only_plain_json_without_a_suspicious_word_is_clean() {
        let redactor = Redactor::new(&[]).unwrap();
        let clean =
            |body: &str| redactor.is_clean(format!("POST / HTTP/1.1\r\n\r\n{body}").as_bytes());
        assert!(clean(
            r#"[{"labels":{"host":"a"},"key":"https://x.example.net/?a=b"}]"#
        ));
        for suspect in [
            r#"[{"a":"password=x"}]"#,
            r#"[{"a":"p\u0061ssword=x"}]"#,
            r#"{"a":"https:\/\/user:pw@host"}"#,
            r#"{"a":"https://user:pw@host"}"#,
            "p%61ssword=x",
            "",
        ] {
            assert!(!clean(suspect), "{suspect}");
        }
        let own = Redactor::new(&["^x$".to_owned()]).unwrap();
        assert!(!own.is_clean(b"POST / HTTP/1.1\r\n\r\n[]"));
    }

    fn masked(text: &str) -> String {
        let redactor = Redactor::new(&[]).unwrap();
        let by_text = redactor.text(text).into_owned();
        let by_bytes = redactor.raw(text.as_bytes().to_vec());
        assert_eq!(by_text.as_bytes(), by_bytes, "texts and bytes differ");
        by_text
    }

    #[test]
    fn secrets_are_masked() {
        for (text, expected) in [
            (
                "login failed password=hunter2 for root",
                "login failed password=[masked] for root",
            ),
            (
                r#"{"api_key": "abc123", "a": 1}"#,
                r#"{"api_key": "[masked]", "a": 1}"#,
            ),
            (
                r#"{"body":"{\"token\":\"abc\"}"}"#,
                r#"{"body":"{\"token\":\"[masked]\"}"}"#,
            ),
            ("db_password: x1 y", "db_password: [masked] y"),
            (
                "Authorization: Bearer abcdefgh12",
                "Authorization: Bearer [masked]",
            ),
            (
                "see https://bob:pw1@nms/x",
                "see https://bob:[masked]@nms/x",
            ),
            (
                "snmp-server community s3cr RO",
                "snmp-server community [masked] RO",
            ),
            (
                "snmpwalk -v2c -c s3cr 10.0.0.1",
                "snmpwalk -v2c -c [masked] 10.0.0.1",
            ),
            ("community=public", "community=[masked]"),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----.",
                "-----BEGIN RSA PRIVATE KEY-----[masked]-----END RSA PRIVATE KEY-----.",
            ),
        ] {
            assert_eq!(masked(text), expected);
        }
    }

    #[test]
    fn plain_text_stays_as_it_is() {
        for text in [
            "Interface Gi0/1 down on sw1",
            "password expired for user bob",
            "key exchange failed: no token ring",
            "https://nms.example/a?b=c@d",
            "größe ::::",
        ] {
            assert_eq!(masked(text), text);
        }
    }

    #[test]
    fn labels_are_masked_by_name_and_the_identity_stays() {
        let redactor = Redactor::new(&["card-[0-9]+".to_owned()]).unwrap();
        let identity = Identity::key("token=1").unwrap();
        let mut event = Event::new(EventState::Firing, identity.clone(), "card-77 seen");
        event.labels.insert("snmp_community".into(), "abc".into());
        event.labels.insert("port".into(), "7".into());
        let mut decoded = Decoded {
            events: vec![event],
            ..Decoded::default()
        };
        redactor.decoded(&mut decoded);
        let event = &decoded.events[0];
        assert_eq!(event.labels["snmp_community"], MASK);
        assert_eq!(event.labels["port"], "7");
        assert_eq!(event.summary, "[masked] seen");
        assert_eq!(event.identity, identity);
        assert!(Redactor::new(&["(".to_owned()]).is_err());
    }
}
