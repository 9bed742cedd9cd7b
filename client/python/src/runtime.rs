//! The one way from Python to the SDK: a connection that waits without holding Python up.
//!
//! Promise: the interpreter is free while a call waits; Ctrl-C ends any wait; a process that was forked makes a
//! connection of its own and never touches its parent's. A connection that broke is made again by the next call.
//! It must never know what a call asks.

pub(crate) mod steps;

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;
use vineyard_client::{Client, Error, Options, Security};
use vineyard_wire::{Code, InstanceId};

use crate::errors::{raise, raise_connecting, refuse};
use crate::held::Origin;

/// Signals are checked this often during a wait.
const SIGNALS_EVERY: Duration = Duration::from_millis(100);
/// How long what makes an object may go on after a signal, so that it is known what to roll back.
const ENDING: Duration = Duration::from_secs(2);
/// What `timeout_seconds` says before it is set, as in the released package.
const TIMEOUT_SECONDS: f64 = 300.0;

/// Where a node listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Ipc(String),
    Rpc(String),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Ipc(place) | Self::Rpc(place)) = self;
        f.write_str(place)
    }
}

/// A connection of one process, and what drives it.
pub(crate) struct Live {
    pid: u32,
    /// Taken only by `drop`. The client is first: what it closes is registered with the runtime.
    parts: Option<(Client, Runtime)>,
}

/// Why a wait ended without a result.
pub(crate) enum Stop {
    Failed(Error),
    /// A signal handler raised.
    Interrupted(PyErr),
}

impl Live {
    fn connect(target: &Target, options: &Options) -> Result<Self, Stop> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| {
            let during = "starting a runtime".to_owned();
            Stop::Failed(Error::Io { during, source })
        })?;
        let connecting = async {
            match target {
                Target::Ipc(path) => Client::connect_ipc(path, options).await,
                Target::Rpc(endpoint) => Client::connect_rpc(endpoint, options).await,
            }
        };
        let client = drive(&runtime, connecting)?;
        Ok(Self {
            pid: process::id(),
            parts: Some((client, runtime)),
        })
    }

    fn parts(&self) -> &(Client, Runtime) {
        self.parts.as_ref().expect("only `drop` takes the parts")
    }

    pub(crate) fn client(&self) -> &Client {
        &self.parts().0
    }

    /// Whether this process made it.
    pub(crate) fn is_ours(&self) -> bool {
        self.pid == process::id()
    }

    fn wait<T: Send>(
        &self,
        py: Python<'_>,
        work: impl AsyncFnOnce(&Client) -> Result<T, Error> + Send,
    ) -> Result<T, Stop> {
        self.wait_watched(py, work, |py| py.check_signals())
    }

    /// As `wait`, with `between` called whenever signals are checked.
    fn wait_watched<T: Send>(
        &self,
        py: Python<'_>,
        work: impl AsyncFnOnce(&Client) -> Result<T, Error> + Send,
        between: impl FnMut(Python<'_>) -> PyResult<()> + Send,
    ) -> Result<T, Stop> {
        let (client, runtime) = self.parts();
        py.detach(|| poll(runtime, pin!(work(client)), between))
    }

    /// Runs one call of what belongs to this connection and no other, such as a blob that is being filled.
    pub(crate) fn call<T: Send>(
        &self,
        py: Python<'_>,
        work: impl AsyncFnOnce(&Client) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        if !self.is_ours() {
            let text = "this blob belongs to the process that was forked, which alone may seal or abort it";
            return Err(refuse(py, Code::AssertionFailed, text));
        }
        self.wait(py, work).map_err(|stop| stop.into_exception(py))
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        if !self.is_ours() {
            // The descriptors are the parent's as well: closing them in order here would take its connection apart.
            std::mem::forget(self.parts.take());
        }
    }
}

impl Stop {
    fn into_exception(self, py: Python<'_>) -> PyErr {
        match self {
            Self::Failed(error) => raise(py, &error),
            Self::Interrupted(error) => error,
        }
    }
}

/// Polls `work` to its end; checks for signals in between, because only then Ctrl-C ends a wait.
fn drive<T>(runtime: &Runtime, work: impl Future<Output = Result<T, Error>>) -> Result<T, Stop> {
    poll(runtime, pin!(work), |py| py.check_signals())
}

/// As `drive`. What a signal interrupts may still end, and then comes with what the handler raised.
fn drive_to_end<T>(
    runtime: &Runtime,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<(T, Option<PyErr>), Stop> {
    let mut work = pin!(work);
    match poll(runtime, work.as_mut(), |py| py.check_signals()) {
        Ok(made) => Ok((made, None)),
        Err(Stop::Interrupted(raised)) => {
            match runtime.block_on(async { timeout(ENDING, work).await }) {
                Ok(Ok(made)) => Ok((made, Some(raised))),
                _ => Err(Stop::Interrupted(raised)),
            }
        }
        Err(stop) => Err(stop),
    }
}

fn poll<T>(
    runtime: &Runtime,
    mut work: Pin<&mut impl Future<Output = Result<T, Error>>>,
    mut between: impl FnMut(Python<'_>) -> PyResult<()>,
) -> Result<T, Stop> {
    loop {
        // Outside `block_on` when the handlers run: they may call a client themselves.
        let slice = runtime.block_on(async { timeout(SIGNALS_EVERY, work.as_mut()).await });
        match slice {
            Ok(done) => return done.map_err(Stop::Failed),
            Err(_) => Python::attach(&mut between).map_err(Stop::Interrupted)?,
        }
    }
}

/// A connection to one node that outlives forks, signals and failures.
pub(crate) struct Channel {
    target: Target,
    state: Mutex<State>,
}

struct State {
    options: Options,
    /// `None` when the next call has to connect.
    live: Option<Arc<Live>>,
    facts: Facts,
    /// The node's socket, shared by all that lies in its memory.
    socket: Arc<str>,
    timeout: Option<Duration>,
    /// By `close`.
    closed: bool,
}

/// What the node said of itself when it was connected to.
#[derive(Clone)]
pub(crate) struct Facts {
    pub(crate) instance_id: InstanceId,
    pub(crate) ipc_socket: String,
    pub(crate) rpc_endpoint: String,
    pub(crate) version: String,
    pub(crate) security: Security,
}

impl Facts {
    fn of(client: &Client) -> Self {
        Self {
            instance_id: client.instance_id(),
            ipc_socket: client.ipc_socket().to_owned(),
            rpc_endpoint: client.rpc_endpoint().to_owned(),
            version: client.version().to_owned(),
            security: client.security(),
        }
    }
}

impl Channel {
    pub(crate) fn connect(py: Python<'_>, target: Target, options: Options) -> Result<Self, Stop> {
        let live = py.detach(|| Live::connect(&target, &options))?;
        let facts = Facts::of(live.client());
        let state = State {
            options,
            live: Some(Arc::new(live)),
            socket: facts.ipc_socket.as_str().into(),
            facts,
            timeout: None,
            closed: false,
        };
        Ok(Self {
            target,
            state: Mutex::new(state),
        })
    }

    /// Held for moments only, and never while the interpreter is released, so no fork finds it locked.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    pub(crate) fn is_ipc(&self) -> bool {
        matches!(self.target, Target::Ipc(_))
    }

    pub(crate) fn facts(&self) -> Facts {
        self.state().facts.clone()
    }

    pub(crate) fn instance_id(&self) -> InstanceId {
        self.state().facts.instance_id
    }

    /// Whose memory the blobs of this channel lie in.
    pub(crate) fn origin(&self) -> Origin {
        let state = self.state();
        Origin {
            socket: state.socket.clone(),
            instance: state.facts.instance_id.0,
        }
    }

    pub(crate) fn options(&self) -> Options {
        self.state().options.clone()
    }

    /// What `set_timeout_seconds` set, or what the released package has without.
    pub(crate) fn timeout_seconds(&self) -> f64 {
        let state = self.state();
        state
            .timeout
            .map_or(TIMEOUT_SECONDS, |timeout| timeout.as_secs_f64())
    }

    /// Has each answer waited for no longer than this.
    pub(crate) fn set_timeout_seconds(&self, seconds: f64) -> PyResult<()> {
        let timeout = Duration::try_from_secs_f64(seconds).ok();
        let timeout = timeout
            .filter(|timeout| !timeout.is_zero())
            .ok_or_else(|| {
                PyValueError::new_err(format!(
                    "a timeout is a number of seconds above 0, not {seconds}"
                ))
            })?;
        self.state().timeout = Some(timeout);
        self.set_options(|options| {
            options.deadline = timeout;
            options.transfer = timeout;
        });
        Ok(())
    }

    /// Changes how the node is talked to. Takes a new connection, which the next call makes.
    pub(crate) fn set_options(&self, change: impl FnOnce(&mut Options)) {
        let mut state = self.state();
        let before = state.options.clone();
        change(&mut state.options);
        if state.options != before {
            state.live = None;
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }

    /// Whether this process has a connection that is not known to be broken. One that the node has closed since the
    /// last call is forgotten, so that the next call connects again.
    pub(crate) fn has_connection(&self, py: Python<'_>) -> bool {
        let live = {
            let state = self.state();
            state.live.clone().filter(|_| !state.closed)
        };
        let Some(live) = live.filter(|live| live.is_ours()) else {
            return false;
        };
        let (client, runtime) = live.parts();
        let has_ended = py.detach(|| runtime.block_on(client.has_ended()));
        if has_ended {
            self.forget(&live);
        }
        !has_ended
    }

    /// Ends the connection; later calls are refused. What lies in the node's memory and is still used here stays valid.
    pub(crate) fn close(&self, py: Python<'_>) {
        let live = {
            let mut state = self.state();
            state.closed = true;
            state.live.take()
        };
        if let Some(live) = live.filter(|live| live.is_ours()) {
            let goodbye = live.wait(py, async |client| {
                client.close().await;
                Ok(())
            });
            // If this is interrupted, dropping the client closes the connection.
            drop(goodbye);
        }
    }

    /// This process's connection, made if there is none.
    pub(crate) fn live(&self, py: Python<'_>) -> PyResult<Arc<Live>> {
        let options = {
            let mut state = self.state();
            if state.closed {
                let text = format!("Client is not connected: it was closed ({})", self.target);
                return Err(refuse(py, Code::ConnectionError, text));
            }
            if let Some(live) = state.live.as_ref().filter(|live| live.is_ours()) {
                return Ok(live.clone());
            }
            state.live = None;
            state.options.clone()
        };
        let made = py.detach(|| Live::connect(&self.target, &options));
        let live = Arc::new(made.map_err(|stop| self.not_connected(py, stop))?);
        let mut state = self.state();
        state.facts = Facts::of(live.client());
        state.socket = state.facts.ipc_socket.as_str().into();
        state.live = Some(live.clone());
        Ok(live)
    }

    fn not_connected(&self, py: Python<'_>, stop: Stop) -> PyErr {
        match stop {
            Stop::Failed(error) => {
                let text = format!("Client is not connected: {}: {error}", self.target);
                refuse(py, Code::ConnectionError, text)
            }
            Stop::Interrupted(error) => error,
        }
    }

    /// Runs one call with this process's connection.
    pub(crate) fn call<T: Send>(
        &self,
        py: Python<'_>,
        work: impl AsyncFnOnce(&Client) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        let live = self.live(py)?;
        self.call_on(py, &live, work)
    }

    /// Runs one call during which `between` is called now and then, with the interpreter; what it raises ends the call.
    pub(crate) fn call_watched<T: Send>(
        &self,
        py: Python<'_>,
        work: impl AsyncFnOnce(&Client) -> Result<T, Error> + Send,
        between: impl FnMut(Python<'_>) -> PyResult<()> + Send,
    ) -> PyResult<T> {
        let live = self.live(py)?;
        live.wait_watched(py, work, between)
            .map_err(|stop| self.failed(py, &live, stop))
    }

    /// Runs one call with `live`, which this channel gave.
    pub(crate) fn call_on<T: Send>(
        &self,
        py: Python<'_>,
        live: &Arc<Live>,
        work: impl AsyncFnOnce(&Client) -> Result<T, Error> + Send,
    ) -> PyResult<T> {
        live.wait(py, work)
            .map_err(|stop| self.failed(py, live, stop))
    }

    /// Runs one call that makes something. If a signal comes meanwhile, the caller never learns what was made: `undo`
    /// deletes it before the exception of the signal's handler goes on.
    pub(crate) fn make<T: Copy + Send>(
        &self,
        py: Python<'_>,
        work: impl AsyncFnOnce(&Client) -> Result<T, Error> + Send,
        undo: impl AsyncFnOnce(&Client, T) -> Result<(), Error> + Send,
    ) -> PyResult<T> {
        let live = self.live(py)?;
        let (client, runtime) = live.parts();
        let done = py.detach(|| drive_to_end(runtime, work(client)));
        let (made, raised) = done.map_err(|stop| self.failed(py, &live, stop))?;
        let Err(raised) = raised.map_or_else(|| py.check_signals(), Err) else {
            return Ok(made);
        };
        let undone = self.call_on(py, &live, async move |client| undo(client, made).await);
        // If that is interrupted too, or there is no connection any more, the object stays.
        drop(undone);
        Err(raised)
    }

    fn failed(&self, py: Python<'_>, live: &Arc<Live>, stop: Stop) -> PyErr {
        if stop.breaks_connection() {
            self.forget(live);
        }
        stop.into_exception(py)
    }

    /// Has the next call connect again, unless that happened already.
    fn forget(&self, broken: &Arc<Live>) {
        let mut state = self.state();
        if state
            .live
            .as_ref()
            .is_some_and(|live| Arc::ptr_eq(live, broken))
        {
            state.live = None;
        }
    }
}

impl Stop {
    /// Whether an exchange may have been left half way.
    fn breaks_connection(&self) -> bool {
        match self {
            Self::Interrupted(_) => true,
            Self::Failed(error) => matches!(
                error,
                Error::Deadline { .. }
                    | Error::Io { .. }
                    | Error::Malformed { .. }
                    | Error::Mismatch { .. }
                    | Error::Closed { .. }
            ),
        }
    }

    /// Whether nobody listens at the place (yet), or a node that waits for its cluster to admit it.
    pub(crate) fn found_nobody(&self) -> bool {
        match self {
            Self::Failed(Error::Io { .. } | Error::Closed { .. }) => true,
            Self::Failed(error) => error.code() == Some(Code::ConnectionFailed),
            Self::Interrupted(_) => false,
        }
    }

    /// The exception for a first connection to `target` that could not be made.
    pub(crate) fn into_refused_connection(self, py: Python<'_>, target: &Target) -> PyErr {
        match self {
            Self::Failed(error) => raise_connecting(py, &target.to_string(), &error),
            Self::Interrupted(error) => error,
        }
    }
}
