//! The async runtime openraft runs on: tokio's local tasks, channels that wake in a fixed order, and a clock and chance
//! that belong to the node.
//!
//! openraft's runtime functions are static. Several simulated nodes share one thread, so a node's clock and its source
//! of chance are a thread-local that is set around every poll of the node's tasks; tasks inherit it from the task that
//! spawns them.

mod instant;

use std::cell::RefCell;
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use openraft::{AsyncRuntime, OptionalSend};
use openraft_rt_sim::SimWatch;
use openraft_rt_tokio::{TokioMpsc, TokioMutex, TokioOneshot};
use tokio::task::{JoinHandle, JoinSet};
use vineyard_env::Random;

use crate::options::Pace;
use instant::PacedInstant;

thread_local! {
    static SCOPE: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

/// A node's clock and its source of chance.
#[derive(Clone)]
pub(crate) struct Scope {
    pub(crate) random: Arc<dyn Random>,
    pub(crate) pace: Arc<Pace>,
}

/// Polls `future` with the clock and the chance of `scope`, for it and for the tasks it spawns.
pub(crate) fn within<F: Future>(scope: Scope, future: F) -> Scoped<F> {
    Scoped {
        scope: Some(scope),
        future: Box::pin(future),
    }
}

/// What `read` says of the clock of the task that runs, if it has one of its own.
fn with_pace<T>(read: impl FnOnce(&Pace) -> T) -> Option<T> {
    SCOPE.with_borrow(|scope| scope.as_ref().map(|scope| read(&scope.pace)))
}

fn stretch(duration: Duration) -> Duration {
    with_pace(|pace| pace.stretch(duration)).unwrap_or(duration)
}

/// Spawns a local task that inherits clock and chance.
pub(crate) fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    let scope = SCOPE.with_borrow(Clone::clone);
    tokio::task::spawn_local(Scoped {
        scope,
        future: Box::pin(future),
    })
}

/// Spawns a local task into `tasks`; it inherits clock and chance.
pub(crate) fn spawn_into(tasks: &mut JoinSet<()>, future: impl Future<Output = ()> + 'static) {
    let scope = SCOPE.with_borrow(Clone::clone);
    tasks.spawn_local(Scoped {
        scope,
        future: Box::pin(future),
    });
}

/// A future that runs with its node's clock and chance in place.
pub(crate) struct Scoped<F> {
    scope: Option<Scope>,
    future: Pin<Box<F>>,
}

/// Puts the outer scope back, also when a poll panics.
struct Restore(Option<Scope>);

impl Drop for Restore {
    fn drop(&mut self) {
        SCOPE.set(self.0.take());
    }
}

impl<F: Future> Future for Scoped<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let _restore = Restore(SCOPE.replace(self.scope.clone()));
        self.future.as_mut().poll(context)
    }
}

/// Chance as openraft draws it: election timeouts.
pub(crate) struct NodeRandom(Arc<dyn Random>);

impl rand::TryRng for NodeRandom {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok((self.0.next_u64() >> 32) as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.0.next_u64())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(bytes);
        Ok(())
    }
}

/// See the module.
pub(crate) struct Runtime {
    tokio: tokio::runtime::Runtime,
    local: tokio::task::LocalSet,
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runtime")
    }
}

impl AsyncRuntime for Runtime {
    type JoinError = tokio::task::JoinError;
    type JoinHandle<T: OptionalSend + 'static> = JoinHandle<T>;
    type Sleep = tokio::time::Sleep;
    type Instant = PacedInstant;
    type TimeoutError = tokio::time::error::Elapsed;
    type Timeout<R, T: Future<Output = R> + OptionalSend> = tokio::time::Timeout<T>;
    type ThreadLocalRng = NodeRandom;

    fn spawn<T>(future: T) -> JoinHandle<T::Output>
    where
        T: Future + OptionalSend + 'static,
        T::Output: OptionalSend + 'static,
    {
        spawn(future)
    }

    fn sleep(duration: Duration) -> Self::Sleep {
        tokio::time::sleep(stretch(duration))
    }

    fn sleep_until(deadline: PacedInstant) -> Self::Sleep {
        tokio::time::sleep_until(deadline.real())
    }

    fn timeout<R, F: Future<Output = R> + OptionalSend>(
        duration: Duration,
        future: F,
    ) -> Self::Timeout<R, F> {
        tokio::time::timeout(stretch(duration), future)
    }

    fn timeout_at<R, F: Future<Output = R> + OptionalSend>(
        deadline: PacedInstant,
        future: F,
    ) -> Self::Timeout<R, F> {
        tokio::time::timeout_at(deadline.real(), future)
    }

    fn is_panic(error: &Self::JoinError) -> bool {
        error.is_panic()
    }

    fn thread_rng() -> NodeRandom {
        let scope = SCOPE.with_borrow(Clone::clone);
        NodeRandom(
            scope
                .expect("openraft's tasks descend from the one that set the scope")
                .random,
        )
    }

    type Mpsc = TokioMpsc;
    type Watch = SimWatch;
    type Oneshot = TokioOneshot;
    type Mutex<T: OptionalSend + 'static> = TokioMutex<T>;

    /// openraft's own test suites start a runtime this way; the product is given one.
    fn new(_threads: usize) -> Self {
        let tokio = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime of one thread needs no resources but memory");
        Self {
            tokio,
            local: tokio::task::LocalSet::new(),
        }
    }

    fn block_on<F, T>(&mut self, future: F) -> T
    where
        F: Future<Output = T>,
    {
        self.local.block_on(&self.tokio, future)
    }

    /// Runs in place: a second thread could not be replayed.
    async fn spawn_blocking<F, T>(f: F) -> Result<T, io::Error>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Ok(f())
    }
}
