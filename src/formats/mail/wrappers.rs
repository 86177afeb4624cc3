//! Wrappers that hide a mail's text without encrypting it: CMS signed-data (`smime.p7m`), TNEF
//! (`winmail.dat`) and inline PGP signatures. Read without verifying anything; what cannot be
//! unwrapped gives `None`, and the caller says so.

/// Deepest nesting of DER that is looked at.
const DER_DEPTH_MAX: usize = 8;
/// Most TNEF attributes that are looked at.
const TNEF_ATTRIBUTES_MAX: usize = 1000;

/// One DER or BER element.
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
    rest: &'a [u8],
    indefinite: bool,
}

fn element(bytes: &[u8]) -> Option<Element<'_>> {
    let [tag, length, rest @ ..] = bytes else {
        return None;
    };
    if *length == 0x80 {
        return Some(Element {
            tag: *tag,
            content: rest,
            rest: &[],
            indefinite: true,
        });
    }
    let (length, rest) = if *length < 0x80 {
        (usize::from(*length), rest)
    } else {
        let count = usize::from(*length & 0x7F);
        if count > 4 {
            return None;
        }
        let (digits, rest) = rest.split_at_checked(count)?;
        let length = digits
            .iter()
            .fold(0_usize, |sum, b| sum << 8 | usize::from(*b));
        (length, rest)
    };
    let (content, rest) = rest.split_at_checked(length.min(rest.len()))?;
    Some(Element {
        tag: *tag,
        content,
        rest,
        indefinite: false,
    })
}

/// The object identifier of PKCS #7 `data`.
const OID_DATA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x07, 0x01];

/// The content that a CMS signed-data structure carries.
pub fn signed_content(der: &[u8]) -> Option<Vec<u8>> {
    encapsulated(der, 0)
}

/// Looks for `data` followed by its content.
fn encapsulated(mut bytes: &[u8], depth: usize) -> Option<Vec<u8>> {
    if depth > DER_DEPTH_MAX {
        return None;
    }
    while let Some(found) = element(bytes) {
        if found.tag == 0x06 && found.content == OID_DATA {
            let content = element(found.rest).filter(|e| e.tag == 0xA0)?;
            let mut out = Vec::new();
            octets(content.content, &mut out, 0);
            return (!out.is_empty()).then_some(out);
        }
        if found.tag & 0x20 != 0
            && let Some(out) = encapsulated(found.content, depth + 1)
        {
            return Some(out);
        }
        bytes = found.rest;
    }
    None
}

/// Joins octet strings, which may be cut into pieces.
fn octets(mut bytes: &[u8], out: &mut Vec<u8>, depth: usize) {
    while let Some(found) = element(bytes) {
        match found.tag {
            0x04 => out.extend_from_slice(found.content),
            0x24 if depth < DER_DEPTH_MAX => octets(found.content, out, depth + 1),
            _ => return,
        }
        if found.indefinite {
            return;
        }
        bytes = found.rest;
    }
}

/// The plain text and the subject of a TNEF stream.
pub fn tnef_text(bytes: &[u8]) -> Option<Vec<u8>> {
    const SIGNATURE: [u8; 4] = [0x78, 0x9F, 0x3E, 0x22];
    const BODY: u16 = 0x800C;
    let mut rest = bytes.strip_prefix(&SIGNATURE)?.get(2..)?;
    for _ in 0..TNEF_ATTRIBUTES_MAX {
        let (head, after) = rest.split_at_checked(9)?;
        let [_level, id0, id1, _, _, l0, l1, l2, l3] = head else {
            return None;
        };
        let length = usize::try_from(u32::from_le_bytes([*l0, *l1, *l2, *l3])).ok()?;
        let (data, after) = after.split_at_checked(length)?;
        if u16::from_le_bytes([*id0, *id1]) == BODY {
            let end = data.iter().position(|b| *b == 0).unwrap_or(data.len());
            let text = data.get(..end).unwrap_or(data);
            return (!text.trim_ascii().is_empty()).then(|| text.to_vec());
        }
        rest = after.get(2..).unwrap_or(&[]);
    }
    None
}

/// Text within an inline PGP signature, without armour and dash escapes.
pub fn without_pgp_armour(text: &str) -> Option<String> {
    let (before, signed) = text.split_once("-----BEGIN PGP SIGNED MESSAGE-----")?;
    let (signed, _) = signed
        .split_once("-----BEGIN PGP SIGNATURE-----")
        .unwrap_or((signed, ""));
    // The armour's own fields end with an empty line.
    let mut lines = signed.lines().skip(1);
    for line in lines.by_ref() {
        if line.trim().is_empty() {
            break;
        }
    }
    let mut out = before.to_owned();
    for line in lines {
        out.push_str(line.strip_prefix("- ").unwrap_or(line));
        out.push('\n');
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_data_gives_its_content_and_garbage_nothing() {
        let mut inner = vec![0x06, 9];
        inner.extend_from_slice(OID_DATA);
        inner.extend_from_slice(&[0xA0, 0x04, 0x04, 0x02, b'h', b'i']);
        let mut der = vec![0x30, u8::try_from(inner.len()).unwrap()];
        der.extend(inner);
        assert_eq!(signed_content(&der).as_deref(), Some(&b"hi"[..]));
        assert_eq!(signed_content(&[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF]), None);
    }

    #[test]
    fn pgp_armour_goes() {
        let text = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n- -----\nHost: a\n\
                    -----BEGIN PGP SIGNATURE-----\nxx\n-----END PGP SIGNATURE-----\n";
        assert_eq!(
            without_pgp_armour(text).as_deref(),
            Some("-----\nHost: a\n")
        );
        assert_eq!(without_pgp_armour("Host: a"), None);
    }
}
