//! Every mailbox of a node. `ls actors/` is the list.
//!
//! All actors of a node share one thread. State has one owner: blobs belong to `blobs`, transient metadata to `catalog`,
//! copies in flight to `migrator`, a connection to its session. Others hold an address and ask.

pub(crate) mod blobs;
pub(crate) mod catalog;
pub(crate) mod ipc_session;
pub(crate) mod liveness;
pub(crate) mod migrator;
pub(crate) mod owner;
pub(crate) mod rpc_session;
