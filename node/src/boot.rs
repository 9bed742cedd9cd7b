//! The start of a node: the command line, the identity on the disk, admission to a cluster, the wiring of its parts.
//!
//! Nothing here knows a verb of the client protocol.
//!
//! | file | what |
//! |---|---|
//! | `run` | the node as a process: starts it, ends it on a signal |
//! | `node` | opens the listeners, starts the actors, stops them |
//! | `identity` | the node's identity on the disk, which survives restarts |
//! | `admission` | founding a cluster, or joining one |
//! | `formation` | by which rules new nodes become one cluster |
//! | `forming` | brings new nodes together by these rules |
//! | `founding` | what the founder's line says for the whole cluster |
//! | `listen` | where the node listens, and where others dial it |
//! | `registration` | registering this boot with the cluster, and noticing that a later boot has replaced it |
//! | `rotation` | takes over that the token was rotated |
//! | `encrypting` | notices that the nodes encrypt from here on |
//! | `secrets` | the secrets that are valid now |
//! | `token` | the join token |
//! | `log` | the log on stderr |

pub(crate) mod admission;
pub(crate) mod encrypting;
pub(crate) mod formation;
mod forming;
mod founding;
pub(crate) mod identity;
mod listen;
pub(crate) mod log;
pub(crate) mod node;
pub(crate) mod registration;
pub(crate) mod rotation;
pub(crate) mod run;
pub(crate) mod secrets;
pub(crate) mod token;
