//! The arenas a node shared with this connection.
//!
//! Promise: each number a node announces is received once, and mapped at most once per access by all connections of a
//! client; gets map for reading only. It must never know which blob lies where beyond what a payload says.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use vineyard_env::{Access, Memory, MemoryHandle};
use vineyard_shm::Arena;
use vineyard_wire::reply::Payload;

/// The protocol reports an arena's size plus this.
const MAP_SIZE_SURPLUS: i64 = 8;

pub(crate) struct Arenas {
    memory: Arc<dyn Memory>,
    /// By the node's number for it, which is never used again for another arena.
    received: BTreeMap<i32, MemoryHandle>,
    mapped: Arc<Mutex<Mapped>>,
}

/// Arenas of one life of a node as they are mapped, for each access. A page that one connection has touched costs
/// another one nothing.
#[derive(Default)]
pub(crate) struct Mapped {
    read: BTreeMap<i32, Arena>,
    write: BTreeMap<i32, Arena>,
}

impl Arenas {
    pub(crate) fn new(memory: Arc<dyn Memory>) -> Self {
        Self {
            memory,
            received: BTreeMap::new(),
            mapped: Arc::default(),
        }
    }

    pub(crate) fn mapped(&self) -> Weak<Mutex<Mapped>> {
        Arc::downgrade(&self.mapped)
    }

    /// Uses what another connection to the same life of the node has mapped, if it still has it.
    pub(crate) fn share(&mut self, mapped: &Weak<Mutex<Mapped>>) {
        if let Some(mapped) = mapped.upgrade() {
            self.mapped = mapped;
        }
    }

    /// The numbers in `payloads` that were never received, in order of appearance.
    pub(super) fn unseen(&self, payloads: &[Payload]) -> Vec<i32> {
        let mut unseen = Vec::new();
        for payload in payloads.iter().filter(|payload| payload.data_size > 0) {
            let number = payload.store_fd;
            if !self.received.contains_key(&number) && !unseen.contains(&number) {
                unseen.push(number);
            }
        }
        unseen
    }

    pub(super) fn add(&mut self, number: i32, handle: MemoryHandle) {
        self.received.insert(number, handle);
    }

    /// The arena that `payload` lies in.
    pub(crate) fn map(&mut self, payload: &Payload, access: Access) -> io::Result<Arena> {
        let number = payload.store_fd;
        let handle = self.received.get(&number).ok_or_else(|| {
            let reason = format!("arena {number} was never received");
            io::Error::new(io::ErrorKind::InvalidData, reason)
        })?;
        let mut known = self.mapped.lock().unwrap_or_else(PoisonError::into_inner);
        let mapped = match access {
            Access::ReadOnly => &mut known.read,
            Access::ReadWrite => &mut known.write,
        };
        if let Some(arena) = mapped.get(&number) {
            return Ok(arena.clone());
        }
        let length = payload.map_size.checked_sub(MAP_SIZE_SURPLUS);
        let length = length
            .and_then(|length| usize::try_from(length).ok())
            .ok_or_else(|| {
                let reason = format!("an arena of {} bytes", payload.map_size);
                io::Error::new(io::ErrorKind::InvalidData, reason)
            })?;
        let arena = Arena::new(self.memory.open(handle, length, access)?);
        mapped.insert(number, arena.clone());
        Ok(arena)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use vineyard_env::Region;
    use vineyard_shm::HeapMemory;
    use vineyard_wire::ObjectId;

    use super::*;

    const NUMBER: i32 = 3;
    const LEN: usize = 1 << 16;

    /// Counts what is mapped.
    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Memory for Counting {
        fn create(&self, name: &str, len: usize) -> io::Result<Arc<dyn Region>> {
            HeapMemory.create(name, len)
        }

        fn open(
            &self,
            handle: &MemoryHandle,
            len: usize,
            access: Access,
        ) -> io::Result<Arc<dyn Region>> {
            self.0.fetch_add(1, Ordering::Relaxed);
            HeapMemory.open(handle, len, access)
        }
    }

    fn payload() -> Payload {
        Payload {
            object_id: ObjectId(1),
            store_fd: NUMBER,
            data_offset: 0,
            data_size: 8,
            map_size: LEN as i64 + MAP_SIZE_SURPLUS,
            pointer: 0,
            is_sealed: true,
            is_owner: true,
            is_gpu: false,
        }
    }

    #[test]
    fn an_arena_is_mapped_once_for_all_connections_of_a_client() {
        let memory = Arc::new(Counting::default());
        let region = HeapMemory.create("arena", LEN).unwrap();
        let connection = || {
            let mut arenas = Arenas::new(memory.clone());
            arenas.add(NUMBER, region.share(Access::ReadWrite).unwrap());
            arenas
        };
        let (mut first, mut second) = (connection(), connection());
        second.share(&first.mapped());
        for access in [Access::ReadOnly, Access::ReadWrite] {
            first.map(&payload(), access).unwrap();
            second.map(&payload(), access).unwrap();
        }
        assert_eq!(memory.0.load(Ordering::Relaxed), 2, "one for each access");
        // A connection that was never given the arena does not get it from another one.
        let mut stranger = Arenas::new(memory.clone());
        stranger.share(&first.mapped());
        let refused = stranger.map(&payload(), Access::ReadOnly).map(drop);
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidData);
        drop((first, second));
        assert!(stranger.mapped().upgrade().is_some(), "it is one of them");
    }
}
