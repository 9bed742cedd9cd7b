//! What changed, for those who follow along.
//!
//! Promise: a subscriber sees every batch of events once and in order, or a `Reset` in place of those it missed; a slow
//! one never holds up the state machine.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

use crate::options::FEED_UPDATES_MAX;
use crate::state::Event;

/// One step of the replicated state. The published state is at `index` or later when an update arrives.
#[derive(Clone, Debug)]
pub enum Update {
    /// The events of a batch of entries that ended at `index`.
    Events { index: u64, events: Arc<Vec<Event>> },
    /// The state was replaced by a snapshot, or events were missed: read the state again.
    Reset { index: u64 },
}

/// One subscriber's end.
pub struct Feed {
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    inner: Mutex<Pending>,
    arrived: Notify,
}

#[derive(Default)]
struct Pending {
    updates: VecDeque<Update>,
    closed: bool,
}

impl Feed {
    /// The next update; `None` once the group has stopped. Cancel safe.
    pub async fn next(&mut self) -> Option<Update> {
        loop {
            let arrived = self.queue.arrived.notified();
            {
                let mut pending = self.queue.lock();
                if let Some(update) = pending.updates.pop_front() {
                    return Some(update);
                }
                if pending.closed {
                    return None;
                }
            }
            arrived.await;
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, update: Update) {
        let mut pending = self.lock();
        if pending.updates.len() >= FEED_UPDATES_MAX {
            pending.updates.clear();
            let (Update::Events { index, .. } | Update::Reset { index }) = update;
            pending.updates.push_back(Update::Reset { index });
        } else {
            pending.updates.push_back(update);
        }
        drop(pending);
        self.arrived.notify_one();
    }
}

/// The machine's end.
#[derive(Default)]
pub(crate) struct Feeds {
    inner: Mutex<Subscribed>,
}

#[derive(Default)]
struct Subscribed {
    queues: Vec<Weak<Queue>>,
    closed: bool,
}

impl Feeds {
    pub(crate) fn subscribe(&self) -> Feed {
        let queue = Arc::new(Queue::default());
        let mut subscribed = self.lock();
        queue.lock().closed = subscribed.closed;
        subscribed.queues.retain(|known| known.strong_count() > 0);
        subscribed.queues.push(Arc::downgrade(&queue));
        Feed { queue }
    }

    pub(crate) fn publish(&self, update: &Update) {
        for queue in self.lock().queues.iter().filter_map(Weak::upgrade) {
            queue.push(update.clone());
        }
    }

    pub(crate) fn close(&self) {
        let mut subscribed = self.lock();
        subscribed.closed = true;
        for queue in subscribed.queues.iter().filter_map(Weak::upgrade) {
            queue.lock().closed = true;
            queue.arrived.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Subscribed> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_subscriber_that_falls_behind_gets_one_reset() {
        let feeds = Feeds::default();
        let mut feed = feeds.subscribe();
        for index in 0..=FEED_UPDATES_MAX as u64 {
            feeds.publish(&Update::Events {
                index,
                events: Arc::default(),
            });
        }
        feeds.publish(&Update::Events {
            index: 5000,
            events: Arc::default(),
        });
        feeds.close();
        let last = FEED_UPDATES_MAX as u64;
        assert!(matches!(feed.next().await, Some(Update::Reset { index }) if index == last));
        assert!(matches!(
            feed.next().await,
            Some(Update::Events { index: 5000, .. })
        ));
        assert!(feed.next().await.is_none());
    }
}
