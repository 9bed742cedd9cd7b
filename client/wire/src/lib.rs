//! Everything that crosses a boundary, and nothing that happens there.
//!
//! The client protocol is vineyard 0.24's (JSON frames); the peer protocol between our own nodes is bincode, versioned
//! and capped. This crate has no behaviour: no sockets, no clock, no store, only types and their bytes.

#![warn(missing_docs)]

pub mod describe;
mod events;
pub mod frame;
pub mod id;
pub mod json;
pub mod limits;
pub mod meta;
pub mod opening;
pub mod peer;
pub mod reply;
pub mod request;
pub mod status;
pub mod stream;

pub use id::{InstanceId, NodeId, ObjectId, Signature, Trace};
pub use meta::{Tree, TreeText};
pub use reply::Reply;
pub use request::Request;
pub use status::{Code, Status};
