//! What owns state or runs for the node's whole life, beside the connections.
//!
//! All actors of a node share one thread. `owner` is an actor around one value; `blobs` and `follow` keep the value of
//! `crate::local` current; `migrator` has the copies in flight and `liveness` what the leader knows of the other nodes.
//! Others hold a handle and ask. `bulk` is the pool of threads that moves bytes, so that no mailbox ever does.

pub(crate) mod blobs;
pub(crate) mod bulk;
pub(crate) mod follow;
pub(crate) mod liveness;
pub(crate) mod migrator;
pub(crate) mod owner;
pub(crate) mod proposal;
