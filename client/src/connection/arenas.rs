//! The arenas a node shared with this connection.
//!
//! Promise: each number a node announces is received once and mapped at most once per access; gets map for reading
//! only. It must never know which blob lies where beyond what a payload says.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use vineyard_env::{Access, Memory, MemoryHandle};
use vineyard_shm::Arena;
use vineyard_wire::reply::Payload;

/// The protocol reports an arena's size plus this.
const MAP_SIZE_SURPLUS: i64 = 8;

pub(crate) struct Arenas {
    memory: Arc<dyn Memory>,
    /// By the node's number for it, which is never used again for another arena.
    shared: BTreeMap<i32, SharedArena>,
}

struct SharedArena {
    handle: MemoryHandle,
    read: Option<Arena>,
    write: Option<Arena>,
}

impl Arenas {
    pub(crate) fn new(memory: Arc<dyn Memory>) -> Self {
        Self {
            memory,
            shared: BTreeMap::new(),
        }
    }

    /// The numbers in `payloads` that were never received, in order of appearance.
    pub(super) fn unseen(&self, payloads: &[Payload]) -> Vec<i32> {
        let mut unseen = Vec::new();
        for payload in payloads.iter().filter(|payload| payload.data_size > 0) {
            let number = payload.store_fd;
            if !self.shared.contains_key(&number) && !unseen.contains(&number) {
                unseen.push(number);
            }
        }
        unseen
    }

    pub(super) fn add(&mut self, number: i32, handle: MemoryHandle) {
        self.shared.insert(
            number,
            SharedArena {
                handle,
                read: None,
                write: None,
            },
        );
    }

    /// The arena that `payload` lies in.
    pub(crate) fn map(&mut self, payload: &Payload, access: Access) -> io::Result<Arena> {
        let shared = self.shared.get_mut(&payload.store_fd).ok_or_else(|| {
            let reason = format!("arena {} was never received", payload.store_fd);
            io::Error::new(io::ErrorKind::InvalidData, reason)
        })?;
        let slot = match access {
            Access::ReadOnly => &mut shared.read,
            Access::ReadWrite => &mut shared.write,
        };
        if let Some(arena) = slot {
            return Ok(arena.clone());
        }
        let length = payload.map_size.checked_sub(MAP_SIZE_SURPLUS);
        let length = length
            .and_then(|length| usize::try_from(length).ok())
            .ok_or_else(|| {
                let reason = format!("an arena of {} bytes", payload.map_size);
                io::Error::new(io::ErrorKind::InvalidData, reason)
            })?;
        let arena = Arena::new(self.memory.open(&shared.handle, length, access)?);
        Ok(slot.insert(arena).clone())
    }
}
