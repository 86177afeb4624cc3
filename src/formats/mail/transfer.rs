//! Content-Transfer-Encoding, read leniently: junk between base64 characters is skipped, bad
//! escapes of quoted-printable stay as they are. What decodes is kept; there is no error.

/// Decodes a body by the name of its transfer encoding; unknown names mean the bytes as they are.
pub fn decode(bytes: &[u8], encoding: &str) -> Vec<u8> {
    match encoding.trim().to_ascii_lowercase().as_str() {
        "base64" => base64(bytes),
        "quoted-printable" => quoted_printable(bytes),
        _ => bytes.to_vec(),
    }
}

/// Base64 with padding missing or in the middle, with junk, and with a plain footer below.
pub fn base64(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0_u8);
    for line in bytes.split(|byte| *byte == b'\n') {
        if !out.is_empty() && is_prose(line) {
            break;
        }
        for byte in line {
            let Some(value) = sextet(*byte) else {
                if *byte == b'=' {
                    (bits, count) = (0, 0);
                }
                continue;
            };
            bits = (bits << 6 | u32::from(value)) & 0x00FF_FFFF;
            count += 1;
            // The second to the fourth character of a group each complete a byte.
            let shift = match count {
                2 => 4,
                3 => 2,
                4 => 0,
                _ => continue,
            };
            out.push(u8::try_from(bits >> shift & 0xFF).unwrap_or(0));
            if count == 4 {
                (bits, count) = (0, 0);
            }
        }
    }
    out
}

/// A line of words, not of base64: a footer that a gateway appended.
fn is_prose(line: &[u8]) -> bool {
    let line = line.trim_ascii();
    line.contains(&b' ') || (line.starts_with(b"--") && line.len() < 78)
}

fn sextet(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

/// Quoted-printable; soft breaks join lines, blanks at line ends go.
pub fn quoted_printable(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let (body, ending) = split_ending(line);
        let body = trim_end_blanks(body);
        let (body, soft) = match body.strip_suffix(b"=") {
            Some(rest) => (rest, true),
            None => (body, false),
        };
        escapes(body, &mut out);
        if !soft {
            out.extend_from_slice(ending);
        }
    }
    out
}

fn split_ending(line: &[u8]) -> (&[u8], &[u8]) {
    let body = line.strip_suffix(b"\n").unwrap_or(line);
    let body = body.strip_suffix(b"\r").unwrap_or(body);
    line.split_at(body.len())
}

fn trim_end_blanks(mut body: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = body {
        body = rest;
    }
    body
}

/// `=XX` → one byte; underscores stay.
fn escapes(mut body: &[u8], out: &mut Vec<u8>) {
    while let [first, rest @ ..] = body {
        if *first == b'='
            && let [high, low, after @ ..] = rest
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            out.push(high << 4 | low);
            body = after;
        } else {
            out.push(*first);
            body = rest;
        }
    }
}

/// The `Q` encoding of headers: underscores are blanks.
pub fn q_word(bytes: &[u8]) -> Vec<u8> {
    let spaced: Vec<u8> = bytes
        .iter()
        .map(|b| if *b == b'_' { b' ' } else { *b })
        .collect();
    let mut out = Vec::with_capacity(spaced.len());
    escapes(&spaced, &mut out);
    out
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_with_junk_and_a_footer() {
        assert_eq!(base64(b"SGVs bG8=\r\n"), b"Hello");
        assert_eq!(base64(b"SG!Vsb\r\nG8"), b"Hello");
        assert_eq!(base64(b"SGk=SGk=\r\nthis is a footer\r\n"), b"HiHi");
    }

    #[test]
    fn quoted_printable_joins_soft_breaks_and_keeps_bad_escapes() {
        assert_eq!(
            quoted_printable(b"Host: co=\r\nre =3d =ZZ \r\nx"),
            b"Host: core = =ZZ\r\nx"
        );
    }
}
