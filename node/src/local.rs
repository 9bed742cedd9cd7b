//! What is local.

pub(crate) mod catalog;
