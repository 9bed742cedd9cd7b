//! A second connection to the same node, for calls that take long: the first stays free for the client's other calls.
//!
//! Promise: the connection is opened when it is first needed, kept while it is idle, and opened anew when it broke. Two
//! long calls at once have one each, of which one is kept. It must never know what a call asks.

use std::sync::MutexGuard as LockGuard;

use super::Client;
use crate::{Error, Result};

impl Client {
    /// Runs `call` with a client of the same node that no other call uses meanwhile. `call` must not mind to be made
    /// twice: a kept connection that the node has closed is replaced.
    pub(super) async fn on_second<T, F>(&self, call: impl Fn(Client) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        if self.is_closed() || !self.is_ours() {
            return Err(Error::Closed {
                endpoint: self.inner.target.text().to_owned(),
            });
        }
        let kept = self.second().take();
        if let Some(second) = kept.filter(Client::is_idle) {
            let done = call(second.clone()).await;
            if !matches!(done, Err(Error::Closed { .. })) {
                self.keep_second(second);
                return done;
            }
        }
        let second = self.another().await?;
        let done = call(second.clone()).await;
        self.keep_second(second);
        done
    }

    fn keep_second(&self, second: Client) {
        let is_idle = second.is_idle();
        let mut kept = self.second();
        // Under the lock: `close` takes what is kept afterwards.
        if !self.is_closed() && is_idle {
            kept.get_or_insert(second);
        }
    }

    /// Whether its next call can begin at once.
    fn is_idle(&self) -> bool {
        let connection = self.inner.connection.try_lock();
        let in_step = connection.is_ok_and(|one| one.as_ref().is_some_and(|one| one.in_step()));
        in_step && !self.is_closed() && self.is_ours()
    }

    pub(super) fn second(&self) -> LockGuard<'_, Option<Client>> {
        let second = self.inner.second.lock();
        second.expect("taking and putting back does not panic")
    }
}
