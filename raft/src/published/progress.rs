//! Tasks that wait for an entry to be applied here. Knows indexes only.

use std::collections::BTreeMap;
use std::sync::Mutex;

use tokio::sync::oneshot;

/// The index applied last, and the waiters for later ones, woken in order of index and then of arrival.
#[derive(Default)]
pub(crate) struct Progress {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    applied: u64,
    closed: bool,
    waiters: BTreeMap<u64, Vec<oneshot::Sender<()>>>,
}

impl Progress {
    pub(crate) fn applied(&self) -> u64 {
        self.lock().applied
    }

    /// Raises the applied index and wakes those it satisfies.
    pub(crate) fn advance(&self, index: u64) {
        let woken = {
            let mut inner = self.lock();
            inner.applied = inner.applied.max(index);
            let next = inner.applied + 1;
            let later = inner.waiters.split_off(&next);
            std::mem::replace(&mut inner.waiters, later)
        };
        for waiter in woken.into_values().flatten() {
            // A waiter that gave up is not missed.
            let _ = waiter.send(());
        }
    }

    /// Returns when `index` has been applied; false if that will not happen any more.
    pub(crate) async fn reached(&self, index: u64) -> bool {
        let waiting = {
            let mut inner = self.lock();
            if inner.applied >= index {
                return true;
            }
            if inner.closed {
                return false;
            }
            let (sender, receiver) = oneshot::channel();
            let waiters = inner.waiters.entry(index).or_default();
            waiters.retain(|waiter| !waiter.is_closed());
            waiters.push(sender);
            receiver
        };
        waiting.await.is_ok()
    }

    /// Wakes every waiter: nothing will be applied any more.
    pub(crate) fn close(&self) {
        let waiters = {
            let mut inner = self.lock();
            inner.closed = true;
            std::mem::take(&mut inner.waiters)
        };
        drop(waiters);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_waiter_is_woken_by_its_index_and_not_before() {
        let progress = Progress::default();
        let mut third = Box::pin(progress.reached(3));
        assert_eq!((&mut third).now_or_never(), None);
        progress.advance(2);
        assert_eq!((&mut third).now_or_never(), None);
        progress.advance(5);
        assert_eq!((&mut third).now_or_never(), Some(true));
        assert_eq!(progress.reached(4).now_or_never(), Some(true));
    }

    #[test]
    fn closing_wakes_waiters_without_success() {
        let progress = Progress::default();
        let mut waiting = Box::pin(progress.reached(1));
        assert_eq!((&mut waiting).now_or_never(), None);
        progress.close();
        assert_eq!(waiting.now_or_never(), Some(false));
        assert_eq!(progress.reached(1).now_or_never(), Some(false));
    }
}
