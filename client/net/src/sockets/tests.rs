//! The machine's sockets: the suites of the traits, and what only real ones can show.

#![allow(
    clippy::disallowed_methods,
    reason = "plays a foreign process on the machine's sockets"
)]

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use vineyard_env::{Local, Network};
use vineyard_shm::MemfdMemory;

use crate::{SystemLocal, SystemNetwork, conformance};

#[tokio::test]
async fn the_network_of_the_machine_conforms() {
    conformance::network(&SystemNetwork, "127.0.0.1:0").await;
}

#[tokio::test]
async fn the_local_sockets_of_the_machine_conform() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("new/node.sock");
    conformance::local(&SystemLocal, &MemfdMemory, path.to_str().unwrap()).await;
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_has_its_mode_and_a_stale_one_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "a process that died leaves its socket");
    let listener = SystemLocal
        .listen(path.to_str().unwrap(), 0o660)
        .await
        .unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o660
    );
    // Somebody replaced the file: it is not ours to remove any more.
    fs::rename(&path, directory.path().join("moved")).unwrap();
    fs::write(&path, "theirs").unwrap();
    drop(listener);
    assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
    let error = SystemLocal
        .listen(path.to_str().unwrap(), 0o660)
        .await
        .err()
        .unwrap();
    assert_eq!(
        error.kind(),
        ErrorKind::AddrInUse,
        "a file that is no socket stays"
    );
}

/// The released client sends header and body apart and leaves Nagle on. With a delayed acknowledgement each exchange
/// would take 40 ms or more.
#[tokio::test]
async fn small_sends_of_a_peer_with_nagle_do_not_stall() {
    const ROUNDS: u32 = 25;
    let mut listener = SystemNetwork.listen("127.0.0.1:0").await.unwrap();
    let address = listener.address();
    let begin = Instant::now();
    tokio::join!(
        async {
            let mut peer = TcpStream::connect(&address).await.unwrap();
            for _ in 0..ROUNDS {
                peer.write_all(&[0; 8]).await.unwrap();
                peer.write_all(&[1; 100]).await.unwrap();
                peer.read_exact(&mut [0; 108]).await.unwrap();
            }
        },
        async {
            let mut node = listener.accept().await.unwrap();
            for _ in 0..ROUNDS {
                let mut frame = [0; 108];
                node.read_exact(&mut frame[..8]).await.unwrap();
                node.read_exact(&mut frame[8..]).await.unwrap();
                node.write_all(&frame).await.unwrap();
            }
        }
    );
    assert!(
        begin.elapsed() < Duration::from_millis(20) * ROUNDS,
        "{:?}",
        begin.elapsed()
    );
}

#[tokio::test]
async fn of_the_folders_above_a_socket_one_at_most_is_made() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mistyped/folder/node.sock");
    let refused = SystemLocal.listen(path.to_str().unwrap(), 0o660).await;
    let error = refused.err().expect("it was mistyped, most likely");
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert!(error.to_string().contains("there is no folder"), "{error}");
    assert!(!directory.path().join("mistyped").exists());
}
