//! Operating system threads, each with a single-threaded runtime.

use std::io;
use std::time::Duration;

use nix::errno::Errno;
use tokio::task::LocalSet;
use vineyard_env::Main;

/// Pause between two tries of a thread that lacks descriptors.
const TRY_EVERY: Duration = Duration::from_millis(50);

pub(crate) struct SystemThreads;

impl vineyard_env::Threads for SystemThreads {
    fn start(&self, name: &str, main: Main) {
        let run = move || match patient_runtime() {
            Ok(runtime) => LocalSet::new().block_on(&runtime, main()),
            // Tasks that wait for this thread see its channel closed.
            Err(error) => tracing::error!(%error, "a thread could not make its runtime"),
        };
        if let Err(error) = std::thread::Builder::new().name(name.to_owned()).spawn(run) {
            tracing::error!(%error, name, "could not start a thread");
        }
    }
}

/// Starts a thread without a runtime, which may wait for the machine as long as it likes.
pub(crate) fn start_plain(name: &str, main: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let started = std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(main);
    started.map(drop)
}

/// A runtime takes some descriptors. A lack of them passes, so the thread retries rather than fail, for example, a
/// snapshot.
fn patient_runtime() -> io::Result<tokio::runtime::Runtime> {
    let mut waited = false;
    loop {
        match super::runtime() {
            Err(error) if lacks_descriptors(&error) => {
                if !waited {
                    tracing::warn!(%error, "a thread waits for descriptors");
                    waited = true;
                }
                std::thread::sleep(TRY_EVERY);
            }
            made => {
                if waited && made.is_ok() {
                    tracing::info!("a thread that waited for descriptors has started");
                }
                return made;
            }
        }
    }
}

fn lacks_descriptors(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw);
    matches!(errno, Some(Errno::EMFILE | Errno::ENFILE))
}
