//! How many connections of one kind there may be, and which TCP connection makes room for the next.
//!
//! It must never know what a connection says, only whether it has.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::sync::oneshot;
use vineyard_wire::{Code, Status};

use crate::shared::{Counted, Counters, Shared};

/// How many connections of one kind there may be.
pub(super) struct Room {
    node: Rc<Shared>,
    kind: &'static str,
    connections_max: usize,
    /// Said once each time it fills up: a flood of connections shall not become one of lines. It counts as full until
    /// half of it is free, because in a flood a place that becomes free is taken at once.
    is_full: Cell<bool>,
}

impl Room {
    pub(super) fn new(node: &Rc<Shared>, kind: &'static str, connections_max: usize) -> Self {
        Self {
            node: node.clone(),
            kind,
            connections_max,
            is_full: Cell::new(false),
        }
    }

    pub(super) fn enter(&self, pick: fn(&Counters) -> &Cell<u64>) -> Result<Counted, Status> {
        let Self {
            kind,
            connections_max,
            ..
        } = self;
        let present = pick(&self.node.counters).get();
        if present < *connections_max as u64 {
            if present <= *connections_max as u64 / 2 {
                self.is_full.set(false);
            }
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
            is_full,
            ..
        } = self;
        if !is_full.replace(true) {
            tracing::warn!(kind, connections_max, "closing connections: too many");
        }
    }
}

/// The TCP connections that have said nothing yet, the oldest first. Each hears on its receiver when it must go.
#[derive(Default)]
pub(super) struct Silent(VecDeque<oneshot::Sender<()>>);

impl Silent {
    /// One more, the youngest.
    pub(super) fn enter(&mut self) -> oneshot::Receiver<()> {
        // Those that have spoken since.
        while self.0.front().is_some_and(oneshot::Sender::is_closed) {
            self.0.pop_front();
        }
        let (displace, displaced) = oneshot::channel();
        self.0.push_back(displace);
        displaced
    }

    /// Returns when `room` has a place, or nobody is silent.
    pub(super) async fn make_room(&mut self, room: &Room) {
        let counters = &room.node.counters;
        while counters.unregistered.get() >= room.connections_max as u64 {
            let fell = counters.fell.notified();
            if !self.displace_oldest() {
                return;
            }
            room.note_full();
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

/// What a connection is told that makes room.
pub(super) fn displaced() -> Status {
    let message = "this node has too many unregistered connections, and this one said nothing for the longest time";
    Status::new(Code::ConnectionFailed, message)
}
