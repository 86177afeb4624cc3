//! Text on its way to a tracker: bounds on character boundaries, and words of alerts that a tracker
//! would take for its own. Pure. What is cut shows a mark; what is defused reads the same.

use crate::model::text::{CUT_MARK, bounded, one_line};

/// At most `chars_max` characters, with [`CUT_MARK`] at the end if something was cut.
pub fn bounded_chars(text: &str, chars_max: usize) -> String {
    if text.chars().count() <= chars_max {
        return text.to_owned();
    }
    let kept = chars_max.saturating_sub(CUT_MARK.chars().count());
    let mut cut: String = text.chars().take(kept).collect();
    cut.push_str(CUT_MARK);
    cut
}

/// Without NUL and other controls that trackers refuse or choke on; line ends and tabs stay.
pub fn plain(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control() || matches!(c, '\n' | '\t'))
        .collect()
}

/// The last line that is not empty: where keys and markers stand.
pub fn last_line(text: &str) -> &str {
    text.lines()
        .map(str::trim)
        .rfind(|line| !line.is_empty())
        .unwrap_or_default()
}

/// `#7` becomes `# 7`: a number sign before a digit files mails under strangers' tickets
/// (`[pool #1]`, `Ticket#7`) or becomes a link.
pub fn without_ticket_tags(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    for c in text.chars() {
        if before == '#' && c.is_ascii_digit() {
            out.push(' ');
        }
        out.push(c);
        before = c;
    }
    out
}

/// A subject: one line, no tags of tickets, within `chars_max`, with `suffix` kept whole.
pub fn subject(text: &str, suffix: &str, chars_max: usize) -> String {
    let line = without_ticket_tags(&one_line(text));
    if suffix.is_empty() {
        return bounded_chars(&line, chars_max);
    }
    let room = chars_max.saturating_sub(suffix.chars().count() + 1);
    format!("{} {suffix}", bounded_chars(&line, room))
        .trim_start()
        .to_owned()
}

/// As [`subject`], bounded in bytes of UTF-8.
pub fn subject_bytes(text: &str, suffix: &str, bytes_max: usize) -> String {
    let line = without_ticket_tags(&one_line(text));
    if suffix.is_empty() {
        return bounded(&line, bytes_max);
    }
    let room = bytes_max.saturating_sub(suffix.len() + 1);
    format!("{} {suffix}", bounded(&line, room))
        .trim_start()
        .to_owned()
}

/// Text inside of a fence of back-quotes that no line of it can close (Markdown).
pub fn fenced(text: &str) -> String {
    let longest = text
        .split(|c| c != '`')
        .map(str::len)
        .max()
        .unwrap_or_default();
    let fence = "`".repeat((longest + 1).max(3));
    format!("{fence}text\n{text}\n{fence}")
}

/// Text for HTML: everything that could begin a tag or an entity is spelt out.
pub fn escaped_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

/// Plain text as a paragraph of HTML, with its line ends.
pub fn as_html(text: &str) -> String {
    let lines: Vec<String> = plain(text).lines().map(escaped_html).collect();
    format!("<p>{}</p>", lines.join("<br>\n"))
}

/// `{{x}}`, `{%x%}` and `##x##` with a blank inside: help desks fill such places in when they send
/// the text on.
pub fn without_placeholders(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    for c in text.chars() {
        if matches!((before, c), ('{', '{' | '%') | ('#', '#')) {
            out.push(' ');
        }
        out.push(c);
        before = c;
    }
    out
}

/// A word of markup with a blank behind its first character, in whatever case it is written.
pub fn broken_up(text: &str, word: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        out.push(c);
        let here = text.get(at..at + word.len());
        if here.is_some_and(|here| here.eq_ignore_ascii_case(word)) {
            out.push(' ');
        }
    }
    out
}

/// `@admin` becomes `@ admin`; addresses of mail stay.
pub fn without_mentions(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut before, mut mentions) = (' ', false);
    for c in text.chars() {
        let in_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if mentions && in_word(c) {
            out.push(' ');
        }
        mentions = c == '@' && !in_word(before);
        out.push(c);
        before = c;
    }
    out
}

/// A text with its marker behind it as HTML, with its placeholders defused.
pub fn marked_html(text: &str, marker: &str) -> String {
    as_html(&format!("{}\n\n{marker}", without_placeholders(text)))
}

/// The last word: where markers stand in texts that lost their line ends.
pub fn last_word(text: &str) -> &str {
    text.split_whitespace().next_back().unwrap_or_default()
}

/// Text of HTML for people: tags fall away, the common entities are read.
pub fn from_html(html: &str) -> String {
    let mut out = String::with_capacity(html.len());
    let mut in_tag = false;
    for c in html.chars() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => {
                in_tag = false;
                out.push(' ');
            }
            _ if !in_tag => out.push(c),
            _ => {}
        }
    }
    for (entity, character) in [
        ("&nbsp;", " "),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ] {
        out = out.replace(entity, character);
    }
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_subject_keeps_its_suffix_and_its_bound() {
        assert_eq!(subject("a\r\nb", "", 10), "a b");
        assert_eq!(subject("日本語日本語", "[k]", 8), "日本語… [k]");
        assert_eq!(subject("", "[k]", 8), "[k]");
    }

    #[test]
    fn tags_of_tickets_are_defused() {
        assert_eq!(
            without_ticket_tags("[web pool #1] Ticket#7 C# #x"),
            "[web pool # 1] Ticket# 7 C# #x"
        );
    }

    #[test]
    fn no_line_closes_the_fence() {
        assert!(fenced("a ```` b").starts_with("`````text\n"));
        assert!(fenced("a").starts_with("```text\n"));
    }

    #[test]
    fn placeholders_of_help_desks_are_not_filled_in() {
        assert_eq!(
            without_placeholders("{{ticket.id}} {%user%} ##x## {{{ a # b"),
            "{ {ticket.id}} { %user%} # #x# # { { { a # b"
        );
    }

    #[test]
    fn text_becomes_one_paragraph_and_its_marker_is_found() {
        let html = as_html("a <b>\n&\u{0}\n\nab-1-2");
        assert_eq!(html, "<p>a &lt;b&gt;<br>\n&amp;<br>\n<br>\nab-1-2</p>");
        assert_eq!(last_word(&from_html(&html)), "ab-1-2");
    }

    #[test]
    fn html_in_alerts_stays_text() {
        assert_eq!(
            escaped_html("<a href='x'>&"),
            "&lt;a href=&#39;x&#39;&gt;&amp;"
        );
        assert_eq!(from_html("<p>it&#39;s &lt;up&gt;</p>"), "it's <up>");
    }

    proptest! {
        #[test]
        fn subjects_never_exceed_their_bound(text in ".*", max in 10_usize..60) {
            let made = subject(&text, "[ab-1]", max);
            prop_assert!(made.chars().count() <= max);
            prop_assert!(made.ends_with("[ab-1]"));
            let made = subject_bytes(&text, "[ab-1]", max);
            prop_assert!(made.len() <= max);
            prop_assert!(made.ends_with("[ab-1]"));
        }

        #[test]
        fn fenced_text_has_one_fence(text in "[`a\n]{0,60}") {
            let made = fenced(&text);
            let fence = made.split("text").next().unwrap().to_owned();
            prop_assert_eq!(made.matches(fence.as_str()).count(), 2);
        }
    }

    #[test]
    fn words_of_markup_and_mentions_are_broken_up() {
        let text = broken_up("a {noformat} {NoFormat:x} 日{noforma", "{noformat");
        assert_eq!(text, "a { noformat} { NoFormat:x} 日{noforma");
        let text = without_mentions("@admin, root@x.example (@ops) é@bob @@eve a @ b");
        assert_eq!(text, "@ admin, root@x.example (@ ops) é@ bob @@ eve a @ b");
    }
}
