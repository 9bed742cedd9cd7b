//! The owners of state and the background tasks of a node, apart from the connections.
//!
//! All actors of a node share one thread. `owner` is an actor around one value. `local` owns a `crate::local::Local`,
//! and `follow` passes on to it what the cluster has applied. `discards` deletes objects that streams are done with.
//! `migrator` owns the copies in flight, `drain` empties this node, `liveness` detects unreachable nodes while this
//! node leads, and `history` keeps what has changed in the cluster. Others hold a handle and ask. `bulk` is the pool
//! of threads that moves bytes, so that bytes never go through a mailbox.

pub(crate) mod bulk;
pub(crate) mod discards;
pub(crate) mod drain;
pub(crate) mod follow;
pub(crate) mod history;
pub(crate) mod liveness;
pub(crate) mod local;
pub(crate) mod migrator;
pub(crate) mod owner;
pub(crate) mod places;
