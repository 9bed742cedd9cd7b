//! The suite of `Local`.

use std::io::ErrorKind;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use vineyard_env::{Access, Local, LocalListener, LocalStream, Memory};
use vineyard_shm::Arena;

use super::carries_bytes;

const REGION_BYTES: usize = 1 << 16;

/// Runs the suite. `path` names a socket that does not exist yet, nor does its directory need to; `memory` is the maker
/// that belongs to `local`.
pub async fn local(local: &dyn Local, memory: &dyn Memory, path: &str) {
    let error = local.connect(path).await.err().expect("nobody listens yet");
    assert!(
        matches!(
            error.kind(),
            ErrorKind::NotFound | ErrorKind::ConnectionRefused
        ),
        "{error}"
    );

    let mut listener = local
        .listen(path, 0o600)
        .await
        .expect("a listener in a new directory");
    assert!(listener.is_in_place());
    let (one, other) = pair(local, &mut listener, path).await;
    assert_eq!(one.peer_address(), path);
    assert_eq!(one.local_address(), "");
    carries_bytes(one, other).await;
    passes_memory_between_frames(local, memory, &mut listener, path).await;
    a_missing_handle_is_an_error(local, &mut listener, path).await;

    let error = local
        .listen(path, 0o600)
        .await
        .err()
        .expect("somebody accepts there");
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    drop(listener);
    let error = local
        .connect(path)
        .await
        .err()
        .expect("the listener took its socket along");
    assert!(
        matches!(
            error.kind(),
            ErrorKind::NotFound | ErrorKind::ConnectionRefused
        ),
        "{error}"
    );
    local
        .listen(path, 0o600)
        .await
        .expect("the path is free again");
}

async fn pair(
    local: &dyn Local,
    listener: &mut Box<dyn LocalListener>,
    path: &str,
) -> (Box<dyn LocalStream>, Box<dyn LocalStream>) {
    let (one, other) = tokio::join!(local.connect(path), listener.accept());
    (
        one.expect("a connection"),
        other.expect("an accepted connection"),
    )
}

/// Two handles between frames: the framing holds, both sides see the same bytes, and read-only means it.
async fn passes_memory_between_frames(
    local: &dyn Local,
    memory: &dyn Memory,
    listener: &mut Box<dyn LocalListener>,
    path: &str,
) {
    let (mut node, mut client) = pair(local, listener, path).await;
    let region = memory
        .create("conformance", REGION_BYTES)
        .expect("a region");
    let read = region.share(Access::ReadOnly).expect("a handle to read");
    let write = region.share(Access::ReadWrite).expect("a handle to write");
    let ours = Arena::new(region);

    node.write_all(b"frame").await.expect("a frame");
    node.send_memory(&read).await.expect("sending a handle");
    node.send_memory(&write).await.expect("sending another");
    node.write_all(b"next!").await.expect("the next frame");

    let mut frame = [0; 5];
    client.read_exact(&mut frame).await.expect("the frame");
    assert_eq!(&frame, b"frame");
    let read = client.receive_memory().await.expect("the first handle");
    let write = client.receive_memory().await.expect("the second handle");
    client
        .read_exact(&mut frame)
        .await
        .expect("no byte too many and none too few");
    assert_eq!(&frame, b"next!");

    let denied = memory
        .open(&read, REGION_BYTES, Access::ReadWrite)
        .err()
        .expect("read-only");
    assert_eq!(denied.kind(), ErrorKind::PermissionDenied);
    let read = memory
        .open(&read, REGION_BYTES, Access::ReadOnly)
        .expect("mapped to read");
    let write = memory
        .open(&write, REGION_BYTES, Access::ReadWrite)
        .expect("mapped to write");
    let (read, write) = (Arena::new(read), Arena::new(write));
    write
        .slice_mut(100, 5)
        .expect("five bytes to fill")
        .copy_from_slice(b"hello");
    assert_eq!(&ours.slice(100, 5).expect("the same five")[..], b"hello");
    assert_eq!(
        &read.slice(100, 5).expect("the same five again")[..],
        b"hello"
    );
}

async fn a_missing_handle_is_an_error(
    local: &dyn Local,
    listener: &mut Box<dyn LocalListener>,
    path: &str,
) {
    let (mut node, mut client) = pair(local, listener, path).await;
    node.write_all(b"x")
        .await
        .expect("a byte with nothing attached");
    let error = client
        .receive_memory()
        .await
        .err()
        .expect("nothing was attached");
    assert_eq!(error.kind(), ErrorKind::InvalidData);

    let (node, mut client) = pair(local, listener, path).await;
    drop(node);
    let error = client
        .receive_memory()
        .await
        .err()
        .expect("nobody is there");
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
}
