//! The threads that serve connections: each has a runtime of its own, and a connection stays where
//! it began, so that nothing but the journal is between threads from a request's first byte to its
//! answer (docs/performance.md).
//!
//! What takes long is not done here: large bodies are decoded apart ([`super::fence`]).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

/// The threads; shared by the listeners.
#[derive(Clone)]
pub struct Threads(Arc<Shared>);

struct Shared {
    runtimes: Vec<Handle>,
    next: AtomicUsize,
    end: CancellationToken,
    running: Mutex<Vec<JoinHandle<()>>>,
}

impl Threads {
    /// Starts as many as the machine has processors.
    pub fn start() -> std::io::Result<Threads> {
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        let end = CancellationToken::new();
        let (mut runtimes, mut running) = (Vec::new(), Vec::new());
        for number in 0..count {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            runtimes.push(runtime.handle().clone());
            let ended = end.clone();
            let thread = std::thread::Builder::new()
                .name(format!("door-{number}"))
                .spawn(move || runtime.block_on(ended.cancelled()))?;
            running.push(thread);
        }
        Ok(Threads(Arc::new(Shared {
            runtimes,
            next: AtomicUsize::new(0),
            end,
            running: Mutex::new(running),
        })))
    }

    /// The thread of the next connection: in turns, as senders keep their connections for long.
    pub(super) fn next(&self) -> &Handle {
        let turn = self.0.next.fetch_add(1, Ordering::Relaxed);
        &self.0.runtimes[turn % self.0.runtimes.len()]
    }

    /// Whether each thread gets to a new task in that time; a decoder that never ends would keep its
    /// thread from that.
    pub async fn turn_within(&self, longest: Duration) -> bool {
        let tasks = self.0.runtimes.iter().map(|thread| thread.spawn(async {}));
        let all = futures_util::future::join_all(tasks);
        tokio::time::timeout(longest, all).await.is_ok()
    }

    /// Drops what is still served and waits until the threads are gone.
    pub fn end(&self) {
        self.0.end.cancel();
        let mut running = self
            .0
            .running
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for thread in running.drain(..) {
            // A thread that panicked is gone as well.
            let _ = thread.join();
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn a_thread_that_is_stuck_is_found_out_and_the_end_waits_for_all() {
        let threads = Threads::start().unwrap();
        let longest = Duration::from_secs(30);
        assert!(threads.turn_within(longest).await);
        let (free, freed) = mpsc::channel::<()>();
        let stuck = threads.next().spawn(async move {
            let _ = freed.recv();
        });
        assert!(!threads.turn_within(Duration::from_millis(50)).await);
        drop(free);
        stuck.await.unwrap();
        assert!(threads.turn_within(longest).await);

        let (alive, ended) = mpsc::channel::<()>();
        threads.next().spawn(async move {
            std::future::pending::<()>().await;
            drop(alive);
        });
        threads.end();
        assert_eq!(ended.try_recv(), Err(mpsc::TryRecvError::Disconnected));
        // Threads that are gone are not stuck.
        assert!(threads.turn_within(longest).await);
    }
}
