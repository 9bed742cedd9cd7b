//! What a connection's pipes take and give: when a packet arrives, and what a reader finds.

use std::io;
use std::time::Duration;

use tokio::io::ReadBuf;
use tokio::time::Instant;
use vineyard_env::MemoryHandle;

use super::Inner;
use super::connection::{Item, Packet, Pipe};

/// What a reader found.
pub(super) enum Found {
    Bytes,
    Memory(MemoryHandle),
    End,
}

pub(super) enum Taken {
    Found(Found),
    /// Nothing yet; the next packet arrives then, if it is known.
    Later(Option<Instant>),
}

impl Inner {
    pub(super) fn incoming(&mut self, id: u64, side: usize) -> &mut Pipe {
        let connection = self
            .connections
            .get_mut(&id)
            .expect("a stream keeps its connection");
        &mut connection.pipes[1 - side]
    }

    pub(super) fn take(
        &mut self,
        id: u64,
        side: usize,
        buf: &mut ReadBuf<'_>,
    ) -> io::Result<Taken> {
        let connection = self
            .connections
            .get_mut(&id)
            .expect("a stream keeps its connection");
        if connection.broken[side] {
            return Err(reset());
        }
        let now = Instant::now();
        let pipe = &mut connection.pipes[1 - side];
        let mut found = None;
        while let Some(packet) = pipe.packets.front_mut() {
            if packet.due.is_none_or(|due| due > now) {
                if found.is_some() {
                    break;
                }
                return Ok(Taken::Later(packet.due));
            }
            match &mut packet.item {
                Item::Bytes { bytes, taken } => {
                    let len = buf.remaining().min(bytes.len() - *taken);
                    buf.put_slice(&bytes[*taken..*taken + len]);
                    *taken += len;
                    let all = *taken == bytes.len();
                    pipe.queued_bytes -= len;
                    found = Some(Found::Bytes);
                    if !all || buf.remaining() == 0 {
                        if all {
                            pipe.packets.pop_front();
                        }
                        break;
                    }
                    pipe.packets.pop_front();
                }
                Item::Memory(_) | Item::End | Item::Reset if found.is_some() => break,
                Item::Memory(handle) => {
                    found = Some(Found::Memory(handle.clone()));
                    pipe.packets.pop_front();
                    break;
                }
                // It stays: every later read finds it again.
                Item::End => return Ok(Taken::Found(Found::End)),
                Item::Reset => {
                    connection.broken[side] = true;
                    connection.pipes[side].wake();
                    return Err(reset());
                }
            }
        }
        if let Some(writer) = pipe.writer.take() {
            writer.wake();
        }
        Ok(found.map_or(Taken::Later(None), Taken::Found))
    }

    /// Queues what `side` writes, with the time its arrival takes.
    pub(super) fn send(&mut self, id: u64, side: usize, item: Item, len: usize) {
        let connection = &self.connections[&id];
        let local = connection.local || connection.ip(0) == connection.ip(1);
        let (from, to) = (
            connection.ip(side).to_owned(),
            connection.ip(1 - side).to_owned(),
        );
        let now = Instant::now();
        let mut leaves = None;
        let due = if local {
            Some(now)
        } else if self.cut(&from, &to) {
            None
        } else {
            let delay = self.delay(&from, &to);
            let link = self.link(&from, &to);
            let pipe = &self.connections[&id].pipes[side];
            let left = pipe.free_at.map_or(now, |at| at.max(now))
                + Duration::from_micros(len as u64 * 1000 / link.bytes_per_ms.max(1));
            leaves = Some(left);
            Some(
                pipe.last_due
                    .map_or(left + delay, |last| last.max(left + delay)),
            )
        };
        let connection = self.connections.get_mut(&id).expect("it was just there");
        let pipe = &mut connection.pipes[side];
        // What is stalled holds up what follows.
        let held = pipe
            .packets
            .back()
            .is_some_and(|packet| packet.due.is_none());
        let due = if held { None } else { due };
        if due.is_some() {
            pipe.last_due = due;
            pipe.free_at = leaves.or(pipe.free_at);
        }
        pipe.queued_bytes += len;
        pipe.packets.push_back(Packet { due, item });
        if let Some(reader) = pipe.reader.take() {
            reader.wake();
        }
    }
}

pub(super) fn reset() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "connection reset")
}
