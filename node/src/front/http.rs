//! HTTP on the node's TCP port: probes for whatever starts and watches the node. Nothing here changes anything.
//!
//! Promise: HTTP has a thread of its own, and takes from the clients neither the actor thread nor their connections: at
//! its limit the oldest HTTP connection is closed for the next. Who reaches the port may probe; no token, password or
//! object is ever served. One connection carries one request.

mod pages;
mod ready;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{self, Cursor};
use std::rc::Rc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncReadExt;
use tokio::sync::{mpsc, oneshot};
use vineyard_env::{Detached, Env, LocalBoxFuture, Stream};
use vineyard_wire::opening::OPENING_BYTES;

use self::pages::{Hosts, Pages};
use self::ready::Question;
use super::lobby::WaitsFor;
use crate::config::{Config, Limits};
use crate::context::NodeContext;

/// Connections and questions that wait for the other thread.
const QUEUE: usize = 64;

/// The handle of the thread. The thread ends when it is dropped.
pub(super) struct Http(mpsc::Sender<Arrived>);

/// A connection that has begun to speak HTTP.
struct Arrived {
    stream: Box<dyn Detached>,
    first: [u8; OPENING_BYTES],
    /// Dropped when the connection has ended.
    ended: oneshot::Sender<()>,
}

/// The bounds of one connection, and of them all.
#[derive(Clone, Copy)]
struct Bounds {
    connections_max: usize,
    header_deadline: Duration,
    header_bytes_max: usize,
    deadline: Duration,
}

impl Bounds {
    fn of(limits: &Limits) -> Self {
        Self {
            // They stay counted as unregistered connections, of which they may take a half.
            connections_max: limits
                .http_connections_max
                .min(limits.unregistered_max / 2)
                .max(1),
            header_deadline: limits.http_header_deadline,
            header_bytes_max: limits.http_header_bytes_max,
            deadline: limits.http_header_deadline
                + limits.http_answer_deadline
                + limits.parting_deadline,
        }
    }
}

impl Http {
    /// `None` if the node serves no HTTP.
    pub(super) fn start(node: &Rc<NodeContext>) -> Option<Self> {
        let (http, asked) = Self::open(&node.config, &node.env, &node.endpoint)?;
        tokio::task::spawn_local(ready::answer(node.clone(), asked));
        Some(http)
    }

    /// Of a node that is no member yet: `waits_for` says what it waits for.
    pub(super) fn of_applicant(
        config: &Config,
        env: &Env,
        endpoint: &str,
        waits_for: &WaitsFor,
    ) -> Option<Self> {
        let (http, asked) = Self::open(config, env, endpoint)?;
        tokio::task::spawn_local(ready::answer_not_joined(waits_for.clone(), asked));
        Some(http)
    }

    fn open(
        config: &Config,
        env: &Env,
        endpoint: &str,
    ) -> Option<(Self, mpsc::Receiver<Question>)> {
        if !config.http {
            return None;
        }
        let (arrivals, queue) = mpsc::channel(QUEUE);
        let (questions, asked) = mpsc::channel(QUEUE);
        let hosts = Hosts::new(endpoint, &config.http_hosts);
        let pages = Pages::new(hosts, questions, config.limits.http_answer_deadline);
        let bounds = Bounds::of(&config.limits);
        let main = move || -> LocalBoxFuture<'static, ()> { Box::pin(serve(queue, pages, bounds)) };
        env.threads.start("http", Box::new(main));
        Some((Self(arrivals), asked))
    }

    /// Serves `stream`, of which the first bytes were read. `counted` is dropped when the connection has ended.
    pub(super) fn take<C: 'static>(
        &self,
        stream: Box<dyn Stream>,
        first: [u8; OPENING_BYTES],
        counted: C,
    ) -> io::Result<()> {
        let (ended, has_ended) = oneshot::channel();
        let arrived = Arrived {
            stream: stream.detach()?,
            first,
            ended,
        };
        let busy = |_| io::Error::other("the HTTP thread is busy or has stopped");
        self.0.try_send(arrived).map_err(busy)?;
        tokio::task::spawn_local(async move {
            // It ends by being dropped.
            has_ended.await.ok();
            drop(counted);
        });
        Ok(())
    }
}

/// Serves connections until the handle is dropped.
async fn serve(mut queue: mpsc::Receiver<Arrived>, pages: Pages, bounds: Bounds) {
    let pages = Rc::new(pages);
    let mut open = Open::default();
    while let Some(arrived) = queue.recv().await {
        let displaced = open.add(bounds.connections_max);
        let pages = pages.clone();
        tokio::task::spawn_local(async move {
            tokio::select! {
                biased;
                _ = displaced => tracing::debug!("an HTTP connection was closed for a newer one"),
                served = converse(arrived, pages, bounds) => {
                    if let Err(error) = served {
                        tracing::debug!(%error, "an HTTP connection ended early");
                    }
                }
            }
        });
    }
}

async fn converse(arrived: Arrived, pages: Rc<Pages>, bounds: Bounds) -> io::Result<()> {
    let Arrived {
        stream,
        first,
        ended: _ended,
    } = arrived;
    let (reader, writer) = tokio::io::split(stream.attach()?);
    let stream = tokio::io::join(Cursor::new(first).chain(reader), writer);
    let answer = |request| {
        let pages = pages.clone();
        async move { Ok::<_, Infallible>(pages.answer(request).await) }
    };
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.header_deadline)
        .max_buf_size(bounds.header_bytes_max)
        .keep_alive(false)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service_fn(answer));
    let served = tokio::time::timeout(bounds.deadline, served).await?;
    served.map_err(io::Error::other)
}

/// The open connections, the oldest first.
#[derive(Default)]
struct Open(VecDeque<oneshot::Sender<()>>);

impl Open {
    /// Adds a connection; at the limit the oldest is closed. Returns what tells the new one to close.
    fn add(&mut self, connections_max: usize) -> oneshot::Receiver<()> {
        self.0.retain(|connection| !connection.is_closed());
        while self.0.len() >= connections_max {
            self.0.pop_front();
        }
        let (displace, displaced) = oneshot::channel();
        self.0.push_back(displace);
        displaced
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_limit_the_oldest_is_closed() {
        let mut open = Open::default();
        let mut first = open.add(2);
        let mut second = open.add(2);
        assert_eq!(first.try_recv(), Err(oneshot::error::TryRecvError::Empty));
        let third = open.add(2);
        assert_eq!(first.try_recv(), Err(oneshot::error::TryRecvError::Closed));
        // One that has ended by itself takes no place.
        drop(third);
        let _fourth = open.add(2);
        assert_eq!(second.try_recv(), Err(oneshot::error::TryRecvError::Empty));
    }
}
