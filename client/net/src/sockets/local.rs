//! Unix sockets as the machine has them, with file descriptors attached to dummy bytes.
//!
//! Promise: a handle travels as one `sendmsg` of exactly one byte with exactly one descriptor, as the protocol asks;
//! what is received is closed on exec. A listener removes its own socket when it is dropped, and no other.

use std::fs;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, sockopt,
};
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::{UnixListener, UnixSocket, UnixStream};
use vineyard_env::{
    BoxFuture, Detached, Local, LocalListener, LocalStream, MemoryHandle, Stream, User,
};

use super::busy_poll::BusyPoll;
use super::owner;

/// Connections the kernel keeps for us before `accept` is called.
const BACKLOG: u32 = 1024;

/// `Local` over the machine's Unix sockets.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLocal;

impl Local for SystemLocal {
    fn connect<'a>(&'a self, path: &'a str) -> BoxFuture<'a, io::Result<Box<dyn LocalStream>>> {
        Box::pin(async move {
            let stream = UnixStream::connect(path).await?;
            let link = UnixLink::new(stream, path.to_owned());
            Ok(Box::new(link) as Box<dyn LocalStream>)
        })
    }

    fn listen<'a>(
        &'a self,
        path: &'a str,
        mode: u32,
    ) -> BoxFuture<'a, io::Result<Box<dyn LocalListener>>> {
        Box::pin(async move {
            // Absolute, so that a later change of directory does not make us remove another file.
            let path = std::path::absolute(path)?;
            if let Some(parent) = path.parent() {
                make_folder(parent)?;
            }
            remove_stale(&path).await?;
            let socket = UnixSocket::new_stream()?;
            socket.bind(&path)?;
            // Between bind and listen nobody can connect, so nobody sees the mode the umask gave.
            fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
            let file = identity(&path)?;
            let listener = socket.listen(BACKLOG)?;
            Ok(Box::new(UnixDoor {
                listener,
                path,
                file,
            }) as Box<dyn LocalListener>)
        })
    }
}

/// Makes a folder in which other users find a socket: who may connect is said by the socket's mode, whatever the umask
/// of this process is. No more than one: a path of which more is missing was mistyped, most likely.
fn make_folder(folder: &Path) -> io::Result<()> {
    const SEARCHABLE: u32 = 0o755;
    if folder.try_exists()? {
        return Ok(());
    }
    let above = folder.parent().unwrap_or(Path::new("/"));
    if !above.as_os_str().is_empty() && !above.try_exists()? {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            format!(
                "there is no folder {}; one is made at most, so make it if that is the place",
                above.display()
            ),
        ));
    }
    match fs::create_dir(folder) {
        Ok(()) => fs::set_permissions(folder, fs::Permissions::from_mode(SEARCHABLE)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes a socket on which no process accepts; refuses to touch anything else.
async fn remove_stale(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "the path exists and is not a socket",
        ));
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        // Connected, or a full backlog: somebody lives there.
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

struct UnixDoor {
    listener: UnixListener,
    path: PathBuf,
    /// Of the socket's file. The kernel keeps the inode while the socket is open, so no other file gets its number.
    file: (u64, u64),
}

/// The device and the inode of a file.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

impl LocalListener for UnixDoor {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Box<dyn LocalStream>>> {
        Box::pin(async move {
            let (stream, _) = self.listener.accept().await?;
            let process = stream.peer_cred().ok().and_then(|cred| cred.pid());
            let peer = process.map_or_else(String::new, |pid| format!("process {pid}"));
            Ok(Box::new(UnixLink::new(stream, peer)) as Box<dyn LocalStream>)
        })
    }

    fn is_in_place(&self) -> bool {
        identity(&self.path).is_ok_and(|found| found == self.file)
    }
}

impl Drop for UnixDoor {
    fn drop(&mut self) {
        if self.is_in_place() {
            // A path that cannot be removed now is replaced as stale by the next listener.
            fs::remove_file(&self.path).ok();
        }
    }
}

struct UnixLink {
    stream: UnixStream,
    peer: String,
    busy_poll: BusyPoll,
}

impl UnixLink {
    fn new(stream: UnixStream, peer: String) -> Self {
        Self {
            stream,
            peer,
            busy_poll: BusyPoll::default(),
        }
    }
}

impl AsyncRead for UnixLink {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let link = &mut *self;
        let read = Pin::new(&mut link.stream).poll_read(cx, buf);
        link.busy_poll.read(read, &link.stream, cx, buf)
    }
}

super::forward_writes!(UnixLink, |link: &mut UnixLink| link.busy_poll.wrote());

impl Stream for UnixLink {
    fn local_address(&self) -> String {
        String::new()
    }

    fn peer_address(&self) -> String {
        self.peer.clone()
    }

    fn detach(self: Box<Self>) -> io::Result<Box<dyn Detached>> {
        Ok(Box::new(Loose {
            stream: self.stream.into_std()?,
            peer: self.peer,
        }))
    }
}

impl LocalStream for UnixLink {
    fn peer_user(&self) -> User {
        user(&self.stream).unwrap_or(User::Unmapped)
    }

    fn send_memory<'a>(&'a mut self, handle: &'a MemoryHandle) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move {
            let MemoryHandle::Fd(fd) = handle else {
                let reason = "a heap block cannot leave its process";
                return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
            };
            let stream = &self.stream;
            stream
                .async_io(Interest::WRITABLE, || send_fd(stream.as_fd(), fd.as_fd()))
                .await
        })
    }

    fn receive_memory(&mut self) -> BoxFuture<'_, io::Result<MemoryHandle>> {
        Box::pin(async move {
            let stream = &self.stream;
            let fd = stream
                .async_io(Interest::READABLE, || receive_fd(stream.as_fd()))
                .await?;
            Ok(MemoryHandle::Fd(Arc::new(fd)))
        })
    }
}

/// The user who connected, as the kernel noted it.
fn user(stream: &impl AsFd) -> io::Result<User> {
    let credentials = sockopt::socket_peercred(stream)?;
    Ok(owner::user(credentials.uid.as_raw()))
}

fn send_fd(socket: BorrowedFd<'_>, fd: BorrowedFd<'_>) -> io::Result<()> {
    let fds = [fd];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(
        control.push(SendAncillaryMessage::ScmRights(&fds)),
        "the space holds one descriptor"
    );
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    let sent = rustix::net::sendmsg(socket, &[IoSlice::new(&[0])], &mut control, flags)?;
    debug_assert_eq!(sent, 1, "one byte is sent whole or not at all");
    Ok(())
}

fn receive_fd(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let mut buffers = [IoSliceMut::new(&mut byte)];
    let received = rustix::net::recvmsg(socket, &mut buffers, &mut control, flags)?;
    // Drained first: whatever arrived is closed on every way out.
    let mut fds: Vec<OwnedFd> = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        })
        .flatten()
        .collect();
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let one = fds.len() == 1 && !received.flags.contains(ReturnFlags::CTRUNC);
    let fd = if one { fds.pop() } else { None };
    fd.ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::InvalidData,
            "expected one file descriptor with one byte",
        )
    })
}

/// A socket that no reactor watches.
struct Loose {
    stream: std::os::unix::net::UnixStream,
    peer: String,
}

impl Detached for Loose {
    fn attach(self: Box<Self>) -> io::Result<Box<dyn Stream>> {
        let stream = UnixStream::from_std(self.stream)?;
        Ok(Box::new(UnixLink::new(stream, self.peer)))
    }

    fn peer_user(&self) -> io::Result<Option<User>> {
        user(&self.stream).map(Some)
    }
}
