//! The blobs of one node: where they lie in the arena, who holds them, when their bytes may be used again.
//!
//! Promise: a sealed blob's bytes neither move nor change while anyone holds it; what nobody holds leaks nothing.
//! It must never know a clock, a socket, an await or a cluster: it is synchronous and has one owner, which calls it.

mod allocator;
mod blob;
mod error;
mod store;

pub use blob::{Blob, HolderId, Shortage, Usage};
pub use error::Error;
pub use store::Store;
pub use vineyard_shm::{Slice, SliceMut};

/// What the store answers: a value, or the refusal that travels to the client.
pub type Result<T> = std::result::Result<T, Error>;
