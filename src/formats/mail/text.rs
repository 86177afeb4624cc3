//! Lines of a mail: cleaned of what confuses matching, reflowed, without banners, list prefixes
//! and quotes. All functions are linear in their input.

/// Text with `\n` line ends and without control characters, escape sequences and zero-width
/// characters; no-break blanks become blanks.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\r' => {
                if chars.peek() != Some(&'\n') {
                    out.push('\n');
                }
            }
            // A terminal's escape sequence ends at its letter.
            '\u{1b}' => {
                if chars.peek() == Some(&'[') {
                    while chars.next().is_some_and(|c| !c.is_ascii_alphabetic()) {}
                }
            }
            '\n' | '\t' => out.push(c),
            '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'
            | '\u{feff}'
            | '\u{ad}' => {}
            '\u{a0}' | '\u{202f}' | '\u{2007}' | '\u{2009}' => out.push(' '),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

/// Full-width forms as ASCII, so that `：` and `（` match like `:` and `(`.
pub fn narrow(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
            '\u{3000}' => ' ',
            '\u{301c}' => '~',
            '\u{2019}' | '\u{2018}' => '\'',
            '\u{2013}' | '\u{2014}' | '\u{2212}' => '-',
            c => c,
        })
        .collect()
}

/// Joins the lines of `format=flowed`; `delete_space` also removes the blank at the seam.
pub fn reflow(text: &str, delete_space: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let body = line.strip_suffix('\n').unwrap_or(line);
        let body = body.strip_prefix(' ').unwrap_or(body);
        if body.ends_with(' ') && body != "-- " && !body.trim().is_empty() {
            let kept = if delete_space {
                body.strip_suffix(' ').unwrap_or(body)
            } else {
                body
            };
            out.push_str(kept);
        } else {
            out.push_str(body);
            out.push('\n');
        }
    }
    out
}

/// Prefixes of replies and forwards, in the languages that mailers ship.
const REPLY_PREFIXES: &[&str] = &[
    "re", "aw", "antw", "antwort", "sv", "vs", "res", "rif", "odp", "ynt", "ref", "回复", "答复",
    "返信", "r",
];
const FORWARD_PREFIXES: &[&str] = &[
    "fw", "fwd", "wg", "tr", "rv", "i", "vb", "vl", "pd", "enc", "doorst", "转发", "転送",
];
/// Tags and words that gateways put in front, in lower case.
const GATEWAY_TAGS: &[&str] = &[
    "[external]",
    "[ external ]",
    "[ext]",
    "[extern]",
    "[external email]",
    "[external sender]",
    "*external*",
    "external:",
    "***spam***",
    "*spam?*",
    "[spam]",
    "[suspected spam]",
    "[warning: unscanned]",
    "[caution]",
    "[bulk]",
    "[spam?]",
    "{spam?}",
];

/// A subject without what mailers, lists and gateways put in front.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    /// What is left.
    pub text: String,
    /// Whether the outermost prefix was that of a reply.
    pub reply: bool,
    /// Whether the outermost prefix was that of a forward.
    pub forward: bool,
}

/// Removes reply and forward prefixes, gateway tags and the tags of these lists, in any order and
/// number.
pub fn subject(text: &str, lists: &[String]) -> Subject {
    let mut found = Subject::default();
    let cleaned = clean(text);
    let mut rest = cleaned.trim();
    for _ in 0..50 {
        if let Some((after, forward)) = without_prefix(rest) {
            if !found.reply && !found.forward {
                found.forward = forward;
                found.reply = !forward;
            }
            rest = after.trim_start();
        } else if let Some(after) = without_tag(rest, lists) {
            rest = after.trim_start();
        } else {
            break;
        }
    }
    found.text = rest.to_owned();
    found
}

fn without_prefix(text: &str) -> Option<(&str, bool)> {
    let (head, rest) = text.split_once([':', '：'])?;
    let head = head.trim();
    // `Re[2]` and `Re(2)` count replies.
    let word = head
        .split(['[', '('])
        .next()
        .unwrap_or(head)
        .trim()
        .to_lowercase();
    if head.chars().count() > 14 {
        return None;
    }
    if REPLY_PREFIXES.contains(&word.as_str()) {
        Some((rest, false))
    } else if FORWARD_PREFIXES.contains(&word.as_str()) {
        Some((rest, true))
    } else {
        None
    }
}

fn without_tag<'a>(text: &'a str, lists: &[String]) -> Option<&'a str> {
    let starts = |tag: &str| {
        let head = text.get(..tag.len())?;
        head.eq_ignore_ascii_case(tag)
            .then(|| text.get(tag.len()..))
            .flatten()
    };
    GATEWAY_TAGS
        .iter()
        .find_map(|tag| starts(tag))
        .or_else(|| lists.iter().find_map(|list| starts(&format!("[{list}]"))))
}

/// Beginnings of the banners that gateways put above a mail, in lower case.
const BANNERS: &[&str] = &[
    "caution: this email originated",
    "caution: this message",
    "caution: external",
    "[external email]",
    "external email",
    "this email originated from outside",
    "this message originated from outside",
    "this message was sent from outside",
    "you don't often get email from",
    "warning: this email",
    "vorsicht: diese e-mail",
    "vorsicht: externe",
    "achtung: diese e-mail",
    "attention : ce",
    "attention: ce",
    "atención: este correo",
];

/// A body without the banners above it.
pub fn without_banners(text: &str) -> &str {
    let mut rest = text;
    for _ in 0..4 {
        let trimmed = rest.trim_start_matches(['\n', ' ', '\t', '*', '-', '_', '=', '!']);
        let start: String = trimmed.chars().take(60).collect::<String>().to_lowercase();
        if !BANNERS.iter().any(|banner| start.starts_with(banner)) {
            break;
        }
        // A banner is one paragraph, or one line where the text follows at once.
        let line_end = trimmed.find('\n').map_or(trimmed.len(), |at| at + 1);
        let paragraph_end = trimmed.find("\n\n").map_or(line_end, |at| at + 2);
        let end = if paragraph_end <= 600 {
            paragraph_end
        } else {
            line_end
        };
        rest = trimmed.get(end..).unwrap_or("");
    }
    rest
}

/// Where a quoted or forwarded original begins, and the fields that introduce it.
struct Seam {
    start: usize,
    end: usize,
}

const SEAMS: &[&str] = &[
    "-----original message-----",
    "----- original message -----",
    "-----ursprüngliche nachricht-----",
    "-----message d'origine-----",
    "-----message original-----",
    "-----mensaje original-----",
    "-----messaggio originale-----",
    "-----mensagem original-----",
    "-----oorspronkelijk bericht-----",
    "-----元のメッセージ-----",
    "-----邮件原件-----",
    "---------- forwarded message",
    "-------- forwarded message",
    "-------- original message",
    "-------- weitergeleitete nachricht",
    "-------- message transféré",
    "-------- 転送メッセージ",
    "begin forwarded message:",
    "anfang der weitergeleiteten nachricht:",
    "début du message réexpédié",
    "転送されたメッセージ:",
    "----- previous update -----",
    "________________________________",
];

fn is_seam(line: &str) -> bool {
    let line = narrow(line.trim()).to_lowercase();
    SEAMS.iter().any(|seam| line.starts_with(seam)) || is_attribution(&line)
}

/// `On ... wrote:`, in the languages that mailers ship; `line` is in lower case.
fn is_attribution(line: &str) -> bool {
    const PAIRS: &[(&str, &str)] = &[
        ("on ", "wrote:"),
        ("am ", "schrieb"),
        ("le ", "a écrit"),
        ("il ", "ha scritto"),
        ("el ", "escribió"),
        ("op ", "schreef"),
        ("den ", "skrev"),
        ("em ", "escreveu"),
    ];
    line.len() < 300
        && line.ends_with(':')
        && (is_japanese_attribution(line)
            || PAIRS
                .iter()
                .any(|(start, end)| line.starts_with(start) && line.contains(end)))
}

/// `2025年12月1日(月) 10:00 NOC <noc@example.net>:` and `2025/12/01 10:00、NOC <...>のメール:`.
fn is_japanese_attribution(line: &str) -> bool {
    let dated = line.starts_with(|c: char| c.is_ascii_digit())
        && (line.contains('年') && line.contains('日') || line.ends_with("のメール:"));
    dated && line.contains('<') && line.contains('@')
}

/// In whatever language: somebody's address and a number above a quoted line.
fn introduces_quote(line: &str, next: &str) -> bool {
    let line = line.trim_end();
    next.starts_with('>')
        && line.len() < 300
        && line.ends_with([':', '：'])
        && line.contains(|c: char| c.is_ascii_digit())
        && line
            .split_once('<')
            .is_some_and(|(_, rest)| rest.contains('@') && rest.contains('>'))
}

/// Labels of the author in the header block above a forwarded or quoted text, as mailers ship them.
const FROM_LABELS: &[&str] = &[
    "from",
    "von",
    "de",
    "da",
    "van",
    "från",
    "fra",
    "od",
    "差出人",
    "送信者",
    "发件人",
    "寄件者",
    "보낸 사람",
];
/// The other labels of that block.
const OTHER_LABELS: &[&str] = &[
    "sent",
    "gesendet",
    "envoyé",
    "inviato",
    "enviado",
    "enviado el",
    "enviada em",
    "verzonden",
    "skickat",
    "sendt",
    "wysłano",
    "送信日時",
    "发送时间",
    "寄件日期",
    "보낸 날짜",
    "date",
    "datum",
    "data",
    "fecha",
    "日付",
    "日時",
    "to",
    "an",
    "à",
    "a",
    "para",
    "aan",
    "till",
    "til",
    "do",
    "宛先",
    "收件人",
    "받는 사람",
    "cc",
    "kopie",
    "copie à",
    "抄送",
    "subject",
    "message-id",
    "reply-to",
    "répondre à",
    "antwort an",
];
/// Labels of its subject.
const SUBJECT_LABELS: &[&str] = &[
    "subject",
    "betreff",
    "objet",
    "asunto",
    "oggetto",
    "assunto",
    "onderwerp",
    "ämne",
    "emne",
    "temat",
    "件名",
    "主题",
    "主旨",
    "제목",
];

/// The label of such a line, in lower case; empty if there is none.
fn label(line: &str) -> String {
    let line = narrow(line.trim());
    let head = line.split_once(':').map_or("", |(head, _)| head);
    head.trim_matches(['*', ' ']).to_lowercase()
}

fn is_header_line(line: &str) -> bool {
    let label = label(line);
    [FROM_LABELS, OTHER_LABELS, SUBJECT_LABELS]
        .iter()
        .any(|labels| labels.contains(&label.as_str()))
}

fn seam(text: &str) -> Option<Seam> {
    let mut at = 0;
    let mut lines = text.split_inclusive('\n').peekable();
    while let Some(line) = lines.next() {
        let start = at;
        at += line.len();
        let next = lines.peek().copied().unwrap_or("");
        let outlook = FROM_LABELS.contains(&label(line).as_str()) && is_header_line(next);
        // Attributions are wrapped after some 70 characters.
        let both = format!("{} {}", line.trim(), next.trim());
        let wrapped = is_attribution(&narrow(&both).to_lowercase());
        if !outlook && !wrapped && !is_seam(line) && !introduces_quote(line, next) {
            continue;
        }
        while let Some(next) = lines.peek() {
            if !next.trim().is_empty() && !is_header_line(next) {
                break;
            }
            at += next.len();
            lines.next();
        }
        return Some(Seam { start, end: at });
    }
    None
}

/// The new text of a reply: without quoted lines, the original below and the signature.
pub fn without_quotes(text: &str) -> String {
    let own = seam(text).map_or(text, |seam| text.get(..seam.start).unwrap_or(""));
    let mut out = String::new();
    for line in own.lines() {
        if line == "-- " {
            break;
        }
        if !line.trim_start().starts_with('>') {
            out.push_str(line);
            out.push('\n');
        }
    }
    out.trim().to_owned()
}

/// The forwarded original within a text, without quote marks and the block above it.
pub fn forwarded(text: &str) -> Option<String> {
    if let Some(seam) = seam(text) {
        return text.get(seam.end..).map(unquoted);
    }
    let quoted: Vec<&str> = text.lines().filter(|line| line.starts_with('>')).collect();
    (!quoted.is_empty()).then(|| unquoted(&quoted.join("\n")))
}

/// The subject in the block above a forwarded original.
pub fn forwarded_subject(text: &str) -> Option<String> {
    let seam = seam(text)?;
    let block = text.get(seam.start..seam.end)?;
    block.lines().find_map(|line| {
        let (_, value) = line.split_once([':', '：'])?;
        let is_subject = SUBJECT_LABELS.contains(&label(line).as_str());
        is_subject.then(|| value.trim().trim_start_matches('*').trim().to_owned())
    })
}

fn unquoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        let line = line.trim_start_matches('>');
        out.push_str(line.strip_prefix(' ').unwrap_or(line));
        out.push('\n');
    }
    out
}

/// A link as it was before gateways rewrote it.
pub fn unwrapped_link(link: &str) -> String {
    let mut link = link.to_owned();
    for _ in 0..3 {
        let Ok(url) = url::Url::parse(&link) else {
            break;
        };
        let host = url.host_str().unwrap_or("");
        let parameter = |name: &str| {
            url.query_pairs()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value.into_owned())
        };
        let inner = if host.ends_with(".safelinks.protection.outlook.com") {
            parameter("url")
        } else if host == "linkprotect.cudasvc.com" {
            parameter("a")
        } else if host.ends_with("urldefense.proofpoint.com") || host == "urldefense.com" {
            proofpoint(&link, parameter("u"))
        } else {
            None
        };
        match inner {
            Some(inner) if inner.starts_with("http://") || inner.starts_with("https://") => {
                link = inner;
            }
            _ => break,
        }
    }
    link
}

/// Proofpoint: `v2` writes `-3A` for `%3A` and `_` for `/`; `v3` keeps the link between `__`.
fn proofpoint(link: &str, parameter: Option<String>) -> Option<String> {
    if let Some((_, rest)) = link.split_once("/v3/__") {
        return rest.split_once("__;").map(|(inner, _)| inner.to_owned());
    }
    let coded = parameter?.replace('-', "%").replace('_', "/");
    let pair = format!("u={coded}");
    url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_lose_prefixes_in_any_order() {
        let lists = ["noc-list".to_owned()];
        let found = subject("Re[2]: [EXTERNAL] [noc-list] WG: [FIRING:2] x", &lists);
        assert_eq!(found.text, "[FIRING:2] x");
        assert!(found.reply && !found.forward);
        assert!(subject("FW: RE: x", &[]).forward);
        assert_eq!(subject("Problem: re: x", &[]).text, "Problem: re: x");
    }

    #[test]
    fn a_reply_keeps_only_its_own_words() {
        let text = "fixed it\n\nOn Monday, A wrote:\n> Host: core is DOWN\n";
        assert_eq!(without_quotes(text), "fixed it");
        let text = "ok\n\nOn Mon, 1 Dec 2025 at 10:00, NOC <a@b>\nwrote:\n> x\n";
        assert_eq!(without_quotes(text), "ok");
        let text = "see below\nFrom: a@b\nSent: today\nSubject: x is DOWN\n\nHost: core\n";
        assert_eq!(without_quotes(text), "see below");
        assert_eq!(forwarded(text).as_deref(), Some("Host: core\n"));
        assert_eq!(forwarded_subject(text).as_deref(), Some("x is DOWN"));
    }

    #[test]
    fn quotes_are_told_in_the_languages_of_mailers() {
        for above in [
            "On 2025/12/01 10:00, NOC wrote:",
            "Am 01.12.2025 um 10:00 schrieb NOC <noc@example.net>:",
            "Le lun. 1 déc. 2025 à 10:00, NOC <noc@example.net> a écrit :",
            "2025年12月1日(月) 10:00 NOC <noc@example.net>:",
            "2025/12/01 10:00、NOC <noc@example.net>のメール：",
            "-----元のメッセージ-----\n差出人: NOC\n件名: x",
            "差出人: NOC <noc@example.net>\n送信日時: 2025年12月1日 10:00\n宛先: kim\n件名: x",
            "差出人： NOC\n送信日時： 2025年12月1日 10:00\n件名： x",
            "De : NOC\nEnvoyé : lundi 1 décembre 2025 10:00\nÀ : Kim\nObjet : x",
            "*From:* NOC\n*Sent:* Monday, December 1, 2025\n*Subject:* x",
            "Von: NOC\nGesendet: Montag, 1. Dezember 2025\nBetreff: x",
            "Da: NOC\nInviato: lunedì 1 dicembre 2025\nOggetto: x",
            "De: NOC\nEnviado el: lunes, 1 de diciembre de 2025\nAsunto: x",
            "Van: NOC\nVerzonden: maandag 1 december 2025\nOnderwerp: x",
            "发件人: NOC\n发送时间: 2025年12月1日\n主题: x",
            "-----Message d'origine-----\nDe : NOC",
            "pon., 1 gru 2025 o 10:00 NOC <noc@example.net> napisał(a):",
            "пн, 1 дек. 2025 г. в 10:00, NOC <noc@example.net>:",
        ] {
            let text = format!("It is back.\n\n{above}\n> Host: core is DOWN\n");
            assert_eq!(without_quotes(&text), "It is back.", "{above}");
            let inner = forwarded(&text).unwrap_or_default();
            assert!(
                inner.ends_with("Host: core is DOWN\n"),
                "{above}: {inner:?}"
            );
        }
        // A person's own words stay.
        for words in [
            "Call NOC <noc@example.net> before 10:00:\nthey know",
            "2025年12月1日 10:00 から停止:\n全拠点",
            "Von: Berlin\nnach Wien",
            "De: rien",
        ] {
            assert_eq!(without_quotes(words), words);
        }
    }

    #[test]
    fn banners_controls_and_rewritten_links() {
        let text = "CAUTION: This email originated from outside.\n\nHost: a";
        assert_eq!(without_banners(text), "Host: a");
        assert_eq!(clean("a\u{1b}[31mb\u{0}\rc\u{a0}d"), "ab\nc d");
        assert_eq!(
            reflow("long \nline\n-- \nme\n", false),
            "long line\n-- \nme\n"
        );
        let link = "https://eu.safelinks.protection.outlook.com/?url=https%3A%2F%2Fx.net%2F&d=1";
        assert_eq!(unwrapped_link(link), "https://x.net/");
    }
}
