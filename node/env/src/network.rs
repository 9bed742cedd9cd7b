//! Byte streams between machines.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::BoxFuture;

pub trait Network: Send + Sync {
    /// Connects to `address`, `host:port`.
    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Stream>>>;

    /// The addresses, `ip:port`, that `address` stands for now; a name may have several.
    fn resolve<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Vec<String>>> {
        Box::pin(async move { Ok(vec![address.to_owned()]) })
    }

    /// Listens on `address`, `host:port`; port 0 picks a free one.
    fn listen<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Box<dyn Listener>>>;
}

pub trait Listener: Send {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Box<dyn Stream>>>;

    /// The address that was bound, `ip:port`.
    fn address(&self) -> String;
}

/// A connected byte stream. Small writes leave at once (no Nagle), and small reads are acknowledged at once.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {
    /// The local address, `ip:port` (empty for a local socket).
    fn local_address(&self) -> String;

    /// The other side, for messages to people.
    fn peer_address(&self) -> String;

    /// A secret that the two ends of an encrypted stream share and nobody else knows; `None` if the stream is plain.
    fn channel(&self) -> Option<[u8; 32]> {
        None
    }

    /// Takes the stream off this thread's reactor so that another thread may `attach` it.
    fn detach(self: Box<Self>) -> io::Result<Box<dyn Detached>>;
}

/// A stream between two threads' reactors.
pub trait Detached: Send {
    fn attach(self: Box<Self>) -> io::Result<Box<dyn Stream>>;

    /// The user on this machine that holds the other end, as the kernel says; `None` if the other end is not on this
    /// machine. It may block for a moment, so it is asked of a stream that no reactor watches.
    fn peer_user(&self) -> io::Result<Option<User>>;
}

/// A user of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum User {
    /// By number.
    Known(u32),
    /// A user of another user namespace, without a number in the namespace of this process.
    Unmapped,
}
