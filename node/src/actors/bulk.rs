//! Threads that move bulk bytes, so that the actor thread never copies more than a small message.
//!
//! A job is built on the worker's own thread and may hold streams and arena slices; nothing here knows what it moves.
//!
//! A worker starts each job as it arrives and runs all of them concurrently, so that a slow reader does not block the
//! others. Each caller waits for its job, so there is at most one job per connection of a client or node, and
//! `bulk_connections` per migration that has a permit.

use std::cell::Cell;
use std::io;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use vineyard_env::{LocalBoxFuture, Stream, Threads};
use vineyard_wire::{Code, Status};

use crate::config::Limits;

type Job = Box<dyn FnOnce() -> LocalBoxFuture<'static, ()> + Send>;

/// A fixed set of workers, used in turn.
pub(crate) struct Bulk {
    workers: Vec<mpsc::Sender<Job>>,
    next: Cell<usize>,
}

impl Bulk {
    /// Starts `count` workers, each with a queue of `queue` jobs that it has not started yet.
    pub(crate) fn start(threads: &dyn Threads, count: usize, queue: usize) -> Self {
        let worker = |index: usize| {
            let (jobs, mut reader) = mpsc::channel::<Job>(queue);
            let main = move || -> LocalBoxFuture<'static, ()> {
                Box::pin(async move {
                    while let Some(job) = reader.recv().await {
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
                // The caller may have been dropped meanwhile.
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

    /// Lets `work` move `bytes` on `stream` within a transfer's deadline: few bytes on this thread, more of them on the
    /// next worker, to which the stream is handed and which returns it.
    pub(crate) async fn transfer<R: Send + 'static>(
        &self,
        limits: &Limits,
        mut stream: Box<dyn Stream>,
        bytes: u64,
        work: impl for<'a> FnOnce(&'a mut dyn Stream) -> LocalBoxFuture<'a, io::Result<R>>
        + Send
        + 'static,
    ) -> io::Result<(Box<dyn Stream>, R)> {
        let deadline = limits.transfer_deadline(bytes);
        if bytes < limits.bulk_bytes_min {
            let moved = timeout(deadline, work(stream.as_mut())).await??;
            return Ok((stream, moved));
        }
        let detached = stream.detach()?;
        let visit = move || -> LocalBoxFuture<'static, _> {
            Box::pin(async move {
                let mut stream = detached.attach()?;
                let moved = timeout(deadline, work(stream.as_mut())).await??;
                io::Result::Ok((stream.detach()?, moved))
            })
        };
        let (detached, moved) = self.run(visit).await.map_err(io::Error::other)??;
        Ok((detached.attach()?, moved))
    }
}

#[cfg(test)]
mod tests;
