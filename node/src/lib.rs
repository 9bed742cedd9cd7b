//! One node: sessions, blobs, metadata and migration, as actors on one thread.
//!
//! This is the only crate that knows actix. `system` implements `Env` for the real machine; everything else uses it
//! through `vineyard_env::Env`, so the simulator runs the same code. Start reading at `handlers`: one function per
//! verb.

mod actors;
mod boot;
pub mod config;
mod context;
mod failure;
mod front;
mod handlers;
mod local;
mod peer;
mod serve;
mod session;
mod system;
#[cfg(test)]
mod testing;

pub use boot::node::{Error, Node};
pub use boot::run::run;
pub use boot::token::{ParseTokenError, Token};
pub use config::Config;
pub use peer::encryption::authority::Authority;
