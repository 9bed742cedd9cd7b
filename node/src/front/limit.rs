//! How many connections of one kind there may be, and which TCP connection is closed for the next one.
//!
//! It must never know what a connection sends, only whether it has sent anything.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::sync::oneshot;
use tokio::time::Instant;
use vineyard_wire::{Code, Status};

use crate::context::{Counted, Counters, NodeContext};

/// The limit of one kind of connections.
pub(super) struct ConnectionLimit {
    node: Rc<NodeContext>,
    kind: &'static str,
    connections_max: usize,
    /// When the log last said that the limit is reached, so that a flood of connections does not flood the log.
    said: Cell<Option<Instant>>,
}

impl ConnectionLimit {
    pub(super) fn new(node: &Rc<NodeContext>, kind: &'static str, connections_max: usize) -> Self {
        Self {
            node: node.clone(),
            kind,
            connections_max,
            said: Cell::new(None),
        }
    }

    pub(super) fn acquire(&self, pick: fn(&Counters) -> &Cell<u64>) -> Result<Counted, Status> {
        let Self {
            kind,
            connections_max,
            ..
        } = self;
        if pick(&self.node.counters).get() < *connections_max as u64 {
            return Ok(Counted::new(&self.node, pick));
        }
        self.note_full();
        let message = format!("this node has {connections_max} {kind}, and takes no more");
        Err(Status::new(Code::ConnectionFailed, message))
    }

    fn note_full(&self) {
        let Self {
            kind,
            connections_max,
            said,
            ..
        } = self;
        let pause = self.node.config.limits.full_said_every;
        if said.get().is_none_or(|at| at.elapsed() >= pause) {
            said.set(Some(Instant::now()));
            tracing::warn!(kind, connections_max, "closing connections: too many");
        }
    }
}

/// The TCP connections that have sent nothing yet, or have not finished the handshake of a node, the oldest first.
#[derive(Default)]
pub(super) struct Silent(VecDeque<oneshot::Sender<()>>);

impl Silent {
    /// Adds a connection, as the youngest.
    pub(super) fn add(&mut self) -> Displaced {
        // Connections that are no longer silent.
        while self.0.front().is_some_and(oneshot::Sender::is_closed) {
            self.0.pop_front();
        }
        let (displace, displaced) = oneshot::channel();
        self.0.push_back(displace);
        Displaced(Some(displaced))
    }

    /// Closes the oldest silent connections until `limit` allows one more, or none is silent.
    pub(super) async fn make_room(&mut self, limit: &ConnectionLimit) {
        let counters = &limit.node.counters;
        while counters.unregistered.get() >= limit.connections_max as u64 {
            let fell = counters.fell.notified();
            if !self.displace_oldest() {
                return;
            }
            limit.note_full();
            fell.await;
        }
    }

    fn displace_oldest(&mut self) -> bool {
        while let Some(oldest) = self.0.pop_front() {
            if oldest.send(()).is_ok() {
                return true;
            }
        }
        false
    }
}

/// Tells a silent connection to close. A connection that is no longer silent drops it.
pub(super) struct Displaced(Option<oneshot::Receiver<()>>);

impl Displaced {
    /// Returns when the connection must close. Cancel safe.
    pub(super) async fn told(&mut self) {
        if let Some(receiver) = &mut self.0 {
            let told = receiver.await;
            self.0 = None;
            if told.is_ok() {
                return;
            }
        }
        std::future::pending().await
    }
}

/// The reason that a displaced connection is told.
pub(super) fn displaced() -> Status {
    let message = "this node has too many unregistered connections, and this one said nothing for the longest time";
    Status::new(Code::ConnectionFailed, message)
}
