//! Sockets between processes of one machine, which can carry memory.

use std::io;

use crate::{BoxFuture, MemoryHandle, Stream, User};

pub trait Local: Send + Sync {
    /// Connects to the socket at `path`.
    fn connect<'a>(&'a self, path: &'a str) -> BoxFuture<'a, io::Result<Box<dyn LocalStream>>>;

    /// Listens at `path` with file mode `mode`. Creates missing parent directories and replaces a stale socket;
    /// `AddrInUse` if something accepts there. Dropping the listener removes the socket.
    fn listen<'a>(
        &'a self,
        path: &'a str,
        mode: u32,
    ) -> BoxFuture<'a, io::Result<Box<dyn LocalListener>>>;
}

pub trait LocalListener: Send {
    /// The next connection. Cancel safe.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Box<dyn LocalStream>>>;

    /// Whether its socket is still at its path: the file may have been removed or replaced.
    fn is_in_place(&self) -> bool;
}

pub trait LocalStream: Stream {
    /// The user of the process at the other end, as it was when it connected.
    fn peer_user(&self) -> User;

    /// Sends one dummy byte with `handle` attached. Call it only between frames.
    fn send_memory<'a>(&'a mut self, handle: &'a MemoryHandle) -> BoxFuture<'a, io::Result<()>>;

    /// Receives one dummy byte and the handle attached to it.
    fn receive_memory(&mut self) -> BoxFuture<'_, io::Result<MemoryHandle>>;
}
