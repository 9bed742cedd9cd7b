//! Bytes of blobs that this process holds, and which blob lies at which address.
//!
//! Promise: an address is found as long as a Python object shows the blob that begins there, and no longer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vineyard_client::Blob;
use vineyard_wire::ObjectId;

/// The node whose memory a blob lies in: its socket, and which life of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) socket: Arc<str>,
    pub(crate) instance: u64,
}

/// A blob's bytes; in a node's memory if there is an origin, a copy without.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) blob: Blob,
    pub(crate) origin: Option<Origin>,
}

impl Held {
    pub(crate) fn address(&self) -> usize {
        self.blob.as_ptr() as usize
    }
}

/// The bytes that belong to a tree and all that was taken out of it.
#[derive(Clone, Default)]
pub(crate) struct Buffers(Arc<Mutex<BTreeMap<ObjectId, Held>>>);

impl Buffers {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ObjectId, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, id: ObjectId) -> Option<Held> {
        if id == ObjectId::EMPTY_BLOB {
            let blob = Blob::empty();
            return Some(Held { blob, origin: None });
        }
        self.lock().get(&id).cloned()
    }

    pub(crate) fn size(&self, id: ObjectId) -> Option<usize> {
        self.lock().get(&id).map(|held| held.blob.len())
    }

    pub(crate) fn add(&self, held: Held) {
        self.lock().insert(held.blob.id(), held);
    }

    /// Takes over what `other` has.
    pub(crate) fn add_all(&self, other: &Self) {
        if !Arc::ptr_eq(&self.0, &other.0) {
            let theirs = other.lock().clone();
            self.lock().extend(theirs);
        }
    }
}

struct Shown {
    id: ObjectId,
    origin: Origin,
    /// Python objects that show it.
    count: usize,
}

/// By address. Never locked while the interpreter is released, so that no fork finds it locked.
static SHOWN: Mutex<BTreeMap<usize, Shown>> = Mutex::new(BTreeMap::new());

fn shown() -> MutexGuard<'static, BTreeMap<usize, Shown>> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A Python object shows `held` from now on.
pub(crate) fn show(held: &Held) {
    let Some(origin) = held.origin.as_ref().filter(|_| !held.blob.is_empty()) else {
        return;
    };
    let mut shown = shown();
    let entry = shown.entry(held.address()).or_insert_with(|| Shown {
        id: held.blob.id(),
        origin: origin.clone(),
        count: 0,
    });
    entry.count += 1;
}

/// A Python object that showed `held` is gone.
pub(crate) fn hide(held: &Held) {
    if held.origin.is_none() || held.blob.is_empty() {
        return;
    }
    let mut shown = shown();
    if let Some(entry) = shown.get_mut(&held.address()) {
        entry.count -= 1;
        if entry.count == 0 {
            shown.remove(&held.address());
        }
    }
}

/// The blob of `origin` that begins at `address`.
pub(crate) fn find(origin: &Origin, address: usize) -> Option<ObjectId> {
    let shown = shown();
    let entry = shown
        .get(&address)
        .filter(|entry| entry.origin == *origin)?;
    Some(entry.id)
}
