//! Long waits in short steps, so that a signal ends one without breaking its connection.

use std::time::Duration;

use pyo3::prelude::*;
use tokio::time::Instant;
use vineyard_client::Error;

use super::{Live, Stop, drive_to_end};

/// One step of a wait: what Ctrl-C may be late by.
const STEP: Duration = Duration::from_millis(200);

/// How a wait ended.
pub(crate) enum Waited<T> {
    Done(T),
    /// What came, and what a signal handler raised meanwhile.
    Interrupted(T, PyErr),
    Late,
}

impl Live {
    /// Asks `step`, which waits as long as it is told, until it has an answer or `within` has passed.
    pub(crate) fn wait_in_steps<T: Send>(
        &self,
        py: Python<'_>,
        within: Duration,
        mut step: impl AsyncFnMut(Duration) -> Result<T, Error> + Send,
    ) -> PyResult<Waited<T>> {
        let (_, runtime) = self.parts();
        let begun = Instant::now();
        loop {
            let left = within.saturating_sub(begun.elapsed());
            let asked = py.detach(|| drive_to_end(runtime, step(left.min(STEP))));
            match asked {
                Ok((value, None)) => return Ok(Waited::Done(value)),
                Ok((value, Some(raised))) => return Ok(Waited::Interrupted(value, raised)),
                Err(Stop::Failed(Error::Deadline { .. })) if left > STEP => py.check_signals()?,
                Err(Stop::Failed(Error::Deadline { .. })) => return Ok(Waited::Late),
                Err(stop) => return Err(stop.into_exception(py)),
            }
        }
    }
}
