//! Operating system threads, each with a single-threaded runtime.

use tokio::task::LocalSet;
use vineyard_env::Main;

pub(crate) struct SystemThreads;

impl vineyard_env::Threads for SystemThreads {
    fn start(&self, name: &str, main: Main) {
        let run = move || match super::runtime() {
            Ok(runtime) => LocalSet::new().block_on(&runtime, main()),
            // Whoever waits for this thread finds its channel closed.
            Err(error) => tracing::error!(%error, "a thread could not make its runtime"),
        };
        if let Err(error) = std::thread::Builder::new().name(name.to_owned()).spawn(run) {
            tracing::error!(%error, name, "could not start a thread");
        }
    }
}
