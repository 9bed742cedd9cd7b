//! The harness of the tests with real processes: it starts nodes, talks to them in bare frames, and measures.
//!
//! It must never use the product's own codec or client: a test that shares the product's mistake proves nothing. Tests
//! of the client itself live beside it in `tests/tests`, and use the client on purpose.
#![allow(
    clippy::disallowed_methods,
    reason = "the harness runs real processes on the real clock; nothing here is replayed"
)]

pub mod binaries;
pub mod capture;
pub mod cluster;
pub mod http;
pub mod node;
pub mod preload;
pub mod process;
pub mod raw;
pub mod recorded;
pub mod shared_memory;
pub mod skips;
pub mod statistics;
pub mod switch;
pub mod tidy;
pub mod wait;
