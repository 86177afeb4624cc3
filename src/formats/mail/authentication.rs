//! `Authentication-Results` (RFC 8601) of a trusted mail server: what it says about SPF, DKIM,
//! DMARC and ARC. Only fields with the server's own name count, and of those only the topmost,
//! since everyone can write such a field into a mail. A field that comes twice in one name at the
//! same server's hand is still the server's; those below are older and count for nothing.

use super::header::Headers;
use super::read;

/// What a method gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Verdict {
    /// It passed.
    Pass,
    /// It failed.
    Fail,
    /// The server does not say, or could not tell (`none`, `neutral`, `temperror`, ...).
    #[default]
    Unknown,
}

/// What the trusted server says of a mail.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Verdicts {
    /// The envelope sender's domain allows the sending server.
    pub spf: Verdict,
    /// Domain of the envelope sender, in lower case.
    pub spf_domain: Option<String>,
    /// A signature is valid.
    pub dkim: Verdict,
    /// Domains of valid signatures, in lower case.
    pub dkim_domains: Vec<String>,
    /// The author's domain is proven by one of both.
    pub dmarc: Verdict,
    /// The author's domain that DMARC looked at, in lower case.
    pub dmarc_domain: Option<String>,
    /// The chain of forwarders is valid.
    pub arc: Verdict,
}

impl Verdicts {
    /// Whether the author's domain is proven: by DMARC, by an aligned signature, or by SPF for the
    /// same domain.
    pub fn prove(&self, from_domain: &str) -> bool {
        let from = from_domain.to_lowercase();
        let aligned = |domain: &str| {
            domain == from
                || from
                    .strip_suffix(domain)
                    .is_some_and(|rest| rest.ends_with('.'))
        };
        (self.dmarc == Verdict::Pass && self.dmarc_domain.as_deref().is_some_and(aligned))
            || (self.dmarc != Verdict::Fail
                && (self.dkim_domains.iter().any(|d| aligned(d))
                    || (self.spf == Verdict::Pass
                        && self.spf_domain.as_deref().is_some_and(aligned))))
    }
}

/// The verdicts of the server called `authserv_id` on a raw mail; `None` if it says nothing.
pub fn of_mail(raw: &[u8], authserv_id: &str) -> Option<Verdicts> {
    let mail = read::mail(raw)?;
    of_headers(&mail.headers, authserv_id)
}

/// The same with the header in hand.
pub fn of_headers(headers: &Headers, authserv_id: &str) -> Option<Verdicts> {
    headers
        .all("authentication-results")
        .find_map(|value| parse(value, authserv_id))
}

/// One field; `None` if it is another server's.
pub fn parse(value: &str, authserv_id: &str) -> Option<Verdicts> {
    let plain = without_comments(value);
    let mut parts = plain.split(';');
    let mut first = parts.next()?.split_whitespace();
    if !first
        .next()?
        .trim_matches('"')
        .eq_ignore_ascii_case(authserv_id.trim())
    {
        return None;
    }
    // A version that is not 1 is another grammar.
    if first.next().is_some_and(|version| version != "1") {
        return None;
    }
    let mut verdicts = Verdicts::default();
    for part in parts {
        result(part, &mut verdicts);
    }
    Some(verdicts)
}

/// `dkim=pass header.d=example.net`.
fn result(part: &str, verdicts: &mut Verdicts) {
    let spaced = part.replace(" =", "=").replace("= ", "=");
    let mut words = spaced.split_whitespace();
    let Some((method, said)) = words.next().and_then(|w| w.split_once('=')) else {
        return;
    };
    let verdict = match said.to_ascii_lowercase().as_str() {
        "pass" => Verdict::Pass,
        "fail" | "hardfail" | "softfail" | "policy" => Verdict::Fail,
        _ => Verdict::Unknown,
    };
    let properties: Vec<(String, String)> = words
        .filter_map(|word| word.split_once('='))
        .map(|(name, value)| {
            let value = value.trim_matches(['"', '<', '>']).to_lowercase();
            (name.to_ascii_lowercase(), value)
        })
        .collect();
    let domain = |names: &[&str]| {
        names.iter().find_map(|name| {
            let (_, value) = properties.iter().find(|(n, _)| n == name)?;
            let domain = value.rsplit('@').next().unwrap_or(value);
            (!domain.is_empty()).then(|| domain.to_owned())
        })
    };
    match method
        .split('/')
        .next()
        .unwrap_or(method)
        .to_ascii_lowercase()
        .as_str()
    {
        "spf" => {
            verdicts.spf = verdict;
            verdicts.spf_domain = domain(&["smtp.mailfrom", "smtp.mail"]);
        }
        "dkim" => {
            // One valid signature is enough; a broken one beside it proves nothing.
            if verdict == Verdict::Pass {
                verdicts
                    .dkim_domains
                    .extend(domain(&["header.d", "header.i"]));
                verdicts.dkim = Verdict::Pass;
            } else if verdicts.dkim != Verdict::Pass {
                verdicts.dkim = verdict;
            }
        }
        "dmarc" => {
            verdicts.dmarc = verdict;
            verdicts.dmarc_domain = domain(&["header.from"]);
        }
        "arc" => verdicts.arc = verdict,
        _ => {}
    }
}

/// A value without comments in parentheses; quoted texts may hold parentheses.
fn without_comments(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for c in value.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => {
                escaped = true;
                continue;
            }
            '"' if depth == 0 => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted && depth > 0 => {
                depth -= 1;
                continue;
            }
            _ => {}
        }
        // A `;` within quotes would end a result.
        if depth == 0 && !(quoted && c == ';') {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_trusted_servers_topmost_field_counts() {
        let raw = b"Authentication-Results: mail.evil.example.org; spf=pass; dmarc=pass\r\n\
            Authentication-Results: mx1.example.net; spf=fail smtp.mailfrom=a.example.net;\r\n\
            \tdkim=none; dmarc=fail (p=none) header.from=a.example.net\r\n\
            Authentication-Results: mx1.example.net; dmarc=pass header.from=a.example.net\r\n\
            Subject: x\r\n\r\nx\r\n";
        let verdicts = of_mail(raw, "mx1.example.net").unwrap();
        assert_eq!(verdicts.spf, Verdict::Fail);
        assert_eq!(verdicts.dkim, Verdict::Unknown);
        assert_eq!(verdicts.dmarc, Verdict::Fail);
        assert!(!verdicts.prove("a.example.net"));
        assert_eq!(of_mail(raw, "mx2.example.net"), None);
    }

    #[test]
    fn signatures_comments_and_alignment() {
        let value = "mx.example.net 1; dkim=fail (bad; body) header.d=b.net; \
                     dkim=pass header.i=@example.org; spf=pass smtp.mailfrom=bounce@lists.net";
        let verdicts = parse(value, "MX.example.net").unwrap();
        assert_eq!(verdicts.dkim, Verdict::Pass);
        assert_eq!(verdicts.dkim_domains, ["example.org"]);
        assert!(verdicts.prove("mon.example.org"));
        assert!(!verdicts.prove("badexample.org"));
        assert!(!verdicts.prove("lists.com"));
    }

    #[test]
    fn a_quoted_separator_makes_no_result() {
        let value = "mx.example.net; dmarc=fail reason=\"x; dmarc=pass\" header.from=a.net";
        assert_eq!(parse(value, "mx.example.net").unwrap().dmarc, Verdict::Fail);
    }
}
