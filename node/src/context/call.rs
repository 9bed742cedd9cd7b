//! The request that a task serves: its trace, and what it waited for.
//!
//! It is a task-local, so that no function has it as an argument. `carried` passes it on to a spawned task.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;
use vineyard_wire::Trace;

/// A wait that is shorter does not make a request slow. Most are, and to note each would cost as much.
const NOTED_MIN: Duration = Duration::from_micros(100);

tokio::task_local! {
    static CALL: Rc<Call>;
}

/// See the module.
pub(crate) struct Call {
    trace: Trace,
    waits: RefCell<Vec<(&'static str, Duration)>>,
    /// Time that the caller asked to wait.
    asked: Cell<Duration>,
    /// The caller's own deadline passed.
    timed_out: Cell<bool>,
    /// How long the caller lets the cluster decide, if it has said so.
    patience: Option<Duration>,
}

impl Call {
    pub(crate) fn new(trace: Trace, patience: Option<Duration>) -> Rc<Self> {
        Rc::new(Self {
            trace,
            patience,
            waits: RefCell::default(),
            asked: Cell::default(),
            timed_out: Cell::default(),
        })
    }

    /// Serves the request by `work`.
    pub(crate) async fn run<T>(self: Rc<Self>, work: impl Future<Output = T>) -> T {
        CALL.scope(self, work).await
    }

    /// Time that the caller asked to wait, which does not count as delay.
    pub(crate) fn asked(&self) -> Duration {
        self.asked.get()
    }

    /// Whether the request ended by a deadline that the caller gave, which is no failure.
    pub(crate) fn timed_out(&self) -> bool {
        self.timed_out.get()
    }

    /// What the request waited for, the longest first.
    pub(crate) fn waits(&self) -> Waits {
        let mut waits = self.waits.borrow().clone();
        waits.sort_by_key(|(_, spent)| std::cmp::Reverse(*spent));
        Waits(waits)
    }

    fn add(&self, what: &'static str, spent: Duration) {
        if spent < NOTED_MIN {
            return;
        }
        let mut waits = self.waits.borrow_mut();
        match waits.iter_mut().find(|(known, _)| *known == what) {
            Some((_, total)) => *total += spent,
            None => waits.push((what, spent)),
        }
    }
}

/// As in the log: `the cluster 1203 ms, the bulk workers 4 ms`.
pub(crate) struct Waits(Vec<(&'static str, Duration)>);

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing but its own work");
        }
        for (at, (what, spent)) in self.0.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{what} {} ms", spent.as_millis())?;
        }
        Ok(())
    }
}

/// The trace of the request that this task serves, if it serves one.
pub(crate) fn trace() -> Option<Trace> {
    CALL.try_with(|call| call.trace).ok()
}

/// How long this request may wait for the cluster: `at_most`, or less if its caller waits for less.
pub(crate) fn patience(at_most: Duration) -> Duration {
    let said = CALL.try_with(|call| call.patience).ok().flatten();
    said.map_or(at_most, |said| said.min(at_most))
}

/// Notes for the log that the request waited for `what`.
pub(crate) async fn waiting_for<T>(what: &'static str, work: impl Future<Output = T>) -> T {
    let _wait = Wait::begin(Some(what));
    work.await
}

/// Runs `work`, a wait that the caller asked for.
pub(crate) async fn as_asked<T>(work: impl Future<Output = T>) -> T {
    let _wait = Wait::begin(None);
    work.await
}

/// Notes that a deadline which the caller gave has passed.
pub(crate) fn note_timeout() {
    // Background tasks serve no request.
    let _own_task = CALL.try_with(|call| call.timed_out.set(true));
}

/// Counts a wait when it ends, also if it is dropped: the client may leave, or its own deadline pass.
struct Wait {
    call: Option<Rc<Call>>,
    /// `None` for a wait that the caller asked for.
    what: Option<&'static str>,
    begun: Instant,
}

impl Wait {
    fn begin(what: Option<&'static str>) -> Self {
        Self {
            // Background tasks serve no request.
            call: CALL.try_with(Rc::clone).ok(),
            what,
            begun: Instant::now(),
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        let Some(call) = &self.call else { return };
        let spent = self.begun.elapsed();
        match self.what {
            Some(what) => call.add(what, spent),
            None => call.asked.set(call.asked.get() + spent),
        }
    }
}

/// `work` as a part of the current request, for a spawned task.
pub(crate) fn carried<T: 'static>(
    work: impl Future<Output = T> + 'static,
) -> impl Future<Output = T> + 'static {
    let call = CALL.try_with(Rc::clone).ok();
    async move {
        match call {
            Some(call) => call.run(work).await,
            None => work.await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waits_are_added_up_and_what_was_asked_for_counts_apart() {
        let call = Call::new(Trace(7), Some(Duration::from_secs(1)));
        let sleep = |ms| tokio::time::sleep(Duration::from_millis(ms));
        let work = async {
            waiting_for("one", sleep(5)).await;
            waiting_for("other", sleep(20)).await;
            carried(waiting_for("one", sleep(10))).await;
            as_asked(sleep(1000)).await;
            let second = Duration::from_secs(1);
            assert_eq!(patience(5 * second), second);
            assert_eq!(patience(second / 2), second / 2);
            trace()
        };
        assert_eq!(call.clone().run(work).await, Some(Trace(7)));
        assert_eq!(patience(Duration::from_secs(5)), Duration::from_secs(5));
        assert_eq!(call.waits().to_string(), "other 20 ms, one 15 ms");
        assert_eq!(call.asked(), Duration::from_secs(1));
        // A wait that is given up counts too.
        let given_up = tokio::time::timeout(Duration::from_millis(500), as_asked(sleep(1000)));
        assert!(call.clone().run(given_up).await.is_err());
        assert_eq!(call.asked(), Duration::from_millis(1500));
        assert_eq!(trace(), None);
    }
}
