//! One node: sessions, blobs, metadata and migration, as actors on one thread.
//!
//! This is the only crate that knows actix. `system` makes the real world; everything else takes it through
//! `vineyard_env::Env`, so the simulator runs the same code. Start reading at `handlers`: one function per verb.

mod actors;
mod admission;
mod boot;
mod bulk;
mod catalog;
pub mod config;
mod decision;
mod entry;
mod failure;
mod figures;
mod front;
mod handlers;
mod identity;
mod inbox;
mod log;
mod logins;
mod node;
mod peer;
mod plan;
mod rights;
mod run;
mod session;
mod shared;
mod system;
#[cfg(test)]
mod testing;
mod token;

pub use config::Config;
pub use node::{Error, Node};
pub use run::run;
pub use token::{ParseTokenError, Token};
