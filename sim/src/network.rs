//! A false network: byte streams between machines, in memory, with delay, bandwidth, cuts and resets.
//!
//! Promise: what TCP promises, and no more. Bytes arrive in order and once, or the connection breaks. A cut stalls what
//! is in flight and heals late; a killed process's sockets are closed by its machine; a machine without power is
//! silent until it returns. It never looks inside the bytes.

mod connection;
mod control;
mod packets;
mod stream;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use futures::future::poll_fn;
use tokio::time::{Instant, sleep};
use vineyard_env::{BoxFuture, Listener, Network, Stream};

use crate::chance::Chance;
use crate::trace::{Kind, Trace};
use connection::Connection;
pub use stream::SimStream;

/// Connections a listener holds before it accepts them.
const BACKLOG_MAX: usize = 128;
/// How often a connect is tried before it gives up; the wait doubles from one second.
const CONNECT_TRIES_MAX: u32 = 6;

/// How bytes travel from one machine to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    pub delay_ms: u64,
    pub jitter_ms: u64,
    pub bytes_per_ms: u64,
    /// How often, in a thousand writes, a packet is lost and sent again later.
    pub loss_per_mille: u64,
}

impl Link {
    pub const NORMAL: Self = Self {
        delay_ms: 1,
        jitter_ms: 2,
        bytes_per_ms: 100_000,
        loss_per_mille: 0,
    };
}

/// Who uses the network: a process on a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// For the trace.
    pub process: String,
    pub ip: String,
}

/// The network of one world; clones share it.
#[derive(Clone)]
pub struct Net {
    inner: Arc<Mutex<Inner>>,
    trace: Trace,
}

struct Inner {
    chance: Chance,
    listeners: BTreeMap<String, Waiting>,
    connections: BTreeMap<u64, Connection>,
    next_connection: u64,
    next_port: BTreeMap<String, u16>,
    /// Directed: what the first sends does not reach the second.
    cuts: BTreeSet<(String, String)>,
    links: BTreeMap<(String, String), Link>,
    /// Machines without power.
    dark: BTreeSet<String>,
    /// Addresses that no machine has any more.
    left: BTreeSet<String>,
    /// When keepalive has ended the last connection to one of these.
    ends_by: Option<Instant>,
    /// What names stand for now.
    names: BTreeMap<String, Vec<String>>,
}

struct Waiting {
    process: String,
    queue: VecDeque<SimStream>,
    waker: Option<Waker>,
}

impl Inner {
    fn cut(&self, from: &str, to: &str) -> bool {
        self.dark.contains(from)
            || self.dark.contains(to)
            || (!self.cuts.is_empty() && self.cuts.contains(&(from.to_owned(), to.to_owned())))
    }

    fn link(&self, from: &str, to: &str) -> Link {
        if self.links.is_empty() {
            return Link::NORMAL;
        }
        self.links
            .get(&(from.to_owned(), to.to_owned()))
            .copied()
            .unwrap_or(Link::NORMAL)
    }

    fn delay(&mut self, from: &str, to: &str) -> Duration {
        let link = self.link(from, to);
        // TCP sends it again after a round trip and its least timeout.
        let lost = if self.chance.happens(link.loss_per_mille) {
            200 + 2 * link.delay_ms
        } else {
            0
        };
        Duration::from_millis(link.delay_ms + self.chance.below(link.jitter_ms + 1) + lost)
    }

    fn free_port(&mut self, ip: &str) -> u16 {
        let port = self.next_port.entry(ip.to_owned()).or_insert(40_000);
        *port = if *port == u16::MAX { 40_000 } else { *port + 1 };
        *port
    }
}

impl Net {
    pub fn new(seed: u64, trace: Trace) -> Self {
        let inner = Inner {
            chance: Chance::stream(seed, "network"),
            listeners: BTreeMap::new(),
            connections: BTreeMap::new(),
            next_connection: 1,
            next_port: BTreeMap::new(),
            cuts: BTreeSet::new(),
            links: BTreeMap::new(),
            dark: BTreeSet::new(),
            left: BTreeSet::new(),
            ends_by: None,
            names: BTreeMap::new(),
        };
        Self {
            inner: Arc::new(Mutex::new(inner)),
            trace,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a connection to a listener that is there. `Err` is the listener's absence or a full backlog.
    pub(crate) fn open(
        &self,
        from: &Host,
        local: String,
        to: &str,
        nearby: bool,
    ) -> io::Result<SimStream> {
        let mut inner = self.lock();
        let id = inner.next_connection;
        let Some(waiting) = inner
            .listeners
            .get_mut(to)
            .filter(|w| w.queue.len() < BACKLOG_MAX)
        else {
            self.trace.note(
                Kind::Connection,
                &from.process,
                format_args!("is refused by {to}"),
            );
            return Err(io::Error::new(
                io::ErrorKind::ConnectionRefused,
                format!("{to}: refused"),
            ));
        };
        let ip = if nearby {
            from.ip.clone()
        } else {
            ip_of(to).to_owned()
        };
        let server = waiting.process.clone();
        let waker = waiting.waker.take();
        inner.next_connection += 1;
        let ends = [
            (from.process.clone(), from.ip.clone()),
            (server.clone(), ip),
        ];
        inner
            .connections
            .insert(id, Connection::new(id, nearby, ends));
        // A local socket is named by its path, without the machine that tells its namespace.
        let there = if nearby {
            to.split_once(':').map_or(to, |(_, path)| path)
        } else {
            to
        };
        let near = SimStream::new(self.clone(), id, 0, local.clone(), there.to_owned());
        let far_address = if nearby { String::new() } else { to.to_owned() };
        let far = SimStream::new(self.clone(), id, 1, far_address, local);
        inner
            .listeners
            .get_mut(to)
            .expect("it was just there")
            .queue
            .push_back(far);
        drop(inner);
        self.trace.note(
            Kind::Connection,
            &from.process,
            format_args!("#{id} opens to {server} at {to}"),
        );
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(near)
    }

    /// `address` with the address of each machine that its name stands for in the place of the name.
    fn resolve(&self, address: &str) -> Vec<String> {
        let inner = self.lock();
        let meant = inner.names.get(ip_of(address));
        match (meant, address.rsplit_once(':')) {
            (Some(ips), Some((_, port))) => ips.iter().map(|ip| format!("{ip}:{port}")).collect(),
            _ => vec![address.to_owned()],
        }
    }

    /// Starts to accept at `key`.
    pub(crate) fn bind(&self, host: &Host, key: String) -> io::Result<SimListener> {
        let mut inner = self.lock();
        if inner.listeners.contains_key(&key) {
            return Err(io::Error::new(
                io::ErrorKind::AddrInUse,
                format!("{key}: in use"),
            ));
        }
        let waiting = Waiting {
            process: host.process.clone(),
            queue: VecDeque::new(),
            waker: None,
        };
        inner.listeners.insert(key.clone(), waiting);
        drop(inner);
        self.trace.note(
            Kind::Connection,
            &host.process,
            format_args!("listens at {key}"),
        );
        Ok(SimListener {
            net: self.clone(),
            key,
        })
    }
}

fn ip_of(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(ip, _)| ip)
}

/// The network as one process sees it.
pub struct SimNetwork {
    pub net: Net,
    pub host: Host,
}

impl Network for SimNetwork {
    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let found = self.net.resolve(address);
            let address = found.first().ok_or(io::ErrorKind::NotFound)?.as_str();
            let (here, there) = (self.host.ip.as_str(), ip_of(address));
            for attempt in 0..CONNECT_TRIES_MAX {
                let reachable = {
                    let mut inner = self.net.lock();
                    let open = !inner.cut(here, there) && !inner.cut(there, here);
                    open.then(|| inner.delay(here, there) + inner.delay(there, here))
                };
                if let Some(round_trip) = reachable {
                    sleep(if here == there {
                        Duration::ZERO
                    } else {
                        round_trip
                    })
                    .await;
                    let port = self.net.lock().free_port(here);
                    let local = format!("{here}:{port}");
                    let stream = self.net.open(&self.host, local, address, false)?;
                    return Ok(Box::new(stream) as Box<dyn Stream>);
                }
                sleep(Duration::from_secs(1 << attempt)).await;
            }
            Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("{address}: no answer"),
            ))
        })
    }

    fn resolve<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Vec<String>>> {
        Box::pin(async move { Ok(self.net.resolve(address)) })
    }

    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let (ip, port) = address
                .rsplit_once(':')
                .ok_or(io::ErrorKind::InvalidInput)?;
            let key = match port {
                "0" => format!("{ip}:{}", self.net.lock().free_port(ip)),
                _ => address.to_owned(),
            };
            let listener = self.net.bind(&self.host, key)?;
            Ok(Box::new(listener) as Box<dyn Listener>)
        })
    }
}

/// Accepts connections at one address or path until it is dropped.
pub struct SimListener {
    net: Net,
    key: String,
}

impl SimListener {
    pub(crate) async fn next(&mut self) -> io::Result<SimStream> {
        poll_fn(|cx| {
            let mut inner = self.net.lock();
            let Some(waiting) = inner.listeners.get_mut(&self.key) else {
                let gone = io::Error::new(io::ErrorKind::NotConnected, "the listener is gone");
                return std::task::Poll::Ready(Err(gone));
            };
            match waiting.queue.pop_front() {
                Some(stream) => std::task::Poll::Ready(Ok(stream)),
                None => {
                    waiting.waker = Some(cx.waker().clone());
                    std::task::Poll::Pending
                }
            }
        })
        .await
    }
}

impl Listener for SimListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async move { Ok(Box::new(self.next().await?) as Box<dyn Stream>) })
    }

    fn address(&self) -> String {
        self.key.clone()
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        // The streams nobody accepted close after the lock is released: closing takes it again.
        let waiting = self.net.lock().listeners.remove(&self.key);
        drop(waiting);
    }
}

#[cfg(test)]
mod tests;
