//! Looks at a write-ahead log before SQLite does. SQLite ends its reading at the first frame that
//! does not match its checksum and silently drops what follows, which is right for the torn end of
//! the last, unsynced transaction and wrong for damage further up. As each commit is synced before
//! the next begins, at most one commit can be unsynced: two commits behind a broken frame mean
//! that acknowledged data is damaged. What one commit behind it, or none, means is for the mark of
//! [`super::acked`] to say.

use super::super::StoreError;
use super::connection::{damaged, unavailable};
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
const MAGIC_LITTLE: u32 = 0x377f_0682;
const MAGIC_BIG: u32 = 0x377f_0683;
const PAGE_BYTES_MAX: u32 = 65_536;

/// Refuses a log whose synced part is broken. No log is fine.
pub(super) fn check(database: &Path) -> Result<(), StoreError> {
    let path = log_of(database);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unavailable(&path, &error)),
    };
    match scan(&mut BufReader::with_capacity(1 << 20, file)) {
        Ok(Found::Sound | Found::TornEnd) => Ok(()),
        Ok(Found::BadHeader) => Err(damaged(&path, "its header does not match its checksum")),
        Ok(Found::BrokenFrame(frame)) => Err(damaged(
            &path,
            format!("frame {frame} does not match its checksum, and synced commits follow it"),
        )),
        Err(error) => Err(unavailable(&path, &error)),
    }
}

/// The log that belongs to a database file.
pub(super) fn log_of(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

#[derive(Debug, PartialEq, Eq)]
enum Found {
    Sound,
    TornEnd,
    BadHeader,
    BrokenFrame(u64),
}

struct Log {
    big: bool,
    page: usize,
    salts: [u8; 8],
    sums: (u32, u32),
}

fn scan(file: &mut impl Read) -> std::io::Result<Found> {
    let mut header = [0; HEADER_BYTES];
    if read_full(file, &mut header)? < HEADER_BYTES || header == [0; HEADER_BYTES] {
        return Ok(Found::TornEnd);
    }
    let Some(mut log) = parse_header(&header) else {
        return Ok(Found::BadHeader);
    };
    let mut frame = vec![0; FRAME_HEADER_BYTES + log.page];
    let mut number = 0;
    let mut broken = None;
    let mut commits_after = 0;
    while read_full(file, &mut frame)? == frame.len() {
        number += 1;
        let of_this_log = frame.get(8..16) == Some(log.salts.as_slice());
        let commits = of_this_log && word(&frame, 4, true) != 0;
        if broken.is_none() && !(of_this_log && follows(&mut log, &frame)) {
            broken = Some(number);
        }
        if broken.is_some() && commits {
            commits_after += 1;
        }
    }
    Ok(match broken {
        None => Found::Sound,
        Some(frame) if commits_after >= 2 => Found::BrokenFrame(frame),
        Some(_) => Found::TornEnd,
    })
}

fn parse_header(header: &[u8; HEADER_BYTES]) -> Option<Log> {
    let big = match word(header, 0, true) {
        MAGIC_BIG => true,
        MAGIC_LITTLE => false,
        _ => return None,
    };
    let page = word(header, 8, true);
    let sums = sum(big, (0, 0), header.get(..24)?);
    let stored = (word(header, 24, true), word(header, 28, true));
    if sums != stored || !page.is_power_of_two() || !(512..=PAGE_BYTES_MAX).contains(&page) {
        return None;
    }
    Some(Log {
        big,
        page: usize::try_from(page).ok()?,
        salts: header.get(16..24)?.try_into().ok()?,
        sums,
    })
}

/// Whether the frame continues the chain of checksums; moves the chain on if so.
fn follows(log: &mut Log, frame: &[u8]) -> bool {
    let (Some(start), Some(page)) = (frame.get(..8), frame.get(FRAME_HEADER_BYTES..)) else {
        return false;
    };
    let sums = sum(log.big, sum(log.big, log.sums, start), page);
    if sums != (word(frame, 16, true), word(frame, 20, true)) {
        return false;
    }
    log.sums = sums;
    true
}

fn sum(big: bool, seed: (u32, u32), bytes: &[u8]) -> (u32, u32) {
    let (pairs, _) = bytes.as_chunks::<8>();
    pairs.iter().fold(seed, |(one, two), pair| {
        let one = one.wrapping_add(word(pair, 0, big)).wrapping_add(two);
        let two = two.wrapping_add(word(pair, 4, big)).wrapping_add(one);
        (one, two)
    })
}

fn word(bytes: &[u8], at: usize, big: bool) -> u32 {
    let four = bytes
        .get(at..at + 4)
        .and_then(|four| <[u8; 4]>::try_from(four).ok())
        .unwrap_or_default();
    if big {
        u32::from_be_bytes(four)
    } else {
        u32::from_le_bytes(four)
    }
}

fn read_full(file: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::super::connection::PAGE_BYTES;
    use super::*;
    use std::time::Duration;

    /// A log of five one-page commits.
    fn log() -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.db");
        let connection =
            super::super::connection::open_writer(&path, Duration::from_secs(1)).unwrap();
        connection.execute_batch("CREATE TABLE t (a)").unwrap();
        for n in 0..5 {
            connection
                .execute("INSERT INTO t VALUES (?1)", [n])
                .unwrap();
        }
        std::fs::read(log_of(&path)).unwrap()
    }

    fn frame_start(frame: usize) -> usize {
        HEADER_BYTES + (frame - 1) * (FRAME_HEADER_BYTES + usize::from(PAGE_BYTES))
    }

    #[test]
    fn tells_a_torn_end_from_damage() {
        let whole = log();
        let frames = (whole.len() - HEADER_BYTES) / (FRAME_HEADER_BYTES + usize::from(PAGE_BYTES));
        assert!(frames >= 6);
        assert_eq!(scan(&mut whole.as_slice()).unwrap(), Found::Sound);
        let cut = &whole[..whole.len() - 100];
        assert_eq!(scan(&mut &cut[..]).unwrap(), Found::Sound);
        let mut torn = whole.clone();
        torn[frame_start(frames) + 2000] ^= 1;
        assert_eq!(scan(&mut torn.as_slice()).unwrap(), Found::TornEnd);
        for frame in 1..frames {
            let mut broken = whole.clone();
            broken[frame_start(frame) + 2000] ^= 1;
            assert_eq!(
                scan(&mut broken.as_slice()).unwrap(),
                Found::BrokenFrame(frame as u64)
            );
        }
        let mut header = whole;
        header[9] ^= 1;
        assert_eq!(scan(&mut header.as_slice()).unwrap(), Found::BadHeader);
    }
}
