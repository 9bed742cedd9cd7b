//! The real sockets: `SystemNetwork` over TCP and `SystemLocal` over Unix sockets.
//!
//! Promise: what `vineyard_env::{Network, Local}` say, on this machine; `conformance` holds these makers and the
//! simulator's to the same suite. Nothing here knows the protocol that runs over the sockets.

#![allow(
    clippy::disallowed_methods,
    reason = "this is where the machine's sockets come in"
)]

mod local;
mod network;

pub use local::SystemLocal;
pub use network::SystemNetwork;
