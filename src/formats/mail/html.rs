//! HTML → text by a streaming tokenizer without a tree: cells are separated by tabs, rows and
//! blocks by newlines; what is not shown (style, script, head, hidden and struck-out text) is left
//! out. Linear in the input; output and nesting are capped.

use crate::limits::MAIL_TEXT_BYTES_MAX;
use mail_parser::decoders::html::add_html_token;

/// Most links that are kept.
const LINKS_MAX: usize = 200;
/// Deepest nesting of tables whose rows are told apart.
const TABLES_MAX: usize = 64;
/// Longest tag with quoted values that is read as one, characters.
const TAG_CHARS_MAX: usize = 64 * 1024;
/// Longest entity, characters, with `&` and `;`.
const ENTITY_CHARS_MAX: usize = 33;

/// The text of an HTML body, and its links in order.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// Lines; cells of a row are separated by tabs.
    pub text: String,
    /// Targets of `a` elements.
    pub links: Vec<String>,
}

/// What of an HTML text people see.
pub fn shown(html: &str) -> Shown {
    let mut writer = Writer::default();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        if writer.out.len() > MAIL_TEXT_BYTES_MAX {
            return writer.finish();
        }
        writer.text(rest.get(..at).unwrap_or(""));
        let after = rest.get(at + 1..).unwrap_or("");
        rest = if let Some(comment) = after.strip_prefix("!--") {
            comment.split_once("-->").map_or("", |(_, rest)| rest)
        } else if after.starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c)) {
            let (tag, rest) = tag_end(after);
            writer.tag(tag, rest)
        } else {
            writer.text("<");
            after
        };
    }
    writer.text(rest);
    writer.finish()
}

/// Whether a text is HTML although it says that it is not.
pub fn looks_like_html(text: &str) -> bool {
    let start = text.trim_start_matches(['\u{feff}', ' ', '\r', '\n', '\t']);
    let start: String = start
        .chars()
        .take(200)
        .collect::<String>()
        .to_ascii_lowercase();
    start.starts_with("<!doctype html")
        || start.starts_with("<html")
        || (start.starts_with('<')
            && ["<body", "<table", "<div", "<p>", "<br", "<span"]
                .iter()
                .any(|tag| start.contains(tag)))
}

/// Splits at the `>` that ends a tag; quoted attribute values may hold one.
fn tag_end(text: &str) -> (&str, &str) {
    let mut quote: Option<char> = None;
    for (at, c) in text.char_indices().take(TAG_CHARS_MAX) {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '>' => {
                return (
                    text.get(..at).unwrap_or(""),
                    text.get(at + 1..).unwrap_or(""),
                );
            }
            None if c == '"' || c == '\'' => quote = Some(c),
            None => {}
        }
    }
    // A quote that never closes: the tag ends at the first `>`.
    text.split_once('>').unwrap_or((text, ""))
}

#[derive(Default)]
struct Writer {
    out: String,
    links: Vec<String>,
    /// A blank is due before the next word.
    blank: bool,
    /// Cells written in the current row, for each open table.
    tables: Vec<usize>,
    /// Element whose content is not shown, and how often it is open.
    hidden: Option<(String, usize)>,
    preformatted: bool,
}

impl Writer {
    fn text(&mut self, text: &str) {
        if self.hidden.is_some() || text.is_empty() {
            return;
        }
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('&') {
            self.plain(before);
            let end = after
                .char_indices()
                .take(ENTITY_CHARS_MAX)
                .find(|(_, c)| !c.is_ascii_alphanumeric() && *c != '#');
            rest = match end {
                Some((at, ';')) if at > 0 => {
                    let entity = format!("&{};", after.get(..at).unwrap_or(""));
                    let mut decoded = String::new();
                    add_html_token(&mut decoded, entity.as_bytes(), false);
                    self.plain(&decoded);
                    after.get(at + 1..).unwrap_or("")
                }
                _ => {
                    self.plain("&");
                    after
                }
            };
        }
        self.plain(rest);
    }

    fn plain(&mut self, text: &str) {
        for c in text.chars() {
            if self.preformatted && c == '\n' {
                self.out.push('\n');
                self.blank = false;
            } else if c.is_whitespace() || c == '\u{a0}' {
                self.blank = true;
            } else {
                if self.blank && !self.out.is_empty() && !self.out.ends_with(['\n', '\t', ' ']) {
                    self.out.push(' ');
                }
                self.blank = false;
                self.out.push(c);
            }
        }
    }

    fn newline(&mut self) {
        self.blank = false;
        if !self.out.is_empty() && !self.out.ends_with('\n') {
            self.out.push('\n');
        }
    }

    /// Acts on a tag and returns the text after it.
    fn tag<'a>(&mut self, tag: &str, rest: &'a str) -> &'a str {
        let closing = tag.starts_with('/');
        let name: String = tag
            .trim_start_matches('/')
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .take(16)
            .collect::<String>()
            .to_ascii_lowercase();
        if let Some((hidden, open)) = &mut self.hidden {
            if name == *hidden && !tag.ends_with('/') {
                *open = if closing {
                    open.saturating_sub(1)
                } else {
                    *open + 1
                };
                if *open == 0 {
                    self.hidden = None;
                }
            } else if name == "body" && hidden == "head" {
                // A head that was never closed.
                self.hidden = None;
            }
            return rest;
        }
        if matches!(name.as_str(), "style" | "script") && !closing {
            return raw_end(rest, &name);
        }
        if !closing && is_hidden(&name, tag) {
            self.hidden = Some((name, 1));
            return rest;
        }
        self.layout(&name, closing);
        if name == "a" && !closing {
            self.link(tag);
        }
        rest
    }

    fn layout(&mut self, name: &str, closing: bool) {
        match name {
            "br" | "hr" => {
                self.blank = false;
                self.out.push('\n');
            }
            "table" => {
                self.newline();
                if closing {
                    self.tables.pop();
                } else if self.tables.len() < TABLES_MAX {
                    self.tables.push(0);
                }
            }
            "tr" => {
                self.newline();
                if let Some(cells) = self.tables.last_mut() {
                    *cells = 0;
                }
            }
            "td" | "th" if !closing => {
                let first = self.tables.last_mut().is_none_or(|cells| {
                    *cells += 1;
                    *cells == 1
                });
                if !first {
                    self.blank = false;
                    if self.out.ends_with('\n') {
                        self.out.pop();
                    }
                    self.out.push('\t');
                }
            }
            "pre" => {
                self.newline();
                self.preformatted = !closing;
            }
            "p" | "div" | "li" | "ul" | "ol" | "h1" | "h2" | "h3" | "h4" | "h5" | "h6"
            | "blockquote" | "section" | "article" | "header" | "footer" | "dl" | "dt" | "dd"
            | "center" | "form" | "body" | "html" | "tbody" | "thead" | "address"
                if !self.out.ends_with('\t') =>
            {
                self.newline();
            }
            _ => {}
        }
    }

    fn link(&mut self, tag: &str) {
        if self.links.len() < LINKS_MAX
            && let Some(target) = attribute(tag, "href")
        {
            let mut decoded = String::new();
            let mut inner = Writer::default();
            inner.text(target);
            decoded.push_str(&inner.out);
            if decoded.len() <= 4096 {
                self.links.push(decoded);
            }
        }
    }

    fn finish(self) -> Shown {
        let mut text = String::with_capacity(self.out.len());
        let mut empty = 0;
        for line in self.out.lines() {
            let line = line.trim();
            empty = if line.is_empty() { empty + 1 } else { 0 };
            if empty <= 1 {
                text.push_str(line);
                text.push('\n');
            }
        }
        Shown {
            text,
            links: self.links,
        }
    }
}

/// The text after the end tag of an element whose content is no markup.
fn raw_end<'a>(rest: &'a str, name: &str) -> &'a str {
    let mut from = 0;
    while let Some(at) = rest.get(from..).and_then(|r| r.find("</")) {
        let after = from + at + 2;
        let found = rest
            .get(after..after + name.len())
            .is_some_and(|tag| tag.eq_ignore_ascii_case(name));
        if found {
            let rest = rest.get(after..).unwrap_or("");
            return rest.split_once('>').map_or("", |(_, rest)| rest);
        }
        from = after;
    }
    ""
}

/// Elements whose content people do not see, or that is struck out.
fn is_hidden(name: &str, tag: &str) -> bool {
    if matches!(
        name,
        "head" | "title" | "template" | "object" | "s" | "strike" | "del"
    ) {
        return true;
    }
    if matches!(name, "br" | "hr" | "img" | "input" | "meta" | "link") || tag.ends_with('/') {
        return false;
    }
    let style: String = attribute(tag, "style")
        .unwrap_or("")
        .chars()
        .filter(|c| !c.is_whitespace())
        .collect::<String>()
        .to_ascii_lowercase();
    style.contains("display:none")
        || style.contains("visibility:hidden")
        || style.contains("text-decoration:line-through")
        || style.contains("mso-hide:all")
}

/// The value of an attribute, as it stands.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let lower = tag.to_ascii_lowercase();
    let mut from = 0;
    loop {
        let at = from + lower.get(from..)?.find(name)?;
        let before = lower.get(..at)?.chars().next_back();
        let after = tag.get(at + name.len()..)?.trim_start();
        from = at + name.len();
        let Some(value) = after.strip_prefix('=') else {
            continue;
        };
        if !before.is_some_and(char::is_whitespace) {
            continue;
        }
        let value = value.trim_start();
        let quote = value.chars().next()?;
        return if quote == '"' || quote == '\'' {
            value.get(1..)?.split(quote).next()
        } else {
            value.split(char::is_whitespace).next()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_tabs_rows_are_lines_and_empty_cells_count() {
        let html = "<table><tr><td>Host</td><td></td><td>lb&nbsp;&amp; 2</td></tr>\
                    <tr><td>a<br>b</td><td>c</td></tr></table>after";
        assert_eq!(shown(html).text, "Host\t\tlb & 2\na\nb\tc\nafter\n");
    }

    #[test]
    fn what_is_not_shown_is_left_out() {
        let html = "<html><head><title>t</title><style>a>b{}</style></head><body>\
                    <script>if (a<b) x</script><!-- c --><div style='display: none'>pre\
                    <div>inner</div></div><strike>old</strike> n<b>e</b>w</body></html>";
        assert_eq!(shown(html).text, "new\n");
    }

    #[test]
    fn links_are_kept_apart_and_broken_tags_do_not_hang() {
        let found = shown("<a href=\"https://x/?a=1&amp;b=2\">go</a> 1 < 2 <b");
        assert_eq!(found.links, ["https://x/?a=1&b=2"]);
        assert_eq!(found.text, "go 1 < 2\n");
    }

    #[test]
    fn a_bomb_of_tags_stays_bounded() {
        let html = "<table><tr><td>x".repeat(200_000);
        assert!(shown(&html).text.len() <= MAIL_TEXT_BYTES_MAX + 16);
    }
}
