//! How a node comes to be: the command line, the identity on the disk, admission to a cluster, the wiring of its parts.
//!
//! Nothing here knows a verb of the client protocol.
//!
//! | file | what |
//! |---|---|
//! | `run` | the node as a process: starts it, ends it on a signal |
//! | `node` | opens the listeners, starts the actors, stops them |
//! | `identity` | who this data directory is, across restarts |
//! | `admission` | founding a cluster, or joining one |
//! | `registration` | telling the cluster of this boot, and noticing that a later one has replaced it |
//! | `token` | what another node needs to join |
//! | `log` | how the process writes its log |

pub(crate) mod admission;
pub(crate) mod identity;
pub(crate) mod log;
pub(crate) mod node;
pub(crate) mod registration;
pub(crate) mod run;
pub(crate) mod token;
