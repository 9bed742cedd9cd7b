//! One connection: two pipes of packets, each with the moment it arrives.

use std::collections::VecDeque;
use std::task::Waker;

use tokio::time::Instant;
use vineyard_env::MemoryHandle;

/// Bytes one direction holds before its writer waits.
pub(super) const WINDOW_BYTES: usize = 256 << 10;

/// What travels.
pub(super) enum Item {
    Bytes {
        bytes: Vec<u8>,
        taken: usize,
    },
    /// One dummy byte with memory attached (local sockets only).
    Memory(MemoryHandle),
    /// No more bytes follow.
    End,
    /// The connection is gone.
    Reset,
}

pub(super) struct Packet {
    /// When it arrives; `None` while a cut holds it up.
    pub(super) due: Option<Instant>,
    pub(super) item: Item,
}

impl Packet {
    /// Those that were not read yet.
    fn bytes(&self) -> usize {
        match &self.item {
            Item::Bytes { bytes, taken } => bytes.len() - taken,
            Item::Memory(_) | Item::End | Item::Reset => 0,
        }
    }
}

/// One direction.
#[derive(Default)]
pub(super) struct Pipe {
    pub(super) packets: VecDeque<Packet>,
    pub(super) queued_bytes: usize,
    pub(super) reader: Option<Waker>,
    pub(super) writer: Option<Waker>,
    /// When the last byte handed over will have left.
    pub(super) free_at: Option<Instant>,
    /// Nothing overtakes what was sent before.
    pub(super) last_due: Option<Instant>,
    /// The writer said it is done.
    pub(super) ended: bool,
}

impl Pipe {
    pub(super) fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()]
            .into_iter()
            .flatten()
        {
            waker.wake();
        }
    }
}

/// Side 0 opened it, side 1 accepted it; pipe `n` carries what side `n` writes.
pub(super) struct Connection {
    pub(super) id: u64,
    /// Within one machine: no delay, no cuts.
    pub(super) local: bool,
    ends: [(String, String); 2],
    pub(super) pipes: [Pipe; 2],
    /// What side `n` finds when it uses the connection.
    pub(super) broken: [bool; 2],
    /// Side `n` dropped its stream.
    pub(super) closed: [bool; 2],
}

impl Connection {
    /// `ends` are (process, ip).
    pub(super) fn new(id: u64, local: bool, ends: [(String, String); 2]) -> Self {
        Self {
            id,
            local,
            ends,
            pipes: Default::default(),
            broken: [false; 2],
            closed: [false; 2],
        }
    }

    pub(super) fn process(&self, side: usize) -> &str {
        &self.ends[side].0
    }

    pub(super) fn ip(&self, side: usize) -> &str {
        &self.ends[side].1
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken[0] || self.broken[1] || self.closed[0] || self.closed[1]
    }

    pub(super) fn is_busy(&self) -> bool {
        self.pipes.iter().any(|pipe| pipe.queued_bytes > 0)
    }

    /// Breaks it for both sides at once.
    pub(super) fn reset(&mut self) {
        self.broken = [true; 2];
        for pipe in &mut self.pipes {
            pipe.packets.clear();
            pipe.queued_bytes = 0;
            pipe.wake();
        }
    }

    /// Whether what `side` sent is held up by a cut, or went to a side that is no more.
    pub(super) fn is_stalled(&self, side: usize) -> bool {
        self.is_held_up(side) || self.is_forgotten(1 - side)
    }

    fn is_held_up(&self, side: usize) -> bool {
        let mut packets = self.pipes[side].packets.iter();
        packets.any(|packet| packet.due.is_none())
    }

    /// Whether `side` is gone, and the other one was not told.
    pub(super) fn is_forgotten(&self, side: usize) -> bool {
        self.closed[side] && !self.pipes[side].ended
    }

    /// `side` is gone for good, and its last bytes with it. The other one learns it at `due`, if it was not told.
    pub(super) fn lose(&mut self, side: usize, due: Instant) {
        if !self.closed[side] {
            return;
        }
        if self.is_held_up(side) {
            let pipe = &mut self.pipes[side];
            pipe.packets.retain(|packet| packet.due.is_some());
            pipe.queued_bytes = pipe.packets.iter().map(Packet::bytes).sum();
            pipe.ended = false;
        }
        if self.is_forgotten(side) {
            self.resume(1 - side, due);
        }
    }

    /// Lets what `side` sent arrive from `due` on. If the other side is no more, the answer is a reset.
    pub(super) fn resume(&mut self, side: usize, due: Instant) {
        for packet in &mut self.pipes[side].packets {
            packet.due = packet.due.or(Some(due));
        }
        self.pipes[side].last_due = Some(due);
        self.pipes[side].wake();
        if self.is_forgotten(1 - side) {
            self.pipes[1 - side].ended = true;
            self.pipes[1 - side].packets.push_back(Packet {
                due: Some(due),
                item: Item::Reset,
            });
            self.pipes[1 - side].wake();
        }
    }
}
