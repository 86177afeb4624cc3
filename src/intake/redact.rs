//! Masks secrets before anything is stored: passwords, tokens, keys, SNMP communities.
//!
//! Texts and labels of events and the bytes as received go through it. Identities do not, for
//! masking them would make two problems one. Invariant: what is masked cannot be read back, and
//! what holds no secret stays byte for byte.

use crate::formats::Decoded;
use crate::limits;
use crate::model::Event;
use aho_corasick::packed::Searcher;
use regex::bytes::{Regex as BytesRegex, RegexBuilder as BytesRegexBuilder};
use regex::{Regex, RegexBuilder};
use serde::Deserialize;
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
    /// How many of the patterns are built in; they come first.
    built_in: usize,
    texts: Vec<Regex>,
    bytes: Vec<BytesRegex>,
    any_text: Regex,
    any_bytes: BytesRegex,
    label: Regex,
    words: Option<Searcher>,
}

/// `[[redact]]`: what of an operator's own is masked as well.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnPattern {
    /// Its name, for messages.
    pub name: String,
    /// A regular expression; all of what it matches is masked.
    pub pattern: String,
    /// A text in which it has to match: a pattern that masks nothing is no help.
    pub example: String,
}

impl OwnPattern {
    /// What is wrong with it, as a sentence; `None`: nothing.
    fn problem(&self) -> Option<String> {
        let most = limits::REDACT_PATTERN_BYTES_MAX;
        if self.pattern.len() > most {
            return Some(format!("it has more than {most} bytes"));
        }
        let compiled = match bounded(&self.pattern).build() {
            Ok(compiled) => compiled,
            Err(regex::Error::CompiledTooBig(most)) => {
                return Some(format!(
                    "it would take more than {most} bytes of memory; repeat less"
                ));
            }
            Err(error) => return Some(format!("it is no regular expression: {error}")),
        };
        let named = |name: &str| compiled.capture_names().any(|known| known == Some(name));
        if ["keep", "hide", "rest"].into_iter().any(named) {
            return Some("groups named keep, hide and rest are the bridge's own".to_owned());
        }
        if compiled.is_match("") {
            return Some("it matches where nothing stands".to_owned());
        }
        if !compiled.is_match(&self.example) {
            return Some("it does not match its example".to_owned());
        }
        None
    }
}

/// A pattern of an operator, which may ask for much.
fn bounded(pattern: &str) -> RegexBuilder {
    let mut builder = RegexBuilder::new(pattern);
    builder
        .size_limit(limits::REDACT_COMPILED_BYTES_MAX)
        .dfa_size_limit(limits::REDACT_COMPILED_BYTES_MAX)
        .nest_limit(limits::REDACT_NESTING_MAX);
    builder
}

impl Redactor {
    /// The built-in patterns and the operator's own. Fails with a sentence for each of these that
    /// is wrong.
    pub fn new(own: &[OwnPattern]) -> Result<Redactor, Vec<String>> {
        let most = limits::REDACT_PATTERNS_MAX;
        if own.len() > most {
            return Err(vec![format!("at most {most} patterns are taken")]);
        }
        let wrong: Vec<String> = own
            .iter()
            .filter_map(|own| Some(format!("`{}`: {}", own.name, own.problem()?)))
            .collect();
        if !wrong.is_empty() {
            return Err(wrong);
        }
        Redactor::compile(own).map_err(|error| vec![error.to_string()])
    }

    fn compile(own: &[OwnPattern]) -> Result<Redactor, regex::Error> {
        let built_in = [NAMED, AUTHORIZATION, USERINFO, SNMP, PEM];
        let mut texts = Vec::new();
        let mut bytes = Vec::new();
        for pattern in built_in {
            texts.push(Regex::new(pattern)?);
            bytes.push(BytesRegex::new(&format!("(?-u){pattern}"))?);
        }
        for own in own {
            // In a group of its own, so that its flags end with it.
            let pattern = format!("(?P<hide>(?:{}))", own.pattern);
            texts.push(bounded(&pattern).build()?);
            bytes.push(
                BytesRegexBuilder::new(&pattern)
                    .size_limit(limits::REDACT_COMPILED_BYTES_MAX)
                    .dfa_size_limit(limits::REDACT_COMPILED_BYTES_MAX)
                    .build()?,
            );
        }
        // A cheap first look: most messages hold none of these words.
        let any = [
            r"(?i)passw|passphrase|pwd|secret|token|(?:api|access|private|auth|routing|genie)[_-]?key|community|bearer|basic|snmp",
            r"://[^\s/]*@|PRIVATE KEY",
        ]
        .map(|pattern| format!("(?:{pattern})"))
        .join("|");
        Ok(Redactor {
            built_in: built_in.len(),
            texts,
            bytes,
            any_text: Regex::new(&any)?,
            any_bytes: BytesRegex::new(&any)?,
            label: Regex::new(LABEL)?,
            words: suspicious_words(),
        })
    }

    fn has_own(&self) -> bool {
        self.texts.len() > self.built_in
    }

    /// The text with secrets masked.
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        // The operator's own are each asked: what they look for is not known beforehand.
        let first = match self.any_text.is_match(text) {
            true => 0,
            false => self.built_in,
        };
        let mut masked = Cow::Borrowed(text);
        for pattern in self.texts.iter().skip(first) {
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
        !self.has_own()
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
        let first = match self.any_bytes.is_match(&raw) {
            true => 0,
            false => self.built_in,
        };
        let replacement = format!("${{keep}}{MASK}${{rest}}");
        let mut masked = raw;
        for pattern in self.bytes.iter().skip(first) {
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
        let own = Redactor::new(&[own("^x$", "x")]).unwrap();
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
        let redactor = Redactor::new(&[own("card-[0-9]+", "card-1")]).unwrap();
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
    }

    fn own(pattern: &str, example: &str) -> OwnPattern {
        OwnPattern {
            name: "pins".to_owned(),
            pattern: pattern.to_owned(),
            example: example.to_owned(),
        }
    }

    #[test]
    fn own_patterns_are_masked_in_texts_and_bytes_beside_the_built_in_ones() {
        let own = [
            own(r"(?i)pin:? \d{4}", "PIN 1234"),
            own("größe-\\w+", "größe-x"),
        ];
        let redactor = Redactor::new(&own).unwrap();
        let text = "pin 4711, größe-ü and password=x";
        let masked = "[masked], [masked] and password=[masked]";
        assert_eq!(redactor.text(text), masked);
        assert_eq!(redactor.raw(text.as_bytes().to_vec()), masked.as_bytes());
        assert_eq!(redactor.text("PIN 12"), "PIN 12");
        let broken = b"\xff pin 4711 \xfe".to_vec();
        assert_eq!(redactor.raw(broken), b"\xff [masked] \xfe");
    }

    #[test]
    fn own_patterns_that_are_wrong_are_told_by_name() {
        let told = |pattern: &str, example: &str| {
            let wrong = Redactor::new(&[own(pattern, example)]).unwrap_err();
            assert!(wrong[0].starts_with("`pins`: "), "{wrong:?}");
            wrong.join("; ")
        };
        assert!(told("(", "x").contains("no regular expression"));
        assert!(told("x*", "x").contains("matches where nothing stands"));
        assert!(told("x+", "y").contains("does not match its example"));
        assert!(told("(?P<keep>x)", "x").contains("the bridge's own"));
        assert!(told(r"(\w{100}){100}", "x").contains("of memory"));
        assert!(told(&"x".repeat(2000), "x").contains("more than 1000 bytes"));
        let many = vec![own("x", "x"); 200];
        assert!(Redactor::new(&many).unwrap_err()[0].contains("at most"));
    }
}
