//! Waiting for a condition. There is no other way to wait here: a sleep in place of a condition is a flake.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

const POLL_EVERY: Duration = Duration::from_millis(10);

/// Asks `probe` until it has a value, or fails after `within` with what was awaited and the last reason.
pub fn until<T>(
    awaited: &str,
    within: Duration,
    mut probe: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        let reason = match probe() {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => "not yet".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        if started.elapsed() > within {
            bail!("waited {within:?} for {awaited}: {reason}");
        }
        std::thread::sleep(POLL_EVERY);
    }
}
