//! The Rust client of a vineyard node: the async SDK and its blocking face.
//!
//! Promise: every call ends within its deadline and says what it waited for; a connection that was left in the middle
//! of an exchange is never used again. Reads over the Unix socket are zero copy. What a call does to the cluster is the
//! node's affair: nothing here decides.
//!
//! * [`Client`] is a connection to a node and has one method for each verb; [`blocking::Client`] is the same without
//!   async. Both connect over the node's Unix socket, which is for processes of its machine and copies nothing, or over
//!   TCP.
//! * An object is a tree of metadata whose leaves are blobs. [`Draft`] describes one to put, [`Object`] is one that was
//!   got; [`PutObject`] says more about a put: bytes that were written in place, durability, a name.
//! * A [`Blob`] keeps its bytes in place while it lives, whatever happens to the object.
//! * [`Options`] has the deadlines and logins, [`Error`] says why a call failed and of what.
//!
//! The folder `examples` shows the rest: names, other nodes, an array that two processes share. This is the first:
//!
//! ```no_run
#![doc = include_str!("../examples/put_get.rs")]
//! ```

#![warn(missing_docs)]
#![allow(
    clippy::result_large_err,
    reason = "a reply that was not expected is given back whole, once, before the connection ends"
)]

mod blob;
pub mod blocking;
mod client;
mod connection;
mod copy;
mod error;
mod object;
mod options;
mod put;
mod source;
pub mod stream;
#[cfg(test)]
mod tests;
mod world;

pub use blob::{Blob, BlobWriter};
pub use client::{Client, Created};
pub use connection::Security;
pub use error::{Error, Result};
pub use object::{Draft, Member, Object, RawObject};
pub use options::{DeleteOptions, Options};
pub use put::{GetOptions, PutBlob, PutObject, ReadOptions};
pub use source::BlobSource;
pub use vineyard_shm::SliceError;
pub use vineyard_wire::reply::{
    ClusterSettings, ClusterStatus, GroupStatus, InstanceInfo, InstanceStatus, JoinToken, Liveness,
    MemoryPieces, NodeAbout, NodeStats, NodeStatus, Quorum, Role, StreamTotals,
};
pub use vineyard_wire::{Code, InstanceId, ObjectId, Signature, Trace, Tree, TreeText};
#[doc(hidden)]
pub use world::World;
