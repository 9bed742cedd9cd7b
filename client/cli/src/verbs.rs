//! One file per verb. Each connects, asks, and prints.
#![allow(
    clippy::disallowed_methods,
    reason = "put and get work on the user's files"
)]

pub(crate) mod bundle;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod drain;
pub(crate) mod du;
pub(crate) mod events;
pub(crate) mod get;
pub(crate) mod leave;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod name;
pub(crate) mod put;
pub(crate) mod recover;
pub(crate) mod remove;
pub(crate) mod rm;
pub(crate) mod status;
pub(crate) mod stream;
pub(crate) mod token;
pub(crate) mod top;
pub(crate) mod uncordon;
pub(crate) mod wait;
