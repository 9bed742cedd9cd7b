//! `_connect`: clients of sockets and endpoints, one per place and process.
//!
//! Promise: two connects to one address with the same login share a client, as long as it is open and this
//! process made it. A connection that the node has closed, because it was stopped or started again, is not given out.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};
use vineyard_client::Options;
use vineyard_wire::Code;

use crate::client::{PyClientBase, PyIpcClient, PyRpcClient};
use crate::errors::refuse;
use crate::runtime::{Channel, Stop, Target};

/// Threads that copy one large buffer.
const COPY_THREADS_MAX: usize = 6;

/// As often a place where nobody listens is tried, unless VINEYARD_IPC_SKIP_RETRY (VINEYARD_RPC_SKIP_RETRY) is set.
const TRIES: usize = 10;
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// What fits into the address of a Unix socket (`sockaddr_un`), less its final zero.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Place, user, password, authority.
type Key = (Target, String, String, Option<String>);

/// Never locked while the interpreter is released, so that no fork finds it locked.
static CLIENTS: Mutex<BTreeMap<Key, Py<PyWeakrefReference>>> = Mutex::new(BTreeMap::new());

/// The client of a Unix socket, `_connect(socket)`, or of a TCP endpoint, `_connect(host, port)`.
///
/// socket, host: str. port: int or str. session: accepted on a Unix socket, refused over TCP. username, password: str,
/// where the node asks for them. ca: str, whose nodes are taken over TCP.
/// ConnectionFailedException, which is also a ConnectionError, if there is no connection.
#[pyfunction]
#[pyo3(signature = (socket, port = None, session = None, username = None, password = None, ca = None))]
pub(crate) fn _connect<'py>(
    py: Python<'py>,
    socket: &str,
    port: Option<&Bound<'py, PyAny>>,
    session: Option<u64>,
    username: Option<String>,
    password: Option<String>,
    ca: Option<String>,
) -> PyResult<Bound<'py, PyAny>> {
    let target = match port {
        None => Target::Ipc(socket.to_owned()),
        Some(port) => Target::Rpc(format!("{socket}:{}", port_of(port)?)),
    };
    if port.is_some() && session.is_some_and(|session| session != 0) {
        let text =
            format!("vineyardd at {target} has no sessions, and session {session:?} was asked for");
        return Err(refuse(py, Code::ConnectionFailed, text));
    }
    let mut options = Options::default();
    options.username = username.unwrap_or_default();
    options.password = password.unwrap_or_default();
    options.ca = ca;
    options.compression = port.is_some();
    options.copy_threads_max = COPY_THREADS_MAX;
    let key = (
        target.clone(),
        options.username.clone(),
        options.password.clone(),
        options.ca.clone(),
    );
    if let Some(known) = known(py, &key) {
        return Ok(known);
    }
    let channel = Arc::new(connect(py, &target, &options)?);
    let client = PyClassInitializer::from(PyClientBase::new(channel, false));
    let client = match target {
        Target::Ipc(_) => Bound::new(py, client.add_subclass(PyIpcClient))?.into_any(),
        Target::Rpc(_) => Bound::new(py, client.add_subclass(PyRpcClient))?.into_any(),
    };
    let reference = PyWeakrefReference::new(&client)?.unbind();
    let before = CLIENTS
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(key, reference);
    drop(before);
    Ok(client)
}

fn port_of(port: &Bound<'_, PyAny>) -> PyResult<u16> {
    let number = port.str()?.to_cow()?.trim().parse();
    number.map_err(|_| {
        PyTypeError::new_err(format!("a port is a number from 1 to 65535, not {port}"))
    })
}

fn known<'py>(py: Python<'py>, key: &Key) -> Option<Bound<'py, PyAny>> {
    let reference = {
        let clients = CLIENTS.lock().unwrap_or_else(PoisonError::into_inner);
        clients.get(key)?.clone_ref(py)
    };
    let client = reference.bind(py).upgrade()?;
    let usable = client
        .cast::<PyClientBase>()
        .ok()?
        .get()
        .channel()
        .has_connection(py);
    usable.then_some(client)
}

fn connect(py: Python<'_>, target: &Target, options: &Options) -> PyResult<Channel> {
    let variable = match target {
        Target::Ipc(_) => "VINEYARD_IPC_SKIP_RETRY",
        Target::Rpc(_) => "VINEYARD_RPC_SKIP_RETRY",
    };
    let impatient =
        std::env::var(variable).is_ok_and(|value| !matches!(&*value, "" | "0" | "false"));
    let tries = if impatient { 1 } else { TRIES };
    for _ in 1..tries {
        check_place(py, target)?;
        match Channel::connect(py, target.clone(), options.clone()) {
            Err(stop) if stop.found_nobody() => pause(py)?,
            Err(stop) => return Err(stop.into_refused_connection(py, target)),
            Ok(channel) => return Ok(channel),
        }
    }
    check_place(py, target)?;
    let last = Channel::connect(py, target.clone(), options.clone());
    last.map_err(|stop: Stop| stop.into_refused_connection(py, target))
}

/// Refuses a path at which no node can ever listen, so that nobody waits for one there.
fn check_place(py: Python<'_>, target: &Target) -> PyResult<()> {
    let Target::Ipc(path) = target else {
        return Ok(());
    };
    let reason = if path.len() > SOCKET_PATH_BYTES_MAX {
        let bytes = path.len();
        format!(
            "its path has {bytes} bytes, and that of a Unix socket has at most {SOCKET_PATH_BYTES_MAX}"
        )
    } else if path.contains('\0') {
        "its path has a zero byte, and that of a Unix socket has none".to_owned()
    } else {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => {
                "it is a folder, not a socket; a node listens where its --socket says".to_owned()
            }
            Ok(found) if !found.file_type().is_socket() => {
                "it is a file, not a socket; a node listens where its --socket says".to_owned()
            }
            // What is not there yet may be a socket soon.
            _ => return Ok(()),
        }
    };
    let text = format!("no vineyardd can listen at {target}: {reason}");
    Err(refuse(py, Code::ConnectionFailed, text))
}

/// Python's own sleep, which signals end.
fn pause(py: Python<'_>) -> PyResult<()> {
    let sleep = py.import("time")?.getattr("sleep")?;
    sleep.call1((BETWEEN_TRIES.as_secs_f64(),)).map(drop)
}
