//! The fence around foreign bytes: unwind boundary, time budget, and a mark of what is in hand.
//!
//! A decoder that panics or takes too long gives an [`Undecodable`] with the reason; the bytes are
//! kept by the caller. Before decoding, a digest of the bytes is written to a slot of the mark
//! file. A process that dies inside a decoder (stack overflow, abort, killed by the watchdog)
//! leaves the mark; bytes that were in a slot at two deaths, and were never decoded in between,
//! are not decoded again. Marks of what was decoded stay until their slot is used again: wiping
//! them would cost a second write a message, and decoding well clears a suspicion anyway. Marks
//! are not synced: they must survive the process, not the machine. Invariant: no bytes can kill
//! the daemon more than twice.

use super::Tried;
use crate::formats::Undecodable;
use crate::limits;
use rustc_hash::FxHashMap;
use std::fs::{File, OpenOptions};
use std::hash::Hasher;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

const SLOTS: u16 = 1024;
const SLOT_BYTES: u64 = 16;
const DEATHS_MAX: u32 = 2;

/// A digest of bytes in hand.
type Digest = [u8; 16];

/// Others that are large were decoded for too long: whoever can come again should.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "other large messages were decoded for over {} s",
    limits::DECODE_WAIT_SECONDS
)]
pub struct Busy;

/// The fence. Shared by all doors.
pub struct Fence {
    marks: Option<Marks>,
    free: Mutex<Vec<u16>>,
    suspects: Suspects,
    slow: Arc<Semaphore>,
    budget: Duration,
    /// For others that are large.
    longest_wait: Duration,
}

impl Fence {
    /// A fence without a mark file.
    pub fn without_marks() -> Fence {
        Fence {
            marks: None,
            free: Mutex::default(),
            suspects: Suspects::default(),
            slow: Arc::new(Semaphore::new(limits::DECODE_SLOW_MAX)),
            budget: Duration::from_secs(limits::DECODE_SECONDS),
            longest_wait: Duration::from_secs(limits::DECODE_WAIT_SECONDS),
        }
    }

    /// The same with another time budget.
    pub fn with_budget(self, budget: Duration) -> Fence {
        Fence { budget, ..self }
    }

    /// A fence with its marks in `dir`: reads what the last process had in its slots if it died,
    /// adds it to the list of suspects, and starts with empty marks.
    pub fn open(dir: &Path) -> std::io::Result<Fence> {
        let marks_file = dir.join("decoder-marks");
        let suspects_file = dir.join("decoder-suspects");
        let mut deaths = read_suspects(&suspects_file);
        let left = std::fs::read(&marks_file).unwrap_or_default();
        let (slots, _) = left.as_chunks::<16>();
        let mut watched = 0u32;
        for slot in slots.iter().filter(|slot| **slot != [0; 16]) {
            *deaths.entry(*slot).or_default() += 1;
            watched += 1;
        }
        if watched > 0 {
            tracing::info!(watched, "last_process_died");
            write_suspects(&suspects_file, &deaths)?;
        }
        let marks = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .open(&marks_file)?;
        Ok(Fence {
            marks: Some(Marks(marks)),
            free: Mutex::new((0..SLOTS).rev().collect()),
            suspects: Suspects::new(suspects_file, deaths),
            ..Fence::without_marks()
        })
    }

    /// Decodes in place. For small bodies, where starting a thread would cost more than it saves.
    pub fn decode(&self, sender: &str, bytes: &[u8], decode: impl FnOnce() -> Tried) -> Tried {
        let digest = digest(bytes);
        if self.suspects.is_deadly(&digest) {
            return deadly(sender);
        }
        let slot = self.mark(&digest);
        let tried = catch_unwind(AssertUnwindSafe(decode))
            .unwrap_or_else(|panic| (sender.to_owned(), Err(panicked(panic.as_ref()))));
        self.suspects.clear(&digest);
        if let Some(slot) = slot {
            self.free_slots().push(slot);
        }
        tried
    }

    /// Decodes on a thread of its own within the time budget; a decoder that goes on after it is
    /// left behind, and only a few may be left behind at once. What is large waits for others that
    /// are large: taken apart it needs many times its size.
    pub async fn decode_apart(
        self: &Arc<Fence>,
        sender: &str,
        bytes: bytes::Bytes,
        decode: impl FnOnce(&[u8]) -> Tried + Send + 'static,
    ) -> Result<Tried, Busy> {
        let refused = |reason: String| (sender.to_owned(), Err(Undecodable::because(reason)));
        let share = (bytes.len() >> 20).clamp(1, limits::DECODE_SLOW_MAX);
        let permit = self.slow.clone().acquire_many_owned(share as u32);
        let Ok(Ok(mut permit)) = tokio::time::timeout(self.longest_wait, permit).await else {
            return Err(Busy);
        };
        let large = Arc::new(Mutex::new(permit.split(share - 1)));
        let (fence, name, held) = (self.clone(), sender.to_owned(), large.clone());
        let work = tokio::task::spawn_blocking(move || {
            let _permits = (permit, held);
            fence.decode(&name, &bytes, || decode(&bytes))
        });
        Ok(match tokio::time::timeout(self.budget, work).await {
            Ok(Ok(tried)) => tried,
            Ok(Err(_)) => refused("the decoder was interrupted".to_owned()),
            Err(_) => {
                // Left behind it counts as one, so that few of them keep nobody out.
                large.lock().unwrap_or_else(PoisonError::into_inner).take();
                let seconds = self.budget.as_secs_f32();
                refused(format!(
                    "decoding took longer than {seconds} s and was given up"
                ))
            }
        })
    }

    fn mark(&self, digest: &Digest) -> Option<u16> {
        let marks = self.marks.as_ref()?;
        let slot = self.free_slots().pop()?;
        let place = u64::from(slot) * SLOT_BYTES;
        if marks.0.write_at(digest, place).is_err() {
            // A full disk must not stop decoding; the append will say what is wrong.
            self.free_slots().push(slot);
            return None;
        }
        Some(slot)
    }

    fn free_slots(&self) -> std::sync::MutexGuard<'_, Vec<u16>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The mark file. A process that is stopped has nothing in hand and leaves it empty.
struct Marks(File);

impl Drop for Marks {
    fn drop(&mut self) {
        // What is left is watched at the next start, and cleared once it was decoded.
        let _ = self.0.set_len(0);
    }
}

/// Bytes that were in a slot when a process died, and how often, since they were last decoded.
#[derive(Default)]
struct Suspects {
    file: PathBuf,
    any: AtomicBool,
    deaths: Mutex<FxHashMap<Digest, u32>>,
}

impl Suspects {
    fn new(file: PathBuf, deaths: FxHashMap<Digest, u32>) -> Suspects {
        Suspects {
            file,
            any: AtomicBool::new(!deaths.is_empty()),
            deaths: Mutex::new(deaths),
        }
    }

    fn is_deadly(&self, digest: &Digest) -> bool {
        self.any.load(Ordering::Relaxed)
            && self
                .deaths()
                .get(digest)
                .is_some_and(|deaths| *deaths >= DEATHS_MAX)
    }

    /// They were decoded, and the process lives.
    fn clear(&self, digest: &Digest) {
        if !self.any.load(Ordering::Relaxed) {
            return;
        }
        let mut deaths = self.deaths();
        if deaths.remove(digest).is_some() {
            self.any.store(!deaths.is_empty(), Ordering::Relaxed);
            // If it cannot be written, they are watched once more than needed.
            let _ = write_suspects(&self.file, &deaths);
        }
    }

    fn deaths(&self) -> std::sync::MutexGuard<'_, FxHashMap<Digest, u32>> {
        self.deaths.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn deadly(sender: &str) -> Tried {
    let reason = "the daemon died twice while decoding exactly these bytes; they are kept as they \
                  came and not decoded again";
    (sender.to_owned(), Err(Undecodable::because(reason)))
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Undecodable {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    Undecodable::because(format!("the decoder failed on it: {text}"))
}

fn digest(bytes: &[u8]) -> Digest {
    let mut hasher = rustc_hash::FxHasher::default();
    hasher.write(bytes);
    let [a, b, c, d] = crc32fast::hash(bytes).to_be_bytes();
    let [e, f, g, h] = (bytes.len() as u32).to_be_bytes();
    let [i, j, k, l, m, n, o, p] = hasher.finish().to_be_bytes();
    [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p]
}

fn read_suspects(file: &Path) -> FxHashMap<Digest, u32> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .filter_map(|line| {
            let (digest, deaths) = line.split_once(' ')?;
            let digest = u128::from_str_radix(digest, 16).ok()?.to_be_bytes();
            Some((digest, deaths.trim().parse().ok()?))
        })
        .take(limits::DECODE_SUSPECTS_MAX)
        .collect()
}

fn write_suspects(file: &Path, suspects: &FxHashMap<Digest, u32>) -> std::io::Result<()> {
    use std::fmt::Write;
    // The most dangerous ones first, so that the bound drops the others.
    let mut sorted: Vec<_> = suspects.iter().collect();
    sorted.sort_by_key(|(digest, deaths)| (std::cmp::Reverse(**deaths), **digest));
    let mut text = String::new();
    for (digest, deaths) in sorted.into_iter().take(limits::DECODE_SUSPECTS_MAX) {
        let _ = writeln!(text, "{:032x} {deaths}", u128::from_be_bytes(*digest));
    }
    let new = file.with_extension("new");
    std::fs::write(&new, text)?;
    std::fs::rename(new, file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::Decoded;

    fn good() -> Tried {
        ("x".to_owned(), Ok(Decoded::default()))
    }

    #[test]
    fn a_panic_becomes_a_reason() {
        let fence = Fence::without_marks();
        let (sender, tried) = fence.decode("x", b"1", || panic!("index 7"));
        assert_eq!(sender, "x");
        assert_eq!(
            tried.unwrap_err().reason,
            "the decoder failed on it: index 7"
        );
    }

    #[tokio::test]
    async fn a_decoder_over_its_time_is_given_up() {
        let fence = Arc::new(Fence::without_marks().with_budget(Duration::from_millis(5)));
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let (_, tried) = fence
            .decode_apart("x", bytes::Bytes::from_static(b"1"), move |_| {
                let _ = wait.recv();
                good()
            })
            .await
            .unwrap();
        assert!(tried.unwrap_err().reason.contains("took longer than"));
        drop(go);
    }

    #[tokio::test]
    async fn what_is_large_is_decoded_one_after_the_other_and_given_up_leaves_room() {
        let fence = Arc::new(Fence::without_marks().with_budget(Duration::from_millis(200)));
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let large = || bytes::Bytes::from(vec![b' '; 10 << 20]);
        let stuck = fence.decode_apart("x", large(), move |_| {
            let _ = wait.recv();
            good()
        });
        let watched = fence.clone();
        let seen = async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            watched.slow.available_permits()
        };
        let (stuck, free) = tokio::join!(stuck, seen);
        let (_, tried) = stuck.unwrap();
        assert_eq!(free, limits::DECODE_SLOW_MAX - 10, "no room for a second");
        assert!(tried.unwrap_err().reason.contains("took longer than"));
        assert_eq!(fence.slow.available_permits(), limits::DECODE_SLOW_MAX - 1);
        let next = fence.decode_apart("x", large(), |_| good()).await;
        assert!(next.unwrap().1.is_ok());
        drop(go);
    }

    #[tokio::test]
    async fn who_waits_too_long_for_others_that_are_large_may_come_again() {
        let mut fence = Fence::without_marks();
        fence.longest_wait = Duration::from_millis(20);
        let fence = Arc::new(fence);
        let all = limits::DECODE_SLOW_MAX as u32;
        let others = fence.slow.clone().acquire_many_owned(all).await.unwrap();
        let small = || bytes::Bytes::from_static(b"1");
        let refused = fence.decode_apart("x", small(), |_| good()).await;
        assert_eq!(refused.unwrap_err(), Busy);
        drop(others);
        let taken = fence.decode_apart("x", small(), |_| good()).await;
        assert!(taken.unwrap().1.is_ok());
    }

    #[test]
    fn bytes_in_hand_at_two_deaths_are_not_decoded_again() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let fence = Fence::open(dir.path()).unwrap();
            assert!(!fence.suspects.is_deadly(&digest(b"bad")));
            assert!(fence.mark(&digest(b"bad")).is_some());
            dies(fence);
        }
        for _ in 0..2 {
            let fence = Fence::open(dir.path()).unwrap();
            let reason = fence.decode("x", b"bad", good).1.unwrap_err().reason;
            assert!(reason.contains("died twice"), "{reason}");
            assert!(fence.decode("x", b"fine", good).1.is_ok());
        }
    }

    #[test]
    fn what_was_decoded_is_never_deadly_however_often_the_process_dies_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        for _ in 0..4 {
            let fence = Fence::open(dir.path()).unwrap();
            assert!(fence.decode("x", b"fine", good).1.is_ok());
            dies(fence);
        }
    }

    #[test]
    fn a_process_that_is_stopped_leaves_nobody_to_watch() {
        let dir = tempfile::tempdir().unwrap();
        let fence = Fence::open(dir.path()).unwrap();
        assert!(fence.decode("x", b"fine", good).1.is_ok());
        drop(fence);
        let fence = Fence::open(dir.path()).unwrap();
        assert!(!fence.suspects.any.load(Ordering::Relaxed));
    }

    /// Ends without tidying up, as a process that is killed.
    fn dies(fence: Fence) {
        std::mem::forget(fence);
    }
}
