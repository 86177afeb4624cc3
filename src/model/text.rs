//! Bounded text. Cuts happen on character boundaries and leave a visible mark.

/// The mark that stands where text was cut.
pub const CUT_MARK: &str = "…";

/// The longest prefix of `text` of at most `bytes_max` bytes that ends on a character boundary.
pub fn prefix(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max {
        return text;
    }
    let mut end = bytes_max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or("")
}

/// `text` within `bytes_max` bytes, with [`CUT_MARK`] at the end if something was cut.
pub fn bounded(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let kept = prefix(text, bytes_max.saturating_sub(CUT_MARK.len()));
    format!("{kept}{CUT_MARK}")
}

/// The same for a text that need not be copied when nothing is cut.
pub fn into_bounded(text: String, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text;
    }
    bounded(&text, bytes_max)
}

/// [`one_line`] for a text that need not be copied when it is one already, as most are.
pub fn into_one_line(text: String) -> String {
    let bytes = text.as_bytes();
    // Without a way out in the middle, so that many bytes are looked at in one step.
    let printable = bytes
        .iter()
        .fold(true, |all, byte| all & (byte.wrapping_sub(b' ') < 0x5f));
    let plain = printable
        && bytes.first() != Some(&b' ')
        && bytes.last() != Some(&b' ')
        && memchr::memmem::find(bytes, b"  ").is_none();
    if plain {
        return text;
    }
    one_line(&text)
}

/// One line: control characters become blanks, runs of blanks become one, ends are trimmed.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if !word.is_empty() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    line
}

/// The innermost cause of an error: "Connection refused" says what to do, "error sending request"
/// does not.
pub fn innermost<'a>(error: &'a (dyn std::error::Error + 'static)) -> &'a dyn std::error::Error {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_on_a_character_boundary() {
        assert_eq!(prefix("größe", 3), "gr");
        assert_eq!(bounded("日本語日本語", 10), "日本…");
        assert_eq!(bounded("short", 10), "short");
    }

    #[test]
    fn what_is_one_line_already_is_not_copied_and_all_else_is_folded() {
        for text in [
            "",
            "a",
            "a b",
            " a",
            "a ",
            " ",
            "a  b",
            "a\nb",
            "größe  x",
            "a\u{0}b",
            "日 本",
        ] {
            assert_eq!(into_one_line(text.to_owned()), one_line(text), "{text:?}");
        }
    }

    #[test]
    fn one_line_folds_blanks_and_controls() {
        assert_eq!(one_line(" a\r\n\tb\u{0}c  "), "a b c");
    }
}
