//! What a vineyard client and a node both need of a connection: the machine's sockets, compression of blobs, TLS, and
//! text that is safe to print.
//!
//! Promise: the sockets do what `vineyard_env::{Network, Local}` say; [`conformance`] holds them and the simulator's to
//! one suite. It must never know a request: what runs over a connection is decided above.

#![warn(missing_docs)]

pub mod compress;
pub mod conformance;
mod sockets;
pub mod text;
pub mod tls;

pub use sockets::{SystemLocal, SystemNetwork};
