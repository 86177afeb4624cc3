//! Bytes of a mail in whatever character set → text. Never an error: a label that is wrong or
//! unknown falls back along a fixed chain, and what cannot be read becomes U+FFFD.
//!
//! The chain: byte order mark, ISO-2022-JP escapes in seven-bit text, the declared set with its
//! usual mislabelling undone, strict UTF-8, Shift_JIS where the bytes mean nothing in
//! windows-1252, windows-1252.

use mail_parser::decoders::charsets::map::charset_decoder;

/// Bytes that windows-1252 leaves undefined and that are common in Shift_JIS.
const UNDEFINED_IN_1252: [u8; 5] = [0x81, 0x8D, 0x8F, 0x90, 0x9D];

/// The text of `bytes`, declared as `label`.
pub fn decode(bytes: &[u8], label: Option<&str>) -> String {
    if let Some(text) = by_mark(bytes).or_else(|| by_escapes(bytes)) {
        return text;
    }
    let name = label.map(normal_name).unwrap_or_default();
    if bytes.is_ascii() && !name.starts_with("utf16") && !name.starts_with("utf32") {
        return decode_ascii(bytes, &name);
    }
    match name.as_str() {
        // Labels that are often wrong: valid UTF-8 is no accident.
        "" | "usascii" | "ascii" | "iso88591" | "latin1" | "utf8" | "windows1252" | "utf7"
        | "unknown8bit" | "8bit" | "binary" => guess(bytes),
        _ => declared(bytes, &name, label.unwrap_or("")).unwrap_or_else(|| guess(bytes)),
    }
}

/// Seven-bit text: only ISO-2022 and HZ give such bytes another meaning. UTF-7 is left as it is,
/// since decoding it can make markup out of harmless text.
fn decode_ascii(bytes: &[u8], name: &str) -> String {
    if name.starts_with("iso2022")
        && let Some(text) = declared(bytes, name, name)
    {
        return text;
    }
    String::from_utf8_lossy(bytes).into_owned()
}

fn by_mark(bytes: &[u8]) -> Option<String> {
    let with = |label: &str, rest: &[u8]| charset_decoder(label.as_bytes()).map(|d| d(rest));
    match bytes {
        [0xEF, 0xBB, 0xBF, rest @ ..] => Some(String::from_utf8_lossy(rest).into_owned()),
        [0xFF, 0xFE, rest @ ..] => with("utf-16le", rest),
        [0xFE, 0xFF, rest @ ..] => with("utf-16be", rest),
        _ => None,
    }
}

/// Seven-bit text that switches to Japanese by an escape sequence.
fn by_escapes(bytes: &[u8]) -> Option<String> {
    const ESCAPES: [&[u8]; 4] = [b"\x1b$B", b"\x1b$@", b"\x1b(J", b"\x1b(I"];
    let found = bytes.is_ascii()
        && ESCAPES
            .iter()
            .any(|escape| bytes.windows(escape.len()).any(|window| window == *escape));
    if found {
        let decode = charset_decoder(b"iso-2022-jp")?;
        Some(decode(bytes))
    } else {
        None
    }
}

/// The label without quotes, blanks, hyphens and case: `"ISO-8859-1"` → `iso88591`.
fn normal_name(label: &str) -> String {
    let label = label.split(['$', ';', '\u{1b}']).next().unwrap_or("");
    label
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .take(40)
        .collect()
}

/// The name under which the library knows a set; supersets stand for what they contain.
fn library_name(name: &str) -> &str {
    match name {
        "gb2312" | "gbk" | "xgbk" | "cp936" | "936" | "windows936" | "euccn" | "gb18030"
        | "hzgb2312" => "gb18030",
        "ksc56011987" | "ksc5601" | "euckr" | "windows949" | "cp949" | "949" | "uhc" => "euc-kr",
        "shiftjis" | "sjis" | "xsjis" | "mskanji" | "windows31j" | "cp932" | "932" | "ms932" => {
            "shift_jis"
        }
        "big5" | "big5hkscs" | "cp950" | "950" => "big5",
        "iso2022jp" | "iso2022jpms" | "iso2022jp1" | "iso2022jp2" | "cp50220" | "cp50221" => {
            "iso-2022-jp"
        }
        "eucjp" | "xeucjp" | "eucjpms" => "euc-jp",
        "utf16" | "utf16le" => "utf-16le",
        "utf16be" => "utf-16be",
        "koi8r" | "koi8" => "koi8-r",
        "koi8u" => "koi8-u",
        "iso885915" | "latin9" => "iso-8859-15",
        "iso88592" | "latin2" => "iso-8859-2",
        "iso88595" => "iso-8859-5",
        "iso88597" => "iso-8859-7",
        "iso88598" => "iso-8859-8",
        "iso88599" => "windows-1254",
        "1250" | "cp1250" | "windows1250" => "windows-1250",
        "1251" | "cp1251" | "windows1251" => "windows-1251",
        "1253" | "cp1253" | "windows1253" => "windows-1253",
        "1254" | "cp1254" | "windows1254" => "windows-1254",
        "1255" | "cp1255" | "windows1255" => "windows-1255",
        "1256" | "cp1256" | "windows1256" => "windows-1256",
        "1257" | "cp1257" | "windows1257" => "windows-1257",
        "1258" | "cp1258" | "windows1258" => "windows-1258",
        "1252" | "cp1252" => "windows-1252",
        other => other,
    }
}

/// By the declared set; `None` if it is not known or the bytes do not fit it. The library knows some
/// sets by their labels as written alone.
fn declared(bytes: &[u8], name: &str, label: &str) -> Option<String> {
    let decode = charset_decoder(library_name(name).as_bytes())
        .or_else(|| charset_decoder(label.trim().as_bytes()))?;
    let text = decode(bytes);
    let bad = text
        .chars()
        .filter(|c| *c == char::REPLACEMENT_CHARACTER)
        .count();
    // A cut or garbled character in a long text does not prove the label wrong.
    (bad == 0 || bad * 50 < text.chars().count()).then_some(text)
}

fn guess(bytes: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.to_owned();
    }
    if let Some(text) = mostly_utf8(bytes) {
        return text;
    }
    if bytes.iter().any(|byte| UNDEFINED_IN_1252.contains(byte))
        && let Some(decode) = charset_decoder(b"shift_jis")
    {
        let text = decode(bytes);
        let japanese = text.chars().filter(|c| is_japanese(*c)).count();
        if !text.contains(char::REPLACEMENT_CHARACTER) && japanese >= 2 {
            return text;
        }
    }
    match charset_decoder(b"windows-1252") {
        Some(decode) => decode(bytes),
        None => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// UTF-8 with a few broken bytes, as when a text was cut inside a character.
fn mostly_utf8(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let bad = text
        .chars()
        .filter(|c| *c == char::REPLACEMENT_CHARACTER)
        .count();
    let good = text
        .chars()
        .filter(|c| !c.is_ascii())
        .count()
        .saturating_sub(bad);
    (good > bad * 4).then(|| text.into_owned())
}

fn is_japanese(c: char) -> bool {
    matches!(c, '\u{3040}'..='\u{30FF}' | '\u{4E00}'..='\u{9FFF}')
}

/// The set that an HTML text declares in its first kilobyte.
pub fn of_html(bytes: &[u8]) -> Option<String> {
    let start = bytes.get(..bytes.len().min(1024))?;
    let text = String::from_utf8_lossy(start).to_ascii_lowercase();
    let (_, rest) = text.split_once("charset=")?;
    let name: String = rest
        .trim_start_matches(['"', '\''])
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || "-_.:".contains(*c))
        .collect();
    (!name.is_empty()).then_some(name)
}

#[cfg(test)]
mod sets;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_and_missing_labels_are_read() {
        assert_eq!(decode(b"caf\x92", Some("iso-8859-1")), "caf\u{2019}");
        assert_eq!(decode("Zürich".as_bytes(), Some("us-ascii")), "Zürich");
        assert_eq!(decode(b"Z\xFCrich", Some("1252")), "Zürich");
        assert_eq!(decode(b"Z\xFCrich", Some("x-unknown")), "Zürich");
        assert_eq!(decode(b"\x1b$B>c32\x1b(B", None), "障害");
        assert_eq!(decode(b"\x8f\xe1\x8a\x51", Some("iso-8859-1")), "障害");
        assert_eq!(decode(b"+ADw-b+AD4-", Some("utf-7")), "+ADw-b+AD4-");
        assert_eq!(decode(b"\xFF\xFEO\0K\0", None), "OK");
    }

    #[test]
    fn html_declares_its_own_set() {
        let html = br#"<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">"#;
        assert_eq!(of_html(html).as_deref(), Some("koi8-r"));
    }
}
