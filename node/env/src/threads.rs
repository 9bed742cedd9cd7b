//! Threads as places where a future runs.

use crate::LocalBoxFuture;

/// Builds, on its own thread, the future that the thread runs to its end.
pub type Main = Box<dyn FnOnce() -> LocalBoxFuture<'static, ()> + Send>;

pub trait Threads: Send + Sync {
    /// Starts a thread named `name` that runs `main` inside a single-threaded tokio runtime with a `LocalSet`.
    /// In the simulator it is a task on the node's own `LocalSet`, so it ends when the node crashes.
    fn start(&self, name: &str, main: Main);
}
