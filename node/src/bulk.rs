//! Threads that move bulk bytes, so that the actor thread never copies more than a small message.
//!
//! A job is built on the worker's own thread and may hold streams and arena slices; nothing here knows what it moves.

use std::cell::Cell;

use tokio::sync::{mpsc, oneshot};
use vineyard_env::{LocalBoxFuture, Threads};
use vineyard_wire::{Code, Status};

type Job = Box<dyn FnOnce() -> LocalBoxFuture<'static, ()> + Send>;

/// A fixed set of workers, used in turn.
pub(crate) struct Bulk {
    workers: Vec<mpsc::Sender<Job>>,
    next: Cell<usize>,
}

impl Bulk {
    /// Starts `count` workers, each with room for `queue` jobs that have not started.
    pub(crate) fn start(threads: &dyn Threads, count: usize, queue: usize) -> Self {
        let worker = |index: usize| {
            let (jobs, mut inbox) = mpsc::channel::<Job>(queue);
            let main = move || -> LocalBoxFuture<'static, ()> {
                Box::pin(async move {
                    while let Some(job) = inbox.recv().await {
                        tokio::task::spawn_local(job());
                    }
                })
            };
            threads.start(&format!("bulk-{index}"), Box::new(main));
            jobs
        };
        Self {
            workers: (0..count).map(worker).collect(),
            next: Cell::new(0),
        }
    }

    /// Runs `job` on the next worker and returns its result.
    pub(crate) async fn run<R: Send + 'static>(
        &self,
        job: impl FnOnce() -> LocalBoxFuture<'static, R> + Send + 'static,
    ) -> Result<R, Status> {
        let (done, result) = oneshot::channel();
        let job: Job = Box::new(move || {
            let work = job();
            Box::pin(async move {
                // The asker may have gone away meanwhile.
                drop(done.send(work.await));
            })
        });
        let index = self.next.get();
        self.next.set((index + 1) % self.workers.len());
        let stopped = || {
            Status::new(
                Code::VineyardServerNotReady,
                "the bulk workers have stopped",
            )
        };
        self.workers[index].send(job).await.map_err(|_| stopped())?;
        result.await.map_err(|_| stopped())
    }
}

#[cfg(test)]
mod tests;
