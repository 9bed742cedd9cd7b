//! TCP as the machine has it.
//!
//! Promise: small writes leave at once and small reads are acknowledged at once, for every kind of peer. Buffer
//! sizes stay with the kernel: its autotuning reaches megabytes, while a size set here is capped at `wmem_max` (often
//! 208 KiB) and switches autotuning off. A peer that died without a word is noticed within about a minute: the
//! connection ends, and with it the session that holds its memory.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::sockopt;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use vineyard_env::{BoxFuture, Detached, Listener, Network, Stream, User};

use super::owner;

/// Connections the kernel keeps for us before `accept` is called.
const BACKLOG: u32 = 1024;
/// A connection that is silent this long is asked whether its peer still lives.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_PROBES: u32 = 3;
/// Bytes that were sent and are not acknowledged for this long end the connection; keepalive is silent meanwhile.
const UNACKNOWLEDGED_MS_MAX: u32 = 60_000;

/// `Network` over the machine's TCP.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemNetwork;

impl Network for SystemNetwork {
    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            Ok(Box::new(TcpLink::new(stream)?) as Box<dyn Stream>)
        })
    }

    fn resolve<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Vec<String>>> {
        Box::pin(async move {
            let found = lookup_host(address).await?;
            Ok(found.map(|address| address.to_string()).collect())
        })
    }

    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let mut failure = None;
            for address in lookup_host(address).await? {
                let socket = match address.is_ipv4() {
                    true => TcpSocket::new_v4()?,
                    false => TcpSocket::new_v6()?,
                };
                // Without it a restarted node could not bind its own port for a minute. SO_REUSEPORT stays off: with
                // it a second node would share the port in silence.
                socket.set_reuseaddr(true)?;
                match socket.bind(address).and_then(|()| socket.listen(BACKLOG)) {
                    Ok(listener) => return Ok(Box::new(TcpDoor(listener)) as Box<dyn Listener>),
                    Err(error) => failure = Some(error),
                }
            }
            Err(failure.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into()))
        })
    }
}

struct TcpDoor(TcpListener);

impl Listener for TcpDoor {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let (stream, _) = self.0.accept().await?;
            Ok(Box::new(TcpLink::new(stream)?) as Box<dyn Stream>)
        })
    }

    fn address(&self) -> String {
        text(self.0.local_addr())
    }
}

/// An address for messages; a socket that was reset has none.
fn text(address: io::Result<std::net::SocketAddr>) -> String {
    address
        .map(|address| address.to_string())
        .unwrap_or_default()
}

struct TcpLink {
    stream: TcpStream,
    local: String,
    peer: String,
}

impl TcpLink {
    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        notice_death(&stream)?;
        let (local, peer) = (text(stream.local_addr()), text(stream.peer_addr()));
        Ok(Self {
            stream,
            local,
            peer,
        })
    }
}

/// Without it a machine that lost its power or its network leaves its sessions here for ever.
fn notice_death(stream: &TcpStream) -> io::Result<()> {
    sockopt::set_tcp_keepidle(stream, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(stream, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(stream, KEEPALIVE_PROBES)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_user_timeout(stream, UNACKNOWLEDGED_MS_MAX)?;
    Ok(())
}

impl AsyncRead for TcpLink {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // The released client sends header and body apart, with Nagle on: the body leaves only when the header is
        // acknowledged. The kernel forgets the setting as it goes, so it is armed again before every read.
        // A socket that was reset refuses the option; the read below reports that better.
        self.stream.set_quickack(true).ok();
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

super::forward_writes!(TcpLink, |_: &mut TcpLink| ());

impl Stream for TcpLink {
    fn local_address(&self) -> String {
        self.local.clone()
    }

    fn peer_address(&self) -> String {
        self.peer.clone()
    }

    fn detach(self: Box<Self>) -> io::Result<Box<dyn Detached>> {
        Ok(Box::new(Loose(self.stream.into_std()?)))
    }
}

/// A socket that no reactor watches.
struct Loose(std::net::TcpStream);

impl Detached for Loose {
    fn attach(self: Box<Self>) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(TcpLink::new(TcpStream::from_std(self.0)?)?))
    }

    fn peer_user(&self) -> io::Result<Option<User>> {
        owner::of_peer(&self.0)
    }
}
