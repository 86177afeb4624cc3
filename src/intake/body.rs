//! Reads a request body within its limits: size on the wire, size after decompression, nesting.
//!
//! Invariant: memory for a body never exceeds twice the limit, whatever it claims to be.

use crate::formats::body::json_depth;
use crate::limits;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use std::io::Read;
use std::time::Duration;

/// Why a body was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Over the limit, on the wire or after decompression.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// Not sent in time.
    #[error("the body did not arrive within {0} s")]
    TooSlow(u64),
    /// The connection broke, or chunks were malformed.
    #[error("the body could not be read: {0}")]
    Broken(String),
    /// An encoding that is not known.
    #[error("content encoding `{0}` is not known; send gzip, deflate or none")]
    Encoding(String),
}

/// Reads the whole body. A body in one piece is not copied.
pub async fn collect(
    body: Incoming,
    bytes_max: usize,
    longest: Duration,
) -> Result<Bytes, BodyError> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let hint = body.size_hint();
    if hint.lower() > bytes_max as u64 {
        return Err(BodyError::TooLarge(bytes_max));
    }
    tokio::time::timeout(longest, read(body, bytes_max))
        .await
        .map_err(|_| BodyError::TooSlow(longest.as_secs()))?
}

async fn read(mut body: Incoming, bytes_max: usize) -> Result<Bytes, BodyError> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| BodyError::Broken(error.to_string()))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if first.len() + rest.len() + data.len() > bytes_max {
            return Err(BodyError::TooLarge(bytes_max));
        }
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
                first = Bytes::new();
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok(if rest.is_empty() {
        first
    } else {
        rest.freeze()
    })
}

/// Undoes `Content-Encoding`. What claims an encoding and is not in it is kept as it came.
pub fn decompress(
    body: Bytes,
    encoding: Option<&str>,
    bytes_max: usize,
) -> Result<Bytes, BodyError> {
    let encoding = encoding.map(|text| text.trim().to_ascii_lowercase());
    let inflated = match encoding.as_deref() {
        None | Some("" | "identity") => return Ok(body),
        Some("gzip" | "x-gzip") => {
            inflate(flate2::read::MultiGzDecoder::new(body.as_ref()), bytes_max)
        }
        Some("deflate") => {
            match inflate(flate2::read::ZlibDecoder::new(body.as_ref()), bytes_max)? {
                Some(inflated) => Ok(Some(inflated)),
                None => inflate(flate2::read::DeflateDecoder::new(body.as_ref()), bytes_max),
            }
        }
        Some(other) => return Err(BodyError::Encoding(other.to_owned())),
    }?;
    Ok(inflated.map_or(body, Bytes::from))
}

/// `None`: not in that encoding.
fn inflate(reader: impl Read, bytes_max: usize) -> Result<Option<Vec<u8>>, BodyError> {
    let mut inflated = Vec::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
    match reader.take(limit + 1).read_to_end(&mut inflated) {
        _ if inflated.len() > bytes_max => Err(BodyError::TooLarge(bytes_max)),
        Ok(_) => Ok(Some(inflated)),
        Err(_) => Ok(None),
    }
}

/// Whether a body that looks like JSON nests deeper than is decoded.
pub fn is_too_deep(body: &[u8]) -> bool {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    if !matches!(first, Some(b'{' | b'[')) {
        return false;
    }
    json_depth(body) > limits::JSON_DEPTH_MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(bytes: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        Bytes::from(encoder.finish().unwrap())
    }

    #[test]
    fn a_bomb_is_refused_and_plain_bytes_that_claim_gzip_are_kept() {
        let bomb = gzip(&vec![b'a'; 100_001]);
        assert!(bomb.len() < 1000);
        assert_eq!(
            decompress(bomb, Some("gzip"), 100_000),
            Err(BodyError::TooLarge(100_000))
        );
        assert_eq!(decompress(gzip(b"ab"), Some("GZIP"), 2).unwrap(), "ab");
        let plain = Bytes::from_static(b"{}");
        assert_eq!(decompress(plain.clone(), Some("gzip"), 9).unwrap(), plain);
        assert_eq!(
            decompress(plain.clone(), Some("deflate"), 9).unwrap(),
            plain
        );
        assert!(decompress(plain, Some("br"), 9).is_err());
    }

    #[test]
    fn depth_counts_outside_of_strings_only() {
        let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
        assert!(!is_too_deep(deep(64).as_bytes()));
        assert!(is_too_deep(deep(65).as_bytes()));
        assert!(!is_too_deep(
            format!("[\"\\\"{}\"]", "[".repeat(99)).as_bytes()
        ));
        assert!(!is_too_deep("text [".repeat(99).as_bytes()));
    }
}
