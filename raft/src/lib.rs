//! The cluster's metadata: a replicated log, the state it builds, and the handle that the node uses.
//!
//! Promise: a change that was acknowledged is durable on a majority, every replica applies the same changes in the
//! same order, and a confirmed read sees every change acknowledged before it began. This crate knows no blob bytes, no
//! actors and no client protocol; the machine comes in through `vineyard_env`.

pub mod command;
pub mod disk;
mod error;
pub mod features;
mod format;
mod log;
mod machine;
mod meta;
mod options;
mod peers;
mod published;
pub mod state;
#[doc(hidden)]
pub mod testing;
mod types;

pub use error::{Error, Shortage};
/// The keys of the log's entries on the disk.
pub use format::keys::entries as log_keys;
pub use meta::{Founding, Member, Meta, Reader, Registered, Request, Status, Survey, Whereabouts};
pub use options::{Options, Pace};
pub use peers::{Dial, MayAsk};
pub use published::epoch::Epoch;
pub use published::feed::{Feed, Update};
pub use state::{ROUND_TRIP_MS, ROUND_TRIP_MS_MAX};
