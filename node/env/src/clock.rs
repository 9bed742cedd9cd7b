//! Wall-clock time, for stamps that people read. Durations and deadlines use `tokio::time`.

pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn unix_ms(&self) -> u64;
}
