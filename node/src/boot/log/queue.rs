//! Lines that wait for the thread that writes them.
//!
//! Promise: adding a line never waits for the reader of the log. Lines that find no room are dropped and counted; once
//! one was dropped, so are all later ones until the writer has taken what is queued, so the count always stands where
//! the lines are missing. It must never know what a line says.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

pub(super) struct Queue {
    inner: Mutex<Inner>,
    changed: Condvar,
    bytes_max: usize,
}

#[derive(Default)]
struct Inner {
    lines: Vec<String>,
    bytes: usize,
    dropped: u64,
    is_closed: bool,
    is_written: bool,
}

/// What the writer took: lines, and how many are missing after them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) lines: Vec<String>,
    pub(super) dropped: u64,
}

impl Queue {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            inner: Mutex::default(),
            changed: Condvar::new(),
            bytes_max,
        }
    }

    /// Adds a line, or counts it as dropped.
    pub(super) fn push(&self, line: String) {
        let mut inner = self.lock();
        if inner.dropped > 0 || inner.bytes + line.len() > self.bytes_max {
            inner.dropped += 1;
            return;
        }
        inner.bytes += line.len();
        inner.lines.push(line);
        self.changed.notify_all();
    }

    /// Counts lines that were taken and could not be written.
    pub(super) fn lost(&self, lines: u64) {
        self.lock().dropped += lines;
    }

    /// Waits for lines, at most until `until`. `None` once the queue is closed and empty; then everything counts as
    /// written.
    pub(super) fn take(&self, until: Option<Instant>) -> Option<Batch> {
        let mut inner = self.lock();
        while inner.lines.is_empty() {
            if inner.is_closed {
                inner.is_written = true;
                self.changed.notify_all();
                return None;
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                break;
            }
            inner = self.wait(inner, left);
        }
        inner.bytes = 0;
        Some(Batch {
            lines: std::mem::take(&mut inner.lines),
            dropped: std::mem::take(&mut inner.dropped),
        })
    }

    /// Takes no more lines, and waits until those that are queued were written, at most for `within`. False if they
    /// were not.
    pub(super) fn finish(&self, within: Duration) -> bool {
        let until = Instant::now() + within;
        let mut inner = self.lock();
        inner.is_closed = true;
        self.changed.notify_all();
        while !inner.is_written {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            inner = self.wait(inner, Some(left));
        }
        true
    }

    fn wait<'a>(
        &self,
        inner: MutexGuard<'a, Inner>,
        left: Option<Duration>,
    ) -> MutexGuard<'a, Inner> {
        match left {
            Some(left) => {
                let waited = self.changed.wait_timeout(inner, left);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let waited = self.changed.wait(inner);
                waited.unwrap_or_else(PoisonError::into_inner)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(lines: &[&str], dropped: u64) -> Option<Batch> {
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        Some(Batch { lines, dropped })
    }

    #[test]
    fn what_finds_no_room_is_counted_where_it_is_missing() {
        let queue = Queue::new(4);
        for line in ["one", "four", "x", "y"] {
            queue.push(line.to_owned());
        }
        // There was room for "x", but it would have stood before the count of what was dropped before it.
        assert_eq!(queue.take(None), batch(&["one"], 3));
        queue.push("two".to_owned());
        queue.lost(1);
        assert_eq!(queue.take(None), batch(&["two"], 1));
        assert_eq!(queue.take(Some(Instant::now())), batch(&[], 0));
    }

    #[test]
    fn a_writer_that_hangs_holds_up_nothing() {
        let queue = Queue::new(4);
        queue.push("one".to_owned());
        assert!(!queue.finish(Duration::ZERO));
        assert_eq!(queue.take(None), batch(&["one"], 0));
        assert_eq!(queue.take(None), None);
        assert!(queue.finish(Duration::ZERO));
    }
}
