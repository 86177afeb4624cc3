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
    fn one_line_folds_blanks_and_controls() {
        assert_eq!(one_line(" a\r\n\tb\u{0}c  "), "a b c");
    }
}
