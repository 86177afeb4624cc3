//! Reads a request body within its limits: size on the wire, size after decompression, nesting, and
//! the room that all bodies of a door share.
//!
//! Invariants: memory for a body never exceeds twice the limit, whatever it claims to be. Only bytes
//! that came take room, so that promises of large bodies keep nobody out.

use crate::formats::body::{json_depth, weight};
use crate::limits;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use std::io::Read;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

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
    /// The bodies of others take all the room.
    #[error("there is no room in memory for the body now: other large ones are on their way")]
    NoRoom,
    /// An encoding that is not known.
    #[error("content encoding `{0}` is not known; send gzip, deflate or none")]
    Encoding(String),
}

/// The memory that all bodies of a door share.
#[derive(Debug)]
pub struct Room {
    kibibytes: Semaphore,
    longest_wait: Duration,
}

impl Room {
    /// Room for that many bytes; who finds none waits so long at most.
    pub fn new(bytes_max: usize, longest_wait: Duration) -> Room {
        Room {
            kibibytes: Semaphore::new(bytes_max / 1024),
            longest_wait,
        }
    }

    /// A body that takes none of it yet.
    pub fn taken(&self) -> Taken<'_> {
        Taken {
            room: self,
            permit: None,
        }
    }
}

/// What one body takes of the room, until this is dropped.
#[derive(Debug)]
pub struct Taken<'a> {
    room: &'a Room,
    permit: Option<SemaphorePermit<'a>>,
}

impl Taken<'_> {
    fn kibibytes(&self) -> usize {
        self.permit.as_ref().map_or(0, SemaphorePermit::num_permits)
    }

    /// Takes what `bytes` in all need beyond what was taken. A little is free, so that usual
    /// requests are never in the way of one another.
    async fn reach(&mut self, bytes: usize) -> Result<(), BodyError> {
        let more = room_for(bytes).saturating_sub(self.kibibytes());
        if more == 0 {
            return Ok(());
        }
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let room = self.room;
        let found = tokio::time::timeout(room.longest_wait, room.kibibytes.acquire_many(more));
        let Ok(Ok(found)) = found.await else {
            return Err(BodyError::NoRoom);
        };
        match &mut self.permit {
            Some(permit) => permit.merge(found),
            none => *none = Some(found),
        }
        Ok(())
    }

    /// Gives back what is not needed for `bytes` in all.
    fn shrink(&mut self, bytes: usize) {
        let spare = self.kibibytes().saturating_sub(room_for(bytes));
        drop(self.permit.as_mut().and_then(|permit| permit.split(spare)));
    }
}

/// Room is taken in steps, so that a body that comes in small pieces does not ask for each.
const STEP_BYTES: usize = 64 * 1024;
const STEP_KIBIBYTES: usize = STEP_BYTES / 1024;

/// Kibibytes of the room that a body of so many bytes takes.
const fn room_for(bytes: usize) -> usize {
    let counted = bytes.saturating_sub(limits::HTTP_BODY_FREE_BYTES);
    counted.div_ceil(STEP_BYTES) * STEP_KIBIBYTES
}

/// From here on a body gets at once what it was announced with.
const LARGE_BYTES: usize = 1024 * 1024;

/// A body in one piece up to this size is copied, so that the connection's buffer is free for the
/// next request.
const COPIED_BYTES_MAX: usize = 16 * 1024;

/// Reads the whole body. A large one in one piece is not copied.
pub async fn collect(
    body: Incoming,
    bytes_max: usize,
    longest: Duration,
    taken: &mut Taken<'_>,
) -> Result<Bytes, BodyError> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let hint = body.size_hint();
    if hint.lower() > bytes_max as u64 {
        return Err(BodyError::TooLarge(bytes_max));
    }
    tokio::time::timeout(longest, read(body, bytes_max, taken))
        .await
        .map_err(|_| BodyError::TooSlow(longest.as_secs()))?
}

async fn read(
    mut body: Incoming,
    bytes_max: usize,
    taken: &mut Taken<'_>,
) -> Result<Bytes, BodyError> {
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(bytes_max);
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| BodyError::Broken(error.to_string()))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let length = first.len() + rest.len() + data.len();
        if length > bytes_max {
            return Err(BodyError::TooLarge(bytes_max));
        }
        taken.reach(length).await?;
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&first);
                first = Bytes::new();
            }
            // Growing by halves leaves holes of a body's size; promises alone get no memory.
            if rest.len() < LARGE_BYTES && length >= LARGE_BYTES {
                rest.reserve(announced.min(bytes_max).saturating_sub(rest.len()));
            }
            rest.extend_from_slice(&data);
        }
    }
    Ok(if rest.is_empty() && first.len() <= COPIED_BYTES_MAX {
        Bytes::copy_from_slice(&first)
    } else if rest.is_empty() {
        first
    } else {
        rest.freeze()
    })
}

/// Undoes `Content-Encoding`. What claims an encoding and is not in it is kept as it came. Room is
/// taken for what the body may become, and given back once it is known what it became.
pub async fn decompress(
    body: Bytes,
    encoding: Option<&str>,
    bytes_max: usize,
    taken: &mut Taken<'_>,
) -> Result<Bytes, BodyError> {
    let encoding = encoding.map(|text| text.trim().to_ascii_lowercase());
    if matches!(encoding.as_deref(), None | Some("" | "identity")) {
        return Ok(body);
    }
    let encoding = encoding.as_deref().unwrap_or_default();
    let free = bytes_max.min(limits::HTTP_BODY_FREE_BYTES);
    let undone = match inflated(&body, encoding, free) {
        Err(BodyError::TooLarge(_)) => {
            taken.reach(body.len() + bytes_max).await?;
            let whole = inflated(&body, encoding, bytes_max)?;
            taken.shrink(body.len().max(whole.as_ref().map_or(0, Vec::len)));
            whole
        }
        small => small?,
    };
    Ok(undone.map_or(body, Bytes::from))
}

/// `None`: not in that encoding.
fn inflated(body: &Bytes, encoding: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, BodyError> {
    match encoding {
        "gzip" | "x-gzip" => inflate(flate2::read::MultiGzDecoder::new(body.as_ref()), bytes_max),
        "deflate" => match inflate(flate2::read::ZlibDecoder::new(body.as_ref()), bytes_max)? {
            Some(inflated) => Ok(Some(inflated)),
            None => inflate(flate2::read::DeflateDecoder::new(body.as_ref()), bytes_max),
        },
        other => Err(BodyError::Encoding(other.to_owned())),
    }
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

/// Whether a body would need far more memory than its size says. A small one never does.
pub fn is_too_heavy(body: &[u8]) -> bool {
    body.len() > limits::DECODE_IN_PLACE_BYTES_MAX && weight(body) > limits::BODY_WEIGHT_MAX
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

    /// With all the room that one body can need.
    async fn undone(body: Bytes, encoding: &str, most: usize) -> Result<Bytes, BodyError> {
        let room = Room::new(4 * most + 4 * STEP_BYTES, Duration::ZERO);
        let undone = decompress(body, Some(encoding), most, &mut room.taken()).await;
        assert_eq!(
            room.kibibytes.available_permits(),
            (4 * most + 4 * STEP_BYTES) / 1024,
            "it is given back"
        );
        undone
    }

    #[tokio::test]
    async fn a_bomb_is_refused_and_plain_bytes_that_claim_gzip_are_kept() {
        let bomb = gzip(&vec![b'a'; 100_001]);
        assert!(bomb.len() < 1000);
        let refused = Err(BodyError::TooLarge(100_000));
        assert_eq!(undone(bomb.clone(), "gzip", 100_000).await, refused);
        assert_eq!(undone(bomb, "gzip", 100_001).await.unwrap().len(), 100_001);
        assert_eq!(undone(gzip(b"ab"), "GZIP", 2).await.unwrap(), "ab");
        let plain = Bytes::from_static(b"{}");
        for encoding in ["gzip", "deflate", "identity"] {
            assert_eq!(undone(plain.clone(), encoding, 9).await.unwrap(), plain);
        }
        assert!(undone(plain, "br", 9).await.is_err());
    }

    #[tokio::test]
    async fn what_a_body_takes_of_the_room_is_what_it_came_to() {
        let room = Room::new(4 * STEP_BYTES, Duration::ZERO);
        let mut one = room.taken();
        one.reach(limits::HTTP_BODY_FREE_BYTES).await.unwrap();
        assert_eq!(one.kibibytes(), 0, "a little is free");
        one.reach(limits::HTTP_BODY_FREE_BYTES + 1).await.unwrap();
        one.reach(STEP_BYTES).await.unwrap();
        assert_eq!(one.kibibytes(), STEP_KIBIBYTES);
        one.reach(3 * STEP_BYTES).await.unwrap();
        assert_eq!(one.kibibytes(), 3 * STEP_KIBIBYTES);
        let mut other = room.taken();
        assert_eq!(other.reach(3 * STEP_BYTES).await, Err(BodyError::NoRoom));
        // What is inflated is not known before: room for the most it may be, then for what it is.
        let small = gzip(&vec![b'a'; 2 * STEP_BYTES]);
        let most = 2 * STEP_BYTES;
        let refused = decompress(small.clone(), Some("gzip"), most, &mut other).await;
        assert_eq!(refused, Err(BodyError::NoRoom));
        one.shrink(0);
        assert_eq!(one.kibibytes(), 0);
        let inflated = decompress(small, Some("gzip"), most, &mut other).await;
        assert_eq!(inflated.unwrap().len(), most);
        assert_eq!(other.kibibytes(), 2 * STEP_KIBIBYTES);
        drop(other);
        assert_eq!(room.kibibytes.available_permits(), 4 * STEP_KIBIBYTES);
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

    #[test]
    fn a_body_of_very_many_small_pieces_is_too_heavy_and_a_storm_is_not() {
        let many = |piece: &str, count: usize| format!("[{}0]", piece.repeat(count));
        assert!(is_too_heavy(many("0,", 2_000_000).as_bytes()));
        assert!(is_too_heavy(many("{\"a\":0},", 250_000).as_bytes()));
        assert!(is_too_heavy("<a/>".repeat(250_001).as_bytes()));
        assert!(is_too_heavy("a=1&".repeat(1_000_001).as_bytes()));
        assert!(!is_too_heavy(many("0,", 1_900_000).as_bytes()));
        let text = format!("[\"{}\"]", "{,\\\"".repeat(1_000_000));
        assert!(!is_too_heavy(text.as_bytes()), "a text is one value");
        let alert = "{\"labels\":{\"alertname\":\"a\",\"instance\":\"i\",\"job\":\"j\",\"severity\":\
                     \"critical\"},\"annotations\":{\"summary\":\"s\"},\"startsAt\":\"2026-01-01T00:00:00Z\"},";
        let storm = many(alert, 4 * limits::EVENTS_PER_MESSAGE_MAX);
        assert!(!is_too_heavy(storm.as_bytes()));
    }
}
