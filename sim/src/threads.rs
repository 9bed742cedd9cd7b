//! Threads as tasks: all of a node runs on one thread here, so that its order is the seed's.

use vineyard_env::{Main, Threads};

/// Starts each "thread" on the `LocalSet` that is being polled, so it ends when the process does.
pub struct SimThreads;

impl Threads for SimThreads {
    fn start(&self, _name: &str, main: Main) {
        // Built inside the task, as a real thread would build it on its own stack.
        tokio::task::spawn_local(async move { main().await });
    }
}
