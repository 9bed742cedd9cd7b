//! Who writes: the writer thread, for all that is queued; or a caller that has nothing else to do, on its own thread,
//! while nothing is queued.
//!
//! Promise: batches become durable in the order in which one caller hands them over. A caller's thread never waits for
//! room, for descriptors, for sled or for another writer, and stays away for a while after a sync that took long.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError, mpsc};
use std::time::{Duration, Instant};

use vineyard_env::{Batch, Done};

use super::queue::{Write, gather};
use super::writer::Writer;

/// Changes in a batch that a caller writes by itself, at most: more of them are written while it prepares the next.
const CHANGES_MAX: usize = 2;
/// A caller that waited longer than this for its sync has other things to do.
const SYNC_MAX: Duration = Duration::from_millis(5);
/// For so long all is left to the thread then.
const AWAY: Duration = Duration::from_secs(1);

/// The writer, and what waits for it.
pub(super) struct Desk {
    seat: Mutex<Seat>,
    /// Batches that are queued or that the thread writes.
    queued: AtomicUsize,
}

struct Seat {
    /// None once the disk is closed.
    writer: Option<Writer>,
    away_until: Option<Instant>,
}

impl Desk {
    pub(super) fn new(writer: Writer) -> Arc<Self> {
        let writer = Some(writer);
        Arc::new(Self {
            seat: Mutex::new(Seat {
                writer,
                away_until: None,
            }),
            queued: AtomicUsize::new(0),
        })
    }

    /// Hands a batch to the thread.
    pub(super) fn queue(&self, writes: &mpsc::Sender<Write>, batch: Batch, done: Done) {
        let done = Some(done);
        self.queued.fetch_add(1, Ordering::SeqCst);
        // Without a thread the write is dropped, which tells the caller.
        drop(writes.send(Write { batch, done }));
    }

    /// Writes a batch on this thread, or gives it back.
    pub(super) fn write_here(&self, batch: Batch, done: Done) -> Option<(Batch, Done)> {
        if batch.len() > CHANGES_MAX {
            return Some((batch, done));
        }
        let mut seat = match self.seat.try_lock() {
            Ok(seat) => seat,
            Err(TryLockError::WouldBlock | TryLockError::Poisoned(_)) => {
                return Some((batch, done));
            }
        };
        let began = Instant::now();
        if self.queued.load(Ordering::SeqCst) > 0
            || seat.away_until.is_some_and(|until| began < until)
        {
            return Some((batch, done));
        }
        let Some(outcome) = seat
            .writer
            .as_mut()
            .and_then(|writer| writer.write_at_once(&batch))
        else {
            return Some((batch, done));
        };
        seat.away_until = (began.elapsed() > SYNC_MAX).then(|| began + AWAY);
        drop(seat);
        done(outcome);
        None
    }

    /// Writes what is queued until nobody can queue any more, then closes sled.
    pub(super) fn write_until_closed(&self, queue: &mpsc::Receiver<Write>) {
        while let Ok(first) = queue.recv() {
            let group = gather(first, queue);
            let count = group.len();
            let mut seat = self.seat.lock().unwrap_or_else(PoisonError::into_inner);
            // Dropped without a writer, which tells the callers.
            if let Some(writer) = &mut seat.writer {
                writer.write(group);
            }
            self.queued.fetch_sub(count, Ordering::SeqCst);
        }
        let mut seat = self.seat.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = seat.writer.take() {
            writer.close();
        }
    }

    /// The thread has panicked: sled is not closed.
    pub(super) fn abandon(&self) {
        let mut seat = self.seat.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::forget(seat.writer.take());
    }
}
