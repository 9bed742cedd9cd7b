//! `ClientBase`, `IPCClient` and `RPCClient`: one connection each, and the verbs.
//!
//! Promise: every call frees the interpreter while it waits, and raises what `errors` says. A verb is one function;
//! what the Python package adds to it (resolvers, builders, several connections) it must never know.

mod cluster;
mod ipc;
mod metadata;
mod names;
mod read;
mod rpc;
mod streams;
mod target;
mod whole;

pub(crate) use ipc::PyIpcClient;
pub(crate) use rpc::PyRpcClient;

use std::sync::Arc;

use pyo3::prelude::*;
use vineyard_client::{Client, Error};

use self::streams::Sides;
use crate::runtime::Channel;

/// What clients of both kinds have in common. There is no constructor: `vineyard.connect` makes clients.
///
/// A client may be used by many threads, which take turns. A process that was forked makes a connection of its own with
/// its first call.
#[pyclass(name = "ClientBase", module = "vineyard._C", subclass, frozen, weakref)]
pub(crate) struct PyClientBase {
    channel: Arc<Channel>,
    /// A private client, by `fork()`: no other client shares its connection.
    private: bool,
    sides: Sides,
}

impl PyClientBase {
    pub(crate) fn new(channel: Arc<Channel>, private: bool) -> Self {
        Self {
            channel,
            private,
            sides: Sides::default(),
        }
    }

    pub(crate) fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    fn call<T: Send>(
        &self,
        py: Python<'_>,
        work: impl AsyncFnOnce(&Client) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        self.channel.call(py, work)
    }
}
