//! What owns state or runs for the node's whole life, beside the connections.
//!
//! All actors of a node share one thread. `owner` is an actor around one value; `local` owns a `crate::local::Local`, and
//! `follow` tells it what the cluster has applied; `migrator` has the copies in flight and `liveness` what the leader knows of the other nodes.
//! Others hold a handle and ask. `bulk` is the pool of threads that moves bytes, so that no mailbox ever does.

pub(crate) mod bulk;
pub(crate) mod follow;
pub(crate) mod liveness;
pub(crate) mod local;
pub(crate) mod migrator;
pub(crate) mod owner;
pub(crate) mod proposal;
